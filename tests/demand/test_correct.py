"""From what was sold to what was wanted: worked numbers, and simulated demand of which only a part was seen."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.demand.correct import (
    LINES,
    bulk_lines,
    daily,
    day_number,
    history,
    packed,
    put_together,
    summed,
    uncensored,
)
from onhand.demand.frames import history_frame
from onhand.demand.model import RAW, Corrections

NONE = Corrections(stock_outs=False, cancellations=False, bulk=False)


def lines(*rows):
    """(day, units, cancelled, returned, price) of item 1 at place 1 on channel 1."""
    columns = {name: [] for name in LINES}
    for day, units, cancelled, returned, price in rows:
        for name, value in zip(LINES, (1, 1, 1, day, units, cancelled, returned, price), strict=True):
            columns[name].append(value)
    return pl.DataFrame(columns, schema=dict.fromkeys(LINES, pl.Int64))


NO_SALES = lines()


def closed(*rows):
    return pl.DataFrame(
        [(1, 1, 1, day, share) for day, share in rows],
        schema={"item": pl.Int64, "place": pl.Int64, "channel": pl.Int64, "day": pl.Int64, "share": pl.Float64},
        orient="row",
    )


def by_day(frame, *names):
    return {row["day"]: tuple(row[name] for name in names) for row in frame.sort("day").to_dicts()}


# Orders -------------------------------------------------------------------------------------------


def test_cancellations_are_taken_off_or_left_in():
    ordered = lines((10, 3, 1, 0, 500), (10, 2, 0, 0, 500))
    corrected = daily(ordered, NO_SALES, Corrections())
    assert by_day(corrected, "units", "cancelled", "kept") == {10: (5, 1, 4)}
    assert by_day(daily(ordered, NO_SALES, NONE), "units", "cancelled", "kept") == {10: (5, 0, 5)}


def test_returns_stay_in_unless_they_are_asked_off():
    ordered = lines((10, 3, 1, 2, 500))
    assert by_day(daily(ordered, NO_SALES, Corrections()), "returned", "kept") == {10: (0, 2)}
    assert by_day(daily(ordered, NO_SALES, Corrections(net_returns=True)), "returned", "kept") == {10: (2, 0)}


def test_what_comes_back_over_a_counter_takes_off_no_more_than_was_sold_that_day():
    sold = lines((10, 3, 0, 0, -1), (10, 0, 0, 5, -1), (11, 0, 0, 2, -1))
    net = daily(NO_SALES, sold, Corrections(net_returns=True))
    assert by_day(net, "units", "returned", "kept") == {10: (3, 3, 0), 11: (0, 0, 0)}


def test_the_price_of_a_day_is_that_of_its_units_as_far_as_it_is_known():
    ordered = lines((10, 1, 0, 0, 600), (10, 3, 0, 0, 400), (10, 9, 0, 0, -1), (11, 1, 0, 0, -1))
    assert by_day(daily(ordered, NO_SALES, NONE), "price") == {10: (450.0,), 11: (None,)}


def test_a_bulk_order_counts_as_one_of_the_usual_size():
    usual = [(day, 1 + day % 3, 0, 0, 100) for day in range(30)]  # 1, 2, 3: the median is 2
    ordered = lines(*usual, (12, 60, 0, 0, 80))
    corrected = by_day(daily(ordered, NO_SALES, Corrections()), "units", "bulk", "kept")
    assert corrected[12] == (61, 58, 3)
    assert corrected[13] == (2, 0, 2)
    assert by_day(daily(ordered, NO_SALES, Corrections(bulk=False)), "kept")[12] == (61,)


def test_the_cancelled_part_of_a_line_makes_it_no_bulk_order():
    usual = [(day, 1, 0, 0, 100) for day in range(30)]
    ordered = lines(*usual, (12, 60, 59, 0, 80))
    assert by_day(daily(ordered, NO_SALES, Corrections()), "cancelled", "bulk", "kept")[12] == (59, 0, 2)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1] * 20 + [7], [False] * 21),  # 4 x 0.5 deviations of the logarithm: up to 7.38
        ([1] * 20 + [8], [False] * 20 + [True]),
        ([1] * 6 + [100], [False] * 7),  # seven lines do not say what is usual
        ([1] * 20 + [50, 50, 50], [False] * 23),  # three of 23: a kind of customer
        ([1] * 60 + [50, 50, 50], [False] * 60 + [True] * 3),  # three of 63: one in twenty
        ([12, 24, 36, 48, 24, 12, 36, 24, 60], [False] * 9),  # boxes of twelve
        ([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 40], [False] * 11 + [True]),  # wholly cancelled lines say nothing
    ],
)
def test_what_is_a_bulk_line(sizes, expected):
    found, _ = bulk_lines(np.ones(len(sizes), np.int64), np.array(sizes))
    assert found.tolist() == expected


def test_items_have_their_own_usual_size():
    item = np.r_[np.full(20, 1), np.full(20, 2)]
    units = np.r_[np.full(19, 1), 30, np.full(20, 30)]
    found, usual = bulk_lines(item, units)
    assert np.flatnonzero(found).tolist() == [19]
    assert usual[[0, 39]].tolist() == [1, 30]


# Stock-outs ---------------------------------------------------------------------------------------


def fill(seen, share, until=None):
    """`uncensored` of one series with a row on every day."""
    days = np.arange(len(seen), dtype=np.int64)
    return uncensored(
        np.zeros(len(seen), np.int64), days, np.array(seen, float), np.array(share, float), np.zeros(1, np.int64),
        len(seen) if until is None else until,
    )  # fmt: skip


def test_worked_numbers_of_one_day():
    """Ten days of 4 and one day of 1 seen in half of it. Variance below the mean: r is its limit, demand Poisson.

    First round: 41 units in 10.5 open days are 3.905 a day, near as in the series: 1 + 0.5 x 3.905 = 2.952.
    Second round: 42.952 in 11 days: again 3.905, the fixed point.
    """
    demand = fill([4, 4, 4, 4, 4, 1, 4, 4, 4, 4, 4], [1, 1, 1, 1, 1, 0.5, 1, 1, 1, 1, 1])
    assert demand[5] == pytest.approx(1 + 0.5 * 41 / 10.5, rel=1e-4)
    assert demand[[0, 10]].tolist() == [4, 4]


def test_what_was_seen_that_day_counts_the_more_the_more_days_differ():
    """A day that sold 9 by noon was a good one: of r = 2, mu = 3 as of these days, (2 + 9)/(2/3 + 0.5) a day."""
    rng = np.random.default_rng(4)
    seen = rng.negative_binomial(2, 2 / (2 + 3), 400).astype(float)
    seen[200] = 9
    share = np.ones(400)
    share[200] = 0.5
    demand = fill(seen, share)
    assert demand[200] == pytest.approx(9 + 0.5 * (2 + 9) / (2 / 3 + 0.5), abs=0.8)
    even = fill(np.where(np.arange(400) == 200, 9.0, 3.0), share)
    assert even[200] == pytest.approx(9 + 0.5 * 3, abs=0.1), "where days are alike it was just luck"


def simulate(seed, *, mean, r, days=730, share_out=0.3, by_stock=False):
    """True demand, what was seen of it, and the open shares, of one series."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(r, mean / r, days)
    true, seen, share = np.empty(days), np.empty(days), np.ones(days)
    for day in range(days):
        moments = np.sort(rng.uniform(0, 1, rng.poisson(rate[day])))
        true[day] = seen[day] = len(moments)
        if rng.uniform() < share_out:
            if by_stock:
                # So many are there in the morning: it is out from the moment on at which the last one is sold.
                stock = int(rng.integers(0, max(2, int(mean))))
                if stock < len(moments) or stock == 0:
                    share[day] = moments[stock - 1] if stock else 0.0
            else:
                share[day] = rng.uniform()
            seen[day] = (moments <= share[day]).sum()
    return true, seen, share


