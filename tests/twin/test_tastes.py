"""What the demo's shoppers fancy: the same for everybody of a place and day, and not the same all year."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from onhand.twin.places import CITIES
from onhand.twin.shoppers import DAY_S, Shoppers
from onhand.twin.tastes import Tastes, weather
from onhand.twin.world import World, build

BERLIN = next(city for city in CITIES if city.name == "Berlin")
LISBON = next(city for city in CITIES if city.name == "Lisbon")


@pytest.fixture(scope="module")
def world() -> World:
    return build(3)


def shares(world: World, weights: Sequence[float]) -> dict[str, float]:
    """By category, of all that is wanted."""
    single = [b - a for a, b in zip([0.0, *weights], weights, strict=False)]
    found: dict[str, float] = {}
    for item, weight in zip(world.items, single, strict=True):
        found[item["category"]] = found.get(item["category"], 0.0) + weight / weights[-1]
    return found


def test_gardens_are_for_spring_and_toys_for_christmas(world: World) -> None:
    tastes = Tastes(world)
    spring, december = (shares(world, tastes.weights(day, BERLIN)) for day in (75, 270))
    assert spring["garden"] > 2 * december["garden"]
    assert december["toys"] > 1.5 * spring["toys"]


def test_promotions_last_a_week_cost_less_and_sell_more(world: World) -> None:
    tastes = Tastes(world)
    promoted = [sku for sku in world.skus if tastes.discount(0, sku) > 0]
    assert 5 < len(promoted) < 80
    sku = promoted[0]
    assert all(tastes.discount(day, sku) == tastes.discount(0, sku) for day in range(7))
    assert {s for s in world.skus if tastes.discount(7, s) > 0} != set(promoted)
    assert tastes.price_minor(0, sku) < world.prices_minor[sku]
    place = world.skus.index(sku)
    weights = [tastes.weights(day, BERLIN) for day in (6, 7)]
    single = [(w[place] - w[place - 1] if place else w[0]) / w[-1] for w in weights]
    if tastes.discount(7, sku) == 0:
        assert single[0] > 1.4 * single[1]


def test_weather_is_of_a_place_and_changes_slowly() -> None:
    here = [weather(1, "DE", day) for day in range(400)]
    there = [weather(1, "PT", day) for day in range(400)]
    steps = [abs(b - a) for a, b in pairwise(here)]
    assert here == [weather(1, "DE", day) for day in range(400)]
    assert here != there
    assert 0.7 < (sum(w * w for w in here) / len(here)) ** 0.5 < 1.3
    assert sum(steps) / len(steps) < 0.8, "a fresh draw each day would differ by 1.1 in the mean"


def test_orders_of_a_promoted_item_are_at_its_price(world: World) -> None:
    tastes = Tastes(world)
    shoppers = Shoppers(world, world.shops[0], 1)
    lines = [line for n in range(2_000) for line in shoppers.visit(n % 10 + 3 * DAY_S).order["lines"]]
    promoted = [line for line in lines if tastes.discount(3, line["sku"]) > 0]
    assert promoted
    assert all(line["price_minor"] == tastes.price_minor(3, line["sku"]) for line in lines)
