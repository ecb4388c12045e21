"""Forecasts of sums (category, node, region) that add up with those of their series.

A sum is forecast twice: as the sum of its series, and by itself, where noise cancels out and a season shows. Bottom-up
takes the first as it is. Minimum trace (MinT; Wickramasuriya, Athanasopoulos and Hyndman 2019) corrects each series by
what its sums say better, weighing both by how far each went wrong: with C = [I, -A] (C z is zero when all adds up),
base forecasts z of sums and series, and the covariance W of their errors,

    z - W C' (C W C')^-1 C z

adds up and has the least total variance of what does. Only an m x m system is solved, m the number of sums, so it
serves very many series. W is taken as the number of series in a sum ("wls_struct"), the mean square of past errors
("wls_var"), or their covariance shrunk towards that (Schäfer and Strimmer 2005; "mint_shrink"). What falls below 0 is
set to 0 and summed again (Di Fonzo and Girolimetto 2023).

Quantiles of a sum are those of its own forecast, moved to the mean that adds up by the factor between the means; so
are those of a series. The quantiles of a sum are not the sums of quantiles: how far series move together is seen in the
past of the sum itself, which is what its own forecast was calibrated on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from onhand.demand import simple
from onhand.demand.panel import Float64, Forecast, Int64, Panel

Method = Literal["bottom_up", "wls_struct", "wls_var", "mint_shrink"]
METHODS: Final[tuple[Method, ...]] = ("bottom_up", "wls_struct", "wls_var", "mint_shrink")

# Past origins whose errors tell the weights, one short cycle apart.
_ORIGINS: Final = 8
# Added to variances: a series that was never sold has made no error.
_LEAST: Final = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """m sums of n series at L levels.

    levels   one name each
    names    of each sum, level by level
    level    int64[m], of each sum, places in `levels`
    members  int64[L, n], of each series the place of its sum at each level
    """

    levels: Sequence[str]
    names: Sequence[str]
    level: Int64
    members: Int64

    @property
    def count(self) -> int:
        """How many sums."""
        return len(self.names)

    def sums(self, values: Float64) -> Float64:
        """float64[m, ...] of values float64[n, ...]."""
        out = np.zeros((self.count, *values.shape[1:]))
        for members in self.members:
            np.add.at(out, members, values)
        return out

    def spread(self, values: Float64) -> Float64:
        """float64[n, ...]: of each series the values float64[m, ...] of its sums, added up (the transpose)."""
        return np.asarray(sum((values[members] for members in self.members), np.zeros((1,) * values.ndim)), float)


def hierarchy_of(kinds: Mapping[str, Sequence[str]]) -> Hierarchy:
    """From the name that each series' sum has, for each level."""
    names: list[str] = []
    level: list[int] = []
    members: list[Int64] = []
    for place, of in enumerate(kinds.values()):
        found = {name: len(names) + number for number, name in enumerate(sorted(set(of)))}
        members.append(np.array([found[name] for name in of], np.int64))
        names += found
        level += [place] * len(found)
    return Hierarchy(levels=[*kinds], names=names, level=np.array(level, np.int64), members=np.stack(members))


