"""What OpenAPI says of the hot routes: request schemas from the very Structs they decode, answers by hand."""

from typing import Any

import msgspec

from onhand.api.context import REASON_LENGTH_MAX
from onhand.api.problems import problem_responses
from onhand.ledger.intake import EntryIn
from onhand.orders.intake import OrderIn, PromiseIn, ReservationIn

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"


def _object(properties: Json, says: str = "", *, optional: tuple[str, ...] = ()) -> Json:
    return {
        "type": "object",
        **_says({}, says),
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _says(schema: Json, text: str) -> Json:
    """`schema` in words."""
    return {**schema, "description": text} if text else schema


def _only(properties: Json) -> Json:
    """A request with these members and no other."""
    return {**_object(properties), "additionalProperties": False}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": _REF.format(name=name)}


_TEXT: Json = {"type": "string"}
_INT: Json = {"type": "integer"}
_TIME: Json = {"type": "string", "format": "date-time"}
_NULL_TEXT: Json = {"type": ["string", "null"]}
_NULL_TIME: Json = {"type": ["string", "null"], "format": "date-time"}
_COST: Json = {
    "type": "object",
    "description": "minor units by cost term; they add up to cost_minor",
    "additionalProperties": {"type": "integer"},
}
_LINES = _list(_object({"line_id": _TEXT, "sku": _TEXT, "quantity": _INT}))

_SCHEMAS: Json = {
    "OrderFulfilment": _object(
        {
            "fulfilment_id": _TEXT,
            "node": _TEXT,
            "carrier": _says(_NULL_TEXT, "null: it is picked up"),
            "service": _TEXT,
            "lines": _LINES,
            "cost": _COST,
            "cost_minor": _says(_INT, "sum of its terms, in minor units"),
            "co2_g": _INT,
            "ship_by": _says(_TIME, "when it leaves the node"),
            "deliver_by": _says(_TIME, "when it is there at the latest, with the policy's confidence"),
        },
        "Lines of the order that leave one node together, and what that is to cost.",
    ),
    "OrderAnswer": _object(
        {
            "order_id": {"type": "string", "format": "uuid"},
            "status": {"enum": ["sourced", "backordered", "held", "unfillable"]},
            "queue": _says(_NULL_TEXT, "where a part of it waits, if one does"),
            "promise": {
                "description": "the day that may be told to the customer, and how likely it is kept; null: none",
                "anyOf": [_object({"deliver_by": _TIME, "confidence": {"type": "number"}}), {"type": "null"}],
            },
            "fulfilments": _list(_ref("OrderFulfilment")),
            "waiting": _list(
                _object(
                    {
                        "line_id": _TEXT,
                        "sku": _TEXT,
                        "quantity": _INT,
                        "queue": _TEXT,
                        "expected_at": _NULL_TIME,
                    }
                )
            ),
            "plan_id": _says(_TEXT, "`GET /v1/plans/{plan_id}` says why"),
        },
        "How an order is served: what leaves where and when, what waits, and the plan that says why.",
    ),
    "RejectedRow": {
        **_object(
            {"status": {"const": "rejected"}, "code": _TEXT, "detail": _TEXT}, "A row that was refused, and why."
        ),
        "additionalProperties": True,
    },
    "ReservationAnswer": _object(
        {
            "reservation_id": {"type": "string", "format": "uuid"},
            "expires_at": _TIME,
            "lines": _list(_object({"sku": _TEXT, "quantity": _INT, "node": _TEXT})),
        },
        "Units held for a cart, each on its node.",
    ),
    "PromiseOption": _object(
        {
            "option": {"enum": ["cheapest", "fastest", "greenest"]},
            "deliver_by": _TIME,
            "confidence": {"type": "number"},
            "cost_minor": _INT,
            "co2_g": _INT,
            "fulfilments": _list(
                _object(
                    {
                        "node": _TEXT,
                        "carrier": _NULL_TEXT,
                        "service": _TEXT,
                        "lines": _list(_object({"sku": _TEXT, "quantity": _INT})),
                        "cost": _COST,
                        "ship_by": _TIME,
                        "deliver_by": _TIME,
                    }
                )
            ),
        },
        "One way to serve the basket, and the day that may be told to the customer.",
    ),
    "PromiseAnswer": _object(
        {
            "options": _list(_ref("PromiseOption")),
            "missing": {
                "type": "object",
                "description": "units by sku that no shelf has; then there is no option",
                "additionalProperties": {"type": "integer"},
            },
        },
        "Ways to serve a basket, or what is missing.",
    ),
    "Availability": _object(
        {
            "sku": _TEXT,
            "channel": _NULL_TEXT,
            "ats": _says(_INT, "units available to sell; the sum of the terms"),
            "atp": _says(
                _list(_object({"date": {"type": "string", "format": "date"}, "units": _INT})),
                "units available to promise by the end of that day; only days on which it changes",
            ),
            "terms": _list(
                {
                    **_object({"term": _TEXT, "units": _INT}),
                    "description": "`available` terms also carry node, on_hand, unavailable, allocated and ledger",
                    "additionalProperties": True,
                }
            ),
            "at": _says(_TIME, "the past moment that was asked for"),
            "per_bundle": _says(_INT, "units of the component in one bundle"),
            "components": _list(_ref("Availability")),
        },
        "What a channel may sell now, as a sum of terms that anybody can check; and what may be promised by a day.",
        optional=("at", "per_bundle", "components"),
    ),
    "EntryResult": _object(
        {
            "status": {"enum": ["applied", "rejected"]},
            "entry_id": {"type": ["integer", "null"]},
            "on_hand": _says({"type": ["integer", "null"]}, "at the position, after it"),
            "available": _says({"type": ["integer", "null"]}, "at the position, after it"),
            "code": _TEXT,
            "message": _TEXT,
        },
        "What became of an entry: the ledger has it, or why not.",
        optional=("code", "message"),
    ),
}

_BERLIN = {"country": "DE", "postal_code": "10115", "latitude": 52.53, "longitude": 13.38}
_ORDER_EXAMPLE = {
    "channel": "web",
    "external_id": "1001",
    "currency": "EUR",
    "destination": _BERLIN,
    "lines": [{"line_id": "1", "sku": "MUG-BLUE", "quantity": 2, "price_minor": 1290}],
}
_ENTRY_EXAMPLE = {"kind": "receipt", "sku": "MUG-BLUE", "node": "berlin", "quantity": 40, "reference": "PO-7"}

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body again give the first answer again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
_REASON = {
    "name": "X-Reason",
    "in": "header",
    "required": False,
    "description": "Why, for the audit log",
    "schema": {"type": "string", "maxLength": REASON_LENGTH_MAX},
}
_REPLAYED = {
    "Idempotent-Replayed": {
        "description": "`true` when this is the answer of an earlier request",
        "schema": {"type": "string"},
    }
}


def _operation(
    *,
    tag: str,
    name: str,
    summary: str,
    description: str,
    scope: str,
    body: Json,
    example: Json,
    status: int,
    answer: Json,
    problems: tuple[int, ...] = (),
    query: tuple[Json, ...] = (),
    keyed: bool = True,
    changes: bool = True,
) -> Json:
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "description": description,
        "security": [{"apiKey": [scope]}],
        "parameters": [*([_IDEMPOTENCY_KEY] if keyed else []), *([_REASON] if changes else []), *query],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": example}},
        },
        "responses": {
            str(status): {
                "description": "Done",
                "headers": _REPLAYED if keyed else {},
                "content": {"application/json": {"schema": answer}},
            },
            **{str(code): response for code, response in problem_responses(*problems).items()},
        },
    }


