"""Hold orders: nothing of them ships until they are let go."""

from collections.abc import Mapping
from typing import Any

from onhand.flows.change_orders import Change, write_changes
from onhand.flows.playbooks.base import At, Did, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.steps.batch import ids_of, locked, next_orders
from onhand.flows.playbooks.targets import UNSHIPPED, WAITING
from onhand.incidents.playbooks.model import HoldIn
from onhand.orders.decide import hold, release
from onhand.orders.model import Order


class Hold:
    """See HoldIn."""

    def mean(self, at: At[HoldIn]) -> Meant | Nothing:
        batch = next_orders(at, (*UNSHIPPED, WAITING), "hold")
        if isinstance(batch, Nothing):
            return batch

        def do() -> Did:
            reason = at.step.reason
            changes = [
                Change(before=o, after=hold(o, reason), command="hold", facts={"hold": reason}) for o in batch.orders
            ]
            written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
            ids = ids_of(batch.orders)
            return Did(
                result={"held": len(ids)}, undo={"orders": ids, "reason": reason}, orders=len(ids),
                cursor=batch.cursor, written=written,
            )  # fmt: skip

        return Meant(key=("order", batch.orders[0].order_id), direction=-1, do=do, orders=len(batch.orders))

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        found = [o for o in locked(at, undo["orders"]) if is_held_for(o, undo["reason"])]
        changes = [Change(before=o, after=release(o), command="release") for o in found]
        written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
        return Undone(
            result={"released": len(found), "left": len(undo["orders"]) - len(found)},
            written=written,
        )


def is_held_for(order: Order, reason: str) -> bool:
    """Whether an order is held for this reason, and nothing but the hold is in its way."""
    return order.status == "held" and order.wishes.hold == reason and all(w.queue != "held" for w in order.waiting)
