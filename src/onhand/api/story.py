"""What a simulated world tells of itself in this process, and what those who look at it wish. In memory only: the world
tells it again every moment, and when it stops there is no story any more."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

_GONE_AFTER_S: Final = 15.0

Wish = Mapping[str, Any]


class StoryBoard:
    """clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._name, self._at = "", 0.0
        self._story: object | None = None
        self._wish: Wish = {"speed": None, "chapter": None}

    def now(self) -> object | None:
        """What is told; None when whoever told it is gone."""
        return self._story if self._clock() - self._at < _GONE_AFTER_S else None

    def tell(self, name: str, story: object) -> Wish:
        """Another story begins without wishes."""
        if self.now() is None or self._name != name:
            self._wish = {"speed": None, "chapter": None}
        self._name, self._story, self._at = name, story, self._clock()
        return self._wish

    def ask(self, given: Wish) -> Wish:
        """All that is wished now."""
        self._wish = {**self._wish, **given}
        return self._wish
