# pyright: basic
"""Split: the price of every fulfilment after the first, for the customer's second parcel and the second chance to fail.

    split = split_minor · (fulfilments - 1)

The solver adds it to every fulfilment and takes it once from the plan.
"""

from onhand.base.compiled import inner
from onhand.sourcing.tables import OBJ_SPLIT


@inner
def add(costs, c, rows_from, rows_to, wish):
    """Add to `costs.fixed` [J], minor units, for rows rows_from:rows_to."""
    for j in range(rows_from, rows_to):
        costs.fixed[j] += wish.weights[OBJ_SPLIT]
