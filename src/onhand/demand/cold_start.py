"""Demand of series with little or no history, from what they are and from their siblings.

What a new series will sell in a period is its level x where it stands on the launch curve x the season.

- The level, before anything is seen, is told by the kinds a series is of: logarithms of the levels of all that sell are
  a sum of an effect for each kind (category, node, ...), each shrunk by how little is known of it (random effects by
  expectation-maximisation; Searle, Casella and McCulloch 1992). A kind that nobody else is of has no effect, and makes
  the level the more uncertain. What came before, seen as if it were new, tells by how much such levels are missed. The
  level is the geometric mean: newcomers seldom sell what a mean that few great sellers make would have them sell.
- Once something is seen, gamma-Poisson: a level that is uncertain by a gamma distribution, and demand that scatters
  around it, give a level that moves from what siblings say to what the series itself says as its periods add up
  (empirical Bayes; Robbins 1956).
- The launch curve is what siblings sold in their first periods, aligned at their first sale, relative to later.
- The season, weekdays and holidays with it, is the siblings' own forecast relative to their level.

Quantiles are those of a negative binomial distribution whose variance has both parts: demand's own, as siblings
scatter, and that of the level. So they are wide, and in whole units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from onhand.demand import annual
from onhand.demand.panel import Float64, Forecast, Freq, Int64, Panel

Bool = NDArray[np.bool_]

RECENT: Final[Mapping[Freq, int]] = {"D": 91, "W": 26, "M": 12}
"""Periods whose mean is the level of a series; who sold nothing in them is nobody's sibling."""
# With fewer periods since its first sale than this a series is forecast from here only, then less, until twice this.
_YOUNG: Final = {"D": 28, "W": 8, "M": 3}
_STEPS: Final = 60
# Series that are looked at together, of very many, and those that tell by what kind seasons go.
_AT_ONCE: Final = 50_000
_SEASONS_OF: Final = 2_500
# Launches that it takes for a curve to be half of what is believed.
_LAUNCHES: Final = 10
_RATIO_MAX: Final = 5.0
_INDEX: Final = (0.1, 10.0)
# How much series that came later may sell otherwise, as a variance of logarithms: few items come, too few to learn it.
_LATER: Final = 1.0
_CAME_LATER: Final = ""
# So much sold makes a level half as certain as it can be.
_SOLD_HALF: Final = 2.0
_SOLD_MIN: Final = 10
_COUNTED_MAX: Final = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Of the kinds of one column, on logarithms of levels.

    value    float64[K]
    seen     float64[K], how many series tell it
    known    float64[K], how well they tell it: 1 / variance, the other columns' effects being uncertain too
    between  the variance of kinds, and of one that nobody is of
    """

    value: Float64
    seen: Float64
    known: Float64
    between: float

    def of(self, kinds: Int64) -> tuple[Float64, Float64, Float64]:
        """(value, seen, known) float64[s] for each kind; 0 for one that nobody is of."""
        there = kinds < len(self.value)
        place = np.where(there, kinds, 0)
        return (
            np.where(there, self.value[place], 0.0),
            np.where(there, self.seen[place], 0.0),
            np.where(there, self.known[place], 0.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """usual of all, effects by column, the variance of a series around their sum."""

    usual: float
    of: Mapping[str, Effect]
    variance: float

    def at(self, kinds: Mapping[str, Int64], log: Float64, weight: Float64) -> tuple[Float64, Float64]:
        """(logarithm of the level, its variance) float64[s] of series of these kinds, as the others say: what a series
        itself said (log and weight float64[s]; weight 0: nothing) is taken out again."""
        effects = {name: self.of[name].of(mine) for name, mine in kinds.items()}
        fitted = self.usual + sum((value for value, _, _ in effects.values()), np.zeros(len(log)))
        expected, variance = np.full(len(log), self.usual), np.full(len(log), self.variance)
        for name, (value, seen, known) in effects.items():
            between = self.of[name].between
            sums = value * (between * seen + self.variance) / between - weight * (log - fitted + value)
            others = np.maximum(seen - weight, 0.0)
            expected += between * sums / (between * others + self.variance)
            variance += between / (1 + between * known * others / np.maximum(seen, 1e-9))
        return expected, variance


def effects_of(log: Float64, weight: Float64, kinds: Mapping[str, Int64]) -> Effects:
    """From logarithms of levels float64[s], what each counts for, and the kinds int64[s] of each series."""
    kinds = dict(sorted(kinds.items(), key=lambda item: len(np.unique(item[1]))))
    usual = float((weight * log).sum() / weight.sum())
    left = max(float((weight * (log - usual) ** 2).sum() / weight.sum()), 1e-4) / (len(kinds) + 1)
    between = {name: _LATER if name == _CAME_LATER else left for name in kinds}
    sizes = {name: _counted(mine, weight) for name, mine in kinds.items()}
    pairs = {
        name: [(other, *_shared(mine, kinds[other], weight)) for other in kinds if other != name]
        for name, mine in kinds.items()
    }
    value: dict[str, Float64] = {name: np.zeros(len(size)) for name, size in sizes.items()}
    known: dict[str, Float64] = dict(sizes)
    fitted = np.zeros(len(log))
    for _ in range(_STEPS):
        for name, mine in kinds.items():  # what the others leave, shrunk: Gauss-Seidel on the mixed model's equations
            fitted -= value[name][mine]
            sums = np.bincount(mine, weights=weight * (log - usual - fitted), minlength=len(sizes[name]))
            value[name] = between[name] * sums / (between[name] * sizes[name] + left)
            fitted += value[name][mine]
        usual = float((weight * (log - fitted)).sum() / weight.sum())
        freedom = float(weight.sum())
        for name, size in sizes.items():
            known[name] = size / left
            for other, own, theirs, both in pairs[name]:
                # What the other column's effect is uncertain by, without the series of this kind.
                apart = between[other] * left / ((sizes[other][theirs] - both) * between[other] + left)
                told = np.bincount(own, weights=1 / (apart + left / both), minlength=len(size))
                known[name] = np.minimum(known[name], told)
            doubt = between[name] / (1 + between[name] * known[name])
            freedom -= float((1 - doubt / between[name])[size > 0].sum())
            if name != _CAME_LATER:
                between[name] = max(float((value[name] ** 2 + doubt)[size > 0].mean()), 1e-6)
        left = max(float((weight * (log - usual - fitted) ** 2).sum()) / max(freedom, 1.0), 1e-4)
    return Effects(
        usual=usual, variance=left,
        of={
            name: Effect(value=value[name], seen=sizes[name], known=known[name], between=between[name])
            for name in kinds
        },
    )  # fmt: skip


def _counted(places: Int64, weight: Float64) -> Float64:
    return np.asarray(np.bincount(places, weights=weight), float)


def _shared(mine: Int64, theirs: Int64, weight: Float64) -> tuple[Int64, Int64, Float64]:
    """Pairs of kinds of two columns that some series are of: (of the first, of the second, how many series)."""
    width = int(theirs.max()) + 1
    pairs, place = np.unique(mine * width + theirs, return_inverse=True)
    return (pairs // width).astype(np.int64), (pairs % width).astype(np.int64), _counted(place, weight)


def shape_of(variance: Float64) -> Float64:
    """Of gamma distributions whose logarithms have these variances (trigamma), by the asymptotic series."""
    return (1 + np.sqrt(1 + 2 * variance)) / (2 * variance)


def ages(panel: Panel) -> Int64:
    """int64[n]: periods since the first sale, that one counted; 0: never sold."""
    found: list[Int64] = []
    for begin in range(0, panel.count, _AT_ONCE):
        seen = np.isfinite(panel.y[begin : begin + _AT_ONCE])
        found.append(np.where(seen.any(axis=1), panel.periods - seen.argmax(axis=1), 0))
    return np.concatenate(found)


def share_at(age: Int64, freq: Freq) -> Float64:
    """float64[n]: how far series are to be forecast from their siblings that have been for sale for so many periods."""
    least = _YOUNG[freq]
    return np.clip((2 * least - age) / least, 0.0, 1.0)


def young(panel: Panel, unseen: Bool | Float64) -> Float64:
    """float64[n]: how far a series is to be forecast from its siblings, 1 all, 0 not at all.

    unseen  bool[n], has no history at all, or how far such a one is to be forecast so; others that were never sold are
            not new, but do not sell
    """
    age = ages(panel)
    # What begins with the panel began before it, as far as is known.
    is_new = (age > 0) & (age < panel.periods)
    return np.where(unseen, unseen, np.where(is_new, share_at(age, panel.freq), 0.0))


def never_sold(siblings: Panel, forecast: Forecast, static: Mapping[str, Int64], share: Float64) -> Forecast:
    """Of m series without any history, from what was forecast of their siblings.

    static  int64[m] by name, as `siblings` has them; a kind that none of them is of has a number that none has
    share   float64[m], above 0: how far each is to be forecast so; the rest is that nothing is asked for
    """
    count, more = siblings.count, len(share)
    panel = replace(
        siblings,
        ids=[*siblings.ids, *([""] * more)],
        y=np.concatenate([siblings.y, np.full((more, siblings.periods), np.nan)]),
        known={}, past={}, sums=None,
        static={name: np.concatenate([of, static[name]]) for name, of in siblings.static.items()},
    )  # fmt: skip
    mean, quantiles = (
        np.concatenate([of, np.zeros((more, *of.shape[1:]))]) for of in (forecast.mean, forecast.quantiles)
    )
    whole = Forecast(levels=forecast.levels, mean=mean, quantiles=quantiles)
    made = filled(panel, whole, np.concatenate([np.zeros(count), share]))
    return Forecast(levels=made.levels, mean=made.mean[count:], quantiles=made.quantiles[count:])


def filled(panel: Panel, forecast: Forecast, unseen: Bool | Float64 | None = None) -> Forecast:
    """The forecast with series that are new put in: of those in `unseen` (see `young`; None: of none) all, of young
    ones a share that falls with their age. Of the others nothing changes. Without a sibling that sells nothing is
    changed at all."""
    unseen = np.zeros(panel.count, bool) if unseen is None else unseen
    share, age = young(panel, unseen), ages(panel)
    new = np.flatnonzero(share > 0)
    window = min(RECENT[panel.freq], panel.periods)
    recent = panel.y[:, -window:]
    # That one was sold is why the first sale is the first: of those that are new it says too much.
    told = np.where((share[:, None] > 0) & (age[:, None] == window - np.arange(window)), np.nan, recent)
    sold, seen = np.nansum(told, axis=1), np.isfinite(told).sum(axis=1)
    siblings = np.flatnonzero((seen > 0) & ((sold > 0) | (share > 0)))
    if len(siblings) == 0 or len(new) == 0:
        return forecast
    log = np.log((sold + 0.5) / np.maximum(seen, 1))
    weight = np.zeros(panel.count)
    weight[siblings] = (sold[siblings] + 0.5) / (sold[siblings] + 0.5 + _SOLD_HALF)
    # What came later sells otherwise than what has been there since the panel begins.
    columns = {_CAME_LATER: ((unseen > 0) | (age < panel.periods - _YOUNG[panel.freq])).astype(np.int64)}
    columns |= {name: values for name, values in panel.static.items() if len(np.unique(values)) > 1}
    effects = effects_of(log[siblings], weight[siblings], {name: of[siblings] for name, of in columns.items()})
    logs, variance = effects.at({name: of[new] for name, of in columns.items()}, log[new], weight[new])
    # Who came later, told by all others, shows how far that is from the truth.
    came = siblings[columns[_CAME_LATER][siblings] == 1]
    missed, doubt = effects.at({name: of[came] for name, of in columns.items()}, log[came], weight[came])
    missed = log[came] - missed
    logs += (weight[came] * missed).sum() / (weight[came].sum() + _LAUNCHES)
    variance *= max(1.0, ((weight[came] * missed**2 / doubt).sum() + _LAUNCHES) / (weight[came].sum() + _LAUNCHES))
    group = _groups(panel, siblings)
    if (mature := siblings[(share[siblings] == 0) & (sold[siblings] > 0)]).size:
        siblings = mature
    level = sold[siblings] / seen[siblings]
    past = _index(recent[siblings], level, group[siblings], int(group.max()) + 1)
    ahead = _index(forecast.mean[siblings], level, group[siblings], int(group.max()) + 1)
    curve = _curves(panel, group)
    scatter = _scatter(recent[siblings], level[:, None] * past[group[siblings]], columns[_CAME_LATER][siblings] == 1)
    sure, usual = shape_of(variance), np.exp(logs)
    own, expected = _seen(panel, new, usual, past[group[new]], curve[group[new]])
    noise = 1 + usual * scatter
    now = sure + own / noise
    places = np.minimum((age[new][:, None] + np.arange(panel.horizon)) // panel.cycle, curve.shape[1] - 1)
    mean = (usual * now / (sure + expected / noise))[:, None] * ahead[group[new]]
    mean *= curve[group[new][:, None], places]
    quantiles = count_quantiles(mean, mean * (1 + mean * scatter) + mean**2 / now[:, None], forecast.levels)
    weight = share[new][:, None]
    all_mean, all_quantiles = forecast.mean.copy(), forecast.quantiles.copy()
    all_mean[new] = weight * mean + (1 - weight) * all_mean[new]
    all_quantiles[new] = weight[..., None] * quantiles + (1 - weight[..., None]) * all_quantiles[new]
    return Forecast(levels=forecast.levels, mean=all_mean, quantiles=all_quantiles)


def _groups(panel: Panel, siblings: Int64) -> Int64:
    """int64[n]: the kinds of series whose seasons are most alike; 0 for all if nothing is said of kinds."""
    some = siblings[:: max(1, len(siblings) // _SEASONS_OF)]
    best = annual.kinds_of(panel.rows(some))
    named = (kinds for kinds in panel.static.values() if np.array_equal(kinds[some], best))
    return next(named, np.zeros(panel.count, np.int64))


def _index(values: Float64, level: Float64, group: Int64, groups: int) -> Float64:
    """float64[groups, t]: demand of all series of a group over their levels; of all series where a group has none."""
    there = np.isfinite(values)
    top, bottom = np.zeros((groups, values.shape[1])), np.zeros((groups, values.shape[1]))
    np.add.at(top, group, np.where(there, values, 0.0))
    np.add.at(bottom, group, np.where(there, level[:, None], 0.0))
    everyone = top.sum(axis=0) / np.maximum(bottom.sum(axis=0), 1e-12)
    index = np.where(bottom > 0, top / np.maximum(bottom, 1e-12), everyone)
    return np.clip(index, *_INDEX)


def _curves(panel: Panel, group: Int64) -> Float64:
    """float64[groups, cycles]: demand at an age in cycles (the first sale left out: that one was sold is why it is the
    first), relative to what came after; shrunk to that of all launches, and to 1, by their number."""
    least, cycle = _YOUNG[panel.freq], panel.cycle
    cycles = -(-2 * least // cycle)
    age = ages(panel)
    launched = np.flatnonzero((age > 4 * least) & (age <= panel.periods - least))
    groups = int(group.max()) + 1
    if len(launched) == 0:
        return np.ones((groups, cycles))
    begin = panel.periods - age[launched] + 1
    first = panel.y[launched[:, None], begin[:, None] + np.arange(4 * least - 1)]
    with np.errstate(invalid="ignore", divide="ignore"):
        later = _mean(first[:, 2 * least :])
        early = np.stack([_mean(first[:, c * cycle : (c + 1) * cycle]) for c in range(cycles)], axis=1)
        ratio = early / later[:, None]
    good = np.isfinite(ratio).all(axis=1)
    ratio, mine = np.minimum(ratio[good], _RATIO_MAX), group[launched][good]
    all_of = (ratio.sum(axis=0) + _LAUNCHES) / (len(ratio) + _LAUNCHES)
    sums = np.zeros((groups, cycles))
    np.add.at(sums, mine, ratio)
    number = np.bincount(mine, minlength=groups)[:, None]
    return (sums + _LAUNCHES * all_of) / (number + _LAUNCHES)


def _mean(values: Float64) -> Float64:
    there = np.isfinite(values)
    return np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1)


def _scatter(y: Float64, expected: Float64, later: Bool) -> float:
    """What demand scatters by more than a Poisson distribution, relative to the square of its mean: the median of
    siblings that sold enough to tell, of those that came later (bool[s]) if they are enough."""
    there = np.isfinite(y)
    excess = np.where(there, (y - expected) ** 2 - expected, 0.0).sum(axis=1)
    squares = np.where(there, expected**2, 0.0).sum(axis=1)
    enough = np.nansum(y, axis=1) >= _SOLD_MIN
    if (enough & later).sum() >= _LAUNCHES:
        enough &= later
    return max(float(np.median((excess / squares)[enough])), 0.0) if enough.any() else 1.0


def _seen(panel: Panel, new: Int64, usual: Float64, index: Float64, curve: Float64) -> tuple[Float64, Float64]:
    """(demand, what siblings said of it) float64[len(new)], since the first sale and without it."""
    window = index.shape[1]
    y = panel.y[new, -window:]
    age: Int64 = ages(panel)[new][:, None] - window + np.arange(window, dtype=np.int64)
    there = np.isfinite(y) & (age > 0)
    place = np.clip((age - 1) // panel.cycle, 0, curve.shape[1] - 1)
    expected = usual[:, None] * index * np.take_along_axis(curve, place, axis=1)
    return np.where(there, y, 0.0).sum(axis=1), np.where(there, expected, 0.0).sum(axis=1)


def count_quantiles(mean: Float64, variance: Float64, levels: Float64) -> Float64:
    """float64[..., Q] of negative binomial distributions (Poisson's where the variance is not above the mean), whole;
    of large means by the gamma distribution, as Wilson and Hilferty (1931) have it."""
    shape = mean.shape
    mean, variance = mean.ravel(), variance.ravel()
    out = np.zeros((len(mean), len(levels)))
    many = mean > _COUNTED_MAX
    if many.any():
        z = np.array([NormalDist().inv_cdf(float(level)) for level in levels])
        form = (mean[many] ** 2 / np.maximum(variance[many], mean[many]))[:, None]
        out[many] = np.rint(mean[many, None] * np.maximum(1 - 1 / (9 * form) + z / (3 * np.sqrt(form)), 0.0) ** 3)
    few = np.flatnonzero(~many & (mean > 0))
    mu = mean[few]
    size = mu**2 / np.maximum(variance[few] - mu, 1e-9 * mu)
    chance = np.exp(-size * np.log1p(mu / size))
    below, found, value = chance.copy(), np.zeros((len(few), len(levels))), 0
    open_ = below < levels[-1]
    while open_.any():
        found += (below[:, None] < levels) & open_[:, None]
        chance = chance * (size + value) / (value + 1) * mu / (size + mu)
        below = below + chance
        value += 1
        open_ = open_ & (below < levels[-1]) & (value < 100 * _COUNTED_MAX)
    out[few] = found
    return out.reshape(*shape, len(levels))
