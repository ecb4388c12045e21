"""Forecasts of the twin's market: as the product makes them, and as somebody would who knows more than can be known."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from onhand.bench.planning_twin import Outlook, filled
from onhand.demand.learn import KNOTS, Learned, learn
from onhand.demand.panel import Panel
from onhand.planning.protection import Expected
from onhand.twin.flowing import Seen
from onhand.twin.market import HABITS, SCATTER, Market

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Over the longest usual lead time and a review.
HORIZON = 35
LEVELS = KNOTS
# The sums of items, and of their regions every so manieth, are learned of: that is enough for what they have in common.
_LEARNED_EVERY = 14
_YEAR = 364
_DRAWS = 200


def panel_of(market: Market, day: int, demand: Float64, sold: Int64) -> Panel:
    """Items by region, then items at all places together, as known in the morning of `day`.

    Promotions are known ahead, weather until yesterday. A day on which somebody went away without is not an
    observation; in sums it counts for what was sold or the mean of four weeks, if that is more.
    """
    items, regions = demand.shape[:2]
    end = day + HORIZON
    guess = np.maximum(sold[:, :, -_YEAR:], filled(demand[:, :, -28:]).mean(axis=2)[:, :, None])
    whole = demand.copy()
    whole[:, :, -_YEAR:] = np.where(np.isfinite(demand[:, :, -_YEAR:]), demand[:, :, -_YEAR:], guess)
    share = whole[:, :, -_YEAR:].sum(axis=2)
    share = (share / np.maximum(share.sum(axis=1, keepdims=True), 1.0))[:, :, None]
    # Of a day of which most is known, the sum is.
    is_known = (np.isfinite(demand) * share).sum(axis=1) > 0.7
    total = np.where(is_known, whole.sum(axis=1), np.nan)
    discount, weather = market.discount[:, :, :end], market.weather[:, :day]
    item: Int64 = np.arange(items, dtype=np.int64)
    category = np.array([list(HABITS).index(name) for name in market.categories])
    static = {
        "item": np.concatenate([np.repeat(item, regions), item]),
        "region": np.concatenate([np.tile(np.arange(regions, dtype=np.int64), items), np.full(items, regions)]),
        "category": np.concatenate([np.repeat(category, regions), category]),
    }
    sums = whole.sum(axis=1)
    by_category = np.zeros((len(HABITS), day))
    np.add.at(by_category, category, sums)
    return Panel(
        ids=[f"{n}" for n in range(items * (regions + 1))],
        freq="D",
        dates=market.dates[:end],
        y=np.concatenate([demand.reshape(items * regions, day), total]),
        known={"discount": np.concatenate([discount.reshape(-1, end), (discount * share).sum(axis=1)])},
        past={
            "weather": np.concatenate(
                [np.tile(weather, (items, 1)), np.broadcast_to(weather.mean(axis=0), (items, day))]
            )
        },
        static=static,
        sums={
            "item": sums,
            "region": np.concatenate([whole.sum(axis=0), sums.sum(axis=0, keepdims=True)]),
            "category": by_category,
        },
    )


class Forecasts:
    """What `onhand.forecast` says: learned once on the history before the first day, applied to all that is known."""

    def __init__(self, market: Market, first: int, *, trees: bool = True, seed: int = 0) -> None:
        self._market = market
        demand = market.demand[:, :, :first]
        panel = panel_of(market, first, demand.astype(np.float64), demand)
        items, regions = demand.shape[:2]
        some = np.random.default_rng(seed).permutation(items * regions)[: -(-items * regions // _LEARNED_EVERY)]
        rows = np.concatenate([np.sort(some), items * regions + np.arange(items, dtype=np.int64)])
        self.learned: Learned = learn(panel.rows(rows), LEVELS, trees=trees, seed=seed)

    def __call__(self, seen: Seen) -> Outlook:
        return self.outlook(seen.day, seen.demand, seen.sold)

    def outlook(self, day: int, demand: Float64, sold: Int64) -> Outlook:
        """See `panel_of`."""
        items, regions = demand.shape[:2]
        quantiles = self.learned.apply(panel_of(self._market, day, demand, sold)).forecast.quantiles.astype(np.float32)
        return _outlook(day, quantiles[items * regions :], quantiles[: items * regions])


class Clairvoyant:
    """What no forecast can be better than: the rates of demand, with the scatter of counts about them; or every unit
    that will be wanted."""

    def __init__(self, market: Market, knows: Literal["rates", "orders"]) -> None:
        self._market, self._knows = market, knows

    def __call__(self, seen: Seen) -> Outlook:
        return self.on(seen.day)

    def on(self, day: int) -> Outlook:
        span = slice(day, day + HORIZON)
        if self._knows == "orders":
            came = self._market.demand[:, :, span].astype(np.float32)
            levels = len(LEVELS)
            whole, regional = (np.repeat(of[..., None], levels, axis=-1) for of in (came.sum(axis=1), came))
        else:
            rate = self._market.rate[:, :, span]
            random = np.random.default_rng(day)
            drawn = random.poisson(rate * random.gamma(SCATTER, 1 / SCATTER, (_DRAWS, *rate.shape)))
            whole, regional = (
                np.moveaxis(np.quantile(of, LEVELS, axis=0), 0, -1).astype(np.float32)
                for of in (drawn.sum(axis=2), drawn)
            )
        return _outlook(day, whole, regional.reshape(-1, *regional.shape[2:]))


def _outlook(day: int, whole: npt.NDArray[np.float32], regional: npt.NDArray[np.float32]) -> Outlook:
    return Outlook(
        origin=day,
        whole=Expected(levels=LEVELS, quantiles=whole),
        regional=Expected(levels=LEVELS, quantiles=regional),
    )
