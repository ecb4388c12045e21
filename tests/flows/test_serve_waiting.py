"""Supply that arrives belongs to those who wait for it, first placed first, in the transaction of its receipt."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from onhand.base.actor import Actor
from onhand.errors import Conflict
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import reject, ship
from onhand.flows.source_again import source_orders, source_waiting

BY = Actor(key_id=7)


def first(answer):
    return answer["fulfilments"][0]["fulfilment_id"]


def test_a_receipt_serves_the_backorders_it_was_promised_to(merchant):
    merchant.inbound("munich", "PO-1", A=5)
    one, two = merchant.place(("A", 2)), merchant.place(("A", 1))
    merchant.stock("munich", reference="PO-1", A=5)
    assert [merchant.status(o["order_id"]) for o in (one, two)] == [("sourced", None)] * 2
    assert merchant.fulfilments(one["order_id"]) == [("munich", "allocated", {"A": 2})]
    assert merchant.position("A", "munich") == (5, 0, 3, 0)
    assert merchant.rows("SELECT promised, received FROM inbound_line") == [(0, 5)]
    assert merchant.events(one["order_id"]) == ["order.backordered", "order.sourced"]
    assert (
        merchant.rows("SELECT decision::json ->> 'because' FROM plan WHERE plan_no = 2")
        == [("supply has arrived",)] * 2
    )
    ship(merchant.state, f"{one['order_id']}-f1", by=BY)
    # Memory knows as well: what is left is two.
    assert merchant.place(("A", 2))["status"] == "sourced"
    assert merchant.place(("A", 1))["status"] == "unfillable"


def test_first_placed_is_first_served_whatever_came_first(merchant):
    merchant.inbound("munich", "PO-1", A=5)
    late = merchant.place(("A", 3))
    early = merchant.place(("A", 2), placed_at=(merchant.now - timedelta(days=1)).isoformat())
    merchant.stock("munich", reference="PO-1", A=3)
    assert merchant.status(early["order_id"]) == ("sourced", None)
    # The next in line gets the one unit that is left, so that nobody else does.
    assert merchant.fulfilments(late["order_id"]) == [("munich", "allocated", {"A": 1})]
    assert merchant.waiting(late["order_id"]) == [("backorder", "A", 2)]
    assert merchant.rows("SELECT promised, received FROM inbound_line") == [(2, 3)]
    assert merchant.place(("A", 1))["status"] == "unfillable"


def test_any_arrival_at_the_node_serves_them(merchant):
    merchant.inbound("munich", "PO-1", A=5)
    one, two = merchant.place(("A", 2)), merchant.place(("A", 2))
    merchant.stock("munich", kind="transfer_in", A=2)
    assert merchant.status(one["order_id"])[0] == "sourced"
    merchant.stock("munich", kind="adjustment", A=2)
    assert merchant.status(two["order_id"])[0] == "sourced"
    assert merchant.rows("SELECT promised, received FROM inbound_line") == [(0, 0)]


def test_another_node_serves_them_by_the_sweep(merchant):
    merchant.inbound("munich", "PO-1", A=5)
    placed = merchant.place(("A", 2))
    merchant.stock("berlin", A=2)
    assert merchant.status(placed["order_id"])[0] == "backordered"
    assert source_waiting(merchant.state) == 1


def test_oversold_units_come_first(merchant):
    merchant.stock("munich", A=2)
    sold = merchant.place(("A", 2))
    merchant.inbound("munich", "PO-1", A=3)
    waiting = merchant.place(("A", 3))
    merchant.stock("munich", kind="count", A=0)
    recorded = merchant.stock("munich", reference="PO-1", A=3)
    assert merchant.position("A", "munich") == (3, 0, 3, 0)
    assert merchant.status(sold["order_id"])[0] == "sourced"
    assert merchant.fulfilments(waiting["order_id"]) == [("munich", "allocated", {"A": 1})]
    # The other two waited for supply that has come and gone: the sweep says so.
    assert recorded.unbacked == []
    assert source_waiting(merchant.state) == 0
    assert merchant.status(waiting["order_id"]) == ("unfillable", "to_source")
    assert merchant.waiting(waiting["order_id"]) == [("to_source", "A", 2)]
    merchant.inbound("paris", "PO-2", A=9)
    assert source_waiting(merchant.state, again_after_s=0) == 1
    assert merchant.rows("SELECT promised FROM inbound_line ORDER BY node_id") == [(0,), (2,)]
    assert merchant.status(waiting["order_id"]) == ("backordered", "backorder")


def test_less_to_come_than_was_promised_takes_the_date_from_the_youngest(merchant):
    merchant.stock("munich", A=4)
    merchant.place(("A", 4))
    merchant.inbound("munich", "PO-1", A=6)
    one, two = merchant.place(("A", 3)), merchant.place(("A", 3))
    merchant.stock("munich", kind="count", A=0)
    recorded = merchant.stock("munich", reference="PO-1", A=4)  # all of it covers the oversell
    assert {str(o) for o in recorded.unbacked} == {one["order_id"], two["order_id"]}
    assert source_orders(merchant.state, map(str, recorded.unbacked)) == 0  # neither fits into the two to come
    assert merchant.rows("SELECT promised FROM inbound_line") == [(0,)]
    assert [merchant.status(o["order_id"]) for o in (one, two)] == [("unfillable", "to_source")] * 2


def test_lines_of_several_items_and_nodes_in_one_delivery(merchant):
    merchant.inbound("munich", "PO-1", A=5)
    merchant.inbound("berlin", "PO-2", B=5)
    placed = merchant.place(("A", 2), ("B", 1))
    assert placed["status"] == "backordered"
    merchant.stock("munich", reference="PO-1", A=5)
    assert merchant.status(placed["order_id"]) == ("backordered", "backorder")
    merchant.stock("berlin", reference="PO-2", B=5)
    assert merchant.fulfilments(placed["order_id"]) == [
        ("munich", "allocated", {"A": 2}),
        ("berlin", "allocated", {"B": 1}),
    ]


def test_a_bundle_waits_for_one_component_only(merchant):
    merchant.stock("berlin", A=4)
    merchant.inbound("berlin", "PO-1", B=1)
    placed = merchant.place(("KIT", 1))
    assert merchant.waiting(placed["order_id"]) == [("backorder", "B", 1)]
    merchant.stock("berlin", reference="PO-1", B=1)
    assert [f[2] for f in merchant.fulfilments(placed["order_id"])] == [{"A": 2}, {"B": 1}]


def test_an_order_that_may_not_be_split_is_kept_together_as_its_supply_trickles_in(merchant):
    merchant.inbound("munich", "PO-1", A=6)
    placed = merchant.place(("A", 6), allow_split=False)
    order = placed["order_id"]
    merchant.stock("munich", reference="PO-1", A=2)
    assert merchant.waiting(order) == [("backorder", "A", 4)]
    with pytest.raises(Conflict) as caught:
        ship(merchant.state, f"{order}-f1", by=BY)
    assert caught.value.code == "order.incomplete"
    merchant.stock("munich", reference="PO-1", A=4)
    assert merchant.fulfilments(order) == [
        ("munich", "cancelled", {"A": 2}),
        ("munich", "allocated", {"A": 6}),
    ]
    ship(merchant.state, f"{order}-f2", by=BY)
    assert merchant.status(order) == ("shipped", None)


def test_a_preorder_is_allocated_when_it_comes_and_leaves_on_the_day(merchant):
    release = merchant.now + timedelta(days=21)
    merchant.rows("UPDATE item SET release_at = %s WHERE sku = 'A' RETURNING 1", release)
    merchant.state.learn_items(["A"])
    merchant.inbound("berlin", "PO-1", days=10, A=5)
    placed = merchant.place(("A", 2))
    assert placed["queue"] == "preorder"
    merchant.stock("paris", A=5)
    assert source_waiting(merchant.state) == 0  # not before its release
    merchant.stock("berlin", reference="PO-1", A=5)
    (f,) = merchant.order(placed["order_id"]).fulfilments
    assert (f.node, f.ship_day >= release.date()) == ("berlin", True)


def test_a_node_that_no_longer_ships_leaves_them_waiting(merchant):
    merchant.inbound("munich", "PO-1", A=5)
    placed = merchant.place(("A", 2))
    merchant.rows("UPDATE node SET active = false WHERE code = 'munich' RETURNING 1")
    merchant.state.reload_network()
    merchant.stock("munich", reference="PO-1", A=5)
    assert merchant.waiting(placed["order_id"]) == [("backorder", "A", 2)]
    merchant.rows("UPDATE node SET active = true WHERE code = 'munich' RETURNING 1")
    merchant.state.reload_network()
    assert source_waiting(merchant.state) == 1


def test_receipts_cancels_and_rejections_at_the_same_time(merchant):
    merchant.inbound("munich", "PO-1", A=30)
    merchant.inbound("paris", "PO-2", A=30)
    orders = [merchant.place(("A", 2)) for _ in range(25)]

    def cancel(order):
        try:
            cancel_order(merchant.state, order["order_id"], by=BY)
        except Conflict:
            return

    def refuse(order):
        try:
            reject(merchant.state, f"{order['order_id']}-f1", "damaged", by=BY)
        except Exception as error:
            assert getattr(error, "http_status", 500) in (404, 409), error

    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(merchant.stock, "munich", reference="PO-1", A=3) for _ in range(8)]
        work += [pool.submit(cancel, o) for o in orders[::5]]
        work += [pool.submit(refuse, o) for o in orders[1::3]]
        work += [pool.submit(source_waiting, merchant.state) for _ in range(5)]
        for f in work:
            f.result()
    assert all(merchant.status(o["order_id"])[0] == "cancelled" for o in orders[::5])
