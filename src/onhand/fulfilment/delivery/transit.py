"""How long services really take: transit times learned of deliveries, as corrections of those that were declared.

Each shipment says how its days compare with the median that was declared for it, z = log(days / declared p50); those
still on their way say that it will be more than that (Kaplan and Meier 1958), and recent ones count more. The median
and the distance from it to the 95 % quantile of z are learned from the coarsest group to the finest: service, then node
and country (or the lane that the carrier's document declares), then region. Each is drawn to its parent by how little
groups differ among each other beyond chance (empirical Bayes: Efron and Morris 1975; the variance between groups by
moments, DerSimonian and Laird 1986); a service to what was declared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from onhand.fulfilment.delivery.censoring import distribution
from onhand.fulfilment.delivery.model import Bool, Float64, Int64

_SHORTEST_DAYS: Final = 0.05
_HALF_LIFE_DAYS: Final = 45.0
# A service counts from so many deliveries and days of shipping on, a group within it from so many.
_SERVICE_MIN: Final = (50, 10)
_GROUP_MIN: Final = (20, 5)
# As many deliveries as what was declared stands for.
_DECLARED_ROWS: Final = 20.0
_Z95: Final = NormalDist().inv_cdf(0.95)
# Variances of the median and of the 95 % quantile of n normal values, in units of their variance / n.
_OF_MEDIAN: Final = np.pi / 2
_OF_P95: Final = 0.05 * 0.95 / NormalDist().pdf(_Z95) ** 2
_SPREAD_MIN, _SPREAD_MAX = 0.05, 2.5
_NO_PARENT: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Travelled:
    """n shipments.

    days      float64[n] from hand-over to delivery, NaN: not yet
    room      float64[n], days from hand-over until now
    p50, p95  float64[n], declared days
    groups    int64[L][n]: the group of each at each level, from the coarsest; -1: of none. Each lies in one group of
              the level before
    """

    days: Float64
    room: Float64
    p50: Float64
    p95: Float64
    groups: Sequence[Int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Of the groups of one level, float64[G] each, NaN and 0 where there is too little to learn from.

    shift   to be added to the logarithm of the declared median
    spread  logarithm of p95 over p50
    p50, p95  learned days, p50_declared, p95_declared: geometric means over the group's shipments
    varies  how far the declared medians of its shipments lie apart: the deviation of their logarithms
    delivered, on_their_way  shipments
    """

    shift: Float64
    spread: Float64
    p50: Float64
    p95: Float64
    p50_declared: Float64
    p95_declared: Float64
    varies: Float64
    delivered: Int64
    on_their_way: Int64


def learn_transit(travelled: Travelled) -> list[Learned]:
    """Transit times by level and group."""
    days = np.maximum(travelled.days, _SHORTEST_DAYS)
    z = np.log(days / travelled.p50)
    bound = np.log(np.maximum(travelled.room, _SHORTEST_DAYS) / travelled.p50)
    declared = np.log(travelled.p95 / travelled.p50)
    made: list[Learned] = []
    parent = np.full(len(z), _NO_PARENT, np.int64)
    for level, groups in enumerate(travelled.groups):
        made.append(_level(travelled, z, bound, declared, groups, parent, made[-1] if level else None))
        parent = groups
    return made


