"""Follow what happens to orders: whatever is kept beside them is brought up to date from the outbox, each event once.

What follows may lag: nobody who places an order waits for it. Whoever reads it may have it caught up first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database, queries
from onhand.db.outbox import START, Cursor, advance_cursor, get_cursor, head

SQL = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Who follows, and what is of interest.

    name     of its cursor and of its lock
    kinds    of events about single orders, as patterns of LIKE; those about many at once are always of interest
    ignores  changes that such events tell of and that mean nothing here
    events   looked at in one transaction; one may stand for hundreds of orders
    take     keeps what follows from these orders (perhaps none), in the transaction that moves the cursor
    begin    orders to be taken before any event is, and then only later ones are followed; None: all events are
    """

    name: str
    kinds: tuple[str, ...]
    take: Callable[[Connection[TupleRow], list[str]], None]
    events: int
    ignores: tuple[str, ...] = ()
    begin: Callable[[Connection[TupleRow]], list[str]] | None = None

    def follow(self, db: Database, *, batches_max: int | None = None, go_on: Callable[[], bool] = lambda: True) -> int:
        """Take over what orders have become since the last time; how many orders were looked at.

        batches_max  stop after so many transactions; None: when nothing is left
        go_on        asked between transactions

        Safe with several workers: while one does it, the others answer 0.
        """
        orders = batches = 0
        while go_on() and (batches_max is None or batches < batches_max):
            done = db.transact(self._next)
            if done is None:
                break
            orders, batches = orders + done, batches + 1
        return orders

    def _next(self, conn: Connection[TupleRow]) -> int | None:
        """One transaction of it: the orders it looked at; None when there was nothing to do."""
        (got,) = conn.execute(SQL["lock_follower"], {"name": f"onhand {self.name}"}).fetchone() or (False,)
        if not got:
            return None
        cursor = get_cursor(conn, self.name)
        if cursor is None and self.begin is not None:
            end = head(conn)
            ids = self.begin(conn)
        else:
            cursor = cursor or START
            asked = {
                "xid": cursor.xid, "pos": cursor.pos, "limit": self.events, "kinds": list(self.kinds),
                "ignores": list(self.ignores),
            }  # fmt: skip
            row = conn.execute(SQL["next_changes"], asked).fetchone()
            assert row is not None, "an aggregate has a row"
            xid, pos, events, ids = row
            if not events:
                return None
            end = Cursor(xid, pos)
        self.take(conn, ids)
        advance_cursor(conn, self.name, end)
        return len(ids)
