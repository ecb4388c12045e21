"""Cancel an order, or lines of it, as far as it has not been shipped."""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.flows.change_orders import Change, Done, run, write_changes
from onhand.flows.state import State
from onhand.flows.transactor import Transactor
from onhand.orders.decide import Named, cancel
from onhand.orders.public import summary
from onhand.orders.store import lock_order, order_uuid


def cancel_order(
    state: State,
    order_id: str,
    lines: Sequence[Named] | None = None,
    *,
    by: Actor,
    transact: Transactor | None = None,
) -> Done:
    """Cancel `lines` (None: all that has not been shipped); what was promised is released, queues are left.

    Raises NotFound, InvalidInput for unknown lines, Conflict `order.not_allowed` naming what has been shipped.
    """
    order_id = order_uuid(order_id)

    def work(conn: Connection[TupleRow]) -> Done:
        before = lock_order(conn, order_id)
        after = cancel(before, lines, reason=by.reason or "cancelled")
        change = Change(before=before, after=after, command="cancel")
        return Done(answer=summary(after), written=write_changes(conn, [change], by=by, origin=state.db.origin))

    return run(state, work, transact)
