"""Which unshipped fulfilments are worth sending another way.

    gain = late_minor (P(late as it is) - P(late the other way)) - extra cost

of the best other way of each; those above a floor, the most first. A floor above 0 is the hysteresis that keeps an
order from going to and fro for pennies.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_Z95 = 1.6448536269514722


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """row int64[m] of the fulfilments, way int64[m] that each is to go, gain_minor float64[m] expected; most first."""

    row: Int64
    way: Int64
    gain_minor: Float64


def worth_moving(
    late_now: Float64, late_then: Float64, extra_minor: Float64, late_minor: Float64, *, gain_min_minor: float = 0.0,
    most: int | None = None,
) -> Moves:  # fmt: skip
    """Fulfilments that gain by another way.

    late_now     float64[n], chance to be late if nothing is done
    late_then    float64[n, way], chance to be late by another way; NaN: there is none
    extra_minor  float64[n, way], what it costs beyond what is saved
    late_minor   float64[n], what being late costs
    most         how many may be moved now

    Raises ValueError for arrays that do not fit together. O(n ways).
    """
    if late_then.shape != extra_minor.shape or len(late_then) != len(late_now) or late_minor.shape != late_now.shape:
        raise ValueError("expected late_now[n], late_minor[n] and late_then, extra_minor[n, way]")
    if not len(late_now) or not late_then.shape[1]:
        nothing = np.zeros(0, np.int64)
        return Moves(row=nothing, way=nothing, gain_minor=np.zeros(0))
    gain = late_minor[:, None] * (late_now[:, None] - late_then) - extra_minor
    gain = np.where(np.isnan(gain), -np.inf, gain)
    way = gain.argmax(axis=1)
    best = gain[np.arange(len(gain)), way]
    rows = np.flatnonzero(best > gain_min_minor)
    rows = rows[np.argsort(-best[rows], kind="stable")][:most]
    return Moves(row=rows, way=way[rows], gain_minor=best[rows])


def late_chance(room_days: Float64, p50_days: Float64, p95_days: Float64, delay_days: npt.ArrayLike = 0.0) -> Float64:
    """float64[n]: chance that a parcel takes longer than it has, log-normal through a service's quantiles, on a lane
    that is slower by `delay_days` than these say. Quantiles above 0."""
    room = room_days - np.asarray(delay_days, np.float64)
    sigma = np.maximum(np.log(np.maximum(p95_days / p50_days, 1.0)) / _Z95, 1e-6)
    z = np.log(np.maximum(room, 1e-9) / p50_days) / sigma
    return np.where(room <= 0, 1.0, 0.5 * _erfc(z / np.sqrt(2.0)))


def _erfc(x: Float64) -> Float64:
    return np.array([math.erfc(value) for value in x.ravel().tolist()], np.float64).reshape(x.shape)
