"""Playbooks in their versions, and what their runs do about incidents."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.problems import problem_responses
from onhand.api.routes_policies import FindingOut, PolicyText, inlined
from onhand.api.routing import routes
from onhand.base.actor import Actor
from onhand.base.fields import ShortText, Strict
from onhand.flows.playbooks.commands import (
    Shown,
    approve_step,
    set_playbook,
    shown_runs,
    undo_runs,
    want_messages,
)
from onhand.incidents.playbooks import store
from onhand.incidents.playbooks.model import NAME_PATTERN, PlaybookIn
from onhand.incidents.playbooks.store import Version
from onhand.workflows.model import Outcome, Status

router = routes("incidents")

_ID: Final = "019cae2a-8c30-7000-9b1e-2f6d7a80c915"
_IncidentId = Annotated[UUID, Path(examples=[_ID])]
_CustomerId = Annotated[str, Path(max_length=200, examples=["019cae1f-2b3f-7000-b8e1-54d52b1b6ff0"])]
_PlaybookName = Annotated[str, Path(pattern=NAME_PATTERN, examples=["carrier-lane-slow"])]

_SCHEMA = inlined(PlaybookIn.model_json_schema())
_BODY = {
    "requestBody": {
        "required": True,
        "content": {media_type: {"schema": _SCHEMA} for media_type in ("application/yaml", "application/json")},
    }
}


class PlaybookBriefOut(BaseModel):
    """A playbook in its latest version."""

    name: str
    version: Annotated[int, Field(description="0: as it ships, and not used yet")]
    summary: str
    on: Annotated[list[str], Field(description="kinds of incidents")]
    active: bool
    steps: list[str]
    created_at: datetime | None
    created_by: Annotated[int, Field(description="key, 0: it ships with the program")]


class PlaybookList(BaseModel):
    """All playbooks, by name."""

    data: list[PlaybookBriefOut]


class PlaybookOut(PlaybookBriefOut):
    """The version that a text is: its document with every default, its text, and what it is warned of."""

    document: dict[str, Any]
    text: str
    warnings: list[FindingOut]


class PartOut(BaseModel):
    """What a part of a step did; a long step commits part by part."""

    step: int
    part: int
    do: str
    name: Annotated[str, Field(description="of the step, for people")]
    outcome: Annotated[
        Outcome,
        Field(
            description="skipped: nothing to do; refused: by guardrails or a missing number; told: only said; "
            "held_out: left undone on purpose, to compare with"
        ),
    ]
    why: str | None
    result: dict[str, Any]
    cost_minor: Annotated[int, Field(description="against leaving it, in the incident's currency")]
    orders: int
    units: int
    at: datetime
    undone_at: datetime | None
    undone: Annotated[dict[str, Any] | None, Field(description="what taking it back came to")]


class RunOut(BaseModel):
    """A run of a playbook for an incident."""

    run_id: UUID
    playbook: str
    version: int
    status: Annotated[
        Status,
        Field(
            description="ready: goes on at due_at; standing: all steps are through, until the incident is over; "
            "undone: taken back"
        ),
    ]
    step: Annotated[int, Field(description="that comes next, or waits")]
    steps: list[str]
    due_at: datetime
    why: Annotated[str | None, Field(description="it waits for a person, or ended")]
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    cost_minor: int
    orders: int
    units: int
    parts: list[PartOut]


class RunList(BaseModel):
    """Runs for an incident, oldest first."""

    data: list[RunOut]


class WhichRun(Strict):
    """Of which run; left out: of all for the incident."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the carrier says it is over"}]})

    run_id: Annotated[str | None, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")] = None
    reason: ShortText | None = None


class MessagesIn(Strict):
    """Whether to write to a customer about incidents."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"wanted": False}]})

    wanted: bool


class MessagesOut(BaseModel):
    """What holds from now on."""

    customer_id: UUID
    messages: bool


_decide: dict[str, Any] = {
    "dependencies": [require("plan:approve")],
    "response_model": RunList,
    "responses": problem_responses(404, 409, 422),
}


@router.get("/v1/playbooks", dependencies=[require("read")], response_model=PlaybookList)
def list_playbooks(app: TheApp) -> Response:
    """Playbooks in their latest versions: those that ship, and those that were written."""
    with app.db.connection() as conn:
        found = store.latest(conn)
    return _json({"data": [_brief(version) for version in found]})


@router.put(
    "/v1/playbooks/{name}",
    dependencies=[require("config:write")],
    response_model=PlaybookOut,
    response_description="The latest version says the same",
    responses={201: {"model": PlaybookOut, "description": "A new version"}, **problem_responses(422)},
    openapi_extra=_BODY,
)
def put_playbook(name: _PlaybookName, text: PolicyText, app: TheApp, by: By) -> Response:
    """Write a version of a playbook, as YAML or JSON, by which incidents begin runs from now on; runs that have begun
    keep theirs. What is wrong with it is answered with line and column. One that is not `active` begins no runs.
    """
    written = set_playbook(app.db, name, text, by=by)
    version = written.version
    document = _brief(version) | {"document": version.document, "text": version.text, "warnings": written.warnings}
    headers = {"location": f"/v1/playbooks/{quote(name)}"} if written.is_new else None
    return Response(to_json(document), 201 if written.is_new else 200, headers, media_type="application/json")


@router.get(
    "/v1/incidents/{incident_id:uuid}/runs",
    dependencies=[require("read")],
    response_model=RunList,
    responses=problem_responses(404, 422),
)
def get_runs(incident_id: _IncidentId, app: TheApp) -> Response:
    """What playbooks do about an incident: their runs, with each step, its result, its cost and whether it stands."""
    with app.db.connection() as conn:
        found = shown_runs(conn, str(incident_id))
    return _json(_runs(found))


@router.post("/v1/incidents/{incident_id:uuid}/approve", **_decide)
def approve_incident(
    incident_id: _IncidentId, app: TheApp, by: By, once: OnceDep, body: WhichRun | None = None
) -> Response:
    """Say yes to the steps that wait for a person. A worker takes them within a second; 409 `run.nothing_waits` if
    none does."""
    which = body or WhichRun()
    return once.run(
        lambda transact: approve_step(
            app.state, str(incident_id), which.run_id, by=_by(by, which.reason), transact=transact
        ),
        answer=_runs,
    )


@router.post("/v1/incidents/{incident_id:uuid}/undo", **_decide)
def undo_incident(
    incident_id: _IncidentId, app: TheApp, by: By, once: OnceDep, body: WhichRun | None = None
) -> Response:
    """Take back what was done about an incident, the last step first: stock, prices, listings, gates and orders as they
    were, as far as nobody else has changed them since; messages that have not left stay unsent. A worker does it; see
    the runs. 409 `run.nothing_done` if there is nothing to take back."""
    which = body or WhichRun()
    return once.run(
        lambda transact: undo_runs(
            app.state, str(incident_id), which.run_id, by=_by(by, which.reason), transact=transact
        ),
        answer=_runs,
    )


@router.put(
    "/v1/customers/{customer_id}/messages",
    dependencies=[require("orders:write")],
    response_model=MessagesOut,
    responses=problem_responses(404, 422),
)
def put_customer_messages(customer_id: _CustomerId, body: MessagesIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """Whether a customer is written to about incidents. Messages that wait are not sent once they are not wanted."""
    return once.run(lambda transact: want_messages(app.db, customer_id, wanted=body.wanted, by=by, transact=transact))


def _by(by: Actor, reason: str | None) -> Actor:
    return by if reason is None else Actor(key_id=by.key_id, reason=reason)


def _brief(version: Version) -> dict[str, Any]:
    document = version.document
    return {
        "name": version.name,
        "version": version.version,
        "summary": document["summary"],
        "on": document["on"],
        "active": document.get("active", True),
        "steps": [step["do"] for step in document["steps"]],
        "created_at": version.created_at,
        "created_by": version.created_by,
    }


def _runs(found: list[Shown]) -> dict[str, Any]:
    return {"data": [_run(shown) for shown in found]}


def _run(shown: Shown) -> dict[str, Any]:
    run = shown.run
    names = ("run_id", "version", "status", "due_at", "why", "error", "created_at", "finished_at")
    sums = {name: sum(getattr(part, name) for part in shown.parts) for name in ("cost_minor", "orders", "units")}
    return {
        **{name: getattr(run, name) for name in names},
        "playbook": run.name,
        "step": run.step_no,
        "steps": shown.steps,
        **sums,
        "parts": [_part(shown, asdict(part)) for part in shown.parts],
    }


def _part(shown: Shown, part: dict[str, Any]) -> dict[str, Any]:
    kept = ("outcome", "why", "result", "cost_minor", "orders", "units", "at", "undone_at", "undone")
    return {
        "step": part["step_no"],
        "part": part["part_no"],
        "do": part["kind"],
        "name": shown.steps[part["step_no"] - 1],
        **{name: part[name] for name in kept},
    }


def _json(document: Any) -> Response:
    return Response(to_json(document), media_type="application/json")
