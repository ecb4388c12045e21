"""Shipments on their way: what carriers tell of them, where they are, and when they will be there."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, SkipValidation
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.body import read_body
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.api.setup_answers import BATCH_MAX, AnyRow, ListOut, RowErrorOut, found, page_answer
from onhand.base.fields import Code
from onhand.errors import InvalidInput, NotFound
from onhand.flows.receive import BODY_BYTES_MAX
from onhand.flows.tracking import carriers
from onhand.flows.tracking.record import Told, record_tracking
from onhand.fulfilment.tracking import inbox, store
from onhand.fulfilment.tracking.messages import CarrierTrackingIn, HmacBy, KarrioBy, ScanMap, SharedBy, StandardBy
from onhand.fulfilment.tracking.model import Milestone, PlaceIn, TrackingRow
from onhand.fulfilment.tracking.store import Place
from onhand.orders.store import numbered_id, order_uuid

router = routes("fulfilment")

ShipmentStatus = Literal[
    "shipped", "handed_over", "in_transit", "at_hub", "out_for_delivery", "failed_attempt", "exception", "returned",
    "delivered",
]  # fmt: skip


# Bodies and answers -------------------------------------------------------------------------------


class TrackingBatch(BaseModel):
    """Up to 5,000 scans; each row is checked and answered by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {"carrier": "dhl", "tracking": "JD014600", "milestone": "handed_over",
                         "at": "2026-03-02T17:40:00Z"},
                        {"carrier": "dhl", "tracking": "JD014600", "milestone": "at_hub", "at": "2026-03-03T04:12:00Z",
                         "place": {"name": "Leipzig", "country": "DE"}, "code": "PCK"},
                    ]
                }
            ]
        },
    )  # fmt: skip

    events: Annotated[list[Annotated[TrackingRow, SkipValidation] | AnyRow], Field(max_length=BATCH_MAX)]


class TrackingResults(BaseModel):
    """What became of each row, in their order. unchanged: a repeat, which was known."""

    class TrackingResult(BaseModel):
        """A scan, and the shipments that it is of."""

        status: Literal["created", "unchanged", "rejected"]
        shipments: Annotated[
            list[str], Field(description="whose scan it is; none: kept until a shipment of that number leaves")
        ]
        code: Annotated[Literal["input.invalid"], Field(description="of rejected rows")] = "input.invalid"
        errors: Annotated[list[RowErrorOut], Field(description="of rejected rows")] = []

    results: list[TrackingResult]


class PredictionOut(BaseModel):
    """When it will be there: by p90 with a chance of nine in ten."""

    made_at: datetime
    p10: datetime
    p50: datetime
    p90: datetime
    p95: datetime


class TrackedShipmentOut(BaseModel):
    """A shipment, where it is and when it will be there."""

    shipment_id: str
    order_id: str
    fulfilment_id: str
    node: str
    carrier: str | None
    service: str | None
    tracking: str | None
    status: Annotated[ShipmentStatus, Field(description="shipped: its carrier has not told of it yet")]
    shipped_at: datetime
    scanned_at: Annotated[datetime | None, Field(description="the last scan")]
    delivered_at: datetime | None
    deliver_by: Annotated[datetime, Field(description="what was promised")]
    p_late: Annotated[float | None, Field(description="chance to come after deliver_by, while it is on its way")]
    likely_late_since: datetime | None
    prediction: PredictionOut | None


class TrackedShipmentList(ListOut):
    """A page of shipments."""

    data: list[TrackedShipmentOut]


class TrackingEventOut(BaseModel):
    """A scan."""

    milestone: Milestone
    at: datetime
    place: PlaceIn | None
    code: str | None
    text: str | None
    source: Literal["api", "import", "webhook"]
    recorded_at: datetime


class ForecastOut(PredictionOut):
    """What was foretold at a moment, after that milestone."""

    milestone: Milestone | None
    due_at: datetime | None
    p_late: float | None


class ShipmentDetailOut(TrackedShipmentOut):
    """A shipment with its scans as they happened, and what was foretold of it."""

    events: list[TrackingEventOut]
    forecasts: list[ForecastOut]


class CarrierTrackingOut(BaseModel):
    """How the messages of a carrier are known and read. The secret is never shown."""

    verify: Annotated[HmacBy | StandardBy | SharedBy, Field(discriminator="scheme")]
    records: str
    each: str | None = None
    map: ScanMap | None = None
    karrio: KarrioBy | None = None
    dedupe_header: str | None = None


class CarrierMessageOut(BaseModel):
    """A message of a carrier. parked: nothing in it could be used; it is read again when the map is changed."""

    message_id: int
    carrier: str
    status: Literal["due", "done", "parked"]
    received_at: datetime
    scans: Annotated[int | None, Field(description="that were found in it")]
    skipped: Annotated[int | None, Field(description="of codes that mean nothing to us")]
    error: str | None
    done_at: datetime | None


class CarrierMessageList(ListOut):
    """A page of messages, the latest first."""

    data: list[CarrierMessageOut]


# Routes -------------------------------------------------------------------------------------------


