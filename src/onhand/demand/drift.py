"""Whether errors have become others than they were: one-sided CUSUM, and ADWIN.

A CUSUM adds up by how much each value lies above what was usual, less a slack, and never falls below 0 (Page 1954); it
finds small shifts that last soonest. What was usual is not known beforehand, so each value is told in deviations from
those before it (self-starting: Hawkins 1987). ADWIN keeps the longest window of values no two parts of which have means
that differ for sure (Bifet and Gavaldà 2007): it finds shifts in both directions, and forgets what was before them.
"""

from typing import Final

import numpy as np

from onhand.demand.panel import Float64

SLACK: Final = 0.5
"""In deviations: half of the shift that is to be found soonest, which is one deviation."""
ALARM: Final = 5.0
"""In deviations: with a slack of 0.5 a false alarm comes once in 930 values or so (Montgomery 2009, section 9.1)."""
# Values until a mean and a deviation say anything.
_BEFORE_MIN: Final = 7


def cusum(values: Float64, *, mean: float = 0.0, deviation: float = 1.0, slack: float = SLACK) -> Float64:
    """float64[t]: `S[t] = max(0, S[t - 1] + (x[t] - mean) / deviation - slack)`, of values float64[t]."""
    sums, total = np.empty(len(values)), 0.0
    for n, value in enumerate(values):
        total = max(0.0, total + (float(value) - mean) / deviation - slack)
        sums[n] = total
    return sums


def standardised(values: Float64) -> Float64:
    """float64[t]: each of values float64[t] in deviations from those before it, as a standard normal value.

    Its distance has Student's distribution, which is taken to the normal one as Wallace (1959) does, within 0.02. The
    first seven are 0: they tell what is usual.
    """
    out = np.zeros(len(values))
    for n in range(_BEFORE_MIN, len(values)):
        before = values[:n]
        deviation = float(before.std(ddof=1))
        distance = float(values[n] - before.mean())
        if deviation <= 1e-12 * max(1.0, abs(float(before.mean()))):
            # Always the same until now: any other value is as far as can be told.
            out[n] = 0.0 if abs(distance) <= 1e-9 * max(1.0, abs(float(before.mean()))) else np.sign(distance) * ALARM
            continue
        t, free = distance / (deviation * np.sqrt(1 + 1 / n)), n - 1
        out[n] = np.sign(t) * (8 * free + 1) / (8 * free + 3) * np.sqrt(free * np.log1p(t * t / free))
    return out


def rises(values: Float64, *, alarm: float = ALARM) -> int | None:
    """At which of values float64[t] it is sure that they have risen, by a self-starting CUSUM; None: they have not."""
    over = np.flatnonzero(cusum(standardised(values)) > alarm)
    return int(over[0]) if len(over) else None


def window(values: Float64, *, confidence: float = 0.002) -> int:
    """How many of the last of values float64[t] in [0, 1] have one mean, by ADWIN: t if nothing has changed.

    confidence  chance that a change is seen where there is none

    A window is cut where `|m0 - m1| > sqrt(2 v d / m) + 2 d / (3 m)`, m half the harmonic mean of the lengths of its
    parts, v its variance, `d = ln(2 ln(length) / confidence)` (equation 3.1). All cuts are looked at, not only those of
    exponential histograms: values are few. O(t²).
    """
    begin = 0
    for end in range(2, len(values) + 1):
        while (cut := _cut(values[begin:end], confidence)) is not None:
            begin += cut
    return len(values) - begin


def _cut(values: Float64, confidence: float) -> int | None:
    length = len(values)
    if length < 2 * _BEFORE_MIN:
        return None
    places = np.arange(_BEFORE_MIN, length - _BEFORE_MIN + 1)
    total = np.cumsum(values)
    before, after = total[places - 1] / places, (total[-1] - total[places - 1]) / (length - places)
    size = 1 / (1 / places + 1 / (length - places))
    depth = np.log(2 * np.log(length) / confidence)
    bound = np.sqrt(2 / size * values.var() * depth) + 2 / (3 * size) * depth
    differs = np.flatnonzero(np.abs(before - after) > bound)
    # The oldest goes first, as little of it as will do.
    return int(places[differs[0]]) if len(differs) else None
