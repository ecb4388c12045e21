"""Whether a value with blanks fits a schema (JSON Schema as OpenAPI writes it), as far as it is known. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import unquote

from onhand.connectors._sdk import filling
from onhand.documents.findings import did_you_mean
from onhand.documents.text import Location

_REFERENCES_MAX: Final = 50
_WHOLE: Final = re.compile(r"\{[^{}]+\}")
_SHOWN_MAX: Final = 12
_OF_CONVERSION: Final = {
    **dict.fromkeys(("integer", "unix_s", "unix_ms"), "integer"),
    **dict.fromkeys(("text", "rfc3339", "gmt", "date", "first_part", "last_part", "numeral"), "string"),
}
_INTEGERS: Final = frozenset({"quantity", "item.quantity", "left", "item.left", "size", "page", "offset"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that does not fit. of_name: the name of the field is wrong, not its value."""

    location: Location
    message: str
    remedy: str
    of_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How values are held against the schemas of one description.

    root     the description: what `$ref` leads into
    lists    blanks that stand for a list: where what each member is made of stands, and what that is
    is_text  values are texts of a query: 7 is "7" there, and a list has commas
    """

    root: Mapping[str, Any]
    lists: Mapping[str, tuple[Location, Any]] = field(default_factory=dict[str, tuple[Location, Any]])
    is_text: bool = False

    def misfits(self, value: Any, schema: Mapping[str, Any], at: Location) -> Iterator[Problem]:
        """What is wrong with a value that stands `at` a location."""
        schema = self.merged(schema)
        for word in ("oneOf", "anyOf"):
            if schema.get(word):
                rest = {name: member for name, member in schema.items() if name != word}
                ways = [self.merged({"allOf": [rest, way]}) for way in schema[word]]
                # Which of them is meant, its kind says first.
                alike = [way for way in ways if _kind_of(value) in _kinds(way)] or ways
                yield from min((list(self.misfits(value, way, at)) for way in alike), key=len)
                return
        if isinstance(value, str) and value in self.lists:
            inner, item = self.lists[value]
            yield from self._list([item], schema, at, (inner,))
        elif isinstance(value, Mapping) and filling.is_each(made := cast("Mapping[str, Any]", value)):
            yield from self._list([made["item"]], schema, at, ((*at, "item"),))
        elif isinstance(value, str) and next(filling.blanks(value), None) is not None:
            yield from self._filled(value, schema, at)
        elif isinstance(value, Mapping):
            yield from self._fields(cast("Mapping[str, Any]", value), schema, at)
        elif isinstance(value, list):
            members = cast("list[Any]", value)
            yield from self._list(members, schema, at, tuple((*at, n) for n in range(len(members))))
        else:
            yield from self._scalar(value, schema, at)

    def merged(self, schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        """A schema without `$ref` and `allOf`. What leads elsewhere allows everything."""
        if depth > _REFERENCES_MAX:
            return {}
        if "$ref" in schema:
            return self.merged(self._resolved(str(schema["$ref"])), depth + 1)
        found = {name: member for name, member in schema.items() if name != "allOf"}
        for part in schema.get("allOf", ()):
            said = self.merged(part, depth + 1)
            for name, member in said.items():
                if name == "properties":
                    found[name] = {**member, **found.get(name, {})}
                elif name == "required":
                    found[name] = [*found.get(name, ()), *member]
                elif name == "additionalProperties" and member is not False:
                    found[name] = member
                else:
                    found.setdefault(name, member)
        return found

    def _resolved(self, reference: str) -> Mapping[str, Any]:
        found: Any = self.root
        if not reference.startswith("#/"):
            return {}
        for part in reference.removeprefix("#/").split("/"):
            try:
                found = found[unquote(part).replace("~1", "/").replace("~0", "~")]
            except (LookupError, TypeError):
                return {}
        return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}

    def _filled(self, value: str, schema: Mapping[str, Any], at: Location) -> Iterator[Problem]:
        if self.is_text:
            return
        kind = "string"
        if _WHOLE.fullmatch(value):
            ((name, conversion),) = filling.blanks(value)
            known = "integer" if conversion is None and name in _INTEGERS else _OF_CONVERSION.get(conversion or "")
            if known is None:
                return
            kind = known
        yield from _of_kind(kind, schema, at, f"{value} is")

    def _scalar(self, value: Any, schema: Mapping[str, Any], at: Location) -> Iterator[Problem]:
        if self.is_text:
            yield from self._text(str(value).lower() if isinstance(value, bool) else str(value), schema, at)
            return
        if value is None and schema.get("nullable") is True:
            return
        wrong = list(_of_kind(_kind_of(value), schema, at, f"{_shown(value)} is"))
        yield from wrong or _limits(value, schema, at)

    def _text(self, text: str, schema: Mapping[str, Any], at: Location) -> Iterator[Problem]:
        """A value of a query, as the kind it has to be."""
        kinds = _kinds(schema)
        if kinds == {"array"}:
            for part in text.split(","):
                yield from self._text(part, self.merged(schema.get("items", {})), at)
            return
        value: Any = text
        if kinds & {"integer", "number"} and re.fullmatch(r"-?[0-9]+", text):
            value = int(text)
        elif "number" in kinds and re.fullmatch(r"-?[0-9]+\.[0-9]+", text):
            value = float(text)
        elif "boolean" in kinds and text in ("true", "false"):
            value = text == "true"
        wrong = list(_of_kind(_kind_of(value), schema, at, f"{_shown(value)} is"))
        yield from wrong or _limits(value, schema, at)

    def _list(
        self, members: Sequence[Any], schema: Mapping[str, Any], at: Location, places: Sequence[Location]
    ) -> Iterator[Problem]:
        if self.is_text and "array" not in _kinds(schema):
            return  # the name stands there once for each
        wrong = list(_of_kind("array", schema, at, "a list is"))
        yield from wrong
        for member, place in zip(members, places, strict=True) if not wrong else ():
            yield from self.misfits(member, schema.get("items", {}), place)

    def _fields(self, value: Mapping[str, Any], schema: Mapping[str, Any], at: Location) -> Iterator[Problem]:
        wrong = list(_of_kind("object", schema, at, "a mapping is"))
        if wrong:
            yield from wrong
            return
        known = cast("Mapping[str, Any]", schema.get("properties", {}))
        others = schema.get("additionalProperties", not known)
        # Whoever is one of several kinds may have fields of that kind.
        is_open = "patternProperties" in schema or "discriminator" in schema or others not in (None, False)
        for name, member in value.items():
            if name in known:
                yield from self.misfits(member, known[name], (*at, name))
            elif isinstance(others, Mapping):
                yield from self.misfits(member, cast("Mapping[str, Any]", others), (*at, name))
            elif not is_open:
                remedy = did_you_mean(name, known, listed(known))
                yield Problem(location=(*at, name), message=f"no field is called {name!r}", remedy=remedy, of_name=True)
        for name in dict.fromkeys(schema.get("required", ())):
            if name not in value and self.merged(known.get(name, {})).get("readOnly") is not True:
                yield Problem(location=at, message=f"{name!r} is missing", remedy="add it: the channel requires it")


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    said = schema.get("type", ())
    return {said} if isinstance(said, str) else set(cast("Sequence[str]", said))


def _kind_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case Mapping():
            return "array" if filling.is_each(cast("Mapping[str, Any]", value)) else "object"
        case list():
            return "array"
        case _:
            return "string"


def _of_kind(kind: str, schema: Mapping[str, Any], at: Location, what: str) -> Iterator[Problem]:
    kinds = _kinds(schema)
    is_fit = not kinds or kind in kinds or (kind == "integer" and "number" in kinds)
    if not is_fit:
        wanted = " or ".join(sorted(kinds - {"null"}))
        remedy = (
            "write {name:text}, or put it in quotes" if kind == "integer" and "string" in kinds else f"give {wanted}"
        )
        yield Problem(location=at, message=f"{what} no {wanted}", remedy=remedy)


def _limits(value: Any, schema: Mapping[str, Any], at: Location) -> Iterator[Problem]:
    enum = cast("Sequence[Any]", schema.get("enum", [value]))
    if value not in enum and value is not None:
        words = [str(word) for word in enum]
        remedy = did_you_mean(str(value), words, listed(words))
        yield Problem(location=at, message=f"{_shown(value)} is none of the words that it knows", remedy=remedy)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        least, most = schema.get("minimum", value), schema.get("maximum", value)
        if not least <= value <= most:
            remedy = f"write {least} or more" if value < least else f"write {most} or less"
            yield Problem(location=at, message=f"{value} is out of its range", remedy=remedy)
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        yield Problem(location=at, message="it is too long", remedy=f"it has at most {schema['maxLength']} characters")


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else "null" if value is None else str(value).lower()


def listed(names: Any) -> str:
    """A remedy that says which names there are."""
    known = sorted(str(name) for name in names)
    more = f" and {len(known) - _SHOWN_MAX} more" if len(known) > _SHOWN_MAX else ""
    return f"known are {', '.join(known[:_SHOWN_MAX])}{more}" if known else "remove it: there are none"
