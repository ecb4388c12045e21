"""The pool of a joint batch: which ways to send lines there are (cells, by key), and what a plan of them costs.

A key is option * 256 + mask of lines; sorted and distinct keys are the cells of `shadow` in their order.
"""

import math

import numpy as np
import numpy.typing as npt

from onhand.sourcing import shadow
from onhand.sourcing.bends import free_points
from onhand.sourcing.shadow import LINES_MAX, Cells, Table

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
SUBSETS = 1 << LINES_MAX
_ROOM = 48  # keys of an order that there is room for at first


def pool_of(table: Table, keys: Ints) -> Cells:
    """Spell out the cells with these keys (option * 256 + mask; sorted, distinct)."""
    option, mask = keys // SUBSETS, keys % SUBSETS
    order_of = np.searchsorted(table.option_first, option, side="right") - 1
    first = np.searchsorted(order_of, np.arange(len(table.option_first)))
    longest = int(np.diff(table.line_first).max(initial=0)) + 3
    room = len(keys) * longest + int((table.use_first[option + 1] - table.use_first[option]).sum())
    none = np.zeros(0, np.int64)
    cells = Cells(
        first,
        option,
        mask,
        np.empty(len(keys), np.int32),
        np.empty(len(keys)),
        np.empty(len(keys) + 1, np.int64),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        none,
        none,
        np.empty(room, np.int32),
        none,
        none,
        none,
    )
    shadow.spell(table, order_of, option, mask, cells)
    return shadow.narrow(table, cells)


def order_of(table: Table, keys: Ints) -> Ints:
    return np.searchsorted(table.option_first, keys // SUBSETS, side="right") - 1


def refused_lines(table: Table, order: Ints, mask: Ints) -> npt.NDArray[np.bool_]:
    """bool[lines]: lines that no fulfilment (order, mask) holds."""
    refused = np.ones(len(table.units), bool)
    for bit in range(LINES_MAX):
        refused[table.line_first[order[(mask >> bit) & 1 == 1]] + bit] = False
    return refused


def costs_of(table: Table, keys: Ints) -> Floats:
    """float64[orders]: money of each order in the plan that takes these cells and refuses all other lines."""
    mask, order, orders = keys % SUBSETS, order_of(table, keys), len(table.refuse)
    width = (1 << np.diff(table.line_first)) - 1
    at = table.cost_first[order] + (keys // SUBSETS - table.option_first[order]) * width[order] + mask - 1
    costs: Floats = np.bincount(order, weights=table.cost[at], minlength=orders).astype(np.float64)
    refused = refused_lines(table, order, mask)
    order_of_line = np.repeat(np.arange(orders), np.diff(table.line_first))
    costs += np.bincount(order_of_line[refused], weights=table.refuse_line[refused], minlength=orders)
    some = np.unique(order_of_line[refused])
    costs[some] += table.refuse[some]
    return costs


def near_keys(
    table: Table, price: Floats, bend: Floats, delta: float, cells_max: int, work: shadow.Work, values: Floats,
    begin: int, end: int,
) -> Ints:  # fmt: skip
    """The keys that `shadow.survey` finds of the orders begin..end-1."""
    room = max(cells_max, 4096) * 2 + _ROOM * len(values)
    while True:
        keys = np.empty(min(room, len(table.cost)), np.int64)
        found = shadow.survey(
            table, price, bend, min(delta, shadow.FAR / 10), cells_max, work, values, keys, begin, end
        )
        if found >= 0:
            return keys[:found]
        # Many cells of one price: the count is no limit then.
        room *= 4


def all_keys(table: Table) -> Ints:
    """Every cell that exists and fits alone."""
    work = shadow.work()
    price = np.zeros(len(table.capacity))
    price[-1] = shadow.BLOCKED
    orders = len(table.refuse)
    every = max(1, len(table.cost))
    return near_keys(table, price, free_points(table), math.inf, every, work, np.zeros(orders), 0, orders)
