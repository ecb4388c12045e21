"""Prices that are most likely a slip, and orders that earn less than they may.

A price is held against those of its own item until now, and where these are few, against how widely prices move in its
category: `z = (log p - median) / s`, s from the median absolute deviation (times 1.4826; Rousseeuw and Croux 1993),
shrunk to the category's. The logarithm makes a lost decimal point as far off upwards as downwards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Prices of an item at which half of its deviation is its own.
_OWN_WEIGHT: Final = 8.0
# No price is so steady that 2 % are a slip.
_DEVIATION_MIN: Final = 0.02
# One price in so many is a slip; slips are spread evenly over factors from 1 / 1,000 to 1,000.
_SLIPS: Final = 0.001
_SLIP_DENSITY: Final = 1 / (2 * np.log(1_000.0))
# Discounts have wide tails: Student's t of three degrees.
_FREEDOM: Final = 3.0
_T_CONSTANT: Final = 2 / (np.pi * np.sqrt(3.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """float64[item]: median of the logarithm of an item's prices, and their robust deviation"""

    log_median: Float64
    deviation: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliers:
    """float64[n]: z, chance that the price is a slip, what was usual in minor units"""

    z: Float64
    confidence: Float64
    usual_minor: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """float64[group]: mean margin as a share of revenue, its standard error, chance that it is below the floor, money
    missed against the floor; orders int64[group]"""

    rate: Float64
    error: Float64
    confidence: Float64
    missed_minor: Float64
    orders: Int64


def learn_prices(item: Int64, price_minor: Float64, category: Int64) -> Usual:
    """What is usual, from past prices (of days or of orders).

    item, price_minor  int64[n], float64[n] > 0
    category           int64[item]; an item without prices has the median and the deviation of its category's items
    """
    if not (price_minor > 0).all():
        raise ValueError("expected prices above 0")
    if len(item) and item.max() >= len(category):
        raise ValueError(f"expected items below {len(category)}, got {item.max()}")
    items = len(category)
    logs = np.log(price_minor)
    median, many = _medians(item, logs, items)
    spread, _ = _medians(item, np.abs(logs - median[item]), items)
    spread = 1.4826 * spread
    seen = many > 0
    overall_median, overall = float(np.median(logs)), float(np.mean(spread[seen]))
    categories = int(category.max()) + 1
    of, own = category[seen], np.bincount(category[seen], minlength=categories)
    pooled = (np.bincount(of, spread[seen], categories) + overall) / (own + 1)
    center, known = _medians(of, median[seen], categories)
    center = np.where(known > 0, center, overall_median)
    between, _ = _medians(of, np.abs(median[seen] - center[of]), categories)
    share = many / (many + _OWN_WEIGHT)
    deviation = np.sqrt(share * np.where(seen, spread, 0.0) ** 2 + (1 - share) * pooled[category] ** 2)
    # A new item may cost anything that its category does, and what that does not say.
    fresh = np.maximum(1.4826 * between[category], 1.0)
    return Usual(
        log_median=np.where(seen, median, center[category]),
        deviation=np.maximum(np.where(seen, deviation, fresh), _DEVIATION_MIN),
    )


def outliers(item: Int64, price_minor: Float64, learned: Usual) -> Outliers:
    """Which prices are slips: int64[n], float64[n] > 0. Chance by Bayes, a slip against Student's t."""
    if not (price_minor > 0).all():
        raise ValueError("expected prices above 0")
    deviation = learned.deviation[item]
    z = (np.log(price_minor) - learned.log_median[item]) / deviation
    usual = _T_CONSTANT * (1 + z**2 / _FREEDOM) ** (-(_FREEDOM + 1) / 2) / deviation
    slip = _SLIPS * _SLIP_DENSITY
    return Outliers(z=z, confidence=slip / (slip + (1 - _SLIPS) * usual), usual_minor=np.exp(learned.log_median[item]))


