"""Cancel what has not been shipped of orders, and how that is put back."""

from collections.abc import Mapping
from typing import Any

from onhand.db import queries
from onhand.errors import Conflict
from onhand.flows.change_orders import Change, write_changes
from onhand.flows.playbooks.base import At, Did, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.steps.batch import Before, locked, next_orders, placed_as_before, uncancelled, within
from onhand.flows.playbooks.targets import UNSHIPPED, WAITING
from onhand.flows.sourcer import Sourcer
from onhand.incidents.playbooks.model import CancelWithReasonIn
from onhand.orders.decide import cancel
from onhand.orders.model import Order

SQL = queries(__file__)


class CancelWithReason:
    """See CancelWithReasonIn."""

    def mean(self, at: At[CancelWithReasonIn]) -> Meant | Nothing:
        batch = next_orders(at, (*UNSHIPPED, WAITING), "cancel")
        if isinstance(batch, Nothing):
            return batch
        pairs = [(o, after) for o in batch.orders if (after := _cancelled(o, at.step.reason)) is not None]
        if not pairs:
            return Nothing("none of the orders that it touches can be cancelled any more", batch.cursor)
        costs = _costs(at, [before for before, _ in pairs])
        lost = {a.order_id: _margin(b, a, costs) for b, a in pairs}
        pairs = within(
            pairs, at.left, cost=lambda pair: lost[pair[1].order_id], units=lambda pair: sum(_lines(*pair).values())
        )
        if not pairs:
            return Nothing("its limit of money or of units is reached", batch.cursor)
        cost = sum(lost[a.order_id] for _, a in pairs)

        def do() -> Did:
            changes = [Change(before=b, after=a, command="cancel", facts={"reason": at.step.reason}) for b, a in pairs]
            written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
            undo = {"orders": [[a.order_id, _lines(b, a), Before.of(b)] for b, a in pairs]}
            units = sum(sum(_lines(b, a).values()) for b, a in pairs)
            return Did(
                result={"cancelled": len(pairs)}, undo=undo, cost_minor=cost, orders=len(pairs), units=units,
                cursor=batch.cursor, written=written,
            )  # fmt: skip

        return Meant(
            key=("order", pairs[0][0].order_id), direction=-1, do=do, orders=len(pairs), money_minor=max(cost, 0)
        )

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        rows = {order_id: (lines, Before.read(before)) for order_id, lines, before in undo["orders"]}
        again: list[tuple[Order, Order]] = []
        for order in locked(at, rows):
            lines, before = rows[order.order_id]
            wanted = {int(n): min(units, order.line(int(n)).cancelled) for n, units in lines.items()}
            if any(wanted.values()) and order.status not in ("held", "shipped", "delivered"):
                again.append((order, uncancelled(order, wanted, before)))
        sourcer = Sourcer(at.state, at.conn, [order for _, order in again])
        changes: list[Change] = []
        elsewhere = 0
        for order, wanted in again:
            after, plans, exact = placed_as_before(
                sourcer, wanted, rows[order.order_id][1], at.state.network, because="a cancellation is taken back"
            )
            changes.append(Change(before=order, after=after, command="extend", plans=plans))
            elsewhere += not exact
        written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
        result = {"wanted_again": len(changes), "elsewhere": elsewhere, "left": len(rows) - len(changes)}
        return Undone(result=result, written=written)


def _cancelled(order: Order, reason: str) -> Order | None:
    try:
        return cancel(order, None, reason=reason)
    except Conflict:
        return None  # all of it has been shipped, or is in a parcel already


def _lines(before: Order, after: Order) -> dict[str, int]:
    return {
        str(a.line_no): n for b, a in zip(before.lines, after.lines, strict=True) if (n := a.cancelled - b.cancelled)
    }


def _costs(at: At[CancelWithReasonIn], orders: list[Order]) -> dict[int, int]:
    items = {item for o in orders for line in o.lines for item, _ in line.parts}
    return dict(at.conn.execute(SQL["unit_costs"], {"items": sorted(items)}).fetchall())


def _margin(before: Order, after: Order, costs: Mapping[int, int]) -> int:
    """What is lost: the price of what is cancelled, less what it costs us."""
    lost = 0
    for b, a in zip(before.lines, after.lines, strict=True):
        each = a.price_minor - sum(costs.get(item, 0) * per for item, per in a.parts)
        lost += (a.cancelled - b.cancelled) * each
    return lost
