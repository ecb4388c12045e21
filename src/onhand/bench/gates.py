"""Gates against the best fixed buffer: a shop whose channels hear late and whose demand comes in bursts.

`draw` makes a shop by seed; `replay` of `onhand.channels.gates` lets both sides sell it, the same code for both but for
the number hidden. Fixed buffers are searched for on training shops over units, percent of what there is and percent of
the stock that supply fills up to, per channel; prices of risk are learned by the controller on others. What is reported
comes from shops that neither has seen.

Avoidable lost sales are orders not taken beyond those that would be lost if every channel knew every sale at once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from onhand.channels.gates.controller import Budget, learned
from onhand.channels.gates.demand import Bursts, no_sales
from onhand.channels.gates.exposure import rivals, windows_h
from onhand.channels.gates.gate import Rule
from onhand.channels.gates.replay import Lags, Outcome, Shop, replay, replay_perfect

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

CHANNELS = ("2 s", "60 s", "15 min", "2 h")
LAGS_S = (2.0, 60.0, 900.0, 7200.0)
# A lag is its mean: each write takes half of it to one and a half.
JITTER = 0.5
SHARES = (0.35, 0.25, 0.25, 0.15)
# Units a day of the median item, and the standard deviation of its logarithm.
UNITS_A_DAY, SPREAD = 10.0, 1.0
# One burst in two days and item, of 1 to 5 hours, ten times the usual.
STARTS_PER_H, SHORTEST_H, LONGEST_H, MULTIPLIER = 0.5 / 24.0, 1.0, 5.0, 10.0
SUPPLY_EVERY_H, LATE_H = 48.0, 3.0
# Standard deviation of the logarithm of forecast over true usual rate, by item and channel.
FORECAST_ERROR = 0.3

UNITS = (0, 1, 2, 3, 4, 6, 8, 12)
OF_STOCK = tuple(float(p) for p in range(0, 100, 10))
OF_BASE = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 30.0, 36.0, 42.0, 50.0, 58.0, 66.0, 75.0, 85.0)
# What an oversell is taken to cost, in sales, for the points of the fixed buffers' curve.
COSTS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A drawn shop; `forecast` float64[item, channel]: usual units per hour, as thought; `perfect`: orders lost
    even so."""

    shop: Shop
    forecast: Float64
    perfect: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is assumed of a shop besides its lags.

    hear         hours until we hear of a sale, as a multiple of the channel's lag
    overwrites   writes overwrite sales that they did not know of
    one_channel  share of bursts that come on one channel only
    plain        dates of supply are unknown to the gates
    """

    hear: float = 1.0
    overwrites: bool = False
    one_channel: float = 0.0
    plain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of some shops: oversold orders and lost ones in percent; `by_channel` of its orders taken, `total` of all taken,
    `lost` avoidably, of all asked; writes per order."""

    by_channel: tuple[float, ...]
    total: float
    lost: float
    writes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """A fixed buffer by channel: the larger of `units` and `of_stock` percent of what there is, together, and `of_base`
    percent of base stock."""

    units: tuple[int, ...]
    of_stock: tuple[float, ...]
    of_base: tuple[float, ...]


