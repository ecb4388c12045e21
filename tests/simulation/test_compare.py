"""Differences between replays: exactly 0 where nothing differs, found where something does, as sure as they say."""

from dataclasses import replace

import numpy as np
import pytest
from tests.simulation.histories import history

from onhand.simulation import chance
from onhand.simulation.compare import METRICS, Comparison, block_means, compare, difference, t_quantile
from onhand.simulation.history import History
from onhand.simulation.replay import Settings, replay
from onhand.simulation.rules import PlainRules
from onhand.sourcing.policy import STANDARD, Policy

SETTINGS = Settings(seed=3)
DEARER = replace(
    STANDARD,
    version="dearer@1",
    objectives={name: replace(o, day_minor=o.day_minor + 300) for name, o in STANDARD.objectives.items()},
)


def comparison(past: History, policy: Policy) -> Comparison:
    outcomes = [replay(past, PlainRules(p, past), SETTINGS) for p in (STANDARD, policy)]
    return compare(past, *outcomes)


def test_a_policy_differs_from_itself_by_exactly_nothing() -> None:
    same = comparison(history(400, moves=100, rejection=0.05), replace(STANDARD, version="copy@1"))
    for d in same.differences:
        assert (d.difference, d.low, d.high) == (0, 0, 0), d.metric.key
        assert d.verdict == "same"
    assert {d.metric.key for d in same.differences} == {m.key for m in METRICS}


def test_a_policy_that_pays_for_time_is_found_dearer_and_quicker() -> None:
    found = comparison(history(1_500, stock=300), DEARER)
    paid, days = found.of("paid_minor"), found.of("days")
    assert paid.low > 0
    assert paid.verdict == "worse"
    assert days.high < 0
    assert days.verdict == "better"
    assert found.of("term_shipping").difference == pytest.approx(
        paid.difference - found.of("term_handling").difference - found.of("term_tax_duty").difference
    )
    assert found.of("filled").difference == 0
    assert paid.candidate - paid.baseline == pytest.approx(paid.difference)


def test_what_serving_others_costs_is_told_apart_from_what_serving_dearer_costs() -> None:
    past = history(400, stock=2)
    one = replace(STANDARD, version="one@1", fulfilments_max=1)
    found = comparison(past, one)
    # Scarce units that no order may gather from several nodes go to other orders.
    assert found.of("filled").difference != 0
    assert found.of("split").candidate == 0
    alike, all_of_them = found.of("paid_alike_minor"), found.of("paid_minor")
    both = (found.baseline.served == found.baseline.asked) & (found.candidate.served == found.candidate.asked)
    assert alike.orders == both.sum() < all_of_them.orders == len(past)
    assert alike.high < 0 < abs(alike.difference - all_of_them.difference)


def test_replays_with_other_settings_are_not_compared() -> None:
    past = history(50)
    outcomes = [replay(past, PlainRules(STANDARD, past), Settings(seed=seed)) for seed in (1, 2)]
    with pytest.raises(ValueError, match="same settings"):
        compare(past, *outcomes)


@pytest.mark.parametrize(("memory", "least"), [(0.0, 0.92), (0.6, 0.90)])
def test_intervals_cover_the_truth_as_often_as_they_say(memory: float, least: float) -> None:
    """Of 400 histories, differences of which each remembers the one before: AR(1), true mean 2."""
    draw = np.random.default_rng(5)
    noise = draw.normal(0, 1, (400, 3_000))
    series = np.empty_like(noise)
    series[:, 0] = noise[:, 0] / np.sqrt(1 - memory**2)
    for n in range(1, noise.shape[1]):
        series[:, n] = memory * series[:, n - 1] + noise[:, n]
    covered = naive = 0
    for row in series:
        d = difference(METRICS[0], np.zeros(len(row)), row + 2)
        covered += d.low <= 2 <= d.high
        naive += abs(row.mean()) <= 1.96 * row.std() / np.sqrt(len(row))
    assert least <= covered / 400 <= 0.98
    if memory:
        assert naive / 400 < 0.8, "or single orders would do"


def test_blocks_that_tell_of_each_other_are_reported() -> None:
    draw = np.random.default_rng(6)
    walk = np.cumsum(draw.normal(0, 1, 3_000))
    assert difference(METRICS[0], np.zeros(3_000), walk).is_suspicious
    assert not difference(METRICS[0], np.zeros(3_000), draw.normal(0, 1, 3_000)).is_suspicious


def test_orders_without_a_value_are_left_out_of_both_means() -> None:
    ours, theirs = np.array([1.0, np.nan, 3.0, 4.0]), np.array([2.0, 5.0, np.nan, 6.0])
    d = difference(METRICS[0], ours, theirs)
    assert (d.orders, d.baseline, d.candidate, d.difference) == (2, 2.5, 4.0, 1.5)
    assert not d.is_certain, "one block knows nothing of how sure it is"
    nobody = difference(METRICS[0], np.full(3, np.nan), np.ones(3))
    assert (nobody.orders, nobody.verdict) == (0, "same")


def test_block_means_average_to_the_mean() -> None:
    values = np.arange(300.0)
    assert len(block_means(values)) == 30
    assert block_means(values).mean() == pytest.approx(values.mean())
    assert block_means(np.arange(12.0)).tolist() == [2.5, 8.5]


def test_quantiles_of_t_are_those_of_the_tables() -> None:
    table = {1: 12.7062, 2: 4.30265, 3: 3.18245, 4: 2.77645, 9: 2.26216, 10: 2.22814, 29: 2.04523}
    for freedom, value in table.items():
        assert t_quantile(0.975, freedom) == pytest.approx(value, abs=1e-5)


def test_luck_is_uniform_normal_and_depends_on_every_key() -> None:
    a, b = np.meshgrid(np.arange(300), np.arange(300))
    u = chance.uniform(1, chance.REJECTED, a, b)
    assert np.histogram(u, bins=20, range=(0, 1))[0].min() > 4_000
    assert abs(np.corrcoef(u[:, :-1].ravel(), u[:, 1:].ravel())[0, 1]) < 0.02
    assert len(np.unique(u)) == u.size
    z = chance.normal(1, a, b)
    assert z.mean() == pytest.approx(0, abs=0.02)
    assert z.std() == pytest.approx(1, abs=0.02)
    assert not np.any(u == chance.uniform(2, chance.REJECTED, a, b))
