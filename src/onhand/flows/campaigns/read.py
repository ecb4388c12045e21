"""What an assessment is made from: the network and its stock as they are now, how orders look, what is expected, and
how demand has answered to prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.dates import EPOCH
from onhand.db import queries
from onhand.demand.model import Corrections
from onhand.errors import Conflict, FieldError, InvalidInput
from onhand.flows.demand.history import load_history
from onhand.flows.forecasts.read import forecast_of_items
from onhand.flows.in_force import read_node_facts
from onhand.flows.simulation.read import read_period
from onhand.planning.campaigns.baskets import facts_of
from onhand.planning.campaigns.model import DAY, Demand, World
from onhand.planning.campaigns.outlook import LEVELS, usual_outlook
from onhand.planning.elasticity import Responses, Sales, study, usual
from onhand.simulation.history import NO_MOVES, History, Moves
from onhand.simulation.rules import PolicyRules
from onhand.sourcing.expected import HISTORY_DAYS
from onhand.sourcing.policies import store as policies
from onhand.sourcing.policies.asking import facts_of_nodes
from onhand.sourcing.policies.select import compile_policy

SQL = queries(__file__)

# Items of the same categories that are looked at besides; days of history: for the outlook, and for prices.
_OTHERS_MAX: Final = 300
_OUTLOOK_DAYS: Final = 56
_PRICE_DAYS: Final = 2 * 364
# Orders of the pool: each is decided once for every day to learn what an empty network would do.
_POOL_MAX: Final = 3_000
_LATE_DAYS: Final = 5.0
_MEDIAN: Final = int(np.searchsorted(LEVELS, 0.5))
# Overdue supply is thought to come so much later than now.
_OVERDUE_S: Final = DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Items of a campaign and others of their categories, by rows.

    item_id    int32[n]
    sku, category  of each
    promoted   bool[n]
    """

    item_id: npt.NDArray[np.int32]
    sku: Sequence[str]
    category: Sequence[str]
    promoted: npt.NDArray[np.bool_]


def find_items(conn: Connection[TupleRow], skus: Sequence[str], categories: Sequence[str]) -> Items:
    """Raises InvalidInput, naming what there is not."""
    known = dict(conn.execute(SQL["known_skus"], {"skus": list(skus)}).fetchall())
    errors = [FieldError(f"items[{n}]", f"no item {sku!r}") for n, sku in enumerate(skus) if sku not in known]
    errors += [
        FieldError(f"items[{n}]", f"{sku!r} is a bundle: name its components, which hold the stock")
        for n, sku in enumerate(skus)
        if known.get(sku)
    ]
    named = {category for (category,) in conn.execute(SQL["known_categories"], {"categories": list(categories)})}
    errors += [
        FieldError(f"categories[{n}]", f"no item has the category {category!r}")
        for n, category in enumerate(categories)
        if category not in named
    ]
    if errors:
        raise InvalidInput(errors)
    asked = {"skus": list(skus), "categories": list(categories), "others_max": _OTHERS_MAX}
    rows = conn.execute(SQL["items"], asked).fetchall()
    return Items(
        item_id=np.array([row[0] for row in rows], np.int32),
        sku=[row[1] for row in rows],
        category=[row[2] for row in rows],
        promoted=np.array([row[3] for row in rows], np.bool_),
    )


