"""Domains of the autopilot that went back to people by themselves: until somebody sets their mode, a person decides.

**Oscillating.** What is acted on to and fro is fought over by two loops, or by one that acts before its last act has
shown. **Returned.** What was done was judged worse than promised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from onhand.incidents.model import Finding, Kind, Subject

# By the 90 % interval of what was saved, of which one end speaks.
_SURE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Oscillating:
    """A domain that was stopped because the direction of what it did changed `turns` times. on: what it acted on;
    spent_minor: on that."""

    domain: str
    on: str
    turns: int
    spent_minor: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A domain whose actions saved less than was promised, both shares of what was at stake. missed_minor: the
    difference in money; reason: a sentence."""

    domain: str
    actions: int
    promised: float
    saved: float
    missed_minor: int
    reason: str
    since: datetime


def findings(oscillating: Sequence[Oscillating], returned: Sequence[Returned]) -> list[Finding]:
    """Both in words. What is expected to be lost is what was lost before they were stopped: as much again."""
    out = [
        Finding(
            kind=Kind.AUTOPILOT_OSCILLATING, subject=Subject("domain", (row.domain,)), loss_minor=row.spent_minor,
            confidence=1.0, since=row.since, numbers={"turns": row.turns},
            sentence=(
                f"{row.domain} is left to people: {row.on} was changed to and fro {row.turns} times; find out what"
                " works against it before it is set to auto again."
            ),
        )
        for row in oscillating
    ]  # fmt: skip
    out += [
        Finding(
            kind=Kind.AUTOPILOT_RETURNED, subject=Subject("domain", (row.domain,)), loss_minor=row.missed_minor,
            confidence=_SURE, since=row.since,
            numbers={"actions": row.actions, "promised": row.promised, "saved": row.saved},
            sentence=f"{row.domain} is left to people: {row.reason}.",
        )
        for row in returned
    ]  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.kind, f.subject))
