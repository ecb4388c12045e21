"""Migrations: forward only, once each, whoever runs them and however often."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest

from onhand.db import outbox
from onhand.db.migrate import Migration, is_current, migrate, migrations
from onhand.errors import DatabaseUnavailable, SchemaMismatch, SettingsError
from onhand.flows.forecasts.job import KIND
from onhand.jobs.schedules import get_schedule

ALL = [str(m) for m in migrations()]


def plus(sql, name="more"):
    """This version's files and one more."""
    return [*migrations(), Migration.of(len(migrations()) + 1, name, sql.encode())]


def schema(url):
    with psycopg.connect(url) as conn:
        return conn.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY 1, 2"
        ).fetchall()


def test_a_second_run_changes_nothing(empty_dsn):
    assert migrate(empty_dsn) == ALL
    before = schema(empty_dsn)
    with psycopg.connect(empty_dsn) as conn:
        epoch = outbox.epoch(conn)
    assert migrate(empty_dsn) == []
    assert schema(empty_dsn) == before
    with psycopg.connect(empty_dsn) as conn:
        assert is_current(conn)
        assert outbox.epoch(conn) == epoch


def test_of_several_at_once_each_file_runs_once(empty_dsn):
    together = threading.Barrier(4)

    def run(_):
        together.wait(10)
        return migrate(empty_dsn)

    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(run, range(4)))
    assert sorted(applied) == [[], [], [], ALL]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("CREATE TABLE half (n int); INSERT INTO missing VALUES (1)", psycopg.errors.UndefinedTable),
        # The file succeeds, and what records it fails.
        (
            f"CREATE TABLE half (n int); INSERT INTO migration VALUES ({len(ALL) + 1}, 'x', 'y')",
            psycopg.errors.UniqueViolation,
        ),
    ],
)
def test_a_file_that_fails_leaves_nothing_and_can_be_run_again_mended(empty_dsn, sql, error):
    with pytest.raises(error):
        migrate(empty_dsn, plus(sql))
    assert "half" not in {table for table, _, _ in schema(empty_dsn)}
    assert migrate(empty_dsn, plus("CREATE TABLE half (n int)")) == [f"{len(ALL) + 1:04d}_more"]
    assert "half" in {table for table, _, _ in schema(empty_dsn)}


INDEX = b"DROP INDEX CONCURRENTLY IF EXISTS slow;\nCREATE INDEX CONCURRENTLY slow ON orders (placed_at);\n"


def wait_for(url, query):
    until = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as conn:
        while not conn.execute(query).fetchone()[0]:
            assert time.monotonic() < until, query


def test_orders_are_placed_while_an_upgrade_builds_their_index(empty_dsn):
    before, (tower,) = migrations()[:37], migrations()[37:38]
    migrate(empty_dsn, before)
    write = "UPDATE orders SET placed_at = placed_at"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(empty_dsn) as writer:
        writer.execute(write)  # a transaction under way, which whoever locks the table waits for
        upgrade = pool.submit(migrate, empty_dsn, [*before, tower])
        wait_for(
            empty_dsn,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'onhand migrate'"
            " AND datname = current_database() AND query LIKE '%CREATE INDEX%' AND wait_event_type = 'Lock')",
        )
        try:
            with psycopg.connect(empty_dsn, options="-c lock_timeout=2s") as other:
                other.execute(write)  # nobody else waits
        finally:
            writer.commit()
        assert upgrade.result(60) == [str(tower)]
    with psycopg.connect(empty_dsn) as conn:
        found = conn.execute(
            "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'orders'::regclass"
        )
        names = dict(found.fetchall())
    assert names["orders_queue_due"] is True and "orders_queue" not in names


def test_what_is_done_online_is_done_again_where_it_broke_off(empty_dsn):
    online = Migration.of(len(ALL) + 1, "slow", b"CREATE TABLE half (n int)", INDEX)
    broken = Migration.of(len(ALL) + 1, "slow", b"SELECT nothing", INDEX)
    with pytest.raises(psycopg.errors.UndefinedColumn):
        migrate(empty_dsn, [*migrations(), broken])
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        # As a killed build leaves it: there, and of no use.
        conn.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'slow'::regclass")
    assert migrate(empty_dsn, [*migrations(), online]) == [str(online)]
    with psycopg.connect(empty_dsn) as conn:
        assert conn.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'slow'::regclass").fetchone() == (True,)
    assert "half" in {table for table, _, _ in schema(empty_dsn)}


def test_an_index_of_a_table_that_was_there_before_is_built_online():
    """From the first migration on that an installation with orders may still lack."""
    for migration in migrations()[37:]:
        text = migration.sql.decode()
        made = set(re.findall(r"CREATE TABLE (\w+)", text))
        indexed = set(re.findall(r"CREATE (?:UNIQUE )?INDEX .*?\bON (\w+)", text, re.DOTALL))
        assert indexed <= made, f"{migration}: indices of {indexed - made} belong into its .online.sql, CONCURRENTLY"


def test_a_schedule_of_forecasts_outlives_its_table(empty_dsn):
    """0042 puts it among the others."""
    migrate(empty_dsn, [m for m in migrations() if m.number < 42])
    with psycopg.connect(empty_dsn) as conn:
        conn.execute(
            "INSERT INTO forecast_schedule (settings, hour, active, next_at, actor)"
            " VALUES ('{\"horizon\": 14}', 4, true, '2026-03-03T04:00:00Z', 7)"
        )
    migrate(empty_dsn)
    with psycopg.connect(empty_dsn) as conn:
        kept = get_schedule(conn, KIND)
        assert kept is not None
        assert (kept.settings, kept.hour, kept.active, kept.actor) == ({"horizon": 14}, 4, True, 7)
        assert kept.next_at == datetime(2026, 3, 3, 4, tzinfo=UTC)


def test_a_newer_database_is_refused(empty_dsn):
    migrate(empty_dsn, plus("CREATE TABLE newer (n int)"))
    with pytest.raises(SchemaMismatch, match=r"more.*newer version"):
        migrate(empty_dsn)


def test_a_database_made_by_other_files_is_refused(dsn):
    with psycopg.connect(dsn) as conn:
        conn.execute("UPDATE migration SET checksum = 'other' WHERE number = 2")
        assert not is_current(conn)
    with pytest.raises(SchemaMismatch, match=r"0002_catalog.*differs"):
        migrate(dsn)


def test_a_role_that_may_not_create_tables_is_told_so(empty_dsn):
    role = "reader_of_" + psycopg.conninfo.conninfo_to_dict(empty_dsn)["dbname"]
    with psycopg.connect(empty_dsn, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
    try:
        with pytest.raises(SettingsError, match=r"ONHAND_DATABASE_URL.*owner"):
            migrate(psycopg.conninfo.make_conninfo(empty_dsn, user=role, password="x"))
    finally:
        with psycopg.connect(empty_dsn, autocommit=True) as conn:
            conn.execute(f"DROP ROLE {role}".encode())


def test_a_database_of_another_encoding_is_refused(admin, server_url):
    name = "latin1_database"
    admin.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc".encode()
    )
    try:
        with pytest.raises(SettingsError, match=r"UTF8.*LATIN1"):
            migrate(psycopg.conninfo.make_conninfo(server_url, dbname=name))
    finally:
        admin.execute(f"DROP DATABASE {name}".encode())


def test_no_server_is_said_plainly():
    with pytest.raises(DatabaseUnavailable, match="cannot be reached"):
        migrate("postgresql://nobody@127.0.0.1:1/none")
