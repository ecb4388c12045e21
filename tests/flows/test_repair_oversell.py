"""A count that finds less than was promised: orders give way, the youngest first, and are served otherwise."""

from concurrent.futures import ThreadPoolExecutor

from onhand.base.actor import Actor
from onhand.flows.fulfil import accept, pack, ship
from onhand.flows.repair_oversell import repair_oversold
from onhand.orders.decide import Amount

BY = Actor(key_id=7)


def first(answer):
    return answer["fulfilments"][0]["fulfilment_id"]


def test_the_youngest_gives_way_and_is_served_elsewhere(merchant):
    merchant.limit("berlin", units=100)
    merchant.stock("berlin", A=4)
    old, young = merchant.place(("A", 2)), merchant.place(("A", 2))
    merchant.stock("munich", A=9)
    merchant.stock("berlin", kind="count", A=3)
    assert repair_oversold(merchant.state) == 1
    assert merchant.fulfilments(old["order_id"]) == [("berlin", "allocated", {"A": 2})]
    assert merchant.fulfilments(young["order_id"]) == [
        ("berlin", "allocated", {"A": 1}),
        ("munich", "allocated", {"A": 1}),
    ]
    assert merchant.position("A", "berlin") == (3, 0, 3, 0)
    assert repair_oversold(merchant.state) == 0
    assert merchant.rows("SELECT data ->> 'reason' FROM event WHERE subject = %s ORDER BY xid, pos",
                         young["order_id"])[-1] == ("oversold",)  # fmt: skip


def test_what_is_packed_gives_way_last(merchant):
    merchant.stock("berlin", A=3)
    one, two, three = (merchant.place(("A", 1)) for _ in range(3))
    accept(merchant.state, first(one), by=BY)
    pack(merchant.state, first(three), by=BY)
    merchant.stock("berlin", kind="count", A=2)
    assert repair_oversold(merchant.state) == 1
    assert merchant.status(two["order_id"]) == ("unfillable", "to_source")
    merchant.stock("berlin", kind="count", A=0)
    assert repair_oversold(merchant.state) == 2
    assert [merchant.status(o["order_id"])[1] for o in (one, two, three)] == ["to_source"] * 3
    assert merchant.position("A", "berlin") == (0, 0, 0, 0)


def test_dated_supply_takes_them_over(merchant):
    merchant.stock("berlin", A=2)
    placed = merchant.place(("A", 2))
    merchant.inbound("paris", "PO-1", A=1)
    merchant.inbound("munich", "PO-2", days=9, A=5)
    merchant.stock("berlin", kind="count", A=0)
    assert repair_oversold(merchant.state) == 1
    assert merchant.status(placed["order_id"]) == ("backordered", "backorder")
    assert merchant.waiting(placed["order_id"]) == [("backorder", "A", 1), ("backorder", "A", 1)]
    merchant.stock("paris", reference="PO-1", A=1)
    merchant.stock("munich", reference="PO-2", A=5)
    assert merchant.status(placed["order_id"]) == ("sourced", None)


def test_partly_shipped_and_several_items_and_positions_in_one_step(merchant):
    merchant.stock("berlin", A=3, B=3)
    merchant.stock("munich", C=2)
    one, two = merchant.place(("A", 2), ("B", 2)), merchant.place(("A", 1), ("B", 1), ("C", 2), to="munich")
    ship(merchant.state, first(one), lines=[Amount("1", 1)], by=BY)
    merchant.stock("berlin", kind="count", A=0, B=1)
    merchant.stock("munich", kind="count", C=1)
    merchant.stock("paris", A=9, B=9, C=9)
    repair_oversold(merchant.state)
    assert merchant.rows("SELECT sum(oversold) FROM stock_position") == [(0,)]
    assert [merchant.status(o["order_id"])[0] for o in (one, two)] == ["partly_shipped", "sourced"]


def test_units_that_turn_up_cover_before_anybody_has_to_give_way(merchant):
    merchant.stock("berlin", A=2)
    placed = merchant.place(("A", 2))
    merchant.stock("berlin", kind="count", A=0)
    merchant.stock("berlin", A=2)
    assert repair_oversold(merchant.state) == 0
    assert merchant.status(placed["order_id"]) == ("sourced", None)


def test_reservations_are_left_to_expire(merchant):
    merchant.stock("berlin", A=2)
    merchant.rows(
        "WITH r AS (INSERT INTO reservation (reservation_id, channel_id, expires_at, actor)"
        " VALUES (gen_random_uuid(), 1, now() + interval '1 hour', 0) RETURNING reservation_id)"
        " INSERT INTO reservation_line SELECT reservation_id, 1, 1, 1, 2 FROM r RETURNING 1"
    )
    merchant.rows("UPDATE stock_position SET allocated = 2, version = 2 RETURNING 1")
    merchant.rows(
        "INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable, d_allocated,"
        " d_oversold, on_hand, unavailable, allocated, oversold, actor) VALUES (1, 1, 2, 'allocate', 2, 0, 0, 2, 0, 2,"
        " 0, 2, 0, 0) RETURNING 1"
    )
    merchant.stock("berlin", kind="count", A=1)
    assert repair_oversold(merchant.state) == 0
    assert merchant.position("A", "berlin") == (1, 0, 1, 1)


def test_an_order_that_may_not_be_split_leaves_the_node_with_all_it_has(merchant):
    merchant.stock("berlin", A=2, B=2)
    merchant.stock("munich", A=2, B=2)
    placed = merchant.place(("A", 2), ("B", 2), allow_split=False)
    merchant.stock("berlin", kind="count", A=1)
    assert repair_oversold(merchant.state) == 1
    assert merchant.fulfilments(placed["order_id"])[-1] == ("munich", "allocated", {"A": 2, "B": 2})
    assert merchant.position("B", "berlin") == (2, 0, 0, 0)


def test_several_repairs_and_ships_at_once(merchant):
    merchant.stock("berlin", A=40)
    orders = [merchant.place(("A", 2)) for _ in range(20)]
    merchant.stock("paris", A=100)
    merchant.stock("berlin", kind="count", A=11)

    def send(order):
        try:
            ship(merchant.state, first(order), by=BY)
        except Exception as error:
            assert getattr(error, "http_status", 500) in (404, 409), error

    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(repair_oversold, merchant.state) for _ in range(6)]
        work += [pool.submit(send, o) for o in orders]
        for f in work:
            f.result()
    while repair_oversold(merchant.state):
        pass
    on_hand, _, allocated, oversold = merchant.position("A", "berlin")
    assert oversold == 0 and allocated <= on_hand
