"""What a forecast came to, by sums that add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onhand.demand.panel import Forecast
from onhand.demand.realised import Gain, intervals, scaled_loss, score, tally, value_added

LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


def flat(count, periods, value=4.0):
    """A forecast that says the same of every period: 2, 3, 4, 5, 6 at its levels."""
    quantiles = np.tile(value + np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), (count, periods, 1))
    return Forecast(levels=LEVELS, mean=np.full((count, periods), value), quantiles=quantiles)


def test_intervals_are_between_levels_that_belong_together():
    assert intervals(LEVELS) == [(0.5, 1, 3), (0.8, 0, 4)]
    assert intervals([0.3, 0.5, 0.9]) == []


def test_a_score_by_hand():
    """Two series of two periods: 4 came where 4 was said, 7 where 4 was said, 2 likewise, and one nobody knows."""
    came = np.array([[4.0, 7.0], [2.0, np.nan]])
    made = tally(flat(2, 2), came, np.array([1.0, 2.0]))
    assert made.count.tolist() == [2, 1]
    assert made.forecast.tolist() == [8.0, 4.0]
    assert made.came.tolist() == [6.0, 7.0]
    assert made.within.tolist() == [[1, 2], [0, 0]]
    # Of 4: 0.1 x 2 + 0.25 x 1 + 0 + 0.25 x 1 + 0.1 x 2 over five levels.
    assert scaled_loss(flat(1, 1), np.array([[4.0]]), np.array([1.0]))[0, 0] == pytest.approx(0.9 / 5)
    found = score(made, made, LEVELS, Gain(0.0, 0.0, 0.0))
    assert (found.series, found.periods) == (2, 2)
    assert found.bias == pytest.approx(12 / 13 - 1)
    assert found.coverage == {0.5: pytest.approx(1 / 3), 0.8: pytest.approx(2 / 3)}
    assert score(made, made, LEVELS, Gain(0.0, 0.0, 0.0), periods=1).coverage == {0.5: 0.5, 0.8: 1.0}


def test_nothing_came():
    made = tally(flat(2, 3), np.full((2, 3), np.nan), np.ones(2))
    found = score(made, made, LEVELS, value_added(np.full(2, np.nan), np.full(2, np.nan)))
    assert all(np.isnan(value) for value in (found.loss, found.bias, found.gain.gain, *found.coverage.values()))


def test_value_added_is_sure_where_every_series_gains():
    random = np.random.default_rng(1)
    base = random.uniform(0.5, 1.5, 60)
    gain = value_added(base * random.uniform(0.85, 0.95, 60), base)
    assert gain.gain == pytest.approx(0.1, abs=0.02)
    assert gain.is_sure and not gain.is_surely_lost
    chance = value_added(base * random.uniform(0.6, 1.4, 60), base)
    assert not chance.is_sure and not chance.is_surely_lost
    assert value_added(base * 1.2, base).is_surely_lost
    few = value_added(base[:3] * 0.5, base[:3])
    assert few.gain == pytest.approx(0.5) and np.isnan(few.low) and not few.is_sure


demand = arrays(np.float64, st.tuples(st.integers(2, 6), st.just(3)), elements=st.floats(0, 12))


@given(demand, st.integers(1, 5))
def test_tallies_of_parts_add_up_to_that_of_the_whole(came, cut):
    count, cut = len(came), min(cut, len(came) - 1)
    scale = np.linspace(0.5, 2, count)
    made = flat(count, 3)
    whole = tally(made, came, scale)
    some = [
        tally(Forecast(levels=LEVELS, mean=made.mean[p], quantiles=made.quantiles[p]), came[p], scale[p])
        for p in (slice(0, cut), slice(cut, count))
    ]
    both = some[0] + some[1]
    for name in ("count", "scaled", "loss", "forecast", "came", "within"):
        assert np.allclose(getattr(both, name), getattr(whole, name))


@given(demand, st.floats(0.1, 10))
def test_units_do_not_matter_to_a_scaled_loss(came, unit):
    made = flat(len(came), 3)
    larger = Forecast(levels=LEVELS, mean=made.mean * unit, quantiles=made.quantiles * unit)
    scale = np.full(len(came), 1.5)
    assert scaled_loss(larger, came * unit, scale * unit) == pytest.approx(scaled_loss(made, came, scale))
