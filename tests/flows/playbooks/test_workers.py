"""Workers that die, stop and race: what they do is done once, or taken back."""

import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict

from onhand.base.actor import Actor
from onhand.db import Database
from onhand.flows.playbooks.commands import undo_runs
from onhand.flows.playbooks.run import Runner
from onhand.flows.state import State
from onhand.workflows import store as runs

from .scenes import SCENES, prepare
from .world import Trouble, act, recommend

# ONHAND_KILLS=200 is what a release is held to.
KILLS = int(os.environ.get("ONHAND_KILLS", "2"))
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


def test_kill_9_at_every_boundary_is_done_once(db, dsn, admin, server_url, processes):
    """Each point in a copy of one world; what a worker that nobody kills makes of it is what it must come to."""
    from tests.conftest import at, broken_invariants
    from tests.flows.conftest import Merchant

    merchant = Merchant(db)
    t = prepare(merchant)
    SCENES["carrier-lane-slow"](t)()
    t.begin()
    now = merchant.now
    merchant.close()
    db.close()  # a template is copied while nobody uses it
    template = conninfo_to_dict(dsn)["dbname"]
    seen = []
    for n in range(KILLS + 1):
        copy = f"k_{os.getpid()}_{n}"
        admin.execute(f"CREATE DATABASE {copy} TEMPLATE {template}".encode())
        url = at(server_url, copy)
        try:
            # The first is left alone and counts the boundaries: before, inside and after each of four steps.
            die_at = 1 + (n * 5) % 12 if n else None
            child = processes.Process(target=worker, args=(url, now, die_at, None, 0.0))
            child.start()
            child.join(60)
            assert child.exitcode == (-signal.SIGKILL if die_at else 0)
            with Database.open(url, pool_max=2) as again:
                state = State(again, now=lambda: now)
                state.load()
                Runner(state, permit=act, lease_s=0.0).work()
                world = Trouble(SimpleNamespace(rows=_rows(again), now=now))
                seen.append((effects(world), *_comparable(world)))
            assert broken_invariants(url) == []
        finally:
            admin.execute(f"DROP DATABASE {copy} WITH (FORCE)".encode())
    assert all(world == seen[0] for world in seen[1:])
    assert [outcome for *_, outcome in seen[0][0]["parts"]] == ["done"] * 4


def _rows(db):
    def rows(sql, *parameters):
        with db.connection() as conn:
            return conn.execute(sql, parameters).fetchall()

    return rows


def _comparable(world):
    everything = world.everything()
    return everything["held"], everything["stock"], everything["orders"]


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
