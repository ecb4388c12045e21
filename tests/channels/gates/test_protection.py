"""EMSR-b against a published example, Littlewood's rule, and what protection never does."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onhand.channels.gates import protection_units
from onhand.channels.gates.protection import quantile_units

# R. Wollmer's fares, as in K. Talluri and G. van Ryzin, The Theory and Practice of Revenue Management (2004).
FARES = [1050.0, 567.0, 534.0, 520.0]
MEANS = [17.3, 45.1, 39.6, 34.0]
DEVIATIONS = [5.8, 15.0, 13.2, 11.3]
# EMSR-b with normal demand.
PUBLISHED = [16.7, 50.9, 83.2]


def test_the_published_example():
    kept = protection_units(FARES, MEANS, [d * d for d in DEVIATIONS])
    assert kept[0] == 0
    # Negative binomial instead of normal demand, and whole units: within one and a half.
    assert kept[1:] == pytest.approx(PUBLISHED, abs=1.5)


def test_two_classes_are_littlewoods_rule():
    # Poisson 4: P(D <= 3) = 0.433, P(D <= 4) = 0.629, P(D <= 5) = 0.785.
    assert protection_units([10.0, 5.0], [4.0, 9.0], [4.0, 9.0]) == [0, 4]
    assert protection_units([10.0, 3.0], [4.0, 9.0], [4.0, 9.0]) == [0, 5]
    assert protection_units([10.0, 10.0], [4.0, 9.0], [4.0, 9.0]) == [0, 0]


@given(st.floats(0.01, 300.0), st.floats(1.0, 8.0), st.floats(0.0, 0.999))
@example(246.0, 1.0 + 2.0**-52, 0.9913385654280128)
def test_a_quantile_is_the_least_number_that_is_enough(mean, spread, share):
    units = quantile_units(mean, mean * spread, share)
    size = mean / max(spread - 1.0, 1e-9)

    # Digits are kept where demand is all but Poisson: `size` is huge there, and its logarithms of gamma are no use.
    def log_probability(k):
        rising = math.fsum(math.log1p((j - mean) / (size + mean)) for j in range(k))
        return rising + k * math.log(mean) - math.lgamma(k + 1) - size * math.log1p(mean / size)

    def below(n):
        return math.fsum(math.exp(log_probability(k)) for k in range(n + 1))

    assert below(units) >= share - 1e-6
    assert units == 0 or below(units - 1) < share + 1e-6


@given(
    st.lists(st.tuples(st.floats(0.0, 1e4), st.floats(0.0, 50.0), st.floats(1.0, 5.0)), min_size=1, max_size=6),
    st.floats(1.0, 3.0),
)
def test_worse_classes_leave_more_and_more_demand_of_better_ones_keeps_more(classes, factor):
    classes.sort(reverse=True)
    margins, means, spreads = (list(column) for column in zip(*classes, strict=True))
    kept = protection_units(margins, means, [m * s for m, s in zip(means, spreads, strict=True)])
    assert kept == sorted(kept)
    assert len(kept) == len(classes)
    if len(classes) == 2:
        more = [means[0] * factor, means[1]]
        after = protection_units(margins, more, [m * s for m, s in zip(more, spreads, strict=True)])
        assert after[1] >= kept[1]


def test_units_kept_from_one_class_are_kept_from_worse_ones_too():
    # The second class is so uncertain that the pooled demand of both is likely to be nothing at all.
    kept = protection_units([100.0, 90.0, 90.0], [10.0, 10.0, 1.0], [10.0, 1e6, 1.0])
    assert kept == [0, 6, 6]


def test_classes_out_of_order_are_refused():
    with pytest.raises(ValueError, match="order of their margins"):
        protection_units([1.0, 2.0], [1.0, 1.0], [1.0, 1.0])


def test_large_demand_is_a_number_too():
    assert quantile_units(20_000.0, 20_000.0, 0.5) == pytest.approx(20_000, rel=0.01)
    assert quantile_units(0.0, 0.0, 0.9) == 0