def outlier_findings(
    seen: Outliers, price_minor: Float64, names: Sequence[tuple[str, ...]], units_ahead: Float64, now: datetime, *,
    confidence_min: float = 0.5,
) -> list[Finding]:  # fmt: skip
    """Slips in words: names of listings; units_ahead float64[n], expected to be sold until somebody looks. Too low
    gives money away; too high loses the margin of no sale, which is taken as a fifth of the usual price."""
    out: list[Finding] = []
    for row in np.flatnonzero(seen.confidence >= confidence_min).tolist():
        usual, price = float(seen.usual_minor[row]), float(price_minor[row])
        loss = (usual - price if price < usual else 0.2 * usual) * float(units_ahead[row])
        subject = Subject("listing", tuple(names[row]))
        out.append(
            Finding(
                kind=Kind.PRICE_OUTLIER, subject=subject, loss_minor=round(loss),
                confidence=float(seen.confidence[row]), since=now,
                numbers={"price_minor": price, "usual_minor": usual, "z": float(seen.z[row])},
                sentence=(
                    f"{subject} is asked for at {price / usual:.2g} times its usual price, {abs(seen.z[row]):.0f}"
                    " deviations off."
                ),
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))


def margins(
    group: Int64, revenue_minor: Float64, cost_minor: Float64, floor: Float64, *, weight_orders: float = 10.0
) -> Margins:
    """Whether orders of a group (item, channel, node, lane) earn less than its floor.

    group          int64[n], of each order of the last days
    revenue_minor  float64[n]; cost_minor float64[n], all cost terms, as booked
    floor          float64[group], least margin as a share of revenue

    The margin of a group is the ratio of sums; its error that of a ratio (Cochran 1977, eq. 2.39), with the variance of
    all groups for ten orders. Normal: with few orders the chance stays near a half.
    """
    groups = len(floor)
    if not group.shape == revenue_minor.shape == cost_minor.shape:
        raise ValueError("expected group, revenue_minor and cost_minor of equal length")
    if len(group) and group.max() >= groups:
        raise ValueError(f"expected groups below {groups}, got {group.max()}")
    orders = np.bincount(group, minlength=groups)
    revenue = np.bincount(group, revenue_minor, groups)
    earned = np.bincount(group, revenue_minor - cost_minor, groups)
    rate = np.divide(earned, revenue, out=np.full(groups, np.nan), where=revenue > 0)
    off = (revenue_minor - cost_minor) - np.nan_to_num(rate)[group] * revenue_minor
    overall = float((off**2).sum() / max(len(group) - 1, 1))
    variance = (np.bincount(group, off**2, groups) + weight_orders * overall) / np.maximum(
        orders + weight_orders - 1, 1
    )
    error = np.divide(np.sqrt(orders * variance), revenue, out=np.full(groups, np.inf), where=revenue > 0)
    z = np.where(np.isfinite(error), (floor - np.nan_to_num(rate)) / np.maximum(error, 1e-12), 0.0)
    missed = np.maximum(floor * revenue - earned, 0.0)
    return Margins(rate=rate, error=error, confidence=_normal(z), missed_minor=missed, orders=orders)


def margin_findings(
    seen: Margins, names: Sequence[tuple[str, ...]], floor: Float64, since: datetime, *, what: str = "listing",
    confidence_min: float = 0.95,
) -> list[Finding]:  # fmt: skip
    """Groups below their floor in words; the loss is what was missed, for as many orders again."""
    out: list[Finding] = []
    for g in np.flatnonzero((seen.confidence >= confidence_min) & (seen.missed_minor > 0)).tolist():
        subject = Subject(what, tuple(names[g]))
        out.append(
            Finding(
                kind=Kind.MARGIN_BREACH, subject=subject, loss_minor=round(float(seen.missed_minor[g])),
                confidence=float(seen.confidence[g]), since=since,
                numbers={"margin_rate": float(seen.rate[g]), "floor": float(floor[g]), "orders": int(seen.orders[g])},
                sentence=(
                    f"{subject} earned {seen.rate[g]:.1%} of its revenue over {seen.orders[g]:,} orders since"
                    f" {since:%Y-%m-%d}, where {floor[g]:.1%} is the least."
                ),
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))


def _medians(group: Int64, values: Float64, groups: int) -> tuple[Float64, Int64]:
    """(median of each group, 0 where it is empty; how many values it has)"""
    order = np.lexsort((values, group))
    many = np.bincount(group, minlength=groups)
    begin = np.cumsum(many) - many
    out = np.zeros(groups)
    has = many > 0
    ordered = values[order]
    out[has] = (ordered[(begin + (many - 1) // 2)[has]] + ordered[(begin + many // 2)[has]]) / 2
    return out, many


def _normal(z: Float64) -> Float64:
    """Share of a normal distribution below z."""
    return np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in z.tolist()], np.float64)
