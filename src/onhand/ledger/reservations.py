"""Holds for carts and quotes. They are made on the hot path (flows/reserve.py) and end here.

A reservation ends once: used by an order, released, or expired. Whoever ends it has locked its row
first, so of an order, an extension, a release and the sweep exactly one wins.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.db.outbox import write_event
from onhand.db.queries import queries
from onhand.ledger.model import Entry
from onhand.ledger.store import Key, apply_entries

SQL = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationLine:
    """Units held at a node; of a bundle, the units of one component."""

    line_no: int
    item_id: int
    node_id: int
    sku: str
    node: str
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A hold as last committed. status: active, used (then with the order), released, expired."""

    reservation_id: UUID
    channel: str
    status: str
    expires_at: datetime
    created_at: datetime
    order_id: UUID | None
    lines: list[ReservationLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep ended, and the positions (item_id, node_id) that gained units, sorted."""

    reservation_ids: list[UUID]
    positions: list[Key]


def find_reservation(conn: Connection[TupleRow], reservation_id: UUID) -> Reservation | None:
    """The reservation with that id, with its lines."""
    where = {"reservation_id": reservation_id}
    row = conn.execute(SQL["find_reservation"], where).fetchone()
    if row is None:
        return None
    return Reservation(
        reservation_id=row[0],
        channel=row[1],
        status=row[2],
        expires_at=row[3],
        created_at=row[4],
        order_id=row[5],
        lines=_lines(conn, reservation_id),
    )


def lock_reservation(conn: Connection[TupleRow], reservation_id: UUID) -> str | None:
    """The status of a reservation, locked until the transaction ends; None if there is none."""
    row = conn.execute(SQL["lock_reservation"], {"reservation_id": reservation_id}).fetchone()
    return None if row is None else row[0]


def end_reservation(
    conn: Connection[TupleRow], reservation_id: UUID, status: str, *, actor: Actor, origin: int
) -> list[Key]:
    """Give the units of a locked, active reservation back and set its status: `released` or `used`.

    The positions that changed, sorted. Writes `stock.changed` and `reservation.<status>`.
    """
    entries = [
        Entry(line.item_id, line.node_id, "release", line.quantity, ref=reservation_id)
        for line in _lines(conn, reservation_id)
    ]
    for result in apply_entries(conn, entries, actor=actor, origin=origin):
        assert result.status == "applied", f"a reserved unit is allocated: {result.message}"
    conn.execute(SQL["end_reservation"], {"reservation_id": reservation_id, "status": status})
    write_event(
        conn,
        f"reservation.{status}",
        str(reservation_id),
        {"reservation_id": str(reservation_id)},
        actor=actor,
        origin=origin,
    )
    return sorted({(e.item_id, e.node_id) for e in entries})


def extend_reservation(
    conn: Connection[TupleRow], reservation_id: UUID, ttl_s: int, *, now: datetime | None = None
) -> bool:
    """Make an active reservation last at least `ttl_s` from `now` (None: the database's clock).

    False if it has ended or its time is over.
    """
    values = {"reservation_id": reservation_id, "ttl_s": ttl_s, "now": now}
    return conn.execute(SQL["extend_reservation"], values).rowcount == 1


def expire_reservations(conn: Connection[TupleRow], *, most: int, origin: int, now: datetime | None = None) -> Swept:
    """End up to `most` reservations whose time is over at `now` (None: the database's clock).

    Those that somebody has locked are left for the next sweep.
    """
    with conn.cursor(binary=True) as cursor:
        row = cursor.execute(SQL["expire_reservations"], {"now": now, "most": most, "origin": origin}).fetchone()
    assert row is not None, "a function returns a row"
    ids, items, nodes = row
    return Swept(reservation_ids=ids, positions=list(zip(items, nodes, strict=True)))


def _lines(conn: Connection[TupleRow], reservation_id: UUID) -> list[ReservationLine]:
    rows = conn.execute(SQL["reservation_lines"], {"reservation_id": reservation_id})
    return [
        ReservationLine(
            line_no=row[0],
            item_id=row[1],
            node_id=row[2],
            sku=row[3],
            node=row[4],
            quantity=row[5],
        )
        for row in rows
    ]
