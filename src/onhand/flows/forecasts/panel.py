"""Panels of demand out of the database: of all items, or of some thousand at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.demand import store
from onhand.demand.assemble import Coding, Sums, add_sums, by_period, daily, panel_of_history, sums_of
from onhand.demand.forecasts.model import Settings
from onhand.demand.model import History
from onhand.demand.panel import Int64, Panel
from onhand.flows.demand.history import load_history, load_places
from onhand.flows.demand.signals import Signals, load_signals

SQL = queries(__file__)

# A series of which nothing was wanted for a year is at rest: nobody asks what will be wanted of it.
_ALIVE_DAYS: Final = 364
SERIES_AT_ONCE: Final = 5_000
"""Of a stretch, about: what is loaded, forecast and written at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item of which something was wanted, and at how many places."""

    item_id: int
    sku: str
    category: str
    places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Demand of some items before an origin, signals as they were known then, and the key of each series: int64[n]
    each; channel -1: channels are summed, 0: of none."""

    settings: Settings
    origin: date
    since: date
    history: History
    signals: Signals
    item: Int64
    place: Int64
    channel: Int64

    def panel(
        self,
        coding: Coding | None = None,
        names: tuple[Sequence[str], Sequence[str]] | None = None,
        sums: Sums | None = None,
    ) -> Panel:
        """As models read it.

        coding  of what was learned; None: its own
        names   signals, known ahead and of the past, of what was learned; None: all that anybody hears
        sums    over all items, of which these are some; None: these are all
        """
        numbers = Coding.of(self.history.series) if coding is None else coding
        panel = panel_of_history(
            self.history, since=self.since, origin=self.origin, freq=self.settings.freq,
            horizon=self.settings.horizon, coding=numbers, known=self.signals.known, past=self.signals.past,
            names=names,
        )  # fmt: skip
        return panel if sums is None else replace(panel, sums=sums_of(sums, numbers))


def items_of(conn: Connection[TupleRow], until: date) -> list[Item]:
    """Items of which anything was wanted in the year before a day, by id."""
    asked = {"since": until - timedelta(days=_ALIVE_DAYS), "until": until}
    return [
        Item(item_id=item_id, sku=sku, category=category, places=places)
        for item_id, sku, category, places in conn.execute(SQL["items"], asked)
    ]


def days_of(conn: Connection[TupleRow], until: date) -> tuple[date, date] | None:
    """The first and the last day before `until` on which anything was wanted; None: there is none."""
    row = conn.execute(SQL["days"], {"until": until}).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


def stretches(items: Sequence[Item], *, after: int = 0) -> Iterator[list[Item]]:
    """Items behind `after`, so many at a time that they have some thousand series."""
    some: list[Item] = []
    count = 0
    for item in items:
        if item.item_id <= after:
            continue
        if some and count + item.places > SERIES_AT_ONCE:
            yield some
            some, count = [], 0
        some.append(item)
        count += item.places
    if some:
        yield some


def read_history(conn: Connection[TupleRow], settings: Settings, origin: date, items: Sequence[Item]) -> History:
    """Demand of these items before the origin, of series that are alive."""
    history = load_history(
        conn, until=origin, items=[item.sku for item in items], by_channel=settings.by_channel
    )  # fmt: skip
    alive = (
        history.days.filter((pl.col("demand") > 0) & (pl.col("day") >= origin - timedelta(days=_ALIVE_DAYS)))["series"]
        .unique()
        .sort()
    )
    numbers = pl.DataFrame({"series": alive, "new": pl.Series(range(len(alive)), dtype=pl.Int32)})
    return History(
        series=history.series.join(numbers, on="series").sort("new").drop("series").rename({"new": "series"}),
        days=history.days.join(numbers, on="series").drop("series").rename({"new": "series"}).sort("series", "day"),
        until=history.until,
    )


def load(conn: Connection[TupleRow], settings: Settings, origin: date, items: Sequence[Item], since: date) -> Loaded:
    """Some items as they were known at the origin, from `since` on (see `assemble.begin`)."""
    history = read_history(conn, settings, origin, items)
    signals = Signals(known=(), past=())
    if len(history.series):
        signals = load_signals(
            conn, origin=origin, horizon=settings.horizon * settings.period_days, since=since, series=history.series
        )
    item, place, channel = keys_of(conn, history.series)
    return Loaded(
        settings=settings, origin=origin, since=since, history=history, signals=signals, item=item, place=place,
        channel=channel,
    )  # fmt: skip


def sum_up(
    conn: Connection[TupleRow],
    settings: Settings,
    origin: date,
    items: Sequence[Item],
    since: date,
    progress: Callable[[int], None] = lambda _: None,
) -> Sums:
    """What all series of each kind were asked for: of more items than are looked at at a time."""
    sums: Sums = {}
    done = 0
    for some in stretches(items):
        history = read_history(conn, settings, origin, some)
        add_sums(sums, history, by_period(daily(history, since, origin), settings.freq))
        done += len(some)
        progress(done)
    return sums


def keys_of(conn: Connection[TupleRow], series: pl.DataFrame) -> tuple[Int64, Int64, Int64]:
    """item_id, place_id and channel_id of series of a History."""
    items = store.item_ids(conn, series["sku"].unique().to_list())
    places = {(p.node, "" if p.node else p.region): p.place_id for p in load_places(conn).values()}
    channels = store.channel_ids(conn, series["channel"].drop_nulls().unique().to_list())
    rows = series.select("sku", "node", "region", "channel").rows()
    return (
        np.array([items[sku] for sku, _, _, _ in rows], np.int64),
        np.array([places[node, "" if node else region] for _, node, region, _ in rows], np.int64),
        np.array(
            [-1 if channel is None else channels.get(channel, 0) for _, _, _, channel in rows], np.int64
        ),
    )  # fmt: skip
