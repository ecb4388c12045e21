"""A compiled policy against the engine, which is asked anew with all facts each time."""

import threading

import cel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.sourcing.policies.facts import node_facts
from onhand.sourcing.policies.model import PolicyIn
from onhand.sourcing.policies.select import Condition, Nodes, compile_policy
from onhand.sourcing.policy import STANDARD

from .facts import conditions, nodes, orders


def compiled(*rules, **more):
    return compile_policy(PolicyIn.model_validate({"rules": list(rules)} | more))


@given(conditions, st.lists(st.tuples(orders, nodes), min_size=2, max_size=8))
@settings(max_examples=200, deadline=None)
def test_remembered_answers_are_those_of_the_engine(text, cases):
    condition = Condition(text, ("node", "order"), "x")
    for order, node in cases + cases:
        assert condition.holds(order, node) == cel.evaluate(text, {"order": order, "node": node})
    assert condition.fault() is None


def test_only_what_is_read_tells_answers_apart(monkeypatch):
    asked = []

    class Counted:
        def __init__(self, program):
            self.program = program

        def execute(self, context):
            asked.append(context)
            return self.program.execute(context)

    condition = Condition('order.channel == "web" && node.country == "DE"', ("node", "order"), "x")
    monkeypatch.setattr(condition, "_program", Counted(condition._program))
    node = node_facts(code="a", type="store", country="DE", attributes={"a": 1})
    for channel, code in (("web", "a"), ("web", "b"), ("market", "a"), ("market", "c")):
        assert condition.holds({"channel": channel, "units": len(asked)}, node | {"code": code}) == (channel == "web")
    assert asked == [
        {"order": {"channel": "web"}, "node": {"country": "DE"}},
        {"order": {"channel": "market"}, "node": {"country": "DE"}},
    ]


@pytest.mark.parametrize(("one", "other"), [(True, 1), (1, 1.0), ("1", 1), ([1], [True]), ({"c": 1}, {"c": True})])
def test_values_that_python_takes_for_equal_are_told_apart(one, other):
    text = "node.attributes.a == true" if one is True else "type(node.attributes.a) == int"
    if isinstance(one, list | dict):
        text = "node.attributes.a == " + ("[1]" if isinstance(one, list) else '{"c": 1}')
    condition = Condition(text, ("node",), "x")
    for value in (one, other, one):
        node = node_facts(code="a", type="store", country="DE", attributes={"a": value})
        assert condition.holds({}, node) == cel.evaluate(text, {"node": node})


