"""The report of a simulation as lines of text."""

from collections.abc import Iterator, Sequence
from typing import Any


def lines(report: dict[str, Any]) -> Iterator[str]:
    """What `onhand policy simulate` prints of a report (simulation/report.py)."""
    period = report["period"]
    ours, theirs = report["baseline"]["version"], report["candidate"]["version"]
    yield f"{theirs} against {ours}: {period['orders']:,} orders, {period['from'][:16]} to {period['to'][:16]}"
    if period["orders_left_out"]:
        yield f"{period['orders_left_out']:,} orders could not be replayed"
    rows = [("mean over orders", ours, theirs, "difference", "95 % interval", "")]
    for d in report["differences"]:
        interval = f"{_amount(d, 'low', sign=True)} to {_amount(d, 'high', sign=True)}"
        amounts = _amount(d, "baseline"), _amount(d, "candidate"), _amount(d, "difference", sign=True)
        told = "" if d["verdict"] == "same" else d["verdict"]
        rows.append((d["name"], *amounts, interval, told + " (interval may be too narrow)" * d["is_suspicious"]))
    yield from _columns(rows, left=(0, 5))
    if report["pareto"] is not None:
        yield from _front(report["pareto"]["points"])


def _front(points: Sequence[dict[str, Any]]) -> Iterator[str]:
    beaten = sum(p["dominated_by"] is not None for p in points)
    yield ""
    yield f"prices of time and carbon: {len(points)} tried, {beaten} beaten by another in money, days and CO2"
    front = [p for p in points if p["dominated_by"] is None and p["days"] is not None]
    rows = [
        (
            f"{p['day_minor'] / 100:.2f}",
            f"{p['co2_minor_per_kg'] / 100:.2f}",
            f"{p['paid_minor'] / 100:,.2f}",
            f"{p['days']:.2f}",
            f"{p['co2_g']:,.0f} g",
            p["name"] or "",
        )
        for p in sorted(front, key=lambda p: p["paid_minor"])
    ]
    yield from _columns([("a day", "a kg of CO2", "paid", "days", "CO2", ""), *rows], left=(5,))


def _columns(rows: Sequence[tuple[str, ...]], *, left: Sequence[int]) -> Iterator[str]:
    """Whole lines however narrow the screen is: a number that is cut off is worse than a line that wraps."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(c.ljust(width) if n in left else c.rjust(width) for n, (c, width) in enumerate(cells)).rstrip()


def _amount(d: dict[str, Any], key: str, *, sign: bool = False) -> str:
    """A value in the unit that people read: money in major units, shares in per cent."""
    value, plus = d[key], "+" if sign else ""
    if value is None:
        return "-"
    if d["unit"] == "money":
        return f"{value / 100:{plus},.2f}"
    if d["unit"] == "%":
        return f"{value * 100:{plus},.2f} %"
    return f"{value:{plus},.3f}" + (f" {d['unit']}" if d["unit"] else "")
