"""What to do with what a channel says of an order. Pure.

What is heard may be old, repeated, or out of order: `compare` says whether it is news. What is news is followed: an
order that we do not have is taken in (`entry_of`), one that we have is changed by the difference between what the
channel wanted when it was followed last and what it wants now (`follow`), so that what we changed ourselves stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, cast

import msgspec

from onhand.connectors._sdk.values import OURS, Address, ChannelOrder, Less, OrderLine
from onhand.orders.decide import cancellable
from onhand.orders.intake import Customer, Destination, LineIn, OrderIn
from onhand.orders.model import Order
from onhand.orders.states import ORDER_STEPS, allowed

HOLDS: Final[Mapping[str, str]] = {
    "pending": "the channel says that it is not paid",
    "completed": "the channel says that all of it has been sent, which was not by us",
    "unknown": "the channel has a word for its state that we do not know",
}
"""Why an order of a channel is held, by the status it has there; such a hold ends when the channel says `open`."""

NOWHERE: Final = "ZZ"
"""The country of an order that says none: it cannot be located, so it is held until a person says where it goes."""

CLOCKS_APART: Final = timedelta(minutes=10)
"""A state of an order that is farther ahead of our clock than this is of no moment that was."""

ID_MAX: Final = 128
_FIRST_RETRY_S, _RETRY_MAX_S = 5.0, 900.0
_TEXT_MAX, _EMAIL_MAX, _PHONE_MAX = 200, 254, 40


def theirs(word: str) -> str:
    """A topic or name of a message as a channel gives it, such that it is none of our own."""
    return f"?{word}" if word.startswith(OURS) else word


class Known(NamedTuple):
    """What was heard of an order before. said_at: by the channel's clock; read_at: by ours, when we asked or were
    told."""

    said: ChannelOrder
    said_at: datetime
    read_at: datetime


class Heard(NamedTuple):
    """What is heard of an order now.

    is_read  we asked, and this was so at `read_at` or later; otherwise a message, which may be late
    """

    said: ChannelOrder
    read_at: datetime
    is_read: bool

    @property
    def said_at(self) -> datetime:
        return self.said.updated_at or self.read_at


def compare(known: Known, heard: Heard) -> Literal["newer", "same", "older", "ask"]:
    """Whether `heard` is news. `ask`: both are of the same moment and differ, so only the channel can tell.

    Channels count in seconds: an order that was paid and cancelled within one has two states of one moment. Where one
    had put a state into the future, whatever we read later is newer: nothing else ever would be.
    """
    if heard.is_read and heard.read_at > known.read_at and known.said_at > known.read_at + CLOCKS_APART:
        return "same" if without_person(heard.said) == without_person(known.said) else "newer"
    if heard.said_at != known.said_at:
        return "newer" if heard.said_at > known.said_at else "older"
    if without_person(heard.said) == without_person(known.said):
        return "same"
    if heard.is_read:
        return "newer" if heard.read_at >= known.read_at else "older"
    return "ask"


def unkeepable(said: ChannelOrder) -> str | None:
    """Why an order cannot be written down as it was told, so that it stands in the way of no other; None: it can.
    Connectors that are described by a document see to it themselves, programs may not."""
    for what, text in (("external_id", said.external_id), *(("line_id", line.line_id) for line in said.lines)):
        if not 0 < len(text) <= ID_MAX:
            return f"{what}: expected 1 to {ID_MAX} characters, got {len(text)}"
    if not _is_text(msgspec.to_builtins(said)):
        return "a text holds NUL or half a character"
    return None


def _is_text(value: object) -> bool:
    """Whether all texts within can be kept."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, Mapping):
        return all(map(_is_text, cast("Mapping[str, object]", value).values()))
    return not isinstance(value, (list, tuple)) or all(map(_is_text, cast("Sequence[object]", value)))


_RANK: Final = {"unknown": 0, "pending": 1, "open": 2, "completed": 3, "cancelled": 4}


def is_later(known: ChannelOrder, heard: ChannelOrder) -> bool:
    """Which of two states of one moment to believe, where the channel cannot be asked: the one later in the life of an
    order, of equal ones the one that wants less."""
    a, b = _RANK[known.status], _RANK[heard.status]
    return b > a or (b == a and sum(wanted_of(heard).values()) < sum(wanted_of(known).values()))


