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
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar, cast

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.base.loop import run_loop
from onhand.channels.inbound import store
from onhand.channels.inbound.decide import Heard, less_of, retry_s, theirs, unkeepable, wanted_of
from onhand.channels.inbound.store import Message, Notice, Row
from onhand.connectors import Connector, Counter, Declared, Partial, Queued, Refused, Unavailable
from onhand.connectors._sdk.values import ChannelOrder, Fate, Level, Outcome, Page, Parcel, Posted, Reject
from onhand.db import Database
from onhand.db.outbox import Cursor, Listener, advance_cursor, get_cursor, head, write_events
from onhand.errors import DatabaseUnavailable
from onhand.flows.accounts import Account, Accounts
from onhand.flows.channel_events import of_notice
from onhand.flows.compare_orders import Progress, begin, compare_page, finish
from onhand.flows.payments.look import keep_hints
from onhand.flows.take_counts import book_counts
from onhand.flows.take_orders import Channel, Follower, Hearing, hear
from onhand.flows.take_sales import SALE, UNREADABLE, book_sale, keep_sales, keep_unreadable
from onhand.orders.model import Order
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
# Each look asks the database several things of every channel, and any order of any channel wakes us.
_LOOK_AT_MOST_EVERY_S: Final = 0.25
# What comes by itself is worked on at once; whether anything is due by schedule is looked at about once a second.
_AT_ONCE: Final = frozenset({"messages", "notices"})
_LOOK_AGAIN_S: Final = 0.9
_THREADS = 8
# Without messages a channel's orders are read as often as an eye blinks; with them reading only repairs.
_READ_EVERY_S, _REPAIR_EVERY_S = 15.0, 300.0
_RECONCILE_EVERY_S, _RECONCILE_DAYS, _RECONCILE_LEASE_S = 6 * 3600.0, 7, 600.0
# Pages after which it is written down how far a comparison is, if nothing breaks it off before.
_RECONCILE_KEPT_EVERY = 20
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
            heard, rejects = _keepable(values, at, is_read=is_read)
            can_ask = "orders.get" in account.connector.capabilities
            can_count = "counts.pull" in account.connector.capabilities
            channel_id = account.channel_id

            def work(conn: Connection[TupleRow]) -> None:
                hearing = hear(conn, channel_id, heard, can_ask=can_ask)
                _ask(conn, channel_id, hearing.ask, at)
                keep_sales(conn, channel_id, values)
                keep_hints(conn, channel_id, values, self._now())
                keep_unreadable(conn, channel_id, rejects)
                if can_count and any(isinstance(v, Level) and v.is_free for v in values):
                    # Messages overtake each other, and a count undoes what was there: all is read instead.
                    store.ask_reading(conn, channel_id, "counts")
                store.finish_messages(conn, [message.message_id])

            try:
                await self._transact(work)
            except DatabaseUnavailable:
                raise
            except Exception as error:
                # It must not stand in the way of those behind it.
                log.exception("what a message says cannot be kept", channel=account.code, topic=message.topic)
                because = f"{type(error).__name__}: {error}"
                await self._fail(message, because, retry_s(message.attempts), parks_after=_FAILURES_MAX)

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
        heard, rejects = _keepable(page.records, began)
        hearing = hear(conn, channel_id, heard)
        _keep_rejects(conn, channel_id, page.rejects)
        keep_unreadable(conn, channel_id, rejects)
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
        if kind == "counts":  # those who tell of all they have, and send messages, are asked as rarely as for orders
            every_s = self.every_s(account.connector)
        try:
            while True:
                asked = self._now()
                page = await pull(account.connection, at, since=reading.since)
                await self._transact(partial(self._keep_page, channel_id, kind, page, keep, at, every_s, asked))
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
        asked: datetime,
        conn: Connection[TupleRow],
    ) -> None:
        keep(conn, page, at)
        keep_unreadable(conn, channel_id, page.rejects)
        ended = page.next is None
        following = page.next or page.cursor or at
        seconds = every_s if ended else _LEASE_S
        store.save_reading(conn, channel_id, kind, at=following, seconds=seconds, ended=ended, heard_until=asked)

    def every_s(self, connector: Connector) -> float:
        """How often a channel's orders are read."""
        if self._read_every_s is not None:
            return self._read_every_s
        tells = isinstance(connector, Declared) and connector.document.webhooks is not None
        return _REPAIR_EVERY_S if tells else _READ_EVERY_S

    async def reconcile(self, account: Account, *, days: int = _RECONCILE_DAYS, forced: bool = False) -> int | None:
        """Compare the channel's orders of the last days with ours, take in what was lost, and report what differs; the
        id of the report, None: it is not due, or has not come to its end yet."""
        capabilities = account.connector.capabilities
        if "orders.pull" not in capabilities or "orders.once" in capabilities:
            return None
        channel_id = account.channel_id
        reading = await self._transact(
            lambda conn: store.take_reading(conn, channel_id, "reconcile", lease_s=_RECONCILE_LEASE_S)
        )
        if reading is None and not forced:
            return None
        kept, asked = (None, 0) if reading is None else (reading.at, reading.asked)
        now = self._now()
        progress = await self._transact(lambda conn: begin(conn, channel_id, kept, now=now, days=days, asked=asked))
        try:
            is_more = True
            while is_more:
                progress, is_more = await self._compare_page(account, progress)
        except (Unavailable, Refused) as error:
            because, seconds = str(error), retry_s(1 if reading is None else reading.failures + 1)
            # Refused may be the place of a page that the channel does not know any more: all is read again.
            stands = progress.again() if isinstance(error, Refused) else progress

            def fail(conn: Connection[TupleRow]) -> None:
                store.place_reading(conn, channel_id, "reconcile", at=stands.text())
                store.fail_reading(conn, channel_id, "reconcile", error=because, seconds=seconds)

            await self._transact(fail)
            if forced:
                raise
            return None

        def end(conn: Connection[TupleRow]) -> int:
            store.save_reading(conn, channel_id, "reconcile", at=None, seconds=self._reconcile_every_s, ended=True)
            return finish(conn, channel_id, progress)

        return await self._transact(end)

    async def _compare_page(self, account: Account, progress: Progress) -> tuple[Progress, bool]:
        """Read one page, follow it, and see what differs still; how far that is, and whether there is another page."""
        channel_id, asked = account.channel_id, self._now()
        page = await account.connector.pull_orders(account.connection, progress.at, since=progress.since)

        def take_in(conn: Connection[TupleRow]) -> Hearing:
            heard, rejects = _keepable(page.records, asked)
            _keep_rejects(conn, channel_id, page.rejects)
            keep_unreadable(conn, channel_id, rejects)
            return hear(conn, channel_id, heard)

        hearing = await self._transact(take_in)
        await self._thread(self._follower.follow, _channel(account), [*hearing.new, *hearing.changed])
        said = {r.external_id: r for r in page.records if isinstance(r, ChannelOrder) and not unkeepable(r)}

        def work(conn: Connection[TupleRow]) -> Progress:
            after = progress.after(
                page.next, said, compare_page(conn, channel_id, said, hearing.new), hearing.new, hearing.changed
            )
            if after.pages % _RECONCILE_KEPT_EVERY == 0:
                store.save_reading(
                    conn, channel_id, "reconcile", at=after.text(), seconds=_RECONCILE_LEASE_S, ended=False
                )
            return after

        return await self._transact(work), page.next is not None

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
            await self._transact(partial(_end, account.code, self._db.origin, notice, outcome))
        return len(due)

    async def _tell(self, account: Account, notice: Notice) -> Outcome:
        connector, connection = account.connector, account.connection
        if notice.kind == "cancel" and notice.shipment_no:
            return await self._tell_part(account, notice)
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

    async def _tell_part(self, account: Account, notice: Notice) -> Outcome:
        """Tell of units that we cancelled, as far as the channel still wants them: telling again takes nothing more."""
        connector, connection, channel_id = account.connector, account.connection, account.channel_id
        if "orders.cancel_lines" not in connector.capabilities:
            return Outcome(fate=Fate.REFUSED, code="no_way", message="this channel cannot be told of cancelled units")

        def load(conn: Connection[TupleRow]) -> tuple[Order | None, Row]:
            external_id = store.external_id_of(conn, notice.order_id)
            row = store.lock_rows(conn, channel_id, [external_id])[external_id]
            return load_order(conn, notice.order_id), row

        order, row = await self._transact(load)
        assert order is not None, f"a notice of an order that is not there: {notice.order_id}"
        began, said = self._now(), row.said
        if "orders.get" in connector.capabilities:
            said = await connector.get_order(connection, row.external_id)
        gone = less_of(order, said)
        if gone and wanted_of(said) != row.wanted:
            # The customer has changed it meanwhile: that is followed first.
            await self._transact(lambda conn: _ask(conn, channel_id, [row.external_id], began))
            return Outcome(fate=Fate.RETRY, code="changed", message="it has changed there: that is followed first")
        outcome = Outcome(fate=Fate.DONE, code="known")
        if gone:
            # Other units are another request.
            key = f"{notice.key}-{hash_of(repr(gone))[:12]}"
            outcome = await cast("Partial", connector).cancel_lines(
                connection, row.external_id, gone, reason="it cannot be served", key=key
            )
        if outcome.fate in (Fate.DONE, Fate.ACCEPTED):
            # From now on the channel wants that much: what it says next is compared with it.
            wanted = {line_id: n for line_id, n in wanted_of(said).items() if line_id not in {x.line_id for x in gone}}
            wanted |= {less.line_id: less.left for less in gone if less.left}
            if not gone and wanted != {line.line_id: line.open for line in order.lines if line.open}:
                return outcome  # it wants something else again, which is yet to be followed
            await self._transact(lambda conn: store.set_wanted(conn, channel_id, row, wanted))
        return outcome


