"""Computed gates against the best fixed buffer; see `onhand.bench.gates` and the table in `benchmarks/README.md`.

    python benchmarks/gates.py [--items 2000] [--seeds 3] [--periods 16] [--picture FILE.svg] [--json]
                               [--hear 1.0] [--overwrites] [--one-channel 0.5] [--plain]

Four channels with lags of 2 s, 60 s, 15 min and 2 h sell the same stock for a week whose demand jumps tenfold without
notice. Prints what is lost avoidably and what is oversold, and exits with 1 if a floor is missed. Takes 10 to 30 min.
"""

import argparse
import json
import sys
from pathlib import Path

from onhand.bench import gates_report
from onhand.bench.gates import Setting

ALL_S, ONE_S = 2.0, 0.001


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument(
        "--search-items", type=int, default=1000, help="of each shop that fixed buffers are searched on"
    )
    parser.add_argument("--seeds", type=int, default=3, help="test shops")
    parser.add_argument("--periods", type=int, default=16, help="periods that prices of risk are learned in")
    parser.add_argument(
        "--hear", type=float, default=1.0, help="lag of orders to us, as a multiple of lags to channels"
    )
    parser.add_argument("--overwrites", action="store_true", help="writes overwrite sales that they did not know of")
    parser.add_argument("--one-channel", type=float, default=0.0, help="share of bursts that only one channel has")
    parser.add_argument("--plain", action="store_true", help="gates are not told when supply is due")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write both curves as SVG")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    setting = Setting(hear=given.hear, overwrites=given.overwrites, one_channel=given.one_channel, plain=given.plain)

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    report = gates_report.experiment(
        setting,
        items=given.items,
        search_items=given.search_items,
        seeds=given.seeds,
        periods=given.periods,
        progress=progress,
    )
    all_s, one_s = gates_report.seconds_to_decide()
    if given.picture:
        given.picture.write_text(gates_report.picture(report), encoding="utf-8")
    if given.json:
        print(json.dumps({**report.document(), "decide_100k_s": all_s, "decide_one_s": one_s}))
    else:
        print(gates_report.table(report), end="")
        print(f"100,000 listings from cold {all_s:.2f} s, at most {ALL_S:g} s")
        print(f"a changed item {1e3 * one_s:.3f} ms, at most {1e3 * ONE_S:g} ms")
    return 0 if report.ok and all_s <= ALL_S and one_s <= ONE_S else 1


if __name__ == "__main__":
    sys.exit(main())
