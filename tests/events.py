"""Events as tests read them: all workers share one server, and whoever has a transaction open hides what is newer."""

import time

from psycopg import Connection

from onhand.db import outbox
from onhand.db.outbox import START, Cursor, Event

# Others hold the horizon for as long as one of their transactions takes, such as the copy of a database.
_PATIENCE_S = 60


def settle(conn: Connection, after: Cursor = START) -> None:
    """Wait until no committed event `after` is hidden. `conn` must have no writing transaction of its own open."""
    give_up_at = time.monotonic() + _PATIENCE_S
    while outbox.has_hidden(conn, after):
        assert time.monotonic() < give_up_at, f"events after {after} stay hidden"


def settled(conn: Connection, after: Cursor = START, limit: int = 1000) -> list[Event]:
    """Events `after`, once none is hidden."""
    settle(conn, after)
    return outbox.read(conn, after, limit)
