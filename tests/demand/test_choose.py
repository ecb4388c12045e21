"""Who is in charge of which kind of demand."""

import numpy as np
import pytest

from onhand.demand.choose import BASELINE, choose
from onhand.demand.panel import Forecast

LEVELS = np.array([0.1, 0.5, 0.9])


def forecast(middle):
    return Forecast(levels=LEVELS, mean=middle, quantiles=middle[..., None] + np.array([-1.0, 0.0, 1.0]))


def world(series=60, periods=10, seed=4):
    random = np.random.default_rng(seed)
    came = random.normal(20, 1, (series, periods))
    return random, came, np.ones(series), np.zeros(series, np.int64)


def test_the_model_that_lost_least_is_in_charge():
    random, came, scale, segments = world()
    near, far = forecast(came + random.normal(0, 0.5, came.shape)), forecast(came + random.normal(0, 3, came.shape))
    chosen = choose([({BASELINE: far, "near": near}, came)], scale, np.ones(len(scale)), segments, 1)[0]
    assert chosen.shares["near"] > 0.7
    assert chosen.gain_low > 0.3
    assert chosen.loss == pytest.approx(chosen.loss_baseline * (1 - chosen.gain))


def test_the_baseline_stays_where_nothing_beats_it_for_sure():
    random, came, scale, segments = world(series=12)
    far = came + random.normal(0, 3, came.shape)
    other = far + random.normal(0, 0.3, came.shape)
    chosen = choose(
        [({BASELINE: forecast(far), "other": forecast(other)}, came)], scale, np.ones(len(scale)), segments, 1
    )[0]
    assert chosen.shares == {BASELINE: 1.0}
    assert chosen.gain == 0


def test_one_odd_series_does_not_speak_for_all():
    random, came, scale, segments = world()
    good = came + random.normal(0, 0.5, came.shape)
    good[0] = 1e6
    scale[0] = 1e-3
    far = forecast(came + random.normal(0, 3, came.shape))
    chosen = choose([({BASELINE: far, "near": forecast(good)}, came)], scale, np.ones(len(scale)), segments, 1)[0]
    assert chosen.shares["near"] > 0.7


def test_a_kind_without_series_gets_what_is_best_for_all():
    random, came, scale, segments = world()
    near, far = forecast(came + random.normal(0, 0.5, came.shape)), forecast(came + random.normal(0, 3, came.shape))
    chosen = choose([({BASELINE: far, "near": near}, came)], scale, np.ones(len(scale)), segments, 3)
    assert [*chosen] == [0, 1, 2]
    assert chosen[2].shares == chosen[0].shares
    assert chosen[2].series == 0