def draw(seed: int, *, items: int = 2000, days: float = 7.0, one_channel: float = 0.0) -> World:
    """A shop by seed."""
    rng = np.random.default_rng(seed)
    channels, end_h = len(LAGS_S), days * 24.0
    usual = UNITS_A_DAY / 24.0 * rng.lognormal(0.0, SPREAD, items)
    shares = rng.dirichlet(np.array(SHARES) * 12.0, items)
    rates = usual[:, None] * shares

    everything = np.arange(items)
    burst_of = np.repeat(everything, rng.poisson(STARTS_PER_H * end_h, items))
    starts = rng.random(burst_of.size) * end_h
    lasts = np.minimum(rng.uniform(SHORTEST_H, LONGEST_H, burst_of.size), end_h - starts)
    extra = rates[burst_of] * (MULTIPLIER - 1.0)
    # A burst on one channel brings as many, all there.
    alone = np.flatnonzero(rng.random(burst_of.size) < one_channel)
    where = (rng.random(alone.size)[:, None] > np.cumsum(shares[burst_of[alone]], axis=1)).sum(axis=1)
    moved = extra[alone].sum(axis=1)
    extra[alone] = 0.0
    extra[alone, np.minimum(where, channels - 1)] = moved

    item, at_h, channel = (
        np.concatenate(parts)
        for parts in zip(
            _arrivals(rng, everything, np.zeros(items), np.full(items, end_h), rates),
            _arrivals(rng, burst_of, starts, lasts, extra),
            strict=True,
        )
    )
    order = np.lexsort((at_h, item))
    phase = rng.random(items) * SUPPLY_EVERY_H
    # One more than fits, so that there always is a next one.
    number = int(end_h / SUPPLY_EVERY_H) + 2
    due_h = (phase[:, None] + SUPPLY_EVERY_H * np.arange(number)).ravel()
    busy = 1.0 + STARTS_PER_H * 0.5 * (SHORTEST_H + LONGEST_H) * (MULTIPLIER - 1.0)
    mean = usual * busy * SUPPLY_EVERY_H
    shop = Shop(
        first=np.searchsorted(item[order], np.arange(items + 1)).astype(np.int64),
        at_h=at_h[order].astype(np.float64),
        channel=channel[order].astype(np.int32),
        due_first=np.arange(items + 1, dtype=np.int64) * number,
        due_h=due_h,
        comes_h=due_h + rng.random(due_h.size) * LATE_H,
        late_h=LATE_H,
        base=np.ceil(mean + np.sqrt(mean)).astype(np.int32),
        end_h=end_h,
    )
    error = rng.lognormal(-0.5 * FORECAST_ERROR**2, FORECAST_ERROR, rates.shape)
    return World(shop=shop, forecast=rates * error, perfect=int(replay_perfect(shop, channels).sum()))


def _arrivals(
    rng: np.random.Generator, item: Int64, start_h: Float64, hours: Float64, per_h: Float64
) -> tuple[Int64, Float64, Int64]:
    """(item, time, channel) of Poisson arrivals, `per_h` float64[n, channel] of item[n] for `hours` from `start_h`."""
    count = rng.poisson(per_h * hours[:, None])
    row, channel = (np.repeat(index.ravel(), count.ravel()) for index in np.indices(count.shape))
    return item[row], start_h[row] + rng.random(row.size) * hours[row], channel


def lags(setting: Setting) -> Lags:
    tell_h = np.array(LAGS_S) / 3600.0
    return Lags(
        hear_h=tell_h * setting.hear,
        tell_h=tell_h,
        jitter=JITTER,
        overwrites=np.full(tell_h.size, setting.overwrites),
    )


def rule(setting: Setting, taus: Sequence[float], *, holds: bool = True) -> Rule:
    """Computed gates at these prices of risk, for lags as measured: at their 95th percentile."""
    late = lags(setting)
    channels = late.tell_h.size
    apply_s = late.tell_h * (1.0 + JITTER * 0.9) * 3600.0
    window = windows_h(late.hear_h * 3600.0, np.zeros(channels), apply_s, late.overwrites)
    return Rule(
        window_h=window,
        tau=np.array(taus, dtype=np.float64),
        floor=np.zeros(channels, dtype=np.int32),
        cap=np.full(channels, np.iinfo(np.int32).max, dtype=np.int32),
        units=np.full(channels, -1, dtype=np.int32),
        percent=np.zeros(channels),
        rival=rivals(window) * (0.0 if setting.plain else 1.0),
        kept=np.zeros((0, channels), dtype=np.int32),
        holds=holds,
    )


def sell(world: World, setting: Setting, by: Rule, bursts: Bursts, *, seed: int = 1) -> Outcome:
    """What computed gates come to."""
    late = lags(setting)
    velocity = no_sales(world.forecast, hear_h=late.hear_h, bursts=bursts)
    shop = world.shop
    if setting.plain:
        # Known to come at some time, as far as the gates are told.
        shop = shop._replace(late_h=math.inf)
    return replay(shop, late, velocity, by, bursts, 0.5, True, seed)


