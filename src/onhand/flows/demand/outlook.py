"""What is expected to be asked for at each node, and how demand has answered to prices: what plans and campaigns go by.

Demand arises in regions and at counters; stock lies at nodes. What is sent to a region counts where it would best come
from, the node that is nearest to those who order there, whoever had the stock to send it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.dates import EPOCH
from onhand.db import queries
from onhand.demand.forecasts.model import summed
from onhand.demand.model import Corrections
from onhand.demand.panel import Forecast
from onhand.flows.demand.history import load_history
from onhand.flows.forecasts.read import Stored, forecast_of_items
from onhand.network.places import locate
from onhand.planning.campaigns.outlook import LEVELS, usual_outlook
from onhand.planning.elasticity import Responses, Sales, study, usual
from onhand.planning.model import Basis

SQL = queries(__file__)

Float64 = npt.NDArray[np.float64]

# Days of history: for the outlook, and for prices.
_OUTLOOK_DAYS: Final = 56
_PRICE_DAYS: Final = 2 * 364
USUAL: Final = "the same weekdays of the last eight weeks"
"""The name of the forecast that is made here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is expected of items at nodes, of each day from today on.

    levels     float64[Q], rising, in (0, 1)
    quantiles  float32[item, node, H, Q], units a day
    mean       float32[item, node, H]
    basis      the forecast, and the last day that it has seen
    """

    levels: Float64
    quantiles: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]
    basis: Basis


def read_outlook(
    conn: Connection[TupleRow], today: date, horizon: int, skus: Sequence[str], nodes: Sequence[str]
) -> Outlook:
    """What is expected of `skus` at `nodes` (codes) in the next `horizon` days.

    Demand of a region counts at the node that is nearest to where its orders go; where nobody ordered yet, to its
    middle. What lies nearest to a node that is not among `nodes` is left out. The latest forecast that is kept counts,
    if it covers these days, for the items that it knows; for others the same weekdays of the last eight weeks.
    """
    lately = read_days(conn, today, skus, days=_OUTLOOK_DAYS)
    stored = forecast_of_items(conn, skus, today, horizon, LEVELS)
    units = np.zeros((len(skus), len(nodes), _OUTLOOK_DAYS))
    places = {*lately.select("node", "region").unique().iter_rows()}
    if stored is not None:
        places |= {*zip(stored.node, stored.region, strict=True)}
    shares = _shares(conn, today, places, nodes)
    for (node, region), rows in lately.group_by("node", "region"):
        by_day = np.zeros((len(skus), _OUTLOOK_DAYS))
        at = rows["item"].to_numpy(), _OUTLOOK_DAYS - rows["ahead"].to_numpy()
        np.add.at(by_day, at, rows["demand"].to_numpy())
        for column, share in shares[node, region].items():
            units[:, column] += share * by_day
    mean, quantiles = expected(units.reshape(-1, _OUTLOOK_DAYS), horizon)
    shape = len(skus), len(nodes), horizon
    basis = Basis(forecast=USUAL, origin=today - timedelta(days=1))
    if stored is not None:
        _take_over(stored, shares, len(skus), len(nodes), mean, quantiles)
        basis = Basis(forecast=stored.name, origin=stored.origin - timedelta(days=1))
    return Outlook(
        levels=LEVELS,
        quantiles=quantiles.astype(np.float32).reshape(*shape, len(LEVELS)),
        mean=mean.astype(np.float32).reshape(shape),
        basis=basis,
    )


def _take_over(
    stored: Stored,
    shares: Mapping[tuple[str | None, str], Mapping[int, float]],
    items: int,
    nodes: int,
    mean: Float64,
    quantiles: Float64,
) -> None:
    """Put in place what was forecast, of the items that the forecast knows: rows are items, at each of the nodes."""
    parts = [
        (series, stored.item[series] * nodes + column, share)
        for series, place in enumerate(zip(stored.node, stored.region, strict=True))
        for column, share in shares[place].items()
    ]
    series, row, share = (np.array([part[n] for part in parts]) for n in range(3))
    made = summed(
        Forecast(
            levels=stored.forecast.levels, mean=stored.forecast.mean[series.astype(int)],
            quantiles=stored.forecast.quantiles[series.astype(int)],
        ),
        row.astype(np.int64), share.astype(np.float64), items * nodes,
    )  # fmt: skip
    known = np.repeat(np.isin(np.arange(items), stored.item), nodes)
    mean[known], quantiles[known] = made.mean[known], made.quantiles[known]


def read_days(conn: Connection[TupleRow], today: date, skus: Sequence[str], *, days: int = _PRICE_DAYS) -> pl.DataFrame:
    """Demand by day before today as History has it, with `item` (the place in `skus`) and `ahead`, days until today."""
    history = load_history(conn, until=today, items=skus, corrections=Corrections())
    number = {sku: n for n, sku in enumerate(skus)}
    return (
        history.days.filter(pl.col("day") >= today - timedelta(days=days))
        .join(history.series.select("series", "sku", "node", "region"), on="series")
        .with_columns(
            item=pl.col("sku").replace_strict(number, return_dtype=pl.Int32),
            ahead=(pl.lit(today) - pl.col("day")).dt.total_days(),
        )
    )


def units_lately(days: pl.DataFrame, items: int) -> Float64:
    """float64[item, day]: demand of the last eight weeks, everywhere."""
    units = np.zeros((items, _OUTLOOK_DAYS))
    lately = days.filter(pl.col("ahead") <= _OUTLOOK_DAYS)
    np.add.at(
        units, (lately["item"].to_numpy(), _OUTLOOK_DAYS - lately["ahead"].to_numpy()), lately["demand"].to_numpy()
    )
    return units


def expected(units: Float64, horizon: int) -> tuple[Float64, Float64]:
    """Mean and quantiles of `usual_outlook`. units float64[n, day], the last day yesterday"""
    # Of a shop that began lately only the whole weeks since then tell anything.
    days = units.shape[1]
    began = int(np.flatnonzero(units.any(axis=0)).min(initial=days))
    weeks = max(1, (days - began) // 7)
    return usual_outlook(units[:, -7 * weeks :], horizon)


def _shares(
    conn: Connection[TupleRow], today: date, places: Collection[tuple[str | None, str]], nodes: Sequence[str]
) -> dict[tuple[str | None, str], dict[int, float]]:
    """Which share of a place's demand counts at which of `nodes` (by place in it)."""
    column = {code: n for n, code in enumerate(nodes)}
    shipping = conn.execute(SQL["nodes_that_send"]).fetchall()
    codes = [code for code, _, _ in shipping]
    towards = _directions([(latitude, longitude) for _, latitude, longitude in shipping])
    points = _destinations(conn, today)
    found: dict[tuple[str | None, str], dict[int, float]] = {}
    for node, region in places:
        if node is not None:
            found[node, region] = {column[node]: 1.0} if node in column else {}
            continue
        told = points.get(region) or _middle(region)
        if not codes or not told:
            # Nobody knows where: everywhere alike.
            found[node, region] = dict.fromkeys(range(len(nodes)), 1.0 / max(len(codes), len(nodes), 1))
            continue
        nearest = (_directions([point for point, _ in told]) @ towards.T).argmax(axis=1)
        weight = np.array([orders for _, orders in told], np.float64)
        parts = np.bincount(nearest, weight, minlength=len(codes)) / weight.sum()
        found[node, region] = {
            column[codes[n]]: float(parts[n]) for n in np.flatnonzero(parts).tolist() if codes[n] in column
        }
    return found


