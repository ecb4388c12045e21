"""The SQL of orders: load them under lock, write what a decision changed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db.queries import queries
from onhand.errors import NotFound
from onhand.orders.answer import Planned, answer_again
from onhand.orders.intake import Wishes
from onhand.orders.model import Fulfilment, Order, Unit, Wait, total
from onhand.orders.rows import (
    decode_cost,
    decode_line_ids,
    decode_lines,
    decode_pieces,
    encode_cost,
    encode_lines,
    encode_pieces,
)

SQL = queries(__file__)
_wishes = msgspec.json.Decoder(Wishes)
_encode = msgspec.json.encode

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A decision to keep: `decision` is the answer that was given (JSON), `inputs` what the solver saw."""

    number: int
    network_id: int
    policy: str
    decision: str
    inputs: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """Units of a fulfilment that left together."""

    number: int
    fulfilment: int
    carrier: str | None
    service: str | None
    tracking: str | None
    units: Mapping[Unit, int]


def order_uuid(text: str, kind: str = "order") -> str:
    """Canonical text of an order id. Raises NotFound: what is no id names nothing."""
    try:
        return str(UUID(text))
    except ValueError:
        raise NotFound(kind, text[:100]) from None


def numbered_id(text: str, letter: str, kind: str) -> tuple[str, int]:
    """(order_id, number) of `<order_id>-<letter><number>`. Raises NotFound."""
    head, dash, tail = text.rpartition(f"-{letter}")
    if not dash or not (tail.isascii() and tail.isdigit()) or not 1 <= len(tail) <= 5 or tail[0] == "0":
        raise NotFound(kind, text[:100])
    number = int(tail)
    if number > 32_767:
        raise NotFound(kind, text[:100])
    try:
        return str(UUID(head)), number
    except ValueError:
        raise NotFound(kind, text[:100]) from None


def lock_order(conn: Connection[TupleRow], order_id: str) -> Order:
    """One order, locked until the transaction ends. Raises NotFound."""
    found = lock_orders(conn, [order_id])
    if not found:
        raise NotFound("order", order_id)
    return found[0]


def lock_orders(conn: Connection[TupleRow], order_ids: Iterable[str], *, skip: bool = False) -> list[Order]:
    """Orders by id, locked in that order; with `skip` those that are free, otherwise all that exist."""
    wanted = sorted(set(order_ids))
    if not wanted:
        return []
    rows = conn.execute(SQL["lock_free_orders" if skip else "lock_orders"], {"ids": wanted}).fetchall()
    return _load(conn, rows)


def load_order(conn: Connection[TupleRow], order_id: str) -> Order | None:
    """One order without a lock. Call in a transaction of one snapshot."""
    found = load_orders(conn, [order_id])
    return found[0] if found else None


def load_orders(conn: Connection[TupleRow], order_ids: Iterable[str]) -> list[Order]:
    """Orders by id, without a lock. Call in a transaction of one snapshot."""
    return _load(conn, conn.execute(SQL["read_orders"], {"ids": sorted(set(order_ids))}).fetchall())


def first_answers(conn: Connection[TupleRow], order_ids: Iterable[str]) -> dict[str, str]:
    """By order id the answers (JSON) that these orders were given when they were placed."""
    plans = conn.execute(SQL["first_plans"], {"ids": sorted(set(order_ids))}).fetchall()
    answers = {order_id: decision for order_id, decision, *_ in plans if decision is not None}
    served = {order_id: rest for order_id, decision, *rest in plans if decision is None}
    if not served:
        return answers
    rows = conn.execute(SQL["first_fulfilments"], {"ids": [*served]}).fetchall()
    pieces = [decode_pieces(row[-1]) for row in rows]
    skus = _skus(conn, {p.item_id for some in pieces for p in some})
    planned: dict[str, list[Planned]] = {order_id: [] for order_id in served}
    line_ids = {order_id: decode_line_ids(lines) for order_id, (_, lines) in served.items()}
    for (order_id, number, node, carrier, service, cost, *rest, _), some in zip(rows, pieces, strict=True):
        names = line_ids[order_id]
        lines = [(names[p.line_no - 1], skus[p.item_id], p.quantity + p.released) for p in some]
        planned[order_id].append(Planned(number, node, carrier, service, lines, decode_cost(cost), *rest))
    for order_id, (confidence, _) in served.items():
        answers[order_id] = answer_again(order_id, planned[order_id], confidence)
    return answers


