"""Forecasts: made in the background or every day, kept, and judged by what came."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.api.schedules import ScheduleIn, ScheduleOut, shown_schedule
from onhand.api.setup_answers import Sku
from onhand.base.fields import Code, Day, Strict
from onhand.demand.forecasts.model import HORIZON, LEVELS, Part, Settings
from onhand.demand.forecasts.store import NEWEST
from onhand.demand.model import Region
from onhand.errors import InvalidInput
from onhand.flows.demand.fold import fold
from onhand.flows.forecasts import job
from onhand.flows.forecasts.explain import Reason, shown_contributions
from onhand.flows.forecasts.item import shown_item
from onhand.flows.forecasts.read import find_run, shown_run, shown_runs, shown_series
from onhand.jobs.schedules import Schedule, get_schedule, set_schedule

router = routes("forecasts")

_AtNode = Annotated[Code | None, Query(description="bought or picked up there")]
_InRegion = Annotated[Region | None, Query(description="sent there, or to a part of it, or bought there")]
_OfChannel = Annotated[Code | None, Query(description="of this channel; of runs that keep them apart")]
_Freq = Annotated[Literal["D", "W"], Query(description="days, or weeks")]
_ID: Final = "019cae2a-8c31-7000-9b02-6a1e0f4d5b77"
_RunId = Annotated[UUID, Path(examples=[_ID])]
_HORIZON_MAX: Final = 366
_LEVELS_MAX: Final = 25
# What was ordered since the worker last looked is taken over before, up to so many transactions.
_BATCHES: Final = 4


def _rising(levels: list[float] | None) -> list[float] | None:
    if levels is not None and any(b <= a for a, b in pairwise(levels)):
        raise ValueError("expected levels that rise")
    return levels


class ForecastIn(Strict):
    """What to forecast."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"horizon": 42, "levels": [0.1, 0.5, 0.9]}]})

    freq: Annotated[Literal["D", "W"], Field(description="days, or weeks of seven days from the origin on")] = "D"
    horizon: Annotated[int | None, Field(ge=1, le=_HORIZON_MAX, description="periods; null: 42 days or 13 weeks")] = (
        None
    )
    levels: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]] | None,
        Field(min_length=1, max_length=_LEVELS_MAX, description="of quantiles, rising; null: nine of them"),
        AfterValidator(_rising),
    ] = None
    by_channel: Annotated[bool, Field(description="a forecast for each channel; otherwise of their sum")] = False
    ablate: Annotated[
        bool, Field(description="when something is learned, try signals one by one and leave out what does not help")
    ] = True
    learn: Annotated[bool, Field(description="learn now, whatever it was that was learned before")] = False
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    def settings(self) -> Settings:
        """As flows take them."""
        return Settings(
            freq=self.freq, horizon=self.horizon or HORIZON[self.freq],
            levels=LEVELS if self.levels is None else tuple(self.levels), by_channel=self.by_channel,
            ablate=self.ablate, learn=self.learn, seed=self.seed,
        )  # fmt: skip


class ForecastRunIn(ForecastIn):
    """What to forecast, and from when on."""

    origin: Annotated[
        Day | None,
        Field(description="first day; null: the one after the last on which anything was wanted, today at the latest"),
    ] = None


class ForecastScheduleIn(ForecastIn, ScheduleIn):
    """What to forecast every day."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"hour": 3}]})

    hour: Annotated[int, Field(ge=0, le=23, description="of UTC")] = 3


class ForecastAskedOut(BaseModel):
    """What was asked for, and where to look."""

    run_id: UUID
    job_id: UUID
    state: Literal["queued"] = "queued"


class ForecastBacktestOut(BaseModel):
    """What the model of a segment was worth on the past it was chosen by: scaled pinball losses, and the share by which
    its loss is smaller than the baseline's, with a 90 % interval."""

    loss: float | None
    loss_baseline: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None


class ForecastPeriodOut(BaseModel):
    """Demand of a period as it is expected."""

    from_: Annotated[date, Field(alias="from", description="first day")]
    mean: float
    quantiles: Annotated[dict[str, float], Field(description="by level")]


class ForecastOut(BaseModel):
    """The forecast of an item at a place."""

    run_id: UUID
    origin: date
    sku: str
    node: Annotated[str | None, Field(description="where it is bought or picked up; null: it is sent to `region`")]
    region: str
    channel: Annotated[str | None, Field(description="null: of all; empty: of none")]
    segment: Annotated[str, Field(description="kind of demand: smooth, erratic, intermittent, lumpy, never_sold")]
    in_charge: Annotated[
        Literal["model", "baseline", "cold_start"],
        Field(description="of this segment, by what came of it; cold_start: siblings speak for what was never sold"),
    ]
    models: Annotated[dict[str, float], Field(description="shares of what is forecast")]
    backtest: ForecastBacktestOut
    contributions: Annotated[
        dict[str, float], Field(description="what signals, kinds, the calendar and the history bring, as shares")
    ]
    periods: list[ForecastPeriodOut]


