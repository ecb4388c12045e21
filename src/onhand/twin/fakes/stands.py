"""A fake as a place in the world: one way to fill its shelves, to look at them, to buy, and to hear of what was bought,
whatever vendor it speaks like.

    POST /_fake/catalogue  [{"sku", "price_minor", "stock"?}]  what is new is listed; {sku: id}
    GET  /_fake/shelf      {sku: units shown}
    POST /_fake/checkout   {"lines": {sku: units}, "to": {...}}; 201 {"id"}, or 409: not so many are shown
    GET  /_fake/paid       ids of the orders that were paid and not taken back
    GET, POST /_fake/weather   how it is, and its sky (weather.py)
    POST /_fake/cancel     {"id"}: its customer does not want it any more; 409: it has left
    POST /_fake/hook       {"url"}: messages go there

Next to these stand those of the fake itself.
"""

import pickle
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes import amazon, shopify, square, stripe, woocommerce
from onhand.twin.fakes.courier import Courier, Message
from onhand.twin.fakes.weather import Sky, Weather

Json = dict[str, Any]
CURRENCY: Final = "EUR"


class SoldOut(Exception):
    """Not so many are shown."""


class TooLate(Exception):
    """It has left."""


class Stand:
    """One fake, with its weather and its messages. shop: its state, all of it; that can be kept (`save`)."""

    name = ""

    def __init__(self, shop: Any, *, seed: int = 1, sky: Sky | None = None) -> None:
        self.shop = shop
        self.sky = sky or Sky()
        self.weather = Weather(shop.app(), self.sky, seed)
        self.courier = Courier(self.sky, seed, is_down=lambda: self.weather.is_down)
        self.control = {route.path: route for route in self._routes()}
        self._ids: dict[str, Any] = {}

    # What differs by vendor -----------------------------------------------------------------------------------------

    def catalogue(self) -> Mapping[str, Any]:
        """{sku: id}"""
        return {}

    def shelf(self) -> Mapping[str, int]:
        """{sku: units shown}"""
        return {}

    def add(self, sku: str, price_minor: int, stock: int) -> Any:
        """List it; its id."""
        raise NotImplementedError

    def buy(self, lines: Mapping[Any, int], to: Json) -> Json:
        """A paid order of what is shown, by id, going to {country, postal_code, city, name, email}."""
        raise NotImplementedError

    def paid(self) -> list[str]:
        """Ids of the orders that were paid and not taken back."""
        return []

    def id_of(self, order: Json) -> str:
        """Its id, as its connector reads it."""
        return str(order["id"])

    def cancel(self, number: str) -> Json:
        """Its customer does not want an order any more; the order. Raises TooLate, KeyError."""
        raise TooLate(number)

    def messages(self, _order: Json, *, is_new: bool) -> list[Message]:  # noqa: ARG002
        """What is told of an order that was just placed, or has changed."""
        return []

    def on_change(self) -> None:
        """The sky is another one."""

    async def run(self) -> None:
        """What it does by itself, until cancelled."""
        await self.courier.run()

    # What is the same -----------------------------------------------------------------------------------------------

    def checkout(self, lines: Mapping[str, int], to: Json) -> str:
        """Buy by sku, if it is shown; the id of the order, of which its listeners are told. Raises SoldOut."""
        shown = self.shelf()
        if short := [sku for sku, units in lines.items() if shown.get(sku, 0) < units]:
            raise SoldOut(f"not so many are shown of {', '.join(short)}")
        ids = self.catalogue()
        order = self.buy({ids[sku]: units for sku, units in lines.items()}, to)
        self._tell(order, is_new=True)
        return self.id_of(order)

    def _tell(self, order: Json, *, is_new: bool) -> None:
        for message in self.messages(order, is_new=is_new):
            self.courier.post(message)

    def save(self, path: Path) -> None:
        """Keep its state; written whole or not at all."""
        draft = path.with_suffix(".part")
        draft.write_bytes(pickle.dumps(vars(self.shop)))
        draft.replace(path)

    def load(self, path: Path) -> None:
        """Take up the state that was kept, if there is one."""
        if path.is_file():
            kept: Json = pickle.loads(path.read_bytes())  # noqa: S301  our own file, in our own folder
            for name, value in kept.items():
                setattr(self.shop, name, value)
            if hasattr(self.shop, "_at"):  # a moment of a clock that was another one
                self.shop._at = time.monotonic()

    @cached_property
    def _controls(self) -> Starlette:
        return Starlette(routes=[*self.control.values()])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path in self.control:
            await self._controls(scope, receive, send)
        elif path.startswith("/_fake/"):
            await self.weather.app(scope, receive, send)
        else:
            await self.weather(scope, receive, send)

    def _routes(self) -> list[Route]:
        async def list_products(request: Request) -> Response:
            there = dict(self.catalogue())
            for row in await request.json():
                if row["sku"] not in there:
                    there[row["sku"]] = self.add(row["sku"], row["price_minor"], row.get("stock", 0))
            return JSONResponse({sku: str(found) for sku, found in there.items()})

        async def show(_: Request) -> Response:
            return JSONResponse(self.shelf())

        async def check_out(request: Request) -> Response:
            body = await request.json()
            try:
                return JSONResponse({"id": self.checkout(body["lines"], body["to"])}, 201)
            except SoldOut as error:
                return JSONResponse({"message": str(error)}, 409)

        async def cancel(request: Request) -> Response:
            try:
                self._tell(self.cancel((await request.json())["id"]), is_new=False)
            except TooLate:
                return JSONResponse({"message": "it has left"}, 409)
            return JSONResponse({})

        async def tell_paid(_: Request) -> Response:
            return JSONResponse(self.paid())

        async def weather(request: Request) -> Response:
            if request.method == "POST":
                try:
                    self.change(Sky.of(await request.json()))
                except (ValueError, TypeError) as error:
                    return JSONResponse({"message": str(error)}, 422)
            return JSONResponse(self.state())

        async def hook(request: Request) -> Response:
            self.courier.url = (await request.json())["url"]
            return JSONResponse(self.state())

        endpoints: dict[str, tuple[Callable[[Request], Awaitable[Response]], list[str]]] = {
            "catalogue": (list_products, ["POST"]), "shelf": (show, ["GET"]), "checkout": (check_out, ["POST"]),
            "cancel": (cancel, ["POST"]), "paid": (tell_paid, ["GET"]), "weather": (weather, ["GET", "POST"]),
            "hook": (hook, ["POST"]),
        }  # fmt: skip
        return [Route(f"/_fake/{name}", answer, methods=methods) for name, (answer, methods) in endpoints.items()]

    def change(self, sky: Sky) -> None:
        """Another sky from now on."""
        self.sky = sky
        self.weather.change(sky)
        self.courier.change(sky)
        self.on_change()

    def state(self) -> Json:
        """How it is; JSON-ready."""
        return {"name": self.name, "weather": self.weather.state(), "messages": self.courier.state()}


