"""Events reach every consumer once and in order, whatever order transactions commit in."""

import re
import threading
from contextlib import closing

import psycopg
import pytest
from tests.batches import begin_orders, told
from tests.events import settled

from onhand.base.actor import SYSTEM, Actor
from onhand.db import outbox
from onhand.db.outbox import START, Cursor


def write(conn, subject, kind="test.done"):
    outbox.write_event(conn, kind, subject, {"n": 1}, actor=SYSTEM, origin=7)


def subjects(events):
    return [e.subject for e in events]


def test_an_event_comes_back_as_written(db):
    actor = Actor(key_id=3, reason="broken box")
    data = {"items": [1, 2], "note": "50 % é"}
    db.transact(lambda c: outbox.write_event(c, "order.sourced", "o1", data, actor=actor, origin=42))
    with db.connection() as conn:
        (event,) = settled(conn)
    assert (event.kind, event.subject, event.data) == ("order.sourced", "o1", data)
    assert (event.actor, event.reason, event.origin) == (3, "broken box", 42)
    assert event.at.tzinfo is not None
    assert event.cursor > START


def test_many_events_keep_their_order_and_pages_do_not_overlap(db):
    names = [f"s{n}" for n in range(25)]
    db.transact(lambda c: outbox.write_events(c, [("a.b", n, {}) for n in names], actor=SYSTEM, origin=db.origin))
    seen, cursor = [], START
    with db.connection() as conn:
        while page := settled(conn, cursor, limit=10):
            seen += subjects(page)
            cursor = page[-1].cursor
    assert seen == names


@pytest.fixture
def batches(db):
    """[(subject, data)] of a history with batches of several sizes among other events, in order."""
    history = []

    def work(conn, number):
        for at, size in enumerate((1, 5, 3)):
            names = [f"{number}-{at}-{n}" for n in range(size)]
            ids = begin_orders(conn, names, actor=7, reason="why")
            history.extend((order_id, told(order_id, name)) for order_id, name in zip(ids, names, strict=True))
            if at != number:
                write(conn, f"after {number}-{at}")
                history.append((f"after {number}-{at}", {"n": 1}))

    for number in range(3):
        db.transact(lambda conn, number=number: work(conn, number))
    return history


def test_each_order_of_a_batch_is_an_event_of_its_own(db, batches):
    with db.connection() as conn:
        found = settled(conn)
        assert conn.execute("SELECT count(*) FROM event").fetchone() == (15,)
    assert [(e.subject, e.data) for e in found] == batches
    assert len(found) == 33
    places = [e.cursor for e in found]
    assert places == sorted(set(places))
    orders = [e for e in found if "order_id" in e.data]
    assert {(e.kind, e.actor, e.reason, e.origin) for e in orders} == {("order.sourced", 7, "why", 1)}


def test_a_reader_may_stop_and_go_on_at_any_event_of_a_batch(db, batches):
    names = [subject for subject, _ in batches]
    with db.connection() as conn:
        whole = settled(conn)
        for n, event in enumerate(whole, 1):
            assert subjects(outbox.read(conn, event.cursor)) == names[n:]
        for limit in (1, 2, 3, 4, 7):
            seen, cursor = [], START
            while page := outbox.read(conn, cursor, limit):
                assert len(page) == min(limit, len(names) - len(seen))
                seen += subjects(page)
                cursor = page[-1].cursor
            assert seen == names
        assert outbox.head(conn) == whole[-1].cursor


def test_a_batch_that_commits_late_is_not_skipped(db):
    """As with single events; the reader stands inside the batch of B when that of A appears."""
    with closing(db.connect()) as a, closing(db.connect()) as b, closing(db.connect()) as reader:
        db.transact(lambda conn: begin_orders(conn, ["first"]))
        begin = settled(reader)[-1].cursor
        b.execute("BEGIN")
        b.execute("SELECT pg_current_xact_id()")
        a.execute("BEGIN")
        of_a = begin_orders(a, ["a1", "a2", "a3"])
        of_b = begin_orders(b, ["b1", "b2", "b3"])
        b.execute("COMMIT")
        while not (seen := outbox.read(reader, begin, limit=2)):
            pass
        a.execute("COMMIT")
        while page := settled(reader, seen[-1].cursor, limit=2):
            seen += page
    assert subjects(seen) == of_b + of_a


