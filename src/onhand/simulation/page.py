"""The report of a simulation as one page, which needs nothing else to be read: no script, no request."""

import math
from html import escape
from typing import Any, Final

_HEADLINE: Final = ("paid_minor", "days", "late", "co2_g", "filled", "split")
_SENTENCES: Final = {"better": "better", "worse": "worse", "different": "different", "same": "no difference found"}
_STYLE: Final = """
:root{--page:#f7f7f5;--card:#fff;--ink:#1a1c1e;--soft:#5d6469;--line:#d9dcdd;--better:#0b7a53;--worse:#b3261e;
--other:#5a4fcf;--same:#7b8388;--front:#0b63b8}
@media (prefers-color-scheme:dark){:root{--page:#131517;--card:#1c1f22;--ink:#e9ebec;--soft:#a2aab0;--line:#363b40;
--better:#4cc38a;--worse:#ff8a80;--other:#a9a2ff;--same:#8d959b;--front:#6cb6ff}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:68rem;margin:0 auto;padding:2rem 1.25rem 4rem}h1{font-size:1.6rem;margin:0}*~h1{margin-top:4rem}
h2{font-size:1.15rem;margin:2.5rem 0 .75rem}p{margin:.4rem 0;max-width:46rem}.soft{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.75rem;margin-top:1.5rem}
.card,.wide{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.9rem 1rem}
.card b{display:block;font-size:1.55rem;font-variant-numeric:tabular-nums;line-height:1.25}
.card small,.card span{display:block;color:var(--soft);font-size:.86rem}
.better{color:var(--better)}.worse{color:var(--worse)}.different{color:var(--other)}.same{color:var(--same)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}
th{font-weight:600;color:var(--soft);text-align:right;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;white-space:normal}tr:last-child td{border-bottom:0}
svg{display:block;width:100%;height:auto;min-width:36rem;max-width:60rem}
.cards+p{margin-top:1.25rem}svg text{fill:var(--ink);font:13px system-ui,sans-serif}
svg .soft{fill:var(--soft)}svg .axis{stroke:var(--line)}
"""


def page(*reports: dict[str, Any]) -> str:
    """The page of a report (simulation/report.py), or of several in turn."""
    titles = [f"{escape(r['candidate']['version'])} against {escape(r['baseline']['version'])}" for r in reports]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{'; '.join(titles)}</title><style>{_STYLE}</style></head><body><main>",
        *(line for report, title in zip(reports, titles, strict=True) for line in _sections(report, title)),
        "<h2>How to read this</h2>",
        *_notes(reports[0]),
        "</main></body></html>",
    ]
    return "\n".join(parts)


def _sections(report: dict[str, Any], title: str) -> list[str]:
    ours, theirs = escape(report["baseline"]["version"]), escape(report["candidate"]["version"])
    by = {d["metric"]: d for d in report["differences"]}
    return [
        f"<h1>{title}</h1>",
        f'<p class="soft">{_period(report)}</p>',
        '<div class="cards">',
        *(_card(by[key]) for key in _HEADLINE if key in by),
        "</div>",
        *_warnings(report),
        "<h2>How certain each difference is</h2>",
        '<p class="soft">Each bar is the 95&nbsp;% interval of the difference, as a share of the value under '
        f"{ours}. A bar that crosses the line in the middle may be chance.</p>",
        f'<div class="wide">{_bars(report["differences"])}</div>',
        *_front(report, theirs),
        "<h2>Everything that was measured</h2>",
        f'<div class="wide">{_table(report["differences"], ours, theirs)}</div>',
        "<h2>Where units left from</h2>",
        f'<div class="wide">{_nodes(report, ours, theirs)}</div>',
    ]


def _period(report: dict[str, Any]) -> str:
    period = report["period"]
    left_out = f", {period['orders_left_out']:,} left out" if period["orders_left_out"] else ""
    cut = "; the period was shortened to these orders" if period["is_shortened"] else ""
    begins, ends = (escape(period[key][:16].replace("T", " ")) for key in ("from", "to"))
    return f"{period['orders']:,} orders placed from {begins} to {ends} UTC, decided again by both{left_out}{cut}"


