"""Workers that die, stop and race: what they do is done once, or taken back."""

import multiprocessing
import os
import random
import signal
import time
from contextlib import closing, contextmanager, suppress
from types import SimpleNamespace

import psutil
import pytest
from tests.conftest import at, broken_invariants
from tests.flows.conftest import Merchant

from onhand.base.actor import Actor
from onhand.db import Database
from onhand.errors import Conflict
from onhand.flows.playbooks.commands import undo_runs
from onhand.flows.playbooks.run import Runner
from onhand.flows.state import State
from onhand.workflows import store as runs

from .scenes import SCENES, prepare
from .test_shipped import taken_back, through
from .world import Trouble, act, recommend

# ONHAND_KILLS=200 is what a release is held to.
KILLS = int(os.environ.get("ONHAND_KILLS", "3"))
BY = Actor(key_id=7, reason="taken back")


def worker(url, now, die_at, stop_at, lease_s):
    """A process that works on runs, and at its n-th boundary is killed, or stopped."""
    passed = 0

    def fault(when, step_no, what):
        nonlocal passed
        passed += 1
        if passed == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if passed == stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)

    with Database.open(url, pool_max=2) as db:
        state = State(db, now=lambda: now)
        state.load()
        Runner(state, permit=act, fault=fault, lease_s=lease_s).work()