def test_the_largest_batch_fits_between_its_neighbours_and_a_larger_one_is_refused(db):
    names = [str(n) for n in range(8192)]

    def work(conn):
        write(conn, "before")
        ids = begin_orders(conn, names)
        write(conn, "after")
        return ids

    ids = db.transact(work)
    with db.connection() as conn:
        found = settled(conn, limit=10_000)
        assert subjects(found) == ["before", *ids, "after"]
        assert [e.pos for e in found[:2]] == [8192, 8193]
        assert len({e.pos for e in found}) == len(found)
        assert subjects(outbox.read(conn, found[8191].cursor)) == [ids[-1], "after"]
        with pytest.raises(psycopg.errors.CheckViolation), conn.transaction():
            begin_orders(conn, [f"too many {n}" for n in range(8193)])


def test_a_place_leads_to_its_row_wherever_it_is(db):
    places = {1: 8192, 8191: 8192, 8192: 8192, 8193: 16384, 0: 0, 2**63 - 1: 2**63 - 8192}
    with db.connection() as conn:
        assert {p: conn.execute("SELECT event_row_v1(%s)", (p,)).fetchone()[0] for p in places} == places


def drain_naively(conn, after_pos):
    """What a consumer with a cursor on `pos` alone does."""
    return conn.execute("SELECT pos, subject FROM event WHERE pos > %s ORDER BY pos", (after_pos,)).fetchall()


def drain_with_horizon_but_pos_only(conn, after_pos):
    return conn.execute(
        "SELECT pos, subject FROM event WHERE pos > %s AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY pos",
        (after_pos,),
    ).fetchall()


def test_a_late_committer_is_not_skipped(db):
    """B takes its transaction id first, A its position first; B commits, poll, A commits, poll."""
    with closing(db.connect()) as a, closing(db.connect()) as b, closing(db.connect()) as reader:
        b.execute("BEGIN")
        b.execute("SELECT pg_current_xact_id()")
        a.execute("BEGIN")
        write(a, "A")
        write(b, "B")
        b.execute("COMMIT")

        while not (pair := outbox.read(reader, START)):
            pass
        naive = drain_naively(reader, 0)
        filtered = drain_with_horizon_but_pos_only(reader, 0)
        a.execute("COMMIT")

        pair += settled(reader, pair[-1].cursor)
        naive += drain_naively(reader, naive[-1][0])
        filtered += drain_with_horizon_but_pos_only(reader, filtered[-1][0])

    assert subjects(pair) == ["B", "A"]
    # The two tempting ways lose A for ever: this is why the cursor is a pair.
    assert [s for _, s in naive] == ["B"]
    assert [s for _, s in filtered] == ["B"]


def test_events_above_the_horizon_wait_and_are_known_to_wait(db):
    with closing(db.connect()) as old, db.connection() as reader:
        old.execute("BEGIN")
        old.execute("SELECT pg_current_xact_id()")
        db.transact(lambda c: write(c, "young"))
        assert outbox.read(reader, START) == []
        assert outbox.has_hidden(reader, START)
        assert outbox.head(reader) == START
        assert outbox.horizon_age_s(reader) > 0
        old.execute("ROLLBACK")
        assert subjects(settled(reader)) == ["young"]


def test_from_the_head_only_news_come(db):
    db.transact(lambda c: write(c, "before"))
    with db.connection() as conn:
        assert subjects(settled(conn)) == ["before"]
        cursor = outbox.head(conn)
        db.transact(lambda c: write(c, "after"))
        assert subjects(settled(conn, cursor)) == ["after"]


def test_a_cursor_only_moves_forward(db):
    with db.connection() as conn:
        assert outbox.get_cursor(conn, "webhooks") is None
        for place in (Cursor(5, 9), Cursor(4, 99), Cursor(5, 8)):
            outbox.advance_cursor(conn, "webhooks", place)
        assert outbox.get_cursor(conn, "webhooks") == Cursor(5, 9)
        outbox.advance_cursor(conn, "webhooks", Cursor(6, 1))
        assert outbox.get_cursor(conn, "webhooks") == Cursor(6, 1)


