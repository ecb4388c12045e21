"""Judges that are none of ours: vendors' own code and descriptions of their interfaces.

What comes from npm is installed once into ONHAND_TEST_CACHE; a judge that cannot be had says why, and its tests are
skipped out loud.
"""

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import graphql
import jsonschema_rs
import pytest

from onhand.connectors._sdk.contracts.described import content_of, document_of
from onhand.connectors._sdk.contracts.spoken import schema_of

from .running import CONTRACTS

CACHE = Path(os.environ.get("ONHAND_TEST_CACHE", Path(__file__).parents[2] / ".cache"))
INSTALL_S = 600
PRISM = {"@stoplight/prism-cli": "5.14.2"}
SHOPIFY_API = {"@shopify/shopify-api": "15.0.0"}


@cache
def installed(name, **packages):
    """(folder, None) with `packages` of npm installed in it, or (None, why not)."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None, "node and npm are not installed"
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": packages}))
            command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
            if done.returncode:
                return None, f"npm cannot install {', '.join(packages)}: {done.stderr.strip()[-300:]}"
            (folder / "installed").touch()
    return folder, None


def needed(name, packages):
    """The folder with `packages`, or the test is skipped."""
    folder, why_not = installed(name, **packages)
    if folder is None:
        pytest.skip(f"NOT JUDGED BY {name.upper()}: {why_not}")
    return folder


# Shopify's own library -----------------------------------------------------------------------------------------------

_VALIDATE = """
import "@shopify/shopify-api/adapters/node";
import {shopifyApi, ApiVersion, LogSeverity} from "@shopify/shopify-api";
const asked = JSON.parse(await new Promise(done => { let s = ""; process.stdin.on("data", d => s += d);
  process.stdin.on("end", () => done(s)); }));
