"""Long work in the background: `/v1/jobs`, and what asks for it."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Header, Path, Query
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
from onhand.api.schedules import ScheduleIn, ScheduleOut, shown_schedule
from onhand.base.fields import Moment, Strict
from onhand.errors import Conflict, InvalidInput, NotFound
from onhand.flows import lanes
from onhand.flows.simulation import job as simulation
from onhand.flows.simulation.run import Request
from onhand.jobs import store
from onhand.jobs.schedules import Schedule, get_schedule, set_schedule
from onhand.jobs.store import Job, State
from onhand.simulation.page import page
from onhand.sourcing.policies.model import NAME_PATTERN

router = routes("jobs")
asking = routes("policies")

_JobId = Annotated[UUID, Path(examples=["019cae2a-6f10-7000-9d55-0c4a2be1f7a3"])]
_Policy = Annotated[str, Path(pattern=NAME_PATTERN, examples=["standard"])]
_ORDERS_MAX: Final = 2_000_000
_LOOK: Final = {"days", "floor_minor", "orders_max"}


# Of the differences one, and no sweep: docs/how-to/simulate-a-policy.md has the whole.
_RESULT: Final = {
    "format": 1,
    "policy": "standard",
    "baseline": {
        "version": "standard@3", "units_asked": 91_204, "units_served": 90_877, "orders_unserved": 120,
        "units_missing": 0, "nodes": {"BERLIN": 21_410, "LYON": 69_467},
    },
    "candidate": {
        "version": "standard@4", "units_asked": 91_204, "units_served": 90_869, "orders_unserved": 123,
        "units_missing": 0, "nodes": {"BERLIN": 30_002, "LYON": 60_867},
    },
    "period": {
        "from": "2026-02-01T00:00:00Z", "to": "2026-03-01T00:00:00Z", "orders": 48_113, "orders_left_out": 2,
        "is_shortened": False,
    },
    "method": {"confidence": 0.95, "blocks_max": 30, "seed": 0, "step_s": 3600.0, "target_days": 5.0},
    "differences": [
        {
            "metric": "paid_minor", "name": "Paid: shipping, handling, tax and duty", "unit": "money", "better": "less",
            "baseline": 612.4, "candidate": 598.1, "difference": -14.3, "low": -17.9, "high": -10.7, "orders": 48_113,
            "blocks": 30, "verdict": "better", "is_suspicious": False,
        }
    ],
    "pareto": None,
}  # fmt: skip


class SimulationIn(Strict):
    """A period of the past, and what to decide its orders by."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [{"version": 4, "from": "2026-02-01T00:00:00Z", "to": "2026-03-01T00:00:00Z", "pareto": True}]
        },
    )

    from_: Annotated[Moment, Field(alias="from", description="beginning of the period")]
    to: Annotated[Moment, Field(description="its end; orders placed at that moment are not in it")]
    version: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="to try; null: the newest draft")] = None
    policy: Annotated[
        str | None, Field(max_length=2**20, description="YAML or JSON to try, which is no version yet")
    ] = None
    against: Annotated[
        int | None, Field(ge=1, le=2**31 - 1, description="version to compare with; null: the active one")
    ] = None
    orders_max: Annotated[
        int | None, Field(ge=1, le=_ORDERS_MAX, description="stop after so many orders; null: all of the period")
    ] = None
    pareto: Annotated[bool, Field(description="also try other prices of time and CO2")] = False
    seed: Annotated[int, Field(ge=0, le=2**63 - 1, description="of rejections and transit times")] = 0


class LanesIn(Strict):
    """Which deliveries are looked at, and what is not worth a rule."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 90, "floor_minor": 25.0}]})

    days: Annotated[int, Field(ge=7, le=730, description="back from now")] = lanes.DAYS
    floor_minor: Annotated[
        float, Field(ge=0, le=1_000_000, description="that a lane has to cost more, an order, in minor units")
    ] = lanes.FLOOR_MINOR
    orders_max: Annotated[int, Field(ge=100, le=100_000, description="that are replayed for the evidence")] = (
        lanes.ORDERS_MAX
    )


class LanesScheduleIn(LanesIn, ScheduleIn):
    """Which deliveries to look at every day."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"hour": 2}]})

    hour: Annotated[int, Field(ge=0, le=23, description="of UTC")] = 2