def _destinations(conn: Connection[TupleRow], today: date) -> Mapping[str, list[tuple[tuple[float, float], int]]]:
    """Where the latest orders of each region went: (latitude, longitude) and how many."""
    # The least id of an order of that moment: 48 bits of milliseconds come first (RFC 9562).
    before = UUID(int=int(datetime.combine(today, time(), UTC).timestamp() * 1000) << 80)
    found: dict[str, list[tuple[tuple[float, float], int]]] = {}
    for place, country, region, postal_code, latitude, longitude, orders in conn.execute(
        SQL["destinations"], {"before": before}
    ):
        if (point := locate(country, region, postal_code, latitude, longitude)) is not None:
            found.setdefault(place, []).append(((point.latitude, point.longitude), orders))
    return found


def _middle(region: str) -> list[tuple[tuple[float, float], int]]:
    country, _, part = region.partition("-")
    point = locate(country, part or None) if country else None
    return [] if point is None else [((point.latitude, point.longitude), 1)]


def _directions(points: Sequence[tuple[float, float]]) -> Float64:
    """float64[n, 3]: the nearer two points of the globe, the larger the product of their directions."""
    latitude, longitude = np.radians(np.array(points, np.float64).reshape(-1, 2)).T
    return np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )


def responses_of(days: pl.DataFrame, categories: Sequence[str], today: date) -> Responses:
    """How items answer to prices, from weekly sales by item and place; a week without sales has the price of the one
    before it.

    days        as `read_days` gave them; categories: of each item, "" of none
    """
    category = np.unique(np.array(categories, np.str_), return_inverse=True)[1].astype(np.int32)
    # Items of no category are not one another's.
    alone = np.array([not c for c in categories], np.bool_)
    category[alone] = category.max(initial=0) + 1 + np.arange(int(alone.sum()))
    last = (today - EPOCH).days
    weekly = (
        days.with_columns(
            week=(pl.col("ahead") - 1) // 7,
            place=pl.concat_str(pl.col("node").fill_null(""), pl.lit("\0"), pl.col("region").fill_null("")),
        )
        .group_by("item", "place", "week")
        .agg(
            units=pl.col("demand").sum(),
            price=(pl.col("price_minor") * pl.col("demand")).filter(pl.col("price_minor") > 0).sum()
            / pl.col("demand").filter(pl.col("price_minor") > 0).sum(),
        )
        .filter(pl.col("price").is_finite())
    )
    if weekly.is_empty():
        return usual(category, _equal_shares(category))
    spans = weekly.group_by("item", "place").agg(oldest=pl.col("week").max())
    every = spans.with_columns(week=pl.int_ranges(0, pl.col("oldest") + 1)).explode("week").drop("oldest")
    full = _filled(every, weekly)
    places = full["place"].unique().sort()
    place = full["place"].replace_strict({p: n for n, p in enumerate(places.to_list())}, return_dtype=pl.Int32)
    return study(
        Sales(
            item=full["item"].to_numpy().astype(np.int32),
            place=place.to_numpy().astype(np.int32),
            period=(last // 7 - full["week"].to_numpy()).astype(np.int32),
            units=np.maximum(full["units"].to_numpy(), 0.0),
            price=full["price"].to_numpy(),
            category=category,
            flags=np.zeros((len(full), 0)),
        )
    ).responses


def _filled(every: pl.DataFrame, weekly: pl.DataFrame) -> pl.DataFrame:
    """All weeks, oldest first; one without sales has 0 units and the price before it."""
    return (
        every.join(weekly, on=["item", "place", "week"], how="left")
        .sort(["item", "place", "week"], descending=[False, False, True])
        .with_columns(pl.col("units").fill_null(0.0), pl.col("price").forward_fill().over(["item", "place"]))
    )


def _equal_shares(category: npt.NDArray[np.int32]) -> Float64:
    return 1.0 / np.bincount(category)[category]