const answers = [];
for (const {secret, headers, body} of asked) {
  const api = shopifyApi({apiKey: "key", apiSecretKey: secret, scopes: [], hostName: "app.example",
    isEmbeddedApp: false, apiVersion: Object.values(ApiVersion).at(-1), logger: {level: LogSeverity.Error}});
  const rawBody = Buffer.from(body, "base64").toString("utf8");
  const rawRequest = {method: "POST", url: "/hook", headers, on() {}};
  try { answers.push(await api.webhooks.validate({rawBody, rawRequest, rawResponse: {}})); }
  catch (error) { answers.push({valid: false, reason: String(error)}); }
}
console.log("ANSWERS " + JSON.stringify(answers));
"""


def shopify_validates(deliveries):
    """What Shopify's library says of (secret, headers, body): its answers, in their order."""
    import base64

    folder = needed("shopify-api-15.0.0", SHOPIFY_API)
    (folder / "validate.mjs").write_text(_VALIDATE)
    asked = [
        {"secret": secret, "headers": dict(headers), "body": base64.b64encode(body).decode()}
        for secret, headers, body in deliveries
    ]
    done = subprocess.run(
        ["node", "validate.mjs"], cwd=folder, input=json.dumps(asked), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS ")]
    return json.loads(line.removeprefix("ANSWERS "))


# Prism: a server made of an OpenAPI document -------------------------------------------------------------------------


class Prism:
    """Says whether requests fit a document. url: where it serves; base: what stands before its paths in ours."""

    def __init__(self, url):
        self.url = url

    def objects(self, request, *, base=""):
        """What is wrong with a `wire.Request`, by the document; None: it fits."""
        parts = urlsplit(request.url)
        path = parts.path.removeprefix(base) + (f"?{parts.query}" if parts.query else "")
        headers = {n: v for n, v in request.headers.items() if n not in ("host", "content-length")}
        asked = urllib.request.Request(
            self.url + path, data=request.body or None, headers=headers, method=request.method
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                said, violations = b"", answer.headers.get("sl-violations")
        except urllib.error.HTTPError as error:
            said, violations = error.read(), error.headers.get("sl-violations")
        # Where the document has an example for a bad request, that is the answer, and why is in a header only.
        of_request = [v for v in json.loads(violations or "[]") if "request" in v.get("location", ["request"])]
        if not of_request and b"prism/errors" not in said:
            return None
        return f"{request.method} {path}: {json.dumps(of_request) if of_request else said.decode()[:600]}"


@contextmanager
def prism(document):
    """Prism on an OpenAPI or Swagger document (a path; .gz too), or the test is skipped."""
    folder = needed("prism-5.14.2", PRISM)
    document = Path(document)
    if document.suffix == ".gz":
        plain = folder / document.stem
        plain.write_text(json.dumps(_of_here(_unpacked(document))))
        document = plain
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["node_modules/.bin/prism", "mock", "-h", "127.0.0.1", "-p", str(port), str(document.resolve())]
    with (folder / f"prism-{port}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait(port, process, folder / f"prism-{port}.log")
        yield Prism(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)
        (folder / f"prism-{port}.log").unlink(missing_ok=True)


def _of_here(document):
    """A document without references that lead nowhere: to other machines, where a judge would ask, or (Square's) to
    schemas that it does not have."""
    known = {f"#/components/schemas/{name}" for name in document.get("components", {}).get("schemas", {})}

    def leads(target):
        return target in known if target.startswith("#/components/schemas/") else target.startswith("#")

    def kept(value):
        if isinstance(value, list):
            return [kept(member) for member in value]
        if not isinstance(value, dict):
            return value
        return {
            name: kept(member)
            for name, member in value.items()
            if name != "$ref" or not isinstance(member, str) or leads(member)
        }

    return kept(document)


def _wait(port, process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"prism does not serve: {log.read_text()[-2000:]}")


# Descriptions of interfaces: Swagger 2.0 and OpenAPI 3.0 --------------------------------------------------------------


class Described:
    """Operations of several descriptions. Of OpenAPI 3.0 they are read strictly: a field that is not named is wrong."""

    def __init__(self):
        self.operations = []
        self._checks = {}

    @classmethod
    def of(cls, *paths):
        """Of files, packed or not; one that is not there describes nothing."""
        found = cls()
        for path in paths:
            if path.is_file():
                found._add(_unpacked(path))
        # The most particular of two that match is that with the fewest blanks.
        found.operations.sort(key=lambda operation: operation[1].pattern.count("[^/]+"))
        return found

    def _add(self, document):
        base = document.get("basePath", "").rstrip("/")
        for path, methods in document["paths"].items():
            pattern = re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(base + path)) + "$")
            for method, operation in methods.items():
                if isinstance(operation, dict) and "responses" in operation:
                    shared = [*methods.get("parameters", []), *operation.get("parameters", [])]
                    parameters = [_resolved(parameter, document) for parameter in shared]
                    self.operations.append((method.upper(), pattern, operation, parameters, document))

    def _find(self, method, path):
        return next((found for found in self.operations if found[0] == method and found[1].match(path)), None)

    def knows(self, method, url):
        """Whether one of them has such a path."""
        return self._find(method, urlsplit(url).path) is not None

    def wrong(self, request, base=""):
        """What is wrong with a request; nothing, if all is well. base: what stands before its paths in ours."""
        path = urlsplit(request.url).path.removeprefix(base)
        found = self._find(request.method, path)
        if found is None:
            return [f"{request.method} {path} is not described"]
        _, _, operation, parameters, document = found
        given = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
        known = {p["name"]: p for p in parameters if p["in"] == "query"}
        wrong = [f"no parameter is called {name}" for name in given if name not in known]
        wrong += [f"{name} is missing" for name, p in known.items() if p.get("required") and name not in given]
        for name, text in given.items():
            if name in known:
                kind = _resolved(known[name].get("schema", known[name]), document)
                wrong += [f"{name} is not {part}" for part in _odd(kind, text)]
        schema = next((p["schema"] for p in parameters if p["in"] == "body"), None)
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
        if schema is None:
            return wrong + (["a body where none is described"] if request.body else [])
        return wrong + (self._misfits(schema, request.body, document) if request.body else ["it wants a body"])

    def _misfits(self, schema, body, document):
        """Where a body does not fit a schema of a description."""
        name = id(document), json.dumps(schema, sort_keys=True)
        if name not in self._checks:
            if "openapi" in document:
                whole = {"components": {"schemas": _strict(document["components"]["schemas"])}}
                self._checks[name] = jsonschema_rs.validator_for({**_strict(schema), **whole})
            else:
                whole = {"definitions": document["definitions"]}
                self._checks[name] = jsonschema_rs.Draft4Validator({**whole, **schema})
        found = self._checks[name].iter_errors(json.loads(body))
        return [f"{list(error.instance_path)}: {error.message}" for error in found]

    def check(self, request, answer):
        """The name of its operation; fails if request or answer do not fit the description."""
        found = self._find(request.method, urlsplit(request.url).path)
        assert found is not None, f"{request.method} {request.url} is not described"
        _, _, operation, _, document = found
        name = operation["operationId"]
        assert self.wrong(request) == [], f"{name}: {request.url} {request.body!r}"
        said = operation["responses"].get(str(answer.status))
        assert said is not None, f"{name}: no answer {answer.status} is described"
        schema = _resolved(said, document).get("schema")
        if schema is not None and answer.status < 300:
            assert self._misfits(schema, answer.body, document) == [], f"{name} {answer.status}"
        return name


def _unpacked(path):
    return json.loads(content_of(path))


def _resolved(part, document):
    if "$ref" not in part:
        return part
    found = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def _odd(kind, text):
    """Parts of a text in a query that are not of that kind."""
    is_list = kind.get("type") == "array"
    texts, one = (text.split(","), kind.get("items", {})) if is_list else ([text], kind)
    found = [part for part in texts if part not in one.get("enum", [part])]
    if one.get("type") == "integer":
        found += [part for part in texts if not part.isdigit() or int(part) > one.get("maximum", int(part))]
    if one.get("type") == "boolean":
        found += [part for part in texts if part not in ("true", "false")]
    return found + ([f"so many: {len(texts)}"] if len(texts) > kind.get("maxItems", len(texts)) else [])


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


@cache
def described(file):
    """What a file of the contracts describes; None where there is none."""
    path = CONTRACTS / file
    return Described.of(path) if path.is_file() else None


@dataclass
class Judged:
    """A sender that lets no request pass that the description does not have."""

    sender: object
    description: Described | None
    sent: list = field(default_factory=list)

    async def send(self, request):
        self.sent.append(request)
        if self.description is not None:
            assert self.description.wrong(request) == [], f"{request.method} {request.url} {request.body!r}"
        return await self.sender.send(request)


def judged(connection, file):
    """A connection whose requests are judged by a file of the contracts."""
    return replace(connection, sender=Judged(connection.sender, described(file)))


# GraphQL, WordPress ---------------------------------------------------------------------------------------------------


@cache
def graphql_schema(file):
    return schema_of(document_of(CONTRACTS / file)[1])


@cache
def _document(file, text):
    document = graphql.parse(text)
    return document, [error.message for error in graphql.validate(graphql_schema(file), document)]


def graphql_objects(file, request):
    """What is wrong with a request by a GraphQL schema, with the values of its variables."""
    from graphql.execution.values import get_variable_values

    asked = json.loads(request.body)
    document, wrong = _document(file, asked["query"])
    if wrong:
        return wrong
    (operation,) = [d for d in document.definitions if isinstance(d, graphql.OperationDefinitionNode)]
    found = get_variable_values(graphql_schema(file), operation.variable_definitions or (), asked.get("variables", {}))
    unknown = set(asked.get("variables", {})) - {d.variable.name.value for d in operation.variable_definitions or ()}
    wrong = [error.message for error in found] if isinstance(found, list) else []
    return wrong + [f"no variable is called {name}" for name in sorted(unknown)]


@cache
def _routes(file):
    index = _unpacked(CONTRACTS / file)
    return [
        (re.compile(route + "$"), endpoint)
        for route, described in index["routes"].items()
        for endpoint in described["endpoints"]
    ]


# Of signing, not of the interface.
_OAUTH = re.compile("oauth_")


def wordpress_objects(file, request, *, base="/wp-json"):
    """What is wrong with a request by the index of a WordPress server."""
    parts = urlsplit(request.url)
    path = parts.path.removeprefix(base)
    here = [endpoint for route, endpoint in _routes(file) if route.match(path)]
    fitting = [endpoint for endpoint in here if request.method in endpoint["methods"]]
    if not fitting:
        return [f"{request.method} {path} is no route"]
    args = fitting[0]["args"]
    query = {n: v for n, v in parse_qsl(parts.query, keep_blank_values=True) if not _OAUTH.match(n)}
    body = json.loads(request.body) if request.body else {}
    if path.endswith("/batch"):
        if set(body) - {"create", "update", "delete"}:
            return [f"a batch has no {sorted(body)}"]
        wrong = [f"no id in {row}" for row in body.get("update", ()) if not isinstance(row.get("id"), int)]
        rows = [{n: v for n, v in row.items() if n != "id"} for row in body.get("update", ())]
        return wrong + [error for row in rows for error in _by_args(args, row)]
    return [*_by_args(args, query, is_text=True), *_by_args(args, body)]


def _by_args(args, given, *, is_text=False):
    wrong = []
    for name, value in given.items():
        if name not in args:
            wrong.append(f"no argument is called {name}")
            continue
        known = ("type", "enum", "minimum", "maximum", "items", "properties", "format")
        schema = {k: v for k, v in args[name].items() if k in known}
        try:
            jsonschema_rs.validate(_plain(schema), _typed(value, schema.get("type")) if is_text else value)
        except jsonschema_rs.ValidationError as error:
            wrong.append(f"{name}: {error.message}")
    return wrong


def _typed(text, kind):
    if kind in ("integer", "number") and text.lstrip("-").isdigit():
        return int(text)
    return {"true": True, "false": False}.get(text, text) if kind == "boolean" else text


def _plain(schema):
    """Without what WordPress says in its own way: `readonly`, `context` and formats of its own."""
    if isinstance(schema, dict):
        return {k: _plain(v) for k, v in schema.items() if k not in ("context", "readonly", "required", "format")}
    return [_plain(v) for v in schema] if isinstance(schema, list) else schema
