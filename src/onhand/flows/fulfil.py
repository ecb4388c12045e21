"""The node's answers: accept, pack, ship, deliver, reject. Each is one transaction, and tells of itself by an event."""

from collections.abc import Mapping, Sequence
from typing import Literal

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.errors import NotFound
from onhand.flows.change_orders import Change, Done, run, write_changes
from onhand.flows.sourcer import Sourcer, tried
from onhand.flows.state import State
from onhand.flows.transactor import Transactor
from onhand.fulfilment import decide
from onhand.fulfilment.decide import UNSELLABLE, RejectReason
from onhand.ledger.store import lock_positions
from onhand.orders.decide import Named, named_units
from onhand.orders.model import Fulfilment, Order, Unit
from onhand.orders.public import fulfilment_row, summary, unit_rows
from onhand.orders.states import require_fulfilment
from onhand.orders.store import Shipment, add_shipment, deliver_shipments, lock_order, numbered_id


def accept(state: State, fulfilment_id: str, *, by: Actor, transact: Transactor | None = None) -> Done:
    """The node takes the work on. Raises NotFound, Conflict."""
    return _advance(state, fulfilment_id, "accept", by, transact)


def pack(state: State, fulfilment_id: str, *, by: Actor, transact: Transactor | None = None) -> Done:
    """The node has packed it. Raises NotFound, Conflict."""
    return _advance(state, fulfilment_id, "pack", by, transact)


def _advance(
    state: State, fulfilment_id: str, command: Literal["accept", "pack"], by: Actor, transact: Transactor | None
) -> Done:
    order_id, number = numbered_id(fulfilment_id, "f", "fulfilment")

    def work(conn: Connection[TupleRow]) -> Done:
        before, fulfilment = _lock(conn, order_id, number)
        after = decide.advance(before, fulfilment, command)
        change = Change(before=before, after=after, command=command)
        return Done(answer=_answer(after, number), written=write_changes(conn, [change], by=by, origin=state.db.origin))

    return run(state, work, transact)


def ship(
    state: State,
    fulfilment_id: str,
    *,
    carrier: str | None = None,
    tracking: str | None = None,
    lines: Sequence[Named] | None = None,
    by: Actor,
    transact: Transactor | None = None,
) -> Done:
    """`lines` (None: all that is left) leave the node in one shipment.

    carrier  who took it, when not the planned one

    Raises NotFound, InvalidInput for lines it does not have, Conflict `fulfilment.not_allowed`, `order.held`,
    `order.incomplete`, `quantity.exceeded`, `stock.insufficient`.
    """
    order_id, number = numbered_id(fulfilment_id, "f", "fulfilment")

    def work(conn: Connection[TupleRow]) -> Done:
        before, fulfilment = _lock(conn, order_id, number)
        require_fulfilment(before, fulfilment, "ship")
        units = _named(before, fulfilment, lines)
        after = decide.ship(before, fulfilment, units)
        shipment = Shipment(
            number=after.shipments,
            fulfilment=number,
            carrier=carrier or fulfilment.carrier,
            service=fulfilment.service if carrier in (None, fulfilment.carrier) else None,
            tracking=tracking,
            units=units,
        )
        change = Change(before=before, after=after, command="ship")
        written = write_changes(conn, [change], by=by, origin=state.db.origin)
        add_shipment(conn, order_id, shipment)
        row = {
            "shipment_id": f"{order_id}-s{shipment.number}",
            "carrier": shipment.carrier,
            "service": shipment.service,
            "tracking": tracking,
            "lines": unit_rows(after, units),
        }
        return Done(answer=_answer(after, number) | {"shipment": row}, written=written)

    return run(state, work, transact)


def deliver(state: State, fulfilment_id: str, *, by: Actor, transact: Transactor | None = None) -> Done:
    """The customer has it. Raises NotFound, Conflict."""
    order_id, number = numbered_id(fulfilment_id, "f", "fulfilment")

    def work(conn: Connection[TupleRow]) -> Done:
        before, fulfilment = _lock(conn, order_id, number)
        after = decide.deliver(before, fulfilment)
        change = Change(before=before, after=after, command="deliver")
        written = write_changes(conn, [change], by=by, origin=state.db.origin)
        deliver_shipments(conn, order_id, number)
        return Done(answer=_answer(after, number), written=written)

    return run(state, work, transact)


def reject(
    state: State,
    fulfilment_id: str,
    reason: RejectReason,
    *,
    lines: Sequence[Named] | None = None,
    by: Actor,
    transact: Transactor | None = None,
) -> Done:
    """The node cannot ship `lines` (None: all that is left). They are sourced again at once, from other nodes; failing
    that they wait for dated supply, else in the queue `rejected`. Units not found or damaged become unavailable.

    Raises NotFound, InvalidInput for lines it does not have, Conflict.
    """
    order_id, number = numbered_id(fulfilment_id, "f", "fulfilment")

    def work(conn: Connection[TupleRow]) -> Done:
        before, fulfilment = _lock(conn, order_id, number)
        require_fulfilment(before, fulfilment, "reject")
        units = _named(before, fulfilment, lines)
        refused = decide.reject(before, fulfilment, units, reason)
        sourcer = Sourcer(state, conn, [refused])
        sourced = sourcer.place(
            refused,
            [w for w in refused.waiting if not w.is_dated],
            because=f"rejected by {fulfilment.node}: {reason}",
            excluded=tried(refused, sourcer.now) | {fulfilment.node_id},
            partly=True,
        )
        change = Change(
            before=before,
            after=sourced.order,
            command="reject",
            plans=sourced.plans,
            lost=_lost(conn, fulfilment, units, reason),
            facts={"reason": reason},
        )
        written = write_changes(conn, [change], by=by, origin=state.db.origin)
        return Done(answer=_answer(sourced.order, number) | {"order": summary(sourced.order)}, written=written)

    return run(state, work, transact)


def _lost(
    conn: Connection[TupleRow], fulfilment: Fulfilment, units: Mapping[Unit, int], reason: str
) -> list[tuple[int, int, int, str]]:
    """Units to be set aside: only those that were really on the shelf, not what was oversold."""
    if reason not in UNSELLABLE:
        return []
    node = fulfilment.node_id
    sums: dict[int, int] = {}
    for (_, item), n in units.items():
        sums[item] = sums.get(item, 0) + n
    positions = lock_positions(conn, [(item, node) for item in sums])
    real = {item: n - min(n, positions[item, node].oversold) for item, n in sums.items()}
    return [(item, node, n, reason) for item, n in real.items() if n]


def _lock(conn: Connection[TupleRow], order_id: str, number: int) -> tuple[Order, Fulfilment]:
    try:
        order = lock_order(conn, order_id)
    except NotFound:
        raise NotFound("fulfilment", f"{order_id}-f{number}") from None
    fulfilment = order.fulfilment(number)
    if fulfilment is None:
        raise NotFound("fulfilment", f"{order_id}-f{number}")
    return order, fulfilment


def _named(order: Order, fulfilment: Fulfilment, lines: Sequence[Named] | None) -> dict[Unit, int]:
    return fulfilment.left if lines is None else named_units(order, lines, fulfilment.left)


def _answer(order: Order, number: int) -> dict[str, object]:
    fulfilment = order.fulfilment(number)
    assert fulfilment is not None, "fulfilments are never deleted"
    return {**fulfilment_row(order, fulfilment), "order": {"status": order.status, "queue": order.queue}}
