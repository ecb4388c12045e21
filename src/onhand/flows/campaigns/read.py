"""What an assessment is made from: the network and its stock as they are now, how orders look, what is expected, and
how demand has answered to prices."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.demand.forecasts.model import summed
from onhand.errors import Conflict, FieldError, InvalidInput
from onhand.flows.demand.outlook import USUAL, expected, read_days, responses_of, units_lately
from onhand.flows.forecasts.read import forecast_of_items
from onhand.flows.in_force import read_node_facts
from onhand.flows.simulation.read import read_period
from onhand.planning.campaigns.baskets import facts_of
from onhand.planning.campaigns.model import DAY, Demand, World
from onhand.planning.campaigns.outlook import LEVELS
from onhand.planning.elasticity import Responses
from onhand.simulation.history import NO_MOVES, History, Moves
from onhand.simulation.rules import PolicyRules
from onhand.sourcing.expected import HISTORY_DAYS
from onhand.sourcing.policies import store as policies
from onhand.sourcing.policies.asking import facts_of_nodes
from onhand.sourcing.policies.select import compile_policy

SQL = queries(__file__)

# Items of the same categories that are looked at besides.
_OTHERS_MAX: Final = 300
# Orders of the pool: each is decided once for every day to learn what an empty network would do.
_POOL_MAX: Final = 3_000
_LATE_DAYS: Final = 5.0
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
) -> tuple[Demand, Responses, str]:
    """What is expected of the items without a campaign, how they answer to prices, and which forecast that is: the
    latest that is kept, if it covers these days, for the items that it knows."""
    days = read_days(conn, today, items.sku)
    mean, quantiles = expected(units_lately(days, len(items.sku)), horizon)
    rests_on = USUAL
    if (found := forecast_of_items(conn, items.sku, today, horizon, LEVELS)) is not None:
        rests_on = found.name
        made = summed(found.forecast, found.item, np.ones(len(found.item)), len(items.sku))
        known = np.isin(np.arange(len(items.sku)), found.item)
        mean[known], quantiles[known] = made.mean[known], made.quantiles[known]
    demand = Demand(item=rows, levels=LEVELS, quantiles=quantiles, mean=mean, background=np.ones(horizon))
    return demand, responses_of(days, items.category, today), rests_on


def values_of(array: npt.NDArray[Any]) -> list[float | None]:
    """Numbers for JSON: what is not known is null."""
    return [None if np.isnan(x) else float(x) for x in array]
