"""A key names one request: its effect happens once, and every repetition gets the first answer."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from onhand.db import idempotency
from onhand.db.idempotency import Replay
from onhand.errors import IdempotencyInFlight, IdempotencyKeyReused

ROUTE = "/v1/reservations"
FIRST = Replay(status=201, answer='{"reservation_id": 1}')


def request(conn, key="k", body=b"body", actor=1, route=ROUTE):
    """One keyed request: its effect is an event, its answer is FIRST."""
    if replay := idempotency.begin(conn, actor, route, key, body):
        return replay
    conn.execute("INSERT INTO event (kind, subject, actor, origin, data) VALUES ('t', 's', 1, 1, '{}')")
    idempotency.finish(conn, actor, route, key, FIRST.status, FIRST.answer)
    return None


def effects(db):
    with db.connection() as conn:
        return conn.execute("SELECT count(*) FROM event").fetchone()[0]


def test_a_repetition_gets_the_first_answer_and_has_no_effect(db):
    assert db.transact(request) is None
    assert db.transact(request) == FIRST
    with db.connection() as conn:
        assert idempotency.find(conn, 1, ROUTE, "k", b"body") == FIRST
    assert effects(db) == 1


def test_another_body_is_refused(db):
    db.transact(request)
    with pytest.raises(IdempotencyKeyReused):
        db.transact(lambda conn: request(conn, body=b"other"))
    assert effects(db) == 1


@pytest.mark.parametrize("other", [{"key": "l"}, {"actor": 2}, {"route": "/v1/returns"}])
def test_a_key_belongs_to_its_caller_and_route(db, other):
    db.transact(request)
    assert db.transact(lambda conn: request(conn, **other)) is None
    assert effects(db) == 2


def test_a_failed_request_leaves_the_key_free(db):
    def failing(conn):
        request(conn)
        raise LookupError

    with pytest.raises(LookupError):
        db.transact(failing)
    with db.connection() as conn:
        assert idempotency.find(conn, 1, ROUTE, "k", b"body") is None
    assert db.transact(request) is None


def test_a_second_request_waits_for_the_first_and_gets_its_answer(db):
    with closing(db.connect()) as first, ThreadPoolExecutor(1) as pool:
        first.execute("BEGIN")
        assert request(first) is None
        second = pool.submit(db.transact, request)
        _wait_for_a_blocked_session(first)
        assert not second.done()
        first.execute("COMMIT")
        assert second.result(10) == FIRST
    assert effects(db) == 1


def test_a_second_request_takes_over_when_the_first_fails(db):
    with closing(db.connect()) as first, ThreadPoolExecutor(1) as pool:
        first.execute("BEGIN")
        assert request(first) is None
        second = pool.submit(db.transact, request)
        _wait_for_a_blocked_session(first)
        first.execute("ROLLBACK")
        assert second.result(10) is None
    assert effects(db) == 1


def test_a_request_still_in_flight_is_said_so_after_a_while(db):
    def impatient(conn):
        conn.execute("SET LOCAL lock_timeout = '20ms'")  # 5 s in earnest
        return request(conn)

    with closing(db.connect()) as first:
        first.execute("BEGIN")
        request(first)
        with pytest.raises(IdempotencyInFlight):
            db.transact(impatient)
        first.execute("COMMIT")
    assert db.transact(request) == FIRST
    assert effects(db) == 1


def test_of_many_at_once_one_has_the_effect(db):
    together = threading.Barrier(8)

    def one(_):
        together.wait(10)
        return db.transact(request)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert sorted(answers, key=str) == sorted([None] + [FIRST] * 7, key=str)
    assert effects(db) == 1


def test_old_answers_are_purged_and_young_ones_kept(db):
    db.transact(request)
    db.transact(lambda conn: request(conn, key="old"))
    with db.connection() as conn:
        conn.execute("UPDATE idempotency SET created_at = now() - interval '49 hours' WHERE key = 'old'")
        assert idempotency.purge(conn) == 1
        assert idempotency.find(conn, 1, ROUTE, "k", b"body") == FIRST
        assert idempotency.find(conn, 1, ROUTE, "old", b"body") is None


def _wait_for_a_blocked_session(conn):
    """Until another session of this database waits for a lock."""
    while not conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()[0]:
        conn.execute("SELECT pg_stat_clear_snapshot()")
