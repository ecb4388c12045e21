"""What plans propose: seen, approved, dismissed."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp, TheEdge
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.api.setup_answers import Filter
from onhand.app import App
from onhand.base.fields import Code, ShortText, Strict
from onhand.errors import Conflict, DatabaseUnavailable, InvalidInput, NotFound, Overloaded
from onhand.flows.demand.fold import fold
from onhand.flows.plans.approve import Decided, approve_proposal, dismiss_proposal
from onhand.flows.plans.curve import service_curve
from onhand.flows.plans.undo import undo_proposal
from onhand.ledger.stock import list_stock
from onhand.planning.model import Plan
from onhand.planning.store import NEWEST, Kept, Status, get_proposal, list_proposals

router = routes("planning")

_ID: Final = "019cae2a-8c30-7000-9b1e-2f6d7a80c915"
_ProposalId = Annotated[UUID, Path(examples=[_ID])]
_BATCH_MAX: Final = 200
# What was ordered since the worker last looked is taken over before, up to so many transactions.
_BATCHES: Final = 4
_CURVE_S: Final = 5.0
_CURVES_AT_ONCE: Final = threading.BoundedSemaphore(2)
Kind = Literal["transfer", "purchase", "price", "safety_stock"]


class IntervalOut(BaseModel):
    """What is expected; 90 of 100 draws of demand lie between low and high."""

    expected: float
    low: float | None
    high: float | None


class ServiceOut(BaseModel):
    """What it does to service in the time it looks at; null where that is not known."""

    all_served_before: Annotated[float | None, Field(description="chance to serve all demand")]
    all_served_after: float | None
    share_before: Annotated[IntervalOut | None, Field(description="share of demand that is served")]
    share_after: IntervalOut | None


class EffectOut(BaseModel):
    """What it is expected to do, against doing nothing."""

    money_minor: Annotated[IntervalOut, Field(description="gained, after its cost")]
    units: Annotated[IntervalOut, Field(description="more sold")]
    service: ServiceOut
    co2_g: Annotated[IntervalOut, Field(description="emitted, less what it spares")]
    cover_days: Annotated[
        float | None,
        Field(description="for which its units last at what is expected there; null: of prices, or unknown"),
    ]


class BasisOut(BaseModel):
    """What it rests on."""

    forecast: str
    origin: Annotated[date, Field(description="last day that the forecast has seen")]
    horizon_days: int


class FollowedOut(BaseModel):
    """What has become of the units of an approved transfer or purchase."""

    inbound_id: UUID
    reference: Annotated[
        str, Field(description="that receipts name: `transfer_in` of a transfer, `receipt` of a purchase")
    ]
    ordered: int
    shipped: Annotated[int | None, Field(description="left the other node; of a purchase null: see its inbound")]
    received: int
    short: Annotated[int, Field(description="missing though their day is over")]


class ProposalOut(BaseModel):
    """A proposal as it stands."""

    model_config = ConfigDict(populate_by_name=True)

    proposal_id: UUID
    job_id: Annotated[UUID | None, Field(description="that planned it; null: planned on the command line")]
    plan: Plan
    kind: Kind
    status: Annotated[Status, Field(description="`done`: approved, and all of it there")]
    sku: str
    node: Annotated[str, Field(description="where it takes effect: of a transfer where it goes")]
    from_: Annotated[str | None, Field(alias="from", description="of a transfer")]
    supplier: Annotated[str | None, Field(description="of a purchase")]
    quantity: Annotated[
        int, Field(description="units; of a safety stock what it is to be; of a price those sold with it")
    ]
    price_minor: int | None
    cost_minor: Annotated[int, Field(description="spent if approved")]
    currency: str | None
    act_by: Annotated[date, Field(description="last day on which it does what it says: order, or send")]
    expected_at: Annotated[date | None, Field(description="day its units are there")]
    expires_at: datetime
    effect: EffectOut
    basis: BasisOut
    explanation: str
    created_at: datetime
    decided_at: datetime | None
    by: Annotated[int | None, Field(description="key that decided")]
    reason: Annotated[str | None, Field(description="why it was dismissed")]
    followed: FollowedOut | None
    undone: Annotated[bool, Field(description="it was approved, and that was taken back: it counts as dismissed")]


class ProposalList(BaseModel):
    """A page of proposals."""

    data: list[ProposalOut]
    next_cursor: str | None


class DismissIn(Strict):
    """Why it is not to be done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the store closes in May"}]})

    reason: ShortText | None = None


