"""Pictures of the explanations, from what the product computes and from figures that the pages record.

    python benchmarks/pictures.py [--to docs/pictures]

Seconds, the same each time. Four files: what may be promised by which day (ledger), what an order costs by its size
(sourcing), what a unit is worth and what learned prices gain (forward-looking), what trouble costs with and without the
autopilot (autopilot; from the table of docs/how-to/scenarios.md, which benchmarks/scenarios.py makes).
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import onhand
from onhand.ledger.atp import atp
from onhand.sourcing.node_worth import Local, worth

ROOT = Path(__file__).parents[1]
BLUE, GREY, ORANGE, GREEN, RED, INK = "#1565c0", "#757575", "#ef6c00", "#2e7d32", "#c62828", "#212121"
TOP, HIGH = 60, 240


def text(x: float, y: float, said: str, colour: str = INK, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{said}</text>'


def bar(x: float, top: float, wide: float, bottom: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{bottom - top:.1f}" fill="{colour}"/>'


def line(points: Sequence[tuple[float, float]], colour: str, dashes: str = "") -> str:
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"{style}/>'


def rule(left: float, right: float, y: float, said: str) -> list[str]:
    drawn = f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
    return [drawn, text(left - 6, y + 4, said, anchor="end")]


def sheet(wide: int, high: int, parts: Sequence[str]) -> str:
    # White below it: on a dark page it is a card, as legible as on a light one.
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, f'<rect width="{wide}" height="{high}" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"


def ledger() -> str:
    """Stock by day if nothing more is sold, and what may be promised by that day."""
    available, supply, due = 20, [(6, 30), (14, 40)], [(3, 12), (9, 25), (12, 8), (17, 10)]
    days = 21
    level = [
        available + sum(u for d, u in supply if d <= day) - sum(u for d, u in due if d <= day) for day in range(days)
    ]
    steps = dict(atp(available, supply, due, today=0))
    free = [steps[max(d for d in steps if d <= day)] for day in range(days)]

    left, step = 60, 30

    def y(units: float) -> float:
        return TOP + HIGH * (1 - units / 50)

    parts = [part for units in range(0, 51, 10) for part in rule(left, left + step * days, y(units), str(units))]
    for day in range(days):
        at = left + step * day
        parts += [
            bar(at + 3, y(level[day]), step - 6, y(0), "#bdbdbd"),
            bar(at + 3, y(free[day]), step - 6, y(0), BLUE),
        ]
        parts.append(text(at + step / 2, y(0) + 16, str(day), anchor="middle"))
    for moves, colour, sign in ((supply, GREEN, "+"), (due, RED, "-")):
        parts += [text(left + step * (d + 0.5), y(0) + 34, f"{sign}{u}", colour, "middle") for d, u in moves]
    parts += [
        text(left, TOP - 34, "units by the end of each day, if nothing more is promised", GREY),
        text(left, TOP - 14, "of them, those that may be promised by that day: no later promise needs them", BLUE),
        text(left + step * days / 2, y(0) + 54, "days from now, with supply and what is due", anchor="middle"),
    ]  # fmt: skip
    return sheet(left + step * days + 30, TOP + HIGH + 70, parts)


def sourcing() -> str:
    """The example of the page, for one mug to twelve: terms of its cheapest plan."""
    page = (ROOT / "docs/explanations/sourcing.md").read_text("utf-8")
    program = re.findall(r"```python\n(.*?)^for mugs", page, re.M | re.S)[0]
    names: dict[str, object] = {}
    exec(compile(program, "sourcing.md", "exec"), names)
    terms = {"shipping": BLUE, "handling": ORANGE, "split": RED, "lateness": GREEN}
    left, step, most = 60, 52, 2500

    def y(minor: float) -> float:
        return TOP + HIGH * (1 - minor / most)

    parts = [
        p for minor in range(0, most + 1, 500) for p in rule(left, left + step * 12, y(minor), f"{minor / 100:.0f}")
    ]
    to = {"country": "FR", "latitude": 48.87, "longitude": 2.34}
    for mugs in range(1, 13):
        lines = [{"sku": "MUG", "quantity": mugs}, {"sku": "TEA", "quantity": 1}]
        (plan,) = onhand.source([{"destination": to, "lines": lines}], names["network"], at=names["monday"])  # type: ignore[arg-type]
        at, so_far = left + step * (mugs - 1), 0.0
        for term, colour in terms.items():
            cost = sum(f.cost.get(term, 0.0) for f in plan.fulfilments)
            parts.append(bar(at + 6, y(so_far + cost), step - 12, y(so_far), colour))
            so_far += cost
        parts.append(text(at + step / 2, y(so_far) - 6, f"{so_far / 100:.2f}", anchor="middle"))
        parts.append(text(at + step / 2, y(0) + 16, str(mugs), anchor="middle"))
        nodes = " + ".join(sorted(f.node.capitalize()[0] for f in plan.fulfilments))
        parts.append(text(at + step / 2, y(0) + 32, nodes, GREY, "middle"))
    for n, (term, colour) in enumerate(terms.items()):
        parts.append(text(left + 90 * n, TOP - 14, term, colour))
    parts.append(text(left, TOP - 34, "the cheapest plan, euros"))
    parts.append(
        text(left + step * 6, y(0) + 52, "mugs beside the tea; from Berlin (B), Lyon (L), or both", anchor="middle")
    )
    return sheet(left + step * 12 + 30, TOP + HIGH + 68, parts)


def forward_looking() -> str:
    """What a unit is worth at the store of the page; and costs over the bound, as the page records them."""
    left, wide = 60, 340
    one = np.zeros(1, np.int32)
    store = Local(one, one, np.array([500.0]), np.array([-200.0]), np.array([0.4]), np.array([0.56]))

    def x(units: float) -> float:
        return left + wide * (units - 1) / 11

    def y(minor: float) -> float:
        return TOP + HIGH * (500 - minor) / 700

    parts = [p for m in range(-200, 501, 100) for p in rule(left, left + wide, y(m), f"{m / 100:.0f}")]
    parts += [text(x(n), TOP + HIGH + 16, str(n), anchor="middle") for n in range(1, 13)]
    for days, colour, dashes in ((3.0, GREY, "5 4"), (7.0, BLUE, ""), (14.0, ORANGE, "")):
        values = [float(worth(store, np.array([float(n)]), np.array([days]))[0]) for n in range(1, 13)]
        parts.append(line([(x(n), y(v)) for n, v in enumerate(values, 1)], colour, dashes))
    parts += [
        text(left, TOP - 34, "what one unit is worth at the store, euros; supply comes in"),
        text(left, TOP - 14, "3 days", GREY), text(left + 70, TOP - 14, "a week", BLUE),
        text(left + 140, TOP - 14, "two weeks", ORANGE),
        text(left + wide / 2, TOP + HIGH + 38, "units there", anchor="middle"),
    ]  # fmt: skip
    page = (ROOT / "docs/explanations/forward-looking.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+?) \| (1\.0\d+) \|$", page, re.M)
    start = left + wide + 70

    def length(ratio: float) -> float:
        return 300 * (ratio - 1) / 0.08

    parts.append(text(start, TOP - 34, "cost beyond that of knowing all orders in advance"))
    for n, (said, ratio) in enumerate(rows):
        at = TOP + 10 + 75 * n
        over = float(ratio)
        parts += [text(start, at, said), bar(start, at + 8, length(over), at + 38, GREY if n == 0 else BLUE)]
        parts.append(text(start + length(over) + 6, at + 27, f"{over - 1:.2%}"))
    return sheet(start + 370, TOP + HIGH + 56, parts)


def autopilot() -> str:
    """Lost margin by scenario, with nobody who responds and with the autopilot, as docs/how-to/scenarios.md has it."""
    page = (ROOT / "docs/how-to/scenarios.md").read_text("utf-8")
    rows = [
        (m[1].replace("_", " "), *(int(n.replace(",", "")) for n in m.group(2, 3)), m[4])
        for m in re.finditer(r"^\| `(\w+)` \|.*\| ([\d,]+), ([\d,]+) \| ([-+]\d+) % \(± [\d,]+\) \|$", page, re.M)
    ]
    left, right, high = 160, 480, 44

    def length(euros: float) -> float:
        return right * euros / 30_000

    parts = [text(left, 24, "lost margin of a run, euros:"), text(left + 170, 24, "nobody responds", GREY)]
    parts.append(text(left + 280, 24, "autopilot", BLUE))
    for n, (name, off, auto, percent) in enumerate(rows):
        at = 40 + high * n
        parts += [
            text(left - 8, at + 20, name, anchor="end"), bar(left, at, length(off), at + 15, GREY),
            bar(left, at + 16, length(auto), at + 31, BLUE), text(left + length(off) + 6, at + 12, f"{off:,}", GREY),
            text(left + length(auto) + 6, at + 28, f"{auto:,} ({percent} %)", BLUE),
        ]  # fmt: skip
    return sheet(left + right + 60, 50 + high * len(rows), parts)


def pictures() -> Mapping[str, str]:
    """File name -> SVG."""
    drawn = {"ledger": ledger, "sourcing": sourcing, "forward-looking": forward_looking, "autopilot": autopilot}
    return {f"{name}.svg": draw() for name, draw in drawn.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=ROOT / "docs/pictures", metavar="FOLDER")
    folder = parser.parse_args().to
    for name, drawn in pictures().items():
        (folder / name).write_text(drawn, "utf-8")


if __name__ == "__main__":
    main()
