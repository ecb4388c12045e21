"""Shipments are foretold from our own deliveries: when they leave, and anew after every scan."""

import multiprocessing
import threading
import time
from datetime import timedelta

import pytest
from tests.flows.tracked import BY, NOW, history, iso, one, shown

from onhand.flows.incidents.watch import Watch
from onhand.flows.tracking.foretell import Foreteller, run_apart
from onhand.flows.tracking.record import record_tracking
from onhand.incidents import store
from onhand.incidents.model import Subject


def days_to(row, name):
    return (row["prediction"][name] - row["shipped_at"]) / timedelta(days=1)


@pytest.fixture
def foreteller(merchant):
    return Foreteller(merchant.db, now=lambda: NOW, trees=False)


def test_nothing_is_foretold_before_anything_was_learned(merchant, foreteller):
    order = one(merchant, "X", 0.5)
    foreteller.learn()
    assert foreteller.look() == 0 and shown(merchant, order)["prediction"] is None


def test_shipments_are_foretold_when_they_leave_and_after_each_scan(merchant, foreteller):
    history(merchant, 150, days=lambda chance: chance.uniform(2.0, 4.0))
    order = one(merchant, "X", 0.25)
    foreteller.learn()
    assert foreteller.look() > 0
    first = shown(merchant, order)
    assert 2.7 < days_to(first, "p50") < 3.3 and 3.5 < days_to(first, "p95") < 4.3
    assert first["p_late"] < 0.1 and [f["milestone"] for f in first["forecasts"]] == [None]
    assert foreteller.look() == 0, "nothing has changed"
    # Half of the way took a quarter of a day: the rest will not take long either.
    scan = {"carrier": "dhl", "tracking": "X", "milestone": "at_hub", "at": iso(0.0)}
    record_tracking(merchant.db, [scan], source="api", now=NOW, by=BY)
    assert foreteller.look() == 1
    after = shown(merchant, order)
    assert [f["milestone"] for f in after["forecasts"]] == [None, "at_hub"]
    assert days_to(after, "p50") < days_to(first, "p50") - 0.5
    # The same scan again is no news.
    record_tracking(merchant.db, [scan], source="api", now=NOW, by=BY)
    assert foreteller.look() == 0


def test_a_shipment_that_gets_likely_late_is_told_of_once_before_it_is_late(merchant, foreteller):
    history(merchant, 150, days=lambda chance: chance.uniform(2.0, 4.0))
    in_time, late = one(merchant, "X", 1.0), one(merchant, "Y", 1.0, promised=2.2)
    foreteller.learn()
    foreteller.look()
    row = shown(merchant, late)
    assert row["p_late"] > 0.6 and row["likely_late_since"] == NOW and row["deliver_by"] > NOW
    assert shown(merchant, in_time)["likely_late_since"] is None
    assert merchant.events(f"{late}-s1") == ["shipment.likely_late"]
    ((data,),) = merchant.rows("SELECT data FROM event WHERE kind = 'shipment.likely_late'")
    assert data["order_id"] == late and data["p_late"] == row["p_late"] and data["expected_at"] > data["deliver_by"]
    # A day later it is as likely as before: nobody is told again.
    later = Foreteller(merchant.db, now=lambda: NOW + timedelta(days=1.5), trees=False)
    later.learn()
    later.look()
    assert merchant.events(f"{late}-s1") == ["shipment.likely_late"]
    assert merchant.events(f"{in_time}-s1") == []


def test_it_follows_its_carriers_and_allows_for_those_on_their_way(merchant, foreteller):
    history(merchant, 120, days=lambda chance: chance.uniform(1.0, 2.0), seed=1)
    history(merchant, 120, days=lambda chance: chance.uniform(5.0, 7.0), carrier="ups", seed=2)
    quick, slow = one(merchant, "X", 0.1), one(merchant, "Y", 0.1, carrier="ups")
    foreteller.learn()
    while foreteller.look():
        pass
    assert days_to(shown(merchant, quick), "p50") < 2.2
    assert 5.0 < days_to(shown(merchant, slow), "p50") < 7.5