def sell_fixed(world: World, setting: Setting, buffer: Buffer, *, seed: int = 1) -> Outcome:
    """What a fixed buffer comes to."""
    late = lags(setting)
    of_base = world.shop.base[:, None] * np.array(buffer.of_base) / 100.0
    by = rule(setting, np.zeros(len(CHANNELS)).tolist(), holds=False)._replace(
        units=np.array(buffer.units, dtype=np.int32),
        percent=np.array(buffer.of_stock, dtype=np.float64),
        kept=np.ceil(of_base - 1e-9).astype(np.int32),
    )
    bursts = Bursts()
    velocity = no_sales(world.forecast, bursts=bursts)
    # A fixed gate changes with stock only: no need to look at it between.
    return replay(world.shop, late, velocity, by, bursts, 1e6, False, seed)


def score(worlds: Sequence[World], outcomes: Sequence[Outcome]) -> Score:
    asked, lost, oversold, writes = (sum(np.asarray(o[k]) for o in outcomes) for k in range(4))
    taken = np.asarray(asked) - np.asarray(lost)
    avoidable = np.sum(lost) - sum(world.perfect for world in worlds)
    return Score(
        by_channel=tuple(float(x) for x in 100.0 * np.asarray(oversold) / np.maximum(taken, 1)),
        total=float(100.0 * np.sum(oversold) / max(1, taken.sum())),
        lost=float(100.0 * avoidable / np.sum(asked)),
        writes=float(np.sum(writes) / np.sum(asked)),
    )


def score_fixed(worlds: Sequence[World], setting: Setting, buffer: Buffer) -> Score:
    return score(worlds, [sell_fixed(world, setting, buffer) for world in worlds])


def score_computed(worlds: Sequence[World], setting: Setting, taus: Sequence[float], bursts: Bursts) -> Score:
    by = rule(setting, taus)
    return score(worlds, [sell(world, setting, by, bursts) for world in worlds])


class FixedSearch:
    """Coordinate descent over units, percent of stock and percent of base stock of every channel, from several starts.

    What was looked at once is remembered, so that descents share it.
    """

    def __init__(self, worlds: Sequence[World], setting: Setting) -> None:
        self.worlds, self.setting = worlds, setting
        self.seen: dict[Buffer, Score] = {}

    def look(self, buffer: Buffer) -> Score:
        if buffer not in self.seen:
            self.seen[buffer] = score_fixed(self.worlds, self.setting, buffer)
        return self.seen[buffer]

    def descend(self, start: Buffer, cost: Callable[[Score], float]) -> Buffer:
        """The buffer at which no change of one number of one channel, nor of all numbers of a kind of one, helps."""
        best, least = start, cost(self.look(start))
        while True:
            before = least
            for channel in range(len(CHANNELS)):
                for changed in _neighbours(best, channel):
                    found = cost(self.look(changed))
                    if found < least - 1e-12:
                        best, least = changed, found
            if least > before - 1e-9:
                return best

    def curve(self) -> list[Buffer]:
        """The best for each of COSTS, and among all that was looked at those that no other beats in both figures."""
        start = Buffer(units=(0, 0, 0, 0), of_stock=(0.0,) * 4, of_base=(0.0, 0.0, 0.0, 24.0))
        other = Buffer(units=(0, 1, 1, 0), of_stock=(0.0,) * 4, of_base=(0.0, 0.0, 8.0, 60.0))
        for price in COSTS:

            def cost(of: Score, price: float = price) -> float:
                return of.lost + price * of.total

            start, other = self.descend(start, cost), self.descend(other, cost)
        return self.front(lambda of: of.total)

    def front(self, oversold: Callable[[Score], float]) -> list[Buffer]:
        """Of all that was looked at, what nothing else beats in both figures, and that lies on their convex hull."""
        ranked = sorted(self.seen.items(), key=lambda pair: (oversold(pair[1]), pair[1].lost))
        hull: list[tuple[float, float, Buffer]] = []
        for buffer, of in ranked:
            x, y = oversold(of), of.lost
            if hull and y >= hull[-1][1]:
                continue
            # A point above the line between its neighbours is no bargain.
            while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) >= (y - hull[-2][1]) * (
                hull[-1][0] - hull[-2][0]
            ):
                hull.pop()
            hull.append((x, y, buffer))
        return [buffer for _, _, buffer in hull]

    def each_below(self, percent: float) -> Buffer:
        """The best that oversells no channel by more; several starts, the closest of `curve` among them."""

        def cost(of: Score) -> float:
            return of.lost + 100.0 * sum(max(0.0, x - percent) for x in of.by_channel)

        starts = sorted(self.seen, key=lambda buffer: cost(self.seen[buffer]))[:2]
        starts.append(Buffer(units=(1, 1, 2, 2), of_stock=(0.0,) * 4, of_base=(0.0, 0.0, 8.0, 60.0)))
        return min((self.descend(start, cost) for start in starts), key=lambda buffer: cost(self.look(buffer)))


