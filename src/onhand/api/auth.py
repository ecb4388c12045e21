"""Who calls: `Authorization: Bearer <key>` to a Principal, from memory on all but a key's first
request.

The order of checks on every route: 401, then 403, then the body.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from onhand import access
from onhand.access import Principal
from onhand.db import Database
from onhand.errors import Forbidden, Unauthorised
from onhand.flows.keys import ensure_admin_key

__all__ = ["KeyRing", "Principal", "Require", "ensure_admin_key", "require"]

# A revoked key is refused within this time in every process: what memory says is not believed for
# longer.
TRUST_S = 5.0
# From this age on, a use of the key also reads it again in the background, so that a busy key is
# never waited for.
_REFRESH_S = 2.0
_CACHE_MAX = 10_000


@dataclass(slots=True)
class _Known:
    principal: Principal
    read_at: float  # time.monotonic() before it was read
    refreshing: bool = False


class KeyRing:
    """The keys this process has seen lately, by the very bytes of the header. For the event loop's
    thread only.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[bytes, _Known] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def cached(self, headers: Iterable[tuple[bytes, bytes]], scope: str) -> Principal | None:
        """The caller, if memory can tell; None means: ask `authorise`. Raises Unauthorised,
        Forbidden.

        Costs two dictionary look-ups; the comparison inside runs only on equal 64-bit hashes, so
        its time tells nothing about other keys.
        """
        header = _authorization(headers)
        known = self._known.get(header)
        if known is None:
            return None
        age = time.monotonic() - known.read_at
        if age >= TRUST_S:
            return None
        if age >= _REFRESH_S and not known.refreshing:
            known.refreshing = True
            task = asyncio.get_running_loop().create_task(self._refresh(header))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return _permitted(known.principal, scope)

    async def authorise(self, headers: Iterable[tuple[bytes, bytes]], scope: str) -> Principal:
        """The caller, if its key is live and has `scope`. Raises Unauthorised, Forbidden,
        DatabaseUnavailable.
        """
        headers = list(headers)
        principal = self.cached(headers, scope)
        if principal is not None:
            return principal
        return _permitted(await self._read(_authorization(headers)), scope)

    def forget(self) -> None:
        """Believe nothing any more: a key has changed. Thread-safe."""
        self._known = {}

    async def _read(self, header: bytes) -> Principal:
        scheme, _, credentials = header.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Unauthorised("expected the header `Authorization: Bearer <api key>`")
        try:
            key = credentials.strip().decode("ascii")
        except UnicodeDecodeError:
            key = ""
        if not access.is_plausible(key):
            raise Unauthorised("this API key is not valid")
        read_at = time.monotonic()
        keyring = self._known
        principal = await run_in_threadpool(self._find, access.digest(key))
        if principal is None:
            keyring.pop(header, None)
            raise Unauthorised("this API key is not valid")
        if len(keyring) >= _CACHE_MAX:
            keyring.clear()
        # `keyring`, not self._known: what was read before a `forget` must not outlive it.
        keyring[header] = _Known(principal, read_at)
        return principal

    async def _refresh(self, header: bytes) -> None:
        try:
            await self._read(header)
        except Unauthorised:
            pass
        except Exception:  # the database is away: the key is believed until its time is over
            if known := self._known.get(header):
                known.refreshing = False

    def _find(self, digest: bytes) -> Principal | None:
        with self._db.connection() as conn:
            return access.find_live(conn, digest)


def _authorization(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"authorization":
            return value
    raise Unauthorised("expected the header `Authorization: Bearer <api key>`")


def _permitted(principal: Principal, scope: str) -> Principal:
    if not access.allows(principal.scopes, scope):
        raise Forbidden(scope)
    return principal


class Require(SecurityBase):
    """The dependency behind `require`: declares the scope, and hands out the Principal that the
    route has found.

    The check itself is in routing.py, since FastAPI reads the body before it runs a dependency.
    """

    def __init__(self, scope: str) -> None:
        assert scope in (*access.SCOPES, access.ANY_SCOPE), scope
        self.scope = scope
        self.model = HTTPBearerModel(description="An API key of this server: `onh_...`")
        self.scheme_name = "apiKey"

    def __call__(self, request: Request) -> Principal:
        principal: Any = request.scope["onhand_principal"]
        assert isinstance(principal, Principal)
        return principal


def require(scope: str) -> Any:
    """`dependencies=[require("orders:write")]`, or a parameter's `Annotated[Principal,
    require("read")]`.
    """
    return Security(Require(scope), scopes=[scope])
