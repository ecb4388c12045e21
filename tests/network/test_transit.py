"""Declared transit times and those that were learned, as sourcing sees them."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from onhand.network.compiled import compile_network
from onhand.network.parcels import lane_key
from onhand.network.transit import corrected, times_of

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ISLAND = {"to_countries": ["DE"], "to_postal_prefixes": ["259"], "transit_days": {"p50": 3.0, "p95": 6.0},
          "parcels_per_day": 50}  # fmt: skip
SERVICE = {
    "code": "parcel", "currency": "EUR",
    "rate_table": {"by": "distance_km", "distance_km": [300, None], "weights_g": [9000], "prices_minor": [[4], [9]]},
    "transit_days": [{"p50": 1.0, "p95": 2.0}, {"p50": 2.0, "p95": 4.0}],
    "lanes": [ISLAND],
}  # fmt: skip
WHOLE = {"service": "parcel", "p50_factor": 1.5, "spread_factor": 2.0, "spread": 1.0, "p50": 2.0, "p95": 6.0}
BAVARIA = {"service": "parcel", "node": "N1", "country": "DE", "region": "BY", "p50": 5.0, "p95": 7.0}
GERMANY = {"service": "parcel", "node": "N1", "country": "DE", "region": None, "p50": 4.0, "p95": 6.0}


def compiled(*learned, **service):
    node = {
        "node_type": "warehouse", "country": "DE", "region": None, "postal_code": None, "attributes": {},
        "latitude": 52.5, "longitude": 13.4, "timezone": "Europe/Berlin", "cutoff": "15:00",
        "working_days": [1, 2, 3, 4, 5], "closed_days": [], "holidays": None, "capacity_orders": None,
        "capacity_lines": None, "capacity_units": None, "methods": ["ship"], "co2_g_per_order": 0,
        "safety_stock_default": 0, "active": True, "labour": None, "handling_cost_minor": 0,
    }  # fmt: skip
    carrier = {"code": "post", "document": {"services": [SERVICE | service]}}
    if learned:
        carrier["transit"] = list(learned)
    document = {
        "nodes": [node | {"node_id": n, "code": f"N{n}"} for n in (1, 2)], "carriers": [carrier],
        "channels": [{"channel_id": 1, "code": "web", "node_ids": None, "active": True}],
    }  # fmt: skip
    return compile_network(json.dumps(document).encode(), NOW)


def times(network, country, region, postal_code, node, band=1):
    """(p50, p95) that a plan rests on."""
    zone = network.zone_row(country, region, postal_code)
    column = network.zone_transit[zone, 0, node]
    column = band if column < 0 else column
    return pytest.approx((network.transit_p50[0, column], network.transit_p95[0, column]), abs=1e-6)


def test_nothing_learned_is_as_declared():
    network = compiled()
    assert times(network, "DE", "BY", "80331", 1) == (2.0, 4.0)
    assert times(network, "DE", "BY", "25999", 1) == (3.0, 6.0)


def test_what_was_learned_of_a_service_corrects_all_its_times():
    network = compiled(WHOLE)
    assert times(network, "DE", "BY", "80331", 1, band=0) == (1.5, 1.5 * 4)
    assert times(network, "DE", "BY", "80331", 1) == (3.0, 3.0 * 4)
    assert times(network, "DE", "SH", "25999", 1) == (4.5, 4.5 * 4)


def test_the_narrowest_that_was_learned_counts_and_a_declared_lane_before_it():
    network = compiled(WHOLE, GERMANY, BAVARIA)
    assert times(network, "DE", "BY", "80331", 1) == (5.0, 7.0)
    assert times(network, "DE", "BE", "10115", 1) == (4.0, 6.0)
    assert times(network, "DE", "BY", "80331", 2) == (3.0, 12.0), "learned of another node"
    assert times(network, "FR", "", "75001", 1) == (3.0, 12.0)
    assert times(network, "DE", "SH", "25999", 1) == (4.5, 18.0), "an island is an exception that somebody knows of"


def test_a_declared_lane_keeps_its_limit_and_its_own_time():
    lane = {"service": "parcel", "lane": lane_key(ISLAND), "p50": 8.0, "p95": 9.0}
    network = compiled(WHOLE, lane, GERMANY)
    assert times(network, "DE", "SH", "25999", 1) == (8.0, 9.0)
    island = network.zone_transit[network.zone_row("DE", "SH", "25999"), 0, 1]
    mainland = network.zone_transit[network.zone_row("DE", "BE", "10115"), 0, 1]
    assert network.lane_key(0, int(island)) == lane_key(ISLAND) and network.lane_of[0, island] == 0
    assert network.lane_key(0, int(mainland)) is None and network.lane_of[0, mainland] == -1
    assert list(network.lane_limits) == [50]


def test_one_time_for_all_bands_stays_one():
    made = times_of(SERVICE | {"transit_days": {"p50": 1.0, "p95": 2.0}}, [WHOLE])
    assert made.bands == pytest.approx({"p50": 1.5, "p95": 6.0})
    assert compiled(WHOLE, transit_days={"p50": 1.0, "p95": 2.0}).transit_p50[0, :2] == pytest.approx([1.5, 1.5])


def test_a_declared_time_that_never_varies_takes_on_the_learned_spread():
    made = corrected({"p50": 2.0, "p95": 2.0}, WHOLE)
    assert (made["p50"], made["p95"]) == pytest.approx((3.0, 3.0 * np.e))
