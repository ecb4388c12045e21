"""A period of the past as a `History`, reconstructed from orders, ledger, dated supply and fulfilments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.catalog.catalogue import Catalogue, Goods
from onhand.db import arrays, queries
from onhand.flows.foresight import load_local
from onhand.flows.intake import rebuild_ask
from onhand.flows.wanted import facts_of_order
from onhand.network.compiled import NO_LIMIT, Network, compile_network, read_document
from onhand.orders.intake import Wishes
from onhand.orders.model import Order
from onhand.orders.rows import decode_lines
from onhand.simulation.history import NO_INBOUND, NO_MOVES, Float64, History, Inbound, Int32, Moves
from onhand.sourcing.expected import HISTORY_DAYS
from onhand.sourcing.node_worth import Local
from onhand.sourcing.policies.facts import OrderFacts
from onhand.sourcing.policy import STANDARD, Policy
from onhand.sourcing.solve import Ask, Asked, asked

SQL = queries(__file__)
_wishes = msgspec.json.Decoder(Wishes)
# So many lines of what is usual stand beside what a node did itself (shrinkage of its share of rejections).
_USUAL_LINES = 50.0
# Orders of the weeks before that are read, some more or less.
_BEFORE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A history and what it was read from.

    skus      of its items, by their rows
    left_out  orders that have no destination to be sourced for, or whose channel is gone
    cut       whether there were more orders than were asked for
    ends      Unix seconds; earlier than asked for where it was cut
    """

    history: History
    skus: Sequence[str]
    left_out: int
    cut: bool
    ends: float


@dataclass(frozen=True, slots=True)
class _World:
    catalogue: Catalogue
    network: Network
    policy: Policy


def read_period(
    conn: Connection[TupleRow],
    begins: datetime,
    ends: datetime,
    *,
    orders_max: int | None = None,
    also: Sequence[int] = (),
    progress: Callable[[int], None] | None = None,
) -> Period:
    """The period from `begins` until `ends`; with `orders_max` until that many orders were placed.

    The network, its carriers and its calendars are those of now: they are what a policy would decide for. Call in a
    transaction of one snapshot. also: item ids that are to be read besides those that were ordered. `progress` is told
    how many orders are read. Of the four weeks before, a sample of the orders comes with it, for policies that look
    forward.
    """
    catalogue = Catalogue()
    catalogue.load(conn)
    network = compile_network(read_document(conn), begins)
    limit = None if orders_max is None else orders_max + 1
    rows = conn.execute(SQL["orders"], {"begins": begins, "ends": ends, "limit": limit}).fetchall()
    cut = orders_max is not None and len(rows) > orders_max
    if cut:
        ends = rows[-1][6]
        rows = [row for row in rows[:-1] if row[6] < ends]
    world = _World(catalogue, network, STANDARD)
    taken = _taken(world, rows, progress)
    since = begins - timedelta(days=HISTORY_DAYS)
    sample = {"since": since, "begins": begins, "sample": _BEFORE}
    early = _taken(world, conn.execute(SQL["orders_before"], sample).fetchall(), is_whole=True)
    items = np.unique(np.concatenate([taken.orders.item, early.orders.item, np.array(also, np.int32)]))
    ids: list[int] = items.tolist()
    for some in (taken, early):
        some.orders.item = _rows_of(items, some.orders.item)
    span = {"begins": begins, "ends": ends, "items": arrays.int4(items.astype(np.int32))}
    network.take_parcels(conn.execute(SQL["parcels"], span).fetchall())
    available, safety = _positions(conn, span, items, network.count)
    names = sorted({w.objective for some in (taken, early) for w in some.wishes if w.objective is not None})
    history = History(
        begins=begins.timestamp(),
        **_columns(taken, names, catalogue),
        objectives=names,
        network=replace(network, left=_left(conn, span, network)),
        goods=_goods(catalogue, items),
        available=available,
        safety=safety,
        rejection=_rejection(conn, span, network.count),
        moves=_moves(conn, span, items),
        inbound=_inbound(conn, span, items),
        local=_local(conn, items, begins),
    )
    if early.rows:
        history = replace(
            history,
            before=replace(
                history,
                begins=since.timestamp(),
                stand_for=float(early.rows[0][-1]),
                **_columns(early, names, catalogue),
            ),
        )
    return Period(
        history=history,
        skus=[catalogue.skus[i] for i in ids],
        left_out=len(rows) - len(taken.rows),
        cut=cut,
        ends=ends.timestamp(),
    )


class _Taken(NamedTuple):
    """Orders that can be decided again: rows of the query, what they wish, and columns."""

    rows: Sequence[TupleRow]
    wishes: Sequence[Wishes]
    orders: Asked


def _taken(
    world: _World,
    rows: Sequence[TupleRow],
    progress: Callable[[int], None] | None = None,
    *,
    is_whole: bool = False,
) -> _Taken:
    """is_whole: with units that were cancelled."""
    channels = {c.channel_id: c for c in world.network.channels.values()}
    kept: list[TupleRow] = []
    asks: list[Ask] = []
    wishes: list[Wishes] = []
    for n, row in enumerate(rows, 1):
        order = _order(row, is_whole=is_whole)
        channel = channels.get(order.channel_id)
        ask = None if channel is None else rebuild_ask(world, order, channel, priced=True)
        if ask is not None and ask.demand:
            kept.append(row)
            asks.append(ask)
            wishes.append(order.wishes)
        if progress is not None and n % 1_000 == 0:
            progress(n)
    return _Taken(kept, wishes, asked(asks, world.network))