def summed(panel: Panel, hierarchy: Hierarchy) -> Panel:
    """The panel of the sums, to be forecast by itself.

    A period of a series that was not observed counts with its mean. Of what is known, quantities become the mean of
    those that have one, kinds stay where all series have the same, as does what a sum is of.
    """
    begun = np.cumsum(np.isfinite(panel.y), axis=1) > 0
    seen = np.isfinite(panel.y)
    mean = np.where(seen, panel.y, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    filled = np.where(seen, panel.y, np.where(begun, mean[:, None], 0.0))
    some = hierarchy.sums(begun.astype(float)) > 0
    static = {name: _common(kinds, hierarchy) for name, kinds in panel.static.items()}
    return replace(
        panel,
        ids=hierarchy.names,
        y=np.where(some, hierarchy.sums(filled), np.nan),
        known={name: _together(v, hierarchy, name in panel.categories) for name, v in panel.known.items()},
        past={name: _together(v, hierarchy, name in panel.categories) for name, v in panel.past.items()},
        static={**static, "level": hierarchy.level},
        sums=None,
    )


def _common(kinds: Int64, hierarchy: Hierarchy) -> Int64:
    """int64[m]: the kind that all series of a sum are of, or one more than there are."""
    none = int(kinds.max(initial=-1)) + 1
    least, most = np.full(hierarchy.count, none, np.int64), np.full(hierarchy.count, -1, np.int64)
    for members in hierarchy.members:
        np.minimum.at(least, members, kinds)
        np.maximum.at(most, members, kinds)
    return np.where(least == most, least, none)


def _together(values: Float64, hierarchy: Hierarchy, is_kind: bool) -> Float64:
    if len(values) == 1:
        return values
    there = np.isfinite(values)
    count = hierarchy.sums(there.astype(float))
    mean = hierarchy.sums(np.where(there, values, 0.0)) / np.maximum(count, 1)
    if is_kind:
        least, most = np.full_like(mean, np.inf), np.full_like(mean, -np.inf)
        for members in hierarchy.members:
            np.minimum.at(least, members, np.where(there, values, np.inf))
            np.maximum.at(most, members, np.where(there, values, -np.inf))
        return np.where((count > 0) & (least == most), least, np.nan)
    return np.where(count > 0, mean, np.nan)


def past_errors(panel: Panel) -> Float64:
    """float64[n, r]: what the mean of the last four same weekdays (the level, for weeks and months) missed at past
    origins; 0 where nothing was observed. Only how errors of series compare counts, not how good the forecast is."""
    horizon = min(panel.horizon, max(1, panel.periods // 4))
    step = max(1, panel.cycle)
    latest = panel.periods - horizon
    errors: list[Float64] = []
    for origin in (latest - step * back for back in range(_ORIGINS)):
        if origin < max(1, min(4 * panel.cycle, latest)):
            break
        made = simple.phase_mean(panel.before(origin, horizon)) if panel.cycle > 1 else _level(panel, origin, horizon)
        errors.append(panel.y[:, origin : origin + horizon] - made)
    return np.nan_to_num(np.concatenate(errors, axis=1)) if errors else np.zeros((panel.count, 1))


def _level(panel: Panel, origin: int, horizon: int) -> Float64:
    return simple.ses(panel.before(origin, horizon))


def combined(
    series: Float64,
    sums: Float64,
    hierarchy: Hierarchy,
    method: Method = "mint_shrink",
    *,
    errors: tuple[Float64, Float64] | None = None,
) -> Float64:
    """float64[n, H]: means of the series, at least 0, whose sums are what all forecasts together say best.

    series  float64[n, H], base forecasts; sums float64[m, H], of the sums
    errors  float64[n, r] and float64[m, r] of the same past periods: needed but for "bottom_up" and "wls_struct"
    """
    if method == "bottom_up":
        return np.maximum(series, 0.0)
    if method == "wls_struct":
        share, mine, theirs = 1.0, np.zeros((len(series), 1)), np.zeros((len(sums), 1))
        of_series, of_sums = np.ones(len(series)), hierarchy.sums(np.ones(len(series)))
    else:
        if errors is None:
            raise ValueError(f"expected past errors for {method}")
        mine, theirs = errors
        if method == "mint_shrink":  # a covariance is about a mean, mean squares are about 0
            mine, theirs = mine - mine.mean(axis=1, keepdims=True), theirs - theirs.mean(axis=1, keepdims=True)
        periods = max(1, mine.shape[1] - (method == "mint_shrink"))
        of_series, of_sums = ((e**2).sum(axis=1) / periods + _LEAST for e in (mine, theirs))
        mine, theirs = mine / np.sqrt(periods), theirs / np.sqrt(periods)
        share = shrinkage(np.concatenate([mine, theirs])) if method == "mint_shrink" else 1.0
    # W = share x diagonal + (1 - share) x E E': never formed, only what is left of it between sums.
    apart = theirs - hierarchy.sums(mine)
    between = (1 - share) * apart @ apart.T
    for first in hierarchy.members:
        for second in hierarchy.members:
            np.add.at(between, (first, second), share * of_series)
    between[np.diag_indices(hierarchy.count)] += share * of_sums
    missed = np.asarray(np.linalg.solve(between, sums - hierarchy.sums(series)), float)
    move = share * of_series[:, None] * hierarchy.spread(missed) - (1 - share) * mine @ (apart.T @ missed)
    return np.maximum(series + move, 0.0)


def shrinkage(errors: Float64) -> float:
    """By how much correlations of errors float64[p, r], of mean 0, are to be shrunk to 0: the variance of correlations
    over their squares (Schäfer and Strimmer 2005, table 1), in [0, 1].

    Sums over all pairs of series come from the r x r products of periods, in time O(p r^2)."""
    periods = errors.shape[1]
    if periods < 3:
        return 1.0
    size = np.sqrt((errors**2).sum(axis=1, keepdims=True))
    x = np.sqrt(periods) * errors / np.where(size > 0, size, 1.0)  # standardised: mean square 1
    squares = (x**2).sum(axis=0)
    pairs = (squares**2).sum() - (x**4).sum()  # sum over i != j and periods of (x_i x_j)^2
    products = x.T @ x / periods
    same = ((x**2).mean(axis=1) ** 2).sum()
    correlations = (products**2).sum() - same  # sum over i != j of the squared mean of x_i x_j
    # The unbiased correlation is (r / (r - 1)) times the mean; both variances with it.
    variance = periods / (periods - 1) ** 3 * (pairs - periods * correlations)
    squared = (periods / (periods - 1)) ** 2 * correlations
    return float(np.clip(variance / squared, 0.0, 1.0)) if squared > 0 else 1.0


def moved(forecast: Forecast, mean: Float64) -> Forecast:
    """With this mean float64[n, H], its quantiles by the factor between the means; where nothing had been forecast, the
    mean itself."""
    there = forecast.mean > 0
    factor = np.where(there, mean / np.where(there, forecast.mean, 1.0), 0.0)[..., None]
    quantiles = np.where(there[..., None], forecast.quantiles * factor, mean[..., None])
    return Forecast(levels=forecast.levels, mean=mean, quantiles=quantiles)


def reconcile(
    series: Forecast,
    sums: Forecast,
    hierarchy: Hierarchy,
    method: Method,
    *,
    errors: tuple[Float64, Float64] | None = None,
) -> tuple[Forecast, Forecast]:
    """(of the series, of the sums): means that add up, and quantiles moved with them. With "bottom_up" the forecast of
    the series stays as it was."""
    mean = combined(series.mean, sums.mean, hierarchy, method, errors=errors)
    return (series if method == "bottom_up" else moved(series, mean)), moved(sums, hierarchy.sums(mean))
