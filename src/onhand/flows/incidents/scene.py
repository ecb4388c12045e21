"""What a detector is given, and what it answers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.incidents.group import Patience
from onhand.incidents.model import Finding, Kind, Subject

SQL = queries(__file__)

T = TypeVar("T")

MARGIN_RATE: Final = 0.3
"""Share of a price that is margin where neither a cost nor the channel's margin is known."""
_NAMES_FOR: Final = timedelta(minutes=1)


class Memory:
    """What a process keeps between passes: things that are learned seldom and asked often."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[datetime, Any]] = {}

    def get(self, name: str, now: datetime, for_how_long: timedelta, learn: Callable[[], T]) -> T:
        """What was learned under this name, if that is not too long ago; otherwise it is learned now. What was learned
        after `now` is not taken: it knows what lies ahead."""
        known = self._kept.get(name)
        if known is not None and timedelta(0) <= now - known[0] < for_how_long:
            return known[1]
        learned = learn()
        # Nothing is not worth keeping: tomorrow there may be something.
        if learned is not None:
            self._kept[name] = now, learned
        return learned


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel as money sees it. penalty_minor: of an order that is not served; late_minor: of one, for each day."""

    code: str
    currency: str
    active: bool
    margin_rate: float
    penalty_minor: int
    late_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item as money sees it. margin_minor: of a unit; price_minor: NaN where it is not known."""

    sku: str
    currency: str
    price_minor: float
    margin_minor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The moment that a pass is about, the connection it reads by, and what is remembered.

    Nothing recorded after `now` is looked at, where rows tell when they were recorded.
    """

    conn: Connection[TupleRow]
    now: datetime
    memory: Memory

    @property
    def now_us(self) -> int:
        """Unix microseconds."""
        return round(self.now.timestamp() * 1_000_000)

    def id_at(self, at: datetime) -> UUID:
        """The least id of an order of a moment: ids grow with time (RFC 9562)."""
        return UUID(int=max(round(at.timestamp() * 1000), 0) << 80)

    @property
    def currency(self) -> str:
        """The currency of most orders of the last weeks; of most channels while there are none."""
        return self.memory.get("currency", self.now, timedelta(hours=1), lambda: main_currency(self.conn))

    @property
    def nodes(self) -> Mapping[int, str]:
        """Codes of all nodes by node_id."""
        return self.memory.get("nodes", self.now, _NAMES_FOR, lambda: dict(self.conn.execute(SQL["nodes"]).fetchall()))

    @property
    def channels(self) -> Mapping[int, Channel]:
        """All channels by channel_id."""
        return self.memory.get("channels", self.now, _NAMES_FOR, self._channels)

    def _channels(self) -> Mapping[int, Channel]:
        return {
            channel_id: Channel(
                code=code, currency=currency, active=active, penalty_minor=penalty, late_minor=late,
                margin_rate=MARGIN_RATE if rate is None else rate,
            )
            for channel_id, code, currency, active, rate, penalty, late in self.conn.execute(SQL["channels"])
        }  # fmt: skip

    def items(self, ids: Collection[int]) -> dict[int, Item]:
        """These items by item_id. An item without a currency is taken to be sold in that of most orders."""
        found: dict[int, Item] = {}
        for item_id, sku, price, cost, currency in self.conn.execute(SQL["items"], {"ids": sorted(set(ids))}):
            margin = 0.0 if price is None else price * MARGIN_RATE if cost is None else max(price - cost, 0)
            found[item_id] = Item(
                sku=sku, currency=currency or self.currency, margin_minor=float(margin),
                price_minor=float("nan") if price is None else float(price),
            )  # fmt: skip
        return found


def main_currency(conn: Connection[TupleRow]) -> str:
    """The currency of most of the last orders; of most channels while there are none; of no channels EUR."""
    row = conn.execute(SQL["currency"]).fetchone()
    return "EUR" if row is None else str(row[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What has changed since the pass before: ids of orders, and positions as (item_id, node_id)."""

    orders: Sequence[UUID] = ()
    positions: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a detector found.

    findings  by currency: money of several is never added
    parts     how many parts wide causes have, see group.by_cause
    scope     subjects that were looked at; None: all there are
    """

    findings: Mapping[str, Sequence[Finding]] = field(default_factory=dict[str, Sequence[Finding]])
    parts: Mapping[Subject, int] = field(default_factory=dict[Subject, int])
    scope: frozenset[Subject] | None = None

    def __len__(self) -> int:
        return sum(map(len, self.findings.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """There is too little to go by, or it is too old: nothing is opened, and nothing is closed."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One line of the table of detectors.

    kinds    of what it finds; no other detector finds them
    every    how often all there is is looked at
    look     does that
    changed  looks at what has changed since; None: it is looked at in full only
    patience how its incidents open and close: evidence that is a fact is over when it is over
    """

    name: str
    kinds: frozenset[Kind]
    every: timedelta
    look: Callable[[Scene], Seen | Unseen]
    changed: Callable[[Scene, Changes], Seen | Unseen] | None = None
    patience: Patience = field(default_factory=Patience)


FACTS: Final = Patience(quiet=timedelta(0))
"""Of evidence that is a fact as long as it is there: an order has left its state, and then it is not stuck."""


def by_currency(findings: Collection[Finding], currencies: Sequence[str]) -> dict[str, list[Finding]]:
    """Findings apart by the currency of each."""
    out: dict[str, list[Finding]] = {}
    for finding, currency in zip(findings, currencies, strict=True):
        out.setdefault(currency, []).append(finding)
    return out
