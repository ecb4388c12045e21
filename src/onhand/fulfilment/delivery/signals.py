"""Signals, such as the weather, as features of shipments: what was known of them when a shipment started. Pure.

Each signal is heard twice, where a shipment comes from and where it goes. What is known ahead counts for the days on
which the shipment is to be under way, from its start to its promise; what is known of the past only, for the days
before its start. So a row of history hears no more than a shipment that is foretold at its start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from onhand.demand.correct import day_number
from onhand.demand.signals import Aligned
from onhand.fulfilment.delivery.model import Float64, Int64, Shipments

PAST_DAYS: Final = 7
AHEAD_DAYS: Final = 14
"""As many days are heard before the start, and at most from it on."""
_UNDER_WAY_DAYS: Final = 5.0


def with_signals(
    shipments: Shipments, places: Mapping[str, Int64], known: Sequence[Aligned], past: Sequence[Aligned]
) -> Shipments:
    """The same with a number more for each signal and end that anything is known of: its mean over the days heard.

    places       by end ("origin", "destination") int64[n]: the series of the signals that each shipment hears there
    known, past  signals that are known ahead, and those that are not
    """
    start = np.floor(shipments.start).astype(np.int64)
    days = np.nan_to_num(shipments.promised, nan=_UNDER_WAY_DAYS)
    end = start + np.clip(np.ceil(days), 1, AHEAD_DAYS).astype(np.int64)
    made = dict(shipments.numbers)
    for signals, begin, until in ((known, start, end), (past, start - PAST_DAYS, start)):
        for signal in signals:
            for where, series in places.items():
                means = _means(signal, series, begin, until)
                if np.isfinite(means).any():
                    made[f"{signal.name} at {where}"] = means
    return replace(shipments, numbers=made)


def _means(signal: Aligned, series: Int64, begin: Int64, until: Int64) -> Float64:
    """float64[n] over the days from begin to until (exclusive) of which anything is known; NaN: of none."""
    row = signal.index[series].astype(np.int64)
    if not signal.rows.size:
        return np.full(len(series), np.nan)
    nothing = np.zeros((len(signal.rows), 1))
    counts = np.hstack([nothing, np.cumsum(np.isfinite(signal.rows), axis=1)])
    sums = np.hstack([nothing, np.cumsum(np.nan_to_num(signal.rows), axis=1)])
    first, last = (np.clip(days - day_number(signal.first), 0, signal.rows.shape[1]) for days in (begin, until))
    many = counts[row, last] - counts[row, first]
    heard = (row >= 0) & (many > 0)
    return np.where(heard, (sums[row, last] - sums[row, first]) / np.maximum(many, 1), np.nan)
