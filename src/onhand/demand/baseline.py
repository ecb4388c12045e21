"""What every forecast is judged by: the mean and quantiles of the same phase of the last cycles, or last year again."""

import numpy as np

from onhand.demand import annual, simple, spread
from onhand.demand.learn import KNOTS, between
from onhand.demand.panel import Float64, Forecast, Panel


def baseline(panel: Panel, levels: Float64, of: spread.Spread | None = None) -> Forecast:
    """Of the panel's horizon: days by the last four same weekdays and empirical quantiles of the last eight, weeks and
    months by the same period of last year.

    of  how far demand strays from last year's, at `learn.KNOTS`; None: as far as is thought of demand anywhere
    """
    if panel.freq == "D":
        return Forecast(levels=levels, mean=simple.phase_mean(panel), quantiles=simple.phase_quantiles(panel, levels))
    none = np.array([])
    mean = annual.same_last_year(panel)
    spread_of = spread.fit(none, none, KNOTS) if of is None else of
    return Forecast(levels=levels, mean=mean, quantiles=between(KNOTS, spread_of.quantiles(mean), levels))
