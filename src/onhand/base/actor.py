"""Who changes something, and why: written beside every change."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The key behind a change (0: the system itself) and the reason that was given."""

    key_id: int = 0
    reason: str | None = None


SYSTEM = Actor()
