"""Campaigns assessed in made-up networks: how long it takes, and whether the day of the first break is foretold.

    python benchmarks/campaigns.py [--nodes 20] [--items 1000] [--orders 500] [--worlds 12] [--paths 500] [--json]

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

import numpy as np

from onhand.bench.sourcing import AT, asked, network
from onhand.library.network import Network
from onhand.planning.campaigns.assess import Assessor, assess
from onhand.planning.campaigns.model import DAY, Campaign, Demand, Settings, World
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--items", type=int, default=1_000)
    parser.add_argument("--orders", type=int, default=500, help="a day")
    parser.add_argument("--worlds", type=int, default=12)
    parser.add_argument("--paths", type=int, default=500)
    parser.add_argument("--orders-max", type=int, default=4_000_000, help="orders that may be decided in a world")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
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
