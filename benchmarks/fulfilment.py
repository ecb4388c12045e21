"""Online sourcing on the published multi-item fulfilment instances: cost over what hindsight could have reached.

    python benchmarks/fulfilment.py --data DIR --items 20 --max-size 5 --types 5 --stocking 0.75 \
        --orders 10000 --seeds 10 [--policy myopic|forward] [--misestimate 0.3] [--json]

DIR holds cities*.csv (Latitude, Longitude, Population) and fulfillment_centers*.csv (Latitude, Longitude) with the same
ending; of several such pairs the one with the most cities is read. See benchmarks/README.md for what the figures mean.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from multi_item.adapter import POLICIES, decide
from multi_item.bounds import item_lp, order_exact
from multi_item.instances import Geography, Instance, Recipe, build, cost_of, misestimated, read_geography

# A cost may lie below a bound by no more than what an interior-point method leaves open.
_TOLERANCE = 1e-6


def main(arguments: list[str] | None = None) -> None:
    args = _parser().parse_args(arguments)
    geography = read_geography(args.data)
    recipe = Recipe(
        items=args.items,
        max_size=args.max_size,
        types=args.types,
        stocking=args.stocking,
        orders=args.orders,
        safety=args.safety,
        mix=args.mix,
    )
    if not 1 <= recipe.max_size <= recipe.items:
        raise SystemExit("expected --max-size between 1 and --items")
    _compile(geography)
    rows: list[dict[str, Any]] = []
    seconds = args.lp_seconds
    for seed in range(args.seed, args.seed + args.seeds):
        rows.append(run(build(geography, recipe, seed), args.policy, args.misestimate, seed, seconds))
        if rows[-1]["item_lp"] is None:
            # Nor will the others be solved in time.
            seconds = 0.0
        print(_worded(rows[-1]), file=sys.stderr)
    report = summary(rows, args.orders)
    report["settings"] = {
        name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items() if name != "json"
    } | {"cities": geography.miles.shape[0], "centres": geography.miles.shape[1]}
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        for name, value in report.items():
            if name not in ("seeds", "settings"):
                print(f"{name:24} {value:.4f}" if isinstance(value, float) else f"{name:24} {value}")


def run(instance: Instance, policy: str, misestimate: float, seed: int, lp_seconds: float) -> dict[str, Any]:
    """Costs and bounds of one instance. AssertionError when a cost is not what its picks cost, or below a bound."""
    started = time.perf_counter()
    cost, node = decide(instance, policy, misestimated(instance.weight, misestimate, seed), seed)
    seconds = time.perf_counter() - started
    own, own_node = (cost, node) if policy == "myopic" else decide(instance, "myopic", instance.weight, seed)
    for figured, picks in ((cost, node), (own, own_node)):
        assert np.allclose(figured, cost_of(instance, picks), rtol=1e-9), "a cost differs from that of its picks"
    least = float(min(cost.sum(), own.sum()))
    relaxed = item_lp(instance, lp_seconds) if lp_seconds > 0 else None
    exact = order_exact(instance, relaxed.price if relaxed else np.zeros(instance.stock.shape), least)
    for bound in (relaxed, exact):
        assert bound is None or bound.value <= least * (1 + _TOLERANCE), "a cost is below a bound"
    return {
        "seed": seed,
        "cost": float(cost.sum()),
        "myopic_cost": float(own.sum()),
        "unserved_units": int((node == instance.stock.shape[1]).sum()),
        "item_lp": relaxed.value if relaxed else None,
        "order_exact": exact.value,
        "seconds": seconds,
    }


def summary(rows: list[dict[str, Any]], orders: int) -> dict[str, Any]:
    """Ratios over the item LP, or over the order-exact bound (`bound` says so) if one of them was not solved."""
    bound = "item_lp" if all(r["item_lp"] is not None for r in rows) else "order_exact"
    for r in rows:
        r["ratio"] = r["cost"] / r[bound]
        r["myopic_ratio"] = r["myopic_cost"] / r[bound]
        r["order_exact_ratio"] = r["cost"] / r["order_exact"]
    return {
        "bound": bound,
        "ratio_mean": statistics.fmean(r["ratio"] for r in rows),
        "ratio_max": max(r["ratio"] for r in rows),
        "myopic_ratio_mean": statistics.fmean(r["myopic_ratio"] for r in rows),
        "order_exact_ratio_mean": statistics.fmean(r["order_exact_ratio"] for r in rows),
        "orders_per_s": orders / statistics.median(r["seconds"] for r in rows),
        "seeds": rows,
    }


def _compile(geography: Geography) -> None:
    """Compile before anything is timed."""
    tiny = build(geography, Recipe(items=3, max_size=2, types=1, orders=20), 0)
    for policy in POLICIES:
        decide(tiny, policy, tiny.weight, 0)


def _worded(row: dict[str, Any]) -> str:
    ratios = [f"{row['cost'] / row[name]:.4f} x {name}" for name in ("item_lp", "order_exact") if row[name]]
    return f"seed {row['seed']}: {', '.join(ratios)}; myopic {row['myopic_cost'] / row['cost']:.4f} x that cost"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the coordinates")
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--max-size", type=int, default=5, help="most items in an order")
    parser.add_argument("--types", type=int, default=5, help="order types of each size")
    parser.add_argument("--stocking", type=float, default=0.75, help="probability that a centre stocks an item")
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=10, help="number of instances")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--policy", choices=POLICIES, default="forward")
    parser.add_argument("--misestimate", type=float, default=0.0, help="log-normal error of the forecast's shares")
    parser.add_argument("--safety", type=float, default=0.5, help="stock beyond expected demand, in deviations")
    parser.add_argument("--mix", choices=("random", "equal"), default="random", help="shares of the order types")
    parser.add_argument("--lp-seconds", type=float, default=600.0, help="most time for the item LP of a seed; 0: none")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    main()
