"""Transit times learned of deliveries: right where there are many, cautious where there are few, aware of open ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.fulfilment.delivery.transit import Travelled, learn_transit


def trips(shifts, per_group, *, sigma=0.3, days_back=60.0, seed=0, p50=2.0, p95=4.0, as_of=None):
    """One service of a group for each shift of log days, shipped evenly over the days back. as_of: days ago at which
    it is asked, of what was known then."""
    chance = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(shifts)), per_group)
    room = chance.uniform(0, days_back, len(group))
    days = p50 * np.exp(np.asarray(shifts)[group] + sigma * chance.standard_normal(len(group)))
    if as_of is not None:
        room, days, group = room[room > as_of] - as_of, days[room > as_of], group[room > as_of]
    return Travelled(
        days=np.where(days > room, np.nan, days), room=room, p50=np.full(len(room), p50), p95=np.full(len(room), p95),
        groups=[np.zeros(len(room), np.int64), group],
    )  # fmt: skip


def test_what_many_deliveries_say_is_found_again():
    of_service, of_way = learn_transit(trips([0.0, 0.4, -0.3], [2_000] * 3))
    np.testing.assert_allclose(of_way.p50, 2.0 * np.exp([0.0, 0.4, -0.3]), rtol=0.05)
    np.testing.assert_allclose(of_way.p95, of_way.p50 * np.exp(1.645 * 0.3), rtol=0.1)
    assert of_way.p50_declared == pytest.approx([2.0] * 3) and of_way.p95_declared == pytest.approx([4.0] * 3)
    # The service covers them all, so it scatters more.
    assert of_service.p95[0] / of_service.p50[0] > 1.1 * (of_way.p95 / of_way.p50).max()


def test_groups_that_differ_by_chance_only_are_drawn_to_their_service():
    of_service, of_way = learn_transit(trips([0.2] * 40, [30] * 40))
    off = np.abs(of_way.shift - of_service.shift[0])
    raw = 0.3 * np.sqrt(np.pi / 2 / 30)
    assert off.mean() < 0.4 * raw, "less than half of what chance makes of them"


def test_groups_that_really_differ_are_not():
    shifts = np.linspace(-0.6, 0.6, 40)
    _, of_way = learn_transit(trips(shifts, [60] * 40))
    assert np.corrcoef(of_way.shift, shifts)[0, 1] > 0.97
    assert np.abs(of_way.shift - shifts).mean() < 0.08


def test_too_little_is_not_learned_from():
    of_service, _ = learn_transit(trips([0.5], [30]))
    assert np.isnan(of_service.shift[0])
    # A thousand deliveries of three days are one event, not a rule: as when a clock runs fast.
    of_service, _ = learn_transit(trips([-3.0], [1_000], days_back=3.0))
    assert np.isnan(of_service.shift[0])
    of_service, of_way = learn_transit(trips([0.5, 0.5], [400, 8]))
    assert np.isfinite(of_service.shift[0]) and list(np.isfinite(of_way.shift)) == [True, False]
    assert list(of_way.delivered + of_way.on_their_way) == [400, 8]


def test_those_on_their_way_count_before_they_come():
    """A slow-down of which hardly any delivery has come yet is seen in what is open."""
    told = trips([0.0], [3_000], seed=2)
    slow = np.isnan(told.days) | (told.room < 8)
    days = np.where(slow, np.nan, told.days)
    late = Travelled(days=days, room=told.room, p50=told.p50, p95=told.p95, groups=told.groups)
    seen_only = np.flatnonzero(~slow)
    blind = Travelled(
        days=days[seen_only], room=told.room[seen_only], p50=told.p50[seen_only], p95=told.p95[seen_only],
        groups=[g[seen_only] for g in told.groups],
    )  # fmt: skip
    (whole, _), (without, _) = learn_transit(late), learn_transit(blind)
    assert whole.p95[0] > 1.5 * without.p95[0] and whole.p50[0] > 1.05 * without.p50[0]


def test_a_change_is_followed():
    before, after = trips([0.0], [1_500], days_back=120.0), trips([0.5], [600], days_back=40.0, seed=1)
    old = before.room > 40
    both = Travelled(
        days=np.r_[before.days[old], after.days], room=np.r_[before.room[old], after.room],
        p50=np.r_[before.p50[old], after.p50], p95=np.r_[before.p95[old], after.p95],
        groups=[np.r_[a[old], b] for a, b in zip(before.groups, after.groups, strict=True)],
    )  # fmt: skip
    of_service, _ = learn_transit(both)
    assert of_service.shift[0] > 0.25


@given(st.integers(0, 10_000), st.integers(1, 6), st.floats(-1.0, 1.0), st.floats(0.05, 0.8))
def test_quantiles_are_ordered_and_finite_whatever_was_shipped(seed, groups, shift, sigma):
    chance = np.random.default_rng(seed)
    made = trips(shift + chance.normal(0, 0.2, groups), chance.integers(1, 300, groups), sigma=sigma, seed=seed)
    for level in learn_transit(made):
        known = np.isfinite(level.shift)
        assert (level.p95[known] > level.p50[known]).all() and (level.p50[known] > 0).all()
        assert np.isfinite(level.p95[known]).all()


@given(st.integers(0, 10_000))
def test_the_order_of_shipments_does_not_matter(seed):
    made = trips([0.0, 0.3], [100, 100], seed=seed % 7)
    order = np.random.default_rng(seed).permutation(len(made.days))
    mixed = Travelled(
        days=made.days[order], room=made.room[order], p50=made.p50[order], p95=made.p95[order],
        groups=[g[order] for g in made.groups],
    )  # fmt: skip
    for a, b in zip(learn_transit(made), learn_transit(mixed), strict=True):
        np.testing.assert_allclose(a.p95, b.p95, rtol=1e-9)
