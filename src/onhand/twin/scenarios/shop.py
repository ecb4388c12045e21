"""The merchant of the scenarios: items, nodes, carriers, suppliers, and how much of what lies where."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onhand.library.network import Network
from onhand.twin.places import CITIES
from onhand.twin.scenarios import chance
from onhand.twin.scenarios.chance import Chance, normal
from onhand.twin.scenarios.document import CARRIERS, CHANNELS, Scenario

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

BEGIN: Final = datetime(2026, 3, 2, tzinfo=UTC)
WAREHOUSES, STORES, SUPPLIERS, DEPARTMENTS = 4, 16, 6, 6
NODES: Final = WAREHOUSES + STORES
LEAD_DAYS, REVIEW_DAYS = 5.0, 7.0
_WAREHOUSE_SHARE, _STORE_SHARE = 0.13, 0.03
# What nodes can do, over what is asked of all of them on a usual day.
_ROOM: Final = 1.4
_CHANNEL_SHARES: Final = (0.55, 0.35, 0.10)
_KM: Final = (200.0, 700.0)
# (price in minor units, p50 and p95 days) by distance, of each carrier.
_RATES: Final = (
    ((390, 1.2, 1.9), (460, 1.8, 2.7), (590, 2.6, 3.8)),
    ((560, 0.9, 1.4), (650, 1.3, 2.0), (860, 1.9, 2.9)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """price, cost, rate  float64[I], minor units and units a day; department, supplier int64[I]
    share    float64[N], of an item's stock that lies at each node; capacity int64[N], orders a day that it says
    where    float64[C, 2], degrees of cities, node_at float64[N, 2] of nodes; people float64[C], channels float64[3]:
             shares, cumulated
    quantiles  float64[K, 3, 2], p50 and p95 days of each carrier by distance
    """

    network: Network
    price: Float64
    cost: Float64
    rate: Float64
    department: Int64
    supplier: Int64
    share: Float64
    capacity: Int64
    where: Float64
    node_at: Float64
    people: Float64
    channels: Float64
    quantiles: Float64

    @property
    def items(self) -> int:
        return len(self.price)

    @property
    def margin(self) -> Float64:
        """float64[I], minor units of a unit."""
        return self.price - self.cost

    def band(self, node: int, city: int) -> int:
        """Distance band from a node (from 0) to a city."""
        a, b = self.node_at[node].tolist()
        c, d = self.where[city].tolist()
        km = 111.2 * math.hypot(a - c, (b - d) * math.cos(math.radians((a + c) / 2)))
        return bisect_left(_KM, km)


def open_shop(scenario: Scenario, luck: Chance) -> Shop:
    """The shop of a seed."""
    n = np.arange(scenario.items)
    price = np.rint(np.float64(2_500) * np.exp(np.float64(0.5) * normal(luck.many(chance.ITEM, n, 0))))
    cost = np.round(price * (0.45 + 0.2 * luck.many(chance.ITEM, n, 1)))
    popular = np.exp(0.9 * normal(luck.many(chance.ITEM, n, 2)))
    rate = scenario.orders_per_day / 1.35 * popular / popular.sum()
    share = np.r_[np.full(WAREHOUSES, _WAREHOUSE_SHARE), np.full(STORES, _STORE_SHARE)]
    capacity = np.ceil(share * scenario.orders_per_day * _ROOM).astype(np.int64)
    people = np.array([c.people for c in CITIES], np.float64)
    return Shop(
        network=_network(price, cost, capacity),
        price=price,
        cost=cost,
        rate=rate,
        department=n % DEPARTMENTS,
        supplier=(luck.many(chance.ITEM, n, 3) * SUPPLIERS).astype(np.int64),
        share=share,
        capacity=capacity,
        where=np.array([(c.latitude, c.longitude) for c in CITIES]),
        node_at=np.array([_place(k) for k in range(NODES)]),
        people=np.cumsum(people / people.sum()),
        channels=np.cumsum(_CHANNEL_SHARES),
        quantiles=np.array([[(p50, p95) for _, p50, p95 in rates] for rates in _RATES]),
    )


def _place(node: int) -> tuple[float, float]:
    """Warehouses in the middle of the country, stores in the cities."""
    city = CITIES[(node * 7) % len(CITIES)] if node < WAREHOUSES else CITIES[(node - WAREHOUSES) * 2 % len(CITIES)]
    return city.latitude + 0.02 * (node % 5), city.longitude


def node_code(node: int) -> str:
    """Of a node, from 0."""
    return f"dc-{node + 1}" if node < WAREHOUSES else f"store-{node - WAREHOUSES + 1}"


def sku(item: int) -> str:
    """Of an item, from 0."""
    return f"item-{item + 1}"


def _network(price: Float64, cost: Float64, capacity: Int64) -> Network:
    nodes: list[dict[str, Any]] = []
    for k in range(NODES):
        latitude, longitude = _place(k)
        nodes.append(
            {
                "code": node_code(k), "name": node_code(k), "node_type": "warehouse" if k < WAREHOUSES else "store",
                "country": "DE", "latitude": latitude, "longitude": longitude, "timezone": "UTC",
                "handling_cost_minor": 90 if k < WAREHOUSES else 140, "cutoff": "06:00",
                "working_days": [1, 2, 3, 4, 5, 6, 7], "capacity": {"orders": int(capacity[k])}, "methods": ["ship"],
            }
        )  # fmt: skip
    carriers: list[dict[str, Any]] = []
    for name, rates in zip(CARRIERS, _RATES, strict=True):
        service = {
            "code": name, "currency": "EUR", "cutoff": "18:00", "co2_g_per_tonne_km": 80,
            "rate_table": {
                "by": "distance_km", "distance_km": [*_KM, None], "weights_g": [30_000],
                "prices_minor": [[minor] for minor, *_ in rates],
            },
            "transit_days": [{"p50": p50, "p95": p95} for _, p50, p95 in rates],
        }  # fmt: skip
        carriers.append({"code": name, "name": name, "services": [service]})
    items = [
        {"sku": sku(n), "name": sku(n), "weight_g": 500, "price_minor": int(price[n]), "unit_cost_minor": int(cost[n]),
         "currency": "EUR"}
        for n in range(len(price))
    ]  # fmt: skip
    channels = [{"code": code} for code in CHANNELS]
    return Network.load({"items": items, "nodes": nodes, "carriers": carriers, "channels": channels}, at=BEGIN)