class ForecastList(BaseModel):
    """A page of forecasts."""

    data: list[ForecastOut]
    next_cursor: str | None


class ForecastScoreOut(BaseModel):
    """What came of a segment of a run. gain: forecast value added, 1 - loss / loss_baseline, with a 90 % interval."""

    segment: str
    part: Part
    series: int
    periods: int
    loss: float | None
    loss_baseline: float | None
    bias: Annotated[float | None, Field(description="units forecast over units that came, less 1")]
    gain: float | None
    low: float | None
    high: float | None
    coverage: Annotated[
        dict[str, float | None], Field(description="share of demand within each central interval, by what it is to be")
    ]


class ForecastFanOut(BaseModel):
    """The latest forecast of an item, summed over the series that were asked for. How far quantiles lie from the median
    adds up by half as if series were alike, and by half as if they had nothing to do with one another."""

    run_id: UUID
    origin: date
    freq: Literal["D", "W"]
    series: int
    periods: list[ForecastPeriodOut]


class ForecastErrorOut(BaseModel):
    """How far something was from what came, over all series and periods."""

    wape: Annotated[float | None, Field(description="units that the mean was off, over units that came")]
    rmsse: Annotated[
        float | None,
        Field(description="root mean squared error, over that of the week before in the year before; below 1: better"),
    ]
    bias: Annotated[float | None, Field(description="units forecast over units that came, less 1")]
    pinball: Annotated[
        float | None, Field(description="units, mean over the levels of quantiles; null: it has no quantiles")
    ]
    coverage: Annotated[
        dict[str, float | None], Field(description="share of demand within each central interval, by what it is to be")
    ]


class ForecastAccuracyOut(BaseModel):
    """What came of the latest forecast whose first week (of weekly ones: four weeks) is over, and of what was at hand
    without it. baseline: the mean of the last four same weekdays, kept beside the forecast; seasonal_naive: the week
    before the origin again and again."""

    run_id: UUID
    origin: date
    to: Annotated[date, Field(description="last day that came")]
    periods: int
    series: int
    forecast: ForecastErrorOut
    baseline: ForecastErrorOut
    seasonal_naive: ForecastErrorOut


class ForecastItemOut(BaseModel):
    """An item, as forecasts see it."""

    sku: str
    forecast: Annotated[ForecastFanOut | None, Field(description="null: the latest run knows nothing of it")]
    accuracy: Annotated[
        ForecastAccuracyOut | None, Field(description="null: no forecast that is kept has been out for long enough")
    ]


class ForecastPartsOut(BaseModel):
    """What a mean is made of, in units: mean = base + contributions + others."""

    mean: float
    base: Annotated[float, Field(description="what trees say of the level of late, knowing nothing else")]
    contributions: Annotated[
        dict[str, float],
        Field(description="of signals, kinds, the calendar and the history; below 0: it takes away; largest first"),
    ]
    others: Annotated[
        float,
        Field(
            description="models without trees, siblings of what is young, and what was told of the past since the"
            " forecast was made"
        ),
    ]


class ForecastPartsOfPeriodOut(ForecastPartsOut):
    """Of one period."""

    from_: Annotated[date, Field(alias="from", description="first day")]


class ForecastExplainedOut(BaseModel):
    """The latest forecast of an item in its parts, summed over the series that were asked for. a_day: mean over the
    horizon, in units a day; periods: in units of the period."""

    run_id: UUID
    origin: date
    freq: Literal["D", "W"]
    series: int
    series_by_trees: Annotated[int, Field(description="that trees have a say in; the others are in `others`")]
    a_day: ForecastPartsOut
    periods: list[ForecastPartsOfPeriodOut]


class ForecastContributionsOut(BaseModel):
    """What each signal brings to the forecast of an item."""

    sku: str
    reason: Annotated[
        Reason | None,
        Field(
            description="why nobody can tell: the latest run knows nothing of it; no trees are in charge; what was"
            " learned is retired or of another version; there are more series than are read while somebody waits (50"
            " that are asked for, 5,000 in all)"
        ),
    ]
    explained: ForecastExplainedOut | None


