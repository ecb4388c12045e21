"""The SQL of publication."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow, class_row, dict_row

from onhand.base.ids import new_ids, texts
from onhand.channels.gates.settings import read
from onhand.channels.publication.book import NONE, Listing, Stored
from onhand.channels.publication.showing import Sellers
from onhand.db import arrays, queries
from onhand.db.outbox import Cursor

SQL = queries(__file__)
_LISTINGS_PER_READ: Final = 50_000
_CLOCKS_APART_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SellerRow:
    """A channel as publication sees it; node_ids: the active nodes it sells from."""

    channel_id: int
    code: str
    connector: str
    active: bool
    gate: dict[str, Any]
    quota: dict[str, Any]
    margin_rate: float | None
    priority: int
    node_ids: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a channel is doing, as the process that publishes to it wrote it down `age_s` ago."""

    at: datetime
    publication: dict[str, Any] = field(default_factory=dict[str, Any])
    latency: dict[str, Any] = field(default_factory=dict[str, Any])
    reconciled_at: datetime | None = None
    drift: dict[str, Any] = field(default_factory=dict[str, Any])
    age_s: float = 0.0


# Leading --------------------------------------------------------------------------------------------------------------


def lead(conn: Connection[TupleRow], channel_id: int) -> bool:
    """Whether this connection is the one that publishes to the channel."""
    row = conn.execute(SQL["lead"], {"channel_id": channel_id}).fetchone()
    return row is not None and bool(row[0])


def unlead(conn: Connection[TupleRow], channel_id: int) -> None:
    """Let others publish to it."""
    conn.execute(SQL["unlead"], {"channel_id": channel_id})


# Channels -------------------------------------------------------------------------------------------------------------


def load_sellers(conn: Connection[TupleRow]) -> list[SellerRow]:
    """All channels."""
    with conn.cursor(row_factory=class_row(SellerRow)) as rows:
        return rows.execute(SQL["load_sellers"]).fetchall()


def sellers_of(rows: Sequence[SellerRow], columns: Sequence[int], items: Mapping[str, int], nodes: int) -> Sellers:
    """The channels `columns` (ids) as arrays; quotas of all active ones count.

    items  item_id of skus that have a quota; nodes: highest node_id
    """
    by_id = {row.channel_id: row for row in rows}
    mask = np.zeros((nodes + 1, len(columns)))
    quotas: dict[int, Any] = {}
    others: dict[int, int] = {}
    for column, channel_id in enumerate(columns):
        mask[by_id[channel_id].node_ids, column] = 1.0
    for row in rows:
        if not row.active:
            continue
        for sku, units in row.quota.get("units_by_sku", {}).items():
            if (item := items.get(sku)) is None:
                continue
            if row.channel_id in columns:
                stated = quotas.setdefault(item, np.full(len(columns), NONE, np.int64))
                stated[list(columns).index(row.channel_id)] = units
            else:
                others[item] = others.get(item, 0) + units
    gates = [read(by_id[channel_id].gate) for channel_id in columns]
    return Sellers(columns, mask, gates, quotas, others)


def quota_items(conn: Connection[TupleRow], rows: Sequence[SellerRow]) -> dict[str, int]:
    """item_id of the skus that have a quota."""
    skus = sorted({sku for row in rows for sku in row.quota.get("units_by_sku", {})})
    return dict(conn.execute(SQL["quota_items"], {"skus": skus}).fetchall()) if skus else {}


# Listings -------------------------------------------------------------------------------------------------------------


def load_listings(conn: Connection[TupleRow], channel_id: int, items: Sequence[int] | None = None) -> list[Listing]:
    """What is listed on a channel and what is known of it; all, or only `items`."""
    writes = {row[0]: row[1:] for row in conn.execute(SQL["unsettled_writes"], {"channel_id": channel_id})}
    found: list[Listing] = []
    after = 0
    with conn.cursor(binary=True) as cursor:
        while True:
            values = {
                "channel_id": channel_id, "after": after, "limit": _LISTINGS_PER_READ,
                "items": None if items is None else arrays.int4(list(items)),
            }  # fmt: skip
            columns = cursor.execute(SQL["load_listings"], values).fetchone()
            if columns is None or columns[0] is None:
                return found
            for item, external, sku, active, shown, shown_at, verified_at, failures, next_try in zip(
                *columns, strict=True
            ):
                sent, key, batch, was = writes.get(item, (NONE, None, None, None))
                found.append(
                    Listing(
                        item, external, sku, bool(active), shown, shown_at, verified_at, sent, key, batch, was,
                        failures, next_try,
                    )
                )  # fmt: skip
            after = found[-1].item_id
            if len(columns[0]) < _LISTINGS_PER_READ:
                return found


def save(conn: Connection[TupleRow], channel_id: int, rows: Sequence[Stored]) -> None:
    """Remember what is known of listings."""
    if not rows:
        return
    columns = list(zip(*rows, strict=True))
    item, shown, shown_at, verified_at, sent, key, batch, was, failures, next_try, error = columns
    conn.execute(
        SQL["save_published"],
        {
            "channel_id": channel_id,
            "item": arrays.int4(item),
            "shown": arrays.int4(shown),
            "shown_at": _moments(shown_at),
            "verified_at": _moments(verified_at),
            "sent": arrays.int4(sent),
            "sent_key": arrays.text(key),
            "sent_batch": arrays.text(batch),
            "sent_was": arrays.nullable_int4(was),
            "failures": arrays.int4(failures),
            "next_try_at": _moments(next_try),
            "last_error": arrays.text(error),
        },
    )


