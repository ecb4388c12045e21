"""What being late costs by the policy that decided: its prices, by the version and rule that a plan names. Pure."""

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple, cast

_LATENESS = "lateness"


class Lateness(NamedTuple):
    """Minor units of a promise that is broken, and of each day until delivery."""

    late_minor: float
    day_minor: float


NOTHING = Lateness(0.0, 0.0)


def lateness_of(document: Mapping[str, Any], rule: int | None, objective: str | None, day: date) -> Lateness:
    """The prices of a stored policy document (its defaults filled in).

    rule       number of the rule that decided; None: the fall-back
    objective  that the order asked for; None: the rule's, else the one in force on `day`
    """
    rules = cast("list[dict[str, Any]]", document.get("rules", []))
    found: Mapping[str, Any] = rules[rule] if rule is not None and 0 <= rule < len(rules) else {}
    name = objective or found.get("objective") or _objective_on(document, day)
    prices = document["objectives"].get(name)
    if prices is None:
        return NOTHING
    weights = cast("Mapping[str, float]", (document.get("weights") or {}) | (found.get("weights") or {}))
    weight = weights.get(_LATENESS, 1.0)
    return Lateness((prices["late_minor"] or 0.0) * weight, (prices["day_minor"] or 0.0) * weight)


def _objective_on(document: Mapping[str, Any], day: date) -> str:
    for priority in document.get("priorities", []):
        until = priority["until"]
        if date.fromisoformat(priority["from"]) <= day and (until is None or day <= date.fromisoformat(until)):
            return priority["objective"]
    return document["objective"]
