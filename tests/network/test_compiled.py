"""The network as arrays: from its document and from the database, through cut-offs and strangers' postal codes."""

import threading
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sourcing.oracle import band_of
from tests.sourcing.worlds import COUNTRIES, PLACES, draw

from onhand.base.dates import EPOCH
from onhand.db import Database
from onhand.network.compiled import (
    NO_LIMIT,
    Network,
    compile_network,
    keep_document,
    load_document,
    load_network,
    read_document,
)

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)  # a Wednesday


def node(node_id: int, **changed: Any) -> dict[str, Any]:
    return {
        "node_id": node_id,
        "code": f"N{node_id}",
        "country": "DE",
        "latitude": 50.0,
        "longitude": 8.0,
        "timezone": "UTC",
        "handling_cost_minor": 180,
        "cutoff": "15:00",
        "working_days": [1, 2, 3, 4, 5],
        "closed_days": [],
        "capacity_orders": None,
        "capacity_lines": None,
        "capacity_units": None,
        "methods": ["ship"],
        "co2_g_per_order": 0,
        "active": True,
    } | changed


def zoned(code: str, zones: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "code": code,
        "rate_table": {"by": "zone", "zones": zones, "weights_g": [1000], "prices_minor": [[1]] * len(zones)},
        "transit_days": {"p50": 1, "p95": 2},
    }


def network(
    nodes: list[dict[str, Any]], services: list[dict[str, Any]] | None = None, *, now: datetime = NOW
) -> Network:
    document = {
        "nodes": nodes,
        "carriers": [{"code": "post", "document": {"services": services or []}}],
        "channels": [{"channel_id": 1, "code": "web", "node_ids": None, "active": True}],
    }
    return compile_network(msgspec.json.encode(document), now)


def bands(net: Network, place: tuple[str, str, str], service: int = 0) -> list[int]:
    """Band of a service for a destination, by node."""
    row = net.zone_row(*place)
    return net.zone_bands[row, service, 1:].tolist()


# Zones ----------------------------------------------------------------------------------------------


def test_the_first_zone_that_matches_counts() -> None:
    zones = [
        {"zone": "city", "to_countries": ["FR"], "to_postal_prefixes": ["750", "69"]},
        {"zone": "home", "from_countries": ["FR"], "to_countries": ["FR"]},
        {"zone": "island", "to_countries": ["FR"], "to_regions": ["2A"], "to_postal_prefixes": ["20"]},
        {"zone": "europe", "to_countries": ["FR", "DE"]},
    ]
    net = network([node(1, country="FR"), node(2)], [zoned("z", zones)])
    assert bands(net, ("FR", "", "75001")) == [0, 0]
    assert bands(net, ("FR", "", "75100")) == [1, 3]
    assert bands(net, ("FR", "2A", "20000")) == [1, 2]
    assert bands(net, ("FR", "2B", "20000")) == [1, 3]
    assert bands(net, ("DE", "2A", "20000")) == [3, 3]
    assert bands(net, ("US", "", "75001")) == [-1, -1]


def test_what_a_zone_leaves_out_or_empty_matches_everything() -> None:
    nothing: dict[str, Any] = {"from_countries": None, "to_countries": [], "to_regions": None, "to_postal_prefixes": []}
    zones: list[dict[str, Any]] = [{}, nothing]
    for zone in zones:
        net = network([node(1)], [zoned("z", [{"zone": "world"} | zone])])
        assert bands(net, ("XX", "", "")) == [0]


@given(st.randoms(use_true_random=False), st.lists(st.sampled_from([*PLACES, ("DE", "BE", "80")]), max_size=12))
@settings(max_examples=60, deadline=None)
def test_bands_are_those_of_a_search_through_the_document(rng: Random, places: list[tuple[str, str, str]]) -> None:
    world = draw(rng)
    net = world.network()
    services = [s for c in world.carriers for s in c["document"]["services"]]
    rows = [net.zone_row(*place) for place in places]
    for place, row in zip(places, rows, strict=True):
        for s, service in enumerate(services):
            if service["rate_table"]["by"] != "zone":
                assert not net.service_by_zone[s]
                continue
            for n in world.nodes:
                expected = band_of(service["rate_table"], 0, n["country"], place)
                assert net.zone_bands[row, s, n["node_id"]] == (-1 if expected is None else expected)


