"""What was committed when the backup was taken is there after a restore, and every consumer goes on where it was."""

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from tests.batches import begin_orders, told
from tests.events import settle, settled

from onhand import webhooks
from onhand.base.actor import SYSTEM
from onhand.db import Database, backup, migrate, outbox
from onhand.db.embedded import Server
from onhand.db.migrate import Migration, migrations
from onhand.db.outbox import START, Cursor
from onhand.errors import Conflict, DatabaseUnavailable, SchemaMismatch, SettingsError

# Far beyond what a fresh cluster has given out: the source has lived long.
LONG_LIVED = 5_000_000


def write_old_events(conn, names, xid=LONG_LIVED):
    """Events as a cluster wrote them that has seen millions of transactions; each in its own, in reverse of `pos`."""
    for back, name in enumerate(reversed(names)):
        conn.execute(
            "INSERT INTO event (xid, kind, subject, actor, origin, data) VALUES (%s::text::xid8, 't', %s, 0, 1, '{}')",
            (str(xid + len(names) - back), name),
        )


def subjects(url, cursor=START):
    """Of the events after `cursor` that are settled now: some tests want others to be hidden."""
    with psycopg.connect(url, autocommit=True) as conn:
        return [e.subject for e in outbox.read(conn, cursor)]


@pytest.fixture
def copy(dsn, tmp_path):
    """A backup of `dsn` with four old events, of which consumer `slow` has had two, and a delivery of the third."""
    with psycopg.connect(dsn) as conn:
        write_old_events(conn, ["e1", "e2", "e3", "e4"])
        conn.execute(
            "INSERT INTO webhook (webhook_id, url, kinds, secret, actor) VALUES (gen_random_uuid(), 'u', '{}', 's', 0)"
        )
        conn.execute(
            "INSERT INTO webhook_delivery (webhook_id, event_xid, event_pos)"
            " SELECT webhook_id, xid, pos FROM webhook, event WHERE subject = 'e3'"
        )
        (at,) = conn.execute("SELECT xid::text::bigint FROM event WHERE subject = 'e2'").fetchone()
        (pos,) = conn.execute("SELECT pos FROM event WHERE subject = 'e2'").fetchone()
        outbox.advance_cursor(conn, "slow", Cursor(at, pos))
        outbox.advance_cursor(conn, "ahead of all", Cursor(2**62, 1))
        outbox.advance_cursor(conn, "new", START)
    path = tmp_path / "copy.dump"
    size = backup.backup(dsn, path)
    assert size == path.stat().st_size > 1000
    return path


def check_history(url):
    with psycopg.connect(url) as conn:
        assert subjects(url) == ["e1", "e2", "e3", "e4"]
        assert subjects(url, outbox.get_cursor(conn, "slow")) == ["e3", "e4"]
        assert subjects(url, outbox.get_cursor(conn, "new")) == ["e1", "e2", "e3", "e4"]
        assert subjects(url, outbox.get_cursor(conn, "ahead of all")) == []
        assert conn.execute(
            "SELECT subject FROM webhook_delivery JOIN event ON (xid, pos) = (event_xid, event_pos)"
        ).fetchall() == [("e3",)]
    with psycopg.connect(url) as conn:
        ahead = outbox.get_cursor(conn, "ahead of all")
        outbox.write_event(conn, "t", "e5", {}, actor=SYSTEM, origin=1)
    with psycopg.connect(url, autocommit=True) as conn:
        settle(conn, ahead)
    assert subjects(url) == ["e1", "e2", "e3", "e4", "e5"]
    assert subjects(url, ahead) == ["e5"], "a consumer that had seen everything sees what comes next"


def epoch(url):
    with psycopg.connect(url) as conn:
        return outbox.epoch(conn)


def test_a_restored_history_is_whole_and_goes_on(dsn, empty_dsn, copy):
    assert subjects(dsn) == [], "this server has not come as far as those transaction ids"
    backup.restore(empty_dsn, copy)
    assert migrate(empty_dsn) == []
    assert epoch(empty_dsn) != epoch(dsn)
    check_history(empty_dsn)


