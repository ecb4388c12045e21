"""Explain a kept decision."""

from typing import Any
from uuid import UUID

from onhand.db import Database
from onhand.errors import NotFound
from onhand.orders.store import numbered_id
from onhand.sourcing.explain import explain
from onhand.sourcing.store import find_latest_plan, find_plan


def explain_plan(db: Database, plan_id: str) -> dict[str, Any]:
    """Candidates, costs, limits, runner-up and what would have changed it; see sourcing/explain.py. Raises NotFound."""
    order_id, number = numbered_id(plan_id, "p", "plan")
    with db.connection() as conn:
        kept = find_plan(conn, order_id, number)
    if kept is None:
        raise NotFound("plan", plan_id)
    return explain(kept)


def latest_plan(db: Database, name: str) -> str:
    """The id of the latest plan of an order, named by its id or CHANNEL/EXTERNAL_ID; an id of a plan is itself. Raises
    NotFound."""
    channel, slash, external_id = name.partition("/")
    with db.connection() as conn:
        found = find_latest_plan(conn, None if slash else _uuid(name), channel, external_id)
    if found is not None:
        return "{}-p{}".format(*found)
    if not slash and "-p" in name:
        return name
    raise NotFound("order", name)


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
