"""Limits and tokens that processes share, on a real database."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from onhand.base.sealing import Seal
from onhand.connectors import Unavailable
from onhand.connectors.shared import SharedLimiter, SharedTokens

SEAL = Seal(["a key of the operator"])


@pytest.fixture
def channel_id(db):
    with db.connection() as conn:
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (1, 'shop', 'shop', 'EUR')")
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (2, 'other', 'other', 'EUR')")
    return 1


class Waits:
    """Sleeps that take no time."""

    def __init__(self):
        self.seconds = []

    async def __call__(self, seconds):
        self.seconds.append(seconds)


def turns(db, channel_id, count, *, rate_per_s=0.5, burst=3, bucket="x", **options):
    waits = Waits()
    limiter = SharedLimiter(db, channel_id, sleep=waits, **options)

    async def go():
        for _ in range(count):
            await limiter.turn(bucket, rate_per_s=rate_per_s, burst=burst)

    asyncio.run(go())
    return waits.seconds


def test_a_burst_passes_and_then_each_waits_for_his_turn(db, channel_id):
    waits = turns(db, channel_id, 6)
    assert waits == [pytest.approx(seconds, abs=0.5) for seconds in (2.0, 4.0, 6.0)]
    assert turns(db, 2, 3) == [], "another channel has a bucket of its own"
    assert turns(db, channel_id, 3, bucket="y") == []


def test_processes_at_once_never_take_more_than_there_is(db, channel_id):
    waited = []

    def take():
        waited.extend(turns(db, channel_id, 5, rate_per_s=0.01, burst=10, wait_max_s=10_000))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waited) == 20, "30 turns, 10 of them at once"
    assert sorted(waited) == [pytest.approx(100.0 * n, rel=0.05) for n in range(1, 21)]


def test_where_many_requests_are_allowed_some_turns_are_taken_ahead(db, channel_id):
    """A question to the database for fifty turns; whoever is told to pause uses none of those that are left."""
    now = 100.0
    limiter, allowed = SharedLimiter(db, channel_id, clock=lambda: now), {"rate_per_s": 1000, "burst": 100}

    def asked():
        with db.connection() as conn:
            return conn.execute("SELECT filled_at FROM channel_bucket WHERE name = 'x'").fetchone()[0]

    async def go():
        nonlocal now
        await limiter.turn("x", **allowed)
        first = asked()
        await limiter.turn("x", **allowed, weight=49)
        assert asked() == first
        await limiter.turn("x", **allowed)
        assert (second := asked()) > first, "all fifty are used"
        await limiter.turn("x", **allowed)
        assert asked() == second
        now += 1
        await limiter.turn("x", **allowed)
        assert asked() > second, "those of a second ago are lost"
        await limiter.pause(100)
        with pytest.raises(Unavailable):
            await limiter.turn("x", **allowed)

    asyncio.run(go())


def test_too_long_a_wait_is_refused_and_takes_nothing(db, channel_id):
    assert turns(db, channel_id, 3) == []
    for _ in range(5):
        with pytest.raises(Unavailable) as raised:
            turns(db, channel_id, 1, wait_max_s=1.0)
    assert raised.value.retry_after_s >= 1.0
    assert turns(db, channel_id, 1) == [pytest.approx(2.0, abs=0.7)]


def test_a_pause_of_the_account_holds_for_every_operation(db, channel_id):
    asyncio.run(SharedLimiter(db, channel_id).pause(40))
    asyncio.run(SharedLimiter(db, channel_id).pause(5))
    assert turns(db, channel_id, 1) == [pytest.approx(40, abs=2)]
    assert turns(db, channel_id, 1, bucket="") != []
    with pytest.raises(Unavailable) as raised:
        turns(db, channel_id, 1, wait_max_s=10)
    assert raised.value.retry_after_s == pytest.approx(40, abs=2)
    assert turns(db, 2, 1) == []


def test_a_token_is_kept_sealed_for_all_processes(db, channel_id):
    until = datetime(2027, 1, 1, tzinfo=UTC)

    async def go():
        assert await SharedTokens(db, channel_id, SEAL).get() is None
        await SharedTokens(db, channel_id, SEAL).put("first", None)
        await SharedTokens(db, channel_id, SEAL).put("t0ken", until)
        assert await SharedTokens(db, channel_id, SEAL).get() == ("t0ken", until)
        assert await SharedTokens(db, channel_id, Seal(["another key of his"])).get() is None

    asyncio.run(go())
    with db.connection() as conn:
        assert "t0ken" not in str(conn.execute("SELECT * FROM channel_token").fetchall())