@pytest.fixture(scope="module")
def processes():
    """Processes that are forked from one that has read everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.flows.playbooks.test_workers", "tests.flows.playbooks.warmed"])
    return context


def effects(t):
    """How often each thing was done: what is doubled shows here, whatever else does not."""
    rows = t.merchant.rows
    return {
        "events": rows(
            "SELECT e.kind, count(*) FROM event e, unfold_v1(e) u WHERE e.kind ~ '^(ticket|count|price|inbound|order)'"
            " GROUP BY 1 ORDER BY 1"
        ),
        "entries": rows("SELECT kind, count(*), sum(quantity) FROM ledger_entry GROUP BY 1 ORDER BY 1"),
        "messages": rows("SELECT count(*) FROM customer_message"),
        "parts": rows("SELECT step_no, part_no, kind, outcome FROM run_step ORDER BY 1, 2"),
    }


def _rows(db):
    def rows(sql, *parameters):
        with db.connection() as conn:
            return conn.execute(sql, parameters).fetchall()

    return rows


def live(url, now, incident_id, die_at):
    """A process that takes a run through all its steps, with a yes to whatever asks and over whatever it waits for, and
    then takes it back; killed at its n-th boundary. Whoever comes after another goes on from there."""
    passed = []

    def fault(*boundary):
        passed.append(boundary)
        if len(passed) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with Database.open(url, pool_max=2) as db:
        merchant = SimpleNamespace(db=db, now=now, rows=_rows(db))
        merchant.state = State(db, now=lambda: merchant.now)
        merchant.state.load()
        t = Trouble(merchant)
        through(t, incident_id, fault=fault, lease_s=0.0)
        with suppress(Conflict):  # it was taken back already
            taken_back(t, incident_id, fault=fault, lease_s=0.0)
        return passed, effects(t), t.everything(), [row[:2] for row in t.runs()]


@contextmanager
def copied(admin, server_url, template, name):
    """URL of a copy of a database that nobody uses."""
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    try:
        yield at(server_url, name)
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def points():
    """(playbook, where in its life, in [0, 1)): as many of each playbook, spread by chance."""
    chance = random.Random(KILLS)
    names = sorted(SCENES)
    chance.shuffle(names)
    return [(names[n % len(names)], chance.random()) for n in range(KILLS)]


@pytest.mark.parametrize("name", sorted({name for name, _ in points()}))
def test_kill_9_in_any_step_of_any_playbook_is_done_once_or_taken_back_once(
    name, admin, server_url, template, processes
):
    """Each point in a copy of one world; what a worker that nobody kills makes of it is what it must come to."""
    world = f"w_{os.getpid()}_{name.replace('-', '_')}"
    with copied(admin, server_url, template, world) as url:
        with closing(Database.open(url)) as db:
            merchant = Merchant(db)
            t = prepare(merchant)
            happens = SCENES[name](t)
            before, incident_id, now = t.everything(), happens(), merchant.now
            t.begin()
            merchant.close()
        with copied(admin, server_url, world, f"{world}_0") as whole:
            passed, *expected = live(whole, now, incident_id, None)
        assert expected[1:] == [before, [(name, "undone")]]
        for n, where in enumerate(where for of, where in points() if of == name):
            die_at = 1 + int(where * len(passed))
            with copied(admin, server_url, world, f"{world}_{n + 1}") as copy:
                child = processes.Process(target=live, args=(copy, now, incident_id, die_at))
                child.start()
                child.join(300)
                assert child.exitcode == -signal.SIGKILL, passed[die_at - 1]
                _, *seen = live(copy, now, incident_id, None)
                assert seen == expected, f"killed {passed[die_at - 1]}"
                assert broken_invariants(copy) == []


def test_a_worker_that_comes_late_is_fenced(db, merchant, processes):
    """Stopped between two steps beyond its lease; another finishes; the first goes on and finds that it is not its."""
    t = prepare(merchant)
    SCENES["carrier-lane-slow"](t)()
    t.begin()
    # After the commit of the first step: boundaries before, inside, after.
    late = processes.Process(target=worker, args=(db.url, merchant.now, None, 3, 0.2))
    late.start()
    wait_for(lambda: psutil.Process(late.pid).status() == psutil.STATUS_STOPPED)
    assert t.runs()[0][1:3] == ("ready", 2)
    # Its lease must have ended, by the clock of the database.
    wait_for(lambda: merchant.rows("SELECT FROM run WHERE lease_until < clock_timestamp()"))
    assert t.runner().work() == 1
    finished, everything = t.trace(), t.everything()
    assert t.runs()[0][1] == "standing"
    attempts = merchant.rows("SELECT step_no, attempt FROM run_step ORDER BY 1")
    assert attempts == [(1, 1), (2, 2), (3, 2), (4, 2)]
    os.kill(late.pid, signal.SIGCONT)
    late.join(30)
    assert late.exitcode == 0
    assert (t.trace(), t.everything()) == (finished, everything)


def wait_for(condition):
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_a_late_worker_writes_nothing(merchant):
    t = prepare(merchant)
    SCENES["channel-silent"](t)()
    t.begin()
    with merchant.db.connection() as conn:
        first = runs.take(conn, "playbook", lease_s=0.0, now=merchant.now)
        second = runs.take(conn, "playbook", lease_s=30.0, now=merchant.now)
        assert (first.run_id, first.attempt, second.attempt) == (second.run_id, 1, 2)
        assert runs.take(conn, "playbook", lease_s=0.0, now=merchant.now) is None
    with pytest.raises(runs.Fenced), merchant.db.connection() as conn, conn.transaction():
        runs.hold(conn, first, lease_s=30.0)


def test_two_runs_never_change_the_same_thing(merchant):
    """Two incidents touch the same orders and the same stock: the first run has them until it ends."""
    t = prepare(merchant)
    merchant.stock("berlin", A=20)
    merchant.stock("hamburg", A=20)
    orders = [merchant.place(("A", 1))["order_id"] for _ in range(4)]
    lane = t.incident("lane_slow", ("lane", ("berlin", "dhl", "DE"), {"delay_days": 2.0}), loss=90_000)
    t.turn()
    assert {merchant.fulfilments(o)[-1][0] for o in orders} == {"hamburg"}
    # They are at Hamburg now, which has a backlog: they are the first run's, and stay.
    merchant.stock("munich", A=20)
    node = t.incident("capacity_breach", ("node", ("hamburg",), {"days_until": 0.0}))
    t.turn()
    assert {merchant.fulfilments(o)[-1][0] for o in orders} == {"hamburg"}
    ((why,),) = merchant.rows("SELECT why FROM run_step WHERE kind = 'reroute' AND outcome = 'skipped'")
    assert why == "none of the orders that it touches admits it any more"
    assert merchant.rows("SELECT count(*) FROM run_claim WHERE what = 'order'") == [(4,)]
    # The first ends, and lets go of them.
    t.close(lane)
    t.close(node)
    t.later()
    assert merchant.rows("SELECT count(*) FROM run_claim") == [(0,)]
    again = t.incident("capacity_breach", ("node", ("hamburg",), {"days_until": 0.0}))
    t.later()
    assert {merchant.fulfilments(o)[-1][0] for o in orders} == {"berlin"}
    undo_runs(merchant.state, again, by=BY)
    t.later()
    assert {merchant.fulfilments(o)[-1][0] for o in orders} == {"hamburg"}


def test_guardrails_keep_a_person_between_and_nothing_is_claimed_meanwhile(merchant):
    t = prepare(merchant)
    SCENES["carrier-lane-slow"](t)()
    before = t.everything()
    t.permit = recommend
    t.turn()
    assert t.runs()[0][1:4] == ("needs_approval", 1, "a person decides")
    assert t.everything() == before
    assert merchant.rows("SELECT count(*) FROM run_claim") == [(0,)]
    (said,) = merchant.rows("SELECT data FROM event WHERE kind = 'run.needs_approval'")
    assert said[0]["meant"] == {"orders": 3, "units": 3, "money_minor": 300}
