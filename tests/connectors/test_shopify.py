"""Shopify: against recordings of real stores, and against a shop with its compare-and-set, keys and costs."""

import json
from datetime import UTC, datetime

import pytest

from onhand.connectors import NotGenuine, Refused, find
from onhand.connectors._sdk.values import Fate, Parcel, Write
from onhand.twin.fakes.shopify import Shop

from .running import CONTRACTS, Turns, Wire, connect, needs_contracts, run, said, serving, talk

RECORDED = CONTRACTS / "shopify/recorded"
SHOPIFY = find("shopify").connector
SINCE = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def shop():
    shop = Shop()
    with serving(shop.app()) as url:
        shop.url = url
        yield shop


def ask(shop, work, token=None, **options):
    settings = {"url": shop.url, "place": shop.place, "version": "2026-07"}
    return talk(work, settings=settings, credentials={"access_token": token or shop.token}, **options)


def write(item, quantity, expected=None, key="k"):
    return Write(external_id=item, quantity=quantity, key=f"{key}-{quantity}", expected=expected)


def push(shop, *writes):
    return [o.fate for o in ask(shop, lambda c: SHOPIFY.push_stock(c, writes))]


@needs_contracts
@pytest.mark.parametrize("file", ["inventory/inventorySetQuantities-quantity-bounds.json"])
def test_what_real_stores_said_to_wrong_numbers_is_understood(file):
    cases = json.loads((RECORDED / file).read_text())["cases"]
    assert cases
    for name, case in cases.items():
        errors = case["response"]["data"]["inventorySetQuantities"]["userErrors"]
        rows = case["variables"]["input"]["quantities"]
        wire = Wire([said(case["response"])])
        writes = [write(row["inventoryItemId"], row["quantity"]) for row in rows]
        outcomes = run(SHOPIFY.push_stock(connect(wire, place="x", version="2026-04"), writes))
        wanted = {int(e["field"][2]): e["code"] for e in errors}
        assert {n: o.code for n, o in enumerate(outcomes) if o.fate is Fate.REFUSED} == wanted, name
        assert [o.fate for o in outcomes].count(Fate.DONE) == (0 if errors else len(rows)), name


def test_a_number_is_set_when_what_was_expected_is_there(shop):
    mug = shop.add_product("MUG", 5)
    assert push(shop, write(mug, 9, expected=5)) == [Fate.DONE]
    assert shop.items[mug]["available"] == 9
    assert push(shop, write(mug, 7, expected=5)) == [Fate.STALE]
    assert shop.items[mug]["available"] == 9
    assert push(shop, write(mug, 7)) == [Fate.REFUSED], "its key was used for another write"
    assert push(shop, write(mug, 7, key="new")) == [Fate.DONE], "nothing expected: nothing compared"
    # The answer was lost: sent again with its key nothing happens, although the number is another by now.
    assert push(shop, write(mug, 4, expected=7)) == [Fate.DONE]
    shop.buy({mug: 1})
    assert push(shop, write(mug, 4, expected=7)) == [Fate.DONE]
    assert shop.items[mug]["available"] == 3


def test_one_stale_number_keeps_its_batch_from_being_written(shop):
    items = [shop.add_product(f"I{n}", 5) for n in range(3)]
    writes = [
        write(items[0], 1, 5),
        write(items[1], 1, 77),
        write("gid://shopify/InventoryItem/1", 1),
        write(items[2], 1),
    ]
    assert push(shop, *writes) == [Fate.RETRY, Fate.STALE, Fate.GONE, Fate.RETRY]
    assert [shop.items[i]["available"] for i in items] == [5, 5, 5]


def test_orders_come_page_by_page_and_one_by_its_name(shop):
    mug = shop.add_product("MUG", 500)
    bought = [shop.buy({mug: 1 + n % 3}, at="2026-11-20T12:00:00Z") for n in range(120)]
    shop.buy({mug: 1}, paid=False, at="2026-11-20T12:00:01Z")

    async def all_pages(connection):
        found, at = [], None
        while True:
            page = await SHOPIFY.pull_orders(connection, at, since=SINCE)
            assert not page.rejects
            found += page.records
            at = page.next
            if at is None:
                return found

    orders = ask(shop, all_pages)
    assert [o.external_id for o in orders[:120]] == [b["id"] for b in bought]
    assert (orders[120].status, orders[0].status) == ("pending", "open")
    first = ask(shop, lambda c: SHOPIFY.get_order(c, bought[0]["id"]))
    (line,) = first.lines
    assert (first.number, line.sku, line.quantity, line.price_minor, line.external_item_id) == (
        bought[0]["name"], "MUG", 1, 1999, mug,
    )  # fmt: skip
    assert (first.destination.country, first.destination.region) == ("US", "NY")


