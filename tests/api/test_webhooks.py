"""Webhooks over HTTP: register, list, replay, remove; and no address that is not public."""

import pytest
from tests.events import settle

from onhand.base.actor import SYSTEM
from onhand.db import outbox
from onhand.webhooks import store

# An address instead of a name, so that nothing is looked up.
URL = "https://1.1.1.1/hook"


def add(server, url=URL, **more):
    return server.client.post("/v1/webhooks", json={"url": url, **more})


def event_ids(server, count=3):
    """Ids of `count` new events, which the webhooks have been told of."""

    def work(conn):
        for n in range(count):
            outbox.write_event(conn, "order.sourced", f"o{n}", {}, actor=SYSTEM, origin=1)

    server.app.db.transact(work)
    with server.app.db.connection() as conn:
        settle(conn)
    server.app.db.transact(lambda conn: store.fan_out(conn, 1000))
    found = server.client.get("/v1/audit", params={"kind": "order.*"}).json()["data"]
    return [entry["id"] for entry in reversed(found)]


def test_a_webhook_shows_its_secret_once(server):
    made = add(server, kinds=["order.*"])
    assert made.status_code == 201
    webhook = made.json()
    assert webhook.pop("secret").startswith("whsec_")
    one = f"/v1/webhooks/{webhook['webhook_id']}"
    assert server.client.get(one).json() == webhook
    assert server.client.get("/v1/webhooks").json() == {"data": [webhook], "next_cursor": None}
    assert server.client.delete(one).status_code == 204
    assert server.client.get(one).status_code == 404
    assert server.client.delete(one).json()["code"] == "webhook.not_found"


def test_a_repeat_registers_nothing_and_shows_no_secret(server):
    def again():
        return server.client.post("/v1/webhooks", json={"url": URL}, headers={"Idempotency-Key": "w"})

    first, second = again().json(), again()
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json() == first | {"secret": None}
    assert len(server.client.get("/v1/webhooks").json()["data"]) == 1
    with server.app.db.connection() as conn:
        stored = conn.execute("SELECT answer FROM idempotency").fetchall()
        assert "whsec_" not in str(stored)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost:8080/", "http://[::1]/", "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/", "http://0x7f.1/", "http://[::ffff:10.0.0.1]/", "http://nothing.invalid/", "ftp://1.1.1.1/",
        "https://user:pass@1.1.1.1/", "https://1.1.1.1:22/", "https://1.1.1.1/#x", "", "x" * 2001,
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_cannot_be_saved(server, url):
    answer = add(server, url)
    assert (answer.status_code, answer.json()["code"]) == (422, "input.invalid"), answer.text
    assert answer.json()["errors"][0]["path"] == "url"
    assert server.client.get("/v1/webhooks").json()["data"] == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "url"),
        ({"url": URL, "kinds": []}, "kinds"),
        ({"url": URL, "kinds": ["order.%"]}, "kinds[0]"),
        ({"url": URL, "kinds": ["*", 5]}, "kinds[1]"),
        ({"url": URL, "secret": "x"}, "secret"),
        ({"url": 7}, "url"),
    ],
)
def test_bad_fields_are_named(server, body, path):
    answer = server.client.post("/v1/webhooks", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)


def test_deliveries_can_be_listed_and_replayed(server):
    one = "/v1/webhooks/" + add(server, kinds=["order.*"]).json()["webhook_id"]
    ids = event_ids(server)
    due = server.client.get(f"{one}/deliveries").json()["data"]
    assert [(d["event_id"], d["type"], d["subject"], d["status"]) for d in due] == [
        (i, "order.sourced", f"o{n}", "due") for n, i in enumerate(ids)
    ]
    with server.app.db.connection() as conn:
        conn.execute(
            "UPDATE webhook_delivery SET status = 'dead', attempts = 30, last_error = 'x' WHERE delivery_id = 2"
        )
        conn.execute("UPDATE webhook_delivery SET status = 'delivered' WHERE delivery_id <> 2")

    def dead():
        found = server.client.get(f"{one}/deliveries", params={"status": "dead"}).json()["data"]
        return [d["subject"] for d in found]

    assert dead() == ["o1"]
    replayed = server.client.post(f"{one}/replay", json={})
    assert (replayed.status_code, replayed.json()) == (202, {"queued": 1})
    assert dead() == []
    since = server.client.post(f"{one}/replay", json={"since": ids[1]})
    assert (since.status_code, since.json()) == (202, {"queued": 2})
    statuses = [d["status"] for d in server.client.get(f"{one}/deliveries").json()["data"]]
    assert statuses == ["delivered", "due", "due"]


def test_a_replay_from_another_history_is_gone(server):
    one = "/v1/webhooks/" + add(server).json()["webhook_id"]
    gone = server.client.post(f"{one}/replay", json={"since": "00000000-0000-0000-0000-000000000000.1.1"})
    assert (gone.status_code, gone.json()["code"]) == (410, "events.epoch_changed")
    assert server.client.post(f"{one}/replay", json={"since": "x"}).json()["errors"][0]["path"] == "since"


def test_a_disabled_webhook_is_enabled_again(server):
    one = "/v1/webhooks/" + add(server).json()["webhook_id"]
    with server.app.db.connection() as conn:
        conn.execute("UPDATE webhook SET active = false, disabled_at = now(), failing_since = now()")
    assert server.client.get(one).json()["active"] is False
    enabled = server.client.post(f"{one}/enable").json()
    assert (enabled["active"], enabled["disabled_at"], enabled["failing_since"]) == (True, None, None)


def test_an_unknown_webhook_is_404_everywhere(server):
    one = "/v1/webhooks/019ca7a4-5d00-7000-8000-000000000001"
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/enable")]:
        assert server.client.request(method, one + path).status_code == 404, (method, path)
    assert server.client.post(one + "/replay", json={}).status_code == 404
    assert server.client.get("/v1/webhooks/nonsense").status_code == 422


def test_scopes(server):
    made = server.client.post("/v1/keys", json={"name": "r", "scopes": ["read"]}).json()
    with server.as_key(made["key"]) as reader:
        assert reader.get("/v1/webhooks").status_code == 200
        refused = reader.post("/v1/webhooks", json={"url": URL})
        assert (refused.status_code, refused.json()["scope"]) == (403, "config:write")
