"""A plan that stands costs what the kernel says it costs, and so does one of several fulfilments."""

from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from tests.sourcing.worlds import Running, World, draw, draw_limited_parcels

from onhand.sourcing.kept import Standing, price_kept
from onhand.sourcing.solve import Decisions, asked


def standing_of(d: Decisions) -> list[Standing]:
    rows: list[Standing] = []
    for o in range(len(d.count)):
        units: dict[int, Counter[int]] = {}
        for p in range(int(d.pick_first[o]), int(d.pick_first[o + 1])):
            units.setdefault(int(d.pick_number[p]), Counter())[int(d.demand_item[d.pick_demand[p]])] += int(
                d.pick_units[p]
            )
        for n, f in enumerate(range(int(d.fulfilment_first[o]), int(d.fulfilment_first[o + 1])), 1):
            rows.append(Standing(o, int(d.node[f]), int(d.slot[f]), max(int(d.service[f]), -1), dict(units[n])))
    return rows


def priced(world: World, *, full: bool = False) -> tuple[Decisions, Decisions]:
    """What the kernel decides of each order alone, and the same plans priced as they stand; `full`: when nothing has
    any room any more."""
    running = Running.of(world)
    decided = running.decide(world.orders, consume=False)
    if full:
        running.network.left[:] = running.network.parcels[:] = running.network.lanes[:] = 0
    asks = [world.ask(order, running.network) for order in world.orders]
    table = asked(asks, running.network)
    kept = price_kept(
        standing_of(decided),
        table,
        running.stock,
        running.network,
        world.policy,
        running.goods,
        now=world.now.timestamp(),
    )
    return decided, kept


def test_plans_cost_what_they_cost_when_they_were_made() -> None:
    split = 0
    for seed in range(120):
        decided, kept = priced(draw(Random(seed), orders=4))
        assert (kept.count == decided.count).all(), f"seed {seed}"
        assert kept.cost == pytest.approx(np.where(decided.count > 0, decided.cost, 0.0)), f"seed {seed}"
        made = int(decided.fulfilment_first[-1])
        assert (kept.node == decided.node[:made]).all() and (kept.deliver == decided.deliver[:made]).all()
        assert kept.terms == pytest.approx(decided.terms[:made])
        split += int((decided.count > 1).sum())
    assert split > 10, "some are sent in several parts"


def test_what_stands_needs_no_other_room() -> None:
    along = 0
    for seed in range(60):
        world = draw_limited_parcels(Random(seed), full=False, orders=4)
        world.objectives = {name: replace(o, capacity_base_minor=0.0) for name, o in world.objectives.items()}
        decided, kept = priced(world, full=True)
        made = int(decided.fulfilment_first[-1])
        assert kept.cost == pytest.approx(np.where(decided.count > 0, decided.cost, 0.0)), f"seed {seed}"
        assert (kept.lane == decided.lane[:made]).all() and (kept.parcels == decided.parcels[:made]).all()
        along += int((kept.lane >= 0).sum())
    assert along > 20


def test_what_cannot_be_sent_like_that_any_more_has_no_price() -> None:
    world = draw(Random(1), orders=4)
    running = Running.of(world)
    decided = running.decide(world.orders, consume=False)
    standing = standing_of(decided)
    first = standing[0]
    gone = [s._replace(slot=9) if s.order == first.order else s for s in standing]
    table = asked([world.ask(order, running.network) for order in world.orders], running.network)
    running.network.slot_cutoff[first.node, 9] = 0
    kept = price_kept(
        gone, table, running.stock, running.network, world.policy, running.goods, now=world.now.timestamp()
    )
    assert kept.count[first.order] == 0 and kept.cost[first.order] == 0.0
    others = np.arange(len(kept.count)) != first.order
    assert (kept.count == decided.count)[others].all()
