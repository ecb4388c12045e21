"""Gates: exact against a plain sum, monotone, within bounds, held, and the same whether decided singly or together."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onhand.channels.gates import Bursts, GateSetting, decide, no_sales, nothing_told, observe, rates, rivals, rule_of
from onhand.channels.gates.gate import unseen_distribution

BURSTS = Bursts(multiplier=8.0, starts_per_h=0.03, mean_h=2.5)
NOW = np.array([0], dtype=np.int32)


def case(window, per_h, *, taus=None, bursts=BURSTS, worth_h=50.0, settings=None, kept=None, holds=False):
    """(velocity, rule) of one shop; per_h float64[item, channel]."""
    per_h = np.array(per_h, dtype=np.float64)
    channels = per_h.shape[1]
    rule = rule_of(
        settings or [GateSetting(mode="adaptive")] * channels,
        np.array(window, dtype=np.float64),
        taus=taus,
        kept=kept,
        holds=holds,
    )
    return no_sales(per_h, worth_h=worth_h, bursts=bursts), rule


def gates_of(velocity, rule, stock, *, supply_h=math.inf, sure_h=None, told=None, now_h=0.0, bursts=BURSTS):
    """int32[item, channel]: gates, each item with the same stock."""
    items = np.arange(velocity.burst.size, dtype=np.int32)
    told = told or nothing_told(items.size, rule.tau.size)
    many = np.full(items.size, stock, dtype=np.int32)
    due = np.full(items.size, supply_h)
    sure = np.full(items.size, supply_h if sure_h is None else sure_h)
    shown, gate = decide(velocity, told, items, many, due, sure, rule, bursts, now_h)
    assert (shown == np.maximum(0, many[:, None] - gate)).all()
    return gate


def negative_binomial(mean, size, terms):
    """P(D = k), by logarithms of factorials."""
    if mean / size < 1e-290:
        return np.eye(1, terms)[0]
    return np.array(
        [
            math.exp(
                math.lgamma(size + k)
                - math.lgamma(size)
                - math.lgamma(k + 1)
                + size * math.log(size / (size + mean))
                + k * math.log(mean / (size + mean))
            )
            for k in range(terms)
        ]
    )


def plain_distribution(velocity, channel, window, sure_h, limit, burst, bursts, terms, support=400):
    """P(D <= k) by the text of the module, with sums over everything."""
    channels = window.shape[0]
    hours = min(max([window[d, channel] for d in range(channels) if limit[d] > 0], default=0.0), sure_h)
    start, end = bursts.starts_per_h, 1.0 / bursts.mean_h
    parts = [(0.0, (1 - burst) * math.exp(-start * hours)), (1.0, burst * math.exp(-end * hours))]
    for quarter in range(4):
        begins = (1 - burst) * (1 - math.exp(-start * hours)) / 4
        ends = burst * (math.exp(-end * hours * quarter / 4) - math.exp(-end * hours * (quarter + 1) / 4))
        parts.append(((quarter + 0.5) / 4, begins + ends))
    assert sum(weight for _, weight in parts) == pytest.approx(1.0)
    total = np.zeros(terms)
    for share, weight in parts:
        pmf = np.eye(1, terms)[0]
        for d in range(channels):
            length = min(window[d, channel], sure_h)
            if length <= 0 or limit[d] <= 0:
                continue
            size = velocity.prior_units[0, d] + velocity.units[0, d]
            rate = size / (velocity.prior_h[0, d] + velocity.watched_h[0, d])
            one = negative_binomial(rate * length * (1 + (bursts.multiplier - 1) * share), size, support)
            cut = np.zeros(terms)
            for k, p in enumerate(one):
                if min(k, limit[d]) < terms:
                    cut[min(k, limit[d])] += p
            if limit[d] < terms:
                cut[limit[d]] += 1 - one.sum()
            pmf = np.convolve(pmf, cut)[:terms]
        total += weight * np.cumsum(pmf)
    return total


hours = st.floats(0.0, 6.0)
per_h = st.floats(0.01, 3.0)


@st.composite
def shops(draw, channels=3):
    window = np.array([[draw(hours) for _ in range(channels)] for _ in range(channels)])
    np.fill_diagonal(window, 0.0)
    return window, [[draw(per_h) for _ in range(channels)]], [draw(st.floats(1e-4, 0.5)) for _ in range(channels)]


@settings(max_examples=60, deadline=None)
@given(shops(), st.lists(st.integers(0, 9), min_size=3, max_size=3), st.floats(0.0, 9.0), st.integers(0, 6))
def test_the_distribution_is_the_plain_sum(shop, limit, sure_h, sales):
    window, demand, taus = shop
    velocity, rule = case(window, demand, taus=taus, worth_h=3.0)
    when = np.linspace(0.1, 1.0, sales)
    observe(
        velocity,
        np.zeros(sales, np.int32),
        np.arange(sales, dtype=np.int32) % 3,
        np.ones(sales, np.int32),
        when,
        BURSTS,
    )
    _, burst = rates(velocity, NOW, 1.0, BURSTS)
    most = np.array(limit, dtype=np.int32)
    for channel in range(3):
        got = unseen_distribution(velocity, 0, channel, rule, sure_h, most, BURSTS, 1.0, 24)
        expected = plain_distribution(velocity, channel, window, sure_h, limit, burst[0], BURSTS, 24)
        assert got == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(shops(), st.integers(1, 40))
def test_without_known_supply_the_gate_is_the_quantile(shop, stock):
    window, demand, taus = shop
    velocity, rule = case(window, demand, taus=taus)
    gate = gates_of(velocity, rule, stock)[0]
    _, burst = rates(velocity, NOW, 0.0, BURSTS)
    for channel in range(3):
        below = plain_distribution(velocity, channel, window, math.inf, [stock] * 3, burst[0], BURSTS, stock + 1)
        enough = np.flatnonzero(1.0 - below <= taus[channel] + 1e-12)
        assert gate[channel] == min(stock, enough[0] if enough.size else stock)


@settings(max_examples=150, deadline=None)
@given(
    shops(),
    st.integers(0, 60),
    st.sampled_from(["latency", "velocity", "alpha", "supply"]),
    st.floats(1.0, 4.0),
    st.floats(0.1, 60.0),
    st.integers(0, 2),
)
def test_more_latency_velocity_or_a_smaller_price_never_shows_more(shop, stock, what, factor, supply_h, which):
    window, demand, taus = shop
    # Channels in the order of their exposure, so that rivals stay the same while one number grows.
    window = np.sort(window, axis=1)
    np.fill_diagonal(window, 0.0)
    velocity, rule = case(window, demand, taus=taus)
    before = gates_of(velocity, rule, stock, supply_h=supply_h, sure_h=1.5 * supply_h)[0]
    more = rule
    if what == "latency":
        larger = window.copy()
        larger[:, which] *= factor
        more = rule._replace(window_h=larger)
    elif what == "velocity":
        demand = [[rate * factor if d == which else rate for d, rate in enumerate(demand[0])]]
        # The same certainty of the rate: only the rate grows.
        velocity = velocity._replace(prior_h=velocity.prior_units / np.array(demand))
    elif what == "alpha":
        more = rule._replace(tau=np.where(np.arange(3) == which, rule.tau / factor, rule.tau))
    else:
        supply_h *= factor
    after = gates_of(velocity, more, stock, supply_h=supply_h, sure_h=1.5 * supply_h)[0]
    assert (after >= before).all()
    if what == "latency":
        # The channel that became slower may have got more rivals; others may have lost it as one.
        ranked = more._replace(rival=rivals(more.window_h))
        before = gates_of(velocity, rule._replace(rival=rivals(window)), stock, supply_h=supply_h, sure_h=supply_h)[0]
        after = gates_of(velocity, ranked, stock, supply_h=supply_h, sure_h=supply_h)[0]
        assert after[which] >= before[which]


@settings(max_examples=80, deadline=None)
@given(
    shops(),
    st.integers(-5, 3000),
    st.sampled_from(["adaptive", "fixed", "percent"]),
    st.integers(0, 30),
    st.floats(0.0, 100.0),
    st.integers(0, 10),
    st.integers(0, 10),
    st.booleans(),
)
def test_gates_lie_between_nothing_and_everything(shop, stock, mode, units, percent, floor, span, holds):
    window, demand, taus = shop
    setting = GateSetting(mode=mode, units=units, percent=percent, floor=floor, cap=floor + span)
    velocity, rule = case(window, demand, taus=taus, settings=[setting] * 3, holds=holds)
    gate = gates_of(velocity, rule, stock)[0]
    assert (gate >= 0).all()
    assert (gate <= max(stock, 0)).all()
    assert (gate >= min(floor, max(stock, 0))).all()
    assert (gate <= floor + span).all()
    if mode == "fixed":
        assert gate.tolist() == [max(0, min(stock, max(floor, min(floor + span, units))))] * 3


def test_percent_hides_its_part_rounded_up():
    velocity, rule = case(np.zeros((2, 2)), [[1.0, 1.0]], settings=[GateSetting(mode="percent", percent=25.0)] * 2)
    assert gates_of(velocity, rule, 8)[0].tolist() == [2, 2]
    assert gates_of(velocity, rule, 9)[0].tolist() == [3, 3]


def test_units_kept_for_better_channels_are_hidden_from_the_others():
    kept = np.array([[0, 7]], dtype=np.int32)
    velocity, rule = case(np.zeros((2, 2)), [[1.0, 1.0]], kept=kept)
    assert gates_of(velocity, rule, 20)[0].tolist() == [0, 7]
    assert gates_of(velocity, rule, 5)[0].tolist() == [0, 5]


@settings(max_examples=40, deadline=None)
@given(st.floats(3.0, 60.0), st.floats(0.002, 0.3))
@example(42.0, 0.09765625)
def test_a_large_gate_is_the_quantile_and_in_lots_close_to_it(demand, tau):
    window = np.array([[0.0, 2.0], [0.0, 0.0]])
    velocity, rule = case(window, [[demand, 1.0]], taus=[tau, tau])
    gate = int(gates_of(velocity, rule, 5000)[0][1])
    _, burst = rates(velocity, NOW, 0.0, BURSTS)
    below = plain_distribution(velocity, 1, window, math.inf, [5000] * 2, burst[0], BURSTS, 2000, support=2000)
    exact = int(np.flatnonzero(1.0 - below <= tau + 1e-12)[0])
    if exact < 256:
        assert gate == exact
    else:
        # Between usual demand and a burst the distribution is flat: there a little risk is many units.
        assert 1.0 - below[gate] <= 1.1 * tau, (gate, exact)
        assert gate <= 1.25 * exact


def test_a_channel_that_was_shown_nothing_cannot_have_sold_anything():
    window = np.array([[0.0, 0.0], [4.0, 0.0]])
    velocity, rule = case(window, [[1.0, 3.0]], taus=[0.01, 0.01])
    told = nothing_told(1, 2)
    open_gate = gates_of(velocity, rule, 6, told=told)[0][0]
    assert open_gate == 6
    closed = nothing_told(1, 2)
    closed.gate[:] = 0
    assert gates_of(velocity, rule, 6, told=closed)[0][0] == 0


def test_what_was_shown_is_remembered_for_a_window_and_forgotten_after_two():
    window = np.array([[0.0, 0.0], [4.0, 0.0]])
    none = [GateSetting(mode="adaptive"), GateSetting(mode="fixed", units=1000)]
    velocity, rule = case(window, [[1.0, 3.0]], taus=[0.01, 0.01], settings=none)
    told = nothing_told(1, 2)
    told.gate[:], told.most[0, 1], told.since_h[:] = 0, 5, 0.0
    for now_h in (0.5, 1.0, 3.9, 4.5, 7.0):
        assert gates_of(velocity, rule, 9, told=told, now_h=now_h)[0][0] >= 5
    gates_of(velocity, rule, 9, told=told, now_h=8.5)
    gates_of(velocity, rule, 9, told=told, now_h=13.0)
    assert gates_of(velocity, rule, 9, told=told, now_h=13.1)[0][0] == 0


def test_hysteresis_hides_more_at_once_and_less_at_the_second_time():
    window = np.array([[0.0, 2.0], [0.0, 0.0]])
    quiet, rule = case(window, [[0.2, 1.0]], taus=[0.01, 0.01], holds=True)
    busy, _ = case(window, [[3.0, 1.0]], taus=[0.01, 0.01])
    told = nothing_told(1, 2)
    low = gates_of(quiet, rule, 60, told=told)[0][1]
    high = gates_of(busy, rule, 60, told=told)[0][1]
    assert high > low + 6
    assert gates_of(quiet, rule, 60, told=told)[0][1] == high
    assert gates_of(quiet, rule, 60, told=told)[0][1] == low


def test_hysteresis_leaves_small_changes_alone():
    setting = [GateSetting(mode="fixed", units=4), GateSetting(mode="fixed", units=4)]
    fewer = [GateSetting(mode="fixed", units=3), GateSetting(mode="fixed", units=1)]
    velocity, before = case(np.zeros((2, 2)), [[1.0, 1.0]], settings=setting, holds=True)
    _, after = case(np.zeros((2, 2)), [[1.0, 1.0]], settings=fewer, holds=True)
    told = nothing_told(1, 2)
    gates_of(velocity, before, 30, told=told)
    # 26 are shown: a unit more is less than a tenth, three are more.
    for expected in ([4, 4], [4, 1], [4, 1]):
        assert gates_of(velocity, after, 30, told=told)[0].tolist() == expected


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_one_after_the_other_is_the_same_as_all_at_once(items, sales, seed):
    rng = np.random.default_rng(seed)
    window = rng.random((3, 3)) * 3.0
    np.fill_diagonal(window, 0.0)
    demand = rng.random((items, 3)) + 0.05
    together, rule = case(window, demand, taus=[0.05, 0.02, 0.01])
    singly, _ = case(window, demand)
    when = np.sort(rng.random(sales)) * 5.0
    who = rng.integers(0, items, sales).astype(np.int32)
    where = rng.integers(0, 3, sales).astype(np.int32)
    units = rng.integers(1, 4, sales).astype(np.int32)
    observe(together, who, where, units, when, BURSTS)
    for item in range(items):
        its = who == item
        observe(singly, who[its], where[its], units[its], when[its], BURSTS)
    stock = rng.integers(0, 30, items).astype(np.int32)
    due = np.full(items, 12.0)
    everything = np.arange(items, dtype=np.int32)
    shown, gate = decide(together, nothing_told(items, 3), everything, stock, due, due + 2, rule, BURSTS, 6.0)
    told = nothing_told(items, 3)
    for item in rng.permutation(items):
        one = np.array([item], dtype=np.int32)
        its = decide(singly, told, one, stock[one], due[one], due[one] + 2, rule, BURSTS, 6.0)
        assert its[0].tolist() == shown[one].tolist()
        assert its[1].tolist() == gate[one].tolist()
