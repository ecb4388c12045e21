"""What was done is compared with what was held out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from onhand.autopilot.model import Judged
from onhand.autopilot.trust import ACTIONS_MIN, evidence, worse_than_promised

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def arm(count, *, held_out, lost, seed=0, days_ago=20.0, promised=0.6):
    """Actions that lose a share `lost` of what is at stake, on average."""
    random = np.random.default_rng(seed + held_out)
    stakes = random.integers(1_000, 9_000, count)
    losses = stakes * random.beta(4 * lost, 4 * (1 - lost), count)
    return [
        Judged(
            held_out=held_out, stake_minor=int(s), gain_minor=int(promised * s), lost_minor=int(x),
            at=NOW - timedelta(days=days_ago),
        )
        for s, x in zip(stakes, losses, strict=True)
    ]  # fmt: skip


def test_savings_are_what_was_lost_less_than_by_what_was_held_out():
    found = evidence(arm(400, held_out=False, lost=0.3) + arm(100, held_out=True, lost=0.7))
    assert found.compared and (found.acted, found.held_out) == (400, 100)
    assert found.saved == pytest.approx(0.4, abs=0.07) and found.promised == pytest.approx(0.6, abs=0.01)
    assert found.low < 0.4 < found.high and found.high - found.low < 0.2


def test_limits_cover_the_truth_nine_times_in_ten():
    hits = 0
    for seed in range(0, 600, 2):
        found = evidence(
            arm(80, held_out=False, lost=0.4, seed=seed) + arm(40, held_out=True, lost=0.6, seed=seed)
        )  # fmt: skip
        hits += found.low <= 0.2 <= found.high
    assert 0.85 <= hits / 300 <= 0.95


def test_without_a_control_what_was_at_stake_is_the_measure():
    found = evidence(arm(100, held_out=False, lost=0.25))
    assert not found.compared and found.saved == pytest.approx(0.75, abs=0.06)
    assert evidence(arm(50, held_out=True, lost=0.5)) is None


def test_actions_that_save_nothing_return_the_domain_to_people():
    useless = arm(200, held_out=False, lost=0.5) + arm(60, held_out=True, lost=0.5)
    assert "not sure that they saved anything" in worse_than_promised(useless, NOW)
    few = arm(ACTIONS_MIN - 1, held_out=False, lost=0.5) + arm(60, held_out=True, lost=0.5)
    assert worse_than_promised(few, NOW) is None


def test_one_bad_week_is_enough():
    good = arm(400, held_out=False, lost=0.3) + arm(100, held_out=True, lost=0.8)
    assert worse_than_promised(good, NOW) is None
    bad = arm(30, held_out=False, lost=0.75, days_ago=2, seed=7) + arm(30, held_out=True, lost=0.8, days_ago=2, seed=7)
    assert "of the last seven days" in worse_than_promised(good + bad, NOW)
    assert worse_than_promised(good + bad, NOW + timedelta(days=8)) is None


def of_kind(judged, kind):
    return [replace(j, kind=kind) for j in judged]


def test_what_cannot_be_held_out_does_not_make_others_look_better_or_worse():
    """Orders that are moved save nothing; promises, which have no control, are kept: pooled, the control of the former
    would speak for both."""
    moved = of_kind(arm(300, held_out=False, lost=0.7) + arm(60, held_out=True, lost=0.7), "reroute")
    kept = of_kind(arm(300, held_out=False, lost=0.2, seed=3), "re_promise")
    found = evidence(moved + kept)
    assert not found.compared and (found.acted, found.held_out) == (600, 60)
    assert found.saved == pytest.approx((0.0 + 0.8) / 2, abs=0.05)
    assert evidence(moved).saved == pytest.approx(0.0, abs=0.07)


def test_a_kind_that_has_hardly_begun_does_not_unsettle_the_others():
    good = of_kind(arm(200, held_out=False, lost=0.3) + arm(60, held_out=True, lost=0.8), "transfer")
    first = of_kind(arm(1, held_out=False, lost=0.99), "quarantine_stock")
    assert worse_than_promised(good + first, NOW) is None
    assert evidence(good + first).acted == 200
    few = of_kind(arm(4, held_out=False, lost=0.5, seed=5), "quarantine_stock")
    found = evidence(good + few)
    assert found.acted == 204 and found.low > 0
    assert evidence(first).acted == 1
