"""Any shop, by the settings of its channel alone: one with an interface, one that only sends and takes messages."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.connectors import NotGenuine, Refused, find, for_channel, read_text
from onhand.connectors._sdk import signing
from onhand.connectors._sdk.translate import as_json
from onhand.connectors._sdk.values import Fate, Parcel, Write
from onhand.connectors._sdk.vocabulary import HmacIn, SharedIn, StandardIn
from onhand.twin.fakes.generic import Shop
from onhand.twin.fakes.market import Market
from onhand.wire import Request

from .running import Turns, Wire, connect, run, said, serving, talk

REST, MESSAGES = find("rest_generic").connector, find("webhook_generic").connector
SINCE = datetime.now(UTC) - timedelta(hours=2)


@pytest.fixture
def shop():
    shop = Shop()
    with serving(shop.app()) as url:
        shop.url = url
        yield shop


def ask(shop, work, *, path="/api", **options):
    credentials = {"token": shop.token, "secret": shop.secret, "webhook_secret": shop.hook_secret}
    credentials |= options.pop("credentials", {})
    settings = {"url": f"{shop.url}{path}", "place": ""}
    return talk(work, settings=settings, credentials=credentials, **options)


def fail(shop, *faults):
    request = Request(method="POST", url=f"{shop.url}/_fake/faults", body=json.dumps(faults).encode())
    talk(lambda c: c.sender.send(request), settings={}, credentials={})


def parcel(order, units, key="p", **more):
    lines = [{"line_id": order["lines"][0]["line_id"], "quantity": units}]
    return Parcel(order_id=order["id"], fulfilment_id="f", key=key, shipped_at=SINCE, lines=lines, carrier="UPS",
                  tracking="1Z", **more)  # fmt: skip


def test_a_shop_that_speaks_our_words_needs_its_address_only(shop):
    mug = shop.add_product("MUG", 5)
    order = shop.buy({mug: 2}, at=SINCE)
    page = ask(shop, lambda c: REST.pull_orders(c, None, since=SINCE))
    text = as_json(page.records[0])
    for unstable in (order["id"], order["lines"][0]["line_id"], mug, order["placed_at"].replace("Z", "000Z")):
        assert unstable in text
        text = text.replace(unstable, "*")
    assert json.loads(text) == {
        "external_id": "*", "number": str(order["number"]), "status": "open", "status_word": "open", "currency": "EUR",
        "placed_at": "*", "updated_at": "*", "email": "ada@example.org", "phone": "+493012345", "name": "Ada Byron",
        "service": "standard",
        "destination": {
            "country": "DE", "postal_code": "10115", "city": "Berlin", "street": "Am Ufer 1", "name": "Ada Byron",
        },
        "lines": [
            {"line_id": "*", "external_item_id": "*", "sku": "MUG", "name": "MUG", "quantity": 2, "price_minor": 1999}
        ],
    }  # fmt: skip
    writes = [Write(external_id=mug, quantity=7, key="a"), Write(external_id="i0", quantity=1, key="b"),
              Write(external_id=mug, quantity=-1, key="c")]  # fmt: skip
    outcomes = ask(shop, lambda c: REST.push_stock(c, writes))
    assert [(o.fate, o.code) for o in outcomes] == [
        (Fate.DONE, ""), (Fate.GONE, "not_found"), (Fate.REFUSED, "negative"),
    ]  # fmt: skip
    assert ask(shop, lambda c: REST.push_parcel(c, parcel(order, 1, is_complete=False))).fate is Fate.DONE
    assert ask(shop, lambda c: REST.push_parcel(c, parcel(order, 1, "p2"))).fate is Fate.DONE
    assert ask(shop, lambda c: REST.push_parcel(c, parcel(order, 1, "p2"))).fate is Fate.DONE
    assert (order["status"], len(order["parcels"])) == ("completed", 2)


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
@pytest.mark.parametrize(("connector", "path"), [(REST, "/api"), (MESSAGES, "/hook")], ids=["rest", "messages"])
def test_a_write_that_fails_says_whether_it_may_have_happened(shop, connector, path, fault, fate, applied):
    mug = shop.add_product("MUG", 1)
    fail(shop, fault)
    turns = Turns()
    push = lambda: ask(  # noqa: E731
        shop, lambda c: connector.push_stock(c, [Write(external_id=mug, quantity=5, key="k")]), path=path, limiter=turns
    )
    assert push()[0].fate is fate
    assert (shop.items[mug]["quantity"] == 5) is applied
    assert turns.paused == ([7.0] if "headers" in fault else [])
    shop.items[mug]["quantity"] -= 1 * applied  # sold meanwhile
    assert push()[0].fate is Fate.DONE
    assert shop.items[mug]["quantity"] == (4 if applied else 5), "a repeat does nothing"


def test_messages_to_it_are_signed_and_their_repeats_known(shop):
    order = shop.buy({shop.add_product("MUG", 5): 2})
    for _ in range(2):
        told = ask(shop, lambda c: MESSAGES.push_parcel(c, parcel(order, 2)), path="/hook")
        assert told.fate is Fate.DONE
    assert [p["tracking"] for p in order["parcels"]] == ["1Z"]
    cancel = ask(shop, lambda c: MESSAGES.cancel_order(c, order["id"], reason="none", key="c"), path="/hook")
    assert (cancel.fate, order["status"]) == (Fate.DONE, "cancelled")
    gone = ask(shop, lambda c: MESSAGES.cancel_order(c, "o0", reason="none", key="d"), path="/hook")
    assert gone.fate is Fate.GONE
    other = {"secret": "whsec_b3RoZXIgdGhhbiBpdA=="}
    wrong = ask(shop, lambda c: MESSAGES.push_parcel(c, parcel(order, 1, "x")), path="/hook", credentials=other)
    assert (wrong.fate, len(order["parcels"])) == (Fate.RETRY, 1)
    none = ask(
        shop, lambda c: MESSAGES.push_parcel(c, parcel(order, 1, "y")), path="/hook", credentials={"secret": "whsec_"}
    )
    assert (none.fate, none.code) == (Fate.RETRY, "secret")


@pytest.mark.parametrize("connector", [REST, MESSAGES], ids=["rest", "messages"])
def test_messages_of_it_are_genuine_or_refused(shop, connector):
    order = shop.buy({shop.add_product("MUG", 5): 2})
    headers, body = shop.deliver(order)
    now = datetime.now(UTC)

    def receive(headers=headers, body=body, at=now, secret=shop.hook_secret, **more):
        return connector.receive(headers, body, url="", credentials={"webhook_secret": secret, **more}, now=at)

    received = receive()
    assert (received.topic, received.dedupe) == ("order.updated", headers["webhook-id"])
    assert receive(secret="whsec_bmV3", webhook_secret_before=shop.hook_secret) == received
    for wrong in (
        {"body": body + b" "}, {"secret": "whsec_bmV3"}, {"secret": "whsec_"}, {"secret": ""}, {"headers": {}},
        {"headers": headers | {"webhook-id": "another"}}, {"headers": headers | {"webhook-timestamp": "1"}},
        {"headers": headers | {"webhook-signature": "v1,"}},
    ):  # fmt: skip
        with pytest.raises(NotGenuine):
            receive(**wrong)
    (read,) = run(connector.read(connect(Wire([])), "order.updated", body))
    assert (read.external_id, read.status) == (order["id"], "open")
    _, strange = shop.deliver(order | {"status": "on-the-moon"})
    assert run(connector.read(connect(Wire([])), "order.updated", strange))[0].status == "unknown"
    with pytest.raises(Refused):
        run(connector.read(connect(Wire([])), "order.updated", b'{"data": {"id": 1}}'))


def test_another_shops_words_are_settings_of_its_channel():
    """Harbour Market of examples/add_a_channel.md, told by settings instead of a file."""
    market = Market()
    ref = market.offer("MUG", 3)
    overrides = {
        "auth": {"type": "header", "header": "X-Harbour-Key", "value": "{credentials.token}"},
        "operations": {
            "stock.push": {
                "request": {"method": "PUT", "path": "/offers/units", "headers": {"Idempotency-Key": None},
                            "json": {"levels": None, "request": "{key}", "changes": "{items}"}},
                "batch": {"item": {"item_id": None, "sku": None, "place": None, "quantity": None,
                                   "ref": "{external_id}", "units": "{quantity}"}},
                "outcomes": {"errors": None, "index": None, "message": None, "items": "results", "id": "ref",
                             "error": "why", "code": "why", "codes": {"no_such_offer": "gone"}},
            },
            "stock.pull": {"request": {"path": "/offers", "query": {"page": None, "after": "{after}"}},
                           "records": "rows", "paging": {"by": "cursor", "next": "next"}},
            "listings.pull": None, "orders.pull": None, "orders.get": None, "orders.cancel": None,
            "fulfilments.push": None, "prices.push": None, "prices.pull": None,
        },
        "maps": {"level": {"external_id": "ref", "external_sku": "code", "quantity": "units", "place": None}},
        "webhooks": {
            "verify": {"scheme": "hmac", "over": "timestamp_body", "timestamp_header": "X-Harbour-Time",
                       "prefix": "v1=", "header": "X-Harbour-Signature", "encoding": "hex",
                       "secret": "{credentials.webhook_secret}"},
            "topic": {"path": "event"},
            "dedupe": {"header": None, "path": "id"},
            "topics": {"order.created": None, "order.updated": None,
                       "sale.touched": {"records": "sale", "map": "order"}},
        },
    }  # fmt: skip
    connector = for_channel("rest_generic", {"overrides": overrides})
    assert connector.capabilities - {"orders.cancel_lines"} == {"stock.push", "stock.pull"}
    with serving(market.app()) as url:
        account = {"settings": {"url": f"{url}/seller", "place": ""}, "credentials": {"token": market.key}}
        writes = [Write(external_id=ref, quantity=8, key="a"), Write(external_id="H-0", quantity=1, key="b")]
        outcomes = talk(lambda c: connector.push_stock(c, writes), **account)
        levels = talk(lambda c: connector.pull_stock(c, None), **account).records
    assert [o.fate for o in outcomes] == [Fate.DONE, Fate.GONE]
    assert [(level.external_id, level.external_sku, level.quantity) for level in levels] == [(ref, "MUG", 8)]
    headers, body = market.deliver(market.buy({ref: 1}))
    credentials = {"webhook_secret": market.hook_secret}
    assert (
        connector.receive(headers, body, url="", credentials=credentials, now=datetime.now(UTC)).topic == "sale.touched"
    )


SCHEMES = [
    StandardIn(scheme="standard_webhooks", secret="x"),
    SharedIn(scheme="shared", header="X-Word", secret="x"),
    HmacIn(scheme="hmac", header="X-Sign", secret="x"),
    HmacIn(scheme="hmac", header="X-Sign", secret="x", over="url_body", digest="sha1"),
    HmacIn(scheme="hmac", header="X-Sign", secret="x", over="timestamp_body", timestamp_header="X-At", encoding="hex",
           prefix="v1="),
]  # fmt: skip


@given(
    st.sampled_from(SCHEMES), st.text(max_size=50), st.sampled_from(["whsec_b25l", "c2VjcmV0"]), st.binary(max_size=3)
)
def test_what_we_sign_we_take_for_genuine_and_nothing_else(scheme, text, secret, other):
    body, now, url = text.encode(), datetime.now(UTC), "https://shop.example/hook"
    headers = signing.sign(scheme, secret, {}, body, url=url, now=now)
    assert all(name == name.lower() for name in headers)
    signing.check(scheme, [secret], headers, body, url=url, now=now + timedelta(seconds=60))
    with pytest.raises(NotGenuine):
        signing.check(scheme, ["whsec_YW5vdGhlcg=="], headers, body, url=url, now=now)
    if not isinstance(scheme, SharedIn):
        with pytest.raises(NotGenuine):
            signing.check(scheme, [secret], headers, body + b"." + other, url=url, now=now)


def test_requests_are_signed_in_any_of_these_ways():
    text = """
connector: shop
title: Shop
credentials: {secret: {description: x}}
base_url: https://shop.example/hook
auth: {type: signed, by: {scheme: hmac, header: X-Sign, prefix: sha256=, encoding: hex, secret: "{credentials.secret}"}}
operations: {stock.push: {request: {method: POST, json: {n: "{quantity}"}}, write: {guard: none}}}
"""
    connector, wire = read_text(text), Wire([said({})])
    run(connector.push_stock(connect(wire), [Write(external_id="a", quantity=3, key="k")]))
    (sent,) = wire.sent
    signing.check(connector.document.auth.by, ["s3cret"], sent.headers, sent.body, url=sent.url, now=datetime.now(UTC))
    assert sent.headers["x-sign"].startswith("sha256=")
