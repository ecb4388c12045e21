"""What may be done without a person, what was done, and the switch that stops it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Path
from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.autopilot import store
from onhand.autopilot.decide import HOUR
from onhand.autopilot.model import Domain, Guardrails, Mode
from onhand.autopilot.store import NEWEST, DomainRow, Switch
from onhand.autopilot.trust import evidence
from onhand.base.fields import Strict
from onhand.errors import InvalidInput
from onhand.flows.autopilot.switch import set_domain, stop_or_resume

router = routes("autopilot")

_REMEMBERED: Final = timedelta(days=90)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
_DomainName = Annotated[Domain, Path(examples=["rebalance"])]


class DomainIn(Strict):
    """What a domain may do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "mode": "auto",
                    "guardrails": {
                        "currency": "EUR",
                        "money_per_hour_minor": 50_000,
                        "units_per_hour": 500,
                        "units_per_action": 60,
                        "confidence_min": 0.9,
                        "freezes": [
                            {"from": "2026-11-26T00:00:00Z", "until": "2026-12-01T00:00:00Z", "note": "Black Friday"}
                        ],
                    },
                }
            ]
        }
    )

    mode: Mode
    guardrails: Annotated[Guardrails, Field(default_factory=lambda: Guardrails.model_validate({}))]


class UsedOut(BaseModel):
    """Done in the last 60 minutes."""

    money_minor: int
    units: int
    orders: int


class EvidenceOut(BaseModel):
    """What came of the actions of the last 90 days; shares are of what was at stake."""

    acted: int
    held_out: int
    promised: float
    saved: Annotated[float, Field(description="against what was held out, where that is enough (`compared`)")]
    low: Annotated[float, Field(description="90 of 100 lie between low and high")]
    high: float
    compared: bool


class DomainOut(BaseModel):
    """A domain as it stands."""

    domain: Domain
    mode: Mode
    guardrails: Guardrails
    used: UsedOut
    evidence: Annotated[EvidenceOut | None, Field(description="null: nothing can be told yet")]
    changed_at: datetime
    by: Annotated[int, Field(description="key that set it; 0: its outcomes returned it to `recommend`")]
    reason: str | None


class SwitchOut(BaseModel):
    """The kill switch."""

    stopped: bool
    at: datetime
    by: int
    reason: str | None


class AutopilotOut(BaseModel):
    """Everything at a glance."""

    switch: SwitchOut
    domains: list[DomainOut]


class ActionOut(BaseModel):
    """Something that was done without a person, or left undone to compare with."""

    action_id: UUID
    domain: Domain
    key: Annotated[list[str], Field(description="what it acts on: item_node, sku, node")]
    direction: int
    reference: Annotated[str, Field(description="what asked for it: `proposal:<id>`")]
    held_out: Annotated[bool, Field(description="left undone on purpose")]
    money_minor: int
    currency: str | None
    units: int
    orders: int
    confidence: float
    stake_minor: Annotated[int, Field(description="expected to be lost if it is not done")]
    gain_minor: Annotated[int, Field(description="promised")]
    at: datetime
    judge_at: datetime | None
    lost_minor: Annotated[int | None, Field(description="lost all the same; null: not told yet")]
    judged_at: datetime | None
    void: Annotated[str | None, Field(description="why it shows nothing")]


class ActionList(BaseModel):
    """A page of actions."""

    data: list[ActionOut]
    next_cursor: str | None


class VerdictOut(BaseModel):
    """Why something was left to a person (`recommend`), or not done (`refuse`)."""

    reference: str
    domain: Domain
    verdict: str
    code: str
    detail: str
    at: datetime


class VerdictList(BaseModel):
    """A page of verdicts."""

    data: list[VerdictOut]
    next_cursor: str | None


@router.get(
    "/v1/autopilot", dependencies=[require("read")], response_model=AutopilotOut, responses=problem_responses(422)
)
def get_autopilot(app: TheApp) -> Response:
    """The switch, and each domain with its guardrails, what it used, and what came of it."""
    now = app.state.now()
    with app.db.connection() as conn:
        document = {
            "switch": _switch(store.get_switch(conn)),
            "domains": [_domain(conn, row, now) for row in store.list_domains(conn)],
        }
    return Response(to_json(document), media_type="application/json")