class ForecastRunHead(BaseModel):
    """A run."""

    run_id: UUID
    job_id: UUID
    state: str
    origin: date
    freq: Literal["D", "W"]
    horizon: int
    levels: list[float]
    by_channel: bool
    series: int
    scored_periods: Annotated[int, Field(description="whose errors are known")]
    has_series: Annotated[bool, Field(description="false: not yet, or no longer; scores stay")]
    by: Annotated[int, Field(description="key that asked for it")]
    created_at: datetime
    finished_at: datetime | None


class ForecastRunRow(ForecastRunHead):
    """A run, and what came of all of its series."""

    realised: ForecastScoreOut | None


class ForecastRunList(BaseModel):
    """A page of runs."""

    data: list[ForecastRunRow]
    next_cursor: str | None


class ForecastModelOut(BaseModel):
    """What was learned: of how many series, until which day, why, and which signals it looks at."""

    model_id: UUID
    role: Literal["champion", "challenger", "retired"]
    why: Literal["first", "asked", "drift", "age"]
    learned_until: date
    series: int
    looks_at: dict[str, list[str]]
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None


class ForecastSegmentOut(ForecastBacktestOut):
    """Who is in charge of a segment. origins: that this rests on, beside the backtest."""

    segment: str
    series: int
    in_charge: Literal["model", "baseline", "cold_start"]
    origins: int
    shares: dict[str, float]
    left_out: Annotated[int, Field(description="items that were never sold and found no room in the run")] = 0


class SignalTrialOut(BaseModel):
    """A signal as it was tried: mean loss at past origins without it and with it, and the share by which it raised the
    loss of the origin that it served worst."""

    signal: str
    verdict: Literal["helps", "does_not_help", "hurts_an_origin", "not_tried"]
    stays: bool
    without: float | None
    with_: Annotated[float | None, Field(alias="with")]
    gain: float | None
    worst: float | None


class ForecastDriftOut(BaseModel):
    """Whether errors of a segment have become others: since which day its loss has risen, its bias is another."""

    segment: str
    periods: int
    loss_since: date | None
    bias_since: date | None


class ForecastRunOut(ForecastRunHead):
    """A run with all that is known of it."""

    champion: ForecastModelOut | None
    challenger: ForecastModelOut | None
    segments: list[ForecastSegmentOut]
    contributions: dict[str, float]
    signals: list[SignalTrialOut]
    realised: list[ForecastScoreOut]
    drift: list[ForecastDriftOut]


class ForecastScheduleOut(ScheduleOut):
    """Forecasts of every day; nobody has set any as long as `by` is null."""

    freq: Literal["D", "W"]
    horizon: int
    levels: list[float]
    by_channel: bool
    ablate: bool
    learn: bool
    seed: int


@router.post(
    "/v1/forecasts/run",
    status_code=202,
    # It keeps a processor busy for minutes.
    dependencies=[require("config:write")],
    response_model=ForecastAskedOut,
    responses=problem_responses(409, 422),
)
def run_forecast(body: ForecastRunIn, app: TheApp, by: By, once: OnceDep) -> Response:
    """Forecast demand of every item at every place where it was wanted within a year. Works in the background, in a
    process of its own, and goes on where it was if that process dies: see `GET /v1/jobs/{id}`. What was learned before
    is used again, unless there is none, it is four weeks old, or errors have risen.
    """
    fold(app.db, batches_max=_BATCHES)
    return once.commit(
        lambda conn: job.ask(conn, body.settings(), at=app.state.now(), by=by.key_id, origin=body.origin),
        status=202,
        answer=lambda asked: {"run_id": asked.run_id, "job_id": asked.job_id, "state": "queued"},
    )


@router.get(
    "/v1/forecasts", dependencies=[require("read")], response_model=ForecastList, responses=problem_responses(404, 422)
)
def get_forecasts(
    app: TheApp,
    page: Annotated[Page, pages("forecasts", str, int, int, int)],
    sku: Annotated[Code | None, Query(examples=["MUG-BLUE"])] = None,
    node: _AtNode = None,
    region: _InRegion = None,
    channel: _OfChannel = None,
    run_id: Annotated[UUID | None, Query(description="null: the one from the latest origin")] = None,
    freq: Annotated[Literal["D", "W"], Query(description="of the latest one")] = "D",
) -> Response:
    """The latest forecast, or that of a run: mean and quantiles by period, who is in charge, what that was worth on the
    past, and what it rests on.
    """
    wanted = None if run_id is None else str(run_id)
    item, place, of = 0, 0, -2
    if page.after is not None:
        wanted, (item, place, of) = _uuid(page.after[0]), page.after[1:]
    with app.db.connection() as conn:
        # A cursor stays with its run, however many come meanwhile.
        run = find_run(conn, wanted, freq=freq, by_channel=channel is not None)
        found = [] if run is None else shown_series(
            conn, run, after=(_int4(item), _int4(place), _int4(of)), limit=page.limit + 1, sku=sku, node=node,
            region=region, channel=channel,
        )  # fmt: skip
    return _json(page.answer(found, lambda row: (row[1]["run_id"], *row[0]), lambda row: row[1]))


