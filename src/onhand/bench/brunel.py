"""One day of an outbound network as a batch: assign orders to (plant, port, carrier's rate) under daily capacity.

The folder holds, as Parquet, the tables of the outbound logistics data set of Brunel University London (Kalganova and
Dzalbs, 2019): OrderList, FreightRates, PlantPorts, ProductsPerPlant, VmiCustomers, WhCapacities, WhCosts.

An order goes whole, or not at all, from one plant by one rate. It may go

1. from a plant that makes its product (ProductsPerPlant) and has a daily capacity (WhCapacities) and a unit cost
   (WhCosts);
2. which serves its customer: a plant named in VmiCustomers serves only the customers named with it, any other plant
   serves everyone;
3. through a port that the plant is linked to (PlantPorts);
4. by a row of FreightRates that starts at this port and whose band holds the weight: minm_wgh_qty <= Weight <=
   max_wgh_qty, as written (bands end at .99, so a weight between two bands has no rate of that carrier);
5. and no plant takes more orders than its Daily Capacity.

    cost = max(minimum cost, rate * Weight)  +  Cost/unit of the plant * Unit quantity

First the most orders are served, then the least cost is sought among the plans that serve so many. That no plan serves
more is proved by a maximum flow from orders to plants.

What the tables leave open, and how it is read here: rates name no destination in this edition and all orders have one,
so every rate of a port leads there; a plant at the destination port itself still pays a rate that starts there; GROUND
rates are charged by weight as AIR rates are, though the authors' paper shares the price of a whole lorry among its
orders (that makes GROUND look dearer here than there, and AIR is chosen where both exist); the customer's service level
(CRF: fetched by the customer, freight free) is honoured if OrderList has a column `Service Level`, which this edition
has not; transit days bind nobody; money and weight have no stated unit; rows repeated word for word count once.
"""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from onhand.sourcing.batch import NO_LIMIT, Joint, Options, Shared, source_jointly

COLUMNS = {
    "OrderList": ("Order ID", "Customer", "Product ID", "Destination Port", "Unit quantity", "Weight"),
    "FreightRates": ("Carrier", "orig_port_cd", "minm_wgh_qty", "max_wgh_qty", "minimum cost", "rate"),
    "PlantPorts": ("Plant Code", "Port"),
    "ProductsPerPlant": ("Plant Code", "Product ID"),
    "VmiCustomers": ("Plant Code", "Customers"),
    "WhCapacities": ("Plant ID", "Daily Capacity"),
    "WhCosts": ("Plant Code", "Cost/unit"),
}
_FETCHED = "CRF"
_TRIES = 24  # of doubling what a refusal costs: from twice the median order to 16 million times that


class Day(NamedTuple):
    """The seven tables as read."""

    orders: pl.DataFrame
    rates: pl.DataFrame
    ports: pl.DataFrame
    products: pl.DataFrame
    ties: pl.DataFrame
    capacities: pl.DataFrame
    costs: pl.DataFrame


class Choice(NamedTuple):
    """Row of OrderList served by `plant` through `port` by the row `rate` of FreightRates (-1: fetched)."""

    order: int
    plant: str
    port: str
    rate: int


class Report(NamedTuple):
    violations: int
    served_share: float
    feasible_share: float
    cost: float
    bound: float
    gap: float
    seconds: float


class Flow(NamedTuple):
    """A maximum flow and a cut of the same size, which proves that it is one."""

    served: int
    cut: int


class _Way(NamedTuple):
    plant: str
    port: str
    rate: int
    cost: float


def read(folder: Path) -> Day:
    """Raises ValueError naming the file or column that is missing."""
    tables: list[pl.DataFrame] = []
    for name, columns in COLUMNS.items():
        path = folder / f"{name}.parquet"
        if not path.is_file():
            raise ValueError(f"expected a file {path}")
        table = pl.read_parquet(path)
        if missing := [column for column in columns if column not in table.columns]:
            raise ValueError(f"expected columns {', '.join(missing)} in {path}")
        tables.append(table)
    return Day(*tables)


