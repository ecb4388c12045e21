"""What an incident touches: the orders, items, positions, listings, channels and inbound lines of its findings.

A finding names its subject by a word and a key: ("lane", (node, carrier, country or region)), ("carrier", (carrier,)),
("node", (node,)), ("item_node", (sku, node)), ("item", (sku,)), ("order", (order id, or as the channel names it)),
("shipment" or "fulfilment", (id that begins with the order's)), ("channel", (code,)), ("listing", (channel, sku)),
("inbound", (reference, line, sku)). Words that are not known here touch nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.incidents.playbooks.facts import Case

SQL: Final = queries(__file__)
FIRST: Final = "00000000-0000-0000-0000-000000000000"
WAITING: Final = "waiting"
_MANY: Final = 1_000_000
UNRELEASED: Final = ("allocated",)
UNSHIPPED: Final = ("allocated", "accepted", "packed", "partly_shipped")
ON_ITS_WAY: Final = (*UNSHIPPED, "shipped")


def affected_orders(
    conn: Connection[TupleRow], case: Case, statuses: tuple[str, ...], *, after: str | None, limit: int
) -> list[str]:
    """Ids of orders that the incident touches, by id, above `after`.

    statuses  of a fulfilment that touches; "waiting" also takes those whose units wait for the item, the node or the
              inbound document
    """
    keys = _keys(case)
    values: dict[str, Any] = {
        "lane_nodes": [k[0] for k in keys["lane"]],
        "lane_carriers": [k[1] for k in keys["lane"]],
        "lane_places": [k[2] for k in keys["lane"]],
        "carriers": [k[0] for k in keys["carrier"]],
        "nodes": [k[0] for k in keys["node"]],
        "skus": [*(k[0] for k in (*keys["item_node"], *keys["item"])), *(k[1] for k in keys["listing"])],
        "sku_nodes": [*(k[1] for k in keys["item_node"]), *("" for _ in (*keys["item"], *keys["listing"]))],
        "sku_channels": [*("" for _ in (*keys["item_node"], *keys["item"])), *(k[0] for k in keys["listing"])],
        "references": [k[0] for k in keys["inbound"]],
        "ids": [i for k in (*keys["order"], *keys["shipment"], *keys["fulfilment"]) if (i := _uuid(k[0]))],
        "numbers": [k[-1] for k in keys["order"] if not _uuid(k[0])],
        "statuses": list(statuses),
        "waiting": WAITING in statuses,
        "after": after or FIRST,
        "limit": limit,
    }
    return [order_id for (order_id,) in conn.execute(SQL["affected_orders"], values)]


def count_orders(conn: Connection[TupleRow], case: Case, statuses: tuple[str, ...]) -> int:
    """How many orders the incident touches; see affected_orders."""
    return len(affected_orders(conn, case, statuses, after=None, limit=_MANY))


def nodes_of(case: Case) -> set[str]:
    """Codes of the nodes that the findings name."""
    keys = _keys(case)
    return {k[0] for k in (*keys["lane"], *keys["node"])} | {k[1] for k in keys["item_node"]}


def skus_of(case: Case) -> list[str]:
    """Items that the findings name, the dearest first."""
    return list(numbers_by_sku(case))


def numbers_by_sku(case: Case) -> dict[str, Mapping[str, float]]:
    """The numbers of the dearest finding of each item that the findings name, the dearest item first."""
    found: dict[str, Mapping[str, float]] = {}
    for finding in case.findings:
        place = _SKU.get(finding.subject.what)
        if place is not None and len(finding.subject.key) > place:
            found.setdefault(finding.subject.key[place], finding.numbers)
    return found


def positions_of(case: Case) -> list[tuple[str, str]]:
    """(sku, node) that the findings name, the dearest first."""
    return list(dict.fromkeys((k[0], k[1]) for k in _keys(case)["item_node"]))


def channels_of(case: Case) -> list[str]:
    """Channels that the findings name."""
    keys = _keys(case)
    return list(dict.fromkeys(k[0] for k in (*keys["channel"], *keys["listing"])))


def listings_of(conn: Connection[TupleRow], case: Case) -> list[tuple[str, str]]:
    """(channel, sku) of listings that the findings name, or of whose items or channels they do."""
    keys = _keys(case)
    values = {
        "channels": [k[0] for k in keys["listing"]],
        "skus": [k[1] for k in keys["listing"]],
        "all_of": [k[0] for k in (*keys["item"], *keys["item_node"])],
    }
    return conn.execute(SQL["listings"], values).fetchall()


def references_of(case: Case) -> list[str]:
    """References of inbound documents that the findings name."""
    return list(dict.fromkeys(k[0] for k in _keys(case)["inbound"]))


_PARTS: Final = {
    "lane": 3, "carrier": 1, "node": 1, "item_node": 2, "item": 1, "order": 1, "shipment": 1, "fulfilment": 1,
    "channel": 1, "listing": 2, "inbound": 1,
}  # fmt: skip


# Where in a subject's key the item stands.
_SKU: Final = {"item_node": 0, "item": 0, "listing": 1, "inbound": 2}


def _keys(case: Case) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {what: [] for what in _PARTS}
    for finding in case.findings:
        subject = finding.subject
        if len(subject.key) >= _PARTS.get(subject.what, 99):
            found[subject.what].append(subject.key)
    return found


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text[:36]))
    except ValueError:
        return None


def joined(parts: Iterable[str]) -> str:
    """The key of a claim."""
    return "/".join(parts)
