"""Assign one day's orders of an outbound network to plants, ports and carriers' rates; see `onhand.bench.brunel`.

    python benchmarks/brunel.py --data DIR [--json] [--time-limit 55] [--seed 0]

DIR holds OrderList, FreightRates, PlantPorts, ProductsPerPlant, VmiCustomers, WhCapacities and WhCosts as Parquet.
Prints violations (must be 0), served_share, feasible_share (proved by a maximum flow), cost, bound (proved: no plan
that serves as many is cheaper), gap and seconds. Exits with 1 if a rule is broken or more orders could be served.
"""

import argparse
import json
import sys
from pathlib import Path

from onhand.bench import brunel


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--time-limit", type=float, default=55.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        day = brunel.read(given.data)
    except ValueError as error:
        parser.error(str(error))
    report, choices = brunel.solve(day, time_limit_s=given.time_limit, seed=given.seed)
    for broken in brunel.violations(day, choices)[:20]:
        print(broken, file=sys.stderr)
    if given.json:
        print(json.dumps(report._asdict()))
    else:
        print("\n".join(f"{name:15} {value:.10g}" for name, value in report._asdict().items()))
    return 0 if report.violations == 0 and report.served_share == report.feasible_share else 1


if __name__ == "__main__":
    sys.exit(main())
