"""Write what a decision changed of orders: ledger, inbound promises, rows, capacity and events, in the one order in
which everybody locks.

The ledger's entries follow from the difference between an order before and after: no flow can forget one.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import psycopg
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.dates import EPOCH
from onhand.db import arrays
from onhand.db.outbox import write_events
from onhand.errors import Conflict, DatabaseUnavailable
from onhand.flows.state import State
from onhand.flows.transactor import Transactor
from onhand.ledger.model import Entry, Kind, Result
from onhand.ledger.store import apply_entries
from onhand.network.compiled import NO_LIMIT
from onhand.orders import store
from onhand.orders.model import Fulfilment, Order, Unit
from onhand.orders.public import unit_rows
from onhand.orders.states import check, settle

_CHANGE_CAPACITY = "SELECT change_capacity_v1(%b, %b, %b, %b, %b)"
_CHANGE_PARCELS = "SELECT change_parcels_v1(%b, %b, %b, %b, %b, %b)"
_FITS_NO_MORE = "OH001"

Capacity = dict[tuple[int, date], tuple[int, int, int]]
"""(node_id, ship day) -> orders, lines, units"""
Parcels = dict[tuple[str, str, str, int, date], int]
"""(carrier, service, OF_NODE or key of the lane, node_id or 0, ship day) -> parcels"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What `command` made of one order.

    plans   the decisions behind new fulfilments, to be kept
    lost    (item_id, node_id, units, reason): units that turned out to be unsellable
    facts   more for the order's event
    """

    before: Order
    after: Order
    command: str
    plans: Sequence[store.Plan] = ()
    lost: Sequence[tuple[int, int, int, str]] = ()
    facts: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What memory must learn after the commit: positions that changed; capacity and parcels taken (positive) or given
    back."""

    items: list[int] = field(default_factory=list[int])
    nodes: list[int] = field(default_factory=list[int])
    capacity: Capacity = field(default_factory=dict[tuple[int, date], tuple[int, int, int]])
    parcels: Parcels = field(default_factory=dict[tuple[str, str, str, int, date], int])

    def tell(self, state: State) -> None:
        """Bring this process's memory up to date and wake the consumers. Call after the commit."""
        # It is committed: what memory does not hear of costs a retry later, not this answer.
        with suppress(DatabaseUnavailable):
            state.take(self.items, self.nodes)
        with state.lock:
            network = state.network
            for (node, day), amounts in self.capacity.items():
                if node > network.count:
                    continue
                slots = (network.slot_day[node] == (day - EPOCH).days).nonzero()[0]
                for k, amount in enumerate(amounts):
                    if len(slots) and network.limits[node, k] != NO_LIMIT:
                        left = int(network.left[node, slots[0], k]) - amount
                        network.left[node, slots[0], k] = min(max(left, -NO_LIMIT), NO_LIMIT - 1)
            network.take_parcels((*key, (day - EPOCH).days, n) for (*key, day), n in self.parcels.items())
        state.db.notify()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command did: its answer, JSON-ready and without personal data, and what memory must learn."""

    answer: dict[str, object]
    written: Written


def run(state: State, work: Callable[[Connection[TupleRow]], Done], transact: Transactor | None) -> Done:
    """Run a command in its one transaction, then bring memory up to date."""
    done = (transact or state.db.transact)(work)
    done.written.tell(state)
    return done


def write_changes(conn: Connection[TupleRow], changes: Sequence[Change], *, by: Actor, origin: int) -> Written:
    """Write `changes`; the rows of their orders are locked, and each order is in one change only.

    Raises Conflict `stock.insufficient` when more is shipped than the node has, and SerializationFailure (so that the
    transaction is tried again) when a ship day or a carrier has filled up meanwhile.
    """
    for change in changes:
        # Settled: supply may have lost its date since the order was last written.
        check(settle(change.before), change.after, change.command)
    causes = [(change, entry) for change in changes for entry in _entries(change)]
    if len(changes) > 1:
        # What one order gives up another one may take.
        causes.sort(key=lambda cause: cause[1].kind != "release")
    entries = [entry for _, entry in causes]
    results = apply_entries(conn, entries, actor=by, origin=origin) if entries else []
    for (change, entry), result in zip(causes, results, strict=True):
        if result.status == "rejected":
            raise _refused(change, entry, result)
    store.save(conn, [(c.before, c.after) for c in changes])
    store.add_plans(conn, [(c.after.order_id, plan) for c in changes for plan in c.plans])
    capacity, parcels = _capacity(changes), _parcels(changes)
    _save_capacity(conn, capacity)
    _save_parcels(conn, parcels)
    write_events(conn, [event for change in changes for event in _events(change)], actor=by, origin=origin)
    keys = sorted({(e.item_id, e.node_id) for e in entries})
    return Written(items=[i for i, _ in keys], nodes=[n for _, n in keys], capacity=capacity, parcels=parcels)


def _entries(change: Change) -> Iterator[Entry]:
    """Releases, then losses, then what leaves, then what is promised anew."""
    moves: dict[Kind, list[Entry]] = {"release": [], "ship": [], "allocate": []}
    ref = UUID(change.after.order_id)
    for f in change.after.fulfilments:
        old = change.before.fulfilment(f.number)
        for (item, kind), units in _moves(old, f).items():
            reason = f.reason if kind == "release" else None
            moves[kind].append(Entry(item, f.node_id, kind, units, reason=reason, ref=ref))
    yield from moves["release"]
    for item, node, units, reason in change.lost:
        yield Entry(item, node, "damage", units, reason=reason, ref=ref)
    yield from moves["ship"]
    yield from moves["allocate"]


def _moves(old: Fulfilment | None, new: Fulfilment) -> dict[tuple[int, Kind], int]:
    """Units by item that `new` allocates, ships or releases against `old`."""
    if old is None:
        return _by_item("allocate", new.left)
    shipped = _shipped(old, new)
    left = new.left
    released = {unit: n - left.get(unit, 0) - shipped.get(unit, 0) for unit, n in old.left.items()}
    return _by_item("ship", shipped) | _by_item("release", released)


def _shipped(old: Fulfilment, new: Fulfilment) -> dict[Unit, int]:
    before = {p.unit: p.shipped for p in old.pieces}
    return {p.unit: n for p in new.pieces if (n := p.shipped - before[p.unit])}


def _by_item(kind: Kind, units: Mapping[Unit, int]) -> dict[tuple[int, Kind], int]:
    sums: dict[tuple[int, Kind], int] = {}
    for (_, item), n in units.items():
        if n:
            sums[item, kind] = sums.get((item, kind), 0) + n
    return sums


def _refused(change: Change, entry: Entry, result: Result) -> Exception:
    assert entry.kind == "ship", f"an entry that follows from a locked order was refused: {entry} {result}"
    sku = change.after.skus[entry.item_id]
    node = next(f.node for f in change.after.fulfilments if f.node_id == entry.node_id)
    return Conflict(
        result.code or "stock.insufficient",
        f"{sku} at {node}: {result.message}",
        sku=sku,
        node=node,
        on_hand=result.on_hand,
    )


def _capacity(changes: Sequence[Change]) -> Capacity:
    sums: dict[tuple[int, date], list[int]] = {}
    for sign, orders in ((-1, (c.before for c in changes)), (1, (c.after for c in changes))):
        for order in orders:
            for f in order.live:
                amounts = sums.setdefault((f.node_id, f.ship_day), [0, 0, 0])
                for k, amount in enumerate((1, f.lines, f.units)):
                    amounts[k] += sign * amount
    return {key: (o, lines, units) for key, (o, lines, units) in sorted(sums.items()) if o or lines or units}


def _save_capacity(conn: Connection[TupleRow], capacity: Capacity) -> None:
    if not capacity:
        return
    amounts = list(capacity.values())
    values = (
        arrays.int4([node for node, _ in capacity]),
        arrays.date([(day - EPOCH).days for _, day in capacity]),
        *(arrays.int8([a[k] for a in amounts]) for k in range(3)),
    )
    with _trying_again("a ship day has filled up meanwhile"):
        conn.execute(_CHANGE_CAPACITY, values)


@contextmanager
def _trying_again(because: str) -> Generator[None]:
    """What fits no more is a transaction to be tried again."""
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate != _FITS_NO_MORE:
            raise
        raise errors.SerializationFailure(because) from error


def _parcels(changes: Sequence[Change]) -> Parcels:
    sums: Parcels = {}
    for sign, orders in ((-1, (c.before for c in changes)), (1, (c.after for c in changes))):
        for order in orders:
            for f in order.live:
                for lane, node in f.parcel_counters:
                    key = f.carrier or "", f.service or "", lane, node, f.ship_day
                    sums[key] = sums.get(key, 0) + sign * f.parcels
    return {key: n for key, n in sums.items() if n}


def _save_parcels(conn: Connection[TupleRow], parcels: Parcels) -> None:
    if not parcels:
        return
    carriers, services, lanes, nodes, days = zip(*parcels, strict=True)
    values = (
        *(arrays.text(names) for names in (carriers, services, lanes)),
        arrays.int4(nodes),
        arrays.date([(day - EPOCH).days for day in days]),
        arrays.int8([*parcels.values()]),
    )
    with _trying_again("a carrier takes no more parcels meanwhile"):
        conn.execute(_CHANGE_PARCELS, values)


Event = tuple[str, str, dict[str, object]]


def _events(change: Change) -> Iterator[Event]:
    before, after = change.before, change.after
    for f in after.fulfilments:
        old = before.fulfilment(f.number)
        if old is not None and (old.status, old.pieces) != (f.status, f.pieces):
            yield _fulfilment_event(change, old, f)
    new = [after.fulfilment_id(f.number) for f in after.fulfilments if before.fulfilment(f.number) is None]
    if new or _shown(before) != _shown(after):
        data: dict[str, object] = {
            "order_id": after.order_id,
            "channel": after.channel,
            "external_id": after.external_id,
            "status": after.status,
            "queue": after.queue,
            "change": change.command,
        }
        if new:
            data["fulfilments"] = new
        if cancelled := _cancelled(before, after):
            data["cancelled"] = cancelled
        yield f"order.{after.status}", after.order_id, data | dict(change.facts)


def _shown(order: Order) -> object:
    """What, when it changes, is an event of the order and not only of a fulfilment."""
    return order.status, order.queue, order.waiting, [line.cancelled for line in order.lines]


def _cancelled(before: Order, after: Order) -> list[dict[str, object]]:
    return [
        {"line_id": line.line_id, "quantity": line.cancelled - old.cancelled}
        for old, line in zip(before.lines, after.lines, strict=False)  # lines that were added stand last
        if line.cancelled > old.cancelled
    ]


def _fulfilment_event(change: Change, old: Fulfilment, new: Fulfilment) -> Event:
    after = change.after
    left = new.left
    shipped = _shipped(old, new)
    moved = shipped or {unit: n - left.get(unit, 0) for unit, n in old.left.items() if n > left.get(unit, 0)}
    data: dict[str, object] = {
        "fulfilment_id": after.fulfilment_id(new.number),
        "order_id": after.order_id,
        "node": new.node,
        "status": new.status,
        "change": change.command,
    }
    if new.reason is not None and not shipped:
        data["reason"] = new.reason
    if moved:
        data["lines"] = unit_rows(after, moved)
    return f"fulfilment.{new.status}", after.fulfilment_id(new.number), data
