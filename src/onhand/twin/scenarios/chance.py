"""Chance by name: each draw belongs to an entity and is found by its numbers, not by how many were drawn before.

Whatever one arm of a comparison does, the draws of everything else stay what they were. A draw is the SplitMix64
finaliser (Steele, Lea and Flood 2014) over seed, matter and numbers.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_SCALE: Final = 2.0**-53

# Matters, so that equal numbers of different things have draws of their own.
(
    DEMAND, DAY, PRICE, CITY, CHANNEL, SECOND, UNITS, PAYMENT, TRANSIT, LOST, NODE, SUPPLY, PATIENCE, PHANTOM, ITEM,
    HISTORY, PLACE, COUNTER, TRUTH, CUSTOMER, AGAIN, ANSWER, SUBSTITUTE, BARGAIN, STRAY, FORGOTTEN,
) = range(26)  # fmt: skip


class Chance:
    """All chance of one world."""

    def __init__(self, seed: int) -> None:
        self._seed = _mixed(seed + _GOLDEN)

    def at(self, matter: int, *numbers: int) -> float:
        """A number in (0, 1) of what these numbers name."""
        state = self._seed
        for number in (matter, *numbers):
            state = _mixed((state + _GOLDEN + number * 0xD1342543DE82EF95) & _MASK)
        return ((state >> 11) + 0.5) * _SCALE

    def many(self, matter: int, *numbers: npt.ArrayLike) -> Float64:
        """`at` for arrays of numbers, of shapes that go together: the same draws."""
        state = np.full(np.broadcast_shapes(*(np.shape(n) for n in numbers)), self._seed, np.uint64)
        with np.errstate(over="ignore"):
            for number in (matter, *numbers):
                step = np.asarray(number, np.int64).astype(np.uint64) * np.uint64(0xD1342543DE82EF95)
                state = _mixed_many(state + np.uint64(_GOLDEN) + step)
        return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * _SCALE


def _mixed(x: int) -> int:
    x &= _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def _mixed_many(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def poisson(u: Float64, mean: Float64) -> Int64:
    """int64[n]: Poisson counts at quantiles u float64[n]: by inversion, so that a larger mean never gives fewer. Means
    of up to some 500."""
    count = np.zeros(mean.shape, np.int64)
    term = np.exp(-mean)
    below = term.copy()
    k = 0
    while (more := below < u).any() and k < 2_000:
        k += 1
        term = term * mean / k
        below = below + term
        count[more] = k
    return count


def normal(u: Float64) -> Float64:
    """Standard normal deviates at quantiles u, by Acklam's rational approximation (relative error 1.15e-9)."""
    a = (-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.3577518672690, -30.66479806614716,
         2.506628277459239)  # fmt: skip
    b = (-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572)
    c = (-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
         2.938163982698783)  # fmt: skip
    d = (0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416)
    q, t = u - 0.5, np.sqrt(-2 * np.log(np.minimum(u, 1 - u)))
    r = q * q
    middle = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q
    middle = middle / (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1)
    tail = ((((c[0] * t + c[1]) * t + c[2]) * t + c[3]) * t + c[4]) * t + c[5]
    tail = tail / ((((d[0] * t + d[1]) * t + d[2]) * t + d[3]) * t + 1)
    return np.where(np.abs(q) <= 0.47575, middle, np.where(q < 0, tail, -tail))
