"""Natural batching: while one batch is worked on, the next one gathers. No timer, so no waiting when idle."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
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
        self._queue: deque[tuple[Q, asyncio.Future[A]]] = deque()
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
        if len(self._queue) >= self._queue_max:
            raise Overloaded
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._queue.append((request, future))
        if self._idle:
            with self._ready:
                self._ready.notify()
        return future

    def close(self) -> None:
        """Let the workers finish what is queued, then end."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _take(self) -> list[tuple[Q, asyncio.Future[A]]]:
        with self._ready:
            while not self._queue:
                if self._closing:
                    return []
                # The time-out closes the race with a submit that saw no idle worker.
                self._idle += 1
                self._ready.wait(0.05)
                self._idle -= 1
            batch = [self._queue.popleft()]
            weight = self._weight(batch[0][0])
            while self._queue:
                weight += self._weight(self._queue[0][0])
                if weight > self._batch_max:
                    break
                batch.append(self._queue.popleft())
            return batch

    def _weight(self, request: Q) -> int:
        return 1 if self._weigh is None else self._weigh(request)

    def _run(self) -> None:
        while batch := self._take():
            try:
                answers = self._work([request for request, _ in batch])
                assert len(answers) == len(batch), "work must answer every request"
            except Exception as error:
                answers = [error] * len(batch)
            try:
                batch[0][1].get_loop().call_soon_threadsafe(_deliver, batch, answers)
            except RuntimeError:
                return  # the event loop has closed: nobody waits any more


def _deliver(batch: "list[tuple[Q, asyncio.Future[A]]]", answers: Sequence[A | Exception]) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if future.done():
            continue  # the client went away; the work stands
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
