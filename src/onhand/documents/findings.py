"""What is wrong with a document: every finding has its place, its field, and what to do about it. Pure."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from onhand.base.fields import path_of
from onhand.documents.text import BEGINNING, Document, Location, Place

M = TypeVar("M", bound=BaseModel)

Severity = Literal["error", "warning"]
FINDINGS_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong. An error makes the document unusable; a warning is most likely a mistake.

    line, column  from 1
    path          of the field, as in `rules[0].when`
    """

    severity: Severity
    line: int
    column: int
    path: str
    message: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.line}:{self.column}: {self.severity}: {where}{self.message}; {self.remedy}"


def found_at(severity: Severity, place: Place, path: str, message: str, remedy: str) -> Finding:
    """A finding at a place of the text."""
    return Finding(severity=severity, line=place.line, column=place.column, path=path, message=message, remedy=remedy)


def found_in(document: Document, location: Location, severity: Severity, message: str, remedy: str) -> Finding:
    """A finding about a field, where it stands."""
    return found_at(severity, document.place(location), path_of(location), message, remedy)


def by_place(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of the text, at most FINDINGS_MAX."""
    return sorted(findings, key=lambda f: (f.line, f.column, f.severity))[:FINDINGS_MAX]


def validate(document: Document, model: type[M], found: list[Finding], *, what: str, begin: str) -> M | None:
    """`document` as a `model`; what is wrong with it goes to `found`, and then there is none.

    what, begin  as in "a policy", "rules:"
    """
    value: object = document.value
    if not isinstance(value, dict):
        message = f"{what} is a mapping of fields to values"
        found.append(found_at("error", BEGINNING, "", message, f'begin with "{begin}"'))
        return None
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[:FINDINGS_MAX]
        found += [_of_detail(detail, document, model, what) for detail in details]
        return None


def _of_detail(detail: ErrorDetails, document: Document, model: type[BaseModel], what: str) -> Finding:
    location = tuple(part for part in detail["loc"] if part != "[key]")
    is_of_name = detail["type"] == "extra_forbidden" or len(location) != len(detail["loc"])
    location = _in_document(location, document.value)
    place = document.place(location, of_name=is_of_name)
    message, remedy = _worded(detail, location, model, what)
    return found_at("error", place, path_of(location), message, remedy)


def _in_document(location: Location, value: object) -> Location:
    """`location` without what pydantic adds to it: the tag of a member of a union."""
    kept: list[int | str] = []
    at: Any = value
    for part, following in zip(location, (*location[1:], None), strict=True):
        if not _is_container(at):
            break  # nothing stands below it
        inner: Any = _member(at, part)
        is_tag = inner is None or (not _is_container(inner) and following in at)
        if following is not None and is_tag:
            continue
        kept.append(part)
        at = inner
    return tuple(kept)


def _is_container(value: object) -> bool:
    return isinstance(value, (dict, list))


def _member(value: Any, part: int | str) -> Any:
    try:
        return value[part]
    except (LookupError, TypeError):
        return None


def _worded(detail: ErrorDetails, location: Location, model: type[BaseModel], what: str) -> tuple[str, str]:
    kind = detail["type"]
    if kind == "missing":
        return "required", "add it"
    if kind == "extra_forbidden":
        known = list(_fields_at(model, location[:-1]))
        return "unknown field", did_you_mean(str(location[-1]), known, f"known are {', '.join(known)}")
    if kind in ("literal_error", "union_tag_invalid"):
        context = detail.get("ctx", {})
        expected = context.get("expected") or context.get("expected_tags") or "one of them"
        return "none of the words that are known here", f"use {expected}"
    if kind == "union_tag_not_found":
        return "it does not say of which kind it is", f"add {detail.get('ctx', {}).get('discriminator', 'its kind')}"
    if kind in ("model_type", "dict_type"):
        return "expected a mapping of fields to values", "write its fields below it, indented"
    if kind == "list_type":
        return "expected a list", "begin each member with a dash"
    if kind == "string_pattern_mismatch":
        return "not a name", "use small letters, digits and _, beginning with a letter"
    text = detail["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:], _REMEDIES.get(kind, f"write it as the documentation of {_plural(what)} shows")


def _plural(what: str) -> str:
    noun = what.removeprefix("an ").removeprefix("a ")
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


_REMEDIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("int_type", "float_type", "int_from_float"), "write a number, without quotes"),
    "bool_type": "write true or false",
    "string_type": "put it in quotes",
    **dict.fromkeys(
        ("greater_than", "greater_than_equal", "less_than", "less_than_equal"), "choose a number within that limit"
    ),
    **dict.fromkeys(("too_long", "string_too_long"), "make it shorter"),
    **dict.fromkeys(("too_short", "string_too_short"), "fill it in, or leave the field out"),
}


def _fields_at(model: type[BaseModel], location: Location) -> Iterator[str]:
    """Names of the fields that the part of a document at `location` can have."""
    annotations: list[Any] = [model]
    for part in location:
        inner: list[Any] = []
        for annotation in annotations:
            for a in _alternatives(annotation):
                if isinstance(a, type) and issubclass(a, BaseModel):
                    fields = {info.alias or name: info.annotation for name, info in a.model_fields.items()}
                    inner += [fields[str(part)]] if str(part) in fields else []
                elif get_origin(a) in (list, dict):
                    inner.append(get_args(a)[-1])
        annotations = inner
    names: dict[str, None] = {}
    for annotation in annotations:
        for a in _alternatives(annotation):
            if isinstance(a, type) and issubclass(a, BaseModel):
                names |= dict.fromkeys(info.alias or name for name, info in a.model_fields.items())
    yield from names


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _alternatives(part)
    else:
        yield annotation


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A remedy for a name that is not among `known`."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else otherwise
