"""Items that were never sold, in stored forecasts: which there are, where they may sell, and what their siblings say.

Siblings are series of items that sell: all of them, of more than are looked at at a time some, those of the same
categories first. So what is said of a newcomer does not depend on which items happen to be forecast beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.demand import cold_start
from onhand.demand.assemble import Coding
from onhand.demand.forecasts.model import NEVER_SOLD, Rows, Settings
from onhand.demand.panel import Forecast, Int64, Panel
from onhand.flows.demand.history import Place, load_places, node_sets
from onhand.flows.forecasts import panel as reading
from onhand.flows.forecasts.panel import Item

SQL = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer(Item):
    """An item that was never sold, at the places where it may sell.

    share  in (0, 1]: how far siblings speak for it, the less the longer it is there without being sold
    place, channel  int64[places], of its series; channel as in `Loaded`
    """

    share: float
    place: Int64
    channel: Int64


class Found(NamedTuple):
    """Newcomers by id, and how many more there are than a run makes room for."""

    newcomers: list[Newcomer]
    left_out: int


def find(conn: Connection[TupleRow], settings: Settings, origin: date, items: Sequence[Item]) -> Found:
    """Items of which nothing was ever wanted before the origin, and that are there, on their way, or listed.

    items  those that sell. Newcomers have as many series as these, or as a stretch has, at most: what is there or on
           its way goes first, then what is newest

    A newcomer may sell where its siblings sell (what is of its category; if nothing of it sells anywhere, all items):
    at nodes where it is, comes to, or that a channel has which lists it, and in regions if one of these nodes ships. Of
    channels those count that list it, and any if none does.
    """
    rows = conn.execute(SQL["never_sold"], {"until": origin}).fetchall()
    if not rows:
        return Found([], 0)
    since = origin - timedelta(days=cold_start.RECENT[settings.freq] * settings.period_days)
    sold = conn.execute(SQL["sold_at"], {"since": since, "until": origin}).fetchall()
    places = _Places.of(sold, load_places(conn), settings)
    sets = node_sets(conn)
    sending = {node for (node,) in conn.execute(SQL["nodes_that_ship"])}
    known: dict[tuple[str, frozenset[int], tuple[int, ...]], tuple[Int64, Int64]] = {}
    found: list[tuple[bool, Newcomer]] = []
    for item_id, sku, category, first, at, channels in rows:
        share = _share(first, origin, settings)
        if share == 0:
            continue
        nodes = (sets[0] & frozenset(at)).union(*(sets.get(channel, sets[0]) for channel in channels))
        key = category, nodes, tuple(channels)
        if key not in known:
            known[key] = places.pairs(category, nodes, channels, can_ship=bool(nodes & sending))
        place, channel = known[key]
        if len(place):
            one = Newcomer(
                item_id=item_id, sku=sku, places=len(place), category=category, share=share, place=place,
                channel=channel,
            )  # fmt: skip
            found.append((bool(at), one))
    found.sort(key=lambda one: (not one[0], -one[1].item_id))
    room = max(reading.SERIES_AT_ONCE, sum(item.places for item in items))
    total = np.cumsum([one.places for _, one in found])
    kept = int(np.searchsorted(total, room, side="right"))
    return Found(sorted((one for _, one in found[:kept]), key=lambda one: one.item_id), len(found) - kept)


def _share(first: date | None, origin: date, settings: Settings) -> float:
    """first: the day from which on there was a unit to be sold; None: there was none yet."""
    days = 0 if first is None else (origin - first).days
    return float(cold_start.share_at(np.array([days // settings.period_days], np.int64), settings.freq)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where items sell, arrays[k] each by category, None: any: place, channel, and the place's node, 0: a region."""

    sold: Mapping[str | None, tuple[Int64, Int64, Int64]]
    by_channel: bool

    @classmethod
    def of(cls, sold: Sequence[TupleRow], places: Mapping[int, Place], settings: Settings) -> "_Places":
        rows: dict[str | None, set[tuple[int, int]]] = {None: set()}
        for category, place, channel in sold:
            rows.setdefault(category, set()).add((place, channel))
            rows[None].add((place, channel))
        found: dict[str | None, tuple[Int64, Int64, Int64]] = {}
        for category, pairs in rows.items():
            table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
            nodes = np.array([places[place].node_id or 0 for place in table[:, 0].tolist()], np.int64)
            found[category] = table[:, 0], table[:, 1], nodes
        return cls(sold=found, by_channel=settings.by_channel)

    def pairs(
        self, category: str, nodes: frozenset[int], channels: Sequence[int], *, can_ship: bool
    ) -> tuple[Int64, Int64]:
        """(place, channel) of series."""
        place, channel, node = self.sold.get(category, self.sold[None])
        mine = np.where(node > 0, np.isin(node, [*nodes]), can_ship)
        if channels:
            mine &= (channel == 0) | np.isin(channel, channels)
        if self.by_channel:
            return place[mine], channel[mine]
        only = np.unique(place[mine])
        return only, np.full(len(only), -1, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Siblings:
    """Series that sell, and what was forecast of them by who is in charge, and by who is on trial.

    panel  coded by `coding`, without signals
    """

    panel: Panel
    coding: Coding
    champion: Forecast
    challenger: Forecast | None

    def rows(self, conn: Connection[TupleRow], newcomers: Sequence[Newcomer]) -> Rows:
        """Series of newcomers, as they are stored: all that there is to be said of them is what siblings say."""
        count = [one.places for one in newcomers]
        item, place, channel = (
            np.repeat(np.array([one.item_id for one in newcomers], np.int64), count),
            np.concatenate([one.place for one in newcomers]),
            np.concatenate([one.channel for one in newcomers]),
        )
        places = load_places(conn)
        of = [places[number] for number in place.tolist()]
        codes = dict(conn.execute(SQL["channels"]).fetchall())
        series = pl.DataFrame(
            {
                "sku": np.repeat(np.array([one.sku for one in newcomers], np.object_), count).tolist(),
                "category": np.repeat(np.array([one.category for one in newcomers], np.object_), count).tolist(),
                "node": [one.node for one in of],
                "region": [one.region for one in of],
                "channel": [codes.get(number, "") if number >= 0 else None for number in channel.tolist()],
            },
            schema=dict.fromkeys(("sku", "category", "node", "region", "channel"), pl.String),
        )
        static = self.coding.numbers(series)
        share = np.repeat(np.array([one.share for one in newcomers]), count)
        made, other = (
            None if of is None else cold_start.never_sold(self.panel, of, static, share)
            for of in (self.champion, self.challenger)
        )
        assert made is not None, "somebody is in charge"
        return Rows(
            item=item, place=place, channel=channel, segment=np.full(len(item), NEVER_SOLD, np.int64),
            scale=np.zeros(len(item)), champion=made, challenger=other, baseline=made,
        )  # fmt: skip


def siblings_of(newcomers: Sequence[Newcomer], items: Sequence[Item], seed: int) -> list[Item]:
    """Some of `items`, of the categories of newcomers first, that have about as many series as are looked at at a
    time."""
    wanted = {one.category for one in newcomers}
    order: list[int] = np.random.default_rng(seed).permutation(len(items)).tolist()
    order.sort(key=lambda number: items[number].category not in wanted)
    some: list[Item] = []
    count = 0
    for number in order:
        if count >= reading.SERIES_AT_ONCE:
            break
        some.append(items[number])
        count += items[number].places
    return sorted(some, key=lambda item: item.item_id)
