"""How much of an item to keep at which node, where nodes supply one another: guaranteed service, made of draws.

Every node quotes those it feeds a service time (guaranteed_service.py says how these are chosen). What stock must cover
is the quantile of what was drawn, as for a node by itself (safety_stock.py), over fewer or more days: of a node's own
demand together with that of all it feeds, day by day and draw by draw. Nodes are drawn independently of one another.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.demand.paths import sample_paths
from onhand.planning.guaranteed_service import Stage, longest_days, place
from onhand.planning.protection import Expected
from onhand.planning.safety_stock import Targets, described, for_fill_rate

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]

DAYS_MAX: Final = 365
"""Longest replenishment of a tree: the work grows with its square, and a year ahead no forecast knows anything."""
REVIEW_DAYS: Final = 1
"""From one chance to send over a lane to the next: it can be planned every day."""
OUTSIDE: Final = -1
"""Source of a node that is fed from outside."""
NOWHERE: Final = -2
"""Source of a node that nothing reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """n nodes that keep an item, all of them fed by one.

    source   int64[n], row of the node that feeds it, or OUTSIDE
    days     int64[n], from when its source sends until it can serve from that, the wait for the next sending included
    holding  float64[n], cost of a unit kept and day
    service  float64[n] in [0, 1), chance to serve what its own customers ask for
    """

    source: Int64
    days: Int64
    holding: Float64
    service: Float64

    def __post_init__(self) -> None:
        count = len(self.source)
        if any(len(given) != count for given in (self.days, self.holding, self.service)):
            raise ValueError(f"expected days, holding and service of each of {count} nodes")
        if not ((self.service >= 0) & (self.service < 1)).all():
            raise ValueError("expected service of at least 0 and below 1")

    @property
    def links(self) -> list[tuple[int, int]]:
        return [(source, row) for row, source in enumerate(self.source.tolist()) if source != OUTSIDE]

    def longest(self) -> int:
        """Days of demand that `place_across` needs to be told: until a node is replenished if nobody keeps anything.
        Raises ValueError where nodes feed each other in a circle."""
        stages = [Stage(days=d, holding=0.0) for d in self.days.tolist()]
        return int(longest_days(stages, self.links).max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """Of each node of a tree, int64[n].

    inbound_days  that its source quotes it
    quoted_days   that it quotes those it feeds; its own customers do not wait
    covered_days  of demand, its own and that of those it feeds, which its stock covers
    demand        int32[n, P], drawn for these days, each row sorted; customers of a node that makes others wait add the
                  days for which they do not
    """

    inbound_days: Int64
    quoted_days: Int64
    covered_days: Int64
    demand: Int32
    targets: Targets


def quickest_sources(is_fed: Bool, keeps: Bool, feeds: Bool, days: Int64, cost: Float64) -> Int64:
    """int64[N]: from which node each is fed: on the quickest way over lanes from one that is fed from outside, of
    equally quick ways on the cheapest (Dijkstra 1959). What comes of it has no circles.

    is_fed      bool[N], from outside
    keeps       bool[N], what is to be reached; feeds: what may feed others
    days, cost  [from, to]; no lane where cost is not finite
    """
    source = np.where(is_fed & keeps, OUTSIDE, NOWHERE)
    reached = np.where(is_fed & keeps, 0.0, np.inf)
    paid = reached.copy()
    is_open = keeps.copy()
    while (is_open & np.isfinite(reached)).any():
        candidates = np.flatnonzero(is_open & np.isfinite(reached))
        node = candidates[np.lexsort((paid[candidates], reached[candidates]))[0]]
        is_open[node] = False
        if not feeds[node]:
            continue
        there, pays = reached[node] + days[node], paid[node] + cost[node]
        is_better = is_open & ~is_fed & np.isfinite(pays) & ((there < reached) | ((there == reached) & (pays < paid)))
        reached[is_better], paid[is_better], source[is_better] = there[is_better], pays[is_better], node
    return source


def trees_of(source: Int64) -> list[Int64]:
    """Nodes that are fed through the same one, rising; those that feed nobody and are fed by nobody are left out.
    Raises ValueError where nodes feed each other in a circle."""
    root = np.where(source == NOWHERE, NOWHERE, np.arange(len(source)))
    for node in np.flatnonzero(source >= 0).tolist():
        above, steps = node, 0
        while source[above] != OUTSIDE:
            above, steps = int(source[above]), steps + 1
            if steps > len(source):
                raise ValueError("expected no circle of nodes that feed each other")
        root[node] = above
    groups = [np.flatnonzero(root == node) for node in np.flatnonzero(source == OUTSIDE).tolist()]
    return [group for group in groups if len(group) > 1]


def own_days(source: Int64, lane_days: Int64, lead_days: npt.ArrayLike, review_days: int, share: float) -> Int64:
    """int64[n], the own time of each node of a tree: over a lane its days and the wait for the next sending; from
    outside what `share` of the deliveries took at most, lead_days int[K] equally likely, and the wait for the next
    order."""
    lead = np.sort(np.asarray(lead_days, np.int64))
    kept = lead[min(max(int(np.ceil(share * len(lead) - 1e-9)), 1), len(lead)) - 1]
    return np.where(source == OUTSIDE, kept + review_days, lane_days + REVIEW_DAYS)


def place_forecast(
    tree: Tree, expected: Expected, *, fill_rate: float | None = None, paths: int, correlation: float = 0.5,
    seed: int = 0,
) -> Across:  # fmt: skip
    """`place_across` on draws of a forecast with a row a node; days beyond it are like those of its last week.

    fill_rate  instead of the service of the tree: that of the level which leaves at most so much of demand unserved,
               at each node over its own time

    Raises ValueError.
    """
    longest = tree.longest()
    if longest > DAYS_MAX:
        raise ValueError(f"expected at most {DAYS_MAX} days until every node is replenished, got {longest}")
    known, days = expected.quantiles.shape[1], np.arange(longest)
    week = min(known, 7)
    days = np.where(days < known, days, known - week + (days - known) % week)
    drawn = sample_paths(
        expected.levels, expected.quantiles[:, days], paths=paths, correlation=correlation, seed=seed
    )  # fmt: skip
    service = tree.service if fill_rate is None else _service_of_fill(drawn, tree.days, fill_rate)
    # The largest draw stands for all that is larger.
    return place_across(replace(tree, service=np.minimum(service, 1 - 1 / paths)), drawn)


def _service_of_fill(demand: Int64, days: Int64, fill_rate: float) -> Float64:
    lasting = np.stack([demand[:, n, : max(d, 1)].sum(axis=1) for n, d in enumerate(days.tolist())]).astype(np.int32)
    lasting.sort(axis=1)
    level = for_fill_rate(lasting, lasting.mean(axis=1) / np.maximum(days, 1), fill_rate).order_up_to
    return described(lasting, level).service


def place_across(tree: Tree, demand: npt.NDArray[np.integer]) -> Across:
    """Where it costs least to keep what makes every node serve its customers at once.

    demand  int[P, n, H], draws of each node's own demand, H at least `tree.longest()`

    A node with customers that feeds others as well is two stages: what it keeps for the one and for the other. Raises
    ValueError.
    """
    paths, count, days = demand.shape
    links, longest = tree.links, tree.longest()
    if count != len(tree.source) or days < longest:
        raise ValueError(f"expected demand [path, {len(tree.source)}, {longest} or more]")
    feeds, has_customers = np.zeros(count, np.bool_), demand.any(axis=(0, 2))
    feeds[[source for source, _ in links]] = True
    own = np.zeros((count, paths, longest + 1), np.int64)
    np.cumsum(np.moveaxis(demand, 0, 1)[:, :, :longest], axis=2, out=own[:, :, 1:])
    pooled, service = own.copy(), np.where(has_customers, tree.service, 0.0)
    for row in _leaves_first(tree):
        source = int(tree.source[row])
        if source != OUTSIDE:
            pooled[source] += pooled[row]
            service[source] = max(service[source], service[row])
    # The counter of a node that feeds others too: another stage beside it, on no way at all.
    counters = np.flatnonzero(feeds & has_customers)
    stages = [
        Stage(days=int(tree.days[n]), holding=float(tree.holding[n]), quoted_max=None if feeds[n] else 0)
        for n in range(count)
    ]
    stages += [Stage(days=0, holding=float(tree.holding[n]), quoted_max=0) for n in counters]
    bounds = [_bound(pooled[n], float(service[n])) for n in range(count)]
    bounds += [_bound(own[n], float(tree.service[n])) for n in counters]
    found = place(stages, [*links, *((int(n), count + k) for k, n in enumerate(counters))], np.array(bounds))
    covered, kept = found.covered_days[:count], found.safety_stock[:count].copy()
    drawn = pooled[np.arange(count), :, covered]
    drawn[counters] += own[counters, :, found.covered_days[count:]]
    kept[counters] += found.safety_stock[count:]
    drawn.sort(axis=1)
    level = np.ceil(drawn.mean(axis=1) + kept - 1e-6).astype(np.int64)
    sorted_demand = drawn.astype(np.int32)
    return Across(
        inbound_days=found.inbound_days[:count],
        quoted_days=found.quoted_days[:count],
        covered_days=covered,
        demand=sorted_demand,
        targets=described(sorted_demand, level),
    )


def _leaves_first(tree: Tree) -> list[int]:
    depth = np.zeros(len(tree.source), np.int64)
    for row in range(len(depth)):
        above = int(tree.source[row])
        while above != OUTSIDE:
            depth[row] += 1
            above = int(tree.source[above])
    return np.argsort(-depth, kind="stable").tolist()


def _bound(summed: Int64, service: float) -> Float64:
    """float64[H + 1]: how far the quantile of int64[P, H + 1] lies above the mean, made to rise with the days."""
    paths = len(summed)
    rank = min(max(int(np.ceil(service * paths - 1e-9)) - 1, 0), paths - 1)
    level = np.partition(summed, rank, axis=0)[rank] if service > 0 else np.zeros(summed.shape[1])
    return np.maximum.accumulate(np.maximum(level - summed.mean(axis=0), 0.0))
