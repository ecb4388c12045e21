"""Tend payments: follow what is told of orders, look at what may be due, and do what is to be done to orders.

What is asked of providers is cashier.py's. Each step can be broken off anywhere and done again, by any process.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.connectors._sdk.values import Fate, Paid
from onhand.errors import OnhandError
from onhand.flows.cancel_order import cancel_order
from onhand.flows.follow_orders import Follower
from onhand.flows.hold_order import hold_order, release_order
from onhand.flows.payments.look import Answer, Page, finish, look
from onhand.flows.state import State
from onhand.payments import store
from onhand.payments.model import HOLD, Kind

FOLLOWER: Final = "payments"
"""Name of the cursor up to which events were looked at for what payments have to follow."""

_LOOKS, _TURNS_MAX = 100, 50
# A row of events may stand for hundreds of orders.
_EVENTS = 100
_AT_ONCE, _LEASE_S = 20, 60.0


def tend(state: State) -> int:
    """All of it, as far as there is anything; how many payments it was about."""
    follow(state)
    count = 0
    for _ in range(_TURNS_MAX):
        done = look_at_due(state) + do_to_orders(state)
        count += done
        if not done:
            break
    return count


def follow(state: State) -> int:
    """Have payments looked at whose orders something was told of; how many orders were looked at."""
    with state.db.connection() as conn:
        if not store.is_needed(conn):
            return 0

    def take(conn: Connection[TupleRow], ids: list[str]) -> None:
        store.mark(conn, store.with_payment(conn, ids), state.now())

    follower = Follower(
        name=FOLLOWER, kinds=("order.%", "fulfilment.%", "return.received"), take=take, events=_EVENTS,
        begin=store.all_with_payment,
    )  # fmt: skip
    return follower.follow(state.db)


def look_at_due(state: State) -> int:
    """Look at payments that are due to be looked at, some of them; how many."""
    now = state.now()

    def work(conn: Connection[TupleRow]) -> int:
        ids = store.claim_looks(conn, now, _LOOKS)
        if not ids:
            return 0
        sold = store.load_sold(conn, ids)
        pages = [Page(before=p, payment=p, sold=sold[p.order_id]) for p in store.load(conn, ids)]
        look(conn, pages, now, origin=state.db.origin)
        return len(ids)

    done = state.db.transact(work)
    if done:
        state.db.notify()
    return done


def do_to_orders(state: State) -> int:
    """Hold, let go or cancel the orders for which that is due; how many."""
    now = state.now()
    claimed = state.db.transact(lambda conn: store.claim_operations(conn, None, now, limit=_AT_ONCE, lease_s=_LEASE_S))
    for one in claimed:
        answer = _do(state, one.order_id, one.operation.kind)
        _finish(state, one.order_id, one.operation.number, answer, now)
    return len(claimed)


def _finish(state: State, order_id: str, number: int, answer: Paid, now: datetime) -> None:
    told = [Answer(order_id=order_id, number=number, paid=answer)]
    state.db.transact(lambda conn: finish(conn, told, now, origin=state.db.origin))


def _do(state: State, order_id: str, kind: Kind) -> Paid:
    by = Actor(reason="payment: declined" if kind != "release" else "payment: authorised")
    steps: dict[Kind, Callable[[], object]] = {
        "hold": lambda: hold_order(state, order_id, HOLD, by=by),
        "release": lambda: release_order(state, order_id, by=by),
        "cancel": lambda: cancel_order(state, order_id, by=by),
    }
    try:
        steps[kind]()
    except OnhandError as error:
        fate = Fate.RETRY if error.retryable else Fate.REFUSED
        return Paid(fate=fate, code=error.code, message=str(error))
    return Paid(fate=Fate.DONE)
