"""The OpenAPI 3.1 document: FastAPI's, the hot routes', and the problem documents of both."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from onhand.api.examples import add_examples
from onhand.api.problems import PROBLEM_SCHEMA, problem_responses

Json = dict[str, Any]

DESCRIPTION = """\
One ledger of stock and one decision engine for merchants who sell the same stock in many places.

**Conventions.** JSON in UTF-8, `snake_case`. Quantities are integers. Money is integer minor units
(`price_minor`) with one `currency` per document. Times are RFC 3339 UTC. Weight in grams, length in
millimetres, distance in kilometres, CO2 in grams.

**Keys.** `Authorization: Bearer <api key>`. A key carries scopes; each operation names the one it needs.

**Idempotency.** Send `Idempotency-Key` on a POST that changes state: the same key and body again give
the first answer again, with `Idempotent-Replayed: true`.

**Lists.** `?limit=&cursor=` gives `{"data": [...], "next_cursor": null | "..."}`.

**Errors.** RFC 9457 `application/problem+json`; `code` is stable, `errors` names each bad field.
"""

TAGS = [
    {"name": "promise and orders", "description": "Promise, reserve, order, cancel."},
    {"name": "fulfilment", "description": "The node's side: accept, reject, pack, ship, deliver; returns."},
    {"name": "payments", "description": "What orders' payments demand and how far they are; days reconciled."},
    {"name": "stock", "description": "Ledger entries, positions, inbound supply, availability."},
    {"name": "set-up", "description": "Items, nodes, carriers, channels, listings."},
    {"name": "channels", "description": "What passes between channels and us, and how they are doing."},
    {"name": "policies", "description": "Sourcing policies: documents in immutable versions, and their life."},
    {"name": "costs", "description": "What orders cost to serve: promised, actual, and failures with their cause."},
    {"name": "campaigns", "description": "Whether the network can serve a campaign, and those that were accepted."},
    {"name": "planning", "description": "What plans propose to keep, buy, move and clear; approved or dismissed."},
    {"name": "incidents", "description": "What fails or is about to, and what playbooks do about it."},
    {
        "name": "autopilot",
        "description": "What may be done without a person, what was done, and the switch that stops it.",
    },
    {"name": "demand", "description": "What was wanted by day and place, and the signals that may explain it."},
    {"name": "forecasts", "description": "What will be wanted by day and place, who says so, and what came of it."},
    {"name": "jobs", "description": "Long work in the background: how far it is, and what came of it."},
    {"name": "events", "description": "Every state change: as a stream, as webhooks, as the audit log."},
    {"name": "story", "description": "What a simulated world tells of itself while it plays a scenario."},
    {"name": "keys", "description": "API keys and their scopes."},
    {"name": "customers", "description": "Personal data: export and erase."},
    {"name": "health", "description": "Liveness, readiness, metrics."},
]

_METHODS = ("get", "put", "post", "delete", "patch")


def build(ordinary: FastAPI, hot: Mapping[str, Any]) -> bytes:
    """The document as JSON.

    hot  `{"paths": {...}, "components": {"schemas": {...}}}` of the hot routes; an operation there
         names its scope as `security: [{"apiKey": ["orders:write"]}]` like the others
    """
    document = get_openapi(
        title="onhand",
        version="1",
        description=DESCRIPTION,
        routes=ordinary.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    # Each document completes its own: what is handed in is of the whole process.
    hot = deepcopy(hot)
    for path, operations in hot.get("paths", {}).items():
        document["paths"].setdefault(path, {}).update(operations)
    schemas: Json = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(hot.get("components", {}).get("schemas", {}))
    schemas["Problem"] = PROBLEM_SCHEMA
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, _, operation in operations_of(document):
        _complete(operation)
        add_examples(path, operation, schemas)
    used = {t for _, _, o in operations_of(document) for t in o.get("tags", ())}
    document["tags"] = [tag for tag in TAGS if tag["name"] in used]
    document["paths"] = dict(sorted(document["paths"].items()))
    return msgspec.json.encode(document)


def operations_of(document: Mapping[str, Any]) -> list[tuple[str, str, Json]]:
    """(path, method, operation) of every operation."""
    return [
        (path, method, cast("Json", item[method]))
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]


def _complete(operation: Json) -> None:
    """Add the problems that the edge itself answers with, and name the scope in words."""
    statuses: set[int] = set()
    scopes = [s for entry in operation.get("security", ()) for s in entry.get("apiKey", ())]
    if scopes:
        statuses |= {401, 403, 503}
        text = operation.get("description", "").rstrip()
        operation["description"] = f"{text}\n\nScope: `{scopes[0]}`.".lstrip()
    if "requestBody" in operation:
        statuses |= {400, 413, 415, 422}
    if operation.get("parameters") or scopes:
        statuses.add(422)
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ())):
        statuses.add(409)  # the first request with the key is still at work
    responses: Json = operation.setdefault("responses", {})
    for status, response in problem_responses(*sorted(statuses)).items():
        if status == 422 or str(status) not in responses:
            responses[str(status)] = response
    operation["responses"] = dict(sorted(responses.items()))
