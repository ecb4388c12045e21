"""What a playbook can say: the strict document, for YAML and JSON alike."""

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field

from onhand.base.fields import MONEY_MAX, Code, Name, Strict, TimeOfDay
from onhand.incidents.model import Kind

NAME_PATTERN: Final = "^[a-z][a-z0-9_-]{0,63}$"
EXPRESSION_LENGTH_MAX: Final = 2_000
STEPS_MAX: Final = 30
ELASTICITY_MIN: Final = 1.01
ELASTICITY_MAX: Final = 20

Domain = Literal["reroute", "rebalance", "replenish", "gates", "price", "listings", "promises"]
Approval = Literal["auto", "approve", "notify_only"]

_DURATION = re.compile(r"(\d{1,5})(m|h|d)")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST: Final = timedelta(days=60)


def duration(text: str) -> timedelta:
    """`30m`, `2h`, `3d` as a time. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    span = None if match is None else int(match[1]) * _UNITS[match[2]]
    if span is None or span > _LONGEST:
        raise ValueError(f'expected minutes, hours or days, 60 days at most, as in "30m", "2h" or "3d", got {text!r}')
    return span


def _duration(text: str) -> str:
    duration(text)
    return text


def _kind(text: str) -> str:
    if text not in {kind.value for kind in Kind}:
        raise ValueError(f"no kind of incident is called {text!r}: known are {', '.join(sorted(Kind))}")
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Expression = Annotated[str, Field(min_length=1, max_length=EXPRESSION_LENGTH_MAX)]
Number = Annotated[
    int | float | Expression, Field(description="a number, or CEL over `incident` and `run` that answers one")
]
_Count = Annotated[int, Field(ge=0, le=10_000_000)]


class LimitIn(Strict):
    """What a step may touch in one run; what is beyond is left alone, and told. Left out: no limit. Which of them a
    step knows: LIMITS."""

    orders: _Count | None = None
    units: _Count | None = None
    money_minor: Annotated[int | None, Field(ge=0, le=MONEY_MAX, description="that it may cost")] = None
    subjects: Annotated[
        _Count | None, Field(description="listings, prices, channels, items at nodes, inbound documents, or tickets")
    ] = None


class _Step(Strict):
    """What every step can say."""

    name: Annotated[Name | None, Field(description="for people; left out: what it does")] = None
    when: Annotated[Expression | None, Field(description="CEL over `incident` and `run`; false: left out")] = None
    wait: Annotated[Duration | None, Field(description="before it; it stops when the cause is gone")] = None
    approval: Annotated[
        Approval,
        Field(
            description="auto: if the guardrails of its domain let it; approve: a person says yes; notify_only: only "
            "say what it would touch"
        ),
    ] = "auto"
    domain: Annotated[Domain | None, Field(description="whose guardrails hold; left out: as its kind has it")] = None
    limit: LimitIn = LimitIn()
    restore: Annotated[
        Literal["at_close", "by_hand"] | None,
        Field(description="when what it did is put back; left out: as its kind has it"),
    ] = None
    restore_when: Annotated[
        Expression | None, Field(description="CEL; put back as soon as it holds, though the incident is open")
    ] = None


class RerouteIn(_Step):
    """Source orders again that nobody has begun to work on and that the incident touches."""

    do: Literal["reroute"]
    exclude: Annotated[
        Literal["nodes", "nothing"],
        Field(description="nodes: those of the findings; nothing: they may stay, if that is still the best"),
    ] = "nodes"


class RePromiseIn(_Step):
    """Promise the customers of these orders a later day."""

    do: Literal["re_promise"]
    days: Annotated[Number, Field(description="later than promised, rounded up")]


class QuietIn(Strict):
    """When no customer is written to, by the clock of where the order goes."""

    from_: Annotated[TimeOfDay, Field(alias="from")] = "21:00"
    until: TimeOfDay = "08:00"


class NotifyCustomerIn(_Step):
    """Write to the customers of these orders, once: blanks such as {order.number} are filled with the order's facts."""

    do: Literal["notify_customer"]
    subject: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(min_length=1, max_length=10_000)]
    about: Annotated[
        Literal["orders", "promises"],
        Field(description="orders: all that the incident touches; promises: those that this run promised anew"),
    ] = "orders"
    quiet: QuietIn = QuietIn()
    cost_minor: Annotated[int, Field(ge=0, le=MONEY_MAX, description="of a message, booked when it is sent")] = 0


class HoldIn(_Step):
    """Hold these orders: nothing of them ships."""

    do: Literal["hold"]
    reason: Name


class ReleaseIn(_Step):
    """Let the orders go that this run holds."""

    do: Literal["release"]


class SubstituteIn(_Step):
    """Give waiting units of an item another one, at the price of the first."""

    do: Literal["substitute"]
    instead: Annotated[
        str, Field(pattern="^attributes\\.[a-z][a-z0-9_]{0,63}$", description="attribute of the item: the other sku")
    ] = "attributes.substitute"


class CancelWithReasonIn(_Step):
    """Cancel what has not been shipped of these orders."""

    do: Literal["cancel_with_reason"]
    reason: Name


class ThrottlePriceIn(_Step):
    """Raise the price of a scarce item so that its stock lasts (incidents/playbooks/throttle.py)."""

    do: Literal["throttle_price"]
    days: Annotated[Number, Field(description="that the stock is to last")]
    rate_per_day: Annotated[Number, Field(description="units that are wanted a day at the present price")]
    elasticity: Annotated[
        float | None,
        Field(
            ge=ELASTICITY_MIN, le=ELASTICITY_MAX,
            description="demand falls by so many per cent per cent; left out: as the item's past prices tell",
        ),
    ] = None  # fmt: skip
    step_max: Annotated[float, Field(gt=0, le=1, description="share of the price that one step changes at most")] = 0.05
    total_max: Annotated[float, Field(gt=0, le=2, description="share above the price at the beginning, at most")] = 0.15
    cap_minor: Annotated[int | None, Field(ge=1, le=MONEY_MAX)] = None
    again: Annotated[Duration | None, Field(description="reckon anew after so long; left out: once")] = None
    times: Annotated[int, Field(ge=1, le=50)] = 1


