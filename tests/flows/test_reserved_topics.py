"""Messages of our own (sales that were read, orders that are to be asked for) cannot be forged by a channel."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import msgspec
import pytest
from tests.connectors.running import serving
from tests.flows.channels import woo_with_a

from onhand.channels.inbound.decide import theirs
from onhand.connectors._sdk.values import Sale
from onhand.flows.receive import Doors
from onhand.flows.take_sales import keep_sales
from onhand.twin.fakes import woocommerce

SALE = Sale(external_id="1", external_sku="A", quantity=5, at=datetime.now(UTC), place="")


@pytest.fixture
def woo(merchant, tmp_path):
    fake = woocommerce.Shop()
    with serving(fake.app()) as url:
        made = woo_with_a(merchant, url, fake, tmp_path)
        yield made
        made.close()


def delivered(woo, topic, body, name="d1"):
    """Signed by the channel, and taken in as the route does."""
    digest = hmac.new(b"hook", body, hashlib.sha256).digest()
    headers = {
        "content-type": "application/json", "x-wc-webhook-topic": topic, "x-wc-webhook-delivery-id": name,
        "x-wc-webhook-signature": base64.b64encode(digest).decode(),
    }  # fmt: skip
    return Doors(woo.db, woo.connectors).receive("woo", headers, body, url="", now=datetime.now(UTC))


@pytest.mark.parametrize("topic", ["onhand.sale", "onhand.order", "onhand.unreadable"])
def test_a_channel_cannot_write_messages_of_ours(woo, merchant, topic):
    order = woo.fake.buy({10: 1})
    body = msgspec.json.encode(SALE) if topic == "onhand.sale" else str(order["id"]).encode()
    assert delivered(woo, topic, body).status == 200
    woo.hear()
    assert merchant.position("A", "berlin") == (10, 0, 0, 0), "nothing is booked"
    assert woo.order(order["id"]) is None, "nothing is asked for"
    assert [(kind, status) for kind, status, _, _ in woo.messages()] == [(f"?{topic}", "done")]


def test_a_channel_cannot_take_the_name_of_a_message_of_ours(woo, merchant):
    delivered(woo, "order.updated", json.dumps({"id": 4711}).encode(), name="onhand.sale 1")
    with woo.db.connection() as conn:
        assert keep_sales(conn, woo.channel_id, [SALE]) == 1, "it is not taken for a repeat"


def test_what_comes_by_a_queue_is_theirs_too():
    assert (theirs("onhand.sale"), theirs("?onhand.sale"), theirs("onhandsale")) == (
        "?onhand.sale", "?onhand.sale", "onhandsale",
    )  # fmt: skip
