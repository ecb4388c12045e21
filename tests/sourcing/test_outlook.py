"""What is foreseen: kept and read without loss, and prices that follow orders as the solver lets them."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sourcing.worlds import Running, World, draw_full, tries

from onhand.sourcing import outlook, tables
from onhand.sourcing.outlook import Outlook
from onhand.sourcing.solve import NO_PRICES, decide, follow, undo


def drawn(seed: int = 1, items: int = 6, nodes: int = 4) -> Outlook:
    random = np.random.default_rng(seed)
    unit = np.zeros((items, nodes, 4), np.float32)
    unit[1:, 1:, :3] = random.uniform(-9, 90, (items - 1, nodes - 1, 3))
    unit[2, 2] = 0
    share = np.asarray(random.uniform(0, 0.2, (24, nodes)), np.float32)
    ratio = np.asarray(random.uniform(0.5, 2, (items, nodes)), np.float32)
    made = Outlook(made_at=1.5e9, seconds=2.5, orders=300, share=share, ratio=ratio)
    return made.with_prices(unit, 1.25)


def same(a: tables.Prices, b: tables.Prices) -> None:
    for name, left, right in zip(a._fields, a, b, strict=True):
        assert np.array_equal(left, right), name


def test_an_outlook_is_read_as_it_was_kept():
    made = drawn()
    read = outlook.decode(outlook.encode(made))
    assert (read.made_at, read.seconds, read.orders, read.step_minor) == (1.5e9, 2.5, 300, 1.25)
    same(read.prices(6, 4), made.prices(6, 4))
    assert np.array_equal(read.risk(4, 7), made.share[7])
    assert 0 < len(read.item) == len(made.item) < 24


def test_without_prices_there_are_none():
    read = outlook.decode(outlook.encode(Outlook(made_at=1.0, seconds=1.0, orders=0)))
    assert not read.has_prices
    same(read.prices(6, 4), NO_PRICES)


def test_what_is_new_is_worth_nothing_and_rejected_as_usual():
    prices = drawn().prices(6, 4)
    more = outlook.grown(prices, 9, 7)
    assert more.unit.shape == (9, 7, 4) and more.clock.shape == (9,)
    assert np.array_equal(more.unit[:6, :4], prices.unit) and not more.unit[6:].any() and not more.unit[:, 4:].any()
    assert np.allclose(more.rejection[4:], prices.rejection.mean())
    assert (more.ratio[6:] == 1).all() and (more.ratio[:, 4:] == 1).all()
    same(outlook.grown(more, 9, 7), more)


@pytest.mark.parametrize("nodes", [3, 4, 6])
def test_the_rows_of_a_book_are_copies_with_a_row_for_what_nobody_has(nodes: int):
    prices = drawn().prices(6, 4)
    prices.clock[3] = 8.0
    book = outlook.rows_of(prices, np.array([3, 5, 77], np.int32), nodes)
    width = min(nodes, 4)
    assert book.unit.shape == (4, nodes, 4) and book.ratio.shape == (4, nodes) and book.rejection.shape == (nodes,)
    assert np.array_equal(book.unit[:2, :width], prices.unit[[3, 5], :width]) and not book.unit[2:].any()
    assert book.clock.tolist() == [8.0, 0.0, 0.0, 0.0]
    book.unit[:] = 5
    assert not (prices.unit == 5).all()


def following(w: World) -> Running:
    running = Running.of(w)
    running.stock.step_minor = 3.0
    # Away from 0, where what is cut off cannot be given back.
    if len(running.stock.prices.unit):
        running.stock.prices.unit[:, :, tables.NETWORK] += 500
    return running


@given(st.integers(0, 10_000).map(lambda seed: draw_full(Random(seed))))
@tries(60)
def test_undone_decisions_leave_prices_as_they_were(w: World):
    running = following(w)
    prices, at = running.stock.prices, running.stock.prices.clock.copy()
    before = _now(prices)
    decisions = running.decide(w.orders, consume=True)
    undo(decisions, running.stock, running.network)
    assert np.allclose(_now(prices), before, atol=0.01)
    assert np.array_equal(prices.clock, at)


@given(st.integers(0, 10_000).map(lambda seed: draw_full(Random(seed))))
@tries(60)
def test_prices_follow_decisions_of_elsewhere_as_their_own(w: World):
    own, other = following(w), following(w)
    follow(own.decide(w.orders, consume=True), other.stock)
    assert np.array_equal(own.stock.prices.clock, other.stock.prices.clock)
    assert np.allclose(_now(own.stock.prices), _now(other.stock.prices), atol=0.01)


def test_a_unit_that_is_taken_makes_the_rest_dearer_there():
    for seed in range(200):
        w = draw_full(Random(seed))
        running = following(w)
        before = _now(running.stock.prices)
        decisions = running.decide(w.orders, consume=True)
        picks = int(decisions.pick_first[-1])
        if picks:
            item = decisions.demand_item[decisions.pick_demand[0]]
            node, units = int(decisions.pick_node[0]), int(decisions.pick_units[0])
            rate = float(running.stock.prices.unit[item, node, tables.RATE])
            moved = _now(running.stock.prices)[item, node] - before[item, node]
            asked = float(decisions.demand_units[decisions.demand_item == item].sum())
            taken = int(decisions.pick_units[:picks][
                (decisions.demand_item[decisions.pick_demand[:picks]] == item) & (decisions.pick_node[:picks] == node)
            ].sum())  # fmt: skip
            assert taken >= units and moved == pytest.approx(3.0 * (taken - rate * asked), abs=0.01)
            return
    raise AssertionError("no plan was drawn")


def test_the_step_of_the_stock_comes_before_that_of_the_objective():
    w = next(w for w in map(draw_full, map(Random, range(99))) if Running.of(w).decide(w.orders).count.any())
    w.objectives = {name: replace(o, step_minor=0.0) for name, o in w.objectives.items()}
    for step, moves in ((None, False), (5.0, True)):
        running = Running.of(w)
        running.stock.step_minor = step
        before = running.stock.prices.unit[:, :, tables.NETWORK].copy()
        asks = [w.ask(o, running.network) for o in w.orders]
        decisions = decide(
            asks, running.stock, running.network, w.policy, running.goods, now=w.now.timestamp(), consume=True
        )
        assert decisions.count.any()
        assert (not np.array_equal(running.stock.prices.unit[:, :, tables.NETWORK], before)) is moves


def _now(prices: tables.Prices) -> np.ndarray:
    """float64[item, node]: network prices as they are, at a step of 3."""
    unit = prices.unit.astype(np.float64)
    gone = prices.clock[:, np.newaxis] - unit[:, :, tables.SEEN]
    return np.maximum(unit[:, :, tables.NETWORK] - 3.0 * unit[:, :, tables.RATE] * gone, 0)
