"""A signal stays if it helps, and harms no origin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.demand.ablate import HURTS_MAX, ablate, judge


def worth(of):
    """Losses of models that see signals, each of which takes off its own of each origin."""

    def losses(signals):
        return np.full(5, 1.0) - sum((np.asarray(of[name]) for name in signals), np.zeros(5))

    return losses


def test_what_helps_stays_and_the_others_go():
    trials = ablate(
        ["price", "moon", "rain"],
        worth({"price": [0.1] * 5, "moon": [-0.01] * 5, "rain": [0.2, 0.2, 0.2, 0.2, -0.02]}),
    )
    assert [(t.signal, t.verdict, t.stays) for t in trials] == [
        ("price", "helps", True),
        ("moon", "does_not_help", False),
        ("rain", "hurts_an_origin", False),
    ]
    assert trials[0].gain == pytest.approx(0.1)
    assert trials[2].without == pytest.approx(0.9), "beside the price"
    assert trials[2].worst == pytest.approx(0.02 / 0.9)


def test_what_says_the_same_twice_is_taken_once():
    def losses(signals):
        return np.full(5, 0.8 if signals else 1.0)

    assert [t.stays for t in ablate(["rain", "umbrellas"], losses)] == [True, False]


def test_what_there_was_no_time_for_stays_and_is_told():
    asked = []

    def losses(signals):
        asked.append(signals)
        return np.full(5, 1.0)

    trials = ablate(["a", "b", "c"], losses, go_on=lambda: len(asked) < 2)
    assert [(t.verdict, t.stays) for t in trials] == [
        ("does_not_help", False),
        ("not_tried", True),
        ("not_tried", True),
    ]
    assert asked == [frozenset(), frozenset({"a"})]


def test_origins_without_a_loss_say_nothing():
    nan = np.nan
    assert judge("x", np.array([1.0, nan, 1.0]), np.array([0.9, 5.0, nan])).gain == pytest.approx(0.1)
    assert not judge("x", np.array([nan]), np.array([1.0])).stays


losses_of = st.lists(st.tuples(st.floats(0.1, 2), st.floats(0.1, 2)), min_size=1, max_size=8)


@given(losses_of)
def test_nothing_that_stays_raises_the_mean_or_harms_an_origin(pairs):
    without, with_ = np.array(pairs).T
    trial = judge("x", without, with_)
    if trial.stays:
        assert with_.mean() < without.mean()
        assert (with_ <= without * (1 + HURTS_MAX) + 1e-12).all()
    else:
        assert with_.mean() >= without.mean() or (with_ > without * (1 + HURTS_MAX)).any()


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.floats(-0.1, 0.1), min_size=5, max_size=5), min_size=1))
def test_signals_that_are_worth_the_same_beside_others_stay_by_their_own_worth(of):
    names = sorted(of)
    for trial in ablate(names, worth(of)):
        assert trial.stays == (trial.gain > 0 and trial.worst <= HURTS_MAX)
        if trial.stays:
            assert np.mean(of[trial.signal]) > 0
