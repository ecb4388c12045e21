"""Jobs are done by one process at a time, in a child, and survive the death of either."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onhand.jobs import store
from onhand.jobs.worker import run_next

WORKS = {name: f"tests.jobs.works:{name}" for name in ("double", "refuse", "stumble", "die", "last_long")}


@pytest.fixture(autouse=True)
def _children_find_the_works(monkeypatch):
    """A spawned process has the path of its parent, which finds these modules in another way."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


def ask(db, kind, **request):
    with db.connection() as conn:
        return store.add_job(conn, kind, request, by=7)


def look(db, job_id):
    with db.connection() as conn:
        return store.get_job(conn, job_id)


def until(condition, seconds=20):
    """Look again until it holds: what another process does shows nowhere else."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        threading.Event().wait(0.02)


def test_a_job_is_done_and_its_result_kept(db):
    job_id = ask(db, "double", n=21)
    waits = look(db, job_id)
    assert (waits.state, waits.by, waits.attempts, waits.started_at) == ("queued", 7, 0, None)
    assert run_next(db, WORKS, threading.Event())
    done = look(db, job_id)
    assert (done.state, done.stage, done.done, done.total, done.attempts) == ("done", "doubling", 4, 4, 1)
    assert done.finished_at >= done.started_at >= done.created_at
    with db.connection() as conn:
        assert store.get_result(conn, job_id) == ("done", "double", {"twice": 42})
    assert not run_next(db, WORKS, threading.Event()), "nothing is left to do"


def test_the_oldest_job_comes_first_and_strange_ones_are_left_alone(db):
    ask(db, "knitting")
    first, second = ask(db, "double", n=1), ask(db, "double", n=2)
    assert run_next(db, WORKS, threading.Event())
    assert [look(db, job).state for job in (first, second)] == ["done", "queued"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refuse", {"code": "input.invalid", "message": "n: expected another one"}),
        ("stumble", {"code": "internal", "message": "ZeroDivisionError"}),
    ],
)
def test_work_that_fails_says_why(db, kind, error):
    job_id = ask(db, kind)
    run_next(db, WORKS, threading.Event())
    failed = look(db, job_id)
    assert (failed.state, failed.error) == ("failed", error)
    assert failed.finished_at is not None


def test_a_process_that_dies_again_and_again_is_given_up(db):
    job_id = ask(db, "die")
    for attempt in (1, 2):
        assert run_next(db, WORKS, threading.Event())
        assert (look(db, job_id).state, look(db, job_id).attempts) == ("running", attempt)
    assert run_next(db, WORKS, threading.Event())
    assert look(db, job_id).error == {"code": "job.gave_up", "message": "its process ended with 3"}


def test_the_job_of_a_worker_that_died_is_taken_up_again_by_one(db):
    job_id = ask(db, "double", n=3)
    with db.connection() as conn:
        dead = store.take_job(conn, ["double"], lease_s=30)
        assert store.take_job(conn, ["double"], lease_s=30) is None, "it is held"
        assert store.extend_lease(conn, dead, lease_s=-1)
    with ThreadPoolExecutor(4) as pool:

        def take(_):
            with db.connection() as conn:
                return store.take_job(conn, ["double"], lease_s=30)

        taken = [t for t in pool.map(take, range(4)) if t is not None]
    assert [(t.job_id, t.attempt) for t in taken] == [(job_id, 2)]
    with db.connection() as conn:
        assert not store.extend_lease(conn, dead, lease_s=30)
        # What the dead one still writes is not believed.
        store.note_progress(conn, dead, "dead", 1, 1)
        store.finish_job(conn, dead, {"twice": 0})
    assert (look(db, job_id).state, look(db, job_id).stage) == ("running", None)


def test_a_cancelled_job_ends_its_process(db):
    job_id = ask(db, "last_long")
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(run_next, db, WORKS, threading.Event())
        until(lambda: look(db, job_id).stage == "waiting")
        with db.connection() as conn:
            assert store.cancel_job(conn, job_id)
            assert not store.cancel_job(conn, job_id)
        assert ran.result(timeout=20)
    assert look(db, job_id).state == "cancelled"


def test_a_worker_that_stops_leaves_its_job_to_others(db):
    job_id, stop = ask(db, "last_long"), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(run_next, db, WORKS, stop)
        until(lambda: look(db, job_id).stage == "waiting")
        stop.set()
        assert ran.result(timeout=20)
    left = look(db, job_id)
    assert (left.state, left.attempts) == ("queued", 0)


def test_the_lease_is_extended_while_the_work_goes_on(db):
    job_id, stop = ask(db, "last_long"), threading.Event()
    lease = "SELECT lease_until > now() + interval '1 second', lease_until FROM job"
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(run_next, db, WORKS, stop, lease_s=2.0)

        def held():
            with db.connection() as conn:
                return conn.execute(lease).fetchone()

        until(lambda: look(db, job_id).stage == "waiting")
        first = held()[1]
        until(lambda: held()[1] > first)
        stop.set()
        ran.result(timeout=20)
