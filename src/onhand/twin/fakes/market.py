"""Harbour Market, a marketplace that exists nowhere: what examples/add_a_channel.md describes in a few lines.

It is unlike our words on purpose: references and codes, prices as text, moments in milliseconds, pages that name the
next one, results by reference, messages signed with a time. `python -m onhand.twin.fakes.market` runs it.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults

_LIMIT_MAX = 100
PORT = 3990


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _error(status: int, why: str) -> Response:
    return JSONResponse({"why": why}, status)


class Market:
    """The state of one seller's account. key: of its interface; hook_secret: signs its messages."""

    def __init__(self, *, key: str = "harbour-key", hook_secret: str = "hook") -> None:  # noqa: S107  of nobody
        self.key, self.hook_secret = key, hook_secret
        self.offers: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self._done: dict[str, Any] = {}
        self._number = 100

    def app(self) -> Faults:
        """As an ASGI application."""
        routes = [
            Route("/seller/offers", self._list_offers),
            Route("/seller/offers/units", self._set_units, methods=["PUT"]),
            Route("/seller/sales", self._list_sales),
            Route("/seller/sales/{ref}", self._sale),
            Route("/seller/sales/{ref}/parcels", self._parcel, methods=["POST"]),
            Route("/seller/sales/{ref}/void", self._void, methods=["POST"]),
        ]
        control = [
            Route("/_fake/offer", self._offer, methods=["POST"]),
            Route("/_fake/buy", self._buy, methods=["POST"]),
            Route("/_fake/state", self._state),
        ]
        return Faults(Starlette(routes=routes), routes=control)

    def _next(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self._number:06d}"

    # What a seller and his customers do -----------------------------------------------------------------------------

    def offer(self, code: str, units: int = 0, price: str = "12.50") -> str:
        """Something to sell; its reference."""
        ref = self._next("H")
        self.offers[ref] = {
            "ref": ref,
            "code": code,
            "title": code.title(),
            "units": units,
            "live": True,
            "price": price,
        }
        return ref

    def buy(self, lines: Mapping[str, int], *, at: datetime | None = None) -> dict[str, Any]:
        """A paid sale of offers by reference, whatever there is of them."""
        ref, moment = self._next("S"), _ms(at or datetime.now(UTC))
        rows: list[dict[str, Any]] = []
        for offer, count in lines.items():
            self.offers[offer]["units"] -= count
            rows.append({"no": len(rows) + 1, "offer": offer, "count": count, "each": self.offers[offer]["price"]})
        self.orders[ref] = {
            "ref": ref, "state": "paid", "made": moment, "touched": moment, "money": "EUR", "rows": rows, "parcels": [],
            "buyer": {"mail": "ada@example.org", "called": "Ada Byron"},
            "to": {"land": "de", "zip": "10115", "town": "Berlin", "road": "Am Ufer 1"},
        }  # fmt: skip
        return self.orders[ref]

    def deliver(self, order: Mapping[str, Any], event: str = "sale.touched") -> tuple[dict[str, str], bytes]:
        """A signed message about a sale."""
        body = json.dumps({"event": event, "id": secrets.token_hex(8), "sale": order}).encode()
        said = str(int(datetime.now(UTC).timestamp()))
        digest = hmac.new(self.hook_secret.encode(), f"{said}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-harbour-time": said, "x-harbour-signature": f"v1={digest}"}
        return headers, body

    async def _offer(self, request: Request) -> Response:
        return JSONResponse({"ref": self.offer(**await request.json())})

    async def _buy(self, request: Request) -> Response:
        return JSONResponse(self.buy(**await request.json()))

    async def _state(self, _: Request) -> Response:
        return JSONResponse({"offers": self.offers, "orders": self.orders})

    # The interface --------------------------------------------------------------------------------------------------

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("x-harbour-key") != self.key:
            return _error(401, "no_key")
        if request.path_params.get("ref", "") not in ("", *self.orders):
            return _error(404, "no_such_sale")
        return None

    def _paged(self, request: Request, rows: Mapping[str, dict[str, Any]]) -> Response:
        """A page of rows by what they are sorted by, and what the next one begins after."""
        limit = min(int(request.query_params.get("limit", "20")), _LIMIT_MAX)
        left = sorted(key for key in rows if key > request.query_params.get("after", ""))
        following = left[limit - 1] if len(left) > limit else None
        return JSONResponse({"rows": [rows[key] for key in left[:limit]], "next": following})

    async def _list_offers(self, request: Request) -> Response:
        return self._refused(request) or self._paged(request, self.offers)

    async def _list_sales(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        since = int(request.query_params.get("since", "0"))
        rows = {f"{o['touched']:015d} {o['ref']}": o for o in self.orders.values() if o["touched"] >= since}
        return self._paged(request, rows)

    async def _sale(self, request: Request) -> Response:
        return self._refused(request) or JSONResponse(self.orders[request.path_params["ref"]])

    async def _set_units(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = await request.json()
        return self._once(asked["request"], lambda: {"results": [self._set(c) for c in asked["changes"]]})

    def _set(self, change: Mapping[str, Any]) -> dict[str, Any]:
        offer = self.offers.get(change["ref"])
        if offer is None:
            return {"ref": change["ref"], "why": "no_such_offer"}
        offer["units"] = change["units"]
        return {"ref": change["ref"], "units": offer["units"]}

    async def _parcel(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        order, asked = self.orders[request.path_params["ref"]], await request.json()

        def take() -> dict[str, Any]:
            order["parcels"].append(asked)
            sent = sum(int(row["count"]) for parcel in order["parcels"] for row in parcel["rows"])
            return self._touched(order, "sent" if sent >= sum(int(r["count"]) for r in order["rows"]) else "paid")

        return self._once(asked["request"], take)

    async def _void(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        order, asked = self.orders[request.path_params["ref"]], await request.json()
        return self._once(asked["request"], lambda: self._touched(order, "void"))

    def _touched(self, order: dict[str, Any], state: str) -> dict[str, Any]:
        order["state"], order["touched"] = state, _ms(datetime.now(UTC))
        return {"state": state}

    def _once(self, name: str, take: Any) -> Response:
        """A request that comes again is answered as before."""
        if name not in self._done:
            self._done[name] = take()
        return JSONResponse(self._done[name])


if __name__ == "__main__":
    market = Market()
    market.offer("MUG-BLUE")
    uvicorn.run(market.app(), port=PORT, log_level="warning")
