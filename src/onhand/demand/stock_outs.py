"""When there was nothing to sell, as shares of days. Pure.

A place is served by nodes; an item is out there while none of them has a unit that may be sold. The hours of a day
count by what is usually wanted in them: a shelf that is empty from midnight to six misses little.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]

_DAY_US: Final = 86_400_000_000
HOURS: Final = 24
_HOUR_US: Final = _DAY_US // HOURS
# Fewer lines than this say little of the hours in which people buy.
_LINES_MIN: Final = 500


def hour_weights(lines: npt.ArrayLike) -> Float64:
    """Weights of the hours of a day, float64[24] that add up to 1, by order lines; alike where those are few."""
    counted = np.asarray(lines, np.float64)
    assert counted.shape == (HOURS,), counted.shape
    if counted.sum() < _LINES_MIN:
        return np.full(HOURS, 1 / HOURS)
    # One line more an hour: none weighs nothing at all.
    return (counted + 1) / (counted + 1).sum()


def closed_shares(
    group: Int64, at: Int64, delta: Int64, *, timezone: str, weights: Float64, until: int
) -> tuple[Int64, Int32, Float64]:
    """(group, day since 1970-01-01, share of the day in which it was out) of days with a share above 0.

    group     what is out together: an item, or an item at a node
    at        moments (Unix microseconds) at which a node of the group began to have a unit to sell (delta 1), ended to
              (-1), or was first heard of without one (0). Before the first of a group nothing is known: it is not out
    timezone  whose days
    weights   float64[24], see `hour_weights`
    until     the first day that is not asked for
    """
    none = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float64)
    if not len(group):
        return none
    order = np.lexsort((at, group))
    group, at, delta = group[order], at[order], delta[order]
    is_first = np.r_[True, group[1:] != group[:-1]]
    running = np.cumsum(delta)
    before = running[is_first] - delta[is_first]
    open_nodes = running - before[np.cumsum(is_first) - 1]
    local = _local(at, timezone)
    end = np.r_[local[1:], 0]
    end[np.r_[is_first[1:], True]] = until * _DAY_US
    end = np.minimum(end, until * _DAY_US)
    is_out = (open_nodes == 0) & (end > local)
    if not is_out.any():
        return none
    return _by_day(group[is_out], local[is_out], end[is_out], weights)


def _by_day(group: Int64, begin: Int64, end: Int64, weights: Float64) -> tuple[Int64, Int32, Float64]:
    first, last = begin // _DAY_US, (end - 1) // _DAY_US
    days = (last - first + 1).astype(np.int64)
    of = np.repeat(np.arange(len(group)), days)
    day = first[of] + np.arange(len(of)) - np.repeat(np.cumsum(days) - days, days)
    begun = _passed(np.maximum(begin[of] - day * _DAY_US, 0), weights)
    ended = _passed(np.minimum(end[of] - day * _DAY_US, _DAY_US), weights)
    summed = (
        pl.DataFrame({"group": group[of], "day": day.astype(np.int32), "share": ended - begun})
        .group_by("group", "day")
        .agg(pl.col("share").sum().clip(0.0, 1.0))
        .filter(pl.col("share") > 1e-9)
        .sort("group", "day")
    )
    return summed["group"].to_numpy(), summed["day"].to_numpy(), summed["share"].to_numpy()


def _passed(of_day: Int64, weights: Float64) -> Float64:
    """The weight of a day that has passed at a moment of it (microseconds)."""
    hour = np.minimum(of_day // _HOUR_US, HOURS - 1)
    before = np.cumsum(weights) - weights
    return before[hour] + weights[hour] * (of_day - hour * _HOUR_US) / _HOUR_US


def _local(at: Int64, timezone: str) -> Int64:
    """Moments as the clocks on the wall showed them, in microseconds since 1970."""
    wall = (
        pl.Series(at)
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone("UTC")
        .dt.convert_time_zone(timezone)
        .dt.replace_time_zone(None)
    )
    return wall.cast(pl.Int64).to_numpy()
