"""Shares of days in which nothing was there."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from onhand.base.dates import microseconds
from onhand.demand.correct import day_number
from onhand.demand.stock_outs import closed_shares, hour_weights

EVEN = hour_weights(np.zeros(24))
MONDAY = day_number(date(2026, 3, 2))


def at(day, hour, minute=0):
    return microseconds(datetime(2026, 3, day, hour, minute, tzinfo=UTC))


def shares(turns, *, timezone="UTC", weights=EVEN, until=date(2026, 3, 9)):
    """{(group, day of March): share} of turns (group, moment, delta)."""
    group, moment, delta = (np.array(column, np.int64) for column in zip(*turns, strict=True))
    found = closed_shares(group, moment, delta, timezone=timezone, weights=weights, until=day_number(until))
    return {(int(g), int(d) - MONDAY + 2): round(float(s), 6) for g, d, s in zip(*found, strict=True)}


def test_from_the_last_unit_to_the_next_delivery():
    turns = [(1, at(2, 0), 1), (1, at(3, 18), -1), (1, at(5, 6), 1)]
    assert shares(turns) == {(1, 3): 0.25, (1, 4): 1.0, (1, 5): 0.25}


def test_out_until_the_end_and_not_before_anything_was_heard():
    assert shares([(1, at(7, 12), 0)]) == {(1, 7): 0.5, (1, 8): 1.0}, "first heard of without a unit"
    assert shares([(1, at(7, 12), 1)]) == {}


def test_an_item_is_there_while_any_of_its_nodes_has_it():
    turns = [(1, at(2, 0), 1), (1, at(2, 6), 1), (1, at(3, 0), -1), (1, at(4, 12), -1), (1, at(5, 0), 1)]
    assert shares(turns) == {(1, 4): 0.5}, "one node of two ran out on Tuesday, the other on Wednesday at noon"


def test_a_unit_that_arrives_elsewhere_at_the_same_moment_leaves_no_gap():
    turns = [(1, at(2, 0), 1), (1, at(3, 9), -1), (1, at(3, 9), 1)]
    assert shares(turns) == {}


def test_groups_are_apart():
    turns = [(1, at(2, 0), 1), (2, at(2, 0), 1), (2, at(8, 0), -1), (1, at(8, 18), -1)]
    assert shares(turns) == {(1, 8): 0.25, (2, 8): 1.0}


def test_several_times_a_day_add_up():
    turns = [(1, at(2, 0), 1), (1, at(3, 0), -1), (1, at(3, 6), 1), (1, at(3, 12), -1), (1, at(3, 15), 1)]
    assert shares(turns) == {(1, 3): 0.375}


def test_days_are_those_of_the_place():
    turns = [(1, at(2, 0), 1), (1, at(3, 23), -1), (1, at(4, 11), 1)]
    assert shares(turns) == {(1, 3): round(1 / 24, 6), (1, 4): round(11 / 24, 6)}
    assert shares(turns, timezone="Europe/Berlin") == {(1, 4): 0.5}, "midnight to noon in Berlin"


def test_hours_in_which_nobody_buys_miss_nothing():
    by_day = np.zeros(24)
    by_day[8:20] = 1_000
    weights = hour_weights(by_day)
    turns = [(1, at(2, 0), 1), (1, at(3, 0), -1), (1, at(3, 8), 1), (1, at(4, 14), -1), (1, at(4, 20), 1)]
    found = shares(turns, weights=weights)
    assert found[1, 3] == pytest.approx(8 / 12_024, abs=1e-5), "a night"
    assert found[1, 4] == pytest.approx(6_006 / 12_024, abs=1e-5), "an afternoon"


def test_few_lines_say_nothing_of_the_hours():
    few = np.zeros(24)
    few[12] = 400
    assert hour_weights(few).tolist() == pytest.approx([1 / 24] * 24)
