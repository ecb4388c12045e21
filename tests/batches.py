"""Events of orders that begin together, written without the flows: for tests of those who read them."""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.types.json import Jsonb

from onhand.base.ids import new_id


def begin_orders(
    conn: Connection, names: Sequence[str], *, status: str = "sourced", actor: int = 0, reason: str | None = None
) -> list[str]:
    """One order of channel `web` per name, in the caller's transaction, and one row that tells of all; their ids."""
    ids = [new_id() for _ in names]
    conn.execute(
        "INSERT INTO channel (channel_id, code, name, currency) VALUES (1, 'web', 'web', 'EUR') ON CONFLICT DO NOTHING"
    )
    conn.execute(
        "INSERT INTO orders (order_id, channel_id, external_id, body_hash, status, currency, placed_at, request, lines,"
        " actor)"
        # All cancelled again: an order is whole, and its units are nowhere.
        """ SELECT id, 1, name, '', %s, 'EUR', now(), '{}', '[["1",1,1,0,null,1]]', %s"""
        " FROM unnest(%s::uuid[], %s::text[]) AS o (id, name)",
        (status, actor, ids, list(names)),
    )
    conn.execute(
        "INSERT INTO plan_sheet (network_id, policy, confidence, orders, decisions, inputs)"
        " SELECT 1, 'x', 0.95, ids, array_fill('{}'::text, ARRAY[cardinality(ids)]),"
        " array_fill(''::bytea, ARRAY[cardinality(ids)]) FROM (SELECT %s::uuid[] AS ids)",
        (ids,),
    )
    conn.execute(
        "INSERT INTO event (kind, actor, origin, reason, data, orders) VALUES (%s, %s, 1, %s, %s, %s::uuid[])",
        (f"order.{status}", actor, reason, Jsonb({"status": status, "queue": None}), ids[::-1]),
    )
    return ids


def told(order_id: str, name: str, status: str = "sourced") -> dict:
    """What the event of such an order says."""
    return {"order_id": order_id, "channel": "web", "external_id": name, "status": status, "queue": None}