def without_person(said: ChannelOrder) -> ChannelOrder:
    """`said` without whom it is for and where they live."""
    where = None if said.destination is None else Address(country=said.destination.country)
    return msgspec.structs.replace(said, email="", phone="", name="", destination=where)


def wanted_of(said: ChannelOrder) -> dict[str, int]:
    """Units that the channel still wants by line id; none of a cancelled order."""
    if said.status == "cancelled":
        return {}
    units: dict[str, int] = {}
    for line in said.lines:
        if line.quantity > line.cancelled:
            units[line.line_id] = units.get(line.line_id, 0) + line.quantity - line.cancelled
    return units


# Orders that we do not have ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What becomes of an order that we do not have.

    status  of its row: `new` is to be placed; `unpaid`, `not_ours` wait for other news
    hold    why it is held from the beginning
    """

    status: Literal["new", "unpaid", "not_ours"]
    problem: str | None = None
    hold: str | None = None


def entry_of(said: ChannelOrder) -> Entry:
    """Whether an order that we do not have is to be placed."""
    if said.status == "pending":
        return Entry(status="unpaid")
    if said.status == "cancelled" or not wanted_of(said):
        return Entry(status="not_ours")
    if said.status == "completed":
        return Entry(status="not_ours", problem="it was complete before we heard of it")
    if said.status == "unknown":
        return Entry(status="new", hold=f"{HOLDS['unknown']}: {said.status_word}"[:_TEXT_MAX])
    return Entry(status="new")


def order_in(
    said: ChannelOrder, channel: str, skus: Mapping[str, str], *, hold: str | None, services: Sequence[str] = ()
) -> OrderIn:
    """The order to place.

    skus      by line id
    services  that our carriers offer; the channel's word for one of them is heeded, any other is not
    """
    wanted = wanted_of(said)
    where = said.destination or Address()
    country = where.country.strip().upper()
    return OrderIn(
        channel=channel,
        external_id=said.external_id,
        currency=said.currency,
        destination=Destination(
            country=country if len(country) == 2 and country.isalpha() and country.isascii() else NOWHERE,
            postal_code=_text(where.postal_code, 20) or "",
            region=_text(where.region, 80),
        ),
        lines=[
            LineIn(
                line_id=line.line_id,
                sku=skus[line.line_id],
                quantity=wanted[line.line_id],
                price_minor=line.price_minor,
                tax_minor=line.tax_minor,
            )
            for line in said.lines
            if line.line_id in wanted
        ],
        placed_at=said.placed_at,
        customer=_customer(said),
        service=said.service if said.service in services else None,
        hold=hold,
    )


def _customer(said: ChannelOrder) -> Customer | None:
    where = said.destination
    email = said.email.strip()
    name = said.name.strip() or ("" if where is None else where.name.strip())
    phone = said.phone.strip() or ("" if where is None else where.phone.strip())
    address: dict[str, str | None] = {}
    if where is not None:
        parts = msgspec.structs.asdict(where)
        address = {key: text for key in parts if key != "phone" and (text := _text(parts[key], _TEXT_MAX))}
    is_address = email.count("@") == 1 and not any(c.isspace() for c in email) and "" not in email.split("@")
    customer = Customer(
        name=_text(name, _TEXT_MAX),
        email=email if is_address and email.isprintable() and len(email) <= _EMAIL_MAX else None,
        phone=_text(phone, _PHONE_MAX),
        address=address or None,
    )
    return None if customer == Customer() else customer


def _text(text: str, most: int) -> str | None:
    """What can be kept of a text; None: nothing."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:most] or None