def _moments(seconds: Sequence[float]) -> arrays.TimestamptzArray:
    """0 stands for none."""
    values = np.array(seconds, np.float64)
    return arrays.timestamptz(np.where(values > 0, values * 1e6, arrays.NO_TIME).astype(np.int64))


def sold_since(
    conn: Connection[TupleRow], channel_id: int, items: Sequence[int], since: Sequence[float]
) -> dict[int, int]:
    """item_id -> units that the channel itself sold since a moment, as far as we have heard."""
    if not items:
        return {}
    moments = [moment or 1.0 for moment in since]
    values = {
        "channel_id": channel_id, "items": arrays.int4(list(items)), "since": _moments(moments),
        "first": texts(new_ids(1, now_ms=max(0, int((min(moments) - _CLOCKS_APART_S) * 1000))))[0],
    }  # fmt: skip
    return dict(conn.execute(SQL["sold_since"], values).fetchall())


# Changes --------------------------------------------------------------------------------------------------------------


def changes(conn: Connection[TupleRow], after: Cursor, to: Cursor) -> list[tuple[str, dict[str, Any], float]]:
    """(kind, data, moment) of events between two places that may change numbers of channels."""
    values = {"xid": after.xid, "pos": after.pos, "to_xid": to.xid, "to_pos": to.pos}
    return [(kind, data, at) for kind, data, at in conn.execute(SQL["changes"], values)]


def last_stock_changes(conn: Connection[TupleRow]) -> set[tuple[int, int]]:
    """(item_id, node_id) of the last of them."""
    found: set[tuple[int, int]] = set()
    for (data,) in conn.execute(SQL["last_stock_changes"]):
        found.update(zip(data["items"], data["nodes"], strict=True))
    return found


# Health ---------------------------------------------------------------------------------------------------------------


def save_health(
    conn: Connection[TupleRow], channel_id: int, publication: Mapping[str, Any], latency: Mapping[str, Any]
) -> None:
    """Write down how a channel is doing."""
    values = {"channel_id": channel_id, "publication": _json(publication), "latency": _json(latency)}
    conn.execute(SQL["save_health"], values)


def save_reconciled(conn: Connection[TupleRow], channel_id: int, drift: Mapping[str, Any]) -> None:
    """Write down what a reconciliation has found."""
    conn.execute(SQL["save_reconciled"], {"channel_id": channel_id, "drift": _json(drift)})


def ask_reconcile(conn: Connection[TupleRow], channel_id: int) -> None:
    """Have whoever publishes to the channel reconcile it."""
    conn.execute(SQL["ask_reconcile"], {"channel_id": channel_id})


def reconciled_at(conn: Connection[TupleRow]) -> dict[int, float | None]:
    """When channels were reconciled last, by id, in seconds since 1970."""
    return dict(conn.execute(SQL["reconciled_at"]).fetchall())


def get_health(conn: Connection[TupleRow], code: str) -> Health | None:
    """How a channel is doing; None: nobody has published to it yet."""
    with conn.cursor(row_factory=class_row(Health)) as rows:
        return rows.execute(SQL["get_health"], {"code": code}).fetchone()


def list_health(conn: Connection[TupleRow]) -> list[tuple[str, dict[str, Any], dict[str, Any], float]]:
    """(code, publication, drift, age_s) of all channels that were ever published to."""
    return list(conn.execute(SQL["list_health"]).fetchall())  # type: ignore[arg-type]


def staleness(conn: Connection[TupleRow], code: str) -> dict[str, Any]:
    """How old the numbers of a channel's active listings are."""
    with conn.cursor(row_factory=dict_row) as rows:
        found = rows.execute(SQL["staleness"], {"code": code}).fetchone()
    assert found is not None, "a count has a row"
    return found


def channels(conn: Connection[TupleRow]) -> list[tuple[str, str, str, bool]]:
    """Of every channel by code: code, name, connector, whether it is active."""
    return list(conn.execute(SQL["channels"]).fetchall())  # type: ignore[arg-type]


def listings_of_all(conn: Connection[TupleRow]) -> dict[str, int]:
    """Active listings by channel. Reads all there are."""
    return dict(conn.execute(SQL["listings_of_all"]).fetchall())


def failing_listings(conn: Connection[TupleRow], code: str, limit: int) -> list[dict[str, Any]]:
    """Listings whose last write failed, the worst first."""
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["failing_listings"], {"code": code, "limit": limit}).fetchall()


def told(conn: Connection[TupleRow], code: str) -> dict[str, tuple[int, ...]]:
    """Of every active listing, by sku: the number that the channel has acknowledged, and the one on its way to it."""
    return {sku: tuple(units) for sku, units in conn.execute(SQL["told"], {"code": code})}


def stalest_listings(conn: Connection[TupleRow], code: str, limit: int) -> list[dict[str, Any]]:
    """Active listings whose number was verified longest ago, or never."""
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["stalest_listings"], {"code": code, "limit": limit}).fetchall()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
