"""What the listings of one channel ask and are to ask. Pure.

A price goes through `pick` (newest only, in the order in which they changed; to be recorded before it leaves) and
`told` (its fate). Whatever the fates, and after a crash between any two of these, the listings come to ask what was
last wanted:

- one whose fate is not known is sent again as it was, unless another price is wanted by now: then that one goes;
- what failed comes again later and later; what was refused `TRIES` times in a row is left for a person, until its price
  or its listing changes, or all is read again;
- a price in another currency than the channel's is never written, and nothing is over one that is read in another.

Times are seconds since 1970, prices minor units of the channel's currency.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from onhand.connectors._sdk.values import Fate, Outcome, PriceWrite

TRIES: Final = 8
"""Refusals in a row after which a price is dead."""

_PAUSE_MAX_S: Final = 60.0
_REFUSED_FIRST_S, _REFUSED_MAX_S = 60.0, 3600.0
# From so many failures in a row on a price goes alone.
_APART: Final = 3
# What was only accepted may be shown so much later; until then a reading says nothing.
_SETTLES_S: Final = 1800.0
_EXAMPLES: Final = 20


class Listing(NamedTuple):
    """One listing, as stored. price_minor, currency: the item's; `sent_key` None: nothing is on its way."""

    item_id: int
    external_id: str
    external_sku: str
    price_minor: int | None
    currency: str | None
    shown: int | None = None
    shown_at: float = 0.0
    verified_at: float = 0.0
    sent: int | None = None
    sent_key: str | None = None
    sent_batch: str | None = None
    failures: int = 0
    next_try: float = 0.0
    is_foreign: bool = False


