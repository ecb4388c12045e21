"""One model of boosted trees for all series: their mean and their quantiles.

Trees by LightGBM (extra `forecast`). The mean has the Tweedie objective, as the winners of M5 had (Makridakis,
Spiliotis and Assimakopoulos 2022), and starts from the level of the series. Quantiles are learned as multiples of the
level, weighted so that each series counts by its own scale: what is minimised is the scaled pinball loss.
"""

import os
from typing import Any, Final, cast

import numpy as np

from onhand.demand.features import Features, Rows, origins_of
from onhand.demand.panel import Float64, Forecast, Panel, scales

ROWS_MAX: Final = 500_000
_ROWS_OF_ONE: Final = 60_000
_ORIGINS: Final = 45
_MEAN: Final[dict[str, Any]] = {
    "objective": "tweedie", "tweedie_variance_power": 1.15, "learning_rate": 0.06, "num_leaves": 63,
    "min_data_in_leaf": 80, "feature_fraction": 0.6, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 1.0,
    "cat_smooth": 30, "max_cat_threshold": 16,
}  # fmt: skip
_QUANTILE: Final[dict[str, Any]] = {
    "objective": "quantile", "learning_rate": 0.08, "num_leaves": 31, "min_data_in_leaf": 120,
    "feature_fraction": 0.6, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 1.0, "cat_smooth": 30,
    "max_cat_threshold": 16,
}  # fmt: skip
_MEAN_TREES: Final = 200
_QUANTILE_TREES: Final = 120
# So close to nothing expm1(x) / x is 1 within the width of a double.
_STILL: Final = 1e-12


class Boosted:
    """Trained on a panel; forecasts from any origin of it."""

    def __init__(self, panel: Panel, horizon: int, levels: Float64, *, seed: int = 0, threads: int = 0) -> None:
        """Train on every origin whose horizon has been observed. Raises ImportError without the extra `forecast`."""
        # Threads of OpenMP turn in circles while they wait, unless told before it is loaded: beside other work training
        # took five to ten times as long.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import lightgbm  # noqa: PLC0415 - an extra

        train = cast(Any, lightgbm).train  # its own types are partial
        self._levels, self._horizon = levels, horizon
        features = Features(panel)
        rows, target = _rows(panel, features, horizon, seed)
        names = self._names = features.names
        self._groups = features.groups
        common = {
            "verbosity": -1, "seed": seed, "deterministic": True, "force_row_wise": True, "max_bin": 127,
            # Threads wait for each other longer than a small table takes.
            "num_threads": threads if len(target) > _ROWS_OF_ONE else 1,
        }  # fmt: skip

        def dataset(label: Float64, **more: Any) -> Any:
            return lightgbm.Dataset(
                rows.features, label=label, feature_name=list(names.columns), categorical_feature=list(names.kinds),
                free_raw_data=False, params={"max_bin": 127, "verbosity": -1}, **more,
            )  # fmt: skip

        self._mean: Any = train(
            {**_MEAN, **common}, dataset(target, init_score=np.log(rows.level)), num_boost_round=_MEAN_TREES
        )
        scale = np.nan_to_num(scales(panel.y), nan=1.0)
        weight = np.minimum(rows.level / np.maximum(scale[rows.series], 1e-3), 20.0)
        ratios = dataset(target / rows.level, weight=weight)
        self._quantiles: list[Any] = [
            train({**_QUANTILE, **common, "alpha": float(level)}, ratios, num_boost_round=_QUANTILE_TREES)
            for level in levels
        ]

    def forecast(self, panel: Panel) -> Forecast:
        """Of the horizon after all that `panel` observed: series it was trained on, or others like them, then or
        later."""
        count, horizon = panel.count, panel.horizon
        features = Features(panel, self._groups)
        series, ahead = (a.ravel() for a in np.mgrid[0:count, 0:horizon])
        rows = features.at(panel.periods, series, np.minimum(ahead, horizon - 1))
        raw: Float64 = self._mean.predict(rows.features, raw_score=True)
        mean = np.exp(raw) * rows.level
        ratios: list[Float64] = [model.predict(rows.features) for model in self._quantiles]
        quantiles = np.stack(ratios, axis=1) * rows.level[:, None]
        shape = count, horizon
        return Forecast(
            levels=self._levels,
            mean=np.maximum(mean.reshape(shape), 0.0),
            quantiles=np.sort(np.maximum(quantiles, 0.0), axis=1).reshape(*shape, len(self._levels)),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features, in the order of `parts`."""
        return self._names.columns

    def parts(self, panel: Panel) -> tuple[Float64, Float64]:
        """What the mean of `forecast` is made of, in units: a base float64[n, h], and what each feature brings to it,
        float64[n, h, F]; together they are the mean.

        Trees add up on a scale of logarithms: ln(mean / level) = p0 + sum of p[f], by TreeSHAP (Lundberg and others
        2020, From local explanations to global understanding with explainable AI for trees). The base is
        level exp(p0), what trees say of this level where they know nothing else. A feature brings
        p[f] (mean - base) / ln(mean / base): the logarithmic mean division (Ang 2005, The LMDI approach to
        decomposition analysis), which keeps signs and proportions and leaves nothing over.
        Some milliseconds for each row.
        """
        count, horizon = panel.count, panel.horizon
        series, ahead = (a.ravel() for a in np.mgrid[0:count, 0:horizon])
        rows = Features(panel, self._groups).at(panel.periods, series, ahead)
        # One thread: somebody waits for few rows while others are served.
        told: Float64 = self._mean.predict(rows.features, pred_contrib=True, num_threads=1)
        shares, total = told[:, :-1], told[:, :-1].sum(axis=1)
        base = np.exp(told[:, -1]) * rows.level
        # (mean - base) / ln(mean / base), which is the base where they are the same.
        still = np.abs(total) < _STILL
        logarithmic = base * np.where(still, 1.0, np.expm1(total) / np.where(still, 1.0, total))
        brought = shares * logarithmic[:, None]
        return base.reshape(count, horizon), brought.reshape(count, horizon, shares.shape[1])

    def contributions(self) -> dict[str, float]:
        """How much each feature brought to the mean, as shares of all (gain)."""
        gain = self._mean.feature_importance("gain")
        total = max(float(gain.sum()), 1e-12)
        return {name: float(g) / total for name, g in zip(self._names.columns, gain, strict=True)}


def _rows(panel: Panel, features: Features, horizon: int, seed: int) -> tuple[Rows, Float64]:
    origins = origins_of(panel, panel.periods, horizon, _ORIGINS)
    random = np.random.default_rng(seed)
    share = min(1.0, ROWS_MAX / max(1, panel.count * horizon * len(origins)))
    parts: list[Rows] = []
    targets: list[Float64] = []
    for origin in origins:
        future = panel.y[:, origin : origin + horizon]
        seen = np.isfinite(panel.y[:, :origin]).sum(axis=1, keepdims=True)
        drawn = random.random(future.shape) < share
        series, ahead = np.nonzero(np.isfinite(future) & (seen > 0) & drawn)
        parts.append(features.at(origin, series, ahead))
        targets.append(future[series, ahead])
    return Rows(
        features=np.concatenate([part.features for part in parts]),
        series=np.concatenate([part.series for part in parts]),
        ahead=np.concatenate([part.ahead for part in parts]),
        level=np.concatenate([part.level for part in parts]),
    ), np.concatenate(targets)
