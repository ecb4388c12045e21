"""Policies: `/v1/policies`. Documents are YAML or JSON, versions never change, every move is kept with its reason."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast
from urllib.parse import quote

from fastapi import Depends, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.body import check_headers, is_json, parse, read_body
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.paging import Page, pages
from onhand.api.problems import UnsupportedMediaType, problem_responses
from onhand.api.routing import routes
from onhand.base.fields import Name, Strict
from onhand.db import Database
from onhand.errors import InvalidInput, NotFound, OnhandError
from onhand.flows import lanes
from onhand.flows import policies as flows
from onhand.flows.policies import Written
from onhand.flows.trials import Beside, trials_of
from onhand.sourcing.policies import store
from onhand.sourcing.policies.lifecycle import Move, State
from onhand.sourcing.policies.lint import Finding
from onhand.sourcing.policies.model import NAME_PATTERN, PolicyIn
from onhand.sourcing.policies.outcomes import Outcome
from onhand.sourcing.policies.store import Version

router = routes("policies")

_read = [require("read")]
_write = [require("config:write")]

PolicyName = Annotated[str, Path(pattern=NAME_PATTERN, examples=["standard"])]
VersionNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]
_BYTES_MAX = 2**20
_YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


class _NoPolicy(UnsupportedMediaType):
    """Neither YAML nor JSON."""

    def __init__(self, got: str) -> None:
        OnhandError.__init__(
            self, f"expected Content-Type: application/yaml or application/json, got {got[:80] or 'none'!r}"
        )


async def _policy_text(request: Request) -> str:
    """The body as text. Raises UnsupportedMediaType, PayloadTooLarge, MalformedJson, InvalidInput."""
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in _YAML:
        headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
        check_headers([*headers, (b"content-type", b"application/json")], _BYTES_MAX)
    elif is_json(content_type.encode("latin-1")):
        check_headers(request.scope["headers"], _BYTES_MAX)
    else:
        raise _NoPolicy(content_type)
    body = await read_body(request.receive, _BYTES_MAX)
    if media_type not in _YAML:
        parse(body)  # JSON is held to the rules of JSON
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput.at("", f"not UTF-8 at byte {error.start}") from None


PolicyText = Annotated[str, Depends(_policy_text)]


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without references to definitions of its own: in OpenAPI they would lead nowhere."""
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            members = cast("dict[str, Any]", part)
            reference = members.get("$ref")
            if isinstance(reference, str):
                beside = {name: value for name, value in members.items() if name != "$ref"}
                return resolved(definitions[reference.rpartition("/")[2]] | beside)
            # How alternatives are told apart is said by reference, too; each has its own constant besides.
            return {name: resolved(value) for name, value in members.items() if name != "discriminator"}
        return [resolved(member) for member in cast("list[Any]", part)] if isinstance(part, list) else part

    return cast("dict[str, Any]", resolved(schema))


_SCHEMA = inlined(PolicyIn.model_json_schema())
_BODY = {
    "requestBody": {
        "required": True,
        "content": {media_type: {"schema": _SCHEMA} for media_type in ("application/yaml", "application/json")},
    }
}


# Answers: documentation only ----------------------------------------------------------------------


class FindingOut(BaseModel):
    """One thing wrong with a policy, with its place and what to do."""

    severity: Literal["error", "warning"]
    line: int
    column: int
    path: Annotated[str, Field(description="as in `rules[0].when`")]
    message: str
    remedy: str


class LintOut(BaseModel):
    """What is wrong; without errors the policy can be saved."""

    is_usable: bool
    findings: list[FindingOut]


class VersionBriefOut(BaseModel):
    """A version in a list."""

    version: int
    state: State
    share: Annotated[float | None, Field(description="of the orders, of a canary")]
    since: datetime
    why: str | None
    created_at: datetime
    created_by: Annotated[int, Field(description="key, 0: the system")]


