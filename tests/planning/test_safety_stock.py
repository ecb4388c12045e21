"""Safety stock: right by definition, and never less where more is uncertain (and where that is a theorem)."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.planning.safety_stock import described, for_fill_rate, for_service, service_of_costs

DRAWS = st.lists(st.integers(0, 40), min_size=1, max_size=40)


def rows(*draws):
    return np.sort(np.array(draws, np.int32), axis=1)


@settings(deadline=None)
@given(DRAWS, st.floats(0.01, 0.99))
def test_the_least_level_that_serves_often_enough(draws, service):
    found = for_service(rows(draws), service)
    level = int(found.order_up_to[0])
    often = [sum(d <= s for d in draws) / len(draws) for s in range(42)]
    assert often[level] >= service - 1e-9
    assert all(share < service for share in often[:level])
    assert found.service[0] == pytest.approx(often[level])
    assert found.short[0] == pytest.approx(sum(max(0, d - level) for d in draws) / len(draws))
    assert found.safety_stock[0] == pytest.approx(max(0, level - sum(draws) / len(draws)))


@settings(deadline=None)
@given(DRAWS, st.floats(0, 0.99), st.floats(0, 30))
def test_the_least_level_that_leaves_little_missing(draws, fill, cycle):
    found = for_fill_rate(rows(draws), [cycle], fill)
    level = int(found.order_up_to[0])
    missing = [sum(max(0, d - s) for d in draws) / len(draws) for s in range(42)]
    assert missing[level] <= (1 - fill) * cycle + 1e-6
    assert all(left > (1 - fill) * cycle - 1e-6 for left in missing[:level])


@st.composite
def spreads(draw):
    """Draws of demand, and the same after some pairs were pushed apart by as much: a mean-preserving spread."""
    calm = draw(st.lists(st.integers(0, 40), min_size=2, max_size=30))
    wild = sorted(calm)
    for _ in range(draw(st.integers(1, 10))):
        low, high = sorted(draw(st.lists(st.integers(0, len(calm) - 1), min_size=2, max_size=2, unique=True)))
        step = draw(st.integers(0, wild[low]))
        wild[low], wild[high] = wild[low] - step, wild[high] + step
        wild.sort()
    return calm, wild


@settings(deadline=None)
@given(spreads(), st.floats(0, 0.99), st.floats(0, 30))
def test_any_spread_of_demand_needs_no_less_by_fill_rate(pair, fill, cycle):
    calm, wild = pair
    assert sum(calm) == sum(wild)
    found = for_fill_rate(rows(calm, wild), [cycle, cycle], fill)
    assert found.order_up_to[1] >= found.order_up_to[0]
    assert found.safety_stock[1] >= found.safety_stock[0]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.integers(0, 4), st.integers(0, 4), st.integers(0, 2), st.floats(0, 0.99),
)  # fmt: skip
def test_any_spread_of_the_lead_time_needs_no_less_by_fill_rate(daily, lead, spread, review, fill):
    """Days alike and independent: every sequence of days, with each lead time as likely."""
    spread = min(spread, lead)

    def totals(leads):
        sums = []
        for days in leads:
            span = days + review
            grid = np.zeros(1, np.int64)
            for _ in range(span):
                grid = (grid[:, None] + np.array(daily)).ravel()
            # The same number of draws for each lead time: sums of fewer days are repeated.
            sums.append(np.sort(np.repeat(grid, len(daily) ** (2 * lead + review - span))))
        return np.concatenate(sums)

    if len(daily) ** (2 * lead + review) > 20_000:
        return
    certain, scattered = totals([lead, lead]), totals([lead - spread, lead + spread])
    demand = np.sort(np.stack([certain, scattered]).astype(np.int32), axis=1)
    cycle = review * sum(daily) / len(daily)
    found = for_fill_rate(demand, [cycle, cycle], fill)
    assert found.mean[1] == pytest.approx(found.mean[0])
    assert found.safety_stock[1] >= found.safety_stock[0] - 1e-9


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(1, 5), st.floats(0, 0.99))
def test_demand_stretched_from_its_mean_needs_no_less_by_service(draws, factor, service):
    # In units of which the mean is a whole number, and far enough from zero.
    calm = [d * len(draws) + 5 * sum(draws) for d in draws]
    mean = sum(calm) // len(calm)
    wild = [mean + factor * (d - mean) for d in calm]
    lowest = min(0, *wild)
    found = for_service(rows([d - lowest for d in calm], [d - lowest for d in wild]), service)
    assert found.safety_stock[1] >= found.safety_stock[0] - 1e-6


@pytest.mark.parametrize("service", [0.5, 0.8, 0.99])
def test_normal_demand_or_lead_time_that_scatters_more_needs_more(service):
    random = np.random.default_rng(1)
    shock, delay = random.standard_normal((2, 4_000))
    demand = [100 + sd * shock for sd in (5, 10, 20)] + [10 * np.maximum(10 + sd * delay, 0) + 5 * shock for sd in
                                                         (0, 1, 3)]  # fmt: skip
    found = for_service(rows(*np.maximum(demand, 0).round()), service)
    assert (np.diff(found.safety_stock[:3]) >= -1).all()
    assert (np.diff(found.safety_stock[3:]) >= -1).all()
    if service > 0.5:
        assert found.safety_stock[2] > 3 * found.safety_stock[0] > 0


def test_a_spread_may_lower_a_quantile_and_the_fill_rate_knows():
    """Why the promise for service levels is only about stretching: a rare huge order."""
    calm, wild = [10] * 100, [0] * 90 + [100] * 10
    by_service = for_service(rows(calm, wild), 0.85)
    assert by_service.order_up_to.tolist() == [10, 0]
    by_fill = for_fill_rate(rows(calm, wild), [10, 10], 0.85)
    assert by_fill.order_up_to[1] > by_fill.order_up_to[0]


def test_costs_choose_the_service_level():
    found = service_of_costs([900, 0, 0], [100, 100, 0])
    assert found.tolist() == [0.9, 0, 0]
    random = np.random.default_rng(2)
    demand = rows(random.poisson(20, 999))
    best = int(for_service(demand, service_of_costs(7, 2)).order_up_to[0])
    costs = [7 * described(demand, [s]).short[0] + 2 * np.maximum(s - demand, 0).mean() for s in range(60)]
    assert costs[best] == pytest.approx(min(costs))


def test_no_demand_needs_nothing():
    found = for_service(rows([0, 0, 0]), 0.999)
    assert (found.order_up_to[0], found.safety_stock[0], found.service[0]) == (0, 0, 1)
    assert for_fill_rate(rows([0, 0, 0]), [0], 0.999).order_up_to[0] == 0
    assert for_service(rows([3, 4, 5]), 0).order_up_to[0] == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: for_service(rows([1]), 1.0),
        lambda: for_service(rows([1]), math.nan),
        lambda: for_fill_rate(rows([1]), [math.nan], 0.5),
        lambda: for_fill_rate(rows([1]), [1, 2], 0.5),
        lambda: service_of_costs(-1, 1),
        lambda: service_of_costs(1, 0),
        lambda: for_service(np.zeros((2, 0), np.int32), 0.5),
    ],
)
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises(ValueError, match="expected"):
        call()
