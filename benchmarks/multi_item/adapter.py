"""The instances as a merchant would put them to `onhand.source`, and its plans as figures. The only module to change
when another engine is to be measured."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

import onhand
from multi_item.instances import FIXED, PER_ITEM, PER_ITEM_MILE, UNSERVED, Instance

POLICIES = ("myopic", "forward")
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
# Minor units per unit of the instances' money: rates are whole numbers.
_MINOR = 100_000
_GRAMS = 1_000
_EARTH_KM = 6371.0088
# Bands of one service; more distances make more services.
_BANDS = 499
_NEVER = 1_000_000_000


def decide(
    instance: Instance, policy: str, forecast: npt.NDArray[np.float64], seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Serve the sequence of an instance, order by order, each without knowing those that follow.

    forecast  float64[pair], the share of each (order type, city) that the policy expects

    Returns the cost float64[order] and the centre of each line of the sequence int32[line], the number of centres
    where a line is left unserved.
    """
    pairs, horizon = instance.pairs, len(instance.sequence)
    possible = [_order(instance, p) for p in range(len(pairs.region))]
    orders = [possible[p] for p in instance.sequence.tolist()]
    expected = {"orders": possible, "expected": (forecast * horizon).tolist()}
    rules = _policy(instance)
    if policy == "myopic":
        rules = replace(rules, foresight=None)
    plans = onhand.source(orders, network(instance) | {"forecast": expected}, policy=rules, seed=seed, at=AT)
    centres = instance.stock.shape[1]
    nodes: list[int] = []
    for plan, order in zip(plans, orders, strict=True):
        by_sku = {sku: int(f.node) for f in plan.fulfilments for sku in f.lines}
        nodes += [by_sku.get(line["sku"], centres) for line in order["lines"]]
    return np.array([_paid(instance, plan) for plan in plans]), np.array(nodes, np.int32)


def _paid(instance: Instance, plan: onhand.Plan) -> float:
    """What the carrier gets, and what is unserved costs; not what units are worth elsewhere."""
    cost = sum(f.cost["shipping"] for f in plan.fulfilments) / _MINOR
    if plan.unserved:
        cost += UNSERVED * FIXED + sum(plan.unserved.values()) * float(instance.costs.unit[0, -1])
    return cost


def _order(instance: Instance, pair: int) -> dict[str, Any]:
    pairs = instance.pairs
    latitude, longitude = instance.geography.cities[pairs.region[pair]].tolist()
    items = pairs.item[pairs.first[pair] : pairs.first[pair + 1]].tolist()
    return {
        "destination": {"country": "US", "latitude": latitude, "longitude": longitude},
        "lines": [{"sku": str(item), "quantity": 1} for item in items],
    }


def _policy(instance: Instance) -> onhand.Policy:
    most = int(np.diff(instance.pairs.first).max())
    objective = onhand.Objective(
        split_minor=0,
        target_days=0,
        late_minor=0,
        day_minor=0,
        co2_minor_per_kg=0,
        unserved_order_minor=UNSERVED * FIXED * _MINOR,
        unserved_unit_minor=float(instance.costs.unit[0, -1]) * _MINOR,
    )
    return onhand.Policy(version="published@1", objectives={"cost": objective}, default="cost", fulfilments_max=most)


def network(instance: Instance) -> dict[str, Any]:
    """The document of an instance. Every item weighs one kilogram, every distance has a band of prices of its own."""
    items, centres = instance.stock.shape
    most = int(np.diff(instance.pairs.first).max())
    node = {"node_type": "warehouse", "country": "US", "timezone": "UTC", "working_days": [1, 2, 3, 4, 5, 6, 7]}
    return {
        "items": [{"sku": str(i), "name": str(i), "weight_g": _GRAMS} for i in range(items)],
        "nodes": [
            node | {"code": str(k), "name": str(k), "latitude": latitude, "longitude": longitude}
            for k, (latitude, longitude) in enumerate(instance.geography.centres.tolist())
        ],
        "carriers": [{"code": "carrier", "name": "carrier", "services": _services(instance, most)}],
        "stock": [
            {"sku": str(i), "node": str(k), "available": int(instance.stock[i, k])}
            for i in range(items)
            for k in range(centres)
        ],
    }


def _services(instance: Instance, most: int) -> list[dict[str, Any]]:
    km = _km(instance.geography.cities, instance.geography.centres).ravel()
    order = np.argsort(km)
    km, miles = km[order], instance.geography.miles.ravel()[order]
    edges = [*((km[1:] + km[:-1]) / 2).tolist(), None]
    rows = [
        [round(_MINOR * (FIXED + n * (PER_ITEM + PER_ITEM_MILE * m))) for n in range(1, most + 1)]
        for m in miles.tolist()
    ]
    services: list[dict[str, Any]] = []
    for start in range(0, len(rows), _BANDS):
        stop = min(start + _BANDS, len(rows))
        below = [edges[start - 1]] if start else []
        services.append(
            {
                "code": f"from-{start}",
                "rate_table": {
                    "by": "distance_km",
                    "distance_km": below + edges[start:stop],
                    "weights_g": [_GRAMS * n for n in range(1, most + 1)],
                    # What is nearer is another service's.
                    "prices_minor": [[_NEVER] * most] * len(below) + rows[start:stop],
                },
                "currency": "USD",
                "transit_days": {"p50": 1, "p95": 1},
            }
        )
    return services


def _km(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float64[a, b], great-circle distances of points in degrees on the product's Earth."""

    def unit(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        p, q = np.radians(points).T
        return np.column_stack([np.cos(p) * np.cos(q), np.cos(p) * np.sin(q), np.sin(p)])

    chord = np.linalg.norm(unit(a)[:, None] - unit(b)[None], axis=2)
    return 2 * _EARTH_KM * np.arcsin(np.minimum(1.0, chord / 2))
