"""The SQL of prices on channels."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.channels.prices.book import Listing, Stored
from onhand.db import queries

SQL = queries(__file__)
_LISTINGS_PER_READ: Final = 20_000


def load_listings(conn: Connection[TupleRow], channel_id: int, skus: Sequence[str] | None = None) -> list[Listing]:
    """What is listed on a channel, what it is to ask and what is known of it; all, or only `skus`."""
    found: list[Listing] = []
    after = 0
    while True:
        values = {
            "channel_id": channel_id, "after": after, "limit": _LISTINGS_PER_READ,
            "skus": None if skus is None else list(skus),
        }  # fmt: skip
        rows = [Listing(*row) for row in conn.execute(SQL["load_listings"], values)]
        found += rows
        if len(rows) < _LISTINGS_PER_READ:
            return found
        after = rows[-1].item_id


def items_of(conn: Connection[TupleRow], skus: Sequence[str]) -> list[int]:
    """Their ids, of those that there are."""
    return [item_id for (item_id,) in conn.execute(SQL["items_of"], {"skus": list(skus)})]


def save(conn: Connection[TupleRow], channel_id: int, as_of: datetime, rows: Sequence[Stored]) -> bool:
    """Remember what is known of listings; False: the channel has changed since `as_of`, and nothing was remembered."""
    if not rows:
        return True
    told = [
        {
            "item_id": row.item_id, "shown": row.shown, "shown_at": _moment(row.shown_at),
            "verified_at": _moment(row.verified_at), "sent": row.sent, "sent_key": row.sent_key,
            "sent_batch": row.sent_batch, "failures": row.failures, "next_try_at": _moment(row.next_try),
            "is_dead": row.is_dead, "is_foreign": row.is_foreign, "last_error": row.last_error,
        }
        for row in rows
    ]  # fmt: skip
    values = {"channel_id": channel_id, "as_of": as_of, "rows": _json(told)}
    return conn.execute(SQL["save"], values).rowcount == len(rows)


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None


def forget(conn: Connection[TupleRow], channel_id: int) -> None:
    """Nothing is known any more of what a channel asks."""
    conn.execute(SQL["forget"], {"channel_id": channel_id})
    conn.execute(SQL["forget_reading"], {"channel_id": channel_id})


def read_at(conn: Connection[TupleRow]) -> dict[int, float | None]:
    """When the prices of channels were read last, by id, in seconds since 1970; None: they are to be read."""
    return dict(conn.execute(SQL["read_at"]).fetchall())


def save_read(conn: Connection[TupleRow], channel_id: int, drift: Mapping[str, Any]) -> None:
    """Write down what a reading has found."""
    conn.execute(SQL["save_read"], {"channel_id": channel_id, "drift": _json(drift)})


def get_read(conn: Connection[TupleRow], code: str) -> tuple[datetime | None, dict[str, Any]]:
    """When the prices of a channel were read last, and what was found."""
    row = conn.execute(SQL["get_read"], {"code": code}).fetchone()
    return (None, {}) if row is None else (row[0], row[1])


def failing(conn: Connection[TupleRow], code: str, limit: int) -> list[dict[str, Any]]:
    """Listings whose price was not taken, the dead ones first."""
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["failing"], {"code": code, "limit": limit}).fetchall()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
