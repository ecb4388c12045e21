"""Documents of nodes and carriers: what is refused, and that the message names the field or the cell."""

import copy

import pytest
from pydantic import ValidationError

from onhand.base.fields import reject_reasons
from onhand.network.decide import carrier_problems, carton_problems, duty_problems
from onhand.network.model import CarrierIn, CartonIn, DutyIn, MarkdownRow, NodeGroupIn, NodeRow

from .documents import CARRIER, CARTON, DUTY, NODE


def refusals(model, document):
    """(path, message) of everything wrong, by fields and by what must add up."""
    try:
        read = model.model_validate(document)
    except ValidationError as error:
        return reject_reasons(error)
    adds_up = {CarrierIn: carrier_problems, CartonIn: carton_problems, DutyIn: duty_problems}
    return adds_up[model](read) if model in adds_up else []


BAD_NODES = [
    ({"code": "a\0"}, "code"),
    ({"code": " a"}, "code"),
    ({"name": None}, "name"),
    ({"node_type": "shop"}, "node_type"),
    ({"country": "FRA"}, "country"),
    ({"country": "fr"}, "country"),
    ({"country": "XX"}, "country"),
    ({"latitude": 90.1}, "latitude"),
    ({"latitude": "45"}, "latitude"),
    ({"latitude": True}, "latitude"),
    ({"latitude": float("nan")}, "latitude"),
    ({"latitude": None}, "latitude"),
    ({"longitude": -181}, "longitude"),
    ({"longitude": 1e309}, "longitude"),
    ({"timezone": "Mars/Olympus"}, "timezone"),
    ({"timezone": "../../etc/passwd"}, "timezone"),
    ({"timezone": ""}, "timezone"),
    ({"postal_code": "x" * 21}, "postal_code"),
    ({"handling_cost_minor": -1}, "handling_cost_minor"),
    ({"handling_cost_minor": 2**40}, "handling_cost_minor"),
    ({"handling_line_minor": -1}, "handling_line_minor"),
    ({"handling_unit_minor": 0.5}, "handling_unit_minor"),
    ({"labour": {}}, "labour.minor_per_hour"),
    ({"labour": {"minor_per_hour": 2400, "seconds_per_line": -1}}, "labour.seconds_per_line"),
    ({"labour": {"minor_per_hour": 2400, "seconds_per_pallet": 1}}, "labour.seconds_per_pallet"),
    ({"holidays": "XX"}, "holidays"),
    ({"holidays": "DE-XX"}, "holidays"),
    ({"holidays": "de"}, "holidays"),
    ({"holidays": ""}, "holidays"),
    ({"cutoff": "24:00"}, "cutoff"),
    ({"cutoff": "9:00"}, "cutoff"),
    ({"cutoff": "15:00:00"}, "cutoff"),
    ({"cutoff": 15}, "cutoff"),
    ({"working_days": []}, "working_days"),
    ({"working_days": [0]}, "working_days[0]"),
    ({"working_days": [8]}, "working_days[0]"),
    ({"working_days": [1, True]}, "working_days[1]"),
    ({"working_days": ["mon", "funday"]}, "working_days[1]"),
    ({"working_days": "mon"}, "working_days"),
    ({"closed_days": ["2026-02-30"]}, "closed_days[0]"),
    ({"closed_days": ["2026-1-1"]}, "closed_days[0]"),
    ({"closed_days": ["0001-01-01"]}, "closed_days[0]"),
    ({"closed_days": [20260101]}, "closed_days[0]"),
    ({"capacity": 5}, "capacity"),
    ({"capacity": {"orders": -1}}, "capacity.orders"),
    ({"capacity": {"orders": 2**31}}, "capacity.orders"),
    ({"capacity": {"parcels": 1}}, "capacity.parcels"),
    ({"docks": 5}, "docks"),
    ({"docks": {"units_out": -1}}, "docks.units_out"),
    ({"docks": {"units_in": 2**31}}, "docks.units_in"),
    ({"docks": {"units_in": 2.5}}, "docks.units_in"),
    ({"docks": {"pallets_in": 3}}, "docks.pallets_in"),
    ({"methods": ["fly"]}, "methods[0]"),
    ({"safety_stock_default": -1}, "safety_stock_default"),
    ({"co2_g_per_order": 0.5}, "co2_g_per_order"),
    ({"attributes": {"x": float("nan")}}, "attributes"),
    ({"active": "yes"}, "active"),
    ({"node_id": 4}, "node_id"),
]


