"""JSON Schemas by hand, and arguments held against them."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

Json = dict[str, Any]

STRING: Final[Json] = {"type": "string"}
NUMBER: Final[Json] = {"type": "number"}
BOOLEAN: Final[Json] = {"type": "boolean"}
ANYTHING: Final[Json] = {"type": "object"}


def closed(properties: Mapping[str, Json], required: Sequence[str] = ()) -> Json:
    """An object with these members and no others."""
    schema: Json = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(required)
    return schema | {"additionalProperties": False}


def answer(properties: Mapping[str, Json], required: Sequence[str] | None = None) -> Json:
    """An object with at least these members: an answer, which may grow. All are required unless said."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties if required is None else required),
    }


def rows(properties: Mapping[str, Json], required: Sequence[str] | None = None) -> Json:
    """A list of such objects."""
    return {"type": "array", "items": answer(properties, required)}


def strings(of: Json = STRING) -> Json:
    """A list."""
    return {"type": "array", "items": of}


def text(description: str, *, most: int = 200, **more: Any) -> Json:
    return {"type": "string", "minLength": 1, "maxLength": most, "description": description} | more


def integer(description: str, *, least: int | None = None, most: int | None = None, **more: Any) -> Json:
    bounds = {} if least is None else {"minimum": least}
    bounds |= {} if most is None else {"maximum": most}
    return {"type": "integer", **bounds, "description": description} | more


def choice(description: str, *values: str) -> Json:
    return {"type": "string", "enum": list(values), "description": description}


def nullable(schema: Json) -> Json:
    """That, or null."""
    return schema | {"type": [schema["type"], "null"]}


def wrong(schema: Json, arguments: Json) -> list[tuple[str, str, str]]:
    """(path, message with the remedy, keyword) of what is wrong with `arguments`; empty: nothing."""
    errors = cast("Iterable[Any]", _validator(msgspec.json.encode(schema)).iter_errors(arguments))
    # Of each member that is missing there is an error, and each tells of all of them.
    return list(dict.fromkeys(found for error in errors for found in _told(error)))[:20]


@functools.lru_cache(maxsize=128)
def _validator(schema: bytes) -> Any:
    # Not at the top: it takes a tenth of a second, and a server may never be asked by an agent.
    from jsonschema.validators import Draft202012Validator  # noqa: PLC0415

    return Draft202012Validator(msgspec.json.decode(schema))


_WORDS: Final = {
    "minimum": "expected {} or more",
    "exclusiveMinimum": "expected more than {}",
    "maximum": "expected {} or less",
    "minLength": "expected at least {} characters",
    "maxLength": "expected at most {} characters",
    "minItems": "expected at least {}",
    "maxItems": "expected at most {}",
    "pattern": "is not written as expected",
}


def _told(error: Any) -> list[tuple[str, str, str]]:
    path = _path(error.absolute_path)
    keyword, value = str(error.validator), error.validator_value
    if keyword == "required":
        return [(_join(path, name), "required", keyword) for name in value if name not in error.instance]
    if keyword == "additionalProperties":
        known = error.schema.get("properties", {})
        return [
            (_join(path, str(name)), f"unknown; known are {', '.join(known)}", keyword)
            for name in error.instance
            if name not in known
        ]
    if keyword in ("type", "enum"):
        known = [value] if isinstance(value, str) else cast("list[Any]", value)
        return [(path or "arguments", f"expected {' or '.join(map(str, known))}", keyword)]
    words = _WORDS.get(keyword, "is not as expected")
    return [(path or "arguments", words.format(value), keyword)]


def _path(parts: Iterable[str | int]) -> str:
    path = ""
    for part in parts:
        path = f"{path}[{part}]" if isinstance(part, int) else _join(path, part)
    return path


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
