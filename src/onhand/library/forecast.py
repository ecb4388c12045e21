"""`onhand.forecast`: demand of many series, its mean and its quantiles."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from onhand.demand.run import run
from onhand.errors import InvalidInput
from onhand.library.panels import dates_like, panel_of
from onhand.library.tables import Frame, same_library

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
    seed: int = 0,
) -> Any:
    """Forecast each series of `history` for the `horizon` periods after its last date.

    history    unique_id, ds, y: units asked for in a period, below 0 taken as 0; no row: no observation (write zeros)
    horizon    periods ahead
    freq       "D", "W" (any weekday; a week is named by its last day) or "MS"
    known      ds, maybe unique_id, and columns known ahead (price, promotion), of past and horizon. Numbers and
               truth values are quantities, texts are kinds; null: not known
    past       the same, known up to the last date of `history` only; what is later is not looked at
    static     unique_id, and columns of what a series is (item, category, node, region)
    quantiles  levels in (0, 1)
    seed       the same seed, the same forecast

    Returns a frame of the same library (Polars or pandas) with unique_id, ds (as in
    `history`), mean and q0.05 ... q0.95 (by level), rows
    by series and date; none is below 0, and quantiles rise with their level. They are not rounded: a quantile of 0.3
    says that nothing will be asked for in most such periods, and calibration rests on the fraction.

    Models are tried on past origins of this history, and the best, or a mixture, is in charge of each kind of demand
    (`demand/choose.py`). With the extra `forecast` boosted trees are among them. Raises InvalidInput.
    """
    levels = np.array(sorted({float(level) for level in quantiles}))
    if not len(levels) or levels[0] <= 0 or levels[-1] >= 1:
        raise InvalidInput.at("quantiles", "expected levels between 0 and 1, such as 0.05")
    panel = panel_of(history, horizon=horizon, freq=freq, known=known, past=past, static=static)
    made = run(panel, levels, trees=has_trees(), seed=seed).forecast
    ahead = panel.dates[panel.periods :]
    columns: dict[str, Any] = {
        "unique_id": np.repeat(np.array(panel.ids, dtype=object), horizon).tolist(),
        "ds": dates_like(history["ds"], np.tile(ahead, panel.count)),
        "mean": made.mean.ravel(),
    }
    columns |= {f"q{level:g}": made.quantiles[:, :, place].ravel() for place, level in enumerate(levels)}
    return same_library(history, columns)


def has_trees() -> bool:
    """Whether the extra `forecast` is installed."""
    return find_spec("lightgbm") is not None
