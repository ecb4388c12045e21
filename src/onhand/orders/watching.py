"""How orders stand as a whole: what waits and is late, how many come, and which ways they go. Cheap whatever there is:
queues and work are counted from an index alone, and ways are those of the newest orders.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.orders.states import QUEUES
from onhand.orders.store import SQL

ORDERS_MAX: Final = 5_000
WAYS_MAX: Final = 500
MINUTES: Final = 60


def queue_depths(conn: Connection[TupleRow], *, now: datetime, within: timedelta) -> dict[str, Any]:
    """Each queue, the one that needs a person most first, with what is past due of it; and what nodes are to ship.

    within  how long an order without a promise may wait
    """
    times = {"now": now, "waited": now - within}
    with conn.cursor(row_factory=dict_row) as cursor:
        found = {row.pop("queue"): row for row in cursor.execute(SQL["queue_depths"], times).fetchall()}
        work = cursor.execute(SQL["work_in_hand"], times).fetchone()
    none = {"orders": 0, "oldest_at": None, "broken": 0, "overstayed": 0, "next_due_at": None}
    rows: list[dict[str, Any]] = []
    for name in QUEUES:
        row = found.get(name, none)
        broken, overstayed = row["broken"], row["overstayed"]
        rows.append(
            {
                "queue": name,
                "orders": row["orders"],
                "oldest_at": row["oldest_at"],
                "past_due": broken + overstayed,
                "promise_broken": broken,
                "next_due_at": row["next_due_at"],
            }
        )
    return {"as_of": now, "within_s": int(within.total_seconds()), "queues": rows, "to_ship": work}


def orders_by_minute(conn: Connection[TupleRow], *, now: datetime) -> list[int]:
    """Orders that came in each of the last 60 times 60 seconds, the oldest first."""
    edges = [id_at(now - timedelta(minutes=back)) for back in range(MINUTES, -1, -1)]
    values = {"lows": edges[:-1], "highs": edges[1:]}
    return [count for (count,) in conn.execute(SQL["orders_between"], values)]


def ways(
    conn: Connection[TupleRow], *, since: datetime, orders_max: int = ORDERS_MAX
) -> tuple[list[dict[str, Any]], datetime]:
    """(node, country, region) with how many orders and units went there, most orders first; and since when: of more
    than `orders_max` orders only the newest are looked at."""
    values: dict[str, Any] = {"since": id_at(since), "orders": orders_max, "limit": WAYS_MAX}
    row = conn.execute(SQL["oldest_of_newest"], values).fetchone()
    if row is not None:
        values["since"] = row[0]
        since = time_of(row[0])
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(SQL["flows"], values).fetchall(), since


def id_at(moment: datetime) -> str:
    """The lowest id of an order that came at that time (base/ids.py)."""
    return str(UUID(int=int(moment.timestamp() * 1000) << 80))


def time_of(order_id: str) -> datetime:
    """When an order came, by its id."""
    return datetime.fromtimestamp((UUID(order_id).int >> 80) / 1000, tz=UTC)
