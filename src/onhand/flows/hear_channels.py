"""Listen to channels and talk back: work on their messages, read their orders, tell them of parcels and cancellations.

A channel has a task of its own for each of these, so that none waits for another and a slow channel delays nobody. What
is worked on is claimed for a while and written down before and after, so any number of processes may listen at once and
any of them may die at any moment.
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.channels.inbound import store
from onhand.channels.inbound.decide import Heard, differences, retry_s
from onhand.channels.inbound.store import Message, Notice
from onhand.connectors import Connector, Counter, Declared, Queued, Refused, Unavailable
from onhand.connectors._sdk.values import ChannelOrder, Fate, Level, Outcome, Page, Parcel, Posted, Reject
from onhand.db import Database
from onhand.db.outbox import Cursor, Listener, advance_cursor, get_cursor, head
from onhand.errors import DatabaseUnavailable
from onhand.flows.accounts import Account, Accounts
from onhand.flows.take_counts import book_counts
from onhand.flows.take_orders import Channel, Follower, Hearing, hear
from onhand.flows.take_sales import SALE, UNREADABLE, book_sale, keep_sales, keep_unreadable
from onhand.orders.store import load_order

T = TypeVar("T")
Step = Callable[[Account], Awaitable[Any]]
log = structlog.get_logger(__name__)

HINT: Final = "onhand.order"
"""Topic of a message of our own: its body is the id of an order that is to be asked for."""

NOTICES: Final = "channel notices"
"""Name of the cursor up to which events were looked at for what channels are to be told."""

# Orders are placed when the messages that were claimed have been worked on: few at a time, some of them at once.
_MESSAGES, _MESSAGES_AT_ONCE, _NOTICES = 20, 4, 20
_LEASE_S = 120.0
_IDLE_S = 1.0
_THREADS = 8
# Without messages a channel's orders are read as often as an eye blinks; with them reading only repairs.
_READ_EVERY_S, _REPAIR_EVERY_S = 15.0, 300.0
_RECONCILE_EVERY_S, _RECONCILE_DAYS = 6 * 3600.0, 7
# So often what a channel refuses is tried before a person must look at it.
_REFUSALS_MAX, _FAILURES_MAX = 5, 8
_NOTICE_RETRY_MAX_S = 3_600.0


def _clock() -> datetime:
    return datetime.now(UTC)


class Ear:
    """What is done with one channel, step by step; each can be broken off anywhere and done again.

    threads  where the database is waited for
    """

    def __init__(
        self,
        db: Database,
        follower: Follower,
        *,
        threads: ThreadPoolExecutor | None = None,
        now: Callable[[], datetime] = _clock,
        read_every_s: float | None = None,
        reconcile_every_s: float = _RECONCILE_EVERY_S,
    ) -> None:
        self._db, self._follower, self._now = db, follower, now
        self._threads = threads
        self._read_every_s, self._reconcile_every_s = read_every_s, reconcile_every_s

    async def _thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *arguments))

    async def _transact(self, work: Callable[[Connection[TupleRow]], T]) -> T:
        return await self._thread(lambda: self._db.transact(work))

    # Messages -----------------------------------------------------------------------------------------------------

    async def messages(self, account: Account) -> int:
        """Work on the messages that are due, and on orders that are behind; how many of both."""
        channel_id = account.channel_id
        messages = await self._transact(
            lambda conn: store.claim_messages(conn, channel_id, limit=_MESSAGES, lease_s=_LEASE_S)
        )
        turns = asyncio.Semaphore(_MESSAGES_AT_ONCE)

        async def one(message: Message) -> None:
            async with turns:
                await self._message(account, message)

        for ended in await asyncio.gather(*map(one, messages), return_exceptions=True):
            if ended is not None:
                raise ended
        return len(messages) + await self._thread(self._follower.follow_some, _channel(account))

    async def _message(self, account: Account, message: Message) -> None:
        """Write down what it says and that it was worked on, in one transaction. The order follows later."""
        began = self._now()
        try:
            if message.topic in (SALE, UNREADABLE):
                await self._thread(book_sale, self._follower.state, _channel(account), message)
                return
            if message.topic == HINT:
                values: Sequence[object] = [
                    await account.connector.get_order(account.connection, message.body.decode())
                ]
            else:
                values = await account.connector.read(account.connection, message.topic, message.body)
        except Unavailable as error:
            await self._fail(message, str(error), retry_s(message.attempts), parks_after=None)
        except Refused as error:
            await self._fail(message, str(error), retry_s(message.attempts) * 4, parks_after=_REFUSALS_MAX)
        except Exception as error:
            log.exception("a message cannot be read", channel=account.code, topic=message.topic)
            because = f"{type(error).__name__}: {error}"
            await self._fail(message, because, retry_s(message.attempts), parks_after=_FAILURES_MAX)
        else:
            is_read = message.topic == HINT or _is_hint(account.connector, message.topic)
            at = began if is_read else message.received_at
            heard = [Heard(v, at, is_read) for v in values if isinstance(v, ChannelOrder)]
            can_ask = "orders.get" in account.connector.capabilities
            channel_id = account.channel_id

            def work(conn: Connection[TupleRow]) -> None:
                hearing = hear(conn, channel_id, heard, can_ask=can_ask)
                _ask(conn, channel_id, hearing.ask, at)
                keep_sales(conn, channel_id, values)
                store.finish_messages(conn, [message.message_id])

            await self._transact(work)

    async def _fail(self, message: Message, error: str, seconds: float, *, parks_after: int | None) -> None:
        is_parked = parks_after is not None and message.attempts >= parks_after
        await self._transact(
            lambda conn: store.fail_message(
                conn, message.message_id, error=error, seconds=None if is_parked else seconds
            )
        )

    async def fetch(self, account: Account) -> int:
        """Take messages out of the channel's queue, if its messages lie in one; how many there were.

        They are removed there once they are stored here: where a worker dies in between, they come again, and are known
        by their names."""
        if "messages.pull" not in account.connector.capabilities:
            return 0
        channel_id, queued = account.channel_id, cast("Queued", account.connector)
        reading = await self._transact(lambda conn: store.take_reading(conn, channel_id, "queue", lease_s=_LEASE_S))
        if reading is None:
            return 0
        try:
            posted = await queued.pull_messages(account.connection)
            await self._transact(partial(_keep_posted, channel_id, posted))
            if posted:
                await queued.settle_messages(account.connection, [one.receipt for one in posted])
        except asyncio.CancelledError:
            # Whoever comes after us need not wait until our turn would have been over.
            await self._transact(
                lambda conn: store.save_reading(conn, channel_id, "queue", at=None, seconds=0.0, ended=False)
            )
            raise
        except (Unavailable, Refused) as error:
            because, seconds = str(error), retry_s(reading.failures + 1)
            await self._transact(
                lambda conn: store.fail_reading(conn, channel_id, "queue", error=because, seconds=seconds)
            )
            return 0
        await self._transact(
            lambda conn: store.save_reading(conn, channel_id, "queue", at=None, seconds=0.0, ended=True)
        )
        return len(posted)

    # Reading ------------------------------------------------------------------------------------------------------

    async def orders(self, account: Account) -> int:
        """Read what has changed, if that is due; how many orders there were. Page by page: where the next one begins is
        written with what a page said."""
        if "orders.pull" not in account.connector.capabilities:
            return 0
        channel_id = account.channel_id
        reading = await self._transact(lambda conn: store.take_reading(conn, channel_id, "orders", lease_s=_LEASE_S))
        if reading is None:
            return 0
        at, count = reading.at, 0
        try:
            while True:
                began = self._now()
                page = await account.connector.pull_orders(account.connection, at, since=reading.since)
                at = page.next or page.cursor or at
                ended = page.next is None
                wait_s = self.every_s(account.connector) if ended else _LEASE_S
                hearing = await self._transact(partial(self._page, channel_id, page, began, at, wait_s, ended))
                await self._thread(self._follower.follow, _channel(account), [*hearing.new, *hearing.changed])
                count += len(page.records)
                if ended:
                    return count
        except (Unavailable, Refused) as error:
            because, seconds = str(error), retry_s(reading.failures + 1)
            await self._transact(
                lambda conn: store.fail_reading(conn, channel_id, "orders", error=because, seconds=seconds)
            )
            return count

    def _page(
        self,
        channel_id: int,
        page: Page,
        began: datetime,
        at: str | None,
        wait_s: float,
        ended: bool,
        conn: Connection[TupleRow],
    ) -> Hearing:
        hearing = hear(conn, channel_id, _orders(page, began))
        _keep_rejects(conn, channel_id, page.rejects)
        store.save_reading(conn, channel_id, "orders", at=at, seconds=wait_s, ended=ended)
        return hearing

    async def sales(self, account: Account) -> int:
        """Read what was sold over its counters, if that is due; how many sales there were."""
        if "sales.pull" not in account.connector.capabilities:
            return 0

        def keep(conn: Connection[TupleRow], page: Page, _: str | None) -> None:
            keep_sales(conn, account.channel_id, page.records)

        return await self._read(account, "sales", account.connector.pull_sales, keep)

    async def counts(self, account: Account) -> int:
        """Read what was counted where its other side keeps units for us, if that is due; how many counts there were.
        They are entries in the transaction that says how far was read: each once, in the order in which they came."""
        if "counts.pull" not in account.connector.capabilities:
            return 0
        state, channel, settings = self._follower.state, _channel(account), account.connection.settings
        changed = False

        def keep(conn: Connection[TupleRow], page: Page, at: str | None) -> None:
            nonlocal changed
            levels = [level for level in page.records if isinstance(level, Level)]
            changed |= book_counts(state, conn, channel, levels, node=settings.get("node") or "", page=at or "")

        count = await self._read(account, "counts", cast("Counter", account.connector).pull_counts, keep)
        if changed:
            self._db.notify()
        return count

    async def _read(
        self,
        account: Account,
        kind: str,
        pull: Callable[..., Awaitable[Page]],
        keep: Callable[[Connection[TupleRow], Page, str | None], None],
    ) -> int:
        """Read page by page, if that is due; how many records there were.

        keep  writes down what a page said, in the transaction that says where the next one begins; takes where this one
              began
        """
        channel_id = account.channel_id
        reading = await self._transact(lambda conn: store.take_reading(conn, channel_id, kind, lease_s=_LEASE_S))
        if reading is None:
            return 0
        at, count = reading.at, 0
        every_s = _READ_EVERY_S if self._read_every_s is None else self._read_every_s
        try:
            while True:
                page = await pull(account.connection, at, since=reading.since)
                await self._transact(partial(self._keep_page, channel_id, kind, page, keep, at, every_s))
                at = page.next or page.cursor or at
                count += len(page.records)
                if page.next is None:
                    return count
        except (Unavailable, Refused) as error:
            because, seconds = str(error), retry_s(reading.failures + 1)
            await self._transact(
                lambda conn: store.fail_reading(conn, channel_id, kind, error=because, seconds=seconds)
            )
            return count

    def _keep_page(
        self,
        channel_id: int,
        kind: str,
        page: Page,
        keep: Callable[[Connection[TupleRow], Page, str | None], None],
        at: str | None,
        every_s: float,
        conn: Connection[TupleRow],
    ) -> None:
        keep(conn, page, at)
        keep_unreadable(conn, channel_id, page.rejects)
        ended = page.next is None
        following = page.next or page.cursor or at
        seconds = every_s if ended else _LEASE_S
        store.save_reading(conn, channel_id, kind, at=following, seconds=seconds, ended=ended)

    def every_s(self, connector: Connector) -> float:
        """How often a channel's orders are read."""
        if self._read_every_s is not None:
            return self._read_every_s
        tells = isinstance(connector, Declared) and connector.document.webhooks is not None
        return _REPAIR_EVERY_S if tells else _READ_EVERY_S

    async def reconcile(self, account: Account, *, days: int = _RECONCILE_DAYS, forced: bool = False) -> int | None:
        """Compare the channel's orders of the last days with ours, take in what was lost, and report what differs; the
        id of the report, None: it is not due."""
        capabilities = account.connector.capabilities
        if "orders.pull" not in capabilities or "orders.once" in capabilities:
            return None
        channel_id = account.channel_id
        reading = await self._transact(
            lambda conn: store.take_reading(conn, channel_id, "reconcile", lease_s=_LEASE_S * 5)
        )
        if reading is None and not forced:
            return None
        try:
            report = await self._reconcile(account, self._now() - timedelta(days=days))
        except (Unavailable, Refused) as error:
            because, seconds = str(error), retry_s(1 if reading is None else reading.failures + 1)
            await self._transact(
                lambda conn: store.fail_reading(conn, channel_id, "reconcile", error=because, seconds=seconds)
            )
            if forced:
                raise
            return None
        await self._transact(
            lambda conn: store.save_reading(
                conn, channel_id, "reconcile", at=None, seconds=self._reconcile_every_s, ended=True
            )
        )
        return report

    async def _reconcile(self, account: Account, since: datetime) -> int:
        channel_id = account.channel_id
        began = self._now()
        at: str | None = None
        said: dict[str, ChannelOrder] = {}
        lost: list[str] = []
        changed: list[str] = []
        while True:
            asked = self._now()
            page = await account.connector.pull_orders(account.connection, at, since=since)

            def work(conn: Connection[TupleRow], page: Page = page, asked: datetime = asked) -> Hearing:
                _keep_rejects(conn, channel_id, page.rejects)
                return hear(conn, channel_id, _orders(page, asked))

            hearing = await self._transact(work)
            lost += hearing.new
            changed += hearing.changed
            said |= {r.external_id: r for r in page.records if isinstance(r, ChannelOrder)}
            at = page.next
            if at is None:
                break
        await self._thread(self._follower.follow, _channel(account), [*lost, *changed])
        return await self._thread(self._report, channel_id, since, began, said, lost, changed)

    def _report(
        self,
        channel_id: int,
        since: datetime,
        began: datetime,
        said: dict[str, ChannelOrder],
        lost: list[str],
        changed: list[str],
    ) -> int:
        """What differs still, and what is done about it: parcels and cancellations are told once more."""

        def work(conn: Connection[TupleRow]) -> int:
            findings: list[dict[str, Any]] = [
                {"external_id": i, "finding": "we had not heard of it", "done": "taken in"} for i in lost
            ]
            here = store.orders_here(conn, channel_id, [*said])
            for external_id, order in said.items():
                if external_id not in here:
                    continue
                ours = load_order(conn, here[external_id])
                found = [] if ours is None else differences(ours, order)
                if not found:
                    store.set_problem(conn, channel_id, external_id, None)
                    continue
                again = store.retry_notices(conn, here[external_id])
                findings.append(
                    {
                        "external_id": external_id, "order_id": here[external_id], "finding": "; ".join(found),
                        "done": "the channel is told again" if again else "for a person to see",
                    }
                )  # fmt: skip
                store.set_problem(conn, channel_id, external_id, "; ".join(found))
            gone = store.ours_since(conn, channel_id, since + timedelta(minutes=5), began - timedelta(minutes=5))
            for external_id, order_id in gone.items():
                if external_id not in said:
                    findings.append(
                        {
                            "external_id": external_id, "order_id": order_id,
                            "finding": "the channel does not list it any more", "done": "for a person to see",
                        }
                    )  # fmt: skip
            return store.add_report(
                conn, channel_id, since=since, seen=len(said), lost=len(lost), changed=len(set(changed)),
                findings=findings,
            )  # fmt: skip

        return self._db.transact(work)

    # Telling ------------------------------------------------------------------------------------------------------

    def write_notices(self) -> int:
        """Write down what channels are to be told of what has happened since the last time; how many orders it may be
        about. Any number of processes may ask for it."""

        def work(conn: Connection[TupleRow]) -> int:
            if not store.is_only_one(conn):
                return 0
            known, end = get_cursor(conn, NOTICES), head(conn)
            if known is None:
                # Of what happened before anybody listened to channels, they know.
                known = end
                advance_cursor(conn, NOTICES, end)
            if end <= known:
                return 0
            ids = store.told_of(conn, _pair(known), _pair(end))
            if ids:
                store.add_notices(conn, ids)
            advance_cursor(conn, NOTICES, end)
            return len(ids)

        return self._db.transact(work)

    async def notices(self, account: Account) -> int:
        """Tell the channel what is due; how much that was."""
        channel_id = account.channel_id
        due = await self._transact(lambda conn: store.claim_notices(conn, channel_id, limit=_NOTICES, lease_s=_LEASE_S))
        for notice in due:
            try:
                outcome = await self._tell(account, notice)
            except Exception as error:
                log.exception("a channel cannot be told", channel=account.code, notice=notice.key)
                outcome = Outcome(fate=Fate.RETRY, message=f"{type(error).__name__}: {error}")
            await self._transact(partial(_end, notice, outcome))
        return len(due)

    async def _tell(self, account: Account, notice: Notice) -> Outcome:
        connector, connection = account.connector, account.connection
        if notice.kind == "cancel":
            if "orders.cancel" not in connector.capabilities:
                return Outcome(fate=Fate.REFUSED, code="no_way", message="this channel cannot be told of cancellations")
            external_id = await self._transact(lambda conn: store.external_id_of(conn, notice.order_id))
            reason = "it cannot be served"
            return await connector.cancel_order(connection, external_id, reason=reason, key=notice.key)
        if "fulfilments.push" not in connector.capabilities:
            return Outcome(fate=Fate.DONE, code="no_way")
        shipped = await self._transact(lambda conn: store.load_shipped(conn, notice))
        if not shipped.units:
            return Outcome(fate=Fate.DONE, code="part_of_a_bundle")
        parcel = Parcel(
            order_id=shipped.external_id,
            # Of a parcel, not of what it is a part of: channels know a repeat by it.
            fulfilment_id=f"{notice.order_id}-s{notice.shipment_no}",
            key=notice.key,
            shipped_at=shipped.shipped_at,
            lines=[{"line_id": line_id, "quantity": n} for line_id, n in shipped.units.items()],
            carrier=shipped.carrier,
            service=shipped.service,
            tracking=shipped.tracking,
            place=shipped.node,
            is_complete=shipped.is_complete,
        )
        return await connector.push_parcel(connection, parcel)


