"""Repair oversells: a count or damage took units away that were promised. Orders give way one by one until what is left
is there, and are sourced again: from other nodes, else from dated supply, else they wait in `to_source`."""

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.db import queries
from onhand.flows.change_orders import Change, Written, write_changes
from onhand.flows.sourcer import Sourcer, tried
from onhand.flows.state import State
from onhand.ledger.store import Key, lock_positions
from onhand.orders.decide import withdraw
from onhand.orders.model import Order
from onhand.orders.store import lock_orders

SQL = queries(__file__)

Victim = tuple[str, int, int, int]
"""(order_id, fulfilment number, item_id, node_id)"""


def repair_oversold(state: State, limit: int = 100, *, by: Actor = SYSTEM) -> int:
    """One step: up to `limit` fulfilments; how many orders gave way. Call it after a count, and from time to time.

    Not packed before packed, and among these the order placed last first. Units of reservations are left: they expire.
    """
    with state.db.connection() as conn:
        victims: list[Victim] = conn.execute(SQL["find_oversold"], {"limit": limit}).fetchall()
    if not victims:
        return 0

    def work(conn: Connection[TupleRow]) -> tuple[int, Written]:
        orders = {o.order_id: o for o in lock_orders(conn, [v[0] for v in victims], skip=True)}
        if not orders:
            return 0, Written()
        before = dict(orders)
        # The shortage is known only under lock, and that comes after the orders'.
        sourcer = Sourcer(state, conn, [_parked(orders[i], victims) for i in orders])
        positions = lock_positions(conn, {(item, node) for _, _, item, node in victims})
        short = {key: p.oversold for key, p in positions.items()}
        for victim in victims:
            if victim[0] in orders:
                orders[victim[0]] = _give_way(orders[victim[0]], victim, short)
        changes: list[Change] = []
        for order_id, order in orders.items():
            if order is before[order_id]:
                continue
            gone = {f.node_id for f in order.fulfilments if f != before[order_id].fulfilment(f.number)}
            sourced = sourcer.place(
                order,
                [w for w in order.waiting if not w.is_dated],
                because="oversold: a count found fewer units than were promised",
                excluded=tried(order, sourcer.now) | gone,
                partly=True,
            )
            changes.append(
                Change(before=before[order_id], after=sourced.order, command="withdraw", plans=sourced.plans,
                       facts={"reason": "oversold"})
            )  # fmt: skip
        return len(changes), write_changes(conn, changes, by=by, origin=state.db.origin)

    count, written = state.db.transact(work)
    written.tell(state)
    return count


def _give_way(order: Order, victim: Victim, short: dict[Key, int]) -> Order:
    """Withdraw what `victim` holds of its position, as far as that is short."""
    _, number, item, node = victim
    fulfilment = order.fulfilment(number)
    if fulfilment is None or fulfilment.node_id != node:
        return order
    units: dict[tuple[int, int], int] = {}
    for unit, n in fulfilment.left.items():
        if unit[1] == item and short.get((item, node)):
            units[unit] = min(n, short[item, node])
            short[item, node] -= units[unit]
    return withdraw(order, fulfilment, units, reason="oversold") if units else order


def _parked(order: Order, victims: list[Victim]) -> Order:
    """`order` with what may have to give way waiting, so that the sourcer locks those items."""
    for _, number, item, _ in (v for v in victims if v[0] == order.order_id):
        fulfilment = order.fulfilment(number)
        if fulfilment is not None and (units := {u: n for u, n in fulfilment.left.items() if u[1] == item}):
            order = withdraw(order, fulfilment, units, reason="oversold")
    return order
