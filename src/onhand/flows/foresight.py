"""Look forward: make the outlook (prices of stock, risks of rejection) that every process decides by.

One worker makes it, from orders and stock, and keeps it in the database; all processes, this one too, take it over when
an event says so (`State.follow`). So they decide by the same prices, and the minutes of a processor that it may take
are spent once. Between two outlooks each process lets the prices follow the orders that it decides itself.

Expected orders are those of the last weeks, each as often as it may come again until supply does: real baskets, to real
places (sourcing/expected.py).
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.catalog.catalogue import Catalogue
from onhand.db import queries
from onhand.db.outbox import write_event
from onhand.flows.intake import rebuild_ask
from onhand.flows.state import State
from onhand.fulfilment.decide import REJECT_REASONS
from onhand.network.compiled import Channel, Network
from onhand.orders.intake import Wishes
from onhand.orders.model import Order
from onhand.orders.rows import decode_lines
from onhand.sourcing import outlook, rejections, tables
from onhand.sourcing.expected import DAYS_MIN, HISTORY_DAYS, HORIZON_DAYS, ORDERS_MIN, look_forward, share_until
from onhand.sourcing.node_worth import Local
from onhand.sourcing.outlook import Outlook
from onhand.sourcing.policy import Foresight, Policy
from onhand.sourcing.prices import Expected
from onhand.sourcing.rejections import Answered
from onhand.sourcing.solve import Ask, Stock, asked
from onhand.sourcing.store import add_outlook, outlook_made_at

SQL = queries(__file__)
log = structlog.get_logger(__name__)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Orders that are looked at: the first of each of so many stretches of time.
_STRETCHES, _ORDERS_EACH = 256, 80
# Expected orders that are decided at most: some 10 seconds.
_SAMPLES_MAX = 500_000
# An outlook is out of date before its time when the stock of so many items is not what it was, by so much.
_DRIFTED_ITEMS, _DRIFTED_STOCK = 0.1, 0.5
# But none is made sooner after the last than this share of the usual time.
_SOONEST = 0.2
_DAY_S = 86_400.0
_SEED = 1
_NEVER = datetime.fromtimestamp(0, UTC)

_wishes = msgspec.json.Decoder(Wishes)


@dataclass(frozen=True, slots=True)
class _World:
    """What intake reads."""

    catalogue: Catalogue
    network: Network
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Orders of the last weeks: asks, and float64 of each how often it stands for one, and when it was placed (Unix
    seconds); days: that they were placed in; order_ids: theirs, and of those that cannot be asked again."""

    asks: Sequence[Ask]
    times: Float64
    days: float
    order_ids: Sequence[UUID]

    @property
    def is_enough(self) -> bool:
        return len(self.asks) >= ORDERS_MIN and self.days >= DAYS_MIN


class _Stopped(Exception):
    """Whoever made an outlook was asked to end."""


class Foreseer:
    """Makes outlooks when they are due; any number of workers may try at once, one of them does it.

    stop  when set, an outlook that is being made is given up
    """

    def __init__(self, state: State, stop: threading.Event | None = None) -> None:
        self._state = state
        self._stop = stop or threading.Event()
        self._stock_then: Int64 | None = None

    def look(self) -> Outlook | None:
        """Make an outlook if it is time to; None if not, or if another worker does."""
        state = self._state
        with state.db.connection() as conn:
            if not self._is_due(conn):
                return None
        with state.db.connect() as conn:
            # Held as long as the connection is. Whoever held it until now may have made one.
            got = conn.execute("SELECT pg_try_advisory_lock(hashtextextended('onhand outlook', 0))").fetchone()
            if got != (True,) or not self._is_due(conn):
                return None
            try:
                return self.make()
            except _Stopped:
                return None

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _is_due(self, conn: Connection[TupleRow]) -> bool:
        made_at = outlook_made_at(conn)
        every_s = 60.0 * (self._state.policy.foresight or Foresight()).refresh_minutes
        if made_at is None:
            return True
        age_s = self._state.now().timestamp() - made_at
        return age_s >= every_s or (age_s >= _SOONEST * every_s and self._has_drifted())

    def make(self) -> Outlook:
        """Make an outlook now, keep it, and tell all processes."""
        state = self._state
        began, now = time.perf_counter(), state.now()
        world = _World(state.catalogue, state.network, state.policy)
        with state.db.connection() as conn:
            past = load_past(conn, world, now)
            answered = load_answered(conn, past.order_ids)
            supply = load_supply(conn)
            local = load_local(conn, now)
        with state.lock:
            stock = state.stock()
            network = state.network.with_own_room()
        # Copied without the lock: a number that changes meanwhile is as good as the one before.
        stock = Stock(stock.available.copy(), stock.pending.copy(), stock.safety.copy(), prices=stock.prices)
        self._stock_then = stock.available.sum(axis=1, dtype=np.int64)
        made = foresee(
            past, answered, supply, local, stock, network, world.policy, state.catalogue, now, state.outlook,
            between=self._go_on,
        )  # fmt: skip
        made = replace(made, seconds=time.perf_counter() - began)

        def keep(conn: Connection[TupleRow]) -> None:
            add_outlook(conn, made)
            facts = {"orders": made.orders, "seconds": round(made.seconds, 3), "positions": len(made.item)}
            write_event(conn, "outlook.changed", "outlook", facts, actor=SYSTEM, origin=state.db.origin)

        state.db.transact(keep)
        state.db.notify()
        state.look_ahead()
        log.info("looked forward", orders=made.orders, seconds=round(made.seconds, 3), has_prices=made.has_prices)
        return made

    def _has_drifted(self) -> bool:
        if self._stock_then is None:
            return False
        with self._state.lock:
            now = self._state.snapshot.available.sum(axis=1, dtype=np.int64)
        return has_drifted(self._stock_then, now)


