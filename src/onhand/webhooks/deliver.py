"""The delivery loop: new events become deliveries, due deliveries are sent, the outcome is written down.

One process delivers at a time (an advisory lock that dies with its connection, so a killed one is replaced within a
second); a process that loses its lock may send a message twice, which receivers drop by its id. Within it every
endpoint has a task of its own that sends in the order of events, one at a time, for at most a few seconds; a failure
ends its turn and pauses the endpoint, and the failed message waits for its own next try while later ones go on.
"""

import asyncio
import random
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.base.loop import run_loop
from onhand.db import Database, outbox
from onhand.db.outbox import Listener
from onhand.errors import DatabaseUnavailable
from onhand.webhooks import signing, store
from onhand.webhooks.model import GIVE_UP_AFTER, Delivery, Endpoint, next_try, pause_s
from onhand.wire import Caller, Guard, NotReachable

T = TypeVar("T")
log = structlog.get_logger(__name__)

_EVENTS_PER_TURN = 5_000
_TURN_DELIVERIES_MAX = 100
_TURN_S = 10.0
_ENDPOINTS_AT_ONCE = 200
_RESOLVERS = 64
_IDLE_S = 1.0
# Under load there is an event at any moment; looking for deliveries at each would slow the orders that cause them.
_LOOK_EVERY_S = 0.2
_STAND_BY_S = 1.0
_PURGE_EVERY_S = 600.0
# A pause between two successes is no outage: only after a longer one is everything that waits tried at once.
_OUTAGE = timedelta(minutes=1)


def _clock() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Turn:
    """What one turn of an endpoint came to."""

    delivered: list[int] = field(default_factory=list[int])
    failed: Delivery | None = None
    error: str = ""


