"""What passes between a channel and us, in our words; a connector translates.

Moments have a time zone, money is minor units, ids are the channel's own as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

OURS: Final = "onhand."
"""Begins the topics and names of messages that we write ourselves; nobody else's may."""

OrderStatus = Literal["pending", "open", "completed", "cancelled", "unknown"]
"""pending: not paid yet, so nothing is promised; unknown: a word the map has no translation for."""


class Address(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where an order goes."""

    country: str = ""
    region: str = ""
    postal_code: str = ""
    city: str = ""
    street: str = ""
    name: str = ""
    company: str = ""
    phone: str = ""


class OrderLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A line as the channel has it. `quantity` is what is still wanted: ordered less `cancelled`, by the caller."""

    line_id: str
    quantity: int
    price_minor: int
    sku: str = ""
    external_item_id: str = ""
    name: str = ""
    cancelled: int = 0
    tax_minor: int | None = None


class ChannelOrder(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An order of a channel, as last read."""

    external_id: str
    status: OrderStatus
    currency: str
    placed_at: datetime
    lines: tuple[OrderLine, ...]
    updated_at: datetime | None = None
    number: str = ""
    email: str = ""
    phone: str = ""
    name: str = ""
    destination: Address | None = None
    service: str = ""
    status_word: str = ""  # the channel's own


class Level(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How many units the channel shows of a listing (at one of its places, if it has several), or has of it.

    is_free  only what it could still ship: units that it holds for what we asked it to ship are left out
    """

    external_id: str
    quantity: int
    place: str = ""
    external_sku: str = ""
    counted_at: datetime | None = None  # when it was so, if that is told
    is_free: bool = False


class Price(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the channel asks for a listing: minor units, or an amount as shops write it (19.99). currency: "" where the
    channel does not say; then it is its own."""

    external_id: str
    external_sku: str = ""
    place: str = ""
    price_minor: int | None = None
    amount: str = ""
    currency: str = ""


class Offer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A thing the channel sells, by the names it has there."""

    external_id: str
    external_sku: str = ""
    name: str = ""
    is_active: bool = True


class Sale(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Units that changed hands elsewhere (a till): no order to ship."""

    external_id: str
    external_sku: str
    quantity: int  # negative: brought back
    at: datetime
    place: str = ""


class FulfilmentLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Units of one item that are to be shipped. `external_sku`: the shipper's own name for it, if it has another."""

    line_id: str
    sku: str
    quantity: int
    external_sku: str = ""
    name: str = ""
    price_minor: int = 0


class Fulfilment(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Lines of an order that somebody else is to ship for us: a third party, a supplier, a marketplace's warehouse.

    fulfilment_id  ours; whoever ships names it when it says what became of it
    order_number   what the customer knows the order by
    place          the shipper's own word for the node, where it has several
    service        how fast, in the shipper's words
    key            of this request; the same when it is sent again
    """

    fulfilment_id: str
    key: str
    order_number: str
    ordered_at: datetime
    currency: str
    destination: Address
    lines: tuple[FulfilmentLine, ...]
    place: str = ""
    carrier: str = ""
    service: str = ""
    ship_by: datetime | None = None
    deliver_by: datetime | None = None
    email: str = ""
    phone: str = ""
    note: str = ""


ShipmentStatus = Literal["accepted", "refused", "shipped", "delivered", "cancelled", "unknown"]


class ShippedLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of a line: `quantity` units left (or, before that, are promised), `missing` never will."""

    sku: str
    quantity: int
    line_id: str = ""
    missing: int = 0


class Shipment(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a shipper says of a fulfilment that it was asked for.

    external_id  of what it said; the same for a repeat
    lines        that it speaks of; none: all of the fulfilment
    is_complete  nothing more will be shipped of the fulfilment
    """

    external_id: str
    fulfilment_id: str
    status: ShipmentStatus
    at: datetime
    lines: tuple[ShippedLine, ...] = ()
    carrier: str = ""
    service: str = ""
    tracking: str = ""
    place: str = ""
    is_complete: bool = True
    reason: str = ""
    status_word: str = ""  # the shipper's own


PaymentStatus = Literal["authorised", "captured", "voided", "declined", "pending", "unknown"]


class PaymentState(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a payment provider says of an amount that it holds for us, or held; all it says is sums so far.

    id             the provider's
    amount_minor   that was authorised; capturable_minor: that can still be captured
    expires_at     until when it can be
    is_disputed    the customer wants it back by way of the bank
    charged_back_minor  what the bank took back for the customer, while it is disputed and when that is lost
    fee_minor      of the provider, in the payment's currency; 0: it does not say
    currency       "": it does not say
    """

    id: str
    status: PaymentStatus
    amount_minor: int
    capturable_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    expires_at: datetime | None = None
    is_disputed: bool = False
    charged_back_minor: int = 0
    fee_minor: int = 0
    currency: str = ""


class PaymentHint(msgspec.Struct, frozen=True, kw_only=True):
    """Something has happened to the payment with this id of the provider: it is to be read."""

    id: str


class Charge(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An amount to be authorised.

    token, customer  the provider's names for how is paid and for who pays
    key       of this request; the same when it is sent again
    is_many   it will be captured in parts
    """

    key: str
    order_id: str
    number: str
    amount_minor: int
    currency: str
    token: str
    customer: str = ""
    is_many: bool = False


Said = ChannelOrder | Level | Offer | Sale | Shipment | PaymentState | PaymentHint
"""What a message of a channel may say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A record that could not be read; the others of its page could."""

    external_id: str
    why: str
    record: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Records of one kind, oldest change first where the channel can.

    next  what to ask with for what follows; None: no more now
    """

    records: Sequence[ChannelOrder | Level | Price | Offer | Sale | Shipment | PaymentState]
    rejects: Sequence[Reject] = ()
    next: str | None = None
    cursor: str | None = None  # from where to begin the next time, once `next` is None


class Write(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A number to be shown on a listing.

    expected  what the channel should show now, if known: for those that compare before they set
    at        when the number held: a channel that knows of a sale since then takes it off by itself; None: now
    key       of this write; the same when it is sent again
    """

    external_id: str
    quantity: int
    key: str
    external_sku: str = ""
    place: str = ""
    expected: int | None = None
    at: datetime | None = None


class PriceWrite(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A price to be asked on a listing, in minor units of `currency`, which is that of the channel.

    at   when it was so; None: now
    key  of this write; the same when it is sent again
    """

    external_id: str
    price_minor: int
    currency: str
    key: str
    external_sku: str = ""
    place: str = ""
    at: datetime | None = None


class Fate(StrEnum):
    """What became of a write or a message to a channel."""

    DONE = "done"
    ACCEPTED = "accepted"  # taken, not yet visible: to be confirmed
    STALE = "stale"  # the channel showed another number than expected
    RETRY = "retry"  # nothing is known to have happened, and it may work later
    UNKNOWN = "unknown"  # it may have happened: read, or send again with the same key
    REFUSED = "refused"  # it will never work as it is
    GONE = "gone"  # the listing or order does not exist there


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The fate of one write, with the channel's own code and words.

    seen    the number it shows, if it said so
    ticket  of what was accepted: what `confirm_stock` asks by
    """

    fate: Fate
    code: str = ""
    message: str = ""
    seen: int | None = None
    ticket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What became of something that a payment provider was asked for. state: as it is now, if it was told."""

    fate: Fate
    code: str = ""
    message: str = ""
    state: PaymentState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """Units that left for a customer, to be told to the channel of the order.

    lines        what is in it: line_id (the channel's), external_item_id, sku, quantity
    is_complete  nothing of the order is left to ship afterwards
    """

    order_id: str
    fulfilment_id: str
    key: str
    shipped_at: datetime
    lines: Sequence[Mapping[str, Any]]
    carrier: str = ""
    service: str = ""
    tracking: str = ""
    tracking_url: str = ""
    place: str = ""
    is_complete: bool = True


class Less(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Units of a line of an order that will not be served: `quantity` of them go, `left` stay."""

    line_id: str
    quantity: int
    left: int
    external_item_id: str = ""
    sku: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request of the channel to us, after its signature was checked.

    dedupe   the same for a repeat
    topic    what it is about; "" for a handshake, which is answered and forgotten
    reply    what to answer: status and body
    """

    topic: str
    dedupe: str
    reply: tuple[int, bytes] = (200, b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A message from a queue of the channel. receipt: what removes it from there, once it is stored."""

    received: Received
    body: bytes = field(repr=False)
    receipt: str = field(repr=False)
