"""Every vendor as a place in the world: listed, shown, bought, told of; and processes of their own."""

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from tests.connectors.running import serving

from onhand.connectors import find
from onhand.twin.fakes.directory import stand

ADA = {"country": "DE", "postal_code": "10115", "city": "Berlin", "name": "Ada Byron", "email": "ada@example.org"}
SHOPS = ("amazon", "shopify", "square", "woocommerce")


@contextmanager
def client(app):
    with serving(app) as url, httpx2.Client(base_url=url, trust_env=False) as made:
        yield made


def stocked(http, **units):
    rows = [{"sku": sku, "price_minor": 1290, "stock": n} for sku, n in units.items()]
    return http.post("/_fake/catalogue", json=rows).raise_for_status().json()


@pytest.mark.parametrize("name", SHOPS)
def test_what_is_shown_is_sold_and_no_more(name):
    with client(stand(name)) as http:
        ids = stocked(http, A=3, B=1)
        assert stocked(http, A=9, C=0).items() >= ids.items(), "what is there stays as it is"
        first = http.post("/_fake/checkout", json={"lines": {"A": 2, "B": 1}, "to": ADA})
        assert first.status_code == 201
        assert http.post("/_fake/checkout", json={"lines": {"A": 2}, "to": ADA}).status_code == 409
        assert http.post("/_fake/checkout", json={"lines": {"NOBODYS": 1}, "to": ADA}).status_code == 409
        assert http.get("/_fake/shelf").json() == {"A": 1, "B": 0, "C": 0}
        assert http.get("/_fake/paid").json() == [first.json()["id"]]


@pytest.mark.parametrize("name", ["amazon", "shopify", "woocommerce"])
def test_a_customer_may_change_his_mind_once(name):
    with client(stand(name)) as http:
        stocked(http, A=3)
        number = http.post("/_fake/checkout", json={"lines": {"A": 2}, "to": ADA}).json()["id"]
        assert http.post("/_fake/cancel", json={"id": number}).status_code == 200
        assert http.post("/_fake/cancel", json={"id": number}).status_code == 409
        assert http.get("/_fake/paid").json() == []
        assert http.get("/_fake/shelf").json() == {"A": 3}


@pytest.mark.parametrize("name", ["shopify", "woocommerce"])
def test_its_messages_are_genuine_and_name_the_order(name):
    came, has_come = [], threading.Event()

    async def hook(request):
        came.append((dict(request.headers), await request.body()))
        has_come.set()
        return Response()

    made = stand(name)
    with serving(Starlette(routes=[Route("/in", hook, methods=["POST"])])) as url, running(made), client(made) as http:
        stocked(http, A=3)
        http.post("/_fake/hook", json={"url": f"{url}/in"}).raise_for_status()
        number = http.post("/_fake/checkout", json={"lines": {"A": 1}, "to": ADA}).json()["id"]
        assert has_come.wait(20)
    ((headers, body),) = came
    from datetime import UTC, datetime

    said = find(name).connector.receive(
        headers, body, url="", credentials={"webhook_secret": "hook"}, now=datetime.now(UTC)
    )
    assert said.topic in ("orders/create", "order.created")
    assert number in (json.loads(body).get("admin_graphql_api_id"), str(json.loads(body).get("id")))


@contextmanager
def running(made):
    """What a fake does by itself, in a thread."""
    import asyncio

    loop = asyncio.new_event_loop()
    task = loop.create_task(made.run())

    def go():
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
        loop.close()


def test_its_interface_has_weather_and_its_customers_have_none():
    with client(stand("woocommerce")) as http:
        stocked(http, A=3)
        down = {"down_every_s": 1e-9, "down_for_s": 1e6}
        assert http.post("/_fake/weather", json=down).json()["weather"]["is_down"]
        assert http.get("/wp-json/wc/v3/orders").status_code == 503
        assert http.post("/_fake/checkout", json={"lines": {"A": 1}, "to": ADA}).status_code == 201
        assert http.post("/_fake/weather", json={"rain": 1}).status_code == 422
        http.post("/_fake/weather", json={}).raise_for_status()
        assert http.get("/wp-json/wc/v3/orders").status_code == 401


def test_a_number_is_shown_when_the_sky_says():
    made = stand("amazon")
    with client(made) as http:
        http.post("/_fake/weather", json={"apply_s": 30}).raise_for_status()
        assert (made.shop.lag_s, made.shop.feed_lag_s) == (30, 120)


def test_who_is_not_there_is_told_with_those_who_are():
    with pytest.raises(LookupError, match="woocommerce"):
        stand("ebay")
    with pytest.raises(ValueError, match="--files"):
        stand("hub")


@contextmanager
def process(*options):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "onhand.twin.fakes", *options, "--port", str(port)]
    made = subprocess.Popen(command)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            give_up_at = time.monotonic() + 60
            while True:
                with suppress(httpx2.TransportError):
                    if http.get("/_fake/weather").is_success:
                        break
                assert time.monotonic() < give_up_at and made.poll() is None, "it did not start"
            yield http
    finally:
        made.terminate()
        made.wait(30)


def test_a_process_goes_on_where_it_stopped(tmp_path):
    state = str(tmp_path / "state")
    with process("shopify", "--state", state) as http:
        ids = stocked(http, A=3)
        number = http.post("/_fake/checkout", json={"lines": {"A": 1}, "to": ADA}).json()["id"]
    with process("shopify", "--state", state) as http:
        assert stocked(http, A=9) == ids
        assert http.get("/_fake/shelf").json() == {"A": 2}
        assert http.get("/_fake/paid").json() == [number]
        assert http.post("/_fake/checkout", json={"lines": {"A": 1}, "to": ADA}).json()["id"] != number
