"""The gates of a running installation: what `gate.py` decides by, kept for all channels and followed as time goes on.
Pure: no clock, no database; moments are seconds since 1970 and come from the caller.

Items get a row when a gate of theirs is first asked for. Channels that sell from the same nodes share a pool, and a
pool has decisions of its own; of another pool with nodes in common a channel's sales count in full, as if all of them
were taken from the common ones. Fixed and percent gates need none of it: without a computed gate nothing is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from onhand.channels.gates.demand import Bursts, no_sales, observe, rates
from onhand.channels.gates.exposure import Latency, windows_h
from onhand.channels.gates.gate import Rule, Told, decide, nothing_told
from onhand.channels.gates.protection import protection_units
from onhand.channels.gates.settings import GateSetting, hidden_of_all, rule_of
from onhand.channels.gates.words import Why, why

A = TypeVar("A", bound=np.generic)
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

DEFAULT_PER_H: Final = 0.02
"""Units per hour and channel of an item of which nothing is known: it is not forecast, and nobody bought it."""
# What is known beforehand counts as so many hours of watching, more with each hour that it was learned in.
_WORTH_LEAST_H, _WORTH_MOST_H = 24.0, 240.0
# Of what is not forecast to be sold at all: it was not sold in months, but might be.
_LEAST_PER_H: Final = 0.001
LAG_S: Final = 60.0
"""How long a channel shows an old number where neither anybody says so nor it was measured."""
_SHARE: Final = 0.95
# A latency that has grown by less, or fallen by less, is the same: it is late news that costs an oversell, and so it
# follows upwards sooner.
_NEAR_BELOW, _NEAR_ABOVE = 0.67, 1.15
# Supply is late by so much before it is sure to have come; later than thrice that nobody knows when it comes.
LATE_H: Final = 24.0
# Rates change slowly for protection: beyond so many standard deviations of demand there is enough for all.
_PLENTY: Final = 2.0
_UNITS_MOST: Final = np.iinfo(np.int32).max
_FIRST_ROWS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """A channel as gates see it.

    nodes         ids of the active nodes it sells from
    margin_rate   of prices; margin_minor: of a mean order. None: not known
    overwrites    its writes set a number over sales of its own that we have not heard of
    hear_s        how late we hear of its sales, until that is measured
    """

    channel_id: int
    code: str
    setting: GateSetting
    nodes: tuple[int, ...]
    is_active: bool = True
    margin_rate: float | None = None
    margin_minor: float | None = None
    overwrites: bool = True
    hear_s: float = 15.0

    @property
    def is_computed(self) -> bool:
        return self.is_active and self.setting.mode == "adaptive"


@dataclass(slots=True)
class Latencies:
    """Of one channel, as measured. hear: of its sales; wait, apply: of what it is told."""

    hear: Latency = field(default_factory=Latency)
    wait: Latency = field(default_factory=Latency)
    apply: Latency = field(default_factory=Latency)


class Supply(NamedTuple):
    """Supply that is announced: int32[n], int32[n], float64[n] seconds since 1970."""

    items: Int32
    nodes: Int32
    due_s: Float64


class Changed(NamedTuple):
    """A gate that is another one than was last noted."""

    channel_id: int
    item_id: int
    units: int
    stock: int
    seller_id: int | None
    rate_per_h: float
    usual_per_h: float
    lag_s: float


@dataclass(slots=True)
class _Pool:
    """Channels that sell from the same nodes. columns: those whose gates are computed here."""

    nodes: tuple[int, ...]
    columns: list[int]
    rule: Rule
    told: Told
    due_s: Float64
    kept: Int32
    ranks: list[int]  # columns by falling margin, for protection; none: margins are not known


class Gates:
    """The gates of all channels, in columns. Not for two threads at once.

    began_s  no sale that is heard of is older
    """

    def __init__(self, began_s: float, bursts: Bursts | None = None) -> None:
        self._bursts = bursts or Bursts()
        self.sellers: list[Seller] = []
        self.latencies: dict[int, Latencies] = {}
        self.taus: dict[int, float] = {}
        self._decided_by: dict[tuple[str, int], float] = {}
        self._column: dict[int, int] = {}
        self._settings: list[GateSetting] = []
        self._is_plain = True
        self._fixed: Int64 = np.zeros(0, np.int64)
        self._forget(began_s)

    def _forget(self, began_s: float) -> None:
        self._began_s = began_s
        self._row_of: Int32 = np.full(1, -1, np.int32)
        self._items: Int32 = np.zeros(0, np.int32)
        self._count = 0
        self._last_h = 0.0  # the latest decision
        self._velocity = no_sales(np.zeros((0, 0)), bursts=self._bursts)
        self._prior: dict[int, list[tuple[int, float]]] = {}  # item_id -> channel_id, units per hour
        self._unsold_per_h, self._worth_h = DEFAULT_PER_H, _WORTH_LEAST_H
        self._sold_on: dict[int, float] = {}  # channel_id -> units of all items
        self._forecast_items: Int32 = np.zeros(0, np.int32)
        self._forecast_per_h: Float64 = np.zeros(0)
        self._pools: list[_Pool] = []
        self._noted: Int32 = np.zeros((0, 0), np.int32)  # units as last taken by `changed`
        self._stock: Int32 = np.zeros((0, 0), np.int32)
        self._has_news = False
        self._is_news = np.zeros(0, np.bool_)  # by row: a gate is another one than was noted
        self._supply = Supply(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))

    # What is known -------------------------------------------------------------------------------------------------

    @property
    def is_computed(self) -> bool:
        """Whether any gate is computed."""
        return bool(self._pools)

    @property
    def items(self) -> Int32:
        """int32[row]: items of which gates were asked for."""
        return self._items[: self._count]

    def take_sellers(self, sellers: Sequence[Seller]) -> None:
        """These are the channels now, in this order; the ones there were stay, in theirs, at the front."""
        known = [seller.channel_id for seller in self.sellers]
        was_active = [seller.is_active for seller in self.sellers]
        assert [s.channel_id for s in sellers][: len(known)] == known, (
            "channels come and stay in the order of their ids"
        )
        self.sellers = list(sellers)
        self._settings = [seller.setting for seller in sellers]
        self._column = {seller.channel_id: column for column, seller in enumerate(sellers)}
        self._is_plain = all(s.mode == "fixed" for s in self._settings)
        self._fixed = hidden_of_all(self._settings, np.full(len(sellers), _UNITS_MOST, np.int64))
        for seller in sellers:
            self.latencies.setdefault(seller.channel_id, Latencies())
        if any(seller.is_computed for seller in sellers):
            self._resize(max(self._items.size, _FIRST_ROWS))
            if self._forecast_items.size and was_active != [seller.is_active for seller in sellers]:
                self._set_priors(0)
            self._make_pools()
            self.refresh()
        elif self._pools:
            self._forget(self._began_s)

    def take_history(self, units: Mapping[tuple[int, int], float], hours: float, began_s: float) -> None:
        """What was sold until `began_s`, before anything is heard of: (item_id, channel_id) -> units in `hours`."""
        assert not self._count, "a history comes first"
        self._began_s = began_s
        worth = DEFAULT_PER_H * _WORTH_LEAST_H
        self._prior, self._sold_on, self._worth_h = {}, {}, min(_WORTH_MOST_H, hours + _WORTH_LEAST_H)
        for (item, channel), sold in units.items():
            per_h = (sold + worth) / (hours + _WORTH_LEAST_H)
            self._prior.setdefault(item, []).append((channel, per_h))
            self._sold_on[channel] = self._sold_on.get(channel, 0.0) + sold
        self._unsold_per_h = worth / (hours + _WORTH_LEAST_H)
        self._set_priors(0)

    def take_forecast(self, items: Int32, per_h: Float64) -> None:
        """What is forecast, in place of what was before: int32[n] rising, float64[n] units per hour on all channels.
        It goes before what was sold, of which it takes only the shares of channels."""
        self._forecast_items, self._forecast_per_h = items, per_h
        self._set_priors(0)

    def take_supply(self, supply: Supply) -> None:
        """All supply that is announced and has not come."""
        self._supply = supply
        for pool in self._pools:
            self._set_due(pool)

    def refresh(self) -> None:
        """Take over latencies and prices of risk as they are now."""
        if not self._pools:
            return
        ids = [s.channel_id for s in self.sellers]
        tell_s = np.array([self._steady_s("tell", i, sum(self.tell_s(i))) for i in ids])
        hear_s = np.array([self._steady_s("hear", i, self.hear_s(i)) for i in ids])
        overwrites = np.array([s.overwrites for s in self.sellers], np.bool_)
        window_h = windows_h(hear_s, tell_s, np.zeros(len(ids)), overwrites)
        self._velocity.freshness[:] = np.exp(-hear_s / 3600.0 / self._bursts.mean_h)
        for pool in self._pools:
            pool.rule = self._rule(pool, window_h)

    def _steady_s(self, what: str, channel_id: int, seconds: float) -> float:
        """`seconds`, or what was decided by last, where that is near: another latency moves the gates of all items of
        a channel at once, and many writes make it slower still."""
        last = self._decided_by.get((what, channel_id))
        if last is not None and _NEAR_BELOW * last <= seconds <= _NEAR_ABOVE * last:
            return last
        self._decided_by[what, channel_id] = seconds
        return seconds

    def hear_s(self, channel_id: int) -> float:
        """How late we hear of a channel's sales, at the 95th percentile."""
        measured = self.latencies[channel_id].hear
        return measured.quantile_s(_SHARE) if measured.is_measured else self.sellers[self._column[channel_id]].hear_s

    def tell_s(self, channel_id: int) -> tuple[float, float]:
        """(until a number leaves for the channel, until it is shown from then), at their 95th percentiles."""
        seller, measured = self.sellers[self._column[channel_id]], self.latencies[channel_id]
        declared = LAG_S if seller.setting.lag_s is None else seller.setting.lag_s
        wait_s = measured.wait.quantile_s(_SHARE)
        return wait_s, measured.apply.quantile_s(_SHARE) if measured.apply.is_measured else declared

    # Sales ---------------------------------------------------------------------------------------------------------

    def sold(self, channels: Sequence[int], items: Sequence[int], units: Sequence[int], at_s: Sequence[float]) -> None:
        """Hear of sales, in the order of their moments: ids, units, and when each was heard of."""
        if not self._pools or not len(items):
            return
        known = [n for n, channel in enumerate(channels) if channel in self._column]
        if not known:
            return
        rows = self._rows(np.array(items, np.int32)[known])
        columns = np.array([self._column[channels[n]] for n in known], np.int32)
        heard = np.maximum.accumulate(np.array(at_s, np.float64)[known])
        observe(
            self._velocity, rows, columns, np.maximum(1, np.array(units)[known]).astype(np.int32),
            (heard - self._began_s) / 3600.0, self._bursts,
        )  # fmt: skip

    def soon(self, channel_id: int, items: Int32, now_s: float) -> Float64:
        """float64[n]: units of `items` that a channel sells until a number that leaves now is shown, as expected."""
        out = np.zeros(items.size)
        if self._pools and (column := self._column.get(channel_id)) is not None:
            rows = self._row_of[np.minimum(items, self._row_of.size - 1)]
            found = rows >= 0
            usual, burst = rates(self._velocity, rows[found], self._hour(now_s), self._bursts)
            hours = sum(self.tell_s(channel_id)) / 3600.0
            out[found] = usual[:, column] * (1.0 + (self._bursts.multiplier - 1.0) * burst) * hours
        return out

    # Gates ---------------------------------------------------------------------------------------------------------

    def meet(self, items: Int32) -> None:
        """These will be asked for: all at once they are met at the same moment, from which on nothing of them counts as
        not sold."""
        if self._pools and items.size:
            self._rows(items)

    def of(self, items: Int32, stock: Int64, now_s: float) -> Int64:
        """int64[n, channel]: units hidden of each item; what is decided is remembered. [channel] where no gate depends
        on what there is.

        stock  int64[n, channel]: units that there are for the channel, gates and quotas left out
        """
        if self._is_plain:
            return self._fixed
        out = hidden_of_all(self._settings, stock)
        if not self._pools or not items.size:
            return out
        rows = self._rows(items)
        self._last_h = max(self._last_h, self._hour(now_s))
        for pool in self._pools:
            there = np.clip(stock[:, pool.columns[0]], 0, _UNITS_MOST).astype(np.int32)
            supply_h, sure_h = _hours_until(pool.due_s[rows], now_s)
            if pool.ranks:
                self._protect(pool, rows, there, supply_h, now_s)
            _, gate = decide(
                self._velocity, pool.told, rows, there, supply_h, sure_h, pool.rule, self._bursts, self._hour(now_s)
            )
            out[:, pool.columns] = gate[:, pool.columns]
            mine = rows[:, None], np.array(pool.columns)
            self._stock[mine] = there[:, None]
            is_news = (out[:, pool.columns] != self._noted[mine]).any(axis=1)
            if is_news.any():
                self._is_news[rows] |= is_news
                self._has_news = True
        return out

    @property
    def has_news(self) -> bool:
        """Whether `changed` may have something to tell."""
        return self._has_news

    def changed(self, channel_ids: Iterable[int], now_s: float) -> list[Changed]:
        """Gates of these channels that are others than when they were last asked for here."""
        self._has_news = False
        rows = np.flatnonzero(self._is_news).astype(np.int32)
        if not rows.size:
            return []
        self._is_news[rows] = False
        found: list[Changed] = []
        columns = {self._column[i] for i in channel_ids if i in self._column}
        for pool in self._pools:
            for column in columns.intersection(pool.columns):
                gate = pool.told.gate[rows, column]
                news = rows[(gate >= 0) & (gate != self._noted[rows, column])]
                found += self._why_of(pool, column, news, now_s)
                self._noted[news, column] = pool.told.gate[news, column]
        return found

    def noted(self, channel_id: int, items: Int32, units: Int32) -> None:
        """What is noted of a channel's gates already, from an earlier life of this process."""
        column = self._column[channel_id]
        rows = self._rows(items)
        self._noted[:, column] = 0
        self._noted[rows, column] = units
        self._is_news[: self._count] = self._has_news = True

    def why(self, channel_id: int, item_id: int, now_s: float) -> Why | None:
        """What the gate of an item rests on now; None: it is not computed."""
        column = self._column.get(channel_id)
        row = int(self._row_of[item_id]) if item_id < self._row_of.size else -1
        for pool in self._pools:
            if column in pool.columns and row >= 0 and pool.told.gate[row, column] >= 0:
                usual, burst = rates(self._velocity, np.array([row], np.int32), self._hour(now_s), self._bursts)
                return why(
                    column, gate=int(pool.told.gate[row, column]), stock=int(self._stock[row, column]),
                    codes=[s.code for s in self.sellers], usual=usual[0], burst=float(burst[0]), bursts=self._bursts,
                    window_h=pool.rule.window_h, lag_s=sum(self.tell_s(channel_id)), setting=self._settings[column],
                )  # fmt: skip
        return None

    # Within --------------------------------------------------------------------------------------------------------

    def _hour(self, now_s: float) -> float:
        return (now_s - self._began_s) / 3600.0

    def _why_of(self, pool: _Pool, column: int, rows: Int32, now_s: float) -> list[Changed]:
        usual, burst = rates(self._velocity, rows, self._hour(now_s), self._bursts)
        unseen = usual * pool.rule.window_h[:, column]
        most = unseen.argmax(axis=1)
        n = np.arange(rows.size)
        now_per_h = usual[n, most] * (1.0 + (self._bursts.multiplier - 1.0) * burst)
        ids = [seller.channel_id for seller in self.sellers]
        lag_s = sum(self.tell_s(ids[column]))
        return [
            Changed(ids[column], item, units, stock, ids[m] if some > 0.0 else None, now, per_h, lag_s)
            for item, units, stock, m, some, now, per_h in zip(
                self._items[rows].tolist(), pool.told.gate[rows, column].tolist(), self._stock[rows, column].tolist(),
                most.tolist(), unseen[n, most].tolist(), now_per_h.tolist(), usual[n, most].tolist(), strict=True,
            )
        ]  # fmt: skip

    def _rows(self, items: Int32) -> Int32:
        """int32[n]: rows of items; those that have none get one."""
        highest = int(items.max(initial=0))
        if highest >= self._row_of.size:
            grown = np.full(max(highest + 1, 2 * self._row_of.size), -1, np.int32)
            grown[: self._row_of.size] = self._row_of
            self._row_of = grown
        rows = self._row_of[items]
        if (rows < 0).any():
            new = np.unique(items[rows < 0])
            first = self._count
            if first + new.size > self._items.size:
                self._resize(max(first + new.size, 2 * self._items.size))
            self._items[first : first + new.size] = new
            self._row_of[new] = np.arange(first, first + new.size, dtype=np.int32)
            self._count += new.size
            self._set_priors(first)
            self._velocity.at_h[first : self._count] = self._last_h
            for pool in self._pools:
                self._set_due(pool)
            rows = self._row_of[items]
        return rows

    def _resize(self, rows: int) -> None:
        """Room for so many items and all channels; what is known stays."""
        channels, old = len(self.sellers), self._velocity
        fresh = no_sales(np.full((rows, channels), self._unsold_per_h), worth_h=self._worth_h, bursts=self._bursts)
        for was, new in zip(old, fresh, strict=True):
            new[tuple(slice(n) for n in was.shape)] = was
        self._velocity = fresh
        self._items = _grown(self._items, (rows,), 0)
        self._noted = _grown(self._noted, (rows, channels), 0)
        self._stock = _grown(self._stock, (rows, channels), 0)
        self._is_news = _grown(self._is_news, (rows,), 0)
        for pool in self._pools:
            pool.told = _grown_told(pool.told, rows, channels)
            pool.due_s = _grown(pool.due_s, (rows,), np.inf)
            pool.kept = _grown(pool.kept, (rows, channels), 0)
            if pool.ranks:
                pool.rule = pool.rule._replace(kept=pool.kept)

    def _set_priors(self, first: int) -> None:
        """Priors of rows from `first` on."""
        prior = self._velocity.prior_units
        prior[first:] = self._unsold_per_h * self._worth_h
        self._velocity.prior_h[first:] = self._worth_h
        for row, item in enumerate(self._items[first : self._count].tolist(), first):
            for channel, per_h in self._prior.get(item, ()):
                if (column := self._column.get(channel)) is not None:
                    prior[row, column] = per_h * self._worth_h
        if self._forecast_items.size:
            self._set_forecasts(first)

    def _set_forecasts(self, first: int) -> None:
        """Priors of rows from `first` on that are forecast, shared out among the channels that sell."""
        items = self._items[first : self._count]
        place = np.minimum(np.searchsorted(self._forecast_items, items), self._forecast_items.size - 1)
        found = np.flatnonzero(self._forecast_items[place] == items)
        active = [column for column, seller in enumerate(self.sellers) if seller.is_active]
        if not found.size or not active:
            return
        rows = first + found
        at = np.ix_(rows, np.array(active))
        share = self._velocity.prior_units[at]
        unsold = np.array([item not in self._prior for item in self._items[rows].tolist()])
        share[unsold] = [1.0 + self._sold_on.get(self.sellers[column].channel_id, 0.0) for column in active]
        share /= share.sum(axis=1, keepdims=True)
        per_h = share * self._forecast_per_h[place[found], None]
        self._velocity.prior_units[at] = np.maximum(per_h, _LEAST_PER_H) * _WORTH_MOST_H
        self._velocity.prior_h[at] = _WORTH_MOST_H

    def _make_pools(self) -> None:
        before = {pool.nodes: pool for pool in self._pools}
        columns: dict[tuple[int, ...], list[int]] = {}
        for column, seller in enumerate(self.sellers):
            if seller.is_computed:
                columns.setdefault(seller.nodes, []).append(column)
        rows, channels = self._items.size, len(self.sellers)
        self._pools = []
        for nodes, members in columns.items():
            old = before.get(nodes)
            told = nothing_told(rows, channels) if old is None else _grown_told(old.told, rows, channels)
            for column in members:
                if old is None or column not in old.columns:
                    told.gate[:, column] = -1
            pool = _Pool(
                nodes=nodes, columns=members, rule=self._empty_rule(), told=told, due_s=np.full(rows, np.inf),
                kept=np.zeros((rows, channels), np.int32), ranks=self._ranks(set(nodes)),
            )  # fmt: skip
            self._set_due(pool)
            self._pools.append(pool)

    def _empty_rule(self) -> Rule:
        return rule_of(self._settings, np.zeros((len(self.sellers), len(self.sellers))))

    def _shares(self, seller: Seller, nodes: set[int]) -> bool:
        return seller.is_active and not nodes.isdisjoint(seller.nodes)

    def _ranks(self, nodes: set[int]) -> list[int]:
        """Columns that sell from `nodes`, best margin first; none where one is not known, or all are alike."""
        columns = [column for column, seller in enumerate(self.sellers) if self._shares(seller, nodes)]
        margins = {column: self.sellers[column].margin_rate for column in columns}
        if None in margins.values() or len(set(margins.values())) < 2:
            return []
        return sorted(columns, key=lambda column: -(margins[column] or 0.0))

    def _rule(self, pool: _Pool, window_h: Float64) -> Rule:
        """The rule of a pool: of channels outside, only what they sell from its nodes counts; within, what they hide is
        decided here where it is computed."""
        nodes = set(pool.nodes)
        sells = np.array([self._shares(seller, nodes) for seller in self.sellers])
        seen_h = np.where(sells[:, None], window_h, 0.0)
        settings = [
            s.setting if column in pool.columns or (s.is_active and s.nodes == pool.nodes) else GateSetting()
            for column, s in enumerate(self.sellers)
        ]
        rule = rule_of(
            settings, seen_h, taus=[self.taus.get(s.channel_id) for s in self.sellers],
            margins_minor=[s.margin_minor for s in self.sellers], kept=pool.kept if pool.ranks else None,
        )  # fmt: skip
        return rule._replace(rival=np.where(sells[:, None], rule.rival, 0.0))

    def _set_due(self, pool: _Pool) -> None:
        pool.due_s[:] = np.inf
        supply = self._supply
        if supply.items.size:
            mine = np.isin(supply.nodes, np.array(pool.nodes, np.int32)) & (supply.items < self._row_of.size)
            rows = self._row_of[supply.items[mine]]
            np.minimum.at(pool.due_s, rows[rows >= 0], supply.due_s[mine][rows >= 0])

    def _protect(self, pool: _Pool, rows: Int32, stock: Int32, supply_h: Float64, now_s: float) -> None:
        """Fill in what is kept for channels with better margins, where there is not enough for all until supply."""
        pool.kept[rows] = 0
        scarce = np.isfinite(supply_h) & (stock > 0)
        if not scarce.any():
            return
        rows, stock, supply_h = rows[scarce], stock[scarce], supply_h[scarce]
        usual, burst = rates(self._velocity, rows, self._hour(now_s), self._bursts)
        shape = self._velocity.prior_units[rows] + self._velocity.units[rows]
        hours = supply_h + (self._bursts.multiplier - 1.0) * burst * np.minimum(self._bursts.mean_h, supply_h)
        mean = (usual * hours[:, None])[:, pool.ranks]
        variance = mean + mean**2 / shape[:, pool.ranks]
        short = stock < mean.sum(axis=1) + _PLENTY * np.sqrt(variance.sum(axis=1))
        margins = [self.sellers[column].margin_rate or 0.0 for column in pool.ranks]
        for n in np.flatnonzero(short):
            levels = protection_units(margins, mean[n].tolist(), variance[n].tolist())
            for column, units in zip(pool.ranks, levels, strict=True):
                if column in pool.columns:
                    cap = self._settings[column].cap
                    pool.kept[rows[n], column] = min(units, _UNITS_MOST if cap is None else cap)


def _hours_until(due_s: Float64, now_s: float) -> tuple[Float64, Float64]:
    """Hours until supply is due, and until it is sure to have come; infinite where none is known, or it is too late to
    be believed in."""
    left_h = (due_s - now_s) / 3600.0
    is_known = left_h > -3.0 * LATE_H
    left_h = np.maximum(left_h, 0.0)
    return np.where(is_known, np.maximum(left_h, 0.5 * LATE_H), np.inf), np.where(is_known, left_h + LATE_H, np.inf)


def _grown(array: npt.NDArray[A], shape: tuple[int, ...], value: float) -> npt.NDArray[A]:
    grown = np.full(shape, value, array.dtype)
    grown[tuple(slice(n) for n in array.shape)] = array
    return grown


def _grown_told(told: Told, rows: int, channels: int) -> Told:
    return Told(
        gate=_grown(told.gate, (rows, channels), -1),
        waits=_grown(told.waits, (rows, channels), 0),
        most=_grown(told.most, (rows, channels, 2), 0),
        since_h=_grown(told.since_h, (rows, channels), -np.inf),
    )
