"""What a key is: `onh_`, 32 random bytes in base64url, and a checksum of six characters.

The checksum lets secret scanners and this server tell a mistyped key from a real one without the
database. Keys set by hand (ONHAND_ADMIN_KEY) may look otherwise; only those that begin with `onh_`
are checked.
"""

import base64
import hashlib
import secrets
import zlib
from dataclasses import dataclass

SCOPES = ("read", "stock:write", "orders:write", "config:write", "plan:approve", "admin")
TOOL_SCOPES = (
    "tool:approve_proposal",
    "tool:cancel-order",
    "tool:create-return",
    "tool:create-sales-order",
    "tool:dismiss_proposal",
    "tool:fulfill-order",
    "tool:release_reservation",
    "tool:reserve_stock",
    "tool:undo_proposal",
    "tool:update-order",
)
"""What an agent may change by a tool of the MCP server, each by itself, beside the scope that the calls behind the tool
need. `admin` does not include them: an agent that got an admin key reads until somebody said otherwise."""

ANY_SCOPE = "any"
"""What every live key may do, whatever its scopes: no key has it as a scope."""

_PREFIX = "onh_"
_BODY_LENGTH = 43  # 32 bytes in base64url without padding
_CHECKSUM_LENGTH = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The key behind a request."""

    key_id: int
    name: str
    scopes: frozenset[str]


def mint() -> str:
    """A fresh key."""
    body = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    return _PREFIX + body + _checksum(body)


def is_plausible(key: str) -> bool:
    """False for a key of ours that was mistyped or cut short, and for anything too long to be
    one.
    """
    if not key.startswith(_PREFIX):
        return 0 < len(key) <= 512
    body, checksum = key[len(_PREFIX) : -_CHECKSUM_LENGTH], key[-_CHECKSUM_LENGTH:]
    return len(body) == _BODY_LENGTH and checksum == _checksum(body)


def digest(key: str) -> bytes:
    """SHA-256 of the whole key. 32 random bytes need no slow hash."""
    return hashlib.sha256(key.encode()).digest()


def prefix(key: str) -> str:
    """The first characters, to recognise a key in a list: too few to help guessing."""
    return key[: min(12, len(key) // 3)]


def allows(scopes: frozenset[str], scope: str) -> bool:
    """Whether a key with `scopes` may do what needs `scope`; `admin` may do everything, and every key ANY_SCOPE."""
    return scope == ANY_SCOPE or scope in scopes or "admin" in scopes


def _checksum(body: str) -> str:
    crc = zlib.crc32(body.encode()).to_bytes(4, "big")
    return base64.urlsafe_b64encode(crc).rstrip(b"=").decode()
