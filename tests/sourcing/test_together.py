"""Orders of random merchants planned together: limits of stock, days and parcels hold, and no joint plan that anybody
finds is below the bound."""

from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from tests.sourcing.worlds import Running, World, draw, draw_limited_parcels

from onhand.sourcing.solve import Asked, Decisions, asked, decide_asked, usual_attempts
from onhand.sourcing.tables import NO_LIMIT
from onhand.sourcing.together import Together, plan_together, without_moving_prices


def table_of(world: World, running: Running) -> Asked:
    return asked([world.ask(order, running.network) for order in world.orders], running.network)


def together(world: World, **more: float) -> tuple[Running, Asked, Together]:
    running = Running.of(world)
    table = table_of(world, running)
    made = plan_together(
        table, running.stock, running.network, world.policy, running.goods,
        now=world.now.timestamp(), time_limit_s=0.5, **more,
    )  # fmt: skip
    return running, table, made


def in_turn(world: World, turn: list[int], refuse: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    """What the orders cost one after the other in this order, without safety stock."""
    world = replace(world, orders=[world.orders[n] for n in turn])
    running = Running.of(world)
    table = table_of(world, running)
    usual = usual_attempts(table)
    count = len(turn)
    table.attempts = usual.only(np.arange(count + 1, dtype=np.int32), np.arange(count) * 2)
    d = decide_asked(
        table, running.stock, running.network, without_moving_prices(world.policy), running.goods,
        now=world.now.timestamp(), consume=True,
    )  # fmt: skip
    return float(np.where(d.count > 0, d.cost, refuse[turn]).sum())


def judge(d: Decisions, running: Running, table: Asked) -> int:
    """Fails where a limit is broken; parcels that go along lanes with a limit."""
    stock, room, parcels = Counter[tuple[int, int]](), Counter[tuple[int, int, int]](), Counter[tuple[int, int, int]]()
    along, network = Counter[tuple[int, int]](), running.network
    owner = np.repeat(np.arange(len(d.count)), np.diff(d.fulfilment_first))
    for p in range(int(d.pick_first[-1])):
        stock[int(d.demand_item[d.pick_demand[p]]), int(d.pick_node[p])] += int(d.pick_units[p])
    for f in range(int(d.fulfilment_first[-1])):
        node, slot, service = int(d.node[f]), int(d.slot[f]), int(d.service[f])
        for kind, amount in enumerate((1, int(d.lines[f]), int(d.units[f]))):
            room[node, slot, kind] += amount
        if service >= 0:
            parcels[node, service, slot] += int(d.parcels[f])
            column = int(network.zone_transit[table.zone[owner[f]], service, node]) if network.zone_transit.size else -1
            assert d.lane[f] == column
            if column >= 0 and network.lane_of[service, column] >= 0:
                along[int(network.lane_of[service, column]), int(d.day[f])] += int(d.parcels[f])
        assert running.network.slot_cutoff[node, slot] > 0
        assert running.network.slot_day[node, slot] == d.day[f]
    left, held = running.network.left, running.stock
    for (item, node), units in stock.items():
        assert units <= held.available[item, node] - held.pending[item, node] - held.safety[item, node], "oversold"
    assert all(n <= left[at] for at, n in room.items()), "a day is too full"
    if len(running.network.parcels):
        assert all(
            n <= running.network.parcels[at] for at, n in parcels.items() if running.network.parcels[at] < NO_LIMIT
        )
    assert all(n <= network.lane_limits[lane] for (lane, _), n in along.items()), "a lane is too full"
    return sum(along.values())


@pytest.mark.parametrize("part", range(4))
def test_limits_hold_and_no_joint_plan_is_below_the_bound(part: int) -> None:
    served = proved = better = 0
    for seed in range(part * 10, part * 10 + 10):
        world = draw(Random(seed), orders=8)
        running, table, made = together(world)
        judge(made.decisions, running, table)
        count = made.decisions.count
        assert made.cost == pytest.approx(np.where(count > 0, made.decisions.cost, made.refuse_minor).sum())
        for o in np.flatnonzero(count):
            mine = slice(int(made.decisions.pick_first[o]), int(made.decisions.pick_first[o + 1]))
            assert (
                made.decisions.pick_units[mine].sum()
                == table.units[table.demand_first[o] : table.demand_first[o + 1]].sum()
            )
            assert count[o] <= table.fulfilments_max[o]
        turn = list(range(len(world.orders)))
        first = in_turn(world, turn, made.refuse_minor)
        assert made.cost <= first + 1e-6, f"seed {seed}"
        better += made.cost < first - 1e-6
        for n in range(6):
            Random(n).shuffle(turn)
            found = in_turn(world, turn, made.refuse_minor)
            assert not made.is_proved or made.bound <= found + 1e-6 * abs(found), f"seed {seed}"
        served += int((count > 0).sum())
        proved += made.is_proved
    assert served > 20 and proved >= 8 and better >= 1


@pytest.mark.parametrize("part", range(4))
def test_carriers_take_no_more_parcels_than_they_do_and_no_joint_plan_is_below_the_bound(part: int) -> None:
    """Of nodes, and of lanes that several nodes share."""
    served = proved = better = along = 0
    for seed in range(part * 12, part * 12 + 12):
        world = draw_limited_parcels(Random(seed), full=False, orders=8)
        running, table, made = together(world)
        along += judge(made.decisions, running, table)
        turn = list(range(len(world.orders)))
        first = in_turn(world, turn, made.refuse_minor)
        assert made.cost <= first + 1e-6, f"seed {seed}"
        better += made.cost < first - 1e-6
        for n in range(6):
            Random(n).shuffle(turn)
            found = in_turn(world, turn, made.refuse_minor)
            assert not made.is_proved or made.bound <= found + 1e-6 * abs(found), f"seed {seed}"
        served += int((made.decisions.count > 0).sum())
        proved += made.is_proved
    assert served > 20 and proved >= 8 and better >= 1 and along > 4, (served, proved, better, along)
