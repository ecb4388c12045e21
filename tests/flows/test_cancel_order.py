"""Cancelling releases exactly what has not been shipped, wherever it is."""

import pytest

from onhand.base.actor import Actor
from onhand.errors import Conflict, InvalidInput, NotFound
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import deliver, pack, ship
from onhand.flows.hold_order import hold_order
from onhand.orders.decide import Amount

BY = Actor(key_id=7, reason="changed my mind")


def first(answer):
    return answer["fulfilments"][0]["fulfilment_id"]


def cancel(merchant, placed, *lines):
    return cancel_order(merchant.state, placed["order_id"], list(lines) or None, by=BY).answer


def test_a_whole_order_gives_everything_back(merchant):
    merchant.limit("berlin", orders=3)
    merchant.stock("berlin", A=5, B=5)
    placed = merchant.place(("A", 2), ("B", 1))
    answer = cancel(merchant, placed)
    assert (answer["status"], answer["queue"]) == ("cancelled", None)
    assert [line["cancelled"] for line in answer["lines"]] == [2, 1]
    assert merchant.fulfilments(placed["order_id"]) == [("berlin", "cancelled", {"A": 2, "B": 1})]
    assert merchant.position("A", "berlin") == (5, 0, 0, 0)
    assert merchant.rows("SELECT orders, lines, units FROM capacity_day") == [(0, 0, 0)]
    assert merchant.events(placed["order_id"]) == ["order.sourced", "order.cancelled"]
    assert merchant.rows("SELECT reason FROM event WHERE kind = 'order.cancelled'") == [("changed my mind",)]
    with pytest.raises(Conflict) as caught:
        cancel(merchant, placed)
    assert (caught.value.code, caught.value.state, caught.value.allowed) == ("order.not_allowed", "cancelled", [])


def test_a_line_shrinks_and_capacity_with_it(merchant):
    merchant.limit("berlin", lines=10)
    merchant.stock("berlin", A=5, B=5)
    placed = merchant.place(("A", 3), ("B", 1))
    answer = cancel(merchant, placed, Amount("1", 1), Amount("2"))
    assert answer["status"] == "sourced"
    assert merchant.fulfilments(placed["order_id"]) == [("berlin", "allocated", {"A": 2})]
    assert merchant.rows("SELECT orders, lines, units FROM capacity_day") == [(1, 1, 2)]
    assert merchant.events(first(placed)) == ["fulfilment.allocated"]


def test_the_rest_of_a_partly_shipped_order_is_cancelled(merchant):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 3))
    ship(merchant.state, first(placed), lines=[Amount("1", 1)], by=BY)
    answer = cancel(merchant, placed)
    assert answer["status"] == "shipped"
    assert (answer["lines"][0]["cancelled"], answer["lines"][0]["shipped"]) == (2, 1)
    with pytest.raises(Conflict) as caught:
        cancel(merchant, placed)
    assert caught.value.state == "shipped"
    deliver(merchant.state, first(placed), by=BY)
    assert merchant.status(placed["order_id"]) == ("delivered", None)


def test_shipped_units_are_named(merchant):
    merchant.stock("berlin", A=5, B=1)
    placed = merchant.place(("A", 3), ("B", 1))
    ship(merchant.state, first(placed), lines=[Amount("1", 2)], by=BY)
    with pytest.raises(Conflict, match="2 have been shipped") as caught:
        cancel(merchant, placed, Amount("1", 2))
    assert caught.value.shipped == {"1": 2}
    assert cancel(merchant, placed, Amount("1", 1))["status"] == "partly_shipped"


def test_waiting_units_go_first_and_free_their_supply(merchant):
    merchant.stock("berlin", A=2)
    merchant.inbound("berlin", "PO-1", A=5, B=9)
    placed = merchant.place(("B", 4), ("A", 2))
    assert merchant.status(placed["order_id"]) == ("backordered", "backorder")
    cancel(merchant, placed, Amount("1", 3))
    assert merchant.rows("SELECT promised FROM inbound_line ORDER BY item_id") == [(0,), (1,)]
    answer = cancel(merchant, placed, Amount("1", 1))
    assert answer["status"] == "sourced" and answer["waiting"] == []


def test_what_waits_goes_before_what_lies_ready(merchant):
    merchant.stock("berlin", A=2)
    merchant.inbound("berlin", "PO-1", A=5)
    placed = merchant.place(("A", 4), ("B", 1))  # nothing has B: all of it waits
    assert placed["status"] == "unfillable"
    assert cancel(merchant, placed, Amount("2"))["status"] == "unfillable"
    merchant.stock("munich", A=2)
    other = merchant.place(("A", 4))
    pack(merchant.state, first(other), by=BY)
    cancel(merchant, other, Amount("1", 2))
    nodes = {node: status for node, status, _ in merchant.fulfilments(other["order_id"])}
    packed = merchant.order(other["order_id"]).fulfilments[0].node
    assert nodes[packed] == "packed"  # the other parcel was not begun: it goes


def test_bundles_are_cancelled_whole(merchant):
    merchant.stock("berlin", A=6, B=3)
    placed = merchant.place(("KIT", 3))
    ship(merchant.state, first(placed), lines=[Amount("1", 1, "B")], by=BY)
    with pytest.raises(Conflict):
        cancel(merchant, placed, Amount("1", 3))
    cancel(merchant, placed, Amount("1", 2))
    assert merchant.fulfilments(placed["order_id"]) == [("berlin", "partly_shipped", {"A": 2, "B": 1})]
    with pytest.raises(Conflict, match="nothing of it"):
        cancel(merchant, placed)  # the last bundle has begun to leave
    ship(merchant.state, first(placed), by=BY)
    assert merchant.status(placed["order_id"]) == ("shipped", None)


def test_a_held_order_is_cancelled_and_no_longer_held(merchant):
    merchant.stock("berlin", A=6)
    placed = merchant.place(("A", 2))
    hold_order(merchant.state, placed["order_id"], "fraud?", by=BY)
    assert cancel(merchant, placed, Amount("1", 1))["status"] == "held"
    assert (cancel(merchant, placed)["status"], merchant.order(placed["order_id"]).held) == ("cancelled", False)


def test_an_oversold_promise_is_given_up_before_a_real_one(merchant):
    merchant.stock("berlin", A=4)
    one, _other = merchant.place(("A", 2)), merchant.place(("A", 2))
    merchant.stock("berlin", kind="count", A=3)
    assert merchant.position("A", "berlin") == (3, 0, 3, 1)
    cancel(merchant, one)
    assert merchant.position("A", "berlin") == (3, 0, 2, 0)


def test_unknown_lines_and_orders_are_told(merchant):
    merchant.stock("berlin", A=4)
    placed = merchant.place(("A", 2))
    with pytest.raises(InvalidInput) as caught:
        cancel(merchant, placed, Amount("9"), Amount("1", 1), Amount("1", 1))
    assert [e.path for e in caught.value.errors] == ["lines[0].line_id", "lines[2].line_id"]
    for name in ("x", "00000000-0000-7000-8000-000000000000", placed["plan_id"]):
        with pytest.raises(NotFound):
            cancel_order(merchant.state, name, by=BY)