# Orders that we have ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """What an order of ours needs to follow its channel.

    cancel, more  units by line id
    new           lines that we do not have
    hold          why to hold it; release: a hold of ours ends
    problem       what differs and stays so
    """

    cancel: Mapping[str, int] = field(default_factory=dict[str, int])
    more: Mapping[str, int] = field(default_factory=dict[str, int])
    new: Sequence[OrderLine] = ()
    hold: str | None = None
    release: bool = False
    problem: str | None = None


def follow(order: Order, wanted_before: Mapping[str, int] | None, said: ChannelOrder) -> Follow:
    """What `order` needs to be what the channel wants.

    wanted_before  what the channel wanted when it was followed last; None: never since it was placed

    Less is wanted: as much is cancelled as is still there beyond that, so that what we cancelled ourselves counts. More
    is wanted: that much more is ordered, whatever we have cancelled.
    """
    wanted = wanted_of(said)
    before = {line.line_id: line.quantity for line in order.lines} if wanted_before is None else wanted_before
    cancel: dict[str, int] = {}
    more: dict[str, int] = {}
    late: list[str] = []
    for line in order.lines:
        now, then = wanted.get(line.line_id, 0), before.get(line.line_id, 0)
        if now > then:
            more[line.line_id] = now - then
        elif now < then and line.open > now:
            possible = min(line.open - now, cancellable(order, line))
            if possible:
                cancel[line.line_id] = possible
            if possible < line.open - now:
                late.append(f"{line.open - now - possible} of line {line.line_id}")
    ours = {line.line_id for line in order.lines}
    new = [line for line in said.lines if line.line_id in wanted and line.line_id not in ours]
    problem = f"not wanted any more after it was shipped: {', '.join(late)}" if late else None
    grows = bool(more or new)
    hold = _hold(order, said, cancel, grows=grows)
    if hold is not None and said.status == "completed":
        problem = hold
    is_ours = order.wishes.hold is not None and order.wishes.hold.startswith(tuple(HOLDS.values()))
    return Follow(
        cancel=cancel,
        more=more,
        new=tuple(new),
        # A hold ends with the last unit, though others are added: it is said again.
        hold=None if order.held and not grows else hold,
        release=order.held and is_ours and said.status == "open",
        problem=problem,
    )


def less_of(order: Order, said: ChannelOrder) -> list[Less]:
    """Units that we cancelled and that the channel still wants."""
    wanted = wanted_of(said)
    theirs = {line.line_id: line for line in said.lines}
    return [
        Less(
            line_id=line.line_id, quantity=wanted[line.line_id] - line.open, left=line.open,
            external_item_id=theirs[line.line_id].external_item_id, sku=theirs[line.line_id].sku,
        )
        for line in order.lines
        if line.open < min(line.quantity, wanted.get(line.line_id, 0))
    ]  # fmt: skip


def _hold(order: Order, said: ChannelOrder, cancel: Mapping[str, int], *, grows: bool) -> str | None:
    """grows: something is added first, so that even of an order that had ended there is something to hold."""
    if said.status not in HOLDS:
        return None
    can = grows or order.held or "hold" in allowed(ORDER_STEPS, order.status)
    left = sum(line.open - line.shipped - cancel.get(line.line_id, 0) for line in order.lines)
    if not can or not (grows or left):
        return None
    return f"{HOLDS[said.status]}: {said.status_word}"[:_TEXT_MAX] if said.status == "unknown" else HOLDS[said.status]


def differences(order: Order, said: ChannelOrder) -> list[str]:
    """In words, in what an order of ours differs from what the channel says of it."""
    found: list[str] = []
    wanted = wanted_of(said)
    for line in order.lines:
        now = wanted.get(line.line_id, 0)
        if line.open != now:
            found.append(f"line {line.line_id}: the channel wants {now}, we serve {line.open}")
    ours = {line.line_id for line in order.lines}
    found += [
        f"line {line_id}: the channel wants {n}, we do not have it"
        for line_id, n in wanted.items()
        if line_id not in ours
    ]
    is_sent = order.status in ("shipped", "delivered")
    if is_sent and said.status == "open":
        found.append("we have shipped it, the channel waits for it")
    if said.status == "completed" and not is_sent and order.status != "cancelled":
        found.append(f"the channel says that it has been sent, here it is {order.status}")
    return found


def retry_s(attempts: int) -> float:
    """How long to wait after so many failures: 5 s, doubled each time, at most 15 minutes."""
    return min(_RETRY_MAX_S, _FIRST_RETRY_S * 2.0 ** min(attempts - 1, 20))
