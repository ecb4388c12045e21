"""Gates of a running installation: within bounds whatever happens, by pools, kept as items and channels come."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.channels.gates import Bursts, GateSetting, decide, no_sales, nothing_told, rule_of, sentence
from onhand.channels.gates.exposure import Latency
from onhand.channels.gates.live import LATE_H, Gates, Latencies, Seller, Supply
from onhand.channels.gates.settings import hidden, hidden_of_all

ADAPTIVE = GateSetting(mode="adaptive", alpha=0.001, lag_s=7200.0)
HOUR = 3600.0
DEMAND = Bursts()
ONE = np.array([1], np.int32)


def seller(n, setting=ADAPTIVE, nodes=(1,), **more):
    return Seller(channel_id=n, code=f"c{n}", setting=setting, nodes=nodes, **({"overwrites": False} | more))


SOLD = {(1, 1): 50.0}


def gates_of(*sellers, units=SOLD):
    """After ten days in which channel 1 sold one of item 1 in five hours, or `units`."""
    gates = Gates(0.0)
    gates.take_sellers(sellers)
    gates.take_history(units, 240.0, 0.0)
    return gates


def stock_of(units, channels, items=1):
    return np.full((items, channels), units, np.int64)


def sell(gates, channel, times, *, item=1, from_s=HOUR):
    gates.sold([channel] * times, [item] * times, [1] * times, [from_s + 60.0 * n for n in range(times)])


def gate(gates, channel, units=12, *, item=1, at_s=2 * HOUR):
    """The gate of one channel, decided anew."""
    channels = len(gates.sellers)
    column = [s.channel_id for s in gates.sellers].index(channel)
    return int(gates.of(np.array([item], np.int32), stock_of(units, channels), at_s)[0, column])


modes = st.one_of(
    st.builds(GateSetting, units=st.integers(0, 9)),
    st.builds(GateSetting, mode=st.just("percent"), percent=st.floats(0.0, 100.0), floor=st.integers(0, 2)),
    st.builds(
        GateSetting, mode=st.just("adaptive"), alpha=st.floats(1e-4, 0.5), lag_s=st.floats(0.0, 20_000.0),
        floor=st.integers(0, 3), cap=st.none() | st.integers(3, 9),
    ),
)  # fmt: skip


@st.composite
def installations(draw):
    return [
        seller(
            n, draw(modes), tuple(sorted(draw(st.sets(st.integers(1, 3), min_size=1)))),
            is_active=draw(st.booleans()), margin_rate=draw(st.none() | st.floats(0.0, 1.0)),
            overwrites=draw(st.booleans()),
        )
        for n in range(1, draw(st.integers(2, 5)))
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(installations(), st.data())
def test_never_above_what_there_is_and_never_negative(sellers, data):
    gates = gates_of(*sellers)
    items = np.arange(1, 4, dtype=np.int32)
    now = 0.0
    for _ in range(data.draw(st.integers(1, 5))):
        now += data.draw(st.floats(0.0, 40.0)) * HOUR
        if data.draw(st.booleans()):
            due = now + data.draw(st.floats(-100.0, 100.0)) * HOUR
            gates.take_supply(Supply(items, np.array([1, 2, 3], np.int32), np.full(3, due)))
        sell(gates, data.draw(st.integers(1, 5)), data.draw(st.integers(0, 12)), item=data.draw(st.integers(1, 4)),
             from_s=now)  # fmt: skip
        per_node = np.array(data.draw(st.lists(st.integers(-3, 40), min_size=9, max_size=9))).reshape(3, 3)
        stock = np.stack([per_node[:, [n - 1 for n in s.nodes]].sum(axis=1) for s in sellers], axis=1).astype(np.int64)
        out = np.broadcast_to(gates.of(items, stock, now + 0.5 * HOUR), stock.shape)
        assert (out >= 0).all()
        for column, one in enumerate(sellers):
            if one.setting.mode == "fixed":
                assert (out[:, column] == one.setting.units).all() or not gates._is_plain
            else:
                assert (out[:, column] <= np.maximum(stock[:, column], 0)).all()
            if one.setting.cap is not None and one.margin_rate is None:
                assert (out[:, column] <= one.setting.cap).all()


@given(st.lists(modes, min_size=1, max_size=4), st.integers(0, 50))
def test_plain_gates_are_those_that_the_kernel_decides(modes, stock):
    rule = rule_of(modes, np.zeros((len(modes), len(modes))), holds=False)
    velocity = no_sales(np.full((1, len(modes)), 0.1))
    there, never = np.array([stock], np.int32), np.array([math.inf])
    _, decided = decide(
        velocity, nothing_told(1, len(modes)), np.zeros(1, np.int32), there, never, never, rule, DEMAND, 0.0
    )
    together = hidden_of_all(modes, stock_of(stock, len(modes)))
    for column, one in enumerate(modes):
        if one.mode != "adaptive":
            assert decided[0, column] == together[0, column] == hidden(one, stock)
        else:
            assert hidden(one, stock, int(decided[0, column])) == decided[0, column]


def test_without_a_computed_gate_nothing_is_kept():
    gates = gates_of(seller(1, GateSetting(units=2)), seller(2, GateSetting(floor=3)))
    sell(gates, 1, 5)
    assert gates.of(np.arange(1, 9, dtype=np.int32), stock_of(9, 2, 8), HOUR).tolist() == [2, 3]
    assert (gates.items.size, gates.is_computed, gates.changed([1, 2], HOUR)) == (0, False, [])


def test_a_brisk_seller_closes_the_slow_channel_and_silence_opens_it():
    gates = gates_of(seller(1, GateSetting()), seller(2))
    quiet = gate(gates, 2)
    sell(gates, 1, 6)
    brisk = gate(gates, 2)
    assert brisk > quiet + 2
    later = [gate(gates, 2, at_s=n * HOUR) for n in (30.0, 31.0, 32.0)]
    assert later[0] == brisk, "it opens when that holds twice"
    assert later[-1] < brisk


def test_a_longer_latency_or_a_smaller_target_never_shows_more():
    found = []
    for lag_s in (1.0, 600.0, 7200.0, 40_000.0):
        gates = gates_of(seller(1, GateSetting()), seller(2))
        gates.latencies[2] = Latencies()
        for _ in range(20):
            gates.latencies[2].apply.add(lag_s)
        gates.refresh()
        sell(gates, 1, 6)
        found.append(gate(gates, 2))
    assert found == sorted(found)
    assert found[0] == 0 < found[-1]
    risky = gates_of(seller(1, GateSetting()), seller(2))
    sell(risky, 1, 6)
    before = gate(risky, 2)
    risky.taus[2] = 1e-4
    risky.refresh()
    assert gate(risky, 2) > before


def test_a_latency_that_hardly_moves_moves_no_gate():
    def hidden(seconds):
        gates = gates_of(seller(1, GateSetting()), seller(2))
        sell(gates, 1, 6)
        found = []
        for lag_s in seconds:
            gates.latencies[2] = Latencies(apply=Latency.declared(lag_s, worth=900.0))
            gates.refresh()
            found.append(gate(gates, 2))
        return found

    first, near, far = hidden([7200.0, 7900.0, 14_400.0])
    assert first == near < far
    assert hidden([7200.0, 7900.0, 11_000.0])[-1] > first, "from what was decided by, not from what was measured last"


def test_only_channels_that_sell_from_the_same_nodes_count():
    found = {}
    for name, nodes in {"same": (1,), "some": (1, 2), "others": (2,)}.items():
        gates = gates_of(seller(1, GateSetting(), nodes), seller(2))
        sell(gates, 1, 6)
        found[name] = gate(gates, 2)
    assert found["same"] == found["some"] > 2
    assert found["others"] == 0
    asleep = gates_of(seller(1, GateSetting(), is_active=False), seller(2))
    sell(asleep, 1, 6)
    assert gate(asleep, 2) == 0


def test_items_and_channels_that_come_later_change_nothing_for_those_that_are_there():
    gates = gates_of(seller(1, GateSetting()), seller(2))
    sell(gates, 1, 6)
    before = gate(gates, 2)
    many = np.arange(2, 5_000, dtype=np.int32)
    gates.of(many, stock_of(3, 2, many.size), 2 * HOUR)
    assert gates.items.size == 4_999
    assert gate(gates, 2) == before
    gates.take_sellers([*gates.sellers, seller(3, GateSetting(), nodes=(2,))])
    assert gate(gates, 2, at_s=30 * HOUR) == before, "what was told is remembered: it opens when that holds twice"
    assert gate(gates, 2, at_s=31 * HOUR) < before
    gates.take_sellers([replace(s, setting=GateSetting()) for s in gates.sellers])
    assert not gates.is_computed
    assert gates.items.size == 0


def test_what_was_sold_before_is_where_velocities_begin():
    gates = gates_of(seller(1, GateSetting()), seller(2), units={(1, 1): 480.0})
    assert gate(gates, 2, item=1) > gate(gates, 2, item=2)
    facts = gates.why(2, 1, 2 * HOUR)
    assert facts.usual_per_h == pytest.approx(480.0 / 264.0, rel=0.05)
    assert gates.soon(1, np.array([1, 2, 9_999], np.int32), 2 * HOUR).tolist() == pytest.approx(
        [facts.rate_per_h / 60.0, gates.why(2, 2, 2 * HOUR).rate_per_h / 60.0, 0.0]
    )


def test_supply_that_is_due_opens_gates_and_what_never_came_does_not():
    def hidden_when(due_h):
        gates = gates_of(seller(1, GateSetting()), seller(2, replace(ADAPTIVE, lag_s=40 * HOUR)))
        sell(gates, 1, 6)
        gates.of(ONE, stock_of(12, 2), 2 * HOUR)
        if due_h is not None:
            gates.take_supply(Supply(ONE, np.array([1], np.int32), np.array([2 * HOUR + due_h * HOUR])))
        return [gate(gates, 2, 60) for _ in range(3)][-1]

    assert hidden_when(1.0) < hidden_when(None)
    assert hidden_when(-3.5 * LATE_H) == hidden_when(None)


def test_the_last_units_are_kept_for_the_better_channel_until_supply():
    def hidden_from(stock, *, dear_margin=0.6, cap=None):
        cheap = seller(1, replace(ADAPTIVE, cap=cap), margin_rate=0.1)
        gates = gates_of(cheap, seller(2, margin_rate=dear_margin), units={(1, 1): 100.0, (1, 2): 100.0})
        gates.taus.update({1: 1.0, 2: 1.0})
        gates.refresh()
        gates.take_supply(Supply(ONE, np.array([1], np.int32), np.array([2 * HOUR + 10 * HOUR])))
        return gates.of(ONE, stock_of(stock, 2), 2 * HOUR)[0].tolist()

    assert hidden_from(4) == [4, 0]
    assert hidden_from(4000) == [0, 0], "there is enough for all"
    assert hidden_from(4, dear_margin=None) == [0, 0], "a margin that nobody knows protects nobody"
    assert hidden_from(4, cap=3) == [3, 0]


def test_a_gate_is_told_once_for_each_change_with_what_it_rests_on():
    gates = gates_of(seller(1, GateSetting()), seller(2), seller(3))
    sell(gates, 1, 6)
    hid = gate(gates, 2)
    (change, other) = sorted(gates.changed([1, 2, 3], 2 * HOUR))
    assert (change.channel_id, change.item_id, change.units, change.stock, change.seller_id) == (2, 1, hid, 12, 1)
    assert (other.channel_id, change.lag_s) == (3, 7200.0)
    gate(gates, 2)
    assert gates.changed([2, 3], 2 * HOUR) == []
    assert sentence(gates.why(2, 1, 2 * HOUR)).startswith(f"hid {hid} of 12: c1 sells ")
    gates.noted(2, ONE, np.array([hid], np.int32))
    assert gates.changed([2], 2 * HOUR) == []
    gates.noted(2, ONE, np.array([hid + 1], np.int32))
    assert [c.channel_id for c in gates.changed([2], 2 * HOUR)] == [2], "what is noted is another number"
    assert gates.why(1, 1, 2 * HOUR) is None


def usual_per_h(gates, item):
    """Units per hour of an item on each channel, before anything was sold."""
    gates.meet(np.array([item], np.int32))
    row = gates.items.tolist().index(item)
    velocity = gates._velocity
    return (velocity.prior_units[row] / velocity.prior_h[row]).tolist()


def test_what_is_forecast_goes_before_what_was_sold_and_is_shared_out_as_that_was():
    sold = {(1, 1): 30.0, (1, 2): 10.0, (2, 1): 9.0, (2, 2): 99.0}
    gates = gates_of(seller(1), seller(2), seller(3, is_active=False), units=sold)
    before = usual_per_h(gates, 1)
    gates.take_forecast(np.array([1, 7], np.int32), np.array([4.0, 1.5]))
    now = usual_per_h(gates, 1)
    assert sum(now[:2]) == pytest.approx(4.0)
    assert now[0] / now[1] == pytest.approx(before[0] / before[1])
    assert now[2] == before[2], "of what is expected a channel that is not active gets nothing"
    # Nobody bought item 7: it goes as all items together.
    assert usual_per_h(gates, 7)[:2] == pytest.approx([1.5 * 40 / 150, 1.5 * 110 / 150])
    # What is not forecast is as it was sold.
    assert usual_per_h(gates, 2) == pytest.approx(usual_per_h(gates_of(*gates.sellers, units=sold), 2))
    gates.take_forecast(np.zeros(0, np.int32), np.zeros(0))
    assert usual_per_h(gates, 1) == before, "no forecast covers now: as if there had been none"


def test_a_forecast_of_nothing_leaves_a_little():
    gates = gates_of(seller(1), seller(2))
    gates.take_forecast(np.array([1], np.int32), np.array([0.0]))
    assert usual_per_h(gates, 1) == pytest.approx([0.001, 0.001])


def test_of_a_forecast_a_channel_that_comes_or_stops_selling_has_its_share_or_none():
    gates = gates_of(seller(1), units={})
    gates.take_forecast(np.array([1], np.int32), np.array([6.0]))
    assert usual_per_h(gates, 1) == pytest.approx([6.0])
    gates.take_sellers([seller(1), seller(2)])
    assert usual_per_h(gates, 1) == pytest.approx([3.0, 3.0])
    gates.take_sellers([seller(1, is_active=False), seller(2)])
    assert usual_per_h(gates, 1)[1] == pytest.approx(6.0)


def test_sales_that_were_heard_count_on_when_another_forecast_comes():
    quiet, busy = (gates_of(seller(1), seller(2), units={}) for _ in range(2))
    sell(busy, 1, 5)
    for gates in (quiet, busy):
        gates.take_forecast(np.array([1], np.int32), np.array([0.1]))
    assert gate(busy, 2) > gate(quiet, 2)


def test_a_forecast_closes_the_gate_of_a_slow_channel_before_anything_is_sold():
    fast, slow = seller(1, GateSetting(mode="adaptive", alpha=0.001, lag_s=2.0)), seller(2)
    calm, awaited = (gates_of(fast, slow, units={}) for _ in range(2))
    awaited.take_forecast(np.array([1], np.int32), np.array([5.0]))
    assert gate(awaited, 2) > gate(calm, 2)
