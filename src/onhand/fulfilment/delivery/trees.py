"""Boosted trees by LightGBM (extra `forecast`): the middle and the spread of log days, and the chance of being late."""

import os
from typing import Any, Final, cast

import numpy as np

from onhand.fulfilment.delivery.model import Float64

_COMMON: Final[dict[str, Any]] = {
    "verbosity": -1, "deterministic": True, "force_row_wise": True, "num_threads": 1, "max_bin": 127,
    "learning_rate": 0.05, "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0,
}  # fmt: skip
_TREES: Final = 150
# Leaves of shallow trees for some thousand shipments; deeper ones pay from some ten thousand on.
_LEAVES: Final = ((20_000, 31, 100), (6_000, 15, 50), (0, 6, 30))
# Distances scatter more than what they are distances from.
_SPREAD: Final[dict[str, Any]] = {"objective": "l2", "lambda_l2": 20.0, "learning_rate": 0.02}


class MiddleTrees:
    """The middle of a target, half mean and half median; features float64[n, F] may have NaN."""

    def __init__(self, features: Float64, target: Float64, weight: Float64, *, seed: int) -> None:
        self._models = [
            _trained(features, target, weight, objective, seed)
            for objective in ({"objective": "l2"}, {"objective": "quantile", "alpha": 0.5})
        ]

    def predict(self, features: Float64) -> Float64:
        mean, median = (cast(Float64, model.predict(features)) for model in self._models)
        return (mean + median) / 2


class SpreadTrees:
    """How far a target lies from its middle: the exponential of the mean logarithm of distances."""

    def __init__(self, features: Float64, log_distance: Float64, weight: Float64, *, seed: int) -> None:
        self._model = _trained(features, log_distance, weight, _SPREAD, seed)

    def predict(self, features: Float64) -> Float64:
        return np.exp(cast(Float64, self._model.predict(features)))


class LateTrees:
    """The chance that something is so, bool[n]."""

    def __init__(self, features: Float64, so: Float64, weight: Float64, *, seed: int) -> None:
        self._model = _trained(features, so, weight, {"objective": "binary", "learning_rate": 0.03}, seed)

    def predict(self, features: Float64) -> Float64:
        made: Float64 = self._model.predict(features)
        return made


def _trained(features: Float64, target: Float64, weight: Float64, objective: dict[str, Any], seed: int) -> Any:
    # Threads of OpenMP turn in circles while they wait, unless told before it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import lightgbm  # noqa: PLC0415 - an extra

    _, leaves, rows = next(size for size in _LEAVES if len(target) >= size[0])
    settings = {**_COMMON, "seed": seed, "num_leaves": leaves, "min_data_in_leaf": rows, **objective}
    table = lightgbm.Dataset(
        features, label=target, weight=weight / np.mean(weight), params={"max_bin": 127, "verbosity": -1}
    )
    return cast(Any, lightgbm).train(settings, table, num_boost_round=_TREES)
