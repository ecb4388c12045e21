"""Natural batching: while one batch is worked on, the next one gathers. No timer, so no waiting when idle."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

from onhand.errors import Overloaded

Q = TypeVar("Q")
A = TypeVar("A")

# Weight from which on a further batch is worth what a batch costs beyond its requests.
_WORTH_A_BATCH = 64


class Gatherer(Generic[Q, A]):
    """Turns single requests into batches for `work`, which answers in order; an exception in the place of an answer
    is raised to that request alone. For one event loop.

    under_way_max  batches under way at once: one waits for the database while the other is decided. A further one
                   starts when it is as heavy as what is under way, and not too light: many small ones would cost more
                   than they save
    batch_max      most weight of a batch (a request alone may exceed it)
    queue_max      most requests waiting; beyond that Overloaded is raised at once and nothing is kept
    """

    def __init__(
        self,
        work: Callable[[list[Q]], Awaitable[Sequence[A | Exception]]],
        *,
        under_way_max: int = 2,
        batch_max: int = 300,
        queue_max: int = 2_000,
        weigh: Callable[[Q], int] | None = None,
    ) -> None:
        self._work = work
        self._under_way_max = under_way_max
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._weigh = weigh
        self._queue: deque[tuple[Q, int, asyncio.Future[A]]] = deque()
        self._waiting_weight = 0
        self._under_way_weight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_starting = False
        self._closing = False

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def submit(self, request: Q) -> "asyncio.Future[A]":
        """Queue a request; the future has its answer. Raises Overloaded."""
        if self._closing or len(self._queue) >= self._queue_max:
            raise Overloaded
        # Weighed here: what cannot be weighed is its sender's problem alone.
        weight = 1 if self._weigh is None else self._weigh(request)
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._queue.append((request, weight, future))
        self._waiting_weight += weight
        self._start()
        return future

    async def close(self) -> None:
        """Finish what is queued. What is submitted from now on is Overloaded."""
        self._closing = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self) -> None:
        if not self._queue or self._is_starting or len(self._tasks) >= self._under_way_max:
            return
        if self._tasks and self._waiting_weight < max(_WORTH_A_BATCH, min(self._under_way_weight, self._batch_max)):
            return
        # The task begins in the loop's next round: what else has arrived by then comes along.
        self._is_starting = True
        task = asyncio.get_running_loop().create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._start()

    async def _run(self) -> None:
        requests, futures, weight = self._take()
        self._under_way_weight += weight
        self._is_starting = False
        self._start()
        try:
            answers = await self._work(requests)
            assert len(answers) == len(requests), "work must answer every request"
        except Exception as error:
            answers = [error] * len(requests)
        finally:
            self._under_way_weight -= weight
        for future, answer in zip(futures, answers, strict=True):
            if future.done():
                continue  # the client went away; the work stands
            if isinstance(answer, StopIteration):
                future.set_exception(RuntimeError(repr(answer)))  # a future refuses to carry it
            elif isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _take(self) -> tuple[list[Q], "list[asyncio.Future[A]]", int]:
        requests: list[Q] = []
        futures: list[asyncio.Future[A]] = []
        total = 0
        while self._queue:
            request, weight, future = self._queue[0]
            if requests and total + weight > self._batch_max:
                break
            total += weight
            self._queue.popleft()
            requests.append(request)
            futures.append(future)
        self._waiting_weight -= total
        return requests, futures, total


def in_threads(
    work: Callable[[list[Q]], Sequence[A | Exception]], pool: Executor
) -> Callable[[list[Q]], Awaitable[Sequence[A | Exception]]]:
    """`work` that blocks, done in the threads of `pool`."""

    async def start(requests: list[Q]) -> Sequence[A | Exception]:
        return await asyncio.get_running_loop().run_in_executor(pool, work, requests)

    return start


__all__ = ["Gatherer", "in_threads"]
