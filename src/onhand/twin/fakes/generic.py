"""A shop in the words of `rest_generic` and `webhook_generic`: of no vendor, as small shops write interfaces.

It lists by page, takes numbers in batches with an error for each that is wrong, knows requests that come again by their
key, and sends and takes messages by Standard Webhooks.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults

_PER_PAGE_MAX = 100


def _z(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message}, status)


class Shop:
    """The state of one shop.

    token        of its interface
    secret       signs messages to it
    hook_secret  signs its messages
    """

    def __init__(
        self,
        *,
        token: str = "tok_fake",  # noqa: S107  of a shop that is not there
        secret: str = "whsec_c2VjcmV0IG9mIG5vYm9keQ==",  # noqa: S107
        hook_secret: str = "whsec_YW5vdGhlciBvZiBub2JvZHk=",  # noqa: S107
    ) -> None:
        self.token, self.secret, self.hook_secret = token, secret, hook_secret
        self.items: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, Any] = {}
        self._number = 100

    def app(self) -> Faults:
        """As an ASGI application."""
        routes = [
            Route("/api/orders", self._list_orders),
            Route("/api/orders/{id}", self._order),
            Route("/api/orders/{id}/cancel", self._cancel, methods=["POST"]),
            Route("/api/orders/{id}/cancel-lines", self._cancel_lines, methods=["POST"]),
            Route("/api/orders/{id}/parcels", self._parcel, methods=["POST"]),
            Route("/api/items", self._list_items),
            Route("/api/stock", self._stock, methods=["POST"]),
            Route("/api/prices", self._prices, methods=["POST"]),
            Route("/hook", self._hook, methods=["POST"]),
        ]
        control = [
            Route("/_fake/product", self._add_product, methods=["POST"]),
            Route("/_fake/buy", self._buy, methods=["POST"]),
            Route("/_fake/state", self._state),
        ]
        return Faults(Starlette(routes=routes), routes=control)

    def _next(self, kind: str) -> str:
        self._number += 1
        return f"{kind}{self._number:06d}"

    # What a merchant and his customers do ---------------------------------------------------------------------------

    def add_product(self, sku: str, stock: int, price_minor: int = 1_999) -> str:
        """Something to sell; its id."""
        item = self._next("i")
        self.items[item] = {
            "id": item, "sku": sku, "name": sku, "active": True, "quantity": stock, "price_minor": price_minor,
            "currency": "EUR",
        }  # fmt: skip
        return item

    def buy(self, lines: Mapping[str, int], *, status: str = "open", at: datetime | None = None) -> dict[str, Any]:
        """An order of items, whatever there is of them."""
        order_id, moment = self._next("o"), _z(at or datetime.now(UTC))
        rows: list[dict[str, Any]] = []
        for item, quantity in lines.items():
            self.items[item]["quantity"] -= quantity
            rows.append(
                {
                    "line_id": self._next("l"), "item_id": item, "sku": self.items[item]["sku"],
                    "name": self.items[item]["name"], "quantity": quantity,
                    "price_minor": self.items[item]["price_minor"],
                }
            )  # fmt: skip
        self.orders[order_id] = {
            "id": order_id, "number": self._number, "status": status, "currency": "EUR", "placed_at": moment,
            "updated_at": moment, "service": "standard", "lines": rows, "parcels": [],
            "customer": {"name": "Ada Byron", "email": "ada@example.org", "phone": "+493012345"},
            "destination": {
                "country": "DE", "postal_code": "10115", "city": "Berlin", "street": "Am Ufer 1", "name": "Ada Byron",
            },
        }  # fmt: skip
        return self.orders[order_id]

    def deliver(self, order: Mapping[str, Any], kind: str = "order.updated") -> tuple[dict[str, str], bytes]:
        """A signed message about an order."""
        body = json.dumps({"type": kind, "timestamp": _z(datetime.now(UTC)), "data": order}).encode()
        message, now = f"msg_{secrets.token_hex(12)}", datetime.now(UTC)
        signed = f"{message}.{int(now.timestamp())}.".encode() + body
        key = base64.b64decode(f"{self.hook_secret.removeprefix('whsec_')}==")  # padding may be left out
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        headers = {
            "content-type": "application/json", "webhook-id": message, "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }  # fmt: skip
        return headers, body

    async def _add_product(self, request: Request) -> Response:
        return JSONResponse({"id": self.add_product(**await request.json())})

    async def _buy(self, request: Request) -> Response:
        return JSONResponse(self.buy(**await request.json()))

    async def _state(self, _: Request) -> Response:
        return JSONResponse({"items": self.items, "orders": self.orders})

    # The interface --------------------------------------------------------------------------------------------------

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _error(401, "unauthorised", "Give a token.")
        if "id" in request.path_params and request.path_params["id"] not in self.orders:
            return _error(404, "not_found", "There is no such order.")
        return None

    def _paged(self, request: Request, name: str, rows: list[dict[str, Any]]) -> Response:
        per_page = min(int(request.query_params.get("per_page", "20")), _PER_PAGE_MAX)
        first = (int(request.query_params.get("page", "1")) - 1) * per_page
        return JSONResponse({name: rows[first : first + per_page], "total": len(rows)})

    async def _list_orders(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        after = request.query_params.get("updated_after", "")
        rows = [order for order in self.orders.values() if order["updated_at"] >= after]
        rows.sort(key=lambda order: (order["updated_at"], order["id"]))
        return self._paged(request, "orders", rows)

    async def _list_items(self, request: Request) -> Response:
        return self._refused(request) or self._paged(request, "items", list(self.items.values()))

    async def _order(self, request: Request) -> Response:
        return self._refused(request) or JSONResponse(self.orders[request.path_params["id"]])

    async def _stock(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        levels = (await request.json())["levels"]
        return self._once(request.headers.get("idempotency-key", ""), lambda: self.set(levels))

    async def _prices(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        prices = (await request.json())["prices"]
        return self._once(request.headers.get("idempotency-key", ""), lambda: self.reprice(prices))

    async def _cancel(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        order_id = request.path_params["id"]
        return self._once(request.headers.get("idempotency-key", ""), lambda: self.cancel(order_id))

    async def _cancel_lines(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        order_id, said = request.path_params["id"], await request.json()
        key = request.headers.get("idempotency-key", "")
        return self._once(key, lambda: self.cancel_lines(order_id, said["lines"]))

    async def _parcel(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        order_id, parcel = request.path_params["id"], await request.json()
        return self._once(request.headers.get("idempotency-key", ""), lambda: self.ship(order_id, parcel))

    async def _hook(self, request: Request) -> Response:
        body = await request.body()
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError):
            return _error(401, "signature", "The message is not signed by our secret.")
        message = json.loads(body)
        kind, about = message["type"], message["data"]
        order_id = about.get("order_id") or about.get("id")
        if kind not in ("stock.changed", "price.changed") and order_id not in self.orders:
            return _error(404, "not_found", "There is no such order.")
        take = {
            "stock.changed": lambda: self.set(about["levels"]),
            "price.changed": lambda: self.reprice(about["prices"]),
            "parcel.shipped": lambda: self.ship(order_id, about),
            "order.cancelled": lambda: self.cancel(order_id),
            "order.lines_cancelled": lambda: self.cancel_lines(order_id, about["lines"]),
        }.get(kind)
        return JSONResponse({}) if take is None else self._once(request.headers["webhook-id"], take)

    def _once(self, key: str, take: Any) -> Response:
        """What came before under the same key is answered as it was then."""
        if key not in self._keys:
            self._keys[key] = take()
        return JSONResponse(self._keys[key])

    def set(self, levels: list[dict[str, Any]]) -> dict[str, Any]:
        """Numbers that are shown; of those that are wrong, which and why."""
        errors: list[dict[str, Any]] = []
        for index, level in enumerate(levels):
            item = self.items.get(level["item_id"])
            if item is None:
                errors.append({"index": index, "code": "not_found", "message": "There is no such item."})
            elif level["quantity"] < 0:
                errors.append({"index": index, "code": "negative", "message": "Less than nothing."})
            else:
                item["quantity"] = level["quantity"]
        return {"errors": errors}

    def reprice(self, prices: list[dict[str, Any]]) -> dict[str, Any]:
        """What is asked from now on; of those that are wrong, which and why."""
        errors: list[dict[str, Any]] = []
        for index, price in enumerate(prices):
            item = self.items.get(price["item_id"])
            if item is None:
                errors.append({"index": index, "code": "not_found", "message": "There is no such item."})
            elif price["currency"] != item["currency"] or price["price_minor"] < 0:
                errors.append({"index": index, "code": "price", "message": "Another currency, or less than nothing."})
            else:
                item["price_minor"] = price["price_minor"]
        return {"errors": errors}

    def ship(self, order_id: str, parcel: dict[str, Any]) -> dict[str, Any]:
        """A parcel has left."""
        order = self.orders[order_id]
        order["parcels"].append(parcel)
        sent = sum(int(line["quantity"]) for p in order["parcels"] for line in p["lines"])
        wanted = sum(int(line["quantity"]) for line in order["lines"])
        return self._changed(order, "completed" if sent >= wanted else order["status"])

    def cancel(self, order_id: str) -> dict[str, Any]:
        """The order will not be served."""
        return self._changed(self.orders[order_id], "cancelled")

    def cancel_lines(self, order_id: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        """Of some lines not all units will be served."""
        order, left = self.orders[order_id], {row["line_id"]: row["left"] for row in lines}
        for line in order["lines"]:
            line["quantity"] = min(line["quantity"], left.get(line["line_id"], line["quantity"]))
        return self._changed(order, order["status"])

    def _changed(self, order: dict[str, Any], status: str) -> dict[str, Any]:
        order["status"], order["updated_at"] = status, _z(datetime.now(UTC))
        return {"status": status}
