"""Which units to move to which node before the demand is there.

A unit at a node is worth what it is expected to sell there until the horizon (or what is left of it then), less where
units lie that nobody asks for, more where they will be missing: concave, from drawn demand. Units on their way serve
nobody until they arrive. The best transfers are flows (transfers.py); of these only such are proposed whose gain is
more than their cost by half a standard deviation of the gain, and nothing moves back or again soon: a plan that chases
noise moves stock to and fro.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from onhand.planning.kernels import missed_and_later, moved_gains, sure_moves, worth_steps
from onhand.planning.protection import Expected, drawn_totals, in_parts
from onhand.planning.transfers import NO_LIMIT, Lanes, Moved, Steps, best_transfers

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

STEPS = 8
# Plans after the first only take up what it left: seldom more than seven.
_ROUNDS_MAX = 12
UNITS_MAX = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stocked:
    """What lies where, arrays[item, node].

    stock     units that can be sold there
    movable   of them may leave: not those kept for a safety stock or an order
    coming    units that arrive about when a transfer would: transfers and purchases on their way
    worth     money gained by serving a unit of the node's own demand from there: margin that would be lost, with
              what a longer last mile would cost (see `local_worth`)
    left      what a unit is worth there that is not sold by the horizon, not above `worth`
    size, weight_kg  float64[item], of a unit
    """

    stock: Int64
    movable: Int64
    coming: Int64
    worth: Float64
    left: Float64
    size: Float64
    weight_kg: Float64

    def __post_init__(self) -> None:
        for name in ("movable", "coming", "worth", "left"):
            if getattr(self, name).shape != self.stock.shape or self.stock.ndim != 2:
                raise ValueError(f"expected {name} [item, node]")
        for name in ("stock", "movable", "coming"):
            units = getattr(self, name)
            if units.min(initial=0) < 0 or units.max(initial=0) > UNITS_MAX:
                raise ValueError(f"expected {name} of 0 to {UNITS_MAX:,} units")
        if (self.movable > self.stock).any():
            raise ValueError("expected no more movable units than there are")
        if not np.isfinite(self.worth).all() or not np.isfinite(self.left).all() or (self.worth < self.left).any():
            raise ValueError("expected finite worth, not below what is left of a unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """When not to move.

    sd_share      a move's gain must be above its cost by so many standard deviations of the gain
    hold_days     an item that moved to or from a node stays as it is there for so long
    reverse_lead  nothing goes back over a lane for so many of its lead times
    gain_minor    least gain of a move, after its cost
    """

    sd_share: float = 0.5
    hold_days: int = 7
    reverse_lead: float = 2.0
    gain_minor: float = 0.0

    def __post_init__(self) -> None:
        given = (self.sd_share, self.hold_days, self.reverse_lead, self.gain_minor)
        if not all(math.isfinite(g) and g >= 0 for g in given):
            raise ValueError(f"expected numbers of at least 0: {self!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """A transfer of the past: indices of item and nodes, and how many days ago it was decided."""

    item: int
    source: int
    target: int
    days_ago: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """item, source, target, units int64[m] of each transfer, and float64[m]:

    cost       of the transfer
    gain       expected, after cost, with the other transfers made; gain_low, gain_high: in 5 and 95 of 100 draws of
               demand it is below
    saved      units expected to be sold that would not be
    solved     the plan before caution, with its bound and gap
    """

    item: Int64
    source: Int64
    target: Int64
    units: Int64
    cost: Float64
    gain: Float64
    gain_low: Float64
    gain_high: Float64
    saved: Float64
    solved: Moved


def local_worth(
    margin: npt.ArrayLike, lost_share: npt.ArrayLike, last_mile_saved: npt.ArrayLike, days_saved: npt.ArrayLike,
    day_worth: float,
) -> Float64:  # fmt: skip
    """What serving a unit from its own node gains: the margin if it would be lost otherwise; if another node would send
    it, the dearer last mile and the later day that are spared."""
    share = np.asarray(lost_share, np.float64)
    if not np.isfinite(share).all() or (share < 0).any() or (share > 1).any():
        raise ValueError("expected lost_share in [0, 1]")
    spared = np.asarray(last_mile_saved, np.float64) + np.asarray(days_saved, np.float64) * day_worth
    return share * np.asarray(margin, np.float64) + (1 - share) * spared


def rebalance(
    expected: Expected, stocked: Stocked, lanes: Lanes, lead_days: Int64, *,
    horizon_days: int | Sequence[int] = 14, caution: Caution | None = None, recent: Sequence[Recent] = (),
    paths: int = 200, correlation: float = 0.5, seed: int = 0, gap: float = 0.004, time_limit_s: float = 50.0,
) -> Transfers:  # fmt: skip
    """Transfers worth making today.

    expected      of each item at each node, rows item by item: [item * nodes + node, day, level]
    lead_days     int64[from, to]; a node counts on the median of the lanes into it
    horizon_days  how far ahead stock is valued: until the next supply, for example; several are equally likely. What
                  sells late has then less weight than what sells soon, as it has where more may come meanwhile
    paths         draws of demand a row, even; divided among the horizons

    Never moves more than is movable, nor more over a lane or dock than its room; no item moves to a node and away from
    it. With the moves made (their units `coming`), the same call proposes none where no room is short and no way round
    is cheaper. Told of them by `recent`, it proposes nothing to or from nodes that moved lately. Raises ValueError.
    """
    careful = caution or Caution()
    items, nodes = stocked.stock.shape
    if len(expected.quantiles) != items * nodes:
        raise ValueError(f"expected a forecast of {items} x {nodes} rows, got {len(expected.quantiles)}")
    if lanes.unit_minor.shape != (nodes, nodes) or lead_days.shape != (nodes, nodes):
        raise ValueError(f"expected lanes and lead times between {nodes} nodes")
    horizons = [horizon_days] if isinstance(horizon_days, int) else [*horizon_days]
    if not horizons or min(horizons) < 1 or lead_days.min(initial=0) < 0:
        raise ValueError("expected a horizon of a day or more, lead times of at least 0")
    drawn: list[tuple[Int32, Int32]] = []
    for horizon in horizons:
        arrive = np.minimum(_arrivals(lanes, lead_days), horizon)
        drawn.append(drawn_totals(
            expected, np.tile(arrive, items)[:, None], np.tile(horizon - arrive, items),
            paths=paths if len(horizons) == 1 else max(2, paths // len(horizons) // 2 * 2), correlation=correlation,
            seed=seed,
        ))  # fmt: skip
    before, after = (np.concatenate(draws, axis=1) for draws in zip(*drawn, strict=True))
    planner = _Planner.of(stocked, lanes, before, after)
    planner.remember(recent, lead_days, careful)
    steps, room, banned = planner.open(np.arange(items, dtype=np.int64))
    solved = best_transfers(steps, room, banned=banned, gap=gap, time_limit_s=time_limit_s, seed=seed)
    again = planner.accept(solved, careful)
    # Steps are means over several units, and what was held back leaves others more to do: items that moved are looked
    # at again as they then are, as another call would, until nothing more is to be done.
    for _ in range(_ROUNDS_MAX):
        if not len(again):
            break
        steps, room, banned = planner.open(again)
        part = best_transfers(steps, room, banned=banned, known=solved, seed=seed)
        again = planner.accept(replace(part, item=again[part.item]), careful)
    while planner.drop(found := planner.told(solved), careful.gain_minor):
        pass
    return found


def _arrivals(lanes: Lanes, lead_days: Int64) -> Int64:
    """int64[node]: days until a transfer to it arrives."""
    is_lane = np.isfinite(lanes.unit_minor) & ~np.eye(len(lead_days), dtype=bool)
    days = [lead_days[is_lane[:, to], to] for to in range(len(lead_days))]
    return np.array([int(np.median(d)) if len(d) else 0 for d in days], np.int64)


@dataclass(slots=True)
class _Planner:
    """Moves that are decided, and what they leave to be decided.

    missed, later  int32[item * node, path], see kernels.missed_and_later
    still          bool[item, node]: moved lately
    banned         (item, from, to) that would go back, or round
    made           units of each (from, to), by item; of an item no node gives and takes
    given, come    int64[item * node], units of the moves made
    """

    stocked: Stocked
    lanes: Lanes
    missed: Int32
    later: Int32
    still: npt.NDArray[np.bool_]
    given: Int64
    come: Int64
    banned: set[tuple[int, int, int]] = field(default_factory=set[tuple[int, int, int]])
    made: dict[int, Counter[tuple[int, int]]] = field(default_factory=dict[int, Counter[tuple[int, int]]])

    @classmethod
    def of(cls, stocked: Stocked, lanes: Lanes, before: Int32, after: Int32) -> "_Planner":
        coming = stocked.coming.ravel()

        def part(start: int, end: int) -> None:
            missed_and_later(before[start:end], after[start:end], coming[start:end])

        in_parts(len(before), part)
        rows, shape = len(before), stocked.stock.shape
        return cls(
            stocked, lanes, before, after, np.zeros(shape, np.bool_), np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        )

    def remember(self, recent: Sequence[Recent], lead_days: Int64, caution: Caution) -> None:
        """Keep still what moved lately, and close the ways back."""
        items, nodes = self.stocked.stock.shape
        for move in recent:
            if not (0 <= move.item < items and 0 <= move.source < nodes and 0 <= move.target < nodes):
                raise ValueError(f"expected a move of one of {items} items between two of {nodes} nodes: {move!r}")
            if move.days_ago < caution.hold_days:
                self.still[move.item, [move.source, move.target]] = True
            if move.days_ago < caution.reverse_lead * lead_days[move.source, move.target]:
                self.banned.add((move.item, move.target, move.source))

    def open(self, items: Int64) -> tuple[Steps, Lanes, list[tuple[int, int, int]]]:
        """What may be decided of some items, the room that is left, and the ways that are closed, by their place among
        these items."""
        nodes = self.stocked.stock.shape[1]
        rows: Int64 = (items[:, None] * nodes + np.arange(nodes, dtype=np.int64)).ravel()
        give, take = np.zeros((len(rows), STEPS), np.int64), np.zeros((len(rows), STEPS), np.int64)
        give_value, take_value = np.zeros((len(rows), STEPS)), np.zeros((len(rows), STEPS))
        still = self.still.ravel()
        stock = self.stocked.stock.ravel() - self.given
        movable = np.where(still, 0, self.stocked.movable.ravel() - self.given)
        worth, left = self.stocked.worth.ravel(), self.stocked.left.ravel()

        def part(start: int, end: int) -> None:
            worth_steps(
                rows[start:end], self.missed, self.later, stock, movable, self.come, worth, left, give[start:end],
                give_value[start:end], take[start:end], take_value[start:end],
            )  # fmt: skip

        in_parts(len(rows), part)
        take[still[rows]] = 0
        shape = (len(items), nodes, STEPS)
        steps = Steps(
            give_units=give.reshape(shape), give_value=give_value.reshape(shape), take_units=take.reshape(shape),
            take_value=take_value.reshape(shape), size=self.stocked.size[items],
            weight_kg=self.stocked.weight_kg[items],
        )  # fmt: skip
        place = {item: n for n, item in enumerate(items.tolist())}
        banned = [(place[item], source, target) for item, source, target in self.banned if item in place]
        return steps, self._room(), banned

    def _room(self) -> Lanes:
        lane = np.zeros(self.lanes.unit_minor.shape)
        item, source, target, units = self._moves()
        np.add.at(lane, (source, target), self.stocked.size[item] * units)
        return replace(
            self.lanes,
            room=_left_of(self.lanes.room, lane),
            dock_out=_left_of(self.lanes.dock_out, lane.sum(axis=1)),
            dock_in=_left_of(self.lanes.dock_in, lane.sum(axis=0)),
        )

    def accept(self, solved: Moved, caution: Caution) -> Int64:
        """Make the moves that are sure enough, or as much of each as is; the items that move."""
        nodes = self.stocked.stock.shape[1]
        source, target = solved.item * nodes + solved.source, solved.item * nodes + solved.target
        given, come = self.given.copy(), self.come.copy()
        np.add.at(given, source, solved.units)
        np.add.at(come, target, solved.units)
        kept = np.zeros(len(source), np.int64)
        cost = self._costs(solved.item, solved.source, solved.target)
        stocked = self.stocked
        sure_moves(
            source, target, solved.units, cost, self.missed, self.later, stocked.stock.ravel(), stocked.worth.ravel(),
            stocked.left.ravel(), given, come, np.zeros(len(given), np.bool_), np.zeros(len(given), np.bool_),
            caution.sd_share, caution.gain_minor, kept,
        )  # fmt: skip
        made = kept > 0
        free = self._room().room
        np.subtract.at(free, (solved.source, solved.target), stocked.size[solved.item] * kept)
        moves = (solved.item[made], solved.source[made], solved.target[made], kept[made])
        for item, source, target, units in zip(*(a.tolist() for a in moves), strict=True):
            self._make(item, source, target, units, free)
        self._count()
        return np.unique(solved.item[made])

    def _make(self, item: int, source: int, target: int, units: int, free: Float64) -> None:
        """Add a move to those made. What came to its source comes to its target, what left its target leaves from its
        source: no unit goes two ways where one does as well, and no further where none does.

        free  room of lanes that is left when this move and those after it are made, updated
        """
        made, size = self.made.setdefault(item, Counter()), float(self.stocked.size[item])
        while units:
            came = [way for way in made if way[1] == source]
            left = [way for way in made if way[0] == target]
            if not came and not left:
                made[source, target] += units
                return
            back = (target, source)
            firsts, lasts = ([back], [None]) if back in made else (came or [None], left or [None])
            _, way, most, ways = min(
                self._instead(item, [w for w in (first, (source, target), last) if w], free)
                for first in firsts
                for last in lasts
            )
            taken = min(units, most, *(made[w] for w in ways if w != (source, target)))
            if taken <= 0:
                self.banned.add((item, source, target))
                free[source, target] += size * units
                return
            for w in ways:
                free[w] += size * taken
                if w != (source, target):
                    made[w] -= taken
                    if not made[w]:
                        del made[w]
            if way[0] != way[1]:
                free[way] -= size * taken
                made[way] += taken
            units -= taken

    def _instead(
        self, item: int, ways: list[tuple[int, int]], free: Float64
    ) -> tuple[float, tuple[int, int], int, list[tuple[int, int]]]:
        """(what it costs more, the way, how many units may take it, ways) of one way instead of several."""
        way = ways[0][0], ways[-1][1]
        spared = sum(float(self._costs(item, *w)) for w in ways)
        if way[0] == way[1]:
            return -spared, way, UNITS_MAX, ways
        more = float(self._costs(item, *way)) - spared
        if not more <= 0 or (item, *way) in self.banned:
            return math.inf, way, 0, ways
        return more, way, int(min(max(free[way], 0.0) / float(self.stocked.size[item]) + 1e-9, UNITS_MAX)), ways

    def _moves(self) -> tuple[Int64, Int64, Int64, Int64]:
        """item, source, target, units of those made."""
        moves = sorted((item, *way, units) for item, made in self.made.items() for way, units in made.items())
        item, source, target, units = np.array(moves, np.int64).reshape(-1, 4).T.copy()
        return item, source, target, units

    def _count(self) -> None:
        nodes = self.stocked.stock.shape[1]
        item, source, target, units = self._moves()
        self.given[:], self.come[:] = 0, 0
        np.add.at(self.given, item * nodes + source, units)
        np.add.at(self.come, item * nodes + target, units)

    def drop(self, found: Transfers, least: float) -> bool:
        """Take back, of each item, the move that gains least, where others that came after it left it no gain."""
        losing = np.flatnonzero(found.gain <= least)
        losing = losing[np.lexsort((found.gain[losing], found.item[losing]))]
        _, first = np.unique(found.item[losing], return_index=True)
        for move in losing[first].tolist():
            del self.made[int(found.item[move])][int(found.source[move]), int(found.target[move])]
        self._count()
        return bool(len(losing))

    def told(self, solved: Moved) -> Transfers:
        nodes = self.stocked.stock.shape[1]
        item, source, target, units = self._moves()
        gain, low, high, saved = (np.zeros(len(units)) for _ in range(4))
        rows = item * nodes + source, item * nodes + target
        stocked = self.stocked

        def part(start: int, end: int) -> None:
            moved_gains(
                rows[0][start:end], rows[1][start:end], units[start:end], self.missed, self.later,
                stocked.stock.ravel(), stocked.worth.ravel(), stocked.left.ravel(), self.given, self.come,
                gain[start:end], low[start:end], high[start:end], saved[start:end],
            )  # fmt: skip

        in_parts(len(units), part)
        cost = self._costs(item, source, target) * units
        return Transfers(
            item=item, source=source, target=target, units=units, cost=cost, gain=gain - cost, gain_low=low - cost,
            gain_high=high - cost, saved=saved, solved=solved,
        )  # fmt: skip

    def _costs(self, item: Int64 | int, source: Int64 | int, target: Int64 | int) -> Float64:
        """float64[move], of a unit."""
        return (
            self.lanes.unit_minor[source, target] + self.lanes.kg_minor[source, target] * self.stocked.weight_kg[item]
        )


def _left_of(room: Float64, used: Float64) -> Float64:
    return np.where(room < NO_LIMIT, np.maximum(room - used, 0.0), room)
