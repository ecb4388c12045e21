"""Replays: small shops by hand, and what always holds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.channels.gates import Bursts, GateSetting, no_sales, rule_of
from onhand.channels.gates.replay import Lags, Shop, replay, replay_perfect


def shop_of(orders, *, base, supply=(1000.0,), end_h=100.0, late_h=0.0):
    """One item; orders (hour, channel)."""
    orders = sorted(orders)
    return Shop(
        first=np.array([0, len(orders)], dtype=np.int64),
        at_h=np.array([at for at, _ in orders], dtype=np.float64),
        channel=np.array([channel for _, channel in orders], dtype=np.int32),
        due_first=np.array([0, len(supply)], dtype=np.int64),
        due_h=np.array(supply, dtype=np.float64),
        comes_h=np.array(supply, dtype=np.float64) + late_h,
        late_h=late_h,
        base=np.array([base], dtype=np.int32),
        end_h=end_h,
    )


def sell(shop, *, hear=(0.0, 0.0), tell=(0.0, 1.0), gates=(0, 0), overwrites=False, jitter=0.0, seed=1, setting=None):
    channels = len(tell)
    lags = Lags(
        hear_h=np.array(hear, dtype=np.float64),
        tell_h=np.array(tell, dtype=np.float64),
        jitter=jitter,
        overwrites=np.full(channels, overwrites),
    )
    window = np.add.outer(lags.hear_h, lags.tell_h)
    np.fill_diagonal(window, 0.0)
    rule = rule_of(setting or [GateSetting(units=units) for units in gates], window, holds=False)
    bursts = Bursts()
    velocity = no_sales(np.full((shop.base.size, channels), 0.2), bursts=bursts)
    out = replay(shop, lags, velocity, rule, bursts, 1.0, True, seed)
    return {name: values.tolist() for name, values in out._asdict().items() if name != "writes"}


def test_a_sale_elsewhere_oversells_until_the_channel_has_heard():
    shop = shop_of([(0.1, 0), (0.5, 1)], base=1)
    assert sell(shop) == {"asked": [1, 1], "lost": [0, 0], "oversold": [0, 1]}
    later = shop_of([(0.1, 0), (1.2, 1)], base=1)
    assert sell(later) == {"asked": [1, 1], "lost": [0, 1], "oversold": [0, 0]}


def test_a_unit_hidden_prevents_it():
    shop = shop_of([(0.1, 0), (0.5, 1)], base=1)
    assert sell(shop, gates=(0, 1)) == {"asked": [1, 1], "lost": [0, 1], "oversold": [0, 0]}


def test_news_from_the_channel_takes_its_time_too():
    shop = shop_of([(0.1, 1), (0.5, 0)], base=1)
    assert sell(shop, hear=(0.0, 1.0))["oversold"] == [1, 0]
    assert sell(shop, hear=(0.0, 0.2))["lost"] == [1, 0]


def test_a_channel_counts_its_own_sales_unless_writes_overwrite_them():
    # A write that knows of the first sale of channel 0 only, and not of that of channel 1, sets 2 there.
    shop = shop_of([(0.1, 0), (0.2, 1), (1.5, 1), (1.6, 1)], base=3)
    counted = sell(shop, hear=(0.0, 5.0))
    assert (counted["lost"], counted["oversold"]) == ([0, 1], [0, 0])
    overwritten = sell(shop, hear=(0.0, 5.0), overwrites=True)
    assert (overwritten["lost"], overwritten["oversold"]) == ([0, 0], [0, 1])


def test_supply_fills_up_and_serves_who_waits_first():
    # The unit of supply that the oversold order waits for is gone: of 2 then 1 is left, and a second order finds none.
    orders = [(0.1, 0), (0.2, 1), (20.0, 0), (20.5, 0), (20.6, 0)]
    shop = shop_of(orders, base=1, supply=[10.0, 1000.0])
    out = sell(shop, tell=(0.0, 1.0))
    assert out["oversold"] == [0, 1]
    assert out["lost"] == [2, 0]


def test_supply_is_ordered_by_what_is_known():
    # Of 2 units one was sold on channel 1 when supply fills up, and nobody has heard: nothing comes, and 1 is left.
    shop = shop_of([(0.2, 1), (11.0, 0), (12.0, 0)], base=2, supply=[10.0, 1000.0])
    assert sell(shop, hear=(0.0, 50.0))["oversold"] == [1, 0]


def test_gates_open_before_a_supply_that_is_known():
    """Hours before supply a slow channel may sell the last units; days before they are kept for the fast one."""
    setting = [GateSetting(mode="adaptive"), GateSetting(mode="adaptive")]
    demand = [(float(t), 1) for t in np.linspace(30.0, 47.0, 6)]
    soon = sell(shop_of(demand, base=3, supply=[48.0]), tell=(0.0, 2.0), setting=setting)
    far = sell(shop_of(demand, base=3, supply=[400.0]), tell=(0.0, 2.0), setting=setting)
    assert soon["lost"][1] < far["lost"][1]


orders_of = st.lists(st.tuples(st.floats(0.01, 99.0), st.integers(0, 1)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(orders_of, st.integers(0, 8), st.floats(0.0, 5.0), st.floats(0.0, 5.0), st.integers(0, 4), st.booleans())
def test_what_always_holds(orders, base, hear, tell, units, overwrites):
    shop = shop_of(orders, base=base, supply=[30.0, 60.0, 200.0])
    out = sell(shop, hear=(0.0, hear), tell=(0.0, tell), gates=(units, units), overwrites=overwrites, jitter=0.5)
    asked, lost, oversold = (np.array(out[k]) for k in ("asked", "lost", "oversold"))
    assert asked.sum() == len(orders)
    assert (lost >= 0).all()
    assert (oversold <= asked - lost).all()
    # Nobody serves more of them than who knows everything.
    assert lost.sum() + oversold.sum() >= replay_perfect(shop, 2).sum()
    if hear == tell == 0.0:
        assert oversold.sum() == 0
        if units == 0:
            assert lost.tolist() == replay_perfect(shop, 2).tolist()
    again = sell(shop, hear=(0.0, hear), tell=(0.0, tell), gates=(units, units), overwrites=overwrites, jitter=0.5)
    assert again == out


@pytest.mark.parametrize("mode", ["fixed", "adaptive"])
def test_a_gate_of_everything_loses_everything_and_oversells_nothing(mode):
    shop = shop_of([(1.0, 0), (2.0, 1), (3.0, 1)], base=5)
    setting = [GateSetting(mode=mode, units=1000, floor=1000)] * 2
    assert sell(shop, setting=setting) == {"asked": [1, 2], "lost": [1, 2], "oversold": [0, 0]}
    assert math.isfinite(shop.end_h)
