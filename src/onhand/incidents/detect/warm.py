"""Have the loops of detectors compiled where nobody waits for it."""

from typing import Final

import numpy as np

from onhand.base.compiled import is_kept
from onhand.incidents.detect import kernels, lanes, phantoms
from onhand.incidents.detect.moments import DAY_US

_LOOPS: Final = (kernels.lane_sums, kernels.lane_trace, kernels.openings, kernels.absent)


def is_detectors_kept() -> bool:
    """Whether all of them are compiled already."""
    return all(map(is_kept, _LOOPS))


def warm_detectors() -> None:
    """Look at a little of everything."""
    n = 400
    one = np.ones(n)
    velocities = phantoms.learn(np.zeros(n, np.int64), 3 * one, 3 * one, 30 * one)
    positions = phantoms.Positions(
        department=np.zeros(n, np.int64), units=3 * one, days=30 * one, run_days=one, rejections=np.zeros(n, np.int64),
        prior=0 * one, hazard=0.001 * one, factor=one,
    )  # fmt: skip
    phantoms.believed(positions, velocities)
    shipped = np.arange(n, dtype=np.int64) * (DAY_US // 4)
    shipments = lanes.Shipments(
        lane=np.zeros(n, np.int64), shipped_at=shipped, delivered_at=shipped + 3 * DAY_US + shipped % DAY_US,
        median_days=3.4 * one, spread_days=one,
    )  # fmt: skip
    now = int(shipped[-1])
    learned = lanes.learn(shipments, now, replayed=1_000)
    lanes.watch(shipments, learned, now)
    lanes.traced(shipments, learned, np.array([now], np.int64))
