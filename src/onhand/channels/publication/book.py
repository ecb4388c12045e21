"""What is known of the listings of one channel: what each should show, what it shows, what is on its way. Pure.

A write goes through `pick` (which ones, newest number only, riskiest first), `write` (under its key; to be recorded
before it leaves) and `told` (its fate). Whatever the fates, and after a crash between any two of these, the listings
come to show what was last wanted:

- a write whose fate is not known is sent again as it was, with the others it left with, under the same keys; or, where
  the channel does not compare and another number is wanted by now, the newer number goes instead;
- one that was refused for another number than expected waits until that number was read; what the channel has sold
  without our knowledge (expected less seen) is not shown again before we have heard of it, or a minute has passed;
- a listing whose channel has sold some itself, which most count down by themselves, is written though the number is the
  one that it was told last (`touch`, `to_check`, `doubt`): nobody else would notice;
- what failed alone comes again alone, later and later; a batch that fails again and again is taken apart.

Times are seconds since 1970.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.channels.publication.risk import risk
from onhand.connectors._sdk.values import Fate, Outcome, Write

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

NONE: Final = -1
"""No number: of units that are not known, or of a write that is not there."""
NEVER: Final = float("inf")

# How long sales that we have not heard of are kept from being shown once more.
_OWED_S: Final = 60.0
# A sale may have been recorded so long before the news of it.
_NEWS_LATE_S: Final = 60.0
# From so many failures in a row on a write no longer goes in a full batch.
_APART: Final = 3
_PAUSE_MAX_S: Final = 60.0
_REFUSED_FIRST_S, _REFUSED_MAX_S = 60.0, 3600.0


class Listing(NamedTuple):
    """One listing, as stored. units below 0: not known; `sent_key` None: nothing is on its way."""

    item_id: int
    external_id: str
    external_sku: str
    is_active: bool = True
    shown: int = NONE
    shown_at: float = 0.0
    verified_at: float = 0.0
    sent: int = NONE
    sent_key: str | None = None
    sent_batch: str | None = None
    sent_was: int | None = None
    failures: int = 0
    next_try: float = 0.0


class Stored(NamedTuple):
    """What is to be remembered of a listing."""

    item_id: int
    shown: int
    shown_at: float
    verified_at: float
    sent: int
    sent_key: str | None
    sent_batch: str | None
    sent_was: int | None
    failures: int
    next_try: float
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that leave together, in the order of their item_id. `rows`: where they stand in the book."""

    batch_id: str
    rows: list[int]
    writes: list[Write]
    is_again: bool


@dataclass(slots=True)
class Told:
    """What became of a batch. lags_s: from the change to the acknowledgement, of those that arrived."""

    rows: list[int] = field(default_factory=list[int])
    done: int = 0
    failed: int = 0
    lags_s: list[float] = field(default_factory=list[float])
    errors: list[str] = field(default_factory=list[str])


class Verified(NamedTuple):
    """Active listings, those of them whose number was read at the channel, and when: that of the middle one and of the
    oldest, seconds since the epoch."""

    listings: int
    verified: int
    p50_at: float | None
    oldest_at: float | None


