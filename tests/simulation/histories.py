"""Small random histories on the network of the benchmark."""

from dataclasses import replace
from typing import Any

import numpy as np

from onhand.bench.sourcing import AT, asked, network
from onhand.simulation.history import History, Inbound, Moves

DAY = 86_400.0
BEGINS = AT.timestamp()


def history(
    orders: int = 300, *, seed: int = 1, nodes: int = 6, items: int = 20, days: float = 6, stock: int = 8,
    moves: int = 0, rejection: float = 0.0, **more: Any,
) -> History:  # fmt: skip
    """Orders over some days; up to `stock` units at a node, so that they run out."""
    known = network(nodes, seed, items)
    draw = np.random.default_rng([seed, 9])
    shape = known.available.shape
    available = np.where(draw.random(shape) < 0.6, draw.integers(1, stock + 1, shape), 0).astype(np.int32)
    available[0] = available[:, 0] = 0
    return replace(
        History(
            begins=BEGINS,
            orders=asked(known, orders, seed),
            placed=np.sort(BEGINS + draw.uniform(0, days * DAY, orders)),
            may_wait=np.ones(orders, np.bool_),
            may_split=np.ones(orders, np.bool_),
            wishes=np.full(orders, -1, np.int32),
            network=known.compiled,
            goods=known.catalogue.goods,
            available=available,
            safety=known.safety,
            rejection=np.full(shape[1], rejection),
            moves=some_moves(moves, shape, days, seed),
        ),
        **more,
    )


def some_moves(count: int, shape: tuple[int, ...], days: float, seed: int) -> Moves:
    """Mostly receipts; a tenth takes units away."""
    draw = np.random.default_rng([seed, 10])
    units = np.where(draw.random(count) < 0.9, draw.integers(1, 6, count), -draw.integers(1, 4, count))
    return Moves(
        np.sort(BEGINS + draw.uniform(0, days * DAY, count)),
        draw.integers(1, shape[0], count).astype(np.int32),
        draw.integers(1, shape[1], count).astype(np.int32),
        units.astype(np.int32),
        np.zeros(count, np.bool_),
    )


def inbound(rows: list[tuple[float, float, int, int, int]]) -> Inbound:
    """(known and ready in days after the beginning, item, node, units)."""
    table = np.array(sorted(rows, key=lambda r: (r[2], r[1])), np.float64).reshape(-1, 5)
    known, ready, item, node, units = table.T
    return Inbound(
        BEGINS + known * DAY, BEGINS + ready * DAY, item.astype(np.int32), node.astype(np.int32), units.astype(np.int32)
    )


def arrivals(rows: list[tuple[float, int, int, int]]) -> Moves:
    """Announced supply that comes: (day, item, node, units)."""
    table = np.array(sorted(rows), np.float64).reshape(-1, 4)
    at, item, node, units = table.T
    whole = np.int32
    return Moves(
        BEGINS + at * DAY, item.astype(whole), node.astype(whole), units.astype(whole), np.ones(len(table), np.bool_)
    )
