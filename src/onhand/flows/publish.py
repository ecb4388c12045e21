"""The publication loop: changes of the ledger become numbers on channels.

    ledger change -> items -> numbers (flows/numbers.py) -> book of each channel (channels/publication/book.py)
    -> batch, recorded -> connector -> fates, recorded

One process publishes to a channel at a time (an advisory lock that dies with its connection). Within it every channel
has a task, a breaker and a book of its own: a slow or dead one delays no other. A process that loses its lock may send
a batch twice, under the same keys.
"""

import asyncio
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.base.loop import run_loop
from onhand.channels.gate_notes import store as gate_store
from onhand.channels.gates.exposure import Latency
from onhand.channels.gates.live import Gates, Latencies
from onhand.channels.model import CONNECTOR
from onhand.channels.publication import store
from onhand.channels.publication.book import NONE, Batch, Book, Stored
from onhand.channels.publication.breaker import Breaker
from onhand.channels.publication.compare import Drift, compare, missing
from onhand.connectors import Refused, Unavailable
from onhand.connectors._sdk.outcomes import fate_of
from onhand.connectors._sdk.values import Fate, Level, Outcome
from onhand.db import Database, outbox
from onhand.db.outbox import Cursor, Listener
from onhand.errors import DatabaseUnavailable
from onhand.flows.accounts import Account, Accounts, Connectors, NotConnected
from onhand.flows.channel_events import Event, of_batch
from onhand.flows.confirm_writes import CAPABILITY, Unconfirmed, confirm
from onhand.flows.gating import LEARN_EVERY_S, Gating, traits_of
from onhand.flows.held_at import Moments
from onhand.flows.numbers import Numbers
from onhand.flows.publish_prices import LivePrices, PricePublisher
from onhand.flows.state import State

T = TypeVar("T")
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
log = structlog.get_logger(__name__)

_STAND_BY_S: Final = 1.0
_LOOK_EVERY_S: Final = 1.0
_HEALTH_EVERY_S: Final = 2.0
_IDLE_S: Final = 1.0
_CHECK_EVERY_S: Final = 1.0
_HIDDEN_POLL_S: Final = 0.02
# Batches gather what changes meanwhile; each look costs the database two queries.
_FOLLOW_EVERY_S: Final = 0.01
_THREADS: Final = 4
_TICK_EVERY_S: Final = 1.0
_POLL_S: Final = 0.05
_RESOLVERS: Final = 64
# How long requests under way are waited for when we are to stop; they are recorded, so they can be sent again.
_GRACE_S: Final = 5.0
RECONCILE_EVERY_S: Final = 3600.0
# A write whose answer never came may be lying at the channel, and take effect after a newer one: longer than requests
# live, all that it shows is read.
_DOUBT_S: Final = 90.0
_PAGES_MAX: Final = 100_000


@dataclass(slots=True, eq=False)
class Live:
    """A channel that this process publishes to."""

    account: Account
    book: Book
    breaker: Breaker = field(default_factory=Breaker)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    reading: "asyncio.Task[None] | None" = None
    under_way: "set[asyncio.Task[None]]" = field(default_factory=set)  # pyright: ignore[reportUnknownVariableType]
    unsaved: set[int] = field(default_factory=set[int])
    # What is recorded is as of when it is written: of two that write the same row, the later one is right.
    saving: asyncio.Lock = field(default_factory=asyncio.Lock)
    # From the change to the write that leaves (wait), to its answer (lag), and of the request itself (apply).
    wait: Latency = field(default_factory=Latency)
    lag: Latency = field(default_factory=Latency)
    apply: Latency = field(default_factory=Latency)
    written: int = 0
    failed: int = 0
    requests: int = 0
    last_error: str = ""
    unconfirmed: Unconfirmed = field(default_factory=Unconfirmed)
    moments: Moments = field(default_factory=Moments)
    confirming: "asyncio.Task[None] | None" = None
    checking: "asyncio.Task[None] | None" = None
    check_at: float = 0.0
    reconcile_at: float = 0.0
    read_again_at: float = 0.0
    # When writes that may yet take effect have done so or never will; of the last of them.
    doubted_until: float = float("inf")
    last_doubt_until: float = float("-inf")
    is_stopping: bool = False
    prices: LivePrices | None = None
    # By row of the book, units that it sells until a number that leaves now is shown; 0 where no gate is computed.
    soon: "Float64 | float" = 0.0

    def doubt(self, until: float) -> None:
        """A write was given up that may yet take effect. One that compares will not: it finds another number."""
        if self.book.can_read and not self.book.is_compared:
            self.doubted_until = min(self.doubted_until, until)
            self.last_doubt_until = until

    def health(self, now: float) -> dict[str, Any]:
        """As others are shown it."""
        return {
            "queue_depth": self.book.depth(now),
            "under_way": len(self.under_way),
            "listings": len(self.book),
            "to_read": len(self.book.to_read()),
            "gone": int(self.book.is_gone.sum()),
            "written": self.written,
            "failed": self.failed,
            "requests": self.requests,
            "breaker": "open" if self.breaker.is_open(now) else "closed",
            "failures_in_a_row": self.breaker.failures,
            "last_error": self.last_error,
            "lag_ms": _quantiles_ms(self.lag),
            "wait_ms": _quantiles_ms(self.wait),
            "request_ms": _quantiles_ms(self.apply),
            "numbers": self.book.verified()._asdict(),
        } | ({} if self.prices is None else {"prices": self.prices.health(now)})

    def is_quiet(self, now: float) -> bool:
        """Whether nothing of stock waits that could be written, or is under way."""
        return not self.under_way and not self.book.has_due(now)

    def latency(self) -> dict[str, Any]:
        """As gates take it."""
        return {"wait": self.wait.document(), "apply": self.apply.document(), "lag": self.lag.document()}


