"""Planners of the twin, to be held against each other: by averages of 28 days, and by forecasts.

Each buys and moves by what can be known in the morning: past demand (days on which somebody went away without say
nothing), promotions as planned, yesterday's weather, past lead times of suppliers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

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
# What a day earlier is worth to a shopper, in minor units: half of what express costs more than standard in the demo.
DAY_WORTH = 200.0
# A node that has more than it is likely to need in so many days has some for others.
_SOON_DAYS = 3


class Buyer(Protocol):
    def order(self, seen: Seen, is_open: Bool) -> Int64: ...


class Mover(Protocol):
    def move(self, seen: Seen) -> Sequence[Move]: ...


@dataclass(frozen=True, slots=True)
class Planning:
    """Somebody who buys and somebody who moves, or nobody."""

    buyer: Buyer
    mover: Mover | None = None

    def order(self, seen: Seen, is_open: Bool) -> Int64:
        return self.buyer.order(seen, is_open) if is_open.any() else np.zeros_like(seen.stock)

    def move(self, seen: Seen) -> Sequence[Move]:
        return self.mover.move(seen) if self.mover is not None else ()


# By averages ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """(s, S): order up to S when at or below s.

    z      standard deviations of demand over lead and review time that s lies above its mean
    gap    days of demand from s to S
    whole  whether an item is ordered for all nodes together and spread by their averages, or by each node for itself
    """

    z: float
    gap: float
    whole: bool


class ByAverage:
    """(s, S) by mean and standard deviation of the last 28 days and of past lead times (Silver, Pyke and Thomas 2017,
    7.10: the variance of demand over a lead time that scatters)."""

    def __init__(self, places: Places, suppliers: Suppliers, level: Level) -> None:
        self._places, self._suppliers, self._level = places, suppliers, level
        self._lead = suppliers.past.mean(axis=1)[suppliers.supplier]
        self._lead_sd = suppliers.past.std(axis=1)[suppliers.supplier]

    def order(self, seen: Seen, is_open: Bool) -> Int64:
        case = self._suppliers.multiple
        recent = self._places.at_entries(filled(seen.demand[:, :, -AVERAGED_DAYS:]))
        position = self._places.at_entries(seen.stock + seen.ordered + seen.coming)
        if self._level.whole:
            total = self._wanted(recent.sum(axis=1), position.sum(axis=1))
            return _to_shortest(np.where(is_open, total, 0), recent.mean(axis=2), position, case, self._places.is_entry)
        nodes = position.shape[1]
        wanted = self._wanted(recent.reshape(-1, recent.shape[2]), position.ravel(), nodes).reshape(position.shape)
        return np.where(is_open[:, None], -(-wanted // case[:, None]) * case[:, None], 0)

    def _wanted(self, recent: Float64, position: Int64, repeat: int = 1) -> Int64:
        lead, lead_sd = np.repeat(self._lead, repeat), np.repeat(self._lead_sd, repeat)
        mean, var = recent.mean(axis=1), recent.var(axis=1, ddof=1)
        deviation = np.sqrt((lead + REVIEW_DAYS) * var + (mean * lead_sd) ** 2)
        low = np.maximum(mean * (lead + REVIEW_DAYS) + self._level.z * deviation, 0.0)
        high = low + mean * self._level.gap
        return np.where((position <= low) & (mean > 0), np.ceil(np.maximum(high - position, 0)), 0).astype(np.int64)


def filled(recent: Float64) -> Float64:
    """Days of which demand is not known count as the mean of the others. float64[I, R, days]"""
    known = np.isfinite(recent)
    mean = np.where(known, recent, 0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    return np.where(known, recent, mean[:, :, None])


def _to_shortest(total: Int64, mean: Float64, position: Int64, case: Int64, is_entry: Bool) -> Int64:
    """Whole cases to where the position lasts shortest."""
    made = np.zeros_like(position)
    for item in np.flatnonzero(total > 0).tolist():
        for _ in range(int(-(-total[item] // case[item]))):
            cover = np.where(is_entry, (position[item] + made[item]) / np.maximum(mean[item], 1e-6), np.inf)
            made[item, cover.argmin()] += case[item]
    return made


class FilledUp:
    """Moves from the node over which things come in to those behind it: up to so many days of the average of 28 days,
    shortest first, as far as it has more than those days itself and the lane has room."""

    def __init__(self, places: Places, cover_days: float) -> None:
        self._places, self._cover = places, cover_days

    def move(self, seen: Seen) -> Sequence[Move]:
        places = self._places
        mean = filled(seen.demand[:, :, -AVERAGED_DAYS:]).mean(axis=2)
        at_hand = seen.stock + seen.coming
        lasts = at_hand / np.maximum(mean, 1e-6)
        spare = seen.stock - np.ceil(np.where(places.is_entry, mean * 2, np.inf)).clip(0, 1e9).astype(np.int64)
        room = places.lanes.room.copy()
        moves: list[Move] = []
        for flat in np.argsort(lasts, axis=None, kind="stable").tolist():
            item, node = divmod(flat, mean.shape[1])
            source = int(places.entry[node])
            if source == node:
                continue
            wanted = int(np.ceil(mean[item, node] * self._cover)) - int(at_hand[item, node])
            units = min(wanted, int(spare[item, source]), int(room[source, node]))
            if units > 0:
                moves.append(Move(item=item, source=source, target=node, units=units))
                spare[item, source] -= units
                room[source, node] -= units
        return moves


# By forecasts -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is expected from day `origin` on: of items at all places together (I rows), of items by region (I * R)."""

    origin: int
    whole: Expected
    regional: Expected

    def ahead(self, day: int) -> "Outlook":
        """From `day` on."""

        def later(of: Expected) -> Expected:
            return Expected(levels=of.levels, quantiles=of.quantiles[:, day - self.origin :])

        return Outlook(origin=day, whole=later(self.whole), regional=later(self.regional))


