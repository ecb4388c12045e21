"""Planning runs on demand: `POST /v1/plans/run`."""

from datetime import timedelta
from typing import Annotated, Any, Final, Literal, cast

from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.problems import problem_responses
from onhand.api.routes_jobs import JobAskedOut
from onhand.api.routing import routes
from onhand.api.schedules import ScheduleIn, ScheduleOut, shown_schedule
from onhand.base.fields import Code, Money, ShortText, Strict
from onhand.flows.plans import job
from onhand.flows.plans.request import Request
from onhand.flows.reoptimise import reoptimise
from onhand.jobs.schedules import Schedule, get_schedule, set_schedule

router = routes("promise and orders")

_LIMIT_MAX = 1_000
_COST_MAX: Final = 1_000_000_000
_PLANS_MAX: Final = 20

_Share = Annotated[float, Field(gt=0, lt=1)]
_Cost = Annotated[int, Field(ge=0, le=_COST_MAX)]


_KINDS: Final = ("sourcing", "safety_stock", "replenish", "rebalance", "prune")


def _known(kind: object) -> object:
    if kind not in _KINDS:
        raise ValueError(f"expected one of {', '.join(_KINDS)}")
    return kind


def _by_kind(body: object) -> str:
    """The tag of a body; what has none that is known is refused as the first of them, at its field `kind`."""
    kind = cast("dict[str, object]", body).get("kind") if isinstance(body, dict) else getattr(body, "kind", None)
    return f"({kind})" if kind in _KINDS else f"({_KINDS[0]})"


class PlanRunIn(Strict):
    """The orders that no node has begun to work on, together and anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "sourcing", "limit": 200, "apply": True}]})

    kind: Annotated[Literal["sourcing"], BeforeValidator(_known)]
    limit: Annotated[int, Field(ge=1, le=_LIMIT_MAX, description="orders at a time, those that leave first")] = 200
    apply: Annotated[bool, Field(description="false: only say what it would save")] = True
    placed_within_h: Annotated[int, Field(ge=1, le=24 * 90, description="older orders are left alone")] = 168


class _StockPlanIn(Strict):
    """What a plan is about; nothing of it: everything."""

    items: Annotated[list[Code], Field(max_length=5_000, description="skus; of bundles, their components")] = []  # noqa: RUF012
    categories: Annotated[list[ShortText], Field(max_length=200)] = []  # noqa: RUF012
    nodes: Annotated[list[Code], Field(max_length=2_000)] = []  # noqa: RUF012
    valid_hours: Annotated[int, Field(ge=1, le=24 * 14, description="how long its proposals may be approved")] = 24
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    def asked(self) -> Request:
        """As the flow takes it."""
        return job.request_of(self.model_dump())


class EnoughIn(Strict):
    """How much is enough: one of the two, or neither: that at which the last unit costs as much as it saves."""

    service_level: Annotated[
        _Share | None, Field(description="chance to serve all demand until the order after the next one is there")
    ] = None
    fill_rate: Annotated[_Share | None, Field(description="share of demand that is served")] = None
    carrying_rate: Annotated[
        float,
        Field(
            gt=0, le=10, description="share of its cost that keeping a unit a year costs, where its supply says none"
        ),
    ] = 0.25


class KeepingIn(EnoughIn):
    """How much to keep, and whether nodes rely on one another."""

    across: Annotated[
        Literal["nodes"] | None,
        Field(
            description="nodes: where lanes feed nodes that buy nothing, safety stocks of an item are placed together,"
            " so that all of them cost least; null: each node for itself"
        ),
    ] = None


class BuyingIn(EnoughIn):
    """How to buy."""

    budget_minor: Annotated[Money | None, Field(description="most that may be spent; null: no limit")] = None
    smoothing: Annotated[
        float, Field(ge=1, le=20, description="1 orders all that is missing, 1.6 lets half of its variance through")
    ] = 1.0


class MovingIn(Strict):
    """What moving is worth, and when not to."""

    horizon_days: Annotated[int | None, Field(ge=1, le=365, description="how far ahead stock is valued")] = None
    sd_share: Annotated[
        float, Field(ge=0, le=5, description="a move gains so many standard deviations of its gain, or stays")
    ] = 0.5
    hold_days: Annotated[int, Field(ge=0, le=60, description="what moved stays so long")] = 7
    last_mile_co2_g: Annotated[_Cost, Field(description="less, of a unit that is sold where it is asked for")] = 0


class RebalancingIn(MovingIn):
    """What a unit in the right place is worth: its margin, or what is spared when another node need not send it."""

    lost_share: Annotated[
        float, Field(ge=0, le=1, description="of what a node lacks: not sold from elsewhere either")
    ] = 0.5
    last_mile_minor: Annotated[_Cost, Field(description="by which a unit from elsewhere is dearer")] = 150
    last_mile_days: Annotated[float, Field(ge=0, le=60, description="by which it is later")] = 1.0
    day_minor: Annotated[_Cost, Field(description="what a day sooner is worth")] = 50


class PruningIn(MovingIn):
    """What is too much, and what it is still worth later."""

    enough: Annotated[_Share, Field(description="excess is what lies beyond this quantile of demand")] = 0.95
    left_share: Annotated[
        float, Field(ge=0, le=1, description="of its cost: worth of a unit left at the horizon, where no markdown says")
    ] = 0.5


class SafetyStockPlanIn(_StockPlanIn):
    """How much to keep back of each item at each node that buys it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "safety_stock", "settings": {"service_level": 0.95}}]}
    )

    kind: Literal["safety_stock"]
    settings: KeepingIn = KeepingIn()


