"""Two studies in the twin, their figures and their picture.

1. Lost sales of planning by forecasts against (s, S) by the average of 28 days that uses as much capital.
2. What is delivered the next day with transfers before the demand arrives, and without.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from functools import cached_property
from multiprocessing import get_context
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
    Planning,
    Weekly,
)
from onhand.bench.planning_twin_foresight import HORIZON, Clairvoyant, Forecasts
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
FLOOR_LOST, AIM_LOST = 0.25, 0.40
FLOOR_NEXT, AIM_NEXT = 0.08, 0.15

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of one seed.

    curve    for each of Setting.carrying (by forecast, by average with as much capital), suppliers deliver to all nodes
    rates    the first of them by somebody who knows the rates of demand
    flow     the first of them with transfers before the demand
    centres  suppliers deliver to two centres: nothing is moved (still), filled up by averages (filled), and before the
             demand by forecasts (flow); the same purchases in all
    """

    seed: int
    curve: tuple[tuple[Figures, Figures], ...]
    rates: Figures
    flow: Figures
    centres: Mapping[str, Figures]

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
    level = {"gap": LEVEL.gap, "whole": LEVEL.whole}
    return Found(
        seed=seed,
        curve=tuple((of, twin.at_capital(of.capital, **level)) for of in ours),
        rates=twin.by_forecast(setting.carrying[0], knows="rates"),
        flow=twin.by_forecast(setting.carrying[0], mover="flow"),
        centres={
            name: twin.by_forecast(setting.carrying[0], mover=mover, through_centres=True)
            for name, mover in _MOVERS.items()
        },
    )  # fmt: skip


