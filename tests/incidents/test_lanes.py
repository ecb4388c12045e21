"""A lane that has become slower is told of soon, and one that has not hardly ever."""

from dataclasses import replace

import numpy as np
import pytest

from onhand.incidents.detect.lanes import (
    NOT_YET,
    Shipments,
    centred,
    findings,
    foretold_higher,
    learn,
    pooled,
    traced,
    watch,
)
from onhand.incidents.detect.moments import DAY_US, moment
from onhand.incidents.group import reconciled
from onhand.incidents.model import Incident, Kind, Subject

LANES, PER_DAY, DAYS = 8, 10, 100


def shipped(seed, *, lanes=LANES, days=DAYS, slow=(), since=0.0, shift=2.0, bias=0.0, first=0.0) -> Shipments:
    """Log-normal transit about 4 days; lanes `slow` take `shift` days more from day `since` on."""
    random = np.random.default_rng(seed)
    lane = np.repeat(np.arange(lanes), PER_DAY * days)
    at = first + random.random(len(lane)) * days
    took = 4 * np.exp(random.normal(0, 0.35, len(lane))) + bias + shift * (np.isin(lane, slow) & (at >= since))
    return Shipments(
        lane=lane, shipped_at=(at * DAY_US).astype(np.int64), delivered_at=((at + took) * DAY_US).astype(np.int64),
        median_days=np.full(len(lane), 4.0), spread_days=np.full(len(lane), 3.7),
        due_at=((at + 6) * DAY_US).astype(np.int64), late_minor=np.full(len(lane), 500.0),
    )  # fmt: skip


@pytest.fixture(scope="module")
def learned():
    return learn(shipped(1, lanes=20), DAYS * DAY_US, replayed=100_000)


def rows(shipments: Shipments, of) -> Shipments:
    return Shipments(**{n: getattr(shipments, n)[of] for n in Shipments.__dataclass_fields__})


def test_the_slow_lane_is_told_of_within_days_of_overdue_shipments(learned):
    moved = shipped(2, days=60, slow=[3], since=40)
    told = [np.flatnonzero(watch(moved, learned, int(day * DAY_US)).is_slow).tolist() for day in (40, 47, 50)]
    assert told == [[], [3], [3]]
    seen = watch(moved, learned, 50 * DAY_US)
    assert seen.delay_days[3] == pytest.approx(2, abs=0.5)
    assert seen.since_at[3] / DAY_US == pytest.approx(40, abs=1.5)
    assert seen.confidence[3] > 0.99
    assert seen.confidence[:3].max() < 0.3
    assert ((seen.confidence >= 0.5) == seen.is_slow).all()
    [found] = findings(seen, [(f"hub-{n}", "dhl") for n in range(LANES)], causes=[Subject("carrier", ("dhl",))] * LANES)
    assert (found.kind, found.subject.key, found.causes[1].key) == (Kind.LANE_SLOW, ("hub-3", "dhl"), ("dhl",))
    assert "2.0 days" in found.sentence or "1.75" in found.sentence or "2.2" in found.sentence
    assert found.loss_minor > 0


def test_a_lane_that_comes_to_be_foretold_as_slow_is_seen_by_its_predictions():
    """Two lanes of ten shipments a day, foretold as four days give or take one; the second as six from day 20 on."""
    random = np.random.default_rng(5)
    lane, day = np.repeat([0, 1], 400), np.tile(np.repeat(np.arange(40), 10), 2)
    at = (day * DAY_US + random.integers(0, DAY_US, 800)).astype(np.int64)
    days = 4 + random.normal(0, 1, 800) + 2 * ((lane == 1) & (day >= 20))
    usual, deviation = np.array([4.0, 4.0]), np.array([1.0, 1.0])
    higher = foretold_higher(lane, at, days, usual, deviation)
    quiet = (lane == 0) | (day < 20)
    assert higher.min() == 0 and np.quantile(higher[quiet & (day >= 7)], 0.9) < 0.1
    # After a week all but two standard errors of it.
    assert higher[(lane == 1) & (day >= 27)].mean() == pytest.approx(2 - 2 / np.sqrt(70), abs=0.2)
    # Nothing that leaves later matters, nor does the order of rows.
    known = at < 25 * DAY_US
    assert (foretold_higher(lane[known], at[known], days[known], usual, deviation) == higher[known]).all()
    mixed = random.permutation(800)
    assert np.allclose(foretold_higher(lane[mixed], at[mixed], days[mixed], usual, deviation), higher[mixed])
    assert len(foretold_higher(lane[:0], at[:0], days[:0], usual, deviation)) == 0


