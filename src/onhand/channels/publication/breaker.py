"""When to leave a channel alone that fails: a breaker for its whole account. Pure."""

from dataclasses import dataclass
from typing import Final

AFTER: Final = 3
"""Requests that fail in a row before nothing is sent for a while."""
_FIRST_S: Final = 5.0
_MOST_S: Final = 300.0
_SOON_S: Final = 0.5


@dataclass(slots=True)
class Breaker:
    """Counts failures in a row. Open: nothing is sent; after its time one request tries, and closes it or opens it for
    twice as long, 5 s to 5 min."""

    failures: int = 0
    until: float = float("-inf")

    def may_send(self, now: float, *, under_way: int) -> bool:
        """Whether another request may be sent beside those that are `under_way`."""
        if now < self.until:
            return False
        return self.failures < AFTER or under_way == 0

    def is_open(self, now: float) -> bool:
        """Whether the channel is left alone."""
        return self.failures >= AFTER and now < self.until

    def worked(self) -> None:
        """The channel answered, whatever it said of single writes."""
        self.failures, self.until = 0, float("-inf")

    def failed(self, now: float, *, jitter: float) -> None:
        """It did not answer, or would not work. jitter: 0 to 1, uniform, so that many do not come back together."""
        self.failures += 1
        if self.failures < AFTER:
            pause_s = _SOON_S * 2.0 ** (self.failures - 1)
        else:
            pause_s = min(_MOST_S, _FIRST_S * 2.0 ** min(self.failures - AFTER, 20))
        self.until = max(self.until, now + pause_s * (0.5 + 0.5 * jitter))
