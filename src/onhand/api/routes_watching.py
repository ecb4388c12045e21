"""How everything stands, in a few figures: queues, what comes and where it goes, how fast promises are, how old numbers
at channels. Cheap, however much there is and however many look: each answer may be a second or a few old.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from onhand.api import metrics
from onhand.api.auth import require
from onhand.api.context import Edge, TheApp, TheEdge
from onhand.api.idempotent import to_json
from onhand.api.order_models import Queue
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.app import App
from onhand.flows import channel_health
from onhand.network.places import locate
from onhand.orders import watching

orders = routes("promise and orders")
router = routes("health")

_read: Any = [require("read")]
_WITHIN_S: Final = 86_400
_QUEUES_S, _FLOWS_S, _LEVELS_S, _LISTINGS_S = 1.0, 2.0, 5.0, 60.0
_promise_seconds: Final = metrics.Lately(lambda: metrics.hot_buckets("POST", "/v1/promises"))


class QueueOut(BaseModel):
    """What waits in a queue."""

    queue: Queue
    orders: int
    oldest_at: Annotated[datetime | None, Field(description="when the oldest of them was placed")]
    past_due: Annotated[
        int, Field(description="whose promise has passed, or that have none and have waited for longer than `within_s`")
    ]
    promise_broken: Annotated[int, Field(description="of those: whose promise has passed")]
    next_due_at: Annotated[datetime | None, Field(description="the next promise among them that will pass")]


class ToShipOut(BaseModel):
    """What nodes have been given to ship and have not."""

    fulfilments: int
    past_due: Annotated[int, Field(description="that should have left by now")]
    oldest_at: Annotated[datetime | None, Field(description="when the first of them was to leave")]


class QueuesOut(BaseModel):
    """Every queue, also empty ones, that which needs a person most first."""

    as_of: datetime
    within_s: int
    queues: list[QueueOut]
    to_ship: ToShipOut


class ComingOut(BaseModel):
    """Orders that came, by this server's clock."""

    last_minute: int
    last_hour: int
    by_minute: Annotated[list[int], Field(description="of each of the last 60 minutes, the oldest first")]


class FlowOut(BaseModel):
    """What a node was given to ship to a region. latitude, longitude: the middle of where it goes, null where nobody
    knows."""

    node: str
    country: str
    region: str | None
    orders: int
    units: int
    latitude: float | None
    longitude: float | None


class FlowsOut(BaseModel):
    """What came and where it goes: the ways with the most orders first, at most 500."""

    as_of: datetime
    orders: ComingOut
    since: Annotated[
        datetime, Field(description="ways are of orders from then on: later than asked for where more than 5,000 came")
    ]
    flows: list[FlowOut]


class PromiseTimesOut(BaseModel):
    """How long `POST /v1/promises` took lately, of all processes of this server; null: nobody asked yet."""

    asked: int
    p50_ms: float | None
    p99_ms: float | None
    over_s: Annotated[float | None, Field(description="seconds that these are of; null: all since the server began")]


class StandingOut(BaseModel):
    """How old the numbers are that a channel shows. null: none was read there yet."""

    channel: str
    name: str
    status: str
    listings: Annotated[int, Field(description="active ones")]
    verified: Annotated[int, Field(description="of them: whose number was read at the channel")]
    staleness_p50_s: Annotated[float | None, Field(description="since that, of half of them at most")]
    staleness_oldest_s: float | None
    lag_p50_ms: Annotated[float | None, Field(description="from a change of stock to the channel's acknowledgement")]
    lag_p99_ms: float | None
    queue_depth: Annotated[int, Field(description="listings that do not show what they should")]


class ServiceLevelsOut(BaseModel):
    """How fast promises are made, and how old the numbers at channels are."""

    as_of: datetime
    promises: PromiseTimesOut
    channels: list[StandingOut]


@orders.get("/v1/orders/queues", dependencies=_read, response_model=QueuesOut, responses=problem_responses(422))
def get_queues(
    app: TheApp,
    edge: TheEdge,
    within_s: Annotated[
        int, Query(ge=1, le=31_536_000, description="how long an order without a promise may wait")
    ] = _WITHIN_S,
) -> Response:
    """How many orders wait in each queue, since when, and how many are past due; and what nodes are to ship. Counted
    from indices, at most once a second.
    """

    def look() -> bytes:
        with app.db.connection() as conn:
            return to_json(watching.queue_depths(conn, now=app.state.now(), within=timedelta(seconds=within_s)))

    return _json(edge.looks.get(("queues", within_s), _QUEUES_S, look))


@orders.get("/v1/flows", dependencies=_read, response_model=FlowsOut, responses=problem_responses(422))
def get_flows(
    app: TheApp,
    edge: TheEdge,
    minutes: Annotated[int, Query(ge=1, le=1440, description="how far back ways are looked at")] = 60,
) -> Response:
    """How many orders came in the last minute and hour, and which ways the latest go: from node to country and region.
    By the time at which orders reached this server. Counted at most every two seconds.
    """
    return _json(edge.looks.get(("flows", minutes), _FLOWS_S, lambda: to_json(_flows(app, edge, minutes))))


def _flows(app: App, edge: Edge, minutes: int) -> dict[str, Any]:
    # Ids carry the time of the server, whatever time a simulation has.
    now = datetime.now(UTC)
    counts = edge.looks.get("coming", _FLOWS_S, lambda: _coming(app, edge))
    with app.db.connection() as conn:
        rows, since = watching.ways(conn, since=now - timedelta(minutes=minutes))
    for row in rows:
        if row["latitude"] is None and (place := locate(row["country"], row["region"], None, None, None)) is not None:
            row["latitude"], row["longitude"] = place.latitude, place.longitude
    coming = {"last_minute": counts[-1], "last_hour": sum(counts), "by_minute": counts}
    return {"as_of": now, "orders": coming, "since": since, "flows": rows}


def _coming(app: App, edge: Edge) -> list[int]:
    with app.db.connection() as conn:
        return edge.coming.by_minute(conn, now=datetime.now(UTC))


@router.get("/v1/service-levels", dependencies=_read, response_model=ServiceLevelsOut)
def get_service_levels(app: TheApp, edge: TheEdge) -> Response:
    """How long promises take, at the middle and of 99 in 100, and how old the numbers are that channels show. Looked at
    every five seconds at most; listings of channels that nobody publishes to are counted every minute.
    """
    return _json(edge.looks.get("levels", _LEVELS_S, lambda: to_json(_levels(app, edge))))


def _levels(app: App, edge: Edge) -> dict[str, Any]:
    counts, over_s = _promise_seconds.look()
    p50, p99 = (metrics.quantile(counts, share) for share in (0.5, 0.99))
    return {
        "as_of": app.state.now(),
        "promises": {
            "asked": int(counts[-1][1]) if counts else 0,
            "p50_ms": None if p50 is None else round(1000 * p50, 3),
            "p99_ms": None if p99 is None else round(1000 * p99, 3),
            "over_s": None if over_s is None else round(over_s, 3),
        },
        "channels": channel_health.standings(
            app.db, lambda: edge.looks.get("listings", _LISTINGS_S, lambda: channel_health.listings(app.db))
        ),
    }


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
