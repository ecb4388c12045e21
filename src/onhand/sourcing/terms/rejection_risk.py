# pyright: basic
"""Rejection risk: the node may refuse a line, or not find it.

    rejection_risk = rejection_minor · Σ_d min(1, π_kh · ratio_ik)

π_kh: share of lines that the node rejects at this hour, ratio_ik: how much likelier that is for the item there, both
shrunk towards what is usual (sourcing/rejections.py); rejection_minor: what sourcing again and the delay cost.
"""

import numpy as np

from onhand.base.compiled import bare
from onhand.sourcing.tables import OBJ_REJECTION, WHOLE_MAX


@bare
def see(c, count, wish, orders, prices):
    """Fill `c.risk` [J, demand] of the first `count` candidates: whole minor units, as all that is kept of a
    decision."""
    weight = wish.weights[OBJ_REJECTION]
    rejection, ratio = prices.rejection, prices.ratio
    if weight == 0.0 or rejection.shape[0] == 0:
        return
    node, cost, item, first = c.node, c.risk, orders.item, wish.first
    for d in range(wish.lines):
        i = item[first + d]
        for j in range(count):
            k = node[j]
            risk = rejection[k]
            if ratio.shape[0]:
                risk *= ratio[i, k]
            cost[j, d] = int(np.rint(min(weight * min(risk, 1.0), WHOLE_MAX)))


@bare
def add(costs, c, rows_from, rows_to, wish, prices):
    """Add to `costs.line` [J, demand], whole minor units, for rows rows_from:rows_to."""
    if wish.weights[OBJ_REJECTION] == 0.0 or prices.rejection.shape[0] == 0:
        return
    line, risk = costs.line, c.risk
    for j in range(rows_from, rows_to):
        for d in range(wish.lines):
            line[j, d] += risk[j, d]
