"""The chance of being late, from two that were forecast, put right by what came.

A logistic regression on log odds, drawn to the first of them by a ridge: of little that came little is learned. Where
that does not clearly pay, the first stands as it is: it follows drift, which a level that was learned holds up. The
second comes in where it pays beyond a level and a slope of the first: it knows what days do not tell, such as dates
that are met to the day.
"""

from dataclasses import dataclass

import numpy as np

from onhand.fulfilment.delivery.model import Bool, Float64

_EDGE = 0.002
_FIRST_ALONE = np.array([0.0, 1.0, 0.0])
# What may be learned, the simplest first: the level and the slope of the first; the second too.
_LEARNED = ((np.array([True, True, False]), _FIRST_ALONE), (np.array([True, True, True]), np.array([0.0, 0.9, 0.1])))
# As what so many shipments told for certain would: of the level, and of each slope.
_RIDGE = np.array([5.0, 10.0, 10.0])
# Of the squared error of what is simpler.
_PAYS = 0.97
_STEPS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class LateOdds:
    coefficients: Float64

    def at(self, by_days: Float64, direct: Float64) -> Float64:
        return 1 / (1 + np.exp(-_columns(by_days, direct) @ self.coefficients))


def learn_late(by_days: Float64, direct: Float64, late: Float64, weight: Float64) -> LateOdds:
    """From two chances that were forecast without knowing it, and whether it came late; float64[n] each.

    weight  how much each row counts; at most as much as itself, 1
    """

    def lost(odds: LateOdds) -> float:
        return float(weight @ (odds.at(by_days, direct) - late) ** 2)

    best = LateOdds(coefficients=_FIRST_ALONE)
    for which, prior in _LEARNED:
        learned = LateOdds(coefficients=_fitted(_columns(by_days, direct), late, weight, which, prior))
        if lost(learned) < _PAYS * lost(best):
            best = learned
    return best


def _fitted(columns: Float64, late: Float64, weight: Float64, which: Bool, prior: Float64) -> Float64:
    columns, ridge, made = columns[:, which], _RIDGE[which], prior[which]
    for _ in range(_STEPS):  # Newton's
        chance = 1 / (1 + np.exp(-columns @ made))
        gradient = columns.T @ (weight * (late - chance)) - ridge * (made - prior[which])
        curvature = (columns * (weight * chance * (1 - chance))[:, None]).T @ columns + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        made = made + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-6:
            break
    found = np.zeros(len(prior))
    found[which] = np.r_[made[0], np.maximum(made[1:], 0.0)]
    return found


def _columns(by_days: Float64, direct: Float64) -> Float64:
    first, second = (np.clip(chance, _EDGE, 1 - _EDGE) for chance in (by_days, direct))
    return np.column_stack([np.ones(len(first)), np.log(first / (1 - first)), np.log(second / (1 - second))])
