"""Incidents from the database and back: once each, quiet when dismissed, over when their evidence is, by one process at
a time, and never half-written."""

import multiprocessing
import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from onhand.base.actor import SYSTEM, Actor
from onhand.db import Database
from onhand.errors import Conflict, NotFound
from onhand.flows.fulfil import accept, ship
from onhand.flows.incidents import watch as watching
from onhand.flows.incidents.dismiss import dismiss_incident
from onhand.flows.incidents.scene import FACTS, Detector, Memory, Scene, Seen, Unseen, main_currency
from onhand.flows.incidents.watch import Watch, forget_incidents
from onhand.flows.source_again import source_waiting
from onhand.incidents import store
from onhand.incidents.model import Finding, Kind, Subject


@pytest.fixture
def shop(merchant):
    """With a clock that agrees with the database's."""
    merchant.now = datetime.now(UTC)
    return merchant


@pytest.fixture
def watch(shop):
    return Watch(shop.db, now=lambda: shop.now)


def look(watch, *only):
    """How each detector fared in full, by its name."""
    return {looked.detector: looked for looked in watch.look(only=only or None, is_due=True)}


def incidents(shop, status="open", **asked):
    with shop.db.connection() as conn:
        return store.list_incidents(conn, main="EUR", limit=100, status=status, **asked)


def findings(shop, kept):
    with shop.db.connection() as conn:
        return store.findings_of(conn, kept)


def dismiss(shop, kept, reason="known"):
    return shop.db.transact(
        lambda conn: dismiss_incident(shop.db, conn, str(kept.incident_id), reason, now=shop.now, by=Actor(key_id=7))
    )


def age(shop, order_id, **ago):
    """Make an order's fulfilments and waiting lines older than they are."""
    since = shop.now - timedelta(**ago)
    shop.rows("UPDATE fulfilment SET updated_at = %s, ship_by = now() WHERE order_id = %s RETURNING 1", since, order_id)
    shop.rows("UPDATE queue_line SET since = %s WHERE order_id = %s RETURNING 1", since, order_id)


def stuck_order(shop, **lines):
    """An order that nobody has worked on for 19 days."""
    answer = shop.place(*(lines or {"A": 2}).items())
    age(shop, answer["order_id"], days=19)
    return answer["order_id"]


def test_an_order_that_nobody_works_on_is_told_of_once_and_over_when_somebody_does(shop, watch):
    shop.stock("berlin", A=10)
    order_id = stuck_order(shop)
    assert look(watch)["stuck_orders"].opened == 1
    (kept,) = incidents(shop)
    (finding,) = findings(shop, kept)
    assert (kept.kind, kept.cause, kept.status) == ("order_stuck", ("order", order_id), "open")
    assert finding.sentence.startswith("Order 1 of web has been allocated at berlin for 456 hours; half of them")
    # 2 units at 1.00, of which 30 % are margin as long as nobody says otherwise.
    assert (kept.loss_minor, kept.risk_minor, kept.currency) == (60, 60, "EUR")
    assert kept.since == shop.now - timedelta(days=19)
    for _ in range(3):
        shop.now += timedelta(minutes=1)
        again = look(watch)["stuck_orders"]
        assert (again.findings, again.opened, again.closed) == (1, 0, 0)
    assert shop.events(str(kept.incident_id)) == ["incident.opened"]
    ship(shop.state, f"{order_id}-f1", by=SYSTEM)
    done = watch.look()
    assert [(one.detector, one.closed, one.is_full) for one in done if one.closed] == [("stuck_orders", 1, False)]
    assert incidents(shop) == []
    (closed,) = incidents(shop, status="closed")
    assert closed.incident_id == kept.incident_id and closed.closed_at == shop.now
    assert shop.events(str(kept.incident_id)) == ["incident.opened", "incident.closed"]


def test_what_is_kept_is_written_again_only_when_it_says_something_else(shop, watch):
    shop.stock("berlin", A=10)
    stuck_order(shop)
    look(watch)

    def kept():
        return shop.rows("SELECT xmin::text FROM incident UNION ALL SELECT xmin::text FROM incident_finding")

    first = kept()
    shop.now += timedelta(minutes=10)
    look(watch)
    assert kept() == first
    shop.now += timedelta(minutes=6)
    look(watch)
    assert kept() != first, "what is shown is a quarter of an hour old at most"
    (one,) = incidents(shop)
    assert one.seen_at == shop.now and "456 hours" in findings(shop, one)[0].sentence