def solve(day: Day, *, time_limit_s: float = 55.0, seed: int = 0) -> tuple[Report, list[Choice]]:
    """Serve the most orders at the least cost; `violations` are counted from the tables, not from the solver."""
    began = perf_counter()
    ways = _ways(day)
    plants = sorted({way.plant for order in ways for way in order})
    capacity = dict(zip(day.capacities["Plant ID"], day.capacities["Daily Capacity"], strict=True))
    flow = most_served([frozenset(way.plant for way in order) for order in ways], capacity)
    assert flow.served == flow.cut, "a maximum flow has a cut of its size"
    orders = len(ways)
    sure = _surely_served(ways, capacity)
    money = [min(way.cost for way in order) for order, safe in zip(ways, sure, strict=True) if order and not safe]
    refuse = 2.0 * float(np.median(money)) + 1.0 if money else 1.0
    dearest = max((way.cost for order in ways for way in order), default=0.0)
    best: tuple[Joint, list[_Way], float] | None = None
    for _ in range(_TRIES):
        left_s = time_limit_s - (perf_counter() - began)
        joint, flat = _jointly(ways, plants, capacity, refuse, sure, refuse + 2 * dearest, max(0.0, left_s), seed)
        if best is None or len(joint.option) >= len(best[0].option):
            best = joint, flat, refuse
        if len(joint.option) == flow.served or left_s <= 0.0:
            break
        refuse *= 2.0
    assert best is not None, "at least one try"
    joint, flat, refuse = best
    choices = _choices(joint, flat)
    cost = cost_of(day, choices)
    # A plan that serves as many as can be served refuses exactly orders - flow.served, each at `refuse`: those that
    # are served in every such plan may have a dearer refusal.
    bound = min(cost, joint.bound - refuse * (orders - flow.served)) if len(choices) == flow.served else -math.inf
    gap = 0.0 if cost == bound else (cost - bound) / abs(bound) if bound != 0.0 and math.isfinite(bound) else math.inf
    report = Report(
        violations=len(violations(day, choices)),
        served_share=len(choices) / orders if orders else 1.0,
        feasible_share=flow.served / orders if orders else 1.0,
        cost=cost,
        bound=bound,
        gap=gap,
        seconds=perf_counter() - began,
    )
    return report, choices


def _choices(joint: Joint, flat: Sequence[_Way]) -> list[Choice]:
    orders: list[int] = joint.order.tolist()
    taken: list[int] = joint.option.tolist()
    ways = [flat[option] for option in taken]
    return [Choice(order, way.plant, way.port, way.rate) for order, way in zip(orders, ways, strict=True)]


