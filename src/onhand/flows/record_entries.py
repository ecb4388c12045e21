"""Record facts about stock: receipts, counts, damage, adjustments, transfers, returns.

Each row is answered by itself; the good ones are one transaction. Units that arrive are spoken for
in this order: promises that could not be kept (oversold), orders that wait for this supply, and
only then anybody.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection, errors
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.dates import microseconds
from onhand.catalog.catalogue import Catalogue
from onhand.db import Database, arrays
from onhand.flows.transactor import Transactor
from onhand.ledger import inbound, store
from onhand.ledger.intake import EntryIn
from onhand.ledger.model import (
    ADDING_KINDS,
    STATED_KINDS,
    Entry,
    Kind,
    Rejected,
    Result,
)
from onhand.ledger.store import Key

ServeWaiting = Callable[[Connection[TupleRow], list[Key]], None]
"""Gives available units at the positions (item_id, node_id), which are locked, to orders that wait
for supply there; their order rows are locked too."""

# Business clocks run ahead by minutes; more than a day is a wrong year or a wrong zone.
_AHEAD_MAX = timedelta(days=1)
_YEAR_MIN = 1900
_LOOKS_MAX = 3

# The orders that wait for supply of these positions; locked before any position, by id.
_WAITING = """
SELECT DISTINCT q.order_id
FROM unnest(%(items)s::int[], %(nodes)s::int[]) AS t (item_id, node_id)
JOIN queue_line q ON q.item_id = t.item_id AND q.node_id = t.node_id
WHERE q.inbound_id IS NOT NULL
"""
_LOCK_ORDERS = "SELECT 1 FROM orders WHERE order_id = ANY (%s) ORDER BY order_id FOR UPDATE"

# Less is on its way than is promised: the youngest waiting lines lose their date until the line
# holds again. They keep waiting; sourcing finds them other supply.
_UNBACK = """
WITH short AS (
    SELECT inbound_id, line_no, item_id, promised - (quantity - received) AS excess
    FROM inbound_line
    WHERE (inbound_id, line_no) IN (SELECT * FROM unnest(%s::uuid[], %s::int[]))
      AND received < quantity AND promised > quantity - received
), line AS (
    SELECT q.queue_line_id, q.order_id, q.inbound_id, q.inbound_line, q.quantity, s.excess,
           sum(q.quantity) OVER w - q.quantity AS freed_before
    -- by item: that is what queue_line is indexed by
    FROM short s JOIN queue_line q
        ON q.item_id = s.item_id AND q.inbound_id = s.inbound_id AND q.inbound_line = s.line_no
    WINDOW w AS (PARTITION BY q.inbound_id, q.inbound_line ORDER BY q.queue_line_id DESC)
), loser AS (
    UPDATE queue_line q SET inbound_id = NULL, inbound_line = NULL, node_id = NULL, expected_at = NULL
    FROM line WHERE q.queue_line_id = line.queue_line_id AND line.freed_before < line.excess
    RETURNING line.order_id, line.inbound_id, line.inbound_line, line.quantity
), freed AS (
    UPDATE inbound_line i SET promised = i.promised - f.units
    FROM (SELECT inbound_id, inbound_line, sum(quantity) AS units FROM loser GROUP BY 1, 2) f
    WHERE (i.inbound_id, i.line_no) = (f.inbound_id, f.inbound_line)
)
SELECT DISTINCT order_id FROM loser
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of the rows, and what it means for others.

    results    one per row, in order
    positions  (item_id, node_id) of every position that was changed, sorted
    oversold   those where promised units went missing: the orders behind them need another source
    unbacked   orders whose dated supply came up short: they wait without a date
    """

    results: list[Result]
    positions: list[Key] = field(default_factory=list[Key])
    oversold: list[Key] = field(default_factory=list[Key])
    unbacked: list[UUID] = field(default_factory=list[UUID])


def record_entries(
    db: Database,
    catalogue: Catalogue,
    nodes: Mapping[str, int],
    rows: Sequence[EntryIn | Rejected],
    by: Actor,
    *,
    serve_waiting: ServeWaiting | None = None,
    transact: Transactor | None = None,
    now: datetime | None = None,
) -> Recorded:
    """Record `rows`; a bad row is answered `rejected` and stops no other.

    nodes          code -> node_id; codes and skus that are not known here are looked up in the
                   database, so the caller's memory may be behind
    rows           a Rejected stands for a row that could not be read; it is answered as such
    serve_waiting  called in the transaction, after the entries, with the positions that gained
                   units and hold some

    After it: run the repair of `oversold` positions and of `unbacked` orders.
    Raises DatabaseUnavailable.
    """
    today = now or datetime.now(UTC)
    looks = 0

    def work(conn: Connection[TupleRow]) -> Recorded:
        nonlocal looks
        looks += 1
        return record_in(
            conn,
            catalogue,
            nodes,
            rows,
            by,
            origin=db.origin,
            now=today,
            serve_waiting=serve_waiting,
            may_retry=looks < _LOOKS_MAX,
        )

    recorded = (transact or db.transact)(work)
    if recorded.positions:
        db.notify()
    return recorded


def record_in(
    conn: Connection[TupleRow],
    catalogue: Catalogue,
    nodes: Mapping[str, int],
    rows: Sequence[EntryIn | Rejected],
    by: Actor,
    *,
    origin: int,
    now: datetime,
    serve_waiting: ServeWaiting | None = None,
    may_retry: bool = False,
) -> Recorded:
    """`record_entries` within a transaction of the caller.

    may_retry  raise SerializationFailure when an order began to wait for these units meanwhile; the
               caller's transaction starts again and locks that order too
    """
    checked = _resolve(conn, catalogue, nodes, rows, now)
    entries = [row for row in checked if isinstance(row, Entry)]
    adding = {(e.item_id, e.node_id) for e in entries if e.kind in ADDING_KINDS}
    waiting: set[UUID] = set()
    if serve_waiting is not None and adding:
        waiting = _find_waiting(conn, adding)
        if waiting:
            conn.execute(_LOCK_ORDERS, (sorted(waiting),))
    held = store.lock_entries(conn, entries)
    before = dict(held)
    written = store.write_entries(conn, held, entries, actor=by, origin=origin)

    changed = sorted(key for key, position in held.items() if before.get(key) != position)
    grown = [k for k in changed if k in adding and held[k].available > 0]
    if serve_waiting is not None and grown:
        if may_retry and not _find_waiting(conn, grown) <= waiting:
            raise errors.SerializationFailure("an order began to wait for these units")
        serve_waiting(conn, grown)
    unbacked = _book_received(conn, entries, written)
    answers = iter(written)
    return Recorded(
        results=[
            next(answers) if isinstance(row, Entry) else Result.rejected(row.code, row.message) for row in checked
        ],
        positions=changed,
        oversold=[key for key in changed if held[key].oversold > (before[key].oversold if key in before else 0)],
        unbacked=unbacked,
    )


def _resolve(
    conn: Connection[TupleRow],
    catalogue: Catalogue,
    nodes: Mapping[str, int],
    rows: Sequence[EntryIn | Rejected],
    now: datetime,
) -> list[Entry | Rejected]:
    """Names to ids; what cannot be said is rejected here."""
    item_ids = catalogue.ids
    bundles: Collection[int] = catalogue.bundles
    named = [row for row in rows if isinstance(row, EntryIn) and "\0" not in row.sku + row.node]
    new_items = {row.sku for row in named if row.sku not in item_ids}
    if new_items:
        found = store.find_items(conn, new_items)
        item_ids = {**item_ids, **{sku: item_id for sku, (item_id, _) in found.items()}}
        bundles = {*bundles, *(item_id for item_id, is_bundle in found.values() if is_bundle)}
    new_nodes = {row.node for row in named if row.node not in nodes}
    if new_nodes:
        nodes = {**nodes, **store.find_nodes(conn, new_nodes)}
    latest = now + _AHEAD_MAX
    return [row if isinstance(row, Rejected) else _entry(row, item_ids, bundles, nodes, latest) for row in rows]


def _entry(
    row: EntryIn,
    item_ids: Mapping[str, int],
    bundles: Collection[int],
    nodes: Mapping[str, int],
    latest: datetime,
) -> Entry | Rejected:
    item_id = item_ids.get(row.sku)
    if item_id is None:
        return Rejected("item.not_found", f"no item {row.sku!r}")
    node_id = nodes.get(row.node)
    if node_id is None:
        return Rejected("node.not_found", f"no node {row.node!r}")
    if item_id in bundles:
        return Rejected("item.is_bundle", f"{row.sku!r} is a bundle and holds no stock: name its components")
    if row.kind not in STATED_KINDS:
        return Rejected("input.invalid", _wrong_kind(row.kind))
    occurred_us = None
    if row.occurred_at is not None:
        if row.occurred_at > latest:
            return Rejected("input.invalid", "occurred_at: more than a day in the future")
        if row.occurred_at.year < _YEAR_MIN:
            return Rejected("input.invalid", f"occurred_at: expected a year from {_YEAR_MIN} on")
        occurred_us = microseconds(row.occurred_at)
    if row.reason is not None and "\0" in row.reason:
        return Rejected("input.invalid", "reason: the character NUL cannot be stored")
    if row.reference is not None and not (row.reference and row.reference.isprintable()):
        return Rejected("input.invalid", "reference: expected printable characters only")
    kind: Kind = row.kind  # pyright: ignore[reportAssignmentType]  one of STATED_KINDS
    return Entry(
        item_id,
        node_id,
        kind,
        row.quantity,
        row.reason,
        row.reference,
        None,
        occurred_us,
        row.state,
    )


def _wrong_kind(kind: str) -> str:
    if kind in ("allocate", "release", "ship", "expire"):
        return f"kind: {kind!r} is made by orders and reservations, it cannot be stated"
    return f"kind: expected one of {', '.join(sorted(STATED_KINDS))}, got {kind!r}"


def _find_waiting(conn: Connection[TupleRow], keys: Iterable[Key]) -> set[UUID]:
    ordered = sorted(keys)
    pairs: dict[str, Any] = {
        "items": arrays.int4([item for item, _ in ordered]),
        "nodes": arrays.int4([node for _, node in ordered]),
    }
    return {order_id for (order_id,) in conn.execute(_WAITING, pairs)}


def _book_received(conn: Connection[TupleRow], entries: Sequence[Entry], results: Sequence[Result]) -> list[UUID]:
    """Count arrivals under an inbound's reference as received; the orders that lose their date."""
    arrived: dict[tuple[str, int, int], int] = {}
    for entry, result in zip(entries, results, strict=True):
        if entry.reference is not None and entry.kind in ("receipt", "transfer_in") and result.status == "applied":
            name = (entry.reference, entry.item_id, entry.node_id)
            arrived[name] = arrived.get(name, 0) + entry.quantity
    if not arrived:
        return []
    booked = inbound.book_received(conn, arrived)
    if not booked:
        return []
    lines = ([i for i, _ in booked], [n for _, n in booked])
    return [order_id for (order_id,) in conn.execute(_UNBACK, lines)]
