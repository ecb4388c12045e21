"""What plans propose: seen, approved, dismissed."""

from contextlib import suppress
from datetime import date, datetime
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
from onhand.base.fields import ShortText, Strict
from onhand.errors import DatabaseUnavailable, InvalidInput, NotFound
from onhand.flows.plans.approve import Decided, approve_proposal, dismiss_proposal
from onhand.planning.model import Plan
from onhand.planning.store import NEWEST, Kept, Status, get_proposal, list_proposals

router = routes("planning")

_ID: Final = "019cae2a-8c30-7000-9b1e-2f6d7a80c915"
_ProposalId = Annotated[UUID, Path(examples=[_ID])]
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


class ProposalList(BaseModel):
    """A page of proposals."""

    data: list[ProposalOut]
    next_cursor: str | None


class DismissIn(Strict):
    """Why it is not to be done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the store closes in May"}]})

    reason: ShortText | None = None


_decide: dict[str, Any] = {
    "dependencies": [require("plan:approve")],
    "response_model": ProposalOut,
    "responses": problem_responses(404, 409, 422),
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
    app.db.notify()
    positions = done[0].positions if done else []
    # It is committed: a memory that is behind costs a retry, never a unit.
    with suppress(DatabaseUnavailable):
        app.state.take([item for item, _ in positions], [node for _, node in positions])
    return answer


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
        },
        "basis": row.basis,
        "explanation": row.explanation,
        "created_at": row.created_at,
        "decided_at": row.decided_at,
        "by": row.by,
        "reason": row.reason,
        "followed": followed,
    }


def _interval(expected: float, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"expected": expected, "low": low, "high": high}


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidInput.at("cursor", "not a cursor of this list") from None


def _json(document: Any) -> Response:
    return Response(to_json(document), media_type="application/json")