class LanesScheduleOut(ScheduleOut):
    """Looks of every day at the lanes of a policy; nobody has set any as long as `by` is null."""

    days: int
    floor_minor: float
    orders_max: int


class JobErrorOut(BaseModel):
    """Why nothing came of a job."""

    code: str
    message: str


class ProgressOut(BaseModel):
    """How far a job is. total 0: not known."""

    stage: str | None
    done: int
    total: int


class JobOut(BaseModel):
    """A job as it stands."""

    job_id: str
    kind: str
    state: State
    progress: ProgressOut
    request: dict[str, Any]
    error: JobErrorOut | None
    attempts: int
    by: Annotated[int, Field(description="key that asked for it, 0: the system")]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobList(BaseModel):
    """A page of jobs, newest first; of a request only members of at most 1,000 bytes."""

    data: list[JobOut]
    next_cursor: str | None


class JobAskedOut(BaseModel):
    """What was asked for, and where to look."""

    job_id: str
    state: Literal["queued"] = "queued"


@asking.post(
    "/v1/policies/{name}/simulate",
    status_code=202,
    # It keeps a processor busy for minutes.
    dependencies=[require("config:write")],
    response_model=JobAskedOut,
    responses=problem_responses(404, 409, 422),
)
def simulate_policy(
    name: Annotated[str, Path(pattern=NAME_PATTERN, examples=["standard"])],
    body: SimulationIn,
    by: By,
    once: OnceDep,
) -> Response:
    """Replay the orders of a period by a version and by the live one, with stock, supply, capacity and rejections
    evolving under each: cost by term, splits, lateness, CO2, fill rate, each difference with a 95 % interval. Works in
    the background and changes nothing: see `GET /v1/jobs/{id}`, and its result.
    """
    request = Request(
        name=name,
        begins=body.from_,
        ends=body.to,
        version=body.version,
        text=body.policy,
        against=body.against,
        orders_max=body.orders_max,
        pareto=body.pareto,
        seed=body.seed,
    )
    return once.commit(
        lambda conn: simulation.ask(conn, request, by=by.key_id),
        status=202,
        answer=lambda job_id: {"job_id": job_id, "state": "queued"},
    )


@asking.post(
    "/v1/policies/{name}/lanes",
    status_code=202,
    dependencies=[require("config:write")],
    response_model=JobAskedOut,
    responses=problem_responses(404, 422),
)
def learn_lanes(
    name: _Policy,
    body: LanesIn,
    by: By,
    once: OnceDep,
) -> Response:
    """Look for services and nodes that cost more than they promise to some areas. What is sure, and is shown by
    replaying orders to be worth it, becomes a version of the policy that leaves these lanes alone where there is
    another way: in shadow, for a person to promote. Works in the background: see `GET /v1/jobs/{id}`, and its result.
    """
    asked = lanes.Asked(name=name, **body.model_dump())
    return once.commit(
        lambda conn: lanes.ask(conn, asked, by=by.key_id),
        status=202,
        answer=lambda job_id: {"job_id": job_id, "state": "queued"},
    )


@asking.put(
    "/v1/policies/{name}/lanes/schedule",
    dependencies=[require("config:write")],
    response_model=LanesScheduleOut,
    responses=problem_responses(404, 422),
)
def put_lanes_schedule(name: _Policy, body: LanesScheduleIn, app: TheApp, by: By) -> Response:
    """Have a worker look for such lanes every day at an hour of UTC, or no longer (`active`), as
    `POST /v1/policies/{name}/lanes` does."""

    def work(conn: Connection[TupleRow]) -> Schedule:
        lanes.check_active(conn, name)
        return set_schedule(
            conn, lanes.KIND, body.model_dump(include=_LOOK), subject=name, hour=body.hour, active=body.active,
            now=app.state.now(), by=by.key_id,
        )  # fmt: skip

    return _lanes_schedule(app.db.transact(work))


