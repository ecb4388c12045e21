"""Payments by the interface: listed, shown, tried again, reconciled. No worker runs here."""

from datetime import UTC, datetime

import pytest
from tests.api.conftest import Server
from tests.shop import BERLIN

from onhand.flows.payments.tend import tend

ORDER = {"channel": "web", "currency": "EUR", "destination": BERLIN}
LINE = {"line_id": "1", "sku": "MUG", "quantity": 2, "price_minor": 1000, "tax_minor": 380}


@pytest.fixture
def shop(server: Server):
    def call(method, path, body=None, status=(200, 201)):
        answer = server.client.request(method, path, json=body)
        assert answer.status_code in status, answer.text
        return answer.json()

    call("PUT", "/v1/items/MUG", {"name": "mug", "weight_g": 400})
    node = {
        "name": "b",
        "node_type": "store",
        "country": "DE",
        "latitude": 52.5,
        "longitude": 13.4,
        "timezone": "UTC",
        "methods": ["pickup"],
    }
    call("PUT", "/v1/nodes/berlin", node)
    call("PUT", "/v1/channels/web", {"currency": "EUR"})
    card = {
        "currency": "EUR",
        "connector": "stripe",
        "settings": {"url": "https://1.1.1.1"},
        "credentials": {"api_key": "sk_test_1"},
    }
    call("PUT", "/v1/channels/cards", card)
    call("POST", "/v1/stock/entries", {"entries": [{"kind": "receipt", "sku": "MUG", "node": "berlin", "quantity": 9}]})
    return call


def place(call, external_id, **payment):
    body = ORDER | {"external_id": external_id, "lines": [LINE], "method": "pickup", "pickup_node": "berlin"}
    return call("POST", "/v1/orders", body | {"payment": {"provider": "cards", "token": "pm_1"} | payment})["order_id"]


def test_a_payment_is_listed_shown_and_tried_again(server: Server, shop):
    ids = [place(shop, f"o-{n}") for n in range(3)]
    assert shop("GET", f"/v1/orders/{ids[0]}/payment", status=(404,))["code"] == "payment.not_found"
    tend(server.app.state)
    page = shop("GET", "/v1/payments?status=due&limit=2")
    assert [row["payment_id"] for row in page["data"]] == ids[:0:-1]
    rest = shop("GET", f"/v1/payments?limit=2&cursor={page['next_cursor']}")
    assert [row["payment_id"] for row in rest["data"]] == ids[:1]
    assert shop("GET", "/v1/payments?status=captured")["data"] == []
    found = shop("GET", f"/v1/orders/{ids[0]}/payment")
    assert [(o["kind"], o["amount_minor"], o["state"]) for o in found["operations"]] == [("authorise", 2380, "due")]
    assert (found["provider"], found["external_id"], found["status"]) == ("cards", "o-0", "due")
    assert "pm_1" not in str(found)
    refused = shop("POST", f"/v1/payments/{ids[0]}/retry", {"token": "pm_2"}, status=(409,))
    assert refused["code"] == "payment.under_way"
    assert shop("POST", f"/v1/payments/{ids[0]}/retry")["payment_id"] == ids[0]


def test_the_token_of_an_order_is_shown_to_nobody(shop):
    order_id = place(shop, "o-1")
    assert "pm_1" not in str(shop("GET", f"/v1/orders/{order_id}"))


def test_a_day_is_reconciled(server: Server, shop):
    order_id = place(shop, "o-1")
    shop("POST", f"/v1/fulfilments/{order_id}-f1/ship")
    tend(server.app.state)
    found = shop("GET", f"/v1/payments/reconciliation?day={datetime.now(UTC).date()}")
    assert found["balanced"]
    (said,) = found["statements"]
    assert (said["shipped_minor"], said["captured_minor"], said["open_after_minor"]) == (2380, 0, 2380)
    assert [(d["order_id"], d["amount_minor"], d["reason"]) for d in said["differences"]] == [
        (order_id, 2380, "under_way")
    ]


def test_a_payment_that_names_no_provider_is_refused(shop):
    body = ORDER | {"external_id": "x", "lines": [LINE], "payment": {"provider": "web", "token": "pm"}}
    answer = shop("POST", "/v1/orders", body, status=(422,))
    assert [e["path"] for e in answer["errors"]] == ["payment.provider"]
    batch = shop("POST", "/v1/orders/batch", {"orders": [body]})
    assert batch["results"][0]["status"] == "rejected"
