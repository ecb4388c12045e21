"""Foretold anew after each scan: a model that counts from it takes the place of the one that counts from the shipping.

Of each milestone that enough delivered shipments have passed there is a model of its own, of lanes and of the days from
the first such scan to the delivery. A shipment is foretold by that of its last milestone, given that it has not come
until now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from onhand.fulfilment.delivery.learn import Delivery, DeliveryModel
from onhand.fulfilment.delivery.model import Float64, Shipments

_PASSED_MIN: Final = 100


class StagedModel:
    """Learned of shipments as `DeliveryModel` does.

    scans  by milestone, float64[n]: days from the start to the first scan of it; NaN: none until `now`
    Raises ValueError with too few delivered ones.
    """

    def __init__(
        self, history: Shipments, scans: Mapping[str, Float64], now: float, *, trees: bool | None = None, seed: int = 0
    ) -> None:
        self._whole = DeliveryModel(history, now, trees=trees, seed=seed)
        self._stages: dict[str, DeliveryModel] = {}
        for milestone, at in scans.items():
            # A scan that came with the delivery, or after it, foretells nothing.
            passed = np.isfinite(at) & ~(at >= history.days)
            if np.isfinite(history.days[passed]).sum() >= _PASSED_MIN:
                after = _counted_from(history.rows(passed), at[passed])
                self._stages[milestone] = DeliveryModel(after, now, trees=False, seed=seed)

    @property
    def milestones(self) -> Sequence[str]:
        """Those that have a model of their own."""
        return tuple(self._stages)

    def predict(
        self, shipments: Shipments, last: Sequence[str | None], at: Float64, levels: Float64, elapsed: Float64
    ) -> Delivery:
        """Days from the start at rising levels, and the chance to be late.

        last     of each shipment its last milestone, None: not scanned; at float64[n]: days from the start to it
        elapsed  float64[n], days from the start until now, without a delivery
        """
        made = self._whole.predict(shipments, levels, elapsed)
        names = np.array([name or "" for name in last])
        for milestone, model in self._stages.items():
            rows = np.flatnonzero((names == milestone) & np.isfinite(at))
            if len(rows):
                gone = np.maximum(elapsed[rows] - at[rows], 0.0)
                after = model.predict(_counted_from(shipments.rows(rows), at[rows]), levels, gone)
                made.quantiles[rows], made.late[rows] = after.quantiles + at[rows, None], after.late
        return made


def _counted_from(shipments: Shipments, at: Float64) -> Shipments:
    waited = {**shipments.numbers, "waited_days": at}
    return replace(
        shipments, start=shipments.start + at, promised=shipments.promised - at, days=shipments.days - at,
        handed_over=np.full(len(shipments), np.nan), numbers=waited,
    )  # fmt: skip
