"""Conditions: what is wrong with one, where, and which facts it asks."""

import cel
import pytest
from hypothesis import given, settings

from onhand.documents.expression import EACH
from onhand.sourcing.policies.conditions import check

from .facts import conditions, nodes, orders

BOTH = ("order", "node")


def problems(text, variables=BOTH):
    return check(text, variables).problems


# text, where it points to (what stands there), part of the message, part of the remedy
WRONG = [
    ('order.chanel == "x"', "chanel", "order has no 'chanel'", "'channel'"),
    ('order.destination.contry == "DE" || true', "contry", "order.destination has no 'contry'", "'country'"),
    ('order["chanel"] == "x"', '"chanel"', "has no 'chanel'", "'channel'"),
    ('ordr.channel == "x"', "ordr", "nothing is called 'ordr'", "'order'"),
    ('channel == "x"', "channel", "nothing is called 'channel'", "order.channel"),
    ('order.channel = "x"', "=", "a single = stands here", "=="),
    ("order.channel == ", "", "ends too early", "missing"),
    ('order.channel == "x', '"x', "not closed", "quote"),
    ('(order.channel == "x"', "", "ends too early", "bracket"),
    ("order.units && && true", "&& true", "extraneous input", "too much"),
    ("1", "1", "an int, expected true or false", "compare"),
    ("order.units", "units", "an int, expected true or false", "compare"),
    ("!order.units", "units", "an int, expected true or false", "compare"),
    ("order.units > 1 && order.channel", "channel", "a string, expected true or false", "compare"),
    ("order.channel == 3", "==", "a string never equals an int", "quotes"),
    ('order.value_minor > "3"', ">", "an int and a string have no order", "quotes"),
    ("order.value_minor + 1.5 > 3.0", "+", "an int + a double is not possible", "double("),
    ("order.weight_g * 1.5 > 3.0", "*", "an int * a double is not possible", "double("),
    ("-order.channel == 1", "-", "minus a string", "number"),
    ('order.placed_at > "2026"', ">", "a timestamp and a string have no order", 'timestamp("'),
    ("order.items.exists(i, i.unit > 1)", "unit >", "order.items[] has no 'unit'", "'units'"),
    ("order.items.exists(i, i.units)", "units", "an int, expected true or false", "compare"),
    ("order.items.units > 1", "units", "has no 'units'", "exists"),
    ('order.items["a"].units > 1', '["a"]', "asked by number", "[0]"),
    ("order.channel.exists(i, i == 1)", "exists", "asks the members of a list", "list"),
    ("order.items.exists(i.units > 1)", "exists", "takes a name and a condition", "exists(i"),
    ("order.channel in 3", "in", "asks a list", "["),
    ("3 in node.groups", "in", "an int is never among list of string", "quotes"),
    ('order.channel.matches("(")', '"("', "not a regular expression", "RE2"),
    ("foo(order.units) > 1", "foo", "no function 'foo'", "known are"),
    ('order.channel.startswith("x")', "startswith", "no function 'startswith'", "startsWith"),
    ('matches(order.channel, "x")', "matches", "no function 'matches'", "x.matches()"),
    ("order.units.size() > 1", "units", "size takes no int", "string"),
    ('order.channel.contains("a", "b")', "contains", "contains takes 1", "1 in its brackets"),
    ("has(order)", "order", "has takes one field", "has(node.attributes.fragile)"),
    ("(" * 25 + "true" + ")" * 25, "(true", "nested deeper", "several rules"),
    (
        "order.items.exists(a, order.items.exists(b, order.items.exists(c, a.units == c.units)))",
        "exists(c",
        "macros stand deeper",
        "rules",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "there", "message", "remedy"), WRONG, ids=[row[0][:40] for row in WRONG])
def test_an_error_is_found_at_its_place_with_a_remedy(text, there, message, remedy):
    found = next(p for p in problems(text) if message in p.message)
    assert found.is_error
    assert text[found.offset :].startswith(there)
    assert remedy in found.remedy


WARNED = [
    ("node.attributes.fragile == true", "may be missing"),
    ('node.attributes["fragile"] == true', "may be missing"),
    ("order.channel == null", "never null"),
    ("has(order.channel)", "always there"),
]


@pytest.mark.parametrize(("text", "message"), WARNED)
def test_what_is_most_likely_a_mistake_is_a_warning(text, message):
    (found,) = problems(text)
    assert (found.is_error, message in found.message) == (False, True)


SOUND = [
    "true",
    'order.channel == "amazon" && order.value_minor >= 10000',
    'node.type == "warehouse" && node.country == order.destination.country',
    "has(node.attributes.fragile) && node.attributes.fragile == true",
    "order.items.exists(i, has(i.attributes.a) && i.attributes.a.b.c == 1)",
    "double(order.value_minor) / double(order.units) > 10.5",
    "order.weekday in [6, 7] || order.hour >= 18",
    "node.distance_km < 300 && order.units > 1 ? true : false",
    "!!order.customer.known // not a stranger\n && order.lines > -1",
    "order.destination.postal_code.matches('^97[1-6]')",
    r"order.channel == r'\d' || order.channel == '''a'''",
    'order.placed_at - duration("1h") > timestamp("2026-01-01T00:00:00Z")',
    "type(order.units) == int",
    '{"DE": 1, "FR": 2}["DE"] == 1',
    "[1, 2,].size() == 2",
]


@pytest.mark.parametrize("text", SOUND)
def test_sound_conditions_pass(text):
    assert problems(text) == []


def test_a_rule_for_orders_does_not_know_nodes():
    (found,) = problems('node.type == "store"', ("order",))
    assert "not known in this condition" in found.message


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("order.destination.country == 'DE'", {("order", "destination", "country")}),
        ("order.destination == order.destination", {("order", "destination")}),
        ("size(order.items) > 1", {("order", "items", EACH)}),
        ("order.items.exists(i, i.units > 1)", {("order", "items", EACH), ("order", "items", EACH, "units")}),
        ("order.items[0].units > 1", {("order", "items")}),
        ("order.items.exists(order, order.units > 1)", {("order", "items", EACH), ("order", "items", EACH, "units")}),
        ("has(node.attributes.a)", {("node", "attributes", "a")}),
        ("'a' in node.attributes", {("node", "attributes")}),
        ("'west' in node.groups", {("node", "groups")}),
        ("node.groups.exists(g, g == 'west')", {("node", "groups"), ("node", "groups", EACH)}),
    ],
)
def test_the_facts_that_are_asked(text, reads):
    assert check(text, BOTH).reads == reads


def test_words_that_are_compared_are_told():
    text = 'node.type == "store" && order.channel in ["web", "shop"] && "west" in node.groups'
    named = check(text, BOTH).named
    assert {(n.vocabulary, n.text) for n in named} == {
        ("node_type", "store"), ("channel", "web"), ("channel", "shop"), ("group", "west"),
    }  # fmt: skip
    assert all(text[n.offset + 1 :].startswith(n.text) for n in named)


@given(conditions, orders, nodes)
@settings(max_examples=300, deadline=None)
def test_what_passes_is_answered_with_true_or_false(text, order, node):
    """The engine is the oracle: a condition without errors and warnings never fails, whatever the facts."""
    assert problems(text) == []
    assert isinstance(cel.evaluate(text, {"order": order, "node": node}), bool)
