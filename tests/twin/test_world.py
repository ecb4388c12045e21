"""The simulated world: one seed, one world, and documents that the interface accepts."""

import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.catalog.model import ItemRow
from onhand.channels.model import ChannelIn
from onhand.network.decide import carrier_problems
from onhand.network.model import CarrierIn, NodeIn
from onhand.network.places import locate
from onhand.orders.intake import OrderIn
from onhand.twin.places import CITIES
from onhand.twin.shoppers import DAY_S, Intent, Shoppers, busyness, craze, destination
from onhand.twin.suppliers import shortages
from onhand.twin.world import BUNDLES, ITEMS, World, build

SEEDS = (1, 2, 7)


@pytest.fixture(scope="module", params=SEEDS)
def world(request: pytest.FixtureRequest) -> World:
    return build(request.param)


def visits(world: World, shop: int, run: int, count: int) -> list[Intent]:
    shoppers = Shoppers(world, world.shops[shop], run)
    return [shoppers.visit(n * 60.0) for n in range(count)]


def test_equal_seeds_give_equal_worlds_and_other_seeds_others() -> None:
    assert build(1) == build(1)
    assert build(1).items != build(2).items
    assert build(1).popularity != build(2).popularity


def test_equal_seeds_give_equal_shoppers_and_other_runs_others(world: World) -> None:
    first = visits(world, 0, 1, 50)
    assert visits(world, 0, 1, 50) == first
    again = visits(world, 0, 2, 50)
    assert {v.order["external_id"] for v in first}.isdisjoint(v.order["external_id"] for v in again)
    assert [v.order["lines"] for v in first] != [v.order["lines"] for v in again]


def test_the_network_is_the_one_that_was_promised(world: World) -> None:
    assert Counter(site.node_type for site in world.sites) == {
        "warehouse": 3,
        "store": 7,
        "third_party": 1,
        "supplier": 1,
    }
    assert len(world.shops) == 3 and sum(shop.share for shop in world.shops) == pytest.approx(1)
    assert len({tuple(shop.nodes) for shop in world.shops}) == 3, "every channel has nodes of its own choice"
    services = {code: {s["code"] for s in c["services"]} for code, c in world.carriers.items()}
    assert services == {
        "northpost": {"standard", "express", "priority"},
        "velo": {"standard", "express", "eco"},
    }


def test_every_document_passes_the_models_of_the_interface(world: World) -> None:
    for site in world.sites:
        NodeIn.model_validate(site.document)
    for carrier in world.carriers.values():
        assert carrier_problems(CarrierIn.model_validate(carrier)) == []
    codes = {site.code for site in world.sites}
    for shop in world.shops:
        ChannelIn.model_validate(shop.document)
        assert set(shop.nodes) <= codes
    for item in world.items:
        ItemRow.model_validate(item)
    for shop in range(len(world.shops)):
        for visit in visits(world, shop, 1, 200):
            msgspec.convert(visit.order, OrderIn)


def test_items_are_many_and_bundles_name_items_that_hold_stock(world: World) -> None:
    assert len(world.skus) == len(set(world.skus)) == ITEMS == 500
    bundles = [item for item in world.items if "components" in item]
    assert len(bundles) == BUNDLES
    plain = {item["sku"] for item in world.items} - {bundle["sku"] for bundle in bundles}
    for bundle in bundles:
        assert {part["sku"] for part in bundle["components"]} <= plain
    assert {sku for sku, _ in world.targets} == plain
    assert min(world.targets.values()) >= 2


def test_few_items_sell_most_and_every_item_sells(world: World) -> None:
    ordered = sorted(world.popularity, reverse=True)
    assert sum(ordered) == pytest.approx(1)
    assert ordered[-1] > 0
    assert 0.3 < sum(ordered[:50]) < 0.6, "a tenth of the items makes some half of the sales"


def test_every_channel_can_reach_every_item(world: World) -> None:
    holders: dict[str, set[str]] = {}
    for sku, node in world.targets:
        holders.setdefault(sku, set()).add(node)
    for shop in world.shops:
        assert all(nodes & set(shop.nodes) for nodes in holders.values()), shop.code


@given(st.sampled_from(CITIES), st.integers(0, 10_000))
def test_destinations_lie_around_their_city(city, seed) -> None:
    there = destination(city, random.Random(seed))
    assert abs(there["latitude"] - city.latitude) < 0.6
    assert abs(there["longitude"] - city.longitude) < 1.2
    assert locate(there["country"], None, there["postal_code"]) is not None, "the country alone can be located"


@given(st.floats(0, 3 * DAY_S), st.floats(0, 1))
def test_there_are_always_shoppers_and_each_day_is_alike(clock_s, night_owl) -> None:
    now = busyness(clock_s, night_owl)
    assert 0 < now < 4
    assert busyness(clock_s + DAY_S, night_owl) == pytest.approx(now, rel=1e-6)


@pytest.mark.parametrize("night_owl", [0, 0.3, 1])
def test_a_day_has_as_many_shoppers_as_its_mean_says(night_owl: float) -> None:
    minutes = [busyness(m * 60, night_owl) for m in range(1440)]
    assert sum(minutes) / 1440 == pytest.approx(1, abs=1e-3)


def test_the_evening_is_busier_than_the_night() -> None:
    assert busyness(20.25 * 3600, 0) > 5 * busyness(4 * 3600, 0)


def test_a_craze_lasts_and_ends(world: World) -> None:
    during = {craze(world, s * 60.0) for s in range(24 * 60)}
    assert None in during
    assert 4 <= len(during - {None}) <= 8, "one in each three hours of a day"
    assert craze(world, 0) is None, "a run begins calmly"


def test_arrivals_follow_the_rate(world: World) -> None:
    shoppers = Shoppers(world, world.shops[0], 1)
    noon = 12.5 * 3600
    mean = sum(shoppers.wait_s(noon) for _ in range(4000)) / 4000
    rate = 28_800 * world.shops[0].share / DAY_S * busyness(noon, world.shops[0].night_owl)
    assert mean == pytest.approx(1 / rate, rel=0.1)


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(2, 40)),
        max_size=20,
    )
)
def test_purchases_bring_every_low_shelf_back_to_its_target_and_no_other(shelves) -> None:
    rows = [{"sku": str(n), "node": "A", "available": a, "inbound": i} for n, (a, i, _) in enumerate(shelves)]
    targets = {(str(n), "A"): target for n, (_, _, target) in enumerate(shelves)}
    bought = dict(shortages(rows, targets))
    for n, (available, inbound, target) in enumerate(shelves):
        after = available + inbound + bought.get(str(n), 0)
        assert after >= target / 2
        if str(n) in bought:
            assert available + inbound < target / 2
            assert after == target
