"""Many requests, few batches: each request gets its own answer, whatever happens to the others."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from onhand.base.batching import Gatherer, in_threads
from onhand.errors import Overloaded


class Worker:
    """Doubles numbers, batch by batch; waits at a gate while it is shut. Negative numbers fail alone."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Semaphore(0)

    async def __call__(self, requests: list[int]) -> Sequence[int | Exception]:
        self.batches.append(requests)
        self.entered.release()
        await self.gate.wait()
        return [ValueError(n) if n < 0 else n * 2 for n in requests]


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(limited())


@asynccontextmanager
async def closing(gatherer: Gatherer[int, int]) -> AsyncGenerator[Gatherer[int, int]]:
    try:
        yield gatherer
    finally:
        await gatherer.close()


@asynccontextmanager
async def busy(
    work: Worker, gatherer: Gatherer[int, int], batches: int = 1
) -> AsyncGenerator[list["asyncio.Future[int]"]]:
    """As many batches as may be are under way with one request each, until the block ends: what is submitted in it
    gathers."""
    work.gate.clear()
    held: list[asyncio.Future[int]] = []
    try:
        for _ in range(batches):
            held.append(gatherer.submit(0))
            await work.entered.acquire()
        yield held
    finally:
        work.gate.set()


def test_what_gathers_while_a_batch_is_worked_on_is_the_next_batch() -> None:
    work = Worker()

    async def test() -> None:
        async with closing(Gatherer(work, under_way_max=1)) as gatherer:
            async with busy(work, gatherer) as held:
                futures = [gatherer.submit(n) for n in range(1, 6)]
                assert gatherer.waiting == 5
            assert await asyncio.gather(*held, *futures) == [0, 2, 4, 6, 8, 10]
            assert gatherer.waiting == 0

    run(test)
    assert work.batches == [[0], [1, 2, 3, 4, 5]]


def test_a_request_alone_does_not_wait_for_others() -> None:
    work = Worker()

    async def test() -> None:
        async with closing(Gatherer(work)) as gatherer:
            for n in range(20):
                assert await gatherer.submit(n) == 2 * n

    run(test)
    assert work.batches == [[n] for n in range(20)]


def test_a_batch_is_no_heavier_than_allowed_and_a_heavy_request_goes_alone() -> None:
    work = Worker()

    async def test() -> None:
        gatherer = Gatherer(work, under_way_max=1, batch_max=10, weigh=lambda n: n)
        async with closing(gatherer), busy(work, gatherer) as held:
            futures = [gatherer.submit(n) for n in (4, 6, 1, 50, 9, 1, 1)]
            work.gate.set()
            await asyncio.gather(*held, *futures)

    run(test)
    assert work.batches == [[0], [4, 6], [1], [50], [9, 1], [1]]


def test_an_error_in_the_place_of_an_answer_is_raised_to_that_request_alone() -> None:
    work = Worker()

    async def test() -> None:
        async with closing(Gatherer(work, under_way_max=1)) as gatherer:
            async with busy(work, gatherer):
                futures = [gatherer.submit(n) for n in (1, -2, 3, -4)]
            answers = await asyncio.gather(*futures, return_exceptions=True)
            assert [a if isinstance(a, int) else a.args for a in answers] == [2, (-2,), 6, (-4,)]

    run(test)


@pytest.mark.parametrize("error", [RuntimeError("broken"), StopIteration()])
def test_a_batch_that_fails_fails_all_its_requests_and_none_after_it(error: Exception) -> None:
    batches = 0

    async def work(requests: list[int]) -> list[int]:
        nonlocal batches
        batches += 1
        if batches == 1:
            raise error
        return requests

    async def test() -> None:
        async with closing(Gatherer(work, under_way_max=1)) as gatherer:
            first = [gatherer.submit(n) for n in range(3)]
            answers = await asyncio.gather(*first, return_exceptions=True)
            assert isinstance(answers[0], RuntimeError)
            assert await gatherer.submit(7) == 7

    run(test)


def test_work_that_forgets_a_request_fails_its_batch_instead_of_mixing_answers_up() -> None:
    async def test() -> None:
        async def forgetful(requests: list[int]) -> list[int]:
            return requests[1:]

        async with closing(Gatherer(forgetful)) as gatherer:
            with pytest.raises(AssertionError, match="every request"):
                await gatherer.submit(1)

    run(test)


def test_a_full_queue_refuses_at_once_and_keeps_nothing_of_the_request() -> None:
    work = Worker()

    async def test() -> None:
        async with closing(Gatherer(work, under_way_max=1, queue_max=3)) as gatherer:
            async with busy(work, gatherer) as held:
                futures = [gatherer.submit(n) for n in (1, 2, 3)]
                with pytest.raises(Overloaded):
                    gatherer.submit(4)
            assert await asyncio.gather(*held, *futures) == [0, 2, 4, 6]
            assert await gatherer.submit(5) == 10

    run(test)
    assert [n for batch in work.batches for n in batch] == [0, 1, 2, 3, 5]


