"""Learned lanes: what is avoided is dearer for sure, and where nothing differs nothing is."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.simulation.lanes import BLOCKS, KEPT, Area, Lane, Served, learn, preferring
from onhand.sourcing.policies.lint import Known, lint
from onhand.sourcing.policies.model import PolicyIn, RuleIn

AREAS = [Area("DE", "", f"{n}0") for n in range(1, 5)]
SERVICES, NODES = ["fast", "slow", "green"], ["berlin", "munich"]
TODAY = date(2026, 11, 28)


def drawn(seed, count=2_400, extra=lambda area, service, node: np.zeros(len(area)), shock=30.0):
    """Fulfilments whose residual is skewed, has a shock for every day and area in common, and something of its own."""
    rng = np.random.default_rng(seed)
    area, service, node = (rng.integers(0, n, count) for n in (len(AREAS), len(SERVICES), len(NODES)))
    day = np.arange(count) * 60 // count
    shocks = rng.normal(0, shock, (60, len(AREAS), len(SERVICES)))
    failed = np.where(rng.random(count) < 0.06, rng.exponential(900, count), 0.0)
    residual = failed - 54 + rng.normal(0, 40, count) + shocks[day, area, service] + extra(area, service, node)
    return Served(areas=AREAS, services=SERVICES, nodes=NODES, area=area, service=service, node=node, residual=residual)


def avoided(lanes):
    return {(str(lane.area), lane.way, lane.name) for lane in lanes if lane.is_avoided}


def test_a_service_that_costs_more_in_one_area_is_avoided_there_and_nowhere_else():
    def extra(area, service, node):
        return np.where((area == 1) & (service == 1), 150.0, 0.0)

    hits = [avoided(learn(drawn(seed, extra=extra), floor_minor=10.0)) for seed in range(20)]
    assert sum(("DE-20", "service", "slow") in found for found in hits) >= 18
    others = [found - {("DE-20", "service", "slow")} for found in hits]
    assert sum(map(bool, others)) <= 2


def test_a_node_is_not_blamed_for_its_service_nor_a_service_for_its_node():
    """Nearly all of what is slow leaves from Berlin; and the other way round."""
    rng = np.random.default_rng(5)
    base = drawn(5, count=4_000)
    service = np.where(rng.random(4_000) < 0.9, base.node, 2)  # of each node one service, mostly
    served = Served(
        areas=AREAS,
        services=SERVICES,
        nodes=NODES,
        area=base.area,
        service=service,
        node=base.node,
        residual=base.residual + np.where((base.area == 0) & (service == 0), 300.0, 0.0),
    )
    found = avoided(learn(served, floor_minor=10.0))
    assert ("DE-10", "service", "fast") in found
    assert not {one for one in found if one[1] == "node"}


@pytest.mark.parametrize("shock", [0.0, 30.0])
def test_where_nothing_differs_hardly_anything_is_proposed(shock):
    """At most 5 in 100: of 100 looks with a rate of 5 %, more than 10 come in one case of a hundred."""
    count = sum(bool(avoided(learn(drawn(seed, shock=shock), floor_minor=0.0))) for seed in range(100))
    assert count <= 10


def test_an_area_that_is_dear_whichever_way_is_no_reason():
    found = learn(drawn(3, extra=lambda area, service, node: np.where(area == 2, 500.0, 0.0)), floor_minor=10.0)
    assert not avoided(found)


def test_what_is_not_worth_a_rule_is_none():
    def extra(area, service, node):
        return np.where(service == 1, 80.0, 0.0)

    served = drawn(7, count=20_000, extra=extra)
    assert avoided(learn(served, floor_minor=10.0))
    assert not avoided(learn(served, floor_minor=150.0))


def test_what_has_ended_is_not_acted_on():
    base = drawn(11, count=6_000)
    for late in (False, True):
        half = (np.arange(6_000) >= 3_000) == late
        served = Served(
            areas=AREAS, services=SERVICES, nodes=["berlin"], area=base.area, service=base.service,
            node=np.zeros(6_000, np.int64), residual=base.residual + np.where((base.service == 1) & half, 2_000.0, 0.0),
        )  # fmt: skip
        found = avoided(learn(served, floor_minor=25.0))
        assert found == ({(str(area), "service", "slow") for area in AREAS} if late else set())


def test_a_policy_has_no_more_rules_than_it_may():
    many = [lane(area=Area("DE", f"R{n}")) for n in range(300)]
    made = preferred(PolicyIn(rules=[RuleIn(name="A"), RuleIn(name="B")]), *many)
    assert len(made.rules) == 200
    assert PolicyIn.model_validate(made.document()) == made


def test_too_little_says_nothing():
    assert learn(drawn(1, count=2 * BLOCKS - 1), floor_minor=0.0) == []
    assert learn(drawn(1, count=200), floor_minor=0.0, orders_min=1_000) == []


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 10.0), st.integers(0, 50))
def test_money_in_other_units_is_judged_alike(scale, seed):
    served = drawn(seed, count=600)
    other = Served(
        areas=served.areas,
        services=served.services,
        nodes=served.nodes,
        area=served.area,
        service=served.service,
        node=served.node,
        residual=served.residual * scale,
    )
    ours, theirs = learn(served, floor_minor=20.0), learn(other, floor_minor=20.0 * scale)
    assert avoided(ours) == avoided(theirs)
    assert [lane.mean * scale for lane in ours] == pytest.approx([lane.mean for lane in theirs], rel=1e-6, abs=1e-6)


# The policy -----------------------------------------------------------------------------------------------------------


def lane(name="slow", way="service", area=AREAS[0], is_avoided=True):
    return Lane(
        area=area, way=way, name=name, orders=100, others=300, contrast=90.0, error=10.0, recent=90.0,
        mean=80.0, low=70.0,         is_avoided=is_avoided,
    )  # fmt: skip


def preferred(policy, *lanes, today=TODAY):
    return preferring(policy, lanes, services=SERVICES, nodes=NODES, today=today)


def test_each_rule_gets_a_twin_before_it_that_leaves_the_lane_alone():
    policy = PolicyIn(
        rules=[
            RuleIn(name="Small", when="order.units < 3", nodes='node.type == "store"', otherwise="stop"),
            RuleIn(name="All"),
        ]
    )
    made = preferred(policy, lane(), lane("berlin", "node"), lane("fast", is_avoided=False))
    assert [rule.name.partition(": ")[2] or rule.name for rule in made.rules] == ["Small", "Small", "All", "All"]
    twin, small = made.rules[:2]
    assert small == policy.rules[0]
    assert twin.when == (
        '(order.units < 3) && order.destination.country == "DE" && order.destination.region == ""'
        ' && order.destination.postal_code.startsWith("10")'
    )
    assert twin.nodes == '(node.type == "store") && !(node.code in ["berlin"])'
    assert twin.limits.services == ["fast", "green"]
    assert twin.otherwise == "next", "an order that has no other way goes the old one"
    text = made.model_dump_json(by_alias=True, exclude_defaults=True)
    linted = lint(text, known=Known(groups=set(), nodes=set(NODES), channels=set(), services=set(SERVICES)))
    assert linted.policy == made, linted.findings


def test_what_was_learned_stays_for_a_while_is_not_doubled_and_is_tried_again():
    first = preferred(PolicyIn(), lane())
    assert [rule.name for rule in first.rules] == [
        "learned 2026-11-28 DE-10 without slow: Everything else", "Everything else",
    ]  # fmt: skip
    later = TODAY + KEPT
    assert preferred(first, today=later).rules == first.rules, "nobody uses it, so nothing new is known"
    both = preferred(first, lane("green"), today=later)
    assert both.rules[0].name == f"learned {later} DE-10 without green, slow: Everything else"
    assert both.rules[0].limits.services == ["fast"]
    assert [r.name for r in preferred(first, today=later + timedelta(days=1)).rules] == ["Everything else"]


def test_nothing_learned_leaves_a_policy_as_it_is():
    policy = PolicyIn(rules=[RuleIn(name="All")])
    assert preferred(policy) == policy
    assert preferred(PolicyIn(), lane(is_avoided=False)) == PolicyIn()


def test_the_last_way_is_never_left():
    made = preferred(PolicyIn(), *(lane(name) for name in SERVICES))
    assert made == PolicyIn()
    assert preferred(PolicyIn(), *(lane(name, "node") for name in NODES)) == PolicyIn()


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=8), st.text(max_size=4))
def test_any_name_of_an_area_is_a_condition_or_none(region, postal):
    area = Area.of({"country": "DE", "region": region, "postal_code": postal})
    if area is None:
        assert not (region or postal[:2]).isalnum()
        return
    made = preferred(PolicyIn(), lane(area=area))
    document = made.model_dump_json(by_alias=True, exclude_defaults=True)
    assert lint(document).policy == made


def test_an_area_is_a_region_or_the_first_of_the_postal_code():
    assert Area.of({"country": ""}) is None
    assert str(Area.of({"country": "US", "region": "CA", "postal_code": "94105"})) == "US-CA"
    assert str(Area.of({"country": "DE", "postal_code": "10115"})) == "DE-10"
    assert str(Area.of({"country": "IE"})) == "IE"
