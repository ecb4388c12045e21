"""Foretell when shipments will be there: learned again and again from our own deliveries, told anew after each scan.

It learns for up to a minute and keeps what it has learned in memory, so it is a process of its own (`run_apart`), one
for the whole installation. What it foretells is written, and an event tells of shipments that are likely to be late.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.db import Database
from onhand.db.outbox import write_events
from onhand.errors import DatabaseUnavailable
from onhand.flows.tracking.hear import hear
from onhand.flows.tracking.transit import feed_back
from onhand.fulfilment.delivery.learn import DELIVERED_MIN
from onhand.fulfilment.delivery.levels import LEVELS
from onhand.fulfilment.delivery.stages import StagedModel
from onhand.fulfilment.tracking import forecasts
from onhand.fulfilment.tracking.decide import likely_late_since, telling
from onhand.fulfilment.tracking.forecasts import Facts, Forecast, Foretold
from onhand.fulfilment.tracking.store import Key

log = structlog.get_logger(__name__)

HISTORY: Final = timedelta(days=365)
_HISTORY_MAX: Final = 100_000
# What has been on its way for longer is lost, or nobody tells of it.
_OPEN: Final = timedelta(days=60)
_LEARN_EVERY: Final = timedelta(hours=6)
_AGAIN_AFTER: Final = timedelta(days=1)
_AT_ONCE: Final = 2_000
_LOOK_EVERY_S: Final = 2.0
_LOOK_AGAIN_EVERY_S: Final = 300.0
_START_EVERY_S: Final = 30.0
_WATCH_EVERY_S: Final = 2.0
_LEVELS: Final = np.array(LEVELS)
# A forecast that differs by less from the one before says nothing new.
_P_LATE_STEP: Final = 0.02
_DAYS_STEP: Final = 0.25


def _clock() -> datetime:
    return datetime.now(UTC)


class Foreteller:
    """What was learned, and what is done with it.

    trees    None: if the extra `forecast` is there
    signals  names of those that shipments hear; only trees do
    """

    def __init__(
        self, db: Database, *, now: Callable[[], datetime] = _clock, trees: bool | None = None,
        signals: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._db, self._now, self._trees, self._signals = db, now, trees, tuple(signals)
        self._model: StagedModel | None = None
        self._learned_at: datetime | None = None
        self._looked_again_at = float("-inf")

    @property
    def is_due(self) -> bool:
        """Whether it is time to learn again."""
        return self._learned_at is None or self._now() >= self._learned_at + _LEARN_EVERY

    def learn(self) -> Facts:
        """Learn from the shipments of the last year; what was learned from."""
        now = self._now()
        with self._db.connection() as conn:
            keys = forecasts.recent_keys(conn, since=now - HISTORY, limit=_HISTORY_MAX)
            facts = hear(conn, forecasts.load_facts(conn, keys), self._signals, now)
        self._learned_at = now
        day = now.timestamp() / 86_400
        shipments = facts.shipments
        rows = telling(
            [*zip(facts.carriers, facts.services, strict=True)], shipments.days, day - shipments.start,
            day - facts.silent_from,
        )  # fmt: skip
        if np.isfinite(shipments.days[rows]).sum() >= DELIVERED_MIN:
            # Of the hand-over the model itself knows.
            scans = {name: at[rows] for name, at in facts.scans.items() if name != "handed_over"}
            self._model = StagedModel(shipments.rows(rows), scans, day, trees=self._trees)
        return facts

    def look(self) -> int:
        """Foretell shipments that are new or were scanned, and now and then those of which nothing was heard for a day;
        how many. Nothing before there was enough to learn from."""
        if self._model is None:
            return 0
        since = self._now() - _OPEN
        with self._db.connection() as conn:
            keys = forecasts.keys_to_foretell(conn, since=since, limit=_AT_ONCE)
            if not keys and time.monotonic() - self._looked_again_at > _LOOK_AGAIN_EVERY_S:
                before = self._now() - _AGAIN_AFTER
                keys = forecasts.keys_to_foretell(conn, since=since, limit=_AT_ONCE, before=before)
                if not keys:
                    self._looked_again_at = time.monotonic()
        return self.foretell(keys) if keys else 0

    def foretell(self, keys: list[Key]) -> int:
        """Foretell these shipments; how many were."""
        assert self._model is not None, "nothing was learned yet"
        now = self._now()
        with self._db.connection() as conn:
            facts = hear(conn, forecasts.load_facts(conn, keys), self._signals, now)
        elapsed = np.maximum(now.timestamp() / 86_400 - facts.shipments.start, 0.0)
        made = self._model.predict(facts.shipments, facts.last, facts.last_at, _LEVELS, elapsed)
        row_of = {key: row for row, key in enumerate(facts.keys)}

        def forecast(before: Foretold) -> Forecast:
            row = row_of[before.key]
            days = [round(of, 4) for of in made.quantiles[row].tolist()]
            p_late = None if np.isnan(made.late[row]) else round(float(np.clip(made.late[row], 0.0, 1.0)), 4)
            is_new = _says_more(before, days, p_late)
            if not is_new and before.days is not None:
                days, p_late = before.days, before.p_late
            return Forecast(
                key=before.key, number=before.forecasts + is_new, is_new=is_new, milestone=facts.last[row], days=days,
                due=float(facts.shipments.start[row] + facts.shipments.promised[row]), p_late=p_late,
                since=likely_late_since(p_late, before.since, now),
            )  # fmt: skip

        def work(conn: Connection[TupleRow]) -> int:
            before = forecasts.lock_foretold(conn, facts.keys, facts.scanned_at)
            written = [forecast(of) for of in before]
            forecasts.write_forecasts(conn, written, now=now)
            events = [
                _event(f, facts.shipments.start[row_of[f.key]])
                for of, f in zip(before, written, strict=True)
                if (of.since is None) != (f.since is None)
            ]
            write_events(conn, events, actor=SYSTEM, origin=self._db.origin)
            return len(written)

        done = self._db.transact(work)
        self._db.notify()
        return done


def _says_more(before: Foretold, days: list[float], p_late: float | None) -> bool:
    if before.days is None or (p_late is None) != (before.p_late is None):
        return True
    if p_late is not None and before.p_late is not None and abs(p_late - before.p_late) >= _P_LATE_STEP:
        return True
    return max(abs(a - b) for a, b in zip(days, before.days, strict=True)) >= _DAYS_STEP


def _event(made: Forecast, start: float) -> tuple[str, str, dict[str, object]]:
    order_id, number = made.key
    expected = datetime.fromtimestamp((start + made.days[LEVELS.index(0.5)]) * 86_400, tz=UTC)
    due = datetime.fromtimestamp(made.due * 86_400, tz=UTC)
    data: dict[str, object] = {
        "order_id": order_id, "p_late": made.p_late, "deliver_by": due.isoformat(timespec="seconds"),
        "expected_at": expected.isoformat(timespec="seconds"), "milestone": made.milestone,
    }  # fmt: skip
    return (
        "shipment.likely_late" if made.since is not None else "shipment.likely_in_time",
        f"{order_id}-s{number}",
        data,
    )


def run_apart(
    db: Database, stop: threading.Event, *, start_every_s: float = _START_EVERY_S, signals: Sequence[str] = ()
) -> None:
    """Have a process of its own foretell until `stop` is set, while there is anything to learn from; another one only
    where no other worker has one."""
    while not stop.wait(start_every_s):
        try:
            with db.connection() as conn:
                if not forecasts.has_much(conn, since=_clock() - HISTORY, many=DELIVERED_MIN):
                    continue
            with db.connect() as conn:
                # Held as long as the connection is.
                got = conn.execute("SELECT pg_try_advisory_lock(hashtextextended('onhand forecasts', 0))").fetchone()
                if got == (True,):
                    _watch(db.url, conn, stop, signals)
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("forecasts of shipments wait for the database", error=str(error))


def _watch(url: str, conn: Connection[TupleRow], stop: threading.Event, signals: Sequence[str]) -> None:
    # Spawned: a fork would share this process's connections and threads.
    child = multiprocessing.get_context("spawn").Process(
        target=_foretell_on, args=(url, os.getpid(), tuple(signals)), name="onhand forecasts of shipments", daemon=True
    )
    child.start()
    try:
        while child.is_alive() and not stop.wait(_WATCH_EVERY_S):
            conn.execute("SELECT 1")
    finally:
        if child.is_alive():
            child.terminate()
        child.join()


def _foretell_on(url: str, parent: int, signals: Sequence[str]) -> None:
    """The child: learn and foretell until its parent ends it, or is gone."""
    os.nice(10)
    with Database.open(url, pool_max=2) as db:
        foreteller = Foreteller(db, signals=signals)
        while os.getppid() == parent:
            try:
                if foreteller.is_due:
                    feed_back(db, foreteller.learn(), _clock())
                if not foreteller.look():
                    time.sleep(_LOOK_EVERY_S)
            except DatabaseUnavailable as error:
                log.warning("forecasts of shipments wait for the database", error=str(error))
                time.sleep(_LOOK_EVERY_S)
