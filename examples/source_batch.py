"""A night's orders planned together: who gets the unit next door when there is one for two. Needs no server.

python examples/source_batch.py
"""

from datetime import UTC, datetime
from random import Random
from typing import Any

import onhand

CITIES = {
    "berlin": (52.52, 13.40), "hamburg": (53.55, 9.99), "munich": (48.14, 11.58), "cologne": (50.94, 6.96),
    "frankfurt": (50.11, 8.68), "leipzig": (51.34, 12.37),
}  # fmt: skip
SKUS = [f"BOOT-{size}" for size in range(36, 46)]
SERVICE: dict[str, Any] = {
    "code": "parcel",
    "currency": "EUR",
    "rate_table": {
        "by": "distance_km",
        "distance_km": [50, 150, 300, 450, None],
        "weights_g": [2000, 5000, 30000],
        "prices_minor": [[390, 490, 990], [440, 560, 1150], [520, 680, 1350], [610, 820, 1600], [720, 990, 1900]],
    },
    "transit_days": {"p50": 1, "p95": 2},
}


def network(random: Random) -> dict[str, Any]:
    """A store in every city: a pair or two of most sizes, and no more than 15 parcels a day."""
    return {
        "items": [{"sku": sku, "name": sku, "weight_g": 1200, "price_minor": 12900, "currency": "EUR"} for sku in SKUS],
        "nodes": [
            {"code": city, "name": city, "node_type": "store", "country": "DE", "latitude": latitude}
            | {"longitude": longitude, "timezone": "Europe/Berlin", "handling_cost_minor": 180}
            | {"capacity": {"orders": 15}}
            for city, (latitude, longitude) in CITIES.items()
        ],
        "carriers": [{"code": "post", "name": "Post", "services": [SERVICE]}],
        "stock": [
            {"sku": sku, "node": city, "available": random.choice([1, 1, 2])}
            for sku in SKUS
            for city in CITIES
            if random.random() < 0.8
        ],
    }


def customer(random: Random) -> dict[str, Any]:
    latitude, longitude = random.choice(list(CITIES.values()))
    return {
        "country": "DE",
        "latitude": latitude + random.uniform(-0.6, 0.6),
        "longitude": longitude + random.uniform(-0.6, 0.6),
    }


def main() -> None:
    random = Random(7)
    stores = network(random)
    orders = [
        {
            "destination": customer(random),
            "lines": [{"sku": sku, "quantity": 1} for sku in random.sample(SKUS, random.choice([1, 1, 2]))],
        }
        for _ in range(36)
    ]
    at = datetime(2026, 3, 2, 6, tzinfo=UTC)
    known = onhand.Network.load(stores, at=at)

    one_by_one = onhand.source(orders, known)
    served = [p for p in one_by_one if p.fulfilments]
    print(f"one after the other: {len(served)} served, {sum(p.cost_minor for p in served) / 100:.2f}")

    joint = onhand.source_batch(orders, known, time_limit_s=5)
    plans = [p for p in joint.plans if p.fulfilments]
    print(f"together: {len(plans)} served, {sum(p.cost_minor for p in plans) / 100:.2f}")
    print(f"no plan of all of them is cheaper by more than {joint.gap:.2%}")
    elsewhere = sum(a.nodes != b.nodes for a, b in zip(one_by_one, joint.plans, strict=True))
    print(f"{elsewhere} orders ship from elsewhere")


if __name__ == "__main__":
    main()
