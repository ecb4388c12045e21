"""YAML and JSON as values with places: which line and column a field of a document stands at.

YAML is read by the core schema of version 1.2 (`yes` and `012` are what they look like, a day is text) and without what
makes documents mean more than they show: anchors, aliases, merge keys, tags, a name twice. JSON is YAML, but its text
is read by the rules of JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from onhand.base.members import RepeatedKey, unique_members

LENGTH_MAX: Final = 200_000  # characters: half a second of reading
_DEPTH_MAX: Final = 32

Location = tuple[int | str, ...]
"""Of a field within a document: ("rules", 0, "when")."""


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, from 1."""

    line: int
    column: int


BEGINNING: Final = Place(1, 1)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text as it stands: from `start` to `end` (offsets) of the document, quotes included."""

    start: int
    end: int
    is_block: bool


class Unreadable(Exception):
    """The text is no document; `place` is where, `remedy` what to do."""

    def __init__(self, message: str, place: Place, remedy: str, location: Location = ()) -> None:
        self.place, self.remedy, self.location = place, remedy, location
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Document:
    """A value and where its parts stand; of a name-value pair, both."""

    text: str
    value: Any
    names: Mapping[Location, Place] = field(default_factory=dict[Location, Place])
    values: Mapping[Location, Place] = field(default_factory=dict[Location, Place])
    scalars: Mapping[Location, Scalar] = field(default_factory=dict[Location, Scalar])

    def place(self, location: Location, *, of_name: bool = False) -> Place:
        """Where a field stands, or the nearest one around it that does."""
        for length in range(len(location), -1, -1):
            part = location[:length]
            if (of_name or length < len(location)) and part in self.names:
                return self.names[part]
            if part in self.values:
                return self.values[part]
        return BEGINNING

    def place_within(self, location: Location, offset: int) -> Place:
        """Where the character `offset` of a text field stands."""
        scalar = self.scalars.get(location)
        value = self.value
        if scalar is None:
            return self.place(location)
        for part in location:
            value = value[part]
        at = _aligned(self.text, scalar, str(value), offset)
        before = self.text[:at]
        return Place(before.count("\n") + 1, at - before.rfind("\n"))


def _aligned(text: str, scalar: Scalar, value: str, offset: int) -> int:
    """The offset in `text` of the character `offset` of `value`.

    A value is what stands there without quotes, indents and backslashes, and a folded line break is a blank: its
    characters are found in their order.
    """
    at = scalar.start
    is_double = text[at : at + 1] == '"'
    if scalar.is_block:
        at = text.find("\n", at) + 1
    elif is_double or text[at : at + 1] == "'":
        at += 1
    for number, char in enumerate(value):
        width = 1
        while at < scalar.end:
            if is_double and (escape := _ESCAPE.match(text, at)):
                if escape[0][-1:] not in "\r\n":  # else a line goes on: it stands for nothing
                    width = len(escape[0])
                    break
                at = escape.end()
            elif text[at] == char or (char.isspace() and text[at].isspace()):
                break
            else:
                at += 1
        if number == offset:
            return at
        at += width
    return min(at, scalar.end)


_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r?\n|.)", re.DOTALL)


def read(text: str) -> Document:
    """A document of YAML or JSON. Raises Unreadable."""
    if len(text) > LENGTH_MAX:
        raise Unreadable(f"longer than {LENGTH_MAX:,} characters", BEGINNING, "divide it over several documents")
    document = _read(text)
    _refuse_unstorable(document)
    return document


def _read(text: str) -> Document:
    if text.lstrip()[:1] in ("{", "["):
        value = _json(text)
        try:
            return _Builder(text).build(value)
        except (Unreadable, _Odd):
            return Document(text, value)  # JSON that YAML's reader stumbles on: without places
    return _Builder(text).build()


def _refuse_unstorable(document: Document) -> None:
    pending: list[tuple[Location, Any]] = [((), document.value)]
    while pending:
        location, value = pending.pop()
        if isinstance(value, dict):
            for name, member in cast("dict[str, Any]", value).items():
                pending += [(location, name), ((*location, name), member)]
        elif isinstance(value, list):
            pending += [((*location, number), member) for number, member in enumerate(cast("list[Any]", value))]
        elif isinstance(value, str) and _UNSTORABLE.search(value):
            message = "a character that no text may have (NUL, or half of a pair)"
            raise Unreadable(message, document.place(location), "remove it", location)


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=unique_members, parse_constant=_no_constant)
    except RepeatedKey as error:
        at = text.rfind(json.dumps(error.key, ensure_ascii=False))
        raise Unreadable(
            f"{error.key!r} stands twice", _place_of(text, max(at, 0)), "keep one of them", (error.key,)
        ) from None
    except json.JSONDecodeError as error:
        # A flow mapping of YAML looks like JSON.
        try:
            return _Builder(text).build().value
        except Unreadable:
            raise Unreadable(
                f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}",
                Place(error.lineno, error.colno),
                "correct it here, or write YAML",
            ) from None
    except (RecursionError, ValueError):
        raise Unreadable("nested too deep, or with a number out of range", BEGINNING, "make it simpler") from None


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _place_of(text: str, at: int) -> Place:
    return Place(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


class _Mark(Protocol):
    index: int
    line: int
    column: int


class _Odd(Exception):
    """What YAML read is not what JSON says."""


@dataclass(slots=True)
class _Open:
    """A mapping or sequence being read."""

    location: Location
    value: dict[str, Any] | list[Any]
    name: str | None = None

    def next_location(self) -> Location:
        if isinstance(self.value, list):
            return (*self.location, len(self.value))
        assert self.name is not None
        return (*self.location, self.name)

    def add(self, value: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        else:
            assert self.name is not None
            self.value[self.name] = value
            self.name = None


class _Builder:
    """Values and places from the events of the reader."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._names: dict[Location, Place] = {}
        self._values: dict[Location, Place] = {}
        self._scalars: dict[Location, Scalar] = {}
        self._open: list[_Open] = []
        self._documents: list[Any] = []

    def build(self, value: Any = None) -> Document:
        """The document; `value` is it, if it is known already. Raises Unreadable, _Odd."""
        try:
            for event in self._events():
                self._take(event)
        except MarkedYAMLError as error:
            raise self._marked(error) from None
        except (YAMLError, RecursionError, ValueError, AssertionError, AttributeError, IndexError) as error:
            raise Unreadable(f"not YAML: {str(error)[:200]}", BEGINNING, "write it anew") from None
        found = self._documents[0] if self._documents else None
        if value is not None and found != value:
            raise _Odd
        return Document(self._text, found if value is None else value, self._names, self._values, self._scalars)

    def _marked(self, error: Any) -> Unreadable:
        mark = cast("_Mark | None", error.problem_mark or error.context_mark)
        place = BEGINNING if mark is None else Place(mark.line + 1, mark.column + 1)
        said = " ".join(str(part) for part in (error.context, error.problem) if part)
        (line,) = self._text.splitlines()[place.line - 1 : place.line] or [""]
        remedy = "indent with blanks, not with tabs" if "\t" in line else "correct the indents, quotes or brackets here"
        return Unreadable(f"not YAML: {said}", place, remedy)

    def _events(self) -> Iterator[Any]:
        return cast("Iterator[Any]", YAML(typ="safe", pure=True).parse(self._text))  # pyright: ignore[reportUnknownMemberType]

    def _take(self, event: Any) -> None:
        if _is(event, DocumentStartEvent):
            if self._documents:
                raise Unreadable("a second document begins", _start(event), "write one document only")
            if event.version is not None or event.tags:
                raise Unreadable("a directive stands here", _start(event), "remove it: this is YAML 1.2")
        elif _is(event, MappingEndEvent) or _is(event, SequenceEndEvent):
            done = self._open.pop()
            if isinstance(done.value, dict) and done.name is not None:
                done.add(None)
        elif _is(event, NodeEvent):
            self._refuse_hidden(event)
            self._node(event)

    def _refuse_hidden(self, event: Any) -> None:
        if _is(event, AliasEvent) or event.anchor is not None:
            remedy = "write out what it stands for"
            raise Unreadable("anchors and aliases are not allowed", _start(event), remedy, self._at())
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise Unreadable(f"the tag {str(tag)[:40]!r} is not allowed", _start(event), "remove it", self._at())

    def _at(self) -> Location:
        top = self._open[-1] if self._open else None
        if top is None:
            return ()
        return top.location if isinstance(top.value, dict) and top.name is None else top.next_location()

    def _node(self, event: Any) -> None:
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.value, dict) and top.name is None:
            self._name(top, event)
            return
        location = () if top is None else top.next_location()
        self._values[location] = _start(event)
        if _is(event, ScalarEvent):
            value: Any = _scalar(event, location)
            if isinstance(value, str):
                start, end = cast("_Mark", event.start_mark), cast("_Mark", event.end_mark)
                self._scalars[location] = Scalar(start.index, end.index, event.style in ("|", ">"))
            self._put(top, value)
            return
        if len(self._open) >= _DEPTH_MAX:
            raise Unreadable(f"nested deeper than {_DEPTH_MAX} levels", _start(event), "make it flatter", location)
        opened: dict[str, Any] | list[Any] = {} if _is(event, MappingStartEvent) else []
        self._put(top, opened)
        self._open.append(_Open(location, opened))

    def _put(self, into: _Open | None, value: Any) -> None:
        if into is None:
            self._documents.append(value)
        else:
            into.add(value)

    def _name(self, mapping: _Open, event: Any) -> None:
        if not _is(event, ScalarEvent):
            raise Unreadable("a name is expected here", _start(event), "write name: value", mapping.location)
        name = str(event.value)
        location = (*mapping.location, name)
        if name in mapping.value:
            first = self._names[location]
            message = f"{name!r} stands twice; first in line {first.line}"
            raise Unreadable(message, _start(event), "keep one of them", location)
        self._names[location] = _start(event)
        mapping.name = name


def _is(event: Any, kind: type) -> bool:
    """isinstance, without what the type checker would conclude from untyped classes."""
    return isinstance(event, kind)


def _start(event: Any) -> Place:
    mark = cast("_Mark", event.start_mark)
    return Place(mark.line + 1, mark.column + 1)


_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[Mapping[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


_SURROGATE = re.compile("[\ud800-\udfff]")


def _scalar(event: Any, location: Location) -> object:
    """The value of a scalar by the core schema of YAML 1.2.2 (10.3.2), without infinity and NaN."""
    text = str(event.value)
    if _SURROGATE.search(text):  # JSON writes what is beyond 16 bits as a pair
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if event.style is not None or event.tag == "!":
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        if len(text) > 30:
            raise Unreadable("this number has too many digits", _start(event), "make it shorter", location)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
