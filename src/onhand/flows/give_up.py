"""Cancel what has waited too long without a date, as the fall-back of the active policy says."""

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.db import queries
from onhand.errors import Conflict
from onhand.flows.change_orders import Change, Written, write_changes
from onhand.flows.intake import place_of
from onhand.flows.state import State
from onhand.orders.decide import Amount, cancel
from onhand.orders.model import Order
from onhand.orders.store import lock_orders

SQL = queries(__file__)


def cancel_overdue(state: State, limit: int = 50) -> int:
    """One step of the sweep: up to `limit` orders, oldest first; of how many something was cancelled.

    Only units that no supply is promised for, and orders that the policy itself holds; not what a person holds, nor
    what waits for an address. Safe with several workers: an order that somebody works on is left out.
    """
    version = state.asking.versions[0]
    hours = version.policy.document.fallback.cancel_after_hours
    if hours is None:
        return 0
    by = Actor(key_id=SYSTEM.key_id, reason=f"{version.label}: nothing could serve it within {hours} hours")
    until = {"before": state.now(), "hours": hours, "limit": limit}
    with state.db.connection() as conn:
        ids = [order_id for (order_id,) in conn.execute(SQL["find_overdue"], until)]
    if not ids:
        return 0

    def work(conn: Connection[TupleRow]) -> tuple[int, Written]:
        changes: list[Change] = []
        for before in lock_orders(conn, ids, skip=True):
            after = without_waiting(before, by.reason)
            if after is not None:
                changes.append(Change(before=before, after=after, command="cancel"))
        return len(changes), write_changes(conn, changes, by=by, origin=state.db.origin)

    done, written = state.db.transact(work)
    written.tell(state)
    return done


def without_waiting(order: Order, reason: str | None, *, item: int | None = None) -> Order | None:
    """The order without the units that wait undated, of one item or of all; None if none may be taken from it."""
    if order.held and (order.wishes.hold is not None or order.live or place_of(order.wishes.destination)[2]):
        return None
    units: dict[int, int] = {}
    for wait in order.waiting:
        if not wait.is_dated and item in (None, wait.item_id):
            # A bundle is cancelled as a whole.
            per = dict(order.line(wait.line_no).parts)[wait.item_id]
            units[wait.line_no] = max(units.get(wait.line_no, 0), -(-wait.quantity // per))
    rows = [Amount(line_id=order.line(n).line_id, quantity=count) for n, count in units.items()]
    try:
        return cancel(order, rows, reason=reason) if rows else None
    except Conflict:
        return None  # a part of the bundle has been shipped
