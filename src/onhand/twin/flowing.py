"""Stock over days: deliveries and transfers arrive, shoppers are served from where stock lies, planners order and move.

Lost-sales world: a unit that no node has on its day is not bought later. Every unit is accounted for each day.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from onhand.twin.market import Market
from onhand.twin.supply import Places, Suppliers

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a planner sees in the morning of a day, after what arrives has arrived.

    day       of the market, from 0
    stock     int64[I, N]
    ordered   int64[I, N], on order at suppliers; by_age int64[I, N, A]: the same by days since, 1: yesterday
    coming    int64[I, N]: transfers on their way to a node
    demand    float64[I, R, day], units wanted on the days before; NaN where some went away without: then nobody knows
    sold      int64[I, R, day]
    """

    day: int
    stock: Int64
    ordered: Int64
    by_age: Int64
    coming: Int64
    demand: Float64
    sold: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    item: int
    source: int
    target: int
    units: int


class Planner(Protocol):
    def order(self, seen: Seen, is_open: npt.NDArray[np.bool_]) -> Int64:
        """int64[I, N] units to order today of items bool[I] whose supplier takes orders; others are 0."""
        ...

    def move(self, seen: Seen) -> Sequence[Move]:
        """Transfers to send today."""
        ...


@dataclass(slots=True)
class Run:
    """Of the days from `first` on, arrays by day [T']:

    wanted, lost, next_day  units; next_day: served by a node that is there the next day
    lost_minor              margin of what was lost, at the usual price
    last_mile, moving       money for parcels and for transfers; moved: units
    days_sum                days that served units took
    capital                 value at cost, at night, of what lies, is on its way, and is on order; held: without orders
    lost_units              int64[I, R] over all days
    """

    first: int
    wanted: list[int] = field(default_factory=list[int])
    lost: list[int] = field(default_factory=list[int])
    next_day: list[int] = field(default_factory=list[int])
    lost_minor: list[float] = field(default_factory=list[float])
    last_mile: list[float] = field(default_factory=list[float])
    moving: list[float] = field(default_factory=list[float])
    moved: list[int] = field(default_factory=list[int])
    days_sum: list[int] = field(default_factory=list[int])
    capital: list[float] = field(default_factory=list[float])
    held: list[float] = field(default_factory=list[float])
    bought: list[int] = field(default_factory=list[int])


def serve(stock: Int64, wanted: Int64, turn: Int64, first_region: int) -> Int64:
    """int64[I, R, N] units served, taken from `stock` in place: every region first from the node it likes best, then
    all from the next one, and so on; regions that share a node take turns from day to day.

    wanted int64[I, R]; turn int64[R, N]
    """
    regions, nodes = turn.shape
    served = np.zeros((*wanted.shape, nodes), np.int64)
    left = wanted.copy()
    for place in range(nodes):
        for step in range(regions):
            region = (first_region + step) % regions
            node = turn[region, place]
            units = np.minimum(stock[:, node], left[:, region])
            stock[:, node] -= units
            left[:, region] -= units
            served[:, region, node] = units
    return served


