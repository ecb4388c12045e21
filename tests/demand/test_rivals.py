"""Who is in charge: decided by what came true, at origins that share no period."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onhand.demand.realised import Gain
from onhand.demand.rivals import Pair, apart, contest, is_model_in_charge, why_learn

DAY = date(2026, 3, 2)
NAN = float("nan")


def after(days):
    return DAY + timedelta(days=days)


def won(gain=0.05):
    return Gain(gain, gain - 0.1, gain + 0.1)


def lost(gain=-0.05):
    return Gain(gain, gain - 0.1, gain + 0.1)


gains = st.lists(
    st.tuples(st.floats(-1, 1), st.floats(0, 0.5)).map(lambda g: Gain(g[0], g[0] - g[1], g[0] + g[1])), max_size=12
)


def test_a_model_is_put_aside_after_two_lost_origins_and_comes_back_after_two_won():
    assert is_model_in_charge([])
    assert is_model_in_charge([lost(), won(), lost(), won()])
    assert not is_model_in_charge([won(), lost(), lost()])
    assert not is_model_in_charge([lost(), lost(), won(), lost(), won()])
    assert is_model_in_charge([lost(), lost(), won(), won()])


def test_what_is_sure_needs_one_origin():
    assert not is_model_in_charge([Gain(-0.3, -0.4, -0.2)])
    assert is_model_in_charge([Gain(-0.3, -0.4, -0.2), Gain(0.3, 0.2, 0.4)])


@given(gains)
def test_whoever_lost_or_won_twice_in_a_row_is_where_that_leads(before):
    assert not is_model_in_charge([*before, lost(), lost()]) or is_model_in_charge(before) is False
    assert not is_model_in_charge([*before, *[lost()] * 4])
    assert is_model_in_charge([*before, *[won()] * 4])


@given(gains)
def test_origins_at_which_nothing_came_change_nothing(before):
    with_nothing = [g for gain in before for g in (gain, Gain(NAN, NAN, NAN))]
    assert is_model_in_charge(with_nothing) == is_model_in_charge(before)


def test_a_challenger_is_promoted_by_its_second_win_and_retired_after_four_origins():
    win, loss = Pair(1.0, 0.9), Pair(1.0, 1.05)
    assert contest([]) == contest([win]) == contest([win, loss]) == "wait"
    assert contest([win, loss, win]) == "promote"
    assert contest([loss, loss, loss, win]) == "retire"
    assert contest([win, win, Pair(1.0, 9.0)]) == "wait", "two small wins do not outweigh a disaster"
    assert contest([Pair(NAN, 0.5), Pair(1.0, NAN), win]) == "wait"


@given(st.lists(st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)).map(lambda p: Pair(*p)), max_size=6))
def test_nobody_is_promoted_who_lost_more_and_no_contest_goes_on_for_ever(pairs):
    verdict = contest(pairs)
    if verdict == "promote":
        assert sum(p.challenger for p in pairs) < sum(p.champion for p in pairs)
        assert sum(p.challenger < p.champion for p in pairs) >= 2
    assert verdict != "wait" or len(pairs) < 4


@given(st.lists(st.integers(0, 100), max_size=30), st.integers(1, 28))
def test_origins_that_count_share_no_period_and_stay_when_others_come(days, width):
    origins = sorted({after(day) for day in days})
    kept = apart(origins, width)
    assert all((b - a).days >= width for a, b in pairwise(kept))
    assert kept[:1] == origins[:1]
    assert apart(origins[: len(origins) // 2], width) == kept[: len(apart(origins[: len(origins) // 2], width))]


def test_it_is_learned_anew_when_there_is_a_reason_and_not_every_day():
    def why(origin, **more):
        return why_learn(after(origin), **{"champion": DAY, "challenger": None, "drifted": False} | more)

    assert why(0, champion=None) == "first"
    assert why(1, asked=True) == "asked"
    assert why(6, drifted=True) is None, "it was learned a week ago"
    assert why(7, drifted=True) == "drift"
    assert why(27) is None
    assert why(28) == "age"
    assert why(28, challenger=after(20)) is None
    assert why(30, challenger=after(20), drifted=True) is None, "somebody is on trial already"
    assert why(50, challenger=after(20)) == "age"


def test_a_gain_that_is_not_known_decides_nothing():
    assert not Gain(NAN, NAN, NAN).is_sure
    assert not Gain(NAN, NAN, NAN).is_surely_lost
    assert np.isnan(Gain(NAN, NAN, NAN).gain)
