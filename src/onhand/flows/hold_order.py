"""Hold an order, so that nothing of it ships, and let it go again."""

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.errors import Conflict
from onhand.flows.change_orders import Change, Done, run, write_changes
from onhand.flows.intake import place_of
from onhand.flows.sourcer import Sourcer, tried
from onhand.flows.state import State
from onhand.flows.transactor import Transactor
from onhand.orders.decide import hold, release
from onhand.orders.intake import Destination
from onhand.orders.public import summary
from onhand.orders.store import lock_order, order_uuid


def hold_order(state: State, order_id: str, reason: str, *, by: Actor, transact: Transactor | None = None) -> Done:
    """Stop the order: nodes may not accept, pack or ship it. What it was promised stays promised.

    Raises NotFound, Conflict `order.not_allowed`.
    """
    order_id = order_uuid(order_id)

    def work(conn: Connection[TupleRow]) -> Done:
        before = lock_order(conn, order_id)
        after = hold(before, reason)
        change = Change(before=before, after=after, command="hold", facts={"hold": reason})
        return Done(answer=summary(after), written=write_changes(conn, [change], by=by, origin=state.db.origin))

    return run(state, work, transact)


def release_order(
    state: State,
    order_id: str,
    destination: Destination | None = None,
    *,
    by: Actor,
    transact: Transactor | None = None,
) -> Done:
    """End a hold, and source what waited for it.

    destination  corrects an address that could not be located

    Raises NotFound, Conflict `order.not_allowed` when it is not held, `order.unlocatable` while nobody knows where it
    goes.
    """
    order_id = order_uuid(order_id)

    def work(conn: Connection[TupleRow]) -> Done:
        before = lock_order(conn, order_id)
        order = release(before, destination)
        if any(w.queue == "held" for w in before.waiting) and _is_unlocatable(order.wishes.destination):
            raise Conflict(
                "order.unlocatable",
                f"nobody knows where order {order_id} goes: release it with a destination that can be located",
                order_id=order_id,
            )
        sourcer = Sourcer(state, conn, [order], is_waived=True)
        waits = [w for w in order.waiting if not w.is_dated]
        sourced = sourcer.place(
            order, waits, because="released", excluded=tried(order, sourcer.now), partly=bool(order.live)
        )
        change = Change(before=before, after=sourced.order, command="release", plans=sourced.plans)
        return Done(answer=summary(sourced.order), written=write_changes(conn, [change], by=by, origin=state.db.origin))

    return run(state, work, transact)


def _is_unlocatable(destination: Destination) -> bool:
    return place_of(destination)[2]
