"""Explain a kept decision."""

from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.catalog.catalogue import Catalogue
from onhand.db import Database
from onhand.errors import NotFound
from onhand.flows.in_force import read_node_facts, version_of
from onhand.flows.sourcer import emails
from onhand.flows.wanted import facts_of_order
from onhand.orders.store import load_order, numbered_id
from onhand.sourcing.explain import Decided, Kept, explain
from onhand.sourcing.store import find_latest_plan, find_plan


def explain_plan(db: Database, plan_id: str) -> dict[str, Any]:
    """Candidates, costs, limits, runner-up and what would have changed it; see sourcing/explain.py. Raises NotFound."""
    order_id, number = numbered_id(plan_id, "p", "plan")
    with db.connection() as conn, conn.transaction():
        kept = find_plan(conn, order_id, number)
        if kept is None:
            raise NotFound("plan", plan_id)
        decided = decided_of(conn, kept, order_id)
    return explain(kept, decided)


def decided_of(conn: Connection[TupleRow], kept: Kept, order_id: str) -> Decided:
    """The version behind a plan, and what its rules say of the order and the nodes as they are now."""
    ruling = kept.ruling
    policy = version_of(conn, ruling.version).policy
    order = load_order(conn, order_id)
    if ruling.rule < 0 or order is None:
        return Decided(policy=policy)
    catalogue = Catalogue()
    catalogue.load(conn, [*order.skus.values()])
    email = emails(conn, [order]).get(order.customer_id or "")
    facts = facts_of_order(order, catalogue, email)
    rule = policy.rules[ruling.rule]
    nodes = read_node_facts(conn)
    refused = {node["code"] for _, node in nodes if not rule.reads_distance and not policy.admits(rule, node, facts)}
    first = [r.name for r in policy.attempts(facts) if r.number < ruling.rule]
    return Decided(policy=policy, passed=tuple(first), refused=frozenset(refused))


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