def _end(notice: Notice, outcome: Outcome, conn: Connection[TupleRow]) -> None:
    if outcome.fate in (Fate.DONE, Fate.ACCEPTED):
        store.end_notice(conn, notice.notice_id, status="done", error=outcome.code or None)
        return
    because = f"{outcome.fate.value}: {outcome.code} {outcome.message}".strip()
    is_final = outcome.fate in (Fate.REFUSED, Fate.GONE) and (
        notice.attempts >= _REFUSALS_MAX or outcome.code == "no_way"
    )
    seconds = min(_NOTICE_RETRY_MAX_S, retry_s(notice.attempts))
    store.end_notice(conn, notice.notice_id, status="refused" if is_final else "due", error=because, seconds=seconds)


def _channel(account: Account) -> Channel:
    return Channel(account.channel_id, account.code)


def _pair(cursor: Cursor) -> tuple[int, int]:
    return cursor.xid, cursor.pos


def _orders(page: Page, at: datetime) -> list[Heard]:
    return [Heard(r, at, True) for r in page.records if isinstance(r, ChannelOrder)]


def _keep_posted(channel_id: int, posted: Sequence[Posted], conn: Connection[TupleRow]) -> None:
    for one in posted:
        said = one.received
        store.add_message(conn, channel_id, dedupe=said.dedupe, topic=said.topic, body=one.body)


