"""Transfers: the best there are without limits, feasible and near a bound with them."""

from dataclasses import replace

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.planning.transfers import Lanes, Steps, best_transfers


def drawn(seed, *, items=4, nodes=4, steps=3, scarce=False):
    """Steps of any concave worth; lanes that may be missing, and shortcuts that are dearer than going round."""
    random = np.random.default_rng(seed)
    units = random.integers(0, 4, (2, items, nodes, steps))
    values = np.sort(random.uniform(0, 100, (items, nodes, 2 * steps)), axis=2)
    # What comes is worth less than what is there, and less with each step.
    take, give = values[:, :, :steps][:, :, ::-1], values[:, :, steps:]
    empty = random.random((items, nodes)) < 0.4
    take = np.where(empty[:, :, None], take + 100, take)
    units[0][empty] = 0
    unit = random.uniform(0, 30, (nodes, nodes))
    unit[random.random((nodes, nodes)) < 0.2] = np.inf

    def room(*shape):
        return random.uniform(0, 8, shape) if scarce else np.full(shape, np.inf)

    lanes = Lanes(
        unit_minor=unit, kg_minor=random.uniform(0, 3, (nodes, nodes)), room=room(nodes, nodes), dock_out=room(nodes),
        dock_in=room(nodes),
    )  # fmt: skip
    return Steps(
        give_units=units[0], give_value=give, take_units=units[1], take_value=take.copy(),
        size=random.uniform(0.5, 2, items), weight_kg=random.uniform(0, 5, items),
    ), lanes  # fmt: skip


