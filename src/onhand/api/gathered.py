"""What happened, gathered: for who only wants to know what to read again.

One look at the events a second, whatever happens and however many streams are open; each filter is written out once and
sent to all who share it. A console that is told of every order is told more than it can show, and two hundred of them
would cost more than the orders themselves.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psycopg
import structlog
from starlette.concurrency import run_in_threadpool

from onhand.api.events import matcher
from onhand.db import Database, outbox
from onhand.db.outbox import Brief, Cursor
from onhand.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

EVERY_S = 1.0
SUBJECTS_MAX = 100
_ROWS = 5_000
_BUFFER_MAX = 60
# How often a stream looks whether its key still lives, also while much happens.
_LOOK_S = 5.0

NamesOf = Callable[[Sequence[int]], list[str]]
"""skus of item numbers, in the same order"""


@dataclass(slots=True)
class Happened:
    """Events of one kind: how many, and the first hundred subjects; `is_all`: there are no more."""

    count: int = 0
    # A dictionary keeps the order and knows what it has.
    subjects: dict[str, None] = field(default_factory=dict[str, None])
    is_all: bool = True

    def add(self, count: int, subjects: Sequence[str], is_all: bool) -> None:
        self.count += count
        self.is_all = self.is_all and is_all
        for subject in subjects:
            if subject not in self.subjects:
                if len(self.subjects) >= SUBJECTS_MAX:
                    self.is_all = False
                    return
                self.subjects[subject] = None


def gather(rows: Sequence[Brief], names: NamesOf) -> dict[str, Happened]:
    """What happened by kind. Changes of stock are told by sku."""
    found: dict[str, Happened] = {}
    for row in rows:
        of = found.setdefault(row.kind, Happened())
        if row.items is not None:
            items = list(dict.fromkeys(row.items))
            of.add(1, [sku for sku in names(items[: SUBJECTS_MAX + 1]) if sku], len(items) <= SUBJECTS_MAX)
        else:
            of.add(row.count, row.subjects, len(row.subjects) == row.count)
    return found


def digest(found: dict[str, Happened], wanted: Callable[[str], bool]) -> bytes:
    """The kinds that are wanted as one Server-Sent Event; empty if there are none."""
    shown: dict[str, Any] = {
        kind: {"count": of.count, "subjects": list(of.subjects), "is_all": of.is_all}
        for kind, of in found.items()
        if wanted(kind)
    }
    return b"event: gathered\ndata: %b\n\n" % msgspec.json.encode(shown) if shown else b""


@dataclass(slots=True, eq=False)
class _Subscriber:
    kinds: tuple[str, ...]
    texts: deque[bytes] = field(default_factory=deque[bytes])
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    overrun: bool = False


class Gatherer:
    """All gathered streams of this process. Methods are for the event loop's thread."""

    def __init__(self, db: Database, names: NamesOf, closing: threading.Event, every_s: float = EVERY_S) -> None:
        self._db = db
        self._names = names
        self._closing = closing
        self._every_s = every_s
        self._subscribers: set[_Subscriber] = set()
        self._starting = asyncio.Lock()
        self._stop: threading.Event | None = None

    async def digests(self, kinds: Sequence[str]) -> AsyncGenerator[bytes]:
        """Digests of these kinds, at most one a second; b"" once nothing that happens from now on is missed, and every
        five seconds. Ends when the subscriber was too slow, or the server closes."""
        subscriber = _Subscriber(tuple(kinds))
        await self._join(subscriber)
        try:
            yield b""
            look_at = time.monotonic() + _LOOK_S
            while not self._closing.is_set():
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + _LOOK_S
                    yield b""
                while subscriber.texts:
                    yield subscriber.texts.popleft()
                if subscriber.overrun:
                    return
                # No pause since it was seen to be empty: what comes from here on wakes it.
                subscriber.changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await subscriber.changed.wait()
        finally:
            self._leave(subscriber)

    async def _join(self, subscriber: _Subscriber) -> None:
        async with self._starting:
            if self._stop is None:
                head = await run_in_threadpool(self._head)
                self._stop = threading.Event()
                arguments = (head, self._stop, asyncio.get_running_loop())
                threading.Thread(target=self._tail, args=arguments, name="onhand gather", daemon=True).start()
            self._subscribers.add(subscriber)

    def _head(self) -> Cursor:
        with self._db.connection() as conn:
            return outbox.head(conn)

    def _leave(self, subscriber: _Subscriber) -> None:
        self._subscribers.discard(subscriber)
        if not self._subscribers and self._stop is not None and not self._starting.locked():
            self._stop.set()  # nobody listens: the next one starts a new tail
            self._stop = None

    def _tail(self, cursor: Cursor, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        while not (stop.is_set() or self._closing.is_set()):
            try:
                with self._db.connection() as conn:
                    rows = outbox.read_brief(conn, cursor, _ROWS)
                found = gather(rows, self._names)
            except (DatabaseUnavailable, psycopg.Error) as error:
                log.warning("what happened cannot be read; consoles wait", error=str(error))
                stop.wait(self._every_s)
                continue
            if rows:
                cursor = rows[-1].cursor
                try:
                    loop.call_soon_threadsafe(self._publish, found, stop)
                except RuntimeError:
                    return  # the loop has closed
            # With a full page there is more: it is not waited for, or the gap would grow.
            if len(rows) < _ROWS:
                stop.wait(self._every_s)
        with suppress(RuntimeError):  # the loop has closed
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for subscriber in self._subscribers:
            subscriber.changed.set()

    def _publish(self, found: dict[str, Happened], stop: threading.Event) -> None:
        if stop is not self._stop:
            return  # of a tail that was given up
        texts: dict[tuple[str, ...], bytes] = {}
        for subscriber in self._subscribers:
            text = texts.get(subscriber.kinds)
            if text is None:
                text = texts[subscriber.kinds] = digest(found, matcher(subscriber.kinds))
            if not text:
                continue
            if len(subscriber.texts) >= _BUFFER_MAX:
                subscriber.overrun = True
            else:
                subscriber.texts.append(text)
            subscriber.changed.set()
