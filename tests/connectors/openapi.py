"""A vendor's OpenAPI as a judge: whether a request is one that it describes."""

import functools
import gzip
import json
import re
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs

from .running import CONTRACTS


@functools.cache
def contract(file):
    """The description in a file of the contracts; None where there is none."""
    path = CONTRACTS / file
    return OpenApi(json.loads(gzip.decompress(path.read_bytes()))) if path.is_file() else None


class OpenApi:
    """Version 3.0, read strictly: a field that it does not name is wrong."""

    def __init__(self, document):
        self.schemas = {"components": {"schemas": _strict(document["components"]["schemas"])}}
        self.routes = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"), methods)
            for path, methods in sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
        ]

    def wrong(self, request, base=""):
        """What is wrong with a request; nothing, if all is well."""
        parts = urlsplit(request.url)
        path = parts.path.removeprefix(base)
        operation = next(
            (m[request.method.lower()] for of, m in self.routes if of.match(path) and request.method.lower() in m), None
        )
        if operation is None:
            return [f"{request.method} {path} is not described"]
        known = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
        found = [f"no parameter {name}" for name, _ in parse_qsl(parts.query) if name not in known]
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            check = jsonschema_rs.validator_for({**_strict(schema), **self.schemas})
            found += [f"{list(e.instance_path)}: {e.message}" for e in check.iter_errors(json.loads(request.body))]
        elif request.body:
            found.append("a body where none is described")
        return found


def _strict(value):
    """OpenAPI's schemas as JSON Schema."""
    if isinstance(value, list):
        return [_strict(member) for member in value]
    if not isinstance(value, dict):
        return value
    made = {name: _strict(member) for name, member in value.items() if name not in ("nullable", "example", "format")}
    if isinstance(value.get("properties"), dict) and value.get("type", "object") == "object":
        made.setdefault("additionalProperties", False)
    if value.get("nullable") is True:
        made = {"anyOf": [made, {"type": "null"}]}
    return made


@dataclass
class Judged:
    """A sender that lets no request pass that the contract does not describe."""

    sender: object
    contract: OpenApi | None
    sent: list = field(default_factory=list)

    async def send(self, request):
        self.sent.append(request)
        if self.contract is not None:
            assert self.contract.wrong(request) == [], f"{request.method} {request.url} {request.body!r}"
        return await self.sender.send(request)


def judged(connection, file):
    """A connection whose requests are judged."""
    return replace(connection, sender=Judged(connection.sender, contract(file)))
