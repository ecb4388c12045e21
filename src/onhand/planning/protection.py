"""Demand over the time that stock must last: from today until what is ordered at the next chance is there.

An order placed today arrives after a lead time that is not known exactly, and the next one may be placed a review
period later: so today's must cover both. Lead time and demand are drawn jointly, path by path; z σ sqrt(L) is right for
neither intermittent demand nor lead times that scatter (Eppen and Martin 1988).
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onhand.demand.paths import normal_cdf
from onhand.planning.kernels import interval_totals

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

DAYS_MAX = 730
UNITS_MAX = 2**31 - 1
# Rows that share their draws: enough that no two nodes of an item do, few enough to stay in the cache.
_TABLES = 61
_TABLE_CELLS = 40_000_000
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A forecast: float64[Q] rising levels in (0, 1), and float[n, H, Q] quantiles of each row's demand by day."""

    levels: Float64
    quantiles: npt.NDArray[np.floating]

    def __post_init__(self) -> None:
        if self.quantiles.ndim != 3 or self.levels.shape != (self.quantiles.shape[2],) or len(self.levels) < 2:
            raise ValueError("expected quantiles [row, day, level] with two levels or more")
        if (np.diff(self.levels) <= 0).any() or self.levels[0] <= 0 or self.levels[-1] >= 1:
            raise ValueError("expected levels that rise, in (0, 1)")
        if not self.quantiles.shape[1]:
            raise ValueError("expected a forecast of a day or more")
        if not np.isfinite(self.quantiles).all():
            raise ValueError("expected finite quantiles: leave out what has no forecast")
        if self.quantiles.size and self.quantiles.max() > UNITS_MAX / DAYS_MAX:
            raise ValueError(f"expected less than {UNITS_MAX // DAYS_MAX:,} units a day: count in cases")


def drawn_totals(
    expected: Expected, first_days: npt.ArrayLike, more_days: npt.ArrayLike, *,
    paths: int = 1000, correlation: float = 0.5, seed: int = 0,
) -> tuple[Int32, Int32]:  # fmt: skip
    """Demand of the first days, and of the days after them, in whole units: (int32[n, paths], int32[n, paths]).

    first_days   int[n, K]: equally likely numbers of days, K = 1 where it is certain; a lead time, for example
    more_days    int[n]: days that follow
    correlation  of one day's Gaussian with the next one's (see demand/paths.py: the same copula; here only its sums are
                 kept, and rows share draws so that a row costs next to nothing)

    Days beyond the forecast are like those of its last week. Of the paths half mirror the others. Raises ValueError.
    """
    rows = len(expected.quantiles)
    first = np.asarray(first_days)
    more = np.broadcast_to(np.asarray(more_days), rows)
    if first.ndim == 1:
        first = first[:, None]
    if first.shape[0] != rows or not first.shape[1]:
        raise ValueError(f"expected lead times [{rows}, K]")
    for name, days in (("lead time", first), ("review time", more)):
        if not np.isfinite(days).all() or (days < 0).any() or (days != np.floor(days)).any():
            raise ValueError(f"expected whole days of {name}, at least 0")
    if paths < 2 or paths % 2:
        raise ValueError("expected an even number of paths, two or more")
    if not 0 <= correlation < 1:
        raise ValueError("expected correlation in [0, 1)")
    longest = int(first.max(axis=1, initial=0).astype(np.int64).max(initial=0) + more.max(initial=0)) if rows else 0
    if longest > DAYS_MAX:
        raise ValueError(f"expected at most {DAYS_MAX} days of lead and review time, got {longest}")
    draws = _draws(expected.levels, longest, paths, correlation, seed)
    before, after = np.empty((rows, paths), np.int32), np.empty((rows, paths), np.int32)
    lead, then = np.sort(first, axis=1).astype(np.int32), more.astype(np.int32)

    def part(start: int, end: int) -> None:
        quantiles = np.ascontiguousarray(expected.quantiles[start:end], np.float32)
        interval_totals(quantiles, lead[start:end], then[start:end], *draws, start, before[start:end], after[start:end])

    in_parts(rows, part)
    return before, after


def lasting_demand(
    expected: Expected, lead_days: npt.ArrayLike, review_days: npt.ArrayLike, *,
    paths: int = 1000, correlation: float = 0.5, seed: int = 0,
) -> Int32:  # fmt: skip
    """int32[n, paths]: demand over lead and review time, see `drawn_totals`; each row sorted."""
    before, after = drawn_totals(expected, lead_days, review_days, paths=paths, correlation=correlation, seed=seed)
    before += after
    before.sort(axis=1)
    return before


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores())


def in_parts(rows: int, part: Callable[[int, int], None]) -> None:
    """Call `part(start, end)` for runs of rows, on all cores: for compiled code that lets go of the interpreter."""
    starts = range(0, rows, _ROWS_AT_ONCE)
    if len(starts) == 1:
        part(0, rows)
        return
    with thread_pool() as pool:
        for done in [pool.submit(part, start, min(start + _ROWS_AT_ONCE, rows)) for start in starts]:
            done.result()


def _draws(
    levels: Float64, days: int, paths: int, correlation: float, seed: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32], npt.NDArray[np.float32], Int32]:
    """(place among the levels, how far on to the next, the fraction that rounds up, rank of the lead time) of each
    table, path and day."""
    tables = max(3, min(_TABLES, _TABLE_CELLS // (paths * max(days, 1))))
    random = np.random.default_rng(seed)
    half = random.standard_normal((tables, paths // 2, days), np.float32)
    for day in range(1, days):
        half[:, :, day] = correlation * half[:, :, day - 1] + np.sqrt(1 - correlation**2) * half[:, :, day]
    shares = normal_cdf(np.concatenate([half, -half], axis=1).astype(np.float64))
    place = np.clip(np.searchsorted(levels, shares) - 1, 0, len(levels) - 2)
    along = np.clip((shares - levels[place]) / (levels[place + 1] - levels[place]), -1.0, 2.0)
    fraction = random.random((tables, paths, days), np.float32)
    rank = random.permuted(np.broadcast_to(np.arange(paths, dtype=np.int32), (tables, paths)), axis=1)
    return place.astype(np.int8), along.astype(np.float32), fraction, rank
