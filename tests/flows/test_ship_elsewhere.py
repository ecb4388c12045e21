"""A node that Amazon runs: what is sourced there is asked for, shipped and taken back. Real database, fake account."""

import httpx2
import pytest
from tests.connectors.running import serving
from tests.flows.channels import Storefront, amazon_at

from onhand.base.actor import SYSTEM
from onhand.flows.cancel_order import cancel_order
from onhand.flows.ship_elsewhere import Elsewhere
from onhand.orders.decide import Amount
from onhand.twin.fakes import amazon


@pytest.fixture
def shop(merchant, tmp_path):
    account = amazon.Account(speed=1_000.0)
    with serving(account.app()) as url:
        document, settings = amazon_at(account, url)
        made = Storefront(merchant, account, url, tmp_path, code="amazon", document=document, node="paris", **settings)
        for sku in "AB":
            account.add_product(f"FBA-{sku}", 0, warehouse=10)
            made.list(sku, f"FBA-{sku}")
        merchant.stock("paris", A=10, B=10)
        yield made
        made.close()


def step(shop):
    """Ask and hear, as if both were due."""
    elsewhere = Elsewhere(shop.merchant.state)
    shop.now_due()
    return shop.do(elsewhere.ask) + shop.do(elsewhere.hear)


def fulfilments(shop, order_id):
    order = shop.merchant.order(order_id)
    return [(f.node, f.status) for f in order.fulfilments]


def place(shop, *lines):
    customer = {"name": "Ada", "email": "ada@example.org", "address": {"street": "1 Main", "city": "Paris"}}
    return shop.merchant.place(*lines, to="paris", customer=customer)


def test_what_is_sourced_at_amazons_node_is_shipped_by_amazon(shop):
    placed = place(shop, ("A", 2), ("B", 1))
    order_id = placed["order_id"]
    assert step(shop) >= 1
    (asked,) = shop.fake.fulfilments.values()
    items = {item["sellerSku"]: item["quantity"] for item in asked["fulfillmentOrderItems"]}
    assert items == {"FBA-A": 2, "FBA-B": 1}
    to = asked["fulfillmentOrder"]["destinationAddress"]
    assert (to["name"], to["addressLine1"], to["city"]) == ("Ada", "1 Main", "Paris")
    assert fulfilments(shop, order_id) == [("paris", "accepted")]
    step(shop)
    assert len(shop.fake.fulfilments) == 1, "asked for once"
    shop.fake.ship_fulfilment(f"{order_id}-f1", parts=2)
    step(shop)
    assert fulfilments(shop, order_id) == [("paris", "shipped")]
    step(shop)
    rows = shop.merchant.rows("SELECT tracking FROM shipment ORDER BY shipment_no")
    assert rows == [("TBA1",), ("TBA2",)], "told again, as each time, and written down once"


def test_nobody_asks_or_hears_more_often_than_is_due(shop):
    elsewhere = Elsewhere(shop.merchant.state)
    place(shop, ("A", 1))
    assert shop.do(elsewhere.ask) == 1
    place(shop, ("A", 1))
    assert shop.do(elsewhere.ask) == 0
    httpx2.post(f"{shop.url}/_fake/faults", json=[{"status": 503, "match": "/fba/outbound"}]).raise_for_status()
    assert shop.do(elsewhere.hear) == 0
    ((error,),) = shop.merchant.rows("SELECT error FROM channel_reading WHERE kind = 'ships'")
    assert "503" in error


def test_an_answer_that_was_lost_asks_once(shop):
    order_id = place(shop, ("A", 2))["order_id"]
    fault = {"status": 504, "after": True, "match": "/fba/outbound"}
    httpx2.post(f"{shop.url}/_fake/faults", json=[fault]).raise_for_status()
    step(shop)
    assert fulfilments(shop, order_id) == [("paris", "allocated")]
    step(shop)
    assert fulfilments(shop, order_id) == [("paris", "accepted")]
    assert (len(shop.fake.fulfilments), shop.fake.warehouse["FBA-A"]) == (1, 8)


def test_what_amazon_cannot_ship_is_sourced_again(shop):
    shop.fake.warehouse["FBA-A"] = 1
    shop.merchant.stock("berlin", A=10)
    order_id = place(shop, ("A", 2))["order_id"]
    assert fulfilments(shop, order_id) == [("paris", "allocated")]
    step(shop)
    step(shop)
    assert fulfilments(shop, order_id) == [("paris", "rejected"), ("berlin", "allocated")]


