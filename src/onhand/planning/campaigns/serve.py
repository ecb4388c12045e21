"""Orders of one path, decided by the solver from stock, arrivals, room of nodes and of carriers, day by day; and what
was in the way of those that are late.

An order is late if it is not served in full, or arrives later than `World.late_days`, unless a network with stock and
room for everything could do it no sooner. Where such a network would have sent it from tells what was in the way: its
item had run out; or that node was full on that day; or its carrier was.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from onhand.network.compiled import NO_LIMIT, Network
from onhand.planning.campaigns.baskets import Made, Pool, facts_of
from onhand.planning.campaigns.model import DAY, Bool, Float64, Int32, Int64, World
from onhand.simulation import replay as replaying
from onhand.simulation.history import NO_INBOUND, NO_MOVES, History
from onhand.simulation.replay import Outcome, replay, transit_column
from onhand.sourcing.solve import Asked

# Ship days reach so many days beyond the horizon.
_BEYOND = 14
_PLENTY = 1_000_000
# Orders late because of it, before a node, carrier or item is said to have broken.
_LATE_MIN = 2
# Beside cut-offs of nodes the times of day (UTC) at which orders are decided and arrivals are booked: every step costs
# a third of a millisecond, and a day of orders by itself hardly more.
_TIMES_S = (0.0, DAY / 2)
# More cut-offs than these, in time zones far apart, are not each a step of their own.
_CUTOFFS_MAX = 6
# Half a day later than in an empty network is not late yet: cut-offs move.
_SPARE_DAYS = 0.5


class Usual(NamedTuple):
    """What a network with room and stock for everything would do with each order of the pool on each day:
    float64[pool, H] days until delivery (0: nothing); int32[pool, H] node, ship day from today, service (-1: none), row
    of its limited lane (-1: none), all of the first fulfilment; node of the last one."""

    days: Float64
    node: Int32
    ship: Int32
    service: Int32
    lane: Int32
    other: Int32


class Resources(NamedTuple):
    """How nodes, services at nodes, limited lanes and items are numbered one after the other."""

    nodes: int
    services: int
    lanes: int
    items: int

    @property
    def lane_from(self) -> int:
        return self.nodes * (1 + self.services)

    @property
    def item_from(self) -> int:
        return self.lane_from + self.lanes

    @property
    def total(self) -> int:
        return self.item_from + self.items


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What became of one path; days are those on which orders were placed, from today.

    asked, served  float64[2, H]: units of what is promoted, and of everything; served on the day they were asked for
    orders, late   float64[H]
    is_late        bool[orders]
    days_mean      from order to delivery, of what was delivered
    cost_minor     of an order that was served
    broken         int64[b], int64[b], float64[b]: resources that break, the day, how many orders are late because of it
    load           float64[N, H + 14, 3]: orders, lines, units by ship day
    short          int64[s], float64[s]: what was in the way of orders that are late, and the units of these
    at_nodes       float64[2, N, H]: promoted units asked, and served on that day, by the node that would have sent them
                   if it had everything; node 0: none would
    """

    asked: Float64
    served: Float64
    orders: Float64
    late: Float64
    is_late: Bool
    days_mean: float
    cost_minor: float
    broken: tuple[Int64, Int64, Float64]
    load: Float64
    short: tuple[Int64, Float64]
    at_nodes: Float64

    def late_share(self, first: int, last: int) -> float:
        """Of the orders of these days."""
        orders = float(self.orders[first : last + 1].sum())
        return float(self.late[first : last + 1].sum()) / orders if orders else 0.0


