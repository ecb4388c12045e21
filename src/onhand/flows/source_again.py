"""Source orders again: one by hand, or those that wait and can be served now."""

from collections.abc import Collection, Iterable, Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.db import queries
from onhand.errors import Conflict, FieldError, InvalidInput
from onhand.flows.change_orders import Change, Done, Written, run, write_changes
from onhand.flows.sourcer import Sourced, Sourcer, tried
from onhand.flows.state import State
from onhand.flows.transactor import Transactor
from onhand.ledger.store import find_nodes
from onhand.orders.decide import give_up_dates, withdraw
from onhand.orders.model import Order, Wait
from onhand.orders.public import summary
from onhand.orders.states import offered, require_order
from onhand.orders.store import lock_order, lock_orders, order_uuid

SQL = queries(__file__)


def reroute(
    state: State,
    order_id: str,
    exclude: Sequence[str] | None = None,
    *,
    by: Actor,
    transact: Transactor | None = None,
) -> Done:
    """Source by hand what waits, and what nodes in `exclude` (codes) were to ship: their fulfilments are withdrawn.

    exclude  None: leave out the nodes that a part of the order came back from lately

    Raises NotFound, InvalidInput for unknown nodes, Conflict `order.not_allowed`.
    """
    order_id = order_uuid(order_id)

    def work(conn: Connection[TupleRow]) -> Done:
        before = lock_order(conn, order_id)
        require_order(before, "reroute")
        nodes = _node_ids(conn, exclude or ())
        order = before
        for f in before.live:
            if f.node_id in nodes and f.left:
                order = withdraw(order, f, f.left, reason="rerouted")
        sourcer = Sourcer(state, conn, [order])
        waits = [w for w in order.waiting if not (w.is_dated and _is_unreleased(state, sourcer, w))]
        if not waits:
            raise Conflict(
                "order.not_allowed",
                f"order {order_id} has nothing that waits, nor anything to ship at the nodes named in exclude",
                order_id=order_id,
                state=before.status,
                allowed=offered(before.status),
            )
        excluded = tried(order, sourcer.now) if exclude is None else nodes
        sourced = sourcer.place(
            order, waits, because="rerouted by hand", excluded=excluded, insist=True, partly=order.wishes.allow_split
        )
        change = Change(before=before, after=sourced.order, command="reroute", plans=sourced.plans)
        return Done(answer=summary(sourced.order), written=write_changes(conn, [change], by=by, origin=state.db.origin))

    return run(state, work, transact)


def source_waiting(state: State, limit: int = 50, *, again_after_s: float = 300) -> int:
    """One step of the sweep: oldest first, up to `limit` orders whose waiting units may be served now are sourced
    again; how many were helped.

    again_after_s  what could not be helped is left alone for so long

    Safe with several workers: an order that somebody works on is left out.
    """
    with state.db.connection() as conn:
        found = conn.execute(SQL["find_servable"], {"limit": limit, "again_after_s": again_after_s}).fetchall()
    return source_orders(state, [order_id for (order_id,) in found]) if found else 0


def source_orders(state: State, order_ids: Iterable[str], *, by: Actor = SYSTEM) -> int:
    """Source again what waits of these orders; how many were helped. Held ones, and those that somebody works on, are
    left out."""

    ids = [order_uuid(i) for i in order_ids]

    def work(conn: Connection[TupleRow]) -> tuple[int, Written]:
        orders = [o for o in lock_orders(conn, ids, skip=True) if o.waiting and not o.held]
        orders.sort(key=lambda o: (o.placed_at, o.order_id))
        if not orders:
            return 0, Written()
        sourcer = Sourcer(state, conn, orders)
        changes: list[Change] = []
        in_vain: list[str] = []
        for order in orders:
            sourced = _try(state, sourcer, order)
            if sourced.found:
                changes.append(Change(before=order, after=sourced.order, command="source", plans=sourced.plans))
            else:
                in_vain.append(order.order_id)
                if sourced.order.waiting != order.waiting:
                    # Its supply has come and gone, or lost its date: say so.
                    changes.append(Change(before=order, after=sourced.order, command="source"))
        written = write_changes(conn, changes, by=by, origin=state.db.origin)
        if in_vain:
            conn.execute(SQL["mark_tried"], {"ids": in_vain})
        return len(orders) - len(in_vain), written

    helped, written = state.db.transact(work)
    written.tell(state)
    return helped


def _try(state: State, sourcer: Sourcer, order: Order) -> Sourced:
    """Find a place for everything that waits, released items only."""
    order = give_up_dates(order)
    excluded = tried(order, sourcer.now)
    partly = order.wishes.allow_split and (bool(order.live) or any(w.queue == "rejected" for w in order.waiting))
    waits = [w for w in order.waiting if not (w.is_dated and _is_unreleased(state, sourcer, w))]
    return sourcer.place(order, waits, because="supply may have come", excluded=excluded, partly=partly)


def _is_unreleased(state: State, sourcer: Sourcer, wait: Wait) -> bool:
    at = state.catalogue.releases.get(wait.item_id)
    return at is not None and at > sourcer.now


def _node_ids(conn: Connection[TupleRow], codes: Collection[str]) -> set[int]:
    known = find_nodes(conn, set(codes))
    errors = [FieldError(f"exclude[{n}]", f"no node {code!r}") for n, code in enumerate(codes) if code not in known]
    if errors:
        raise InvalidInput(errors)
    return set(known.values())
