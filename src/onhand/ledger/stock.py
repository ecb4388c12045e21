"""Positions and the ledger as lists, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.db.queries import queries

SQL = queries(__file__)

# A first window of the ledger holds this many pages; most pages then take one statement.
_WINDOW_PAGES = 8
_WINDOW_GROWTH = 8
BIGINT_MAX, INT_MAX = 2**63 - 1, 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StockRow:
    """A position with names. `inbound` units are announced and not yet received."""

    item_id: int
    node_id: int
    sku: str
    node: str
    on_hand: int
    unavailable: int
    allocated: int
    oversold: int
    available: int
    inbound: int
    safety_stock: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """A ledger entry with names: what it changed (d_*) and the position after it."""

    entry_id: int
    item_id: int
    node_id: int
    sku: str
    node: str
    version: int
    kind: str
    quantity: int
    d_on_hand: int
    d_unavailable: int
    d_allocated: int
    d_oversold: int
    on_hand: int
    unavailable: int
    allocated: int
    oversold: int
    available: int
    actor: int
    ref: UUID | None
    reference: str | None
    reason: str | None
    occurred_at: datetime
    recorded_at: datetime


def list_stock(
    conn: Connection[TupleRow],
    *,
    item_id: int | None = None,
    node_id: int | None = None,
    after: tuple[int, int] = (0, 0),
    limit: int,
) -> list[StockRow]:
    """Positions by (item_id, node_id), those after `after`."""
    values = {
        "item_id": item_id,
        "node_id": node_id,
        "after_item": after[0],
        "after_node": after[1],
        "limit": limit,
    }
    with conn.cursor(row_factory=class_row(StockRow)) as cursor:
        return cursor.execute(SQL["stock_rows"], values).fetchall()


def list_entries(
    conn: Connection[TupleRow],
    *,
    item_id: int | None = None,
    node_id: int | None = None,
    after: int = 0,
    after_version: int = 0,
    limit: int,
) -> list[EntryRow]:
    """Entries with an id above `after`, oldest first.

    after_version  with item and node: where to go on in the history of the position, which saves
                   walking it from its beginning

    Ids are given when an entry is written, not when it commits: one that commits late may come in
    before a page that was read. To follow the ledger, follow its events.
    """
    values: dict[str, Any] = {"item_id": item_id, "node_id": node_id, "after": after, "limit": limit}
    with conn.cursor(row_factory=class_row(EntryRow)) as cursor:
        if item_id is not None and node_id is not None:
            values["after_version"] = after_version
            return cursor.execute(SQL["entries_of_position"], values).fetchall()
        if item_id is not None:
            return cursor.execute(SQL["entries_of_item"], values).fetchall()
        # No index leads from a node, or from nothing, to entries in order: look through windows of
        # ids that grow until the page is full.
        row = conn.execute(SQL["last_entry_id"]).fetchone()
        assert row is not None, "a sequence has a row"
        last: int = row[0]
        found: list[EntryRow] = []
        window = limit * _WINDOW_PAGES
        while len(found) < limit and after < last:
            values |= {"after": after, "until": after + window, "limit": limit - len(found)}
            found += cursor.execute(SQL["entries_between"], values).fetchall()
            after += window
            window *= _WINDOW_GROWTH
        return found


def last_entries(
    conn: Connection[TupleRow],
    *,
    item_id: int | None = None,
    node_id: int | None = None,
    after: int = 0,
    before: int | None = None,
    before_version: int | None = None,
    limit: int,
) -> list[EntryRow]:
    """Entries with an id above `after` and below `before` (None: to the end), newest first.

    before_version  with item and node: where to go on in the history of the position
    """
    top = BIGINT_MAX if before is None else before
    values: dict[str, Any] = {"item_id": item_id, "node_id": node_id, "after": after, "before": top, "limit": limit}
    with conn.cursor(row_factory=class_row(EntryRow)) as cursor:
        if item_id is not None and node_id is not None:
            values["before_version"] = INT_MAX if before_version is None else before_version
            return cursor.execute(SQL["last_entries_of_position"], values).fetchall()
        if item_id is not None:
            return cursor.execute(SQL["last_entries_of_item"], values).fetchall()
        row = conn.execute(SQL["last_entry_id"]).fetchone()
        assert row is not None, "a sequence has a row"
        until = min(row[0], top - 1)
        found: list[EntryRow] = []
        window = limit * _WINDOW_PAGES
        while len(found) < limit and until > after:
            values |= {"after": max(after, until - window), "until": until, "limit": limit - len(found)}
            found += cursor.execute(SQL["last_entries_between"], values).fetchall()
            until -= window
            window *= _WINDOW_GROWTH
        return found


def stock_of_items(conn: Connection[TupleRow], item_ids: Sequence[int]) -> list[TupleRow]:
    """(item_id, node_id, on_hand, unavailable, allocated, oversold, inbound, safety_stock) of every position of these
    items."""
    return conn.execute(SQL["stock_of_items"], {"items": list(item_ids)}).fetchall()


def stock_nodes(conn: Connection[TupleRow]) -> list[tuple[int, str]]:
    """(node_id, code) of every node that has or had stock, in the order in which they were made."""
    return [(node_id, code) for node_id, code in conn.execute(SQL["stock_nodes"])]
