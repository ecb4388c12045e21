# pyright: basic
"""Capacity price: what taking room at a node, or on a carrier's van, costs those who come after.

    capacity_price = base · (exp(steepness · (load - from)+) - 1) + μ_order + Σ_d (μ_line + μ_unit · units_d)

load: the fullest of the ship day's limits (orders, lines, units), a share from 0 to 1, so the price rises before the
node is full instead of switching from nothing to never; the same per parcel of a service with few parcels a day, by
the fuller of node and lane.
μ: what room of the node's day saves those who come after (sourcing/room.py): of the ship day that is open when the
order is decided, and of later ones; 0 where nothing is known.
"""

import math

from onhand.base.compiled import bare
from onhand.sourcing.tables import (
    LANE_DAY,
    NO_LIMIT,
    OBJ_CAPACITY_BASE,
    OBJ_CAPACITY_DUAL,
    OBJ_CAPACITY_FROM,
    OBJ_CAPACITY_STEEPNESS,
    PICKUP,
)


@bare
def rising(weights, left, limit):
    """Price at a load of 1 - left / limit, minor units."""
    if limit <= 0 or max(left, limit) == NO_LIMIT:
        return 0.0
    over = 1.0 - left / limit - weights[OBJ_CAPACITY_FROM]
    if over <= 0.0:
        return 0.0
    return weights[OBJ_CAPACITY_BASE] * (math.exp(weights[OBJ_CAPACITY_STEEPNESS] * min(over, 1.0)) - 1.0)


@bare
def add(costs, c, rows_from, rows_to, wish, nodes, services, prices):
    """Add to `costs.fixed` [J], `costs.line` and `costs.unit` [J, demand] and `costs.parcel` [J, S], minor units, for
    rows rows_from:rows_to."""
    weights = wish.weights
    duals = prices.capacity
    base, dual = weights[OBJ_CAPACITY_BASE], weights[OBJ_CAPACITY_DUAL] if duals.shape[0] else 0.0
    if base <= 0.0 and dual <= 0.0:
        return
    node, ready, slots, lines = c.node, c.ready, c.slot, wish.lines
    left, limits = nodes.left, nodes.limits
    fixed, line, unit = costs.fixed, costs.line, costs.unit
    limited = nodes.parcels.shape[0] > 0 and wish.method != PICKUP
    for j in range(rows_from, rows_to):
        if not ready[j]:
            continue
        k = node[j]
        slot = slots[j]
        if base > 0.0:
            price = 0.0
            for n in range(3):
                price = max(price, rising(weights, left[k, slot, n], limits[k, n]))
            fixed[j] += price
            if limited:
                _add_parcels(costs, c, j, wish, nodes, services)
        if dual > 0.0:
            at = 3 if slot else 0
            fixed[j] += dual * duals[k, at]
            for d in range(lines):
                line[j, d] += dual * duals[k, at + 1]
                unit[j, d] += dual * duals[k, at + 2]


@bare
def _add_parcels(costs, c, j, wish, nodes, services):
    """Price of a parcel of candidate `j` by each service, where carriers take so many a day."""
    weights, k, slot = wish.weights, c.node[j], c.slot[j]
    for s in range(services.parcels.shape[0]):
        price = rising(weights, nodes.parcels[k, s, slot], services.parcels[s])
        if nodes.lanes.shape[0] and c.band[j, s] >= 0:
            lane = nodes.lane_of[s, c.column[j, s]]
            if lane >= 0:
                left = nodes.lanes[lane, nodes.slot_day[k, slot] & LANE_DAY]
                price = max(price, rising(weights, left, nodes.lane_limits[lane]))
        costs.parcel[j, s] += price
