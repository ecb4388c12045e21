"""What all fakes share: faults on demand, a list of what was asked, and running as a process."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Endpoint = Callable[[Request], Awaitable[Response]]
_REQUESTS_KEPT = 1_000


@dataclass(slots=True)
class Fault:
    """What happens to a request instead of its answer.

    match   only to requests whose path holds it
    status  of the answer; 0: none, the connection breaks
    after   it takes effect before it fails
    skip    requests that are answered before it
    """

    status: int = 503
    headers: dict[str, str] | None = None
    body: Any = None
    match: str = ""
    after: bool = False
    delay_s: float = 0.0
    times: int = 1
    skip: int = 0


class Faults:
    """An ASGI wrapper around a fake that fails when it was told to."""

    def __init__(self, app: Any, *, routes: list[Route] | None = None) -> None:
        self._app = app
        self._faults: deque[Fault] = deque()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)
        self._control = Starlette(
            routes=[
                Route("/_fake/faults", self._set, methods=["POST"]),
                Route("/_fake/requests", self._tell),
                *(routes or ()),
            ]
        )

    async def _set(self, request: Request) -> Response:
        self._faults.extend(Fault(**fault) for fault in await request.json())
        return JSONResponse({"faults": len(self._faults)})

    async def _tell(self, _: Request) -> Response:
        return JSONResponse(list(self.requests))

    def _next(self, path: str) -> Fault | None:
        for fault in self._faults:
            if fault.match in path:
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_fake/"):
            await (self._control if scope["type"] == "http" else self._app)(scope, receive, send)
            return
        query = scope["query_string"].decode()
        self.requests.append({"method": scope["method"], "path": scope["path"], "query": query})
        fault = self._next(scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
            return
        if fault.after:
            await self._app(scope, receive, _nowhere)
        await asyncio.sleep(fault.delay_s)
        if fault.status == 0:
            # An answer that breaks off: its length is never reached.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
            await send({"type": "http.response.body", "body": b"{", "more_body": False})
            return
        body = {"message": "as was asked for"} if fault.body is None else fault.body
        await JSONResponse(body, fault.status, fault.headers)(scope, receive, send)


async def _nowhere(_: Any) -> None:
    return
