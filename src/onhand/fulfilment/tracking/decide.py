"""What follows from a forecast of a shipment, and which shipments tell how long deliveries take. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np

from onhand.fulfilment.delivery.model import Bool, Float64

# Told of from a chance of one half on, and no longer below a third: a chance that wavers tells of itself once.
LIKELY: Final = 0.5
UNLIKELY: Final = 0.35
# Who has not heard of a parcel for so long does not know whether it has come.
_SILENT_DAYS: Final = 45.0
_SETTLED_DAYS: Final = 30.0


def likely_late_since(p_late: float | None, since: datetime | None, now: datetime) -> datetime | None:
    """Since when a shipment is likely to be late, None: it is not; `since`: as it was before this forecast."""
    if p_late is None:
        return since
    if since is None:
        return now if p_late >= LIKELY else None
    return since if p_late >= UNLIKELY else None


def telling(services: Sequence[tuple[str, str]], days: Float64, room: Float64, silent: Float64) -> Bool:
    """bool[n]: shipments from which it can be learned how long deliveries take.

    Of a service whose deliveries are hardly ever told of, those that seem to be on their way have mostly come.

    services  of each its (carrier, service)
    days      float64[n] to the delivery, NaN: not yet, as far as is known
    room      float64[n], days since it left
    silent    float64[n], days since it was last heard of
    """
    seen = np.isfinite(days)
    names, of = np.unique(np.array(["\0".join(pair) for pair in services]), return_inverse=True)
    old = room > _SETTLED_DAYS
    came = np.bincount(of, seen & old, len(names))
    is_told = came >= 0.5 * np.bincount(of, old, len(names))
    return seen | (is_told[of] & (silent <= _SILENT_DAYS))
