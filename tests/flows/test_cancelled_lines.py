"""Units of an order that are cancelled here while the rest goes on: told to channels that can take it, once."""

import httpx2
import pytest
from tests.connectors.running import serving
from tests.flows.channels import SHOPIFY, Storefront

from onhand.base.actor import SYSTEM
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import ship
from onhand.orders.decide import Amount
from onhand.twin.fakes import shopify, woocommerce


@pytest.fixture
def shop(merchant, tmp_path):
    fake = shopify.Shop()
    with serving(fake.app()) as url:
        made = Storefront(
            merchant, fake, url, tmp_path, code="shopify", document=SHOPIFY, place=fake.place,
        )  # fmt: skip
        made.items = {sku: fake.add_product(sku, 100) for sku in "AB"}
        for sku, item in made.items.items():
            made.list(sku, item)
        merchant.stock("berlin", A=10, B=10)
        made.tell()
        yield made
        made.close()


def bought(shop, **units):
    order = shop.fake.buy({shop.items[sku]: n for sku, n in units.items()})
    shop.deliver(order)
    shop.hear()
    return order


def less(shop, order, line, units):
    ours = shop.order(order["id"])
    cancel_order(
        shop.merchant.state, ours.order_id, [Amount(line_id=ours.lines[line].line_id, quantity=units)], by=SYSTEM
    )


def wanted(order):
    return [node["currentQuantity"] for node in order["lineItems"]["nodes"]]


def test_units_and_lines_that_are_cancelled_here_are_cancelled_there(shop):
    order = bought(shop, A=3, B=2)
    less(shop, order, 0, 2)
    shop.tell()
    assert wanted(order) == [1, 2]
    less(shop, order, 1, 2)
    shop.tell()
    assert wanted(order) == [1, 0]
    assert [(kind, number, status) for kind, number, status, _, _ in shop.notices()] == [
        ("cancel", 1, "done"), ("cancel", 2, "done"),
    ]  # fmt: skip
    shop.deliver(order)
    shop.hear()
    assert list(shop.open_units(order["id"]).values()) == [1], "what comes back of it changes nothing"
    shop.tell()
    assert len(shop.notices()) == 2
    ship(shop.merchant.state, shop.order(order["id"]).fulfilment_id(1), tracking="1Z", by=SYSTEM)
    shop.tell()
    assert order["displayFulfillmentStatus"] == "FULFILLED"


def test_an_answer_that_is_lost_takes_no_unit_twice(shop):
    order = bought(shop, A=5)
    less(shop, order, 0, 2)
    fault = {"status": 504, "after": True, "match": "graphql", "skip": 2}
    httpx2.post(f"{shop.url}/_fake/faults", json=[fault]).raise_for_status()
    shop.tell()
    shop.now_due()
    shop.tell()
    assert wanted(order) == [3]
    ((_, _, status, attempts, _),) = shop.notices()
    assert (status, attempts) == ("done", 2)


def test_what_the_channel_cancels_itself_is_not_told_to_it(shop):
    order = bought(shop, A=5)
    order["lineItems"]["nodes"][0]["currentQuantity"] = 3
    order["updatedAt"] = "2099-01-01T00:00:00Z"
    shop.deliver(order)
    shop.hear()
    assert list(shop.open_units(order["id"]).values()) == [3]
    shop.tell()
    assert shop.notices() == []


def test_what_the_customer_changed_meanwhile_is_followed_first(shop):
    order = bought(shop, A=5)
    less(shop, order, 0, 2)
    order["lineItems"]["nodes"][0]["currentQuantity"] = 8  # 3 more, which nobody has told us of
    order["updatedAt"] = "2099-01-01T00:00:00Z"
    shop.tell()
    assert wanted(order) == [8], "nothing is taken from what is not understood"
    shop.hear()
    assert list(shop.open_units(order["id"]).values()) == [6]
    shop.now_due()
    shop.tell()
    assert wanted(order) == [6]


def test_an_order_that_is_cancelled_piece_by_piece_is_cancelled_as_a_whole(shop):
    order = bought(shop, A=1, B=1)
    less(shop, order, 0, 1)
    less(shop, order, 1, 1)
    shop.tell()
    shop.now_due()
    shop.tell()
    assert order["cancelledAt"] is not None
    assert {status for _, _, status, _, _ in shop.notices()} == {"done"}


def test_a_channel_that_cannot_be_told_of_units_leaves_it_to_a_person(merchant, tmp_path):
    fake = woocommerce.Shop()
    with serving(fake.app()) as url:
        woo = Storefront(merchant, fake, url, tmp_path)
        woo.list("A", str(fake.add_product("A", 10)))
        merchant.stock("berlin", A=10)
        woo.tell()
        order = fake.buy({10: 3})
        woo.deliver(order)
        woo.hear()
        less(woo, order, 0, 1)
        woo.tell()
        ((kind, number, status, _, error),) = woo.notices()
        assert (kind, number, status) == ("cancel", 1, "refused")
        assert "cancelled units" in error
        assert order["line_items"][0]["quantity"] == 3
        woo.close()
