# pyright: basic
"""Opportunity: the one marginal value of a unit at its node until the next supply arrives.

    V = m · P(D >= x) + (s - h) · P(D < x) + λ

m: margin of a sale there that would be lost, s: what the unit fetches when it must be cleared (less what keeping it
costs: a negative V beside other nodes is "markdown avoided"), λ: what the unit saves as supply of another region
(sourcing/prices.py). One price: its ends are never added as terms of their own. Between two refreshes λ follows the
orders: it falls by step · rate with every unit of the item that is asked for, and rises by `step` with every unit
taken here, so that a unit that is taken faster than planned becomes dear (`after`).
"""

import math

import numpy as np

from onhand.base.compiled import bare
from onhand.sourcing.tables import BASE, NETWORK, OBJ_OPPORTUNITY, OBJ_STEP, RATE, SEEN, WHOLE_MAX


@bare
def network_price(prices, step, i, k):
    """λ of item row `i` at node `k` now, minor units."""
    unit = prices.unit
    return max(unit[i, k, NETWORK] - step * unit[i, k, RATE] * (prices.clock[i] - unit[i, k, SEEN]), 0.0)


@bare
def whole(minor):
    """Money as it is kept with a decision: whole minor units, and not beyond what fits there."""
    return int(np.rint(min(max(minor, -WHOLE_MAX), WHOLE_MAX)))


@bare
def see(c, count, wish, orders, prices):
    """Fill `c.worth` [J, demand] of the first `count` candidates: V in whole minor units. Returns whether a
    unit has a value apart from the network."""
    weight = wish.weights[OBJ_OPPORTUNITY]
    value, clock, node, ready_at, worth, item = prices.unit, prices.clock, c.node, c.ready_at, c.worth, orders.item
    step, first = wish.weights[OBJ_STEP], wish.first
    has_base = False
    if weight == 0.0 or value.shape[0] == 0:
        return has_base
    for d in range(wish.lines):
        i = item[first + d]
        now = clock[i]
        for j in range(count):
            k = node[j]
            base = value[i, k, BASE]
            price = max(value[i, k, NETWORK] - step * value[i, k, RATE] * (now - value[i, k, SEEN]), 0.0)
            # Supply that has not arrived is no unit of the shelf.
            worth[j, d] = whole(weight * (base + price)) if ready_at[j] == 0.0 else 0
            has_base |= base != 0.0
    return has_base


@bare
def add(costs, c, rows_from, rows_to, wish, prices):
    """Add to `costs.unit` [J, demand], whole minor units, for rows rows_from:rows_to."""
    if wish.weights[OBJ_OPPORTUNITY] == 0.0 or prices.unit.shape[0] == 0:
        return
    unit, worth = costs.unit, c.worth
    for j in range(rows_from, rows_to):
        for d in range(wish.lines):
            unit[j, d] += worth[j, d]


@bare
def learn(prices, orders, first, lines, picks_from, picks_to, demand, node, units, supply):
    """One step of the walk to central prices, after an order with picks picks_from:picks_to (none: it has no plan): the
    price of an item rises at a node by what was taken there and falls by what was to be expected, in steps that become
    shorter the more it has moved (J. Duchi, E. Hazan and Y. Singer 2011)."""
    value, moved, mean, walk = prices.unit, prices.moved, prices.mean, prices.walk
    item, wanted, visits, skip = orders.item, orders.units, prices.visits, prices.skip
    for row in range(first, first + lines):
        i = item[row]
        visits[i] += 1
        keep = visits[i] > skip[i]
        for k in range(value.shape[1]):
            change = -wanted[row] * value[i, k, RATE]
            for p in range(picks_from, picks_to):
                if demand[p] == row and node[p] == k and supply[p] < 0:
                    change += units[p]
            moved[i, k] += change * change
            price = value[i, k, NETWORK] + walk[0] / math.sqrt(1.0 + moved[i, k]) * change
            value[i, k, NETWORK] = min(max(price, 0.0), walk[1])
            if keep:
                mean[i, k] += value[i, k, NETWORK]


@bare
def after(prices, step, i, k, units):
    """Let λ of item row `i` at node `k` rise for `units` that were taken there."""
    if prices.unit.shape[0] == 0 or step == 0.0:
        return
    price = network_price(prices, step, i, k) + step * units
    prices.unit[i, k, NETWORK] = price
    prices.unit[i, k, SEEN] = prices.clock[i]
