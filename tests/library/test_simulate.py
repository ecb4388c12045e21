"""`onhand.simulate`: orders with moments in, paired differences out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.library.test_source import HERE, NETWORK, NODE, SERVICE

import onhand
from onhand.orders.model import TERMS

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


def order(hours: float, **more: Any) -> dict[str, Any]:
    placed_at = (AT + timedelta(hours=hours)).isoformat()
    return {"destination": HERE, "lines": [{"sku": "A", "quantity": 1}], "placed_at": placed_at} | more


QUICK = SERVICE | {
    "code": "quick",
    "rate_table": SERVICE["rate_table"] | {"prices_minor": [[700]]},
    "transit_days": {"p50": 0.5, "p95": 0.6},
}
PLENTY = NETWORK | {
    "carriers": [
        {"code": "C", "name": "C", "services": [SERVICE | {"transit_days": {"p50": 3, "p95": 4}}, QUICK]},
    ],
    "stock": [{"sku": "A", "node": node, "available": 1_000} for node in ("near", "far")],
}


def test_speed_is_quicker_and_dearer_than_margin() -> None:
    (found,) = onhand.simulate([order(n / 10) for n in range(200)], PLENTY, policies=["margin", "speed"])
    assert found.of("days").difference < -2
    assert found.of("paid_minor").difference == pytest.approx(200)
    assert found.of("paid_minor").is_certain
    assert (found.baseline.label, found.candidate.label) == ("standard:margin", "standard:speed")


def test_one_policy_is_compared_with_itself() -> None:
    (same,) = onhand.simulate([order(n) for n in range(20)], PLENTY, policies=["standard"], rejection={"near": 0.5})
    assert all(d.difference == 0 for d in same.differences)
    assert same.baseline.rejected.sum() > 3


def test_stock_runs_out_and_supply_arrives_over_time() -> None:
    late = NETWORK | {
        "stock": [{"sku": "A", "node": "near", "available": 1}],
        "inbound": [{"sku": "A", "node": "near", "quantity": 1, "expected_at": "2026-03-03T08:00:00Z"}],
    }
    given = [order(30), order(0), order(31, allow_backorder=False)]
    (same,) = onhand.simulate(given, late, policies=["standard"])
    # By the moment they were placed: from the shelf, from what had come by then, and too late.
    assert same.baseline.served.tolist() == [1, 1, 0]
    assert not same.baseline.picks.is_supply.any()


def test_what_units_are_worth_is_learned_from_orders_of_the_weeks_before() -> None:
    """`near` has ten units, which those who live beyond it need: an order from `far` away leaves them."""
    known = onhand.Network.load(PLENTY | {"stock": [{"sku": "A", "node": "near", "available": 10}]}, at=AT)
    before = [order(-n) for n in range(1, 300)]
    (informed,) = onhand.simulate([order(1)], known, policies=["standard"], before=before)
    (alone,) = onhand.simulate([order(1)], known, policies=["standard"])
    worth = [float(found.baseline.fulfilments.terms[0, TERMS.index("opportunity")]) for found in (informed, alone)]
    assert worth[0] > 100 and worth[1] == 0
    assert (informed.baseline.looks, alone.baseline.looks) == (1, 0)


def test_orders_from_before_are_before() -> None:
    with pytest.raises(onhand.InvalidInput, match="before that of the network") as refused:
        onhand.simulate([order(1)], onhand.Network.load(PLENTY, at=AT), policies=["standard"], before=[order(2)])
    assert [e.path for e in refused.value.errors] == ["before[0].placed_at"]


def test_no_orders_are_no_differences() -> None:
    (same,) = onhand.simulate([], onhand.Network.load(PLENTY, at=AT), policies=["standard"])
    assert {d.orders for d in same.differences} == {0}


def test_orders_carry_their_wishes() -> None:
    given = [order(0, objective="speed"), order(1), order(2, service="quick")]
    (same,) = onhand.simulate(given, PLENTY, policies=["margin"])
    assert same.baseline.fulfilments.terms[:, 0].tolist() == [700, 500, 700]


@pytest.mark.parametrize(
    ("orders", "more", "path"),
    [
        ([{k: v for k, v in order(0).items() if k != "placed_at"}], {}, "orders[0].placed_at"),
        ([order(0) | {"placed_at": "2026-03-02T08:00:00"}], {}, "orders[0].placed_at"),
        ([order(0), order(1, lines=[{"sku": "Z", "quantity": 1}]), order(2)], {}, "orders[1].lines[0].sku"),
        ([order(0)], {"policies": []}, "policies"),
        ([order(0)], {"rejection": {"nowhere": 0.1}}, "rejection"),
    ],
)
def test_what_is_wrong_is_named(orders: list[dict[str, Any]], more: dict[str, Any], path: str) -> None:
    with pytest.raises(onhand.InvalidInput) as refused:
        onhand.simulate(orders, PLENTY, **({"policies": ["standard"]} | more))
    assert [e.path for e in refused.value.errors] == [path]


def test_orders_from_before_the_network_are_refused() -> None:
    known = onhand.Network.load(PLENTY | {"nodes": [NODE | {"code": c, "name": c} for c in ("near", "far")]}, at=AT)
    with pytest.raises(onhand.InvalidInput, match="before"):
        onhand.simulate([order(-1)], known, policies=["standard"])
