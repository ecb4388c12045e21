"""Moments as arrays hold them: Unix microseconds."""

from datetime import UTC, datetime, timedelta
from typing import Final

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(at: int) -> datetime:
    """The moment of so many microseconds."""
    return _EPOCH + timedelta(microseconds=int(at))
