"""Purchases: enough, in lots that suppliers take, within the budget, and never for nobody."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.planning.protection import Expected
from onhand.planning.replenish import Buying, damped, replenish

LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def expected(means, days=14):
    means = np.asarray(means, float)
    return Expected(levels=LEVELS, quantiles=np.ones((1, days, 1)) * means[:, None, None] * [0.4, 0.7, 1.0, 1.3, 1.6])


def buying(count=1, **given):
    whole = {"position": 0, "review_days": 7, "minimum": 0, "multiple": 1}
    money = {"unit_cost": 10.0, "stockout": 5.0, "carrying": 0.01, "service": np.nan, "fixed": 0.0}
    made = {name: np.broadcast_to(given.get(name, value), count).astype(np.int64) for name, value in whole.items()}
    made |= {name: np.broadcast_to(given.get(name, value), count).astype(float) for name, value in money.items()}
    lead = np.broadcast_to(np.asarray(given.get("lead_days", [3])), (count, np.size(given.get("lead_days", [3]))))
    return Buying(**made, lead_days=lead, is_open=np.broadcast_to(np.asarray(given.get("is_open", True)), count))


def bought(means, paths=200, smoothing=1.0, budget=None, **given):
    return replenish(expected(means), buying(len(means), **given), paths=paths, smoothing=smoothing, budget=budget)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 40), min_size=1, max_size=5),
    st.integers(-20, 500), st.integers(0, 80), st.integers(1, 30), st.floats(0, 200), st.floats(1, 3),
)  # fmt: skip
def test_orders_are_lots_at_or_above_the_minimum(means, position, minimum, multiple, fixed, smoothing):
    found = bought(means, position=position, minimum=minimum, multiple=multiple, fixed=fixed, smoothing=smoothing)
    assert (found.quantity >= 0).all()
    assert (found.quantity % multiple == 0).all()
    assert (found.quantity[found.quantity > 0] >= minimum).all()
    # Ordering is never dearer than not ordering.
    assert (found.gain >= -1e-9).all()
    assert (found.gain[found.quantity == 0] == 0).all()
    assert (found.service_after >= found.service_before).all()
    assert (found.gain_low <= found.gain_high).all()
    assert found.gain_bound == pytest.approx(found.gain_total)
    assert found.spent == pytest.approx(10 * found.quantity.sum())


def test_order_up_to_the_level_without_lots():
    found = bought([5, 5, 5], position=[0, 30, 500])
    assert found.quantity[0] == found.order_up_to[0] > 10 * 5
    assert found.quantity[1] == found.order_up_to[1] - 30
    assert found.quantity[2] == 0
    assert found.safety_stock[0] == pytest.approx(found.order_up_to[0] - 50, abs=1)


def test_a_service_level_that_is_given_is_kept():
    found = bought([20] * 3, service=[0.5, 0.9, 0.99], paths=2_000)
    assert (np.diff(found.quantity) > 0).all()
    assert found.service_after == pytest.approx([0.5, 0.9, 0.99], abs=0.01)


def test_longer_and_more_scattered_lead_times_need_more():
    short, long_, scattered = (bought([5], lead_days=lead).order_up_to[0] for lead in ([2], [6], [2, 6, 10]))
    assert short < long_ < scattered


def test_a_large_minimum_for_a_slow_item_is_not_worth_it():
    slow, fast = bought([0.02, 50], minimum=400, carrying=0.05).quantity
    assert (slow, fast > 0) == (0, True)


def test_a_case_is_ordered_before_the_shelf_is_empty():
    """It lies for months whenever it is bought: waiting spares a week of keeping it, not all of that."""
    found = bought([0.3], multiple=24, carrying=0.02, stockout=6.0, position=2, lead_days=[10])
    assert found.quantity.tolist() == [24]
    # Enough for now: not yet. And a case that costs more to keep than it could ever sell: never.
    assert bought([0.3], multiple=24, carrying=0.02, stockout=6.0, position=12, lead_days=[10]).quantity[0] == 0
    assert bought([0.1], multiple=24, carrying=0.1, stockout=6.0, lead_days=[10]).quantity[0] == 0


def test_ordering_that_costs_much_makes_larger_orders():
    cheap, dear = (bought([5], fixed=cost, carrying=0.1).quantity[0] for cost in (0, 100))
    assert dear > 1.2 * cheap > 0


@pytest.mark.parametrize(
    "given",
    [
        {"means": [0.0]}, {"means": [5.0], "is_open": False}, {"means": [5.0], "service": 0.0},
        {"means": [5.0], "position": 10**6}, {"means": [5.0], "stockout": 0.0},
    ],
)  # fmt: skip
def test_nothing_is_bought_for_nobody(given):
    assert bought(**given).quantity.tolist() == [0]


def test_an_item_without_lead_time_or_rows():
    assert bought([5], lead_days=[0], review_days=1).quantity[0] > 0
    nothing = replenish(Expected(levels=LEVELS, quantiles=np.zeros((0, 3, 5))), buying(0))
    assert (len(nothing.quantity), nothing.spent, nothing.gain_bound) == (0, 0, 0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 20), st.floats(1, 50), st.integers(1, 40)), min_size=2, max_size=12),
    st.floats(0, 1),
)
def test_a_budget_is_kept_and_well_spent(rows, share):
    means, costs, multiples = zip(*rows, strict=True)
    given = {"unit_cost": list(costs), "multiple": list(multiples)}
    free = bought(means, **given)
    budget = share * free.spent
    found = bought(means, budget=budget, **given)
    assert found.spent <= budget + 1e-9
    assert (found.quantity % np.array(multiples) == 0).all()
    assert (found.quantity <= free.quantity).all()
    assert found.gain_total <= found.gain_bound + 1e-6
    assert found.gain_bound <= free.gain_total + 1e-6
    # Short of the bound by less than the dearest step that did not fit.
    assert found.gain_total >= found.gain_bound - free.gain.max() - 1e-6


def test_scarce_money_goes_where_it_saves_most():
    found = bought([5, 5], stockout=[50, 5], budget=400)
    assert found.quantity[0] > found.quantity[1]
    assert found.quantity[1] <= 2
    assert 0.9 * found.gain_bound <= found.gain_total <= found.gain_bound


def test_damped_orders_pass_on_less_variance():
    """1 / (2 T − 1), for independent demand and a fixed forecast."""
    random = np.random.default_rng(1)
    for smoothing in (1.0, 1.6, 3.0):
        level, mean, position, orders = 300.0, 50.0, 300.0, []
        demand = random.normal(mean, 5, 40_000)
        for units in demand:
            order = float(damped(level, position, mean, smoothing))
            orders.append(order)
            position += order - units
        assert np.var(orders) / np.var(demand) == pytest.approx(1 / (2 * smoothing - 1), rel=0.05)


def test_damping_orders_less_at_once():
    whole, half = (bought([5], position=20, smoothing=s).quantity[0] for s in (1.0, 2.0))
    assert 0 < half < whole


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"unit_cost": np.array([0.0])}, "unit_cost above 0"),
        ({"unit_cost": np.array([np.nan])}, "unit_cost above 0"),
        ({"review_days": np.array([0])}, "review_days"),
        ({"multiple": np.array([0])}, "multiple"),
        ({"minimum": np.array([-1])}, "minimum"),
        ({"stockout": np.array([np.inf])}, "stockout"),
        ({"service": np.array([1.0])}, "service"),
        ({"carrying": np.array([0.0])}, "carrying"),
        ({"position": np.array([2**40])}, "units"),
        ({"position": np.array([1, 2])}, "each of"),
        ({"lead_days": np.array([[-1]])}, "lead time"),
    ],
)
def test_what_makes_no_sense_is_refused(change, told):
    with pytest.raises(ValueError, match=told):
        replenish(expected([5]), replace(buying(), **change), paths=10)


@pytest.mark.parametrize("given", [{"smoothing": 0.5}, {"budget": -1.0}, {"budget": float("nan")}])
def test_wrong_settings_are_refused(given):
    with pytest.raises(ValueError, match="expected"):
        bought([5], **given)
