"""The SQL of forecasts of shipments: what they are made of, and what was foretold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.fulfilment.delivery.model import Float64, Shipments
from onhand.fulfilment.tracking.model import MILESTONES
from onhand.fulfilment.tracking.store import SQL, Key
from onhand.network.places import locate
from onhand.orders.intake import Destination

_destination = msgspec.json.Decoder(Destination)
_NOWHERE = (np.nan, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """n shipments in the order in which they left.

    shipments  `start`: when it left; days are counted from there
    scans      by milestone, float64[n] days to the first such scan, NaN: none
    last, last_at  the last milestone, and float64[n] days to the first scan of it; NaN
    silent_from  float64[n], days since 1970 when it was last heard of
    scanned_at   its last scan, to tell whether there was another one since
    nodes, origins  where it left, and the country and region of that
    """

    keys: list[Key]
    shipments: Shipments
    scans: dict[str, Float64]
    last: list[str | None]
    last_at: Float64
    silent_from: Float64
    scanned_at: list[datetime | None]
    carriers: list[str]
    services: list[str]
    nodes: list[str]
    origins: list[tuple[str, str | None]]
    destinations: list[Destination]


class Foretold(NamedTuple):
    """A shipment whose forecast is to be written, locked; as it stood before."""

    key: Key
    forecasts: int
    since: datetime | None
    p_late: float | None
    days: list[float] | None


def recent_keys(conn: Connection[TupleRow], *, since: datetime, limit: int) -> list[Key]:
    """The latest shipments."""
    return [(o, n) for o, n in conn.execute(SQL["recent"], {"since": since, "limit": limit})]


def keys_to_foretell(
    conn: Connection[TupleRow], *, since: datetime, limit: int, before: datetime | None = None
) -> list[Key]:
    """Shipments on their way that are new or were scanned since they were last foretold; with `before`, those that
    were last foretold before that moment."""
    name = "to_foretell" if before is None else "to_foretell_again"
    return [(o, n) for o, n in conn.execute(SQL[name], {"since": since, "limit": limit, "before": before})]


def has_much(conn: Connection[TupleRow], *, since: datetime, many: int) -> bool:
    """Whether there is enough to learn from, and anything to foretell."""
    row = conn.execute(SQL["has_much"], {"since": since, "many": many}).fetchone()
    return row is not None and bool(row[0])


def load_facts(conn: Connection[TupleRow], keys: Sequence[Key]) -> Facts:
    """What is known of shipments."""
    asked = {"order_ids": [o for o, _ in keys], "numbers": [n for _, n in keys]}
    rows = conn.execute(SQL["facts"], asked).fetchall()
    start = _floats([row[8] for row in rows])
    destinations = [_destination.decode(row[11]) for row in rows]
    first: list[dict[str, float]] = [row[15] or {} for row in rows]
    scans = {m: _floats([of.get(m) for of in first]) - start for m in MILESTONES if m != "delivered"}
    last = [row[12] for row in rows]
    carriers, services = [row[2] or "" for row in rows], [row[3] or "" for row in rows]
    kinds = {"carrier": carriers, "service": services, "node": [row[4] for row in rows],
             "country": [d.country for d in destinations]}  # fmt: skip
    shipments = Shipments(
        start=start, promised=_floats([row[10] for row in rows]) - start,
        days=np.maximum(_floats([row[9] for row in rows]) - start, 0.0),
        origin=np.array([(row[5], row[6]) for row in rows]).reshape(-1, 2),
        destination=np.array([_place(d) for d in destinations]).reshape(-1, 2),
        handed_over=np.maximum(scans["handed_over"], 0.0), numbers={"units": _floats([row[7] for row in rows])},
        kinds={name: np.array(column, dtype=np.str_) for name, column in kinds.items()},
    )  # fmt: skip
    return Facts(
        keys=[(row[0], row[1]) for row in rows], shipments=shipments, scans=scans, last=last,
        last_at=np.array([scans[m][n] if m in scans else np.nan for n, m in enumerate(last)], np.float64),
        silent_from=np.fmax(start, _floats([row[13] for row in rows])), scanned_at=[row[14] for row in rows],
        carriers=carriers, services=services, nodes=[row[4] for row in rows],
        origins=[(row[16], row[17]) for row in rows], destinations=destinations,
    )  # fmt: skip


def lock_foretold(
    conn: Connection[TupleRow], keys: Sequence[Key], scanned_at: Sequence[datetime | None]
) -> list[Foretold]:
    """Those that are still on their way and have not been scanned since, locked until the transaction ends."""
    asked = {"order_ids": [o for o, _ in keys], "numbers": [n for _, n in keys], "scanned": list(scanned_at)}
    return [
        Foretold((order_id, number), forecasts, since, p_late, days)
        for order_id, number, forecasts, since, p_late, days in conn.execute(SQL["lock_foretold"], asked)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is to be written of a shipment. is_new: it says something else than the one before, and is kept."""

    key: Key
    number: int
    is_new: bool
    milestone: str | None
    days: list[float]
    due: float
    p_late: float | None
    since: datetime | None


def write_forecasts(conn: Connection[TupleRow], made: Sequence[Forecast], *, now: datetime) -> None:
    """Write forecasts of shipments that are locked."""

    def columns(of: Sequence[Forecast]) -> dict[str, object]:
        return {
            "now": now, "order_ids": [f.key[0] for f in of], "numbers": [f.key[1] for f in of],
            "forecast_nos": [f.number for f in of], "p_lates": [f.p_late for f in of],
        }  # fmt: skip

    new = [f for f in made if f.is_new]
    if new:
        conn.execute(
            SQL["add_forecasts"],
            columns(new)
            | {
                "milestones": [f.milestone for f in new],
                "days": [msgspec.json.encode(f.days).decode() for f in new],
                "dues": [f.due for f in new],
            },
        )
    if made:
        conn.execute(SQL["note_forecasts"], columns(made) | {"sinces": [f.since for f in made]})


def _floats(values: Sequence[float | None]) -> Float64:
    return np.array(values, np.float64)


def _place(to: Destination) -> tuple[float, float]:
    place = locate(to.country, to.region, to.postal_code, to.latitude, to.longitude)
    return _NOWHERE if place is None else (place.latitude, place.longitude)
