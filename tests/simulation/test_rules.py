"""Policies as documents hold in a replay: rules, limits, fall-backs, floors, dates."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.simulation.histories import AT, BEGINS, DAY, arrivals, history, inbound

from onhand.simulation.history import History
from onhand.simulation.replay import Outcome, Settings, replay
from onhand.simulation.rules import PlainRules, PolicyRules
from onhand.sourcing.policies.asking import facts_of_nodes
from onhand.sourcing.policies.facts import node_facts, order_facts
from onhand.sourcing.policies.model import PolicyIn
from onhand.sourcing.policies.select import compile_policy
from onhand.sourcing.policy import STANDARD

EXACT = Settings(step_s=0)


def rules(past: History, **document: Any) -> PolicyRules:
    """A policy; nodes 1 and 2 are warehouses, the others stores."""
    nodes = [
        (k, node_facts(code=f"N{k - 1}", type="warehouse" if k <= 2 else "store", country="DE"))
        for k in range(1, past.network.count + 1)
    ]
    policy = compile_policy(PolicyIn.model_validate(document))
    return PolicyRules("p@1", policy, past, facts_of_nodes(nodes, past.network.count))


def facts(past: History) -> Any:
    def of(order: int) -> Any:
        a, b = past.orders.demand_first[order : order + 2]
        item = {"sku": "x", "category": "", "units": int(past.orders.units[a:b].sum()), "price_minor": 1}
        items = [item | {"weight_g": 1, "attributes": {}}]
        return order_facts(channel="default", currency="EUR", placed_at=AT, country="DE", items=items)

    return of


def run(past: History, **document: Any) -> Outcome:
    return replay(past, rules(past, **document), EXACT)


def test_a_policy_without_rules_decides_as_its_objectives_alone() -> None:
    past = history(200, moves=50)
    plain = replay(past, PlainRules(STANDARD, past), EXACT)
    both = run(past), run(past, rules=[{"name": "all"}])
    for outcome in both:
        np.testing.assert_array_equal(outcome.fulfilments.terms, plain.fulfilments.terms)
        np.testing.assert_array_equal(outcome.picks.node, plain.picks.node)


def test_rules_choose_nodes_by_what_they_know_of_order_and_node() -> None:
    past = history(200, stock=500)
    past = replace(past, facts=facts(past))
    outcome = run(
        past,
        rules=[
            {"name": "large", "when": "order.units > 2", "nodes": 'node.type == "warehouse"', "otherwise": "stop"},
            {"name": "small", "nodes": 'node.type == "store"'},
        ],
    )
    large = outcome.asked[outcome.picks.order] > 2
    assert set(outcome.picks.node[large].tolist()) <= {1, 2}
    small_from_stores = outcome.picks.node[~large] > 2
    assert small_from_stores.mean() == 1
    assert large.any()
    assert (~large).any()


def test_facts_that_a_history_does_not_have_are_missed() -> None:
    past = history(5)
    with pytest.raises(LookupError, match="no facts"):
        run(past, rules=[{"name": "a", "when": "order.units > 1"}])


def test_limits_hold() -> None:
    past = history(300, stock=20)
    assert np.bincount(run(past).fulfilments.order).max() > 1
    assert np.bincount(run(past, limits={"fulfilments_max": 1}).fulfilments.order).max() == 1


def test_what_becomes_of_orders_without_a_plan_is_the_policys_to_say() -> None:
    past = history(60, stock=1, days=2)
    coming = [(0.0, 3.0, item, node, 50) for item in range(1, 21) for node in (1, 2)]
    past = replace(past, inbound=inbound(coming), moves=arrivals([(ready, i, k, n) for _, ready, i, k, n in coming]))
    backorder, unfillable, hold = (
        run(past, fallback={"on_no_plan": name}) for name in ("backorder", "unfillable", "hold")
    )
    assert backorder.picks.is_supply.any(), "promised from supply"
    assert not unfillable.picks.is_supply.any()
    assert (unfillable.picks.at >= BEGINS + 3 * DAY).any(), "served when it has come"
    assert (hold.picks.at < BEGINS + 2 * DAY).all(), "a person would have to look"
    assert backorder.served.sum() == unfillable.served.sum() == past.orders.units.sum() > hold.served.sum()


def test_a_part_is_served_and_the_rest_when_it_comes() -> None:
    past = history(60, stock=1, days=2)
    outcome = run(past, fallback={"on_no_plan": "partial", "unserved": {"order_minor": 100, "unit_minor": 3_000}})
    part = (outcome.served > 0) & (outcome.served < outcome.asked)
    assert part.sum() > 3
    coming = [(3.0, item, 1, 50) for item in range(1, 21)]
    later = run(
        replace(past, moves=arrivals(coming)),
        fallback={"on_no_plan": "partial", "unserved": {"order_minor": 100, "unit_minor": 3_000}},
    )
    assert (later.served == later.asked).all()
    assert later.served.sum() == later.picks.units.sum(), "no unit twice"


def test_a_policy_cancels_what_waits_too_long() -> None:
    past = history(60, stock=1, days=2)
    past = replace(past, moves=arrivals([(5.0, item, 1, 50) for item in range(1, 21)]))
    patient = run(past)
    assert (patient.served == patient.asked).all()
    assert 0 < run(past, fallback={"cancel_after_hours": 24}).served.sum() < patient.served.sum()


def test_orders_below_the_profit_floor_are_held() -> None:
    past = history(200, stock=500)
    floor = run(past, profit_floor={"minor": 500})
    assert 0 < (floor.served == 0).sum() < 200
    assert (run(past).served > 0).all()


def test_a_dated_priority_holds_from_its_day() -> None:
    past = history(400, stock=500, days=8)
    outcome = run(past, priorities=[{"objective": "speed", "from": "2026-03-06"}])
    speed, margin = run(past, objective="speed"), run(past)
    late = past.placed >= BEGINS + 4 * DAY - 8 * 3600  # midnight
    f = outcome.fulfilments
    for which, same in ((late, speed), (~late, margin)):
        mine = np.flatnonzero(which)[:30]
        for order in mine[[0, 10, 20]]:
            g = same.fulfilments
            np.testing.assert_array_equal(f.service[f.order == order], g.service[g.order == order])
    assert f.days[late[f.order]].mean() < f.days[~late[f.order]].mean()
