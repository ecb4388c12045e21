"""Descriptions of interfaces as operations: OpenAPI 3, Swagger 2.0, and the index of a WordPress server."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from onhand.connectors._sdk.contracts.fitting import Fitting

Kind = Literal["openapi", "graphql", "wordpress"]
_METHODS: Final = ("get", "put", "post", "delete", "patch")
_WORDPRESS_BASE: Final = "/wp-json"
_PARAMETER: Final = re.compile(r"\{[^{}]+\}")
_GROUP: Final = re.compile(r"\(\?P<\w+>(\[[^\]]*\]|[^()])*\)")


class Uncheckable(Exception):
    """A description that cannot be read, or not here; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What may be asked at one path by one method.

    shown     the path as the description writes it
    pattern   of the path, without what stands before all of them
    blanks    how many parts of it are not fixed: of two that match, the one with fewer is meant
    query     schemas of parameters; needed: those that must be there
    body      its schema; None: there is none
    """

    method: str
    shown: str
    pattern: re.Pattern[str]
    blanks: int
    query: Mapping[str, Mapping[str, Any]]
    needed: frozenset[str] = frozenset()
    body: Mapping[str, Any] | None = None
    needs_body: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A description. bases: what stands before its paths; root: what references lead into."""

    operations: Sequence[Operation]
    bases: Sequence[str]
    root: Mapping[str, Any]

    def at(self, path: str) -> list[Operation]:
        """What may be asked at a path, the most particular first."""
        return sorted((one for one in self.operations if one.pattern.fullmatch(path)), key=lambda one: one.blanks)


def content_of(file: Path) -> str:
    """The text of a file; one that ends in .gz is unpacked. Raises Uncheckable, OSError."""
    raw = file.read_bytes()
    try:
        return (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, ValueError):
        raise Uncheckable(f"{file}: neither text in UTF-8 nor packed by gzip") from None


def document_of(file: Path) -> tuple[Kind, Any]:
    """What a file describes and how: a document, or the text of a GraphQL schema. Raises Uncheckable, OSError."""
    text = content_of(file)
    if {".graphql", ".graphqls", ".gql"} & set(file.suffixes):
        return "graphql", text
    try:
        found: Any = json.loads(text) if text.lstrip()[:1] == "{" else YAML(typ="safe", pure=True).load(text)  # pyright: ignore[reportUnknownMemberType]
    except (ValueError, YAMLError) as error:
        raise Uncheckable(f"{file}: neither JSON nor YAML: {str(error)[:200]}") from None
    if isinstance(found, Mapping):
        said = cast("Mapping[str, Any]", found)
        if "openapi" in said or "swagger" in said:
            return "openapi", said
        if isinstance(said.get("routes"), Mapping):
            return "wordpress", said
        if "__schema" in said or "__schema" in (said.get("data") or ()):
            return "graphql", said.get("data", said)
    raise Uncheckable(
        f"{file}: expected an OpenAPI or Swagger document, a GraphQL schema (.graphql, or its introspection), or the "
        "index of a WordPress server"
    )


def openapi(document: Mapping[str, Any]) -> Described:
    """Of OpenAPI 3 or Swagger 2.0. Of a body in JSON or of a form the schema is known, of others nothing."""
    fitting = Fitting(root=document)
    found: list[Operation] = []
    for path, item in cast("Mapping[str, Any]", document.get("paths") or {}).items():
        ways = fitting.merged(item) if "$ref" in item else item
        for method in _METHODS:
            if isinstance(way := ways.get(method), Mapping):
                said = cast("Mapping[str, Any]", way)
                both = [*ways.get("parameters", ()), *said.get("parameters", ())]
                found.append(_operation(method, path, said, [fitting.merged(one) for one in both], fitting))
    return Described(operations=found, bases=_bases(document), root=document)


