"""Take in what was sold on days, as somebody else tells it."""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.results import RowResult, read_rows, rejected
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.demand import store
from onhand.demand.model import SaleRow
from onhand.demand.store import Sale, SaleKey, sale_of
from onhand.flows.transactor import Transactor

_ANYWHERE = ""


def import_sales(
    db: Database, rows: Sequence[object], *, by: Actor, transact: Transactor | None = None
) -> list[RowResult]:
    """Write what was sold by item, place, channel and day; a day that is told again is replaced. A refused row stops no
    other. Results in their order, by sku."""
    read = read_rows(rows, SaleRow, "sku")
    return (transact or db.transact)(lambda conn: _write(db, conn, read, by))


def _write(db: Database, conn: Connection[TupleRow], rows: Sequence[SaleRow | RowResult], by: Actor) -> list[RowResult]:
    sales = [row for row in rows if isinstance(row, SaleRow)]
    store.add_places(conn, [_region_of(row) for row in sales if row.node is None])
    items = store.item_ids(conn, {row.sku for row in sales})
    bundles = store.bundle_ids(conn, set(items.values()))
    nodes, regions = store.place_ids(
        conn, {row.node for row in sales if row.node is not None}, {_region_of(row) for row in sales}
    )
    channels = store.channel_ids(conn, {row.channel for row in sales if row.channel is not None})
    results: list[RowResult | None] = []
    keyed: list[tuple[int, SaleKey, Sale]] = []
    first: dict[SaleKey, int] = {}
    for number, row in enumerate(rows):
        results.append(row if isinstance(row, RowResult) else None)
        if isinstance(row, RowResult):
            continue
        problems = _problems(row, items, bundles, nodes, channels)
        if not problems:
            place = regions[_region_of(row)] if row.node is None else nodes[row.node]
            key = (items[row.sku], place, 0 if row.channel is None else channels[row.channel], row.day)
            if key in first:
                problems = [("day", f"this day stands in this batch already, as row {first[key]}")]
            else:
                first[key] = number
                keyed.append((number, key, sale_of(row)))
        if problems:
            results[number] = rejected(row.sku, *problems)
    before = store.lock_sales(conn, [key for _, key, _ in keyed]) if keyed else {}
    changed: dict[SaleKey, Sale] = {}
    for number, key, sale in keyed:
        status = "created" if key not in before else "unchanged" if before[key] == sale else "updated"
        if status != "unchanged":
            changed[key] = sale
        row = rows[number]
        assert isinstance(row, SaleRow)
        results[number] = RowResult(status=status, key=row.sku)
    if changed:
        store.write_sales(conn, changed)
        days = [day for *_, day in changed]
        data = {"rows": len(changed), "from": min(days).isoformat(), "to": max(days).isoformat()}
        write_event(conn, "sales.imported", "sales", data, actor=by, origin=db.origin)
    return [result for result in results if result is not None]


def _region_of(row: SaleRow) -> str:
    return _ANYWHERE if row.region is None else row.region


def _problems(
    row: SaleRow, items: dict[str, int], bundles: set[int], nodes: dict[str, int], channels: dict[str, int]
) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    if row.sku not in items:
        problems.append(("sku", f"no item {row.sku!r}; import items first"))
    elif items[row.sku] in bundles:
        problems.append(("sku", f"{row.sku!r} is a bundle: give the sales of its components"))
    if row.node is not None and row.node not in nodes:
        problems.append(("node", f"no node {row.node!r}; import nodes first"))
    if row.node is not None and row.region is not None:
        problems.append(("region", "expected a node or a region, not both: a node lies in its region"))
    if row.channel is not None and row.channel not in channels:
        problems.append(("channel", f"no channel {row.channel!r}"))
    return problems
