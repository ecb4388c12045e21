"""Central prices: the decision against brute force, the walk against what is known of its optimum."""

from itertools import product

import numpy as np
import pytest

from onhand.sourcing.prices import (
    STANDARD,
    Costs,
    Orders,
    Settings,
    central_prices,
    charge,
    decide,
    draw,
    expect,
    scratch,
    spread,
)


def brute_force(fixed, unit, item, units, stock, price, refuse) -> float:
    """Least cost + price over every way to give each line a node or none."""
    nodes = len(fixed) - 1
    best = np.inf
    for choice in product(range(nodes + 1), repeat=len(item)):
        cost = sum(fixed[k] for k in set(choice))
        for i, q, k in zip(item, units, choice, strict=True):
            able = stock[i] >= q
            if k < nodes:
                cost += q * (unit[k] + price[i, k]) if able[k] else np.inf
            else:
                cost += q * (unit[k] + (0.0 if refuse or not able.any() else price[i][able].min()))
        best = min(best, cost)
    return best


@pytest.mark.parametrize("refuse", [True, False])
@pytest.mark.parametrize("priced", [True, False])
def test_a_decision_costs_what_brute_force_finds(priced: bool, refuse: bool) -> None:
    random = np.random.default_rng(7)
    refused = 0
    for _ in range(1500):
        nodes, lines = random.integers(1, 5), int(random.integers(1, 6))
        room = scratch(nodes + 1)
        # Whole numbers: ties are common.
        fixed = random.integers(0, 9, nodes + 1).astype(float)
        unit = random.integers(0, 6, nodes + 1).astype(float)
        fixed[-1] += 6
        item = random.permutation(6)[:lines].astype(np.int32)
        units = random.integers(1, 3, lines).astype(np.int32)
        stock = random.integers(0, 4, (6, nodes)).astype(np.int32)
        price = random.integers(0, 8, (6, nodes)).astype(float) * priced
        answer = decide(room, fixed, unit, item, units, 0, lines, stock, price, refuse)
        assert answer == pytest.approx(brute_force(fixed, unit, item, units, stock, price, refuse))
        choice = room.choice[:lines]
        refused += int((choice == nodes).sum())
        # The choice costs what the answer says.
        cost = fixed[np.unique(choice)].sum()
        for i, q, k in zip(item, units, choice, strict=True):
            able = stock[i] >= q
            assert k == nodes or able[k]
            lowest = 0.0 if refuse or not able.any() else price[i][able].min()
            cost += q * (unit[k] + (lowest if k == nodes else price[i, k]))
        assert cost == pytest.approx(answer)
    assert refused > 100


def test_a_price_that_all_nodes_share_refuses_nothing_unless_allowed() -> None:
    fixed, unit = np.array([5.0, 5.0, 20.0]), np.array([1.0, 2.0, 3.0])
    item, units = np.array([0], np.int32), np.array([1], np.int32)
    stock, price = np.ones((1, 2), np.int32), np.full((1, 2), 100.0)
    room = scratch(3)
    decide(room, fixed, unit, item, units, 0, 1, stock, price, False)
    assert room.choice[0] == 0
    decide(room, fixed, unit, item, units, 0, 1, stock, price, True)
    assert room.choice[0] == 2


def two_regions(stock: list[int]) -> tuple[Orders, Costs, np.ndarray]:
    """One item, two nodes, two regions of 100 orders each; node 0 is nearer to both, by 1 and by 4."""
    orders = Orders(
        first=np.array([0, 1, 2]),
        item=np.zeros(2, np.int32),
        units=np.ones(2, np.int32),
        region=np.array([0, 1], np.int32),
    )
    fixed = np.array([[5.0, 5.0, 40.0]] * 2)
    unit = np.array([[1.0, 2.0, 10.0], [1.0, 5.0, 10.0]])
    return orders, Costs(fixed=fixed, unit=unit), np.array([stock], np.int32)


def walk(stock: list[int], expected: float = 200.0, settings: Settings = STANDARD) -> np.ndarray:
    orders, costs, held = two_regions(stock)
    weight = np.full(2, expected / 2)
    money = spread(costs, weight)
    return central_prices(
        orders, draw(weight, 4000, 0), costs, held, held / expected, np.zeros(held.shape), money, settings
    )


def test_what_is_plentiful_has_no_price() -> None:
    assert walk([1000, 1000]).max() < 0.05


def test_a_scarce_node_is_worth_what_its_absence_costs() -> None:
    # Node 0 can serve half. The 100 of region 1, who lose 4 without it, should have it and those of region 0, who lose
    # 1, should not: any difference of prices from 1 to 4 says so.
    (price,) = walk([100, 1000])
    assert 1.0 < price[0] - price[1] < 4.0
    # It can serve a quarter: some of region 1 must go without, so the difference is what they lose.
    (price,) = walk([50, 1000])
    assert price[0] - price[1] == pytest.approx(4.0, abs=0.2)


def test_prices_stay_below_their_cap() -> None:
    capped = walk([10, 10], settings=Settings(cap=0.1))
    costs = two_regions([10, 10])[1]
    assert capped.max() == pytest.approx(0.1 * spread(costs, np.ones(2)), rel=0.05)
    assert walk([10, 10]).max() > 2 * capped.max()


def test_items_that_no_order_asks_for_keep_their_price() -> None:
    orders, costs, held = two_regions([100, 1000])
    held, start = np.vstack([held, held]), np.full((2, 2), 0.5)
    price = central_prices(orders, draw(np.ones(2), 100, 0), costs, held, held / 200.0, start, 8.0)
    assert (price[1] == 0.5).all() and not (price[0] == 0.5).all()


def test_an_item_given_up_at_its_rate_keeps_its_price() -> None:
    # Node 0 gives every second unit, node 1 the others: 1,000 corrections cancel out.
    price, rate = np.array([[3.0, 2.0]]), np.array([[0.5, 0.5]])
    for n in range(1000):
        expect(price, rate, 0.01, 0, 1)
        charge(price, 0.01, 20.0, 0, n % 2, 1)
    assert price == pytest.approx(np.array([[3.0, 2.0]]), abs=0.02)
    # Node 0 gives all: its price rises, the other's falls, and never below nothing.
    for _ in range(1000):
        expect(price, rate, 0.01, 0, 1)
        charge(price, 0.01, 20.0, 0, 0, 1)
    assert price[0, 0] == pytest.approx(8.0, abs=0.05) and price[0, 1] == 0.0


def test_a_draw_takes_each_order_by_its_share() -> None:
    weight = np.array([5.0, 0.0, 3.0, 2.0])
    taken = np.bincount(draw(weight, 1000, 3), minlength=4)
    assert abs(taken - [500, 0, 300, 200]).max() <= 1
    assert (draw(weight, 1000, 3) == draw(weight, 1000, 3)).all()
