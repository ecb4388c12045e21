"""The node's side: its work list, accept, pack, ship, deliver, reject; and returns."""

from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import Query
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.order_models import (
    FulfilmentDetailOut,
    FulfilmentList,
    FulfilmentStatus,
    RejectedOut,
    RejectIn,
    ReturnIn,
    ReturnOut,
    ShipIn,
    ShippedOut,
)
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routes_orders import done
from onhand.api.routing import routes
from onhand.base.fields import Code
from onhand.errors import InvalidInput, NotFound
from onhand.flows import fulfil
from onhand.flows.return_order import return_order
from onhand.fulfilment.store import Place, get_fulfilment, list_fulfilments
from onhand.ledger.store import find_nodes
from onhand.orders.store import numbered_id, order_uuid

router = routes("fulfilment")

_read = [require("read")]
_write: dict[str, Any] = {
    "dependencies": [require("orders:write")],
    "responses": problem_responses(404, 409, 422),
}


@router.get("/v1/fulfilments", dependencies=_read, response_model=FulfilmentList, responses=problem_responses(422))
def get_fulfilments(
    app: TheApp,
    page: Annotated[Page, pages("fulfilments", str, str, int)],
    node: Annotated[Code | None, Query()] = None,
    status: Annotated[FulfilmentStatus | None, Query(description="absent: all that is still open")] = None,
) -> Response:
    """What nodes have to do, soonest first."""
    with app.db.connection() as conn:
        node_id = None if node is None else find_nodes(conn, [node]).get(node)
        rows = (
            list_fulfilments(conn, node_id=node_id, status=status, after=_place(page), limit=page.limit + 1)
            if node is None or node_id is not None
            else []
        )
    return _json(page.answer(rows, lambda row: (row[0][0].isoformat(), row[0][1], row[0][2]), lambda row: row[1]))


def _place(page: Page) -> Place | None:
    if page.after is None:
        return None
    ship_by, order_id, number = cast("tuple[str, str, int]", page.after)
    try:
        moment = datetime.fromisoformat(ship_by)
        return moment, order_uuid(order_id), number if 0 < number < 32_768 else 0
    except (ValueError, NotFound):
        raise InvalidInput.at("cursor", "not a cursor of this list: use its next_cursor") from None


@router.get(
    "/v1/fulfilments/{fulfilment_id}",
    dependencies=_read,
    response_model=FulfilmentDetailOut,
    responses=problem_responses(404),
)
def get_one_fulfilment(fulfilment_id: str, app: TheApp) -> Response:
    """One fulfilment."""
    order_id, number = numbered_id(fulfilment_id, "f", "fulfilment")
    with app.db.connection() as conn:
        found = get_fulfilment(conn, order_id, number)
    if found is None:
        raise NotFound("fulfilment", fulfilment_id)
    return _json(found)


@router.post("/v1/fulfilments/{fulfilment_id}/accept", response_model=FulfilmentDetailOut, **_write)
def post_accept(fulfilment_id: str, app: TheApp, by: By, once: OnceDep) -> Response:
    """The node takes the work on."""
    return done(once, lambda transact: fulfil.accept(app.state, fulfilment_id, by=by, transact=transact))


@router.post("/v1/fulfilments/{fulfilment_id}/pack", response_model=FulfilmentDetailOut, **_write)
def post_pack(fulfilment_id: str, app: TheApp, by: By, once: OnceDep) -> Response:
    """The node has packed it. Accepting first is not required."""
    return done(once, lambda transact: fulfil.pack(app.state, fulfilment_id, by=by, transact=transact))


@router.post("/v1/fulfilments/{fulfilment_id}/ship", response_model=ShippedOut, **_write)
def post_ship(fulfilment_id: str, app: TheApp, by: By, once: OnceDep, body: ShipIn | None = None) -> Response:
    """A shipment leaves the node: all that is left, or `lines`. Accepting and packing first are not required."""
    what = body or ShipIn()
    return done(
        once,
        lambda transact: fulfil.ship(
            app.state,
            fulfilment_id,
            carrier=what.carrier,
            tracking=what.tracking,
            lines=what.lines,
            by=by,
            transact=transact,
        ),
    )


@router.post("/v1/fulfilments/{fulfilment_id}/deliver", response_model=FulfilmentDetailOut, **_write)
def post_deliver(fulfilment_id: str, app: TheApp, by: By, once: OnceDep) -> Response:
    """All shipments of it have reached the customer."""
    return done(once, lambda transact: fulfil.deliver(app.state, fulfilment_id, by=by, transact=transact))


@router.post("/v1/fulfilments/{fulfilment_id}/reject", response_model=RejectedOut, **_write)
def post_reject(fulfilment_id: str, body: RejectIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """The node cannot ship it, or `lines` of it. They are sourced again at once: from other nodes, else from supply on
    its way, else they wait in the queue `rejected`. Units not found or damaged become unavailable.
    """
    return done(
        once,
        lambda transact: fulfil.reject(
            app.state, fulfilment_id, body.reason, lines=body.lines, by=by, transact=transact
        ),
    )


@router.post("/v1/returns", status_code=201, response_model=ReturnOut, **_write)
def post_return(body: ReturnIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """Goods have come back to a node: into stock, or set aside as damaged or to be inspected."""
    return done(
        once,
        lambda transact: return_order(
            app.state, body.order_id, body.node, body.lines, body.disposition, by=by, transact=transact
        ),
        status=201,
    )


def _json(row: object) -> Response:
    return Response(to_json(row), media_type="application/json")