class StretchOut(BaseModel):
    """A state the version had, from `at` to `ended_at`."""

    state: State
    share: float | None
    at: datetime
    ended_at: datetime | None
    by: int
    why: str | None


class OutcomeOut(BaseModel):
    """What orders came to under a version; means are over those with a plan, null as long as there is none."""

    version: int
    orders: int
    planned: Annotated[int, Field(description="orders that were served from the shelf")]
    cost_per_order_minor: Annotated[float | None, Field(description="money paid: shipping, handling, duty and tax")]
    split_share: float | None
    late_share: Annotated[float | None, Field(description="promised after the days that the active version wants")]
    co2_g_per_order: float | None
    unfillable_share: Annotated[float | None, Field(description="of all orders")]


class TrialOut(BaseModel):
    """A version beside the active one, since `since`."""

    state: Literal["shadow", "canary"]
    version: int
    share: Annotated[float | None, Field(description="of the orders, of a canary")]
    since: datetime
    outcomes: Annotated[list[OutcomeOut], Field(description="of this version, then of the active one")]
    breach: Annotated[str | None, Field(description="which guard is broken, and by how much")]


class TrialsOut(BaseModel):
    """Versions on trial."""

    name: str
    trials: list[TrialOut]


class LaneOut(BaseModel):
    """One way to one area, against the other ways there; minor units an order."""

    area: Annotated[str, Field(description="country, with the region or the beginning of the postal code")]
    way: Literal["service", "node"]
    name: str
    orders: int
    others: Annotated[int, Field(description="orders that went another way")]
    contrast_minor: Annotated[float, Field(description="that it cost more beyond its promise, as measured")]
    error_minor: Annotated[float, Field(description="standard error of that")]
    recent_minor: Annotated[float, Field(description="as measured in the later half of the period")]
    mean_minor: Annotated[float, Field(description="after shrinkage towards nothing")]
    low_minor: Annotated[float, Field(description="lower 90 % limit of that")]
    is_avoided: bool


class LaneEvidenceOut(BaseModel):
    """What an order would have cost by the proposed version and did by the active one: replayed, paired, by order, with
    a 95 % interval; minor units. null: too few orders."""

    metric: str
    baseline: float | None
    candidate: float | None
    difference: float | None
    low: float | None
    high: float | None
    orders: int
    blocks: int
    carry_over: float | None


class LaneProposalOut(BaseModel):
    """A version that was proposed, and what became of it."""

    name: str
    version: int
    against: Annotated[int, Field(description="the version that was active")]
    at: datetime
    since: Annotated[datetime, Field(description="beginning of what was looked at")]
    until: datetime
    currency: str
    floor_minor: float
    orders: Annotated[int, Field(description="deliveries that were looked at")]
    lanes: list[LaneOut]
    evidence: LaneEvidenceOut
    state: State
    share: float | None
    why: str | None


class LaneProposalsOut(BaseModel):
    """Newest first."""

    name: str
    proposals: list[LaneProposalOut]


class PolicyVersionOut(VersionBriefOut):
    """A version: the document with every default, the text as it was written, and its states so far."""

    name: str
    label: Annotated[str, Field(description="as plans name it")]
    hash: Annotated[str, Field(description="SHA-256 of the document, in hex")]
    document: dict[str, Any]
    text: str
    history: list[StretchOut]


class WrittenPolicyOut(PolicyVersionOut):
    """The version that a text is, and what it is warned of."""

    warnings: list[FindingOut]


class PolicySummaryOut(BaseModel):
    """A policy: numbers of its latest version and of those that decide or watch."""

    name: str
    latest: int
    active: int | None
    canary: int | None
    share: Annotated[float | None, Field(description="of the orders, of the canary")]
    shadow: int | None
    updated_at: datetime
    updated_by: Annotated[int, Field(description="key that moved a version last, 0: the system")]


class PolicyOut(PolicySummaryOut):
    """A policy with its versions, newest first, at most a thousand."""

    versions: list[VersionBriefOut]


