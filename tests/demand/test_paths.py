"""Paths of demand keep each day's distribution, and its days together."""

import numpy as np
import pytest

from onhand.demand.paths import normal_cdf, sample_paths

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def test_each_day_keeps_the_distribution_that_was_forecast():
    quantiles = np.array([[[10.0, 20, 30, 40, 50], [0, 0, 1, 3, 8]]])
    drawn = sample_paths(LEVELS, quantiles, paths=40_000, correlation=0.7, seed=3)
    assert drawn.shape == (40_000, 1, 2)
    for day in range(2):
        for level, value in zip(LEVELS, quantiles[0, day], strict=True):
            below = np.mean(drawn[:, 0, day] < value), np.mean(drawn[:, 0, day] <= value + 1)
            assert below[0] - 0.02 <= level <= below[1] + 0.02


def test_days_belong_together_as_much_as_is_said():
    quantiles = np.tile(np.array([10.0, 20, 30, 40, 50]), (1, 3, 1))
    drawn = sample_paths(LEVELS, quantiles, paths=20_000, correlation=0.8, seed=1)[:, 0]
    together = np.corrcoef(drawn.T)
    assert together[0, 1] == pytest.approx(0.8, abs=0.04)
    assert together[0, 2] == pytest.approx(0.64, abs=0.05)
    apart = sample_paths(LEVELS, quantiles, paths=20_000, correlation=0.0, seed=1)[:, 0]
    assert abs(np.corrcoef(apart.T)[0, 1]) < 0.03


def test_fractions_stay_in_the_mean_and_crossing_quantiles_are_put_right():
    drawn = sample_paths(LEVELS, np.full((1, 1, 5), 0.3), paths=50_000, seed=2)
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn.mean() == pytest.approx(0.3, abs=0.01)
    assert sample_paths(LEVELS, np.array([[[5.0, -3, 2, 1, 0]]]), paths=100).min() >= 5


def test_the_same_seed_draws_the_same_and_more_demand_is_never_less():
    quantiles = np.array([[[1.0, 2, 3, 5, 9]]]).repeat(4, axis=1)
    one = sample_paths(LEVELS, quantiles, paths=500, seed=5)
    assert (one == sample_paths(LEVELS, quantiles, paths=500, seed=5)).all()
    assert (sample_paths(LEVELS, quantiles * 1.5, paths=500, seed=5) >= one).all()


def test_what_does_not_belong_together_is_refused():
    for levels, quantiles in (
        (LEVELS, np.zeros((1, 1, 4))), (LEVELS[::-1], np.zeros((1, 1, 5))), ([0, 1], np.zeros((1, 1, 2))),
        (LEVELS, np.full((1, 1, 5), np.nan)), ([0.5], np.zeros((1, 1, 1))),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            sample_paths(levels, quantiles, paths=10)
    with pytest.raises(ValueError, match="expected correlation"):
        sample_paths(LEVELS, np.zeros((1, 1, 5)), paths=10, correlation=1.0)


def test_the_normal_distribution_is_the_one_of_the_tables():
    assert normal_cdf(np.array([-1.959964, 0.0, 1.281552])) == pytest.approx([0.025, 0.5, 0.9], abs=1e-6)
