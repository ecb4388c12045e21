"""Orders planned together on the real kernel: what they share gets prices, and plans that the orders answer with are
chosen among so that nothing is promised twice.

    bound(λ) = Σ_o min over plans of o (cost + λ · uses) - λ · capacity  <=  cost of any joint plan        λ >= 0

is Lagrangian duality (A. Geoffrion 1974): the kernel is exact for an order at any prices, so the bound holds for all
joint plans there are, not only for those looked at. Prices first climb along the kernel's own answers (the volume
algorithm, F. Barahona and R. Anbil 2000), then come from the plans known so far, to which the kernel answers with new
ones (column generation). Which plan each order gets is decided by `batch.source_jointly` over the pool.

The bound holds where the kernel is exact at prices (`Together.is_proved`): no order too large for it, no profit floor,
room for dividing lines exactly, and no ship days of nodes that supply on its way is waited for. Else it is one for the
plans in the pool.
"""

import math
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import Network
from onhand.sourcing import tables
from onhand.sourcing.batch import resource_prices, source_jointly
from onhand.sourcing.custom import Weighed
from onhand.sourcing.divide import STEPS_MAX
from onhand.sourcing.plan_pool import Pool, Reply, Rows, rows_of
from onhand.sourcing.policy import Policy
from onhand.sourcing.ship_days import asked_of, spread_prices, take_apart, whole
from onhand.sourcing.solve import (
    NO_SHADOW,
    Asked,
    Attempts,
    Decisions,
    Float64,
    Int32,
    Int64,
    Stock,
    decide_asked,
    first_rows,
    usual_attempts,
)  # fmt: skip
from onhand.sourcing.tables import BIG, LAYERS_MAX, METHOD_DIVIDED, STATES_MAX

# Of the climb before prices come from the pool: more find little, fewer leave the pool to begin with too poor.
_CLIMBS = 10
_ROUNDS_MAX = 60
# The share of the time in which plans are sought; then the best of those known are chosen.
_SEEK = 0.6
_IDLE_MAX = 4


class Together(NamedTuple):
    """A joint plan: `decisions` of nodes and days of the network as it is, without a record; `cost` with what refused
    orders cost (`refuse_minor` float64[orders] each); bound <= cost of any joint plan, where it `is_proved`."""

    decisions: Decisions
    cost: float
    bound: float
    refuse_minor: Float64
    is_proved: bool
    rounds: int
    plans: int
    seconds: float

    @property
    def gap(self) -> float:
        return gap_of(self.cost, self.bound)


def plan_together(
    asked: Asked,
    stock: Stock,
    network: Network,
    policy: Policy,
    goods: Goods,
    *,
    now: float,
    time_limit_s: float,
    refuse_minor: Float64 | None = None,
    supply: bool = False,
    dip: bool = False,
    kept: Decisions | None = None,
    latest: Int64 | None = None,
    gap: float = 1e-4,
    seed: int = 0,
) -> Together:
    """Plan the orders of `asked` (its attempts are not looked at) from one stock; takes nothing from it.

    refuse_minor  float64[orders]: money of not serving an order that is all or nothing; None: see `usual_refusals`
    supply, dip   whether units on their way may be promised, and safety stock used
    kept          plans that the orders have, of nodes and days of `network` (kept.py): a joint plan to be bettered
    latest        int64[orders], Unix seconds: nothing of an order may be there later, with the policy's confidence (the
                  bound does not know of it)

    Room has its own prices here: the policy's rising price of a full node is left out, and prices of stock stay as they
    are. Always gives a plan, at least that of one order after the other; the clock is read between steps.
    """
    search = _Search(asked, stock, network, policy, goods, now, supply=supply, dip=dip, seed=seed, gap=gap)
    search.pool.latest = latest
    if kept is not None:
        search.admit(kept)
    return search.run(time_limit_s, refuse_minor, kept)


def without_moving_prices(policy: Policy) -> Policy:
    """The policy with costs that do not depend on what was decided before: no rising price of room, no step."""
    still = {n: replace(o, capacity_base_minor=0.0, step_minor=0.0) for n, o in policy.objectives.items()}
    return replace(policy, objectives=still)


