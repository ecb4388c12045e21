"""Looking forward in a replay, as the running system does: what units are worth to the orders to come is learned again
every simulated day, from the orders of the four weeks before that moment and the stock that this policy has left.

Nothing of what comes later is known: a policy must not seem better because it has seen the future. Each policy learns
by its own rules and prices, as it would if it were the active one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from onhand.network.compiled import Network
from onhand.simulation.history import Float64, History, Int32, join
from onhand.simulation.rules import Rules
from onhand.sourcing.expected import DAYS_MIN, HISTORY_DAYS, HORIZON_DAYS, ORDERS_MIN, look_forward, share_until
from onhand.sourcing.prices import Expected
from onhand.sourcing.room import Room
from onhand.sourcing.solve import NO_PRICES, Stock

DAY = 86_400.0
_SAMPLES_MIN: Final = 2_000
"""Learning takes about half as many decisions as the replay itself, but no fewer than these each time."""


@dataclass(slots=True)
class Ahead:
    """Learns prices for one replay. due: Unix seconds, when it is to be done again.

    known   all orders there are, of the weeks before the period and of the period, as one history
    times   float64[orders]: how many orders each of them stands for
    looks   how often there was enough to learn from
    room    what room of nodes is worth, as it was learned last
    """

    known: History
    times: Float64
    rules: Rules
    seed: int
    every_s: float
    samples: int
    due: float
    looks: int = 0
    room: Room | None = None
    _room_until: float = -1.0

    @classmethod
    def of(cls, history: History, rules: Rules, *, seed: int, refreshes_max: int) -> "Ahead | None":
        """None where the policy does not look forward."""
        policy = rules.policy
        if policy.foresight is None or not refreshes_max or not len(history):
            return None
        if not any(objective.opportunity for objective in policy.objectives.values()):
            return None
        known = history if history.before is None else join(history.before, history)
        times = np.ones(len(known))
        if history.before is not None:
            times[: len(history.before)] = history.before.stand_for
        every = max(DAY, (float(history.placed[-1]) - history.begins) / refreshes_max)
        looks = 1 + int((float(history.placed[-1]) - history.begins) / every)
        samples = max(_SAMPLES_MIN, len(history) // (2 * looks))
        return cls(known, times, rules.about(known), seed, every, samples, history.begins)

    def look(self, stock: Stock, network: Network, now: float) -> None:
        """Learn the prices of `stock` anew, from orders placed before `now`."""
        self.due = now + self.every_s
        rows = self._rows(now)
        if rows is None:
            return
        known, items = self.known, len(stock.available)
        placed = known.placed[rows]
        days = float(placed[-1] - placed[0]) / DAY
        # Each of those that are looked at stands for as many.
        some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), self.samples)).astype(np.int64))]
        asked = known.orders.only(some.astype(np.int64))
        asked = self.rules.put(asked, some, now, again=False)
        times = self.times[some]
        count = times * (float(self.times[rows].sum()) / float(times.sum()) * HORIZON_DAYS / days)
        before = stock.prices.unit
        found = look_forward(
            Expected(orders=asked, count=count), stock, network, self.rules.policy, known.goods, now=now,
            until=_until(stock, items, now), samples_max=self.samples, local=known.local,
            start=before if len(before) else None, seed=self.seed + self.looks,
        )  # fmt: skip
        self.looks += 1
        if found is None:
            return
        stock.prices = stock.prices._replace(unit=found.unit, clock=np.zeros(items))
        stock.step_minor = found.step_minor
        self.room, self._room_until = found.room, -1.0

    def follow(self, stock: Stock, network: Network) -> None:
        """Have the prices of room be those of the ship days that are open now: call when the clock of `network` has
        been set."""
        if self._room_until == network.slots_until:
            return
        self._room_until = network.slots_until
        if self.room is not None:
            stock.prices = stock.prices._replace(capacity=self.room.at(network))
        elif len(stock.prices.capacity):
            stock.prices = stock.prices._replace(capacity=NO_PRICES.capacity)

    def _rows(self, now: float) -> Int32 | None:
        """Orders of the last weeks; None while they are too few."""
        placed = self.known.placed
        first, last = np.searchsorted(placed, [now - HISTORY_DAYS * DAY, now], "left").tolist()
        if self.times[first:last].sum() < ORDERS_MIN or placed[last - 1] - placed[first] < DAYS_MIN * DAY:
            return None
        return np.arange(first, last, dtype=np.int32)


def _until(stock: Stock, items: int, now: float) -> Float64:
    supply = stock.supply
    if not len(supply.first):
        return share_until(np.zeros(0, np.int32), np.zeros(0), items, now=now)
    owner = np.repeat(np.arange(items, dtype=np.int32), np.diff(supply.first))
    open_ = supply.units > 0
    return share_until(owner[open_], supply.ready[open_], items, now=now)


__all__ = ["Ahead"]
