"""How the chance to serve all demand of an item at a node rises with what is kept for it: the planner's own sums."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.errors import Conflict, InvalidInput
from onhand.flows.plans.request import Request
from onhand.flows.plans.rows import buying_rows
from onhand.flows.plans.run import asked_of_rows, read_world, service_of_rows
from onhand.planning.safety_stock import Targets, described, for_service

_POINTS: Final = 60
# Of costs nobody told: the curve itself does not look at them.
_ANY: Final = 0.95


def service_curve(conn: Connection[TupleRow], sku: str, node: str, now: datetime) -> dict[str, Any]:
    """Stock against service over lead and review time, at up to some sixty levels, from what demand a safety stock is
    planned for: the same forecast, lead times and draws.

    Says where stock is now (on hand and on its way), where the safety stock that is kept now leads to, and, where costs
    are known, what a plan would choose. Raises InvalidInput for what is not planned, Conflict
    `service_curve.no_supply`, `service_curve.no_unit_cost`.
    """
    request = Request(plan="safety_stock", items=(sku,), nodes=(node,))
    try:
        world = read_world(conn, request, now)
    except InvalidInput as error:
        # It names the fields of a plan.
        named = {"items[0]": "sku", "nodes[0]": "node"}
        raise InvalidInput([replace(e, path=named.get(e.path, e.path)) for e in error.errors]) from None
    today = now.date()
    told = replace(request, service_level=_ANY)
    rows = buying_rows(world.scope, world.stock, world.outlook, world.supply, told, today)
    if not len(rows.item):
        if rows.left_out.get("no_unit_cost"):
            raise Conflict(
                "service_curve.no_unit_cost", f"nobody said what a unit of {sku!r} costs: set unit_cost_minor"
            )
        raise Conflict(
            "service_curve.no_supply", f"nobody supplies {sku!r} to {node!r}: say how, by POST /v1/supply/batch"
        )
    demand = asked_of_rows(rows, world.outlook, np.arange(1), request.seed)
    mean = float(demand.mean())
    at = int(rows.item[0]), int(rows.node[0])
    kept = int(world.stock.safety[at])
    position = int(world.stock.available[at] - world.stock.oversold[at] + world.coming[at])
    levels = np.unique(np.linspace(0, max(int(demand.max()), 1), _POINTS).round().astype(np.int64))
    priced = buying_rows(world.scope, world.stock, world.outlook, world.supply, request, today)
    best = None
    if len(priced.item) and priced.stockout[0] > 0:
        service, _ = service_of_rows(priced, world, request, today)
        best = _point(for_service(demand, service), mean)
    lead = rows.lead_days[0]
    return {
        "sku": sku, "node": node,
        "basis": {
            "forecast": world.outlook.basis.forecast, "origin": world.outlook.basis.origin.isoformat(),
            "horizon_days": int(world.outlook.quantiles.shape[2]),
        },
        "supplier": rows.terms[0].supplier,
        "lead_days": {"p50": float(np.quantile(lead, 0.5)), "p95": float(np.quantile(lead, 0.95))},
        "review_days": int(rows.review_days[0]), "mean_units": round(mean, 2),
        "points": [_point(described(demand, np.array([level])), mean) for level in levels.tolist()],
        "present": _point(described(demand, np.array([position])), mean) | {"units": position},
        "kept": _point(described(demand, np.array([round(mean + kept)])), mean) | {"safety_stock": kept},
        "best": best,
    }  # fmt: skip


def _point(of: Targets, mean: float) -> dict[str, Any]:
    short = float(of.short[0])
    return {
        "units": int(of.order_up_to[0]), "safety_stock": round(float(of.safety_stock[0])),
        "service": round(float(of.service[0]), 4), "fill_rate": round(1 - short / mean, 4) if mean > 0 else 1.0,
        "short_units": round(short, 2),
    }  # fmt: skip
