"""A warehouse and two stores: which of them ships what? Needs no server.

python examples/source_warehouse_and_stores.py
"""

from datetime import UTC, datetime
from typing import Any

import onhand

WEEK = [1, 2, 3, 4, 5, 6]
NETWORK: dict[str, Any] = {
    "items": [
        {"sku": "MUG", "name": "Enamel mug", "weight_g": 340, "price_minor": 1290, "unit_cost_minor": 400}
        | {"currency": "EUR"},
        {"sku": "TEA", "name": "Green tea", "weight_g": 120, "price_minor": 890, "unit_cost_minor": 250}
        | {"currency": "EUR"},
    ],
    "nodes": [
        {"code": "warehouse", "name": "Berlin", "node_type": "warehouse", "country": "DE", "latitude": 52.5}
        | {"longitude": 13.4, "timezone": "Europe/Berlin", "handling_cost_minor": 90},
        {"code": "lyon", "name": "Store in Lyon", "node_type": "store", "country": "FR", "latitude": 45.76}
        | {"longitude": 4.83, "timezone": "Europe/Paris", "handling_cost_minor": 180, "working_days": WEEK},
        {"code": "paris", "name": "Store in Paris", "node_type": "store", "country": "FR", "latitude": 48.86}
        | {"longitude": 2.35, "timezone": "Europe/Paris", "handling_cost_minor": 180, "working_days": WEEK},
    ],
    "carriers": [
        {
            "code": "post",
            "name": "Post",
            "services": [
                {
                    "code": "parcel",
                    "currency": "EUR",
                    "rate_table": {
                        "by": "distance_km",
                        "distance_km": [100, 500, None],
                        "weights_g": [1000, 5000],
                        "prices_minor": [[450, 520], [520, 640], [690, 890]],
                    },
                    "transit_days": [{"p50": 1, "p95": 2}, {"p50": 2, "p95": 3}, {"p50": 3, "p95": 5}],
                    "co2_g_per_tonne_km": 90,
                }
            ],
        }
    ],
    "stock": [
        {"sku": "MUG", "node": "warehouse", "available": 40},
        {"sku": "TEA", "node": "warehouse", "available": 5},
        {"sku": "MUG", "node": "lyon", "available": 2},
        {"sku": "TEA", "node": "lyon", "available": 5},
        {"sku": "TEA", "node": "paris", "available": 1, "safety_stock": 1},
    ],
}
PARIS = {"country": "FR", "postal_code": "75002", "latitude": 48.87, "longitude": 2.34}


def main() -> None:
    order = {"destination": PARIS, "lines": [{"sku": "MUG", "quantity": 2}, {"sku": "TEA", "quantity": 1}]}
    plans = onhand.source([order] * 3, NETWORK, at=datetime(2026, 11, 27, 9, tzinfo=UTC))
    for plan in plans:
        for f in plan.fulfilments:
            lines = ", ".join(f"{units} {sku}" for sku, units in f.lines.items())
            cost = ", ".join(f"{term} {minor:.0f}" for term, minor in f.cost.items() if round(minor))
            print(
                f"order {plan.order}: {f.node} ships {lines} by {f.service}, there by {f.deliver_by:%a %d %b} ({cost})"
            )


if __name__ == "__main__":
    main()