def _columns(some: _Taken, names: Sequence[str], catalogue: Catalogue) -> dict[str, Any]:
    """Fields of a history that are about its orders."""
    return {
        "orders": some.orders,
        "placed": np.array([row[6].timestamp() for row in some.rows], np.float64),
        "may_wait": np.array([w.allow_backorder for w in some.wishes], np.bool_),
        "may_split": np.array([w.allow_split for w in some.wishes], np.bool_),
        "wishes": np.array([-1 if w.objective is None else names.index(w.objective) for w in some.wishes], np.int32),
        "facts": _facts(some.rows, catalogue),
    }


def _local(conn: Connection[TupleRow], items: Int32, begins: datetime) -> Local:
    """Sales at nodes in the weeks before, and what must be cleared, of these items."""
    known = load_local(conn, begins)
    known = known.only(np.isin(known.item, items))
    return known._replace(item=_rows_of(items, known.item))


def _order(row: TupleRow, *, is_whole: bool = False) -> Order:
    """As it was placed, without units that were cancelled unless `is_whole`."""
    order_id, channel_id, channel, external_id, status, queue, placed_at, customer_id, request, currency, lines = row[
        :11
    ]
    bought = decode_lines(lines)
    return Order(
        order_id=order_id,
        channel_id=channel_id,
        channel=channel,
        external_id=external_id,
        status=status,
        queue=queue,
        placed_at=placed_at.astimezone(UTC),
        deliver_by=None,
        customer_id=customer_id,
        wishes=_wishes.decode(request),
        currency=currency,
        lines=bought if is_whole else tuple(replace(line, quantity=line.open) for line in bought if line.open),
        skus={},
    )


def _facts(rows: Sequence[TupleRow], catalogue: Catalogue) -> Callable[[int], OrderFacts]:
    # Read again when a condition asks: most policies ask nothing, and orders in Python are large.
    return lambda n: facts_of_order(_order(rows[n]), catalogue, rows[n][11])


def _goods(catalogue: Catalogue, items: npt.NDArray[np.int32]) -> Goods:
    every = catalogue.goods
    return Goods(every.weight_g[items], every.volume_mm3[items], every.pair[items], every.pairs)


def _rows_of(items: Int32, wanted: npt.NDArray[np.int32]) -> Int32:
    return np.searchsorted(items, wanted).astype(np.int32)


def _arrays(conn: Connection[TupleRow], name: str, span: Mapping[str, object]) -> TupleRow | None:
    with conn.cursor(binary=True) as cursor:
        arrays.load_numpy(cursor.adapters)
        row = cursor.execute(SQL[name], span).fetchone()
    return None if row is None or row[0] is None else row


def _positions(conn: Connection[TupleRow], span: Mapping[str, object], items: Int32, nodes: int) -> tuple[Int32, Int32]:
    available, safety = np.zeros((2, len(items), nodes + 1), np.int32)
    row = _arrays(conn, "positions", span)
    if row is not None:
        at = _rows_of(items, row[0]), row[1]
        # An item that was oversold then had nothing to give.
        available[at], safety[at] = np.maximum(row[2], 0), row[3]
    return available, safety


def _moves(conn: Connection[TupleRow], span: Mapping[str, object], items: Int32) -> Moves:
    row = _arrays(conn, "moves", span)
    if row is None:
        return NO_MOVES
    at, item, node, units, is_supply = (np.asarray(column) for column in row)
    return Moves(at.astype(np.float64), _rows_of(items, item), node, units, is_supply.astype(np.bool_))


def _inbound(conn: Connection[TupleRow], span: Mapping[str, object], items: Int32) -> Inbound:
    rows = [row for row in conn.execute(SQL["inbound"], span).fetchall() if row[4] > 0]
    if not rows:
        return NO_INBOUND
    known, ready, item, node, units = zip(*rows, strict=True)
    return Inbound(
        np.array(known, np.float64),
        np.array(ready, np.float64),
        _rows_of(items, np.array(item, np.int32)),
        np.array(node, np.int32),
        np.array(units, np.int32),
    )


def _left(conn: Connection[TupleRow], span: Mapping[str, object], network: Network) -> Int32:
    """What orders from before leave of the days of limited nodes."""
    left = np.repeat(network.limits[:, np.newaxis], network.slot_day.shape[1], axis=1)
    rows = conn.execute(SQL["capacity"], span).fetchall()
    held = np.array([row for row in rows if row[0] <= network.count], np.int64).reshape(-1, 5)
    slots = network.slots_of(held[:, 0].astype(np.int32), held[:, 1].astype(np.int32))
    held, slots = held[slots >= 0], slots[slots >= 0]
    at = held[:, 0], slots
    left[at] = np.where(left[at] == NO_LIMIT, NO_LIMIT, np.maximum(left[at] - held[:, 2:], -NO_LIMIT))
    return left


def _rejection(conn: Connection[TupleRow], span: Mapping[str, object], nodes: int) -> Float64:
    """The share of its lines that each node rejected, shrunk towards that of all: a node with few lines is taken for a
    usual one."""
    lines, rejected = np.zeros((2, nodes + 1))
    for node, given, refused in conn.execute(SQL["rejections"], span):
        if node <= nodes:
            lines[node], rejected[node] = float(given), float(refused or 0)
    usual = rejected.sum() / max(lines.sum(), 1.0)
    return (rejected + _USUAL_LINES * usual) / (lines + _USUAL_LINES)


def moment(text: str) -> datetime:
    """A day or a moment, UTC where it does not say. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
