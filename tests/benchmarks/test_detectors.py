"""The benchmark of detectors measures what it says."""

import numpy as np
import pytest
from detectors import Row, _known_limit, recall_at  # pyright: ignore


def test_recall_is_read_off_where_half_of_the_list_is_true():
    is_true = np.array([True, False, True, False, False, False, True, True])
    # In order: 1/1, 1/2, 2/3, 2/4, 2/5, 2/6, 3/7, 4/8.
    assert recall_at(np.arange(8.0)[::-1], is_true) == 1
    assert recall_at(np.arange(8.0)[::-1], is_true, precision=0.6) == 0.5
    assert recall_at(np.arange(8.0), ~is_true, precision=0.9) == 0


def test_what_56_days_can_tell_is_the_posterior_of_log_normal_rates():
    """Against a draw of rates: of those that sold as much, the share that is silent for a fortnight."""
    random = np.random.default_rng(1)
    rate = 0.5 * np.exp(random.normal(0, 1, 400_000))
    sold = random.poisson(rate * random.gamma(56, 1, len(rate)))
    for units in (5, 20):
        of = sold == units
        assert np.exp(_known_limit(np.array([units]), 0.5)[0]) == pytest.approx(
            ((1 + rate[of]) ** -14).mean(), rel=0.05
        )


def test_a_floor_that_is_missed_is_told():
    row = {"suite": "lanes", "measure": "", "unit": ""}
    assert Row(**row, value=30, floor=30).is_met and not Row(**row, value=31, floor=30).is_met
    assert Row(**row, value=0.8, floor=0.8, is_more_better=True).is_met
    assert not Row(**row, value=0.7, floor=0.8, is_more_better=True).is_met
