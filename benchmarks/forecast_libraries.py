"""Forecast the series of `forecast_m5.py` with the models of other libraries, at the same origins, by the same metrics.

    python benchmarks/forecast_libraries.py --data DIR --origins 3 --json

It needs `pip install statsforecast mlforecast lightgbm`, which the package does not. Models of statsforecast see the
last two years of each series since its first sale, and no signal; mlforecast's LightGBM sees all of them, and price,
SNAP days and events. A model that gives a mean only (all of them are judged so) gets quantiles as our simple models do:
from what came true at the origin 28 days earlier, in classes by the mean; `_own` are AutoETS's own intervals.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
from forecast_m5 import HORIZON, INTERVALS, LEVELS, load, pinball, rmsse
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean
from statsforecast import StatsForecast
from statsforecast import models as of

from onhand.demand import simple, spread
from onhand.demand.panel import Panel
from onhand.library.panels import panel_of

_SEEN = 728


def statistical(panel: Panel) -> dict[str, tuple[np.ndarray, float, np.ndarray | None]]:
    """Of each model: float64[n, H], seconds, and quantiles if it has any."""
    y = panel.y[:, -_SEEN:]
    series, place = np.nonzero(np.isfinite(y))
    frame = pd.DataFrame(
        {
            "unique_id": np.array(panel.ids)[series],
            "ds": panel.dates[: panel.periods][-_SEEN:][place].astype("datetime64[ns]"),
            "y": y[series, place],
        }
    )
    week = 7
    found: dict[str, tuple[np.ndarray, float, np.ndarray | None]] = {}
    for name, model in {
        "SeasonalWindowAverage": of.SeasonalWindowAverage(season_length=week, window_size=4),
        "SESOptimized": of.SimpleExponentialSmoothingOptimized(),
        "CrostonSBA": of.CrostonSBA(),
        "TSB": of.TSB(alpha_d=0.1, alpha_p=0.1),
        "IMAPA": of.IMAPA(),
        "ADIDA": of.ADIDA(),
        "DynamicOptimizedTheta": of.DynamicOptimizedTheta(season_length=week),
        "AutoETS": of.AutoETS(season_length=week),
    }.items():
        began = time.perf_counter()
        wide = {"level": [50, 67, 95, 99]} if name == "AutoETS" else {}
        made = (
            StatsForecast(models=[model], freq="D", n_jobs=1, fallback_model=of.SeasonalNaive(season_length=week))
            .forecast(df=frame, h=HORIZON, **wide)
            .sort_values(["unique_id", "ds"])
        )
        seconds = time.perf_counter() - began
        column = next(c for c in made.columns if c not in ("unique_id", "ds") and "-lo-" not in c and "-hi-" not in c)
        mean = _filled(panel, made, column)
        own = None
        if wide:
            names = [f"-lo-{w}" for w in (99, 95, 67, 50)] + [""] + [f"-hi-{w}" for w in (50, 67, 95, 99)]
            own = np.sort(np.stack([_filled(panel, made, column + end) for end in names], axis=2), axis=2)
        found[name] = mean, seconds, own
    return found


def _filled(panel: Panel, made: Any, column: str) -> np.ndarray:
    out = np.zeros((panel.count, HORIZON))
    place = {name: number for number, name in enumerate(panel.ids)}
    ids = made["unique_id"].to_numpy()[::HORIZON]
    out[[place[name] for name in ids]] = made[column].to_numpy().reshape(-1, HORIZON)
    return np.maximum(np.nan_to_num(out), 0.0)


def boosted(rows: pl.DataFrame, last: object, panel: Panel) -> tuple[np.ndarray, float]:
    """mlforecast's recursive LightGBM with lags, rolling means, the calendar and what is known ahead."""
    kinds = ["item_id", "dept_id", "store_id"]
    signals = ["sell_price", "snap", "event"]
    seen = rows.with_columns(
        pl.col("event_name_1").fill_null("").rank("dense").cast(pl.Float64).alias("event"),
        pl.col("sell_price").fill_null(strategy="backward").over("unique_id"),
        pl.col("snap").cast(pl.Float64),
        *[pl.col(name).rank("dense").cast(pl.Int64) for name in kinds],
    ).sort("unique_id", "ds")
    sold = pl.col("y").cum_sum().over("unique_id") > 0
    past = seen.filter((pl.col("ds") <= last) & sold)
    ahead = seen.filter((pl.col("ds") > last) & (pl.col("ds") <= last + pl.duration(days=HORIZON)))
    columns = ["unique_id", "ds", "y", *signals, *kinds]
    began = time.perf_counter()
    model = lightgbm.LGBMRegressor(
        objective="tweedie", tweedie_variance_power=1.15, n_estimators=400, learning_rate=0.05, num_leaves=63,
        min_child_samples=80, subsample=0.7, subsample_freq=1, colsample_bytree=0.6, verbosity=-1, n_jobs=1,
    )  # fmt: skip
    fitted = MLForecast(
        models={"lgbm": model}, freq="D", lags=[1, 7, 14, 28],
        lag_transforms={
            1: [RollingMean(7), RollingMean(28), RollingMean(91), ExpandingMean()],
            7: [RollingMean(7), RollingMean(28)],
        },
        date_features=["dayofweek", "day", "month", "dayofyear"],
    )  # fmt: skip
    frame = past.select(columns).to_pandas()
    fitted.fit(frame, static_features=kinds)
    made = fitted.predict(HORIZON, X_df=ahead.select("unique_id", "ds", *signals).to_pandas())
    seconds = time.perf_counter() - began
    return _filled(panel, made.sort_values(["unique_id", "ds"]), "lgbm"), seconds


