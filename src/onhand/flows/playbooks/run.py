"""Take the steps of runs, one transaction each: the run is held, the next move decided, made and recorded together.

A worker that dies leaves its run where the last commit left it, and another goes on from there. One that comes late,
after its lease, finds the run under another attempt and stops. A step that fails is tried again, later each time; in
the end what was done is taken back, the last first.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.autopilot import store as guards
from onhand.autopilot.model import Action, Domain, Target, Verdict
from onhand.base.actor import Actor
from onhand.errors import DatabaseUnavailable
from onhand.flows.autopilot.permit import permit
from onhand.flows.playbooks.base import At, Did, HeldOut, Meant, Nothing, Place
from onhand.flows.playbooks.costs import book_part, take_back_part
from onhand.flows.playbooks.steps import DOING
from onhand.flows.playbooks.telling import KIND, tell
from onhand.flows.state import State
from onhand.incidents.playbooks import store
from onhand.incidents.playbooks.decide import LOOK_AGAIN, Ask, End, Pass, PutBack, Rest, Take, WaitFor, next_move
from onhand.incidents.playbooks.facts import Case, Spent, Unanswerable, facts
from onhand.incidents.playbooks.model import LimitIn, PlaybookIn, domain_of
from onhand.workflows import store as runs
from onhand.workflows.model import Outcome, Part, Run, Status, Taken

log = structlog.get_logger(__name__)

LEASE_S: Final = 30.0
FAILURES_MAX: Final = 5
_BACK_OFF: Final = timedelta(seconds=2)
_BACK_OFF_MAX: Final = timedelta(minutes=10)
# Refusals that pass by themselves: the step waits for that, as long as there is a cause.
_PASSES: Final = ("stopped", "stale", "cool_down", "turns_back")
_LEFT: Final = "left undone on purpose, to compare with what is done"

Fault = Callable[[str, int, str], None]
"""Called at the boundaries of steps, for tests that fail or end the process there: ("before" | "inside" | "after",
number of the step, what is done)."""


class Permit(Protocol):
    """Whether an action may be taken without a person; asked inside the transaction that takes it."""

    def __call__(self, conn: Connection[TupleRow], action: Action, /, *, now: datetime) -> Verdict: ...


def _no_fault(when: str, step_no: int, what: str) -> None:
    """Nothing goes wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What one transaction came to: whether the run can go on at once, what memory must learn, and which step it was
    of."""

    goes_on: bool
    did: Did | None = None
    of: tuple[int, str] | None = None


class _NotPermitted(Exception):
    """The guardrails keep a person between, or refuse: nothing is written of what was meant."""

    def __init__(self, action: Action) -> None:
        self.action = action
        super().__init__(action.reference)


class Runner:
    """Works on runs of playbooks. Any number of processes may have one."""

    def __init__(
        self,
        state: State,
        *,
        permit: Permit = permit,
        lease_s: float = LEASE_S,
        failures_max: int = FAILURES_MAX,
        fault: Fault = _no_fault,
    ) -> None:
        """failures_max: of a step, one after the other, before what was done is taken back."""
        self._state = state
        self._permit = permit
        self._lease_s = lease_s
        self._failures_max = failures_max
        self._fault = fault

    def work(self, stop: threading.Event | None = None) -> int:
        """Take what is due, one run after the other, until there is none or `stop` is set; how many were taken."""
        taken = 0
        while stop is None or not stop.is_set():
            with self._state.db.connection() as conn:
                mine = runs.take(conn, KIND, lease_s=self._lease_s, now=self._state.now())
            if mine is None:
                break
            taken += 1
            self._go_on(mine, stop)
        return taken

    def _go_on(self, taken: Taken, stop: threading.Event | None) -> None:
        db = self._state.db
        try:
            while stop is None or not stop.is_set():
                try:
                    made = db.transact(lambda conn: self._move(conn, taken))
                except (runs.Fenced, DatabaseUnavailable):
                    raise
                except Exception as error:
                    log.warning("a step of a playbook failed", run_id=taken.run_id, error=repr(error), exc_info=True)
                    db.transact(lambda conn, error=error: self._failed(conn, taken, error))
                    break
                self._learn(made.did)
                if made.of is not None:
                    self._fault("after", *made.of)
                if not made.goes_on:
                    break
            with db.connection() as conn:
                runs.let_go(conn, taken)
        except runs.Fenced:
            log.warning("another worker has the run: stopped", run_id=taken.run_id, attempt=taken.attempt)

    def _learn(self, did: Did | None) -> None:
        state = self._state
        if did is not None and did.written is not None:
            did.written.tell(state)
        elif did is not None and did.stock:
            # It is committed: a memory that is behind costs a retry, never a unit.
            with suppress(DatabaseUnavailable):
                state.take([item for item, _ in did.stock], [node for _, node in did.stock])
        state.db.notify()

    # One move ----------------------------------------------------------------------------------------

    def _move(self, conn: Connection[TupleRow], taken: Taken) -> _Made:
        now = self._state.now()
        run = runs.hold(conn, taken, lease_s=self._lease_s)
        version = store.get_version(conn, run.name, run.version)
        case = store.get_case(conn, run.subject)
        assert version is not None and case is not None, "a run keeps its version, and its incident is not deleted"
        playbook = version.playbook()
        parts = runs.parts_of(conn, [run.run_id])[run.run_id]
        known = facts(case, _spent(parts), now)
        move = next_move(playbook, run, parts, known, is_over=case.is_over, now=now)
        match move:
            case Take(step_no):
                return self._take(conn, run, playbook, case, parts, known, step_no, now)
            case Pass(step_no, why):
                self._record(conn, run, playbook, step_no, "skipped", why, now)
                self._next_step(conn, run, now)
            case WaitFor(step_no, until):
                runs.move(conn, run, status="ready", waited=step_no, due_at=until, now=now)
                return _Made(goes_on=False)
            case Ask(step_no, why):
                self._ask(conn, run, step_no, why, {}, now)
                return _Made(goes_on=False)
            case PutBack(part):
                return self._put_back(conn, run, case, known, part, now)
            case Rest(until):
                runs.move(conn, run, status="standing", due_at=until, now=now)
                return _Made(goes_on=False)
            case End(is_undone, why):
                status: Status = "undone" if is_undone else "done"
                if is_undone:
                    guards.void_targets(conn, f"run:{run.run_id}", "the run was taken back")
                runs.move(conn, run, status=status, due_at=now, why=why, error=run.error, now=now)
                if is_undone:
                    runs.next_undo(conn, run, now=now)
                spent = _spent(parts)
                totals = {"orders": spent.orders, "units": spent.units, "cost_minor": spent.cost_minor}
                tell(self._state.db, conn, run, "run.ended", {"status": status, "why": why, **totals})
                return _Made(goes_on=False)
        return _Made(goes_on=True)

    def _take(
        self,
        conn: Connection[TupleRow],
        run: Run,
        playbook: PlaybookIn,
        case: Case,
        parts: list[Part],
        known: dict[str, Any],
        step_no: int,
        now: datetime,
    ) -> _Made:
        step = playbook.steps[step_no - 1]
        self._fault("before", step_no, step.do)
        asks = step.approval == "auto" and run.approved != step_no
        judges, hold_out = False, 0.0
        if asks:
            # Whoever acts in a domain takes turns, and takes this lock before those of orders and positions.
            is_stopped = guards.enter(conn)
            mode, rails = guards.lock_domain(conn, Domain(domain_of(step)))
            judges = mode == "auto" and not is_stopped
            hold_out = rails.hold_out_share if judges else 0.0
        at: At[Any] = At(
            state=self._state, conn=conn, run=run, case=case, known=known, now=now, step=step, parts=tuple(parts),
            left=_left(step.limit, [p for p in parts if p.step_no == step_no]), by=_actor(run, case), asks=asks,
            judges=judges, hold_out=hold_out,
        )  # fmt: skip
        meant: Meant | HeldOut | Nothing | _Refused
        try:
            # What was claimed and locked for something that is not done is let go of again.
            with conn.transaction():
                meant = DOING[step.do].mean(at)
                if asks and not isinstance(meant, Nothing):
                    self._permitted(conn, at, meant)
                did = meant.do() if isinstance(meant, Meant) and step.approval != "notify_only" else None
        except _NotPermitted as stopped:
            # Asked again, so that the answer is kept: the domain is locked, so it is the same.
            verdict = self._permit(conn, stopped.action, now=now)
            if verdict.do == "recommend":
                self._ask(conn, run, step_no, verdict.detail, _whole(at), now)
                return _Made(goes_on=False)
            if verdict.code in _PASSES:
                runs.move(
                    conn, run, status="ready", part_no=run.part_no, cursor=run.cursor, waited=run.waited,
                    due_at=now + LOOK_AGAIN, why=verdict.detail, now=now,
                )  # fmt: skip
                return _Made(goes_on=False)
            meant, did = _Refused(verdict.detail), None
        except Unanswerable as error:
            meant, did = _Refused(str(error)), None
        part_no = run.part_no
        held_out = _held_out(meant, parts, step_no)
        if held_out:
            said = {"held_out": ["/".join(target.key) for target in held_out]}
            self._record(conn, run, playbook, step_no, "held_out", _LEFT, now, said)
            part_no += 1
        if isinstance(meant, _Refused):
            self._record(conn, run, playbook, step_no, "refused", meant.why, now)
        elif isinstance(meant, Nothing):
            if meant.cursor is None and not any(p.step_no == step_no for p in parts):
                self._record(conn, run, playbook, step_no, "skipped", meant.why, now)
        elif isinstance(meant, Meant) and did is None:
            self._record(conn, run, playbook, step_no, "told", "the playbook wants it told only", now, _says(meant))
        elif did is not None:
            part = Part(
                step_no=step_no, part_no=part_no, kind=step.do, outcome="done", result=did.result, undo=did.undo,
                cost_minor=did.cost_minor, orders=did.orders, units=did.units,
            )  # fmt: skip
            runs.record(conn, run, part, now=now)
            book_part(at, part, did.expenses)
            self._tell_step(conn, run, part, step.name)
        if judges and isinstance(meant, (Meant, HeldOut)):
            acted = meant.targets if isinstance(meant, Meant) else ()
            left = meant.held_out if isinstance(meant, Meant) else meant.targets
            guards.add_targets(conn, at.reference, Domain(domain_of(step)), step.do, acted, left, now)
        self._fault("inside", step_no, step.do)
        further = did if did is not None else meant if isinstance(meant, (HeldOut, Nothing)) else None
        goes_on = True
        if further is not None and further.cursor is not None:
            goes_on = further.again_in is None
            due = now if further.again_in is None else now + further.again_in
            runs.move(
                conn, run, status="ready", step_no=step_no, part_no=part_no + 1, cursor=further.cursor,
                waited=run.waited, due_at=due, now=now,
            )  # fmt: skip
        else:
            self._next_step(conn, run, now)
        return _Made(goes_on=goes_on, did=did, of=(step_no, step.do))

    def _permitted(self, conn: Connection[TupleRow], at: At[Any], meant: Meant | HeldOut) -> None:
        """Ask the guardrails. Raises _NotPermitted."""
        action = _action(at, meant)
        if isinstance(meant, Meant):
            verdict = self._permit(conn, action, now=at.now)
        else:
            # Nothing is left undone to compare with that would not have been done; and it uses nothing.
            with conn.transaction(force_rollback=True):
                verdict = self._permit(conn, action, now=at.now)
        if verdict.do != "act":
            raise _NotPermitted(action)

    def _put_back(
        self, conn: Connection[TupleRow], run: Run, case: Case, known: dict[str, Any], part: Part, now: datetime
    ) -> _Made:
        assert part.undo is not None, "only what can be put back is"
        self._fault("before", part.step_no, f"undo {part.kind}")
        at = Place(
            state=self._state, conn=conn, run=run, case=case, known=known, left=LimitIn(), now=now,
            by=_actor(run, case),
        )  # fmt: skip
        undone = DOING[part.kind].undo(at, part.undo)
        runs.record_undone(conn, run, part, undone.result, now=now)
        if not undone.is_spent:
            take_back_part(at, part)
        guards.add_back(conn, f"run:{run.run_id}/{part.step_no}/{part.part_no}", now)
        facts = {"step": part.step_no, "part": part.part_no, "do": part.kind, "result": undone.result}
        tell(self._state.db, conn, run, "run.undone_step", facts)
        runs.move(
            conn, run, status=run.status, step_no=run.step_no, part_no=run.part_no, cursor=run.cursor,
            waited=run.waited, due_at=now, why=run.why, error=run.error, now=now,
        )  # fmt: skip
        self._fault("inside", part.step_no, f"undo {part.kind}")
        did = Did(written=undone.written, stock=undone.stock)
        return _Made(goes_on=True, did=did, of=(part.step_no, f"undo {part.kind}"))

    def _record(
        self,
        conn: Connection[TupleRow],
        run: Run,
        playbook: PlaybookIn,
        step_no: int,
        outcome: Outcome,
        why: str,
        now: datetime,
        result: dict[str, Any] | None = None,
    ) -> None:
        step = playbook.steps[step_no - 1]
        part = Part(
            step_no=step_no, part_no=run.part_no, kind=step.do, outcome=outcome, why=why, result=result or {}
        )  # fmt: skip
        runs.record(conn, run, part, now=now)
        self._tell_step(conn, run, part, step.name)

    def _tell_step(self, conn: Connection[TupleRow], run: Run, part: Part, name: str | None) -> None:
        data = {
            "step": part.step_no, "part": part.part_no, "do": part.kind, "name": name, "outcome": part.outcome,
            "why": part.why, "result": part.result, "orders": part.orders, "units": part.units,
            "cost_minor": part.cost_minor,
        }  # fmt: skip
        tell(self._state.db, conn, run, "run.step", data)

    def _next_step(self, conn: Connection[TupleRow], run: Run, now: datetime) -> None:
        runs.move(conn, run, status="ready", step_no=run.step_no + 1, due_at=now, now=now)

    def _ask(
        self, conn: Connection[TupleRow], run: Run, step_no: int, why: str, says: dict[str, Any], now: datetime
    ) -> None:
        runs.move(
            conn, run, status="needs_approval", step_no=step_no, part_no=run.part_no, cursor=run.cursor,
            waited=run.waited, due_at=now, why=why, now=now,
        )  # fmt: skip
        tell(self._state.db, conn, run, "run.needs_approval", {"step": step_no, "why": why, "meant": says})

    def _failed(self, conn: Connection[TupleRow], taken: Taken, error: Exception) -> None:
        """Try again, later each time; a step that fails too often is the reason to take back what was done. Putting
        back is tried until it succeeds."""
        now = self._state.now()
        run = runs.hold(conn, taken, lease_s=self._lease_s)
        failures = run.failures + 1
        said = f"{type(error).__name__}: {error}"[:500]
        wait = min(_BACK_OFF * 2 ** min(failures, 12), _BACK_OFF_MAX)
        status, why = run.status, run.why
        if failures >= self._failures_max and run.status != "undoing":
            status, why, wait, failures = "undoing", f"step {run.step_no} failed: {said}", timedelta(0), 0
        runs.move(
            conn, run, status=status, step_no=run.step_no, part_no=run.part_no, cursor=run.cursor, waited=run.waited,
            due_at=now + wait, failures=failures, error=said, why=why, now=now,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Refused:
    """The step is left out, and why."""

    why: str


def _spent(parts: list[Part]) -> Spent:
    return Spent(
        orders=sum(p.orders for p in parts),
        units=sum(p.units for p in parts),
        cost_minor=sum(p.cost_minor for p in parts),
    )


def _left(limit: LimitIn, parts: list[Part]) -> LimitIn:
    """What is left of the limit of a step after its parts so far."""

    def less(most: int | None, used: int) -> int | None:
        return None if most is None else max(most - used, 0)

    return LimitIn(
        orders=less(limit.orders, sum(p.orders for p in parts)),
        units=less(limit.units, sum(p.units for p in parts)),
        money_minor=less(limit.money_minor, sum(p.cost_minor for p in parts)),
        # All of them at once; the step that comes back to the same ones (throttle_price) counts them itself.
        subjects=limit.subjects,
    )


def _action(at: At[Any], meant: Meant | HeldOut) -> Action:
    """A part of a step as guardrails look at it: what is at stake is the incident's money at risk. Where no units of
    stock are touched, each listing, price, count, ... is a unit, so that nothing is without a size."""
    # What is held out has a part of its own, before.
    part_no = at.run.part_no + bool(_held_out(meant, at.parts, at.run.step_no))
    case, reference = at.case, f"{at.reference}/{part_no}"
    if isinstance(meant, HeldOut):
        return Action(
            domain=Domain(domain_of(at.step)), key=meant.targets[0].key, currency=case.currency,
            confidence=case.confidence, stake_minor=case.risk_minor, gain_minor=case.risk_minor, seen_at=case.seen_at,
            reference=reference,
        )  # fmt: skip
    return Action(
        domain=Domain(domain_of(at.step)), key=meant.key, also=meant.also, direction=meant.direction,
        money_minor=meant.money_minor, currency=case.currency, units=meant.units or meant.subjects, orders=meant.orders,
        confidence=case.confidence, stake_minor=case.risk_minor, gain_minor=case.risk_minor - meant.money_minor,
        seen_at=case.seen_at, reference=reference,
    )  # fmt: skip


def _held_out(meant: object, parts: Sequence[Part], step_no: int) -> list[Target]:
    """What this part leaves undone to compare with, and no part of the step before it."""
    if isinstance(meant, Meant):
        targets = meant.held_out
    elif isinstance(meant, HeldOut):
        targets = meant.targets
    else:
        return []
    told = {
        key for p in parts if p.step_no == step_no and p.outcome == "held_out" for key in p.result.get("held_out", ())
    }
    return [target for target in targets if "/".join(target.key) not in told]


def _whole(at: At[Any]) -> dict[str, Any]:
    """What a person is asked about: nothing is held out where one says yes."""
    with at.conn.transaction(force_rollback=True):
        meant = DOING[at.step.do].mean(replace(at, judges=False, hold_out=0.0))
    return _says(meant) if isinstance(meant, Meant) else {}


def _says(meant: Meant) -> dict[str, Any]:
    numbers = {
        "orders": meant.orders, "units": meant.units, "money_minor": meant.money_minor, "subjects": meant.subjects,
    }  # fmt: skip
    return {name: n for name, n in numbers.items() if n} | meant.says


def _actor(run: Run, case: Case) -> Actor:
    return Actor(reason=f"playbook {run.name}@{run.version} for incident {case.incident_id}")