def experiment(setting: Setting, seeds: Sequence[int], *, say: Callable[[str], None], processes: int = 2) -> "Report":
    """Both studies of all seeds."""
    found: list[Found] = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(one, setting, seed) for seed in seeds]
        for job in jobs:
            found.append(job.result())
            last = found[-1]
            say(f"seed {last.seed}: lost {last.ours.lost_share:.2%} against {last.average.lost_share:.2%}")
    return Report(setting=setting, found=tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    setting: Setting
    found: tuple[Found, ...]

    @property
    def less_lost(self) -> float:
        """Units lost less than by averages, of all seeds, as a share."""
        return 1.0 - sum(f.ours.lost for f in self.found) / max(sum(f.average.lost for f in self.found), 1)

    @property
    def less_lost_minor(self) -> float:
        return 1.0 - sum(f.ours.lost_minor for f in self.found) / max(
            sum(f.average.lost_minor for f in self.found), 1.0
        )

    @property
    def more_next_day(self) -> float:
        """Share of units wanted that come the next day: with transfers before the demand, less without any."""
        return self.mean_of(lambda f: f.centres["flow"].next_day - f.centres["still"].next_day)

    @property
    def more_than_filled(self) -> float:
        return self.mean_of(lambda f: f.centres["flow"].next_day - f.centres["filled"].next_day)

    def mean_of(self, of: Callable[[Found], float]) -> float:
        return float(np.mean([of(found) for found in self.found]))

    @property
    def ok(self) -> bool:
        return self.less_lost >= FLOOR_LOST and self.more_next_day >= FLOOR_NEXT

    def document(self) -> dict[str, object]:
        return {
            "less_lost": self.less_lost,
            "less_lost_money": self.less_lost_minor,
            "more_next_day": self.more_next_day,
            "more_next_day_than_filled": self.more_than_filled,
            "more_next_day_where_all_are_supplied": self.mean_of(lambda f: f.flow.next_day - f.ours.next_day),
            "net_minor": self.mean_of(lambda f: net_minor(f.centres["flow"], f.centres["still"])),
            "ok": self.ok,
            "setting": asdict(self.setting),
            "seeds": [asdict(found) for found in self.found],
        }


def net_minor(moved: Figures, still: Figures) -> float:
    """Money that transfers gain: parcels that are nearer, less what the transfers cost and what is lost meanwhile. What
    an earlier day is worth to shoppers is not in it."""
    return (still.last_mile_minor - moved.last_mile_minor) - moved.moving_minor - (moved.lost_minor - still.lost_minor)


def table(report: Report) -> str:
    """Both studies in words and figures."""
    rows = [
        "lost sales, 90 days each          by forecast                by average (s, S)          rates known",
        "seed        lost units  money k  capital k    lost units  money k  capital k    lost units",
    ]
    rows[0] = rows[0].replace("90 days", f"{report.setting.days} days")
    for f in report.found:
        a, b = f.ours, f.average
        rows.append(
            f"{f.seed:<10}{_lost(a)}{a.lost_minor / 1e5:9.1f}{a.capital / 1e5:11.1f}"
            f"  {_lost(b)}{b.lost_minor / 1e5:9.1f}{b.capital / 1e5:11.1f}  {_lost(f.rates)}"
        )
    rows += [
        f"less lost by {report.less_lost:.0%} of units, {report.less_lost_minor:.0%} of money;"
        f" floor {FLOOR_LOST:.0%}, aim {AIM_LOST:.0%}",
    ]
    for n, carrying in enumerate(report.setting.carrying[1:], 1):
        ours, average = (sum(f.curve[n][k].lost for f in report.found) for k in (0, 1))
        capital = report.mean_of(lambda f, n=n: f.curve[n][0].capital / f.ours.capital)
        rows.append(
            f"with {capital:.2f} times the capital (carrying {carrying:g}): {1 - ours / max(average, 1):.0%} less"
        )
    rows += [
        "",
        "next day                        next day   lost    days   held k  moved  transfers k  parcels k",
    ]
    for name, arm in _ARMS.items():
        of = [arm(f) for f in report.found]
        rows.append(
            f"{name:30}{_mean(of, 'next_day'):10.1%}{_mean(of, 'lost_share'):8.1%}{_mean(of, 'days'):8.2f}"
            f"{_mean(of, 'held') / 1e5:9.1f}{_mean(of, 'moved'):7.2f}{_mean(of, 'moving_minor') / 1e5:13.2f}"
            f"{_mean(of, 'last_mile_minor') / 1e5:11.1f}"
        )
    net = report.mean_of(lambda f: net_minor(f.centres["flow"], f.centres["still"]))
    rows.append(
        f"next day {100 * report.more_next_day:+.1f} points against nothing moved ({100 * report.more_than_filled:+.1f}"
        f" against filled up by averages), net {net / 1e5:.1f} k a seed;"
        f" floor {100 * FLOOR_NEXT:+.0f}, aim {100 * AIM_NEXT:+.0f}"
    )
    return "\n".join(rows) + "\n"


def _lost(of: Figures) -> str:
    return f"{of.lost:6d} {of.lost_share:5.1%}"


def _mean(of: Sequence[Figures], name: str) -> float:
    return float(np.mean([getattr(f, name) for f in of]))


_MOVERS: Final[Mapping[str, Literal["flow", "filled"] | None]] = {"still": None, "filled": "filled", "flow": "flow"}
_ARMS: Final[Mapping[str, Callable[[Found], Figures]]] = {
    "two centres, nothing moved": lambda f: f.centres["still"],
    "  filled up by averages": lambda f: f.centres["filled"],
    "  moved by forecasts": lambda f: f.centres["flow"],
    "all supplied, nothing moved": lambda f: f.ours,
    "  so, and moved by forecasts": lambda f: f.flow,
}
_WIDE, _HIGH, _TOP = 340, 250, 60


def picture(report: Report) -> str:
    """As SVG: units lost by seed, by averages and by forecasts; and what comes the next day, by how stock is moved."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 380" font-family="sans-serif" font-size="12">',
        '<rect width="900" height="380" fill="#ffffff"/>',
        *_lost_by_seed(report, 60),
        *_next_day(report, 480),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _frame(left: int, title: str, most: float) -> list[str]:
    parts = [f'<text x="{left}" y="{_TOP - 34}" font-weight="bold">{title}</text>']
    for n in range(5):
        y = _TOP + _HIGH * (1 - n / 4)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + _WIDE}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * most * n / 4:.3g}</text>')
    return parts


def _bar(x: float, wide: float, share: float, most: float, colour: str) -> str:
    high = _HIGH * min(share / most, 1.0)
    return (
        f'<rect x="{x:.1f}" y="{_TOP + _HIGH - high:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{colour}">'
        f"<title>{share:.1%}</title></rect>"
    )


def _lost_by_seed(report: Report, left: int) -> list[str]:
    most = math.ceil(100 * max(f.average.lost_share for f in report.found) / 4) * 4 / 100
    parts = _frame(left, "lost sales with the same capital, % of units wanted", most)
    step = _WIDE / len(report.found)
    for n, f in enumerate(report.found):
        x = left + step * (n + 0.14)
        parts.append(_bar(x, step * 0.34, f.average.lost_share, most, "#9e9e9e"))
        parts.append(_bar(x + step * 0.36, step * 0.34, f.ours.lost_share, most, "#1565c0"))
        middle = x + step * 0.35
        parts.append(f'<text x="{middle:.1f}" y="{_TOP + _HIGH + 18}" text-anchor="middle">seed {f.seed}</text>')
    parts.append(f'<text x="{left}" y="{_TOP - 14}" fill="#757575">(s, S) by 28-day average</text>')
    parts.append(f'<text x="{left + 170}" y="{_TOP - 14}" fill="#1565c0">by forecasts</text>')
    return parts


def _next_day(report: Report, left: int) -> list[str]:
    parts = _frame(left, "delivered the next day, % of units wanted", 1.0)
    names = (("nothing", "moved"), ("filled up by", "averages"), ("moved by", "forecasts"), ("nothing", "moved"),
             ("moved by", "forecasts"))  # fmt: skip
    colours = ("#9e9e9e", "#78909c", "#1565c0", "#9e9e9e", "#1565c0")
    step = _WIDE / len(names)
    for n, (name, colour, arm) in enumerate(zip(names, colours, _ARMS.values(), strict=True)):
        share = report.mean_of(lambda f, arm=arm: arm(f).next_day)
        x = left + step * (n + 0.12)
        parts.append(_bar(x, step * 0.76, share, 1.0, colour))
        middle, top = x + step * 0.38, _TOP + _HIGH * (1 - share) - 5
        parts.append(f'<text x="{middle:.1f}" y="{top:.1f}" text-anchor="middle">{share:.0%}</text>')
        for line, word in enumerate(name):
            parts.append(
                f'<text x="{middle:.1f}" y="{_TOP + _HIGH + 16 + 14 * line}" text-anchor="middle">{word}</text>'
            )
    at = _TOP + _HIGH + 52
    parts.append(
        f'<text x="{left + 1.5 * step:.1f}" y="{at}" text-anchor="middle">suppliers deliver to two centres</text>'
    )
    parts.append(f'<text x="{left + 4 * step:.1f}" y="{at}" text-anchor="middle">... to all nodes</text>')
    return parts


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
