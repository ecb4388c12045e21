"""Drift is seen where it is, and seldom where it is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.demand.drift import ALARM, cusum, rises, standardised, window

# Montgomery, Introduction to Statistical Quality Control, table 9.1: 20 values around 10, 10 values around 11.
MONTGOMERY = np.array([
    9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08, 9.37, 10.62,
    10.31, 8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
])  # fmt: skip


def test_the_cusum_of_a_textbook():
    """Its table of the one-sided sums, which pass 5 at the 29th value."""
    sums = cusum(MONTGOMERY, mean=10, deviation=1, slack=0.5)
    assert sums[[3, 4, 27, 28, 29]] == pytest.approx([1.16, 2.82, 4.47, 5.28, 5.30])
    assert int(np.flatnonzero(sums > ALARM)[0]) == 28


def test_standardised_values_are_standard_normal():
    values = np.random.default_rng(3).normal(7, 2, (400, 60))
    z = np.stack([standardised(row) for row in values])[:, 10:]
    assert z.mean() == pytest.approx(0, abs=0.02)
    assert z.std() == pytest.approx(1, abs=0.03)
    assert (z > 2.326).mean() == pytest.approx(0.01, abs=0.004)


def test_a_rise_of_one_deviation_is_seen_within_weeks_and_none_is_seldom_seen():
    random = np.random.default_rng(5)
    risen = [rises(np.r_[random.normal(1, 0.2, 60), random.normal(1.2, 0.2, 40)]) for _ in range(200)]
    assert np.mean([at is not None and at >= 55 for at in risen]) > 0.8
    steady = [rises(random.normal(1, 0.2, 100)) for _ in range(200)]
    assert np.mean([at is not None for at in steady]) < 0.2
    fallen = [rises(np.r_[random.normal(1, 0.2, 60), random.normal(0.6, 0.2, 40)]) for _ in range(100)]
    assert np.mean([at is not None for at in fallen]) < 0.1, "to lose less is no reason to learn anew"


def test_what_never_changed_until_now_is_told_from_what_still_does_not():
    assert rises(np.full(50, 0.25)) is None
    assert rises(np.r_[np.full(20, 0.25), 0.5, 0.5]) == 21


@given(st.lists(st.floats(-5, 5), max_size=40), st.integers(0, 39), st.floats(0, 5))
def test_a_cusum_is_never_below_nothing_and_rises_with_every_value(values, place, more):
    sums = cusum(np.array(values))
    assert (sums >= 0).all()
    if place < len(values):
        higher = values.copy()
        higher[place] += more
        assert (cusum(np.array(higher)) >= sums - 1e-9).all()


@given(st.lists(st.floats(0, 1), min_size=8, max_size=40), st.floats(0.01, 100), st.floats(-50, 50))
def test_units_do_not_matter(values, scale, shift):
    first = np.array(values)
    if first[:7].std() < 1e-3:
        return
    assert standardised(first * scale + shift) == pytest.approx(standardised(first), abs=1e-4)


def test_adwin_cuts_the_stream_of_its_documentation_where_it_changes():
    """1,000 coins, then numbers from 4 to 7: the example of scikit-multiflow and river, which look every 32 values and
    see it at the 1,023rd."""
    random = np.random.default_rng(12345)
    stream = np.r_[random.integers(0, 2, 1_000), random.integers(4, 8, 23)]
    assert window(stream[:1_000]) == 1_000
    assert 20 <= window(stream) <= 30


def test_adwin_seldom_cuts_what_has_one_mean():
    random = np.random.default_rng(1)
    assert np.mean([window(random.random(60)) < 60 for _ in range(60)]) < 0.05


@given(st.lists(st.floats(0, 1), max_size=50))
def test_a_window_ends_now_and_does_not_care_for_direction(values):
    kept = window(np.array(values))
    assert 0 <= kept <= len(values)
    assert window(1 - np.array(values)) == kept
    assert len(values) == 0 or kept > 0
