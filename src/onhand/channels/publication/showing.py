"""Available to sell of many items on many channels at once: the same number as `channels/ats.py`, from arrays. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.channels.gates.settings import GateSetting

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Sellers(NamedTuple):
    """Channels as columns.

    ids     channel_id of each
    nodes   float64[node, channel]: 1 where the channel sells from the node (row 0 unused)
    gates   of each, what its document says
    quotas  item_id -> int64[channel]: units that only it may sell, -1: none. Also of channels that are no columns:
            `others`
    others  item_id -> units kept for channels that are no columns
    """

    ids: Sequence[int]
    nodes: npt.NDArray[np.float64]
    gates: Sequence[GateSetting]
    quotas: Mapping[int, Int64]
    others: Mapping[int, int]


class Bundles(NamedTuple):
    """Bundles as rows: parts[n] are the (item_id, units) of bundle ids[n]."""

    ids: Sequence[int]
    parts: Sequence[Sequence[tuple[int, int]]]


def pooled(items: Int32, available: Int32, safety: Int32, sellers: Sellers) -> Int64:
    """int64[n, channel]: units over the channel's nodes less safety stock; below 0 where safety stock is not met.

    available, safety  int32[item, node], of all items
    """
    nodes = min(available.shape[1], len(sellers.nodes))
    free = available[items, :nodes] - safety[items, :nodes]
    # Whole numbers below 2**53 are exact, and matrices of float64 are multiplied fast.
    return (free.astype(np.float64) @ sellers.nodes[:nodes]).astype(np.int64)


def shown(items: Int32, pool: Int64, gates: Int64, sellers: Sellers) -> Int64:
    """int64[n, channel]: what each channel is to show of items that are no bundles.

    pool   from `pooled`
    gates  int64[n, channel] or [channel]: units hidden
    """
    units = pool - gates
    if sellers.quotas or sellers.others:
        for row, item in enumerate(items.tolist()):
            units[row] = _limited(units[row], item, sellers)
    return np.maximum(units, 0)


def shown_bundles(wanted: Sequence[Sequence[tuple[int, int]]], ids: Int32, parts: Int64, sellers: Sellers) -> Int64:
    """int64[n, channel]: as many bundles as the scarcest part allows.

    wanted  the (row of `parts`, units) of each bundle
    ids     int32[n]: their item_ids, for their own quotas
    parts   int64[row, channel]: what is shown of parts, from `shown`
    """
    units = np.empty((len(wanted), parts.shape[1]), np.int64)
    for n, rows in enumerate(wanted):
        units[n] = np.min([parts[row] // per for row, per in rows], axis=0)
        units[n] = _limited(units[n], int(ids[n]), sellers)
    return np.maximum(units, 0)


def _limited(units: Int64, item: int, sellers: Sellers) -> Int64:
    """Less what is kept for other channels, and no more than the channel's own quota."""
    kept = sellers.others.get(item, 0)
    own = sellers.quotas.get(item)
    if own is None:
        return units - kept
    stated = np.maximum(own, 0)
    left = np.maximum(units - kept - (stated.sum() - stated), 0)
    return np.where(own >= 0, np.minimum(left, own), left)
