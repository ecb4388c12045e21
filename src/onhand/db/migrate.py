"""Numbered SQL files, forward only: each in one transaction, safe to run twice and by two processes at once.

What would stop writers for as long as a table is large (an index of it) stands apart, in `NNNN_name.online.sql`: it is
done before that transaction, statement by statement and each by itself. Such a file may be run again from its beginning
wherever it broke off, and what runs meanwhile must do with either schema.
"""

import functools
import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db.history import adopt_history, has_foreign_history
from onhand.db.programs import MAJOR_MIN
from onhand.errors import DatabaseUnavailable, SchemaMismatch, SettingsError

_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")
_LOCK_KEY = 0x6F6E68616E64  # "onhand"
_ASK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file. `checksum` is the SHA-256 of its text, in hex; with `online`, what is done before it outside a
    transaction, of both."""

    number: int
    name: str
    sql: bytes
    checksum: str
    online: bytes = b""

    def __str__(self) -> str:
        return f"{self.number:04d}_{self.name}"

    @classmethod
    def of(cls, number: int, name: str, sql: bytes, online: bytes = b"") -> "Migration":
        checksum = hashlib.sha256(sql + online).hexdigest()
        return cls(number=number, name=name, sql=sql, checksum=checksum, online=online)


@functools.cache
def migrations() -> tuple[Migration, ...]:
    """The files of this version of the code, by number."""
    texts = {e.name: e.read_bytes() for e in (resources.files("onhand.db") / "migrations").iterdir() if e.is_file()}
    found = [
        Migration.of(int(m[1]), m[2], text, texts.get(name.removesuffix(".sql") + ".online.sql", b""))
        for name, text in texts.items()
        if (m := _FILE.match(name))
    ]
    found.sort(key=lambda m: m.number)
    assert [m.number for m in found] == list(range(1, len(found) + 1)), "migrations are numbered without gaps"
    return tuple(found)


def is_current(conn: Connection[TupleRow]) -> bool:
    """Whether the database has exactly the migrations of this version of the code."""
    if conn.execute("SELECT to_regclass('migration') IS NULL").fetchone() == (True,):
        return False
    applied = conn.execute("SELECT number, checksum FROM migration ORDER BY number").fetchall()
    return applied == [(m.number, m.checksum) for m in migrations()]


def require_current(conn: Connection[TupleRow]) -> None:
    """Raise SchemaMismatch unless the database has exactly the migrations of this version."""
    if not is_current(conn):
        raise SchemaMismatch("the database is empty or of another version: run `onhand db upgrade` first")


def migrate(url: str, files: Sequence[Migration] | None = None) -> list[str]:
    """Bring the database at `url` up to this version of the code; the names of the files applied now.

    files  other than this version's own

    Raises SchemaMismatch if the database is newer than the code or was made by other files, SettingsError if this
    database cannot be used at all, and DatabaseUnavailable. A file that fails leaves nothing of itself behind,
    but of what is done online: run it again.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="onhand migrate") as conn:
            _refuse_unfit(conn)
            # Of the session: it spans the transactions of all files, and a killed process gives it back.
            # Asked for again and again: whoever waited inside a statement would be waited for by an index that is built
            # online, and wait for it.
            while conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone() != (True,):
                time.sleep(_ASK_AGAIN_S)
            return _apply(conn, migrations() if files is None else files)
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingsError(
            f"ONHAND_DATABASE_URL: its role may not do what an upgrade needs ({error.diag.message_primary});"
            " make it the owner of the database"
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise DatabaseUnavailable(f"the database cannot be reached: {' '.join(str(error).split())}") from error


def _refuse_unfit(conn: Connection[TupleRow]) -> None:
    major = conn.info.server_version // 10_000
    if major < MAJOR_MIN:
        raise SettingsError(f"ONHAND_DATABASE_URL: expected PostgreSQL {MAJOR_MIN} or newer, that server is {major}")
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SettingsError(f"ONHAND_DATABASE_URL: expected a database with encoding UTF8, that one has {encoding}")


def _apply(conn: Connection[TupleRow], files: Sequence[Migration]) -> list[str]:
    conn.execute(
        "CREATE TABLE IF NOT EXISTS migration (number int PRIMARY KEY, name text NOT NULL,"
        " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = conn.execute("SELECT number, name, checksum FROM migration ORDER BY number").fetchall()
    known = {f.number: f for f in files}
    for number, name, checksum in rows:
        if number not in known:
            raise SchemaMismatch(
                f"the database has migration {number:04d}_{name}, which this version of onhand does not know:"
                " a newer version upgraded it; install that version"
            )
        if known[number].checksum != checksum:
            raise SchemaMismatch(
                f"migration {number:04d}_{name} in the database differs from this version's {known[number]}:"
                " use the version that made the database, or another database"
            )
    applied = {number for number, _, _ in rows}
    new = [f for f in files if f.number not in applied]
    for file in new:
        for statement in file.online.split(b";\n"):
            if statement.strip():
                conn.execute(statement)
        with conn.transaction():
            conn.execute(file.sql)
            conn.execute(
                "INSERT INTO migration (number, name, checksum) VALUES (%s, %s, %s)",
                (file.number, file.name, file.checksum),
            )
    if new:
        conn.execute(
            "INSERT INTO setting (name, value) VALUES ('epoch', to_jsonb(gen_random_uuid()::text))"
            " ON CONFLICT (name) DO NOTHING"
        )
    if has_foreign_history(conn):  # moved here by other means than `onhand db restore`
        with conn.transaction():
            adopt_history(conn)
    return [str(f) for f in new]
