"""What shoppers want, day by day: seasons, weather, prices, promotions, trends. Pure: one seed, one market.

Made up, but of known sizes, so that a policy which wins here has not won against windmills:

- **Season.** Of 72 departments of a big retailer (Walmart's published sales) the busiest four weeks of a year sell 1.4
  times the mean in the median, 1.1 to 2.4 times from the tenth to the ninetieth of a hundred; of the categories here
  1.5 times, 1.3 to 1.8.
  What needs warmth comes four days later for each degree to the north (Hopkins 1918).
- **Price.** Elasticities scatter around -2.62 (Bijmolt, van Heerde and Pieters 2005: 1,851 estimates, half of them
  between -1 and -3), a promotion by itself sells a third more, its days after a tenth less (van Heerde, Leeflang and
  Wittink 2000: 4 to 25 % of it are taken from later weeks), and other items of its category a little less.
- **Weather.** A day a standard deviation warmer than usual moves a category by nothing to 15 % (Roth Tran 2019 finds
  about 10 % for clothes and sporting goods).
- **What nobody foresees.** The popularity of an item, and that of an item in a region, drift from day to day; counts
  scatter more than Poisson's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

ELASTICITY: Final = 2.62
# Promotions of a single group of regions, or of all: chance that one of an item begins in a week.
_BEGINS_EVERYWHERE: Final = 0.05
_BEGINS_SOMEWHERE: Final = 0.07
_BLACK_FRIDAY: Final = 0.25
_DEPTHS: Final = (0.10, 0.15, 0.20, 0.25, 0.30)
_FLAG: Final = 0.3
_AFTER: Final = -0.1
_AFTER_DAYS: Final = 14
_CROSS: Final = 0.3
# Mondays to Sundays; people shop online on Sunday evenings and at the start of the week.
WEEKDAY: Final = (1.08, 1.04, 1.02, 1.00, 0.94, 0.86, 1.06)
_YEAR: Final = 365.25
_CHRISTMAS_DAY, _CHRISTMAS_WIDTH = 349.0, 12.0
# Counts are Poisson about a gamma of this shape: variance m + m²/5.
SCATTER: Final = 5.0
_LATITUDE: Final = 50.0
_DAYS_A_DEGREE: Final = 4.0
# A warm day is followed by a warm one, and by one in the region beside.
WEATHER_KEPT: Final = 0.8
_WEATHER_SHARED: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How a category sells, in logarithms of demand.

    peak, swing  day of the year at which most is wanted, at 50 degrees north, and by how much more than usual
    follows_sun  whether that day comes later in the north
    christmas    at the height of the weeks before Christmas
    warmth       for a day a standard deviation warmer than usual
    """

    peak: float
    swing: float
    christmas: float
    warmth: float
    follows_sun: bool = False


HABITS: Final[Mapping[str, Habit]] = {
    "kitchen": Habit(peak=330, swing=0.08, christmas=0.25, warmth=0.0),
    "living": Habit(peak=300, swing=0.10, christmas=0.15, warmth=-0.03),
    "textiles": Habit(peak=340, swing=0.20, christmas=0.12, warmth=-0.10, follows_sun=True),
    "lighting": Habit(peak=345, swing=0.20, christmas=0.20, warmth=-0.05),
    "garden": Habit(peak=150, swing=0.55, christmas=0.0, warmth=0.15, follows_sun=True),
    "toys": Habit(peak=350, swing=0.05, christmas=0.60, warmth=-0.03),
    "stationery": Habit(peak=245, swing=0.25, christmas=0.10, warmth=0.0),
    "bath": Habit(peak=200, swing=0.06, christmas=0.05, warmth=0.03),
}


