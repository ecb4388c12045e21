"""The chance of being late, from two that were forecast, put right by what came.

A logistic regression on both log odds, drawn to the first of them by a ridge: of little that came little is learned.
Where that does not clearly pay, the first stands as it is: it follows drift, which a level that was learned holds up.
"""

from dataclasses import dataclass

import numpy as np

from onhand.fulfilment.delivery.model import Float64

_EDGE = 0.002
_FIRST_ALONE = np.array([0.0, 1.0, 0.0])
_PRIOR = np.array([0.0, 0.9, 0.1])
# As what so many shipments told for certain would: of the level, and of each slope.
_RIDGE = np.array([5.0, 10.0, 10.0])
# Of the squared error of the first alone.
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
    columns, coefficients = _columns(by_days, direct), _PRIOR.copy()
    for _ in range(_STEPS):  # Newton's
        chance = 1 / (1 + np.exp(-columns @ coefficients))
        gradient = columns.T @ (weight * (late - chance)) - _RIDGE * (coefficients - _PRIOR)
        curvature = (columns * (weight * chance * (1 - chance))[:, None]).T @ columns + np.diag(_RIDGE)
        step = np.linalg.solve(curvature, gradient)
        coefficients = coefficients + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-6:
            break
    learned = LateOdds(coefficients=np.array([coefficients[0], *np.maximum(coefficients[1:], 0.0)]))
    alone = LateOdds(coefficients=_FIRST_ALONE)
    lost = [float(weight @ (odds.at(by_days, direct) - late) ** 2) for odds in (learned, alone)]
    return learned if lost[0] < _PAYS * lost[1] else alone


def _columns(by_days: Float64, direct: Float64) -> Float64:
    first, second = (np.clip(chance, _EDGE, 1 - _EDGE) for chance in (by_days, direct))
    return np.column_stack([np.ones(len(first)), np.log(first / (1 - first)), np.log(second / (1 - second))])
