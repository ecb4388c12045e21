"""Which step of a playbook comes next. Pure: the document, where its run stands, what it has done and the facts of the
moment in, a move out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from onhand.incidents.playbooks.facts import holds
from onhand.incidents.playbooks.model import PlaybookIn, duration, is_put_back_at_close
from onhand.workflows.model import Part, Run

LOOK_AGAIN: Final = timedelta(minutes=5)
"""How often a run whose steps are through looks whether something is to be put back."""


@dataclass(frozen=True, slots=True)
class Take:
    """Do the next part of the step."""

    step_no: int


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave the step out."""

    step_no: int
    why: str


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Do nothing until then; then the step's wait is over."""

    step_no: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    """A person has to say yes to the step."""

    step_no: int
    why: str


@dataclass(frozen=True, slots=True)
class PutBack:
    """Undo this part."""

    part: Part


@dataclass(frozen=True, slots=True)
class Rest:
    """All steps are through and stand; look again then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class End:
    """It is over."""

    is_undone: bool
    why: str


Move = Take | Pass | WaitFor | Ask | PutBack | Rest | End


def next_move(
    playbook: PlaybookIn,
    run: Run,
    parts: Sequence[Part],
    known: Mapping[str, Any],
    *,
    is_over: bool,
    now: datetime,
) -> Move:
    """What a run does now.

    parts    what it has done so far, in order
    known    see facts.facts
    is_over  the cause is gone, or somebody dismissed the incident

    What was done is put back in reverse order: all of it where a person or a failure asks for that, what the playbook
    says of it when the cause is gone. Then no further step is taken, nor waited for.
    """
    standing = [part for part in parts if part.undo is not None and part.undone_at is None]
    if run.status == "undoing":
        return PutBack(standing[-1]) if standing else End(is_undone=True, why=run.why or "taken back")
    if is_over:
        ends = [part for part in standing if is_put_back_at_close(playbook.steps[part.step_no - 1])]
        return PutBack(ends[-1]) if ends else End(is_undone=False, why="the cause is gone")
    for part in reversed(standing):
        condition = playbook.steps[part.step_no - 1].restore_when
        # Not while the step itself goes on.
        if condition is not None and part.step_no < run.step_no and holds(condition, known):
            return PutBack(part)
    if run.step_no > len(playbook.steps):
        return Rest(now + LOOK_AGAIN)
    step = playbook.steps[run.step_no - 1]
    if run.part_no == 1:
        if not holds(step.when, known):
            return Pass(run.step_no, "its condition does not hold")
        if step.wait is not None and run.waited != run.step_no:
            return WaitFor(run.step_no, now + duration(step.wait))
        if step.approval == "approve" and run.approved != run.step_no:
            return Ask(run.step_no, "the playbook wants a person to say yes")
    return Take(run.step_no)