@router.put(
    "/v1/autopilot/domains/{domain}",
    dependencies=[require("plan:approve")],
    response_model=DomainOut,
    responses=problem_responses(404, 422),
)
def put_domain(domain: _DomainName, body: DomainIn, app: TheApp, by: By) -> Response:
    """Say what may be done in a domain: `off`, `recommend` (a person approves), or `auto` (within these guardrails).

    The guardrails given are all that hold: what is left out is at its default.
    """
    now = app.state.now()

    def work(conn: Connection[TupleRow]) -> dict[str, Any]:
        return _domain(conn, set_domain(app.db, conn, domain, body.mode, body.guardrails, now=now, by=by), now)

    return Response(to_json(app.db.transact(work)), media_type="application/json")


@router.post(
    "/v1/autopilot/stop",
    dependencies=[require("plan:approve")],
    response_model=SwitchOut,
    responses=problem_responses(422),
)
def stop(app: TheApp, by: By, once: OnceDep) -> Response:
    """Stop everything, in all processes: once this is answered, nothing is done without a person any more. What was
    being done at that moment has been finished. The header `X-Reason` says why."""
    return _turn(app, by, once, stopped=True)


@router.post(
    "/v1/autopilot/resume",
    dependencies=[require("plan:approve")],
    response_model=SwitchOut,
    responses=problem_responses(422),
)
def resume(app: TheApp, by: By, once: OnceDep) -> Response:
    """Let domains in `auto` act again."""
    return _turn(app, by, once, stopped=False)


@router.get(
    "/v1/autopilot/actions",
    dependencies=[require("read")],
    response_model=ActionList,
    responses=problem_responses(422),
)
def get_actions(app: TheApp, page: Annotated[Page, pages("actions", str)], domain: Domain | None = None) -> Response:
    """What was done without a person, and what was left undone to compare with, the newest first."""
    before = NEWEST if page.after is None else _uuid(str(page.after[0]))
    with app.db.connection() as conn:
        rows = store.list_actions(conn, limit=page.limit + 1, before=before, domain=domain)
    document = page.answer(rows, lambda row: (str(row.action_id),))
    return Response(to_json(document), media_type="application/json")


@router.get(
    "/v1/autopilot/verdicts",
    dependencies=[require("read")],
    response_model=VerdictList,
    responses=problem_responses(422),
)
def get_verdicts(
    app: TheApp, page: Annotated[Page, pages("verdicts", str, str)], domain: Domain | None = None
) -> Response:
    """What was not done, and why, the newest first: what stands in the way of each as it was last."""
    before = (_LATEST, "") if page.after is None else (_moment(str(page.after[0])), str(page.after[1]))
    with app.db.connection() as conn:
        rows = store.list_verdicts(conn, limit=page.limit + 1, before=before, domain=domain)
    document = page.answer(rows, lambda row: (row.at.isoformat(), row.reference))
    return Response(to_json(document), media_type="application/json")


def _turn(app: TheApp, by: By, once: OnceDep, *, stopped: bool) -> Response:
    return once.commit(
        lambda conn: stop_or_resume(app.db, conn, stopped=stopped, now=app.state.now(), by=by), answer=_switch
    )


def _domain(conn: Connection[TupleRow], row: DomainRow, now: datetime) -> dict[str, Any]:
    domain = Domain(row.domain)
    found = evidence(store.judged_since(conn, domain, now - _REMEMBERED))
    return {
        "domain": row.domain,
        "mode": row.mode,
        "guardrails": store.document_of(row.rails()),
        "used": store.used_since(conn, domain, now - HOUR),
        "evidence": found,
        "changed_at": row.changed_at,
        "by": row.by,
        "reason": row.reason,
    }


def _switch(switch: Switch) -> dict[str, Any]:
    return {"stopped": switch.stopped, "at": switch.at, "by": switch.by, "reason": switch.reason}


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidInput.at("cursor", "not a cursor of this list") from None


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput.at("cursor", "not a cursor of this list")
    return found
