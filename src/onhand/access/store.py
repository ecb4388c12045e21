"""The only SQL of the capability."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.access.keys import Principal
from onhand.db import queries

SQL = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A stored key, without anything that would let one use it."""

    key_id: int
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One change: who (0 and None: the system itself), what, when and why."""

    xid: int
    pos: int
    at: datetime
    kind: str
    subject: str
    actor: int
    actor_name: str | None
    reason: str | None
    data: dict[str, Any]


def list_audit(
    conn: Connection[TupleRow],
    *,
    before: tuple[int, int] | None = None,
    subject: str | None = None,
    actor: int | None = None,
    kind: str | None = None,
    at_from: datetime | None = None,
    at_to: datetime | None = None,
    limit: int = 100,
) -> list[AuditRow]:
    """Changes, newest first. Fast by `subject`, and without filters; otherwise it reads back until
    it has found `limit`.

    before  (xid, pos) of the last change of the page before
    kind    such as `order.sourced`, or `order.*`
    """
    xid, pos = before or (None, None)
    prefix = kind[:-1] if kind is not None and kind.endswith("*") else None
    with conn.cursor(row_factory=class_row(AuditRow)) as rows:
        return rows.execute(
            SQL["list_audit"],
            {
                "xid": xid,
                "pos": pos,
                "subject": subject,
                "order_id": _uuid(subject),
                "actor": actor,
                "kind": None if prefix is not None else kind,
                "prefix": prefix,
                "from": at_from,
                "to": at_to,
                "limit": limit,
            },
            prepare=False,
        ).fetchall()


def _uuid(subject: str | None) -> UUID | None:
    try:
        return None if subject is None else UUID(subject)
    except ValueError:
        return None


def add_key(
    conn: Connection[TupleRow],
    *,
    name: str,
    prefix: str,
    hash_: bytes,
    scopes: Collection[str],
    expires_at: datetime | None = None,
) -> KeyRow | None:
    """Store a key by its hash; None if it is there already."""
    with conn.cursor(row_factory=class_row(KeyRow)) as rows:
        return rows.execute(
            SQL["add_key"],
            {"name": name, "prefix": prefix, "hash": hash_, "scopes": sorted(scopes), "expires_at": expires_at},
        ).fetchone()


def find_live(conn: Connection[TupleRow], hash_: bytes) -> Principal | None:
    """The owner of a key that is neither revoked nor over."""
    row = conn.execute(SQL["find_live"], {"hash": hash_}).fetchone()
    if row is None:
        return None
    key_id, name, scopes = row
    return Principal(key_id=key_id, name=name, scopes=frozenset(scopes))


def list_keys(
    conn: Connection[TupleRow],
    *,
    after: int | None = None,
    limit: int = 1000,
    live: bool = False,
    newest_first: bool = False,
) -> list[KeyRow]:
    """Keys by id, those beyond the id `after`.

    live  without those that are revoked or over
    """
    sql = SQL["list_keys_back" if newest_first else "list_keys"]
    with conn.cursor(row_factory=class_row(KeyRow)) as rows:
        return rows.execute(sql, {"after": after, "limit": limit, "live": live}).fetchall()


def get_key(conn: Connection[TupleRow], key_id: int) -> KeyRow | None:
    """A key, revoked or not."""
    with conn.cursor(row_factory=class_row(KeyRow)) as rows:
        return rows.execute(SQL["get_key"], {"key_id": key_id}).fetchone()


def revoke(conn: Connection[TupleRow], key_id: int) -> KeyRow | None:
    """End a live key; None if there is none."""
    with conn.cursor(row_factory=class_row(KeyRow)) as rows:
        return rows.execute(SQL["revoke"], {"key_id": key_id}).fetchone()


def lock_admin_keys(conn: Connection[TupleRow]) -> int:
    """How many live admin keys there are; no other process can add the first one until we
    commit.
    """
    # The lock first, in a statement of its own: the count's snapshot must come after it.
    conn.execute(SQL["lock_admin_keys"])
    row = conn.execute(SQL["count_admin_keys"]).fetchone()
    assert row is not None
    return int(row[0])
