"""The figures of the control tower: counted right, from indices, and once for all who ask."""

import weakref
from array import array
from datetime import UTC, datetime, timedelta

import httpx2
import psycopg
import pytest

from onhand.api import metrics
from onhand.api.context import SEARCHES_KEPT
from onhand.api.looks import KEPT_MAX, Looks
from onhand.orders import watching
from onhand.orders.store import SQL

from ..shop import open_shop  # noqa: TID252


@pytest.fixture
def shop(server):
    return open_shop(server.client)


def test_queues_say_how_many_wait_since_when_and_how_many_are_past_due(server, shop):
    server.client.post(f"/v1/orders/{shop.orders['more-30']}/hold", json={"reason": "wait"}).raise_for_status()
    with server.app.db.connection() as conn:
        conn.execute(
            "UPDATE orders SET deliver_by = now() - interval '1 h' WHERE order_id = %s", (shop.orders["more-30"],)
        )
        conn.execute(
            "UPDATE orders SET placed_at = now() - interval '3 d', deliver_by = NULL WHERE order_id = %s",
            (shop.orders["never"],),
        )
        conn.execute(
            "UPDATE fulfilment SET ship_by = now() - interval '2 h' WHERE order_id = %s", (shop.orders["shelf"],)
        )
        open_, late = conn.execute(
            "SELECT count(*), count(*) FILTER (WHERE ship_by < now()) FROM fulfilment"
            " WHERE status IN ('allocated', 'accepted', 'packed', 'partly_shipped')"
        ).fetchone()
        counts = dict(conn.execute("SELECT queue, count(*) FROM orders WHERE queue IS NOT NULL GROUP BY 1").fetchall())
    found = server.client.get("/v1/orders/queues?within_s=172800").json()
    rows = {row["queue"]: row for row in found["queues"]}
    assert {name: row["orders"] for name, row in rows.items() if row["orders"]} == counts
    assert (rows["held"]["past_due"], rows["held"]["promise_broken"]) == (1, 1)
    assert (rows["unfillable"]["past_due"], rows["unfillable"]["promise_broken"]) == (1, 0)
    assert datetime.now(UTC) - datetime.fromisoformat(rows["unfillable"]["oldest_at"]) > timedelta(days=2)
    assert (found["to_ship"]["fulfilments"], found["to_ship"]["past_due"]) == (open_, late)
    assert late >= 1
    assert rows["rejected"] == {
        "queue": "rejected", "orders": 0, "oldest_at": None, "past_due": 0, "promise_broken": 0, "next_due_at": None,
    }  # fmt: skip
    # Nobody is late who has longer to wait.
    patient = {row["queue"]: row for row in server.client.get("/v1/orders/queues?within_s=1000000").json()["queues"]}
    assert patient["unfillable"]["past_due"] == 0


