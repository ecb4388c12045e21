"""A node that Amazon runs: what is sourced there is asked for, shipped and taken back. Real database, fake account."""

import httpx2
import pytest
from tests.connectors.running import serving
from tests.flows.channels import Storefront

from onhand.base.actor import SYSTEM
from onhand.flows.cancel_order import cancel_order
from onhand.flows.ship_elsewhere import Elsewhere
from onhand.orders.decide import Amount
from onhand.twin.fakes import amazon


@pytest.fixture
def shop(merchant, tmp_path):
    account = amazon.Account(speed=1_000.0)
    with serving(account.app()) as url:
        document = {
            "currency": "USD", "connector": "amazon",
            "credentials": {
                "client_id": account.client_id, "client_secret": account.client_secret,
                "refresh_token": account.refresh_token,
            },
        }  # fmt: skip
        made = Storefront(
            merchant, account, url, tmp_path, code="amazon", document=document, token_url=f"{url}/auth/o2/token",
            seller_id=account.seller_id, marketplace_id=account.marketplace_id, node="paris",
        )  # fmt: skip
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