def best_by_programme(steps, lanes):
    """The same as one integer programme."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    items, nodes, count = steps.give_units.shape
    lane, out, into = {}, {}, {}
    money = 0
    for i in range(items):
        leaves, comes = {}, {}
        for k in range(nodes):
            gives = [highs.addIntegral(0, int(steps.give_units[i, k, g])) for g in range(count)]
            takes = [highs.addIntegral(0, int(steps.take_units[i, k, g])) for g in range(count)]
            leaves[k], comes[k] = sum(gives), sum(takes)
            money += sum(-v * x for v, x in zip(steps.give_value[i, k].tolist(), gives, strict=True))
            money += sum(v * x for v, x in zip(steps.take_value[i, k].tolist(), takes, strict=True))
        sent = {}
        for k in range(nodes):
            for to in range(nodes):
                if k != to and np.isfinite(lanes.unit_minor[k, to]):
                    sent[k, to] = highs.addIntegral(0, 1_000)
                    cost = lanes.unit_minor[k, to] + steps.weight_kg[i] * lanes.kg_minor[k, to]
                    money -= float(cost) * sent[k, to]
                    for place, key in ((lane, (k, to)), (out, k), (into, to)):
                        place[key] = place.get(key, 0) + float(steps.size[i]) * sent[k, to]
        for k in range(nodes):
            highs.addConstr(leaves[k] - sum(v for (a, _), v in sent.items() if a == k) == 0)
            highs.addConstr(comes[k] - sum(v for (_, b), v in sent.items() if b == k) == 0)
    for used, room in ((lane, lanes.room), (out, lanes.dock_out), (into, lanes.dock_in)):
        for key, total in used.items():
            if np.isfinite(room[key]):
                highs.addConstr(total <= float(room[key]))
    highs.maximize(money)
    return highs.getInfo().objective_function_value


def judged(moved, steps, lanes):
    """Gain of the moves from scratch; nothing is broken."""
    items, nodes, _ = steps.give_units.shape
    sent = np.zeros((items, nodes, nodes), np.int64)
    np.add.at(sent, (moved.item, moved.source, moved.target), moved.units)
    assert (moved.units > 0).all()
    assert (moved.source != moved.target).all()
    money = 0.0
    for i in range(items):
        for k in range(nodes):
            for units, value, total, sign in (
                (steps.give_units, steps.give_value, sent[i, k].sum(), -1),
                (steps.take_units, steps.take_value, sent[i, :, k].sum(), 1),
            ):
                assert total <= units[i, k].sum()
                left = int(total)
                for step, worth in zip(units[i, k].tolist(), value[i, k].tolist(), strict=True):
                    money += sign * worth * min(step, left)
                    left -= min(step, left)
    used = (steps.size[:, None, None] * sent).sum(axis=0)
    assert np.isfinite(lanes.unit_minor[used > 0]).all()
    assert (used <= lanes.room + 1e-6).all()
    assert (used.sum(axis=1) <= lanes.dock_out + 1e-6).all()
    assert (used.sum(axis=0) <= lanes.dock_in + 1e-6).all()
    cost = steps.weight_kg[moved.item] * lanes.kg_minor[moved.source, moved.target]
    return money - float((moved.units * (lanes.unit_minor[moved.source, moved.target] + cost)).sum())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_without_limits_no_plan_gains_more(seed):
    steps, lanes = drawn(seed)
    found = best_transfers(steps, lanes)
    assert judged(found, steps, lanes) == pytest.approx(found.gain, abs=1e-6)
    assert found.gain == pytest.approx(best_by_programme(steps, lanes), abs=1e-4)
    assert found.bound == pytest.approx(found.gain, abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_within_limits_plans_are_feasible_and_the_bound_is_one(seed):
    steps, lanes = drawn(seed, scarce=True)
    found = best_transfers(steps, lanes)
    assert judged(found, steps, lanes) == pytest.approx(found.gain, abs=1e-6)
    best = best_by_programme(steps, lanes)
    assert found.gain <= best + 1e-4 <= found.bound + 2e-4


def test_many_items_come_near_the_bound():
    steps, lanes = drawn(1, items=1_500, nodes=5, scarce=True)
    lanes = replace(lanes, room=lanes.room * 200, dock_out=lanes.dock_out * 300, dock_in=lanes.dock_in * 300)
    found = best_transfers(steps, lanes)
    free = best_transfers(steps, replace(lanes, room=lanes.room * np.inf, dock_out=lanes.dock_out * np.inf,
                                         dock_in=lanes.dock_in * np.inf))  # fmt: skip
    assert found.gain < 0.95 * free.gain
    assert judged(found, steps, lanes) == pytest.approx(found.gain, rel=1e-9)
    assert found.gap < 0.005
    again = best_transfers(steps, lanes, known=found)
    assert again.gain > 0.95 * found.gain


def test_ways_that_are_banned_are_not_used():
    steps, lanes = drawn(7)
    free = best_transfers(steps, lanes)
    banned = {(int(i), int(k), int(to)) for i, k, to in zip(free.item, free.source, free.target, strict=True)}
    found = best_transfers(steps, lanes, banned=banned)
    used = {(int(i), int(k), int(to)) for i, k, to in zip(found.item, found.source, found.target, strict=True)}
    assert banned
    assert not banned & used
    assert found.gain <= free.gain


def test_one_node_or_no_item_moves_nothing():
    for items, nodes in ((3, 1), (0, 3)):
        steps, lanes = drawn(1, items=items, nodes=nodes)
        found = best_transfers(steps, lanes)
        assert (len(found.units), found.gain, found.gap) == (0, 0, 0)


@pytest.mark.parametrize(
    ("of_steps", "of_lanes", "told"),
    [
        ({"size": np.zeros(4)}, {}, "size above 0"),
        ({"size": np.full(4, np.nan)}, {}, "size"),
        ({"give_units": np.full((4, 4, 3), -1)}, {}, "at least 0"),
        ({"give_value": np.full((4, 4, 3), np.nan)}, {}, "finite"),
        ({"take_value": np.arange(48.0).reshape(4, 4, 3), "take_units": np.ones((4, 4, 3), int)}, {}, "falls"),
        ({"take_value": np.full((4, 4, 3), 1e9), "give_units": np.ones((4, 4, 3), int),
          "take_units": np.ones((4, 4, 3), int)}, {}, "no unit brings more"),
        ({}, {"room": np.full((4, 4), np.nan)}, "room"),
        ({}, {"dock_in": np.full(4, -1.0)}, "dock_in"),
        ({}, {"unit_minor": np.full((4, 4), -1.0)}, "unit_minor"),
        ({}, {"kg_minor": np.zeros((3, 3))}, "kg_minor"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(of_steps, of_lanes, told):
    steps, lanes = drawn(1)
    with pytest.raises(ValueError, match=told):
        replace(steps, **of_steps), replace(lanes, **of_lanes)