@pytest.mark.parametrize(("change", "path"), BAD_NODES, ids=lambda case: ascii(case)[:40])
def test_a_bad_node_is_refused_by_name(change, path):
    assert refusals(NodeRow, NODE | {"code": "LYON"}) == []
    assert path in [p for p, _ in refusals(NodeRow, NODE | {"code": "LYON"} | change)]


def test_weekdays_are_numbers_or_names_in_any_order():
    node = NodeRow.model_validate(NODE | {"code": "L", "working_days": ["Sat", "tuesday", 3, 3]})
    assert node.working_days == [2, 3, 6]


def service(number, change):
    def bend(document):
        document["services"][number] |= change

    return bend


def rates(number, change):
    def bend(document):
        document["services"][number]["rate_table"] |= change

    return bend


def top(change):
    def bend(document):
        document |= change

    return bend


BAD_CARRIERS = [
    (top({"services": []}), "services", "at least one"),
    (top({"services": None}), "services", "list"),
    (top({"name": ""}), "name", "at least 1"),
    (top({"provider": "karrio"}), "provider", "not available in this version"),
    (top({"provider": "karrio", "settings": {"key": "x"}, "services": []}), "provider", "not available"),
    (top({"provider": "dhl"}), "provider", "karrio"),
    (top({"settings": {}}), "settings", "only with a provider"),
    (service(1, {"code": "parcel"}), "services[1].code", "twice"),
    (service(0, {"code": ""}), "services[0].code", "at least 1"),
    (service(0, {"currency": "EURO"}), "services[0].currency", "ISO 4217"),
    (service(0, {"methods": []}), "services[0].methods", "at least 1"),
    (service(0, {"methods": ["fly"]}), "services[0].methods[0]", "pickup"),
    (service(0, {"rate_table": None}), "services[0].rate_table", '"by"'),
    (service(0, {"rate_table": {"by": "mood"}}), "services[0].rate_table", '"by"'),
    (service(0, {"rate_table": {"by": "zone"}}), "services[0].rate_table.zones", "required"),
    (rates(0, {"zones": []}), "services[0].rate_table.zones", "unknown field"),
    (rates(0, {"distance_km": []}), "services[0].rate_table.distance_km", "at least 1"),
    (rates(0, {"distance_km": [100, 100, None]}), "services[0].rate_table.distance_km[1]", "more than 100"),
    (rates(0, {"distance_km": [100, None, 500]}), "services[0].rate_table.distance_km[1]", "only the last"),
    (rates(0, {"distance_km": [0, 500, None]}), "services[0].rate_table.distance_km[0]", "greater than 0"),
    (rates(0, {"distance_km": ["100", 500, None]}), "services[0].rate_table.distance_km[0]", "number"),
    (rates(0, {"distance_km": [100, None]}), "services[0].rate_table.prices_minor", "2 rows"),
    (rates(0, {"distance_km": [1e308, None, None]}), "services[0].rate_table.distance_km[0]", "less"),
    (rates(0, {"weights_g": [5000, 1000]}), "services[0].rate_table.weights_g[1]", "more than 5000"),
    (rates(0, {"weights_g": [0, 1000]}), "services[0].rate_table.weights_g[0]", "greater"),
    (rates(0, {"weights_g": [1000, None]}), "services[0].rate_table.weights_g[1]", "integer"),
    (rates(0, {"prices_minor": []}), "services[0].rate_table.prices_minor", "at least 1"),
    (rates(0, {"prices_minor": [[1, 2], [1, 2]]}), "services[0].rate_table.prices_minor", "3 rows"),
    (rates(0, {"prices_minor": [[1, 2], [1, 2], [1]]}), "services[0].rate_table.prices_minor[2]", "2 prices"),
    (rates(0, {"prices_minor": [[1, 2], [1, -2], [1, 2]]}), "services[0].rate_table.prices_minor[1][1]", "greater"),
    (rates(0, {"prices_minor": [[1, 2], [1.5, 2], [1, 2]]}), "services[0].rate_table.prices_minor[1][0]", "integer"),
    (rates(0, {"prices_minor": [1, 2, 3]}), "services[0].rate_table.prices_minor[0]", "list"),
    (rates(1, {"zones": []}), "services[1].rate_table.zones", "at least 1"),
    (
        rates(1, {"zones": [{"zone": "a"}, {"zone": "a"}, {"zone": "b"}]}),
        "services[1].rate_table.zones[1].zone",
        "twice",
    ),
    (rates(1, {"zones": [{}]}), "services[1].rate_table.zones[0].zone", "required"),
    (
        rates(1, {"zones": [{"zone": "a", "to_countries": ["XX"]}]}),
        "services[1].rate_table.zones[0].to_countries[0]",
        "ISO 3166",
    ),
    (service(0, {"transit_days": []}), "services[0].transit_days", "3"),
    (service(0, {"transit_days": {"p50": 0, "p95": 1}}), "services[0].transit_days.p50", "greater than 0"),
    (service(0, {"transit_days": {"p50": 3, "p95": 2}}), "services[0].transit_days.p95", "at least p50, 3"),
    (service(0, {"transit_days": [{"p50": 1, "p95": 2}]}), "services[0].transit_days", "3: one per band"),
    (
        service(0, {"transit_days": [{"p50": 1, "p95": 2}] * 2 + [{"p50": 2, "p95": 1}]}),
        "services[0].transit_days[2].p95",
        "at least p50",
    ),
    (service(0, {"transit_days": {"p50": 1}}), "services[0].transit_days.p95", "required"),
    (service(0, {"transit_days": 3}), "services[0].transit_days", "object"),
    (service(0, {"cutoff": "25:00"}), "services[0].cutoff", "time of day"),
    (service(0, {"parcels_per_day": -1}), "services[0].parcels_per_day", "greater"),
    (service(0, {"lanes": [{}]}), "services[0].lanes[0].transit_days", "required"),
    (service(0, {"lanes": [{"transit_days": {"p50": 3, "p95": 2}}]}), "services[0].lanes[0].transit_days.p95", "3"),
    (
        service(0, {"lanes": [{"transit_days": {"p50": 1, "p95": 2}, "to_countries": ["XX"]}]}),
        "services[0].lanes[0].to_countries[0]",
        "ISO 3166",
    ),
    (service(0, {"residential_surcharge_minor": -1}), "services[0].residential_surcharge_minor", "greater"),
    (service(0, {"emission_factor": "cart"}), "services[0].emission_factor", "/v1/emission-factors"),
    (service(0, {"distance_factor": 0.9}), "services[0].distance_factor", "greater"),
    (service(0, {"co2_g_per_tonne_km": float("nan")}), "services[0].co2_g_per_tonne_km", "finite"),
    (service(0, {"dimensional_divisor": 0}), "services[0].dimensional_divisor", "greater"),
    (service(0, {"fuel_surcharge_rate": -0.1}), "services[0].fuel_surcharge_rate", "greater"),
    (service(0, {"colour": 1}), "services[0].colour", "unknown field"),
]


