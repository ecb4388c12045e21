"""Which model is in charge of which series: whichever would have forecast the past best.

Every candidate forecasts from past origins, knowing nothing later; what it loses is the scaled pinball loss, which the
mean of what a series does from period to period makes comparable; and a series that sells more counts more. A segment
gets the candidate, or the mixture of two, that loses least, if that beats the baseline for sure: within the lower limit
of a 90 % bootstrap interval of the gain. Otherwise the baseline stays (many series cannot be forecast better than
naively; Morlidge 2014).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from onhand.demand.panel import Float64, Forecast, Int64

BASELINE: Final = "baseline"
_RESAMPLES: Final = 400
_LOWER: Final = 0.05
_SHARES: Final = (0.25, 0.5, 0.75)
# A segment of fewer observations than this speaks with all others.
_SEEN_MIN: Final = 40
# A loss of so many usual steps is no larger for the choice: a few odd series do not speak for all.
_LOSS_MAX: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Of one segment.

    shares   of each model in what is forecast, adding up to 1
    loss     scaled pinball loss at past origins, and that of the baseline
    gain     1 - loss / loss of the baseline (forecast value added), with a 90 % interval
    """

    shares: Mapping[str, float]
    loss: float
    loss_baseline: float
    gain: float
    gain_low: float
    gain_high: float
    series: int


def pinball(quantiles: Float64, demand: Float64, levels: Float64) -> Float64:
    """float64[...]: mean over the levels; NaN where there is no demand."""
    error = demand[..., None] - quantiles
    return np.maximum(levels * error, (levels - 1) * error).mean(axis=-1)


def mixed(forecasts: Mapping[str, Forecast], shares: Mapping[str, float]) -> Forecast:
    """The mean of quantiles level by level (Vincent 1912): as sharp as its parts."""
    parts = [(forecasts[name], share) for name, share in shares.items() if share > 0]
    first = parts[0][0]
    return Forecast(
        levels=first.levels,
        mean=sum((part.mean * share for part, share in parts), np.zeros_like(first.mean)),
        quantiles=sum((part.quantiles * share for part, share in parts), np.zeros_like(first.quantiles)),
    )


def choose(
    past: Sequence[tuple[Mapping[str, Forecast], Float64]],
    scale: Float64,
    weight: Float64,
    segments: Int64,
    kinds: int,
    *,
    seed: int = 0,
) -> dict[int, Choice]:
    """Choose for each segment.

    past      for each origin: forecasts by model, among them BASELINE, and the demand float64[n, h] that came
    scale     float64[n], of each series; NaN or 0: it says nothing
    weight    float64[n], above 0: by what a series counts
    segments  int64[n], below `kinds`; one that no series is of gets what is best for all
    """
    names = [*past[0][0]]
    losses = {name: _losses([f[name] for f, _ in past], [y for _, y in past], scale) for name in names}
    everyone = np.ones(len(segments), bool)
    general = _best(past, losses, scale, weight, everyone, seed)
    chosen: dict[int, Choice] = {}
    for segment in range(kinds):
        mine = segments == segment
        seen = np.isfinite(losses[BASELINE][mine]).sum()
        chosen[segment] = (
            _best(past, losses, scale, weight, mine, seed)
            if seen >= _SEEN_MIN
            else _judged(general.shares, past, losses, scale, weight, mine, seed, keeps=True)
        )
    return chosen


def _losses(forecasts: Sequence[Forecast], demand: Sequence[Float64], scale: Float64) -> Float64:
    """float64[n, origins]: scaled, mean over the horizon, at most _LOSS_MAX."""
    columns: list[Float64] = []
    for forecast, came in zip(forecasts, demand, strict=True):
        loss = pinball(forecast.quantiles, came, forecast.levels)
        there = np.isfinite(loss)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(there, loss, 0.0).sum(axis=1) / there.sum(axis=1)
            columns.append(np.where(scale > 0, np.minimum(mean / scale, _LOSS_MAX), np.nan))
    return np.stack(columns, axis=1)


def _mean(values: Float64, weight: Float64) -> float:
    there = np.isfinite(values)
    counts = np.broadcast_to(weight[:, None], values.shape)[there]
    return float((values[there] * counts).sum() / counts.sum()) if there.any() else float("inf")


def _best(
    past: Sequence[tuple[Mapping[str, Forecast], Float64]],
    losses: Mapping[str, Float64],
    scale: Float64,
    weight: Float64,
    mine: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    seed: int,
) -> Choice:
    ranked = sorted(losses, key=lambda name: _mean(losses[name][mine], weight[mine]))
    options: list[dict[str, float]] = [{ranked[0]: 1.0}]
    # What mixes well differs from the best: so it is tried with each of those that come after.
    options += [{ranked[0]: 1 - share, other: share} for other in ranked[1:4] for share in _SHARES]
    least = min(options, key=lambda shares: _mean(_loss_of(shares, past, losses, scale, mine), weight[mine]))
    return _judged(least, past, losses, scale, weight, mine, seed)


def _loss_of(
    shares: Mapping[str, float],
    past: Sequence[tuple[Mapping[str, Forecast], Float64]],
    losses: Mapping[str, Float64],
    scale: Float64,
    mine: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> Float64:
    if len(shares) == 1:
        return losses[next(iter(shares))][mine]
    parts = [mixed({name: _some(f[name], mine) for name in shares}, shares) for f, _ in past]
    return _losses(parts, [y[mine] for _, y in past], scale[mine])


def _some(forecast: Forecast, mine: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Forecast:
    return Forecast(levels=forecast.levels, mean=forecast.mean[mine], quantiles=forecast.quantiles[mine])


def _judged(
    shares: Mapping[str, float],
    past: Sequence[tuple[Mapping[str, Forecast], Float64]],
    losses: Mapping[str, Float64],
    scale: Float64,
    weight: Float64,
    mine: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    seed: int,
    *,
    keeps: bool = False,
) -> Choice:
    """keeps: if it is no worse, whatever the interval says (a segment too small to have one)."""
    loss, baseline = _loss_of(shares, past, losses, scale, mine), losses[BASELINE][mine]
    there = np.isfinite(loss) & np.isfinite(baseline)
    counts = np.broadcast_to(weight[mine][:, None], loss.shape)[there]
    pairs = np.stack([loss[there], baseline[there]], axis=1) * counts[:, None]
    if len(pairs) == 0:
        return Choice(
            shares=dict(shares) if keeps else {BASELINE: 1.0}, loss=0.0, loss_baseline=0.0, gain=0.0, gain_low=0.0,
            gain_high=0.0, series=int(mine.sum()),
        )  # fmt: skip
    random = np.random.default_rng(seed)
    drawn = pairs[random.integers(0, len(pairs), (_RESAMPLES, min(len(pairs), 2_000)))].mean(axis=1)
    gains = 1 - drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12)
    low, high = np.quantile(gains, [_LOWER, 1 - _LOWER])
    mean = pairs.sum(axis=0) / counts.sum()
    holds = low > 0 or (keeps and mean[0] <= mean[1]) or shares.get(BASELINE) == 1.0
    return Choice(
        shares=dict(shares) if holds else {BASELINE: 1.0},
        loss=float(mean[0] if holds else mean[1]), loss_baseline=float(mean[1]),
        gain=float(1 - mean[0] / max(mean[1], 1e-12)) if holds else 0.0,
        gain_low=float(low) if holds else 0.0, gain_high=float(high) if holds else 0.0, series=int(mine.sum()),
    )  # fmt: skip
