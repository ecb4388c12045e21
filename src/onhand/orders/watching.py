"""How orders stand as a whole: what waits and is late, how many come, and which ways they go. Cheap whatever there is:
queues and work are counted from an index alone, what came is counted once, and ways are those of the newest orders.
"""

import threading
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
# Longer than any transaction that places orders may last.
_SETTLED_S: Final = 60


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


class Coming:
    """Orders that came in each of the last 60 minutes. A second that ended a minute ago is counted once, and kept: by
    then an order with an id of that time is committed or never will be. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[int, int] = {}  # second since the epoch -> orders of it
        self._to = 0  # seconds before this one are counted for good

    def by_minute(self, conn: Connection[TupleRow], *, now: datetime) -> list[int]:
        """Of each of the last 60 times 60 seconds, the oldest first; `now` lies in the last second."""
        last = int(now.timestamp())
        first = last - 60 * MINUTES + 1
        with self._lock:
            # A clock that was put back may ask for what is not kept any more.
            begin = max(first, self._to) if self._to <= last - _SETTLED_S else first
            edges = [id_at(datetime.fromtimestamp(second, tz=UTC)) for second in range(begin, last + 2)]
            found = conn.execute(SQL["orders_between"], {"lows": edges[:-1], "highs": edges[1:]}).fetchall()
            counted = {second: count for second, count in self._counted.items() if first <= second < begin}
            counted |= {begin + n: count for n, (count,) in enumerate(found)}
            self._counted, self._to = counted, last - _SETTLED_S
        return [sum(counted.get(second, 0) for second in range(at, at + 60)) for at in range(first, last + 1, 60)]


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
