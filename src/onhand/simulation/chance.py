"""Luck that does not depend on the policy: the same order at the same node has the same fate under every policy.

Common random numbers (Glasserman and Yao 1992, "Some guidelines and guarantees for common random numbers"): what two
policies have in common cancels in their difference, so that fewer orders tell them apart. A draw is a hash of what it
is about, not the next of a stream, because another policy makes other draws before it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

UInt64 = npt.NDArray[np.uint64]
Float64 = npt.NDArray[np.float64]

REJECTED, TRANSIT, TRANSIT_TOO = range(3)  # what a draw decides
_ODD = np.uint64(0x9E3779B97F4A7C15)


def uniform(seed: int, about: int, *keys: npt.NDArray[Any]) -> Float64:
    """A number above 0 and below 1 for each row of `keys` (integers, all of one shape), by splitmix64 (Steele, Lea
    and Flood 2014)."""
    state = _mixed(np.full(keys[0].shape, (seed + (about + 1) * int(_ODD)) % 2**64, np.uint64))
    for key in keys:
        state = _mixed((state ^ key.astype(np.uint64)) + _ODD)
    # 53 bits, and half a step so that neither end is met.
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal(seed: int, *keys: npt.NDArray[Any]) -> Float64:
    """A standard normal number for each row of `keys` (Box and Muller 1958)."""
    radius = np.sqrt(-2.0 * np.log(uniform(seed, TRANSIT, *keys)))
    return radius * np.cos(2.0 * np.pi * uniform(seed, TRANSIT_TOO, *keys))


def _mixed(state: UInt64) -> UInt64:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
