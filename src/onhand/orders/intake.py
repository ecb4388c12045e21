"""Orders as they come in: the shape of the request and the checks that need no database.

The hot routes decode straight into these Structs; the same shapes are published in OpenAPI. Those of orders are kept
from the garbage collector (`gc=False`): a request has no cycles.
"""

from collections.abc import Sequence
from datetime import datetime
from string import ascii_uppercase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_encode = msgspec.json.encode
_encoder = msgspec.json.Encoder()

QUANTITY_MAX = 1_000_000
MONEY_MAX = 1_000_000_000_000
LINES_MAX = 1_000

Units = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
Money = Annotated[int, Meta(ge=0, le=MONEY_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
ShortText = Annotated[str, Meta(max_length=200)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
# A pattern would double the time that decoding an order takes: these two are looked up afterwards (flows/intake.py).
Country = Annotated[
    str,
    Meta(min_length=2, max_length=2, description="ISO 3166-1 alpha-2", extra_json_schema={"pattern": "^[A-Z]{2}$"}),
]
Moment = Annotated[datetime, Meta(tz=True)]
Currency = Annotated[
    str, Meta(min_length=3, max_length=3, description="ISO 4217", extra_json_schema={"pattern": "^[A-Z]{3}$"})
]
COUNTRY_CODES = frozenset(a + b for a in ascii_uppercase for b in ascii_uppercase)
Method = Literal["ship", "pickup", "ship_to_store"]
ObjectiveName = Literal["margin", "speed", "sustainability"]


class Destination(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Where the order goes. Without coordinates the postal code, else the country, is looked up."""

    country: Country
    postal_code: Annotated[str, Meta(max_length=20)] = ""
    region: Annotated[str, Meta(max_length=80)] | None = None
    latitude: Annotated[Latitude, Meta(description="degrees; of both or of neither")] | None = None
    longitude: Longitude | None = None
    residential: Annotated[bool, Meta(description="a home: carriers may charge more for it")] = False


# JavaScript and Python differ in what is a space: what is one to either.
_NO_SPACE = r"[^@\s\x00-\x1f\x85\ufeff]"


class Customer(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Personal data: kept in one table, exported and erased on request."""

    name: ShortText | None = None
    email: Annotated[str, Meta(max_length=254, pattern=f"^{_NO_SPACE}+@{_NO_SPACE}+$")] | None = None
    phone: Annotated[str, Meta(max_length=40)] | None = None
    address: (
        Annotated[dict[str, str | None], Meta(description="as you write it; its words mean nothing to us")] | None
    ) = None


class LineIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """One ordered line; a bundle is one line."""

    line_id: Annotated[Name, Meta(description="as the channel names it, once in an order")]
    sku: Name
    quantity: Annotated[Units, Meta(description="of a bundle, bundles")]
    price_minor: Annotated[Money, Meta(description="of one unit")]
    tax_minor: Annotated[Money, Meta(description="of the whole line")] | None = None


class PaymentIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """How the order is paid through us; without it, it is paid elsewhere. Names that the provider gave, never data of a
    card: a token, an authorisation that the shop has had made already, or both."""

    provider: Annotated[str, Meta(min_length=1, max_length=128, description="code of the provider's channel")]
    token: Annotated[str, Meta(max_length=255, description="of the way to pay")] | None = None
    customer: Annotated[str, Meta(max_length=255, description="the provider's name for who pays")] | None = None
    authorisation: (
        Annotated[str, Meta(min_length=1, max_length=255, description="one that is there already")] | None
    ) = None


class OrderIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """An order of a channel."""

    channel: Annotated[Name, Meta(description="code of the channel that it came by")]
    external_id: Annotated[Name, Meta(description="as the channel names it: the same again is the same order")]
    currency: Currency
    destination: Destination
    lines: Annotated[list[LineIn], Meta(min_length=1, max_length=LINES_MAX)]
    placed_at: Annotated[Moment, Meta(description="by the channel's clock; left out: now")] | None = None
    customer: Customer | None = None
    method: Annotated[Method, Meta(description="how it reaches the customer")] = "ship"
    service: Annotated[Name, Meta(description="carrier service that was asked for; left out: any")] | None = None
    pickup_node: Annotated[Name, Meta(description="code of the node where it is picked up")] | None = None
    reservation_id: Annotated[str, Meta(max_length=36, description="a hold that becomes this order")] | None = None
    objective: (
        Annotated[ObjectiveName, Meta(description="what counts for it; left out: as the policy has it")] | None
    ) = None
    allow_split: Annotated[bool, Meta(description="false: in one fulfilment, or not at all")] = True
    allow_backorder: Annotated[bool, Meta(description="whether it may be promised from supply that is to come")] = True
    hold: (
        Annotated[str, Meta(min_length=1, max_length=200, description="why it is held until it is released")] | None
    ) = None
    payment: PaymentIn | None = None


class Wishes(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What sourcing an order again, and its payment, need of its request; no personal data. Kept in orders.request."""

    destination: Destination
    method: Method = "ship"
    service: str | None = None
    pickup_node: str | None = None
    objective: str | None = None
    allow_split: bool = True
    allow_backorder: bool = True
    hold: str | None = None
    reservation_id: str | None = None
    payment: PaymentIn | None = None


class BasketLine(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A line of a cart or a quote."""

    sku: Name
    quantity: Units
    price_minor: Money | None = None


class ReservationIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A hold for a cart or quote."""

    channel: Annotated[Name, Meta(description="code of the channel of the cart")]
    lines: Annotated[list[BasketLine], Meta(min_length=1, max_length=LINES_MAX)]
    destination: Destination | None = None
    ttl_s: Annotated[int, Meta(ge=1, le=86_400, description="until the units are free again")] = 900


class PromiseIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A question: when could this arrive, from where, at what cost?"""

    channel: Annotated[Name, Meta(description="code of the channel that asks")]
    destination: Destination
    lines: Annotated[list[BasketLine], Meta(min_length=1, max_length=LINES_MAX)]
    objective: (
        Annotated[ObjectiveName, Meta(description="what counts for it; left out: as the policy has it")] | None
    ) = None
    method: Annotated[Method, Meta(description="how it is to reach the customer")] = "ship"
    pickup_node: Annotated[Name, Meta(description="code of the node where it is picked up")] | None = None


def wishes(order: OrderIn) -> Wishes:
    """The part of a request that sourcing reads."""
    return Wishes(
        destination=order.destination,
        method=order.method,
        service=order.service,
        pickup_node=order.pickup_node,
        objective=order.objective,
        allow_split=order.allow_split,
        allow_backorder=order.allow_backorder,
        hold=order.hold,
        reservation_id=order.reservation_id,
        payment=order.payment,
    )


def encode_wishes(order: OrderIn) -> bytes:
    """`wishes` as JSON."""
    return _encode(wishes(order))


def encode_plain_wishes(orders: Sequence[OrderIn]) -> list[bytes]:
    """`wishes` as JSON, of orders that are shipped by any service, and neither held nor reserved: most wish for
    nothing but their destination."""
    places = _encoder.encode_lines([order.destination for order in orders]).split(b"\n")[:-1]
    return [
        b'{"destination":%b}' % place
        if order.objective is None and order.allow_split and order.allow_backorder
        else encode_wishes(order)
        for order, place in zip(orders, places, strict=True)
    ]
