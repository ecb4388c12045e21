"""What every ordinary route passes, in this order: key, scope, body size, content type, JSON,
fields.

    router = routes("stock")                       # not APIRouter(): it would skip all of this

    @router.post("/v1/inbound", dependencies=[require("stock:write")], status_code=201)
    def add_inbound(body: Inbound, app: TheApp, by: By, once: OnceDep) -> ...:
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from onhand.api.auth import Require
from onhand.api.body import check_headers, parse, read_body
from onhand.api.context import edge
from onhand.errors import FieldError, InvalidInput

# Parsing more than this on the event loop would hold up the hot routes for milliseconds.
_PARSE_INLINE_BYTES_MAX = 32 * 2**10


class Route(APIRoute):
    """A route that checks key, scope and body before FastAPI reads anything."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()
        scope = required_scope(self.dependant)
        takes_body = self.body_field is not None
        known = _query_names(self.dependant)

        async def checked(request: Request) -> Response:
            if scope is not None:
                keys = edge(request).keys
                request.scope["onhand_principal"] = await keys.authorise(request.scope["headers"], scope)
            if unknown := request.query_params.keys() - known:
                # A misspelt filter must not answer with everything.
                raise InvalidInput([FieldError(name, "unknown parameter") for name in sorted(unknown)])
            if takes_body:
                request = _ReadRequest(request.scope, request.receive)
                await request.read()
            return await inner(request)

        return checked


def required_scope(dependant: Dependant) -> str | None:
    """The scope a route demands by `require`, None if it is open to all."""
    if isinstance(dependant.call, Require):
        return dependant.call.scope
    found = [s for s in map(required_scope, dependant.dependencies) if s is not None]
    assert len(set(found)) <= 1, f"{dependant.path}: more than one scope: {found}"
    return found[0] if found else None


def _query_names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*map(_query_names, dependant.dependencies))


class _ReadRequest(Request):
    """A request whose body was read and parsed by our rules: FastAPI finds it done."""

    async def read(self) -> None:
        self._body = b""
        if not _has_body(self):
            return
        check_headers(self.scope["headers"])
        body = self._body = await read_body(self.receive)
        if body:
            inline = len(body) <= _PARSE_INLINE_BYTES_MAX
            self._json = parse(body) if inline else await run_in_threadpool(parse, body)


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length")
    return length != "0" if length is not None else "transfer-encoding" in request.headers


def routes(tag: str, **options: Any) -> APIRouter:
    """A router of ordinary routes, shown under `tag` in the documentation."""
    return APIRouter(route_class=Route, tags=[tag], **options)
