"""Set up what everything else refers to: items, nodes, node groups, carriers, cartons, duties, markdowns, lanes,
supply, channels, listings.

Each writes the whole document; the same document again is `unchanged`: nothing is written and no event told.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal, TypeVar

from psycopg import Connection
from psycopg.rows import TupleRow

import onhand.catalog.store as catalog_store
import onhand.channels.prices.store as price_store
import onhand.channels.store as channel_store
import onhand.network.store as network_store
from onhand.base.actor import Actor
from onhand.base.results import RowResult, read_rows
from onhand.catalog.decide import decide_items
from onhand.catalog.model import Item, ItemIn, ItemRow
from onhand.channels.model import (
    Channel,
    ChannelIn,
    Listing,
    ListingIn,
    channel_of,
    channel_problems,
    node_problems,
)
from onhand.connectors.shared import forget_token
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import FieldError, InvalidInput, NotFound
from onhand.flows.accounts import NO_CONNECTORS, Connectors
from onhand.flows.transactor import Transactor
from onhand.network.decide import (
    carrier_problems,
    carton_problems,
    decide_markdowns,
    decide_nodes,
    duty_problems,
)
from onhand.network.model import (
    Carrier,
    CarrierIn,
    CartonIn,
    DutyIn,
    MarkdownRow,
    Node,
    NodeGroup,
    NodeGroupIn,
    NodeIn,
    NodeRow,
    Stored,
)
from onhand.network.restocking import EVERY_NODE, Changes, LaneRow, SupplyRow, decide_lanes, decide_supply

T = TypeVar("T")
Written = Literal["created", "updated", "unchanged"]
Kind = Literal["node", "node_group", "carrier", "carton", "duty", "markdown", "channel", "listing"]


def set_item(db: Database, sku: str, item: ItemIn, *, by: Actor) -> tuple[Written, Item]:
    """Create or replace an item. Raises InvalidInput."""
    row = ItemRow.model_construct(sku=sku, **dict(item))

    def work(conn: Connection[TupleRow]) -> tuple[Written, Item]:
        (result,) = _write_items(db, conn, [row], sku, by)
        written = _accepted(result)
        stored = catalog_store.get_item(conn, sku)
        assert stored is not None, "it was just written"
        return written, stored

    return _notified(db, db.transact(work))


def set_items(
    db: Database, rows: Sequence[object], *, by: Actor, transact: Transactor | None = None
) -> list[RowResult]:
    """Create or replace many items, documents with a `sku`; a refused row stops no other. Results in their order."""
    read = read_rows(rows, ItemRow, "sku")
    return _notified(db, (transact or db.transact)(lambda conn: _write_items(db, conn, read, "items", by)))


def _write_items(
    db: Database,
    conn: Connection[TupleRow],
    rows: Sequence[ItemRow | RowResult],
    subject: str,
    by: Actor,
) -> list[RowResult]:
    documents = [row for row in rows if isinstance(row, ItemRow)]
    known = catalog_store.lock_known(
        conn,
        {row.sku for row in documents} | {c.sku for row in documents for c in row.components},
        {row.sku for row in documents if row.components},
    )
    changes = decide_items(rows, known)
    if changes.written:
        catalog_store.write_items(conn, changes.written, known)
        data = {"items": [{"sku": i.sku, "item_id": i.item_id} for i in changes.written]}
        write_event(conn, "item.changed", subject, data, actor=by, origin=db.origin)
    return changes.results


def set_node(db: Database, code: str, node: NodeIn, *, by: Actor) -> tuple[Written, Node]:
    """Create or replace a node; a new limit of its capacity counts what is promised already. Raises InvalidInput."""
    row = NodeRow.model_construct(code=code, **dict(node))

    def work(conn: Connection[TupleRow]) -> tuple[Written, Node]:
        (result,) = _write_nodes(db, conn, [row], by)
        written = _accepted(result)
        stored = network_store.get_node(conn, code)
        assert stored is not None, "it was just written"
        return written, stored

    return _notified(db, db.transact(work))


def set_nodes(
    db: Database, rows: Sequence[object], *, by: Actor, transact: Transactor | None = None
) -> list[RowResult]:
    """Create or replace many nodes, documents with a `code`; a refused row stops no other. Results in their order."""
    read = read_rows(rows, NodeRow, "code")
    return _notified(db, (transact or db.transact)(lambda conn: _write_nodes(db, conn, read, by)))


def _write_nodes(
    db: Database, conn: Connection[TupleRow], rows: Sequence[NodeRow | RowResult], by: Actor
) -> list[RowResult]:
    codes = {row.code for row in rows if isinstance(row, NodeRow)}
    known, highest_id = network_store.lock_nodes(conn, codes)
    changes = decide_nodes(rows, known, highest_id)
    if changes.written:
        network_store.write_nodes(conn, changes)
        _tell(db, conn, "node", [node.code for node in changes.written], by)
    return changes.results


def set_node_group(db: Database, code: str, group: NodeGroupIn, *, by: Actor) -> tuple[Written, NodeGroup]:
    """Create or replace a node group. Raises InvalidInput."""

    def work(conn: Connection[TupleRow]) -> tuple[Written, NodeGroup]:
        network_store.lock_network(conn)
        ids = network_store.node_ids(conn, group.nodes)
        _refuse(node_problems(group.nodes, ids))
        before = network_store.get_group(conn, code)
        if before and (before.name, set(before.nodes)) == (group.name, set(group.nodes)):
            return "unchanged", before
        network_store.write_group(conn, code, group.name, list(ids.values()))
        _tell(db, conn, "node_group", [code], by)
        after = network_store.get_group(conn, code)
        assert after is not None, "it was just written"
        return _written(before), after

    return _notified(db, db.transact(work))


def set_carrier(db: Database, code: str, carrier: CarrierIn, *, by: Actor) -> tuple[Written, Carrier]:
    """Create or replace a carrier. Raises InvalidInput, which names the cell of a table that is wrong."""
    _refuse(carrier_problems(carrier))
    document = carrier.document()

    def work(conn: Connection[TupleRow]) -> tuple[Written, Carrier]:
        network_store.lock_network(conn)
        before = network_store.get_carrier(conn, code)
        now = (carrier.name, carrier.active, document)
        if before and (before.name, before.active, before.document) == now:
            return "unchanged", before
        network_store.write_carrier(conn, code, name=carrier.name, document=document, active=carrier.active)
        _tell(db, conn, "carrier", [code], by)
        after = network_store.get_carrier(conn, code)
        assert after is not None, "it was just written"
        return _written(before), after

    return _notified(db, db.transact(work))


def set_carton(db: Database, code: str, carton: CartonIn, *, by: Actor) -> tuple[Written, Stored]:
    """Create or replace a carton. Raises InvalidInput."""
    _refuse(carton_problems(carton))
    return _set_document(db, "carton", code, carton, by)


def set_duty(db: Database, code: str, duty: DutyIn, *, by: Actor) -> tuple[Written, Stored]:
    """Create or replace a rule of duties and taxes. Raises InvalidInput."""
    _refuse(duty_problems(duty))
    return _set_document(db, "duty", code, duty, by)


def _set_document(
    db: Database, table: network_store.Table, code: str, row: CartonIn | DutyIn, by: Actor
) -> tuple[Written, Stored]:
    document = row.document()

    def work(conn: Connection[TupleRow]) -> tuple[Written, Stored]:
        network_store.lock_network(conn)
        before = network_store.get_document(conn, table, code)
        if before and (before.active, before.document) == (row.active, document):
            return "unchanged", before
        network_store.write_document(conn, table, code, document=document, active=row.active)
        _tell(db, conn, table, [code], by)
        after = network_store.get_document(conn, table, code)
        assert after is not None, "it was just written"
        return _written(before), after

    return _notified(db, db.transact(work))


def set_markdowns(
    db: Database, rows: Sequence[object], *, by: Actor, transact: Transactor | None = None
) -> list[RowResult]:
    """Create, replace or take back many markdowns; a refused row stops no other. Results in their order."""
    read = read_rows(rows, MarkdownRow, "sku")

    def work(conn: Connection[TupleRow]) -> list[RowResult]:
        documents = [row for row in read if isinstance(row, MarkdownRow)]
        network_store.lock_network(conn)
        items = network_store.item_ids(conn, {row.sku for row in documents})
        nodes = network_store.node_ids(conn, {row.node for row in documents})
        pairs = [(items[r.sku], nodes[r.node]) for r in documents if r.sku in items and r.node in nodes]
        changes = decide_markdowns(read, items, nodes, network_store.find_markdowns(conn, pairs))
        changed = [r.key for r in changes.results if r.status in ("created", "updated") and r.key is not None]
        if changed:
            network_store.write_markdowns(conn, changes)
            _tell(db, conn, "markdown", changed, by)
        return changes.results

    return _notified(db, (transact or db.transact)(work))


def set_lanes(
    db: Database, rows: Sequence[object], *, by: Actor, transact: Transactor | None = None
) -> list[RowResult]:
    """Create or replace many lanes; a refused row stops no other. Results in their order."""
    read = read_rows(rows, LaneRow, "from")

    def work(conn: Connection[TupleRow]) -> list[RowResult]:
        documents = [row for row in read if isinstance(row, LaneRow)]
        network_store.lock_network(conn)
        nodes = network_store.node_ids(conn, {code for row in documents for code in (row.from_, row.to)})
        ends = [(nodes[r.from_], nodes[r.to]) for r in documents if r.from_ in nodes and r.to in nodes]
        changes = decide_lanes(read, nodes, network_store.find_lanes(conn, ends))
        if changes.written:
            network_store.write_lanes(conn, changes.written)
            _tell_restocking(db, conn, "lane", changes, by)
        return changes.results

    return _notified(db, (transact or db.transact)(work))


def set_supply(
    db: Database, rows: Sequence[object], *, by: Actor, transact: Transactor | None = None
) -> list[RowResult]:
    """Create or replace how many items come to nodes; a refused row stops no other. Results in their order."""
    read = read_rows(rows, SupplyRow, "sku")

    def work(conn: Connection[TupleRow]) -> list[RowResult]:
        documents = [row for row in read if isinstance(row, SupplyRow)]
        network_store.lock_network(conn)
        items = network_store.items_with_kind(conn, {row.sku for row in documents})
        nodes = network_store.node_ids(conn, {row.node for row in documents if row.node is not None})
        keys = [
            (items[r.sku][0], EVERY_NODE if r.node is None else nodes[r.node])
            for r in documents
            if r.sku in items and (r.node is None or r.node in nodes)
        ]
        changes = decide_supply(read, items, nodes, network_store.find_supply(conn, keys))
        if changes.written:
            network_store.write_supply(conn, changes.written)
            _tell_restocking(db, conn, "supply", changes, by)
        return changes.results

    return _notified(db, (transact or db.transact)(work))


def _tell_restocking(db: Database, conn: Connection[TupleRow], kind: str, changes: Changes, by: Actor) -> None:
    """No news to those who decide orders: an event of its own kind."""
    codes = [r.key for r in changes.results if r.status in ("created", "updated")]
    write_event(conn, "restocking.changed", kind, {"kind": kind, "codes": codes}, actor=by, origin=db.origin)


def set_channel(
    db: Database, code: str, channel: ChannelIn, *, by: Actor, connectors: Connectors | None = None
) -> tuple[Written, Channel]:
    """Create or replace a channel. Raises InvalidInput.

    connectors  to which channels may be connected; None: to none
    """
    connectors = connectors or NO_CONNECTORS

    def work(conn: Connection[TupleRow]) -> tuple[Written, Channel]:
        network_store.lock_network(conn)
        ids = network_store.node_ids(conn, channel.nodes or [])
        _refuse(channel_problems(channel, node_ids=ids, groups=_groups(conn, channel), skus=_quota_skus(conn, channel)))
        before = channel_store.get_channel(conn, code)
        sealed = channel_store.get_sealed(conn, code)
        settings, kept = connectors.checked(channel, before, sealed)
        nodes = None if channel.nodes is None else sorted(ids, key=lambda node: ids[node])
        wanted = channel_of(code, channel, settings, nodes)
        if before and before.content() == wanted.content() and kept == sealed:
            return "unchanged", before
        node_ids = None if nodes is None else [ids[node] for node in nodes]
        channel_store.write_channel(conn, wanted, node_ids, kept)
        _tell(db, conn, "channel", [code], by)
        after = channel_store.get_channel(conn, code)
        assert after is not None, "it was just written"
        if before is not None and _asks_of(before) != _asks_of(after):
            price_store.forget(conn, after.channel_id)  # another shop, or one whose prices were its own meanwhile
        if before is not None and (kept != sealed or _asks_of(before) != _asks_of(after)):
            forget_token(conn, after.channel_id)
        return _written(before), after

    return _notified(db, db.transact(work))


def _asks_of(channel: Channel) -> tuple[object, ...]:
    return channel.prices, channel.currency, channel.connector, channel.settings


def _groups(conn: Connection[TupleRow], channel: ChannelIn) -> Collection[str]:
    code = channel.node_group
    return () if code is None or network_store.get_group(conn, code) is None else (code,)


def _quota_skus(conn: Connection[TupleRow], channel: ChannelIn) -> Collection[str]:
    if channel.quota is None or not channel.quota.units_by_sku:
        return ()
    return catalog_store.known_skus(conn, channel.quota.units_by_sku)


def set_listing(db: Database, channel: str, sku: str, listing: ListingIn, *, by: Actor) -> tuple[Written, Listing]:
    """Create or replace the listing of an item on a channel. Raises NotFound for either."""

    def work(conn: Connection[TupleRow]) -> tuple[Written, Listing]:
        channel_id, item_id = channel_store.lock_ids(conn, channel, sku)
        if channel_id is None:
            raise NotFound("channel", channel)
        if item_id is None:
            raise NotFound("item", sku)
        before = channel_store.get_listing(conn, channel, sku)
        if before and (before.external_id, before.external_sku, before.status) == (
            listing.external_id,
            listing.external_sku,
            listing.status,
        ):
            return "unchanged", before
        channel_store.write_listing(conn, channel_id, item_id, listing)
        _tell(db, conn, "listing", [f"{channel}/{sku}"], by)
        after = channel_store.get_listing(conn, channel, sku)
        assert after is not None, "it was just written"
        return _written(before), after

    return _notified(db, db.transact(work))


def _tell(db: Database, conn: Connection[TupleRow], kind: Kind, codes: Sequence[str], by: Actor) -> None:
    """One event, however many rows."""
    data: dict[str, Any] = {"kind": kind, "code": codes[0]}
    if len(codes) > 1:
        data = {"kind": kind, "codes": list(codes)}
    subject = codes[0] if len(codes) == 1 else f"{kind}s"
    write_event(conn, "network.changed", subject, data, actor=by, origin=db.origin)


def _refuse(problems: Sequence[tuple[str, str]]) -> None:
    if problems:
        raise InvalidInput([FieldError(path, message) for path, message in problems])


def _accepted(result: RowResult) -> Written:
    if result.status == "rejected":
        _refuse([(e.path, e.message) for e in result.errors])
        raise AssertionError("a refused row has its reasons")
    return result.status


def _written(before: object) -> Written:
    return "updated" if before is not None else "created"


def _notified(db: Database, result: T) -> T:
    db.notify()
    return result
