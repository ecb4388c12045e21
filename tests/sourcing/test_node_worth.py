"""A unit where it lies: lost sale at one end, markdown avoided at the other."""

import math

import numpy as np
import pytest

from onhand.sourcing.node_worth import Local, at_least, worth


def local(margin=0.0, cleared=0.0, daily=0.0, squared=None):
    one = np.ones(1)
    return Local(
        item=one.astype(np.int32),
        node=one.astype(np.int32),
        margin=margin * one,
        cleared=cleared * one,
        daily=daily * one,
        daily_squared=(daily + daily**2 if squared is None else squared) * one,
    )


def of(made, units, days=7.0):
    return float(worth(made, np.array([float(units)]), np.array([days]))[0])


def poisson_at_least(x, mean):
    return 1 - sum(math.exp(-mean) * mean**n / math.factorial(n) for n in range(x))


@pytest.mark.parametrize("x", [0, 1, 3, 9, 30])
def test_poisson_demand_is_that_of_the_formula(x):
    found = at_least(np.array([float(x)]), np.array([3.0]), np.array([np.inf]))[0]
    assert found == pytest.approx(poisson_at_least(x, 3.0), abs=1e-9)


def test_negative_binomial_demand_is_that_of_drawn_days():
    random = np.random.default_rng(1)
    drawn = random.negative_binomial(2.0, 2.0 / (2.0 + 5.0), 400_000)
    for x in (1, 4, 12):
        found = at_least(np.array([float(x)]), np.array([5.0]), np.array([2.0]))[0]
        assert found == pytest.approx((drawn >= x).mean(), abs=0.003)


def test_large_numbers_are_near_the_normal_and_continuous():
    x = np.array([399.0, 400.0, 401.0, 402.0])
    found = at_least(x, np.full(4, 400.0), np.full(4, np.inf))
    steps = -np.diff(found)
    assert np.allclose(steps, 0.02, atol=0.004)


def test_without_who_walks_in_a_unit_is_worth_what_clearing_it_loses():
    assert of(local(cleared=-300.0), 4) == -300
    assert of(local(margin=500.0), 4) == 0


def test_the_last_unit_where_customers_come_is_worth_their_margin_and_the_hundredth_is_cleared():
    shop = local(margin=500.0, cleared=-300.0, daily=2.0)
    assert of(shop, 1) == pytest.approx(500, abs=1)
    assert of(shop, 100) == pytest.approx(-300, abs=1)
    middle = of(shop, 14)
    share = poisson_at_least(14, 14.0)
    assert middle == pytest.approx(500 * share - 300 * (1 - share))


def test_the_sum_of_days_scatters_as_the_days_do():
    calm, wild = local(margin=100.0, daily=2.0), local(margin=100.0, daily=2.0, squared=20.0)
    assert of(wild, 25) > of(calm, 25)
    assert of(wild, 8) < of(calm, 8)
