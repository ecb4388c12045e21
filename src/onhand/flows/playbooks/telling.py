"""Events of runs: `run.begun`, `run.step`, `run.needs_approval`, `run.undone_step`, `run.ended`."""

from collections.abc import Mapping
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.workflows.model import Run

KIND: Final = "playbook"


def tell(
    db: Database,
    conn: Connection[TupleRow],
    run: Run,
    kind: str,
    facts: Mapping[str, object],
    *,
    by: Actor = SYSTEM,
) -> None:
    """Tell what a run did."""
    data = {"run_id": run.run_id, "incident_id": run.subject, "playbook": f"{run.name}@{run.version}", **facts}
    write_event(conn, kind, run.run_id, data, actor=by, origin=db.origin)