def has_drifted(then: Int64, now: Int64) -> bool:
    """Whether the stock of many items is far from what it was; int64[item] units, of those known then."""
    now = now[: len(then)]
    held = np.maximum(then[: len(now)], now)
    moved = np.abs(now - then[: len(now)]) > _DRIFTED_STOCK * held
    return bool(moved.sum() > _DRIFTED_ITEMS * max(1, int((held > 0).sum())))


def foresee(
    past: Past,
    answered: Answered,
    supply: Mapping[int, float],
    local: Local,
    stock: Stock,
    network: Network,
    policy: Policy,
    catalogue: Catalogue,
    now: datetime,
    before: Outlook | None,
    *,
    between: Callable[[], None] | None = None,
) -> Outlook:
    """The outlook at `now`.

    supply  item_id -> Unix seconds of its next supply
    before  the last outlook, from whose prices these begin, and are not far
    between  see `central_prices`
    """
    items, nodes = stock.available.shape
    made = Outlook(made_at=now.timestamp(), seconds=0.0, orders=len(past.asks))
    answered = answered.only((answered.item < items) & (answered.node < nodes))
    if answered.lines.any():
        learned = rejections.learn(answered, items, nodes)
        made = replace(made, share=learned.share, ratio=learned.ratio)
    if not past.is_enough:
        return made
    expected = Expected(orders=asked(past.asks, network), count=past.times * (HORIZON_DAYS / past.days))
    until = share_until(np.array([*supply], np.int32), np.array([*supply.values()]), items, now=now.timestamp())
    start = None if before is None else before.prices(items, nodes).unit
    start = start if start is not None and len(start) else None
    found = look_forward(
        expected, stock, network, policy, catalogue.goods, now=now.timestamp(), until=until, local=local, start=start,
        samples_max=_SAMPLES_MAX, seed=_SEED, between=between,
    )  # fmt: skip
    if found is None:
        return made
    unit = found.unit
    if start is not None:
        most = outlook.CHANGE_SHARE * found.price_max
        unit[:, :, tables.NETWORK] = outlook.moved_little(unit[:, :, tables.NETWORK], start[:, :, tables.NETWORK], most)
    return made.with_prices(unit, found.step_minor).with_room(found.room)


# What it is made from -------------------------------------------------------------------------------