class UndoIn(Strict):
    """Why it is taken back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the lorry is full"}]})

    reason: ShortText | None = None


_ProposalIds = Annotated[
    list[Annotated[UUID, Field(strict=False)]],
    Field(min_length=1, max_length=_BATCH_MAX, description="each is decided on by itself, in this order"),
]


class ApproveManyIn(Strict):
    """What is to be done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"proposal_ids": [_ID]}]})

    proposal_ids: _ProposalIds


class DismissManyIn(DismissIn):
    """What is not to be done, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"proposal_ids": [_ID], "reason": "the store closes in May"}]}
    )

    proposal_ids: _ProposalIds


class ProposalResult(BaseModel):
    """What became of one of them. refused: as if it had not been asked for; `code` and `message` say why."""

    proposal_id: UUID
    outcome: Literal["approved", "dismissed", "refused"]
    code: str | None
    message: str | None
    proposal: Annotated[ProposalOut | None, Field(description="as it stands now; null: refused")]


class ProposalResults(BaseModel):
    """What became of each, in their order."""

    results: list[ProposalResult]


class CurvePointOut(BaseModel):
    """What a level of stock comes to."""

    units: Annotated[int, Field(description="on hand and on its way, after an order")]
    safety_stock: Annotated[int, Field(description="of these beyond what is expected to be asked for, at least 0")]
    service: Annotated[float, Field(description="chance to serve all demand until what is ordered next is there")]
    fill_rate: Annotated[float, Field(description="share of that demand which is served")]
    short_units: Annotated[float, Field(description="units expected to be missing")]


class LeadDaysOut(BaseModel):
    """What deliveries took."""

    p50: float
    p95: float


class ServiceCurveOut(BaseModel):
    """Stock against service of an item at a node, from the draws of demand and lead time that plans go by."""

    sku: str
    node: str
    basis: BasisOut
    supplier: str
    lead_days: LeadDaysOut
    review_days: int
    mean_units: Annotated[float, Field(description="expected to be asked for over lead and review time")]
    points: Annotated[list[CurvePointOut], Field(description="by rising units, from none to all that was drawn")]
    present: Annotated[CurvePointOut, Field(description="what is available now, and on its way")]
    kept: Annotated[CurvePointOut, Field(description="where the safety stock that is kept now leads to")]
    best: Annotated[
        CurvePointOut | None,
        Field(description="what a plan by costs would choose; null: what a stock-out costs is not known"),
    ]


_decide: dict[str, Any] = {
    "dependencies": [require("plan:approve")],
    "response_model": ProposalOut,
    "responses": problem_responses(404, 409, 422),
}
_decide_many: dict[str, Any] = {
    "dependencies": [require("plan:approve")],
    "response_model": ProposalResults,
    "responses": problem_responses(422),
}


@router.get(
    "/v1/proposals", dependencies=[require("read")], response_model=ProposalList, responses=problem_responses(422)
)
def get_proposals(
    app: TheApp,
    page: Annotated[Page, pages("proposals", str)],
    kind: Kind | None = None,
    plan: Plan | None = None,
    status: Status | None = None,
    sku: Filter = None,
    node: Annotated[str | None, Query(min_length=1, max_length=200, description="at either end")] = None,
    job_id: Annotated[UUID | None, Query(description="of one plan")] = None,
) -> Response:
    """Proposals, the newest first."""
    before = NEWEST if page.after is None else _uuid(str(page.after[0]))
    with app.db.connection() as conn:
        rows = list_proposals(
            conn, now=app.state.now(), limit=page.limit + 1, before=before, kind=kind, plan=plan, status=status,
            sku=sku, node=node, job_id=None if job_id is None else str(job_id),
        )  # fmt: skip
    return _json(page.answer(rows, lambda row: (str(row.proposal_id),), public))


@router.get(
    "/v1/proposals/{proposal_id:uuid}",
    dependencies=[require("read")],
    response_model=ProposalOut,
    responses=problem_responses(404, 422),
)
def get_one_proposal(proposal_id: _ProposalId, app: TheApp) -> Response:
    """One proposal; an approved one with what has come of it."""
    with app.db.connection() as conn:
        found = get_proposal(conn, str(proposal_id), now=app.state.now())
    if found is None:
        raise NotFound("proposal", str(proposal_id))
    return _json(public(found))


@router.post("/v1/proposals/{proposal_id:uuid}/approve", **_decide)
def approve(proposal_id: _ProposalId, app: TheApp, by: By, once: OnceDep) -> Response:
    """Do what it says, once: approving again answers the same. A transfer leaves its node at once, is inbound supply at
    the other, and is over when entries `transfer_in` under its reference have brought all of it; a purchase is inbound
    supply until `receipt`s under its reference have; a safety stock holds from now on; a price is told by the event
    `proposal.approved`, and sourcing knows it as a markdown.

    What has changed since the plan is looked at: 409 where the units are not free any more (`proposal.stock_gone`), the
    lane is full or closed (`proposal.lane_full`, `proposal.lane_closed`), a dock takes no more today
    (`proposal.dock_full`), another supplies the item (`proposal.supplier_changed`), or it is over (`proposal.expired`,
    `.superseded`, `.dismissed`).
    """
    done: list[Decided] = []

    def work(conn: Any) -> Decided:
        done[:] = [approve_proposal(app.db, conn, str(proposal_id), now=app.state.now(), by=by)]
        return done[0]

    answer = once.commit(work, answer=lambda decided: public(decided.proposal))
    _after(app, done)
    return answer


@router.post("/v1/proposals/{proposal_id:uuid}/undo", **_decide)
def undo(proposal_id: _ProposalId, app: TheApp, by: By, once: OnceDep, body: UndoIn | None = None) -> Response:
    """Take back what its approval did, while nothing rests on it; the same again changes nothing. The proposal is
    dismissed then. A transfer comes back to its node, on the day (UTC) that it was approved; a purchase is not expected
    any more, until any of it has come; both while nobody was promised any of it. A safety stock or a price is again
    what it was, while nobody has changed it since.

    409 where it was not approved (`proposal.not_approved`), or it is too late (`proposal.too_late`).
    """
    reason = None if body is None else body.reason
    done: list[Decided] = []

    def work(conn: Any) -> Decided:
        done[:] = [undo_proposal(app.db, conn, str(proposal_id), reason, now=app.state.now(), by=by)]
        return done[0]

    answer = once.commit(work, answer=lambda decided: public(decided.proposal))
    _after(app, done)
    return answer


@router.post("/v1/proposals/approve", **_decide_many)
def approve_many(body: ApproveManyIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """Approve up to 200 proposals, each by itself as `POST /v1/proposals/{proposal_id}/approve` does, and tell what
    became of each: one that is refused stops no other.
    """
    done: list[Decided] = []

    def one(conn: Any, proposal_id: str) -> Kept:
        decided = approve_proposal(app.db, conn, proposal_id, now=app.state.now(), by=by)
        done.append(decided)
        return decided.proposal

    try:
        return once.each(lambda: _each(app, body.proposal_ids, one, "approved"))
    finally:  # what was approved before an error is approved
        _after(app, done)


@router.post("/v1/proposals/dismiss", **_decide_many)
def dismiss_many(body: DismissManyIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """Dismiss up to 200 proposals, each by itself, and tell what became of each."""

    def one(conn: Any, proposal_id: str) -> Kept:
        return dismiss_proposal(app.db, conn, proposal_id, body.reason, now=app.state.now(), by=by)

    return once.each(lambda: _each(app, body.proposal_ids, one, "dismissed"))


def _each(
    app: App, proposal_ids: list[UUID], one: Callable[[Any, str], Kept], outcome: str
) -> dict[str, list[dict[str, Any]]]:
    """One transaction for each: locks are held for moments, and what was done stays done."""
    results: list[dict[str, Any]] = []
    for proposal_id in proposal_ids:
        told: dict[str, Any] = {"outcome": outcome, "code": None, "message": None, "proposal": None}
        try:
            kept = app.db.transact(lambda conn, at=str(proposal_id): one(conn, at))
        except (Conflict, NotFound) as refused:
            told |= {"outcome": "refused", "code": refused.code, "message": str(refused)}
        else:
            told["proposal"] = public(kept)
        results.append({"proposal_id": proposal_id} | told)
    return {"results": results}


def _after(app: App, done: list[Decided]) -> None:
    app.db.notify()
    positions = [at for decided in done for at in decided.positions]
    # It is committed: a memory that is behind costs a retry, never a unit.
    with suppress(DatabaseUnavailable):
        app.state.take([item for item, _ in positions], [node for _, node in positions])


@router.get(
    "/v1/service-curve",
    dependencies=[require("read")],
    response_model=ServiceCurveOut,
    responses=problem_responses(409, 422),
)
def get_service_curve(
    app: TheApp,
    edge: TheEdge,
    sku: Annotated[Code, Query(examples=["MUG-BLUE"])],
    node: Annotated[Code, Query(examples=["BERLIN"])],
) -> Response:
    """How the chance to serve all demand of an item at a node rises with its stock, from the forecast, the lead times
    and the draws that plans of safety stock go by; where stock is now, and what a plan would choose. The same answer
    again for up to five seconds, while stock and safety stock there stay as they are.

    409 where nobody supplies it there (`service_curve.no_supply`), or what a unit costs is not known
    (`service_curve.no_unit_cost`); 503 `overloaded` while two others are being worked out.
    """
    ids = app.catalogue.ids.get(sku, -1), app.network.node_ids.get(node, -1)
    with app.db.connection() as conn:
        position = tuple(list_stock(conn, item_id=ids[0], node_id=ids[1], limit=1))
    asked = "service curve", sku, node, position
    return Response(edge.looks.get(asked, _CURVE_S, lambda: _curve(app, sku, node)), media_type="application/json")


def _curve(app: App, sku: str, node: str) -> bytes:
    """A planner's work, for anybody who may read: few at once, so that ordinary requests keep their processors."""
    if not _CURVES_AT_ONCE.acquire(blocking=False):
        raise Overloaded(why="too many service curves are being worked out")
    try:
        fold(app.db, batches_max=_BATCHES)
        with app.db.connection() as conn, conn.transaction():
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return to_json(service_curve(conn, sku, node, app.state.now()))
    finally:
        _CURVES_AT_ONCE.release()


