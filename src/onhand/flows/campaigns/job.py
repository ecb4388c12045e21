"""Assess a campaign in the background."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database
from onhand.flows.campaigns.run import Request, assess_campaign, check
from onhand.jobs.store import add_job
from onhand.jobs.worker import Progress

KIND: Final = "campaign.assess"
WORK: Final = "onhand.flows.campaigns.job:run"


class _Asked(msgspec.Struct):
    """A request with the moment that its answer is of: a job that is taken up again says the same."""

    request: Request
    at: datetime


def ask(conn: Connection[TupleRow], request: Request, *, at: datetime, by: int) -> str:
    """Ask for an assessment; the id of its job. Raises what can be known at once: InvalidInput."""
    check(conn, request, at)
    return add_job(conn, KIND, msgspec.to_builtins(_Asked(request, at)), by=by)


def run(db: Database, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The Work of a worker."""
    asked = msgspec.convert(request, _Asked)
    return assess_campaign(db, asked.request, asked.at, progress)
