"""When a node ships: its next working days with their local cut-off. Pure."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from onhand.base.dates import EPOCH

# Two working weeks: beyond that a full node is no candidate.
SLOTS = 10
_DAYS_MAX = 60


def ship_slots(
    now: datetime,
    *,
    timezone: str,
    cutoff: time,
    working_days: Collection[int],
    closed_days: Collection[date],
    count: int = SLOTS,
) -> list[tuple[int, int]]:
    """The next `count` ship days of a node as (days since 1970-01-01, cut-off as Unix seconds), soonest first.

    Today counts when it is a working day (ISO weekday, Monday is 1) and its local cut-off has not passed. Fewer than
    `count` when the node is closed for the next 60 days. A cut-off in the hour that daylight saving skips is read as
    the hour after it (PEP 495, fold 0).
    """
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    slots: list[tuple[int, int]] = []
    for offset in range(_DAYS_MAX):
        day = today + timedelta(days=offset)
        if day.isoweekday() not in working_days or day in closed_days:
            continue
        closes = datetime.combine(day, cutoff, zone).astimezone(UTC)
        if closes <= now:
            continue
        slots.append(((day - EPOCH).days, int(closes.timestamp())))
        if len(slots) == count:
            break
    return slots
