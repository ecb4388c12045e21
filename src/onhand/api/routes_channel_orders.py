"""What channels tell us and what we tell them of orders: their messages come in here, and can be seen and retried."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.body import read_body
from onhand.api.context import TheApp
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.app import App
from onhand.base.fields import Code, ShortText, Strict
from onhand.channels.inbound import store
from onhand.errors import Conflict, NotFound
from onhand.flows.receive import BODY_BYTES_MAX

router = routes("channels")

_read: dict[str, Any] = {"dependencies": [require("read")], "responses": problem_responses(404, 422)}


class MessageOut(BaseModel):
    """A message of a channel. `parked`: it could not be read, and waits for a person."""

    message_id: int
    topic: str
    status: Literal["due", "done", "parked"]
    attempts: int
    received_at: datetime
    next_try_at: datetime
    done_at: datetime | None
    error: str | None


class MessageList(BaseModel):
    """Messages in the order in which they came."""

    data: list[MessageOut]
    next_cursor: str | None


class ChannelOrderOut(BaseModel):
    """An order of a channel and how far ours follows it."""

    external_id: str
    order_id: str | None
    status: Literal["new", "unpaid", "unknown_sku", "refused", "taken", "not_ours"]
    channel_status: str
    problem: str | None
    is_behind: bool
    attempts: int
    said_at: datetime
    heard_at: datetime


class ChannelOrderList(BaseModel):
    """Orders of a channel by their id there."""

    data: list[ChannelOrderOut]
    next_cursor: str | None


class NoticeOut(BaseModel):
    """What a channel was, or is to be, told of an order. `refused`: it does not take it."""

    notice_id: int
    order_id: str
    kind: Literal["parcel", "cancel"]
    shipment_no: int
    status: Literal["due", "done", "refused"]
    attempts: int
    created_at: datetime
    next_try_at: datetime
    sent_at: datetime | None
    done_at: datetime | None
    error: str | None


class NoticeList(BaseModel):
    """Notices in the order in which they were written."""

    data: list[NoticeOut]
    next_cursor: str | None


class FindingOut(BaseModel):
    """In what an order of the channel and ours differed, and what was done about it."""

    external_id: str
    order_id: str | None = None
    finding: str
    done: str


class ReportOut(BaseModel):
    """What a comparison of a channel's orders with ours came to."""

    report_id: int
    since: datetime
    at: datetime
    seen: int
    lost: int
    changed: int
    differing: int
    findings: list[FindingOut]


class ReportList(BaseModel):
    """Reports, the latest first."""

    data: list[ReportOut]
    next_cursor: str | None


class RulingOut(BaseModel):
    """Who was served when two channels sold the last unit. order_id: of the order that waited; served: who has the
    units now, None if nobody held enough; outcome: of who has not."""

    arbitration_id: int
    at: datetime
    order_id: str
    sku: str
    units: int
    served: str | None
    gave_way: list[str]
    outcome: Literal["backorder", "transfer", "substitute", "cancel"]
    sentence: str


class RulingList(BaseModel):
    """Rulings, the latest first."""

    data: list[RulingOut]
    next_cursor: str | None


class RetryOrder(Strict):
    """Which order to take in now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"external_id": "gid://shopify/Order/1001"}]})

    external_id: ShortText


@router.post("/v1/channels/{code}/inbound", include_in_schema=False)
async def receive(code: str, request: Request, app: TheApp) -> Response:
    """A channel's own message: known by its signature, not by a key."""
    body = await read_body(request.receive, BODY_BYTES_MAX)
    # Of several headers of one name the last counts, for the check as for what is read.
    headers = {name.lower(): value for name, value in request.headers.items()}
    url = str(request.url)
    answer = await run_in_threadpool(lambda: app.doors.receive(code, headers, body, url=url, now=app.state.now()))
    return Response(answer.body, answer.status)


@router.get("/v1/channels/{code}/messages", response_model=MessageList, **_read)
def list_messages(
    code: Code,
    app: TheApp,
    page: Annotated[Page, pages("messages", int)],
    status: Annotated[Literal["due", "done", "parked"] | None, Query()] = None,
) -> dict[str, Any]:
    """Messages of a channel, oldest first, without what they say. What was worked on is forgotten after 30 days."""
    after = 0 if page.after is None else int(page.after[0])
    with app.db.connection() as conn:
        channel_id = _channel(app, code)
        rows = store.list_messages(conn, channel_id, status=status, after=after, limit=page.limit + 1)
    return page.answer(rows, lambda row: (row["message_id"],))


