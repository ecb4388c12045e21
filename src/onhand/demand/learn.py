"""What a panel's past teaches: which model is in charge of which kind of demand, how far it strays, and the trees.

It is learned once, of some thousand series at most, and applied to as many as there are, any number at a time: what is
learned does not grow with them, and can be kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from onhand.demand import annual, calibrate, simple, spread
from onhand.demand.choose import BASELINE, Choice, choose, mixed
from onhand.demand.classify import CLASSES, classify
from onhand.demand.features import origins_of
from onhand.demand.panel import Float64, Forecast, Freq, Int64, Panel, scales

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """All that a forecast needs beside the series themselves; it can be pickled.

    levels    float64[Q] that quantiles are wanted at
    horizon   periods ahead, at most
    holidays  whether the built-in calendar says which days of a year belong together
    choices   for every segment: which models are in charge, and what that was worth on the past
    spreads   by model, how far demand strays from its mean
    factor    of the level, by what came at past origins
    """

    freq: Freq
    levels: Float64
    horizon: int
    holidays: bool
    choices: Mapping[int, Choice]
    spreads: Mapping[str, spread.Spread]
    factor: float
    calibration: calibrate.Calibration
    trees: "Boosted | None"

    def apply(self, panel: Panel) -> Outcome:
        """Forecast the panel's horizon: series that were learned of, or others like them, then or later. Daily series
        do not look at each other, but for the panel's `sums`."""
        if panel.freq != self.freq or panel.horizon > self.horizon:
            raise ValueError(f"learned for {self.horizon} periods of {self.freq}")
        panel, segments = panel.with_sums(), segments_of(panel)
        shape = (panel.count, panel.horizon)
        mean, quantiles = np.zeros(shape), np.zeros((*shape, len(KNOTS)))
        for name in {name: None for choice in self.choices.values() for name in choice.shares}:
            of_segment = np.array([self.choices[segment].shares.get(name, 0.0) for segment in range(len(CLASSES))])
            share = of_segment[segments]
            if not np.any(mine := share > 0):
                continue
            made = _forecast(name, panel, self.trees, holidays=self.holidays, mine=mine)
            whole = _whole(made, self.spreads[name])
            mean[mine] += share[mine, None] * whole.mean
            quantiles[mine] += share[mine, None, None] * whole.quantiles
        quantiles = np.maximum.accumulate(quantiles, axis=2)
        return Outcome(
            forecast=Forecast(
                levels=self.levels,
                mean=mean * self.factor,
                quantiles=self.calibration.apply(self.factor * between(KNOTS, quantiles, self.levels)),
            ),
            segments=segments,
            choices={segment: self.choices[segment] for segment in np.unique(segments).tolist()},
            contributions=self.trees.contributions() if self.trees is not None else {},
        )

    def parts(self, panel: Panel) -> tuple[Float64, Float64]:
        """What trees put into the mean of `apply`, in units: a base float64[n, h], and what each feature brings,
        float64[n, h, F] (see `Boosted.parts`). 0 where other models are in charge; they make up the rest. Raises
        ValueError if there are no trees."""
        if self.trees is None:
            raise ValueError("expected a model with trees")
        panel, segments = panel.with_sums(), segments_of(panel)
        base = np.zeros((panel.count, panel.horizon))
        brought = np.zeros((*base.shape, len(self.trees.columns)))
        of_segment = [self.choices[segment].shares.get(BOOSTED, 0.0) for segment in range(len(CLASSES))]
        share = self.factor * np.array(of_segment)[segments]
        if np.any(mine := share > 0):
            told = self.trees.parts(panel.rows(mine))
            base[mine] = share[mine, None] * told[0]
            brought[mine] = share[mine, None, None] * told[1]
        return base, brought


