"""One look at the database for all who ask at about the same time: however many consoles are open."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")

KEPT_MAX = 64


class Looks:
    """What was seen lately, by what was asked. Thread-safe; who asks while another looks waits for that look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, kept_max: int = KEPT_MAX) -> None:
        """kept_max: most answers that are kept, of those asked for last"""
        self._clock, self._kept_max = clock, kept_max
        self._lock = threading.Lock()
        self._seen: OrderedDict[Hashable, _Seen] = OrderedDict()

    def get(self, asked: Hashable, seconds: float, look: Callable[[], T]) -> T:
        """What `look()` returns, or returned at most `seconds` ago to somebody who asked the same. Raises what it
        raises, which is not kept."""
        with self._lock:
            seen = self._seen.setdefault(asked, _Seen())
            self._seen.move_to_end(asked)
            now = self._clock()
            for other in [key for key, kept in self._seen.items() if key != asked and kept.is_past(now)]:
                del self._seen[other]
            while len(self._seen) > self._kept_max:
                self._seen.popitem(last=False)
        with seen.lock:
            if seen.at is None or self._clock() - seen.at >= seconds:
                seen.value = look()
                seen.at, seen.seconds = self._clock(), seconds
            return cast("T", seen.value)


class _Seen:
    __slots__ = ("at", "lock", "seconds", "value")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at: float | None = None
        self.seconds = 0.0
        self.value: Any = None

    def is_past(self, now: float) -> bool:
        """Whether its value is too old for anybody, and nobody is looking again."""
        return self.at is not None and now - self.at >= self.seconds and not self.lock.locked()
