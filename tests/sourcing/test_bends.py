"""Prices by amount: what fits into a row pays at most what enumeration says, and the bound sees whole amounts."""

from itertools import product
from random import Random

import numpy as np
import pytest
from tests.sourcing.test_batch import arrays, draw, judge, picks_of, solved

from onhand.bench import shared_batch
from onhand.sourcing import batch, shadow
from onhand.sourcing.batch import NO_LIMIT, Options, Shared, source_jointly, table_of


def rivals(
    orders: int, units: list[int], *, near: float, stock: int, lines_max: int = NO_LIMIT
) -> tuple[Options, Shared]:
    """Orders of the same lines: all of an order goes from node 0 at `near` or from node 1, which has plenty, at 10;
    nothing else is possible."""
    count, subsets = len(units), (1 << len(units)) - 1
    cost = np.full((2, subsets), np.inf)
    cost[:, -1] = near, 10.0
    options = Options(
        line_first=np.arange(orders + 1) * count,
        item=np.tile(np.arange(count), orders),
        units=np.tile(units, orders),
        fulfilments_max=np.ones(orders, np.int32),
        refuse_minor=np.zeros(orders),
        refuse_line_minor=np.full(orders * count, 50.0),
        option_first=np.arange(orders + 1) * 2,
        node=np.tile([0, 1], orders),
        cost_first=np.arange(orders + 1) * 2 * subsets,
        cost=np.tile(cost.ravel(), orders),
    )
    capacity = np.full((2, 3), NO_LIMIT)
    capacity[0, 1] = lines_max
    return options, Shared(np.tile([[stock, 99]], (count, 1)), capacity)


@pytest.fixture
def by_prices_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The MIP solver proves nothing."""
    monkeypatch.setattr(batch, "_CLOSE_EARLY", 0)
    monkeypatch.setattr(batch, "_MIP_CELLS", 0)
    monkeypatch.setattr(batch, "_TURNS", 2)


@pytest.mark.usefixtures("by_prices_alone")
def test_bound_knows_that_two_and_two_units_do_not_fit_into_three() -> None:
    # One order gets them at 1, two go without at 10. By unit prices, one and a half would: 16.5.
    options, shared = rivals(3, [2], near=1.0, stock=3)
    joint = source_jointly(options, shared, time_limit_s=60.0)
    assert joint.cost == pytest.approx(21.0)
    assert 20.9 <= joint.bound <= 21.0 + 1e-6
    assert 4.0 <= joint.prices.stock[0, 0] <= 4.6, "the nine that the two units save, per unit"


@pytest.mark.usefixtures("by_prices_alone")
def test_bound_knows_that_two_and_two_lines_do_not_fit_into_three() -> None:
    options, shared = rivals(3, [1, 1], near=1.0, stock=9, lines_max=3)
    joint = source_jointly(options, shared, time_limit_s=60.0)
    assert joint.cost == pytest.approx(21.0)
    assert 20.9 <= joint.bound <= 21.0 + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_rows_pay_at_most_what_enumeration_says(seed: int) -> None:
    random = Random(seed)
    options, shared = arrays(draw(random, orders=8, lines_max=3, nodes=3, items=3))
    table = table_of(options, shared)
    bend = np.array([0.0] * 9 + [random.choice([0.0, random.uniform(0, 9)]) for _ in table.point_amount[9:]])
    most = 0.0
    for row, begin, end in zip(table.bent_row, table.bent_first[:-1], table.bent_first[1:], strict=True):
        room = int(table.capacity[row])
        times = [
            range(min(int(table.point_most[p]), room // int(table.point_amount[p])) + 1) for p in range(begin, end)
        ]
        most += max(
            float(np.dot(some, bend[begin:end]))
            for some in product(*times)
            if np.dot(some, table.point_amount[begin:end]) <= room
        )
    assert shadow.ceilings(table, bend) == pytest.approx(most)
    assert len(table.bent_row), "some row has points"


@pytest.mark.usefixtures("by_prices_alone")
def test_the_threads_do_not_decide_the_plan() -> None:
    drawn = draw(Random(21), orders=40, nodes=4, items=5)
    first, second = solved(drawn, seed=3), solved(drawn, seed=3)
    assert picks_of(drawn, first) == picks_of(drawn, second)
    assert (first.cost, first.bound) == (second.cost, second.bound)
    assert judge(drawn, picks_of(drawn, first)) >= first.bound


@pytest.mark.usefixtures("by_prices_alone")
def test_programmes_better_what_repair_leaves() -> None:
    options, shared = shared_batch.instance(50, orders=200, items=400, seed=3)
    joint = source_jointly(options, shared, time_limit_s=60.0)
    assert any(step.startswith("programme of") for step in joint.how)
    assert joint.bound <= joint.cost
    used = np.zeros(len(shared.capacity), np.int64)
    lines_of = np.array([int(mask).bit_count() for mask in joint.mask])
    np.add.at(used, options.node[joint.option], lines_of)
    assert (used <= shared.capacity[:, 1]).all()