def season(habit: Habit, latitude: float, day_of_year: float) -> float:
    """Demand of a category on a day over what is usual for it."""
    later = _DAYS_A_DEGREE * (latitude - _LATITUDE) if habit.follows_sun else 0.0
    # Cold comes earlier in the north.
    later = -later if habit.warmth < 0 else later
    wave = habit.swing * math.cos(2 * math.pi * (day_of_year - habit.peak - later) / _YEAR)
    before_christmas = math.exp(-0.5 * ((day_of_year - _CHRISTMAS_DAY) / _CHRISTMAS_WIDTH) ** 2)
    return math.exp(wave + habit.christmas * before_christmas)


def lift(discount: float, elasticity: float = ELASTICITY) -> float:
    """Demand at a price that is lower by a share, and told so, over demand at the usual one."""
    return math.exp(_FLAG) * (1.0 - discount) ** -elasticity if discount > 0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a market is, and what there is in it; see the module. days: from `first` on."""

    items: int = 40
    days: int = 930
    first: date = date(2022, 1, 3)
    promotions: bool = True
    weather: bool = True
    seasons: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One market of I items, R regions and T days.

    categories   of each item, names of `HABITS`
    price, cost  float64[I], minor units: usual price, and what a unit is bought for
    weight_kg    float64[I]
    discount     float64[I, R, T], share of the usual price; decided weeks ahead, so everybody may know it
    weather      float64[R, T], warmth beyond the usual in standard deviations; known when the day is over
    rate         float64[I, R, T], mean units wanted; nobody knows it
    demand       int64[I, R, T], units wanted
    """

    first: date
    categories: tuple[str, ...]
    price: Float64
    cost: Float64
    weight_kg: Float64
    discount: Float64
    weather: Float64
    rate: Float64
    demand: Int64

    @property
    def dates(self) -> npt.NDArray[np.datetime64]:
        """datetime64[T]"""
        begin = (self.first - date(1970, 1, 1)).days
        days: Int64 = np.arange(begin, begin + self.demand.shape[2], dtype=np.int64)
        return days.astype("datetime64[D]")


def make_market(seed: int, latitudes: Float64, people: Float64, size: Size | None = None) -> Market:
    """The market of a seed: equal seeds and sizes, equal markets.

    latitudes, people  float64[R], of each region: where its middle is, and how many live there (any unit)
    """
    of = size or Size()
    names = tuple(HABITS)
    categories = tuple(names[n % len(names)] for n in range(of.items))
    regions = len(latitudes)
    chance = _streams(seed)
    price = np.round(1_900 * chance["items"].lognormal(0, 0.55, of.items))
    base = 11.0 * chance["items"].lognormal(0, 0.8, of.items)
    local = people / people.sum() * chance["items"].lognormal(0, 0.35, (of.items, regions))
    elasticity = np.clip(chance["items"].normal(ELASTICITY, 0.7, of.items), 1.0, 4.5)
    growth = chance["items"].normal(0.03, 0.15, of.items) / _YEAR
    weather = _weather(chance["weather"], regions, of.days)
    discount = _discounts(chance["promotions"], of, regions)
    if not of.promotions:
        discount[:] = 0.0
    if not of.weather:
        weather[:] = 0.0
    days = np.arange(of.days)
    log = np.log(base[:, None, None] * local[:, :, None]) + growth[:, None, None] * (days - of.days / 2)
    log = log + np.log(np.array(WEEKDAY))[(of.first.weekday() + days) % 7]
    if of.seasons:
        log += _seasons(categories, latitudes, of)
    warmth = np.array([HABITS[name].warmth for name in categories])
    log += warmth[:, None, None] * weather
    log += _responses(discount, elasticity, categories)
    log += _drift(chance["drift"], (of.items, 1, of.days), kept=0.98, deviation=0.22)
    log += _drift(chance["drift"], (of.items, regions, of.days), kept=0.95, deviation=0.15)
    rate: Float64 = np.exp(log)
    scattered = rate * chance["demand"].gamma(SCATTER, 1 / SCATTER, rate.shape)
    demand: Int64 = chance["demand"].poisson(scattered).astype(np.int64)
    return Market(
        first=of.first,
        categories=categories,
        price=price,
        cost=np.round(price * chance["items"].uniform(0.4, 0.6, of.items)),
        weight_kg=chance["items"].lognormal(0, 0.6, of.items),
        discount=discount,
        weather=weather,
        rate=rate,
        demand=demand,
    )


