"""Safety stocks of nodes that supply one another, placed together, item by item."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from onhand.flows.demand.outlook import Outlook
from onhand.flows.plans.read import Stock, Terms, Ways
from onhand.flows.plans.request import Request, Scope
from onhand.planning.across import (
    DAYS_MAX,
    OUTSIDE,
    REVIEW_DAYS,
    Across,
    Tree,
    own_days,
    place_forecast,
    quickest_sources,
    trees_of,
)
from onhand.planning.protection import Expected
from onhand.planning.safety_stock import Targets, service_of_costs
from onhand.planning.wording import placed_across, placed_alone

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

Alone = Literal["no_lanes", "no_unit_cost", "no_price_or_stockout_cost", "too_long"]
"""Why an item is planned node by node after all."""

_YEAR: Final = 365.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Arrays[m], a row an item at a node, as those of nodes by themselves.

    item, node  rows of the scope
    demand      int32[m, P], each row sorted
    stockout    cost of a unit that is missing; carrying: of one that is left until the next chance to order
    notes       what is to be said of each
    alone       by row of the item, where nodes are planned one by one after all
    """

    item: Int64
    node: Int64
    demand: Int32
    targets: Targets
    stockout: Float64
    carrying: Float64
    notes: list[str]
    alone: dict[int, Alone]

    def facts(self) -> dict[str, object]:
        return {"items": len({*self.item.tolist()}), "alone": dict(Counter(self.alone.values()))}


@dataclass(frozen=True, slots=True)
class _Costs:
    """float64[n] of the nodes of a tree, and the days between two chances to order."""

    unit: Float64
    stockout: Float64
    holding: Float64
    review_days: Int64


def place_items(
    scope: Scope, stock: Stock, outlook: Outlook, supply: Mapping[tuple[int, int], Terms], ways: Ways,
    request: Request, today: date, *, paths: int,
) -> Placed:  # fmt: skip
    """Each item's nodes: those with terms are fed from outside, the others by lanes."""
    terms: list[dict[int, Terms]] = [{} for _ in scope.skus]
    for (item, node), told in supply.items():
        terms[item][node] = told
    is_wanted = outlook.mean.any(axis=2) | stock.has
    item_of: list[Int64] = []
    node_of: list[Int64] = []
    found: list[Across] = []
    costs_of: list[_Costs] = []
    notes: list[str] = []
    alone: dict[int, Alone] = {}
    for item in range(len(scope.skus)):
        keeps = is_wanted[item].copy()
        keeps[[node for node, told in terms[item].items() if told.is_own]] = True
        is_fed = np.zeros(len(scope.nodes), np.bool_)
        is_fed[list(terms[item])] = True
        is_fed &= keeps
        if not is_fed.any():
            continue
        moving = ways.lanes.unit_minor + np.nan_to_num(scope.weight_kg[item]) * ways.lanes.kg_minor
        source = quickest_sources(is_fed, keeps, is_fed | stock.has[item], ways.days, moving)
        trees = trees_of(source)
        if not trees:
            alone[item] = "no_lanes"
        for nodes in trees:
            at = {node: row for row, node in enumerate(nodes.tolist())}
            rows = np.array([at.get(int(s), OUTSIDE) for s in source[nodes]], np.int64)
            costs = _costs(scope, item, nodes, rows, terms[item], moving, request, today)
            told = request.service_level is not None or request.fill_rate is not None
            if not (costs.unit > 0).all():
                alone[item] = "no_unit_cost"
                continue
            if np.isnan(costs.stockout).any() and not told:
                alone[item] = "no_price_or_stockout_cost"
                continue
            tree = _tree(rows, nodes, terms[item], ways, costs, request)
            if tree.longest() > DAYS_MAX:
                alone[item] = "too_long"
                continue
            expected = Expected(levels=outlook.levels, quantiles=outlook.quantiles[item, nodes])
            across = place_forecast(
                tree, expected, fill_rate=request.fill_rate, paths=paths, seed=request.seed + item
            )  # fmt: skip
            item_of.append(np.full(len(nodes), item))
            node_of.append(nodes)
            found.append(across)
            costs_of.append(costs)
            serves = outlook.mean[item, nodes].any(axis=1)
            notes += _notes(scope, nodes, tree, across, serves)
    return Placed(
        item=_ints(item_of),
        node=_ints(node_of),
        demand=np.concatenate([np.zeros((0, paths), np.int32), *(a.demand for a in found)]),
        targets=joined_targets([a.targets for a in found]),
        stockout=np.nan_to_num(_floats([c.stockout for c in costs_of])),
        carrying=_floats([c.holding * c.review_days for c in costs_of]),
        notes=notes,
        alone=alone,
    )


