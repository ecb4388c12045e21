"""Orders that are decided one after the other: each finds what those before it left, and all of it can be undone."""

from dataclasses import fields, replace
from datetime import timedelta
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sourcing.oracle import Oracle
from tests.sourcing.test_optimal import judge
from tests.sourcing.test_worked_examples import node, order, world
from tests.sourcing.worlds import Running, World, draw, plans, tries

from onhand.network.compiled import NO_LIMIT
from onhand.sourcing import kernel, solve
from onhand.sourcing.solve import Decisions, join, nothing, undo

quick = tries(60)


def draw_queue(rng: Random) -> World:
    return draw(rng, lines=3, orders=rng.randint(2, 8))


queues = st.randoms(use_true_random=False).map(draw_queue)


def used(d: Decisions) -> dict[str, np.ndarray]:
    """The columns of a table without their unused rows."""
    picks, made, words = int(d.pick_first[-1]), int(d.fulfilment_first[-1]), int(d.record_first[-1])
    length = {"record": words} | dict.fromkeys(
        ("pick_demand", "pick_node", "pick_units", "pick_number", "pick_supply"), picks
    )
    rows = (
        "node",
        "leg",
        "service",
        "slot",
        "day",
        "departs",
        "deliver",
        "lines",
        "units",
        "parcels",
        "lane",
        "terms",
        "grams",
    )
    length |= dict.fromkeys(rows, made)
    columns = {f.name: getattr(d, f.name) for f in fields(Decisions)}
    return {name: column[: length.get(name)] for name, column in columns.items() if isinstance(column, np.ndarray)}


def assert_same(one: Decisions, other: Decisions) -> None:
    a, b = used(one), used(other)
    for name, column in a.items():
        assert np.array_equal(column, b[name]), name
        assert column.dtype == b[name].dtype, name


def assert_as_full(one: Running, other: Running) -> None:
    """The same units and the same capacity are taken."""
    assert np.array_equal(one.stock.pending, other.stock.pending)
    assert np.array_equal(one.network.left, other.network.left)


@given(queues)
@quick
def test_a_batch_decides_as_its_orders_would_one_by_one(w: World) -> None:
    batch, single = Running.of(w), Running.of(w)
    together = batch.decide(w.orders, consume=True)
    parts = [single.decide([o], consume=True) for o in w.orders]
    assert_same(together, join(parts))
    assert_as_full(batch, single)


@given(queues)
@quick
def test_each_order_of_a_batch_gets_the_best_of_what_is_left(w: World) -> None:
    running, oracle = Running.of(w), Oracle(w)
    for o, plan in zip(w.orders, plans(running.decide(w.orders, consume=True), running.network), strict=True):
        judge(oracle, o, plan)
        if plan is not None:
            oracle.take(o, plan)
    for at, units in oracle.taken.items():
        assert running.stock.pending[at] == w.pending.get(at, 0) + units
    for (k, slot), left in oracle.left.items():
        assert running.network.left[k, slot].tolist() == [NO_LIMIT if x == float("inf") else x for x in left]


@given(queues)
@quick
def test_without_consuming_every_order_finds_the_same(w: World) -> None:
    running, before = Running.of(w), Running.of(w)
    together = running.decide(w.orders)
    assert_same(together, join([running.decide([o]) for o in w.orders]))
    assert_as_full(running, before)


@given(queues, st.integers(0, 8))
@quick
def test_undo_gives_back_exactly_what_was_taken(w: World, first: int) -> None:
    running, middle, before = Running.of(w), Running.of(w), Running.of(w)
    earlier = running.decide(w.orders[:first], consume=True)
    middle.decide(w.orders[:first], consume=True)
    later = running.decide(w.orders[first:], consume=True)
    undo(later, running.stock, running.network)
    assert_as_full(running, middle)
    undo(earlier, running.stock, running.network)
    assert_as_full(running, before)


def test_capacity_returns_to_its_day_when_a_cut_off_has_passed_meanwhile() -> None:
    running = Running.of(world({(1, 1): 9}, nodes=[node(1, capacity_orders=2, capacity_units=10)]))
    decisions = running.decide([order((1, 1))] * 3, consume=True)
    assert decisions.slot[:3].tolist() == [0, 0, 1]
    running.network.set_clock(running.world.now + timedelta(hours=6))
    assert running.network.left[1, :2].tolist() == [[1, NO_LIMIT, 9], [2, NO_LIMIT, 10]]
    undo(decisions, running.stock, running.network)
    # Today is over; tomorrow has all of its capacity again, and no day has more than that.
    assert running.network.left[1, :, 0].tolist() == [2] * 10
    assert running.network.left[1, :, 2].tolist() == [10] * 10
    assert decisions.day[:3].tolist() == [decisions.day[0]] * 2 + [decisions.day[0] + 1]


def test_a_network_without_limits_can_be_undone_like_any_other() -> None:
    """Reservations decide on a copy in which every day has room."""
    running = Running.of(world({(1, 1): 9}, nodes=[node(1, capacity_orders=1)]))
    unlimited = replace(running.network, left=np.full_like(running.network.left, NO_LIMIT))
    copy = replace(running, network=unlimited)
    undo(copy.decide([order((1, 1))] * 3, consume=True), copy.stock, copy.network)
    assert (unlimited.left == NO_LIMIT).all()


@given(queues, st.booleans())
@quick
def test_a_record_that_is_longer_than_thought_changes_nothing(w: World, limited: bool) -> None:
    """The batch is then undone and decided again with more room."""
    roomy, tight = Running.of(w), Running.of(w)
    if not limited:
        for running in (roomy, tight):
            running.network.left[:] = NO_LIMIT
    expected = roomy.decide(w.orders, consume=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve, "_WORDS", 40)
        assert_same(tight.decide(w.orders, consume=True), expected)
    assert_as_full(tight, roomy)


@given(queues)
@quick
def test_rows_of_stock_may_be_named_by_item(w: World) -> None:
    """The exact path locks some rows only and says which item each is."""
    plain, named = Running.of(w), Running.of(w)
    items = len(w.weight_g)
    rows = {item: items - 1 - item for item in range(items)}
    named.stock = replace(
        named.stock,
        **{name: getattr(plain.stock, name)[::-1].copy() for name in ("available", "pending", "safety")},
        rows=rows,
    )
    expected = plain.decide(w.orders, consume=True)
    decisions = named.decide(w.orders, consume=True)
    assert_same(decisions, expected)
    assert np.array_equal(named.stock.pending[::-1], plain.stock.pending)
    undo(decisions, named.stock, named.network)
    assert np.array_equal(named.stock.pending, Running.of(w).stock.pending[::-1])


def test_one_compiled_version_serves_every_caller() -> None:
    """Another layout or type of some array would make somebody's order wait for seconds until it is compiled again."""
    w = draw_queue(Random(1))
    running = Running.of(w)
    running.decide(w.orders, consume=True)
    running.decide([])
    running.stock.rows = {item: item for item in range(len(w.weight_g))}
    running.decide(w.orders[:1])
    running.network = replace(
        running.network, candidates=np.array([1], np.int32), left=np.full_like(running.network.left, NO_LIMIT)
    )
    running.decide(w.orders[:1])
    assert len(kernel.source_batch.signatures) == 1  # type: ignore[attr-defined]


def test_no_orders_make_an_empty_table() -> None:
    running = Running.of(world({(1, 1): 1}))
    assert_same(join([nothing()]), nothing())
    one = running.decide([order((1, 1))])
    assert_same(join([nothing(), one, nothing()]), one)
