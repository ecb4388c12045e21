"""End a reservation before its time, or give it more."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import Conflict, NotFound
from onhand.flows.transactor import Transactor
from onhand.ledger import reservations
from onhand.ledger.reservations import Reservation
from onhand.ledger.store import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The reservation, and the positions (item_id, node_id) that gained units, sorted."""

    reservation: Reservation
    positions: list[Key]


def release_reservation(
    db: Database, reservation_id: UUID, by: Actor, *, transact: Transactor | None = None
) -> Released:
    """Give the units of a reservation back. One that has ended without an order stays as it is.

    Raises NotFound, and Conflict `reservation.used` if an order has taken the units.
    """

    def work(conn: Connection[TupleRow]) -> Released:
        status = reservations.lock_reservation(conn, reservation_id)
        positions: list[Key] = []
        if status == "active":
            positions = reservations.end_reservation(conn, reservation_id, "released", actor=by, origin=db.origin)
        found = reservations.find_reservation(conn, reservation_id)
        if found is None:
            raise NotFound("reservation", str(reservation_id))
        if found.status == "used":
            raise _ended(found)
        return Released(reservation=found, positions=positions)

    released = (transact or db.transact)(work)
    if released.positions:
        db.notify()
    return released


def extend_reservation(
    db: Database,
    reservation_id: UUID,
    ttl_s: int,
    by: Actor,
    *,
    now: datetime | None = None,
    transact: Transactor | None = None,
) -> Reservation:
    """Make a reservation last at least `ttl_s` seconds from `now` (None: the database's clock).

    Raises NotFound, and Conflict `reservation.expired`, `.released` or `.used`: also when its time
    is over and the sweep has not come yet.
    """

    def work(conn: Connection[TupleRow]) -> Reservation:
        is_extended = reservations.extend_reservation(conn, reservation_id, ttl_s, now=now)
        found = reservations.find_reservation(conn, reservation_id)
        if found is None:
            raise NotFound("reservation", str(reservation_id))
        if not is_extended:
            raise _ended(found)
        data = {
            "reservation_id": str(reservation_id),
            "expires_at": found.expires_at.isoformat(),
        }
        write_event(conn, "reservation.extended", str(reservation_id), data, actor=by, origin=db.origin)
        return found

    extended = (transact or db.transact)(work)
    db.notify()
    return extended


def _ended(found: Reservation) -> Conflict:
    # Active, and yet it could not be extended: its time is over.
    status = "expired" if found.status == "active" else found.status
    facts = {} if found.order_id is None else {"order_id": str(found.order_id)}
    return Conflict(f"reservation.{status}", f"reservation {found.reservation_id} is {status}", **facts)