def test_closing_lets_what_is_queued_finish_and_refuses_what_comes_later() -> None:
    async def test() -> None:
        work = Worker()
        gatherer = Gatherer(work, under_way_max=2, batch_max=2, weigh=lambda _: 64)
        async with busy(work, gatherer, batches=2) as held:
            futures = [gatherer.submit(n) for n in range(1, 8)]
            closer = asyncio.create_task(gatherer.close())
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                gatherer.submit(9)
            assert not closer.done()
        await closer
        assert [f.result() for f in (*held, *futures)] == [0, 0, 2, 4, 6, 8, 10, 12, 14]

    run(test)


def test_a_second_batch_starts_when_it_is_as_heavy_as_the_first() -> None:
    async def test() -> None:
        work = Worker()
        gatherer = Gatherer(work, under_way_max=2, batch_max=1000, weigh=lambda _: 64)
        async with closing(gatherer):
            work.gate.clear()
            futures = [gatherer.submit(n) for n in range(3)]
            await work.entered.acquire()
            futures += [gatherer.submit(n) for n in (3, 4)]
            await asyncio.sleep(0)
            assert work.batches == [[0, 1, 2]], "two would not be worth a batch of their own"
            futures += [gatherer.submit(n) for n in (5, 6)]
            await work.entered.acquire()
            assert work.batches == [[0, 1, 2], [3, 4, 5, 6]]
            futures.append(gatherer.submit(7))
            await asyncio.sleep(0)
            assert len(work.batches) == 2, "no more than two are under way"
            work.gate.set()
            assert await asyncio.gather(*futures) == [2 * n for n in range(8)]
            assert work.batches[2:] == [[7]]

    run(test)


def test_a_second_batch_is_not_worth_it_for_a_few() -> None:
    async def test() -> None:
        work = Worker()
        async with closing(Gatherer(work, under_way_max=2)) as gatherer:
            async with busy(work, gatherer) as held:
                futures = [gatherer.submit(n) for n in range(63)]
                await asyncio.sleep(0)
                assert len(work.batches) == 1
                futures.append(gatherer.submit(63))
                await work.entered.acquire()
            assert await asyncio.gather(*held, *futures) == [0, *(2 * n for n in range(64))]
        assert work.batches == [[0], list(range(64))]

    run(test)


def test_work_that_blocks_is_done_in_threads() -> None:
    async def test() -> None:
        seen: list[str] = []

        def work(requests: list[int]) -> list[int]:
            seen.append(threading.current_thread().name)
            return requests

        with ThreadPoolExecutor(1, "worker") as pool:
            async with closing(Gatherer(in_threads(work, pool))) as gatherer:
                assert await gatherer.submit(3) == 3
        assert seen == ["worker_0"]

    run(test)


def test_a_client_that_goes_away_does_not_disturb_the_others() -> None:
    work = Worker()

    async def test() -> None:
        async with closing(Gatherer(work, under_way_max=1)) as gatherer:
            async with busy(work, gatherer) as held:
                futures = [gatherer.submit(n) for n in (1, 2, 3)]
                futures[1].cancel()
                held[0].cancel()
            assert await futures[0] == 2
            assert await futures[2] == 6
            assert await gatherer.submit(4) == 8

    run(test)
    assert work.batches[1] == [1, 2, 3], "its work is done all the same"


def test_a_request_that_cannot_be_weighed_fails_its_sender_and_nobody_else() -> None:
    work = Worker()

    async def test() -> None:
        async with closing(Gatherer(work, weigh=lambda n: 10 // n)) as gatherer:
            with pytest.raises(ZeroDivisionError):
                gatherer.submit(0)
            assert await gatherer.submit(5) == 10

    run(test)


def test_no_request_is_lost_among_64_concurrent_submitters() -> None:
    work = Worker()
    each = 150

    async def test() -> None:
        async with closing(Gatherer(work, under_way_max=3, batch_max=50)) as gatherer:

            async def client(first: int) -> None:
                for n in range(first, first + each):
                    assert await gatherer.submit(n) == 2 * n

            async with asyncio.TaskGroup() as clients:
                for c in range(64):
                    clients.create_task(client(c * each))

    run(test)
    done = sorted(n for batch in work.batches for n in batch)
    assert done == list(range(64 * each)), "each exactly once"
    assert max(map(len, work.batches)) <= 50
    assert len(work.batches) < len(done), "they were gathered"
