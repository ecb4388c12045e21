"""Source waiting units of orders again: after a rejection, a reroute, a receipt, an oversell.

Like placing on the exact path (place_orders.py): lock, decide, write; here for what is left of orders that exist. The
caller has locked the orders, chooses which of their waiting units to try, and writes what comes out.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.dates import EPOCH, microseconds, rfc3339
from onhand.catalog.catalogue import Catalogue
from onhand.db import queries
from onhand.flows.intake import rebuild_ask
from onhand.flows.place_orders import Book, Locked, days_after_arrival, load_inbound, lock_stock, with_demand
from onhand.flows.state import State
from onhand.flows.wanted import of_order
from onhand.ledger.store import Key, lock_positions
from onhand.network.compiled import NO_LIMIT, Channel, Network
from onhand.orders.decide import take_waiting, withdraw
from onhand.orders.model import Fulfilment, Order, Piece, Unit, Wait, split_cost, total
from onhand.orders.states import settle
from onhand.orders.store import Plan
from onhand.sourcing import record
from onhand.sourcing.backorder import Backing, Inbound, back
from onhand.sourcing.policy import Policy
from onhand.sourcing.solve import Ask, Decisions, Stock, undo

# A node that refused a part of an order, or had lost it, is asked again for that order only after a day.
_TRIED_FOR = timedelta(days=1)
_TRIED_REASONS = frozenset(("not_found", "damaged", "no_capacity", "closed", "other", "oversold"))

SQL = queries(__file__)
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class _World:
    """Memory as it was when sourcing began: the network may be exchanged at any moment."""

    catalogue: Catalogue
    network: Network
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Sourced:
    """What became of an order, settled. `found`: something changed, and `plans` holds the decision behind it; otherwise
    the one that found nothing, if there was something to decide."""

    order: Order
    plans: tuple[Plan, ...]
    found: bool


class Look(NamedTuple):
    """An order as sourcing sees it: what is asked, and the stock and room of the moment."""

    ask: Ask
    stock: Stock
    network: Network


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelf:
    """A plan from the shelf for `units`, which are among the waits of `order`."""

    order: Order
    units: dict[Unit, int]
    ask: Ask
    decisions: Decisions
    book: Book
    label: str


def tried(order: Order, now: datetime) -> set[int]:
    """Nodes that a part of `order` came back from lately."""
    return {
        f.node_id
        for f in order.fulfilments
        if f.reason in _TRIED_REASONS and (f.updated_at is None or f.updated_at > now - _TRIED_FOR)
    }


class Sourcer:
    """Stock, capacity and dated supply for sourcing `orders` again in one transaction, one after the other: what one
    gets is gone for the next. Locks every position of the items that wait."""

    def __init__(
        self, state: State, conn: Connection[TupleRow], orders: Sequence[Order], *, is_waived: bool = False
    ) -> None:
        """is_waived: a person let these orders go, whatever their profit is."""
        self._start(state, conn, orders, is_waived=is_waived)
        items = {w.item_id for o in orders for w in o.waiting}
        # An order that may not be split is sourced together with what it has already.
        items |= {item for o in orders if not o.wishes.allow_split for f in o.live for _, item in f.left}
        self._open(lock_stock(conn, sorted(items), self._network.count), items)

    @classmethod
    def at(cls, state: State, conn: Connection[TupleRow], orders: Sequence[Order], keys: Collection[Key]) -> "Sourcer":
        """The same with the locked positions `keys` (item_id, node_id) only, where supply has arrived."""
        made = cls.__new__(cls)
        made._start(state, conn, orders)
        nodes = {node for _, node in keys}
        wanted = set(keys) | {
            (item, f.node_id)
            for o in orders
            if not o.wishes.allow_split
            for f in o.live
            if f.node_id in nodes
            for _, item in f.left
        }
        held = [p for p in lock_positions(conn, wanted).values() if p.node_id <= made._network.count]
        columns = [
            np.array(c, np.int32) for c in zip(*((p.item_id, p.node_id, p.available) for p in held), strict=True)
        ]
        item, node, free = columns or [np.empty(0, np.int32)] * 3
        # Who waits for these units is served before anybody's safety.
        none = np.zeros(len(held), np.int32)
        made._open(Locked(item=item, node=node, free=free, version=none, safety=none), {i for i, _ in wanted})
        return made

    def _start(
        self, state: State, conn: Connection[TupleRow], orders: Sequence[Order], *, is_waived: bool = False
    ) -> None:
        skus = state.catalogue.skus
        unknown = {sku for o in orders for item, sku in o.skus.items() if item >= len(skus) or skus[item] != sku}
        if unknown:
            state.learn_items(sorted(unknown))
        self.now = state.now()
        with state.lock:
            network, asking = state.network, state.asking
            network.set_clock(self.now)
            # Its own capacity: rivals decide from the shared one meanwhile.
            self._network = network.with_own_room()
        self._state, self._conn = state, conn
        self._asking = asking
        world = _World(state.catalogue, network, asking.policy)
        channels = {c.channel_id: c for c in network.channels.values()}
        self._asks = {
            o.order_id: None if (c := channels.get(o.channel_id)) is None else rebuild_ask(world, o, c) for o in orders
        }
        known = emails(conn, orders) if asking.reads("order", "customer", "email_domain") else {}
        self._wants = {
            o.order_id: of_order(asking, o, state.catalogue, email=known.get(o.customer_id or ""), is_waived=is_waived)
            for o in orders
        }
        self._network.load_capacity(conn, self.now.astimezone(UTC).date())

    def _open(self, locked: Locked, items: Collection[int]) -> None:
        self._book = Book(self._state, self._network, locked, self.now, self._asking)
        self._items = sorted(items)
        self._supply: list[Inbound] | None = None

    def give_back(self, orders: Iterable[Order]) -> None:
        """Count what open fulfilments of `orders` hold as free, units and room: they are withdrawn together."""
        opened = [f for o in orders for f in o.live if f.left]
        self._give(opened, ())
        network = self._network
        node = np.array([f.node_id for f in opened], np.int32)
        known = node <= network.count
        day = np.array([(f.ship_day - EPOCH).days for f in opened], np.int32)
        slot = network.slots_of(np.where(known, node, 0), day)
        for f, at in zip(opened, slot.tolist(), strict=True):
            for kind, amount in enumerate((1, f.lines, f.units)):
                if at >= 0 and f.node_id <= network.count and network.left[f.node_id, at, kind] != NO_LIMIT:
                    network.left[f.node_id, at, kind] += amount
        network.take_parcels(
            (f.carrier or "", f.service or "", lane, node, (f.ship_day - EPOCH).days, -f.parcels)
            for f in opened
            for lane, node in f.parcel_counters
        )

    def look(self, order: Order) -> Look | None:
        """What sourcing all that waits of `order` would ask, and of what; None while it has no place to go to."""
        ask = self._asks[order.order_id]
        if ask is None:
            return None
        units = _by_item(total((w.unit, w.quantity) for w in order.waiting))
        ask = msgspec.structs.replace(ask, demand=list(units.items()), excluded=sorted(tried(order, self.now)))
        return Look(ask, self._book.stock, self._network)

    def free(self, item: int, node: int) -> int:
        """Available units of a locked position, less what has been given away here."""
        return self._book.free(item, np.array([node], np.int32))

    def place(
        self,
        order: Order,
        chosen: Iterable[Wait],
        *,
        because: str,
        excluded: Collection[int] = (),
        insist: bool = False,
        partly: bool = False,
    ) -> Sourced:
        """Find a place for `chosen`, waits of `order`: the shelf, else dated supply, else they wait on.

        because   what led to it, for the plan
        excluded  nodes that must not be used
        insist    at least one more fulfilment, even if the order has as many as it may have
        partly    serve what can be served although the rest cannot; otherwise it is all or nothing
        """
        chosen = list(chosen)
        ask = self._asks[order.order_id]
        if ask is None or not chosen:
            return Sourced(order=settle(order), plans=(), found=False)
        ask = msgspec.structs.replace(ask, excluded=sorted(excluded))
        shelf, looked = self._together(order, chosen, ask)
        if shelf is None:
            shelf, looked = self._shelf(order, chosen, ask, insist=insist)
        after = order if shelf is None else self._take(shelf, chosen)
        served: set[int] = set() if shelf is None else {item for _, item in shelf.units}
        late = [w for w in chosen if not w.is_dated and w.item_id not in served]
        backed, missing = self._back(after, late, ask, partly=partly)
        if missing and not partly:
            if shelf is not None:
                undo(shelf.decisions, shelf.book.stock, shelf.book.network)
            return self._answer(order, None, looked, because, found=False)
        return self._answer(backed, shelf, looked, because, found=shelf is not None or backed is not after)

    def arrive(self, order: Order, units: Mapping[Unit, int], among: Sequence[Wait], node: int) -> Sourced:
        """Give `units`, which have arrived at `node`, to the waits `among` of `order`. Not found: the node cannot ship
        to it any more."""
        ask = self._asks[order.order_id]
        if ask is None or not self._may_use(ask, node):
            return Sourced(order=settle(order), plans=(), found=False)
        # Only this node: a network of one.
        channel = Channel(ask.channel.channel_id, ask.channel.code, 0, active=True)
        ask = msgspec.structs.replace(ask, channel=channel)
        book = self._book_of(units, node)
        shelf, looked = self._together(order, among, ask, units=units, node=node, book=book)
        if shelf is None:
            shelf, looked = self._plan(order, units, msgspec.structs.replace(ask, fulfilments_max=1), book)
        after = order if shelf is None else self._take(shelf, among)
        return self._answer(after, shelf, looked, "supply has arrived", found=shelf is not None)

    def _may_use(self, ask: Ask, node: int) -> bool:
        if ask.pickup_node:
            return ask.pickup_node == node
        return node in self._network.channel_nodes(ask.channel)

    def _book_of(self, units: Mapping[Unit, int], node: int) -> Book:
        """The book with `node` as the only candidate, and with the clock at the release of what may not ship before."""
        network = replace(
            self._network, candidates=np.array([node], np.int32), candidate_offsets=np.array([0, 1], np.int32)
        )
        releases = self._state.catalogue.releases
        now = max((at for _, item in units if (at := releases.get(item)) is not None), default=self.now)
        if now > self.now:
            network = replace(
                network.with_own_room(),
                slot_day=network.slot_day.copy(),
                slot_cutoff=network.slot_cutoff.copy(),
                slots_until=0.0,
            )
            network.set_clock(now)
            network.load_capacity(self._conn, now.astimezone(UTC).date())
        return self._book.with_network(network, max(now, self.now))

    # From the shelf ----------------------------------------------------------------------------------

    def _shelf(
        self, order: Order, chosen: Sequence[Wait], ask: Ask, *, insist: bool
    ) -> tuple[_Shelf | None, _Shelf | None]:
        """A plan for all of `chosen`, else for the items of which there is enough; and what was looked at last."""
        budget = ask.fulfilments_max - len(order.live)
        if insist:
            budget = max(budget, 1)
        units = {unit: n for unit, n in total((w.unit, w.quantity) for w in chosen).items() if self._is_out(unit[1])}
        if budget < 1 or not units:
            return None, None
        ask = msgspec.structs.replace(ask, fulfilments_max=budget)
        shelf, looked = self._plan(order, units, ask, self._book)
        if shelf is not None or not order.wishes.allow_split:
            return shelf, looked
        nodes = self._nodes(ask)
        by_item = _by_item(units)
        enough = {item for item, n in by_item.items() if self._book.free(item, nodes) >= n}
        some = {unit: n for unit, n in units.items() if unit[1] in enough}
        if not some or len(some) == len(units):
            return None, looked
        shelf, _ = self._plan(order, some, ask, self._book)
        return shelf, shelf or looked

    def _together(
        self,
        order: Order,
        chosen: Sequence[Wait],
        ask: Ask,
        *,
        units: Mapping[Unit, int] | None = None,
        node: int = 0,
        book: Book | None = None,
    ) -> tuple[_Shelf | None, _Shelf | None]:
        """An order that may not be split: its open fulfilments and `chosen` in one new fulfilment."""
        opened = [f for f in order.live if f.left]
        if order.wishes.allow_split or not opened or any(f.shipped for f in order.live):
            return None, None
        if any(f.node_id != node for f in opened) if node else len(chosen) != len(order.waiting):
            return None, None
        book = book or self._book
        trial = order
        for f in opened:
            trial = withdraw(trial, f, f.left, reason="merged")
        given = self._give(opened, ask.excluded)
        wanted = dict(units) if units is not None else total((w.unit, w.quantity) for w in chosen)
        for f in opened:
            wanted = total([*wanted.items(), *f.left.items()])
        shelf, looked = self._plan(trial, wanted, msgspec.structs.replace(ask, fulfilments_max=1), book)
        if shelf is None:
            for row, at, n in given:
                book.stock.available[row, at] -= n
        return shelf, looked

    def _give(self, opened: Sequence[Fulfilment], excluded: Collection[int]) -> list[tuple[int, int, int]]:
        """Count the units of `opened` as available: they will be released. (row, node, units) of each."""
        sums: dict[Key, int] = {}
        for f in opened:
            for (_, item), n in f.left.items():
                if f.node_id not in excluded:
                    sums[item, f.node_id] = sums.get((item, f.node_id), 0) + n
        given: list[tuple[int, int, int]] = []
        rows = self._book.stock.rows or {}
        for (item, node), p in lock_positions(self._conn, sums).items():
            # A release gives up oversold units first: those are nobody's.
            real = sums[item, node] - min(sums[item, node], p.oversold)
            if item in rows and node <= self._network.count:
                self._book.stock.available[rows[item], node] += real
                given.append((rows[item], node, real))
        return given

    def _plan(
        self, order: Order, units: Mapping[Unit, int], ask: Ask, book: Book
    ) -> tuple[_Shelf | None, _Shelf | None]:
        ask = with_demand(ask, list(_by_item(units).items()))
        # At the node where supply has arrived there is nothing to choose.
        decisions, label = book.decide(ask, self._wants[order.order_id] if book is self._book else None)
        looked = _Shelf(order=order, units=dict(units), ask=ask, decisions=decisions, book=book, label=label)
        return (looked if decisions.count[0] else None), looked

    def _take(self, shelf: _Shelf, chosen: Sequence[Wait]) -> Order:
        """The order with the fulfilments of `shelf`, its units no longer waiting."""
        order = shelf.order
        fresh = [w for w in order.waiting if w.wait_id is None and not any(w is c for c in chosen)]
        undated_first = sorted(chosen, key=lambda w: w.is_dated)
        order = take_waiting(order, shelf.units, [*undated_first, *fresh])
        return replace(order, fulfilments=order.fulfilments + self._fulfilments(shelf))

    def _fulfilments(self, shelf: _Shelf) -> tuple[Fulfilment, ...]:
        order, d, network = shelf.order, shelf.decisions, shelf.book.network
        lines = {item: [[line, n] for (line, i), n in shelf.units.items() if i == item] for _, item in shelf.units}
        pieces: dict[int, dict[Unit, int]] = {}
        for p in range(d.pick_first[0], d.pick_first[1]):
            item, rest = int(d.demand_item[d.pick_demand[p]]), int(d.pick_units[p])
            while rest:
                share = lines[item][0]
                take = min(rest, share[1])
                held = pieces.setdefault(int(d.pick_number[p]), {})
                held[share[0], item] = held.get((share[0], item), 0) + take
                rest -= take
                share[1] -= take
                if not share[1]:
                    lines[item].pop(0)
        last = max((f.number for f in order.fulfilments), default=0)
        made: list[Fulfilment] = []
        for n, r in enumerate(range(d.fulfilment_first[0], d.fulfilment_first[1]), 1):
            node, service = int(d.node[r]), int(d.service[r])
            cost, of_others = split_cost(np.rint(d.terms[r]).astype(np.int64).tolist(), d.others)
            made.append(
                Fulfilment(
                    number=last + n,
                    plan_no=order.plans + 1,
                    node_id=node,
                    node=network.node_codes[node],
                    status="allocated",
                    carrier=None if service < 0 else network.services[service].carrier,
                    service="pickup" if service < 0 else network.services[service].code,
                    method=shelf.ask.method,
                    ship_day=EPOCH + timedelta(days=int(d.day[r])),
                    ship_by=datetime.fromtimestamp(int(d.departs[r]), UTC),
                    deliver_by=datetime.fromtimestamp(int(d.deliver[r]), UTC),
                    lines=int(d.lines[r]),
                    units=int(d.units[r]),
                    parcels=int(d.parcels[r]),
                    lane=network.lane_key(service, int(d.lane[r])),
                    cost_minor=sum(cost) + sum(minor for _, minor in of_others),
                    cost=cost,
                    cost_of_others=of_others,
                    co2_g=round(float(d.grams[r])),
                    pieces=tuple(
                        Piece(line_no=line, item_id=item, quantity=units) for (line, item), units in pieces[n].items()
                    ),
                )
            )
        return tuple(made)

    def _nodes(self, ask: Ask) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
        nodes = self._network.channel_nodes(ask.channel)
        if ask.pickup_node:
            nodes = np.array([ask.pickup_node], np.int32)
        return nodes[~np.isin(nodes, list(ask.excluded))]

    # From dated supply -------------------------------------------------------------------------------

    def _back(self, order: Order, late: Sequence[Wait], ask: Ask, *, partly: bool) -> tuple[Order, bool]:
        """`order` with the undated waits `late` promised from inbound lines; and whether some could not be."""
        if not late:
            return order, False
        if not order.wishes.allow_backorder:
            return order, True
        units = total((w.unit, w.quantity) for w in late)
        if not order.wishes.allow_split and (order.live or len(late) != len(order.waiting)):
            return order, True
        nodes = set(self._nodes(ask).tolist())
        if self._supply is None:
            self._supply = load_inbound(self._conn, self._items)
        wanted = list(_by_item(units).items())
        one_node = not order.wishes.allow_split
        backing = back(wanted, self._supply, nodes, one_node=one_node)
        if backing is None and partly and not one_node:
            each = [back([pair], self._supply, nodes, one_node=False) for pair in wanted]
            backing = [b for found in each if found for b in found]
        if not backing:
            return order, True
        for b in backing:
            b.inbound.open_units -= b.units
        found = {b.inbound.item_id for b in backing}
        units = {unit: n for unit, n in units.items() if unit[1] in found}
        after = take_waiting(order, units, late)
        dated = _share(units, backing, {i: "backorder" if self._is_out(i) else "preorder" for i in found})
        return replace(after, waiting=after.waiting + dated), len(found) < len(wanted)

    def _is_out(self, item: int) -> bool:
        """Whether an item has been released: before, only dated supply serves it."""
        at = self._state.catalogue.releases.get(item)
        return at is None or at <= self.now

    # The answer --------------------------------------------------------------------------------------

    def _answer(
        self, order: Order, shelf: _Shelf | None, looked: _Shelf | None, because: str, *, found: bool
    ) -> Sourced:
        order = settle(self._with_promise(order))
        plans = (self._keep(order, shelf, looked, because),) if found or looked is not None else ()
        return Sourced(order=replace(order, plans=order.plans + len(plans)), plans=plans, found=found)

    def _with_promise(self, order: Order) -> Order:
        """The latest date of all that has one; what was promised before, while a part has none."""
        if any(not w.is_dated for w in order.waiting):
            return order
        late = timedelta(days=days_after_arrival(self._network))
        dates = [f.deliver_by for f in order.live]
        dates += [w.expected_at + late for w in order.waiting if w.expected_at is not None]
        return replace(order, deliver_by=max(dates, default=order.deliver_by))

    def _keep(self, order: Order, shelf: _Shelf | None, looked: _Shelf | None, because: str) -> Plan:
        catalogue = self._state.catalogue
        number = order.plans + 1
        seen = shelf or looked
        if seen is not None:
            now = seen.book.now.timestamp()
            inputs = record.encode(seen.decisions, [seen.ask.latitude], [seen.ask.longitude], catalogue.goods, now)[0]
        else:
            ask = self._asks[order.order_id]
            assert ask is not None, "nothing is found for an order without a place"
            inputs = record.empty(ask, catalogue.goods, self.now.timestamp())
        made = [f for f in order.fulfilments if f.plan_no == number]
        codes = self._network.node_codes
        confidence = self._book.confidence_of(self._wants[order.order_id])
        decision = {
            "order_id": order.order_id,
            "status": order.status,
            "queue": order.queue,
            "promise": None
            if order.deliver_by is None
            else {"deliver_by": rfc3339(_seconds(order.deliver_by)), "confidence": confidence},
            "fulfilments": [_worded(order, f) for f in made],
            "waiting": [
                {
                    "line_id": order.line(w.line_no).line_id,
                    "sku": order.skus[w.item_id],
                    "quantity": w.quantity,
                    "queue": w.queue,
                    "expected_at": None if w.expected_at is None else rfc3339(_seconds(w.expected_at)),
                }
                for w in order.waiting
            ],
            "plan_id": f"{order.order_id}-p{number}",
            "because": because,
            "excluded": [codes[n] for n in seen.ask.excluded if n < len(codes)] if seen is not None else [],
            "fulfilments_max": None if seen is None else seen.ask.fulfilments_max,
        }
        return Plan(
            number=number,
            network_id=self._network.network_id,
            policy=self._asking.policy.version if seen is None else seen.label,
            decision=_encode(decision).decode(),
            inputs=inputs,
        )


def emails(conn: Connection[TupleRow], orders: Sequence[Order]) -> dict[str, str]:
    """E-mail addresses by customer_id, of those that have one."""
    ids = [o.customer_id for o in orders if o.customer_id is not None]
    return dict(conn.execute(SQL["emails"], (ids,)).fetchall())


def _worded(order: Order, f: Fulfilment) -> dict[str, object]:
    return {
        "fulfilment_id": order.fulfilment_id(f.number),
        "node": f.node,
        "carrier": f.carrier,
        "service": f.service,
        "lines": [
            {"line_id": order.line(p.line_no).line_id, "sku": order.skus[p.item_id], "quantity": p.quantity}
            for p in f.pieces
        ],
        "cost": f.cost_by_term,
        "cost_minor": f.cost_minor,
        "co2_g": f.co2_g,
        "ship_by": rfc3339(_seconds(f.ship_by)),
        "deliver_by": rfc3339(_seconds(f.deliver_by)),
    }


def _seconds(moment: datetime) -> int:
    return microseconds(moment) // 1_000_000


def _by_item(units: Mapping[Unit, int]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for (_, item), n in units.items():
        sums[item] = sums.get(item, 0) + n
    return sums


def _share(units: Mapping[Unit, int], backing: Sequence[Backing], queues: Mapping[int, str]) -> tuple[Wait, ...]:
    """Backings by order line, in the order of the lines; `queues` by item."""
    rest = [b.units for b in backing]
    waits: list[Wait] = []
    for (line, item), need in units.items():
        wanted = need
        for n, b in enumerate(backing):
            take = min(wanted, rest[n]) if b.inbound.item_id == item else 0
            if take:
                rest[n] -= take
                wanted -= take
                waits.append(
                    Wait(
                        line_no=line,
                        item_id=item,
                        queue=queues[item],
                        quantity=take,
                        inbound_id=b.inbound.inbound_id,
                        inbound_line=b.inbound.line_no,
                        node_id=b.inbound.node_id,
                        expected_at=b.inbound.expected_at,
                    )
                )
    return tuple(waits)