def load_past(conn: Connection[TupleRow], world: _World, now: datetime) -> Past:
    """A sample of the orders of the last weeks that is even in time."""
    first_ms = max(0, round((time.time() - HISTORY_DAYS * _DAY_S) * 1_000))
    ends = conn.execute(SQL["order_ends"], {"since": _id_at(first_ms)}).fetchone()
    assert ends is not None, "a row without FROM"
    if ends[0] is None:
        return Past(asks=(), times=np.zeros(0), days=0.0, order_ids=())
    start_ms, end_ms = (int(order_id[:8] + order_id[9:13], 16) for order_id in ends)
    edges = np.linspace(start_ms, end_ms + 1, _STRETCHES + 1).round().astype(np.int64).tolist()
    rows = conn.execute(
        SQL["sample_orders"],
        {
            "starts": [_id_at(ms) for ms in edges[:-1]],
            "ends": [_id_at(ms) for ms in edges[1:]],
            "each": _ORDERS_EACH,
        },
    ).fetchall()
    times = _times([row[0] for row in rows], [row[1].int >> 80 for row in rows], edges)
    channels = {c.channel_id: c for c in world.network.channels.values()}
    asks: list[Ask] = []
    kept: list[int] = []
    placed: list[float] = []
    for n, (_, _, placed_at, channel_id, request, lines) in enumerate(rows):
        channel = channels.get(channel_id)
        if channel is None or not now.timestamp() - HISTORY_DAYS * _DAY_S < placed_at <= now.timestamp():
            continue
        ask = _ask(world, _wishes.decode(request), channel, lines)
        if ask is not None:
            asks.append(ask)
            kept.append(n)
            placed.append(placed_at)
    days = (max(placed) - min(placed)) / _DAY_S if placed else 0.0
    return Past(asks=asks, times=times[kept], days=days, order_ids=[row[1] for row in rows])


def _times(stretch: Sequence[int], at_ms: Sequence[int], edges: Sequence[int]) -> Float64:
    """How many orders of its stretch each stands for. A stretch that has more than were looked at has as many more as
    it is longer than those took."""
    number = np.array(stretch, np.int64) - 1
    count = np.bincount(number, minlength=len(edges) - 1)
    last = np.zeros(len(edges) - 1)
    np.maximum.at(last, number, np.array(at_ms, np.float64) + 1.0)
    length = np.diff(np.array(edges, np.float64))
    seen = np.maximum(last - np.array(edges[:-1], np.float64), 1.0)
    more = np.where(count >= _ORDERS_EACH, np.maximum(length / seen, 1.0), 1.0)
    return more[number]


def _ask(world: _World, wish: Wishes, channel: Channel, lines: str) -> Ask | None:
    """An order as it would be asked now; None when it cannot be."""
    bought = decode_lines(lines)
    if not all(0 < item <= world.catalogue.count for line in bought for item, _ in line.parts):
        return None
    if wish.objective not in world.policy.objectives:
        wish.objective = None
    if wish.service not in world.network.service_codes:
        wish.service = None
    # As an order that nothing has happened to yet; who it is does not matter.
    order = Order(
        order_id="", channel_id=channel.channel_id, channel=channel.code, external_id="", status="", queue=None,
        placed_at=_NEVER, deliver_by=None, customer_id=None, wishes=wish, lines=bought, skus={},
    )  # fmt: skip
    return rebuild_ask(world, order, channel)


def _id_at(ms: int) -> str:
    """The lowest id of a moment, Unix milliseconds."""
    return str(UUID(int=ms << 80))


def load_answered(conn: Connection[TupleRow], order_ids: Sequence[UUID]) -> Answered:
    """What nodes have answered to the lines of these orders."""
    rows = conn.execute(SQL["answered_lines"], {"ids": list(order_ids), "reasons": sorted(REJECT_REASONS)}).fetchall()
    columns = np.array(rows, np.int32).reshape(-1, 5).T
    return Answered(*columns)


def load_supply(conn: Connection[TupleRow]) -> dict[int, float]:
    """item_id -> Unix seconds of the next dated supply."""
    return dict(conn.execute(SQL["next_supply"]).fetchall())


def load_local(conn: Connection[TupleRow], now: datetime) -> Local:
    """Positions with a markdown, or with sales to who walks in. An item without cost has no known loss or margin."""
    at = now.timestamp()
    rows = conn.execute(SQL["local_values"], {"since": at - HISTORY_DAYS * _DAY_S, "now": at}).fetchall()
    item, node, cleared, price, cost, units, squares = list(zip(*rows, strict=True)) or [()] * 7
    return Local(
        item=np.array(item, np.int32),
        node=np.array(node, np.int32),
        margin=np.array([0.0 if None in (p, c) else float(max(p - c, 0)) for p, c in zip(price, cost, strict=True)]),
        cleared=np.array([0.0 if None in (s, c) else float(s - c) for s, c in zip(cleared, cost, strict=True)]),
        daily=np.array(units, np.float64) / HISTORY_DAYS,
        daily_squared=np.array(squares, np.float64) / HISTORY_DAYS,
    )


__all__ = ["DAYS_MIN", "HISTORY_DAYS", "HORIZON_DAYS", "ORDERS_MIN", "Foreseer", "Past", "foresee", "has_drifted"]
