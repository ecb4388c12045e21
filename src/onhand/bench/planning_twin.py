"""Planners of the twin, to be held against each other: by the average of 28 days, and by forecasts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from onhand.demand.panel import Panel
from onhand.planning.protection import Expected, drawn_totals
from onhand.planning.rebalance import Caution, Recent, Stocked, local_worth, rebalance
from onhand.planning.replenish import Buying, replenish
from onhand.planning.spreading import spread_cases
from onhand.twin.flowing import Move, Seen
from onhand.twin.market import Market
from onhand.twin.supply import Places, Suppliers

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

REVIEW_DAYS = 7
AVERAGED_DAYS = 28
# A forecast reaches over the longest usual lead time and a review.
HORIZON = 42
# What a day earlier is worth to a shopper: half of what express costs more than standard at the demo's carriers.
DAY_WORTH = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """(s, S): order up to S when at or below s.

    z     standard deviations of demand over lead and review time that s lies above its mean
    gap   days of demand from s to S
    whole whether an item is ordered for all nodes together and spread by their averages, or by each node for itself
    """

    z: float
    gap: float
    whole: bool


class ByAverage:
    """(s, S) by the mean and the standard deviation of the last 28 days, and of past lead times (Silver, Pyke and
    Thomas 2017, 7.10: variance of demand over a lead time that scatters). Moves nothing."""

    def __init__(self, suppliers: Suppliers, level: Level) -> None:
        self._suppliers, self._level = suppliers, level
        self._lead = suppliers.past.mean(axis=1)[suppliers.supplier]
        self._lead_sd = suppliers.past.std(axis=1)[suppliers.supplier]

    def order(self, seen: Seen, is_open: Bool) -> Int64:
        if not is_open.any():
            return np.zeros_like(seen.stock)
        recent = filled(seen.demand[:, :, -AVERAGED_DAYS:])
        position = seen.stock + seen.ordered + seen.coming
        if self._level.whole:
            total = self._wanted(recent.sum(axis=1), position.sum(axis=1))
            mean = recent.mean(axis=2) * (self._lead + REVIEW_DAYS)[:, None]
            return _by_need(np.where(is_open, total, 0), mean, position, self._suppliers.multiple)
        flat = recent.reshape(-1, recent.shape[2])
        wanted = self._wanted(flat, position.ravel(), position.shape[1]).reshape(position.shape)
        cases = -(-wanted // self._suppliers.multiple[:, None]) * self._suppliers.multiple[:, None]
        return np.where(is_open[:, None] & (wanted > 0), cases, 0)

    def move(self, seen: Seen) -> Sequence[Move]:
        del seen
        return ()

    def _wanted(self, recent: Float64, position: Int64, repeat: int = 1) -> Int64:
        lead, lead_sd = np.repeat(self._lead, repeat), np.repeat(self._lead_sd, repeat)
        mean, var = recent.mean(axis=1), recent.var(axis=1, ddof=1)
        deviation = np.sqrt((lead + REVIEW_DAYS) * var + (mean * lead_sd) ** 2)
        low = mean * (lead + REVIEW_DAYS) + self._level.z * deviation
        high = low + mean * self._level.gap
        return np.where(position <= low, np.ceil(np.maximum(high - position, 0)), 0).astype(np.int64)


def filled(recent: Float64) -> Float64:
    """Days of which demand is not known count as the mean of the others."""
    with np.errstate(invalid="ignore"):
        known = np.isfinite(recent)
        mean = np.where(known, recent, 0).sum(axis=2) / known.sum(axis=2)
    return np.where(known, recent, np.nan_to_num(mean)[:, :, None])


def _by_need(total: Int64, mean: Float64, position: Int64, multiple: Int64) -> Int64:
    """Whole cases to where the position covers least of the mean demand of the protection time."""
    made = np.zeros_like(position)
    for item in np.flatnonzero(total > 0).tolist():
        for _ in range(int(-(-total[item] // multiple[item]))):
            cover = (position[item] + made[item]) / np.maximum(mean[item], 1e-6)
            made[item, cover.argmin()] += multiple[item]
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is expected from the day of a forecast on: of items at all places together and of items by region,
    Expected of I and I * R rows."""

    origin: int
    whole: Expected
    regional: Expected

    def ahead(self, day: int) -> "Outlook":
        """From `day` on."""
        skipped = day - self.origin
        if skipped == 0:
            return self
        return Outlook(
            origin=day,
            whole=Expected(levels=self.whole.levels, quantiles=self.whole.quantiles[:, skipped:]),
            regional=Expected(levels=self.regional.levels, quantiles=self.regional.quantiles[:, skipped:]),
        )


