# pyright: basic
"""What a unit at a node is worth to the orders to come: central prices, and their correction order by order. Pure.

The price of (item, node) is the shadow price of its stock in the problem of serving the expected orders until the next
supply. An order that is decided by cost + price leaves scarce units to those who need them most.

- `central_prices` learns them from a sample of expected orders by an averaged stochastic subgradient on the exact
  decision of each order (N. Z. Shor 1985; averaging: B. T. Polyak and A. B. Juditsky 1992), every price with a step of
  its own that shortens with what it was moved (J. Duchi, E. Hazan and Y. Singer 2011): one setting then suits 20 items
  at 5 nodes, sampled hundreds of times each, and 20,000 at 50, whose prices move a few times.
- `expect` and `charge` correct them with every real order by one mirror-descent step (S. Balseiro, H. Lu and
  V. Mirrokni 2023), which makes up for what the forecast did not know.

Time is told by **item clocks**: an item's clock is the number of its units that were asked for. A node is expected to
give up `rate = stock / units expected of the item` of each unit asked for, so only the items of an order have their
prices touched by it, all at the moment they are read: no order costs more than its own lines x nodes, whatever the
number of items.

Money is in whatever unit the costs are; steps and limits are fractions of `spread`, the span of the cost of serving
one unit, so nothing depends on the currency or the size of a problem.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.base.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

# An order of more different lines is decided in groups of so many: 2^L nodes + 3^L steps.
LINES_MAX = 10
_BIG = 1e18


class Costs(NamedTuple):
    """What serving costs, in one unit of money.

    fixed       float64[region, node + 1], of a fulfilment; last column: of leaving any part of an order unserved
    unit        float64[region, node + 1], of each unit in it; last column: of each unit unserved
    """

    fixed: Floats
    unit: Floats


class Orders(NamedTuple):
    """Orders, one after the other.

    first   int64[order + 1], where the lines of each begin
    item    int32[line], a row of stock and prices; no item twice in an order
    units   int32[line], > 0
    region  int32[order], a row of the costs
    """

    first: Ints
    item: Int32
    units: Int32
    region: Int32


class Settings(NamedTuple):
    """Fractions of `spread`, except where said.

    step       first step of the subgradient, for a unit too many or too few
    settle     squared units that a price was moved for until its step is 1/sqrt(2) of the first (a number)
    skip       share of an item's visits before averaging begins (a share)
    eta        step of the online correction
    cap        most a price may be
    refuse     whether a price may lead to a refusal (yes or no)
    """

    step: float = 0.1
    settle: float = 1.0
    skip: float = 0.25
    eta: float = 0.0025
    cap: float = 2.0
    refuse: bool = True


STANDARD = Settings()


class Scratch(NamedTuple):
    """Room for one decision. cost: float64[LINES_MAX, nodes]; sums: float64[2^LINES_MAX, nodes]; best, dp: float64 and
    who, part: int32[2^LINES_MAX]; choice: int32[LINES_MAX]."""

    cost: Floats
    sums: Floats
    best: Floats
    dp: Floats
    who: Int32
    part: Int32
    choice: Int32


def scratch(nodes: int) -> Scratch:
    """Room for decisions over so many nodes, the unserved one included."""
    subsets = 1 << LINES_MAX
    return Scratch(
        cost=np.empty((LINES_MAX, nodes)),
        sums=np.zeros((subsets, nodes)),
        best=np.empty(subsets),
        dp=np.empty(subsets),
        who=np.empty(subsets, np.int32),
        part=np.empty(subsets, np.int32),
        choice=np.empty(LINES_MAX, np.int32),
    )


def spread(costs: Costs, weight: Floats) -> float:
    """Span of the cost of serving one unit: in a parcel of its own from the dearest node, against joining a parcel from
    the nearest; the mean over regions by `weight` float64[region]."""
    nodes = costs.fixed.shape[1] - 1
    dearest = (costs.fixed[:, :nodes] + costs.unit[:, :nodes]).max(axis=1)
    span = dearest - costs.unit[:, :nodes].min(axis=1)
    return float(np.average(span, weights=weight))


@compiled
def least_cost(scratch, fixed, lines):
    """Least cost of serving the first `lines` rows of `scratch.cost`, exact; fills `choice` with the node of each.

    scratch.cost  float64[line, node], of serving the line from the node, _BIG or more where it cannot
    fixed         float64[node], once per node used

    w[T] = min over nodes of fixed + sum of the lines of T; dp[S] = min over T in S that hold the lowest line of S of
    w[T] + dp[S - T]: 2^lines nodes + 3^lines / 2 steps. (One node never serves two parts of an optimum: together they
    are cheaper.)
    """
    cost, sums, best, dp, who, part, choice = scratch
    nodes = fixed.shape[0]
    full = (1 << lines) - 1
    sums[0, :] = fixed
    line = 0
    for subset in range(1, full + 1):
        while subset >> (line + 1):
            line += 1
        before = subset ^ (1 << line)
        least, node = _BIG * 1e3, 0
        for k in range(nodes):
            s = sums[before, k] + cost[line, k]
            sums[subset, k] = s
            if s < least:
                least, node = s, k
        best[subset] = least
        who[subset] = node
    dp[0] = 0.0
    for subset in range(1, full + 1):
        low = subset & -subset
        others = subset ^ low
        least, whole = best[subset], subset
        rest = others
        while rest:
            # `rest` is what another fulfilment serves.
            total = best[subset ^ rest] + dp[rest]
            if total < least:
                least, whole = total, subset ^ rest
            rest = (rest - 1) & others
        dp[subset] = least
        part[subset] = whole
    left = full
    while left:
        for line in range(lines):
            if part[left] >> line & 1:
                choice[line] = who[part[left]]
        left ^= part[left]
    return dp[full]


@compiled
def decide(scratch, fixed, unit, item, units, start, stop, stock, price, refuse):
    """Least cost + price of the lines start .. stop - 1 (at most LINES_MAX) of an order, with what stock[item, node]
    holds; `scratch.choice` is the node of each, the last column unserved.

    refuse  whether a price may lead to a refusal. If not, what is left unserved pays the lowest price at which it could
            be served too: only differences between nodes count.
    """
    nodes = fixed.shape[0] - 1
    for n in range(start, stop):
        i, q = item[n], units[n]
        lowest = _BIG
        for k in range(nodes):
            if stock[i, k] >= q:
                scratch.cost[n - start, k] = q * (unit[k] + price[i, k])
                lowest = min(lowest, price[i, k])
            else:
                scratch.cost[n - start, k] = _BIG
        if refuse or lowest == _BIG:
            lowest = 0.0
        scratch.cost[n - start, nodes] = q * (unit[nodes] + lowest)
    return least_cost(scratch, fixed, stop - start)


@compiled
def expect(price, rate, eta, i, units):
    """The clock of item `i` goes on by `units`: its prices fall as if every node gave up none of what it should."""
    for k in range(price.shape[1]):
        price[i, k] = max(price[i, k] - eta * units * rate[i, k], 0.0)


@compiled
def charge(price, eta, cap, i, k, units):
    """Node `k` gives up units of item `i`."""
    price[i, k] = min(price[i, k] + eta * units, cap)


@compiled
def _central(scratch, costs, orders, draws, stock, rate, price, mean, moved, step, settle, skip, cap, refuse):
    fixed, unit = costs
    first, item, units, region = orders
    items, nodes = price.shape
    total = np.zeros(items, np.int64)
    for d in draws:
        for n in range(first[d], first[d + 1]):
            total[item[n]] += 1
    seen = np.zeros(items, np.int64)
    for d in draws:
        r = region[d]
        for start in range(first[d], first[d + 1], LINES_MAX):
            stop = min(start + LINES_MAX, first[d + 1])
            decide(scratch, fixed[r], unit[r], item, units, start, stop, stock, price, refuse)
            for n in range(start, stop):
                i, q, used = item[n], units[n], scratch.choice[n - start]
                keep = seen[i] >= skip * total[i]
                seen[i] += 1
                for k in range(nodes):
                    change = -q * rate[i, k]
                    if k == used:
                        change += q
                    moved[i, k] += change * change
                    price[i, k] += step / np.sqrt(1.0 + moved[i, k] / settle) * change
                    price[i, k] = min(max(price[i, k], 0.0), cap)
                if keep:
                    for k in range(nodes):
                        mean[i, k] += price[i, k]
    for i in range(items):
        averaged = total[i] - np.ceil(skip * total[i])
        for k in range(nodes):
            mean[i, k] = mean[i, k] / averaged if averaged > 0 else price[i, k]


def central_prices(
    orders: Orders,
    draws: Ints,
    costs: Costs,
    stock: Int32,
    rate: Floats,
    start: Floats,
    money: float,
    settings: Settings = STANDARD,
) -> Floats:
    """Prices float64[item, node] of the stock for the orders expected, of which `orders` drawn in the order of `draws`
    are a sample.

    stock  int32[item, node], now
    rate   float64[item, node], stock / units expected of the item
    start  float64[item, node], where to begin: the prices of last time, or zeros
    money  what `settings` are fractions of (see `spread`)

    The average over the later part of the walk is central among the prices that are optimal for the sample, where a
    linear programme would give a corner. Costs draws x (2^L nodes + 3^L).
    """
    price = np.minimum(start, settings.cap * money)
    mean = np.zeros_like(price)
    _central(
        scratch(costs.fixed.shape[1]), costs, orders, draws, stock, rate, price, mean, np.zeros_like(price),
        settings.step * money, settings.settle, settings.skip, settings.cap * money, settings.refuse,
    )  # fmt: skip
    return mean


def draw(weight: Floats, count: int, seed: int) -> Ints:
    """Indices of `count` orders in random order, each as often as its share of `weight` says, to within one: a
    systematic sample (W. G. Madow 1949) varies less than independent draws."""
    random = np.random.default_rng(seed)
    edges = np.cumsum(weight)
    at = (np.arange(count) + random.random()) / count * edges[-1]
    return random.permutation(np.minimum(np.searchsorted(edges, at, side="right"), len(weight) - 1))
