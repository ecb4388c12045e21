"""Sound documents to bend."""

NODE = {
    "name": "Lyon",
    "node_type": "warehouse",
    "country": "FR",
    "latitude": 45.73,
    "longitude": 4.84,
    "timezone": "Europe/Paris",
}
DISTANCE_SERVICE = {
    "code": "parcel",
    "rate_table": {
        "by": "distance_km",
        "distance_km": [100, 500, None],
        "weights_g": [1000, 5000],
        "prices_minor": [[420, 560], [480, 690], [560, 890]],
    },
    "currency": "EUR",
    "transit_days": [{"p50": 1, "p95": 2}, {"p50": 2, "p95": 3}, {"p50": 3, "p95": 5}],
}
ZONE_SERVICE = {
    "code": "export",
    "methods": ["ship"],
    "rate_table": {
        "by": "zone",
        "zones": [
            {"zone": "domestic", "from_countries": ["FR"], "to_countries": ["FR"]},
            {"zone": "islands", "to_countries": ["FR"], "to_regions": ["2A"], "to_postal_prefixes": ["20"]},
            {"zone": "world"},
        ],
        "weights_g": [1000, 5000, 30000],
        "prices_minor": [[400, 500, 600], [700, 800, 900], [1900, 2900, 4900]],
    },
    "currency": "EUR",
    "transit_days": {"p50": 2.5, "p95": 6},
    "cutoff": "17:00",
    "parcels_per_day": 400,
    "co2_g_per_tonne_km": 95,
    "dimensional_divisor": 5000,
    "fuel_surcharge_rate": 0.08,
}
CARTON = {"inner_length_mm": 300, "inner_width_mm": 200, "inner_height_mm": 150, "weight_g": 180, "cost_minor": 38}
DUTY = {
    "name": "Clothing into Switzerland",
    "to_countries": ["CH"],
    "hs_prefixes": ["61", "62.05"],
    "valid_from": "2026-01-01",
    "tax_rate": 0.081,
    "currency": "CHF",
    "source": "customs broker",
}
CARRIER = {"name": "Post", "services": [DISTANCE_SERVICE, ZONE_SERVICE]}
