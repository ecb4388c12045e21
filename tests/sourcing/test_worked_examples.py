"""Small cases worked out by hand: one for each rule of the solver that is easily got wrong."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from tests.sourcing.worlds import Order, Plan, Running, World, plans

from onhand.sourcing import tables
from onhand.sourcing.policy import Objective

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)  # a Wednesday
PLAIN = Objective(split_minor=100, target_days=5, late_minor=0, day_minor=0, co2_minor_per_kg=0)


def node(node_id: int, **changed: Any) -> dict[str, Any]:
    """A node without limits, ten kilometres further north than the one before, open every day until 15:00 UTC."""
    return {
        "node_id": node_id,
        "code": f"N{node_id}",
        "country": "DE",
        "latitude": 50 + (node_id - 1) * 0.09,
        "longitude": 8.0,
        "timezone": "UTC",
        "handling_cost_minor": 0,
        "cutoff": "15:00",
        "working_days": [1, 2, 3, 4, 5, 6, 7],
        "closed_days": [],
        "capacity_orders": None,
        "capacity_lines": None,
        "capacity_units": None,
        "methods": ["ship"],
        "co2_g_per_order": 0,
        "active": True,
    } | changed


def service(code: str = "std", **changed: Any) -> dict[str, Any]:
    """Up to 1 kg for 300, up to 5 kg for 500, everywhere."""
    return {
        "code": code,
        "currency": "EUR",
        "rate_table": {
            "by": "distance_km",
            "distance_km": [None],
            "weights_g": [1000, 5000],
            "prices_minor": [[300, 500]],
        },
        "transit_days": {"p50": 1, "p95": 2},
    } | changed


def world(
    stock: dict[tuple[int, int], int],
    *,
    nodes: list[dict[str, Any]] | None = None,
    services: list[dict[str, Any]] | None = None,
    weight_g: int = 100,
    volume_mm3: int = 0,
    safety: dict[tuple[int, int], int] | None = None,
    objective: Objective = PLAIN,
) -> World:
    items = max((item for item, _ in stock), default=1)
    return World(
        now=NOW,
        nodes=nodes or [node(k) for k in range(1, max(k for _, k in stock) + 1)],
        carriers=[{"code": "c", "document": {"services": services or [service()]}}],
        channels=[{"channel_id": 1, "code": "all", "node_ids": None, "active": True}],
        available=stock,
        pending={},
        safety=safety or {},
        weight_g=[0] + [weight_g] * items,
        volume_mm3=[0] + [volume_mm3] * items,
        objectives={"o0": objective},
    )


def order(*demand: tuple[int, int], **changed: Any) -> Order:
    """To the first node's doorstep, in up to three fulfilments."""
    made = Order(demand=list(demand), latitude=50, longitude=8, fulfilments_max=3)
    return replace(made, **changed)


def solve(w: World, o: Order) -> Plan | None:
    running = Running.of(w)
    return plans(running.decide([o]), running.network)[0]


def shares(plan: Plan | None) -> dict[int, dict[int, int]]:
    assert plan is not None, "there is a plan"
    return {f.node: f.picks for f in plan.fulfilments}


def test_splitting_costs_the_split_price_once_less_than_there_are_fulfilments() -> None:
    plan = solve(world({(1, 1): 1, (2, 2): 1}), order((1, 1), (2, 1)))
    assert plan is not None
    assert plan.cost == 300 + 300 + 100
    assert [f.terms[:3] for f in plan.fulfilments] == [(300, 0, 0), (300, 0, 100)]


def test_one_parcel_is_better_than_two_as_long_as_weight_does_not_make_it_dearer() -> None:
    stock = {(1, 1): 9, (2, 1): 9, (1, 2): 9, (2, 2): 9}
    dear = service(rate_table=service()["rate_table"] | {"prices_minor": [[300, 900]]})
    both = order((1, 1), (2, 1))
    assert shares(solve(world(stock, weight_g=400), both)) == {1: {1: 1, 2: 1}}
    assert solve(world(stock, weight_g=600), both).cost == 500  # type: ignore[union-attr]
    # Two parcels of 600 g cost 700 with the split price, one of 1200 g costs 900: each node sends one.
    assert len(shares(solve(world(stock, weight_g=600, services=[dear]), both))) == 2


