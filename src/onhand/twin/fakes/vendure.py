"""A shop that speaks Vendure's Admin API, as version 3.7.3 was seen to answer.

Small: what our connector asks, with the answers, codes and words of the real one. Stock is counted on hand and
allocated by location; an order allocates whatever there is, as many carts at once bring about; a document is known by
its root field and answered in full, whatever it selects.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults

_ROOT = re.compile(r"\{\s*([A-Za-z]+)")
_TAKE_MAX = 1_000


class _NotFound(Exception):
    def __init__(self, kind: str, number: Any) -> None:
        super().__init__(f'No {kind} with the id "{number}" could be found')


def _now() -> str:
    return _z(datetime.now(UTC))


def _z(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(name: str, code: str, message: str) -> dict[str, Any]:
    return {"__typename": name, "errorCode": code, "message": message}


_NO_LINES = _error("EmptyOrderLineSelectionError", "EMPTY_ORDER_LINE_SELECTION_ERROR", "At least one OrderLine must be specified")  # fmt: skip # noqa: E501
_FULFILLED = _error("ItemsAlreadyFulfilledError", "ITEMS_ALREADY_FULFILLED_ERROR", "One or more OrderItems are already part of a Fulfillment")  # fmt: skip # noqa: E501


class Shop:
    """The state of one shop with one stock location. username, password: of its administrator."""

    def __init__(self, *, username: str = "superadmin", password: str = "superadmin") -> None:  # noqa: S107
        self.username, self.password = username, password
        self.place = "1"
        self.variants: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self._tokens: set[str] = set()
        self._number = 100

    def app(self) -> Faults:
        """As an ASGI application."""
        control = [
            Route("/_fake/product", self._add_product, methods=["POST"]),
            Route("/_fake/buy", self._buy, methods=["POST"]),
            Route("/_fake/state", self._state),
        ]
        return Faults(Starlette(routes=[Route("/admin-api", self._graphql, methods=["POST"])]), routes=control)

    def _next(self) -> str:
        self._number += 1
        return str(self._number)

    # What a merchant and his customers do ---------------------------------------------------------------------------

    def add_product(self, sku: str, stock: int, price_minor: int = 1_999) -> str:
        """A variant whose stock is counted; its id."""
        variant = self._next()
        level = {"stockLocationId": self.place, "stockOnHand": stock, "stockAllocated": 0}
        self.variants[variant] = {
            "id": variant, "sku": sku, "name": sku, "enabled": True, "price": price_minor, "stockLevels": [level],
        }  # fmt: skip
        return variant

    def buy(self, lines: Mapping[str, int], *, at: datetime | None = None) -> dict[str, Any]:
        """A paid order of variants, whatever there is of them."""
        order_id, moment = self._next(), _now() if at is None else _z(at)
        rows: list[dict[str, Any]] = []
        for variant_id, quantity in lines.items():
            variant = self.variants[variant_id]
            variant["stockLevels"][0]["stockAllocated"] += quantity
            rows.append(
                {
                    "id": self._next(), "quantity": quantity, "unitPrice": variant["price"],
                    "productVariant": {"id": variant_id, "sku": variant["sku"], "name": variant["name"]},
                }
            )  # fmt: skip
        self.orders[order_id] = {
            "id": order_id, "code": f"CODE{order_id}", "state": "PaymentSettled", "orderPlacedAt": moment,
            "updatedAt": moment, "currencyCode": "USD",
            "customer": {"emailAddress": "ada@example.org", "firstName": "Ada", "lastName": "Byron",
                         "phoneNumber": None},
            "shippingAddress": {"fullName": "Ada Byron", "company": None, "streetLine1": "1 Main", "city": "New York",
                                "province": None, "postalCode": "10001", "countryCode": "US", "phoneNumber": None},
            "shippingLines": [{"shippingMethod": {"code": "standard"}}], "lines": rows, "fulfillments": [],
        }  # fmt: skip
        return self.orders[order_id]

    async def _add_product(self, request: Request) -> Response:
        return JSONResponse({"id": self.add_product(**await request.json())})

    async def _buy(self, request: Request) -> Response:
        return JSONResponse(self.buy((await request.json())["lines"]))

    async def _state(self, _: Request) -> Response:
        return JSONResponse({"variants": self.variants, "orders": self.orders})

    # The interface --------------------------------------------------------------------------------------------------

    async def _graphql(self, request: Request) -> Response:
        asked = await request.json()
        found = _ROOT.search(asked["query"])
        root = "" if found is None else found[1]
        variables: dict[str, Any] = asked.get("variables") or {}
        if root == "login":
            return self._login(variables)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self._tokens:
            error = {
                "message": "You are not currently authorized to perform this action", "path": [root],
                "extensions": {"code": "FORBIDDEN"},
            }  # fmt: skip
            return JSONResponse({"errors": [error], "data": None})
        answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "orders": self._orders, "order": lambda v: self.orders.get(v["id"]), "cancelOrder": self._cancel,
            "productVariants": self._variants, "updateProductVariants": self._update,
            "addFulfillmentToOrder": self._fulfil, "transitionFulfillmentToState": self._ship,
        }  # fmt: skip
        if root not in answers:
            return JSONResponse({"errors": [{"message": f'Cannot query field "{root}" on type "Query".'}]}, 400)
        try:
            return JSONResponse({"data": {root: answers[root](variables)}})
        except _NotFound as error:
            told = {"message": str(error), "path": [root], "extensions": {"code": "ENTITY_NOT_FOUND"}}
            return JSONResponse({"errors": [told], "data": None})

    def _login(self, variables: Mapping[str, Any]) -> Response:
        is_right = variables["username"] == self.username and hmac.compare_digest(
            str(variables["password"]).encode(), self.password.encode()
        )
        if not is_right:
            error = _error("InvalidCredentialsError", "INVALID_CREDENTIALS_ERROR", "The provided credentials are invalid")  # fmt: skip # noqa: E501
            return JSONResponse({"data": {"login": error}})
        token = secrets.token_hex(32)
        self._tokens.add(token)
        return JSONResponse({"data": {"login": {"__typename": "CurrentUser"}}}, headers={"vendure-auth-token": token})

    def _orders(self, variables: dict[str, Any]) -> Any:
        rows = [order for order in self.orders.values() if order["updatedAt"] > variables["since"]]
        rows.sort(key=lambda order: (order["updatedAt"], int(order["id"])))
        return {"items": _page(rows, variables), "totalItems": len(rows)}

    def _variants(self, variables: dict[str, Any]) -> Any:
        rows = list(self.variants.values())
        if "ids" in variables:
            rows = [row for row in rows if row["id"] in variables["ids"]]
        return {"items": _page(rows, variables), "totalItems": len(rows)}

    def _update(self, variables: dict[str, Any]) -> Any:
        for row in variables["input"]:
            if row["id"] not in self.variants:
                raise _NotFound("ProductVariant", row["id"])
        for row in variables["input"]:
            for level in row.get("stockLevels", ()):
                there = self.variants[row["id"]]["stockLevels"]
                of = next(one for one in there if one["stockLocationId"] == level["stockLocationId"])
                of["stockOnHand"] = level["stockOnHand"]
        return [self.variants[row["id"]] for row in variables["input"]]

    def _order(self, order_id: str) -> dict[str, Any]:
        if order_id not in self.orders:
            raise _NotFound("Order", order_id)
        return self.orders[order_id]

    def _cancel(self, variables: dict[str, Any]) -> Any:
        order = self._order(variables["input"]["orderId"])
        if not any(line["quantity"] for line in order["lines"]):
            return _NO_LINES
        asked = variables["input"].get("lines")
        some = None if asked is None else {row["orderLineId"]: row["quantity"] for row in asked}
        there = {line["id"]: line["quantity"] - _told(order, line["id"]) for line in order["lines"]}
        if some is not None and any(quantity > there.get(line, 0) for line, quantity in some.items()):
            return _error("QuantityTooGreatError", "QUANTITY_TOO_GREAT_ERROR", "The specified quantity is greater than the available OrderItems")  # fmt: skip # noqa: E501
        for line in order["lines"]:
            gone = line["quantity"] if some is None else some.get(line["id"], 0)
            variant = self.variants.get(line["productVariant"]["id"])
            if variant is not None:
                variant["stockLevels"][0]["stockAllocated"] -= gone
            line["quantity"] -= gone
        if not any(line["quantity"] for line in order["lines"]):
            order["state"] = "Cancelled"
        order["updatedAt"] = _now()
        return {"__typename": "Order", "id": order["id"], "state": order["state"]}

    def _fulfil(self, variables: dict[str, Any]) -> Any:
        given = variables["input"]
        if not given["lines"]:
            return _NO_LINES
        lines = {line["id"]: (order, line) for order in self.orders.values() for line in order["lines"]}
        order: dict[str, Any] | None = None
        for row in given["lines"]:
            if row["orderLineId"] not in lines:
                raise _NotFound("OrderLine", row["orderLineId"])
            order, line = lines[row["orderLineId"]]
            if row["quantity"] > line["quantity"] - _told(order, line["id"]):
                return _FULFILLED
        assert order is not None, "a fulfilment has lines"
        said = {argument["name"]: argument["value"] for argument in given["handler"]["arguments"]}
        made = {
            "id": self._next(), "state": "Pending", "method": said.get("method", ""),
            "trackingCode": said.get("trackingCode", ""), "lines": given["lines"],
        }  # fmt: skip
        order["fulfillments"].append(made)
        order["updatedAt"] = _now()
        return {"__typename": "Fulfillment", "id": made["id"], "state": "Pending"}

    def _ship(self, variables: dict[str, Any]) -> Any:
        there = {f["id"]: (order, f) for order in self.orders.values() for f in order["fulfillments"]}
        if variables["id"] not in there:
            raise _NotFound("Fulfillment", variables["id"])
        order, fulfilment = there[variables["id"]]
        if fulfilment["state"] != "Pending":
            error = _error("FulfillmentStateTransitionError", "FULFILLMENT_STATE_TRANSITION_ERROR", "Cannot transition")
            return error | {
                "transitionError": f'Cannot transition Fulfillment from "{fulfilment["state"]}" to "Shipped"'
            }
        fulfilment["state"] = "Shipped"
        lines = {line["id"]: line for line in order["lines"]}
        for row in fulfilment["lines"]:
            variant = self.variants.get(lines[row["orderLineId"]]["productVariant"]["id"])
            if variant is not None:
                for name in ("stockOnHand", "stockAllocated"):
                    variant["stockLevels"][0][name] -= row["quantity"]
        is_all = all(_told(order, line["id"]) >= line["quantity"] for line in order["lines"])
        order["state"], order["updatedAt"] = "Shipped" if is_all else "PartiallyShipped", _now()
        return {"__typename": "Fulfillment", "id": fulfilment["id"], "state": "Shipped"}


def _told(order: Mapping[str, Any], line_id: str) -> int:
    """Units of a line that are in fulfilments."""
    return sum(row["quantity"] for f in order["fulfillments"] for row in f["lines"] if row["orderLineId"] == line_id)


def _page(rows: list[Any], variables: Mapping[str, Any]) -> list[Any]:
    skip = int(variables.get("skip", 0))
    return rows[skip : skip + min(_TAKE_MAX, int(variables.get("take", 100)))]
