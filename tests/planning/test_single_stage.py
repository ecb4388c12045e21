"""The classical policies against published numbers, and against plain search.

Where a number is cited: stockpyl 1.0 by L. Snyder, tests/test_newsvendor.py, test_eoq.py, test_rq.py and test_ss.py,
whose instances are those of Snyder and Shen (2019) and of Zheng and Federgruen (1991), table 1.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.planning import single_stage as one

EXAMPLE_5_1 = one.NormalLeadTime(holding=0.225, stockout=7.5, fixed=8, mean=1300, sd=150, lead_time=1 / 12)
EXAMPLE_5_8 = {"holding": 20, "stockout": 150, "fixed": 100, "mean": 1.5, "lead_time": 2}

# Mean of Poisson demand, best s, best S, its cost; h = 1, p = 9, K = 64.
ZHENG_FEDERGRUEN = [
    (10, 6, 40, 35.022), (15, 10, 49, 42.698), (20, 14, 62, 49.173), (25, 19, 56, 54.262), (30, 23, 66, 57.819),
    (35, 28, 77, 61.215), (40, 33, 87, 64.512), (45, 37, 97, 67.776), (50, 42, 108, 70.975), (55, 47, 118, 74.149),
    (60, 52, 129, 77.306), (65, 56, 75, 78.518), (70, 62, 81, 79.037), (75, 67, 86, 79.554), (21, 15, 65, 50.406),
    (22, 16, 68, 51.632), (23, 17, 52, 52.757), (24, 18, 54, 53.518), (51, 43, 110, 71.611), (52, 44, 112, 72.246),
    (59, 51, 126, 76.679), (61, 52, 131, 77.929), (63, 54, 73, 78.287), (64, 55, 74, 78.402),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "level", "cost"),
    [
        ({"holding": 2, "stockout": 18, "mean": 120, "sd": 10}, 132.815515655446, 35.09966638649737),
        ({"holding": 0.18, "stockout": 0.70, "mean": 50, "sd": 8}, 56.60395592743389, 1.9976051931766445),
    ],
)
def test_newsvendor_as_published(given, level, cost):
    found = one.newsvendor_normal(**given)
    assert (found.level, found.cost) == pytest.approx((level, cost), rel=1e-9)
    assert one.newsvendor_normal_cost(found.level, **given) == pytest.approx(cost, rel=1e-9)


def test_newsvendor_with_poisson_demand_as_published():
    found = one.newsvendor_poisson(holding=0.18, stockout=0.70, mean=50)
    assert found.level == 56
    assert found.cost == pytest.approx(1.797235211809178, rel=1e-9)


def test_economic_order_quantity_as_published():
    found = one.economic_order_quantity(fixed=8, holding=0.225, demand=1300)
    assert (found.quantity, found.cost) == pytest.approx((304.0467800264368, 68.41052550594829), rel=1e-12)


@pytest.mark.parametrize(
    ("reorder", "quantity", "cost"), [(126.8, 328.5, 78.071162509282942), (100, 250, 87.346478028174985)]
)
def test_cost_of_a_reorder_point_as_published(reorder, quantity, cost):
    assert one.reorder_cost(reorder, quantity, EXAMPLE_5_1) == pytest.approx(cost, rel=1e-9)


@pytest.mark.parametrize(
    ("quantity", "reorder"), [(318, 127.7880348669655), (150, 147.1949581740714), (750, 99.853773396165280)]
)
def test_best_reorder_point_of_a_quantity_as_published(quantity, reorder):
    # Published with a tolerance of 1e-6 in cost.
    assert one.reorder_point(quantity, EXAMPLE_5_1) == pytest.approx(reorder, abs=1e-4)


def test_heuristics_for_reorder_points_as_published():
    found = one.reorder_policy_eoqb(EXAMPLE_5_1)
    assert (found.reorder, found.quantity) == pytest.approx((128.6378144242710, 308.5737801203754), abs=1e-4)
    found = one.reorder_policy_eoq_ss(EXAMPLE_5_1)
    assert (found.reorder, found.quantity) == pytest.approx((190.3369965715624, 304.0467800264368), rel=1e-9)


def test_the_best_reorder_policy_is_better_than_all_near_it():
    best = one.reorder_policy(EXAMPLE_5_1)
    for reorder in np.linspace(-2, 2, 5):
        for quantity in np.linspace(-5, 5, 5):
            near = one.reorder_cost(best.reorder + reorder, best.quantity + quantity, EXAMPLE_5_1)
            assert near >= best.cost - 1e-9
    # The published approximation (126.8, 328.5) costs 78.0712.
    assert 78.0 < best.cost <= 78.071162509282942
    assert best.cost <= one.reorder_policy_eoqb(EXAMPLE_5_1).cost


@pytest.mark.parametrize(("reorder", "quantity", "cost"), [(3, 5, 107.9235806331498), (8, 12, 242.5281637662021)])
def test_cost_of_a_reorder_point_with_poisson_demand_as_published(reorder, quantity, cost):
    assert one.reorder_cost_poisson(reorder, quantity, **EXAMPLE_5_8) == pytest.approx(cost, rel=1e-9)


def test_best_reorder_policy_with_poisson_demand_as_published():
    found = one.reorder_policy_poisson(**EXAMPLE_5_8)
    assert (found.reorder, found.quantity) == (3, 5)
    assert found.cost == pytest.approx(107.9235806331498, rel=1e-9)


@settings(deadline=None)
@given(st.floats(0.1, 20), st.floats(0.1, 50), st.floats(0.1, 100), st.floats(0.05, 8), st.floats(0, 4))
def test_no_other_reorder_policy_costs_less_with_poisson_demand(holding, stockout, fixed, mean, lead_time):
    world = {"holding": holding, "stockout": stockout, "fixed": fixed, "mean": mean, "lead_time": lead_time}
    best = one.reorder_policy_poisson(**world)
    for reorder in range(int(best.reorder) - 3, int(best.reorder) + 4):
        for quantity in range(max(1, int(best.quantity) - 3), int(best.quantity) + 4):
            assert one.reorder_cost_poisson(reorder, quantity, **world) >= best.cost - 1e-9


@pytest.mark.parametrize(
    ("costs", "mean", "low", "high", "cost"),
    [
        ({"holding": 1, "stockout": 4, "fixed": 5}, 6, 4, 10, 8.034111561471644),
        ({"holding": 40, "stockout": 125, "fixed": 150}, 4, 2, 7, 223.5748295669688),
    ],
)
def test_best_min_max_policy_as_published(costs, mean, low, high, cost):
    found = one.min_max_policy(one.poisson_mass(mean), **costs)
    assert (found.low, found.high) == (low, high)
    assert found.cost == pytest.approx(cost, rel=1e-9)


@pytest.mark.parametrize(("mean", "low", "high", "cost"), ZHENG_FEDERGRUEN)
def test_best_min_max_policies_of_zheng_and_federgruen(mean, low, high, cost):
    found = one.min_max_policy(one.poisson_mass(mean), holding=1, stockout=9, fixed=64)
    assert (found.low, found.high) == (low, high)
    assert found.cost == pytest.approx(cost, abs=5e-4)


@pytest.mark.parametrize(("low", "high", "cost"), [(4, 10, 8.034111561471644), (6, 18, 10.193798671644046)])
def test_cost_of_a_min_max_policy_as_published(low, high, cost):
    found = one.min_max_cost(low, high, one.poisson_mass(6), holding=1, stockout=4, fixed=5)
    assert found == pytest.approx(cost, rel=1e-9)


@settings(deadline=None)
@given(
    st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    st.floats(0.2, 5), st.floats(0.2, 30), st.floats(0.2, 60), st.integers(0, 2),
)  # fmt: skip
def test_no_other_min_max_policy_costs_less(weights, holding, stockout, fixed, lead_time):
    mass = np.array(weights) / sum(weights)
    costs = {"holding": holding, "stockout": stockout, "fixed": fixed, "lead_time": lead_time}
    best = one.min_max_policy(mass, **costs)
    assert one.min_max_cost(best.low, best.high, mass, **costs) == pytest.approx(best.cost)
    for low in range(best.low - 3, best.low + 4):
        for high in range(max(low + 1, best.high - 6), best.high + 7):
            assert one.min_max_cost(low, high, mass, **costs) >= best.cost - 1e-9


def test_min_max_cost_is_what_a_long_run_costs():
    random = np.random.default_rng(3)
    mass, low, high, lead = np.array([0.4, 0.3, 0.2, 0.1]), 2, 7, 2
    expected = one.min_max_cost(low, high, mass, holding=1, stockout=6, fixed=4, lead_time=lead)
    position, due, on_hand, spent = high, [0] * lead, high, 0.0
    demand = random.choice(4, 200_000, p=mass)
    for units in demand:
        ordered = high - position if position <= low else 0
        spent += 4 * (ordered > 0)
        position += ordered
        due.append(ordered)
        on_hand += due.pop(0) - units
        position -= units
        spent += max(on_hand, 0) * 1 + max(-on_hand, 0) * 6
    assert spent / len(demand) == pytest.approx(expected, rel=0.01)


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.floats(0.1, 10), st.floats(0.1, 10))
def test_no_other_level_costs_less_for_a_sample(sample, holding, stockout):
    best = one.newsvendor_sample(sample, holding=holding, stockout=stockout)
    over = np.arange(52)[:, None] - np.array(sample)
    costs = np.where(over > 0, holding * over, -stockout * over).mean(axis=1)
    assert best.cost == pytest.approx(costs.min())
    assert costs[int(best.level)] == pytest.approx(costs.min())


def test_newsvendor_takes_any_quantile():
    found = one.newsvendor(lambda share: 100 * share, holding=1, stockout=3)
    assert found == 75


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: one.newsvendor_normal(holding=0, stockout=1, mean=1, sd=1), "holding > 0"),
        (lambda: one.newsvendor_normal(holding=1, stockout=math.nan, mean=1, sd=1), "stockout > 0"),
        (lambda: one.newsvendor_normal(holding=1, stockout=1, mean=-1, sd=1), "mean >= 0"),
        (lambda: one.newsvendor_sample([], holding=1, stockout=1), "at least one"),
        (lambda: one.newsvendor_sample([math.nan], holding=1, stockout=1), "finite"),
        (lambda: one.min_max_policy([0.5, 0.4], holding=1, stockout=1, fixed=1), "sum to 1"),
        (lambda: one.min_max_policy([1.0], holding=1, stockout=1, fixed=1), "some demand"),
        (lambda: one.min_max_cost(3, 3, [0.5, 0.5], holding=1, stockout=1, fixed=1), "low < high"),
        (lambda: one.poisson_mass(1e9), "10 million"),
    ],
)
def test_what_makes_no_sense_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()


def test_ends_of_the_scale():
    assert one.newsvendor_normal(holding=1, stockout=1, mean=0, sd=0).level == 0
    assert one.newsvendor_poisson(holding=1, stockout=9, mean=0).level == 0
    assert one.poisson_mass(1e5).sum() == pytest.approx(1)
    assert one.normal_loss(5, mean=8, sd=0) == 3
