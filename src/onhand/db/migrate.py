"""Numbered SQL files, forward only: each in one transaction, safe to run twice and by two processes
at once.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.errors import DatabaseUnavailable, SchemaMismatch

_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")
_LOCK_KEY = 0x6F6E68616E64  # "onhand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file. `checksum` is the SHA-256 of its text, in hex."""

    number: int
    name: str
    sql: bytes
    checksum: str


def migrations() -> list[Migration]:
    """The files of this version of the code, by number."""
    found: list[Migration] = []
    for entry in (resources.files("onhand.db") / "migrations").iterdir():
        if match := _FILE.match(entry.name):
            sql = entry.read_bytes()
            found.append(
                Migration(
                    number=int(match[1]),
                    name=match[2],
                    sql=sql,
                    checksum=hashlib.sha256(sql).hexdigest(),
                )
            )
    found.sort(key=lambda m: m.number)
    assert [m.number for m in found] == list(range(1, len(found) + 1)), (
        "migrations are numbered without gaps"
    )
    return found


def is_current(conn: Connection[TupleRow]) -> bool:
    """Whether the database has exactly the migrations of this version of the code."""
    applied = conn.execute("SELECT number, checksum FROM migration ORDER BY number").fetchall()
    return applied == [(m.number, m.checksum) for m in migrations()]


def migrate(url: str) -> list[str]:
    """Bring the database at `url` up to this version of the code; the names of the files applied
    now.

    Raises SchemaMismatch if the database is newer than the code or was made by other files, and
    DatabaseUnavailable.
    """
    files = migrations()
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as conn:
            # Session level: it spans the transactions of all files, and a killed process gives it
            # back.
            conn.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
            return _apply(conn, files)
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise DatabaseUnavailable(f"the database cannot be migrated: {error}") from error


def _apply(conn: Connection[TupleRow], files: list[Migration]) -> list[str]:
    conn.execute(
        "CREATE TABLE IF NOT EXISTS migration (number int PRIMARY KEY, name text NOT NULL,"
        " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    applied = {
        n: (name, checksum)
        for n, name, checksum in conn.execute("SELECT number, name, checksum FROM migration")
    }
    _refuse_mismatch(files, applied)
    new = [f for f in files if f.number not in applied]
    for file in new:
        with conn.transaction():
            conn.execute(file.sql)
            conn.execute(
                "INSERT INTO migration (number, name, checksum) VALUES (%s, %s, %s)",
                (file.number, file.name, file.checksum),
            )
    conn.execute(
        "INSERT INTO setting (name, value) VALUES ('epoch', to_jsonb(gen_random_uuid()::text))"
        " ON CONFLICT (name) DO NOTHING"
    )
    return [f"{f.number:04d}_{f.name}" for f in new]


def _refuse_mismatch(files: list[Migration], applied: dict[int, tuple[str, str]]) -> None:
    known = {f.number: f for f in files}
    for number, (name, checksum) in sorted(applied.items()):
        if number not in known:
            raise SchemaMismatch(
                f"the database has migration {number:04d}_{name}, which this version of onhand does"
                " it was upgraded by a newer one; install that version"
            )
        if known[number].checksum != checksum:
            raise SchemaMismatch(
                f"migration {number:04d}_{name} of the database differs from the file of this version of onhand;"
                " use the version that made the database, or another database"
            )
