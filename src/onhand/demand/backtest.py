"""Forecasts from past origins, as they would have been made, laid beside what came and beside the baseline. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from onhand.demand import cold_start
from onhand.demand import learn as learning
from onhand.demand.baseline import baseline
from onhand.demand.choose import BASELINE
from onhand.demand.classify import CLASSES
from onhand.demand.panel import Float64, Forecast, Panel, scales
from onhand.demand.realised import Gain, Tally, scaled_loss, score, tally, value_added
from onhand.demand.run import applied, sample

_FANS: Final = 6
# Of history before a fan, in horizons.
_BEFORE: Final = 2
ALL: Final = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Of one segment: tallies of the forecast and the baseline, mean losses of series float64[m], shares of models, and
    how many series are young, so that siblings spoke for them."""

    made: Tally
    base: Tally
    loss: Float64
    loss_base: Float64
    shares: Mapping[str, float]
    young: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fan:
    """A series about an origin: dates and demand before it, and what was forecast and came after it."""

    name: str
    segment: str
    dates: Sequence[str]
    before: Sequence[float | None]
    came: Sequence[float | None]
    mean: Sequence[float]
    levels: Sequence[float]
    quantiles: Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One origin. origin: the first date that was forecast."""

    origin: str
    series: int
    parts: Mapping[str, _Part]
    fans: Sequence[Fan]
    contributions: Mapping[str, float]


def past_panels(panel: Panel, later: Float64, origins: int, step: int | None = None) -> Iterator[tuple[Panel, Float64]]:
    """A panel as it was known at its own origin and at `origins` - 1 before, the earliest first, and what came then
    float64[n, H].

    later  float64[n, H], what came after the panel
    step   periods between origins; None: as many as the horizon has

    What is known ahead is taken as it is known now. Raises ValueError if fewer periods were observed.
    """
    horizon, apart = panel.horizon, panel.horizon if step is None else step
    if panel.periods - apart * (origins - 1) < 1:
        raise ValueError(f"expected more than {apart * (origins - 1)} periods before the latest of {origins} origins")
    y = np.concatenate([panel.y, later], axis=1)
    for back in reversed(range(origins)):
        origin = panel.periods - apart * back
        yield panel.before(origin, horizon), y[:, origin : origin + horizon]


def try_origin(
    panel: Panel,
    came: Float64,
    levels: Float64,
    *,
    trees: bool = True,
    seed: int = 0,
    progress: learning.Progress | None = None,
) -> Tried:
    """Forecast a panel that knows nothing of what came float64[n, H] then, young series from their siblings too, and
    see."""
    panel = panel.with_sums()
    learned = learning.learn(sample(panel, seed), levels, trees=trees, seed=seed, progress=progress)
    outcome = applied(learned, panel)
    made = cold_start.filled(panel, outcome.forecast)
    is_young = cold_start.young(panel, np.zeros(panel.count, bool)) > 0
    if made is outcome.forecast:
        # Nobody is their sibling.
        is_young[:] = False
    outcome = replace(outcome, forecast=made)
    base = baseline(panel, levels, learned.spreads.get(BASELINE))
    scale = scales(panel.y)
    parts: dict[str, _Part] = {}
    for name, mine in [
        (ALL, np.ones(panel.count, bool)),
        *((name, outcome.segments == number) for number, name in enumerate(CLASSES)),
    ]:
        if mine.any():
            shares: Mapping[str, float] = {} if name == ALL else outcome.choices[CLASSES.index(name)].shares
            young = int((is_young & mine).sum())
            parts[name] = _part(_some(made, mine), _some(base, mine), came[mine], scale[mine], shares, young)
    return Tried(
        origin=str(panel.dates[panel.periods]), series=panel.count, parts=parts,
        fans=[_fan(panel, came, outcome, number) for number in _shown(panel, outcome, came)],
        contributions=outcome.contributions,
    )  # fmt: skip


def _some(forecast: Forecast, mine: Any) -> Forecast:
    return Forecast(levels=forecast.levels, mean=forecast.mean[mine], quantiles=forecast.quantiles[mine])


def _part(
    made: Forecast, base: Forecast, came: Float64, scale: Float64, shares: Mapping[str, float], young: int
) -> _Part:
    def by_series(of: Forecast) -> Float64:
        loss = scaled_loss(of, came, scale)
        there = np.isfinite(loss)
        count = there.sum(axis=1)
        return np.where(count > 0, np.where(there, loss, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)

    return _Part(
        made=tally(made, came, scale), base=tally(base, came, scale), loss=by_series(made), loss_base=by_series(base),
        shares=dict(shares), young=young,
    )  # fmt: skip


def _shown(panel: Panel, outcome: learning.Outcome, came: Float64) -> list[int]:
    """Series to be shown: of each segment in turn, the middle one by how much is asked for, then those about it."""
    wanted: list[list[int]] = []
    total = np.nansum(panel.y[:, -_BEFORE * panel.horizon :], axis=1)
    for segment in range(len(CLASSES)):
        mine = np.flatnonzero((outcome.segments == segment) & (total > 0) & np.isfinite(came).any(axis=1))
        order = mine[np.argsort(total[mine], kind="stable")]
        places = [round(share * (len(order) - 1)) for share in (0.75, 0.95, 0.5)] if len(order) else []
        wanted.append(list(dict.fromkeys(order[places].tolist())))
    found: list[int] = []
    for turn in range(3):
        found += [of[turn] for of in wanted if len(of) > turn]
    return found[:_FANS]


def _fan(panel: Panel, came: Float64, outcome: learning.Outcome, number: int) -> Fan:
    begin = max(0, panel.periods - _BEFORE * panel.horizon)
    made = outcome.forecast
    return Fan(
        name=str(panel.ids[number]), segment=CLASSES[int(outcome.segments[number])],
        dates=[str(day) for day in panel.dates[begin : panel.periods + panel.horizon]],
        before=_numbers(panel.y[number, begin:]), came=_numbers(came[number]), mean=made.mean[number].tolist(),
        levels=made.levels.tolist(), quantiles=made.quantiles[number].tolist(),
    )  # fmt: skip


def _numbers(values: Float64) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


# Reports --------------------------------------------------------------------------------------------------------------


def report(tried: Sequence[Tried], levels: Float64, seconds: Sequence[float]) -> dict[str, Any]:
    """Everything that is printed, as JSON values: a row for each segment over all origins, and for each origin.

    seconds  that each origin took
    """
    names = [name for name in (ALL, *CLASSES) if any(name in one.parts for one in tried)]
    return {
        "levels": levels.tolist(),
        "horizon": len(next(iter(tried[0].parts.values())).made.count),
        "segments": [_row(name, [one.parts[name] for one in tried if name in one.parts], levels) for name in names],
        "origins": [
            {
                "origin": one.origin, "series": one.series, "seconds": round(took, 2),
                "segments": [_row(name, [one.parts[name]], levels) for name in names if name in one.parts],
            }
            for one, took in zip(tried, seconds, strict=True)
        ],
        "contributions": dict(sorted(tried[-1].contributions.items(), key=lambda one: -one[1])),
        "fans": [asdict(fan) for fan in tried[-1].fans],
    }  # fmt: skip


def _row(name: str, parts: Sequence[_Part], levels: Float64) -> dict[str, Any]:
    made, base = parts[0].made, parts[0].base
    for part in parts[1:]:
        made, base = made + part.made, base + part.base
    gain = value_added(np.concatenate([p.loss for p in parts]), np.concatenate([p.loss_base for p in parts]))
    found = score(made, base, levels, gain)
    of_base = score(base, base, levels, Gain(0.0, 0.0, 0.0))
    shares: dict[str, float] = {}
    for part in parts:
        for model, share in part.shares.items():
            shares[model] = shares.get(model, 0.0) + share / len(parts)
    return {
        "segment": name, "series": max(len(part.loss) for part in parts), "young": max(part.young for part in parts),
        "models": dict(sorted(shares.items(), key=lambda one: -one[1])),
        "loss": _plain(found.loss), "loss_baseline": _plain(found.loss_baseline),
        "gain": _plain(gain.gain), "gain_low": _plain(gain.low), "gain_high": _plain(gain.high),
        "bias": _plain(found.bias), "bias_baseline": _plain(of_base.bias),
        "coverage": {f"{share:g}": _plain(value) for share, value in found.coverage.items()},
        "coverage_baseline": {f"{share:g}": _plain(value) for share, value in of_base.coverage.items()},
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None
