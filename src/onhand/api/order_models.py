"""What the routes of orders, fulfilments and customers take and answer. The answers are documentation only: rows are
written out as they are.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from onhand.base.fields import Code, Country, Moment, ShortText, Strict
from onhand.orders.intake import QUANTITY_MAX

OrderStatus = Literal[
    "sourced", "backordered", "held", "unfillable", "partly_shipped", "shipped", "delivered", "cancelled"
]
FulfilmentStatus = Literal[
    "allocated", "accepted", "packed", "partly_shipped", "shipped", "delivered", "rejected", "cancelled"
]
Queue = Literal["to_source", "rejected", "unfillable", "held", "backorder", "preorder", "sync_failed", "needs_approval"]
Disposition = Literal["restock", "damaged", "inspect"]

_ROWS_MAX = 2_000
Quantity = Annotated[int, Field(ge=1, le=QUANTITY_MAX)]
LineId = Annotated[str, Field(min_length=1, max_length=128)]


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


# Requests -----------------------------------------------------------------------------------------


class CancelLine(Strict):
    """Units of a line, bundles as a whole; without `quantity` all that has not been shipped."""

    line_id: LineId
    quantity: Quantity | None = None

    @property
    def sku(self) -> None:
        """Lines are cancelled as they were ordered."""
        return


class CancelIn(Strict):
    """What to cancel; without `lines` everything that has not been shipped."""

    model_config = _example(lines=[{"line_id": "1", "quantity": 1}])

    lines: Annotated[list[CancelLine] | None, Field(min_length=1, max_length=_ROWS_MAX)] = None


class HoldIn(Strict):
    """Why the order must wait."""

    model_config = _example(reason="confirm the address")

    reason: Annotated[ShortText, Field(min_length=1)]


class DestinationIn(Strict):
    """Where the order goes."""

    country: Country
    postal_code: Annotated[ShortText, Field(max_length=20)] = ""
    region: Annotated[ShortText | None, Field(max_length=80)] = None
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None


class ReleaseIn(Strict):
    """A better destination, for an order that is held because nobody knows where it goes."""

    model_config = _example(destination={"country": "DE", "postal_code": "10115"})

    destination: DestinationIn | None = None


class RerouteIn(Strict):
    """Nodes that must not serve it; what they were to ship is taken from them."""

    model_config = _example(exclude=["BERLIN"])

    exclude: Annotated[
        list[Code] | None,
        Field(
            max_length=1_000, description="null: leave out those that a part of the order came back from in 24 hours"
        ),
    ] = None


class RepromiseIn(Strict):
    """Another day, and what its customer is told."""

    model_config = _example(deliver_by="2026-03-06T16:00:00Z", dry_run=True)

    deliver_by: Annotated[
        Moment | None, Field(description="by when; without: what fulfilments, parcels and supply now say")
    ] = None
    dry_run: Annotated[bool, Field(description="do nothing, and say what would be done")] = False
    tell: Annotated[bool, Field(description="write to the customer")] = True
    subject: Annotated[
        str | None, Field(min_length=1, max_length=200, description="instead of ours, with blanks as in playbooks")
    ] = None
    text: Annotated[str | None, Field(min_length=1, max_length=10_000, description="instead of ours, the same")] = None


class UnitsIn(Strict):
    """Units of a line: whole bundles, or with `sku` one component; without `quantity` all there are."""

    line_id: LineId
    sku: Code | None = None
    quantity: Quantity | None = None


Units = Annotated[list[UnitsIn] | None, Field(min_length=1, max_length=_ROWS_MAX)]


class ShipIn(Strict):
    """What leaves the node in one shipment; without `lines` all that is left."""

    model_config = _example(carrier="dhl", tracking="JD014600", lines=[{"line_id": "1", "quantity": 1}])

    carrier: Annotated[Code | None, Field(description="when not the planned one")] = None
    tracking: Annotated[ShortText | None, Field(min_length=1)] = None
    lines: Units = None


class RejectIn(Strict):
    """What the node cannot ship, and why. Units not found or damaged become unavailable."""

    model_config = _example(reason="not_found", lines=[{"line_id": "1", "quantity": 1}])

    reason: Literal["not_found", "damaged", "no_capacity", "closed", "other"]
    lines: Units = None


class ReturnIn(Strict):
    """What came back, and what becomes of it."""

    model_config = _example(
        order_id="01890a5d-ac96-774b-bcce-b302099a8057",
        node="BERLIN",
        lines=[{"line_id": "1", "quantity": 1}],
        disposition="restock",
    )

    order_id: Annotated[str, Field(max_length=100)]
    node: Annotated[Code, Field(description="where they came back to, whoever sent them")]
    lines: Annotated[list[UnitsIn], Field(min_length=1, max_length=_ROWS_MAX)]
    disposition: Annotated[Disposition, Field(description="whether they can be sold again: `inspect` leaves that open")]


# Answers ------------------------------------------------------------------------------------------


class PromiseOut(BaseModel):
    """The date the customer was told."""

    deliver_by: datetime


class SurePromiseOut(PromiseOut):
    """The date the customer was told, and how sure it is."""

    confidence: float | None


class LineOut(BaseModel):
    """An ordered line; bundles count as a whole."""

    line_id: str
    sku: str
    quantity: int
    cancelled: int
    shipped: int
    returned: int


class UnitsOut(BaseModel):
    """Units of a line; of a bundle, units of one component."""

    line_id: str
    sku: str
    quantity: int


class FulfilmentLineOut(UnitsOut):
    """Units of a line in a fulfilment."""

    shipped: int


class FulfilmentOut(BaseModel):
    """Lines of one order leaving one node together."""

    fulfilment_id: str
    order_id: UUID
    plan_id: str
    node: str
    status: FulfilmentStatus
    reason: Annotated[str | None, Field(description="why the node refused it, or it was taken from it")]
    carrier: str | None
    service: str | None
    method: str
    lines: list[FulfilmentLineOut]
    cost: Annotated[dict[str, int], Field(description="cost term: minor units")]
    cost_minor: int
    co2_g: int
    ship_by: datetime
    deliver_by: datetime


class WaitOut(UnitsOut):
    """Units that no shelf backs yet."""

    queue: Queue
    expected_at: datetime | None


class OrderOut(BaseModel):
    """Where an order stands."""

    order_id: UUID
    channel: str
    external_id: str
    status: OrderStatus
    queue: Queue | None
    promise: PromiseOut | None
    lines: list[LineOut]
    fulfilments: list[FulfilmentOut]
    waiting: list[WaitOut]


class CustomerMessageOut(BaseModel):
    """What the customer is told; {customer.name} is filled in when it is sent."""

    subject: str
    text: str


class RepromisedOut(BaseModel):
    """What an order is promised now, or would be."""

    order_id: UUID
    was: Annotated[datetime | None, Field(description="what it was promised before")]
    deliver_by: datetime
    is_new: bool
    is_dry_run: bool
    message: Annotated[
        CustomerMessageOut | None, Field(description="null: the customer is not written to, see `untold`")
    ]
    untold: Annotated[
        Literal["not_asked", "promised_already", "same_day", "no_address", "unwanted"] | None,
        Field(description="why the customer is not written to"),
    ]


class ComponentOut(BaseModel):
    """Units of an item in a bundle."""

    sku: str
    quantity: int


class OrderedLineOut(LineOut):
    """An ordered line with its price."""

    price_minor: int
    tax_minor: int | None
    components: list[ComponentOut] = []


class ShipmentOut(BaseModel):
    """A parcel."""

    shipment_id: str
    fulfilment_id: str
    carrier: str | None
    service: str | None
    tracking: str | None
    shipped_at: datetime
    delivered_at: datetime | None
    lines: list[UnitsOut]


class OrderReturnOut(BaseModel):
    """Units that came back."""

    return_id: str
    node: str
    disposition: Disposition
    returned_at: datetime
    lines: list[UnitsOut]


class PlanBriefOut(BaseModel):
    """A decision; `GET /v1/plans/{plan_id}` explains it."""

    plan_id: str
    at: datetime
    policy: str
    because: Annotated[str | None, Field(description="what led to sourcing it again; null for the first")]


class TimelineOut(BaseModel):
    """A change: what, who and why."""

    kind: str
    subject: str
    at: datetime
    actor: Annotated[int, Field(description="id of the API key; 0 is the system")]
    reason: str | None
    data: dict[str, Any]


class DestinationOut(BaseModel):
    """Where it goes; coarse once the customer's data has been erased."""

    country: str
    postal_code: str = ""
    region: str | None = None
    latitude: float | None = None
    longitude: float | None = None


