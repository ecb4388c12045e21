"""Forecasts that add up: what other libraries make of the same numbers, and what holds of any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.demand.panel import Forecast, Panel
from onhand.demand.reconcile import METHODS, combined, hierarchy_of, past_errors, reconcile, shrinkage, summed

from .worlds import shop

TREE = hierarchy_of({"total": ["all"] * 4, "kind": ["a", "a", "b", "b"]})
# Forecasts of total, a, b and four series, and errors of them over twelve periods.
Y = np.array([[100, 110], [58, 55], [45, 50], [30, 32], [25, 26], [20, 22], [18, 19]], float)
ERRORS = np.array(
    [
        [-0.2, 0.7, -1.6, -5.7, -1.5, -5.2, 0.4, 8.7, -3.3, -2.6, 2.9, 2.7],
        [0.2, -4.8, -0.1, 2.4, -4.2, -1.1, -7.6, -4.5, -7.7, 0.2, -5.1, 1.7],
        [0.3, -1.7, -7.6, -2.0, 1.1, 1.0, -4.6, -0.7, -3.2, -1.3, 3.2, -1.8],
        [-0.3, 0.7, -1.2, -0.6, 1.4, 0.8, -2.5, 0.9, 2.4, -2.0, 1.7, 0.8],
        [-0.8, 0.9, 0.8, -1.6, 1.3, 1.3, -0.2, 1.4, -0.4, 1.8, 1.4, -0.1],
        [0.3, -2.3, 0.3, -3.4, -0.2, 0.2, 2.2, 3.6, -3.6, -0.9, 1.6, -4.4],
        [-0.9, -1.2, 1.9, 0.6, 0.7, 0.1, -0.4, 3.0, -0.9, 0.6, 0.5, 0.4],
    ]
)


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        # MinTrace of hierarchicalforecast 1.5.3 on these numbers; its wls_var divides by 12 as ours does.
        (
            "wls_struct",
            [[30.916667, 31.916667], [25.916667, 25.916667], [21.916667, 24.916667], [19.916667, 21.916667]],
        ),
        ("wls_var", [[30.584585, 32.325017], [25.355413, 26.197602], [22.981441, 26.31144], [18.737336, 20.066257]]),
        (
            "mint_shrink",
            [[30.580526, 31.993424], [25.404158, 26.140282], [23.23999, 26.496901], [18.811945, 20.175412]],
        ),
    ],
)
def test_sums_and_series_are_weighed_as_hierarchicalforecast_weighs_them(method, wanted):
    made = combined(Y[3:], Y[:3], TREE, method, errors=(ERRORS[3:], ERRORS[:3]))
    # Estimates of how far to shrink differ in the fourth digit.
    assert made == pytest.approx(np.array(wanted), abs=1e-5 if method != "mint_shrink" else 5e-3)


def test_names_and_members_are_those_of_each_level():
    assert TREE.names == ["all", "a", "b"]
    assert TREE.members.tolist() == [[0, 0, 0, 0], [1, 1, 2, 2]]
    assert TREE.sums(np.array([1.0, 2, 3, 4])).tolist() == [10, 3, 7]
    assert TREE.spread(np.array([1.0, 10, 20])).tolist() == [11, 11, 21, 21]


def test_correlations_are_shrunk_by_how_uncertain_they_are():
    """Against sums over all pairs, written out."""
    errors = ERRORS - ERRORS.mean(axis=1, keepdims=True)
    periods = errors.shape[1]
    x = errors / errors.std(axis=1, ddof=1, keepdims=True)
    top = bottom = 0.0
    for i in range(7):
        for j in range(7):
            if i != j:
                w = x[i] * x[j]
                top += periods / (periods - 1) ** 3 * ((w - w.mean()) ** 2).sum()
                bottom += (periods / (periods - 1) * w.mean()) ** 2
    assert shrinkage(errors) == pytest.approx(min(1.0, top / bottom), rel=0.02)
    same = np.tile(np.random.default_rng(1).normal(size=200), (5, 1))
    assert shrinkage(same - same.mean()) < 0.05, "what always goes together does"
    apart = np.random.default_rng(1).normal(size=(5, 30))
    assert shrinkage(apart - apart.mean(axis=1, keepdims=True)) > 0.5, "by chance it did"


@st.composite
def worlds(draw):
    """Series in two ways of kinds, forecasts of them and of their sums, past errors."""
    count = draw(st.integers(2, 8))
    kinds = {
        name: draw(st.lists(st.sampled_from(texts), min_size=count, max_size=count))
        for name, texts in {"category": ["food", "toys"], "region": ["n", "e", "s"]}.items()
    }
    tree = hierarchy_of({"total": ["all"] * count, **kinds})
    random = np.random.default_rng(draw(st.integers(0, 1_000)))
    horizon = draw(st.integers(1, 3))
    levels = np.array([0.1, 0.5, 0.9])

    def forecast(rows, size):
        mean = random.gamma(0.5, size, (rows, horizon)) * (random.random((rows, horizon)) < 0.9)
        return Forecast(levels=levels, mean=mean, quantiles=mean[..., None] * np.array([0.2, 0.9, 2.1]))

    errors = random.normal(0, 2, (count, 20)) * (random.random((count, 1)) < 0.9)
    return tree, forecast(count, 10), forecast(tree.count, 30), (errors, random.normal(0, 5, (tree.count, 20)))


@given(worlds(), st.sampled_from(METHODS))
def test_means_add_up_and_nothing_is_below_zero(world, method):
    tree, series, sums, errors = world
    below, above = reconcile(series, sums, tree, method, errors=errors)
    assert above.mean == pytest.approx(tree.sums(below.mean), rel=1e-9, abs=1e-9)
    for made in (below, above):
        assert (made.mean >= 0).all()
        assert (made.quantiles >= 0).all()
        assert (np.diff(made.quantiles, axis=2) >= 0).all()
        assert np.isfinite(made.quantiles).all()


@given(worlds(), st.sampled_from(METHODS))
def test_what_adds_up_stays_as_it_is(world, method):
    tree, series, sums, errors = world
    coherent = Forecast(levels=sums.levels, mean=tree.sums(series.mean), quantiles=sums.quantiles)
    below, above = reconcile(series, coherent, tree, method, errors=errors)
    assert below.mean == pytest.approx(series.mean, rel=1e-6, abs=1e-6)
    assert above.mean == pytest.approx(coherent.mean, rel=1e-6, abs=1e-6)
    assert below.quantiles == pytest.approx(series.quantiles, rel=1e-5, abs=1e-5)


def test_a_sum_that_is_known_well_moves_its_series_and_most_those_known_badly():
    errors = (np.array([[3.0, -3, 3, -3], [0.1, -0.1, 0.1, -0.1]]), np.array([[0.1, 0.1, -0.1, -0.1]]))
    tree = hierarchy_of({"total": ["all", "all"]})
    made = combined(np.array([[10.0], [10.0]]), np.array([[26.0]]), tree, "wls_var", errors=errors)
    assert made.sum() == pytest.approx(26, abs=0.05)
    assert made[0, 0] == pytest.approx(16, abs=0.05)


def test_the_panel_of_sums_has_what_its_series_have_in_common():
    panel, _, _ = shop(series=4, periods=40, horizon=7)
    panel = Panel(
        ids=panel.ids, freq="D", dates=panel.dates, y=panel.y.copy(), static={"kind": np.array([0, 0, 1, 1])},
        known={"price": np.array([[1.0], [3], [5], [np.nan]]) * np.ones((4, 47)),
               "event": np.array([[2.0], [2], [2], [0]]) * np.ones((4, 47))},
        categories=frozenset({"event"}),
    )  # fmt: skip
    panel.y[0, :10] = np.nan
    panel.y[1, 20] = np.nan
    sums = summed(panel, TREE)
    assert sums.ids == ["all", "a", "b"]
    assert sums.y[1, 5] == panel.y[1, 5], "not for sale yet: not in the sum"
    assert sums.y[1, 20] == pytest.approx(panel.y[0, 20] + np.nanmean(panel.y[1])), "not observed: its mean"
    assert sums.y[0, 30] == panel.y[:, 30].sum()
    assert sums.known["price"][:, 0].tolist() == [3, 2, 5]
    assert sums.known["event"][1, 0] == 2
    assert np.isnan(sums.known["event"][0, 0]), "two kinds of it"
    assert sums.static["kind"].tolist() == [2, 0, 1]


def test_errors_are_of_the_past_only():
    panel, _, _ = shop(series=4, periods=120, horizon=14)
    errors = past_errors(panel)
    assert errors.shape == (4, 8 * 14)
    assert np.abs(errors).mean() > 0.1
    with pytest.raises(ValueError, match="past errors"):
        combined(panel.y[:, :1], np.zeros((3, 1)), TREE, "wls_var")
