"""What is scheduled is asked for once a day, whatever becomes of another one."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from onhand.errors import NotFound
from onhand.jobs.schedules import ask_if_due, get_schedule, next_at, set_schedule
from onhand.jobs.store import add_job, list_jobs

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def ask(conn, schedule, now):
    add_job(
        conn, schedule.kind, {"of": schedule.subject, **schedule.settings, "at": now.isoformat()}, by=schedule.actor
    )


ASKS = {"test.count": ask}


@pytest.fixture
def put(db):
    def put(subject="", *, hour=13, active=True, kind="test.count", **settings):
        return db.transact(
            lambda conn: set_schedule(conn, kind, settings, subject=subject, hour=hour, active=active, now=NOON, by=7)
        )

    return put


def asked(db):
    with db.connection() as conn:
        return [job.request["of"] for job in reversed(list_jobs(conn, kind=None, state=None, before=None, limit=100))]


@pytest.mark.parametrize(("hour", "day"), [(11, 3), (12, 3), (13, 2)])
def test_it_is_due_when_it_is_its_hour_the_next_time(hour, day):
    assert next_at(NOON, hour) == datetime(2026, 3, day, hour, tzinfo=UTC)


def test_it_is_asked_for_once_a_day(db, put):
    put(up_to=3)
    assert ask_if_due(db, NOON + timedelta(minutes=59), ASKS) == 0
    assert ask_if_due(db, NOON + timedelta(hours=1), ASKS) == 1
    assert ask_if_due(db, NOON + timedelta(hours=12), ASKS) == 0
    with db.connection() as conn:
        assert get_schedule(conn, "test.count").next_at == NOON + timedelta(hours=25)
        (job,) = list_jobs(conn, kind=None, state=None, before=None, limit=100)
    assert (job.kind, job.by, job.request["up_to"]) == ("test.count", 7, 3)
    assert ask_if_due(db, NOON + timedelta(days=9), ASKS) == 1, "days that were missed are not made up for"
    assert ask_if_due(db, NOON + timedelta(days=9), ASKS) == 0


def test_one_that_is_switched_off_or_that_nobody_here_knows_waits(db, put):
    put("off", active=False)
    put(kind="test.unknown")
    assert ask_if_due(db, NOON + timedelta(days=3), ASKS) == 0
    put("off")
    assert ask_if_due(db, NOON + timedelta(days=3), ASKS) == 1
    assert asked(db) == ["off"]


def test_one_that_cannot_be_asked_for_keeps_no_other_back(db, put):
    for subject in ("a", "b", "c"):
        put(subject)

    def refuse(conn, schedule, now):
        ask(conn, schedule, now)
        if schedule.subject == "b":
            raise NotFound("policy_version", "b@active")

    assert ask_if_due(db, NOON + timedelta(hours=1), {"test.count": refuse}) == 2
    assert asked(db) == ["a", "c"]
    assert ask_if_due(db, NOON + timedelta(hours=2), ASKS) == 0, "it is tried again the next day"
    assert ask_if_due(db, NOON + timedelta(hours=25), ASKS) == 3


def test_of_several_workers_one_asks(db, put):
    for n in range(5):
        put(str(n))
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: ask_if_due(db, NOON + timedelta(hours=1), ASKS), range(8)))
    assert sum(counts) == 5
    assert sorted(asked(db)) == ["0", "1", "2", "3", "4"]
