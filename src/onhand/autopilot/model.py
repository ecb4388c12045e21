"""Domains, guardrails, actions and verdicts, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from onhand.base.fields import MONEY_MAX, Moment, ShortText, Strict
from onhand.base.money import is_currency

Mode = Literal["off", "recommend", "auto"]
"""`off`: nothing is looked at; `recommend`: a person decides; `auto`: done within the guardrails."""

_DAY_S: Final = 86_400
_COUNT_MAX: Final = 1_000_000


class Domain(StrEnum):
    """Kinds of actions, each with a mode and guardrails of its own."""

    REROUTE = "reroute"
    REBALANCE = "rebalance"
    REPLENISH = "replenish"
    GATES = "gates"
    PRICE = "price"
    LISTINGS = "listings"
    PROMISES = "promises"


class Freeze(Strict):
    """A time in which everything is left to people."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[Moment, Field(alias="from")]
    until: Moment
    note: Annotated[ShortText, Field(min_length=1)]

    @model_validator(mode="after")
    def _is_a_time(self) -> Self:
        if self.until <= self.from_:
            raise ValueError("expected `until` after `from`")
        return self


class Guardrails(Strict):
    """What `auto` may do in one domain. A limit that is null is none."""

    currency: Annotated[str | None, Field(description="of the money limits, and of all that may be done")] = None
    money_per_hour_minor: Annotated[int | None, Field(ge=0, le=MONEY_MAX, description="spent in any 60 minutes")] = None
    units_per_hour: Annotated[int | None, Field(ge=0, le=_COUNT_MAX)] = None
    orders_per_hour: Annotated[int | None, Field(ge=0, le=_COUNT_MAX)] = None
    money_per_action_minor: Annotated[int | None, Field(ge=0, le=MONEY_MAX, description="more asks a person")] = None
    units_per_action: Annotated[int | None, Field(ge=0, le=_COUNT_MAX, description="more asks a person")] = None
    orders_per_action: Annotated[int | None, Field(ge=0, le=_COUNT_MAX, description="more asks a person")] = None
    confidence_min: Annotated[float, Field(ge=0, le=1, description="less asks a person")] = 0.8
    gain_per_cost_min: Annotated[
        float, Field(ge=0, le=1_000, description="promised gain over what is spent; less asks a person")
    ] = 0.0
    cool_down_s: Annotated[
        int, Field(ge=0, le=30 * _DAY_S, description="until the same is acted on again; twice that the other way")
    ] = 3_600
    own_s: Annotated[
        int, Field(ge=0, le=30 * _DAY_S, description="for which no other domain acts on what this one acted on")
    ] = _DAY_S
    data_age_max_s: Annotated[
        int, Field(ge=1, le=30 * _DAY_S, description="nothing is done by what is older")
    ] = 2 * _DAY_S  # fmt: skip
    hold_out_share: Annotated[
        float, Field(ge=0, le=0.5, description="left undone on purpose, to compare with; drawn by what is acted on")
    ] = 0.1
    correction_max: Annotated[
        float,
        Field(
            gt=0, le=1, description="share of a computed correction that is done at once: of a transfer, of the way to "
            "another safety stock; what is left is planned anew when that has shown"
        ),
    ] = 0.5  # fmt: skip
    freezes: Annotated[list[Freeze], Field(max_length=100, default_factory=list[Freeze])]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.currency is not None and not is_currency(self.currency):
            raise ValueError(f"currency: no currency {self.currency!r}; expected ISO 4217, such as EUR")
        if self.currency is None and (self.money_per_hour_minor, self.money_per_action_minor) != (None, None):
            raise ValueError("currency: required where money is limited")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that could be done without a person.

    key          what it acts on: ("item_node", sku, node), ("order", id), ("listing", channel, sku)
    direction    +1 more of it here, -1 less, 0 neither: which of two actions undo each other
    reference    what asks for it, once: "proposal:<id>", "run:<id>/<step>"
    money_minor  spent by it, in minor units of `currency`; units, orders: touched by it. Where it touches neither,
                 each listing, price, count, ... is a unit
    confidence   chance that it is right, in [0, 1]
    stake_minor  expected to be lost if it is not done
    gain_minor   promised, after its cost
    seen_at      how old the newest thing is that it rests on; None: it is decided on what is true now
    judge_at     when it can be told what came of it; None: never, and it is not held out
    also         further keys that it acts on: the other end of a transfer
    """

    domain: Domain
    key: tuple[str, ...]
    reference: str
    direction: int = 0
    money_minor: int = 0
    currency: str | None = None
    units: int = 0
    orders: int = 0
    confidence: float = 1.0
    stake_minor: int = 0
    gain_minor: int = 0
    seen_at: datetime | None = None
    judge_at: datetime | None = None
    also: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.key or not self.reference:
            raise ValueError(f"expected a key and a reference: {self!r}")
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"expected a direction of -1, 0 or 1: {self!r}")
        if min(self.money_minor, self.units, self.orders, self.stake_minor) < 0:
            raise ValueError(f"expected amounts of at least 0: {self!r}")
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"expected a confidence in [0, 1]: {self!r}")

    @property
    def cause(self) -> str:
        """What it is a part of: steps of one run are meant to follow each other."""
        return self.reference.partition("/")[0]

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        return (self.key, *self.also)


Code = Literal[
    "within", "stopped", "off", "recommends", "frozen", "stale", "unsure", "poor", "currency", "too_wide", "budget",
    "owned", "cool_down", "turns_back", "oscillates", "held_out",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done about an action: `act` now; `recommend` it to a person; `refuse`: leave it for now.

    code    stable; detail: for a person
    action_id  of what is written down, where it acts or is held out
    """

    do: Literal["act", "recommend", "refuse"]
    code: Code
    detail: str
    action_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a domain has done in the last hour."""

    money_minor: int = 0
    units: int = 0
    orders: int = 0


@dataclass(frozen=True, slots=True)
class Past:
    """An action on the same key, by whatever domain; cause: see `Action.cause`."""

    at: datetime
    direction: int
    domain: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who acted on a key last, and until when nobody else may; cause: see `Action.cause`."""

    key: tuple[str, ...]
    domain: str
    until: datetime
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing that a step of a playbook acts on, or leaves undone on purpose: both are judged alike.

    stake_minor  expected to be lost if it is not done; gain_minor: promised, after its cost
    judge_at     when it can be told what came of it
    basis        what it is judged by, JSON-ready, as it was when it was acted on
    """

    key: tuple[str, ...]
    stake_minor: int
    gain_minor: int
    judge_at: datetime
    basis: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of an action, or of one held out: minor units at stake, promised, and lost all the same.

    kind  of action: what is held out is compared with what was done of the same kind
    """

    held_out: bool
    stake_minor: int
    gain_minor: int
    lost_minor: int
    at: datetime
    kind: str = "proposal"
