"""One transaction: committed, not committed, or honestly unknown."""

import socket
import threading
from contextlib import closing

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from onhand.db import Database, idempotency
from onhand.errors import CommitUnknown, DatabaseUnavailable

from .proxy import Proxy

SET = "INSERT INTO setting VALUES (%s, '1') ON CONFLICT (name) DO UPDATE SET value = '1'"


def names(db):
    with db.connection() as conn:
        return {name for (name,) in conn.execute("SELECT name FROM setting WHERE name <> 'epoch'")}


def test_a_result_of_transact_is_committed(db):
    assert db.transact(lambda conn: conn.execute(SET, ("x",)).rowcount) == 1
    assert names(db) == {"x"}


def test_an_exception_of_the_work_rolls_back_and_passes(db):
    def work(conn):
        conn.execute(SET, ("x",))
        raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        db.transact(work)
    assert names(db) == set()


def test_work_may_use_savepoints(db):
    def work(conn):
        conn.execute(SET, ("kept",))
        with pytest.raises(psycopg.errors.DivisionByZero), conn.transaction():
            conn.execute(SET, ("lost",))
            conn.execute("SELECT 1 / 0")

    db.transact(work)
    assert names(db) == {"kept"}


def test_a_swallowed_error_of_a_statement_is_not_taken_for_success(db):
    """COMMIT of a failed transaction answers ROLLBACK, without an error."""

    def work(conn):
        conn.execute(SET, ("x",))
        with pytest.raises(psycopg.errors.DivisionByZero):
            conn.execute("SELECT 1 / 0")

    with pytest.raises(AssertionError, match="swallowed"):
        db.transact(work)
    assert names(db) == set()


def test_work_that_ends_the_transaction_itself_is_a_bug_that_shows(db):
    with pytest.raises(AssertionError, match="ended the transaction"):
        db.transact(lambda conn: conn.execute("COMMIT"))


