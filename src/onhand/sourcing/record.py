"""What a decision saw, kept with the plan so that it can be explained and solved again.

Layout: header (version, word width, demand rows, Unix time, destination in degrees), then per demand row item_id,
units, grams and mm3 of one unit (and its price, where duty may be due), then the kernel's words: number of candidates,
what is recorded besides (bits: tables.HAS_*), and for each candidate its node_id, per demand row its free units (safety
stock, worth of a unit, the part of that which is not the network's, cost of the risk of a rejection: where their bit is
set; money as the decision weighed it), what room there is worth to the orders to come (where the bit is set: 0, or 1
and six words as in tables.Prices.capacity), and the ship days that had no room for the whole order: their number, then
orders, lines and units left of each (NO_LIMIT as -1). The day after them had room; it is recorded too where its room
has a price. Where carriers have limits of parcels, rows of five words follow to the end: candidate (its place in the
record), ship day, service, parcels left of the node and of the lane (-1: no limit), for those that could not take all
of the order, and for all where room has a price.
Numbers are cut to RECORD_CUT, or the units of the order, where more would decide the same; safety units to what leaves
the same units beyond them, or none. Words are 1, 2 or 4 bytes wide, as the batch needs.

What terms of others asked stands at the end, if there is any (sourcing/record_terms.py): a bit of the version says so.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.catalog.catalogue import Goods
from onhand.sourcing import record_terms
from onhand.sourcing.interleave import interleave
from onhand.sourcing.record_terms import SeenTerm
from onhand.sourcing.solve import Ask, Decisions, Int32, Int64
from onhand.sourcing.tables import HAS_BASE, HAS_DUAL, HAS_RISK, HAS_SAFETY, HAS_VALUE, NO_LIMIT

Degrees = Sequence[float] | npt.NDArray[np.float64]

_HEADER = struct.Struct("<BBHddd")
# The same as an array, for many at once.
_HEAD = np.dtype(
    [("version", "u1"), ("width", "u1"), ("count", "<u2"), ("at", "<f8"), ("latitude", "<f8"), ("longitude", "<f8")]
)
# With prices of the demand, where duty is due on them, or without.
_PRICED, _PLAIN = 2, 1
_ROOM = 6  # words of prices of room
_FEW = 5  # words of a row of FewParcels
_WORDS = {1: "<i1", 2: "<i2", 4: "<i4"}
_DEMAND = np.dtype([("item", "<i4"), ("units", "<i4"), ("weight", "<i4"), ("volume", "<i8")])
_WITH_PRICE = np.dtype([*_DEMAND.descr, ("price", "<f8")])
_ROWS = {_PLAIN: _DEMAND, _PRICED: _WITH_PRICE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A node as a decision saw it. free, safety int32[demand]; left: orders, lines, units of the ship days without
    room for the whole order (and of the first with room, where that had a price); the day after them had room.

    value, base, risk  int32[demand], minor units as they were weighed, 0 where nothing was known: worth of a unit here
                       to the orders to come, the part of it that is not the network's, cost of the risk of a rejection
    room               minor units of an order, a line and a unit of the ship day open then, and of later ones; or empty
    """

    node_id: int
    free: Int32
    safety: Int32
    value: Int32
    base: Int32
    risk: Int32
    left: list[tuple[int, int, int]]
    room: tuple[int, ...] = ()