class Book:
    """The listings of one channel, by row.

    is_compared  writes say what they expect to be there
    can_read     the channel can be asked what it shows
    """

    def __init__(self, *, batch_max: int, is_compared: bool = False, can_read: bool = False) -> None:
        self.batch_max, self.is_compared, self.can_read = batch_max, is_compared, can_read
        self.rows: dict[int, int] = {}  # item_id -> row
        self.by_external: dict[str, int] = {}
        self.names: list[tuple[str, str]] = []
        self.item: Int32 = np.zeros(0, np.int32)
        self.wanted: Int32 = np.zeros(0, np.int32)
        self.shown: Int32 = np.zeros(0, np.int32)
        self.shown_at: Float64 = np.zeros(0)
        self.verified_at: Float64 = np.zeros(0)
        self.sent: Int32 = np.zeros(0, np.int32)
        self.failures: Int32 = np.zeros(0, np.int32)
        self.next_try: Float64 = np.zeros(0)
        # What was shown before the last write that arrived: a channel that shows it has lost that write.
        self.before: Int32 = np.zeros(0, np.int32)
        # When the number that is not shown yet came to be wanted; of what is on its way `_since_sent`.
        self.since: Float64 = np.zeros(0)
        self._since_sent: Float64 = np.zeros(0)
        self._owed: Int32 = np.zeros(0, np.int32)
        self._owed_until: Float64 = np.zeros(0)
        self.is_active = np.zeros(0, np.bool_)
        self.is_busy = np.zeros(0, np.bool_)
        self.is_gone = np.zeros(0, np.bool_)
        self.must_read = np.zeros(0, np.bool_)
        self._key: list[str | None] = []
        self._batch: list[str | None] = []
        self._was: list[int | None] = []
        self.errors: dict[int, str] = {}  # row -> what went wrong last
        self._again: dict[str, list[int]] = {}  # writes whose fate is not known, by the batch they left with
        self._turn_of_weak = False
        # Sales that we have heard of since `known_at` are not in `shown`: when the write left, or the reading came.
        self.known_at: Float64 = np.zeros(0)
        self._left_at: Float64 = np.zeros(0)
        self._touched_at: Float64 = np.zeros(0)  # the first and the last time that was not checked
        self._touched_last: Float64 = np.zeros(0)
        self.is_doubted = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self.names)

    def verified(self) -> Verified:
        """How old the numbers of active listings are."""
        at = self.verified_at[self.is_active]
        known = at[at > 0]
        if not len(known):
            return Verified(listings=len(at), verified=0, p50_at=None, oldest_at=None)
        middle = (len(known) - 1) // 2  # from there on are half of them at least, as percentile_disc has it
        known.partition(middle)
        return Verified(
            listings=len(at), verified=len(known), p50_at=float(known[middle]),
            oldest_at=float(known[: middle + 1].min()),
        )  # fmt: skip

    # Listings ------------------------------------------------------------------------------------------------------

    def put(self, listings: Sequence[Listing]) -> None:
        """Take listings over. What is known of one that is there already stays, and it is tried again."""
        new = [listing for listing in listings if listing.item_id not in self.rows]
        if new:
            self._append(new)
        if len(new) < len(listings):
            fresh = {listing.item_id for listing in new}
            for listing in listings:
                if listing.item_id not in fresh:
                    self._replace(self.rows[listing.item_id], listing)

    def _append(self, new: Sequence[Listing]) -> None:
        first, count = len(self.names), len(new)
        columns = list(zip(*new, strict=True))
        self.item = np.concatenate([self.item, np.array(columns[0], np.int32)])
        self.names += zip(columns[1], columns[2], strict=True)
        self.is_active = np.concatenate([self.is_active, np.array(columns[3], np.bool_)])
        self.shown = np.concatenate([self.shown, np.array(columns[4], np.int32)])
        self.shown_at = np.concatenate([self.shown_at, np.array(columns[5], np.float64)])
        self.verified_at = np.concatenate([self.verified_at, np.array(columns[6], np.float64)])
        self.sent = np.concatenate([self.sent, np.array(columns[7], np.int32)])
        self._key += columns[8]
        self._batch += columns[9]
        self._was += columns[10]
        self.failures = np.concatenate([self.failures, np.array(columns[11], np.int32)])
        self.next_try = np.concatenate([self.next_try, np.array(columns[12], np.float64)])
        self.wanted = np.concatenate([self.wanted, np.full(count, NONE, np.int32)])
        shown_at = self.shown_at[first:]
        self.known_at = np.concatenate([self.known_at, shown_at])
        self._left_at = np.concatenate([self._left_at, shown_at])
        for name, value in (
            ("since", NEVER),
            ("_since_sent", NEVER),
            ("_owed_until", 0.0),
            ("_touched_at", NEVER),
            ("_touched_last", NEVER),
        ):
            setattr(self, name, np.concatenate([getattr(self, name), np.full(count, value)]))
        self._owed = np.concatenate([self._owed, np.zeros(count, np.int32)])
        self.before = np.concatenate([self.before, np.full(count, NONE, np.int32)])
        for name in ("is_busy", "is_gone", "must_read", "is_doubted"):
            setattr(self, name, np.concatenate([getattr(self, name), np.zeros(count, np.bool_)]))
        self.rows.update(zip(columns[0], range(first, first + count), strict=True))
        self.by_external.update(zip(columns[1], range(first, first + count), strict=True))
        for row in np.flatnonzero(self.sent[first:] != NONE).tolist():
            self._send_again(first + row)

    def _send_again(self, row: int) -> None:
        batch = self._batch[row]
        assert batch is not None, "a write that was sent left in a batch"
        self._again.setdefault(batch, []).append(row)

    def _replace(self, row: int, listing: Listing) -> None:
        names = (listing.external_id, listing.external_sku)
        if names != self.names[row]:
            # Another thing at the channel: nothing is known of it.
            if self.by_external.get(self.names[row][0]) == row:  # two may have exchanged their names
                del self.by_external[self.names[row][0]]
            self.by_external[names[0]] = row
            if self.sent[row] != NONE and not self.is_busy[row]:
                self._again[batch := str(self._batch[row])].remove(row)
                if not self._again[batch]:
                    del self._again[batch]
                self._unsent(row)
            self.names[row] = names
            self.shown[row] = NONE
        self.is_active[row] = listing.is_active
        self.is_gone[row] = self.must_read[row] = False
        self.failures[row], self.next_try[row] = 0, 0.0

    def drop(self, items: Sequence[int]) -> None:
        """These are no longer listed: nothing more is sent."""
        for item in items:
            if (row := self.rows.get(item)) is not None:
                self.is_gone[row] = True

    # What is wanted ------------------------------------------------------------------------------------------------

    def want(self, rows: npt.NDArray[np.intp], units: npt.NDArray[np.integer], at: float | Float64) -> int:
        """These should show `units`, since `at`; how many that is news for."""
        old = self.wanted[rows]
        news = old != units
        at = at[news] if isinstance(at, np.ndarray) else at
        rows, units, old = rows[news], units[news], old[news]
        # Sales of the channel that we hear of now are owed no longer.
        self._owed[rows] = np.maximum(0, self._owed[rows] - np.where(old >= 0, np.maximum(0, old - units), 0))
        self.wanted[rows] = units
        self.since[rows] = np.minimum(self.since[rows], at)
        settled = (self.shown[rows] == units) & (self.sent[rows] == NONE) & (self._owed[rows] == 0)
        self.since[rows[settled]] = NEVER
        return int(news.sum())

    def touch(self, rows: npt.NDArray[np.intp], at: float | Float64) -> None:
        """Something of these was sold, perhaps by the channel itself: `to_check` will ask."""
        self._touched_at[rows] = np.minimum(self._touched_at[rows], at)
        self._touched_last[rows] = at

    def to_check(self, now: float) -> tuple[list[int], list[float]]:
        """(rows, since when) that show what they should, unless the channel itself has sold some since then."""
        idle = (self.sent == NONE) & ~self.is_busy & (self.shown >= 0) & ~self.is_doubted
        rows = np.flatnonzero(np.isfinite(self._touched_at) & idle & (self.target(now) == self.shown))
        since = np.maximum(self.known_at[rows], self._touched_at[rows] - _NEWS_LATE_S)
        self._touched_at[rows] = NEVER
        return rows.tolist(), since.tolist()

    def doubt(self, rows: Sequence[int], now: float) -> None:
        """The channel has sold some of these itself: they are written, whatever was shown last."""
        for row in rows:
            if self.sent[row] == NONE:
                self.is_doubted[row] = True
                self.since[row] = min(self.since[row], now)

    def target(self, now: float) -> Int32:
        """int32[row]: what each is to show now."""
        wanted = np.where(self.is_active, self.wanted, 0)  # of what is paused nothing is offered
        return np.maximum(0, wanted - np.where(now < self._owed_until, self._owed, 0)).astype(np.int32)

    def _pending(self, now: float) -> npt.NDArray[np.bool_]:
        """Rows that show another number than they should, and that nothing is on its way to."""
        idle = (self.sent == NONE) & ~self.is_busy & ~self.is_gone & (self.wanted >= 0)
        return idle & ((self.target(now) != self.shown) | self.is_doubted)

    def depth(self, now: float) -> int:
        """How many wait to be written, or to be heard of."""
        return int(self._pending(now).sum()) + int((self.sent != NONE).sum())

    def has_due(self, now: float) -> bool:
        """Whether something could be written now."""
        mine = (self._pending(now) & ~self.must_read) | ((self.sent != NONE) & ~self.is_busy)
        return bool((mine & (self.next_try <= now)).any())

    def next_at(self, now: float) -> float:
        """When there may be something to do that there is not now; infinite: not by itself."""
        waiting = self._pending(now) | ((self.sent != NONE) & ~self.is_busy)
        later = self.next_try[waiting & (self.next_try > now)]
        owed = self._owed_until[(self._owed > 0) & (self._owed_until > now)]
        return float(min(later.min(initial=NEVER), owed.min(initial=NEVER)))

    # Writes --------------------------------------------------------------------------------------------------------

    def pick(self, now: float, soon: Float64 | float = 0.0) -> list[int]:
        """Rows of the next batch, which are busy from now on; empty: nothing is due.

        soon  float64[row] or for all: units that are sold until the next slot, as expected
        """
        rows = self._pick_again(now) or self._pick_new(now, soon)
        self.is_busy[rows] = True
        return rows

    def _pick_again(self, now: float) -> list[int]:
        for batch, rows in list(self._again.items()):
            if self.next_try[rows].max() > now:
                continue
            del self._again[batch]
            target = self.target(now)
            kept: list[int] = []
            for row in rows:
                is_apart = self.is_compared and self.failures[row] >= _APART
                if not is_apart and (self.is_compared or self.sent[row] == target[row]):
                    kept.append(row)
                else:
                    self._unsent(row)
                    self.must_read[row] = is_apart and self.can_read
                    self.shown[row] = NONE
            if kept:
                return kept
        return []

    def _pick_new(self, now: float, soon: Float64 | float) -> list[int]:
        rows = np.flatnonzero(self._pending(now) & ~self.must_read & (self.next_try <= now))
        if not len(rows):
            return []
        weak = self.failures[rows] >= _APART
        most = self.batch_max
        if weak.any():
            # In turns: what keeps failing holds up nothing else, and is not forgotten.
            self._turn_of_weak = not self._turn_of_weak
            if self._turn_of_weak or weak.all():
                rows = rows[weak]
                most = max(1, most >> int(self.failures[rows].max() - _APART + 1))
            else:
                rows = rows[~weak]
        waited_s = np.clip(now - self.since[rows], 0.0, None)
        soon = soon[rows] if isinstance(soon, np.ndarray) else soon
        order = risk(self.target(now)[rows], self.shown[rows], soon, waited_s)
        if weak.any():
            order -= 10.0 * self.failures[rows]  # what has failed most comes last among its like
        if len(rows) > most:
            best = np.argpartition(-order, most - 1)[:most]
            rows = rows[best]
        return rows[np.argsort(self.item[rows], kind="stable")].tolist()

    def write(
        self, rows: Sequence[int], now: float, *, batch_id: str, keys: Sequence[str], sold: Mapping[int, int]
    ) -> Batch:
        """The writes of rows that were picked: again as they were, or new ones.

        batch_id, keys  of new ones
        sold            row -> units that the channel itself sold since its number was acknowledged, where it counts
                        them down by itself
        """
        if rows and self.sent[rows[0]] != NONE:
            batch = self._batch[rows[0]]
            assert batch is not None, "it was sent before"
            return Batch(batch, list(rows), [self._write_of(row) for row in rows], is_again=True)
        target = self.target(now)
        kept: list[int] = []
        for row, key in zip(rows, keys, strict=False):
            if target[row] == self.shown[row] and not self.is_doubted[row]:  # it has come back to that meanwhile
                self.is_busy[row] = False
                continue
            self.sent[row], self._key[row], self._batch[row] = target[row], key, batch_id
            is_known = self.is_compared and self.shown[row] >= 0
            self._was[row] = max(0, int(self.shown[row]) - sold.get(row, 0)) if is_known else None
            self._since_sent[row], self.since[row] = self.since[row], NEVER
            self._left_at[row] = now
            kept.append(row)
        return Batch(batch_id, kept, [self._write_of(row) for row in kept], is_again=False)

    def _write_of(self, row: int) -> Write:
        key = self._key[row]
        assert key is not None, "a write has a key"
        external_id, external_sku = self.names[row]
        return Write(
            external_id=external_id,
            external_sku=external_sku,
            quantity=int(self.sent[row]),
            key=key,
            expected=self._was[row],
        )

    def left_s(self, batch: Batch, now: float) -> list[float]:
        """How long ago the changes were made that leave now and lower a number, or set one that is not known.

        Those that raise one may wait: it costs sales at most, and nobody is sold too much meanwhile."""
        if batch.is_again:
            return []
        shown, sent = self.shown[batch.rows], self.sent[batch.rows]
        waited = np.maximum(0.0, now - self._since_sent[batch.rows])  # clocks of two machines may differ
        return waited[np.isfinite(waited) & ((shown < 0) | (sent < shown))].tolist()

    def _unsent(self, row: int) -> None:
        self.sent[row] = NONE
        self._key[row] = self._batch[row] = self._was[row] = None
        self.since[row] = min(self.since[row], self._since_sent[row])
        self._since_sent[row] = NEVER

    def put_back(self, rows: Sequence[int]) -> None:
        """Rows that were picked are not written after all."""
        self.is_busy[list(rows)] = False
        for row in rows:
            if self.sent[row] != NONE:
                self._send_again(row)

    def undo(self, batch: Batch) -> None:
        """The batch did not leave: it could not be recorded."""
        for row in batch.rows:
            self.is_busy[row] = False
            if batch.is_again:
                self._send_again(row)
            else:
                self._unsent(row)

    def told(self, batch: Batch, outcomes: Sequence[Outcome], now: float) -> Told:
        """Take the fates of a batch over."""
        all_failed = all(outcome.fate in (Fate.RETRY, Fate.UNKNOWN) for outcome in outcomes)
        told = Told()
        for row, write, outcome in zip(batch.rows, batch.writes, outcomes, strict=True):
            self.is_busy[row] = False
            told.rows.append(row)
            if write.external_id != self.names[row][0]:  # the listing is of another thing there by now
                self._unsent(row)
                self.shown[row] = NONE
                continue
            if outcome.fate in (Fate.DONE, Fate.ACCEPTED):
                self._arrived(row, outcome, now, told)
                continue
            told.failed += 1
            error = f"{outcome.fate}: {outcome.message or outcome.code}"[:500]
            self.errors[row] = error
            told.errors.append(error)
            self._failed(row, outcome, now, alone=not all_failed)
        return told

    def _arrived(self, row: int, outcome: Outcome, now: float, told: Told) -> None:
        since = self._since_sent[row]
        if np.isfinite(since):
            told.lags_s.append(max(0.0, now - float(since)))
        self.before[row] = self.shown[row]
        self.shown[row] = self.sent[row] if outcome.seen is None else outcome.seen
        self.shown_at[row] = now
        # A channel that compares has told us that we knew of all its sales until then; others we have told.
        self._known_as_of(row, float(self._left_at[row]))
        if outcome.seen is not None:
            self.verified_at[row] = now
        self.failures[row], self.next_try[row] = 0, 0.0
        self.errors.pop(row, None)
        self._since_sent[row] = NEVER
        self._unsent(row)
        if self.wanted[row] == self.shown[row]:
            self.since[row] = NEVER
        told.done += 1

    def _known_as_of(self, row: int, at: float) -> None:
        self.known_at[row], self.is_doubted[row] = at, False
        if self._touched_last[row] <= at:
            self._touched_at[row] = NEVER

    def _failed(self, row: int, outcome: Outcome, now: float, *, alone: bool) -> None:
        fate = outcome.fate
        if fate is Fate.STALE:
            was = self._was[row]
            self._unsent(row)
            if outcome.seen is not None:
                self._seen(row, outcome.seen, was, now)
            else:
                self._owed_since(row, was)
                self.must_read[row] = self.can_read
                self.shown[row] = NONE
            return
        self.failures[row] += 1
        failures = int(self.failures[row])
        if fate is Fate.UNKNOWN:
            self._send_again(row)
            self.next_try[row] = now + _pause_s(failures)
        elif fate is Fate.RETRY:
            self._unsent(row)
            # The fault of another write of its batch, or it is told to wait: once again at once.
            self.next_try[row] = now if alone and failures < _APART else now + _pause_s(failures)
        elif fate is Fate.GONE:
            self._unsent(row)
            self.is_gone[row] = True
        else:
            self._unsent(row)
            self.next_try[row] = now + min(_REFUSED_MAX_S, _REFUSED_FIRST_S * 2.0 ** min(failures - 1, 20))

    # What was read -------------------------------------------------------------------------------------------------

    def disproved(self, row: int, outcome: Outcome, now: float) -> None:
        """What the channel had accepted for `row` did not come true: what it shows is not known any more."""
        self.shown[row] = NONE
        self.errors[row] = f"{outcome.fate}: {outcome.message or outcome.code}"[:500]
        if outcome.fate in (Fate.REFUSED, Fate.GONE):
            self._failed(row, outcome, now, alone=True)
        # Everything else is written again.

    def _owed_since(self, row: int, was: int | None) -> None:
        # Kept for `read`: what was expected when the write was refused.
        self._was[row] = was

    def _seen(self, row: int, units: int, was: int | None, now: float) -> None:
        self.shown[row], self.shown_at[row], self.verified_at[row] = units, now, now
        self._known_as_of(row, now)
        if was is not None and units < was:
            self._owed[row] = min(np.iinfo(np.int32).max, int(self._owed[row]) + was - units)
            self._owed_until[row] = now + _OWED_S

    def to_read(self) -> list[int]:
        """Rows that have to be read before anything is written."""
        return np.flatnonzero(self.must_read & ~self.is_gone).tolist()

    def is_settled(self, row: int, since: float) -> bool:
        """Whether a request to read that left at `since` tells what the listing shows: no write came between."""
        return self.sent[row] == NONE and not self.is_busy[row] and self.shown_at[row] <= since

    def read(self, row: int, units: int, now: float) -> None:
        """The channel shows `units`, and no write is on its way (`is_settled`)."""
        was = self._was[row] if self.must_read[row] else None
        if was is None and self.is_compared and self.shown[row] >= 0:
            was = int(self.shown[row])  # it counts its own sales down: what is missing may be some
        self._seen(row, units, was, now)
        self.must_read[row] = False
        self._was[row] = None

    def not_readable(self, rows: Sequence[int]) -> None:
        """The channel does not say what these show: they are written without a comparison."""
        self.must_read[rows] = False
        self.shown[rows] = NONE

    # To be remembered ----------------------------------------------------------------------------------------------

    def stored(self, rows: Sequence[int]) -> list[Stored]:
        """What is to be remembered of `rows`."""
        return [
            Stored(
                int(self.item[row]), int(self.shown[row]), float(self.shown_at[row]), float(self.verified_at[row]),
                int(self.sent[row]), self._key[row], self._batch[row], self._was[row] if self._key[row] else None,
                int(self.failures[row]), float(self.next_try[row]), self.errors.get(row),
            )
            for row in rows
        ]  # fmt: skip


def _pause_s(failures: int) -> float:
    return min(_PAUSE_MAX_S, 0.5 * 2.0 ** min(failures - 1, 20))
