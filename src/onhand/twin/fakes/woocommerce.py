"""A shop that speaks WooCommerce's REST interface, v3, as version 11.0.1 was seen to behave.

What it keeps of the real one: OAuth 1.0a over http, paging headers, errors by item in a batch, an order that takes more
than there is, stock that comes back when an order is cancelled, and messages that come twice and late.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults

_PER_PAGE_MAX = 100


def _gmt(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message, "data": {"status": status}}, status)


class Shop:
    """The state of one shop. key, secret: of its REST API; hook_secret: signs its messages."""

    def __init__(self, *, key: str = "ck_fake", secret: str = "cs_fake", hook_secret: str = "hook") -> None:  # noqa: S107
        self.key, self.secret, self.hook_secret = key, secret, hook_secret
        self.products: dict[int, dict[str, Any]] = {}
        self.orders: dict[int, dict[str, Any]] = {}
        self.currency = "USD"
        self._id = 9
        self._nonces: set[str] = set()

    def app(self) -> Faults:
        """As an ASGI application."""
        api = "/wp-json/wc/v3"
        routes = [
            Route(f"{api}/products", self._list_products),
            Route(f"{api}/products/batch", self._batch, methods=["POST"]),
            Route(f"{api}/products/{{id:int}}", self._product, methods=["GET", "PUT"]),
            Route(f"{api}/products/{{parent:int}}/variations/{{id:int}}", self._product, methods=["GET", "PUT"]),
            Route(f"{api}/data/currencies/current", self._currency),
            Route(f"{api}/orders", self._list_orders),
            Route(f"{api}/orders", self._create_order, methods=["POST"]),
            Route(f"{api}/orders/{{id:int}}", self._order, methods=["GET", "PUT"]),
        ]
        control = [
            Route("/_fake/product", self._add_product, methods=["POST"]),
            Route("/_fake/buy", self._buy, methods=["POST"]),
            Route("/_fake/state", self._state),
        ]
        return Faults(Starlette(routes=routes), routes=control)

    # What a merchant and his customers do ---------------------------------------------------------------------------

    def add_product(self, sku: str, stock: int, price: str = "19.99", parent: int = 0) -> int:
        """A product, or a variation of `parent`."""
        self._id += 1
        self.products[self._id] = {
            "id": self._id, "name": sku, "sku": sku, "price": price, "regular_price": price, "status": "publish",
            "type": "variation" if parent else "simple", "manage_stock": True, "stock_quantity": stock,
            "backorders": "no", "parent_id": parent,
        }  # fmt: skip
        return self._id

    def buy(
        self, lines: Mapping[int, int], *, status: str = "processing", at: datetime | None = None, country: str = "US"
    ) -> dict[str, Any]:
        """An order of products by id, whatever there is of them."""
        self._id += 1
        moment = at or datetime.now(UTC)
        shipping = {
            "first_name": "Ada", "last_name": "Byron", "company": "", "address_1": "1 Main", "address_2": "",
            "city": "New York", "state": "NY", "postcode": "10001", "country": country, "phone": "",
        }  # fmt: skip
        items: list[dict[str, Any]] = []
        for n, (product_id, quantity) in enumerate(lines.items(), 1):
            product = self.products.get(product_id, {"id": 0, "name": "", "sku": None, "price": "0"})
            items.append(
                {
                    "id": self._id * 100 + n, "name": product["name"], "product_id": product["id"],
                    "variation_id": 0, "quantity": quantity, "sku": product["sku"], "price": float(product["price"]),
                    "total": f"{float(product['price']) * quantity:.2f}", "total_tax": "0.00",
                }
            )  # fmt: skip
        order = {
            "id": self._id, "number": str(self._id), "status": status, "currency": "USD",
            "date_created_gmt": _gmt(moment), "date_modified_gmt": _gmt(moment),
            "billing": shipping | {"email": "ada@example.org"}, "shipping": shipping, "line_items": items,
            "meta_data": [],
        }  # fmt: skip
        self.orders[self._id] = order
        if status in ("processing", "completed"):
            self._move(order, -1)
        return order

    def deliver(self, order: Mapping[str, Any], topic: str = "order.updated") -> tuple[dict[str, str], bytes]:
        """A signed message about an order."""
        body = json.dumps(order).encode()
        digest = hmac.new(self.hook_secret.encode(), body, hashlib.sha256).digest()
        resource, _, event = topic.partition(".")
        headers = {
            "content-type": "application/json", "x-wc-webhook-topic": topic, "x-wc-webhook-resource": resource,
            "x-wc-webhook-event": event, "x-wc-webhook-signature": base64.b64encode(digest).decode(),
            "x-wc-webhook-id": "1", "x-wc-webhook-delivery-id": secrets.token_hex(16),
        }  # fmt: skip
        return headers, body

    def _move(self, order: Mapping[str, Any], sign: int) -> None:
        for line in order["line_items"]:
            if line["product_id"] in self.products:
                self.products[line["product_id"]]["stock_quantity"] += sign * line["quantity"]

    async def _add_product(self, request: Request) -> Response:
        return JSONResponse({"id": self.add_product(**await request.json())})

    async def _buy(self, request: Request) -> Response:
        body = await request.json()
        return JSONResponse(
            self.buy({int(k): n for k, n in body["lines"].items()}, status=body.get("status", "processing"))
        )

    async def _state(self, _: Request) -> Response:
        return JSONResponse({"products": self.products, "orders": self.orders})

    # The interface --------------------------------------------------------------------------------------------------

    def _refused(self, request: Request) -> Response | None:
        """OAuth 1.0a by RFC 5849, section 3.4; independent of how anybody signs."""
        given = [(k, v) for k, v in request.query_params.multi_items()]
        signature = request.query_params.get("oauth_signature")
        if signature is None or request.query_params.get("oauth_consumer_key") != self.key:
            return _error(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        rest = sorted((_escape(k), _escape(v)) for k, v in given if k != "oauth_signature")
        url = f"{request.url.scheme}://{request.headers['host']}{request.url.path}"
        text = "&".join((request.method, _escape(url), _escape("&".join(f"{k}={v}" for k, v in rest))))
        for secret in (f"{self.secret}&", self.secret):  # both are accepted by the real one
            digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
            if hmac.compare_digest(base64.b64encode(digest).decode(), signature):
                nonce = request.query_params.get("oauth_nonce", "")
                if nonce in self._nonces:
                    return _error(401, "woocommerce_rest_authentication_error", "Invalid nonce.")
                self._nonces.add(nonce)
                return None
        return _error(401, "woocommerce_rest_authentication_error", "Invalid signature.")

    def _paged(self, request: Request, rows: list[dict[str, Any]]) -> Response:
        per_page = int(request.query_params.get("per_page", "10"))
        if not 1 <= per_page <= _PER_PAGE_MAX:
            return _error(400, "rest_invalid_param", "Invalid parameter(s): per_page")
        page = int(request.query_params.get("page", "1"))
        pages = -(-len(rows) // per_page)
        headers = {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(pages)}
        return JSONResponse(rows[(page - 1) * per_page : page * per_page], headers=headers)

    async def _list_products(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        return self._paged(request, [p for p in self.products.values() if not p["parent_id"]])

    async def _currency(self, request: Request) -> Response:
        told = {"code": self.currency, "name": self.currency, "symbol": self.currency}
        return self._refused(request) or JSONResponse(told)

    async def _list_orders(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        after = request.query_params.get("modified_after", "")
        rows = [o for o in self.orders.values() if o["date_modified_gmt"] > after]
        rows.sort(key=lambda o: (o["date_modified_gmt"], o["id"]))
        return self._paged(request, rows)

    async def _product(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        body: dict[str, Any] = await request.json() if request.method == "PUT" else {}
        return self._set(request.path_params["id"], body)

    def _set(self, product_id: int, body: Mapping[str, Any]) -> Response:
        product = self.products.get(product_id)
        if product is None:
            return _error(400, "woocommerce_rest_product_invalid_id", "Invalid ID.")
        known = ("stock_quantity", "manage_stock", "name", "status", "regular_price")
        product.update({k: v for k, v in body.items() if k in known})
        if "regular_price" in body:
            product["price"] = product.get("sale_price") or product["regular_price"]
        return JSONResponse(product)

    async def _batch(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        rows = (await request.json()).get("update", [])
        if len(rows) > _PER_PAGE_MAX:
            return _error(413, "woocommerce_rest_request_entity_too_large", "Unable to accept more than 100 items.")
        done: list[dict[str, Any]] = []
        for row in rows:
            if row.get("id") not in self.products:
                error = {
                    "code": "woocommerce_rest_product_invalid_id",
                    "message": "Invalid ID.",
                    "data": {"status": 400},
                }
                done.append({"id": row.get("id"), "error": error})
            else:
                self._set(row["id"], row)
                done.append(self.products[row["id"]])
        return JSONResponse({"update": done})

    async def _create_order(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        body = await request.json()
        lines = {int(line["product_id"]): int(line["quantity"]) for line in body.get("line_items", [])}
        order = self.buy(lines, status="processing" if body.get("set_paid") else "pending")
        return JSONResponse(order, 201)

    async def _order(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        order = self.orders.get(request.path_params["id"])
        if order is None:
            return _error(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        if request.method == "PUT":
            body = await request.json()
            held = ("processing", "completed")
            if order["status"] in held and body.get("status") == "cancelled":
                self._move(order, 1)
            order.update({k: v for k, v in body.items() if k in ("status", "meta_data")})
            # A clock that was set ahead is not set back by this.
            order["date_modified_gmt"] = max(_gmt(datetime.now(UTC)), order["date_modified_gmt"])
        return JSONResponse(order)


def _escape(text: str) -> str:
    return quote(text, safe="-._~")
