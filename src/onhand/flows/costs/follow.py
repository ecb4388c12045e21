"""Keep what orders cost as they are: read what changed from the outbox, book the difference.

Derived data, so it may lag: nobody who places an order waits for it. Who reads a report may have it caught up first.
"""

from collections.abc import Callable
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.costs import store
from onhand.db import Database, queries
from onhand.db.outbox import START, Cursor, advance_cursor, get_cursor

SQL = queries(__file__)

CONSUMER: Final = "costs"
# A row of events may stand for hundreds of orders, each of some ten entries.
_EVENTS: Final = 200


def follow_costs(db: Database, *, batches_max: int | None = None, go_on: Callable[[], bool] = lambda: True) -> int:
    """Take over what orders have become since the last time; how many orders were looked at.

    batches_max  stop after so many transactions; None: when nothing is left
    go_on        asked between transactions

    Safe with several workers: while one does it, the others answer 0.
    """
    orders = batches = 0
    while go_on() and (batches_max is None or batches < batches_max):
        done = db.transact(_follow_next)
        if done is None:
            break
        orders, batches = orders + done, batches + 1
    return orders


def _follow_next(conn: Connection[TupleRow]) -> int | None:
    """One transaction of it: the orders it looked at; None when there was nothing to do."""
    (got,) = conn.execute(SQL["lock_follow"]).fetchone() or (False,)
    if not got:
        return None
    cursor = get_cursor(conn, CONSUMER) or START
    row = conn.execute(SQL["next_changes"], {"xid": cursor.xid, "pos": cursor.pos, "limit": _EVENTS}).fetchone()
    assert row is not None, "an aggregate has a row"
    xid, pos, events, ids = row
    if not events:
        return None
    if ids:
        store.follow(conn, ids)
    advance_cursor(conn, CONSUMER, Cursor(xid, pos))
    return len(ids)
