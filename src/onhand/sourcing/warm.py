"""Compile the loops, or read them from the disk, before somebody waits for them.

Those that orders need are compiled before a server answers (`warm_kernel`, half a minute to a minute where nothing is
kept). Those of joint planning are needed now and then: a worker has them compiled by another process, in the background
(`warm_together`), so that it costs the orders nothing. What one process has compiled all others read from the disk.
"""

import os
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from onhand.base.compiled import is_kept
from onhand.catalog.catalogue import Goods
from onhand.ledger.stack import stack
from onhand.network.compiled import Network, compile_network
from onhand.sourcing import batch, record, repair, shadow
from onhand.sourcing.batch import NO_LIMIT, Options, Shared
from onhand.sourcing.policy import STANDARD, Policy
from onhand.sourcing.solve import Ask, Stock, asked, decide, first_rows
from onhand.sourcing.together import plan_together

_AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
_NODES, _ITEMS = 6, 8
_SERVICE = {
    "code": "standard",
    "rate_table": {
        "by": "distance_km", "distance_km": [800, None], "weights_g": [1_000, 10_000],
        "prices_minor": [[400, 700], [800, 1_500]],
    },
    "transit_days": {"p50": 2, "p95": 4},
}  # fmt: skip
# Compiling counts, and is no reason to end before every loop has been gone through.
_LIMIT_S = 2.0


def warm_kernel(policy: Policy = STANDARD) -> None:
    """All that an order is decided, kept and counted by."""
    network = _network(1)
    ones, now = np.ones(2, np.int64), _AT.timestamp()
    goods = Goods(ones, ones, np.zeros(2, np.int32))
    units = np.ones((2, network.count + 1), np.int32)
    ask = Ask(demand=[(1, 1)], latitude=0, longitude=0, channel=network.channels["a"])
    decisions = decide([ask], Stock(units, 0 * units, 0 * units), network, policy, goods, now=now, consume=False)
    record.encode(decisions, [0.0], [0.0], goods, now)
    stack(*np.ones((3, 1), np.int32))


def warm_together() -> None:
    """All that orders are planned together by."""
    network = _network(_NODES)
    random = np.random.default_rng(1)
    weights = np.ones(_ITEMS + 1, np.int64)
    goods = Goods(100 * weights, 1_000 * weights, np.zeros(_ITEMS + 1, np.int32))
    for seed, orders in enumerate((4, 40)):
        asks = [
            Ask(
                demand=[
                    (int(item), int(random.integers(1, 4))) for item in random.permutation(_ITEMS)[: 1 + n % 4] + 1
                ],
                latitude=float(random.uniform(-20, 20)),
                longitude=float(random.uniform(-20, 20)),
                channel=network.channels["a"],
                fulfilments_max=3,
            )
            for n in range(orders)
        ]
        units = random.integers(0, 4, (_ITEMS + 1, _NODES + 1)).astype(np.int32)
        stock = Stock(units, 0 * units, 0 * units)
        room = replace(network, left=network.left.copy(), parcels=network.parcels.copy())
        plan_together(
            asked(asks, room), stock, room, STANDARD, goods, now=_AT.timestamp(), time_limit_s=_LIMIT_S, seed=seed
        )
    batch.warm_up(*_scarce())


def compile_quietly() -> None:
    """`warm_together` in a process of its own, which gives way to all others."""
    with suppress(OSError, AttributeError):  # where there are priorities
        os.nice(19)
    warm_together()


def _scarce() -> tuple[Options, Shared]:
    """Two dozen orders of one or two lines over four nodes that cannot serve them all: enough for every loop."""
    orders, nodes = 24, 4
    random = np.random.default_rng(3)
    lines = 1 + np.arange(orders) % 2
    demand = int(lines.sum())
    ways = (1 << lines) - 1
    options = Options(
        line_first=first_rows(lines.tolist()),
        item=random.integers(0, _ITEMS, demand).astype(np.int32),
        units=np.ones(demand, np.int32),
        fulfilments_max=lines.astype(np.int32),
        refuse_minor=np.zeros(orders),
        refuse_line_minor=np.full(demand, 200.0),
        option_first=np.arange(0, orders * nodes + 1, nodes, dtype=np.int64),
        node=np.tile(np.arange(nodes, dtype=np.int32), orders),
        cost_first=first_rows((ways * nodes).tolist()).astype(np.int64),
        cost=random.uniform(5, 20, int(ways.sum()) * nodes),
    )
    limits = np.full((nodes, 3), NO_LIMIT, np.int32)
    limits[:, 1] = demand // nodes
    return options, Shared(random.integers(0, 3, (_ITEMS, nodes)).astype(np.int32), limits)


def is_together_kept() -> bool:
    """Whether what `warm_together` compiles is on the disk: the last ones of its loops are."""
    return all(is_kept(function) for function in (shadow.climb, shadow.rivals, repair.adopt, repair.ruin))


def _network(nodes: int) -> Network:
    """Nodes around a point, two of three orders a day full, one carrier."""
    random = np.random.default_rng(2)
    rows: list[dict[str, Any]] = [
        {
            "node_id": n, "code": f"n{n}", "country": "DE", "latitude": float(random.uniform(-20, 20)),
            "longitude": float(random.uniform(-20, 20)), "timezone": "UTC", "handling_cost_minor": 100 * n,
            "cutoff": "23:59", "working_days": [1, 2, 3, 4, 5, 6, 7], "closed_days": [],
            "capacity_orders": 3 if n % 3 else None, "capacity_lines": None, "capacity_units": None,
            "methods": ["ship"], "co2_g_per_order": 0, "active": True,
        }
        for n in range(1, nodes + 1)
    ]  # fmt: skip
    document = {
        "nodes": rows,
        "carriers": [{"code": "c", "document": {"services": [_SERVICE]}}],
        "channels": [{"channel_id": 1, "code": "a", "node_ids": None, "active": True}],
    }
    return compile_network(msgspec.json.encode(document), _AT)


__all__ = ["compile_quietly", "is_together_kept", "warm_kernel", "warm_together"]