@pytest.mark.parametrize(("bend", "path", "says"), BAD_CARRIERS, ids=lambda c: c if isinstance(c, str) else "")
def test_a_bad_carrier_is_refused_by_the_cell(bend, path, says):
    document = copy.deepcopy(CARRIER)
    assert refusals(CarrierIn, document) == []
    bend(document)
    found = dict(refusals(CarrierIn, document))
    assert path in found
    assert says in found[path]


def test_a_carrier_document_is_plain_and_whole():
    stored = CarrierIn.model_validate(CARRIER).document()
    distance, zone = stored["services"]
    assert distance["rate_table"]["distance_km"] == [100, 500, None]
    assert distance["methods"] == ["ship", "ship_to_store"]
    assert zone["transit_days"] == {"p50": 2.5, "p95": 6}
    assert "to_regions" not in zone["rate_table"]["zones"][2]
    assert CarrierIn.model_validate({"name": "x"} | stored).document() == stored


def test_a_group_names_its_nodes():
    assert refusals(NodeGroupIn, {"name": "x", "nodes": ["A", 5]}) == [("nodes[1]", "input should be a valid string")]


def test_a_country_or_a_part_of_it_has_holidays():
    for place in ("DE", "DE-BY", "US-CA", "FR", None):
        assert refusals(NodeRow, NODE | {"code": "L", "holidays": place}) == []


