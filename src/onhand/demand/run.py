"""A forecast of a panel: candidates tried on the past, the best put in charge of each segment, quantiles put right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from onhand.demand import annual, calibrate, simple, spread
from onhand.demand.choose import BASELINE, Choice, choose, mixed
from onhand.demand.classify import classify
from onhand.demand.features import origins_of
from onhand.demand.panel import Float64, Forecast, Int64, Panel, scales

if TYPE_CHECKING:
    from onhand.demand.boosted import Boosted

# What is learned of a distribution; what is asked for lies between.
KNOTS: Final = np.array([0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.995])
# Past origins that candidates are tried on, how many and how far apart.
_TRIED_MIN: Final = 2
_TRIED: Final = {"D": (5, 7), "W": (4, 1), "M": (3, 1)}
# Models of which nothing is known at past origins take over by what is known of the field: last year, then a level.
_BOOSTED_ORIGINS_MIN: Final = 6
BOOSTED: Final = "boosted"
ANNUAL: Final = "annual"

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """segments  int64[n], of each series, places in `demand.classify.CLASSES`
    choices   by segment: which models are in charge, and what that is worth
    contributions  of what the trees looked at, shares that add up to 1; empty: no trees
    """

    forecast: Forecast
    segments: Int64
    choices: Mapping[int, Choice]
    contributions: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A model: its mean, and its quantiles if it has any of its own."""

    mean: Float64
    quantiles: Float64 | None = None