def at(rows: pl.DataFrame, last: object) -> tuple[Panel, dict[str, tuple[np.ndarray, float, np.ndarray | None]]]:
    past = rows.filter(pl.col("ds") <= last)
    panel = panel_of(past.select("unique_id", "ds", "y"), horizon=HORIZON, freq="D")
    found = statistical(panel)
    found["mlforecast"] = (*boosted(rows, last, panel), None)
    found["baseline"] = simple.phase_mean(panel), 0.0, None
    return panel, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--origins", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = load(options.data)
    end = rows["ds"].max()
    levels = np.array(LEVELS)
    before: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    for back in range(options.origins + 1, 0, -1):
        last = pl.Series([end]).dt.offset_by(f"-{HORIZON * back}d")[0]
        panel, made = at(rows, last)
        came = _came(rows, last, panel)
        weight = _weight(rows, last)
        usual = simple.phase_quantiles(panel, levels)
        for name, (mean, seconds, own) in made.items():
            if name in before:
                fitted = spread.fit(before[name][0].ravel(), before[name][1].ravel(), levels)
                for called, quantiles in ((name, fitted.quantiles(mean)), (f"{name}_own", own)):
                    if quantiles is not None:
                        found.setdefault(called, []).append(
                            _judged(panel, mean, quantiles, usual, came, weight) | {"seconds": seconds}
                        )
            before[name] = mean, came
        if not options.json:
            print(last, {name: made[-1] for name, made in found.items()}, flush=True)
    means = {name: {key: float(np.mean([one[key] for one in each])) for key in each[0]} for name, each in found.items()}
    print(json.dumps(means) if options.json else json.dumps(means, indent=2))


def _came(rows: pl.DataFrame, last: object, panel: Panel) -> np.ndarray:
    ahead = rows.filter((pl.col("ds") > last) & (pl.col("ds") <= last + pl.duration(days=HORIZON)))
    return ahead.sort("unique_id", "ds")["y"].to_numpy().reshape(panel.count, HORIZON)


def _weight(rows: pl.DataFrame, last: object) -> np.ndarray:
    recent = rows.filter((pl.col("ds") <= last) & (pl.col("ds") > last - pl.duration(days=HORIZON)))
    revenue = (
        recent.group_by("unique_id")
        .agg((pl.col("y") * pl.col("sell_price").fill_null(0)).sum().alias("revenue"))
        .sort("unique_id")["revenue"]
        .to_numpy()
    )
    return revenue / revenue.sum()


def _judged(
    panel: Panel, mean: np.ndarray, quantiles: np.ndarray, usual: np.ndarray, came: np.ndarray, weight: np.ndarray
) -> dict[str, float]:
    within = {
        f"coverage_{name}": float(((came >= quantiles[:, :, low]) & (came <= quantiles[:, :, high])).mean())
        for name, (low, high) in INTERVALS.items()
    }
    return {
        "rmsse_ratio": rmsse(mean, came, panel.y, weight) / rmsse(simple.phase_mean(panel), came, panel.y, weight),
        "pinball_ratio": pinball(quantiles, came, panel.y, weight) / pinball(usual, came, panel.y, weight),
        "bias": float(mean.sum() / came.sum()),
        **within,
    }


if __name__ == "__main__":
    main()
