"""The ASGI application: one dictionary look-up sends a hot route to its handler, everything else
goes to FastAPI.
"""

import functools
import signal
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any, Protocol

import psycopg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onhand.api import (
    console,
    metrics,
    openapi,
    routes_autopilot,
    routes_campaigns,
    routes_channel_health,
    routes_channel_orders,
    routes_connectors,
    routes_costs,
    routes_customers,
    routes_demand,
    routes_events,
    routes_forecasts,
    routes_fulfilment,
    routes_health,
    routes_incidents,
    routes_jobs,
    routes_keys,
    routes_network,
    routes_orders,
    routes_payments,
    routes_plans,
    routes_playbooks,
    routes_policies,
    routes_proposals,
    routes_restocking,
    routes_setup,
    routes_sign_in,
    routes_stock,
    routes_story,
    routes_tracking,
    routes_watching,
    routes_webhooks,
)
from onhand.api.auth import KeyRing
from onhand.api.context import Edge
from onhand.api.events import EventHub
from onhand.api.gathered import Gatherer
from onhand.api.hot import HOT, HOT_OPENAPI
from onhand.api.problems import (
    MethodNotAllowed,
    ProblemResponse,
    RouteNotFound,
    answer_error,
    answer_invalid,
    answer_of,
    of_database,
    report,
    send_problem,
)
from onhand.app import App
from onhand.catalog.store import skus_by_id
from onhand.errors import InvalidInput, OnhandError
from onhand.flows.sign_in import Client, SignIn

# Key in the scope of a request whose unexpected error is logged and answered.
_REPORTED = "onhand_error_id"

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Hot = Mapping[tuple[str, str], Handler]

ROUTERS = (
    # Before orders: its paths would be taken for ids of orders.
    routes_watching.orders,
    # Before those of orders, which take whatever else follows /v1/plans/ for the id of a plan.
    routes_plans.router,
    routes_orders.router,
    routes_proposals.router,
    routes_playbooks.router,
    routes_autopilot.router,
    routes_fulfilment.router,
    routes_tracking.router,
    routes_payments.router,
    routes_customers.router,
    routes_stock.router,
    routes_setup.router,
    routes_network.router,
    routes_restocking.router,
    routes_channel_health.router,
    routes_connectors.router,
    routes_policies.router,
    routes_demand.router,
    routes_forecasts.router,
    routes_campaigns.router,
    routes_incidents.router,
    routes_costs.router,
    routes_jobs.asking,
    routes_jobs.router,
    routes_events.router,
    routes_story.router,
    routes_channel_orders.router,
    routes_webhooks.router,
    routes_keys.router,
    routes_watching.router,
    routes_sign_in.router,
    routes_sign_in.answers,
    routes_health.router,
)


def create_api(app: App, *, on_close: Callable[[], None] | None = None) -> "Dispatcher":
    """The whole HTTP interface over `app`, as one ASGI application.

    on_close  called when the server has shut down, for example `app.close`
    """
    names = functools.partial(_skus_of, app)
    hub = EventHub(app.db, app.listener, names)
    gatherer = Gatherer(app.db, names, hub.closing)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        _before_exit(hub.close)
        yield
        hub.close()
        for mounted in api.mounted.values():
            await mounted.close()
        if sign_in is not None:
            await sign_in.close()
        await app.finish()
        if on_close is not None:
            on_close()

    ordinary = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    for router in ROUTERS:
        # Not include_router: it wraps each route, and the check of keys reads the route itself.
        ordinary.router.routes.extend(router.routes)
    ordinary.add_exception_handler(OnhandError, answer_error)
    ordinary.add_exception_handler(RequestValidationError, answer_invalid)
    ordinary.add_exception_handler(HTTPException, _Unrouted(ordinary, HOT, console.built()))
    ordinary.add_exception_handler(psycopg.Error, _answer_database_error)
    ordinary.add_exception_handler(Exception, _answer_unexpected)
    _watch(app, hub)
    document = functools.cache(lambda: openapi.build(ordinary, HOT_OPENAPI))
    client = Client.of(app.settings)
    sign_in = None if client is None else SignIn(client, app.connectors, app.db)
    edge = Edge(
        app=app, keys=KeyRing(app.db), events=hub, gathered=gatherer, openapi=document, sign_in=sign_in
    )  # fmt: skip
    api = Dispatcher(edge, HOT, ordinary)
    return api


