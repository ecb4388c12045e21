"""What room at a node is worth to the orders to come: prices of its ship days, learned from expected orders. Pure.

A node that takes so many orders, lines or units a day is full at some moment, and who comes later goes elsewhere, or a
day later. The price of its day is what that costs those who lose most by it: an order that has nearly as good a way
elsewhere goes there, and leaves the room to them.

Learned as prices of stock are (sourcing/prices.py): the solver decides expected orders, in small batches at fixed
prices each, and the price of a node's day rises by what they take of it beyond the share that is left for each, and
falls by what they leave; steps become shorter the more it has moved (J. Duchi, E. Hazan and Y. Singer 2011), and the
mean of the later part is taken. Two prices for each node, as two questions are asked: of the ship day that is open now,
what is left of it is for the orders until its cut-off; later ones have a whole day's orders before them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import NO_LIMIT, Network
from onhand.sourcing.policy import Foresight, Policy
from onhand.sourcing.prices import Expected, draw
from onhand.sourcing.solve import Asked, Stock, decide_asked

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

# Steps of each walk, and expected orders that each decides; the mean is of the second half.
_STEPS, _EACH = 96, 24
# Orders that are looked at first: where they leave room everywhere, there is no price.
_LOOK = 1_000
# So full a node may be by chance in a sample like that, which has room in truth.
_SPARE = 0.9
# Of the price that is found: where all who want room would pay the same, a price a little above would send all of them
# away until the next outlook, and leave the node empty; one a little below keeps others out all the same.
_CAUTION = 0.9


@dataclass(frozen=True, slots=True)
class Room:
    """Prices by node_id: float64[nodes, 3] each, of an order, a line and a unit, whole minor units; of the ship day
    that was open when they were learned (`day`: int32[nodes], days since 1970), and of later ones."""

    now: Float64
    later: Float64
    day: Int32

    def at(self, network: Network) -> Float64:
        """float64[nodes, 6] as the solver reads them (tables.Prices.capacity), where the clock of `network` is now:
        when a node's day has ended, the next one is as later ones are. Nodes that are new have none."""
        made = np.zeros((network.count + 1, 6))
        known = min(len(self.day), network.count + 1)
        same = (self.day[:known] == network.slot_day[:known, 0])[:, np.newaxis]
        made[:known, :3] = np.where(same, self.now[:known], self.later[:known])
        made[:known, 3:] = self.later[:known]
        return made


def learn_room(
    expected: Expected,
    seconds: float,
    stock: Stock,
    network: Network,
    policy: Policy,
    goods: Goods,
    foresight: Foresight,
    *,
    now: float,
    span: float,
    seed: int = 0,
    between: Callable[[], None] | None = None,
) -> Room | None:
    """Prices of room for the orders `expected` in so many seconds; None where there is room for all of them.

    stock    with the prices of its units, by which these orders are decided, too
    span     see prices.span_of_costs: the measure of steps and of the highest price
    between  called between small calls of the solver
    """
    if not (network.limits[1:] < NO_LIMIT).any() or not any(o.capacity_dual for o in policy.objectives.values()):
        return None
    each_now, each_later = _shares(expected, seconds, network, now)
    walk = _Walk(expected, stock, network, policy, goods, foresight, now, span, between or (lambda: None))
    use = walk.use(walk.draw(_LOOK, seed), np.zeros((network.count + 1, 3))) / _LOOK
    if not ((use > _SPARE * each_now) | (use > _SPARE * each_later)).any():
        return None
    later = walk.prices(each_later, np.zeros_like(use), seed + 1)
    first = walk.prices(each_now, later, seed + 2)
    first = _at_most(first, later, walk.delay_minor(seed + 3))
    if not (first.any() or later.any()):
        return None
    return Room(first, later, network.slot_day[:, 0].astype(np.int32))


