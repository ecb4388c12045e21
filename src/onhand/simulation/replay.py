"""Replay a history by one policy: stock, supply, capacity and rejections evolve as they would have under it.

Orders are decided in steps of time, each by one call of the compiled solver, in turn and from what the ones before have
left. Between steps the clock moves: cut-offs pass and days of capacity come into sight, what came in and went out is
booked, orders that wait are tried again when units of theirs arrive. A step ends where it must: at the next cut-off of
any node, so that an order leaves on the day that it would have.
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.network.compiled import Network
from onhand.orders.model import TERMS
from onhand.simulation import chance
from onhand.simulation.ahead import Ahead
from onhand.simulation.history import Bool, Float64, History, Int32, gather, part
from onhand.simulation.rules import Rules
from onhand.sourcing import tables
from onhand.sourcing.custom import NOTHING
from onhand.sourcing.policies.outcomes import paid_to_others
from onhand.sourcing.solve import NO_PRICES, NO_SUPPLY, Asked, Decisions, Stock, decide_asked

Int64 = npt.NDArray[np.int64]

DAY = 86_400.0
PAID = ("shipping", "handling", "tax_duty")
"""Terms that are money which is really paid; the others are prices that a policy sets on something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a history is replayed.

    seed         of rejections and transit times
    step_s       longest step; 0: one for every moment at which something happens, slower and exact to the second
    target_days  days within which an order should arrive, the same yardstick for every policy
    rejections   whether nodes reject lines
    looks_max    how often a policy that looks forward learns what units are worth: every simulated day, or so often in
                 all; 0: never (see simulation/ahead.py)
    """

    seed: int = 0
    step_s: float = 3600.0
    target_days: float = 5.0
    rejections: bool = True
    looks_max: int = 30


class Fulfilments(NamedTuple):
    """Fulfilments that nobody rejected as a whole: order, node and service (-2: collected), int32[F]; departs, Unix
    seconds; parcels; terms, float64[F, terms] minor units as the policy weighs them; others, minor units paid for terms
    of others; grams; days from when the order was placed until it is
    there, as expected and as it happened; whether that was later than promised."""

    order: Int32
    node: Int32
    service: Int32
    departs: Float64
    parcels: Int32
    terms: Float64
    others: Float64
    grams: Float64
    days: Float64
    arrived: Float64
    broken: Bool


class Picks(NamedTuple):
    """Units that were decided to leave: order, demand row, item, node, units, int32[P]; when that was decided; whether
    from supply on its way, and whether the node rejected them (they stay away from the shelf)."""

    order: Int32
    demand: Int32
    item: Int32
    node: Int32
    units: Int32
    at: Float64
    is_supply: Bool
    is_rejected: Bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a history under one policy.

    terms             names of the cost terms, in the columns of `fulfilments.terms`; those of others come last
    paid              those of them that are money which is really paid; of others whatever they weigh
    asked, served     int32[orders], units; served ones were neither rejected nor left waiting in the end
    rejected          int32[orders], lines that a node rejected; they may have been served by another one
    available         int32[item, node] in the end
    missing           units by which counts and the like found less than the policy had left; 0 in most histories
    looks             how often it was learned what units are worth to the orders to come
    """

    label: str
    settings: Settings
    terms: tuple[str, ...]
    paid: tuple[str, ...]
    asked: Int32
    served: Int32
    rejected: Int32
    fulfilments: Fulfilments
    picks: Picks
    available: Int32
    missing: int
    looks: int = 0

    @property
    def unserved(self) -> int:
        """Orders of which nothing was served."""
        return int((self.served == 0).sum())


