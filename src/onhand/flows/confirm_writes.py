"""Numbers that a channel has accepted and does not show yet: asked about until they are shown, or are known not to be.

Kept in memory only. What a crash forgets is found by the next reconciliation: until then the number counts as shown, as
the channel said that it had taken it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from onhand.channels.publication.book import Batch, Book
from onhand.connectors import Confirming
from onhand.connectors._sdk.values import Fate, Outcome, Write
from onhand.flows.accounts import Account

CAPABILITY: Final = "stock.confirm"
_FIRST_S: Final = 60.0
_BETWEEN_MAX_S: Final = 600.0
# Accepted that long ago and not shown: it got lost, or something else was shown on top of it.
_LOST_S: Final = 3_600.0


@dataclass(slots=True)
class Accepted:
    """Writes that were accepted together, at `at`. is_late: by a ticket, to be worked on in the channel's own time."""

    ticket: str
    rows: list[int]
    writes: list[Write]
    at: float
    due: float
    is_late: bool


@dataclass(slots=True)
class Unconfirmed:
    """What one channel has accepted and not confirmed."""

    waiting: list[Accepted] = field(default_factory=list[Accepted])

    def add(self, batch: Batch, outcomes: Sequence[Outcome], now: float) -> None:
        """Those of a batch that were accepted."""
        by_ticket: dict[str, Accepted] = {}
        for row, write, outcome in zip(batch.rows, batch.writes, outcomes, strict=True):
            if outcome.fate is Fate.ACCEPTED:
                ticket = outcome.ticket
                one = by_ticket.setdefault(ticket, Accepted(ticket, [], [], now, now + _FIRST_S, bool(ticket)))
                one.rows.append(row)
                one.writes.append(write)
        self.waiting += by_ticket.values()

    def take(self, now: float) -> Accepted | None:
        """What is to be asked about now, if anything."""
        due = [one for one in self.waiting if one.due <= now]
        if not due:
            return None
        first = min(due, key=lambda one: one.due)
        self.waiting.remove(first)
        return first

    def next_at(self) -> float:
        """When there is something to be asked; infinite: never."""
        return min((one.due for one in self.waiting), default=float("inf"))


async def confirm(account: Account, book: Book, unconfirmed: Unconfirmed, asked: Accepted, now: float) -> list[int]:
    """Ask what became of writes and take it over; rows that are known better now. Those still under way are asked about
    again later. now: when it is asked."""
    # A newer number has left meanwhile: no matter, unless the older one may yet be shown on top of it.
    kept = [n for n, row in enumerate(asked.rows) if asked.is_late or book.shown_at[row] == asked.at]
    if not kept:
        return []
    connector = cast("Confirming", account.connector)
    writes = [asked.writes[n] for n in kept]
    outcomes = await connector.confirm_stock(account.connection, writes, asked.ticket)
    changed: list[int] = []
    later: dict[str, Accepted] = {}
    for row, write, outcome in zip([asked.rows[n] for n in kept], writes, outcomes, strict=True):
        if _is_decided(book, asked, row, outcome, now):
            changed.append(row)
        elif (asked.is_late or book.shown_at[row] == asked.at) and now - asked.at < _LOST_S:
            again = Accepted(outcome.ticket, [], [], asked.at, now + _wait_s(now - asked.at), asked.is_late)
            one = later.setdefault(outcome.ticket, again)
            one.rows.append(row)
            one.writes.append(write)
    unconfirmed.waiting += later.values()
    return changed


def _is_decided(book: Book, asked: Accepted, row: int, outcome: Outcome, now: float) -> bool:
    """Take over what is known of one row, if anything is."""
    if not book.is_settled(row, now):
        return False
    if book.shown_at[row] != asked.at:
        if outcome.seen is None or outcome.seen == book.shown[row]:
            return False
        book.read(row, outcome.seen, now)  # the older number came last: the newer one is written again
        return True
    if outcome.fate is Fate.ACCEPTED and now - asked.at < _LOST_S:
        return False
    if outcome.fate in (Fate.DONE, Fate.ACCEPTED) and outcome.seen is not None:
        book.read(row, outcome.seen, now)
    elif outcome.fate is not Fate.DONE:
        book.disproved(row, outcome, now)
    return True


def _wait_s(age_s: float) -> float:
    return min(_BETWEEN_MAX_S, max(_FIRST_S, age_s / 2))
