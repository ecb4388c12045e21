"""What a decision saw is kept such that solving it again gives the same plan."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sourcing.test_worked_examples import node, order, service, world
from tests.sourcing.worlds import Order, Running, World, draw, draw_full, draw_huge, plans, tries

from onhand.network.compiled import NO_LIMIT
from onhand.sourcing import record
from onhand.sourcing.explain import prices_of
from onhand.sourcing.record import Seen
from onhand.sourcing.solve import Stock

quick = tries(150)


def records(running: Running, orders: list[Order], *, consume: bool = False) -> tuple[list[bytes], list[object]]:
    decisions = running.decide(orders, consume=consume)
    asks = [running.world.ask(o, running.network) for o in orders]
    now = running.world.now.timestamp()
    raw = record.encode(decisions, [a.latitude for a in asks], [a.longitude for a in asks], running.goods, now)
    return raw, list(plans(decisions, running.network))


def again(w: World, o: Order, seen: Seen) -> object:
    """The plan that the record alone leads to: its nodes, units and days, the network's prices."""
    running = Running.of(w)
    shape = running.stock.available.shape
    running.stock = Stock(np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.int32))
    running.network.left[:] = NO_LIMIT
    value, risk = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for c in seen.candidates:
        value[seen.item, c.node_id], risk[seen.item, c.node_id] = c.value, c.risk
        running.stock.available[seen.item, c.node_id] = c.free
        running.stock.safety[seen.item, c.node_id] = c.safety
        for day, left in enumerate(c.left):
            running.network.left[c.node_id, day] = left
    running.goods.weight_g[seen.item], running.goods.volume_mm3[seen.item] = seen.weight_g, seen.volume_mm3
    demand = list(zip(seen.item.tolist(), seen.units.tolist(), strict=True))
    o = replace(o, demand=demand, latitude=seen.latitude, longitude=seen.longitude)
    running.stock.prices, policy = prices_of(running.world.policy, value, risk)
    running.world = replace(running.world, objectives=policy.objectives)
    return plans(running.decide([o]), running.network)[0]


@given(st.randoms(use_true_random=False).map(lambda rng: draw(rng, orders=3)))
@quick
def test_a_decision_made_again_from_its_record_is_the_same(w: World) -> None:
    raw, made = records(Running.of(w), w.orders, consume=True)
    for o, bytes_, plan in zip(w.orders, raw, made, strict=True):
        seen = record.decode(bytes_)
        assert seen.at == w.now.timestamp()
        assert again(w, o, seen) == plan


@given(st.randoms(use_true_random=False).map(draw_full))
@quick
def test_so_it_is_with_prices_of_units_rejections_and_room(w: World) -> None:
    """Each order by itself: what room is worth depends on all that is left of it."""
    for o in w.orders:
        (bytes_,), (plan,) = records(Running.of(w), [o])
        assert again(w, o, record.decode(bytes_)) == plan


def test_without_prices_nothing_of_them_is_kept() -> None:
    w = draw_full(Random(5))
    w.extras.values, w.extras.rejection = {}, {}
    w.objectives = {name: replace(o, capacity_base_minor=0) for name, o in w.objectives.items()}
    running = Running.of(w)
    decisions = running.decide(w.orders)
    bare = decisions.record[: decisions.record_first[-1]].copy()
    running.stock.prices = draw_full(Random(5)).stock().prices
    priced = running.decide(w.orders)
    assert bare[1] <= 1 < priced.record[1]
    assert len(bare) < int(priced.record_first[-1])


def test_so_it_is_with_any_number_of_units() -> None:
    """Stock, safety stock, demand and limits up to the largest number a column holds."""
    wide = narrow = 0
    for seed in range(1_500):
        w = draw_huge(Random(seed))
        (raw,), (plan,) = records(Running.of(w), w.orders)
        wide += raw[1] == 4
        narrow += raw[1] == 2
        assert again(w, w.orders[0], record.decode(raw)) == plan, f"seed {seed}"
    assert wide > 100 and narrow > 100


def test_the_record_says_what_was_seen() -> None:
    nodes = [node(1, capacity_orders=2, capacity_units=500), node(2), node(3, active=False), node(4)]
    w = world({(1, 1): 7, (2, 1): 0, (1, 2): 4, (1, 3): 9, (2, 4): 3}, nodes=nodes, safety={(1, 2): 3})
    running = Running.of(w)
    running.network.left[1, 0] = [0, NO_LIMIT, 480]
    (raw,), _ = records(running, [order((1, 5), (2, 2))])
    seen = record.decode(raw)
    assert (seen.at, seen.latitude, seen.longitude) == (w.now.timestamp(), 50, 8)
    assert (seen.item.tolist(), seen.units.tolist()) == ([1, 2], [5, 2])
    assert (seen.weight_g.tolist(), seen.volume_mm3.tolist()) == ([100, 100], [0, 0])
    assert [(c.node_id, c.free.tolist(), c.safety.tolist(), c.left) for c in seen.candidates] == [
        (1, [7, 0], [0, 0], [(0, NO_LIMIT, 480)]),
        (2, [4, 0], [3, 0], []),
        (4, [0, 3], [0, 0], []),
    ]
    assert raw[1] == 2, "small numbers take 16 bits"


def test_a_day_promised_beyond_its_limit_is_full_not_free() -> None:
    """A limit was lowered: what is left is below zero, which must not be read as no limit."""
    running = Running.of(world({(1, 1): 5}, nodes=[node(1, capacity_orders=1)]))
    running.network.left[1, 0, 0] = -1
    (raw,), _ = records(running, [order((1, 1))])
    assert record.decode(raw).candidates[0].left == [(0, NO_LIMIT, NO_LIMIT)]


def test_oversold_units_stay_below_zero() -> None:
    w = world({(1, 1): 5, (2, 1): -4})
    (raw,), _ = records(Running.of(w), [order((1, 1), (2, 1))])
    assert record.decode(raw).candidates[0].free.tolist() == [5, -4]


@pytest.mark.parametrize("nodes", [32_767, 32_768])
def test_numbers_beyond_16_bits_make_all_words_wide(nodes: int) -> None:
    w = world({(1, nodes): 1}, nodes=[node(nodes, latitude=50.0)])
    (raw,), (plan,) = records(Running.of(w), [order((1, 1))])
    assert raw[1] == (2 if nodes == 32_767 else 4)
    seen = record.decode(raw)
    assert [c.node_id for c in seen.candidates] == [nodes]
    assert again(w, order((1, 1)), seen) == plan


def test_an_order_that_was_never_weighed_has_no_candidates() -> None:
    w = world({(1, 1): 1}, volume_mm3=10**15, services=[service()])
    running = Running.of(w)
    o = order((1, 3))
    raw = record.empty(w.ask(o, running.network), running.goods, w.now.timestamp())
    seen = record.decode(raw)
    assert seen.candidates == []
    assert (seen.item.tolist(), seen.units.tolist(), seen.volume_mm3.tolist()) == ([1], [3], [10**15])


def test_a_batch_without_any_candidate_can_be_kept() -> None:
    running = Running.of(world({(1, 1): 0}))
    raw, made = records(running, [order((1, 1))] * 2)
    assert made == [None, None]
    assert [record.decode(r).candidates for r in raw] == [[], []]
    assert records(running, []) == ([], [])
