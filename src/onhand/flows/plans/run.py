"""Plan stock as it is now: what to keep back, to buy, to move, to sell cheaper. What comes of it are proposals."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.flows.demand.fold import fold
from onhand.flows.demand.outlook import Outlook, read_days, read_outlook, responses_of
from onhand.flows.plans.across import Placed, joined_targets, note_alone, place_items
from onhand.flows.plans.read import (
    Stock,
    Terms,
    Ways,
    read_clearing,
    read_coming,
    read_recent,
    read_stock,
    read_supply,
    read_ways,
)
from onhand.flows.plans.request import HORIZON_DAYS, Request, Scope, find_scope
from onhand.flows.plans.rows import Rows, buying_rows
from onhand.planning import proposals as told
from onhand.planning.model import Kind, Proposal
from onhand.planning.protection import Expected, drawn_totals, lasting_demand
from onhand.planning.prune import prune
from onhand.planning.rebalance import Caution, Recent, Stocked, Transfers, local_worth, rebalance
from onhand.planning.replenish import Buying, replenish
from onhand.planning.safety_stock import Targets, described, for_fill_rate, for_service, service_of_costs
from onhand.planning.search import tuned_service
from onhand.planning.served import sold_after_arrival, sold_from, with_served
from onhand.planning.store import Kept, best_of, replace_open
from onhand.planning.wording import explained

Progress = Callable[[str, int, int], None]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_FORMAT: Final = 1
# A forecast of more days is not needed: what lies beyond is like its last week.
_OUTLOOK_DAYS: Final = 35
_PATHS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What was read."""

    scope: Scope
    stock: Stock
    coming: Int64
    outlook: Outlook
    supply: dict[tuple[int, int], Terms]
    ways: Ways
    recent: Sequence[Recent]
    clearing: Float64
    elasticity: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a plan proposes, and what else is to be said of it. By (sku, node): `kept` safety stocks until now, `notes`
    a sentence more."""

    proposals: list[Proposal]
    facts: dict[str, Any]
    kept: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    notes: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])


def _silent(_what: str, _done: int, _of: int) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of a plan: as JSON values, and some of its proposals, those that gain most first."""

    document: dict[str, Any]
    proposals: list[Kept]


def run_plan(
    db: Database,
    request: Request,
    now: datetime,
    *,
    by: Actor,
    job_id: str | None = None,
    progress: Progress = _silent,
    apply: bool = True,
    show: int = 0,
) -> Made:
    """Plan, and keep the proposals in place of those that are open of the same plan, items and nodes.

    apply  False: only say what would be proposed
    show   so many proposals are in the answer

    Raises InvalidInput.
    """
    progress("reading", 0, 3)
    fold(db)
    with db.connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        world = read_world(conn, request, now)
    progress("planning", 1, 3)
    planned = plan(world, request, now)
    progress("writing", 2, 3)

    def write(conn: Connection[TupleRow]) -> Made:
        with conn.transaction(force_rollback=not apply):
            superseded, ids = _keep(db, conn, request, world, planned, now, by, job_id)
            shown = best_of(conn, ids, now=now, limit=show) if show else []
        return Made(document=_document(request, world, planned, superseded), proposals=shown)

    made = db.transact(write)
    db.notify()
    progress("writing", 3, 3)
    return made


def read_world(conn: Connection[TupleRow], request: Request, now: datetime) -> World:
    """What a plan is made from. Raises InvalidInput."""
    today = now.date()
    scope = find_scope(conn, request)
    moves = request.plan in HORIZON_DAYS
    horizon = min(_horizon(request), _OUTLOOK_DAYS)
    items = len(scope.skus)
    return World(
        scope=scope,
        stock=read_stock(conn, scope),
        coming=read_coming(conn, scope, today, within=_horizon(request) if moves else None),
        outlook=read_outlook(conn, today, horizon, scope.skus, scope.nodes),
        supply={} if moves else read_supply(conn, scope),
        ways=read_ways(conn, scope, today),
        recent=read_recent(conn, scope, now) if moves else (),
        clearing=read_clearing(conn, scope, today),
        elasticity=_elasticity(conn, scope, today) if request.plan == "prune" else np.zeros(items),
    )