def _load(conn: Connection[TupleRow], rows: Sequence[TupleRow]) -> list[Order]:
    ids = {"ids": [row[0] for row in rows]}
    if not rows:
        return []

    def read(name: str, make: Callable[..., R]) -> dict[str, list[R]]:
        found: dict[str, list[R]] = {}
        for order_id, *columns in conn.execute(SQL[name], ids):
            found.setdefault(order_id, []).append(make(*columns))
        return found

    lines = {row[0]: decode_lines(row[-1]) for row in rows}
    waits = read("order_waits", _wait)
    numbers = read("order_numbers", lambda *n: n)
    items = {item for of in lines.values() for line in of for item in (line.item_id, *(i for i, _ in line.parts))}
    skus = _skus(conn, items)
    fulfilments = read("order_fulfilments", _fulfilment)
    return [
        Order(
            order_id=order_id,
            channel_id=c[0],
            channel=c[1],
            external_id=c[2],
            status=c[3],
            queue=c[4],
            placed_at=c[5],
            deliver_by=c[6],
            customer_id=c[7],
            wishes=_wishes.decode(c[8]),
            currency=c[9],
            lines=lines[order_id],
            fulfilments=tuple(fulfilments.get(order_id, ())),
            waiting=tuple(waits.get(order_id, ())),
            held=c[4] == "held",
            plans=numbers[order_id][0][0],
            shipments=numbers[order_id][0][1],
            returns=numbers[order_id][0][2],
            skus=skus,
        )
        for order_id, *c in rows
    ]


def _skus(conn: Connection[TupleRow], items: Iterable[int]) -> dict[int, str]:
    return dict(conn.execute(SQL["skus"], {"items": sorted(items)}).fetchall())


def _fulfilment(*c: Any) -> Fulfilment:
    cost, cost_of_others = decode_cost(c[14])
    return Fulfilment(
        number=c[0],
        plan_no=c[1],
        node_id=c[2],
        node=c[3],
        status=c[4],
        carrier=c[5],
        service=c[6],
        method=c[7],
        ship_day=c[8],
        ship_by=c[9],
        deliver_by=c[10],
        lines=c[11],
        units=c[12],
        cost_minor=c[13],
        cost=cost,
        cost_of_others=cost_of_others,
        co2_g=c[15],
        reason=c[16],
        updated_at=c[17],
        pieces=decode_pieces(c[18]),
        parcels=c[19],
        lane=c[20],
    )


def _wait(*c: Any) -> Wait:
    return Wait(
        wait_id=c[0],
        line_no=c[1],
        item_id=c[2],
        queue=c[3],
        quantity=c[4],
        inbound_id=c[5],
        inbound_line=c[6],
        node_id=c[7],
        expected_at=c[8],
        has_come=c[9],
    )


def save(conn: Connection[TupleRow], changes: Sequence[tuple[Order, Order]]) -> None:
    """Write the rows in which (before, after) differ. Stock and capacity are the caller's, and written before."""
    _save_promises(conn, changes)
    _save_orders(conn, changes)
    _save_fulfilments(conn, changes)
    _save_waits(conn, changes)


def _save_promises(conn: Connection[TupleRow], changes: Sequence[tuple[Order, Order]]) -> None:
    """Units that wait for an inbound line are promised on it."""
    deltas: dict[tuple[str, int], int] = {}
    for sign, orders in ((-1, (b for b, _ in changes)), (1, (a for _, a in changes))):
        for order in orders:
            for w in order.waiting:
                if w.inbound_id is not None and w.inbound_line is not None:
                    key = w.inbound_id, w.inbound_line
                    deltas[key] = deltas.get(key, 0) + sign * w.quantity
    changed = {key: units for key, units in sorted(deltas.items()) if units}
    if changed:
        conn.execute(
            SQL["promise_inbound"],
            {
                "inbound_ids": [i for i, _ in changed],
                "line_nos": [n for _, n in changed],
                "units": list(changed.values()),
            },
        )


def _save_orders(conn: Connection[TupleRow], changes: Sequence[tuple[Order, Order]]) -> None:
    def row(o: Order) -> object:
        return o.status, o.queue, o.deliver_by, o.wishes, o.lines

    rows = [(b, a) for b, a in changes if row(b) != row(a)]
    if rows:
        conn.execute(
            SQL["update_orders"],
            {
                "ids": [a.order_id for _, a in rows],
                "statuses": [a.status for _, a in rows],
                "queues": [a.queue for _, a in rows],
                "deliver_by": [a.deliver_by for _, a in rows],
                "requests": [None if b.wishes == a.wishes else _encode(a.wishes).decode() for b, a in rows],
                "lines": [None if b.lines == a.lines else encode_lines(a.lines) for b, a in rows],
            },
        )


