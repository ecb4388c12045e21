"""What people do about playbooks and their runs: write versions, say yes to a step, take a run back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, errors
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.db import Database, queries
from onhand.db.outbox import write_event
from onhand.documents.findings import Finding
from onhand.errors import Conflict, FieldError, InvalidInput, NotFound
from onhand.flows.playbooks.telling import KIND, tell
from onhand.flows.state import State
from onhand.flows.transactor import Transactor
from onhand.incidents.playbooks import store
from onhand.incidents.playbooks.lint import lint
from onhand.incidents.playbooks.store import Version
from onhand.orders.store import order_uuid
from onhand.workflows import store as runs
from onhand.workflows.model import Part, Run

SQL = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a text: the version it is, whether that is new, and what lint warns of."""

    version: Version
    is_new: bool
    warnings: Sequence[Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A run with what it has done."""

    run: Run
    parts: Sequence[Part]
    steps: Sequence[str]


def set_playbook(db: Database, name: str, text: str, *, by: Actor) -> Written:
    """Write a new version, by which incidents begin runs from now on; or find that the latest one says the same. Runs
    that have begun keep theirs. Raises InvalidInput with every error, each with its line."""
    linted = lint(text)
    playbook = linted.playbook
    if playbook is None:
        raise InvalidInput([FieldError(finding.path, _in_words(finding)) for finding in linted.errors])

    def work(conn: Connection[TupleRow]) -> tuple[Version, bool]:
        store.lock_playbook(conn, name)
        latest = store.latest_of(conn, name)
        if latest is not None and latest.version and latest.playbook() == playbook:
            return latest, False
        number = 1 if latest is None else latest.version + 1
        store.add_version(conn, name, number, playbook, text, by=by.key_id)
        data = {"name": name, "version": number, "active": playbook.active}
        write_event(conn, "playbook.changed", name, data, actor=by, origin=db.origin)
        written = store.get_version(conn, name, number)
        assert written is not None, "it was just written"
        return written, True

    version, is_new = db.transact(work)
    db.notify()
    return Written(version=version, is_new=is_new, warnings=linted.findings)


def _in_words(finding: Finding) -> str:
    return f"line {finding.line}, column {finding.column}: {finding.message}; {finding.remedy}"


def shown_runs(conn: Connection[TupleRow], incident_id: str) -> list[Shown]:
    """Runs for an incident, oldest first, with what they have done. Raises NotFound."""
    if store.get_case(conn, incident_id) is None:
        raise NotFound("incident", incident_id)
    found = runs.runs_of(conn, KIND, incident_id)
    parts = runs.parts_of(conn, [run.run_id for run in found])
    return [_shown(conn, run, parts[run.run_id]) for run in found]


def approve_step(
    state: State, incident_id: str, run_id: str | None = None, *, by: Actor, transact: Transactor | None = None
) -> list[Shown]:
    """Say yes to the steps that wait, of one run or of all runs for the incident. The worker takes them. Raises
    NotFound; Conflict `run.nothing_waits`."""

    def work(conn: Connection[TupleRow]) -> list[Shown]:
        waiting = [r for r in _locked(conn, incident_id, run_id) if r.status == "needs_approval"]
        if not waiting:
            raise Conflict("run.nothing_waits", "no step waits for a yes: see the runs of the incident")
        for run in waiting:
            runs.approve(conn, run, now=state.now())
            tell(state.db, conn, run, "run.approved", {"step": run.step_no}, by=by)
        return _again(conn, waiting)

    return _told(state, (transact or state.db.transact)(work))


def undo_runs(
    state: State, incident_id: str, run_id: str | None = None, *, by: Actor, transact: Transactor | None = None
) -> list[Shown]:
    """Take back what was done about an incident, the last first: of one run or of all. The worker does it; a run that
    is being taken back, or was, stays so. Raises NotFound; Conflict `run.nothing_done`."""

    def work(conn: Connection[TupleRow]) -> list[Shown]:
        # The youngest first, as with the steps of each.
        found = [r for r in reversed(_locked(conn, incident_id, run_id)) if r.status != "undone"]
        if not found:
            raise Conflict("run.nothing_done", "nothing was done about it that could be taken back")
        for run in found:
            if run.status != "undoing":
                _ask_undo(conn, run, by, state, waits=run_id is None and run is not found[0])
        return _again(conn, found)

    return _told(state, (transact or state.db.transact)(work))


def _ask_undo(conn: Connection[TupleRow], run: Run, by: Actor, state: State, *, waits: bool) -> None:
    """waits: for later runs of the same playbook, which are taken back first."""
    why = by.reason or "taken back by a person"
    try:
        with conn.transaction():
            runs.ask_undo(conn, run, why=why, now=state.now())
    except errors.UniqueViolation:
        if waits:
            runs.want_undo(conn, run, why=why)
            tell(state.db, conn, run, "run.undo_asked", {}, by=by)
            return
        raise Conflict(
            "run.succeeded", "a later run of the same playbook is at work for this incident: take that one back first"
        ) from None
    tell(state.db, conn, run, "run.undo_asked", {}, by=by)


def want_messages(
    db: Database, customer_id: str, *, wanted: bool, by: Actor, transact: Transactor | None = None
) -> dict[str, Any]:
    """Whether a customer is written to about incidents. Raises NotFound."""
    customer_id = order_uuid(customer_id, "customer")

    def work(conn: Connection[TupleRow]) -> dict[str, Any]:
        values = {"customer_id": customer_id}
        if conn.execute(SQL["customer"], values).fetchone() is None:
            raise NotFound("customer", customer_id)
        conn.execute(SQL["opt_in" if wanted else "opt_out"], values)
        data = {"customer_id": customer_id, "messages": wanted}
        write_event(conn, "customer.messages", customer_id, data, actor=by, origin=db.origin)
        return data

    return (transact or db.transact)(work)


def _locked(conn: Connection[TupleRow], incident_id: str, run_id: str | None) -> list[Run]:
    if store.get_case(conn, incident_id) is None:
        raise NotFound("incident", incident_id)
    ids = [r.run_id for r in runs.runs_of(conn, KIND, incident_id) if run_id in (None, r.run_id)]
    if run_id is not None and not ids:
        raise NotFound("run", run_id)
    found = [runs.get_run(conn, i, lock=True) for i in ids]
    return [run for run in found if run is not None]


def _again(conn: Connection[TupleRow], found: Sequence[Run]) -> list[Shown]:
    ids = [run.run_id for run in found]
    parts = runs.parts_of(conn, ids)
    now = [run for i in ids if (run := runs.get_run(conn, i)) is not None]
    return [_shown(conn, run, parts[run.run_id]) for run in now]


def _shown(conn: Connection[TupleRow], run: Run, parts: Sequence[Part]) -> Shown:
    version = store.get_version(conn, run.name, run.version)
    assert version is not None, "a run keeps its version"
    return Shown(run=run, parts=parts, steps=[step.name or step.do for step in version.playbook().steps])


def _told(state: State, shown: list[Shown]) -> list[Shown]:
    state.db.notify()
    return shown
