"""What the promise and the backlog say of days, and that neither is of the future."""

from dataclasses import replace

import numpy as np
import pytest

from onhand.fulfilment.delivery.backlog import learn_backlog
from onhand.fulfilment.delivery.features import groups_of
from onhand.fulfilment.delivery.learn import DeliveryModel
from onhand.fulfilment.delivery.learn import _promise_tells as promise_tells  # pyright: ignore[reportPrivateUsage]
from onhand.fulfilment.delivery.model import Shipments

NOW = 20_000.0


def shipments(start, days, promised):
    count = len(start)
    place = np.tile([52.5, 13.4], (count, 1))
    return Shipments(
        start=start, promised=promised, days=np.where(start + days <= NOW, days, np.nan), origin=place,
        destination=place + 1.0, handed_over=np.full(count, np.nan),
    )  # fmt: skip


def slowing(count=4_000, seed=0, strength=0.8):
    """(shipments, logs of days over the usual ten): waves of days that are slow, in which parcels pile up."""
    random = np.random.default_rng(seed)
    start = np.sort(random.uniform(NOW - 400, NOW, count))
    left = strength * np.sin(start / 25) + random.normal(0, 0.3, count)
    return shipments(start, 10 * np.exp(left), np.full(count, 20.0)), left


@pytest.mark.parametrize(("power", "told"), [(1.0, 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_the_power_of_the_promise_is_found(power, told):
    random = np.random.default_rng(1)
    start, promised = np.sort(random.uniform(NOW - 300, NOW - 60, 2_000)), random.choice([3.0, 6.0, 12.0, 24.0], 2_000)
    of = shipments(start, 2 * promised**power * np.exp(random.normal(0, 0.2, 2_000)), promised)
    assert promise_tells(of, groups_of(of), np.isfinite(of.days).astype(float)).power == pytest.approx(told, abs=0.1001)
    bare = shipments(start, promised, np.full(2_000, np.nan))
    assert promise_tells(bare, groups_of(bare), np.ones(2_000)).power == 0.0


def test_where_parcels_pile_up_they_take_longer():
    of, left = slowing()
    effect = learn_backlog(of, left, np.isfinite(of.days).astype(float), NOW)
    assert effect is not None and effect.slope > 0.2
    explained = effect.at(of.start[of.start > NOW - 300])
    assert np.corrcoef(explained, np.sin(of.start[of.start > NOW - 300] / 25))[0, 1] > 0.6


def test_the_backlog_of_a_day_does_not_know_what_comes_after_it():
    of, left = slowing()
    day = NOW - 100
    # All that came after the day comes later still, and of what was ordered after it every other row is not there.
    days = np.where(of.start + of.days > day, of.days + 7.0, of.days)
    kept = (of.start < day) | (np.arange(len(of)) % 2 == 0)
    changed = replace(of, days=days).rows(kept)
    now = learn_backlog(of, left, np.isfinite(of.days).astype(float), NOW)
    then = learn_backlog(changed, left[kept], np.isfinite(changed.days).astype(float), NOW)
    assert now is not None and then is not None
    # Over how long deliveries are counted is learned of all that is known.
    of_then = replace(then.backlog, window=now.backlog.window)
    before = np.arange(day - 200, day + 0.5, 0.25)
    assert of_then.at(before) == pytest.approx(now.backlog.at(before))
    assert (of_then.at(before + 30) != now.backlog.at(before + 30)).any()
    assert now.backlog.at(np.floor(before) + 0.7) == pytest.approx(now.backlog.at(np.floor(before)))
    assert now.backlog.at(np.array([NOW + 30.0])) == pytest.approx(now.backlog.at(np.array([NOW])))


def test_of_delivered_ones_alone_no_backlog_is_learned():
    of, left = slowing()
    came = of.rows(np.isfinite(of.days))
    assert learn_backlog(came, left[np.isfinite(of.days)], np.ones(len(came)), NOW) is None
    few = of.rows(np.arange(len(of)) % 40 == 0)
    assert learn_backlog(few, left[::40], np.isfinite(few.days).astype(float), NOW) is None


def test_a_model_foresees_more_of_waves_with_its_backlog(monkeypatch):
    """Orders of the week after, at three places of a wave: with the backlog they are foretold nearer to what came."""

    def lost(now):
        random = np.random.default_rng(2)
        start = np.sort(random.uniform(now - 500, now + 7, 5_000))
        days = 10 * np.exp(0.8 * np.sin(start / 25) + random.normal(0, 0.3, len(start)))
        of = shipments(start, np.where(start + days <= now, days, np.nan), np.full(len(start), 20.0))
        ahead = of.rows(start > now)
        made = DeliveryModel(of.rows(start <= now), now, trees=False).predict(
            ahead, np.array([0.5]), np.zeros(len(ahead))
        )
        return np.abs(made.quantiles[:, 0] - days[start > now]).mean()

    moments = (NOW - 120, NOW - 80, NOW)
    with_it = sum(map(lost, moments))
    monkeypatch.setattr("onhand.fulfilment.delivery.learn.learn_backlog", lambda *_: None)
    assert with_it < 0.9 * sum(map(lost, moments))
