"""The syntax of ANSI X12: interchanges, groups and transaction sets (here: messages) as segments. Pure.

ISA ... IEA is an interchange, GS ... GE a group of messages of one kind, ST ... SE a message. Each ends with the number
of its parts and repeats its control number; what does not add up is refused as a whole, and told with the place.
(X12.5 interchange control structures, X12.6 application control structure; versions 004010 and 005010.)
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

CONTROL_MAX: Final = 999_999_999
_SEGMENT_ID: Final = re.compile(r"[A-Z][A-Z0-9]{1,2}", re.ASCII)


class Damaged(Exception):
    """Something that is no interchange, or a damaged one. position: of the segment in the file, from 1."""

    def __init__(self, why: str, *, position: int = 0) -> None:
        self.position = position
        super().__init__(f"segment {position}: {why}" if position else why)


class Separators(NamedTuple):
    """The characters that separate; an interchange names its own."""

    element: str = "*"
    component: str = ">"
    segment: str = "~"
    repetition: str = "^"


@dataclass(frozen=True, slots=True)
class Segment:
    """`segment[1]` is its first element, "" if it has none. position: in the message (ST is 1), or in the file."""

    id: str
    elements: tuple[str, ...]
    position: int = 0

    def __getitem__(self, n: int) -> str:
        return self.elements[n - 1] if 0 < n <= len(self.elements) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong in a message, in the codes of the acknowledgement.

    set_code      AK502: 2 no trailer, 3 control numbers differ, 4 number of segments, 5 segments in error, 7 no number
    segment       its id and its position in the message (ST is 1), if it is one; segment_code: AK304
    element       its number in the segment, if it is one; element_code: AK403
    """

    why: str
    set_code: str = "5"
    segment: str = ""
    position: int = 0
    segment_code: str = ""
    element: int = 0
    element_code: str = ""

    def __str__(self) -> str:
        where = f"{self.segment}{self.element:02d}" if self.element else self.segment
        return f"segment {self.position} ({where}): {self.why}" if self.segment else self.why


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A transaction set. segments: without ST and SE."""

    kind: str
    control: str
    segments: Sequence[Segment]
    faults: Sequence[Fault] = ()

    def all(self, *ids: str) -> list[Segment]:
        """Segments of some kinds, in their order."""
        return [segment for segment in self.segments if segment.id in ids]

    def first(self, id_: str, qualifier: str | None = None) -> Segment | None:
        """The first of a kind, whose first element is `qualifier` if one is given."""
        return next((s for s in self.segments if s.id == id_ and qualifier in (None, s[1])), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A functional group. code: GS01, as OW for 940; fault: AK905, if the whole of it is refused."""

    code: str
    control: int
    version: str
    messages: Sequence[Message]
    sender: str = ""
    receiver: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interchange:
    """An interchange. sender, receiver: qualifier and id"""

    sender: tuple[str, str]
    receiver: tuple[str, str]
    at: datetime
    control: int
    groups: Sequence[Group]
    version: str = "00401"
    is_test: bool = False
    separators: Separators = field(default_factory=Separators)


# Reading --------------------------------------------------------------------------------------------------------------


def read(text: str) -> list[Interchange]:
    """All interchanges of a file. Raises Damaged if any of them does not hold together."""
    found: list[Interchange] = []
    at, position = 0, 0
    while (at := _skip(text, at)) < len(text):
        separators, body = _opening(text, at, position)
        segments, at = _segments(text, at, body, separators, position)
        found.append(_interchange(segments, separators))
        position = segments[-1].position
    if not found:
        raise Damaged("there is nothing in it")
    return found


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \r\n\t\ufeff\0\x1a":
        at += 1
    return at


