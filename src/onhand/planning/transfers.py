"""Transfers of all items at once: one minimum-cost flow an item, tied together by the room of lanes and docks.

Room is priced (Lagrange): at given prices items do not know of each other, and the sum of what each gains at them, with
what all room is worth, is a bound on every plan (Geoffrion 1974; Fisher 1981). Prices are stepped by what is sent
beyond the room (Polyak 1969), first for a sample of the items, then for all. A plan within the room is made by letting
the items choose one after the other at prices that sink from far too high to nothing: whoever gains most a unit of room
comes first. How far it is from the bound is told with it.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from onhand.planning.flow import flow_priced, flow_within
from onhand.planning.protection import cores, thread_pool

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

# Room where nobody said there is a limit; as a number, so that it can be counted down.
NO_LIMIT = 1e15
_SAMPLE = 600
_SAMPLE_STEPS = 40
_FULL_STEPS = 20
# Prices in turn: the first lets in what gains half as much again as its room is worth.
_SINKING = (1.5, 1.25, 1.1, 1.0, 0.85, 0.4)
# So few items are done before a thread has begun.
_ALONE = 128
_MOVES_MAX = 4  # an item: as many times the nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """Ways between N nodes, arrays[from, to]; what is not finite in `unit_minor` is no lane.

    unit_minor, kg_minor  what moving a unit costs, and each kilogram of it
    room                  of a lane, dock_out and dock_in of a node: in units of `Steps.size`, in the time planned for
    """

    unit_minor: Float64
    kg_minor: Float64
    room: Float64
    dock_out: Float64
    dock_in: Float64

    def __post_init__(self) -> None:
        nodes = len(self.unit_minor)
        for name in ("unit_minor", "kg_minor", "room"):
            if getattr(self, name).shape != (nodes, nodes):
                raise ValueError(f"expected {name} between {nodes} nodes")
        if self.dock_out.shape != (nodes,) or self.dock_in.shape != (nodes,):
            raise ValueError(f"expected docks of {nodes} nodes")
        is_lane = np.isfinite(self.unit_minor)
        for name, given in (("unit_minor", self.unit_minor), ("kg_minor", self.kg_minor)):
            if not np.isfinite(given[is_lane]).all() or (given[is_lane] < 0).any():
                raise ValueError(f"expected {name} of at least 0 for every lane")
        for name in ("room", "dock_out", "dock_in"):
            given = getattr(self, name)
            if np.isnan(given).any() or (given < 0).any():
                raise ValueError(f"expected {name} of at least 0; without a limit: infinity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What units of I items at N nodes are worth, as steps of a concave function, arrays[item, node, G].

    give_units, give_value  units that may leave, the one missed least first, and what each leaves behind unsold
    take_units, take_value  units that may come, the one wanted most first, and what each brings
    size, weight_kg         of a unit of each item
    """

    give_units: Int64
    give_value: Float64
    take_units: Int64
    take_value: Float64
    size: Float64
    weight_kg: Float64

    def __post_init__(self) -> None:
        shape = self.give_units.shape
        for name in ("give_value", "take_units", "take_value"):
            if getattr(self, name).shape != shape or len(shape) != 3:
                raise ValueError(f"expected {name} [item, node, step]")
        for name in ("size", "weight_kg"):
            given = getattr(self, name)
            if given.shape != shape[:1] or not np.isfinite(given).all() or (given < 0).any():
                raise ValueError(f"expected {name} of at least 0 for each item")
        if (self.size <= 0).any():
            raise ValueError("expected size above 0: what takes no room needs no plan")
        if min(self.give_units.min(initial=0), self.take_units.min(initial=0)) < 0:
            raise ValueError("expected units of at least 0")
        for name, units, value, rises in (
            ("give_value", self.give_units, self.give_value, True),
            ("take_value", self.take_units, self.take_value, False),
        ):
            if not np.isfinite(value).all():
                raise ValueError(f"expected {name} that is finite")
            if not _is_monotone(np.where(units > 0, value, np.nan), rises=rises):
                raise ValueError(f"expected {name} that {'rises' if rises else 'falls'} from step to step")
        gives, takes = self.give_units[:, :, 0] > 0, self.take_units[:, :, 0] > 0
        both = gives & takes
        if (self.take_value[:, :, 0][both] > self.give_value[:, :, 0][both] * (1 + 1e-9) + 1e-9).any():
            raise ValueError("expected that no unit brings more than the one before it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """item, source, target, units int64[m]; `gain` of all at cost, no plan gains more than `bound`.

    price         float64[from, to]: what a unit of room is worth on this way, docks included
    price_by_row  the same as it was searched for: of lanes, of docks out, of docks in
    """

    item: Int64
    source: Int64
    target: Int64
    units: Int64
    gain: float
    bound: float
    price: Float64
    price_by_row: Float64
    rounds: int
    seconds: float

    @property
    def gap(self) -> float:
        """Share of the bound that a better plan could gain at most."""
        return max(0.0, 1.0 - self.gain / self.bound) if self.bound > 0 else 0.0


def best_transfers(
    steps: Steps, lanes: Lanes, *,
    banned: Iterable[tuple[int, int, int]] = (), known: Moved | None = None, gap: float = 0.004,
    time_limit_s: float = 50.0, seed: int = 0,
) -> Moved:  # fmt: skip
    """The transfers that gain most, in whole units and one hop a unit.

    banned        (item, from, to) that may not be used
    known         an earlier plan for much the same, whose prices are taken as they are
    gap           good enough: stop looking for better prices
    time_limit_s  of the search for prices and plan; the plan is feasible and the bound holds whenever it ends

    Where no room is short the plan is proved to be the best.
    """
    began = time.monotonic()
    search = _Search(steps, lanes, sorted(banned))
    if not len(steps.size) or len(lanes.unit_minor) < 2:
        return search.told(began)
    search.look(search.everything, 1.0)
    if search.is_within(search.used):
        search.plan((0.0,))
        return search.told(began)
    if known is not None:
        search.take_prices(known)
        search.plan((1.0, 0.5, 0.0))
        return search.told(began)
    search.sample_prices(np.random.default_rng(seed), began + 0.3 * time_limit_s)
    search.step_prices(_FULL_STEPS, began + 0.6 * time_limit_s)
    search.plan(_SINKING)
    while search.gap() > gap and time.monotonic() - began + search.slowest_s < time_limit_s:
        before = search.gain
        search.step_prices(8, began + time_limit_s)
        search.plan((1.05, 0.9, 0.4))
        if search.gain <= before * (1 + 1e-5):
            break
    return search.told(began)


@dataclass(slots=True)
class _Search:
    steps: Steps
    lanes: Lanes
    banned: list[tuple[int, int, int]]
    bound: float = math.inf
    gain: float = 0.0
    rounds: int = 0
    slowest_s: float = 0.0
    everything: Int64 = field(init=False)
    used: Float64 = field(init=False)
    price: Float64 = field(init=False)
    best_price: Float64 = field(init=False)
    moved: Int32 = field(init=False)
    gains: Float64 = field(init=False)
    room: Float64 = field(init=False)
    rooms: tuple[Float64, Float64, Float64] = field(init=False)

    def __post_init__(self) -> None:
        items, nodes = self.steps.give_units.shape[:2]
        self.everything = np.arange(items)
        # Prices and room of all lanes, then of all docks, out and in.
        lanes = self.lanes
        lane, out, into = (np.minimum(room, NO_LIMIT) for room in (lanes.room, lanes.dock_out, lanes.dock_in))
        self.rooms = lane, out, into
        self.room = np.concatenate([r.ravel() for r in self.rooms])
        self.used = np.zeros(len(self.room))
        self.price = np.zeros(len(self.room))
        self.best_price = self.price
        self.moved = np.zeros((items, _MOVES_MAX * nodes, 3), np.int32)
        self.gains = np.zeros(items)

    def _tables(self, price: Float64) -> tuple[npt.NDArray[np.generic], ...]:
        items = len(self.everything)
        rows = np.array(self.banned, np.int64).reshape(-1, 3)
        first = np.searchsorted(rows[:, 0], np.arange(items + 1))
        s, lanes = self.steps, self.lanes
        return (s.give_units, s.give_value, s.take_units, s.take_value, lanes.unit_minor, _no_nan(lanes.kg_minor),
                s.weight_kg, s.size, self._by_lane(price), first, rows[:, 1].copy(), rows[:, 2].copy())  # fmt: skip

    def _by_lane(self, price: Float64) -> Float64:
        nodes = len(self.lanes.unit_minor)
        lane, out, into = np.split(price, [nodes * nodes, nodes * nodes + nodes])
        return lane.reshape(nodes, nodes) + out[:, None] + into[None, :]

    def look(self, items: Int64, weight: float) -> tuple[float, Float64]:
        """What all items gain at the prices, with what the room is worth; and what they would use, docks included."""
        began = time.monotonic()
        nodes = len(self.lanes.unit_minor)
        tables = self._tables(self.price)
        parts = np.array_split(items, min(len(items), 4 * cores()) if len(items) > _ALONE else 1)
        used = np.zeros((len(parts), nodes, nodes))
        if len(parts) == 1:
            gains: list[float] = [flow_priced(items, *tables, used[0])]
        else:
            with thread_pool() as pool:
                jobs = [pool.submit(flow_priced, some, *tables, mine) for some, mine in zip(parts, used, strict=True)]
                gains = [job.result() for job in jobs]
        lane = used.sum(axis=0) * weight
        total = np.concatenate([lane.ravel(), lane.sum(axis=1), lane.sum(axis=0)])
        value = float(sum(gains)) * weight + float(self.price @ self.room)
        if len(items) == len(self.everything):
            self.used = total
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            if value < self.bound:
                self.bound, self.best_price = value, self.price
        self.rounds += 1
        return value, total

    def is_within(self, used: Float64) -> bool:
        return bool((used <= self.room).all())

    def sample_prices(self, random: np.random.Generator, until: float) -> None:
        """Prices from so many items, taken for all: an item is a small part of any lane."""
        items = len(self.everything)
        if items <= 2 * _SAMPLE:
            self._descend(self.everything, _SAMPLE_STEPS, until, 0.05)
            return
        some = np.sort(random.choice(items, _SAMPLE, replace=False))
        self._descend(some, _SAMPLE_STEPS, until, 0.05)

    def take_prices(self, known: Moved) -> None:
        self.price = known.price_by_row
        self.look(self.everything, 1.0)
        self.best_price = self.price

    def step_prices(self, count: int, until: float) -> None:
        if self.best_price.any():
            self.price = self.best_price
        self._descend(self.everything, count, until, 0.006)

    def _descend(self, items: Int64, count: int, until: float, ahead: float) -> None:
        """Steps towards a bound that is by `ahead` lower than the best seen; less and less so."""
        weight = len(self.everything) / len(items)
        scale = np.sqrt(np.maximum(self.room, 1e-9))
        lowest = math.inf
        for _ in range(count):
            if time.monotonic() > until:
                return
            value, used = self.look(items, weight)
            lowest = min(lowest, value)
            over = used - self.room
            over[(self.price <= 0) & (over < 0)] = 0
            # Room of all sizes at once: what is large is not to have all of the step.
            step = over / scale
            length = float(over @ step)
            if length == 0:
                return
            goal = max(lowest * (1 - ahead), self.gain)
            self.price = np.maximum(0.0, self.price + max(value - goal, 0.0) / length * step)
            ahead *= 0.95

    def plan(self, shares: tuple[float, ...]) -> None:
        """Let the items choose in turn, at shares of the best prices; those that have chosen keep what is better."""
        lane, out, into = (room.copy() for room in self.rooms)
        for item, source, target, units in self._rows():
            taken = self.steps.size[item] * units
            lane[source, target] -= taken
            out[source] -= taken
            into[target] -= taken
        order = self.everything
        for share in shares:
            tables = self._tables(self.best_price * share)
            self.gain = flow_within(order, *tables, lane, out, into, self.moved, self.gains)
            order = order[::-1]

    def _rows(self) -> Iterable[tuple[int, int, int, int]]:
        item, row = np.nonzero(self._is_used())
        source, target, units = self.moved[item, row].T
        return zip(item.tolist(), source.tolist(), target.tolist(), units.tolist(), strict=True)

    def _is_used(self) -> npt.NDArray[np.bool_]:
        # Rows are ended by one without units.
        return np.logical_and.accumulate(self.moved[:, :, 2] > 0, axis=1)

    def gap(self) -> float:
        return 1.0 - self.gain / self.bound if self.bound > 0 else 0.0

    def told(self, began: float) -> Moved:
        item, row = np.nonzero(self._is_used())
        source, target, units = (np.ascontiguousarray(c, np.int64) for c in self.moved[item, row].T)
        return Moved(
            item=item,
            source=source,
            target=target,
            units=units,
            gain=self.gain,
            bound=self.bound if math.isfinite(self.bound) else 0.0,
            price=self._by_lane(self.best_price),
            price_by_row=self.best_price,
            rounds=self.rounds,
            seconds=time.monotonic() - began,
        )


def _no_nan(cost: Float64) -> Float64:
    return np.where(np.isfinite(cost), cost, 0.0)


def _is_monotone(value: Float64, *, rises: bool) -> bool:
    step = np.diff(value, axis=2)
    wrong = step < -1e-6 * np.abs(value[:, :, 1:]) - 1e-9 if rises else step > 1e-6 * np.abs(value[:, :, 1:]) + 1e-9
    return not wrong.any()
