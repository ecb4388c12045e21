"""Plan stock in the background."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.ids import new_id
from onhand.db import Database
from onhand.flows.plans.request import Request, find_scope
from onhand.flows.plans.run import run_plan
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


def run(db: Database, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The Work of a worker."""
    asked = msgspec.convert(request, _Asked)
    made = run_plan(db, asked.request, asked.at, by=Actor(key_id=asked.by), job_id=asked.job_id, progress=progress)
    return made.document
