"""Where stock lies and how it comes: nodes and regions, lanes, suppliers that are late and deliver short. Pure.

Of 5,551 published international deliveries (SCMS, scheduled before 2014) a tenth came late, half of these by more than
12 days. Suppliers here are nearer: as many are late, half of them by more than 6 days. Prices of parcels are those of
the demo's Northpost, up to 3 kg.
"""

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from onhand.planning.transfers import Lanes
from onhand.twin.places import CITIES

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

_Units = TypeVar("_Units", Float64, Int64, npt.NDArray[np.int32])

_NODES: Final = (
    ("VENLO", 51.39, 6.12, True),
    ("LYON", 45.70, 4.95, True),
    ("HAMBURG", 53.55, 9.99, False),
    ("MUNICH", 48.14, 11.57, False),
    ("POZNAN", 52.44, 16.75, False),
    ("MADRID", 40.43, -3.69, False),
    ("MILAN", 45.47, 9.19, False),
)
# (up to km, price of a parcel in minor units, days until it is there: 1 is the next one)
_LAST_MILE: Final = ((150, 480, 1), (500, 560, 1), (1_200, 820, 2), (math.inf, 920, 4))
_KM_A_DEGREE: Final = 111.2
_PAST_DELIVERIES: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """N nodes and as many regions: each region has the node of its number nearest.

    latitudes, people  float64[R], of the middle of each region, and thousands of people
    last_mile          float64[N, R], minor units a parcel
    days               int64[N, R], until a parcel is there
    turn               int64[R, N], nodes from which a region is served, cheapest first, its own before all others
    entry              int64[N], the node over which what is bought for a node comes in: itself where suppliers deliver
    lanes, lead_days   between nodes; room in units a day
    """

    codes: tuple[str, ...]
    latitudes: Float64
    people: Float64
    last_mile: Float64
    days: Int64
    turn: Int64
    entry: Int64
    lanes: Lanes
    lead_days: Int64

    @property
    def is_entry(self) -> Bool:
        """bool[N]: whether suppliers deliver to it."""
        return self.entry == np.arange(len(self.entry))

    def at_entries(self, units: _Units) -> _Units:
        """[I, N, ...] sums over the nodes that are supplied through each; 0 for the others."""
        summed = np.zeros_like(units)
        for node, entry in enumerate(self.entry.tolist()):
            summed[:, entry] += units[:, node]
        return summed


def make_places(*, through_centres: bool = False, room_share: float = 1.0) -> Places:
    """Two distribution centres and five regional nodes of Europe, and the cities of the demo by the nearest of them.

    through_centres  whether suppliers deliver to the two centres only, or else to every node
    room_share       of what lanes take: between centres and others 120 units a day, between regional nodes 40
    """
    codes = tuple(code for code, *_ in _NODES)
    node = np.array([(lat, lon) for _, lat, lon, _ in _NODES])
    is_centre = np.array([centre for *_, centre in _NODES])
    city = np.array([(c.latitude, c.longitude) for c in CITIES])
    weight = np.array([float(c.people) for c in CITIES])
    nearest = _km(node, city).argmin(axis=0)
    people = np.bincount(nearest, weight, len(codes)).astype(np.float64)
    middle = np.stack([np.bincount(nearest, weight * city[:, k], len(codes)) / people for k in (0, 1)], axis=1)
    km = _km(node, middle)
    band = np.searchsorted([limit for limit, *_ in _LAST_MILE], km)
    # A region's own node is there the next day, however wide the region.
    own = np.arange(len(codes))
    band[own, own] = np.minimum(band[own, own], 1)
    last_mile = np.array([price for _, price, _ in _LAST_MILE], float)[band]
    days = np.array([wait for *_, wait in _LAST_MILE])[band]
    preferred = last_mile + km / 1e4 - np.where(np.eye(len(codes), dtype=bool), 1e6, 0)
    between = _km(node, node)
    room = np.where(is_centre[:, None] | is_centre[None], 120.0, 40.0) * room_share
    free = np.full(len(codes), math.inf)
    centres = np.flatnonzero(is_centre)
    entry = centres[between[centres].argmin(axis=0)] if through_centres else own
    return Places(
        codes=codes,
        latitudes=middle[:, 0],
        people=people,
        last_mile=last_mile,
        days=days.astype(np.int64),
        turn=np.argsort(preferred, axis=0, kind="stable").T.copy(),
        entry=entry.astype(np.int64),
        lanes=Lanes(unit_minor=15 + 0.01 * between, kg_minor=0.02 * between, room=room, dock_out=free, dock_in=free),
        lead_days=1 + (between / 700).astype(np.int64),
    )


def _km(a: Float64, b: Float64) -> Float64:
    """float64[len(a), len(b)] on a map that is flat enough for prices."""
    north = a[:, None, 0] - b[None, :, 0]
    east = (a[:, None, 1] - b[None, :, 1]) * np.cos(np.radians((a[:, None, 0] + b[None, :, 0]) / 2))
    return _KM_A_DEGREE * np.hypot(north, east)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppliers:
    """Of I items from S suppliers to N nodes; a supplier takes orders on one weekday.

    supplier   int64[I]
    weekday    int64[S], days since 1970-01-01 modulo 7 on which it takes orders
    multiple   int64[I], units of a case; minimum int64[I], of an order of an item to a node
    lead       int64[S, N, T], days until what is ordered on a day is there
    share      float64[I, N, T], of it that comes; the rest never does
    past       int64[S, K], lead times of deliveries before all this: what a planner knows
    """

    supplier: Int64
    weekday: Int64
    multiple: Int64
    minimum: Int64
    lead: Int64
    share: Float64
    past: Int64


def make_suppliers(seed: int, items: int, nodes: int, days: int, *, lead_share: float = 1.0) -> Suppliers:
    """Five suppliers from six days to four weeks away; a case is 6 or 12 units.

    lead_share  of these lead times: 0.5 halves them
    """
    chance = np.random.default_rng([seed, 43])
    usual = lead_share * np.array([6.0, 10.0, 14.0, 20.0, 27.0])
    count = len(usual)

    def leads(*shape: int) -> Int64:
        time = usual.reshape(count, *(1 for _ in shape[1:])) * chance.lognormal(0, 0.12, shape)
        late = np.where(chance.random(shape) < 0.10, lead_share * 6.0 * chance.lognormal(0, 0.8, shape), 0.0)
        return np.maximum(np.rint(time + late), 1).astype(np.int64)

    short = chance.random((items, nodes, days)) < 0.08
    multiple = chance.choice([6, 6, 12], items)
    return Suppliers(
        supplier=chance.permutation(np.arange(items) % count).astype(np.int64),
        weekday=np.array(list(accumulate([1] * count)), np.int64) % 7,
        multiple=multiple.astype(np.int64),
        minimum=multiple.astype(np.int64),
        lead=leads(count, nodes, days),
        share=np.where(short, chance.uniform(0.3, 0.9, short.shape), 1.0),
        past=leads(count, _PAST_DELIVERIES),
    )
