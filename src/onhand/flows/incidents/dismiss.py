"""Leave an incident alone: it is not told of again while its evidence lasts."""

from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import Conflict, NotFound
from onhand.incidents import store
from onhand.incidents.store import Kept


def dismiss_incident(
    db: Database, conn: Connection[TupleRow], incident_id: str, reason: str | None, *, now: datetime, by: Actor
) -> Kept:
    """In the caller's transaction; dismissing again changes nothing. Raises NotFound, Conflict."""
    status = store.lock_status(conn, incident_id)
    if status is None:
        raise NotFound("incident", incident_id)
    if status == "closed":
        raise Conflict("incident.closed", "it is over: its evidence has ended")
    if status == "open":
        store.dismiss(conn, incident_id, actor=by.key_id, reason=reason, now=now)
    kept = store.get_incident(conn, incident_id)
    assert kept is not None, "locked in this transaction"
    if status == "open":
        data = {"incident_id": incident_id, "kind": kept.kind, "cause": kept.cause, "reason": reason}
        write_event(conn, "incident.dismissed", incident_id, data, actor=by, origin=db.origin)
    return kept
