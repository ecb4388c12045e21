"""What to do about incidents: choices that a clerk could check by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.incidents.respond.reroute import late_chance, worth_moving
from onhand.incidents.respond.stock import units_to_expedite, units_to_hold, worth_quarantining


def f(*values):
    return np.array(values, np.float64)


def test_an_order_goes_another_way_where_that_saves_more_than_it_costs():
    moves = worth_moving(
        f(0.9, 0.9, 0.1, 0.8), np.array([[0.1, 0.0], [0.1, np.nan], [0.0, 0.0], [np.nan, np.nan]]),
        np.array([[100, 300], [500, 0], [60, 70], [0, 0]], float), f(500, 500, 500, 500),
    )  # fmt: skip
    assert moves.row.tolist() == [0], "the second costs more than it saves, the third hardly is late, the last cannot"
    assert moves.way.tolist() == [0]
    assert moves.gain_minor.tolist() == [pytest.approx(0.8 * 500 - 100)]


def test_the_dearest_first_and_no_more_than_allowed_nor_for_pennies():
    late, none = f(0.5, 1.0, 0.6), np.zeros((3, 1))
    assert worth_moving(late, none, none, f(100, 100, 100), most=2).row.tolist() == [1, 2]
    assert worth_moving(late, none, none, f(100, 100, 100), gain_min_minor=55).row.tolist() == [1, 2]
    assert worth_moving(f(), np.zeros((0, 2)), np.zeros((0, 2)), f()).row.tolist() == []
    with pytest.raises(ValueError, match="late_then"):
        worth_moving(late, none[:2], none[:2], late)


@given(st.floats(0.1, 30), st.floats(0.5, 9), st.floats(1.05, 4), st.floats(0, 5))
def test_chance_to_be_late_is_that_of_the_log_normal(room, p50, ratio, delay):
    found = float(late_chance(f(room), f(p50), f(p50 * ratio), delay)[0])
    left = room - delay
    sigma = math.log(ratio) / 1.6448536269514722
    exact = 1.0 if left <= 0 else 0.5 * math.erfc(math.log(left / p50) / sigma / math.sqrt(2))
    assert found == pytest.approx(exact, abs=1e-6)


def test_stock_that_is_likely_absent_is_hidden_the_sooner_the_dearer_a_rejection():
    p = f(0.1, 0.5, 0.9)
    assert worth_quarantining(p, f(1000, 1000, 1000), 500, 0.0).tolist() == [False, False, True]
    assert worth_quarantining(p, f(1000, 1000, 1000), 500, 0.9).tolist() == [False, True, True]
    assert worth_quarantining(p, f(1000, 1000, 1000), 500, 1.0).tolist() == [True, True, True]
    assert worth_quarantining(p, f(1000, 1000, 1000), 500, 1.0, 600).tolist() == [False, False, True]


@given(st.floats(0, 200), st.floats(1, 5_000), st.floats(1, 5_000))
def test_units_held_back_are_the_newsvendors(mean, spare, short):
    held = int(units_to_hold(f(mean), f(spare), f(short))[0])
    ratio = short / (short + spare)
    below = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(held)) if mean else 0.0
    at = below + (math.exp(held * math.log(mean) - mean - math.lgamma(held + 1)) if mean else 1.0)
    slack = 0.03 if mean > 50 else 1e-9
    assert at >= ratio - slack
    assert held == 0 or below < ratio + slack


def test_in_a_hurry_is_bought_what_pays_for_it():
    units = units_to_expedite(
        f(10.7, 10, 1, 500), f(900, 200, 900, 900), f(300, 300, 300, 300), 1500, f(99, 99, 99, 99)
    )
    assert units.tolist() == [10, 0, 0, 99]
