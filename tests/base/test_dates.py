"""Moments as whole numbers and as text, exactly."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from onhand.base.dates import microseconds, rfc3339

START = datetime(1970, 1, 1, tzinfo=UTC)


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    place = timezone(timedelta(minutes=draw(st.integers(-14 * 60, 14 * 60))))
    return (START + timedelta(microseconds=draw(st.integers(-(10**15), 4 * 10**15)))).astimezone(place)


@given(moments())
def test_microseconds_count_from_1970_whatever_the_time_zone(moment: datetime) -> None:
    us = microseconds(moment)
    assert START + timedelta(microseconds=us) == moment
    assert microseconds(moment + timedelta(microseconds=1)) == us + 1


@given(st.integers(-(10**9), 4 * 10**9))
def test_text_reads_back_as_the_same_second(seconds: int) -> None:
    text = rfc3339(seconds)
    assert text.endswith("Z") and len(text) == 20
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(seconds, UTC)
