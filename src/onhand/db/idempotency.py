"""Answers to keyed requests, written in the transaction of their effect, and replayed to a second
request.

A key is scoped by API key and route. The record and the effect commit together, so that after any
crash either both are there or neither: that is also how an unknown commit is resolved. Only a batch whose rows are
transactions of their own commits the claim first and its answer last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from onhand.db.pool import is_lost
from onhand.db.queries import queries
from onhand.errors import IdempotencyInFlight, IdempotencyKeyReused

T = TypeVar("T")
SQL = queries(__file__)

KEPT_HOURS = 48  # 24 are promised
# How long `find_held` waits for one claim: longer than to write a row, and short enough for a whole batch of them.
_CLAIM_MS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The first answer: HTTP status and body, JSON text without personal data."""

    status: int
    answer: str


def begin(conn: Connection[TupleRow], actor_key_id: int, route: str, key: str, body_hash: bytes) -> Replay | None:
    """Claim `key` in this transaction; None if it is new or has no answer yet, otherwise the answer that was given.

    Call it first in the transaction, before any other lock, and `finish` before the commit, or in a later transaction
    where what is done in between is idempotent by itself: then whoever comes meanwhile does it too. While
    another transaction holds the key, waits for it as long as lock_timeout says (5 s on connections
    of `Database`).

    Raises IdempotencyKeyReused if the key came with another body, and IdempotencyInFlight when the
    wait was too long.
    """
    where = {"actor": actor_key_id, "route": route, "key": key}
    try:
        claimed = conn.execute(SQL["claim_key"], where | {"body_hash": body_hash}).rowcount
    except errors.LockNotAvailable as error:
        raise IdempotencyInFlight(key) from error
    if claimed:
        return None
    return find(conn, actor_key_id, route, key, body_hash)


def find(conn: Connection[TupleRow], actor_key_id: int, route: str, key: str, body_hash: bytes) -> Replay | None:
    """The committed answer for `key`, without claiming it; for resolving a CommitUnknown. None also where the key was
    claimed and has no answer yet.

    Raises IdempotencyKeyReused if the key came with another body.
    """
    where = {"actor": actor_key_id, "route": route, "key": key}
    row = conn.execute(SQL["find_key"], where).fetchone()
    if row is None:
        return None
    kept_hash, status, answer = row
    if bytes(kept_hash) != body_hash:
        raise IdempotencyKeyReused(key)
    return Replay(status=status, answer=answer) if status else None


def find_in_flight(conn: Connection[TupleRow], route: str, keys: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
    """Those of `keys` (actor, key) that a transaction under way has claimed. Call it outside a transaction."""

    def claim(some: Sequence[tuple[int, str]]) -> None:
        conn.execute(SQL["try_keys"], {"route": route, "actors": [a for a, _ in some], "keys": [k for _, k in some]})

    return set(find_held(conn, sorted(set(keys)), claim))


def find_held(conn: Connection[TupleRow], rows: Sequence[T], claim: Callable[[Sequence[T]], None]) -> list[T]:
    """Those of `rows` that cannot be claimed because a transaction under way holds them. Nothing stays claimed.

    An uncommitted key cannot be seen, only be waited for; so `claim` (which inserts, or does nothing for what is there)
    is tried for all, and for halves where that fails: few are held, as a rule. What fails for another reason is not
    held.
    """
    if not rows:
        return []
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(f"SET LOCAL lock_timeout = {_CLAIM_MS}".encode())
            claim(rows)
    except psycopg.Error as error:
        if is_lost(error, conn):
            raise
        if half := len(rows) // 2:
            return find_held(conn, rows[:half], claim) + find_held(conn, rows[half:], claim)
        return list(rows) if isinstance(error, errors.LockNotAvailable) else []
    return []


def finish(conn: Connection[TupleRow], actor_key_id: int, route: str, key: str, status: int, answer: str) -> bool:
    """Store the answer of a claimed key: HTTP status and JSON text without personal data. False where another
    transaction stored one since the claim was committed: that one stays."""
    values = {"actor": actor_key_id, "route": route, "key": key, "status": status, "answer": answer}
    return conn.execute(SQL["finish_key"], values).rowcount == 1


def purge(conn: Connection[TupleRow], hours: int = KEPT_HOURS) -> int:
    """Forget answers older than `hours`; how many. Orders stay idempotent on (channel, external id)."""
    return conn.execute(SQL["purge_keys"], {"hours": hours}).rowcount
