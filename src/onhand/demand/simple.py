"""Forecasts that need no training: what all others have to beat, and what takes over when they do not.

Each takes y float64[n, T] (NaN: no observation), and gives float64[n, H], at least 0. A series without any observation
gets 0.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from onhand.demand.panel import Float64, Panel

Int = NDArray[np.int64]

_LEVEL_WEIGHTS: Final = (0.02, 0.05, 0.1, 0.2)
_PHASE_WEIGHTS: Final = (0.01, 0.03, 0.1)


def same_phase(y: Float64, horizon: int, cycle: int, cycles: int) -> Float64:
    """float64[n, H, cycles]: for each period ahead the last observations of the same phase, the latest first; NaN:
    before all observations."""
    count, periods = y.shape
    ahead = np.arange(horizon)
    latest = periods - cycle + ahead % cycle
    places = latest[:, None] - cycle * np.arange(cycles)
    found = np.full((count, horizon, cycles), np.nan)
    there = places >= 0
    found[:, there] = y[:, places[there]]
    return found


def _mean(values: Float64, axis: int) -> Float64:
    there = np.isfinite(values)
    return np.where(there, values, 0.0).sum(axis=axis) / np.maximum(there.sum(axis=axis), 1)


def seasonal_naive(panel: Panel) -> Float64:
    """What was asked for in the last cycle."""
    return phase_mean(panel, cycles=1)


def phase_mean(panel: Panel, cycles: int = 4) -> Float64:
    """The mean of the last `cycles` periods of the same phase (four same weekdays); of all, where none of them was
    seen."""
    values = same_phase(panel.y, panel.horizon, panel.cycle, cycles)
    return np.where(np.isfinite(values).any(axis=2), _mean(values, 2), _mean(panel.y, 1)[:, None])


def phase_median(panel: Panel, cycles: int = 8) -> Float64:
    """The median of the last `cycles` periods of the same phase."""
    return phase_quantiles(panel, np.array([0.5]), cycles)[:, :, 0]


def phase_quantiles(panel: Panel, levels: Float64, cycles: int = 8) -> Float64:
    """float64[n, H, Q]: empirical quantiles of the last `cycles` periods of the same phase."""
    values = same_phase(panel.y, panel.horizon, panel.cycle, cycles)
    values = np.sort(values, axis=2)  # what was not observed comes last
    number = np.isfinite(values).sum(axis=2)
    values[number == 0] = 0.0
    place = np.maximum(number - 1, 0)[..., None] * levels
    low = place.astype(np.int64)
    high = np.minimum(low + 1, np.maximum(number - 1, 0)[..., None])
    below, above = np.take_along_axis(values, low, 2), np.take_along_axis(values, high, 2)
    return below + (place - low) * (above - below)


def ses(panel: Panel) -> Float64:
    """Simple exponential smoothing; of five weights, for each series, the one that would have been best one period
    ahead (Brown 1959)."""
    return _flat(smoothed(panel.y), panel.horizon)


def smoothed(y: Float64, weights: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.5)) -> Float64:
    """float64[n]: the level of each series by simple exponential smoothing."""
    best, least = np.zeros(len(y)), np.full(len(y), np.inf)
    start = np.nan_to_num(_mean(y[:, : max(1, min(28, y.shape[1]))], 1))
    for weight in weights:
        level, loss = start.copy(), np.zeros(len(y))
        for value in y.T:
            there = np.isfinite(value)
            error = np.where(there, value - level, 0.0)
            loss += error * error
            level += weight * error
        wins = loss < least
        best[wins], least[wins] = level[wins], loss[wins]
    return np.maximum(best, 0.0)


def ets(panel: Panel) -> Float64:
    """Exponential smoothing of a level and of what each phase of the cycle adds to it, ETS(A, N, A) (Hyndman, Koehler,
    Ord and Snyder 2008); of twelve pairs of weights, for each series, the one that would have been best one period
    ahead. Two years are looked at."""
    y, cycle = panel.y[:, -2 * panel.year :], panel.cycle
    count, periods = y.shape
    start = _mean(y[:, : 8 * cycle], 1)
    usual = np.stack([_mean(y[:, phase : 8 * cycle : cycle], 1) for phase in range(cycle)], axis=1) - start[:, None]
    best, least = np.zeros((count, panel.horizon)), np.full(count, np.inf)
    ahead = (periods + np.arange(panel.horizon)) % cycle
    for weight, share in product(_LEVEL_WEIGHTS, _PHASE_WEIGHTS):
        level, phases, loss = start.copy(), usual.copy(), np.zeros(count)
        for period, value in enumerate(y.T):
            phase = period % cycle
            error = np.where(np.isfinite(value), value - level - phases[:, phase], 0.0)
            loss += error * error
            level += weight * error
            phases[:, phase] += share * error
        wins = loss < least
        best[wins], least[wins] = (level[:, None] + phases[:, ahead])[wins], loss[wins]
    return np.maximum(best, 0.0)


def croston_sba(panel: Panel, weight: float = 0.1) -> Float64:
    """For demand with many zeros: size over interval, smoothed at each sale, less the bias of a ratio (Syntetos and
    Boylan 2005): `(1 - weight / 2) z / p`."""
    size, interval, _ = _intermittent(panel.y, weight, weight)
    return _flat((1 - weight / 2) * size / np.maximum(interval, 1.0), panel.horizon)


def tsb(panel: Panel, weight: float = 0.1, fade: float = 0.05) -> Float64:
    """For demand that may be dying out: the probability of a sale fades in every period (Teunter, Syntetos and Babai
    2011)."""
    size, _, chance = _intermittent(panel.y, weight, fade)
    return _flat(chance * size, panel.horizon)


def _intermittent(y: Float64, weight: float, fade: float) -> tuple[Float64, Float64, Float64]:
    """Size of a sale, periods between sales, chance of a sale: each float64[n], smoothed."""
    count = len(y)
    positive = np.where(np.nan_to_num(y) > 0, y, np.nan)
    size = _mean(positive, 1)
    seen = np.maximum(np.isfinite(y).sum(axis=1), 1)
    chance: Float64 = np.isfinite(positive).sum(axis=1) / seen
    interval: Float64 = 1 / np.maximum(chance, 1 / seen)
    since: Float64 = np.ones(count)
    for value in y.T:
        there = np.isfinite(value)
        sale = there & (np.nan_to_num(value) > 0)
        size = np.where(sale, size + weight * (np.nan_to_num(value) - size), size)
        interval = np.where(sale, interval + weight * (since - interval), interval)
        chance = np.where(there, chance + fade * (sale - chance), chance)
        since = np.where(sale, 1.0, since + there)
    return size, interval, chance


def imapa(panel: Panel, widths: tuple[int, ...] = (1, 2, 4, 7, 14, 28)) -> Float64:
    """The mean of smoothed levels of the series summed over several widths (Petropoulos and Kourentzes 2015)."""
    y = np.nan_to_num(panel.y)
    levels: list[Float64] = []
    for width in widths:
        blocks = y.shape[1] // width
        if blocks < 2:
            continue
        summed = y[:, y.shape[1] - blocks * width :].reshape(len(y), blocks, width).sum(axis=2)
        levels.append(smoothed(summed, (0.1, 0.2)) / width)
    level = np.mean(levels, axis=0) if levels else _mean(y, 1)
    return _flat(level, panel.horizon)


def _flat(level: Float64, horizon: int) -> Float64:
    return np.repeat(np.maximum(level, 0.0)[:, None], horizon, axis=1)


POINT: Final[Mapping[str, Callable[[Panel], Float64]]] = {
    "seasonal_naive": seasonal_naive, "phase_mean": phase_mean, "phase_median": phase_median, "ses": ses,
    "ets": ets, "croston_sba": croston_sba, "tsb": tsb, "imapa": imapa,
}  # fmt: skip
