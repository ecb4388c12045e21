"""Planning alone, without a server: how long purchases of 100,000 items at nodes take, and transfers of 5,000 items
between 50 nodes with lanes and docks that are short; how near to a proved bound these come."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.bench.report import Measure, at_most, median
from onhand.planning.protection import Expected
from onhand.planning.rebalance import Stocked, Transfers, rebalance
from onhand.planning.replenish import Buying, Purchases, replenish
from onhand.planning.transfers import Lanes

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

GROUPS = ("replenish", "rebalance")
REPLENISH_S = 60.0
REBALANCE_S = 60.0
GAP = 0.005
ROWS = 100_000
ITEMS, NODES = 5_000, 50
HORIZON_DAYS = 14
# What lanes and docks take, as a share of what would be sent if they had no limit.
ROOM = 0.6
LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    rounds: int = 3
    only: Collection[str] = GROUPS
    seed: int = 1


class World(NamedTuple):
    """Of items at nodes: what `rebalance` takes."""

    expected: Expected
    stocked: Stocked
    lanes: Lanes
    lead_days: Int64


def run(options: Options, *, say: Callable[[str], None]) -> list[Measure]:
    """All measures of the groups named; on an idle machine, or they mean nothing."""
    measures: list[Measure] = []
    if "replenish" in options.only:
        say("compiling")
        bought(200, options.seed)
        seconds: list[float] = []
        gaps: list[float] = []
        for turn in range(options.rounds):
            say(f"purchases of {ROWS:,} items at nodes, {turn + 1} of {options.rounds}")
            took, found = bought(ROWS, options.seed + turn)
            seconds.append(took)
            gaps.append(100 * (1 - found.gain_total / found.gain_bound))
        name = f"replenish {ROWS:,} items at nodes within a budget"
        measures.append(at_most(name, median(seconds), "s", REPLENISH_S))
        measures.append(at_most(f"{name}, gap to the bound", max(gaps), "%", 100 * GAP))
    if "rebalance" in options.only:
        say("compiling")
        moved(short_of(world(60, 5, options.seed)))
        seconds, gaps = [], []
        for turn in range(options.rounds):
            say(f"transfers of {ITEMS:,} items between {NODES} nodes, {turn + 1} of {options.rounds}")
            took, transfers = moved(short_of(world(ITEMS, NODES, options.seed + turn)))
            seconds.append(took)
            gaps.append(100 * transfers.solved.gap)
        name = f"rebalance {ITEMS:,} items x {NODES} nodes"
        measures.append(at_most(name, median(seconds), "s", REBALANCE_S))
        measures.append(at_most(f"{name}, gap to the bound, worst of {len(gaps)}", max(gaps), "%", 100 * GAP))
    return measures


def bought(rows: int, seed: int) -> tuple[float, Purchases]:
    """(seconds, purchases) for seven tenths of the money that all that is wanted costs."""
    random = np.random.default_rng(seed)
    rate = random.lognormal(0.0, 1.2, rows)
    buying = Buying(
        position=random.poisson(rate * random.uniform(2, 25, rows)),
        lead_days=np.sort(random.poisson(7, (rows, 5)) + 2, axis=1),
        review_days=random.choice([1, 7, 14], rows),
        unit_cost=random.lognormal(7, 0.8, rows),
        stockout=random.lognormal(6.5, 0.6, rows),
        carrying=random.lognormal(0.5, 0.4, rows),
        service=np.where(random.random(rows) < 0.5, 0.95, np.nan),
        minimum=random.choice([0, 0, 10, 50], rows),
        multiple=random.choice([1, 1, 6, 12], rows),
        fixed=random.choice([0.0, 500.0], rows),
        is_open=random.random(rows) < 0.9,
    )
    expected = forecast(rate, 28)
    wish = replenish(expected, buying, paths=100, seed=seed).spent
    began = time.perf_counter()
    found = replenish(expected, buying, budget=0.7 * wish, seed=seed)
    return time.perf_counter() - began, found


def world(items: int, nodes: int, seed: int) -> World:
    """Nodes on a square of 1,500 km; items of all speeds, at each node for 0.3 to 3 times the demand of two weeks."""
    random = np.random.default_rng(seed)
    place = random.random((nodes, 2)) * 1_500
    km = np.sqrt(((place[:, None] - place[None]) ** 2).sum(axis=2))
    rate = random.lognormal(-0.5, 1.2, items)[:, None] * random.dirichlet(np.full(nodes, 2.0), items) * nodes
    stock = random.poisson(rate * HORIZON_DAYS * random.lognormal(-0.1, 0.6, rate.shape))
    weight = random.gamma(2, 0.8, items) + 0.05
    free = np.full((nodes, nodes), np.inf)
    lanes = Lanes(unit_minor=15 + 0.01 * km, kg_minor=0.02 * km, room=free, dock_out=free[0], dock_in=free[0])
    stocked = Stocked(
        stock=stock,
        movable=stock,
        coming=random.poisson(0.1 * rate),
        worth=np.repeat(random.lognormal(7, 0.6, items)[:, None], nodes, axis=1) * random.uniform(0.9, 1.1, rate.shape),
        left=np.zeros(rate.shape),
        size=weight,
        weight_kg=weight,
    )
    return World(forecast(rate.ravel(), HORIZON_DAYS), stocked, lanes, 1 + (km / 700).astype(np.int64))


def short_of(free: World, share: float = ROOM) -> World:
    """The same world with lanes and docks that take but a share of what would be sent."""
    found = rebalance(*free, horizon_days=HORIZON_DAYS).solved
    nodes = len(free.lead_days)
    random = np.random.default_rng(nodes)
    sent = np.zeros((nodes, nodes))
    np.add.at(sent, (found.source, found.target), free.stocked.size[found.item] * found.units)
    lanes = replace(
        free.lanes,
        room=np.maximum(sent * share * random.uniform(0.5, 2.0, sent.shape), 0.2 * sent.mean()),
        dock_out=sent.sum(axis=1) * share * random.uniform(0.5, 1.5, nodes),
        dock_in=sent.sum(axis=0) * share * random.uniform(0.5, 1.5, nodes),
    )
    return free._replace(lanes=lanes)


def moved(of: World) -> tuple[float, Transfers]:
    """(seconds, transfers): from a forecast to proposals."""
    began = time.perf_counter()
    found = rebalance(*of, horizon_days=HORIZON_DAYS)
    return time.perf_counter() - began, found


def forecast(rate: Float64, days: int) -> Expected:
    """Quantiles of negative binomial demand by day, Saturdays half as much again; float32."""
    random = np.random.default_rng(0)
    grid = np.geomspace(1e-3, max(2e-3, 2 * float(rate.max())), 200)
    drawn = random.poisson(random.gamma(2.0, grid[:, None] / 2.0, (200, 2_000)))
    # A quantile of whole units is the middle of its step, so that rates between those of the grid differ.
    known = np.quantile(drawn + random.random(drawn.shape) - 0.5, LEVELS, axis=1).clip(0)
    weekday = np.where(np.arange(days) % 7 == 5, 1.5, 1.0)
    by_day = np.log(rate)[:, None] + np.log(weekday)
    levels: list[Float64] = [np.interp(by_day, np.log(grid), level) for level in known]
    quantiles = np.stack(levels, axis=2)
    return Expected(levels=LEVELS, quantiles=quantiles.astype(np.float32))