def test_a_carrier_that_never_tells_does_not_teach_that_parcels_never_come(merchant, foreteller):
    history(merchant, 120, days=lambda chance: chance.uniform(1.0, 2.0), seed=1)
    history(merchant, 120, days=lambda _: 1_000.0, carrier="mute", seed=2)
    order = one(merchant, "X", 0.1)
    foreteller.learn()
    while foreteller.look():
        pass
    assert days_to(shown(merchant, order), "p50") < 2.2


def test_two_foretellers_foretell_a_shipment_once(merchant, foreteller):
    history(merchant, 60, days=lambda chance: chance.uniform(2.0, 4.0))
    order = one(merchant, "X", 0.25)
    other = Foreteller(merchant.db, now=lambda: NOW, trees=False)
    foreteller.learn()
    other.learn()
    keys = [(order, 1)]
    assert (foreteller.foretell(keys), other.foretell(keys)) == (1, 1)
    assert len(shown(merchant, order)["forecasts"]) == 1, "the second says nothing else"


def test_a_process_of_its_own_learns_foretells_and_ends_with_its_worker(merchant):
    history(merchant, 60, days=lambda chance: chance.uniform(4.0, 6.0))
    order = one(merchant, "X", 0.25)
    stop = threading.Event()
    worker = threading.Thread(target=run_apart, args=(merchant.db, stop), kwargs={"start_every_s": 0.05})
    worker.start()
    try:
        until = time.monotonic() + 60
        while shown(merchant, order)["prediction"] is None and time.monotonic() < until:
            stop.wait(0.1)
    finally:
        stop.set()
        worker.join(20)
    assert not worker.is_alive() and not multiprocessing.active_children()
    assert shown(merchant, order)["prediction"] is not None
    assert merchant.rows("SELECT count(*) FROM event WHERE kind = 'carrier.transit_learned'") == [(1,)]


def test_a_likely_late_shipment_is_an_incident_until_it_comes(merchant, foreteller):
    history(merchant, 150, days=lambda chance: chance.uniform(2.0, 4.0))
    late = one(merchant, "Y", 1.0, promised=2.2)
    one(merchant, "X", 1.0)
    foreteller.learn()
    while foreteller.look():
        pass
    # Later than the orders were placed, whenever this test runs.
    watch = Watch(merchant.db, now=lambda: NOW + timedelta(hours=1))

    def incidents():
        (fared,) = watch.look(only=["late_shipments"], is_due=True)
        assert fared.problem is None
        with merchant.db.connection() as conn:
            kept = store.list_incidents(conn, main="EUR", limit=10, kind="shipment_late")
            return [(i, store.findings_of(conn, i)) for i in kept]

    told = {f.subject.key[0]: (i, f) for i, findings in incidents() for f in findings}
    _, finding = told[f"{late}-s1"]
    assert finding.confidence == shown(merchant, late)["p_late"] and finding.since == NOW
    assert finding.causes[1:] == (Subject("lane", ("berlin", "dhl", "DE")), Subject("carrier", ("dhl",)))
    assert finding.loss_minor > 0 and finding.numbers["hours_left"] == pytest.approx(27.8, abs=0.1)
    assert "likely to come after" in finding.sentence
    # Before it was foretold nobody could know.
    assert Watch(merchant.db, now=lambda: NOW - timedelta(minutes=1)).look(only=["late_shipments"], is_due=True)[
        0
    ].findings == len(told) - sum(f.since == NOW for _, f in told.values())
    scan = {"carrier": "dhl", "tracking": "Y", "milestone": "delivered", "at": iso(0.0)}
    record_tracking(merchant.db, [scan], source="api", now=NOW, by=BY)
    later = Watch(merchant.db, now=lambda: NOW + timedelta(hours=8))
    later.look(only=["late_shipments"], is_due=True)
    with merchant.db.connection() as conn:
        left = store.list_incidents(conn, main="EUR", limit=10, kind="shipment_late", status="open")
        assert f"{late}-s1" not in [f.subject.key[0] for i in left for f in store.findings_of(conn, i)]
