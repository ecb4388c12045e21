"""How well price and promotion explain sales of orange juice: see `onhand.planning.elasticity`.

    python benchmarks/elasticity_dominicks.py --data DIR [--split 128] [--json]

DIR holds `dominicks/oj.parquet` or `oj.parquet`: weekly sales of 11 brands in 83 stores (weeks 40 to 160) with price,
deal and feature. Models are fitted on the weeks before the split and scored on those from it on, with the prices of
those weeks, which a planner sets himself, and nothing else of them. Prints for each brand its elasticity with a
standard error and the mean log-likelihood of a week in a store with price and promotion and without; the other splits
show whether that is chance. Exits with 1 if fewer than ten brands gain or have an elasticity below 0.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from onhand.planning.elasticity import Sales, study

BRANDS = 11
OUNCES = 64.0  # `logmove` counts ounces; every pack has 64 of them
FLOOR = 10
SPLITS = (100, 114, 128, 142)


def read(folder: Path) -> Sales:
    """The sales of all brands, one category. Raises FileNotFoundError."""
    files = [at for at in (folder / "dominicks" / "oj.parquet", folder / "oj.parquet") if at.exists()]
    if not files:
        raise FileNotFoundError(f"no dominicks/oj.parquet in {folder}")
    rows = pl.read_parquet(files[0])
    brand = rows["brand"].to_numpy().astype(np.int32) - 1
    prices = rows.select([f"price{n}" for n in range(1, BRANDS + 1)]).to_numpy()
    return Sales(
        item=brand,
        place=rows["store"].to_numpy().astype(np.int32),
        period=rows["week"].to_numpy().astype(np.int32),
        units=np.round(np.exp(rows["logmove"].to_numpy()) / OUNCES),
        price=prices[np.arange(len(brand)), brand] * OUNCES,
        flags=rows.select(["deal", "feat"]).to_numpy().astype(np.float64),
        names=("deal", "feature"),
        category=np.zeros(BRANDS, np.int32),
    )


def run(sales: Sales, split: int) -> dict:
    """What one split says."""
    began = time.perf_counter()
    seen, blind = study(sales, until=split), study(sales, until=split, price_blind=True)
    seconds = time.perf_counter() - began
    later = sales.period >= split
    brands = []
    for item in range(BRANDS):
        elasticity, error = seen.responses.elasticity(item)
        with_price, without = (s.log_likelihood(sales, item, later) for s in (seen, blind))
        brands.append(
            {
                "brand": item + 1,
                "elasticity": elasticity,
                "elasticity_error": error,
                "log_likelihood": with_price,
                "log_likelihood_without_price": without,
                "gain": with_price - without,
            }
        )
    return {
        "split": split,
        "weeks_fitted": len(np.unique(sales.period[~later])),
        "weeks_held_out": len(np.unique(sales.period[later])),
        "better": sum(b["gain"] > 0 for b in brands),
        "negative": sum(b["elasticity"] < 0 for b in brands),
        "better_and_negative": sum(b["gain"] > 0 and b["elasticity"] < 0 for b in brands),
        "gain_mean": float(np.mean([b["gain"] for b in brands])),
        "seconds": seconds,
        "brands": brands,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--split", type=int, default=128, help="first week that is held out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    try:
        sales = read(given.data)
    except FileNotFoundError as error:
        parser.error(str(error))
    weeks = np.unique(sales.period)
    if not weeks[0] + 3 < given.split <= weeks[-1]:
        parser.error(f"--split: expected a week from {weeks[0] + 4} to {weeks[-1]}")
    report = run(sales, given.split)
    others = [run(sales, split) for split in SPLITS if split != given.split]
    report["other_splits"] = [{k: v for k, v in other.items() if k != "brands"} for other in others]
    if given.json:
        print(json.dumps(report))
    else:
        print("brand  elasticity  error   log-likelihood a week   without price   gain")
        for b in report["brands"]:
            print(
                f"{b['brand']:5d}  {b['elasticity']:10.2f}  {b['elasticity_error']:5.2f}  {b['log_likelihood']:21.4f}"
                f"  {b['log_likelihood_without_price']:14.4f}  {b['gain']:+.4f}"
            )
        for each in (report, *report["other_splits"]):
            print(
                f"weeks from {each['split']} on held out: better with price {each['better']}/{BRANDS}, elasticity below"
                f" 0 {each['negative']}/{BRANDS}, mean gain {each['gain_mean']:+.4f}, {each['seconds']:.1f} s"
            )
    return 0 if report["better_and_negative"] >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
