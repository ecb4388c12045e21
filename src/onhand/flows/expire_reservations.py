"""Give back the units of reservations whose time is over."""

from datetime import datetime
from uuid import UUID

from onhand.db import Database
from onhand.ledger import reservations
from onhand.ledger.reservations import Swept

# Positions stay locked while a sweep writes: few hundred reservations take some milliseconds.
_SWEEP_MAX = 500


def expire_reservations(db: Database, *, now: datetime | None = None, most: int = _SWEEP_MAX) -> Swept:
    """Expire every reservation due at `now` (None: the database's clock), `most` per transaction.

    Any number of processes may do it at once: each takes what the others have not locked. Returns
    what this call ended; the caller tells its snapshot of the positions. Raises
    DatabaseUnavailable.
    """
    ids: list[UUID] = []
    positions: set[tuple[int, int]] = set()
    while True:
        swept = db.transact(lambda conn: reservations.expire_reservations(conn, most=most, origin=db.origin, now=now))
        ids += swept.reservation_ids
        positions.update(swept.positions)
        if len(swept.reservation_ids) < most:
            break
    if ids:
        db.notify()
    return Swept(reservation_ids=ids, positions=sorted(positions))
