"""Say what may be done without a person; stop everything, and resume it."""

from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.autopilot import store
from onhand.autopilot.model import Domain, Guardrails, Mode
from onhand.autopilot.store import DomainRow, Switch
from onhand.base.actor import Actor
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import InvalidInput

_LIMITS = ("money_per_hour_minor", "units_per_hour", "orders_per_hour")


def set_domain(
    db: Database, conn: Connection[TupleRow], domain: Domain, mode: Mode, rails: Guardrails, *, now: datetime, by: Actor
) -> DomainRow:
    """Set the mode and the guardrails of a domain. Raises InvalidInput: `auto` needs a budget."""
    if mode == "auto" and all(getattr(rails, name) is None for name in _LIMITS):
        raise InvalidInput.at("guardrails", f"auto needs a budget: give at least one of {', '.join(_LIMITS)}")
    store.lock_domain(conn, domain)
    store.set_domain(conn, domain, mode, rails, now=now, actor=by.key_id, reason=by.reason)
    data = {"domain": domain.value, "mode": mode, "guardrails": store.document_of(rails)}
    write_event(conn, "autopilot.changed", domain.value, data, actor=by, origin=db.origin)
    return next(row for row in store.list_domains(conn) if row.domain == domain)


def stop_or_resume(
    db: Database, conn: Connection[TupleRow], *, stopped: bool, now: datetime, by: Actor
) -> Switch:  # fmt: skip
    """Turn the kill switch. What acts at this moment is waited for; once this is committed, nothing acts any more."""
    store.turn(conn, stopped=stopped, now=now, actor=by.key_id, reason=by.reason)
    kind = "autopilot.stopped" if stopped else "autopilot.resumed"
    write_event(conn, kind, "autopilot", {"reason": by.reason}, actor=by, origin=db.origin)
    return store.get_switch(conn)
