"""What to hide, hold back and buy when stock is doubtful, wanted by more than there is, or late."""

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


def throttled(
    factor: Float64, demand_units: Float64, stock_units: Float64, elasticity: float, *, step_max: float = 0.05,
    total_max: float = 0.15,
) -> Float64:  # fmt: skip
    """float64[n]: price over the usual one, a step nearer to the run-out price, at which stock lasts until more comes
    (Gallego and van Ryzin 1994, for demand ~ price^-elasticity): `(demand / stock)^(1 / elasticity)`.

    factor        float64[n], price over the usual one now
    demand_units  float64[n], wanted at the usual price until there is more; stock_units float64[n]
    """
    if not elasticity > 0 or not 0 < step_max <= total_max:
        raise ValueError("expected elasticity above 0 and 0 < step_max <= total_max")
    run_out = (np.maximum(demand_units, 1e-9) / np.maximum(stock_units, 1e-9)) ** (1 / elasticity)
    wanted = np.clip(run_out, 1.0, 1.0 + total_max)
    return np.clip(wanted, factor - step_max, factor + step_max)


def _normal_quantile(p: Float64) -> Float64:
    """Quantile of the standard normal, absolute error below 4.5e-4 (Abramowitz and Stegun 26.2.23)."""
    q = np.minimum(p, 1 - p)
    t = np.sqrt(-2 * np.log(np.maximum(q, 1e-300)))
    top = 2.515517 + 0.802853 * t + 0.010328 * t**2
    z = t - top / (1 + 1.432788 * t + 0.189269 * t**2 + 0.001308 * t**3)
    return np.where(p >= 0.5, z, -z)
