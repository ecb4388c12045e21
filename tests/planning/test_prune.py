"""Slow stock moves to where it sells; what stays is sold cheaper where that brings more."""

import numpy as np
import pytest

from onhand.planning.protection import Expected
from onhand.planning.prune import prune
from onhand.planning.rebalance import Stocked
from onhand.planning.transfers import Lanes

LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def pruned(daily, stock, *, price=2_000.0, unit=50.0, **given):
    daily, units = np.array(daily, float), np.array(stock, np.int64)
    items, nodes = units.shape
    forecast = Expected(
        levels=LEVELS, quantiles=np.repeat(daily.ravel()[:, None, None] * [[[0.2, 0.6, 1.0, 1.4, 1.8]]], 14, axis=1)
    )
    world = Stocked(
        stock=units, movable=units, coming=np.zeros_like(units), worth=np.full(units.shape, 1_000.0),
        left=np.full(units.shape, 100.0), size=np.ones(items), weight_kg=np.ones(items),
    )  # fmt: skip
    free = np.full((nodes, nodes), np.inf)
    lanes = Lanes(unit_minor=np.full((nodes, nodes), unit), kg_minor=np.zeros((nodes, nodes)), room=free,
                  dock_out=free[0], dock_in=free[0])  # fmt: skip
    return prune(forecast, world, lanes, np.full((nodes, nodes), 2), np.full(items, price), **given)


def test_excess_goes_to_where_it_sells():
    found = pruned([[0.1, 3.0]], [[200, 10]])
    assert found.cover_days[0, 0] > 600
    assert found.cover_days[0, 1] < 10
    assert found.excess[0, 0] > 150
    assert found.excess[0, 1] == 0
    assert set(found.transfers.source.tolist()) == {0}
    assert found.transfers.units.sum() > 100


def test_what_is_needed_stays():
    found = pruned([[2.0, 3.0]], [[100, 10]])
    # 60 days of two a day: nothing lies too long, however much the other node wants.
    assert found.excess.tolist() == [[0, 0]]
    assert len(found.transfers.units) == len(found.markdowns.item) == 0


def test_what_nobody_wants_elsewhere_gets_cheaper():
    found = pruned([[0.5, 0.0]], [[300, 0]])
    assert found.markdowns.item.tolist() == [0]
    assert found.markdowns.node.tolist() == [0]
    assert 0.3 <= found.markdowns.ratio[0] < 1
    assert found.markdowns.gain[0] > 0
    assert found.markdowns.gain_low[0] <= found.markdowns.gain[0] <= found.markdowns.gain_high[0]
    # About as many as elasticity says, at most what is there.
    assert 0 < found.markdowns.units[0] <= 300


def test_each_item_is_marked_down_by_its_own_elasticity():
    found = pruned([[0.5], [0.5]], [[300], [300]], elasticity=np.array([0.5, 3.0]))
    assert found.markdowns.item.tolist() == [1]


def test_the_markdown_is_the_best_of_those_tried():
    ratios = []
    for elasticity in (1.2, 2.0, 4.0):
        found = pruned([[2.0, 0.0]], [[200, 0]], elasticity=elasticity)
        ratios.append(float(found.markdowns.ratio[0]) if len(found.markdowns.ratio) else 1.0)
    # The more sales a lower price brings, the less of it is needed to sell all; below elasticity 1 none pays.
    assert ratios[2] >= ratios[1]
    assert len(pruned([[2.0, 0.0]], [[200, 0]], elasticity=0.8).markdowns.item) == 0


def test_nobody_asks_at_any_price():
    found = pruned([[0.0, 0.0]], [[30, 0]])
    assert np.isinf(found.cover_days[0, 0])
    assert found.cover_days[0, 1] == 0
    assert found.excess.tolist() == [[30, 0]]
    assert len(found.markdowns.item) == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"price": np.nan}, "price"), ({"elasticity": -1.0}, "elasticity"), ({"enough": 1.0}, "enough"),
        ({"horizon_days": 0}, "horizon"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(given, told):
    with pytest.raises(ValueError, match=told):
        pruned([[1.0, 1.0]], [[5, 5]], **given)