def _ways(day: Day) -> list[list[_Way]]:
    """For each order the cheapest way from each plant that may send it, by plant."""
    orders = day.orders.with_row_index("order").with_columns(pl.col("order").cast(pl.Int64))
    if "Service Level" not in orders.columns:
        orders = orders.with_columns(pl.lit("").alias("Service Level"))
    tied = day.ties.group_by("Plant Code").agg(pl.col("Customers").alias("only"))
    may = (
        orders.join(day.products.select("Plant Code", "Product ID").unique(), on="Product ID")
        .join(tied, on="Plant Code", how="left")
        .filter(pl.col("only").is_null() | pl.col("only").list.contains(pl.col("Customer")))
        .join(day.costs.select("Plant Code", "Cost/unit"), on="Plant Code")
        .join(day.capacities.select("Plant ID"), left_on="Plant Code", right_on="Plant ID", how="semi")
        .join(day.ports.select("Plant Code", "Port").unique(), on="Plant Code")
    )
    fetched = may.filter(pl.col("Service Level") == _FETCHED).with_columns(
        pl.lit(-1, pl.Int64).alias("rate_row"), pl.lit(0.0).alias("freight")
    )
    rates = day.rates.with_row_index("rate_row").with_columns(pl.col("rate_row").cast(pl.Int64))
    sent = (
        may.filter(pl.col("Service Level") != _FETCHED)
        .join(
            rates.select("rate_row", "orig_port_cd", "minm_wgh_qty", "max_wgh_qty", "minimum cost", "rate"),
            left_on="Port",
            right_on="orig_port_cd",
        )
        .filter((pl.col("Weight") >= pl.col("minm_wgh_qty")) & (pl.col("Weight") <= pl.col("max_wgh_qty")))
        .with_columns(pl.max_horizontal("minimum cost", pl.col("rate") * pl.col("Weight")).alias("freight"))
    )
    wanted = ["order", "Plant Code", "Port", "rate_row", "freight", "Cost/unit", "Unit quantity"]
    cheapest = (
        pl.concat([fetched.select(wanted), sent.select(wanted)])
        .sort("order", "Plant Code", "freight", "Port", "rate_row")
        .unique(["order", "Plant Code"], keep="first", maintain_order=True)
    )
    ways: list[list[_Way]] = [[] for _ in range(len(day.orders))]
    for order, plant, port, rate, freight, unit_cost, units in cheapest.iter_rows():
        ways[int(order)].append(_Way(plant, port, rate, freight + unit_cost * units))
    return ways


def _surely_served(ways: Sequence[Sequence[_Way]], capacity: dict[str, int]) -> list[bool]:
    """Orders with a plant that could take all orders it may send: every plan that serves the most serves these."""
    asked: defaultdict[str, int] = defaultdict(int)
    for order in ways:
        for way in order:
            asked[way.plant] += 1
    return [any(asked[way.plant] <= capacity[way.plant] for way in order) for order in ways]


def _jointly(
    ways: Sequence[Sequence[_Way]],
    plants: Sequence[str],
    capacity: dict[str, int],
    refuse: float,
    sure: Sequence[bool],
    refuse_sure: float,
    time_limit_s: float,
    seed: int,
) -> tuple[Joint, list[_Way]]:
    """One batch of orders of one line, whose refusal costs `refuse` (`refuse_sure` where it never is needed)."""
    number = {plant: index for index, plant in enumerate(plants)}
    flat = [way for order in ways for way in order]
    first = np.concatenate([[0], np.cumsum([len(order) for order in ways])]).astype(np.int64)
    limits = np.full((len(plants), 3), NO_LIMIT, np.int64)
    limits[:, 0] = [capacity[plant] for plant in plants]
    orders = len(ways)
    ones = np.ones(orders, np.int64)
    options = Options(
        line_first=np.arange(orders + 1),
        item=np.zeros(orders, np.int64),
        units=ones,
        fulfilments_max=ones,
        refuse_minor=np.zeros(orders),
        refuse_line_minor=np.where(sure, refuse_sure, refuse),
        option_first=first,
        node=np.array([number[way.plant] for way in flat], np.int64),
        cost_first=first,
        cost=np.array([way.cost for way in flat], np.float64),
    )
    # Products are made to order: no stock binds.
    shared = Shared(np.full((1, len(plants)), orders, np.int64), limits)
    return source_jointly(options, shared, time_limit_s=time_limit_s, gap=1e-9, seed=seed), flat


