"""Addresses become points: the most precise thing that is known wins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.base.countries import COUNTRIES
from onhand.network.places import locate

CASES = [
    # country, region, postal_code, expected point, precision
    ("US", None, "10001", (40.75, -74.00), "postal_code"),
    ("US", "NY", " 10001-1234", (40.75, -74.00), "postal_code"),
    ("PR", None, "00601", (18.18, -66.75), "postal_code"),
    ("US", "NY", "10099", (40.77, -73.97), "postal_prefix"),
    ("US", "CA", "00000", (35.34, -119.24), "region"),
    ("US", "US-CA", None, (35.34, -119.24), "region"),
    ("CA", "on", "M5V 2T6", (44.01, -79.4), "region"),
    ("AU", "VIC", None, (-37.77, 144.94), "region"),
    ("US", "ZZ", "", (38.96, -92.66), "country"),
    ("GB", None, "SW1A 1AA", (52.58, -1.42), "country"),
    ("fr", None, "75001", (47.14, 2.79), "country"),
    ("DE", None, "１０１１５", (50.65, 9.72), "country"),
]


@pytest.mark.parametrize(("country", "region", "postal_code", "point", "precision"), CASES)
def test_addresses_are_found(country, region, postal_code, point, precision):
    place = locate(country, region, postal_code)
    assert place is not None
    assert place.precision == precision
    assert (place.latitude, place.longitude) == pytest.approx(point, abs=0.5)


def test_coordinates_win_when_both_are_given():
    place = locate("US", "NY", "10001", 1.5, -2.5)
    assert place is not None
    assert (place.latitude, place.longitude, place.precision) == (1.5, -2.5, "coordinates")
    half = locate("US", "NY", "10001", 1.5, None)
    assert half is not None and half.precision == "postal_code"


def test_an_unknown_country_is_nowhere():
    assert locate("ZZ", "CA", "10001") is None
    assert locate("", None, None) is None


def test_every_country_has_a_place():
    for country in COUNTRIES:
        place = locate(country)
        assert place is not None and place.precision == "country", country
        assert -90 <= place.latitude <= 90 and -180 <= place.longitude <= 180


@given(
    country=st.one_of(st.sampled_from(sorted(COUNTRIES)), st.text(max_size=4)),
    region=st.one_of(st.none(), st.text(max_size=8)),
    postal_code=st.one_of(st.none(), st.from_regex(r"[0-9]{3,9}", fullmatch=True), st.text(max_size=12)),
)
def test_any_text_is_answered(country, region, postal_code):
    place = locate(country, region, postal_code)
    assert (place is not None) >= (country in COUNTRIES)
    assert place == locate(country, region, postal_code)
