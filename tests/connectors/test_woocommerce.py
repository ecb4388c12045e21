"""WooCommerce: against its recordings, and against a shop that its own client can talk to."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from woocommerce import API

from onhand.connectors import NotGenuine, Refused, Unavailable, find
from onhand.connectors._sdk.translate import translate
from onhand.connectors._sdk.values import Fate, Parcel, Write
from onhand.twin.fakes.woocommerce import Shop

from .running import CONTRACTS, needs_contracts, serving, talk

RECORDED = CONTRACTS / "woocommerce/recorded"
WOO = find("woocommerce").connector
SINCE = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def shop():
    shop = Shop()
    with serving(shop.app()) as url:
        shop.url = url
        yield shop


def ask(shop, work, **options):
    credentials = {"consumer_key": shop.key, "consumer_secret": shop.secret, "webhook_secret": shop.hook_secret}
    return talk(work, settings={"url": shop.url}, credentials=options.pop("credentials", credentials), **options)


def pull_all(shop, at=None, size=None):
    async def work(connection):
        found, cursor = [], at
        while True:
            page = await WOO.pull_orders(connection, cursor, since=SINCE)
            found += page.records
            if page.next is None:
                return found, page.cursor
            cursor = page.next

    return ask(shop, work)


def test_the_vendors_own_client_can_talk_to_the_fake(shop):
    product = shop.add_product("W-1", 7)
    client = API(url=shop.url, consumer_key=shop.key, consumer_secret=shop.secret, version="wc/v3")
    assert client.get("products").json()[0]["sku"] == "W-1"
    order = client.post("orders", {"set_paid": True, "line_items": [{"product_id": product, "quantity": 50}]})
    assert (order.status_code, shop.products[product]["stock_quantity"]) == (201, -43)
    client.put(f"orders/{order.json()['id']}", {"status": "cancelled"})
    assert shop.products[product]["stock_quantity"] == 7
    wrong = API(url=shop.url, consumer_key=shop.key, consumer_secret="no", version="wc/v3")
    assert wrong.get("products").json()["code"] == "woocommerce_rest_authentication_error"


@needs_contracts
def test_recorded_orders_are_read():
    (order,), rejects = translate([json.loads((RECORDED / "order.json").read_text())["body"]], WOO._make["order"])
    assert rejects == []
    assert (order.external_id, order.status, order.currency, order.placed_at) == (
        "11", "cancelled", "USD", datetime(2026, 11, 23, 7, 25, 39, tzinfo=UTC),
    )  # fmt: skip
    (line,) = order.lines
    assert (line.line_id, line.sku, line.quantity, line.price_minor) == ("1", "W-1", 3, 1999)
    assert (order.destination.country, order.destination.postal_code, order.destination.region) == ("US", "10001", "NY")
    assert order.email == "a@example.test"


@needs_contracts
@pytest.mark.parametrize("topic", ["order.created", "order.updated", "product.updated"])
def test_recorded_messages_are_genuine_and_a_changed_one_is_not(topic):
    sent = json.loads((RECORDED / "webhook-deliveries.json").read_text())[topic]
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    body = sent["body"].encode()

    def receive(headers, body, secret=sent["secret"], **more):
        credentials = {"webhook_secret": secret, **more}
        return WOO.receive(headers, body, url="", credentials=credentials, now=datetime.now(UTC))

    received = receive(headers, body)
    assert (received.topic, received.dedupe) == (topic, headers["x-wc-webhook-delivery-id"])
    assert receive(headers, body, secret="new", webhook_secret_before=sent["secret"]) == received
    for wrong in (
        lambda: receive(headers, body + b" "),
        lambda: receive(headers, body, secret="other"),
        lambda: receive({**headers, "x-wc-webhook-signature": ""}, body),
        lambda: receive({k: v for k, v in headers.items() if k != "x-wc-webhook-signature"}, body),
    ):
        with pytest.raises(NotGenuine):
            wrong()
    form = receive({"content-type": "application/x-www-form-urlencoded"}, b"webhook_id=1")
    assert (form.topic, form.reply) == ("", (200, b""))


def test_orders_are_read_page_by_page_also_those_of_one_moment(shop):
    product = shop.add_product("W-1", 1_000)
    moment = datetime(2026, 11, 20, 12, tzinfo=UTC)
    for n in range(250):  # 180 of them in one second, across a page's border
        shop.buy({product: 1}, at=moment + timedelta(seconds=max(0, n - 180)))
    orders, cursor = pull_all(shop)
    assert {o.external_id for o in orders} == set(map(str, shop.orders))
    assert len(orders) < 260, "those at the ends of pages are read twice, and no more"
    again, _ = pull_all(shop, cursor)
    assert 0 < len(again) <= 260  # the last two minutes are read again
    late = shop.buy({product: 2}, at=moment + timedelta(seconds=71))
    assert str(late["id"]) in {o.external_id for o in pull_all(shop, cursor)[0]}


def test_stock_is_written_in_batches_and_an_unknown_listing_stops_no_other(shop):
    ids = [shop.add_product(f"W-{n}", 1) for n in range(120)]
    variation = shop.add_product("W-V", 1, parent=ids[0])
    writes = [Write(external_id=str(i), quantity=n, key=f"k{n}") for n, i in enumerate(ids)]
    writes.insert(3, Write(external_id="424242", quantity=1, key="x"))
    writes.append(Write(external_id=f"{ids[0]}/{variation}", quantity=77, key="v"))
    outcomes = ask(shop, lambda c: WOO.push_stock(c, writes))
    assert [o.fate for o in outcomes].count(Fate.DONE) == 121
    assert (outcomes[3].fate, outcomes[3].code) == (Fate.GONE, "woocommerce_rest_product_invalid_id")
    assert [shop.products[i]["stock_quantity"] for i in ids] == list(range(120))
    assert shop.products[variation]["stock_quantity"] == 77
    assert outcomes[0].seen == 0


def test_products_go_together_though_variations_go_alone(shop):
    assert WOO.batch_max == 100
    parent = shop.add_product("P", 0)
    sizes = [shop.add_product(f"P-{n}", 0, parent=parent) for n in range(2)]
    products = [shop.add_product(f"W-{n}", 0) for n in range(120)]
    ids = [*map(str, products), *(f"{parent}/{size}" for size in sizes)]
    writes = [Write(external_id=found, quantity=n + 1, key=f"k{n}") for n, found in enumerate(ids)]
    app = shop.app()
    with serving(app) as shop.url:
        outcomes = ask(shop, lambda connection: WOO.push_stock(connection, writes))
    assert {outcome.fate for outcome in outcomes} == {Fate.DONE}
    assert [shop.products[i]["stock_quantity"] for i in (*products, *sizes)] == [*range(1, 123)]
    assert sorted(r["method"] for r in app.requests) == ["POST", "POST", "PUT", "PUT"]


def test_what_it_shows_and_sells_is_read(shop):
    ids = [shop.add_product(f"W-{n}", n) for n in range(130)]

    async def work(connection):
        levels = await WOO.pull_stock(connection, None)
        more = await WOO.pull_stock(connection, levels.next)
        offers = await WOO.pull_listings(connection, None)
        return [*levels.records, *more.records], more.next, offers.records

    levels, end, offers = ask(shop, work)
    assert [(level.external_id, level.external_sku, level.quantity) for level in levels] == [
        (str(i), f"W-{n}", n) for n, i in enumerate(ids)
    ]
    assert end is None
    assert (offers[0].external_sku, offers[0].is_active) == ("W-0", True)


def test_a_parcel_completes_the_order_when_nothing_is_left(shop):
    order = shop.buy({shop.add_product("W-1", 5): 2})

    def parcel(*, is_complete):
        return Parcel(order_id=str(order["id"]), fulfilment_id="f", key="k", shipped_at=SINCE, lines=(), carrier="UPS",
                      tracking="1Z", is_complete=is_complete)  # fmt: skip

    assert ask(shop, lambda c: WOO.push_parcel(c, parcel(is_complete=False))).code == "not_told"
    assert order["status"] == "processing"
    assert ask(shop, lambda c: WOO.push_parcel(c, parcel(is_complete=True))).fate is Fate.DONE
    assert (order["status"], order["meta_data"][1]["value"]) == ("completed", "1Z")


def test_an_order_is_read_and_cancelled_and_one_that_is_not_there_is_gone(shop):
    order = shop.buy({shop.add_product("W-1", 5): 2})
    read = ask(shop, lambda c: WOO.get_order(c, str(order["id"])))
    assert (read.status, read.lines[0].quantity) == ("open", 2)
    assert ask(shop, lambda c: WOO.cancel_order(c, str(order["id"]), reason="x", key="k")).fate is Fate.DONE
    assert order["status"] == "cancelled"
    with pytest.raises(Refused) as raised:
        ask(shop, lambda c: WOO.get_order(c, "999"))
    assert raised.value.is_gone
    order["status"] = "on-the-moon"
    assert ask(shop, lambda c: WOO.get_order(c, str(order["id"]))).status == "unknown"


def test_a_wrong_key_is_told_without_the_secret(shop):
    credentials = {"consumer_key": "ck", "consumer_secret": "cs_very_secret"}
    with pytest.raises(Refused) as raised:
        ask(shop, lambda c: WOO.pull_orders(c, None, since=SINCE), credentials=credentials)
    assert raised.value.is_unauthorised
    assert "very_secret" not in repr(raised.value)


@pytest.mark.parametrize(
    ("fault", "fate", "applied"),
    [
        ({"status": 429, "headers": {"Retry-After": "7"}}, Fate.RETRY, False),
        ({"status": 503}, Fate.RETRY, False),
        ({"status": 502}, Fate.UNKNOWN, False),
        ({"status": 504, "after": True}, Fate.UNKNOWN, True),
        ({"status": 0, "after": True}, Fate.UNKNOWN, True),
    ],
)
def test_a_write_that_fails_says_whether_it_may_have_happened(shop, fault, fate, applied):
    product = shop.add_product("W-1", 1)
    ask(shop, lambda c: c.sender.send(_post(shop, [fault])))
    paused = []

    class Limiter:
        async def turn(self, bucket, **_):
            pass

        async def pause(self, seconds, *, bucket=None):
            paused.append(seconds)

    write = Write(external_id=str(product), quantity=5, key="k")
    (outcome,) = ask(shop, lambda c: WOO.push_stock(c, [write]), limiter=Limiter())
    assert outcome.fate is fate
    assert (shop.products[product]["stock_quantity"] == 5) is applied
    assert paused == ([7.0] if "headers" in fault else [])
    (again,) = ask(shop, lambda c: WOO.push_stock(c, [write]))
    assert (again.fate, shop.products[product]["stock_quantity"]) == (Fate.DONE, 5)


def _post(shop, faults):
    from onhand.wire import Request

    return Request(method="POST", url=f"{shop.url}/_fake/faults", body=json.dumps(faults).encode())


def test_a_shop_that_does_not_answer_is_unavailable(shop):
    shop.url = "http://127.0.0.1:1"
    with pytest.raises(Unavailable):
        ask(shop, lambda c: WOO.pull_orders(c, None, since=SINCE))
