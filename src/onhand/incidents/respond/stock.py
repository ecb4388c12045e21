"""What to hide, hold back and buy when stock is doubtful, wanted by more than there is, or late."""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


def worth_quarantining(
    absent: Float64, margin_minor: Float64, rejection_minor: npt.ArrayLike, elsewhere: npt.ArrayLike,
    farther_minor: npt.ArrayLike = 0.0,
) -> Bool:  # fmt: skip
    """bool[n]: whether stock that may not be there had better not be sold until one of it is seen.

    absent           float64[n], chance that nothing is there
    margin_minor     float64[n], of a unit
    rejection_minor  what a rejection costs: the other parcel, and being late
    elsewhere        chance that another node serves the order; farther_minor: what that costs more

    Each order that comes while it is doubtful costs a rejection if it is not there; if it is hidden and is there, it
    costs the margin of those that nobody else serves, and the longer way of the others. Hide where
    `p rejection > (1 - p) (margin (1 - elsewhere) + farther elsewhere)`.
    """
    served = np.asarray(elsewhere, np.float64)
    hidden = (1 - absent) * (margin_minor * (1 - served) + np.asarray(farther_minor, np.float64) * served)
    return absent * np.asarray(rejection_minor, np.float64) > hidden


def units_to_hold(mean: Float64, spare_minor: Float64, short_minor: Float64) -> Float64:
    """float64[n], whole units to hide from others for what a channel is expected to have sold, or to sell before it is
    told: the newsvendor's quantile of a Poisson demand, `P(D <= q) >= short / (short + spare)`.

    mean         float64[n], units expected
    spare_minor  what holding back one that was not needed loses; short_minor: an oversold one. Above 0

    By the normal approximation with continuity correction above a mean of 50, exactly below.
    """
    ratio = short_minor / (short_minor + spare_minor)
    held = np.zeros_like(mean)
    cumulative = term = np.exp(-np.minimum(mean, 50.0))
    for k in range(1, 120):
        more = cumulative < ratio
        if not more.any():
            break
        term = term * np.minimum(mean, 50.0) / k
        held = np.where(more, float(k), held)
        cumulative = cumulative + term
    many = mean > 50.0
    if many.any():
        z = _normal_quantile(ratio)
        held = np.where(many, np.ceil(mean + z * np.sqrt(mean) - 0.5), held)
    return np.maximum(held, 0.0)


def units_to_expedite(
    short_units: Float64, margin_minor: Float64, premium_minor: Float64, order_minor: float, units_max: Float64
) -> Float64:
    """float64[n], whole units that are worth buying in a hurry: those that will be missing, where their margin pays
    for the premium of each and for the order; at most units_max."""
    units = np.floor(np.minimum(short_units, units_max))
    gain = units * (margin_minor - premium_minor) - order_minor
    return np.where(gain > 0, units, 0.0)


def _normal_quantile(p: Float64) -> Float64:
    normal = NormalDist()
    return np.array([normal.inv_cdf(value) for value in p.tolist()], np.float64)