class PolicyList(BaseModel):
    """A page of policies."""

    data: list[PolicySummaryOut]
    next_cursor: str | None


class MoveOut(BaseModel):
    """A version's new state."""

    version: int
    state: State
    share: float | None
    why: str | None


class MovedOut(BaseModel):
    """What moved; nothing if it was so already."""

    name: str
    moves: list[MoveOut]


class Promotion(Strict):
    """Where a version is to go."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"to": "canary", "share": 0.05, "why": "shadow saved 3 % over two weeks"}]}
    )

    to: Literal["shadow", "canary", "active", "retired"]
    version: Annotated[
        VersionNumber | None, Field(description="left out: the one nearest to it on the way, of drafts the newest")
    ] = None
    share: Annotated[float | None, Field(gt=0, lt=1, description="of the orders, of a canary; left out: 0.05")] = None
    why: Annotated[Name | None, Field(description="needed to leave out a step of draft, shadow, canary, active")] = None


class Rollback(Strict):
    """Why the canary, or the active version, is taken back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"why": "too many parcels from the Berlin store"}]})

    why: Name


@router.put(
    "/v1/policies/{name}",
    dependencies=_write,
    response_model=WrittenPolicyOut,
    response_description="The latest version says the same",
    responses={201: {"model": WrittenPolicyOut, "description": "A new version"}, **problem_responses(422)},
    openapi_extra=_BODY,
)
def put_policy(name: PolicyName, text: PolicyText, app: TheApp, by: By) -> Response:
    """Write a version of a policy, as YAML or JSON. It is a draft until it is promoted, and never changes. What is
    wrong with it is answered with line and column; `lint` tells the same without writing.
    """
    written = flows.set_policy(app.db, name, text, by=by)
    headers = {"location": f"/v1/policies/{quote(name)}/versions/{written.version.version}"}
    return Response(
        to_json(_written(app.db, written)),
        201 if written.is_new else 200,
        headers if written.is_new else None,
        media_type="application/json",
    )


@router.get("/v1/policies", dependencies=_read, response_model=PolicyList, responses=problem_responses(422))
def list_policies(app: TheApp, page: Annotated[Page, pages("policies", str)]) -> Response:
    """Policies by name."""
    after = "" if page.after is None else str(page.after[0])
    with app.db.connection() as conn:
        rows = store.list_policies(conn, after=after, limit=page.limit + 1)
    return _json(page.answer(rows, lambda policy: (policy.name,)))


@router.get("/v1/policies/{name}", dependencies=_read, response_model=PolicyOut, responses=problem_responses(404, 422))
def get_policy(name: PolicyName, app: TheApp) -> Response:
    """One policy with its versions."""
    with app.db.connection() as conn:
        found = store.list_policies(conn, limit=1, name=name)
        versions = store.list_versions(conn, name)
    if not found:
        raise NotFound("policy", name)
    return _json(asdict(found[0]) | {"versions": versions})


@router.get(
    "/v1/policies/{name}/versions/{version}",
    dependencies=_read,
    response_model=PolicyVersionOut,
    responses=problem_responses(404, 422),
)
def get_policy_version(name: PolicyName, version: Annotated[VersionNumber, Path()], app: TheApp) -> Response:
    """One version: its document, its text, its states."""
    with app.db.connection() as conn:
        found = store.get_version(conn, name, version)
    if found is None:
        raise NotFound("policy_version", f"{name}@{version}")
    return _json(_version(app.db, found))


@router.get(
    "/v1/policies/{name}/trials", dependencies=_read, response_model=TrialsOut, responses=problem_responses(404, 422)
)
def get_policy_trials(name: PolicyName, app: TheApp) -> Response:
    """How the shadow and the canary do beside the active version, on the same orders or a share of them. Counts are
    some seconds old.
    """
    with app.db.connection() as conn:
        rows = trials_of(conn, name)
    return _json({"name": name, "trials": [_trial(row) for row in rows]})


