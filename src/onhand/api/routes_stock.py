"""Stock: positions, the ledger, inbound supply, reservations after they were made, capacity by day.

Recording entries, asking for availability and making reservations are hot routes (hot.py).
"""

from array import array
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import Query
from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp, TheEdge
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.app import App
from onhand.base.fields import Code, Day, Strict
from onhand.errors import DatabaseUnavailable, InvalidInput, NotFound
from onhand.flows.read_capacity import CapacityDay, Load, read_capacity
from onhand.flows.record_inbound import record_inbound
from onhand.flows.release_reservation import extend_reservation, release_reservation
from onhand.ledger import inbound, reservations, stock, store
from onhand.ledger.inbound import NO_ID, InboundIn, InboundKind
from onhand.ledger.model import Kind
from onhand.ledger.reservations import Reservation
from onhand.ledger.stock import EntryRow, StockRow
from onhand.ledger.store import Key

router = routes("stock")

DAYS_MAX = 366
_DAYS_DEFAULT = 14
TTL_MAX_S = 86_400

_read = [require("read")]
Filter = Annotated[Code | None, Query()]
Measure = Literal["available", "on_hand", "allocated", "unavailable", "inbound", "safety_stock"]

GRID_ITEMS_MAX = 500
# New items and nodes are seen in the grid so much later at most.
_GRID_ITEMS_S, _GRID_NODES_S = 2.0, 2.0


# Answers: documentation only, rows are written out as they are ------------------------------------


class StockOut(BaseModel):
    """Stock of an item at a node, in units. `available` = `on_hand` - `unavailable` - `allocated`."""

    sku: str
    node: str
    on_hand: int
    unavailable: int
    allocated: int
    oversold: Annotated[int, Field(description="promised units that a count or damage took away")]
    available: int
    inbound: Annotated[int, Field(description="announced and not yet received")]
    safety_stock: int
    version: Annotated[int, Field(description="ledger entries so far")]


class CountersOut(BaseModel):
    """Units of a position."""

    on_hand: int
    unavailable: int
    allocated: int
    oversold: int


class EntryOut(BaseModel):
    """A ledger entry: what was stated, what it changed, and the position after it."""

    entry_id: int
    kind: Kind
    sku: str
    node: str
    quantity: Annotated[int, Field(description="as stated: signed for an adjustment, absolute for a count")]
    change: CountersOut
    on_hand: int
    unavailable: int
    allocated: int
    oversold: int
    available: int
    version: int
    reason: str | None
    reference: Annotated[str | None, Field(description="the caller's document")]
    ref: Annotated[UUID | None, Field(description="the order or reservation behind it")]
    actor: Annotated[int, Field(description="id of the API key; 0 is the system")]
    occurred_at: datetime
    recorded_at: datetime


class GridRow(BaseModel):
    """An item of the grid."""

    sku: str
    units: Annotated[list[int | None], Field(description="by node, as in `nodes`; null: it was never there")]
    short: Annotated[
        list[int],
        Field(description="which of `units`, from 0, are of positions that are oversold, or sold down to safety stock"),
    ]


class GridOut(BaseModel):
    """Some rows of a grid of items by nodes."""

    measure: Measure
    items: Annotated[int, Field(description="how many match in all")]
    first: int
    nodes: Annotated[list[str], Field(description="every node that has or had stock")]
    rows: list[GridRow]


class InboundLineOut(BaseModel):
    """Units expected of an item."""

    line_no: int
    sku: str
    quantity: int
    received: int
    promised: Annotated[int, Field(description="of those not received: units that orders wait for")]
    expected_at: datetime
    confidence: float


class InboundOut(BaseModel):
    """A document of supply; closed once all of it has arrived."""

    inbound_id: UUID
    reference: str
    kind: InboundKind
    node: str
    supplier: str | None
    created_at: datetime
    closed_at: datetime | None
    lines: list[InboundLineOut]


class ReservationLineOut(BaseModel):
    """Units held at a node; of a bundle, the units of one component."""

    sku: str
    quantity: int
    node: str


class ReservationOut(BaseModel):
    """A hold for a cart or quote."""

    model_config = ConfigDict(title="Reservation")

    reservation_id: UUID
    channel: str
    status: Literal["active", "used", "released", "expired"]
    expires_at: datetime
    created_at: datetime
    order_id: UUID | None
    lines: list[ReservationLineOut]


class LoadOut(BaseModel):
    """Fulfilments, lines and units of a day; null: without limit, or not known."""

    orders: int | None
    lines: int | None
    units: int | None


class CapacityOut(BaseModel):
    """A day of a node. `headroom` = `capacity` - `held` - `used` - `planned`."""

    node: str
    day: date
    capacity: Annotated[LoadOut, Field(description="0 on a day the node does not work")]
    held: Annotated[LoadOut, Field(description="promised and still to be done")]
    used: Annotated[LoadOut, Field(description="done; null for a node without limits")]
    planned: Annotated[LoadOut, Field(description="expected of accepted campaigns beyond that, on days to come")]
    headroom: LoadOut


