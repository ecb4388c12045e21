"""What is wrong with the text of a policy: every finding has its place, its field, and what to do about it. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Final, cast

from onhand.base.countries import COUNTRIES
from onhand.base.fields import path_of
from onhand.documents.expression import Checked, Named
from onhand.documents.findings import (
    Finding,
    Severity,
    by_place,
    did_you_mean,
    found_at,
    found_in,
    validate,
)
from onhand.documents.text import Document, Location, Unreadable, read
from onhand.sourcing import custom
from onhand.sourcing.policies.conditions import check
from onhand.sourcing.policies.facts import Vocabulary
from onhand.sourcing.policies.model import MONEY_TERMS, TERMS, PolicyIn, RuleIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Names that exist in the rest of the world; None: not known here, so nothing is checked against it. Of cost terms
    None stands for those of this process."""

    groups: Collection[str] | None = None
    nodes: Collection[str] | None = None
    channels: Collection[str] | None = None
    services: Collection[str] | None = None
    terms: Collection[str] | None = None


NOTHING_KNOWN: Final = Known()


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """Findings by place; `policy` is the document, if it can be used."""

    findings: list[Finding]
    policy: PolicyIn | None

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]


def lint(text: str, *, known: Known = NOTHING_KNOWN, today: date | None = None) -> Linted:
    """Read a policy and say what is wrong with it, at most a hundred things.

    text   YAML or JSON
    known  what groups, services, channels and nodes there are
    today  days before it are told; None: no day is
    """
    try:
        document = read(text)
    except Unreadable as error:
        path = path_of(error.location)
        return Linted(findings=[found_at("error", error.place, path, str(error), error.remedy)], policy=None)
    found: list[Finding] = []
    policy = validate(document, PolicyIn, found, what="a policy", begin="rules:")
    if policy is not None:
        for location, severity, message, remedy in _problems(policy, known, today):
            found.append(found_in(document, location, severity, message, remedy))
        found += _expressions(policy, document, known)
    is_usable = policy is not None and all(finding.severity != "error" for finding in found)
    return Linted(findings=by_place(found), policy=policy if is_usable else None)


# What a schema cannot say ---------------------------------------------------------------------------------------------

_Problem = tuple[Location, Severity, str, str]


def _problems(policy: PolicyIn, known: Known, today: date | None) -> Iterator[_Problem]:
    yield from _objectives(policy)
    yield from _weights(policy, known)
    yield from _priorities(policy, today)
    yield from _limits(policy, known)
    yield from _rules(policy)
    yield from _endings(policy)


def _objectives(policy: PolicyIn) -> Iterator[_Problem]:
    named: list[tuple[Location, str | None]] = [(("objective",), policy.objective)]
    named += [(("priorities", n, "objective"), priority.objective) for n, priority in enumerate(policy.priorities)]
    named += [(("rules", n, "objective"), rule.objective) for n, rule in enumerate(policy.rules)]
    for location, name in named:
        if name is not None and name not in policy.objectives:
            remedy = did_you_mean(name, policy.objectives, "add it to objectives")
            yield location, "error", f"no objective is called {name!r}", remedy


def _weights(policy: PolicyIn, known: Known) -> Iterator[_Problem]:
    terms = (*TERMS, *custom.names()) if known.terms is None else known.terms
    everywhere: list[tuple[Location, Mapping[str, float]]] = [(("weights",), policy.weights)]
    everywhere += [
        (("rules", n, "weights"), {**policy.weights, **rule.weights})
        for n, rule in enumerate(policy.rules)
        if rule.weights is not None
    ]
    for location, weights in everywhere:
        if all(weights.get(term, 1.0) == 0 for term in terms):
            yield location, "error", "every cost term has weight 0: all plans are equal", "leave at least one above 0"
        for name, weight in weights.items():
            if name in MONEY_TERMS and weight != 1:
                message = f"{name} is money already: its weight is not used"
                yield (*location, name), "warning", message, "remove it, or weigh the other terms"
            if name not in terms and (len(location) == 1 or name not in policy.weights):
                install = f"install what brings it; known are {', '.join(terms)}"
                remedy = did_you_mean(name, terms, install)
                yield (*location, name), "error", f"no cost term is called {name!r} here", remedy


def _priorities(policy: PolicyIn, today: date | None) -> Iterator[_Problem]:
    for n, priority in enumerate(policy.priorities):
        until = priority.until
        if until is not None and until < priority.from_:
            yield ("priorities", n, "until"), "error", "it ends before it begins", f"choose {priority.from_} or later"
        elif until is not None and today is not None and until < today:
            yield ("priorities", n, "until"), "warning", "it has ended", "remove it"
    order = sorted(range(len(policy.priorities)), key=lambda n: policy.priorities[n].from_)
    for before, after in pairwise(order):
        ends, begins = policy.priorities[before].until, policy.priorities[after].from_
        if ends is None or ends >= begins:
            message = f"priorities[{before}] still holds on that day"
            yield ("priorities", after, "from"), "error", message, f"end that one before {begins}, or begin later"


