"""Findings: each at its place, with its field and a remedy."""

import time
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.sourcing.policies.facts import table
from onhand.sourcing.policies.lint import Known, lint
from onhand.sourcing.policies.model import TERMS
from onhand.sourcing.policies.select import compile_policy

KNOWN = Known(groups={"west"}, nodes={"LYON"}, channels={"web", "amazon"}, services={"express"})
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "policies.md"

# text, severity, line, column, path, part of message, part of remedy
CASES = [
    ("rule: []", "error", 1, 1, "rule", "unknown field", "'rules'"),
    ("limits:\n  fulfilment_max: 1", "error", 2, 3, "limits.fulfilment_max", "unknown field", "'fulfilments_max'"),
    ("rules:\n  - name: a\n    limit: {}", "error", 3, 5, "rules[0].limit", "unknown field", "'limits'"),
    ("rules:\n  - when: 'true'", "error", 2, 5, "rules[0].name", "required", "add"),
    ("limits: {fulfilments_max: '4'}", "error", 1, 27, "limits.fulfilments_max", "integer", "without quotes"),
    ("limits: {fulfilments_max: 0}", "error", 1, 27, "limits.fulfilments_max", "greater", "within that limit"),
    ("rules: {}", "error", 1, 8, "rules", "expected a list", "dash"),
    ("limits: 3", "error", 1, 9, "limits", "mapping", "below it"),
    ("- a", "error", 1, 1, "", "mapping", "rules"),
    ("", "error", 1, 1, "", "mapping", "rules"),
    ("guards: [{metric: joy}]", "error", 1, 19, "guards[0].metric", "none of the words", "late_share"),
    ("objectives: {A b: {}}", "error", 1, 14, "objectives.A b", "not a name", "small letters"),
    ("priorities: [{objective: speed, from: 2027-02-30}]", "error", 1, 39, "priorities[0].from", "no such day", ""),
    ("objective: margn", "error", 1, 12, "objective", "no objective is called 'margn'", "'margin'"),
    ("rules: [{name: a, objective: fast}]", "error", 1, 30, "rules[0].objective", "no objective", "add it"),
    ("weights: {tax_duty: 2}", "warning", 1, 21, "weights.tax_duty", "money already", "other terms"),
    ("weights: {shiping: 2}", "error", 1, 20, "weights.shiping", "no cost term", "'shipping'"),
    (f"weights: {{{', '.join(f'{t}: 0' for t in TERMS)}}}", "error", 1, 10, "weights", "weight 0", "above 0"),
    (
        "priorities:\n- {objective: speed, from: 2027-03-01}\n- {objective: margin, from: 2027-05-01}",
        "error", 3, 29, "priorities[1].from", "priorities[0] still holds", "end that one before 2027-05-01",
    ),
    (
        "priorities:\n- {objective: speed, from: 2027-03-01, until: 2027-02-01}",
        "error", 2, 47, "priorities[0].until", "ends before it begins", "2027-03-01",
    ),
    (
        "priorities:\n- {objective: speed, from: 2025-03-01, until: 2025-12-01}",
        "warning", 2, 47, "priorities[0].until", "has ended", "remove",
    ),
    ("limits: {services: [expres]}", "error", 1, 21, "limits.services[0]", "no carrier service 'expres'", "'express'"),
    (
        "rules: [{name: a, limits: {services: [x]}}]",
        "error", 1, 39, "rules[0].limits.services[0]", "no carrier service 'x'", "carrier first",
    ),
    ("rules: [{name: a, groups: [wst]}]", "error", 1, 28, "rules[0].groups[0]", "no node group 'wst'", "'west'"),
    ("rules: [{name: a}, {name: a}]", "error", 1, 27, "rules[1].name", "rules[0] has that name", "own"),
    (
        "rules:\n- {name: a, otherwise: stop}\n- name: b",
        "error", 3, 3, "rules[1]", "never reached: rules[0]", "before rules[0]",
    ),
    (
        "rules:\n- {name: a, when: 'true', otherwise: stop}\n- name: b",
        "error", 3, 3, "rules[1]", "never reached", "before rules[0]",
    ),
    ("rules: [{name: a, when: order.units > 1}]", "warning", 1, 9, "rules[0]", "falls back", "without when"),
    ("rules: [{name: a, when: 'false'}, {name: b}]", "warning", 1, 25, "rules[0].when", "never true", "remove"),
    (
        "fallback: {on_no_plan: unfillable, cancel_after_hours: 3}",
        "warning", 1, 56, "fallback.cancel_after_hours", "waits for nothing", "backorder",
    ),
    ("profit_floor: {}", "error", 1, 15, "profit_floor", "neither share nor minor", "one of them"),
    (
        "guards: [{metric: late_share}, {metric: late_share}]",
        "warning", 1, 41, "guards[1].metric", "guards[0] watches", "stricter",
    ),
    (
        "rules:\n- name: a\n  nodes: |\n    node.type == 'store'\n    && node.contry == 'DE'\n",
        "error", 5, 13, "rules[0].nodes", "node has no 'contry'", "'country'",
    ),
    (
        'rules:\n- {name: a, nodes: node.type == "werehouse"}',
        "error", 2, 33, "rules[0].nodes", "no type of node is called 'werehouse'", "'warehouse'",
    ),
    (
        'rules:\n- {name: a, nodes: node.country == "UK"}',
        "error", 2, 36, "rules[0].nodes", "no country is called 'UK'", "",
    ),
    (
        "rules:\n- {name: z}\n- {name: a, when: order.channel == 'amazn'}",
        "warning", 3, 36, "rules[1].when", "no channel is called 'amazn'", "'amazon'",
    ),
    (
        "rules:\n- name: a\n  nodes: >\n    'wst' in\n    node.groups",
        "warning", 4, 5, "rules[0].nodes", "no node group is called 'wst'", "'west'",
    ),
    ("a: &a 1", "error", 1, 4, "a", "anchors and aliases", "write out"),
    ("{\"objective\": \"margin\",\n\t\"limit\": {}}", "error", 2, 2, "limit", "unknown field", "'limits'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "severity", "line", "column", "path", "message", "remedy"), CASES, ids=[c[5] for c in CASES]
)
def test_findings(text, severity, line, column, path, message, remedy):
    linted = lint(text, known=KNOWN, today=date(2026, 8, 1))
    found = [f for f in linted.findings if message in f.message]
    assert [(f.severity, f.line, f.column, f.path) for f in found] == [(severity, line, column, path)]
    assert remedy in found[0].remedy
    assert found[0].remedy
    assert (linted.policy is None) == any(f.severity == "error" for f in linted.findings)


def test_what_is_not_known_is_not_checked():
    text = "limits: {services: [x]}\nrules: [{name: a, groups: [y], nodes: node.code == 'z'}]"
    assert lint(text).findings == []


def test_everything_at_once_is_told():
    linted = lint("objective: a\nweights: {b: 1}\nrules: [{name: c, when: order.d}]", known=KNOWN)
    assert [(f.line, f.severity) for f in linted.findings] == [
        (1, "error"), (2, "error"), (3, "warning"), (3, "error"),
    ]  # fmt: skip


def blocks(language):
    parts = PAGE.read_text("utf-8").split(f"```{language}\n")[1:]
    return [part.split("```")[0] for part in parts]


def test_the_examples_of_the_documentation_are_sound():
    examples = blocks("yaml")
    assert len(examples) == 3
    for text in examples:
        linted = lint(text, today=date(2026, 8, 1))
        assert linted.findings == []
        assert linted.policy is not None
        assert compile_policy(linted.policy).rules


def test_the_documentation_has_the_facts_there_are():
    assert table() in PAGE.read_text("utf-8")


SCRAPS = st.sampled_from(
    ["rules: ", " - name: a", "    when: ", "order.units", "node.type", " == ", "'x'", '"', "[", "]", "{", "}", ",",
     "\n", "  ", "limits: ", "objective: ", "1", "true", "&a", "*a", "? ", ">", "#", "guards: ", "metric: ", "(", ")"]
)  # fmt: skip


@given(st.lists(SCRAPS, max_size=30).map("".join))
@settings(max_examples=400, deadline=None)
def test_no_text_breaks_the_linter(text):
    linted = lint(text, known=KNOWN, today=date(2026, 8, 1))
    lines = text.split("\n")
    assert (linted.policy is not None) == (linted.errors == [])
    for finding in linted.findings:
        assert 1 <= finding.line <= len(lines) + 1
        assert finding.column >= 1
        assert finding.message
        assert finding.remedy
    if linted.policy is not None:
        compile_policy(linted.policy)


def test_a_large_policy_is_linted_within_a_second():
    rules = "".join(
        f"- name: r{n}\n  when: order.channel == 'web' && order.value_minor >= {n}\n"
        f"  nodes: node.type == 'store' && node.country == order.destination.country\n"
        for n in range(200)
    )
    began = time.perf_counter()
    linted = lint(f"rules:\n{rules}- name: rest\n", known=KNOWN)
    took_s = time.perf_counter() - began
    assert [f.path for f in linted.findings] == ["rules"]  # one more than 200
    assert took_s < 5, f"took {took_s:.2f} s"