def test_destinations_that_no_zone_tells_apart_share_a_row() -> None:
    zones = [{"zone": "a", "to_postal_prefixes": ["1", "22"]}, {"zone": "b", "to_countries": ["FR"]}]
    net = network([node(1)], [zoned("z", zones)])
    rows = {net.zone_row("DE", "", f"{n:05}") for n in range(0, 100_000, 7)}
    rows |= {net.zone_row(country, f"R{n}", "90000") for country in COUNTRIES for n in range(100)}
    assert rows == {1, 2, 3}, "matched by a prefix, by the country, by nothing"
    assert len(net.zone_bands) == 4


def test_strangers_postal_codes_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onhand.network.zones.DESTINATIONS_MAX", 50)
    rules = [{"zone": str(n), "to_postal_prefixes": [f"{n:03}"]} for n in range(200)]
    net = network([node(1)], [zoned("z", rules)])
    for _ in range(2):
        for n in range(200):
            assert bands(net, ("DE", "", f"{n:03}99")) == [n]
    assert len(net.zone_bands) <= 512
    assert len(net.zones._rows) <= 50  # pyright: ignore[reportPrivateUsage]


def test_rows_found_by_several_threads_at_once_stay_apart() -> None:
    zones = [{"zone": str(n), "to_postal_prefixes": [f"{n:03}"]} for n in range(300)]
    net = network([node(1)], [zoned("z", zones)])
    wrong: list[str] = []
    start = threading.Barrier(8)

    def look(seed: int) -> None:
        codes = [f"{n:03}" for n in range(300)]
        Random(seed).shuffle(codes)
        start.wait()
        wrong.extend(code for code in codes if bands(net, ("DE", "", code)) != [int(code)])

    threads = [threading.Thread(target=look, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_copy_of_the_network_knows_the_rows_that_the_original_finds() -> None:
    zones = [{"zone": str(n), "to_postal_prefixes": [f"{n:02}"]} for n in range(40)]
    net = network([node(1)], [zoned("z", zones)])
    copy = replace(net, left=net.left.copy())
    for n in range(40):
        assert bands(net if n % 2 else copy, ("DE", "", f"{n:02}")) == [n]
    for n in range(40):
        assert bands(copy if n % 2 else net, ("DE", "", f"{n:02}")) == [n]


# Lanes ----------------------------------------------------------------------------------------------

_SOME_COUNTRIES = st.none() | st.lists(st.sampled_from(COUNTRIES), max_size=2)
_WAYS: dict[str, Any] = {
    "from_countries": _SOME_COUNTRIES,
    "to_countries": _SOME_COUNTRIES,
    "to_regions": st.none() | st.lists(st.sampled_from(["BE", "2A"]), max_size=2),
    "to_postal_prefixes": st.none() | st.lists(st.sampled_from(["1", "10", "80"]), max_size=2),
}
LANES = st.lists(
    st.fixed_dictionaries(
        {"transit_days": st.integers(1, 9).map(lambda days: {"p50": days, "p95": days + 1})},
        optional=_WAYS | {"from_nodes": st.none() | st.lists(st.sampled_from(["N1", "N3"]), max_size=2)},
    ),
    max_size=5,
)


def leads(rule: dict[str, Any], node: dict[str, Any], place: tuple[str, str, str]) -> bool:
    """Whether a zone or lane is for a node and a destination, by its words."""
    country, region, postal_code = place
    return (
        node["code"] in (rule.get("from_nodes") or [node["code"]])
        and node["country"] in (rule.get("from_countries") or [node["country"]])
        and country in (rule.get("to_countries") or [country])
        and region in (rule.get("to_regions") or [region])
        and any(postal_code.startswith(prefix) for prefix in rule.get("to_postal_prefixes") or [""])
    )


@given(
    st.lists(LANES, min_size=1, max_size=3),
    st.lists(st.sampled_from([*PLACES, ("DE", "BE", "80"), ("DE", "BE", "10")]), min_size=1, max_size=9),
    st.lists(st.sampled_from(COUNTRIES), min_size=3, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_the_first_lane_that_leads_there_gives_the_days(
    lanes: list[list[dict[str, Any]]], places: list[tuple[str, str, str]], countries: list[str]
) -> None:
    nodes = [node(n, country=country) for n, country in zip((1, 3, 4), countries, strict=True)]
    services = [
        (by_distance if s % 2 else zoned)(f"s{s}", [{"zone": "a"}, {"zone": "b"}]) | {"lanes": each}
        for s, each in enumerate(lanes)
    ]
    net = network(nodes, services)
    rows = [net.zone_row(*place) for place in places]
    # All at the end: what came later must not have changed what was there.
    for row, place in zip(rows, places, strict=True):
        for s, each in enumerate(lanes):
            for n in nodes:
                column = int(net.zone_transit[row, s, n["node_id"]])
                wanted = next((lane for lane in each if leads(lane, n, place)), None)
                if wanted is None:
                    assert column == -1
                else:
                    assert column >= net.band_count[s]
                    assert net.transit_p50[s, column] == wanted["transit_days"]["p50"]
                    assert net.transit_p95[s, column] == wanted["transit_days"]["p95"]
                    assert net.transit_sigma[s, column] > 0
                    assert net.transit_mean[s, column] > net.transit_p50[s, column]


def by_distance(code: str, bands: list[Any]) -> dict[str, Any]:
    edges = [*range(100, 100 * len(bands), 100), None]
    return {
        "code": code,
        "rate_table": {
            "by": "distance_km", "distance_km": edges, "weights_g": [1000], "prices_minor": [[1]] * len(bands),
        },
        "transit_days": [{"p50": 1, "p95": 2}] * len(bands),
    }  # fmt: skip


def test_lanes_stand_in_columns_after_the_bands_of_their_service() -> None:
    days = {"transit_days": {"p50": 7, "p95": 8}}
    three = by_distance("three", [1, 2, 3]) | {"lanes": [days]}
    one = by_distance("one", [1]) | {"lanes": [days | {"parcels_per_day": 40, "to_countries": ["FR"]}, days]}
    net = network([node(1)], [three, one])
    assert net.transit_p50.tolist() == [[1, 1, 1, 7], [1, 7, 7, 1]]
    assert (net.lane_of.tolist(), net.lane_limits.tolist()) == ([[-1] * 4, [-1, 0, -1, -1]], [40])
    assert net.has_zones, "destinations differ, though all is priced by distance"
    assert net.zone_transit[net.zone_row("FR", "", ""), :, 1].tolist() == [3, 1]
    assert net.zone_transit[net.zone_row("DE", "", ""), :, 1].tolist() == [3, 2]
    assert net.zone_bands.shape == net.zone_transit.shape


def test_without_lanes_nothing_is_as_if_there_were_any() -> None:
    net = network([node(1)], [by_distance("one", [1, 2])])
    assert (net.transit_p50.shape, net.has_zones, net.zone_row("FR", "", "")) == ((1, 2), False, 0)
    assert net.zone_transit.tolist() == [[[-1, -1]]]
    assert (net.service_parcels.tolist(), net.service_residential_minor.tolist()) == ([NO_LIMIT], [0])


# Ship days and capacity -----------------------------------------------------------------------------


def days(net: Network, node_id: int = 1) -> list[date | None]:
    return [EPOCH + timedelta(days=d) if d else None for d in net.slot_day[node_id].tolist()]


def test_a_passed_cut_off_moves_the_days_and_what_is_left_stays_with_its_day() -> None:
    net = network([node(1, capacity_orders=9), node(2, cutoff="18:00", capacity_orders=9)])
    net.left[1, :3, 0], net.left[2, :3, 0] = [4, 5, 6], [1, 2, 3]
    net.set_clock(NOW + timedelta(hours=4, minutes=59))
    assert days(net)[0] == NOW.date()
    net.set_clock(NOW + timedelta(hours=5))
    assert days(net)[:2] == [date(2026, 3, 5), date(2026, 3, 6)]
    assert (net.left[1, :4, 0].tolist(), net.left[2, :4, 0].tolist()) == ([5, 6, 9, 9], [1, 2, 3, 9])
    net.set_clock(NOW + timedelta(days=1, hours=9))
    assert (net.left[1, :3, 0].tolist(), net.left[2, :3, 0].tolist()) == ([6, 9, 9], [3, 9, 9])


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 40 * 60), max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_days_are_those_of_a_network_compiled_at_that_moment(rng: Random, minutes: list[int]) -> None:
    world = draw(rng)
    net, now = world.network(), world.now
    for step in minutes:
        now += timedelta(minutes=step)
        net.set_clock(now)
        fresh = compile_network(world.document, now)
        assert np.array_equal(net.slot_day[:, 0], fresh.slot_day[:, 0])
        # Far days of a node that works one day a week come into sight only when a day passes.
        known = net.slot_day > 0
        assert np.array_equal(net.slot_day[known], fresh.slot_day[known])
        assert np.array_equal(net.slot_cutoff[known], fresh.slot_cutoff[known])
        assert ((net.slot_cutoff > 0) == known).all()


def test_a_copy_keeps_its_days_while_the_original_moves_on() -> None:
    """The exact path decides on a copy without holding the lock."""
    net = network([node(1, capacity_orders=9)])
    copy = replace(net, left=net.left.copy())
    before = (copy.slot_day.copy(), copy.slot_cutoff.copy(), copy.left.copy())
    net.set_clock(NOW + timedelta(days=30))
    for now, then in zip((copy.slot_day, copy.slot_cutoff, copy.left), before, strict=True):
        assert np.array_equal(now, then)
    assert days(net)[0] == (NOW + timedelta(days=30)).date()


def test_a_node_that_opens_after_a_long_time_is_noticed() -> None:
    closed = [(NOW.date() + timedelta(days=n)).isoformat() for n in range(61)]
    net = network([node(1, closed_days=closed), node(2, working_days=[1])])
    assert days(net) == [None] * 10
    net.set_clock(NOW + timedelta(hours=1))
    assert days(net) == [None] * 10
    net.set_clock(NOW + timedelta(days=2))
    assert days(net)[0] == date(2026, 5, 4)


def test_public_holidays_are_closed_besides_the_closed_days() -> None:
    """Good Friday and Easter Monday 2026 in Bavaria; Epiphany there and not in Berlin."""
    easter = datetime(2026, 4, 2, 10, tzinfo=UTC)
    net = network([node(1, holidays="DE-BY", closed_days=["2026-04-07"]), node(2)], now=easter)
    assert [d.isoformat() for d in days(net)[:2] if d] == ["2026-04-02", "2026-04-08"]
    assert [d.isoformat() for d in days(net, 2)[:2] if d] == ["2026-04-02", "2026-04-03"]
    year_end = datetime(2025, 12, 31, 10, tzinfo=UTC)
    net = network([node(1, holidays="DE-BY"), node(2, holidays="DE-BE")], now=year_end)
    assert [d.isoformat() for d in days(net)[:4] if d] == ["2025-12-31", "2026-01-02", "2026-01-05", "2026-01-07"]
    assert [d.isoformat() for d in days(net, 2)[:4] if d] == ["2025-12-31", "2026-01-02", "2026-01-05", "2026-01-06"]
    net.set_clock(year_end + timedelta(days=2))
    assert [d.isoformat() for d in days(net)[:2] if d] == ["2026-01-02", "2026-01-05"]


def test_days_and_their_indexes() -> None:
    net = network([node(1), node(2, cutoff="09:00")])
    today = (NOW.date() - EPOCH).days
    nodes, wanted = np.array([1, 2, 1, 1], np.int32), np.array([today, today, today + 1, today + 99], np.int32)
    assert net.slots_of(nodes, wanted).tolist() == [0, -1, 1, -1]
    assert net.slots_of(nodes[:0], wanted[:0]).tolist() == []


# The arrays -----------------------------------------------------------------------------------------


def test_channels_are_found_by_their_id_so_that_later_networks_agree() -> None:
    document: dict[str, Any] = {
        "nodes": [node(1), node(3), node(4, active=False)],
        "carriers": [],
        "channels": [
            {"channel_id": 5, "code": "few", "node_ids": [3], "active": True},
            {"channel_id": 2, "code": "all", "node_ids": None, "active": False},
            {"channel_id": 7, "code": "none", "node_ids": [], "active": True},
        ],
    }
    net = compile_network(msgspec.json.encode(document), NOW)
    assert {code: net.channel_nodes(c).tolist() for code, c in net.channels.items()} == {
        "few": [3],
        "all": [1, 3, 4],
        "none": [],
    }
    assert {c.code: (c.channel_id, c.active) for c in net.channels.values()} == {
        "few": (5, True),
        "all": (2, False),
        "none": (7, True),
    }
    document["channels"].insert(0, {"channel_id": 1, "code": "new", "node_ids": [1, 3], "active": True})
    later = compile_network(msgspec.json.encode(document), NOW)
    assert [later.channel_nodes(net.channels[code]).tolist() for code in ("few", "all")] == [[3], [1, 3, 4]]


def test_an_inactive_node_offers_nothing_and_keeps_its_name() -> None:
    net = network([node(2, active=False, methods=["ship", "pickup"])])
    assert (net.methods.tolist(), net.node_codes, net.node_ids) == ([0, 0, 0], ["", "", "N2"], {"N2": 2})
    assert net.count == 2


def test_services_become_rows() -> None:
    by_distance = {
        "code": "std",
        "rate_table": {
            "by": "distance_km",
            "distance_km": [100, None],
            "weights_g": [500, 2000, 9000],
            "prices_minor": [[100, 200, 300], [400, 500, 600]],
        },
        "transit_days": [{"p50": 1, "p95": 2}, {"p50": 3, "p95": 3}],
        "cutoff": "17:30",
        "methods": ["ship_to_store"],
        "fuel_surcharge_rate": 0.1,
        "dimensional_divisor": 5000,
        "co2_g_per_tonne_km": 62,
    }
    net = network([node(1)], [by_distance, zoned("zone", [{"zone": "z"}])])
    assert [(s.carrier, s.code) for s in net.services] == [("post", "std"), ("post", "zone")]
    assert net.band_km[0].tolist() == [100, np.inf]
    assert (net.band_count.tolist(), net.weight_count.tolist()) == ([2, 1], [3, 1])
    assert net.rate_minor[0].tolist() == pytest.approx(np.array([[110, 220, 330], [440, 550, 660]]))
    assert net.service_methods.tolist() == [4, 1 | 4]
    assert (net.service_cutoff_min.tolist(), net.service_by_zone.tolist()) == ([1050, -1], [0, 1])
    assert net.transit_sigma[0].tolist() == pytest.approx([np.log(2) / 1.6448536, 0])
    assert net.transit_mean[0, 1] == 3


def test_labour_is_part_of_handling() -> None:
    labour = {"minor_per_hour": 3600, "seconds_per_order": 60.5, "seconds_per_line": 30, "seconds_per_unit": 0}
    more = {"handling_line_minor": 5, "handling_unit_minor": 7}
    net = network([node(1), node(2, labour=labour), node(3, labour=labour, **more), node(4, labour=None, **more)])
    assert net.handling_minor.tolist() == [0, 180, 240.5, 240.5, 180]
    assert net.handling_line_minor.tolist() == [0, 0, 30, 35, 5]
    assert net.handling_unit_minor.tolist() == [0, 0, 0, 7, 7]
    assert net.handling_minor.dtype == np.float64


def test_services_have_surcharges_limits_and_emissions() -> None:
    says = {"residential_surcharge_minor": 80, "parcels_per_day": 400, "emission_factor": "rail_uk_2026"}
    net = network([node(1)], [zoned("a", [{"zone": "z"}]) | says | {"distance_factor": 2}, zoned("b", [{"zone": "z"}])])
    assert net.service_residential_minor.tolist() == [80, 0]
    assert net.service_parcels.tolist() == [400, NO_LIMIT]
    assert net.service_co2.tolist() == pytest.approx([65.48, 0])


def test_cartons_stand_by_what_goes_in() -> None:
    def carton(code: str, length: int, **says: Any) -> dict[str, Any]:
        sides = {f"inner_{side}_mm": length for side in ("length", "width", "height")}
        return {"code": code, "weight_g": 0, "cost_minor": 0, "fill_share": 0.5} | sides | says

    document = {
        "nodes": [],
        "carriers": [],
        "channels": [],
        "cartons": [
            carton("large", 300, weight_g=90, weight_max_g=30_000, outer_height_mm=310, outer_width_mm=None),
            carton("loose", 300, fill_share=0.25),
            carton("a-dear", 100, cost_minor=12),
            carton("cheap", 100, cost_minor=11, weight_max_g=None),
        ],
    }
    net = compile_network(msgspec.json.encode(document), NOW)
    assert net.carton_codes == ["cheap", "a-dear", "loose", "large"]
    assert net.carton_fit_mm3.tolist() == [5e5, 5e5, 6.75e6, 13.5e6]
    assert net.carton_outer_mm3.tolist() == [1e6, 1e6, 27e6, 27.9e6]
    assert (net.carton_minor.tolist(), net.carton_tare_g.tolist()) == ([11, 12, 0, 0], [0, 0, 0, 90])
    assert net.carton_max_g.tolist() == [NO_LIMIT, NO_LIMIT, NO_LIMIT, 30_000]
    assert (net.carton_max_g.dtype, net.carton_minor.dtype) == (np.int64, np.float64)


def test_documents_of_old_plans_know_no_cartons_and_no_duties() -> None:
    net = network([node(1)], [zoned("z", [{"zone": "z"}])])
    assert (net.carton_codes, net.carton_fit_mm3.size, net.carton_max_g.size) == ([], 0, 0)
    assert not net.duties.has_duties
    assert net.duties.node_origin.tolist() == [0, 1]


def test_duties_know_where_the_nodes_are() -> None:
    document = {
        "nodes": [node(1, country="FR"), node(3, country="DE")],
        "carriers": [],
        "channels": [],
        "duties": [{"code": "a", "valid_from": "2026-01-01", "to_countries": ["CH"], "duty_rate": 0.25}],
    }
    net = compile_network(msgspec.json.encode(document), NOW)
    row = net.duties.row("CH", "", (NOW.date() - EPOCH).days)
    assert [net.duties.origins[o] for o in net.duties.node_origin] == ["", "FR", "", "DE"]
    assert net.duties.rate[row, net.duties.node_origin, 0].tolist() == [0, 0.25, 0, 0.25]


def test_a_merchant_without_anything_is_a_network() -> None:
    net = compile_network(b'{"nodes":[],"carriers":[],"channels":[]}', NOW)
    net.set_clock(NOW + timedelta(days=3))
    assert (net.count, len(net.services), net.zone_row("DE", "", ""), net.candidates_max) == (0, 0, 0, 0)


# The database ---------------------------------------------------------------------------------------

_SET_UP = """
INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone, handling_cost_minor, cutoff,
    working_days, closed_days, capacity_orders, capacity_lines, capacity_units, methods, co2_g_per_order, active)
VALUES
    (1, 'ÉVREUX "1"', 'n', 'store', 'FR', 49.02, 1.15, 'Europe/Paris', 180, '16:45', '{1,2,6}', '{2026-03-07}',
     12, NULL, 0, '{ship,pickup}', 15, true),
    (3, 'B', 'n', 'store', 'DE', -52.5, 179.5, 'Pacific/Auckland', 0, '00:00', '{1,2,3,4,5,6,7}', '{}',
     NULL, NULL, NULL, '{ship}', 0, false);
UPDATE node SET labour = '{"minor_per_hour": 1800, "seconds_per_line": 20}', holidays = 'FR', handling_unit_minor = 4
    WHERE node_id = 1;
INSERT INTO node_group (code, name, node_ids) VALUES ('west', 'w', '{3}');
INSERT INTO carton (code, document, active) VALUES ('M', '{"inner_length_mm": 10, "inner_width_mm": 10,
    "inner_height_mm": 10, "weight_g": 5, "cost_minor": 9, "fill_share": 1}', true), ('gone', '{}', false);
INSERT INTO duty (code, document, active) VALUES
    ('CH', '{"valid_from": "2026-01-01", "to_countries": ["CH"], "duty_rate": 0.1}', true), ('gone', '{}', false);
INSERT INTO carrier (carrier_id, code, name, document) VALUES (1, 'post', 'p', '{"services": [{"code": "std",
    "rate_table": {"by": "distance_km", "distance_km": [10.5, null], "weights_g": [1000], "prices_minor": [[1], [2]]},
    "transit_days": {"p50": 0.1, "p95": 0.3}}]}');
INSERT INTO carrier (carrier_id, code, name, document, active) VALUES (2, 'gone', 'p', '{"services": []}', false);
INSERT INTO channel (channel_id, code, name, currency, node_ids, node_group) VALUES
    (1, 'all', 'c', 'EUR', NULL, NULL), (2, 'some', 'c', 'EUR', '{1}', NULL), (3, 'group', 'c', 'EUR', NULL, 'west');
"""


def set_up(db: Database) -> None:
    with db.connection() as conn:
        conn.execute(_SET_UP.encode())


def assert_equal(one: Network, other: Network) -> None:
    arrays = {f.name for f in fields(Network) if isinstance(getattr(one, f.name), np.ndarray)}
    assert len(arrays) > 25
    for f in fields(Network):
        a, b = getattr(one, f.name), getattr(other, f.name)
        if f.name in arrays:
            assert a.dtype == b.dtype and np.array_equal(a, b), f.name
        elif f.name not in ("zones", "duties", "network_id"):
            assert a == b, f.name


def test_a_network_is_read_as_it_was_written(db: Database) -> None:
    set_up(db)
    with db.connection() as conn:
        net = load_network(conn, NOW)
    assert net.node_codes == ["", 'ÉVREUX "1"', "", "B"]
    assert net.node_json[1] == '"ÉVREUX \\"1\\""'
    assert np.degrees(net.latitude[[1, 3]]).tolist() == pytest.approx([49.02, -52.5])
    assert (net.cutoff_min.tolist(), net.methods.tolist()) == ([0, 1005, 0, 0], [0, 3, 0, 0])
    assert net.limits[[1, 3]].tolist() == [[12, NO_LIMIT, 0], [NO_LIMIT] * 3]
    assert [days(net)[0], days(net)[1]] == [date(2026, 3, 9), date(2026, 3, 10)]
    assert {code: net.channel_nodes(c).tolist() for code, c in net.channels.items()} == {
        "all": [1, 3],
        "some": [1],
        "group": [3],
    }
    assert [(s.carrier, s.code) for s in net.services] == [("post", "std")]
    assert (net.handling_line_minor.tolist(), net.handling_unit_minor.tolist()) == ([0, 10, 0, 0], [0, 4, 0, 0])
    assert (net.carton_codes, net.carton_minor.tolist(), net.carton_fit_mm3.tolist()) == (["M"], [9], [1000])
    row = net.duties.row("CH", "", (NOW.date() - EPOCH).days)
    assert net.duties.rate[row, net.duties.node_origin[1], 0] == 0.1


def test_the_document_of_an_old_decision_compiles_to_the_same_network(db: Database) -> None:
    set_up(db)
    with db.connection() as conn:
        net = load_network(conn, NOW)
        document = read_document(conn)
        assert keep_document(conn, document) == net.network_id, "the same network is kept once"
        conn.execute("UPDATE node SET handling_cost_minor = 999")
        changed = load_network(conn, NOW)
        assert changed.network_id != net.network_id
        assert changed.handling_minor[1] == 999
        assert load_document(conn, net.network_id) == document
        assert_equal(compile_network(load_document(conn, net.network_id), NOW), net)


@pytest.mark.broken_invariants
def test_what_is_promised_of_a_day_is_no_longer_left(db: Database) -> None:
    set_up(db)
    with db.connection() as conn:
        conn.execute(
            "UPDATE node SET working_days = '{1,2,3,4,5,6,7}', closed_days = '{}', capacity_lines = 5, active = true"
        )
        conn.execute(
            "INSERT INTO capacity_day (node_id, day, orders, lines, units) VALUES (1, '2026-03-04', 3, 4, 0),"
            " (1, '2026-03-06', 1, 7, 0), (1, '2026-03-01', 9, 9, 9), (1, '2027-03-01', 9, 9, 9),"
            " (3, '2026-03-05', 2, 1, 8)"
        )
        net = load_network(conn, NOW)
    today, friday = [9, 1, 0], [11, -2, 0]  # a limit was lowered: less than nothing is left
    assert net.left[1, :4].tolist() == [today, [12, 5, 0], friday, [12, 5, 0]]
    assert net.left[3, :2].tolist() == [[NO_LIMIT, 4, NO_LIMIT], [NO_LIMIT, 5, NO_LIMIT]]
    assert net.left.dtype == np.int32
