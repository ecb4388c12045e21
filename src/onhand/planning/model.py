"""What planning recommends, as values."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

Plan = Literal["safety_stock", "replenish", "rebalance", "prune"]
"""What can be asked for; each recommends things of one Kind, prune of two."""


class Kind(StrEnum):
    TRANSFER = "transfer"
    PURCHASE = "purchase"
    PRICE = "price"
    SAFETY_STOCK = "safety_stock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What is expected, and what 90 of 100 draws of demand lie within."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a proposal is expected to do until its horizon, against doing nothing.

    money_minor         gained, after its cost; 90 of 100 draws of demand lie from money_low_minor to money_high_minor
    units_saved         units expected to be sold that would be lost; 90 of 100 draws from units_low to units_high
    service_before, service_after  chance to serve all demand in that time, where it is known
    served_before, served_after    share of that demand which is served, where it is known
    daily_units         expected to be asked for there a day, where that is known
    co2_g               emitted by it, less what it spares; 90 of 100 draws from co2_low_g to co2_high_g
    """

    money_minor: int
    money_low_minor: int
    money_high_minor: int
    units_saved: float
    service_before: float | None = None
    service_after: float | None = None
    co2_g: int = 0
    units_low: float | None = None
    units_high: float | None = None
    served_before: Interval | None = None
    served_after: Interval | None = None
    co2_low_g: int | None = None
    co2_high_g: int | None = None
    daily_units: float | None = None

    def __post_init__(self) -> None:
        if self.money_low_minor > self.money_high_minor:
            raise ValueError(f"expected money_low_minor <= money_high_minor: {self!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The forecast that a proposal rests on: which run, and the last day it had seen."""

    forecast: str
    origin: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One thing to do, for a person or the autopilot to approve.

    node         where it takes effect: of a transfer the one it goes to
    source       node or supplier that it comes from; None where nothing comes
    quantity     units, above 0; of a price the units expected to be sold with it; of a safety stock its new value,
                 which may be 0
    price_minor  the price to ask, of a price
    cost_minor   spent if approved
    act_by       last day on which it does what it says
    expected_at  day its units are there
    expires_at   after this it is not approved any more: forecast and stock have moved on
    """

    kind: Kind
    sku: str
    node: str
    quantity: int
    effect: Effect
    basis: Basis
    act_by: date
    expires_at: datetime
    source: str | None = None
    expected_at: date | None = None
    cost_minor: int = 0
    price_minor: int | None = None

    def __post_init__(self) -> None:
        if self.quantity < (0 if self.kind is Kind.SAFETY_STOCK else 1):
            raise ValueError(f"expected units: {self!r}")
        if (self.kind is Kind.PRICE) != (self.price_minor is not None):
            raise ValueError(f"expected a price for a price, and for nothing else: {self!r}")
        if self.kind is Kind.TRANSFER and (self.source is None or self.source == self.node):
            raise ValueError(f"expected a transfer between two nodes: {self!r}")
        if self.kind in (Kind.TRANSFER, Kind.PURCHASE) and self.expected_at is None:
            raise ValueError(f"expected a day of arrival: {self!r}")
        if self.expires_at.tzinfo is None:
            raise ValueError(f"expected an expiry with its time zone: {self!r}")