def _quantiles_ms(latency: Latency) -> dict[str, float]:
    return {"p50": round(1e3 * latency.quantile_s(0.5), 1), "p99": round(1e3 * latency.quantile_s(0.99), 1)}


@dataclass(slots=True)
class _News:
    """What the outbox tells: items to be looked at, with the moment of their first change."""

    items: dict[int, float] = field(default_factory=dict[int, float])
    pairs: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    skus: set[str] = field(default_factory=set[str])
    listings: set[str] = field(default_factory=set[str])
    is_network: bool = False
    count: int = 0


class Publisher:
    """Publishes to the channels of an installation until told to stop. `run` blocks: give it a thread.

    state            what numbers are computed from; this process follows it
    reconcile_every_s  between two readings of all that a channel shows
    doubt_s            how long a write that was given up may yet take effect
    learn_every_s      between two changes of the price of risk of computed gates
    """

    def __init__(
        self,
        state: State,
        listener: Listener,
        connectors: Connectors,
        *,
        allow_private_urls: bool = False,
        reconcile_every_s: float = RECONCILE_EVERY_S,
        doubt_s: float = _DOUBT_S,
        learn_every_s: float = LEARN_EVERY_S,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
    ) -> None:
        self._state, self._db, self._listener, self._connectors = state, state.db, listener, connectors
        self._allow_private_urls, self._reconcile_every_s = allow_private_urls, reconcile_every_s
        self._doubt_s = doubt_s
        self._clock = clock
        self._rng = random.Random(seed)  # noqa: S311  jitter, not a secret
        # Keys are no secrets, but must never come twice. The operating system is asked once: each question gives the
        # interpreter to another thread, and it may take a millisecond to have it back.
        self._keys = random.Random(os.urandom(32))  # noqa: S311
        self._gating = Gating(state.db, clock, learn_every_s=learn_every_s)
        self._numbers = Numbers(state, self._gating.gates, clock)
        self._live: dict[int, Live] = {}
        self._faults: dict[str, str] = {}  # by code, why a channel cannot be talked to
        self._not_connected: dict[int, str] = {}  # the same by id
        self._computed: frozenset[int] = frozenset()  # channels whose gates are computed
        self._noting: asyncio.Future[None] | None = None
        self._asking: set[int] = set()  # among them, those that call us and whose gates are noted by this process
        self._cursor = Cursor()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="onhand publication")
        self._prices = PricePublisher(
            state.db, self._in_thread, clock, rng=self._rng, keys=self._keys, read_every_s=reconcile_every_s,
            doubt_s=doubt_s,
        )  # fmt: skip

    @property
    def live(self) -> dict[int, Live]:
        """The channels that this process publishes to, by id; of its own thread."""
        return self._live

    @property
    def gates(self) -> Gates:
        """What is decided of gates; of its own threads."""
        return self._gating.gates

    @property
    def heard(self) -> Cursor:
        """The last event whose news was taken over."""
        return self._cursor

    def run(self, stop: threading.Event) -> None:
        """Publish until `stop` is set. Rides out a database that goes away."""
        while not stop.is_set():
            try:
                with self._db.connect() as conn:
                    run_loop(self._publish(conn, stop))
            except (DatabaseUnavailable, psycopg.Error) as error:
                log.warning("publication waits for the database", error=str(error))
            except Exception:
                log.exception("publication stopped; it starts again")
            stop.wait(_STAND_BY_S)
        self._pool.shutdown()

    async def _publish(self, conn: Connection[TupleRow], stop: threading.Event) -> None:
        wake = asyncio.Event()
        loop = asyncio.get_running_loop()
        # Names of a dead channel that cannot be resolved must not take the threads of the others.
        loop.set_default_executor(ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="onhand resolve"))
        unsubscribe = self._listener.subscribe(lambda: _wake(loop, wake))
        self._live = {}
        self._asking, self._noting = set(), None
        looked_at = saved_at = ticked_at = float("-inf")
        try:
            async with Accounts(self._db, self._connectors, allow_private_urls=self._allow_private_urls) as accounts:
                await self._in_thread(self._begin)
                try:
                    while not stop.is_set():
                        wake.clear()
                        if time.monotonic() - looked_at >= _LOOK_EVERY_S:
                            await self._look(conn, accounts)
                            looked_at = time.monotonic()
                        hidden = await self._follow()
                        if self._gating.is_on:
                            if time.monotonic() - ticked_at >= _TICK_EVERY_S:
                                await self._tick()
                                ticked_at = time.monotonic()
                            await self._note_gates()
                        if time.monotonic() - saved_at >= _HEALTH_EVERY_S:
                            await self._save_health()
                            saved_at = time.monotonic()
                        await _wait(wake, _HIDDEN_POLL_S if hidden else _IDLE_S)
                        await asyncio.sleep(_FOLLOW_EVERY_S)
                finally:
                    await asyncio.gather(*(self._stop_channel(live) for live in self._live.values()))
                    await self._noted()
                    with suppress(DatabaseUnavailable, psycopg.Error):
                        await self._save_health()
        finally:
            unsubscribe()

    def _in_thread(self, work: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    # Changes -------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        with self._db.connection() as conn:
            self._cursor = outbox.head(conn)
        self._catch_up()

    def _take(self, pairs: set[tuple[int, int]]) -> None:
        rows = sorted(pairs)
        self._state.take([item for item, _ in rows], [node for _, node in rows])

    async def _follow(self) -> bool:
        """Take over what has changed; whether more is committed and cannot be read yet."""
        if not self._live and not self._faults and not self._gating.is_on:
            await self._in_thread(self._skip)
            return False
        news, numbers, hidden = await self._in_thread(self._news)
        for live in list(self._live.values()):
            mine = f"{live.account.code}/"
            if skus := [code.removeprefix(mine) for code in news.listings if code.startswith(mine)]:
                await self._reload(live, skus)
            if live.prices is not None and (skus := [*skus, *news.skus]):
                await self._prices.reload(live.prices, skus)
        if news.is_network:
            for live in self._live.values():
                await self._want_all(live)
        elif numbers is not None:
            items, units, at = numbers
            for channel_id, live in self._live.items():
                self._want(live, items, units, self._numbers.columns.get(channel_id), at)
        return hidden

    def _skip(self) -> None:
        # Nobody to tell: what changes meanwhile is in the state by the time a channel is connected.
        with self._db.connection() as conn:
            self._cursor = outbox.head(conn)

    def _news(self) -> tuple[_News, tuple[Int32, Int64, Float64] | None, bool]:
        news = _News()
        with self._db.connection() as conn:
            end = outbox.head(conn)
            hidden = outbox.has_hidden(conn, end)
            is_news = end > self._cursor
            rows = store.changes(conn, self._cursor, end) if is_news else []
            sold = self._gating.hear(conn, self._cursor, end) if is_news else {}
        for kind, data, at in rows:
            _gather(news, kind, data, at)
        for item, at in sold.items():
            news.items.setdefault(item, at)
        if news.skus:
            self._state.learn_items(sorted(news.skus))
            self._numbers.forget_bundles()
            ids = self._state.catalogue.ids
            news.items.update((ids[sku], self._clock()) for sku in news.skus if sku in ids)
        if news.is_network:
            self._state.reload_network()
            with self._db.connection() as conn:
                self._load(conn)
        self._take(news.pairs)
        self._cursor = end
        if not news.items:
            return news, None, hidden
        items = self._numbers.touched(news.items)
        first = min(news.items.values())
        at = np.array([news.items.get(item, first) for item in items.tolist()])
        return news, (items, self._numbers.of(items), at), hidden

    def _load(self, conn: Connection[TupleRow]) -> None:
        """Read channels, their nodes, gates and quotas."""
        self._numbers.load(conn)
        self._gating.take(conn, self._numbers.rows)

    async def _tick(self) -> None:
        """Look at some gates again: they open by themselves when nothing is sold."""
        try:
            numbers = await self._in_thread(self._look_at_gates)
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("gates wait for the database", error=str(error))
            return
        for channel_id, live in self._live.items():
            items, units = numbers
            at = np.full(len(items), self._clock())
            self._want(live, items, units, self._numbers.columns.get(channel_id), at, is_touched=False)

    async def _note_gates(self) -> None:
        """Have gates that changed noted; nothing waits for it."""
        if self._gating.gates.has_news:
            await self._in_thread(self._gating.collect)
        if self._gating.has_unsaved and (self._noting is None or self._noting.done()):
            self._noting = self._in_thread(self._gating.save)

    async def _noted(self) -> None:
        if self._noting is not None:
            await self._noting

    def _look_at_gates(self) -> tuple[Int32, Int64]:
        due = self._gating.tick()
        for live in list(self._live.values()):
            if live.book.depth(self._clock()) > live.book.batch_max:  # else all that waits leaves together
                live.soon = self._gating.soon(live.account.channel_id, live.book.item)
        items = self._numbers.touched(due.tolist())
        return items, self._numbers.of(items)

    def _want(
        self, live: Live, items: Int32, units: Int64, column: int | None, at: Float64, *, is_touched: bool = True
    ) -> None:
        """Numbers of some items, wanted since the moments `at`. is_touched: their stock has changed."""
        if column is None:
            return
        found = [(row, n) for n, item in enumerate(items.tolist()) if (row := live.book.rows.get(item)) is not None]
        if found:
            rows, where = np.array(found).T
            if is_touched:
                live.book.touch(rows, at[where])
            if live.book.want(rows, units[where, column], at[where]):
                live.wake.set()

    async def _want_all(self, live: Live) -> None:
        book = live.book
        column = self._numbers.columns.get(live.account.channel_id)
        if column is not None and len(book):
            units = await self._in_thread(self._numbers.of, book.item)
            if book.want(np.arange(len(units)), units[:, column], self._clock()):
                live.wake.set()

    async def _reload(self, live: Live, skus: Sequence[str]) -> None:
        ids = self._state.catalogue.ids
        items = [ids[sku] for sku in skus if sku in ids]
        found = await self._in_thread(self._read_listings, live.account.channel_id, items)
        live.book.put(found)
        live.book.drop(sorted(set(items) - {listing.item_id for listing in found}))
        listed = np.array([listing.item_id for listing in found], np.int32)
        units = await self._in_thread(self._numbers.of, listed)
        self._want(
            live, listed, units, self._numbers.columns.get(live.account.channel_id), np.full(len(listed), self._clock())
        )
        live.wake.set()

    def _read_listings(self, channel_id: int, items: Sequence[int] | None) -> list[Any]:
        with self._db.connection() as conn:
            return store.load_listings(conn, channel_id, items)

    # Channels ------------------------------------------------------------------------------------------------------

    async def _look(self, conn: Connection[TupleRow], accounts: Accounts) -> None:
        """Take channels over that nobody publishes to, and let go of those that are no more."""
        await self._in_thread(conn.execute, "SELECT 1")  # the locks are still ours
        found = await accounts.all()
        able = {
            a.channel_id: a
            for a in found.values()
            if isinstance(a, Account) and "stock.push" in a.connector.capabilities
        }
        for channel_id, live in list(self._live.items()):
            if able.get(channel_id) is not live.account:
                await self._stop_channel(live)
                del self._live[channel_id]
                self._gating.unlead(channel_id)
                await self._in_thread(store.unlead, conn, channel_id)
        connected = {a.channel_id: traits_of(a.connector) for a in found.values() if isinstance(a, Account)}
        self._gating.take_traits(connected)
        for channel_id, account in able.items():
            if channel_id not in self._live and await self._in_thread(store.lead, conn, channel_id):
                await self._start(account)
        await self._look_at_computed(conn)
        asked = await self._in_thread(self._reconciled_at)
        for channel_id, live in self._live.items():
            last = asked.get(channel_id)
            live.reconcile_at = 0.0 if last is None else min(last + self._reconcile_every_s, live.doubted_until)
        await self._prices.look([live.prices for live in self._live.values() if live.prices is not None])
        faults = {code: str(account) for code, account in found.items() if isinstance(account, NotConnected)}
        for code, error in faults.items():
            if self._faults.get(code) != error:
                log.warning("a channel cannot be talked to", channel=code, error=error)
        self._faults = faults
        self._not_connected = {r.channel_id: faults[r.code] for r in self._numbers.rows if r.code in faults}

    async def _look_at_computed(self, conn: Connection[TupleRow]) -> None:
        """Note the gates of channels that call us, where they are computed and nobody else does."""
        computed = await self._in_thread(self._read_computed)
        if computed != self._computed:
            self._computed = computed
            await self._in_thread(self._catch_up)
        asking = {r.channel_id for r in self._numbers.rows if r.connector == CONNECTOR} & computed
        for channel_id in self._asking - asking:
            self._asking.discard(channel_id)
            self._gating.unlead(channel_id)
            await self._in_thread(store.unlead, conn, channel_id)
        for channel_id in asking - self._asking:
            if await self._in_thread(store.lead, conn, channel_id):
                self._asking.add(channel_id)
                await self._in_thread(self._note_all, channel_id)

    def _read_computed(self) -> frozenset[int]:
        with self._db.connection() as conn:
            return gate_store.computed(conn)

    def _note_all(self, channel_id: int) -> None:
        """Such a channel may ask for any item."""
        with self._db.connection() as conn:
            self._gating.lead(conn, channel_id)
        self._numbers.of(np.arange(1, self._state.catalogue.count + 1, dtype=np.int32))

    def _reconciled_at(self) -> dict[int, float | None]:
        with self._db.connection() as conn:
            return store.reconciled_at(conn)

    async def _start(self, account: Account) -> None:
        connector = account.connector
        book = Book(
            batch_max=connector.batch_max,
            is_compared=connector.is_compared,
            can_read="stock.pull" in connector.capabilities,
        )
        book.put(await self._in_thread(self._read_listings, account.channel_id, None))
        await self._in_thread(self._catch_up)
        measured, lag = await self._in_thread(self._lead_gates, account.channel_id)
        live = Live(account, book, wait=measured.wait, apply=measured.apply, lag=lag)
        if (book.sent != NONE).any():  # somebody died in the middle of it
            live.doubt(self._clock() + self._doubt_s)
        live.prices = await self._prices.start(account, live.wake)
        await self._want_all(live)
        self._live[account.channel_id] = live
        live.task = asyncio.create_task(self._serve(live))
        log.info("publication to a channel begins", channel=account.code, listings=len(book))

    def _catch_up(self) -> None:
        """What happened while nobody was told."""
        with self._db.connection() as conn:
            pairs = store.last_stock_changes(conn)
            self._load(conn)
        self._take(pairs)

    def _lead_gates(self, channel_id: int) -> tuple[Latencies, Latency]:
        with self._db.connection() as conn:
            found = self._gating.latencies_of(conn, channel_id)
            self._gating.lead(conn, channel_id)
            return found

    async def _stop_channel(self, live: Live) -> None:
        live.is_stopping = True
        of_prices = None
        if live.prices is not None:
            live.prices.is_stopping = True
            of_prices = live.prices.task
        live.wake.set()
        mine = (live.task, live.reading, live.confirming, live.checking, of_prices, *live.under_way)
        tasks = [t for t in mine if t is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _serve(self, live: Live) -> None:
        """Write what is due, as long as the channel is ours."""
        book = live.book
        while not live.is_stopping:
            live.wake.clear()
            try:
                now = self._clock()
                self._read_if_due(live, now)
                self._confirm_if_due(live, now)
                self._check_if_due(live, now)
                at_once = live.account.connector.at_once
                has_room = len(live.under_way) < at_once
                if (
                    has_room
                    and live.breaker.may_send(now, under_way=len(live.under_way))
                    and (rows := self._pick(live, now))
                ):
                    task = asyncio.create_task(self._send(live, rows))
                    live.under_way.add(task)
                    task.add_done_callback(live.under_way.discard)
                    task.add_done_callback(lambda _: live.wake.set())
                    continue
                until = min(_IDLE_S, max(0.0, min(book.next_at(now), _breaker_end(live.breaker, now)) - now))
                if live.prices is not None and not live.breaker.is_open(now):
                    self._prices.go(live.prices, now, is_quiet=live.is_quiet)
                    until = min(until, max(_POLL_S, self._prices.next_at(live.prices, now) - now))
                await _wait(live.wake, max(until, 0.001))
            except Exception:
                log.exception("publication to a channel failed; it goes on", channel=live.account.code)
                await asyncio.sleep(_STAND_BY_S)

    def _pick(self, live: Live, now: float) -> list[int]:
        soon = live.soon
        if isinstance(soon, np.ndarray) and len(soon) != len(live.book):  # listings have come since
            soon = 0.0
        return live.book.pick(now, soon)

    async def _send(self, live: Live, rows: list[int]) -> None:
        """One batch: recorded, sent, its fates recorded."""
        book, account = live.book, live.account
        try:
            batch = await self._recorded(live, rows)
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("writes wait for the database", channel=account.code, error=str(error))
            await asyncio.sleep(_STAND_BY_S)
            return
        if not batch.writes:
            return
        began = self._clock()
        for waited_s in book.left_s(batch, began):
            live.wait.add(waited_s)
        outcomes = await self._push(live, batch)
        now = self._clock()
        told = book.told(batch, outcomes, now)
        if any(outcome.fate is Fate.UNKNOWN for outcome in outcomes):
            live.doubt(now + self._doubt_s)
        if CAPABILITY in account.connector.capabilities:
            live.unconfirmed.add(batch, outcomes, now)
        live.requests += 1
        live.written += told.done
        live.failed += told.failed
        for lag_s in told.lags_s:
            live.lag.add(lag_s)
        if told.errors:
            live.last_error = told.errors[0]
        if all(outcome.fate in (Fate.RETRY, Fate.UNKNOWN) for outcome in outcomes):
            live.breaker.failed(now, jitter=self._rng.random())
            if live.breaker.is_open(now):
                log.warning("a channel is left alone for a while", channel=account.code, error=live.last_error)
        else:
            live.breaker.worked()
            # What is only accepted is shown later: that is known when it is asked about.
            if CAPABILITY not in account.connector.capabilities or any(o.fate is Fate.DONE for o in outcomes):
                live.apply.add(max(0.0, now - began))
        await self._remember(live, told.rows)
        event = of_batch(account.code, batch.writes, outcomes, failures=live.breaker.failures)
        if event is not None:
            with suppress(DatabaseUnavailable, psycopg.Error):
                await self._in_thread(self._tell_of, event)

    async def _recorded(self, live: Live, rows: list[int]) -> Batch:
        """The batch of `rows`, recorded before it leaves. Raises DatabaseUnavailable; then nothing will leave."""
        book = live.book
        batch: Batch | None = None
        try:
            sold: dict[int, int] = {}
            if book.is_compared and book.sent[rows[0]] == NONE:
                sold = await self._in_thread(self._sold, live.account.channel_id, *_known(book, rows))
            at: datetime | None = None
            if live.moments.is_for(live.account.connector) and book.sent[rows[0]] == NONE:
                at = await self._in_thread(live.moments.look, self._db, live.account.channel_id, self._clock())
            ids = [f"{self._keys.getrandbits(128):032x}" for _ in rows]
            batch = book.write(
                rows,
                self._clock(),
                batch_id=str(uuid.UUID(int=self._keys.getrandbits(128), version=4)),
                keys=ids,
                sold={book.rows[item]: units for item, units in sold.items()},
            )
            if batch.writes and not batch.is_again:
                async with live.saving:
                    await self._in_thread(self._save, live.account.channel_id, book.stored(batch.rows))
            return replace(batch, writes=live.moments.of(batch.batch_id, batch.writes, at))
        except BaseException:
            if batch is None:
                book.put_back(rows)
            else:
                book.undo(batch)
            raise

    def _tell_of(self, event: Event) -> None:
        with self._db.connection() as conn:
            outbox.write_events(conn, [event], actor=SYSTEM, origin=self._db.origin)

    def _sold(self, channel_id: int, items: list[int], since: list[float]) -> dict[int, int]:
        with self._db.connection() as conn:
            return store.sold_since(conn, channel_id, items, since)

    def _save(self, channel_id: int, rows: Sequence[Stored]) -> None:
        with self._db.connection() as conn:
            store.save(conn, channel_id, rows)

    async def _push(self, live: Live, batch: Batch) -> list[Outcome]:
        account = live.account
        try:
            outcomes = await account.connector.push_stock(account.connection, batch.writes)
            assert len(outcomes) == len(batch.writes), "each write has a fate"
            return list(outcomes)
        except (Unavailable, Refused) as error:
            return [fate_of(error)] * len(batch.writes)
        except Exception as error:  # a connector of others: what it has done is not known
            log.exception("a connector failed", channel=account.code, connector=account.connector.name)
            return [Outcome(fate=Fate.UNKNOWN, message=f"the connector failed ({type(error).__name__})")] * len(
                batch.writes
            )

    async def _remember(self, live: Live, rows: Sequence[int]) -> None:
        """Record what is known of `rows`; what cannot be now is with the next, and after a crash sent again."""
        live.unsaved.update(rows)
        try:
            async with live.saving:
                if saved := sorted(live.unsaved):  # or whoever was before us has recorded ours too
                    await self._in_thread(self._save, live.account.channel_id, live.book.stored(saved))
                    live.unsaved.difference_update(saved)
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("fates of writes wait for the database", channel=live.account.code, error=str(error))

    def _confirm_if_due(self, live: Live, now: float) -> None:
        is_free = live.confirming is None or live.confirming.done()
        if is_free and live.unconfirmed.next_at() <= now and live.breaker.may_send(now, under_way=0):
            live.confirming = asyncio.create_task(self._confirm(live))
            live.confirming.add_done_callback(lambda _: live.wake.set())

    async def _confirm(self, live: Live) -> None:
        """Ask about what was accepted longest ago."""
        asked = live.unconfirmed.take(self._clock())
        if asked is None:
            return
        try:
            rows = await confirm(live.account, live.book, live.unconfirmed, asked, self._clock())
        except Exception:
            log.exception("what a channel accepted could not be asked about", channel=live.account.code)
            return
        if any(live.book.verified_at[row] > asked.at for row in rows):
            live.apply.add(max(0.0, self._clock() - asked.at))
        await self._remember(live, rows)

    def _check_if_due(self, live: Live, now: float) -> None:
        if now >= live.check_at and (live.checking is None or live.checking.done()):
            live.check_at = now + _CHECK_EVERY_S
            rows, since = live.book.to_check(now)
            if rows:
                live.checking = asyncio.create_task(self._check(live, rows, since))

    async def _check(self, live: Live, rows: list[int], since: list[float]) -> None:
        """Have listings written whose channel has sold some itself, though they show the number that they should."""
        items = [int(live.book.item[row]) for row in rows]
        try:
            sold = await self._in_thread(self._sold, live.account.channel_id, items, since)
        except (DatabaseUnavailable, psycopg.Error) as error:  # the next reconciliation finds it
            log.warning("sales of a channel could not be read", channel=live.account.code, error=str(error))
            return
        if sold:
            live.book.doubt([live.book.rows[item] for item in sold], self._clock())
            live.wake.set()

    # Reading -------------------------------------------------------------------------------------------------------

    def _read_if_due(self, live: Live, now: float) -> None:
        if live.reading is not None:
            if not live.reading.done():
                return
            live.reading = None
        is_due = now >= live.reconcile_at or (bool(live.book.must_read.any()) and now >= live.read_again_at)
        if live.book.can_read and is_due and now >= live.read_again_at and live.breaker.may_send(now, under_way=0):
            live.reading = asyncio.create_task(self._reconcile(live))
            live.reading.add_done_callback(lambda _: live.wake.set())

    async def _reconcile(self, live: Live) -> None:
        """Read all that the channel shows and take it over; numbers that differ are written again."""
        account, book = live.account, live.book
        began = self._clock()
        live.reconcile_at, live.read_again_at = began + self._reconcile_every_s, began + _STAND_BY_S
        live.doubted_until = live.last_doubt_until if live.last_doubt_until > began else float("inf")
        drift = Drift()
        waited_for = book.to_read()
        try:
            await self._read_pages(live, drift)
        except (Unavailable, Refused) as error:
            if isinstance(error, Refused):  # it will not tell: written without a comparison
                book.not_readable(waited_for)
            live.last_error = f"reading: {error}"[:500]
            live.reconcile_at, live.read_again_at = 0.0, self._clock() + 10.0
            log.warning("a channel's stock could not be read", channel=account.code, error=str(error))
            return
        except Exception:
            live.reconcile_at, live.read_again_at = 0.0, self._clock() + 60.0
            log.exception("reconciliation of a channel failed", channel=account.code)
            return
        if live.is_stopping:
            return
        missing(book, drift)
        # What the channel was asked for and did not tell is written without a comparison.
        book.not_readable([row for row in waited_for if row not in drift.seen])
        try:
            async with live.saving:
                await self._in_thread(self._save_reconciled, account, drift, book.stored([*dict.fromkeys(drift.rows)]))
            live.reconcile_at = began + self._reconcile_every_s
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("what a channel shows could not be recorded", channel=account.code, error=str(error))
        if drift.differing or drift.unknown or drift.missing:
            log.info("a channel's stock was reconciled", channel=account.code, **_counts(drift))
        live.wake.set()

    async def _read_pages(self, live: Live, drift: Drift) -> None:
        account = live.account
        place = str(account.connection.settings.get("place") or "")
        at: str | None = None
        for _ in range(_PAGES_MAX):
            asked_at = self._clock()
            page = await account.connector.pull_stock(account.connection, at)
            now = self._clock()
            for level in page.records:
                assert isinstance(level, Level), "pull_stock reads levels"
                compare(live.book, level, drift, asked_at=asked_at, now=now, place=place)
            drift.rejected += len(page.rejects)
            live.wake.set()
            if page.next is None or live.is_stopping:
                return
            at = page.next

    def _save_reconciled(self, account: Account, drift: Drift, rows: Sequence[Stored]) -> None:
        with self._db.connection() as conn:
            store.save(conn, account.channel_id, rows)
            store.save_reconciled(conn, account.channel_id, drift.document())

    async def _save_health(self) -> None:
        now = self._clock()
        told = [
            (channel_id, live.health(now), live.latency() | {"hear": self._gating.hearing(channel_id)})
            for channel_id, live in self._live.items()
        ]
        told += [(channel_id, {"not_connected": why}, {}) for channel_id, why in self._not_connected.items()]
        if told:
            await self._in_thread(_save_health, self._db, told)
        if self._gating.is_on:
            await self._in_thread(self._gating.save_hearing)


def _save_health(db: Database, told: Sequence[tuple[int, dict[str, Any], dict[str, Any]]]) -> None:
    with db.connection() as conn:
        for channel_id, publication, latency in told:
            store.save_health(conn, channel_id, publication, latency)


def _gather(news: _News, kind: str, data: dict[str, Any], at: float) -> None:
    news.count += 1
    if kind == "stock.changed":
        news.pairs.update(zip(data["items"], data["nodes"], strict=True))
        for item in data["items"]:
            news.items.setdefault(item, at)
    elif kind == "item.changed":
        news.skus.update(row["sku"] for row in data["items"])
    elif data.get("kind") == "listing":
        news.listings.update(data["codes"] if "codes" in data else [data["code"]])
    elif data.get("kind") in ("channel", "node", "node_group"):
        news.is_network = True


def _known(book: Book, rows: Sequence[int]) -> tuple[list[int], list[float]]:
    """(item_ids, moments as of which we know) of rows whose number we know."""
    known = [row for row in rows if book.shown[row] >= 0]
    return [int(book.item[row]) for row in known], [float(book.known_at[row]) for row in known]


def _counts(drift: Drift) -> dict[str, int]:
    return {name: value for name, value in drift.document().items() if isinstance(value, int) and value}


def _breaker_end(breaker: Breaker, now: float) -> float:
    return breaker.until if breaker.until > now else float("inf")


def _wake(loop: asyncio.AbstractEventLoop, wake: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(wake.set)


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
