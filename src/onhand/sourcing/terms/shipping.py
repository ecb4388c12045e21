# pyright: basic
"""Shipping: what the carrier charges.

    shipping = Σ over parcels of rate[service, band, step of billable weight] + residential surcharge

Billable weight is the larger of grams and mm3 / divisor (cm3 per kg: the carrier's dimensional divisor), each of what
is packed. Heavier than the last step: as many full parcels of that step, and one of the rest. The band is that of the
distance, or the first zone that matches; the rate includes the fuel surcharge.
"""

import math

from onhand.base.compiled import bare


@bare
def parcels(services, s, weight, volume):
    """(full parcels of the heaviest weight step, weight step of one more for the rest) of a load in grams and mm3."""
    billable = weight
    if services.divisor[s] > 0:
        # mm3 / (cm3 per kg) are grams, and a started gram counts. Bounded: absurd loads must not wrap around.
        billable = max(billable, math.ceil(min(volume / services.divisor[s], 1e18)))
    heaviest = services.weight_g[s, services.steps[s] - 1]
    full = 0
    if billable > heaviest:
        full = (billable - 1) // heaviest
        billable -= full * heaviest
    step = 0
    while billable > services.weight_g[s, step]:
        step += 1
    return full, step


@bare
def minor(services, s, band, full, step):
    """Carrier's rate of so many full parcels and one more, minor units."""
    return full * services.rate_minor[s, band, services.steps[s] - 1] + services.rate_minor[s, band, step]


@bare
def add(costs, c, rows_from, rows_to, wish, services):
    """Add surcharges to `costs.parcel` [J, S], minor units, for rows rows_from:rows_to; the rate itself depends on the
    load: `minor`."""
    if not wish.residential:
        return
    parcel, surcharge = costs.parcel, services.residential
    for j in range(rows_from, rows_to):
        for s in range(surcharge.shape[0]):
            parcel[j, s] += surcharge[s]
