"""How sure it is that a share lies above what is tolerated, from how many of how many.

With a Beta prior the share given k of n is Beta(a + k, b + n - k). The prior's mean is a third of what is tolerated,
with the weight of a third of one: it says "all is well, most likely", and a few do not outvote it. The incomplete beta
function is evaluated by its continued fraction (Lentz; Press et al. 2007, section 6.4).
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

_PRIOR: Final = 1 / 3
_ROUNDS: Final = 500
_CLOSE: Final = 1e-12


def above(found: Float64, of: Float64, tolerated: Float64) -> Float64:
    """float64[n]: chance that more than the tolerated share is so; found of `of`, float64[n] each, 0 < tolerated < 1.

    Raises ValueError.
    """
    if not found.shape == of.shape == tolerated.shape:
        raise ValueError("expected found, of and tolerated of equal length")
    if len(found) and (found.min() < 0 or (found > of).any()):
        raise ValueError("expected found of at least 0 and at most `of`")
    if len(found) and not (tolerated.min() > 0 and tolerated.max() < 1):
        raise ValueError("expected tolerated in (0, 1)")
    return np.array(
        [
            1 - beta_below(t, _PRIOR + k, _PRIOR * (3 / t - 1) + n - k)
            for k, n, t in zip(found.tolist(), of.tolist(), tolerated.tolist(), strict=True)
        ],
        np.float64,
    )


def beta_below(x: float, a: float, b: float) -> float:
    """Share of a Beta(a, b) distribution below x in [0, 1]."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    # The fraction converges fast on the near side of the mean.
    if x < (a + 1) / (a + b + 2):
        return min(front * _fraction(x, a, b) / a, 1.0)
    return max(1 - front * _fraction(1 - x, b, a) / b, 0.0)


def _fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    out = d
    for m in range(1, _ROUNDS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + numerator * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + numerator / c
            c = c if abs(c) > tiny else tiny
            out *= d * c
        if abs(d * c - 1) < _CLOSE:
            break
    return out
