"""What a unit at a node is worth to the orders to come: central prices of stock, learned from expected orders. Pure.

The price of (item, node) is the shadow price of its stock in the problem of serving the orders that are expected until
the next supply arrives. An order that is decided by cost + price leaves scarce units to those who need them most.

`central_prices` lets the solver decide a sample of the expected orders, steps the prices after each by what was taken
beyond what a node may give (an averaged stochastic subgradient: N. Z. Shor 1985; B. T. Polyak and A. B. Juditsky 1992),
and takes the mean of the later part: a price that is central among the optimal ones, where a linear programme would
give a corner. Between two refreshes they follow the real orders (terms/opportunity.py; S. Balseiro, H. Lu and
V. Mirrokni 2023), which makes up for what the forecast did not know.

An item's clock is the number of its units that were asked for. A node is expected to give up `rate = stock / units
expected of the item` of each of them, so only the items of an order have their prices touched by it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import Network
from onhand.sourcing import tables
from onhand.sourcing.policy import Foresight, Policy
from onhand.sourcing.solve import NO_PRICES, NO_SUPPLY, Asked, Int32, Stock, decide_asked

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Orders and nodes that the span of costs is measured on.
_SPAN_ORDERS = 32
_SPAN_NODES = 100
# Candidates that one call of the learning looks at.
_CANDIDATES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The orders expected until the next supply: `orders`, each `count` times (float64[orders])."""

    orders: Asked
    count: Float64

    def left(self, share: float) -> "Expected":
        """What is expected still when so much of the time is left."""
        return replace(self, count=self.count * share)

    def units(self, items: int) -> Float64:
        """float64[item]: units expected."""
        asked = self.orders
        units = np.repeat(self.count, np.diff(asked.demand_first)) * asked.units
        return np.bincount(asked.item, units, items)[:items].astype(np.float64)


def span_of_costs(
    expected: Expected, network: Network, policy: Policy, goods: Goods, *, now: float, seed: int
) -> float:
    """What serving one unit costs from the dearest node, the mean over expected orders: the measure of all steps and
    limits, so that nothing depends on the currency."""
    chosen = draw(expected.count, _SPAN_ORDERS, seed)
    nodes = np.unique(network.candidates)
    nodes = np.random.default_rng(seed).choice(nodes, min(_SPAN_NODES, len(nodes)), replace=False)
    # Every node as the only one of a channel.
    alone = replace(
        network.without_limits(),
        candidates=nodes.astype(np.int32),
        candidate_offsets=np.arange(len(nodes) + 1, dtype=np.int32),
    )
    asked = expected.orders.only(np.repeat(chosen, len(nodes)))
    first = asked.demand_first[:-1]
    count = len(first)
    asked = replace(
        asked,
        demand_first=np.arange(count + 1, dtype=np.int32),
        item=asked.item[first],
        units=np.ones(count, np.int32),
        price=None if asked.price is None else asked.price[first],
        cost=None if asked.cost is None else asked.cost[first],
        channel=np.tile(np.arange(len(nodes), dtype=np.int32), len(chosen)),
        fulfilments_max=np.ones(count, np.int32),
    )
    shape = len(goods.weight_g), network.count + 1
    stock = Stock(np.ones(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.int32))
    decisions = decide_asked(asked, stock, alone, policy, goods, now=now, consume=False)
    cost = np.where(decisions.count > 0, decisions.cost, -np.inf).reshape(len(chosen), len(nodes)).max(axis=1)
    cost = cost[np.isfinite(cost)]
    return float(cost.mean()) if len(cost) else 0.0


def central_prices(
    expected: Expected,
    stock: Stock,
    network: Network,
    policy: Policy,
    goods: Goods,
    foresight: Foresight,
    *,
    now: float,
    span: float,
    start: Float32 | None = None,
    until: Float64 | None = None,
    base: Float32 | None = None,
    seed: int = 0,
    between: Callable[[], None] | None = None,
) -> tables.Prices:
    """Prices of the units of `stock` for the orders expected; the decisions that follow move them on.

    start  the `unit` of last time, to begin from; None: from nothing
    until  float64[item]: supply of the item comes after this share of the time that the orders are expected in; None: 1
    base   float32[item, node]: what a unit is worth where it lies (sourcing/node_worth.py); None: as in `start`
    span   see `span_of_costs`
    between  called every some ten milliseconds; what it raises ends the learning

    Costs `foresight.samples` decisions.
    """
    items, nodes = stock.available.shape
    left = stock.available - stock.pending
    units = expected.units(items) if until is None else expected.units(items) * until
    value = np.zeros((items, nodes, 4), np.float32)
    value[:, :, tables.RATE] = np.maximum(left, 0) / np.maximum(units, 1.0)[:, np.newaxis]
    if start is not None:
        value[:, :, tables.BASE] = start[:, :, tables.BASE]
        value[:, :, tables.NETWORK] = np.minimum(start[:, :, tables.NETWORK], foresight.price_max * span)
    if base is not None:
        value[:, :, tables.BASE] = base
    chosen = draw(expected.count, foresight.samples, seed)
    visits = _visits(expected.orders, chosen, items)
    skip = np.ceil(foresight.settle * visits).astype(np.int32)
    mean = np.zeros((items, nodes), np.float32)
    walk = np.array([foresight.step_share * span, foresight.price_max * span])
    learning = NO_PRICES._replace(
        unit=value, clock=np.zeros(items), rejection=stock.prices.rejection, ratio=stock.prices.ratio,
        walk=walk, moved=np.zeros((items, nodes), np.float32), mean=mean,
        visits=np.zeros(items, np.int32), skip=skip,
    )  # fmt: skip
    # What there is decides only whether a node can serve an order; how often, the prices say.
    seen = Stock(stock.available, stock.pending, stock.safety, prices=learning, supply=NO_SUPPLY)
    roomy = network.without_limits()
    # A step is taken once: no call may be so large that it has to be made again with more room. Small calls need little
    # memory, too, and give way to other threads between them.
    size = max(1, _CANDIDATES // max(1, network.candidates_max))
    for first in range(0, len(chosen), size):
        if between is not None:
            between()
        asked = expected.orders.only(chosen[first : first + size])
        still = replace(asked, may_dip=np.zeros(len(asked.zone), np.int32))
        decide_asked(still, seen, roomy, policy, goods, now=now, consume=False)
    counted: Any = visits - skip
    value[:, :, tables.NETWORK] = np.where(
        counted[:, np.newaxis] > 0, mean / np.maximum(counted, 1)[:, np.newaxis], value[:, :, tables.NETWORK]
    )
    return stock.prices._replace(unit=value, clock=np.zeros(items))


def _visits(asked: Asked, chosen: Int64, items: int) -> Int32:
    """int32[item]: how many of the chosen orders ask for it."""
    times = np.bincount(chosen, minlength=len(asked.zone))
    lines = np.repeat(times, np.diff(asked.demand_first))
    return np.bincount(asked.item, lines, items)[:items].astype(np.int32)


def draw(weight: Float64, count: int, seed: int) -> Int64:
    """Indices of `count` orders in random order, each as often as its share of `weight` says, to within one: a
    systematic sample (W. G. Madow 1949) varies less than independent draws."""
    random = np.random.default_rng(seed)
    edges = np.cumsum(weight)
    at = (np.arange(count, dtype=np.float64) + random.random()) * (float(edges[-1]) / count)
    found: Int64 = np.searchsorted(edges, at, side="right").astype(np.int64)
    return random.permutation(np.minimum(found, len(weight) - 1))


__all__ = ["Expected", "Float32", "Int32", "central_prices", "draw", "span_of_costs"]
