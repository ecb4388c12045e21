"""What fails or is about to: seen, with its evidence, and dismissed."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.api.setup_answers import Filter
from onhand.base.fields import Moment, ShortText, Strict
from onhand.errors import InvalidInput, NotFound
from onhand.flows.incidents.dismiss import dismiss_incident
from onhand.flows.incidents.outcome import outcome_of
from onhand.flows.incidents.scene import main_currency
from onhand.incidents.model import Finding, Kind
from onhand.incidents.store import Kept, Place, Status, findings_of, get_incident, list_incidents

router = routes("incidents")

_ID: Final = "019cae2a-8c30-7000-9b1e-2f6d7a80c916"
_IncidentId = Annotated[UUID, Path(examples=[_ID])]


class SubjectOut(BaseModel):
    """What something is about, or comes from: `{"what": "lane", "key": ["leipzig", "dhl", "FR"]}`."""

    what: Annotated[str, Field(description="order, queue, node, item, item_node, channel, listing, lane, carrier, ...")]
    key: list[str]


class FindingOut(BaseModel):
    """What a detector says of one subject."""

    subject: SubjectOut
    sentence: str
    numbers: Annotated[dict[str, float | None], Field(description="what it rests on, by name; units last in the name")]
    loss_minor: Annotated[int, Field(description="expected to be lost if nobody does anything and it is right")]
    risk_minor: Annotated[int, Field(description="the loss times the chance that it is right")]
    confidence: float
    since: Annotated[datetime, Field(description="from when the evidence is")]
    causes: Annotated[list[SubjectOut], Field(description="what it may come from, the narrowest first")]


class IncidentOut(BaseModel):
    """An incident: all of a kind that comes from one cause."""

    incident_id: UUID
    kind: Kind
    cause: SubjectOut
    status: Annotated[Status, Field(description="`dismissed`: left alone until its evidence ends; `closed`: it did")]
    loss_minor: int
    risk_minor: Annotated[int, Field(description="money at risk: each finding's loss times its confidence")]
    currency: str
    confidence: float
    findings: Annotated[int, Field(description="how many there are")]
    since: datetime
    opened_at: datetime
    seen_at: Annotated[datetime, Field(description="when there last was evidence, within a quarter of an hour")]
    closed_at: datetime | None
    merged_in: Annotated[UUID | None, Field(description="incident of a wider cause that took it over")]
    dismissed_at: datetime | None
    by: Annotated[int | None, Field(description="key that dismissed it")]
    reason: str | None


class BookedOut(BaseModel):
    """What a step has booked in the ledger of costs."""

    run_id: UUID
    step: int
    minor: int


class ArmOut(BaseModel):
    """Orders, stock and the like that steps acted on, or left undone on purpose to compare with."""

    things: int
    stake_minor: Annotated[int, Field(description="expected to be lost of them if nobody did anything")]
    judged: Annotated[int, Field(description="of which is known what came of them")]
    judged_stake_minor: int
    lost_minor: Annotated[int | None, Field(description="lost all the same of what is judged; null: nothing is yet")]


class IncidentMoneyOut(BaseModel):
    """What an incident came to, in its currency; null where nobody knows, or not yet."""

    booked_minor: Annotated[int, Field(description="by steps and messages, less what was taken back")]
    booked: list[BookedOut]
    acted: ArmOut | None
    held_out: ArmOut | None
    saved_minor: Annotated[
        int | None, Field(description="what was at stake of what was acted on and is judged, less what was lost of it")
    ]
    next_judged_at: Annotated[datetime | None, Field(description="when more is known; null: nothing is waited for")]
    orders: Annotated[int, Field(description="that it names, or that steps acted on, left undone or wrote about")]
    failures_minor: Annotated[
        int | None, Field(description="failures of these orders booked since it opened; null: there are none of them")
    ]


class IncidentWithFindingsOut(IncidentOut):
    """An incident with what it rests on, and what it came to."""

    money: IncidentMoneyOut

    evidence: Annotated[list[FindingOut], Field(description="the dearest first, 1,000 at most")]


class IncidentList(BaseModel):
    """A page of incidents."""

    data: list[IncidentOut]
    next_cursor: str | None


class DismissIncidentIn(Strict):
    """Why it is to be left alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the store is being rebuilt"}]})

    reason: ShortText | None = None


