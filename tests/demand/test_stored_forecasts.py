"""Forecasts as they are stored, and added up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onhand.demand.forecasts.model import LEVELS, Settings, pack, summed, unpack
from onhand.demand.panel import Forecast

AT = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


@st.composite
def forecasts(draw, series=4, periods=3):
    steps = draw(arrays(np.float64, (series, periods, len(AT)), elements=st.floats(0, 9, width=32)))
    mean = draw(arrays(np.float64, (series, periods), elements=st.floats(0, 40, width=32)))
    return Forecast(levels=AT, mean=mean, quantiles=np.cumsum(steps, axis=2).astype(np.float32).astype(float))


@given(forecasts())
def test_what_is_stored_comes_back(made):
    back = unpack(pack(made), AT.tolist(), 3)
    assert np.array_equal(back.mean, made.mean) and np.array_equal(back.quantiles, made.quantiles)


@given(forecasts(), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_sum_lies_between_what_is_alike_and_what_has_nothing_to_do_with_one_another(made, weights):
    weight = np.array(weights)
    whole = summed(made, np.zeros(4, np.int64), weight, 1)
    assert np.allclose(whole.mean[0], (made.mean * weight[:, None]).sum(axis=0))
    assert np.allclose(whole.quantiles[0, :, 2], (made.quantiles[:, :, 2] * weight[:, None]).sum(axis=0))
    assert (np.diff(whole.quantiles, axis=2) >= -1e-9).all() and (whole.quantiles >= 0).all()
    alike = (made.quantiles * weight[:, None, None]).sum(axis=0)
    assert (whole.quantiles[0, :, 4] <= alike[:, 4] + 1e-6).all()
    assert (whole.quantiles[0, :, 0] >= alike[:, 0] - 1e-6).all()


@given(forecasts())
def test_the_sum_of_one_is_itself(made):
    same = summed(made, np.arange(4), np.ones(4), 4)
    assert same.quantiles == pytest.approx(made.quantiles) and same.mean == pytest.approx(made.mean)


def test_forecasts_of_one_kind_are_compared_and_others_are_not():
    usual = Settings()
    assert usual.kind == Settings(seed=7, learn=True, ablate=False).kind
    others = [Settings(horizon=14), Settings(freq="W"), Settings(by_channel=True), Settings(levels=(0.5,))]
    assert len({s.kind for s in [usual, *others]}) == 5
    assert (usual.levels, usual.judged, Settings(horizon=3).judged) == (LEVELS, 7, 3)
    assert (Settings(freq="W").judged, Settings(freq="W").period_days) == (4, 7)
