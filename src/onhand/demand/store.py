"""The SQL of demand and signals: places, imported sales, values of signals, feeds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal, LiteralString

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.rows import TupleRow, class_row

from onhand.db.queries import queries
from onhand.demand.model import Feed, Fill, SaleRow, Scope, SignalSeries
from onhand.demand.signals import ALWAYS, Known

SQL = queries(__file__)

Int64 = npt.NDArray[np.int64]
Kind = Literal["int", "float", "uuid"]

# Of one array, so that no row of an answer comes near the gigabyte that PostgreSQL allows.
_ROWS_MAX = 1_000_000
_ARRAYS: Mapping[Kind, tuple[int, str, Any]] = {
    "int": (1016, ">i8", np.int64), "float": (1022, ">f8", np.float64), "uuid": (2951, "V16", "V16"),
}  # fmt: skip
"""oid of the array's type, its elements on the wire, and what they become."""


class _Raw(Loader):
    """An array as it came."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def fetch(
    conn: Connection[TupleRow], query: LiteralString, parameters: Mapping[str, Any], columns: Mapping[str, Kind]
) -> dict[str, npt.NDArray[Any]]:
    """The rows of a query as arrays, int64, float64 or 16 bytes, in no order, without a Python object for each.

    columns  name -> int (bigint in the query), float (double precision) or uuid, in the order of the query; no value is
             NULL
    """
    names = ", ".join(columns)
    gathered = ", ".join(f"array_agg({name})" for name in columns)
    statement = (
        f"SELECT {gathered} FROM (SELECT *, (row_number() OVER () - 1) / {_ROWS_MAX} AS part"  # noqa: S608  our own names
        f" FROM ({query}) AS found ({names})) AS numbered GROUP BY part"
    )
    parts: list[TupleRow]
    with conn.cursor(binary=True) as cursor:
        for oid, _, _ in _ARRAYS.values():
            cursor.adapters.register_loader(oid, _Raw)
        # Planned for these parameters each time: a plan for any compares each row with each of thousands of items.
        parts = cursor.execute(statement.encode(), parameters, prepare=False).fetchall()
    return {
        name: np.concatenate([_elements(part[n], kind) for part in parts] or [np.empty(0, _ARRAYS[kind][2])])
        for n, (name, kind) in enumerate(columns.items())
    }


def _elements(raw: bytes, kind: Kind) -> npt.NDArray[Any]:
    """A one-dimensional array without NULL from its wire format: see db/arrays.py."""
    _, wire, dtype = _ARRAYS[kind]
    assert not raw[7], "no value of the query is NULL"
    return np.frombuffer(raw, np.dtype([("n", ">i4"), ("v", wire)]), offset=20)["v"].astype(dtype)


# Places and sales -----------------------------------------------------------------------------------------------------


def add_places(conn: Connection[TupleRow], regions: Collection[str]) -> None:
    """Make all nodes, and these regions, places that demand can arise at."""
    conn.execute(SQL["node_places"])
    if regions:
        conn.execute(SQL["region_places"], {"regions": sorted(set(regions))})


def place_ids(
    conn: Connection[TupleRow], nodes: Collection[str], regions: Collection[str]
) -> tuple[dict[str, int], dict[str, int]]:
    """place_id by code of a node, and by region."""
    rows = conn.execute(SQL["place_ids"], {"nodes": list(nodes), "regions": list(regions)}).fetchall()
    by_node = {node: place for place, node, _ in rows if node is not None}
    return by_node, {region: place for place, _, region in rows if region is not None}


def item_ids(conn: Connection[TupleRow], skus: Collection[str]) -> dict[str, int]:
    """item_id by sku, of those that exist."""
    return dict(conn.execute(SQL["item_ids"], {"skus": list(skus)}).fetchall())


def bundle_ids(conn: Connection[TupleRow], items: Collection[int]) -> set[int]:
    """Those of `items` that are bundles."""
    return {item for (item,) in conn.execute(SQL["bundles"], {"items": list(items)})}


def node_ids(conn: Connection[TupleRow], codes: Collection[str]) -> dict[str, int]:
    """node_id by code, of those that exist."""
    return dict(conn.execute(SQL["node_ids"], {"codes": list(codes)}).fetchall())


def channel_ids(conn: Connection[TupleRow], codes: Collection[str]) -> dict[str, int]:
    """channel_id by code, of those that exist."""
    return dict(conn.execute(SQL["channel_ids"], {"codes": list(codes)}).fetchall())


SaleKey = tuple[int, int, int, date]
"""item_id, place_id, channel_id (0: none), day"""
Sale = tuple[int, int | None, float]
"""units, price_minor, stock_out_hours"""


def sale_of(row: SaleRow) -> Sale:
    """What a document says of its day."""
    return row.quantity, row.price_minor, float(np.float32(row.stock_out_hours))


def lock_sales(conn: Connection[TupleRow], keys: Sequence[SaleKey]) -> dict[SaleKey, Sale]:
    """Sales that were imported for these days; nobody imports others until the transaction ends."""
    conn.execute(SQL["lock_sales"])
    items, places, channels, days = zip(*keys, strict=True)
    values = {"items": list(items), "places": list(places), "channels": list(channels), "days": list(days)}
    rows = conn.execute(SQL["sales"], values).fetchall()
    return {
        (item, place, channel, day): (units, price, hours) for item, place, channel, day, units, price, hours in rows
    }


def write_sales(conn: Connection[TupleRow], sales: Mapping[SaleKey, Sale]) -> None:
    """Write sales of days, in place of what was imported for these days before."""
    items, places, channels, days = zip(*sales, strict=True)
    units, prices, hours = zip(*sales.values(), strict=True)
    conn.execute(
        SQL["write_sales"],
        {
            "items": list(items), "places": list(places), "channels": list(channels), "days": list(days),
            "units": list(units), "prices": list(prices), "hours": list(hours),
        },
    )  # fmt: skip


# Signals --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A signal of one scope as it is kept."""

    signal_id: int
    name: str
    scope: Scope
    known_ahead: bool
    fill: Fill | None
    begun: datetime


