"""Payments by the interface: listed, shown, tried again, reconciled. No worker runs here."""

import asyncio
import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.api.conftest import Server
from tests.connectors.running import serving
from tests.events import settle
from tests.shop import BERLIN

from onhand.cli import run
from onhand.flows.accounts import Accounts
from onhand.flows.payments.cashier import Cashier
from onhand.flows.payments.tend import tend
from onhand.twin.fakes.stripe import Account

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


# docs/how-to/payments.md, run as it stands ----------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "payments.md"
CHANNEL, PAID, SAID = (json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(), re.M | re.S))
(COMMAND,) = re.findall(r"^```\n(onhand .*?)\n```$", PAGE.read_text(), re.M)


def test_the_page_does_what_it_says(server: Server, shop, monkeypatch, tmp_path, capsys):
    shop("PUT", "/v1/items/MUG-BLUE", {"name": "mug", "weight_g": 400})
    rows = [{"kind": "receipt", "sku": "MUG-BLUE", "node": "berlin", "quantity": 9}]
    shop("POST", "/v1/stock/entries", {"entries": rows})
    fake = Account()
    state, db = server.app.state, server.app.db

    def work():
        async def go():
            async with Accounts(db, server.app.connectors, allow_private_urls=True) as accounts:
                return await Cashier(state).work(await accounts.get("cards"))

        for _ in range(30):
            with db.connection() as conn:
                settle(conn)
            if not tend(state) + asyncio.run(go()):
                return

    with serving(fake.app()) as url:
        shop("PUT", "/v1/channels/cards", CHANNEL | {"settings": CHANNEL["settings"] | {"url": url}})
        pickup = {"method": "pickup", "pickup_node": "berlin"}  # this shop has no carrier
        placed = shop("POST", "/v1/orders", PAID | pickup)
        order_id = placed["order_id"]
        assert placed["status"] == "held"
        # As on a Friday: on other days the rest leaves within two days, and is held for at once.
        with db.connection() as conn:
            conn.execute("UPDATE fulfilment SET ship_by = now() + interval '7 days'")
        work()
        assert shop("GET", f"/v1/orders/{order_id}")["status"] == "sourced"
        shop("POST", f"/v1/fulfilments/{order_id}-f1/ship", {"lines": [{"line_id": "1", "quantity": 2}]})
        work()
        back = {
            "order_id": order_id,
            "node": "berlin",
            "lines": [{"line_id": "1", "quantity": 1}],
            "disposition": "restock",
        }
        shop("POST", "/v1/returns", back)
        work()
    found = shop("GET", f"/v1/orders/{order_id}/payment")
    assert {name: found[name] for name in SAID} == SAID
    assert fake.totals() == {"authorise": 3571, "capture": 2381, "release": 1190, "refund": 1190}
    # And its command, on the day that is today here.
    monkeypatch.setenv("ONHAND_DATABASE_URL", db.url)
    monkeypatch.setenv("ONHAND_HOME", str(tmp_path))
    words = shlex.split(COMMAND.replace("2026-03-02", f"{datetime.now(UTC).date()}"))
    assert run(words[1:]) == 0
    told = capsys.readouterr().out
    assert "in EUR: balanced; orders 1, of which 0 are paid elsewhere" in told
    assert "= open after" in told


@pytest.mark.parametrize("day", ["0", "2026-02-30", "yesterday", "0001-01-01", "9999-12-31"])
def test_a_day_that_is_none_is_refused(shop, day):
    answer = shop("GET", f"/v1/payments/reconciliation?day={day}", status=(422,))
    assert [e["path"] for e in answer["errors"]] == ["day"]