def run(
    panel: Panel,
    levels: Float64,
    *,
    trees: bool = True,
    holidays: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Outcome:
    """Forecast the panel's horizon.

    levels  float64[Q], rising, in (0, 1)
    trees   whether boosted trees are a candidate; needs the extra `forecast`
    holidays  whether the built-in calendar says which days of a year belong together
    """
    say = progress or _silent
    horizon, known = panel.horizon, panel.periods
    segments, _, _ = classify(panel.y[:, -2 * panel.year :])
    if known < _TRIED_MIN:  # nothing to try a model on
        mean, none = _candidates(panel, None, holidays)[BASELINE].mean, np.array([])
        quantiles = spread.fit(none, none, levels).quantiles(mean)
        return Outcome(forecast=Forecast(levels=levels, mean=mean, quantiles=quantiles), segments=segments, choices={})
    origins = _origins(panel)
    cutoff = min(origins)
    is_fair = _is_fair(panel, origins)
    trees = trees and is_fair and _trainable(panel, cutoff, horizon)
    say("trying models on the past", 0.0)
    trained = _trained(panel.before(cutoff, horizon), seed) if trees else None
    say("trying models on the past", 0.4)
    past = [
        (_candidates(at := panel.before(origin, min(horizon, known - origin)), trained, holidays), at, origin)
        for origin in origins
    ]
    came = [panel.y[:, origin : origin + at.horizon] for _, at, origin in past]
    names = [*past[0][0]]
    spreads = {
        name: spread.fit(
            np.concatenate([c[name].mean.ravel() for c, _, _ in past]), np.concatenate([y.ravel() for y in came]), KNOTS
        )
        for name in names
    }
    forecasts = [{name: _whole(c[name], spreads[name]) for name in names} for c, _, _ in past]
    scale = scales(panel.y)
    choices = choose([*zip(forecasts, came, strict=True)], scale, segments, seed=seed)
    if not is_fair:
        choices = {segment: _by_field(choice, names) for segment, choice in choices.items()}
    tried = [_put_together(forecast, choices, segments) for forecast in forecasts]
    all_came = np.concatenate([y.ravel() for y in came])
    factor = calibrate.level_factor(np.concatenate([made.mean.ravel() for made in tried]), all_came) if is_fair else 1.0
    calibration = calibrate.fit(
        factor * np.concatenate([between(KNOTS, made.quantiles, levels).reshape(-1, len(levels)) for made in tried]),
        all_came,
        levels,
    )
    say("training", 0.5)
    final = _trained(panel, seed) if trees and any(BOOSTED in c.shares for c in choices.values()) else None
    say("forecasting", 0.95)
    now = _candidates(panel, final, holidays)
    whole = {name: _whole(candidate, spreads[name]) for name, candidate in now.items()}
    made = _put_together(whole, choices, segments)
    say("done", 1.0)
    return Outcome(
        forecast=Forecast(
            levels=levels,
            mean=made.mean * factor,
            quantiles=calibration.apply(factor * between(KNOTS, made.quantiles, levels)),
        ),
        segments=segments, choices=choices, contributions=final.contributions() if final is not None else {},
    )  # fmt: skip


def _silent(_what: str, _share: float) -> None:
    """Nobody wants to know."""


def between(knots: Float64, quantiles: Float64, levels: Float64) -> Float64:
    """float64[..., Q] at `levels` of quantiles float64[..., K] at `knots`: straight between them on the scale of the
    normal distribution, whose tails are nearer to those of demand than straight ones; the outermost go on flat."""
    scale = NormalDist()
    z, wanted = (np.array([scale.inv_cdf(float(level)) for level in of]) for of in (knots, levels))
    place = np.clip(np.searchsorted(z, wanted, side="right") - 1, 0, len(z) - 2)
    along = np.clip((wanted - z[place]) / (z[place + 1] - z[place]), 0.0, 1.0)
    return quantiles[..., place] * (1 - along) + quantiles[..., place + 1] * along


def _origins(panel: Panel) -> list[int]:
    """Past origins, the latest first, whose horizon has been observed; or else part of it."""
    count, step = _TRIED[panel.freq]
    least = panel.year + 4 if panel.freq != "D" else 3 * panel.cycle
    latest = panel.periods - panel.horizon
    found = [latest - step * k for k in range(count) if latest - step * k >= least]
    if found:
        return found
    # Too short a history for the whole horizon: as much of it as can be seen.
    return [max(1, min(max(least, latest), panel.periods - max(1, panel.periods // 8)))]


def _is_fair(panel: Panel, origins: list[int]) -> bool:
    """Whether models were seen over at least half the horizon."""
    return panel.periods - max(origins) >= panel.horizon // 2


def _by_field(choice: Choice, names: list[str]) -> Choice:
    name = ANNUAL if ANNUAL in names else BASELINE
    return Choice(
        shares={name: 1.0}, loss=choice.loss, loss_baseline=choice.loss_baseline, gain=0.0, gain_low=0.0, gain_high=0.0,
        series=choice.series,
    )  # fmt: skip


def _trainable(panel: Panel, cutoff: int, horizon: int) -> bool:
    return len(origins_of(panel, cutoff, horizon, 45)) >= _BOOSTED_ORIGINS_MIN


def _trained(panel: Panel, seed: int) -> "Boosted":
    from onhand.demand.boosted import Boosted  # noqa: PLC0415 - its library is an extra

    return Boosted(panel, panel.horizon, KNOTS, seed=seed)


def _candidates(panel: Panel, trained: "Boosted | None", holidays: bool) -> dict[str, _Candidate]:
    if panel.freq == "D":
        found = {BASELINE: _Candidate(mean=simple.phase_mean(panel), quantiles=simple.phase_quantiles(panel, KNOTS))}
        found |= {name: _Candidate(mean=model(panel)) for name, model in simple.POINT.items() if name != "phase_mean"}
    else:
        found = {BASELINE: _Candidate(mean=annual.same_last_year(panel))}
        found["ses"] = _Candidate(mean=simple.ses(panel))
        if annual.can(panel):
            found[ANNUAL] = _Candidate(mean=annual.last_year(panel, by_date=holidays))
    if trained is not None:
        made = trained.forecast(panel)
        found[BOOSTED] = _Candidate(mean=made.mean, quantiles=made.quantiles)
    return found


def _whole(candidate: _Candidate, of: spread.Spread) -> Forecast:
    quantiles = candidate.quantiles if candidate.quantiles is not None else of.quantiles(candidate.mean)
    return Forecast(levels=KNOTS, mean=candidate.mean, quantiles=quantiles)


def _put_together(forecasts: Mapping[str, Forecast], choices: Mapping[int, Choice], segments: Int64) -> Forecast:
    first = next(iter(forecasts.values()))
    mean, quantiles = np.empty_like(first.mean), np.empty_like(first.quantiles)
    for segment, choice in choices.items():
        mine = segments == segment
        made = mixed(forecasts, choice.shares)
        mean[mine], quantiles[mine] = made.mean[mine], made.quantiles[mine]
    return Forecast(levels=first.levels, mean=mean, quantiles=np.maximum.accumulate(quantiles, axis=2))
