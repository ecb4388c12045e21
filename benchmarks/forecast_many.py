"""Forecast very many series, and see how long it takes and how much memory.

    python benchmarks/forecast_many.py [--dense 10000] [--sparse 1000000] [--folder DIR] [--json]

dense   daily series over two years of Poisson demand with a week's and a year's shape, promotions that are known ahead,
        and kinds; in memory, by `onhand.forecast`, with all its models
sparse  daily series over two years, of which most sell once in some weeks; from files to files, by
        `onhand.forecast_files`, with the models that need no training

Each in a process of its own. The horizon is 28 days, with five quantiles.

seconds  of the forecast, without making the demand
peak_gb  the most memory that the process held
"""

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

import onhand

DAYS, HORIZON = 730, 28
FIRST = np.datetime64("2024-01-01")
_BLOCK = 20_000


def dense(count: int, _folder: Path) -> dict[str, float]:
    random = np.random.default_rng(1)
    total = DAYS + HORIZON
    day = np.arange(total)
    week = np.array([0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.0])[day % 7]
    year = 1 + 0.3 * np.sin(2 * np.pi * (day / 365.25 + random.random((count, 1))))
    promoted = (random.random((count, total)) < 0.05).astype(float)
    rate = np.exp(random.normal(0.5, 1.2, (count, 1))) * week * year * (1 + promoted)
    ids = [f"s{k:07d}" for k in range(count)]
    history = _frame(ids, DAYS, y=random.poisson(rate[:, :DAYS]).astype(float))
    known = _frame(ids, total, promoted=promoted)
    static = pl.DataFrame(
        {
            "unique_id": ids,
            "category": [f"c{k % 20}" for k in range(count)],
            "node": [f"n{k % 7}" for k in range(count)],
        }
    )
    del rate, promoted, year
    began = time.perf_counter()
    made = onhand.forecast(history, horizon=HORIZON, freq="D", known=known, static=static, progress=_say)
    seconds = time.perf_counter() - began
    assert made.height == count * HORIZON
    return {"series": count, "seconds": seconds, "peak_gb": _peak()}


def sparse(count: int, folder: Path) -> dict[str, float]:
    history = folder / "history"
    history.mkdir()
    for begin in range(0, count, _BLOCK):
        _write_sparse(begin, min(begin + _BLOCK, count), history / f"{begin:09d}.parquet")
    began = time.perf_counter()
    made = onhand.forecast_files(
        history, folder / "made", horizon=HORIZON, freq="D", gaps="zero", trees=False, progress=_say
    )
    seconds = time.perf_counter() - began
    assert made.select(pl.len()).collect().item() == count * HORIZON
    return {"series": count, "seconds": seconds, "peak_gb": _peak()}


def _write_sparse(begin: int, end: int, path: Path) -> None:
    """Rows of sales only, sorted by series."""
    random = np.random.default_rng(begin)
    chance = random.beta(0.6, 12.0, (end - begin, 1)) + 0.002
    y = random.geometric(0.6, (end - begin, DAYS)) * (random.random((end - begin, DAYS)) < chance)
    y[:, -1] = np.maximum(y[:, -1], random.random(end - begin) < 0.02)
    y[random.integers(0, 2, end - begin) == 0, : DAYS // 3] = 0  # not for sale yet
    y[:, DAYS - 40] = np.maximum(y[:, DAYS - 40], 1)
    series, day = np.nonzero(y)
    ids = np.array([f"s{k:09d}" for k in range(begin, end)])
    pl.DataFrame({"unique_id": ids[series], "ds": FIRST + day, "y": y[series, day].astype(float)}).write_parquet(path)


def _frame(ids: list[str], days: int, **columns: np.ndarray) -> pl.DataFrame:
    series = pl.Series(ids).gather(np.repeat(np.arange(len(ids)), days))
    dates = np.tile(FIRST + np.arange(days), len(ids))
    return pl.DataFrame({"unique_id": series, "ds": dates, **{name: of.ravel() for name, of in columns.items()}})


def _say(what: str, share: float) -> None:
    print(f"\r{what} {share:4.0%}   ", end="", flush=True)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dense", type=int, default=10_000, help="0: leave out")
    parser.add_argument("--sparse", type=int, default=1_000_000, help="0: leave out")
    parser.add_argument("--folder", type=Path, help="where files are put (and left); by default, away again")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="onhand-forecast-"))
    found = {}
    try:
        for name, run, count in (("dense", dense, options.dense), ("sparse", sparse, options.sparse)):
            if count:
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found[name] = pool.apply(run, (count, folder))
                print(f"\r{name}: " + (", ".join(f"{key} {value:,.2f}" for key, value in found[name].items())))
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
