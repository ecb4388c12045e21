"""What a model of all series at once looks at: all of it known at the origin.

Demand is told relative to a level of its series, so that a series that sells 2 a day teaches one that sells 200, and
trees, which cannot go beyond what they have seen, follow a series that grows. One model serves all periods ahead;
how far ahead a period is, is a feature (direct forecasts: no error is fed back).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onhand.demand.panel import Float32, Float64, Int64, Panel

# Below this level a series is at rest: what it sells is told in units, not in multiples of next to nothing.
_LEVEL_MIN: Final = 0.02
_WINDOWS: Final = {"D": (7, 14, 28, 56, 112, 182, 364), "W": (4, 8, 13, 26, 52), "M": (2, 3, 6, 12)}
_PHASES: Final = (2, 4, 8, 13)
_LEVEL_OF: Final = {"D": (28, 91), "W": (8, 26), "M": (3, 12)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """float32[r, F] features of r periods ahead, and what they are of."""

    features: Float32
    series: Int64
    ahead: Int64
    level: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Of the columns, in order, and those of them that are kinds."""

    columns: tuple[str, ...]
    kinds: tuple[str, ...]


class Window:
    """Sums over the last periods of every series, at any origin."""

    def __init__(self, y: Float64) -> None:
        there = np.isfinite(y)
        self._sum = _running(np.where(there, y, 0.0))
        self._squares = _running(np.where(there, y * y, 0.0))
        self._count = _running(there.astype(float))
        self._sold = _running(np.where(there, y, 0.0) > 0)
        sold: NDArray[np.bool_] = np.nan_to_num(y) > 0
        places: Int64 = np.where(sold, np.arange(y.shape[1], dtype=np.int64), np.int64(-1))
        self._last_sale: Int64 = np.maximum.accumulate(places, axis=1)

    def mean(self, end: int, width: int) -> Float64:
        """NaN: no observation."""
        begin = max(0, end - width)
        count = self._count[:, end] - self._count[:, begin]
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self._sum[:, end] - self._sum[:, begin]) / count

    def deviation(self, end: int, width: int) -> Float64:
        begin = max(0, end - width)
        count = self._count[:, end] - self._count[:, begin]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (self._sum[:, end] - self._sum[:, begin]) / count
            return np.sqrt(np.maximum((self._squares[:, end] - self._squares[:, begin]) / count - mean**2, 0.0))

    def sold(self, end: int, width: int) -> Float64:
        """The share of periods with a sale."""
        begin = max(0, end - width)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self._sold[:, end] - self._sold[:, begin]) / (self._count[:, end] - self._count[:, begin])

    def since(self, end: int) -> Float64:
        """Periods since the last sale, at most 365."""
        if end == 0:
            return np.full(len(self._sum), 365.0)
        last = self._last_sale[:, end - 1]
        return np.where(last < 0, 365.0, np.minimum(end - 1 - last, 365.0))

    def age(self, end: int) -> Float64:
        """How many periods were observed."""
        return self._count[:, end]


def _running(values: NDArray[np.float64] | NDArray[np.bool_]) -> Float64:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1, dtype=float)], axis=1)