class _List(BaseModel):
    next_cursor: str | None


class StockList(_List):
    """A page of positions."""

    data: list[StockOut]


class EntryList(_List):
    """A page of the ledger."""

    data: list[EntryOut]


class InboundList(_List):
    """A page of documents, oldest first."""

    data: list[InboundOut]


class CapacityList(_List):
    """A page of days."""

    data: list[CapacityOut]


# Positions and the ledger -------------------------------------------------------------------------


@router.get("/v1/stock", dependencies=_read, response_model=StockList)
def list_stock(
    app: TheApp, page: Annotated[Page, pages("stock", int, int)], sku: Filter = None, node: Filter = None
) -> Response:
    """Positions: what is where. Items that a node never had have no row there."""
    with app.db.connection() as conn:
        item_id, node_id = _ids(conn, app, sku, node)
        rows: list[StockRow] = []
        if _is_found(sku, item_id) and _is_found(node, node_id):
            after = (0, 0) if page.after is None else cast("tuple[int, int]", page.after)
            rows = stock.list_stock(conn, item_id=item_id, node_id=node_id, after=after, limit=page.limit + 1)
    return _page(page.answer(rows, lambda row: (row.item_id, row.node_id), _public_stock))


@router.get("/v1/stock/grid", dependencies=_read, response_model=GridOut, responses=problem_responses(422))
def get_stock_grid(
    app: TheApp,
    edge: TheEdge,
    measure: Annotated[Measure, Query(description="which number of a position")] = "available",
    first: Annotated[int, Query(ge=0, le=2**31 - 1, description="number of the first item, from 0")] = 0,
    count: Annotated[int, Query(ge=1, le=GRID_ITEMS_MAX)] = 100,
    q: Annotated[str | None, Query(min_length=1, max_length=200, description="part of the sku")] = None,
) -> Response:
    """One number of every position of some items, to be shown as a grid: items by their number among all that match, in
    the order in which they were made, without bundles.
    """
    matching = edge.searches.get(q, _GRID_ITEMS_S, lambda: _grid_items(app, q))
    shown = matching[first : first + count].tolist()
    with app.db.connection() as conn:
        nodes = edge.looks.get("grid nodes", _GRID_NODES_S, lambda: stock.stock_nodes(conn))
        rows = stock.stock_of_items(conn, shown)
    column = {node_id: n for n, (node_id, _) in enumerate(nodes)}
    cells: dict[int, list[int | None]] = {item_id: [None] * len(nodes) for item_id in shown}
    short: dict[int, list[int]] = {}
    for item_id, node_id, on_hand, unavailable, allocated, oversold, coming, safety in rows:
        if (n := column.get(node_id)) is None:
            continue  # its first stock came a moment ago
        available = on_hand - unavailable - allocated
        values = {
            "on_hand": on_hand, "unavailable": unavailable, "allocated": allocated, "available": available,
            "inbound": coming, "safety_stock": safety,
        }  # fmt: skip
        cells[item_id][n] = values[measure]
        if oversold > 0 or (measure == "available" and available <= safety > 0):
            short.setdefault(item_id, []).append(n)
    answer = {
        "measure": measure,
        "items": len(matching),
        "first": first,
        "nodes": [code for _, code in nodes],
        "rows": [
            {"sku": app.catalogue.skus[item_id], "units": units, "short": short.get(item_id, [])}
            for item_id, units in cells.items()
        ],
    }
    return _json(answer)


def _grid_items(app: App, q: str | None) -> "array[int]":
    """Ids of the items whose sku holds `q`, capitals or not; int32, for they are kept for a moment."""
    skus, bundles, part = app.catalogue.skus, app.catalogue.bundles, (q or "").lower()
    return array("i", (n for n, sku in enumerate(skus) if sku and n not in bundles and part in sku.lower()))


@router.get("/v1/stock/entries", dependencies=_read, response_model=EntryList)
def list_entries(
    app: TheApp,
    page: Annotated[Page, pages("stock/entries", int, int)],
    sku: Filter = None,
    node: Filter = None,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="entries with a greater id only")] = 0,
    order: Annotated[Literal["asc", "desc"], Query(description="oldest or newest first")] = "asc",
) -> Response:
    """The ledger, oldest first, or newest first with `order=desc`; a cursor of either may be used with the other, to
    turn round there. To follow it, read `/v1/events`: an entry shows up here when its transaction has committed, which
    may be a moment after one with a greater id.
    """
    entry, version = (None, None) if page.after is None else cast("tuple[int, int]", page.after)
    limit = page.limit + 1
    with app.db.connection() as conn:
        item_id, node_id = _ids(conn, app, sku, node)
        rows: list[EntryRow] = []
        if _is_found(sku, item_id) and _is_found(node, node_id):
            if order == "desc":
                rows = stock.last_entries(
                    conn, item_id=item_id, node_id=node_id, after=after, before=entry, before_version=version,
                    limit=limit,
                )  # fmt: skip
            else:
                rows = stock.list_entries(
                    conn, item_id=item_id, node_id=node_id, after=max(after, entry or 0), after_version=version or 0,
                    limit=limit,
                )  # fmt: skip
    return _page(page.answer(rows, lambda row: (row.entry_id, row.version), _public_entry))


