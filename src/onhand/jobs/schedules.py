"""Work that is asked for every day at an hour of UTC, and the SQL of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.db import Database
from onhand.db.queries import queries
from onhand.errors import OnhandError

SQL = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What is asked for. kind: of the job; subject: what it is about, "" where there is only one; actor: key that asked
    for it."""

    kind: str
    subject: str
    settings: dict[str, Any]
    hour: int
    active: bool
    next_at: datetime
    actor: int
    updated_at: datetime


Ask = Callable[[Connection[TupleRow], Schedule, datetime], None]
"""Asks for the jobs of a day. What it raises of OnhandError leaves this day out."""


def next_at(now: datetime, hour: int) -> datetime:
    """The next moment at which it is this hour of UTC, after now."""
    at = now.astimezone(UTC).replace(hour=hour, minute=0, second=0, microsecond=0)
    return at if at > now else at + timedelta(days=1)


def set_schedule(
    conn: Connection[TupleRow],
    kind: str,
    settings: Mapping[str, Any],
    *,
    hour: int,
    active: bool,
    now: datetime,
    by: int,
    subject: str = "",
) -> Schedule:
    """Have this asked for every day at an hour of UTC, or no longer, in place of what was said before."""
    values = {
        "kind": kind, "subject": subject, "settings": msgspec.json.encode(settings).decode(), "hour": hour,
        "active": active, "next_at": next_at(now, hour), "actor": by,
    }  # fmt: skip
    with conn.cursor(row_factory=class_row(Schedule)) as rows:
        found = rows.execute(SQL["set_schedule"], values).fetchone()
    assert found is not None, "it was just written"
    return found


def get_schedule(conn: Connection[TupleRow], kind: str, subject: str = "") -> Schedule | None:
    """The schedule, if anybody has set one."""
    with conn.cursor(row_factory=class_row(Schedule)) as rows:
        return rows.execute(SQL["get_schedule"], {"kind": kind, "subject": subject}).fetchone()


def ask_if_due(db: Database, now: datetime, asks: Mapping[str, Ask]) -> int:
    """Ask for what is due of these kinds, once; of how many schedules. Safe with several workers."""

    def work(conn: Connection[TupleRow]) -> int:
        with conn.cursor(row_factory=class_row(Schedule)) as rows:
            due = rows.execute(SQL["due_schedules"], {"now": now, "kinds": list(asks)}).fetchall()
        asked = 0
        for schedule in due:
            moved = {"kind": schedule.kind, "subject": schedule.subject, "next_at": next_at(now, schedule.hour)}
            conn.execute(SQL["move_schedule"], moved)
            try:
                with conn.transaction():
                    asks[schedule.kind](conn, schedule, now)
                    asked += 1
            except OnhandError:
                # There is nothing to work on yet, or no longer: tomorrow there may be.
                continue
        return asked

    return db.transact(work)
