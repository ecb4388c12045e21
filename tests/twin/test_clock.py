"""The agenda: what is due is done, in order, a few at once, and a failure is only its own."""

import asyncio
from functools import partial

from onhand.twin.clock import Agenda, Clock

# A simulated hour takes under half a second.
FAST = 10_000


def agenda(workers: int, failures: list[Exception]) -> tuple[Agenda, Clock]:
    clock = Clock(FAST, start_s=0)
    return Agenda(clock, workers=workers, failed=failures.append), clock


def test_jobs_are_done_in_the_order_in_which_they_are_due() -> None:
    done: list[int] = []

    async def scenario() -> None:
        work, _ = agenda(1, [])
        stop = asyncio.Event()

        async def job(n: int) -> None:
            done.append(n)
            if n == 3:
                stop.set()

        for n, due_s in ((3, 900), (1, 300), (2, 600), (0, 0)):
            work.after(due_s, partial(job, n))
        await asyncio.wait_for(work.run(stop), 10)

    asyncio.run(scenario())
    assert done == [0, 1, 2, 3]


def test_a_failure_is_told_and_stops_nobody_else() -> None:
    failures: list[Exception] = []
    done: list[str] = []

    async def scenario() -> None:
        work, _ = agenda(2, failures)
        stop = asyncio.Event()

        async def fails() -> None:
            raise ValueError("no")

        async def last() -> None:
            done.append("last")
            stop.set()

        work.after(0, fails)
        work.after(600, last)
        await asyncio.wait_for(work.run(stop), 10)

    asyncio.run(scenario())
    assert done == ["last"]
    assert [str(error) for error in failures] == ["no"]


def test_when_told_to_stop_it_finishes_what_is_under_way_and_begins_nothing() -> None:
    begun: list[int] = []
    finished: list[int] = []

    async def scenario() -> int:
        work, _ = agenda(2, [])
        stop = asyncio.Event()
        gate = asyncio.Event()

        async def job(n: int) -> None:
            begun.append(n)
            if len(begun) == 2:
                stop.set()
                asyncio.get_running_loop().call_later(0.05, gate.set)
            await gate.wait()
            finished.append(n)

        for n in range(10):
            work.after(0, partial(job, n))
        work.after(10**6, partial(job, 99))
        await asyncio.wait_for(work.run(stop), 10)
        return len(work)

    left = asyncio.run(scenario())
    assert begun == finished == [0, 1], "never more at once than there are workers"
    assert left >= 1, "what was not due is left undone"


def test_the_clock_runs_at_its_speed() -> None:
    clock = Clock(60, start_s=1000)
    assert 1000 <= clock.now_s() < 1060
    assert clock.real_s(3600) == 60
