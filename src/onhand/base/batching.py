"""Natural batching: while one batch is worked on, the next one gathers. No timer, so no waiting when idle."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from onhand.errors import Overloaded

Q = TypeVar("Q")
A = TypeVar("A")


class Gatherer(Generic[Q, A]):
    """Turns single requests into batches for `work`, which answers in order; an exception in the place of an answer
    is raised to that request alone.

    workers    batches under way at once: one waits for the database while the other decides
    batch_max  most weight of a batch (a request alone may exceed it)
    queue_max  most requests waiting; beyond that Overloaded is raised at once and nothing is kept
    """

    def __init__(
        self,
        work: Callable[[list[Q]], Sequence[A | Exception]],
        *,
        name: str,
        workers: int = 2,
        batch_max: int = 300,
        queue_max: int = 2_000,
        weigh: Callable[[Q], int] | None = None,
    ) -> None:
        self._work = work
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._weigh = weigh
        self._queue: deque[tuple[Q, int, asyncio.Future[A]]] = deque()
        self._ready = threading.Condition()
        self._idle = 0
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"onhand {name} {n}", daemon=True) for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def submit(self, request: Q) -> "asyncio.Future[A]":
        """Queue a request from the event loop; the future has its answer. Raises Overloaded."""
        if self._closing or len(self._queue) >= self._queue_max:
            raise Overloaded
        # Weighed here: what cannot be weighed is its sender's problem, not the workers'.
        weight = 1 if self._weigh is None else self._weigh(request)
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._queue.append((request, weight, future))
        if self._idle:
            with self._ready:
                self._ready.notify()
        return future

    def close(self) -> None:
        """Let the workers finish what is queued, then end. What is submitted from now on is Overloaded."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()
        while self._queue:  # submitted while the last worker left
            _, _, future = self._queue.popleft()
            _send([future], [Overloaded()])

    def _take(self) -> tuple[list[Q], list[asyncio.Future[A]]]:
        with self._ready:
            while not self._queue:
                if self._closing:
                    return [], []
                # The time-out closes the race with a submit that saw no idle worker.
                self._idle += 1
                self._ready.wait(0.05)
                self._idle -= 1
            requests: list[Q] = []
            futures: list[asyncio.Future[A]] = []
            total = 0
            while self._queue:
                request, weight, future = self._queue[0]
                total += weight
                if requests and total > self._batch_max:
                    break
                self._queue.popleft()
                requests.append(request)
                futures.append(future)
            return requests, futures

    def _run(self) -> None:
        while True:
            requests, futures = self._take()
            if not requests:
                return
            try:
                answers = self._work(requests)
                assert len(answers) == len(requests), "work must answer every request"
            except Exception as error:
                answers = [error] * len(requests)
            _send(futures, answers)


def _send(futures: "list[asyncio.Future[A]]", answers: Sequence[A | Exception]) -> None:
    # A closed event loop: nobody waits any more, the next batch may have a loop of its own.
    with suppress(RuntimeError):
        futures[0].get_loop().call_soon_threadsafe(_deliver, futures, answers)


def _deliver(futures: "list[asyncio.Future[A]]", answers: Sequence[A | Exception]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():
            continue  # the client went away; the work stands
        if isinstance(answer, StopIteration):
            future.set_exception(RuntimeError(repr(answer)))  # a future refuses to carry it
        elif isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