def _streams(seed: int) -> dict[str, np.random.Generator]:
    """A stream of chance for each matter, so that to leave one out does not change the others."""
    names = ("items", "weather", "promotions", "drift", "demand")
    return {name: np.random.default_rng([seed, 41, n]) for n, name in enumerate(names)}


def _seasons(categories: tuple[str, ...], latitudes: Float64, of: Size) -> Float64:
    """float64[I, R, T]"""
    days_of_year = [(of.first + timedelta(days=n)).timetuple().tm_yday for n in range(of.days)]
    by_category = {
        name: np.array(
            [[math.log(season(HABITS[name], latitude, day)) for day in days_of_year] for latitude in latitudes.tolist()]
        )
        for name in set(categories)
    }
    return np.stack([by_category[name] for name in categories])


def _weather(chance: np.random.Generator, regions: int, days: int) -> Float64:
    fresh = chance.standard_normal((regions, days))
    fresh = math.sqrt(_WEATHER_SHARED) * chance.standard_normal(days) + math.sqrt(1 - _WEATHER_SHARED) * fresh
    return _kept(fresh, WEATHER_KEPT)


def _drift(chance: np.random.Generator, shape: tuple[int, int, int], kept: float, deviation: float) -> Float64:
    return deviation * _kept(chance.standard_normal(shape), kept)


def _kept(fresh: Float64, kept: float) -> Float64:
    """An autoregression of order 1 with a standard deviation of 1, along the last axis."""
    for day in range(1, fresh.shape[-1]):
        fresh[..., day] = kept * fresh[..., day - 1] + math.sqrt(1 - kept * kept) * fresh[..., day]
    return fresh


def _discounts(chance: np.random.Generator, of: Size, regions: int) -> Float64:
    """Promotions of one or two weeks from a Monday on, in all regions or in about a third of them; and a quarter of
    all items in the week of Black Friday."""
    discount = np.zeros((of.items, regions, of.days))
    monday = -of.first.weekday() % 7
    for week in range(monday, of.days, 7):
        day = of.first + timedelta(days=week)
        everywhere = chance.random(of.items) < _BEGINS_EVERYWHERE
        somewhere = chance.random(of.items) < _BEGINS_SOMEWHERE
        where = chance.random((of.items, regions)) < 1 / 3
        depth = chance.choice(_DEPTHS, of.items)
        weeks = chance.choice([1, 1, 2], of.items)
        is_black_friday = (day + timedelta(days=4)).month == 11 and 23 <= (day + timedelta(days=4)).day <= 29
        in_it = chance.random(of.items) < _BLACK_FRIDAY
        for item in range(of.items):
            places = np.zeros(regions, np.bool_)
            if everywhere[item] or (is_black_friday and in_it[item]):
                places[:] = True
            elif somewhere[item]:
                places = where[item]
            span = slice(week, week + 7 * int(weeks[item]))
            discount[item, places, span] = np.maximum(discount[item, places, span], depth[item])
    return discount


def _responses(discount: Float64, elasticity: Float64, categories: tuple[str, ...]) -> Float64:
    log_price = np.log1p(-discount)
    log = -elasticity[:, None, None] * log_price + _FLAG * (discount > 0)
    ended = np.zeros_like(discount)
    for back in range(1, _AFTER_DAYS + 1):
        ended[:, :, back:] = np.maximum(ended[:, :, back:], discount[:, :, :-back] > 0)
    log += _AFTER * ended * (discount == 0)
    kinds = np.array(categories)
    for name in set(categories):
        mine = np.flatnonzero(kinds == name)
        if len(mine) > 1:
            others = (log_price[mine].sum(axis=0) - log_price[mine]) / (len(mine) - 1)
            log[mine] += _CROSS * others
    return log
