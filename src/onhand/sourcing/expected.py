"""Look forward from the orders of the last weeks: what units, and room, will be worth to the orders to come. Pure.

Expected orders are those of the last weeks, each as often as it may come again until supply does. Nothing has a price
while there are fewer than ORDERS_MIN orders, or they tell of less than DAYS_MIN days. The running system
(flows/foresight.py) and simulations (simulation/ahead.py) both look forward by this.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import Network
from onhand.sourcing.node_worth import Local, worth
from onhand.sourcing.policy import Foresight, Policy
from onhand.sourcing.prices import Expected, central_prices, span_of_costs
from onhand.sourcing.room import Room, learn_room
from onhand.sourcing.solve import NO_PRICES, Stock

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

ORDERS_MIN: Final = 200
DAYS_MIN: Final = 1.0
HISTORY_DAYS: Final = 28.0
"""Orders from before are not looked at."""
HORIZON_DAYS: Final = 14.0
"""Until supply comes, of which nothing is known; what is known is taken for so many days at least, or at most:"""
_SUPPLY_DAYS_MIN, _SUPPLY_DAYS_MAX = 1.0, 28.0
# So often is an item that is asked for looked at, on average.
_SAMPLES_PER_ITEM = 25
_DAY_S = 86_400.0


class Foreseen(NamedTuple):
    """unit: as in tables.Prices; step_minor: how far the price of a unit moves with one that is taken; price_max: the
    highest one, minor units; room: of nodes that are too small for all who would like to go there, or None."""

    unit: Float32
    step_minor: float
    price_max: float
    room: Room | None = None


def look_forward(
    expected: Expected,
    stock: Stock,
    network: Network,
    policy: Policy,
    goods: Goods,
    *,
    now: float,
    until: Float64,
    samples_max: int,
    local: Local | None = None,
    start: Float32 | None = None,
    seed: int = 1,
    between: Callable[[], None] | None = None,
) -> Foreseen | None:
    """Prices of the units of `stock` for the orders `expected` within HORIZON_DAYS; None where the policy does not look
    forward, or nothing can be served.

    until        float64[item], see `share_until`
    samples_max  expected orders that are decided at most
    local        what is known of sales at nodes, and of what is cleared there
    start        the `unit` of last time, to begin from
    between      see `central_prices`
    """
    ahead = policy.foresight
    if ahead is None:
        return None
    span = span_of_costs(expected, network, policy, goods, now=now, seed=seed)
    if span <= 0:
        return None
    ahead = _measured(ahead, span, len(np.unique(expected.orders.item)), samples_max)
    prices = central_prices(
        expected, stock, network, policy, goods, ahead, now=now, span=span, start=start, until=until,
        base=None if local is None else _base(local, stock, until, policy), seed=seed, between=between,
    )  # fmt: skip
    room = learn_room(
        expected, HORIZON_DAYS * _DAY_S, replace(stock, prices=prices._replace(capacity=NO_PRICES.capacity)), network,
        policy, goods, ahead, now=now, span=span, seed=seed, between=between,
    )  # fmt: skip
    return Foreseen(prices.unit, ahead.follow_share * span, ahead.price_max * span, room)


def share_until(item: Int32, ready: Float64, items: int, *, now: float) -> Float64:
    """float64[items]: share of the horizon until supply comes, of which there is some of `item` at `ready` (Unix
    seconds), in any order."""
    first = np.full(items, np.inf)
    known = item < items
    np.minimum.at(first, item[known], ready[known])
    days = np.clip((first - now) / _DAY_S, _SUPPLY_DAYS_MIN, _SUPPLY_DAYS_MAX)
    return np.where(np.isinf(first), HORIZON_DAYS, days) / HORIZON_DAYS


def _measured(ahead: Foresight, span: float, items: int, samples_max: int) -> Foresight:
    """With samples for so many items, and the limit in money as a share of the span."""
    most = ahead.price_max if ahead.price_max_minor is None else min(ahead.price_max, ahead.price_max_minor / span)
    samples = min(samples_max, max(ahead.samples, _SAMPLES_PER_ITEM * items))
    return replace(ahead, price_max=most, samples=samples)


def _base(local: Local, stock: Stock, until: Float64, policy: Policy) -> Float32:
    """float32[item, node]: what a unit is worth where it lies."""
    items, nodes = stock.available.shape
    base = np.zeros((items, nodes), np.float32)
    some = local.only((local.item < items) & (local.node < nodes))
    i, k = some.item, some.node
    units = (stock.available[i, k] - stock.pending[i, k]).astype(np.float64)
    minor = worth(some, units, until[i] * HORIZON_DAYS)
    most = None if policy.foresight is None else policy.foresight.price_max_minor
    base[i, k] = minor if most is None else np.clip(minor, -most, most)
    return base


__all__ = [
    "DAYS_MIN", "HISTORY_DAYS", "HORIZON_DAYS", "ORDERS_MIN", "Foreseen", "look_forward", "share_until",
]  # fmt: skip
