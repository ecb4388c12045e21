"""The SQL of scans and of shipments as they show."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row, dict_row

from onhand.db.queries import queries
from onhand.fulfilment.delivery.levels import LEVELS
from onhand.fulfilment.tracking.model import Milestone, Scan

SQL = queries(__file__)

Key = tuple[str, int]
"""(order_id, shipment_no)"""

Place = tuple[datetime, str, int]
"""(shipped_at, order_id, shipment_no): where a page ends"""

# Carriers use numbers again: a scan is of a shipment that left at most so long before it, or was told of so much later.
DAYS_BEFORE: Final = 120
DAYS_AFTER: Final = 30
# How long scans wait for a shipment of their number.
WAITING_DAYS: Final = 30
_SHOWN: Final = {"p10": 0.1, "p50": 0.5, "p90": 0.9, "p95": 0.95}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A shipment as carriers know it."""

    key: Key
    carrier: str | None
    tracking: str | None
    shipped_at: datetime

    def may_be_of(self, carrier: str | None, at: datetime) -> bool:
        """Whether a scan of its number may be one of it."""
        first, last = self.shipped_at - timedelta(days=DAYS_AFTER), self.shipped_at + timedelta(days=DAYS_BEFORE)
        return self.carrier in (None, carrier) and first <= at <= last


def lock_shipments(conn: Connection[TupleRow], trackings: Collection[str], keys: Collection[Key]) -> list[Known]:
    """Shipments of these numbers or keys, locked until the transaction ends."""
    asked = {
        "trackings": sorted(set(trackings)),
        "order_ids": [order_id for order_id, _ in keys],
        "numbers": [number for _, number in keys],
    }
    return [
        Known(key=(order_id, number), carrier=carrier, tracking=tracking, shipped_at=shipped_at)
        for order_id, number, carrier, tracking, shipped_at in conn.execute(SQL["lock_shipments"], asked)
    ]


def add_events(conn: Connection[TupleRow], scans: Sequence[Scan], *, source: str, actor: int) -> list[bool]:
    """Write scans; of each whether it was new. The shipments are locked."""
    columns: dict[str, object] = {
        "ns": list(range(len(scans))),
        "order_ids": [s.order_id for s in scans],
        "shipment_nos": [s.shipment_no for s in scans],
        "carriers": [s.carrier for s in scans],
        "trackings": [s.tracking for s in scans],
        "milestones": [s.milestone for s in scans],
        "ats": [s.at for s in scans],
        "places": [None if s.place is None else msgspec.json.encode(s.place).decode() for s in scans],
        "codes": [s.code for s in scans],
        "texts": [s.text for s in scans],
        "dedupes": [s.dedupe for s in scans],
    }
    new = {n for (n,) in conn.execute(SQL["add_events"], columns | {"source": source, "actor": actor})}
    return [n in new for n in range(len(scans))]


def follow_scans(conn: Connection[TupleRow], keys: Collection[Key]) -> None:
    """Bring shipments, which are locked, up to date with their scans."""
    conn.execute(SQL["follow_scans"], _columns(sorted(keys)))


def match_waiting(conn: Connection[TupleRow], *, lately_s: float, limit: int) -> int:
    """Give scans that waited to shipments that have left in the last seconds with their numbers; how many."""
    bounds = {"lately_s": lately_s, "days_before": DAYS_BEFORE, "days_after": DAYS_AFTER, "limit": limit}
    found = conn.execute(SQL["find_matches"], bounds).fetchall()
    if not found:
        return 0
    keys = {(order_id, number) for _, order_id, number in found}
    lock_shipments(conn, (), keys)
    conn.execute(
        SQL["move_events"],
        {"event_ids": [event_id for event_id, _, _ in found]} | _columns([(o, n) for _, o, n in found]),
    )
    follow_scans(conn, keys)
    return len(found)


def find_to_deliver(conn: Connection[TupleRow], *, limit: int) -> list[str]:
    """Orders of which a shipment is scanned as delivered, and that has not been followed."""
    return [order_id for (order_id,) in conn.execute(SQL["find_to_deliver"], {"limit": limit})]


def deliver_scanned(conn: Connection[TupleRow], order_ids: Sequence[str]) -> list[Key]:
    """Deliver the shipments of orders, which are locked, that are scanned so; the (order_id, fulfilment_no) whose
    shipments are all delivered now."""
    conn.execute(SQL["deliver_scanned"], {"ids": order_ids})
    return [(order_id, number) for order_id, number in conn.execute(SQL["whole"], {"ids": order_ids})]