class Foresight(Protocol):
    def __call__(self, day: int, demand: Float64) -> Outlook:
        """From demand float64[I, R, day] of the days before; NaN: not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How `Foreseeing` decides.

    service        of all items alike, in [0, 1); None: by margin against carrying
    carrying_year  cost of keeping stock a year, as a share of its value; sets how much capital is used
    correlation    of demand's deviation from its forecast from day to day
    moves          whether stock is moved before the demand arrives
    move_every     days from one look at transfers to the next
    """

    service: float | None = None
    carrying_year: float = 1.0
    correlation: float = 0.7
    moves: bool = True
    move_every: int = 1
    sd_share: float = 0.25
    hold_days: int = 2
    move_horizon: int = 10
    paths: int = 400


class Foreseeing:
    """Purchases by a forecast of an item, spread over nodes by forecasts of regions; transfers before the demand."""

    def __init__(
        self, market: Market, places: Places, suppliers: Suppliers, foresight: Foresight, rules: Rules, seed: int
    ) -> None:
        self._market, self._places, self._suppliers = market, places, suppliers
        self._foresight, self._rules, self._seed = foresight, rules, seed
        self._outlook: Outlook | None = None
        self._recent: list[tuple[int, Move]] = []
        lost = 0.0
        own = np.arange(len(places.codes))
        # A unit that its own node cannot send is sent by the next one that likes to, dearer and later.
        second = places.turn[:, 1]
        spared = places.last_mile[second, own] - places.last_mile[own, own]
        earlier = places.days[second, own] - places.days[own, own]
        self._worth = np.broadcast_to(
            local_worth(0.0, lost, np.maximum(spared, 0) + 60.0, np.maximum(earlier, 0.5), DAY_WORTH),
            (len(market.price), len(own)),
        ).copy()

    def order(self, seen: Seen, is_open: Bool) -> Int64:
        if not is_open.any():
            return np.zeros_like(seen.stock)
        outlook = self._seen(seen)
        rules, suppliers, market = self._rules, self._suppliers, self._market
        items = np.flatnonzero(is_open)
        position = seen.stock + seen.ordered + seen.coming
        lead = suppliers.past[suppliers.supplier[items]]
        count = len(items)
        review = np.full(count, REVIEW_DAYS)
        buying = Buying(
            position=position[items].sum(axis=1), lead_days=lead, review_days=review,
            unit_cost=market.cost[items], stockout=(market.price - market.cost)[items],
            carrying=market.cost[items] * rules.carrying_year / 365.0,
            service=np.full(count, np.nan if rules.service is None else rules.service),
            minimum=suppliers.minimum[items], multiple=suppliers.multiple[items], fixed=np.zeros(count),
            is_open=np.ones(count, np.bool_),
        )  # fmt: skip
        whole = Expected(levels=outlook.whole.levels, quantiles=outlook.whole.quantiles[items])
        bought = replenish(
            whole, buying, paths=rules.paths, correlation=rules.correlation, seed=self._seed + seen.day
        )  # fmt: skip
        made = np.zeros_like(position)
        if bought.quantity.any():
            nodes = position.shape[1]
            rows = (items[:, None] * nodes + np.arange(nodes)).ravel()
            regional = Expected(levels=outlook.regional.levels, quantiles=outlook.regional.quantiles[rows])
            before, after = drawn_totals(
                regional, np.repeat(lead, nodes, axis=0), np.repeat(review, nodes), paths=200,
                correlation=rules.correlation, seed=self._seed + seen.day,
            )  # fmt: skip
            demand = np.sort(before + after, axis=1).reshape(count, nodes, -1)
            made[items] = spread_cases(bought.quantity, suppliers.multiple[items], position[items], demand)
        return made

    def move(self, seen: Seen) -> Sequence[Move]:
        rules = self._rules
        outlook = self._seen(seen)
        if not rules.moves or seen.day % rules.move_every:
            return ()
        self._recent = [(day, move) for day, move in self._recent if seen.day - day < 14]
        recent = [
            Recent(item=m.item, source=m.source, target=m.target, days_ago=float(seen.day - day))
            for day, m in self._recent
        ]
        stocked = Stocked(
            stock=seen.stock, movable=seen.stock, coming=seen.coming, worth=self._worth,
            left=np.zeros(self._worth.shape), size=np.ones(len(self._worth)), weight_kg=self._market.weight_kg,
        )  # fmt: skip
        found = rebalance(
            outlook.regional, stocked, self._places.lanes, self._places.lead_days, horizon_days=rules.move_horizon,
            caution=Caution(sd_share=rules.sd_share, hold_days=rules.hold_days, reverse_lead=2.0),
            recent=recent, paths=100, correlation=rules.correlation, seed=self._seed + seen.day,
        )  # fmt: skip
        moves = [
            Move(item=i, source=k, target=to, units=units)
            for i, k, to, units in zip(
                found.item.tolist(), found.source.tolist(), found.target.tolist(), found.units.tolist(), strict=True
            )
        ]
        self._recent += [(seen.day, move) for move in moves]
        return moves

    def _seen(self, seen: Seen) -> Outlook:
        if self._outlook is None or seen.day - self._outlook.origin >= REVIEW_DAYS:
            self._outlook = self._foresight(seen.day, seen.demand)
        return self._outlook.ahead(seen.day)
