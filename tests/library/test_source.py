"""`onhand.source`: documents in, plans out; nothing kept, nothing half-done."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import onhand
from onhand.sourcing.policy import STANDARD

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
HERE = {"country": "DE", "latitude": 50.0, "longitude": 10.0}
NODE = {"node_type": "warehouse", "country": "DE", "latitude": 50.0, "longitude": 10.0, "timezone": "UTC"}
SERVICE: dict[str, Any] = {
    "code": "parcel",
    "currency": "EUR",
    "rate_table": {"by": "distance_km", "distance_km": [None], "weights_g": [1000], "prices_minor": [[500]]},
    "transit_days": {"p50": 1, "p95": 1},
}
NETWORK: dict[str, Any] = {
    "items": [
        {"sku": sku, "name": sku, "weight_g": 10, "price_minor": 1000, "unit_cost_minor": 300, "currency": "EUR"}
        for sku in ("A", "B")
    ],
    "nodes": [
        NODE | {"code": "near", "name": "near", "handling_cost_minor": 100},
        NODE | {"code": "far", "name": "far", "longitude": 14.0, "handling_cost_minor": 150},
    ],
    "carriers": [{"code": "C", "name": "C", "services": [SERVICE]}],
    "stock": [{"sku": "A", "node": "near", "available": 2}, {"sku": "A", "node": "far", "available": 1}],
}


def order(**lines: int) -> dict[str, Any]:
    return {"destination": HERE, "lines": [{"sku": sku, "quantity": n} for sku, n in lines.items()]}


def source(orders: list[dict[str, Any]], network: dict[str, Any] | onhand.Network = NETWORK, **more: Any) -> Any:
    return onhand.source(orders, network, at=AT, **more)


def test_each_order_finds_what_those_before_it_left() -> None:
    before = deepcopy(NETWORK)
    known = onhand.Network.load(NETWORK, at=AT)
    plans = source([order(A=1)] * 4, known)
    assert [p.nodes for p in plans] == [["near"], ["near"], ["far"], []]
    assert [p.status for p in plans] == ["sourced", "sourced", "sourced", "unfillable"]
    assert plans[0].fulfilments[0].cost_minor == pytest.approx(sum(plans[0].fulfilments[0].cost.values()))
    assert plans[0].profit_minor == pytest.approx(1000 - 300 - 500 - 100)
    assert source([order(A=1)] * 4, known) == plans, "the network stays as it is"
    assert before == NETWORK


def test_what_is_on_its_way_is_promised_last_and_once() -> None:
    network = NETWORK | {
        "inbound": [{"sku": "A", "node": "near", "quantity": 1, "expected_at": "2026-03-05T08:00:00Z"}]
    }
    plans = source([order(A=1)] * 5, network)
    assert [p.status for p in plans] == ["sourced"] * 3 + ["backordered", "unfillable"]
    (f,) = plans[3].fulfilments
    assert f.on_its_way == {"A": 1} and f.ship_by >= datetime(2026, 3, 5, 8, tzinfo=UTC)
    refused = source([order(A=1)] * 3 + [order(A=1) | {"allow_backorder": False}], network)
    assert refused[3].status == "unfillable"


def test_what_lies_there_waits_for_what_arrives() -> None:
    network = NETWORK | {
        "inbound": [{"sku": "B", "node": "near", "quantity": 1, "expected_at": "2026-03-04T08:00:00Z"}]
    }
    (plan,) = source([order(A=1, B=1)], network)
    (f,) = plan.fulfilments
    assert (dict(f.lines), dict(f.on_its_way)) == ({"A": 1, "B": 1}, {"B": 1})


def test_units_are_left_unserved_only_where_the_policy_has_a_price_for_it() -> None:
    assert source([order(A=1, B=1)])[0].status == "unfillable"
    for price, status in ((100, "partial"), (0, "unfillable")):
        # Serving nothing is cheaper than serving one of two, when it costs nothing.
        objective = replace(STANDARD.objectives["margin"], unserved_order_minor=0, unserved_unit_minor=price * 100)
        (plan,) = source(
            [order(A=1, B=1)], policy=replace(STANDARD, objectives={"margin": objective}, default="margin")
        )
        assert plan.status == status
    assert plan.unserved == {"A": 1, "B": 1}


def test_an_order_below_the_floor_is_not_shipped_at_a_loss() -> None:
    for floor, status in ((99, "sourced"), (101, "below_floor")):
        objective = replace(STANDARD.objectives["margin"], floor_minor=floor)
        (plan,) = source([order(A=1)], policy=replace(STANDARD, objectives={"margin": objective}, default="margin"))
        assert (plan.status, plan.profit_minor) == (status, pytest.approx(100))


def test_a_carrier_takes_so_many_parcels_a_day() -> None:
    network = deepcopy(NETWORK)
    network["carriers"][0]["services"][0]["parcels_per_day"] = 1
    network["stock"][0]["available"] = 9
    days = [p.fulfilments[0].ship_by.date().day for p in source([order(A=1)] * 3, network)]
    # One leaves today, far away one more, the third tomorrow from near.
    assert days == [2, 3, 4]  # waiting costs less than the farther node's handling


def test_a_forecast_keeps_the_unit_for_whom_only_it_can_reach() -> None:
    """One order here now, many expected far away, where only the far node's units are cheap."""
    east = {"country": "DE", "latitude": 50.0, "longitude": 14.0}
    network = deepcopy(NETWORK)
    network["carriers"][0]["services"][0]["rate_table"] |= {
        "distance_km": [50, None],
        "prices_minor": [[300], [2000]],
    }
    network["nodes"][1]["handling_cost_minor"] = 0
    network["nodes"][0] |= {"longitude": 12.0}  # far from both
    network["stock"] = [{"sku": "A", "node": "near", "available": 50}, {"sku": "A", "node": "far", "available": 10}]
    mine, theirs = order(A=1), {"destination": east, "lines": [{"sku": "A", "quantity": 1}]}
    assert source([mine], network)[0].nodes == ["far"], "cheaper by the handling"
    network["forecast"] = {"orders": [mine, theirs], "expected": [10, 12]}
    assert source([mine], network)[0].nodes == ["near"]
    assert source([theirs], network)[0].nodes == ["far"]


