"""Public holidays as a signal that is built in: known ahead, by country and subdivision. Pure.

Source: the package `holidays`, days given in lieu included.
"""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Final

import numpy as np

from onhand.demand.correct import day_number
from onhand.demand.model import Scope
from onhand.demand.signals import Known
from onhand.network.calendar import has_holidays, public_holidays

NAME: Final = "public_holiday"
"""1 on a public holiday of the place, 0 on other days."""
_DAY_US: Final = 86_400_000_000


def calendar_of(region: str) -> str | None:
    """The calendar that a region lives by: its own, else that of its country; None: none is known."""
    country = region.partition("-")[0]
    return next((place for place in (region, country) if has_holidays(place)), None)


def holidays(regions: Collection[str], first: date, until: date) -> list[Known]:
    """The signal of each region from `first` to `until` (exclusive); of a region without a calendar there is none."""
    found: list[Known] = []
    for region in sorted({r for r in regions if r}):
        place = calendar_of(region)
        if place is None:
            continue
        last = until - timedelta(days=1)
        days = sorted(
            day
            for year in range(first.year, last.year + 1)
            for day in public_holidays(place, year)
            if first <= day < until
        )
        at = np.array([day_number(day) * _DAY_US for day in days], np.int64)
        scope = Scope(region=region)
        found.append(Known(name=NAME, scope=scope, known_ahead=True, fill="zero", at=at, value=np.ones(len(days))))
    return found
