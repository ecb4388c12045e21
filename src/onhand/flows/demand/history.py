"""Load demand by item, place and day, as it was wanted: for whoever learns from it, and for the API.

Item by item in stretches of them, so that memory holds the days of a stretch and its lines, never all lines.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.demand import correct, store
from onhand.demand.correct import KEY, LINES, day_number
from onhand.demand.model import CORRECTED, Corrections, History
from onhand.demand.stock_outs import HOURS, closed_shares, hour_weights

SQL = queries(__file__)

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

_ITEMS_AT_ONCE, _LINES_AT_ONCE = 5_000, 1_000_000
_INTS: Final[dict[str, store.Kind]] = dict.fromkeys(LINES, "int")
_CLOSED: Final[dict[str, store.Kind]] = {**dict.fromkeys((*KEY, "day"), "int"), "share": "float"}
_TURNS: Final[dict[str, store.Kind]] = dict.fromkeys(("item", "node", "at", "delta"), "int")
_KEY_TYPES: Final = {"item": pl.Int64, "place": pl.Int64, "channel": pl.Int64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place of demand. node_id, node None: a region; region "": nobody told where."""

    place_id: int
    node_id: int | None
    node: str | None
    region: str
    timezone: str


def load_history(
    conn: Connection[TupleRow],
    *,
    until: date,
    items: Sequence[str] | None = None,
    places: Sequence[int] | None = None,
    corrections: Corrections = CORRECTED,
    by_channel: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> History:
    """Demand of every day before `until`, from orders, imports and sales over counters.

    items       skus; None: all. places: place_ids (see `load_places`); None: all
    by_channel  a series for each channel, otherwise channels are summed
    progress    told how many of how many stretches of items are done

    Orders count as far as they were folded (see fold.py). Stock-outs come from the ledger: an item is out at a node
    while none is available beyond its safety stock, and in a region while that is so at every node that its channel
    ships from; and from imports that tell of hours without stock.
    """
    known = load_places(conn)
    chosen = None if items is None else sorted(store.item_ids(conn, items).values())
    weights = _hour_weights(conn, until)
    sets = node_sets(conn)
    frames: list[pl.DataFrame] = []
    stretches = list(_stretches(conn, chosen))
    for number, (first, last) in enumerate(stretches, 1):
        asked: dict[str, Any] = {
            "first": first, "last": last, "until": until, "items": chosen,
            "places": None if places is None else list(places),
        }  # fmt: skip
        rows = _stretch(conn, asked, until, corrections, known, weights, sets)
        frames.append(correct.packed(rows if by_channel else correct.summed(rows)))
        if progress is not None:
            progress(number, len(stretches))
    found = pl.concat([frame for frame in frames if not frame.is_empty()] or frames[:1] or [correct.packed(_no_rows())])
    return correct.put_together(found, _names(conn, found, known), until)


def load_places(conn: Connection[TupleRow]) -> dict[int, Place]:
    """Every place that demand has arisen at, by place_id."""
    return {
        place_id: Place(place_id=place_id, node_id=node_id, node=node, region=region, timezone=timezone)
        for place_id, node_id, node, region, timezone in conn.execute(SQL["places"])
    }


def _no_rows() -> pl.DataFrame:
    none = pl.DataFrame(schema=dict.fromkeys(LINES, pl.Int64))
    closed = pl.DataFrame(schema={**_KEY_TYPES, "day": pl.Int64, "share": pl.Float64})
    return correct.history(correct.daily(none, none, CORRECTED), closed, 0, CORRECTED)


def _stretches(conn: Connection[TupleRow], chosen: Sequence[int] | None) -> Iterator[tuple[int, int]]:
    """(first, last) item ids, of as many items as fit."""
    first = last = -1
    items = lines = 0
    for item, count in conn.execute(SQL["item_lines"], {"items": chosen}).fetchall():
        if items and (items == _ITEMS_AT_ONCE or lines + count > _LINES_AT_ONCE):
            yield first, last
            items = lines = 0
        first = first if items else item
        last, items, lines = item, items + 1, lines + count
    if items:
        yield first, last


def _hour_weights(conn: Connection[TupleRow], until: date) -> Float64:
    lines = np.zeros(HOURS)
    # The least id of an order of that moment: 48 bits of milliseconds come first (RFC 9562).
    moment = datetime.combine(until, time(), UTC)
    before = UUID(int=max(int(moment.timestamp() * 1000), 0) << 80)
    for hour, count in conn.execute(SQL["hours"], {"until": until, "before": before}):
        lines[hour] = count
    return hour_weights(lines)


def node_sets(conn: Connection[TupleRow]) -> dict[int, frozenset[int]]:
    """The nodes that a channel ships from, by channel_id; 0, of no channel: all that are active."""
    active = frozenset(node for (node,) in conn.execute(SQL["shipping_nodes"]))
    sets = {0: active}
    for channel, _, nodes in conn.execute(SQL["channels"]):
        sets[channel] = active if nodes is None else active & frozenset(nodes)
    return sets


def _stretch(
    conn: Connection[TupleRow],
    asked: dict[str, Any],
    until: date,
    corrections: Corrections,
    places: dict[int, Place],
    weights: Float64,
    sets: dict[int, frozenset[int]],
) -> pl.DataFrame:
    lines = pl.DataFrame(store.fetch(conn, SQL["order_lines"], asked, _INTS))
    sales = pl.DataFrame(store.fetch(conn, SQL["other_sales"], asked, _INTS))
    days = correct.daily(lines, sales, corrections)
    told = pl.DataFrame(store.fetch(conn, SQL["told_stock_outs"], asked, _CLOSED))
    # By the clock of UTC: half a day more than any place needs.
    end = datetime.combine(until + timedelta(days=1), time(), UTC)
    turns = store.fetch(conn, SQL["stock_turns"], {**asked, "end": end}, _TURNS)
    seen = _closed(days.select(KEY).unique(), turns, until, places, weights, sets)
    closed = pl.concat([told, seen]).group_by(*KEY, "day").agg(pl.col("share").max())
    return correct.history(days, closed, day_number(until), corrections)


def _closed(
    series: pl.DataFrame,
    turns: dict[str, Int64],
    until: date,
    places: dict[int, Place],
    weights: Float64,
    sets: dict[int, frozenset[int]],
) -> pl.DataFrame:
    """KEY, day, share: when each series had nothing to sell."""
    found = [pl.DataFrame(schema={**_KEY_TYPES, "day": pl.Int64, "share": pl.Float64})]
    alike: dict[tuple[str, frozenset[int] | None], list[tuple[int, int]]] = {}
    for place_id, channel in series.select("place", "channel").unique().sort("place", "channel").iter_rows():
        place = places[place_id]
        nodes = None if place.node_id is not None else sets.get(channel, sets[0])
        alike.setdefault((place.timezone, nodes), []).append((place_id, channel))
    for (timezone, nodes), pairs in alike.items():
        of = pl.DataFrame(pairs, schema={"place": pl.Int64, "channel": pl.Int64}, orient="row")
        hears = series.join(of, on=["place", "channel"], how="semi")
        if nodes is None:
            node_of = {p: node for p, _ in pairs if (node := places[p].node_id) is not None}
            hears = hears.with_columns(node=pl.col("place").replace_strict(node_of, return_dtype=pl.Int64))
            is_of = np.isin(turns["node"], list(node_of.values()))
            group = turns["item"] << 32 | turns["node"]
        else:
            hears = hears.with_columns(node=pl.lit(0, pl.Int64))
            is_of = np.isin(turns["node"], list(nodes))
            group = turns["item"] << 32
        shares = closed_shares(
            group[is_of], turns["at"][is_of], turns["delta"][is_of], timezone=timezone, weights=weights,
            until=day_number(until),
        )  # fmt: skip
        table = pl.DataFrame(dict(zip(("group", "day", "share"), shares, strict=True))).select(
            (pl.col("group") // (1 << 32)).alias("item"), (pl.col("group") % (1 << 32)).alias("node"),
            pl.col("day").cast(pl.Int64), "share",
        )  # fmt: skip
        found.append(hears.join(table, on=["item", "node"]).select(*KEY, "day", "share"))
    return pl.concat(found)


def _names(conn: Connection[TupleRow], rows: pl.DataFrame, places: dict[int, Place]) -> pl.DataFrame:
    """The public names of series: see `correct.put_together`."""
    keys = rows.select(KEY).unique()
    items = conn.execute(SQL["item_names"], {"items": keys["item"].unique().to_list()}).fetchall()
    channels: dict[int, str | None] = {channel: code for channel, code, _ in conn.execute(SQL["channels"])}
    item_table = pl.DataFrame(items, schema={"item": pl.Int32, "sku": pl.String, "category": pl.String}, orient="row")
    place_table = pl.DataFrame(
        [(p.place_id, p.node, p.region, p.timezone) for p in places.values()],
        schema={"place": pl.Int32, "node": pl.String, "region": pl.String, "timezone": pl.String},
        orient="row",
    )
    channel_table = pl.DataFrame(
        [*(channels | {0: "", -1: None}).items()],
        schema={"channel": pl.Int32, "channel_code": pl.String},
        orient="row",
    )
    return keys.join(item_table, on="item").join(place_table, on="place").join(channel_table, on="channel")
