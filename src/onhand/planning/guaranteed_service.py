"""Where in a network of stages safety stock is best kept: the guaranteed-service model.

Each stage quotes those it supplies a service time within which it delivers whatever they order, as long as demand stays
within a bound; what it cannot wait for it keeps. Stock of stage j with inbound service time SI, own time T and quoted
time S must cover SI + T − S days: `min Σ h_j B_j(SI_j + T_j − S_j)` subject to `S_j <= SI_j + T_j` and `SI_j >= S_i` of
all i that supply j (Simpson 1958; Graves and Willems 2000, with their erratum of 2003). On trees a dynamic programme is
exact for any bound B that is given, concave or not.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Longest replenishment time: the work grows with its square.
DAYS_MAX = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: an item at a node, or a step of making it.

    days          its own time, whole, from when everything is there
    holding       cost of a unit kept and day
    inbound_days  service time of its outside supplier, 0 where it has none or it is immediate
    quoted_max    longest service time that may be quoted; None: any (of a stage that serves customers say what they
                  are promised)
    """

    days: int
    holding: float
    inbound_days: int = 0
    quoted_max: int | None = None

    def __post_init__(self) -> None:
        whole = (self.days, self.inbound_days, 0 if self.quoted_max is None else self.quoted_max)
        if min(whole) < 0 or any(int(n) != n for n in whole):
            raise ValueError(f"expected whole days >= 0: {self!r}")
        if not (math.isfinite(self.holding) and self.holding >= 0):
            raise ValueError(f"expected holding >= 0: {self!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Service times and stock of each stage, in the order given; `cost` of holding the safety stock a day.

    inbound_days, quoted_days  int64[n]
    covered_days               int64[n]: inbound_days + days − quoted_days
    safety_stock               float64[n], units
    """

    inbound_days: Int64
    quoted_days: Int64
    covered_days: Int64
    safety_stock: Float64
    cost: float


def longest_days(stages: Sequence[Stage], supplies: Sequence[tuple[int, int]]) -> Int64:
    """int64[n]: the longest time until a stage is replenished, if nobody upstream keeps anything; the bounds that
    `place` takes have one more column than its maximum."""
    order, suppliers, _ = _ordered(len(stages), supplies)
    longest = np.zeros(len(stages), np.int64)
    for stage in order:
        waits = max([stages[stage].inbound_days, *(int(longest[i]) for i in suppliers[stage])])
        longest[stage] = waits + stages[stage].days
    if len(longest) and longest.max() > DAYS_MAX:
        raise ValueError(f"expected at most {DAYS_MAX} days to replenish a stage: count in weeks")
    return longest


def normal_bounds(sd: npt.ArrayLike, *, z: float, days: int) -> Float64:
    """float64[n, days + 1]: z σ sqrt(τ) for τ = 0, ..., days; `sd` float64[n] of a day's demand at each stage."""
    spread = np.asarray(sd, np.float64)
    if not np.isfinite(spread).all() or (spread < 0).any() or not math.isfinite(z):
        raise ValueError("expected finite standard deviations >= 0 and a finite z")
    return z * spread[:, None] * np.sqrt(np.arange(days + 1))


def empirical_bounds(demand: npt.ArrayLike, *, service: float, days: int) -> Float64:
    """float64[n, days + 1]: how far the `service` quantile of the sum over τ days lies above its mean, from a history
    or from paths; made to rise with τ, as a bound must.

    demand  float64[n, T] of each stage and day, or float64[n, P, T] paths; T > days. Sums are taken over every window
            of τ days that lies within a path: no distribution is assumed, and serial correlation stays in.
    """
    given = np.asarray(demand, np.float64)
    if given.ndim == 2:
        given = given[:, None, :]
    if given.ndim != 3 or not np.isfinite(given).all() or (given < 0).any():
        raise ValueError("expected demand [stage, day] or [stage, path, day], finite and at least 0")
    if not 0 < service < 1:
        raise ValueError(f"expected service in (0, 1), got {service}")
    if given.shape[2] <= days:
        raise ValueError(f"expected demand of more than {days} days, got {given.shape[2]}")
    summed = np.concatenate([np.zeros((*given.shape[:2], 1)), given.cumsum(axis=2)], axis=2)
    bounds = np.zeros((len(given), days + 1))
    for span in range(1, days + 1):
        sums = (summed[:, :, span:] - summed[:, :, :-span]).reshape(len(given), -1)
        bounds[:, span] = np.quantile(sums, service, axis=1, method="inverted_cdf") - sums.mean(axis=1)
    return np.maximum.accumulate(np.maximum(bounds, 0.0), axis=1)


def net_sd(sd: npt.ArrayLike, supplies: Sequence[tuple[int, int]]) -> Float64:
    """float64[n]: standard deviation of a day's demand at each stage, from that of customers `sd` float64[n], who ask
    independently of one another."""
    spread = np.asarray(sd, np.float64) ** 2
    order, suppliers, _ = _ordered(len(spread), supplies)
    for stage in reversed(order):
        for supplier in suppliers[stage]:
            spread[supplier] += spread[stage]
    return np.sqrt(spread)


def place(stages: Sequence[Stage], supplies: Sequence[tuple[int, int]], bounds: npt.ArrayLike) -> Placement:
    """The service times that cost least, on a tree.

    supplies  (i, j): stage i supplies stage j; together with the stages a tree, whatever the directions
    bounds    float64[n, M + 1]: units that stage j keeps to cover τ = 0, ..., M days, rising in τ from 0; M at least
              the maximum of `longest_days`

    O(n M²). Raises ValueError if it is no tree, or a bound falls.
    """
    longest = longest_days(stages, supplies)
    count = len(stages)
    if not count:
        raise ValueError("expected a stage or more")
    most = int(longest.max())
    bound = np.asarray(bounds, np.float64)
    if bound.ndim != 2 or len(bound) != count or bound.shape[1] <= most:
        raise ValueError(f"expected bounds [{count}, {most + 1} or more]")
    if not np.isfinite(bound).all() or (bound[:, 0] != 0).any() or (np.diff(bound, axis=1) < -1e-9).any():
        raise ValueError("expected finite bounds that start at 0 and do not fall")
    if len(supplies) != count - 1:
        raise ValueError(f"expected a tree: {count - 1} links between {count} stages, got {len(supplies)}")
    towards, turn = _rooted(count, supplies)
    size = most + 1
    # f(S) of a stage that supplies its parent, g(SI) of one that is supplied by it; then as seen by the parent: the
    # least of f up to an inbound time, the least of g from a quoted time on, and where these are.
    seen: dict[int, tuple[Float64, Int64]] = {}
    chosen: dict[int, Int64] = {}
    tables: dict[int, Float64] = {}
    suppliers: list[list[int]] = [[] for _ in range(count)]
    customers: list[list[int]] = [[] for _ in range(count)]
    for stage in turn:
        table = _costs(stages[stage], bound[stage], size, int(longest[stage]))
        for child in suppliers[stage]:
            table = table + seen[child][0][:, None]
        for child in customers[stage]:
            table = table + seen[child][0][None, :]
        tables[stage] = table
        parent = towards.get(stage)
        if parent is None:
            continue
        if parent[1]:
            suppliers[parent[0]].append(stage)
            chosen[stage] = table.argmin(axis=0)
            seen[stage] = _least_so_far(table.min(axis=0))
        else:
            customers[parent[0]].append(stage)
            chosen[stage] = table.argmin(axis=1)
            cost, at = _least_so_far(table.min(axis=1)[::-1])
            seen[stage] = cost[::-1], (size - 1 - at)[::-1]
    return _traced(stages, bound, turn, (suppliers, customers), tables, chosen, seen)


def _costs(stage: Stage, bound: Float64, size: int, longest: int) -> Float64:
    """float64[SI, S]: cost of holding, infinite where a pair of service times may not be."""
    inbound, quoted = np.arange(size)[:, None], np.arange(size)[None, :]
    covered = inbound + stage.days - quoted
    may = (covered >= 0) & (inbound >= stage.inbound_days) & (inbound <= longest - stage.days)
    if stage.quoted_max is not None:
        may &= quoted <= stage.quoted_max
    return np.where(may, stage.holding * bound[np.clip(covered, 0, size - 1)], np.inf)


def _least_so_far(cost: Float64) -> tuple[Float64, Int64]:
    """The running minimum, and where it is."""
    least = np.minimum.accumulate(cost)
    fresh = np.concatenate([[True], cost[1:] < least[:-1]])
    return least, np.maximum.accumulate(np.where(fresh, np.arange(len(cost)), 0))


def _traced(
    stages: Sequence[Stage],
    bound: Float64,
    turn: Sequence[int],
    below: tuple[list[list[int]], list[list[int]]],
    tables: dict[int, Float64],
    chosen: dict[int, Int64],
    seen: dict[int, tuple[Float64, Int64]],
) -> Placement:
    count = len(stages)
    inbound, quoted = np.zeros(count, np.int64), np.zeros(count, np.int64)
    suppliers, customers = below
    root = turn[-1]
    inbound[root], quoted[root] = np.unravel_index(int(tables[root].argmin()), tables[root].shape)
    for stage in reversed(turn):
        for child in suppliers[stage]:
            quoted[child] = seen[child][1][inbound[stage]]
            inbound[child] = chosen[child][quoted[child]]
        for child in customers[stage]:
            inbound[child] = seen[child][1][quoted[stage]]
            quoted[child] = chosen[child][inbound[child]]
    covered = inbound + np.array([s.days for s in stages]) - quoted
    stock = bound[np.arange(count), covered]
    cost = float(np.array([s.holding for s in stages]) @ stock)
    return Placement(inbound_days=inbound, quoted_days=quoted, covered_days=covered, safety_stock=stock, cost=cost)


def _ordered(count: int, supplies: Sequence[tuple[int, int]]) -> tuple[list[int], list[list[int]], list[list[int]]]:
    """(stages, each after those that supply it; suppliers of each; customers of each)."""
    suppliers: list[list[int]] = [[] for _ in range(count)]
    customers: list[list[int]] = [[] for _ in range(count)]
    for supplier, customer in supplies:
        if not (0 <= supplier < count and 0 <= customer < count) or supplier == customer:
            raise ValueError(f"expected links between two of {count} stages, got {(supplier, customer)}")
        suppliers[customer].append(supplier)
        customers[supplier].append(customer)
    waits = [len(s) for s in suppliers]
    ready = deque(n for n in range(count) if not waits[n])
    order: list[int] = []
    while ready:
        stage = ready.popleft()
        order.append(stage)
        for customer in customers[stage]:
            waits[customer] -= 1
            if not waits[customer]:
                ready.append(customer)
    if len(order) < count:
        raise ValueError("expected no circle of stages that supply each other")
    return order, suppliers, customers


def _rooted(count: int, supplies: Sequence[tuple[int, int]]) -> tuple[dict[int, tuple[int, bool]], list[int]]:
    """(parent of each stage but the root, and whether the stage supplies it; stages, children before parents)."""
    beside: list[list[tuple[int, bool]]] = [[] for _ in range(count)]
    for supplier, customer in supplies:
        beside[customer].append((supplier, True))
        beside[supplier].append((customer, False))
    towards: dict[int, tuple[int, bool]] = {}
    reached, order = {0}, [0]
    for stage in order:
        for other, supplies_it in beside[stage]:
            if other not in reached:
                reached.add(other)
                order.append(other)
                towards[other] = (stage, supplies_it)
    if len(order) < count:
        raise ValueError("expected a tree: not all stages are connected")
    return towards, order[::-1]