class Features:
    """Features of a panel, at any origin within it.

    groups  names of `static` whose sums are looked at; None: those that the panel has sums of
    """

    def __init__(self, panel: Panel, groups: Iterable[str] | None = None) -> None:
        self._panel = panel
        self._window = Window(panel.y)
        day = panel.dates.astype("datetime64[D]")
        month = day.astype("datetime64[M]")
        self._of_month = (day - month).astype(float) + 1
        self._of_year = (day - day.astype("datetime64[Y]")).astype(float)
        self._weekday = (day.astype(np.int64) + 3) % 7
        # Series of one kind move together: what their sum does, one of them will do.
        looked_at = panel.with_sums().sums if groups is None else groups
        self._groups = {name: (panel.static[name], Window(panel.sums_of(name))) for name in looked_at or ()}
        self.names = self._names()

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(self._groups)

    def level(self, origin: int) -> Float64:
        """float64[n]: what a series sells in a period, for others to be told relative to."""
        short, long = _LEVEL_OF[self._panel.freq]
        recent, usual = self._window.mean(origin, short), self._window.mean(origin, long)
        level = 0.7 * np.nan_to_num(recent) + 0.3 * np.nan_to_num(usual)
        return np.maximum(np.where(np.isfinite(recent), level, np.nan_to_num(usual)), _LEVEL_MIN)

    def _names(self) -> Names:
        panel = self._panel
        columns = ["ahead", "log_level", "of_month", "of_year", "since_sale", "age", "cycle_phase"]
        for width in _WINDOWS[panel.freq]:
            columns += [f"mean_{width}"]
        columns += ["deviation", "deviation_long", "sold", "sold_long"]
        if panel.cycle > 1:
            columns += [f"phase_mean_{cycles}" for cycles in _PHASES]
        columns += ["last_year", "last_year_around", "growth"]
        for name in self._groups:
            columns += [f"{name}_momentum", f"{name}_growth"]
        kinds = [*panel.static]
        for name in panel.known:
            if name in panel.categories:
                kinds.append(name)
            else:
                columns += [f"{name}_ahead", f"{name}_against_usual"]
        for name in panel.past:
            columns += [f"{name}_last", f"{name}_against_usual"]
        return Names(columns=(*columns, *kinds), kinds=tuple(kinds))

    def at(self, origin: int, series: Int64, ahead: Int64) -> Rows:
        """Features as they were known when `origin` periods had been observed, of `series` int64[r], `ahead` int64[r]
        (0: the first period after)."""
        panel, window = self._panel, self._window
        level = self.level(origin)
        own = level[series]
        target = origin + ahead
        columns: list[NDArray[Any]] = [
            ahead.astype(float), np.log(own), self._of_month[target], self._of_year[target],
            window.since(origin)[series], np.minimum(window.age(origin)[series], 2 * panel.year),
            (self._weekday[target] if panel.freq == "D" else np.zeros(len(target))),
        ]  # fmt: skip
        columns += [window.mean(origin, width)[series] / own for width in _WINDOWS[panel.freq]]
        short, long = _LEVEL_OF[panel.freq]
        columns += [
            window.deviation(origin, short)[series] / own, window.deviation(origin, long)[series] / own,
            window.sold(origin, short)[series], window.sold(origin, long)[series],
        ]  # fmt: skip
        if panel.cycle > 1:
            columns += [self._phase_mean(origin, series, ahead, cycles) / own for cycles in _PHASES]
        columns += self._last_year(origin, series, ahead, own)
        for kinds, of in self._groups.values():
            mine = kinds[series]
            with np.errstate(invalid="ignore", divide="ignore"):
                momentum = of.mean(origin, short // 4 or 1) / of.mean(origin, long)
                growth = of.mean(origin, long) / of.mean(max(0, origin - panel.year), long)
            columns += [momentum[mine], growth[mine]]
        kinds_of: list[NDArray[Any]] = [kinds[series].astype(float) for kinds in panel.static.values()]
        for name, values in panel.known.items():
            value = _of(values, series, target)
            if name in panel.categories:
                kinds_of.append(value)
            else:
                usual = _usual(values, origin, long)[series if len(values) > 1 else np.zeros_like(series)]
                columns += [value, _relative(value, usual)]
        for values in panel.past.values():
            last = values[:, origin - 1] if origin else np.full(len(values), np.nan)
            mine = series if len(values) > 1 else np.zeros_like(series)
            columns += [last[mine], _relative(last[mine], _usual(values, origin, long)[mine])]
        return Rows(
            features=np.stack([*columns, *kinds_of], axis=1).astype(np.float32), series=series, ahead=ahead, level=own
        )

    def _phase_mean(self, origin: int, series: Int64, ahead: Int64, cycles: int) -> Float64:
        cycle = self._panel.cycle
        latest = origin - cycle + ahead % cycle
        total, count = np.zeros(len(series)), np.zeros(len(series))
        for back in range(cycles):
            place = latest - back * cycle
            value = np.where(place >= 0, self._panel.y[series, np.maximum(place, 0)], np.nan)
            there = np.isfinite(value)
            total += np.where(there, value, 0.0)
            count += there
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / count

    def _last_year(self, origin: int, series: Int64, ahead: Int64, own: Float64) -> list[Float64]:
        """The same period a year ago and those around it, and growth since."""
        panel = self._panel
        place = origin + ahead - panel.year
        near = [place + step for step in (-panel.cycle, 0, panel.cycle)]
        values = np.stack([_at(panel.y, series, p, origin) for p in near])
        before = self._window.mean(max(0, origin - panel.year), _LEVEL_OF[panel.freq][1])[series]
        with np.errstate(all="ignore"):
            growth = self._window.mean(origin, _LEVEL_OF[panel.freq][1])[series] / before
            there = np.isfinite(values)
            around = np.where(there, values, 0.0).sum(axis=0) / there.sum(axis=0)
        return [values[1] / own, around / own, growth]


def _at(y: Float64, series: Int64, place: Int64, origin: int) -> Float64:
    there = (place >= 0) & (place < origin)
    return np.where(there, y[series, np.where(there, place, 0)], np.nan)


def _of(values: Float64, series: Int64, target: Int64) -> Float64:
    return values[0, target] if len(values) == 1 else values[series, target]


def _usual(values: Float64, origin: int, width: int) -> Float64:
    with np.errstate(all="ignore"):
        window = values[:, max(0, origin - width) : origin]
        there = np.isfinite(window)
        return np.where(there, window, 0.0).sum(axis=1) / there.sum(axis=1)


def _relative(value: Float64, usual: Float64) -> Float64:
    with np.errstate(all="ignore"):
        return np.where(np.abs(usual) > 1e-9, value / usual, np.nan)


def origins_of(panel: Panel, until: int, horizon: int, wanted: int) -> Sequence[int]:
    """Past origins whose whole horizon had been observed by `until`, the latest first, a cycle apart (or more, so that
    about `wanted` of them reach over two years)."""
    step = max(1, panel.cycle)
    latest = until - horizon
    earliest = max(2 * panel.cycle, min(latest, panel.year // 8))
    span = min(latest - earliest, 2 * panel.year)
    step *= max(1, round(span / step / max(wanted, 1)))
    return [latest - step * k for k in range(wanted) if latest - step * k >= earliest]