def test_many_stuck_at_a_node_are_one_incident_and_those_told_of_before_are_part_of_it(shop, watch):
    shop.stock("berlin", A=100)
    stuck_order(shop)
    look(watch)
    (first,) = incidents(shop)
    for _ in range(4):
        stuck_order(shop)
    shop.now += timedelta(minutes=1)
    assert look(watch)["stuck_orders"].opened == 1
    (node,) = incidents(shop, kind="order_stuck")
    assert node.cause == ("node", "berlin") and node.findings == 5 and node.loss_minor == 5 * 60
    (closed,) = incidents(shop, status="closed")
    assert (closed.incident_id, closed.merged_in, closed.wider) == (first.incident_id, node.incident_id, node.cause)


def test_a_dismissed_one_stays_quiet_while_its_evidence_lasts(shop, watch):
    shop.stock("berlin", A=10)
    order_id = stuck_order(shop)
    look(watch)
    (kept,) = incidents(shop)
    assert dismiss(shop, kept).status == "dismissed"
    assert dismiss(shop, kept, "again").reason == "known", "the first reason stays"
    for _ in range(3):
        shop.now += timedelta(hours=2)
        look(watch)
    (quiet,) = incidents(shop, status="dismissed")
    assert (quiet.by, quiet.reason, quiet.incident_id) == (7, "known", kept.incident_id)
    assert shop.events(str(kept.incident_id)) == ["incident.opened", "incident.dismissed"]
    accept(shop.state, f"{order_id}-f1", by=SYSTEM)
    age(shop, order_id, hours=0)
    look(watch)
    assert [one.status for one in incidents(shop, status=None)] == ["closed"]
    with pytest.raises(Conflict, match="it is over"):
        dismiss(shop, kept)
    # Back within a day, it is the same one, and as quiet.
    age(shop, order_id, days=18)
    look(watch)
    (back,) = incidents(shop, status=None)
    assert (back.incident_id, back.status) == (kept.incident_id, "dismissed")
    assert shop.events(str(kept.incident_id)).count("incident.opened") == 1
    with pytest.raises(NotFound):
        dismiss(shop, replace(kept, incident_id="00000000-0000-7000-8000-000000000000"))


def test_an_order_that_cannot_be_served_is_an_oversell_after_minutes(shop, watch):
    order_id = shop.place(("B", 3))["order_id"]
    assert shop.status(order_id)[0] == "unfillable"
    shop.now = datetime.now(UTC) + timedelta(seconds=1)
    assert look(watch, "oversells")["oversells"].findings == 0, "most are over within seconds"
    age(shop, order_id, hours=1)
    look(watch, "oversells")
    (kept,) = incidents(shop, kind="oversell")
    (finding,) = findings(shop, kept)
    assert kept.cause == ("item", "B")
    assert finding.sentence == (
        "3 units of B were sold and are not there: 3 in 1 order without a date; none is free at other nodes."
    )
    # Followed from here on: what comes makes it whole.
    watch.look()
    shop.stock("berlin", B=3)
    source_waiting(shop.state)
    assert shop.status(order_id)[0] == "sourced"
    assert [one.detector for one in watch.look() if one.closed] == ["oversells"]


def test_money_of_two_currencies_is_never_added(shop, watch):
    shop.stock("berlin", A=100)
    ids = [stuck_order(shop) for _ in range(6)]
    shop.rows("UPDATE orders SET currency = 'PLN' WHERE order_id = ANY (%s::uuid[]) RETURNING 1", ids[:3])
    with shop.db.connection() as conn:
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (2, 'pl', 'x', 'PLN')")
        assert main_currency(conn) == "EUR", "as many of each: by the letters"
    look(watch, "stuck_orders")
    found = incidents(shop)
    assert [(one.cause, one.currency, one.loss_minor) for one in found] == [
        (("node", "berlin"), "EUR", 180), (("node", "berlin"), "PLN", 180),
    ]  # fmt: skip
    assert incidents(shop, currency="PLN") == found[1:]


