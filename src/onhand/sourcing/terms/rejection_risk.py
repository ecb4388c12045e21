# pyright: basic
"""Rejection risk: the node may refuse a line, or not find it.

    rejection_risk = rejection_minor · Σ_d min(1, π_kh · ratio_ik)

π_kh: share of lines that the node rejects at this hour, ratio_ik: how much likelier that is for the item there, both
shrunk towards what is usual (sourcing/rejections.py); rejection_minor: what sourcing again and the delay cost.
"""

from onhand.base.compiled import inner
from onhand.sourcing.tables import OBJ_REJECTION


@inner
def add(costs, c, rows_from, rows_to, wish, orders, prices):
    """Add to `costs.line` [J, demand], whole minor units, for rows rows_from:rows_to."""
    weight = wish.weights[OBJ_REJECTION]
    if weight == 0.0 or prices.rejection.shape[0] == 0:
        return
    for j in range(rows_from, rows_to):
        k = c.node[j]
        for d in range(wish.lines):
            risk = prices.rejection[k]
            if prices.ratio.shape[0]:
                risk *= prices.ratio[orders.item[wish.first + d], k]
            costs.line[j, d] += round(weight * min(risk, 1.0))
