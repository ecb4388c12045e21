"""`/mcp` on the server of the interface: streamable HTTP, no sessions, the key of the interface.

The protocol's own code is loaded at the first request, in a thread, so that it costs neither the start nor an order.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from onhand.mcp.api import Application, Refused, Unanswered, in_process

if TYPE_CHECKING:
    import httpx2
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from onhand.mcp.server import Caller

PATH: Final = "/mcp"
BODY_BYTES_MAX: Final = 2**20
"""An order of a thousand lines is a fifth of it."""
_CALLER: Final = "onhand_caller"
_HERE: Final = ("localhost", "127.0.0.1", "::1")


class Endpoint:
    """An ASGI application that serves agents from `application`, the HTTP interface.

    confirm_above_minor  a write is done without asking if it moves so much money or less
    origins              of pages that may call it, beside those of this machine
    """

    def __init__(self, application: Application, *, confirm_above_minor: int, origins: Iterable[str] = ()) -> None:
        self._application = application
        self._limit = confirm_above_minor
        self._origins = frozenset(origins)
        self._lock = asyncio.Lock()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._http: httpx2.AsyncClient | None = None
        self._manager: StreamableHTTPSessionManager | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is not None and not self._is_allowed(origin.decode("latin-1")):
            # A page of a browser: it may have had a name of its own point to this machine.
            await _refuse(send, 403, "mcp.origin", "this page may not call /mcp: the setting mcp_origins names those")
            return
        if scope["method"] != "POST":
            # No stream to wait at: whatever there is to say is the answer of a request.
            await _refuse(send, 405, "route.method_not_allowed", "send POST", (b"allow", b"POST"))
            return
        manager = await self._ready()
        try:
            caller = await self._identify(headers.get(b"authorization", b""))
        except Refused as error:
            more = ((b"www-authenticate", b'Bearer realm="onhand"'),) if error.status == 401 else ()
            await _send(send, error.status, error.problem, *more)
            return
        except Unanswered as error:
            await _refuse(send, 503, "server.unanswered", str(error), (b"retry-after", b"1"))
            return
        await manager.handle_request({**scope, _CALLER: caller}, receive, send)

    async def close(self) -> None:
        """End what goes on in the background."""
        self._stop.set()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        if self._http is not None:
            await self._http.aclose()

    def _is_allowed(self, origin: str) -> bool:
        try:
            host = urlsplit(origin).hostname
        except ValueError:
            return False
        return origin in self._origins or host in _HERE

    async def _identify(self, authorization: bytes) -> "Caller":
        from onhand.mcp.server import identify  # noqa: PLC0415

        scheme, _, key = authorization.partition(b" ")
        try:
            text = key.strip().decode("ascii") if scheme.lower() == b"bearer" else ""
        except UnicodeDecodeError:
            text = ""
        assert self._http is not None
        return await identify(self._http, text)

    async def _ready(self) -> "StreamableHTTPSessionManager":
        if self._manager is None:
            async with self._lock:
                if self._manager is None:
                    self._http = in_process(self._application)
                    manager = await run_in_threadpool(self._build, self._http)
                    running = asyncio.Event()
                    self._task = asyncio.create_task(self._run(manager, running), name="onhand mcp")
                    await running.wait()
                    self._manager = manager
        return self._manager

    def _build(self, http: "httpx2.AsyncClient") -> "StreamableHTTPSessionManager":
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415

        from onhand.mcp.server import build  # noqa: PLC0415

        return StreamableHTTPSessionManager(
            build(http, _of_request, confirm_above_minor=self._limit),
            json_response=True,
            stateless=True,
            max_request_body_size=BODY_BYTES_MAX,
        )

    async def _run(self, manager: "StreamableHTTPSessionManager", running: asyncio.Event) -> None:
        async with manager.run():
            running.set()
            await self._stop.wait()


async def _of_request(context: Any) -> "Caller":
    return cast("Caller", context.request.scope[_CALLER])


async def _refuse(send: Send, status: int, code: str, detail: str, *headers: tuple[bytes, bytes]) -> None:
    await _send(send, status, {"type": "about:blank", "status": status, "code": code, "detail": detail}, *headers)


async def _send(send: Send, status: int, problem: dict[str, Any], *headers: tuple[bytes, bytes]) -> None:
    body = msgspec.json.encode(problem)
    sent = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})