@router.get(
    "/v1/policies/{name}/lanes",
    dependencies=_read,
    response_model=LaneProposalsOut,
    responses=problem_responses(404, 422),
)
def list_lane_proposals(name: PolicyName, app: TheApp) -> Response:
    """Versions that were proposed because lanes cost more than they promise, newest first, each with what was known and
    what an order would have cost. `POST` looks again.
    """
    with app.db.connection() as conn:
        if store.latest_version(conn, name) is None:
            raise NotFound("policy", name)
        rows = lanes.list_proposals(conn, name)
    return _json({"name": name, "proposals": rows})


@router.post(
    "/v1/policies/{name}/lint",
    dependencies=_read,
    response_model=LintOut,
    responses=problem_responses(422),
    openapi_extra=_BODY,
)
def lint_policy(name: PolicyName, text: PolicyText, app: TheApp) -> Response:  # noqa: ARG001 - of the path
    """Say what is wrong with a policy, without writing it. The policy need not exist."""
    linted = flows.lint_policy(app.db, text, today=datetime.now(UTC).date())
    return _json({"is_usable": linted.policy is not None, "findings": linted.findings})


@router.post(
    "/v1/policies/{name}/promote",
    dependencies=_write,
    response_model=MovedOut,
    responses=problem_responses(404, 409, 422),
)
def promote_policy(name: PolicyName, body: Promotion, app: TheApp, by: By, once: OnceDep) -> Response:
    """Move a version on: draft, shadow (decides beside the live one, without effect), canary (decides for a share of
    the orders), active. It replaces the one that is there, which retires.
    """
    return once.run(
        lambda transact: flows.promote_policy(
            app.db,
            name,
            to=body.to,
            version=body.version,
            share=body.share,
            why=body.why or by.reason,
            by=by,
            transact=transact,
        ),
        answer=lambda moves: _moved(name, moves),
    )


@router.post(
    "/v1/policies/{name}/rollback",
    dependencies=_write,
    response_model=MovedOut,
    responses=problem_responses(404, 409, 422),
)
def roll_back_policy(name: PolicyName, body: Rollback, app: TheApp, by: By, once: OnceDep) -> Response:
    """Take the canary back; without one, return to the version that was active before."""
    return once.run(
        lambda transact: flows.roll_back_policy(app.db, name, why=body.why, by=by, transact=transact),
        answer=lambda moves: _moved(name, moves),
    )


def _json(document: object) -> Response:
    return Response(to_json(document), media_type="application/json")


def _moved(name: str, moves: list[Move]) -> dict[str, Any]:
    shown = ("version", "state", "share", "why")
    return {"name": name, "moves": [{field: getattr(move, field) for field in shown} for move in moves]}


def _trial(row: Beside) -> dict[str, Any]:
    trial = row.trial
    return {
        "state": trial.state,
        "version": trial.version,
        "share": trial.share,
        "since": trial.since,
        "outcomes": [
            _outcome(version, row.outcomes.get(version, Outcome())) for version in (trial.version, row.active)
        ],
        "breach": None if row.breach is None else str(row.breach),
    }


def _outcome(version: int, sums: Outcome) -> dict[str, Any]:
    means = {name: sample.mean if sample.orders else None for name, sample in sums.metrics.items()}
    return {"version": version, "orders": sums.orders, "planned": sums.planned} | means


def _version(db: Database, version: Version) -> dict[str, Any]:
    with db.connection() as conn:
        stretches = store.history(conn, version.name, version.version)
    history = [{k: v for k, v in asdict(stretch).items() if k != "version"} for stretch in stretches]
    return asdict(version) | {"hash": version.hash.hex(), "label": version.label, "history": history}


def _written(db: Database, written: Written) -> dict[str, Any]:
    warnings: list[Finding] = list(written.warnings)
    return _version(db, written.version) | {"warnings": warnings}
