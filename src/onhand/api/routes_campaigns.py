"""Campaigns: whether the network can serve them, and those that were accepted."""

from datetime import date, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routes_jobs import JobAskedOut
from onhand.api.routing import routes
from onhand.base.fields import Code, Day, Name, ShortText, Strict
from onhand.errors import NotFound
from onhand.flows.campaigns import job
from onhand.flows.campaigns.accept import accept_campaign, cancel
from onhand.flows.campaigns.run import Request
from onhand.planning.campaigns.remedy import Means
from onhand.planning.campaigns.store import NEWEST, State, get_campaign, list_campaigns
from onhand.sourcing.policies.model import NAME_PATTERN

router = routes("campaigns")

_ID: Final = "019cae2a-6f10-7000-9d55-0c4a2be1f7a3"
_CampaignId = Annotated[UUID, Path(examples=[_ID])]
_Cost = Annotated[float | None, Field(ge=0, le=1e9)]
_Lead = Annotated[int, Field(ge=0, le=92)]


class MeansIn(Strict):
    """What may be done about what is short, and what a unit of it costs in minor units; null: it may not be done."""

    buy_minor: Annotated[_Cost, Field(description="beyond what a unit costs anyhow")] = 300.0
    buy_days: Annotated[_Lead, Field(description="until what is bought is there")] = 10
    expedite_minor: Annotated[_Cost, Field(description="to bring a unit of inbound forward")] = 150.0
    expedite_days: Annotated[_Lead, Field(description="no sooner than in so many days")] = 2
    transfer_minor: Annotated[_Cost, Field(description="to move a unit to another node")] = 60.0
    transfer_days: _Lead = 2
    overtime_minor: Annotated[_Cost, Field(description="an order beyond a node's capacity")] = 200.0
    overtime_share: Annotated[float, Field(ge=0, le=1, description="of a node's capacity, at most")] = 0.3
    spread_minor: Annotated[_Cost, Field(description="to put a unit of demand off by a day")] = 20.0
    far_minor: Annotated[float, Field(ge=0, le=1e9, description="a unit that a farther node sends")] = 200.0


class CampaignIn(Strict):
    """A campaign to assess: what, where, when, and how much cheaper it gets, or by how much demand rises."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [{"items": ["MUG-BLUE"], "from": "2026-03-14", "to": "2026-03-20", "discount": 0.25}]
        },
    )

    items: Annotated[list[Code], Field(max_length=500, description="skus; of bundles, their components")] = []  # noqa: RUF012
    categories: Annotated[list[ShortText], Field(max_length=50)] = []  # noqa: RUF012
    channels: Annotated[
        list[Code] | None, Field(min_length=1, max_length=100, description="that have it; null: all")
    ] = None
    from_: Annotated[Day, Field(alias="from", description="first day (UTC)")]
    to: Annotated[Day, Field(description="last day, within 92 days")]
    discount: Annotated[
        float | None, Field(gt=0, le=0.9, description="share of the price; the uplift follows from past prices")
    ] = None
    uplift: Annotated[
        float | None, Field(gt=0, le=50, description="share by which demand rises: 1.5 is 2.5 times as much")
    ] = None
    policy: Annotated[str, Field(pattern=NAME_PATTERN)] = "standard"
    paths: Annotated[int, Field(ge=20, le=5_000, description="of demand that are drawn")] = 500
    other_dates: Annotated[
        list[Annotated[int, Field(ge=-60, le=60)]], Field(max_length=12, description="days by which to move it")
    ] = [-7, -3, 3, 7]  # noqa: RUF012
    means: MeansIn = MeansIn()
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class AcceptIn(Strict):
    """An assessment to go by."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"job_id": _ID, "name": "Spring mugs"}]})

    job_id: Annotated[UUID, Field(strict=False, description="of the assessment")]
    name: Name


