"""The SQL of nodes, node groups, carriers, cartons, duties, markdowns, lanes and supply."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow, class_row, dict_row

from onhand.db import queries
from onhand.network.decide import MarkdownChanges, NodeChanges
from onhand.network.model import Carrier, Markdown, Node, NodeGroup, Stored
from onhand.network.parcels import parcel_limits
from onhand.network.restocking import EVERY_NODE, Key, Lane, Supply

SQL = queries(__file__)

Table = Literal["carton", "duty"]

_WRITTEN = tuple(f.name for f in fields(Node) if f.name not in ("created_at", "updated_at"))


def lock_network(conn: Connection[TupleRow]) -> None:
    """Nobody else writes the network until the transaction ends."""
    conn.execute(SQL["lock_network"])


def lock_nodes(conn: Connection[TupleRow], codes: Collection[str]) -> tuple[Mapping[str, Node], int]:
    """The nodes of `codes` that exist, by code, and the highest node_id; stable until the transaction ends."""
    lock_network(conn)
    row = conn.execute(SQL["highest_node_id"]).fetchone()
    assert row is not None
    return {node.code: node for node in load_nodes(conn, codes)}, row[0]


def load_nodes(conn: Connection[TupleRow], codes: Collection[str]) -> list[Node]:
    """The nodes of `codes` that exist, in no order."""
    with conn.cursor(row_factory=class_row(Node)) as rows:
        return rows.execute(SQL["load_nodes"], {"codes": list(codes)}).fetchall()


def get_node(conn: Connection[TupleRow], code: str) -> Node | None:
    """One node."""
    return next(iter(load_nodes(conn, [code])), None)


def list_nodes(
    conn: Connection[TupleRow],
    *,
    after: str = "",
    limit: int,
    node_type: str | None = None,
    country: str | None = None,
    active: bool | None = None,
) -> list[Node]:
    """Nodes with a code above `after` (byte order)."""
    where = {
        "after": after,
        "limit": limit,
        "node_type": node_type,
        "country": country,
        "active": active,
    }
    with conn.cursor(row_factory=class_row(Node)) as rows:
        return rows.execute(SQL["list_nodes"], where).fetchall()


def node_ids(conn: Connection[TupleRow], codes: Collection[str]) -> dict[str, int]:
    """Ids of the nodes of `codes` that exist."""
    return dict(conn.execute(SQL["node_ids"], {"codes": list(codes)}).fetchall())


def write_nodes(conn: Connection[TupleRow], changes: NodeChanges) -> None:
    """Write what `decide_nodes` decided, under the lock of `lock_nodes`; counts promised capacity where it must."""
    if not changes.written:
        return
    if changes.now_limited:
        conn.execute(SQL["stop_promises"])
    # In the order in which docks are locked.
    written = sorted(changes.written, key=lambda node: node.node_id)
    rows = [{name: getattr(node, name) for name in _WRITTEN} for node in written]
    conn.execute(SQL["write_nodes"], {"rows": msgspec.json.encode(rows).decode()})
    if changes.now_limited:
        conn.execute(SQL["count_promised"], {"node_ids": changes.now_limited})
    if changes.now_unlimited:
        conn.execute(SQL["forget_promised"], {"node_ids": changes.now_unlimited})


def get_group(conn: Connection[TupleRow], code: str) -> NodeGroup | None:
    """One node group."""
    with conn.cursor(row_factory=class_row(NodeGroup)) as rows:
        return rows.execute(SQL["get_group"], {"code": code}).fetchone()


def list_groups(conn: Connection[TupleRow], *, after: str = "", limit: int) -> list[NodeGroup]:
    """Node groups with a code above `after` (byte order)."""
    with conn.cursor(row_factory=class_row(NodeGroup)) as rows:
        return rows.execute(SQL["list_groups"], {"after": after, "limit": limit}).fetchall()


def write_group(conn: Connection[TupleRow], code: str, name: str, ids: Sequence[int]) -> None:
    """Create or replace a node group."""
    conn.execute(SQL["write_group"], {"code": code, "name": name, "node_ids": sorted(ids)})


def get_carrier(conn: Connection[TupleRow], code: str) -> Carrier | None:
    """One carrier."""
    with conn.cursor(row_factory=class_row(Carrier)) as rows:
        return rows.execute(SQL["get_carrier"], {"code": code}).fetchone()


def list_carriers(conn: Connection[TupleRow], *, after: str = "", limit: int) -> list[Carrier]:
    """Carriers with a code above `after` (byte order)."""
    with conn.cursor(row_factory=class_row(Carrier)) as rows:
        return rows.execute(SQL["list_carriers"], {"after": after, "limit": limit}).fetchall()


def write_carrier(
    conn: Connection[TupleRow], code: str, *, name: str, document: Mapping[str, Any], active: bool
) -> None:
    """Create or replace a carrier, under `lock_network`; counts promised parcels where they have a limit now."""
    text = msgspec.json.encode(document).decode()
    conn.execute(SQL["write_carrier"], {"code": code, "name": name, "document": text, "active": active})
    _write_parcel_limits(conn, code, parcel_limits(document) if active else {})


def write_transit(
    conn: Connection[TupleRow], code: str, services: Sequence[Mapping[str, Any]], learned: Sequence[Mapping[str, Any]],
    *, at: datetime,
) -> bool:  # fmt: skip
    """Write the transit times that were learned of these services of a carrier, under `lock_network`; False: they have
    changed meanwhile."""
    row = {
        "code": code, "at": at, "transit": msgspec.json.encode(learned).decode(),
        "services": msgspec.json.encode(services).decode(),
    }  # fmt: skip
    return conn.execute(SQL["write_transit"], row).rowcount > 0


def note_transit(conn: Connection[TupleRow], codes: Collection[str], *, at: datetime) -> None:
    """Note that what was learned of these carriers is still so."""
    conn.execute(SQL["note_transit"], {"codes": sorted(codes), "at": at})


def _write_parcel_limits(conn: Connection[TupleRow], carrier: str, limits: Mapping[tuple[str, str], int]) -> None:
    of_carrier = {"carrier": carrier}
    known = {(service, lane): n for service, lane, n in conn.execute(SQL["parcel_limits"], of_carrier)}
    if limits == known:
        return
    is_counted_anew = limits.keys() != known.keys()
    if is_counted_anew:
        conn.execute(SQL["stop_promises"])
    columns: dict[str, object] = {
        "services": [service for service, _ in limits],
        "lanes": [lane for _, lane in limits],
        "parcels": list(limits.values()),
    }
    conn.execute(SQL["write_parcel_limits"], of_carrier | columns)
    if is_counted_anew:
        conn.execute(SQL["forget_parcels"], of_carrier)
        conn.execute(SQL["count_parcels"], of_carrier)


def get_document(conn: Connection[TupleRow], table: Table, code: str) -> Stored | None:
    """One carton or duty."""
    with conn.cursor(row_factory=class_row(Stored)) as rows:
        return rows.execute(SQL[f"get_{table}"], {"code": code}).fetchone()


def list_documents(conn: Connection[TupleRow], table: Table, *, after: str = "", limit: int) -> list[Stored]:
    """Cartons or duties with a code above `after` (byte order)."""
    with conn.cursor(row_factory=class_row(Stored)) as rows:
        return rows.execute(SQL[f"list_{table}"], {"after": after, "limit": limit}).fetchall()


def write_document(
    conn: Connection[TupleRow], table: Table, code: str, *, document: Mapping[str, Any], active: bool
) -> None:
    """Create or replace a carton or duty, under `lock_network`."""
    text = msgspec.json.encode(document).decode()
    conn.execute(SQL[f"write_{table}"], {"code": code, "document": text, "active": active})


def item_ids(conn: Connection[TupleRow], skus: Collection[str]) -> dict[str, int]:
    """Ids of the items of `skus` that exist."""
    return dict(conn.execute(SQL["item_ids"], {"skus": list(skus)}).fetchall())


def find_markdowns(
    conn: Connection[TupleRow], pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], tuple[int, date | None]]:
    """(value_minor, until) of those (item_id, node_id) that have a markdown; stable under `lock_network`."""
    keys = {"item_ids": [item for item, _ in pairs], "node_ids": [node for _, node in pairs]}
    rows = conn.execute(SQL["find_markdowns"], keys)
    return {(item, node): (value, until) for item, node, value, until in rows}


def write_markdowns(conn: Connection[TupleRow], changes: MarkdownChanges) -> None:
    """Write what `decide_markdowns` decided, under `lock_network`."""
    if changes.written:
        items, nodes, values, untils = zip(*changes.written, strict=True)
        rows = {"item_ids": list(items), "node_ids": list(nodes), "values": list(values), "untils": list(untils)}
        conn.execute(SQL["write_markdowns"], rows)
    if changes.deleted:
        items, nodes = zip(*changes.deleted, strict=True)
        conn.execute(SQL["delete_markdowns"], {"item_ids": list(items), "node_ids": list(nodes)})


def list_markdowns(
    conn: Connection[TupleRow],
    *,
    after: tuple[str, str] = ("", ""),
    limit: int,
    sku: str | None = None,
    node: str | None = None,
) -> list[Markdown]:
    """Markdowns with a (sku, node) above `after` (byte order), those that are over included."""
    where = {"sku_after": after[0], "node_after": after[1], "limit": limit, "sku": sku, "node": node}
    with conn.cursor(row_factory=class_row(Markdown)) as rows:
        return rows.execute(SQL["list_markdowns"], where).fetchall()


def load_markdowns(
    conn: Connection[TupleRow], day: date | None = None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """What a unit of an item will fetch at a node when it must be cleared there, on `day` (UTC today when None), by
    item and node: int32[M] item ids, int32[M] node ids, int64[M] minor units."""
    found = conn.execute(SQL["load_markdowns"], {"day": day or datetime.now(UTC).date()}).fetchall()
    rows = np.array(found, np.int64).reshape(-1, 3)
    return rows[:, 0].astype(np.int32), rows[:, 1].astype(np.int32), rows[:, 2].copy()


def items_with_kind(conn: Connection[TupleRow], skus: Collection[str]) -> dict[str, tuple[int, bool]]:
    """(item_id, whether it is a bundle) of the items of `skus` that exist."""
    rows = conn.execute(SQL["items_with_kind"], {"skus": list(skus)}).fetchall()
    return {sku: (item_id, is_bundle) for sku, item_id, is_bundle in rows}


def find_lanes(conn: Connection[TupleRow], keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """Columns of those lanes of (from_node_id, to_node_id) that exist; stable under `lock_network`."""
    return _found(conn, "find_lanes", keys)


def find_supply(conn: Connection[TupleRow], keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """Columns of the supply of those (item_id, node_id) that has a row; stable under `lock_network`."""
    return _found(conn, "find_supply", keys)


def _found(conn: Connection[TupleRow], name: str, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    asked = {"firsts": [first for first, _ in keys], "seconds": [second for _, second in keys]}
    with conn.cursor(row_factory=dict_row) as rows:
        found = rows.execute(SQL[name], asked).fetchall()
    return {(row.pop("first"), row.pop("second")): row for row in found}


def write_lanes(conn: Connection[TupleRow], written: Mapping[Key, Mapping[str, Any]]) -> None:
    """Create or replace lanes, under `lock_network`."""
    rows = [{"from_node_id": source, "to_node_id": target} | dict(row) for (source, target), row in written.items()]
    conn.execute(SQL["write_lanes"], {"rows": msgspec.json.encode(rows).decode()})


def write_supply(conn: Connection[TupleRow], written: Mapping[Key, Mapping[str, Any]]) -> None:
    """Create or replace supply, under `lock_network`."""
    rows = [{"item_id": item, "node_id": node} | dict(row) for (item, node), row in written.items()]
    conn.execute(SQL["write_supply"], {"rows": msgspec.json.encode(rows).decode()})


def list_lanes(
    conn: Connection[TupleRow], *, after: tuple[str, str] = ("", ""), limit: int, node: str | None = None
) -> list[Lane]:
    """Lanes with a (from, to) above `after` (byte order); `node`: at either end."""
    where = {"source_after": after[0], "target_after": after[1], "limit": limit, "node": node}
    with conn.cursor(row_factory=class_row(Lane)) as rows:
        return rows.execute(SQL["list_lanes"], where).fetchall()


def list_supply(
    conn: Connection[TupleRow],
    *,
    after: tuple[str, str] = ("", ""),
    limit: int,
    sku: str | None = None,
    node: str | None = None,
) -> list[Supply]:
    """Supply with a (sku, node) above `after` (byte order), that of every node first."""
    where = {"sku_after": after[0], "node_after": after[1], "limit": limit, "sku": sku, "node": node}
    with conn.cursor(row_factory=class_row(Supply)) as rows:
        return rows.execute(SQL["list_supply"], where).fetchall()


def lock_lane(conn: Connection[TupleRow], source: int, target: int) -> tuple[int, int | None] | None:
    """(days, units_per_day) of an active lane, which nobody else changes or fills until the transaction ends."""
    row = conn.execute(SQL["lock_lane"], {"source": source, "target": target}).fetchone()
    return None if row is None else (row[0], row[1])


def lock_docks(conn: Connection[TupleRow], source: int, target: int) -> dict[int, tuple[str, int | None, int | None]]:
    """(code, units out a day, units in a day) by node, of those of the two whose docks have a limit; which nobody else
    changes or fills until the transaction ends."""
    rows = conn.execute(SQL["lock_docks"], {"source": source, "target": target})
    return {node_id: (code, out, into) for node_id, code, out, into in rows}


def supplier_of(conn: Connection[TupleRow], item_id: int, node_id: int) -> str | None:
    """Who supplies an item to a node now."""
    row = conn.execute(SQL["supplier_of"], {"item_id": item_id, "node_id": node_id, "every": EVERY_NODE}).fetchone()
    return None if row is None else row[0]
