"""Who wants what, when: arrivals, baskets, destinations, changes of mind. Pure; one stream of chance per channel."""

import math
import random
from bisect import bisect
from dataclasses import dataclass
from typing import Final

from onhand.twin.places import City
from onhand.twin.story import Trouble
from onhand.twin.tastes import Tastes
from onhand.twin.world import ORDERS_PER_DAY, Json, Shop, World, cumulative

DAY_S: Final = 86_400.0
# Every three hours something is in the news for forty minutes, and every seventh shopper wants it.
_CRAZE_EVERY_S = 3 * 3600.0
_CRAZE_S = 40 * 60.0
_CRAZE_SHARE = 1 / 7
# Units of a line, and how often they are of a hundred.
PIECES: Final = (1, 2, 3, 6)
PIECES_OF_100: Final = (72, 19, 6, 3)
# Lines of a usual basket: so much more often an item is in one than it is a unit.
_LINES_A_VISIT: Final = 1.8
# Regular customers: the same person orders again under the same address.
_CUSTOMERS = 20_000
_FIRST_NAMES: Final = ("Ada", "Bruno", "Carla", "Daan", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Karin")
_LAST_NAMES: Final = ("Almeida", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Horvat", "Jansen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One visit: the order, and what the shopper does around it; times are simulated seconds, None: never.

    asks         asks for a promise before
    reserves_s   holds the basket for this long before it is ordered
    orders       False: the held basket is left behind
    lets_go      a basket left behind is given back, not only forgotten
    cancels_s    changes their mind this long after ordering
    returns_s    sends the first line back this long after delivery
    disposition  what the node makes of the return
    """

    order: Json
    asks: bool
    reserves_s: float | None
    orders: bool
    lets_go: bool
    cancels_s: float | None
    returns_s: float | None
    disposition: str


class Shoppers:
    """The visitors of one channel. `run` makes external ids of different runs different; trouble: what is wrong now."""

    def __init__(self, world: World, shop: Shop, run: int, trouble: Trouble | None = None) -> None:
        self.shop = shop
        self._trouble = Trouble() if trouble is None else trouble
        self._usual = dict(zip(world.skus, world.popularity, strict=True))
        self._world = world
        self._run = run
        self._number = 0
        self._draw = random.Random(f"onhand shoppers {world.seed} {shop.code} {run}")  # noqa: S311
        self._tastes = Tastes(world)
        self._people = cumulative([city.people for city in world.cities])
        self._lines = cumulative(shop.lines)

    def wait_s(self, clock_s: float) -> float:
        """Simulated seconds until the next visit."""
        per_s = ORDERS_PER_DAY * self.shop.share / DAY_S * busyness(clock_s, self.shop.night_owl)
        return self._draw.expovariate(per_s * (1 + sum(self._drawn_in().values())))

    def _drawn_in(self) -> dict[str, float]:
        """Visitors who come for nothing but an item that is talked of, by item, over all usual visitors."""
        return {
            sku: max(0.0, factor - 1) * self._usual[sku] * _LINES_A_VISIT
            for sku, factor in self._trouble.surge.items()
            if sku in self._usual
        }

    def visit(self, clock_s: float) -> Intent:
        """The next visitor, who comes at `clock_s`."""
        draw, shop = self._draw, self.shop
        self._number += 1
        order = self._order(f"{shop.code.upper()}-{self._run}-{self._number:07d}", clock_s)
        picks_up = order.get("method") == "pickup"
        reserves = draw.random() < shop.reserves and not picks_up
        return Intent(
            order=order,
            asks=picks_up or draw.random() < shop.asks_first,
            reserves_s=draw.uniform(60, 480) if reserves else None,
            orders=not reserves or draw.random() < 0.75,
            lets_go=draw.random() < 0.6,
            cancels_s=draw.expovariate(1 / 900) if draw.random() < 0.03 else None,
            returns_s=draw.uniform(0.5, 3) * 3600 if draw.random() < 0.06 else None,
            disposition=draw.choices(("restock", "damaged", "inspect"), (80, 12, 8))[0],
        )

    def _order(self, external_id: str, clock_s: float) -> Json:
        draw, shop = self._draw, self.shop
        city = self._world.cities[bisect(self._people, draw.random() * self._people[-1])]
        person = draw.randrange(_CUSTOMERS)
        order: Json = {
            "channel": shop.code,
            "external_id": external_id,
            "currency": "EUR",
            "destination": destination(city, draw),
            "customer": {
                "name": f"{_FIRST_NAMES[person % 11]} {_LAST_NAMES[person % 9]}",
                "email": f"shopper{person}@example.com",
            },
            "lines": self._basket(clock_s, city),
        }
        if draw.random() < shop.express:
            order["service"] = "express"
        if draw.random() < shop.picks_up:
            order |= {"method": "pickup", "pickup_node": self._nearest_store(city), "allow_split": False}
            order.pop("service", None)
        return order

    def _basket(self, clock_s: float, city: City) -> list[Json]:
        draw, skus, day = self._draw, self._world.skus, int(clock_s // DAY_S)
        if (drawn_in := self._drawn_in()) and draw.random() < 1 - 1 / (1 + sum(drawn_in.values())):
            wanted = draw.choices(list(drawn_in), list(drawn_in.values()))[0]
            return [self._line(1, wanted, draw.choice((1, 1, 2)), day)]
        weights = self._tastes.weights(day, city)
        count = 1 + bisect(self._lines, draw.random() * self._lines[-1])
        chosen: dict[str, int] = {}
        hot = craze(self._world, clock_s)
        if hot is not None and draw.random() < _CRAZE_SHARE:
            chosen[hot] = draw.choice((1, 1, 2))
        while len(chosen) < count:
            sku = skus[bisect(weights, draw.random() * weights[-1])]
            chosen.setdefault(sku, draw.choices(PIECES, PIECES_OF_100)[0])
        return [self._line(n, sku, quantity, day) for n, (sku, quantity) in enumerate(chosen.items(), 1)]

    def _line(self, number: int, sku: str, quantity: int, day: int) -> Json:
        price = round(self._tastes.price_minor(day, sku) * self._trouble.prices.get(sku, 1.0))
        return {"line_id": str(number), "sku": sku, "quantity": quantity, "price_minor": price}

    def _nearest_store(self, city: City) -> str:
        stores = [s for s in self._world.sites if s.offers_pickup and s.code in self.shop.nodes]
        return min(
            stores,
            key=lambda s: math.hypot(
                s.document["latitude"] - city.latitude,
                (s.document["longitude"] - city.longitude) * math.cos(math.radians(city.latitude)),
            ),
        ).code


def destination(city: City, draw: random.Random) -> Json:
    """An address within some 15 km of a city's middle."""
    south, east = draw.gauss(0, 0.09), draw.gauss(0, 0.09) / math.cos(math.radians(city.latitude))
    return {
        "country": city.country,
        "postal_code": f"{city.postal_prefix}{draw.randrange(100):02d}",
        "latitude": round(city.latitude + south, 4),
        "longitude": round(city.longitude + east, 4),
    }


def busyness(clock_s: float, night_owl: float) -> float:
    """Shoppers now against the mean of the day, which is 1.

    Peaks at 12:30 and, higher, at 20:15; `night_owl` (0 to 1) mixes in a flat share.
    """
    hour = clock_s % DAY_S / 3600
    shape = 0.22 + 0.95 * _bump(hour, 12.5, 2.6) + 1.5 * _bump(hour, 20.25, 2.3)
    return night_owl + (1 - night_owl) * shape / _MEAN_SHAPE


def _bump(hour: float, peak: float, width: float) -> float:
    away = min(abs(hour - peak), 24 - abs(hour - peak))
    return math.exp(-0.5 * (away / width) ** 2)


_MEAN_SHAPE: Final = 0.22 + math.sqrt(2 * math.pi) * (0.95 * 2.6 + 1.5 * 2.3) / 24


def craze(world: World, clock_s: float) -> str | None:
    """The sku that everybody wants at this moment, if one is in the news."""
    number, since_s = divmod(clock_s, _CRAZE_EVERY_S)
    # The second half of each period, so that a run begins calmly.
    if not _CRAZE_EVERY_S / 2 <= since_s < _CRAZE_EVERY_S / 2 + _CRAZE_S:
        return None
    draw = random.Random(f"onhand craze {world.seed} {number:.0f}")  # noqa: S311
    plain = [item["sku"] for item in world.items if "components" not in item]
    return draw.choice(plain)
