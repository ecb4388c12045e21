"""The node's side: every answer is one transaction that leaves stock, capacity and queues exact."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from onhand.base.actor import SYSTEM, Actor
from onhand.errors import Conflict, InvalidInput, NotFound
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import accept, deliver, pack, reject, ship
from onhand.flows.hold_order import hold_order
from onhand.orders.decide import Amount

BY = Actor(key_id=7)


def first(answer):
    return answer["fulfilments"][0]["fulfilment_id"]


def test_an_order_goes_its_way_from_shelf_to_customer(merchant):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 2))
    f, order = first(placed), placed["order_id"]
    assert accept(merchant.state, f, by=BY).answer["status"] == "accepted"
    assert pack(merchant.state, f, by=BY).answer["status"] == "packed"
    answer = ship(merchant.state, f, carrier="ups", tracking="1Z", by=BY).answer
    assert answer["status"] == "shipped" and answer["order"] == {"status": "shipped", "queue": None}
    assert answer["shipment"] == {
        "shipment_id": f"{order}-s1",
        "carrier": "ups",
        "service": None,
        "tracking": "1Z",
        "lines": [{"line_id": "1", "sku": "A", "quantity": 2}],
    }
    assert merchant.position("A", "berlin") == (3, 0, 0, 0)
    assert deliver(merchant.state, f, by=BY).answer["order"]["status"] == "delivered"
    assert merchant.events(f) == [
        "fulfilment.accepted",
        "fulfilment.packed",
        "fulfilment.shipped",
        "fulfilment.delivered",
    ]
    assert merchant.events(order) == ["order.sourced", "order.shipped", "order.delivered"]
    assert merchant.rows("SELECT delivered_at IS NOT NULL FROM shipment") == [(True,)]
    assert merchant.rows("SELECT DISTINCT actor FROM event WHERE kind LIKE 'fulfilment%%'") == [(7,)]


def test_a_small_store_ships_at_once_and_in_parts(merchant):
    merchant.stock("berlin", A=5, B=5)
    placed = merchant.place(("A", 3), ("B", 1))
    f, order = first(placed), placed["order_id"]
    part = ship(merchant.state, f, lines=[Amount("1", 2)], by=BY).answer
    assert (part["status"], part["order"]["status"]) == ("partly_shipped", "partly_shipped")
    assert part["shipment"]["carrier"] == "dhl" and part["shipment"]["service"] == "standard"
    with pytest.raises(Conflict) as caught:
        ship(merchant.state, f, lines=[Amount("1", 2)], by=BY)
    assert (caught.value.code, caught.value.left) == ("quantity.exceeded", 1)
    with pytest.raises(Conflict, match="partly_shipped: cannot deliver"):
        deliver(merchant.state, f, by=BY)
    rest = ship(merchant.state, f, by=BY).answer
    assert rest["shipment"]["shipment_id"] == f"{order}-s2"
    assert rest["shipment"]["lines"] == [
        {"line_id": "1", "sku": "A", "quantity": 1},
        {"line_id": "2", "sku": "B", "quantity": 1},
    ]
    assert [line.shipped for line in merchant.order(order).lines] == [3, 1]
    assert merchant.position("A", "berlin") == (2, 0, 0, 0)


def test_lines_that_are_not_there_are_named(merchant):
    merchant.stock("berlin", A=5)
    f = first(merchant.place(("A", 3)))
    with pytest.raises(InvalidInput) as caught:
        ship(merchant.state, f, lines=[Amount("x"), Amount("1", 1, "B")], by=BY)
    assert [e.path for e in caught.value.errors] == ["lines[0].line_id", "lines[1].sku"]
    with pytest.raises(InvalidInput, match="another row"):
        ship(merchant.state, f, lines=[Amount("1", 1), Amount("1", 1, "A")], by=BY)
    assert merchant.position("A", "berlin") == (5, 0, 3, 0)


@pytest.mark.parametrize(
    "name",
    [
        "x",
        "",
        "00000000-0000-7000-8000-000000000000-f1",
        "x-f1",
        "{}-f2",
        "{}-f0",
        "{}-f99999",
        "{}-p1",
        "{}",
        "{}-f1 ",
        "{}-f٣",
    ],
)
def test_ids_of_nothing_and_of_other_kinds_are_not_found(merchant, name):  # fmt: skip
    merchant.stock("berlin", A=5)
    order = merchant.place(("A", 1))["order_id"]
    with pytest.raises(NotFound) as caught:
        accept(merchant.state, name.format(order), by=BY)
    assert caught.value.code == "fulfilment.not_found"


def test_a_held_order_does_not_move(merchant):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 1))
    hold_order(merchant.state, placed["order_id"], "check the address", by=BY)
    for command in (accept, pack, ship):
        with pytest.raises(Conflict, match="check the address") as caught:
            command(merchant.state, first(placed), by=BY)
        assert caught.value.code == "order.held"


def test_a_rejection_is_served_by_another_node_at_once(merchant):
    merchant.stock("berlin", A=2)
    merchant.stock("munich", A=5)
    placed = merchant.place(("A", 2))
    order = placed["order_id"]
    answer = reject(merchant.state, first(placed), "not_found", by=BY).answer
    assert answer["status"] == "rejected" and answer["order"]["status"] == "sourced"
    assert merchant.fulfilments(order) == [
        ("berlin", "rejected", {"A": 2}),
        ("munich", "allocated", {"A": 2}),
    ]
    # What the node could not find cannot be sold to the next customer.
    assert merchant.position("A", "berlin") == (2, 2, 0, 0)
    assert merchant.position("A", "munich") == (5, 0, 2, 0)
    assert merchant.rows("SELECT plan_no, decision::json ->> 'because' FROM plan ORDER BY 1") == [
        (1, None),
        (2, "rejected by berlin: not_found"),
    ]
    assert merchant.events(order) == ["order.sourced", "order.sourced"]
    assert merchant.rows("SELECT kind, quantity, reason FROM ledger_entry WHERE kind IN ('release', 'damage')") == [
        ("release", 2, "not_found"),
        ("damage", 2, "not_found"),
    ]


def test_a_node_that_is_only_busy_keeps_its_stock_for_others(merchant):
    merchant.stock("berlin", A=2)
    placed = merchant.place(("A", 2))
    answer = reject(merchant.state, first(placed), "no_capacity", by=BY).answer
    assert (answer["order"]["status"], answer["order"]["queue"]) == ("unfillable", "rejected")
    assert merchant.waiting(placed["order_id"]) == [("rejected", "A", 2)]
    assert merchant.position("A", "berlin") == (2, 0, 0, 0)
    assert merchant.place(("A", 2))["status"] == "sourced"


def test_a_node_is_not_asked_again_at_once_however_long_it_had_the_order(merchant):
    merchant.stock("berlin", A=2)
    placed = merchant.place(("A", 2))
    merchant.rows("UPDATE fulfilment SET updated_at = '2026-01-01' RETURNING 1")
    reject(merchant.state, first(placed), "closed", by=BY)
    assert merchant.status(placed["order_id"]) == ("unfillable", "rejected")


def test_a_part_is_rejected_and_the_rest_stays(merchant):
    merchant.limit("berlin", orders=5, lines=50, units=500)
    merchant.stock("berlin", A=3, B=1)
    merchant.stock("paris", A=9)
    placed = merchant.place(("A", 3), ("B", 1))
    f, order = first(placed), placed["order_id"]
    accept(merchant.state, f, by=BY)
    answer = reject(merchant.state, f, "damaged", lines=[Amount("1", 2)], by=BY).answer
    assert (answer["status"], answer["reason"]) == ("accepted", "damaged")
    assert merchant.fulfilments(order) == [
        ("berlin", "accepted", {"A": 1, "B": 1}),
        ("paris", "allocated", {"A": 2}),
    ]
    assert merchant.rows("SELECT orders, lines, units FROM capacity_day") == [(1, 2, 2)]
    ship(merchant.state, f, by=BY)
    assert merchant.status(order) == ("partly_shipped", None)
    ship(merchant.state, f"{order}-f2", by=BY)
    assert merchant.status(order) == ("shipped", None)


def test_the_rest_of_a_partly_shipped_fulfilment_is_rejected(merchant):
    merchant.stock("berlin", A=3)
    placed = merchant.place(("A", 3))
    f, order = first(placed), placed["order_id"]
    ship(merchant.state, f, lines=[Amount("1", 1)], by=BY)
    answer = reject(merchant.state, f, "not_found", by=BY).answer
    assert answer["status"] == "shipped"
    assert merchant.status(order) == ("partly_shipped", "rejected")
    deliver(merchant.state, f, by=BY)
    assert merchant.status(order) == ("partly_shipped", "rejected")
    cancel_order(merchant.state, order, by=BY)
    assert merchant.status(order) == ("delivered", None)


def test_a_rejection_waits_for_supply_that_is_on_its_way(merchant):
    merchant.stock("berlin", A=2)
    merchant.inbound("munich", "PO-1", A=5)
    placed = merchant.place(("A", 2))
    order = placed["order_id"]
    answer = reject(merchant.state, first(placed), "damaged", by=BY).answer
    assert answer["order"]["status"] == "backordered"
    assert merchant.waiting(order) == [("backorder", "A", 2)]
    assert merchant.rows("SELECT promised FROM inbound_line") == [(2,)]
    merchant.stock("munich", reference="PO-1", A=5)
    assert merchant.fulfilments(order)[1:] == [("munich", "allocated", {"A": 2})]
    assert merchant.rows("SELECT promised, received FROM inbound_line") == [(0, 5)]


def test_a_component_of_a_bundle_is_rejected_alone(merchant):
    merchant.stock("berlin", A=4, B=2)
    merchant.stock("hamburg", B=2)
    placed = merchant.place(("KIT", 2))
    f, order = first(placed), placed["order_id"]
    reject(merchant.state, f, "not_found", lines=[Amount("1", 2, "B")], by=BY)
    assert merchant.fulfilments(order) == [
        ("berlin", "allocated", {"A": 4}),
        ("hamburg", "allocated", {"B": 2}),
    ]
    ship(merchant.state, f, by=BY)
    assert [line.shipped for line in merchant.order(order).lines] == [0]  # no bundle is complete yet
    ship(merchant.state, f"{order}-f2", lines=[Amount("1", 1, "B")], by=BY)
    assert [line.shipped for line in merchant.order(order).lines] == [1]


def test_a_storm_of_rejections_ends_in_the_queue_and_never_asks_a_node_twice(merchant):
    for node in ("berlin", "munich", "hamburg", "paris"):
        merchant.stock(node, A=3)
    merchant.limit("hamburg", units=10)
    placed = merchant.place(("A", 2))
    order = placed["order_id"]
    seen = []
    while merchant.status(order)[0] == "sourced" and len(seen) < 9:
        node, _, _ = merchant.fulfilments(order)[-1]
        seen.append(node)
        reject(merchant.state, f"{order}-f{len(seen)}", "other", by=BY)
    assert sorted(seen) == ["berlin", "hamburg", "munich", "paris"]
    assert merchant.status(order) == ("unfillable", "rejected")
    assert merchant.rows("SELECT sum(allocated) FROM stock_position") == [(0,)]
    assert merchant.rows("SELECT orders, lines, units FROM capacity_day") == [(0, 0, 0)]


def test_an_order_that_may_not_be_split_moves_as_a_whole(merchant):
    merchant.stock("berlin", A=2, B=1)
    merchant.stock("munich", A=2, B=1)
    placed = merchant.place(("A", 2), ("B", 1), allow_split=False)
    order = placed["order_id"]
    reject(merchant.state, first(placed), "not_found", lines=[Amount("2")], by=BY)
    assert merchant.fulfilments(order) == [
        ("berlin", "cancelled", {"A": 2}),
        ("munich", "allocated", {"A": 2, "B": 1}),
    ]
    assert merchant.position("A", "berlin") == (2, 0, 0, 0)
    assert merchant.position("B", "berlin") == (1, 1, 0, 0)


def test_an_order_that_may_not_be_split_does_not_leave_in_parts(merchant):
    merchant.stock("berlin", A=2, B=1)
    placed = merchant.place(("A", 2), ("B", 1), allow_split=False)
    order = placed["order_id"]
    reject(merchant.state, first(placed), "not_found", lines=[Amount("2")], by=BY)
    assert merchant.fulfilments(order) == [("berlin", "allocated", {"A": 2})]
    with pytest.raises(Conflict) as caught:
        ship(merchant.state, first(placed), by=BY)
    assert caught.value.code == "order.incomplete"


def test_more_than_the_node_has_is_not_shipped(merchant):
    merchant.stock("berlin", A=3)
    placed = merchant.place(("A", 3))
    merchant.stock("berlin", kind="count", A=1)
    assert merchant.position("A", "berlin") == (1, 0, 1, 2)
    with pytest.raises(Conflict) as caught:
        ship(merchant.state, first(placed), by=BY)
    assert (caught.value.code, caught.value.sku, caught.value.node) == ("stock.insufficient", "A", "berlin")
    # Only what was really there is set aside.
    reject(merchant.state, first(placed), "not_found", by=BY)
    assert merchant.position("A", "berlin") == (1, 1, 0, 0)


def test_cancel_against_ship_has_one_winner_per_unit(merchant):
    merchant.stock("berlin", A=60)
    orders = [merchant.place(("A", 2)) for _ in range(30)]

    def attempt(command, *arguments, **named):
        try:
            command(merchant.state, *arguments, by=BY, **named)
            return True
        except Conflict:
            return False

    with ThreadPoolExecutor(8) as pool:
        ships = [pool.submit(attempt, ship, first(o), lines=[Amount("1", 1)]) for o in orders]
        cancels = [pool.submit(attempt, cancel_order, o["order_id"]) for o in orders]
        again = [pool.submit(attempt, ship, first(o)) for o in orders]
        shipped = [f.result() for f in ships]
        cancelled = [f.result() for f in cancels]
        rest = [f.result() for f in again]
    on_hand, _, allocated, _ = merchant.position("A", "berlin")
    gone = sum(line.shipped for o in orders for line in merchant.order(o["order_id"]).lines)
    assert on_hand == 60 - gone
    kept = sum(line.open for o in orders for line in merchant.order(o["order_id"]).lines)
    assert allocated == kept - gone
    assert all(a or b or c for a, b, c in zip(shipped, cancelled, rest, strict=True))


def test_two_nodes_reject_lines_of_one_order_at_the_same_time(merchant):
    for node, sku in (("berlin", "A"), ("munich", "B")):
        merchant.stock(node, **{sku: 5})
    merchant.stock("paris", A=50, B=50)
    orders = [merchant.place(("A", 1), ("B", 1), to="munich") for _ in range(5)]
    targets = [f["fulfilment_id"] for o in orders for f in o["fulfilments"]]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda f: reject(merchant.state, f, "closed", by=SYSTEM), targets))
    assert all(merchant.status(o["order_id"])[0] == "sourced" for o in orders)
