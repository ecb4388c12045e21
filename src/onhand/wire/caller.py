"""The one HTTP client for URLs that somebody else wrote.

The host is resolved once, every address it has must be public, and the connection goes to an address that was checked,
with the original Host and server name: a name that answers differently the second time leads nowhere. A connection is
used again for the same name only: its certificate was checked against that one, whoever else has the address. No
redirects, no proxy from the environment, no cookies, and never more time or bytes than the caller said.
"""

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Literal, Self

import httpx2

from onhand.base.addresses import IPAddress, WebAddress, is_public

TIMEOUT_S = 10.0
# Of what is only asked for its status.
_DRAINED_BYTES_MAX = 64 * 2**10
_ADDRESSES_TRIED_MAX = 3
_NAMES_KEPT_MAX = 64


Cause = Literal["address", "private", "time", "key", "connection"]


class NotReachable(Exception):
    """The request did not get an answer; the text says why and holds nothing of what the other side said.

    was_sent  it may have had its effect all the same
    cause     address: there is no such host; private: it may not be called; time: it took too long; key: who
              we are was not believed; connection: anything else
    """

    def __init__(self, why: str, *, was_sent: bool = False, cause: Cause = "connection") -> None:
        self.was_sent = was_sent
        self.cause: Cause = cause
        super().__init__(why)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Request:
    """What is to be sent, and what may be spent on it. Its repr shows nothing that may be secret."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    timeout_s: float = 30.0
    answer_bytes_max: int = 32 * 2**20

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.partition('?')[0]}, {len(self.body):,} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Names of headers are in small letters; the last one counts where one stands twice."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Guard:
    """Which addresses may be called."""

    allow_private: bool = False

    async def resolve(self, target: WebAddress) -> list[IPAddress]:
        """The addresses of the host, all checked. Raises NotReachable."""
        if (address := _address(target.host)) is not None:  # no thread for what need not be asked
            return self.checked([address])
        # In the loop's own threads: libuv has four for the whole process, which a few dead names would take.
        ask = partial(socket.getaddrinfo, target.host, target.port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.get_running_loop().run_in_executor(None, ask)
        except (OSError, UnicodeError):
            # A failure to resolve is a refusal, never a way around the check.
            raise NotReachable("the host name cannot be resolved", cause="address") from None
        return self.checked([str(entry[4][0]) for entry in found])

    def resolve_now(self, target: WebAddress) -> list[IPAddress]:
        """`resolve` for a worker thread."""
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NotReachable("the host name cannot be resolved", cause="address") from None
        return self.checked([str(entry[4][0]) for entry in found])

    def checked(self, texts: list[str]) -> list[IPAddress]:
        """The addresses, if every one of them may be called: one private address spoils the name."""
        addresses = list(dict.fromkeys(ipaddress.ip_address(text) for text in texts))
        if not addresses:
            raise NotReachable("the host name has no address", cause="address")
        if not self.allow_private and not all(map(is_public, addresses)):
            raise NotReachable("the address is not a public one", cause="private")
        return addresses


class Caller:
    """Sends requests, keeping connections open in between. For one event loop.

    connections  at most so many at once
    """

    def __init__(self, guard: Guard, tls: ssl.SSLContext, *, connections: int = 2) -> None:
        # They log whole addresses and headers of answers, in which secrets may be.
        for name in ("httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._guard = guard
        self._tls, self._connections = tls, connections
        self._turns = asyncio.Semaphore(connections)
        # By scheme, host and port. The pool of a client knows addresses only, so each name has its own.
        self._lines: OrderedDict[str, _Line] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines.values():
            await line.client.aclose()
        self._lines.clear()

    @asynccontextmanager
    async def _line(self, target: WebAddress) -> AsyncGenerator[httpx2.AsyncClient]:
        """Connections to one name, when it is our turn."""
        name = f"{target.scheme}://{target.netloc}"
        async with self._turns:
            line = self._lines.get(name) or self._lines.setdefault(name, _Line(self._new_client()))
            self._lines.move_to_end(name)
            line.busy += 1
            try:
                yield line.client
            finally:
                line.busy -= 1
                line.client.cookies.clear()  # one request says nothing of another
                await self._tidy()

    def _new_client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # each request has a deadline of its own
            limits=httpx2.Limits(max_connections=self._connections, max_keepalive_connections=self._connections),
        )

    async def _tidy(self) -> None:
        """Give up connections to the names that were called longest ago."""
        if len(self._lines) > _NAMES_KEPT_MAX:
            idle = [name for name, line in self._lines.items() if not line.busy]
            for name in idle[: len(self._lines) - _NAMES_KEPT_MAX]:
                await self._lines.pop(name).client.aclose()

    async def send(self, request: Request) -> Answer:
        """The answer, whatever its status. Raises NotReachable; takes at most `request.timeout_s`."""
        return await self._within(request, _Reading(request.answer_bytes_max, keep=True))

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send `body`, return the status of the answer and keep nothing else of it. Raises NotReachable; takes at most
        TIMEOUT_S."""
        request = Request(method="POST", url=url, headers=headers, body=body, timeout_s=TIMEOUT_S)
        return (await self._within(request, _Reading(_DRAINED_BYTES_MAX, keep=False))).status

    async def _within(self, request: Request, reading: "_Reading") -> Answer:
        under_way = _UnderWay()
        try:
            target = WebAddress.parse(request.url)
            async with asyncio.timeout(request.timeout_s):
                addresses = await self._guard.resolve(target)
                async with self._line(target) as client:
                    return await self._send(client, request, target, addresses, reading, under_way)
        except ValueError as error:
            raise NotReachable(str(error), cause="address") from None
        except TimeoutError:
            why = f"no answer within {request.timeout_s:g} s"
            raise NotReachable(why, was_sent=under_way.was_sent, cause="time") from None
        except httpx2.HTTPError as error:
            raise NotReachable(_reason(error), was_sent=under_way.was_sent) from None

    async def _send(
        self,
        client: httpx2.AsyncClient,
        request: Request,
        target: WebAddress,
        addresses: list[IPAddress],
        reading: "_Reading",
        under_way: "_UnderWay",
    ) -> Answer:
        for address in addresses[:_ADDRESSES_TRIED_MAX]:
            sent = client.build_request(
                request.method,
                target.url_at(address),
                content=request.body,
                headers={**request.headers, "host": target.netloc, "accept-encoding": "identity"},
                # Also what the certificate is checked against.
                extensions={"sni_hostname": target.host, "trace": under_way.trace},
            )
            try:
                response = await client.send(sent, stream=True)
            except httpx2.ConnectError:
                if address == addresses[:_ADDRESSES_TRIED_MAX][-1]:
                    raise
                continue  # no way to IPv6 from here, for example
            try:
                body = await reading.of(response)
            finally:
                await response.aclose()
            headers = {name.lower(): value for name, value in response.headers.multi_items()}
            return Answer(status=response.status_code, headers=headers, body=body)
        raise AssertionError("unreachable")


