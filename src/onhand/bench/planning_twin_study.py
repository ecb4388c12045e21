"""Studies in the twin: what a planner comes to on one seed.

1. Lost sales of planning by forecasts against (s, S) by the average of 28 days that uses as much capital.
2. What is delivered the next day with transfers before the demand arrives, and without.
3. Whether the day on which the stock for a promotion runs out is foretold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from onhand.bench.planning_twin import (
    Buys,
    ByAverage,
    FilledUp,
    Flowing,
    Foreseeing,
    Foresight,
    Level,
    Moves,
    Outlook,
    Planning,
    Weekly,
)
from onhand.bench.planning_twin_foresight import HORIZON, Clairvoyant, Forecasts
from onhand.demand.paths import sample_paths
from onhand.twin.flowing import Run, live
from onhand.twin.market import Market, Size, make_market
from onhand.twin.supply import Places, Suppliers, make_places, make_suppliers

Int64 = npt.NDArray[np.int64]

# Two years are known, six weeks of planning pass until stock is the planner's own, then days count.
HISTORY_DAYS, SETTLE_DAYS = 730, 42
FIRST_YEAR = date(2021, 6, 7)
# (s, S) of which the best was looked for on markets that are not reported.
LEVEL = Level(z=0.0, gap=7.0, whole=False)
COVER_DAYS = 5.0

_MOVERS: Final[Mapping[str, Literal["flow", "filled"] | None]] = {"still": None, "filled": "filled", "flow": "flow"}
# Promotions are assessed so many days before they begin; draws of demand for so many days.
_ASSESSED_BEFORE: Final = 7
_LOOKED_AHEAD: Final = 28
_PATHS: Final = 400
_KEPT: Final = 0.7

Knows = Literal["forecast", "rates", "orders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How large the twin is, and what there is in it.

    carrying    what keeping stock costs a year, as a multiple of its value: decides how much capital is used. With that
                of the first, which is reported, averages lose about as much as shops do (8.3 % of what should lie on
                shelves does not: Corsten and Gruen 2003)
    lead_share  of suppliers' lead times, room_share: of what lanes take
    """

    items: int = 40
    history: int = HISTORY_DAYS
    settle: int = SETTLE_DAYS
    days: int = 90
    promotions: bool = True
    weather: bool = True
    seasons: bool = True
    lead_share: float = 1.0
    room_share: float = 1.0
    trees: bool = True
    carrying: tuple[float, ...] = (8.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of the days that count. Shares of units wanted; money in minor units; capital and held: mean of the nights, at
    cost, with and without what is on order."""

    wanted: int
    lost: int
    lost_share: float
    lost_minor: float
    next_day: float
    days: float
    capital: float
    held: float
    moved: float
    moving_minor: float
    last_mile_minor: float

    @classmethod
    def of(cls, run: Run) -> "Figures":
        wanted, lost = sum(run.wanted), sum(run.lost)
        return cls(
            wanted=wanted,
            lost=lost,
            lost_share=lost / max(wanted, 1),
            lost_minor=sum(run.lost_minor),
            next_day=sum(run.next_day) / max(wanted, 1),
            days=sum(run.days_sum) / max(wanted - lost, 1),
            capital=float(np.mean(run.capital)),
            held=float(np.mean(run.held)),
            moved=sum(run.moved) / max(wanted, 1),
            moving_minor=sum(run.moving),
            last_mile_minor=sum(run.last_mile),
        )


@dataclass
class Twin:
    """One seed: a market, its suppliers, and what can be known of it."""

    seed: int
    setting: Setting
    places: dict[bool, Places] = field(init=False)

    def __post_init__(self) -> None:
        room = self.setting.room_share
        self.places = {through: make_places(through_centres=through, room_share=room) for through in (False, True)}

    @cached_property
    def market(self) -> Market:
        of = self.setting
        # Seeds begin on all days of the year.
        first = FIRST_YEAR + timedelta(days=int(np.random.default_rng([self.seed, 47]).integers(0, 365)))
        places = self.places[False]
        size = Size(
            items=of.items, days=self.until + HORIZON, first=first, promotions=of.promotions, weather=of.weather,
            seasons=of.seasons,
        )  # fmt: skip
        return make_market(self.seed, places.latitudes, places.people, size)

    @cached_property
    def suppliers(self) -> Suppliers:
        nodes = len(self.places[False].codes)
        return make_suppliers(
            self.seed, self.setting.items, nodes, self.until + HORIZON, lead_share=self.setting.lead_share
        )

    @property
    def until(self) -> int:
        return self.setting.history + self.setting.settle + self.setting.days

    @cached_property
    def forecasts(self) -> Forecasts:
        return Forecasts(self.market, self.setting.history, trees=self.setting.trees, seed=self.seed)

    def foresight(self, knows: Knows = "forecast") -> Foresight:
        return Weekly(self.forecasts if knows == "forecast" else Clairvoyant(self.market, knows))

    def live(self, planning: Planning, *, through_centres: bool = False) -> Figures:
        """What comes of it. In the first morning there is what the mean of four weeks asks for until orders arrive."""
        places, lead = self.places[through_centres], self.suppliers.past.mean(axis=1)[self.suppliers.supplier]
        first = self.setting.history
        mean = self.market.demand[:, :, first - 28 : first].mean(axis=2)
        opening = places.at_entries(np.ceil(mean * (lead + 10)[:, None]).astype(np.int64))
        return Figures.of(
            live(
                self.market, places, self.suppliers, planning, opening, first=first, until=self.until,
                counted_from=first + self.setting.settle,
            )
        )  # fmt: skip

    def by_average(self, level: Level, *, through_centres: bool = False) -> Figures:
        places = self.places[through_centres]
        return self.live(Planning(ByAverage(places, self.suppliers, level)), through_centres=through_centres)

    def by_forecast(
        self, carrying_year: float, *, knows: Knows = "forecast", mover: Literal["flow", "filled"] | None = None,
        through_centres: bool = False,
    ) -> Figures:  # fmt: skip
        places, foresight = self.places[through_centres], self.foresight(knows)
        of = (self.market, places, self.suppliers, foresight)
        buyer = Foreseeing(*of, Buys(carrying_year=carrying_year), self.seed)
        if mover is None:
            return self.live(Planning(buyer), through_centres=through_centres)
        moves = Flowing(*of, Moves(), self.seed) if mover == "flow" else FilledUp(places, COVER_DAYS)
        return self.live(Planning(buyer, moves), through_centres=through_centres)

    def at_capital(self, capital: float, *, gap: float, whole: bool, through_centres: bool = False) -> Figures:
        """(s, S) with the `z` at which it uses as much capital, or the least step more."""
        low, high = -3.0, 6.0
        best = self.by_average(Level(z=high, gap=gap, whole=whole), through_centres=through_centres)
        for _ in range(9):
            middle = (low + high) / 2
            found = self.by_average(Level(z=middle, gap=gap, whole=whole), through_centres=through_centres)
            if found.capital < capital:
                low = middle
            else:
                high, best = middle, found
        return best


def search_average(twins: Sequence[Twin], capitals: Sequence[float]) -> list[tuple[float, bool, float]]:
    """(gap, whole, share of units lost) of (s, S) at these capitals, best first."""
    found = [
        (gap, whole, float(np.mean([
            twin.at_capital(capital, gap=gap, whole=whole).lost_share
            for twin, capital in zip(twins, capitals, strict=True)
        ])))
        for whole in (False, True)
        for gap in (0.0, 3.0, 7.0, 10.0, 14.0)
    ]  # fmt: skip
    return sorted(found, key=lambda of: of[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of one seed.

    curve    for each of Setting.carrying (by forecast, by average with as much capital), suppliers deliver to all nodes
    rates    the first of them by somebody who knows the rates of demand
    flow     the first of them with transfers before the demand
    breaks   promotions whose stock ran out within a day of the day foretold, of whom that somebody told who knows the
             rates, and all that were looked at
    centres  suppliers deliver to two centres: nothing is moved (still), filled up by averages (filled), and before the
             demand by forecasts (flow); the same purchases in all
    """

    seed: int
    curve: tuple[tuple[Figures, Figures], ...]
    rates: Figures
    flow: Figures
    centres: Mapping[str, Figures]
    breaks: tuple[int, int, int]

    @property
    def ours(self) -> Figures:
        return self.curve[0][0]

    @property
    def average(self) -> Figures:
        return self.curve[0][1]


def one(setting: Setting, seed: int) -> Found:
    """Both studies of a seed."""
    twin = Twin(seed, setting)
    ours = [twin.by_forecast(carrying) for carrying in setting.carrying]
    return Found(
        seed=seed,
        curve=tuple((of, twin.at_capital(of.capital, gap=LEVEL.gap, whole=LEVEL.whole)) for of in ours),
        rates=twin.by_forecast(setting.carrying[0], knows="rates"),
        flow=twin.by_forecast(setting.carrying[0], mover="flow"),
        centres={
            name: twin.by_forecast(setting.carrying[0], mover=mover, through_centres=True)
            for name, mover in _MOVERS.items()
        },
        breaks=break_days(twin),
    )  # fmt: skip


def break_days(twin: Twin) -> tuple[int, int, int]:
    """(hits, hits of somebody who knows the rates, all) of promotions in the days that count.

    A week before each the day is foretold on which its stock will have run out, with no supply; drawn is stock that is
    thought to last until some day of the promotion or the three after it. A hit is within a day of what comes.
    """
    market, rng = twin.market, np.random.default_rng([twin.seed, 53])
    begins = twin.setting.history + twin.setting.settle
    knowing = Clairvoyant(market, "rates")
    foretold: dict[int, tuple[Outlook, Outlook]] = {}
    hits, looked = [0, 0], 0
    is_on: npt.NDArray[np.bool_] = np.any(market.discount > 0, axis=1)
    for item, day in np.argwhere(is_on[:, 1:] & ~is_on[:, :-1]).tolist():
        start, today = day + 1, day + 1 - _ASSESSED_BEFORE
        if not begins <= today < twin.until - HORIZON:
            continue
        if today not in foretold:
            demand = market.demand[:, :, :today]
            foretold[today] = twin.forecasts.outlook(today, demand.astype(np.float64), demand), knowing.on(today)
        ours, known = (_paths(of, item, today) for of in foretold[today])
        ends = start + int((~is_on[item, start:]).argmax())
        stock = ours[:, rng.integers(_ASSESSED_BEFORE, min(ends + 3 - today, _LOOKED_AHEAD - 4))].mean()
        came = (market.demand[item, :, today : today + _LOOKED_AHEAD].sum(axis=0).cumsum() <= stock).sum()
        looked += 1
        for who, paths in enumerate((ours, known)):
            runs_out = np.sort((paths <= stock).sum(axis=1))[_PATHS // 2]
            hits[who] += abs(int(runs_out) - int(came)) <= 1
    return hits[0], hits[1], looked


def _paths(outlook: Outlook, item: int, today: int) -> npt.NDArray[np.float64]:
    """float64[path, day] units of an item that are asked for until then."""
    whole = outlook.whole
    quantiles = whole.quantiles[item : item + 1, :_LOOKED_AHEAD]
    return sample_paths(whole.levels, quantiles, paths=_PATHS, correlation=_KEPT, seed=today)[:, 0].cumsum(axis=1)
