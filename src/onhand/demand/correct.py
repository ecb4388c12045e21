"""From what was ordered and sold to what was wanted: corrections that can be seen and left out. Pure.

Lines of orders first: what customers cancelled is taken off, and a line far beyond the usual size counts as a usual
one. Then days: of a day on which the item was out for a while only the open share was seen, and what is likely to have
been missed is added.
"""

from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from onhand.base.dates import EPOCH
from onhand.demand.model import Corrections, History

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

# Of fewer lines nobody knows what is usual.
_BULK_LINES_MIN: Final = 8
# A line is bulk from so many robust standard deviations of the logarithm of the sizes on. Lines of one unit have a
# deviation of 0, so it is at least this: nothing below 7.4 times the median is bulk.
_BULK_DEVIATIONS: Final = 4.0
_BULK_DEVIATION_MIN: Final = 0.5
_BULK_UNITS_MIN: Final = 5
# What comes this often is no exception but a kind of customer. Twice may be chance.
_BULK_SHARE_MAX: Final = 0.05
_BULK_LINES_SPARED: Final = 2
# Standard deviations of a normal distribution per median absolute deviation.
_MAD_TO_SD: Final = 1.4826

# What is likely is judged by the four weeks on either side of a day, and by the whole series as if that were one more.
_NEAR_DAYS: Final = 28
_SERIES_DAYS: Final = 7.0
# With less than a day to judge by, nothing is added: nobody knows whether it would still have sold.
_EXPOSURE_MIN: Final = 1.0
_ROUNDS: Final = 2
# Dispersion of a series with fewer open days is that of all series.
_DISPERSION_DAYS_MIN: Final = 28
_R_MIN, _R_MAX = 0.05, 1e6


def bulk_lines(item: Int64, units: Int64) -> tuple[Bool, Float64]:
    """Which order lines are one-off bulk orders, and the usual size (the median) of a line of their item.

    item   int64[n]
    units  int64[n], wanted in the line; lines of none are left out of account

    A line is bulk if log(units) lies 4 robust standard deviations (1.4826 x the median absolute deviation, at least
    0.5) above the median of its item; not when more than a twentieth of the lines, and more than two, do: then such
    lines are how this item is bought. Rule of Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993, on
    logarithms.
    """
    count = len(item)
    is_bulk, usual = np.zeros(count, np.bool_), units.astype(np.float64)
    frame = pl.DataFrame({"item": item, "units": units, "row": np.arange(count)}).filter(pl.col("units") > 0)
    if frame.is_empty():
        return is_bulk, usual
    log = pl.col("units").cast(pl.Float64).log()
    judged = (
        frame.with_columns(log.alias("log"), pl.col("units").median().over("item").alias("usual"))
        .with_columns((pl.col("log") - pl.col("usual").log()).alias("off"))
        .with_columns((pl.col("off").abs().median().over("item") * _MAD_TO_SD).alias("deviation"))
        .with_columns(
            (
                (pl.col("off") > _BULK_DEVIATIONS * pl.col("deviation").clip(lower_bound=_BULK_DEVIATION_MIN))
                & (pl.col("units") >= _BULK_UNITS_MIN)
                & (pl.len().over("item") >= _BULK_LINES_MIN)
            ).alias("far")
        )
        .with_columns(
            (
                pl.col("far").sum().over("item")
                <= (pl.len().over("item") * _BULK_SHARE_MAX).clip(lower_bound=_BULK_LINES_SPARED)
            ).alias("rare")
        )
    )
    rows = judged["row"].to_numpy()
    is_bulk[rows] = (judged["far"] & judged["rare"]).to_numpy()
    usual[rows] = judged["usual"].to_numpy()
    return is_bulk, usual


