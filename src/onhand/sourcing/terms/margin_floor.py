# pyright: basic
"""Margin floor: an order must earn something, or somebody looks at it first.

    profit = Σ_d (price_d - cost_d) · units_d - (shipping + handling + tax_duty)
    met when profit >= floor_minor + floor_share · Σ_d price_d · units_d

A limit, not an addend: the plan of an order below it is refused, and the policy's next attempt (a cheaper plan, or
holding the order) follows. Only money that is really paid counts; prices of lateness or carbon do not.
"""

from onhand.base.compiled import bare
from onhand.sourcing.tables import HANDLING, OBJ_FLOOR_MINOR, OBJ_FLOOR_SHARE, SHIPPING, TAX_DUTY


@bare
def paid(terms):
    """Money that is really paid for a fulfilment with these terms."""
    return terms[SHIPPING] + terms[HANDLING] + terms[TAX_DUTY]


@bare
def floor(weights, worth):
    """Least profit of goods sold for `worth`, minor units; -BIG and less: there is no floor."""
    return weights[OBJ_FLOOR_MINOR] + weights[OBJ_FLOOR_SHARE] * worth
