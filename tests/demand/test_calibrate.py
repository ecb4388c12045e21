"""Quantiles come to hold what they say, in whole units too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.demand import calibrate, spread

LEVELS = np.array([0.025, 0.25, 0.5, 0.75, 0.975])


@pytest.mark.parametrize("too_wide", [0.6, 1.7])
def test_intervals_that_are_too_wide_or_too_narrow_come_to_hold_their_share(too_wide):
    random = np.random.default_rng(1)
    mean = random.uniform(5, 60, 6_000)
    demand = random.poisson(mean).astype(float)
    z = np.array([-1.96, -0.674, 0, 0.674, 1.96])
    quantiles = mean[:, None] + too_wide * np.sqrt(mean)[:, None] * z
    made = calibrate.fit(quantiles[:3_000], demand[:3_000], LEVELS).apply(quantiles[3_000:])
    came = demand[3_000:]
    for low, high, share in ((1, 3, 0.5), (0, 4, 0.95)):
        within = ((came >= made[:, low]) & (came <= made[:, high])).mean()
        assert within == pytest.approx(share, abs=0.03)
        before = ((came >= quantiles[3_000:, low]) & (came <= quantiles[3_000:, high])).mean()
        assert abs(before - share) > 0.04


def test_too_few_pairs_change_nothing():
    quantiles = np.tile(np.arange(5.0), (50, 1))
    assert calibrate.fit(quantiles, np.full(50, 100.0), LEVELS).factors.tolist() == [1.0] * 5


@given(st.lists(st.floats(0, 1e6), min_size=5, max_size=5), st.lists(st.floats(0.5, 2), min_size=5, max_size=5))
def test_calibrated_quantiles_rise_and_are_never_negative(values, factors):
    made = calibrate.Calibration(levels=LEVELS, factors=np.array(factors)).apply(np.sort(np.array(values))[None, :])
    assert (made >= 0).all()
    assert (np.diff(made, axis=1) >= 0).all()


def test_a_mean_gets_the_spread_that_such_means_had():
    random = np.random.default_rng(2)
    mean = np.exp(random.uniform(-1, 5, 60_000))
    demand = random.poisson(mean).astype(float)
    fitted = spread.fit(mean, demand, LEVELS)
    for at in (2.0, 20.0, 100.0):
        drawn = random.poisson(at, 100_000)
        made = fitted.quantiles(np.array([[at]]))[0, 0]
        assert np.mean(drawn <= made[3]) == pytest.approx(0.75, abs=0.12)
        assert made[0] < at < made[4]
    nothing = spread.fit(np.array([]), np.array([]), LEVELS).quantiles(np.array([[4.0], [0.0]]))
    assert nothing.shape == (2, 1, 5)
    assert nothing[1].max() == 0


def test_one_mean_of_nothing_does_not_stretch_all_small_ones():
    """A week without sales last year, in which hundreds are sold now: relative to nothing that is without bounds."""
    random = np.random.default_rng(3)
    mean = np.exp(random.uniform(3, 5, (400, 10)))
    mean[:, 3] = np.where(random.random(400) < 0.5, 0.0, mean[:, 3])
    demand = random.poisson(np.maximum(mean, 100.0)).astype(float)
    fitted = spread.fit(spread.base_of(mean).ravel(), demand.ravel(), LEVELS)
    made = fitted.quantiles(mean)
    assert made.max() < 20 * mean.max()
    # What was never asked for is told in units.
    never = np.zeros((50, 4))
    came = (random.random((50, 4)) < 0.1) * 7.0
    of_never = spread.fit(spread.base_of(never).ravel(), came.ravel(), LEVELS).quantiles(never)
    assert of_never[0, 0].tolist() == np.quantile(came, LEVELS).tolist()
