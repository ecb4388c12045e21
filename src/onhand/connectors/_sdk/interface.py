"""What every connector can be asked, whether it is a document or a program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from onhand.connectors._sdk.values import ChannelOrder, Heard, Outcome, Page, Parcel, Received, Write
from onhand.connectors._sdk.vocabulary import CredentialIn, SettingIn
from onhand.wire import Answer, Request

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

    def hide(self, text: str) -> str:
        """`text` of the channel without our secrets: some say back in an error what they were sent."""
        for secret in self.credentials.values():
            if len(secret) >= _SECRET_CHARACTERS_MIN:
                text = text.replace(secret, "***")
        return text


class Connector(Protocol):
    """Talks to one kind of channel. Nothing is kept between calls but in `connection`; raises Unavailable and Refused.

    A method whose capability is not among `capabilities` is never called.
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

    async def read(self, connection: Connection, topic: str, body: bytes) -> Sequence[Heard]:
        """What a message says, or what it is a hint to; nothing, if that is none of our concern."""
        ...


class NotGenuine(Exception):
    """A request that the channel did not sign."""