def _opening(text: str, at: int, position: int) -> tuple[Separators, int]:
    """What separates, by the ISA segment at `at`, and where the next segment begins."""
    if text[at : at + 3] != "ISA":
        raise Damaged(f"expected ISA, got {text[at : at + 20]!r}", position=position + 1)
    element = text[at + 3 : at + 4]
    # The fields of ISA have fixed lengths, which not everybody keeps to: they are counted instead.
    fields = text[at : at + 200].split(element, 16) if element else []
    if len(fields) < 17 or len(fields[16]) < 2 or element.isalnum() or element in " \r\n":
        raise Damaged("ISA is not whole", position=position + 1)
    component, segment = fields[16][0], fields[16][1]
    repetition = fields[11] if len(fields[11]) == 1 and not fields[11].isalnum() else ""
    separators = Separators(element, component, segment, repetition)
    if len({element, component, segment}) < 3 or segment.isalnum() or component.isalnum():
        raise Damaged("ISA does not say what separates", position=position + 1)
    return separators, at + sum(map(len, fields[:16])) + 16 + 2


def _segments(text: str, at: int, body: int, separators: Separators, before: int) -> tuple[list[Segment], int]:
    """The segments from ISA to IEA, and where what follows begins."""
    position = before + 1
    isa = text[at : body - 1].split(separators.element)
    found = [Segment("ISA", tuple(isa[1:]), position)]
    at = body
    while True:
        end = text.find(separators.segment, at)
        if end < 0:
            raise Damaged("the interchange has no end (IEA)", position=position)
        # Only breaks of lines: a blank may be a letter of an element.
        said = text[at:end].strip("\r\n\t") if separators.segment not in "\r\n" else text[at:end].strip("\r\n\t ")
        at = end + 1
        if not said:
            continue
        position += 1
        id_, *elements = said.split(separators.element)
        if not _SEGMENT_ID.fullmatch(id_):
            raise Damaged(f"expected a segment, got {said[:20]!r}", position=position)
        found.append(Segment(id_, tuple(elements), position))
        if id_ == "ISA":
            raise Damaged("the interchange before it has no end (IEA)", position=position)
        if id_ == "IEA":
            return found, at


