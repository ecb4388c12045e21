"""Plan orders again together that no node has begun to work on, and move them where that saves money.

In two transactions, so that nothing is locked while it is planned: look (lock, read, let go), plan, then lock what is
to move and move it, all of it or nothing: an order that was accepted, rejected or cancelled meanwhile, or stock that
somebody else took, stops the whole move, and the next run plans anew.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.base.dates import EPOCH, microseconds
from onhand.db import queries
from onhand.flows.change_orders import Change, Written, write_changes
from onhand.flows.sourcer import Look, Sourced, Sourcer
from onhand.flows.state import State
from onhand.network.compiled import LANE_DAYS, Network
from onhand.orders.decide import is_unreleased, withdraw_all
from onhand.orders.model import TERMS, Fulfilment, Order
from onhand.orders.store import lock_orders
from onhand.sourcing.kept import Standing, price_kept
from onhand.sourcing.solve import Asked, Decisions, Int64, Stock, asked
from onhand.sourcing.together import plan_together, without_moving_prices

SQL = queries(__file__)
BECAUSE = "re-optimised"
# How long before a fulfilment leaves its node it is left alone: people may be about to begin.
_QUIET = timedelta(minutes=30)
# Money less than this is rounding.
_TRACE = 0.5
_CAPACITY_PRICE = TERMS.index("capacity_price")
_UNITS, _DAY, _PARCELS, _LANE = range(4)


class Reoptimised(NamedTuple):
    """orders_considered, orders_moved: how many; saving_minor: minor units that the moves save (with a dry run: would);
    gap: how much cheaper all considered orders could be still, at most, as a share of their cost."""

    orders_considered: int
    orders_moved: int
    saving_minor: int
    gap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Orders that may move, with their units and room given back; `kept`: what their plans cost now."""

    orders: list[Order]
    asked: Asked
    stock: Stock
    network: Network
    kept: Decisions
    latest: Int64
    now: float


class _Raced(Exception):
    """Somebody was quicker, or what remains is not worth it: roll back."""


def reoptimise(
    state: State,
    *,
    limit: int = 200,
    apply: bool = True,
    placed_within: timedelta = timedelta(days=7),
    saving_share_min: float = 0.01,
    time_limit_s: float = 2.0,
    by: Actor = SYSTEM,
) -> Reoptimised:
    """Plan up to `limit` orders, those that leave first, together and anew; move those that it is cheaper for together.
    Where more of them wait, the next round of this process goes on where this one ended, and begins again after the
    last.

    Only orders that are sourced whole, of which no node has accepted, packed or shipped anything, that nobody holds and
    that leave in half an hour or later. They move only if that saves at least 1 minor unit and `saving_share_min` of
    what the moved orders cost, and no order is promised later than it was.

    apply  False: only say what it would save

    Safe with several workers, and with whatever happens to the orders meanwhile.
    """
    seen, ended = state.db.transact(lambda conn: _look(state, conn, limit, placed_within))
    if apply:
        state.reoptimised_to = ended
    if seen is None:
        return Reoptimised(0, 0, 0, 0.0)
    policy = without_moving_prices(state.policy)
    joint = plan_together(
        seen.asked, seen.stock, seen.network, policy, state.catalogue.goods,
        now=seen.now, time_limit_s=time_limit_s, kept=seen.kept, latest=seen.latest,
    )  # fmt: skip
    considered = len(seen.orders)
    moves = _worth_moving(seen, joint.decisions)
    saving = float((seen.kept.cost - joint.decisions.cost)[moves].sum())
    before = float(seen.kept.cost[moves].sum())
    gap = joint.gap
    least = max(1.0, saving_share_min * before)
    if not moves or saving < least:
        return Reoptimised(considered, 0, 0, gap)
    if not apply:
        return Reoptimised(considered, len(moves), int(saving), gap)
    try:
        saved, written = state.db.transact(lambda conn: _move(state, conn, seen, joint.decisions, moves, least, by))
    except _Raced:
        return Reoptimised(considered, 0, 0, gap)
    written.tell(state)
    return Reoptimised(considered, len(moves), saved, gap)


def _look(
    state: State, conn: Connection[TupleRow], limit: int, placed_within: timedelta
) -> tuple[_Seen | None, tuple[datetime, str] | None]:
    """What there is to plan; and where to go on next time: when the last one leaves and its id, None for the start."""
    now, ended = state.now(), state.reoptimised_to or (None, None)
    rows = conn.execute(
        SQL["find_unreleased"],
        {
            "since": now - placed_within, "after": now + _QUIET, "limit": limit, "ended_leaves": ended[0],
            "ended_id": ended[1],
        },
    ).fetchall()  # fmt: skip
    last = (rows[-1][1], rows[-1][0]) if len(rows) == limit else None
    return _lock(state, conn, [order_id for order_id, _ in rows], now), last


