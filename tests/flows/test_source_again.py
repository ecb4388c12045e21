"""Orders that wait are served when they can be: oldest first, never beyond what there is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from onhand.base.actor import Actor
from onhand.errors import Conflict, InvalidInput
from onhand.flows.fulfil import pack, reject, ship
from onhand.flows.hold_order import hold_order
from onhand.flows.source_again import reroute, source_orders, source_waiting

BY = Actor(key_id=7)


def first(answer):
    return answer["fulfilments"][0]["fulfilment_id"]


def test_an_order_is_taken_from_one_node_to_another(merchant):
    merchant.limit("berlin", orders=9)
    merchant.stock("berlin", A=5)
    merchant.stock("paris", A=5)
    placed = merchant.place(("A", 2))
    pack(merchant.state, first(placed), by=BY)
    answer = reroute(merchant.state, placed["order_id"], ["berlin"], by=BY).answer
    assert answer["status"] == "sourced"
    assert [(f["node"], f["status"], f["reason"]) for f in answer["fulfilments"]] == [
        ("berlin", "cancelled", "rerouted"),
        ("paris", "allocated", None),
    ]
    assert merchant.position("A", "berlin") == (5, 0, 0, 0)
    assert merchant.rows("SELECT orders, lines, units FROM capacity_day") == [(0, 0, 0)]
    assert merchant.events(placed["order_id"]) == ["order.sourced", "order.sourced"]
    assert merchant.events(first(placed)) == ["fulfilment.packed", "fulfilment.cancelled"]


def test_nothing_to_reroute_is_refused(merchant):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 2))
    for exclude in (None, ["munich"]):
        with pytest.raises(Conflict) as caught:
            reroute(merchant.state, placed["order_id"], exclude, by=BY)
        assert caught.value.code == "order.not_allowed"
    with pytest.raises(InvalidInput) as caught:
        reroute(merchant.state, placed["order_id"], ["berlin", "atlantis"], by=BY)
    assert [e.path for e in caught.value.errors] == ["exclude[1]"]
    ship(merchant.state, first(placed), by=BY)
    with pytest.raises(Conflict) as caught:
        reroute(merchant.state, placed["order_id"], ["berlin"], by=BY)
    assert caught.value.state == "shipped"


def test_a_person_may_ask_a_node_again_that_refused(merchant):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 2))
    reject(merchant.state, first(placed), "closed", by=BY)
    answer = reroute(merchant.state, placed["order_id"], by=BY).answer
    assert answer["status"] == "unfillable"
    answer = reroute(merchant.state, placed["order_id"], [], by=BY).answer
    assert answer["status"] == "sourced" and answer["fulfilments"][-1]["node"] == "berlin"


def test_the_sweep_asks_it_again_after_a_day(merchant):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 2))
    reject(merchant.state, first(placed), "closed", by=BY)
    assert source_waiting(merchant.state) == 0
    merchant.rows("UPDATE fulfilment SET updated_at = updated_at - interval '25 hours' RETURNING 1")
    merchant.now = merchant.rows("SELECT now()")[0][0]
    assert source_waiting(merchant.state, again_after_s=0) == 1
    assert merchant.status(placed["order_id"]) == ("sourced", None)


def test_the_oldest_unfillable_order_gets_what_comes(merchant):
    one, two, three = (
        merchant.place(("A", 2), placed_at=(merchant.now - timedelta(days=days)).isoformat()) for days in (1, 3, 2)
    )
    merchant.stock("berlin", A=5)
    assert source_waiting(merchant.state, limit=10) == 2
    assert [merchant.status(o["order_id"])[0] for o in (one, two, three)] == ["unfillable", "sourced", "sourced"]
    assert merchant.position("A", "berlin") == (5, 0, 4, 0)
    assert source_waiting(merchant.state, limit=10) == 0
    assert merchant.rows("SELECT plan_no FROM plan WHERE order_id = %s ORDER BY 1", two["order_id"]) == [(1,), (2,)]
    assert merchant.rows("SELECT plan_no FROM plan WHERE order_id = %s ORDER BY 1", one["order_id"]) == [(1,)]


def test_what_cannot_be_helped_does_not_stand_in_the_way(merchant):
    # Enough units on the shelf, but no service reaches it: tried once, then left alone for a while.
    merchant.rows("UPDATE node SET methods = '{pickup}' RETURNING 1")
    merchant.state.reload_network()
    old = merchant.place(("A", 1))
    merchant.stock("berlin", A=1, B=1)
    assert source_waiting(merchant.state, limit=1) == 0
    assert merchant.rows("SELECT tried_at IS NOT NULL FROM queue_line") == [(True,)]
    merchant.rows("UPDATE node SET methods = '{ship}' WHERE code = 'berlin' RETURNING 1")
    merchant.state.reload_network()
    young = merchant.place(("B", 2))
    merchant.stock("berlin", B=1)
    assert source_waiting(merchant.state, limit=1) == 1
    assert (merchant.status(old["order_id"])[0], merchant.status(young["order_id"])[0]) == ("unfillable", "sourced")
    assert source_waiting(merchant.state, limit=1, again_after_s=0) == 1


def test_an_unfillable_order_is_promised_new_supply(merchant):
    placed = merchant.place(("A", 2))
    never = merchant.place(("A", 1), allow_backorder=False)
    merchant.inbound("munich", "PO-1", A=5)
    assert source_waiting(merchant.state) == 1
    assert merchant.status(placed["order_id"]) == ("backordered", "backorder")
    assert merchant.rows("SELECT promised FROM inbound_line") == [(2,)]
    assert merchant.status(never["order_id"]) == ("unfillable", "unfillable")


def test_a_backorder_is_served_earlier_from_a_shelf(merchant):
    merchant.inbound("munich", "PO-1", A=5)
    placed = merchant.place(("A", 2))
    merchant.stock("paris", A=2)
    assert source_waiting(merchant.state) == 1
    assert merchant.fulfilments(placed["order_id"]) == [("paris", "allocated", {"A": 2})]
    assert merchant.rows("SELECT promised FROM inbound_line") == [(0,)]


def test_an_order_is_served_whole_or_not_at_all_while_nothing_of_it_is_under_way(merchant):
    placed = merchant.place(("A", 1), ("B", 1))
    merchant.stock("berlin", A=1)
    assert source_waiting(merchant.state) == 0
    assert merchant.position("A", "berlin") == (1, 0, 0, 0)
    merchant.stock("munich", B=1)
    assert source_waiting(merchant.state, again_after_s=0) == 1
    assert merchant.status(placed["order_id"]) == ("sourced", None)


def test_a_held_order_is_left_alone(merchant):
    placed = merchant.place(("A", 1))
    hold_order(merchant.state, placed["order_id"], "wait", by=BY)
    merchant.stock("berlin", A=1)
    assert source_waiting(merchant.state) == 0
    assert source_orders(merchant.state, [placed["order_id"]]) == 0


def test_the_most_fulfilments_of_an_order_hold_for_later_ones_too(merchant):
    for node, sku, units in (("berlin", "A", 1), ("munich", "B", 1), ("hamburg", "C", 1), ("paris", "D", 2)):
        merchant.stock(node, **{sku: units})
    placed = merchant.place(("A", 1), ("B", 1), ("C", 1), ("D", 2), to="hamburg")
    order = merchant.order(placed["order_id"])
    assert len(order.live) == 4
    # One more may be made for what paris refuses, not two.
    merchant.stock("munich", D=1)
    merchant.stock("berlin", D=1)
    paris = next(f for f in order.live if f.node == "paris")
    reject(merchant.state, order.fulfilment_id(paris.number), "damaged", by=BY)
    assert merchant.waiting(placed["order_id"]) == [("rejected", "D", 2)]
    merchant.stock("munich", D=1)
    assert source_waiting(merchant.state, again_after_s=0) == 1
    assert len(merchant.order(placed["order_id"]).live) == 4


def test_several_sweeps_at_once_serve_each_order_once(merchant):
    orders = [merchant.place(("A", 1), ("B", 1)) for _ in range(40)]
    merchant.stock("berlin", A=25, B=30)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            list(pool.map(lambda _: source_waiting(merchant.state, limit=7), range(4)))
    served = [o for o in orders if merchant.status(o["order_id"])[0] == "sourced"]
    assert len(served) == 25
    assert merchant.position("A", "berlin") == (25, 0, 25, 0)
    assert {o["order_id"] for o in served} == {o["order_id"] for o in orders[:25]}


def test_capacity_that_is_given_back_is_used_again(merchant):
    merchant.limit("berlin", orders=1)
    merchant.stock("berlin", A=9)
    one = merchant.place(("A", 1))
    two = merchant.place(("A", 1))
    days = [f.ship_day for o in (one, two) for f in merchant.order(o["order_id"]).fulfilments]
    assert days[0] < days[1]
    reroute_refused = reject(merchant.state, first(one), "other", by=BY).answer
    assert reroute_refused["order"]["queue"] == "rejected"
    three = merchant.place(("A", 1))
    assert merchant.order(three["order_id"]).fulfilments[0].ship_day == days[0]


def test_a_sweep_works_in_a_process_that_has_not_heard_of_the_item(merchant):
    placed = merchant.place(("A", 1))
    merchant.stock("berlin", A=1)
    merchant.state.catalogue = type(merchant.state.catalogue)()
    assert source_waiting(merchant.state) == 1
    assert merchant.status(placed["order_id"]) == ("sourced", None)


def test_lines_that_share_an_item_are_served_in_their_order(merchant):
    placed = merchant.place(("A", 2), ("KIT", 1))
    merchant.stock("berlin", A=3, B=1)
    merchant.stock("munich", A=1)
    assert source_waiting(merchant.state) == 1
    order = merchant.order(placed["order_id"])
    assert sorted((p.line_no, order.skus[p.item_id], p.quantity) for f in order.live for p in f.pieces) in (
        [(1, "A", 2), (2, "A", 1), (2, "A", 1), (2, "B", 1)],
        [(1, "A", 1), (1, "A", 1), (2, "A", 2), (2, "B", 1)],
    )
