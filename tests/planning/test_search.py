"""Search by simulation: finds what trying everything finds, and stops looking when it is plain."""

import numpy as np
import pytest

from onhand.planning.search import Rules, coordinate_search, roll_out, tune_service


def rules(rows=1, **given):
    base = {"on_hand": 0, "lead": 1, "review": 1, "minimum": 0, "multiple": 1}
    costs = {"stockout": 10.0, "carrying": 1.0, "fixed": 0.0}
    made = {name: np.full(rows, given.get(name, value), np.int64) for name, value in base.items()}
    return Rules(**made, **{name: np.full(rows, given.get(name, value), float) for name, value in costs.items()})


def test_a_roll_out_by_hand():
    # Order up to 5 each morning, there the next: day 0 nothing is there, 3 are lost; then 5, 3 sold, 2 kept, 3 ordered.
    demand = np.full((1, 1, 4), 3)
    found = roll_out(demand, np.array([5]), rules())
    # Mornings: 0, 5, 2 (three on the way), 3 + 2 = ... : lost 3, 0, 1, 0; kept 0, 2, 0, 0.
    assert found.tolist() == [[30 + 2 + 10 + 0]]


def test_orders_come_in_lots_and_cost_something():
    demand = np.full((1, 1, 3), 1)
    found = roll_out(demand, np.array([3]), rules(multiple=4, minimum=6, lead=0, fixed=7.0), low=np.array([0]))
    # 3 wanted, 6 at least, 8 in lots of 4: kept 7, 6, 5 overnight.
    assert found.tolist() == [[7 + 7 + 6 + 5]]


def test_the_cheapest_level_is_found_where_sales_are_lost():
    random = np.random.default_rng(1)
    demand = random.poisson(4, (400, 2, 60))
    levels = np.arange(2, 26)[:, None] * np.ones(2, np.int64)
    world = rules(2, lead=2, on_hand=8)
    found = tune_service(demand, levels, np.array([0, 1]), world, few=50)
    costs = np.array([roll_out(demand, level, world).mean(axis=0) for level in levels])
    for row, index in enumerate(found.choice):
        assert costs[index, row] <= costs[:, row].min() * 1.002
    assert found.cost == pytest.approx(sum(costs[i, row] for row, i in enumerate(found.choice)))
    # Far fewer paths than trying all pairs of levels on all of them.
    assert found.evaluated < 24 * 24 * 400 / 4


def test_plain_differences_take_few_paths():
    noise = np.random.default_rng(2).normal(0, 100, 2_000)

    def cost(choice, first, last):
        # Common noise: paired differences have none.
        return noise[first:last] + abs(choice[0] - 7) + abs(choice[1] - 2)

    found = coordinate_search(cost, [10, 10], [0, 9], few=20, most=2_000)
    assert found.choice == (7, 2)
    # The last look at the winner takes all paths, every other choice twenty.
    assert found.evaluated <= 2_000 + 30 * 20


def test_what_cannot_be_told_apart_stays_as_it_is():
    found = coordinate_search(lambda choice, first, last: np.ones(last - first), [5], [2], few=4, most=8)
    assert found.choice == (2,)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: coordinate_search(lambda *_: np.ones(2), [3], [3]), "a start within"),
        (lambda: coordinate_search(lambda *_: np.ones(2), [3], [0], few=9, most=4), "few <= most"),
        (lambda: coordinate_search(lambda c, a, b: np.full(b - a, np.nan), [3], [0]), "finite cost"),
        (lambda: rules(review=0), "at least 1"),
        (lambda: rules(stockout=np.nan), "finite"),
        (lambda: rules(lead=-1), "at least 0"),
        (lambda: tune_service(np.ones((2, 1, 3), int), np.ones((2, 2), int), np.array([0]), rules()), "a segment of"),
    ],
)
def test_what_makes_no_sense_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()