def test_parcels_close_fulfilment_orders_once(shop):
    mug, cup = shop.add_product("MUG", 5), shop.add_product("CUP", 5)
    order = shop.buy({mug: 2, cup: 1})
    of_mug, of_cup = (node["id"] for node in order["lineItems"]["nodes"])

    def tell(number, *lines):
        parcel = Parcel(
            order_id=order["id"], fulfilment_id=f"f{number}", key=f"k{number}", shipped_at=SINCE, carrier="UPS",
            tracking=f"1Z{number}", lines=[{"line_id": line, "quantity": n} for line, n in lines],
        )  # fmt: skip
        return ask(shop, lambda c: SHOPIFY.push_parcel(c, parcel)).fate

    assert tell(1, (of_mug, 1)) is Fate.DONE
    assert order["displayFulfillmentStatus"] == "PARTIALLY_FULFILLED"
    assert tell(1, (of_mug, 1)) is Fate.DONE, "told again, as after an answer that was lost"
    assert tell(2, (of_mug, 1), (of_cup, 1)) is Fate.DONE
    assert order["displayFulfillmentStatus"] == "FULFILLED"
    assert [f["trackingInfo"][0]["number"] for f in order["fulfillments"]] == ["1Z1", "1Z2"]


def test_stock_and_listings_are_read_and_an_order_is_cancelled(shop):
    items = [shop.add_product(f"I{n}", n) for n in range(120)]

    async def both(connection):
        first = await SHOPIFY.pull_stock(connection, None)
        second = await SHOPIFY.pull_stock(connection, first.next)
        offers = await SHOPIFY.pull_listings(connection, None)
        return [*first.records, *second.records], second.next, offers.records[7]

    levels, end, offer = ask(shop, both)
    assert [(x.external_id, x.quantity) for x in levels] == [(i, n) for n, i in enumerate(items)]
    assert (end, offer.external_sku, offer.external_id) == (None, "I7", items[7])
    order = shop.buy({items[50]: 1})
    assert ask(shop, lambda c: SHOPIFY.cancel_order(c, order["id"], reason="none", key="k")).fate is Fate.DONE
    assert ask(shop, lambda c: SHOPIFY.get_order(c, order["id"])).status == "cancelled"
    again = ask(shop, lambda c: SHOPIFY.cancel_order(c, order["id"], reason="none", key="k"))
    assert (again.fate, again.code) == (Fate.REFUSED, "NOT_FOUND")


def test_a_message_is_a_hint_to_what_is_read(shop):
    order = shop.buy({shop.add_product("MUG", 5): 1})
    headers, body = shop.deliver(order)

    def receive(headers, body):
        credentials = {"webhook_secret": shop.hook_secret}
        return SHOPIFY.receive(headers, body, url="", credentials=credentials, now=datetime.now(UTC))

    received = receive(headers, body)
    assert (received.topic, received.dedupe) == ("orders/updated", headers["x-shopify-webhook-id"])
    (read,) = ask(shop, lambda c: SHOPIFY.read(c, received.topic, body))
    assert read.external_id == order["id"]
    assert ask(shop, lambda c: SHOPIFY.read(c, "products/update", body)) == ()
    with pytest.raises(NotGenuine):
        receive(headers, body + b" ")


def test_the_budget_is_kept_and_its_end_is_waited_for(shop):
    shop._points, shop._restore_per_s = 60.0, 50.0
    turns = Turns()
    ask(shop, lambda c: SHOPIFY.pull_listings(c, None), limiter=turns)
    assert turns.paused == [pytest.approx(1.0, abs=0.1)]  # 50 left, 100 wanted, 50 a second
    shop._points, shop._restore_per_s = 5.0, 0.001
    (outcome,) = ask(shop, lambda c: SHOPIFY.push_stock(c, [write("x", 1)]), limiter=turns)
    assert outcome.fate is Fate.RETRY


def test_a_wrong_token_is_told(shop):
    with pytest.raises(Refused) as raised:
        ask(shop, lambda c: SHOPIFY.pull_listings(c, None), token="shpat_wrong")
    assert raised.value.is_unauthorised
    assert "shpat_wrong" not in str(raised.value)
