"""Campaigns assessed in made-up networks: how long it takes, and whether the day of the first break is foretold.

    python benchmarks/campaigns.py [--nodes 20] [--items 1000] [--orders 500] [--worlds 12] [--paths 500] [--json]
                                   [--picture FILE.svg]

Each world has orders of one to five lines all over four countries, and one thing that is scarce: items of the campaign,
room at nodes, or parcels that carriers take; how scarce is drawn, so that it gives way before the campaign, in it, or
not at all. Then five futures that the assessment has not seen are drawn and decided in each: `hits` is the share of
those in which something breaks within a day of the foretold one, `misses` those in which something breaks that was
thought safe (or the other way round), all of futures in which anything breaks or was foretold. Exits with 1 below 80 %.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from onhand.bench.sourcing import AT, asked, network
from onhand.library.network import Network
from onhand.planning.campaigns.assess import Assessor, assess
from onhand.planning.campaigns.model import DAY, Assessment, Campaign, Demand, Settings, World
from onhand.planning.campaigns.outlook import LEVELS, usual_outlook
from onhand.simulation.history import History
from onhand.simulation.rules import PlainRules
from onhand.sourcing.policy import STANDARD
from onhand.sourcing.solve import Asked, Stock, decide_asked

POOL, POOL_DAYS, HORIZON = 3_000, 28, 30
FIRST, LAST = 10, 16
FUTURES = 5
FLOOR = 0.8
SCARCE = ("items", "nodes", "carriers")


def world(nodes: int, items: int, orders: int, seed: int) -> tuple[World, Demand, Campaign]:
    """A network in which one thing is scarce."""
    draw = np.random.default_rng([seed, 3])
    known = network(nodes, seed, items)
    pool = asked(known, POOL, seed)
    day = np.sort(draw.integers(0, POOL_DAYS, POOL)).astype(np.int32)
    stand_for = orders * POOL_DAYS / POOL
    # Every fifth item is of the category, and the first ten of these are promoted.
    rows = np.arange(1, items + 1, 5, dtype=np.int32)[:60]
    promoted = 10
    units = np.zeros((len(rows), 56))
    rate = np.bincount(pool.item, pool.units, items + 1)[rows] * stand_for / POOL_DAYS
    units[:] = draw.negative_binomial(5, 5 / (5 + np.maximum(rate, 0.5)), (56, len(rows))).T
    mean, quantiles = usual_outlook(units, HORIZON)
    demand = Demand(item=rows, levels=LEVELS, quantiles=quantiles, mean=mean, background=np.ones(HORIZON))
    plan = Campaign(
        row=np.arange(promoted, dtype=np.int32),
        first=FIRST,
        last=LAST,
        mu=np.full(promoted, np.log(4.0)),
        sigma=np.full(promoted, 0.15),
        taken=np.full(len(rows), 0.95),
        dip=np.full(promoted, 0.85),
    )
    compiled = known.compiled
    available = np.where(known.available > 0, 100_000, 0).astype(np.int32)
    what = SCARCE[seed % len(SCARCE)]
    if what == "items":
        # Enough until some day of the campaign, or beyond.
        until = draw.uniform(FIRST + 1, LAST + 4)
        for row in range(promoted):
            wanted = mean[row, 0] * until + 3 * mean[row, 0] * max(0.0, until - FIRST)
            held = np.flatnonzero(available[rows[row]] > 0)
            available[rows[row]] = 0
            available[rows[row], held] = max(1, round(wanted / len(held)))
    # How many orders a day come to each node when there is room: the busiest one gets too little.
    count = loads(known, pool) * orders / POOL
    busiest = int(count.argmax())
    if what == "nodes":
        limits = compiled.limits.copy()
        limits[busiest, 0] = max(3, round(count[busiest] * draw.uniform(1.02, 1.3)))
        left = np.repeat(limits[:, np.newaxis], compiled.left.shape[1], axis=1)
        compiled = replace(compiled, limits=limits, left=left)
    elif what == "carriers":
        # What the three services take together at a node is what all of its parcels need, and a little more.
        each = max(2, round(count[busiest] * draw.uniform(1.02, 1.3) / len(compiled.services)))
        parcels = np.full(len(compiled.services), each, np.int32)
        shape = len(compiled.node_codes), len(parcels), compiled.left.shape[1]
        compiled = replace(compiled, service_parcels=parcels, parcels=np.full(shape, each, np.int32))
    begins = AT.timestamp()
    last = int(begins // DAY) - 1
    history = History(
        begins=begins,
        orders=pool,
        placed=np.full(POOL, begins),
        may_wait=np.ones(POOL, np.bool_),
        may_split=np.ones(POOL, np.bool_),
        wishes=np.full(POOL, -1, np.int32),
        network=compiled,
        goods=known.catalogue.goods,
        available=available,
        safety=np.zeros_like(known.safety),
        rejection=np.zeros(len(compiled.node_codes)),
    )
    return (
        World(
            history=history,
            second=draw.uniform(6, 20, POOL) * 3600,
            day=(last - POOL_DAYS + 1 + day).astype(np.int32),
            days=POOL_DAYS,
            last=last,
            rules=lambda h: PlainRules(STANDARD, h),
            late_days=STANDARD.objectives[STANDARD.default].target_days,
            stand_for=stand_for,
        ),
        demand,
        plan,
    )


def loads(known: Network, pool: Asked) -> np.ndarray:
    """float64[nodes]: how many orders of the pool come to each, where all have stock and room."""
    available = np.where(known.available > 0, 100_000, 0).astype(np.int32)
    stock = Stock(available, np.zeros_like(available), np.zeros_like(available))
    free = known.compiled.without_limits()
    made = decide_asked(pool, stock, free, STANDARD, known.catalogue.goods, now=AT.timestamp(), consume=False)
    return np.bincount(made.node[: made.fulfilment_first[-1]], minlength=len(free.node_codes)).astype(np.float64)


def one(given: argparse.Namespace, seed: int) -> dict:
    """Assess a campaign of one world, and look at futures of it."""
    place, demand, plan = world(given.nodes, given.items, given.orders, seed)
    settings = Settings(paths=given.paths, orders_max=given.orders_max, seed=seed)
    began = time.perf_counter()
    found, _ = assess(place, demand, plan, settings)
    seconds = time.perf_counter() - began
    future = Assessor(place, demand, plan, Settings(paths=FUTURES, orders_max=10**9, seed=10_000 + seed))
    future.without()
    hits = misses = looked = 0
    first = found.plan.first
    foretold = first is not None and first.probability >= 0.5
    late = []
    for path in range(FUTURES):
        served = future.served(path, 1.0)
        late.append(future.late_share(served))
        days = served.broken[1]
        if not len(days) and not foretold:
            continue
        looked += 1
        if not len(days) or not foretold:
            misses += 1
        elif abs(int(days.min()) - first.day) <= 1:
            hits += 1
    return {
        "seed": seed, "scarce": SCARCE[seed % len(SCARCE)], "seconds": seconds, "decided": found.decided,
        "late_share": found.plan.late_share, "risk": found.plan.risk, "late_share_futures": float(np.mean(late)),
        "scale": found.scale, "evaluations": found.evaluations, "day": first.day if foretold else None,
        "first": f"{found.plan.breaks[0].kind}" if foretold else None, "looked": looked, "hits": hits, "misses": misses,
    }  # fmt: skip


WIDE, HIGH, LEFT, TOP = 660, 240, 60, 60


def picture(found: Assessment) -> str:
    """Fill rate by day as SVG: with the campaign (what 95 % of the futures reach as a dashed line) and without, and
    when something breaks."""
    days = len(found.plan.fill)

    def x(day: float) -> float:
        return LEFT + WIDE * day / (days - 1)

    def y(share: float) -> float:
        return TOP + HIGH * (1.0 - share)

    def line(values: np.ndarray, colour: str, dashes: str = "") -> str:
        points = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in enumerate(values.tolist()) if not np.isnan(v))
        style = f' stroke-dasharray="{dashes}"' if dashes else ""
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{style}/>'

    def band(first: float, last: float, colour: str) -> str:
        return f'<rect x="{x(first):.1f}" y="{TOP}" width="{x(last) - x(first):.1f}" height="{HIGH}" fill="{colour}"/>'

    size = f"{LEFT + WIDE + 40} {TOP + HIGH + 50}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" font-size="12">',
        f'<rect width="{LEFT + WIDE + 40}" height="{TOP + HIGH + 50}" fill="#ffffff"/>',
        band(found.campaign.first - 0.5, found.campaign.last + 0.5, "#e3f2fd"),
    ]
    if found.plan.first is not None:
        first = found.plan.first
        parts.append(band(first.day_low - 0.3, first.day_high + 0.3, "#ffcdd2"))
        parts.append(
            f'<text x="{x(0.5):.1f}" y="{TOP + HIGH - 10}" fill="#c62828">'
            f"red: the days on which the first {found.plan.breaks[0].kind} gives way</text>"
        )
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = f"{y(share):.1f}"
        parts.append(f'<line x1="{LEFT}" y1="{at}" x2="{LEFT + WIDE}" y2="{at}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    parts += [
        *(
            f'<text x="{x(day):.1f}" y="{TOP + HIGH + 16}" text-anchor="middle">{day}</text>'
            for day in range(0, days, 5)
        ),
        line(found.without.fill, "#757575"),
        line(found.plan.fill, "#1565c0"),
        line(found.plan.fill_low, "#1565c0", "5 4"),
        f'<text x="{LEFT + WIDE / 2:.0f}" y="{TOP + HIGH + 38}" text-anchor="middle">days from now</text>',
        f'<text x="{LEFT}" y="{TOP - 34}">promoted units that a shelf had on the day they were asked for</text>',
        f'<text x="{LEFT}" y="{TOP - 14}" fill="#1565c0">with the campaign; dashed: what 95 % of futures reach</text>',
        f'<text x="{LEFT + 330}" y="{TOP - 14}" fill="#757575">without it</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--orders", type=int, default=500, help="a day")
    parser.add_argument("--worlds", type=int, default=12)
    parser.add_argument("--paths", type=int, default=500)
    parser.add_argument("--orders-max", type=int, default=4_000_000, help="orders that may be decided in a world")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write the fill rate of the first world, and end")
    given = parser.parse_args()
    if given.picture:
        place, demand, plan = world(given.nodes, given.items, given.orders, 0)
        found, _ = assess(place, demand, plan, Settings(paths=given.paths, orders_max=given.orders_max))
        given.picture.write_text(picture(found), encoding="utf-8")
        return 0
    rows = []
    for seed in range(given.worlds):
        rows.append(one(given, seed))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    looked = sum(r["looked"] for r in rows)
    report = {
        "hits": sum(r["hits"] for r in rows) / max(looked, 1),
        "misses": sum(r["misses"] for r in rows) / max(looked, 1),
        "futures": looked,
        "kind_right": float(np.mean([f"{r['first']}s" == r["scarce"] for r in rows if r["first"]])),
        "seconds": float(np.median([r["seconds"] for r in rows])),
        "decided": float(np.median([r["decided"] for r in rows])),
    }
    if given.json:
        print(json.dumps(report | {"worlds": rows}))
    else:
        print("\n".join(f"{name:12} {value:.4g}" for name, value in report.items()))
    return 0 if report["hits"] >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
