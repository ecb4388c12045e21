"""Arbitration on a real database."""

import json

import pytest

from onhand.flows.arbitrate import arbitrate_oversells


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
