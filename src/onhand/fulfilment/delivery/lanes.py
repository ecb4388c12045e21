"""The middle and the spread of lanes, in NumPy alone: what the core does without the extra `forecast`.

From the coarsest group to the finest (all, distance, promise, service, further kinds, origin, destination, lane) each
explains what its parents left over, by its mean shrunk to theirs: a lane of few shipments is like its parent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onhand.fulfilment.delivery.features import Groups
from onhand.fulfilment.delivery.model import Float64

_PRIOR_ROWS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    level: float
    of: Mapping[str, Float64]

    def at(self, groups: Groups) -> Float64:
        """float64[n]"""
        made = np.full(len(next(iter(groups.places.values()))), self.level)
        for name, effects in self.of.items():
            made += effects[groups.places[name]]
        return made


def learn_effects(groups: Groups, target: Float64, weight: Float64) -> Effects:
    """Of a target float64[n], weighted."""
    weight = weight / weight.mean()
    level = float(np.average(target, weights=weight))
    left = target - level
    of: dict[str, Float64] = {}
    for name, places in groups.places.items():
        count = groups.count(name)
        rows, sums = np.bincount(places, weight, count), np.bincount(places, weight * left, count)
        of[name] = sums / (rows + _PRIOR_ROWS)
        left = left - of[name][places]
    return Effects(level=level, of=of)
