"""What to hide, hold back and buy when stock is doubtful, wanted by more than there is, or late."""

import math
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Hurry:
    """units float64[n], whole ones to buy in a hurry; gain_minor float64[n] expected of it, 0 where none are bought."""

    units: Float64
    gain_minor: Float64


def units_to_expedite(
    mean: Float64, deviation: Float64, stock: Float64, margin_minor: Float64, premium_minor: Float64,
    left_minor: Float64, order_minor: float, units_max: Float64,
) -> Hurry:  # fmt: skip
    """Units worth buying in a hurry for a demand that nobody knows: the newsvendor's, with what is there already.

    mean, deviation  float64[n], of the units wanted from when the purchase can be there until the next supply; normal
    stock            float64[n], units that will be there for it without the purchase
    margin_minor     float64[n], of a unit, at its usual cost; premium_minor: what it costs in a hurry beyond that
    left_minor       float64[n], what a unit loses that is not wanted by then
    order_minor      of the purchase, once; units_max float64[n]

    The last unit is wanted with a chance of `(premium + left) / (margin + left)`; what it all gains is
    `margin (S(s + q) - S(s)) - left (L(s + q) - L(s)) - premium q - order`, with S(x) = E[min(D, x)] and
    L(x) = E[(x - D)+] of a normal D (Silver, Pyke and Thomas 2017, ch. 9). Nothing is bought where that is not above 0.
    """
    wide = np.maximum(deviation, 1e-9)
    level = np.clip((margin_minor - premium_minor) / np.maximum(margin_minor + left_minor, 1e-9), 1e-6, 1 - 1e-6)
    wanted = np.floor(mean + wide * _normal_quantile(level) - stock + 0.5)
    units = np.clip(wanted, 0.0, np.floor(np.maximum(units_max, 0.0)))
    # Of x units min(D, x) are sold and the others are left over.
    sold = _sold(mean, wide, stock + units) - _sold(mean, wide, stock)
    gain = margin_minor * sold - left_minor * (units - sold) - premium_minor * units - order_minor
    is_worth = (units > 0) & (gain > 0)
    return Hurry(units=np.where(is_worth, units, 0.0), gain_minor=np.where(is_worth, gain, 0.0))


def _sold(mean: Float64, deviation: Float64, units: Float64) -> Float64:
    """float64[n]: E[min(D, units)] of a normal demand."""
    z = (units - mean) / deviation
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in z.tolist()], np.float64)
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return units - (units - mean) * below - deviation * density


def _normal_quantile(p: Float64) -> Float64:
    normal = NormalDist()
    return np.array([normal.inv_cdf(value) for value in p.tolist()], np.float64)
