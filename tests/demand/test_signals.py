"""Signals by day and scope, and what a new value is to those before."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.base.dates import microseconds
from onhand.demand.correct import day_number
from onhand.demand.frames import signals_frame, unique_ids
from onhand.demand.holidays import calendar_of, holidays
from onhand.demand.model import Scope, region_of
from onhand.demand.signals import (
    ALWAYS,
    Known,
    Told,
    align,
    decide_value,
    has_zeros,
    resolve,
    without_later,
)

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
FIRST, UNTIL = date(2026, 3, 1), date(2026, 3, 15)


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def signal(*values, name="s", fill=None, known_ahead=False, **scope):
    """Values (moment, value) of a signal."""
    at = np.array([microseconds(moment(at)) for at, _ in values], np.int64)
    return Known(
        name=name, scope=Scope(**scope), known_ahead=known_ahead, fill=fill, at=at,
        value=np.array([value for _, value in values], float),
    )  # fmt: skip


def days(known, first=FIRST, until=UNTIL):
    """Values from 1 March on, None where there is none."""
    found = align(known, day_number(first), day_number(until))
    return [None if np.isnan(v) else round(float(v), 6) for v in found]


# Recording ----------------------------------------------------------------------------------------


def decide(at, value, kept=(), known_at=None, ahead=False, begun=NOW):
    told = Told(1, moment(at), value, None if known_at is None else moment(known_at), ahead)
    return decide_value(told, kept, begun=begun, now=NOW)


def test_history_from_before_the_signal_is_known_since_its_moment_or_always():
    assert decide("2026-03-01T06:00", 7.0) == ("created", moment("2026-03-01T06:00"))
    assert decide("2026-03-01", 1.0, ahead=True) == ("created", ALWAYS)


def test_everything_else_is_known_since_it_was_told():
    begun = moment("2026-02-20")
    assert decide("2026-03-20", 1.0, ahead=True) == ("created", NOW)
    assert decide("2026-03-01", 1.0, ahead=True, begun=begun) == ("created", NOW), "a plan that came too late"
    assert decide("2026-03-09", 1.0, begun=begun) == ("created", NOW), "measured yesterday, sent today"
    assert decide("2026-02-19", 1.0, begun=begun) == ("created", moment("2026-02-19")), "more of the history"


def test_a_correction_is_known_from_now_on_and_the_same_value_again_is_none():
    kept = [(moment("2026-03-01"), 7.0)]
    assert decide("2026-03-01", 8.0, kept) == ("updated", NOW)
    assert decide("2026-03-01", 7.0, kept)[0] == "unchanged"
    assert decide("2026-03-01", 7.0, [*kept, (moment("2026-03-05"), 8.0)]) == ("updated", NOW), "corrected back"


def test_what_is_told_last_counts_whatever_the_clock_says():
    kept = [(moment("2026-03-01"), 7.0), (NOW + timedelta(seconds=5), 8.0)]
    assert decide("2026-03-01", 9.0, kept) == ("updated", NOW + timedelta(seconds=5, microseconds=1))
    assert decide("2026-03-01", 9.0, [(ALWAYS, 7.0), (NOW, 8.0)]) == ("updated", NOW + timedelta(microseconds=1))
    assert decide("2026-03-01", 8.0, kept)[0] == "unchanged"


def test_who_says_since_when_is_believed():
    kept = [(moment("2026-03-01"), 7.0)]
    assert decide("2026-03-01", 8.0, kept, "2026-03-04") == ("updated", moment("2026-03-04"))
    assert decide("2026-03-01", 7.0, kept, "2026-03-04")[0] == "unchanged"
    later = [(moment("2026-03-06"), 8.0)]
    assert decide("2026-03-01", 7.0, later, "2026-03-04") == ("updated", moment("2026-03-04")), (
        "before it was corrected"
    )
    with pytest.raises(ValueError, match="leave known_at out"):
        decide("2026-03-01", 9.0, kept, "2026-03-01")


# Days ---------------------------------------------------------------------------------------------


def test_values_of_a_day_become_their_mean():
    hourly = signal(*((f"2026-03-{d:02}T{h:02}:00", d + h / 100) for d in range(1, 15) for h in (0, 6, 12, 18)))
    assert days(hourly) == [round(d + 0.09, 6) for d in range(1, 15)]


def test_a_daily_value_that_is_missing_is_missing():
    daily = signal(*((f"2026-03-{d:02}", d) for d in range(1, 15) if d != 5))
    assert days(daily)[3:6] == [4, None, 6] and not has_zeros(daily)


def test_weekly_and_monthly_values_stand_until_the_next():
    weekly = signal(*((f"2026-02-{d:02}", d) for d in (2, 9, 16, 23)), ("2026-03-02", 2), ("2026-03-09", 9))
    assert days(weekly) == [23] + [2] * 7 + [9] * 6
    assert days(weekly, until=date(2026, 4, 1))[8:] == [9] * 8 + [None] * 15, "a week and its slack, no longer"
    monthly = signal(("2025-12-01", 12), ("2026-01-01", 1), ("2026-02-01", 2), ("2026-03-01", 3))
    assert days(monthly) == [3] * 14 and not has_zeros(monthly)


def test_events_stand_alone_among_zeros():
    sale = signal(("2026-01-14", 1), ("2026-03-03", 1), ("2026-03-04", 1), ("2026-03-05", 1))
    assert days(sale) == [None] * 2 + [1] * 3 + [None] * 9 and has_zeros(sale)
    (aligned,) = resolve([sale], series(("A", "DE")), first=FIRST, until=UNTIL)
    assert aligned.rows.tolist() == [[0] * 2 + [1] * 3 + [0] * 9]


def test_what_is_said_of_gaps_counts():
    prices = [("2025-01-01", 900), ("2026-03-04", 800)]
    assert days(signal(*prices, fill="hold")) == [900] * 3 + [800] * 11
    assert days(signal(*prices, fill="none")) == [None] * 3 + [800] + [None] * 10
    assert has_zeros(signal(*prices, fill="zero"))


def test_no_value_at_all():
    assert days(signal()) == [None] * 14


# Scopes -------------------------------------------------------------------------------------------


def series(*rows):
    """(sku, region, node, category) of series."""
    columns = [(*row, None, None)[:4] for row in rows]
    names = ("sku", "region", "node", "category")
    return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String), orient="row")


def heard(signals, *rows, first=FIRST, until=date(2026, 3, 2)):
    """The value on 1 March of each series."""
    (aligned,) = resolve(signals, series(*rows), first=first, until=until)
    return [None if i < 0 else float(aligned.rows[i, 0]) for i in aligned.index]


def test_the_narrowest_scope_counts():
    day = "2026-03-01"
    signals = [
        signal((day, 1), fill="none"),
        signal((day, 2), fill="none", region="DE"),
        signal((day, 3), fill="none", region="DE-BY"),
        signal((day, 4), fill="none", category="mugs"),
        signal((day, 5), fill="none", node="berlin"),
        signal((day, 6), fill="none", sku="A"),
        signal((day, 7), fill="none", sku="A", region="DE"),
    ]
    rows = [
        ("B", "FR"), ("B", "DE-HH"), ("B", "DE"), ("B", "DE-BY"), ("B", "DE-BY", None, "mugs"),
        ("B", "DE-BE", "berlin", "mugs"), ("A", "FR", None, "mugs"), ("A", "DE-BY", "berlin"), ("B", ""),
    ]  # fmt: skip
    assert heard(signals, *rows) == [1, 2, 2, 3, 4, 5, 6, 7, 1]


def test_where_the_narrowest_says_nothing_the_next_is_heard():
    signals = [
        signal(("2026-03-01", 1), ("2026-03-02", 1), fill="none"),
        signal(("2026-03-02", 9), fill="none", sku="A"),
    ]
    (aligned,) = resolve(signals, series(("A", "DE")), first=FIRST, until=date(2026, 3, 4))
    assert aligned.rows[aligned.index[0]].tolist()[:2] == [1, 9] and np.isnan(aligned.rows[aligned.index[0], 2])


def test_zeros_of_an_item_do_not_hide_the_event_of_the_shop():
    shop, item = signal(("2026-03-02", 1), fill="zero"), signal(("2026-03-04", 1), fill="zero", sku="A")
    (aligned,) = resolve([shop, item], series(("A", "DE"), ("B", "DE")), first=FIRST, until=date(2026, 3, 6))
    assert aligned.rows[aligned.index].tolist() == [[0, 1, 0, 1, 0], [0, 1, 0, 0, 0]]


def test_who_hears_nothing_has_no_row():
    assert heard([signal(("2026-03-01", 1), sku="A")], ("A", "DE"), ("B", "DE")) == [1, None]


def test_series_that_hear_the_same_share_a_row():
    rows = [(f"S{n}", "DE-BY") for n in range(1_000)]
    (aligned,) = resolve([signal(("2026-03-01", 1), region="DE")], series(*rows), first=FIRST, until=UNTIL)
    assert aligned.rows.shape == (1, 14) and aligned.index.shape == (1_000,)
    assert aligned.until == UNTIL


def test_a_frame_is_what_forecasts_take():
    made = series(("A", "DE", "berlin"), ("B", "FR")).with_columns(channel=pl.Series(["web", None]))
    ids = unique_ids(made)
    assert ids == ["A/berlin/web", "B/FR"]
    signals = [
        signal(("2026-03-01", 1), name="x", fill="none", sku="A"),
        signal(("2026-03-02", 5), name="y", fill="none"),
    ]
    frame = signals_frame(resolve(signals, made, first=FIRST, until=date(2026, 3, 3)), ids)
    assert frame.rows() == [
        ("A/berlin/web", date(2026, 3, 1), 1.0, None), ("A/berlin/web", date(2026, 3, 2), None, 5.0),
        ("B/FR", date(2026, 3, 1), None, None), ("B/FR", date(2026, 3, 2), None, 5.0),
    ]  # fmt: skip


def test_values_of_the_past_end_before_the_origin():
    past = signal(("2026-03-01", 1), ("2026-03-04T23:59", 2), ("2026-03-05", 3), fill="hold")
    plan = signal(("2026-03-09", 1), known_ahead=True)
    kept_past, kept_plan = without_later([past, plan], date(2026, 3, 5))
    assert kept_past.value.tolist() == [1, 2] and kept_plan.value.tolist() == [1]


@settings(deadline=None)
@given(
    values=st.lists(st.tuples(st.integers(0, 200), st.floats(-1e6, 1e6)), min_size=1, max_size=60),
    origin=st.integers(20, 150),
    fill=st.sampled_from([None, "hold", "zero", "none"]),
)
def test_the_future_moves_nothing_of_the_past(values, origin, fill):
    """Whatever comes after the origin, another future or none: what is known of days before is the same."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)

    def known(rows):
        rows = sorted(rows)
        at = np.array([microseconds(begin + timedelta(days=day)) for day, _ in rows], np.int64)
        value = np.array([v for _, v in rows], float)
        return Known(name="s", scope=Scope(), known_ahead=False, fill=fill, at=at, value=value)

    day = begin.date() + timedelta(days=origin)
    shifted = [(d, v) if d < origin else (d + 3, v * 2 + 1) for d, v in values]
    only_past = [(d, v) for d, v in values if d < origin]
    rows = [
        resolve(without_later([known(v)], day), series(("A", "DE")), first=begin.date(), until=day)[0].rows
        for v in (values, shifted, only_past)
    ]
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])


