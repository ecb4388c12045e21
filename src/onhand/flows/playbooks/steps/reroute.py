"""Source orders again that the incident touches and that no node has begun to work on."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from onhand.flows.change_orders import Change, write_changes
from onhand.flows.playbooks.base import ORDERS_AT_ONCE, At, Did, HeldOut, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.steps.batch import (
    Batch,
    Before,
    holdings,
    locked,
    next_orders,
    orders_apart,
    placed_as_before,
    within,
)
from onhand.flows.playbooks.targets import UNRELEASED, nodes_of
from onhand.flows.sourcer import Sourcer, tried
from onhand.incidents.playbooks.model import RerouteIn
from onhand.ledger.store import find_nodes
from onhand.orders.decide import withdraw
from onhand.orders.model import Fulfilment, Order
from onhand.orders.store import Plan

BECAUSE = "an incident"


class Reroute:
    """See RerouteIn."""

    def mean(self, at: At[RerouteIn]) -> Meant | HeldOut | Nothing:
        stays = at.step.exclude == "nothing"
        batch = next_orders(at, UNRELEASED, "reroute", at_once=1 if stays else ORDERS_AT_ONCE)
        if isinstance(batch, Nothing):
            return batch
        nodes = set(find_nodes(at.conn, nodes_of(at.case)).values())
        changes = _moved_if_better(at, batch.orders[0]) if stays else _moved(at, batch, nodes)
        changes = within(changes, at.left, cost=_extra, units=_units)
        if not changes:
            return Nothing("none of the orders that it touches is better served otherwise", batch.cursor)
        changes, targets, held_out = orders_apart(at, changes, lambda c: c.before, UNRELEASED, _extra)
        if not changes:
            return HeldOut(targets=held_out, cursor=batch.cursor)
        cost = sum(map(_extra, changes))
        units = sum(map(_units, changes))
        stayed = len(batch.orders) - len(changes) - len(held_out)

        def do() -> Did:
            undo = {"orders": [[c.after.order_id, [f.number for f in _new(c)], Before.of(c.before)] for c in changes]}
            written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
            return Did(
                result={
                    "rerouted": len(changes), "stayed": stayed, "of_other_runs": batch.others,
                },
                undo=undo, cost_minor=cost, orders=len(changes), units=units, cursor=batch.cursor, written=written,
            )  # fmt: skip

        return Meant(
            key=("order", changes[0].before.order_id), direction=-1, do=do, orders=len(changes), units=units,
            money_minor=max(cost, 0), targets=targets, held_out=held_out,
        )  # fmt: skip

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        rows = {order_id: (set(numbers), Before.read(before)) for order_id, numbers, before in undo["orders"]}
        withdrawn: list[tuple[Order, Order]] = []
        for order in locked(at, rows):
            numbers, _ = rows[order.order_id]
            new = [f for f in order.live if f.number in numbers]
            if len(new) == len(numbers) and all(f.status == "allocated" for f in new) and not order.held:
                back = order
                for f in new:
                    back = withdraw(back, f, f.left, reason="taken back")
                withdrawn.append((order, back))
        sourcer = Sourcer(at.state, at.conn, [back for _, back in withdrawn])
        changes: list[Change] = []
        elsewhere = 0
        for order, back in withdrawn:
            _, before = rows[order.order_id]
            stays = replace(before, held=_less(before.held, holdings(back)))
            after, plans, exact = placed_as_before(
                sourcer, back, stays, at.state.network, because="an incident's reroute is taken back"
            )
            if any(w.queue == "to_source" for w in after.waiting):
                continue  # better where it is than nowhere
            changes.append(Change(before=order, after=after, command="reroute", plans=plans))
            elsewhere += not exact
        written = write_changes(at.conn, changes, by=at.by, origin=at.state.db.origin)
        result = {"returned": len(changes) - elsewhere, "elsewhere": elsewhere, "left": len(rows) - len(changes)}
        return Undone(result=result, written=written)


def _moved(at: At[RerouteIn], batch: Batch, nodes: Collection[int]) -> list[Change]:
    withdrawn = [(o, _without(o, nodes, at.case.kind)) for o in batch.orders]
    withdrawn = [(before, order) for before, order in withdrawn if order is not before]
    if not withdrawn:
        return []
    sourcer = Sourcer(at.state, at.conn, [order for _, order in withdrawn])
    changes: list[Change] = []
    for before, order in withdrawn:
        waits = [w for w in order.waiting if w.queue == "to_source"]
        sourced = sourcer.place(
            order, waits, because=BECAUSE, excluded={*nodes, *tried(order, sourcer.now)}, insist=True
        )
        if sourced.found and not any(w.queue == "to_source" for w in sourced.order.waiting):
            changes.append(_change(before, sourced.order, sourced.plans))
    return changes


def _moved_if_better(at: At[RerouteIn], before: Order) -> list[Change]:
    """Where an order may stay, its own units count as free for it, and for no other: so it is alone in its part."""
    order = before
    for f in before.live:
        if f.status == "allocated":
            order = withdraw(order, f, f.left, reason=at.case.kind)
    sourcer = Sourcer(at.state, at.conn, [order])
    sourcer.give_back([before])
    waits = [w for w in order.waiting if w.queue == "to_source"]
    sourced = sourcer.place(order, waits, because=BECAUSE, excluded=tried(order, sourcer.now), insist=True)
    is_better = sourced.found and not sourced.order.waiting and _ways(sourced.order) != _ways(before)
    return [_change(before, sourced.order, sourced.plans)] if is_better else []


def _without(order: Order, nodes: Collection[int], reason: str) -> Order:
    for f in order.live:
        if f.node_id in nodes and f.status == "allocated":
            order = withdraw(order, f, f.left, reason=reason)
    return order


def _change(before: Order, after: Order, plans: tuple[Plan, ...]) -> Change:
    return Change(before=before, after=after, command="reroute", plans=plans, facts={"because": BECAUSE})


def _ways(order: Order) -> set[object]:
    return {(f.node_id, f.carrier, f.service, *sorted(f.left.items())) for f in order.live}


def _new(change: Change) -> list[Fulfilment]:
    return [f for f in change.after.live if change.before.fulfilment(f.number) is None]


def _extra(change: Change) -> int:
    return sum(f.cost_minor for f in change.after.live) - sum(f.cost_minor for f in change.before.live)


def _units(change: Change) -> int:
    return sum(n for f in _new(change) for n in f.left.values())


def _less(before: Mapping[str, Mapping[str, int]], now: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """What nodes held before and do not hold now."""
    missing = {
        node: {unit: left for unit, n in units.items() if (left := n - now.get(node, {}).get(unit, 0)) > 0}
        for node, units in before.items()
    }
    return {node: units for node, units in missing.items() if units}
