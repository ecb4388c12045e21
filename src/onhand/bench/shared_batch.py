"""Random batches of orders that compete for stock and node capacity, and how well and fast they are solved jointly."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.sourcing import batch
from onhand.sourcing.batch import NO_LIMIT, Joint, Options, Shared, source_jointly

FLOORS = {500: (0.01, 2.0), 50: (0.03, 5.0)}  # nodes: gap to a proved bound, seconds; of every seed
SEEDS = range(1, 9)
REFUSE_LINE = 200.0  # what leaving one line unserved costs: some ten times what serving it does


def instance(nodes: int, *, orders: int = 1000, items: int = 2000, seed: int = 2) -> tuple[Options, Shared]:
    """A batch of 1-5 line orders (half of them of one line) from customers in 8 clusters, over nodes on a square of
    2,000 km of which a tenth are hubs with most items. Cost: 4 + 0.004 a km a fulfilment; weight * 0.0015 a km and
    handling a line. Stock is scarce (1.2 units where there is any), capacity is 15 % more lines than are asked in all,
    unevenly spread: at 500 nodes all can be served, at 50 about a tenth of the lines cannot."""
    random = np.random.default_rng(seed)
    place = random.random((nodes, 2)) * 2000
    hub = random.random(nodes) < 0.1
    density = 0.35 if nodes <= 50 else 0.12
    popular = 1 / np.arange(1, items + 1) ** 0.8
    popular /= popular.sum()
    has = random.random((items, nodes)) < np.where(hub, 0.85, density)
    stock = (has * (random.poisson(1.2, (items, nodes)) * np.where(hub, 4, 1))).astype(np.int32)
    weight = random.gamma(2, 0.8, items)
    handling = random.uniform(0.5, 2.5, nodes)
    lines = np.asarray(random.choice([1, 2, 3, 4, 5], orders, p=[0.5, 0.25, 0.12, 0.08, 0.05]), np.int64)
    sku: list[npt.NDArray[Any]] = []
    units: list[npt.NDArray[Any]] = []
    for count in lines:
        sku.append(random.choice(items, int(count), replace=False, p=popular))
        units.append(random.choice([1, 2, 3], count, p=[0.8, 0.15, 0.05]))
    cluster = random.random((8, 2)) * 2000
    customer = cluster[random.integers(0, 8, orders)] + random.normal(0, 120, (orders, 2))
    distance = np.sqrt(((customer[:, None, :] - place[None]) ** 2).sum(2))
    fixed = 4.0 + 0.004 * distance
    capacity = np.maximum(
        3, random.uniform(0.4, 1.6, nodes) * 1.15 * lines.sum() / nodes * np.where(hub, 2.0, 1)
    ).astype(np.int32)
    line_first = np.concatenate([[0], np.cumsum(lines)])
    option_first, cost_first = [0], [0]
    node: list[npt.NDArray[Any]] = []
    cost: list[npt.NDArray[np.float64]] = []
    for order in range(orders):
        able = stock[sku[order]] >= units[order][:, None]
        chosen = np.flatnonzero(able.any(0))
        per_line = weight[sku[order]][:, None] * 0.0015 * distance[order, chosen] + handling[chosen]
        per_line = np.where(able[:, chosen], per_line, np.inf)
        money = np.zeros((len(chosen), 1 << len(sku[order])))
        for mask in range(1, money.shape[1]):
            low = (mask & -mask).bit_length() - 1
            money[:, mask] = money[:, mask & (mask - 1)] + per_line[low]
        money = (money + fixed[order, chosen][:, None])[:, 1:]
        node.append(chosen)
        cost.append(money.ravel())
        option_first.append(option_first[-1] + len(chosen))
        cost_first.append(cost_first[-1] + money.size)
    limits = np.full((nodes, 3), NO_LIMIT, np.int32)
    limits[:, 1] = capacity
    total = int(lines.sum())
    return Options(
        line_first.astype(np.int32),
        np.concatenate(sku).astype(np.int32),
        np.concatenate(units).astype(np.int32),
        lines.astype(np.int32),
        np.zeros(orders),
        np.full(total, REFUSE_LINE),
        np.array(option_first, np.int64),
        np.concatenate(node).astype(np.int32),
        np.array(cost_first, np.int64),
        np.concatenate(cost),
    ), Shared(stock, limits)


class Measure(NamedTuple):
    nodes: int
    seed: int
    cost: float
    bound: float
    gap: float
    seconds: float


def measure(nodes: int, *, seed: int = 2, seconds: float | None = None) -> Measure:
    """Solve one instance in the time its floor allows, compiled code warm."""
    warm_up()
    # The clock is read between steps.
    limit_s = 0.95 * FLOORS[nodes][1] if seconds is None else seconds
    joint = solve(nodes, seed, limit_s)
    return Measure(nodes, seed, joint.cost, joint.bound, joint.gap, joint.seconds)


def solve(nodes: int, seed: int, limit_s: float) -> Joint:
    options, shared = instance(nodes, seed=seed)
    return source_jointly(options, shared, time_limit_s=limit_s, seed=seed)


def warm_up() -> None:
    """Compile (or load) every loop, and load the solver library, on a batch too small to matter."""
    options, shared = instance(20, orders=60, items=40, seed=1)
    batch.warm_up(options, shared)
