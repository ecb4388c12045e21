"""Forecasts without training, by hand."""

import numpy as np
import pytest

from onhand.demand import simple
from onhand.demand.panel import Panel, scales, trim

from .worlds import days


def panel(y, horizon=3, freq="D"):
    y = np.array(y, float)
    return Panel(ids=[str(i) for i in range(len(y))], freq=freq, dates=days(y.shape[1] + horizon), y=y)


def test_the_mean_of_four_same_weekdays_is_of_those():
    y = np.arange(35.0)[None, :]
    made = simple.phase_mean(panel(y, horizon=9))
    assert made[0].tolist() == [np.mean([28 + d - 7 * k for k in range(4)]) for d in range(7)] + [
        np.mean([28 + d - 7 * k for k in range(4)]) for d in range(2)
    ]
    assert simple.seasonal_naive(panel(y, horizon=8))[0].tolist() == [*range(28, 35), 28]
    quantiles = simple.phase_quantiles(panel(y), np.array([0.0001, 0.5, 0.9999]), cycles=5)
    assert quantiles[0, 0] == pytest.approx([0, 14, 28], abs=0.05)


def test_a_gap_is_no_zero_and_nothing_seen_is_nothing():
    y = np.full((2, 28), np.nan)
    y[0, 0::7] = [2, np.nan, 4, 6]
    made = simple.phase_mean(panel(y))
    assert made[0].tolist() == [4, 4, 4], "of weekdays that were never seen, the mean of all"
    for model in simple.POINT.values():
        assert (model(panel(y))[1] == 0).all()


def test_intermittent_demand_is_its_size_over_its_interval():
    y = np.zeros((1, 400))
    y[0, 3::4] = 8
    assert simple.croston_sba(panel(y))[0, 0] == pytest.approx(0.95 * 2, rel=0.02)
    assert simple.tsb(panel(y))[0, 0] == pytest.approx(2, rel=0.12)
    assert simple.imapa(panel(y))[0, 0] == pytest.approx(2, rel=0.15)
    y[0, 200:] = 0
    assert simple.tsb(panel(y))[0, 0] < 0.01, "it died out"
    assert simple.croston_sba(panel(y))[0, 0] > 1, "which Croston's does not see"


def test_smoothing_takes_the_weight_that_would_have_been_best():
    steps = np.repeat([10.0, 50.0], 60)[None, :]
    assert simple.smoothed(steps)[0] == pytest.approx(50, abs=0.1)


def test_a_level_and_weekdays_are_smoothed_as_by_the_recursion_written_out():
    random = np.random.default_rng(5)
    y = random.poisson(4 + 3 * (np.arange(140) % 7 == 5), (3, 140)).astype(float)
    y[1, 30:40] = np.nan
    made = simple.ets(panel(y, horizon=10))
    for row, series in enumerate(y):
        found = []
        for weight in (0.02, 0.05, 0.1, 0.2):
            for share in (0.01, 0.03, 0.1):
                level = np.nanmean(series[:56])
                phases = [np.nanmean(series[:56][p::7]) - level for p in range(7)]
                loss = 0.0
                for t, value in enumerate(series):
                    if np.isfinite(value):
                        error = value - level - phases[t % 7]
                        loss += error**2
                        level, phases[t % 7] = level + weight * error, phases[t % 7] + share * error
                found.append((loss, [level + phases[(140 + h) % 7] for h in range(10)]))
        assert made[row] == pytest.approx(min(found)[1])
    assert made[0, 5 - 140 % 7] > made[0, 4 - 140 % 7] + 1, "Saturdays"


def test_models_of_intermittent_demand_are_those_of_statsforecast():
    """statsforecast 2.1.1: CrostonSBA(), TSB(alpha_d=0.1, alpha_p=0.05), IMAPA() and SimpleExponentialSmoothing(0.1) on
    the same 600 days; what it starts from has long faded."""
    y = np.array([[(t * 37 % 11) * (t * 7919 % 13 < 4) for t in range(600)]], float)
    assert simple.croston_sba(panel(y))[0, 0] == pytest.approx(1.649022, rel=1e-4)
    assert simple.tsb(panel(y))[0, 0] == pytest.approx(1.917362, rel=1e-4)
    assert simple.smoothed(y, (0.1,))[0] == pytest.approx(2.374467, rel=1e-4)
    # It sums up over other widths than ours.
    assert simple.imapa(panel(y))[0, 0] == pytest.approx(1.978581, rel=0.1)


def test_before_the_first_sale_nothing_was_for_sale():
    y = trim(np.array([[0.0, 0, 3, 0, 1], [0, 0, 0, 0, 0]]))
    assert np.isnan(y[0, :2]).all()
    assert y[0, 2:].tolist() == [3, 0, 1]
    assert np.isnan(y[1]).all()
    assert scales(y)[0] == 2.0
    assert np.isnan(scales(y)[1])
