"""Plan stock in the background."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.ids import new_id
from onhand.db import Database
from onhand.errors import FieldError, InvalidInput, OnhandError
from onhand.flows.plans.request import Request, find_scope
from onhand.flows.plans.run import run_plan
from onhand.jobs.schedules import Schedule
from onhand.jobs.store import add_job
from onhand.jobs.worker import Progress

KIND: Final = "plan.run"
WORK: Final = "onhand.flows.plans.job:run"


class _Asked(msgspec.Struct):
    """A request with the moment that its answer is of, and the job that does it: done again it proposes the same, in
    place of what it proposed before."""

    request: Request
    at: datetime
    job_id: str
    by: int


def ask(conn: Connection[TupleRow], request: Request, *, at: datetime, by: int) -> str:
    """Ask for a plan; the id of its job. Raises what can be known at once: InvalidInput."""
    find_scope(conn, request)
    job_id = new_id()
    return add_job(conn, KIND, msgspec.to_builtins(_Asked(request, at, job_id, by)), by=by, job_id=job_id)


def request_of(plan: Mapping[str, Any]) -> Request:
    """A plan as a document says it: its kind, what it is about, and `settings`."""
    given = {name: value for name, value in plan.items() if name not in ("kind", "settings")}
    return msgspec.convert({"plan": plan["kind"], **given, **(plan.get("settings") or {})}, Request)


def check_scheduled(conn: Connection[TupleRow], plans: Sequence[Mapping[str, Any]]) -> None:
    """Raises InvalidInput, naming what there is not."""
    errors: list[FieldError] = []
    for n, plan in enumerate(plans):
        try:
            find_scope(conn, request_of(plan))
        except InvalidInput as error:
            errors += [FieldError(f"plans[{n}].{e.path}", e.message) for e in error.errors]
    if errors:
        raise InvalidInput(errors)


def ask_scheduled(conn: Connection[TupleRow], schedule: Schedule, now: datetime) -> None:
    """Ask for the plans of the day, one after another; one whose items or nodes are gone is left out."""
    for plan in schedule.settings["plans"]:
        try:
            with conn.transaction():
                ask(conn, request_of(plan), at=now, by=schedule.actor)
        except OnhandError:
            continue


def run(db: Database, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The Work of a worker."""
    asked = msgspec.convert(request, _Asked)
    made = run_plan(db, asked.request, asked.at, by=Actor(key_id=asked.by), job_id=asked.job_id, progress=progress)
    return made.document