def replay(
    history: History,
    rules: Rules,
    settings: Settings | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Decide all orders of `history` by `rules`. `progress` is told how many orders are decided."""
    return _Replay(history, rules, settings or Settings()).run(progress)


@dataclass(slots=True)
class _Waiting:
    """What of an order has no place yet: demand rows with units, nodes that rejected it."""

    demand: Int32
    units: Int32
    excluded: list[int]


@dataclass(slots=True)
class _Made:
    """What one call of the solver decided, by orders of the history."""

    at: float
    order: Int32
    decisions: Decisions
    dead: Bool
    pick_order: Int32
    pick_demand: Int32
    rejected: Bool
    # Number of the first fulfilment and of the first pick in the whole replay.
    first: int


@dataclass(slots=True)
class _Owed:
    """Units that a fulfilment waits for."""

    fulfilment: int
    units: int
    ready: float


class _Replay:
    """The state of the world between two steps."""

    def __init__(self, history: History, rules: Rules, settings: Settings) -> None:
        self.history, self.rules, self.settings = history, rules, settings
        self.network: Network = rules.network.with_own_room()
        prices = NO_PRICES._replace(rejection=history.rejection.astype(np.float32))
        self.stock = Stock(history.available.copy(), np.zeros_like(history.available), history.safety, prices=prices)
        self.stock.supply = self._supply()
        self.ahead = Ahead.of(history, rules, seed=settings.seed, refreshes_max=settings.looks_max)
        self.made: list[_Made] = []
        self.fulfilments = 0
        self.waiting: dict[int, _Waiting] = {}
        self.waiting_for: defaultdict[int, set[int]] = defaultdict(set)
        self.due: set[int] = set()
        self.owed: defaultdict[tuple[int, int], deque[_Owed]] = defaultdict(deque)
        self.delay_s: dict[int, float] = {}
        self.rejected = np.zeros(len(history), np.int32)
        self.missing = 0
        self.moved = 0
        self.announced = 0

    def run(self, progress: Callable[[int], None] | None) -> Outcome:
        history, placed, moves = self.history, self.history.placed, self.history.moves
        done, clock = 0, history.begins
        while done < len(placed) or self.moved < len(moves.at) or self.due:
            clock = max(clock, self._next(done, clock))
            until = self._step(clock)
            self._announce(clock)
            self._move(clock)
            if self.ahead is not None:
                if clock >= self.ahead.due:
                    self.ahead.look(self.stock, self.network, clock)
                self.ahead.follow(self.stock, self.network)
            self._again(clock)
            stop = int(np.searchsorted(placed, until, "left"))
            if stop > done:
                self._decide(done, stop, clock)
                done = stop
                if progress is not None:
                    progress(done)
            clock = max(clock, until) if self.settings.step_s else clock
        return self._outcome()

    def _next(self, done: int, clock: float) -> float:
        """When something happens next."""
        history = self.history
        moments = [clock] if self.due else []
        if done < len(history):
            moments.append(float(history.placed[done]))
        if self.moved < len(history.moves.at):
            moments.append(float(history.moves.at[self.moved]))
        return min(moments)

    def _step(self, clock: float) -> float:
        """Set the clock of the network; the end of the step that begins now."""
        self.network.set_clock(datetime.fromtimestamp(clock, UTC))
        step = self.settings.step_s
        if not step:
            return math.nextafter(clock, math.inf)
        # Steps of all policies end at the same moments; and none goes beyond a cut-off.
        return min((clock // step + 1) * step, max(self.network.slots_until, math.nextafter(clock, math.inf)))

    # What happens by itself -------------------------------------------------------------------------------------------

    def _supply(self) -> tables.Supply:
        inbound = self.history.inbound
        if not len(inbound.ready):
            return NO_SUPPLY
        first = np.searchsorted(inbound.item, np.arange(len(self.history.available) + 1)).astype(np.int32)
        known = inbound.known <= self.history.begins
        return tables.Supply(first, inbound.node, inbound.ready, np.where(known, inbound.units, 0).astype(np.int32))

    def _announce(self, clock: float) -> None:
        inbound = self.history.inbound
        if not len(inbound.ready):
            return
        new = np.flatnonzero((inbound.known > self.history.begins) & (inbound.known <= clock))
        # Few lines, asked once a step; those that were announced before are told by how many there were.
        if len(new) > self.announced:
            order = new[np.argsort(inbound.known[new], kind="stable")][self.announced :]
            self.stock.supply.units[order] += inbound.units[order]
            self.announced = len(new)

    def _move(self, clock: float) -> None:
        """Book what has come in and gone out by now."""
        moves = self.history.moves
        stop = int(np.searchsorted(moves.at, clock, "right"))
        for m in range(self.moved, stop):
            item, node, units = int(moves.item[m]), int(moves.node[m]), int(moves.units[m])
            if units > 0:
                units -= self._fill(item, node, units, float(moves.at[m]))
                if moves.is_supply[m]:
                    self._arrived(item, node, units)
                if units:
                    self.due |= self.waiting_for.get(item, set())
            left = int(self.stock.available[item, node]) + units
            taken = int(self.stock.pending[item, node])
            # History took away what this policy has promised already: there it was still on the shelf.
            self.missing += max(0, taken - left)
            self.stock.available[item, node] = max(left, taken)
        self.moved = stop

    def _fill(self, item: int, node: int, units: int, at: float) -> int:
        """Give arrived units to fulfilments that wait for them, first decided first; how many they took."""
        queue = self.owed.get((item, node))
        given = 0
        while queue and given < units:
            owed = queue[0]
            take = min(owed.units, units - given)
            given += take
            owed.units -= take
            late = at - owed.ready
            if late > 0:
                self.delay_s[owed.fulfilment] = max(late, self.delay_s.get(owed.fulfilment, 0.0))
            if not owed.units:
                queue.popleft()
        return given

    def _arrived(self, item: int, node: int, units: int) -> None:
        """Take units that are on the shelf now from what is on its way, soonest expected first."""
        supply = self.stock.supply
        if not len(supply.first):
            return
        for s in range(int(supply.first[item]), int(supply.first[item + 1])):
            if supply.node[s] == node and units:
                take = min(units, int(supply.units[s]))
                supply.units[s] -= take
                units -= take

    # Decisions --------------------------------------------------------------------------------------------------------

    def _decide(self, start: int, stop: int, clock: float) -> None:
        rows = np.arange(start, stop, dtype=np.int32)
        batch = part(self.history.orders, start, stop)
        first = int(self.history.orders.demand_first[start])
        # Some of them are placed a little later than others: the mean makes nobody wait longer on average.
        now = float(self.history.placed[start:stop].mean()) if self.settings.step_s else clock
        decisions = self._solve(batch, rows, now)
        demand = np.arange(first, first + len(batch.item), dtype=np.int32)
        self._leave(decisions, batch, rows, demand, None)
        self._take(decisions, rows, demand, now)

    def _again(self, clock: float) -> None:
        """Try orders that wait for units that have come, or that a node has rejected: in the order they were placed."""
        if not self.due:
            return
        rows = np.array(sorted(self.due), np.int32)
        self.due = set()
        kept = clock - self.history.placed[rows] <= self.rules.cancel_after_s
        for order in rows[~kept].tolist():
            self._forget(order)
        rows = rows[kept]
        if not len(rows):
            return
        tried = [self.waiting[order] for order in rows.tolist()]
        demand = [w.demand for w in tried]
        batch = gather(self.history.orders, rows, demand, [w.units for w in tried], [w.excluded for w in tried])
        decisions = self._solve(batch, rows, clock, again=True)
        for order in rows.tolist():
            self._forget(order)
        excluded = [w.excluded for w in tried]
        self._leave(decisions, batch, rows, np.concatenate(demand), excluded)
        self._take(decisions, rows, np.concatenate(demand), clock, excluded)

    def _solve(self, batch: Asked, rows: Int32, now: float, *, again: bool = False) -> Decisions:
        batch = self.rules.put(batch, rows, now, again=again)
        return decide_asked(
            batch, self.stock, self.network, self.rules.policy, self.history.goods, now=now, consume=True
        )

    def _leave(
        self, d: Decisions, batch: Asked, rows: Int32, demand: Int32, excluded: Sequence[list[int]] | None
    ) -> None:
        """Note what of these orders has no place yet, and waits for units. demand: rows in the history."""
        picks = int(d.pick_first[-1])
        left = batch.units - np.bincount(d.pick_demand[:picks], d.pick_units[:picks], len(demand)).astype(np.int32)
        owner = np.repeat(np.arange(len(rows)), np.diff(batch.demand_first))
        short = np.bincount(owner, left, len(rows)) > 0
        short &= (d.count > 0) | self.rules.keeps(d.why)
        for n in np.flatnonzero(short).tolist():
            a, b = int(batch.demand_first[n]), int(batch.demand_first[n + 1])
            some = np.flatnonzero(left[a:b]) + a
            self._wait(int(rows[n]), demand[some], left[some], [] if excluded is None else excluded[n])

    def _take(
        self, d: Decisions, rows: Int32, demand: Int32, now: float, excluded: Sequence[list[int]] | None = None
    ) -> None:
        """Note what was decided, who waits for supply, and what nodes reject of it. demand: rows in the history."""
        picks, made = int(d.pick_first[-1]), int(d.fulfilment_first[-1])
        owner = np.repeat(np.arange(len(rows)), np.diff(d.pick_first))
        pick_demand = demand[d.pick_demand[:picks]]
        of = d.fulfilment_first[owner] + d.pick_number[:picks] - 1
        rejected = self._rejected(d, rows[owner], pick_demand)
        whole = np.ones(made, np.bool_)
        whole[of[~rejected]] = False
        self.made.append(_Made(now, rows, d, whole, rows[owner], pick_demand, rejected, self.fulfilments))
        for p in np.flatnonzero(d.pick_supply[:picks] >= 0).tolist():
            supply = int(d.pick_supply[p])
            key = int(self.history.orders.item[pick_demand[p]]), int(d.pick_node[p])
            ready = float(self.stock.supply.ready[supply])
            self.owed[key].append(_Owed(self.fulfilments + int(of[p]), int(d.pick_units[p]), ready))
        self.fulfilments += made
        if rejected.any():
            self._reject(d, rows, owner, pick_demand, rejected, excluded)

    def _rejected(self, d: Decisions, order: Int32, demand: Int32) -> Bool:
        picks = len(order)
        if not self.settings.rejections:
            return np.zeros(picks, np.bool_)
        node = d.pick_node[:picks]
        share = self.history.rejection[node]
        luck = chance.uniform(self.settings.seed, chance.REJECTED, order, self.history.orders.item[demand], node)
        # Units that have yet to arrive are looked for when they are there.
        return (luck < share) & (d.pick_supply[:picks] < 0)

    def _reject(
        self,
        d: Decisions,
        rows: Int32,
        owner: npt.NDArray[np.intp],
        demand: Int32,
        rejected: Bool,
        excluded: Sequence[list[int]] | None,
    ) -> None:
        """Lines that a node rejects are tried again in the next step, elsewhere; their units are set aside."""
        back: defaultdict[int, list[int]] = defaultdict(list)
        for p in np.flatnonzero(rejected).tolist():
            back[int(owner[p])].append(p)
        for n, picks in back.items():
            order = int(rows[n])
            self.rejected[order] += len(picks)
            units: defaultdict[int, int] = defaultdict(int)
            for p in picks:
                units[int(demand[p])] += int(d.pick_units[p])
            before = [] if excluded is None else excluded[n]
            nodes = sorted({*before, *(int(d.pick_node[p]) for p in picks)})
            waits = self.waiting.get(order)
            if waits is not None:  # a part of it had no place anyhow
                self._forget(order)
                for row, some in zip(waits.demand.tolist(), waits.units.tolist(), strict=True):
                    units[row] += some
            self._wait(order, np.array([*units], np.int32), np.array([*units.values()], np.int32), nodes)
            self.due.add(order)

    def _wait(self, order: int, demand: Int32, units: Int32, excluded: list[int]) -> None:
        self.waiting[order] = _Waiting(demand, units, excluded)
        for item in self.history.orders.item[demand].tolist():
            self.waiting_for[item].add(order)

    def _forget(self, order: int) -> None:
        for item in self.history.orders.item[self.waiting.pop(order).demand].tolist():
            self.waiting_for[item].discard(order)

    # The end ----------------------------------------------------------------------------------------------------------

    def _outcome(self) -> Outcome:
        orders, count = self.history.orders, len(self.history)
        picks = _picks(self.made, orders)
        served = np.bincount(picks.order[~picks.is_rejected], picks.units[~picks.is_rejected], count)
        owner = np.repeat(np.arange(count), np.diff(orders.demand_first))
        # Terms of others are the same for all decisions of a process.
        custom = self.made[0].decisions.custom if self.made else NOTHING
        return Outcome(
            label=self.rules.label,
            settings=self.settings,
            terms=(*TERMS, *custom.names),
            paid=(*PAID, *(name for name, is_paid in zip(custom.names, custom.paid.tolist(), strict=True) if is_paid)),
            asked=np.bincount(owner, orders.units, count).astype(np.int32),
            served=served.astype(np.int32),
            rejected=self.rejected,
            fulfilments=self._fulfilments(),
            picks=picks,
            available=self.stock.available - self.stock.pending,
            missing=self.missing,
            looks=0 if self.ahead is None else self.ahead.looks,
        )

    def _fulfilments(self) -> Fulfilments:
        def whole(name: str) -> npt.NDArray[Any]:
            return _joined([getattr(m.decisions, name)[: m.decisions.fulfilment_first[-1]] for m in self.made])

        order = _joined([np.repeat(m.order, np.diff(m.decisions.fulfilment_first)) for m in self.made], np.int32)
        made = len(order)
        alive = ~_joined([m.dead for m in self.made], np.bool_)
        node, service = whole("node").astype(np.int32), whole("service").astype(np.int32)
        departs, promised = whole("departs").astype(np.float64), whole("deliver").astype(np.float64)
        wait_s = np.array([self.delay_s.get(f, 0.0) for f in range(made)]) if self.delay_s else np.zeros(made)
        mean, drawn = self._transit_days(order, node, service)
        placed = self.history.placed[order]
        arrived = departs + wait_s + drawn * DAY
        return Fulfilments(
            order=order[alive],
            node=node[alive],
            service=service[alive],
            departs=departs[alive],
            parcels=whole("parcels").astype(np.int32)[alive],
            terms=whole("terms").astype(np.float64)[alive] if self.made else np.zeros((0, len(TERMS))),
            others=_joined([paid_to_others(m.decisions) for m in self.made], np.float64)[alive],
            grams=whole("grams").astype(np.float64)[alive],
            days=((departs + wait_s - placed) / DAY + mean)[alive],
            arrived=((arrived - placed) / DAY)[alive],
            # `deliver` is in whole seconds.
            broken=(arrived > promised + 1.0)[alive],
        )

    def _transit_days(self, order: Int32, node: Int32, service: Int32) -> tuple[Float64, Float64]:
        """Mean days on the way, and days as they happened: log-normal as in the lateness term, 0 where collected."""
        network, orders = self.network, self.history.orders
        mean, drawn = np.zeros(len(order)), np.zeros(len(order))
        carried = np.flatnonzero(service >= 0)
        o, k, s = order[carried], node[carried], service[carried]
        column = transit_column(network, orders.latitude[o], orders.longitude[o], orders.zone[o], k, s)
        mean[carried] = network.transit_mean[s, column]
        luck = chance.normal(self.settings.seed, o, k)
        drawn[carried] = network.transit_p50[s, column] * np.exp(network.transit_sigma[s, column] * luck)
        return mean, drawn


def transit_column(
    network: Network, latitude: Float64, longitude: Float64, zone: Int32, node: Int32, service: Int32
) -> Int32:
    """Column of the transit arrays for each (destination in degrees, node, service), as `pricing.reach` finds it."""
    phi, theta = np.radians(latitude), np.radians(longitude)
    there = np.column_stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)])
    half_chord = 0.5 * np.sqrt(((network.xyz[node] - there) ** 2).sum(axis=1))
    km = 2.0 * tables.EARTH_KM * np.arcsin(np.minimum(half_chord, 1.0))
    # The first band whose edge is not nearer; a service offers no more bands than it has.
    band = (km[:, np.newaxis] > network.band_km[service]).sum(axis=1)
    if network.zone_bands.size:
        band = np.where(network.service_by_zone[service] > 0, network.zone_bands[zone, service, node], band)
    if network.zone_transit.size:
        lane = network.zone_transit[zone, service, node]
        band = np.where(lane >= 0, lane, band)
    return np.asarray(band, np.int32)


def _picks(made: Sequence[_Made], orders: Asked) -> Picks:
    def whole(name: str) -> npt.NDArray[Any]:
        return _joined([getattr(m.decisions, name)[: m.decisions.pick_first[-1]] for m in made])

    demand = _joined([m.pick_demand for m in made], np.int32)
    return Picks(
        order=_joined([m.pick_order for m in made], np.int32),
        demand=demand,
        item=orders.item[demand],
        node=whole("pick_node").astype(np.int32),
        units=whole("pick_units").astype(np.int32),
        at=_joined([np.full(len(m.pick_demand), m.at) for m in made], np.float64),
        is_supply=whole("pick_supply").astype(np.int32) >= 0,
        is_rejected=_joined([m.rejected for m in made], np.bool_),
    )


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: Any = None) -> npt.NDArray[Any]:
    return np.concatenate(parts).astype(dtype or parts[0].dtype, copy=False) if parts else np.zeros(0, dtype)
