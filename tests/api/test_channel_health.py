"""How channels are doing, as the interface tells it."""

import time
from datetime import UTC, datetime

import psycopg
import pytest

import onhand.channels.inbound.store as inbound
from onhand.channels.publication import store
from onhand.flows.channel_health import standings


def test_how_old_numbers_are_is_told_without_reading_a_listing(server):
    """Of 300,000 it would take seconds."""
    shop = {
        "currency": "EUR", "connector": "woocommerce", "settings": {"url": "https://shop.example"},
        "credentials": {"consumer_key": "ck", "consumer_secret": "cs"},
    }  # fmt: skip
    server.client.put("/v1/channels/aged", json=shop)
    now = time.time()
    numbers = {"listings": 9, "verified": 5, "p50_at": now - 100, "oldest_at": now - 5000}
    counted = []

    def standing(**told):
        with server.app.db.connection() as conn:
            (channel_id,) = conn.execute("SELECT channel_id FROM channel WHERE code = 'aged'").fetchone()
            store.save_health(conn, channel_id, told, {})
        with psycopg.connect(server.app.db.url) as other:
            other.execute("LOCK TABLE listing, published IN ACCESS EXCLUSIVE MODE")
            rows = standings(server.app.db, lambda: counted.append(1) or {"aged": 3})
        return next(row for row in rows if row["channel"] == "aged")

    found = standing(breaker="closed", numbers=numbers)
    assert (found["status"], found["listings"], found["verified"]) == ("publishing", 9, 5)
    assert found["staleness_p50_s"] == pytest.approx(100, abs=60)
    assert found["staleness_oldest_s"] == pytest.approx(5000, abs=60)
    # Whoever cannot be reached any more shows the same numbers still.
    lost = standing(not_connected="no such address")
    assert (lost["status"], lost["listings"], lost["verified"]) == ("not_connected", 3, 5)
    assert lost["staleness_oldest_s"] >= found["staleness_oldest_s"]
    none = standing(breaker="closed", numbers={"listings": 4, "verified": 0, "p50_at": None, "oldest_at": None})
    assert (none["listings"], none["staleness_p50_s"], none["staleness_oldest_s"]) == (4, None, None)


def test_a_channel_that_calls_us_and_one_that_nobody_publishes_to(server):
    server.client.put("/v1/channels/direct", json={"currency": "EUR"})
    found = server.client.get("/v1/channels/direct/health").json()
    assert (found["status"], found["queue_depth"], found["staleness"]["listings"]) == ("calls_us", 0, 0)
    assert server.client.post("/v1/channels/direct/reconcile").status_code == 409
    assert server.client.get("/v1/channels/nope/health").status_code == 404
    shop = {
        "currency": "EUR", "connector": "woocommerce", "settings": {"url": "https://shop.example"},
        "credentials": {"consumer_key": "ck", "consumer_secret": "cs_very_secret"},
    }  # fmt: skip
    answer = server.client.put("/v1/channels/woo", json=shop)
    assert answer.status_code == 201, answer.text
    assert "very_secret" not in answer.text + server.client.get("/v1/channels/woo").text
    assert server.client.get("/v1/channels/woo/health").json()["status"] == "silent"
    assert server.client.get("/v1/channels/woo/health").json()["orders"] is None
    assert server.client.post("/v1/channels/woo/reconcile").json() == {"channel": "woo", "status": "asked"}


