"""Returns: never more than went out, back into stock or set aside."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from onhand.base.actor import Actor
from onhand.errors import Conflict, InvalidInput, NotFound
from onhand.flows.fulfil import deliver, ship
from onhand.flows.return_order import return_order
from onhand.orders.decide import Amount

BY = Actor(key_id=7)


@pytest.fixture
def shipped(merchant):
    merchant.stock("berlin", A=10, B=10)
    placed = merchant.place(("A", 3), ("KIT", 2))
    ship(merchant.state, placed["fulfilments"][0]["fulfilment_id"], by=BY)
    return placed


def back(merchant, order, *lines, node="berlin", disposition="restock"):
    return return_order(merchant.state, order["order_id"], node, list(lines), disposition, by=BY).answer


def test_units_come_back_into_stock_anywhere(merchant, shipped):
    answer = back(merchant, shipped, Amount("1", 2), node="paris")
    assert answer == {
        "return_id": f"{shipped['order_id']}-r1",
        "order_id": shipped["order_id"],
        "node": "paris",
        "disposition": "restock",
        "lines": [{"line_id": "1", "sku": "A", "quantity": 2}],
    }
    assert merchant.position("A", "paris") == (2, 0, 0, 0)
    assert merchant.order(shipped["order_id"]).lines[0].returned == 2
    assert merchant.events(answer["return_id"]) == ["return.received"]
    assert merchant.status(shipped["order_id"]) == ("shipped", None)
    assert back(merchant, shipped, Amount("1"))["return_id"].endswith("-r2")


@pytest.mark.parametrize("disposition", ["damaged", "inspect"])
def test_what_cannot_be_sold_is_set_aside(merchant, shipped, disposition):
    back(merchant, shipped, Amount("1", 2), disposition=disposition)
    on_hand = 10 - 3 - 4 + 2
    assert merchant.position("A", "berlin") == (on_hand, 2, 0, 0)
    assert merchant.rows("SELECT kind, reason FROM ledger_entry ORDER BY entry_id DESC LIMIT 2") == [
        ("damage", disposition),
        ("return", disposition),
    ]


def test_bundles_come_back_whole_or_by_component(merchant, shipped):
    answer = back(merchant, shipped, Amount("2", 1))
    assert answer["lines"] == [
        {"line_id": "2", "sku": "A", "quantity": 2},
        {"line_id": "2", "sku": "B", "quantity": 1},
    ]
    assert merchant.order(shipped["order_id"]).lines[1].returned == 1
    back(merchant, shipped, Amount("2", 1, "B"))
    assert merchant.order(shipped["order_id"]).lines[1].returned == 1
    back(merchant, shipped, Amount("2", 2, "A"))
    assert merchant.order(shipped["order_id"]).lines[1].returned == 2


def test_no_more_comes_back_than_went_out(merchant, shipped):
    back(merchant, shipped, Amount("1", 2))
    with pytest.raises(Conflict) as caught:
        back(merchant, shipped, Amount("1", 2))
    assert (caught.value.code, caught.value.left) == ("quantity.exceeded", 1)
    waiting = merchant.place(("A", 1))
    with pytest.raises(Conflict) as caught:
        back(merchant, waiting, Amount("1", 1))
    assert (caught.value.code, caught.value.state) == ("order.not_allowed", "sourced")


def test_wrong_names_are_told_and_nothing_is_written(merchant, shipped):
    before = merchant.rows("SELECT count(*) FROM ledger_entry")
    with pytest.raises(InvalidInput, match="atlantis"):
        back(merchant, shipped, Amount("1", 1), node="atlantis")
    with pytest.raises(InvalidInput) as caught:
        back(merchant, shipped, Amount("1", 1), Amount("7", 1))
    assert [e.path for e in caught.value.errors] == ["lines[1].line_id"]
    with pytest.raises(NotFound):
        return_order(merchant.state, "x", "berlin", [Amount("1", 1)], "restock", by=BY)
    assert merchant.rows("SELECT count(*) FROM ledger_entry") == before


def test_a_return_serves_who_waits_there(merchant, shipped):
    deliver(merchant.state, shipped["fulfilments"][0]["fulfilment_id"], by=BY)
    merchant.inbound("berlin", "PO-1", A=9)
    waiting = merchant.place(("A", 5))
    assert waiting["status"] == "backordered"
    back(merchant, shipped, Amount("1", 2), disposition="damaged")
    assert merchant.status(waiting["order_id"])[0] == "backordered"
    back(merchant, shipped, Amount("1", 1), Amount("2", 2))
    assert merchant.fulfilments(waiting["order_id"]) == [("berlin", "allocated", {"A": 5})]
    assert merchant.rows("SELECT promised FROM inbound_line") == [(0,)]


def test_the_same_units_do_not_come_back_twice_at_once(merchant, shipped):
    def attempt(_):
        try:
            back(merchant, shipped, Amount("1", 2))
            return 1
        except Conflict:
            return 0

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1
