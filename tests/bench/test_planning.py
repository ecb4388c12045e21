"""The worlds of the planning suite are the same for the same seed, short of room, and told against a bound."""

import numpy as np

from onhand.bench import planning


def test_forecasts_rise_with_the_level_and_have_the_mean_of_the_rate():
    rate = np.array([0.05, 1.0, 30.0])
    expected = planning.forecast(rate, 14)
    assert expected.quantiles.shape == (3, 14, 5)
    assert (np.diff(expected.quantiles, axis=2) >= 0).all()
    assert (np.diff(expected.quantiles[:, 0, 2]) >= 0).all()
    # Saturdays ask for more.
    assert expected.quantiles[2, 5, 2] > 1.3 * expected.quantiles[2, 4, 2]


def test_purchases_stay_within_the_budget_and_near_the_bound():
    _, found = planning.bought(400, seed=2)
    _, again = planning.bought(400, seed=2)
    assert np.array_equal(found.quantity, again.quantity)
    assert found.gain_total <= found.gain_bound
    assert found.gain_total > 0.98 * found.gain_bound


def test_transfers_are_held_by_lanes_and_docks():
    free = planning.world(120, 6, seed=3)
    world = planning.short_of(free)
    _, found = planning.moved(world)
    sent = np.zeros((6, 6))
    np.add.at(sent, (found.source, found.target), world.stocked.size[found.item] * found.units)
    assert (sent <= world.lanes.room + 1e-6).all()
    assert (sent.sum(axis=1) <= world.lanes.dock_out + 1e-6).all()
    assert (sent.sum(axis=0) <= world.lanes.dock_in + 1e-6).all()
    unlimited = planning.moved(free)[1].solved
    assert 0 < found.solved.gain < 0.97 * unlimited.gain
    assert found.solved.gain <= found.solved.bound
