"""The stream of events of one API process: one thread tails the outbox and feeds all subscribers.

Nothing is skipped: a subscriber first reads what it missed from the database, then joins the live
feed at a known place. Nobody waits for a slow subscriber: its buffer is bounded, and when that is
full it is disconnected and may resume where it stopped.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache

import msgspec
import psycopg
import structlog
from starlette.concurrency import run_in_threadpool

from onhand.db import Database, outbox
from onhand.db.outbox import Cursor, Event, Listener
from onhand.errors import DatabaseUnavailable, Overloaded

log = structlog.get_logger(__name__)

# A console holds one each, and what is gathered costs next to nothing.
STREAMS_MAX = 500
BUFFER_MAX = 5_000
_PAGE = 500
HEARTBEAT_S = 10.0
# How often a stream looks whether its key still lives and the server still runs.
_LOOK_S = 1.0
# A client that takes nothing for so long is not reading.
SEND_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One event, ready to be sent; encoded once for all subscribers."""

    cursor: Cursor
    kind: str
    text: bytes


@dataclass(slots=True, eq=False)
class _Subscriber:
    wanted: Callable[[str], bool]
    frames: deque[Frame] = field(default_factory=deque[Frame])
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    overrun: bool = False


def event_id(epoch: str, cursor: Cursor) -> str:
    """Public id of an event: `<epoch>.<xid>.<pos>`."""
    return f"{epoch}.{cursor.xid}.{cursor.pos}"


def parse_event_id(text: str) -> tuple[str, Cursor]:
    """The reverse of `event_id`. ValueError if it is not one."""
    epoch, _, rest = text.partition(".")
    return epoch, Cursor.parse(rest.replace(".", "-"))


def matcher(kinds: Sequence[str]) -> Callable[[str], bool]:
    """Whether a kind is wanted: `order.sourced`, `order.*`; an empty list wants everything. The same function for the
    same kinds."""
    return _matcher(tuple(kinds))


@lru_cache(maxsize=1024)
def _matcher(kinds: tuple[str, ...]) -> Callable[[str], bool]:
    exact = frozenset(k for k in kinds if not k.endswith("*"))
    prefixes = tuple(k[:-1] for k in kinds if k.endswith("*"))
    return lambda kind: not kinds or kind in exact or kind.startswith(prefixes)


