"""The price of risk: moves the right way, stays within bounds, and comes to where the budget is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.channels.gates import Budget, learned
from onhand.channels.gates.controller import TAU_LEAST, TAU_MOST, first_tau, tau_of_money


@given(st.integers(0, 10_000_000), st.integers(0, 10_000_000), st.floats(1e-4, 1.0), st.floats(0.0, 1e4))
def test_too_many_oversells_lower_it_and_too_few_raise_it(orders, oversold, tau, seen):
    oversold = min(oversold, orders)
    before = Budget(alpha=0.001, tau=tau, seen=seen)
    after = learned(before, orders=orders, oversold=oversold)
    assert TAU_LEAST <= after.tau <= TAU_MOST
    if orders == 0:
        assert after == before
    elif oversold > 0.001 * orders:
        assert after.tau <= tau
    elif oversold < 0.5 * 0.001 * orders:
        assert after.tau >= tau


def test_a_few_orders_say_little():
    before = Budget.of(0.001)
    assert learned(before, orders=20, oversold=0).tau == pytest.approx(before.tau, rel=0.01)
    assert learned(before, orders=200_000, oversold=0).tau > 1.5 * before.tau


@pytest.mark.parametrize("first", [0.003, 0.03, 0.8])
def test_it_comes_to_the_budget_within_three_weeks(first):
    """Oversold shares grow with a power of tau, as in replays; 3,000 orders a day, told once a day."""
    rng = np.random.default_rng(7)
    budget = Budget(alpha=0.001, tau=first)
    shares = []
    for day in range(60):
        share = 0.001 * (budget.tau / 0.05) ** 0.8
        shares.append(share)
        budget = learned(budget, orders=3000, oversold=int(rng.binomial(3000, share)))
        if day == 20:
            assert share < 0.002
    assert np.mean(shares[30:]) == pytest.approx(0.00085, rel=0.3)


def test_money_sets_the_price():
    assert tau_of_money(margin_minor=500.0, penalty_minor=10_000.0) == pytest.approx(0.05)
    assert tau_of_money(margin_minor=0.0, penalty_minor=1.0) == TAU_LEAST
    with pytest.raises(ValueError):
        tau_of_money(margin_minor=1.0, penalty_minor=0.0)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_a_target_is_a_share(alpha):
    with pytest.raises(ValueError):
        Budget.of(alpha)


@given(st.floats(1e-5, 0.4), st.floats(1.0, 2.4), st.integers(1, 100_000), st.integers(0, 500))
def test_a_smaller_target_never_has_a_larger_price(alpha, factor, orders, oversold):
    """Neither at first, nor after the same period from the same price."""
    assert first_tau(alpha) <= first_tau(alpha * factor)
    small, large = Budget(alpha=alpha, tau=0.05), Budget(alpha=alpha * factor, tau=0.05)
    oversold = min(oversold, orders)
    after = [learned(b, orders=orders, oversold=oversold).tau for b in (small, large)]
    assert after[0] <= after[1] * (1 + 1e-12)
