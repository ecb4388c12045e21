"""Create and revoke API keys; make sure that there is a first one."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand import access
from onhand.base.actor import SYSTEM, Actor
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import InvalidInput, NotFound
from onhand.flows.transactor import Transactor


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just created. `key` is known here only; the database keeps its hash."""

    key_id: int
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    key: str | None


def create_key(
    db: Database,
    *,
    name: str,
    scopes: Collection[str],
    by: Actor,
    key: str | None = None,
    expires_at: datetime | None = None,
    transact: Transactor | None = None,
) -> NewKey:
    """Create a key with `scopes`, for ever or until `expires_at`; `key` sets its text instead of a random one. Raises
    InvalidInput.
    """
    known = (*access.SCOPES, *access.TOOL_SCOPES)
    if unknown := sorted(set(scopes) - set(known)):
        raise InvalidInput.at("scopes", f"unknown {unknown[0]!r}; known are {', '.join(known)}")
    if not scopes:
        raise InvalidInput.at("scopes", "expected at least one scope")
    text = key or access.mint()

    def work(conn: Connection[TupleRow]) -> NewKey:
        # Not before: a repeat is answered as the first time, even when the key is over.
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise InvalidInput.at("expires_at", "this moment has passed: such a key would let nobody in")
        row = access.add_key(
            conn,
            name=name,
            prefix=access.prefix(text),
            hash_=access.digest(text),
            scopes=set(scopes),
            expires_at=expires_at,
        )
        if row is None:
            raise InvalidInput.at("key", "this key exists already")
        data = {"key_id": row.key_id, "name": name, "scopes": row.scopes, "status": "created"}
        write_event(conn, "key.changed", str(row.key_id), data, actor=by, origin=db.origin)
        return NewKey(
            key_id=row.key_id,
            name=row.name,
            prefix=row.prefix,
            scopes=row.scopes,
            created_at=row.created_at,
            expires_at=row.expires_at,
            key=text,
        )

    made = (transact or db.transact)(work)
    db.notify()
    return made


def revoke_key(db: Database, key_id: int, *, by: Actor) -> access.KeyRow:
    """End a key: within 5 seconds no process accepts it. Repeating it changes nothing. Raises
    NotFound.
    """

    def work(conn: Connection[TupleRow]) -> access.KeyRow:
        row = access.revoke(conn, key_id)
        if row is None:
            if earlier := access.get_key(conn, key_id):
                return earlier
            raise NotFound("key", str(key_id))
        data = {"key_id": key_id, "name": row.name, "status": "revoked"}
        write_event(conn, "key.changed", str(key_id), data, actor=by, origin=db.origin)
        return row

    row = db.transact(work)
    db.notify()
    return row


def ensure_admin_key(db: Database, admin_key: str | None) -> str | None:
    """Make sure that an admin key exists; returns the new key if one had to be made, to be shown
    once.

    admin_key  the key the settings demand (ONHAND_ADMIN_KEY): stored if it is new, never returned.
    One that was
               revoked stays revoked.
    """

    def work(conn: Connection[TupleRow]) -> str | None:
        live = access.lock_admin_keys(conn)
        if admin_key is None and live:
            return None
        text = admin_key or access.mint()
        row = access.add_key(
            conn,
            name="admin",
            prefix=access.prefix(text),
            hash_=access.digest(text),
            scopes={"admin"},
        )
        if row is not None:
            data = {"key_id": row.key_id, "name": "admin", "scopes": ["admin"], "status": "created"}
            write_event(conn, "key.changed", str(row.key_id), data, actor=SYSTEM, origin=db.origin)
        return None if admin_key else text

    return db.transact(work)
