"""Emission factors: each with its source, and what a service makes of them."""

import pytest
from tests.network.documents import DISTANCE_SERVICE

from onhand.network.emissions import emission_factors, intensity_of
from onhand.network.model import Service


def test_every_factor_says_where_it_is_from_and_when() -> None:
    factors = emission_factors()
    assert len(factors) >= 15
    for code, factor in factors.items():
        assert factor.code == code
        assert len(factor.source) > 20 and "http" in factor.source, code
        assert 2000 <= factor.year <= 2100 and code.endswith(f"_{factor.year}"), "a newer figure has another code"
        assert factor.scope == "WTW", code
        assert factor.toc.startswith(factor.mode) and factor.vehicle and factor.region and factor.note, code


def test_factors_are_grams_and_modes_come_in_the_order_everybody_knows() -> None:
    mean = {
        mode: sum(values) / len(values)
        for mode in ("sea", "rail", "road", "air")
        if (values := [f.intensity_g_per_tkm for f in emission_factors().values() if f.mode == mode])
    }
    assert 3 < mean["rail"] < mean["sea"] < mean["road"] < mean["air"] < 5_000


@pytest.mark.parametrize(
    ("says", "grams"),
    [
        ({}, 0),
        ({"co2_g_per_tonne_km": 62.5}, 62.5),
        ({"co2_g_per_tonne_km": 62.5, "distance_factor": 1.2}, 75),
        ({"emission_factor": "rail_uk_2026"}, 32.74),
        ({"emission_factor": "rail_uk_2026", "distance_factor": 2}, 65.48),
        ({"emission_factor": "rail_uk_2026", "co2_g_per_tonne_km": 5}, 5),
        ({"emission_factor": "rail_uk_2026", "co2_g_per_tonne_km": 0}, 0),
    ],
)
def test_a_service_emits_its_own_figure_or_its_factor_over_its_distance(says: dict[str, object], grams: float) -> None:
    service = Service.model_validate(DISTANCE_SERVICE | says)
    assert intensity_of(service.model_dump(mode="json", exclude_none=True)) == pytest.approx(grams)
