"""What shoppers of the demo fancy on a day: by season, weather where they live, and promotions of the week. Pure.

The same habits as those of the market that planners are tried on (`market.py`), for one moment and one place.
"""

import math
import random
from collections.abc import Sequence
from typing import Final

from onhand.twin.market import HABITS, WEATHER_KEPT, lift, season
from onhand.twin.places import City
from onhand.twin.world import World, cumulative

# Day 0 of every run is a day of March: gardens wake up, Easter comes.
_FIRST_DAY: Final = 75
_PROMOTED_SHARE: Final = 0.06
_DEPTHS: Final = (0.10, 0.15, 0.20, 0.25)
_WEEK: Final = 7
# Warmth of so many days back still tells.
_WEATHER_DAYS: Final = 12


class Tastes:
    """Weights of all skus, and what they cost, by day and city."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._categories = [str(item["category"]) for item in world.items]
        self._weights: dict[tuple[int, str], list[float]] = {}
        self._discounts: dict[int, dict[str, float]] = {}

    def weights(self, day: int, city: City) -> Sequence[float]:
        """Cumulative, in the order of the world's skus."""
        key = day, city.country
        if key not in self._weights:
            if len(self._weights) > 200:  # yesterday's
                self._weights.clear()
            self._weights[key] = cumulative(self._drawn(day, city))
        return self._weights[key]

    def price_minor(self, day: int, sku: str) -> int:
        """In our own shops."""
        price = self._world.prices_minor[sku]
        return round(price * (1 - self.discount(day, sku)))

    def discount(self, day: int, sku: str) -> float:
        """Share of the usual price that is taken off in the week of this day."""
        week = day // _WEEK
        if week not in self._discounts:
            draw = random.Random(f"onhand promotions {self._world.seed} {week}")  # noqa: S311 - a simulation, no secret
            self._discounts[week] = {
                sku: draw.choice(_DEPTHS) for sku in self._world.skus if draw.random() < _PROMOTED_SHARE
            }
        return self._discounts[week].get(sku, 0.0)

    def _drawn(self, day: int, city: City) -> list[float]:
        warmth = weather(self._world.seed, city.country, day)
        day_of_year = (_FIRST_DAY + day) % 365 + 1
        by_category = {
            name: season(habit, city.latitude, day_of_year) * math.exp(habit.warmth * warmth)
            for name, habit in HABITS.items()
        }
        return [
            popularity * by_category.get(category, 1.0) * lift(self.discount(day, sku))
            for popularity, category, sku in zip(
                self._world.popularity, self._categories, self._world.skus, strict=True
            )
        ]


def weather(seed: int, country: str, day: int) -> float:
    """Warmth beyond the usual in a country on a day, in standard deviations: like that of the day before."""
    fresh = math.sqrt(1 - WEATHER_KEPT**2)
    return sum(
        WEATHER_KEPT**back * fresh * random.Random(f"onhand weather {seed} {country} {day - back}").gauss(0, 1)  # noqa: S311
        for back in range(_WEATHER_DAYS)
    )