def usual_refusals(decisions: Decisions, asked: Asked, policy: Policy) -> Float64:
    """float64[orders]: what it costs not to serve an order: what the policy says, and where it says that orders are all
    or nothing, ten times the dearest plan of any (at least 100.00), so that an order is left out only for want of
    units or room."""
    matrix = policy.matrix()[asked.objective]
    units = np.add.reduceat(asked.units, asked.demand_first[:-1]) if len(asked.units) else np.zeros(0)
    stated = matrix[:, tables.OBJ_REFUSE_ORDER] + matrix[:, tables.OBJ_REFUSE_UNIT] * units
    served = decisions.count > 0
    dearest = max(1_000.0, float(np.abs(decisions.cost[served]).max(initial=0.0)))
    return np.where(matrix[:, tables.OBJ_REFUSE_ORDER] < BIG, stated, 10 * dearest)


class _Search:
    """State of one search; prices are float64[rows] over all rows of the pool."""

    def __init__(
        self, asked: Asked, stock: Stock, network: Network, policy: Policy, goods: Goods, now: float, *,
        supply: bool, dip: bool, seed: int, gap: float,
    ) -> None:  # fmt: skip
        self.began = perf_counter()
        self.policy = without_moving_prices(policy)
        self.goods, self.now, self.gap = goods, now, gap
        self.random = np.random.default_rng(seed)
        self.seed = seed
        self.orders = len(asked.zone)
        asked = replace(asked, attempts=_one_attempt(asked, supply=supply, dip=dip))
        items = np.unique(asked.item)
        self.item_row = {int(item): row for row, item in enumerate(items)}
        self.stock, self.supply_row = _narrowed(stock, items, self.item_row, with_supply=supply)
        self.network = network
        self.asked = asked
        lines = int(asked.demand_first[-1])
        self.apart = whole(network) if supply else take_apart(network, self.orders, lines, int(asked.units.sum()))
        self.asked_apart = asked_of(self.apart, asked)
        self.rows: Rows = rows_of(self.stock, network, dip=dip)
        self.pool = Pool(self.orders, self.rows, self.item_row)
        # Only of what there may be too little is a price sought.
        wanted = np.bincount([self.item_row[i] for i in asked.item.tolist()], weights=asked.units, minlength=len(items))
        self.scarce = self.rows.stock(self.rows.capacity.astype(np.float64)) < wanted[:, np.newaxis]
        self.divide = self._may_divide()
        self.price = np.zeros(len(self.rows.capacity))
        self.best_price = self.price
        self.bound = -math.inf
        self.refuse = np.zeros(0)
        self.best_cost = math.inf
        self.best_plan = np.full(self.orders, -1, np.int64)
        self.is_proved = self._is_exact(supply)
        self.rounds = 0
        # What terms of others ask, of nodes taken apart and of the network: asked once, however often it is decided.
        self.weighed_apart: Weighed | None = None
        self.weighed: Weighed | None = None

    # -- what the kernel can prove

    def _may_divide(self) -> npt.NDArray[np.bool_]:
        """Orders with several units of an item of which there, or of room, may be too little: rivals may leave no node
        with all."""
        row = np.array([self.item_row[i] for i in self.asked.item.tolist()], np.int64)
        contested = np.any(self.scarce, axis=1)[row] | bool(self.apart.tight.any())
        several = (self.asked.units > 1) & contested
        divide = np.zeros(self.orders, np.bool_)
        divide[np.repeat(np.arange(self.orders), np.diff(self.asked.demand_first))[several]] = True
        return divide & (self.asked.fulfilments_max > 1)

    def _is_exact(self, supply: bool) -> bool:
        objectives = self.policy.objectives.values()
        if any(o.floor_minor is not None for o in objectives):
            return False
        if supply and ((self.network.left[:, 0] < tables.NO_LIMIT).any() or len(self.network.parcels)):
            return False
        candidates = np.diff(self.apart.network.candidate_offsets)
        several: list[int] = np.flatnonzero(self.divide).tolist()
        for o in several:
            a, b = self.asked.demand_first[o : o + 2]
            states = math.prod(int(n) + 1 for n in self.asked.units[a:b].tolist())
            count = int(candidates[self.asked.channel[o]])
            deep = min(int(self.asked.fulfilments_max[o]), count)
            if states > STATES_MAX or deep > LAYERS_MAX or count * deep * states * states > STEPS_MAX:
                return False
        return True

    # -- steps

    def admit(self, kept: Decisions) -> None:
        """Let there be as much of everything as the plans that stand take, even of safety stock or of a full day."""
        _, row, amount = self.pool.uses(kept)
        taken: Any = np.bincount(row, weights=amount.astype(np.float64), minlength=len(self.rows.capacity))
        if (taken > self.rows.capacity).any():
            self.is_proved = False  # the kernel does not see that they could
        self.rows = self.rows._replace(capacity=np.maximum(self.rows.capacity, taken.astype(np.int64)))
        self.pool.rows = self.rows

    def run(self, time_limit_s: float, refuse_minor: Float64 | None, kept: Decisions | None) -> Together:
        until = self.began + time_limit_s
        if not self.orders:
            return self._answer(self._decide(NO_SHADOW))
        first = self._decide(self._shadow(self.price))
        like = replace(first)
        self.refuse = usual_refusals(first, self.asked, self.policy)
        if refuse_minor is not None:
            self.refuse = np.asarray(refuse_minor, np.float64)
        self._weigh(first, self.price)
        if kept is not None:
            if (kept.cost < np.where(like.count > 0, like.cost, self.refuse) - 1e-6)[kept.count > 0].any():
                self.is_proved = False  # nor what it would not do now
            every = np.arange(self.orders)
            self._offer(self.pool.add(kept, every, whole(self.network), np.zeros(len(self.price))).plan)
        self._in_turn(np.arange(self.orders), 0.0)
        seek_until = self.began + _SEEK * time_limit_s
        if not self._is_done(seek_until):
            self._climb(seek_until)
        self._generate(seek_until)
        if not self.is_proved or (self._gap > self.gap and perf_counter() < until):
            self._choose(until)
        return self._answer(like)

    def _is_done(self, until: float) -> bool:
        return perf_counter() >= until or self._gap <= self.gap

    @property
    def _gap(self) -> float:
        return gap_of(self.best_cost, self.bound)

    def _decide(self, shadow: tables.Shadow) -> Decisions:
        self.rounds += 1
        d = decide_asked(
            self.asked_apart, self._spread(), self.apart.network, self.policy, self.goods,
            now=self.now, consume=False, shadow=shadow, weighed=self.weighed_apart,
        )  # fmt: skip
        self.weighed_apart = d.custom
        return d

    def _weigh(self, d: Decisions, price: Float64) -> Reply:
        """Take the kernel's answer to `price` into the pool; the bound."""
        reply = self.pool.add(d, np.arange(self.orders), self.apart, price)
        value = float(np.minimum(reply.value, self.refuse).sum() - (price * self._capacity).sum())
        # Sums of floats: a bound is not to pass the optimum by their rounding.
        value -= 1e-9 * abs(value)
        if (d.method > METHOD_DIVIDED).any():
            self.is_proved = False
        if value > self.bound:
            self.bound, self.best_price = value, price
        return reply

    @property
    def _capacity(self) -> Float64:
        return self.rows.capacity.astype(np.float64)

    def _climb(self, until: float) -> None:
        """Some rounds of the volume algorithm on the kernel, from nothing."""
        capacity = self._capacity
        smooth = np.zeros(len(capacity))
        theta = 0.5
        price = self.price
        for n in range(_CLIMBS):
            before = self.bound
            reply = self._weigh(self._decide(self._shadow(price)), price)
            use = self._use(reply) - capacity
            # What no order would have is no direction.
            use[(use < 0) & (price <= 0)] = 0.0
            smooth += (1.0 if n == 0 else 0.3) * (use - smooth)
            theta = theta * 1.2 if self.bound > before else theta * 0.8
            norm = float((smooth**2)[(smooth > 0) | (self.best_price > 0)].sum())
            if norm <= 1e-12 or self._is_done(until):
                return
            length = theta * max(self.best_cost - self.bound, 0.0) / norm
            price = np.maximum(self.best_price + length * smooth, 0.0)
            if n % 3 == 2:
                self._in_turn(self.random.permutation(self.orders), 1.0)

    def _use(self, reply: Reply) -> Float64:
        served = reply.value < self.refuse
        mine = served[reply.order]
        weights = reply.amount[mine].astype(np.float64)
        use: Any = np.bincount(reply.row[mine], weights=weights, minlength=len(self.rows.capacity))
        return use

    def _generate(self, until: float) -> None:
        """Prices from the pool, the kernel's answers to them into the pool, until it has none that is new."""
        idle = 0
        start: Float64 | None = None
        for _ in range(_ROUNDS_MAX):
            if self._is_done(until):
                return
            known, bound = len(self.pool), self.bound
            menu = self.pool.options(self.refuse)
            start = None if start is None else start[menu.row]
            found = resource_prices(menu.options, menu.shared, start=start, seed=self.seed)
            start = np.zeros(len(self.rows.capacity))
            start[menu.row] = found
            # Prices of a poor pool swing: half way from the best prices known is often better.
            for price in (start, 0.5 * (start + self.best_price)):
                if not self._is_done(until):
                    self._weigh(self._decide(self._shadow(price)), price)
            if not self._is_done(until):
                turn = np.arange(self.orders) if idle % 2 else self.random.permutation(self.orders)
                self._in_turn(turn, 1.0 if idle < 2 else 0.5)
            idle = idle + 1 if self.bound <= bound + 1e-9 * abs(bound) else 0
            if len(self.pool) == known or idle >= _IDLE_MAX:
                return

    def _in_turn(self, turn: Int64, scale: float) -> None:
        """One order after the other from what is left, at `scale` of the best prices of stock: a joint plan."""
        asked = self.asked.only(turn)
        stock = self.stock
        own = Stock(stock.available, stock.pending.copy(), stock.safety, stock.rows, stock.prices)
        own.supply = stock.supply._replace(units=stock.supply.units.copy())
        network = self.network.with_own_room()
        shadow = NO_SHADOW
        if scale:
            nodes, services = self.rows.nodes, len(network.services)
            shadow = tables.Shadow(
                np.ascontiguousarray(scale * self.rows.stock(self.best_price)),
                np.zeros((nodes, 3)),
                np.zeros((nodes, services)),
                np.zeros(0, np.bool_),
            )
        weighed = None if self.weighed is None else self.weighed.only(turn, self.asked.demand_first)
        d = decide_asked(
            asked, own, network, self.policy, self.goods, now=self.now, consume=True, shadow=shadow, weighed=weighed
        )
        if self.weighed is None:
            self.weighed = d.custom.only(np.argsort(turn), asked.demand_first)
        reply = self.pool.add(d, turn, whole(self.network), np.zeros(len(self.rows.capacity)))
        worth = reply.value < self.refuse[turn]
        plan = np.full(self.orders, -1, np.int64)
        plan[turn[worth]] = reply.plan[worth]
        self._offer(plan)

    def _offer(self, plan: Int64) -> None:
        chosen: list[int] = plan[plan >= 0].tolist()
        cost = float(self.refuse[plan < 0].sum()) + sum(self.pool.cost[p] for p in chosen)
        if cost < self.best_cost:
            self.best_cost, self.best_plan = cost, plan

    def _choose(self, until: float) -> None:
        """The best joint plan of the pool."""
        menu = self.pool.options(self.refuse)
        left = max(0.0, until - perf_counter())
        joint = source_jointly(menu.options, menu.shared, time_limit_s=left, gap=self.gap / 2, seed=self.seed)
        plan = np.full(self.orders, -1, np.int64)
        plan[joint.order] = menu.plan[joint.option]
        self._offer(plan)
        if not self.is_proved:
            self.bound = joint.bound

    def _answer(self, like: Decisions) -> Together:
        plan = self.best_plan
        decisions = self.pool.take(plan, like)
        of_supply = decisions.pick_supply >= 0
        decisions.pick_supply[of_supply] = self.supply_row[decisions.pick_supply[of_supply]]
        cost = self.best_cost if self.orders else 0.0
        bound = min(self.bound, cost) if self.orders else 0.0
        assert not self.is_proved or not self.orders or self.bound <= cost + 1e-6 * max(1.0, abs(cost)), (
            f"a joint plan of {cost} is below its bound {self.bound}"
        )
        return Together(
            decisions, cost, bound, self.refuse, self.is_proved, self.rounds, len(self.pool),
            perf_counter() - self.began,
        )  # fmt: skip

    # -- the kernel's view

    def _spread(self) -> Stock:
        """Stock by nodes that were taken apart, each day of a node with all of it."""
        if not self.apart.tight.any():
            return self.stock
        stock, node = self.stock, self.apart.node
        prices = spread_prices(stock.prices, node, self.apart.slot)
        return Stock(
            np.take(stock.available, node, axis=1),
            np.take(stock.pending, node, axis=1),
            np.take(stock.safety, node, axis=1),
            stock.rows,
            prices,
            stock.supply,
        )

    def _shadow(self, price: Float64) -> tables.Shadow:
        rows, apart = self.rows, self.apart
        # Laid out as the kernel is compiled for.
        unit = np.take(rows.stock(price), apart.node, axis=1)
        tight = apart.tight[:, np.newaxis]
        node = np.where(tight, rows.room(price)[apart.node, apart.slot], 0.0)
        parcel = np.zeros((len(apart.node), len(self.network.services)))
        if rows.services:
            parcel = np.where(tight, rows.parcels(price)[apart.node, :, apart.slot], 0.0)
        lane = np.ascontiguousarray(rows.along(price))
        return tables.Shadow(unit, np.ascontiguousarray(node), np.ascontiguousarray(parcel), self.divide, lane)


