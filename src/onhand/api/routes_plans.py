"""Planning runs on demand: `POST /v1/plans/run`."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import to_json
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.base.fields import Strict
from onhand.flows.reoptimise import reoptimise

router = routes("promise and orders")

_LIMIT_MAX = 1_000


class PlanRunIn(Strict):
    """What to plan. `sourcing`: the orders that no node has begun to work on, together and anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "sourcing", "limit": 200, "apply": True}]})

    kind: Literal["sourcing"]
    limit: Annotated[int, Field(ge=1, le=_LIMIT_MAX, description="orders at a time, those that leave first")] = 200
    apply: Annotated[bool, Field(description="false: only say what it would save")] = True
    placed_within_h: Annotated[int, Field(ge=1, le=24 * 90, description="older orders are left alone")] = 168


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
    responses=problem_responses(422),
)
def post_plan_run(body: PlanRunIn, app: TheApp, by: By) -> Response:
    """Plan again together what is sourced and not yet accepted by any node, and move what that makes cheaper, all of it
    or nothing. No order is promised later. To be repeated at will: when nothing is left to save, nothing moves.
    """
    done = reoptimise(
        app.state, limit=body.limit, apply=body.apply, placed_within=timedelta(hours=body.placed_within_h), by=by
    )
    return Response(to_json(done._asdict()), media_type="application/json")
