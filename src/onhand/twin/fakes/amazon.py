"""A seller's account that speaks Amazon's Selling Partner API, as its models (2026-08-05) and their examples say.

What it keeps of the real one: access tokens that expire, a usage plan for each operation, numbers that are ACCEPTED now
and shown later, feeds that are read later and fail by message, notifications that come at least once through a queue,
orders that are pending before they are paid, and warehouses that ship for the seller. A late number overwrites what was
sold in between: that is how it oversells. Where the models are silent (the code for an unknown SKU, what becomes of a
repeated fulfilment order), it is an assumption.
"""

import gzip
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes import sqs
from onhand.twin.fakes.base import Faults

PLANS: Mapping[str, tuple[float, int]] = {
    "searchOrders": (0.0056, 20), "getOrder": (0.5, 30), "confirmShipment": (2, 10), "patchListingsItem": (5, 5),
    "getListingsItem": (5, 10), "searchListingsItems": (5, 5), "createFeedDocument": (0.5, 15),
    "createFeed": (0.0083, 15), "getFeed": (2, 15), "getFeedDocument": (0.0222, 10), "getInventorySummaries": (2, 2),
    "createFulfillmentOrder": (2, 30), "getFulfillmentOrder": (2, 30), "listAllFulfillmentOrders": (2, 30),
    "cancelFulfillmentOrder": (2, 30),
}  # fmt: skip
"""Requests a second and burst of each operation."""

_TOKEN_S = 3_600
_UNKNOWN_SKU = "13013"
_MESSAGES_MAX = 25_000


def _error(status: int, code: str, message: str, details: str = "") -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message, "details": details}]}, status)


def _money(amount: str) -> dict[str, str]:
    return {"amount": amount, "currencyCode": "USD"}


@dataclass(slots=True)
class Listing:
    """What is shown of a SKU that the seller ships himself."""

    sku: str
    quantity: int
    price: str
    created_at: float
    is_amazons: bool = False  # shipped by Amazon: it has no number of ours
    waiting: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    repriced: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])


