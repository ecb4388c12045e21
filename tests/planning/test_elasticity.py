"""Price response on sales whose elasticity is known, because we made them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.planning.elasticity import AFTER, OTHERS, PRICE, Sales, log_density, log_gamma, study, usual

PLACES, WEEKS = 12, 104


def shop(
    elasticity: list[float], *, weeks: int = WEEKS, seed: int = 0, level: float = 3.0, deal: float = 0.4,
    dip: float = 0.0, cross: float = 0.0, scatter: float = 0.1,
    shock: float = 0.0,
) -> Sales:  # fmt: skip
    """Items of one category in twelve places; prices are cut for all places at once, one week in four. shock: of the
    logarithm, of every place of a week alike."""
    draw = np.random.default_rng(seed)
    items = len(elasticity)
    on_deal = draw.random((items, weeks)) < 0.25
    cut = np.where(on_deal, draw.uniform(0.1, 0.4, (items, weeks)), draw.uniform(0.0, 0.04, (items, weeks)))
    price = np.log(4.0 * (1 - cut))
    others = (price.sum(axis=0) - price) / max(items - 1, 1)
    after = np.zeros((items, weeks))
    after[:, 1:] = on_deal[:, :-1] & ~on_deal[:, 1:]
    week = np.arange(weeks)
    log_mean = (
        level + np.array(elasticity)[:, np.newaxis] * (price - np.log(4.0)) + deal * on_deal + dip * after
        + cross * (others - np.log(4.0)) * (items > 1) + 0.2 * np.sin(2 * np.pi * week / (365.25 / 7))
    )  # fmt: skip
    log_mean = log_mean + shock * draw.standard_normal((items, weeks))
    place = draw.normal(0, 0.5, PLACES)
    mean = np.exp(log_mean[:, np.newaxis, :] + place[:, np.newaxis])
    units = draw.poisson(mean * draw.gamma(1 / scatter, scatter, mean.shape))
    item, at, period = np.indices(mean.shape, np.int32).reshape(3, -1)
    return Sales(
        item=item,
        place=at,
        period=period,
        units=units.reshape(-1).astype(float),
        price=np.exp(price)[item, period],
        category=np.zeros(items, np.int32),
        flags=on_deal[item, period].astype(float)[:, np.newaxis],
        names=("deal",),
    )


def rows(sales: Sales, which: np.ndarray) -> Sales:
    return Sales(
        item=sales.item[which], place=sales.place[which], period=sales.period[which], units=sales.units[which],
        price=sales.price[which], category=sales.category, flags=sales.flags[which], names=sales.names,
    )  # fmt: skip


def test_a_known_elasticity_lies_in_its_interval():
    """Of 60 elasticities, 95 % intervals hold 57 on average, and 50 but for bad luck of one in a thousand."""
    inside = 0
    for seed in range(15):
        truth = [-1.2, -2.0, -2.8, -3.5]
        found = study(shop(truth, seed=seed)).responses
        for item, known in enumerate(truth):
            mean, error = found.elasticity(item)
            inside += abs(mean - known) < 1.96 * error
            assert error < 0.5
    assert inside >= 50


def test_places_of_one_week_are_no_independent_witnesses():
    """What every place of a week has in common is no evidence twelve times over."""
    inside = 0
    for seed in range(15):
        found = study(shop([-1.5, -2.0, -2.5, -3.0], seed=100 + seed, shock=0.4)).responses
        for item, known in enumerate([-1.5, -2.0, -2.5, -3.0]):
            mean, error = found.elasticity(item)
            inside += abs(mean - known) < 1.96 * error
    assert inside >= 50


def test_deal_dip_and_cross_elasticity_are_told_apart():
    found = study(shop([-2.0] * 6, deal=0.5, dip=-0.3, cross=0.8, seed=3)).responses
    at = {name: found.mean[:, n].mean() for n, name in enumerate(found.terms)}
    assert at["deal"] == pytest.approx(0.5, abs=0.1)
    assert at[AFTER] == pytest.approx(-0.3, abs=0.1)
    assert at[OTHERS] == pytest.approx(0.8, abs=0.25)


def test_sales_are_better_foretold_with_prices_than_without():
    sales = shop([-2.0, -3.0], seed=5)
    later = sales.period >= 78
    seen, blind = study(sales, until=78), study(sales, until=78, price_blind=True)
    for item in range(2):
        assert seen.log_likelihood(sales, item, later) > blind.log_likelihood(sales, item, later) + 0.02


def test_where_demand_does_not_answer_to_price_none_is_found():
    found = study(shop([0.0] * 5, deal=0.0, seed=6)).responses
    error = np.sqrt(found.cov[:, 0, 0])
    # What is usual, -2.6, is far from what these sales say.
    assert np.all(np.abs(found.mean[:, 0]) < 3 * error) and np.all(error < 0.5)


def test_a_short_history_gets_the_answer_of_its_category():
    sales = shop([-3.0] * 5, seed=7)
    short = rows(sales, (sales.item != 4) | (sales.period >= WEEKS - 6))
    found = study(short).responses
    own = abs(found.own[4, 0] + 3.0)
    assert found.elasticity(4)[0] == pytest.approx(-3.0, abs=0.5)
    assert abs(found.elasticity(4)[0] + 3.0) < own
    # It knows that it knows less.
    assert found.elasticity(4)[1] > 1.3 * found.elasticity(0)[1]


def test_an_item_without_sales_gets_the_answer_of_its_category_and_one_alone_what_is_usual():
    sales = shop([-1.0] * 4, seed=8)
    fewer = rows(sales, sales.item != 3)
    assert study(fewer).responses.elasticity(3)[0] == pytest.approx(-1.0, abs=0.6)
    apart = Sales(
        item=fewer.item, place=fewer.place, period=fewer.period, units=fewer.units, price=fewer.price,
        category=np.array([0, 0, 0, 1], np.int32), flags=fewer.flags, names=fewer.names,
    )  # fmt: skip
    mean, error = study(apart).responses.elasticity(3)
    assert mean == pytest.approx(-2.62, abs=0.01)
    assert error > 1


def test_later_sales_change_nothing_before_them():
    sales = shop([-2.0, -2.5], seed=9)
    spoiled = shop([-2.0, -2.5], seed=9)
    spoiled.units[spoiled.period >= 60] *= 7
    kept, again = study(sales, until=60).responses, study(spoiled, until=60).responses
    assert np.array_equal(kept.mean, again.mean)
    assert np.array_equal(kept.cov, again.cov)


def test_equal_history_equal_answer_in_any_order():
    sales = shop([-2.0, -1.5], seed=10)
    turn = np.random.default_rng(1).permutation(len(sales.item))
    assert np.allclose(study(rows(sales, turn)).responses.mean, study(sales).responses.mean, atol=1e-6)


@pytest.fixture(scope="module")
def known():
    return study(shop([-1.5, -2.5, -3.0], cross=0.5, seed=11)).responses


@given(st.floats(0, 0.8), st.floats(0, 0.8))
def test_a_larger_discount_never_sells_less(known, one, other):
    low, high = sorted([one, other])
    for item in range(3):
        assert known.uplift(item, low).mu <= known.uplift(item, high).mu + 1e-12


@given(st.lists(st.floats(0, 0.7), min_size=3, max_size=3))
def test_discounts_of_others_take_and_never_give(known, discounts):
    left = known.taken_from(np.array(discounts))
    assert np.all((left > 0) & (left <= 1))
    for item in range(3):
        if not any(d for n, d in enumerate(discounts) if n != item):
            assert left[item] == 1.0


def test_an_uplift_is_log_normal_and_surer_where_more_is_known(known):
    uplift = known.uplift(0, 0.3, ["deal"])
    normal = np.random.default_rng(0).standard_normal(200_000)
    assert uplift.at(normal).mean() == pytest.approx(uplift.mean, rel=0.01)
    nothing = usual(np.zeros(3, np.int32), np.full(3, 1 / 3), ("deal",)).uplift(0, 0.3, ["deal"])
    assert nothing.sigma > 2 * uplift.sigma
    assert known.uplift(0, 0.0).mean == 1.0
    with pytest.raises(ValueError, match="discount"):
        known.uplift(0, 1.0)


@settings(max_examples=50)
@given(st.floats(0.1, 200), st.floats(0.01, 5))
def test_probabilities_of_counts_sum_to_one(mean, dispersion):
    most = int(60 * (mean + np.sqrt(mean + dispersion * mean**2)) + 200)
    counts = np.arange(most, dtype=float)
    density = np.exp(log_density(counts, np.full(most, mean), dispersion))
    assert density.sum() == pytest.approx(1.0, abs=1e-6)
    assert (density * counts).sum() == pytest.approx(mean, rel=1e-4)


@given(st.floats(1e-3, 1e7))
def test_log_gamma_is_that_of_the_standard_library(x):
    assert log_gamma(np.array([x]))[0] == pytest.approx(math.lgamma(x), rel=1e-9, abs=1e-9)


def test_rows_that_do_not_fit_are_told():
    good = shop([-2.0], weeks=8)
    with pytest.raises(ValueError, match="prices > 0"):
        Sales(item=good.item, place=good.place, period=good.period, units=good.units, price=good.price * 0,
              category=good.category, flags=good.flags, names=("deal",))  # fmt: skip
    with pytest.raises(ValueError, match="one length"):
        Sales(item=good.item[1:], place=good.place, period=good.period, units=good.units, price=good.price,
              category=good.category, flags=good.flags, names=("deal",))  # fmt: skip
    assert good.terms == (PRICE, OTHERS, "deal", AFTER)
