"""Costs to serve as values, and the document by which carriers' charges are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from onhand.base.fields import MONEY_MAX, Code, Currency, Moment, ShortText, Strict

Kind = Literal["promised", "actual"]
Term = str
"""A cost term of sourcing, or MARGIN, GOODS, or one that a charge or an action names."""

MARGIN: Final = "margin"
"""What is not earned: price less cost of units that were cancelled or came back."""
SUBSTITUTION: Final = "substitution"
"""What another item costs more than the one that was ordered, and is not asked for."""
GOODS: Final = "goods"
"""Cost of units that cannot be sold any more."""
RISKS: Final = ("lateness", "rejection_risk")
"""Terms that weigh what may happen: they are not paid when an order leaves, but when it does happen."""

# Causes of what orders themselves tell; reasons of rejections and withdrawals stand beside them.
SPLIT_SHIPMENT: Final = "split_shipment"
LATE_AT_NODE: Final = "late_at_node"
LATE_IN_TRANSIT: Final = "late_in_transit"
UNSERVED: Final = "unserved"
UNPAID: Final = "unpaid"
"""Cancelled, or left, and nobody pays for it."""
CUSTOMER: Final = "customer"
HELD: Final = "held"
RETURNED: Final = "returned"
INVOICE: Final = "invoice"
SURCHARGE: Final = "surcharge"
REROUTED: Final = "rerouted"
"""Sourced again for a reason that nobody gave."""

TERM_PATTERN: Final = "^[a-z][a-z0-9_]{0,63}$"
REFERENCE_MAX: Final = 128
GROUPS: Final = ("channel", "node", "carrier", "item", "cause", "term", "day")
Group = Literal["channel", "node", "carrier", "item", "cause", "term", "day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Money that a source costs in all, of one kind, term, item and cause. What is booked is the difference to before.

    source   what it follows from, within the order: `f1 planned`; of no order: unique by itself
    minor    minor units of `currency`; negative: saved
    cause    of a failure; None: no failure
    item_id  None: of no single item
    """

    order_id: str | None
    source: str
    kind: Kind
    term: Term
    minor: int
    currency: str
    at: datetime
    cause: str | None = None
    item_id: int | None = None
    fulfilment: int | None = None
    shipment: int | None = None
    node_id: int | None = None
    carrier: str | None = None
    channel_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostedUnit:
    """Units of an item of one line in a fulfilment, as planned; `released` of them were taken away again."""

    line_no: int
    item_id: int
    planned: int
    released: int
    shipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CostedShipment:
    number: int
    carrier: str | None
    shipped_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostedFulfilment:
    """A fulfilment with its plan's cost.

    terms       minor units by term
    planned_at  when it was decided
    late_minor, day_minor  the policy's prices of being late, and of a day, at that decision
    """

    number: int
    plan_no: int
    node_id: int
    carrier: str | None
    ship_by: datetime
    deliver_by: datetime
    parcels: int
    reason: str | None
    terms: Mapping[str, int]
    units: Sequence[CostedUnit]
    planned_at: datetime
    late_minor: float = 0.0
    day_minor: float = 0.0
    shipments: Sequence[CostedShipment] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CostedLine:
    """A line as ordered.

    parts            (item_id, units of it per ordered unit)
    unit_cost_minor  of an ordered unit, None where it is not known in the order's currency
    backed           units by item that a node had when the customer cancelled them
    ended            units by cause that we cancelled ourselves, for other reasons than want of them
    """

    line_no: int
    quantity: int
    cancelled: int
    price_minor: int
    unit_cost_minor: int | None
    item_id: int
    parts: Sequence[tuple[int, int]]
    backed: Mapping[int, int] = field(default_factory=dict[int, int])
    ended: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class CostedReturn:
    """Units of one line and item that came back."""

    number: int
    line_no: int
    item_id: int
    node_id: int
    quantity: int
    disposition: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Units of a line that are served as another line, of another item, for the same price; because of an incident of
    the kind `cause`. is_undone: the first is wanted again, and the other one is not."""

    line_no: int
    instead_no: int
    units: int
    cause: str
    at: datetime
    is_undone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What somebody charged for an order, as told; of a shipment's freight, shipment is its number."""

    reference: str
    order_id: str
    term: Term
    minor: int
    currency: str
    at: datetime
    carrier: str | None = None
    fulfilment: int | None = None
    shipment: int | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostedOrder:
    """All that the cost of an order follows from. unit_costs: minor units by item, where known in its currency."""

    order_id: str
    channel_id: int
    currency: str
    placed_at: datetime
    changed_at: datetime
    deliver_by: datetime | None
    was_held: bool
    lines: Sequence[CostedLine]
    fulfilments: Sequence[CostedFulfilment]
    unit_costs: Mapping[int, int]
    returns: Sequence[CostedReturn] = ()
    charges: Sequence[Charge] = ()
    exchanges: Sequence[Exchange] = ()


class ChargeIn(Strict):
    """What a carrier, or anybody else, charged for an order. With `tracking` it is that shipment's freight and takes
    the place of what was planned; with `order` it comes on top."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"reference": "DHL-2026-03/1", "tracking": "00340434", "amount_minor": 612, "currency": "EUR"},
                {"reference": "DHL-2026-03/2", "order": "0195f0c2-1111-7000-8000-000000000001", "amount_minor": 350,
                 "currency": "EUR", "cause": "address_correction"},
            ]
        }
    )  # fmt: skip

    reference: Annotated[
        str,
        Field(min_length=1, max_length=REFERENCE_MAX, pattern=r"^[!-~]([ -~]*[!-~])?$",
              description="of the invoice's line; told again, it replaces what was told"),
    ]  # fmt: skip
    tracking: Annotated[Code | None, Field(description="number of the shipment")] = None
    order: Annotated[ShortText | None, Field(description="id of the order")] = None
    amount_minor: Annotated[int, Field(ge=-MONEY_MAX, le=MONEY_MAX, description="negative: a credit")]
    currency: Currency
    term: Annotated[str, Field(pattern=TERM_PATTERN)] = "shipping"
    carrier: Code | None = None
    cause: Annotated[str | None, Field(pattern=TERM_PATTERN, description="of what comes on top; null: surcharge")] = (
        None
    )
    at: Annotated[Moment | None, Field(description="null: now")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the report: minor units of `currency`.

    key         what it is grouped by; None: what has none
    promised    by the plans that stand, of them not_shipped: of what has not left yet
    difference  actual - (promised - not_shipped)
    failures    the part of actual that has a cause
    """

    key: str | None
    currency: str
    orders: int
    promised_minor: int
    not_shipped_minor: int
    actual_minor: int
    difference_minor: int
    failures_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A booked entry, as it stands in the ledger."""

    entry_id: int
    at: datetime
    kind: Kind
    term: Term
    minor: int
    currency: str
    cause: str | None
    fulfilment: int | None
    shipment: int | None
    sku: str | None
    node: str | None
    carrier: str | None
    source: str
