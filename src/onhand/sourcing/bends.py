"""Prices by amount: what makes the bound of a joint batch see that amounts are whole.

Three orders that want two units each of a stock of three: at a price per unit, one and a half of them fit. Here such a
row has **points**: a price g(a) for taking `a` at once, for each amount that is asked, of any shape. All plans together
take amounts from the row that fit into it, so that

    bound(g) = sum over orders of their cheapest plan at g - sum over rows of  max { sum g(a) : sum a <= capacity }

is below the cost of every joint plan (each row is a subproblem of its own: Lagrangian decomposition, M. Guignard and
S. Kim 1987); the maximum is a bounded knapsack. It is the bound by unit prices where g(a) = a * price and the capacity
can be filled, and better elsewhere: both the orders and each row are as if decided in whole amounts.

Rows of little room get points, of which several amounts are asked or one that does not fill them; room for many makes
little difference, and much work.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.sourcing.shadow import BENT_MAX, FAR, LINES_MAX, Table

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
# Points that belong to no row and stay free: one for each number of lines, 0 to 8.
_FREE = LINES_MAX + 1


class Bends(NamedTuple):
    """`Table`'s arrays of the same names (row, first, amount, most, line_point), and where its slots find theirs:

    first_point  int32[items, nodes]  first point of an item's stock at a node, 0 = none
    rank         int64[lines]         which of the amounts asked of its item a line asks
    """

    row: Ints
    first: Ints
    amount: Ints
    most: Ints
    first_point: npt.NDArray[np.int32]
    line_point: npt.NDArray[np.int32]
    rank: Ints


def bends_of(
    item: npt.NDArray[Any],
    units: npt.NDArray[Any],
    lines_max: int,
    stock: npt.NDArray[Any],
    room: npt.NDArray[Any],
    stock_row: npt.NDArray[Any],
    room_row: npt.NDArray[Any],
) -> Bends:
    """Of lines that ask `units` of `item` (at most `lines_max` an order) from `stock` [items, nodes] and `room` for
    lines [nodes]; their rows [items, nodes] and [nodes], -1 where they cannot bind."""
    width = BENT_MAX + 1
    key: Ints = item.astype(np.int64) * width + np.minimum(units, width) - 1
    asked: Ints
    counts: Ints
    asked, counts = np.unique(key, return_counts=True)
    of_item = np.searchsorted(asked, np.arange(len(stock) + 1) * width)
    amounts = asked % width + 1
    i, k = np.nonzero((stock_row >= 0) & (stock <= BENT_MAX) & (stock > 0))
    here: Ints = stock[i, k].astype(np.int64)
    # Amounts asked that fit: the first of its item, up to what is here.
    usable = np.searchsorted(asked, i * width + here) - of_item[i]
    least = amounts[np.minimum(of_item[i], len(asked) - 1)] if len(asked) else here
    bent = (usable > 1) | ((usable == 1) & (here % least != 0))
    i, k, usable = i[bent], k[bent], usable[bent]
    begin: Ints = np.cumsum(usable) - usable
    points = np.repeat(of_item[i] - begin, usable) + np.arange(int(usable.sum()))
    first_point = np.zeros(stock.shape, np.int32)
    first_point[i, k] = _FREE + begin
    tight: Ints = np.flatnonzero((room_row >= 0) & (room <= BENT_MAX) & (lines_max > 1))
    line_point = np.zeros(len(room), np.int32)
    line_point[tight] = _FREE + len(points) + np.arange(len(tight)) * lines_max - 1
    sizes = np.concatenate([usable, np.full(len(tight), lines_max)])
    free = np.zeros(_FREE, np.int64)
    return Bends(
        row=np.concatenate([stock_row[i, k], room_row[tight]]).astype(np.int64),
        first=_FREE + np.concatenate([[0], np.cumsum(sizes)]),
        amount=np.concatenate([free, amounts[points], np.tile(np.arange(1, lines_max + 1), len(tight))]),
        most=np.concatenate([free, counts[points], np.full(len(tight) * lines_max, BENT_MAX)]),
        first_point=first_point,
        line_point=line_point,
        rank=np.searchsorted(asked, key) - of_item[item],
    )


def free_points(table: Table) -> npt.NDArray[np.float64]:
    """float64[points]: nothing for any amount, but for those that never fit."""
    bend = np.zeros(len(table.point_amount))
    room = np.repeat(table.capacity[table.bent_row], np.diff(table.bent_first))
    bend[_FREE:][table.point_amount[_FREE:] > room] = FAR
    return bend
