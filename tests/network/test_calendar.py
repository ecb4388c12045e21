"""When a node ships: checked against looking at every minute of the clock on its wall."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.base.dates import EPOCH
from onhand.network.calendar import SLOTS, ship_slots

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",  # +05:45
    "Australia/Lord_Howe",  # saves half an hour
    "Pacific/Kiritimati",  # +14: a day ahead of
    "Pacific/Pago_Pago",  # -11
    "America/Santiago",  # its clocks change at midnight
]


def slots(now: datetime, zone: str = "UTC", cutoff: str = "15:00", **rules: object) -> list[tuple[date, datetime]]:
    """Ship days with their cut-off, as dates and times."""
    rules = {"working_days": EVERY_DAY, "closed_days": set[date]()} | rules
    found = ship_slots(now, timezone=zone, cutoff=time.fromisoformat(cutoff), **rules)  # type: ignore[arg-type]
    return [(EPOCH + timedelta(days=day), datetime.fromtimestamp(closes, UTC)) for day, closes in found]


def wall_clock(day: date, cutoff: time, zone: ZoneInfo) -> datetime:
    """The first moment at which clocks there show `day` and `cutoff`; if they jump over it, as long after the jump as
    the cut-off is later than they showed then. Looked for every quarter of an hour: no clock is off by less."""
    wanted = datetime.combine(day, cutoff)
    at = wanted.replace(tzinfo=UTC) - timedelta(hours=15)
    before = at.astimezone(zone).replace(tzinfo=None)
    for _ in range(4 * 30):
        shown = at.astimezone(zone).replace(tzinfo=None)
        if shown == wanted:
            return at
        if before < wanted < shown:
            return at - timedelta(minutes=15) + (wanted - before)
        at, before = at + timedelta(minutes=15), shown
    raise AssertionError("no such moment")


@given(
    now=st.timedeltas(timedelta(0), timedelta(days=1_100)).map(lambda later: datetime(2026, 1, 1, tzinfo=UTC) + later),
    zone=st.sampled_from(ZONES),
    cutoff=st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59])),
    working_days=st.sets(st.integers(1, 7), min_size=1),
    closed=st.sets(st.integers(-1, 20), max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_days_are_the_next_working_days_whose_cut_off_lies_ahead(
    now: datetime, zone: str, cutoff: time, working_days: set[int], closed: set[int]
) -> None:
    place = ZoneInfo(zone)
    today = now.astimezone(place).date()
    closed_days = {today + timedelta(days=n) for n in closed}
    found = slots(now, zone, cutoff.isoformat(), working_days=working_days, closed_days=closed_days)
    assert len(found) <= SLOTS
    days = [today + timedelta(days=n) for n in range(60)]
    open_days = [d for d in days if d.isoweekday() in working_days and d not in closed_days]
    expected = [(d, wall_clock(d, cutoff, place)) for d in open_days[: SLOTS + 1]]
    assert found == [(d, closes) for d, closes in expected if closes > now][:SLOTS]


def test_the_cut_off_itself_is_too_late_and_a_moment_before_is_not() -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    today, tomorrow = date(2026, 3, 4), date(2026, 3, 5)
    assert slots(noon - timedelta(microseconds=1), cutoff="12:00")[0] == (today, noon)
    assert slots(noon, cutoff="12:00")[0] == (tomorrow, noon + timedelta(days=1))
    assert slots(noon + timedelta(seconds=1), cutoff="12:00")[0][0] == tomorrow


@pytest.mark.parametrize(
    ("zone", "day", "cutoff", "hour_utc"),
    [
        ("Europe/Berlin", date(2026, 3, 28), "02:30", 1.5),
        ("Europe/Berlin", date(2026, 3, 29), "02:30", 1.5),  # skipped: 03:30 summer time
        ("Europe/Berlin", date(2026, 3, 30), "02:30", 0.5),
        ("Europe/Berlin", date(2026, 10, 25), "02:30", 0.5),  # comes twice: the first
        ("Europe/Berlin", date(2026, 10, 26), "02:30", 1.5),
        ("Australia/Lord_Howe", date(2026, 10, 4), "02:15", 15.75 - 24),  # half an hour is skipped
        ("America/Santiago", date(2026, 9, 6), "00:30", 4.5),  # midnight is skipped
    ],
)
def test_a_cut_off_in_the_hour_of_a_clock_change(zone: str, day: date, cutoff: str, hour_utc: float) -> None:
    closes = datetime.combine(day, time(0), UTC) + timedelta(hours=hour_utc)
    assert (day, closes) in slots(closes - timedelta(days=1, hours=1), zone, cutoff)


def test_the_29th_of_february_is_a_day() -> None:
    found = slots(datetime(2028, 2, 28, 9, tzinfo=UTC))
    assert [d for d, _ in found[:3]] == [date(2028, 2, 28), date(2028, 2, 29), date(2028, 3, 1)]
    assert date(2028, 2, 29) not in [
        d for d, _ in slots(datetime(2028, 2, 28, 9, tzinfo=UTC), closed_days={date(2028, 2, 29)})
    ]


def test_both_sides_of_the_date_line_ship_on_their_own_day() -> None:
    now = datetime(2026, 3, 4, 10, 30, tzinfo=UTC)
    # 00:30 on the 5th there, 23:30 on the 3rd here.
    assert slots(now, "Pacific/Kiritimati")[0] == (date(2026, 3, 5), datetime(2026, 3, 5, 1, tzinfo=UTC))
    assert slots(now, "Pacific/Pago_Pago")[0] == (date(2026, 3, 4), datetime(2026, 3, 5, 2, tzinfo=UTC))


def test_a_node_that_is_closed_for_sixty_days_has_no_ship_day() -> None:
    now = datetime(2026, 3, 4, 10, tzinfo=UTC)
    closed = {now.date() + timedelta(days=n) for n in range(60)}
    assert slots(now, closed_days=closed) == []
    closed.remove(now.date() + timedelta(days=59))
    assert [d for d, _ in slots(now, closed_days=closed)] == [now.date() + timedelta(days=59)]
    # One working day a week: fewer than SLOTS within sixty days.
    assert len(slots(now, working_days=[1])) == 8


def test_a_whole_day_that_a_country_skipped_still_has_a_moment() -> None:
    """Samoa went from the 29th to the 31st of December 2011."""
    found = slots(datetime(2011, 12, 29, 12, tzinfo=UTC), "Pacific/Apia")
    assert [closes for _, closes in found] == sorted(closes for _, closes in found)
    assert (date(2011, 12, 31), datetime(2011, 12, 31, 1, tzinfo=UTC)) in found
