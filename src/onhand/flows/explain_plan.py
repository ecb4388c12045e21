"""Explain a kept decision."""

from typing import Any

from onhand.db import Database
from onhand.errors import NotFound
from onhand.orders.store import numbered_id
from onhand.sourcing.explain import explain
from onhand.sourcing.store import find_plan


def explain_plan(db: Database, plan_id: str) -> dict[str, Any]:
    """Candidates, costs, limits, runner-up and what would have changed it; see sourcing/explain.py. Raises NotFound."""
    order_id, number = numbered_id(plan_id, "p", "plan")
    with db.connection() as conn:
        kept = find_plan(conn, order_id, number)
    if kept is None:
        raise NotFound("plan", plan_id)
    return explain(kept)
