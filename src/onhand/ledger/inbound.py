"""Dated supply that is on its way: purchase orders, shipping notices, transfers, expected returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import ConfigDict, Field

from onhand.base.fields import INT4_MAX, Code, Moment, ShortText, Strict
from onhand.db.queries import queries

SQL = queries(__file__)

LINES_MAX = 5_000
InboundKind = Literal["purchase", "shipping_notice", "transfer", "return"]
NO_ID = UUID(int=0)


class InboundLineIn(Strict):
    """Units of an item that are expected."""

    sku: Code
    quantity: Annotated[int, Field(ge=1, le=INT4_MAX)]
    expected_at: Annotated[Moment, Field(description="when it is to be there; it can be promised from then on")]
    confidence: Annotated[float, Field(ge=0, le=1, description="probability that it arrives by then")] = 1.0


class InboundIn(Strict):
    """A document of supply, as announced."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "reference": "PO-2026-0117",
                    "node": "BERLIN",
                    "supplier": "Keramik Nord",
                    "lines": [{"sku": "MUG-BLUE", "quantity": 240, "expected_at": "2026-03-09T08:00:00Z"}],
                }
            ]
        }
    )

    reference: Code
    node: Code
    supplier: ShortText | None = None
    kind: InboundKind = "purchase"
    lines: Annotated[list[InboundLineIn], Field(min_length=1, max_length=LINES_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundLine:
    """Units expected of one item. `promised` of those not received are waited for by backorders."""

    line_no: int
    sku: str
    quantity: int
    received: int
    promised: int
    expected_at: datetime
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """A document of supply as last committed; closed once all of it has arrived."""

    inbound_id: UUID
    reference: str
    kind: str
    node: str
    supplier: str | None
    created_at: datetime
    closed_at: datetime | None
    lines: list[InboundLine]

    def announces(self, request: InboundIn) -> bool:
        """Whether `request` says what this document said when it was first recorded."""
        return (self.kind, self.node, self.supplier) == (
            request.kind,
            request.node,
            request.supplier,
        ) and [(n.sku, n.quantity, n.expected_at, n.confidence) for n in self.lines] == [
            (n.sku, n.quantity, n.expected_at, n.confidence) for n in request.lines
        ]


def add_inbound(
    conn: Connection[TupleRow],
    inbound_id: str,
    request: InboundIn,
    *,
    node_id: int,
    item_ids: Sequence[int],
    actor_key_id: int,
) -> bool:
    """Write a document, `item_ids` those of its lines; False if its reference is taken."""
    added = conn.execute(
        SQL["add_inbound"],
        {
            "inbound_id": inbound_id,
            "reference": request.reference,
            "kind": request.kind,
            "node_id": node_id,
            "supplier": request.supplier,
            "actor": actor_key_id,
        },
    ).rowcount
    if not added:
        return False
    conn.execute(
        SQL["add_inbound_lines"],
        {
            "inbound_id": inbound_id,
            "node_id": node_id,
            "items": list(item_ids),
            "quantities": [line.quantity for line in request.lines],
            "expected": [line.expected_at for line in request.lines],
            "confidences": [line.confidence for line in request.lines],
        },
    )
    return True


def take_back_lines(conn: Connection[TupleRow], reference: str) -> str | None:
    """Delete the lines of an open document of which nothing has come and nobody was promised any, and answer its id;
    None: something has, and it stays. Whoever refers to it lets go of it, and then it is dropped."""
    lines = conn.execute(SQL["lock_open_inbound"], {"reference": reference}).fetchall()
    if not lines or any(taken for _, taken in lines):
        return None
    inbound_id: str = lines[0][0]
    conn.execute(SQL["drop_inbound_lines"], {"inbound_id": inbound_id})
    return inbound_id


def drop_inbound(conn: Connection[TupleRow], inbound_id: str) -> None:
    """Delete a document that has no lines any more."""
    conn.execute(SQL["drop_inbound"], {"inbound_id": inbound_id})


def find_inbound(
    conn: Connection[TupleRow], *, inbound_id: UUID | None = None, reference: str | None = None
) -> Inbound | None:
    """The document with that id or reference."""
    rows = conn.execute(SQL["find_inbound"], {"inbound_id": inbound_id, "reference": reference}).fetchall()
    found = _with_lines(conn, rows)
    return found[0] if found else None


def list_inbound(
    conn: Connection[TupleRow],
    *,
    node_id: int | None = None,
    item_id: int | None = None,
    reference: str | None = None,
    is_open: bool | None = None,
    after: UUID = NO_ID,
    limit: int,
) -> list[Inbound]:
    """Documents in order of creation, with all their lines; at most `limit` after the id `after`."""
    rows = conn.execute(
        SQL["list_inbound"],
        {
            "node_id": node_id,
            "item_id": item_id,
            "reference": reference,
            "is_open": is_open,
            "after": after,
            "limit": limit,
        },
    ).fetchall()
    return _with_lines(conn, rows)


def _with_lines(conn: Connection[TupleRow], rows: Sequence[TupleRow]) -> list[Inbound]:
    found = {
        row[0]: Inbound(
            inbound_id=row[0],
            reference=row[1],
            kind=row[2],
            node=row[3],
            supplier=row[4],
            created_at=row[5],
            closed_at=row[6],
            lines=[],
        )
        for row in rows
    }
    if found:
        for row in conn.execute(SQL["inbound_lines"], {"inbound_ids": list(found)}):
            found[row[0]].lines.append(
                InboundLine(
                    line_no=row[1],
                    sku=row[2],
                    quantity=row[3],
                    received=row[4],
                    promised=row[5],
                    expected_at=row[6],
                    confidence=row[7],
                )
            )
    return list(found.values())


@dataclass(frozen=True, slots=True)
class OpenLine:
    """An inbound line that arrivals may fill; open_units may be negative when more came before."""

    inbound_id: UUID
    line_no: int
    reference: str
    item_id: int
    node_id: int
    open_units: int


def split_received(
    lines: Sequence[OpenLine], arrived: Mapping[tuple[str, int, int], int]
) -> dict[tuple[UUID, int], int]:
    """Units received per (inbound_id, line_no), from units `arrived` by (reference, item, node).

    Lines fill in their order; what is more than all of them expected is booked on the last one.
    Arrivals that no line expects are left out. Pure.
    """
    rest = dict(arrived)
    received: dict[tuple[UUID, int], int] = {}
    last: dict[tuple[str, int, int], OpenLine] = {}
    for line in lines:
        name = (line.reference, line.item_id, line.node_id)
        if name not in rest:
            continue
        last[name] = line
        units = min(rest[name], max(line.open_units, 0))
        if units:
            received[line.inbound_id, line.line_no] = units
            rest[name] -= units
    for name, line in last.items():
        if rest[name]:
            key = (line.inbound_id, line.line_no)
            received[key] = received.get(key, 0) + rest[name]
    return received


def book_received(conn: Connection[TupleRow], arrived: Mapping[tuple[str, int, int], int]) -> list[tuple[UUID, int]]:
    """Count units `arrived` by (reference, item_id, node_id) as received; the lines that changed.

    A document all of whose lines are full is closed. Call after positions are locked.
    """
    names = {
        "references": sorted({reference for reference, _, _ in arrived}),
        "items": sorted({item_id for _, item_id, _ in arrived}),
    }
    lines = [OpenLine(*row) for row in conn.execute(SQL["lock_inbound_lines"], names)]
    received = split_received(lines, arrived)
    if received:
        conn.execute(
            SQL["book_received"],
            {
                "inbound_ids": [i for i, _ in received],
                "lines": [n for _, n in received],
                "units": list(received.values()),
            },
        )
    return list(received)