def _lock(state: State, conn: Connection[TupleRow], order_ids: Sequence[str], now: datetime) -> _Seen | None:
    orders = [o for o in lock_orders(conn, order_ids, skip=True) if is_unreleased(o)]
    if not orders:
        return None
    sourcer = Sourcer(state, conn, [_withdrawn(o) for o in orders])
    sourcer.give_back(orders)
    looks = [(o, look) for o in orders if (look := sourcer.look(_withdrawn(o))) is not None]
    if not looks:
        return None
    seen = _price(state, looks, now.timestamp())
    stays = [n for n in range(len(seen.orders)) if seen.kept.count[n]]
    if len(stays) == len(seen.orders):
        return seen
    # What cannot be sent any more as it was planned is left to those who work on it; its units stay taken.
    return None if not stays else _look_at(state, conn, [seen.orders[n] for n in stays], now.timestamp())


def _look_at(state: State, conn: Connection[TupleRow], orders: Sequence[Order], now: float) -> _Seen | None:
    sourcer = Sourcer(state, conn, [_withdrawn(o) for o in orders])
    sourcer.give_back(orders)
    looks = [(o, look) for o in orders if (look := sourcer.look(_withdrawn(o))) is not None]
    return _price(state, looks, now) if looks else None


def _price(state: State, looks: Sequence[tuple[Order, Look]], now: float) -> _Seen:
    orders, (_, stock, network) = [o for o, _ in looks], looks[0][1]
    table = asked([look.ask for _, look in looks], network)
    services = {(s.carrier, s.code): n for n, s in enumerate(network.services)}
    standing: list[Standing] = []
    for n, order in enumerate(orders):
        mine = [_standing(n, f, network, services) for f in order.live]
        standing += [s for s in mine if s is not None] if all(mine) else []
    rows = stock.rows
    assert rows is not None, "a book has its own rows"
    for item in table.item.tolist():
        rows.setdefault(item, len(stock.available) - 1)
    kept = price_kept(
        standing, table, stock, network, without_moving_prices(state.policy), state.catalogue.goods, now=now
    )
    latest = np.array([_latest(o) for o in orders], np.int64)
    return _Seen(orders=orders, asked=table, stock=stock, network=network, kept=kept, latest=latest, now=now)


def _standing(n: int, f: Fulfilment, network: Network, services: dict[tuple[str | None, str], int]) -> Standing | None:
    service = -1 if f.service == "pickup" else services.get((f.carrier, f.service or ""))
    if service is None or f.node_id > network.count:
        return None
    day = np.array([(f.ship_day - EPOCH).days], np.int32)
    slot = int(network.slots_of(np.array([f.node_id], np.int32), day)[0])
    if slot < 0:
        return None
    units: Counter[int] = Counter()
    for (_, item), left in f.left.items():
        units[item] += left
    return Standing(n, f.node_id, slot, service, dict(units))


def _latest(order: Order) -> int:
    """When the last of it is to be there, as promised, in Unix seconds."""
    promised = order.deliver_by or max(f.deliver_by for f in order.live)
    return microseconds(promised) // 1_000_000


def _withdrawn(order: Order) -> Order:
    return withdraw_all(order, reason=BECAUSE)


# What is worth moving --------------------------------------------------------------------------------------


def _worth_moving(seen: _Seen, plan: Decisions) -> list[int]:
    """Orders whose plan is another one. Who gains nothing by moving stays where that is possible: nobody moves for
    nothing."""
    now, then = seen.kept, plan
    moves = [o for o in range(len(seen.orders)) if then.count[o] and _ways(now, o) != _ways(then, o)]
    taken: Counter[tuple[int, int, int, int]] = Counter()
    for o in range(len(seen.orders)):
        taken.update(_uses(then if o in set(moves) else now, o, seen.network))
    for o in sorted(moves, key=lambda o: now.cost[o] - then.cost[o]):
        if now.cost[o] - then.cost[o] > _TRACE:
            break
        without = taken.copy()
        without.subtract(_uses(then, o, seen.network))
        without.update(_uses(now, o, seen.network))
        if all(n <= _room(seen, at) for at, n in without.items() if n > taken[at]):
            moves.remove(o)
            taken = without
    return moves


def _rows(d: Decisions, o: int) -> tuple[range, range]:
    return (
        range(int(d.pick_first[o]), int(d.pick_first[o + 1])),
        range(int(d.fulfilment_first[o]), int(d.fulfilment_first[o + 1])),
    )


