"""The reference pages of the documentation, written from the product itself: `make golden` rewrites docs/reference.

Nothing here says what something means; that stands beside the thing, in docstrings and descriptions of fields. What is
said here is how it is laid out, and the units that names end in.
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

Json = Mapping[str, Any]

_NOTE: Final = "<!-- Written by tests/docs/reference.py from the product: `make golden` rewrites it. -->"

# Names end in their units, everywhere.
_UNITS: Final = (
    ("_minor_per_day", "minor units of the currency a day"), ("_minor", "minor units of the currency"),
    ("_g_per_tonne_km", "grams for a tonne and a kilometre"), ("_g", "grams"), ("_mm", "millimetres"),
    ("_km", "kilometres"), ("_s", "seconds"), ("_ms", "milliseconds"), ("_hours", "hours"), ("_days", "days"),
    ("_share", "share, 0 to 1"), ("_rate", "share, 0 to 1"), ("_per_hour", "in an hour"), ("_per_day", "a day"),
    ("_percent", "percent"),
)  # fmt: skip


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    headings = list(headings)
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([_NOTE, f"# {title}", *(part.strip() for part in parts if part.strip())]) + "\n"


# Documents by JSON Schema ---------------------------------------------------------------------------------------------


def _name(ref: str) -> str:
    return ref.rsplit("/", 1)[-1]


def _called(name: str) -> str:
    """Two modules may have a document of one name: FastAPI then puts the module before it."""
    return name.rsplit("__", 1)[-1]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,}"


def _limits(schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f", {_number(low)} to {_number(high)}"
    said = [
        f"{word} {_number(value)}"
        for word, value in (("from", low), ("to", high), ("above", above), ("below", below))
        if value is not None
    ]
    if "maxLength" in schema:
        said.append(f"at most {schema['maxLength']:,} characters")
    return "".join(f", {one}" for one in said)


def type_of(schema: Json) -> str:
    """A JSON Schema in words; documents as links to their section."""
    if "$ref" in schema:
        name = _called(_name(schema["$ref"]))
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            some = [type_of(one) for one in schema[word]]
            return " or ".join(dict.fromkeys(some))
    if "allOf" in schema:
        return " and ".join(type_of(one) for one in schema["allOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(type_of({**schema, "type": one}) for one in kind)
    if kind == "array":
        if "prefixItems" in schema:
            return "[" + ", ".join(type_of(one) for one in schema["prefixItems"]) + "]"
        return f"list of {type_of(schema.get('items', {}))}"
    if kind == "object":
        if names := schema.get("properties"):
            return "object with " + ", ".join(f"`{name}`" for name in names)
        patterned = [*schema.get("patternProperties", {}).values()]
        inner = patterned[0] if patterned else schema.get("additionalProperties")
        return f"object of {type_of(inner)}" if isinstance(inner, dict) and inner else "object"
    if kind == "string":
        form = {"date-time": "moment", "date": "date", "uuid": "UUID", "uri": "URL"}.get(schema.get("format", ""))
        return (form or "text") + _limits(schema)
    if kind in ("integer", "number"):
        return ("whole number" if kind == "integer" else "number") + _limits(schema)
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "anything")


def _meaning(name: str, schema: Json, default: bool = True) -> str:
    said = [str(schema.get("description", ""))]
    if not said[0]:
        said = [
            one["description"] for word in ("anyOf", "oneOf") for one in schema.get(word, ()) if "description" in one
        ]
    unit = next((unit for end, unit in _UNITS if name.endswith(end)), "")
    if unit and not any(unit.split(",")[0] in text for text in said):
        said.append(unit)
    if default and schema.get("default") is not None and schema["default"] not in ({}, [], ""):
        said.append(f"`{json.dumps(schema['default'])}` if left out")
    return "; ".join(text for text in said if text)


def refs_in(value: object) -> Iterator[str]:
    """Names of the documents that a piece of schema refers to."""
    if isinstance(value, Mapping):
        if isinstance(ref := value.get("$ref"), str):
            yield _name(ref)
        for inner in value.values():
            yield from refs_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs_in(inner)


def _closure(names: Iterable[str], schemas: Mapping[str, Json]) -> list[str]:
    found: dict[str, None] = {}
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += refs_in(schemas[name])
    return sorted(found, key=lambda name: (_called(name).lower(), name))


def _listed(text: str) -> tuple[str, dict[str, str]]:
    """(a docstring without its list of names, meaning by name): `name   what it is`, longer ones indented below."""
    kept: list[str] = []
    found: dict[str, str] = {}
    for part in text.split("\n\n"):
        lines = part.splitlines()
        if not re.match(r"\w+(, \w+)*  +\S", lines[0] if lines else ""):
            kept.append(part)
            continue
        names: list[str] = []
        for line in lines:
            if row := re.match(r"(\w+(?:, \w+)*)  +(\S.*)", line):
                names = row[1].split(", ")
                found |= dict.fromkeys(names, row[2])
            else:
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return "\n\n".join(kept), found


def document_of(name: str, schema: Json, level: int = 3) -> str:
    """A section that says what a document is made of."""
    required, properties = schema.get("required", ()), schema.get("properties", {})
    prose, listed = _listed(str(schema.get("description", "")))
    parts = [f"{'#' * level} {_called(name)}", prose]
    if properties:
        described = {
            field: {**one, "description": listed[field]} if field in listed and "description" not in one else one
            for field, one in properties.items()
        }
        parts.append(
            _table(
                ("field", "type", "meaning"),
                [
                    (f"`{field}`" + (" \\*" if field in required else ""), type_of(one), _meaning(field, one))
                    for field, one in described.items()
                ],
            )
        )
    elif "enum" in schema:
        parts.append("One of " + type_of(schema) + ".")
    # What a list says of words that are no fields, such as choices.
    parts.append("\n".join(f"- `{word}`: {text}" for word, text in listed.items() if word not in properties))
    return "\n\n".join(part for part in parts if part)


# The HTTP API ---------------------------------------------------------------------------------------------------------


def file_of(tag: str) -> str:
    return f"api/{tag.replace(' ', '-')}.md"


def api(document: Json) -> dict[str, str]:
    """File -> text: an overview, and a page for each tag of an OpenAPI document."""
    schemas = document["components"]["schemas"]
    by_tag: dict[str, list[tuple[str, str, Json]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            by_tag[operation["tags"][0]].append((path, method, operation))
    pages: dict[str, str] = {}
    overview: list[str] = []
    for tag in document["tags"]:
        name, operations = tag["name"], by_tag[tag["name"]]
        used = _closure((ref for _, _, operation in operations for ref in refs_in(operation)), schemas)
        pages[file_of(name)] = _page(
            name.capitalize(),
            tag["description"],
            *(_operation(path, method, operation) for path, method, operation in operations),
            "## Documents",
            "Fields with \\* are required.",
            *(document_of(one, schemas[one]) for one in used if one != "Problem"),
        )
        rows = [
            (
                f"[`{method.upper()} {path}`]({file_of(name)}#{_anchor(method, path)})",
                _first(operation),
                _scope(operation),
            )
            for path, method, operation in operations
        ]
        overview += [f"## {name.capitalize()}", tag["description"], _table(("call", "what it does", "scope"), rows)]
    pages["api.md"] = _page(
        "HTTP API",
        document["info"]["description"],
        "A running server shows the same at `/docs`, with a form for each call, and as OpenAPI 3.1 at `/openapi.json`.",
        *overview,
    )
    return pages


def _scope(operation: Json) -> str:
    scopes = [scope for entry in operation.get("security", ()) for scope in entry.get("apiKey", ())]
    return f"`{scopes[0]}`" if scopes else "none"


def _first(operation: Json) -> str:
    text = operation["description"].split("\n\n")[0]
    return re.split(r"(?<=[.;]) ", text, maxsplit=1)[0].rstrip(";.")


def _anchor(method: str, path: str) -> str:
    return f"{method}{path}".lower().translate(str.maketrans({"/": "-", "{": None, "}": None, "_": "_"}))


def _operation(path: str, method: str, operation: Json) -> str:
    text = operation["description"].rsplit("\n\nScope: ", 1)[0]
    parts = [f"## `{method.upper()} {path}` {{ #{_anchor(method, path)} }}", text, f"Scope: {_scope(operation)}"]
    if parameters := operation.get("parameters"):
        rows = [
            (
                f"`{p['name']}`" + (" \\*" if p.get("required") else ""), p["in"], type_of(p["schema"]),
                _meaning(p["name"], {**p["schema"], "description": p.get("description", "")}),
            )
            for p in parameters
        ]  # fmt: skip
        parts.append(_table(("parameter", "in", "type", "meaning"), rows))
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"Body: {type_of(content['schema'])}, as `{media}`.")
        parts.append(_example("Request", content))
    problems: list[str] = []
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        if "application/problem+json" in content:
            problems.append(status)
            continue
        forms = [
            type_of(one["schema"]) if media == "application/json" and "schema" in one else f"`{media}`"
            for media, one in content.items()
        ]
        what = f" ({' or '.join(forms)})" if forms else ""
        parts.append(
            f"Answer {status}: {answer['description'].rstrip('.')}{what}.".replace(": Successful Response", "")
        )
        parts += [_example(f"Answer {status}", one) for one in content.values()]
    if problems:
        parts.append(f"[Problems](../errors.md): {', '.join(problems)}.")
    return "\n\n".join(part for part in parts if part)


def _example(title: str, content: Json) -> str:
    example = content.get("example")
    if example is None:
        return ""
    text = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
    lines = [f'??? example "{title}"', "", "    ```json" if not isinstance(example, str) else "    ```text"]
    lines += [f"    {line}".rstrip() for line in text.strip().splitlines()]
    return "\n".join([*lines, "    ```"])


# The command line -----------------------------------------------------------------------------------------------------


def cli(command: Any) -> str:
    """Every command with its arguments and options."""
    return _page(
        "Command line",
        str(command.help),
        "`onhand COMMAND --help` says the same. It ends with 0: done, 1: a check or some work failed, 2: bad usage or"
        " settings. [Settings](settings.md) hold for all commands.",
        *_commands(command, "onhand", 2),
    )


def commands_of(command: Any, name: str = "onhand") -> dict[str, Any]:
    """Every command that does something, by how it is called."""
    if hasattr(command, "commands"):
        return {
            called: found for sub, child in sorted(command.commands.items())
            for called, found in commands_of(child, f"{name} {sub}").items()
        }  # fmt: skip
    return {name: command}


def _commands(command: Any, name: str, level: int) -> Iterator[str]:
    if hasattr(command, "commands"):
        if name != "onhand":
            yield f"## `{name}`"
            yield str(command.help or "")
            level = 3
        for sub, child in sorted(command.commands.items()):
            yield from _commands(child, f"{name} {sub}", level)
        return
    given = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, *(_usage(p) for p in given)])
    yield f"{'#' * level} `{usage}`"
    yield _unwrapped(command.help or "")
    options = [p for p in command.params if p.param_type_name != "argument" and "--help" not in p.opts]
    rows = [(_spelled(p) + (" \\*" if p.required else ""), _takes(p), _helped(p)) for p in options]
    said = [(f"`{p.name.upper()}`", _takes(p), _helped(p)) for p in given if _helped(p) or _takes(p) != "text"]
    if rows or said:
        yield _table(("option", "takes", "meaning"), [*said, *rows])


def _usage(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _spelled(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))


def _takes(parameter: Any) -> str:
    if getattr(parameter, "is_flag", False):
        return ""
    many = ", may be repeated" if parameter.multiple else ""
    limits = _limits({"minimum": parameter.min, "maximum": parameter.max})
    return _kind(parameter.type_descriptor.annotation) + limits + many


def _kind(annotation: Any) -> str:
    """What a Python type is to people."""
    inner = [one for one in get_args(annotation) if one is not NoneType]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{choice.value}`" for choice in annotation)
    if inner:
        return _kind(inner[0])
    return {int: "whole number", float: "number", Path: "file", bool: ""}.get(annotation, "text")


def _helped(parameter: Any) -> str:
    text = str(getattr(parameter, "help", "") or "")
    default = parameter.default
    if default is None or callable(default) or default in (False, True, "", ()) or "UNSET" in repr(default):
        return text
    return f"{text} (`{default}` if left out)" if str(default) not in text else text


def _unwrapped(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) if "\b" not in part else part for part in text.split("\n\n"))


# Connectors, cost terms, events, settings, errors ---------------------------------------------------------------------


def connectors(schema: Json, built_in: Iterable[tuple[str, str, str, str]]) -> str:
    """built_in: (name, status, the vendor's interface, what it can) of each."""
    schemas = schema["$defs"]
    return _page(
        "Connectors",
        "A connector says how to talk to a kind of channel. It is a document, `connector.yaml`"
        " ([describe a channel](../how-to/describe-a-channel.md)), or a program. `onhand channel connectors` lists"
        " those that are here; these ship:",
        _table(("connector", "status", "interface", "can"), built_in),
        "## The vocabulary",
        "What may stand in a `connector.yaml`. `onhand channel schema` prints it as JSON Schema, for editors;"
        " `onhand channel lint` says what is wrong with a document. Fields with \\* are required.",
        document_of("connector.yaml", schema),
        *(document_of(name, schemas[name]) for name in sorted(schemas)),
    )


def cost_terms(terms: Iterable[Any], docstrings: Mapping[str, str]) -> str:
    """terms: `TermInfo` of each; docstrings: of their files, with the formulas."""
    terms = list(terms)
    rows = [(f"[`{t.name}`](#{t.name})", t.summary, t.charges, "yes" if t.has_weight else "no") for t in terms]
    return _page(
        "Cost terms",
        "What a plan costs is the sum of these, in minor units of the order's currency. Those with a weight are counted"
        " as often as a policy's `weights` says (1 if it does not); those without are bills that somebody sends."
        " `onhand terms` lists them too, with those of [packages installed here](../how-to/add-a-cost-term.md).",
        _table(("term", "what it is", "is charged for", "has a weight"), rows),
        *(f"## {t.name} {{ #{t.name} }}\n\n{_prose(docstrings[t.name])}" for t in terms),
    )


def _prose(text: str) -> str:
    """A docstring as Markdown: what is indented is a formula or a list of names."""
    return "\n\n".join(
        part if not part.startswith(" ") else textwrap.indent(textwrap.dedent(part), "    ")
        for part in inspect.cleandoc(text).split("\n\n")
    )


def events(kinds: Mapping[str, str]) -> str:
    rows = [(f"`{kind}`", meaning) for kind, meaning in sorted(kinds.items())]
    return _page(
        "Events",
        "Every change of state is an event, written in the transaction that makes the change. They come by"
        " [webhook](api/events.md), as a stream from `GET /v1/events`, and are the audit log, `GET /v1/audit`. An event"
        " has `id`, `type`, `timestamp`, `subject` (what changed), `actor` (the key; 0: the server itself), `reason`"
        " and `data`. A webhook may ask for some kinds, `order.*`, or all.",
        _table(("type", "when"), rows),
    )


def settings(cls: type) -> str:
    rows = []
    for f in fields(cls):
        default = f.default if f.default is not MISSING else f.metadata["default"]
        shown = "" if default is None or default is MISSING else f"`{default}`".replace("False", "false")
        rows.append((f"`ONHAND_{f.name.upper()}`", f"`{f.name}`", shown, f.metadata["says"]))
    return _page(
        "Settings",
        "Settings are read once, when a program starts: variables of the environment, then `onhand.toml` in the current"
        " folder (`ONHAND_CONFIG` names another file), then defaults. `onhand db doctor` says what holds.",
        _table(("variable", "in `onhand.toml`", "if left out", "meaning"), rows),
    )


# Files that need not be parsed neither raise nor derive from any error of ours.
_OF_ERRORS: Final = re.compile(r"Conflict\(|^    code = |errors import|^class OnhandError", re.M)


def errors(sources: Iterable[Path]) -> str:
    """sources: files with classes of errors, and in which states that do not allow something are refused by code."""
    texts = [text for source in sources if _OF_ERRORS.search(text := source.read_text("utf-8"))]
    trees = [ast.parse(text) for text in texts]
    rows = [
        (f"`{code}`", str(status), "yes" if again else "no", text)
        for status, code, again, text in sorted(_classes(trees))
    ]
    said = [(f"`{code}`", text) for code, text in sorted(_refusals(trees).items())]
    return _page(
        "Errors",
        "Whatever fails is answered with one kind of document (RFC 9457, `application/problem+json`): `status`,"
        " `title`, `detail` for people, `code` for programs, and facts. A code never changes its meaning. The command"
        " line prints `detail` and ends with 1 or 2.",
        "## By kind",
        _table(("code", "status", "again as it is", "meaning"), rows),
        "## What the present state does not allow",
        "Answered with 409. Names in braces stand for what it is about.",
        _table(("code", "in words"), said),
    )


def _classes(trees: Iterable[ast.Module]) -> Iterator[tuple[int, str, bool, str]]:
    """(status, code, whether it may be tried again, docstring) of the errors that have a code of their own."""
    found = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}

    def value(name: str, attribute: str) -> Any:
        node = found.get(name)
        if node is None:
            return None
        for line in node.body:
            targets = [line.target] if isinstance(line, ast.AnnAssign) else getattr(line, "targets", [])
            named = any(getattr(target, "id", "") == attribute for target in targets)
            if named and isinstance(line.value, ast.Constant):
                return line.value.value
        return next((v for base in node.bases if (v := value(getattr(base, "id", ""), attribute)) is not None), None)

    def is_error(name: str) -> bool:
        node = found.get(name)
        return name == "OnhandError" or (node is not None and any(is_error(getattr(b, "id", "")) for b in node.bases))

    for name, node in found.items():
        code = "{kind}.not_found" if name == "NotFound" else value(name, "code")
        own = name == "NotFound" or any(
            isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "code" for line in node.body
        )
        if own and is_error(name):
            text = (ast.get_docstring(node) or "").split("\n\n")[0]
            yield value(name, "http_status") or 500, str(code), bool(value(name, "retryable")), text


def _refusals(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Code -> words of each `Conflict(code, words)`."""
    found: dict[str, str] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _is_conflict(node.func) and len(node.args) >= 2:
                code, words = (_template(argument) for argument in node.args[:2])
                if code and words and "{" not in code:
                    found.setdefault(code, words)
    return found


def _is_conflict(called: ast.expr) -> bool:
    return isinstance(called, ast.Name) and called.id == "Conflict"


def _template(value: ast.expr) -> str:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "{" + _short(part) + "}" for part in value.values
        )
    return ""


def _short(part: ast.expr) -> str:
    inner = part.value if isinstance(part, ast.FormattedValue) else part
    names = [node.attr if isinstance(node, ast.Attribute) else node.id for node in ast.walk(inner)
             if isinstance(node, (ast.Attribute, ast.Name))]  # fmt: skip
    return names[0] if names else "…"
