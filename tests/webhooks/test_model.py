"""When to try again, and when to give up."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from onhand.webhooks.model import GIVE_UP_AFTER, next_try, pause_s

START = datetime(2026, 3, 1, tzinfo=UTC)


@given(st.integers(1, 500), st.integers(0, 4 * 86_400), st.integers())
def test_a_next_try_is_later_and_within_three_days(attempts, age_s, seed):
    now = START + timedelta(seconds=age_s)
    due = next_try(attempts, START, now, random.Random(seed))
    if age_s >= GIVE_UP_AFTER.total_seconds():
        assert due is None
    if due is not None:
        assert now < due < START + GIVE_UP_AFTER
        assert due - now <= timedelta(seconds=1 + min(6 * 3600, 5 * 2 ** (attempts - 1)))


@given(st.integers())
def test_an_endpoint_that_is_down_is_tried_a_few_dozen_times_over_nearly_three_days(seed):
    rng, now, tries = random.Random(seed), START, 0
    while True:
        tries += 1
        due = next_try(tries, START, now, rng)
        if due is None:
            break
        now = due
    assert 15 <= tries <= 80
    assert now - START > timedelta(days=2, hours=12)


@given(st.integers(1, 10_000), st.integers())
def test_a_pause_is_bounded(failures, seed):
    assert 0 < pause_s(failures, random.Random(seed)) <= 300
