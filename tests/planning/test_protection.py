"""Demand over lead and review time: the same distribution as whole paths, added up."""

import numpy as np
import pytest

from onhand.demand.paths import sample_paths
from onhand.planning.protection import Expected, drawn_totals, lasting_demand

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def forecast(rows=4, days=10):
    """Rows that ask for little to much, Mondays twice as much."""
    usual = np.array([0.0, 0.3, 1.0, 1.6, 3.0])
    weekday = np.where(np.arange(days) % 7 == 0, 2.0, 1.0)
    return usual * weekday[:, None] * np.array([0.2, 1.0, 5.0, 40.0])[:rows, None, None]


def test_totals_are_those_of_whole_paths():
    quantiles = forecast()
    whole = sample_paths(LEVELS, quantiles, paths=20_000, correlation=0.6, seed=1)
    before, after = drawn_totals(
        Expected(levels=LEVELS, quantiles=quantiles), np.full((4, 1), 3), np.full(4, 5), paths=20_000, correlation=0.6
    )
    for row in range(4):
        for drawn, days in ((before, slice(0, 3)), (after, slice(3, 8))):
            expected = whole[:, row, days].sum(axis=1)
            spread = expected.std()
            assert drawn[row].mean() == pytest.approx(expected.mean(), abs=0.05 * spread)
            assert drawn[row].std() == pytest.approx(spread, rel=0.05)
            assert np.quantile(drawn[row], 0.95) == pytest.approx(np.quantile(expected, 0.95), abs=0.1 * spread + 1)


def test_lead_times_are_drawn_as_often_as_they_are_given():
    # One unit a day for certain: the total is the number of days.
    ones = np.ones((2, 5, 2))
    found = lasting_demand(Expected(levels=np.array([0.1, 0.9]), quantiles=ones), [[2, 4, 4, 9], [1, 1, 1, 1]], 3,
                           paths=400)  # fmt: skip
    assert np.unique(found[0], return_counts=True)[0].tolist() == [5, 7, 12]
    assert np.unique(found[0], return_counts=True)[1].tolist() == [100, 200, 100]
    assert set(found[1]) == {4}


def test_beyond_the_forecast_its_last_week_goes_on():
    days = np.arange(9.0)[None, :, None] * np.ones(2)
    found = lasting_demand(Expected(levels=np.array([0.1, 0.9]), quantiles=days), [[14]], 2, paths=2)
    assert found.tolist() == [[sum([*range(9), *range(2, 9)])] * 2]


def test_nodes_of_an_item_do_not_share_their_luck():
    quantiles = np.repeat(forecast(3)[2:], 50, axis=0)
    found, _ = drawn_totals(Expected(levels=LEVELS, quantiles=quantiles), np.full((50, 1), 5), 0, paths=1_000)
    together = np.corrcoef(found)[~np.eye(50, dtype=bool)]
    assert np.abs(together).max() < 0.25


def test_the_same_seed_draws_the_same():
    expected = Expected(levels=LEVELS, quantiles=forecast())
    once, again, other = (lasting_demand(expected, np.full((4, 1), 2), 2, paths=50, seed=s) for s in (1, 1, 2))
    assert (once == again).all()
    assert (once != other).any()


def test_no_time_and_no_rows():
    expected = Expected(levels=LEVELS, quantiles=forecast())
    assert not lasting_demand(expected, np.zeros((4, 1)), 0, paths=2).any()
    nothing = Expected(levels=LEVELS, quantiles=np.zeros((0, 3, 5)))
    assert lasting_demand(nothing, np.zeros((0, 1)), np.zeros(0), paths=2).shape == (0, 2)


def test_quantiles_that_cross_or_fall_below_zero_are_put_right():
    crossed = np.array([[[-3.0, 4.0, 2.0]]])
    found = lasting_demand(Expected(levels=np.array([0.1, 0.5, 0.9]), quantiles=crossed), [[1]], 0, paths=1_000)
    assert found.min() == 0
    assert found.max() == 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lead": [[-1]]}, "whole days of lead time"),
        ({"lead": [[1.5]]}, "whole days of lead time"),
        ({"lead": [[np.nan]]}, "whole days of lead time"),
        ({"lead": [[800]]}, "730 days"),
        ({"quantiles": np.full((1, 2, 2), np.nan)}, "finite quantiles"),
        ({"quantiles": np.full((1, 2, 2), 1e9)}, "in cases"),
        ({"quantiles": np.zeros((1, 0, 2))}, "a day or more"),
        ({"levels": [0.9, 0.1]}, "levels that rise"),
        ({"paths": 3}, "even number"),
    ],
)
def test_what_makes_no_sense_is_refused(change, told):
    given = {"levels": [0.1, 0.9], "quantiles": np.ones((1, 2, 2)), "lead": [[1]], "paths": 2} | change
    with pytest.raises(ValueError, match=told):
        lasting_demand(
            Expected(levels=np.array(given["levels"]), quantiles=given["quantiles"]),
            given["lead"],
            1,
            paths=given["paths"],
        )
