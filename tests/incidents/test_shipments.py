"""Shipments that are likely to be late: told of before they are, since when, for how much, by what was known."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.incidents.detect.moments import DAY_US, HOUR_US, moment
from onhand.incidents.detect.shipments import NOT_YET, Forecasts, Shipments, findings, look
from onhand.incidents.model import Kind, Subject

NOW = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()) * 1_000_000
LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def at(hours):
    return NOW + int(hours * HOUR_US)


def shipment(*, shipped=-24.0, delivered=None, due=24.0, late_minor=500.0, day_minor=100.0):
    return Shipments(
        shipped_at=np.array([at(shipped)]), due_at=np.array([at(due)]), late_minor=np.array([late_minor]),
        delivered_at=np.array([NOT_YET if delivered is None else at(delivered)]), day_minor=np.array([day_minor]),
    )  # fmt: skip


def foretold(*rows):
    """(hours from now at which it was made, p_late, days), ..."""
    return Forecasts(
        shipment=np.zeros(len(rows), np.int64), made_at=np.array([at(hours) for hours, _, _ in rows], np.int64),
        p_late=np.array([p for _, p, _ in rows], float), levels=LEVELS,
        days=np.array([days for _, _, days in rows], float).reshape(-1, 5),
    )  # fmt: skip


FAST, SLOW = [1, 1.2, 1.5, 1.8, 2.0], [1.5, 2.0, 3.0, 4.0, 5.0]


def test_the_last_forecast_counts_and_evidence_begins_with_its_run():
    seen = look(shipment(), foretold((-20, 0.6, SLOW), (-10, 0.1, FAST), (-6, 0.4, SLOW), (-2, 0.7, SLOW)), NOW)
    assert (seen.p_late[0], seen.since_at[0], seen.forecasts[0]) == (0.7, at(-6), 4)
    assert seen.median_at[0] == at(-24 + 72)
    calm = look(shipment(), foretold((-20, 0.6, SLOW), (-2, 0.29, FAST)), NOW)
    assert (calm.p_late[0], calm.since_at[0]) == (0.29, -1)


def test_the_loss_is_worked_out_by_hand():
    # Promised two days after it left. Days are uniform pieces: mean beyond 2 of those above 2.
    seen = look(shipment(), foretold((-2, 0.7, SLOW)), NOW)
    levels = (np.arange(40) + 0.5) / 40
    days = np.interp(levels, LEVELS, SLOW)
    expected = (days[days > 2] - 2).mean()
    assert seen.days_late[0] == pytest.approx(expected) and 1.3 < expected < 1.7
    assert seen.loss_minor[0] == pytest.approx(500 + 100 * expected)


def test_what_has_not_left_or_has_come_is_not_told_of():
    for one in (shipment(shipped=1.0), shipment(delivered=-1.0)):
        assert look(one, foretold((-2, 0.9, SLOW)), NOW).since_at[0] == -1
    assert look(shipment(), foretold(), NOW).since_at[0] == -1
    assert look(shipment(delivered=1.0), foretold((-2, 0.9, SLOW)), NOW).since_at[0] == at(-2), "not yet, by then"


def test_what_is_late_is_late_whatever_was_foretold():
    seen = look(shipment(due=-6.0), foretold((-20, 0.1, FAST)), NOW)
    assert (seen.p_late[0], seen.since_at[0]) == (1.0, at(-6))
    assert seen.days_late[0] >= 0.25


def test_a_finding_in_words_with_its_causes():
    one = shipment()
    lane, carrier = Subject("lane", ("berlin", "dhl", "FR")), Subject("carrier", ("dhl",))
    [told] = findings(look(one, foretold((-2, 0.7, SLOW)), NOW), ["4711-s1"], one, [lane], [carrier], now=NOW)
    assert told.kind is Kind.SHIPMENT_LATE and told.causes == (Subject("shipment", ("4711-s1",)), lane, carrier)
    assert (told.confidence, told.since) == (0.7, moment(at(-2)))
    assert told.loss_minor == round(500 + 100 * told.numbers["expected_days_late"])
    assert "70% likely to come after 2026-03-03 12:00" in told.sentence and told.numbers["hours_left"] == 24
    late = shipment(due=-6.0)
    [told] = findings(look(late, foretold((-2, 0.7, SLOW)), NOW), ["1-s1"], late, [lane], [carrier], now=NOW)
    assert told.confidence == 1 and "is late" in told.sentence


@st.composite
def worlds(draw):
    n, f = draw(st.integers(1, 6)), draw(st.integers(0, 20))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shipped = NOW + chance.integers(-6 * DAY_US, DAY_US, n)
    came = shipped + chance.integers(0, 8 * DAY_US, n)
    ships = Shipments(
        shipped_at=shipped, delivered_at=np.where(chance.random(n) < 0.5, came, NOT_YET),
        due_at=shipped + chance.integers(0, 6 * DAY_US, n), late_minor=chance.uniform(0, 900, n),
        day_minor=chance.uniform(0, 90, n),
    )  # fmt: skip
    told = Forecasts(
        shipment=chance.integers(0, n, f), made_at=NOW + chance.integers(-6 * DAY_US, 3 * DAY_US, f),
        p_late=chance.random(f), levels=LEVELS, days=np.sort(chance.uniform(0, 9, (f, 5)), axis=1),
    )  # fmt: skip
    return ships, told, chance


def same(a, b):
    for name in ("p_late", "since_at", "days_late", "loss_minor", "median_at", "forecasts"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@given(worlds())
def test_nothing_of_the_future_is_looked_at(world):
    """Whatever is foretold or delivered after now may be otherwise: the answer is the same."""
    ships, told, chance = world
    later = told.made_at > NOW
    other = replace(
        told, p_late=np.where(later, chance.random(len(later)), told.p_late),
        days=np.where(later[:, None], 3.0, told.days),
    )  # fmt: skip
    ahead = ships.delivered_at > NOW
    moved = np.where(
        ahead & (ships.shipped_at < NOW), NOW + chance.integers(1, 9 * DAY_US, len(ahead)), ships.delivered_at
    )
    without = Forecasts(
        shipment=told.shipment[~later], made_at=told.made_at[~later], p_late=told.p_late[~later], levels=LEVELS,
        days=told.days[~later],
    )  # fmt: skip
    seen = look(ships, told, NOW)
    same(seen, look(replace(ships, delivered_at=moved), other, NOW))
    same(seen, look(ships, without, NOW))


@given(worlds())
def test_the_order_of_what_is_given_does_not_matter(world):
    ships, told, chance = world
    made, unique = np.unique(told.made_at, return_index=True)
    told = Forecasts(
        shipment=told.shipment[unique], made_at=made, p_late=told.p_late[unique], levels=LEVELS, days=told.days[unique]
    )
    order = chance.permutation(len(made))
    mixed = Forecasts(
        shipment=told.shipment[order], made_at=made[order], p_late=told.p_late[order], levels=LEVELS,
        days=told.days[order],
    )  # fmt: skip
    same(look(ships, told, NOW), look(ships, mixed, NOW))


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="p_late in"):
        foretold((-2, 1.5, SLOW))
    with pytest.raises(ValueError, match="at least 0"):
        shipment(late_minor=-1.0)
