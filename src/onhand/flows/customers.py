"""Customers' rights over their data: find it, export it, erase it. The ledger, orders and decisions stay as they are,
without the person."""

from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.base.actor import Actor
from onhand.channels.inbound.erasing import Person
from onhand.channels.inbound.store import erase_person
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import NotFound
from onhand.fulfilment.tracking.store import forget_texts
from onhand.orders.intake import Destination, Wishes
from onhand.orders.store import SQL, lock_orders, order_uuid
from onhand.orders.views import get_order
from onhand.payments.store import forget_names
from onhand.sourcing.store import coarsen_inputs

Row = dict[str, Any]

# Of a postal code this much may stay: an area, not a street.
_POSTAL_DIGITS = 2


def find_customers(db: Database, email: str) -> list[Row]:
    """The customer with that e-mail address, in any case of letters; none or one."""
    with db.connection() as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(SQL["find_customers"], {"email": email}).fetchall()


def export_customer(db: Database, customer_id: str) -> Row:
    """All that is kept about a person: the person, and their orders with everything that happened to them. Raises
    NotFound."""
    customer_id = order_uuid(customer_id, "customer")
    name = {"id": customer_id}
    with db.connection() as conn:
        with conn.cursor(row_factory=dict_row) as cursor:
            person = cursor.execute(SQL["get_customer"], name).fetchone()
        if person is None:
            raise NotFound("customer", customer_id)
        order_ids = [order_id for (order_id,) in conn.execute(SQL["orders_of_customer"], name).fetchall()]
        orders = [order for order_id in order_ids if (order := get_order(conn, order_id)) is not None]
    return {"customer": person, "orders": orders}


def erase_customer(db: Database, customer_id: str, *, by: Actor) -> Row:
    """Erase a person: name, e-mail address, telephone and address; of the destinations of their orders the country, the
    region and two characters of the postal code stay. Of orders of channels that are not placed yet, too; from messages
    that are not worked on the person is taken out. What a payment provider calls them is forgotten as soon as all is
    paid. Repeating it is harmless. Raises NotFound.
    """
    customer_id = order_uuid(customer_id, "customer")
    name = {"id": customer_id}

    def work(conn: Connection[TupleRow]) -> tuple[datetime, int]:
        row = conn.execute(SQL["lock_customer"], name).fetchone()
        if row is None:
            raise NotFound("customer", customer_id)
        if row[0] is not None:
            return row[0], _coarsen(conn, customer_id)
        _forget_at_channels(conn, customer_id)
        forget_texts(conn, customer_id)
        erased = conn.execute(SQL["erase_customer"], name).fetchone()
        assert erased is not None, "the row is locked"
        forget_names(conn)
        count = _coarsen(conn, customer_id)
        write_event(
            conn,
            "customer.erased",
            customer_id,
            {"customer_id": customer_id, "orders": count},
            actor=by,
            origin=db.origin,
        )
        return erased[0], count

    db.transact(work)
    # Once more: an order that was just being placed knew the person still.
    erased_at, count = db.transact(work)
    db.notify()
    return {"customer_id": customer_id, "erased_at": erased_at, "orders": count}


def _forget_at_channels(conn: Connection[TupleRow], customer_id: str) -> None:
    """In what channels said of orders that are not placed yet. To be done while it is known who it is."""
    with conn.cursor(row_factory=dict_row) as cursor:
        kept = cursor.execute(SQL["get_customer"], {"id": customer_id}).fetchone()
    assert kept is not None, "the row is locked"
    address: dict[str, Any] = kept["address"] or {}
    person = Person(
        email=kept["email"] or "", phone=kept["phone"] or "", name=kept["name"] or "",
        address={part: str(text) for part, text in address.items() if text},
    )  # fmt: skip
    erase_person(conn, person)


def _coarsen(conn: Connection[TupleRow], customer_id: str) -> int:
    """Leave of the destinations of all orders of a customer only the area; how many orders there are."""
    ids = [order_id for (order_id,) in conn.execute(SQL["orders_of_customer"], {"id": customer_id}).fetchall()]
    orders = lock_orders(conn, ids)
    exact = [o for o in orders if _coarse(o.wishes) != o.wishes]
    if exact:
        conn.execute(
            SQL["update_requests"],
            {
                "ids": [o.order_id for o in exact],
                "requests": [msgspec.json.encode(_coarse(o.wishes)).decode() for o in exact],
            },
        )
    coarsen_inputs(conn, ids)
    return len(ids)


def _coarse(wishes: Wishes) -> Wishes:
    to = wishes.destination
    area = Destination(country=to.country, region=to.region, postal_code=to.postal_code[:_POSTAL_DIGITS])
    return msgspec.structs.replace(wishes, destination=area)
