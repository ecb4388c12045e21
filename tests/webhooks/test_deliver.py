"""Every event an endpoint wants reaches it, signed and in order, whatever the others do."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook
from tests.batches import begin_orders, told
from tests.events import settle

from onhand.base.actor import SYSTEM
from onhand.db.outbox import Cursor
from onhand.flows.webhooks import replay_webhook
from onhand.webhooks import deliver, store


def subjects(posts):
    return [json.loads(body)["data"]["subject"] for _, _, body in posts]


def test_a_message_is_signed_and_says_what_happened(hooks, receiver, deliverer):
    made = hooks.register(receiver.url + "/hook?shop=1")
    hooks.happen("o1")
    ((path, headers, body),) = receiver.wait(1)
    assert path == "/hook?shop=1"
    message = Webhook(made.secret).verify(body, headers)  # raises if the signature or its age is wrong
    assert message["type"] == "order.sourced"
    assert message["data"] == {"subject": "o1", "status": "sourced"}
    assert abs(datetime.now(UTC) - datetime.fromisoformat(message["timestamp"])) < timedelta(minutes=1)
    hooks.until("SELECT status, attempts FROM webhook_delivery", ("delivered", 1))


def test_messages_come_in_order_each_once_and_only_those_wanted(hooks, receiver, deliverer):
    hooks.happen("before")
    hooks.register(receiver.url, kinds=["order.sourced", "item.*"])
    for n in range(60):
        hooks.happen(f"a{n}")
        hooks.happen(f"x{n}", kind="order.held")
    hooks.happen("i", kind="item.changed")
    posts = receiver.wait(61)
    assert subjects(posts) == [f"a{n}" for n in range(60)] + ["i"]
    assert len({headers["webhook-id"] for _, headers, _ in posts}) == 61


def test_an_event_that_commits_late_is_not_skipped(hooks):
    hooks.register("http://127.0.0.1:8000/")

    def fan_out():
        return hooks.db.transact(lambda conn: store.fan_out(conn, 100))

    with hooks.db.connect() as late:
        late.execute("BEGIN")
        late.execute("INSERT INTO event (kind, subject, actor, origin, data) VALUES ('order.held', 'late', 0, 0, '{}')")
        hooks.happen("early")  # has the higher xid, and commits first
        while fan_out():
            pass
        late.execute("COMMIT")
    deadline = time.monotonic() + 30
    while (found := hooks.rows("SELECT count(*) FROM webhook_delivery")) != [(2,)]:
        assert time.monotonic() < deadline, found
        fan_out()


def begin(hooks, *names):
    """Orders that begin together; their ids."""
    ids = hooks.db.transact(lambda conn: begin_orders(conn, names))
    hooks.db.notify()
    return ids


def test_each_order_of_a_batch_is_a_message_of_its_own(hooks, receiver, deliverer, monkeypatch):
    monkeypatch.setattr(deliver, "_EVENTS_PER_TURN", 2)  # within a batch
    made = hooks.register(receiver.url)
    hooks.happen("a")
    names = ["x", "y", "z", "ä", "q"]
    ids = begin(hooks, *names)
    hooks.happen("b")
    posts = receiver.wait(7)
    assert subjects(posts) == ["a", *ids, "b"]
    assert len({headers["webhook-id"] for _, headers, _ in posts}) == 7
    for (_, headers, body), order_id, name in zip(posts[1:], ids, names, strict=False):
        assert Webhook(made.secret).verify(body, headers)["data"] == {"subject": order_id, **told(order_id, name)}
    hooks.until("SELECT count(*)::int FROM webhook_delivery WHERE status = 'delivered'", (7,))
    with hooks.db.connection() as conn:
        listed = store.list_deliveries(conn, made.webhook_id, status="delivered", after=0, limit=4)
        rest = store.list_deliveries(conn, made.webhook_id, status=None, after=listed[-1].delivery_id, limit=4)
    assert [(d.subject, d.data.get("external_id")) for d in listed + rest] == [
        ("a", None), *zip(ids, names, strict=True), ("b", None),
    ]  # fmt: skip


def test_a_replay_from_the_middle_of_a_batch_sends_that_event_and_what_follows(hooks, receiver, deliverer):
    made = hooks.register(receiver.url)
    first = begin(hooks, "a", "b", "c", "d")
    second = begin(hooks, "e", "f")
    receiver.wait(6)
    hooks.until("SELECT count(*)::int FROM webhook_delivery WHERE status = 'delivered'", (6,))
    (xid, pos) = hooks.rows(
        "SELECT event_xid::text::bigint, event_pos FROM webhook_delivery ORDER BY delivery_id OFFSET 2 LIMIT 1"
    )[0]
    assert replay_webhook(hooks.db, made.webhook_id, since=Cursor(xid, pos), by=SYSTEM) == {"queued": 4}
    posts = receiver.wait(10)
    assert subjects(posts) == first + second + first[2:] + second
    assert [headers["webhook-id"] for _, headers, _ in posts[6:]] == [h["webhook-id"] for _, h, _ in posts[2:6]]


def test_a_replay_ends_where_the_events_were_read_to(hooks):
    """What comes after is delivered in its turn, and not twice."""
    made = hooks.register("http://127.0.0.1:8000/")
    ids = begin(hooks, "a", "b", "c", "d")
    with hooks.db.connection() as conn:
        settle(conn)
    assert hooks.db.transact(lambda conn: store.fan_out(conn, 3)) == 3
    assert replay_webhook(hooks.db, made.webhook_id, since=Cursor(0, 0), by=SYSTEM) == {"queued": 2}
    with hooks.db.connection() as conn:
        listed = store.list_deliveries(conn, made.webhook_id, status=None, after=0, limit=10)
    assert [d.subject for d in listed] == ids[:2]  # the first event was the making of the webhook
    assert hooks.db.transact(lambda conn: store.fan_out(conn, 3)) > 0
    with hooks.db.connection() as conn:
        listed = store.list_deliveries(conn, made.webhook_id, status=None, after=0, limit=10)
    assert sorted(d.subject for d in listed) == sorted(ids)


def test_a_failure_is_tried_again_with_the_same_id(hooks, receiver, deliverer):
    receiver.answer = lambda path, body: 500 if len(receiver.posts) < 2 else 200
    hooks.register(receiver.url)
    hooks.happen("o1")
    receiver.wait(1)
    hooks.until("SELECT attempts, last_error FROM webhook_delivery", (1, "the answer was HTTP 500"))
    for tries in (1, 2):
        hooks.until("SELECT attempts FROM webhook_delivery", (tries,))
        with hooks.db.connection() as conn:  # no need to wait for its turn
            conn.execute("UPDATE webhook_delivery SET due_at = now()")
        hooks.db.notify()
    posts = receiver.wait(3)
    assert len({headers["webhook-id"] for _, headers, _ in posts}) == 1
    hooks.until("SELECT status, attempts FROM webhook_delivery", ("delivered", 3))
    assert hooks.rows("SELECT failing_since FROM webhook") == [(None,)]


def test_one_bad_message_does_not_hold_up_the_next(hooks, receiver, deliverer):
    receiver.answer = lambda path, body: 400 if b'"poison"' in body else 200
    hooks.register(receiver.url)
    hooks.happen("poison", "b", "c")
    assert subjects(receiver.wait(3))[1:3] == ["b", "c"]


def test_a_slow_endpoint_holds_up_nobody(hooks, receiver, deliverer):
    release = threading.Event()
    receiver.answer = lambda path, body: release.wait(30) and 200 if path == "/slow" else 200
    hooks.register(receiver.url + "/slow")
    hooks.register(receiver.url + "/fast")
    try:
        hooks.happen(*(str(n) for n in range(40)))
        assert len(receiver.wait(40, "/fast", timeout_s=10)) == 40
        assert [p for p in receiver.posts if p[0] == "/slow"] == []
    finally:
        release.set()


def test_an_endpoint_that_never_answers_is_cut_off(hooks, receiver, monkeypatch):
    monkeypatch.setattr("onhand.wire.caller.TIMEOUT_S", 0.2)
    release = threading.Event()
    receiver.answer = lambda path, body: release.wait(30) and 200
    hooks.register(receiver.url)
    try:
        with hooks.delivering():
            hooks.happen("o1")
            hooks.until("SELECT last_error FROM webhook_delivery", ("no answer within 0.2 s",))
    finally:
        release.set()


def test_redirects_are_not_followed(hooks, receiver, deliverer):
    receiver.answer = lambda path, body: 307
    receiver.location = receiver.url + "/elsewhere"
    hooks.register(receiver.url + "/hook")
    hooks.happen("o1")
    hooks.until("SELECT last_error FROM webhook_delivery", ("the answer was HTTP 307",))
    assert [p[0] for p in receiver.posts] == ["/hook"]


def test_after_three_days_a_message_is_dead_and_can_be_replayed(hooks, receiver, deliverer):
    receiver.answer = lambda path, body: 503
    made = hooks.register(receiver.url)
    hooks.happen("o1")
    hooks.until("SELECT attempts FROM webhook_delivery", (1,))
    with hooks.db.connection() as conn:
        conn.execute("UPDATE webhook_delivery SET created_at = now() - interval '3 days', due_at = now()")
    hooks.db.notify()
    hooks.until("SELECT status, attempts FROM webhook_delivery", ("dead", 2))
    receiver.answer = lambda path, body: 200
    assert replay_webhook(hooks.db, made.webhook_id, since=None, by=SYSTEM) == {"queued": 1}
    hooks.until("SELECT status FROM webhook_delivery", ("delivered",))


def test_three_days_of_failure_disable_the_webhook(hooks, receiver, deliverer):
    receiver.answer = lambda path, body: 500
    made = hooks.register(receiver.url)
    with hooks.db.connection() as conn:
        conn.execute("UPDATE webhook SET failing_since = now() - interval '3 days'")
    hooks.happen("o1", "o2")
    hooks.until("SELECT active, disabled_at IS NOT NULL FROM webhook", (False, True))
    assert hooks.rows("SELECT status FROM webhook_delivery") == [("dead",), ("dead",)]
    told = hooks.rows("SELECT data->>'status' FROM event WHERE subject = %s", made.webhook_id)
    assert told == [("created",), ("disabled",)]
    hooks.happen("o3")
    hooks.until("SELECT (SELECT max(xid) FROM event) = xid FROM consumer_cursor", (True,))
    assert hooks.rows("SELECT count(*) FROM webhook_delivery") == [(2,)]


def test_after_an_outage_what_waits_is_sent_at_once(hooks, receiver, deliverer):
    receiver.answer = lambda path, body: 500
    hooks.register(receiver.url)
    hooks.happen("o1")
    hooks.until("SELECT attempts FROM webhook_delivery", (1,))
    with hooks.db.connection() as conn:
        conn.execute("UPDATE webhook_delivery SET due_at = now() + interval '5 hours'")
        conn.execute("UPDATE webhook SET failing_since = now() - interval '6 hours'")
    receiver.answer = lambda path, body: 200
    hooks.happen("o2")
    hooks.until("SELECT count(*) FROM webhook_delivery WHERE status = 'delivered'", (2,))


def test_one_of_two_processes_delivers_and_the_other_takes_over(hooks, receiver, monkeypatch):
    monkeypatch.setattr(deliver, "_STAND_BY_S", 0.05)
    hooks.register(receiver.url)
    with hooks.delivering():
        hooks.happen("o1")
        receiver.wait(1)
        with hooks.delivering():
            hooks.happen(*(f"both{n}" for n in range(30)))
            assert len(receiver.wait(31)) == 31
            hooks.until("SELECT status, count(*)::int FROM webhook_delivery GROUP BY status", ("delivered", 31))
            assert len(receiver.posts) == 31
            # End the leader's connection as a crash would.
            killed = hooks.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                " AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
            )
            assert killed == [(True,)]
            hooks.happen("o2")
            hooks.until("SELECT count(*)::int FROM webhook_delivery WHERE status = 'delivered'", (32,))
    assert subjects(receiver.posts)[-1] == "o2"


def test_a_restarted_process_sends_what_was_left(hooks, receiver):
    hooks.register(receiver.url)
    with hooks.delivering():
        hooks.happen("o1")
        receiver.wait(1)
    hooks.happen("o2")
    with hooks.delivering():
        assert subjects(receiver.wait(2)) == ["o1", "o2"]


def test_a_private_address_is_not_called_at_delivery_either(hooks, receiver):
    """It was saved while that was allowed, or its name has moved since."""
    hooks.register(receiver.url)
    with hooks.delivering(allow_private_urls=False):
        hooks.happen("o1")
        hooks.until("SELECT last_error FROM webhook_delivery", ("the address is not a public one",))
    assert receiver.posts == []