class EventHub:
    """All event streams of this process. Methods are for the event loop's thread."""

    def __init__(self, db: Database, listener: Listener, names: Callable[[Sequence[int]], list[str]]) -> None:
        """names: skus of item numbers, in the same order"""
        self._db = db
        self._names = names
        self._listener = listener
        self._subscribers: set[_Subscriber] = set()
        self._position = Cursor()
        self._stop: threading.Event | None = None
        self._starting = asyncio.Lock()
        self._taken = 0
        self._epoch: str | None = None
        self.closing = threading.Event()

    @property
    def streams(self) -> int:
        """Streams that are open now."""
        return self._taken

    def close(self) -> None:
        """End all streams within a second. Thread-safe."""
        self.closing.set()
        if self._stop is not None:
            self._stop.set()

    async def epoch(self) -> str:
        """Id of this database's history."""
        if self._epoch is None:
            self._epoch = await run_in_threadpool(self._read_epoch)
        return self._epoch

    def take(self) -> None:
        """Claim one of the places for streams; `give_back` it. Raises Overloaded."""
        if self._taken >= STREAMS_MAX or self.closing.is_set():
            raise Overloaded(retry_after_s=5)
        self._taken += 1

    def give_back(self) -> None:
        self._taken -= 1

    async def frames(self, after: Cursor | None, wanted: Callable[[str], bool]) -> AsyncGenerator[bytes]:
        """Encoded events after the cursor (None: from now on) as they settle; b"" once it has joined, and every second.
        Ends when the subscriber was too slow, or the server closes.
        """
        epoch = await self.epoch()
        cursor = after
        while cursor is not None:  # what was missed, up to less than a page
            events = await run_in_threadpool(self._read, cursor)
            for event in events:
                if wanted(event.kind):
                    yield encode(epoch, event)
            if events:
                cursor = events[-1].cursor
            if len(events) < _PAGE:
                break
            yield b""
        subscriber = await self._join(wanted)
        try:
            # Joining and reading the position happen without a pause between them: the feed brings
            # everything after `joined`, the database everything up to it.
            joined = self._position
            yield b""
            if cursor is not None:
                async for event in self._between(cursor, joined):
                    if wanted(event.kind):
                        yield encode(epoch, event)
            after_join = joined if cursor is None else max(joined, cursor)
            async for text in self._live(subscriber, after_join):
                yield text
        finally:
            self._leave(subscriber)

    async def _between(self, after: Cursor, until: Cursor) -> AsyncGenerator[Event]:
        """The events behind `after` up to and with `until`."""
        while after < until:
            events = await run_in_threadpool(self._read, after)
            for event in events:
                if event.cursor > until:
                    return
                yield event
            if not events:
                return
            after = events[-1].cursor

    async def _live(self, subscriber: _Subscriber, after: Cursor) -> AsyncGenerator[bytes]:
        look_at = time.monotonic() + _LOOK_S
        while not self.closing.is_set():
            # Also while much happens: a key may have ended.
            if time.monotonic() >= look_at:
                yield b""
                look_at = time.monotonic() + _LOOK_S
            if subscriber.frames:
                frame = subscriber.frames.popleft()
                if frame.cursor > after:
                    yield frame.text
                continue
            if subscriber.overrun:
                return  # after all that was buffered: the client resumes from its last event
            subscriber.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + look_at - time.monotonic()):
                    await subscriber.changed.wait()

    async def _join(self, wanted: Callable[[str], bool]) -> _Subscriber:
        async with self._starting:
            if self._stop is None:
                epoch = await self.epoch()
                self._position = await run_in_threadpool(self._head)
                self._stop = threading.Event()
                threading.Thread(
                    target=self._tail,
                    args=(epoch, self._position, self._stop, asyncio.get_running_loop()),
                    name="onhand streams",
                    daemon=True,
                ).start()
            subscriber = _Subscriber(wanted)
            self._subscribers.add(subscriber)
            return subscriber

    def _leave(self, subscriber: _Subscriber) -> None:
        self._subscribers.discard(subscriber)
        if not self._subscribers and self._stop is not None and not self._starting.locked():
            self._stop.set()  # nobody listens: the next one starts a new tail at the head
            self._stop = None

    def _tail(
        self,
        epoch: str,
        cursor: Cursor,
        stop: threading.Event,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        published = threading.Event()
        for events in outbox.tail(self._db, self._listener, cursor, stop=stop):
            frames = [Frame(e.cursor, e.kind, encode(epoch, e)) for e in self._named_in_time(events, stop)]
            published.clear()
            try:
                loop.call_soon_threadsafe(self._publish, frames, stop, published)
            except RuntimeError:
                return  # the loop has closed
            # One batch at a time: a busy loop must not pile them up.
            while not published.wait(1.0):
                if stop.is_set():
                    return

    def _publish(self, frames: list[Frame], stop: threading.Event, published: threading.Event) -> None:
        published.set()
        if stop is not self._stop:
            return  # of a tail that was given up
        self._position = frames[-1].cursor
        # Those who want the same are given the same: frames are looked through once for each filter.
        chosen: dict[Callable[[str], bool], list[Frame]] = {}
        for subscriber in self._subscribers:
            mine = chosen.get(subscriber.wanted)
            if mine is None:
                mine = chosen[subscriber.wanted] = [f for f in frames if subscriber.wanted(f.kind)]
            if not mine:
                continue
            if len(subscriber.frames) + len(mine) > BUFFER_MAX:
                subscriber.overrun = True
            if not subscriber.overrun:
                subscriber.frames.extend(mine)
            subscriber.changed.set()

    def _named(self, events: Sequence[Event]) -> list[Event]:
        """Changes of stock are written by number, as they are written most; told by name too."""
        return [
            replace(event, data=event.data | {"skus": self._names(event.data.get("items", []))})
            if event.kind == "stock.changed"
            else event
            for event in events
        ]

    def _named_in_time(self, events: Sequence[Event], stop: threading.Event) -> Sequence[Event]:
        """Names may have to be read: the thread that feeds all streams waits until they can be."""
        while True:
            try:
                return self._named(events)
            except (DatabaseUnavailable, psycopg.Error) as error:
                log.warning("names of items cannot be read; streams wait", error=str(error))
                if stop.wait(1.0):
                    return ()

    def _read(self, cursor: Cursor) -> list[Event]:
        with self._db.connection() as conn:
            events = outbox.read(conn, cursor, _PAGE)
        return self._named(events)

    def _head(self) -> Cursor:
        with self._db.connection() as conn:
            return outbox.head(conn)

    def _read_epoch(self) -> str:
        with self._db.connection() as conn:
            return outbox.epoch(conn)


def encode(epoch: str, event: Event) -> bytes:
    """An event in the format of Server-Sent Events; the data are one line of JSON."""
    identity = event_id(epoch, event.cursor)
    document = {
        "id": identity,
        "type": event.kind,
        "timestamp": event.at,
        "subject": event.subject,
        "actor": event.actor,
        "reason": event.reason,
        "data": event.data,
    }
    body = msgspec.json.encode(document)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (identity.encode(), event.kind.encode(), body)