def test_a_place_inside_a_batch_survives(dsn, empty_dsn, tmp_path):
    """For every event of batches of several sizes: who stood there goes on after it, and a delivery of it stays its."""
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "INSERT INTO webhook (webhook_id, url, kinds, secret, actor) VALUES (gen_random_uuid(), 'u', '{}', 's', 0)"
        )
    names = {}
    for number, size in enumerate((3, 1, 4)):
        with psycopg.connect(dsn) as conn:
            outbox.write_event(conn, "t", f"e{number}", {}, actor=SYSTEM, origin=1)
            batch = [f"{number}-{n}" for n in range(size)]
            names |= dict(zip(begin_orders(conn, batch), batch, strict=True))
    with psycopg.connect(dsn, autocommit=True) as conn:
        before = settled(conn)
        assert len(before) == 11
        for event in before:
            outbox.advance_cursor(conn, event.subject, event.cursor)
            conn.execute(
                "INSERT INTO webhook_delivery (webhook_id, event_xid, event_pos, last_error)"
                " SELECT webhook_id, %s::text::xid8, %s, %s FROM webhook",
                (str(event.xid), event.pos, event.subject),
            )
        # As if it came from a cluster that has lived long: a place within its row is all that is kept.
        for table, column in (("event", "xid"), ("consumer_cursor", "xid"), ("webhook_delivery", "event_xid")):
            conn.execute(f"UPDATE {table} SET {column} = ({column}::text::bigint + {LONG_LIVED})::text::xid8".encode())
    backup.backup(dsn, tmp_path / "batches.dump")
    backup.restore(empty_dsn, tmp_path / "batches.dump")
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        after = outbox.read(conn, START)
        assert [(e.subject, e.data) for e in after] == [(e.subject, e.data) for e in before]
        for n, event in enumerate(before, 1):
            cursor = outbox.get_cursor(conn, event.subject)
            assert cursor == after[n - 1].cursor
            assert outbox.read(conn, cursor) == after[n:]
        (webhook_id,) = conn.execute("SELECT webhook_id::text FROM webhook").fetchone()
        deliveries = webhooks.list_deliveries(conn, webhook_id, status=None, after=0, limit=100)
        assert [d.subject for d in deliveries] == [d.last_error for d in deliveries] == [e.subject for e in before]
        assert [d.data for d in deliveries if d.subject in names] == [told(i, name) for i, name in names.items()]
        ids = begin_orders(conn, ["new 1", "new 2"])
        assert [e.subject for e in settled(conn, after[-2].cursor)] == [after[-1].subject, *ids]


def test_a_second_generation_copy_restores_as_well(empty_dsn, copy, tmp_path, admin):
    """Its events already have an id of a moved history."""
    backup.restore(empty_dsn, copy)
    backup.backup(empty_dsn, tmp_path / "second.dump")
    backup.restore(empty_dsn, tmp_path / "second.dump", force=True)
    check_history(empty_dsn)


def test_another_cluster_takes_it(copy, home):
    with Server.ensure(home) as server:
        backup.restore(server.url, copy)
        migrate(server.url)
        check_history(server.url)


def test_a_database_that_was_moved_by_other_means_is_mended_by_the_next_upgrade(dsn):
    """Such as pg_restore, by hand."""
    with psycopg.connect(dsn) as conn:
        write_old_events(conn, ["e1", "e2"])
    before = epoch(dsn)
    assert subjects(dsn) == []
    assert migrate(dsn) == []
    assert subjects(dsn) == ["e1", "e2"]
    assert epoch(dsn) != before
    moved = epoch(dsn)
    assert migrate(dsn) == []
    assert epoch(dsn) == moved, "once"


def test_a_backup_under_load_is_consistent(db, dsn, empty_dsn, tmp_path):
    """Each transaction writes a row and its event: the copy has both or neither."""
    stop, begun = threading.Event(), threading.Semaphore(0)

    def write(writer):
        n = 0
        while not stop.is_set():
            name = f"{writer}-{n}"

            def work(conn, name=name):
                conn.execute("INSERT INTO setting VALUES (%s, '1')", (name,))
                outbox.write_event(conn, "t", name, {}, actor=SYSTEM, origin=1)

            db.transact(work)
            begun.release()
            n += 1

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, w) for w in range(3)]
        for _ in range(20):
            begun.acquire()
        try:
            backup.backup(dsn, tmp_path / "x.dump")
        finally:
            stop.set()
        for w in writers:
            w.result()
    backup.restore(empty_dsn, tmp_path / "x.dump")
    with psycopg.connect(empty_dsn) as conn:
        settle(conn)
        rows = {n for (n,) in conn.execute("SELECT name FROM setting WHERE name <> 'epoch'")}
    events = subjects(empty_dsn)
    assert len(rows) >= 20
    assert set(events) == rows
    assert len(events) == len(rows)
    for w in range(3):
        own = [int(e.split("-")[1]) for e in events if e.startswith(f"{w}-")]
        assert own == list(range(len(own)))


