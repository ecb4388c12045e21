"""The outbox: events are written in the transaction of the change and read by (xid, pos) behind the
horizon.

Order between events of different subjects is by transaction id, not by time of commit; events of
one subject come in order because its writers lock its row. `pos` only orders the events of one
transaction. Never read by `pos` alone: tests/db/test_outbox.py shows what that loses.

`Database.notify()` after a commit wakes consumers. A wake-up may be lost and may come too early
(the horizon still behind), so consumers also look by themselves: `tail` does all of it.
"""

import re
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import msgspec
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.base.actor import Actor
from onhand.db.pool import CHANNEL, Database
from onhand.db.queries import queries
from onhand.errors import DatabaseUnavailable

SQL = queries(__file__)

_CURSOR = re.compile(r"(\d{1,19})-(\d{1,19})")
_BIGINT_MAX = 2**63 - 1
# While committed events wait behind the horizon no further NOTIFY need come: look again soon.
_HIDDEN_POLL_S = 0.02


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the stream: the last event that was consumed. Valid within one epoch."""

    xid: int = 0
    pos: int = 0

    def __str__(self) -> str:
        return f"{self.xid}-{self.pos}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reverse of `str`. ValueError if it is not a cursor."""
        match = _CURSOR.fullmatch(text)
        if match is None or max(xid := int(match[1]), pos := int(match[2])) > _BIGINT_MAX:
            raise ValueError(f"expected a cursor such as 812-40, got {text!r}")
        return cls(xid, pos)


