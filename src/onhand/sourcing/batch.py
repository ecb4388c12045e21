"""Many orders at once over shared stock and capacity: a plan, a proved lower bound and the gap between them.

Order by order, each exactly, is 28 to 77 % dearer than jointly when stock or capacity is scarce. Here scarce rows get
shadow prices (Lagrangian multipliers), orders answer the prices exactly (`shadow`), and that gives both a bound and a
guide for plans, which are then taken apart and put together again where orders compete (`repair`), and bettered by a
MIP solver a part at a time (`programmes`). Rows of little room have prices by amount (`bends`): the bound then sees
that amounts are whole. What is left open goes to the MIP solver if it is small enough (`referee`), which often proves
the optimum of small batches.

Knows nothing of networks, carriers or days: an *option* of an order is one node with service and day already chosen,
and its costs for every subset of the order's lines are an input. Pure: equal inputs and seed give equal plans, unless
the time limit cut the search short.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.sourcing import referee as highs
from onhand.sourcing import repair, shadow
from onhand.sourcing.bends import bends_of, free_points
from onhand.sourcing.cells import SUBSETS, Floats, Ints, all_keys, costs_of, near_keys, pool_of, refused_lines
from onhand.sourcing.programmes import Found, Programmes, gap_of
from onhand.sourcing.shadow import LINES_MAX, Cells, Table

AnyInts = npt.NDArray[Any]
NO_LIMIT = 2147483647
# 12 rounds of 15 passes and 2 of 60 climbs reach the best bound there is within 0.01 % at 50 and at 500 nodes.
_ROUNDS, _PASSES, _CLIMBS = 12, 15, 60
_CELLS = 16  # of an order that join the pool in each survey
_CELLS_REPAIR = 24  # of an order in the pool for repair: 8 are too few at 500 nodes (+ 3 % cost), 64 gain nothing
_DRAWS = 30  # orders of which repair takes the one furthest from its best: 3 leave a gap 0.3 % of cost wider
_FIRST = 0.25  # the part of what time is left that repair has to itself
_TIGHTENED = 4  # more add less than 0.01 %
_APART = 200  # orders from which two threads survey them sooner than one
_CHUNKS, _CHUNKS_BESIDE, _TURNS = 100, 20, 20  # of repair, each of as many trials as there are orders
_CLOSE_EARLY, _MIP_CELLS = 6_000, 30_000  # cells given to the MIP solver while there is much, and nothing, left to do


class Options(NamedTuple):
    """The orders and all ways to serve them, in compressed rows; any integer type.

    line_first         int[orders+1]    first line of each order (and the end); 1 to 8 lines an order
    item, units        int[lines]       row of `Shared.stock`, units wanted
    fulfilments_max    int[orders]      most fulfilments of the order, each from another node
    refuse_minor       float64[orders]  money of leaving any line of the order unserved, once
    refuse_line_minor  float64[lines]   and for each such line
    option_first       int[orders+1]    first option of each order
    node               int[options]     ascending within an order; several options of one node are several services
    cost_first         int[orders+1]    first cost of each order: 2^lines - 1 for each of its options, one after another
    cost               float64[.]       money of sending exactly the lines of bit mask 1, 2, .. 2^lines - 1 from the
                                        option's node in ONE fulfilment; inf (or >= 1e17) where it cannot. Any values:
                                        weight bands, minimum charges
    use_first          int[options+1]   resources that one fulfilment of the option takes, beside stock and capacity;
    use_resource, use_amount  int[.]    each resource once per option: row of `Shared.resource` and amount
    """

    line_first: AnyInts
    item: AnyInts
    units: AnyInts
    fulfilments_max: AnyInts
    refuse_minor: Floats
    refuse_line_minor: Floats
    option_first: AnyInts
    node: AnyInts
    cost_first: AnyInts
    cost: Floats
    use_first: AnyInts | None = None
    use_resource: AnyInts | None = None
    use_amount: AnyInts | None = None


class Shared(NamedTuple):
    """What the orders share.

    stock     int[items, nodes]  units
    capacity  int[nodes, 3]      fulfilments, lines, units; 2147483647 = no limit
    resource  int[resources]     whatever options use: parcels of a carrier at a node, places on a lorry
    """

    stock: AnyInts
    capacity: AnyInts
    resource: AnyInts | None = None


class Prices(NamedTuple):
    """Money that one more unit of each limit would have saved, at most, near the optimum; 0 where there is plenty."""

    stock: Floats
    capacity: Floats
    resource: Floats


class Joint(NamedTuple):
    """A plan: fulfilment k of order `order[k]` is option `option[k]` with the lines of `mask[k]`, by order."""

    order: Ints
    option: Ints
    mask: Ints
    refused: npt.NDArray[np.bool_]  # of each line
    cost: float
    bound: float  # no plan is cheaper: bound <= optimum <= cost
    gap: float  # (cost - bound) / |bound|, 0 when both are 0
    seconds: float
    prices: Prices
    how: tuple[str, ...]  # the steps that improved cost or bound, in order, with what they reached


def source_jointly(
    options: Options,
    shared: Shared,
    *,
    time_limit_s: float,
    gap: float = 1e-4,
    seed: int = 0,
    progress: Callable[[str, float, float], None] | None = None,
) -> Joint:
    """Plan all orders together; stops at `gap`, when nothing is left to try, or after `time_limit_s`.

    The clock is read between steps of some 50 ms each (1,000 orders); a limit of 0 still gives a feasible plan, order
    by order, and a bound. `progress(step, cost, bound)` is called after each step. Raises ValueError for arrays that
    do not fit together. Work: a survey reads every cost once; a pass reads 24 cells of each order.
    """
    began = perf_counter()
    check(options, shared)
    search = _Search(table_of(options, shared), seed, began, time_limit_s, gap, progress)
    search.run()
    return search.joint(options, shared)


def resource_prices(options: Options, shared: Shared, *, start: Floats | None = None, seed: int = 0) -> Floats:
    """Near-best prices of the resources alone, float64[resources], without a search for plans; `start` are those of a
    batch much like it, to go on from. Every resource must have its price: stock and capacity may not bind."""
    table = table_of(options, shared)
    search = _Search(table, seed, perf_counter(), math.inf, -1.0, None)
    assert search.rows == (0 if shared.resource is None else len(shared.resource)), "only resources bind"
    if start is not None:
        search.price[: search.rows] = start
    search.survey("start")
    for scale in (0.0, 1.0):
        search.pass_in_turn("in turn", scale)
    steps = search.steps()
    for step in steps if start is None else steps[len(steps) // 2 :]:
        search.approach(step)
    for _ in range(3):
        search.tighten()
    return search.bound_price[: search.rows]


def referee(options: Options, shared: Shared, time_limit_s: float) -> highs.Verdict:
    """The whole batch as a MIP: (cost, bound, cells). For small batches and tests: minutes for 1,000 orders."""
    check(options, shared)
    table = table_of(options, shared)
    return highs.best_of(table, pool_of(table, all_keys(table)), time_limit_s, gap=0.0)


def warm_up(options: Options, shared: Shared) -> None:
    """Compile, or load, every loop on a small batch, so that no time limit pays for it: half a minute where nothing
    is cached. A search that ends early need not pass through all of them."""
    search = _Search(table_of(options, shared), 0, perf_counter(), math.inf, -1.0, None)
    search.survey("orders alone")
    search.pass_in_turn("in turn", 0.0)
    search.approach(1.0)
    search.tighten()
    search.refine()
    list(_Plan(search).anneal(1.0, 1, math.inf))
    search.close(_CLOSE_EARLY)


class _Search:
    """State of one search: the pool of cells, prices per row, best plan, best bound."""

    def __init__(
        self,
        table: Table,
        seed: int,
        began: float,
        limit_s: float,
        gap: float,
        progress: Callable[[str, float, float], None] | None,
    ) -> None:
        self.table = table
        self.orders = len(table.refuse)
        self.rows = len(table.capacity) - 2
        self.random = np.random.default_rng(seed)
        self.began = began
        self.until = began + limit_s
        self.gap_wanted = gap
        self.progress = progress
        self.work = shadow.work()
        self.price = np.zeros(self.rows + 2)
        self.price[-1] = shadow.BLOCKED
        self.bend = free_points(table)
        self.values = np.zeros(self.orders)
        self.bound = -math.inf
        self.price_bound = -math.inf  # of the best prices alone
        self.theta = 0.3
        self.aside: ThreadPoolExecutor | None = None
        self.bound_price, self.bound_bend = self.price, self.bend
        self.best = Found(math.inf, np.zeros(0, np.int64))
        self.keys = np.zeros(0, np.int64)
        self.cells = pool_of(table, self.keys)
        self.how: list[str] = []
        self.proved = False  # the MIP solver has seen all that matters and is done

    # -- what is known

    @property
    def gap(self) -> float:
        return gap_of(self.best.cost, self.bound)

    @property
    def done(self) -> bool:
        return self.proved or self.gap <= self.gap_wanted or perf_counter() >= self.until

    def run(self) -> None:
        """Two threads: prices in this one, plans mostly in the other. What each does does not hang on how fast the
        other is; they meet between steps."""
        with ThreadPoolExecutor(1) as self.aside:
            self.approach_prices()
            if self.done:
                return
            heat = self.refusal / 10
            self.refine()
            plan, until = _Plan(self), self.part_of_time(_FIRST)
            repaired = self.aside.submit(list, plan.anneal(heat, _CHUNKS, until))
            self.tighten_some(_TIGHTENED)
            self.offer_all("repair", repaired.result())
            self.close(_CLOSE_EARLY)
            programmes = Programmes(
                self.table, int(self.random.integers(2**62)), self.gap_wanted, self.began, self.until
            )
            for turn in range(_TURNS):
                if self.done:
                    return
                near = self.aside.submit(programmes.run, self.best, self.bound_price, self.bound_bend, self.price_bound)
                self.tighten_some(2 if turn == 0 else 1)
                self.refine()
                # A plan warmed a little and cooled again.
                mine = self.best
                for mine in _Plan(self).anneal(heat / 10, _CHUNKS_BESIDE, self.until):
                    self.offer("repair", *mine)
                theirs = near.result()
                self.offer_all("programme of near cells", theirs)
                if theirs:
                    self.offer("programme of two plans", *programmes.cross(mine, theirs[-1]))
                self.close(_CLOSE_EARLY)
            self.close(_MIP_CELLS)

    def approach_prices(self) -> None:
        """Prices per unit from nothing, and plans that orders make one after another at them."""
        self.survey("orders alone", apart=True)
        self.pass_in_turn("in turn", 0.0)
        for step in self.steps():
            if self.done:
                return
            self.approach(step)
        for scale in (1.0, 0.5):
            self.pass_in_turn("in turn, priced", scale)

    @property
    def refusal(self) -> float:
        """Money of refusing a line, on average."""
        lines = max(1, len(self.table.units))
        return float(self.table.refuse_line.sum() + self.table.refuse.sum()) / lines

    def steps(self) -> list[float]:
        """Step lengths of the rounds of passes: from a tenth of a refusal to a 250th of a line's cost."""
        least = max(abs(self.bound) / max(1, len(self.table.units)) / 250, self.refusal * 1e-7, 1e-9)
        return list(np.geomspace(max(self.refusal / 10, least), least, _ROUNDS))

    @property
    def passes(self) -> int:
        return int(np.clip(_PASSES * 1000 // max(1, self.orders), 4, _PASSES))

    # -- prices and bound

    def survey(self, name: str, delta: float = math.inf, cells_max: int = _CELLS, *, apart: bool = False) -> None:
        """Price every cell at the prices of now: a bound, and the pool gains the best cells. With `apart` the other
        thread, which must be idle, does half."""
        middle = self.orders // 2 if apart and self.aside and self.orders >= _APART else 0
        ask = self.table, self.price, self.bend, delta, cells_max
        other = None
        if self.aside and middle:
            other = self.aside.submit(near_keys, *ask, shadow.work(), self.values, 0, middle)
        keys = near_keys(*ask, self.work, self.values, middle, self.orders)
        if other is not None:
            keys = np.concatenate([other.result(), keys])
        bound = float(self.values.sum() - (self.price[: self.rows] * self.table.capacity[: self.rows]).sum())
        bound -= shadow.ceilings(self.table, self.bend)
        if bound > self.price_bound:
            self.price_bound, self.bound_price, self.bound_bend = bound, self.price, self.bend
        if bound > self.bound:
            self.bound = bound
            self.told(name)
        self.grow(keys)

    def grow(self, keys: Ints) -> None:
        merged = np.union1d(self.keys, keys)
        if len(merged) > len(self.keys):
            self.keys = merged
            self.cells = pool_of(self.table, merged)

    def approach(self, step: float) -> None:
        price = self.price[self.cells.rows].copy()
        turn = self.random.permutation(self.orders)
        shadow.drift(self.table, self.cells, price, self.passes, step, turn, self.work)
        self.set_prices(price, np.zeros(len(self.cells.points)))
        self.survey("prices", apart=True)

    def tighten_some(self, times: int) -> None:
        for _ in range(times):
            if not self.done:
                self.tighten()

    def tighten(self) -> None:
        """Some rounds of the volume algorithm over the pool from the best prices, checked against all cells."""
        price, bend = self.prices_of(self.cells)
        straight: Ints = self.table.bent_row[self.cells.bent]
        at = np.searchsorted(self.cells.rows, straight)
        # A bent row begins with the price it had, times each amount.
        sizes = np.diff(self.cells.bent_first)
        bend[1:] += np.repeat(price[at], sizes) * self.table.point_amount[self.cells.points[1:]]
        price[at] = 0.0
        theta = max(self.theta, 0.02)
        _, self.theta = shadow.climb(self.table, self.cells, price, bend, self.best.cost, _CLIMBS, theta, self.work)
        self.set_prices(price, bend)
        self.survey("prices tightened")

    def set_prices(self, price: Floats, bend: Floats) -> None:
        self.price = np.zeros(self.rows + 2)
        self.price[-1] = shadow.BLOCKED
        self.price[self.cells.rows] = price
        self.bend = free_points(self.table)
        self.bend[self.cells.points[1:]] = bend[1:]

    def prices_of(self, cells: Cells) -> tuple[Floats, Floats]:
        """The best prices known of the rows and points of a pool."""
        return self.bound_price[cells.rows], self.bound_bend[cells.points]

    # -- plans

    def pass_in_turn(self, name: str, scale: float) -> None:
        """All orders one after another, those with most at stake first."""
        cells = self.cells
        plan = np.full((self.orders, LINES_MAX), -1, np.int64)
        left, costs = cells.capacity.copy(), np.zeros(self.orders)
        turn = np.argsort(-self.values / np.diff(self.table.line_first), kind="stable")
        if scale == 0.0:
            turn = np.arange(self.orders)
        price, bend = self.price[cells.rows], self.bend[cells.points]
        repair.in_turn(self.table, cells, turn, price, bend, scale, plan, left, costs, self.work)
        self.offer(name, float(costs.sum()), self.keys[np.sort(plan[plan >= 0])])

    def refine(self) -> None:
        """Keep only what is near the best at the best prices (and the best plan): the search is quicker."""
        self.price, self.bend = self.bound_price, self.bound_bend
        self.keys = self.best.keys
        self.cells = pool_of(self.table, self.keys)
        self.survey("prices", cells_max=_CELLS_REPAIR)

    def part_of_time(self, part: float) -> float:
        now = perf_counter()
        return now + part * max(0.0, self.until - now)

    def close(self, cells_max: int) -> None:
        """Give what may still be in a better plan to the MIP solver, if that is no more than `cells_max` cells: its
        bound then holds for all plans."""
        # A solver that began a presolve does not look at the clock: some 5,000 cells a second is its slowest seen.
        cells_max = int(min(cells_max, 5000 * (self.until - perf_counter())))
        if self.done or cells_max < 100:
            return
        self.price, self.bend = self.bound_price, self.bound_bend
        reach = self.best.cost - self.price_bound + 1e-6 * abs(self.bound)
        keys = np.empty(cells_max, np.int64)
        found = shadow.survey(
            self.table, self.price, self.bend, reach, len(self.table.cost), self.work, self.values, keys, 0, self.orders
        )
        if found < 0:
            return
        keys = np.union1d(keys[:found], self.best.keys)
        cells = pool_of(self.table, keys)
        verdict = highs.best_of(
            self.table,
            cells,
            0.9 * (self.until - perf_counter()),
            start=np.searchsorted(keys, self.best.keys),
            gap=self.gap_wanted / 2,
        )
        if verdict.cost < self.best.cost:
            # The solver's tolerances allow for a trace of infeasibility and rounding: the plan is costed anew.
            self.offer("programme", float(costs_of(self.table, keys[verdict.taken]).sum()), keys[verdict.taken])
        self.grow(keys)
        bound = min(verdict.bound, self.best.cost)
        # To its tolerances, that is.
        self.proved = self.best.cost - verdict.bound <= (self.gap_wanted / 2 + 1e-6) * max(1.0, abs(self.best.cost))
        if bound > self.bound:
            self.bound = bound
            self.told("programme")

    def offer(self, name: str, cost: float, keys: Ints) -> None:
        if cost < self.best.cost - 1e-9:
            self.best = Found(cost, keys)
            self.told(name)

    def offer_all(self, name: str, found: "list[Found]") -> None:
        for plan in found:
            self.offer(name, *plan)

    def told(self, name: str) -> None:
        text = f"{name}: {self.best.cost:.6g} >= {self.bound:.6g}"
        if self.how and self.how[-1].startswith(f"{name}: "):
            self.how[-1] = text
        else:
            self.how.append(text)
        if self.progress is not None:
            self.progress(name, self.best.cost, self.bound)

    def unit_prices(self) -> Floats:
        """Of each row; of a bent one the most that an amount pays per unit."""
        table, price = self.table, self.bound_price.copy()
        row = np.repeat(table.bent_row, np.diff(table.bent_first))
        begin = table.bent_first[0]
        each = self.bound_bend[begin:] / table.point_amount[begin:]
        np.maximum.at(price, row, np.where(each < shadow.FAR / shadow.BENT_MAX, each, 0.0))
        return price[: self.rows]

    def joint(self, options: Options, shared: Shared) -> Joint:
        option, mask = self.best.keys // SUBSETS, self.best.keys % SUBSETS
        order = np.searchsorted(self.table.option_first, option, side="right") - 1
        bound = min(self.bound, self.best.cost)
        return Joint(
            order,
            option,
            mask,
            refused_lines(self.table, order, mask),
            self.best.cost,
            bound,
            gap_of(self.best.cost, bound),
            perf_counter() - self.began,
            _prices(options, shared, self.unit_prices()),
            tuple(self.how),
        )


class _Plan:
    """The best plan of a search as the arrays that `repair` works on, in the pool of the moment. Once made it looks no
    more at what the search does."""

    def __init__(self, search: _Search) -> None:
        self.table, self.bound, self.gap_wanted = search.table, search.bound, search.gap_wanted
        self.work = shadow.work()
        self.state = search.random.integers(1, 2**63, 1, dtype=np.uint64)
        search.grow(search.best.keys)
        self.cells, self.pool = search.cells, search.keys
        cells, table = self.cells, search.table
        self.price, self.bend = search.prices_of(cells)
        self.plan = np.full((search.orders, LINES_MAX), -1, np.int64)
        self.left = cells.capacity.copy()
        self.costs = np.zeros(search.orders)
        self.values = np.zeros(search.orders)
        repair.adopt(
            table,
            cells,
            np.searchsorted(self.pool, search.best.keys),
            self.price,
            self.bend,
            self.plan,
            self.left,
            self.costs,
            self.values,
            search.work,
        )
        self.user_first = np.zeros(len(cells.rows) + 1, np.int64)
        np.cumsum(np.bincount(cells.row, minlength=len(cells.rows)), out=self.user_first[1:])

    def anneal(self, heat: float, chunks: int, until: float) -> Iterator[Found]:
        """Ruin and recreate, cooled to a hundredth of `heat`; a chunk is as many trials as there are orders. The plans
        found, each better than the one before.

        The heat falls by chunks done or by time gone, whichever is further."""
        best = float(self.costs.sum())
        begun = perf_counter()
        for chunk in range(chunks):
            now = perf_counter()
            if now >= until or gap_of(best, self.bound) <= self.gap_wanted:
                return
            share = max(chunk / chunks, (now - begun) / (until - begun))
            cost = self.ruin(heat * 0.01**share)
            if cost < best - 1e-9:
                best = cost
                yield Found(cost, self.keys())

    def ruin(self, heat: float) -> float:
        return repair.ruin(
            self.table,
            self.cells,
            self.price,
            self.bend,
            self.values,
            self.plan,
            self.left,
            self.costs,
            self.user_first,
            len(self.costs),
            heat,
            1.0,
            8,
            _DRAWS,
            self.state,
            self.work,
        )

    def keys(self) -> Ints:
        return self.pool[np.sort(self.plan[self.plan >= 0])]


def check(options: Options, shared: Shared) -> None:
    """Raises ValueError, phrased as the expectation, if the arrays do not fit together."""
    lines = np.diff(options.line_first)
    served = np.diff(options.option_first)
    nodes = len(shared.capacity)
    order_of = np.repeat(np.arange(len(served)), served)
    falls = np.flatnonzero((np.diff(options.node) < 0) & (np.diff(order_of) == 0)) if len(order_of) else order_of
    expectations = (
        (len(lines) == 0 or (lines.min() >= 1 and lines.max() <= LINES_MAX), f"1 to {LINES_MAX} lines an order"),
        (len(options.option_first) == len(options.line_first), "option_first as long as line_first"),
        (np.array_equal(np.diff(options.cost_first), served * ((1 << lines) - 1)), "2^lines - 1 costs an option"),
        (len(options.cost) == options.cost_first[-1], "as many costs as cost_first says"),
        (shared.stock.shape[1] == nodes and shared.capacity.shape == (nodes, 3), "stock[items, nodes], capacity[., 3]"),
        (len(options.node) == options.option_first[-1], "a node for every option"),
        (len(options.node) == 0 or (options.node.min() >= 0 and options.node.max() < nodes), f"nodes below {nodes}"),
        (len(falls) == 0, "options of an order by ascending node"),
        (len(options.units) == 0 or options.units.min() >= 1, "units >= 1"),
    )
    for holds, wanted in expectations:
        if not holds:
            raise ValueError(f"expected {wanted}")


class _Limits(NamedTuple):
    """Which limits can bind; rows are numbered stock first, then capacity, then resources."""

    scarce: npt.NDArray[np.bool_]  # [items, nodes]
    binds: npt.NDArray[np.bool_]  # [nodes, 3]


def _limits(options: Options, shared: Shared) -> _Limits:
    nodes = len(shared.capacity)
    # Stock of an item at a node binds only if all lines of the item together ask for more.
    asked = np.bincount(options.item, weights=options.units, minlength=len(shared.stock))
    scarce = (shared.stock > 0) & (shared.stock < asked[:, None])
    lines = np.diff(options.line_first)
    order_of = np.repeat(np.arange(len(lines)), np.diff(options.option_first))
    pairs = np.unique(order_of * nodes + options.node)
    node, order = pairs % nodes, pairs // nodes
    units = np.bincount(np.repeat(np.arange(len(lines)), lines), weights=options.units, minlength=len(lines))
    most = np.stack(
        [np.bincount(node, weights=weights[order], minlength=nodes) for weights in (np.ones(len(lines)), lines, units)],
        axis=1,
    )
    return _Limits(scarce, shared.capacity < most)


def table_of(options: Options, shared: Shared) -> Table:
    """Number the limits that can bind as rows and point every option at those it takes from."""
    scarce, binds = _limits(options, shared)
    resource = np.zeros(0, np.int64) if shared.resource is None else np.asarray(shared.resource, np.int64)
    first_capacity = int(scarce.sum())
    first_resource = first_capacity + int(binds.sum())
    free = first_resource + len(resource)
    plenty = np.iinfo(np.int64).max // 2
    stock_row = np.where(scarce, np.cumsum(scarce.ravel()).reshape(scarce.shape) - 1, free).astype(np.int32)
    node_row = np.where(binds, np.cumsum(binds.ravel()).reshape(binds.shape) - 1 + first_capacity, free)
    line_first = np.asarray(options.line_first, np.int64)
    option_first = np.asarray(options.option_first, np.int64)
    units = np.asarray(options.units, np.int64)
    slot_first = np.concatenate([[0], np.cumsum(np.diff(option_first) * np.diff(line_first))])
    bends = bends_of(
        options.item,
        options.units,
        int(np.diff(line_first).max(initial=0)),
        shared.stock,
        shared.capacity[:, 1],
        np.where(scarce, stock_row, -1),
        np.where(binds[:, 1], node_row[:, 1], -1),
    )
    count = len(options.node)
    use_first, use_row, use_amount = np.zeros(count + 1), np.zeros(0), np.zeros(0)
    if options.use_first is not None:
        assert options.use_resource is not None and options.use_amount is not None, "uses come together"
        use_first, use_row, use_amount = options.use_first, options.use_resource + first_resource, options.use_amount
    rows_of_slots, slot_point = shadow.slots(
        line_first, options.item, units, option_first, options.node, slot_first, stock_row, shared.stock, free + 1,
        bends.first_point, bends.rank,
    )  # fmt: skip
    return Table(
        line_first=line_first,
        units=units,
        fulfilments_max=np.asarray(options.fulfilments_max, np.int64),
        refuse=np.asarray(options.refuse_minor, np.float64),
        refuse_line=np.asarray(options.refuse_line_minor, np.float64),
        option_first=option_first,
        node=np.asarray(options.node, np.int64),
        cost_first=np.asarray(options.cost_first, np.int64),
        cost=np.asarray(options.cost, np.float64),
        slot_first=slot_first,
        stock_row=rows_of_slots,
        node_row=node_row.astype(np.int32),
        use_first=np.asarray(use_first, np.int64),
        use_row=np.asarray(use_row, np.int32),
        use_amount=np.asarray(use_amount, np.int64),
        capacity=np.concatenate([shared.stock[scarce], shared.capacity[binds], resource, [plenty, 0]]).astype(np.int64),
        bent_row=bends.row,
        bent_first=bends.first,
        point_amount=bends.amount,
        point_most=bends.most,
        slot_point=slot_point,
        line_point=bends.line_point,
    )


def _prices(options: Options, shared: Shared, price: Floats) -> Prices:
    scarce, binds = _limits(options, shared)
    stock, capacity = np.zeros(scarce.shape), np.zeros(binds.shape)
    first_capacity = int(scarce.sum())
    first_resource = first_capacity + int(binds.sum())
    stock[scarce], capacity[binds] = price[:first_capacity], price[first_capacity:first_resource]
    return Prices(stock, capacity, price[first_resource:].copy())
