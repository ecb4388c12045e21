"""When a node ships: its next working days with their local cut-off. Pure."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from holidays import country_holidays, list_supported_countries

from onhand.base.dates import EPOCH

# Two working weeks: beyond that a full node is no candidate.
SLOTS = 10
_DAYS_MAX = 60


@lru_cache(maxsize=1)
def _holiday_places() -> frozenset[str]:
    known = list_supported_countries(include_aliases=False)
    return frozenset(known) | {f"{country}-{place}" for country, places in known.items() for place in places}


def has_holidays(place: str) -> bool:
    """Whether the public holidays of a country such as DE, or a subdivision such as DE-BY, are known."""
    return place in _holiday_places()


# Nodes share countries, and a calendar is computed again for each node and cut-off.
@lru_cache(maxsize=4_096)
def public_holidays(place: str, year: int) -> frozenset[date]:
    """Public holidays of `place` (see `has_holidays`) in a year, days given in lieu included; none for a place that is
    not known, or no longer. Source: the package `holidays`."""
    country, _, subdivision = place.partition("-")
    if not has_holidays(place):
        return frozenset()
    return frozenset(country_holidays(country, subdiv=subdivision or None, years=year, expand=False))


def closed_on(closed_days: Collection[date], place: str | None, today: date) -> set[date]:
    """The closed days of a node that `ship_slots` may meet: its own, and the public holidays of `place`."""
    closed = set(closed_days)
    if place is not None:
        # A day about: the node may be ahead of or behind the clock that says `today`.
        for year in {(today + timedelta(days=n)).year for n in (-1, _DAYS_MAX + 1)}:
            closed |= public_holidays(place, year)
    return closed


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
