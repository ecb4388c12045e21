"""A policy that looks forward does so in a replay, too, and sees nothing there that it could not have seen."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.simulation.histories import BEGINS, DAY, history, inbound

from onhand.bench.sourcing import asked, network
from onhand.orders.model import TERMS
from onhand.simulation.ahead import Ahead
from onhand.simulation.compare import compare
from onhand.simulation.history import History, join
from onhand.simulation.replay import Outcome, Settings, replay
from onhand.simulation.rules import PlainRules
from onhand.sourcing import tables
from onhand.sourcing.policy import STANDARD
from onhand.sourcing.solve import Stock

MYOPIC = replace(STANDARD, foresight=None)
OPPORTUNITY = TERMS.index("opportunity")


def plainly(past: History, policy: Any = STANDARD, **settings: Any) -> Outcome:
    return replay(past, PlainRules(policy, past), Settings(**settings))


def scarce(orders: int = 2_000, **more: Any) -> History:
    return history(orders, stock=60, days=8, **more)


def weeks_before(past: History, orders: int = 600, *, seed: int = 5, days: float = 20) -> History:
    """Orders of the weeks before `past`."""
    draw = np.random.default_rng([seed, 1])
    first = BEGINS - days * DAY
    return replace(
        past,
        begins=first,
        orders=asked(network(6, 1, 20), orders, seed),
        placed=np.sort(first + draw.uniform(0, days * DAY, orders)),
        may_wait=np.ones(orders, np.bool_),
        may_split=np.ones(orders, np.bool_),
        wishes=np.full(orders, -1, np.int32),
    )


def test_units_have_a_price_once_there_is_something_to_learn_from() -> None:
    past = scarce()
    ours, theirs = plainly(past), plainly(past, MYOPIC)
    assert (ours.looks, theirs.looks) == (7, 0)
    first_day = past.placed[ours.fulfilments.order] < BEGINS + DAY
    assert not ours.fulfilments.terms[first_day, OPPORTUNITY].any(), "a day has to be known first"
    assert ours.fulfilments.terms[~first_day, OPPORTUNITY].any()
    assert not theirs.fulfilments.terms[:, OPPORTUNITY].any()


def test_looking_forward_serves_the_same_orders_for_less() -> None:
    past = scarce()
    past = replace(past, before=weeks_before(past, 2_000))
    found = compare(past, plainly(past, MYOPIC), plainly(past))
    paid = found.of("paid_alike_minor")
    assert paid.difference < -0.01 * paid.baseline


def test_what_comes_later_is_not_seen() -> None:
    """Two periods that differ from the fifth day on: until then the same is decided."""
    past = scarce()
    split = int(np.searchsorted(past.placed, BEGINS + 4 * DAY))
    other = weeks_before(past, len(past), seed=8).orders
    late = np.arange(split, len(past))
    changed = replace(past, orders=join_orders(past, other, split))
    ours, theirs = plainly(past), plainly(changed)
    assert ours.looks == theirs.looks
    early = [o.fulfilments.order < split for o in (ours, theirs)]
    for name in ("order", "node", "service", "terms"):
        a, b = (getattr(o.fulfilments, name)[mine] for o, mine in zip((ours, theirs), early, strict=True))
        np.testing.assert_array_equal(a, b)
    assert len(late) and (ours.served[late] != theirs.served[late]).any()


def join_orders(past: History, other: Any, split: int) -> Any:
    """The first `split` orders of `past`, and as many more of `other` as it had."""
    count = len(past)
    ours = replace(
        past, orders=past.orders.only(np.arange(split)), placed=past.placed[:split], may_wait=past.may_wait[:split],
        may_split=past.may_split[:split], wishes=past.wishes[:split],
    )  # fmt: skip
    theirs = replace(
        past, orders=other.only(np.arange(split, count)), placed=past.placed[split:],
        may_wait=past.may_wait[split:], may_split=past.may_split[split:], wishes=past.wishes[split:],
    )  # fmt: skip
    return join(ours, theirs).orders


def test_orders_of_the_weeks_before_give_prices_from_the_first_moment() -> None:
    past = scarce(1_000)
    known = replace(past, before=weeks_before(past))
    alone, informed = plainly(past), plainly(known)
    first = past.placed[informed.fulfilments.order] < BEGINS + 0.5 * DAY
    assert informed.fulfilments.terms[first, OPPORTUNITY].any()
    assert alone.looks < informed.looks
    few = replace(past, before=weeks_before(past, 150))
    assert plainly(few).looks <= alone.looks + 1
    sample = replace(past, before=replace(weeks_before(past, 150), stand_for=4.0))
    assert plainly(sample).looks == informed.looks, "a sample stands for more"


def test_a_policy_compared_with_itself_differs_by_nothing() -> None:
    past = scarce(1_000, rejection=0.02)
    past = replace(past, before=weeks_before(past))
    found = compare(past, plainly(past), plainly(past))
    assert all(d.difference == 0 or np.isnan(d.difference) for d in found.differences)


def test_supply_that_comes_soon_makes_units_cheap() -> None:
    past = scarce(50)
    past = replace(past, before=weeks_before(past))
    prices: list[float] = []
    for rows in ([], [(0.0, 1.0, item, 1, 5) for item in range(1, 21)]):
        some = replace(past, inbound=inbound(rows)) if rows else past
        stock = Stock(past.available.copy(), np.zeros_like(past.available), past.safety)
        if rows:
            first = np.searchsorted(some.inbound.item, np.arange(len(past.available) + 1)).astype(np.int32)
            stock.supply = tables.Supply(first, some.inbound.node, some.inbound.ready, some.inbound.units)
        ahead = Ahead.of(some, PlainRules(STANDARD, some), seed=0, refreshes_max=30)
        assert ahead is not None
        ahead.look(stock, past.network, BEGINS)
        prices.append(float(stock.prices.unit[:, :, tables.NETWORK].mean()))
    assert prices[1] < 0.5 * prices[0]


def test_room_of_nodes_that_fill_up_is_worth_something_there_too() -> None:
    past = history(2_000, stock=2_000, days=8)
    limits = past.network.limits.copy()
    limits[1, 0] = 15
    left = np.repeat(limits[:, np.newaxis], past.network.left.shape[1], axis=1)
    past = replace(past, network=replace(past.network, limits=limits, left=left))
    ours, theirs = plainly(past), plainly(past, MYOPIC)
    room = TERMS.index("capacity_price")
    f = ours.fulfilments
    priced = f.terms[:, room] > 0
    assert priced.any() and set(f.node[priced].tolist()) == {1}
    assert not theirs.fulfilments.terms[:, room].any()
    day = (f.departs // DAY).astype(np.int64)
    assert np.unique(day[f.node == 1], return_counts=True)[1].max() <= 15
    # Who would have gone there for little goes elsewhere; whom it saves most gets there: all cost less, but for prices
    # of what is to come.
    real = [n for n, name in enumerate(TERMS) if name not in ("capacity_price", "opportunity")]
    mine, other = (o.fulfilments.terms[:, real].sum() for o in (ours, theirs))
    assert mine < 0.999 * other


def test_orders_from_before_come_before() -> None:
    past = scarce(50)
    with pytest.raises(ValueError, match="before the history begins"):
        replace(past, before=past)


def test_joined_histories_ask_for_the_orders_of_both() -> None:
    past = scarce(50)
    early = replace(weeks_before(past, 30), facts=lambda n: {"early": n})
    both = join(early, replace(past, facts=lambda n: {"late": n}))
    assert len(both) == 80 and both.facts is not None
    assert [both.facts(n) for n in (0, 29, 30, 79)] == [{"early": 0}, {"early": 29}, {"late": 0}, {"late": 49}]
    tail = both.orders.only(np.arange(30, 80))
    for name in ("demand_first", "item", "units", "latitude", "price", "excluded_first"):
        np.testing.assert_array_equal(getattr(tail, name), getattr(past.orders, name))
