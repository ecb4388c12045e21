"""A shop that speaks Shopify's Admin GraphQL, as its recordings and its schema (2026-07) say.

Stock is set with a number to compare and a key that makes a repeat harmless; one wrong row and nothing of a call is
written. Costs are told with each answer, and beyond the budget it is THROTTLED. A query is known by its root field and
answered in full, whatever it selects: that a document fits the schema is for the schema to say.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults

_ROOT = re.compile(r"\{\s*([A-Za-z]+)")
_BUDGET, _RESTORE_PER_S, _COST = 2_000.0, 100.0, 10
_QUANTITY_MAX = 1_000_000_000
_PRICE = re.compile(r"\d+(\.\d\d?)?")


def _gid(kind: str, number: int) -> str:
    return f"gid://shopify/{kind}/{number}"


def _number(gid: str) -> int:
    return int(gid.rpartition("/")[2])


def _product_of(item: Mapping[str, Any]) -> str:
    return str(item["variant"]).replace("ProductVariant", "Product")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Shop:
    """The state of one shop with one location. token: of its app; hook_secret: signs its messages."""

    def __init__(
        self,
        *,
        token: str = "shpat_fake",  # noqa: S107  of a shop that is not there
        hook_secret: str = "hook",  # noqa: S107
        restore_per_s: float = _RESTORE_PER_S,
    ) -> None:
        self.token, self.hook_secret = token, hook_secret
        self.place, self.currency = _gid("Location", 1), "USD"
        self.items: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, tuple[str, dict[str, Any]]] = {}
        self._number = 1_000
        self._restore_per_s = restore_per_s
        self._points, self._at = _BUDGET, time.monotonic()

    def app(self) -> Faults:
        """As an ASGI application."""
        routes = [Route("/admin/api/{version}/graphql.json", self._graphql, methods=["POST"])]
        control = [
            Route("/_fake/product", self._add_product, methods=["POST"]),
            Route("/_fake/buy", self._buy, methods=["POST"]),
            Route("/_fake/state", self._state),
        ]
        return Faults(Starlette(routes=routes), routes=control)

    # What a merchant and his customers do ---------------------------------------------------------------------------

    def add_product(self, sku: str, stock: int, price: str = "19.99") -> str:
        """A variant whose stock is counted; the id of its inventory item."""
        self._number += 1
        item = _gid("InventoryItem", self._number)
        self.items[item] = {
            "sku": sku, "available": stock, "price": price, "variant": _gid("ProductVariant", self._number),
        }  # fmt: skip
        return item

    def buy(self, lines: Mapping[str, int], *, paid: bool = True, at: str | None = None) -> dict[str, Any]:
        """An order of inventory items, whatever there is of them."""
        self._number += 1
        order_id, moment = _gid("Order", self._number), at or _now()
        nodes: list[dict[str, Any]] = []
        for n, (item, quantity) in enumerate(lines.items(), 1):
            known = self.items[item]
            known["available"] -= quantity
            nodes.append(
                {
                    "id": _gid("LineItem", self._number * 100 + n), "sku": known["sku"], "title": known["sku"],
                    "currentQuantity": quantity, "variant": {"inventoryItem": {"id": item}},
                    "discountedUnitPriceSet": {"shopMoney": {"amount": known["price"], "currencyCode": "USD"}},
                }
            )  # fmt: skip
        address = {
            "name": "Ada Byron", "company": None, "address1": "1 Main", "city": "New York", "provinceCode": "NY",
            "zip": "10001", "countryCodeV2": "US", "phone": None,
        }  # fmt: skip
        self.orders[order_id] = {
            "id": order_id, "name": f"#{self._number}", "createdAt": moment, "updatedAt": moment, "cancelledAt": None,
            "displayFinancialStatus": "PAID" if paid else "PENDING", "displayFulfillmentStatus": "UNFULFILLED",
            "currencyCode": "USD", "email": "ada@example.org", "phone": None, "shippingAddress": address,
            "shippingLine": {"code": "Standard"}, "lineItems": {"nodes": nodes}, "fulfillments": [],
            "fulfillmentOrders": [self._fulfilment_order(node) for node in nodes],
        }  # fmt: skip
        return self.orders[order_id]

    def _fulfilment_order(self, node: Mapping[str, Any]) -> dict[str, Any]:
        self._number += 1
        line = {
            "id": _gid("FulfillmentOrderLineItem", self._number), "remainingQuantity": node["currentQuantity"],
            "lineItem": {"id": node["id"]},
        }  # fmt: skip
        return {"id": _gid("FulfillmentOrder", self._number), "status": "OPEN", "lineItems": {"nodes": [line]}}

    def deliver(self, order: Mapping[str, Any], topic: str = "orders/updated") -> tuple[dict[str, str], bytes]:
        """A signed message about an order: the REST resource, of which only the names matter here."""
        body = json.dumps({"admin_graphql_api_id": order["id"], "name": order["name"]}).encode()
        digest = hmac.new(self.hook_secret.encode(), body, hashlib.sha256).digest()
        headers = {
            "content-type": "application/json", "x-shopify-topic": topic,
            "x-shopify-hmac-sha256": base64.b64encode(digest).decode(), "x-shopify-shop-domain": "fake.myshopify.com",
            "x-shopify-api-version": "2026-07", "x-shopify-webhook-id": secrets.token_hex(16),
        }  # fmt: skip
        return headers, body

    async def _add_product(self, request: Request) -> Response:
        return JSONResponse({"id": self.add_product(**await request.json())})

    async def _buy(self, request: Request) -> Response:
        return JSONResponse(self.buy((await request.json())["lines"]))

    async def _state(self, _: Request) -> Response:
        return JSONResponse({"items": self.items, "orders": self.orders})

    # The interface --------------------------------------------------------------------------------------------------

    async def _graphql(self, request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("x-shopify-access-token", ""), self.token):
            return JSONResponse({"errors": "[API] Invalid API key or access token"}, 401)
        now = time.monotonic()
        self._points = min(_BUDGET, self._points + (now - self._at) * self._restore_per_s)
        self._at = now
        told: dict[str, Any] = {
            "requestedQueryCost": _COST,
            "throttleStatus": {
                "maximumAvailable": _BUDGET, "currentlyAvailable": int(self._points - _COST),
                "restoreRate": self._restore_per_s,
            },
        }  # fmt: skip
        if self._points < _COST:
            error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return JSONResponse({"errors": [error], "extensions": {"cost": told}})
        self._points -= _COST
        asked = await request.json()
        found = _ROOT.search(asked["query"])
        root = "" if found is None else found[1]
        answers: dict[str, Callable[[dict[str, Any], str], Any]] = {
            "orders": self._orders, "order": self._order, "orderCancel": self._cancel,
            "refundCreate": self._refund, "location": self._location,
            "inventorySetQuantities": self._set, "productVariants": self._variants, "fulfillmentCreate": self._fulfil,
            "inventoryItem": self._item, "productVariantsBulkUpdate": self._set_prices, "shop": self._shop,
        }  # fmt: skip
        if root not in answers:
            return JSONResponse({"errors": [{"message": f"Field '{root}' doesn't exist on type 'QueryRoot'"}]})
        try:
            result = answers[root](asked.get("variables") or {}, asked["query"])
        except LookupError as error:
            return JSONResponse({"errors": [{"message": str(error.args[0])}], "extensions": {"cost": told}})
        return JSONResponse({"data": {root: result}, "extensions": {"cost": told}})

    def _page(self, rows: list[Any], variables: Mapping[str, Any], key: Callable[[Any], Any]) -> dict[str, Any]:
        """A cursor says after which record it goes on, not after how many: what moves meanwhile shifts nothing."""
        rows = sorted(rows, key=key)
        if variables.get("after"):
            after = json.loads(base64.b64decode(variables["after"]))
            rows = [row for row in rows if list(key(row)) > after]
        page = rows[: int(variables["first"])]
        end = base64.b64encode(json.dumps(key(page[-1])).encode()).decode() if page else None
        return {"nodes": page, "pageInfo": {"hasNextPage": len(page) < len(rows), "endCursor": end}}

    def _orders(self, variables: dict[str, Any], _: str) -> Any:
        since = variables["query"].partition("'")[2].rstrip("'")
        rows = [o for o in self.orders.values() if o["updatedAt"].replace("Z", ".000Z") >= since]
        return self._page(rows, variables, lambda o: (o["updatedAt"], _number(o["id"])))

    def _order(self, variables: dict[str, Any], _: str) -> Any:
        order = self.orders.get(variables["id"])
        if order is None:
            return None
        return order | {"fulfillmentOrders": {"nodes": order["fulfillmentOrders"]}}

    def _variants(self, variables: dict[str, Any], _: str) -> Any:
        rows = [
            {"id": i["variant"], "sku": i["sku"], "displayName": i["sku"], "inventoryItem": {"id": item},
             "product": {"status": "ACTIVE"}, "price": i["price"]}
            for item, i in self.items.items()
        ]  # fmt: skip
        return self._page(rows, variables, lambda v: (_number(v["id"]),))

    def _shop(self, _: dict[str, Any], __: str) -> Any:
        return {"currencyCode": self.currency}

    def _item(self, variables: dict[str, Any], _: str) -> Any:
        item = self.items.get(variables["id"])
        if item is None:
            return None
        return {"variants": {"nodes": [{"id": item["variant"], "product": {"id": _product_of(item)}}]}}

    def _set_prices(self, variables: dict[str, Any], _: str) -> Any:
        """All of one product, or none."""
        by_variant = {i["variant"]: (name, i) for name, i in self.items.items()}
        errors: list[dict[str, Any]] = []
        for n, row in enumerate(variables["variants"]):
            name, item = by_variant.get(row["id"], (None, None))
            message = ""
            if item is None or _product_of(item) != variables["product"]:
                message = "Product variant does not exist"
            elif not _PRICE.fullmatch(str(row["price"])):
                message = "Price must be greater than or equal to 0"
            if message:
                errors.append({"field": ["variants", str(n)], "message": message, "code": "INVALID_INPUT"})
        if errors:
            return {"productVariants": None, "userErrors": errors}
        told: list[dict[str, Any]] = []
        for row in variables["variants"]:
            name, item = by_variant[row["id"]]
            item["price"] = f"{Decimal(row['price']):.2f}"
            told.append({"id": row["id"], "price": item["price"], "inventoryItem": {"id": name}})
        return {"productVariants": told, "userErrors": []}

    def _location(self, variables: dict[str, Any], _: str) -> Any:
        if variables["place"] != self.place:
            return None
        rows = [
            {"item": {"id": item, "sku": i["sku"]}, "location": {"id": self.place},
             "quantities": [{"name": "available", "quantity": i["available"]}]}
            for item, i in self.items.items()
        ]  # fmt: skip
        return {"inventoryLevels": self._page(rows, variables, lambda v: (_number(v["item"]["id"]),))}

    def _set(self, variables: dict[str, Any], query: str) -> Any:
        if "@idempotent" not in query:
            raise LookupError("The @idempotent directive is required for this mutation but was not provided.")
        rows, key = variables["input"]["quantities"], variables["key"]
        if any("changeFromQuantity" not in row for row in rows):
            raise LookupError("InventoryQuantityInput must include the following argument: changeFromQuantity.")
        body = json.dumps(variables["input"], sort_keys=True)
        if key in self._keys:
            before, answer = self._keys[key]
            if before != body:
                return _failed([(None, "IDEMPOTENCY_KEY_PARAMETER_MISMATCH", "The same key, another input.")])
            return answer
        errors = [error for n, row in enumerate(rows) if (error := self._wrong(n, row)) is not None]
        if not errors:
            for row in rows:
                self.items[row["inventoryItemId"]]["available"] = row["quantity"]
        answer = _failed(errors)
        self._keys[key] = (body, answer)
        return answer

    def _wrong(self, n: int, row: Mapping[str, Any]) -> tuple[int, str, str] | None:
        item = self.items.get(row["inventoryItemId"])
        if item is None:
            return n, "INVALID_INVENTORY_ITEM", "The specified inventory item could not be found."
        if row["locationId"] != self.place:
            return n, "INVALID_LOCATION", "The specified location could not be found."
        if row["quantity"] < 0:
            return n, "INVALID_QUANTITY_NEGATIVE", "The quantity can't be negative."
        if row["quantity"] > _QUANTITY_MAX:
            return n, "INVALID_QUANTITY_TOO_HIGH", "The quantity can't be higher than 1,000,000,000."
        if row["changeFromQuantity"] is not None and row["changeFromQuantity"] != item["available"]:
            return n, "CHANGE_FROM_QUANTITY_STALE", "The changeFromQuantity argument no longer matches."
        return None

    def _fulfil(self, variables: dict[str, Any], _: str) -> Any:
        given = variables["fulfillment"]
        open_ = {fo["id"]: (order, fo) for order in self.orders.values() for fo in order["fulfillmentOrders"]}
        taken: list[tuple[dict[str, Any], int]] = []
        order: dict[str, Any] | None = None
        for part in given["lineItemsByFulfillmentOrder"]:
            if part["fulfillmentOrderId"] not in open_:
                return _refused("Fulfillment order does not exist.")
            order, fo = open_[part["fulfillmentOrderId"]]
            lines = {line["id"]: line for line in fo["lineItems"]["nodes"]}
            for row in part["fulfillmentOrderLineItems"]:
                line = lines.get(row["id"])
                if line is None or line["remainingQuantity"] < row["quantity"]:
                    return _refused("Invalid fulfillment order line item quantity requested.")
                taken.append((line, row["quantity"]))
        assert order is not None, "a fulfilment has parts"
        for line, quantity in taken:
            line["remainingQuantity"] -= quantity
        self._number += 1
        tracking: dict[str, Any] = given.get("trackingInfo") or {}
        made: dict[str, Any] = {
            "id": _gid("Fulfillment", self._number),
            "status": "SUCCESS",
            "trackingInfo": [tracking],
        }
        cast("list[Any]", order["fulfillments"]).append(made)
        left = sum(line["remainingQuantity"] for fo in order["fulfillmentOrders"] for line in fo["lineItems"]["nodes"])
        for fo in order["fulfillmentOrders"]:
            if not any(line["remainingQuantity"] for line in fo["lineItems"]["nodes"]):
                fo["status"] = "CLOSED"
        order["displayFulfillmentStatus"] = "PARTIALLY_FULFILLED" if left else "FULFILLED"
        order["updatedAt"] = _now()
        return {"fulfillment": made, "userErrors": []}

    def _refund(self, variables: dict[str, Any], query: str) -> Any:
        """Units that are not sent any more; of how much money is given back it knows nothing."""
        if "@idempotent" not in query:
            raise LookupError("The @idempotent directive is required for this mutation but was not provided.")
        given, key = variables["input"], variables["key"]
        if key in self._keys:
            return self._keys[key][1]
        order = self.orders.get(given["orderId"])
        if order is None:
            return {"refund": None, "userErrors": [{"field": ["orderId"], "message": "Order does not exist"}]}
        nodes = {node["id"]: node for node in order["lineItems"]["nodes"]}
        for row in given["refundLineItems"]:
            if row["quantity"] > nodes.get(row["lineItemId"], {"currentQuantity": 0})["currentQuantity"]:
                message = "Quantity cannot refund more items than were purchased"
                return {"refund": None, "userErrors": [{"field": ["refundLineItems"], "message": message}]}
        for row in given["refundLineItems"]:
            nodes[row["lineItemId"]]["currentQuantity"] -= row["quantity"]
            for fo in order["fulfillmentOrders"]:
                for line in fo["lineItems"]["nodes"]:
                    if line["lineItem"]["id"] == row["lineItemId"]:
                        line["remainingQuantity"] = max(0, line["remainingQuantity"] - row["quantity"])
        order["updatedAt"] = _now()
        self._number += 1
        answer: dict[str, Any] = {"refund": {"id": _gid("Refund", self._number)}, "userErrors": []}
        self._keys[key] = ("", answer)
        return answer

    def _cancel(self, variables: dict[str, Any], _: str) -> Any:
        order = self.orders.get(variables["id"])
        if order is None or order["cancelledAt"]:
            error = {"field": ["orderId"], "message": "Order does not exist", "code": "NOT_FOUND"}
            return {"job": None, "orderCancelUserErrors": [error]}
        order["cancelledAt"] = order["updatedAt"] = _now()
        return {"job": {"id": _gid("Job", 1)}, "orderCancelUserErrors": []}


def _failed(errors: list[Any]) -> dict[str, Any]:
    told = [
        {"field": ["input"] if n is None else ["input", "quantities", str(n)], "code": code, "message": message}
        for n, code, message in errors
    ]
    return {
        "inventoryAdjustmentGroup": None if told else {"id": _gid("InventoryAdjustmentGroup", 1)},
        "userErrors": told,
    }


def _refused(message: str) -> dict[str, Any]:
    return {"fulfillment": None, "userErrors": [{"field": ["fulfillment"], "message": message}]}
