"""Which units to move to which node before the demand is there.

A unit at a node is worth what it is expected to sell there until the horizon (or what is left of it then), less where
units lie that nobody asks for, more where they will be missing: concave, from drawn demand. Units on their way serve
nobody until they arrive. The best transfers are flows (transfers.py); of these only such are proposed whose gain is
more than their cost by half a standard deviation of the gain, and nothing moves back or again soon: a plan that chases
noise moves stock to and fro.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from onhand.planning.kernels import worth_steps
from onhand.planning.protection import Expected, drawn_totals, in_parts
from onhand.planning.transfers import NO_LIMIT, Lanes, Moved, Steps, best_transfers

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

STEPS = 8
# Plans after the first one only take up what it held back.
_ROUNDS_MAX = 6
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
    horizon_days: int = 14, caution: Caution | None = None, recent: Sequence[Recent] = (),
    paths: int = 200, correlation: float = 0.5, seed: int = 0, gap: float = 0.003, time_limit_s: float = 50.0,
) -> Transfers:  # fmt: skip
    """Transfers worth making today.

    expected      of each item at each node, rows item by item: [item * nodes + node, day, level]
    lead_days     int64[from, to]; a node counts on the median of the lanes into it
    horizon_days  how far ahead stock is valued: until the next supply, for example
    paths         draws of demand a row, even

    Never moves more than is movable, nor more over a lane or dock than its room; no item moves to a node and away from
    it. With the moves made (their units `coming`), the same call proposes none. Raises ValueError.
    """
    careful = caution or Caution()
    items, nodes = stocked.stock.shape
    if len(expected.quantiles) != items * nodes:
        raise ValueError(f"expected a forecast of {items} x {nodes} rows, got {len(expected.quantiles)}")
    if lanes.unit_minor.shape != (nodes, nodes) or lead_days.shape != (nodes, nodes):
        raise ValueError(f"expected lanes and lead times between {nodes} nodes")
    if horizon_days < 1 or lead_days.min(initial=0) < 0:
        raise ValueError("expected a horizon of a day or more, lead times of at least 0")
    arrive = np.minimum(_arrivals(lanes, lead_days), horizon_days)
    before, after = drawn_totals(
        expected, np.tile(arrive, items)[:, None], np.tile(horizon_days - arrive, items),
        paths=paths, correlation=correlation, seed=seed,
    )  # fmt: skip
    planner = _Planner.of(stocked, lanes, before, after)
    banned = planner.remember(recent, lead_days, careful)
    solved = best_transfers(planner.steps, lanes, banned=banned, gap=gap, time_limit_s=time_limit_s, seed=seed)
    moves, again = planner.accept(solved, careful)
    made = [moves]
    for _ in range(_ROUNDS_MAX):
        if not len(again) or not len(moves):
            break
        # What was held back is asked for again beside what was accepted, until nothing more is.
        rest, room = planner.after(np.concatenate(made), again)
        part = best_transfers(
            rest, room, banned=[(n, k, to) for n, item in enumerate(again.tolist()) for i, k, to in banned if i == item],
            known=solved, seed=seed,
        )  # fmt: skip
        moves, again = planner.accept(replace(part, item=again[part.item]), careful, np.concatenate(made))
        made.append(moves)
    return planner.told(np.concatenate(made), solved)


def _arrivals(lanes: Lanes, lead_days: Int64) -> Int64:
    """int64[node]: days until a transfer to it arrives."""
    is_lane = np.isfinite(lanes.unit_minor) & ~np.eye(len(lead_days), dtype=bool)
    days = [lead_days[is_lane[:, to], to] for to in range(len(lead_days))]
    return np.array([int(np.median(d)) if len(d) else 0 for d in days], np.int64)


@dataclass(slots=True)
class _Planner:
    """Draws of demand as they matter: missed, wanted int32[item * node, path], see kernels.worth_steps."""

    stocked: Stocked
    lanes: Lanes
    missed: Int32
    wanted: Int32
    steps: Steps

    @classmethod
    def of(cls, stocked: Stocked, lanes: Lanes, before: Int32, after: Int32) -> "_Planner":
        rows = len(before)
        items, nodes = stocked.stock.shape
        give, take = np.zeros((rows, STEPS), np.int64), np.zeros((rows, STEPS), np.int64)
        give_value, take_value = np.zeros((rows, STEPS)), np.zeros((rows, STEPS))
        given = tuple(
            getattr(stocked, name).ravel() for name in ("stock", "movable", "coming", "worth", "left")
        )
        # The draws themselves are not needed again: what matters of them takes their place.
        kept = (before, after, give, give_value, take, take_value)

        def part(start: int, end: int) -> None:
            worth_steps(
                before[start:end].copy(), after[start:end].copy(), *(g[start:end] for g in given),
                *(k[start:end] for k in kept),
            )  # fmt: skip

        in_parts(rows, part)
        shape = (items, nodes, STEPS)
        steps = Steps(
            give_units=give.reshape(shape), give_value=give_value.reshape(shape), take_units=take.reshape(shape),
            take_value=take_value.reshape(shape), size=stocked.size, weight_kg=stocked.weight_kg,
        )  # fmt: skip
        return cls(stocked, lanes, before, after, steps)

    def remember(
        self, recent: Sequence[Recent], lead_days: Int64, caution: Caution
    ) -> list[tuple[int, int, int]]:
        """Keep still what moved lately; the ways back that are closed."""
        banned: set[tuple[int, int, int]] = set()
        items, nodes = self.stocked.stock.shape
        for move in recent:
            if not (0 <= move.item < items and 0 <= move.source < nodes and 0 <= move.target < nodes):
                raise ValueError(f"expected a move of one of {items} items between two of {nodes} nodes: {move!r}")
            if move.days_ago < caution.hold_days:
                for node in (move.source, move.target):
                    self.steps.give_units[move.item, node] = 0
                    self.steps.take_units[move.item, node] = 0
            if move.days_ago < caution.reverse_lead * lead_days[move.source, move.target]:
                banned.add((move.item, move.target, move.source))
        return sorted(banned)

    def after(self, made: Int64, items: Int64) -> tuple[Steps, Lanes]:
        """What is left to be decided of some items, and the room that is left."""
        given, come = self._totals(made)
        give, take = self.steps.give_units[items].copy(), self.steps.take_units[items].copy()
        _use_up(give, given[items])
        _use_up(take, come[items])
        # Who gave does not take, and the other way round.
        take[given[items] > 0] = 0
        give[come[items] > 0] = 0
        lane = np.zeros(self.lanes.unit_minor.shape)
        np.add.at(lane, (made[:, 1], made[:, 2]), self.stocked.size[made[:, 0]] * made[:, 3])
        s = self.steps
        rest = Steps(
            give_units=give, give_value=s.give_value[items], take_units=take, take_value=s.take_value[items],
            size=s.size[items], weight_kg=s.weight_kg[items],
        )  # fmt: skip
        return _first_used(rest), replace(
            self.lanes,
            room=_left_of(self.lanes.room, lane),
            dock_out=_left_of(self.lanes.dock_out, lane.sum(axis=1)),
            dock_in=_left_of(self.lanes.dock_in, lane.sum(axis=0)),
        )

    def accept(self, solved: Moved, caution: Caution, made: Int64 | None = None) -> tuple[Int64, Int64]:
        """(moves that are sure enough, items of which some were held back); moves int64[m, 4]: item, from, to, units."""
        planned = np.stack([solved.item, solved.source, solved.target, solved.units], axis=1).astype(np.int64)
        before = np.zeros((0, 4), np.int64) if made is None else made
        given, come = self._totals(np.concatenate([before, planned]))
        kept = planned[:, 3].copy()
        for n, (item, source, target, units) in enumerate(planned.tolist()):
            kept[n] = 0
            for tried in dict.fromkeys((units, -(-units // 2), -(-units // 4), 1)):
                # The others as planned: what each adds to them.
                rest_given, rest_come = given[item, source] - units, come[item, target] - units
                gain = self._gain(item, source, target, tried, int(rest_given), int(rest_come))
                cost = self._cost(item, source, target) * tried
                if gain.mean() - cost > max(caution.sd_share * float(gain.std()), caution.gain_minor):
                    kept[n] = tried
                    break
            given[item, source] += kept[n] - units
            come[item, target] += kept[n] - units
        held = np.unique(planned[kept < planned[:, 3], 0])
        moves = planned.copy()
        moves[:, 3] = kept
        return moves[kept > 0], held

    def told(self, made: Int64, solved: Moved) -> Transfers:
        given, come = self._totals(made)
        count = len(made)
        cost, gain, low, high, saved = (np.zeros(count) for _ in range(5))
        for n, (item, source, target, units) in enumerate(made.tolist()):
            rest_given, rest_come = int(given[item, source] - units), int(come[item, target] - units)
            cost[n] = self._cost(item, source, target) * units
            drawn = self._gain(item, source, target, units, rest_given, rest_come) - cost[n]
            gain[n] = drawn.mean()
            low[n], high[n] = np.quantile(drawn, (0.05, 0.95))
            saved[n] = self._sold(item, source, target, units, rest_given, rest_come)
        item, source, target, units = made.T
        return Transfers(
            item=item, source=source, target=target, units=units, cost=cost, gain=gain, gain_low=low, gain_high=high,
            saved=saved, solved=solved,
        )  # fmt: skip

    def _gain(self, item: int, source: int, target: int, units: int, given: int, come: int) -> Float64:
        """float64[path]: what moving so many units brings beside what else leaves and comes, before its cost."""
        nodes = self.stocked.stock.shape[1]
        top = self.stocked.stock[item, source] - given
        lost = np.clip(self.missed[item * nodes + source] - (top - units), 0, units)
        sold = np.clip(self.wanted[item * nodes + target] - come, 0, units)
        worth, left = self.stocked.worth[item], self.stocked.left[item]
        brings = left[target] * units + (worth[target] - left[target]) * sold
        return brings - left[source] * units - (worth[source] - left[source]) * lost

    def _sold(self, item: int, source: int, target: int, units: int, given: int, come: int) -> float:
        nodes = self.stocked.stock.shape[1]
        top = self.stocked.stock[item, source] - given
        lost = np.clip(self.missed[item * nodes + source] - (top - units), 0, units)
        return float((np.clip(self.wanted[item * nodes + target] - come, 0, units) - lost).mean())

    def _cost(self, item: int, source: int, target: int) -> float:
        by_kg = self.lanes.kg_minor[source, target] * self.stocked.weight_kg[item]
        return float(self.lanes.unit_minor[source, target] + by_kg)

    def _totals(self, moves: Int64) -> tuple[Int64, Int64]:
        given, come = np.zeros(self.stocked.stock.shape, np.int64), np.zeros(self.stocked.stock.shape, np.int64)
        np.add.at(given, (moves[:, 0], moves[:, 1]), moves[:, 3])
        np.add.at(come, (moves[:, 0], moves[:, 2]), moves[:, 3])
        return given, come


def _use_up(units: Int64, taken: Int64) -> None:
    """Take units[item, node, step] away from the first step on."""
    rest = taken.copy()
    for step in range(units.shape[2]):
        less = np.minimum(units[:, :, step], rest)
        units[:, :, step] -= less
        rest -= less


def _first_used(steps: Steps) -> Steps:
    """The steps with those that are used up at the end: the flow takes the first one to be the best."""
    made: dict[str, npt.NDArray[np.generic]] = {}
    for kind in ("give", "take"):
        units, value = getattr(steps, f"{kind}_units"), getattr(steps, f"{kind}_value")
        order = np.argsort(units == 0, axis=2, kind="stable")
        made[f"{kind}_units"] = np.take_along_axis(units, order, axis=2)
        made[f"{kind}_value"] = np.take_along_axis(value, order, axis=2)
    return replace(steps, **made)


def _left_of(room: Float64, used: Float64) -> Float64:
    return np.where(room < NO_LIMIT, np.maximum(room - used, 0.0), room)
