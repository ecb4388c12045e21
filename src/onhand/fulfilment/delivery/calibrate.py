"""What remains between a forecast middle and what came, of late: the distribution that quantiles are read from.

A conformal predictive distribution (Vovk et al. 2017) of errors scaled by the spread (Lei et al. 2018), those of
forecasts that had not seen what they were tried on. Recent shipments count more, by a half-life that is as short as
their number allows, so that it follows drift; those still on their way are counted in (`censoring.py`).
"""

from dataclasses import dataclass

import numpy as np

from onhand.fulfilment.delivery.censoring import distribution
from onhand.fulfilment.delivery.model import Bool, Float64

_HALF_LIVES_DAYS = (20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
# As many equal rows as the weighted ones have to be worth.
_ROWS_MIN = 300.0
_TAIL = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """The distribution of scaled errors; beyond the last fiftieth an exponential tail, for no history has seen all.

    values, shares  float64[m], rising, and the share at or below each
    """

    values: Float64
    shares: Float64
    tail_from: float
    tail_scale: float

    def share(self, value: Float64) -> Float64:
        """At or below each value, in [0, 1)."""
        body = np.minimum(np.interp(value, self.values, self.shares, left=0.0), 1 - _TAIL)
        beyond = np.maximum(value - self.tail_from, 0.0)
        return np.where(beyond > 0, 1 - np.maximum(_TAIL * np.exp(-beyond / self.tail_scale), 1e-12), body)

    def quantile(self, level: Float64) -> Float64:
        """Of levels in [0, 1)."""
        body = np.interp(np.minimum(level, 1 - _TAIL), self.shares, self.values)
        beyond = -self.tail_scale * np.log(np.maximum(1 - level, 1e-12) / _TAIL)
        return np.where(level > 1 - _TAIL, self.tail_from + beyond, body)


def recent_weights(room: Float64) -> Float64:
    """float64[n], halved with each half-life since the start of a row."""
    made = np.ones(len(room))
    for half_life in _HALF_LIVES_DAYS:
        made = 0.5 ** (room / half_life)
        if made.sum() ** 2 >= _ROWS_MIN * (made**2).sum():
            break
    return made


def learn_errors(error: Float64, bound: Float64, seen: Bool, room: Float64) -> Errors:
    """Of scaled errors, those of rows that are on their way above their bound; room: days from start until now."""
    values, shares = distribution(error, bound, seen, recent_weights(room))
    high, low = np.interp([1 - _TAIL, 1 - 5 * _TAIL], shares, values)
    return Errors(
        values=values, shares=shares, tail_from=float(high), tail_scale=float(max((high - low) / np.log(5.0), 0.1))
    )
