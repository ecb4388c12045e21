"""A shop that speaks Medusa's admin API, as version 2.21.2 was seen to answer.

Small: what our connector asks, with the answers and words of the real one. Stock is counted stocked and reserved by
location; an order reserves whatever there is, as variants that allow backorders do; one level that is not there and
nothing of a batch is written; making a fulfilment takes its units off, once for each time it is asked for.
"""

import base64
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults

_LIMIT = 15


def _z(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(status: int, kind: str, message: str) -> Response:
    return JSONResponse({"type": kind, "message": message}, status)


class Shop:
    """The state of one shop with one stock location. key: its secret API key."""

    def __init__(self, *, key: str = "sk_fake") -> None:
        self.key = key
        self.place = "sloc_1"
        self.items: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self._number = 1_000

    def app(self) -> Faults:
        """As an ASGI application."""
        api = "/admin"
        routes = [
            Route(f"{api}/inventory-items", self._guarded(self._list_items)),
            Route(f"{api}/inventory-items/location-levels/batch", self._guarded(self._set), methods=["POST"]),
            Route(f"{api}/orders", self._guarded(self._list_orders)),
            Route(f"{api}/orders/{{id}}", self._guarded(self._order)),
            Route(f"{api}/orders/{{id}}/cancel", self._guarded(self._cancel), methods=["POST"]),
            Route(f"{api}/orders/{{id}}/fulfillments", self._guarded(self._fulfil), methods=["POST"]),
            Route(f"{api}/orders/{{id}}/fulfillments/{{of}}/shipments", self._guarded(self._ship), methods=["POST"]),
        ]
        control = [
            Route("/_fake/product", self._add_product, methods=["POST"]),
            Route("/_fake/buy", self._buy, methods=["POST"]),
            Route("/_fake/state", self._state),
        ]
        return Faults(Starlette(routes=routes), routes=control)

    def _next(self, kind: str) -> str:
        self._number += 1
        return f"{kind}_{self._number:08d}"

    # What a merchant and his customers do ---------------------------------------------------------------------------

    def add_product(self, sku: str, stock: int, price: float = 19.99) -> str:
        """A variant whose stock is counted; the id of its inventory item."""
        item = self._next("iitem")
        level = {
            "id": self._next("ilev"), "inventory_item_id": item, "location_id": self.place, "stocked_quantity": stock,
            "reserved_quantity": 0,
        }  # fmt: skip
        self.items[item] = {"id": item, "sku": sku, "title": sku, "price": price, "location_levels": [level]}
        return item

    def level(self, item: str) -> dict[str, Any]:
        """Of an item at the place of the shop."""
        return next(level for level in self.items[item]["location_levels"] if level["location_id"] == self.place)

    def buy(self, lines: Mapping[str, int], *, paid: bool = True, at: datetime | None = None) -> dict[str, Any]:
        """An order of inventory items, whatever there is of them."""
        order_id, moment = self._next("order"), _z(at or datetime.now(UTC))
        rows: list[dict[str, Any]] = []
        for item, quantity in lines.items():
            self.level(item)["reserved_quantity"] += quantity
            rows.append(
                {
                    "id": self._next("ordli"), "title": self.items[item]["title"],
                    "variant_sku": self.items[item]["sku"],
                    "quantity": quantity, "unit_price": self.items[item]["price"],
                    "variant": {"inventory_items": [{"inventory_item_id": item}]},
                    "detail": {"fulfilled_quantity": 0, "shipped_quantity": 0},
                }
            )  # fmt: skip
        address = {
            "first_name": "Ada", "last_name": "Byron", "company": None, "address_1": "1 Main", "address_2": None,
            "city": "New York", "province": "NY", "postal_code": "10001", "country_code": "us", "phone": None,
        }  # fmt: skip
        self.orders[order_id] = {
            "id": order_id, "display_id": self._number, "status": "pending", "created_at": moment, "updated_at": moment,
            "payment_status": "authorized" if paid else "not_paid", "fulfillment_status": "not_fulfilled",
            "currency_code": "usd", "email": "ada@example.org", "items": rows, "shipping_address": address,
            "total": sum(float(row["unit_price"]) * int(row["quantity"]) for row in rows),
            "shipping_methods": [{"name": "Standard"}], "fulfillments": [],
        }  # fmt: skip
        return self.orders[order_id]

    async def _add_product(self, request: Request) -> Response:
        return JSONResponse({"id": self.add_product(**await request.json())})

    async def _buy(self, request: Request) -> Response:
        return JSONResponse(self.buy(**await request.json()))

    async def _state(self, _: Request) -> Response:
        return JSONResponse({"items": self.items, "orders": self.orders})

    # The interface --------------------------------------------------------------------------------------------------

    def _guarded(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        expected = f"Basic {base64.b64encode(f'{self.key}:'.encode()).decode()}"

        async def guarded(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), expected.encode()):
                return JSONResponse({"message": "Unauthorized"}, 401)
            if "id" in request.path_params and request.path_params["id"] not in self.orders:
                return _error(404, "not_found", f"Order id not found: {request.path_params['id']}")
            return await answer(request)

        return guarded

    def _paged(self, request: Request, name: str, rows: list[dict[str, Any]]) -> Response:
        asked = request.query_params
        start, limit = int(asked.get("offset", "0")), int(asked.get("limit", str(_LIMIT)))
        page = {name: rows[start : start + limit], "count": len(rows), "offset": start, "limit": limit}
        return JSONResponse(page)

    async def _list_items(self, request: Request) -> Response:
        ids = request.query_params.getlist("id[]")
        return self._paged(request, "inventory_items", [i for k, i in self.items.items() if not ids or k in ids])

    async def _set(self, request: Request) -> Response:
        rows: list[dict[str, Any]] = (await request.json())["update"]
        for row in rows:
            levels = self.items.get(row["inventory_item_id"], {}).get("location_levels", ())
            if all(level["location_id"] != row["location_id"] for level in levels):
                said = f"Item {row['inventory_item_id']} is not stocked at location {row['location_id']}"
                return _error(404, "not_found", said)
        updated = [self.level(row["inventory_item_id"]) for row in rows]
        for level, row in zip(updated, rows, strict=True):
            level["stocked_quantity"] = row["stocked_quantity"]
        return JSONResponse({"created": [], "updated": updated})

    async def _list_orders(self, request: Request) -> Response:
        after = request.query_params.get("updated_at[$gte]", "")
        rows = [order for order in self.orders.values() if order["updated_at"] >= after]
        rows.sort(key=lambda order: (order["updated_at"], order["id"]))
        return self._paged(request, "orders", rows)

    async def _order(self, request: Request) -> Response:
        return JSONResponse({"order": self.orders[request.path_params["id"]]})

    async def _cancel(self, request: Request) -> Response:
        order = self.orders[request.path_params["id"]]
        if any(not f["canceled_at"] for f in order["fulfillments"]):
            return _error(400, "not_allowed", "All fulfillments must be canceled before canceling an order")
        if order["status"] == "canceled":
            return _error(400, "invalid_data", f"Order with id {order['id']} has been canceled.")
        for row in order["items"]:
            self._reserve(row, -row["quantity"])
        return self._changed(order, status="canceled")

    def _changed(self, order: dict[str, Any], **fields: Any) -> Response:
        order.update(fields, updated_at=_z(datetime.now(UTC)))
        return JSONResponse({"order": order})

    def _reserve(self, row: Mapping[str, Any], units: int) -> None:
        item = row["variant"]["inventory_items"][0]["inventory_item_id"]
        if item in self.items:
            self.level(item)["reserved_quantity"] += units

    async def _fulfil(self, request: Request) -> Response:
        order, asked = self.orders[request.path_params["id"]], await request.json()
        rows = {row["id"]: row for row in order["items"]}
        for part in asked["items"]:
            row = rows.get(part["id"])
            if row is None or part["quantity"] > row["quantity"] - row["detail"]["fulfilled_quantity"]:
                return _error(
                    400, "invalid_data", f"Quantity to fulfill exceeds the remaining quantity of {part['id']}"
                )
        for part in asked["items"]:
            row = rows[part["id"]]
            row["detail"]["fulfilled_quantity"] += part["quantity"]
            self._reserve(row, -part["quantity"])
            item = row["variant"]["inventory_items"][0]["inventory_item_id"]
            if item in self.items:
                self.level(item)["stocked_quantity"] -= part["quantity"]
        order["fulfillments"].append(
            {
                "id": f"ful_{secrets.token_hex(8)}", "metadata": asked.get("metadata"), "items": asked["items"],
                "labels": [],
                "location_id": asked["location_id"], "shipped_at": None, "canceled_at": None,
            }
        )  # fmt: skip
        return self._changed(order, fulfillment_status="fulfilled")

    async def _ship(self, request: Request) -> Response:
        order, asked = self.orders[request.path_params["id"]], await request.json()
        found = next((f for f in order["fulfillments"] if f["id"] == request.path_params["of"]), None)
        if found is None:
            return _error(404, "not_found", f"Fulfillment with id: {request.path_params['of']} was not found")
        if found["shipped_at"]:
            return _error(400, "not_allowed", "Shipment has already been created")
        found["shipped_at"], found["labels"] = _z(datetime.now(UTC)), asked.get("labels", [])
        rows = {row["id"]: row for row in order["items"]}
        for part in asked["items"]:
            rows[part["id"]]["detail"]["shipped_quantity"] += part["quantity"]
        is_all = all(row["detail"]["shipped_quantity"] >= row["quantity"] for row in order["items"])
        return self._changed(order, fulfillment_status="shipped" if is_all else "partially_shipped")
