"""Take in scans of parcels: each once, in any order, whether or not their shipment is known yet.

What follows from them, such as that an order is delivered, is done by the worker (settle.py): scans are never refused
for the state of an order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import ValidationError

from onhand.base.actor import Actor
from onhand.base.fields import reject_reasons
from onhand.base.results import RowError
from onhand.db import Database
from onhand.db.outbox import write_events
from onhand.errors import NotFound
from onhand.flows.transactor import Transactor
from onhand.fulfilment.tracking import store
from onhand.fulfilment.tracking.model import AHEAD_MAX, Scan, TrackingRow, scan_of
from onhand.fulfilment.tracking.store import Key, Known
from onhand.orders.store import numbered_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of one row. shipments: whose scan it is; of a scan that is kept for later there are none yet."""

    status: str
    shipments: list[str] = field(default_factory=list[str])
    errors: list[RowError] = field(default_factory=list[RowError])

    def public(self) -> dict[str, Any]:
        """JSON-ready."""
        row: dict[str, Any] = {"status": self.status, "shipments": self.shipments}
        return row | {"code": "input.invalid", "errors": self.errors} if self.status == "rejected" else row


def record_tracking(
    db: Database, rows: Sequence[object], *, source: str, now: datetime, by: Actor, transact: Transactor | None = None
) -> list[Told]:
    """Record scans; a refused row stops no other. Results in their order: created, unchanged (a repeat), rejected."""
    read = read_scans(rows, now)
    told = (transact or db.transact)(lambda conn: record_in(db, conn, read, source=source, by=by))
    db.notify()
    return told


def record_in(
    db: Database, conn: Connection[TupleRow], rows: Sequence[TrackingRow | Told], *, source: str, by: Actor
) -> list[Told]:
    """`record_tracking` of rows that were read, in the caller's transaction."""
    keys = [_key(row) for row in rows]
    trackings = {r.tracking for r in rows if isinstance(r, TrackingRow) and r.tracking is not None}
    known = store.lock_shipments(conn, trackings, sorted({key for key in keys if key is not None}))
    by_key = {shipment.key: shipment for shipment in known}
    by_number: dict[str, list[Known]] = {}
    for shipment in known:
        if shipment.tracking is not None:
            by_number.setdefault(shipment.tracking, []).append(shipment)
    results: dict[int, Told] = {}
    scans: list[Scan] = []
    of_row: list[int] = []
    for number, (row, key) in enumerate(zip(rows, keys, strict=True)):
        if isinstance(row, Told):
            results[number] = row
            continue
        if row.shipment_id is not None and (key is None or key not in by_key):
            results[number] = _rejected(("shipment_id", f"no shipment {row.shipment_id!r}"))
            continue
        found = _scans(row, None if key is None else by_key[key], by_number)
        results[number] = Told(status="unchanged", shipments=[_name(s) for s in found if s.order_id is not None])
        scans += found
        of_row += [number] * len(found)
    is_new = store.add_events(conn, scans, source=source, actor=by.key_id) if scans else []
    touched: dict[Key, Scan] = {}
    for scan, number, new in zip(scans, of_row, is_new, strict=True):
        if new:
            results[number] = Told(status="created", shipments=results[number].shipments)
            if scan.order_id is not None and scan.shipment_no is not None:
                touched[scan.order_id, scan.shipment_no] = scan
    if touched:
        store.follow_scans(conn, touched)
        write_events(
            conn,
            [
                ("shipment.scanned", f"{order_id}-s{shipment_no}",
                 {"order_id": order_id, "milestone": scan.milestone, "at": scan.at.isoformat()})
                for (order_id, shipment_no), scan in touched.items()
            ],
            actor=by, origin=db.origin,
        )  # fmt: skip
    return [results[number] for number in range(len(rows))]


def _scans(row: TrackingRow, shipment: Known | None, by_number: dict[str, list[Known]]) -> list[Scan]:
    """The scans that a row is: one for each shipment in the parcel, or one that waits for a shipment."""
    if shipment is not None:
        return [scan_of(row, shipment.key, (shipment.carrier, shipment.tracking))]
    number = row.carrier, row.tracking
    of = [s for s in by_number.get(row.tracking or "", ()) if s.may_be_of(row.carrier, row.at)]
    return [scan_of(row, s.key, number) for s in of] or [scan_of(row, None, number)]


def read_scans(rows: Sequence[object], now: datetime) -> list[TrackingRow | Told]:
    """Rows as scans, or as the reasons why they are none."""
    return [_read(row, now) for row in rows]


def _read(row: object, now: datetime) -> TrackingRow | Told:
    try:
        read = TrackingRow.model_validate(row)
    except ValidationError as error:
        return _rejected(*reject_reasons(error))
    if read.at > now + AHEAD_MAX:
        return _rejected(("at", "lies ahead: expected the moment, with its time zone, at which it was scanned"))
    return read


def _key(row: TrackingRow | Told) -> Key | None:
    if isinstance(row, Told) or row.shipment_id is None:
        return None
    try:
        return numbered_id(row.shipment_id, "s", "shipment")
    except NotFound:
        return None


def _name(scan: Scan) -> str:
    return f"{scan.order_id}-s{scan.shipment_no}"


def _rejected(*errors: tuple[str, str]) -> Told:
    return Told(status="rejected", errors=[RowError(path=path, message=message) for path, message in errors])