@router.get(
    "/v1/incidents", dependencies=[require("read")], response_model=IncidentList, responses=problem_responses(422)
)
def get_incidents(
    app: TheApp,
    page: Annotated[Page, pages("incidents", str, int, str)],
    status: Literal["open", "dismissed", "closed", "all"] = "open",
    kind: Kind | None = None,
    currency: Annotated[str | None, Query(pattern=r"^[A-Z]{3}$", description="That its money is in")] = None,
    what: Annotated[Filter, Query(description="A word of the cause or of a finding's subject, such as `node`")] = None,
    about: Annotated[Filter, Query(description="A part of the key of either, such as a node's code or a sku")] = None,
    begin: Annotated[Moment | None, Query(alias="from", description="That stood then or later")] = None,
    end: Annotated[Moment | None, Query(alias="to", description="That opened before")] = None,
) -> Response:
    """Incidents, the most money at risk first; those in the currency of most orders before those in another, for money
    of several currencies is never added or compared."""
    with app.db.connection() as conn:
        main = main_currency(conn)
        rows = list_incidents(
            conn, main=main, limit=page.limit + 1, after=_place(page), status=None if status == "all" else status,
            kind=kind, currency=currency, what=what, about=about, begin=begin, end=end,
        )  # fmt: skip
    return _json(page.answer(rows, lambda row: row.place(main), public))


def _place(page: Page) -> Place | None:
    if page.after is None:
        return None
    currency, risk, incident_id = page.after
    try:
        return str(currency), int(risk), str(UUID(str(incident_id)))
    except ValueError:
        raise InvalidInput.at("cursor", "not a cursor of this list") from None


@router.get(
    "/v1/incidents/{incident_id:uuid}",
    dependencies=[require("read")],
    response_model=IncidentWithFindingsOut,
    responses=problem_responses(404, 422),
)
def get_one_incident(incident_id: _IncidentId, app: TheApp) -> Response:
    """One incident with its evidence: of an open one as it is now, of a closed one as it was last; and what it came to
    in money, as far as that is known."""
    with app.db.connection() as conn:
        kept = get_incident(conn, str(incident_id))
        if kept is None:
            raise NotFound("incident", str(incident_id))
        evidence = findings_of(conn, kept)
        money = outcome_of(conn, kept)
    return _json(public(kept) | {"money": money, "evidence": [public_finding(finding) for finding in evidence]})


@router.post(
    "/v1/incidents/{incident_id:uuid}/dismiss",
    dependencies=[require("plan:approve")],
    response_model=IncidentOut,
    responses=problem_responses(404, 409, 422),
)
def dismiss(
    incident_id: _IncidentId, app: TheApp, by: By, once: OnceDep, body: DismissIncidentIn | None = None
) -> Response:
    """Leave it alone: it stays quiet while its evidence lasts, and is closed when that ends. The same again changes
    nothing; 409 for one that is over (`incident.closed`)."""
    reason = None if body is None else body.reason
    return once.commit(
        lambda conn: dismiss_incident(app.db, conn, str(incident_id), reason, now=app.state.now(), by=by),
        answer=public,
    )


def public(kept: Kept) -> dict[str, Any]:
    """An incident as the API shows it."""
    what, *key = kept.cause
    return {
        "incident_id": kept.incident_id, "kind": kept.kind, "cause": {"what": what, "key": key}, "status": kept.status,
        "loss_minor": kept.loss_minor, "risk_minor": kept.risk_minor, "currency": kept.currency,
        "confidence": kept.confidence, "findings": kept.findings, "since": kept.since, "opened_at": kept.opened_at,
        "seen_at": kept.seen_at, "closed_at": kept.closed_at, "merged_in": kept.merged_in,
        "dismissed_at": kept.dismissed_at, "by": kept.by, "reason": kept.reason,
    }  # fmt: skip


def public_finding(finding: Finding) -> dict[str, Any]:
    """A finding as the API shows it."""
    return {
        "subject": {"what": finding.subject.what, "key": finding.subject.key}, "sentence": finding.sentence,
        "numbers": dict(finding.numbers), "loss_minor": finding.loss_minor, "risk_minor": round(finding.risk_minor),
        "confidence": finding.confidence, "since": finding.since,
        "causes": [{"what": cause.what, "key": cause.key} for cause in finding.causes],
    }  # fmt: skip


def _json(document: Any) -> Response:
    return Response(to_json(document), media_type="application/json")
