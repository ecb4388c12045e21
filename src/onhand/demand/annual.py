"""Last year again, by how much it has grown: for weeks and months, where a year or two are all that tell the season.

The same week of last year is a noisy witness of one series, so its season is seen together with others of its kind:
the series of a kind (a department's, say) as a matrix of series x periods, of which the largest singular values are
kept. Growth over last year, of the last quarter, is kept in part, and the less the farther ahead (damped trend,
Gardner and McKenzie 1985). Days that carry a holiday are matched by date, not by week: Christmas Eve falls into another
week from year to year, with most of what is sold for it.
"""

from typing import Final

import numpy as np

from onhand.demand.panel import Dates, Float64, Int64, Panel

_RANK: Final = 8
_GROWTH_PERIODS: Final = {"D": 91, "W": 13, "M": 3}
_GROWTH_KEPT: Final = (0.7, 0.3)
_GROWTH_MAX: Final = 2.0
# Month and day between which days are matched by date: the weeks of which Christmas decides.
_BY_DATE: Final = ((12, 11), (12, 31))
_KINDS_MIN: Final = 2


def can(panel: Panel) -> bool:
    """Whether there is last year to look at, and some weeks before to see growth."""
    return panel.freq != "D" and panel.periods >= panel.year + _GROWTH_PERIODS[panel.freq] // 3


def last_year(panel: Panel, *, by_date: bool = True) -> Float64:
    """float64[n, H], at least 0. by_date: days about Christmas are matched by their date."""
    season = pooled(panel.y, kinds_of(panel))
    weights = alignment(panel, by_date=by_date)
    return np.maximum(season @ weights.T * growth(season, panel), 0.0)


def growth(season: Float64, panel: Panel) -> Float64:
    """float64[n, H]: of the last periods over the same ones a year before, to a power that falls along the horizon."""
    origin, year = panel.periods, panel.year
    width = min(_GROWTH_PERIODS[panel.freq], origin - year)
    now = season[:, origin - width : origin].sum(axis=1)
    then = season[:, origin - width - year : origin - year].sum(axis=1)
    there = (now > 0) & (then > 0)
    ratio = np.where(there, now, 1.0) / np.where(there, then, 1.0)
    kept = np.linspace(*_GROWTH_KEPT, panel.horizon)
    return np.clip(ratio, 1 / _GROWTH_MAX, _GROWTH_MAX)[:, None] ** kept


def alignment(panel: Panel, *, by_date: bool) -> Float64:
    """float64[H, T]: of which observed periods a period ahead is made, rows adding up to 1.

    A period more than a year ahead looks at the last year that was observed."""
    origin, year, horizon = panel.periods, panel.year, panel.horizon
    weights = np.zeros((horizon, origin))
    for ahead in range(horizon):
        back = year * (1 + ahead // year)
        place = origin + ahead - back
        if panel.freq != "W" or not by_date:
            weights[ahead, place] = 1.0
            continue
        for day in _days(panel.dates, origin + ahead):
            source = place
            if _BY_DATE[0] <= _month_day(day) <= _BY_DATE[1]:
                found = _place_of(panel.dates, _years_before(day, back // year))
                source = found if 0 <= found < origin else place
            weights[ahead, source] += 1 / 7
    return weights


def _days(dates: Dates, place: int) -> Dates:
    """The days of a week: a week is named by its last day."""
    return dates[place] - np.arange(7).astype("timedelta64[D]")


def _place_of(dates: Dates, day: np.datetime64) -> int:
    return int(np.searchsorted(dates, day))


def _month_day(day: np.datetime64) -> tuple[int, int]:
    month = day.astype("datetime64[M]")
    return int(month.astype(int)) % 12 + 1, int((day - month).astype(int)) + 1


def _years_before(day: np.datetime64, years: int) -> np.datetime64:
    month = day.astype("datetime64[M]")
    return (month - 12 * years).astype("datetime64[D]") + (day - month)


def kinds_of(panel: Panel) -> Int64:
    """int64[n]: the kinds of series whose seasons are most alike; 0 for all if nothing is said of kinds.

    Alike: how much of the seasons, each relative to its own mean, the mean season of their kind explains."""
    shapes = _shapes(panel.y)
    total = float(np.square(shapes - shapes.mean(axis=0)).sum())
    best, most = np.zeros(panel.count, np.int64), 0.0
    for kinds in panel.static.values():
        number = int(kinds.max()) + 1
        sizes = np.bincount(kinds, minlength=number)
        if not _KINDS_MIN <= np.count_nonzero(sizes) <= panel.count // _KINDS_MIN:
            continue
        sums = np.zeros((number, shapes.shape[1]))
        np.add.at(sums, kinds, shapes)
        left = float(np.square(shapes - (sums / np.maximum(sizes, 1)[:, None])[kinds]).sum())
        explained = (1 - left / max(total, 1e-12)) - np.count_nonzero(sizes) / panel.count
        if explained > most:
            best, most = kinds, explained
    return best


def _shapes(y: Float64) -> Float64:
    """Relative to their means, at most threefold, so that no odd series speaks for all; 1 where nothing was seen."""
    mean = _means(y)
    return np.clip(np.where(np.isfinite(y), y / mean, 1.0), -1.0, 3.0)


def _means(y: Float64) -> Float64:
    there = np.isfinite(y)
    mean = np.where(there, y, 0.0).sum(axis=1, keepdims=True) / np.maximum(there.sum(axis=1, keepdims=True), 1)
    return np.where(np.abs(mean) > 1e-9, mean, 1.0)


def pooled(y: Float64, kinds: Int64, rank: int = _RANK) -> Float64:
    """float64[n, T]: each kind's matrix by its largest singular values; what was not observed is filled with the kind's
    mean season first."""
    mean = _means(y)
    shape = y / mean
    out = np.empty_like(y)
    for kind in np.unique(kinds):
        mine = kinds == kind
        part = shape[mine]
        there = np.isfinite(part)
        usual = np.where(there, part, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        usual = np.where(there.any(axis=0), usual, 1.0)
        matrix = np.where(there, part, usual) * mean[mine]
        if min(matrix.shape) > rank:
            left, values, right = np.linalg.svd(matrix, full_matrices=False)
            matrix = (left[:, :rank] * values[:rank]) @ right[:rank]
        out[mine] = matrix
    return out


def same_last_year(panel: Panel) -> Float64:
    """float64[n, H]: what each series did in the same period of last year; without one, its latest observation."""
    origin, year = panel.periods, panel.year
    made = np.full((panel.count, panel.horizon), np.nan)
    for ahead in range(panel.horizon):
        place = origin + ahead - year * (1 + ahead // year)
        if place >= 0:
            made[:, ahead] = panel.y[:, place]
    seen = np.isfinite(panel.y)
    latest = panel.y[np.arange(panel.count), panel.periods - 1 - seen[:, ::-1].argmax(axis=1)]
    return np.maximum(np.nan_to_num(np.where(np.isfinite(made), made, latest[:, None])), 0.0)
