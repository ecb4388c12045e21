"""Shipments and what carriers tell of them, over HTTP."""

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.shop import open_shop

from onhand.flows.tracking.carriers import read_messages
from onhand.flows.tracking.settle import deliver_scanned

NOW = datetime.now(UTC)
FEED = {
    "verify": {"scheme": "hmac", "header": "X-Signature"},
    "secret": "agreed upon",
    "records": "events",
    "map": {"tracking": "number", "milestone": {"path": "status", "table": {"AR": "at_hub"}}, "at": "moment(time)"},
}


@pytest.fixture
def shop(server):
    return open_shop(server.client)


def shipped(shop, number, count=1):
    """Shipments that have just left."""
    made = []
    for n in range(count):
        placed = shop.order(f"{number}-{n}", ("PLATE", 1))
        (f,) = placed["fulfilments"]
        answer = shop.call(
            "POST", f"/v1/fulfilments/{f['fulfilment_id']}/ship", {"carrier": "dhl", "tracking": f"{number}-{n}"}
        )
        made.append(answer["shipment"]["shipment_id"])
    return made


def scan(number, milestone, hours=0.0):
    at = (NOW + timedelta(hours=hours)).isoformat()
    return {"carrier": "dhl", "tracking": number, "milestone": milestone, "at": at}


def test_scans_are_told_shown_and_followed(shop, server):
    (shipment,) = shipped(shop, "A")
    rows = [scan("A-0", "handed_over", 0.1), scan("A-0", "at_hub", 0.2), scan("B", "at_hub"), {"milestone": "at_hub"}]
    told = shop.call("POST", "/v1/tracking/events", {"events": rows})["results"]
    assert [row["status"] for row in told] == ["created", "created", "created", "rejected"]
    assert [row["shipments"] for row in told] == [[shipment], [shipment], [], []]
    assert told[3]["errors"][0]["path"] == "at"
    row = shop.call("GET", f"/v1/shipments/{shipment}")
    assert row["status"] == "at_hub" and [e["milestone"] for e in row["events"]] == ["handed_over", "at_hub"]
    assert row["prediction"] is None and row["p_late"] is None and row["forecasts"] == []
    shop.call("POST", "/v1/tracking/events", {"events": [scan("A-0", "delivered", 0.3)]})
    assert deliver_scanned(server.app.state) == 1
    assert shop.call("GET", f"/v1/shipments/{shipment}")["status"] == "delivered"
    assert shop.call("GET", f"/v1/orders/{row['order_id']}")["status"] == "delivered"


def test_the_same_request_again_gives_the_first_answer(shop, server):
    shipped(shop, "A")
    headers, body = {"Idempotency-Key": "k"}, {"events": [scan("A-0", "at_hub")]}
    first, again = (server.client.post("/v1/tracking/events", json=body, headers=headers) for _ in range(2))
    assert first.json() == again.json() and first.json()["results"][0]["status"] == "created"
    assert server.client.post("/v1/tracking/events", json=body).json()["results"][0]["status"] == "unchanged"