class Deliverer:
    """Delivers events to webhooks until told to stop. `run` blocks: give it a thread."""

    def __init__(
        self,
        db: Database,
        listener: Listener,
        *,
        allow_private_urls: bool = False,
        now: Callable[[], datetime] = _clock,
        seed: int | None = None,
    ) -> None:
        self._db = db
        self._listener = listener
        self._guard = Guard(allow_private=allow_private_urls)
        self._now = now
        self._rng = random.Random(seed)  # noqa: S311  jitter, not a secret
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._paused_until: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._epoch = ""
        # Apart from the loop's own threads, which slow name servers may fill.
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="onhand webhooks")

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set; what is being sent then is finished. Rides out a database that goes away."""
        while not stop.is_set():
            try:
                with self._db.connect() as conn:
                    if store.lead(conn):
                        self._epoch = outbox.epoch(conn)
                        run_loop(self._deliver(conn, stop))
            except (DatabaseUnavailable, psycopg.Error) as error:
                log.warning("webhooks wait for the database", error=str(error))
            except Exception:
                log.exception("webhooks stopped; they start again")
            stop.wait(_STAND_BY_S)

    async def _deliver(self, conn: Connection[TupleRow], stop: threading.Event) -> None:
        tls = ssl.create_default_context()
        wake = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="onhand resolve"))
        unsubscribe = self._listener.subscribe(lambda: _wake(loop, wake))
        purge_at = time.monotonic()
        try:
            while not stop.is_set():
                wake.clear()
                await self._in_thread(conn.execute, "SELECT 1")  # the lock is still ours
                moved = await self._in_thread(self._fan_out)
                started = await self._start_turns(tls, wake, stop)
                if time.monotonic() >= purge_at:
                    await self._in_thread(self._purge)
                    purge_at = time.monotonic() + _PURGE_EVERY_S
                if moved < _EVENTS_PER_TURN and not started:
                    await _wait(wake, _IDLE_S)
                    await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            unsubscribe()
            if self._busy:
                await asyncio.wait(self._busy.values())

    def _in_thread(self, work: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def _fan_out(self) -> int:
        return self._db.transact(lambda conn: store.fan_out(conn, _EVENTS_PER_TURN))

    def _purge(self) -> None:
        with self._db.connection() as conn:
            store.purge(conn)

    async def _start_turns(self, tls: ssl.SSLContext, wake: asyncio.Event, stop: threading.Event) -> int:
        free = _ENDPOINTS_AT_ONCE - len(self._busy)
        if free <= 0:
            return 0
        now = time.monotonic()
        self._paused_until = {k: until for k, until in self._paused_until.items() if until > now}
        skipped = [*self._busy, *self._paused_until]
        turns = await self._in_thread(self._due, skipped)
        for endpoint, deliveries in turns[:free]:
            task = asyncio.create_task(self._take_turn(endpoint, deliveries, tls, stop))
            self._busy[endpoint.webhook_id] = task

            def done(_: "asyncio.Task[None]", webhook_id: str = endpoint.webhook_id) -> None:
                self._busy.pop(webhook_id, None)
                wake.set()

            task.add_done_callback(done)
        return len(turns[:free])

    def _due(self, skipped: list[str]) -> list[tuple[Endpoint, list[Delivery]]]:
        with self._db.connection() as conn:
            return store.due(conn, busy=skipped, each=_TURN_DELIVERIES_MAX, limit=50 * _TURN_DELIVERIES_MAX)

    async def _take_turn(
        self, endpoint: Endpoint, deliveries: list[Delivery], tls: ssl.SSLContext, stop: threading.Event
    ) -> None:
        turn = _Turn()
        try:
            async with Caller(self._guard, tls) as caller:
                until = time.monotonic() + _TURN_S
                for delivery in deliveries:
                    error = await self._send(caller, endpoint, delivery)
                    if error:
                        turn.failed, turn.error = delivery, error
                        break
                    turn.delivered.append(delivery.delivery_id)
                    if time.monotonic() > until or stop.is_set():
                        break
            await self._in_thread(self._record, endpoint, turn)
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("an outcome was not recorded; its messages are sent again", error=str(error))
            self._pause(endpoint)
        except Exception:
            log.exception("a turn of a webhook failed", webhook_id=endpoint.webhook_id)
            self._pause(endpoint)

    async def _send(self, caller: Caller, endpoint: Endpoint, delivery: Delivery) -> str:
        """Send one message; the reason if it was not taken, otherwise an empty text."""
        body = signing.payload(delivery)
        message = signing.message_id(self._epoch, delivery)
        head = signing.headers(endpoint.secret, message, body, self._now())
        try:
            status = await caller.post(endpoint.url, body, head)
        except NotReachable as error:
            return str(error)
        return "" if 200 <= status < 300 else f"the answer was HTTP {status}"

    def _record(self, endpoint: Endpoint, turn: _Turn) -> None:
        webhook_id = endpoint.webhook_id
        if turn.failed is None:
            self._failures.pop(webhook_id, None)
        now = self._now()

        def work(conn: Connection[TupleRow]) -> bool:
            if turn.delivered:
                store.record_delivered(conn, turn.delivered)
                since = endpoint.failing_since
                hurry = since is not None and now - since > _OUTAGE and turn.failed is None
                store.mark_healthy(conn, webhook_id, hurry=hurry)
            if turn.failed is None:
                return False
            due_at = next_try(turn.failed.attempts + 1, turn.failed.created_at, now, self._rng)
            store.record_failed(conn, turn.failed.delivery_id, error=turn.error, due_at=due_at)
            failing_since = store.mark_failing(conn, webhook_id)
            if failing_since is None or now - failing_since < GIVE_UP_AFTER:
                return False
            if store.disable_webhook(conn, webhook_id):
                data = {"webhook_id": webhook_id, "status": "disabled", "error": turn.error}
                outbox.write_event(conn, "webhook.changed", webhook_id, data, actor=SYSTEM, origin=self._db.origin)
            return True

        if self._db.transact(work):
            log.warning("a webhook was disabled: it failed for three days", webhook_id=webhook_id)
            self._db.notify()
        if turn.failed is not None:
            self._pause(endpoint)

    def _pause(self, endpoint: Endpoint) -> None:
        failures = self._failures.get(endpoint.webhook_id, 0) + 1
        self._failures[endpoint.webhook_id] = failures
        self._paused_until[endpoint.webhook_id] = time.monotonic() + pause_s(failures, self._rng)


def _wake(loop: asyncio.AbstractEventLoop, wake: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(wake.set)


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
