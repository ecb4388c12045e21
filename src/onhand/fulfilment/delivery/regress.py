"""The middle and the spread of a target, and the chance of being late, by trees or by lanes; and out of fold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from onhand.fulfilment.delivery import features
from onhand.fulfilment.delivery.features import FOLDS, Groups
from onhand.fulfilment.delivery.lanes import learn_effects
from onhand.fulfilment.delivery.model import Bool, Float64, Shipments
from onhand.fulfilment.delivery.trees import LateTrees, MiddleTrees, SpreadTrees

# A share of fewer is not one that groups could differ by.
_LATE_MIN = 10
# Added to distances of log days, so that what was met exactly has a logarithm too.
_SMALL = 0.05
# How much of the middle the first of two says.
_SHARES = np.arange(11) / 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """float64[n] each: the logarithm of days that one leg of the way took, NaN where weights are 0."""

    log_days: Float64
    weight: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What is learned from, float64[n] each: the target and whether it came late, NaN where weights are 0.

    base  logarithm of days that the target counts from
    legs  that add up to all days; none: they are not known
    """

    target: Float64
    base: Float64
    weight: Float64
    late: Float64
    late_weight: Float64
    legs: Sequence[Leg] = ()


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
    """Where legs are known, a model of each says of the middle what all days at once do not: sellers differ in how long
    they take to hand over, lanes in what comes then. Their sum, and the model of all days, count as they did best out
    of fold.

    out_of_fold  of each row of the history, by models that have not seen its week
    """

    def __init__(self, history: Shipments, groups: Groups, learning: Learning, *, trees: bool, seed: int) -> None:
        self._numbers, self._season = sorted(history.numbers), features.has_seasons(history)
        self._groups, self._folds = groups, features.folds_of(history)
        self._trees, self._seed = trees, seed
        plain = features.plain(history, self._numbers, season=self._season)
        days, self._means = self._encoded(learning.target, learning.weight)
        lates, self._rates = self._encoded(learning.late, learning.late_weight)
        table = _Table(groups=groups, features=np.column_stack([plain, days, lates]))
        middle, self._middle = self._learned_middle(table, learning.target, learning.weight)
        self._legs: list[tuple[Mapping[str, Float64], _Predict]] = []
        self._share = 1.0
        if learning.legs:
            by_leg = np.logaddexp.reduce([self._learned_leg(leg, plain) for leg in learning.legs]) - learning.base
            self._share = _best_share(middle, by_leg, learning.target, learning.weight)
            middle = _mixed(self._share, middle, by_leg)
        by = self._learner
        distance = np.log(np.abs(learning.target - middle) + _SMALL)
        spread, self._spread = self._learned(by.spread, table, distance, learning.weight)
        late, self._late = self._learned(by.late, table, learning.late, learning.late_weight)
        self.out_of_fold = Guess(middle=middle, spread=spread, late=late)

    def predict(self, shipments: Shipments, base: Float64) -> Guess:
        """base  float64[n], logarithm of days that the target counts from"""
        groups = features.groups_of(shipments, self._groups)
        plain = features.plain(shipments, self._numbers, season=self._season)

        def table(*means: Mapping[str, Float64]) -> _Table:
            looked_up = [features.looked_up(groups, of) for of in means]
            return _Table(groups=groups, features=np.column_stack([plain, *looked_up]))

        whole = table(self._means, self._rates)
        middle = self._middle(whole)
        if self._legs:
            by_leg = np.logaddexp.reduce([predict(table(means)) for means, predict in self._legs]) - base
            middle = _mixed(self._share, middle, by_leg)
        return Guess(middle=middle, spread=self._spread(whole), late=self._late(whole))

    @property
    def _learner(self) -> "_Learner":
        return _ByTrees(self._seed) if self._trees else _ByLanes()

    def _learned_leg(self, leg: Leg, plain: Float64) -> Float64:
        """Its logarithm of days out of fold."""
        encoded, means = self._encoded(leg.log_days, leg.weight)
        table = _Table(groups=self._groups, features=np.column_stack([plain, encoded]))
        out, predict = self._learned_middle(table, leg.log_days, leg.weight)
        self._legs.append((means, predict))
        return out

    def _learned_middle(self, table: _Table, target: Float64, weight: Float64) -> tuple[Float64, _Predict]:
        """(out of fold, a model of all)."""
        middle, predict = self._learned(self._learner.middle, table, target, weight)
        if not self._trees:
            return middle, predict
        # They err elsewhere: together they may be nearer than each.
        by_lanes, of_lanes = self._learned(_ByLanes().middle, table, target, weight)
        share = _best_share(middle, by_lanes, target, weight)
        return _mixed(share, middle, by_lanes), _both(share, predict, of_lanes)

    def _learned(
        self, learn: Callable[[_Table, Float64, Float64], _Predict], table: _Table, target: Float64, weight: Float64
    ) -> tuple[Float64, _Predict]:
        """(out of fold, a model of all)."""
        folds = self._folds
        models = [
            learn(table.rows(rows), target[rows], weight[rows])
            for rows in (*((folds != fold) & (weight > 0) for fold in range(FOLDS)), weight > 0)
        ]
        out = np.empty(len(folds))
        for fold, model in enumerate(models[:FOLDS]):
            out[folds == fold] = model(table.rows(folds == fold))
        return out, models[FOLDS]

    def _encoded(self, target: Float64, weight: Float64) -> tuple[Float64, dict[str, Float64]]:
        known = np.nan_to_num(target)
        level = float(np.average(known, weights=weight)) if weight.any() else 0.0
        return features.group_means(self._groups, np.where(weight > 0, known - level, 0.0), weight, self._folds)


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


def _best_share(first: Float64, second: Float64, target: Float64, weight: Float64) -> float:
    rows = weight > 0
    off = [
        np.average(np.abs(target - _mixed(share, first, second))[rows], weights=weight[rows])
        for share in _SHARES.tolist()
    ]
    return float(_SHARES[int(np.argmin(off))])


def _mixed(share: float, first: Float64, second: Float64) -> Float64:
    return share * first + (1 - share) * second


def _both(share: float, trees: _Predict, lanes: _Predict) -> _Predict:
    return lambda of: _mixed(share, trees(of), lanes(of))