def _save_fulfilments(conn: Connection[TupleRow], changes: Sequence[tuple[Order, Order]]) -> None:
    new: list[tuple[str, Fulfilment]] = []
    changed: list[tuple[str, Fulfilment]] = []
    for before, after in changes:
        for f in after.fulfilments:
            old = before.fulfilment(f.number)
            if old == f:
                continue
            (new if old is None else changed).append((after.order_id, f))
    if changed:
        conn.execute(
            SQL["update_fulfilments"],
            {
                "ids": [i for i, _ in changed],
                "numbers": [f.number for _, f in changed],
                "statuses": [f.status for _, f in changed],
                "lines": [f.lines for _, f in changed],
                "units": [f.units for _, f in changed],
                "reasons": [f.reason for _, f in changed],
                "pieces": [encode_pieces(f.pieces) for _, f in changed],
            },
        )
    if new:
        conn.execute(
            SQL["add_fulfilments"],
            {
                "ids": [i for i, _ in new],
                "numbers": [f.number for _, f in new],
                "plan_nos": [f.plan_no for _, f in new],
                "nodes": [f.node_id for _, f in new],
                "statuses": [f.status for _, f in new],
                "carriers": [f.carrier for _, f in new],
                "services": [f.service for _, f in new],
                "methods": [f.method for _, f in new],
                "days": [f.ship_day for _, f in new],
                "ship_by": [f.ship_by for _, f in new],
                "deliver_by": [f.deliver_by for _, f in new],
                "lines": [f.lines for _, f in new],
                "units": [f.units for _, f in new],
                "parcels": [f.parcels for _, f in new],
                "lanes": [f.lane for _, f in new],
                "cost_minor": [f.cost_minor for _, f in new],
                "costs": [encode_cost(f.cost, f.cost_of_others) for _, f in new],
                "co2_g": [f.co2_g for _, f in new],
                "pieces": [encode_pieces(f.pieces) for _, f in new],
            },
        )


def _save_waits(conn: Connection[TupleRow], changes: Sequence[tuple[Order, Order]]) -> None:
    gone: list[int] = []
    changed: list[Wait] = []
    new: list[tuple[str, Wait]] = []
    for before, after in changes:
        now = {w.wait_id: w for w in after.waiting if w.wait_id is not None}
        for old in before.waiting:
            assert old.wait_id is not None, "waits are loaded with their id"
            w = now.get(old.wait_id)
            if w is None:
                gone.append(old.wait_id)
            elif w != old:
                changed.append(w)
        new += [(after.order_id, w) for w in after.waiting if w.wait_id is None]
    if gone:
        conn.execute(SQL["drop_waits"], {"wait_ids": gone})
    if changed:
        conn.execute(SQL["update_waits"], {"wait_ids": [w.wait_id for w in changed], **_columns(changed)})
    if new:
        waits = [w for _, w in new]
        conn.execute(
            SQL["add_waits"],
            {
                "ids": [i for i, _ in new],
                "line_nos": [w.line_no for w in waits],
                "items": [w.item_id for w in waits],
                **_columns(waits),
            },
        )


def _columns(waits: Sequence[Wait]) -> dict[str, list[Any]]:
    return {
        "queues": [w.queue for w in waits],
        "quantities": [w.quantity for w in waits],
        "inbound_ids": [w.inbound_id for w in waits],
        "inbound_lines": [w.inbound_line for w in waits],
        "nodes": [w.node_id for w in waits],
        "expected": [w.expected_at for w in waits],
    }


def add_plans(conn: Connection[TupleRow], plans: Sequence[tuple[str, Plan]]) -> None:
    """Keep decisions; each with its order_id."""
    if plans:
        conn.execute(
            SQL["add_plans"],
            {
                "ids": [i for i, _ in plans],
                "plan_nos": [p.number for _, p in plans],
                "networks": [p.network_id for _, p in plans],
                "policies": [p.policy for _, p in plans],
                "decisions": [p.decision for _, p in plans],
                "inputs": [p.inputs for _, p in plans],
            },
        )


def add_shipment(conn: Connection[TupleRow], order_id: str, shipment: Shipment) -> None:
    """Write a shipment with its lines."""
    name = {"id": order_id, "number": shipment.number}
    conn.execute(
        SQL["add_shipment"],
        name
        | {
            "fulfilment": shipment.fulfilment,
            "carrier": shipment.carrier,
            "service": shipment.service,
            "tracking": shipment.tracking,
        },
    )
    conn.execute(SQL["add_shipment_lines"], name | _unit_columns(shipment.units))


def deliver_shipments(conn: Connection[TupleRow], order_id: str, fulfilment: int) -> None:
    """Mark the shipments of a fulfilment as delivered."""
    conn.execute(SQL["deliver_shipments"], {"id": order_id, "fulfilment": fulfilment})


def returned_units(conn: Connection[TupleRow], order_id: str) -> dict[Unit, int]:
    """Units of an order that have come back. Call under the order's lock."""
    return total(((line, item), n) for line, item, n in conn.execute(SQL["returned_units"], {"id": order_id}))


def add_return(
    conn: Connection[TupleRow], order_id: str, number: int, *, node_id: int, disposition: str, units: Mapping[Unit, int]
) -> None:
    """Write a return with its lines."""
    name = {"id": order_id, "number": number}
    conn.execute(SQL["add_return"], name | {"node": node_id, "disposition": disposition})
    conn.execute(SQL["add_return_lines"], name | _unit_columns(units))


def _unit_columns(units: Mapping[Unit, int]) -> dict[str, list[int]]:
    return {
        "line_nos": [line for line, _ in units],
        "items": [item for _, item in units],
        "quantities": list(units.values()),
    }
