"""Shipments of late that are known are the quick ones: the slow ones are still on their way. This puts that right.

Where the history has shipments that are not yet delivered, they count as at risk until now (Kaplan and Meier 1958;
weights by the inverse chance of having been seen, Robins and Rotnitzky 1992). Where it has delivered ones only, each
could be seen only because it took no longer than until now (right truncation; Lynden-Bell 1971, Woodroofe 1985).
"""

import numpy as np

from onhand.fulfilment.delivery.model import Bool, Float64

# One shipment never speaks for more than so many of its own.
_WEIGHT_MAX = 10.0


def seen_weights(days: Float64, room: Float64, weight: Float64) -> Float64:
    """float64[n], of delivered shipments by how many they stand for; 0 of those on their way.

    days    until delivery, NaN of those on their way
    room    days from start until now
    weight  of each row otherwise
    """
    seen = np.isfinite(days)
    if seen.all():
        _, mass = _truncated(days, room, weight)
        made = mass * weight.sum()
    else:
        order = np.argsort(room)
        below = np.concatenate([[0.0], np.cumsum(weight[order])]) / weight.sum()
        chance = 1 - below[np.searchsorted(room[order], np.where(seen, days, 0.0), side="left")]
        made = np.where(seen, weight / np.maximum(chance, 1e-9), 0.0)
    return np.minimum(made, _WEIGHT_MAX * weight)


def distribution(value: Float64, bound: Float64, seen: Bool, weight: Float64) -> tuple[Float64, Float64]:
    """(values float64[m] rising, the share at or below each) of what a value is distributed like.

    value  of those seen; of others it is not looked at
    bound  what the value of a row would be had it come just now: those not seen lie above
    """
    if seen.all():
        values, mass = _truncated(value, bound, weight)
        order = np.argsort(values, kind="stable")
        return values[order], np.cumsum(mass[order]) / mass.sum()
    at = np.where(seen, value, bound)
    # Of equal values what was seen comes first: it was at risk, and so were the others.
    order = np.lexsort((~seen, at))
    at, event, weight = at[order], seen[order], weight[order]
    at_risk = np.cumsum(weight[::-1])[::-1]
    left = np.cumsum(np.log1p(-np.where(event, np.minimum(weight / at_risk, 1 - 1e-9), 0.0)))
    return at[event], -np.expm1(left[event])


def _truncated(value: Float64, bound: Float64, weight: Float64) -> tuple[Float64, Float64]:
    """(values, mass of each) of values that are seen only where they are no larger than their bound."""
    order = np.argsort(value, kind="stable")
    rising, of = value[order], weight[order]
    below = np.concatenate([[0.0], np.cumsum(of)])[np.searchsorted(rising, rising, side="right")]
    bounds = np.argsort(bound)
    gone = np.concatenate([[0.0], np.cumsum(weight[bounds])])[np.searchsorted(bound[bounds], rising, side="left")]
    share = np.minimum(of / np.maximum(below - gone, of), 1 - 1e-9)
    above = np.cumsum(np.log1p(-share)[::-1])[::-1]
    mass = np.empty(len(value))
    mass[order] = np.exp(np.concatenate([above[1:], [0.0]])) * share
    return value, mass / mass.sum()
