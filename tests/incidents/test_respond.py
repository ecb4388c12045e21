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


def bought(mean, deviation, stock, margin=900, premium=300, left=0, order=0, most=1e6):
    found = units_to_expedite(
        f(mean), f(deviation), f(stock), f(margin), f(premium), f(left), order, f(most)
    )  # fmt: skip
    return int(found.units[0]), float(found.gain_minor[0])


def test_in_a_hurry_is_bought_what_pays_for_it():
    assert bought(10, 0.01, 0) == (10, pytest.approx(10 * 600, abs=30)), "what is sure is bought"
    assert bought(10, 0.01, 4)[0] == 6
    assert bought(10, 3, 0, margin=200) == (0, 0.0), "a unit costs more than it brings"
    assert bought(10, 0.01, 8, order=1500) == (0, 0.0), "two units do not pay for the order"
    assert bought(10, 3, 0, most=4.9)[0] == 4
    few, many = bought(10, 3, 0, left=600)[0], bought(10, 3, 0)[0]
    assert few < many, "the more a unit loses that is left over, the fewer"


@given(st.floats(1, 60), st.floats(1, 20), st.floats(0, 40), st.floats(100, 3000), st.floats(0.05, 0.9))
def test_units_bought_in_a_hurry_are_the_newsvendors(mean, deviation, stock, margin, share):
    premium, left = share * margin, 0.1 * margin
    units, gain = bought(mean, deviation, stock, margin, premium, left)

    def worth(q):
        """By summing over the distribution."""
        days = np.linspace(mean - 8 * deviation, mean + 8 * deviation, 20_001)
        weight = np.exp(-0.5 * ((days - mean) / deviation) ** 2)
        weight /= weight.sum()
        sold = (np.minimum(days, stock + q) - np.minimum(days, stock)) @ weight
        return margin * sold - left * (q - sold) - premium * q

    assert gain == pytest.approx(worth(units), abs=1e-2 * margin)
    assert worth(units) >= max(worth(max(units - 1, 0)), worth(units + 1)) - 0.15 * margin
