"""Hold each day's goods against its money once it is over. What does not balance is held again every hour, until it
does; a detector (flows/incidents/payments.py) makes incidents of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database
from onhand.flows.payments.reconcile import reconcile
from onhand.payments import store

log = structlog.get_logger(__name__)

# What was done in the last seconds of a day is written down soon after.
_AFTER: Final = timedelta(minutes=10)
_AGAIN: Final = timedelta(hours=1)
_NAMED: Final = 5


def reconcile_if_due(db: Database, now: datetime) -> date | None:
    """Hold one day that is due, the oldest first; which. Days that nobody held, as no worker ran, are made up for, from
    the first that was. Safe with several workers: one of them does it at a time."""

    def work(conn: Connection[TupleRow]) -> date | None:
        if not store.is_needed(conn) or not store.lock_days(conn):
            return None
        day = _due(conn, now)
        if day is None:
            return None
        found = reconcile(db, day, now=now)
        wrong = [_wrong(one) for one in found["statements"] if not one["balanced"]]
        if wrong:
            log.warning("a day's goods and money do not agree", day=day.isoformat(), wrong=wrong)
        store.keep_day(conn, day, wrong, now)
        return day

    return db.transact(work)


def _due(conn: Connection[TupleRow], now: datetime) -> date | None:
    over = (now.astimezone(UTC) - _AFTER).date() - timedelta(days=1)
    last = store.last_day(conn)
    following = over if last is None else last + timedelta(days=1)
    return following if following <= over else store.wrong_day(conn, before=now - _AGAIN)


def _wrong(statement: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a statement that does not balance. minor: what has no reason, at least."""
    orders = [d for d in statement["differences"] if d["reason"] == "unexplained"]
    moved = (
        statement["shipped_minor"] - statement["returned_minor"]
        - statement["captured_minor"] + statement["refunded_minor"]
    )  # fmt: skip
    gap = statement["open_before_minor"] + moved - statement["open_after_minor"]
    # What is entered wrongly of an order may be told twice of it, there and back.
    largest: dict[str, int] = {}
    for one in orders:
        largest[one["order_id"]] = max(largest.get(one["order_id"], 0), abs(one["amount_minor"]))
    return {
        "currency": statement["currency"],
        "minor": max(abs(gap), sum(largest.values())),
        "orders": len(largest),
        "named": sorted({d["external_id"] for d in orders})[:_NAMED],
    }