def _card(d: dict[str, Any]) -> str:
    share = _share(d)
    # Without a sign where it rounds to nothing.
    relative = "" if share is None else f" ({share:+.1%})" if abs(share) >= 0.0005 else " (0.0%)"
    return (
        f'<div class="card"><small>{escape(d["name"])}</small>'
        f'<b class="{d["verdict"]}">{_shown(d, "difference", sign=True)}</b>'
        f"<span>{_shown(d, 'baseline')} &rarr; {_shown(d, 'candidate')}{relative}</span>"
        f"<span>{_interval(d)}, {_SENTENCES[d['verdict']]}</span></div>"
    )


def _interval(d: dict[str, Any]) -> str:
    if d["low"] is None:
        return "too few orders for an interval"
    return f"95&nbsp;%: {_shown(d, 'low', sign=True)} to {_shown(d, 'high', sign=True)}"


def _share(d: dict[str, Any]) -> float | None:
    return d["difference"] / abs(d["baseline"]) if d["baseline"] and d["difference"] is not None else None


def _shown(d: dict[str, Any], key: str, *, sign: bool = False) -> str:
    """A value in the unit that people read: money in major units, shares in per cent."""
    value, unit = d[key], d["unit"]
    if value is None:
        return "&ndash;"
    plus = "+" if sign else ""
    if unit == "money":
        return f"{value / 100:{plus},.2f}"
    if unit == "%":
        return f"{value * 100:{plus},.2f}&nbsp;{'points' if sign else '%'}"
    decimals = 1 if unit == "g" or abs(value) >= 100 else 3
    return f"{value:{plus},.{decimals}f}" + (f"&nbsp;{escape(unit)}" if unit else "")


def _warnings(report: dict[str, Any]) -> list[str]:
    said: list[str] = []
    by = {d["metric"]: d for d in report["differences"]}
    if by["filled"]["verdict"] != "same":
        said.append(
            "The two serve different shares of what was ordered, so money, time and CO2 are of different goods: look "
            "at what is paid for orders that both serve in full."
        )
    suspicious = [d["name"] for d in report["differences"] if d["is_suspicious"] and d["better"]]
    if suspicious:
        said.append(
            "One block of orders tells something of the next one, so these intervals may be too narrow: "
            + escape(", ".join(suspicious))
            + ". A longer period would help."
        )
    missing = max(report[key]["units_missing"] for key in ("baseline", "candidate"))
    if missing:
        said.append(
            f"Counts and other entries took {missing:,} units from where a policy had promised them already; they are "
            "taken as served."
        )
    return [f'<p class="soft"><strong>Mind:</strong> {text}</p>' for text in said]


def _bars(differences: list[dict[str, Any]]) -> str:
    # Terms at a policy's own prices do not compare.
    rows = [
        d for d in differences if d["better"] and d["low"] is not None and d["baseline"] and (d["low"] or d["high"])
    ]
    if not rows:
        return "<p>Nothing differs.</p>"
    ends = [max(abs(d["low"]), abs(d["high"])) / abs(d["baseline"]) for d in rows]
    most = _nice(min(max(ends), 1.0))
    left, middle, half, step = 330, 620, 270, 26
    height = step * len(rows) + 44
    out = [
        f'<svg viewBox="0 0 920 {height}" role="img" aria-label="Differences with their 95 % intervals">',
        *(
            f'<line class="axis" x1="{x:.0f}" x2="{x:.0f}" y1="8" y2="{height - 30}" stroke-width="{1 + (n == 0)}"/>'
            f'<text class="soft" x="{x:.0f}" y="{height - 10}" text-anchor="middle">{_axis(n * most / 2)}</text>'
            for n in range(-2, 3)
            for x in [middle + n * half / 2]
        ),
    ]
    for n, d in enumerate(rows):
        y = 24 + n * step
        low, high, at = (
            middle + half * max(-1.0, min(1.0, d[key] / abs(d["baseline"]) / most))
            for key in ("low", "high", "difference")
        )
        colour = {"better": "better", "worse": "worse", "different": "other", "same": "same"}[d["verdict"]]
        out.append(
            f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{escape(d["name"])}</text>'
            f'<line x1="{low:.1f}" x2="{max(high, low + 2):.1f}" y1="{y}" y2="{y}" stroke="var(--{colour})" '
            f'stroke-width="8" stroke-linecap="round" opacity=".45"/>'
            f'<circle cx="{at:.1f}" cy="{y}" r="5" fill="var(--{colour})">'
            f"<title>{escape(d['name'])}: {_shown(d, 'difference', sign=True)}</title></circle>"
        )
    return "".join([*out, "</svg>"])


