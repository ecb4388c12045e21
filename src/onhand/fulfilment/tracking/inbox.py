"""The SQL of carriers' messages: kept as they came, worked on later."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row, dict_row

from onhand.fulfilment.tracking.store import SQL

_KEPT_DAYS: Final = 30

Status = Literal["due", "done", "parked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A carrier; document: how its messages are read, None: they are not; secret: sealed."""

    carrier_id: int
    code: str
    document: dict[str, Any] | None
    secret: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that is to be worked on, and how it is read."""

    message_id: int
    code: str
    body: bytes
    document: dict[str, Any]


def get_feed(conn: Connection[TupleRow], code: str, *, lock: bool = False) -> Feed | None:
    """A carrier with its feed; None: there is no such carrier."""
    with conn.cursor(row_factory=class_row(Feed)) as rows:
        return rows.execute(SQL["lock_feed" if lock else "get_feed"], {"code": code}).fetchone()


def write_feed(conn: Connection[TupleRow], feed: Feed, document: Mapping[str, Any], secret: str) -> None:
    """Write how messages of a carrier, which is locked, are read; what could not be read so far is read again."""
    row = {"code": feed.code, "document": msgspec.json.encode(document).decode(), "secret": secret}
    conn.execute(SQL["write_feed"], row)
    conn.execute(SQL["read_again"], {"carrier_id": feed.carrier_id})


def add_message(conn: Connection[TupleRow], carrier_id: int, *, dedupe: str, body: bytes) -> bool:
    """Keep a message; False: it is a repeat."""
    row = {"carrier_id": carrier_id, "dedupe": dedupe, "body": body}
    return conn.execute(SQL["add_message"], row).fetchone() is not None


def lock_messages(conn: Connection[TupleRow], *, limit: int) -> list[Message]:
    """The oldest messages that are due, for nobody else until the transaction ends."""
    with conn.cursor(row_factory=class_row(Message)) as rows:
        return rows.execute(SQL["lock_messages"], {"limit": limit}).fetchall()


def end_message(
    conn: Connection[TupleRow], message_id: int, status: Status, *, scans: int = 0, skipped: int = 0,
    error: str | None = None,
) -> None:  # fmt: skip
    """Write what came of a message."""
    row = {"message_id": message_id, "status": status, "scans": scans, "skipped": skipped, "error": error}
    conn.execute(SQL["end_message"], row)


def list_messages(
    conn: Connection[TupleRow], code: str | None, *, status: Status | None, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Messages of a carrier, None: of all, the latest first, without what they say."""
    asked = {"code": code, "status": status, "before": before, "limit": limit}
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["list_messages"], asked).fetchall()


def purge_messages(conn: Connection[TupleRow], now: datetime) -> int:
    """Forget messages that were worked on long ago; how many."""
    return conn.execute(SQL["purge_messages"], {"before": now - timedelta(days=_KEPT_DAYS)}).rowcount