@router.post(
    "/v1/channels/{code}/messages/{message_id}/retry",
    response_model=MessageOut,
    responses=problem_responses(404, 422),
    dependencies=[require("orders:write")],
)
def retry_message(code: Code, message_id: int, app: TheApp) -> dict[str, Any]:
    """Work on a message again now: one that was parked, or that waits for its next try. Repeating it is harmless."""
    channel_id = _channel(app, code)
    with app.db.connection() as conn:
        found = None if not 0 < message_id < 2**63 else store.retry_message(conn, channel_id, message_id)
    if found is None:
        raise NotFound("message", str(message_id))
    app.db.notify()
    return found


@router.get("/v1/channels/{code}/orders", response_model=ChannelOrderList, **_read)
def list_channel_orders(
    code: Code,
    app: TheApp,
    page: Annotated[Page, pages("channel-orders", str)],
    status: Annotated[
        Literal["new", "unpaid", "unknown_sku", "refused", "taken", "not_ours"] | None,
        Query(description="`unknown_sku` and `refused` are not placed yet: they are tried again when that may help"),
    ] = None,
    problems: Annotated[bool, Query(description="only those that a person should look at")] = False,
) -> dict[str, Any]:
    """Orders as the channel told us of them, by their id there, and how far ours follow."""
    after = "" if page.after is None else str(page.after[0])
    channel_id = _channel(app, code)
    with app.db.connection() as conn:
        rows = store.list_orders(conn, channel_id, status=status, problems=problems, after=after, limit=page.limit + 1)
    return page.answer(rows, lambda row: (row["external_id"],))


@router.post(
    "/v1/channels/{code}/orders/retry",
    status_code=202,
    response_model=RetryOrder,
    responses=problem_responses(404, 409, 422),
    dependencies=[require("orders:write")],
)
def retry_channel_order(code: Code, body: RetryOrder, app: TheApp) -> RetryOrder:
    """Try now to take in an order that could not be placed. Repeating it is harmless."""
    channel_id = _channel(app, code)
    with app.db.connection() as conn:
        if not store.retry_order(conn, channel_id, body.external_id):
            raise Conflict("channel_order.not_stuck", f"no order {body.external_id!r} of channel {code!r} waits")
    app.db.notify()
    return body


@router.get("/v1/channels/{code}/notices", response_model=NoticeList, **_read)
def list_notices(
    code: Code,
    app: TheApp,
    page: Annotated[Page, pages("notices", int)],
    status: Annotated[Literal["due", "done", "refused"] | None, Query()] = None,
) -> dict[str, Any]:
    """What the channel is told: parcels, and orders that we cannot serve."""
    after = 0 if page.after is None else int(page.after[0])
    channel_id = _channel(app, code)
    with app.db.connection() as conn:
        rows = store.list_notices(conn, channel_id, status=status, after=after, limit=page.limit + 1)
    return page.answer(rows, lambda row: (row["notice_id"],))


@router.get("/v1/channels/{code}/order-reports", response_model=ReportList, **_read)
def list_reports(code: Code, app: TheApp, page: Annotated[Page, pages("order-reports", int)]) -> dict[str, Any]:
    """What comparing the channel's orders with ours came to, the latest first."""
    before = 2**63 - 1 if page.after is None else int(page.after[0])
    channel_id = _channel(app, code)
    with app.db.connection() as conn:
        rows = store.list_reports(conn, channel_id, before=before, limit=page.limit + 1)
    return page.answer(rows, lambda row: (row["report_id"],))


@router.get(
    "/v1/arbitrations", response_model=RulingList, dependencies=[require("read")], responses=problem_responses(422)
)
def list_rulings(app: TheApp, page: Annotated[Page, pages("arbitrations", int)]) -> dict[str, Any]:
    """Who was served when two channels sold the last unit, and why; the latest first."""
    before = 2**63 - 1 if page.after is None else int(page.after[0])
    with app.db.connection() as conn:
        rows = store.list_rulings(conn, before=before, limit=page.limit + 1)
    return page.answer(rows, lambda row: (row["arbitration_id"],))


def _channel(app: App, code: str) -> int:
    with app.db.connection() as conn:
        found = store.find_channel(conn, code)
    if found is None:
        raise NotFound("channel", code)
    return found
