"""What remains between a forecast middle and what came, of late: the distribution that quantiles are read from.

A conformal predictive distribution (Vovk et al. 2017) of errors scaled by the spread (Lei et al. 2018), those of
forecasts that had not seen what they were tried on. Recent shipments count more, by a half-life that is as short as
their number allows, so that it follows drift; those still on their way are counted in (`censoring.py`).

What drifts on is late all the same: of shipments foretold at past origins more come beyond an outer quantile than it
says. The ranks that they had (probability integral transforms) say how much more, and outer quantiles are moved to
where they would have been right (Kuleshov et al. 2018), the latest origins counting most as in adaptive conformal
prediction (Gibbs and Candès 2021). The median stays: it is off now to one side, now to the other.
"""

from dataclasses import dataclass

import numpy as np

from onhand.fulfilment.delivery.censoring import distribution
from onhand.fulfilment.delivery.model import Bool, Float64

_HALF_LIVES_DAYS = (10.0, 14.0, 20.0, 28.0, 40.0, 80.0, 160.0, 320.0, 640.0)
# As many equal rows as the weighted ones have to be worth.
_ROWS_MIN = 300.0
_TAIL = 0.02
# Ranks that came out as foretold, that as many stand beside those that were seen as this.
_PRIOR_RANKS = 100.0
_RANKS = 200
# Quantiles this far from the median are moved wholly, nearer ones in part.
_OUTER = 0.4


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """At which ranks of a foretold distribution shares of what came lie.

    ranks, shares  float64[m] in [0, 1], rising
    """

    ranks: Float64
    shares: Float64

    def share(self, rank: Float64) -> Float64:
        """That came at or below ranks."""
        return np.interp(rank, self.ranks, self.shares)

    def rank(self, share: Float64) -> Float64:
        """Below which shares came."""
        return np.interp(share, self.shares, self.ranks)


_ENDS = np.array([0.0, 1.0])
AS_FORETOLD = Ranks(ranks=_ENDS, shares=_ENDS)


def learn_ranks(rank: Float64, bound: Float64, seen: Bool, weight: Float64) -> Ranks:
    """From the ranks of shipments in what had been foretold of them, those not seen yet above their bound.

    weight  float64[n], of the latest 1
    """
    prior = (np.arange(_RANKS) + 0.5) / _RANKS
    values, shares = distribution(
        np.r_[rank, prior], np.r_[bound, np.ones(_RANKS)], np.r_[seen, np.ones(_RANKS, np.bool_)],
        np.r_[weight / weight.max(), np.full(_RANKS, _PRIOR_RANKS / _RANKS)],
    )  # fmt: skip
    at = np.linspace(0.0, 1.0, 101)
    found = np.r_[0.0, np.interp(at[1:-1], shares, values), 1.0]
    outer = np.minimum(np.abs(at - 0.5) / _OUTER, 1.0)
    return Ranks(ranks=np.maximum.accumulate((1 - outer) * at + outer * found), shares=at)