def joined_targets(parts: list[Targets]) -> Targets:
    """One after the other."""
    return Targets(
        order_up_to=_ints([p.order_up_to for p in parts]),
        safety_stock=_floats([p.safety_stock for p in parts]),
        mean=_floats([p.mean for p in parts]),
        service=_floats([p.service for p in parts]),
        short=_floats([p.short for p in parts]),
    )


def note_alone(reason: Alone) -> str:
    """What is said of a proposal where an item is planned node by node after all."""
    return placed_alone(
        {
            "no_lanes": "no lane leads from here to a node without supply of its own",
            "no_unit_cost": "what a unit costs is not known everywhere",
            "no_price_or_stockout_cost": "neither a price nor the cost of a stock-out is known everywhere",
            "too_long": f"it takes more than {DAYS_MAX} days until every node is replenished",
        }[reason]
    )


def _ints(parts: list[Int64]) -> Int64:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _floats(parts: list[Float64]) -> Float64:
    return np.concatenate([np.zeros(0), *parts])


def _costs(
    scope: Scope, item: int, nodes: Int64, rows: Int64, terms: Mapping[int, Terms], moving: Float64, request: Request,
    today: date,
) -> _Costs:  # fmt: skip
    unit, stockout, rate = (np.full(len(nodes), np.nan) for _ in range(3))
    review = np.full(len(nodes), REVIEW_DAYS, np.int64)
    root = int(np.flatnonzero(rows == OUTSIDE)[0])
    bought = terms[int(nodes[root])]
    unit[root] = scope.unit_cost[item] if bought.unit_cost_minor is None else bought.unit_cost_minor
    rate[:] = request.carrying_rate
    rate[root] = bought.carrying_rate or request.carrying_rate
    review[root] = bought.review_from(today)
    # What a unit costs where it is moved to: what it cost before, and the way.
    for row in range(len(nodes)):
        above, way = row, 0.0
        while above != root:
            way += float(moving[nodes[rows[above]], nodes[above]])
            above = int(rows[above])
        unit[row] = unit[root] + way
    stockout[:] = np.maximum(scope.price[item] - unit, 0.0)
    if bought.stockout_minor is not None:
        stockout[root] = bought.stockout_minor
    return _Costs(unit, stockout, unit * rate / _YEAR, review)


def _tree(
    rows: Int64, nodes: Int64, terms: Mapping[int, Terms], ways: Ways, costs: _Costs, request: Request
) -> Tree:  # fmt: skip
    root = int(np.flatnonzero(rows == OUTSIDE)[0])
    lane_days = np.where(rows == OUTSIDE, 0, ways.days[nodes[rows], nodes])
    if request.service_level is not None:
        service = np.full(len(nodes), request.service_level)
    else:
        service = service_of_costs(np.nan_to_num(costs.stockout), costs.holding * costs.review_days)
    share = float(service.max()) if request.fill_rate is None else request.fill_rate
    days = own_days(rows, lane_days, terms[int(nodes[root])].lead_days, int(costs.review_days[root]), share)
    return Tree(source=rows, days=days, holding=costs.holding, service=service)


def _notes(scope: Scope, nodes: Int64, tree: Tree, across: Across, serves: npt.NDArray[np.bool_]) -> list[str]:
    feeds = {source for source, _ in tree.links}
    return [
        placed_across(
            None if tree.source[row] == OUTSIDE else scope.nodes[int(nodes[tree.source[row]])],
            inbound_days=int(across.inbound_days[row]),
            days=int(tree.days[row]),
            quoted_days=int(across.quoted_days[row]) if row in feeds else None,
            has_customers=bool(serves[row]),
        )
        for row in range(len(nodes))
    ]
