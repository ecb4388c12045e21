"""Fixtures for tests on a real database.

One embedded server per run, shared by the workers of pytest-xdist; each database test gets a fresh
copy of a migrated template and ends by reading every view `invariant_*`. `ONHAND_TEST_DATABASE_URL`
(a role that may create databases) runs the same tests on another server.
"""

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from onhand.db import Database, migrate
from onhand.db.embedded import Server
from onhand.db.migrate import migrations


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "broken_invariants: the test breaks promises of the data on purpose; skips the closing check",
    )


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of the server of this run, as a role that may create databases."""
    if url := os.environ.get("ONHAND_TEST_DATABASE_URL"):
        yield url
        return
    run = getattr(request.config, "workerinput", {}).get("testrunuid", str(os.getpid()))
    home = Path(tempfile.gettempdir()) / f"onhand-test-{run}"
    # No fsync: the tests kill processes, never the machine. It makes databases quick to create.
    server = Server.ensure(
        home, settings={"fsync": "off", "full_page_writes": "off", "max_connections": "200"}
    )
    yield server.url
    if server.stop():
        shutil.rmtree(home, ignore_errors=True)


def at(url: str, database: str) -> str:
    """`url` with another database."""
    return make_conninfo(url, dbname=database)


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """Name of a migrated database of this version of the migrations, made by the first who asks."""
    name = (
        "onhand_test_"
        + hashlib.sha256("".join(m.checksum for m in migrations()).encode()).hexdigest()[:16]
    )
    with psycopg.connect(at(server_url, "postgres"), autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(hashtext(%s))", (name,))
        if conn.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).rowcount == 0:
            draft = f"draft_{uuid.uuid4().hex}"
            conn.execute(f"CREATE DATABASE {draft}".encode())
            migrate(at(server_url, draft))
            conn.execute(f"ALTER DATABASE {draft} RENAME TO {name}".encode())
    return name


@pytest.fixture
def dsn(request: pytest.FixtureRequest, server_url: str, template: str) -> Iterator[str]:
    """A database of one's own, migrated and empty."""
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(at(server_url, "postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        url = at(server_url, name)
        yield url
        try:
            if request.node.get_closest_marker("broken_invariants") is None:
                assert broken_invariants(url) == []
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def broken_invariants(url: str) -> list[tuple[str, str]]:
    """(view, row as JSON) of the first broken promises; none when healthy."""
    with psycopg.connect(url, autocommit=True) as conn:
        views = [v for (v,) in conn.execute(
            "SELECT viewname FROM pg_views WHERE viewname LIKE 'invariant\\_%' ORDER BY viewname"
        )]  # fmt: skip
        if not views:
            return []
        union = " UNION ALL ".join(
            f"(SELECT '{view}', row_to_json(t)::text FROM {view} t LIMIT 5)" for view in views
        )
        return [(view, row) for view, row in conn.execute(union.encode())]


@pytest.fixture
def db(dsn: str) -> Iterator[Database]:
    """A `Database` on `dsn`."""
    with closing(Database.open(dsn)) as database:
        yield database


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty folder for an embedded server of one's own, which any user may enter (tmp_path is
    private).
    """
    folder = Path(tempfile.mkdtemp(prefix="onhand-home-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