def _elasticity(conn: Connection[TupleRow], scope: Scope, today: date) -> Float64:
    """float64[item], above 0: from prices of the past; of an item that never changed its price what its category, or
    what is usual, says."""
    responses = responses_of(read_days(conn, today, scope.skus), scope.categories, today)
    return np.array([max(-responses.elasticity(n)[0], 0.0) for n in range(len(scope.skus))])


def _horizon(request: Request) -> int:
    if request.plan not in HORIZON_DAYS:
        return _OUTLOOK_DAYS
    return request.horizon_days or HORIZON_DAYS[request.plan]


def plan(world: World, request: Request, now: datetime) -> Planned:
    """What to propose."""
    valid = timedelta(hours=request.valid_hours)
    frame = told.Frame(now=now, basis=world.outlook.basis, valid=valid)
    if not world.scope.skus or not world.scope.nodes:
        return Planned(proposals=[], facts={})
    planned = {
        "safety_stock": _safety_stock, "replenish": _replenish, "rebalance": _rebalance, "prune": _prune
    }[request.plan](world, request, frame)  # fmt: skip
    return replace(planned, proposals=_with_daily(planned.proposals, world))


def _with_daily(proposals: Sequence[Proposal], world: World) -> list[Proposal]:
    """With what is expected of each item at its node a day, by which people tell how long units last."""
    item, node = ({name: n for n, name in enumerate(names)} for names in (world.scope.skus, world.scope.nodes))
    daily = world.outlook.mean.mean(axis=2)
    return [
        replace(p, effect=replace(p.effect, daily_units=round(float(daily[item[p.sku], node[p.node]]), 3)))
        for p in proposals
    ]


# What is bought -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """Safety stocks as they are decided, arrays[n] of items at nodes; see told.of_safety_stock."""

    item: Int64
    node: Int64
    demand: npt.NDArray[np.int32]
    targets: Targets
    stockout: Float64
    carrying: Float64


def _safety_stock(world: World, request: Request, frame: told.Frame) -> Planned:
    scope = world.scope
    rows = buying_rows(scope, world.stock, world.outlook, world.supply, request, frame.now.date())
    facts: dict[str, Any] = {"left_out": rows.left_out}
    if not len(rows.item):
        return Planned(proposals=[], facts=facts)
    found = _alone(world, request, rows, facts, frame.now.date())
    notes: dict[tuple[str, str], str] = {}
    if request.across is not None:
        placed = place_items(
            scope, world.stock, world.outlook, world.supply, world.ways, request, frame.now.date(), paths=_PATHS
        )
        found, notes = _with_placed(scope, found, placed)
        # Those that lanes feed need no supply of their own.
        bought = {*zip(rows.item.tolist(), rows.node.tolist(), strict=True)}
        fed = sum(at not in bought for at in zip(placed.item.tolist(), placed.node.tolist(), strict=True))
        without = rows.left_out.get("no_supply", 0) - fed
        facts["left_out"] = {r: n for r, n in (rows.left_out | {"no_supply": without}).items() if n}
        facts["across"] = placed.facts()
    kept = world.stock.safety[found.item, found.node]
    names = _names(scope, found.item, found.node)
    proposals = told.of_safety_stock(
        found.targets, kept, found.demand, names, (found.stockout, found.carrying), frame
    )  # fmt: skip
    at = {name: n for n, name in enumerate(names)}
    changed = np.array([at[p.sku, p.node] for p in proposals], np.int64)
    new = found.targets.order_up_to[changed]
    old = new - (np.array([p.quantity for p in proposals], np.int64) - kept[changed])
    asked = found.demand[changed]
    return Planned(
        proposals=with_served(proposals, asked, sold_from(asked, old), sold_from(asked, new)),
        facts=facts,
        kept=dict(zip(names, kept.tolist(), strict=True)),
        notes=notes,
    )


def _names(scope: Scope, item: Int64, node: Int64) -> list[tuple[str, str]]:
    return [(scope.skus[int(i)], scope.nodes[int(n)]) for i, n in zip(item, node, strict=True)]


