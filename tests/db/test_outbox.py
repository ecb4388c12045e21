"""Events reach every consumer once and in order, whatever order transactions commit in."""

import threading
from contextlib import closing

import psycopg
import pytest
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
        plan = "\n".join(
            row[0] for row in conn.execute("EXPLAIN " + outbox.SQL["read_events"], {"xid": 5, "pos": 1, "limit": 10})
        )
    assert "Index Cond" in plan
    assert "ROW(xid, pos)" in plan
    assert "Sort" not in plan
