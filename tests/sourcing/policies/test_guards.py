"""Guards: sound canaries stay, bad ones go, however often they are looked at."""

import numpy as np
import pytest

from onhand.sourcing.policies.guards import ALPHA, Sample, judge
from onhand.sourcing.policies.model import GuardIn

COST = GuardIn(metric="cost_per_order_minor", worse_by=0.05)
LATE = GuardIn(metric="late_share", worse_by=0.02)
ORDERS, LOOKS, TRIALS = 4_000, 80, 150


def taken_back(draw, guard, *, seed):
    """Share of canaries that are taken back within 4,000 orders and 80 looks, and after how many orders (median).

    draw  (random source, orders, is the canary) -> float64[orders]; the active version has four times as many
    """
    rng = np.random.default_rng(seed)
    after = []
    for _ in range(TRIALS):
        sums = []
        for is_canary in (True, False):
            amounts = draw(rng, ORDERS if is_canary else 4 * ORDERS, is_canary)
            sums.append((np.cumsum(amounts), np.cumsum(amounts * amounts)))
        for orders in range(ORDERS // LOOKS, ORDERS + 1, ORDERS // LOOKS):
            samples = []
            for (total, squares), times in zip(sums, (1, 4), strict=True):
                at = orders * times
                share = guard.metric == "late_share"
                samples.append(
                    Sample.of_share(at, int(total[at - 1]))
                    if share
                    else Sample.of_amounts(at, float(total[at - 1]), float(squares[at - 1]))
                )
            if judge([guard], {guard.metric: samples[0]}, {guard.metric: samples[1]}):
                after.append(orders)
                break
    return len(after) / TRIALS, float(np.median(after)) if after else None


def test_a_canary_that_is_just_as_bad_as_allowed_stays():
    def cost(rng, orders, is_canary):
        return rng.gamma(4, 262.5 if is_canary else 250, orders)  # means 1050 and 1000, deviation 500

    def late(rng, orders, is_canary):
        return (rng.random(orders) < (0.12 if is_canary else 0.10)).astype(float)

    # Of 150, five standard deviations above 5 %.
    most = ALPHA + 5 * (ALPHA * (1 - ALPHA) / TRIALS) ** 0.5
    for draw, guard in ((cost, COST), (late, LATE)):
        share, _ = taken_back(draw, guard, seed=1)
        assert share <= most


def test_a_planted_bad_canary_is_taken_back_soon():
    share, after = taken_back(lambda rng, n, bad: rng.gamma(4, 287.5 if bad else 250, n), COST, seed=2)
    assert share == 1
    assert after <= 1_000
    share, after = taken_back(lambda rng, n, bad: (rng.random(n) < (0.2 if bad else 0.1)).astype(float), LATE, seed=3)
    assert share == 1
    assert after <= 1_000


def sample(orders, mean, variance=1.0):
    return Sample(orders=orders, mean=mean, variance=variance)


def test_both_versions_need_their_orders():
    bad, good = sample(10_000, 2_000), sample(10_000, 1_000)
    few = sample(199, 2_000)
    key = COST.metric
    assert judge([COST], {key: bad}, {key: good}) is not None
    assert judge([COST], {key: few}, {key: good}) is None
    assert judge([COST], {key: bad}, {key: sample(199, 1_000)}) is None
    assert judge([COST], {}, {key: good}) is None
    assert judge([COST], {key: bad}, {}) is None
    assert judge([], {key: bad}, {key: good}) is None


@pytest.mark.parametrize(
    ("guard", "canary", "active", "broken"),
    [
        (COST, 1_051, 1_000, True),
        (COST, 1_049, 1_000, False),  # relative: 5 % of 1,000
        (LATE, 0.121, 0.10, True),
        (LATE, 0.119, 0.10, False),  # in points: 0.02
        (LATE, 0.021, 0.0, True),
    ],
)
def test_what_is_allowed(guard, canary, active, broken):
    orders, key = 100_000_000, guard.metric
    breach = judge([guard], {key: sample(orders, canary)}, {key: sample(orders, active)})
    assert (breach is not None) == broken
    if breach is not None:
        assert breach.metric == key
        assert 0 < breach.surely <= breach.canary - breach.allowed
        assert key in str(breach)


def test_a_better_canary_is_never_taken_back():
    key = COST.metric
    assert judge([COST], {key: sample(10**6, 500, 0.0)}, {key: sample(10**6, 1_000, 0.0)}) is None


def test_samples_from_sums():
    amounts = np.array([3.0, 5.0, 10.0])
    found = Sample.of_amounts(3, float(amounts.sum()), float((amounts**2).sum()))
    assert (found.mean, found.variance) == (pytest.approx(6.0), pytest.approx(float(amounts.var(ddof=1))))
    assert Sample.of_amounts(0, 0, 0).orders == 0
    none_late = Sample.of_share(100, 0)
    assert (none_late.mean, none_late.variance > 0) == (0, True)