def _parameter(name: str, schema: Json, example: object, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "schema": schema, "example": example}


_DRY_RUN: Json = _parameter("dry_run", {"type": "boolean", "default": False}, False) | {
    "description": "only say what would become of each row: nothing is written"
}


def _document() -> Json:
    _, components = msgspec.json.schema_components([OrderIn, ReservationIn, PromiseIn, EntryIn], ref_template=_REF)
    orders = "promise and orders"
    return {
        "components": {"schemas": {**components, **_SCHEMAS}},
        "paths": {
            "/v1/orders": {
                "post": _operation(
                    tag=orders,
                    name="place_order",
                    summary="Place an order",
                    description="Sources, promises and records an order in one step. Idempotent on (channel, "
                    "external_id). What cannot be served in full is recorded in its queue; stock is never oversold.",
                    scope="orders:write",
                    body=_ref("OrderIn"),
                    example=_ORDER_EXAMPLE,
                    status=201,
                    answer=_ref("OrderAnswer"),
                    problems=(409, 422),
                )
            },
            "/v1/orders/batch": {
                "post": _operation(
                    tag=orders,
                    name="place_orders",
                    summary="Place up to 5,000 orders",
                    description="Each row is checked and answered by itself, in order; each is idempotent on "
                    "(channel, external_id), so a batch may be sent again as it is: rows that were placed give their "
                    "first answer, rows that were rejected are tried again.",
                    scope="orders:write",
                    body=_only({"orders": {**_list(_ref("OrderIn")), "minItems": 1, "maxItems": 5000}}),
                    example={"orders": [_ORDER_EXAMPLE]},
                    status=200,
                    answer=_object({"results": _list({"anyOf": [_ref("OrderAnswer"), _ref("RejectedRow")]})}),
                )
            },
            "/v1/reservations": {
                "post": _operation(
                    tag=orders,
                    name="reserve",
                    summary="Hold units for a cart or quote",
                    description="All lines or none, placed on nodes at once, until `expires_at`. Safety stock is "
                    "left alone.",
                    scope="orders:write",
                    body=_ref("ReservationIn"),
                    example={"channel": "web", "lines": [{"sku": "MUG-BLUE", "quantity": 2}], "ttl_s": 900},
                    status=201,
                    answer=_ref("ReservationAnswer"),
                    problems=(409, 422),
                )
            },
            "/v1/promises": {
                "post": _operation(
                    tag=orders,
                    name="ask_promise",
                    summary="Ask when a basket could arrive",
                    description="Cheapest, fastest and greenest way, decided as an order would be. Holds nothing.",
                    scope="read",
                    body=_ref("PromiseIn"),
                    example={
                        "channel": "web",
                        "destination": _BERLIN,
                        "lines": [{"sku": "MUG-BLUE", "quantity": 2}],
                    },
                    status=200,
                    answer=_ref("PromiseAnswer"),
                    keyed=False,
                    changes=False,
                )
            },
            "/v1/availability": {
                "get": {
                    "tags": ["stock"],
                    "operationId": "ask_availability",
                    "summary": "Available to sell and to promise, with its terms",
                    "description": "Why is ATS 37? Each term has its node and the ledger entry it rests on; the terms "
                    "add up to `ats`. Without `channel`: over all nodes. With `at`: as the ledger had it then.",
                    "security": [{"apiKey": ["read"]}],
                    "parameters": [
                        _parameter(
                            "sku", {"type": "string", "minLength": 1, "maxLength": 128}, "MUG-BLUE", required=True
                        ),
                        _parameter("channel", {"type": "string", "minLength": 1, "maxLength": 128}, "web"),
                        _parameter("date", {"type": "string", "format": "date"}, "2026-12-24"),
                        _parameter("at", {"type": "string", "format": "date-time"}, "2026-11-01T12:00:00Z"),
                    ],
                    "responses": {
                        "200": {
                            "description": "Done",
                            "content": {"application/json": {"schema": _ref("Availability")}},
                        },
                        **{str(code): response for code, response in problem_responses(422).items()},
                    },
                }
            },
            "/v1/stock/entries": {
                "post": _operation(
                    tag="stock",
                    name="record_entries",
                    summary="Record facts about stock",
                    description="Up to 5,000 rows; a bad row is answered `rejected` and stops no other. A count that "
                    "finds less than is promised is recorded, and the orders behind it are sourced again.",
                    scope="stock:write",
                    body=_only({"entries": {**_list(_ref("EntryIn")), "minItems": 1, "maxItems": 5000}}),
                    example={"entries": [_ENTRY_EXAMPLE]},
                    status=200,
                    answer=_object({"results": _list(_ref("EntryResult"))}),
                    problems=(409, 422),
                    query=(_DRY_RUN,),
                )
            },
        },
    }


HOT_OPENAPI = _document()
