"""Same day from stores: what a day earlier costs, and what is promised when the courier is booked up. Needs no server.

python examples/source_same_day.py
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import onhand
from onhand.sourcing.policy import STANDARD

CITY = {"distance_km": [15, None], "weights_g": [5000]}
DAY = {"country": "DE", "timezone": "Europe/Berlin", "working_days": [1, 2, 3, 4, 5, 6, 7]}
NETWORK: dict[str, Any] = {
    "items": [{"sku": "CAKE", "name": "Cake tin", "weight_g": 800, "price_minor": 2900, "currency": "EUR"}],
    "nodes": [
        DAY
        | {"code": "mitte", "name": "Store Mitte", "node_type": "store", "latitude": 52.52, "longitude": 13.4}
        | {"handling_cost_minor": 250, "cutoff": "17:00"},
        DAY
        | {"code": "leipzig", "name": "Warehouse Leipzig", "node_type": "warehouse", "latitude": 51.34}
        | {"longitude": 12.37, "handling_cost_minor": 80, "cutoff": "14:00"},
    ],
    "carriers": [
        {
            "code": "rider",
            "name": "Rider",
            "services": [
                {
                    "code": "today",
                    "currency": "EUR",
                    # Beyond 15 km the price says no.
                    "rate_table": {"by": "distance_km", "prices_minor": [[690], [90000]], **CITY},
                    "transit_days": {"p50": 0.1, "p95": 0.2},
                    "parcels_per_day": 2,
                }
            ],
        },
        {
            "code": "post",
            "name": "Post",
            "services": [
                {
                    "code": "parcel",
                    "currency": "EUR",
                    "rate_table": {"by": "distance_km", "prices_minor": [[390], [450]], **CITY},
                    "transit_days": {"p50": 1.5, "p95": 2.5},
                }
            ],
        },
    ],
    "stock": [{"sku": "CAKE", "node": node, "available": 20} for node in ("mitte", "leipzig")],
}
AT = datetime(2026, 11, 27, 9, tzinfo=UTC)
HOME = {"country": "DE", "postal_code": "10115", "latitude": 52.53, "longitude": 13.38}


def main() -> None:
    orders = [{"destination": HOME, "lines": [{"sku": "CAKE", "quantity": 1}]}] * 4
    for name in ("margin", "speed"):
        for plan in onhand.source(orders, NETWORK, policy=name, at=AT):
            (f,) = plan.fulfilments
            days = (f.deliver_by - AT).total_seconds() / 86_400
            paid = f.cost["shipping"] + f.cost["handling"]
            print(f"{name}: from {f.node} by {f.service}, {days:.1f} days, {paid:.0f} paid")
    # A floor: what does not earn 20 euros is left for somebody to look at.
    floor = replace(STANDARD.objectives["speed"], floor_minor=2000)
    careful = replace(STANDARD, objectives={"speed": floor}, default="speed")
    (plan,) = onhand.source(orders[:1], NETWORK, policy=careful, at=AT)
    print(f"with a floor of 2000: {plan.status}, profit {plan.profit_minor:.0f}")


if __name__ == "__main__":
    main()
