"""Orders after they were placed: read, cancel, hold, release, reroute; and the decisions behind them."""

from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import Query
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import Once, OnceDep, to_json
from onhand.api.order_models import (
    CancelIn,
    HoldIn,
    OrderDetailOut,
    OrderList,
    OrderOut,
    OrderStatus,
    PlanOut,
    Queue,
    ReleaseIn,
    RepromisedOut,
    RepromiseIn,
    RerouteIn,
)
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.base.fields import Code, Moment
from onhand.errors import InvalidInput, NotFound
from onhand.flows.cancel_order import cancel_order
from onhand.flows.change_orders import Done
from onhand.flows.explain_plan import explain_plan
from onhand.flows.hold_order import hold_order, release_order
from onhand.flows.repromise import Wish, repromise
from onhand.flows.source_again import reroute
from onhand.flows.transactor import Transactor
from onhand.orders.intake import Destination
from onhand.orders.store import order_uuid
from onhand.orders.views import Filter, get_order, list_orders

router = routes("promise and orders")

_read = [require("read")]
_write: dict[str, Any] = {
    "dependencies": [require("orders:write")],
    "response_model": OrderOut,
    "responses": problem_responses(404, 409, 422),
}
_Text = Annotated[str | None, Query(min_length=1, max_length=200)]
_Code = Annotated[Code | None, Query()]


def done(once: Once, flow: Callable[[Transactor], Done], status: int = 200) -> Response:
    """The answer of a command."""
    return once.run(flow, status=status, answer=lambda made: made.answer)


@router.get("/v1/orders", dependencies=_read, response_model=OrderList, responses=problem_responses(422))
def get_orders(
    app: TheApp,
    page: Annotated[Page, pages("orders", str)],
    status: OrderStatus | None = None,
    queue: Queue | None = None,
    channel: _Code = None,
    sku: Annotated[Code | None, Query(description="ordered, also as a part of a bundle")] = None,
    node: Annotated[Code | None, Query(description="ships a part of it")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="placed at this time or later")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="placed before this time")] = None,
    q: Annotated[_Text, Query(description="part of `external_id` or `order_id`")] = None,
) -> Response:
    """Orders, newest first. A search for what is rare among very many orders may be refused after 5 seconds (503
    `orders.list_too_slow`): narrow it by `from` and `to`.
    """
    which = Filter(status=status, queue=queue, channel=channel, sku=sku, node=node, since=since, until=until, q=q)
    with app.db.connection() as conn:
        rows = list_orders(conn, which, after=_after(page), limit=page.limit + 1)
    return _json(page.answer(rows, lambda row: (row["order_id"],)))


def _after(page: Page) -> str | None:
    try:
        return None if page.after is None else order_uuid(cast("str", page.after[0]))
    except NotFound:
        raise InvalidInput.at("cursor", "not a cursor of this list: use its next_cursor") from None


@router.get(
    "/v1/orders/{order_id}", dependencies=_read, response_model=OrderDetailOut, responses=problem_responses(404)
)
def get_one_order(order_id: str, app: TheApp) -> Response:
    """One order with lines, fulfilments, shipments, returns, what waits, decisions and its timeline."""
    order_id = order_uuid(order_id)
    with app.db.connection() as conn:
        found = get_order(conn, order_id)
    if found is None:
        raise NotFound("order", order_id)
    return _json(found)


@router.post("/v1/orders/{order_id}/cancel", **_write)
def post_cancel(order_id: str, app: TheApp, by: By, once: OnceDep, body: CancelIn | None = None) -> Response:
    """Cancel the order, or `lines` of it, as far as it has not been shipped. What was promised is released at once."""
    lines = None if body is None else body.lines
    return done(once, lambda transact: cancel_order(app.state, order_id, lines, by=by, transact=transact))


@router.post("/v1/orders/{order_id}/hold", **_write)
def post_hold(order_id: str, body: HoldIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """Stop the order: nodes may not accept, pack or ship it until it is released. It keeps its stock."""
    return done(once, lambda transact: hold_order(app.state, order_id, body.reason, by=by, transact=transact))


@router.post("/v1/orders/{order_id}/release", **_write)
def post_release(order_id: str, app: TheApp, by: By, once: OnceDep, body: ReleaseIn | None = None) -> Response:
    """End a hold. What waited for it is sourced at once."""
    place = None
    if body is not None and body.destination is not None:
        to = body.destination
        place = Destination(
            country=to.country,
            postal_code=to.postal_code,
            region=to.region,
            latitude=to.latitude,
            longitude=to.longitude,
        )
    return done(once, lambda transact: release_order(app.state, order_id, place, by=by, transact=transact))


@router.post("/v1/orders/{order_id}/reroute", **_write)
def post_reroute(order_id: str, app: TheApp, by: By, once: OnceDep, body: RerouteIn | None = None) -> Response:
    """Source again what waits, and what the nodes in `exclude` were to ship and have not."""
    exclude = None if body is None else body.exclude
    return done(once, lambda transact: reroute(app.state, order_id, exclude, by=by, transact=transact))


@router.post(
    "/v1/orders/{order_id}/repromise",
    dependencies=[require("orders:write")],
    response_model=RepromisedOut,
    responses=problem_responses(404, 409, 422),
)
def post_repromise(order_id: str, app: TheApp, by: By, once: OnceDep, body: RepromiseIn | None = None) -> Response:
    """Promise the order another day, and have its customer told once: the same day again changes nothing, and of a day
    that is withdrawn before the message leaves nobody hears. With `dry_run` it only says so. 409 `order.no_date` where
    nobody knows when what waits will come: say `deliver_by`.
    """
    asked = body or RepromiseIn()
    wish = Wish(
        deliver_by=asked.deliver_by,
        subject=asked.subject,
        text=asked.text,
        tells=asked.tell,
        is_dry_run=asked.dry_run,
    )
    return once.run(lambda transact: repromise(app.state, order_id, wish, by=by, transact=transact))


@router.get("/v1/plans/{plan_id}", dependencies=_read, response_model=PlanOut, responses=problem_responses(404))
def get_plan(plan_id: str, app: TheApp) -> Response:
    """Why an order is served as it is: every candidate with its costs, the limits that bound, the best plan without the
    chosen nodes and what it would have cost more, and what would have changed the decision.
    """
    return _json(explain_plan(app.db, plan_id))


def _json(row: object) -> Response:
    return Response(to_json(row), media_type="application/json")