@pytest.mark.parametrize("by_stock", [False, True])
@pytest.mark.parametrize(("mean", "r"), [(0.4, 0.8), (3, 1.5), (20, 5)])
def test_censored_demand_is_found_again(mean, r, by_stock):
    """Of 20 series of two years, three days in ten out for a while: the mean within 4 %, a quarter of the error."""
    true, raw, filled = 0.0, 0.0, 0.0
    for seed in range(20):
        demand, seen, share = simulate(seed, mean=mean, r=r, by_stock=by_stock)
        true, raw, filled = true + demand.sum(), raw + seen.sum(), filled + fill(seen, share).sum()
    assert raw < 0.93 * true, "much was not seen"
    assert filled == pytest.approx(true, rel=0.04)
    assert abs(filled - true) < 0.25 * abs(raw - true)


def test_a_level_that_changes_is_followed():
    seen = np.r_[np.full(200, 2.0), np.full(200, 10.0)]
    share = np.ones(400)
    share[[100, 300]] = 0.0
    seen[[100, 300]] = 0.0
    demand = fill(seen, share)
    assert demand[100] == pytest.approx(2, abs=0.6) and demand[300] == pytest.approx(10, abs=0.6)


def test_nothing_is_made_up_where_nobody_could_see():
    seen = np.r_[np.full(100, 5.0), np.zeros(200)]
    share = np.r_[np.ones(100), np.zeros(200)]
    demand = fill(seen, share)
    assert demand[100] > 3, "the day after it was last there"
    assert demand[140:].tolist() == [0] * 160, "no day within four weeks was open"


