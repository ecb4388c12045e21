"""How a channel is doing, and having it read again."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import TheApp
from onhand.api.idempotent import to_json
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.api.setup_answers import TheCode, get_options
from onhand.base.fields import Code
from onhand.flows import channel_health

router = routes("channels")


class QuantilesMs(BaseModel):
    """Milliseconds."""

    p50: float
    p99: float


class StalenessOut(BaseModel):
    """Of the channel's active listings: how many it was told the number of, how many numbers were read there, how long
    ago (the middle one, and the one longest ago)."""

    listings: int
    told: int
    verified: int
    p50_s: float | None
    oldest_s: float | None


class FailingListing(BaseModel):
    """A listing whose last write failed."""

    sku: str
    failures: int
    last_error: str
    next_try_at: datetime | None
    shown_units: int | None
    shown_at: datetime | None
    verified_at: datetime | None


class StaleListing(BaseModel):
    """A listing whose number was verified longest ago, or never."""

    sku: str
    shown_units: int | None
    shown_at: datetime | None
    verified_at: datetime | None
    failures: int | None
    last_error: str | None


class OrdersReconciledOut(BaseModel):
    """What the last comparison of the channel's orders with ours came to. error: why there was none since.
    What was found of each order: /v1/channels/{code}/order-reports"""

    report_id: int | None
    reconciled_at: datetime | None
    seen: int
    lost: Annotated[int, Field(description="of which we had not heard; taken in")]
    changed: Annotated[int, Field(description="that had moved on since we heard of them; followed")]
    differing: int
    error: str | None


class FailingPrice(BaseModel):
    """A listing whose price was not taken. is_dead: it is not tried again before its price or its listing changes, or
    the channel is reconciled. price_minor: that it is to ask"""

    sku: str
    failures: int
    is_dead: bool
    last_error: str
    next_try_at: datetime | None
    shown_minor: int | None
    shown_at: datetime | None
    verified_at: datetime | None
    price_minor: int | None


class PricesOut(BaseModel):
    """How our prices on a channel are doing that takes them, in minor units of its currency."""

    queue_depth: Annotated[int, Field(description="listings that do not ask our price yet")]
    under_way: int
    listings: int
    dead: Annotated[int, Field(description="refused so often that they are left for a person")]
    gone: Annotated[int, Field(description="listings that the channel does not have")]
    without_price: Annotated[int, Field(description="whose item has no price: left as they are")]
    other_currency: Annotated[int, Field(description="whose price is in another currency: never written")]
    written: int
    failed: int
    requests: int
    breaker: Literal["closed", "open"]
    last_error: str
    fault: Annotated[str, Field(description="why none is written; empty: they are")]
    read_at: datetime | None
    drift: Annotated[
        dict[str, Any] | None, Field(description="what the last reading found, by kind, with a few examples")
    ]
    failing: list[FailingPrice]


class ListingGate(BaseModel):
    """What is hidden from a channel of an item by a gate that is computed, and why, as of its last change."""

    sku: str
    hidden: Annotated[int, Field(description="units")]
    of: Annotated[int, Field(description="units that there were")]
    at: datetime
    why: Annotated[str, Field(examples=["hid 4 of 11: web sells 2.1/h, amazon hears us after 14 min, target 0.1 %"])]


class GateHealth(BaseModel):
    """How much is hidden from a channel, and by what. Seconds are at the 95th percentile, null: not measured yet."""

    mode: Literal["fixed", "percent", "adaptive"]
    hear_s: Annotated[float | None, Field(description="from a sale there until we hear of it")]
    wait_s: Annotated[
        float | None, Field(description="from a change of stock that lowers a number until its write leaves")
    ]
    apply_s: Annotated[float | None, Field(description="from then until the channel shows it")]
    target: Annotated[float | None, Field(description="oversold orders per order that are accepted")]
    price_of_risk: Annotated[
        float | None, Field(description="what the target has come to: oversells accepted per sale gained")
    ]
    learned_to: datetime | None
    orders: Annotated[int | None, Field(description="of the period that was learned from last")]
    oversold: int | None
    latest: Annotated[list[ListingGate], Field(description="that changed last, at most 20")]


class GatesOut(BaseModel):
    """Computed gates of a channel."""

    data: list[ListingGate]


class ChannelHealthOut(BaseModel):
    """How a channel is doing, as of `as_of`."""

    channel: str
    connector: str
    status: Literal["publishing", "failing", "not_connected", "silent", "inactive", "calls_us"]
    why: str | None
    as_of: datetime | None
    lag_ms: Annotated[
        QuantilesMs | None, Field(description="from the change of stock to the channel's acknowledgement")
    ]
    wait_ms: Annotated[
        QuantilesMs | None,
        Field(description="of that, until the write left, where it lowered a number: others may wait"),
    ]
    request_ms: Annotated[QuantilesMs | None, Field(description="of that, the request itself")]
    queue_depth: Annotated[int, Field(description="listings that do not show what they should")]
    breaker: Literal["closed", "open"]
    failures_in_a_row: int
    last_error: str | None
    written: Annotated[int, Field(description="since its publisher began")]
    failed: int
    staleness: StalenessOut
    failing_listings: int
    failing: Annotated[list[FailingListing], Field(description="at most 20")]
    stalest: Annotated[list[StaleListing], Field(description="at most 20")]
    gate: GateHealth
    reconciled_at: datetime | None
    drift: Annotated[
        dict[str, Any] | None,
        Field(description="what the last reconciliation of stock found, by kind, with a few examples"),
    ]
    orders: OrdersReconciledOut | None
    prices: PricesOut | None


class AskedOut(BaseModel):
    """It will be done within seconds."""

    channel: str
    status: Literal["asked"]


@router.get("/v1/channels/{code}/health", **get_options(ChannelHealthOut))
def get_channel_health(code: TheCode, app: TheApp) -> Response:
    """Lag, staleness, drift, queue depth and failures of what a channel is told."""
    return Response(to_json(channel_health.channel_health(app.db, code)), media_type="application/json")


@router.get("/v1/channels/{code}/gates", **get_options(GatesOut))
def get_channel_gates(
    code: TheCode,
    app: TheApp,
    sku: Annotated[Code | None, Query(description="of this item only, also if nothing is hidden")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """What gates hide from a channel and why, those that changed last first. Of gates that are computed: fixed ones are
    in the channel, and what they hide in `/v1/availability`."""
    found = channel_health.channel_gates(app.db, code, sku=sku, limit=limit)
    return Response(to_json({"data": found}), media_type="application/json")


@router.post(
    "/v1/channels/{code}/reconcile",
    dependencies=[require("config:write")],
    status_code=202,
    response_model=AskedOut,
    responses=problem_responses(404, 409, 422),
)
def post_reconcile(code: TheCode, app: TheApp) -> Response:
    """Have all that a channel shows, and its orders of the last days, read and compared now: what differs is written
    again, an order that was lost is taken in. What was found is in the channel's health. To be repeated at will."""
    channel_health.ask_reconcile(app.db, code)
    return Response(to_json({"channel": code, "status": "asked"}), 202, media_type="application/json")
