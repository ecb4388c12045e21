"""The word of a person, bound to the very call it was given for.

A token says: so long, this caller may make this call at this price. It holds without memory, in any process: it is an
HMAC under the caller's own key, which the agent does not know. It is no secret to the agent, which passes it on; what
it is good for is that another call, or the same at another price, needs another one.
"""

import hashlib
import hmac
from datetime import datetime
from typing import Any, Final

import msgspec

from onhand.mcp.model import Stake

LASTS_S: Final = 600
_VERSION: Final = "c1"


def mint(key: str, tool: str, arguments: dict[str, Any], stake: Stake, *, now: datetime) -> str:
    """A token for one call, good for ten minutes."""
    until = int(now.timestamp()) + LASTS_S
    return f"{_VERSION}.{until}.{_sign(key, tool, arguments, stake, until)}"


def holds(token: str, key: str, tool: str, arguments: dict[str, Any], stake: Stake, *, now: datetime) -> bool:
    """Whether `token` was made for this call, and its time is not over."""
    version, _, rest = token.partition(".")
    written, _, signature = rest.partition(".")
    if version != _VERSION or not (written.isascii() and written.isdigit()) or len(written) > 12:
        return False
    until = int(written)
    if not now.timestamp() <= until <= now.timestamp() + LASTS_S + 1:
        return False
    return hmac.compare_digest(signature.encode(), _sign(key, tool, arguments, stake, until).encode())


def _sign(key: str, tool: str, arguments: dict[str, Any], stake: Stake, until: int) -> str:
    said = msgspec.json.encode(
        [_VERSION, tool, arguments, stake.amount_minor, stake.currency, stake.sentence, until], order="sorted"
    )
    secret = hashlib.sha256(b"onhand mcp confirm\0" + key.encode()).digest()
    return hmac.new(secret, said, hashlib.sha256).hexdigest()[:40]
