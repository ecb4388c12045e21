"""The middle and the spread of a target, and the chance of being late, by trees or by lanes; and out of fold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from onhand.fulfilment.delivery import features
from onhand.fulfilment.delivery.features import FOLDS, Groups
from onhand.fulfilment.delivery.lanes import learn_effects
from onhand.fulfilment.delivery.model import Bool, Float64, Int64, Shipments
from onhand.fulfilment.delivery.trees import LateTrees, MiddleTrees, SpreadTrees

# A share of fewer is not one that groups could differ by.
_LATE_MIN = 10
# Added to distances of log days, so that what was met exactly has a logarithm too.
_SMALL = 0.05
# How much of the middle trees say, lanes the rest.
_SHARES = np.arange(11) / 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What is learned from, float64[n] each: the target and whether it came late, NaN where weights are 0."""

    target: Float64
    weight: Float64
    late: Float64
    late_weight: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """float64[n] each: the middle of the target, a unit of distance from it, the chance of being late."""

    middle: Float64
    spread: Float64
    late: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    groups: Groups
    features: Float64

    def rows(self, which: Bool) -> "_Table":
        return _Table(groups=self.groups.rows(which), features=self.features[which])


_Predict: TypeAlias = Callable[[_Table], Float64]


class _Learner(Protocol):
    """Each learns of rows float64[n]: their target and their weight."""

    def middle(self, table: _Table, target: Float64, weight: Float64) -> _Predict: ...

    def spread(self, table: _Table, log_distance: Float64, weight: Float64) -> _Predict: ...

    def late(self, table: _Table, late: Float64, weight: Float64) -> _Predict: ...


class Regression:
    """out_of_fold  of each row of the history, by models that have not seen its week."""

    def __init__(self, history: Shipments, groups: Groups, learning: Learning, *, trees: bool, seed: int) -> None:
        self._numbers, self._season = sorted(history.numbers), features.has_seasons(history)
        self._groups, folds = groups, features.folds_of(history)
        days, self._means = self._encoded(learning.target, learning.weight, folds)
        lates, self._rates = self._encoded(learning.late, learning.late_weight, folds)
        plain = features.plain(history, self._numbers, season=self._season)
        table = _Table(groups=self._groups, features=np.column_stack([plain, days, lates]))
        by: _Learner = _ByTrees(seed) if trees else _ByLanes()

        def learned(
            learn: Callable[[_Table, Float64, Float64], _Predict], target: Float64, weight: Float64
        ) -> tuple[Float64, _Predict]:
            """(out of fold, a model of all)."""
            models = [
                learn(table.rows(rows), target[rows], weight[rows])
                for rows in (*((folds != fold) & (weight > 0) for fold in range(FOLDS)), weight > 0)
            ]
            out = np.empty(len(folds))
            for fold, model in enumerate(models[:FOLDS]):
                out[folds == fold] = model(table.rows(folds == fold))
            return out, models[FOLDS]

        middle, self._middle = learned(by.middle, learning.target, learning.weight)
        if trees:
            # They err elsewhere: together they may be nearer than each.
            by_lanes, of_lanes = learned(_ByLanes().middle, learning.target, learning.weight)
            share = _best_share(middle, by_lanes, learning)
            middle, self._middle = _mixed(share, middle, by_lanes), _both(share, self._middle, of_lanes)
        distance = np.log(np.abs(learning.target - middle) + _SMALL)
        spread, self._spread = learned(by.spread, distance, learning.weight)
        late, self._late = learned(by.late, learning.late, learning.late_weight)
        self.out_of_fold = Guess(middle=middle, spread=spread, late=late)

    def predict(self, shipments: Shipments) -> Guess:
        groups = features.groups_of(shipments, self._groups)
        columns = [
            features.plain(shipments, self._numbers, season=self._season),
            features.looked_up(groups, self._means), features.looked_up(groups, self._rates),
        ]  # fmt: skip
        table = _Table(groups=groups, features=np.column_stack(columns))
        return Guess(middle=self._middle(table), spread=self._spread(table), late=self._late(table))

    def _encoded(self, target: Float64, weight: Float64, folds: Int64) -> tuple[Float64, dict[str, Float64]]:
        known = np.nan_to_num(target)
        level = float(np.average(known, weights=weight)) if weight.any() else 0.0
        return features.group_means(self._groups, np.where(weight > 0, known - level, 0.0), weight, folds)


class _ByTrees:
    def __init__(self, seed: int) -> None:
        self._seed = seed

    def middle(self, table: _Table, target: Float64, weight: Float64) -> _Predict:
        model = MiddleTrees(table.features, target, weight, seed=self._seed)
        return lambda of: model.predict(of.features)

    def spread(self, table: _Table, log_distance: Float64, weight: Float64) -> _Predict:
        model = SpreadTrees(table.features, log_distance, weight, seed=self._seed)
        return lambda of: model.predict(of.features)

    def late(self, table: _Table, late: Float64, weight: Float64) -> _Predict:
        if not _tells(late):
            return _rate(late, weight)
        model = LateTrees(table.features, late, weight, seed=self._seed)
        return lambda of: model.predict(of.features)


class _ByLanes:
    def middle(self, table: _Table, target: Float64, weight: Float64) -> _Predict:
        effects = learn_effects(table.groups, target, weight)
        return lambda of: effects.at(of.groups)

    def spread(self, table: _Table, log_distance: Float64, weight: Float64) -> _Predict:
        effects = learn_effects(table.groups, log_distance, weight)
        return lambda of: np.exp(effects.at(of.groups))

    def late(self, table: _Table, late: Float64, weight: Float64) -> _Predict:
        if not _tells(late):
            return _rate(late, weight)
        effects = learn_effects(table.groups, late, weight)
        return lambda of: np.clip(effects.at(of.groups), 0.0, 1.0)


def _tells(late: Float64) -> bool:
    return _LATE_MIN <= late.sum() <= len(late) - _LATE_MIN


def _rate(late: Float64, weight: Float64) -> _Predict:
    """The same of all; to few or none, one late in ten is added."""
    weight = weight / weight.mean() if len(weight) else weight
    rate = float((weight @ late + 1) / (weight.sum() + 10))
    return lambda of: np.full(len(of.features), rate)


def _best_share(by_trees: Float64, by_lanes: Float64, learning: Learning) -> float:
    rows = learning.weight > 0
    off = [
        np.average(np.abs(learning.target - _mixed(share, by_trees, by_lanes))[rows], weights=learning.weight[rows])
        for share in _SHARES.tolist()
    ]
    return float(_SHARES[int(np.argmin(off))])


def _mixed(share: float, by_trees: Float64, by_lanes: Float64) -> Float64:
    return share * by_trees + (1 - share) * by_lanes


def _both(share: float, trees: _Predict, lanes: _Predict) -> _Predict:
    return lambda of: _mixed(share, trees(of), lanes(of))