def _alone(world: World, request: Request, rows: Rows, facts: dict[str, Any], today: date) -> _Kept:
    """Each node by itself."""
    demand = asked_of_rows(rows, world.outlook, np.arange(len(rows.item)), request.seed)
    if request.fill_rate is not None:
        days = (rows.lead_days.mean(axis=1) + rows.review_days) / rows.review_days
        targets = for_fill_rate(demand, demand.mean(axis=1) / days, request.fill_rate)
    else:
        service, facts["simulated"] = service_of_rows(rows, world, request, today)
        targets = for_service(demand, service)
    carrying = rows.carrying * rows.review_days
    return _Kept(
        item=rows.item, node=rows.node, demand=demand, targets=targets, stockout=rows.stockout, carrying=carrying
    )


def _with_placed(scope: Scope, alone: _Kept, placed: Placed) -> tuple[_Kept, dict[tuple[str, str], str]]:
    """Nodes that were placed together, and by themselves those that were not; with a note of each."""
    together = {*zip(placed.item.tolist(), placed.node.tolist(), strict=True)}
    at = zip(alone.item.tolist(), alone.node.tolist(), strict=True)
    left = np.array([n for n, key in enumerate(at) if key not in together], np.int64)
    t = alone.targets
    remaining = Targets(
        order_up_to=t.order_up_to[left], safety_stock=t.safety_stock[left], mean=t.mean[left],
        service=t.service[left], short=t.short[left],
    )  # fmt: skip
    kept = _Kept(
        item=np.concatenate([alone.item[left], placed.item]),
        node=np.concatenate([alone.node[left], placed.node]),
        demand=np.concatenate([alone.demand[left], placed.demand]),
        targets=joined_targets([remaining, placed.targets]),
        stockout=np.concatenate([alone.stockout[left], placed.stockout]),
        carrying=np.concatenate([alone.carrying[left], placed.carrying]),
    )
    reasons = [note_alone(placed.alone.get(item, "no_lanes")) for item in alone.item[left].tolist()]
    notes = dict(zip(_names(scope, kept.item, kept.node), [*reasons, *placed.notes], strict=True))
    return kept, notes


def service_of_rows(rows: Rows, world: World, request: Request, today: date) -> tuple[Float64, int]:
    """Service level of each row, and of how many it was found by simulation: where lots, costs of orders or deliveries
    that overlap make what costs say of one cycle wrong."""
    count = len(rows.item)
    if request.service_level is not None:
        return np.full(count, request.service_level), 0
    service = service_of_costs(rows.stockout, rows.carrying * rows.review_days)
    buying = _buying(rows, np.zeros(count, np.int64), np.full(count, np.nan), today)
    tuned, untold = tuned_service(rows.expected(world.outlook), buying, service, seed=request.seed)
    return tuned, int(untold.sum())


def asked_of_rows(rows: Rows, outlook: Outlook, some: Int64, seed: int) -> npt.NDArray[np.int32]:
    """int32[some, draw]: demand until the order after the next one is there."""
    expected = Expected(levels=outlook.levels, quantiles=outlook.quantiles[rows.item[some], rows.node[some]])
    return lasting_demand(expected, rows.lead_days[some], rows.review_days[some], paths=_PATHS, seed=seed)


def _buying(rows: Rows, position: Int64, service: Float64, today: date) -> Buying:
    return Buying(
        position=position,
        lead_days=rows.lead_days,
        review_days=rows.review_days,
        unit_cost=rows.unit_cost,
        stockout=rows.stockout,
        carrying=rows.carrying,
        service=service,
        minimum=np.array([t.minimum for t in rows.terms], np.int64),
        multiple=np.array([t.multiple for t in rows.terms], np.int64),
        fixed=np.array([t.order_cost_minor for t in rows.terms], np.float64),
        is_open=np.array([t.is_open(today) for t in rows.terms]),
    )


