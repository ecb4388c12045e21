"""How far demand strays from a mean that was forecast, seen on past origins.

A model that gives a mean only gets its quantiles from what came true when it said about as much: past pairs of mean and
demand, of all series, in classes by the mean. What sells one a week strays otherwise than what sells a hundred a day,
and both are told relative to their mean (pooled empirical errors; Gneiting, Balabdaoui and Raftery 2007 on why a
forecast is to be as sharp as it can be while it stays calibrated); or to a tenth of what is usual for the series where
that is more: nothing last year does not say that a season cannot begin a week earlier.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from onhand.demand.panel import Float64

_CLASSES: Final = 16
_PAIRS_MIN: Final = 200
_LEAST: Final = 1e-3
_OF_USUAL: Final = 0.1
# Within a class, means lie at most so many times apart, if there are enough of them.
_APART_MAX: Final = 8.0
_SPLIT_MIN: Final = 50
# Of the standard normal distribution: enough of it for a first guess.
_Z_LEVELS: Final = np.array([0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.995, 0.999])
_Z: Final = np.array([-3.09, -2.576, -1.96, -1.645, -1.282, -0.674, 0, 0.674, 1.282, 1.645, 1.96, 2.576, 3.09])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """places   float64[C], logarithms of bases, rising
    ratios   float64[C, Q], demand over base at each level
    nothing  float64[Q], demand where none was forecast for a series at all
    """

    levels: Float64
    places: Float64
    ratios: Float64
    nothing: Float64

    def quantiles(self, mean: Float64) -> Float64:
        """float64[n, h, Q] of means float64[n, h], rising and at least 0."""
        base = base_of(mean)
        log = np.log(base)
        columns: list[Float64] = [np.interp(log, self.places, of) for of in self.ratios.T]
        made = np.stack(columns, axis=-1) * base[..., None]
        made = np.where((base <= _LEAST)[..., None], self.nothing, made)
        return np.maximum.accumulate(np.maximum(made, 0.0), axis=-1)


def base_of(mean: Float64) -> Float64:
    """float64[n, h], above 0: what demand is told relative to, of means float64[n, h] over a horizon."""
    return np.maximum(mean, np.maximum(_OF_USUAL * mean.mean(axis=1, keepdims=True), _LEAST))


def fit(base: Float64, demand: Float64, levels: Float64) -> Spread:
    """From pairs float64[m] of a base that was forecast and what came; NaN demand is left out. Without a pair, demand
    is taken to stray from its mean by 1.3 roots of it, a little more than a Poisson distribution's."""
    there = np.isfinite(demand) & np.isfinite(base)
    base, demand = base[there], demand[there]
    of_nothing = demand[base <= _LEAST]
    nothing = np.quantile(of_nothing, levels) if len(of_nothing) else np.zeros(len(levels))
    base, demand = base[base > _LEAST], demand[base > _LEAST]
    if len(base) == 0:
        means = np.array([0.1, 1.0, 10.0, 100.0])
        z = np.interp(levels, _Z_LEVELS, _Z)
        ratios_of = np.maximum(1 + 1.3 * z[None, :] / np.sqrt(means)[:, None], 0.0)
        return Spread(levels=levels, places=np.log(means), ratios=ratios_of, nothing=nothing)
    order = np.argsort(base, kind="stable")
    base, demand = base[order], demand[order]
    classes = int(np.clip(len(base) // _PAIRS_MIN, 1, _CLASSES))
    ends = np.linspace(0, len(base), classes + 1).astype(int).tolist()
    places: list[float] = []
    ratios: list[Float64] = []
    for begin, end in (part for ends_of in pairwise(ends) for part in _alike(base, *ends_of)):
        places.append(float(np.log(base[begin:end]).mean()))
        ratios.append(np.quantile(demand[begin:end] / base[begin:end], levels))
    return Spread(levels=levels, places=np.array(places), ratios=np.array(ratios), nothing=nothing)


def _alike(base: Float64, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """A class, in parts whose bases lie near each other."""
    low, high = float(base[begin]), float(base[end - 1])
    middle = begin + int(np.searchsorted(base[begin:end], math.sqrt(low * high)))
    if high <= _APART_MAX * low or min(middle - begin, end - middle) < _SPLIT_MIN:
        yield begin, end
        return
    yield from _alike(base, begin, middle)
    yield from _alike(base, middle, end)
