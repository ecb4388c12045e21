"""Transfers: to where units will be missed, never more than there is, never to and fro."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.planning.protection import Expected
from onhand.planning.rebalance import Caution, Recent, Stocked, local_worth, rebalance
from onhand.planning.transfers import Lanes

LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def expected(daily, days=20):
    daily = np.asarray(daily, float)
    return Expected(
        levels=LEVELS,
        quantiles=np.repeat(daily.ravel()[:, None, None] * np.array([[[0.2, 0.6, 1.0, 1.4, 1.8]]]), days, axis=1),
    )


def stocked(stock, **given):
    units = np.asarray(stock, np.int64)
    items = len(units)
    base = {
        "stock": units, "movable": units, "coming": np.zeros_like(units), "worth": np.full(units.shape, 1_000.0),
        "left": np.zeros(units.shape), "size": np.ones(items), "weight_kg": np.ones(items),
    }  # fmt: skip
    return Stocked(**(base | given))


def lanes(nodes, *, unit=50.0, room=np.inf, docks=np.inf):
    return Lanes(
        unit_minor=np.full((nodes, nodes), unit), kg_minor=np.zeros((nodes, nodes)),
        room=np.full((nodes, nodes), room), dock_out=np.full(nodes, docks), dock_in=np.full(nodes, docks),
    )  # fmt: skip


def leads(nodes, days=2):
    return np.full((nodes, nodes), days)


def applied(world, found):
    """The moves are under way."""
    stock, movable, coming = world.stock.copy(), world.movable.copy(), world.coming.copy()
    for left in (stock, movable):
        np.subtract.at(left, (found.item, found.source), found.units)
    np.add.at(coming, (found.item, found.target), found.units)
    return replace(world, stock=stock, movable=movable, coming=coming)


def test_units_go_to_where_they_will_be_missed():
    found = rebalance(expected([[2.0, 0.05, 0.05]]), stocked([[0, 60, 3]]), lanes(3), leads(3))
    assert set(zip(found.source.tolist(), found.target.tolist(), strict=True)) == {(1, 0)}
    assert 15 < found.units.sum() < 40
    assert (found.gain > 0).all()
    assert (found.gain_low <= found.gain).all()
    assert (found.gain <= found.gain_high).all()
    assert 15 < found.saved.sum() <= found.units.sum()
    assert found.cost.sum() == pytest.approx(50 * found.units.sum())


def test_what_would_come_too_late_is_not_sent():
    daily, stock = [[2.0, 0.0]], stocked([[0, 60]])
    soon, late, never = (
        rebalance(expected(daily), stock, lanes(2), leads(2, days), horizon_days=10).units.sum() for days in (1, 6, 10)
    )
    assert soon > 1.5 * late > 0
    assert never == 0


def test_it_must_be_worth_the_way():
    daily, stock = [[2.0, 0.0]], stocked([[0, 60]])
    assert rebalance(expected(daily), stock, lanes(2, unit=1_100.0), leads(2)).units.sum() == 0
    without_lane = replace(lanes(2), unit_minor=np.array([[np.nan, np.nan], [np.inf, np.nan]]))
    assert rebalance(expected(daily), stock, without_lane, leads(2)).units.sum() == 0


def test_slow_stock_leaves_where_it_loses_its_worth():
    nobody = expected([[0.0, 1.0]])
    found = rebalance(nobody, stocked([[30, 0]], left=np.array([[0.0, 400.0]])), lanes(2), leads(2))
    assert found.units.sum() >= 12


@st.composite
def worlds(draw):
    items, nodes = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    stock = random.poisson(random.gamma(0.5, 20, (items, nodes)))
    world = stocked(
        stock, movable=random.binomial(stock, 0.8), coming=random.poisson(0.5, stock.shape),
        worth=random.uniform(200, 2_000, stock.shape), size=random.uniform(0.2, 3, items),
        left=random.uniform(-100, 200, stock.shape), weight_kg=random.uniform(0, 3, items),
    )  # fmt: skip
    unit = random.uniform(1, 200, (nodes, nodes))
    unit[random.random((nodes, nodes)) < 0.2] = np.inf
    ways = Lanes(
        unit_minor=unit, kg_minor=random.uniform(0, 20, (nodes, nodes)),
        room=random.choice([np.inf, 5.0, 20.0], (nodes, nodes)), dock_out=random.choice([np.inf, 15.0, 40.0], nodes),
        dock_in=random.choice([np.inf, 15.0, 40.0], nodes),
    )  # fmt: skip
    return expected(random.gamma(0.6, 2, stock.shape)), world, ways, random.integers(0, 6, (nodes, nodes))


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_never_more_than_there_is_nor_than_lanes_and_docks_take(world):
    forecast, stock, ways, lead = world
    found = rebalance(forecast, stock, ways, lead)
    sent = np.zeros((*stock.stock.shape, stock.stock.shape[1]))
    np.add.at(sent, (found.item, found.source, found.target), found.units)
    assert (found.units > 0).all()
    assert found.units.dtype == np.int64
    assert (found.source != found.target).all()
    assert (sent.sum(axis=2) <= stock.movable).all()
    used = (stock.size[:, None, None] * sent).sum(axis=0)
    assert np.isfinite(ways.unit_minor[used > 0]).all()
    assert (used <= ways.room + 1e-6).all()
    assert (used.sum(axis=1) <= ways.dock_out + 1e-6).all()
    assert (used.sum(axis=0) <= ways.dock_in + 1e-6).all()
    # No item comes to a node and leaves it.
    assert not ((sent.sum(axis=2) > 0) & (sent.sum(axis=1) > 0)).any()
    assert found.solved.gain <= found.solved.bound + 1e-6
    assert (found.gain > 0).all()


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_a_plan_that_was_made_is_not_made_again(world):
    """The network is balanced then: nothing to do, with room to spare and nothing remembered. On lanes between all
    nodes that cost the same: where a way round is cheaper, what arrives may be wanted further on."""
    forecast, stock, _, lead = world
    nodes = len(lead)
    found = rebalance(forecast, stock, lanes(nodes), lead)
    assert rebalance(forecast, applied(stock, found), lanes(nodes), lead).units.tolist() == []


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_what_moved_is_left_alone_whatever_the_lanes(world):
    forecast, stock, ways, lead = world
    found = rebalance(forecast, stock, ways, lead)
    recent = [
        Recent(item=i, source=k, target=to, days_ago=0)
        for i, k, to in zip(found.item.tolist(), found.source.tolist(), found.target.tolist(), strict=True)
    ]
    again = rebalance(forecast, applied(stock, found), ways, lead, recent=recent)
    moved = {(r.item, node) for r in recent for node in (r.source, r.target)}
    assert not moved & {*zip(again.item.tolist(), again.source.tolist(), strict=True)}
    assert not moved & {*zip(again.item.tolist(), again.target.tolist(), strict=True)}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_large_plan_is_not_made_again_either(seed):
    """Where steps of worth hold many units, one look is not enough: what they average is looked at again."""
    random = np.random.default_rng(seed)
    rate = random.gamma(1, 12, (12, 6))
    stock = random.poisson(rate * 14 * random.lognormal(0, 0.7, rate.shape))
    forecast, world = expected(rate), stocked(stock, worth=random.uniform(300, 1_500, rate.shape))
    found = rebalance(forecast, world, lanes(6), leads(6))
    assert found.units.sum() > 1_000
    assert rebalance(forecast, applied(world, found), lanes(6), leads(6)).units.tolist() == []


def test_a_balanced_network_stays_as_it_is():
    found = rebalance(expected([[1.0, 2.0, 3.0]] * 3), stocked([[20, 40, 60]] * 3), lanes(3), leads(3))
    assert found.units.tolist() == []


def test_sixty_days_of_demand_bring_no_way_back():
    """Each day demand, what arrives, and a plan; supply every second week to what the forecast says."""
    random = np.random.default_rng(4)
    nodes, items = 4, 6
    rate = random.gamma(2, 1.5, (items, nodes))
    forecast = expected(rate)
    world = stocked(np.ceil(rate * 14).astype(int))
    due, recent, moved = [], [], []
    for day in range(60):
        stock = world.stock.copy()
        for arrival in [d for d in due if d[0] == day]:
            stock[arrival[1]] += arrival[2]
        due = [d for d in due if d[0] > day]
        if day % 14 == 0:
            stock = np.maximum(stock, np.ceil(rate * 14).astype(int))
        stock = np.maximum(stock - random.poisson(rate), 0)
        coming = np.zeros_like(stock)
        for _, place, units in due:
            coming[place] += units
        world = stocked(stock, coming=coming)
        found = rebalance(
            forecast, world, lanes(nodes), leads(nodes), horizon_days=14 - day % 14,
            recent=[replace(r, days_ago=day - r.days_ago) for r in recent], paths=100,
        )  # fmt: skip
        stock = world.stock.copy()
        for i, k, to, units in zip(*(a.tolist() for a in (found.item, found.source, found.target, found.units)),
                                   strict=True):  # fmt: skip
            stock[i, k] -= units
            due.append((day + 2, (i, to), units))
            recent.append(Recent(item=i, source=k, target=to, days_ago=day))
            moved.append((day, i, k, to))
        world = stocked(stock)
    assert len(moved) > 10
    back = [(a, b) for a in moved for b in moved if a[1] == b[1] and a[2:] == b[:1:-1] and 0 <= b[0] - a[0] < 4]
    assert back == []
    # An item is left alone at a node for a week after it moved.
    ends = [(i, node, day) for day, i, *both in moved for node in both]
    assert not [(a, b) for a in ends for b in ends if a[:2] == b[:2] and 0 < b[2] - a[2] < 7]


def test_what_moved_lately_stays_and_the_way_back_is_closed():
    world, forecast = stocked([[0, 60]]), expected([[2.0, 0.0]])
    assert rebalance(forecast, world, lanes(2), leads(2)).units.sum() > 0
    just = Recent(item=0, source=1, target=0, days_ago=1)
    assert rebalance(forecast, world, lanes(2), leads(2), recent=[just]).units.sum() == 0
    back = Recent(item=0, source=0, target=1, days_ago=9)
    assert rebalance(forecast, world, lanes(2), leads(2), recent=[back]).units.sum() > 0
    assert rebalance(forecast, world, lanes(2), leads(2, 5), recent=[back]).units.sum() == 0


def test_more_caution_moves_less():
    forecast, world = expected([[0.1, 0.02, 0.1, 0.05]] * 5), stocked([[0, 4, 0, 3]] * 5)
    units = [
        rebalance(forecast, world, lanes(4, unit=300.0), leads(4), caution=Caution(sd_share=share)).units.sum()
        for share in (0.0, 0.5, 3.0)
    ]
    assert units[0] >= units[1] > units[2] == 0 or units[0] > units[1] >= units[2]


def test_the_same_seed_makes_the_same_plan():
    random = np.random.default_rng(3)
    forecast, world = expected(random.gamma(1, 1, (20, 5))), stocked(random.poisson(10, (20, 5)))
    once, again = (rebalance(forecast, world, lanes(5, room=15.0), leads(5)) for _ in range(2))
    assert once.units.tolist() == again.units.tolist()
    assert once.item.tolist() == again.item.tolist()


def test_what_a_node_of_its_own_is_worth():
    found = local_worth([1_000, 1_000, 1_000], [1, 0, 0.5], [300, 300, 300], [2, 2, 2], 50)
    assert found.tolist() == [1_000, 400, 700]
    with pytest.raises(ValueError, match="lost_share"):
        local_worth(1, 1.5, 0, 0, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stock": [[-1, 0]]}, "stock of 0"),
        ({"movable": np.array([[9, 0]])}, "movable"),
        ({"worth": np.array([[np.nan, 1.0]])}, "worth"),
        ({"left": np.array([[5_000.0, 1.0]])}, "worth"),
        ({"size": np.zeros(1)}, "size above 0"),
        ({"coming": np.array([[2**40, 0]])}, "coming of 0"),
        ({"coming": np.zeros((2, 2), int)}, "coming"),
    ],
)
def test_what_makes_no_sense_is_refused(change, told):
    stock = change.pop("stock", [[5, 5]])
    with pytest.raises(ValueError, match=told):
        rebalance(expected([[1.0, 1.0]]), stocked(stock, **change), lanes(2), leads(2))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"horizon_days": 0}, "horizon"),
        ({"lead_days": leads(3)}, "between 2 nodes"),
        ({"lead_days": leads(2, -1)}, "lead times"),
        ({"recent": [Recent(item=4, source=0, target=1, days_ago=1)]}, "one of 1 items"),
    ],
)
def test_wrong_settings_are_refused(given, told):
    lead = given.pop("lead_days", leads(2))
    with pytest.raises(ValueError, match=told):
        rebalance(expected([[1.0, 1.0]]), stocked([[5, 5]]), lanes(2), lead, **given)


def test_caution_is_no_negative_number():
    with pytest.raises(ValueError, match="at least 0"):
        Caution(sd_share=-1)
