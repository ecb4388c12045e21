"""What every connector can be asked, whether it is a document or a program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, runtime_checkable

from onhand.connectors._sdk.values import (
    ChannelOrder,
    Charge,
    Fulfilment,
    Less,
    Outcome,
    Page,
    Paid,
    Parcel,
    Posted,
    PriceWrite,
    Received,
    Said,
    Write,
)
from onhand.connectors._sdk.vocabulary import CredentialIn, SettingIn
from onhand.wire import Answer, Folders, Request

# What is shorter is no secret (a user name, perhaps) and stands in ordinary words.
_SECRET_CHARACTERS_MIN: Final = 6


class Sender(Protocol):
    """Sends a request; raises NotReachable. `wire.Caller` is one."""

    async def send(self, request: Request) -> Answer: ...


class Limiter(Protocol):
    """Who may ask a channel how often, over all processes."""

    async def turn(self, bucket: str, *, rate_per_s: float, burst: int, weight: float = 1.0) -> None:
        """Return when `weight` requests may be sent; raises Unavailable if that takes too long."""
        ...

    async def pause(self, seconds: float, *, bucket: str | None = None) -> None:
        """Nobody asks before `seconds` have passed; of the account, or of one bucket."""
        ...


class Tokens(Protocol):
    """Where access tokens are kept between processes; encrypted."""

    async def get(self) -> tuple[str, datetime | None] | None: ...
    async def put(self, token: str, expires_at: datetime | None) -> None: ...


class Notes(Protocol):
    """What is remembered of a channel between calls, by all processes: small texts by name, and series of numbers.

    For those whose other side has no memory that could be asked: folders, EDI.
    """

    async def get(self, name: str) -> str | None:
        """What was noted, if anything was."""
        ...

    async def put(self, name: str, text: str) -> None:
        """Note it, in place of what was."""
        ...

    async def put_new(self, name: str, text: str) -> str:
        """Note it unless something is; what is noted then. Of several at once one wins, and all are told which."""
        ...

    async def starting(self, prefix: str, *, limit: int = 1_000) -> Mapping[str, str]:
        """What is noted under names that begin so, by name, at most `limit`."""
        ...

    async def drop(self, name: str) -> None:
        """Forget it."""
        ...

    async def next_number(self, series: str, *, last: int) -> int:
        """A number that was not given out before: 1, 2, ... `last`, and then from 1 again."""
        ...


class Unavailable(Exception):
    """The channel cannot be asked now: it does not answer, is too busy, or has told us to wait.

    was_sent  what was asked of it may have happened
    """

    def __init__(self, why: str, *, was_sent: bool = False, retry_after_s: float | None = None) -> None:
        self.was_sent, self.retry_after_s = was_sent, retry_after_s
        super().__init__(why)


class Refused(Exception):
    """The channel understood, and will not. `code` is its own word."""

    def __init__(self, message: str, *, code: str = "", is_gone: bool = False, is_unauthorised: bool = False) -> None:
        self.code, self.is_gone, self.is_unauthorised = code, is_gone, is_unauthorised
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One account at a channel, and the means to talk to it. Nothing of `credentials` is ever shown."""

    settings: Mapping[str, Any]
    credentials: Mapping[str, str] = field(repr=False)
    sender: Sender = field(repr=False)
    limiter: Limiter = field(repr=False)
    tokens: Tokens = field(repr=False)
    notes: Notes | None = field(default=None, repr=False)
    folders: Folders | None = field(default=None, repr=False)

    def hide(self, text: str) -> str:
        """`text` of the channel without our secrets: some say back in an error what they were sent."""
        for secret in self.credentials.values():
            if len(secret) >= _SECRET_CHARACTERS_MIN:
                text = text.replace(secret, "***")
        return text


class Connector(Protocol):
    """Talks to one kind of channel. Nothing is kept between calls but in `connection`; raises Unavailable and Refused.

    A method whose capability is not among `capabilities` is never called. `orders.once` beside `orders.pull`: what was
    read is not told again, so that there is nothing to compare with.
    """

    name: str
    capabilities: frozenset[str]

    @property
    def settings(self) -> Mapping[str, SettingIn]:
        """What an operator fills in when a channel is set up."""
        ...

    @property
    def credentials(self) -> Mapping[str, CredentialIn]:
        """Which secrets; `<name>_before` is the one before, while it is being exchanged."""
        ...

    @property
    def at_once(self) -> int:
        """Requests that may be under way at the same time."""
        ...

    @property
    def batch_max(self) -> int:
        """Writes that one request carries."""
        ...

    @property
    def is_compared(self) -> bool:
        """Whether writes say what they expect to be there."""
        ...

    async def pull_orders(self, connection: Connection, at: str | None, *, since: datetime) -> Page: ...
    async def get_order(self, connection: Connection, order_id: str) -> ChannelOrder: ...
    async def cancel_order(self, connection: Connection, order_id: str, *, reason: str, key: str) -> Outcome: ...
    async def push_stock(self, connection: Connection, writes: Sequence[Write]) -> list[Outcome]: ...
    async def pull_stock(self, connection: Connection, at: str | None) -> Page: ...
    async def pull_listings(self, connection: Connection, at: str | None) -> Page: ...
    async def pull_sales(self, connection: Connection, at: str | None, *, since: datetime) -> Page: ...
    async def push_parcel(self, connection: Connection, parcel: Parcel) -> Outcome: ...

    def receive(
        self, headers: Mapping[str, str], body: bytes, *, url: str, credentials: Mapping[str, str], now: datetime
    ) -> Received:
        """Check a request of the channel and say what it is about. `headers` in small letters. Raises NotGenuine."""
        ...

    async def read(self, connection: Connection, topic: str, body: bytes) -> Sequence[Said]:
        """What a message says, or what it is a hint to; nothing, if that is none of our concern."""
        ...


