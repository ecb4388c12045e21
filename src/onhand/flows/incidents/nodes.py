"""Nodes that will have more to do than they can."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onhand.base.dates import EPOCH
from onhand.db import queries
from onhand.demand.store import Kind as Column
from onhand.demand.store import fetch
from onhand.flows.incidents.channels import worth
from onhand.flows.incidents.scene import Scene, Seen, Unseen
from onhand.incidents.detect import capacity
from onhand.network.calendar import closed_on

SQL = queries(__file__)

Float64 = npt.NDArray[np.float64]

_AHEAD_DAYS: Final = 14
_PAST: Final = timedelta(days=28)
_RECENT_DAYS: Final = 7
# What counts against a limit: fulfilments, lines or units, in the order of the columns that are read.
_ORDERS, _LINES, _UNITS = range(3)
# A node that says what it can do, and has more than this share of it left over from days that have passed, can do what
# it has been seen to do of late.
_BEHIND: Final = 0.2
_WORK: Final[dict[str, Column]] = {"node": "int", "day": "int", "orders": "int", "lines": "int", "units": "int"}


def breaches(scene: Scene) -> Seen | Unseen:
    """Nodes that are likely to be late within the next two weeks."""
    today = scene.now.date()
    since = scene.now - _PAST
    asked = {"now": scene.now, "since": since, "first": scene.id_at(since - timedelta(days=_AHEAD_DAYS))}
    nodes = [_Node(row, today) for row in scene.conn.execute(SQL["working_nodes"])]
    past = fetch(scene.conn, SQL["past_work"], asked, _WORK)
    if not len(past["node"]):
        return Unseen(reason="no node has sent anything in the last four weeks: what comes is not known")
    shipped = fetch(scene.conn, SQL["shipped_work"], asked, _WORK)
    waiting = fetch(scene.conn, SQL["open_work"], asked, _WORK)
    told = [n for n in (_told(node, today, past, shipped, waiting) for node in nodes) if n is not None]
    if not told:
        return Unseen(reason="no node has a limit, and none has sent anything yet")
    seen = capacity.ahead(
        np.array([t.overdue for t in told]), np.stack([t.arrivals for t in told]),
        np.stack([t.deviation for t in told]), np.stack([t.capacity for t in told]), np.zeros(len(told), np.int64),
    )  # fmt: skip
    # Half of what an order earns, for a customer who was let down; by what an order is to the node.
    earned, known = worth(scene).order_minor, scene.channels
    order_minor = np.mean([e for c, e in earned.items() if known[c].currency == scene.currency] or [0.0])
    late = np.array([0.5 * float(order_minor) / t.per_order for t in told])
    begin = datetime.combine(today, time(), UTC)
    return Seen(findings={scene.currency: capacity.findings(seen, [t.code for t in told], late, begin)})


class _Node:
    """A node, what it says it can do in a day (None: no limit), and on which of the next days it works."""

    __slots__ = ("code", "limit", "measure", "node_id", "opens", "worked")

    def __init__(self, row: tuple[Any, ...], today: date) -> None:
        self.node_id, self.code, _, units, lines, orders, working_days, closed_days, holidays = row
        limits = ((_UNITS, units), (_LINES, lines), (_ORDERS, orders))
        self.measure, self.limit = next(((m, n) for m, n in limits if n is not None), (_UNITS, None))
        closed = closed_on(closed_days, holidays, today)

        def works(day: date) -> bool:
            return day.isoweekday() in working_days and day not in closed

        self.opens = np.array([works(today + timedelta(days=n)) for n in range(_AHEAD_DAYS)])
        self.worked = np.array([works(today - timedelta(days=n)) for n in range(_PAST.days, 0, -1)])


class _Told:
    """What `capacity.ahead` takes of one node; per_order: what an order is to it, in what it counts by."""

    __slots__ = ("arrivals", "capacity", "code", "deviation", "overdue", "per_order")

    def __init__(
        self, code: str, overdue: float, arrivals: Float64, deviation: Float64, able: Float64, per_order: float
    ) -> None:
        self.code, self.overdue, self.arrivals, self.deviation = code, overdue, arrivals, deviation
        self.capacity, self.per_order = able, per_order


def _told(
    node: _Node, today: date, past: dict[str, Any], shipped: dict[str, Any], waiting: dict[str, Any]
) -> _Told | None:
    """None: it has no limit, and nothing was seen of what it can do."""
    name = ("orders", "lines", "units")[node.measure]
    first = (today - EPOCH).days
    came = _by_day(past, name, node.node_id, first - _PAST.days, _PAST.days)
    done = _by_day(shipped, name, node.node_id, first - _PAST.days, _PAST.days)
    orders = float(past["orders"][past["node"] == node.node_id].sum())
    mine = waiting["node"] == node.node_id
    overdue = float(waiting[name][mine & (waiting["day"] < first)].sum())
    planned = _by_day(waiting, name, node.node_id, first, _AHEAD_DAYS)
    able = float(np.quantile(done[node.worked], 0.95)) if node.worked.any() else 0.0
    if node.limit is not None:
        recent = done[-_RECENT_DAYS:][node.worked[-_RECENT_DAYS:]]
        is_behind = overdue > _BEHIND * node.limit and recent.size > 0 and recent.sum() > 0
        able = min(float(node.limit), float(recent.mean())) if is_behind else float(node.limit)
    if able <= 0:
        return None
    # By day of the week, each with half of the mean of all: four of each are few.
    weekday = (np.arange(_PAST.days) + first - _PAST.days) % 7
    ahead = (np.arange(_AHEAD_DAYS) + first) % 7
    usual = np.array([came[weekday == d].mean() if (weekday == d).any() else came.mean() for d in range(7)])
    expected = usual[ahead]
    rest = came - usual[weekday]
    deviation = float(rest.std(ddof=7)) if len(rest) > 7 else 0.0
    arrivals = np.maximum(planned, expected * node.opens)
    # What is planned already is no guess.
    spread = deviation * np.clip(1 - planned / np.maximum(arrivals, 1e-9), 0, 1)
    return _Told(
        node.code, overdue, arrivals, spread, able * node.opens,
        max(float(came.sum()) / orders, 1e-9) if orders and came.sum() else 1.0,
    )  # fmt: skip


def _by_day(rows: dict[str, Any], name: str, node: int, first: int, days: int) -> Float64:
    """float64[day]"""
    place = rows["day"] - first
    mine = (rows["node"] == node) & (place >= 0) & (place < days)
    return np.bincount(place[mine], rows[name][mine].astype(np.float64), days).astype(np.float64)