def _major(minor: int) -> str:
    return f"{minor / 100:.2f}"


class WooCommerce(Stand):
    """Messages by webhook, late and twice; orders that nobody compares with anything."""

    name = "woocommerce"
    shop: woocommerce.Shop

    def catalogue(self) -> Mapping[str, Any]:
        if len(self._ids) != len(self.shop.products):
            self._ids = {p["sku"]: found for found, p in self.shop.products.items()}
        return self._ids

    def shelf(self) -> Mapping[str, int]:
        return {p["sku"]: p["stock_quantity"] for p in self.shop.products.values()}

    def add(self, sku: str, price_minor: int, stock: int) -> Any:
        return self.shop.add_product(sku, stock, _major(price_minor))

    def buy(self, lines: Mapping[Any, int], to: Json) -> Json:
        order = self.shop.buy(lines, country=to["country"])
        first, _, last = to["name"].partition(" ")
        where = {"first_name": first, "last_name": last, "city": to["city"], "state": "", "postcode": to["postal_code"]}
        order["shipping"] |= where
        order["billing"] |= where | {"email": to["email"]}
        order["currency"] = CURRENCY
        return order

    def paid(self) -> list[str]:
        return [str(i) for i, o in self.shop.orders.items() if o["status"] in ("processing", "completed")]

    def cancel(self, number: str) -> Json:
        order = self.shop.orders[int(number)]
        if order["status"] != "processing":
            raise TooLate(number)
        order["status"] = "cancelled"
        order["date_modified_gmt"] = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
        for line in order["line_items"]:
            self.shop.products[line["product_id"]]["stock_quantity"] += line["quantity"]
        return order

    def messages(self, _order: Json, *, is_new: bool) -> list[Message]:
        return [self.shop.deliver(_order, "order.created" if is_new else "order.updated")]


class Shopify(Stand):
    """Messages by webhook; numbers that are compared before they are written."""

    name = "shopify"
    shop: shopify.Shop

    def catalogue(self) -> Mapping[str, Any]:
        if len(self._ids) != len(self.shop.items):
            self._ids = {i["sku"]: found for found, i in self.shop.items.items()}
        return self._ids

    def shelf(self) -> Mapping[str, int]:
        return {i["sku"]: i["available"] for i in self.shop.items.values()}

    def add(self, sku: str, price_minor: int, stock: int) -> Any:
        return self.shop.add_product(sku, stock, _major(price_minor))

    def buy(self, lines: Mapping[Any, int], to: Json) -> Json:
        order = self.shop.buy(lines)
        order["currencyCode"], order["email"] = CURRENCY, to["email"]
        order["shippingAddress"] |= {
            "name": to["name"], "city": to["city"], "provinceCode": None, "zip": to["postal_code"],
            "countryCodeV2": to["country"],
        }  # fmt: skip
        for node in order["lineItems"]["nodes"]:
            node["discountedUnitPriceSet"]["shopMoney"]["currencyCode"] = CURRENCY
        return order

    def paid(self) -> list[str]:
        orders = self.shop.orders.items()
        return [i for i, o in orders if o["displayFinancialStatus"] == "PAID" and not o["cancelledAt"]]

    def cancel(self, number: str) -> Json:
        order = self.shop.orders[number]
        if order["cancelledAt"] or order["displayFulfillmentStatus"] != "UNFULFILLED":
            raise TooLate(number)
        said = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        order["cancelledAt"] = order["updatedAt"] = said
        for node in order["lineItems"]["nodes"]:
            self.shop.items[node["variant"]["inventoryItem"]["id"]]["available"] += node["currentQuantity"]
        return order

    def messages(self, _order: Json, *, is_new: bool) -> list[Message]:
        return [self.shop.deliver(_order, "orders/create" if is_new else "orders/cancelled")]