def purge_waiting(conn: Connection[TupleRow], now: datetime) -> int:
    """Forget scans of numbers that no shipment has had for long; how many."""
    return conn.execute(SQL["purge_waiting"], {"before": now - timedelta(days=WAITING_DAYS)}).rowcount


def forget_texts(conn: Connection[TupleRow], customer_id: str) -> None:
    """Forget what carriers wrote in their own words of the parcels of a person."""
    conn.execute(SQL["forget_texts"], {"customer_id": customer_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A shipment with where it stands and when it will be there: days, at LEVELS, from shipped_at."""

    order_id: str
    shipment_no: int
    fulfilment_no: int
    node: str
    carrier: str | None
    service: str | None
    tracking: str | None
    milestone: Milestone | None
    shipped_at: datetime
    scanned_at: datetime | None
    delivered_at: datetime | None
    deliver_by: datetime
    p_late: float | None
    likely_late_since: datetime | None
    made_at: datetime | None
    days: list[float] | None

    @property
    def place(self) -> Place:
        return self.shipped_at, self.order_id, self.shipment_no

    def public(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "shipment_id": f"{self.order_id}-s{self.shipment_no}",
            "order_id": self.order_id,
            "fulfilment_id": f"{self.order_id}-f{self.fulfilment_no}",
            "node": self.node,
            "carrier": self.carrier,
            "service": self.service,
            "tracking": self.tracking,
            "status": "delivered" if self.delivered_at is not None else self.milestone or "shipped",
            "shipped_at": self.shipped_at,
            "scanned_at": self.scanned_at,
            "delivered_at": self.delivered_at,
            "deliver_by": self.deliver_by,
            "p_late": self.p_late if self.delivered_at is None else None,
            "likely_late_since": self.likely_late_since if self.delivered_at is None else None,
            "prediction": None if self.days is None else moments(self.shipped_at, self.days, self.made_at),
        }


def moments(shipped_at: datetime, days: Sequence[float], made_at: datetime | None) -> dict[str, Any]:
    """A forecast as moments: by p50 it is there with a chance of one half."""
    return {"made_at": made_at} | {
        name: shipped_at + timedelta(days=days[LEVELS.index(at)]) for name, at in _SHOWN.items()
    }


def list_shipments(
    conn: Connection[TupleRow],
    *,
    limit: int,
    after: Place | None = None,
    node: str | None = None,
    carrier: str | None = None,
    status: str | None = None,
    is_open: bool | None = None,
    p_late_min: float | None = None,
    key: Key | None = None,
) -> list[Shown]:
    """Shipments, the latest first, at most `limit` after the place `after`."""
    shipped_at, after_order, after_no = after or (None, None, None)
    order_id, shipment_no = key or (None, None)
    with conn.cursor(row_factory=class_row(Shown)) as rows:
        return rows.execute(
            SQL["list_shipments"],
            {
                "order_id": order_id, "shipment_no": shipment_no, "node": node, "carrier": carrier, "status": status,
                "is_open": is_open, "p_late_min": p_late_min, "shipped_at": shipped_at, "after_order": after_order,
                "after_no": after_no, "limit": limit,
            },
        ).fetchall()  # fmt: skip


def get_shipment(conn: Connection[TupleRow], key: Key) -> dict[str, Any] | None:
    """A shipment with its scans, in the order in which they happened, and its forecasts; None: there is none."""
    found = list_shipments(conn, limit=1, key=key)
    if not found:
        return None
    name = {"order_id": key[0], "shipment_no": key[1]}
    with conn.cursor(row_factory=dict_row) as rows:
        events = rows.execute(SQL["events_of"], name).fetchall()
        forecasts = rows.execute(SQL["forecasts_of"], name).fetchall()
    shipment = found[0]
    return shipment.public() | {
        "events": events,
        "forecasts": [
            moments(shipment.shipped_at, f["days"], f["made_at"])
            | {"milestone": f["milestone"], "due_at": f["due_at"], "p_late": f["p_late"]}
            for f in forecasts
        ],
    }


def _columns(keys: Sequence[Key]) -> dict[str, object]:
    return {"order_ids": [order_id for order_id, _ in keys], "numbers": [number for _, number in keys]}
