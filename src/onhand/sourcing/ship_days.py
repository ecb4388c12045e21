"""A network in which the ship days of a node are nodes of their own, so that a decision chooses between them.

The kernel ships on the first day that has room. Orders that are planned together compete for that room, so the later
days of a node that they could fill must be choices, too, each with a price of its own (sourcing/together.py).
"""

from copy import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.network.compiled import Network
from onhand.sourcing import tables
from onhand.sourcing.solve import Asked, Int32, Int64, first_rows
from onhand.sourcing.tables import NO_LIMIT


class Apart(NamedTuple):
    """`network` with its nodes taken apart: V nodes, of which the first are those of the network, each with its first
    ship day only, where it is taken apart.

    node   int32[V]: node of the original network
    slot   int32[V]: its ship day that is the first one here
    tight  bool[V]: only that day
    """

    network: Network
    node: Int32
    slot: Int32
    tight: npt.NDArray[np.bool_]


def whole(network: Network) -> Apart:
    """The network as it is."""
    count = network.count + 1
    zeros = np.zeros(count, np.int32)
    return Apart(network, np.arange(count, dtype=np.int32), zeros, zeros > 0)


def take_apart(network: Network, orders: int, lines: int, units: int) -> Apart:
    """Every node whose first ship day has no room for so many orders, lines and units, taken apart into its days."""
    days = network.slot_cutoff > 0
    wanted: Int64 = np.array([orders, lines, units], np.int64)
    tight = days[:, 0] & np.any(network.left[:, 0] < wanted, axis=1)
    if len(network.parcels):
        # How many parcels an order becomes is not known before it is decided.
        few = np.any(network.parcels[:, :, 0] < NO_LIMIT, axis=1) | network.sends_along_limited_lanes()
        tight |= days[:, 0] & few
    if not tight.any():
        return whole(network)
    later: Any = days & tight[:, np.newaxis]
    later[:, 0] = False
    more, day = np.nonzero(later)
    count = network.count + 1
    node = np.concatenate([np.arange(count), more]).astype(np.int32)
    slot = np.concatenate([np.zeros(count), day]).astype(np.int32)
    return Apart(expand(network, node, slot, tight), node, slot, tight[node])


def expand(network: Network, node: Int32, slot: Int32, tight: npt.NDArray[np.bool_]) -> Network:
    """A network of these nodes of `network` (int32[V]); of those that are `tight` (bool[N]) only one ship day each."""
    slot_day, slot_cutoff, left = network.slot_day[node], network.slot_cutoff[node], network.left[node]
    parcels = network.parcels[node] if len(network.parcels) else network.parcels
    at = np.flatnonzero(tight[node])
    for array, source in ((slot_day, network.slot_day), (slot_cutoff, network.slot_cutoff), (left, network.left)):
        array[at] = 0
        array[at, 0] = source[node[at], slot[at]]
    if len(parcels):
        parcels[at] = 0
        parcels[at, :, 0] = network.parcels[node[at], :, slot[at]]
    zones, duties = copy(network.zones), copy(network.duties)
    # `take` and not an index: what is laid out otherwise would be compiled by itself.
    zones.bands, zones.transit = (np.take(rows, node, axis=2) for rows in (zones.bands, zones.transit))
    duties.node_origin = network.duties.node_origin[node]
    days_of: list[list[int]] = [np.flatnonzero(node == k).tolist() for k in range(network.count + 1)]
    offsets: list[int] = network.candidate_offsets.tolist()
    candidates: list[int] = network.candidates.tolist()
    lists = [[v for k in candidates[a:b] for v in days_of[k]] for a, b in pairwise(offsets)]
    return replace(
        network,
        node_codes=[network.node_codes[k] for k in node.tolist()],
        **{
            name: getattr(network, name)[node]
            for name in (
                "latitude",
                "longitude",
                "xyz",
                "handling_minor",
                "handling_line_minor",
                "handling_unit_minor",
                "co2_g",
                "methods",
                "cutoff_min",
                "limits",
            )
        },
        zones=zones,
        duties=duties,
        candidate_offsets=first_rows([len(some) for some in lists]),
        candidates=np.array([v for some in lists for v in some], np.int32),
        candidates_max=max(map(len, lists), default=0),
        slot_day=slot_day,
        slot_cutoff=slot_cutoff,
        left=left,
        parcels=parcels,
    )


def spread_prices(prices: tables.Prices, node: Int32, slot: Int32, item: Int32 | None = None) -> tables.Prices:
    """The same prices for these nodes, each with its ship day `slot` alone, and rows of items."""
    if item is not None:
        if len(prices.unit):
            prices = prices._replace(unit=prices.unit[item], clock=prices.clock[item])
        if len(prices.ratio):
            prices = prices._replace(ratio=prices.ratio[item])
    if len(prices.unit):
        prices = prices._replace(unit=np.take(prices.unit, node, axis=1))
    if len(prices.capacity):
        # The one day it has is its first: if that is a later one of the node, it has the price of later ones.
        known: npt.NDArray[np.float64] = prices.capacity[node]
        now, later = known[:, :3], known[:, 3:]
        own: npt.NDArray[np.float64] = np.where((slot > 0)[:, np.newaxis], later, now)
        prices = prices._replace(capacity=np.concatenate([own, later], axis=1))
    if len(prices.rejection):
        prices = prices._replace(rejection=prices.rejection[node])
    if len(prices.ratio):
        prices = prices._replace(ratio=np.take(prices.ratio, node, axis=1))
    return prices


def asked_of(apart: Apart, asked: Asked) -> Asked:
    """The same orders, asked of the nodes that were taken apart."""
    if not apart.tight.any():
        return asked
    node = apart.node
    excluded: list[list[int]] = []
    pickup = asked.pickup_node.copy()
    for o in range(len(asked.zone)):
        mine = asked.excluded[asked.excluded_first[o] : asked.excluded_first[o + 1]]
        out = np.isin(node, mine)
        if pickup[o] and apart.tight[pickup[o]]:
            out |= node != pickup[o]  # any day of the one node
            pickup[o] = 0
        nodes: list[int] = np.flatnonzero(out).tolist()
        excluded.append(nodes)
    return replace(
        asked,
        pickup_node=pickup,
        excluded_first=first_rows([len(some) for some in excluded]),
        excluded=np.array([v for some in excluded for v in some], np.int32),
    )
