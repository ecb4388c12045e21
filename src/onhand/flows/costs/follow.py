"""Keep what orders cost as they are: read what changed from the outbox, book the difference."""

from collections.abc import Callable
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.costs import store
from onhand.db import Database
from onhand.flows.follow_orders import Follower


def _take(conn: Connection[TupleRow], ids: list[str]) -> None:
    if ids:
        store.follow(conn, ids)


# A row of events may stand for hundreds of orders, each of some ten entries.
FOLLOWER: Final = Follower(
    name="costs",
    kinds=("order.%", "fulfilment.%", "shipment.%", "return.received", "costs.charged"),
    take=_take,
    events=200,
)


def follow_costs(db: Database, *, batches_max: int | None = None, go_on: Callable[[], bool] = lambda: True) -> int:
    """Take over what orders have become since the last time; see `Follower.follow`."""
    return FOLLOWER.follow(db, batches_max=batches_max, go_on=go_on)
