"""Stock that is not there is found by its silence, as soon as that says anything, and not before."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.incidents.detect.phantoms import (
    Positions,
    Velocities,
    across,
    believed,
    findings,
    hazards,
    learn,
    shared_factor,
    worth_counting,
)  # fmt: skip

ONE = Velocities(rate=np.array([[0.5, 2.0]]), prior=np.array([[0.5, 0.5]]), size=np.array([1.0]), departments=1)


def position(n=1, **given) -> Positions:
    usual = {
        "department": np.zeros(n, np.int64), "units": np.full(n, 28.0), "days": np.full(n, 56.0),
        "run_days": np.full(n, 10.0), "rejections": np.zeros(n, np.int64), "prior": np.full(n, 0.02),
        "hazard": np.zeros(n),
    }  # fmt: skip
    return Positions(**usual | {k: np.broadcast_to(np.asarray(v), n).copy() for k, v in given.items()})


def by_hand(units, days, run, prior, hazard, rejections, rates, shares, size):
    """Day by day, for each velocity: the recursion of the docstring."""
    gone = here = 0.0
    for rate, share in zip(rates, shares, strict=True):
        weight = share * (rate / (rate + size)) ** units * (size / (size + rate)) ** (days * size)
        there, absent = 1 - prior, prior
        for _ in range(run):
            there, absent = there * (1 - hazard) * (size / (size + rate)) ** size, absent + hazard * there
        gone += weight * absent
        here += weight * there / 20.0**rejections
    return gone / (gone + here)


@pytest.mark.parametrize("units, days, run, prior, hazard, rejections", [
    (28, 56, 10, 0.02, 0.0, 0), (28, 56, 14, 0.0, 0.001, 0), (0, 56, 30, 0.01, 0.002, 0), (3, 20, 5, 0.0, 0.0005, 1),
    (100, 56, 3, 0.02, 0.0, 2),
])  # fmt: skip
def test_the_belief_is_the_recursion_worked_by_hand(units, days, run, prior, hazard, rejections):
    seen = believed(position(units=float(units), days=float(days), run_days=float(run), prior=prior, hazard=hazard,
                             rejections=rejections), ONE)  # fmt: skip
    assert seen.absent[0] == pytest.approx(
        by_hand(units, days, run, prior, hazard, rejections, [0.5, 2.0], [0.5, 0.5], 1.0), rel=1e-9
    )


@given(
    st.floats(0, 60),
    st.floats(0, 30),
    st.integers(0, 3),
    st.floats(0, 0.3),
    st.floats(0, 0.05),
    st.floats(0.1, 1),
    st.floats(0.1, 10),
)
@settings(max_examples=200, deadline=None)
def test_more_silence_more_rejections_and_more_demand_never_speak_for_it(
    units, run, rejections, prior, hazard, factor, more
):
    usual = {"units": units, "run_days": run, "rejections": rejections, "prior": prior, "hazard": hazard}
    p = believed(position(**usual, factor=factor), ONE).absent[0]
    assert 0 <= p <= 1
    assert believed(position(**usual | {"run_days": run + more}, factor=factor), ONE).absent[0] >= p - 1e-12
    assert believed(position(**usual | {"rejections": rejections + 1}, factor=factor), ONE).absent[0] >= p - 1e-12
    assert believed(position(**usual, factor=1.0), ONE).absent[0] >= p - 1e-12


def test_a_rejection_is_worth_twenty_to_one_and_a_sale_resets():
    odds = [p / (1 - p) for p in believed(position(2, rejections=[0, 1]), ONE).absent]
    assert odds[1] == pytest.approx(20 * odds[0])
    assert believed(position(run_days=0.0, prior=0.0), ONE).absent[0] == 0


def test_no_sales_of_a_slow_item_say_little():
    slow, fast = believed(position(2, units=[1.0, 100.0]), ONE).absent
    assert slow < 0.6
    assert fast > 0.98


def shop(seed, n=40_000, median=0.3, size=1.0, days=56):
    random = np.random.default_rng(seed)
    rate = median * np.exp(random.normal(0, 1, n))
    sold = random.poisson(rate * random.gamma(size, 1 / size, (days, n)))
    return random, rate, sold.sum(axis=0).astype(float), (sold**2).sum(axis=0).astype(float), np.full(n, float(days))


def recall(score, is_gone):
    found = np.cumsum(is_gone[np.argsort(-score, kind="stable")])
    enough = np.flatnonzero(found >= 0.5 * np.arange(1, len(score) + 1))
    return found[enough[-1]] / is_gone.sum() if len(enough) else 0.0


def test_it_finds_nearly_what_one_finds_who_knows_every_rate_and_says_how_sure_it_is():
    random, rate, units, squares, days = shop(3)
    n = len(rate)
    is_gone = random.random(n) < 0.02
    silent = is_gone | (random.random(n) < (1 + rate) ** -14.0)
    learned = learn(np.zeros(n, np.int64), units, squares, days)
    assert learned.size[0] == pytest.approx(1, abs=0.1)
    assert (learned.rate * learned.prior).sum() == pytest.approx(rate.mean(), rel=0.05)
    p = believed(position(n, units=units, run_days=14.0), learned).absent
    ours, oracle = recall(np.where(silent, p, 0), is_gone), recall(np.where(silent, rate, 0), is_gone)
    assert ours >= 0.85 * oracle > 0.4
    for low, high in ((0.1, 0.4), (0.4, 0.7), (0.7, 0.95)):
        of = silent & (p > low) & (p < high)
        assert is_gone[of].mean() == pytest.approx(p[of].mean(), abs=0.08)


def test_a_department_has_its_own_velocities_if_it_has_items_to_learn_them_from():
    random = np.random.default_rng(4)
    department = np.r_[np.zeros(5_000, np.int64), np.ones(5_000, np.int64), np.full(3, 2)]
    rate = np.r_[np.full(5_000, 0.1), np.full(5_000, 2.0), np.full(3, 2.0)]
    sold = random.poisson(rate * random.gamma(1, 1, (30, len(rate))))
    learned = learn(department, sold.sum(axis=0).astype(float), (sold**2).sum(axis=0).astype(float),
                    np.full(len(rate), 30.0), departments=4)  # fmt: skip
    mean = (learned.rate * learned.prior).sum(axis=1)
    assert mean[:2] == pytest.approx([0.1, 2.0], rel=0.15)
    assert mean[2:] == pytest.approx([1.05, 1.05], rel=0.1), "three items, and none: as all of them"


def test_other_nodes_tell_of_an_item_where_items_are_alike_and_are_not_asked_where_they_are_not():
    random = np.random.default_rng(5)
    item, node = np.repeat(np.arange(800), 25), np.tile(np.arange(25), 800)
    n = len(item)
    days, department = np.full(n, 28.0), np.zeros(n, np.int64)
    for alike in (True, False):
        rate = 0.2 * np.exp(random.normal(0, 1, 800)[item] if alike else random.normal(0, 1, n))
        sold = random.poisson(rate * random.gamma(1, 1, (28, n)))
        units, squares = sold.sum(axis=0).astype(float), (sold**2).sum(axis=0).astype(float)
        base = across(item, node, units, days)
        learned = learn(department, units, squares, days, base=base)
        assert (learned.first_base is not None) == alike
        if alike:
            assert np.corrcoef(np.log(base), np.log(rate))[0, 1] > 0.9
            given_all = position(n, units=units, days=days, base=base, run_days=14.0)
            alone = learn(department, units, squares, days)
            wrong = [np.abs(believed(given_all, x).velocity - rate).mean() for x in (learned, alone)]
            assert wrong[0] < 0.8 * wrong[1]
            with pytest.raises(ValueError, match="expected a base"):
                believed(replace(given_all, base=None), learned)


def test_rows_do_not_depend_on_each_other():
    random, _, units, squares, days = shop(6, 500)
    learned = learn(np.zeros(500, np.int64), units, squares, days)
    whole = believed(position(500, units=units), learned).absent
    order = random.permutation(500)
    assert np.array_equal(believed(position(500, units=units[order]), learned).absent, whole[order])
    assert believed(position(units=units[7]), learned).absent[0] == whole[7]


def test_silence_everywhere_excuses_silence_here():
    item = np.array([0, 0, 0, 1, 1, 1])
    factor = shared_factor(item, np.array([0.0, 1, 1, 0, 20, 25]), np.full(6, 20.0))
    assert factor[:3] == pytest.approx([7 / 45, 6 / 45, 6 / 45])
    assert factor[3] == 1, "a rise elsewhere does not accuse"
    p = believed(position(6, factor=factor), ONE).absent
    assert p[0] < 0.1
    assert p[3] > 0.5


def test_hazards_are_those_of_all_until_a_department_has_counts():
    found = hazards(np.array([0.0, 40.0, 400.0]), np.array([0.0, 1e5, 1e5]))
    overall = 440 / 2e5
    assert found == pytest.approx([overall, (40 + overall * 1e5) / 2e5, (400 + overall * 1e5) / 2e5])


def test_a_count_is_asked_for_where_it_pays_the_dearest_first():
    seen = believed(position(4, units=[1.0, 100.0, 100.0, 100.0]), ONE)
    margin = np.array([100.0, 100.0, 500.0, 0.5])
    counts = worth_counting(seen, margin, np.full(4, 30.0), count_minor=200.0, rejection_minor=50.0,
                            rejections_expected=2.0)  # fmt: skip
    assert counts.row.tolist() == [2, 1, 0]
    lost = margin * seen.velocity * 30 + 100
    assert counts.gain_minor == pytest.approx((seen.absent * lost - 200)[[2, 1, 0]])
    assert worth_counting(seen, margin, np.full(4, 30.0), count_minor=200.0, most=1).row.tolist() == [2]
    told = findings(
        counts, position(4), seen, [(f"sku-{n}", "berlin") for n in range(4)], datetime(2026, 3, 2, tzinfo=UTC)
    )
    assert [f.subject.key for f in told][:2] == [("sku-2", "berlin"), ("sku-1", "berlin")]
    assert told[0].since == datetime(2026, 2, 20, tzinfo=UTC)
    assert told[0].loss_minor == round(lost[2])


def test_wrong_input_is_told():
    with pytest.raises(ValueError, match="hazard below 1"):
        position(hazard=1.0)
    with pytest.raises(ValueError, match=r"expected units\[1\]"):
        Positions(**{n: getattr(position(), n) for n in Positions.__dataclass_fields__} | {"units": np.zeros(2)})
    with pytest.raises(ValueError, match="departments below 1"):
        believed(position(department=1), ONE)
    with pytest.raises(ValueError, match="squares that they may have"):
        learn(np.zeros(1, np.int64), np.array([10.0]), np.array([1.0]), np.array([5.0]))
