"""`onhand serve` takes money by itself: orders come in over HTTP, the provider's messages by its signature."""

import pytest
from tests.connectors.running import serving
from tests.flows.ours import Ours, wait_until

from onhand.twin.fakes.stripe import Account

HERE = {"country": "US", "postal_code": "10001", "latitude": 40.7, "longitude": -74.0}
LINE = {"line_id": "1", "sku": "A", "quantity": 2, "price_minor": 1000}
CARDS = {
    "currency": "EUR",
    "connector": "stripe",
    "credentials": {"api_key": "sk_test_fake", "webhook_secret": "whsec_fake"},
}


@pytest.fixture
def ours(dsn, tmp_path):
    made = Ours(dsn, tmp_path)
    try:
        made.start()
        made.found()
        made.receive(A=10)
        yield made
    finally:
        made.stop()


@pytest.mark.timeout(300)
def test_a_server_takes_money_by_itself(ours):
    account = Account()
    with serving(account.app()) as url:
        ours.call("PUT", "/v1/channels/web", {"currency": "EUR"})
        ours.call("PUT", "/v1/channels/cards", CARDS | {"settings": {"url": url}})
        order = {
            "channel": "web", "external_id": "1", "currency": "EUR", "destination": HERE, "lines": [LINE],
            "payment": {"provider": "cards", "token": "pm_ok"}, "hold": "payment",
        }  # fmt: skip
        order_id = ours.call("POST", "/v1/orders", order)["order_id"]

        def said():
            return ours.call("GET", f"/v1/orders/{order_id}/payment")

        wait_until(lambda: ours.call("GET", f"/v1/orders/{order_id}")["status"] == "sourced")
        ours.call("POST", f"/v1/fulfilments/{order_id}-f1/ship")
        wait_until(lambda: said()["status"] == "captured")
        account.dispute(next(iter(account.intents)))
        headers, body = account.deliver(account.events[-1])
        ours.deliver("cards", headers, body)
        wait_until(lambda: said()["is_disputed"])
        assert account.totals() == {"authorise": 2000, "capture": 2000, "release": 0, "refund": 0}
