"""Forecast weekly sales of 45 stores and their departments 39 weeks ahead, against the same week of last year.

    python benchmarks/forecast_walmart.py --data DIR --origin 2011-04-29 --json

DIR has train.parquet (Store, Dept, Date, Weekly_Sales, IsHoliday), and maybe features.parquet and stores.parquet, as
the competition of 2014 had them. Only weeks until the origin are learned from; the 39 weeks after it are the truth, as
far as they are there. Without --origin it is the last one after which 39 weeks are known. IsHoliday is known ahead;
temperature, fuel price, CPI, unemployment and markdowns are known until the origin only.

wmae                  weighted mean absolute error, weeks with a holiday count five times
wmae_baseline         the same of the same week last year
wmae_without_signals  the same without any signal: neither the columns above, nor the built-in calendar of holidays
"""

import argparse
import json
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

import onhand
from onhand.demand.annual import same_last_year
from onhand.demand.run import run
from onhand.library.panels import panel_of

HORIZON = 39
HOLIDAY_WEIGHT = 5.0
PAST = (
    "Temperature",
    "Fuel_Price",
    "CPI",
    "Unemployment",
    "MarkDown1",
    "MarkDown2",
    "MarkDown3",
    "MarkDown4",
    "MarkDown5",
)


def load(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame | None, pl.DataFrame | None]:
    rows = pl.read_parquet(folder / "train.parquet").with_columns(pl.col("Date").cast(pl.Date).alias("ds"))
    rows = rows.with_columns(pl.format("{}-{}", "Store", "Dept").alias("unique_id"), pl.col("Weekly_Sales").alias("y"))
    more = [
        pl.read_parquet(path) if (path := folder / f"{name}.parquet").exists() else None
        for name in ("features", "stores")
    ]
    return rows.sort("unique_id", "ds"), more[0], more[1]


def measure(folder: Path, origin: date | None, seed: int = 0) -> dict[str, object]:
    rows, features, stores = load(folder)
    weeks = rows["ds"].unique().sort()
    if origin is None:
        origin = weeks[-1] - timedelta(weeks=HORIZON)
    past, ahead = rows.filter(pl.col("ds") <= origin), rows.filter(pl.col("ds") > origin)
    until = origin + timedelta(weeks=HORIZON)
    ahead = ahead.filter(pl.col("ds") <= until)
    history = past.select("unique_id", "ds", "y")
    holidays = rows if features is None else features.with_columns(pl.col("Date").cast(pl.Date).alias("ds"))
    known = (
        holidays.filter(pl.col("ds") <= until).group_by("ds").agg(pl.col("IsHoliday").max().cast(pl.Int64)).sort("ds")
    )
    names = rows.select("unique_id", "Store", "Dept").unique()
    static = names if stores is None else names.join(stores, on="Store", how="left")
    behind = None
    if features is not None:
        there = [name for name in PAST if name in features.columns]
        behind = (
            names.join(features.with_columns(pl.col("Date").cast(pl.Date).alias("ds")), on="Store")
            .filter(pl.col("ds") <= origin)
            .select("unique_id", "ds", *(pl.col(name).cast(pl.Float64, strict=False) for name in there))
        )
    began = time.perf_counter()
    made = onhand.forecast(history, horizon=HORIZON, freq="W-FRI", known=known, past=behind, static=static, seed=seed)
    seconds = time.perf_counter() - began
    bare = panel_of(history, horizon=HORIZON, freq="W-FRI", static=static)
    without = run(bare, np.array([0.25, 0.5, 0.75]), holidays=False, seed=seed).forecast.mean
    weight = (
        ahead.select("ds", "IsHoliday")
        .unique()
        .with_columns(pl.when("IsHoliday").then(HOLIDAY_WEIGHT).otherwise(1.0).alias("weight"))
        .select("ds", "weight")
    )
    frame = (
        pl.DataFrame(
            {
                "unique_id": np.repeat(np.array(bare.ids, dtype=object), HORIZON).tolist(),
                "ds": np.tile(bare.dates[bare.periods :], bare.count),
                "without": without.ravel(),
                "baseline": same_last_year(bare).ravel(),
            }
        )
        .join(made.select("unique_id", "ds", "mean"), on=["unique_id", "ds"])
        .with_columns(pl.col("ds").cast(pl.Date))
    )
    of = ahead.join(frame, on=["unique_id", "ds"], how="left").join(weight, on="ds").fill_null(0.0)

    def wmae(name: str) -> float:
        error = (of["y"] - of[name]).abs() * of["weight"]
        return float(error.sum() / of["weight"].sum())

    return {
        "origin": str(origin), "weeks": of["ds"].n_unique(), "wmae": wmae("mean"), "wmae_baseline": wmae("baseline"),
        "wmae_without_signals": wmae("without"), "ratio": wmae("mean") / wmae("baseline"),
        "ratio_of_signals": wmae("mean") / wmae("without"), "seconds": seconds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--origin", type=date.fromisoformat, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.data, options.origin, options.seed)
    print(json.dumps(found, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
