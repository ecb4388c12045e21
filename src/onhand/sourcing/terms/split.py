# pyright: basic
"""Split: the price of every fulfilment after the first, for the customer's second parcel and the second chance to fail.

    split = split_minor · (fulfilments - 1)

The solver adds it to every fulfilment and takes it once from the plan.
"""

from onhand.base.compiled import bare
from onhand.sourcing.tables import OBJ_SPLIT


@bare
def add(costs, c, rows_from, rows_to, wish):
    """Add to `costs.fixed` [J], minor units, for rows rows_from:rows_to."""
    fixed, minor = costs.fixed, wish.weights[OBJ_SPLIT]
    for j in range(rows_from, rows_to):
        fixed[j] += minor