@pytest.mark.parametrize("text", ["", "1", "1-", "a-b", "-1-2", "1-2-3", "1-99999999999999999999"])
def test_a_bad_cursor_is_refused(text):
    with pytest.raises(ValueError, match="expected a cursor"):
        Cursor.parse(text)


def test_a_cursor_survives_text():
    assert Cursor.parse(str(Cursor(812, 40))) == Cursor(812, 40)


def test_the_epoch_is_renewed_on_request_only(db):
    with db.connection() as conn:
        first = outbox.epoch(conn)
        assert outbox.epoch(conn) == first
        second = outbox.renew_epoch(conn)
        assert second != first
        assert outbox.epoch(conn) == second


def test_notify_wakes_listeners_of_other_connections(db):
    woken = threading.Event()
    with outbox.Listener(db) as listener:
        heard = listener.wait(0, 10)  # connected
        assert heard == 1
        listener.subscribe(woken.set)
        db.notify()
        assert listener.wait(heard, 10) > heard
        assert woken.wait(10)


def test_a_listener_gives_up_waiting_after_the_time_out_and_at_close(db):
    listener = outbox.Listener(db)
    heard = listener.wait(0, 10)
    assert listener.wait(heard, 0.01) == heard
    released = threading.Thread(target=listener.wait, args=(heard, 60))
    released.start()
    listener.close()
    released.join(timeout=5)
    assert not released.is_alive()


def test_a_listener_connects_again_and_wakes_all(db):
    with outbox.Listener(db) as listener:
        heard = listener.wait(0, 10)
        with db.connection() as conn:
            killed = conn.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            ).fetchone()
        assert killed == (1,)
        assert listener.wait(heard, 10) > heard
        heard = listener.heard
        db.notify()
        assert listener.wait(heard, 10) > heard


def test_tail_delivers_everything_once_under_concurrent_writers(db):
    """Four writers whose transactions overlap; the tail sees each event once, each writer's in order."""
    per_writer, writers = 60, 4
    stop = threading.Event()

    def keep_writing(name):
        with closing(db.connect()) as conn:
            for n in range(per_writer):
                conn.execute("BEGIN")
                conn.execute("SELECT pg_current_xact_id()")
                if n % 3 == 0:
                    db.notify()  # also at a useless moment
                write(conn, f"{name}:{n}")
                conn.execute("ROLLBACK" if n % 10 == 9 else "COMMIT")
                db.notify()

    threads = [threading.Thread(target=keep_writing, args=(w,)) for w in range(writers)]
    expected = {f"{w}:{n}" for w in range(writers) for n in range(per_writer) if n % 10 != 9}
    seen = []
    with outbox.Listener(db) as listener:
        for t in threads:
            t.start()
        for batch in outbox.tail(db, listener, START, stop=stop, limit=17):
            seen += subjects(batch)
            if len(seen) >= len(expected):
                stop.set()
    for t in threads:
        t.join()
    assert len(seen) == len(set(seen))
    assert set(seen) == expected
    for w in range(writers):
        own = [int(s.split(":")[1]) for s in seen if s.startswith(f"{w}:")]
        assert own == sorted(own)


def test_an_event_of_a_transaction_that_rolls_back_never_was(db):
    def work(conn):
        write(conn, "ghost")
        raise LookupError

    with pytest.raises(LookupError):
        db.transact(work)
    with db.connection() as conn:
        assert outbox.read(conn, START) == []
        assert not outbox.has_hidden(conn, START)


def test_the_reader_uses_the_key_and_not_a_scan(dsn):
    with psycopg.connect(dsn) as conn:
        conn.execute("SET enable_seqscan = off")
        explained = conn.execute(
            "EXPLAIN (VERBOSE) " + outbox.SQL["read_events"], {"xid": 5, "pos": 1, "limit": 10}
        ).fetchall()
    plan = "\n".join(row[0] for row in explained)
    assert "Index Cond: ((ROW(e.xid, e.pos) >" in plan
    # Only within a row: what the key has in order already is not read to its end.
    assert "Presorted Key: e.xid, e.pos" in plan
    assert not re.search(r"(?<!Incremental )Sort  \(", plan)
    assert "unfold" not in plan, "inlined"
    assert "e.*" not in plan, "a whole row carries its array through the sort"