def gap_of(cost: float, bound: float) -> float:
    """(cost - bound) / |bound|; 0 when they are equal."""
    if cost <= bound:
        return 0.0
    return (cost - bound) / abs(bound) if bound != 0.0 and math.isfinite(bound) else math.inf


def _one_attempt(asked: Asked, *, supply: bool, dip: bool) -> Attempts:
    count = len(asked.zone)
    usual = usual_attempts(replace(asked, attempts=None))
    one = usual.only(np.arange(count + 1, dtype=np.int32), np.arange(count) * 2 + dip)
    # Lines of items that are short are divided as `Shadow.divide` says.
    return one._replace(supply=np.full(count, supply, np.int32), divide=np.full(count, tables.DIVIDE_NEEDED, np.int32))


def _narrowed(stock: Stock, items: Int32, item_row: dict[int, int], *, with_supply: bool) -> tuple[Stock, Int64]:
    """Stock of these items only, nothing of it pending; and of each row of its supply the row of `stock`."""
    at = items if stock.rows is None else np.array([stock.rows[i] for i in items.tolist()], np.int32)
    prices, supply = stock.prices, stock.supply
    if len(prices.unit):
        prices = prices._replace(unit=prices.unit[at], clock=prices.clock[at])
    if len(prices.ratio):
        prices = prices._replace(ratio=prices.ratio[at])
    take = np.zeros(0, np.int64)
    if with_supply and len(supply.first):
        ranges = [range(int(supply.first[i]), int(supply.first[i + 1])) for i in at.tolist()]
        sizes = [len(some) for some in ranges]
        take = np.array([row for some in ranges for row in some], np.int64)
        supply = tables.Supply(first_rows(sizes), supply.node[take], supply.ready[take], supply.units[take])
    else:
        none = np.zeros(0, np.int32)
        supply = tables.Supply(none, none, np.zeros(0), none)
    free = stock.available[at] - stock.pending[at]
    return Stock(free, np.zeros_like(free), stock.safety[at], item_row, prices, supply), take