def test_a_node_ships_an_order_in_one_fulfilment_even_where_two_were_cheaper() -> None:
    dear = service(rate_table=service()["rate_table"] | {"prices_minor": [[300, 900]]})
    plan = solve(world({(1, 1): 9, (2, 1): 9}, weight_g=600, services=[dear]), order((1, 1), (2, 1)))
    assert shares(plan) == {1: {1: 1, 2: 1}} and plan is not None and plan.cost == 900


def test_a_gram_more_than_a_step_pays_the_next_and_more_than_the_last_a_second_parcel() -> None:
    costs = {}
    for grams in (1000, 1001, 5000, 5001, 10_000, 10_001):
        plan = solve(world({(1, 1): 1}, weight_g=grams), order((1, 1)))
        assert plan is not None
        costs[grams] = plan.cost
    assert costs == {1000: 300, 1001: 500, 5000: 500, 5001: 800, 10_000: 1000, 10_001: 1300}


@pytest.mark.parametrize(("volume_mm3", "minor"), [(5_000_000, 300), (5_000_001, 500), (24_999_999, 500)])
def test_volume_weighs_and_a_started_gram_counts(volume_mm3: int, minor: int) -> None:
    w = world({(1, 1): 1}, volume_mm3=volume_mm3, services=[service(dimensional_divisor=5000)])
    plan = solve(w, order((1, 1)))
    assert plan is not None and plan.cost == minor


def test_absurd_loads_cost_absurd_money_and_do_not_wrap_around() -> None:
    big = 2_000_000_000
    w = world({(1, 1): big}, weight_g=100_000_000, volume_mm3=10**15, services=[service(dimensional_divisor=1)])
    plan = solve(w, order((1, big)))
    assert plan is not None and plan.cost > 1e15


def test_distance_bands_include_their_edge() -> None:
    far = node(1, latitude=51)  # 111.19 km
    table = {"by": "distance_km", "distance_km": [111, 112, None], "weights_g": [1000], "prices_minor": [[1], [2], [3]]}
    plan = solve(world({(1, 1): 1}, nodes=[far], services=[service(rate_table=table)]), order((1, 1)))
    assert plan is not None and plan.cost == 2


def test_a_full_day_moves_the_parcel_to_the_next_and_lateness_is_paid_for() -> None:
    nodes = [node(1, capacity_orders=1)]
    w = world({(1, 1): 9}, nodes=nodes, objective=replace(PLAIN, day_minor=100))
    running = Running.of(w)
    first, second = plans(running.decide([order((1, 1))] * 2, consume=True), running.network)
    assert first is not None and second is not None
    assert [f.slot for f in first.fulfilments + second.fulfilments] == [0, 1]
    assert second.fulfilments[0].departs - first.fulfilments[0].departs == 86_400
    assert second.cost == pytest.approx(first.cost + 100)


def test_the_later_day_of_a_large_part_is_weighed_against_another_node() -> None:
    nodes = [node(1, capacity_lines=1), node(2)]
    stock = {(item, k): 9 for item in (1, 2) for k in (1, 2)}
    table = service()["rate_table"]
    near = table | {"distance_km": [5, None], "prices_minor": [[300, 500], [350, 550]]}
    w = world(stock, nodes=nodes, services=[service(rate_table=near)])
    # Two lines fit no day of the nearer node.
    assert shares(solve(w, order((1, 1), (2, 1)))) == {2: {1: 1, 2: 1}}


def test_a_line_is_divided_where_the_only_node_with_enough_of_it_cannot_ship_there() -> None:
    table = service()["rate_table"] | {"distance_km": [100.0]}
    nodes = [node(1), node(2), node(3, latitude=60.0)]
    w = world({(1, 1): 3, (1, 2): 2, (1, 3): 99}, nodes=nodes, services=[service(rate_table=table)])
    plan = solve(w, order((1, 5)))
    assert shares(plan) == {1: {1: 3}, 2: {1: 2}} and plan is not None
    assert plan.method == tables.METHOD_DIVIDED
    assert solve(w, order((1, 5), fulfilments_max=1)) is None


def test_a_line_is_divided_where_no_node_can_send_so_much_on_one_day() -> None:
    nodes = [node(1, capacity_units=3), node(2, capacity_units=4)]
    w = world({(1, 1): 99, (1, 2): 99}, nodes=nodes)
    assert sorted(n for f in shares(solve(w, order((1, 6)))).values() for n in f.values()) in ([2, 4], [3, 3])
    assert solve(w, order((1, 8))) is None