# Holidays and regions -----------------------------------------------------------------------------


def test_holidays_of_a_subdivision_else_of_its_country():
    assert (calendar_of("DE-BY"), calendar_of("DE-XX"), calendar_of("XX"), calendar_of("US-CA")) == (
        "DE-BY", "DE", None, "US-CA",
    )  # fmt: skip
    signals = holidays(["DE-BY", "DE-BE", "", "XX"], date(2026, 1, 1), date(2026, 1, 8))
    aligned = resolve(
        signals, series(("A", "DE-BY"), ("A", "DE-BE"), ("A", "")), first=date(2026, 1, 1), until=date(2026, 1, 8)
    )
    (found,) = aligned
    assert found.known_ahead
    assert found.rows[found.index[:2]].tolist() == [[1, 0, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0, 0]], "Epiphany in Bavaria"
    assert found.index[2] == -1


@pytest.mark.parametrize(
    ("country", "region", "expected"),
    [
        ("DE", "BY", "DE-BY"), ("DE", "de-by", "DE-BY"), ("de", " by ", "DE-BY"), ("DE", "Bayern", "DE"),
        ("DE", None, "DE"), ("US", "CA", "US-CA"), ("DE", "", "DE"), ("FR", "75", "FR-75"), ("DE", "DE", "DE-DE"),
        ("GB", "GB-ENG", "GB-ENG"),
    ],
)  # fmt: skip
def test_region_of_is_what_the_database_says(db, country, region, expected):
    assert region_of(country, region) == expected
    with db.connection() as conn:
        assert conn.execute("SELECT demand_region_v1(%s, %s)", (country, region)).fetchone() == (expected,)
