"""Kinds of demand by how often and how evenly something is asked for (Syntetos, Boylan and Croston 2005)."""

from typing import Final

import numpy as np

from onhand.demand.panel import Float64, Int64

CLASSES: Final = ("smooth", "erratic", "intermittent", "lumpy")
_INTERVAL: Final = 1.32
_VARIATION: Final = 0.49


def classify(y: Float64) -> tuple[Int64, Float64, Float64]:
    """Of y float64[n, T] (NaN: no observation): the place in CLASSES int64[n], the mean interval between demands (ADI)
    float64[n], the squared coefficient of variation of their sizes (CV²) float64[n]. Never sold: intermittent."""
    seen = np.isfinite(y).sum(axis=1)
    sold = np.nan_to_num(y) > 0
    number = sold.sum(axis=1)
    size = np.where(sold, np.nan_to_num(y), 0.0)
    mean = size.sum(axis=1) / np.maximum(number, 1)
    variance = np.where(sold, (size - mean[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(number, 1)
    interval = np.where(number > 0, seen / np.maximum(number, 1), np.inf)
    variation = variance / np.maximum(mean, 1e-12) ** 2
    kind = np.where(
        interval < _INTERVAL, np.where(variation < _VARIATION, 0, 1), np.where(variation < _VARIATION, 2, 3)
    )
    return kind.astype(np.int64), interval, variation