def _end(code: str, origin: int, notice: Notice, outcome: Outcome, conn: Connection[TupleRow]) -> None:
    """Write down what became of a notice, for who sends it next and for people."""
    again_s: float | None = None
    if outcome.fate in (Fate.DONE, Fate.ACCEPTED):
        store.end_notice(conn, notice.notice_id, status="done", error=outcome.code or None)
    else:
        because = f"{outcome.fate.value}: {outcome.code} {outcome.message}".strip()
        is_final = outcome.fate in (Fate.REFUSED, Fate.GONE) and (
            notice.attempts >= _REFUSALS_MAX or outcome.code == "no_way"
        )
        seconds = min(_NOTICE_RETRY_MAX_S, retry_s(notice.attempts))
        again_s = None if is_final else seconds
        status = "refused" if is_final else "due"
        store.end_notice(conn, notice.notice_id, status=status, error=because, seconds=seconds)
    event = of_notice(code, notice, outcome, again_s=again_s)
    if event is not None:
        write_events(conn, [event], actor=SYSTEM, origin=origin)


def _channel(account: Account) -> Channel:
    return Channel(account.channel_id, account.code)


def _pair(cursor: Cursor) -> tuple[int, int]:
    return cursor.xid, cursor.pos


def _keepable(values: Sequence[object], at: datetime, *, is_read: bool = True) -> tuple[list[Heard], list[Reject]]:
    """The orders among `values`, and those that could not be written down, for a person to see."""
    heard: list[Heard] = []
    rejects: list[Reject] = []
    for said in values:
        if not isinstance(said, ChannelOrder):
            continue
        if (why := unkeepable(said)) is None:
            heard.append(Heard(said, at, is_read))
        else:
            rejects.append(Reject(why=why, record=ascii(said)[:2_000], external_id=ascii(said.external_id)[1:101]))
    return heard, rejects


def _keep_posted(channel_id: int, posted: Sequence[Posted], conn: Connection[TupleRow]) -> None:
    for one in posted:
        said = one.received
        store.add_message(conn, channel_id, dedupe=theirs(said.dedupe), topic=theirs(said.topic), body=one.body)


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
        self._looked: dict[tuple[int, str], float] = {}

    def run(self, stop: threading.Event) -> None:
        """Listen until `stop` is set; rides out a database that goes away."""
        while not stop.is_set():
            try:
                run_loop(self._listen(stop))
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
                    await asyncio.sleep(_LOOK_AT_MOST_EVERY_S)
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
        now = time.monotonic()
        for name, work in works:
            key = account.channel_id, name
            if key in self._busy or self._paused.get(key, 0.0) > now:
                continue
            if name not in _AT_ONCE:
                if self._looked.get(key, 0.0) > now - _LOOK_AGAIN_S:
                    continue
                self._looked[key] = now
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
