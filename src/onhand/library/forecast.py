"""`onhand.forecast`: demand of many series, its mean and its quantiles."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from onhand.demand import cold_start
from onhand.demand.learn import Progress, has_trees, silent
from onhand.demand.panel import Float64, Forecast, Panel
from onhand.demand.reconcile import METHODS, Hierarchy, Method, hierarchy_of, past_errors, reconcile, summed
from onhand.errors import InvalidInput
from onhand.library import streams
from onhand.library.engines import Engine, forecast_on
from onhand.library.panels import Gaps, dates_like, panel_of, seen_in, texts_of
from onhand.library.tables import Frame, forecast_columns, same_library

LEVELS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_TOTAL: Final = "total"


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
    whole: bool = False,
    hierarchy: Sequence[str | Sequence[str]] = (),
    reconciliation: Method = "bottom_up",
    engine: Engine = "local",
    seed: int = 0,
    progress: Progress | None = None,
) -> Any:
    """Forecast each series of `history`, and new ones, for the `horizon` periods after its last date.

    history    unique_id, ds, y: units asked for in a period, below 0 taken as 0
    horizon    periods ahead
    freq       "D", "W" (any weekday; a week is named by its last day) or "MS"
    known      ds, maybe unique_id, and columns known ahead (price, promotion), of past and horizon. Numbers and
               truth values are quantities, texts are kinds; null: not known. A series with rows ahead and no history
               is new
    past       the same, known up to the last date of `history` only; what is later is not looked at
    static     unique_id, and columns of what a series is (item, category, node, region). A series without history is
               new: it is forecast from its siblings, series that have columns in common with it
    quantiles  levels in (0, 1)
    gaps       what it means that a series has no row for a period: "unknown", that nobody looked; "zero", that nothing
               was asked for
    whole      round quantiles to whole units; means are not rounded
    hierarchy  columns of `static`, each alone or several together, by which to sum series up, "total" for all: sums are
               further rows, named by what they have in common ("FOODS/CA"), and told by the column `level`
               ("category/region"; of series "unique_id")
    reconciliation  how sums and series come to add up: "bottom_up" leaves series as they are; "wls_var", "wls_struct"
               and "mint_shrink" let sums correct their series (`demand/reconcile.py`)
    engine     "local", or where chunks of series are spread to: "ray", "spark" (extras). The numbers are the same
    seed       the same seed, the same forecast
    progress   told what is being done, and which share of all is done

    Returns a frame of the same library (Polars or pandas) with unique_id, ds (as in
    `history`), mean and q0.05 ... q0.95 (by level), rows
    by series and date; none is below 0, and quantiles rise with their level. Unless `whole` is asked for they are not
    rounded: a quantile of 0.3 says that nothing will be asked for in most such periods, and calibration rests on the
    fraction.

    Models are tried on past origins of this history, and the best, or a mixture, is in charge of each kind of demand
    (`demand/choose.py`). With the extra `forecast` boosted trees are among them. Raises InvalidInput.
    """
    levels = _levels(quantiles)
    if reconciliation not in METHODS:
        raise InvalidInput.at("reconciliation", f"{reconciliation!r} is not known: {', '.join(METHODS)}")
    panel = panel_of(
        history, horizon=horizon, freq=freq, known=known, past=past, static=static, gaps=gaps, with_new=True
    )
    tree = _hierarchy(panel, static, hierarchy) if hierarchy else None

    def made_of(of: Panel) -> Forecast:
        return forecast_on(engine, of, levels, trees=has_trees(), seed=seed, progress=progress).forecast

    seen = seen_in(panel, history)
    made = made_of(panel) if seen.all() else _widened(made_of(panel.rows(seen)), seen)
    made = cold_start.filled(panel, made, ~seen)
    names, of = panel.ids, ["unique_id"] * panel.count
    if tree is not None:
        sums = summed(panel, tree)
        errors = (past_errors(panel), past_errors(sums)) if reconciliation in ("wls_var", "mint_shrink") else None
        series, above = reconcile(made, made_of(sums), tree, reconciliation, errors=errors)
        made = Forecast(
            levels=levels,
            mean=np.concatenate([series.mean, above.mean]),
            quantiles=np.concatenate([series.quantiles, above.quantiles]),
        )
        names, of = [*names, *tree.names], [*of, *(tree.levels[place] for place in tree.level)]
    if whole:
        made = replace(made, quantiles=np.rint(made.quantiles))
    dates = dates_like(history["ds"], np.tile(panel.dates[panel.periods :], len(names)))
    columns = forecast_columns(names, dates, made)
    if tree is not None:
        columns["level"] = np.repeat(np.array(of, dtype=object), horizon).tolist()
    return same_library(history, columns)


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


def _widened(made: Forecast, seen: NDArray[np.bool_]) -> Forecast:
    """With rows of zeros for series that were not forecast."""
    mean, quantiles = (np.zeros((len(seen), *of.shape[1:])) for of in (made.mean, made.quantiles))
    mean[seen], quantiles[seen] = made.mean, made.quantiles
    return Forecast(levels=made.levels, mean=mean, quantiles=quantiles)


def _hierarchy(panel: Panel, static: Frame | None, levels: Sequence[str | Sequence[str]]) -> Hierarchy:
    there = set(static.columns) if static is not None else set[str]()
    kinds: dict[str, list[str]] = {}
    for level in levels:
        columns = [level] if isinstance(level, str) else [*level]
        if columns == [_TOTAL] and _TOTAL not in there:
            kinds[_TOTAL] = [_TOTAL] * panel.count
            continue
        if static is None or not columns or not there.issuperset(columns):
            missing = next((name for name in columns if name not in there), "")
            raise InvalidInput.at("hierarchy", f'expected columns of `static`, or "total"; {missing!r} is none')
        parts = [texts_of(static, column, panel.ids) for column in columns]
        kinds["/".join(columns)] = ["/".join(texts) for texts in zip(*parts, strict=True)]
    tree = hierarchy_of(kinds)
    if twice := [name for name, times in Counter([*panel.ids, *tree.names]).items() if times > 1]:
        raise InvalidInput.at(
            "hierarchy", f"{min(twice)!r} names two of the series and sums: give the texts of `static` a prefix"
        )
    return tree
