"""Keep lines of demand as orders are: read what changed from the outbox, write those lines anew."""

from collections.abc import Callable
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database, queries
from onhand.demand import store
from onhand.flows.follow_orders import Follower

SQL = queries(__file__)


def _take(conn: Connection[TupleRow], ids: list[str]) -> None:
    # Of new nodes events tell too, and their counters may sell before any order comes.
    store.add_places(conn, [region for (region,) in conn.execute(SQL["regions_of_orders"], {"ids": ids})])
    if ids:
        conn.execute(SQL["fold_orders"], {"ids": ids})


# Events of an order that was placed have no `change`; what nodes do with it changes none of its lines. A row of events
# may stand for hundreds of orders.
FOLLOWER: Final = Follower(
    name="demand",
    kinds=("order.%", "return.received"),
    ignores=("accept", "pack", "ship", "deliver"),
    take=_take,
    events=500,
)


def fold(db: Database, *, batches_max: int | None = None, go_on: Callable[[], bool] = lambda: True) -> int:
    """Take over what orders have become since the last time; see `Follower.follow`."""
    return FOLLOWER.follow(db, batches_max=batches_max, go_on=go_on)
