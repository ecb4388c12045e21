"""Orders that are stuck, and orders that were placed twice."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from onhand.db import queries
from onhand.demand.store import Kind as Column
from onhand.demand.store import fetch
from onhand.flows.incidents.scene import Changes, Scene, Seen, by_currency
from onhand.incidents.detect import orders
from onhand.incidents.detect.moments import HOUR_US
from onhand.incidents.model import Finding, Subject

SQL = queries(__file__)

Float64 = npt.NDArray[np.float64]
Ids = npt.NDArray[Any]

STATES: Final = (
    "allocated", "accepted", "packed", "partly_shipped", "to_source", "rejected", "unfillable", "held", "backorder",
    "preorder", "sync_failed", "needs_approval",
)  # fmt: skip
"""What an order can be stuck in: states of fulfilments, and queues."""

# History that times in states are learned from: so many days, of the last events.
_HISTORY: Final = timedelta(days=60)
_EVENTS_MAX: Final = 200_000
_LEARN_EVERY: Final = timedelta(hours=6)
# An order is compared with those of two days before it, and is worth stopping while nothing of it was sent.
_TWICE_WITHIN: Final = timedelta(hours=48)
_LOOKED_BACK: Final = timedelta(days=4)
_HABITS: Final = timedelta(days=60)
_CONFIDENCE_MIN: Final = 0.3


def stuck(scene: Scene) -> Seen:
    """All orders that wait."""
    return _stuck(scene, None)


def stuck_changed(scene: Scene, changes: Changes) -> Seen:
    """Orders that something happened to."""
    return _stuck(scene, changes.orders)


def _stuck(scene: Scene, ids: Sequence[UUID] | None) -> Seen:
    learned = scene.memory.get("times in states", scene.now, _LEARN_EVERY, lambda: _learn_times(scene))
    asked = {"now": scene.now, "ids": ids if ids is None else list(ids), "states": list(STATES)}
    rows = fetch(scene.conn, SQL["stays"], asked, {"order_id": "uuid", "state": "int", "node": "int", "since": "int"})
    node = np.where(rows["node"] < learned.log_staying.shape[1], rows["node"], 0)
    hours = (scene.now_us - rows["since"]) / HOUR_US
    seen = orders.stuck(rows["state"], node, hours, learned)
    some = np.flatnonzero(seen.confidence >= _CONFIDENCE_MIN)
    # Of an order that waits in several places the surest one counts; only what is found is read.
    order = rows["order_id"][some]
    state: list[int] = rows["state"][some].tolist()
    where: list[int] = rows["node"][some].tolist()
    facts = _facts(scene, order)
    chosen = orders.Stuck(
        staying=seen.staying[some], confidence=seen.confidence[some], median_hours=seen.median_hours[some],
        most_hours=seen.most_hours[some],
    )  # fmt: skip
    found = orders.stuck_findings(
        chosen, hours[some], [f.order_id for f in facts], [STATES[s] for s in state],
        [scene.nodes.get(n, "") for n in where], np.array([f.margin_minor for f in facts], np.float64),
        scene.now, confidence_min=_CONFIDENCE_MIN, called=[f.called for f in facts],
    )  # fmt: skip
    scope = None if ids is None else frozenset(Subject("order", (str(i),)) for i in ids)
    return Seen(findings=_apart(found, facts), scope=scope)


def _learn_times(scene: Scene) -> orders.Times:
    asked = {"now": scene.now, "since": scene.now - _HISTORY, "limit": _EVENTS_MAX, "states": list(STATES)}
    rows = fetch(
        scene.conn, SQL["past_stays"], asked, {"state": "int", "node": "int", "hours": "float", "is_over": "int"}
    )  # fmt: skip
    nodes = max([0, *scene.nodes]) + 1
    return orders.learn_times(
        rows["state"], np.where(rows["node"] < nodes, rows["node"], 0), rows["hours"], rows["is_over"] == 1,
        states=len(STATES), nodes=nodes,
    )  # fmt: skip


class _Facts:
    """What an order is to people, and what it is worth."""

    __slots__ = ("called", "cost_minor", "currency", "margin_minor", "order_id")

    def __init__(self, scene: Scene, order_id: UUID, row: tuple[Any, ...]) -> None:
        channel_id, external_id, currency, value, cost = row
        channel = scene.channels.get(channel_id)
        self.order_id = str(order_id)
        self.called = f"{external_id} of {channel.code}" if channel is not None else str(external_id)
        self.currency = str(currency)
        self.margin_minor = value * (channel.margin_rate if channel is not None else 0.0)
        self.cost_minor = float(cost)
        if channel is not None and channel.currency == currency:
            self.margin_minor += channel.penalty_minor


def _facts(scene: Scene, ids: Ids) -> list[_Facts]:
    """One for each of ids, in their order."""
    if not len(ids):
        return []
    each = [UUID(bytes=i.tobytes()) for i in ids]
    rows = scene.conn.execute(SQL["order_facts"], {"ids": [*set(each)]}).fetchall()
    known = {order_id: _Facts(scene, order_id, tuple(row)) for order_id, *row in rows}
    return [known[i] for i in each]


def _apart(found: Sequence[Finding], facts: Sequence[_Facts]) -> dict[str, list[Finding]]:
    """By the currency of the order."""
    currency = {f.order_id: f.currency for f in facts}
    return by_currency(found, [currency[f.subject.key[0]] for f in found])


# Placed twice --------------------------------------------------------------------------------------------------------

_COLUMNS: Final[dict[str, Column]] = {
    "order_id": "uuid", "placed": "int", "customer": "int", "address": "int", "basket": "int", "is_open": "int",
}  # fmt: skip


def duplicates(scene: Scene) -> Seen:
    """All orders of the last days of which nothing was sent."""
    since = scene.now - _LOOKED_BACK
    asked = {"now": scene.now, "since": since, "first": scene.id_at(since)}
    return _duplicates(scene, fetch(scene.conn, SQL["recent_orders"], asked, _COLUMNS), None)


def duplicates_changed(scene: Scene, changes: Changes) -> Seen:
    """Orders that something happened to, beside those of the same customers."""
    if not changes.orders:
        return Seen(scope=frozenset())
    asked = {"now": scene.now, "since": scene.now - _LOOKED_BACK, "ids": list(changes.orders)}
    rows = fetch(scene.conn, SQL["orders_of_customers"], asked, _COLUMNS)
    return _duplicates(scene, rows, frozenset(Subject("order", (str(i),)) for i in changes.orders))


def _duplicates(scene: Scene, rows: dict[str, Any], scope: frozenset[Subject] | None) -> Seen:
    habits = scene.memory.get("habits of customers", scene.now, timedelta(days=1), lambda: _learn_habits(scene))
    placed = _orders(rows)
    pairs = orders.duplicates(
        placed, habits, within_hours=_TWICE_WITHIN.total_seconds() / 3600, confidence_min=_CONFIDENCE_MIN
    )
    is_open = rows["is_open"][pairs.later] == 1
    # Once it was sent, what it cost is lost.
    pairs = orders.Pairs(
        earlier=pairs.earlier[is_open], later=pairs.later[is_open], confidence=pairs.confidence[is_open],
        hours=pairs.hours[is_open],
    )  # fmt: skip
    named = np.unique(np.concatenate([pairs.earlier, pairs.later]))
    facts = dict(zip(named.tolist(), _facts(scene, rows["order_id"][named]), strict=True))
    names, called, loss = [""] * len(placed), [""] * len(placed), np.zeros(len(placed))
    for row, fact in facts.items():
        # Sent, and sent back.
        names[row], called[row], loss[row] = fact.order_id, fact.called, 2 * fact.cost_minor
    found = orders.duplicate_findings(pairs, placed, names, loss, called=called)
    if scope is not None:
        found = [finding for finding in found if finding.subject in scope]
    return Seen(findings=_apart(found, [*facts.values()]), scope=scope)


def _orders(rows: dict[str, Any]) -> orders.Orders:
    return orders.Orders(
        customer=rows["customer"], address=rows["address"], basket=rows["basket"], placed_at=rows["placed"]
    )


def _learn_habits(scene: Scene) -> orders.Habits:
    since = scene.now - _HABITS
    asked = {"now": scene.now, "since": since, "first": scene.id_at(since), "limit": _EVENTS_MAX}
    return orders.learn_habits(_orders(fetch(scene.conn, SQL["past_orders"], asked, _COLUMNS)))
