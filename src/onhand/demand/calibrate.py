"""Quantiles put right by what came true at past origins (split conformal; Romano, Patterson and Candès 2019, CQR).

For each pair of levels that is symmetric about the median, the distance of both from the median is stretched or shrunk
until the share of demand within them is what the levels say. It is a factor and not an offset, so that series of every
size keep their place; and it is found for the shares *between* the quantiles, ends included, since demand comes in
whole units. A quantile of nothing stays nothing: to raise it by a hair would leave out all periods without a sale.

What came true in sum, over what had been forecast, corrects the level, by half on a scale of logarithms: demand that
grows is forecast too low for a while, and half is what lasted on held-out years.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from onhand.demand.panel import Float64

_FACTOR_MIN: Final = 0.5
_FACTOR_MAX: Final = 2.0
_STEPS: Final = 40
_LEVEL_MIN: Final = 0.64
_LEVEL_KEPT: Final = 0.5
# A share of so few is no share.
_PAIRS_MIN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """factors  float64[Q], of each level's distance from the median; 1 leaves it as it is"""

    levels: Float64
    factors: Float64

    def apply(self, quantiles: Float64) -> Float64:
        """float64[..., Q], rising and at least 0."""
        middle = _middle(self.levels, quantiles)
        out = middle[..., None] + self.factors * (quantiles - middle[..., None])
        return np.maximum.accumulate(np.where(quantiles > 0, np.maximum(out, 0.0), 0.0), axis=-1)


def level_factor(mean: Float64, demand: Float64) -> float:
    """By what a mean is to be multiplied: half the way (on a scale of logarithms) to what came, of pairs float64[m];
    between 0.8 and 1.25, and 1 where too little came to tell."""
    there = np.isfinite(demand)
    forecast, came = float(mean[there].sum()), float(demand[there].sum())
    if there.sum() < _PAIRS_MIN or forecast <= 0 or came <= 0:
        return 1.0
    return float(np.clip(came / forecast, _LEVEL_MIN, 1 / _LEVEL_MIN) ** _LEVEL_KEPT)


def fit(quantiles: Float64, demand: Float64, levels: Float64) -> Calibration:
    """From quantiles float64[m, Q] that were forecast and demand float64[m] that came; NaN is left out."""
    there = np.isfinite(demand)
    quantiles, demand = quantiles[there], demand[there]
    factors = np.ones(len(levels))
    if len(demand) < _PAIRS_MIN:
        return Calibration(levels=levels, factors=factors)
    middle = _middle(levels, quantiles)
    for low, level in enumerate(levels):
        high = int(np.argmin(np.abs(levels - (1 - level))))
        if level >= 0.5 or abs(levels[high] - (1 - level)) > 1e-6:
            continue
        down, up = middle - quantiles[:, low], quantiles[:, high] - middle
        least, most = _FACTOR_MIN, _FACTOR_MAX
        for _ in range(_STEPS):  # the share within rises with the factor
            factor = (least + most) / 2
            bottom = np.where(quantiles[:, low] > 0, np.maximum(middle - factor * down, 0.0), 0.0)
            within = (demand >= bottom) & (demand <= middle + factor * up)
            if within.mean() < levels[high] - level:
                least = factor
            else:
                most = factor
        factors[low] = factors[high] = (least + most) / 2
    return Calibration(levels=levels, factors=factors)


def _middle(levels: Float64, quantiles: Float64) -> Float64:
    place = int(np.clip(np.searchsorted(levels, 0.5), 1, len(levels) - 1)) if len(levels) > 1 else 0
    if len(levels) == 1 or levels[place] == 0.5:
        return quantiles[..., place]
    along = np.clip((0.5 - levels[place - 1]) / (levels[place] - levels[place - 1]), 0.0, 1.0)
    return quantiles[..., place - 1] + along * (quantiles[..., place] - quantiles[..., place - 1])
