"""The SQL of items and bundles."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.catalog.decide import Known
from onhand.catalog.model import Component, Item
from onhand.db import queries

SQL = queries(__file__)


def lock_known(conn: Connection[TupleRow], skus: Collection[str], to_bundle: Collection[str]) -> Known:
    """What `decide_items` needs, stable until the transaction ends.

    skus       that the rows name, components included
    to_bundle  those of them that are to have components
    """
    conn.execute(SQL["lock_catalogue"])
    items = {item.sku: item for item in load_items(conn, skus)}
    parts: dict[str, list[str]] = {}
    for part, bundle in conn.execute(SQL["load_parts"], {"skus": list(to_bundle)}):
        parts.setdefault(part, []).append(bundle)
    doubtful = [items[s].item_id for s in to_bundle if s in items and not items[s].is_bundle]
    in_use = conn.execute(SQL["items_in_use"], {"item_ids": doubtful}) if doubtful else ()
    highest = conn.execute(SQL["highest_item_id"]).fetchone()
    assert highest is not None
    return Known(items=items, parts=parts, in_use={item_id for (item_id,) in in_use}, highest_id=highest[0])


def load_items(conn: Connection[TupleRow], skus: Collection[str]) -> list[Item]:
    """The items of `skus` that exist, in no order."""
    with conn.cursor(row_factory=class_row(Item)) as rows:
        return _with_components(conn, rows.execute(SQL["load_items"], {"skus": list(skus)}).fetchall())


def get_item(conn: Connection[TupleRow], sku: str) -> Item | None:
    """One item."""
    return next(iter(load_items(conn, [sku])), None)


def skus_by_id(conn: Connection[TupleRow], item_ids: Collection[int]) -> dict[int, str]:
    """item_id -> sku of those that exist."""
    return dict(conn.execute(SQL["skus_by_id"], {"item_ids": list(item_ids)}).fetchall())


def known_skus(conn: Connection[TupleRow], skus: Collection[str]) -> set[str]:
    """Those of `skus` that exist."""
    return {sku for (sku,) in conn.execute(SQL["known_skus"], {"skus": list(skus)})}


def list_items(
    conn: Connection[TupleRow],
    *,
    after: str = "",
    limit: int,
    category: str | None = None,
    bundle: bool | None = None,
    q: str | None = None,
) -> list[Item]:
    """Items with a sku above `after` (byte order); `q` is part of a sku or a name, in any case."""
    where = {"after": after, "limit": limit, "category": category, "bundle": bundle, "q": q}
    with conn.cursor(row_factory=class_row(Item)) as rows:
        return _with_components(conn, rows.execute(SQL["list_items"], where).fetchall())


def _with_components(conn: Connection[TupleRow], items: list[Item]) -> list[Item]:
    parts: dict[int, list[Component]] = {}
    for bundle_id, sku, quantity in conn.execute(SQL["load_components"], {"item_ids": [i.item_id for i in items]}):
        parts.setdefault(bundle_id, []).append(Component(sku=sku, quantity=quantity))
    return [replace(i, components=tuple(parts[i.item_id])) if i.item_id in parts else i for i in items]


def write_items(conn: Connection[TupleRow], items: Sequence[Item], known: Known) -> None:
    """Write what `decide_items` decided, under the lock of `lock_known`."""
    if not items:
        return
    conn.execute(SQL["write_items"], {"rows": msgspec.json.encode([_row(i) for i in items]).decode()})
    # Every component must have its id before a bundle names it: hence after all items.
    before = [i.item_id for i in items if i.sku in known.items and known.items[i.sku].is_bundle]
    if before:
        conn.execute(SQL["delete_components"], {"item_ids": before})
    parts = [(i.item_id, c) for i in items for c in i.components]
    if parts:
        written = conn.execute(
            SQL["write_components"],
            {
                "bundle_ids": [bundle for bundle, _ in parts],
                "skus": [c.sku for _, c in parts],
                "quantities": [c.quantity for _, c in parts],
            },
        ).rowcount
        assert written == len(parts), "every component was checked under lock"


def _row(item: Item) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "sku": item.sku,
        "name": item.name,
        "weight_g": item.weight_g,
        "length_mm": item.length_mm,
        "width_mm": item.width_mm,
        "height_mm": item.height_mm,
        "unit_cost_minor": item.unit_cost_minor,
        "price_minor": item.price_minor,
        "currency": item.currency,
        "category": item.category,
        "hs_code": item.hs_code,
        "release_at": item.release_at,
        "attributes": item.attributes,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What is asked for an item, and what it costs, in minor units; None: nobody said."""

    item_id: int
    sku: str
    price_minor: int | None
    unit_cost_minor: int | None


def lock_prices(conn: Connection[TupleRow], skus: Collection[str]) -> list[Price]:
    """Prices of items by id; no item is written by others until the transaction ends."""
    conn.execute(SQL["lock_catalogue"])
    with conn.cursor(row_factory=class_row(Price)) as rows:
        return rows.execute(SQL["prices"], {"skus": sorted(skus)}).fetchall()


def set_prices(conn: Connection[TupleRow], prices: Mapping[int, int]) -> None:
    """Ask these prices from now on, by item_id; they are locked."""
    conn.execute(SQL["set_prices"], {"items": list(prices), "prices": list(prices.values())})
