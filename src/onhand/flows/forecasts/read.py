"""Stored forecasts as answers show them, and as planning reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.demand import store as names
from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import SEGMENTS, Model, Rows, Run
from onhand.demand.forecasts.store import Key, Named
from onhand.demand.learn import between
from onhand.demand.panel import Float64, Forecast, Int64
from onhand.errors import NotFound
from onhand.flows.demand.history import load_places
from onhand.flows.forecasts.score import public_scores, record_of, settings_of

Conn = Connection[TupleRow]


def shown_run(conn: Conn, run_id: str) -> dict[str, Any]:
    """A run with all that is known of it. Raises NotFound."""
    run = store.get_run(conn, run_id)
    if run is None:
        raise NotFound("forecast_run", run_id)
    settings = settings_of(run)
    models = store.models_by_id(conn, [m for m in (run.champion, run.challenger) if m is not None])
    champion = None if run.champion is None else models[run.champion]
    return head(run) | {
        "champion": None if champion is None else _model(champion),
        "challenger": None if run.challenger is None else _model(models[run.challenger]),
        "segments": run.segments or [],
        "contributions": {} if champion is None else champion.facts["contributions"],
        "signals": [] if champion is None else champion.facts["trials"],
        "realised": public_scores(store.scores_of(conn, [run_id]), settings),
        "drift": [] if champion is None else record_of(conn, settings).drift(champion.model_id),
    }


def head(run: Run) -> dict[str, Any]:
    """A run as lists show it."""
    settings = settings_of(run)
    return {
        "run_id": run.run_id, "job_id": run.job_id, "state": run.state, "origin": run.origin.isoformat(),
        "freq": settings.freq, "horizon": settings.horizon, "levels": settings.levels,
        "by_channel": settings.by_channel, "series": run.series, "scored_periods": run.scored,
        "has_series": run.finished_at is not None and run.pruned_at is None, "by": run.by,
        "created_at": run.created_at, "finished_at": run.finished_at,
    }  # fmt: skip


def shown_runs(conn: Conn, *, before: str, limit: int) -> list[dict[str, Any]]:
    """Runs, the one that was asked for last first, each with what came of all of its series."""
    runs = store.list_runs(conn, before=before, limit=limit)
    scores = store.scores_of(conn, [run.run_id for run in runs])
    rows: list[dict[str, Any]] = []
    for run in runs:
        realised = public_scores([s for s in scores if s.run_id == run.run_id and s.segment == -1], settings_of(run))
        rows.append(head(run) | {"realised": next((row for row in realised if row["part"] == "champion"), None)})
    return rows


def _model(model: Model) -> dict[str, Any]:
    return {
        "model_id": model.model_id, "role": model.role, "why": model.why, "learned_until": model.origin.isoformat(),
        "series": model.facts["series"], "looks_at": model.facts["signals"], "created_at": model.created_at,
        "promoted_at": model.promoted_at, "retired_at": model.retired_at,
    }  # fmt: skip


def find_run(conn: Conn, run_id: str | None, *, freq: str, by_channel: bool) -> Run | None:
    """The run that is asked for, or the latest that has its series; None: there is none yet. Raises NotFound."""
    if run_id is None:
        return store.latest_run(conn, freq=freq, by_channel=by_channel)
    run = store.get_run(conn, run_id)
    if run is None or run.finished_at is None or run.pruned_at is not None:
        raise NotFound("forecast_run", run_id)
    return run


def shown_series(
    conn: Conn,
    run: Run,
    *,
    after: Key,
    limit: int,
    sku: str | None = None,
    node: str | None = None,
    region: str | None = None,
    channel: str | None = None,
) -> list[tuple[Key, dict[str, Any]]]:
    """Series of a run, those that are asked for, each with its key. Raises NotFound."""
    if sku is not None and not names.item_ids(conn, [sku]):
        raise NotFound("item", sku)
    if node is not None and not names.node_ids(conn, [node]):
        raise NotFound("node", node)
    if channel is not None and not names.channel_ids(conn, [channel]):
        raise NotFound("channel", channel)
    found = store.page_of_series(
        conn, run, after=after, limit=limit, sku=sku, node=node, region=region, channel=channel
    )  # fmt: skip
    settings = settings_of(run)
    by = {segment["segment"]: segment for segment in run.segments or ()}
    model = store.models_by_id(conn, [run.champion])[run.champion] if run.champion is not None else None
    contributions: dict[str, float] = {} if model is None else model.facts["contributions"]
    days = [day.isoformat() for day in settings.days(run.origin)]
    return [(row.key, _series(row, run, by[SEGMENTS[row.segment]], contributions, days)) for row in found]


def _series(
    row: Named, run: Run, segment: Mapping[str, Any], contributions: Mapping[str, float], days: Sequence[str]
) -> dict[str, Any]:
    is_model = segment["in_charge"] == "model"
    made = row.champion if is_model else row.baseline
    levels = [f"{level:g}" for level in made.levels.tolist()]
    quantiles: list[list[float]] = made.quantiles[0].tolist()
    return {
        "run_id": run.run_id, "origin": run.origin.isoformat(), "sku": row.sku, "node": row.node,
        "region": row.region, "channel": row.channel, "segment": segment["segment"],
        "in_charge": segment["in_charge"],
        "models": {"baseline": 1.0} if segment["in_charge"] == "baseline" else segment["shares"],
        "backtest": {name: segment[name] for name in ("loss", "loss_baseline", "gain", "gain_low", "gain_high")},
        "contributions": contributions if is_model else {},
        "periods": [
            {
                "from": day, "mean": round(mean, 4),
                "quantiles": {level: round(q, 4) for level, q in zip(levels, of, strict=True)},
            }
            for day, mean, of in zip(days, made.mean[0].tolist(), quantiles, strict=True)
        ],
    }  # fmt: skip


def whoever_is_in_charge(run: Run, rows: Rows) -> Forecast:
    """Of each series what the model of its segment forecast, or the baseline, whichever is in charge."""
    in_charge = {segment["segment"]: segment["in_charge"] for segment in run.segments or ()}
    is_model = np.array([in_charge.get(name) == "model" for name in SEGMENTS], np.bool_)[rows.segment]
    return Forecast(
        levels=rows.champion.levels,
        mean=np.where(is_model[:, None], rows.champion.mean, rows.baseline.mean),
        quantiles=np.where(is_model[:, None, None], rows.champion.quantiles, rows.baseline.quantiles),
    )


# For planning ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was forecast of series of some items, whoever is in charge of each.

    name    of the forecast; origin: the first day that it had not seen
    item    int64[n], places in the skus that were asked for
    node    of each series; None: what is sent to `region`
    """

    name: str
    origin: date
    item: Int64
    node: Sequence[str | None]
    region: Sequence[str]
    forecast: Forecast


def forecast_of_items(conn: Conn, skus: Sequence[str], first: date, horizon: int, levels: Float64) -> Stored | None:
    """The latest forecast of some items that covers `horizon` days from `first` on; None: there is none.

    levels  float64[Q] that quantiles are wanted at, by way of those that are stored
    """
    run = store.latest_run(conn, day=first + timedelta(days=horizon - 1))
    if run is None or run.origin > first:
        return None
    ids = names.item_ids(conn, skus)
    rows = store.series_of_items(conn, run, sorted(ids.values()))
    if rows is None:
        return None
    made = whoever_is_in_charge(run, rows)
    begin = (first - run.origin).days
    part = slice(begin, begin + horizon)
    number = {ids[sku]: n for n, sku in enumerate(skus) if sku in ids}
    places = load_places(conn)
    of = [places[place] for place in rows.place.tolist()]
    return Stored(
        name=f"forecast run {run.run_id}", origin=run.origin,
        item=np.array([number[item] for item in rows.item.tolist()], np.int64),
        node=[place.node for place in of], region=[place.region for place in of],
        forecast=Forecast(
            levels=levels,
            mean=made.mean[:, part], quantiles=between(made.levels, made.quantiles[:, part], levels),
        ),
    )  # fmt: skip
