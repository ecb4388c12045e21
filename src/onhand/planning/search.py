"""Policies tuned by simulation, where no theory says what is best: lost sales, minimum quantities, days that go
together, several segments that share one purse.

Candidates are tried on the same demand (common random numbers), one coordinate at a time, and a comparison ends as soon
as the interval of paired differences says who is cheaper (racing): `few` paths where that is plain, `most` at the most
(Nelson 2010; Hong, Nelson and Xu 2015). Found is a choice that no single step improves, not a proved optimum.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onhand.planning.kernels import roll_out_paths

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

Choice = tuple[int, ...]
Cost = Callable[[Choice, int, int], Float64]
"""cost(choice, first, last): float64[last − first], what the choice costs on each of these paths."""

# Two-sided 95 %.
_Z = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """choice: an index a coordinate; cost ± half_width on the paths seen; evaluated: paths simulated of all."""

    choice: Choice
    cost: float
    half_width: float
    evaluated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """(R, s, S) of each row, arrays[n]: order up to `level` when at or below `low` on a review day.

    lead, review  days; review at least 1
    minimum, multiple  units of an order
    stockout      cost of a unit not served, carrying: of a unit kept overnight, fixed: of an order
    """

    on_hand: Int64
    lead: Int64
    review: Int64
    minimum: Int64
    multiple: Int64
    stockout: Float64
    carrying: Float64
    fixed: Float64

    def __post_init__(self) -> None:
        if min(self.review.min(initial=1), self.multiple.min(initial=1)) < 1:
            raise ValueError("expected a review time and a multiple of at least 1")
        if min(self.on_hand.min(initial=0), self.lead.min(initial=0), self.minimum.min(initial=0)) < 0:
            raise ValueError("expected on_hand, lead and minimum of at least 0")
        costs = np.concatenate([self.stockout, self.carrying, self.fixed])
        if not np.isfinite(costs).all() or (costs < 0).any():
            raise ValueError("expected costs that are finite and at least 0")


def roll_out(demand: Int64, level: Int64, rules: Rules, *, low: Int64 | None = None) -> Float64:
    """float64[P, n]: what a policy costs on each path. demand int64[P, n, days]; level, low int64[n]"""
    cost = np.zeros(demand.shape[:2])
    roll_out_paths(
        np.ascontiguousarray(demand), rules.on_hand, level, level - 1 if low is None else low, rules.lead, rules.review,
        rules.minimum, rules.multiple, rules.stockout, rules.carrying, rules.fixed, cost,
    )  # fmt: skip
    return cost


def tune_service(
    demand: Int64, levels: Int64, segment: Int64, rules: Rules, *, few: int = 200, first_level: int | None = None
) -> Found:
    """The service level of each segment that costs least in a roll-out with lost sales.

    demand   int64[P, n, days]
    levels   int64[K, n]: order-up-to level of each row at each of K service levels, rising
    segment  int64[n]: of each row, from 0

    Returns an index into K for each segment.
    """
    if levels.shape[1:] != segment.shape or demand.shape[1] != len(segment) or not len(segment):
        raise ValueError("expected demand [path, row, day], levels [level, row] and a segment of each row")
    segments = int(segment.max()) + 1
    start = (len(levels) - 1) // 2 if first_level is None else first_level

    def cost(choice: Choice, first: int, last: int) -> Float64:
        level = levels[np.array(choice)[segment], np.arange(len(segment))]
        return roll_out(demand[first:last], level, rules).sum(axis=1)

    return coordinate_search(cost, [len(levels)] * segments, [start] * segments, few=few, most=len(demand))


def coordinate_search(
    cost: Cost, sizes: Sequence[int], start: Sequence[int], *, few: int = 200, most: int = 2_000, rounds: int = 20
) -> Found:
    """Walk each coordinate in turn, a step up or down while that is cheaper, until none is.

    sizes, start  of each coordinate: choices 0, ..., size − 1, and where to begin
    few, most     paths of a first look and of the last one
    """
    if len(sizes) != len(start) or any(not 0 <= s < size for s, size in zip(start, sizes, strict=True)):
        raise ValueError("expected a start within the choices of each coordinate")
    if not 2 <= few <= most:
        raise ValueError("expected 2 <= few <= most")
    race = _Race(cost, few, most)
    at = tuple(start)
    for _ in range(rounds):
        before = at
        for axis, size in enumerate(sizes):
            for step in (1, -1):
                while 0 <= at[axis] + step < size:
                    tried = (*at[:axis], at[axis] + step, *at[axis + 1 :])
                    if not race.is_cheaper(tried, at):
                        break
                    at = tried
        if at == before:
            break
    seen = race.costs(at, most)
    half_width = _Z * float(seen.std(ddof=1)) / math.sqrt(len(seen))
    return Found(choice=at, cost=float(seen.mean()), half_width=half_width, evaluated=race.evaluated)


class _Race:
    """Costs of choices on the first paths, as many as were needed."""

    def __init__(self, cost: Cost, few: int, most: int) -> None:
        self._cost, self._few, self._most = cost, few, most
        self._seen: dict[Choice, Float64] = {}
        self.evaluated = 0

    def costs(self, choice: Choice, paths: int) -> Float64:
        seen = self._seen.get(choice, np.zeros(0))
        if len(seen) < paths:
            more = np.asarray(self._cost(choice, len(seen), paths), np.float64)
            if more.shape != (paths - len(seen),) or not np.isfinite(more).all():
                raise ValueError("expected a finite cost of each path")
            self.evaluated += len(more)
            seen = self._seen[choice] = np.concatenate([seen, more])
        return seen[:paths]

    def is_cheaper(self, challenger: Choice, holder: Choice) -> bool:
        paths = self._few
        while True:
            gain = self.costs(holder, paths) - self.costs(challenger, paths)
            mean, half_width = float(gain.mean()), _Z * float(gain.std(ddof=1)) / math.sqrt(paths)
            if abs(mean) > half_width:
                return mean > 0
            if paths == self._most:
                # Nobody can tell them apart: what is known stays.
                return False
            paths = min(2 * paths, self._most)