@asking.get(
    "/v1/policies/{name}/lanes/schedule",
    dependencies=[require("read")],
    response_model=LanesScheduleOut,
    responses=problem_responses(404, 422),
)
def get_lanes_schedule(name: _Policy, app: TheApp) -> Response:
    """Which look is taken every day. Before anybody has set it: what a worker would do, switched off."""
    with app.db.connection() as conn:
        kept = get_schedule(conn, lanes.KIND, name)
        if kept is None:
            lanes.check_active(conn, name)
    return _lanes_schedule(kept)


def _lanes_schedule(kept: Schedule | None) -> Response:
    unset = LanesScheduleIn()
    settings = unset.model_dump(include=_LOOK) if kept is None else kept.settings
    return Response(to_json(shown_schedule(settings, kept, unset)), media_type="application/json")


@router.get("/v1/jobs", dependencies=[require("read")], response_model=JobList, responses=problem_responses(422))
def list_jobs(
    app: TheApp,
    page: Annotated[Page, pages("jobs", str)],
    kind: Annotated[
        str | None, Query(pattern=r"^[a-z_]{1,50}(\.[a-z_]{1,50})?$", description="such as `policy.simulate`")
    ] = None,
    state: Annotated[State | None, Query(description="left out: in any")] = None,
) -> Response:
    """Jobs, newest first: what was asked for, how far each is, why one failed."""
    try:
        before = None if page.after is None else str(UUID(str(page.after[0])))
    except ValueError:
        raise InvalidInput.at("cursor", "not a cursor of this list (jobs): use its next_cursor") from None
    with app.db.connection() as conn:
        rows = store.list_jobs(conn, kind=kind, state=state, before=before, limit=page.limit + 1)
    return Response(to_json(page.answer(rows, lambda job: (job.job_id,), _shown)), media_type="application/json")


@router.get(
    "/v1/jobs/{job_id}", dependencies=[require("read")], response_model=JobOut, responses=problem_responses(404, 422)
)
def get_job(job_id: _JobId, app: TheApp) -> Response:
    """A job: queued, running, done, failed or cancelled; and how far it is."""
    with app.db.connection() as conn:
        found = store.get_job(conn, str(job_id))
    if found is None:
        raise NotFound("job", str(job_id))
    return Response(to_json(_shown(found)), media_type="application/json")


@router.get(
    "/v1/jobs/{job_id}/result",
    dependencies=[require("read")],
    response_class=Response,
    responses={
        200: {
            "description": "What came of it",
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": _RESULT},
                "text/html": {
                    "schema": {"type": "string"},
                    "example": '<!doctype html><html lang="en"><title>standard@4 against standard@3</title></html>',
                },
            },
        },
        **problem_responses(404, 409, 422),
    },
)
def get_job_result(
    job_id: _JobId,
    app: TheApp,
    as_: Annotated[
        Literal["json", "html"] | None, Query(alias="format", description="left out: as `Accept` asks")
    ] = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """What came of a job: JSON, or a page for people. 409 until it is done."""
    with app.db.connection() as conn:
        found = store.get_result(conn, str(job_id))
    if found is None:
        raise NotFound("job", str(job_id))
    state, kind, result = found
    if result is None:
        raise Conflict("job.not_done", f"the job is {state}: there is no result", state=state)
    wants_page = as_ == "html" or (as_ is None and "text/html" in (accept or ""))
    if wants_page and kind == simulation.KIND:
        return Response(page(result), media_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)
    return Response(to_json(result), media_type="application/json")


# The page has neither scripts nor anything from elsewhere; nobody may add any.
_PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}


@router.post(
    "/v1/jobs/{job_id}/cancel",
    dependencies=[require("config:write")],
    response_model=JobOut,
    responses=problem_responses(404, 409, 422),
)
def cancel_job(job_id: _JobId, app: TheApp) -> Response:
    """Stop a job, or keep it from beginning. The same again changes nothing."""
    with app.db.connection() as conn:
        store.cancel_job(conn, str(job_id))
        found = store.get_job(conn, str(job_id))
    if found is None:
        raise NotFound("job", str(job_id))
    if found.state != "cancelled":
        raise Conflict("job.ended", f"the job is {found.state} already", state=found.state)
    return Response(to_json(_shown(found)), media_type="application/json")


def _shown(job: Job) -> dict[str, Any]:
    row = asdict(job)
    row["progress"] = {name: row.pop(name) for name in ("stage", "done", "total")}
    return row