def test_asking_for_reconciliation_asks_for_stock_and_for_orders(server):
    shop = {
        "currency": "EUR", "connector": "woocommerce", "settings": {"url": "https://shop.example"},
        "credentials": {"consumer_key": "ck", "consumer_secret": "cs"},
    }  # fmt: skip
    server.client.put("/v1/channels/both", json=shop)
    with server.app.db.connection() as conn:
        (channel_id,) = conn.execute("SELECT channel_id FROM channel WHERE code = 'both'").fetchone()
        store.save_reconciled(conn, channel_id, {"foreign": 1})
        inbound.take_reading(conn, channel_id, "reconcile", lease_s=0.0)
        inbound.fail_reading(conn, channel_id, "reconcile", error="no answer", seconds=3600.0)
        report = inbound.add_report(
            conn, channel_id, since=datetime.now(UTC), seen=5, lost=1, changed=2, differing=1,
            findings=[{"external_id": "7", "finding": "we had not heard of it", "done": "taken in"}],
        )  # fmt: skip
    found = server.client.get("/v1/channels/both/health").json()["orders"]
    assert found.pop("reconciled_at")
    assert found == {"report_id": report, "seen": 5, "lost": 1, "changed": 2, "differing": 1, "error": "no answer"}
    with server.app.db.connection() as conn:
        assert inbound.take_reading(conn, channel_id, "reconcile", lease_s=0.0) is None, "an hour is not over"
    assert server.client.post("/v1/channels/both/reconcile").status_code == 202
    with server.app.db.connection() as conn:
        assert store.reconciled_at(conn)[channel_id] is None, "stock is due"
        assert inbound.take_reading(conn, channel_id, "reconcile", lease_s=0.0) is not None, "orders are"


def test_what_the_publisher_wrote_down_is_shown_and_measured(server):
    shop = {
        "currency": "EUR", "connector": "woocommerce", "settings": {"url": "https://shop.example"},
        "credentials": {"consumer_key": "ck", "consumer_secret": "cs"},
    }  # fmt: skip
    server.client.put("/v1/channels/wrote", json=shop)
    told = {"queue_depth": 7, "breaker": "open", "failures_in_a_row": 4, "last_error": "no answer",
            "lag_ms": {"p50": 1.0, "p99": 2500.0}}  # fmt: skip
    with server.app.db.connection() as conn:
        (channel_id,) = conn.execute("SELECT channel_id FROM channel WHERE code = 'wrote'").fetchone()
        store.save_health(conn, channel_id, told, {})
        store.save_reconciled(conn, channel_id, {"foreign": 2, "lost": 1})
    found = server.client.get("/v1/channels/wrote/health").json()
    assert (found["status"], found["why"], found["queue_depth"]) == ("failing", "no answer", 7)
    assert found["drift"] == {"foreign": 2, "lost": 1}
    told = server.client.get("/metrics").text
    assert 'onhand_publication_queue_depth{channel="wrote"} 7.0' in told
    assert 'onhand_publication_lag_p99_seconds{channel="wrote"} 2.5' in told
    assert 'onhand_publication_drift_listings{channel="wrote"} 3.0' in told


def test_what_a_computed_gate_hides_is_told_with_its_reason(server):
    for code, gate in (("teller", {}), ("slow", {"mode": "adaptive", "alpha": 0.001})):
        assert server.client.put(f"/v1/channels/{code}", json={"currency": "EUR", "gate": gate}).status_code == 201
    assert server.client.put("/v1/items/GATED", json={"name": "gated"}).status_code == 201
    assert server.client.get("/v1/channels/slow/gates").json() == {"data": []}
    with server.app.db.connection() as conn:
        conn.execute(
            "INSERT INTO listing_gate (item_id, channel_id, units, stock, seller_id, rate_per_h, usual_per_h, lag_s)"
            " SELECT item_id, s.channel_id, 4, 11, t.channel_id, 2.1, 2.0, 840 FROM item, channel s, channel t"
            " WHERE sku = 'GATED' AND s.code = 'slow' AND t.code = 'teller'"
        )
    (told,) = server.client.get("/v1/channels/slow/gates", params={"sku": "GATED"}).json()["data"]
    assert (told["sku"], told["hidden"], told["of"]) == ("GATED", 4, 11)
    assert told["why"] == "hid 4 of 11: teller sells 2.1/h, slow hears us after 14 min, target 0.1 %"
    gate = server.client.get("/v1/channels/slow/health").json()["gate"]
    assert (gate["mode"], gate["target"], gate["latest"]) == ("adaptive", 0.001, [told])
    assert server.client.get("/v1/channels/teller/health").json()["gate"]["latest"] == []
    assert server.client.get("/v1/channels/nope/gates").status_code == 404
