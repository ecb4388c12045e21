"""Values of payments. Money is minor units of the order's currency; moments have a time zone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, get_args

from onhand.orders.model import Line, Unit

Kind = Literal["read", "authorise", "capture", "void", "refund", "hold", "release", "cancel"]
"""What can be due: the first five are asked of the provider, the others are done to the order."""
Status = Literal[
    "due", "authorised", "partly_captured", "captured", "partly_refunded", "refunded", "voided", "declined", "failed"
]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
OperationState = Literal["due", "sent", "unknown", "done", "failed"]
OPEN: Final[frozenset[OperationState]] = frozenset(("due", "sent", "unknown"))
DocumentKind = Literal["invoice", "credit_note"]
# Accounts of the entries. limit: what a customer's card still allows; held: authorised; cash: at the provider; owed:
# by the customer; sales: invoiced less credited.
Account = Literal["limit", "held", "cash", "owed", "sales"]
HOLD: Final = "payment"
"""Why we hold an order; one that is placed with this hold is let go when its payment is authorised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How an account at a provider is used, as it was when the payment began.

    capture   when money is taken: as goods leave, or at once
    captures  one: what is left of an authorisation is given back when a part of it is captured
    tax       whether the tax of a line comes on top of its price
    retry_h   hours until a declined payment is tried again, each after the one before; then the order is cancelled
    """

    capture: Literal["on_ship", "at_order"] = "on_ship"
    captures: Literal["one", "many"] = "one"
    tax: Literal["added", "included"] = "added"
    retry_h: tuple[int, ...] = (24, 72, 120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisation:
    """An amount that the provider holds for us, or held.

    released  given back without having been captured
    is_stale  the provider knows something that we do not: to be read
    fee       of the provider so far, if it tells
    charged_back  what the customer's bank took back, while it is disputed and when that is lost
    """

    number: int
    provider_id: str
    amount: int
    captured: int = 0
    refunded: int = 0
    released: int = 0
    is_open: bool = True
    is_stale: bool = False
    granted_at: datetime
    expires_at: datetime | None = None
    fee: int = 0
    charged_back: int = 0

    @property
    def left(self) -> int:
        """What can still be captured."""
        return self.amount - self.captured - self.released if self.is_open else 0

    @property
    def refundable(self) -> int:
        return self.captured - self.refunded

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An operation before it is written down. authorisation: its number, 0 where it is about none."""

    kind: Kind
    amount: int = 0
    authorisation: int = 0
    is_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is to be done, or was; `key` is the same however often it is asked for.

    state  sent: for the first time, just now; unknown: it may have taken place, also while it is asked for again
    """

    number: int
    kind: Kind
    amount: int
    authorisation: int
    is_final: bool
    key: str
    state: OperationState
    attempts: int
    first_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """The payment of one order.

    token, customer   the provider's names for how to pay, and for who does; never data of a card
    invoiced, credited  sums of the documents
    elsewhere         what somebody gave back at the provider (negative: took) and nothing of the order says so yet
    to_give           credited, and neither given back yet nor set off against what was to be taken
    lost              of goods that left and that nobody is asked to pay for any more
    tries             authorisations that were declined since the last that was not
    ask_at, give_at, order_at  nothing is taken, given back, or done to the order before
    has_given_up      the order was cancelled because nobody pays
    trouble           what a person should look at
    shipments, returns  numbers of the last ones that documents were written for
    """

    order_id: str
    channel_id: int
    currency: str
    token: str
    customer: str
    terms: Terms
    authorisations: tuple[Authorisation, ...] = ()
    invoiced: int = 0
    credited: int = 0
    elsewhere: int = 0
    to_give: int = 0
    lost: int = 0
    tries: int = 0
    ask_at: datetime | None = None
    give_at: datetime | None = None
    order_at: datetime | None = None
    has_given_up: bool = False
    is_disputed: bool = False
    trouble: str | None = None
    shipments: int = 0
    returns: int = 0
    operations: int = 0
    status: Status = "due"

    @property
    def authorised(self) -> int:
        return sum(a.amount for a in self.authorisations)

    @property
    def captured(self) -> int:
        return sum(a.captured for a in self.authorisations)

    @property
    def refunded(self) -> int:
        return sum(a.refunded for a in self.authorisations)

    @property
    def voided(self) -> int:
        return sum(a.released for a in self.authorisations)

    @property
    def fee(self) -> int:
        return sum(a.fee for a in self.authorisations)

    @property
    def charged_back(self) -> int:
        return sum(a.charged_back for a in self.authorisations)

    @property
    def held(self) -> int:
        return sum(a.left for a in self.authorisations)

    @property
    def kept(self) -> int:
        """What we have of the customer's money."""
        return self.captured - self.refunded

    @property
    def owed(self) -> int:
        """Invoiced and not credited, and not paid either; negative: paid and not invoiced."""
        return self.invoiced - self.credited - self.kept

    def authorisation(self, number: int) -> Authorisation:
        return next(a for a in self.authorisations if a.number == number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A shipment or a return of an order, in items."""

    number: int
    at: datetime
    units: Mapping[Unit, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """An order as its payment sees it.

    ships_at  when the next part of it should leave; None: nothing waits at a node
    hold      why it is held, if it is
    """

    order_id: str
    external_id: str
    currency: str
    lines: tuple[Line, ...]
    shipments: tuple[Movement, ...] = ()
    returns: tuple[Movement, ...] = ()
    ships_at: datetime | None = None
    hold: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`amount` moves from the account `credit` to the account `debit`."""

    debit: Account
    credit: Account
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLine:
    """Units of an order line in a document; money for all of them."""

    line_no: int
    line_id: str
    item_id: int
    quantity: int
    net_minor: int
    tax_minor: int

    @property
    def gross_minor(self) -> int:
        return self.net_minor + self.tax_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A document before it has a number; `part`: of the shipment or return it is about."""

    kind: DocumentKind
    part: int
    at: datetime
    lines: tuple[DocumentLine, ...]

    @property
    def net_minor(self) -> int:
        return sum(line.net_minor for line in self.lines)

    @property
    def tax_minor(self) -> int:
        return sum(line.tax_minor for line in self.lines)

    @property
    def gross_minor(self) -> int:
        return self.net_minor + self.tax_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """An event of a payment: its kind and facts."""

    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
