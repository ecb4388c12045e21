# pyright: basic
"""Lateness: what it costs that the order is late, and that it takes its time.

    lateness = late_minor · P(wait + transit > target_days) + day_minor · E[wait + transit]

wait: days from the decision to the pick-up that follows the node's cut-off; transit: log-normal through the service's
median and 95 % quantile for the distance or the lane, so its mean is p50 · exp(σ² / 2), σ = ln(p95 / p50) / 1.645.
Collected orders wait for the node's cut-off only.
"""

import math

from onhand.base.compiled import inner
from onhand.sourcing.tables import DAY, OBJ_DAY, OBJ_LATE, OBJ_TARGET_DAYS, PICKUP


@inner
def departs(cutoff, node_cutoff_min, service_cutoff_min):
    """Unix seconds of the pick-up that follows the node's cut-off (minutes after midnight; -1: at the cut-off)."""
    if service_cutoff_min < 0:
        return cutoff
    wait = service_cutoff_min - node_cutoff_min
    if wait < 0:
        wait += 1440
    return cutoff + wait * 60


@inner
def late_probability(days, p50, p95, sigma):
    """P(transit > days) for a log-normal transit time with these quantiles and log-deviation."""
    if days <= 0.0:
        return 1.0
    if p95 <= p50:
        return 0.0 if days >= p50 else 1.0
    return 0.5 * math.erfc(math.log(days / p50) / (sigma * 1.4142135623730951))


@inner
def add(costs, c, rows_from, rows_to, wish, nodes, services):
    """Add to `costs.service` [J, S] (`costs.fixed` [J] of collected orders), minor units, for rows rows_from:rows_to."""
    target, late, per_day = wish.weights[OBJ_TARGET_DAYS], wish.weights[OBJ_LATE], wish.weights[OBJ_DAY]
    if late == 0.0 and per_day == 0.0:
        return
    p50, p95, sigma, mean, cutoff_min = services.p50, services.p95, services.sigma, services.mean, services.cutoff_min
    for j in range(rows_from, rows_to):
        if not c.ready[j]:
            continue
        k = c.node[j]
        cutoff = nodes.slot_cutoff[k, c.slot[j]]
        if wish.method == PICKUP:
            days = (cutoff - wish.now) / DAY
            costs.fixed[j] += per_day * max(days, 0.0)
            if days > target:
                costs.fixed[j] += late
            continue
        for s in range(c.band.shape[1]):
            if c.band[j, s] < 0:
                continue
            t = c.column[j, s]
            wait = (departs(cutoff, nodes.cutoff_min[k], cutoff_min[s]) - wish.now) / DAY
            minor = per_day * max(wait + mean[s, t], 0.0)
            if late > 0.0:
                minor += late * late_probability(target - wait, p50[s, t], p95[s, t], sigma[s, t])
            costs.service[j, s] += minor
