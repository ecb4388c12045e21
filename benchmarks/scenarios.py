"""Six scenarios lived through twice with the same chance, autopilot `auto` against `off`.

    python benchmarks/scenarios.py [--seeds 10] [--first 1] [--scenario NAME|FILE ...] [--all] [--bound]
                                   [--processes 2] [--json]

For each scenario late orders, cancelled orders and lost margin of both, and the paired difference with its 95 %
interval; with --bound also what autopilot would come to if it were told the truth of each moment, and of no later one.
--all: the small scenarios as well, of which the averages know nothing. Exits with 1 if a floor is missed: 30 % less of
each on average over the scenarios that have any, and worse in none.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from onhand.twin.scenarios.compare import MEASURES, Measure, Pair, averages, live_twice, measured
from onhand.twin.scenarios.document import NAMES, SHIPPED, Scenario, parse, shipped

FLOOR, AIM = -0.30, -0.50


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--scenario", action="append", help="name or file; may be repeated; default: the six")
    parser.add_argument("--all", action="store_true", help="all that come with the package")
    parser.add_argument("--bound", action="store_true", help="a third arm that is told the truth")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    scenarios = [_scenario(name) for name in args.scenario or (SHIPPED if args.all else NAMES)]
    seeds = range(args.first, args.first + args.seeds)
    began = time.monotonic()
    with ProcessPoolExecutor(args.processes, get_context("spawn")) as pool:
        runs = {s.name: [pool.submit(live_twice, s, seed, is_bounded=args.bound) for seed in seeds] for s in scenarios}
        rows: list[Measure] = []
        for name, some in runs.items():
            pairs = [run.result() for run in some]
            rows += measured(name, pairs)
            if not args.json:
                _print(rows[-len(MEASURES) :], pairs)
    means = averages(r for r in rows if args.scenario or r.scenario in NAMES)
    worse = [f"{r.scenario} {r.name}" for r in rows if r.is_worse]
    seconds = time.monotonic() - began
    if args.json:
        print(
            json.dumps({"measures": [asdict(r) for r in rows], "averages": means, "worse": worse, "seconds": seconds})
        )
    else:
        print(f"\n{'on average':<20}" + "".join(f"{name} {share:+.0%}   " for name, share in means.items()))
        print(f"worse in: {', '.join(worse) or 'none'}; {seconds:.0f} s; floor {FLOOR:+.0%}, aim {AIM:+.0%}")
    return int(bool(worse) or any(share > FLOOR for share in means.values()))


def _scenario(name: str) -> Scenario:
    if name in SHIPPED:
        return shipped(name)
    scenario, found = parse(Path(name).read_text("utf-8"))
    for finding in found:
        print(f"{name}:{finding}", file=sys.stderr)
    if scenario is None:
        raise SystemExit(2)
    return scenario


def _print(rows: list[Measure], pairs: list[Pair]) -> None:
    print(
        f"\n{rows[0].scenario} ({len(pairs)} seeds, {sum(p.off['accepted'] for p in pairs) / len(pairs):,.0f} orders)"
    )
    for r in rows:
        scale = 100 if r.name == "lost_margin" else 1
        share = "nothing to gain" if r.share is None else f"{r.share:+.0%}"
        share += "" if r.bound is None else f" (told the truth {r.bound:+.0%})"
        print(
            f"  {r.name:<12} off {r.off / scale:>9,.0f}  auto {r.auto / scale:>9,.0f}  difference"
            f" {r.difference / scale:>+9,.0f} ± {r.half_width / scale:<7,.0f} {share}{'  WORSE' if r.is_worse else ''}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