def test_what_is_cancelled_is_taken_back(shop):
    order_id = place(shop, ("A", 2))["order_id"]
    step(shop)
    assert shop.fake.warehouse["FBA-A"] == 8
    cancel_order(shop.merchant.state, order_id, by=SYSTEM)
    step(shop)
    assert shop.fake.warehouse["FBA-A"] == 10
    assert fulfilments(shop, order_id) == [("paris", "cancelled")]
    step(shop)
    assert shop.merchant.rows("SELECT count(*) FROM channel_note WHERE name LIKE 'ships/asked/%%'")[0] == (0,)


def test_what_is_cancelled_too_late_leaves_all_the_same_and_the_rest_is_written_down(shop):
    placed = place(shop, ("A", 3))
    order_id = placed["order_id"]
    step(shop)
    order = shop.merchant.order(order_id)
    cancel_order(shop.merchant.state, order_id, [Amount(line_id=order.lines[0].line_id, quantity=1)], by=SYSTEM)
    shop.fake.ship_fulfilment(f"{order_id}-f1")
    step(shop)
    assert fulfilments(shop, order_id) == [("paris", "shipped")]
    assert shop.merchant.order(order_id).lines[0].shipped == 2


def count(shop):
    """Read what the warehouses have, as if that were due; how many entries came of it."""
    before = shop.merchant.rows("SELECT count(*) FROM ledger_entry WHERE kind = 'count'")[0][0]
    shop.now_due()
    shop.do(shop.ear.counts)
    return shop.merchant.rows("SELECT count(*) FROM ledger_entry WHERE kind = 'count'")[0][0] - before


def test_what_amazons_warehouses_have_is_stock_that_can_be_shipped(shop):
    shop.fake.warehouse |= {"FBA-A": 25, "of-nobody": 4}
    assert count(shop) == 1, "B is as we thought, and the third is none of ours"
    assert shop.merchant.position("A", "paris") == (25, 0, 0, 0)
    order_id = place(shop, ("A", 20))["order_id"]
    assert fulfilments(shop, order_id) == [("paris", "allocated")]
    assert count(shop) == 0
    step(shop)
    assert shop.fake.warehouse["FBA-A"] == 5, "Amazon tells of what it holds no more"
    assert count(shop) == 0
    assert shop.merchant.position("A", "paris") == (25, 0, 20, 0), "it is there, and promised"
    shop.fake.ship_fulfilment(f"{order_id}-f1")
    assert count(shop) == 0, "it has left, and we have not heard of it"
    step(shop)
    assert count(shop) == 0
    assert shop.merchant.position("A", "paris") == (5, 0, 0, 0)
    shop.fake.warehouse["FBA-A"] = 3  # sold by Amazon to its own customers
    assert count(shop) == 1
    assert shop.merchant.position("A", "paris") == (3, 0, 0, 0)


def test_an_answer_that_was_lost_does_not_take_the_units_twice(shop):
    place(shop, ("A", 8))
    fault = {"status": 504, "after": True, "match": "/fba/outbound"}
    httpx2.post(f"{shop.url}/_fake/faults", json=[fault]).raise_for_status()
    step(shop)
    assert shop.fake.warehouse["FBA-A"] == 2
    assert count(shop) == 0
    assert shop.merchant.position("A", "paris") == (10, 0, 8, 0)


def test_more_than_a_page_is_read_again_from_the_first_one(shop):
    for n in range(120):
        shop.fake.warehouse[f"X-{n}"] = 1
    shop.fake.warehouse |= {"FBA-A": 4, "FBA-B": 4}
    assert count(shop) == 2
    shop.fake.warehouse["FBA-A"] = 6
    assert count(shop) == 1


def test_a_message_of_the_warehouses_has_them_read_at_once(shop):
    assert count(shop) == 0
    shop.ear = shop.new_ear(read_every_s=None)
    shop.now_due()
    shop.do(shop.ear.counts)
    shop.fake.count("FBA-A", 7)
    shop.do(shop.ear.counts)
    assert shop.merchant.position("A", "paris")[0] == 10, "not due for minutes"
    shop.do(shop.ear.fetch)
    shop.hear()
    shop.do(shop.ear.counts)
    assert shop.merchant.position("A", "paris")[0] == 7


def test_nothing_is_booked_where_no_node_stands_for_the_warehouses(shop):
    shop.fake.warehouse["FBA-A"] = 3
    shop.merchant.rows("UPDATE channel SET settings = settings - 'node', updated_at = clock_timestamp() RETURNING 1")
    assert count(shop) == 0
