"""Search by simulation: finds what trying everything finds, and stops looking when it is plain."""

import numpy as np
import pytest

from onhand.demand.paths import sample_paths
from onhand.planning.protection import Expected, lasting_demand
from onhand.planning.replenish import Buying
from onhand.planning.safety_stock import for_service
from onhand.planning.search import Rules, coordinate_search, roll_out, tune_service, tuned_service


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


def made_rows(count, mean, **given):
    """(forecast, terms) of `count` items that sell `mean` a day."""
    levels = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    quantiles = np.ones((count, 14, 1)) * mean * [0.2, 0.6, 1.0, 1.4, 1.8]
    whole = {"position": 0, "review_days": 7, "minimum": 0, "multiple": 1}
    money = {"unit_cost": 10.0, "stockout": 6.0, "carrying": 0.02, "service": np.nan, "fixed": 0.0}
    made = {name: np.full(count, given.get(name, value), np.int64) for name, value in whole.items()}
    made |= {name: np.full(count, given.get(name, value), float) for name, value in money.items()}
    lead = np.full((count, 1), given.get("lead", 5))
    return Expected(levels=levels, quantiles=quantiles), Buying(**made, lead_days=lead, is_open=np.ones(count, bool))


def test_lots_are_stock_and_theory_stays_where_it_holds():
    service = np.full(6, 0.977)
    small, large = made_rows(6, 2.0), made_rows(6, 0.3, multiple=24)
    tuned, untold = tuned_service(*small, service, paths=60)
    assert not untold.any() and (tuned == service).all()
    tuned, untold = tuned_service(*large, service, paths=60)
    assert untold.all() and (tuned < 0.95).all()
    # Judged on other paths than those that it was found on.
    expected, buying = large
    demand = sample_paths(expected.levels, np.tile(expected.quantiles, (1, 10, 1)), paths=60, seed=9)
    totals = lasting_demand(expected, buying.lead_days, buying.review_days, paths=400)
    costs = [
        roll_out(
            demand, for_service(totals, share).order_up_to,
            rules(6, lead=5, review=7, multiple=24, stockout=6.0, carrying=0.02, on_hand=24),
        ).sum()
        for share in (service, tuned)
    ]  # fmt: skip
    assert costs[1] < 0.95 * costs[0]


def test_what_nobody_asks_for_or_wants_served_is_not_tuned():
    expected, buying = made_rows(2, 0.0, multiple=24)
    tuned, untold = tuned_service(expected, buying, np.array([0.9, 0.0]))
    assert not untold.any() and tuned.tolist() == [0.9, 0.0]
