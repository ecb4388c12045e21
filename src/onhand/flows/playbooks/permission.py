"""Whether a step may be taken without a person."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.flows.playbooks.base import Action


@dataclass(frozen=True, slots=True)
class Verdict:
    """act: do it now; recommend: ask a person; refuse: leave it. reason: in words."""

    answer: Literal["act", "recommend", "refuse"]
    reason: str


class Permit(Protocol):
    """Asked inside the transaction that writes the action."""

    def __call__(self, conn: Connection[TupleRow], action: Action, /, *, now: datetime) -> Verdict: ...


def ask_always(conn: Connection[TupleRow], action: Action, /, *, now: datetime) -> Verdict:  # noqa: ARG001
    """No guardrails are set: a person decides."""
    return Verdict("recommend", f"nobody has set guardrails for {action.domain}")
