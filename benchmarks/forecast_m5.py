"""Forecast daily unit sales of the M5 competition at several origins, against what is simple.

    python benchmarks/forecast_m5.py --data DIR --origins 3 --json

DIR has `sales*.parquet`, a row for each series and day: item_id, dept_id, cat_id, store_id, state_id, date, sales,
sell_price, snap, event_name_1, event_name_2. The last 28 x origins days there are what is to be forecast, 28 days at a
time, each time from what was known the day before. Price, SNAP days and events are known ahead.

rmsse_weighted           root mean squared scaled error, weighted by the revenue of the last 28 days (the M5 guide)
rmsse_weighted_baseline  the same of the mean of the last four same weekdays
pinball_scaled           scaled pinball loss at the nine levels of M5, weighted alike
pinball_scaled_baseline  the same of empirical quantiles of the last eight weeks, by weekday
coverage                 share of days within the central 50, 67 and 95 % intervals
bias                     units forecast over units sold
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import polars as pl

import onhand
from onhand.demand import simple
from onhand.demand.panel import scales
from onhand.library.panels import panel_of

HORIZON = 28
LEVELS = (0.005, 0.025, 0.165, 0.25, 0.5, 0.75, 0.835, 0.975, 0.995)
INTERVALS = {"50": (3, 5), "67": (2, 6), "95": (1, 7)}


def load(folder: Path) -> pl.DataFrame:
    """Rows by series and date, with the columns that `onhand.forecast` names."""
    files = sorted(folder.glob("sales*.parquet"))
    if not files:
        raise SystemExit(f"{folder} has no sales*.parquet")
    rows = pl.concat([pl.read_parquet(file).with_columns(pl.col(pl.Categorical).cast(pl.String)) for file in files])
    return rows.with_columns(
        pl.concat_str("item_id", "store_id", separator="_").alias("unique_id"),
        pl.col("date").cast(pl.Date).alias("ds"),
        pl.col("sales").cast(pl.Float64).alias("y"),
    ).sort("unique_id", "ds")


def forecast_at(rows: pl.DataFrame, last: object, seed: int = 0) -> dict[str, object]:
    """Metrics of the 28 days after `last`."""
    past = rows.filter(pl.col("ds") <= last)
    ahead = rows.filter(pl.col("ds") > last).filter(pl.col("ds") <= last + pl.duration(days=HORIZON))
    known = pl.concat([past, ahead]).select("unique_id", "ds", "sell_price", "snap", "event_name_1", "event_name_2")
    static = rows.select("unique_id", "item_id", "dept_id", "cat_id", "store_id", "state_id").unique("unique_id")
    history = past.select("unique_id", "ds", "y")
    began = time.perf_counter()
    made = onhand.forecast(
        history, horizon=HORIZON, freq="D", known=known, static=static, quantiles=LEVELS, seed=seed
    ).sort("unique_id", "ds")
    seconds = time.perf_counter() - began
    panel = panel_of(history, horizon=HORIZON, freq="D")
    count = panel.count
    came = ahead.sort("unique_id", "ds")["y"].to_numpy().reshape(count, HORIZON)
    weight = (
        past.filter(pl.col("ds") > last - pl.duration(days=HORIZON))
        .group_by("unique_id", maintain_order=True)
        .agg((pl.col("y") * pl.col("sell_price").fill_null(0)).sum().alias("revenue"))
        .sort("unique_id")["revenue"]
        .to_numpy()
    )
    weight = weight / weight.sum()
    mean = made["mean"].to_numpy().reshape(count, HORIZON)
    quantiles = np.stack([made[f"q{level:g}"].to_numpy().reshape(count, HORIZON) for level in LEVELS], axis=2)
    usual, usual_quantiles = simple.phase_mean(panel), simple.phase_quantiles(panel, np.array(LEVELS))
    return {
        "origin": str(last),
        "rmsse_weighted": rmsse(mean, came, panel.y, weight),
        "rmsse_weighted_baseline": rmsse(usual, came, panel.y, weight),
        "pinball_scaled": pinball(quantiles, came, panel.y, weight),
        "pinball_scaled_baseline": pinball(usual_quantiles, came, panel.y, weight),
        "coverage": {
            name: float(((came >= quantiles[:, :, low]) & (came <= quantiles[:, :, high])).mean())
            for name, (low, high) in INTERVALS.items()
        },
        "bias": float(mean.sum() / came.sum()),
        "seconds": seconds,
    }


def rmsse(mean: np.ndarray, came: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    steps = np.nanmean(np.diff(y, axis=1) ** 2, axis=1)
    return float((weight * np.sqrt(((came - mean) ** 2).mean(axis=1) / steps)).sum())


def pinball(quantiles: np.ndarray, came: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    levels = np.array(LEVELS)
    error = came[:, :, None] - quantiles
    loss = np.maximum(levels * error, (levels - 1) * error).mean(axis=(1, 2))
    return float((weight * loss / scales(y)).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--origins", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = load(options.data)
    end = rows["ds"].max()
    found: list[dict[str, object]] = []
    for back in range(options.origins, 0, -1):
        last = pl.Series([end]).dt.offset_by(f"-{HORIZON * back}d")[0]
        found.append(forecast_at(rows, last, options.seed))
        if not options.json:
            print(found[-1], flush=True)
    names = [name for name in found[0] if name not in ("origin", "coverage")]
    of = {name: float(np.mean([row[name] for row in found])) for name in names}  # type: ignore[misc]
    of["coverage"] = {  # type: ignore[assignment]
        name: float(np.mean([row["coverage"][name] for row in found]))
        for name in INTERVALS  # type: ignore[index]
    }
    of["rmsse_ratio"] = of["rmsse_weighted"] / of["rmsse_weighted_baseline"]
    of["pinball_ratio"] = of["pinball_scaled"] / of["pinball_scaled_baseline"]
    if options.json:
        print(json.dumps({**of, "origins": found}))
        return
    print(json.dumps(of, indent=2))


if __name__ == "__main__":
    main()