def read_world(
    conn: Connection[TupleRow], now: datetime, days: int, items: Items, policy: str
) -> tuple[World, Sequence[str], npt.NDArray[np.int32]]:
    """The world of now, the skus of its rows, and the row of each of `items`. Raises Conflict where nothing was ordered
    in the last four weeks."""
    period = read_period(conn, now, now + timedelta(days=days), also=items.item_id.tolist())
    before = period.history.before
    if before is None:
        raise Conflict(
            "campaign.no_orders", "nobody has ordered in the last four weeks: there is nothing to make orders like"
        )
    active = policies.in_force(conn, policy).get("active")
    if active is None:
        raise Conflict("campaign.no_policy", f"policy {policy!r} has no active version")
    document = active.policy()
    compiled, nodes = compile_policy(document), facts_of_nodes(read_node_facts(conn), period.history.network.count)
    begins = period.history.begins
    # Of whole days only, where there are any: today is not over yet.
    whole = np.flatnonzero(before.placed < begins // DAY * DAY)
    whole = whole if len(whole) else np.arange(len(before))
    kept = whole[np.unique(np.linspace(0, len(whole) - 1, min(len(whole), _POOL_MAX)).astype(np.int64))]
    placed = before.placed[kept]
    pool = replace(
        period.history,
        orders=before.orders.only(kept),
        placed=np.full(len(kept), begins),
        may_wait=before.may_wait[kept],
        may_split=before.may_split[kept],
        wishes=before.wishes[kept],
        facts=facts_of(before.facts, kept),
        before=None,
        moves=_arrivals(period.history, now + timedelta(days=days)),
        rejection=np.zeros_like(period.history.rejection),
    )
    yesterday = int(begins // DAY) - 1
    # A shop that began last week has no orders of the weeks before.
    known = min(int(HISTORY_DAYS), max(1, yesterday - int(before.placed[0] // DAY) + 1))
    late = document.objectives[document.objective].target_days
    world = World(
        history=pool,
        second=placed % DAY,
        day=np.clip((placed // DAY).astype(np.int64), yesterday - known + 1, yesterday).astype(np.int32),
        days=known,
        last=yesterday,
        rules=lambda history: PolicyRules(active.label, compiled, history, nodes),
        late_days=_LATE_DAYS if late is None else float(late),
        stand_for=before.stand_for * len(whole) / len(kept),
    )
    rows = {sku: row for row, sku in enumerate(period.skus)}
    return world, period.skus, np.array([rows[sku] for sku in items.sku], np.int32)


def _arrivals(history: History, until: datetime) -> Moves:
    inbound = history.inbound
    if not len(inbound.ready):
        return NO_MOVES
    at = np.where(inbound.ready > history.begins, inbound.ready, history.begins + _OVERDUE_S)
    some = np.flatnonzero(at < until.timestamp())
    turn = some[np.argsort(at[some], kind="stable")]
    return Moves(at[turn], inbound.item[turn], inbound.node[turn], inbound.units[turn], np.ones(len(turn), np.bool_))


def read_demand(
    conn: Connection[TupleRow], today: date, horizon: int, items: Items, rows: npt.NDArray[np.int32]
) -> tuple[Demand, Responses]:
    """What is expected of the items without a campaign, and how they answer to prices."""
    first = today - timedelta(days=_PRICE_DAYS)
    history = load_history(conn, until=today, items=items.sku, corrections=Corrections())
    days = history.days.filter(pl.col("day") >= first).join(
        history.series.select("series", "sku", "node", "region"), on="series"
    )
    number = {sku: n for n, sku in enumerate(items.sku)}
    days = days.with_columns(
        item=pl.col("sku").replace_strict(number, return_dtype=pl.Int32),
        ahead=(pl.lit(today) - pl.col("day")).dt.total_days(),
    )
    units = np.zeros((len(items.sku), _OUTLOOK_DAYS))
    lately = days.filter(pl.col("ahead") <= _OUTLOOK_DAYS)
    np.add.at(
        units,
        (lately["item"].to_numpy(), _OUTLOOK_DAYS - lately["ahead"].to_numpy()),
        lately["demand"].to_numpy(),
    )
    # Of a shop that began lately only the whole weeks since then tell anything.
    began = int(np.flatnonzero(units.any(axis=0)).min(initial=_OUTLOOK_DAYS))
    weeks = max(1, (_OUTLOOK_DAYS - began) // 7)
    mean, quantiles = usual_outlook(units[:, -7 * weeks :], horizon)
    _as_forecast(conn, today, horizon, number, mean, quantiles)
    demand = Demand(item=rows, levels=LEVELS, quantiles=quantiles, mean=mean, background=np.ones(horizon))
    return demand, _responses(days, items, today)


def _as_forecast(
    conn: Connection[TupleRow],
    today: date,
    horizon: int,
    number: Mapping[str, int],
    mean: npt.NDArray[np.float64],
    quantiles: npt.NDArray[np.float64],
) -> None:
    """Put in place what was forecast of items, where a forecast that is kept covers all of these days: the sum over its
    places, which move together by a half (the spread of a sum lies between that of places that do not and that of
    places that do)."""
    found = forecast_of_items(conn, [*number], today, horizon, LEVELS)
    if found is None:
        return
    series, made = found
    item = series["sku"].replace_strict(number, return_dtype=pl.Int32).to_numpy()
    for row in np.unique(item).tolist():
        mine = item == row
        mean[row] = made.mean[mine].sum(axis=0)
        middle = made.quantiles[mine, :, _MEDIAN, np.newaxis]
        off = made.quantiles[mine] - middle
        spread = (np.abs(off).sum(axis=0) + np.sqrt((off * off).sum(axis=0))) / 2
        quantiles[row] = np.maximum(middle.sum(axis=0) + np.sign(LEVELS - 0.5) * spread, 0.0)


def _responses(days: pl.DataFrame, items: Items, today: date) -> Responses:
    """Weekly sales by item and place; a week without sales has the price of the one before it."""
    category = np.unique(np.array(items.category, np.str_), return_inverse=True)[1].astype(np.int32)
    # Items of no category are not one another's.
    alone = np.array([not c for c in items.category], np.bool_)
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


def _equal_shares(category: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    return 1.0 / np.bincount(category)[category]


def values_of(array: npt.NDArray[Any]) -> list[float | None]:
    """Numbers for JSON: what is not known is null."""
    return [None if np.isnan(x) else float(x) for x in array]