def _operation(
    method: str, path: str, said: Mapping[str, Any], parameters: Sequence[Mapping[str, Any]], fitting: Fitting
) -> Operation:
    queried = {str(one["name"]): one for one in parameters if one.get("in") == "query"}
    body, needs_body = _body(said, parameters, fitting)
    # A path of a document may end in what is no path: #action=..., ?type=...
    pattern = "[^/]+".join(re.escape(part) for part in _PARAMETER.split(path.partition("#")[0].partition("?")[0]))
    return Operation(
        method=method.upper(),
        shown=path,
        pattern=re.compile(f"{pattern}/?"),
        blanks=len(_PARAMETER.findall(path)),
        query={name: one.get("schema", one) for name, one in queried.items()},
        needed=frozenset(name for name, one in queried.items() if one.get("required") is True),
        body=body,
        needs_body=needs_body,
    )


def _body(
    said: Mapping[str, Any], parameters: Sequence[Mapping[str, Any]], fitting: Fitting
) -> tuple[Mapping[str, Any] | None, bool]:
    if "requestBody" in said:
        request = fitting.merged(said["requestBody"])
        kinds = cast("Mapping[str, Any]", request.get("content") or {})
        known = [kinds[kind] for kind in kinds if "json" in kind or "form-urlencoded" in kind]
        return (known[0].get("schema", {}) if known else {}), request.get("required") is True
    for one in parameters:
        if one.get("in") == "body":
            return one.get("schema", {}), one.get("required") is True
    fields = {str(one["name"]): one for one in parameters if one.get("in") == "formData"}
    if not fields:
        return None, False
    # `required` is a word about the parameter, not of its schema.
    plain = {name: {k: v for k, v in one.items() if k != "required"} for name, one in fields.items()}
    needed = [name for name, one in fields.items() if one.get("required") is True]
    return {"type": "object", "properties": plain, "required": needed}, bool(needed)


def _bases(document: Mapping[str, Any]) -> list[str]:
    if "swagger" in document:
        return [str(document.get("basePath", "")).rstrip("/")]
    found: list[str] = []
    for server in cast("list[Mapping[str, Any]]", document.get("servers") or []):
        url = str(server.get("url", ""))
        for name, variable in cast("Mapping[str, Any]", server.get("variables") or {}).items():
            url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
        found.append(urlsplit(url).path.rstrip("/"))
    return list(dict.fromkeys(found)) or [""]


def wordpress(index: Mapping[str, Any]) -> Described:
    """Of what a server says at /wp-json/wc/v3 and the like: routes are patterns, arguments are schemas."""
    return Described(operations=list(_routes(index["routes"])), bases=[_WORDPRESS_BASE], root=index)


def _routes(routes: Mapping[str, Any]) -> Iterator[Operation]:
    for route, said in routes.items():
        for endpoint in said.get("endpoints", ()):
            # A server without arguments writes a list that is empty.
            args = cast("Mapping[str, Any]", endpoint.get("args") or {})
            known = {name: _plain(schema) for name, schema in args.items()}
            needed = [name for name, schema in args.items() if schema.get("required") is True]
            in_path = set(re.findall(r"\?P<(\w+)>", route))
            body: dict[str, Any] = {"type": "object", "properties": known, "additionalProperties": False}
            body["required"] = [name for name in needed if name not in in_path]
            if route.endswith("/batch"):
                body = _batch(known)
            for method in endpoint["methods"]:
                is_reading = method in ("GET", "DELETE")
                yield Operation(
                    method=method, shown=route, pattern=re.compile(route), blanks=len(_GROUP.findall(route)),
                    query=known,
                    needed=frozenset(needed) - in_path if is_reading else frozenset(),
                    body=None if method == "GET" else body,
                )  # fmt: skip


def _batch(known: Mapping[str, Any]) -> dict[str, Any]:
    """Of a route whose index tells what one record has: it takes lists of them."""
    item: dict[str, Any] = {"type": "object", "properties": {"id": {"type": "integer"}, **known}}
    item["additionalProperties"] = False
    many: dict[str, Any] = {"type": "array", "items": item}
    lists = {"create": many, "update": many, "delete": {"type": "array"}}
    return {"type": "object", "properties": lists, "additionalProperties": False}


def _plain(schema: Any) -> Any:
    """Without a word that WordPress has in its own way: whether a field is required stands within the field."""
    if isinstance(schema, Mapping):
        members = cast("Mapping[str, Any]", schema)
        return {name: _plain(one) for name, one in members.items() if name != "required" or not isinstance(one, bool)}
    return [_plain(member) for member in cast("list[Any]", schema)] if isinstance(schema, list) else schema
