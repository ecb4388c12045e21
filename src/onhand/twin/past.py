"""What the town sold before anybody looked, of some items and countries and day by day: as much as a forecast of them
needs. Pure.

Forecasts and detectors count days of the wall, of which a demo lives a few minutes; how much of the town's time a day
of its past holds is therefore the caller's choice: see planners.py.
"""

import random
from collections import Counter
from datetime import date
from typing import Final

from onhand.twin.market import lift
from onhand.twin.places import City
from onhand.twin.shoppers import PIECES, PIECES_OF_100
from onhand.twin.storefronts import FRONTS, own
from onhand.twin.story import ranked, talked_of
from onhand.twin.tastes import Tastes
from onhand.twin.world import ORDERS_PER_DAY, Json, Shop, World

DAYS: Final = 28
# Items that sell well, those that go viral first when a story has some go viral, and countries with most people.
_USUAL, _TALKED_OF, _COUNTRIES = 8, 8, 4

Key = tuple[str, str]
"""A sku and a country."""


class Past:
    """Of a world in which it is some day, of the town.

    skus    of which it is told; usual: those of them that no story makes unusual; countries: where they went
    orders  of a whole day
    """

    def __init__(self, world: World, town_day: int) -> None:
        self._world, self._town_day = world, town_day
        self._tastes = Tastes(world)
        viral = talked_of(world, _TALKED_OF)
        # What costs less just now sells better than on the days before, and no forecast would know of it.
        well = ranked(world)[len(world.items) // 16 :]
        calm = [sku for sku in well if sku not in viral and not self._tastes.discount(town_day, sku)]
        self.usual = tuple(calm[:_USUAL])
        self.skus = (*self.usual, *viral)
        people = Counter[str]()
        for city in world.cities:
            people[city.country] += city.people
        self.countries = tuple(country for country, _ in people.most_common(_COUNTRIES))
        self._share = {country: people[country] / people.total() for country in self.countries}
        self._city: dict[str, City] = {}
        for city in world.cities:
            self._city.setdefault(city.country, city)
        # Who fetches it, or buys it over the counter, belongs to the stores: their past is not told.
        shops = [*own(world).shops, *(front.shop for front in FRONTS)]
        self.orders = ORDERS_PER_DAY * sum(shop.share for shop in shops)
        lines = ORDERS_PER_DAY * sum(shop.share * (1 - shop.picks_up) * _lines(shop) for shop in shops)
        self._units = lines * _mean(PIECES)
        # What a line more or less brings: lines come by chance, and with them all of their pieces.
        self._scatter = _mean([n * n for n in PIECES]) / _mean(PIECES)

    def expected(self, days_back: int = 0) -> dict[Key, float]:
        """Units of a whole day of the town that lies so many days back, without promotions, by sku and country."""
        found: dict[Key, float] = {}
        day = self._town_day - days_back
        for country in self.countries:
            running = self._tastes.weights(day, self._city[country])
            weights = [upper - lower for lower, upper in zip([0.0, *running], running, strict=False)]
            share = Counter[str]()
            for item, weight in zip(self._world.items, weights, strict=True):
                usual = weight / lift(self._tastes.discount(day, item["sku"])) / running[-1]
                for part in item.get("components", [{"sku": item["sku"], "quantity": 1}]):
                    share[part["sku"]] += usual * part["quantity"]
            found |= {(sku, country): self._units * self._share[country] * share[sku] for sku in self.skus}
        return found

    def sales(self, today: date, *, share: float) -> list[Json]:
        """Rows of `POST /v1/sales/batch`: what was sold on each of the DAYS days before today.

        share  how much of a day of the town such a day holds; more than 1: several
        """
        draw = random.Random(f"onhand past {self._world.seed} {today}")  # noqa: S311 - a simulation, no secret
        rows: list[Json] = []
        for back in range(DAYS, 0, -1):
            day = date.fromordinal(today.toordinal() - back).isoformat()
            for (sku, country), usual in self.expected(back).items():
                mean = usual * share
                units = max(0, round(draw.gauss(mean, (mean * self._scatter) ** 0.5)))
                rows.append({"sku": sku, "region": country, "day": day, "quantity": units})
        return rows


def _mean(values: tuple[int, ...] | list[int]) -> float:
    """Over lines of usual orders."""
    return sum(n * often for n, often in zip(values, PIECES_OF_100, strict=True)) / sum(PIECES_OF_100)


def _lines(shop: Shop) -> float:
    """Of a usual order."""
    return sum(n * share for n, share in enumerate(shop.lines, 1)) / sum(shop.lines)