def _axis(share: float) -> str:
    return f"{share:+.1%}" if share else "0"


def _nice(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    base = 10.0 ** math.floor(math.log10(value))
    return next(step * base for step in (1, 2, 5, 10) if step * base >= value * (1 - 1e-12))


def _front(report: dict[str, Any], theirs: str) -> list[str]:
    if report["pareto"] is None:
        return []
    points = report["pareto"]["points"]
    beaten = sum(p["dominated_by"] is not None for p in points)
    return [
        "<h2>What time and carbon cost</h2>",
        f'<p class="soft">Each point is {theirs} at other prices of a day and of a kilogram of CO2, over the '
        f"{report['pareto']['orders']:,} orders that all of them serve in full. Filled points are the choices there "
        f"are: nothing is better in money, days and CO2 at once. {beaten} of {len(points)} are beaten by another one "
        "(hollow).</p>",
        f'<div class="wide">{_scatter(points)}</div>',
        f'<div class="wide" style="margin-top:.75rem">{_choices(points)}</div>',
    ]


def _scatter(points: list[dict[str, Any]]) -> str:
    """Days across, money upwards, CO2 by size."""
    shown = [p for p in points if p["days"] is not None]
    if not shown:
        return "<p>No order is served in full by all of them.</p>"
    left, top, width, height = 80, 20, 780, 380

    def scaled(key: str) -> tuple[float, float]:
        low, high = min(p[key] for p in shown), max(p[key] for p in shown)
        room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
        return low - room, high + room

    (x0, x1), (y0, y1) = scaled("days"), scaled("paid_minor")
    least, most = min(p["co2_g"] for p in shown), max(p["co2_g"] for p in shown)
    out = [
        '<svg viewBox="0 0 900 470" role="img" aria-label="Money and days at different prices of time and carbon">',
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" class="axis"/>',
    ]
    for n in range(5):
        x, y = left + width * n / 4, top + height * (1 - n / 4)
        out.append(
            f'<text class="soft" x="{x:.0f}" y="{top + height + 20}" text-anchor="middle">'
            f"{x0 + (x1 - x0) * n / 4:.2f}</text>"
            f'<text class="soft" x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">'
            f"{(y0 + (y1 - y0) * n / 4) / 100:.2f}</text>"
            f'<line class="axis" x1="{left}" x2="{left + width}" y1="{y:.0f}" y2="{y:.0f}" stroke-dasharray="2 4"/>'
        )
    out.append(
        f'<text x="{left + width / 2}" y="{top + height + 46}" text-anchor="middle">'
        "Days until all is there, mean</text>"
        f'<text x="20" y="{top + height / 2}" text-anchor="middle" transform="rotate(-90 20 {top + height / 2})">'
        "Paid for an order, mean</text>"
        f'<text class="soft" x="{left + width}" y="{top - 6}" text-anchor="end">size: CO2 of an order, {least:,.0f} to '
        f"{most:,.0f} g</text>"
    )
    for p in sorted(shown, key=lambda p: -p["co2_g"]):
        x = left + width * (p["days"] - x0) / (x1 - x0)
        y = top + height * (1 - (p["paid_minor"] - y0) / (y1 - y0))
        size = 5 + 9 * ((p["co2_g"] - least) / (most - least) if most > least else 0.5)
        on_front = p["dominated_by"] is None
        style = (
            'fill="var(--front)" fill-opacity=".55" stroke="var(--front)"'
            if on_front
            else 'fill="none" stroke="var(--same)" stroke-dasharray="3 3"'
        )
        out.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" {style}><title>'
            f"{_prices(p)}: {p['paid_minor'] / 100:.2f}, {p['days']:.2f} days, {p['co2_g']:.0f} g</title></circle>"
        )
        if p["name"]:
            side, anchor = (-size - 6, "end") if x > left + width - 160 else (size + 6, "start")
            out.append(f'<text x="{x + side:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">{escape(p["name"])}</text>')
    return "".join([*out, "</svg>"])


