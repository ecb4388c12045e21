"""The front holds what nothing else beats, and the built-in objectives bite where services to choose from exist."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.simulation.histories import history

import onhand
from onhand.simulation.pareto import Pareto, Point, Prices, grid, judged, sweep
from onhand.simulation.replay import Settings
from onhand.simulation.rules import PlainRules
from onhand.sourcing.policy import STANDARD
from onhand.twin.document import network_document, orders_of
from onhand.twin.world import World, build

BEGINS = datetime(2026, 3, 2, tzinfo=UTC)


def point(paid: float, days: float, co2: float) -> Point:
    return Point(prices=Prices(day_minor=0, co2_minor_per_kg=0), paid_minor=paid, days=days, co2_g=co2)


def test_a_point_is_dominated_by_one_that_is_no_worse_in_all_and_better_in_one() -> None:
    points = [point(5, 3, 100), point(5, 3, 99), point(4, 4, 100), point(6, 2, 200), point(6, 3, 99), point(4, 4, 100)]
    assert [p.dominated_by for p in judged(points)] == [1, None, None, None, 1, 2]
    front = Pareto(points=tuple(judged(points)), orders=1).front
    assert [(p.paid_minor, p.days, p.co2_g) for p in front] == [(4, 4, 100), (5, 3, 99), (6, 2, 200)]


def test_the_same_point_twice_is_on_the_front_once() -> None:
    assert [p.is_on_front for p in judged([point(1, 1, 1)] * 3)] == [True, False, False]
    assert judged([]) == []


def test_nothing_served_by_all_is_no_front() -> None:
    past = replace(history(5), available=history(5).available * 0)
    found = sweep(past, lambda _: PlainRules(STANDARD, past), Settings(), grid()[:2])
    assert found.orders == 0
    assert math.isnan(found.points[0].paid_minor)


def test_prices_buy_what_they_are_for() -> None:
    past = history(400, stock=300)

    def rules(prices: Prices) -> PlainRules:
        margin = STANDARD.objectives["margin"]
        of_day = replace(margin, day_minor=prices.day_minor, co2_minor_per_kg=prices.co2_minor_per_kg)
        return PlainRules(replace(STANDARD, objectives={"margin": of_day}), past)

    told: list[int] = []
    found = sweep(past, rules, Settings(), grid(), progress=told.append)
    assert told == [*range(1, 21)]
    assert found.orders == 400
    by = {(p.prices.day_minor, p.prices.co2_minor_per_kg): p for p in found.points}
    assert by[400, 0].days < by[1, 0].days - 0.3
    assert by[400, 0].paid_minor > by[1, 0].paid_minor
    assert by[1, 800].co2_g < by[1, 0].co2_g
    # Plenty of stock: what one order takes is nothing to the next, and no cheaper, quicker or greener way was missed.
    assert by[1, 0].is_on_front
    for a in found.front:
        for b in found.front:
            dominates = b.paid_minor <= a.paid_minor and b.days <= a.days and b.co2_g <= a.co2_g
            assert a is b or not dominates


@pytest.fixture(scope="module")
def world() -> World:
    return build(1)


def test_objectives_bite_on_the_network_of_the_simulated_world(world: World) -> None:
    """Speed is worth a third more money there, carbon a hundredth: shippers' choice, said by how much."""
    network = onhand.Network.load(network_document(world), at=BEGINS)
    orders = orders_of(world, 2_500, begins=BEGINS)
    rejects = {site.code: site.reject_rate for site in world.sites}
    speed, green = onhand.simulate(orders, network, policies=["margin", "speed", "sustainability"], rejection=rejects)
    days, grams = speed.of("days"), green.of("co2_g")
    assert days.high / days.baseline < -0.15
    assert grams.high / grams.baseline < -0.15
    for found, most in ((speed, 0.45), (green, 0.03)):
        paid = found.of("paid_alike_minor")
        assert paid.low > 0
        assert paid.high / paid.baseline < most
    assert speed.of("filled").candidate > 0.9


def test_orders_of_the_simulated_world_come_in_order_of_time(world: World) -> None:
    orders = orders_of(world, 500, begins=BEGINS)
    placed = [o["placed_at"] for o in orders]
    assert placed == sorted(placed)
    assert {o["channel"] for o in orders} == {"web", "marketplace", "app"}
    assert orders == orders_of(world, 500, begins=BEGINS)
