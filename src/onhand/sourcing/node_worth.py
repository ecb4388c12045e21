"""What a unit is worth at the node where it lies, apart from the orders of others: sold to who walks in, or cleared.

    BASE = m · P(D >= x) + (s - c) · P(D < x)

of the x-th unit there (S. C. Graves and J. Acimovic 2015 for the marginal value; `terms/opportunity.py` adds λ): m:
margin of a sale at the node, D: what walk-in customers will ask for until supply comes, s: what the unit will fetch
when it must be cleared there, c: what it costs, and is worth therefore wherever nothing is cleared. s - c is below 0
where stock is cleared at a loss: "markdown avoided" and "sale lost" are the two ends of one value. Pure.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

# A demand beyond so many standard deviations never comes; and where so many units are asked for, a normal distribution
# is as good as one that counts them.
_FAR, _MANY = 8.0, 400.0


class Local(NamedTuple):
    """Positions of which something is known; all of one length.

    item, node         int32: ids
    margin             float64, minor units: of a sale at the node
    cleared            float64, minor units: s - c; 0 where nothing is cleared
    daily, daily_squared  float64: mean of the units that walk-in customers take in a day, and of their squares
    """

    item: Int32
    node: Int32
    margin: Float64
    cleared: Float64
    daily: Float64
    daily_squared: Float64

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Local":
        columns: list[Any] = [column[chosen] for column in self]
        return Local(*columns)


_NOBODY, _NOTHING = np.zeros(0, np.int32), np.zeros(0)
NO_LOCAL = Local(_NOBODY, _NOBODY, _NOTHING, _NOTHING, _NOTHING, _NOTHING)


def worth(local: Local, units: Float64, days: Float64) -> Float64:
    """BASE of each position, minor units.

    units  float64[positions]: x, how many there are
    days   float64[positions]: until supply comes
    """
    mean = local.daily * days
    over = local.daily_squared - local.daily**2 - local.daily
    # Variance beyond Poisson's makes it negative binomial; the sum of days has as many times the size.
    size = np.divide(local.daily**2, over, out=np.full(len(mean), np.inf), where=over > 1e-12) * days
    sold = at_least(units, mean, size)
    return local.margin * sold + local.cleared * (1.0 - sold)


def at_least(units: Float64, mean: Float64, size: Float64) -> Float64:
    """P(D >= units), D negative binomial of that mean and size; infinite: Poisson. float64[n] each."""
    spread = np.sqrt(mean + np.where(np.isinf(size), 0.0, mean**2 / np.where(np.isinf(size), 1.0, size)))
    chance = (units <= 0).astype(np.float64)
    near = (units > 0) & (units <= mean + _FAR * spread + _FAR)
    many = near & (units > _MANY)
    chance[many] = _normal_tail((units[many] - 0.5 - mean[many]) / np.maximum(spread[many], 1e-12))
    few = np.flatnonzero(near & ~many)
    if len(few):
        chance[few] = 1.0 - _below(units[few], mean[few], size[few])
    return np.clip(chance, 0.0, 1.0)


def _below(units: Float64, mean: Float64, size: Float64) -> Float64:
    """P(D < units), adding up probabilities; in logarithms, as those of 0 may be tiny."""
    poisson = np.isinf(size)
    finite = np.where(poisson, 1.0, size)
    share = mean / (finite + mean)
    log = np.where(poisson, -mean, -finite * np.log1p(mean / finite))
    total = np.zeros(len(units))
    with np.errstate(divide="ignore"):
        for n in range(int(np.ceil(units.max()))):
            total += np.where(n < units, np.exp(log), 0.0)
            log = log + np.log(np.where(poisson, mean, share * (finite + n)) / (n + 1.0))
    return total


def _normal_tail(z: Float64) -> Float64:
    """P(Z >= z), to within 1e-7 (M. Abramowitz and I. A. Stegun 1964, 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(z))
    poly: Float64 = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail: Float64 = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi) * poly
    return np.where(z >= 0, tail, 1.0 - tail)


__all__ = ["NO_LOCAL", "Local", "at_least", "worth"]
