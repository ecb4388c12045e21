"""The one HTTP client for URLs that somebody else wrote.

The host is resolved once, every address it has must be public, and the connection goes to an address that was checked,
with the original Host and server name: a name that answers differently the second time leads nowhere. No redirects, no
proxy from the environment, ten seconds and 64 kB at most, and nothing of the answer but its status is kept.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx2

from onhand.base.addresses import IPAddress, WebAddress, is_public

TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 64 * 2**10
_ADDRESSES_TRIED_MAX = 3


class NotReachable(Exception):
    """The request did not get an answer; the text says why and holds nothing of what the other side said."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Which addresses may be called."""

    allow_private: bool = False

    async def resolve(self, target: WebAddress) -> list[IPAddress]:
        """The addresses of the host, all checked. Raises NotReachable."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            # A failure to resolve is a refusal, never a way around the check.
            raise NotReachable("the host name cannot be resolved") from None
        return self.checked([str(entry[4][0]) for entry in found])

    def resolve_now(self, target: WebAddress) -> list[IPAddress]:
        """`resolve` for a worker thread."""
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NotReachable("the host name cannot be resolved") from None
        return self.checked([str(entry[4][0]) for entry in found])

    def checked(self, texts: list[str]) -> list[IPAddress]:
        """The addresses, if every one of them may be called: one private address spoils the name."""
        addresses = list(dict.fromkeys(ipaddress.ip_address(text) for text in texts))
        if not addresses:
            raise NotReachable("the host name has no address")
        if not self.allow_private and not all(map(is_public, addresses)):
            raise NotReachable("the address is not a public one")
        return addresses


class Outgoing:
    """Sends POST requests to one endpoint, keeping its connection open in between."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext) -> None:
        self._guard = guard
        self._client = httpx2.AsyncClient(
            verify=tls,
            trust_env=False,
            follow_redirects=False,
            timeout=TIMEOUT_S,
            limits=httpx2.Limits(max_connections=2, max_keepalive_connections=1),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send `body`, return the status of the answer. Raises NotReachable; takes at most TIMEOUT_S."""
        try:
            target = WebAddress.parse(url)
            async with asyncio.timeout(TIMEOUT_S):
                addresses = await self._guard.resolve(target)
                return await self._send(target, addresses, body, headers)
        except ValueError as error:
            raise NotReachable(str(error)) from None
        except TimeoutError:
            raise NotReachable(f"no answer within {TIMEOUT_S:g} s") from None
        except httpx2.HTTPError as error:
            raise NotReachable(_reason(error)) from None

    async def _send(
        self, target: WebAddress, addresses: list[IPAddress], body: bytes, headers: Mapping[str, str]
    ) -> int:
        for address in addresses[:_ADDRESSES_TRIED_MAX]:
            request = self._client.build_request(
                "POST",
                target.url_at(address),
                content=body,
                headers={**headers, "host": target.netloc, "accept-encoding": "identity"},
                # Also what the certificate is checked against.
                extensions={"sni_hostname": target.host},
            )
            try:
                response = await self._client.send(request, stream=True)
            except httpx2.ConnectError:
                if address == addresses[:_ADDRESSES_TRIED_MAX][-1]:
                    raise
                continue  # no way to IPv6 from here, for example
            try:
                await _drain(response)
            finally:
                await response.aclose()
            return response.status_code
        raise AssertionError("unreachable")


async def _drain(response: httpx2.Response) -> None:
    """Read the answer away, so that the connection can be used again; drop one that is too long."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > ANSWER_BYTES_MAX:
            return


def _reason(error: httpx2.HTTPError) -> str:
    """What went wrong, without a byte of what the other side sent: errors of the protocol quote it."""
    if isinstance(error, httpx2.ConnectError):
        return f"no connection: {str(error)[:200]}"  # words of the operating system or of TLS
    if isinstance(error, httpx2.RemoteProtocolError):
        return "the answer was not HTTP"
    return f"the connection broke ({type(error).__name__})"