def _replenish(world: World, request: Request, frame: told.Frame) -> Planned:
    today = frame.now.date()
    rows = buying_rows(world.scope, world.stock, world.outlook, world.supply, request, today)
    count = len(rows.item)
    if not count:
        return Planned(proposals=[], facts={"left_out": rows.left_out})
    at = rows.item, rows.node
    position = world.stock.available[at] - world.stock.oversold[at] + world.coming[at]
    service = np.full(count, np.nan)
    if request.fill_rate is not None:
        # The chance to serve everything that the level for this share comes to.
        demand = asked_of_rows(rows, world.outlook, np.arange(count), request.seed)
        days = (rows.lead_days.mean(axis=1) + rows.review_days) / rows.review_days
        level = for_fill_rate(demand, demand.mean(axis=1) / days, request.fill_rate).order_up_to
        service = np.minimum(described(demand, level).service, 1 - 1 / _PATHS)
    elif request.service_level is not None:
        service[:] = request.service_level
    buying = _buying(rows, position, service, today)
    budget = None if request.budget_minor is None else float(request.budget_minor)
    found = replenish(
        rows.expected(world.outlook), buying, smoothing=request.smoothing, budget=budget, paths=_PATHS,
        seed=request.seed,
    )  # fmt: skip
    co2 = np.array([t.co2_g_per_unit for t in rows.terms], np.float64)
    proposals = told.of_purchases(
        found, rows.names(world.scope), rows.unit_cost, rows.lead_days, frame, co2_g_per_unit=co2
    )
    bought = np.flatnonzero(found.quantity)
    asked = asked_of_rows(rows, world.outlook, bought, request.seed)
    before = sold_from(asked, position[bought])
    after = sold_from(asked, position[bought] + found.quantity[bought])
    return Planned(
        proposals=with_served(proposals, asked, before, after),
        facts={
            "left_out": rows.left_out,
            "spent_minor": round(found.spent),
            "gain_bound_minor": round(found.gain_bound),
            "closed_today": int((~buying.is_open).sum()),
        },
    )


# What is moved --------------------------------------------------------------------------------------------------------


def _rebalance(world: World, request: Request, frame: told.Frame) -> Planned:
    scope = world.scope
    margin = np.nan_to_num(np.maximum(scope.price - scope.unit_cost, 0.0))
    worth = local_worth(margin, request.lost_share, request.last_mile_minor, request.last_mile_days, request.day_minor)
    shape = world.stock.available.shape
    stocked = _stocked(world, np.broadcast_to(worth[:, None], shape).copy(), np.zeros(shape))
    horizon = _horizon(request)
    found = rebalance(
        _flat(world.outlook), stocked, world.ways.lanes, world.ways.days, horizon_days=horizon,
        caution=_caution(request), recent=world.recent, seed=request.seed,
    )  # fmt: skip
    facts = _of_moves(world, found) | {"no_price": [s for s, m in zip(scope.skus, margin, strict=True) if m == 0][:100]}
    return Planned(proposals=_moves(world, request, frame, stocked, found, horizon), facts=facts)


def _prune(world: World, request: Request, frame: told.Frame) -> Planned:
    scope = world.scope
    shape = world.stock.available.shape
    price = np.nan_to_num(scope.price)
    left = np.where(
        np.isnan(world.clearing), request.left_share * np.nan_to_num(scope.unit_cost)[:, None], world.clearing
    )
    worth = np.broadcast_to(price[:, None], shape).copy()
    stocked = _stocked(world, worth, np.minimum(left, worth))
    horizon = _horizon(request)
    found = prune(
        _flat(world.outlook), stocked, world.ways.lanes, world.ways.days, price, horizon_days=horizon,
        enough=request.enough, elasticity=world.elasticity, caution=_caution(request), seed=request.seed,
    )  # fmt: skip
    moves = _moves(world, request, frame, stocked, found.transfers, horizon)
    prices = told.of_markdowns(found.markdowns, scope.skus, scope.nodes, price, frame)
    facts = _of_moves(world, found.transfers) | {"excess_units": int(found.excess.sum())}
    return Planned(proposals=[*moves, *prices], facts=facts)


def _of_moves(world: World, found: Transfers) -> dict[str, Any]:
    """gap: how much more a better plan could gain at most, before caution."""
    return {"gap": found.solved.gap, "lanes": int(np.isfinite(world.ways.lanes.unit_minor).sum())}


def _stocked(world: World, worth: Float64, left: Float64) -> Stocked:
    stock = np.maximum(world.stock.available, 0)
    items = len(world.scope.skus)
    return Stocked(
        stock=stock,
        movable=np.maximum(stock - world.stock.safety, 0),
        coming=world.coming,
        worth=worth,
        left=left,
        size=np.ones(items),
        weight_kg=world.scope.weight_kg,
    )


