"""Latencies as quantiles, kept and read back; how long a sale stays unseen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.channels.gates import Latency, rivals, windows_h


@given(st.lists(st.floats(0.02, 1e5), min_size=1, max_size=300), st.floats(0.01, 0.99))
def test_a_quantile_is_that_of_the_samples_within_a_bin(samples, share):
    latency = Latency()
    for seconds in samples:
        latency.add(seconds)
    exact = np.quantile(samples, share, method="inverted_cdf")
    assert exact * 0.999 <= latency.quantile_s(share) <= exact * 1.026


def test_new_samples_outweigh_old_ones():
    latency = Latency()
    for _ in range(5000):
        latency.add(60.0)
    for _ in range(2500):
        latency.add(600.0)
    assert latency.quantile_s(0.5) == pytest.approx(600.0, rel=0.03)


def test_a_declared_latency_holds_until_it_is_measured():
    latency = Latency.declared(900.0)
    assert latency.quantile_s(0.95) == pytest.approx(900.0, rel=0.03)
    for _ in range(400):
        latency.add(5.0)
    assert latency.quantile_s(0.95) == pytest.approx(5.0, rel=0.03)


def test_it_is_the_same_after_it_was_kept():
    latency = Latency()
    for seconds in (0.0, 0.3, 4.0, 4.1, 900.0, 1e9):
        latency.add(seconds)
    again = Latency.read(latency.document())
    assert [again.quantile_s(q / 20) for q in range(1, 20)] == [latency.quantile_s(q / 20) for q in range(1, 20)]


@pytest.mark.parametrize("document", [{"-1": 1.0}, {"738": 1.0}, {"5": -1.0}, {"x": 1.0}, {"5": float("nan")}])
def test_what_is_no_latency_is_refused(document):
    with pytest.raises(ValueError):
        Latency.read(document)


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_latency_is_a_number_of_seconds(seconds):
    with pytest.raises(ValueError):
        Latency().add(seconds)


def test_nothing_measured_is_no_latency():
    assert Latency().quantile_s(0.95) == 0.0


def test_a_window_is_hearing_waiting_and_applying():
    hear, wait, apply = np.array([60.0, 3600.0]), np.array([0.0, 900.0]), np.array([2.0, 7200.0])
    window = windows_h(hear, wait, apply, np.array([False, True]))
    assert window * 3600.0 == pytest.approx(np.array([[0.0, 60.0 + 8100.0], [3602.0, 3600.0 + 8100.0]]))


def test_channels_that_know_sooner_are_rivals():
    lag = np.array([2.0, 60.0, 60.0, 7200.0])
    window = windows_h(np.zeros(4), np.zeros(4), lag, np.array([False, False, False, True]))
    assert rivals(window).astype(int).tolist() == [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
