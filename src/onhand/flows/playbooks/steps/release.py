"""Let orders go that an earlier step of the run holds."""

from collections.abc import Mapping
from typing import Any

from onhand.flows.change_orders import Change, write_changes
from onhand.flows.playbooks.base import At, Did, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.steps.batch import ids_of, locked
from onhand.flows.playbooks.steps.hold import is_held_for
from onhand.incidents.playbooks.model import ReleaseIn
from onhand.orders.decide import hold, release
from onhand.orders.states import ORDER_STEPS, allowed


class Release:
    """See ReleaseIn."""

    def mean(self, at: At[ReleaseIn]) -> Meant | Nothing:
        held = [p.undo for p in at.parts if p.kind == "hold" and p.undo is not None and p.undone_at is None]
        # A part for each part that holds, in its order.
        number = 0 if at.run.cursor is None else int(at.run.cursor)
        if number >= len(held):
            return Nothing("nothing is held")
        reason, ids = held[number]["reason"], held[number]["orders"]
        if at.left.orders is not None:
            ids = ids[: at.left.orders]
        cursor = str(number + 1) if number + 1 < len(held) else None
        found = [o for o in locked(at, ids) if is_held_for(o, reason)]
        if not found:
            return Nothing("they are not held any more", cursor)

        def do() -> Did:
            changes = [Change(before=o, after=release(o), command="release") for o in found]
            written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
            undo = {"orders": ids_of(found), "reason": reason}
            return Did(
                result={"released": len(found)}, undo=undo, orders=len(found), cursor=cursor, written=written
            )  # fmt: skip

        return Meant(key=("order", found[0].order_id), direction=1, do=do, orders=len(found))

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        found = [o for o in locked(at, undo["orders"]) if "hold" in allowed(ORDER_STEPS, o.status)]
        changes = [Change(before=o, after=hold(o, undo["reason"]), command="hold") for o in found]
        written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
        return Undone(result={"held": len(found), "left": len(undo["orders"]) - len(found)}, written=written)
