"""Oversells, channels that drift or refuse, gates that let too much through; and the share above what is tolerated."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.incidents.detect import gates, oversell, publication
from onhand.incidents.detect.moments import HOUR_US
from onhand.incidents.detect.shares import above, beta_below
from onhand.incidents.model import Kind

NOW = datetime(2026, 3, 5, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000


def ints(*values):
    return np.array(values, np.int64)


# Shares


@pytest.mark.parametrize("x, a, b, expected", [
    # Uniform; arcsine; by hand; tables of the F distribution.
    (0.3, 1, 1, 0.3), (0.5, 0.5, 0.5, 0.5), (0.25, 0.5, 0.5, 1 / 3), (0.2, 2, 1, 0.04), (0.2, 1, 2, 0.36),
    (0.5, 2, 3, 0.6875), (0.9, 3, 5, 0.9998235), (0.05, 1, 60, 1 - 0.95**60), (0.0, 2, 2, 0.0), (1.0, 2, 2, 1.0),
])  # fmt: skip
def test_the_incomplete_beta_function(x, a, b, expected):
    assert beta_below(x, a, b) == pytest.approx(expected, abs=1e-6)


@given(st.floats(0.01, 0.99), st.floats(0.1, 500), st.floats(0.1, 500))
@settings(deadline=None)
def test_a_beta_seen_from_the_other_end(x, a, b):
    assert beta_below(x, a, b) + beta_below(1 - x, b, a) == pytest.approx(1, abs=1e-8)


@given(st.integers(0, 50), st.integers(0, 2_000), st.integers(1, 50), st.floats(0.001, 0.2))
@settings(deadline=None)
def test_more_of_as_many_is_surer_and_as_many_of_more_is_less_sure(found, rest, more, tolerated):
    def chance(k, n):
        return above(np.array([float(k)]), np.array([float(n)]), np.array([tolerated]))[0]

    of = found + rest
    assert 0 <= chance(found, of) <= chance(min(found + more, of + more), of + more) + 1e-9 <= 1 + 1e-9
    assert chance(found, of + more) <= chance(found, of) + 1e-9


def test_nothing_seen_is_no_evidence_and_much_is():
    chance = above(np.array([0.0, 0, 1, 30]), np.array([0.0, 1_000, 2, 1_000]), np.full(4, 0.01))
    assert chance[0] < 0.2 and chance[1] < 0.01 and chance[3] > 0.999
    assert 0.4 < chance[2] < 0.6, "one of two may be chance"
    for bad in (
        (np.array([2.0]), np.array([1.0]), np.array([0.1])),
        (np.array([0.0]), np.array([1.0]), np.array([0.0])),
    ):
        with pytest.raises(ValueError, match="expected"):
            above(*bad)


# Oversells


def short(*, shelf=(0,), waiting=(3,), orders=(1,), free=(0,), hours=(1.0,)):
    since = ints(*(NOW_US - int(h * HOUR_US) for h in hours))
    return oversell.Shortages(shelf_units=ints(*shelf), waiting_units=ints(*waiting), orders=ints(*orders),
                              free_units=ints(*free), since=since)  # fmt: skip


def test_a_shortage_is_surer_the_longer_it_lasts():
    hours = (0.0, 0.1, 0.5, 1.0, 24.0)
    n = len(hours)
    chance = oversell.staying(
        short(shelf=(0,) * n, waiting=(1,) * n, orders=(1,) * n, free=(0,) * n, hours=hours), NOW_US
    )
    assert chance[0] == pytest.approx(0.1)
    # After one half-life: 0.1 against 0.45.
    assert chance[1] == pytest.approx(0.1 / 0.55)
    assert (np.diff(chance) > 0).all() and chance[-1] > 0.999
    with pytest.raises(ValueError, match="rest in"):
        oversell.staying(short(), NOW_US, rest=1.0)


def test_oversells_in_words_the_dearest_first():
    both = short(shelf=(2, 0), waiting=(3, 1), orders=(2, 1), free=(7, 0), hours=(2.0, 2.0))
    first, second = oversell.findings(
        both, np.array([0.9, 0.9]), ["LAMP", "MUG"], np.array([800.0, 100]), np.array([50.0, 0])
    )
    assert first.sentence == (
        "5 units of LAMP were sold and are not there: 3 in 2 orders without a date, 2 promised from shelves that do not"
        " have them; 7 are free at other nodes."
    )
    assert (first.loss_minor, second.loss_minor) == (5 * 800 + 50, 100)
    assert first.subject.key == ("LAMP",) and first.kind is Kind.OVERSELL
    assert oversell.findings(both, np.array([0.2, 0.9]), ["LAMP", "MUG"], np.ones(2), np.zeros(2))[0].subject.key == (
        "MUG",
    )
    with pytest.raises(ValueError, match="free_units of at least 0"):
        short(free=(-1,))


# Channels


def readings(read, foreign=0, lost=0, unheard=0):
    return publication.Readings(
        read=ints(read), foreign=ints(foreign), lost=ints(lost), unheard=ints(unheard), at=ints(NOW_US)
    )


def test_a_few_listings_differ_always_and_many_are_drift():
    assert publication.drifting(readings(5_000, foreign=20))[0] < 0.01
    assert publication.drifting(readings(200, foreign=15, lost=5))[0] > 0.999
    assert publication.drifting(readings(0))[0] < 0.2
    seen = readings(200, foreign=15, lost=5)
    [told] = publication.drift_findings(seen, publication.drifting(seen), ["web"], np.array([10_000.0]))
    assert (told.kind, told.loss_minor) == (Kind.CHANNEL_DRIFT, 1_000)
    assert told.sentence.startswith(
        "20 of 200 listings of web showed another number than ours on 2026-03-05 00:00 UTC: 15"
    )


def faults(*, is_out=False, listings=100, failing=0, parked=0):
    return publication.Faults(is_out=np.array([is_out]), listings=ints(listings), failing=ints(failing),
                              parked=ints(parked), since=ints(NOW_US))  # fmt: skip


def test_what_waits_for_a_person_what_fails_and_what_is_out_each_suffice():
    chance = {
        name: publication.refusing(fault)[0]
        for name, fault in {
            "well": faults(), "out": faults(is_out=True), "one parked": faults(parked=1), "three": faults(parked=3),
            "some fail": faults(listings=1_000, failing=10), "many fail": faults(listings=1_000, failing=60),
            "all of it": faults(is_out=True, failing=50, parked=3),
        }.items()
    }  # fmt: skip
    assert chance["well"] == 0
    assert chance["some fail"] < 0.05
    assert 0.5 < chance["one parked"] < chance["three"] < chance["out"] <= chance["all of it"]
    assert chance["many fail"] > 0.99


def test_refusals_in_words():
    bad = faults(is_out=True, listings=100, failing=20, parked=2)
    [told] = publication.refusal_findings(
        bad, publication.refusing(bad), ["web"], ["503"], np.array([10_000.0]), np.array([700.0])
    )
    assert told.sentence == (
        "web cannot be reached and refuses 20 of 100 listings and has 2 messages or orders that wait for a person"
        " (last: 503)."
    )
    assert told.loss_minor == 10_000 + 2 * 700, "a channel that is out sells nothing"
    some = faults(listings=100, failing=20)
    [told] = publication.refusal_findings(some, np.ones(1), ["web"], [""], np.array([10_000.0]), np.array([700.0]))
    assert (told.loss_minor, told.sentence) == (2_000, "web refuses 20 of 100 listings.")
    assert publication.refusal_findings(faults(), np.zeros(1), ["web"], [""], np.zeros(1), np.zeros(1)) == []


# Gates


def test_a_gate_is_breached_by_more_than_its_target_not_by_one_bad_day():
    outcomes = gates.Outcomes(orders=ints(50, 5_000, 5_000, 0), oversold=ints(1, 60, 20, 0), target=np.full(4, 0.005))
    chance = gates.breached(outcomes)
    assert chance[1] > 0.999 and chance[2] < 0.3 and chance[3] < 0.3
    assert 0.3 < chance[0] < 0.95, "one in fifty may be chance"
    [told] = gates.findings(outcomes, np.where(chance > 0.99, chance, 0), list("abcd"), np.full(4, 1_000.0), NOW)
    assert told.loss_minor == (60 - 25) * 1_000
    assert told.sentence == (
        "60 of 5,000 orders of b since 2026-03-05 were oversold (1.20%), where its gate is to let 0.50% through."
    )
    with pytest.raises(ValueError, match="equal length"):
        gates.Outcomes(orders=ints(1), oversold=ints(1, 2), target=np.ones(1))