START = Cursor()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change, as written. `actor` is a key id (0: the system), `origin` the process that wrote it."""

    xid: int
    pos: int
    at: datetime
    kind: str
    subject: str
    actor: int
    origin: int
    reason: str | None
    data: dict[str, Any]

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.xid, self.pos)


def write_event(
    conn: Connection[TupleRow],
    kind: str,
    subject: str,
    data: Mapping[str, object],
    *,
    actor: Actor,
    origin: int,
) -> None:
    """Record a change, in the transaction that makes it.

    kind     such as `order.sourced`
    subject  public id or code of what changed
    data     JSON-ready, without personal data
    origin   `Database.origin` of the writing process
    """
    conn.execute(
        SQL["write_event"],
        {
            "kind": kind,
            "subject": subject,
            "actor": actor.key_id,
            "origin": origin,
            "reason": actor.reason,
            "data": _json(data),
        },
    )


def write_events(
    conn: Connection[TupleRow],
    events: Iterable[tuple[str, str, Mapping[str, object]]],
    *,
    actor: Actor,
    origin: int,
) -> None:
    """Record many changes in one round trip; each is (kind, subject, data), kept in this order."""
    rows = list(events)
    if not rows:
        return
    conn.execute(
        SQL["write_events"],
        {
            "kinds": [kind for kind, _, _ in rows],
            "subjects": [subject for _, subject, _ in rows],
            "data": [_json(data) for _, _, data in rows],
            "actor": actor.key_id,
            "origin": origin,
            "reason": actor.reason,
        },
    )


def _json(data: Mapping[str, object]) -> str:
    return msgspec.json.encode(data).decode()


def read(conn: Connection[TupleRow], cursor: Cursor, limit: int = 1000) -> list[Event]:
    """The next events after `cursor`, in order, at most `limit`; empty when none is settled yet."""
    with conn.cursor(row_factory=class_row(Event)) as rows:
        return rows.execute(SQL["read_events"], {"xid": cursor.xid, "pos": cursor.pos, "limit": limit}).fetchall()


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """A row of events: `count` of one kind, the first hundred of their subjects, and which items if stock changed."""

    xid: int
    pos: int
    kind: str
    subjects: list[str]
    count: int
    items: list[int] | None

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.xid, self.pos)


def read_brief(conn: Connection[TupleRow], cursor: Cursor, limit: int) -> list[Brief]:
    """What happened after `cursor`, in order, at most `limit` rows. `cursor` is from here or from `head`: it stands at
    the end of a row."""
    with conn.cursor(row_factory=class_row(Brief)) as rows:
        return rows.execute(SQL["read_brief"], {"xid": cursor.xid, "pos": cursor.pos, "limit": limit}).fetchall()


def has_hidden(conn: Connection[TupleRow], cursor: Cursor) -> bool:
    """Whether committed events after `cursor` wait for an older transaction to end."""
    row = conn.execute(SQL["has_hidden_events"], {"xid": cursor.xid, "pos": cursor.pos}).fetchone()
    return row is not None and bool(row[0])


def head(conn: Connection[TupleRow]) -> Cursor:
    """The last settled event; `START` when there is none.

    Taken before (or in the same snapshot as) a full read of the state, following from here misses
    nothing; what the read already saw comes once more.
    """
    row = conn.execute(SQL["head"]).fetchone()
    return Cursor(*row) if row else START


def get_cursor(conn: Connection[TupleRow], name: str) -> Cursor | None:
    """How far consumer `name` has come; None if it has never advanced."""
    row = conn.execute(SQL["get_cursor"], {"name": name}).fetchone()
    return Cursor(*row) if row else None


def advance_cursor(conn: Connection[TupleRow], name: str, cursor: Cursor) -> None:
    """Record that `name` has consumed everything up to `cursor`; never moves back.

    Call it in the transaction of the consumer's own effect to consume each event exactly once.
    """
    conn.execute(SQL["advance_cursor"], {"name": name, "xid": cursor.xid, "pos": cursor.pos})


def epoch(conn: Connection[TupleRow]) -> str:
    """Id of this history of events. A restore renews it: cursors of another epoch mean nothing here."""
    row = conn.execute(SQL["epoch"]).fetchone()
    assert row is not None, "a migrated database has an epoch"
    return str(row[0])


def renew_epoch(conn: Connection[TupleRow]) -> str:
    """Declare all cursors held outside the database void; the new epoch."""
    row = conn.execute(SQL["renew_epoch"]).fetchone()
    assert row is not None
    return str(row[0])


def horizon_age_s(conn: Connection[TupleRow]) -> float:
    """How long the oldest open writing transaction has held back the consumers, in seconds; alert
    at 5.

    Sees other roles' transactions only with the role pg_read_all_stats.
    """
    row = conn.execute(SQL["horizon_age"]).fetchone()
    assert row is not None
    return float(row[0])


class Listener:
    """Hears `Database.notify()` of all processes, on one connection and thread however many wait.

    Survives a restart of the server: it connects again, and then wakes everyone, since it may have
    missed a call.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._heard = 0
        self._changed = threading.Condition()
        self._wakes: set[Callable[[], None]] = set()
        self._closing = threading.Event()
        self._conn: Connection[TupleRow] | None = None
        self._thread = threading.Thread(target=self._run, name="onhand listen", daemon=True)
        self._thread.start()

    @property
    def heard(self) -> int:
        """Wake-ups so far."""
        return self._heard

    def wait(self, heard: int, timeout_s: float) -> int:
        """Block until there were more than `heard` wake-ups, or for `timeout_s`; the number of now.

        Take `heard` before looking at the database, so that no wake-up falls between.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._heard > heard or self._closing.is_set(), timeout_s)
            return self._heard

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` (quick, thread-safe) at every wake-up; returns what ends that. For an event loop."""
        with self._changed:
            self._wakes.add(wake)

        def unsubscribe() -> None:
            with self._changed:
                self._wakes.discard(wake)

        return unsubscribe

    def close(self) -> None:
        """Stop listening and release all who wait."""
        self._closing.set()
        self._bump()
        self._thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _bump(self) -> None:
        with self._changed:
            self._heard += 1
            wakes = list(self._wakes)
            self._changed.notify_all()
        for wake in wakes:
            wake()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._db.connect() as conn:
                    conn.execute("LISTEN " + CHANNEL)
                    self._bump()  # whatever was committed before we listened
                    while not self._closing.is_set():
                        # The time-out only bounds how long closing takes.
                        for _ in conn.notifies(timeout=0.2, stop_after=1):
                            self._bump()
            except (psycopg.Error, DatabaseUnavailable):
                self._closing.wait(0.5)


def tail(
    db: Database,
    listener: Listener,
    cursor: Cursor,
    *,
    stop: threading.Event,
    limit: int = 1000,
    idle_s: float = 1.0,
) -> Generator[list[Event]]:
    """Batches of events after `cursor` as they settle, never empty, until `stop` is set.

    Rides out a server that goes away. `idle_s` bounds the delay after a lost wake-up, and how long
    `stop` takes.
    """
    while not stop.is_set():
        heard = listener.heard
        try:
            with db.connection() as conn:
                events = read(conn, cursor, limit)
                hidden = not events and has_hidden(conn, cursor)
        except DatabaseUnavailable:
            stop.wait(min(idle_s, 0.5))
            continue
        if events:
            yield events
            cursor = events[-1].cursor
        elif hidden:
            stop.wait(_HIDDEN_POLL_S)
        else:
            listener.wait(heard, idle_s)
