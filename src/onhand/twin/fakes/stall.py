"""A stall: the least shop that can be published to, for benchmarks and tests of publication.

It takes `POST /stock` with up to 250 numbers, each perhaps with the number that it should replace, keeps what it has
done under a key, and tells what it shows at `GET /stock`; prices the same way at `/prices`. `DOCUMENT` is its
connector.yaml.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults

DOCUMENT: Final = """
connector: stall
title: Stall
settings:
  url: {type: url, description: "of the stall"}
credentials:
  token: {description: "of its owner", required: false}
base_url: "{settings.url}"
limits: {rate_per_s: 10000, burst: 10000, at_once: 4, timeout_s: 10}
operations:
  stock.push:
    batch:
      max: 250
      item: {id: "{external_id}", units: "{quantity}", key: "{key}"}
    request: {method: POST, path: /stock, json: {key: "{key}", items: "{items}"}}
    outcomes: {items: results, id: id, error: error, code: error, codes: {stale: stale, gone: gone}}
    write: {guard: none, idempotent: true}
  stock.pull:
    request: {path: /stock, query: {page: "{page}", per_page: "{size}"}}
    records: items
    paging: {by: page, size: 500}
    map: level
  prices.push:
    batch:
      max: 100
      item: {id: "{external_id}", price: "{price}", key: "{key}"}
    request: {method: POST, path: /prices, json: {key: "{key}", items: "{items}"}}
    outcomes: {items: results, id: id, error: error, code: error, codes: {gone: gone}}
    write: {guard: none, idempotent: true}
  prices.pull:
    request: {path: /prices, query: {page: "{page}", per_page: "{size}"}}
    records: items
    paging: {by: page, size: 500}
    map: price
  prices.currency:
    request: {path: /currency}
    records: currency
maps:
  level: {to: level, external_id: id, quantity: units}
  price: {to: price, external_id: id, amount: price}
"""
COMPARING: Final = (
    DOCUMENT.replace('units: "{quantity}", key', 'units: "{quantity}", was: "{expected}", key')
    .replace("guard: none", "guard: compare_and_set", 1)
    .replace("connector: stall", "connector: comparing_stall")
)


class Stall:
    """What it shows, by id.

    writes    (id, units) in the order they came
    heard_at  the moments when they came, seconds since 1970
    asked     its prices, as text, by id; asks: those that were written, in the order they came
    heard     "stock" or "prices" for each request that wrote
    knows     whether it has such a thing
    """

    def __init__(self, *, knows: Callable[[str], bool] = lambda _: True) -> None:
        self.shown: dict[str, int] = {}
        self.writes: list[tuple[str, int]] = []
        self.heard_at: list[float] = []
        self.keys: list[str] = []
        self.requests = 0
        self.done: dict[str, bytes] = {}
        self.asked: dict[str, str] = {}
        self.asks: list[tuple[str, str]] = []
        self.heard: list[str] = []
        self.currency = "EUR"
        self._knows = knows

    def app(self) -> Faults:
        """As an ASGI application."""
        routes = [
            Route("/stock", self._write, methods=["POST"]),
            Route("/stock", self._read, methods=["GET"]),
            Route("/prices", self._write_prices, methods=["POST"]),
            Route("/prices", self._read_prices, methods=["GET"]),
            Route("/currency", self._tell_currency),
        ]
        about = [
            Route("/_fake/state", self._state),
            Route("/_fake/writes", self._all_writes),
            Route("/_fake/shown", self._shown),
        ]
        return Faults(Starlette(routes=routes), routes=about)

    async def _write(self, request: Request) -> Response:
        body = json.loads(await request.body())
        now = time.time()
        self.requests += 1
        self.heard.append("stock")
        self.keys.append(body["key"])
        if body["key"] in self.done:
            return _json_of(self.done[body["key"]])
        results: list[dict[str, Any]] = []
        for item in body["items"]:
            was = item.get("was")
            if not self._knows(item["id"]):
                results.append({"id": item["id"], "error": "gone"})
            elif was is not None and was != self.shown.get(item["id"], 0):
                results.append({"id": item["id"], "error": "stale"})
            else:
                self.shown[item["id"]] = item["units"]
                self.writes.append((item["id"], item["units"]))
                self.heard_at.append(now)
                results.append({"id": item["id"]})
        answer = json.dumps({"results": results}).encode()
        self.done[body["key"]] = answer
        return _json_of(answer)

    async def _read(self, request: Request) -> Response:
        page, size = int(request.query_params["page"]), int(request.query_params["per_page"])
        ids = sorted(self.shown)[(page - 1) * size : page * size]
        return _json_of(json.dumps({"items": [{"id": i, "units": self.shown[i]} for i in ids]}).encode())

    async def _write_prices(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.heard.append("prices")
        if body["key"] in self.done:
            return _json_of(self.done[body["key"]])
        results: list[dict[str, Any]] = []
        for item in body["items"]:
            if self._knows(item["id"]):
                self.asked[item["id"]] = item["price"]
                self.asks.append((item["id"], item["price"]))
                results.append({"id": item["id"]})
            else:
                results.append({"id": item["id"], "error": "gone"})
        answer = json.dumps({"results": results}).encode()
        self.done[body["key"]] = answer
        return _json_of(answer)

    async def _read_prices(self, request: Request) -> Response:
        page, size = int(request.query_params["page"]), int(request.query_params["per_page"])
        ids = sorted(self.asked)[(page - 1) * size : page * size]
        return _json_of(json.dumps({"items": [{"id": i, "price": self.asked[i]} for i in ids]}).encode())

    async def _tell_currency(self, _: Request) -> Response:
        return _json_of(json.dumps({"currency": self.currency}).encode())

    async def _state(self, _: Request) -> Response:
        state = {"shown": len(self.shown), "writes": len(self.writes), "requests": self.requests}
        return _json_of(json.dumps(state).encode())

    async def _shown(self, _: Request) -> Response:
        return _json_of(json.dumps(self.shown).encode())

    async def _all_writes(self, _: Request) -> Response:
        told = [(*write, at) for write, at in zip(self.writes, self.heard_at, strict=True)]
        return _json_of(json.dumps(told).encode())


def _json_of(body: bytes) -> Response:
    return Response(body, media_type="application/json")
