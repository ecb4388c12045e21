"""The SQL of nodes, node groups and carriers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.db import queries
from onhand.network.decide import NodeChanges
from onhand.network.model import Carrier, Node, NodeGroup

SQL = queries(__file__)

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
    rows = [{name: getattr(node, name) for name in _WRITTEN} for node in changes.written]
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
    """Create or replace a carrier, under `lock_network`."""
    text = msgspec.json.encode(document).decode()
    conn.execute(SQL["write_carrier"], {"code": code, "name": name, "document": text, "active": active})
