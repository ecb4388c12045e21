"""Velocity: the filter against a plain one in small steps; bursts are noticed and do not spoil the usual rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.channels.gates import Bursts, no_sales, observe, rates
from onhand.channels.gates.demand import fit_bursts

BURSTS = Bursts(multiplier=10.0, starts_per_h=0.05, mean_h=3.0, half_life_h=1e9)
ONE = np.array([0], dtype=np.int32)


def hear(velocity, times, *, channel=0, bursts=BURSTS):
    n = len(times)
    zeros = np.zeros(n, dtype=np.int32)
    observe(velocity, zeros, zeros + channel, zeros + 1, np.array(times, dtype=np.float64), bursts)


def plain_filter(rate, times, until, bursts, burst, step=1e-4):
    """Probability of a burst by small steps of time; the usual rate is known."""
    heard = {round(t / step) for t in times}
    for n in range(1, round(until / step) + 1):
        start, end = bursts.starts_per_h * step, step / bursts.mean_h
        burst = burst * (1 - end) + (1 - burst) * start
        if n in heard:
            high, low = burst * bursts.multiplier, 1 - burst
        else:
            high, low = burst * (1 - bursts.multiplier * rate * step), (1 - burst) * (1 - rate * step)
        burst = high / (high + low)
    return burst


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 3.0), st.lists(st.floats(0.05, 1.9), max_size=5, unique_by=lambda t: round(t, 3)))
def test_the_filter_is_the_plain_one(rate, times):
    # Worth so many hours that the usual rate stays what it is.
    velocity = no_sales(np.array([[rate]]), worth_h=1e12, bursts=BURSTS)
    before = float(velocity.burst[0])
    hear(velocity, sorted(times))
    _, burst = rates(velocity, ONE, 2.0, BURSTS)
    assert burst[0] == pytest.approx(plain_filter(rate, times, 2.0, BURSTS, before), abs=3e-3)


def test_a_burst_is_noticed_after_a_few_sales_and_forgotten_in_silence():
    velocity = no_sales(np.array([[0.5]]), bursts=BURSTS)
    quiet = rates(velocity, ONE, 10.0, BURSTS)[1][0]
    hear(velocity, [10.0, 10.1, 10.2, 10.3, 10.4])
    during = rates(velocity, ONE, 10.4, BURSTS)[1][0]
    after = rates(velocity, ONE, 14.0, BURSTS)[1][0]
    assert quiet < 0.15
    assert during > 0.9
    assert after < 0.15


def test_the_usual_rate_is_learned_and_bursts_are_left_out_of_it():
    rng = np.random.default_rng(3)
    velocity = no_sales(np.array([[2.0]]), worth_h=1.0, bursts=BURSTS._replace(starts_per_h=0.02))
    parts = [rng.random(400) * 400.0]
    # Eight bursts of 3 hours at ten times the usual, which is 1 per hour: half as much again in all.
    parts += [start + 3.0 * rng.random(27) for start in range(30, 400, 50)]
    hear(velocity, np.sort(np.concatenate(parts)), bursts=BURSTS._replace(starts_per_h=0.02))
    usual = rates(velocity, ONE, 400.0, BURSTS._replace(starts_per_h=0.02))[0][0, 0]
    assert usual == pytest.approx(1.0, rel=0.2)


def test_what_was_long_ago_fades():
    fading = BURSTS._replace(half_life_h=24.0)
    velocity = no_sales(np.array([[0.4]]), worth_h=24.0, bursts=fading)
    hear(velocity, np.linspace(1.0, 100.0, 100), bursts=fading)
    busy = rates(velocity, ONE, 100.0, fading)[0][0, 0]
    hear(velocity, [1000.0], bursts=fading)
    assert busy > 0.5
    assert rates(velocity, ONE, 1000.0, fading)[0][0, 0] < 0.3


def test_late_news_says_less_about_now():
    times = [1.0, 1.1, 1.2]
    told = []
    for hear_h in (0.0, 2.0, 12.0):
        velocity = no_sales(np.array([[0.3]]), hear_h=np.array([hear_h]), bursts=BURSTS)
        hear(velocity, times)
        told.append(rates(velocity, ONE, 1.2, BURSTS)[1][0])
    assert told[0] > told[1] > told[2]


def test_bursts_are_fitted_to_what_was_sold():
    """300 items, a week, a burst of ten times the usual in 100 hours: nearer the truth than where the search begins."""
    rng = np.random.default_rng(5)
    parts = []
    for _ in range(300):
        times = list(rng.random(rng.poisson(0.5 * 168)) * 168.0)
        for start in rng.random(rng.poisson(1.68)) * 168.0:
            length = min(rng.exponential(3.0), 168.0 - start)
            times += list(start + rng.random(rng.poisson(9 * 0.5 * length)) * length)
        parts.append(np.sort(times))
    first = np.cumsum([0] + [part.size for part in parts])
    at_h = np.concatenate(parts)
    where = np.zeros(at_h.size, dtype=np.int32)
    fitted = fit_bursts(first.astype(np.int64), at_h, where, np.full((300, 1), 0.5), 168.0)
    assert fitted.multiplier == pytest.approx(10.0, rel=0.35)
    assert fitted.starts_per_h == pytest.approx(0.01, rel=0.5)
    assert fitted.mean_h == pytest.approx(3.0, rel=0.55)
