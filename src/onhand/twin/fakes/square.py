"""A merchant at Square, as its OpenAPI (2025-08-20) and its pages on inventory say; no recording of one was seen.

What it keeps of the real one: counts and adjustments are applied by the moment they occurred at, however they come; a
key that comes again with the same body is answered as before, with another body refused; orders have versions;
one wrong change and nothing of a call is written; its messages sign the address they are sent to and the body.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults

_CHANGES_MAX = 100
_OLD = timedelta(hours=24)
_AHEAD = timedelta(seconds=30)  # clocks that differ
_PAGE_MAX = 1_000
_CATALOG_PAGE = 100
_ENDED = ("COMPLETED", "CANCELED", "FAILED")


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(status: int, code: str, detail: str, category: str = "INVALID_REQUEST_ERROR") -> Response:
    return JSONResponse({"errors": [{"category": category, "code": code, "detail": detail}]}, status)


class Shop:
    """The state of a merchant with one location. token: of its API; hook_secret: signs its messages to `hook_url`."""

    def __init__(self, *, token: str = "EAAA_fake", hook_secret: str = "hook", place: str = "L1") -> None:  # noqa: S107
        self.token, self.hook_secret, self.place = token, hook_secret, place
        self.variations: dict[str, dict[str, Any]] = {}
        self.uncounted: set[str] = set()
        self.changes: list[dict[str, Any]] = []  # as they came
        self.orders: dict[str, dict[str, Any]] = {}
        self._keys: dict[str, tuple[str, dict[str, Any]]] = {}
        self._id = 100

    def app(self) -> Faults:
        """As an ASGI application."""
        routes = [
            Route("/v2/catalog/list", self._catalog),
            Route("/v2/inventory/changes/batch-create", self._change, methods=["POST"]),
            Route("/v2/inventory/changes/batch-retrieve", self._list_changes, methods=["POST"]),
            Route("/v2/inventory/counts/batch-retrieve", self._counts, methods=["POST"]),
            Route("/v2/orders/search", self._search, methods=["POST"]),
            Route("/v2/orders/{id}", self._order, methods=["GET", "PUT"]),
        ]
        control = [
            Route("/_fake/product", self._add_product, methods=["POST"]),
            Route("/_fake/buy", self._buy, methods=["POST"]),
            Route("/_fake/sell", self._sell, methods=["POST"]),
            Route("/_fake/state", self._state),
        ]
        return Faults(Starlette(routes=routes), routes=control)

    # What a merchant and his customers do ---------------------------------------------------------------------------

    def add_product(self, sku: str, stock: int, price: int = 1999) -> str:
        """A variation whose stock is counted; its id. price: in minor units."""
        found = self._next("V")
        self.variations[found] = {"sku": sku, "price": price}
        self.count(found, stock, datetime.now(UTC) - timedelta(minutes=1))
        return found

    def stock(self, variation: str) -> int:
        """What it has in stock: the last count, and what happened after it."""
        mine = [c for c in self.changes if c["of"] == variation]
        units = 0
        for change in sorted(mine, key=lambda c: c["occurred_at"]):
            record = change["record"]
            if change["type"] == "PHYSICAL_COUNT":
                units = int(record["quantity"])
            else:
                units += int(record["quantity"]) * (
                    (record["to_state"] == "IN_STOCK") - (record["from_state"] == "IN_STOCK")
                )
        return units

    def sell(
        self,
        variation: str,
        quantity: int,
        *,
        at: datetime | None = None,
        product: str = "SQUARE_POS",
        back: bool = False,
    ) -> dict[str, Any]:
        """Units over the counter, or brought back."""
        moment = at or datetime.now(UTC)
        record = {
            "id": self._next("A"), "from_state": ("IN_STOCK", "SOLD")[back], "to_state": ("SOLD", "IN_STOCK")[back],
            "location_id": self.place, "catalog_object_id": variation, "catalog_object_type": "ITEM_VARIATION",
            "quantity": str(quantity), "occurred_at": _said(moment), "created_at": _said(at or datetime.now(UTC)),
            "source": {"product": product},
        }  # fmt: skip
        self._add("ADJUSTMENT", variation, moment, record)
        return record

    def buy(
        self, lines: Mapping[str, int], *, kind: str = "SHIPMENT", paid: bool = True, at: datetime | None = None
    ) -> dict[str, Any]:
        """An order of variations, whatever there is of them; kind "": over the counter, all of it handed over."""
        order_id, moment = self._next("O"), at or datetime.now(UTC)
        items: list[dict[str, Any]] = [
            {
                "uid": self._next("li"), "catalog_object_id": variation, "name": self.variations[variation]["sku"],
                "item_type": "ITEM", "quantity": str(quantity),
                "base_price_money": {"amount": self.variations[variation]["price"], "currency": "USD"},
            }
            for variation, quantity in lines.items()
        ]  # fmt: skip
        total = sum(int(i["quantity"]) * i["base_price_money"]["amount"] for i in items)
        recipient = {
            "display_name": "Ada Byron", "email_address": "ada@example.org", "phone_number": "+12125550100",
            "address": {
                "address_line_1": "1 Main", "locality": "New York", "administrative_district_level_1": "NY",
                "postal_code": "10001", "country": "US",
            },
        }  # fmt: skip
        order: dict[str, Any] = {
            "id": order_id, "location_id": self.place, "reference_id": f"#{self._id}", "line_items": items,
            "state": "OPEN" if kind else "COMPLETED", "version": 1,
            "created_at": _said(moment), "updated_at": _said(moment),
            "total_money": {"amount": total, "currency": "USD"},
            "net_amount_due_money": {"amount": 0 if paid else total, "currency": "USD"},
        }  # fmt: skip
        if kind:
            details = {"recipient": recipient} | ({"shipping_type": "Standard"} if kind == "SHIPMENT" else {})
            order["fulfillments"] = [
                {"uid": self._next("f"), "type": kind, "state": "PROPOSED", f"{kind.lower()}_details": details}
            ]
        self.orders[order_id] = order
        if paid:
            for variation, quantity in lines.items():
                self.sell(variation, quantity, at=at, product="ONLINE_STORE" if kind else "SQUARE_POS")
        return order

    def deliver(self, kind: str, about: Mapping[str, Any], url: str) -> tuple[dict[str, str], bytes]:
        """A signed message: `order.updated` about an order, or `inventory.count.updated` about {variation: units}."""
        if kind == "inventory.count.updated":
            counts = [self._shown(variation, str(units)) for variation, units in about.items()]
            data: dict[str, Any] = {
                "type": "inventory_counts",
                "id": secrets.token_hex(8),
                "object": {"inventory_counts": counts},
            }
        else:
            name = kind.replace(".", "_")
            fields = {key: about[key] for key in ("location_id", "state", "version", "created_at", "updated_at")}
            data = {"type": name, "id": about["id"], "object": {name: {"order_id": about["id"], **fields}}}
        message = {
            "merchant_id": "M1", "type": kind, "event_id": secrets.token_hex(16),
            "created_at": _said(datetime.now(UTC)), "data": data,
        }  # fmt: skip
        body = json.dumps(message).encode()
        digest = hmac.new(self.hook_secret.encode(), url.encode() + body, hashlib.sha256).digest()
        headers = {
            "content-type": "application/json",
            "x-square-hmacsha256-signature": base64.b64encode(digest).decode(),
        }
        return headers, body

    def _next(self, kind: str) -> str:
        self._id += 1
        return f"{kind}{self._id:08d}"

    def count(self, variation: str, units: int, moment: datetime | None = None) -> None:
        """So many were counted, as of a moment."""
        moment = moment or datetime.now(UTC)
        record = {
            "id": self._next("C"), "catalog_object_id": variation, "catalog_object_type": "ITEM_VARIATION",
            "state": "IN_STOCK", "location_id": self.place, "quantity": str(units), "occurred_at": _said(moment),
            "created_at": _said(datetime.now(UTC)),
        }  # fmt: skip
        self._add("PHYSICAL_COUNT", variation, moment, record)

    def _add(self, kind: str, variation: str, moment: datetime, record: dict[str, Any]) -> None:
        self.changes.append({"type": kind, "of": variation, "occurred_at": moment, "record": record})

    def _shown(self, variation: str, quantity: str | None = None) -> dict[str, Any]:
        return {
            "catalog_object_id": variation, "catalog_object_type": "ITEM_VARIATION", "state": "IN_STOCK",
            "location_id": self.place, "quantity": quantity or str(self.stock(variation)),
            "calculated_at": _said(datetime.now(UTC)),
        }  # fmt: skip

    async def _add_product(self, request: Request) -> Response:
        return JSONResponse({"id": self.add_product(**await request.json())})

    async def _buy(self, request: Request) -> Response:
        return JSONResponse(self.buy(**await request.json()))

    async def _sell(self, request: Request) -> Response:
        return JSONResponse(self.sell(**await request.json()))

    async def _state(self, _: Request) -> Response:
        shown = {variation: self.stock(variation) for variation in self.variations}
        return JSONResponse({"stock": shown, "orders": self.orders})

    # The interface --------------------------------------------------------------------------------------------------

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {self.token}":
            return None
        return _error(401, "UNAUTHORIZED", "This request could not be authorized.", "AUTHENTICATION_ERROR")

    def _paged(self, name: str, rows: Mapping[str, dict[str, Any]], cursor: str | None, limit: int) -> Response:
        """A page of rows by what they are sorted by. Its cursor is opaque; an empty page has no list."""
        after = base64.b64decode(cursor).decode() if cursor else ""
        left = sorted(key for key in rows if key > after)
        page: dict[str, Any] = {name: [rows[key] for key in left[:limit]]} if left else {}
        if len(left) > limit:
            page["cursor"] = base64.b64encode(left[limit - 1].encode()).decode()
        return JSONResponse(page)

    async def _catalog(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        rows = {
            found: {
                "type": "ITEM_VARIATION", "id": found, "is_deleted": False, "updated_at": _said(datetime.now(UTC)),
                "version": 1, "present_at_all_locations": True,
                "item_variation_data": {
                    "sku": v["sku"], "name": "Regular", "price_money": {"amount": v["price"], "currency": "USD"},
                },
            }
            for found, v in self.variations.items()
        }  # fmt: skip
        return self._paged("objects", rows, request.query_params.get("cursor"), _CATALOG_PAGE)

    async def _counts(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = await request.json()
        is_here = self.place in (asked.get("location_ids") or [self.place])
        rows = {v: self._shown(v) for v in self.variations if is_here and v not in self.uncounted}
        return self._paged("counts", rows, asked.get("cursor"), min(asked.get("limit") or _PAGE_MAX, _PAGE_MAX))

    async def _list_changes(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = await request.json()
        after, kinds = asked.get("updated_after") or "", asked.get("types") or ("PHYSICAL_COUNT", "ADJUSTMENT")
        found = [c for c in self.changes if c["type"] in kinds and c["record"]["created_at"] > after]
        rows = {
            f"{c['record']['created_at']} {c['record']['id']}": {"type": c["type"], c["type"].lower(): c["record"]}
            for c in found
        }
        return self._paged("changes", rows, asked.get("cursor"), min(asked.get("limit") or _PAGE_MAX, _PAGE_MAX))

    def _again(self, key: str, asked: Mapping[str, Any]) -> Response | None:
        """The answer to a key that was there before."""
        if key not in self._keys:
            return None
        digest, answer = self._keys[key]
        if digest != json.dumps(asked, sort_keys=True):
            return _error(400, "IDEMPOTENCY_KEY_REUSED", "The idempotency key has already been used.")
        return JSONResponse(answer)

    async def _change(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = await request.json()
        if (again := self._again(asked["idempotency_key"], asked)) is not None:
            return again
        changes: list[dict[str, Any]] = asked.get("changes") or []
        now = datetime.now(UTC)
        if len(changes) > _CHANGES_MAX:
            return _error(400, "ARRAY_LENGTH_TOO_LONG", f"At most {_CHANGES_MAX} changes.")
        for number, change in enumerate(changes):
            if (wrong := self._wrong(change, number, now)) is not None:
                return wrong
        for change in changes:
            count = change["physical_count"]
            self.count(count["catalog_object_id"], int(count["quantity"]), datetime.fromisoformat(count["occurred_at"]))
        answer = {"counts": [self._shown(c["physical_count"]["catalog_object_id"]) for c in changes]}
        self._keys[asked["idempotency_key"]] = (json.dumps(asked, sort_keys=True), answer)
        return JSONResponse(answer)

    def _wrong(self, change: Mapping[str, Any], number: int, now: datetime) -> Response | None:
        if change.get("type") != "PHYSICAL_COUNT":
            return _error(400, "NOT_IMPLEMENTED", "This fake takes counts only.")
        count = change["physical_count"]
        if count["catalog_object_id"] not in self.variations:
            return _error(404, "NOT_FOUND", f"Object not found: changes[{number}].physical_count.catalog_object_id")
        if count["location_id"] != self.place:
            return _error(404, "NOT_FOUND", f"Location not found: changes[{number}].physical_count.location_id")
        if not isinstance(count["quantity"], str) or int(count["quantity"]) < 0:
            return _error(400, "INVALID_VALUE", f"changes[{number}].physical_count.quantity")
        if not now - _OLD <= datetime.fromisoformat(count["occurred_at"]) <= now + _AHEAD:
            return _error(400, "INVALID_TIME", f"changes[{number}].physical_count.occurred_at")
        return None

    async def _search(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = await request.json()
        wanted = asked["query"]["filter"]
        since = wanted["date_time_filter"]["updated_at"]["start_at"]
        kinds = wanted["fulfillment_filter"]["fulfillment_types"]
        rows = {
            f"{o['updated_at']} {o['id']}": o for o in self.orders.values()
            if o["updated_at"] >= since and o["location_id"] in asked["location_ids"]
            and any(f["type"] in kinds for f in o.get("fulfillments", ()))
        }  # fmt: skip
        return self._paged("orders", rows, asked.get("cursor"), min(asked.get("limit", 500), _PAGE_MAX))

    async def _order(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        order = self.orders.get(request.path_params["id"])
        if order is None:
            return _error(404, "NOT_FOUND", f"Order not found: {request.path_params['id']}")
        if request.method == "PUT":
            asked = await request.json()
            if (again := self._again(asked["idempotency_key"], asked)) is not None:
                return again
            if (wrong := self._update(order, asked["order"])) is not None:
                return wrong
            self._keys[asked["idempotency_key"]] = (
                json.dumps(asked, sort_keys=True),
                {"order": json.loads(json.dumps(order))},
            )
        return JSONResponse({"order": order})

    def _update(self, order: dict[str, Any], asked: Mapping[str, Any]) -> Response | None:
        """A sparse order put into an order: of each fulfilment what is given."""
        if asked.get("version") != order["version"]:
            return _error(409, "VERSION_MISMATCH", f"Expected version {order['version']}.")
        mine = {f["uid"]: f for f in order.get("fulfillments", ())}
        for change in asked.get("fulfillments", ()):
            fulfilment = mine.get(change["uid"])
            if fulfilment is None or fulfilment["state"] in _ENDED:
                return _error(400, "BAD_REQUEST", "A fulfillment that has ended cannot be changed.")
            fulfilment["state"] = change["state"]
            fulfilment.setdefault("shipment_details", {}).update(change.get("shipment_details", {}))
        if all(f["state"] in _ENDED for f in mine.values()):
            order["state"] = "COMPLETED"
        order["version"] += 1
        order["updated_at"] = _said(datetime.now(UTC))
        return None
