"""What is wrong with the text of a playbook: every finding has its place, its field, and what to do about it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from onhand.base.fields import path_of
from onhand.documents.expression import check
from onhand.documents.findings import Finding, Severity, by_place, did_you_mean, found_at, found_in, validate
from onhand.documents.text import Document, Location, Unreadable, read
from onhand.incidents.model import Kind
from onhand.incidents.playbooks.facts import context
from onhand.incidents.playbooks.fill import BLANKS, OF_PROMISE, blanks_of
from onhand.incidents.playbooks.model import (
    LIMITS,
    NUMBERS,
    NotifyCustomerIn,
    PlaybookIn,
    ReleaseIn,
    StepIn,
    ThrottlePriceIn,
    duration,
)

_Problem = tuple[Location, Severity, str, str]
_Text = tuple[Location, str | None, Literal["bool", "number"]]
_VOCABULARIES = {"kinds": frozenset(kind.value for kind in Kind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """Findings by place; `playbook` is the document, if it can be used."""

    findings: list[Finding]
    playbook: PlaybookIn | None

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]


def lint(text: str) -> Linted:
    """Read a playbook, YAML or JSON, and say what is wrong with it, at most a hundred things."""
    try:
        document = read(text)
    except Unreadable as error:
        found = found_at("error", error.place, path_of(error.location), str(error), error.remedy)
        return Linted(findings=[found], playbook=None)
    findings: list[Finding] = []
    playbook = validate(document, PlaybookIn, findings, what="a playbook", begin="summary:")
    if playbook is not None:
        for location, severity, message, remedy in _problems(playbook):
            findings.append(found_in(document, location, severity, message, remedy))
        findings += _expressions(playbook, document)
    is_usable = playbook is not None and all(finding.severity != "error" for finding in findings)
    return Linted(findings=by_place(findings), playbook=playbook if is_usable else None)


def _problems(playbook: PlaybookIn) -> Iterator[_Problem]:
    for n, kind in enumerate(playbook.on):
        if kind in playbook.on[:n]:
            yield ("on", n), "error", f"{kind} stands twice", "keep one of them"
    for n, step in enumerate(playbook.steps):
        before = playbook.steps[:n]
        at: Location = ("steps", n)
        for limit in sorted(step.limit.model_dump(exclude_none=True)):
            if limit not in LIMITS[step.do]:
                message = f"a step {step.do} knows no limit of {limit}: it would not hold"
                yield (*at, "limit", limit), "error", message, f"limit it by {' or '.join(LIMITS[step.do])}"
        if isinstance(step, NotifyCustomerIn):
            yield from _message(step, before, at)
        if isinstance(step, ReleaseIn) and not any(other.do == "hold" for other in before):
            yield (*at, "do"), "error", "nothing is held before it", "add a step hold above, or remove this one"
        if isinstance(step, ThrottlePriceIn) and step.times > 1 and step.again is None:
            yield (*at, "times"), "error", "it says how often, but not when", 'add again: "1d"'
        if step.restore_when is not None and step.restore == "by_hand":
            yield (*at, "restore_when"), "error", "it is to be put back by hand only", "remove one of the two"
        if step.approval == "notify_only" and (step.restore or step.restore_when):
            yield (*at, "approval"), "warning", "it changes nothing, so nothing is put back", "remove restore"


def _message(step: NotifyCustomerIn, before: list[StepIn], at: Location) -> Iterator[_Problem]:
    is_promised = any(other.do == "re_promise" for other in before)
    if step.about == "promises" and not is_promised:
        yield (*at, "about"), "error", "nothing is promised anew before it", "add a step re_promise above"
    for field, text in (("subject", step.subject), ("text", step.text)):
        names, odd = blanks_of(text)
        for name in names:
            if name not in BLANKS:
                remedy = did_you_mean(name, BLANKS, f"known are {', '.join(BLANKS)}")
                yield (*at, field), "error", f"nothing fills the blank {{{name}}}", remedy
            elif name in OF_PROMISE and step.about != "promises":
                yield (*at, field), "error", f"{{{name}}} is known of new promises only", "add about: promises"
        if odd:
            yield (*at, field), "error", "a brace that belongs to no blank", "write blanks as {order.number}"


def _expressions(playbook: PlaybookIn, document: Document) -> Iterator[Finding]:
    known = context(playbook.on)
    texts: list[_Text] = [(("when",), playbook.when, "bool")]
    for n, step in enumerate(playbook.steps):
        texts.append((("steps", n, "when"), step.when, "bool"))
        texts.append((("steps", n, "restore_when"), step.restore_when, "bool"))
        for name in NUMBERS:
            value = getattr(step, name, None)
            if isinstance(value, str):
                texts.append((("steps", n, name), value, "number"))
            elif isinstance(value, (int, float)) and value < 0:
                yield found_in(document, ("steps", n, name), "error", "it is below 0", "choose 0 or more")
    for location, text, answers in texts:
        if text is None:
            continue
        checked = check(text, known, answers=answers)
        for problem in checked.problems:
            place = document.place_within(location, problem.offset)
            severity: Severity = "error" if problem.is_error else "warning"
            yield found_at(severity, place, path_of(location), problem.message, problem.remedy)
        for named in checked.named:
            words = _VOCABULARIES.get(named.vocabulary)
            if words is not None and named.text not in words:
                place = document.place_within(location, named.offset)
                message, remedy = (
                    f"no kind of incident is called {named.text!r}",
                    did_you_mean(named.text, words, "see `on`"),
                )
                yield found_at("error", place, path_of(location), message, remedy)
        if checked.constant is False:
            yield found_in(document, location, "warning", "this never holds", "remove the step, or the condition")


__all__ = ["Finding", "Linted", "duration", "lint"]