def lock_signals(conn: Connection[TupleRow], names: Collection[str]) -> list[Stored]:
    """The signals of these names; nobody else tells values of them until the transaction ends."""
    conn.execute(SQL["lock_signals"], {"names": list(names)})
    return [_stored(row) for row in conn.execute(SQL["signals"], {"names": list(names)})]


def _stored(row: TupleRow) -> Stored:
    signal_id, name, sku, category, node, region, known_ahead, fill, begun = row
    scope = Scope(sku=sku, category=category, node=node, region=region)
    return Stored(signal_id=signal_id, name=name, scope=scope, known_ahead=known_ahead, fill=fill, begun=begun)


def add_signals(
    conn: Connection[TupleRow], signals: Sequence[tuple[str, Scope, bool, Fill | None]], *, begun: datetime
) -> list[int]:
    """Add signals (name, scope, known ahead, fill), whose items and nodes exist; their ids."""
    scopes = [scope for _, scope, _, _ in signals]
    rows = conn.execute(
        SQL["add_signals"],
        {
            "names": [name for name, _, _, _ in signals],
            "skus": [s.sku for s in scopes],
            "categories": [s.category for s in scopes],
            "nodes": [s.node for s in scopes],
            "regions": [s.region for s in scopes],
            "known_ahead": [ahead for _, _, ahead, _ in signals],
            "fills": [fill for _, _, _, fill in signals],
            "begun": begun,
        },
    )
    return [signal_id for (signal_id,) in rows]


def set_fill(conn: Connection[TupleRow], signal_id: int, fill: Fill) -> None:
    """Say what stands between the values of a signal."""
    conn.execute(SQL["set_fill"], {"signal_id": signal_id, "fill": fill})


Moment = tuple[int, datetime]
"""signal_id, at"""


def values_of(conn: Connection[TupleRow], moments: Collection[Moment]) -> dict[Moment, list[tuple[datetime, float]]]:
    """(known_at, value) of moments of signals, in no order."""
    found: dict[Moment, list[tuple[datetime, float]]] = {}
    values = {"signals": [signal for signal, _ in moments], "ats": [at for _, at in moments]}
    for signal, at, known_at, value in conn.execute(SQL["values_of"], values):
        found.setdefault((signal, at), []).append((known_at or ALWAYS, value))
    return found


def add_values(conn: Connection[TupleRow], rows: Sequence[tuple[int, datetime, datetime, float]]) -> None:
    """Add values (signal_id, at, known_at, value)."""
    conn.execute(
        SQL["add_values"],
        {
            "signals": [signal for signal, _, _, _ in rows],
            "ats": [at for _, at, _, _ in rows],
            "known": [None if known_at == ALWAYS else known_at for _, _, known_at, _ in rows],
            "values": [value for _, _, _, value in rows],
        },
    )


