"""What is learned once and applied often, of any number of series at a time."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from onhand.demand import run as whole
from onhand.demand.learn import BOOSTED, learn
from onhand.demand.run import chunks, run, sample, together

from .worlds import shop

LEVELS = np.array([0.05, 0.5, 0.95])


@pytest.fixture(scope="module")
def world():
    return shop(series=24, periods=260, horizon=7, effect=2.0)[0].with_sums()


@pytest.fixture(scope="module")
def learned(world):
    return learn(world, LEVELS)


def same(one, other):
    return np.allclose(one.forecast.quantiles, other.forecast.quantiles, rtol=1e-12) and np.allclose(
        one.forecast.mean, other.forecast.mean, rtol=1e-12
    )


def test_series_are_forecast_alike_whether_a_few_at_a_time_or_all_at_once(world, learned, monkeypatch):
    assert any(BOOSTED in choice.shares for choice in learned.choices.values())
    at_once = learned.apply(world)
    monkeypatch.setattr(whole, "CHUNK", 5)
    parts = [learned.apply(part) for part in chunks(world)]
    assert len(parts) == 5
    assert same(together(parts, learned), at_once)
    # What a kind's series do together is seen among all: it would not be so among five.
    alone = learned.apply(replace(world.rows(np.arange(5)), sums=None))
    assert not np.allclose(alone.forecast.mean, at_once.forecast.mean[:5], rtol=1e-12)


def test_parts_in_units_add_up_to_what_is_forecast(world, learned):
    base, brought = learned.parts(world)
    share = np.array([learned.choices[kind].shares.get(BOOSTED, 0.0) for kind in learned.apply(world).segments])
    # Of series that are left to trees alone nothing is missing, of others what other models say.
    whole, made = base + brought.sum(axis=2), learned.apply(world).forecast.mean
    assert np.any(share == 1)
    assert np.allclose(whole[share == 1], made[share == 1], rtol=1e-9)
    assert np.all(whole[share < 1] < made[share < 1])
    promoted = world.known["promoted"][:, world.periods :] > 0
    columns = [n for n, name in enumerate(learned.trees.columns) if name.startswith("promoted")]
    by_promotion = brought[:, :, columns].sum(axis=2)
    assert np.all(by_promotion[promoted & (share > 0)[:, None]] > 0)
    # A promotion trebles demand: most of what trees say beyond the base on such a day is said of it.
    lift = (by_promotion / (whole - by_promotion))[promoted & (share == 1)[:, None]]
    assert 1 < np.median(lift) < 3
    assert np.median(by_promotion[~promoted] / whole[~promoted]) < 0


def test_without_trees_there_are_no_parts(world):
    with pytest.raises(ValueError, match="with trees"):
        learn(world.rows(np.arange(8)), LEVELS, trees=False).parts(world)


def test_what_is_learned_can_be_kept(world, learned):
    assert same(pickle.loads(pickle.dumps(learned)).apply(world), learned.apply(world))


def test_it_serves_series_it_was_not_learned_of(world):
    learned = learn(world.rows(np.arange(16)), LEVELS, trees=False)
    made = learned.apply(world)
    assert made.forecast.mean.shape == (24, 7)
    assert np.all(made.forecast.mean > 0)


def test_another_grid_or_a_longer_horizon_is_refused(world, learned):
    with pytest.raises(ValueError, match="7 periods of D"):
        learned.apply(shop(series=3, periods=60, horizon=8)[0])


def test_of_many_series_some_are_learned_of_the_same_with_the_same_seed(world, monkeypatch):
    monkeypatch.setattr(whole, "LEARNED_OF", 10)
    drawn = sample(world, seed=3)
    assert drawn.count == 10
    assert drawn.ids == sample(world, seed=3).ids != sample(world, seed=4).ids
    assert drawn.sums is world.sums
    monkeypatch.setattr(whole, "CHUNK", 7)
    said = []
    made = run(world, LEVELS, trees=False, progress=lambda what, share: said.append((what, share)))
    assert made.forecast.mean.shape == (24, 7)
    assert said == sorted(said, key=lambda at: at[1])
    assert said[-1] == ("done", 1.0)