def _limits(policy: PolicyIn, known: Known) -> Iterator[_Problem]:
    named: list[tuple[Location, Sequence[str]]] = [(("limits", "services"), policy.limits.services or ())]
    for n, rule in enumerate(policy.rules):
        named.append((("rules", n, "limits", "services"), rule.limits.services or ()))
        if known.groups is not None:
            for m, group in enumerate(rule.groups or ()):
                if group not in known.groups:
                    remedy = did_you_mean(group, known.groups, "create it first, or remove it here")
                    yield ("rules", n, "groups", m), "error", f"no node group {group!r}", remedy
    if known.services is None:
        return
    for location, services in named:
        for m, service in enumerate(services):
            if service not in known.services:
                remedy = did_you_mean(service, known.services, "create its carrier first, or remove it here")
                yield (*location, m), "error", f"no carrier service {service!r}", remedy


def _rules(policy: PolicyIn) -> Iterator[_Problem]:
    seen: dict[str, int] = {}
    stopper: int | None = None
    for n, rule in enumerate(policy.rules):
        if rule.name in seen:
            message = f"rules[{seen[rule.name]}] has that name too"
            yield ("rules", n, "name"), "error", message, "give each a name of its own: plans tell which one decided"
        seen.setdefault(rule.name, n)
        if stopper is not None:
            remedy = f"move it before rules[{stopper}], or write otherwise: next there"
            yield ("rules", n), "error", f"never reached: rules[{stopper}] takes every order and stops", remedy
        elif _takes_every_order(rule) and rule.otherwise == "stop":
            stopper = n
    if policy.rules and not any(map(_takes_every_order, policy.rules)):
        last = len(policy.rules) - 1
        message = "an order that no rule is for has no plan and falls back"
        yield ("rules", last), "warning", message, "add a last rule without when, if that is not meant"


def _takes_every_order(rule: RuleIn) -> bool:
    return rule.when is None or check(rule.when, ("order",)).constant is True


def _endings(policy: PolicyIn) -> Iterator[_Problem]:
    fallback, floor = policy.fallback, policy.profit_floor
    if fallback.cancel_after_hours is not None and fallback.on_no_plan == "unfillable":
        message = "an unfillable order waits for nothing"
        yield ("fallback", "cancel_after_hours"), "warning", message, "remove it, or choose backorder, hold or partial"
    if floor is not None and floor.share is None and floor.minor is None:
        yield ("profit_floor",), "error", "it has neither share nor minor", "give one of them, or remove it"
    seen: dict[str, int] = {}
    for n, guard in enumerate(policy.guards):
        if guard.metric in seen:
            message = f"guards[{seen[guard.metric]}] watches {guard.metric} already"
            yield ("guards", n, "metric"), "warning", message, "keep the stricter one"
        seen.setdefault(guard.metric, n)


# Conditions -----------------------------------------------------------------------------------------------------------


def _expressions(policy: PolicyIn, document: Document, known: Known) -> Iterator[Finding]:
    for n, rule in enumerate(policy.rules):
        for name, text, variables in (("when", rule.when, ("order",)), ("nodes", rule.nodes, ("node", "order"))):
            if text is not None:
                location: Location = ("rules", n, name)
                checked = check(text, variables)
                yield from _of_expression(checked, document, location, known)
                if checked.constant is False:
                    place = document.place(location)
                    message = "it is never true, so the rule does nothing"
                    yield found_at("warning", place, path_of(location), message, "remove the rule, or the condition")


def _of_expression(checked: Checked, document: Document, location: Location, known: Known) -> Iterator[Finding]:
    path = path_of(location)
    for problem in checked.problems:
        place = document.place_within(location, problem.offset)
        yield found_at("error" if problem.is_error else "warning", place, path, problem.message, problem.remedy)
    for named in checked.named:
        words, is_closed = _words(named, known)
        if words is not None and named.text not in words and named.text:
            place = document.place_within(location, named.offset)
            kind = _KINDS[cast(Vocabulary, named.vocabulary)]
            remedy = did_you_mean(named.text, words, f"use one of {', '.join(sorted(words)[:10])}")
            severity: Severity = "error" if is_closed else "warning"
            yield found_at(severity, place, path, f"no {kind} is called {named.text!r}: this never holds", remedy)


_METHODS: Final = ("ship", "pickup", "ship_to_store")
_NODE_TYPES: Final = ("warehouse", "store", "third_party", "supplier")
_KINDS: Final[Mapping[Vocabulary, str]] = {
    "method": "method",
    "node_type": "type of node",
    "country": "country",
    "channel": "channel",
    "service": "carrier service",
    "node": "node",
    "group": "node group",
}


def _words(named: Named, known: Known) -> tuple[Collection[str] | None, bool]:
    """The words a fact can be, and whether there can never be others."""
    match cast(Vocabulary, named.vocabulary):
        case "method":
            return _METHODS, True
        case "node_type":
            return _NODE_TYPES, True
        case "country":
            return COUNTRIES, True
        case "channel":
            return known.channels, False
        case "service":
            return known.services, False
        case "node":
            return known.nodes, False
        case "group":
            return known.groups, False