def test_days_without_a_row_sold_nothing():
    sparse = uncensored(
        np.zeros(3, np.int64), np.array([0, 50, 51]), np.array([5.0, 5.0, 0.0]), np.array([1.0, 1.0, 0.0]),
        np.zeros(1, np.int64), 100,
    )  # fmt: skip
    seen = np.zeros(100)
    seen[[0, 50]] = 5
    share = np.ones(100)
    share[51] = 0
    assert sparse[2] == pytest.approx(fill(seen, share)[51], rel=1e-9)
    assert 0 < sparse[2] < 0.5


def test_series_do_not_see_each_other():
    one = fill([4, 4, 0, 4], [1, 1, 0.5, 1])
    both = uncensored(
        np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 2, 3, 0, 1, 2, 3]),
        np.array([4, 4, 0, 4, 90, 90, 90, 90.0]), np.array([1, 1, 0.5, 1, 1, 1, 1, 1]), np.zeros(2, np.int64), 4,
    )  # fmt: skip
    assert both[2] == pytest.approx(one[2], rel=1e-6)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), min_size=1, max_size=60),
)
def test_demand_is_never_less_than_what_was_seen_and_open_days_stay(days):
    seen, share = (np.array(column, float) for column in zip(*days, strict=True))
    demand = fill(seen, share)
    assert np.isfinite(demand).all() and (demand >= seen).all()
    assert (demand[share == 1] == seen[share == 1]).all()


# Together -----------------------------------------------------------------------------------------


def test_every_correction_is_visible_and_adds_up():
    usual = [(day, 2, 0, 0, 100) for day in range(40)]
    ordered = lines(*usual, (5, 2, 1, 0, 100), (6, 50, 0, 0, 90))
    rows = history(daily(ordered, NO_SALES, Corrections()), closed((7, 0.5), (41, 1.0)), 45, Corrections())
    found = by_day(rows, "units", "cancelled", "bulk", "lost", "demand", "open_share")
    assert found[5] == (4, 1, 0, 0, 3, 1)
    assert found[6] == (52, 0, 48, 0, 4, 1)
    assert found[7][:3] == (2, 0, 0) and found[7][5] == 0.5
    assert found[7][3] == pytest.approx(1.05, abs=0.05), (
        "half a day of about 2.1: 75 units in the 35.5 open days around"
    )
    assert found[41][:3] == (0, 0, 0) and found[41][4] == pytest.approx(1.75, abs=0.05), (
        "out all day: 54 units in the 31 open days around"
    )
    for units, cancelled, bulk, lost, demand, _ in found.values():
        assert demand == pytest.approx(units - cancelled - bulk + lost)


def test_raw_history_still_says_when_it_was_out():
    ordered = lines(*[(day, 2, 0, 0, 100) for day in range(10)])
    rows = history(daily(ordered, NO_SALES, RAW), closed((5, 0.5), (9, 0.25)), 10, RAW)
    found = by_day(rows, "demand", "lost", "open_share")
    assert found[5] == (2, 0, 0.5) and found[9] == (2, 0, 0.75)


def test_a_series_begins_with_its_first_demand_and_ends_before_until():
    ordered = lines((10, 1, 0, 0, 100), (20, 1, 0, 0, 100))
    rows = history(daily(ordered, NO_SALES, Corrections()), closed((3, 1.0), (12, 1.0), (20, 0.5)), 20, Corrections())
    assert list(by_day(rows, "demand")) == [10, 12]


def test_channels_are_summed_and_a_day_is_as_open_as_its_least_open_channel():
    ordered = pl.concat(
        [lines((10, 3, 0, 0, 100)), lines((10, 1, 0, 0, 200)).with_columns(channel=pl.lit(2, pl.Int64))]
    )
    rows = summed(history(daily(ordered, NO_SALES, RAW), closed((10, 0.25)), 11, RAW))
    assert rows.to_dicts()[0] | {"lost": 0.0} == {
        "item": 1, "place": 1, "channel": -1, "day": 10, "units": 4.0, "cancelled": 0.0, "bulk": 0.0, "returned": 0.0,
        "lost": 0.0, "demand": 4.0, "open_share": 0.75, "price": 125.0,
    }  # fmt: skip


