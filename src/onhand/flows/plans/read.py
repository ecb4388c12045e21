"""What a plan is made from, as it is now: stock, what is on its way, lanes, supply."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.flows.plans.request import Scope
from onhand.network.restocking import EVERY_NODE, SupplyTerms
from onhand.planning.rebalance import Recent
from onhand.planning.transfers import Lanes

SQL = queries(__file__)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """int64[item, node]: units that can be sold, promised without being there, and kept back; `has`: there is or was
    stock."""

    available: Int64
    oversold: Int64
    safety: Int64
    has: Bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Lanes between the nodes of a scope: as planning takes them, days int64[from, to], and CO2 float64[from, to]."""

    lanes: Lanes
    days: Int64
    co2_g_per_kg: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(SupplyTerms):
    """is_own: told of this node, not of every one."""

    is_own: bool

    def review_from(self, today: date) -> int:
        """Days from an order today to the next chance to order."""
        if not self.order_days:
            return self.review_days
        return next(d for d in range(1, 8) if (today.isoweekday() - 1 + d) % 7 + 1 in self.order_days)

    def is_open(self, today: date) -> bool:
        """Whether it can be ordered today."""
        return not self.order_days or today.isoweekday() in self.order_days


def read_stock(conn: Connection[TupleRow], scope: Scope) -> Stock:
    """Positions of every item at every node."""
    place = _Place.of(scope)
    shape = len(scope.skus), len(scope.nodes)
    available, oversold = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    safety, has = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    for node_id, kept in conn.execute(SQL["defaults"], place.ids):
        safety[:, place.node[node_id]] = kept
    for item_id, node_id, units, missing, kept in conn.execute(SQL["positions"], place.ids):
        at = place.item[item_id], place.node[node_id]
        available[at], oversold[at], safety[at], has[at] = units, missing, kept, True
    return Stock(available=available, oversold=oversold, safety=safety, has=has)


def read_coming(conn: Connection[TupleRow], scope: Scope, today: date, *, within: int | None = None) -> Int64:
    """int64[item, node]: units on their way that nobody waits for, due within so many days; None: whenever."""
    place = _Place.of(scope)
    coming = np.zeros((len(scope.skus), len(scope.nodes)), np.int64)
    for item_id, node_id, days, units in conn.execute(SQL["coming"], place.ids | {"today": today}):
        if within is None or days <= within:
            coming[place.item[item_id], place.node[node_id]] += units
    return np.maximum(coming, 0)


def read_supply(conn: Connection[TupleRow], scope: Scope) -> dict[tuple[int, int], Terms]:
    """Active terms by (row of the item, row of the node)."""
    place = _Place.of(scope)
    own: dict[tuple[int, int], Terms] = {}
    every: dict[int, Terms] = {}
    names = [f.name for f in fields(SupplyTerms)]
    for item_id, node_id, *columns in conn.execute(SQL["supply"], place.ids | {"every": EVERY_NODE}):
        terms = Terms(**dict(zip(names, columns, strict=True)), is_own=node_id != EVERY_NODE)
        if terms.is_own:
            own[place.item[item_id], place.node[node_id]] = terms
        else:
            every[place.item[item_id]] = terms
    found = {(item, node): terms for item, terms in every.items() for node in range(len(scope.nodes))} | own
    return {key: terms for key, terms in found.items() if terms.active}


def read_ways(conn: Connection[TupleRow], scope: Scope, today: date) -> Ways:
    """Lanes and docks with the room that is left of today."""
    place, nodes = _Place.of(scope), len(scope.nodes)
    unit, kg, room = np.full((nodes, nodes), np.inf), np.zeros((nodes, nodes)), np.zeros((nodes, nodes))
    days, co2 = np.zeros((nodes, nodes), np.int64), np.zeros((nodes, nodes))
    for source, target, lasts, unit_minor, kg_minor, most, g_per_kg, sent in conn.execute(
        SQL["lanes"], place.ids | {"today": today}
    ):
        at = place.node[source], place.node[target]
        unit[at], kg[at], days[at], co2[at] = unit_minor, kg_minor, lasts, g_per_kg
        room[at] = _left_of(most, sent)
    out, into = np.full(nodes, np.inf), np.full(nodes, np.inf)
    for node_id, most_out, most_in, gone, come in conn.execute(SQL["docks"], place.ids | {"today": today}):
        out[place.node[node_id]], into[place.node[node_id]] = _left_of(most_out, gone), _left_of(most_in, come)
    lanes = Lanes(unit_minor=unit, kg_minor=kg, room=room, dock_out=out, dock_in=into)
    return Ways(lanes=lanes, days=days, co2_g_per_kg=co2)


def _left_of(most: int | None, used: int) -> float:
    return np.inf if most is None else max(most - used, 0)


def read_recent(conn: Connection[TupleRow], scope: Scope, now: datetime) -> list[Recent]:
    """Transfers that were approved in the last 60 days."""
    place = _Place.of(scope)
    return [
        Recent(
            item=place.item[item_id],
            source=place.node[source],
            target=place.node[target],
            days_ago=max(days_ago, 0.0),
        )
        for item_id, source, target, days_ago in conn.execute(SQL["moved_lately"], place.ids | {"now": now})
    ]


def read_clearing(conn: Connection[TupleRow], scope: Scope, today: date) -> Float64:
    """float64[item, node]: what a unit will fetch that must be cleared, NaN where nobody said."""
    place = _Place.of(scope)
    value = np.full((len(scope.skus), len(scope.nodes)), np.nan)
    for item_id, node_id, minor in conn.execute(SQL["clearing"], place.ids | {"today": today}):
        value[place.item[item_id], place.node[node_id]] = minor
    return value


@dataclass(frozen=True, slots=True)
class _Place:
    """Rows by id, and the ids to ask for."""

    item: dict[int, int]
    node: dict[int, int]
    ids: dict[str, Sequence[int] | date | datetime | int]

    @classmethod
    def of(cls, scope: Scope) -> "_Place":
        items, nodes = scope.item_id.tolist(), scope.node_id.tolist()
        return cls(
            {item_id: n for n, item_id in enumerate(items)},
            {node_id: n for n, node_id in enumerate(nodes)},
            {"items": items, "nodes": nodes},
        )