def _ways(d: Decisions, o: int) -> set[tuple[int, ...]]:
    """What a plan sends whence, by what service on what day."""
    picks, made = _rows(d, o)
    sent = {(int(d.pick_node[p]), int(d.demand_item[d.pick_demand[p]]), int(d.pick_units[p])) for p in picks}
    return sent | {(int(d.node[f]), -1 - int(d.service[f]), int(d.slot[f]), 0) for f in made}


def _uses(d: Decisions, o: int, network: Network) -> Counter[tuple[int, int, int, int]]:
    """What a plan takes: _UNITS by item and node, _DAY by node, ship day and kind, _PARCELS by node, service and ship
    day, and _LANE of lanes with a limit by lane and its day."""
    picks, made = _rows(d, o)
    uses: Counter[tuple[int, int, int, int]] = Counter()
    for p in picks:
        uses[_UNITS, int(d.demand_item[d.pick_demand[p]]), int(d.pick_node[p]), 0] += int(d.pick_units[p])
    for f in made:
        node, service, slot = int(d.node[f]), int(d.service[f]), int(d.slot[f])
        for kind, amount in enumerate((1, int(d.lines[f]), int(d.units[f]))):
            uses[_DAY, node, slot, kind] += amount
        if len(network.parcels) and service >= 0:
            uses[_PARCELS, node, service, slot] += int(d.parcels[f])
            lane = int(network.lane_of[service, d.lane[f]]) if d.lane[f] >= 0 else -1
            if lane >= 0:
                uses[_LANE, lane, int(d.day[f]) & (LANE_DAYS - 1), 0] += int(d.parcels[f])
    return uses


def _room(seen: _Seen, of: tuple[int, int, int, int]) -> int:
    network, (what, a, b, c) = seen.network, of
    if what == _DAY:
        return int(network.left[a, b, c])
    if what == _PARCELS:
        return int(network.parcels[a, b, c])
    if what == _LANE:
        return int(network.lanes[a, b])
    rows = seen.stock.rows
    assert rows is not None, "a book has its own rows"
    return int(seen.stock.available[rows[a], b])


# The move --------------------------------------------------------------------------------------------------


def _move(
    state: State,
    conn: Connection[TupleRow],
    seen: _Seen,
    plan: Decisions,
    moves: Sequence[int],
    least: float,
    by: Actor,
) -> tuple[int, Written]:
    """Withdraw the orders and place each at the nodes it was planned for. Raises _Raced."""
    wanted = {seen.orders[o].order_id: o for o in moves}
    orders = lock_orders(conn, wanted, skip=True)
    if len(orders) != len(wanted) or any(o != seen.orders[wanted[o.order_id]] for o in orders):
        raise _Raced
    sourcer = Sourcer(state, conn, [_withdrawn(o) for o in orders])
    sourcer.give_back(orders)
    # Who saves most first: the day it was planned for is the likeliest to be full.
    orders.sort(key=lambda o: float(plan.cost[wanted[o.order_id]] - seen.kept.cost[wanted[o.order_id]]))
    changes: list[Change] = []
    saved = 0.0
    for order in orders:
        o = wanted[order.order_id]
        sourced = _place(sourcer, order, {int(plan.node[f]) for f in _rows(plan, o)[1]}, seen.network.count)
        if not sourced.found or sourced.order.waiting or _latest_of(sourced.order) > _latest(order):
            raise _Raced
        cost = sum(f.cost_minor - f.cost[_CAPACITY_PRICE] for f in sourced.order.live)
        kept = float(seen.kept.cost[o]) - _room_price(seen.kept, o)
        saved += kept - cost
        changes.append(
            Change(
                before=order,
                after=sourced.order,
                command="reoptimise",
                plans=sourced.plans,
                facts={"saving_minor": round(kept - cost), "orders_moved": len(orders)},
            )
        )
    if saved < least - _TRACE * len(orders):
        raise _Raced
    return round(saved), write_changes(conn, changes, by=by, origin=state.db.origin)


def _room_price(d: Decisions, o: int) -> float:
    return float(sum(d.terms[f, _CAPACITY_PRICE] for f in _rows(d, o)[1]))


def _latest_of(order: Order) -> int:
    return max(microseconds(f.deliver_by) // 1_000_000 for f in order.live)


def _place(sourcer: Sourcer, order: Order, nodes: Collection[int], count: int) -> Sourced:
    withdrawn = _withdrawn(order)
    others = [n for n in range(1, count + 1) if n not in nodes]
    return sourcer.place(withdrawn, withdrawn.waiting, because=BECAUSE, excluded=others)


__all__ = ["BECAUSE", "Reoptimised", "reoptimise"]