def test_the_page_does_what_it_says(shop, server, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs/how-to/track-shipments.md").read_text("utf-8")
    (f,) = shop.order("page", ("PLATE", 1))["fulfilments"]
    ship = f"/v1/fulfilments/{f['fulfilment_id']}/ship"
    shipment = shop.call("POST", ship, {"carrier": "dhl", "tracking": "JD014600"})["shipment"]["shipment_id"]
    monkeypatch.setenv("ONHAND_URL", server.base_url)
    monkeypatch.setenv("ONHAND_KEY", server.admin_key)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.startswith(f"created ['{shipment}']\nat_hub ")
    by_map, by_karrio = (json.loads(feed) for feed in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    assert shop.call("PUT", "/v1/carriers/dhl/tracking", by_map)["each"] == "events"
    shown = shop.call("PUT", "/v1/carriers/dhl/tracking", by_karrio)
    assert shown["karrio"] == by_karrio["karrio"] and "secret" not in shown


def test_shipments_are_found_page_by_page(shop, server):
    made = shipped(shop, "A", 5)
    shop.call("POST", "/v1/tracking/events", {"events": [scan("A-1", "at_hub"), scan("A-2", "at_hub")]})
    with server.app.db.connection() as conn:
        conn.execute("UPDATE shipment SET p_late = 0.8 WHERE tracking = 'A-1'")
    pages, cursor = [], ""
    while cursor is not None:
        page = shop.call("GET", f"/v1/shipments?limit=2&carrier=dhl{cursor and f'&cursor={cursor}'}")
        pages += [row["shipment_id"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert [s for s in pages if s in made] == made[::-1] and len(pages) == len(set(pages))

    def found(query):
        return {row["tracking"] for row in shop.call("GET", f"/v1/shipments?{query}")["data"]}

    assert found("status=at_hub") == {"A-1", "A-2"}
    assert found("p_late_min=0.5") == {"A-1"}
    assert {f"A-{n}" for n in range(5)} <= found("is_open=true") and "A-0" not in found("is_open=false")
    nodes = {row["node"] for row in shop.call("GET", "/v1/shipments")["data"]}
    assert found(f"node={nodes.pop()}") and found("node=NOWHERE") == set() and found("carrier=ups") == set()
    with server.app.db.connection() as conn:
        conn.execute("UPDATE shipment SET p_late = NULL WHERE tracking = 'A-1'")


@pytest.mark.parametrize("name", ["x", "00000000-0000-7000-8000-000000000000-s1", "%00"])
def test_what_is_no_shipment_is_not_found(server, name):
    assert server.client.get(f"/v1/shipments/{name}").status_code in (404, 422)


def test_who_may_only_read_tells_nothing(shop, server):
    key = shop.call("POST", "/v1/keys", {"name": "reader", "scopes": ["read"]})["key"]
    with server.as_key(key) as reader:
        assert reader.post("/v1/tracking/events", json={"events": []}).status_code == 403
        assert reader.get("/v1/shipments").status_code == 200
        assert reader.put("/v1/carriers/dhl/tracking", json=FEED).status_code == 403


def test_a_carrier_sends_its_own_messages(shop, server):
    (shipment,) = shipped(shop, "A")
    body = json.dumps({"events": [{"number": "A-0", "status": "AR", "time": NOW.isoformat()}]}).encode()
    signed = {"X-Signature": hmac.new(b"agreed upon", body, hashlib.sha256).hexdigest()}
    with server.as_key(None) as stranger:
        assert stranger.post("/v1/carriers/dhl/inbound", content=body, headers=signed).status_code == 404
        shown = shop.call("PUT", "/v1/carriers/dhl/tracking", FEED)
        assert "secret" not in shown and shown["map"]["tracking"] == "number"
        assert shop.call("GET", "/v1/carriers/dhl/tracking") == shown
        assert stranger.post("/v1/carriers/dhl/inbound", content=body).status_code == 401
        assert stranger.post("/v1/carriers/dhl/inbound", content=body, headers=signed).status_code == 202
    assert read_messages(server.app.db, NOW) == 1
    (message,) = shop.call("GET", "/v1/carrier-messages?carrier=dhl&status=done")["data"]
    assert message["scans"] == 1 and message["error"] is None
    assert shop.call("GET", f"/v1/shipments/{shipment}")["status"] == "at_hub"
    assert shop.call("GET", "/v1/carrier-messages?carrier=nobody")["data"] == []
    assert server.client.get("/v1/carriers/nobody/tracking").status_code == 404


def test_a_carrier_shows_what_was_learned_beside_what_was_declared(shop, server):
    row = shop.call("GET", "/v1/carriers/dhl")
    assert (row["transit"], row["learned"], row["learned_at"]) == ("learned", [], None)
    document = {"name": row["name"], "services": row["services"], "transit": "declared"}
    assert shop.call("PUT", "/v1/carriers/dhl", document)["transit"] == "declared"
    shop.call("PUT", "/v1/carriers/dhl", document | {"transit": "guessed"}, status=422)
