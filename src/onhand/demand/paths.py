"""Demand as it may come: whole paths, drawn from the quantiles of a forecast.

A forecast says of each day how much may be asked for. Days are not independent of one another: who sells more than
was thought on Monday will on Tuesday. So the days of a path share a Gaussian that decays with their distance (a
copula: Sklar 1959; AR(1) is its simplest form), and each day's own distribution stays as it was forecast.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def sample_paths(
    levels: ArrayLike, quantiles: ArrayLike, *, paths: int, correlation: float = 0.5, seed: int = 0
) -> Int64:
    """Draw paths of demand in whole units.

    levels       float64[Q], rising, in (0, 1)
    quantiles    float64[n, H, Q], of each series and day; what falls along the levels is put right
    correlation  of one day's Gaussian with the next one's, in [0, 1)
    seed         the same seed draws the same paths: also of a forecast that differs, so that two can be compared

    Returns int64[paths, n, H], each at least 0. A quantity between two whole numbers is rounded up as often as its
    fraction says, so that the mean stays. Beyond the outermost levels, the distance to the level beside goes on.
    Raises ValueError for shapes that do not belong together.
    """
    level, value = np.asarray(levels, float), np.asarray(quantiles, float)
    if level.ndim != 1 or value.ndim != 3 or value.shape[2] != len(level) or len(level) < 2:
        raise ValueError("expected quantiles [series, day, level] with two levels or more")
    if np.any(np.diff(level) <= 0) or level[0] <= 0 or level[-1] >= 1:
        raise ValueError("expected levels that rise, in (0, 1)")
    if not np.isfinite(value).all():
        raise ValueError("expected finite quantiles")
    if not 0 <= correlation < 1 or paths < 1:
        raise ValueError("expected correlation in [0, 1) and a path or more")
    value = np.maximum.accumulate(np.maximum(value, 0.0), axis=2)
    count, days = value.shape[:2]
    random = np.random.default_rng(seed)
    drawn = np.empty((paths, count, days), np.int64)
    shock = random.standard_normal((paths, count))
    fresh = np.sqrt(1 - correlation**2)
    for day in range(days):
        if day:
            shock = correlation * shock + fresh * random.standard_normal((paths, count))
        wanted = quantile_of(level, value[:, day], normal_cdf(shock))
        drawn[:, :, day] = np.floor(wanted + random.random((paths, count)))
    return drawn


def quantile_of(levels: Float64, quantiles: Float64, shares: Float64) -> Float64:
    """The quantities at `shares` of some distributions, straight between their quantiles.

    levels     float64[Q], rising
    quantiles  float64[n, Q], rising
    shares     float64[..., n] in (0, 1)
    """
    place = np.clip(np.searchsorted(levels, shares) - 1, 0, len(levels) - 2)
    rows = np.arange(len(quantiles))
    low, high = quantiles[rows, place], quantiles[rows, place + 1]
    along = (shares - levels[place]) / (levels[place + 1] - levels[place])
    # Beyond the last level a tail of the same slope again is all that may be known; it never falls below zero.
    return np.maximum(low + np.clip(along, -1.0, 2.0) * (high - low), 0.0)


def normal_cdf(x: Float64) -> Float64:
    """Of the standard normal distribution, within 1e-7 (Abramowitz and Stegun 1964, 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    upper = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) * series
    return np.asarray(np.where(x >= 0, 1.0 - upper, upper), float)
