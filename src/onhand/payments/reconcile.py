"""Whether a day's goods and money agree, to the cent, and what stands in between. Pure.

    open before + shipped - returned - captured + refunded = open after

by currency, where shipped and returned are counted again from the goods themselves, not from documents, and what is
open after is the sum of what is open of each order, each with its reason. One without a reason is a mistake of ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from onhand.payments.amounts import gross, moved_by, whole_units
from onhand.payments.model import Movement, Payment, Sold, Terms

Reason = Literal[
    "not_documented", "under_way", "declined", "failed", "paid_early", "given_back_elsewhere", "taken_elsewhere",
    "unexplained",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Of entries, in minor units."""

    invoiced: int = 0
    credited: int = 0
    captured: int = 0
    refunded: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            invoiced=self.invoiced + other.invoiced,
            credited=self.credited + other.credited,
            captured=self.captured + other.captured,
            refunded=self.refunded + other.refunded,
        )

    @property
    def cash(self) -> int:
        return self.captured - self.refunded

    @property
    def documented(self) -> int:
        return self.invoiced - self.credited


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """Documents that were issued before the end of a day: the numbers of the last shipment and of the last return that
    they are about, and what they come to."""

    shipments: int = 0
    returns: int = 0
    invoiced: int = 0
    credited: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One order whose payment is ours: its entries before the day, on it, and until now.

    counted       the sums that the payment itself keeps
    is_under_way  more is due of it, or was done after the day
    """

    payment: Payment
    sold: Sold
    before: Sums
    during: Sums
    total: Sums
    counted: Sums
    documented: Documented
    is_under_way: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Goods and money of an order that differ at the end of the day. amount: positive: goods that are not paid."""

    order_id: str
    external_id: str
    amount_minor: int
    reason: Reason
    detail: str = ""


@dataclass(slots=True, kw_only=True)
class Statement:
    """A day in one currency; sums are minor units of it.

    orders, orders_elsewhere   placed on the day, of which are paid elsewhere
    shipped_elsewhere, returned_elsewhere  goods of those: no money of theirs passes here
    """

    currency: str
    orders: int = 0
    orders_elsewhere: int = 0
    shipped_minor: int = 0
    returned_minor: int = 0
    shipped_elsewhere_minor: int = 0
    returned_elsewhere_minor: int = 0
    invoiced_minor: int = 0
    credited_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    open_before_minor: int = 0
    open_after_minor: int = 0
    differences: list[Difference] = field(default_factory=list[Difference])

    @property
    def is_balanced(self) -> bool:
        """Whether the sums agree to the cent and every difference has a reason."""
        moved = self.shipped_minor - self.returned_minor - self.captured_minor + self.refunded_minor
        listed = sum(d.amount_minor for d in self.differences)
        return (
            self.open_before_minor + moved == self.open_after_minor == listed
            and all(d.reason != "unexplained" for d in self.differences)
        )  # fmt: skip


def goods(sold: Sold, terms: Terms, until: datetime) -> tuple[int, int]:
    """What was shipped and what was returned of an order before a moment, in money."""
    return _worth(sold, terms, sold.shipments, until), _worth(sold, terms, sold.returns, until)


def _worth(sold: Sold, terms: Terms, movements: Iterable[Movement], until: datetime) -> int:
    units = moved_by(m for m in movements if m.at < until)
    whole = whole_units(sold.lines, units)
    return sum(gross(line, whole[line.line_no], terms) for line in sold.lines)


def state_day(
    facts: Iterable[Facts], elsewhere: Iterable[Sold], *, since: datetime, until: datetime
) -> dict[str, Statement]:
    """The statements of a day by currency.

    facts      every payment with entries or goods on the day, or with anything open
    elsewhere  orders paid elsewhere of which goods moved on the day
    """
    found: dict[str, Statement] = {}
    for one in facts:
        sold, terms = one.sold, one.payment.terms
        statement = found.setdefault(one.payment.currency, Statement(currency=one.payment.currency))
        shipped_before, returned_before = goods(sold, terms, since)
        shipped, returned = goods(sold, terms, until)
        after = one.before + one.during
        statement.shipped_minor += shipped - shipped_before
        statement.returned_minor += returned - returned_before
        statement.invoiced_minor += one.during.invoiced
        statement.credited_minor += one.during.credited
        statement.captured_minor += one.during.captured
        statement.refunded_minor += one.during.refunded
        statement.open_before_minor += shipped_before - returned_before - one.before.cash
        statement.open_after_minor += shipped - returned - after.cash
        statement.differences += _differences(one, shipped - returned, after)
    for sold in elsewhere:
        statement = found.setdefault(sold.currency, Statement(currency=sold.currency))
        for sign, moment in ((-1, since), (1, until)):
            shipped, returned = goods(sold, Terms(), moment)
            statement.shipped_elsewhere_minor += sign * shipped
            statement.returned_elsewhere_minor += sign * returned
    return found


def _until(one: Facts, last: int, movements: Iterable[Movement]) -> int:
    """What goods of an order are worth until a movement of this number."""
    whole = whole_units(one.sold.lines, moved_by(m for m in movements if m.number <= last))
    return sum(gross(line, whole[line.line_no], one.payment.terms) for line in one.sold.lines)


def _differences(one: Facts, worth: int, after: Sums) -> Iterable[Difference]:
    def tell(amount: int, reason: Reason, detail: str = "") -> Difference:
        return Difference(
            order_id=one.sold.order_id, external_id=one.sold.external_id, amount_minor=amount, reason=reason,
            detail=detail,
        )  # fmt: skip

    payment, documented = one.payment, one.documented
    # What the goods of those documents come to: what is beyond waits for one, and what differs from it is wrong.
    due = _until(one, documented.shipments, one.sold.shipments) - _until(one, documented.returns, one.sold.returns)
    if (missing := worth - due) != 0:
        yield tell(missing, "not_documented")
    if (wrong := due - after.documented) != 0:
        yield tell(wrong, "unexplained", "documents are entered as something else than their goods")
    elif (documented.invoiced, documented.credited) != (after.invoiced, after.credited):
        yield tell(0, "unexplained", "documents are entered as something else than they say")
    authorised = Sums(
        invoiced=payment.invoiced, credited=payment.credited, captured=payment.captured, refunded=payment.refunded
    )
    if not one.total == one.counted == authorised:
        yield tell(0, "unexplained", "the payment is not the sum of its entries")
    owed = after.documented - after.cash
    theirs = min(payment.elsewhere, owed) if owed > 0 else max(payment.elsewhere, owed)
    if theirs * owed > 0:
        yield tell(theirs, "given_back_elsewhere" if owed > 0 else "taken_elsewhere")
        owed -= theirs
    if not owed:
        return
    if payment.trouble is not None:
        yield tell(owed, "failed", payment.trouble)
    elif owed < 0 and payment.terms.capture == "at_order":
        yield tell(owed, "paid_early")
    elif payment.status == "declined":
        yield tell(owed, "declined", f"declined {payment.tries} times")
    elif one.is_under_way:
        yield tell(owed, "under_way")
    else:
        yield tell(owed, "unexplained")
