"""The forecast where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.planning.campaigns.outlook import LEVELS, usual_outlook


def test_each_weekday_is_foreseen_as_it_was():
    week = np.array([2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 0.0])
    days = np.random.default_rng(1).poisson(np.tile(week, 52)).astype(float)[np.newaxis]
    mean, quantiles = usual_outlook(days, 14)
    assert np.abs(mean[0, :7] - week).max() < 1.0
    assert np.array_equal(mean[0, :7], mean[0, 7:])
    median = quantiles[0, :7, list(LEVELS).index(0.5)]
    assert np.abs(median - week).max() <= 2.0


def test_the_outermost_quantiles_hold_what_they_say():
    draw = np.random.default_rng(2)
    days = draw.negative_binomial(2, 2 / (2 + 12.0), (40, 56)).astype(float)
    _, quantiles = usual_outlook(days, 7)
    came = draw.negative_binomial(2, 2 / (2 + 12.0), (200, 40, 7))
    assert 0.91 < (came <= quantiles[:, :, -1]).mean() < 0.98
    assert 0.83 < ((came >= quantiles[:, :, 0]) & (came <= quantiles[:, :, -1])).mean() < 0.98


@given(st.lists(st.integers(0, 300), min_size=14, max_size=14), st.integers(1, 20))
def test_quantiles_rise_and_nothing_asked_for_is_nothing_foreseen(units, horizon):
    mean, quantiles = usual_outlook(np.array([units, [0] * 14], float), horizon)
    assert quantiles.shape == (2, horizon, len(LEVELS))
    assert np.all(np.diff(quantiles, axis=2) >= 0) and np.all(quantiles >= 0)
    assert not mean[1].any() and not quantiles[1].any()
    assert np.isfinite(mean).all()


def test_a_part_of_a_week_is_refused():
    with pytest.raises(ValueError, match="whole weeks"):
        usual_outlook(np.ones((1, 10)), 7)