class FewParcels(NamedTuple):
    """A service that could take only so many parcels from a node on a ship day (index), by node and by lane."""

    node_id: int
    day: int
    service: int
    of_node: int
    of_lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A decoded record."""

    at: float
    latitude: float
    longitude: float
    item: Int32
    units: Int32
    weight_g: Int64
    volume_mm3: Int64
    price: npt.NDArray[np.float64] | None
    candidates: list[Candidate]
    parcels: list[FewParcels] = field(default_factory=list[FewParcels])
    terms: list[SeenTerm] = field(default_factory=list[SeenTerm])


def encode(decisions: Decisions, latitude: Degrees, longitude: Degrees, goods: Goods, now: float) -> list[bytes]:
    """The record of every order of a batch."""
    words = decisions.record[: decisions.record_first[-1]]
    lowest, highest = int(words.min(initial=0)), int(words.max(initial=0))
    width = next(w for w in _WORDS if -(1 << 8 * w - 1) <= lowest and highest < 1 << 8 * w - 1)
    version = _PLAIN if decisions.demand_price is None else _PRICED
    demand = np.empty(len(decisions.demand_item), _ROWS[version])
    if decisions.demand_price is not None:
        demand["price"] = decisions.demand_price
    demand["item"] = decisions.demand_item
    demand["units"] = decisions.demand_units
    demand["weight"] = goods.weight_g[decisions.demand_item]
    demand["volume"] = goods.volume_mm3[decisions.demand_item]
    head = np.empty(len(decisions.count), _HEAD)
    head["version"], head["width"], head["count"] = version, width, np.diff(decisions.demand_first)
    head["at"], head["latitude"], head["longitude"] = now, latitude, longitude
    whole, first = interleave(
        head.view(np.uint8), _HEADER.size, demand.view(np.uint8), words.astype(_WORDS[width]).view(np.uint8),
        decisions.demand_first.astype(np.int64) * demand.itemsize, decisions.record_first * width,
    )  # fmt: skip
    raw, ends = whole.tobytes(), first.tolist()
    records = [raw[a:b] for a, b in pairwise(ends)]
    return record_terms.add(records, decisions.custom, decisions.demand_first) if decisions.others else records


def decode(raw: bytes) -> Seen:
    """Read a record back. An empty one (an order that was never weighed) has no candidates."""
    raw, terms = record_terms.split(raw)
    version, width, count, at, latitude, longitude = _HEADER.unpack_from(raw)
    assert version in _ROWS, f"unknown record version {version}"
    start = _HEADER.size
    demand = np.frombuffer(raw, _ROWS[version], count, start)
    words = np.frombuffer(raw, _WORDS[width], offset=start + demand.nbytes).astype(np.int32)
    candidates: list[Candidate] = []
    held = int(words[1]) if len(words) > 1 else 0
    kinds = [0, *(bit for bit in (HAS_SAFETY, HAS_VALUE, HAS_BASE, HAS_RISK) if held & bit)]
    at_word = 2
    for _ in range(int(words[0]) if len(words) else 0):
        node = int(words[at_word])
        size = len(kinds) * count
        table = words[at_word + 1 : at_word + 1 + size].reshape(count, len(kinds))
        column = {kind: np.ascontiguousarray(table[:, n]) for n, kind in enumerate(kinds)}
        none = np.zeros(count, np.int32)
        at_word += 1 + size
        room: tuple[int, ...] = ()
        if held & HAS_DUAL:
            if words[at_word]:
                room = tuple(words[at_word + 1 : at_word + 1 + _ROOM].tolist())
            at_word += 1 + len(room)
        days = int(words[at_word])
        left = words[at_word + 1 : at_word + 1 + 3 * days].reshape(days, 3)
        at_word += 1 + 3 * days
        candidates.append(
            Candidate(
                node_id=node,
                free=column[0],
                safety=column.get(HAS_SAFETY, none),
                value=column.get(HAS_VALUE, none),
                base=column.get(HAS_BASE, none),
                risk=column.get(HAS_RISK, none),
                left=[(_limit(o), _limit(lines), _limit(units)) for o, lines, units in left.tolist()],
                room=room,
            )
        )
    few = words[at_word : at_word + (len(words) - at_word) // _FEW * _FEW].reshape(-1, _FEW).tolist()
    return Seen(
        at=at,
        latitude=latitude,
        longitude=longitude,
        item=demand["item"].astype(np.int32),
        units=demand["units"].astype(np.int32),
        weight_g=demand["weight"].astype(np.int64),
        volume_mm3=demand["volume"].astype(np.int64),
        price=demand["price"].astype(np.float64) if version == _PRICED else None,
        candidates=candidates,
        parcels=[
            FewParcels(candidates[j].node_id, day, service, _limit(of_node), _limit(of_lane))
            for j, day, service, of_node, of_lane in few
        ],
        terms=terms,
    )


def empty(ask: Ask, goods: Goods, now: float) -> bytes:
    """The record of an order that no candidate was looked at for."""
    demand = np.array([(i, u, goods.weight_g[i], goods.volume_mm3[i]) for i, u in ask.demand], _DEMAND)
    return _HEADER.pack(_PLAIN, 2, len(demand), now, ask.latitude, ask.longitude) + demand.tobytes() + b"\0\0"


def coarsen(raw: bytes) -> bytes:
    """The same record with its destination rounded to whole degrees, some 100 km: nobody's address any more."""
    version, width, count, at, latitude, longitude = _HEADER.unpack_from(raw)
    return _HEADER.pack(version, width, count, at, round(latitude), round(longitude)) + raw[_HEADER.size :]


def _limit(value: int) -> int:
    return NO_LIMIT if value == -1 else value


__all__ = ["Candidate", "FewParcels", "Seen", "coarsen", "decode", "empty", "encode"]
