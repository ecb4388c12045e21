"""Messages of a till and of a shop of no vendor over HTTP: they sign the address, or as the channel says otherwise."""

import pytest

from onhand.twin.fakes.market import Market
from onhand.twin.fakes.square import Shop

from ..shop import open_shop  # noqa: TID252


@pytest.fixture
def shop(server):
    return open_shop(server.client)


def post(server, code, headers, body, path="inbound"):
    with server.as_key(None) as client:
        return client.post(f"/v1/channels/{code}/{path}", content=body, headers=headers).status_code


def test_a_till_signs_the_address_that_it_calls(server, shop):
    document = {
        "currency": "USD", "connector": "square", "settings": {"place": "L1"},
        "credentials": {"access_token": "EAAA_fake", "webhook_secret": "hook"},
    }  # fmt: skip
    shop.call("PUT", "/v1/channels/till", document)
    till = Shop()
    order = till.buy({till.add_product("MUG-RED", 4): 1})
    here = f"{server.base_url}/v1/channels/till/inbound"
    headers, body = till.deliver("order.updated", order, here)
    assert post(server, "till", headers, body) == 200
    assert post(server, "till", *till.deliver("order.updated", order, f"{here}?x=1")) == 401
    assert post(server, "till", headers, body + b" ") == 401
    (kept,) = shop.call("GET", "/v1/channels/till/messages")["data"]
    assert kept["topic"] == "order.updated"


def test_a_message_is_checked_as_the_channel_says_otherwise(server, shop):
    verify = {
        "scheme": "hmac", "over": "timestamp_body", "timestamp_header": "X-Harbour-Time", "prefix": "v1=",
        "header": "X-Harbour-Signature", "encoding": "hex", "secret": "{credentials.webhook_secret}",
    }  # fmt: skip
    topics = {"order.created": None, "order.updated": None, "sale.touched": {"records": "sale", "map": "order"}}
    webhooks = {
        "verify": verify,
        "topic": {"path": "event"},
        "dedupe": {"header": None, "path": "id"},
        "topics": topics,
    }
    document = {
        "currency": "EUR", "connector": "rest_generic", "credentials": {"token": "t", "webhook_secret": "hook"},
        "settings": {"url": "https://shop.example", "overrides": {"webhooks": webhooks}},
    }  # fmt: skip
    shop.call("PUT", "/v1/channels/harbour", document)
    market = Market()
    sale = market.buy({market.offer("MUG-RED", 4): 1})
    headers, body = market.deliver(sale)
    assert post(server, "harbour", headers, body) == 200
    assert post(server, "harbour", headers, body + b" ") == 401
    (kept,) = shop.call("GET", "/v1/channels/harbour/messages")["data"]
    assert kept["topic"] == "sale.touched"
