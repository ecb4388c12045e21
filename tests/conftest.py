"""Fixtures for tests on a real database.

One embedded server for each worker of pytest-xdist; each database test gets a fresh copy of a migrated template and
ends by reading every view `invariant_*`. Were the server shared, an open transaction of one worker's test would hold
back what the consumers of another's may read.

`ONHAND_TEST_DATABASE_URL` (of a role that may create databases) runs the same tests on another
server, for example one of the oldest supported version.
"""

import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from onhand.db import Database, migrate
from onhand.db.embedded import Server
from onhand.db.migrate import migrations
from onhand.errors import OnhandError


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "broken_invariants: breaks promises of the data on purpose and skips the closing check",
    )


# Two workers of pytest-xdist begin at the beginning and in the middle of the list. On a fresh copy the first has the
# solver compiled, which takes two minutes; the second begins with what does not need it, or it would wait. What takes
# long and has much that is shared comes early: in the end single tests go to whoever is free.
_EARLY = (
    "tests/sourcing/test_warm.py", "tests/crash", "tests/test_project.py", "tests/examples", "tests/cli/test_demo.py",
    "tests/fuzz", "tests/flows/test_vendure_live.py", "tests/flows/test_kill_", "tests/bench/test_promise.py",
    "tests/newcomer",
)  # fmt: skip
_WITHOUT_SOLVER = ("tests/connectors", "tests/demand", "tests/library/test_forecast.py", "tests/channels")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        if item.nodeid.startswith(_WITHOUT_SOLVER):
            return len(_EARLY) + 1
        return next((n for n, start in enumerate(_EARLY) if item.nodeid.startswith(start)), len(_EARLY))

    ranked = sorted(items, key=rank)  # tests of a file stay together, in their order
    first = [item for item in ranked if rank(item) <= len(_EARLY)]
    middle = len(items) // 2
    items[:] = [*first[:middle], *ranked[len(first) :], *first[middle:]]


def _fast_folder() -> Path:
    """In memory where that is large enough: copying the template is 30 times faster there."""
    memory = Path("/dev/shm")
    with suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 2**30:
            return memory
    return Path(tempfile.gettempdir())


def _remove_abandoned() -> None:
    """Stop the servers of runs that were killed: they hold memory."""
    for home in _fast_folder().glob("onhand-test-*"):
        with suppress(OSError, OnhandError):
            if home.stat().st_mtime < time.time() - 3600 and Server.ensure(home).stop():
                shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of the server of this worker, as a role that may create databases."""
    if url := os.environ.get("ONHAND_TEST_DATABASE_URL"):
        yield url
        return
    _remove_abandoned()
    home = _fast_folder() / f"onhand-test-{uuid.uuid4().hex}"
    # No fsync: tests kill processes, never the machine. No vacuum by itself: its analyses hold back consumers as well.
    settings = {
        "autovacuum": "off",
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "200",
        "max_wal_size": "256MB",
    }
    server = Server.ensure(home, settings=settings)
    yield server.url
    if server.stop():
        shutil.rmtree(home, ignore_errors=True)


def at(url: str, database: str) -> str:
    """`url` with another database."""
    return make_conninfo(url, dbname=database)


@pytest.fixture(scope="session")
def admin(server_url: str) -> Iterator[psycopg.Connection]:
    """A connection that creates and drops databases."""
    with psycopg.connect(at(server_url, "postgres"), autocommit=True) as conn:
        yield conn


@pytest.fixture(scope="session")
def template(server_url: str, admin: psycopg.Connection) -> str:
    """Name of a migrated database of these very migrations, made by the first that asks."""
    checksums = "".join(m.checksum for m in migrations())
    name = "onhand_test_" + hashlib.sha256(checksums.encode()).hexdigest()[:16]
    admin.execute("SELECT pg_advisory_lock(hashtext(%s))", (name,))
    try:
        if admin.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).rowcount == 0:
            draft = f"draft_{uuid.uuid4().hex}"
            admin.execute(f"CREATE DATABASE {draft}".encode())
            migrate(at(server_url, draft))
            admin.execute(f"ALTER DATABASE {draft} RENAME TO {name}".encode())
    finally:
        admin.execute("SELECT pg_advisory_unlock(hashtext(%s))", (name,))
    return name


@pytest.fixture
def empty_dsn(server_url: str, admin: psycopg.Connection) -> Iterator[str]:
    """A database of one's own without a single table."""
    name = f"e_{uuid.uuid4().hex}"
    admin.execute(f"CREATE DATABASE {name}".encode())
    yield at(server_url, name)
    admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.fixture
def dsn(request: pytest.FixtureRequest, server_url: str, admin: psycopg.Connection, template: str) -> Iterator[str]:
    """A database of one's own, migrated and empty; its promises are checked at the end."""
    name = f"t_{uuid.uuid4().hex}"
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    url = at(server_url, name)
    yield url
    try:
        if request.node.get_closest_marker("broken_invariants") is None:
            assert broken_invariants(url) == []
    finally:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def broken_invariants(url: str) -> list[tuple[str, str]]:
    """(view, row as JSON) of broken promises, at most five of each; none when healthy."""
    with psycopg.connect(url, autocommit=True) as conn:
        names = conn.execute("SELECT viewname FROM pg_views WHERE viewname LIKE 'invariant\\_%' ORDER BY viewname")
        views = [name for (name,) in names]
        assert views, "a migrated database has invariant views"
        each = (f"(SELECT '{v}', row_to_json(t)::text FROM {v} t LIMIT 5)" for v in views)
        return conn.execute(" UNION ALL ".join(each).encode()).fetchall()


@pytest.fixture
def db(dsn: str) -> Iterator[Database]:
    """A `Database` on `dsn`."""
    with closing(Database.open(dsn)) as database:
        yield database


def _new_home() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="onhand-home-", dir=_fast_folder()))
    folder.chmod(0o755)  # tmp_path is private to this user, and a server started by root is another
    return folder


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty folder for an embedded server of one's own, which any user may enter."""
    folder = _new_home()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    """The same for tests that leave the cluster as it was: making one takes a second."""
    folder = _new_home()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
