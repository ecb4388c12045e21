"""Which listing is written first: the one that is likeliest to oversell before the next slot. Pure."""

from typing import Final

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]

# What rises loses sales only, and waits; but not for ever behind what falls. Zero stays before all.
_RELISTED: Final = 0.02
_RAISED: Final = 0.01
_AGE_MOST: Final = 0.6
_AGE_FULL_S: Final = 120.0


def risk(target: Int32, shown: Int32, soon: Float64 | float, waited_s: Float64) -> Float64:
    """float64[n], higher first: an order, not a probability.

    target    units to be shown
    shown     units that the channel shows; below 0: not known, so that it may show anything
    soon      units that it sells until the next slot, as expected
    waited_s  since the number that it should show has been another one
    """
    falls = (shown < 0) | (target < shown)
    # P(D > target) of an exponential D with mean 1 + soon: 1 at zero, little where there is plenty.
    falling = np.exp(-target / (1.0 + np.asarray(soon)))
    rising = np.where(shown == 0, _RELISTED, _RAISED)
    age = _AGE_MOST * np.clip(waited_s / _AGE_FULL_S, 0.0, 1.0)
    return np.where(falls, np.where(target == 0, 2.0, falling), rising) + age
