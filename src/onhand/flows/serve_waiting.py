"""Give supply that has arrived to the orders that wait for it, first placed first: in the transaction of its receipt,
so that nobody comes between."""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.db import arrays, queries
from onhand.flows.change_orders import Change, Written, write_changes
from onhand.flows.sourcer import Sourcer
from onhand.flows.state import State
from onhand.ledger.store import Key
from onhand.orders.model import Order, Unit, Wait
from onhand.orders.store import Plan, lock_orders

SQL = queries(__file__)


def serve_waiting(state: State, conn: Connection[TupleRow], keys: Sequence[Key], *, by: Actor = SYSTEM) -> Written:
    """Give the available units of `keys` (item_id, node_id), whose positions are locked, to orders that are promised
    them from supply there. Partial amounts too: the first in line gets what there is.

    Orders come before positions in the lock order: the caller locks those it knows of; one that somebody else holds is
    left to the sweep (source_again.source_waiting). Call `tell` on the answer after the commit.
    """
    rows = conn.execute(
        SQL["find_promised"],
        {"items": arrays.int4([item for item, _ in keys]), "nodes": arrays.int4([node for _, node in keys])},
    ).fetchall()
    orders = lock_orders(conn, [order_id for (order_id,) in rows], skip=True)
    orders.sort(key=lambda o: (o.placed_at, o.order_id))
    if not orders:
        return Written()
    sourcer = Sourcer.at(state, conn, orders, keys)
    served = [_serve(sourcer, order, keys) for order in orders]
    changes = [change for change in served if change is not None]
    return write_changes(conn, changes, by=by, origin=state.db.origin)


def _serve(sourcer: Sourcer, order: Order, keys: Sequence[Key]) -> Change | None:
    now = order
    plans: list[Plan] = []
    for node in sorted({node for _, node in keys}):
        items = {item for item, at in keys if at == node}
        among = [w for w in now.waiting if w.inbound_id is not None and w.node_id == node and w.item_id in items]
        among.sort(key=lambda w: (w.expected_at is None, w.expected_at))
        units = _arrived(sourcer, among, node)
        if not units:
            continue
        sourced = sourcer.arrive(now, units, among, node)
        if sourced.found:
            now = sourced.order
            plans += sourced.plans
    return Change(before=order, after=now, command="source", plans=plans) if plans else None


def _arrived(sourcer: Sourcer, among: Sequence[Wait], node: int) -> dict[Unit, int]:
    """Units of these waits that the node has now, in the order of the lines."""
    free = {w.item_id: sourcer.free(w.item_id, node) for w in among}
    units: dict[Unit, int] = {}
    for w in sorted(among, key=lambda w: w.unit):
        take = min(w.quantity, free[w.item_id])
        if take:
            free[w.item_id] -= take
            units[w.unit] = units.get(w.unit, 0) + take
    return units
