"""Times as the API writes them, and the day count of Unix."""

from datetime import UTC, date, datetime
from functools import lru_cache

EPOCH = date(1970, 1, 1)
# What callers may write: beyond these years something is wrong, and calendars end.
YEARS = range(1900, 2200)


@lru_cache(maxsize=65_536)
def rfc3339(seconds: int) -> str:
    """Unix seconds as RFC 3339 UTC. Promises share few distinct moments, so the cache nearly always hits."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_START = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Unix microseconds of an aware datetime, exactly."""
    delta = moment - _START
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
