"""Plans that orders could have, each with its cost and what it takes of what the orders share.

A **row** is something shared: units of an item at a node, room of a node's ship day, parcels of a service that day,
parcels along a lane on a day, units on their way. A **plan** is one of an order's ways to be served, whole; the pool
holds each once.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.network.compiled import LANE_DAYS, Network
from onhand.sourcing.batch import NO_LIMIT, Options, Shared
from onhand.sourcing.custom import term_names, unasked
from onhand.sourcing.ship_days import Apart
from onhand.sourcing.solve import Asked, Decisions, Float64, Int32, Int64, Stock, first_rows
from onhand.sourcing.tables import WHY_NO_PLAN

_PLENTY = np.iinfo(np.int64).max // 4


class Rows(NamedTuple):
    """What is shared, numbered through: stock [items, nodes], then days [nodes, days, 3], parcels [nodes, services,
    days] (none where no carrier has a limit), lanes [lanes, LANE_DAYS], supply [rows]; `capacity` int64[rows].
    lane_of: as `Network.lane_of`."""

    items: int
    nodes: int
    services: int
    days: int
    capacity: Int64
    lanes: int
    lane_of: Int32

    @property
    def first_day(self) -> int:
        return self.items * self.nodes

    @property
    def first_parcel(self) -> int:
        return self.first_day + self.nodes * self.days * 3

    @property
    def first_lane(self) -> int:
        return self.first_parcel + self.nodes * self.services * self.days

    @property
    def first_supply(self) -> int:
        return self.first_lane + self.lanes * LANE_DAYS

    def stock(self, per_row: Float64) -> Float64:
        """[items, nodes] of an array over all rows."""
        return per_row[: self.first_day].reshape(self.items, self.nodes)

    def room(self, per_row: Float64) -> Float64:
        """[nodes, days, 3]"""
        return per_row[self.first_day : self.first_parcel].reshape(self.nodes, self.days, 3)

    def parcels(self, per_row: Float64) -> Float64:
        """[nodes, services, days]"""
        return per_row[self.first_parcel : self.first_lane].reshape(self.nodes, self.services, self.days)

    def along(self, per_row: Float64) -> Float64:
        """[lanes, LANE_DAYS]"""
        return per_row[self.first_lane : self.first_supply].reshape(self.lanes, LANE_DAYS)


def rows_of(stock: Stock, network: Network, *, dip: bool) -> Rows:
    """The rows of `stock` (all of it when `dip`, else what is beyond safety) and of the days of `network`."""
    free = stock.available.astype(np.int64) - stock.pending - (0 if dip else stock.safety)
    left, parcels, lanes = (
        np.where(room == NO_LIMIT, _PLENTY, np.maximum(room.astype(np.int64), 0))
        for room in (network.left, network.parcels, network.lanes)
    )
    items, nodes = free.shape
    return Rows(
        items,
        nodes,
        parcels.shape[1],
        left.shape[1],
        np.concatenate([np.maximum(free, 0).ravel(), left.ravel(), parcels.ravel(), lanes.ravel(), stock.supply.units]),
        len(lanes),
        network.lane_of,
    )


class Reply(NamedTuple):
    """What orders answered to prices. Of each order asked: its cost at them (inf: no plan) and its plan in the pool
    (-1: none, or one that takes more than there is); what it takes: entries by order."""

    value: Float64
    plan: Int64
    order: Int64
    row: Int64
    amount: Int64


class Pool:
    """All plans that were found; `rows` is what they share. With `latest` (int64[orders], Unix seconds) only those of
    which nothing arrives later.

    Of plan p: order, cost, decisions[part[p]] row at[p]; its rows and amounts are `entries()` of it.
    """

    def __init__(self, orders: int, rows: Rows, item_row: dict[int, int]) -> None:
        self.orders, self.rows = orders, rows
        self.latest: Int64 | None = None
        self.order: list[int] = []
        self.cost: list[float] = []
        self.part: list[int] = []
        self.at: list[int] = []
        self.parts: list[Decisions] = []
        self._item_row = item_row
        self._seen: dict[tuple[int, int], int] = {}
        self._entries: list[tuple[Int64, Int64, Int64]] = []

    def __len__(self) -> int:
        return len(self.order)

    def add(self, d: Decisions, numbers: Int64, apart: Apart, price: Float64) -> Reply:
        """Take the plans of `d`, whose orders have these numbers and whose nodes are those of `apart`; what they say
        at `price`. `d` is changed: its nodes and days become those of the network as it is."""
        made = int(d.fulfilment_first[-1])
        node = d.node[:made].copy()
        d.node[:made], d.slot[:made] = apart.node[node], d.slot[:made] + apart.slot[node]
        picks = int(d.pick_first[-1])
        d.pick_node[:picks] = apart.node[d.pick_node[:picks]]
        order, row, amount = self.uses(d)
        paid = np.bincount(order, weights=price[row] * amount, minlength=len(numbers))
        value = np.where(d.count > 0, d.cost + paid, np.inf)
        fits = d.count > 0
        fits[order[amount > self.rows.capacity[row]]] = False
        if apart.tight.any():
            # One node sends one fulfilment of an order, not one each day.
            of = np.repeat(np.arange(len(numbers)), np.diff(d.fulfilment_first)) * self.rows.nodes + d.node[:made]
            _, first, times = np.unique(of, return_index=True, return_counts=True)
            fits[of[first[times > 1]] // self.rows.nodes] = False
        if self.latest is not None:
            of_order = np.repeat(np.arange(len(numbers)), np.diff(d.fulfilment_first))
            fits[of_order[d.deliver[:made] > self.latest[numbers][of_order]]] = False
        plan = self._keep(d, numbers, fits, order, row, amount)
        return Reply(value, plan, order, row, amount)

    def uses(self, d: Decisions) -> tuple[Int64, Int64, Int64]:
        """(order, row, amount) of all plans of `d`, each row once an order."""
        rows = self.rows
        made, picks = int(d.fulfilment_first[-1]), int(d.pick_first[-1])
        orders = np.arange(len(d.count))
        f_order = np.repeat(orders, np.diff(d.fulfilment_first))
        p_order = np.repeat(orders, np.diff(d.pick_first))
        supply = d.pick_supply[:picks].astype(np.int64)
        items = d.demand_item[d.pick_demand[:picks]]
        item = np.array([self._item_row[i] for i in items.tolist()], np.int64)
        p_row = np.where(supply >= 0, rows.first_supply + supply, item * rows.nodes + d.pick_node[:picks])
        day = (d.node[:made].astype(np.int64) * rows.days + d.slot[:made]) * 3 + rows.first_day
        order = [p_order, f_order, f_order, f_order]
        row = [p_row, day, day + 1, day + 2]
        amount = [d.pick_units[:picks], np.ones(made, np.int32), d.lines[:made], d.units[:made]]
        if rows.services:
            carried = np.flatnonzero(d.service[:made] >= 0)
            order.append(f_order[carried])
            at = d.node[carried].astype(np.int64) * rows.services + d.service[carried]
            row.append(rows.first_parcel + at * rows.days + d.slot[carried])
            amount.append(d.parcels[carried])
        if rows.lanes:
            along = np.flatnonzero((d.service[:made] >= 0) & (d.lane[:made] >= 0))
            lane = rows.lane_of[d.service[along], d.lane[along]]
            along, lane = along[lane >= 0], lane[lane >= 0].astype(np.int64)
            order.append(f_order[along])
            row.append(rows.first_lane + lane * LANE_DAYS + (d.day[along] & (LANE_DAYS - 1)))
            amount.append(d.parcels[along])
        key = np.concatenate(order) * len(rows.capacity) + np.concatenate(row)
        limited = rows.capacity[key % len(rows.capacity)] < _PLENTY
        key, units = key[limited], np.concatenate(amount)[limited]
        every, inverse = np.unique(key, return_inverse=True)
        sums = np.bincount(inverse, weights=units, minlength=len(every)).astype(np.int64)
        return every // len(rows.capacity), every % len(rows.capacity), sums

    def _keep(
        self, d: Decisions, numbers: Int64, fits: npt.NDArray[np.bool_],
        order: Int64, row: Int64, amount: Int64,
    ) -> Int64:  # fmt: skip
        plan = np.full(len(numbers), -1, np.int64)
        fresh = np.full(len(numbers), -1, np.int64)
        marks = _marks(d)
        for n in np.flatnonzero(fits).tolist():
            key = int(numbers[n]), int(marks[n])
            known = self._seen.get(key)
            if known is None:
                known = self._seen[key] = fresh[n] = len(self.order)
                self.order.append(key[0])
                self.cost.append(float(d.cost[n]))
                self.part.append(len(self.parts))
                self.at.append(n)
            plan[n] = known
        new = fresh[order] >= 0
        if (fresh >= 0).any():
            self.parts.append(d)
            self._entries.append((fresh[order[new]], row[new], amount[new]))
        return plan

    def options(self, refuse_minor: Float64) -> "Menu":
        """The pool as the options of one line an order, which is refused at `refuse_minor`."""
        count = len(self.order)
        of = np.array(self.order, np.int64)
        turn = np.argsort(of, kind="stable")
        place = np.empty(count, np.int64)
        place[turn] = np.arange(count)
        none: Int64 = np.zeros(0, np.int64)
        plan, row, amount = (np.concatenate(c) for c in (self._columns() if self._entries else [(none,)] * 3))
        used, resource = np.unique(row, return_inverse=True)
        by = np.argsort(place[plan], kind="stable")
        first = np.searchsorted(of[turn], np.arange(self.orders + 1))
        one, zero = np.ones(self.orders, np.int32), np.zeros(self.orders, np.int32)
        options = Options(
            line_first=np.arange(self.orders + 1),
            item=zero,
            units=one,
            fulfilments_max=one,
            refuse_minor=np.zeros(self.orders),
            refuse_line_minor=refuse_minor,
            option_first=first,
            node=np.zeros(count, np.int32),
            cost_first=first,
            cost=np.array(self.cost, np.float64)[turn],
            use_first=np.searchsorted(place[plan][by], np.arange(count + 1)),
            use_resource=resource[by],
            use_amount=amount[by],
        )
        shared = Shared(
            np.array([[self.orders + 1]]),
            np.full((1, 3), NO_LIMIT, np.int64),
            self.rows.capacity[used].astype(np.int64),
        )
        return Menu(options, shared, turn, used)

    def _columns(self) -> list[tuple[Int64, ...]]:
        return list(zip(*self._entries, strict=True))

    def take(self, chosen: Int64, like: Decisions) -> Decisions:
        """The chosen plan of each order (-1: none) as one table; `like` says what was asked, and why not."""
        plans: list[int] = chosen.tolist()
        picks: dict[str, list[npt.NDArray[Any]]] = {n: [] for n in _OF_PICK}
        made: dict[str, list[npt.NDArray[Any]]] = {n: [] for n in _OF_FULFILMENT}
        demand: list[Int32] = []
        orders = len(chosen)
        count, method, attempt = (np.zeros(orders, np.int32) for _ in range(3))
        cost, profit = np.zeros(orders), np.zeros(orders)
        why = np.where(like.count > 0, WHY_NO_PLAN, like.why).astype(np.int32)
        pick_sizes, made_sizes = [0] * orders, [0] * orders
        for o, plan in enumerate(plans):
            if plan < 0:
                continue
            part, n = self.parts[self.part[plan]], self.at[plan]
            p = slice(int(part.pick_first[n]), int(part.pick_first[n + 1]))
            f = slice(int(part.fulfilment_first[n]), int(part.fulfilment_first[n + 1]))
            for name in _OF_PICK:
                picks[name].append(getattr(part, name)[p])
            for name in _OF_FULFILMENT:
                made[name].append(getattr(part, name)[f])
            demand.append(part.pick_demand[p] - part.demand_first[n] + like.demand_first[o])
            pick_sizes[o], made_sizes[o] = p.stop - p.start, f.stop - f.start
            count[o], method[o], attempt[o] = part.count[n], part.method[n], part.attempt[n]
            cost[o], profit[o], why[o] = part.cost[n], part.profit[n], part.why[n]
        none: Int32 = np.zeros(0, np.int32)
        empty = np.zeros((0, len(term_names())))
        columns: dict[str, Any] = {
            name: np.concatenate(some) if some else (empty if name == "terms" else none) for name, some in made.items()
        }
        shares: dict[str, Any] = {name: np.concatenate([none, *some]).astype(np.int32) for name, some in picks.items()}
        return Decisions(
            count=count, method=method, attempt=attempt, why=why, cost=cost, profit=profit,
            pick_first=first_rows(pick_sizes), fulfilment_first=first_rows(made_sizes),
            demand_first=like.demand_first, demand_item=like.demand_item, demand_units=like.demand_units,
            pick_demand=np.concatenate([none, *demand]).astype(np.int32),
            **shares,
            **columns,
            record=none, record_first=np.zeros(orders + 1, np.int64), demand_price=like.demand_price,
            custom=unasked(),
        )  # fmt: skip


def nobody(asked: Asked, orders: int) -> Decisions:
    """Decisions without a plan for any of these orders."""
    start, none = np.zeros(orders + 1, np.int32), np.zeros(0, np.int32)
    empty: dict[str, Any] = dict.fromkeys((*_OF_PICK, *_OF_FULFILMENT), none) | {
        "terms": np.zeros((0, len(term_names())))
    }
    count = np.zeros(orders, np.int32)
    return Decisions(
        count=count, method=count, attempt=count, why=count + WHY_NO_PLAN, cost=np.zeros(orders),
        profit=np.zeros(orders), pick_first=start, fulfilment_first=start, demand_first=asked.demand_first,
        demand_item=asked.item, demand_units=asked.units, pick_demand=none, **empty, record=none,
        record_first=start.astype(np.int64), custom=unasked(),
    )  # fmt: skip


class Menu(NamedTuple):
    """A pool as `source_jointly` takes it: `plan[option]` and `row[resource]` say what they are in the pool."""

    options: Options
    shared: Shared
    plan: Int64
    row: Int64


_OF_PICK = "pick_node", "pick_units", "pick_number", "pick_supply"
_OF_FULFILMENT = (
    "node", "service", "slot", "day", "departs", "deliver", "lines", "units", "parcels", "lane", "terms", "grams",
)  # fmt: skip


def _marks(d: Decisions) -> Int64:
    """A number for each plan of `d` that tells it from other plans of its order: a sum over what it sends whence, by
    what service on what day, mixed so that equal sums mean equal plans (but for one in 2^60)."""
    orders = len(d.count)
    picks, made = int(d.pick_first[-1]), int(d.fulfilment_first[-1])
    p_order, f_order = (np.repeat(np.arange(orders), np.diff(first)) for first in (d.pick_first, d.fulfilment_first))
    local = d.pick_demand[:picks] - d.demand_first[:-1][p_order]
    marks = np.zeros(orders, np.uint64)
    np.add.at(marks, p_order, _mix(local, d.pick_node[:picks], d.pick_units[:picks], d.pick_supply[:picks]))
    np.add.at(marks, f_order, _mix(d.node[:made], d.service[:made], d.slot[:made], np.full(made, 7, np.int32)))
    return marks.astype(np.int64)


def _mix(*columns: Int32) -> npt.NDArray[np.uint64]:
    """A hash of each row (the finaliser of MurmurHash3 after each column)."""
    mixed = np.full(len(columns[0]), 0x9E3779B97F4A7C15, np.uint64)
    for column in columns:
        mixed ^= column.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            mixed ^= mixed >> np.uint64(33)
            mixed *= np.uint64(factor)
        mixed ^= mixed >> np.uint64(33)
    return mixed
