"""What happens between us and a vendor: slow answers, limits, outages, messages that come twice or never.

Pure but for `Weather`, which stands in front of a fake: one seed, one schedule, whatever is asked meanwhile.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from starlette.responses import JSONResponse

# Of a normal distribution: 95 of 100 are below it.
_Z95: Final = 1.6449
# An outage lasts its usual time, give or take: the spread of its logarithm.
_OUTAGE_SPREAD: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """The weather of one vendor, in real seconds. None of it: everything answers at once, and arrives once.

    delay_s          p50 and p95 of the time that an answer takes longer
    limit_per_s      requests that are answered; others are told to come again (429)
    down_every_s     mean time from the end of an outage to the next; 0: never
    down_for_s       usual length of one: the interface answers 503, and nothing is sent. Its customers still buy
    apply_s          from a number that is taken in to the moment it is shown, where that is another
    message_delay_s  p50 and p95 of the time after which a message is sent
    repeated, reordered, lost  shares of messages that come twice, much later than others, or never
    """

    delay_s: tuple[float, float] = (0.0, 0.0)
    limit_per_s: float = 0.0
    down_every_s: float = 0.0
    down_for_s: float = 0.0
    apply_s: float = 0.0
    message_delay_s: tuple[float, float] = (0.0, 0.0)
    repeated: float = 0.0
    reordered: float = 0.0
    lost: float = 0.0

    def __post_init__(self) -> None:
        for p50, p95 in (self.delay_s, self.message_delay_s):
            if not 0 <= p50 <= p95:
                raise ValueError(f"expected 0 <= p50 <= p95, not {p50} and {p95}")
        if min(self.limit_per_s, self.down_every_s, self.down_for_s, self.apply_s) < 0:
            raise ValueError("expected limit_per_s, down_every_s, down_for_s and apply_s >= 0")
        if min(self.repeated, self.reordered, self.lost) < 0 or max(self.repeated, self.reordered, self.lost) > 1:
            raise ValueError("expected repeated, reordered and lost between 0 and 1")

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """From JSON. Raises ValueError."""
        unknown = sorted(set(document) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"expected {', '.join(field.name for field in fields(cls))}, not {', '.join(unknown)}")
        given: dict[str, Any] = {**document}
        for name in ("delay_s", "message_delay_s"):
            if name in given:
                p50, p95 = given[name]
                given[name] = (p50, p95)
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What becomes of one message. again_s: None, or so long after the first time it comes once more."""

    delay_s: float
    again_s: float | None
    is_lost: bool


def outages(sky: Sky, seed: int) -> Generator[tuple[float, float]]:
    """(begin, end) of one outage after the other, in seconds since the beginning; without end."""
    draw = random.Random(f"onhand outages {seed}")  # noqa: S311  a simulation, no secret
    at = 0.0
    while sky.down_every_s > 0 and sky.down_for_s > 0:
        begin = at + draw.expovariate(1 / sky.down_every_s)
        at = begin + sky.down_for_s * draw.lognormvariate(0, _OUTAGE_SPREAD)
        yield begin, at


def delays(p50_s: float, p95_s: float, draw: random.Random) -> float:
    """A time of a log-normal distribution with these quantiles."""
    if p50_s <= 0:
        return 0.0
    return p50_s * draw.lognormvariate(0, math.log(max(p95_s / p50_s, 1.0)) / _Z95)


def journeys(sky: Sky, seed: int) -> Generator[Journey]:
    """What becomes of one message after the other; without end."""
    draw = random.Random(f"onhand journeys {seed}")  # noqa: S311
    while True:
        # Always as many draws, so that one share does not shift the others.
        is_repeated, is_late, is_lost = (draw.random() < p for p in (sky.repeated, sky.reordered, sky.lost))
        delay_s, much_s, again_s = delays(*sky.message_delay_s, draw), draw.uniform(2, 10), draw.uniform(0.5, 20)
        yield Journey(
            delay_s=delay_s + (much_s if is_late else 0.0),
            again_s=again_s if is_repeated else None,
            is_lost=is_lost,
        )


class Weather:
    """An ASGI wrapper around a fake's interface, with a sky that can be changed. clock: seconds."""

    def __init__(self, app: Any, sky: Sky, seed: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.app, self._clock, self.seed = app, clock, seed
        self.counts = {"answered": 0, "limited": 0, "refused": 0}
        self.change(sky)

    def change(self, sky: Sky) -> None:
        """Another sky from now on; its schedule begins anew."""
        self.sky, self._began = sky, self._clock()
        self._draw = random.Random(f"onhand delays {self.seed}")  # noqa: S311
        self._outages = outages(sky, self.seed)
        self._outage = next(self._outages, (math.inf, math.inf))
        self._tokens, self._at = max(1.0, sky.limit_per_s), self._began
        self.outages = 0

    @property
    def is_down(self) -> bool:
        """Whether there is an outage now."""
        since_s = self._clock() - self._began
        while since_s >= self._outage[1]:
            self._outage = next(self._outages)
            self.outages += 1
        return since_s >= self._outage[0]

    def state(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"is_down": self.is_down, "outages": self.outages + self.is_down, **self.counts}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.is_down:
            self.counts["refused"] += 1
            await JSONResponse({"message": "Service Unavailable"}, 503)(scope, receive, send)
            return
        if not self._has_turn():
            self.counts["limited"] += 1
            await JSONResponse({"message": "Too Many Requests"}, 429, {"Retry-After": "1"})(scope, receive, send)
            return
        self.counts["answered"] += 1
        if (delay_s := delays(*self.sky.delay_s, self._draw)) > 0:
            await asyncio.sleep(delay_s)
        await self.app(scope, receive, send)

    def _has_turn(self) -> bool:
        rate = self.sky.limit_per_s
        if rate <= 0:
            return True
        now = self._clock()
        self._tokens = min(max(1.0, rate), self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
