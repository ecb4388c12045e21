"""Prices of the catalogue reach the channels that take ours; one part of the publication loop (flows/publish.py).

    item changed -> book of prices of each channel (channels/prices/book.py) -> batch, recorded -> connector
    -> fates, recorded

It has the loop's channels, locks and limits, and takes its turns after stock: a late zero oversells, a late price does
not. Still, a price that has waited for a minute behind a channel that is never quiet gets one turn a minute.
"""

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import psycopg
import structlog

from onhand.base.actor import SYSTEM
from onhand.channels.prices import store
from onhand.channels.prices.book import Batch, Drift, Listing, PriceBook
from onhand.channels.publication.breaker import Breaker
from onhand.connectors import Pricing, Refused, Unavailable
from onhand.connectors._sdk.filling import minor_units
from onhand.connectors._sdk.outcomes import fate_of
from onhand.connectors._sdk.values import Fate, Outcome, Price
from onhand.db import Database, outbox
from onhand.errors import DatabaseUnavailable
from onhand.flows.accounts import Account
from onhand.flows.channel_events import of_price_drift, of_prices

log = structlog.get_logger(__name__)

CAPABILITY: Final = "prices.push"
_LATE_S: Final = 60.0
_AGAIN_S: Final = 10.0
_STAND_BY_S: Final = 1.0
_QUIET_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.05
_SAVED_AT_ONCE: Final = 5_000
_PAGES_MAX: Final = 100_000
# A price whose answer never came may be lying at the channel, and take effect after a newer one.
_DOUBT_S: Final = 90.0


@dataclass(slots=True, eq=False)
class LivePrices:
    """Prices of a channel that this process publishes to.

    fault      why nothing is written; "": it is
    must_read  its currency was not asked yet, or what it asks was not read when that was due: nothing is written
    """

    account: Account
    book: PriceBook
    wake: asyncio.Event
    breaker: Breaker = field(default_factory=Breaker)
    fault: str = ""
    task: "asyncio.Task[None] | None" = None
    must_read: bool = True
    read_at: float = float("inf")
    read_again_at: float = 0.0
    left_at: float = float("-inf")
    unsaved: set[int] = field(default_factory=set[int])
    written: int = 0
    failed: int = 0
    requests: int = 0
    last_error: str = ""
    is_stopping: bool = False

    @property
    def connector(self) -> Pricing:
        return cast("Pricing", self.account.connector)

    @property
    def can_read(self) -> bool:
        """Whether the channel can be asked what it asks."""
        return "prices.pull" in self.account.connector.capabilities

    @property
    def is_busy(self) -> bool:
        return self.task is not None and not self.task.done()

    def health(self, now: float) -> dict[str, Any]:
        """As others are shown it."""
        return self.book.counts() | {
            "written": self.written,
            "failed": self.failed,
            "requests": self.requests,
            "breaker": "open" if self.breaker.is_open(now) else "closed",
            "last_error": self.last_error,
            "fault": self.fault,
        }


