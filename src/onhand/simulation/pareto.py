"""What time and carbon cost: one history replayed at many prices of a day and of a kilogram of CO2.

Each pair of prices is a point of money paid, days and grams. A point is dominated when another one is no worse in all
three and better in one: nobody who values only these would choose it. The others are the front, the choices there are
before an objective is switched. All points are means over the same orders: those that every point serves in full.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from onhand.simulation.compare import values
from onhand.simulation.history import History
from onhand.simulation.replay import Settings, replay
from onhand.simulation.rules import Rules
from onhand.sourcing.policy import STANDARD

DAY_MINOR: Final = (1.0, 50.0, 100.0, 200.0, STANDARD.objectives["speed"].day_minor)
CO2_MINOR_PER_KG: Final = (0.0, 200.0, 400.0, STANDARD.objectives["sustainability"].co2_minor_per_kg)
# As far as adding up in another order goes.
_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a day and a kilogram of CO2 are worth, minor units; name: of a preset, or None."""

    day_minor: float
    co2_minor_per_kg: float
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What came of prices: means over orders. dominated_by: index of a point that is no worse in anything, or None."""

    prices: Prices
    paid_minor: float
    days: float
    co2_g: float
    dominated_by: int | None = None

    @property
    def is_on_front(self) -> bool:
        return self.dominated_by is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pareto:
    """All points, in the order of the prices they come from. orders: served in full by every point."""

    points: tuple[Point, ...]
    orders: int

    @property
    def front(self) -> tuple[Point, ...]:
        """Points that no other one dominates, cheapest first."""
        return tuple(sorted((p for p in self.points if p.is_on_front), key=lambda p: (p.paid_minor, p.days, p.co2_g)))


def grid() -> list[Prices]:
    """From margin towards speed and sustainability."""
    return [Prices(day_minor=day, co2_minor_per_kg=co2) for day in DAY_MINOR for co2 in CO2_MINOR_PER_KG]


def sweep(
    history: History,
    rules_at: Callable[[Prices], Rules],
    settings: Settings,
    prices: Sequence[Prices],
    *,
    progress: Callable[[int], None] | None = None,
) -> Pareto:
    """Replay `history` at each of `prices`. `progress` is told how many of them are done."""
    complete = np.ones(len(history), np.bool_)
    columns: list[np.ndarray[tuple[int, int], np.dtype[np.float64]]] = []
    for n, each in enumerate(prices, 1):
        outcome = replay(history, rules_at(each), settings)
        found = values(history, outcome)
        complete &= outcome.served == outcome.asked
        columns.append(np.column_stack([found["paid_minor"], found["days"], found["co2_g"]]))
        if progress is not None:
            progress(n)
    count = int(complete.sum())
    means = [c[complete].mean(axis=0).tolist() if count else [float("nan")] * 3 for c in columns]
    points = [
        Point(prices=each, paid_minor=paid, days=days, co2_g=grams)
        for each, (paid, days, grams) in zip(prices, means, strict=True)
    ]
    return Pareto(points=tuple(judged(points)), orders=count)


def judged(points: Sequence[Point]) -> list[Point]:
    """The same, each with the first point that dominates it. Of equal points the first one stays on the front."""
    table = np.array([(p.paid_minor, p.days, p.co2_g) for p in points]).reshape(-1, 3)
    room = _SAME * np.abs(table).max(axis=0, initial=0)
    answer: list[Point] = []
    for n, point in enumerate(points):
        no_worse = (table <= table[n] + room).all(axis=1)
        better = (table < table[n] - room).any(axis=1)
        # The same in everything, and before it.
        better[:n] |= no_worse[:n]
        better[n] = False
        over = np.flatnonzero(no_worse & better)
        answer.append(replace(point, dominated_by=int(over[0]) if len(over) else None))
    return answer