# Inbound supply -----------------------------------------------------------------------------------


@router.post(
    "/v1/inbound",
    dependencies=[require("stock:write")],
    status_code=201,
    response_model=InboundOut,
    response_description="Recorded",
    responses={
        200: {"model": InboundOut, "description": "The same document was recorded before"},
        **problem_responses(409, 422),
    },
)
def post_inbound(body: InboundIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """Announce supply: a purchase order, a shipping notice, a transfer, expected returns. Receipts that name its
    `reference` are booked on it. Recorded once per `reference`: the same again answers 200, another content 409.
    """
    return once.run(
        lambda transact: record_inbound(app.db, app.catalogue, app.network.node_ids, body, by, transact=transact),
        status=lambda recorded: 201 if recorded.is_new else 200,
        answer=lambda recorded: recorded.inbound,
    )


@router.get("/v1/inbound", dependencies=_read, response_model=InboundList)
def list_inbound(
    app: TheApp,
    page: Annotated[Page, pages("inbound", str)],
    sku: Filter = None,
    node: Filter = None,
    reference: Filter = None,
    is_open: Annotated[bool | None, Query(alias="open", description="only what is still to come, or not")] = None,
) -> Response:
    """Announced supply, oldest first."""
    after = NO_ID if page.after is None else _uuid(cast("str", page.after[0]))
    with app.db.connection() as conn:
        item_id, node_id = _ids(conn, app, sku, node)
        rows: list[inbound.Inbound] = []
        if _is_found(sku, item_id) and _is_found(node, node_id):
            rows = inbound.list_inbound(
                conn,
                node_id=node_id,
                item_id=item_id,
                reference=reference,
                is_open=is_open,
                after=after,
                limit=page.limit + 1,
            )
    return _page(page.answer(rows, lambda row: (str(row.inbound_id),)))


@router.get(
    "/v1/inbound/{inbound_id}",
    dependencies=_read,
    response_model=InboundOut,
    responses=problem_responses(404, 422),
)
def get_inbound(inbound_id: UUID, app: TheApp) -> Response:
    """One document of supply."""
    with app.db.connection() as conn:
        found = inbound.find_inbound(conn, inbound_id=inbound_id)
    if found is None:
        raise NotFound("inbound", str(inbound_id))
    return _json(found)


# Reservations -------------------------------------------------------------------------------------


class ExtendIn(Strict):
    """How long a reservation is to last from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ttl_s": 900}]})

    ttl_s: Annotated[int, Field(ge=1, le=TTL_MAX_S)] = 900


_write_reservation: dict[str, Any] = {
    "dependencies": [require("orders:write")],
    "response_model": ReservationOut,
    "responses": problem_responses(404, 409, 422),
}


@router.get(
    "/v1/reservations/{reservation_id}",
    dependencies=_read,
    response_model=ReservationOut,
    responses=problem_responses(404, 422),
)
def get_reservation(reservation_id: UUID, app: TheApp) -> Response:
    """One reservation."""
    with app.db.connection() as conn:
        found = reservations.find_reservation(conn, reservation_id)
    if found is None:
        raise NotFound("reservation", str(reservation_id))
    return _json(_public_reservation(found))


@router.post("/v1/reservations/{reservation_id}/extend", **_write_reservation)
def post_extend(reservation_id: UUID, app: TheApp, by: By, once: OnceDep, body: ExtendIn | None = None) -> Response:
    """Make a reservation last at least `ttl_s` seconds from now. 409 when it has ended, or its time is over."""
    ttl_s = (body or ExtendIn()).ttl_s
    return once.run(
        lambda transact: extend_reservation(app.db, reservation_id, ttl_s, by, now=app.state.now(), transact=transact),
        answer=_public_reservation,
    )


@router.delete("/v1/reservations/{reservation_id}", **_write_reservation)
def delete_reservation(reservation_id: UUID, app: TheApp, by: By) -> Response:
    """Give the units of a reservation back. One that has expired or was released stays as it is; 409 when an order has
    used it.
    """
    released = release_reservation(app.db, reservation_id, by)
    _take_over(app, released.positions)
    return _json(_public_reservation(released.reservation))


# Capacity -----------------------------------------------------------------------------------------


@router.get(
    "/v1/capacity",
    dependencies=_read,
    response_model=CapacityList,
    responses=problem_responses(404, 422),
)
def list_capacity(
    app: TheApp,
    page: Annotated[Page, pages("capacity", int, str)],
    node: Filter = None,
    from_: Annotated[Day | None, Query(alias="from", description="default: today")] = None,
    to: Annotated[Day | None, Query(description=f"default: {_DAYS_DEFAULT} days in all")] = None,
) -> Response:
    """What nodes can do per day, and how much of it is taken; by node and day, in the node's local days."""
    today = app.state.now().astimezone(UTC).date()
    first = from_ or today
    last = to or first + timedelta(days=_DAYS_DEFAULT - 1)
    if not first <= last < first + timedelta(days=DAYS_MAX):
        raise InvalidInput.at("to", f"expected {first} or later, and at most {DAYS_MAX} days in all")
    after = (0, date.min) if page.after is None else (cast("int", page.after[0]), _date(page.after[1]))
    with app.db.connection() as conn:
        if node is not None and node not in app.network.node_ids and not store.find_nodes(conn, [node]):
            raise NotFound("node", node)
        rows = read_capacity(
            conn, node=node, first=first, last=last, today=today, after=after, limit=page.limit + 1
        )  # fmt: skip
    return _page(page.answer(rows, lambda row: (row.node_id, row.day.isoformat()), _public_capacity))


# Parts --------------------------------------------------------------------------------------------


def _ids(conn: Connection[TupleRow], app: App, sku: str | None, node: str | None) -> tuple[int | None, int | None]:
    """Ids of the names to filter by: from memory, else from the database."""
    item_id = node_id = None
    if sku is not None and (item_id := app.catalogue.ids.get(sku)) is None:
        item_id, _ = store.find_items(conn, [sku]).get(sku, (None, False))
    if node is not None and (node_id := app.network.node_ids.get(node)) is None:
        node_id = store.find_nodes(conn, [node]).get(node)
    return item_id, node_id


def _is_found(name: str | None, number: int | None) -> bool:
    """Whether rows can match: a name that nobody has matches none."""
    return name is None or number is not None


def _take_over(app: App, positions: Sequence[Key]) -> None:
    # It is committed: a memory that is behind costs a retry, never a unit.
    with suppress(DatabaseUnavailable):
        app.state.take([item for item, _ in positions], [node for _, node in positions])


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput.at("cursor", "not a cursor of this list") from None


def _date(text: int | str) -> date:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise InvalidInput.at("cursor", "not a cursor of this list") from None


def _json(value: object) -> Response:
    return Response(to_json(value), media_type="application/json")


def _page(document: dict[str, Any]) -> Response:
    return _json(document)


def _public_stock(row: StockRow) -> dict[str, Any]:
    return {
        "sku": row.sku,
        "node": row.node,
        "on_hand": row.on_hand,
        "unavailable": row.unavailable,
        "allocated": row.allocated,
        "oversold": row.oversold,
        "available": row.available,
        "inbound": row.inbound,
        "safety_stock": row.safety_stock,
        "version": row.version,
    }


def _public_entry(row: EntryRow) -> dict[str, Any]:
    return {
        "entry_id": row.entry_id,
        "kind": row.kind,
        "sku": row.sku,
        "node": row.node,
        "quantity": row.quantity,
        "change": {
            "on_hand": row.d_on_hand,
            "unavailable": row.d_unavailable,
            "allocated": row.d_allocated,
            "oversold": row.d_oversold,
        },
        "on_hand": row.on_hand,
        "unavailable": row.unavailable,
        "allocated": row.allocated,
        "oversold": row.oversold,
        "available": row.available,
        "version": row.version,
        "reason": row.reason,
        "reference": row.reference,
        "ref": row.ref,
        "actor": row.actor,
        "occurred_at": row.occurred_at,
        "recorded_at": row.recorded_at,
    }


def _public_reservation(found: Reservation) -> dict[str, Any]:
    return {
        "reservation_id": found.reservation_id,
        "channel": found.channel,
        "status": found.status,
        "expires_at": found.expires_at,
        "created_at": found.created_at,
        "order_id": found.order_id,
        "lines": [{"sku": n.sku, "quantity": n.quantity, "node": n.node} for n in found.lines],
    }


def _public_capacity(row: CapacityDay) -> dict[str, Any]:
    def public(load: Load) -> dict[str, int | None]:
        return {"orders": load.orders, "lines": load.lines, "units": load.units}

    return {
        "node": row.node,
        "day": row.day,
        "capacity": public(row.capacity),
        "held": public(row.held),
        "used": public(row.used),
        "planned": public(row.planned),
        "headroom": public(row.headroom),
    }
