"""Versions of a policy asked for a batch: against asking rule by rule, each a decision of its own."""

from collections import Counter
from dataclasses import replace
from datetime import date
from random import Random

import msgspec
import numpy as np
import pytest
from tests.sourcing.worlds import Running, draw_full, plans

from onhand.sourcing.policies.asking import Asking, Ruling, Version, Wanted, facts_of_nodes
from onhand.sourcing.policies.facts import node_facts, order_facts
from onhand.sourcing.policies.model import PolicyIn
from onhand.sourcing.policies.select import compile_policy
from onhand.sourcing.solve import decide, undo

DAY = date(2026, 3, 2)


def version(label="standard@1", **document):
    return Version(label=label, policy=compile_policy(PolicyIn.model_validate(document)))


def asking_of(running, *versions, share=0.0):
    rows = [
        (
            n["node_id"],
            node_facts(code=n["code"], type="store" if n["node_id"] % 2 else "warehouse", country=n["country"]),
        )
        for n in running.world.nodes
    ]
    return Asking(versions, running.network, facts_of_nodes(rows, running.network.count), share)


def facts_of(order, world):
    country, region, postal_code = order.place
    return order_facts(
        channel=order.channel, currency="EUR", placed_at=world.now, country=country, region=region,
        postal_code=postal_code, method=order.method,
        items=[
            {"sku": str(i), "category": "", "units": u, "price_minor": 100, "weight_g": 1, "attributes": {}}
            for i, u in order.demand
        ],
    )  # fmt: skip


def one_by_one(running, asking, order, named, which):
    """The first rule that yields a plan, by a decision per rule from its nodes as a channel; (rule, plan)."""
    compiled = asking.versions[which].policy
    facts = facts_of(order, running.world)
    network = running.network
    for rule in compiled.attempts(facts):
        channel = network.channels[order.channel]
        nodes = [
            n for n in network.channel_nodes(channel).tolist() if compiled.admits(rule, asking.nodes.facts[n], facts)
        ]
        own = replace(
            network, candidates=np.array(nodes, np.int32), candidate_offsets=np.array([0, len(nodes)], np.int32)
        )
        objective = compiled.objective(named or rule.objective or compiled.objective_on(DAY), rule)
        policy = replace(running.world.policy, objectives={"it": objective}, default="it")
        ask = msgspec.structs.replace(
            running.world.ask(order, running.network),
            channel=replace(channel, index=0),
            objective=0,
            fulfilments_max=min(order.fulfilments_max, rule.limits.fulfilments_max),
            may_dip=order.may_dip and rule.limits.dip_into_safety_stock,
        )
        decisions = decide(
            [ask], running.stock, own, policy, running.goods, now=running.world.now.timestamp(), consume=True,
            weighed=running.weighed([item for item, _ in order.demand]),
        )  # fmt: skip
        undo(decisions, running.stock, own)
        (plan,) = plans(decisions, own)
        if plan is not None:
            return rule.number, plan
    return None, None


def random_document(rng):
    def rule(n):
        return {
            "name": str(n),
            "when": rng.choice([None, "order.units <= 4", 'order.destination.country == "DE"', "order.lines == 1"]),
            "nodes": rng.choice(
                [None, 'node.type == "store"', "node.country == order.destination.country", 'node.code != "N1"']
            ),
            "objective": rng.choice([None, "speed"]),
            "weights": rng.choice([None, {"carbon": 3.0}, {"ferry": 0.0, "fragile": 2.0}]),
            "limits": {"fulfilments_max": rng.choice([1, 2, 4]), "dip_into_safety_stock": rng.random() < 0.7},
            "otherwise": rng.choice(["next", "next", "next", "stop"]),
        }

    return {"rules": [rule(n) for n in range(rng.randint(1, 4))], "objective": rng.choice(["margin", "sustainability"])}


def test_the_first_rule_that_yields_a_plan_decides_and_the_plan_is_its_best():
    seen = Counter()
    for seed in range(1_500):
        rng = Random(seed)
        world = draw_full(rng)
        running = Running.of(world)
        versions = (version("standard@1", **random_document(rng)), version("standard@2", **random_document(rng)))
        asking = asking_of(running, *versions, share=0.5)
        orders = world.orders[:3]
        which = [rng.randrange(2) for _ in orders]
        wanted = [
            Wanted(lambda o=o, world=world: facts_of(o, world), rng.choice([None, "margin", "speed"]), w)
            for o, w in zip(orders, which, strict=True)
        ]
        tried = asking.put(running.asked(orders), wanted, DAY)
        decisions = running.decide_asked(tried.asked, asking.policy)
        for n, (order, plan) in enumerate(zip(orders, plans(decisions, running.network), strict=True)):
            number, best = one_by_one(running, asking, order, wanted[n].objective, which[n])
            assert (plan is None) == (best is None), (seed, n)
            seen["none"] += plan is None
            if plan is None or best is None:
                continue
            assert plan.cost == pytest.approx(best.cost), (seed, n)
            ruling = Ruling.read(tried.label(decisions, n))
            assert (ruling.version, ruling.rule) == (f"standard@{which[n] + 1}", number), (seed, n)
            seen[number] += 1
    assert min(seen["none"], seen[0]) > 150, seen
    assert min(seen[1], seen[2]) > 20, seen


