"""What the conditions and the numbers of a playbook may ask. Pure."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from onhand.documents.cel import cel
from onhand.documents.types import DOUBLE, INT, MAP, STRING, Fact, Type, list_of, object_of
from onhand.incidents.model import Kind, Subject

# What the detectors of incidents/detect say in numbers, by kind; a kind that is not here is asked with has().
NUMBERS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.LANE_SLOW: ("delay_days", "sum", "threshold", "delivered", "open", "p_value"),
    Kind.SHIPMENT_LATE: ("p_late", "expected_days_late", "forecasts", "hours_left"),
    Kind.PHANTOM_STOCK: ("run_days", "velocity_per_day", "rejections", "count_gain_minor"),
    Kind.ORDER_STUCK: ("hours", "median_hours", "most_hours", "staying_share"),
    Kind.ORDER_DUPLICATE: ("hours_between", "same_parts"),
    Kind.DEMAND_SPIKE: ("units", "limit_units", "chance", "missing_units"),
    Kind.FORECAST_DRIFT: ("loss_before", "loss_after"),
    Kind.CAPACITY_BREACH: ("days_until", "units_late", "units_left_that_day"),
    Kind.CHANNEL_SILENT: ("orders_expected", "silences_per_year"),
    Kind.INBOUND_LATE: ("chance", "expected_days_late", "expected_in_days", "units_per_day"),
    Kind.INBOUND_SHORT: ("units_short",),
    Kind.MARGIN_BREACH: ("margin_rate", "floor", "orders"),
    Kind.PRICE_OUTLIER: ("price_minor", "usual_minor", "z"),
    Kind.OVERSELL: ("shelf_units", "waiting_units", "orders", "free_units"),
    Kind.CHANNEL_DRIFT: ("listings_read", "foreign", "lost", "unheard"),
    Kind.CHANNEL_REFUSING: ("is_out", "listings", "failing", "parked"),
    Kind.GATE_BREACH: ("orders", "oversold", "target"),
    Kind.AUTOPILOT_OSCILLATING: ("turns",),
    Kind.AUTOPILOT_RETURNED: ("actions", "promised", "saved"),
    Kind.PAYMENTS_UNBALANCED: ("days", "orders", "minor"),
}

_RUN: Final = object_of(
    orders=Fact(INT, "orders that the run has touched so far"),
    units=Fact(INT, "units that it has moved"),
    cost_minor=Fact(INT, "what that cost"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A finding, as a step acts on it."""

    subject: Subject
    numbers: Mapping[str, float]
    loss_minor: int
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An incident as a playbook sees it; findings with the most money at risk first."""

    incident_id: str
    kind: str
    cause: Subject
    status: str
    loss_minor: int
    risk_minor: int
    confidence: float
    currency: str
    opened_at: datetime
    seen_at: datetime
    findings: tuple[Seen, ...]

    @property
    def is_over(self) -> bool:
        """Whether the cause is gone, or a person said that it is none."""
        return self.status != "open"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has touched, moved and cost so far."""

    orders: int = 0
    units: int = 0
    cost_minor: int = 0


def context(kinds: Collection[str]) -> Mapping[str, Type]:
    """What can be asked of incidents of these kinds; numbers of kinds whose detectors are not known, by has()."""
    known = [NUMBERS.get(Kind(kind)) for kind in kinds]
    names = set[str]().union(*(names for names in known if names is not None))
    shared = {n for n in names if all(of is not None and n in of for of in known)}
    of_all = {n: Fact(DOUBLE, "of the finding with the most money at risk") for n in sorted(shared)}
    numbers = object_of(**of_all) if len(shared) == len(names) and names and None not in known else MAP
    return {
        "incident": object_of(
            kind=Fact(STRING, "as `on` names it", "kinds"),
            cause=Fact(STRING, "what it comes from: lane, carrier, node, item_node, order, channel, ...", "causes"),
            key=Fact(list_of(STRING), "of what it comes from"),
            loss_minor=Fact(INT, "expected if nobody does anything and all of it is right"),
            risk_minor=Fact(INT, "times the chance that it is"),
            confidence=Fact(DOUBLE, "of its surest finding"),
            findings=Fact(INT, "how many"),
            hours_open=Fact(DOUBLE, "since it was first told of"),
            numbers=Fact(numbers, "of the finding with the most money at risk, as its detector names them"),
        ),
        "run": _RUN,
    }


def facts(case: Case, spent: Spent, now: datetime) -> dict[str, Any]:
    """The same of one incident and run, for the engine."""
    first: Mapping[str, float] = case.findings[0].numbers if case.findings else {}
    return {
        "incident": {
            "kind": case.kind,
            "cause": case.cause.what,
            "key": list(case.cause.key),
            "loss_minor": case.loss_minor,
            "risk_minor": case.risk_minor,
            "confidence": case.confidence,
            "findings": len(case.findings),
            "hours_open": (now - case.opened_at).total_seconds() / 3600,
            "numbers": {name: float(value) for name, value in first.items()},
        },
        "run": {"orders": spent.orders, "units": spent.units, "cost_minor": spent.cost_minor},
    }


def with_numbers(known: Mapping[str, Any], numbers: Mapping[str, float]) -> dict[str, Any]:
    """Facts with the numbers of another finding than the dearest: for steps that reckon for each item by itself."""
    incident = {**known["incident"], "numbers": {name: float(value) for name, value in numbers.items()}}
    return {**known, "incident": incident}


class Unanswerable(Exception):
    """An expression has no answer for this incident: a number is missing, or something is divided by zero."""


def holds(condition: str | None, known: Mapping[str, Any]) -> bool:
    """Whether a condition holds; one that has no answer does not."""
    if condition is None:
        return True
    try:
        return evaluated(condition, known) is True
    except Unanswerable:
        return False


def number(value: float | str, known: Mapping[str, Any]) -> float:
    """A number as it stands, or as it follows from the facts. Raises Unanswerable."""
    if not isinstance(value, str):
        return float(value)
    answer = evaluated(value, known)
    if isinstance(answer, bool) or not isinstance(answer, (int, float)) or not math.isfinite(answer):
        raise Unanswerable(f"{value!r} answers {answer!r}, and not a number")
    return float(answer)


def evaluated(text: str, known: Mapping[str, Any]) -> object:
    """What an expression comes to. Raises Unanswerable."""
    try:
        return cel.evaluate(text, dict(known))
    except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise Unanswerable(f"{text!r}: {str(error)[:200]}") from None