class Stored(NamedTuple):
    """What is to be remembered of a listing."""

    item_id: int
    shown: int | None
    shown_at: float
    verified_at: float
    sent: int | None
    sent_key: str | None
    sent_batch: str | None
    failures: int
    next_try: float
    is_dead: bool
    is_foreign: bool
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Prices that leave together."""

    batch_id: str
    items: list[int]
    writes: list[PriceWrite]
    is_again: bool


@dataclass(slots=True)
class Told:
    """What became of a batch."""

    done: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Drift:
    """What a reading of a channel's prices has found.

    read      listings of ours that it told of; verified: that asked what we believed
    learned   of which nothing was known before
    foreign   that somebody else changed; lost: that ask what was there before our last write
    skipped   with a price on its way
    unknown   things that are no listing of ours
    currency  whose price is in another currency than the channel's: nothing is written there
    """

    read: int = 0
    verified: int = 0
    learned: int = 0
    foreign: int = 0
    lost: int = 0
    skipped: int = 0
    unknown: int = 0
    currency: int = 0
    rejected: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def differing(self) -> int:
        """Listings that asked another price than we believed."""
        return self.foreign + self.lost + self.currency

    def document(self) -> dict[str, Any]:
        """To be kept and shown."""
        counted = ("read", "verified", "learned", "foreign", "lost", "skipped", "unknown", "currency", "rejected")
        return {name: getattr(self, name) for name in counted} | {"examples": self.examples}


@dataclass(slots=True)
class _Row:
    item_id: int
    external_id: str
    external_sku: str
    wanted: int | None = None
    is_other_currency: bool = False  # the item's
    is_foreign: bool = False  # what was read there
    is_gone: bool = False
    is_busy: bool = False
    is_dead: bool = False
    shown: int | None = None
    before: int | None = None
    shown_at: float = 0.0
    verified_at: float = 0.0
    sent: int | None = None
    key: str | None = None
    batch: str | None = None
    failures: int = 0
    next_try: float = 0.0
    settles_at: float = 0.0
    since: float = 0.0
    error: str | None = None

    def is_due(self) -> bool:
        is_able = not (self.is_gone or self.is_dead or self.is_foreign or self.is_busy)
        return is_able and self.sent is None and self.wanted is not None and self.wanted != self.shown

    def unsend(self) -> None:
        self.sent = self.key = self.batch = None


class PriceBook:
    """The listings of one channel, by item.

    currency   of the channel
    batch_max  prices that one request carries
    """

    def __init__(self, *, currency: str, batch_max: int) -> None:
        self.currency, self.batch_max = currency, batch_max
        self._rows: dict[int, _Row] = {}
        self._by_external: dict[str, int] = {}
        self._ready: dict[int, None] = {}  # due, the longest first
        self._later: list[tuple[float, int]] = []  # due, but not before
        self._again: dict[str, list[int]] = {}  # whose fate is not known, by the batch they left with

    def __len__(self) -> int:
        return len(self._rows)

    # Listings and what is wanted -----------------------------------------------------------------------------------

    def put(self, listings: Iterable[Listing], now: float) -> None:
        """Take listings over, with the prices that they are to ask. What is known of one that is there stays."""
        for listing in listings:
            row = self._rows.get(listing.item_id)
            if row is None:
                row = self._add(listing, now)
            elif (row.external_id, row.external_sku) != (listing.external_id, listing.external_sku):
                self._rename(row, listing)
            else:
                row.is_gone = False
            self._want(row, listing.price_minor, listing.currency, now)
            self._queue(row)

    def _add(self, listing: Listing, now: float) -> _Row:
        row = _Row(
            listing.item_id, listing.external_id, listing.external_sku, shown=listing.shown, shown_at=listing.shown_at,
            verified_at=listing.verified_at, sent=listing.sent, key=listing.sent_key, batch=listing.sent_batch,
            # What was dead is tried once more: its price may have changed since.
            failures=min(listing.failures, TRIES - 1), next_try=listing.next_try, since=now,
            is_foreign=listing.is_foreign,
        )  # fmt: skip
        self._rows[row.item_id] = row
        self._by_external[row.external_id] = row.item_id
        if row.batch is not None:
            self._again.setdefault(row.batch, []).append(row.item_id)
        row.wanted = listing.price_minor if listing.currency == self.currency else None
        return row

    def _rename(self, row: _Row, listing: Listing) -> None:
        """Another thing at the channel: nothing is known of it."""
        if self._by_external.get(row.external_id) == row.item_id:  # two may have exchanged their names
            del self._by_external[row.external_id]
        self._by_external[listing.external_id] = row.item_id
        row.external_id, row.external_sku = listing.external_id, listing.external_sku
        if row.sent is not None and not row.is_busy:
            self._again[str(row.batch)].remove(row.item_id)
            row.unsend()
        row.shown = row.before = None
        row.is_gone = row.is_dead = row.is_foreign = False
        row.failures, row.next_try, row.error = 0, 0.0, None

    def _want(self, row: _Row, price_minor: int | None, currency: str | None, now: float) -> None:
        row.is_other_currency = price_minor is not None and currency != self.currency
        wanted = None if row.is_other_currency else price_minor
        if wanted != row.wanted:
            row.wanted, row.since = wanted, now
            row.is_dead = False
            if row.sent is None:
                row.failures, row.next_try = 0, 0.0

    def drop(self, items: Iterable[int]) -> None:
        """These are no longer listed: nothing more is sent."""
        for item_id in items:
            if (row := self._rows.get(item_id)) is not None:
                row.is_gone = True
                self._ready.pop(item_id, None)

    def revive(self) -> None:
        """Try again what was given up."""
        for row in self._rows.values():
            if row.is_dead or row.is_gone:
                row.is_dead = row.is_gone = False
                row.failures, row.next_try = 0, 0.0
                self._queue(row)

    def items(self) -> list[int]:
        """All that are listed."""
        return list(self._rows)

    def counts(self) -> dict[str, int]:
        """How many are in which state."""
        rows = self._rows.values()
        return {
            "queue_depth": len(self._ready) + sum(row.is_due() for row in map(self._rows.__getitem__, self._waiting())),
            "under_way": sum(len(items) for items in self._again.values()) + sum(row.is_busy for row in rows),
            "listings": len(self._rows),
            "dead": sum(row.is_dead for row in rows),
            "gone": sum(row.is_gone for row in rows),
            "without_price": sum(row.wanted is None and not row.is_other_currency for row in rows),
            "other_currency": sum(row.is_other_currency or row.is_foreign for row in rows),
        }

    def _waiting(self) -> set[int]:
        return {item for _, item in self._later if item not in self._ready}

    def _queue(self, row: _Row) -> None:
        """Have a row written when it is its turn, if it is to be."""
        if not row.is_due():
            self._ready.pop(row.item_id, None)
        elif row.next_try > 0.0:
            self._ready.pop(row.item_id, None)
            heapq.heappush(self._later, (row.next_try, row.item_id))
        else:
            self._ready.setdefault(row.item_id)

    # Writes --------------------------------------------------------------------------------------------------------

    def _wake(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, item_id = heapq.heappop(self._later)
            row = self._rows[item_id]
            if row.is_due() and row.next_try <= now:  # else there is another entry for it, or nothing to do
                self._ready.setdefault(item_id)

    def next_at(self, now: float) -> float:
        """When there is something to do; infinite: not by itself."""
        self._wake(now)
        if self._ready:
            return now
        later = self._later[0][0] if self._later else float("inf")
        again = [max(self._rows[item].next_try for item in items) for items in self._again.values() if items]
        return min([later, *again])

    def waiting_since(self, now: float) -> float:
        """Since when the first of those that are due has waited; infinite: none is."""
        self._wake(now)
        return self._rows[next(iter(self._ready))].since if self._ready else float("inf")

    def pick(self, now: float, new_key: Callable[[], str]) -> Batch | None:
        """The next batch, under way from now on; None: nothing is due. new_key: a key that never came before."""
        self._wake(now)
        return self._pick_again(now) or self._pick_new(new_key)

    def _pick_again(self, now: float) -> Batch | None:
        for batch_id, items in list(self._again.items()):
            rows = [self._rows[item] for item in items]
            if any(row.next_try > now for row in rows):
                continue
            del self._again[batch_id]
            kept: list[_Row] = []
            for row in rows:
                if row.sent == row.wanted and not row.is_gone and not row.is_foreign:
                    kept.append(row)
                else:  # it may have come true, or not
                    row.unsend()
                    row.shown, row.next_try = None, 0.0
                    self._queue(row)
            if kept:
                return self._leaves(batch_id, kept, is_again=True)
        return None

    def _pick_new(self, new_key: Callable[[], str]) -> Batch | None:
        taken: list[_Row] = []
        for item_id in self._ready:
            row = self._rows[item_id]
            if row.failures >= _APART and taken:
                continue
            taken.append(row)
            if row.failures >= _APART or len(taken) >= self.batch_max:
                break
        if not taken:
            return None
        batch_id = new_key()
        for row in taken:
            del self._ready[row.item_id]
            row.sent, row.key, row.batch = row.wanted, new_key(), batch_id
        return self._leaves(batch_id, taken, is_again=False)

    def _leaves(self, batch_id: str, rows: Sequence[_Row], *, is_again: bool) -> Batch:
        writes: list[PriceWrite] = []
        for row in rows:
            assert row.sent is not None and row.key is not None, "it has a price and a key"
            row.is_busy = True
            writes.append(
                PriceWrite(
                    external_id=row.external_id, external_sku=row.external_sku, price_minor=row.sent,
                    currency=self.currency, key=row.key,
                )
            )  # fmt: skip
        return Batch(batch_id, [row.item_id for row in rows], writes, is_again)

    def undo(self, batch: Batch) -> None:
        """It did not leave: it could not be recorded."""
        for item_id in batch.items:
            row = self._rows[item_id]
            row.is_busy = False
            if batch.is_again:
                self._again.setdefault(batch.batch_id, []).append(item_id)
            else:
                row.unsend()
                self._queue(row)

    def told(self, batch: Batch, outcomes: Sequence[Outcome], now: float) -> Told:
        """Take the fates of a batch over."""
        all_failed = all(outcome.fate in (Fate.RETRY, Fate.UNKNOWN) for outcome in outcomes)
        told = Told()
        for item_id, write, outcome in zip(batch.items, batch.writes, outcomes, strict=True):
            row = self._rows[item_id]
            row.is_busy = False
            if write.external_id != row.external_id:  # the listing is of another thing there by now
                row.unsend()
                row.shown = None
            elif outcome.fate in (Fate.DONE, Fate.ACCEPTED):
                row.before, row.shown, row.shown_at = row.shown, row.sent, now
                row.settles_at = now + _SETTLES_S if outcome.fate is Fate.ACCEPTED else 0.0
                row.failures, row.next_try, row.error, row.is_dead = 0, 0.0, None, False
                row.unsend()
                told.done += 1
            else:
                told.failed += 1
                row.error = f"{outcome.fate}: {outcome.message or outcome.code}"[:500]
                told.errors.append(row.error)
                self._failed(row, outcome, now, alone=not all_failed)
            self._queue(row)
        return told

    def _failed(self, row: _Row, outcome: Outcome, now: float, *, alone: bool) -> None:
        row.failures += 1
        pause_s = min(_PAUSE_MAX_S, 0.5 * 2.0 ** min(row.failures - 1, 20))
        if outcome.fate is Fate.UNKNOWN:
            row.next_try = now + pause_s
            self._again.setdefault(str(row.batch), []).append(row.item_id)
            return
        is_newer = row.wanted != row.sent
        row.unsend()
        if is_newer and outcome.fate is not Fate.GONE:  # what was refused is not wanted any more
            row.failures, row.next_try = 0, 0.0
        elif outcome.fate is Fate.GONE:
            row.is_gone = True
        elif outcome.fate is Fate.REFUSED:
            row.is_dead = row.failures >= TRIES
            row.next_try = now + min(_REFUSED_MAX_S, _REFUSED_FIRST_S * 2.0 ** min(row.failures - 1, 20))
        else:
            row.next_try = 0.0 if alone and row.failures < _APART else now + pause_s

    # What was read -------------------------------------------------------------------------------------------------

    def read(
        self, external_id: str, price_minor: int | None, drift: Drift, *, asked_at: float, now: float
    ) -> int | None:
        """The channel asks `price_minor` (None: in another currency), by a request that left at `asked_at`. The item,
        if it is one of ours of which more is known now."""
        item_id = self._by_external.get(external_id)
        if item_id is None:
            drift.unknown += 1
            return None
        row = self._rows[item_id]
        drift.read += 1
        is_settling = row.settles_at > now and price_minor != row.shown
        if row.sent is not None or row.is_busy or row.shown_at > asked_at or is_settling:
            drift.skipped += 1
            return None
        kind = _kind(row, price_minor)
        setattr(drift, kind, getattr(drift, kind) + 1)
        if kind not in ("verified", "learned") and len(drift.examples) < _EXAMPLES:
            drift.examples.append(
                {
                    "kind": kind, "external_id": external_id, "external_sku": row.external_sku, "believed": row.shown,
                    "seen": price_minor,
                }
            )  # fmt: skip
        row.is_foreign, row.is_gone = price_minor is None, False
        row.shown, row.verified_at = price_minor, now
        if row.is_due() and kind != "verified":
            row.since = now
        self._queue(row)
        return item_id

    # To be remembered ----------------------------------------------------------------------------------------------

    def stored(self, items: Iterable[int]) -> list[Stored]:
        """What is to be remembered, in the order of item_id."""
        return [
            Stored(
                row.item_id, row.shown, row.shown_at, row.verified_at, row.sent, row.key, row.batch, row.failures,
                row.next_try, row.is_dead, row.is_foreign, row.error,
            )
            for row in map(self._rows.__getitem__, sorted(set(items)))
        ]  # fmt: skip


def _kind(row: _Row, price_minor: int | None) -> str:
    if row.wanted is None:  # its price is not ours
        return "learned"
    if price_minor is None:
        return "currency"
    if row.shown is None:
        return "learned"
    if row.shown == price_minor:
        return "verified"
    return "lost" if price_minor == row.before else "foreign"