def _interchange(segments: Sequence[Segment], separators: Separators) -> Interchange:
    isa, iea = segments[0], segments[-1]
    control, said = _number(isa[13]), _number(iea[2])
    if control is None or control != said:
        raise Damaged(f"IEA repeats control number {iea[2]!r} of {isa[13]!r}", position=iea.position)
    groups = list(_groups(segments[1:-1]))
    if _number(iea[1]) != len(groups):
        raise Damaged(f"IEA counts {iea[1]!r} groups of {len(groups)}", position=iea.position)
    return Interchange(
        sender=(isa[5].strip(), isa[6].strip()),
        receiver=(isa[7].strip(), isa[8].strip()),
        at=_moment(isa, 9, 10),
        control=control,
        version=isa[12],
        is_test=isa[15] == "T",
        groups=groups,
        separators=separators,
    )


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _moment(segment: Segment, day: int, time: int) -> datetime:
    said = segment[day] + segment[time][:4]
    try:
        return datetime.strptime(said, "%y%m%d%H%M" if len(said) == 10 else "%Y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        raise Damaged(f"{segment.id} has no date and time", position=segment.position) from None


def _groups(segments: Sequence[Segment]) -> Iterator[Group]:
    at = 0
    while at < len(segments):
        gs = segments[at]
        # TA1 acknowledges an interchange and stands before all groups.
        if gs.id == "TA1":
            at += 1
            continue
        if gs.id != "GS":
            raise Damaged(f"expected GS, got {gs.id}", position=gs.position)
        end = next((n for n in range(at + 1, len(segments)) if segments[n].id in {"GE", "GS"}), len(segments))
        if end == len(segments) or segments[end].id == "GS":
            raise Damaged("a group has no end (GE)", position=segments[end - 1].position)
        yield _group(gs, segments[at + 1 : end], segments[end])
        at = end + 1


def _group(gs: Segment, inside: Sequence[Segment], ge: Segment) -> Group:
    control = _number(gs[6])
    if control is None:
        raise Damaged("GS has no control number", position=gs.position)
    messages = list(_messages(inside))
    fault = ""
    if _number(ge[2]) != control:
        fault = "4"
    elif _number(ge[1]) != len(messages):
        fault = "5"
    return Group(
        code=gs[1], control=control, version=gs[8], messages=messages, sender=gs[2], receiver=gs[3], fault=fault
    )


def _messages(segments: Sequence[Segment]) -> Iterator[Message]:
    at = 0
    seen: set[str] = set()
    while at < len(segments):
        st = segments[at]
        if st.id != "ST":
            raise Damaged(f"expected ST, got {st.id}", position=st.position)
        end = next((n for n in range(at + 1, len(segments)) if segments[n].id in {"SE", "ST"}), len(segments))
        has_end = end < len(segments) and segments[end].id == "SE"
        inside = [replace(s, position=n) for n, s in enumerate(segments[at + 1 : end], 2)]
        faults: list[Fault] = []
        if not has_end:
            faults.append(Fault(why="it has no end (SE)", set_code="2"))
        elif segments[end][2] != st[2]:
            faults.append(Fault(why=f"SE repeats control number {segments[end][2]!r} of {st[2]!r}", set_code="3"))
        elif _number(segments[end][1]) != len(inside) + 2:
            counted = segments[end][1]
            faults.append(Fault(why=f"SE counts {counted!r} segments of {len(inside) + 2}", set_code="4"))
        if not re.fullmatch(r"[0-9A-Z]{4,9}", st[2], re.ASCII):
            faults.append(Fault(why=f"{st[2]!r} is no control number", set_code="7"))
        elif st[2] in seen:
            faults.append(Fault(why=f"control number {st[2]} stands twice in the group", set_code="23"))
        seen.add(st[2])
        yield Message(kind=st[1], control=st[2], segments=inside, faults=faults)
        at = end + 1 if has_end else end


# Writing --------------------------------------------------------------------------------------------------------------


class Unwritable(ValueError):
    """A value that cannot be said in X12; the text says which and why."""


def segment(id_: str, *elements: str | int) -> Segment:
    """A segment; empty elements at its end are left out."""
    said = [str(element) for element in elements]
    while said and not said[-1]:
        said.pop()
    return Segment(id_, tuple(said))


def write(interchange: Interchange, *, line_breaks: bool = False) -> str:
    """The interchange as text. Raises Unwritable for an element with a separator or a control character in it."""
    separators = interchange.separators
    out: list[Segment] = []
    for group in interchange.groups:
        out.append(
            segment(
                "GS", group.code, group.sender or interchange.sender[1], group.receiver or interchange.receiver[1],
                f"{interchange.at:%Y%m%d}", f"{interchange.at:%H%M}", group.control, "X", group.version,
            )
        )  # fmt: skip
        for message in group.messages:
            out.append(segment("ST", message.kind, message.control))
            out.extend(message.segments)
            out.append(segment("SE", len(message.segments) + 2, message.control))
        out.append(segment("GE", len(group.messages), group.control))
    out.append(segment("IEA", len(interchange.groups), f"{interchange.control:09d}"))
    ending = separators.segment + ("\r\n" if line_breaks else "")
    said = [_isa(interchange), *(_said(one, separators) for one in out)]
    return "".join(one + ending for one in said)


def _isa(interchange: Interchange) -> str:
    separators = interchange.separators
    fields = [
        "ISA", "00", " " * 10, "00", " " * 10, *_party(interchange.sender, separators),
        *_party(interchange.receiver, separators), f"{interchange.at:%y%m%d}", f"{interchange.at:%H%M}",
        "U" if interchange.version < "00402" else separators.repetition, interchange.version,
        f"{interchange.control:09d}", "0", "T" if interchange.is_test else "P", separators.component,
    ]  # fmt: skip
    return separators.element.join(fields)


def _party(party: tuple[str, str], separators: Separators) -> tuple[str, str]:
    qualifier, id_ = party
    if len(qualifier) != 2 or not 1 <= len(id_) <= 15 or set(id_) & set(separators):
        raise Unwritable(f"expected a qualifier of 2 letters and an id of 1 to 15, got {qualifier!r} and {id_!r}")
    return qualifier, id_.ljust(15)


def _said(one: Segment, separators: Separators) -> str:
    for n, element in enumerate(one.elements, 1):
        # X12 has no way to quote.
        if any(c in separators or c < " " or c == "\x7f" for c in element):
            raise Unwritable(f"{one.id}{n:02d} cannot have {element[:40]!r}: there is a separator in it")
    return separators.element.join([one.id, *one.elements])
