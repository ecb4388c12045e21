"""`onhand.forecast`: demand of many series, its mean and its quantiles."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from onhand.demand.learn import Progress, silent
from onhand.demand.panel import Float64
from onhand.demand.run import run
from onhand.errors import InvalidInput
from onhand.library import streams
from onhand.library.panels import Gaps, dates_like, panel_of
from onhand.library.tables import Frame, forecast_columns, same_library

LEVELS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


def forecast(
    history: Frame,
    *,
    horizon: int,
    freq: str,
    known: Frame | None = None,
    past: Frame | None = None,
    static: Frame | None = None,
    quantiles: Sequence[float] = LEVELS,
    gaps: Gaps = "unknown",
    seed: int = 0,
    progress: Progress | None = None,
) -> Any:
    """Forecast each series of `history` for the `horizon` periods after its last date.

    history    unique_id, ds, y: units asked for in a period, below 0 taken as 0
    horizon    periods ahead
    freq       "D", "W" (any weekday; a week is named by its last day) or "MS"
    known      ds, maybe unique_id, and columns known ahead (price, promotion), of past and horizon. Numbers and
               truth values are quantities, texts are kinds; null: not known
    past       the same, known up to the last date of `history` only; what is later is not looked at
    static     unique_id, and columns of what a series is (item, category, node, region)
    quantiles  levels in (0, 1)
    gaps       what it means that a series has no row for a period: "unknown", that nobody looked; "zero", that nothing
               was asked for
    seed       the same seed, the same forecast
    progress   told what is being done, and which share of all is done

    Returns a frame of the same library (Polars or pandas) with unique_id, ds (as in
    `history`), mean and q0.05 ... q0.95 (by level), rows
    by series and date; none is below 0, and quantiles rise with their level. They are not rounded: a quantile of 0.3
    says that nothing will be asked for in most such periods, and calibration rests on the fraction.

    Models are tried on past origins of this history, and the best, or a mixture, is in charge of each kind of demand
    (`demand/choose.py`). With the extra `forecast` boosted trees are among them. Raises InvalidInput.
    """
    levels = _levels(quantiles)
    panel = panel_of(history, horizon=horizon, freq=freq, known=known, past=past, static=static, gaps=gaps)
    made = run(panel, levels, trees=has_trees(), seed=seed, progress=progress).forecast
    dates = dates_like(history["ds"], np.tile(panel.dates[panel.periods :], panel.count))
    return same_library(history, forecast_columns(panel.ids, dates, made))


def forecast_files(
    history: str | Path,
    into: str | Path,
    *,
    horizon: int,
    freq: str,
    known: str | Path | None = None,
    past: str | Path | None = None,
    static: str | Path | None = None,
    quantiles: Sequence[float] = LEVELS,
    gaps: Gaps = "unknown",
    trees: bool | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> pl.LazyFrame:
    """Forecast more series than memory holds: as `forecast`, from Parquet files to Parquet files.

    history, known, past, static  files, or folders of files; quickest with rows sorted by unique_id
    into      a folder for the result and what was learned; one that was begun with the same settings is gone on with
    gaps      what it means that a series has no row for a period: "zero", that nothing was asked for
    trees     whether boosted trees may take part; None: if the extra `forecast` is installed
    progress  told what is being done, and which share of all is done

    Returns the result, not yet read. Raises InvalidInput.
    """
    given = {"history": history, "known": known, "past": past, "static": static}
    say = progress or silent
    job = streams.prepare(
        {name: Path(path) for name, path in given.items() if path is not None}, Path(into), horizon=horizon, freq=freq,
        levels=_levels(quantiles), gaps=gaps, trees=has_trees() if trees is None else trees, seed=seed,
        progress=lambda what, share: say(what, 0.1 * share),
    )  # fmt: skip
    for number in range(len(job.bounds)):
        say("forecasting", 0.1 + 0.9 * number / len(job.bounds))
        job.make(number)
    say("done", 1.0)
    return job.result()


def _levels(quantiles: Sequence[float]) -> Float64:
    levels = np.array(sorted({float(level) for level in quantiles}))
    if not len(levels) or levels[0] <= 0 or levels[-1] >= 1:
        raise InvalidInput.at("quantiles", "expected levels between 0 and 1, such as 0.05")
    return levels


def has_trees() -> bool:
    """Whether the extra `forecast` is installed."""
    return find_spec("lightgbm") is not None