def _ask(conn: Connection[TupleRow], channel_id: int, external_ids: Sequence[str], at: datetime) -> None:
    """Have orders asked for, once for the moment in which that was found necessary."""
    for external_id in external_ids:
        name = f"{HINT} {external_id} {at.isoformat()}"
        store.add_message(conn, channel_id, dedupe=name, topic=HINT, body=external_id.encode())


def _keep_rejects(conn: Connection[TupleRow], channel_id: int, rejects: Sequence[Reject]) -> None:
    """Orders that could not be read are asked for one by one, and shown if that fails too."""
    for reject in rejects:
        name = f"{HINT} {reject.external_id} {hash_of(reject.record)}"
        store.add_message(conn, channel_id, dedupe=name, topic=HINT, body=reject.external_id.encode())


def hash_of(text: str) -> str:
    """A short name of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_hint(connector: Connector, topic: str) -> bool:
    """Whether a message of that topic made us ask for the order."""
    if not isinstance(connector, Declared) or connector.document.webhooks is None:
        return False
    by = connector.document.webhooks.topics.get(topic)
    return by is not None and by.get is not None


def _wake(loop: asyncio.AbstractEventLoop, wake: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(wake.set)


class Listening:
    """Listens to all channels until told to stop. `run` blocks: give it a thread.

    more  what else is done with each channel, by name
    """

    def __init__(
        self, ear: Ear, listener: Listener, accounts: Callable[[], Accounts], *, more: Mapping[str, Step] | None = None
    ) -> None:
        self._ear, self._listener, self._accounts = ear, listener, accounts
        self._more = more or {}
        self._busy: dict[tuple[int, str], asyncio.Task[int]] = {}
        self._paused: dict[tuple[int, str], float] = {}

    def run(self, stop: threading.Event) -> None:
        """Listen until `stop` is set; rides out a database that goes away."""
        while not stop.is_set():
            try:
                asyncio.run(self._listen(stop))
            except DatabaseUnavailable as error:
                log.warning("listening to channels waits for the database", error=str(error))
            except Exception:
                log.exception("listening to channels stopped; it starts again")
            stop.wait(_IDLE_S)

    async def _listen(self, stop: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="onhand channels"))
        unsubscribe = self._listener.subscribe(lambda: _wake(loop, wake))
        try:
            async with self._accounts() as accounts:
                while not stop.is_set():
                    wake.clear()
                    await asyncio.to_thread(self._ear.write_notices)
                    for account in (await accounts.all()).values():
                        if isinstance(account, Account):
                            self._begin(account, wake)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_IDLE_S):
                            await wake.wait()
        finally:
            unsubscribe()
            for task in self._busy.values():
                task.cancel()
            if self._busy:
                await asyncio.wait(self._busy.values(), timeout=10)
            self._busy.clear()

    def _begin(self, account: Account, wake: asyncio.Event) -> None:
        ear = self._ear
        works: list[tuple[str, Step]] = [
            ("fetch", ear.fetch), ("messages", ear.messages), ("orders", ear.orders), ("notices", ear.notices),
            ("reconcile", ear.reconcile), ("sales", ear.sales), ("counts", ear.counts), *self._more.items(),
        ]  # fmt: skip
        for name, work in works:
            key = account.channel_id, name
            if key in self._busy or self._paused.get(key, 0.0) > time.monotonic():
                continue
            self._busy[key] = asyncio.create_task(self._work(key, account, work, wake))

    async def _work(
        self, key: tuple[int, str], account: Account, work: Callable[[Account], Awaitable[Any]], wake: asyncio.Event
    ) -> int:
        done = 0
        try:
            done = await work(account) or 0
        except DatabaseUnavailable as error:
            self._paused[key] = time.monotonic() + _IDLE_S
            log.warning("listening to a channel waits for the database", channel=account.code, error=str(error))
        except Exception:
            self._paused[key] = time.monotonic() + 10 * _IDLE_S
            log.exception("a step of listening to a channel failed", channel=account.code, step=key[1])
        finally:
            self._busy.pop(key, None)
            if done and key[1] in ("fetch", "messages", "notices"):
                wake.set()
        return done