def test_a_database_that_is_not_empty_is_left_alone(dsn, copy):
    with pytest.raises(Conflict, match=r"not empty.*--force"):
        backup.restore(dsn, copy)
    with psycopg.connect(dsn) as conn:
        assert conn.execute("SELECT count(*) FROM event").fetchone() == (4,)


def test_force_replaces_what_is_there(dsn, copy):
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE later (n int); DELETE FROM event")
    backup.restore(dsn, copy, force=True)
    with psycopg.connect(dsn) as conn:
        assert conn.execute("SELECT to_regclass('later')").fetchone() == (None,)
    check_history(dsn)


def test_a_restore_that_fails_gives_the_old_database_back(dsn, copy, tmp_path):
    torn = tmp_path / "torn.dump"
    torn.write_bytes(copy.read_bytes()[:-2000])
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE later (n int)")
    with pytest.raises((DatabaseUnavailable, SettingsError)):
        backup.restore(dsn, torn, force=True)
    with psycopg.connect(dsn) as conn:
        assert conn.execute("SELECT count(*) FROM later").fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM event").fetchone() == (4,)


def test_the_copy_is_private_and_nothing_is_overwritten(dsn, copy):
    assert copy.stat().st_mode & 0o777 == 0o600
    assert list(copy.parent.iterdir()) == [copy]
    before = copy.read_bytes()
    with pytest.raises(SettingsError, match="exists"):
        backup.backup(dsn, copy)
    assert copy.read_bytes() == before
    with pytest.raises(SettingsError, match="cannot be written"):
        backup.backup(dsn, copy.parent / "no" / "such" / "folder")


def test_what_is_no_backup_is_refused_before_anything_is_touched(empty_dsn, tmp_path):
    (tmp_path / "text").write_text("not a dump")
    for path in (tmp_path / "text", tmp_path / "missing", tmp_path):
        with pytest.raises(SettingsError):
            backup.restore(empty_dsn, path)
    with psycopg.connect(empty_dsn) as conn:
        assert conn.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'public'").fetchone() == (1,)


def test_a_backup_of_a_newer_version_is_refused(dsn, empty_dsn, tmp_path):
    newer = [*migrations(), Migration.of(len(migrations()) + 1, "future", b"SELECT 1")]
    migrate(dsn, newer)
    backup.backup(dsn, tmp_path / "newer.dump")
    with pytest.raises(SchemaMismatch, match=r"newer version.*future"):
        backup.restore(empty_dsn, tmp_path / "newer.dump")


def test_the_password_is_on_no_command_line(dsn, empty_dsn, tmp_path, monkeypatch):
    password = psycopg.conninfo.conninfo_to_dict(dsn).get("password")
    commands = []

    class Watched(subprocess.Popen):
        def __init__(self, args, **options):
            commands.append(args)
            super().__init__(args, **options)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    backup.backup(dsn, tmp_path / "x.dump")
    backup.restore(empty_dsn, tmp_path / "x.dump")
    assert len(commands) >= 4
    assert password is None or not any(str(password) in str(arg) for args in commands for arg in args)


def test_a_database_restored_works(empty_dsn, copy):
    backup.restore(empty_dsn, copy)
    with closing(Database.open(empty_dsn)) as db:
        db.transact(lambda conn: outbox.write_event(conn, "t", "e5", {}, actor=SYSTEM, origin=1))
        with db.connection() as conn:
            views = conn.execute("SELECT viewname FROM pg_views WHERE viewname LIKE 'invariant%'").fetchall()
            for (view,) in views:
                assert conn.execute(f"SELECT * FROM {view}".encode()).fetchall() == []