class PricePublisher:
    """Writes prices in the turns that it is given (`go`). All but its queries is of the loop's thread.

    in_thread  runs a query beside the loop
    read_every_s  between two readings of all prices of a channel
    """

    def __init__(
        self,
        db: Database,
        in_thread: Callable[..., Any],
        clock: Callable[[], float],
        *,
        rng: random.Random,
        keys: random.Random,
        read_every_s: float,
        doubt_s: float = _DOUBT_S,
    ) -> None:
        self._db, self._in_thread, self._clock = db, in_thread, clock
        self._rng, self._keys, self._read_every_s, self._doubt_s = rng, keys, read_every_s, doubt_s

    # Channels ------------------------------------------------------------------------------------------------------

    async def start(self, account: Account, wake: asyncio.Event) -> LivePrices | None:
        """Its prices, if it takes ours. Raises DatabaseUnavailable, psycopg.Error."""
        if not account.prices or CAPABILITY not in account.connector.capabilities:
            return None
        connector = cast("Pricing", account.connector)
        book = PriceBook(currency=account.currency, batch_max=connector.price_batch_max)
        prices = LivePrices(account, book, wake)
        # What it asks is read before the first price is written, so that only what differs is.
        last = (await self._in_thread(self._read_at)).get(account.channel_id)
        prices.read_at = 0.0 if last is None else last + self._read_every_s
        book.put(await self._in_thread(self._load, account.channel_id, None), self._clock())
        log.info("prices of a channel are published", channel=account.code, listings=len(book))
        return prices

    def _load(self, channel_id: int, skus: Sequence[str] | None) -> list[Listing]:
        with self._db.connection() as conn:
            return store.load_listings(conn, channel_id, skus)

    async def reload(self, prices: LivePrices, skus: Sequence[str]) -> None:
        """These items or listings have changed."""
        found, items = await self._in_thread(self._look, prices.account.channel_id, skus)
        prices.book.put(found, self._clock())
        prices.book.drop(set(items) - {listing.item_id for listing in found})
        prices.wake.set()

    def _look(self, channel_id: int, skus: Sequence[str]) -> tuple[list[Listing], list[int]]:
        with self._db.connection() as conn:
            return store.load_listings(conn, channel_id, skus), store.items_of(conn, skus)

    async def look(self, live: Sequence[LivePrices]) -> None:
        """Take over who is to be read anew. Raises DatabaseUnavailable, psycopg.Error."""
        if not live:
            return
        asked = await self._in_thread(self._read_at)
        for prices in live:
            last = asked.get(prices.account.channel_id)
            prices.read_at = 0.0 if last is None else min(prices.read_at, last + self._read_every_s)

    def _read_at(self) -> dict[int, float | None]:
        with self._db.connection() as conn:
            return store.read_at(conn)

    # Turns ---------------------------------------------------------------------------------------------------------

    def go(self, prices: LivePrices, now: float, *, is_quiet: Callable[[float], bool]) -> None:
        """Begin what is due, if anything is. is_quiet: whether nothing of stock waits or is under way."""
        if prices.is_busy or prices.is_stopping:
            return
        work: Any = None
        is_to_read = prices.must_read or now >= prices.read_at
        if is_to_read and now >= prices.read_again_at and prices.breaker.may_send(now, under_way=0):
            work = self._read(prices, is_quiet)
        elif (
            not prices.must_read
            and not prices.fault
            and prices.breaker.may_send(now, under_way=0)
            and prices.book.next_at(now) <= now
            and (is_quiet(now) or self._is_late(prices, now))
        ):
            work = self._send(prices)
        if work is not None:
            prices.task = asyncio.create_task(work)
            prices.task.add_done_callback(lambda _: prices.wake.set())

    def _is_late(self, prices: LivePrices, now: float) -> bool:
        return now - max(prices.left_at, prices.book.waiting_since(now)) >= _LATE_S

    def next_at(self, prices: LivePrices, now: float) -> float:
        """When `go` may have something to begin."""
        if prices.is_busy or prices.fault or prices.must_read:
            return float("inf")
        return max(prices.book.next_at(now), prices.breaker.until)

    # Writing -------------------------------------------------------------------------------------------------------

    async def _send(self, prices: LivePrices) -> None:
        """One batch: recorded, sent, its fates recorded."""
        account, book = prices.account, prices.book
        try:
            batch = book.pick(self._clock(), self._new_key)
            if batch is None:
                return
            if not await self._recorded(prices, batch):
                return
            prices.left_at = self._clock()
            outcomes = await self._push(prices, batch)
            now = self._clock()
            told = book.told(batch, outcomes, now)
            prices.requests += 1
            prices.written += told.done
            prices.failed += told.failed
            if told.errors:
                prices.last_error = told.errors[0]
            if any(outcome.fate is Fate.UNKNOWN for outcome in outcomes) and prices.can_read:
                prices.read_at = min(prices.read_at, now + self._doubt_s)
            if all(outcome.fate in (Fate.RETRY, Fate.UNKNOWN) for outcome in outcomes):
                prices.breaker.failed(now, jitter=self._rng.random())
            else:
                prices.breaker.worked()
            await self._remember(prices, batch.items)
            event = of_prices(account.code, batch.writes, outcomes, failures=prices.breaker.failures)
            if event is not None:
                await self._in_thread(self._tell, event)
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("prices wait for the database", channel=account.code, error=str(error))
            await asyncio.sleep(_STAND_BY_S)
        except Exception:
            log.exception("a price could not be written; it goes on", channel=account.code)
            await asyncio.sleep(_STAND_BY_S)

    def _new_key(self) -> str:
        return str(uuid.UUID(int=self._keys.getrandbits(128), version=4))

    async def _recorded(self, prices: LivePrices, batch: Batch) -> bool:
        """Record a batch before it leaves; False: the channel has changed, and this process has no more say in it."""
        try:
            saved = await self._in_thread(self._save, prices.account, prices.book.stored(batch.items))
        except BaseException:
            prices.book.undo(batch)
            raise
        if not saved:
            prices.book.undo(batch)
            prices.is_stopping = True  # whoever follows the channel's document begins anew
        return saved

    def _save(self, account: Account, rows: Sequence[Any]) -> bool:
        with self._db.connection() as conn:
            return store.save(conn, account.channel_id, account.updated_at, rows)

    async def _push(self, prices: LivePrices, batch: Batch) -> list[Outcome]:
        account = prices.account
        try:
            outcomes = list(await prices.connector.push_prices(account.connection, batch.writes))
            assert len(outcomes) == len(batch.writes), "each price has a fate"
            return outcomes
        except (Unavailable, Refused) as error:
            return [fate_of(error)] * len(batch.writes)
        except Exception as error:  # a connector of others: what it has done is not known
            log.exception("a connector failed", channel=account.code, connector=account.connector.name)
            failed = Outcome(fate=Fate.UNKNOWN, message=f"the connector failed ({type(error).__name__})")
            return [failed] * len(batch.writes)

    async def _remember(self, prices: LivePrices, items: Sequence[int]) -> None:
        """Record what is known; what cannot be now is with the next, and after a crash sent again."""
        prices.unsaved.update(items)
        saved = set(prices.unsaved)
        await self._in_thread(self._save, prices.account, prices.book.stored(saved))
        prices.unsaved.difference_update(saved)

    def _tell(self, event: tuple[str, str, dict[str, object]]) -> None:
        with self._db.connection() as conn:
            outbox.write_events(conn, [event], actor=SYSTEM, origin=self._db.origin)

    # Reading -------------------------------------------------------------------------------------------------------

    async def _read(self, prices: LivePrices, is_quiet: Callable[[float], bool]) -> None:
        """The currency of the channel and all that it asks; prices that differ are written again."""
        account = prices.account
        began = self._clock()
        is_due = began >= prices.read_at
        prices.read_again_at = began + _STAND_BY_S
        drift, known = Drift(), list[int]()
        try:
            await self._check_currency(prices)
            if is_due:
                prices.read_at = began + self._read_every_s
                if prices.can_read and not prices.fault:
                    await self._read_pages(prices, drift, known, is_quiet)
            if prices.is_stopping:
                return
            prices.breaker.worked()
            prices.must_read = False
            if is_due:
                prices.book.revive()
                await self._in_thread(self._save_read, account, drift, prices.book.stored(known))
                prices.read_at = began + self._read_every_s  # `look` has asked for it all the while
        except (Unavailable, Refused) as error:
            # One that will not tell is written to all the same; one that cannot be reached is asked again.
            if isinstance(error, Refused):
                prices.must_read = False
            prices.last_error = f"reading: {error}"[:500]
            prices.read_again_at = prices.read_at = self._clock() + _AGAIN_S
            log.warning("a channel's prices could not be read", channel=account.code, error=str(error))
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("what a channel asks could not be recorded", channel=account.code, error=str(error))
        except Exception:
            prices.read_again_at = self._clock() + 6 * _AGAIN_S
            log.exception("prices of a channel could not be read", channel=account.code)

    async def _check_currency(self, prices: LivePrices) -> None:
        account = prices.account
        if "prices.currency" not in account.connector.capabilities:
            return
        fault = ""
        try:
            theirs = await prices.connector.get_currency(account.connection)
            if theirs != account.currency:
                fault = f"its prices are in {theirs}, and the channel's currency is {account.currency}: none is written"
        except Refused as error:
            fault = f"it does not tell the currency of its prices, so none is written: {error}"[:500]
        if fault and fault != prices.fault:
            log.warning("prices of a channel are not written", channel=account.code, error=fault)
        prices.fault = fault

    async def _read_pages(
        self, prices: LivePrices, drift: Drift, known: list[int], is_quiet: Callable[[float], bool]
    ) -> None:
        currency = prices.account.currency
        at: str | None = None
        for _ in range(_PAGES_MAX):
            until = self._clock() + _QUIET_WITHIN_S
            while not is_quiet(self._clock()) and self._clock() < until and not prices.is_stopping:
                await asyncio.sleep(_POLL_S)
            asked_at = self._clock()
            page = await prices.connector.pull_prices(prices.account.connection, at)
            now = self._clock()
            for price in page.records:
                assert isinstance(price, Price), "pull_prices reads prices"
                try:
                    minor = _minor_of(price, currency)
                except ValueError:
                    drift.rejected += 1
                    continue
                item = prices.book.read(price.external_id, minor, drift, asked_at=asked_at, now=now)
                if item is not None:
                    known.append(item)
            drift.rejected += len(page.rejects)
            if page.next is None or prices.is_stopping:
                return
            at = page.next

    def _save_read(self, account: Account, drift: Drift, rows: Sequence[Any]) -> None:
        with self._db.connection() as conn:
            for first in range(0, len(rows), _SAVED_AT_ONCE):
                some = rows[first : first + _SAVED_AT_ONCE]
                if not store.save(conn, account.channel_id, account.updated_at, some):
                    return
            store.save_read(conn, account.channel_id, drift.document())
            if drift.differing:
                event = of_price_drift(account.code, drift.document())
                outbox.write_events(conn, [event], actor=SYSTEM, origin=self._db.origin)


def _minor_of(price: Price, currency: str) -> int | None:
    """In minor units of `currency`; None: it is in another one. Raises ValueError."""
    if price.currency and price.currency != currency:
        return None
    if price.price_minor is not None:
        return price.price_minor
    return minor_units(price.amount, currency)
