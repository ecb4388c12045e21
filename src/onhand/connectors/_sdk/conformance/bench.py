"""What the kit must be able to do with a channel to examine a connector: sell, change, break, and look.

A bench is a channel of its kind that keeps state (a fake, or a real one on this machine) behind a sender. Each method
that it leaves out is a group of cases that cannot be examined; the kit says which.
"""

# ruff: noqa: ARG002 - what a bench leaves out has arguments all the same

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from onhand.connectors._sdk.interface import Sender
from onhand.connectors._sdk.values import ChannelOrder, Fulfilment, Parcel, PriceWrite, Write
from onhand.wire import Folders, Request


class NotOnBench(Exception):
    """This bench cannot bring that about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message of the channel, as it comes in. Names of headers in small letters; url: that was called."""

    headers: Mapping[str, str]
    body: bytes
    url: str = ""


class Bench:
    """A channel on which a connector is examined: made anew for each case. Ids are those that the connector reads.

    settings, credentials  of an account there; credentials are long and unlike anything else, so that one that shows
                           somewhere is found
    page                   so many orders and listings are on one page; 0: all are on one
    excused                cases that this kind of channel cannot stand, and why: {name: reason}
    signed_by              the credential that signs messages
    currency               of its prices
    """

    page: int = 0
    excused: ClassVar[Mapping[str, str]] = {}
    signed_by: ClassVar[str] = "webhook_secret"
    currency: ClassVar[str] = "EUR"

    def __init__(self, settings: Mapping[str, Any], credentials: Mapping[str, str]) -> None:
        self.settings, self.credentials = settings, credentials

    # How it is talked to --------------------------------------------------------------------------------------------

    def sender(self) -> Sender:
        """Requests reach the channel through it. A channel that is not reached by requests has none."""
        raise NotOnBench("requests")

    def folders(self) -> Folders:
        """Folders that it works in, for a channel that passes files; `settings.url` names one of them."""
        raise NotOnBench("folders")

    def is_write(self, request: Request) -> bool:
        """Whether a request changes something there (signing in does not)."""
        if request.method == "GET":
            return False
        try:
            body = json.loads(request.body or b"null")
        except ValueError:
            return True
        query = cast("dict[str, Any]", body).get("query") if isinstance(body, dict) else None
        return query.lstrip().startswith("mutation") if isinstance(query, str) else True

    async def settle(self) -> None:
        """What the channel has accepted takes effect: for those that apply later than they answer."""

    def close(self) -> None:
        """The case is over."""

    # What a merchant and his customers do ---------------------------------------------------------------------------

    def offer(self, sku: str, units: int) -> str:
        """Something that is sold, of which `units` are shown; its external_id."""
        raise NotOnBench("listings")

    def offer_uncounted(self, sku: str) -> None:
        """Something that is sold and whose units the channel does not count. Nothing, where all are counted."""

    def show(self, external_id: str, units: int) -> None:
        """Somebody else sets the number of a listing."""
        raise NotOnBench("numbers that others set")

    def withdraw(self, external_id: str) -> None:
        """The listing is there no longer; orders of it stay."""
        raise NotOnBench("listings that go")

    def buy(self, lines: Mapping[str, int], *, at: datetime | None = None) -> str:
        """A paid order of units by external_id, whatever there is of them; its external_id.

        at  when it was placed and last changed; else now
        """
        raise NotOnBench("orders")

    def change(self, order_id: str, *, at: datetime | None = None) -> None:
        """An order is changed in a way that does not matter, and counts as changed at that moment."""
        raise NotOnBench("orders that change")

    def say(self, order_id: str, word: str) -> None:
        """The order's status is a word nobody has heard of."""
        raise NotOnBench("words of status")

    def spoil(self, order_id: str) -> None:
        """The order's record is such that it cannot be read."""
        raise NotOnBench("orders that cannot be read")

    def message(self, order_id: str, *, secret: str | None = None) -> Delivery:
        """A new message that the order was changed, signed by the credential `signed_by` or by `secret`."""
        raise NotOnBench("messages")

    # What somebody who passes files does ----------------------------------------------------------------------------

    def content(self, capability: str, units: Sequence[int], *, spoilt: Sequence[int] = ()) -> bytes:
        """A file for `capability` (`counts.pull`, ...) with a record of each number of units, none of which was told
        before; shipments are of `fulfilment(n)`, the n-th of n units.

        spoilt  positions of records that cannot be read
        """
        raise NotOnBench("files")

    def damaged(self, capability: str, body: bytes) -> Mapping[str, bytes]:
        """`body` as a file of which nothing can be used, in ways that this kind of file can be damaged, by name."""
        raise NotOnBench("damaged files")

    def lay(self, capability: str, name: str, body: bytes) -> None:
        """Put a file where we look for those of `capability`. They are read in the order of their names."""
        raise NotOnBench("files")

    def lies(self, name: str) -> str:
        """Where a file is now: `in`, `done`, `rejects`, or nowhere: ``."""
        raise NotOnBench("files")

    def unwritable(self) -> str:
        """An external_id with a letter that cannot stand in their files."""
        raise NotOnBench("letters that cannot be written")

    def fulfilment(self, units: int) -> Fulfilment:
        """So many units of one item that are to be shipped for us; the same for the same number."""
        raise NotOnBench("fulfilments")

    # What somebody who takes money does -----------------------------------------------------------------------------

    def card(self, *, pays: bool = True) -> str:
        """A token of somebody's way to pay, that the bank accepts or always declines."""
        raise NotOnBench("ways to pay")

    def moved(self, payment_id: str) -> tuple[int, int, int]:
        """(held now, captured, given back) of a payment, in minor units."""
        raise NotOnBench("payments")

    def payments(self) -> int:
        """How many amounts were ever held."""
        raise NotOnBench("payments")

    # What is there --------------------------------------------------------------------------------------------------

    def shown(self, external_id: str) -> int:
        """The number that a listing shows."""
        raise NotOnBench("numbers")

    def asked(self, external_id: str) -> int:
        """What a listing costs there, in minor units, as long as nothing is cheaper for a while."""
        raise NotOnBench("prices")

    def is_cancelled(self, order_id: str) -> bool:
        """Whether the order is."""
        raise NotOnBench("cancelled orders")

    def parcels(self, order_id: str) -> Sequence[str]:
        """Tracking numbers of what the channel knows to have left; once for each time that it was told."""
        raise NotOnBench("parcels")

    def requested(self) -> Sequence[int]:
        """Units of each request to ship that lies there, once for each."""
        raise NotOnBench("requests to ship")

    # What is asked of the connector ---------------------------------------------------------------------------------

    def write(self, external_id: str, quantity: int, *, key: str, expected: int | None = None) -> Write:
        """A write as publication would ask for it."""
        return Write(external_id=external_id, quantity=quantity, key=key, expected=expected)

    def price_write(self, external_id: str, price_minor: int, *, key: str) -> PriceWrite:
        """A price as publication would ask for it."""
        return PriceWrite(external_id=external_id, price_minor=price_minor, currency=self.currency, key=key)

    def parcel(self, order: ChannelOrder, *, tracking: str, key: str) -> Parcel:
        """Everything of an order leaves in one parcel."""
        lines = [
            {"line_id": line.line_id, "external_item_id": line.external_item_id, "sku": line.sku,
             "quantity": line.quantity}
            for line in order.lines
        ]  # fmt: skip
        return Parcel(
            order_id=order.external_id, fulfilment_id=f"f-{key}", key=key, shipped_at=datetime.now(UTC), lines=lines,
            carrier="UPS", service="ground", tracking=tracking, is_complete=True,
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Turns:
    """A limiter that lets everybody pass and remembers who was told to wait."""

    paused: list[float] = field(default_factory=list[float])

    async def turn(self, bucket: str, *, rate_per_s: float, burst: int, weight: float = 1.0) -> None:
        """At once."""

    async def pause(self, seconds: float, *, bucket: str | None = None) -> None:
        """Remembered."""
        self.paused.append(seconds)
