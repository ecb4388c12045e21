"""Limits, tokens and notes of one process: for trying a connector out, before a channel is set up."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from onhand.connectors._sdk.interface import Unavailable

_WAIT_MAX_S = 120.0


class MemoryLimiter:
    """A token bucket for each name; see `interface.Limiter`."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._level: dict[str, tuple[float, float]] = {}
        self._until: dict[str | None, float] = {}

    async def turn(self, bucket: str, *, rate_per_s: float, burst: int, weight: float = 1.0) -> None:
        """Wait for `weight` tokens of `bucket`. Raises Unavailable if that would take minutes."""
        now = self._clock()
        level, at = self._level.get(bucket, (float(burst), now))
        level = min(float(burst), level + (now - at) * rate_per_s) - weight
        wait_s = max(-level / rate_per_s, *(until - now for until in (*map(self._until_of, (None, bucket)), now)))
        if wait_s > _WAIT_MAX_S:
            raise Unavailable(f"the channel wants to be left alone for {wait_s:.0f} s", retry_after_s=wait_s)
        self._level[bucket] = (level, now)
        if wait_s > 0:
            await self._sleep(wait_s)

    def _until_of(self, bucket: str | None) -> float:
        return self._until.get(bucket, float("-inf"))

    async def pause(self, seconds: float, *, bucket: str | None = None) -> None:
        """Nobody asks before `seconds` have passed."""
        self._until[bucket] = max(self._until_of(bucket), self._clock() + seconds)


class MemoryTokens:
    """One token; see `interface.Tokens`."""

    def __init__(self) -> None:
        self._kept: tuple[str, datetime | None] | None = None

    async def get(self) -> tuple[str, datetime | None] | None:
        """What was put last."""
        return self._kept

    async def put(self, token: str, expires_at: datetime | None) -> None:
        """Keep a token."""
        self._kept = (token, expires_at)


class MemoryNotes:
    """See `interface.Notes`."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._numbers: dict[str, int] = {}

    async def get(self, name: str) -> str | None:
        """What was noted."""
        return self._texts.get(name)

    async def put(self, name: str, text: str) -> None:
        """Note it."""
        self._texts[name] = text

    async def put_new(self, name: str, text: str) -> str:
        """Note it unless something is."""
        return self._texts.setdefault(name, text)

    async def starting(self, prefix: str, *, limit: int = 1_000) -> Mapping[str, str]:
        """What is noted under names that begin so."""
        names = sorted(name for name in self._texts if name.startswith(prefix))
        return {name: self._texts[name] for name in names[:limit]}

    async def drop(self, name: str) -> None:
        """Forget it."""
        self._texts.pop(name, None)

    async def next_number(self, series: str, *, last: int) -> int:
        """The next one."""
        self._numbers[series] = self._numbers.get(series, 0) % last + 1
        return self._numbers[series]
