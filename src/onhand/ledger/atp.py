"""Available to promise, time-phased: units on the shelf, units that are coming, demand that is due. Pure."""

from collections.abc import Sequence

Dated = tuple[int, int]
"""(day since 1970-01-01, units)"""


def atp(
    available: int,
    supply: Sequence[Dated],
    demand: Sequence[Dated],
    *,
    today: int,
    until: int | None = None,
) -> list[Dated]:
    """Units that can still be promised by the end of each day, without breaking a later promise.

    available  units on the shelf that nobody was promised, ≥ 0
    supply     dated units that nobody was promised; days before `today` count as today
    demand     dated units that are owed and that nothing backs yet
    until      last day of interest; None: the last day on which anything changes

    Returns one point for today and one for each later day up to `until` on which the number
    changes, and one for `until` itself; never below 0, never falling. Cumulative ATP with
    look-ahead: atp(d) = max(0, min over e ≥ d of available + supply(≤ e) - demand(≤ e)).
    """
    changes: dict[int, int] = {today: available}
    for day, units in supply:
        at = max(day, today)
        changes[at] = changes.get(at, 0) + units
    for day, units in demand:
        at = max(day, today)
        changes[at] = changes.get(at, 0) - units
    days = sorted(changes)
    balance = 0
    balances: list[int] = []
    for day in days:
        balance += changes[day]
        balances.append(balance)
    least = balances[-1]
    points: list[Dated] = []
    for n in range(len(days) - 1, -1, -1):
        least = min(least, balances[n])
        points.append((days[n], max(0, least)))
    points.reverse()
    shown = points[:1]
    for day, units in points[1:]:
        if until is not None and day > until:
            break
        if units != shown[-1][1]:
            shown.append((day, units))
    if until is not None and until > shown[-1][0]:
        shown.append((until, shown[-1][1]))
    return shown


def on_day(points: Sequence[Dated], day: int) -> int:
    """The value of a step function, as `atp` returns it, on `day` (not before its first point)."""
    units = points[0][1]
    for point, value in points:
        if point > day:
            break
        units = value
    return units
