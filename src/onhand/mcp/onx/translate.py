"""Between the standard's documents and ours. Pure: values in, values out.

The standard counts money in major units, as a number (12.5); we in minor units of a currency (1250). Both ways go by
way of decimals, so that what is read is what was written. What one of us has and the other has not is in
docs/how-to/mcp.md.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from onhand.base.money import EXPONENTS
from onhand.mcp.model import Json, ToolError
from onhand.mcp.onx.errors import cannot
from onhand.mcp.onx.schemas import EMAIL_PATTERN

TENANT: Final = "default"
"""One server is one merchant."""
EVERYWHERE: Final = "all"
"""Location of inventory that was asked for without a location: the sum over all nodes."""

_EMAIL: Final = re.compile(EMAIL_PATTERN)
_ADDRESS: Final = (
    "firstName", "lastName", "company", "address1", "address2", "city", "stateOrProvince", "zipCodeOrPostalCode",
    "country", "phone", "email",
)  # fmt: skip
_NOTE: Final = "note"
_DISPOSITIONS: Final = ("restock", "damaged", "inspect")

# What a new order of the standard may say and we would not do: money that we do not count, and what others have done.
_NOT_KEPT: Final = {
    "orderDiscount": "state prices of lines after the discount",
    "discounts": "state prices of lines after the discount",
    "payments": "payments are made through a channel of payments: see POST /v1/orders",
    "refunds": "a new order has none",
    "shippingPrice": "prices of shipping are the shop's: it is not a part of what is kept here",
    "shippingCarrier": "sourcing chooses the carrier; ask for a service by shippingClass",
    "shippingCode": "sourcing chooses the carrier; ask for a service by shippingClass",
    "status": "an order begins where sourcing puts it; to hold it, call update-order after it was made",
}


def major(minor: int, currency: str | None) -> float | int:
    """1250 EUR as 12.5."""
    digits = EXPONENTS.get(currency or "", 2)
    return float(Decimal(minor).scaleb(-digits)) if digits else minor


def minor(amount: float, currency: str, field: str) -> int:
    """12.5 EUR as 1250. Raises ToolError for parts of a cent."""
    if currency not in EXPONENTS:
        raise ToolError.at("order.currency", f"expected a currency of ISO 4217, got {currency[:10]!r}")
    # As it was written: 0.1 and not its neighbour among binary fractions.
    exact = Decimal(str(amount)).scaleb(EXPONENTS[currency])
    if exact != exact.to_integral_value():
        raise ToolError.at(field, f"{currency} has {EXPONENTS[currency]} decimal places")
    return int(exact)


def units(quantity: float, field: str) -> int:
    """Raises ToolError for parts of a unit."""
    if quantity != int(quantity):
        raise ToolError.at(field, "expected whole units")
    return int(quantity)


# Ours to theirs -----------------------------------------------------------------------------------


def order(found: Json, *, with_lines: bool = True) -> Json:
    """An order with all that happened to it."""
    currency = found["currency"]
    total = sum(line["price_minor"] * line["quantity"] for line in found["lines"])
    promise: Json = found["promise"] or {}
    taxes = [line["tax_minor"] for line in found["lines"] if line["tax_minor"] is not None]
    document: Json = {
        "id": found["order_id"],
        "externalId": found["external_id"],
        "createdAt": found["placed_at"],
        "updatedAt": _last(found, found["created_at"]),
        "tenantId": TENANT,
        "name": found["external_id"],
        "status": found["status"],
        "currency": currency,
        "orderSource": found["channel"],
        "subTotalPrice": major(total, currency),
        "totalPrice": major(total, currency),
        "shippingAddress": _destination(found["destination"]),
        "lineItems": [_line(line, currency) for line in found["lines"]] if with_lines else [],
        "customFields": _custom(
            queue=found["queue"], hold=found["hold"], promisedBy=promise.get("deliver_by"),
            method=found["method"], customerId=found["customer_id"],
        ),
    }  # fmt: skip
    if taxes:
        document["orderTax"] = major(sum(taxes), currency)
    return document


def _last(found: Json, first: str, subject: str | None = None) -> str:
    """When it last changed, or some part of it did."""
    moments = [row["at"] for row in found["timeline"] if subject is None or row["subject"] == subject]
    return max([first, *moments])


def _line(line: Json, currency: str) -> Json:
    cancelled = line["cancelled"]
    return {
        "id": line["line_id"],
        "sku": line["sku"],
        "quantity": line["quantity"],
        "unitPrice": major(line["price_minor"], currency),
        "totalPrice": major(line["price_minor"] * line["quantity"], currency),
        "customFields": _custom(
            cancelled=cancelled or None, shipped=line["shipped"] or None, returned=line["returned"] or None
        ),
    }


def _destination(place: Json) -> Json:
    named = {
        "country": place["country"],
        "zipCodeOrPostalCode": place.get("postal_code"),
        "stateOrProvince": place.get("region"),
    }
    return {name: value for name, value in named.items() if value}


def _custom(**values: Any) -> list[Json]:
    return [{"name": f"onhand.{name}", "value": str(value)} for name, value in values.items() if value is not None]


def fulfillment(found: Json, part: Json) -> Json:
    """A fulfilment `part` of the order `found`."""
    decided = {plan["plan_id"]: plan["at"] for plan in found["plans"]}
    created = decided.get(part["plan_id"], found["created_at"])
    parcels = [s for s in found["shipments"] if s["fulfilment_id"] == part["fulfilment_id"]]
    document: Json = {
        "id": part["fulfilment_id"],
        "createdAt": created,
        "updatedAt": _last(found, created, part["fulfilment_id"]),
        "tenantId": TENANT,
        "orderId": found["order_id"],
        "locationId": part["node"],
        "status": part["status"],
        "lineItems": [{"id": u["line_id"], "sku": u["sku"], "quantity": u["quantity"]} for u in part["lines"]],
        "trackingNumbers": [s["tracking"] for s in parcels if s["tracking"]],
        "expectedDeliveryDate": part["deliver_by"],
        "shipByDate": part["ship_by"],
        "shippingAddress": _destination(found["destination"]),
    }
    for name, value in (("shippingCarrier", part["carrier"]), ("shippingClass", part["service"])):
        if value is not None:
            document[name] = value
    return document


def inventory(sku: str, location: str, positions: Sequence[Json]) -> Json:
    """Units of `sku`: of one position, or of all together."""
    on_hand = sum(row["on_hand"] for row in positions)
    available = sum(row["available"] for row in positions)
    return {
        "tenantId": TENANT,
        "locationId": location,
        "sku": sku,
        "onHand": on_hand,
        # Theirs has what is promised to orders in it: on hand less unavailable is available.
        "unavailable": on_hand - available,
        "available": available,
    }


def product(item: Json) -> Json:
    """An item: ours has no options, so each is a product of one variant."""
    return {
        "id": item["sku"],
        "createdAt": item["created_at"],
        "updatedAt": item["updated_at"],
        "tenantId": TENANT,
        "name": item["name"],
        "options": [],
        "categories": [item["category"]] if item["category"] else [],
        "customFields": _custom(components=_components(item), releaseAt=item["release_at"]),
    }


def _components(item: Json) -> str | None:
    return ", ".join(f"{part['quantity']} {part['sku']}" for part in item["components"]) or None


def variant(item: Json) -> Json:
    """An item."""
    document: Json = {
        "id": item["sku"],
        "productId": item["sku"],
        "sku": item["sku"],
        "createdAt": item["created_at"],
        "updatedAt": item["updated_at"],
        "tenantId": TENANT,
        "title": item["name"],
        "selectedOptions": [],
    }
    currency = item["currency"]
    for amount, name, of in (("price_minor", "price", "currency"), ("unit_cost_minor", "cost", "costCurrency")):
        if item[amount] is not None and currency is not None:
            document |= {name: major(item[amount], currency), of: currency}
    if item["weight_g"]:
        document["weight"] = {"value": item["weight_g"], "unit": "g"}
    sides = [item[name] for name in ("length_mm", "width_mm", "height_mm")]
    if all(sides):
        named = zip(("length", "width", "height"), sides, strict=True)
        document["dimensions"] = {name: side / 10 for name, side in named} | {"unit": "cm"}
    return document


def customer(person: Json) -> Json:
    """A person; of one who was erased the id is left."""
    first, _, last = (person["name"] or "").strip().rpartition(" ")
    document: Json = {
        "id": person["customer_id"],
        "createdAt": person["created_at"],
        "updatedAt": person["erased_at"] or person["created_at"],
        "tenantId": TENANT,
        "status": "erased" if person["erased_at"] else "active",
    }
    if last:
        document |= {"lastName": last} | ({"firstName": first} if first else {})
    if person["phone"]:
        document["phone"] = person["phone"]
    if person["email"]:
        # Their pattern is narrower than what mail allows.
        is_theirs = _EMAIL.match(person["email"]) is not None
        document |= {"email": person["email"]} if is_theirs else {"customFields": _custom(email=person["email"])}
    if address := person["address"]:
        known = {name: value for name, value in address.items() if name in _ADDRESS and value}
        if "email" in known and not _EMAIL.match(known["email"]):
            del known["email"]
        others = {name: value for name, value in address.items() if name not in _ADDRESS and name != _NOTE and value}
        document["addresses"] = [{"name": "shipping", "address": known}]
        if others:
            document.setdefault("customFields", []).extend(_custom(**others))
        if address.get(_NOTE):
            document["notes"] = address[_NOTE]
    return document


def returned(found: Json, row: Json) -> Json:
    """Units of the order `found` that came back. Ours says neither why, nor what the customer gets for it."""
    return {
        "id": row["return_id"],
        "createdAt": row["returned_at"],
        "updatedAt": row["returned_at"],
        "tenantId": TENANT,
        "orderId": found["order_id"],
        "status": "received",
        "outcome": "not_stated",
        "locationId": row["node"],
        "receivedAt": row["returned_at"],
        "totalQuantity": sum(line["quantity"] for line in row["lines"]),
        "returnLineItems": [
            {
                "orderLineItemId": line["line_id"],
                "sku": line["sku"],
                "quantityReturned": line["quantity"],
                "returnReason": "not_stated",
                "inspection": {"dispositionOutcome": row["disposition"]},
            }
            for line in row["lines"]
        ],
    }


# Theirs to ours -----------------------------------------------------------------------------------


def new_order(wanted: Json, prices: Mapping[str, int | None], *, once: str) -> tuple[Json, list[str]]:
    """A body of POST /v1/orders, and the fields that were left out because they say nothing that we keep.

    prices  minor units of a unit by sku, for lines that state none
    once    external id, where none is given

    Raises ToolError.
    """
    for name, remedy in _NOT_KEPT.items():
        if wanted.get(name) not in (None, [], 0, ""):
            raise cannot(f"order.{name}", remedy)
    for name, meaning in (("orderSource", "code of a channel of this server"), ("currency", "such as EUR")):
        if not wanted.get(name):
            raise ToolError.at(f"order.{name}", f"required: {meaning}")
    address: Json = wanted.get("shippingAddress") or {}
    if not address.get("country"):
        raise ToolError.at("order.shippingAddress.country", "required: such as DE")
    currency = wanted["currency"]
    body: Json = {
        "channel": wanted["orderSource"],
        "external_id": wanted.get("externalId") or once,
        "currency": currency,
        "destination": place(address),
        "lines": [
            _new_line(line, currency, prices, f"order.lineItems[{n}]", n) for n, line in enumerate(wanted["lineItems"])
        ],
    }
    if wanted.get("shippingClass"):
        body["service"] = wanted["shippingClass"]
    if person := _person(wanted, address):
        body["customer"] = person
    kept = {
        "orderSource", "currency", "externalId", "shippingAddress", "lineItems", "shippingClass", "customer",
        "orderNote", *_NOT_KEPT,
    }  # fmt: skip
    return body, sorted(f"order.{name}" for name in wanted if name not in kept)


def place(address: Json) -> Json:
    """Where it goes, of an address; {} of one that says nothing of it."""
    named = {
        "country": address.get("country"),
        "postal_code": address.get("zipCodeOrPostalCode"),
        "region": address.get("stateOrProvince"),
    }
    return {name: value for name, value in named.items() if value}


def _new_line(line: Json, currency: str, prices: Mapping[str, int | None], field: str, place: int) -> Json:
    if "unitPrice" in line:
        price = minor(line["unitPrice"], currency, f"{field}.unitPrice")
        price -= minor(line.get("unitDiscount", 0), currency, f"{field}.unitDiscount")
        if price < 0:
            raise ToolError.at(f"{field}.unitDiscount", "expected at most unitPrice")
    else:
        known = prices.get(line["sku"])
        if known is None:
            raise ToolError.at(f"{field}.unitPrice", "required")
        price = known
    return {
        "line_id": line.get("id") or str(place + 1),
        "sku": line["sku"],
        "quantity": units(line["quantity"], f"{field}.quantity"),
        "price_minor": price,
    }


def _person(wanted: Json, place: Json) -> Json:
    """Who ordered, with the address and the note: personal data, which is erased on request."""
    person: Json = wanted.get("customer") or {}
    name = " ".join(part for key in ("firstName", "lastName") if (part := person.get(key) or place.get(key)))
    address = {key: place[key] for key in _ADDRESS if place.get(key)}
    if wanted.get("orderNote"):
        address[_NOTE] = wanted["orderNote"]
    named = {
        "name": name,
        "email": person.get("email") or place.get("email"),
        "phone": person.get("phone") or place.get("phone"),
        "address": address,
    }
    told = {key: value for key, value in named.items() if value}
    # A country alone is nobody.
    return told if set(told) != {"address"} or set(address) - {"country", "zipCodeOrPostalCode"} else {}


def lines_of(wanted: Sequence[Json], lines: Sequence[Json], field: str, parts: Sequence[Json] = ()) -> list[Json]:
    """(line_id, quantity) of lines that are named by their id or, where that says enough, by their sku.

    lines  of the order: bundles as a whole
    parts  units of its fulfilments: a component of a bundle may be named by its own sku

    Raises ToolError.
    """
    found: list[Json] = []
    for n, line in enumerate(wanted):
        named = line.get("id") or line.get("orderLineItemId")
        whole = {row["line_id"] for row in lines if (row["line_id"] == named if named else row["sku"] == line["sku"])}
        some = set[str]() if whole or named else {row["line_id"] for row in parts if row["sku"] == line["sku"]}
        if len(ids := whole | some) != 1:
            told = "several lines have this sku: name one by its id" if ids else "the order has no such line"
            raise ToolError.at(f"{field}[{n}].{'id' if named else 'sku'}", told)
        quantity = units(line.get("quantity", line.get("quantityReturned", 1)), f"{field}[{n}].quantity")
        found.append({"line_id": ids.pop(), "quantity": quantity} | ({"sku": line["sku"]} if some else {}))
    return found


def disposition(lines: Sequence[Json]) -> str:
    """What becomes of what came back, `inspect` where nobody says. Raises ToolError."""
    inspections: list[Json] = [line.get("inspection") or {} for line in lines]
    said = {str(seen.get("dispositionOutcome") or "inspect") for seen in inspections}
    field = "return.returnLineItems[0].inspection.dispositionOutcome"
    if len(said) > 1:
        raise ToolError.at(field, "the lines of a return go one way: make a return for each")
    (outcome,) = said
    if outcome not in _DISPOSITIONS:
        raise ToolError.at(field, f"expected one of {', '.join(_DISPOSITIONS)}")
    return outcome