def test_the_share_of_a_canary_is_drawn_by_name_and_again_for_another_canary():
    world = draw_full(Random(1))
    first, second = (
        asking_of(Running.of(world), version("standard@1"), version(label), share=0.2)
        for label in ("standard@2", "standard@3")
    )
    names = [f"o-{n}" for n in range(4_000)]
    drawn = [first.version_of(1, name) for name in names]
    assert drawn == [first.version_of(1, name) for name in names]
    assert 0.18 < np.mean(drawn) < 0.22
    both = np.mean([a and second.version_of(1, name) for a, name in zip(drawn, names, strict=True)])
    assert 0.03 < both < 0.05, "orders would always meet the canary"
    assert drawn != [first.version_of(2, name) for name in names]


def test_an_order_below_the_profit_floor_is_planned_by_money_alone_if_the_policy_says_so():
    prices = {"co2_minor_per_kg": 10_000.0, "late_minor": 5_000.0, "split_minor": 0.0}
    seen = Counter()
    for seed in range(1_500):
        world = draw_full(Random(seed))
        running = Running.of(world)
        found = {}
        for then in ("hold", "downgrade"):
            floor = {"minor": 400 * (seed % 6), "then": then}
            document = {"objective": "green", "objectives": {"green": prices}, "profit_floor": floor}
            asking = asking_of(running, version(**document))
            tried = asking.put(running.asked(world.orders[:1]), [Wanted(dict, None, 0)], DAY)
            decisions = running.decide_asked(tried.asked, asking.policy)
            found[then] = decisions.count[0], Ruling.read(tried.label(decisions, 0)).kind, decisions.profit[0]
        assert found["downgrade"][0] >= found["hold"][0]
        if found["downgrade"][0]:
            assert found["downgrade"][2] >= 400 * (seed % 6)
            seen[found["downgrade"][1]] += 1
    assert seen["whole"] > 20, seen
    assert seen["money"] > 5, seen


@pytest.mark.parametrize(
    ("label", "ruling"),
    [
        ("standard@3", Ruling(version="standard@3")),
        ("standard@3/0", Ruling(version="standard@3", rule=0)),
        ("standard@12/7p", Ruling(version="standard@12", rule=7, kind="part")),
        ("standard@3/-1m", Ruling(version="standard@3", rule=-1, kind="money")),
    ],
)
def test_a_label_is_read_as_it_was_written(label, ruling):
    assert Ruling.read(label) == ruling
    assert str(ruling) == label


@pytest.mark.parametrize(
    ("document", "is_plain"),
    [
        ({}, True),
        ({"limits": {"fulfilments_max": 2}, "weights": {"carbon": 2.0}}, True),
        ({"profit_floor": {"minor": 0}}, False),
        ({"rules": [{"name": "all"}]}, False),
        ({"limits": {"days_max": 3}}, False),
        ({"limits": {"distance_km_max": 300}}, False),
        ({"limits": {"services": ["express"]}}, False),
        ({"limits": {"divide_lines": False}}, False),
        ({"limits": {"dip_into_safety_stock": False}}, False),
        ({"priorities": [{"objective": "speed", "from": "2026-01-01"}]}, False),
        ({"fallback": {"on_no_plan": "partial"}}, False),
        ({"profit_floor": {"minor": 0, "then": "downgrade"}}, False),
    ],
)
def test_only_a_policy_that_decides_all_alike_needs_no_attempts(document, is_plain):
    running = Running.of(draw_full(Random(1)))
    assert asking_of(running, version(**document)).is_plain is is_plain
    assert not asking_of(running, version(), version("standard@2")).is_plain


def test_a_dated_priority_changes_the_default_objective_and_not_what_an_order_names():
    world = draw_full(Random(3))
    running = Running.of(world)
    asking = asking_of(
        running, version(priorities=[{"objective": "speed", "from": "2026-03-01", "until": "2026-03-31"}])
    )
    rows = list(asking.policy.objectives)
    for day, named, expected in (
        (date(2026, 2, 28), None, "margin"),
        (date(2026, 3, 1), None, "speed"),
        (date(2026, 3, 31), None, "speed"),
        (date(2026, 4, 1), None, "margin"),
        (date(2026, 3, 5), "sustainability", "sustainability"),
    ):
        attempts = asking.put(running.asked(world.orders[:1]), [Wanted(dict, named, 0)], day).asked.attempts
        assert {rows[r] for r in attempts.objective.tolist()} == {expected}, day
