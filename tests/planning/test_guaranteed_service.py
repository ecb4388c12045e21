"""Placement of safety stock in trees, against published numbers and against trying everything.

Where a number is cited: stockpyl 1.0 by L. Snyder, tests/test_gsm_tree.py; instances of Snyder and Shen (2019), example
6.5, figure 6.14 (digital cameras, Graves and Willems 2003), problems 6.7 and 6.9.
"""

from dataclasses import replace
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.planning import guaranteed_service as gsm
from onhand.planning.guaranteed_service import Stage


def placed(stages, supplies, sd, z):
    days = int(gsm.longest_days(stages, supplies).max())
    bounds = gsm.normal_bounds(gsm.net_sd(sd, supplies), z=z, days=days)
    return gsm.place(stages, supplies, bounds)


EXAMPLE_6_5 = (
    [
        Stage(days=2, holding=1, inbound_days=1),
        Stage(days=1, holding=3, quoted_max=0),
        Stage(days=1, holding=2),
        Stage(days=1, holding=3, quoted_max=1),
    ],
    [(0, 2), (2, 1), (2, 3)],
    [0, 1, 0, 1],
    1.0,
)

CAMERA = ["raw", "wafers", "package", "base", "imager", "ship", "camera", "board", "other", "build"]
CAMERA_DAYS = [2, 3, 2, 4, 2, 3, 6, 4, 3, 2]
CAMERA_HOLDING = [0.01, 0.03, 0.04, 0.06, 0.12, 0.13, 0.20, 0.08, 0.04, 0.50]
CAMERA_LINKS = [(0, 1), (1, 2), (2, 4), (3, 4), (4, 5), (6, 9), (5, 9), (7, 9), (8, 9)]


def test_example_6_5_as_published():
    found = placed(*EXAMPLE_6_5)
    assert found.cost == pytest.approx(8.277916867529369, rel=1e-9)
    assert found.quoted_days.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("promised", "cost"),
    [(2, 18.8240044725922), (5, 12.4686888061037), (8, 3.25788236403285), (12, 0.232617430735335)],
)
def test_cameras_of_figure_6_14_as_published(promised, cost):
    stages = [Stage(days=d, holding=h) for d, h in zip(CAMERA_DAYS, CAMERA_HOLDING, strict=True)]
    stages[-1] = replace(stages[-1], quoted_max=promised)
    found = placed(stages, CAMERA_LINKS, [0] * 9 + [10], NormalDist().inv_cdf(0.95))
    assert found.cost == pytest.approx(cost, rel=1e-9)


def test_problem_6_7_as_published():
    stages = [
        Stage(days=2, holding=4, quoted_max=0), Stage(days=1, holding=3), Stage(days=1, holding=2, inbound_days=1)
    ]  # fmt: skip
    found = placed(stages, [(2, 1), (1, 0)], [10, 0, 0], 4)
    assert found.cost == pytest.approx(160 * 5**0.5, rel=1e-9)
    assert found.quoted_days.tolist() == [0, 3, 2]


@pytest.mark.parametrize(
    ("promised", "cost"), [((3, 3), 15.649530249501), ((0, 7), 13.121240238718), ((21, 5), 10.5811190103555)]
)
def test_problem_6_9_as_published(promised, cost):
    day = 0.2 / 365
    stages = [
        Stage(days=7, holding=220 * day, quoted_max=promised[0]),
        Stage(days=7, holding=140 * day, quoted_max=promised[1]),
        *(Stage(days=d, holding=h * day) for d, h in ((21, 90), (3, 5), (8, 20), (2, 7.5))),
    ]
    found = placed(stages, [(5, 4), (3, 2), (4, 2), (2, 0), (2, 1)], [4.1, 6.2, 0, 0, 0, 0], 4)
    assert found.cost == pytest.approx(cost, rel=1e-9)


def test_one_stage_as_published():
    assert placed([Stage(days=1, holding=1, quoted_max=0)], [], [1], 2).cost == pytest.approx(2)


@st.composite
def trees(draw):
    """A tree of up to five stages, links in both directions, with any rising bound."""
    count = draw(st.integers(1, 5))
    stages = [
        Stage(
            days=draw(st.integers(0, 2)),
            holding=draw(st.floats(0, 5)),
            inbound_days=draw(st.integers(0, 1)),
            quoted_max=draw(st.sampled_from([None, 0, 1])),
        )
        for _ in range(count)
    ]
    supplies = []
    for stage in range(1, count):
        other = draw(st.integers(0, stage - 1))
        supplies.append((other, stage) if draw(st.booleans()) else (stage, other))
    days = int(gsm.longest_days(stages, supplies).max())
    steps = [[0.0, *draw(st.lists(st.floats(0, 3), min_size=days, max_size=days))] for _ in range(count)]
    return stages, supplies, np.cumsum(steps, axis=1)


