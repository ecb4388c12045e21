"""Across a border: the nearer node is the dearer one, as soon as customs want something. Needs no server.

python examples/source_across_borders.py
"""

from datetime import UTC, datetime
from typing import Any

import onhand

NETWORK: dict[str, Any] = {
    "items": [
        {"sku": "SHOES", "name": "Running shoes", "weight_g": 900, "price_minor": 12000, "unit_cost_minor": 5000}
        | {"currency": "EUR", "hs_code": "6404.11"},
        {"sku": "SOCKS", "name": "Socks", "weight_g": 60, "price_minor": 1500, "unit_cost_minor": 400}
        | {"currency": "EUR", "hs_code": "6115.95"},
    ],
    "nodes": [
        {"code": "basel", "name": "Basel", "node_type": "warehouse", "country": "CH", "latitude": 47.56}
        | {"longitude": 7.59, "timezone": "Europe/Zurich", "handling_cost_minor": 100},
        {"code": "hamburg", "name": "Hamburg", "node_type": "warehouse", "country": "DE", "latitude": 53.55}
        | {"longitude": 9.99, "timezone": "Europe/Berlin", "handling_cost_minor": 100},
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
                        "distance_km": [200, None],
                        "weights_g": [2000, 10000],
                        "prices_minor": [[500, 700], [950, 1300]],
                    },
                    "transit_days": {"p50": 2, "p95": 4},
                }
            ],
        }
    ],
    # Figures for the example; see docs/how-to/network-data.md for rules with a source.
    "duties": [
        {"code": "shoes", "name": "Shoes into the EU", "to_countries": ["DE"], "hs_prefixes": ["64"], "priority": 10}
        | {"valid_from": "2026-01-01", "duty_rate": 0.17, "de_minimis_minor": 15000, "fee_minor": 600}
        | {"currency": "EUR", "source": "example"},
        {"code": "goods", "name": "Goods into the EU", "to_countries": ["DE"], "valid_from": "2026-01-01"}
        | {"duty_rate": 0.08, "de_minimis_minor": 15000, "fee_minor": 600, "currency": "EUR", "source": "example"},
    ],
    "stock": [
        {"sku": sku, "node": node, "available": 50} for sku in ("SHOES", "SOCKS") for node in ("basel", "hamburg")
    ],
}
FREIBURG = {"country": "DE", "postal_code": "79098", "latitude": 47.99, "longitude": 7.85}


def main() -> None:
    orders = [
        {"destination": FREIBURG, "lines": [{"sku": "SOCKS", "quantity": 2}]},
        {"destination": FREIBURG, "lines": [{"sku": "SHOES", "quantity": 2}]},
    ]
    for plan in onhand.source(orders, NETWORK, at=datetime(2026, 11, 27, 9, tzinfo=UTC)):
        (f,) = plan.fulfilments
        lines = ", ".join(f"{units} {sku}" for sku, units in f.lines.items())
        print(f"{lines}: from {f.node}, shipping {f.cost['shipping']:.0f}, tax and duty {f.cost['tax_duty']:.0f}")
    basel = NETWORK | {"stock": [row for row in NETWORK["stock"] if row["node"] == "basel"]}
    (plan,) = onhand.source(orders[1:], basel, at=datetime(2026, 11, 27, 9, tzinfo=UTC))
    (f,) = plan.fulfilments
    print(f"with basel only: shipping {f.cost['shipping']:.0f}, tax and duty {f.cost['tax_duty']:.0f}")


if __name__ == "__main__":
    main()