class OrderDetailOut(OrderOut):
    """An order with everything that happened to it."""

    promise: SurePromiseOut | None  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    lines: list[OrderedLineOut]  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    currency: str
    placed_at: datetime
    created_at: datetime
    customer_id: UUID | None
    destination: DestinationOut
    method: str
    hold: str | None
    wishes: dict[str, Any]
    shipments: list[ShipmentOut]
    returns: list[OrderReturnOut]
    plans: list[PlanBriefOut]
    timeline: list[TimelineOut]


class OrderBriefOut(BaseModel):
    """An order in a list."""

    order_id: UUID
    channel: str
    external_id: str
    status: OrderStatus
    queue: Queue | None
    currency: str
    placed_at: datetime
    created_at: datetime
    promise: PromiseOut | None
    customer_id: UUID | None
    lines: int
    units: int
    total_minor: Annotated[int, Field(description="prices times quantities")]


class OrderList(BaseModel):
    """A page of orders, newest first."""

    data: list[OrderBriefOut]
    next_cursor: str | None


class OrderStandOut(BaseModel):
    """The order of a fulfilment."""

    status: OrderStatus
    queue: Queue | None


class FulfilmentDetailOut(FulfilmentOut):
    """A fulfilment and where its order stands."""

    order: OrderStandOut


