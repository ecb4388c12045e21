"""A purchase of an item spread over nodes: each case to where its units are most likely to be asked for.

Greedy is best: what one case more saves at a node falls with each case (Fox 1966).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Units = npt.NDArray[np.integer[Any]]


def spread_cases(quantity: Int64, case: Int64, position: Int64, demand: Units) -> Int64:
    """int64[I, N] units that add up to `quantity`.

    quantity  int64[I], whole cases of `case` int64[I] units
    position  int64[I, N], units at a node, and on their way to it
    demand    int[I, N, P], draws of what is asked for there until the next purchase is there, each row sorted

    Raises ValueError.
    """
    if (quantity % case).any() or quantity.min(initial=0) < 0:
        raise ValueError("expected quantities in whole cases, at least 0")
    if demand.shape[:2] != position.shape or len(position) != len(quantity):
        raise ValueError("expected positions [item, node] and draws [item, node, draw] of each quantity")
    made = np.zeros_like(position)
    for item in np.flatnonzero(quantity > 0).tolist():
        units = int(case[item])
        drawn, at = demand[item], position[item]
        # Mean units of the next case that are asked for, node by node; the mean demand settles what is far too much.
        saved = _saved(drawn, at, units)
        for _ in range(int(quantity[item]) // units):
            node = int(saved.argmax())
            made[item, node] += units
            saved[node] = _saved(drawn[node : node + 1], at[node : node + 1] + made[item, node], units)[0]
    return made


def _saved(drawn: Units, position: Int64, units: int) -> npt.NDArray[np.float64]:
    asked = np.clip(drawn - position[:, None], 0, units).mean(axis=1)
    # Beyond all draws nobody is likely to ask: the node whose stock lasts shortest is as good as any.
    return asked + 1e-6 * drawn.mean(axis=1) / np.maximum(position + units, 1)