def _flat(outlook: Outlook) -> Expected:
    items, nodes, days, levels = outlook.quantiles.shape
    return Expected(levels=outlook.levels, quantiles=outlook.quantiles.reshape(items * nodes, days, levels))


def _caution(request: Request) -> Caution:
    return Caution(sd_share=request.sd_share, hold_days=request.hold_days)


def _moves(
    world: World, request: Request, frame: told.Frame, stocked: Stocked, found: Transfers, horizon: int
) -> list[Proposal]:
    """Transfers with what each does to service at its two nodes, given the others."""
    scope, count = world.scope, len(found.units)
    proposals = told.of_transfers(
        found, scope.skus, scope.nodes, world.ways.days, frame,
        weight_kg=scope.weight_kg, co2_g_per_kg=world.ways.co2_g_per_kg,
    )  # fmt: skip
    if not count:
        return []
    days = np.minimum(world.ways.days[found.source, found.target], horizon)
    gone, come = np.zeros(stocked.stock.shape, np.int64), np.zeros(stocked.stock.shape, np.int64)
    np.add.at(gone, (found.item, found.source), found.units)
    np.add.at(come, (found.item, found.target), found.units)
    asked, before, after = (np.zeros((count, _PATHS), np.int64) for _ in range(3))
    for ends, change in ((found.source, (found.units, 0)), (found.target, (0, found.units))):
        at = found.item, ends
        expected = Expected(levels=world.outlook.levels, quantiles=world.outlook.quantiles[at])
        first, then = drawn_totals(expected, days[:, None], horizon - days, paths=_PATHS, seed=request.seed)
        # With all transfers made, and with all but this one.
        stock, coming = stocked.stock[at] - gone[at], world.coming[at] + come[at]
        asked += first + then.astype(np.int64)
        after += sold_after_arrival(first, then, stock, coming)
        before += sold_after_arrival(first, then, stock + change[0], coming - change[1])
    return with_served(proposals, asked, before, after, spared_g=request.last_mile_co2_g)


# What is kept of it ---------------------------------------------------------------------------------------------------


def _keep(
    db: Database,
    conn: Connection[TupleRow],
    request: Request,
    world: World,
    planned: Planned,
    now: datetime,
    by: Actor,
    job_id: str | None,
) -> tuple[int, list[str]]:
    scope = world.scope
    currency = dict(zip(scope.skus, scope.currencies, strict=True))
    rows = [(p, _told(p, planned, currency[p.sku])) for p in planned.proposals]
    superseded, ids = replace_open(
        conn, request.plan, rows, item_ids=scope.item_id.tolist(), node_ids=scope.node_id.tolist(),
        basis=world.outlook.basis, horizon_days=_horizon(request), job_id=job_id, now=now,
    )  # fmt: skip
    data = {"plan": request.plan, "proposals": len(rows), "superseded": superseded, "job_id": job_id}
    write_event(conn, "plan.made", request.plan, data, actor=by, origin=db.origin)
    return superseded, ids


def _told(proposal: Proposal, planned: Planned, currency: str | None) -> str:
    at = proposal.sku, proposal.node
    said = explained(proposal, currency, kept=planned.kept.get(at))
    return f"{said} {planned.notes[at]}" if at in planned.notes else said


def _document(request: Request, world: World, planned: Planned, superseded: int) -> dict[str, Any]:
    proposals, basis = planned.proposals, world.outlook.basis
    return {
        "format": _FORMAT,
        "plan": request.plan,
        "items": len(world.scope.skus),
        "nodes": len(world.scope.nodes),
        "proposals": len(proposals),
        "by_kind": dict(Counter(p.kind.value for p in proposals)),
        "superseded": superseded,
        "units": sum(p.quantity for p in proposals if p.kind in (Kind.TRANSFER, Kind.PURCHASE)),
        "cost_minor": sum(p.cost_minor for p in proposals),
        "gain_minor": sum(p.effect.money_minor for p in proposals),
        "forecast": {"name": basis.forecast, "origin": basis.origin.isoformat()},
        "facts": planned.facts,
    }
