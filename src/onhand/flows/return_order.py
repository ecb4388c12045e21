"""Take goods back: into stock, or set aside as damaged or to be inspected."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.db.outbox import write_event
from onhand.errors import Conflict, InvalidInput
from onhand.flows.change_orders import Done, Written, run
from onhand.flows.serve_waiting import serve_waiting
from onhand.flows.state import State
from onhand.flows.transactor import Transactor
from onhand.ledger.model import Entry
from onhand.ledger.store import apply_entries, find_nodes
from onhand.orders.decide import Named, named_units
from onhand.orders.model import Line, Order, Unit, total
from onhand.orders.public import unit_rows
from onhand.orders.states import require_order
from onhand.orders.store import add_return, lock_order, order_uuid, returned_units, save

Disposition = Literal["restock", "damaged", "inspect"]


def return_order(
    state: State,
    order_id: str,
    node: str,
    lines: Sequence[Named],
    disposition: Disposition,
    *,
    by: Actor,
    transact: Transactor | None = None,
) -> Done:
    """Record `lines` of an order as returned to `node` (any node, not only where they came from). Restocked units serve
    orders that wait for supply there first.

    Raises NotFound, InvalidInput for an unknown node or line, Conflict `order.not_allowed` before anything has been
    shipped, `quantity.exceeded` when more comes back than went out.
    """
    order_id = order_uuid(order_id)

    def work(conn: Connection[TupleRow]) -> Done:
        before = lock_order(conn, order_id)
        node_id = find_nodes(conn, [node]).get(node)
        if node_id is None:
            raise InvalidInput.at("node", f"no node {node!r}")
        require_order(before, "return")
        back = returned_units(conn, order_id)
        units = named_units(before, lines, _returnable(before, back))
        if not units:
            raise InvalidInput.at("lines", "expected at least one unit")
        number = before.returns + 1
        after = replace(before, lines=tuple(_counted(before, total([*back.items(), *units.items()]))))
        _record(conn, state, order_id, node_id, units, disposition, by)
        save(conn, [(before, after)])
        add_return(conn, order_id, number, node_id=node_id, disposition=disposition, units=units)
        answer: dict[str, object] = {
            "return_id": f"{order_id}-r{number}",
            "order_id": order_id,
            "node": node,
            "disposition": disposition,
            "lines": unit_rows(after, units),
        }
        write_event(conn, "return.received", f"{order_id}-r{number}", answer, actor=by, origin=state.db.origin)
        keys = sorted({(item, node_id) for _, item in units})
        served = serve_waiting(state, conn, keys, by=by) if disposition == "restock" else Written()
        written = replace(
            served, items=[*served.items, *(i for i, _ in keys)], nodes=[*served.nodes, *(n for _, n in keys)]
        )
        return Done(answer=answer, written=written)

    return run(state, work, transact)


def _returnable(order: Order, back: dict[Unit, int]) -> dict[Unit, int]:
    shipped = total((p.unit, p.shipped) for f in order.fulfilments for p in f.pieces)
    return {unit: n - back.get(unit, 0) for unit, n in shipped.items() if n > back.get(unit, 0)}


def _counted(order: Order, back: dict[Unit, int]) -> Iterator[Line]:
    for line in order.lines:
        yield replace(line, returned=min(back.get((line.line_no, item), 0) // per for item, per in line.parts))


def _record(
    conn: Connection[TupleRow],
    state: State,
    order_id: str,
    node_id: int,
    units: dict[Unit, int],
    disposition: Disposition,
    by: Actor,
) -> None:
    """Units come in; those that cannot be sold are set aside at once."""
    ref = UUID(order_id)
    entries: list[Entry] = []
    for item, n in sorted(total(((0, item), n) for (_, item), n in units.items()).items()):
        entries.append(Entry(item[1], node_id, "return", n, reason=disposition, ref=ref))
        if disposition != "restock":
            entries.append(Entry(item[1], node_id, "damage", n, reason=disposition, ref=ref))
    for result in apply_entries(conn, entries, actor=by, origin=state.db.origin):
        if result.status == "rejected":
            raise Conflict(result.code or "stock.refused", result.message or "the ledger refused it")