@given(conditions, st.lists(nodes, min_size=1, max_size=6), st.lists(orders, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_masks_are_what_each_node_is_answered(text, of_nodes, of_orders):
    policy = compiled({"name": "a", "nodes": text, "groups": ["web", "DE"]}, {"name": "b", "nodes": text})
    network = Nodes(tuple(of_nodes))
    distances = np.array([node["distance_km"] for node in of_nodes])
    for order in of_orders + of_orders:
        for rule in policy.rules:
            mask = policy.admitted(rule, network, order, distances)
            assert mask.tolist() == [policy.admits(rule, node, order) for node in of_nodes]


def test_a_new_network_is_not_answered_by_the_old_ones_masks():
    policy = compiled({"name": "a", "nodes": 'node.type == "store"'})
    store, warehouse = (node_facts(code="a", type=t, country="DE") for t in ("store", "warehouse"))
    for facts, expected in ((store, [True]), (warehouse, [False]), (store, [True])):
        assert policy.admitted(policy.rules[0], Nodes((facts,)), {}).tolist() == expected


def test_rules_are_tried_in_order_until_one_stops():
    policy = compiled(
        {"name": "a", "when": "order.units > 1"},
        {"name": "b", "when": "order.units > 2", "otherwise": "stop"},
        {"name": "c"},
    )
    tried = {units: [rule.name for rule in policy.attempts({"units": units})] for units in (1, 2, 3)}
    assert tried == {1: ["c"], 2: ["a", "c"], 3: ["a", "b"]}


def test_no_rules_mean_every_node_for_every_order():
    (rule,) = compiled().attempts({})
    assert (rule.number, rule.admits_every_node, rule.limits.fulfilments_max) == (-1, True, 4)


def test_a_rule_inherits_what_it_does_not_say():
    policy = compiled(
        {"name": "a", "limits": {"fulfilments_max": 1, "services": ["express"]}, "weights": {"carbon": 2, "split": 1}},
        limits={"fulfilments_max": 3, "distance_km_max": 50, "divide_lines": False},
        weights={"split": 3, "handling": 0},
    )
    (rule,) = policy.rules
    limits = rule.limits
    assert (limits.fulfilments_max, limits.distance_km_max, limits.divide_lines) == (1, 50.0, False)
    assert limits.services == {"express"}
    assert rule.weights == {"carbon": 2, "handling": 0}


def test_a_failure_does_not_apply_and_is_reported():
    policy = compiled({"name": "a", "nodes": "node.attributes.a == 1"}, {"name": "b", "when": "10 / order.units > 1"})
    node = node_facts(code="a", type="store", country="DE")
    assert [rule.name for rule in policy.attempts({"units": 0})] == ["a"]
    assert not policy.admits(policy.rules[0], node, {})
    assert not policy.admits(policy.rules[0], node, {})
    nodes_fault, when_fault = policy.faults()
    assert (nodes_fault.path, nodes_fault.count, nodes_fault.message) == ("rules[0].nodes", 2, "no such fact: 'a'")
    assert (when_fault.path, when_fault.count) == ("rules[1].when", 1)


def test_facts_that_are_not_there_never_raise():
    policy = compiled({"name": "a", "when": "order.items.exists(i, i.units > 1)"})
    assert policy.attempts({}) == []
    assert policy.attempts({"items": 3}) == []
    assert policy.faults()[0].count == 2


def test_threads_may_share_a_policy():
    policy = compiled({"name": "a", "when": "order.units % 7 == 3", "nodes": "node.distance_km < 3.0"})
    wrong = []

    def ask(seed):
        for n in range(2_000):
            units = (n * seed) % 97
            if bool(policy.attempts({"units": units})) != (units % 7 == 3):
                wrong.append(units)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in (3, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_priority_of_a_day_decides_its_objective():
    policy = compiled(
        priorities=[
            {"objective": "sustainability", "from": "2027-03-01", "until": "2027-03-31"},
            {"objective": "speed", "from": "2027-12-01"},
        ]
    )
    days = ("2027-02-28", "2027-03-01", "2027-03-31", "2027-04-01", "2028-01-01")
    from datetime import date

    found = [policy.objective_on(date.fromisoformat(day)) for day in days]
    assert found == ["margin", "sustainability", "sustainability", "margin", "speed"]


def test_a_policy_that_only_looks_ahead_is_the_built_in_one():
    assert compiled(opportunity={}).engine_policy("standard@1") == STANDARD


def test_objectives_come_as_the_solver_takes_them():
    policy = compiled(
        {"name": "a", "weights": {"lateness": 3, "capacity_price": 0}},
        objectives={"margin": {"split_minor": 80, "rejection_minor": 200}},
        weights={"split": 2, "carbon": 0.5, "rejection_risk": 1.5, "opportunity": 0.25},
        fallback={"on_no_plan": "partial", "unserved": {"order_minor": 900, "unit_minor": 30}},
        profit_floor={"share": 0.02, "minor": 100},
        opportunity={},
        capacity_price={"base_minor": 40, "steepness": 5, "from_load": 0.5},
    )
    margin, green = policy.objectives["margin"], policy.objectives["sustainability"]
    assert (margin.split_minor, margin.late_minor, margin.rejection_minor) == (160, 500, 300)
    assert green.co2_minor_per_kg == 400
    assert (margin.opportunity, margin.capacity_dual) == (0.25, 1)
    assert (margin.capacity_base_minor, margin.capacity_steepness, margin.capacity_from) == (40, 5, 0.5)
    assert (margin.floor_share, margin.floor_minor, margin.unserved_order_minor) == (0.02, 100, None)
    ruled = policy.objective("margin", policy.rules[0])
    assert (ruled.split_minor, ruled.late_minor, ruled.day_minor) == (160, 1500, 3)
    assert (ruled.capacity_base_minor, ruled.capacity_dual) == (0, 0)
    partial = policy.objective("margin", partial=True)
    assert (partial.unserved_order_minor, partial.unserved_unit_minor) == (900, 30)


def test_what_is_off_has_no_price():
    margin = compiled().objectives["margin"]
    assert (margin.opportunity, margin.capacity_dual, margin.capacity_base_minor) == (0, 0, 0)
    assert margin.floor_minor is None
    assert compiled(profit_floor={"share": 0.1}).objectives["margin"].floor_minor == 0


def test_a_bad_condition_is_not_compiled():
    with pytest.raises(ValueError, match=r"rules\[0\].when: order has no 'x'"):
        compiled({"name": "a", "when": "order.x == 1"})
