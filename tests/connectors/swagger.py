"""Requests and answers against Swagger 2.0 models: paths, parameters, bodies. Independent of how anybody asks."""

import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs


@dataclass
class Swagger:
    """Operations of several models."""

    operations: list = field(default_factory=list)

    @classmethod
    def of(cls, folder, names):
        found = cls()
        for name in names:
            model = json.loads((folder / f"{name}.json").read_text())
            base = model.get("basePath", "").rstrip("/")
            for path, methods in model["paths"].items():
                pattern = re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(base + path)) + "$")
                for method, operation in methods.items():
                    if isinstance(operation, dict) and "operationId" in operation:
                        shared = methods.get("parameters", [])
                        found.operations.append((method.upper(), pattern, operation, shared, model))
        return found

    def knows(self, method, url):
        """Whether one of the models has such a path."""
        return any(o[0] == method and o[1].match(urlsplit(url).path) for o in self.operations)

    def find(self, method, url):
        path = urlsplit(url).path
        matching = [o for o in self.operations if o[0] == method and o[1].match(path)]
        assert matching, f"the models have no {method} {path}"
        # The most particular one: that with the fewest blanks.
        return min(matching, key=lambda o: o[1].pattern.count("[^/]+"))

    def check(self, request, answer):
        """The name of its operation; fails if request or answer do not fit the model."""
        _, _, operation, shared, model = self.find(request.method, request.url)
        name = operation["operationId"]
        parameters = [_resolved(p, model) for p in [*shared, *operation.get("parameters", [])]]
        given = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
        known = {p["name"]: p for p in parameters if p["in"] == "query"}
        assert set(given) <= set(known), f"{name}: no parameter is called {set(given) - set(known)}"
        missing = [n for n, p in known.items() if p.get("required") and n not in given]
        assert not missing, f"{name}: {missing} is missing"
        for parameter, text in given.items():
            _check_text(name, known[parameter], text)
        for parameter in parameters:
            if parameter["in"] == "body":
                assert request.body, f"{name} wants a body"
                _check_schema(f"{name} request", parameter["schema"], json.loads(request.body), model)
        said = operation["responses"].get(str(answer.status))
        assert said is not None, f"{name}: the model has no answer {answer.status}"
        schema = _resolved(said, model).get("schema")
        if schema is not None and answer.status < 300:
            _check_schema(f"{name} {answer.status}", schema, json.loads(answer.body), model)
        return name


def _resolved(part, model):
    if "$ref" not in part:
        return part
    found = model
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def _check_text(name, parameter, text):
    texts = text.split(",") if parameter["type"] == "array" else [text]
    one = parameter.get("items", {}) if parameter["type"] == "array" else parameter
    for member in texts:
        assert member in one.get("enum", [member]), f"{name}: {parameter['name']} is not {member}"
        if one.get("type") == "integer":
            assert int(member) <= one.get("maximum", int(member)), f"{name}: {parameter['name']}={member}"
        if one.get("type") == "boolean":
            assert member in ("true", "false")
    assert len(texts) <= parameter.get("maxItems", len(texts)), f"{name}: too many {parameter['name']}"


def _check_schema(what, schema, value, model):
    whole = {"definitions": model["definitions"], **schema}
    errors = [e.message for e in jsonschema_rs.Draft4Validator(whole).iter_errors(value)]
    assert not errors, f"{what}: {errors[:3]}"