@settings(max_examples=60, deadline=None)
@given(trees())
def test_no_other_service_times_cost_less(tree):
    stages, supplies, bounds = tree
    found = gsm.place(stages, supplies, bounds)
    # Its own promises hold, and cost what it says.
    for supplier, customer in supplies:
        assert found.inbound_days[customer] >= found.quoted_days[supplier]
    cost = 0.0
    for n, stage in enumerate(stages):
        assert found.inbound_days[n] >= stage.inbound_days
        assert stage.quoted_max is None or found.quoted_days[n] <= stage.quoted_max
        assert found.covered_days[n] == found.inbound_days[n] + stage.days - found.quoted_days[n] >= 0
        cost += stage.holding * bounds[n][found.covered_days[n]]
    assert found.cost == pytest.approx(cost)
    longest = gsm.longest_days(stages, supplies)
    best = np.inf
    for quoted in product(*(range(int(m) + 1) for m in longest)):
        # With the least inbound times that are allowed: bounds do not fall.
        total = 0.0
        for n, stage in enumerate(stages):
            inbound = max([stage.inbound_days, *(quoted[i] for i, j in supplies if j == n)])
            covered = inbound + stage.days - quoted[n]
            if covered < 0 or (stage.quoted_max is not None and quoted[n] > stage.quoted_max):
                total = np.inf
                break
            total += stage.holding * bounds[n][covered]
        best = min(best, total)
    assert found.cost == pytest.approx(best)


def test_empirical_bounds_are_those_of_the_normal_where_demand_is():
    demand = np.random.default_rng(5).normal(100, 10, (1, 2_000, 20))
    found = gsm.empirical_bounds(demand, service=0.95, days=16)
    expected = gsm.normal_bounds([10.0], z=NormalDist().inv_cdf(0.95), days=16)
    assert found[0, [1, 4, 9, 16]] == pytest.approx(expected[0, [1, 4, 9, 16]], rel=0.06)


def test_empirical_bounds_know_of_days_that_go_together():
    random = np.random.default_rng(6)
    alone = random.poisson(4, (1, 500, 20)).astype(float)
    together = np.repeat(random.poisson(4, (1, 500, 1)), 20, axis=2).astype(float)
    by_day = gsm.empirical_bounds(alone, service=0.95, days=10)
    by_path = gsm.empirical_bounds(together, service=0.95, days=10)
    assert by_path[0, 10] > 2 * by_day[0, 10]
    # Rising, whatever the sample: place() takes them.
    assert (np.diff(by_day) >= 0).all()


def test_nothing_to_cover_needs_nothing():
    found = placed([Stage(days=0, holding=1, quoted_max=0)], [], [5], 2)
    assert (found.cost, found.safety_stock.tolist()) == (0, [0])
    assert placed([Stage(days=3, holding=1, quoted_max=0)], [], [0], 2).cost == 0


def test_two_hundred_stages_in_a_row():
    stages = [Stage(days=1, holding=1 + n, quoted_max=0 if n == 199 else None) for n in range(200)]
    found = placed(stages, [(n, n + 1) for n in range(199)], [0.0] * 199 + [1.0], 1)
    # Each stage may cover itself, or one stage all before it: concave bounds end at all or nothing.
    assert 0 < found.cost <= sum(1 + n for n in range(200))
    assert set(found.quoted_days[found.covered_days > 0]) == {0}


@pytest.mark.parametrize(
    ("supplies", "told"),
    [
        ([(0, 1)], "tree"),
        ([(0, 1), (1, 0)], "circle"),
        ([(0, 1), (0, 7)], "two of 3"),
        ([(0, 1), (0, 1)], "connected"),
    ],
)
def test_what_is_no_tree_is_refused(supplies, told):
    stages = [Stage(days=1, holding=1)] * 3
    with pytest.raises(ValueError, match=told):
        gsm.place(stages, supplies, np.zeros((3, 9)))


def test_wrong_numbers_are_refused():
    stage = Stage(days=2, holding=1)
    with pytest.raises(ValueError, match="do not fall"):
        gsm.place([stage], [], [[0, 2, 1]])
    with pytest.raises(ValueError, match="bounds"):
        gsm.place([stage], [], [[0, 2]])
    with pytest.raises(ValueError, match="holding"):
        Stage(days=2, holding=float("nan"))
    with pytest.raises(ValueError, match="whole days"):
        Stage(days=-1, holding=1)
    with pytest.raises(ValueError, match="more than 9 days"):
        gsm.empirical_bounds(np.ones((1, 9)), service=0.9, days=9)
    with pytest.raises(ValueError, match="in weeks"):
        gsm.longest_days([Stage(days=5_000, holding=1)], [])