class CampaignOut(BaseModel):
    """A campaign that was accepted."""

    campaign_id: UUID
    name: str
    state: State
    items: list[str]
    channels: list[str] | None
    first_day: date
    last_day: date
    discount: float | None
    uplift: Annotated[float, Field(description="share by which demand is expected to rise, the mean")]
    assessment: Annotated[UUID, Field(description="job whose result it goes by")]
    by: Annotated[int, Field(description="key that accepted it")]
    created_at: datetime
    cancelled_at: datetime | None


class CampaignList(BaseModel):
    """A page of campaigns."""

    data: list[CampaignOut]
    next_cursor: str | None


@router.post(
    "/v1/campaigns/assess",
    status_code=202,
    # It keeps a processor busy for minutes.
    dependencies=[require("config:write")],
    response_model=JobAskedOut,
    responses=problem_responses(409, 422),
)
def assess_campaign(body: CampaignIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """Push demand with the campaign, as it may come, through the solver that decides real orders, against stock,
    inbound and the capacity of nodes and carriers, day by day: fill rate, lateness, cost to serve, which node, carrier
    or item gives way first and when, what to move or buy before when, the largest uplift that the network can serve,
    better dates. Works in the background and changes nothing: see `GET /v1/jobs/{id}`, and its result.
    """
    request = Request(
        items=tuple(body.items),
        categories=tuple(body.categories),
        channels=None if body.channels is None else tuple(body.channels),
        first=body.from_,
        last=body.to,
        discount=body.discount,
        uplift=body.uplift,
        policy=body.policy,
        paths=body.paths,
        shifts=tuple(body.other_dates),
        means=Means(**body.means.model_dump()),
        seed=body.seed,
    )
    return once.commit(
        lambda conn: job.ask(conn, request, at=app.state.now(), by=by.key_id),
        status=202,
        answer=lambda job_id: {"job_id": job_id, "state": "queued"},
    )


@router.post(
    "/v1/campaigns",
    status_code=201,
    dependencies=[require("config:write")],
    response_model=CampaignOut,
    responses=problem_responses(404, 409, 422),
)
def post_campaign(body: AcceptIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """Accept an assessed campaign. It becomes the signal `promotion` of its items, known ahead, and the room that it is
    expected to take is shown as `planned` in `GET /v1/capacity`.
    """
    return once.commit(
        lambda conn: accept_campaign(app.db, conn, str(body.job_id), body.name, now=app.state.now(), by=by), status=201
    )


@router.get(
    "/v1/campaigns", dependencies=[require("read")], response_model=CampaignList, responses=problem_responses(422)
)
def get_campaigns(app: TheApp, page: Annotated[Page, pages("campaigns", str)]) -> Response:
    """Campaigns, the one that was accepted last first."""
    before = NEWEST if page.after is None else str(page.after[0])
    with app.db.connection() as conn:
        rows = list_campaigns(conn, before=before, limit=page.limit + 1)
    return _json(page.answer(rows, lambda row: (row.campaign_id,)))


@router.get(
    "/v1/campaigns/{campaign_id:uuid}",
    dependencies=[require("read")],
    response_model=CampaignOut,
    responses=problem_responses(404, 422),
)
def get_one_campaign(campaign_id: _CampaignId, app: TheApp) -> Response:
    """One campaign."""
    with app.db.connection() as conn:
        found = get_campaign(conn, str(campaign_id))
    if found is None:
        raise NotFound("campaign", str(campaign_id))
    return _json(found)


@router.post(
    "/v1/campaigns/{campaign_id:uuid}/cancel",
    dependencies=[require("config:write")],
    response_model=CampaignOut,
    responses=problem_responses(404, 422),
)
def cancel_campaign(campaign_id: _CampaignId, app: TheApp, by: By, once: OnceDep) -> Response:
    """Give back the room that it holds, and take back its signal for the days to come. The same again changes
    nothing."""
    return once.commit(lambda conn: cancel(app.db, conn, str(campaign_id), now=app.state.now(), by=by))


def _json(document: Any) -> Response:
    return Response(to_json(document), media_type="application/json")