def uncensored(series: Int64, day: Int64, seen: Float64, open_share: Float64, first: Int64, until: int) -> Float64:
    """Expected demand of days of which only the open share was seen, float64[n]; at least `seen`.

    series      int64[n], rows by series and day; a day without a row was open and saw nothing
    seen        units sold in the open share of the day
    open_share  0 to 1
    first       int64[series], first day of each series; `until`: the first day that is in none

    Demand of a day is negative binomial: Poisson at a rate that is drawn from Gamma(r, r/mu). Seeing s units in the
    share o leaves the rate at Gamma(r + s, r/mu + o), whether the shelf ran empty or was filled late (the likelihood is
    the same), so E[D | s, o] = s + (1 - o)(r + s)/(r/mu + o). mu is that of the days around and of the series; it is
    found by expectation-maximisation in two rounds, beginning with units per open day. r by moments of the open days.
    """
    demand = seen.copy()
    censored = np.flatnonzero(open_share < 1)
    if not len(censored):
        return demand
    count = len(first)
    length = np.maximum(until - first, 1).astype(np.float64)
    missing = np.bincount(series, 1 - open_share, count)
    r = _dispersion(series, seen, open_share, length)[series[censored]]
    # Rows of the neighbourhood by one search: days are told apart from those of other series.
    span = int(until - first.min()) + 2 * _NEAR_DAYS + 2
    key = series * span + (day - first.min() + _NEAR_DAYS)
    of = series[censored]
    low = key.searchsorted(key[censored] - _NEAR_DAYS, "left")
    high = key.searchsorted(key[censored] + _NEAR_DAYS, "right")
    near = np.minimum(day[censored] + _NEAR_DAYS, until - 1) - np.maximum(day[censored] - _NEAR_DAYS, first[of]) + 1.0
    sums_missing = np.r_[0.0, np.cumsum(1 - open_share)]
    near_open = near - (sums_missing[high] - sums_missing[low])
    is_judged = near_open >= _EXPOSURE_MIN
    exposure, exposures = near_open, np.maximum(length - missing, _EXPOSURE_MIN)
    share, kept = open_share[censored], seen[censored]
    for _ in range(_ROUNDS):
        sums = np.r_[0.0, np.cumsum(demand)]
        mean = np.bincount(series, demand, count)[of] / exposures[of]
        mu = (sums[high] - sums[low] + _SERIES_DAYS * mean) / (exposure + _SERIES_DAYS)
        with np.errstate(divide="ignore"):
            added = np.where(mu > 0, (1 - share) * (r + kept) / (r / mu + share), 0.0)
        demand[censored] = kept + np.where(is_judged, added, 0.0)
        # From now on whole days are summed. Those that nothing was added to still count as open as they were.
        unfilled = np.zeros(len(series))
        unfilled[censored] = np.where(is_judged, 0.0, 1 - share)
        sums_unfilled = np.r_[0.0, np.cumsum(unfilled)]
        exposure = np.maximum(near - (sums_unfilled[high] - sums_unfilled[low]), _EXPOSURE_MIN)
        exposures = np.maximum(length - np.bincount(series, unfilled, count), _EXPOSURE_MIN)
    return demand


def _dispersion(series: Int64, seen: Float64, open_share: Float64, length: Float64) -> Float64:
    """r of each series: mean²/(variance - mean) of its open days; of all of them together where those are few."""
    count = len(length)
    is_open = open_share == 1
    days = np.maximum(length - np.bincount(series, ~is_open, count), 1.0)
    mean = np.bincount(series[is_open], seen[is_open], count) / days
    square = np.bincount(series[is_open], seen[is_open] ** 2, count) / days
    excess = (square - mean**2) * days / np.maximum(days - 1, 1.0) - mean
    known = days >= _DISPERSION_DAYS_MIN
    total = float(excess[known].sum())
    common = float((mean[known] ** 2).sum()) / total if total > 0 else _R_MAX
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(excess > 0, mean**2 / excess, _R_MAX)
    return np.clip(np.where(known & (mean > 0), own, common), _R_MIN, _R_MAX)


LINES: Final = ("item", "place", "channel", "day", "units", "cancelled", "returned", "price")
"""Columns of lines and of sales: ids, days since 1970-01-01, units; price of a unit in minor units, -1: not known."""
KEY: Final = ("item", "place", "channel")


def daily(lines: pl.DataFrame, sales: pl.DataFrame, corrections: Corrections) -> pl.DataFrame:
    """Lines of orders and what was sold otherwise, by item, place, channel and day, without the hours that were missed.

    lines, sales  columns LINES; of sales several may stand for one day, and `cancelled` is 0

    Columns: KEY, day, units, cancelled, bulk, returned, kept (float64: what remains), price (null: not known).
    """
    size = (lines["units"] - lines["cancelled"] if corrections.cancellations else lines["units"]).to_numpy()
    bulk = np.zeros(len(lines))
    if corrections.bulk and len(lines):
        is_bulk, usual = bulk_lines(lines["item"].to_numpy(), size)
        bulk = np.where(is_bulk, size - usual, 0.0)
    taken = pl.col("cancelled") if corrections.cancellations else pl.lit(0)
    rows = pl.concat(
        [
            lines.select(LINES).with_columns(pl.Series("bulk", bulk, pl.Float64)),
            sales.select(LINES).with_columns(pl.lit(0.0).alias("bulk")),
        ]
    )
    # Of what came back no more is taken off than was left.
    back = pl.col("returned") if corrections.net_returns else pl.lit(0)
    left = pl.col("units") - taken - pl.col("bulk")
    is_line = pl.col("units") > 0
    rows = rows.with_columns(
        taken.cast(pl.Float64).alias("cancelled"),
        pl.when(is_line).then(pl.min_horizontal(back.cast(pl.Float64), left)).otherwise(back).alias("returned"),
        pl.col("units").cast(pl.Float64),
    )
    is_priced = pl.col("price") >= 0
    return (
        rows.group_by(*KEY, "day")
        .agg(
            *(pl.col(name).sum() for name in ("units", "cancelled", "bulk", "returned")),
            (pl.col("price") * pl.col("units")).filter(is_priced).sum().alias("paid"),
            pl.col("units").filter(is_priced).sum().alias("priced"),
        )
        .with_columns(
            # What came back over a counter on a day on which less was sold is taken off as far as there is something.
            pl.min_horizontal("returned", pl.col("units") - pl.col("cancelled") - pl.col("bulk")).alias("returned"),
            pl.when(pl.col("priced") > 0).then(pl.col("paid") / pl.col("priced")).alias("price"),
        )
        .with_columns((pl.col("units") - pl.col("cancelled") - pl.col("bulk") - pl.col("returned")).alias("kept"))
        .drop("paid", "priced")
    )


