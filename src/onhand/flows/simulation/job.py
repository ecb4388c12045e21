"""Simulate a policy in the background."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database
from onhand.flows.simulation.run import Request, choose, simulate_policy
from onhand.jobs.store import add_job
from onhand.jobs.worker import Progress

KIND: Final = "policy.simulate"
WORK: Final = "onhand.flows.simulation.job:run"


def ask(conn: Connection[TupleRow], request: Request, *, by: int) -> str:
    """Ask for a simulation; the id of its job. Raises what can be known at once: NotFound, InvalidInput, Conflict."""
    choose(conn, request)
    return add_job(conn, KIND, msgspec.to_builtins(request), by=by)


def run(db: Database, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The Work of a worker."""
    return simulate_policy(db, msgspec.convert(request, Request), progress)
