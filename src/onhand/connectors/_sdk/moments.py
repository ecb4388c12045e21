"""Moments as channels write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def moment_of(said: str, zone: str = "UTC") -> datetime:
    """ISO 8601 as a moment in UTC; without a time zone it is one of `zone`. Raises ValueError."""
    moment = datetime.fromisoformat(said)
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    try:
        return moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{zone!r} is no time zone") from None
