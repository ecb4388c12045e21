"""How long deliveries take: laws that are known are found again, and slow shipments are not forgotten."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.fulfilment.delivery import features
from onhand.fulfilment.delivery.calibrate import AS_FORETOLD, learn_errors, learn_ranks, recent_weights
from onhand.fulfilment.delivery.censoring import distribution, seen_weights
from onhand.fulfilment.delivery.late import learn_late
from onhand.fulfilment.delivery.learn import DeliveryModel
from onhand.fulfilment.delivery.model import Shipments

LEVELS = np.array([0.05, 0.5, 0.9])
NOW = 20_000.0


def fates(count=4_000, seed=0):
    """(days, room): log-normal days around 10 of shipments of the last 60 days, of which the slow are on their way."""
    random = np.random.default_rng(seed)
    return np.exp(random.normal(np.log(10), 0.5, count)), random.uniform(0, 60, count)


@pytest.mark.parametrize("told", [True, False], ids=["those on their way are told", "delivered ones only"])
def test_a_distribution_is_not_that_of_the_quick_ones(told):
    days, room = fates()
    seen = days <= room
    rows = np.ones(len(days), bool) if told else seen
    values, shares = distribution(days[rows], room[rows], seen[rows], np.ones(rows.sum()))
    quantiles = np.interp([0.5, 0.9], shares, values)
    truth = np.exp(np.log(10) + 0.5 * np.array([0.0, 1.2816]))
    assert np.abs(quantiles / truth - 1).max() < 0.06
    naive = np.quantile(days[seen], 0.9)
    assert naive < 0.94 * truth[1]


@pytest.mark.parametrize("told", [True, False])
def test_weights_of_those_seen_restore_the_mean(told):
    days, room = fates(seed=1)
    known = np.where(days <= room, days, np.nan)
    rows = np.ones(len(days), bool) if told else np.isfinite(known)
    weight = seen_weights(known[rows], room[rows], np.ones(rows.sum()))
    mean = np.average(np.nan_to_num(known[rows]), weights=weight)
    assert abs(mean / days.mean() - 1) < 0.05
    assert np.nanmean(known) < 0.95 * days.mean()


@given(st.lists(st.integers(-30, 30), min_size=40, max_size=60), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_shares_and_quantiles_are_each_others_inverse_and_rise(errors, seed):
    values = np.array(errors) / 10
    room = np.random.default_rng(seed).uniform(1, 300, len(values))
    found = learn_errors(values, np.full(len(values), 9.0), np.ones(len(values), bool), room)
    at = np.linspace(0.01, 0.999, 60)
    quantiles = found.quantile(at)
    assert (np.diff(quantiles) >= 0).all()
    assert (np.diff(found.share(np.linspace(-4, 8, 50))) >= 0).all()
    assert found.share(np.array([50.0])) < 1
    # Between values of equal share there is more than one inverse, so it is compared on the side of quantiles.
    beyond = np.array([0.985, 0.995])
    assert found.share(found.quantile(beyond)) == pytest.approx(beyond)


def test_recent_shipments_count_more_where_there_are_enough_of_them():
    many, few = recent_weights(np.linspace(0, 400, 20_000)), recent_weights(np.linspace(0, 400, 200))
    assert many[np.searchsorted(np.linspace(0, 400, 20_000), 100)] < 0.05
    assert few.min() > 0.5


def test_chances_are_put_right_only_where_it_pays():
    random = np.random.default_rng(0)
    truth = random.choice([0.02, 0.3], 3_000)
    late = (random.random(3_000) < truth).astype(float)
    nothing, ones = np.full(3_000, 0.6), np.ones(3_000)
    odds = learn_late(nothing, truth, late, ones)
    assert np.abs(odds.at(nothing, truth) - truth).mean() < 0.03
    kept = learn_late(truth, nothing, late, ones)
    assert kept.at(truth, nothing) == pytest.approx(truth)
    none = np.zeros(0)
    assert learn_late(none, none, none, none).at(truth, nothing) == pytest.approx(truth)


def test_means_of_groups_leave_out_a_rows_own_fold():
    shipments = world(60)[0]
    groups, folds = features.groups_of(shipments), np.arange(60) % features.FOLDS
    target = np.zeros(60)
    before, _ = features.group_means(groups, target, np.ones(60), folds)
    target[folds == 2] = 5.0
    after, _ = features.group_means(groups, target, np.ones(60), folds)
    assert (after[folds == 2] == before[folds == 2]).all()
    assert (after[folds != 2] != before[folds != 2]).any()


def test_distance_along_the_great_circle():
    berlin, paris = np.array([[52.52, 13.405]]), np.array([[48.8566, 2.3522]])
    assert features.distance_km(berlin, paris)[0] == pytest.approx(878, abs=2)


def world(count, seed=0, *, shift=0.0, late_from=1e9):
    """(shipments of two years, their days): days grow with the distance, "slow" carriers take half as long again."""
    random = np.random.default_rng(seed)
    start = np.sort(random.uniform(NOW - 500, NOW, count))
    origin = np.tile([52.5, 13.4], (count, 1))
    destination = np.column_stack([random.uniform(47, 55, count), random.uniform(6, 15, count)])
    carrier = random.choice(["quick", "slow"], count)
    usual = (2 + features.distance_km(origin, destination) / 100) * np.where(carrier == "slow", 1.5, 1.0)
    usual = usual * np.where(start > late_from, np.exp(shift), 1.0)
    days = usual * np.exp(random.normal(0, 0.25, count))
    shipments = Shipments(
        start=start, promised=np.full(count, 8.0), days=days, origin=origin, destination=destination,
        handed_over=days * random.uniform(0.1, 0.3, count), kinds={"carrier": carrier},
    )  # fmt: skip
    return shipments, usual


def known_by(now, shipments, *, open_too=True):
    """As a merchant knows it."""
    came = shipments.start + shipments.days <= now
    days = np.where(came, shipments.days, np.nan)
    rows = (shipments.start <= now) & (came | open_too)
    fields = {name: getattr(shipments, name) for name in Shipments.__dataclass_fields__}
    return Shipments(**{**fields, "days": days}).rows(rows)


@pytest.fixture(scope="module", params=[True, False], ids=["trees", "lanes"])
def learned(request):
    if request.param:
        pytest.importorskip("lightgbm")
    shipments, usual = world(1_500)
    origin = NOW - 100
    model = DeliveryModel(known_by(origin, shipments), origin, trees=request.param)
    ahead = shipments.start > origin
    return model, shipments.rows(ahead), usual[ahead]


def test_medians_are_near_the_law_and_quantiles_cover_as_they_say(learned):
    model, ahead, usual = learned
    made = model.predict(without_hand_over(ahead), LEVELS, np.zeros(len(ahead)))
    error = np.abs(made.quantiles[:, 1] / usual - 1)
    assert error.mean() < 0.15
    covered = (ahead.days[:, None] <= made.quantiles).mean(axis=0)
    assert np.abs(covered - LEVELS).max() < 0.06
    late = ahead.days > ahead.promised
    assert ((made.late - late) ** 2).mean() < 0.7 * late.mean() * (1 - late.mean())


def test_days_gone_by_without_a_delivery_are_believed(learned):
    model, ahead, _ = learned
    ahead = without_hand_over(ahead)
    gone = np.full(len(ahead), 6.0)
    still = ahead.days > gone
    made = model.predict(ahead, LEVELS, gone)
    assert (made.quantiles >= 6.0).all()
    covered = (ahead.days[still, None] <= made.quantiles[still]).mean(axis=0)
    assert np.abs(covered - LEVELS).max() < 0.12
    fresh = model.predict(ahead, LEVELS, np.zeros(len(ahead)))
    assert (made.late >= fresh.late - 1e-9).all()
    due = model.predict(ahead, LEVELS, np.full(len(ahead), 8.0))
    assert (due.late == 1.0).all()


def test_a_hand_over_narrows_it_down(learned):
    model, ahead, _ = learned
    before = model.predict(without_hand_over(ahead), LEVELS, np.zeros(len(ahead)))
    after = model.predict(ahead, LEVELS, ahead.handed_over)
    assert (after.quantiles >= ahead.handed_over[:, None]).all()

    def lost(made):
        return np.abs(ahead.days - made.quantiles[:, 1]).mean()

    assert lost(after) < 0.95 * lost(before)


@pytest.mark.parametrize("open_too", [True, False])
def test_a_slowdown_is_seen_before_the_slow_ones_are_there(open_too):
    """Deliveries take 1.6 times as long since 25 days; at the origin most of those are still on their way."""
    shipments, _ = world(3_000, seed=3, shift=0.47, late_from=NOW - 55)
    origin = NOW - 30
    model = DeliveryModel(known_by(origin, shipments, open_too=open_too), origin, trees=False)
    ahead = without_hand_over(shipments.rows(shipments.start > origin))
    made = model.predict(ahead, LEVELS, np.zeros(len(ahead)))
    steady, _ = world(3_000, seed=3)
    unmoved = DeliveryModel(known_by(origin, steady), origin, trees=False)
    assert np.median(made.quantiles[:, 1] / unmoved.predict(ahead, LEVELS, np.zeros(len(ahead))).quantiles[:, 1]) > 1.1


def test_without_a_promise_there_is_no_chance_to_be_late():
    shipments, _ = world(200)
    fields = {name: getattr(shipments, name) for name in Shipments.__dataclass_fields__}
    bare = Shipments(**{**fields, "promised": np.full(200, np.nan)})
    made = DeliveryModel(bare, NOW + 99, trees=False).predict(bare, LEVELS, np.zeros(200))
    assert np.isnan(made.late).all()
    assert np.isfinite(made.quantiles).all()


def without_hand_over(shipments):
    fields = {name: getattr(shipments, name) for name in Shipments.__dataclass_fields__}
    return Shipments(**{**fields, "handed_over": np.full(len(shipments), np.nan)})


def of_two_legs(count, sellers, places, seed=0):
    """(shipments, usual days): sellers hand over within 1 to 12 days, and then it takes 2 to 16, by where it goes."""
    random = np.random.default_rng(seed)
    seller, place = random.integers(0, sellers, count), random.integers(0, places, count)
    first, second = np.geomspace(1, 12, sellers)[seller], np.geomspace(2, 16, places)[place]
    handed_over, after = first * np.exp(random.normal(0, 0.3, count)), second * np.exp(random.normal(0, 0.2, count))
    nowhere = np.full((count, 2), np.nan)
    made = Shipments(
        start=np.sort(random.uniform(NOW - 500, NOW, count)), promised=np.full(count, 20.0), days=handed_over + after,
        origin=nowhere, destination=nowhere, handed_over=handed_over,
        kinds={"seller": seller.astype(str), "place": place.astype(str)},
    )  # fmt: skip
    return made, first + second


@pytest.mark.parametrize(("trees", "sellers", "places"), [(True, 30, 20), (False, 8, 6)], ids=["trees", "lanes"])
def test_where_both_legs_are_known_their_sum_foretells_better_than_all_days_at_once(trees, sellers, places):
    if trees:
        pytest.importorskip("lightgbm")
    shipments, usual = of_two_legs(1_600, sellers, places)
    origin = NOW - 150
    ahead = without_hand_over(shipments.rows(shipments.start > origin))

    def off(history):
        made = DeliveryModel(known_by(origin, history), origin, trees=trees).predict(
            ahead, LEVELS, np.zeros(len(ahead))
        )
        return np.abs(np.log(made.quantiles[:, 1] / usual[shipments.start > origin])).mean()

    assert off(shipments) < 0.8 * off(without_hand_over(shipments))


def test_legs_that_are_known_of_some_only_are_left_aside():
    shipments, _ = of_two_legs(800, 8, 6)
    some = np.where(np.arange(800) % 5 == 0, np.nan, shipments.handed_over)
    ahead = without_hand_over(shipments.rows(shipments.start > NOW - 100))
    made = [
        DeliveryModel(known_by(NOW - 100, replace(shipments, handed_over=of)), NOW - 100, trees=False)
        .predict(ahead, LEVELS, np.zeros(len(ahead))).quantiles
        for of in (some, np.full(800, np.nan), shipments.handed_over)
    ]  # fmt: skip
    assert (made[0] == made[1]).all()
    assert (made[0] != made[2]).any()


def test_outer_quantiles_are_moved_to_where_they_would_have_been_right():
    chance = np.random.default_rng(5)
    n = 20_000
    # What came scatters by half as much again as was foretold.
    came = chance.normal(0, 1.5, n)
    rank = np.array([NormalDist().cdf(x) for x in came])
    seen, weight = np.ones(n, bool), np.ones(n)
    found = learn_ranks(rank, np.ones(n), seen, weight)
    at = np.array([0.05, 0.1, 0.9, 0.95])
    np.testing.assert_allclose([(rank <= r).mean() for r in found.rank(at)], at, atol=0.01)
    assert found.rank(np.array([0.5]))[0] == pytest.approx(0.5), "the median stays"
    assert (np.diff(found.rank(np.linspace(0, 1, 1_001))) >= 0).all()
    # Some are still on their way: what is known of them is that their rank will be higher.
    bound = chance.uniform(0, 1.2, n)
    half = learn_ranks(rank, np.minimum(bound, 1.0), rank <= bound, weight)
    np.testing.assert_allclose(half.rank(at), found.rank(at), atol=0.02)


def test_few_ranks_move_little():
    def moved(count):
        ranks = learn_ranks(np.full(count, 0.99), np.ones(count), np.ones(count, bool), np.ones(count))
        return ranks.rank(np.array([0.9]))[0]

    assert moved(5) < 0.95 and moved(100) > 0.98
    assert AS_FORETOLD.rank(np.array([0.3]))[0] == 0.3
