"""The middle and the spread of a target, and the chance of being late, by trees or by lanes; and out of fold."""

from dataclasses import dataclass

import numpy as np

from onhand.fulfilment.delivery import features
from onhand.fulfilment.delivery.features import FOLDS, Groups
from onhand.fulfilment.delivery.lanes import Effects, learn_effects
from onhand.fulfilment.delivery.model import Bool, Float64, Shipments
from onhand.fulfilment.delivery.trees import LateTrees, Trees

# That a rate of so few is not taken for one of a group.
_LATE_MIN = 10
_SMALL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What is learned from, float64[n] each: the target and whether it came late, NaN where weights are 0."""

    target: Float64
    weight: Float64
    late: Float64
    late_weight: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """float64[n] each: the middle of the target, a unit of distance below and above it, the chance of being late."""

    middle: Float64
    below: Float64
    above: Float64
    late: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    groups: Groups
    features: Float64


class Regression:
    """out_of_fold  of each row of the history, by models that have not seen its week."""

    def __init__(self, history: Shipments, learning: Learning, *, trees: bool, seed: int) -> None:
        self._trees, self._seed = trees, seed
        self._numbers, self._season = sorted(history.numbers), features.has_seasons(history)
        self._groups, folds = features.groups_of(history), features.folds_of(history)
        level, rate = (
            float(np.average(np.nan_to_num(of), weights=weight)) if weight.any() else 0.0
            for of, weight in ((learning.target, learning.weight), (learning.late, learning.late_weight))
        )
        days, self._means = self._encoded(learning.target - level, learning.weight, folds)
        lates, self._rates = self._encoded(learning.late - rate, learning.late_weight, folds)
        plain = features.plain(history, self._numbers, season=self._season)
        table = _Table(groups=self._groups, features=np.column_stack([plain, days, lates]))
        parts = [self._learn(table, learning, folds != fold) for fold in range(FOLDS)]
        guesses = [part.predict(table) for part in parts]
        self.out_of_fold = Guess(
            **{
                name: np.stack([getattr(guess, name) for guess in guesses])[folds, np.arange(len(folds))]
                for name in ("middle", "below", "above", "late")
            }
        )
        self._whole = self._learn(table, learning, np.ones(len(folds), bool))

    def predict(self, shipments: Shipments) -> Guess:
        groups = features.groups_of(shipments, self._groups)
        columns = [
            features.plain(shipments, self._numbers, season=self._season),
            features.looked_up(groups, self._means), features.looked_up(groups, self._rates),
        ]  # fmt: skip
        return self._whole.predict(_Table(groups=groups, features=np.column_stack(columns)))

    def _encoded(self, target: Float64, weight: Float64, folds: features.Int64) -> tuple[Float64, dict[str, Float64]]:
        return features.group_means(self._groups, np.nan_to_num(target), weight, folds)

    def _learn(self, table: _Table, learning: Learning, rows: Bool) -> "_ByTrees | _ByLanes":
        make = _ByTrees if self._trees else _ByLanes
        return make(table, learning, rows & (learning.weight > 0), rows & (learning.late_weight > 0), self._seed)


class _ByTrees:
    def __init__(self, table: _Table, learning: Learning, rows: Bool, late_rows: Bool, seed: int) -> None:
        self._trees = Trees(table.features[rows], learning.target[rows], learning.weight[rows], seed=seed)
        late, weight = learning.late[late_rows], learning.late_weight[late_rows]
        self._rate = _rate(late, weight)
        self._late = LateTrees(table.features[late_rows], late, weight, seed=seed) if _tells(late) else None

    def predict(self, table: _Table) -> Guess:
        middle, below, above = self._trees.predict(table.features)
        late = np.full(len(middle), self._rate) if self._late is None else self._late.predict(table.features)
        return Guess(middle=middle, below=below, above=above, late=late)


class _ByLanes:
    def __init__(self, table: _Table, learning: Learning, rows: Bool, late_rows: Bool, seed: int) -> None:
        del seed  # nothing is drawn

        def effects(which: Bool, target: Float64, weight: Float64) -> Effects:
            return learn_effects(table.groups.rows(which), target[which], weight[which])

        self._middle = effects(rows, learning.target, learning.weight)
        off = np.abs(learning.target - self._middle.at(table.groups))
        self._spread = effects(rows, np.log(off + _SMALL), learning.weight)
        late, weight = learning.late[late_rows], learning.late_weight[late_rows]
        self._rate = _rate(late, weight)
        self._late = effects(late_rows, learning.late, learning.late_weight) if _tells(late) else None

    def predict(self, table: _Table) -> Guess:
        middle, spread = self._middle.at(table.groups), np.exp(self._spread.at(table.groups))
        late = np.full(len(middle), self._rate) if self._late is None else self._late.at(table.groups)
        return Guess(middle=middle, below=spread, above=spread, late=np.clip(late, 0.0, 1.0))


def _tells(late: Float64) -> bool:
    return _LATE_MIN <= late.sum() <= len(late) - _LATE_MIN


def _rate(late: Float64, weight: Float64) -> float:
    """Of few or none, one late in ten is added."""
    weight = weight / weight.mean() if len(weight) else weight
    return float((weight @ late + 1) / (weight.sum() + 10))