def history(days: pl.DataFrame, closed: pl.DataFrame, until: int, corrections: Corrections) -> pl.DataFrame:
    """`daily` with the days on which the item was out, and what was missed on them.

    closed  KEY, day, share (of the day in which nothing was there)

    Columns: KEY, day, units, cancelled, bulk, returned, lost, demand, open_share, price; by KEY and day. A series
    begins with the first day on which something was wanted: what was out before is left out.
    """
    first = days.filter(pl.col("units") > 0).group_by(*KEY).agg(pl.col("day").min().alias("first"))
    rows = (
        days.join(closed, on=[*KEY, "day"], how="full", coalesce=True)
        .join(first, on=[*KEY], how="inner")
        .filter((pl.col("day") >= pl.col("first")) & (pl.col("day") < until))
        .with_columns(
            *(pl.col(name).fill_null(0.0) for name in ("units", "cancelled", "bulk", "returned", "kept")),
            (1.0 - pl.col("share").fill_null(0.0)).alias("open_share"),
        )
        .sort(*KEY, "day")
    )
    if rows.is_empty():
        return rows.select(*KEY, "day", *_UNITS[:-1]).with_columns(
            *(pl.lit(0.0).alias(name) for name in ("lost", "demand")),
            pl.lit(1.0).alias("open_share"),
            price=pl.lit(None),
        )
    number = rows.select((pl.struct(*KEY).rle_id()).cast(pl.Int64).alias("n"))["n"].to_numpy()
    starts = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
    kept = rows["kept"].to_numpy()
    demand = kept
    if corrections.stock_outs:
        demand = uncensored(
            number,
            rows["day"].cast(pl.Int64).to_numpy(),
            kept,
            rows["open_share"].to_numpy(),
            rows["first"].cast(pl.Int64).to_numpy()[starts],
            until,
        )
    return rows.with_columns(lost=pl.Series(demand - kept), demand=pl.Series(demand)).select(
        *KEY, "day", *_UNITS, "demand", "open_share", "price"
    )


_UNITS: Final = ("units", "cancelled", "bulk", "returned", "lost")


def summed(rows: pl.DataFrame) -> pl.DataFrame:
    """`history` with the channels of an item and place summed (channel -1). open_share is the least of them."""
    return (
        rows.with_columns(weight=pl.when(pl.col("price").is_not_null()).then(pl.col("units")).otherwise(0.0))
        .group_by("item", "place", "day")
        .agg(
            *(pl.col(name).sum() for name in (*_UNITS, "demand")),
            pl.col("open_share").min(),
            ((pl.col("price") * pl.col("weight")).sum() / pl.col("weight").sum()).alias("price"),
        )
        .with_columns(pl.lit(-1, pl.Int64).alias("channel"), pl.col("price").fill_nan(None))
        .select(*KEY, "day", *_UNITS, "demand", "open_share", "price")
        .sort(*KEY, "day")
    )


def packed(rows: pl.DataFrame) -> pl.DataFrame:
    """`history` in half the room, to be kept while that of other items is made."""
    small = (pl.col(name).cast(pl.Float32) for name in (*_UNITS, "demand", "open_share"))
    return rows.select(
        *(pl.col(name).cast(pl.Int32) for name in (*KEY, "day")), *small, pl.col("price").cast(pl.Float64)
    )


def put_together(rows: pl.DataFrame, keys: pl.DataFrame, until: date) -> History:
    """Rows of `packed` (of all items) and the public names of their series.

    keys  KEY, sku, category, node, region, channel_code, timezone: one row for each series at least
    """
    numbered = (
        rows.group_by(*KEY)
        .agg(pl.col("day").filter(pl.col("units") > 0).min().alias("first"))
        .join(keys, on=[*KEY], how="left")
        .sort("sku", "node", "region", "channel_code", nulls_last=True)
        .with_row_index("series")
        .with_columns(pl.col("series").cast(pl.Int32))
    )
    days = (
        rows.join(numbered.select(*KEY, "series"), on=[*KEY], how="left")
        .sort("series", "day")
        .select(
            "series",
            pl.col("day").cast(pl.Int32).cast(pl.Date),
            *_UNITS,
            "demand",
            "open_share",
            pl.col("price").cast(pl.Float64).alias("price_minor"),
        )
    )
    series = numbered.select(
        "series", "sku", "category", "node", "region", pl.col("channel_code").alias("channel"),
        pl.col("first").cast(pl.Int32).cast(pl.Date).alias("first_day"), "timezone",
    )  # fmt: skip
    return History(series=series, days=days, until=until)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def day_after(number: int) -> date:
    """The reverse of `day_number`."""
    return EPOCH + timedelta(days=number)