def test_the_same_seed_gives_the_same_plans() -> None:
    network = NETWORK | {"forecast": {"orders": [order(A=1)], "expected": [3]}}
    assert source([order(A=1)] * 3, network, seed=4) == source([order(A=1)] * 3, network, seed=4)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"items": [{"sku": "A"}]}, "items[0].name"),
        ({"nodes": []}, "nodes"),
        ({"stock": [{"sku": "X", "node": "near", "available": 1}]}, "stock[0].sku"),
        ({"stock": [{"sku": "A", "node": "X", "available": 1}]}, "stock[0].node"),
        ({"stock": [{"sku": "A", "node": "near", "available": 1}] * 2}, "stock[1]"),
        ({"inbound": [{"sku": "A", "node": "near", "quantity": 1, "expected_at": "soon"}]}, "inbound[0].expected_at"),
        ({"channels": [{"code": "web", "nodes": ["X"]}]}, "channels[0].nodes"),
        ({"forecast": {"orders": [order(A=1)], "expected": [1, 2]}}, "forecast.expected"),
        ({"forecast": {"orders": [order(X=1)]}}, "forecast.orders[0].lines[0].sku"),
        ({"stok": []}, "stok"),
    ],
)
def test_a_bad_network_is_told_by_its_field(change: dict[str, Any], path: str) -> None:
    with pytest.raises(onhand.InvalidInput) as told:
        source([order(A=1)], NETWORK | change)
    assert [e.path for e in told.value.errors] == [path]


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        (order(A=0), "orders[1].lines[0].quantity"),
        (order(X=1), "orders[1].lines[0].sku"),
        ({"lines": [{"sku": "A", "quantity": 1}]}, "orders[1]"),
        ({"destination": {"country": "ZZ"}, "lines": [{"sku": "A", "quantity": 1}]}, "orders[1].destination"),
        (order(A=1) | {"channel": "nowhere"}, "orders[1].channel"),
        (order(A=1) | {"service": "rocket"}, "orders[1].service"),
    ],
)
def test_a_bad_order_is_told_by_its_field_and_number(bad: dict[str, Any], path: str) -> None:
    with pytest.raises(onhand.InvalidInput) as told:
        source([order(A=1), bad])
    assert [e.path for e in told.value.errors] == [path]


def test_an_unknown_policy_is_told() -> None:
    with pytest.raises(onhand.InvalidInput, match="expected one of standard, margin, speed, sustainability"):
        source([order(A=1)], policy="cheap")
