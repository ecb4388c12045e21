"""The SQL of a node's work list."""

from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db.queries import queries
from onhand.orders.public import Row, fulfilment_row
from onhand.orders.store import load_order, load_orders
from onhand.orders.views import one_moment

SQL = queries(__file__)

Place = tuple[datetime, str, int]
"""(ship_by, order_id, number): where a page of the work list ends"""

_OPEN = ("allocated", "accepted", "packed", "partly_shipped")


def list_fulfilments(
    conn: Connection[TupleRow], *, node_id: int | None, status: str | None, after: Place | None, limit: int
) -> list[tuple[Place, Row]]:
    """Fulfilments soonest first, at most `limit` after the place `after`; without a status those that are open."""
    ship_by, order_id, number = after or (None, None, None)
    with one_moment(conn):
        places = [
            (ship_by, order_id, number)
            for order_id, number, ship_by in conn.execute(
                SQL["work_list" if status is None or status in _OPEN else "ended_list"],
                {
                    "node_id": node_id,
                    "status": status,
                    "ship_by": ship_by,
                    "order_id": order_id,
                    "number": number,
                    "limit": limit,
                },
            )
        ]
        orders = {o.order_id: o for o in load_orders(conn, [order_id for _, order_id, _ in places])}
    rows: list[tuple[Place, Row]] = []
    for place in places:
        order = orders[place[1]]
        fulfilment = order.fulfilment(place[2])
        assert fulfilment is not None, "read in the same snapshot"
        rows.append((place, fulfilment_row(order, fulfilment)))
    return rows


def get_fulfilment(conn: Connection[TupleRow], order_id: str, number: int) -> Row | None:
    """One fulfilment, with what its order is about."""
    with one_moment(conn):
        order = load_order(conn, order_id)
    fulfilment = None if order is None else order.fulfilment(number)
    if order is None or fulfilment is None:
        return None
    return fulfilment_row(order, fulfilment) | {"order": {"status": order.status, "queue": order.queue}}
