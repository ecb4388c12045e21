"""Forecasts from past origins: young series are forecast as they would have been, and nothing later is in them."""

from dataclasses import replace

import numpy as np
import pytest

from onhand.demand import cold_start
from onhand.demand.backtest import past_panels, report, try_origin
from onhand.demand.panel import Panel, trim

from .worlds import days, weekly_shape

LEVELS = np.array([0.1, 0.5, 0.9])
HORIZON, PERIODS = 7, 120


def world(*, later=1.0):
    """(panel, what came after it) of four items at four nodes; the last item is launched nine days before the earlier
    of two origins, its nodes selling 3 to 24 a day as those of others do. later: times what comes from that origin on
    is larger"""
    random = np.random.default_rng(5)
    total = PERIODS + HORIZON
    level = np.tile(3.0 * 2.0 ** np.arange(4), 4)
    y = random.poisson(level[:, None] * weekly_shape()[np.arange(total) % 7]).astype(float)
    earlier = PERIODS - HORIZON
    y[12:, : earlier - 9] = 0
    y[:, earlier:] = np.where(y[:, earlier:] > 0, y[:, earlier:] * later, 0)
    panel = Panel(
        ids=[f"i{n // 4}/n{n % 4}" for n in range(16)], freq="D", dates=days(total), y=trim(y[:, :PERIODS]),
        static={"item": np.arange(16) // 4, "node": np.arange(16) % 4},
    )  # fmt: skip
    return panel, y[:, PERIODS:]


def tried(panel, later, seen=2):
    past = [*past_panels(panel, later, 2)][:seen]
    return [try_origin(at, came, LEVELS, trees=False) for at, came in past]


def test_young_series_are_forecast_from_their_siblings_and_counted(monkeypatch):
    among = tried(*world())
    found = report(among, LEVELS, [0.1, 0.2])
    assert [origin["segments"][0]["young"] for origin in found["origins"]] == [4, 4]
    assert (found["segments"][0]["series"], found["segments"][0]["young"]) == (16, 4)
    assert sum(row["young"] for row in found["origins"][0]["segments"][1:]) == 4
    monkeypatch.setattr(cold_start, "filled", lambda panel, made: made)
    alone = tried(*world())
    assert report(alone, LEVELS, [0.1, 0.2])["segments"][0]["young"] == 0
    loss = [[one.parts["all"].loss[12:].mean() for one in of] for of in (among, alone)]
    assert loss[0][0] < loss[1][0], "nine days tell less than siblings and nine days"
    mature = [[one.parts["all"].loss[:12].tolist() for one in of] for of in (among, alone)]
    assert mature[0] == mature[1]


@pytest.mark.parametrize("later", [0.2, 20.0])
def test_what_came_later_moves_no_forecast(later):
    (usual,), (other,) = tried(*world(), seen=1), tried(*world(later=later), seen=1)
    assert usual.parts["all"].young == other.parts["all"].young == 4
    assert not np.allclose(usual.parts["all"].made.came, other.parts["all"].made.came)
    for name, part in usual.parts.items():
        assert np.array_equal(part.made.forecast, other.parts[name].made.forecast), name


def test_a_panel_knows_nothing_of_later_periods():
    panel, later = world()
    at, _ = next(past_panels(panel, later, 2))
    changed = panel.y.copy()
    changed[:, PERIODS - HORIZON :] *= 9
    other, _ = next(past_panels(replace(panel, y=changed), later * 9, 2))
    assert np.array_equal(at.y, other.y, equal_nan=True)