class ShrinkListingIn(_Step):
    """Show at most so many units of an item on its channels; other channels are not told of them."""

    do: Literal["shrink_listing"]
    units: Number


class CloseListingIn(_Step):
    """Take listings off their channels: they show none."""

    do: Literal["close_listing"]


class RequestCountIn(_Step):
    """Ask the node to count an item."""

    do: Literal["request_count"]


class QuarantineStockIn(_Step):
    """Set free units aside that are probably not there: they are not sold until they are counted or put back."""

    do: Literal["quarantine_stock"]
    share: Annotated[Number, Field(description="of the units that are free, from 0 to 1")] = 1
    rejection_minor: Annotated[
        int | None,
        Field(
            ge=0, le=MONEY_MAX,
            description="what it costs that a node does not find what was sold; given: sets aside only where that is"
            " more than what hiding units that are there loses (incidents/respond/stock.py)",
        ),
    ] = None  # fmt: skip
    farther_minor: Annotated[
        int, Field(ge=0, le=MONEY_MAX, description="what serving an order from elsewhere costs more")
    ] = 100


class TransferIn(_Step):
    """Move units of an item to a node that runs short, over a lane, from where most are free."""

    do: Literal["transfer"]
    units: Number


class ExpediteInboundIn(_Step):
    """Ask the supplier for an earlier day."""

    do: Literal["expedite_inbound"]
    cost_minor: Annotated[int, Field(ge=0, le=MONEY_MAX, description="of a line, that it is booked with")] = 0


class RaiseGateIn(_Step):
    """Hide so many more units of every item from a channel."""

    do: Literal["raise_gate"]
    units: Number


class OpenTicketIn(_Step):
    """Tell people: an event `ticket.opened`, which webhooks deliver."""

    do: Literal["open_ticket"]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    queue: Code = "operations"


StepIn = Annotated[
    RerouteIn | RePromiseIn | NotifyCustomerIn | HoldIn | ReleaseIn | SubstituteIn | CancelWithReasonIn
    | ThrottlePriceIn | ShrinkListingIn | CloseListingIn | RequestCountIn | QuarantineStockIn | TransferIn
    | ExpediteInboundIn | RaiseGateIn | OpenTicketIn,
    Field(discriminator="do"),
]  # fmt: skip


class PlaybookIn(Strict):
    """What is done about incidents of some kinds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "summary": "Have doubted units counted.",
                    "on": ["phantom_stock"],
                    "when": "incident.confidence >= 0.5",
                    "steps": [{"do": "request_count"}],
                }
            ]
        }
    )

    summary: Annotated[Name, Field(description="in a sentence, for people")]
    on: Annotated[
        list[Annotated[str, AfterValidator(_kind)]],
        Field(min_length=1, max_length=30, description="kinds of incidents"),
    ]
    when: Annotated[Expression | None, Field(description="CEL over `incident`; left out: always")] = None
    active: Annotated[bool, Field(description="false: it begins no runs")] = True
    steps: Annotated[list[StepIn], Field(min_length=1, max_length=STEPS_MAX)]


# Kind of step -> (domain whose guardrails hold, whether it is put back by itself when the incident is over)
KINDS: Final[dict[str, tuple[Domain, bool]]] = {
    "reroute": ("reroute", False),
    "re_promise": ("promises", False),
    "notify_customer": ("promises", False),
    "hold": ("promises", True),
    "release": ("promises", False),
    "substitute": ("promises", False),
    "cancel_with_reason": ("promises", False),
    "throttle_price": ("price", True),
    "shrink_listing": ("listings", True),
    "close_listing": ("listings", True),
    "request_count": ("rebalance", True),
    "quarantine_stock": ("rebalance", True),
    "transfer": ("rebalance", False),
    "expedite_inbound": ("replenish", False),
    "raise_gate": ("gates", True),
    "open_ticket": ("promises", True),
}

# Kind of step -> limits that hold for it: lint refuses the others, so that nobody relies on one.
LIMITS: Final[dict[str, tuple[str, ...]]] = {
    "reroute": ("orders", "units", "money_minor"),
    "re_promise": ("orders",),
    "notify_customer": ("orders", "money_minor"),
    "hold": ("orders",),
    "release": ("orders",),
    "substitute": ("orders", "units", "money_minor"),
    "cancel_with_reason": ("orders", "units", "money_minor"),
    "throttle_price": ("subjects",),
    "shrink_listing": ("subjects",),
    "close_listing": ("subjects",),
    "request_count": ("subjects",),
    "quarantine_stock": ("units", "subjects"),
    "transfer": ("units", "money_minor"),
    "expedite_inbound": ("money_minor", "subjects"),
    "raise_gate": ("subjects",),
    "open_ticket": ("subjects",),
}

NUMBERS: Final = ("days", "rate_per_day", "units", "share")
"""Arguments of steps that may be CEL."""


def domain_of(step: Any) -> Domain:
    """Whose guardrails hold for a step."""
    return step.domain or KINDS[step.do][0]


def is_put_back_at_close(step: Any) -> bool:
    """Whether what a step did is put back when the incident is over."""
    return KINDS[step.do][1] if step.restore is None else step.restore == "at_close"