@router.post(
    "/v1/tracking/events", dependencies=[require("orders:write")], response_model=TrackingResults,
    responses=problem_responses(409, 422),
)  # fmt: skip
def post_tracking_events(body: TrackingBatch, app: TheApp, by: By, once: OnceDep) -> Response:
    """Tell up to 5,000 scans of parcels, by shipment or by carrier and tracking number. They may come in any order and
    again. Scans of a number that no shipment has yet are kept for 30 days. A shipment that is scanned as `delivered` is
    delivered within moments, and its fulfilment once all of its shipments are. A bad row never blocks a good one.
    """
    return once.run(
        lambda transact: record_tracking(
            app.db, body.events, source="api", now=app.state.now(), by=by, transact=transact
        ),
        answer=_results,
    )


def _results(told: list[Told]) -> dict[str, Any]:
    return {"results": [row.public() for row in told]}


@router.get(
    "/v1/shipments", dependencies=[require("read")], response_model=TrackedShipmentList,
    responses=problem_responses(422),
)  # fmt: skip
def list_shipments(
    app: TheApp,
    page: Annotated[Page, pages("shipments", str, str, int)],
    status: Annotated[ShipmentStatus | None, Query()] = None,
    is_open: Annotated[bool | None, Query(description="true: on their way; false: delivered")] = None,
    carrier: Annotated[Code | None, Query()] = None,
    node: Annotated[Code | None, Query()] = None,
    p_late_min: Annotated[
        float | None, Query(ge=0, le=1, description="on their way, and at least as likely to be late")
    ] = None,
) -> Response:
    """Shipments, the latest first."""
    with app.db.connection() as conn:
        rows = store.list_shipments(
            conn, limit=page.limit + 1, after=_place(page), node=node, carrier=carrier, status=status, is_open=is_open,
            p_late_min=p_late_min,
        )  # fmt: skip
    return page_answer(
        page.answer(rows, lambda row: (row.shipped_at.isoformat(), row.order_id, row.shipment_no), lambda r: r.public())
    )


def _place(page: Page) -> Place | None:
    if page.after is None:
        return None
    shipped_at, order_id, number = cast("tuple[str, str, int]", page.after)
    try:
        return datetime.fromisoformat(shipped_at), order_uuid(order_id), number if 0 < number < 32_768 else 0
    except (ValueError, NotFound):
        raise InvalidInput.at("cursor", "not a cursor of this list: use its next_cursor") from None


@router.get(
    "/v1/shipments/{shipment_id}", dependencies=[require("read")], response_model=ShipmentDetailOut,
    responses=problem_responses(404),
)  # fmt: skip
def get_shipment(shipment_id: str, app: TheApp) -> Response:
    """One shipment with its scans and what was foretold of it."""
    key = numbered_id(shipment_id, "s", "shipment")
    with app.db.connection() as conn, conn.transaction():
        row = store.get_shipment(conn, key)
    return found("shipment", shipment_id, row)


# Messages of carriers -----------------------------------------------------------------------------

CarrierCode = Annotated[Code, Path(examples=["dhl"])]


@router.put(
    "/v1/carriers/{code}/tracking", dependencies=[require("config:write")], response_model=CarrierTrackingOut,
    responses=problem_responses(404, 422),
)  # fmt: skip
def put_carrier_tracking(code: CarrierCode, body: CarrierTrackingIn, app: TheApp, by: By) -> Response:
    """Say how the messages that a carrier sends to `/v1/carriers/{code}/inbound` are known to be its own, and how scans
    are read from them. Messages that could not be read so far are read again.
    """
    carriers.set_feed(app.db, app.connectors.seal, code, body, by=by)
    return found("carrier_tracking", code, carriers.get_feed(app.db, code))


@router.get(
    "/v1/carriers/{code}/tracking", dependencies=[require("read")], response_model=CarrierTrackingOut,
    responses=problem_responses(404, 422),
)  # fmt: skip
def get_carrier_tracking(code: CarrierCode, app: TheApp) -> Response:
    """How the messages of a carrier are known and read."""
    return found("carrier_tracking", code, carriers.get_feed(app.db, code))


@router.get(
    "/v1/carrier-messages", dependencies=[require("read")], response_model=CarrierMessageList,
    responses=problem_responses(422),
)  # fmt: skip
def list_carrier_messages(
    app: TheApp,
    page: Annotated[Page, pages("carrier-messages", int)],
    carrier: Annotated[Code | None, Query()] = None,
    status: Annotated[Literal["due", "done", "parked"] | None, Query()] = None,
) -> Response:
    """Messages of carriers, the latest first, without what they say. What was read is forgotten after 30 days."""
    before = None if page.after is None else int(page.after[0])
    with app.db.connection() as conn:
        rows = inbox.list_messages(conn, carrier, status=status, before=before, limit=page.limit + 1)
    return page_answer(page.answer(rows, lambda row: (row["message_id"],)))


@router.post("/v1/carriers/{code}/inbound", include_in_schema=False)
async def receive_carrier_message(code: str, request: Request, app: TheApp) -> Response:
    """A carrier's own message: known by its signature, not by a key."""
    body = await read_body(request.receive, BODY_BYTES_MAX)
    # Of several headers of one name the last counts.
    headers = {name.lower(): value for name, value in request.headers.items()}
    url = str(request.url)
    await run_in_threadpool(
        lambda: carriers.receive(app.db, app.connectors.seal, code, headers, body, url=url, now=app.state.now())
    )
    return Response(status_code=202)