class Server:
    """Serves paths in one world."""

    def __init__(self, world: World, pool: Pool, days: int, *, seed: int, break_share: float) -> None:
        self.world, self.pool, self.days, self.break_share = world, pool, days, break_share
        self.settings = replaying.Settings(
            seed=seed, step_s=DAY, target_days=world.late_days, rejections=False, looks_max=0
        )
        self.network: Network = world.history.network
        self.resources = Resources(
            len(self.network.node_codes),
            len(self.network.services),
            len(self.network.lane_limits),
            len(world.history.available),
        )
        self.offset_s = _offsets(self.network, world.history.begins)
        cutoffs = np.unique(self.network.slot_cutoff[self.network.slot_cutoff > 0] % DAY)
        hours = np.unique(np.ceil(cutoffs / 3600) * 3600 % DAY)
        self.times = np.union1d(_TIMES_S, cutoffs if len(cutoffs) <= _CUTOFFS_MAX else hours)
        self.used, self.parcels, self.lanes = self._promised()
        self.usual = self._usual()

    def serve(
        self, made: Made, promoted: Bool, *, world: World | None = None, not_counted: Bool | None = None
    ) -> Served:
        """Decide the orders of a path.

        promoted     bool[items]
        world        with other stock or room than ours
        not_counted  bool[baskets]: those that would be late without the campaign
        """
        history = made.history
        if world is not None:
            history = replace(
                world.history, orders=history.orders, placed=history.placed, may_wait=history.may_wait,
                may_split=history.may_split, wishes=history.wishes, facts=history.facts,
            )  # fmt: skip
        history, waited = self._in_steps(history)
        rules = (world or self.world).rules(history)
        outcome = replay(history, rules, self.settings)
        asked = history.orders
        orders, demand = len(made.template), len(asked.item)
        got = np.bincount(outcome.picks.demand, outcome.picks.units, demand)
        short = np.bincount(made.owner, asked.units - got, orders) > 0
        arrives = np.zeros(orders)
        np.maximum.at(arrives, outcome.fulfilments.order, outcome.fulfilments.days)
        arrives -= waited
        limit = np.maximum(self.world.late_days, self.usual.days[made.template, made.day] + _SPARE_DAYS)
        is_late = short | (arrives > limit)
        counted = is_late.copy()
        if not_counted is not None:
            known = made.origin >= 0
            counted[known] &= ~not_counted[made.origin[known]]
        on = made.day[made.owner]
        flags = promoted[asked.item]
        size = self.days
        reason = self._reasons(made, history, outcome, counted)
        late_units = np.bincount(made.owner, asked.units, orders).astype(np.float64)
        served = outcome.served > 0
        # Filled is what a shelf had on the day it was asked for, not what came later.
        found_on = (outcome.picks.at // DAY).astype(np.int64) - self.world.today
        at_once = (found_on <= made.day[outcome.picks.order]) & ~outcome.picks.is_supply
        filled = np.bincount(outcome.picks.demand[at_once], outcome.picks.units[at_once], demand)
        near = self.usual.node[made.template, made.day][made.owner][flags]
        shape = self.resources.nodes, size
        at_nodes = np.array(
            [_table(near, on[flags], units[flags].astype(np.float64), shape) for units in (asked.units, filled)]
        )
        cost = float(outcome.fulfilments.terms.sum()) / max(int(served.sum()), 1)
        return Served(
            asked=np.array(
                [np.bincount(on[flags], asked.units[flags], size), np.bincount(on, asked.units, size)], np.float64
            ),
            served=np.array([np.bincount(on[flags], filled[flags], size), np.bincount(on, filled, size)], np.float64),
            orders=np.bincount(made.day, minlength=size).astype(np.float64),
            late=np.bincount(made.day[counted], minlength=size).astype(np.float64),
            is_late=is_late,
            days_mean=float(arrives[served].mean()) if served.any() else 0.0,
            cost_minor=cost,
            broken=self._broken(made, counted, reason),
            load=self._loads(outcome, asked)[0] - self.used,
            short=_sums(reason, late_units[counted]),
            at_nodes=at_nodes,
        )

    def late_baskets(self, made: Made, served: Served, baskets: int) -> Bool:
        """bool[baskets]: which of them are late."""
        late = np.zeros(baskets, np.bool_)
        known = made.origin >= 0
        late[made.origin[known]] = served.is_late[known]
        return late

    def name(self, resource: int) -> tuple[str, str]:
        """(kind, what) of a resource; items by their row."""
        r = self.resources
        if resource < r.nodes:
            return "node", self.network.node_codes[resource]
        if resource < r.lane_from:
            service, node = divmod(resource - r.nodes, r.nodes)
            known = self.network.services[service]
            return "carrier", f"{known.carrier} {known.code} at {self.network.node_codes[node]}"
        if resource < r.item_from:
            lane = resource - r.lane_from
            service, column = (int(found[0]) for found in np.nonzero(self.network.lane_of == lane))
            known = self.network.services[service]
            return "carrier", f"{known.carrier} {known.code} {self.network.lane_key(service, column)}"
        return "item", str(resource - r.item_from)

    # What was in the way ----------------------------------------------------------------------------------------------

    def _reasons(self, made: Made, history: History, outcome: Outcome, late: Bool) -> Int64:
        """int64[late orders]: the resource that was in the way of each."""
        rows = np.flatnonzero(late)
        asked, r = history.orders, self.resources
        used, parcels, lanes = self._loads(outcome, asked)
        left = self._stock_left(history, outcome)
        gone = left[asked.item, made.day[made.owner]] < asked.units
        first = np.full(len(made.template), len(asked.item))
        np.minimum.at(first, made.owner[gone], np.flatnonzero(gone))
        lines = np.diff(asked.demand_first)
        units = np.bincount(made.owner, asked.units, len(lines))
        at = made.template[rows], made.day[rows]
        node, ship, service, lane, other = (column[at] for column in self.usual[1:])
        needs = np.column_stack([np.ones(len(rows)), lines[rows], units[rows]])
        limits = history.network.limits.astype(np.float64)
        limits[history.network.limits == NO_LIMIT] = np.inf
        # The nodes that it would have come from, or else the one that it did come from, late.
        last = np.zeros(len(made.template), np.int32)
        last[outcome.fulfilments.order] = outcome.fulfilments.node
        tried = [node, other, last[rows]]
        is_full = [((limits[k] - used[k, ship]) < needs).any(axis=1) & (k > 0) for k in tried]
        reason = r.item_from + asked.item[asked.demand_first[:-1][rows]].astype(np.int64)
        if len(self.network.parcels):
            carried = service >= 0
            most = history.network.service_parcels[service].astype(np.float64)
            busy = carried & (most < NO_LIMIT) & (parcels[node, service, ship] >= most)
            reason[busy] = r.nodes + service[busy] * r.nodes + node[busy]
            if r.lanes:
                most = history.network.lane_limits[lane].astype(np.float64)
                busy = (lane >= 0) & (lanes[lane, ship] >= most)
                reason[busy] = r.lane_from + lane[busy]
        for k, full in zip(reversed(tried), reversed(is_full), strict=True):
            reason[full] = k[full]
        out = first[rows] < len(asked.item)
        reason[out] = r.item_from + asked.item[first[rows][out]]
        return reason

    def _stock_left(self, history: History, outcome: Outcome) -> Float64:
        """float64[items, H]: units of the whole network at the end of each day."""
        midnight = self.world.today * DAY
        items = len(history.available)
        change = np.zeros((items, self.days))
        change[:, 0] = history.available.sum(axis=1)
        for at, item, units in (
            (history.moves.at, history.moves.item, history.moves.units),
            (outcome.picks.at, outcome.picks.item, -outcome.picks.units),
        ):
            day = np.maximum(((at - midnight) // DAY).astype(np.int64), 0)
            some = day < self.days
            np.add.at(change, (item[some], day[some]), units[some])
        return np.cumsum(change, axis=1)

    def _loads(self, outcome: Outcome, asked: Asked) -> tuple[Float64, Float64, Float64]:
        """What is used of each ship day: of nodes (orders, lines, units), of services at nodes and of lanes
        (parcels)."""
        done, picks = outcome.fulfilments, outcome.picks
        used, parcels, lanes = self.used.copy(), self.parcels.copy(), self.lanes.copy()
        ship = self._ship_day(done.node, done.departs)
        place: Any = (done.node, ship, 0)
        np.add.at(used, place, 1)
        key = done.order.astype(np.int64) * self.resources.nodes + done.node
        turn = np.argsort(key, kind="stable")
        wanted = picks.order.astype(np.int64) * self.resources.nodes + picks.node
        if len(key):
            of = turn[np.minimum(np.searchsorted(key[turn], wanted), len(key) - 1)]
            alive = key[of] == wanted
            for column, amount in ((1, np.ones(int(alive.sum()))), (2, picks.units[alive])):
                place = (picks.node[alive], ship[of[alive]], column)
                np.add.at(used, place, amount)
        carried = done.service >= 0
        if len(parcels):
            np.add.at(parcels, (done.node[carried], done.service[carried], ship[carried]), done.parcels[carried])
        if len(lanes):
            lane = self._lane(asked, done.order[carried], done.node[carried], done.service[carried])
            some = lane >= 0
            np.add.at(lanes, (lane[some], ship[carried][some]), done.parcels[carried][some])
        return used, parcels, lanes

    def _broken(self, made: Made, late: Bool, reason: Int64) -> tuple[Int64, Int64, Float64]:
        """Resources that break, on which day, and how many orders are late because of it on that day."""
        shape = self.resources.total, self.days
        count = _table(reason, made.day[late], np.ones(len(reason)), shape)
        hit = np.flatnonzero(count.any(axis=1))
        users = self._users(made, hit)
        # One order by itself is bad luck.
        over = (count[hit] > self.break_share * users) & (np.cumsum(count[hit], axis=1) >= _LATE_MIN)
        some = over.any(axis=1)
        day = over.argmax(axis=1)[some]
        return hit[some], day, count[hit[some], day]

    def _users(self, made: Made, resources: Int64) -> Float64:
        """float64[b, H]: orders of each day that would use each of these resources."""
        r = self.resources
        node, _, service, lane, _ = (column[made.template, made.day] for column in self.usual[1:])
        users = np.zeros((len(resources), self.days))
        item, on = made.history.orders.item, made.day[made.owner]
        for n, resource in enumerate(resources.tolist()):
            if resource < r.nodes:
                of = made.day[node == resource]
            elif resource < r.lane_from:
                which, where = divmod(resource - r.nodes, r.nodes)
                of = made.day[(service == which) & (node == where)]
            elif resource < r.item_from:
                of = made.day[lane == resource - r.lane_from]
            else:
                of = on[item == resource - r.item_from]
            users[n] = np.bincount(of, minlength=self.days)
        return users

    # What an empty network does ---------------------------------------------------------------------------------------

    def _usual(self) -> Usual:
        world, pool = self.world, len(self.world.history)
        history, midnight = world.history, world.today * DAY
        template = np.tile(np.arange(pool), self.days)
        day = np.repeat(np.arange(self.days), pool)
        placed = np.maximum(midnight + day * DAY + world.second[template], history.begins)
        turn = np.argsort(placed, kind="stable")
        template, day, placed = template[turn], day[turn], placed[turn]
        stocked = history.available > 0
        stocked[history.moves.item, history.moves.node] |= history.moves.units > 0
        facts = history.facts
        free = self.network.without_limits()
        free = replace(free, limits=np.full_like(free.limits, NO_LIMIT))
        every = replace(
            history,
            orders=history.orders.only(template),
            placed=placed,
            may_wait=history.may_wait[template],
            may_split=history.may_split[template],
            wishes=history.wishes[template],
            facts=facts_of(facts, template),
            network=free,
            available=np.where(stocked, _PLENTY, 0).astype(np.int32),
            moves=NO_MOVES,
            inbound=NO_INBOUND,
        )
        every, waited = self._in_steps(every)
        outcome = replay(every, world.rules(every), self.settings)
        done = outcome.fulfilments
        days = np.full((pool, self.days), np.inf)
        arrives = np.zeros(len(template))
        np.maximum.at(arrives, done.order, done.days)
        arrives -= waited
        planned = np.zeros(len(template), np.bool_)
        planned[done.order] = True
        days[template[planned], day[planned]] = arrives[planned]
        table = np.zeros((5, pool, self.days), np.int32)
        table[2:4] = -1
        # Of several fulfilments the first counts: written last.
        back = np.arange(len(done.order))[::-1]
        at = template[done.order[back]], day[done.order[back]]
        lane = np.full(len(done.order), -1, np.int32)
        carried = done.service >= 0
        lane[carried] = self._lane(every.orders, done.order[carried], done.node[carried], done.service[carried])
        for row, column in enumerate((done.node, self._ship_day(done.node, done.departs), done.service, lane)):
            table[row][at] = column[back]
        table[4][template[done.order], day[done.order]] = done.node
        # What cannot be sent at all is late whatever happens.
        days[np.isinf(days)] = 0.0
        return Usual(days, *table)

    def in_time(self, nodes: Int64, items: Int64) -> tuple[Int32, Bool]:
        """int32[pool]: the place among `nodes` of the one that would send each order if all of them had everything, -1:
        none; and bool[items, nodes, nodes]: whether customers near one of them (second axis) are mostly served in time
        by another (third), if that has stock and room."""
        world, network = self.world, self.network
        pool, asked = len(world.history), world.history.orders
        free = network.without_limits()
        free = replace(free, limits=np.full_like(free.limits, NO_LIMIT))

        def served_from(which: Int64) -> tuple[Int32, Float64]:
            stock = np.zeros_like(world.history.available)
            stock[:, which] = _PLENTY
            alone = replace(world.history, network=free, available=stock, moves=NO_MOVES, inbound=NO_INBOUND)
            done = replay(alone, world.rules(alone), self.settings).fulfilments
            node, arrives = np.zeros(pool, np.int32), np.full(pool, np.inf)
            node[done.order] = done.node
            # As if placed when they are, not at midnight.
            arrives[done.order] = done.days - world.second[done.order] / DAY
            return node, arrives

        place = np.full(self.resources.nodes, -1, np.int32)
        place[nodes] = np.arange(len(nodes))
        region = place[served_from(nodes)[0]]
        limit = np.maximum(world.late_days, self.usual.days[:, 0] + _SPARE_DAYS)
        owner = np.repeat(np.arange(pool), np.diff(asked.demand_first))
        reach = np.repeat(np.eye(len(nodes), dtype=np.bool_)[np.newaxis], len(items), axis=0)
        for other, node in enumerate(nodes.tolist()):
            in_time = served_from(np.array([node]))[1] <= limit
            for i, item in enumerate(items.tolist()):
                of = owner[asked.item == item]
                of = of if len(of) else np.arange(pool)
                near = region[of]
                count = np.bincount(near[near >= 0], minlength=len(nodes))
                good = np.bincount(near[near >= 0], in_time[of][near >= 0], len(nodes))
                reach[i, :, other] |= good > 0.5 * np.maximum(count, 1)
        return region, reach

    def _lane(self, asked: Asked, order: Int32, node: Int32, service: Int32) -> Int32:
        """Row of the limited lane of each (order, node, service), -1: none."""
        network = self.network
        if not len(network.lane_limits):
            return np.full(len(order), -1, np.int32)
        column = transit_column(
            network, asked.latitude[order], asked.longitude[order], asked.zone[order], node, service
        )
        return network.lane_of[service, column]

    def _in_steps(self, history: History) -> tuple[History, Float64]:
        """The same with orders placed together at the beginning of the step they fall into, and arrivals booked at its
        end; and float64[orders], the days by which each would otherwise have been placed later. No step goes beyond a
        cut-off, so that each order finds the ship days that it would have found."""

        def step(at: Float64, side: int) -> Float64:
            midnight = np.floor(at / DAY) * DAY
            edges = np.append(self.times, DAY)
            place = np.searchsorted(edges, at - midnight, "right" if side < 0 else "left")
            return midnight + edges[place + side]

        placed = np.maximum(step(history.placed, -1), history.begins)
        moves = history.moves
        later = np.where(moves.at > history.begins, step(moves.at, 0), moves.at)
        together = replace(history, placed=placed, moves=moves._replace(at=later))
        return together, (history.placed - placed) / DAY

    # Days -------------------------------------------------------------------------------------------------------------

    def _ship_day(self, node: Int32, departs: Float64) -> Int32:
        """Day of the node's calendar on which it sends, from today (UTC) on."""
        day = (departs + self.offset_s[node]) // DAY - self.world.today
        return np.clip(day, 0, self.days + _BEYOND - 1).astype(np.int32)

    def _promised(self) -> tuple[Float64, Float64, Float64]:
        """What orders from before have of the days to come; shapes as in `_loads`."""
        network, size = self.network, self.days + _BEYOND
        nodes, services = self.resources.nodes, self.resources.services
        used = np.zeros((nodes, size, 3))
        parcels = np.zeros((nodes, services, size) if len(network.parcels) else (0, 0, 0))
        lanes = np.zeros((self.resources.lanes, size))
        day = network.slot_day - self.world.today
        known = (day >= 0) & (day < size) & (network.slot_cutoff > 0)
        k, slot = np.nonzero(known)
        limit = network.limits[k].astype(np.float64)
        used[k, day[k, slot]] = np.where(network.limits[k] == NO_LIMIT, 0.0, limit - network.left[k, slot])
        if len(parcels):
            most = network.service_parcels.astype(np.float64)
            left = network.parcels[k, :, slot]
            parcels[k, :, day[k, slot]] = np.where(network.service_parcels == NO_LIMIT, 0.0, most - left)
        for lane in range(len(lanes)):
            at = np.arange(self.world.today, self.world.today + size)
            lanes[lane] = network.lane_limits[lane] - network.lanes[lane, at & (network.lanes.shape[1] - 1)]
        return used, parcels, lanes


def _sums(rows: Int64, values: Float64) -> tuple[Int64, Float64]:
    """Rows, each once, and the sum of the values of each."""
    once, place = np.unique(rows, return_inverse=True)
    return once, np.bincount(place, values, len(once)).astype(np.float64)


def _table(rows: Int64 | Int32, days: Int32, values: Float64, shape: tuple[int, int]) -> Float64:
    cell = rows.astype(np.int64) * shape[1] + days
    return np.bincount(cell, values, shape[0] * shape[1]).astype(np.float64).reshape(shape)


def _offsets(network: Network, at: float) -> Float64:
    """float64[N]: seconds by which each node's clock is ahead of UTC."""
    moment = datetime.fromtimestamp(at, UTC)
    seconds = np.zeros(len(network.node_codes))
    for node in network.node_documents:
        offset = moment.astimezone(ZoneInfo(node["timezone"])).utcoffset()
        seconds[node["node_id"]] = 0.0 if offset is None else offset.total_seconds()
    return seconds


__all__ = ["Resources", "Served", "Server", "Usual"]