def test_shipments_still_under_way_are_evidence(learned):
    """Nothing of what left after the change has arrived: who waits for deliveries does not know."""
    moved = shipped(3, days=60, slow=[0], since=40, shift=9.0)
    now = 46 * DAY_US
    told = watch(moved, learned, now)
    assert told.is_slow[0] and not told.is_slow[1:].any()
    arrived = watch(rows(moved, moved.delivered_at <= now), learned, now)
    assert arrived.sum[0] < 0.5 * arrived.threshold[0]


def test_each_overdue_day_adds_evidence(learned):
    one = Shipments(
        lane=np.zeros(1, np.int64), shipped_at=np.zeros(1, np.int64), delivered_at=np.full(1, NOT_YET),
        median_days=np.full(1, 4.0), spread_days=np.full(1, 3.7),
    )  # fmt: skip
    sums = np.array([watch(one, learned, day * DAY_US).sum[0] for day in range(40)])
    assert (np.diff(sums) >= 0).all()
    assert sums[2] < 0.1 and sums[10] > 0.8
    assert sums[-1] <= 3.01, "one lost parcel is no slow lane"


def test_the_future_does_not_matter(learned):
    """Shift test: neither what is shipped later nor when what is under way arrives changes anything."""
    moved = shipped(4, days=60, slow=[2], since=40)
    now = 46 * DAY_US
    before = watch(moved, learned, now)
    random = np.random.default_rng(0)
    later = moved.delivered_at > now
    other = replace(
        moved,
        delivered_at=np.where(later, np.maximum(now, moved.shipped_at) + random.integers(1, 9 * DAY_US, len(moved)),
                              moved.delivered_at),
        median_days=np.where(moved.shipped_at > now, 40.0, moved.median_days),
    )  # fmt: skip
    for changed in (other, rows(moved, moved.shipped_at <= now)):
        after = watch(changed, learned, now, lanes=LANES)
        for name in ("sum", "is_slow", "confidence", "delay_days", "since_at", "loss_minor", "open", "per_day"):
            assert np.array_equal(getattr(after, name), getattr(before, name)), name


def test_nor_is_it_learned_from():
    history = shipped(5)
    origin = 60 * DAY_US
    cut = rows(history, history.shipped_at <= origin)
    cut = replace(cut, delivered_at=np.where(cut.delivered_at > origin, NOT_YET, cut.delivered_at))
    whole, known = (learn(h, origin, replayed=5_000) for h in (history, cut))
    assert np.array_equal(whole.thresholds, known.thresholds)
    assert np.array_equal(whole.log_density, known.log_density)


def test_order_of_rows_does_not_matter(learned):
    moved = shipped(6, days=50, slow=[1], since=40)
    mixed = rows(moved, np.random.default_rng(1).permutation(len(moved)))
    assert np.array_equal(watch(moved, learned, 46 * DAY_US).sum, watch(mixed, learned, 46 * DAY_US).sum)