def _shares(expected: Expected, seconds: float, network: Network, now: float) -> tuple[Float64, Float64]:
    """float64[nodes, 3]: room for each expected order until the next cut-off, and from then until the one after; inf:
    no limit."""
    per_second = float(expected.count.sum()) / seconds
    cutoff = network.slot_cutoff.astype(np.float64)
    windows = (cutoff[:, 0] - now, cutoff[:, 1] - cutoff[:, 0])
    shares: list[Float64] = []
    for slot, window in enumerate(windows):
        orders = np.maximum(per_second * window, 1.0)[:, np.newaxis]
        left = network.left[:, slot].astype(np.float64)
        is_open = (network.limits < NO_LIMIT) & (left < NO_LIMIT) & (cutoff[:, slot] > 0)[:, np.newaxis]
        shares.append(np.where(is_open, np.maximum(left, 0.0) / orders, np.inf))
    return shares[0], shares[1]


def _at_most(first: Float64, later: Float64, delay: float) -> Float64:
    """Prices of the day that is open, no dearer than to wait for the next one: `delay` is what that costs an order."""
    mine, theirs = first.sum(axis=1), later.sum(axis=1) + delay
    return np.rint(first * np.minimum(1.0, theirs / np.maximum(mine, 1e-9))[:, np.newaxis])


@dataclass(slots=True)
class _Walk:
    expected: Expected
    stock: Stock
    network: Network
    policy: Policy
    goods: Goods
    foresight: Foresight
    now: float
    span: float
    between: Callable[[], None]

    def draw(self, count: int, seed: int) -> Asked:
        asked = self.expected.orders.only(draw(self.expected.count, count, seed))
        return replace(asked, may_dip=np.zeros(count, np.int32))

    def use(self, asked: Asked, price: Float64) -> Float64:
        """float64[nodes, 3]: orders, lines and units that nodes would have of these orders at these prices."""
        self.between()
        stock = self.stock
        both = np.concatenate([price, price], axis=1)
        seen = replace(stock, prices=stock.prices._replace(capacity=both))
        roomy = replace(self.network, left=np.full_like(self.network.left, NO_LIMIT))
        d = decide_asked(asked, seen, roomy, self.policy, self.goods, now=self.now, consume=False)
        made, nodes = int(d.fulfilment_first[-1]), len(price)
        node = d.node[:made]
        amounts = (np.ones(made), d.lines[:made], d.units[:made])
        return np.column_stack([np.bincount(node, amount, nodes) for amount in amounts]).astype(np.float64)

    def delay_minor(self, seed: int) -> float:
        """What it costs an order, the mean, that its nodes send it a ship day later."""
        asked = self.draw(_LOOK, seed)
        cost: list[Float64] = []
        for closed in (False, True):
            self.between()
            left = np.full_like(self.network.left, NO_LIMIT)
            left[:, 0] = 0 if closed else NO_LIMIT
            room = replace(self.network, left=left)
            d = decide_asked(asked, self.stock, room, self.policy, self.goods, now=self.now, consume=False)
            cost.append(np.where(d.count > 0, d.cost, np.nan))
        more = cost[1] - cost[0]
        return max(0.0, float(np.nanmean(more))) if np.isfinite(more).any() else 0.0

    def prices(self, share: Float64, start: Float64, seed: int) -> Float64:
        """Central prices where each order may take `share` of each node's day."""
        limited = np.isfinite(share)
        allowed = np.where(limited, share, 0.0) * _EACH
        step, most = self.foresight.step_share * self.span, self.foresight.price_max * self.span
        price = np.where(limited, start, 0.0)
        moved, total, taken = np.zeros_like(price), np.zeros_like(price), 0
        orders = self.draw(_STEPS * _EACH, seed)
        for n in range(_STEPS):
            some = orders.only(np.arange(n * _EACH, (n + 1) * _EACH))
            change = np.where(limited, self.use(some, price) - allowed, 0.0)
            moved += change * change
            price = np.clip(price + step * change / np.sqrt(1.0 + moved), 0.0, most)
            if n >= _STEPS // 2:
                total += price
                taken += 1
        # Whole, as it is kept with decisions.
        return np.rint(_CAUTION * total / taken)


__all__ = ["Room", "learn_room"]
