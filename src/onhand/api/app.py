"""The ASGI application: one dictionary look-up sends a hot route to its handler, everything else
goes to FastAPI.
"""

import importlib
import importlib.util
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import psycopg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from onhand.api.auth import KeyRing
from onhand.api.context import Edge
from onhand.api.problems import (
    InternalError,
    MethodNotAllowed,
    ProblemResponse,
    RouteNotFound,
    answer_error,
    answer_invalid,
    send_problem,
)
from onhand.errors import DatabaseUnavailable, InvalidInput, OnhandError

if TYPE_CHECKING:
    from onhand.app import App

log = structlog.get_logger(__name__)

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

# Every module here has a `router` made by `routing.routes`.
ROUTES = ("routes_keys", "routes_setup", "routes_stock", "routes_orders")


def create_api(app: "App") -> ASGIApp:
    """The whole HTTP interface over `app`, as one ASGI application."""
    edge = Edge(app=app, keys=KeyRing(app.db))
    ordinary = FastAPI(
        title="onhand",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    for name in ROUTES:
        if importlib.util.find_spec(f"onhand.api.{name}"):
            router = importlib.import_module(f"onhand.api.{name}").router
            # Not include_router: it wraps each route, and the check of keys reads the route itself.
            ordinary.router.routes.extend(router.routes)
    hot: dict[tuple[str, str], Handler] = {}
    if importlib.util.find_spec("onhand.api.hot"):
        hot = importlib.import_module("onhand.api.hot").HOT
    ordinary.add_exception_handler(OnhandError, answer_error)
    ordinary.add_exception_handler(RequestValidationError, answer_invalid)
    ordinary.add_exception_handler(HTTPException, _Unrouted(ordinary, hot))
    ordinary.add_exception_handler(psycopg.Error, _answer_database_error)
    return Dispatcher(edge, hot, ordinary)


class Dispatcher:
    """Hot routes by exact method and path, everything else to FastAPI; no exception leaves it."""

    def __init__(self, edge: Edge, hot: dict[tuple[str, str], Handler], ordinary: ASGIApp) -> None:
        self._edge = edge
        self._hot = hot
        self._ordinary = ordinary

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._ordinary(scope, receive, send)
            return
        scope["onhand"] = self._edge
        handler = self._hot.get((scope["method"], scope["path"]))
        try:
            if handler is not None:
                await handler(scope, receive, send)
            elif b"%00" in scope["query_string"] or "\0" in scope["path"]:
                raise InvalidInput.at("", "the character NUL is not allowed in an address")
            else:
                await self._ordinary(scope, receive, send)
        except ConnectionError:
            pass  # nobody is left to answer
        except OnhandError as error:
            await send_problem(error, scope, receive, send)
        except Exception as error:
            await _answer_unexpected(error, scope, receive, send)


async def _answer_unexpected(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    error_id = secrets.token_hex(8)
    log.error(
        "unexpected error",
        error_id=error_id,
        method=scope["method"],
        path=scope["path"],
        exc_info=error,
    )
    try:
        await send_problem(InternalError(error_id), scope, receive, send)
    except Exception:
        log.warning("the answer had begun already", error_id=error_id)


async def _answer_database_error(_: Request, error: Exception) -> Response:
    """What slipped past our own checks: values the database cannot hold are bad input, the rest is
    our fault.
    """
    if isinstance(error, psycopg.DataError):
        log.warning("the database refused a value", exc_info=error)
        message = f"a value is out of range: {_first_line(error)}"
        return ProblemResponse(InvalidInput.at("", message))
    if isinstance(error, psycopg.OperationalError):
        return ProblemResponse(DatabaseUnavailable(_first_line(error)))
    raise error


def _first_line(error: psycopg.Error) -> str:
    return str(error.diag.message_primary or error).partition("\n")[0]


class _Unrouted:
    """404 and 405 for paths that FastAPI does not route, with the hot routes in mind."""

    def __init__(self, ordinary: FastAPI, hot: Iterable[tuple[str, str]]) -> None:
        self._ordinary = ordinary
        self._hot: dict[str, set[str]] = {}
        for method, path in hot:
            self._hot.setdefault(path, set()).add(method)

    async def __call__(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.scope["path"]
        if error.status_code in (404, 405):
            methods = self._hot.get(path, set()) | self._methods(path)
            if methods:
                return ProblemResponse(MethodNotAllowed(request.method, methods))
            return ProblemResponse(RouteNotFound(f"nothing is at {path[:200]!r}"))
        raise error

    def _methods(self, path: str) -> set[str]:
        return {
            method
            for route in self._ordinary.routes
            if isinstance(route, APIRoute) and route.path_regex.match(path)
            for method in route.methods or ()
        }
