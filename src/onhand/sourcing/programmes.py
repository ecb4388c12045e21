"""Plans of a joint batch by the MIP solver, a part of it at a time."""

import math
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.sourcing import referee, shadow
from onhand.sourcing.cells import Floats, Ints, costs_of, near_keys, order_of, pool_of
from onhand.sourcing.shadow import Table

# At 500 nodes half of 1,000 orders with cells so near are solved in a tenth of a second, and all in ten.
_NEAREST, _NEAR, _SHARE, _GROW = 0.15, 2.5, 0.4, 1.05
_PROGRAMMES = 5  # a run
_NODES_MAX = 100
_PART = 0.12  # of the time limit that one programme may take: some find nothing in ten times what others need
_LEAST = 0.02  # of it, too: with less left none is begun
_CELLS, _CELLS_MAX = 24, 30_000  # of an order, and of all


class Found(NamedTuple):
    """The cells of a plan, and its cost."""

    cost: float
    keys: Ints


def gap_of(cost: float, bound: float) -> float:
    """(cost - bound) / |bound|, 0 when they are equal."""
    if cost <= bound:
        return 0.0
    return (cost - bound) / abs(bound) if bound != 0.0 and math.isfinite(bound) else math.inf


class Programmes:
    """Searches one neighbourhood of a plan after another by the MIP solver: cells near the front at the best prices.

    Runs beside the search, of which it changes nothing. Few cells are solved soon, and from there more: first all
    orders with the nearest of their cells; then further cells, of all orders of one line and a share of the others,
    the rest staying as they are. The share grows while the solver has no tree to search, and falls when it has."""

    def __init__(self, table: Table, seed: int, gap_wanted: float, began: float, until: float) -> None:
        self.table, self.gap_wanted = table, gap_wanted
        self.most_s, self.least_s = _PART * (until - began), _LEAST * (until - began)
        # The solver looks at the clock between steps.
        self.until = until - self.least_s
        self.random = np.random.default_rng(seed)
        lines = np.diff(table.line_first)
        self.orders = len(lines)
        # Alone they are nearly a flow problem; where all orders have one line, it means nothing.
        self.is_simple = (lines == 1) & bool((lines > 1).any())
        self.near, self.share = _NEAREST, 1.0

    def run(self, best: Found, price: Floats, bend: Floats, bound: float) -> list[Found]:
        """Each better than `best` and the one before. A cell is near if its order's plan with it is dearer than the
        best it could have by less than `near` times what plans are on average: (best.cost - bound) / orders."""
        work, values, found = shadow.work(), np.empty(self.orders), list[Found]()
        for _ in range(_PROGRAMMES):
            if self.until - perf_counter() <= self.least_s or gap_of(best.cost, bound) <= self.gap_wanted:
                break
            delta = self.near * min(best.cost - bound, 0.01 * abs(bound)) / self.orders
            keys = near_keys(self.table, price, bend, delta, _CELLS, work, values, 0, self.orders)
            free = self.is_simple | (self.random.random(self.orders) < self.share)
            keys = np.union1d(keys[free[order_of(self.table, keys)]], best.keys)
            if len(keys) > _CELLS_MAX:
                break
            better, easy = self.solve(keys, best, free)
            if better.cost < best.cost:
                best = better
                found.append(best)
            if self.near == _NEAREST:
                self.near, self.share = _NEAR, _SHARE
            elif not easy:
                self.share *= 0.8
            elif self.share < 1.0:
                self.share = min(1.0, self.share * _GROW)
            else:
                self.near *= 1.5
        return found

    def cross(self, one: Found, two: Found) -> Found:
        """The best plan of what either has."""
        best = one if one.cost <= two.cost else two
        return self.solve(np.union1d(one.keys, two.keys), best, np.ones(self.orders, np.bool_))[0]

    def solve(self, keys: Ints, best: Found, free: npt.NDArray[np.bool_]) -> tuple[Found, bool]:
        """The best plan of these cells, in which orders that are not free stay as in `best`; whether that was easy."""
        left = min(self.most_s, self.until - perf_counter())
        if left <= self.least_s:
            return best, False
        start = np.searchsorted(keys, best.keys)
        verdict = referee.best_of(
            self.table,
            pool_of(self.table, keys),
            left,
            start=start,
            fixed=start[~free[order_of(self.table, best.keys)]],
            gap=max(self.gap_wanted / 2, 1e-5),
            nodes_max=_NODES_MAX,
        )
        taken = keys[verdict.taken]
        # The solver's tolerances allow for a trace of rounding: the plan is costed anew.
        cost = float(costs_of(self.table, taken).sum()) if math.isfinite(verdict.cost) else math.inf
        return (Found(cost, taken) if cost < best.cost else best), verdict.is_done and verdict.nodes <= 1