@router.get(
    "/v1/forecasts/items/{sku:path}",
    dependencies=[require("read")],
    response_model=ForecastItemOut,
    responses=problem_responses(404, 422),
)
def get_item_forecast(
    sku: Sku,
    app: TheApp,
    node: _AtNode = None,
    region: _InRegion = None,
    channel: _OfChannel = None,
    freq: _Freq = "D",
) -> Response:
    """What is expected of one item as a single fan, summed over its places, and how good the latest forecast was whose
    first periods are over, beside the baseline and last week again.
    """
    today = app.state.now().astimezone(UTC).date()
    with app.db.connection() as conn:
        return _json(shown_item(conn, sku, node=node, region=region, channel=channel, freq=freq, today=today))


@router.get(
    "/v1/forecasts/contributions/{sku:path}",
    dependencies=[require("read")],
    response_model=ForecastContributionsOut,
    responses=problem_responses(404, 422),
)
def get_forecast_contributions(
    sku: Sku,
    app: TheApp,
    node: _AtNode = None,
    region: _InRegion = None,
    channel: _OfChannel = None,
    freq: _Freq = "D",
) -> Response:
    """What each signal brings to the latest forecast of one item, in units. Worked out by asking trees again: a second
    or so for an item at a few places.
    """
    with app.db.connection() as conn:
        return _json(shown_contributions(conn, sku, node=node, region=region, channel=channel, freq=freq))


def _uuid(value: object) -> str:
    """Of a cursor. Raises InvalidInput."""
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise InvalidInput.at("cursor", "not a cursor of this list: use its next_cursor") from None


def _int4(value: object) -> int:
    return max(-2, min(int(str(value)), 2**31 - 1))


@router.get(
    "/v1/forecasts/runs",
    dependencies=[require("read")],
    response_model=ForecastRunList,
    responses=problem_responses(422),
)
def get_forecast_runs(app: TheApp, page: Annotated[Page, pages("forecast-runs", str)]) -> Response:
    """Runs, the one that was asked for last first, each with its error, bias, coverage and value added once its days
    have come."""
    before = NEWEST if page.after is None else _uuid(page.after[0])
    with app.db.connection() as conn:
        rows = shown_runs(conn, before=before, limit=page.limit + 1)
    return _json(page.answer(rows, lambda row: (row["run_id"],)))


@router.get(
    "/v1/forecasts/runs/{run_id:uuid}",
    dependencies=[require("read")],
    response_model=ForecastRunOut,
    responses=problem_responses(404, 422),
)
def get_forecast_run(run_id: _RunId, app: TheApp) -> Response:
    """One run: which models are in charge of which segment, what signals bring, what came of it, and whether errors
    drift."""
    with app.db.connection() as conn:
        return _json(shown_run(conn, str(run_id)))


@router.put(
    "/v1/forecasts/schedule",
    dependencies=[require("config:write")],
    response_model=ForecastScheduleOut,
    responses=problem_responses(422),
)
def put_forecast_schedule(body: ForecastScheduleIn, app: TheApp, by: By) -> Response:
    """Have a worker forecast every day at an hour of UTC, or no longer (`active`)."""
    settings, now = asdict(body.settings()), app.state.now()
    made = app.db.transact(
        lambda conn: set_schedule(conn, job.KIND, settings, hour=body.hour, active=body.active, now=now, by=by.key_id)
    )
    return _json(_schedule(made))


@router.get(
    "/v1/forecasts/schedule",
    dependencies=[require("read")],
    response_model=ForecastScheduleOut,
)
def get_forecast_schedule(app: TheApp) -> Response:
    """What is forecast every day. Before anybody has set it: what a worker would do, switched off."""
    with app.db.connection() as conn:
        return _json(_schedule(get_schedule(conn, job.KIND)))


def _schedule(kept: Schedule | None) -> dict[str, Any]:
    unset = ForecastScheduleIn()
    settings = unset.settings() if kept is None else msgspec.convert(kept.settings, Settings)
    return shown_schedule(msgspec.to_builtins(settings), kept, unset)


def _json(document: Any) -> Response:
    return Response(to_json(document), media_type="application/json")
