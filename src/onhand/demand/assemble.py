"""History and signals, as flows load them, as a panel that models read. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from onhand.demand.correct import day_number
from onhand.demand.frames import unique_ids
from onhand.demand.model import History
from onhand.demand.panel import Float64, Freq, Int64, Panel, trim
from onhand.demand.signals import Aligned

DAYS: Final = 3 * 364
"""Of history: three years tell a season twice."""
# Of more kinds there is too little in each to learn anything of them.
_KINDS_MAX: Final = 5_000
_DAYS_OF: Final[Mapping[str, int]] = {"D": 1, "W": 7}


Sums = dict[str, dict[str, Float64]]
"""What all series of a kind were asked for, float64[T]: by name of the kind, by its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """Numbers for what series are of, so that what was learned of some is understood of others: by name of a kind
    (item, category, place, channel), by its value. Values that are not in it share a number."""

    kinds: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, series: pl.DataFrame) -> "Coding":
        """Of `series` of a History; kinds of which there is one say nothing, nor items that are at one place each."""
        kinds = _kinds(series)
        if len(set(kinds["item"])) == len(series):
            del kinds["item"]
        return cls.of_names(kinds)

    @classmethod
    def of_names(cls, names: Mapping[str, Collection[str]]) -> "Coding":
        """Of the values of each kind."""
        return cls(
            kinds={
                kind: {value: number for number, value in enumerate(sorted(set(values)))}
                for kind, values in names.items()
                if 1 < len(set(values)) <= _KINDS_MAX
            }
        )

    def numbers(self, series: pl.DataFrame) -> dict[str, Int64]:
        """int64[n] by name of a kind."""
        of = _kinds(series)
        return {
            name: np.array([numbers.get(value, len(numbers)) for value in of[name]], np.int64)
            for name, numbers in self.kinds.items()
        }


def add_sums(sums: Sums, history: History, y: Float64) -> None:
    """Add what series of each kind were asked for, float64[n, T], to sums over all of them."""
    whole = np.nan_to_num(y)
    for name, values in _kinds(history.series).items():
        of = sums.setdefault(name, {})
        names, places = np.unique(np.array(values, np.str_), return_inverse=True)
        total = np.zeros((len(names), y.shape[1]))
        np.add.at(total, places, whole)
        for value, row in zip(names.tolist(), total, strict=True):
            of[value] = of[value] + row if value in of else row


def sums_of(sums: Sums, coding: Coding) -> dict[str, Float64]:
    """Sums as a panel has them: by the numbers of a coding, the last of which stands for all that are not in it."""
    found: dict[str, Float64] = {}
    for name, numbers in coding.kinds.items():
        rows = sums.get(name, {})
        periods = len(next(iter(rows.values()))) if rows else 0
        total = np.zeros((len(numbers) + 1, periods))
        for value, row in rows.items():
            total[numbers.get(value, len(numbers))] += row
        found[name] = total
    return found


def _kinds(series: pl.DataFrame) -> dict[str, list[str]]:
    where = pl.col("node").fill_null(pl.col("region"))
    return {
        "item": series["sku"].to_list(),
        "category": series["category"].fill_null("").to_list(),
        "place": series.select(where)[:, 0].to_list(),
        "channel": series["channel"].fill_null("").to_list(),
    }


def begin(first: date, origin: date, freq: Freq) -> date:
    """The day on which a panel begins whose demand began on `first`: whole periods before the origin, three years of
    them at most, one at least."""
    days = _DAYS_OF[freq]
    length = min(DAYS, max(days, (origin - first).days))
    return origin - timedelta(days=-(-length // days) * days)


def panel_of_history(
    history: History,
    *,
    since: date,
    origin: date,
    freq: Freq,
    horizon: int,
    coding: Coding,
    known: Sequence[Aligned] = (),
    past: Sequence[Aligned] = (),
    names: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Panel:
    """The panel of `history` from `since` (see `begin`) on, forecast from `origin`.

    known, past  as flows/demand/signals.py loads them, from `since` on
    names        signals known ahead and of the past that a model looks at: those that are not there are not known, and
                 others are left out; None: all that anybody hears
    """
    days = _DAYS_OF[freq]
    observed = (origin - since).days
    table = daily(history, since, origin)
    y = table if days == 1 else _weeks(table, sums=True)
    periods = observed // days
    begins = day_number(since) + days * np.arange(periods + horizon)

    def signals(aligned: Sequence[Aligned], wanted: Sequence[str] | None, length: int) -> dict[str, Float64]:
        found = {
            signal.name: _values(signal, days, length)
            for signal in aligned
            if (wanted is None and (signal.index >= 0).any()) or (wanted is not None and signal.name in wanted)
        }
        return found | {name: np.full((1, length), np.nan) for name in wanted or () if name not in found}

    wanted_known, wanted_past = (None, None) if names is None else names
    return Panel(
        ids=unique_ids(history.series), freq=freq, dates=(begins + days - 1).astype("datetime64[D]"), y=trim(y),
        known=_in_order(signals(known, wanted_known, periods + horizon), wanted_known),
        past=_in_order(signals(past, wanted_past, periods), wanted_past),
        static=coding.numbers(history.series),
    )  # fmt: skip


def _in_order(found: dict[str, Float64], names: Sequence[str] | None) -> dict[str, Float64]:
    return {name: found[name] for name in (sorted(found) if names is None else names)}


def daily(history: History, since: date, until: date) -> Float64:
    """float64[n, D], demand of each day from `since` to `until` (exclusive); NaN: before the first, or nobody knows,
    since nothing was there to be sold."""
    first, length = day_number(since), (until - since).days
    begins = history.series["first_day"].cast(pl.Int32).to_numpy() - first
    table = np.where(np.arange(length) >= begins[:, None], 0.0, np.nan)
    rows = history.days.filter((pl.col("day") >= since) & (pl.col("day") < until))
    demand = np.maximum(rows["demand"].to_numpy().astype(np.float64), 0.0)
    is_closed = (rows["open_share"].to_numpy() <= 0) & (demand <= 0)
    table[rows["series"].to_numpy(), rows["day"].cast(pl.Int32).to_numpy() - first] = np.where(
        is_closed, np.nan, demand
    )
    return table


def by_period(table: Float64, freq: Freq) -> Float64:
    """float64[n, periods] of days float64[n, D], as many whole periods as there are."""
    days = _DAYS_OF[freq]
    whole = table[:, : table.shape[1] // days * days]
    return whole if days == 1 else _weeks(whole, sums=True)


def _values(signal: Aligned, days: int, length: int) -> Float64:
    index = signal.index
    if (index == index[0]).all():
        rows = signal.rows[index[:1]] if index[0] >= 0 else np.full((1, signal.rows.shape[1]), np.nan)
    else:
        rows = np.where(index[:, None] >= 0, signal.rows[index], np.nan)
    rows = rows[:, : days * length]
    return rows if days == 1 else _weeks(rows, sums=False)


def _weeks(table: Float64, *, sums: bool) -> Float64:
    """Of days float64[n, 7 w]: sums or means of those that are known; NaN: none is."""
    weeks = table.reshape(len(table), -1, 7)
    there = np.isfinite(weeks)
    count, total = there.sum(axis=2), np.where(there, weeks, 0.0).sum(axis=2)
    return np.where(count > 0, total if sums else total / np.maximum(count, 1), np.nan)
