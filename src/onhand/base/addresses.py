"""Which addresses a URL that somebody else wrote may lead us to. Pure: resolving is wire/caller.py's part."""

import ipaddress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

URL_LENGTH_MAX = 2_000
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Ports below 1024 belong to other protocols (mail, shells, databases of old), which a request could be smuggled into.
_LOW_PORTS = frozenset({80, 443})

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Prefixes that `is_global` lets pass and behind which a translator, tunnel or relay may lead anywhere.
_INDIRECT = [
    ipaddress.ip_network(prefix)
    for prefix in (
        "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0:0/96", "fec0::/10",
        "3fff::/20", "192.0.0.0/24", "192.88.99.0/24",
    )
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A URL in parts, such that nothing else can be read into it."""

    scheme: str
    host: str  # lower case ASCII; an IPv6 address without brackets
    port: int
    path: str  # with the query, starts with "/"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take an http(s) URL apart. ValueError, phrased as the expectation, for anything unusual: what two parsers
        could read in two ways is refused."""
        if not 0 < len(url) <= URL_LENGTH_MAX:
            raise ValueError(f"expected a URL of at most {URL_LENGTH_MAX} characters")
        if not all("!" <= c <= "~" for c in url) or any(c in url for c in '\\"<>^`{|}'):
            raise ValueError("expected printable ASCII; write other characters as %XX, a host name as xn--...")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"expected a URL such as https://example.com/hook ({error})") from None
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError("expected https:// or http://")
        if parts.username is not None or parts.password is not None or "@" in parts.netloc:
            raise ValueError("expected a URL without user name and password")
        if parts.fragment or url.endswith("#"):
            raise ValueError("expected a URL without a fragment")
        host = (parts.hostname or "").rstrip(".")
        if not host or "%" in host or len(host) > 253:
            raise ValueError("expected a host name or an address")
        if port is None:
            port = _DEFAULT_PORTS[parts.scheme]
        if port not in _LOW_PORTS and port < 1024:
            raise ValueError("expected port 80, 443, or one from 1024 up")
        query = f"?{parts.query}" if parts.query else ""
        return cls(parts.scheme, host, port, (parts.path or "/") + query)

    @property
    def netloc(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def url_at(self, address: IPAddress) -> str:
        """The URL with the host replaced by one of its addresses."""
        host = f"[{address}]" if address.version == 6 else str(address)
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def is_public(address: IPAddress) -> bool:
    """Whether `address` is one of the open internet: global unicast, and no door to another kind of address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.scope_id is not None:
            return False
    if any(address.version == network.version and address in network for network in _INDIRECT):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