def _neighbours(buffer: Buffer, channel: int) -> list[Buffer]:
    """`buffer` with other numbers for one channel."""

    def put(numbers: tuple[float, ...], value: float) -> tuple[float, ...]:
        return (*numbers[:channel], value, *numbers[channel + 1 :])

    units = [tuple(int(x) for x in put(buffer.units, value)) for value in UNITS]
    return [
        *(Buffer(units=u, of_stock=buffer.of_stock, of_base=buffer.of_base) for u in units),
        *(Buffer(units=buffer.units, of_stock=put(buffer.of_stock, p), of_base=buffer.of_base) for p in OF_STOCK),
        *(Buffer(units=buffer.units, of_stock=buffer.of_stock, of_base=put(buffer.of_base, p)) for p in OF_BASE),
        # One kind instead of another.
        *(
            Buffer(
                units=put_int(buffer.units, channel, 0),
                of_stock=put(buffer.of_stock, p),
                of_base=put(buffer.of_base, 0.0),
            )
            for p in OF_STOCK[1:]
        ),
    ]


def put_int(numbers: tuple[int, ...], channel: int, value: int) -> tuple[int, ...]:
    return (*numbers[:channel], value, *numbers[channel + 1 :])


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A period of learning: prices of risk before it, and what came."""

    taus: tuple[float, ...]
    score: Score


def learn(
    setting: Setting, bursts: Bursts, *, alpha: float, together: bool, periods: int, seed: int, items: int = 300
) -> tuple[tuple[float, ...], list[Period]]:
    """(prices of risk that the controller comes to, how it went), a shop of its own each period.

    together  whether all channels share one budget, or each keeps its own
    """
    budgets = [Budget.of(alpha) for _ in CHANNELS]
    went: list[Period] = []
    for period in range(periods):
        world = draw(seed + period, items=items, one_channel=setting.one_channel)
        taus = tuple(budget.tau for budget in budgets)
        outcome = sell(world, setting, rule(setting, taus), bursts)
        went.append(Period(taus=taus, score=score([world], [outcome])))
        taken = outcome.asked - outcome.lost
        if together:
            budgets = [learned(budgets[0], orders=int(taken.sum()), oversold=int(outcome.oversold.sum()))] * len(
                budgets
            )
        else:
            budgets = [
                learned(budget, orders=int(n), oversold=int(over))
                for budget, n, over in zip(budgets, taken, outcome.oversold, strict=True)
            ]
    # The price that a budget stands at scatters with its last periods; their middle does less so.
    late = np.log([[*period.taus] for period in went[periods // 2 :]] + [[b.tau for b in budgets]])
    return tuple(float(x) for x in np.exp(late.mean(axis=0))), went


def lost_at(points: Sequence[Score], percent: float) -> float:
    """Avoidable lost sales at a total oversell of `percent`, between the points of a curve; nan beyond its ends."""
    ordered = sorted(points, key=lambda point: point.total)
    for low, high in pairwise(ordered):
        if low.total <= percent <= high.total:
            share = (percent - low.total) / max(high.total - low.total, 1e-12)
            return low.lost + share * (high.lost - low.lost)
    return math.nan
