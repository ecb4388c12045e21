"""Over the counter: who walks into a store takes what lies there and pays at a till. Its files tell us of it."""

import asyncio
import random
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from onhand.twin.clock import Clock
from onhand.twin.shoppers import DAY_S, busyness
from onhand.twin.storefronts import TILLS
from onhand.twin.street import Street
from onhand.twin.world import ORDERS_PER_DAY, Json, World, cumulative

_TURN_S: Final = 0.5
_TRIES: Final = 5


class Counters:
    """The counters of all stores. What lies in a store is what was read there last, less what was sold since."""

    def __init__(self, world: World, street: Street, clock: Clock, run: int) -> None:
        self._world, self._street, self._clock = world, street, clock
        self._draw = random.Random(f"onhand counters {world.seed} {run}")  # noqa: S311
        self._popularity = cumulative(world.popularity)
        self._shelves: dict[str, dict[str, int]] = defaultdict(dict)

    def seen(self, node: str, rows: Iterable[Json]) -> None:
        """All positions of a node were read."""
        if node in TILLS.shop.nodes:
            self._shelves[node] = {row["sku"]: row["available"] for row in rows if row["available"] > 0}

    async def run(self, stop: asyncio.Event) -> None:
        """Let people in, until `stop`."""
        since_s = self._clock.now_s()
        while not stop.is_set():
            await asyncio.sleep(_TURN_S)
            now_s = self._clock.now_s()
            per_s = ORDERS_PER_DAY * TILLS.shop.share / DAY_S * busyness(now_s, TILLS.shop.night_owl)
            await self._street.ring_up(self.sales(per_s * (now_s - since_s)))
            since_s = now_s

    def sales(self, expected: float) -> list[Json]:
        """What is bought by so many people as come in one turn: a Poisson number."""
        found: list[Json] = []
        left = self._draw.expovariate(1.0)
        while left < expected:
            left += self._draw.expovariate(1.0)
            if (sale := self._sale()) is not None:
                found.append(sale)
        return found

    def _sale(self) -> Json | None:
        place = self._draw.choice(TILLS.shop.nodes)
        shelf: Mapping[str, int] = self._shelves[place]
        for _ in range(_TRIES):
            sku = self._world.skus[bisect(self._popularity, self._draw.random() * self._popularity[-1])]
            if (there := shelf.get(sku, 0)) > 0:
                units = min(there, self._draw.choices((1, 2), (85, 15))[0])
                self._shelves[place][sku] = there - units
                return {"place": place, "sku": sku, "quantity": units}
        return None