@router.post("/v1/proposals/{proposal_id:uuid}/dismiss", **_decide)
def dismiss(proposal_id: _ProposalId, app: TheApp, by: By, once: OnceDep, body: DismissIn | None = None) -> Response:
    """Do not do it. The same again changes nothing; 409 for one that was approved."""
    reason = None if body is None else body.reason
    return once.commit(
        lambda conn: dismiss_proposal(app.db, conn, str(proposal_id), reason, now=app.state.now(), by=by),
        answer=public,
    )


def public(row: Kept) -> dict[str, Any]:
    """A proposal as the API shows it."""
    effect = row.effect
    share_before, share_after = effect["served_before"], effect["served_after"]
    followed = None
    if row.inbound_id is not None:
        received = row.received or 0
        followed = {
            "inbound_id": row.inbound_id,
            "reference": row.reference,
            "ordered": row.quantity,
            "shipped": row.quantity if row.kind == "transfer" else None,
            "received": received,
            "short": max(row.quantity - received, 0) if row.overdue else 0,
        }
    return {
        "proposal_id": row.proposal_id,
        "job_id": row.job_id,
        "plan": row.plan,
        "kind": row.kind,
        "status": row.status,
        "sku": row.sku,
        "node": row.node,
        "from": row.source,
        "supplier": row.supplier,
        "quantity": row.quantity,
        "price_minor": row.price_minor,
        "cost_minor": row.cost_minor,
        "currency": row.currency,
        "act_by": row.act_by,
        "expected_at": row.expected_at,
        "expires_at": row.expires_at,
        "effect": {
            "money_minor": _interval(effect["money_minor"], effect["money_low_minor"], effect["money_high_minor"]),
            "units": _interval(effect["units_saved"], effect["units_low"], effect["units_high"]),
            "service": {
                "all_served_before": effect["service_before"],
                "all_served_after": effect["service_after"],
                "share_before": share_before,
                "share_after": share_after,
            },
            "co2_g": _interval(effect["co2_g"], effect["co2_low_g"], effect["co2_high_g"]),
            "cover_days": _cover_days(row),
        },
        "basis": {name: row.basis[name] for name in ("forecast", "origin", "horizon_days")},
        "explanation": row.explanation,
        "created_at": row.created_at,
        "decided_at": row.decided_at,
        "by": row.by,
        "reason": row.reason,
        "followed": followed,
        "undone": bool(row.basis.get("undone")),
    }


def _cover_days(row: Kept) -> float | None:
    daily = row.effect.get("daily_units")
    return None if not daily or row.kind == "price" else round(row.quantity / daily, 1)


def _interval(expected: float, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"expected": expected, "low": low, "high": high}


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidInput.at("cursor", "not a cursor of this list") from None


def _json(document: Any) -> Response:
    return Response(to_json(document), media_type="application/json")
