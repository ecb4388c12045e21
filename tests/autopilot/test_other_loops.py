"""The loop of a channel's price of risk, and the loop of purchases, under inputs that make bad loops swing."""

from itertools import pairwise
from math import log

import numpy as np
import pytest

from onhand.channels.gates.controller import AIM, Budget, learned
from onhand.planning.replenish import damped

ALPHA = 0.01
ORDERS = 4_000  # a day


class Gate:
    """A channel whose share of oversold orders is `risk` times the price of risk; that is learned once a day."""

    def __init__(self, risk):
        # As it stands when it has learned for long at this risk.
        self.budget = Budget(alpha=ALPHA, tau=AIM * ALPHA / risk, seen=1_000.0)
        self.taus = [self.budget.tau]

    def run(self, risk, *, days, seed=None):
        random = np.random.default_rng(seed or 0)
        for day in range(days):
            mean = ORDERS * min(risk(day) * self.budget.tau, 1.0)
            oversold = int(random.poisson(mean)) if seed is not None else round(mean)
            self.budget = learned(self.budget, orders=ORDERS, oversold=oversold)
            self.taus.append(self.budget.tau)
        return np.log(self.taus)


def turns(values):
    steps = np.sign(np.diff(values))
    return int((steps[1:] * steps[:-1] < 0).sum())


def test_a_gate_that_meets_its_target_is_left_alone():
    assert Gate(0.1).run(lambda day: 0.1, days=30) == pytest.approx(np.full(31, log(0.07)))


@pytest.mark.parametrize("times", [2.0, 4.0, 0.5])
def test_a_gate_follows_a_step_and_settles_without_swinging(times):
    logs = Gate(0.1).run(lambda day: 0.1 * times, days=60)
    goal = log(0.07 / times)
    way = logs - logs[0]
    assert abs(way).max() <= 1.2 * abs(goal - logs[0]), way
    assert abs(logs[21] - goal) <= 0.2 * abs(goal - logs[0]), way
    assert turns(np.round(logs, 3)) <= 1


def test_a_gate_follows_a_ramp_in_one_direction():
    logs = Gate(0.1).run(lambda day: 0.1 * (1 + min(day, 20) / 20), days=60)
    assert turns(np.round(logs, 3)) <= 1 and logs[-1] == pytest.approx(log(0.035), abs=0.1)


def test_a_gate_does_not_swing_further_than_a_square_wave():
    logs = Gate(0.1).run(lambda day: 0.1 if (day // 3) % 2 else 0.2, days=60)
    assert log(0.035) - 0.2 * log(2) <= logs.min() and logs.max() <= log(0.07) + 1e-9


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_moves_a_gate_little(seed):
    logs = Gate(0.1).run(lambda day: 0.1, days=60, seed=seed)
    assert np.ptp(logs) <= 0.35, logs


# Purchases ------------------------------------------------------------------------------------------------------------

LEAD, SEEN = 7, 21
SMOOTHING = 2.0  # half of the difference, as any correction


def purchases(demand, *, days, smoothing=SMOOTHING, seed=None):
    """(orders, position) day by day: order-up-to a lead time and a day of demand, by the last three weeks."""
    random = np.random.default_rng(seed or 0)
    drawn = [float(demand(day)) for day in range(-SEEN, 0)]
    position = drawn[-1] * (LEAD + 1)
    orders, positions = [], []
    for day in range(days):
        units = float(random.poisson(demand(day))) if seed is not None else float(demand(day))
        drawn.append(units)
        position -= units
        mean = float(np.mean(drawn[-SEEN:]))
        order = max(float(damped(mean * (LEAD + 1), position, mean, smoothing)), 0.0)
        position += order
        orders.append(order)
        positions.append(position)
    return np.array(orders), np.array(positions)


def test_steady_demand_is_replaced_and_nothing_else():
    orders, _ = purchases(lambda day: 10.0, days=60)
    assert orders == pytest.approx(np.full(60, 10.0))


@pytest.mark.parametrize("after", [20.0, 5.0])
def test_purchases_follow_a_step_and_settle(after):
    orders, position = purchases(lambda day: after if day >= 10 else 10.0, days=120)
    goal = after * (LEAD + 1)
    way = (position - position[0]) / (goal - position[0])
    assert way.max() <= 1.2, "what is on hand and on order passes its goal by a fifth at most"
    assert abs(way[10 + SEEN + 3 * LEAD :] - 1.0).max() <= 0.05
    # More is ordered for a while, to fill the way; then the same as is sold, without swinging around it.
    settled = np.round(orders[10 + SEEN :], 3)
    assert turns(settled) <= 1 and orders[-1] == pytest.approx(after)


def test_purchases_pass_on_less_of_a_square_wave_and_of_noise_than_whole_orders_do():
    for kind in ({"demand": lambda day: 15.0 if (day // 2) % 2 else 5.0}, {"demand": lambda day: 10.0, "seed": 1}):
        half, _ = purchases(days=400, **kind)
        whole, _ = purchases(days=400, smoothing=1.0, **kind)
        assert np.var(half) <= 0.6 * np.var(whole)
    steps = [b - a for a, b in pairwise(half)]
    assert np.std(steps) < np.std(np.diff(whole))