def test_false_alarms_are_as_few_as_was_asked_for(learned):
    """16 lane-years: 0.3 alarms a year were allowed, so 10 and more of them come once in 80 such tests."""
    alarms = 0
    for seed in range(16):
        steady = shipped(100 + seed, lanes=1, days=365)
        sums, threshold = traced(steady, learned, np.arange(30 * DAY_US, 365 * DAY_US, DAY_US // 4))
        over = sums >= threshold
        alarms += int((over[1:] & ~over[:-1]).sum())
    assert alarms < 10


def test_a_replay_says_what_looks_said(learned):
    moved = rows(shipped(7, days=60, slow=[0], since=40), slice(0, PER_DAY * 60))
    looks = np.arange(20, 50, dtype=np.int64) * DAY_US
    sums, threshold = traced(moved, learned, looks)
    high = replace(learned, thresholds=np.full_like(learned.thresholds, threshold[0]))
    assert sums == pytest.approx([watch(moved, high, int(at)).sum[0] for at in looks], abs=1e-9)
    assert threshold[0] < sums.max() <= 2 * threshold[0], "what is far above comes down again when the lane recovers"


def test_a_lane_that_recovers_is_no_longer_slow(learned):
    slow, well = shipped(8, lanes=1, days=50, slow=[0], since=40), shipped(9, lanes=1, days=20, first=50)
    both = Shipments(
        **{n: np.concatenate([getattr(slow, n), getattr(well, n)]) for n in Shipments.__dataclass_fields__}
    )
    assert watch(both, learned, 50 * DAY_US).is_slow[0]
    assert not watch(both, learned, 66 * DAY_US).is_slow[0]


def test_one_slowdown_is_one_incident_that_opens_once_and_closes_when_it_is_over(learned):
    moved, well = shipped(13, days=48, slow=[3], since=40), shipped(14, days=40, first=48)
    both = Shipments(
        **{n: np.concatenate([getattr(moved, n), getattr(well, n)]) for n in Shipments.__dataclass_fields__}
    )
    names = [(str(n),) for n in range(LANES)]
    known: list[Incident] = []
    told: list[tuple[str, tuple[str, ...], float]] = []
    for day in np.arange(35, 85, 0.25):
        now = int(day * DAY_US)
        change = reconciled(known, findings(watch(both, learned, now), names), moment(now))
        told += [("opened", i.cause.key, day) for i in change.opened]
        told += [("closed", i.cause.key, day) for i in change.closed]
        known = [*change.opened, *change.updated, *change.unchanged]
    assert [(word, lane) for word, lane, _ in told] == [("opened", ("3",)), ("closed", ("3",))]
    assert 42 < told[0][2] < 47
    assert 50 < told[1][2] < 60


def test_a_lane_that_was_always_slower_than_foretold_is_no_news():
    history = shipped(10, lanes=4)
    biased = replace(history, delivered_at=history.delivered_at + (history.lane == 2) * 2 * DAY_US)
    learned = learn(biased, DAYS * DAY_US, replayed=20_000)
    assert learned.bias[2] == pytest.approx(2, abs=0.2)
    assert not watch(biased, learned, 70 * DAY_US).is_slow.any()


def test_a_hub_is_told_of_before_its_lanes_and_names_those_that_are_slow(learned):
    """Half a day on six of eight lanes: too little for most of them alone."""
    moved = shipped(11, days=60, slow=range(6), since=40, shift=0.8)
    group = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    now = 48 * DAY_US
    above, named = pooled(moved, group, learned, now)
    assert above.is_slow.tolist() == [True, False]
    assert named[:6].sum() > watch(moved, learned, now).is_slow[:6].sum()
    assert not named[6:].any(), "of a group that is well none is named"
    alone, _ = pooled(moved, np.arange(LANES), learned, now + 5 * DAY_US)
    assert not alone.is_slow.any(), "a group of one lane is left to that lane"


def test_what_is_already_late_is_not_a_loss_that_can_be_avoided(learned):
    moved = shipped(12, days=60, slow=[0], since=40)
    seen = watch(moved, learned, 50 * DAY_US)
    assert 0 < seen.loss_minor[0] < 500 * seen.open[0]
    overdue = replace(moved, due_at=moved.shipped_at)
    assert watch(overdue, learned, 50 * DAY_US).loss_minor[0] == 0


def test_medians_and_spreads_come_from_quantiles():
    median, spread = centred(np.array([0.1, 0.5, 0.9]), np.array([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0]]))
    assert median.tolist() == [2, 3]
    assert spread.tolist() == [4, 0.25]
    with pytest.raises(ValueError, match=r"from 0\.1 or less"):
        centred(np.array([0.3, 0.5, 0.9]), np.zeros((1, 3)))


def test_wrong_input_is_told(learned):
    few = rows(shipped(1, lanes=1), slice(0, 50))
    with pytest.raises(ValueError, match="100 or more shipments"):
        learn(few, DAYS * DAY_US)
    with pytest.raises(ValueError, match="median_days above 0"):
        replace(few, median_days=np.zeros(50))
    with pytest.raises(ValueError, match="delivered_at >= shipped_at"):
        replace(few, delivered_at=few.shipped_at - 1)
    with pytest.raises(ValueError, match="lanes below 0"):
        watch(few, learned, 0, lanes=0)