# Detectors made for a test -------------------------------------------------------------------------------------------


def found(name, *, loss=100, confidence=0.9, kind=Kind.CHANNEL_SILENT, now=None):
    return Finding(
        kind=kind, subject=Subject("channel", (name,)), numbers={"orders": 1.0}, sentence=f"{name} is silent",
        loss_minor=loss, confidence=confidence, since=now or datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def detector(look, *, name="made", kind=Kind.CHANNEL_SILENT, **more):
    return Detector(name=name, kinds=frozenset({kind}), every=timedelta(minutes=5), look=look, **more)


def seeing(*findings):
    return lambda scene: Seen(findings={"EUR": findings})


class Says:
    """A detector that says what it is told to."""

    def __init__(self, say):
        self.say = say

    def __call__(self, scene):
        return self.say(scene)


def test_a_detector_that_fails_or_sees_too_little_closes_nothing_and_stops_no_other(db):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    says = Says(seeing(found("web")))
    other = detector(seeing(found("market", kind=Kind.GATE_BREACH)), name="other", kind=Kind.GATE_BREACH)
    watch = Watch(db, now=lambda: now, detectors=(detector(says, patience=FACTS), other))
    watch.look(is_due=True)

    def fails(scene):
        scene.conn.execute("SELECT 1 / 0")

    for say, problem in ((fails, "it failed: DivisionByZero"), (lambda scene: Unseen(reason="too old"), "too old")):
        says.say = say
        now += timedelta(days=3)
        made, beside = watch.look(is_due=True)
        assert made.problem is not None and made.problem.startswith(problem)
        assert (beside.problem, beside.findings) == (None, 1)
        with db.connection() as conn:
            kept = store.list_incidents(conn, main="EUR", limit=9)
            looks = store.looks(conn)
        assert {one.cause for one in kept} == {("channel", "web"), ("channel", "market")}
        assert looks["made"].looked_at == datetime(2026, 3, 1, tzinfo=UTC) and looks["other"].looked_at == now
    says.say = seeing()
    made, _ = watch.look(is_due=True)
    assert made.closed == 1, "now it has looked"


def test_each_detector_has_a_period_of_its_own_and_one_that_could_not_look_tries_again_sooner(db):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    asked = []
    every = {"often": 1, "seldom": 10, "lacking": 8}

    def one(name):
        def look(scene):
            asked.append(name)
            return Unseen(reason="nothing yet") if name == "lacking" else Seen()

        return replace(detector(look, name=name), every=timedelta(minutes=every[name]))

    watch = Watch(db, now=lambda: now, detectors=tuple(map(one, every)))
    for _ in range(10):
        watch.look()
        now += timedelta(minutes=1)
    assert {name: asked.count(name) for name in every} == {"often": 10, "seldom": 1, "lacking": 5}


def test_only_material_changes_are_told(db):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    says = Says(seeing(found("web", loss=1000)))
    watch = Watch(db, now=lambda: now, detectors=(detector(says),))
    watch.look(is_due=True)
    for loss in (1050, 1150, 1200, 1300, 1310, 900):
        says.say = seeing(found("web", loss=loss))
        now += timedelta(minutes=1)
        watch.look(is_due=True)
    with db.connection() as conn:
        told = conn.execute("SELECT kind, (data ->> 'loss_minor')::int FROM event ORDER BY xid, pos").fetchall()
        (kept,) = store.list_incidents(conn, main="EUR", limit=9)
    assert told == [("incident.opened", 1000), ("incident.updated", 1300), ("incident.updated", 900)]
    assert kept.loss_minor == 900


def test_one_process_at_a_time_and_who_dies_is_taken_over(db):
    looking, go_on = threading.Event(), threading.Event()

    def slowly(scene):
        looking.set()
        assert go_on.wait(20)
        return Seen(findings={"EUR": [found("web")]})

    now = datetime(2026, 3, 1, tzinfo=UTC)
    first = Watch(db, now=lambda: now, detectors=(detector(slowly),))
    second = Watch(db, now=lambda: now, detectors=(detector(seeing(found("web"))),))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(first.look(is_due=True)))
    thread.start()
    assert looking.wait(20)
    assert second.look(is_due=True) is None
    go_on.set()
    thread.join()
    assert answers[0][0].opened == 1
    assert second.look(is_due=True)[0].opened == 0, "it sees what the other has written"