class Amazon(Stand):
    """Messages by a queue; numbers that are taken now and shown later; a usage plan for each operation."""

    name = "amazon"
    shop: amazon.Account

    def __init__(self, shop: amazon.Account, *, seed: int = 1) -> None:
        super().__init__(shop, seed=seed)
        # What publication does not use: a message for every number would keep orders waiting.
        shop.notified &= {"ORDER_CHANGE", "FULFILLMENT_ORDER_STATUS"}

    def catalogue(self) -> Mapping[str, Any]:
        return {sku: sku for sku in self.shop.listings}

    def shelf(self) -> Mapping[str, int]:
        self.shop.advance(0)
        return {sku: listing.quantity for sku, listing in self.shop.listings.items()}

    def add(self, sku: str, price_minor: int, stock: int) -> Any:
        return self.shop.add_product(sku, stock, _major(price_minor))

    def buy(self, lines: Mapping[Any, int], to: Json) -> Json:
        order = self.shop.buy(lines)
        order["proceeds"]["grandTotal"]["currencyCode"] = CURRENCY
        for item in order["orderItems"]:
            item["product"]["price"]["unitPrice"]["currencyCode"] = CURRENCY
        order["buyer"]["buyerName"] = to["name"]
        order["recipient"]["deliveryAddress"] |= {
            "name": to["name"], "city": to["city"], "stateOrRegion": "", "postalCode": to["postal_code"],
            "countryCode": to["country"],
        }  # fmt: skip
        return order

    def id_of(self, order: Json) -> str:
        return str(order["orderId"])

    def cancel(self, number: str) -> Json:
        order = self.shop.orders[number]
        if order["fulfillment"]["fulfillmentStatus"] != "UNSHIPPED":
            raise TooLate(number)
        self.shop.cancel(number)
        # An assumption: what was taken off for it is for sale again, as in other shops.
        for item in order["orderItems"]:
            self.shop.listings[item["product"]["sellerSku"]].quantity += item["quantityOrdered"]
        return order

    def paid(self) -> list[str]:
        orders = self.shop.orders.items()
        return [i for i, o in orders if o["fulfillment"]["fulfillmentStatus"] not in ("PENDING", "CANCELLED")]

    def on_change(self) -> None:
        self.shop.lag_s, self.shop.feed_lag_s = self.sky.apply_s, 4 * self.sky.apply_s


class Square(Stand):
    """Tills of one location, and what is ordered online from it."""

    name = "square"
    shop: square.Shop

    def catalogue(self) -> Mapping[str, Any]:
        return {v["sku"]: found for found, v in self.shop.variations.items()}

    def shelf(self) -> Mapping[str, int]:
        return {v["sku"]: self.shop.stock(found) for found, v in self.shop.variations.items()}

    def add(self, sku: str, price_minor: int, stock: int) -> Any:
        return self.shop.add_product(sku, stock, price_minor)

    def buy(self, lines: Mapping[Any, int], to: Json) -> Json:
        order = self.shop.buy(lines)
        recipient = order["fulfillments"][0]["shipment_details"]["recipient"]
        recipient |= {"display_name": to["name"], "email_address": to["email"]}
        recipient["address"] |= {
            "locality": to["city"], "administrative_district_level_1": "", "postal_code": to["postal_code"],
            "country": to["country"],
        }  # fmt: skip
        return order

    def paid(self) -> list[str]:
        return [i for i, o in self.shop.orders.items() if not o["net_amount_due_money"]["amount"]]


class Stripe(Stand):
    """Takes money and sells nothing; tells of what happens to it by webhook, late, twice and in no order."""

    name = "stripe"
    shop: stripe.Account

    def __init__(self, shop: stripe.Account, *, seed: int = 1) -> None:
        super().__init__(shop, seed=seed)
        self._told = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)
        for event in self.shop.events[self._told :]:
            self.courier.post(self.shop.deliver(event))
        self._told = len(self.shop.events)


class Other(Stand):
    """A fake that is served as it is: its shelves are filled by its own means."""

    def __init__(self, shop: Any, *, seed: int = 1, sky: Sky | None = None, name: str = "") -> None:
        super().__init__(shop, seed=seed, sky=sky)
        self.name = name
