"""What detectors find, and the incidents made of it, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What fails or is about to, as detectors tell it apart."""

    LANE_SLOW = "lane_slow"
    SHIPMENT_LATE = "shipment_late"
    PHANTOM_STOCK = "phantom_stock"
    ORDER_STUCK = "order_stuck"
    ORDER_DUPLICATE = "order_duplicate"
    DEMAND_SPIKE = "demand_spike"
    FORECAST_DRIFT = "forecast_drift"
    CAPACITY_BREACH = "capacity_breach"
    CHANNEL_SILENT = "channel_silent"
    INBOUND_LATE = "inbound_late"
    INBOUND_SHORT = "inbound_short"
    MARGIN_BREACH = "margin_breach"
    PRICE_OUTLIER = "price_outlier"
    OVERSELL = "oversell"
    CHANNEL_DRIFT = "channel_drift"
    CHANNEL_REFUSING = "channel_refusing"
    GATE_BREACH = "gate_breach"
    AUTOPILOT_OSCILLATING = "autopilot_oscillating"
    AUTOPILOT_RETURNED = "autopilot_returned"
    PAYMENTS_UNBALANCED = "payments_unbalanced"


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Something an incident is about, or comes from: ("lane", ("leipzig", "dhl", "FR")), ("order", ("4711",)).

    what  a word of the glossary: lane, carrier, shipment, node, item_node, order, channel, item, listing, inbound,
          supplier, domain, currency
    key   what it is known by, one part or several
    """

    what: str
    key: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.what or not self.key:
            raise ValueError(f"expected a word and a key: {self!r}")

    def __str__(self) -> str:
        return f"{self.what} {'/'.join(self.key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one detector says of one subject at one moment.

    numbers     what it rests on, by name; units last in the name
    sentence    the same for a person
    loss_minor  expected to be lost if nobody does anything and the finding is right, in minor units of one currency
    confidence  chance that it is right, in [0, 1]
    since       from when the evidence is
    causes      what it may come from, the narrowest first: (lane, carrier); at least the subject itself
    """

    kind: Kind
    subject: Subject
    numbers: Mapping[str, float]
    sentence: str
    loss_minor: int
    confidence: float
    since: datetime
    causes: tuple[Subject, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"expected confidence in [0, 1], got {self.confidence}")
        if self.loss_minor < 0:
            raise ValueError(f"expected a loss of at least 0, got {self.loss_minor}")
        if not self.sentence:
            raise ValueError("expected a sentence that says what was seen")
        if self.since.tzinfo is None:
            raise ValueError("expected `since` with its time zone")
        if not self.causes:
            object.__setattr__(self, "causes", (self.subject,))

    @property
    def risk_minor(self) -> float:
        """Money at risk: the loss times the chance that there is one."""
        return self.loss_minor * self.confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """All findings of a kind that come from one cause.

    findings   at most one of a subject; the dearest first
    opened_at  when it was first told of
    seen_at    when there last was evidence
    closed_at  when it was closed; None while it is open
    merged_in  the wider cause that took over what it was about, of an incident closed for that
    """

    kind: Kind
    cause: Subject
    findings: tuple[Finding, ...]
    opened_at: datetime
    seen_at: datetime
    closed_at: datetime | None = None
    merged_in: Subject | None = None
    key: tuple[Kind, Subject] = field(init=False)

    def __post_init__(self) -> None:
        if not self.findings:
            raise ValueError(f"expected an incident to have a finding: {self.cause}")
        object.__setattr__(self, "key", (self.kind, self.cause))

    @property
    def loss_minor(self) -> int:
        return sum(f.loss_minor for f in self.findings)

    @property
    def risk_minor(self) -> float:
        return sum(f.risk_minor for f in self.findings)

    @property
    def confidence(self) -> float:
        """Of the surest of its findings: they share a cause, so they do not confirm each other independently."""
        return max(f.confidence for f in self.findings)

    @property
    def since(self) -> datetime:
        return min(f.since for f in self.findings)
