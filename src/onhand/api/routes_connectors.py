"""Kinds of channels that there are, with what each asks for; and whether a channel can be talked to."""

from dataclasses import asdict
from typing import Annotated, Any, Literal, cast

from fastapi import Path
from pydantic import BaseModel, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import to_json
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.api.setup_answers import TheCode, get_options, list_options
from onhand.channels.model import ChannelIn
from onhand.connectors import Unusable, described, find, names
from onhand.errors import NotFound
from onhand.flows.accounts import Connectors
from onhand.flows.channel_try import Reason, Verdict, try_channel

router = routes("channels")


class ConnectorOut(BaseModel):
    """A kind of channel. `settings` and `credentials` are JSON Schemas of those parts of a channel's document; what is
    secret there is `writeOnly`."""

    name: str
    title: str
    description: str
    status: Literal["alpha", "beta", "stable", "unusable"]
    vendor_api: Annotated[str, Field(description="version of its interface that it is written for")]
    is_own: Annotated[bool, Field(description="of this installation, not of onhand")]
    capabilities: list[str]
    settings: Annotated[dict[str, Any], Field(description="JSON Schema")]
    credentials: Annotated[dict[str, Any], Field(description="JSON Schema")]
    error: Annotated[str | None, Field(description="why it is unusable")]


class ConnectorList(BaseModel):
    """All of them, by name."""

    data: list[ConnectorOut]


class ChannelCheckOut(BaseModel):
    """One thing that the connector can do, tried. `said`: the vendor's own words, or of what is in between."""

    capability: str
    verdict: Verdict
    reason: Reason | None
    remedy: Annotated[str | None, Field(description="what to do about it")]
    status: Annotated[int | None, Field(description="of the vendor's last answer (HTTP)")]
    said: str
    took_ms: float | None
    read: Annotated[int | None, Field(description="records of the first page, or files")]
    rejected: Annotated[int | None, Field(description="records beside these that could not be read")]


class ChannelTriedOut(BaseModel):
    """How it went. verdict `untried`: it has nothing that could be asked without writing."""

    channel: str
    connector: str
    verdict: Verdict
    took_ms: float
    checks: list[ChannelCheckOut]


@router.get("/v1/connectors", **list_options(ConnectorList))
def list_connectors(app: TheApp) -> Response:
    """Kinds of channels that can be connected, what each can do, and what it asks for."""
    found = [_one(app.connectors, name) for name in names(folder=app.connectors.folder)]
    return Response(to_json({"data": found}), media_type="application/json")


@router.get("/v1/connectors/{name}", **get_options(ConnectorOut))
def get_connector(name: Annotated[str, Path(max_length=200, examples=["woocommerce"])], app: TheApp) -> Response:
    """One kind of channel."""
    if name not in names(folder=app.connectors.folder):
        raise NotFound("connector", name)
    return Response(to_json(_one(app.connectors, name)), media_type="application/json")


@router.post(
    "/v1/channels/{code}/test",
    # It sends our credentials where the document says, as a PUT would have it done.
    dependencies=[require("config:write")],
    response_model=ChannelTriedOut,
    responses=problem_responses(404, 409, 422),
)
def test_channel(code: TheCode, app: TheApp, by: By, body: ChannelIn | None = None) -> Response:
    """Ask the vendor for the first page of everything that can be read, as a document says that need not be stored yet,
    or else as the channel is. Writes nothing, here or there, and takes half a minute at most. What writes is not tried.
    Without `credentials` those that are stored count, as in a PUT: if they are sent to the same address. The audit log
    says who tried.
    """
    private = app.settings.allow_private_urls
    tried = try_channel(app.db, app.connectors, code, body, by=by, allow_private_urls=private)
    return Response(to_json(asdict(tried)), media_type="application/json")


def _one(connectors: Connectors, name: str) -> dict[str, Any]:
    try:
        found = find(name, folder=connectors.folder)
    except Unusable as error:
        nothing: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
        return {
            "name": name, "title": name, "description": "", "status": "unusable", "vendor_api": "", "is_own": True,
            "capabilities": [], "settings": nothing, "credentials": nothing, "error": cast("str", error.args[0]),
        }  # fmt: skip
    return asdict(described(found.connector)) | {"name": name, "is_own": found.place != "onhand", "error": None}
