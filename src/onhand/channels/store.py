"""The SQL of channels and listings."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.channels.model import CONNECTOR, Channel, Connected, Listing, ListingIn
from onhand.db import queries

SQL = queries(__file__)


def get_channel(conn: Connection[TupleRow], code: str) -> Channel | None:
    """One channel."""
    with conn.cursor(row_factory=class_row(Channel)) as rows:
        return rows.execute(SQL["get_channel"], {"code": code}).fetchone()


def list_channels(conn: Connection[TupleRow], *, after: str = "", limit: int) -> list[Channel]:
    """Channels with a code above `after` (byte order)."""
    with conn.cursor(row_factory=class_row(Channel)) as rows:
        return rows.execute(SQL["list_channels"], {"after": after, "limit": limit}).fetchall()


def list_connected(conn: Connection[TupleRow]) -> list[Connected]:
    """Channels that we talk to by a connector, active or not."""
    with conn.cursor(row_factory=class_row(Connected)) as rows:
        return rows.execute(SQL["list_connected"], {"api": CONNECTOR}).fetchall()


def get_sealed(conn: Connection[TupleRow], code: str) -> str | None:
    """The credentials of a channel, sealed."""
    row = conn.execute(SQL["get_sealed"], {"code": code}).fetchone()
    return None if row is None else row[0]


def write_channel(
    conn: Connection[TupleRow], channel: Channel, node_ids: Sequence[int] | None, sealed: str | None = None
) -> None:
    """Create or replace a channel, under the lock of the network. sealed: its credentials."""
    conn.execute(
        SQL["write_channel"],
        {
            "code": channel.code,
            "name": channel.name,
            "connector": channel.connector,
            "node_ids": None if node_ids is None else list(node_ids),
            "node_group": channel.node_group,
            "currency": channel.currency,
            "priority": channel.priority,
            "margin_rate": channel.margin_rate,
            "gate": _json(channel.gate),
            "quota": _json(channel.quota),
            "oversell": _json(channel.oversell),
            "settings": _json(channel.settings),
            "prices": channel.prices,
            "active": channel.active,
            "sealed": sealed,
        },
    )


def lock_ids(conn: Connection[TupleRow], channel: str, sku: str) -> tuple[int | None, int | None]:
    """Ids of channel and item, None where there is none; no other listing of the channel is written meanwhile."""
    row = conn.execute(SQL["ids_of_listing"], {"channel": channel, "sku": sku}).fetchone()
    assert row is not None
    return row[0], row[1]


def get_listing(conn: Connection[TupleRow], channel: str, sku: str) -> Listing | None:
    """One listing."""
    with conn.cursor(row_factory=class_row(Listing)) as rows:
        return rows.execute(SQL["get_listing"], {"channel": channel, "sku": sku}).fetchone()


def list_listings(
    conn: Connection[TupleRow],
    *,
    after: tuple[str, str] = ("", ""),
    limit: int,
    channel: str | None = None,
    sku: str | None = None,
    status: str | None = None,
) -> list[Listing]:
    """Listings after the pair (channel code, sku) `after` (byte order)."""
    where = {
        "after_channel": after[0],
        "after_sku": after[1],
        "limit": limit,
        "channel": channel,
        "sku": sku,
        "status": status,
    }
    with conn.cursor(row_factory=class_row(Listing)) as rows:
        return rows.execute(SQL["list_listings"], where).fetchall()


def write_listing(conn: Connection[TupleRow], channel_id: int, item_id: int, listing: ListingIn) -> None:
    """Create or replace a listing."""
    conn.execute(
        SQL["write_listing"],
        {
            "channel_id": channel_id,
            "item_id": item_id,
            "external_id": listing.external_id,
            "external_sku": listing.external_sku,
            "status": listing.status,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The item that a channel's sku is, and its listing there so far."""

    item_id: int
    sku: str
    external_id: str | None
    status: str
    is_new: bool


def match_offers(conn: Connection[TupleRow], channel_id: int, skus: Sequence[str]) -> dict[str, Match]:
    """Matches by the channel's sku: listings that name it go before items that are called so."""
    rows = conn.execute(SQL["match_offers"], {"channel_id": channel_id, "skus": list(skus)})
    return {
        row[0]: Match(item_id=row[1], sku=row[2], external_id=row[3], status=row[4], is_new=row[5])
        for row in rows.fetchall()
    }


def write_listings(conn: Connection[TupleRow], channel_id: int, listings: Sequence[tuple[int, str, str, str]]) -> None:
    """Create or replace many: (item_id, external_id, external_sku, status)."""
    last = {listing[0]: listing for listing in listings}
    rows = [last[item_id] for item_id in sorted(last)]
    items, ids, skus, statuses = zip(*rows, strict=True)
    values = {
        "channel_id": channel_id, "items": list(items), "ids": list(ids), "skus": list(skus),
        "statuses": list(statuses),
    }  # fmt: skip
    conn.execute(SQL["write_listings"], values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a channel is not told of, and what it alone is: gate and quota as its document has them, to be changed."""

    gate: dict[str, Any]
    quota: dict[str, Any]


def lock_rules(conn: Connection[TupleRow], codes: Collection[str]) -> dict[str, Rules]:
    """Gates and quotas of channels, locked; under the lock of the network."""
    rows = conn.execute(SQL["lock_rules"], {"codes": sorted(codes)})
    return {code: Rules(gate=gate, quota=quota) for code, gate, quota in rows}


def set_rules(conn: Connection[TupleRow], code: str, rules: Rules) -> None:
    """Write gate and quota of a channel that is locked."""
    conn.execute(SQL["set_rules"], {"code": code, "gate": _json(rules.gate), "quota": _json(rules.quota)})


def lock_statuses(conn: Connection[TupleRow], keys: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """(channel, sku, status) of listings by (channel, sku), locked."""
    values = {"channels": [channel for channel, _ in keys], "skus": [sku for _, sku in keys]}
    return conn.execute(SQL["lock_statuses"], values).fetchall()


def set_statuses(conn: Connection[TupleRow], rows: Sequence[tuple[str, str, str]]) -> None:
    """Write the status of listings (channel, sku, status) that are locked."""
    channels, skus, statuses = ([row[n] for row in rows] for n in range(3))
    conn.execute(SQL["set_statuses"], {"channels": channels, "skus": skus, "statuses": statuses})


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