def test_put_together_names_series():
    ordered = lines((day_number(date(2026, 3, 2)), 3, 0, 0, 100))
    rows = history(daily(ordered, NO_SALES, RAW), closed(), day_number(date(2026, 3, 5)), RAW)
    keys = pl.DataFrame(
        {
            "item": [1], "place": [1], "channel": [1], "sku": ["MUG"], "category": ["kitchen"], "node": [None],
            "region": ["DE"], "channel_code": ["web"], "timezone": ["Europe/Berlin"],
        }
    )  # fmt: skip
    made = put_together(
        packed(rows), keys.cast(dict.fromkeys(("item", "place", "channel"), pl.Int32)), date(2026, 3, 5)
    )
    assert made.series.to_dicts() == [
        {"series": 0, "sku": "MUG", "category": "kitchen", "node": None, "region": "DE", "channel": "web",
         "first_day": date(2026, 3, 2), "timezone": "Europe/Berlin"}
    ]  # fmt: skip
    assert made.days["day"].to_list() == [date(2026, 3, 2)] and made.days["demand"].to_list() == [3.0]


def test_a_frame_has_every_day():
    first = day_number(date(2026, 3, 2))
    ordered = lines((first, 3, 0, 0, 100), (first + 2, 1, 0, 0, 120))
    later = lines((first + 3, 5, 0, 0, 90)).with_columns(item=pl.lit(2, pl.Int64))
    rows = history(daily(pl.concat([ordered, later]), NO_SALES, RAW), closed((first + 2, 0.5)), first + 4, RAW)
    keys = pl.DataFrame(
        {
            "item": [1, 2], "place": [1, 1], "channel": [1, 1], "sku": ["MUG", "PLATE"], "category": [None, None],
            "node": [None, "berlin"], "region": ["DE", "DE-BE"], "channel_code": [None, None],
            "timezone": ["UTC", "UTC"],
        },
        schema_overrides=dict.fromkeys(("category", "node", "channel_code"), pl.String),
    )  # fmt: skip
    frame = history_frame(
        put_together(packed(rows), keys.cast(dict.fromkeys(("item", "place", "channel"), pl.Int32)), date(2026, 3, 6))
    )
    assert frame.rows() == [
        ("MUG/DE", date(2026, 3, 2), 3.0, 1.0, 100.0), ("MUG/DE", date(2026, 3, 3), 0.0, 1.0, None),
        ("MUG/DE", date(2026, 3, 4), 1.0, 0.5, 120.0), ("MUG/DE", date(2026, 3, 5), 0.0, 1.0, None),
        ("PLATE/berlin", date(2026, 3, 5), 5.0, 1.0, 90.0),
    ]  # fmt: skip


def test_nothing_at_all():
    rows = history(daily(NO_SALES, NO_SALES, Corrections()), closed(), 10, Corrections())
    assert rows.is_empty() and "open_share" in rows.columns


@st.composite
def ordered_lines(draw):
    """Lines of which some were cancelled and some came back, never more than there were."""
    rows = []
    for _ in range(draw(st.integers(1, 40))):
        units = draw(st.sampled_from([1, 1, 1, 2, 3, 12, 400]))
        cancelled = draw(st.integers(0, units))
        rows.append((draw(st.integers(0, 60)), units, cancelled, draw(st.integers(0, units - cancelled)), 100))
    return rows


@settings(deadline=None)
@given(
    rows=ordered_lines(),
    out=st.dictionaries(st.integers(0, 70), st.floats(0.01, 1), max_size=20),
    switches=st.tuples(*[st.booleans()] * 4),
    seed=st.integers(0, 9),
)
def test_corrections_add_up_whatever_the_lines_and_their_order(rows, out, switches, seed):
    stock_outs, cancellations, bulk, net_returns = switches
    corrections = Corrections(
        stock_outs=stock_outs, cancellations=cancellations, bulk=bulk, net_returns=net_returns
    )  # fmt: skip

    def made(rows):
        return history(daily(lines(*rows), NO_SALES, corrections), closed(*out.items()), 65, corrections)

    found = made(rows)
    for row in found.to_dicts():
        kept = row["units"] - row["cancelled"] - row["bulk"] - row["returned"]
        assert kept >= -1e-9 and row["lost"] >= 0
        assert row["demand"] == pytest.approx(kept + row["lost"])
        assert row["lost"] == 0 or row["open_share"] < 1
    switched = {"cancelled": cancellations, "bulk": bulk, "returned": net_returns, "lost": stock_outs}
    assert all(found[name].sum() == 0 for name, is_on in switched.items() if not is_on)
    assert found["units"].sum() == sum(units for _, units, *_ in rows)
    shuffled = [rows[n] for n in np.random.default_rng(seed).permutation(len(rows))]
    assert made(shuffled).equals(found)