def _prices(p: dict[str, Any]) -> str:
    prices = f"a day at {p['day_minor'] / 100:.2f}, a kilogram of CO2 at {p['co2_minor_per_kg'] / 100:.2f}"
    return f"{escape(p['name'])}: {prices}" if p["name"] else prices


def _choices(points: list[dict[str, Any]]) -> str:
    front = sorted(
        (p for p in points if p["dominated_by"] is None and p["days"] is not None), key=lambda p: p["paid_minor"]
    )
    rows = "".join(
        f"<tr><td>{escape(p['name'] or '')}</td><td>{p['day_minor'] / 100:.2f}</td>"
        f"<td>{p['co2_minor_per_kg'] / 100:.2f}</td><td>{p['paid_minor'] / 100:,.2f}</td>"
        f"<td>{p['days']:.2f}</td><td>{p['co2_g']:,.0f}&nbsp;g</td></tr>"
        for p in front
    )
    return (
        "<table><tr><th>objective</th><th>price of a day</th><th>of a kg of CO2</th><th>paid for an order</th>"
        f"<th>days</th><th>CO2</th></tr>{rows}</table>"
    )


def _table(differences: list[dict[str, Any]], ours: str, theirs: str) -> str:
    rows = "".join(
        f"<tr><td>{escape(d['name'])}</td><td>{_shown(d, 'baseline')}</td><td>{_shown(d, 'candidate')}</td>"
        f"<td>{_shown(d, 'difference', sign=True)}</td><td>{_shown(d, 'low', sign=True)} to "
        f"{_shown(d, 'high', sign=True)}</td><td>{d['orders']:,}</td>"
        f'<td class="{d["verdict"]}">{_SENTENCES[d["verdict"]]}</td></tr>'
        for d in differences
    )
    return (
        f"<table><tr><th>mean over orders</th><th>{ours}</th><th>{theirs}</th><th>difference</th>"
        f"<th>95&nbsp;% interval</th><th>orders</th><th></th></tr>{rows}</table>"
    )


def _nodes(report: dict[str, Any], ours: str, theirs: str) -> str:
    before, after = report["baseline"]["nodes"], report["candidate"]["nodes"]
    codes = sorted({*before, *after}, key=lambda code: -max(before.get(code, 0), after.get(code, 0)))[:40]
    rows = "".join(
        f"<tr><td>{escape(code)}</td><td>{before.get(code, 0):,}</td><td>{after.get(code, 0):,}</td>"
        f"<td>{after.get(code, 0) - before.get(code, 0):+,}</td></tr>"
        for code in codes
    )
    return f"<table><tr><th>units from node</th><th>{ours}</th><th>{theirs}</th><th>difference</th></tr>{rows}</table>"


def _notes(report: dict[str, Any]) -> list[str]:
    method = report["method"]
    notes = (
        "Both policies met the same orders in the same order, the same receipts and counts, the same supply on its way "
        "and the same luck with rejections and transit times; stock and capacity evolved under each by its own "
        "decisions.",
        "Differences are means over paired orders. Orders share stock, so they are not independent: intervals are "
        f"those of at most {method['blocks_max']} blocks of consecutive orders (batch means, Student's t).",
        f"Late: after {method['target_days']:g} days, for both alike. Later than promised: than the date each policy "
        "promised itself. Money is paid money; cost terms such as lateness or carbon are weighed at each policy's own "
        "prices, so that they do not compare.",
    )
    return [f'<p class="soft">{escape(text)}</p>' for text in notes]