def learn(
    panel: Panel,
    levels: Float64,
    *,
    trees: bool = True,
    holidays: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Learned:
    """Try models on the panel's past, and train what wins.

    levels  float64[Q], rising, in (0, 1)
    trees   whether boosted trees are a candidate; needs the extra `forecast`
    holidays  whether the built-in calendar says which days of a year belong together
    """
    say = progress or silent
    horizon, known = panel.horizon, panel.periods
    if known < _TRIED_MIN:
        return _untried(panel, levels, holidays=holidays)
    panel, segments = panel.with_sums(), segments_of(panel)
    origins = _origins(panel)
    cutoff = min(origins)
    is_fair = _is_fair(panel, origins)
    trees = trees and is_fair and _trainable(panel, cutoff, horizon)
    say("trying models on the past", 0.0)
    trained = _trained(panel.before(cutoff, horizon), seed) if trees else None
    say("trying models on the past", 0.4)
    past = [panel.before(origin, min(horizon, known - origin)) for origin in origins]
    names = _names(past[0], trees=trees)
    made = [{name: _forecast(name, at, trained, holidays=holidays) for name in names} for at in past]
    came = [_came(panel, at) for at in past]
    all_came = np.concatenate([y.ravel() for y in came])
    # How far a mean strays is told to each origin by the others: what was fitted to a day would know that day.
    others = [[j for j in range(len(past)) if j != i] or [i] for i in range(len(past))]
    forecasts = [
        {name: _whole(made[i][name], _spread(name, made, came, others[i])) for name in names} for i in range(len(past))
    ]
    choices = choose(
        [*zip(forecasts, came, strict=True)], scales(panel.y), _weights(panel), segments, len(CLASSES), seed=seed
    )
    if not is_fair:
        choices = {segment: _by_field(choice, names) for segment, choice in choices.items()}
    tried = [_put_together(forecast, choices, segments) for forecast in forecasts]
    factor = calibrate.level_factor(np.concatenate([made.mean.ravel() for made in tried]), all_came) if is_fair else 1.0
    calibration = calibrate.fit(
        factor * np.concatenate([between(KNOTS, made.quantiles, levels).reshape(-1, len(levels)) for made in tried]),
        all_came,
        levels,
    )
    say("training", 0.5)
    spreads = {name: _spread(name, made, came, range(len(past))) for name in names}
    return Learned(
        freq=panel.freq, levels=levels, horizon=horizon, holidays=holidays, choices=choices, spreads=spreads,
        factor=factor, calibration=calibration,
        trees=_trained(panel, seed) if trees and any(BOOSTED in c.shares for c in choices.values()) else None,
    )  # fmt: skip


def has_trees() -> bool:
    """Whether the extra `forecast` is installed."""
    return find_spec("lightgbm") is not None


def silent(_what: str, _share: float) -> None:
    """Nobody wants to know."""


def _spread(
    name: str, made: Sequence[Mapping[str, _Candidate]], came: Sequence[Float64], origins: Iterable[int]
) -> spread.Spread:
    """How far demand strayed from a model's mean after some of the origins."""
    of = [*origins]
    base = np.concatenate([spread.base_of(made[i][name].mean).ravel() for i in of])
    return spread.fit(base, np.concatenate([came[i].ravel() for i in of]), KNOTS)


def _weights(panel: Panel) -> Float64:
    """float64[n]: the root of the units sold in the last year; half the way (on a scale of logarithms) from each series
    counting the same to each unit, which leaves the choice to a few large series."""
    sold = np.sqrt(np.nansum(panel.y[:, -panel.year :], axis=1))
    return np.maximum(sold, 0.01 * max(float(sold.mean()), 1e-9))


def _came(panel: Panel, at: Panel) -> Float64:
    """float64[n, h]: what came after an origin; NaN for a series of which nothing had been seen by then: no model says
    anything of it, and what came would be taken for how far demand strays."""
    seen = np.isfinite(at.y).any(axis=1, keepdims=True)
    return np.where(seen, panel.y[:, at.periods : at.periods + at.horizon], np.nan)


def segments_of(panel: Panel) -> Int64:
    """int64[n]: kinds of demand, by the last two years."""
    segments, _, _ = classify(panel.y[:, -2 * panel.year :])
    return segments


def _untried(panel: Panel, levels: Float64, *, holidays: bool) -> Learned:
    """Nothing to try a model on: the plainest mean, and what is thought of demand anywhere."""
    none = np.array([])
    name = "phase_mean" if panel.freq == "D" else BASELINE
    choice = Choice(
        shares={name: 1.0}, loss=0.0, loss_baseline=0.0, gain=0.0, gain_low=0.0, gain_high=0.0, series=panel.count
    )
    return Learned(
        freq=panel.freq, levels=levels, horizon=panel.horizon, holidays=holidays,
        choices=dict.fromkeys(range(len(CLASSES)), choice), spreads={name: spread.fit(none, none, KNOTS)}, factor=1.0,
        calibration=calibrate.fit(np.zeros((0, len(levels))), none, levels), trees=None,
    )  # fmt: skip


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


def _seasons_show(panel: Panel, cutoff: int, horizon: int) -> bool:
    """Whether models of weeks and months can be tried, and trained, on seasons that came twice. Seen once, a season
    cannot be told from what happened that year: trees miss Christmas, and a level wins in summer."""
    return panel.freq == "D" or cutoff >= 2 * panel.year + horizon


def _trainable(panel: Panel, cutoff: int, horizon: int) -> bool:
    return _seasons_show(panel, cutoff, horizon) and len(origins_of(panel, cutoff, horizon, 45)) >= _BOOSTED_ORIGINS_MIN


def _trained(panel: Panel, seed: int) -> "Boosted":
    from onhand.demand.boosted import Boosted  # noqa: PLC0415 - its library is an extra

    return Boosted(panel, panel.horizon, KNOTS, seed=seed)


def _names(panel: Panel, *, trees: bool) -> list[str]:
    """Of the candidates."""
    if panel.freq == "D":
        names = [BASELINE, *(name for name in simple.POINT if name != "phase_mean")]
    else:
        can = annual.can(panel)
        names = [BASELINE, *([ANNUAL] if can else [])]
        if not can or _seasons_show(panel, panel.periods, panel.horizon):
            names.append("ses")
    return [*names, *([BOOSTED] if trees else [])]


def _forecast(
    name: str, panel: Panel, trained: "Boosted | None", *, holidays: bool, mine: NDArray[np.bool_] | None = None
) -> _Candidate:
    """By one model, of all series or of `mine`."""
    # Seasons of weeks and months are seen together, so that all are looked at.
    if mine is not None and name != ANNUAL:
        panel, mine = panel.rows(mine), None
    if name == BOOSTED and trained is not None:
        made = trained.forecast(panel)
        return _Candidate(mean=made.mean, quantiles=made.quantiles)
    if name == ANNUAL:
        mean = annual.last_year(panel, by_date=holidays)
        return _Candidate(mean=mean if mine is None else mean[mine])
    if name == BASELINE and panel.freq == "D":
        return _Candidate(mean=simple.phase_mean(panel), quantiles=simple.phase_quantiles(panel, KNOTS))
    return _Candidate(mean=annual.same_last_year(panel) if name == BASELINE else simple.POINT[name](panel))


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
