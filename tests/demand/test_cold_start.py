"""Series that are new: from what they are, from their siblings, and soon from themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.demand import simple
from onhand.demand.cold_start import ages, count_quantiles, effects_of, filled, shape_of, young
from onhand.demand.panel import Forecast, Panel, trim

from .worlds import days, weekly_shape

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def network(items=12, nodes=8, periods=300, horizon=28, seed=1, *, launch=None):
    """Items at nodes, each with an effect on the level. launch: periods ago that all of the last item was launched; 0:
    not yet. Whoever is launched sells twice as much in the first two weeks. (panel, what was to be expected)"""
    random = np.random.default_rng(seed)
    total = periods + horizon
    level = np.exp(random.normal(1.0, 0.8, (items, 1)) + random.normal(0, 0.4, (1, nodes))).ravel()
    begin = np.zeros(items * nodes, int)
    late = np.arange(items * nodes) % 5 == 0
    begin[late] = random.integers(40, periods - 130, late.sum())
    if launch is not None:
        begin[-nodes:] = periods - launch
    at = np.arange(total)[None, :] - begin[:, None]
    rate = level[:, None] * weekly_shape()[np.arange(total) % 7] * np.where((at < 14) & (begin[:, None] > 0), 2.0, 1.0)
    y = random.poisson(rate) * (at >= 0)
    panel = Panel(
        ids=[f"i{i // nodes:02d}/n{i % nodes}" for i in range(items * nodes)], freq="D", dates=days(total),
        y=trim(y[:, :periods].astype(float)),
        static={"item": np.arange(items * nodes) // nodes, "node": np.arange(items * nodes) % nodes},
    )  # fmt: skip
    return panel, rate[:, periods:]


def plain(panel):
    mean = simple.phase_mean(panel)
    return Forecast(levels=LEVELS, mean=mean, quantiles=mean[..., None] * np.array([0.2, 0.6, 0.9, 1.3, 2.0]))


def test_an_item_new_at_one_node_sells_as_elsewhere_times_what_the_node_sells():
    panel, rate = network()
    unseen = np.zeros(panel.count, bool)
    unseen[[17, 44, 61]] = True
    panel.y[unseen] = np.nan
    was = plain(panel)
    made = filled(panel, was, unseen)
    assert np.array_equal(made.mean[~unseen], was.mean[~unseen]), "all others stay"
    assert (was.mean[unseen] == 0).all()
    # It begins with the launch: twice as much for two weeks.
    ratio = made.mean[unseen] / rate[unseen]
    assert ratio[:, :14].mean() == pytest.approx(2, rel=0.35)
    assert ratio[:, 14:].mean() == pytest.approx(1, rel=0.35)
    shape = made.mean[17, 14:28] / made.mean[17, 14:28].mean()
    assert np.corrcoef(shape, rate[17, 14:28])[0, 1] > 0.9, "with the week of its siblings"


def test_the_more_is_seen_the_more_it_speaks_for_itself_and_the_surer_it_is():
    spans, errors = [], []
    for launch in (0, 5, 20):
        panel, rate = network(launch=launch)
        # This item sells far more than its siblings.
        panel.y[-8:] = trim(np.where(np.isfinite(panel.y[-8:]), panel.y[-8:] * 6, np.nan))
        unseen = np.zeros(panel.count, bool)
        unseen[-8:] = launch == 0
        made = filled(panel, plain(panel), unseen)
        late = slice(20, 28)
        errors.append(np.abs(np.log(made.mean[-8:, late] / (6 * rate[-8:, late]))).mean())
        spans.append(((made.quantiles[-8:, late, 4] - made.quantiles[-8:, late, 0]) / made.mean[-8:, late]).mean())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.25
    assert spans[0] > 1.2 * max(spans[1:])


def test_quantiles_of_new_series_hold_what_they_say():
    within, number = np.zeros(2), 0
    for seed in range(6):
        panel, _ = network(seed=seed)
        unseen = np.random.default_rng(seed).random(panel.count) < 0.2
        came = panel.y[unseen, -28:].copy()
        cut = Panel(
            ids=panel.ids, freq="D", dates=panel.dates[:300], y=np.where(unseen[:, None], np.nan, panel.y)[:, :272],
            static=panel.static,
        )  # fmt: skip
        made = filled(cut, plain(cut), unseen)
        # They are no launches: what is told for later weeks is what fits.
        told, came = made.quantiles[unseen][:, 14:], came[:, 14:]
        there = np.isfinite(came)
        within += [(there & (came >= told[..., k]) & (came <= told[..., 4 - k])).sum() for k in (0, 1)]
        number += there.sum()
    assert 0.85 < within[0] / number < 0.99
    assert 0.42 < within[1] / number < 0.75


def test_who_is_young_and_how_it_passes():
    panel, _ = network(launch=7)
    assert ages(panel)[-1] == pytest.approx(7, abs=1)
    share = young(panel, np.zeros(panel.count, bool))
    assert (share[-8:] == 1).all()
    assert (share[:-8] == 0).all(), "months old, or there before the panel begins"
    for launch, wanted in ((42, 0.5), (56, 0.0)):
        older, _ = network(launch=launch)
        assert young(older, np.zeros(older.count, bool))[-8:].mean() == pytest.approx(wanted, abs=0.08)
    never = Panel(ids=["a"], freq="D", dates=days(40), y=np.full((1, 30), np.nan))
    assert young(never, np.array([False])).tolist() == [0], "had rows of zeros: it is not new, it does not sell"
    assert young(never, np.array([True])).tolist() == [1]


def test_without_siblings_nothing_is_changed():
    panel = Panel(ids=["a", "b"], freq="D", dates=days(40), y=np.full((2, 30), np.nan))
    was = plain(panel)
    assert filled(panel, was, np.array([True, True])) is was


def test_without_kinds_it_sells_as_others_do():
    panel, _ = network()
    bare = Panel(ids=panel.ids, freq="D", dates=panel.dates, y=panel.y)
    unseen = np.arange(panel.count) == 3
    bare.y[3] = np.nan
    made = filled(bare, plain(bare), unseen)
    levels = np.delete(panel.y, 3, axis=0)[:, -90:].mean(axis=1)
    assert np.quantile(levels, 0.1) < made.mean[3, 14:].mean() < np.quantile(levels, 0.9)
    assert made.quantiles[3, 20, 4] > 2 * made.quantiles[3, 20, 2], "which may be much or little"


def test_nested_effects_are_told_apart_and_shrunk():
    random = np.random.default_rng(2)
    departments, items, nodes = 8, 20, 6
    department = np.repeat(np.arange(departments), items * nodes)
    item = np.repeat(np.arange(departments * items), nodes)
    node = np.tile(np.arange(nodes), departments * items)
    of = random.normal(0, 1.0, departments)
    log = of[department] + random.normal(0, 0.6, departments * items)[item] + random.normal(0, 0.3, len(item))
    kinds = {"item": item, "department": department, "node": node}
    made = effects_of(log, np.ones(len(log)), kinds)
    assert made.of["item"].between == pytest.approx(0.36, rel=0.3)
    assert 0.3 < made.of["department"].between < 3
    assert made.of["node"].between < 0.02, "nodes do not differ"
    assert made.variance == pytest.approx(0.09, rel=0.15)
    unknown = {"item": np.array([10_000]), "department": np.array([3]), "node": np.array([0])}
    value, doubt = made.at(unknown, np.zeros(1), np.zeros(1))
    assert value[0] == pytest.approx(of[3], abs=0.5)
    assert doubt[0] == pytest.approx(0.36 + 0.09, rel=0.35), "a new item is as uncertain as items differ"
    value, doubt = made.at({name: kind[:1] for name, kind in kinds.items()}, log[:1], np.ones(1))
    rest = log[1:nodes].mean()
    assert value[0] == pytest.approx(rest, abs=0.2), "what it says itself is taken out"
    assert doubt[0] < 0.2


@given(st.floats(0.01, 400), st.floats(1.0, 8))
def test_quantiles_of_counts_are_whole_rise_and_have_the_mean(mean, dispersion):
    levels = np.linspace(0.005, 0.995, 199)
    made = count_quantiles(np.array([mean]), np.array([mean * dispersion]), levels)[0]
    assert (made == np.rint(made)).all()
    assert (np.diff(made) >= 0).all()
    assert made.mean() == pytest.approx(mean, rel=0.12, abs=0.12)


def test_quantiles_of_counts_are_those_of_the_distributions():
    # By drawing a million.
    random = np.random.default_rng(3)
    poisson, binomial = random.poisson(2.5, 1_000_000), random.negative_binomial(0.8, 0.8 / 4.8, 1_000_000)
    made = count_quantiles(np.array([2.5, 4.0]), np.array([2.5, 4 + 16 / 0.8]), LEVELS)
    assert made[0].tolist() == np.quantile(poisson, LEVELS).tolist()
    assert made[1].tolist() == np.quantile(binomial, LEVELS).tolist()
    assert count_quantiles(np.array([0.0]), np.array([0.0]), LEVELS).tolist() == [[0] * 5]
    gamma = random.negative_binomial(4, 4 / 504, 1_000_000)
    assert count_quantiles(np.array([500.0]), np.array([500 + 500**2 / 4]), LEVELS)[0] == pytest.approx(
        np.quantile(gamma, LEVELS), rel=0.02
    )


def test_a_gamma_distribution_is_as_uncertain_as_its_logarithm():
    for variance in (0.1, 0.8, 2.5):
        shape = float(shape_of(np.array([variance]))[0])
        drawn = np.log(np.random.default_rng(1).gamma(shape, 1 / shape, 400_000))
        assert drawn.var() == pytest.approx(variance, rel=0.2)
