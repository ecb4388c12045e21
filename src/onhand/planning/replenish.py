"""What to buy today: order-up-to levels from demand over lead and review time, made into orders that suppliers take.

For each item × node: the level is a quantile of the demand that today's order must last for (safety_stock.py); what is
wanted is the difference to what is on hand and on order, damped if asked for, never damped below zero; of nothing, the
lot below and the lot above, the one with the least expected cost on the same draws is taken. A lot that is larger than
what is wanted is compared with waiting a review longer, not with never having it: the lot lies for months whenever it
is bought (in roll-outs with lots of four weeks and more this saves 10 to 50 % of what waiting for the last unit costs).
Where money is short it
goes to where it avoids most lost sales for its price (the fractional knapsack: Dantzig 1957), and the bound says how
much better any other use of it could be.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from onhand.planning.kernels import purchase_tables
from onhand.planning.protection import UNITS_MAX, Expected, drawn_totals, in_parts
from onhand.planning.safety_stock import for_service, service_of_costs

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

# Quantities looked at between nothing and what is wanted, when money is short.
_STEPS = 16
_ROWS_AT_ONCE = 4_096
_YEAR = 365.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Buying:
    """What is to be decided for each row (an item at a node), arrays[n].

    position     units available and on order; below zero where more is promised than there is
    lead_days    int[n, K], equally likely
    review_days  days until the next chance to order; at least 1
    unit_cost    of buying a unit; above 0
    stockout     cost of a unit asked for and not there
    carrying     cost of keeping a unit a day
    service      service level in [0, 1), or NaN: that of the costs
    minimum, multiple  units a supplier takes; multiple at least 1
    fixed        cost of an order, or of its line
    is_open      whether today is a day to order
    """

    position: Int64
    lead_days: Int64
    review_days: Int64
    unit_cost: Float64
    stockout: Float64
    carrying: Float64
    service: Float64
    minimum: Int64
    multiple: Int64
    fixed: Float64
    is_open: Bool

    def __post_init__(self) -> None:
        count = len(self.position)
        for name in ("position", "review_days", "unit_cost", "stockout", "carrying", "service", "minimum", "multiple",
                     "fixed", "is_open"):  # fmt: skip
            if getattr(self, name).shape != (count,):
                raise ValueError(f"expected {name} of each of {count} rows")
        if count and min(self.review_days.min(), self.multiple.min()) < 1:
            raise ValueError("expected review_days and multiple of at least 1")
        if count and self.minimum.min() < 0:
            raise ValueError("expected minimum of at least 0")
        if count and max(np.abs(self.position).max(), self.minimum.max(), self.multiple.max()) > UNITS_MAX:
            raise ValueError(f"expected position, minimum and multiple of at most {UNITS_MAX:,} units")
        for name in ("stockout", "carrying", "fixed"):
            costs = getattr(self, name)
            if not np.isfinite(costs).all() or (costs < 0).any():
                raise ValueError(f"expected {name} that is finite and at least 0")
        if not np.isfinite(self.unit_cost).all() or (self.unit_cost <= 0).any():
            raise ValueError("expected unit_cost above 0")
        given = self.service[~np.isnan(self.service)]
        if ((given < 0) | (given >= 1)).any():
            raise ValueError("expected service of at least 0 and below 1")
        if (np.isnan(self.service) & (self.carrying == 0) & (self.stockout > 0)).any():
            raise ValueError("expected a carrying cost above 0, or a service level")


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchases:
    """Arrays[n], in the order of the rows.

    quantity          units to order today
    order_up_to       what on hand and on order is to come to, before lots and damping
    safety_stock      of it, beyond mean demand
    gain              expected cost avoided by ordering now rather than at the next review, of a stock-out less that of
                      keeping and ordering; gain_low, gain_high: in 5 and 95 of 100 draws of demand it is below
    saved             units expected to be sold that would be lost
    service_before, service_after  chance to serve all demand until the order after this one is there
    spent, gain_total         of all rows
    gain_bound        no other use of the budget, of the quantities looked at, gains more than this
    """

    quantity: Int64
    order_up_to: Int64
    safety_stock: Float64
    gain: Float64
    gain_low: Float64
    gain_high: Float64
    saved: Float64
    service_before: Float64
    service_after: Float64
    spent: float
    gain_total: float
    gain_bound: float


def damped(level: npt.ArrayLike, position: npt.ArrayLike, cycle_mean: npt.ArrayLike, smoothing: float) -> Float64:
    """The order of a proportional order-up-to policy, D̂ + (S − D̂ − position) / T (Dejonckheere, Disney, Lambrecht and
    Towill 2003); T = 1 orders the whole difference. Of demand that is independent from day to day, with a forecast that
    stays, Var(order) / Var(demand) = 1 / (2 T − 1)."""
    if not (math.isfinite(smoothing) and smoothing >= 1):
        raise ValueError(f"expected smoothing of at least 1, got {smoothing}")
    mean = np.asarray(cycle_mean, np.float64)
    return mean + (np.asarray(level, np.float64) - mean - np.asarray(position, np.float64)) / smoothing


def replenish(
    expected: Expected, buying: Buying, *,
    smoothing: float = 1.0, budget: float | None = None, paths: int = 1000, correlation: float = 0.5, seed: int = 0,
) -> Purchases:  # fmt: skip
    """What to order today.

    smoothing  see `damped`; 1.6 lets less than half of the variance of demand through to the supplier
    budget     at most this is spent, in the money of unit_cost; None: no limit
    paths      draws of demand a row, even

    What is bought ahead, beyond the least lot that could be ordered, is charged until it is sold, at most a year.
    Raises ValueError.
    """
    count = len(buying.position)
    if len(expected.quantiles) != count:
        raise ValueError(f"expected a forecast of each of {count} rows, got {len(expected.quantiles)}")
    if budget is not None and not (math.isfinite(budget) and budget >= 0):
        raise ValueError(f"expected a budget of at least 0, got {budget}")
    damped(0, 0, 0, smoothing)
    level, safety = np.zeros(count, np.int64), np.zeros(count)
    tables = _Tables.of(count)
    for start in range(0, count, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, count))
        level[rows], safety[rows] = _decided(
            expected, buying, rows, tables, smoothing, paths, correlation, (seed, start)
        )
    chosen, bound = _afforded(tables, buying.unit_cost, budget)
    at = np.arange(count), chosen
    gain = tables.value[at]
    return Purchases(
        quantity=tables.quantity[at],
        order_up_to=level,
        safety_stock=safety,
        gain=gain,
        gain_low=tables.low[at],
        gain_high=tables.high[at],
        saved=tables.saved[at],
        service_before=tables.service[:, 0],
        service_after=tables.service[at],
        spent=float(tables.quantity[at] @ buying.unit_cost) if count else 0.0,
        gain_total=float(gain.sum()),
        gain_bound=bound,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """[n, steps]: quantities from nothing to what is wanted, and what each comes to."""

    quantity: Int64
    value: Float64
    saved: Float64
    low: Float64
    high: Float64
    service: Float64

    @classmethod
    def of(cls, count: int) -> "_Tables":
        value, saved, low, high, service = (np.zeros((count, _STEPS)) for _ in range(5))
        quantity = np.zeros((count, _STEPS), np.int64)
        return cls(quantity=quantity, value=value, saved=saved, low=low, high=high, service=service)


def _decided(
    expected: Expected, buying: Buying, rows: slice, tables: _Tables,
    smoothing: float, paths: int, correlation: float, seeds: tuple[int, int],
) -> tuple[Int64, Float64]:  # fmt: skip
    """Fill the tables of some rows; (order-up-to level, safety stock)."""
    seed, first_row = seeds
    quantiles = expected.quantiles[rows]
    lead, review = buying.lead_days[rows], buying.review_days[rows]
    before, after = drawn_totals(
        Expected(levels=expected.levels, quantiles=quantiles), lead, review,
        paths=paths, correlation=correlation, seed=seed + first_row,
    )  # fmt: skip
    cycle_mean = after.mean(axis=1)
    demand = before
    demand += after
    demand.sort(axis=1)
    carrying = buying.carrying[rows] * review
    service = buying.service[rows].copy()
    stockout = buying.stockout[rows].copy()
    free = np.isnan(service)
    service[free] = service_of_costs(stockout[free], carrying[free])
    # A service level that is given says what a stock-out is worth to whoever gave it.
    told = ~free & (service > 0)
    stockout[told] = np.where(
        carrying[told] > 0, carrying[told] * service[told] / (1 - service[told]), buying.stockout[rows][told]
    )
    targets = for_service(demand, service)
    position = buying.position[rows]
    wanted = damped(targets.order_up_to, position, cycle_mean, smoothing)
    # An order that costs something is made large enough to be worth it (Harris 1913); (R, s, S) with s the level.
    lot = np.zeros(len(review))
    dear = (buying.fixed[rows] > 0) & (carrying > 0)
    lot[dear] = np.sqrt(2 * buying.fixed[rows][dear] * cycle_mean[dear] / carrying[dear])
    extra = np.maximum(lot - cycle_mean, 0)
    wanted = np.where(wanted > 0, wanted + extra, 0)
    # Lots that cost more to keep, by half on average, and to order than all that they could sell are never bought.
    multiple = buying.multiple[rows]
    least = -(-np.maximum(np.maximum(buying.minimum[rows], lot), 1) // multiple) * multiple
    pays = stockout * cycle_mean > carrying * least / 2 + buying.fixed[rows] * cycle_mean / least
    # A lot of what is sold within a review time lies no longer than any order.
    pays |= least <= np.maximum(cycle_mean, 1)
    is_wanted = buying.is_open[rows] & (service > 0) & pays
    wanted = np.where(is_wanted, np.minimum(np.rint(wanted), UNITS_MAX), 0)
    target = targets.order_up_to + np.rint(extra).astype(np.int64)
    cycles_max = _YEAR / review
    whole = wanted.astype(np.int64)
    given = (position, target, whole, buying.minimum[rows], buying.multiple[rows], stockout, carrying,
             buying.fixed[rows], cycle_mean, cycles_max)  # fmt: skip
    kept = tuple(
        t[rows] for t in (tables.quantity, tables.value, tables.saved, tables.low, tables.high, tables.service)
    )

    def part(start: int, end: int) -> None:
        purchase_tables(demand[start:end], *(g[start:end] for g in given), *(k[start:end] for k in kept))

    in_parts(len(review), part)
    return targets.order_up_to, targets.safety_stock


def _afforded(tables: _Tables, unit_cost: Float64, budget: float | None) -> tuple[Int64, float]:
    """(step taken of each row, bound of the gain) within a budget."""
    count = len(unit_cost)
    full = tables.quantity.argmax(axis=1) if count else np.zeros(0, np.int64)
    wanted = tables.value[np.arange(count), full]
    spent = tables.quantity[np.arange(count), full] @ unit_cost if count else 0.0
    if budget is None or spent <= budget:
        return full, float(wanted.sum())
    row, first, last, money, gain = _hull(tables.quantity * unit_cost[:, None], tables.value)
    order = np.argsort(-gain / money, kind="stable")
    within = np.cumsum(money[order]) <= budget
    taken = int(within.argmin()) if not within.all() else len(order)
    chosen = np.zeros(count, np.int64)
    # Steps of a row get worse on the way up its hull: the last one taken is the highest.
    np.maximum.at(chosen, row[order[:taken]], last[order[:taken]])
    left = budget - float(money[order[:taken]].sum())
    bound = float(gain[order[:taken]].sum())
    if taken < len(order):
        bound += left * float(gain[order[taken]] / money[order[taken]])
    for n in order[taken:].tolist():
        # What is next for its row, as far as it fits: parts of the dear one, then cheaper ones, use what is left.
        at = int(row[n])
        if chosen[at] != first[n]:
            continue
        ahead = slice(int(chosen[at]) + 1, int(last[n]) + 1)
        spends = (tables.quantity[at, ahead] - tables.quantity[at, chosen[at]]) * unit_cost[at]
        gains = tables.value[at, ahead] - tables.value[at, chosen[at]]
        fits = np.flatnonzero((spends <= left) & (gains > 0))
        if len(fits):
            best = fits[gains[fits].argmax()]
            chosen[at] += 1 + best
            left -= float(spends[best])
    return chosen, bound


def _hull(money: Float64, value: Float64) -> tuple[Int64, Int64, Int64, Float64, Float64]:
    """Steps along the upper concave hull of each row's points: (row, from step, to step, money, gain), gain above 0."""
    rows: list[tuple[int, int, int]] = []
    steps = money.shape[1]
    for row in np.flatnonzero(money[:, 1:].max(axis=1) > 0).tolist():
        cost, worth = money[row].tolist(), value[row].tolist()
        hull = [0]
        for step in range(1, steps):
            if cost[step] <= cost[hull[-1]] or worth[step] <= worth[hull[-1]]:
                continue
            while len(hull) > 1 and _slope(cost, worth, hull[-2], hull[-1]) <= _slope(cost, worth, hull[-1], step):
                hull.pop()
            hull.append(step)
        rows += [(row, a, b) for a, b in pairwise(hull)]
    at = np.array(rows, np.int64).reshape(-1, 3)
    row, first, last = at[:, 0], at[:, 1], at[:, 2]
    return row, first, last, money[row, last] - money[row, first], value[row, last] - value[row, first]


def _slope(cost: list[float], worth: list[float], first: int, last: int) -> float:
    return (worth[last] - worth[first]) / (cost[last] - cost[first])