def _level(
    t: Travelled, z: Float64, bound: Float64, declared: Float64, groups: Int64, parents: Int64, above: Learned | None
) -> Learned:
    """The groups of one level; above: the level that their parents are of, None: there is none."""
    rows_of = _rows_of(groups)
    out = _nothing(len(rows_of))
    parent = np.array([parents[rows[0]] if len(rows) else _NO_PARENT for rows in rows_of], np.int64)
    least = _SERVICE_MIN if above is None else _GROUP_MIN
    # What is declared, or known of the parent.
    shift = np.zeros(len(rows_of)) if above is None else above.shift[parent]
    spread = np.array([declared[rows].mean() if len(rows) else np.nan for rows in rows_of])
    spread = np.maximum(spread, _SPREAD_MIN) if above is None else above.spread[parent]
    median, wide, counted = (np.full(len(rows_of), np.nan) for _ in range(3))
    for g, rows in enumerate(rows_of):
        if not len(rows):
            continue
        seen = np.isfinite(t.days[rows])
        out.delivered[g], out.on_their_way[g] = seen.sum(), (~seen).sum()
        out.p50_declared[g], out.p95_declared[g] = (np.exp(np.log(of[rows]).mean()) for of in (t.p50, t.p95))
        out.varies[g] = np.log(t.p50[rows]).std()
        enough = seen.sum() >= least[0] and len(np.unique(np.floor(t.room[rows]))) >= least[1]
        if enough and np.isfinite(spread[g]):
            weight = 0.5 ** (t.room[rows] / _HALF_LIFE_DAYS)
            median[g], wide[g] = _quantiles(z[rows], bound[rows], seen, weight, float(spread[g]))
            counted[g] = weight[seen].sum() ** 2 / (weight[seen] ** 2).sum()
    if above is None:
        share = counted / (counted + _DECLARED_ROWS)
        out.shift[:], out.spread[:] = share * median, share * wide + (1 - share) * spread
    else:
        variance = (spread / _Z95) ** 2 / counted
        out.shift[:] = _drawn(median, shift, _OF_MEDIAN * variance, parent)
        # Of the logarithm, by the delta method.
        of_log = (_OF_P95 + _OF_MEDIAN) * variance / spread**2
        out.spread[:] = np.exp(_drawn(np.log(wide), np.log(spread), of_log, parent))
    out.spread[:] = np.clip(out.spread, _SPREAD_MIN, _SPREAD_MAX)
    out.p50[:] = out.p50_declared * np.exp(out.shift)
    out.p95[:] = out.p50 * np.exp(out.spread)
    return out


def _rows_of(groups: Int64) -> list[Int64]:
    """The rows of each group; those of none are left out."""
    order = np.argsort(groups, kind="stable")
    begin = np.searchsorted(groups[order], np.arange(int(groups.max(initial=-1)) + 2))
    return [order[a:b] for a, b in zip(begin[:-1].tolist(), begin[1:].tolist(), strict=True)]


def _nothing(count: int) -> Learned:
    def unknown() -> Float64:
        return np.full(count, np.nan)

    return Learned(
        shift=unknown(), spread=unknown(), p50=unknown(), p95=unknown(), p50_declared=unknown(),
        p95_declared=unknown(), varies=unknown(), delivered=np.zeros(count, np.int64),
        on_their_way=np.zeros(count, np.int64),
    )  # fmt: skip


def _quantiles(z: Float64, bound: Float64, seen: Bool, weight: Float64, usual: float) -> tuple[float, float]:
    """(median, 95 % quantile less median). What so many are still on their way that it cannot be seen is taken to go on
    as a normal distribution of the usual spread does."""
    if seen.all():
        order = np.argsort(z, kind="stable")
        values, shares = z[order], (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    else:
        values, shares = distribution(z, bound, seen, weight)
    reached = float(min(shares[-1], 0.999))

    def at(level: float) -> float:
        if level <= reached:
            return float(np.interp(level, shares, values))
        beyond = (NormalDist().inv_cdf(level) - NormalDist().inv_cdf(max(reached, 0.02))) * usual / _Z95
        return float(values[-1]) + beyond

    middle = at(0.5)
    return middle, max(at(0.95) - middle, _SPREAD_MIN)


def _drawn(found: Float64, to: Float64, error: Float64, parent: Int64) -> Float64:
    """Each drawn to that of its parent by the part of its distance that chance explains."""
    made = np.full(len(found), np.nan)
    for p in np.unique(parent).tolist():
        rows = np.flatnonzero((parent == p) & np.isfinite(found) & np.isfinite(to) & np.isfinite(error))
        if not len(rows):
            continue
        off, weight = found[rows] - to[rows], 1 / error[rows]
        # By moments, about the parent: Q = sum w off^2 has expectation k + tau^2 sum w.
        between = max((float(weight @ off**2) - len(rows)) / float(weight.sum()), 0.0)
        made[rows] = to[rows] + between / (between + error[rows]) * off
    return made
