"""Simulated time, and what is due when."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Final

Job = Callable[[], Awaitable[object]]

# Jobs wait here until a worker is free; what is due meanwhile stays on the agenda and is late.
_READY_MAX: Final = 256
_LOOK_EVERY_S: Final = 0.01


class Clock:
    """Simulated seconds since midnight of day 0; `speed` of them pass in a second, none while it is 0."""

    def __init__(self, speed: float, start_s: float) -> None:
        self.speed = speed
        self._start_s = start_s
        self._began = time.monotonic()

    def now_s(self) -> float:
        return self._start_s + (time.monotonic() - self._began) * self.speed

    def real_s(self, simulated_s: float) -> float:
        """How long that is for us; while the clock stands, as if it went at its slowest, for nobody waits for ever."""
        return simulated_s / max(self.speed, 1.0)

    def change(self, speed: float) -> None:
        """Go on at another speed from now on; 0 or more."""
        self._start_s, self._began = self.now_s(), time.monotonic()
        self.speed = speed


class Agenda:
    """Runs jobs when they are due, at most `workers` at once: a slow server makes the world late, never large.

    failed  told of exceptions that leave a job; the others go on
    """

    def __init__(self, clock: Clock, *, workers: int, failed: Callable[[Exception], None]) -> None:
        self._clock = clock
        self._workers = workers
        self._failed = failed
        self._heap: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._ready: asyncio.Queue[Job | None] = asyncio.Queue(_READY_MAX)

    def __len__(self) -> int:
        return len(self._heap) + self._ready.qsize()

    @property
    def late_s(self) -> float:
        """Simulated seconds by which the next job is overdue."""
        return max(0.0, self._clock.now_s() - self._heap[0][0]) if self._heap else 0.0

    def after(self, simulated_s: float, job: Job) -> None:
        """Have `job` done in that time."""
        heapq.heappush(self._heap, (self._clock.now_s() + simulated_s, next(self._numbers), job))

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; jobs under way are finished, others are left undone."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work(stop))
            while not stop.is_set():
                while self._heap and self._heap[0][0] <= self._clock.now_s() and not stop.is_set():
                    await self._ready.put(heapq.heappop(self._heap)[2])
                await asyncio.sleep(_LOOK_EVERY_S)
            for _ in range(self._workers):
                await self._ready.put(None)

    async def _work(self, stop: asyncio.Event) -> None:
        while (job := await self._ready.get()) is not None:
            if stop.is_set():
                continue
            try:
                await job()
            except Exception as error:
                self._failed(error)