class Foresight(Protocol):
    def __call__(self, seen: Seen) -> Outlook: ...


class Weekly:
    """A forecast made on the first morning and every seventh one after it."""

    def __init__(self, foresight: Foresight) -> None:
        self._foresight = foresight
        self._outlook: Outlook | None = None

    def __call__(self, seen: Seen) -> Outlook:
        if self._outlook is None or not 0 <= seen.day - self._outlook.origin < REVIEW_DAYS:
            self._outlook = self._foresight(seen)
        return self._outlook.ahead(seen.day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buys:
    """carrying_year: cost of keeping stock for a year as a share of its value, sets how much capital is used;
    correlation: of demand's deviation from its forecast from day to day"""

    carrying_year: float
    correlation: float = 0.7
    paths: int = 200


class Foreseeing:
    """Buys each item for all nodes together, by margin against carrying cost; spreads it by forecasts of regions."""

    def __init__(
        self, market: Market, places: Places, suppliers: Suppliers, foresight: Foresight, how: Buys, seed: int
    ) -> None:
        self._market, self._places, self._suppliers = market, places, suppliers
        self._foresight, self._how, self._seed = foresight, how, seed

    def order(self, seen: Seen, is_open: Bool) -> Int64:
        outlook, how, market, suppliers = self._foresight(seen), self._how, self._market, self._suppliers
        items = np.flatnonzero(is_open)
        count, entries = len(items), np.flatnonzero(self._places.is_entry)
        position = self._places.at_entries(seen.stock + seen.ordered + seen.coming)
        lead, review = suppliers.past[suppliers.supplier[items]], np.full(count, REVIEW_DAYS)
        bought = replenish(
            Expected(levels=outlook.whole.levels, quantiles=outlook.whole.quantiles[items]),
            Buying(
                position=position[items].sum(axis=1), lead_days=lead, review_days=review, unit_cost=market.cost[items],
                stockout=(market.price - market.cost)[items], carrying=market.cost[items] * how.carrying_year / 365.0,
                service=np.full(count, np.nan), minimum=suppliers.minimum[items], multiple=suppliers.multiple[items],
                fixed=np.zeros(count), is_open=np.ones(count, np.bool_),
            ),
            paths=how.paths, correlation=how.correlation, seed=self._seed + seen.day,
        )  # fmt: skip
        made = np.zeros_like(position)
        nodes = position.shape[1]
        rows: Int64 = (items[:, None] * nodes + np.arange(nodes, dtype=np.int64)).ravel()
        before, after = drawn_totals(
            Expected(levels=outlook.regional.levels, quantiles=outlook.regional.quantiles[rows]),
            np.repeat(lead, nodes, axis=0), np.repeat(review, nodes), paths=100, correlation=how.correlation,
            seed=self._seed + seen.day,
        )  # fmt: skip
        demand = self._places.at_entries((before + after).reshape(count, nodes, -1))[:, entries]
        demand.sort(axis=2)
        ours = np.ix_(items, entries)
        made[ours] = spread_cases(bought.quantity, suppliers.multiple[items], position[ours], demand)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """See `planning.rebalance`; every: days from one look to the next."""

    horizon_days: tuple[int, ...] = (2, 4, 6, 8, 10)
    sd_share: float = 0.0
    hold_days: int = 0
    correlation: float = 0.5
    every: int = 1


class Flowing:
    """Transfers by minimum-cost flow before the demand arrives."""

    def __init__(
        self, market: Market, places: Places, suppliers: Suppliers, foresight: Foresight, how: Moves, seed: int
    ) -> None:
        self._market, self._places, self._suppliers = market, places, suppliers
        self._foresight, self._how, self._seed = foresight, how, seed
        self._made: list[tuple[int, Move]] = []

    def move(self, seen: Seen) -> Sequence[Move]:
        how = self._how
        outlook = self._foresight(seen)
        if seen.day % how.every:
            return ()
        self._made = [(day, move) for day, move in self._made if seen.day - day < 14]
        found = rebalance(
            outlook.regional,
            Stocked(
                stock=seen.stock, movable=seen.stock, coming=seen.coming + self._soon(seen),
                worth=self._worth(seen, outlook), left=np.zeros(seen.stock.shape), size=np.ones(len(seen.stock)),
                weight_kg=self._market.weight_kg,
            ),
            self._places.lanes, self._places.lead_days, horizon_days=how.horizon_days,
            caution=Caution(sd_share=how.sd_share, hold_days=how.hold_days),
            recent=[
                Recent(item=m.item, source=m.source, target=m.target, days_ago=float(seen.day - day))
                for day, m in self._made
            ],
            paths=100, correlation=how.correlation, seed=self._seed + seen.day, gap=0.02,
        )  # fmt: skip
        columns = (found.item.tolist(), found.source.tolist(), found.target.tolist(), found.units.tolist())
        moves = [
            Move(item=item, source=source, target=to, units=units)
            for item, source, to, units in zip(*columns, strict=True)
        ]
        self._made += [(seen.day, move) for move in moves]
        return moves

    def _worth(self, seen: Seen, outlook: Outlook) -> Float64:
        """float64[I, N]: what a unit gains that its own node sends: not lost, if nobody else has more than it is likely
        to need soon itself; otherwise nearer and earlier than from the first who has."""
        places, nodes = self._places, seen.stock.shape[1]
        regional = outlook.regional.quantiles[:, :_SOON_DAYS, outlook.regional.quantiles.shape[2] // 2]
        spares = seen.stock > regional.sum(axis=1).reshape(-1, nodes)
        own = np.arange(nodes, dtype=np.int64)
        lost = np.ones(seen.stock.shape)
        spared, earlier = np.zeros(lost.shape), np.zeros(lost.shape)
        for other in places.turn.T[:0:-1]:
            lost = np.where(spares[:, other], 0.0, lost)
            spared = np.where(spares[:, other], places.last_mile[other, own] - places.last_mile[own, own], spared)
            earlier = np.where(spares[:, other], places.days[other, own] - places.days[own, own], earlier)
        margin = (self._market.price - self._market.cost)[:, None]
        return local_worth(margin, lost, np.maximum(spared, 0.0), np.maximum(earlier, 0.0), DAY_WORTH)

    def _soon(self, seen: Seen) -> Int64:
        """int64[I, N]: of what is on order, units by the share of the horizon that they will be there for."""
        past = self._suppliers.past[self._suppliers.supplier]
        ages: Int64 = np.arange(seen.by_age.shape[2], dtype=np.int64)
        left: Int64 = past[:, None, :] - ages[:, None]
        is_open: Bool = left > 0
        share = np.where(is_open, np.clip(1.0 - left / max(self._how.horizon_days), 0.0, 1.0), 0.0).sum(axis=2)
        # Later than any before: it may come any day.
        share = np.where(is_open.any(axis=2), share / np.maximum(is_open.sum(axis=2), 1), 0.7)
        return np.floor((seen.by_age * share[:, None, :]).sum(axis=2)).astype(np.int64)
