"""A run, and what a part of one of its steps did, as values."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Status = Literal["ready", "needs_approval", "standing", "undoing", "done", "undone"]
Outcome = Literal["done", "skipped", "refused", "told", "failed", "held_out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it stands; fields as in the table."""

    run_id: str
    kind: str
    name: str
    version: int
    subject: str
    status: Status
    step_no: int
    part_no: int
    approved: int | None
    waited: int | None
    cursor: str | None
    due_at: datetime
    attempt: int
    failures: int
    error: str | None
    why: str | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A run that this worker holds; `attempt` tells its hold from an earlier or a later one."""

    run_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a part of a step did. undo: how it was before, None: nothing to put back."""

    step_no: int
    part_no: int
    kind: str
    outcome: Outcome
    why: str | None = None
    result: dict[str, Any] = field(default_factory=dict[str, Any])
    undo: dict[str, Any] | None = None
    cost_minor: int = 0
    orders: int = 0
    units: int = 0
    attempt: int = 0
    at: datetime | None = None
    undone_at: datetime | None = None
    undone: dict[str, Any] | None = None
