"""A purchase spread over nodes: all of it, in cases, and nobody could spread it better."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.planning.spreading import spread_cases


def saved(demand, position, made) -> float:
    return float(np.minimum(demand, (position + made)[..., None]).mean(axis=-1).sum())


@given(st.data())
def test_no_other_way_to_spread_it_sells_more(data) -> None:
    nodes, cases = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 4))
    case = data.draw(st.sampled_from([1, 3, 6]))
    draws = st.lists(st.integers(0, 30), min_size=4, max_size=4).map(sorted)
    demand = np.array([data.draw(draws) for _ in range(nodes)], np.int32)[None]
    position = np.array(data.draw(st.lists(st.integers(0, 20), min_size=nodes, max_size=nodes)))[None]
    made = spread_cases(np.array([cases * case]), np.array([case]), position, demand)
    assert made.sum() == cases * case
    assert not (made % case).any()
    best = max(
        saved(demand[0], position[0], case * np.array(way))
        for way in product(range(cases + 1), repeat=nodes)
        if sum(way) == cases
    )
    assert saved(demand[0], position[0], made[0]) == pytest.approx(best, abs=1e-3)


def test_what_nobody_is_likely_to_ask_for_goes_where_stock_lasts_shortest() -> None:
    demand = np.full((1, 2, 10), 4, np.int32)
    demand[0, 1] = 2
    made = spread_cases(np.array([240]), np.array([6]), np.array([[100, 100]]), demand)
    assert made[0, 0] > made[0, 1] > 0


def test_parts_of_a_case_are_refused() -> None:
    with pytest.raises(ValueError, match="whole cases"):
        spread_cases(np.array([7]), np.array([6]), np.zeros((1, 2), np.int64), np.zeros((1, 2, 4), np.int32))
