"""Carries a shop's messages to us: late, sometimes twice, out of order or never. What fails comes again."""

import asyncio
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx2

from onhand.twin.fakes.weather import Sky, journeys

_TIMEOUT_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.02
# As often as shops try; after that somebody has to read what was missed.
_TRIES_MAX: Final = 6
_AT_ONCE: Final = 4

Message = tuple[Mapping[str, str], bytes]


class Courier:
    """One shop's messages to `url`, the address that was given last; without one they are not sent.

    is_down  while this is so nothing is sent: it waits
    """

    def __init__(self, sky: Sky, seed: int, *, is_down: Callable[[], bool]) -> None:
        self.url = ""
        self.counts: Counter[str] = Counter()
        self._seed, self._is_down = seed, is_down
        self._journeys = journeys(sky, seed)
        self._heap: list[tuple[float, int, int, Message]] = []
        self._numbers = itertools.count()

    def change(self, sky: Sky) -> None:
        """Another sky for what is posted from now on."""
        self._journeys = journeys(sky, self._seed)

    def post(self, message: Message) -> None:
        """Send it when its time has come, unless it is lost."""
        if not self.url:
            return
        journey = next(self._journeys)
        self.counts["posted"] += 1
        if journey.is_lost:
            self.counts["lost"] += 1
            return
        self._due(journey.delay_s, 1, message)
        if journey.again_s is not None:
            self.counts["repeated"] += 1
            self._due(journey.delay_s + journey.again_s, 1, message)

    def _due(self, seconds: float, attempt: int, message: Message) -> None:
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._numbers), attempt, message))

    async def run(self) -> None:
        """Until cancelled."""
        limits = httpx2.Limits(max_connections=_AT_ONCE)
        async with (
            httpx2.AsyncClient(timeout=_TIMEOUT_S, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            free = asyncio.Semaphore(_AT_ONCE)
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                while self._heap and self._heap[0][0] <= time.monotonic() and not self._is_down():
                    await free.acquire()
                    _, _, attempt, message = heapq.heappop(self._heap)
                    group.create_task(self._send(client, free, attempt, message))

    async def _send(self, client: httpx2.AsyncClient, free: asyncio.Semaphore, attempt: int, message: Message) -> None:
        headers, body = message
        try:
            answer = await client.post(self.url, content=body, headers=dict(headers))
            is_taken = answer.is_success
        except httpx2.HTTPError:
            is_taken = False
        finally:
            free.release()
        if is_taken:
            self.counts["delivered"] += 1
        elif attempt < _TRIES_MAX:
            self._due(2.0**attempt / 4, attempt + 1, message)
        else:
            self.counts["given_up"] += 1

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"waiting": len(self._heap), **self.counts}
