"""Orders with declined payments, cancellations, returns and lost answers: do goods and money agree, to the cent?

    python benchmarks/payments.py --orders 100000 [--seed 1] [--json]

The pure core of payments and the ledger of a fake provider, in one process; what the database adds the tests prove.
Exits with 1 unless captures - refunds = shipped - returned, of every single order and by the provider's own ledger.
"""

import argparse
import json
import sys
import time
from random import Random

from onhand.bench.payments import Clock, live, some_life
from onhand.twin.fakes.stripe import Account


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.orders, given.seed)
    if given.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<28}{value:>20,}" if not isinstance(value, bool) else f"{name:<28}{value!s:>20}")
    sys.exit(0 if found["to_the_cent"] else 1)


def measure(orders: int, seed: int) -> dict[str, int | float | bool]:
    """What became of so many orders; money in minor units."""
    sums = dict.fromkeys(("shipped", "returned", "captured", "refunded", "authorised", "released", "differing"), 0)
    counts = dict.fromkeys(("operations", "failures", "repeats", "never_paid", "with_returns", "with_cancels"), 0)
    theirs = dict.fromkeys(("authorise", "capture", "release", "refund"), 0)
    began = time.perf_counter()
    for number in range(orders):
        rng, clock = Random(f"{seed}-{number}"), Clock()
        account = Account(now=clock)
        life = some_life(account, clock, rng, number)
        live(life, rng)
        p = life.payment
        sums["shipped"] += p.invoiced
        sums["returned"] += p.credited
        sums["captured"] += p.captured
        sums["refunded"] += p.refunded
        sums["authorised"] += p.authorised
        sums["released"] += p.voided
        sums["differing"] += life.worth != p.kept
        counts["operations"] += p.operations
        counts["failures"] += life.failures
        counts["repeats"] += account.repeats
        counts["never_paid"] += not p.authorised
        counts["with_returns"] += bool(life.sold.returns)
        counts["with_cancels"] += any(line.cancelled for line in life.sold.lines)
        for kind, amount in account.totals().items():
            theirs[kind] += amount
    seconds = time.perf_counter() - began
    ledgers_agree = (theirs["capture"], theirs["refund"]) == (sums["captured"], sums["refunded"])
    return {
        "orders": orders, **sums, **counts,
        "provider_captured": theirs["capture"], "provider_refunded": theirs["refund"],
        "captures_less_refunds": sums["captured"] - sums["refunded"],
        "shipped_less_returned": sums["shipped"] - sums["returned"],
        "to_the_cent": not sums["differing"] and ledgers_agree
        and sums["captured"] - sums["refunded"] == sums["shipped"] - sums["returned"],
        "orders_per_s": round(orders / seconds),
    }  # fmt: skip


if __name__ == "__main__":
    main()
