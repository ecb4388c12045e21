"""Orders that are stuck, and orders that were placed twice."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from onhand.incidents.detect.moments import DAY_US, HOUR_US
from onhand.incidents.detect.orders import (
    Orders,
    duplicate_findings,
    duplicates,
    learn_habits,
    learn_times,
    stuck,
    stuck_findings,
)  # fmt: skip
from onhand.incidents.model import Kind

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def stays(seed, n=20_000, nodes=4, slow_node=3, never=0.004):
    """State 0 takes two hours, state 1 a day (log-normal, 0.7); one node takes three times as long; some never leave.
    Each is watched for up to two months."""
    random = np.random.default_rng(seed)
    state, node = random.integers(0, 2, n), random.integers(0, nodes, n)
    hours = np.array([2.0, 24.0])[state] * np.where(node == slow_node, 3, 1) * np.exp(random.normal(0, 0.7, n))
    hours = np.where(random.random(n) < never, np.inf, hours)
    watched = random.uniform(100, 1_500, n)
    return state, node, np.minimum(hours, watched), hours <= watched


@pytest.fixture(scope="module")
def times():
    return learn_times(*stays(1), states=2, nodes=4)


def at(state, node, hours, times):
    return stuck(np.array([state]), np.array([node]), np.array([float(hours)]), times)


def test_times_are_those_of_state_and_node(times):
    for state, node, median in ((0, 0, 2), (0, 3, 6), (1, 0, 24), (1, 3, 72)):
        seen = at(state, node, 0, times)
        assert seen.median_hours[0] == pytest.approx(median, rel=0.25)
        assert seen.most_hours[0] == pytest.approx(median * np.exp(2.326 * 0.7), rel=0.35)
        assert at(state, node, median, times).staying[0] == pytest.approx(0.5, abs=0.05)


def test_those_still_there_count_too():
    """Half are watched for an hour only: who leaves them out, or takes them for gone, is wrong."""
    random = np.random.default_rng(2)
    hours, watched = np.exp(random.normal(1, 0.5, 4_000)), np.where(random.random(4_000) < 0.5, 1.0, 50.0)
    zero = np.zeros(4_000, np.int64)
    learned = learn_times(zero, zero, np.minimum(hours, watched), hours <= watched, states=1, nodes=1)
    assert at(0, 0, 0, learned).median_hours[0] == pytest.approx(np.e, rel=0.2)


def test_a_node_that_was_hardly_seen_is_taken_for_a_usual_one():
    state, node, hours, is_over = stays(3)
    few = (node != 2) | (np.cumsum(node == 2) <= 3)
    learned = learn_times(state[few], node[few], hours[few], is_over[few], states=2, nodes=5)
    assert at(0, 2, 0, learned).median_hours == pytest.approx(at(0, 4, 0, learned).median_hours, rel=0.2)


def test_the_share_that_never_leaves_is_seen_where_it_is(times):
    assert times.is_seen.all()
    assert times.stuck_share == pytest.approx([0.004, 0.004], abs=0.0015)
    state, node, hours, is_over = stays(4, never=0.0)
    clean = learn_times(state, node, hours, is_over, states=2, nodes=4)
    assert clean.stuck_share[0] <= 0.002


def test_who_is_told_of_is_stuck_as_often_as_it_says(times):
    random = np.random.default_rng(5)
    n = 400_000
    hours = 24 * np.exp(random.normal(0, 0.7, n))
    never = random.random(n) < 0.004
    age = random.uniform(0, 400, n)
    here = never | (hours > age)
    seen = stuck(np.ones(n, np.int64)[here], np.zeros(n, np.int64)[here], age[here], times)
    for low, high in ((0.1, 0.5), (0.5, 0.9), (0.9, 1.01)):
        of = (seen.confidence >= low) & (seen.confidence < high)
        assert of.sum() > 50
        assert never[here][of].mean() == pytest.approx(seen.confidence[of].mean(), abs=0.15)


def test_longer_is_surer_beyond_all_that_was_seen(times):
    seen = stuck(np.zeros(60, np.int64), np.zeros(60, np.int64), np.geomspace(0.1, 20_000, 60), times)
    assert (np.diff(seen.confidence) >= -1e-12).all()
    assert seen.confidence[0] < 0.01 and seen.confidence[-1] > 0.9


def test_a_stuck_order_in_words(times):
    hours = np.array([1.0, 300.0])
    seen = stuck(np.array([0, 0]), np.array([0, 0]), hours, times)
    [told] = stuck_findings(seen, hours, ["1", "2"], ["packed"] * 2, ["berlin"] * 2, np.array([10.0, 99.0]), NOW)
    assert (told.kind, told.subject.key, told.loss_minor) == (Kind.ORDER_STUCK, ("2",), 99)
    assert (NOW - told.since).total_seconds() == 300 * 3600
    assert told.sentence.startswith("Order 2 has been packed at berlin for 300 hours")


def placed(seed=1, n=20_000, days=90):
    """8,000 customers; one in seven baskets is one of twenty that everybody buys."""
    random = np.random.default_rng(seed)
    customer = random.integers(0, 8_000, n)
    return random, Orders(
        customer=customer, address=customer * 10 + (random.random(n) < 0.08),
        basket=np.where(random.random(n) < 0.15, random.integers(0, 20, n), random.integers(20, 90_000, n)),
        placed_at=np.sort(random.integers(0, days * DAY_US, n)),
    )  # fmt: skip


def added(orders: Orders, of, gap_us, **changes) -> Orders:
    """The same orders, and some of them once more."""
    again = {n: getattr(orders, n)[of] for n in ("customer", "address", "basket")} | changes
    return Orders(
        **{n: np.concatenate([getattr(orders, n), v]) for n, v in again.items()},
        placed_at=np.concatenate([orders.placed_at, orders.placed_at[of] + gap_us]),
    )


def test_orders_sent_twice_are_found_and_others_are_hardly_ever():
    random, orders = placed()
    habits = learn_habits(orders)
    of = random.choice(len(orders), 60, replace=False)
    pairs = duplicates(added(orders, of, (random.exponential(0.2, 60) * HOUR_US).astype(np.int64)), habits)
    true = pairs.later >= len(orders)
    assert true.sum() >= 58
    assert (pairs.earlier[true] == of[pairs.later[true] - len(orders)]).mean() > 0.95
    assert (~true).sum() <= 10
    assert true.mean() >= pairs.confidence.mean() - 0.1


@pytest.mark.parametrize("changes, hours, is_told", [
    ({}, 0.1, True), ({}, 30.0, True), ({"basket": np.array([95_000])}, 0.1, False),
    ({"basket": np.array([95_000])}, 3.0, False), ({"address": np.array([7])}, 0.1, True),
    ({"customer": np.array([999_999])}, 0.1, True),
    ({"customer": np.array([999_999]), "address": np.array([7])}, 0.1, False),
    ({"basket": np.array([95_000]), "address": np.array([7])}, 0.1, False),
])  # fmt: skip
def test_what_makes_an_order_the_same(changes, hours, is_told):
    """Of a basket that nobody else has; what is different is what `changes` says."""
    _, orders = placed()
    again = added(orders, np.array([19_000]), int(hours * HOUR_US), **changes)
    assert (len(orders) in duplicates(again, learn_habits(orders)).later) == is_told


def test_a_reorder_after_weeks_is_none_and_a_basket_that_all_buy_says_less():
    _, orders = placed()
    habits = learn_habits(orders)
    sure = duplicates(added(orders, np.array([19_000]), 12 * HOUR_US), habits, confidence_min=0.0)
    usual = replace(orders, basket=np.where(np.arange(20_000) % 3 == 0, orders.basket[19_000], orders.basket))
    less = duplicates(added(usual, np.array([19_000]), 12 * HOUR_US), habits, confidence_min=0.0)
    assert less.confidence[less.later == 20_000][0] < sure.confidence[sure.later == 20_000][0]
    late = duplicates(added(orders, np.array([9_000]), 20 * DAY_US), habits, confidence_min=0.0)
    assert 20_000 not in late.later


def test_later_orders_do_not_change_what_is_said_of_earlier_ones():
    _, orders = placed()
    habits = learn_habits(orders)
    whole = added(orders, np.arange(1_000, 19_000, 300), 5 * 60_000_000)
    until = int(np.quantile(whole.placed_at, 0.6))
    known = whole.placed_at <= until
    some = Orders(**{n: getattr(whole, n)[known] for n in ("customer", "address", "basket", "placed_at")})
    all_pairs, first = duplicates(whole, habits), duplicates(some, habits)
    was = known[all_pairs.later]
    row = np.flatnonzero(known)
    assert len(first.later) > 20
    assert np.array_equal(row[first.later], all_pairs.later[was])
    assert np.array_equal(first.confidence, all_pairs.confidence[was])


def test_a_double_order_in_words():
    _, orders = placed()
    again = added(orders, np.array([19_000]), 3 * 60_000_000)
    pairs = duplicates(again, learn_habits(orders), confidence_min=0.9)
    told = duplicate_findings(pairs, again, [str(n) for n in range(20_001)], np.full(20_001, 450.0))
    [mine] = [f for f in told if f.subject.key == ("20000",)]
    assert "3 minutes after 19000, with the same customer, address, basket" in mine.sentence
    assert mine.loss_minor == 450
