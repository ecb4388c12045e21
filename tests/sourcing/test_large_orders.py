"""Orders that are not solved exactly: many lines, or lines that no node has enough of. Their plans keep every promise,
lie between bounds that are easy to know, and are exact where that can be checked."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from tests.sourcing.oracle import Oracle
from tests.sourcing.worlds import Order, Plan, Running, World, draw, plans

from onhand.sourcing import tables


def draw_large(rng: Random, *, lines: int, nodes: int, patterns: int) -> World:
    """One order of so many lines; `patterns` different sets of nodes hold them. Prices rise with weight."""
    world = draw(rng, nodes=nodes, items=1)
    world.nodes = [world.nodes[0] | {"node_id": k, "code": f"N{k}", "active": True} for k in range(1, nodes + 1)]
    for node in world.nodes:
        node["latitude"], node["longitude"] = round(rng.uniform(44, 54), 2), round(rng.uniform(-2, 14), 2)
        node["handling_cost_minor"] = rng.choice([0, 50, 180, 400])
        if rng.random() < 0.7:
            node |= {"capacity_orders": None, "capacity_lines": None, "capacity_units": None}
    for carrier in world.carriers:
        for service in carrier["document"]["services"]:
            table = service["rate_table"]
            table["prices_minor"] = [sorted(prices) for prices in table["prices_minor"]]
    world.channels = [{"channel_id": 2, "code": "all", "node_ids": None, "active": True}]
    world.weight_g = [0, *(rng.choice([1, 400, 1001]) for _ in range(lines))]
    world.volume_mm3 = [0] * (lines + 1)
    holders = [{k for k in range(1, nodes + 1) if rng.random() < 0.6} for _ in range(patterns)]
    world.available = {
        (item, k): rng.randint(3, 6) for item in range(1, lines + 1) for k in holders[rng.randrange(patterns)]
    }
    world.pending, world.safety = {}, {}
    world.orders = [
        Order(
            demand=[(item, rng.randint(1, 3)) for item in range(1, lines + 1)],
            latitude=round(rng.uniform(44, 54), 2),
            longitude=round(rng.uniform(-2, 14), 2),
            fulfilments_max=rng.randint(1, 4),
            method="ship",
        )
    ]
    return world


def solve(world: World) -> tuple[Plan | None, int]:
    running = Running.of(world)
    decisions = running.decide(world.orders)
    return plans(decisions, running.network)[0], int(decisions.method[0])


def best_single(oracle: Oracle, order: Order) -> float | None:
    """Cost of sending all of it from one node."""
    costs: list[float] = []
    for node in oracle.candidates(order):
        if all(oracle.free(i, node["node_id"], dip=False) >= u for i, u in order.demand):
            priced = oracle.price(order, node, dict(order.demand))
            if priced is not None:
                costs.append(priced.cost - priced.terms[2])
    return min(costs, default=None)


def relaxed(oracle: Oracle, order: Order) -> float | None:
    """The dearest line alone from its best node: with rising prices no plan costs less. None: a line has no node."""
    bounds: list[float] = []
    for item, units in order.demand:
        ways = [
            priced.cost - priced.terms[2]
            for n in oracle.candidates(order)
            if oracle.free(item, n["node_id"], dip=False) >= units
            and (priced := oracle.price(order, n, {item: units})) is not None
        ]
        if not ways:
            return None
        bounds.append(min(ways))
    return max(bounds)


CASES: list[dict[str, Any]] = [
    {"lines": 11, "nodes": 3, "patterns": 3},
    {"lines": 12, "nodes": 6, "patterns": 5},
    {"lines": 12, "nodes": 6, "patterns": 12},
    {"lines": 20, "nodes": 14, "patterns": 20},
    {"lines": 40, "nodes": 5, "patterns": 40},
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(str(n) for n in c.values()))
def test_plans_of_many_lines_keep_their_promises_and_their_bounds(case: dict[str, Any]) -> None:
    methods: Counter[int] = Counter()
    for seed in range(60):
        world = draw_large(Random(seed), **case)
        oracle, order = Oracle(world), world.orders[0]
        plan, method = solve(world)
        single, bound = best_single(oracle, order), relaxed(oracle, order)
        if plan is None:
            assert single is None, f"seed {seed}: one node serves it for {single}"
            continue
        methods[method] += 1
        oracle.check(order, plan, dip=False)
        assert single is None or plan.cost <= single + 1e-6, f"seed {seed}: one node is cheaper"
        if method != tables.METHOD_DIVIDED:
            assert bound is not None and plan.cost >= bound - 1e-6, f"seed {seed}: cheaper than can be"
    assert sum(methods.values()) >= 15, methods
    assert tables.METHOD_EXACT not in methods


def test_lines_that_the_same_nodes_hold_are_worth_moving_together() -> None:
    """Eleven lines over two nodes can still be tried one by one: groups lose little."""
    excess: list[float] = []
    for seed in range(40):
        world = draw_large(Random(1000 + seed), lines=11, nodes=2, patterns=3)
        plan, method = solve(world)
        best = Oracle(world).best(world.orders[0], dip=False)
        if plan is None:
            continue
        assert method == tables.METHOD_GROUPED
        assert best is not None and plan.cost >= best - 1e-6
        excess.append(plan.cost / max(best, 1) - 1)
    assert len(excess) >= 10
    assert sum(excess) / len(excess) < 0.05


def test_ten_lines_are_solved_exactly() -> None:
    world = draw_large(Random(3), lines=tables.LINES_EXACT, nodes=3, patterns=1)
    world.orders[0].fulfilments_max = 3
    plan, method = solve(world)
    assert plan is not None and method == tables.METHOD_EXACT
    assert plan.cost == pytest.approx(Oracle(world).best(world.orders[0], dip=False))


def test_divided_lines_are_found_whenever_few_nodes_hold_them_together() -> None:
    """Two or three lines of which each may have to be divided, no limits on capacity: there is a plan exactly when
    some set of as many nodes as are allowed holds everything, whole lines whole."""
    outcomes: Counter[tuple[bool, bool]] = Counter()
    for seed in range(400):
        rng = Random(seed)
        world = draw_large(rng, lines=rng.randint(1, 3), nodes=5, patterns=3)
        for node in world.nodes:
            node |= {"capacity_orders": None, "capacity_lines": None, "capacity_units": None}
        order = world.orders[0]
        order.demand = [(item, rng.randint(3, 14)) for item, _ in order.demand]
        oracle = Oracle(world)
        plan, method = solve(world)
        expected = _is_held_by_few(oracle, order)
        assert (plan is not None) == expected, f"seed {seed}"
        if plan is not None:
            oracle.check(order, plan, dip=False)
            assert method != tables.METHOD_EXACT or not oracle.divides(order, dip=False, needed=True)
        outcomes[expected, bool(oracle.divides(order, dip=False))] += 1
    assert outcomes[True, True] >= 50 and outcomes[False, True] >= 50, outcomes


def _is_held_by_few(oracle: Oracle, order: Order) -> bool:
    nodes = oracle.candidates(order)
    held = [[oracle.usable(order, n, item, dip=False) for item, _ in order.demand] for n in nodes]
    whole = [any(row[d] >= u for row in held) for d, (_, u) in enumerate(order.demand)]
    for mask in range(1, 1 << len(nodes)):
        chosen = [row for n, row in enumerate(held) if mask >> n & 1]
        if len(chosen) <= order.fulfilments_max and all(
            (max if whole[d] else sum)(row[d] for row in chosen) >= u for d, (_, u) in enumerate(order.demand)
        ):
            return True
    return False