class Account:
    """The state of one seller's account in one marketplace.

    lag_s       from ACCEPTED until a number is shown
    feed_lag_s  from a feed's creation until it has been processed
    speed       how many times faster than the real ones its usage plans are filled up
    """

    def __init__(
        self,
        *,
        client_id: str = "amzn1.application-oa2-client.fake",
        client_secret: str = "client-secret",  # noqa: S107  of an account that is not there
        refresh_token: str = "Atzr|fake",  # noqa: S107
        aws_key_id: str = "AKIAFAKE",
        aws_secret: str = "aws-secret",  # noqa: S107
        lag_s: float = 60.0,
        feed_lag_s: float = 600.0,
        speed: float = 1.0,
    ) -> None:
        self.client_id, self.client_secret, self.refresh_token = client_id, client_secret, refresh_token
        self.seller_id, self.marketplace_id = "A3TH9S8BH6GOGM", "ATVPDKIKX0DER"
        self.lag_s, self.feed_lag_s, self.speed = lag_s, feed_lag_s, speed
        self.listings: dict[str, Listing] = {}
        self.warehouse: dict[str, int] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.fulfilments: dict[str, dict[str, Any]] = {}
        self.feeds: dict[str, dict[str, Any]] = {}
        self.documents: dict[str, bytes] = {}
        self.notified = {
            "ORDER_CHANGE", "LISTINGS_ITEM_MFN_QUANTITY_CHANGE", "FBA_INVENTORY_AVAILABILITY_CHANGES",
            "FULFILLMENT_ORDER_STATUS", "FEED_PROCESSING_FINISHED",
        }  # fmt: skip
        self.queue = sqs.Queue(key_id=aws_key_id, secret=aws_secret, now=self.now)
        self._ahead_s = 0.0
        self._number = 1_000
        self._tokens: dict[str, float] = {}
        self._levels: dict[str, tuple[float, float]] = {}

    def app(self) -> Faults:
        """As an ASGI application."""
        listings, orders = "/listings/2021-08-01/items/{seller}", "/orders/2026-01-01/orders"
        feeds, outbound = "/feeds/2021-06-30", "/fba/outbound/2020-07-01/fulfillmentOrders"
        routes = [
            Route("/", self.queue.endpoint, methods=["POST"]),
            Route("/auth/o2/token", self._token, methods=["POST"]),
            self._route("GET", orders, "searchOrders", self._search_orders),
            self._route("GET", f"{orders}/{{id}}", "getOrder", self._get_order),
            self._route("POST", "/orders/v0/orders/{id}/shipmentConfirmation", "confirmShipment", self._confirm),
            self._route("GET", listings, "searchListingsItems", self._search_listings),
            self._route("PATCH", f"{listings}/{{sku:path}}", "patchListingsItem", self._patch),
            self._route("GET", f"{listings}/{{sku:path}}", "getListingsItem", self._get_listing),
            self._route("POST", f"{feeds}/documents", "createFeedDocument", self._create_document),
            self._route("GET", f"{feeds}/documents/{{id}}", "getFeedDocument", self._get_document),
            self._route("POST", f"{feeds}/feeds", "createFeed", self._create_feed),
            self._route("GET", f"{feeds}/feeds/{{id}}", "getFeed", self._get_feed),
            self._route("GET", "/fba/inventory/v1/summaries", "getInventorySummaries", self._summaries),
            self._route("GET", outbound, "listAllFulfillmentOrders", self._list_fulfilments),
            self._route("POST", outbound, "createFulfillmentOrder", self._create_fulfilment),
            self._route("GET", f"{outbound}/{{id}}", "getFulfillmentOrder", self._get_fulfilment),
            self._route("PUT", f"{outbound}/{{id}}/cancel", "cancelFulfillmentOrder", self._cancel_fulfilment),
            Route("/_store/{id}", self._store, methods=["PUT", "GET"]),
        ]
        control = [
            Route("/_fake/product", self._add_product, methods=["POST"]),
            Route("/_fake/buy", self._buy, methods=["POST"]),
            Route("/_fake/advance", self._advance, methods=["POST"]),
            Route("/_fake/state", self._state),
        ]
        return Faults(Starlette(routes=routes), routes=control)

    # Time -----------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970, as this account sees it."""
        return time.time() + self._ahead_s

    def moment(self, at: float | None = None) -> str:
        """As the interface writes it."""
        said = datetime.fromtimestamp(self.now() if at is None else at, UTC)
        return said.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def advance(self, seconds: float) -> None:
        """Let time pass: numbers are shown, feeds are read, hidden messages come again, tokens expire."""
        self._ahead_s += seconds
        self._come_true()

    def _come_true(self) -> None:
        now = self.now()
        for feed in self.feeds.values():
            if feed["processingStatus"] == "IN_QUEUE" and feed["due"] <= now:
                self._process(feed)
        for listing in self.listings.values():
            for due, quantity in [w for w in listing.waiting if w[0] <= now]:
                listing.waiting.remove((due, quantity))
                self._show(listing, quantity)
            for due, price in [w for w in listing.repriced if w[0] <= now]:
                listing.repriced.remove((due, price))
                listing.price = price

    # What a seller and his customers do -----------------------------------------------------------------------------

    def add_product(self, sku: str, stock: int, price: str = "19.99", *, warehouse: int | None = None) -> str:
        """A listing; warehouse: Amazon has so many of it, to ship for the seller."""
        self.listings[sku] = Listing(sku, stock, price, self.now() - 86_400 + len(self.listings))
        if warehouse is not None:
            self.warehouse[sku] = warehouse
        return sku

    def buy(
        self, lines: Mapping[str, int], *, paid: bool = True, by: str = "MERCHANT", force: bool = False
    ) -> dict[str, Any]:
        """An order of what is shown; force: of more than is shown, as when two buy at the same moment. Raises
        LookupError if less is shown."""
        self._come_true()
        short = [sku for sku, n in lines.items() if sku not in self.listings or self.listings[sku].quantity < n]
        if short and not force and by == "MERCHANT":
            raise LookupError(f"not so many are shown of {', '.join(short)}")
        self._number += 1
        order_id, moment = f"114-{self._number:07d}-{self._number:07d}", self.moment()
        order = {
            "orderId": order_id, "createdTime": moment, "lastUpdatedTime": moment,
            "salesChannel": {
                "channelName": "AMAZON", "marketplaceId": self.marketplace_id, "marketplaceName": "Amazon.com",
            },
            "fulfillment": {
                "fulfillmentStatus": "PENDING", "fulfilledBy": by, "fulfillmentServiceLevel": "STANDARD",
            },
            "orderItems": [self._item(n, sku, quantity) for n, (sku, quantity) in enumerate(lines.items(), 1)],
            "packages": [],
        }  # fmt: skip
        self.orders[order_id] = order
        if by == "MERCHANT":
            for sku, quantity in lines.items():
                if sku in self.listings:
                    self._show(self.listings[sku], max(0, self.listings[sku].quantity - quantity))
        self._tell_order(order)
        if paid:
            self.pay(order_id)
        return order

    def _item(self, number: int, sku: str, quantity: int) -> dict[str, Any]:
        return {
            "orderItemId": f"{self._number}{number:04d}", "quantityOrdered": quantity,
            "product": {"asin": "B000000001", "title": f"{sku} of the seller", "sellerSku": sku},
            "fulfillment": {"quantityFulfilled": 0, "quantityUnfulfilled": quantity},
        }  # fmt: skip

    def pay(self, order_id: str) -> None:
        """What is pending is paid: now it has amounts and an address."""
        order = self.orders[order_id]
        total = 0.0
        for item in order["orderItems"]:
            sku = item["product"]["sellerSku"]
            price = self.listings[sku].price if sku in self.listings else "1.00"
            total += float(price) * item["quantityOrdered"]
            item["product"]["price"] = {"unitPrice": _money(price)}
        order["proceeds"] = {"grandTotal": _money(f"{total:.2f}")}
        order["buyer"] = {"buyerName": "Ada Byron", "buyerEmail": "relay@marketplace.amazon.com"}
        address = {
            "name": "Ada Byron", "addressLine1": "1 Main", "city": "New York", "stateOrRegion": "NY",
            "postalCode": "10001", "countryCode": "US", "addressType": "RESIDENTIAL",
        }  # fmt: skip
        order["recipient"] = {"deliveryAddress": address}
        self._change(order, "UNSHIPPED")

    def cancel(self, order_id: str) -> None:
        """The buyer does not want it any more."""
        order = self.orders[order_id]
        for item in order["orderItems"]:
            item["cancellation"] = {
                "cancellationExecution": {"cancelledBy": "BUYER", "cancelReason": "NO_LONGER_NEEDED"}
            }
            item["fulfillment"]["quantityUnfulfilled"] = 0
        self._change(order, "CANCELLED")

    def cancel_item(self, order_id: str, number: int = 0) -> None:
        """The buyer does not want one line of it any more."""
        item = self.orders[order_id]["orderItems"][number]
        item["cancellation"] = {"cancellationExecution": {"cancelledBy": "BUYER", "cancelReason": "NO_LONGER_NEEDED"}}
        item["fulfillment"]["quantityUnfulfilled"] = 0
        self._change(self.orders[order_id], self.orders[order_id]["fulfillment"]["fulfillmentStatus"])

    def count(self, sku: str, units: int) -> None:
        """Amazon's warehouses count so many of a SKU."""
        self.warehouse[sku] = units
        self._tell_warehouse(sku)

    def ship_fulfilment(self, fulfilment_id: str, *, parts: int = 1) -> None:
        """Amazon's warehouses ship what they were asked for, in so many parcels."""
        order = self.fulfilments[fulfilment_id]
        for part in range(parts):
            items = [i for n, i in enumerate(order["fulfillmentOrderItems"]) if n % parts == part]
            number = len(order["fulfillmentShipments"]) + 1
            order["fulfillmentShipments"].append(
                {
                    "amazonShipmentId": f"S{fulfilment_id}{number}", "fulfillmentCenterId": "ABE2",
                    "fulfillmentShipmentStatus": "SHIPPED", "shippingDate": self.moment(),
                    "fulfillmentShipmentItem": [
                        {"sellerSku": i["sellerSku"], "quantity": i["quantity"], "packageNumber": number,
                         "sellerFulfillmentOrderItemId": i["sellerFulfillmentOrderItemId"]}
                        for i in items
                    ],
                    "fulfillmentShipmentPackage": [
                        {"packageNumber": number, "carrierCode": "Amazon Logistics", "trackingNumber": f"TBA{number}"}
                    ],
                }
            )  # fmt: skip
        self._become(order, "Complete")

    # What it tells --------------------------------------------------------------------------------------------------

    def _post(self, kind: str, payload: Mapping[str, Any]) -> None:
        if kind in self.notified:
            metadata = {
                "ApplicationId": self.client_id, "SubscriptionId": f"s-{kind}", "PublishTime": self.moment(),
                "NotificationId": secrets.token_hex(16),
            }  # fmt: skip
            body = {
                "NotificationVersion": "1.0", "NotificationType": kind, "PayloadVersion": "1.0",
                "EventTime": self.moment(), "Payload": payload, "NotificationMetadata": metadata,
            }  # fmt: skip
            self.queue.put(json.dumps(body))

    def _tell_order(self, order: Mapping[str, Any]) -> None:
        fulfillment = order["fulfillment"]
        words = {"UNSHIPPED": "Unshipped", "PARTIALLY_SHIPPED": "PartiallyShipped", "CANCELLED": "Canceled"}
        status = fulfillment["fulfillmentStatus"]
        items: list[dict[str, Any]] = [
            {
                "OrderItemId": item["orderItemId"], "SellerSKU": item["product"]["sellerSku"],
                "SupplySourceId": None,
                "OrderItemStatus": "Shipped" if status == "SHIPPED" else "Unshipped",
                "Quantity": item["quantityOrdered"],
                "QuantityShipped": item["fulfillment"]["quantityFulfilled"],
            }
            for item in order["orderItems"]
        ]  # fmt: skip
        summary = {
            "MarketplaceId": self.marketplace_id, "OrderStatus": words.get(status, status.title()),
            "PurchaseDate": order["createdTime"], "OrderType": "StandardOrder",
            "DestinationPostalCode": order.get("recipient", {}).get("deliveryAddress", {}).get("postalCode"),
            "FulfillmentType": "MFN" if fulfillment["fulfilledBy"] == "MERCHANT" else "AFN",
            "NumberOfItemsShipped": sum(i["QuantityShipped"] for i in items),
            "NumberOfItemsUnshipped": sum(i["Quantity"] - i["QuantityShipped"] for i in items), "OrderItems": items,
        }  # fmt: skip
        told = {
            "NotificationLevel": "OrderLevel", "SellerId": self.seller_id, "AmazonOrderId": order["orderId"],
            "OrderChangeType": "OrderStatusChange",
            "OrderChangeTrigger": {"TimeOfOrderChange": self.moment(), "ChangeReason": "OrderStatusChange"},
            "Summary": summary,
        }  # fmt: skip
        self._post("ORDER_CHANGE", {"OrderChangeNotification": told})

    def _change(self, order: dict[str, Any], status: str) -> None:
        order["fulfillment"]["fulfillmentStatus"] = status
        order["lastUpdatedTime"] = self.moment()
        self._tell_order(order)

    def _show(self, listing: Listing, quantity: int) -> None:
        listing.quantity = quantity
        told = {
            "SellerId": self.seller_id,
            "FulfillmentChannelCode": "DEFAULT",
            "Sku": listing.sku,
            "Quantity": quantity,
        }
        self._post("LISTINGS_ITEM_MFN_QUANTITY_CHANGE", told)

    def _tell_warehouse(self, sku: str) -> None:
        inventory = {
            "InboundQuantityBreakdown": {"Working": 0, "Shipped": 0, "Receiving": 0},
            "Fulfillable": self.warehouse[sku], "Unfulfillable": 0, "Researching": 0,
            "ReservedQuantityBreakdown": {
                "WarehouseProcessing": 0, "WarehouseTransfer": 0, "PendingCustomerOrder": 0,
            },
            "FutureSupplyBuyable": 0, "PendingCustomerOrderInTransit": 0,
        }  # fmt: skip
        at = {"MarketplaceId": self.marketplace_id, "ItemName": sku, "FulfillmentInventory": inventory}
        self._post(
            "FBA_INVENTORY_AVAILABILITY_CHANGES",
            {
                "SellerId": self.seller_id, "FNSKU": f"X{sku}", "ASIN": "B000000001", "SKU": sku,
                "FulfillmentInventoryByMarketplace": [at],
            },
        )  # fmt: skip

    def _become(self, fulfilment: dict[str, Any], status: str) -> None:
        order = fulfilment["fulfillmentOrder"]
        order["fulfillmentOrderStatus"], order["statusUpdatedDate"] = status, self.moment()
        told = {
            "SellerId": self.seller_id, "EventType": "Order", "StatusUpdatedDateTime": self.moment(),
            "SellerFulfillmentOrderId": order["sellerFulfillmentOrderId"], "FulfillmentOrderStatus": status.upper(),
        }  # fmt: skip
        self._post("FULFILLMENT_ORDER_STATUS", {"FulfillmentOrderStatusNotification": told})

    # The interface: who asks, and how often -------------------------------------------------------------------------

    def _route(self, method: str, path: str, operation: str, answer: Any) -> Route:
        async def endpoint(request: Request) -> Response:
            rate = PLANS[operation][0] * self.speed
            limit = {"x-amzn-RateLimit-Limit": f"{rate:g}", "x-amzn-RequestId": secrets.token_hex(8)}
            expires_at = self._tokens.get(request.headers.get("x-amz-access-token", ""))
            if expires_at is None or expires_at <= self.now():
                why = "The access token you provided is revoked, malformed or invalid."
                if expires_at is not None:
                    why = "The access token you provided has expired."
                return _error(403, "Unauthorized", "Access to requested resource is denied.", why)
            if not self._has_turn(operation):
                refused = _error(429, "QuotaExceeded", "You exceeded your quota for the requested resource.")
                refused.headers.update(limit)
                return refused
            self._come_true()
            if request.path_params.get("seller", self.seller_id) != self.seller_id:
                return _error(403, "Unauthorized", "Access to requested resource is denied.")
            answered: Response = await answer(request)
            answered.headers.update(limit)
            return answered

        return Route(path, endpoint, methods=[method])

    def _has_turn(self, operation: str) -> bool:
        rate, burst = PLANS[operation]
        now = self.now()
        level, at = self._levels.get(operation, (float(burst), now))
        level = min(float(burst), level + (now - at) * rate * self.speed)
        self._levels[operation] = (level - 1, now) if level >= 1 else (level, now)
        return level >= 1

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if form.get("client_id") != self.client_id or form.get("client_secret") != self.client_secret:
            return JSONResponse({"error": "invalid_client", "error_description": "Client authentication failed"}, 401)
        if form.get("grant_type") == "refresh_token" and form.get("refresh_token") != self.refresh_token:
            description = "The request has an invalid grant parameter : refresh_token"
            return JSONResponse({"error": "invalid_grant", "error_description": description}, 400)
        token = f"Atza|{secrets.token_hex(20)}"
        self._tokens[token] = self.now() + _TOKEN_S
        answer = {"access_token": token, "token_type": "bearer", "expires_in": _TOKEN_S}
        if form.get("grant_type") == "refresh_token":
            answer["refresh_token"] = self.refresh_token
        return JSONResponse(answer)

    # Orders ---------------------------------------------------------------------------------------------------------

    async def _search_orders(self, request: Request) -> Response:
        query = request.query_params
        if ("createdAfter" in query) == ("lastUpdatedAfter" in query):
            return _error(400, "InvalidInput", "Exactly one of createdAfter and lastUpdatedAfter must be provided.")
        name = "createdTime" if "createdAfter" in query else "lastUpdatedTime"
        try:
            after = datetime.fromisoformat(query.get("createdAfter") or query["lastUpdatedAfter"])
            size = int(query.get("maxResultsPerPage", "100"))
        except ValueError:
            return _error(400, "InvalidInput", "A parameter is malformed.")
        if not 1 <= size <= 100:
            return _error(400, "InvalidInput", "maxResultsPerPage must be between 1 and 100.")
        by = query.get("fulfilledBy", "MERCHANT,AMAZON").split(",")
        rows = [
            o for o in self.orders.values()
            if datetime.fromisoformat(o[name]) >= after and o["fulfillment"]["fulfilledBy"] in by
        ]  # fmt: skip
        rows.sort(key=lambda o: (o[name], o["orderId"]))
        # A token is the row that its page ended with: pages do not shift (an assumption).
        rows = [o for o in rows if f"{o[name]} {o['orderId']}" > query.get("paginationToken", "")]
        page = rows[:size]
        answer: dict[str, Any] = {"orders": [_included(o, query.get("includedData", "")) for o in page]}
        if len(rows) > size:
            answer["pagination"] = {"nextToken": f"{page[-1][name]} {page[-1]['orderId']}"}
        answer["lastUpdatedBefore" if name == "lastUpdatedTime" else "createdBefore"] = self.moment(self.now() - 120)
        return JSONResponse(answer)

    async def _get_order(self, request: Request) -> Response:
        order = self.orders.get(request.path_params["id"])
        if order is None:
            return _error(404, "NotFound", "The requested order was not found.")
        return JSONResponse({"order": _included(order, request.query_params.get("includedData", ""))})

    async def _confirm(self, request: Request) -> Response:
        order = self.orders.get(request.path_params["id"])
        if order is None:
            return _error(404, "NotFound", "The requested order was not found.")
        package = (await request.json())["packageDetail"]
        if not re.fullmatch(r"[1-9][0-9]*", str(package["packageReferenceId"])):
            return _error(400, "InvalidInput", "packageReferenceId must be a positive number.")
        if order["fulfillment"]["fulfillmentStatus"] not in ("UNSHIPPED", "PARTIALLY_SHIPPED", "SHIPPED"):
            return _error(400, "InvalidInput", "The order cannot be shipped.")
        packages = [p for p in order["packages"] if p["packageReferenceId"] != package["packageReferenceId"]]
        shipped = _shipped([*packages, {"packageItems": package["orderItems"]}])
        for item in order["orderItems"]:
            if shipped.get(item["orderItemId"], 0) > item["quantityOrdered"]:
                return _error(400, "InvalidInput", "The quantity is more than what is left to ship.")
        if not set(shipped) <= {item["orderItemId"] for item in order["orderItems"]}:
            return _error(400, "InvalidInput", "The order item does not exist.")
        packages.append(
            {
                "packageReferenceId": package["packageReferenceId"], "carrier": package["carrierCode"],
                "trackingNumber": package["trackingNumber"], "shipTime": package["shipDate"],
                "packageStatus": {"status": "IN_TRANSIT"}, "packageItems": package["orderItems"],
            }
        )  # fmt: skip
        order["packages"] = packages
        for item in order["orderItems"]:
            done = shipped.get(item["orderItemId"], 0)
            left = 0 if "cancellation" in item else item["quantityOrdered"] - done
            item["fulfillment"] = {"quantityFulfilled": done, "quantityUnfulfilled": left}
        is_all = all(not item["fulfillment"]["quantityUnfulfilled"] for item in order["orderItems"])
        self._change(order, "SHIPPED" if is_all else "PARTIALLY_SHIPPED")
        return Response(status_code=204)

    # Listings -------------------------------------------------------------------------------------------------------

    def _shown(self, listing: Listing, included: str) -> dict[str, Any]:
        created, quantity = self.moment(listing.created_at), listing.quantity
        status = ["BUYABLE", "DISCOVERABLE"] if quantity > 0 else ["DISCOVERABLE"]
        parts: dict[str, list[dict[str, Any]]] = {
            "summaries": [
                {
                    "marketplaceId": self.marketplace_id, "asin": "B000000001", "productType": "LUGGAGE",
                    "conditionType": "new_new", "status": status, "itemName": f"{listing.sku} of the seller",
                    "createdDate": created, "lastUpdatedDate": created,
                }
            ],
            "fulfillmentAvailability": [{"fulfillmentChannelCode": "DEFAULT", "quantity": quantity}],
            "offers": [
                {
                    "marketplaceId": self.marketplace_id, "offerType": "B2C",
                    "price": {"currencyCode": "USD", "amount": listing.price},
                }
            ],
        }  # fmt: skip
        if listing.is_amazons:
            parts["fulfillmentAvailability"] = [{"fulfillmentChannelCode": "AMAZON_NA"}]
        return {"sku": listing.sku} | {name: parts[name] for name in included.split(",") if name in parts}

    async def _get_listing(self, request: Request) -> Response:
        listing = self.listings.get(request.path_params["sku"])
        if listing is None:
            return _error(404, "NOT_FOUND", f"SKU '{request.path_params['sku']}' not found in marketplace")
        return JSONResponse(self._shown(listing, request.query_params.get("includedData", "summaries")))

    async def _search_listings(self, request: Request) -> Response:
        query = request.query_params
        size = int(query.get("pageSize", "10"))
        if not 1 <= size <= 20 or "marketplaceIds" not in query:
            return _error(400, "InvalidInput", "pageSize must be between 1 and 20; marketplaceIds is required.")
        rows = list(self.listings.values())
        if "identifiers" in query:
            wanted = query["identifiers"].split(",")
            if len(wanted) > 20:
                return _error(400, "InvalidInput", "identifiers must have at most 20 members.")
            rows = [row for row in rows if row.sku in wanted]
        if "createdAfter" in query:
            after = datetime.fromisoformat(query["createdAfter"]).timestamp()
            rows = [row for row in rows if row.created_at >= after]
        if query.get("sortBy") == "createdDate":
            rows.sort(key=lambda row: row.created_at, reverse=query.get("sortOrder", "DESC") == "DESC")
        start, found = int(query.get("pageToken") or 0), len(rows)
        rows = rows[:1_000]  # no more can be paged through
        included = query.get("includedData", "summaries")
        answer: dict[str, Any] = {
            "numberOfResults": found, "items": [self._shown(row, included) for row in rows[start : start + size]],
        }  # fmt: skip
        if start + size < len(rows):
            answer["pagination"] = {"nextToken": str(start + size)}
        return JSONResponse(answer)

    async def _patch(self, request: Request) -> Response:
        sku, body = request.path_params["sku"], await request.json()
        if "marketplaceIds" not in request.query_params or not body.get("productType"):
            return _error(400, "InvalidInput", "marketplaceIds and productType are required.")
        issue = self._take(sku, body.get("patches", []), self.now() + self.lag_s)
        answer = {
            "sku": sku, "status": "ACCEPTED" if issue is None else "INVALID", "submissionId": secrets.token_hex(16),
            "issues": [] if issue is None else [issue],
        }  # fmt: skip
        return JSONResponse(answer)

    def _take(self, sku: str, patches: list[dict[str, Any]], due: float) -> dict[str, Any] | None:
        """Take a number in, to be shown at `due`; or what is wrong with it."""
        listing = self.listings.get(sku)
        if listing is None:
            return _issue(_UNKNOWN_SKU, "This SKU does not exist in the Amazon.com catalog.", "INVALID_ATTRIBUTE")
        for patch in patches:
            if patch.get("op") == "merge" and patch["path"] == "/attributes/purchasable_offer":
                if (wrong := self._take_price(listing, patch["value"], due)) is not None:
                    return wrong
                continue
            if (
                patch.get("op") not in ("add", "replace", "merge")
                or patch["path"] != "/attributes/fulfillment_availability"
            ):
                return _issue("4000001", "The patch is not understood.", "INVALID_ATTRIBUTE")
            for value in patch["value"]:
                quantity = value.get("quantity")
                if value.get("fulfillment_channel_code") != "DEFAULT" or not isinstance(quantity, int) or quantity < 0:
                    message = "'fulfillment_availability' has a quantity or a channel code that is not valid."
                    return _issue("90117", message, "INVALID_ATTRIBUTE")
                listing.waiting.append((due, quantity))
        return None

    def _take_price(self, listing: Listing, offers: list[dict[str, Any]], due: float) -> dict[str, Any] | None:
        """An offer is known by marketplace, currency and audience."""
        for offer in offers:
            known = (offer.get("marketplace_id"), offer.get("currency"), offer.get("audience"))
            try:
                price: Any = offer["our_price"][0]["schedule"][0]["value_with_tax"]
            except (LookupError, TypeError):
                price = None
            if known != (self.marketplace_id, "USD", "ALL") or not isinstance(price, (int, float)) or price <= 0:
                return _issue(
                    "90117", "'purchasable_offer' has a price or a selector that is not valid.", "INVALID_PRICE"
                )
            listing.repriced.append((due, f"{price:.2f}"))
        return None

    # Feeds ----------------------------------------------------------------------------------------------------------

    async def _create_document(self, request: Request) -> Response:
        self._number += 1
        document_id = f"amzn1.tortuga.{self._number}"
        url = _place(request, document_id)
        return JSONResponse({"feedDocumentId": document_id, "url": url}, 201)

    async def _get_document(self, request: Request) -> Response:
        document_id = request.path_params["id"]
        if document_id not in self.documents:
            return _error(404, "NotFound", "The document was not found.")
        url = _place(request, document_id)
        return JSONResponse({"feedDocumentId": document_id, "url": url, "compressionAlgorithm": "GZIP"})

    async def _store(self, request: Request) -> Response:
        document_id = request.path_params["id"]
        if "x-amz-access-token" in request.headers or "authorization" in request.headers:
            return Response("Only one auth mechanism allowed", 400)
        if request.method == "PUT":
            self.documents[document_id] = await request.body()
            return Response()
        return Response(gzip.compress(self.documents[document_id]))

    async def _create_feed(self, request: Request) -> Response:
        body = await request.json()
        if body["inputFeedDocumentId"] not in self.documents or body["feedType"] != "JSON_LISTINGS_FEED":
            return _error(400, "InvalidInput", "The document has not been uploaded, or the type is not known.")
        self._number += 1
        feed_id = str(self._number)
        self.feeds[feed_id] = {
            "feedId": feed_id, "feedType": body["feedType"], "marketplaceIds": body["marketplaceIds"],
            "createdTime": self.moment(), "processingStatus": "IN_QUEUE", "due": self.now() + self.feed_lag_s,
            "document": body["inputFeedDocumentId"],
        }  # fmt: skip
        return JSONResponse({"feedId": feed_id}, 202)

    async def _get_feed(self, request: Request) -> Response:
        feed = self.feeds.get(request.path_params["id"])
        if feed is None:
            return _error(404, "NotFound", "The feed was not found.")
        return JSONResponse({name: value for name, value in feed.items() if name not in ("due", "document")})

    def _process(self, feed: dict[str, Any]) -> None:
        sent = json.loads(self.documents[feed["document"]])
        issues: list[dict[str, Any]] = []
        for message in sent["messages"][:_MESSAGES_MAX]:
            issue = self._take(message["sku"], message["patches"], self.now() + self.lag_s)
            if issue is not None:
                kept = {name: issue[name] for name in ("code", "severity", "message")}
                issues.append({"messageId": message["messageId"], "sku": message["sku"], **kept})
        invalid = len({issue["messageId"] for issue in issues})
        report = {
            "header": {"sellerId": self.seller_id, "version": "2.0", "feedId": feed["feedId"]},
            "issues": issues,
            "summary": {
                "errors": len(issues), "warnings": 0, "messagesProcessed": len(sent["messages"]),
                "messagesAccepted": len(sent["messages"]) - invalid, "messagesInvalid": invalid,
            },
        }  # fmt: skip
        result = f"{feed['document']}.report"
        self.documents[result] = json.dumps(report).encode()
        feed |= {
            "processingStatus": "DONE", "processingStartTime": self.moment(), "processingEndTime": self.moment(),
            "resultFeedDocumentId": result,
        }  # fmt: skip

    # Amazon's warehouses --------------------------------------------------------------------------------------------

    async def _summaries(self, request: Request) -> Response:
        query = request.query_params
        if query.get("granularityType") != "Marketplace" or "granularityId" not in query:
            return _error(400, "InvalidInput", "granularityType and granularityId are required.")
        start, skus = int(query.get("nextToken") or 0), sorted(self.warehouse)
        summaries = [
            {
                "asin": "B000000001", "fnSku": f"X{sku}", "sellerSku": sku, "condition": "NewItem",
                "inventoryDetails": {"fulfillableQuantity": self.warehouse[sku]}, "totalQuantity": self.warehouse[sku],
            }
            for sku in skus[start : start + 50]
        ]  # fmt: skip
        granularity = {"granularityType": "Marketplace", "granularityId": query["granularityId"]}
        answer: dict[str, Any] = {"payload": {"granularity": granularity, "inventorySummaries": summaries}}
        if start + 50 < len(skus):
            answer["pagination"] = {"nextToken": str(start + 50)}
        return JSONResponse(answer)

    async def _create_fulfilment(self, request: Request) -> Response:
        body = await request.json()
        fulfilment_id = body["sellerFulfillmentOrderId"]
        if fulfilment_id in self.fulfilments:
            return _error(400, "InvalidInput", "A fulfillment order with this id exists already.")
        if not {item["sellerSku"] for item in body["items"]} <= set(self.warehouse):
            return _error(400, "InvalidInput", "A SKU is not in the fulfillment network.")
        wanted = {item["sellerSku"]: 0 for item in body["items"]}
        for item in body["items"]:
            wanted[item["sellerSku"]] += item["quantity"]
        is_there = all(self.warehouse[sku] >= units for sku, units in wanted.items())
        lost = 0 if is_there else 1
        order = {name: value for name, value in body.items() if name not in ("items", "notificationEmails")}
        order |= {
            "receivedDate": self.moment(),
            "fulfillmentOrderStatus": "Received",
            "statusUpdatedDate": self.moment(),
        }
        self.fulfilments[fulfilment_id] = {
            "fulfillmentOrder": order,
            "fulfillmentOrderItems": [
                item | {"cancelledQuantity": 0, "unfulfillableQuantity": item["quantity"] * lost}
                for item in body["items"]
            ],
            "fulfillmentShipments": [], "returnItems": [], "returnAuthorizations": [],
        }  # fmt: skip
        if is_there:
            for sku, units in wanted.items():
                self.count(sku, self.warehouse[sku] - units)
        self._become(self.fulfilments[fulfilment_id], "Planning" if is_there else "Unfulfillable")
        return JSONResponse({})

    async def _get_fulfilment(self, request: Request) -> Response:
        found = self.fulfilments.get(request.path_params["id"])
        if found is None:
            return _error(404, "NotFound", "The fulfillment order was not found.")
        return JSONResponse({"payload": found})

    async def _list_fulfilments(self, request: Request) -> Response:
        since = datetime.fromisoformat(request.query_params.get("queryStartDate", "2000-01-01T00:00:00Z"))
        start = int(request.query_params.get("nextToken") or 0)
        rows = [f["fulfillmentOrder"] for f in self.fulfilments.values()]
        rows = [row for row in rows if datetime.fromisoformat(row["statusUpdatedDate"]) >= since]
        payload: dict[str, Any] = {"fulfillmentOrders": rows[start : start + 20]}
        if start + 20 < len(rows):
            payload["nextToken"] = str(start + 20)
        return JSONResponse({"payload": payload})

    async def _cancel_fulfilment(self, request: Request) -> Response:
        found = self.fulfilments.get(request.path_params["id"])
        if found is None:
            return _error(404, "NotFound", "The fulfillment order was not found.")
        if found["fulfillmentOrder"]["fulfillmentOrderStatus"] not in ("Received", "Planning"):
            return _error(400, "InvalidInput", "The fulfillment order cannot be cancelled any more.")
        for item in found["fulfillmentOrderItems"]:
            item["cancelledQuantity"] = item["quantity"]
            self.count(item["sellerSku"], self.warehouse[item["sellerSku"]] + item["quantity"])
        self._become(found, "Cancelled")
        return JSONResponse({})

    # By hand --------------------------------------------------------------------------------------------------------

    async def _add_product(self, request: Request) -> Response:
        return JSONResponse({"id": self.add_product(**await request.json())})

    async def _buy(self, request: Request) -> Response:
        body = await request.json()
        try:
            return JSONResponse(self.buy(body["lines"], paid=body.get("paid", True), force=body.get("force", False)))
        except LookupError as error:
            return _error(409, "SoldOut", str(error))

    async def _advance(self, request: Request) -> Response:
        self.advance((await request.json())["seconds"])
        return JSONResponse({"now": self.moment()})

    async def _state(self, _: Request) -> Response:
        shown = {sku: listing.quantity for sku, listing in self.listings.items()}
        return JSONResponse({"shown": shown, "warehouse": self.warehouse, "orders": self.orders})


_PARTS = {"BUYER": "buyer", "RECIPIENT": "recipient", "PROCEEDS": "proceeds", "PACKAGES": "packages"}


def _place(request: Request, document_id: str) -> str:
    """Where a document is stored, as an address that needs no sign of who asks."""
    host, port = request.scope["server"]
    return f"{request.url.scheme}://{host}:{port}/_store/{document_id}"


def _included(order: Mapping[str, Any], included: str) -> dict[str, Any]:
    """An order with the datasets that were asked for. What is not paid has no amounts anyway."""
    asked = included.split(",")
    left_out = {part for name, part in _PARTS.items() if name not in asked}
    if "FULFILLMENT" not in asked:
        left_out.add("fulfillment")
    return {name: value for name, value in order.items() if name not in left_out}


def _shipped(packages: list[dict[str, Any]]) -> dict[str, int]:
    units: dict[str, int] = {}
    for package in packages:
        for item in package["packageItems"]:
            units[item["orderItemId"]] = units.get(item["orderItemId"], 0) + item["quantity"]
    return units


def _issue(code: str, message: str, category: str) -> dict[str, Any]:
    return {"code": code, "message": message, "severity": "ERROR", "categories": [category]}
