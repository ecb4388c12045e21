"""When a shipment is told of as likely late, which shipments teach, and forecasts that count from a scan."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.fulfilment.delivery.model import Shipments
from onhand.fulfilment.delivery.stages import StagedModel
from onhand.fulfilment.tracking.decide import LIKELY, UNLIKELY, likely_late_since, telling

NOW = datetime(2026, 3, 2, tzinfo=UTC)
BEFORE = NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("p_late", "since", "then"),
    [
        (0.49, None, None), (0.5, None, NOW), (0.5, BEFORE, BEFORE), (0.4, BEFORE, BEFORE), (0.4, None, None),
        (0.34, BEFORE, None), (None, BEFORE, BEFORE), (None, None, None),
    ],
)  # fmt: skip
def test_likely_late_begins_at_one_half_and_ends_below_a_third(p_late, since, then):
    assert likely_late_since(p_late, since, NOW) == then


@given(st.lists(st.floats(UNLIKELY, LIKELY - 0.001), max_size=30))
def test_a_chance_that_wavers_between_changes_nothing(chances):
    for since in (None, BEFORE):
        now = since
        for p in chances:
            now = likely_late_since(p, now, NOW)
        assert now == since


def test_who_hardly_ever_tells_of_deliveries_teaches_by_those_alone():
    services = [("dhl", "x")] * 4 + [("mute", "x")] * 4
    days = np.array([2.0, 3.0, np.nan, np.nan, 2.0, np.nan, np.nan, np.nan])
    room = np.array([60.0, 50.0, 40.0, 1.0, 60.0, 50.0, 40.0, 1.0])
    told = telling(services, days, room, silent=room)
    assert told.tolist() == [True, True, True, True, True, False, False, False]
    # Nothing was heard of it for long: nobody knows.
    assert not telling(services[:4], days[:4], np.where(np.isnan(days[:4]), 46.0, 60.0), np.full(4, 46.0))[2]
    # A new service has nothing old to be judged by.
    assert telling([("new", "x")], np.array([np.nan]), np.array([3.0]), np.array([3.0])).all()


def world(count=1_500, seed=1):
    """Shipments of the last 60 days: some days to the hub, then one or two more; delivered and scanned as of now."""
    chance = np.random.default_rng(seed)
    start = np.sort(chance.uniform(0, 60, count))
    hub = chance.uniform(1, 8, count)
    days = hub + chance.uniform(1.0, 2.0, count)
    room = 60 - start
    return Shipments(
        start=start, promised=np.full(count, 6.0), days=np.where(days <= room, days, np.nan),
        origin=np.tile([52.5, 13.4], (count, 1)), destination=np.tile([48.1, 11.6], (count, 1)),
        handed_over=np.full(count, np.nan), kinds={"carrier": np.full(count, "dhl")},
    ), np.where(hub <= room, hub, np.nan)  # fmt: skip


LEVELS = np.array([0.05, 0.5, 0.95])


def test_after_a_scan_the_days_count_from_it():
    history, hub = world()
    model = StagedModel(history, {"at_hub": hub, "exception": np.full(len(hub), np.nan)}, 60.0, trees=False)
    assert list(model.milestones) == ["at_hub"], "of an exception nothing is known"
    one = history.rows(np.arange(3))
    at = np.array([2.0, 7.0, np.nan])
    made = model.predict(one, ["at_hub", "at_hub", None], at, LEVELS, np.array([2.0, 7.0, 0.0]))
    for row, scanned in ((0, 2.0), (1, 7.0)):
        assert made.quantiles[row, 1] == pytest.approx(scanned + 1.5, abs=0.2)
        assert made.quantiles[row, 2] - made.quantiles[row, 0] < 1.4
    assert made.late[0] < 0.1 and made.late[1] == 1.0, "promised by the sixth day, which has passed"
    assert made.quantiles[2, 2] - made.quantiles[2, 0] > 4, "without a scan it may be any day"
    # A day later without news: it comes soon.
    later = model.predict(one, ["at_hub"] * 3, np.full(3, 2.0), LEVELS, np.full(3, 3.5))
    assert (later.quantiles[:, 0] >= 3.5).all() and (later.quantiles[:, 2] < 4.6).all()


def test_an_unknown_milestone_is_foretold_as_without_one():
    history, hub = world()
    model = StagedModel(history, {"at_hub": hub}, 60.0, trees=False)
    one = history.rows(np.arange(2))
    a = model.predict(one, [None, None], np.full(2, np.nan), LEVELS, np.zeros(2))
    b = model.predict(one, ["exception", "exception"], np.full(2, 1.0), LEVELS, np.zeros(2))
    np.testing.assert_array_equal(a.quantiles, b.quantiles)
