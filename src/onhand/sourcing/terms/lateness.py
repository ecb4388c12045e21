# pyright: basic
"""Lateness: what it costs that the order is late, and that it takes its time.

    lateness = late_minor · P(wait + transit > target_days) + day_minor · E[wait + transit]

wait: days from the decision to the pick-up that follows the node's cut-off; transit: log-normal through the service's
median and 95 % quantile for the distance or the lane, so its mean is p50 · exp(σ² / 2), σ = ln(p95 / p50) / 1.645.
Collected orders wait for the node's cut-off only.
"""

import math

from onhand.base.compiled import bare
from onhand.sourcing.tables import DAY, OBJ_DAY, OBJ_LATE, OBJ_TARGET_DAYS, PICKUP


@bare
def departs(cutoff, node_cutoff_min, service_cutoff_min):
    """Unix seconds of the pick-up that follows the node's cut-off (minutes after midnight; -1: at the cut-off)."""
    if service_cutoff_min < 0:
        return cutoff
    wait = service_cutoff_min - node_cutoff_min
    if wait < 0:
        wait += 1440
    return cutoff + wait * 60


@bare
def late_probability(days, p50, p95, sigma):
    """P(transit > days) for a log-normal transit time with these quantiles and log-deviation."""
    if days <= 0.0:
        return 1.0
    if p95 <= p50:
        return 0.0 if days >= p50 else 1.0
    return 0.5 * math.erfc(math.log(days / p50) / (sigma * 1.4142135623730951))


@bare
def add(costs, c, rows_from, rows_to, wish, nodes, services):
    """Add to `costs.service` [J, S] (`costs.fixed` [J] of collected orders), minor units, for rows
    rows_from:rows_to."""
    weights, method, now = wish.weights, wish.method, wish.now
    target, late, per_day = weights[OBJ_TARGET_DAYS], weights[OBJ_LATE], weights[OBJ_DAY]
    if late == 0.0 and per_day == 0.0:
        return
    p50, p95, sigma, mean, cutoff_min = services.p50, services.p95, services.sigma, services.mean, services.cutoff_min
    node, ready, slot, band, column = c.node, c.ready, c.slot, c.band, c.column
    slot_cutoff, node_cutoff_min = nodes.slot_cutoff, nodes.cutoff_min
    fixed, service, known, objective = costs.fixed, costs.service, costs.late, wish.objective
    remember = known.shape[0] > 0
    for j in range(rows_from, rows_to):
        if not ready[j]:
            continue
        k = node[j]
        cutoff = slot_cutoff[k, slot[j]]
        if method == PICKUP:
            days = (cutoff - now) / DAY
            fixed[j] += per_day * max(days, 0.0)
            if days > target:
                fixed[j] += late
            continue
        for s in range(band.shape[1]):
            if band[j, s] < 0:
                continue
            t = column[j, s]
            # The same for every order of the batch on the node's first day: it takes longer to compute than all else.
            if remember and slot[j] == 0 and known[objective, k, s, t] >= 0.0:
                service[j, s] += known[objective, k, s, t]
                continue
            wait = (departs(cutoff, node_cutoff_min[k], cutoff_min[s]) - now) / DAY
            minor = per_day * max(wait + mean[s, t], 0.0)
            if late > 0.0:
                minor += late * late_probability(target - wait, p50[s, t], p95[s, t], sigma[s, t])
            if remember and slot[j] == 0:
                known[objective, k, s, t] = minor
            service[j, s] += minor