def most_served(plants_of: Sequence[frozenset[str]], capacity: dict[str, int]) -> Flow:
    """Most orders that can be served at once: maximum flow from kinds of orders (by the plants that may send them) to
    plants, along shortest augmenting paths (Edmonds, Karp 1972); the cut is read off the last search."""
    kinds: defaultdict[frozenset[str], int] = defaultdict(int)
    for plants in plants_of:
        if plants:
            kinds[plants] += 1
    source, sink = "source", "sink"
    residual: defaultdict[Any, dict[Any, int]] = defaultdict(dict)
    for kind, count in kinds.items():
        residual[source][kind] = count
        residual[kind][source] = 0
        for plant in sorted(kind):
            residual[kind][(plant,)] = count
            residual[(plant,)][kind] = 0
            residual[(plant,)][sink] = max(0, capacity[plant])
            residual[sink][(plant,)] = 0
    served = 0
    while True:
        came_from: dict[Any, Any] = {source: None}
        queue = deque([source])
        while queue and sink not in came_from:
            here = queue.popleft()
            for there, room in residual[here].items():
                if room > 0 and there not in came_from:
                    came_from[there] = here
                    queue.append(there)
        if sink not in came_from:
            break
        path = [sink]
        while came_from[path[-1]] is not None:
            path.append(came_from[path[-1]])
        steps = list(zip(path[1:], path[:-1], strict=True))
        units = min(residual[here][there] for here, there in steps)
        for here, there in steps:
            residual[here][there] -= units
            residual[there][here] += units
        served += units
    reached = came_from.keys()
    cut = sum(count for kind, count in kinds.items() if kind not in reached)
    cut += sum(max(0, capacity[plant]) for plant in {p for kind in kinds for p in kind} if (plant,) in reached)
    return Flow(served, cut)


def cost_of(day: Day, choices: Sequence[Choice]) -> float:
    """Money of a plan, from the tables."""
    unit_cost = dict(zip(day.costs["Plant Code"], day.costs["Cost/unit"], strict=True))
    rates = day.rates.rows(named=True)
    orders = day.orders.rows(named=True)
    total = 0.0
    for choice in choices:
        order = orders[choice.order]
        freight = 0.0
        if choice.rate >= 0:
            freight = max(rates[choice.rate]["minimum cost"], rates[choice.rate]["rate"] * order["Weight"])
        total += freight + unit_cost[choice.plant] * order["Unit quantity"]
    return total


def violations(day: Day, choices: Sequence[Choice]) -> list[str]:
    """What a plan breaks, rule by rule from the tables: shares no code with what made the plan."""
    orders, rates = day.orders.rows(named=True), day.rates.rows(named=True)
    makes = set(day.products.select("Plant Code", "Product ID").iter_rows())
    linked = set(day.ports.select("Plant Code", "Port").iter_rows())
    ties = set(day.ties.select("Plant Code", "Customers").iter_rows())
    tied = {plant for plant, _ in ties}
    capacity = dict(day.capacities.select("Plant ID", "Daily Capacity").iter_rows())
    priced = set(day.costs["Plant Code"])
    broken: list[str] = []
    seen: set[int] = set()
    load: defaultdict[str, int] = defaultdict(int)
    for choice in choices:
        order = orders[choice.order]
        name = f"order {order['Order ID']:.0f} from {choice.plant}"
        if choice.order in seen:
            broken.append(f"{name}: served twice")
        seen.add(choice.order)
        load[choice.plant] += 1
        if (choice.plant, order["Product ID"]) not in makes:
            broken.append(f"{name}: the plant does not make product {order['Product ID']}")
        if choice.plant in tied and (choice.plant, order["Customer"]) not in ties:
            broken.append(f"{name}: the plant does not serve {order['Customer']}")
        if (choice.plant, choice.port) not in linked:
            broken.append(f"{name}: no link to {choice.port}")
        if choice.plant not in priced:
            broken.append(f"{name}: no unit cost")
        if choice.rate < 0:
            if order.get("Service Level") != _FETCHED:
                broken.append(f"{name}: no rate")
            continue
        rate = rates[choice.rate]
        if rate["orig_port_cd"] != choice.port:
            broken.append(f"{name}: the rate starts at {rate['orig_port_cd']}, not {choice.port}")
        if not rate["minm_wgh_qty"] <= order["Weight"] <= rate["max_wgh_qty"]:
            broken.append(f"{name}: the rate's band does not hold {order['Weight']}")
    broken += [
        f"{plant}: {count} orders, capacity {capacity.get(plant, 0)}"
        for plant, count in sorted(load.items())
        if count > capacity.get(plant, 0)
    ]
    return broken
