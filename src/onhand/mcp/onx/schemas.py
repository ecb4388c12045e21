"""The standard's schemas, written here from their parts: equal to the published ones but for their descriptions."""

from collections.abc import Mapping
from typing import Final

from onhand.mcp.schemas import BOOLEAN, NUMBER, STRING, Json, answer, closed, strings

INTEGER_MAX: Final = 2**53 - 1
"""What JavaScript counts exactly."""
PAGE_DEFAULT: Final = 10

MOMENT_PATTERN: Final = (
    r"^(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|\d{4}-(?:(?:0[13578]|1[02])-"
    r"(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:02)-(?:0[1-9]|1\d|2[0-8])))"
    r"T(?:(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:Z))$"
)
EMAIL_PATTERN: Final = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
)

_MOMENT: Final[Json] = {"type": "string", "format": "date-time", "pattern": MOMENT_PATTERN}
_EMAIL: Final[Json] = {"type": "string", "format": "email", "pattern": EMAIL_PATTERN}
_URL: Final[Json] = {"type": "string", "format": "uri"}
_AMOUNT: Final[Json] = {"type": "number", "minimum": 0}
_UNITS: Final[Json] = {"type": "number", "minimum": 1}
_SKU: Final[Json] = {"type": "string", "minLength": 1}
_OPEN: Final[Json] = {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": {}}}
_COUNT: Final[Json] = {"type": "integer", "minimum": -INTEGER_MAX, "maximum": INTEGER_MAX}


def _texts(*names: str) -> dict[str, Json]:
    return dict.fromkeys(names, STRING)


_CUSTOM: Final[Json] = {"type": "array", "items": closed(_texts("name", "value"), ("name", "value"))}
_MARKS: Final = {"customFields": _CUSTOM, "tags": strings()}
_OWN: Final = {
    "id": STRING, "externalId": STRING, "createdAt": _MOMENT, "updatedAt": _MOMENT, "tenantId": STRING,
}  # fmt: skip
_OWNED: Final = ("id", "createdAt", "updatedAt", "tenantId")
_ADDRESS: Final = closed(
    _texts(
        "address1", "address2", "city", "company", "country", "firstName", "lastName", "phone", "stateOrProvince",
        "zipCodeOrPostalCode",
    )
    | {"email": _EMAIL}
)  # fmt: skip


def _line(*required: str) -> Json:
    return {
        "type": "array",
        "items": closed(
            {
                "id": STRING, "sku": _SKU, "quantity": _UNITS, "unitPrice": _AMOUNT, "unitDiscount": _AMOUNT,
                "totalPrice": _AMOUNT, "name": STRING, "customFields": _CUSTOM,
            },
            required,
        ),
    }  # fmt: skip


_LINES: Final = _line("sku", "quantity")
_SHIPPING: Final[dict[str, Json]] = {
    "shippingAddress": _ADDRESS,
    "shippingPrice": NUMBER,
    **_texts("shippingCarrier", "shippingClass", "shippingCode", "shippingNote", "giftNote", "incoterms"),
}

# Documents ----------------------------------------------------------------------------------------

_CUSTOMER_FIELDS: Final[dict[str, Json]] = {
    **_OWN,
    **_MARKS,
    "addresses": {"type": "array", "items": closed({"name": STRING, "address": _ADDRESS}, ("address",))},
    "email": _EMAIL,
    **_texts("firstName", "lastName", "notes", "phone", "status", "type"),
}
CUSTOMER: Final = closed(_CUSTOMER_FIELDS, _OWNED)
_ORDER_FIELDS: Final[dict[str, Json]] = {
    **_MARKS,
    **_SHIPPING,
    **_texts("externalId", "name", "status", "currency", "orderNote", "orderSource", "paymentStatus"),
    **dict.fromkeys(("orderDiscount", "orderTax", "subTotalPrice", "totalPrice"), NUMBER),
    **dict.fromkeys(("discounts", "payments", "refunds"), _OPEN),
    "billingAddress": _ADDRESS,
    "customer": CUSTOMER,
    "lineItems": _LINES,
}
ORDER: Final = closed(_OWN | _ORDER_FIELDS, (*_OWNED, "lineItems"))
_FULFILLMENT_FIELDS: Final[dict[str, Json]] = {
    **_MARKS,
    **_SHIPPING,
    **dict.fromkeys(("expectedDeliveryDate", "expectedShipDate", "shipByDate"), _MOMENT),
    **_texts("locationId", "orderId", "status"),
    "lineItems": _LINES,
    "trackingNumbers": strings(),
}
FULFILLMENT: Final = closed(_OWN | _FULFILLMENT_FIELDS, (*_OWNED, "lineItems", "orderId", "trackingNumbers"))
INVENTORY: Final = closed(
    _texts("tenantId", "locationId", "sku") | dict.fromkeys(("onHand", "unavailable", "available"), _COUNT),
    ("tenantId", "locationId", "sku", "available"),
)
PRODUCT: Final = closed(
    {
        **_OWN,
        **_MARKS,
        **_texts("externalProductId", "name", "description", "handle", "status", "vendor"),
        "categories": strings(),
        "options": {"type": "array", "items": closed({"name": STRING, "values": strings()}, ("name", "values"))},
        "imageURLs": strings(),
    },
    (*_OWNED, "name", "options"),
)
VARIANT: Final = closed(
    {
        **_OWN,
        **_MARKS,
        **_texts(
            "productId", "externalProductId", "sku", "barcode", "upc", "title", "currency", "costCurrency"
        ),
        "selectedOptions": {"type": "array", "items": closed(_texts("name", "value"), ("name", "value"))},
        **dict.fromkeys(("price", "compareAtPrice", "cost"), NUMBER),
        **dict.fromkeys(("inventoryNotTracked", "taxable"), BOOLEAN),
        "weight": closed(
            {"value": NUMBER, "unit": STRING | {"enum": ["lb", "oz", "kg", "g"]}}, ("value", "unit")
        ),
        "dimensions": closed(
            dict.fromkeys(("length", "width", "height"), NUMBER) | {"unit": STRING | {"enum": ["cm", "in", "ft"]}},
            ("length", "width", "height", "unit"),
        ),
        "imageURLs": strings(_URL),
    },
    (*_OWNED, "productId", "sku"),
)  # fmt: skip
_RETURN_FIELDS: Final[dict[str, Json]] = {
    **_MARKS,
    **_texts(
        "externalId", "returnNumber", "orderId", "status", "outcome", "locationId", "refundMethod", "refundStatus",
        "refundTransactionId", "customerNote", "internalNote", "returnInstructions", "declineReason",
    ),
    **dict.fromkeys(
        (
            "totalQuantity", "returnTotal", "exchangeTotal", "refundAmount", "shippingRefundAmount",
            "returnShippingFees", "restockingFee",
        ),
        NUMBER,
    ),
    **dict.fromkeys(("requestedAt", "receivedAt", "completedAt"), _MOMENT),
    "statusPageUrl": _URL,
    "returnShippingAddress": _ADDRESS,
    "returnMethod": closed(
        {"provider": STRING, "methodType": STRING, "address": _ADDRESS, "qrCodeUrl": _URL, "updatedAt": _MOMENT}
    ),
    "labels": {
        "type": "array",
        "items": closed(
            {
                "status": STRING, "carrier": STRING, "trackingNumber": STRING, "url": _URL, "rate": NUMBER,
                "createdAt": _MOMENT, "updatedAt": _MOMENT,
            },
            ("carrier", "trackingNumber"),
        ),
    },
    "returnLineItems": {
        "type": "array",
        "items": closed(
            {
                **_texts("id", "orderLineItemId", "sku", "returnReason", "name"),
                "quantityReturned": _UNITS,
                "inspection": closed(
                    {
                        **_texts(
                            "conditionCategory", "dispositionOutcome", "warehouseLocationId", "note", "inspectedBy"
                        ),
                        "inspectedAt": _MOMENT,
                        "images": strings(_URL),
                    }
                ),
                "unitPrice": NUMBER,
                "refundAmount": _AMOUNT,
                "restockFee": _AMOUNT,
            },
            ("orderLineItemId", "sku", "quantityReturned", "returnReason"),
        ),
    },
    "exchangeLineItems": {
        "type": "array",
        "items": closed(
            {
                **_texts("id", "exchangeOrderId", "exchangeOrderName", "sku", "name"),
                "quantity": _UNITS, "unitPrice": NUMBER,
            },
            ("sku", "quantity"),
        ),
    },
}  # fmt: skip
_RETURN_NEEDS: Final = ("orderId", "outcome", "returnLineItems")
RETURN: Final = closed(_OWN | _RETURN_FIELDS, (*_OWNED, *_RETURN_NEEDS))

# Arguments ----------------------------------------------------------------------------------------

_TIMES: Final = dict.fromkeys(("updatedAtMin", "updatedAtMax", "createdAtMin", "createdAtMax"), _MOMENT)
_PAGING: Final[dict[str, Json]] = {
    "pageSize": {"default": PAGE_DEFAULT, "type": "integer", "exclusiveMinimum": 0, "maximum": INTEGER_MAX},
    "skip": {"default": 0, "type": "integer", "minimum": 0, "maximum": INTEGER_MAX},
}


def _query(*lists: str, more: Mapping[str, Json] | None = None) -> Json:
    return closed({**dict.fromkeys(lists, strings()), **(more or {}), **_TIMES, **_PAGING})


_UPDATES: Final = {
    **_ORDER_FIELDS, "tenantId": STRING, "lineItems": _line("sku", "quantity", "unitPrice"),
}  # fmt: skip
INPUTS: Final[dict[str, Json]] = {
    "create-sales-order": closed({"order": closed(_ORDER_FIELDS, ("lineItems",))}, ("order",)),
    "cancel-order": closed(
        {
            **_texts("orderId", "reason", "notes"),
            "notifyCustomer": BOOLEAN,
            "lineItems": {
                "type": "array",
                "items": closed({"sku": _SKU, "quantity": _UNITS, "id": STRING}, ("sku", "quantity")),
            },
        },
        ("orderId",),
    ),
    "update-order": closed({"id": STRING, "updates": closed(_UPDATES)}, ("id", "updates")),
    "fulfill-order": closed(_FULFILLMENT_FIELDS, ("lineItems", "orderId", "trackingNumbers")),
    "create-return": closed({"return": closed(_RETURN_FIELDS, _RETURN_NEEDS)}, ("return",)),
    "get-orders": _query(
        "ids", "externalIds", "statuses", "names", more={"includeLineItems": BOOLEAN | {"default": True}}
    ),
    "get-customers": _query("ids", more={"emails": strings(_EMAIL)}),
    "get-products": _query("ids", "skus"),
    "get-product-variants": _query("variantIds", "skus", "productIds"),
    "get-inventory": closed({"skus": strings(), "locationIds": strings()}, ("skus",)),
    "get-fulfillments": _query("ids", "orderIds"),
    "get-returns": _query("ids", "orderIds", "returnNumbers", "statuses", "outcomes"),
}
DOCUMENTS: Final[dict[str, Json]] = {
    "order": ORDER, "customer": CUSTOMER, "fulfillment": FULFILLMENT, "inventory": INVENTORY, "product": PRODUCT,
    "product-variant": VARIANT, "return": RETURN,
}  # fmt: skip


def result(name: str, document: Json) -> Json:
    """What a tool answers: `success`, and its documents under `name`."""
    return answer({"success": {"const": True}, name: document})