def take_from(decisions: Decisions, stock: Stock, network: Network) -> None:
    """Take the units, room and parcels of `decisions` from `stock` and `network`."""
    picks, made = int(decisions.pick_first[-1]), int(decisions.fulfilment_first[-1])
    supply, units = decisions.pick_supply[:picks], decisions.pick_units[:picks]
    shelf = supply < 0
    items = decisions.demand_item[decisions.pick_demand[:picks]]
    rows = items if stock.rows is None else np.array([stock.rows[i] for i in items.tolist()], np.int32)
    np.add.at(stock.pending, (rows[shelf], decisions.pick_node[:picks][shelf]), units[shelf])
    np.subtract.at(stock.supply.units, supply[~shelf], units[~shelf])
    node, slot, service = decisions.node[:made], decisions.slot[:made], decisions.service[:made]
    for kind, amount in enumerate((np.ones(made, np.int32), decisions.lines[:made], decisions.units[:made])):
        limited = network.left[node, slot, kind] != tables.NO_LIMIT
        at: Any = (node[limited], slot[limited], kind)
        np.subtract.at(network.left, at, amount[limited])
    network.give_back_parcels(node, service, decisions.lane[:made], decisions.day[:made], -decisions.parcels[:made])


__all__ = ["Together", "gap_of", "plan_together", "take_from", "usual_refusals", "without_moving_prices"]
