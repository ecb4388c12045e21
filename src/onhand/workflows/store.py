"""The SQL of runs.

A worker `take`s a run, which raises its `attempt` and gives it a lease, and opens a transaction for each step: `hold`
locks the run and makes sure that the attempt is still this worker's; the effect is made; `record` writes what was done
and where the run stands now. All of it is committed, or nothing of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.base.ids import new_id
from onhand.db import queries
from onhand.workflows.model import Part, Run, Status, Taken

SQL = queries(__file__)


class Fenced(Exception):
    """Another worker has taken the run: nothing was written, and nothing may be."""


def start(conn: Connection[TupleRow], kind: str, name: str, version: int, subject: str, *, now: datetime) -> str | None:
    """Begin a run; None if one of that kind, name and subject is open already."""
    values = {"run_id": new_id(), "kind": kind, "name": name, "version": version, "subject": subject, "now": now}
    row = conn.execute(SQL["start"], values).fetchone()
    return None if row is None else row[0]


def take(conn: Connection[TupleRow], kind: str, *, lease_s: float, now: datetime) -> Taken | None:
    """Take the run that has been due longest, for so long. A rival's is left out while its lease runs or while it is
    inside a step."""
    row = conn.execute(SQL["take"], {"kind": kind, "lease_s": lease_s, "now": now}).fetchone()
    return None if row is None else Taken(run_id=row[0], attempt=row[1])


def hold(conn: Connection[TupleRow], taken: Taken, *, lease_s: float) -> Run:
    """The run, locked until the transaction ends, its lease begun anew. Raises Fenced."""
    values = {"run_id": taken.run_id, "attempt": taken.attempt, "lease_s": lease_s}
    with conn.cursor(row_factory=class_row(Run)) as rows:
        found = rows.execute(SQL["hold"], values).fetchone()
    if found is None:
        raise Fenced(taken.run_id)
    return found


def let_go(conn: Connection[TupleRow], taken: Taken) -> None:
    """Anybody may take the run when it is due."""
    conn.execute(SQL["let_go"], {"run_id": taken.run_id, "attempt": taken.attempt})


def record(conn: Connection[TupleRow], run: Run, part: Part, *, now: datetime) -> None:
    """Write what a part did, in the transaction that did it."""
    conn.execute(
        SQL["record"],
        {
            "run_id": run.run_id, "step_no": part.step_no, "part_no": part.part_no, "kind": part.kind,
            "outcome": part.outcome, "why": part.why, "result": _json(part.result),
            "undo": None if part.undo is None else _json(part.undo), "cost_minor": part.cost_minor,
            "orders": part.orders, "units": part.units, "attempt": run.attempt, "now": now,
        },
    )  # fmt: skip


def record_undone(
    conn: Connection[TupleRow], run: Run, part: Part, came_to: Mapping[str, Any], *, now: datetime
) -> None:
    """Write that a part was put back, in the transaction that did it."""
    values = {"run_id": run.run_id, "step_no": part.step_no, "part_no": part.part_no, "undone": _json(came_to)}
    conn.execute(SQL["record_undone"], values | {"now": now})


def move(
    conn: Connection[TupleRow],
    run: Run,
    *,
    status: Status,
    step_no: int | None = None,
    part_no: int = 1,
    cursor: str | None = None,
    waited: int | None = None,
    due_at: datetime,
    failures: int = 0,
    error: str | None = None,
    why: str | None = None,
    now: datetime,
) -> None:
    """Where the run stands from now on. One that ends gives up its claims."""
    is_over = status in ("done", "undone")
    conn.execute(
        SQL["move"],
        {
            "run_id": run.run_id, "status": status, "step_no": step_no or run.step_no, "part_no": part_no,
            "cursor": cursor, "waited": waited, "due_at": due_at, "failures": failures, "error": error, "why": why,
            "finished_at": now if is_over else None,
        },
    )  # fmt: skip
    if is_over:
        conn.execute(SQL["give_up_claims"], {"run_id": run.run_id})


def claim(conn: Connection[TupleRow], run_id: str, what: str, keys: Iterable[str]) -> set[str]:
    """Own these things until the run ends; those that are this run's now. What another run owns is left out."""
    wanted = sorted(set(keys))  # everybody claims in one order
    if not wanted:
        return set()
    return {key for (key,) in conn.execute(SQL["claim"], {"run_id": run_id, "what": what, "keys": wanted})}


def get_run(conn: Connection[TupleRow], run_id: str, *, lock: bool = False) -> Run | None:
    """One run; with `lock` nobody else changes it until the transaction ends."""
    with conn.cursor(row_factory=class_row(Run)) as rows:
        return rows.execute(SQL["lock_run" if lock else "get_run"], {"run_id": run_id}).fetchone()


def runs_of(conn: Connection[TupleRow], kind: str, subject: str) -> list[Run]:
    """Runs about a thing, oldest first."""
    with conn.cursor(row_factory=class_row(Run)) as rows:
        return rows.execute(SQL["runs_of"], {"kind": kind, "subject": subject}).fetchall()


def parts_of(conn: Connection[TupleRow], run_ids: Sequence[str]) -> dict[str, list[Part]]:
    """What was done by these runs, in order."""
    found: dict[str, list[Part]] = {run_id: [] for run_id in run_ids}
    for run_id, *values in conn.execute(SQL["parts_of"], {"run_ids": list(run_ids)}):
        found[run_id].append(Part(**dict(zip(_PART, values, strict=True))))
    return found


_PART = (
    "step_no", "part_no", "kind", "outcome", "why", "result", "undo", "cost_minor", "orders", "units", "attempt", "at",
    "undone_at", "undone",
)  # fmt: skip


def approve(conn: Connection[TupleRow], run: Run, *, now: datetime) -> None:
    """A person has said yes to the step that waits; the run is locked."""
    conn.execute(SQL["approve"], {"run_id": run.run_id, "now": now})


def ask_undo(conn: Connection[TupleRow], run: Run, *, why: str, now: datetime) -> None:
    """Take the run back from where it stands; it is locked. One that had ended is open again."""
    conn.execute(SQL["ask_undo"], {"run_id": run.run_id, "why": why, "now": now})


def want_undo(conn: Connection[TupleRow], run: Run, *, why: str) -> None:
    """Take a run that has ended back when the later one that is open for the same thing has been; both are locked."""
    conn.execute(SQL["want_undo"], {"run_id": run.run_id, "why": why})


def next_undo(conn: Connection[TupleRow], ended: Run, *, now: datetime) -> None:
    """A run was taken back: open the one that waited for that."""
    conn.execute(SQL["next_undo"], {"run_id": ended.run_id, "now": now})


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
