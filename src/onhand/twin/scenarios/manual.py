"""What the playbooks that ship let `Auto` do: their conditions, limits and numbers, read from the files themselves.

So what is lived through is what ships. Steps that a person has to agree to are not taken; for those that are, the twin
has the acts of `Hands`.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from onhand.errors import InvalidInput
from onhand.incidents.model import Incident, Kind
from onhand.incidents.playbooks.facts import Case, Seen, Spent, facts, holds
from onhand.incidents.playbooks.lint import lint
from onhand.incidents.playbooks.model import PlaybookIn, duration
from onhand.incidents.playbooks.store import shipped

CURRENCY = "EUR"


@dataclass(slots=True)
class Left:
    """What a step may still touch in the run of one incident; None: as much as it likes."""

    orders: int | None
    units: int | None
    money_minor: float | None

    def take(self, *, orders: int = 0, units: int = 0, money_minor: float = 0.0) -> None:
        """Use some of it."""
        if self.orders is not None:
            self.orders -= orders
        if self.units is not None:
            self.units -= units
        if self.money_minor is not None:
            self.money_minor -= max(money_minor, 0.0)


class Manual:
    """Playbooks by the kinds of incidents that they are for. texts: of playbooks by name; None: those that ship.

    used  names of those of which a step was to be taken
    """

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self._playbooks = _read_all() if texts is None else {n: _read(n, text) for n, text in texts.items()}
        self.used: set[str] = set()
        self._left: dict[tuple[Any, ...], Left] = {}
        self._of: dict[str, list[tuple[str, PlaybookIn]]] = defaultdict(list)
        for name, playbook in self._playbooks.items():
            for kind in playbook.on:
                if playbook.active:
                    self._of[kind].append((name, playbook))

    def steps(self, incident: Incident, now: datetime) -> dict[str, Any]:
        """Steps, by what they do, that are to be taken now about an incident, without asking a person: those whose
        conditions hold and whose wait is over. Of two that do the same the first."""
        playbooks = self._of.get(incident.kind)
        if not playbooks:
            return {}
        known = facts(_case(incident), Spent(), now)
        found: dict[str, Any] = {}
        for name, playbook in playbooks:
            if not holds(playbook.when, known):
                continue
            for step in playbook.steps:
                waited = step.wait is None or now - incident.opened_at >= duration(step.wait)
                if step.approval == "auto" and waited and holds(step.when, known):
                    found.setdefault(step.do, step)
                    self.used.add(name)
        return found

    def left(self, incident: Incident, step: Any) -> Left:
        """What is left of a step's limits in the run of an incident."""
        key = (*incident.key, incident.opened_at, step.do)
        if key not in self._left:
            self._left[key] = Left(step.limit.orders, step.limit.units, step.limit.money_minor)
        return self._left[key]

    def step(self, kind: Kind, do: str) -> Any:
        """The first step that does this about incidents of a kind, whatever its conditions. Raises LookupError."""
        for _, playbook in self._of.get(kind, []):
            for step in playbook.steps:
                if step.do == do:
                    return step
        raise LookupError(f"no playbook for {kind} has a step {do}")


def _read(name: str, text: str) -> PlaybookIn:
    linted = lint(text)
    if linted.playbook is None:
        raise InvalidInput.at(name, "; ".join(str(f) for f in linted.findings))
    return linted.playbook


@cache
def _read_all() -> dict[str, PlaybookIn]:
    return {name: _read(name, text) for name, text in shipped().items()}


def _case(incident: Incident) -> Case:
    return Case(
        incident_id="", kind=incident.kind, cause=incident.cause, status="open", loss_minor=incident.loss_minor,
        risk_minor=round(incident.risk_minor), confidence=incident.confidence, currency=CURRENCY,
        opened_at=incident.opened_at, seen_at=incident.seen_at,
        findings=tuple(
            Seen(subject=f.subject, numbers=f.numbers, loss_minor=f.loss_minor, confidence=f.confidence)
            for f in incident.findings
        ),
    )  # fmt: skip
