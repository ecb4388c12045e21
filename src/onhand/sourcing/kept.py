"""What plans that stand would cost if they were made now: what planning anew is compared with."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import Network
from onhand.sourcing import tables
from onhand.sourcing.plan_pool import nobody
from onhand.sourcing.policy import Policy
from onhand.sourcing.ship_days import expand, spread_prices
from onhand.sourcing.solve import Asked, Decisions, Stock, decide_asked, first_rows, usual_attempts
from onhand.sourcing.tables import METHOD_EXACT, NO_LIMIT, SPLIT, WHY_NONE


class Standing(NamedTuple):
    """A fulfilment that stands: of the n-th order, from a node's ship day (slot), by a service (its index, -1: it is
    collected), units by item."""

    order: int
    node: int
    slot: int
    service: int
    units: dict[int, int]


def price_kept(
    standing: Sequence[Standing],
    asked: Asked,
    stock: Stock,
    network: Network,
    policy: Policy,
    goods: Goods,
    *,
    now: float,
) -> Decisions:
    """The plans of `asked` that `standing` (by order) are, at what they cost now; no plan (count 0) for an order of
    which something cannot be sent like that any more, or which has nothing standing."""
    orders = len(asked.zone)
    if not standing:
        return nobody(asked, orders)
    of = np.array([s.order for s in standing], np.int64)
    single = _alone(standing, asked, of)
    items = np.unique(single.item)
    item_row = {int(item): row for row, item in enumerate(items)}
    made = decide_asked(
        single, _shelves(standing, stock, item_row, network.count + 1), _places(standing, network), policy, goods,
        now=now, consume=False,
    )  # fmt: skip
    split = policy.matrix()[asked.objective, tables.OBJ_SPLIT]
    return _merged(made, standing, asked, of, split)


def _alone(standing: Sequence[Standing], asked: Asked, of: Any) -> Asked:
    """Each fulfilment as an order of its own, that has a list of candidates to itself."""
    count = len(standing)
    at: list[int] = []
    for s in standing:
        first, last = int(asked.demand_first[s.order]), int(asked.demand_first[s.order + 1])
        row_of = dict(zip(asked.item[first:last].tolist(), range(first, last), strict=True))
        at += [row_of[item] for item in s.units]
    one = np.ones(count, np.int32)
    single = replace(
        asked,
        demand_first=first_rows([len(s.units) for s in standing]),
        item=np.array([item for s in standing for item in s.units], np.int32),
        units=np.array([n for s in standing for n in s.units.values()], np.int32),
        **{
            name: getattr(asked, name)[of]
            for name in ("latitude", "longitude", "zone", "method", "objective", "may_dip")
        },
        channel=np.arange(count, dtype=np.int32),
        service=np.array([max(s.service, -1) for s in standing], np.int32),
        fulfilments_max=one,
        pickup_node=0 * one,
        excluded_first=np.zeros(count + 1, np.int32),
        excluded=np.empty(0, np.int32),
        price=None if asked.price is None else asked.price[at],
        cost=None if asked.cost is None else asked.cost[at],
        residential=None if asked.residential is None else asked.residential[of],
        duty=None if asked.duty is None else asked.duty[of],
        channel_codes=None if asked.channel_codes is None else asked.channel_codes[of],
        places=None if asked.places is None else asked.places[of],
        attempts=None,
    )
    usual = usual_attempts(single)
    alone = usual.only(np.arange(count + 1, dtype=np.int32), np.arange(count) * 2)
    return replace(single, attempts=alone)


def _places(standing: Sequence[Standing], network: Network) -> Network:
    """For each fulfilment its node with just its ship day, by that service only, with room."""
    count = network.count + 1
    node = np.array([*range(count), *(s.node for s in standing)], np.int32)
    slot = np.array([0] * count + [s.slot for s in standing], np.int32)
    places = expand(network, node, slot, np.ones(count, np.bool_))
    places.left[count:, 0] = NO_LIMIT
    if len(places.parcels):
        places.parcels[count:, :, 0] = NO_LIMIT
    return replace(
        places,
        lanes=np.full_like(places.lanes, NO_LIMIT),
        candidate_offsets=np.arange(len(standing) + 1, dtype=np.int32),
        candidates=np.arange(count, len(node), dtype=np.int32),
        candidates_max=1,
        service_code=np.arange(len(network.services), dtype=np.int32),
    )


def _shelves(standing: Sequence[Standing], stock: Stock, item_row: dict[int, int], nodes: int) -> Stock:
    """For each fulfilment a node with just what it sends."""
    node = np.array([*range(nodes), *(s.node for s in standing)], np.int32)
    held = np.zeros((len(item_row), len(node)), np.int32)
    for n, s in enumerate(standing):
        for item, units in s.units.items():
            held[item_row[item], nodes + n] = units
    none = np.zeros_like(held)
    items = np.array([*item_row], np.int32)
    at = items if stock.rows is None else np.array([stock.rows[i] for i in item_row], np.int32)
    slot = np.array([0] * nodes + [s.slot for s in standing], np.int32)
    return Stock(held, none, none, item_row, spread_prices(stock.prices, node, slot, at))


def _merged(made: Decisions, standing: Sequence[Standing], asked: Asked, of: Any, split: Any) -> Decisions:
    """Fulfilments that were decided one by one as the plans of their orders."""
    orders = len(asked.zone)
    numbers = np.bincount(of, minlength=orders)
    bad = np.zeros(orders, np.bool_)
    bad[of[made.count == 0]] = True
    keep = ~bad & (numbers > 0)
    mine = keep[of]  # of each fulfilment; where it is True there is one, and its picks
    f_of = of[mine]
    p_of = np.repeat(np.arange(len(standing)), np.diff(made.pick_first))
    p_mine = mine[p_of]
    orders_of: list[int] = of.tolist()
    number = np.array([n - orders_of.index(o) for n, o in enumerate(orders_of)], np.int32)
    f_mine = mine[np.repeat(np.arange(len(standing)), np.diff(made.fulfilment_first))]
    picked = made.pick_demand[: len(p_of)][p_mine]
    rows: list[int] = []
    for o, item in zip(of[p_of[p_mine]].tolist(), made.demand_item[picked].tolist(), strict=True):
        at = int(asked.demand_first[o])
        rows.append(at + asked.item[at : asked.demand_first[o + 1]].tolist().index(item))
    total = int(made.fulfilment_first[-1])
    terms = made.terms[:total][f_mine]
    later = number[mine] > 0
    terms[later, SPLIT] = split[f_of[later]]
    standing_node = np.array([s.node for s in standing], np.int32)
    slot = np.array([s.slot for s in standing], np.int32)
    columns: dict[str, Any] = {
        name: getattr(made, name)[:total][f_mine]
        for name in ("service", "day", "departs", "deliver", "lines", "units", "parcels", "lane", "grams")
    }
    plan = nobody(asked, orders)
    return replace(
        plan,
        count=np.where(keep, numbers, 0).astype(np.int32),
        method=np.full(orders, METHOD_EXACT, np.int32),
        why=np.where(keep, WHY_NONE, plan.why).astype(np.int32),
        cost=np.bincount(f_of, weights=terms.sum(axis=1), minlength=orders),
        profit=np.bincount(of[mine], weights=made.profit[mine], minlength=orders),
        pick_first=first_rows(np.bincount(of[p_of[p_mine]], minlength=orders).tolist()),
        fulfilment_first=first_rows(np.where(keep, numbers, 0).tolist()),
        pick_demand=np.array(rows, np.int32),
        pick_node=standing_node[p_of[p_mine]],
        pick_units=made.pick_units[: len(p_of)][p_mine],
        pick_number=number[p_of[p_mine]] + 1,
        pick_supply=np.full(len(rows), -1, np.int32),
        node=standing_node[mine],
        slot=slot[mine],
        terms=terms,
        **columns,
    )