def list_signals(
    conn: Connection[TupleRow],
    *,
    after: tuple[str, int],
    limit: int,
    name: str | None = None,
    sku: str | None = None,
    node: str | None = None,
    region: str | None = None,
) -> list[SignalSeries]:
    """Signals by name and age."""
    with conn.cursor(row_factory=class_row(SignalSeries)) as rows:
        return rows.execute(
            SQL["list_signals"],
            {
                "after_name": after[0], "after_id": after[1], "limit": limit, "name": name, "sku": sku, "node": node,
                "region": region,
            },
        ).fetchall()  # fmt: skip


def delete_signals(conn: Connection[TupleRow], name: str) -> int:
    """Delete a signal of all scopes with its values; how many scopes there were."""
    return len(conn.execute(SQL["delete_signals"], {"name": name}).fetchall())


def known_signals(
    conn: Connection[TupleRow],
    *,
    origin: date,
    until: date,
    names: Sequence[str] | None = None,
    as_recorded: bool = False,
) -> list[Known]:
    """What was known of every signal when the day `origin` began (UTC), of days before `until`; of those that are not
    known ahead, of days before `origin`."""
    chosen = None if names is None else list(names)
    values = fetch(
        conn,
        SQL["known_signals"],
        {
            "origin": _midnight(origin), "until": _midnight(until), "names": chosen, "as_recorded": as_recorded,
        },
        {"signal": "int", "at": "int", "value": "float"},
    )  # fmt: skip
    order = np.lexsort((values["at"], values["signal"]))
    values = {name: column[order] for name, column in values.items()}
    by_id = {s.signal_id: s for s in map(_stored, conn.execute(SQL["all_signals"], {"names": chosen}))}
    ids, begins = np.unique(values["signal"], return_index=True)
    ends = np.r_[begins, len(values["signal"])][1:]
    return [
        Known(
            name=(s := by_id[signal]).name, scope=s.scope, known_ahead=s.known_ahead, fill=s.fill,
            at=values["at"][begin:end], value=values["value"][begin:end],
        )
        for signal, begin, end in zip(ids.tolist(), begins.tolist(), ends.tolist(), strict=True)
    ]  # fmt: skip


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


# Feeds ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A feed that this process reads now; `updated_at` tells whether it is still the same afterwards."""

    name: str
    document: dict[str, Any]
    secrets: str | None
    updated_at: datetime
    failures: int


def get_feed(conn: Connection[TupleRow], name: str) -> Feed | None:
    """One feed."""
    with conn.cursor(row_factory=class_row(Feed)) as rows:
        return rows.execute(SQL["get_feed"], {"name": name}).fetchone()


def list_feeds(conn: Connection[TupleRow], *, after: str, limit: int) -> list[Feed]:
    """Feeds by name."""
    with conn.cursor(row_factory=class_row(Feed)) as rows:
        return rows.execute(SQL["list_feeds"], {"after": after, "limit": limit}).fetchall()


def lock_secrets(conn: Connection[TupleRow], name: str) -> str | None:
    """Sealed headers of a feed, whose row is locked; None if there are none."""
    row = conn.execute(SQL["lock_feed"], {"name": name}).fetchone()
    return None if row is None else row[0]


def write_feed(
    conn: Connection[TupleRow], name: str, document: Mapping[str, Any], secrets: str | None, active: bool
) -> None:
    """Create or replace a feed; it is due at once."""
    values = {
        "name": name, "document": msgspec.json.encode(document).decode(), "secrets": secrets, "active": active,
    }  # fmt: skip
    conn.execute(SQL["write_feed"], values)


def delete_feed(conn: Connection[TupleRow], name: str) -> bool:
    """Delete a feed; what it has told stays."""
    return conn.execute(SQL["delete_feed"], {"name": name}).fetchone() is not None


def take_feed(conn: Connection[TupleRow], *, lease_s: float) -> Taken | None:
    """Take the feed that has been due longest."""
    with conn.cursor(row_factory=class_row(Taken)) as rows:
        return rows.execute(SQL["take_feed"], {"lease_s": lease_s}).fetchone()


def end_feed(
    conn: Connection[TupleRow], taken: Taken, *, every_s: int, written: int, rejected: int, reject: str | None
) -> bool:
    """A feed was read to its end; False: it is another one by now, and nothing of this may be kept."""
    values = {"every_s": every_s, "written": written, "rejected": rejected, "reject": reject}
    return (
        conn.execute(SQL["end_feed"], {"name": taken.name, "updated_at": taken.updated_at, **values}).fetchone()
        is not None
    )


def fail_feed(conn: Connection[TupleRow], taken: Taken, *, error: str, again_s: float) -> None:
    """A feed could not be read; it is tried again after so long."""
    values = {"name": taken.name, "updated_at": taken.updated_at, "error": error, "again_s": again_s}
    conn.execute(SQL["fail_feed"], values)
