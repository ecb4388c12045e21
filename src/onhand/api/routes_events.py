"""Every state change: as a stream (`/v1/events`) and as the audit log (`/v1/audit`)."""

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import Header, Query
from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from onhand import access
from onhand.access import AuditRow
from onhand.api.auth import require
from onhand.api.context import Edge, TheApp, TheEdge
from onhand.api.events import HEARTBEAT_S, SEND_TIMEOUT_S, event_id, matcher, parse_event_id
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.base.fields import Moment
from onhand.db import outbox
from onhand.db.outbox import START, Cursor
from onhand.errors import DatabaseUnavailable, Forbidden, InvalidInput, OnhandError, Unauthorised

router = routes("events")

_KIND = r"^([a-z_]+\.)?([a-z_]+|\*)$"
_KINDS = r"^([a-z_]+\.)?([a-z_]+|\*)(,([a-z_]+\.)?([a-z_]+|\*))*$"

_EXAMPLE = (
    "id: 0f9c1d2e-6a0b-4c5d-9e8f-102030405060.812.40\n"
    "event: order.sourced\n"
    'data: {"id":"0f9c1d2e-6a0b-4c5d-9e8f-102030405060.812.40","type":"order.sourced",'
    '"timestamp":"2026-03-01T09:00:00Z","subject":"019ca7a4-5d00-7000-8000-000000000001",'
    '"actor":1,"reason":null,"data":{}}\n\n'
)


class EpochChanged(OnhandError):
    """The event id belongs to another history, for example from before a restore."""

    code = "events.epoch_changed"
    http_status = 410

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        super().__init__(
            "this event id is of another history (the database was restored): read the state again"
            " and start without Last-Event-ID"
        )


@router.get(
    "/v1/events",
    dependencies=[require("read")],
    response_class=Response,
    responses={
        200: {
            "description": "A stream that does not end; comments are heartbeats",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        **problem_responses(410),
    },
)
async def stream_events(
    edge: TheEdge,
    last_event_id: Annotated[
        str | None,
        Header(alias="Last-Event-ID", max_length=100, description="Resume after this event"),
    ] = None,
    kinds: Annotated[
        str | None,
        Query(
            max_length=1000,
            pattern=_KINDS,
            description="Only these, such as `order.*,stock.changed`",
        ),
    ] = None,
    from_: Annotated[
        Literal["start", "now"],
        Query(alias="from", description="Where to begin without `Last-Event-ID`"),
    ] = "now",
    gathered: Annotated[
        bool,
        Query(description="what happened in each second as one event `gathered`, from now on, instead of every event"),
    ] = False,
) -> Response:
    """Every state change, as Server-Sent Events.

    Events of one subject come in order; of different subjects, in the order of their transactions.
    None is skipped: reconnect with the header `Last-Event-ID` and the stream goes on after it, as
    browsers do by themselves. A client that reads too slowly is disconnected and may resume.

    With `gathered` there is at most one event a second, for who shows something and reads it again: of each kind how
    many there were, and the subjects of the first hundred (of `stock.changed`: the skus), with `is_all` if these are
    all. It cannot be resumed: what was missed is to be read again.
    """
    if gathered and (last_event_id or from_ == "start"):
        raise InvalidInput.at("gathered", "it begins now: without `Last-Event-ID` and `from`")
    after = START if from_ == "start" else None
    if last_event_id:
        after = await _after(edge, last_event_id)
    edge.events.take()
    return _EventStream(edge, after, kinds.split(",") if kinds else [], is_gathered=gathered)


async def _after(edge: Edge, last_event_id: str) -> Cursor:
    try:
        epoch, cursor = parse_event_id(last_event_id)
    except ValueError:
        raise InvalidInput.at("Last-Event-ID", "expected the id of an event, <epoch>.<xid>.<pos>") from None
    if epoch != (current := await edge.events.epoch()):
        raise EpochChanged(current)
    return cursor


class _EventStream(Response):
    """Sends frames until the client, its key or the server is gone; then gives its place back."""

    media_type = "text/event-stream"

    def __init__(self, edge: Edge, after: Cursor | None, kinds: list[str], *, is_gathered: bool) -> None:
        self._edge = edge
        self._after = after
        self._kinds = kinds
        self._is_gathered = is_gathered
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            # TimeoutError: the client does not read. It may resume from the last event it has seen.
            with suppress(TimeoutError, DatabaseUnavailable, Unauthorised, Forbidden):
                await self._send_frames(scope, send, gone)
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            raise ConnectionAbortedError("the client does not read its events") from None
        finally:
            gone.cancel()
            self._edge.events.give_back()

    async def _send_frames(self, scope: Scope, send: Send, gone: "asyncio.Task[None]") -> None:
        beat_at = time.monotonic() + HEARTBEAT_S
        if self._is_gathered:
            frames = self._edge.gathered.digests(self._kinds)
        else:
            frames = self._edge.events.frames(self._after, matcher(self._kinds))
        async with aclosing(frames):
            is_first = True
            async for frame in frames:
                if gone.done():
                    return
                if is_first:
                    # Tells proxies and clients that it is open: what happens from here on is not missed.
                    await _send_chunk(send, b"retry: 1000\n\n")
                    is_first = False
                if frame:
                    await _send_chunk(send, frame)
                    continue
                # Nothing new for a moment: time to look whether the key still lives.
                await self._edge.keys.authorise(scope["headers"], "read")
                if time.monotonic() >= beat_at:
                    await _send_chunk(send, b": beat\n\n")
                    beat_at = time.monotonic() + HEARTBEAT_S


async def _send_chunk(send: Send, chunk: bytes) -> None:
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class AuditEntry(BaseModel):
    """One change: what (`kind`, `subject`, `data`), who (`actor`), why (`reason`) and when."""

    id: str
    at: datetime
    kind: str
    subject: str
    actor: Annotated[int, Field(description="Id of the API key; 0 is the system itself")]
    actor_name: str | None
    reason: str | None
    data: dict[str, Any]


class AuditLog(BaseModel):
    """A page of changes, newest first."""

    data: list[AuditEntry]
    next_cursor: str | None


@router.get("/v1/audit", dependencies=[require("read")], response_model=AuditLog)
def list_audit(
    app: TheApp,
    page: Annotated[Page, pages("audit", int, int)],
    subject: Annotated[
        str | None,
        Query(max_length=200, description="Public id or code of what changed"),
    ] = None,
    actor: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="Id of an API key; 0 is the system")] = None,
    kind: Annotated[str | None, Query(max_length=100, pattern=_KIND, description="Such as `order.*`")] = None,
    from_: Annotated[Moment | None, Query(alias="from", description="Not before")] = None,
    to: Annotated[Moment | None, Query(description="Before")] = None,
) -> dict[str, Any]:
    """Who changed what, when and why, newest first."""
    before = None if page.after is None else cast("tuple[int, int]", page.after)
    with app.db.connection() as conn:
        epoch = outbox.epoch(conn)
        rows = access.list_audit(
            conn,
            before=before,
            subject=subject,
            actor=actor,
            kind=kind,
            at_from=from_,
            at_to=to,
            limit=page.limit + 1,
        )

    def public(row: AuditRow) -> dict[str, Any]:
        entry = asdict(row)
        return entry | {"id": event_id(epoch, Cursor(entry.pop("xid"), entry.pop("pos")))}

    return page.answer(rows, lambda row: (row.xid, row.pos), public)
