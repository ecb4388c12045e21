"""Follow what was scanned: a shipment that its carrier has delivered is delivered, and its fulfilment once all are."""

import time
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.flows.change_orders import Change, Written, write_changes
from onhand.flows.state import State
from onhand.fulfilment import decide
from onhand.fulfilment.tracking import store
from onhand.fulfilment.tracking.inbox import purge_messages
from onhand.orders.model import Order
from onhand.orders.store import deliver_shipments, lock_orders

_ORDERS_AT_ONCE = 100
_SCANS_AT_ONCE = 1_000
_ROUNDS_MAX = 100
# How long a shipment's transaction may take until it is seen.
_MARGIN_S = 120.0
_BY = Actor(key_id=SYSTEM.key_id, reason="scanned as delivered by its carrier")


class Settler:
    """What a worker does about scans, again and again."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._looked_at = float("-inf")

    def look(self) -> int:
        """Give scans that waited to shipments that have appeared since the last look, and deliver what is scanned as
        delivered: of how many orders. Safe with several workers, and at any repeat: an order that somebody works on is
        left for the next time."""
        began = time.monotonic()
        lately_s = min(began - self._looked_at + _MARGIN_S, store.WAITING_DAYS * 86_400.0)

        def match(conn: Connection[TupleRow]) -> int:
            return store.match_waiting(conn, lately_s=lately_s, limit=_SCANS_AT_ONCE)

        while self._state.db.transact(match) == _SCANS_AT_ONCE:
            pass
        self._looked_at = began
        return deliver_scanned(self._state)


def deliver_scanned(state: State) -> int:
    """Deliver what carriers have delivered; of how many orders."""
    delivered = 0
    for _ in range(_ROUNDS_MAX):
        with state.db.connection() as conn:
            ids = store.find_to_deliver(conn, limit=_ORDERS_AT_ONCE)
        if not ids:
            break
        done, written = state.db.transact(lambda conn, ids=ids: _deliver(state, conn, ids))
        written.tell(state)
        delivered += done
        if not done:
            break
    return delivered


def _deliver(state: State, conn: Connection[TupleRow], ids: list[str]) -> tuple[int, Written]:
    orders = {order.order_id: order for order in lock_orders(conn, ids, skip=True)}
    after = dict(orders)
    whole = [key for key in store.deliver_scanned(conn, sorted(orders)) if _is_shipped(after[key[0]], key[1])]
    for order_id, number in whole:
        order = after[order_id]
        fulfilment = order.fulfilment(number)
        assert fulfilment is not None, "fulfilments are never deleted"
        after[order_id] = decide.deliver(order, fulfilment)
    changes = [
        Change(before=before, after=after[order_id], command="deliver")
        for order_id, before in orders.items()
        if after[order_id] is not before
    ]
    written = write_changes(conn, changes, by=_BY, origin=state.db.origin)
    for order_id, number in whole:
        deliver_shipments(conn, order_id, number)
    return len(orders), written


def _is_shipped(order: Order, number: int) -> bool:
    fulfilment = order.fulfilment(number)
    return fulfilment is not None and fulfilment.status == "shipped"


def purge_scans(conn: Connection[TupleRow], now: datetime) -> int:
    """Forget scans that no shipment has been found for, and messages that were read long ago; how many."""
    return store.purge_waiting(conn, now) + purge_messages(conn, now)
