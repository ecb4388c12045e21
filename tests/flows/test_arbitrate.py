"""Arbitration on a real database."""

import json

import pytest

from onhand.flows.arbitrate import arbitrate_oversells
from onhand.orders.views import get_order


@pytest.fixture
def two(merchant):
    """Channel `market` asks 50.00 for an order that is not served; `web` nothing."""
    with merchant.db.connection() as conn:
        conn.execute(
            "INSERT INTO channel (channel_id, code, name, currency, oversell) VALUES (2, 'market', 'm', 'EUR', %s)",
            (json.dumps({"penalty_minor": 5000, "late_minor_per_day": 100}),),
        )
    merchant.state.reload_network()
    return merchant


def rulings(merchant):
    return merchant.rows("SELECT order_id::text, served::text, gave_way::text[], outcome, sentence FROM arbitration")


def test_the_order_that_loses_more_gets_the_last_unit_and_the_other_waits(two):
    two.stock("berlin", A=1)
    first = two.place(("A", 1))["order_id"]
    second = two.place(("A", 1), channel="market")["order_id"]
    assert (two.status(first)[0], two.status(second)[0]) == ("sourced", "unfillable")
    assert arbitrate_oversells(two.state) == 1
    assert (two.status(first)[0], two.status(second)[0]) == ("unfillable", "sourced")
    assert two.position("A", "berlin") == (1, 0, 1, 0)
    ((order, served, gave_way, outcome, sentence),) = rulings(two)
    assert (order, served, gave_way, outcome) == (second, second, [first], "cancel")
    assert sentence.startswith("market 2 would lose 50.00, web 1 0.00: market 2 is served")
    # Ruled on once; and the loser does not take it back.
    assert arbitrate_oversells(two.state) <= 1
    assert two.status(second)[0] == "sourced"
    assert arbitrate_oversells(two.state) == 0


def test_the_loser_is_promised_dated_supply(two):
    two.stock("berlin", A=1)
    two.inbound("berlin", "PO-1", A=5)
    first = two.place(("A", 1))["order_id"]
    second = two.place(("A", 1), channel="market", allow_backorder=False)["order_id"]
    assert arbitrate_oversells(two.state) == 1
    assert (two.status(first)[0], two.status(second)[0]) == ("backordered", "sourced")
    ((*_, sentence),) = rulings(two)
    assert "web 1 gets a backorder (supply of 2026-03-09)" in sentence


def test_what_a_node_works_on_is_left_and_who_cannot_win_waits(two):
    from onhand.base.actor import SYSTEM
    from onhand.flows.fulfil import accept

    two.stock("berlin", A=1)
    first = two.place(("A", 1))["order_id"]
    accept(two.state, f"{first}-f1", by=SYSTEM)
    second = two.place(("A", 1), channel="market")["order_id"]
    assert arbitrate_oversells(two.state) == 0
    assert (two.status(first)[0], two.status(second)[0]) == ("sourced", "unfillable")
    two.stock("munich", B=1)
    kept = two.place(("B", 1), channel="market")["order_id"]
    late = two.place(("B", 1))["order_id"]
    assert arbitrate_oversells(two.state) == 1
    assert (two.status(kept)[0], two.status(late)[0]) == ("sourced", "unfillable")
    ((*_, outcome, sentence),) = rulings(two)
    assert outcome == "cancel"
    assert "market 3 came first" in sentence


def oversell(two, channel, **terms):
    with two.db.connection() as conn:
        conn.execute("UPDATE channel SET oversell = %s WHERE code = %s", (json.dumps(terms), channel))
    two.state.reload_network()


def told(two, order_id):
    """[(outcome, sentence)] in the order's timeline."""
    with two.db.connection() as conn:
        timeline = get_order(conn, order_id)["timeline"]
    return [(e["data"]["outcome"], e["data"]["sentence"]) for e in timeline if e["kind"] == "arbitration.ruled"]


def test_the_loser_is_cancelled_at_once_where_its_channel_wants_that(two):
    oversell(two, "web", cancel=True)
    two.stock("berlin", A=1, B=1)
    first = two.place(("A", 1), ("B", 1))["order_id"]
    second = two.place(("A", 1), channel="market")["order_id"]
    assert arbitrate_oversells(two.state) == 1
    order = two.order(first)
    assert (order.status, [line.open for line in order.lines]) == ("sourced", [0, 1]), "the rest of it is served"
    assert two.status(second)[0] == "sourced"
    assert two.position("A", "berlin") == (1, 0, 1, 0)
    assert [outcome for outcome, _ in told(two, first)] == ["cancel"]
    assert [outcome for outcome, _ in told(two, second)] == ["served"]
    assert "market 2 is served and web 1 gets cancelled" in told(two, first)[0][1]
    assert two.events(first)[-2:] == ["arbitration.ruled", "order.sourced"]


def test_who_does_not_win_is_cancelled_at_once_where_its_channel_wants_that(two):
    oversell(two, "web", cancel=True)
    two.stock("munich", B=1)
    kept = two.place(("B", 1), channel="market")["order_id"]
    late = two.place(("B", 1))["order_id"]
    assert arbitrate_oversells(two.state) == 1
    assert (two.status(kept)[0], two.status(late)[0]) == ("sourced", "cancelled")
    assert [outcome for outcome, _ in told(two, late)] == ["cancel"]
    assert arbitrate_oversells(two.state) == 0


def test_units_elsewhere_are_a_transfer_and_what_is_like_it_a_substitute(two):
    oversell(two, "market", penalty_minor=5000, late_minor_per_day=100)
    with two.db.connection() as conn:
        conn.execute("UPDATE channel SET node_ids = ARRAY[(SELECT node_id FROM node WHERE code = 'berlin')]")
        conn.execute("UPDATE item SET attributes = '{\"substitutes\": [\"C\"]}' WHERE sku = 'B'")
    two.state.reload_network()
    two.stock("berlin", A=1, B=1, C=1)
    two.stock("munich", A=1)
    for sku, outcome, what in (("A", "transfer", "units at munich"), ("B", "substitute", "C instead")):
        oversell(two, "web", late_minor_per_day=100)
        kept = two.place((sku, 1), channel="market")["order_id"]
        second = two.place((sku, 1))["order_id"]
        assert arbitrate_oversells(two.state) == 1
        ruling = rulings(two)[-1]
        assert (ruling[0], ruling[3]) == (second, "cancel"), "nothing is at stake for web: not worth a day"
        assert two.status(kept)[0] == "sourced"
        oversell(two, "web", penalty_minor=4000, late_minor_per_day=100)
        third = two.place((sku, 1))["order_id"]
        assert arbitrate_oversells(two.state) == 1
        assert rulings(two)[-1][3] == outcome
        assert what in told(two, third)[0][1]


def test_supply_that_comes_before_the_parcel_had_to_leave_makes_nobody_wait(two):
    oversell(two, "market", penalty_minor=300, late_minor_per_day=0)
    oversell(two, "web", late_minor_per_day=100_000)
    two.stock("berlin", A=1)
    first = two.place(("A", 1))["order_id"]
    ((ship_by,),) = two.rows("SELECT ship_by FROM fulfilment")
    two.inbound("berlin", "PO-1", days=(ship_by - two.now).total_seconds() / 86_400, A=5)
    second = two.place(("A", 1), channel="market", allow_backorder=False)["order_id"]
    assert arbitrate_oversells(two.state) == 1
    ((_, served, _, _, sentence),) = rulings(two)
    assert served == second, sentence
    assert "web 1 0.00" in sentence
    assert two.status(first)[0] == "backordered"