@runtime_checkable
class Particular(Protocol):
    """A connector that checks more of its settings than their types."""

    def wrong_settings(self, settings: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        """Paths in the channel's document, and what is wrong there. settings: complete, of the right types."""
        ...


class Counter(Connector, Protocol):
    """A connector to somebody who keeps units for us, or sells them over a counter.

    counts.pull  pull_counts  what is there: a page of `Level`. Unlike `stock.pull`, which is what a channel shows
    """

    async def pull_counts(self, connection: Connection, at: str | None, *, since: datetime) -> Page:
        """What was counted since `at`, a `next` or `cursor` of an earlier page."""
        ...


class Shipper(Connector, Protocol):
    """A connector to somebody who ships for us; what it can do is among `capabilities`.

    shipping.push    push_fulfilment    ask for it
    shipping.cancel  cancel_fulfilment  take it back, if that is still possible
    shipping.pull    pull_shipments     what became of it: a page of `Shipment`
    """

    async def push_fulfilment(self, connection: Connection, fulfilment: Fulfilment) -> Outcome:
        """Ask to ship. ACCEPTED: whether it is taken is told later, by pull_shipments. A repeat with the same key asks
        nothing new. Never raises for a shipper that fails."""
        ...

    async def cancel_fulfilment(self, connection: Connection, fulfilment_id: str, *, reason: str, key: str) -> Outcome:
        """Take it back. Never raises for a shipper that fails."""
        ...

    async def pull_shipments(self, connection: Connection, at: str | None, *, since: datetime) -> Page:
        """What was said since `at`, a `next` or `cursor` of an earlier page; since: where the first one begins."""
        ...


class PaymentProvider(Connector, Protocol):
    """A connector to somebody who takes customers' money for us. Nothing here raises for a provider that fails: what
    may have happened is UNKNOWN, and a repeat with the same key does nothing new. Ids are the provider's.

    payments.authorise  payments.capture  payments.void  payments.refund  payments.get
    """

    async def authorise(self, connection: Connection, charge: Charge) -> Paid:
        """Have an amount held. REFUSED: the customer's bank will not, or not this way."""
        ...

    async def capture(
        self, connection: Connection, payment_id: str, amount_minor: int, *, is_final: bool, is_many: bool, key: str
    ) -> Paid:
        """Take a part of what is held. is_final: what is left is given back; is_many: it need not be."""
        ...

    async def void(self, connection: Connection, payment_id: str, *, reason: str, key: str) -> Paid:
        """Give back what is held and was not captured."""
        ...

    async def refund(
        self, connection: Connection, payment_id: str, amount_minor: int, *, reason: str, key: str
    ) -> Paid:
        """Give back a part of what was captured."""
        ...

    async def get_payment(self, connection: Connection, payment_id: str) -> Paid:
        """How it is."""
        ...


class Queued(Protocol):
    """A connector whose capabilities have `messages.pull`: its channel's messages lie in a queue."""

    async def pull_messages(self, connection: Connection) -> Sequence[Posted]:
        """Messages that lie there, waited for a while; empty: none came. They stay until they are settled, and come
        again if they are not. Raises Unavailable, Refused."""
        ...

    async def settle_messages(self, connection: Connection, receipts: Sequence[str]) -> None:
        """Remove messages: only what has been stored. One that is not removed comes again."""
        ...


class Confirming(Protocol):
    """A connector whose capabilities have `stock.confirm`: it can be asked what became of what it accepted."""

    async def confirm_stock(self, connection: Connection, writes: Sequence[Write], ticket: str) -> list[Outcome]:
        """The fate of writes whose outcome was `accepted` with `ticket`: done once they are shown, accepted while they
        may still be under way (`seen`: what is shown now). Never raises for a channel that fails."""
        ...


class Pricing(Connector, Protocol):
    """A connector to a channel that can be told what we ask for a listing; what it can do is among `capabilities`.

    prices.push      push_prices   ask these prices from now on
    prices.pull      pull_prices   what is asked there: a page of `Price`
    prices.currency  get_currency  of which currency the prices there are
    """

    @property
    def price_batch_max(self) -> int:
        """Prices that one request carries."""
        ...

    async def push_prices(self, connection: Connection, writes: Sequence[PriceWrite]) -> list[Outcome]:
        """The fate of each, in their order. Never raises for a channel that fails."""
        ...

    async def pull_prices(self, connection: Connection, at: str | None) -> Page:
        """What is asked there. Raises Unavailable, Refused."""
        ...

    async def get_currency(self, connection: Connection) -> str:
        """A code of ISO 4217. Raises Unavailable, Refused."""
        ...


class Partial(Protocol):
    """A connector whose capabilities have `orders.cancel_lines`: it can be told that units of an order are not
    served."""

    async def cancel_lines(
        self, connection: Connection, order_id: str, lines: Sequence[Less], *, reason: str, key: str
    ) -> Outcome:
        """So many units of each line go, so many stay. A repeat with the same key takes nothing more. Never raises for
        a channel that fails."""
        ...


class NotGenuine(Exception):
    """A request that the channel did not sign."""