def _die_writing(url, where):
    """What a process does that is killed at one of its writes."""

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(*{"findings": (watching.store, "save"), "events": (watching, "write_events"),
              "look": (watching.store, "save_look")}[where], die)  # fmt: skip
    with Database.open(url) as db:
        now = datetime(2026, 3, 1, tzinfo=UTC)
        Watch(db, now=lambda: now, detectors=(detector(seeing(found("web"), found("market"))),)).look(is_due=True)


@pytest.mark.parametrize("where", ["findings", "events", "look"])
def test_who_is_killed_leaves_nothing_half_written_and_no_lock(db, where):
    child = multiprocessing.get_context("spawn").Process(target=_die_writing, args=(db.url, where))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    with db.connection() as conn:
        counts = "SELECT (SELECT count(*) FROM incident), (SELECT count(*) FROM incident_finding),"
        counts += " (SELECT count(*) FROM event), (SELECT count(*) FROM incident_look)"
        assert conn.execute(counts).fetchone() == (0, 0, 0, 0)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    watch = Watch(db, now=lambda: now, detectors=(detector(seeing(found("web"), found("market"))),))
    until = datetime.now(UTC) + timedelta(seconds=20)
    while (done := watch.look(is_due=True)) is None:
        assert datetime.now(UTC) < until, "the lock of a dead process is gone once the server has noticed"
    assert done[0].opened == 2


def test_a_dismissal_during_a_pass_is_not_lost(db):
    """Between what was read and what is written, the incident is locked."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    says = Says(seeing(found("web")))
    watch = Watch(db, now=lambda: now, detectors=(detector(says),))
    watch.look(is_due=True)
    with db.connection() as conn:
        (kept,) = store.list_incidents(conn, main="EUR", limit=9)

    def meanwhile(scene):
        db.transact(lambda conn: dismiss_incident(db, conn, str(kept.incident_id), None, now=now, by=SYSTEM))
        return Seen(findings={"EUR": [found("web", loss=9_000)]})

    says.say = meanwhile
    watch.look(is_due=True)
    with db.connection() as conn:
        (after,) = store.list_incidents(conn, main="EUR", limit=9)
    assert (after.status, after.loss_minor) == ("dismissed", 9_000)


def test_what_is_learned_is_kept_for_its_time_and_nothing_learned_later_is_used():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    memory, learned = Memory(), []

    def learn():
        learned.append(1)
        return len(learned)

    def get(at):
        return memory.get("x", at, timedelta(hours=1), learn)

    assert [get(now), get(now + timedelta(minutes=59)), get(now + timedelta(hours=1))] == [1, 1, 2]
    assert get(now) == 3, "what was learned an hour later knows what lies ahead"
    assert memory.get("y", now, timedelta(hours=1), lambda: None) is None
    assert memory.get("y", now, timedelta(hours=1), lambda: 5) == 5, "nothing is not kept"


def test_what_has_long_been_over_is_forgotten(db):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    says = Says(seeing(found("web")))
    watch = Watch(db, now=lambda: now, detectors=(detector(says, patience=FACTS),))
    watch.look(is_due=True)
    says.say = seeing()
    now += timedelta(days=1)
    watch.look(is_due=True)
    assert db.transact(lambda conn: forget_incidents(conn, now + timedelta(days=399))) == 0
    assert db.transact(lambda conn: forget_incidents(conn, now + timedelta(days=401))) == 1
    with db.connection() as conn:
        assert store.list_incidents(conn, main="EUR", limit=9) == []


def test_names_are_read_with_what_they_are_worth(shop):
    shop.rows("UPDATE item SET price_minor = 1000, unit_cost_minor = 400, currency = 'USD' WHERE sku = 'A' RETURNING 1")
    shop.rows("UPDATE item SET price_minor = 1000 WHERE sku = 'B' RETURNING 1")
    with shop.db.connect() as conn:
        items = Scene(conn=conn, now=shop.now, memory=Memory()).items([1, 2, 3])
    assert [(i.sku, i.currency, i.margin_minor) for i in items.values()] == [
        ("A", "USD", 600), ("B", "EUR", 300), ("C", "EUR", 0),
    ]  # fmt: skip