BAD_CARTONS = [
    ({"inner_length_mm": 0}, "inner_length_mm", "greater"),
    ({"inner_width_mm": 100_001}, "inner_width_mm", "less"),
    ({"inner_height_mm": None}, "inner_height_mm", "integer"),
    ({"outer_height_mm": 149}, "outer_height_mm", "at least inner_height_mm, 150"),
    ({"weight_max_g": 180}, "weight_max_g", "more than weight_g, 180"),
    ({"fill_share": 0}, "fill_share", "greater"),
    ({"fill_share": 1.1}, "fill_share", "less"),
    ({"cost_minor": -1}, "cost_minor", "greater"),
    ({"colour": "brown"}, "colour", "unknown"),
]


@pytest.mark.parametrize(("change", "path", "says"), BAD_CARTONS, ids=lambda c: c if isinstance(c, str) else "")
def test_a_bad_carton_is_refused_by_name(change, path, says):
    assert refusals(CartonIn, CARTON) == []
    assert says in dict(refusals(CartonIn, CARTON | change))[path]


BAD_DUTIES = [
    ({"source": ""}, "source", "at least 1"),
    ({"source": " "}, "source", "blanks"),
    ({"currency": "EURO"}, "currency", "ISO 4217"),
    ({"to_countries": ["XX"]}, "to_countries[0]", "ISO 3166"),
    ({"hs_prefixes": ["6x"]}, "hs_prefixes[0]", "match"),
    ({"hs_prefixes": [".61"]}, "hs_prefixes[0]", "match"),
    ({"valid_until": "2025-12-31"}, "valid_until", "2026-01-01 or later"),
    ({"valid_from": "soon"}, "valid_from", "expected a day"),
    ({"duty_rate": -0.1}, "duty_rate", "greater"),
    ({"duty_rate": 21}, "duty_rate", "less"),
    ({"unrecoverable_share": 1.1}, "unrecoverable_share", "less"),
    ({"duty_recoverable_share": float("nan")}, "duty_recoverable_share", "finite"),
    ({"de_minimis_minor": -1}, "de_minimis_minor", "greater"),
    ({"priority": -1}, "priority", "greater"),
]


@pytest.mark.parametrize(("change", "path", "says"), BAD_DUTIES, ids=lambda c: c if isinstance(c, str) else "")
def test_a_bad_duty_is_refused_by_name(change, path, says):
    assert refusals(DutyIn, DUTY) == []
    assert says in dict(refusals(DutyIn, DUTY | change))[path]


def test_a_duty_of_one_day_is_a_duty():
    assert refusals(DutyIn, DUTY | {"valid_until": DUTY["valid_from"]}) == []


def test_a_markdown_says_what_a_unit_fetches():
    markdown = {"sku": "A", "node": "B", "value_minor": 1}
    assert refusals(MarkdownRow, markdown) == []
    assert refusals(MarkdownRow, markdown | {"value_minor": None}) == []
    assert refusals(MarkdownRow, {"sku": "A", "node": "B"}) == [("value_minor", "required")]
    assert [p for p, _ in refusals(MarkdownRow, markdown | {"until": 5, "value_minor": -1})] == ["value_minor", "until"]
