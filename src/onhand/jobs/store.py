"""The SQL of jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.base.ids import new_id
from onhand.db.queries import queries

SQL = queries(__file__)

State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands. stage: what is being done; of `total` of it (0: not known) `done` are; by: key id."""

    job_id: str
    kind: str
    state: State
    request: dict[str, Any]
    stage: str | None
    done: int
    total: int
    error: dict[str, Any] | None
    attempts: int
    by: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A job that this process works on; `attempt` tells its hold from an earlier or a later one."""

    job_id: str
    kind: str
    request: dict[str, Any]
    attempt: int


def add_job(
    conn: Connection[TupleRow], kind: str, request: Mapping[str, Any], *, by: int, job_id: str | None = None
) -> str:
    """Ask for work; its id, which may be chosen (by `new_id`) so that the request can name it."""
    job_id = job_id or new_id()
    conn.execute(SQL["add"], {"job_id": job_id, "kind": kind, "request": _json(request), "actor": by})
    return job_id


def get_job(conn: Connection[TupleRow], job_id: str) -> Job | None:
    """A job without its result, which may be large."""
    with conn.cursor(row_factory=class_row(Job)) as rows:
        return rows.execute(SQL["get"], {"job_id": job_id}).fetchone()


def list_jobs(
    conn: Connection[TupleRow], *, kind: str | None, state: State | None, before: str | None, limit: int
) -> list[Job]:
    """Jobs, newest first, of `kind` and in `state` if these are told, older than the job `before`. Of a request only
    members of at most 1,000 bytes."""
    values = {"kind": kind, "state": state, "before": before, "limit": limit}
    with conn.cursor(row_factory=class_row(Job)) as rows:
        return rows.execute(SQL["list"], values).fetchall()


def get_result(conn: Connection[TupleRow], job_id: str) -> tuple[State, str, dict[str, Any] | None] | None:
    """(state, kind, result) of a job; the result of one that is done."""
    row = conn.execute(SQL["result"], {"job_id": job_id}).fetchone()
    return None if row is None else (row[0], row[1], row[2])


def take_job(conn: Connection[TupleRow], kinds: Sequence[str], *, lease_s: float) -> Taken | None:
    """Take the oldest job that is due, for so long."""
    row = conn.execute(SQL["take"], {"kinds": list(kinds), "lease_s": lease_s}).fetchone()
    return None if row is None else Taken(job_id=row[0], kind=row[1], request=row[2], attempt=row[3])


def extend_lease(conn: Connection[TupleRow], taken: Taken, *, lease_s: float) -> bool:
    """Hold the job for so long from now; False: it is no longer this worker's."""
    values = {"job_id": taken.job_id, "attempt": taken.attempt, "lease_s": lease_s}
    return conn.execute(SQL["extend"], values).fetchone() is not None


def note_progress(conn: Connection[TupleRow], taken: Taken, stage: str, done: int, total: int) -> None:
    """Say how far it is."""
    values = {"job_id": taken.job_id, "attempt": taken.attempt, "stage": stage, "done": done, "total": total}
    conn.execute(SQL["progress"], values)


def finish_job(conn: Connection[TupleRow], taken: Taken, result: Mapping[str, Any]) -> None:
    """Keep what came of it, unless it was cancelled or taken over."""
    conn.execute(SQL["finish"], {"job_id": taken.job_id, "attempt": taken.attempt, "result": _json(result)})


def fail_job(conn: Connection[TupleRow], taken: Taken, code: str, message: str) -> None:
    """Keep why nothing came of it."""
    error = _json({"code": code, "message": message})
    conn.execute(SQL["fail"], {"job_id": taken.job_id, "attempt": taken.attempt, "error": error})


def give_back(conn: Connection[TupleRow], taken: Taken) -> None:
    """Leave it to another worker, as if it had not been taken."""
    conn.execute(SQL["give_back"], {"job_id": taken.job_id, "attempt": taken.attempt})


def cancel_job(conn: Connection[TupleRow], job_id: str) -> bool:
    """Stop it, or keep it from beginning; False: it has ended already, or there is none."""
    return conn.execute(SQL["cancel"], {"job_id": job_id}).fetchone() is not None


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
