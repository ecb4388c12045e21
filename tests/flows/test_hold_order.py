"""A held order keeps what it was promised and goes on from there when it is released."""

import pytest

from onhand.base.actor import Actor
from onhand.errors import Conflict
from onhand.flows.fulfil import ship
from onhand.flows.hold_order import hold_order, release_order
from onhand.orders.intake import Destination

BY = Actor(key_id=7)
NOWHERE = {"destination": {"country": "QZ"}}


def test_hold_and_release(merchant):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 1))
    order = placed["order_id"]
    answer = hold_order(merchant.state, order, "call first", by=BY).answer
    assert (answer["status"], answer["queue"]) == ("held", "held")
    assert merchant.position("A", "berlin") == (5, 0, 1, 0)
    with pytest.raises(Conflict) as caught:
        hold_order(merchant.state, order, "again", by=BY)
    assert caught.value.state == "held" and "release" in caught.value.allowed
    answer = release_order(merchant.state, order, by=BY).answer
    assert (answer["status"], answer["queue"]) == ("sourced", None)
    ship(merchant.state, placed["fulfilments"][0]["fulfilment_id"], by=BY)
    with pytest.raises(Conflict):
        hold_order(merchant.state, order, "too late", by=BY)
    assert merchant.events(order) == ["order.sourced", "order.held", "order.sourced", "order.shipped"]


def test_an_order_that_comes_in_held_waits_whatever_else_it_waits_for(merchant):
    merchant.inbound("berlin", "PO-1", A=5)
    backordered = merchant.place(("A", 1), hold="credit")
    unfillable = merchant.place(("B", 1), hold="credit")
    assert [o["status"] for o in (backordered, unfillable)] == ["held", "held"]
    merchant.stock("berlin", B=1)
    assert release_order(merchant.state, backordered["order_id"], by=BY).answer["queue"] == "backorder"
    # The stock that came meanwhile is found at once.
    assert release_order(merchant.state, unfillable["order_id"], by=BY).answer["status"] == "sourced"


def test_supply_comes_to_a_held_order_and_stays_held(merchant):
    merchant.inbound("berlin", "PO-1", A=5)
    placed = merchant.place(("A", 1), hold="credit")
    merchant.stock("berlin", reference="PO-1", A=5)
    assert merchant.status(placed["order_id"]) == ("held", "held")
    assert merchant.fulfilments(placed["order_id"]) == [("berlin", "allocated", {"A": 1})]
    assert release_order(merchant.state, placed["order_id"], by=BY).answer["status"] == "sourced"


def test_an_unknown_place_must_be_corrected(merchant):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 1), **NOWHERE)
    assert placed["status"] == "held"
    assert merchant.waiting(placed["order_id"]) == [("held", "A", 1)]
    with pytest.raises(Conflict) as caught:
        release_order(merchant.state, placed["order_id"], by=BY)
    assert caught.value.code == "order.unlocatable"
    answer = release_order(
        merchant.state, placed["order_id"], Destination(country="DE", postal_code="10115"), by=BY
    ).answer
    assert answer["status"] == "sourced" and answer["fulfilments"][0]["node"] == "berlin"
    assert merchant.order(placed["order_id"]).wishes.destination.country == "DE"