def test_queues_and_work_are_counted_from_an_index_alone(server, shop):
    """What an order holds is never read: of 100,000 that wait it would be a hundred megabytes."""
    with psycopg.connect(server.app.db.url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE orders, fulfilment")
        conn.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        times = {"now": datetime.now(UTC), "waited": datetime.now(UTC)}
        edges = {"lows": [watching.id_at(datetime.now(UTC))], "highs": [watching.id_at(datetime.now(UTC))]}
        for name, index, values in (
            ("queue_depths", "orders_queue_due", times), ("work_in_hand", "fulfilment_work", times),
            ("orders_between", "orders_pkey", edges),
        ):  # fmt: skip
            plan = "\n".join(line for (line,) in conn.execute("EXPLAIN " + SQL[name], values))
            assert f"Index Only Scan using {index}" in plan, plan


def test_flows_count_what_came_and_where_it_goes(server, shop):
    placed = shop.order(
        "abroad", ("MUG-BLUE", 3), destination={"country": "FR", "region": "ARA", "postal_code": "69001"}
    )
    found = server.client.get("/v1/flows").json()
    with server.app.db.connection() as conn:
        (orders,) = conn.execute("SELECT count(*) FROM orders").fetchone()
        ways = conn.execute("SELECT count(DISTINCT order_id) FROM fulfilment WHERE status <> 'cancelled'").fetchone()[0]
    assert found["orders"]["last_hour"] == sum(found["orders"]["by_minute"]) == orders
    assert found["orders"]["last_minute"] == found["orders"]["by_minute"][-1]
    (node,) = {f["node"] for f in placed["fulfilments"]}
    (way,) = [w for w in found["flows"] if w["country"] == "FR"]
    assert (way["node"], way["region"], way["orders"], way["units"]) == (node, "ARA", 1, 3)
    assert 40 < way["latitude"] < 52  # located, although the order had no coordinates
    german = [w for w in found["flows"] if w["country"] == "DE"]
    assert sum(w["orders"] for w in german) >= ways - 1  # an order of two nodes goes two ways
    assert 52 < german[0]["latitude"] < 53


class Counted:
    """A connection that remembers how many spans of time were counted."""

    def __init__(self, conn):
        self.conn, self.spans = conn, []

    def execute(self, statement, values):
        self.spans.append(len(values["lows"]))
        return self.conn.execute(statement, values)


def test_orders_of_the_last_hour_are_counted_once(server, shop):
    coming, now = watching.Coming(), datetime.now(UTC) + timedelta(seconds=30)
    with server.app.db.connection() as conn:
        counted = Counted(conn)
        first = coming.by_minute(counted, now=now)
        # This one has an id of a time that was counted, and commits later.
        shop.order("late", ("PLATE", 1))
        later = [now + timedelta(seconds=s) for s in (2, 4, 59, 64, 600, 1800, 3000, 10_000, 9_000)]
        for moment in later:
            assert coming.by_minute(counted, now=moment) == watching.Coming().by_minute(conn, now=moment), moment
        (orders,) = conn.execute("SELECT count(*) FROM orders").fetchone()
    assert (len(first), sum(first)) == (60, orders - 1)
    # An hour at first, then the last minute and what has passed since.
    assert counted.spans == [3600, 63, 63, 116, 66, 597, 1261, 1261, 3600, 3600]
    assert len(coming._counted) == 3600


def test_of_many_orders_only_the_newest_are_looked_at_for_ways(server, shop):
    with server.app.db.connection() as conn:
        rows, since = watching.ways(conn, since=datetime.now(UTC) - timedelta(hours=1), orders_max=3)
        newest = conn.execute("SELECT order_id::text, created_at FROM orders ORDER BY order_id DESC LIMIT 3").fetchall()
    assert sum(row["orders"] for row in rows) == 3
    assert abs(since - newest[-1][1]) < timedelta(seconds=2)
    assert watching.time_of(newest[-1][0]) == since


def test_service_levels_tell_promises_and_every_channel(server, shop):
    for _ in range(3):
        body = {"channel": "web", "destination": {"country": "DE", "postal_code": "10115"},
                "lines": [{"sku": "PLATE", "quantity": 1}]}  # fmt: skip
        server.client.post("/v1/promises", json=body).raise_for_status()
    found = server.client.get("/v1/service-levels").json()
    assert found["promises"]["asked"] >= 3
    assert 0 < found["promises"]["p50_ms"] <= found["promises"]["p99_ms"]
    assert {row["channel"]: row["status"] for row in found["channels"]} == {"web": "calls_us", "market": "calls_us"}
    assert {row["channel"]: row["listings"] for row in found["channels"]} == {"web": 1, "market": 0}


def test_ways_of_another_time_do_not_count_orders_anew(server, shop):
    server.client.get("/v1/flows?minutes=60").raise_for_status()
    at, counted = server.edge.looks._clock(), []
    server.edge.looks._clock = lambda: at
    server.edge.coming.by_minute = lambda conn, now: counted.append(now) or [0] * 60
    for minutes in (1, 2, 3, 1440):
        server.client.get(f"/v1/flows?minutes={minutes}").raise_for_status()
    assert len(counted) <= 1


def test_a_reader_may_look_and_nobody_else(server, shop):
    key = server.client.post("/v1/keys", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    other = server.client.post("/v1/keys", json={"name": "writer", "scopes": ["stock:write"]}).json()["key"]
    for path in ("/v1/orders/queues", "/v1/flows", "/v1/service-levels", "/v1/stock/grid"):
        with server.as_key(key) as reader, server.as_key(other) as writer:
            assert (reader.get(path).status_code, writer.get(path).status_code) == (200, 403)


def test_one_look_for_all_who_ask_meanwhile():
    clock = [0.0]
    looks, seen = Looks(lambda: clock[0]), []

    def look():
        seen.append(clock[0])
        return len(seen)

    assert [looks.get("a", 2.0, look), looks.get("a", 2.0, look)] == [1, 1]
    clock[0] = 1.9
    assert looks.get("a", 2.0, look) == 1
    clock[0] = 2.0
    assert looks.get("a", 2.0, look) == 2
    with pytest.raises(httpx2.HTTPError):
        looks.get("b", 2.0, lambda: (_ for _ in ()).throw(httpx2.HTTPError("away")))
    assert looks.get("b", 2.0, look) == 3  # a failure is not kept
    for n in range(KEPT_MAX):
        looks.get(n, 2.0, look)
    assert looks.get("a", 2.0, look) == 3 + KEPT_MAX + 1  # what was asked long ago is not kept either


def test_what_is_too_old_for_anybody_is_not_kept():
    clock = [0.0]
    looks = Looks(lambda: clock[0])
    brief, long = (weakref.ref(looks.get(name, seconds, set)) for name, seconds in (("brief", 2.0), ("long", 60.0)))
    assert brief() is not None and long() is not None
    clock[0] = 2.0
    looks.get("other", 1.0, set)
    assert brief() is None and long() is not None


def test_of_searches_in_the_grid_the_last_few_are_kept_as_numbers(server, shop):
    kept = server.edge.searches
    for q in ("m", "mu", "mug", "mug-", "p", "pl", "pla"):
        assert server.client.get(f"/v1/stock/grid?q={q}").json()["items"] >= 1
        assert len(kept._seen) <= SEARCHES_KEPT
    assert [type(seen.value) for seen in kept._seen.values()] == [array] * len(kept._seen)
    assert {seen.value.itemsize for seen in kept._seen.values()} == {4}
    assert not [key for key in server.edge.looks._seen if "grid items" in str(key)]


def test_quantiles_lie_evenly_within_their_bucket_and_are_of_lately():
    counts = [(0.001, 0.0), (0.01, 80.0), (0.1, 100.0), (float("inf"), 100.0)]
    assert metrics.quantile(counts, 0.4) == pytest.approx(0.001 + 0.009 / 2)
    assert metrics.quantile(counts, 0.9) == pytest.approx(0.01 + 0.09 / 2)
    assert metrics.quantile([(0.1, 0.0), (float("inf"), 5.0)], 0.5) == 0.1
    assert metrics.quantile([], 0.5) is None
    now = [counts]
    lately = metrics.Lately(lambda: now[0], window_s=60)
    assert lately.look(0.0) == (counts, None)
    assert lately.look(10.0) == (counts, None)  # nothing was added
    now[0] = [(bound, count + 7 * (bound > 0.01)) for bound, count in counts]
    added, over_s = lately.look(70.0)
    assert (added, over_s) == ([(0.001, 0.0), (0.01, 0.0), (0.1, 7.0), (float("inf"), 7.0)], 60.0)