class NewShipmentOut(BaseModel):
    """What has just left."""

    shipment_id: str
    carrier: str | None
    service: str | None
    tracking: str | None
    lines: list[UnitsOut]


class ShippedOut(FulfilmentDetailOut):
    """A fulfilment and its new shipment."""

    shipment: NewShipmentOut


class RejectedOut(FulfilmentOut):
    """A fulfilment after a rejection, and the order as it is served now."""

    order: OrderOut


class FulfilmentList(BaseModel):
    """A page of fulfilments, soonest first."""

    data: list[FulfilmentOut]
    next_cursor: str | None


class ReturnOut(BaseModel):
    """Units that came back."""

    return_id: str
    order_id: UUID
    node: str
    disposition: Disposition
    lines: list[UnitsOut]


class CandidateOut(BaseModel):
    """What a node could have done alone: the order, or the lines it can serve in full."""

    node: str
    chosen: bool
    can_serve: list[str]
    missing: Annotated[dict[str, int], Field(description="sku: units")]
    excluded_because: str | None = None
    best_service: str | None = None
    carrier: str | None = None
    cost: dict[str, int] | None = None
    cost_minor: int | None = None
    ship_by: datetime | None = None
    deliver_by: datetime | None = None


class BindingOut(BaseModel):
    """A limit without which it would have been served at less cost, or at all (`saves_minor` null)."""

    constraint: Literal[
        "stock", "safety_stock", "fulfilments_max", "service", "capacity", "carrier_capacity", "days_max", "services",
        "divide_lines",
    ]  # fmt: skip
    saves_minor: int | None
    if_: Annotated[str, Field(alias="if")]


class PlannedOut(BaseModel):
    """A fulfilment of a plan."""

    node: str
    carrier: str | None
    service: str
    units: Annotated[dict[str, int], Field(description="sku: units")]
    cost: dict[str, int]
    cost_minor: int
    ship_by: datetime
    deliver_by: datetime


class RunnerUpOut(BaseModel):
    """The best plan without one of the chosen nodes."""

    fulfilments: list[PlannedOut]
    cost_minor: int
    gap_minor: int
    uses_safety_stock: bool


class ChangeOut(BaseModel):
    """What would have led to another plan; each was tried."""

    change: Literal["stock", "price"]
    node: str
    units: Annotated[dict[str, int] | None, Field(description="more of these: sku: units")] = None
    more_minor: Annotated[int | None, Field(description="so much dearer")] = None
    if_: Annotated[str, Field(alias="if")]
    then: Annotated[list[str], Field(description="nodes it would ship from")]
    cost_minor: int


class ObjectiveOut(BaseModel):
    """What it was weighed by: exchange rates to minor units."""

    name: str
    split_minor: float
    target_days: float
    late_minor: float
    day_minor: float
    co2_minor_per_kg: float
    weights: Annotated[dict[str, float] | None, Field(description="of cost terms of others; left out: each 1")] = None


class RuleOut(BaseModel):
    """A rule of a policy, by its place in the document, from 0."""

    number: int
    name: str


class PlanOut(BaseModel):
    """A decision and why it is what it is."""

    plan_id: str
    at: datetime
    policy: Annotated[str, Field(description="the version that decided: `standard@3`")]
    rule: Annotated[RuleOut | None, Field(description="null: no plan, or the version has no rules")]
    objective: ObjectiveOut
    decision: Annotated[dict[str, Any], Field(description="the answer that was given")]
    reproduced: Annotated[bool, Field(description="whether solving it again gives the same")]
    method: Literal["exact", "divided", "grouped", "search", "shared"]
    cost_minor: int | None
    uses_safety_stock: bool
    chosen: list[str]
    candidates: list[CandidateOut]
    binding_constraints: list[BindingOut]
    runner_up: RunnerUpOut | None
    would_change_it: list[ChangeOut]
    sentences: list[str]


class CustomerOut(BaseModel):
    """A person; after erasure only the id is left."""

    customer_id: UUID
    email: str | None
    name: str | None
    phone: str | None
    address: dict[str, Any] | None
    created_at: datetime
    erased_at: datetime | None


class CustomerList(BaseModel):
    """Who has that e-mail address: nobody or one."""

    data: list[CustomerOut]
    next_cursor: None = None


class ExportOut(BaseModel):
    """All that is kept about a person."""

    customer: CustomerOut
    orders: list[OrderDetailOut]


class LetterOut(BaseModel):
    """A message to a customer, in plain text."""

    message_id: int
    order_id: UUID
    to: Annotated[str, Field(description="e-mail address")]
    subject: str
    text: str


class ErasedOut(BaseModel):
    """A person was erased; so many orders stay, without them."""

    customer_id: UUID
    erased_at: datetime
    orders: int
