"""Keep lines of demand as orders are: read what changed from the outbox, write those lines anew.

Derived data, so it may lag: nobody who places an order waits for it. Whoever reads history may have it caught up first.
"""

from collections.abc import Callable
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database, queries
from onhand.db.outbox import START, Cursor, advance_cursor, get_cursor
from onhand.demand import store

SQL = queries(__file__)

CONSUMER: Final = "demand"
# A row of events may stand for hundreds of orders.
_EVENTS: Final = 500


def fold(db: Database, *, batches_max: int | None = None, go_on: Callable[[], bool] = lambda: True) -> int:
    """Take over what orders have become since the last time; how many orders were looked at.

    batches_max  stop after so many transactions; None: when nothing is left
    go_on        asked between transactions

    Safe with several workers: while one does it, the others answer 0.
    """
    orders = batches = 0
    while go_on() and (batches_max is None or batches < batches_max):
        done = db.transact(_fold_next)
        if done is None:
            break
        orders, batches = orders + done, batches + 1
    return orders


def _fold_next(conn: Connection[TupleRow]) -> int | None:
    """One transaction of it: the orders it looked at; None when there was nothing to do."""
    (got,) = conn.execute(SQL["lock_fold"]).fetchone() or (False,)
    if not got:
        return None
    cursor = get_cursor(conn, CONSUMER) or START
    place = {"xid": cursor.xid, "pos": cursor.pos, "limit": _EVENTS}
    row = conn.execute(SQL["next_changes"], place).fetchone()
    assert row is not None, "an aggregate has a row"
    xid, pos, events, ids = row
    if not events:
        return None
    # Of new nodes events tell too, and their counters may sell before any order comes.
    store.add_places(conn, [region for (region,) in conn.execute(SQL["regions_of_orders"], {"ids": ids})])
    if ids:
        conn.execute(SQL["fold_orders"], {"ids": ids})
    advance_cursor(conn, CONSUMER, Cursor(xid, pos))
    return len(ids)
