"""The decisions alone, without a server: how fast orders are sourced with every cost term at work, how near to a proved
bound a batch comes, how long prices of stock take to learn, how fast the orders of a month are simulated."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from onhand.bench import shared_batch
from onhand.bench.report import Measure, at_least, at_most, median
from onhand.library.network import Network
from onhand.simulation.compare import compare
from onhand.simulation.history import History, Moves
from onhand.simulation.replay import replay
from onhand.simulation.rules import PlainRules
from onhand.sourcing import tables
from onhand.sourcing.policy import Foresight, Objective, Policy
from onhand.sourcing.prices import Expected, central_prices, span_of_costs
from onhand.sourcing.solve import NO_PRICES, Asked, Decisions, Stock, decide_asked, first_rows

GROUPS = ("kernel", "joint", "prices", "simulate")
# Candidates: orders a second, of one core.
KERNEL_FLOORS = {20: 60_000, 50: 40_000, 500: 10_000}
PRICES_S = 60.0
SIMULATE_S = 60.0
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
_ITEMS = 2_000
_WARM_UPS = 3
_LINES = (0.5, 0.25, 0.12, 0.08, 0.05)  # share of orders with one line, two, ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    rounds: int = 3
    only: Collection[str] = GROUPS


def run(options: Options, *, say: Callable[[str], None]) -> list[Measure]:
    """All measures of the groups named; on an idle machine, or they mean nothing."""
    measures: list[Measure] = []
    if "kernel" in options.only:
        say("compiling")
        kernel(20, orders=1_000, rounds=1)
        for nodes, floor in KERNEL_FLOORS.items():
            say(f"one order after the other, {nodes} candidates")
            rate = kernel(nodes, orders=4_000 if nodes < 500 else 1_000, rounds=options.rounds)
            measures.append(at_least(f"orders, {nodes} candidates", rate, "/s", floor))
    if "joint" in options.only:
        shared_batch.warm_up()
        for nodes, (gap, seconds) in shared_batch.FLOORS.items():
            joints: list[shared_batch.Measure] = []
            for seed in shared_batch.SEEDS:
                say(f"1,000 orders at once, {nodes} nodes, {seconds:g} s, draw {seed} of {len(shared_batch.SEEDS)}")
                joints.append(shared_batch.measure(nodes, seed=seed))
            gaps = [joint.gap * 100 for joint in joints]
            name = f"1,000 orders x {nodes} nodes at once, gap"
            measures.append(at_most(f"{name}, worst of {len(gaps)}", max(gaps), "%", gap * 100))
            measures.append(at_most(f"{name}, mean", sum(gaps) / len(gaps), "%", gap * 100))
            measures.append(at_most(f"{name} in", max(joint.seconds for joint in joints), "s", seconds))
    if "prices" in options.only:
        say("prices of 20,000 items at 50 nodes for 30 regions")
        measures.append(at_most("prices, 20,000 items x 50 nodes x 30 regions", prices_s(), "s", PRICES_S))
    if "simulate" in options.only:
        simulate_s(orders=2_000)
        say("100,000 orders of 20 days by two policies")
        measures.append(at_most("simulate 100,000 orders by two policies", simulate_s(), "s", SIMULATE_S))
    return measures


def objective() -> Objective:
    """Every term at work."""
    return Objective(
        split_minor=100,
        target_days=3,
        late_minor=500,
        day_minor=20,
        co2_minor_per_kg=30,
        capacity_base_minor=50,
        step_minor=3,
        rejection_minor=400,
    )


def network(nodes: int, seed: int, items: int = _ITEMS) -> Network:
    """So many nodes in four countries, three services of two carriers, cartons, and duty between the countries; three
    items of five lie at a node."""
    random = np.random.default_rng(seed)
    base = {"node_type": "warehouse", "timezone": "UTC", "working_days": [1, 2, 3, 4, 5, 6, 7], "co2_g_per_order": 50}
    rows = [
        base
        | {"code": f"N{k}", "name": f"N{k}", "country": ("DE", "FR", "PL", "CH")[k % 4]}
        | {"latitude": float(random.uniform(44, 55)), "longitude": float(random.uniform(-2, 20))}
        | {"handling_cost_minor": int(random.integers(50, 300)), "handling_line_minor": 20, "handling_unit_minor": 5}
        | {"capacity": {"orders": 100_000, "units": 200_000}}
        for k in range(nodes)
    ]
    document: dict[str, Any] = {
        "items": [
            {"sku": str(i), "name": str(i), "weight_g": int(random.integers(100, 3_000)), "length_mm": 200}
            | {"width_mm": 150, "height_mm": int(random.integers(10, 200)), "category": "abcde"[i % 5]}
            for i in range(items)
        ],
        "nodes": rows,
        "carriers": [
            {"code": "A", "name": "A", "services": [_service("standard", 400, 2), _service("express", 900, 1)]},
            {"code": "B", "name": "B", "services": [_service("economy", 330, 3)]},
        ],
        "cartons": [
            {f"inner_{side}_mm": size for side in ("length", "width", "height")}
            | {"code": str(size), "weight_g": size, "weight_max_g": most, "cost_minor": size // 8}
            for size, most in ((150, 5_000), (250, 10_000), (400, 30_000))
        ],
        "duties": [
            {"code": "eu", "name": "into the EU", "from_countries": ["CH"], "to_countries": ["DE", "FR", "PL"]}
            | {"valid_from": "2020-01-01", "duty_rate": 0.02, "de_minimis_minor": 3_000, "fee_minor": 20}
            | {"currency": "EUR", "source": "invented for the benchmark"}
        ],
    }
    known = Network.load(document, at=AT)
    shape = items + 1, nodes + 1
    available = np.where(random.random(shape) < 0.6, random.integers(1, 60, shape), 0).astype(np.int32)
    safety = (random.random(shape) < 0.2).astype(np.int32)
    available[0] = available[:, 0] = 0
    return replace(known, available=available, safety=safety)


def _service(code: str, minor: int, days: float) -> dict[str, Any]:
    bands = range(4)
    return {
        "code": code,
        "rate_table": {
            "by": "distance_km",
            "distance_km": [100, 300, 700, None],
            "weights_g": [1_000, 2_000, 5_000, 10_000, 30_000],
            "prices_minor": [[int(minor * (1 + 0.3 * b) * (1 + 0.25 * w)) for w in range(5)] for b in bands],
        },
        "currency": "EUR",
        "transit_days": [{"p50": days * (1 + 0.3 * b), "p95": days * (1.8 + 0.7 * b)} for b in bands],
        "cutoff": "17:00",
        "co2_g_per_tonne_km": minor / 4,
        "dimensional_divisor": 5_000,
        "residential_surcharge_minor": 90,
    }


def asked(known: Network, orders: int, seed: int) -> Asked:
    """Orders of one to five lines to homes all over the area."""
    random = np.random.default_rng([seed, 1])
    lines: list[int] = random.choice(np.arange(1, 6), orders, p=_LINES).tolist()
    items = len(known.available) - 1
    demand = sum(lines)
    duties = known.compiled.duties
    countries: list[int] = random.integers(0, 4, orders).tolist()
    places = [("DE", "FR", "PL", "CH")[n] for n in countries]

    def same(value: int) -> Any:
        return np.full(orders, value, np.int32)

    return Asked(
        demand_first=first_rows(lines),
        item=np.concatenate([1 + random.choice(items, n, replace=False) for n in lines]).astype(np.int32),
        units=random.choice(np.array([1, 2, 3], np.int32), demand, p=(0.8, 0.15, 0.05)),
        latitude=random.uniform(44, 55, orders),
        longitude=random.uniform(-2, 20, orders),
        zone=same(0),
        channel=same(1),
        method=same(1),
        service=same(-1),
        fulfilments_max=same(4),
        objective=same(0),
        may_dip=same(1),
        pickup_node=same(0),
        excluded_first=np.zeros(orders + 1, np.int32),
        excluded=np.empty(0, np.int32),
        price=random.uniform(500, 5_000, demand),
        cost=random.uniform(200, 2_000, demand),
        residential=same(1),
        duty=np.array([duties.row(country, "", 20_500) for country in places], np.int32),
    )


def kernel(nodes: int, *, orders: int, rounds: int, seed: int = 1) -> float:
    """Orders a second of one core, each taking its units, capacity and share of the prices: median of the rounds, after
    some in which the process gets its memory (the first one takes up to half as long again)."""
    known = network(nodes, seed)
    some = asked(known, orders, seed)
    random = np.random.default_rng([seed, 2])
    shape = known.available.shape
    unit = np.zeros((*shape, 4), np.float32)
    unit[:, :, tables.BASE] = random.uniform(-50, 50, shape)
    unit[:, :, tables.NETWORK] = random.uniform(0, 200, shape)
    unit[:, :, tables.RATE] = random.uniform(0, 0.1, shape)
    policy = Policy(version="bench@1", objectives={"all": objective()}, default="all", fulfilments_max=4)
    seconds: list[float] = []
    for _ in range(rounds + _WARM_UPS):
        prices = NO_PRICES._replace(
            unit=unit.copy(),
            clock=np.zeros(shape[0]),
            rejection=np.asarray(random.uniform(0, 0.1, shape[1]), np.float32),
            ratio=np.ones(shape, np.float32),
        )
        stock = Stock(known.available, np.zeros_like(known.available), known.safety, prices=prices)
        room = known.compiled.with_own_room()
        start = time.process_time()
        decisions = decide_asked(some, stock, room, policy, known.catalogue.goods, now=AT.timestamp(), consume=True)
        seconds.append(time.process_time() - start)
        _believe(decisions)
    return orders / median(seconds[_WARM_UPS:])


def _believe(decisions: Decisions) -> None:
    """The rate counts only if orders were served, and every term had a say."""
    made = int(decisions.fulfilment_first[-1])
    silent = [name for n, name in enumerate(tables.TERMS) if not decisions.terms[:made, n].any()]
    # A day that is not full has no price, and an order that need not be split none for it, whatever the policy says.
    if (decisions.count > 0).mean() < 0.95 or set(silent) - {"capacity_price", "split"}:
        raise AssertionError(f"expected orders served with every term at work, not without {silent}")


def prices_s(*, items: int = 20_000, nodes: int = 50, regions: int = 30, samples: int = 500_000) -> float:
    """Seconds to learn the prices of all stock from so many expected orders, from nothing."""
    known = network(nodes, 3, items)
    some = asked(known, 100_000, 3)
    random = np.random.default_rng(3)
    region = random.integers(0, regions, len(some.zone))
    centre = np.column_stack([random.uniform(44, 55, regions), random.uniform(-2, 20, regions)])[region]
    some = replace(some, latitude=centre[:, 0].copy(), longitude=centre[:, 1].copy())
    expected = Expected(orders=some, count=np.full(len(some.zone), 20.0))
    policy = Policy(version="bench@1", objectives={"all": objective()}, default="all", fulfilments_max=4)
    goods, now = known.catalogue.goods, AT.timestamp()
    stock = Stock(known.available, np.zeros_like(known.available), known.safety)
    begun = time.perf_counter()
    span = span_of_costs(expected, known.compiled, policy, goods, now=now, seed=1)
    central_prices(
        expected, stock, known.compiled, policy, goods, Foresight(samples=samples), now=now, span=span, seed=1
    )
    return time.perf_counter() - begun


def simulate_s(*, orders: int = 100_000, nodes: int = 50, seed: int = 1, days: float = 20.0) -> float:
    """Seconds to replay so many orders by two policies, with twice as many receipts and one line in a hundred rejected,
    and to compare them. Of one process."""
    known = network(nodes, seed)
    random = np.random.default_rng([seed, 3])
    begins, ends = AT.timestamp(), AT.timestamp() + days * 86_400
    items, columns = known.available.shape
    moves = Moves(
        np.sort(random.uniform(begins, ends, 2 * orders)),
        random.integers(1, items, 2 * orders).astype(np.int32),
        random.integers(1, columns, 2 * orders).astype(np.int32),
        random.integers(1, 3, 2 * orders).astype(np.int32),
        np.zeros(2 * orders, np.bool_),
    )
    history = History(
        begins=begins,
        orders=asked(known, orders, seed),
        placed=np.sort(random.uniform(begins, ends, orders)),
        may_wait=np.ones(orders, np.bool_),
        may_split=np.ones(orders, np.bool_),
        wishes=np.full(orders, -1, np.int32),
        network=known.compiled,
        goods=known.catalogue.goods,
        available=known.available,
        safety=known.safety,
        rejection=0.01 * np.ones(columns),
        moves=moves,
    )
    dear, cheap = objective(), replace(objective(), day_minor=200)
    policies = [
        Policy(version=f"bench@{n}", objectives={"all": each}, default="all", fulfilments_max=4)
        for n, each in enumerate((cheap, dear), 1)
    ]
    begun = time.perf_counter()
    outcomes = [replay(history, PlainRules(policy, history)) for policy in policies]
    found = compare(history, *outcomes)
    seconds = time.perf_counter() - begun
    if outcomes[0].served.sum() < 0.9 * outcomes[0].asked.sum() or not found.of("days").difference:
        raise AssertionError("expected orders served, and two policies that differ")
    return seconds