def live(
    market: Market, places: Places, suppliers: Suppliers, planner: Planner, opening: Int64, *, first: int, until: int,
    counted_from: int, told: Callable[[Seen], None] | None = None,
) -> Run:  # fmt: skip
    """Let days pass, from `first` to `until` (exclusive); counted are those from `counted_from` on.

    opening  int64[I, N], stock in the first morning

    Raises ValueError for orders that a supplier would not take and for transfers of what is not there, or over a lane
    that has no room. Raises AssertionError if a unit were lost or made.
    """
    items, nodes = opening.shape
    stock = opening.copy()
    ordered = np.zeros((items, nodes), np.int64)
    coming = np.zeros((items, nodes), np.int64)
    longest = int(max(suppliers.lead.max(), places.lead_days.max())) + 1
    purchases, complete = np.zeros((2, until - first + longest, items, nodes), np.int64)
    by_age = np.zeros((items, nodes, longest), np.int64)
    transfers = np.zeros((until - first + longest, items, nodes), np.int64)
    history = market.demand[:, :, :until].astype(np.float64)
    sold = market.demand[:, :, :until].copy()
    run = Run(first=counted_from)
    total = int(stock.sum())
    days_to = places.days.T
    for day in range(first, until):
        at = day - first
        stock += purchases[at] + transfers[at]
        ordered -= complete[at]
        by_age = _older(by_age, suppliers, day)
        coming -= transfers[at]
        total += int(purchases[at].sum())
        assert (by_age.sum(axis=2) == ordered).all(), f"orders forgotten on day {day}"
        seen = Seen(day=day, stock=stock.copy(), ordered=ordered.copy(), by_age=by_age.copy(), coming=coming.copy(),
                    demand=history[:, :, :day], sold=sold[:, :, :day])  # fmt: skip
        if told is not None:
            told(seen)
        cost, moved = _send(planner.move(seen), stock, coming, transfers[at:], market, places)
        is_open = suppliers.weekday[suppliers.supplier] == day % 7
        units = planner.order(seen, is_open)
        _check_order(units, is_open, suppliers, places)
        by_age[:, :, 0] = units
        for item, node in np.argwhere(units > 0).tolist():
            arrives = at + int(suppliers.lead[suppliers.supplier[item], node, day])
            purchases[arrives, item, node] += int(np.floor(units[item, node] * suppliers.share[item, node, day]))
            complete[arrives, item, node] += units[item, node]
        ordered += units
        wanted = market.demand[:, :, day]
        served = serve(stock, wanted, places.turn, day)
        lost = wanted - served.sum(axis=2)
        history[:, :, day][lost > 0] = np.nan
        sold[:, :, day] -= lost
        total -= int(served.sum())
        assert stock.min() >= 0 and total == stock.sum() + coming.sum(), f"units lost or made on day {day}"
        if day < counted_from:
            continue
        by_way = served.sum(axis=0)
        run.wanted.append(int(wanted.sum()))
        run.lost.append(int(lost.sum()))
        run.next_day.append(int(by_way[days_to <= 1].sum()))
        run.lost_minor.append(float((market.price - market.cost) @ lost.sum(axis=1)))
        run.last_mile.append(float((by_way * places.last_mile.T).sum()))
        run.days_sum.append(int((by_way * days_to).sum()))
        run.moving.append(cost)
        run.moved.append(moved)
        run.bought.append(int(units.sum()))
        held = float(market.cost @ (stock + coming).sum(axis=1))
        run.held.append(held)
        run.capital.append(held + float(market.cost @ ordered.sum(axis=1)))
    return run


def _send(
    moves: Sequence[Move], stock: Int64, coming: Int64, transfers: Int64, market: Market, places: Places
) -> tuple[float, int]:
    """(money, units) of the transfers of a day; transfers int64[days ahead, I, N]"""
    used = np.zeros_like(places.lanes.room)
    cost, units = 0.0, 0
    for move in moves:
        way = move.source, move.target
        if not 0 < move.units <= stock[move.item, move.source]:
            raise ValueError(f"expected a transfer of what there is, got {move}")
        used[way] += move.units
        stock[move.item, move.source] -= move.units
        coming[move.item, move.target] += move.units
        transfers[places.lead_days[way], move.item, move.target] += move.units
        each = places.lanes.unit_minor[way] + places.lanes.kg_minor[way] * market.weight_kg[move.item]
        cost += float(each) * move.units
        units += move.units
    if (used > places.lanes.room + 1e-9).any():
        raise ValueError("expected transfers within the room of their lanes")
    return cost, units


def _older(by_age: Int64, suppliers: Suppliers, day: int) -> Int64:
    """A day later: without what has arrived; age 0 is left for what is ordered today."""
    ages = by_age.shape[2]
    older = np.zeros_like(by_age)
    older[:, :, 1:] = by_age[:, :, :-1]
    for age in range(1, min(ages, day + 1)):
        older[:, :, age][suppliers.lead[suppliers.supplier, :, day - age] <= age] = 0
    return older


def _check_order(units: Int64, is_open: npt.NDArray[np.bool_], suppliers: Suppliers, places: Places) -> None:
    of = units > 0
    if of[:, ~places.is_entry].any():
        raise ValueError("expected orders for nodes that suppliers deliver to")
    if units.min() < 0 or of[~is_open].any():
        raise ValueError("expected orders on days on which the supplier takes them")
    if (units % suppliers.multiple[:, None])[of].any() or (units < suppliers.minimum[:, None])[of].any():
        raise ValueError("expected whole cases, and the minimum")
