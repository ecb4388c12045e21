"""Safety stock across nodes that feed one another: trees out of lanes, and stock made of draws."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.demand.paths import sample_paths
from onhand.planning.across import NOWHERE, OUTSIDE, Tree, place_across, quickest_sources
from onhand.planning.guaranteed_service import Stage, net_sd, normal_bounds, place
from onhand.planning.protection import Expected, lasting_demand
from onhand.planning.safety_stock import for_service

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def tree(source, days, holding=None, service=0.95):
    count = len(source)
    return Tree(
        source=np.array(source), days=np.array(days), holding=np.array(holding or [1.0] * count, float),
        service=np.full(count, service),
    )  # fmt: skip


def draws(sds, days, *, mean=400.0, paths=4000, seed=0):
    """int[path, node, day] of independent normal days; none where the deviation is 0."""
    random = np.random.default_rng(seed)
    drawn = np.rint(random.normal(mean, 1.0, (paths, len(sds), days)))
    for n, sd in enumerate(sds):
        drawn[:, n] = np.maximum(np.rint(random.normal(mean, sd, (paths, days))), 0) if sd else 0
    return drawn.astype(np.int64)


# Example 6.5 of Snyder and Shen (2019), see test_guaranteed_service.py: two nodes that sell behind two that do not.
@pytest.mark.parametrize("promised", [0, 1])
def test_the_published_answer_comes_of_draws_too(promised):
    """As place_across takes nodes: what customers are promised is part of a store's own time."""
    z = 1.0
    stages = [
        Stage(days=3, holding=1), Stage(days=1, holding=2), Stage(days=1, holding=3, quoted_max=0),
        Stage(days=1 - promised, holding=3, quoted_max=0),
    ]  # fmt: skip
    links = [(0, 1), (1, 2), (1, 3)]
    sd = 50.0
    exact = place(stages, links, normal_bounds(net_sd([0, 0, sd, sd], links), z=z, days=5))
    if promised:
        # stockpyl 1.0, tests/test_gsm_tree.py: 8.277916867529369 at a deviation of 1.
        assert exact.cost == pytest.approx(8.277916867529369 * sd, rel=1e-9)
    found = place_across(
        tree([OUTSIDE, 0, 1, 1], [3, 1, 1, 1 - promised], [1, 2, 3, 3], NormalDist().cdf(z)),
        draws([0, 0, sd, sd], 5),
    )
    assert found.quoted_days.tolist() == exact.quoted_days.tolist()
    assert found.inbound_days.tolist() == exact.inbound_days.tolist()
    assert found.targets.safety_stock == pytest.approx(exact.safety_stock, rel=0.06, abs=1)
    assert found.demand.shape == (4, 4000)


def test_a_cheap_centre_keeps_what_stores_need_not():
    stores = 6
    demand = draws([0, *[40.0] * stores], 12)
    source, days = [OUTSIDE, *[0] * stores], [8, *[2] * stores]
    cheap = place_across(tree(source, days, [0.1, *[1.0] * stores]), demand)
    dear = place_across(tree(source, days, [30.0, *[1.0] * stores]), demand)
    assert (cheap.quoted_days[0], dear.quoted_days[0]) == (0, 8)
    assert cheap.targets.safety_stock[0] > dear.targets.safety_stock[0] == 0
    assert (cheap.targets.safety_stock[1:] < 0.55 * dear.targets.safety_stock[1:]).all()
    # Pooled: as much as sqrt(6) of them would need for the time, not as six.
    assert cheap.targets.safety_stock[0] == pytest.approx(1.645 * 40 * (stores * 8) ** 0.5, rel=0.06)


def test_a_node_by_itself_keeps_what_the_rule_of_one_node_says():
    quantiles = np.tile(np.array([4.0, 8.0, 10.0, 13.0, 19.0]), (1, 9, 1))
    demand = sample_paths(LEVELS, quantiles, paths=2000)
    found = place_across(tree([OUTSIDE], [9], service=0.9), demand)
    alone = for_service(lasting_demand(Expected(levels=LEVELS, quantiles=quantiles), [5], [4], paths=2000), 0.9)
    assert found.targets.safety_stock == pytest.approx(alone.safety_stock, rel=0.1)
    assert (found.targets.service >= 0.9).all()


def test_own_customers_of_a_node_that_feeds_others_do_not_wait():
    """It quotes the store all its time, as keeping is dear there, and still serves its own counter."""
    demand = draws([30.0, 30.0], 10)
    found = place_across(tree([OUTSIDE, 0], [7, 2], [5.0, 1.0]), demand)
    assert found.quoted_days.tolist() == [7, 0] and found.covered_days.tolist() == [0, 9]
    counter = place_across(tree([OUTSIDE], [7], [5.0]), demand[:, :1])
    assert found.targets.safety_stock[0] == pytest.approx(counter.targets.safety_stock[0], abs=1)
    assert found.demand[0].mean() == pytest.approx(7 * 400, rel=0.02)


@st.composite
def networks(draw):
    count = draw(st.integers(2, 6))
    bits = st.lists(st.sampled_from([True, True, False]), min_size=count, max_size=count)
    cost = np.array(draw(st.lists(st.sampled_from([np.inf, 1.0, 2.0, 3.0]), min_size=count**2, max_size=count**2)))
    days = np.array(draw(st.lists(st.integers(0, 2), min_size=count**2, max_size=count**2)))
    not_fed, keeps, feeds = (np.array(draw(bits)) for _ in range(3))
    return ~not_fed, keeps, feeds, days.reshape(count, count), cost.reshape(count, count)


def reached_by_trying(is_fed, keeps, feeds, days, cost):
    """(days, cost) of the best way to each node: Bellman and Ford, so many times as there are nodes."""
    best = [(0, 0.0) if fed and kept else (np.inf, np.inf) for fed, kept in zip(is_fed, keeps, strict=True)]
    for _ in best:
        for k in range(len(best)):
            for to in range(len(best)):
                if feeds[k] and keeps[to] and k != to and not is_fed[to] and np.isfinite(cost[k, to]):
                    best[to] = min(best[to], (best[k][0] + days[k, to], best[k][1] + cost[k, to]))
    return best


@settings(max_examples=150, deadline=None)
@given(networks())
def test_every_node_is_fed_on_the_quickest_way(network):
    is_fed, keeps, feeds, days, cost = network
    source = quickest_sources(*network)
    best = reached_by_trying(*network)
    for node, above in enumerate(source.tolist()):
        if above == OUTSIDE:
            assert is_fed[node] and keeps[node]
            continue
        if above == NOWHERE:
            assert not np.isfinite(best[node][0])
            continue
        lasts, pays, at, steps = 0, 0.0, node, 0
        while source[at] != OUTSIDE:
            before = source[at]
            assert feeds[before] and np.isfinite(cost[before, at])
            lasts, pays, at, steps = lasts + days[before, at], pays + cost[before, at], before, steps + 1
            assert steps <= len(source), "a circle"
        assert (lasts, pays) == pytest.approx(best[node])


def test_bad_trees_are_refused():
    with pytest.raises(ValueError, match="circle"):
        tree([1, 0], [1, 1]).longest()
    with pytest.raises(ValueError, match="3 or more"):
        place_across(tree([OUTSIDE, 0], [2, 1]), draws([1.0, 1.0], 2, paths=4))
    with pytest.raises(ValueError, match="service"):
        tree([OUTSIDE], [1], service=1.0)
    with pytest.raises(ValueError, match="of each of 2 nodes"):
        tree([OUTSIDE, 0], [1])