def test_serialisation_failures_are_tried_again(db):
    """Two transactions read the same row and both write: one has to go again, and both count."""
    db.transact(lambda c: c.execute("INSERT INTO setting VALUES ('n', '0')"))
    meet = threading.Barrier(2)
    tries = []

    def increment(conn):
        conn.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        (n,) = conn.execute("SELECT value FROM setting WHERE name = 'n'").fetchone()
        tries.append(n)
        if len(tries) <= 2:
            meet.wait(10)
        conn.execute("UPDATE setting SET value = to_jsonb(%s::int) WHERE name = 'n'", (n + 1,))

    threads = [threading.Thread(target=db.transact, args=(increment,)) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(tries) >= 3
    with db.connection() as conn:
        assert conn.execute("SELECT value FROM setting WHERE name = 'n'").fetchone() == (2,)


def test_deadlocks_are_tried_again(db):
    for name in ("a", "b"):
        db.transact(lambda c, n=name: c.execute("INSERT INTO setting VALUES (%s, '0')", (n,)))
    meet = threading.Barrier(2)
    calls = {"ab": 0, "ba": 0}

    def work(order):
        def both(conn):
            calls[order] += 1
            for name in order:
                conn.execute("UPDATE setting SET value = to_jsonb(value::int + 1) WHERE name = %s", (name,))
                if name == order[0] and calls[order] == 1:
                    meet.wait(10)

        db.transact(both)

    threads = [threading.Thread(target=work, args=(order,)) for order in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(calls.values()) >= 3, "one of the two was the victim"
    with db.connection() as conn:
        values = conn.execute("SELECT value FROM setting WHERE name IN ('a', 'b')").fetchall()
    assert values == [(2,), (2,)]


def test_lock_time_outs_are_tried_again_and_then_given_up(db):
    db.transact(lambda c: c.execute(SET, ("x",)))
    tries = []

    def work(conn):
        tries.append(1)
        conn.execute("SET LOCAL lock_timeout = '5ms'")
        conn.execute("SELECT FROM setting WHERE name = 'x' FOR UPDATE")

    with closing(db.connect()) as holder, holder.transaction():
        holder.execute("SELECT FROM setting WHERE name = 'x' FOR UPDATE")
        with pytest.raises(DatabaseUnavailable, match="gave up after 3 tries") as refused:
            db.transact(work, retries=2)
    assert not isinstance(refused.value, CommitUnknown)
    assert len(tries) == 3


def test_a_connection_lost_before_commit_says_that_nothing_was_written(db):
    def work(conn):
        conn.execute(SET, ("x",))
        conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(DatabaseUnavailable) as error:
        db.transact(work)
    assert not isinstance(error.value, CommitUnknown)
    assert names(db) == set()


@pytest.mark.parametrize("before", [True, False], ids=["commit lost", "answer lost"])
def test_a_connection_lost_at_commit_is_an_unknown_result(dsn, before):
    """Cut before COMMIT arrives, nothing is written; cut before its answer arrives, all is. The caller cannot tell."""
    with Proxy(dsn, cut_at=b"COMMIT", before=before) as proxy, closing(Database.open(proxy.url)) as db:
        assert names(db) == set()
        proxy.armed = True
        with pytest.raises(CommitUnknown):
            db.transact(lambda conn: conn.execute(SET, ("x",)))
        assert proxy.cuts == 1
        assert _settled_names(db) == (set() if before else {"x"})


def _settled_names(db):
    """The names, once the session that was cut off has ended and its row is either there or not."""
    with closing(db.connect()) as conn, conn.transaction():
        conn.execute("LOCK TABLE setting")
    return names(db)


def test_an_unknown_commit_is_resolved_by_its_idempotency_row(dsn):
    def work(conn):
        assert idempotency.begin(conn, 1, "/v1/x", "k", b"h") is None
        idempotency.finish(conn, 1, "/v1/x", "k", 201, "{}")

    with Proxy(dsn, cut_at=b"COMMIT") as proxy, closing(Database.open(proxy.url)) as db:
        proxy.armed = True
        with pytest.raises(CommitUnknown):
            db.transact(work)
        replay = db.transact(lambda conn: idempotency.begin(conn, 1, "/v1/x", "k", b"h"))
    assert replay == idempotency.Replay(status=201, answer="{}")


def test_an_error_at_commit_that_the_server_answered_is_known(db):
    with closing(db.connect()) as conn:
        conn.execute("CREATE TABLE once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO once VALUES (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.transact(lambda conn: conn.execute("INSERT INTO once VALUES (1)"))


def test_connections_the_server_closed_are_replaced_unnoticed(db):
    together = threading.Barrier(4)

    def hold():
        with db.connection() as conn:
            conn.execute("SELECT 1")
            together.wait(10)

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    with closing(db.connect()) as killer:
        (killed,) = killer.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert killed == 4
    for n in range(8):
        db.transact(lambda conn, n=n: conn.execute(SET, (f"after-{n}",)))
    assert len(names(db)) == 8


def test_a_read_that_loses_its_connection_says_so(db):
    with pytest.raises(DatabaseUnavailable), db.connection() as conn:
        conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_wrong_statement_is_not_called_unavailable(db):
    with pytest.raises(psycopg.errors.UndefinedTable), db.connection() as conn:
        conn.execute("SELECT * FROM no_such_table")


def test_a_server_that_is_not_there_is_said_plainly_and_soon():
    with closing(Database.open("postgresql://nobody@127.0.0.1:1/none")) as db:
        with pytest.raises(DatabaseUnavailable, match="cannot be reached"):
            db.connect()
        db.notify()  # never raises


def test_sessions_have_our_settings_whatever_the_servers_defaults_are(dsn, db):
    with psycopg.connect(dsn, autocommit=True) as conn:
        (name,) = conn.execute("SELECT current_database()").fetchone()
        for value in ("default_transaction_isolation = 'serializable'", "TimeZone = 'Asia/Tokyo'"):
            conn.execute(f"ALTER DATABASE {name} SET {value}".encode())
    for opened in (db.connection(), closing(db.connect())):
        with opened as conn:
            for setting, value in {
                "default_transaction_isolation": "read committed",
                "TimeZone": "UTC",
                "lock_timeout": "5s",
                "idle_in_transaction_session_timeout": "1min",
            }.items():
                assert conn.execute(f"SHOW {setting}".encode()).fetchone() == (value,)


@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"),
    reason="SILENCE NOT CHECKED: the options of sockets have other names on this system",
)
def test_a_server_that_is_gone_without_a_word_is_noticed_and_the_url_may_say_when(dsn):
    with Proxy(dsn, cut_at=b"nothing is cut") as proxy:
        for url, idle_s in ((proxy.url, 10), (make_conninfo(proxy.url, keepalives_idle=77), 77)):
            with closing(Database.open(url)) as db, db.connect() as dedicated, db.connection() as pooled:
                for conn in (dedicated, pooled):
                    end = socket.socket(fileno=conn.fileno())
                    try:
                        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == idle_s
                        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
                    finally:
                        end.detach()


def test_notify_coalesces(db):
    with closing(db.connect()) as conn:
        conn.execute("LISTEN onhand_event")
        for _ in range(1000):
            db.notify()
        heard = list(conn.notifies(timeout=0.3))
    assert 1 <= len(heard) <= 20


def test_notify_outlives_its_connection(db):
    with closing(db.connect()) as conn:
        conn.execute("LISTEN onhand_event")
        db.notify()
        assert len(list(conn.notifies(timeout=10, stop_after=1))) == 1
        conn.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'onhand notify'"
        )
        db.notify()
        assert len(list(conn.notifies(timeout=10, stop_after=1))) == 1


def test_close_is_prompt_and_ends_the_threads(dsn):
    before = set(threading.enumerate())
    db = Database.open(dsn)
    db.notify()
    with db.connection() as conn:
        conn.execute("SELECT 1")
    db.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(DatabaseUnavailable):
        db.transact(lambda conn: None)
