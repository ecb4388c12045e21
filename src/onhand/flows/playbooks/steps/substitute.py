"""Give customers who wait for an item another one, at the price of the first."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onhand.db import queries
from onhand.errors import Conflict
from onhand.flows.change_orders import Change, write_changes
from onhand.flows.playbooks.base import At, Did, HeldOut, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.steps.batch import Before, locked, next_orders, orders_apart, uncancelled, within
from onhand.flows.playbooks.targets import WAITING, skus_of
from onhand.flows.sourcer import Sourcer
from onhand.incidents.playbooks.model import SubstituteIn
from onhand.orders.decide import Amount, cancel, extend
from onhand.orders.model import Line, Order
from onhand.orders.states import settle

SQL = queries(__file__)
_LINE_ID_MAX = 128


class Substitute:
    """See SubstituteIn."""

    def mean(self, at: At[SubstituteIn]) -> Meant | HeldOut | Nothing:
        values = {"skus": skus_of(at.case), "attribute": at.step.instead.partition(".")[2]}
        instead = {item: (other, sku, extra) for item, other, sku, extra in at.conn.execute(SQL["substitutes"], values)}
        if not instead:
            return Nothing(f"no item that it touches names another one as {at.step.instead}")
        batch = next_orders(at, (WAITING,), "extend")
        if isinstance(batch, Nothing):
            return batch
        ids = [o.order_id for o in batch.orders]
        spoken = {order_id for (order_id,) in at.conn.execute(SQL["of_channels"], {"ids": ids})}
        trials = [
            (o, *exchanged)
            for o in batch.orders
            if o.order_id not in spoken and (exchanged := _exchanged(o, instead)) is not None
        ]
        trials = within(trials, at.left, cost=lambda t: t[3], units=lambda t: sum(n for *_, n in t[2]))
        sourcer = Sourcer(at.state, at.conn, [trial for _, trial, _, _ in trials])
        found: list[tuple[Change, list[Any], int]] = []
        for before, trial, lines, extra in trials:
            waits = [w for w in trial.waiting if w.queue == "to_source"]
            sourced = sourcer.place(trial, waits, because="a substitute", insist=True)
            if sourced.found and not any(w.queue == "to_source" for w in sourced.order.waiting):
                change = Change(before=before, after=sourced.order, command="extend", plans=sourced.plans)
                found.append((change, [before.order_id, lines, Before.of(before)], extra))
        if not found:
            return Nothing("no order that waits is better served by another item", batch.cursor)
        found, targets, held_out = orders_apart(at, found, lambda f: f[0].before, (WAITING,), lambda f: f[2])
        if not found:
            return HeldOut(targets=held_out, cursor=batch.cursor)
        changes = [change for change, _, _ in found]
        rows = [row for _, row, _ in found]
        cost = sum(extra for *_, extra in found)
        units = sum(n for _, lines, _ in rows for _, _, n in lines)

        def do() -> Did:
            written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
            return Did(
                result={"substituted": len(changes)}, undo={"orders": rows}, cost_minor=cost, orders=len(changes),
                units=units, cursor=batch.cursor, written=written,
            )  # fmt: skip

        return Meant(
            key=("order", rows[0][0]), direction=-1, do=do, orders=len(changes), units=units,
            money_minor=max(cost, 0), targets=targets, held_out=held_out,
        )  # fmt: skip

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        rows = {order_id: (lines, Before.read(before)) for order_id, lines, before in undo["orders"]}
        changes: list[Change] = []
        for order in locked(at, rows):
            lines, before = rows[order.order_id]
            try:
                without = cancel(order, [Amount(new, n) for _, new, n in lines], reason="taken back")
            except Conflict:
                continue  # it is on its way
            after = settle(uncancelled(without, {line_no: n for line_no, _, n in lines}, before))
            after = replace(after, deliver_by=before.deliver_by)
            changes.append(Change(before=order, after=after, command="extend"))
        written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
        stay = sorted(rows.keys() - {change.after.order_id for change in changes})
        result: dict[str, Any] = {"as_before": len(changes), "left": len(stay)}
        if stay:
            result["orders_left"] = stay
        return Undone(result=result, written=written)


def _exchanged(
    order: Order, instead: Mapping[int, tuple[int, str, int]]
) -> tuple[Order, list[tuple[int, str, int]], int] | None:
    """`order` with what waits without a date for these items cancelled, and as many of the others wanted; the lines
    (line number, id of the new line, units), and what it costs more. None: there is nothing of the kind."""
    units: dict[int, int] = {}
    for w in order.waiting:
        line = order.line(w.line_no)
        if w.item_id in instead and not w.is_dated and not line.components:
            units[w.line_no] = units.get(w.line_no, 0) + w.quantity
    if not units or order.held:
        return None
    lines: list[Line] = []
    rows: list[tuple[int, str, int]] = []
    skus: dict[int, str] = {}
    cost = 0
    for line_no, n in sorted(units.items()):
        line = order.line(line_no)
        other, sku, extra = instead[line.item_id]
        line_id = f"{line.line_id}~{len(order.lines) + len(lines) + 1}"
        if len(line_id) > _LINE_ID_MAX:
            return None
        number = max(o.line_no for o in order.lines) + len(lines) + 1
        lines.append(
            Line(
                line_no=number, line_id=line_id, item_id=other, quantity=n, price_minor=line.price_minor,
                tax_minor=line.tax_minor,
            )
        )  # fmt: skip
        rows.append((line_no, line_id, n))
        skus[other] = sku
        cost += extra * n
    without = cancel(order, [Amount(order.line(n).line_id, count) for n, count in units.items()], reason="substituted")
    return extend(without, {}, lines, skus), rows, cost
