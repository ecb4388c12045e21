"""Computed gates in a process that publishes: what they are decided by comes from the database, what is decided goes
back there for other processes to show, and the price of risk is learned from the orders of the day.

Without a channel whose gate is computed nothing is read and nothing is kept. After a restart latencies, prices of risk
and gates are read back; velocities are made again from what is forecast and from the orders of the last weeks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.channels.gate_notes import store
from onhand.channels.gates.controller import TAU_LEAST, TAU_MOST, Budget, learned
from onhand.channels.gates.exposure import Latency
from onhand.channels.gates.live import Changed, Gates, Int32, Latencies, Seller
from onhand.channels.gates.settings import read
from onhand.channels.model import CONNECTOR
from onhand.channels.publication.store import SellerRow
from onhand.connectors import Connector, Declared
from onhand.db import Database
from onhand.db.outbox import Cursor
from onhand.errors import DatabaseUnavailable
from onhand.flows.forecasts.coming import Coming

log = structlog.get_logger(__name__)

# History of velocities: so many days, of no more than so many orders; the last hours one by one, so that a burst that
# is on is seen as one.
_DAYS: Final = 28.0
_RECENT_H: Final = 48.0
_ORDERS_MAX: Final = 100_000
# An order that is older is history that was read, not a sale that was heard of late.
_LATE_MAX_S: Final = 86_400.0
_REFRESH_EVERY_S: Final = 10.0
_READ_EVERY_S: Final = 60.0
# All gates are looked at once a minute, but no more than so many in a second.
_SWEEP_S: Final = 60.0
_SWEEP_LEAST, _SWEEP_MAX = 100, 2_000
LEARN_EVERY_S: Final = 86_400.0
_LEARN_LOOK_S: Final = 600.0
# An order counts once those that were placed with it are surely committed.
_SETTLED_S: Final = 900.0


class Traits(NamedTuple):
    """What a channel's connector says of it: how late we hear of sales, until that is measured; whether a write
    overwrites sales that we have not heard of."""

    hear_s: float
    overwrites: bool


CALLS_US: Final = Traits(hear_s=1.0, overwrites=False)
_UNKNOWN: Final = Traits(hear_s=15.0, overwrites=True)


def traits_of(connector: Connector) -> Traits:
    """Of a connector."""
    tells = isinstance(connector, Declared) and connector.document.webhooks is not None
    is_told = tells or "messages.pull" in connector.capabilities
    return Traits(hear_s=5.0 if is_told else 15.0, overwrites=not connector.is_compared)


class Gating:
    """Gates of an installation, as one process keeps them. Not for two threads at once.

    clock  seconds since 1970
    """

    def __init__(self, db: Database, clock: Callable[[], float], *, learn_every_s: float = LEARN_EVERY_S) -> None:
        self._db, self._clock, self._learn_every_s = db, clock, learn_every_s
        self.gates = Gates(clock())
        self._traits: dict[int, Traits] = {}
        self._rows: list[SellerRow] = []
        self._mean_minor: dict[int, float] = {}
        self._budgets: dict[int, Budget] = {}
        self._led: set[int] = set()
        self._here: set[int] = set()  # channels that are written to, and saved with their health
        self._unsaved: list[Changed] = []
        self._coming = Coming()
        self._swept = 0
        self._refreshed_at = self._read_at = self._learned_at = float("-inf")

    @property
    def is_on(self) -> bool:
        """Whether any gate is computed."""
        return self.gates.is_computed

    # Channels ------------------------------------------------------------------------------------------------------

    def take(self, conn: Connection[TupleRow], rows: Sequence[SellerRow]) -> None:
        """These are the channels now."""
        was_on, self._rows = self.is_on, list(rows)
        self._tell_sellers()
        if self.is_on and not was_on:
            self._begin(conn)
        if self.is_on:
            self._take_targets(conn)

    def take_traits(self, traits: Mapping[int, Traits]) -> None:
        """What the connectors of channels say."""
        if self._traits != traits:
            self._traits = dict(traits)
            self._tell_sellers()

    def _tell_sellers(self) -> None:
        self.gates.take_sellers([self._seller(row) for row in self._rows])

    def _seller(self, row: SellerRow) -> Seller:
        traits = CALLS_US if row.connector == CONNECTOR else self._traits.get(row.channel_id, _UNKNOWN)
        mean_minor = self._mean_minor.get(row.channel_id)
        return Seller(
            channel_id=row.channel_id, code=row.code, setting=read(row.gate), nodes=tuple(row.node_ids),
            is_active=row.active, margin_rate=row.margin_rate,
            margin_minor=None if mean_minor is None or row.margin_rate is None else row.margin_rate * mean_minor,
            overwrites=traits.overwrites, hear_s=traits.hear_s,
        )  # fmt: skip

    def _begin(self, conn: Connection[TupleRow]) -> None:
        now_s = self._clock()
        history = store.history(conn, now_s, days=_DAYS, recent_h=_RECENT_H, limit=_ORDERS_MAX)
        self.gates.take_history(history.units, history.hours, history.began_s)
        self._coming = Coming()
        self._coming.look(conn, self._today())
        while self._coming.is_open:
            self._take_forecast(conn)
        self._mean_minor = history.mean_minor
        self._tell_sellers()
        self._observe(history.since)
        for channel_id in self._led:
            self.gates.noted(channel_id, *store.noted(conn, channel_id))
        self._read_back(conn)
        self._read_at = self._refreshed_at = now_s

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()

    def _take_forecast(self, conn: Connection[TupleRow]) -> None:
        """Read a part of what is forecast; take it over once it is all there."""
        if (rates := self._coming.step(conn)) is not None:
            self.gates.take_forecast(rates.items, rates.per_h)

    def latencies_of(self, conn: Connection[TupleRow], channel_id: int) -> tuple[Latencies, Latency]:
        """What was measured of a channel that is written to from here from now on, and its lag in all."""
        document = store.latencies(conn).get(channel_id, {})
        known = self.gates.latencies.get(channel_id)
        found = Latencies(*(_latency(document.get(name)) for name in ("hear", "wait", "apply")))
        if known is not None and known.hear.is_measured:
            found.hear = known.hear
        self.gates.latencies[channel_id] = found
        self._here.add(channel_id)
        return found, _latency(document.get("lag"))

    def lead(self, conn: Connection[TupleRow], channel_id: int) -> None:
        """The gates of this channel are noted, and its price of risk is learned, by this process from now on."""
        self._led.add(channel_id)
        if self.is_on:
            self._take_targets(conn)
            self.gates.noted(channel_id, *store.noted(conn, channel_id))

    def unlead(self, channel_id: int) -> None:
        """Another process may do that now."""
        self._led.discard(channel_id)
        self._here.discard(channel_id)

    def _take_targets(self, conn: Connection[TupleRow]) -> None:
        """Budgets as they were learned, for the targets of now."""
        self._budgets = store.budgets(conn)
        for seller in self.gates.sellers:
            if not seller.is_computed or seller.channel_id not in self._led:
                continue
            alpha, known = seller.setting.alpha, self._budgets.get(seller.channel_id)
            if known is None:
                store.begin_budget(conn, seller.channel_id, budget := Budget.of(alpha))
            elif known.alpha != alpha:
                # What was learned is how much more than alpha is accepted at a moment of risk.
                tau = min(TAU_MOST, max(TAU_LEAST, known.tau * alpha / known.alpha))
                store.set_budget(conn, seller.channel_id, budget := replace(known, alpha=alpha, tau=tau))
            else:
                continue
            self._budgets[seller.channel_id] = budget
        self.gates.taus = {channel_id: budget.tau for channel_id, budget in self._budgets.items()}
        self.gates.refresh()

    # What is heard -------------------------------------------------------------------------------------------------

    def hear(self, conn: Connection[TupleRow], after: Cursor, to: Cursor) -> dict[int, float]:
        """Take over what was sold between two places of the outbox: item_id -> when we heard of it."""
        if not self.is_on:
            return {}
        sales = store.sales_heard(conn, after, to)
        for sale in sales:
            late_s = max(0.0, sale.heard_s - sale.sold_s)  # clocks of two machines may differ
            if sale.is_first and late_s <= _LATE_MAX_S and (known := self.gates.latencies.get(sale.channel_id)):
                known.hear.add(late_s)
        self._observe(sales)
        return {sale.item_id: sale.heard_s for sale in sales}

    def _observe(self, sales: Sequence[store.Heard]) -> None:
        if sales:
            channels, items, units, heard_s, *_ = zip(*sales, strict=True)
            self.gates.sold(channels, items, units, heard_s)

    # As time goes on -----------------------------------------------------------------------------------------------

    def tick(self) -> Int32:
        """To be called once a second: read and learn what is due, of a forecast no more than a part at once; items
        whose gates are to be looked at again. Raises DatabaseUnavailable."""
        now_s = self._clock()
        if now_s - self._learned_at >= _LEARN_LOOK_S:
            self._learned_at = now_s
            self.learn()
        if now_s - self._read_at >= _READ_EVERY_S:
            with self._db.connection() as conn:
                self._read_back(conn)
                self._coming.look(conn, self._today())
            self._read_at = self._refreshed_at = now_s
        elif now_s - self._refreshed_at >= _REFRESH_EVERY_S:
            self.gates.refresh()
            self._refreshed_at = now_s
        elif self._coming.is_open:
            with self._db.connection() as conn:
                self._take_forecast(conn)
        items = self.gates.items
        count = min(_SWEEP_MAX, max(_SWEEP_LEAST, int(items.size / _SWEEP_S) + 1))
        self._swept = 0 if self._swept >= items.size else self._swept
        found = items[self._swept : self._swept + count].copy()
        self._swept += count
        return found

    def _read_back(self, conn: Connection[TupleRow]) -> None:
        """Supply, and what other processes have measured and learned."""
        self.gates.take_supply(store.supply(conn))
        for channel_id, document in store.latencies(conn).items():
            known = self.gates.latencies.get(channel_id)
            if known is not None and channel_id not in self._here:
                known.wait, known.apply = _latency(document.get("wait")), _latency(document.get("apply"))
                if not known.hear.is_measured:
                    known.hear = _latency(document.get("hear"))
        self._budgets = store.budgets(conn)
        self.gates.taus = {channel_id: budget.tau for channel_id, budget in self._budgets.items()}
        self.gates.refresh()

    def learn(self) -> int:
        """Learn from the orders of whole periods that have ended, each once; of how many channels there were any."""
        until = self._clock() - _SETTLED_S
        learning = [s.channel_id for s in self.gates.sellers if s.is_computed and s.channel_id in self._led]

        def work(conn: Connection[TupleRow]) -> dict[int, Budget]:
            found: dict[int, Budget] = {}
            for due in store.due_budgets(conn, learning, until=until, every_s=self._learn_every_s):
                orders, oversold = store.oversold_orders(conn, due.channel_id, due.since, until)
                budget = learned(due.budget, orders=orders, oversold=oversold)
                store.save_budget(conn, due.channel_id, budget, until=until, orders=orders, oversold=oversold)
                found[due.channel_id] = budget
            return found

        found = self._db.transact(work) if learning else {}
        self._budgets |= found
        self.gates.taus |= {channel_id: budget.tau for channel_id, budget in found.items()}
        if found:
            self.gates.refresh()
        return len(found)

    @property
    def has_unsaved(self) -> bool:
        """Whether `collect` has found what `save` has not noted yet."""
        return bool(self._unsaved)

    def collect(self) -> None:
        """Gather gates that have changed."""
        self._unsaved += self.gates.changed(self._led, self._clock())

    def save(self) -> None:
        """Note what was collected, for other processes to show; what cannot be now is with the next. May be called in
        another thread than everything else, but for itself."""
        unsaved, self._unsaved = self._unsaved, []
        try:
            with self._db.connection() as conn:
                store.save_gates(conn, unsaved)
        except (DatabaseUnavailable, psycopg.Error) as error:
            self._unsaved = unsaved + self._unsaved
            log.warning("gates wait for the database", error=str(error))

    def hearing(self, channel_id: int) -> dict[str, float]:
        """How late we hear of a channel's sales, to be written down."""
        known = self.gates.latencies.get(channel_id)
        return {} if known is None else known.hear.document()

    def save_hearing(self) -> None:
        """Write down how late we hear of channels that nothing is written to from here."""
        with self._db.connection() as conn:
            for seller in self.gates.sellers:
                if seller.channel_id not in self._here and (hear := self.hearing(seller.channel_id)):
                    store.save_hearing(conn, seller.channel_id, {"hear": hear})

    def soon(self, channel_id: int, items: Int32) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """float64[n]: units that a channel sells until a number that leaves now is shown, as expected."""
        return self.gates.soon(channel_id, items, self._clock())


def _latency(document: Any) -> Latency:
    """As it was written down; nothing measured, if that is none."""
    try:
        return Latency.read(document or {})
    except (AttributeError, TypeError, ValueError):
        return Latency()
