"""One pass: read what there is, ask the detectors that are due, make incidents of what they find, write the difference.

One process does it at a time: it holds a lock for as long as its connection lives, and what it reads and writes goes
over that very connection, so whoever dies, or is cut off, neither holds up the next one nor writes after it. Each
detector's findings are written in a transaction of their own: one that fails stops no other, and closes nothing.
"""

import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.base.ids import new_id
from onhand.db import Database, queries
from onhand.db.outbox import Cursor, advance_cursor, get_cursor, head, write_events
from onhand.db.pool import is_lost
from onhand.errors import DatabaseUnavailable
from onhand.flows.incidents.scene import Changes, Detector, Memory, Scene, Seen, Unseen
from onhand.flows.incidents.table import DETECTORS
from onhand.incidents import store
from onhand.incidents.group import reconciled
from onhand.incidents.keeping import Stored, writes
from onhand.incidents.model import Finding

SQL = queries(__file__)
log = structlog.get_logger(__name__)

CONSUMER: Final = "incidents"
# Events that are looked at one by one; when there are more, the next full look sees what they told of.
_EVENTS_MAX: Final = 2_000
# A detector that could not look, or failed, tries again after this share of its period.
_AGAIN_SHARE: Final = 0.25
_KEPT_FOR: Final = timedelta(days=400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """How a detector fared. problem: why it could not look; the others are counts of incidents."""

    detector: str
    problem: str | None
    findings: int
    opened: int = 0
    updated: int = 0
    closed: int = 0
    took_ms: int = 0
    is_full: bool = True


class Watch:
    """The passes of one process; remembers what it has learned between them. Not for two threads at once.

    now        the clock
    detectors  see table.py
    """

    def __init__(self, db: Database, *, now: Callable[[], datetime], detectors: Sequence[Detector] = DETECTORS) -> None:
        self._db, self._now, self._detectors = db, now, detectors
        self._memory = Memory()

    def look(self, *, only: Collection[str] | None = None, is_due: bool = False) -> list[Looked] | None:
        """Look in full with the detectors that are due, and with the others at what has changed; how they fared. None:
        another process is at it.

        only    names of the detectors to look with; None: all
        is_due  as if all of them were due
        """
        asked = [d for d in self._detectors if only is None or d.name in only]
        if not is_due and self._is_quiet(asked):
            return []
        with self._alone() as conn:
            if conn is None:
                return None
            scene = Scene(conn=conn, now=self._now(), memory=self._memory)
            looks = store.looks(conn)
            due = asked if is_due else [d for d in asked if self._is_due(looks.get(d.name), d, scene.now)]
            done: list[Looked] = []
            if only is None:
                done += self._look_at_changes(scene, [d for d in asked if d not in due])
            for detector in due:
                done.append(self._look_with(scene, detector))
        if any(looked.opened or looked.updated or looked.closed for looked in done):
            self._db.notify()
        return done

    def _is_quiet(self, detectors: Sequence[Detector]) -> bool:
        """Whether nothing is due and nothing has changed: most of the times that it is asked, and then it costs no
        connection of its own."""
        now = self._now()
        with self._db.connection() as conn:
            looks = store.looks(conn)
            at = get_cursor(conn, CONSUMER)
            return at == head(conn) and not any(self._is_due(looks.get(d.name), d, now) for d in detectors)

    @staticmethod
    def _is_due(look: store.Look | None, detector: Detector, now: datetime) -> bool:
        if look is None:
            return True
        every = detector.every if look.problem is None else detector.every * _AGAIN_SHARE
        return now - look.tried_at >= every

    @contextmanager
    def _alone(self) -> Generator[Connection[TupleRow] | None]:
        """A connection that holds the lock; None: another has it."""
        with self._db.connect() as conn:
            try:
                row = conn.execute(SQL["lock_watch"]).fetchone()
                yield conn if row == (True,) else None
            except psycopg.Error as error:
                if is_lost(error, conn):
                    raise DatabaseUnavailable(f"the database went away: {error}") from error
                raise

    def _look_with(self, scene: Scene, detector: Detector) -> Looked:
        began = time.monotonic()
        seen = self._asked(scene, detector, lambda: detector.look(scene))
        took_ms = round((time.monotonic() - began) * 1000)
        if isinstance(seen, Unseen):
            with scene.conn.transaction():
                store.save_look(
                    scene.conn, detector.name, now=scene.now, problem=seen.reason, findings=0, took_ms=took_ms
                )  # fmt: skip
            return Looked(detector=detector.name, problem=seen.reason, findings=0, took_ms=took_ms)
        with scene.conn.transaction():
            counts = self._write(scene, detector, seen)
            took_ms = round((time.monotonic() - began) * 1000)
            store.save_look(
                scene.conn, detector.name, now=scene.now, problem=None, findings=len(seen), took_ms=took_ms
            )  # fmt: skip
        return replace(counts, findings=len(seen), took_ms=took_ms)

    def _asked(self, scene: Scene, detector: Detector, look: Callable[[], Seen | Unseen]) -> Seen | Unseen:
        """What a detector answers; a failure of its own is one more reason to see nothing."""
        try:
            seen = look()
        except Exception as error:
            if is_lost(error, scene.conn):
                raise
            log.exception("a detector failed; the others go on, and its incidents stay", detector=detector.name)
            return Unseen(reason=f"it failed: {type(error).__name__}: {error}"[:500])
        if isinstance(seen, Unseen):
            log.info("a detector has too little to go by", detector=detector.name, reason=seen.reason)
        return seen

    def _look_at_changes(self, scene: Scene, detectors: Sequence[Detector]) -> list[Looked]:
        """What has changed since the last time, with the detectors that can look at that alone; in one transaction, so
        that each change is looked at once."""
        some = [d for d in detectors if d.changed is not None]
        at = get_cursor(scene.conn, CONSUMER)
        if at is None:
            # Whatever was before, the first full look has seen, or will.
            with scene.conn.transaction():
                advance_cursor(scene.conn, CONSUMER, head(scene.conn))
            return []
        changes, to = read_changes(scene.conn, at)
        if to is None:
            return []
        began = time.monotonic()
        found: list[tuple[Detector, Seen]] = []
        if changes is not None and (changes.orders or changes.positions):
            for detector in some:
                look = detector.changed
                assert look is not None, "chosen for it"
                seen = self._asked(scene, detector, lambda look=look: look(scene, changes))
                if isinstance(seen, Seen):
                    found.append((detector, seen))
        done: list[Looked] = []
        with scene.conn.transaction():
            for detector, seen in found:
                looked = self._write(scene, detector, seen)
                took_ms = round((time.monotonic() - began) * 1000)
                done.append(replace(looked, findings=len(seen), took_ms=took_ms, is_full=False))
            advance_cursor(scene.conn, CONSUMER, to)
        return done

    def _write(self, scene: Scene, detector: Detector, seen: Seen) -> Looked:
        """Make incidents of what was found, and write what is another, in the caller's transaction."""
        conn, now = scene.conn, scene.now
        stored = store.lock_known(conn, detector.kinds, since=now - detector.patience.again_within)
        opened = updated = closed = 0
        for currency in sorted({s.currency for s in stored} | seen.findings.keys()):
            known = {s.incident.key: s for s in stored if s.currency == currency}
            findings = [*seen.findings.get(currency, ()), *_not_looked_at(known.values(), seen)]
            change = reconciled(
                [s.incident for s in known.values()], findings, now, looked_at=detector.kinds, parts=seen.parts,
                patience=detector.patience,
            )  # fmt: skip
            done = writes(known, change, currency, now, new_id)
            store.save(conn, done)
            store.seen(conn, done.seen, now)
            write_events(
                conn, [(t.kind, t.incident_id, t.data) for t in done.told], actor=SYSTEM, origin=self._db.origin
            )  # fmt: skip
            opened, updated, closed = (
                opened + len(change.opened),
                updated + len(change.updated),
                closed + len(change.closed),
            )
        return Looked(
            detector=detector.name, problem=None, findings=0, opened=opened, updated=updated, closed=closed
        )  # fmt: skip


def _not_looked_at(known: Collection[Stored], seen: Seen) -> list[Finding]:
    """What is kept of subjects that a pass over changes has not looked at: it holds until a full one."""
    if seen.scope is None:
        return []
    return [
        finding for s in known if s.incident.closed_at is None for finding in s.incident.findings
        if finding.subject not in seen.scope
    ]  # fmt: skip


def read_changes(conn: Connection[TupleRow], after: Cursor) -> tuple[Changes | None, Cursor | None]:
    """(what events tell of behind `after`, where they end). No changes: too many to look at one by one. No end: there
    are none."""
    place = {"xid": after.xid, "pos": after.pos, "limit": _EVENTS_MAX + 1}
    row = conn.execute(SQL["changes"], place).fetchone()
    assert row is not None, "an aggregate has a row"
    xid, pos, events, orders, items, nodes = row
    if not events:
        return None, None
    if events > _EVENTS_MAX:
        return None, head(conn)
    return Changes(orders=orders, positions=[*zip(items, nodes, strict=True)]), Cursor(xid, pos)


def forget_incidents(conn: Connection[TupleRow], now: datetime) -> int:
    """Forget what has been over for more than a year; how many."""
    return store.purge(conn, now - _KEPT_FOR)
