"""Last year again: grown, seen with its kind, and Christmas by its date."""

import numpy as np
import pytest

from onhand.demand import annual
from onhand.demand.panel import Panel


def fridays(count, first="2010-02-05"):
    return np.datetime64(first) + 7 * np.arange(count).astype("timedelta64[D]")


def panel(y, horizon, first="2010-02-05", **more):
    y = np.array(y, float)
    return Panel(ids=[str(i) for i in range(len(y))], freq="W", dates=fridays(y.shape[1] + horizon, first), y=y, **more)


def test_a_season_that_repeats_is_forecast_as_it_was_and_growth_is_kept_in_part():
    season = 100 + 50 * np.sin(np.arange(104) / 52 * 2 * np.pi)
    assert annual.last_year(panel([season[:78]], 10), by_date=False)[0] == pytest.approx(season[78:88])
    grown = season[:78] * np.where(np.arange(78) >= 52, 1.44, 1.0)
    made = annual.last_year(panel([grown], 10), by_date=False)[0] / season[78:88]
    assert made[0] == pytest.approx(1.44**0.7)
    assert made[-1] == pytest.approx(1.44**0.3)
    assert (np.diff(made) < 0).all()


def test_christmas_eve_is_in_the_week_it_falls_into():
    # Weeks end on Fridays: 24 December 2010 is the last day of its week, in 2011 the first of the next.
    y = np.ones((1, 60))
    y[0, 46] = 71.0
    assert fridays(60)[46] == np.datetime64("2010-12-24")
    made = annual.last_year(panel(y[:, :56], 45))
    dates = fridays(101)[56:].tolist()
    at = {str(date): made[0, place] for place, date in enumerate(dates)}
    assert at["2011-12-30"] == pytest.approx(1 + 70 / 7, rel=0.01), "a day of that week has gone to the next"
    assert at["2011-12-23"] == pytest.approx(1 + 70 * 6 / 7, rel=0.01)
    by_week = annual.last_year(panel(y[:, :56], 45), by_date=False)
    assert by_week[0].max() == pytest.approx(71, rel=0.01)


def test_every_day_ahead_looks_at_one_day_of_a_past_year():
    weights = annual.alignment(panel(np.ones((1, 60)), 120), by_date=True)
    assert weights.shape == (120, 60)
    assert weights.sum(axis=1) == pytest.approx(1)
    assert weights[:52, :8].sum() == 0
    assert np.flatnonzero(weights[60]).tolist() == [60 + 60 - 104], "more than a year ahead: two years back"


def test_a_noisy_series_has_the_season_of_its_kind():
    random = np.random.default_rng(3)
    season = 1 + 0.5 * np.sin(np.arange(80) / 52 * 2 * np.pi)
    other = 1 + 0.5 * np.cos(np.arange(80) / 52 * 2 * np.pi)
    truth = np.concatenate([np.tile(season, (30, 1)), np.tile(other, (30, 1))]) * 100
    noisy = truth + random.normal(0, 25, truth.shape)
    kinds = {"line": np.repeat([0, 1], 30), "colour": np.tile([0, 1], 30)}
    of = panel(noisy, 10, static=kinds)
    assert annual.kinds_of(of).tolist() == kinds["line"].tolist(), "seasons go by line, not by colour"
    error = np.abs(annual.pooled(noisy, kinds["line"], rank=2) - truth).mean()
    assert error < 0.5 * np.abs(noisy - truth).mean()


def test_what_was_not_seen_is_filled_and_too_short_a_history_is_told():
    y = np.full((3, 70), 10.0)
    y[0, 20:25] = np.nan
    made = annual.last_year(panel(y, 10))
    assert made == pytest.approx(10, rel=0.01)
    assert not annual.can(panel(np.ones((1, 54)), 5))
    assert annual.can(panel(np.ones((1, 56)), 5))
    assert annual.same_last_year(panel(np.arange(60.0)[None, :], 2))[0].tolist() == [8, 9]
    short = annual.same_last_year(panel(np.array([[1.0, 2.0, np.nan]]), 2))
    assert short[0].tolist() == [2, 2], "the latest, without a last year"
