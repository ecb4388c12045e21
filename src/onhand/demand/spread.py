"""How far demand strays from a mean that was forecast, seen on past origins.

A model that gives a mean only gets its quantiles from what came true when it said about as much: past pairs of mean and
demand, of all series, in classes by the mean. What sells one a week strays otherwise than what sells a hundred a day,
and both are told relative to their mean (pooled empirical errors; Gneiting, Balabdaoui and Raftery 2007 on why a
forecast is to be as sharp as it can be while it stays calibrated).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from onhand.demand.panel import Float64

_CLASSES: Final = 16
_PAIRS_MIN: Final = 200
_LEAST: Final = 1e-3
# Of the standard normal distribution: enough of it for a first guess.
_Z_LEVELS: Final = np.array([0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.995, 0.999])
_Z: Final = np.array([-3.09, -2.576, -1.96, -1.645, -1.282, -0.674, 0, 0.674, 1.282, 1.645, 1.96, 2.576, 3.09])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """places  float64[C], logarithms of means, rising
    ratios  float64[C, Q], demand over mean at each level"""

    levels: Float64
    places: Float64
    ratios: Float64

    def quantiles(self, mean: Float64) -> Float64:
        """float64[..., Q] of means float64[...], rising and at least 0."""
        log = np.log(np.maximum(mean, _LEAST))
        columns: list[Float64] = [np.interp(log, self.places, of) for of in self.ratios.T]
        ratios = np.stack(columns, axis=-1)
        return np.maximum.accumulate(np.maximum(ratios * mean[..., None], 0.0), axis=-1)


def fit(mean: Float64, demand: Float64, levels: Float64) -> Spread:
    """From pairs float64[m] of a mean that was forecast and what came; NaN demand is left out. Without a pair, demand
    is taken to stray from its mean by 1.3 roots of it, a little more than a Poisson distribution's."""
    there = np.isfinite(demand) & np.isfinite(mean)
    mean, demand = np.maximum(mean[there], _LEAST), demand[there]
    if len(mean) == 0:
        means = np.array([0.1, 1.0, 10.0, 100.0])
        z = np.interp(levels, _Z_LEVELS, _Z)
        ratios_of = np.maximum(1 + 1.3 * z[None, :] / np.sqrt(means)[:, None], 0.0)
        return Spread(levels=levels, places=np.log(means), ratios=ratios_of)
    order = np.argsort(mean, kind="stable")
    mean, demand = mean[order], demand[order]
    classes = int(np.clip(len(mean) // _PAIRS_MIN, 1, _CLASSES))
    ends = np.linspace(0, len(mean), classes + 1).astype(int)
    places: list[float] = []
    ratios: list[Float64] = []
    for begin, end in pairwise(ends.tolist()):
        of = demand[begin:end] / mean[begin:end]
        places.append(float(np.log(mean[begin:end]).mean()))
        ratios.append(np.quantile(of, levels))
    return Spread(levels=levels, places=np.array(places), ratios=np.array(ratios))
