"""Forecast in the background: when somebody asks, or every day."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.ids import new_id
from onhand.db import Database
from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import Settings
from onhand.flows.forecasts.run import check_origin, make, origin_of
from onhand.jobs.schedules import Schedule
from onhand.jobs.store import add_job
from onhand.jobs.worker import Progress

KIND: Final = "forecast.run"
WORK: Final = "onhand.flows.forecasts.job:run"


class Asked(NamedTuple):
    """A run, and the job that makes it."""

    run_id: str
    job_id: str


class _Asked(msgspec.Struct):
    """today: the day on which it was asked for, of which a run that is taken up again knows no more."""

    run_id: str
    today: date


def ask(conn: Connection[TupleRow], settings: Settings, *, at: datetime, by: int, origin: date | None = None) -> Asked:
    """Ask for a forecast. Raises InvalidInput, Conflict."""
    today = at.astimezone(UTC).date()
    first = origin_of(conn, today, origin)
    check_origin(conn, settings, first)
    run_id = new_id()
    job_id = add_job(conn, KIND, msgspec.to_builtins(_Asked(run_id=run_id, today=today)), by=by)
    store.add_run(conn, run_id, job_id, settings, first)
    return Asked(run_id=run_id, job_id=job_id)


def run(db: Database, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The Work of a worker."""
    asked = msgspec.convert(request, _Asked)
    return make(db, asked.run_id, asked.today, progress)


def ask_scheduled(conn: Connection[TupleRow], schedule: Schedule, now: datetime) -> None:
    """Ask for the forecast of the day. Raises InvalidInput, Conflict: nothing was wanted yet."""
    ask(conn, msgspec.convert(schedule.settings, Settings), at=now, by=schedule.actor)