def _skus_of(app: App, items: Sequence[int]) -> list[str]:
    """Skus by item number: from memory, those that came a moment ago from the database."""
    known = app.catalogue.skus
    skus = [known[item] if item < len(known) else "" for item in items]
    if missing := [item for item, sku in zip(items, skus, strict=True) if not sku]:
        with app.db.connection() as conn:
            found = skus_by_id(conn, missing)
        skus = [sku or found.get(item, "") for item, sku in zip(items, skus, strict=True)]
    return skus


def _watch(app: App, hub: EventHub) -> None:
    routes_health.watch_outbox(app.db)
    routes_health.watch_outlook(app.state)
    routes_health.watch_publication(app.db)
    routes_health.watch_terms()
    for name, text, function in (
        ("onhand_event_streams", "Open streams of /v1/events.", lambda: hub.streams),
        ("onhand_order_queue_depth", "Orders waiting to be placed.", lambda: app.orders.waiting),
        (
            "onhand_reservation_queue_depth",
            "Reservations waiting to be placed.",
            lambda: app.reservations.waiting,
        ),
    ):
        metrics.register_gauge(name, text, function)


def _before_exit(close: Callable[[], None]) -> None:
    """Have `close` called as soon as the server is told to stop: it waits for open answers first, and
    a stream is an answer that never ends.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        previous = signal.getsignal(number)

        def stop(signum: int, frame: FrameType | None, previous: Any = previous) -> None:
            close()
            if callable(previous):
                previous(signum, frame)

        signal.signal(number, stop)


class Mounted(Protocol):
    """What is served at a path beside the interface, over the interface."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...
    async def close(self) -> None: ...


class Dispatcher:
    """Hot routes by exact method and path, everything else to FastAPI; no exception leaves it.

    mounted  by path: what others serve there
    """

    def __init__(self, edge: Edge, hot: Hot, ordinary: ASGIApp) -> None:
        self.edge = edge
        self.mounted: dict[str, Mounted] = {}
        self._ordinary = ordinary
        self._hot = {
            (method, path): (handler, metrics.HOT_REQUEST_SECONDS.labels(method, path))
            for (method, path), handler in hot.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._ordinary(scope, receive, send)
            return
        scope["onhand"] = self.edge
        hot = self._hot.get((scope["method"], scope["path"]))
        began = time.perf_counter()
        try:
            if hot is not None:
                handler, seconds = hot
                await handler(scope, receive, send)
                seconds.observe(time.perf_counter() - began)
            else:
                await self._answer_ordinary(scope, receive, send, began)
        except ConnectionError:
            pass  # nobody is left to answer
        except Exception as error:
            if _REPORTED not in scope:  # FastAPI raises again what its handler has answered
                await send_problem(answer_of(error, scope), scope, receive, send)

    async def _answer_ordinary(self, scope: Scope, receive: Receive, send: Send, began: float) -> None:
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            # Not only NUL: Starlette's patterns overlook a line feed at the end of a path.
            if b"%00" in scope["query_string"] or not scope["path"].isprintable():
                raise InvalidInput.at("", "an address holds printable characters only")
            await self.mounted.get(scope["path"], self._ordinary)(scope, receive, watched)
        except OnhandError as error:
            await send_problem(error, scope, receive, watched)
        finally:
            route = scope.get("route")
            path = scope["path"] if scope["path"] in self.mounted else "unmatched"
            name = route.path if isinstance(route, APIRoute) else path
            if name != "/v1/events":  # its length says nothing
                metrics.REQUEST_SECONDS.labels(_method(scope), name, status).observe(time.perf_counter() - began)


def _method(scope: Scope) -> str:
    method = scope["method"]
    return method if method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD") else "other"


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    answer = report(error, request.scope)
    request.scope[_REPORTED] = answer.error_id
    return ProblemResponse(answer)


async def _answer_database_error(_: Request, error: Exception) -> Response:
    answer = of_database(error)
    if answer is None:
        raise error
    return ProblemResponse(answer)


class _Unrouted:
    """The console, 404 and 405 for paths that FastAPI does not route, with the hot routes in mind."""

    def __init__(self, ordinary: FastAPI, hot: Iterable[tuple[str, str]], shown: console.ConsoleFiles) -> None:
        self._ordinary = ordinary
        self._console = shown
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
            if (answer := self._console.answer(request)) is not None:
                return answer
            return ProblemResponse(RouteNotFound(f"nothing is at {path[:200]!r}"))
        raise error

    def _methods(self, path: str) -> set[str]:
        return {
            method
            for route in self._ordinary.routes
            if isinstance(route, APIRoute) and route.path_regex.match(path)
            for method in route.methods or ()
        }
