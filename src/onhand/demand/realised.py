"""What a forecast was worth, once its days have come: error, bias, coverage and value added over the baseline.

Losses are scaled pinball losses, as models are chosen by (see choose.py), so what was found on past origins and what
came true can be laid side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np

from onhand.demand.choose import pinball
from onhand.demand.panel import Float64, Forecast, Int64

_RESAMPLES: Final = 400
_LOWER: Final = 0.05
# Numbers in memory.
_DRAWN_AT_ONCE: Final = 1_000_000
# Fewer pairs make no interval.
_PAIRS_MIN: Final = 8


class Interval(NamedTuple):
    """A central interval: the share of demand it is to hold, and the places of its levels."""

    share: float
    low: int
    high: int


def intervals(levels: Sequence[float] | Float64) -> list[Interval]:
    """The central intervals between `levels`, the narrowest first."""
    values = [float(level) for level in levels]
    found: list[Interval] = []
    for low, level in enumerate(values):
        high = min(range(len(values)), key=lambda n: abs(values[n] - (1 - level)))
        if level < 0.5 and abs(values[high] - (1 - level)) < 1e-6:
            found.append(Interval(round(values[high] - level, 6), low, high))
    return sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums over series by period ahead, which add up over series.

    count     int64[h], of series that were seen
    scaled    int64[h], of those whose loss can be scaled
    loss      float64[h], of scaled pinball losses
    forecast, came  float64[h], units
    within    int64[h, I], of series within each of `intervals`
    """

    count: Int64
    scaled: Int64
    loss: Float64
    forecast: Float64
    came: Float64
    within: Int64

    def __add__(self, other: Self) -> "Tally":
        return Tally(
            count=self.count + other.count, scaled=self.scaled + other.scaled, loss=self.loss + other.loss,
            forecast=self.forecast + other.forecast, came=self.came + other.came, within=self.within + other.within,
        )  # fmt: skip


def tally(forecast: Forecast, came: Float64, scale: Float64) -> Tally:
    """Of the first h periods of a forecast.

    came   float64[n, h], NaN: nobody knows
    scale  float64[n], see `panel.scales`; NaN or 0: the loss of the series says nothing
    """
    periods = came.shape[1]
    quantiles, mean = forecast.quantiles[:, :periods], forecast.mean[:, :periods]
    there = np.isfinite(came)
    loss = scaled_loss(forecast, came, scale)
    has_loss = np.isfinite(loss)
    within = np.stack(
        [
            (there & (came >= quantiles[:, :, low]) & (came <= quantiles[:, :, high])).sum(axis=0)
            for _, low, high in intervals(forecast.levels)
        ]
        or [np.zeros(periods, np.int64)],
        axis=1,
    )
    return Tally(
        count=there.sum(axis=0), scaled=has_loss.sum(axis=0), loss=np.where(has_loss, loss, 0.0).sum(axis=0),
        forecast=np.where(there, mean, 0.0).sum(axis=0), came=np.where(there, came, 0.0).sum(axis=0), within=within,
    )  # fmt: skip


def scaled_loss(forecast: Forecast, came: Float64, scale: Float64) -> Float64:
    """float64[n, h]: pinball loss over scale; NaN where there is none."""
    loss = pinball(forecast.quantiles[:, : came.shape[1]], came, forecast.levels)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale[:, None] > 0, loss / scale[:, None], np.nan)


class Gain(NamedTuple):
    """Forecast value added: 1 - loss over loss of the baseline, with a 90 % interval; NaN: too little came."""

    gain: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        return self.low > 0

    @property
    def is_surely_lost(self) -> bool:
        return self.high < 0


def value_added(loss: Float64, baseline: Float64, *, seed: int = 0) -> Gain:
    """Of losses float64[m] of series, in pairs; pairs without both are left out. The interval is of a bootstrap over
    series (Efron 1979), which keeps the days of one series together."""
    there = np.isfinite(loss) & np.isfinite(baseline)
    pairs = np.stack([loss[there], baseline[there]], axis=1)
    if not len(pairs):
        return Gain(np.nan, np.nan, np.nan)
    mean = pairs.mean(axis=0)
    gain = float(1 - mean[0] / max(mean[1], 1e-12))
    if len(pairs) < _PAIRS_MIN:
        return Gain(gain, np.nan, np.nan)
    random = np.random.default_rng(seed)
    count = len(pairs)
    at_once = max(1, min(_RESAMPLES, _DRAWN_AT_ONCE // count))
    drawn = np.concatenate(
        [pairs[random.integers(0, count, (at_once, count))].mean(axis=1) for _ in range(-(-_RESAMPLES // at_once))]
    )
    low, high = np.quantile(1 - drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12), [_LOWER, 1 - _LOWER])
    return Gain(gain, float(low), float(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of one segment, or of all.

    periods   that came
    loss      mean scaled pinball loss, and that of the baseline; NaN: nothing came
    bias      units forecast over units that came, less 1; NaN: nothing was asked for
    coverage  share of demand within each central interval, by the share it is to hold
    """

    series: int
    periods: int
    loss: float
    loss_baseline: float
    gain: Gain
    bias: float
    coverage: dict[float, float]


def score(
    made: Tally, baseline: Tally, levels: Sequence[float] | Float64, gain: Gain, *, periods: int | None = None
) -> Score:
    """Of the first `periods` (None: all) of two tallies of the same series."""
    h = len(made.count) if periods is None else periods
    count, came = int(made.count[:h].sum()), float(made.came[:h].sum())
    return Score(
        series=int(made.count[:h].max(initial=0)), periods=h,
        loss=_ratio(float(made.loss[:h].sum()), int(made.scaled[:h].sum())),
        loss_baseline=_ratio(float(baseline.loss[:h].sum()), int(baseline.scaled[:h].sum())),
        gain=gain, bias=_ratio(float(made.forecast[:h].sum()), came) - 1,
        coverage={
            of.share: _ratio(float(made.within[:h, n].sum()), count) for n, of in enumerate(intervals(levels))
        },
    )  # fmt: skip


def _ratio(over: float, under: float) -> float:
    return over / under if under > 0 else float("nan")
