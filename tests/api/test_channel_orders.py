"""A channel's messages over HTTP: by their signature, kept before they are answered, seen and retried."""

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.connectors.running import serving

from onhand.twin.fakes import woocommerce

from ..shop import open_shop  # noqa: TID252

SECRETS = {"consumer_key": "ck_fake", "consumer_secret": "cs_fake", "webhook_secret": "hook"}


@pytest.fixture
def fake():
    return woocommerce.Shop()


@pytest.fixture
def woo(server, fake):
    shop = open_shop(server.client)
    server.app.settings = replace(server.app.settings, allow_private_urls=True)
    with serving(fake.app()) as url:
        document = {"currency": "USD", "connector": "woocommerce", "settings": {"url": url}, "credentials": SECRETS}
        shop.call("PUT", "/v1/channels/woo", document)
        number = fake.add_product("MUG-RED", 10)
        shop.call("PUT", "/v1/listings/woo/MUG-RED", {"external_id": str(number)})
        yield SimpleNamespace(call=shop.call, number=number, url=url)


def post(server, headers, body, code="woo"):
    with server.as_key(None) as client:
        return client.post(f"/v1/channels/{code}/inbound", content=body, headers=headers)


@contextmanager
def working(server):
    stop = threading.Event()
    worker = threading.Thread(target=server.app.run_worker, args=(stop,))
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def until(look, seconds=30):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


def test_only_what_the_channel_signed_is_kept(server, woo, fake):
    bought = fake.buy({woo.number: 1})
    headers, body = fake.deliver(bought)
    ping = {"content-type": "application/x-www-form-urlencoded"}
    assert post(server, ping, b"webhook_id=1").status_code == 200, "a handshake without a signature"
    for bad in (
        post(server, headers, body + b" "),
        post(server, headers | {"x-wc-webhook-signature": "nonsense"}, body),
        post(server, {k: v for k, v in headers.items() if k != "x-wc-webhook-signature"}, body),
    ):
        assert (bad.status_code, bad.json()["code"]) == (401, "channel.not_genuine")
        assert "cs_fake" not in bad.text
    assert post(server, headers, body, code="nobody").status_code == 404
    assert post(server, headers, body, code="web").status_code == 404, "a channel without a connector"
    assert post(server, headers, b"x" * (4 * 2**20 + 1)).status_code == 413
    assert woo.call("GET", "/v1/channels/woo/messages")["data"] == []
    for _ in range(2):
        assert post(server, headers, body).status_code == 200
    (message,) = woo.call("GET", "/v1/channels/woo/messages?status=due")["data"]
    assert (message["topic"], message["attempts"]) == ("order.updated", 0)


def test_a_secret_is_exchanged_without_a_message_lost(server, woo, fake):
    document = {"currency": "USD", "connector": "woocommerce", "settings": {"url": woo.url}}
    both = SECRETS | {"webhook_secret": "new", "webhook_secret_before": "hook"}
    woo.call("PUT", "/v1/channels/woo", document | {"credentials": both})
    until(lambda: post(server, *fake.deliver(fake.buy({woo.number: 1}))).status_code == 200)
    fake.hook_secret = "new"
    until(lambda: post(server, *fake.deliver(fake.buy({woo.number: 1}))).status_code == 200)
    woo.call("PUT", "/v1/channels/woo", document | {"credentials": SECRETS | {"webhook_secret": "new"}})
    fake.hook_secret = "hook"
    until(lambda: post(server, *fake.deliver(fake.buy({woo.number: 1}))).status_code == 401)


def test_a_worker_makes_an_order_of_a_message_and_tells_the_parcel(server, woo, fake):
    bought = fake.buy({woo.number: 2})
    unread = fake.deliver(fake.buy({woo.number: 1}) | {"currency": "gold"})
    with working(server):
        assert post(server, *fake.deliver(bought)).status_code == 200
        assert post(server, *unread).status_code == 200

        def taken():
            rows = woo.call("GET", "/v1/channels/woo/orders")["data"]
            return [r for r in rows if r["status"] == "taken" and r["external_id"] == str(bought["id"])]

        (row,) = until(taken)
        order = woo.call("GET", f"/v1/orders/{row['order_id']}")
        assert (order["channel"], order["status"]) == ("woo", "sourced")
        fulfilment = order["fulfilments"][0]["fulfilment_id"]
        woo.call("POST", f"/v1/fulfilments/{fulfilment}/ship", {"tracking": "1Z"})
        until(lambda: bought["status"] == "completed")
        until(lambda: woo.call("GET", "/v1/channels/woo/notices?status=done")["data"])
    (failed,) = woo.call("GET", "/v1/channels/woo/messages?status=due")["data"]
    assert "GOLD" in failed["error"]
    again = woo.call("POST", f"/v1/channels/woo/messages/{failed['message_id']}/retry")
    assert (again["status"], again["attempts"], again["error"]) == ("due", 0, None)
    woo.call("POST", "/v1/channels/woo/orders/retry", {"external_id": "nothing"}, status=409)
    assert woo.call("GET", "/v1/channels/woo/order-reports") is not None
