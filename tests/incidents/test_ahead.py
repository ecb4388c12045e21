"""Nodes, channels, demand, prices, margins and purchases: what is told of, and what is not."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.incidents.detect import capacity, channels, demand, inbound, money
from onhand.incidents.detect.moments import DAY_US, HOUR_US, moment
from onhand.incidents.model import Kind

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def node(arrivals, can, *, open_units=0.0, due=1, deviation=0.0):
    came = np.array([arrivals], float)
    return capacity.ahead(np.array([open_units]), came, came * deviation, np.array([can], float), np.array([due]))


def test_the_day_of_a_breach_is_the_day_worked_out_by_hand():
    # 100 a day are possible; 150 come on each of days 1 to 3. Left in the evenings: 0, 50, 100, 150, 130.
    seen = node([80, 150, 150, 150, 80], [100] * 5)
    assert seen.left_by_day[0].tolist() == [0, 50, 100, 150, 130]
    # What comes on day d is due on d + 1: of day 2's, 0 are left over then; of day 3's due on day 4, 50 are.
    assert seen.late_by_day[0].tolist() == [0, 0, 0, 0, 50]
    assert (seen.day[0], seen.units_late[0], seen.chance[0]) == (4, 50, 1)
    at_once = node([80, 150, 150, 150, 80], [100] * 5, due=0)
    assert at_once.late_by_day[0].tolist() == [0, 50, 100, 150, 80], "work of later days waits behind it"


def test_open_work_is_due_as_if_it_came_yesterday():
    assert node([0, 0], [100, 100], open_units=150, due=1).late_by_day[0].tolist() == [50, 0]
    assert node([0, 0], [100, 100], open_units=150, due=2).day[0] == -1


def test_a_closed_day_and_what_is_not_known():
    assert node([80] * 3, [100, 0, 100]).late_by_day[0].tolist() == [0, 0, 0]
    assert node([80] * 3, [100, 0, 0]).late_by_day[0].tolist() == [0, 0, 80]
    sure, unsure = node([90] * 10, [100] * 10, due=0), node([90] * 10, [100] * 10, due=0, deviation=0.3)
    assert sure.chance[0] == 0
    assert unsure.chance[0] > 0.5
    assert node([80] * 10, [100] * 10, due=0, deviation=0.05).chance[0] < 0.2


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=12), st.integers(0, 200), st.integers(0, 3), st.integers(0, 50)
)
@settings(deadline=None)
def test_more_capacity_is_never_worse_and_no_unit_is_late_that_never_came(arrivals, open_units, due, more):
    days = len(arrivals)
    seen = node(arrivals, [100] * days, open_units=open_units, due=due)
    better = node(arrivals, [100 + more] * days, open_units=open_units, due=due)
    assert better.units_late[0] <= seen.units_late[0] + 1e-9
    assert seen.units_late[0] <= open_units + sum(arrivals) + 1e-9
    assert seen.left_by_day[0, -1] >= open_units + sum(arrivals) - 100 * days - 1e-9


def test_a_breach_in_words():
    seen = node([80, 150, 150, 150, 80], [100] * 5)
    [told] = capacity.findings(seen, ["berlin"], np.array([300.0]), NOW)
    assert (told.kind, told.loss_minor, told.confidence) == (Kind.CAPACITY_BREACH, 15_000, 1)
    assert "from 2026-03-06" in told.sentence
    unsure = node([96] * 3, [100] * 3, due=0, deviation=0.1)
    assert 0.3 < unsure.chance[0] < 0.5 or unsure.day[0] >= 0
    assert len(capacity.findings(unsure, ["berlin"], np.array([300.0]), NOW)) == (unsure.chance[0] >= 0.3)
    with pytest.raises(ValueError, match="capacity of at least 0"):
        node([1], [-1])


MONDAY = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) // 3600


@pytest.fixture(scope="module")
def rhythm():
    """Four an hour by day, none by night; a tenth of that; four an hour with days that differ much."""
    random = np.random.default_rng(1)
    hours = np.arange(56 * 24)
    by_day = np.where((hours % 24 >= 8) & (hours % 24 < 22), 4.0, 0.02)
    lively = random.gamma(1.0, 1.0, 56)[hours // 24]
    return channels.learn(random.poisson(np.stack([by_day, by_day / 10, by_day * lively])).astype(float), MONDAY)


def test_hours_of_the_week_begin_on_monday():
    random = np.random.default_rng(9)
    hours = np.arange(30, 30 + 20 * channels.WEEK_HOURS)  # from Tuesday, six in the morning
    saturdays = np.where(hours % channels.WEEK_HOURS // 24 == 5, 3.0, 0.0)
    learned = channels.learn(random.poisson(saturdays[None, :]).astype(float), MONDAY + 30)
    assert np.flatnonzero(learned.per_hour[0] > 1).tolist() == list(range(120, 144))


def quiet(rhythm, begin_hour, hours):
    """Silent since that hour of a Monday for so many hours, all three."""
    last = (MONDAY + 56 * 24 + begin_hour) * HOUR_US
    return channels.silent(np.full(3, last), last + int(hours * HOUR_US), rhythm)


def test_silence_is_told_of_where_orders_were_to_be_expected(rhythm):
    assert quiet(rhythm, 12, 3).expected[:2] == pytest.approx([12, 1.2], rel=0.6)
    assert quiet(rhythm, 12, 1).is_silent.tolist() == [False, False, False]
    assert quiet(rhythm, 12, 4).is_silent.tolist() == [True, False, False], "and not where days differ much"
    assert quiet(rhythm, 22, 9).is_silent.tolist() == [False, False, False], "the night is always quiet"
    assert quiet(rhythm, 12, 24 * 7).is_silent.tolist()[:2] == [True, True]


def test_false_alarms_are_as_few_as_was_asked_for():
    random = np.random.default_rng(2)
    counts = random.poisson(2.0, (200, 24 * 70)).astype(float)
    learned = channels.learn(counts[:, : 24 * 56], MONDAY)
    gaps = random.exponential(0.5, (200, 4_380 * 2))  # a year at two an hour
    # The longest silence of each year, at its end.
    start = (MONDAY + 24 * 70) * HOUR_US
    longest = int(gaps.max(axis=1).mean() * HOUR_US)
    seen = channels.silent(np.full(200, start), start + longest, learned)
    assert np.median(seen.per_year) == pytest.approx(1, abs=0.9), "it comes about once a year"
    assert channels.silent(np.full(200, start), start + longest // 2, learned).per_year.min() > 3


def test_a_silent_channel_in_words_and_nothing_from_the_future(rhythm):
    last = np.full(3, (MONDAY + 56 * 24 + 12) * HOUR_US)
    seen = quiet(rhythm, 12, 5)
    [told] = channels.findings(seen, ["shop", "outlet", "market"], last, np.full(3, 500.0))
    assert told.kind is Kind.CHANNEL_SILENT and told.since == moment(int(last[0]))
    assert told.loss_minor == pytest.approx((seen.expected[0] + 4 * seen.missing_per_hour[0]) * 500, abs=1)
    with pytest.raises(ValueError, match="at most now"):
        channels.silent(last, int(last[0]) - 1, rhythm)


LEVELS = np.array([0.1, 0.5, 0.9, 0.95, 0.99])


def test_the_tail_is_that_of_an_exponential_and_false_spikes_are_few():
    random = np.random.default_rng(3)
    n = 50_000
    quantiles = np.tile(-20 * np.log(1 - LEVELS), (n, 1))
    units = random.exponential(20, n)
    seen = demand.spikes(units, LEVELS, quantiles)
    assert seen.limit[0] == pytest.approx(-20 * np.log(0.001) + 1, rel=1e-6)
    assert (units > seen.limit).mean() == pytest.approx(0.001, abs=0.0004)
    assert seen.is_spike.sum() <= 3, "fifty lie beyond it by chance"
    units[:30] *= 60
    told = np.flatnonzero(demand.spikes(units, LEVELS, quantiles).is_spike)
    assert (told < 30).sum() >= 25 and (told >= 30).mean() < 0.2


def test_a_spike_in_words_and_a_day_that_is_not_over():
    quantiles = np.array([[2.0, 5, 9, 11, 14], [0, 0, 0, 0, 0]])
    assert demand.spikes(np.array([40.0, 2.0]), LEVELS, quantiles).is_spike.tolist() == [True, False]
    half = demand.spikes(np.array([16.0, 0.0]), LEVELS, quantiles, share_of_day=0.5)
    assert half.is_spike[0] and not demand.spikes(np.array([16.0, 0.0]), LEVELS, quantiles).is_spike[0]
    units = np.array([40.0, 2.0])
    seen = demand.spikes(units, LEVELS, quantiles)
    [told] = demand.spike_findings(seen, units, [("sku-1",), ("sku-2",)], np.array([10.0, 0]), np.array([6.0, 0]),
                                   np.array([5.0, 5]), np.array([250.0, 250]), NOW)  # fmt: skip
    assert told.loss_minor == round(((6 + 0.5 * (40 - 6)) * 5 - 10) * 250)
    assert not demand.spikes(np.array([20.0]), LEVELS, quantiles[:1], of=10_000).is_spike[0], "one of so many is chance"
    assert demand.spikes(np.array([20.0]), LEVELS, quantiles[:1]).is_spike[0]
    with pytest.raises(ValueError, match=r"up to 0\.9 or more"):
        demand.spikes(units, np.array([0.1, 0.5]), quantiles[:, :2])


def test_a_forecast_that_has_become_worse_is_told_of():
    random = np.random.default_rng(4)
    losses = random.normal(1, 0.15, (3, 40))
    losses[1, 25:] += 0.6
    at = demand.drifts(losses)
    assert at[0] == at[2] == -1 and 25 <= at[1] <= 30
    assert demand.drifts(losses[:, : at[1] + 1]).tolist() == at.tolist(), "nothing later was needed"
    days = [NOW + timedelta(days=n) for n in range(40)]
    [told] = demand.drift_findings(at, losses, [("a",), ("b",), ("c",)], days, np.full(3, 1_000.0))
    assert told.kind is Kind.FORECAST_DRIFT and told.subject.key == ("b",)
    assert told.loss_minor == pytest.approx(600, abs=120)


@pytest.fixture(scope="module")
def prices():
    """Items at about 10.00 and at 200.00 that move by 3 %; item 0 is often reduced by a third; item 39 is new
    and may cost anything."""
    random = np.random.default_rng(5)
    item = np.repeat(np.arange(39), 30)
    base = np.where(item % 2, 20_000, 1_000) * np.exp(random.normal(0, 0.03, len(item)))
    base = np.where((item == 0) & (random.random(len(item)) < 0.4), base * 0.67, base)
    return money.learn_prices(item, base, np.arange(40) % 2)


@pytest.mark.parametrize("item, price, is_told", [
    (2, 1_000.0, False), (2, 900.0, False), (2, 10.0, True), (2, 100_000.0, True), (0, 600.0, False),
    (3, 2_000.0, True), (39, 15_000.0, False), (39, 200.0, False), (39, 20.0, False),
])  # fmt: skip
def test_a_lost_decimal_point_is_a_slip_and_a_sale_is_not(prices, item, price, is_told):
    seen = money.outliers(np.array([item]), np.array([price]), prices)
    assert (seen.confidence[0] >= 0.5) == is_told, seen
    told = money.outlier_findings(seen, np.array([price]), [("shop", "sku")], np.array([10.0]), NOW)
    assert bool(told) == is_told
    if told and price < seen.usual_minor[0]:
        assert told[0].loss_minor == round((seen.usual_minor[0] - price) * 10)


def test_an_item_that_is_often_reduced_may_be_reduced(prices):
    often, never = np.abs(money.outliers(np.array([0, 2]), np.array([670.0, 670.0]), prices).z)
    assert often < 4
    assert never > 8


def test_up_and_down_are_alike(prices):
    usual = np.exp(prices.log_median[2])
    z = money.outliers(np.array([2, 2]), np.array([usual * 3, usual / 3]), prices).z
    assert z[0] == pytest.approx(-z[1])


def test_margins_below_their_floor_are_told_of_when_it_is_sure():
    random = np.random.default_rng(6)
    group = np.r_[np.repeat(np.arange(20), 200), np.full(3, 20)]
    revenue = random.uniform(1_000, 9_000, len(group))
    rate = np.where(group == 7, 0.04, 0.2) + random.normal(0, 0.15, len(group))
    rate[-3:] = 0.05
    seen = money.margins(group, revenue, revenue * (1 - rate), np.full(22, 0.1))
    assert np.flatnonzero(seen.confidence >= 0.95).tolist() == [7]
    assert seen.rate[7] == pytest.approx(0.04, abs=0.04)
    assert 0.5 < seen.confidence[20] < 0.95, "three orders prove little"
    assert seen.confidence[21] == 0.5 and seen.orders[21] == 0
    [told] = money.margin_findings(seen, [(str(g),) for g in range(22)], np.full(22, 0.1), NOW)
    assert told.loss_minor == round(0.1 * revenue[group == 7].sum() - (revenue * rate)[group == 7].sum())


@pytest.fixture(scope="module")
def suppliers():
    """0 is on time, 1 is late by a week or so and brings nine tenths, 2 is not known."""
    random = np.random.default_rng(7)
    supplier = np.repeat([0, 1], 300)
    late = np.where(supplier == 1, random.gamma(4, 2, 600), random.normal(-1, 1, 600))
    return inbound.learn(supplier, late, np.where(supplier == 1, 0.9, 1.0), suppliers=3)


def open_line(supplier, days_after_due, needed_in, suppliers, **more):
    now = 20_000 * DAY_US
    due = np.array([now - int(days_after_due * DAY_US)])
    return inbound.foreseen(np.array([supplier]), due, np.array([now + int(needed_in * DAY_US)]), np.array([100.0]),
                            suppliers, now, **more)  # fmt: skip


def test_lines_are_late_as_their_suppliers_are(suppliers):
    # Two days before its date, needed two days after it.
    chance = [open_line(s, -2, 4, suppliers).chance[0] for s in (0, 1, 2)]
    assert chance[0] < 0.15 < chance[2] < 0.8 < chance[1]
    assert open_line(1, -2, 4, suppliers).expected_days[0] == pytest.approx(8, abs=1)
    assert open_line(1, -2, 4, suppliers).expected_in_days[0] == pytest.approx(10, abs=1), "its date is in two days"
    assert open_line(1, 30, 4, suppliers).expected_in_days[0] >= 0
    assert open_line(0, 3, 1, suppliers).chance[0] > open_line(0, -3, 7, suppliers).chance[0], "overdue already"
    assert [open_line(s, -2, 4, suppliers).units_short[0] for s in (0, 1)] == pytest.approx([0.3, 9.7], abs=0.3)


@given(st.floats(-20, 60), st.floats(0, 40), st.floats(0, 20))
@settings(deadline=None)
def test_what_is_needed_later_is_late_less_often(age, needed, more):
    random = np.random.default_rng(8)
    learned = inbound.learn(np.zeros(50, np.int64), random.normal(3, 5, 50), np.ones(50), suppliers=1)
    first, second = (open_line(0, age, needed + extra, learned) for extra in (0.0, more))
    assert 0 <= second.chance[0] <= first.chance[0] + 1e-12 <= 1 + 1e-12
    assert first.expected_days[0] >= age - 1e-9


def test_late_and_short_lines_in_words(suppliers):
    seen = open_line(1, 0, 1, suppliers, advised_units=np.array([60.0]))
    assert seen.units_short[0] == 40
    told = inbound.findings(seen, ["po-1"], ["acme"], np.array([20_001 * DAY_US]), np.array([100.0]), np.array([200.0]),
                            NOW, daily_units=np.array([5.0]))  # fmt: skip
    assert [f.kind for f in told] == [Kind.INBOUND_LATE, Kind.INBOUND_SHORT]
    # Needed a day after its date: the days without stock are those after that one.
    assert seen.missing_days[0] < seen.expected_days[0]
    assert told[0].loss_minor == round(5 * seen.missing_days[0] * 200)
    assert told[1].loss_minor == 8_000
    assert told[0].causes[1].key == ("acme",)
    assert told[0].numbers["units_per_day"] == 5
    assert told[0].numbers["expected_in_days"] == seen.expected_in_days[0]