def test_divided_lines_share_nodes() -> None:
    """Most of each line lies elsewhere, but two nodes hold all of both."""
    stock = {(1, 1): 6, (1, 2): 5, (1, 3): 5, (2, 2): 5, (2, 3): 5, (2, 4): 6}
    plan = solve(world(stock), order((1, 10), (2, 10), fulfilments_max=2))
    assert shares(plan) == {2: {1: 5, 2: 5}, 3: {1: 5, 2: 5}}


def test_a_divided_line_joins_the_node_that_must_send_the_rest_anyway() -> None:
    stock = {(1, 1): 4, (1, 2): 4, (1, 3): 3, (2, 3): 1}
    plan = solve(world(stock), order((1, 7), (2, 1), fulfilments_max=2))
    assert shares(plan)[3] == {1: 3, 2: 1}


def test_safety_stock_is_the_last_resort_and_only_for_those_who_may() -> None:
    w = world({(1, 1): 2, (1, 2): 1}, safety={(1, 1): 2}, nodes=[node(1), node(2, handling_cost_minor=5000)])
    assert shares(solve(w, order((1, 1)))) == {2: {1: 1}}
    assert shares(solve(w, order((1, 2)))) == {1: {1: 2}}
    assert solve(w, order((1, 2), may_dip=False)) is None


def test_a_large_order_goes_to_the_cheapest_node_that_has_it_all_however_far() -> None:
    """More nodes hold everything than are searched, and the cheapest of them is the farthest."""
    lines = tables.LINES_EXACT + 1
    last = lines + tables.SEARCH_NODES + 2
    nodes = [node(k, handling_cost_minor=1000) for k in range(1, last + 1)]
    nodes[-1]["handling_cost_minor"] = 0
    stock = {(item, k): 1 for item in range(1, lines + 1) for k in range(1, last + 1)}
    # Holes make every line different, so that lines cannot move together.
    stock |= {(item, item): 0 for item in range(1, lines + 1)}
    plan = solve(world(stock, nodes=nodes, weight_g=10), order(*((item, 1) for item in range(1, lines + 1))))
    assert plan is not None and plan.method == tables.METHOD_SEARCH
    assert shares(plan) == {last: dict.fromkeys(range(1, lines + 1), 1)}


def test_a_service_that_nobody_offers_serves_nobody() -> None:
    w = world({(1, 1): 1}, services=[service("a"), service("b")])
    assert solve(w, order((1, 1), service="b")) is not None
    assert solve(w, order((1, 1), service="c")) is None


def test_a_pickup_pays_no_parcel_and_is_due_at_the_cut_off() -> None:
    w = world({(1, 1): 1, (1, 2): 1}, nodes=[node(1, methods=["pickup"]), node(2, methods=["pickup"])])
    plan = solve(w, order((1, 1), method="pickup", pickup_node=2))
    assert plan is not None and plan.cost == 0
    (f,) = plan.fulfilments
    assert (f.node, f.service) == (2, None)
    assert f.departs == f.deliver == int(NOW.replace(hour=15).timestamp())


def test_a_service_that_is_picked_up_before_the_cut_off_leaves_a_day_later() -> None:
    nodes = [node(1, cutoff="15:00")]
    for cutoff, hours in (("17:00", 17), ("15:00", 15), ("12:00", 36)):
        plan = solve(world({(1, 1): 1}, nodes=nodes, services=[service(cutoff=cutoff)]), order((1, 1)))
        assert plan is not None
        assert plan.fulfilments[0].departs == int(NOW.replace(hour=0).timestamp()) + hours * 3600


@pytest.mark.parametrize("left", [0, -3])
def test_a_limit_lowered_below_what_is_promised_means_full(left: int) -> None:
    w = world({(1, 1): 9}, nodes=[node(1, capacity_orders=5)])
    running = Running.of(w)
    running.network.left[1, :2, 0] = left
    (plan,) = plans(running.decide([order((1, 1))], consume=True), running.network)
    assert plan is not None and plan.fulfilments[0].slot == 2
    assert running.network.left[1, :3, 0].tolist() == [left, left, 4]


def test_nothing_is_asked_nothing_is_answered() -> None:
    running = Running.of(world({(1, 1): 1}))
    decisions = running.decide([])
    assert (len(decisions.count), decisions.pick_first.tolist()) == (0, [0])
    assert plans(running.decide([order()]), running.network) == [None]
    assert np.array_equal(running.stock.pending, np.zeros_like(running.stock.pending))
