"""Webhooks: endpoints, what could not be delivered, and sending it again."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand import webhooks
from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.events import event_id, parse_event_id
from onhand.api.idempotent import OnceDep
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routes_events import EpochChanged
from onhand.api.routing import routes
from onhand.base.fields import Strict
from onhand.db import outbox
from onhand.db.outbox import Cursor
from onhand.errors import InvalidInput, NotFound
from onhand.flows import webhooks as flows
from onhand.webhooks import Delivery
from onhand.wire import Guard

router = routes("events")

_NOT_FOUND = problem_responses(404)


class NewWebhook(Strict):
    """An endpoint that wants to be told of events."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://shop.example/onhand", "kinds": ["order.*", "stock.changed"]}]}
    )

    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2000,
            json_schema_extra={"format": "uri"},
            description="https:// or http://, at a public address, without credentials",
        ),
    ]
    kinds: Annotated[
        list[Annotated[str, Field(max_length=100)]],
        Field(
            min_length=1,
            max_length=50,
            default_factory=lambda: ["*"],
            description="`order.sourced`, `order.*`, or `*` for everything",
        ),
    ]


class Webhook(BaseModel):
    """An endpoint. `active` is false when it failed for three days and was disabled."""

    webhook_id: str
    url: str
    kinds: list[str]
    active: bool
    created_at: datetime
    disabled_at: datetime | None
    failing_since: datetime | None


class CreatedWebhook(Webhook):
    """`secret` (Standard Webhooks) is shown here and never again; a repeat under the same `Idempotency-Key` has
    `null`."""

    secret: str | None


class Webhooks(BaseModel):
    """A page of endpoints."""

    data: list[Webhook]
    next_cursor: str | None


class DeliveryOut(BaseModel):
    """One event on its way to one endpoint."""

    delivery_id: int
    event_id: str
    type: str
    subject: str
    status: Literal["due", "delivered", "dead"]
    attempts: int
    created_at: datetime
    due_at: datetime | None
    delivered_at: datetime | None
    last_error: str | None


class Deliveries(BaseModel):
    """A page of deliveries, oldest first."""

    data: list[DeliveryOut]
    next_cursor: str | None


class Replay(Strict):
    """What to send again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    since: Annotated[
        str | None,
        Field(max_length=100, description="Id of an event: it and all after it. Absent: the dead deliveries"),
    ] = None


class Queued(BaseModel):
    """How many deliveries were queued."""

    queued: int


@router.post(
    "/v1/webhooks",
    status_code=201,
    response_model=CreatedWebhook,
    dependencies=[require("config:write")],
)
def add_webhook(body: NewWebhook, app: TheApp, by: By, once: OnceDep) -> Response:
    """Register an endpoint. From now on it is sent every event of `kinds` as a signed POST (Standard Webhooks):
    `{"type", "timestamp", "data"}` with ids only. Messages come at least once; drop repeats by the header `webhook-id`.
    What is not answered with 2xx within 10 seconds is tried again for three days.
    """
    guard = Guard(allow_private=app.settings.allow_private_urls)
    return once.run(
        lambda transact: flows.add_webhook(
            app.db, url=body.url, kinds=body.kinds, guard=guard, by=by, transact=transact
        ),
        status=201,
        stored=lambda made: replace(made, secret=None),
    )


@router.get("/v1/webhooks", response_model=Webhooks, dependencies=[require("read")])
def list_webhooks(app: TheApp, page: Annotated[Page, pages("webhooks", str)]) -> dict[str, Any]:
    """All endpoints, oldest first."""
    after = None if page.after is None else _as_uuid("cursor", str(page.after[0]))
    with app.db.connection() as conn:
        rows = webhooks.list_webhooks(conn, after=after, limit=page.limit + 1)
    return page.answer(rows, lambda row: (row.webhook_id,))


@router.get(
    "/v1/webhooks/{webhook_id}",
    response_model=Webhook,
    responses=_NOT_FOUND,
    dependencies=[require("read")],
)
def get_webhook(webhook_id: UUID, app: TheApp) -> webhooks.Webhook:
    """One endpoint."""
    with app.db.connection() as conn:
        found = webhooks.get_webhook(conn, str(webhook_id))
    if found is None:
        raise NotFound("webhook", str(webhook_id))
    return found


@router.delete(
    "/v1/webhooks/{webhook_id}",
    status_code=204,
    responses=_NOT_FOUND,
    dependencies=[require("config:write")],
)
def remove_webhook(webhook_id: UUID, app: TheApp, by: By) -> None:
    """Remove an endpoint with everything that waits for it."""
    flows.remove_webhook(app.db, str(webhook_id), by=by)


@router.post(
    "/v1/webhooks/{webhook_id}/enable",
    response_model=Webhook,
    responses=_NOT_FOUND,
    dependencies=[require("config:write")],
)
def enable_webhook(webhook_id: UUID, app: TheApp, by: By, once: OnceDep) -> Response:
    """Switch an endpoint on again after it was disabled for failing. What it missed can be replayed."""
    return once.run(lambda transact: flows.enable_webhook(app.db, str(webhook_id), by=by, transact=transact))


@router.get(
    "/v1/webhooks/{webhook_id}/deliveries",
    response_model=Deliveries,
    responses=_NOT_FOUND,
    dependencies=[require("read")],
)
def list_deliveries(
    webhook_id: UUID,
    app: TheApp,
    page: Annotated[Page, pages("deliveries", int)],
    status: Annotated[
        Literal["due", "delivered", "dead"] | None, Query(description="`dead` are those that were given up")
    ] = None,
) -> dict[str, Any]:
    """Deliveries to an endpoint, oldest first. Successes are forgotten after three days."""
    with app.db.connection() as conn:
        if webhooks.get_webhook(conn, str(webhook_id)) is None:
            raise NotFound("webhook", str(webhook_id))
        epoch = outbox.epoch(conn)
        rows = webhooks.list_deliveries(
            conn,
            str(webhook_id),
            status=status,
            after=0 if page.after is None else int(page.after[0]),
            limit=page.limit + 1,
        )

    def public(row: Delivery) -> dict[str, Any]:
        return {
            "delivery_id": row.delivery_id,
            "event_id": event_id(epoch, Cursor(row.event_xid, row.event_pos)),
            "type": row.kind,
            "subject": row.subject,
            "status": row.status,
            "attempts": row.attempts,
            "created_at": row.created_at,
            "due_at": row.due_at if row.status == "due" else None,
            "delivered_at": row.delivered_at,
            "last_error": row.last_error,
        }

    return page.answer(rows, lambda row: (row.delivery_id,), public)


@router.post(
    "/v1/webhooks/{webhook_id}/replay",
    status_code=202,
    response_model=Queued,
    responses=problem_responses(404, 410),
    dependencies=[require("config:write")],
)
def replay_webhook(webhook_id: UUID, body: Replay, app: TheApp, by: By, once: OnceDep) -> Response:
    """Send the dead deliveries again, or everything since an event."""
    since = None if body.since is None else _cursor(app, body.since)
    return once.run(
        lambda transact: flows.replay_webhook(app.db, str(webhook_id), since=since, by=by, transact=transact),
        status=202,
    )


def _cursor(app: TheApp, text: str) -> Cursor:
    try:
        epoch, cursor = parse_event_id(text)
    except ValueError:
        raise InvalidInput.at("since", "expected the id of an event, <epoch>.<xid>.<pos>") from None
    with app.db.connection() as conn:
        current = outbox.epoch(conn)
    if epoch != current:
        raise EpochChanged(current)
    return cursor


def _as_uuid(path: str, text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidInput.at(path, "expected a cursor of this list") from None
