"""Many requests, few batches: each request gets its own answer, whatever happens to the others."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import closing, contextmanager

import pytest

from onhand.base.batching import Gatherer
from onhand.errors import Overloaded


class Worker:
    """Doubles numbers, batch by batch; waits at a gate while it is shut. Negative numbers fail alone."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def __call__(self, requests: list[int]) -> Sequence[int | Exception]:
        self.batches.append(requests)
        self.entered.release()
        assert self.gate.wait(10), "the test shut the gate and forgot it"
        return [ValueError(n) if n < 0 else n * 2 for n in requests]


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(limited())


@contextmanager
def busy(work: Worker, gatherer: Gatherer[int, int], workers: int = 1) -> Generator[list["asyncio.Future[int]"]]:
    """All workers hold one request each, until the block ends; what is submitted in it gathers."""
    work.gate.clear()
    held: list[asyncio.Future[int]] = []
    try:
        for _ in range(workers):
            held.append(gatherer.submit(0))
            assert work.entered.acquire(timeout=10)
        yield held
    finally:
        work.gate.set()


def test_what_gathers_while_a_batch_is_worked_on_is_the_next_batch() -> None:
    work = Worker()

    async def test() -> None:
        with closing(Gatherer(work, name="t", workers=1)) as gatherer:
            with busy(work, gatherer) as held:
                futures = [gatherer.submit(n) for n in range(1, 6)]
                assert gatherer.waiting == 5
            assert await asyncio.gather(*held, *futures) == [0, 2, 4, 6, 8, 10]
            assert gatherer.waiting == 0

    run(test)
    assert work.batches == [[0], [1, 2, 3, 4, 5]]


def test_a_request_alone_does_not_wait_for_others() -> None:
    work = Worker()

    async def test() -> None:
        with closing(Gatherer(work, name="t")) as gatherer:
            for n in range(20):
                assert await gatherer.submit(n) == 2 * n

    run(test)
    assert work.batches == [[n] for n in range(20)]


def test_a_batch_is_no_heavier_than_allowed_and_a_heavy_request_goes_alone() -> None:
    work = Worker()

    async def test() -> None:
        gatherer = Gatherer(work, name="t", workers=1, batch_max=10, weigh=lambda n: n)
        with closing(gatherer), busy(work, gatherer) as held:
            futures = [gatherer.submit(n) for n in (4, 6, 1, 50, 9, 1, 1)]
            work.gate.set()
            await asyncio.gather(*held, *futures)

    run(test)
    assert work.batches == [[0], [4, 6], [1], [50], [9, 1], [1]]


def test_an_error_in_the_place_of_an_answer_is_raised_to_that_request_alone() -> None:
    work = Worker()

    async def test() -> None:
        with closing(Gatherer(work, name="t", workers=1)) as gatherer:
            with busy(work, gatherer):
                futures = [gatherer.submit(n) for n in (1, -2, 3, -4)]
            answers = await asyncio.gather(*futures, return_exceptions=True)
            assert [a if isinstance(a, int) else a.args for a in answers] == [2, (-2,), 6, (-4,)]

    run(test)


@pytest.mark.parametrize("error", [RuntimeError("broken"), StopIteration()])
def test_a_batch_that_fails_fails_all_its_requests_and_none_after_it(error: Exception) -> None:
    batches = 0

    def work(requests: list[int]) -> list[int]:
        nonlocal batches
        batches += 1
        if batches == 1:
            raise error
        return requests

    async def test() -> None:
        with closing(Gatherer(work, name="t", workers=1)) as gatherer:
            first = [gatherer.submit(n) for n in range(3)]
            answers = await asyncio.gather(*first, return_exceptions=True)
            assert isinstance(answers[0], RuntimeError)
            assert await gatherer.submit(7) == 7

    run(test)


def test_work_that_forgets_a_request_fails_its_batch_instead_of_mixing_answers_up() -> None:
    async def test() -> None:
        gatherer = Gatherer[int, int](lambda requests: requests[1:], name="t")
        with closing(gatherer), pytest.raises(AssertionError, match="every request"):
            await gatherer.submit(1)

    run(test)


def test_a_full_queue_refuses_at_once_and_keeps_nothing_of_the_request() -> None:
    work = Worker()

    async def test() -> None:
        with closing(Gatherer(work, name="t", workers=1, queue_max=3)) as gatherer:
            with busy(work, gatherer) as held:
                futures = [gatherer.submit(n) for n in (1, 2, 3)]
                with pytest.raises(Overloaded):
                    gatherer.submit(4)
            assert await asyncio.gather(*held, *futures) == [0, 2, 4, 6]
            assert await gatherer.submit(5) == 10

    run(test)
    assert [n for batch in work.batches for n in batch] == [0, 1, 2, 3, 5]


def test_closing_lets_what_is_queued_finish_and_refuses_what_comes_later() -> None:
    work = Worker()

    async def test() -> None:
        gatherer = Gatherer(work, name="t", workers=2, batch_max=2)
        with busy(work, gatherer, workers=2) as held:
            futures = [gatherer.submit(n) for n in range(1, 8)]
            closer = threading.Thread(target=gatherer.close)
            closer.start()
        await asyncio.to_thread(closer.join)
        with pytest.raises(Overloaded):
            gatherer.submit(9)
        assert await asyncio.gather(*held, *futures) == [0, 0, 2, 4, 6, 8, 10, 12, 14]

    run(test)


def test_a_client_that_goes_away_does_not_disturb_the_others() -> None:
    work = Worker()

    async def test() -> None:
        with closing(Gatherer(work, name="t", workers=1)) as gatherer:
            with busy(work, gatherer) as held:
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
        with closing(Gatherer(work, name="t", weigh=lambda n: 10 // n)) as gatherer:
            with pytest.raises(ZeroDivisionError):
                gatherer.submit(0)
            assert await gatherer.submit(5) == 10

    run(test)


def test_no_request_is_lost_among_64_concurrent_submitters() -> None:
    work = Worker()
    each = 150

    async def test() -> None:
        with closing(Gatherer(work, name="t", workers=3, batch_max=50)) as gatherer:

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


def test_the_workers_outlive_an_event_loop() -> None:
    work = Worker()
    gatherer = Gatherer(work, name="t", workers=1)

    async def leave() -> None:
        work.gate.clear()
        gatherer.submit(1)
        assert work.entered.acquire(timeout=10)

    async def ask() -> None:
        assert await gatherer.submit(2) == 4

    with closing(gatherer):
        run(leave)
        work.gate.set()
        run(ask)