def _address(host: str) -> str | None:
    """`host` if it is an address and not a name."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    return None


@dataclass(slots=True)
class _Line:
    """Connections to one name, and how many requests use them."""

    client: httpx2.AsyncClient
    busy: int = 0


@dataclass(slots=True)
class _UnderWay:
    """Whether a byte of the request may have left: httpcore tells when it begins to send."""

    was_sent: bool = False

    async def trace(self, event: str, _info: object) -> None:
        if event.endswith("send_request_headers.started"):
            self.was_sent = True


@dataclass(frozen=True, slots=True)
class _Reading:
    """How an answer is read: kept whole, or away, so that its connection can be used again."""

    bytes_max: int
    keep: bool

    async def of(self, response: httpx2.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > self.bytes_max:
                if self.keep:
                    raise NotReachable(f"the answer is longer than {self.bytes_max:,} bytes", was_sent=True)
                break
            if self.keep:
                parts.append(chunk)
        return b"".join(parts)


def _reason(error: httpx2.HTTPError) -> str:
    """What went wrong, without a byte of what the other side sent: errors of the protocol quote it."""
    if isinstance(error, httpx2.ConnectError):
        return f"no connection: {str(error)[:200]}"  # words of the operating system or of TLS
    if isinstance(error, httpx2.RemoteProtocolError):
        return "the answer was not HTTP"
    return f"the connection broke ({type(error).__name__})"