class ReplenishPlanIn(_StockPlanIn):
    """What to order today from suppliers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "replenish", "nodes": ["BERLIN"], "settings": {"budget_minor": 500000}}]
        }
    )

    kind: Literal["replenish"]
    settings: BuyingIn = BuyingIn()


class RebalancePlanIn(_StockPlanIn):
    """What to move between nodes before the demand is there."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "rebalance", "settings": {"horizon_days": 14}}]})

    kind: Literal["rebalance"]
    settings: RebalancingIn = RebalancingIn()


class PrunePlanIn(_StockPlanIn):
    """What lies too long: to where it sells, or cheaper."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "prune", "categories": ["kitchen"], "settings": {"enough": 0.9}}]}
    )

    kind: Literal["prune"]
    settings: PruningIn = PruningIn()


AnyPlanIn = Annotated[
    Annotated[PlanRunIn, Tag("(sourcing)")]
    | Annotated[SafetyStockPlanIn, Tag("(safety_stock)")]
    | Annotated[ReplenishPlanIn, Tag("(replenish)")]
    | Annotated[RebalancePlanIn, Tag("(rebalance)")]
    | Annotated[PrunePlanIn, Tag("(prune)")],
    Discriminator(_by_kind),
]


AnyStockPlanIn = Annotated[
    SafetyStockPlanIn | ReplenishPlanIn | RebalancePlanIn | PrunePlanIn, Field(discriminator="kind")
]


class PlanScheduleIn(ScheduleIn):
    """What to plan every day, one after another."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"hour": 5, "plans": [{"kind": "replenish"}, {"kind": "rebalance"}]}]}
    )

    hour: Annotated[int, Field(ge=0, le=23, description="of UTC; after that of forecasts, which plans go by")] = 5
    plans: Annotated[list[AnyStockPlanIn], Field(min_length=1, max_length=_PLANS_MAX)] = [  # noqa: RUF012
        SafetyStockPlanIn(kind="safety_stock"), ReplenishPlanIn(kind="replenish"), RebalancePlanIn(kind="rebalance"),
        PrunePlanIn(kind="prune"),
    ]  # fmt: skip


class PlanScheduleOut(ScheduleOut):
    """Plans of every day; nobody has set any as long as `by` is null."""

    plans: list[dict[str, Any]]


class PlanRunOut(BaseModel):
    """What came of it."""

    orders_considered: int
    orders_moved: Annotated[int, Field(description="or that would move, with apply false")]
    saving_minor: Annotated[int, Field(description="minor units by which the moved orders are cheaper")]
    gap: Annotated[
        float, Field(description="how much cheaper all of them could be still, at most, as a share of their cost")
    ]


@router.post(
    "/v1/plans/run",
    dependencies=[require("orders:write")],
    response_model=PlanRunOut,
    response_description="Of `sourcing`",
    responses={
        202: {"model": JobAskedOut, "description": "Of everything else: it is planned in the background"},
        **problem_responses(409, 422),
    },
)
def post_plan_run(body: AnyPlanIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """`sourcing`: plan again together what is sourced and not yet accepted by any node, and move what that makes
    cheaper, all of it or nothing. No order is promised later. To be repeated at will: when nothing is left to save,
    nothing moves.

    `safety_stock`, `replenish`, `rebalance`, `prune`: plan stock in the background, see `GET /v1/jobs/{id}` and its
    result. What comes of it are proposals (`GET /v1/proposals`), in place of those that are still open of the same
    plan, items and nodes; nothing is done until one is approved.
    """
    if not isinstance(body, PlanRunIn):
        request = body.asked()
        return once.commit(
            lambda conn: job.ask(conn, request, at=app.state.now(), by=by.key_id),
            status=202,
            answer=lambda job_id: {"job_id": job_id, "state": "queued"},
        )
    done = reoptimise(
        app.state, limit=body.limit, apply=body.apply, placed_within=timedelta(hours=body.placed_within_h), by=by
    )
    return Response(to_json(done._asdict()), media_type="application/json")


@router.put(
    "/v1/plans/schedule",
    dependencies=[require("config:write")],
    response_model=PlanScheduleOut,
    responses=problem_responses(422),
)
def put_plan_schedule(body: PlanScheduleIn, app: TheApp, by: By) -> Response:
    """Have a worker plan every day at an hour of UTC, or no longer (`active`). What comes of it are proposals, as of
    `POST /v1/plans/run`: in place of those of the day before that are still open."""
    plans = [plan.model_dump() for plan in body.plans]

    def work(conn: Connection[TupleRow]) -> Schedule:
        job.check_scheduled(conn, plans)
        return set_schedule(
            conn, job.KIND, {"plans": plans}, hour=body.hour, active=body.active, now=app.state.now(), by=by.key_id
        )

    return _schedule(app.db.transact(work))


@router.get("/v1/plans/schedule", dependencies=[require("read")], response_model=PlanScheduleOut)
def get_plan_schedule(app: TheApp) -> Response:
    """What is planned every day. Before anybody has set it: what a worker would do, switched off."""
    with app.db.connection() as conn:
        return _schedule(get_schedule(conn, job.KIND))


def _schedule(kept: Schedule | None) -> Response:
    unset = PlanScheduleIn()
    settings = unset.model_dump(include={"plans"}) if kept is None else kept.settings
    return Response(to_json(shown_schedule(settings, kept, unset)), media_type="application/json")
