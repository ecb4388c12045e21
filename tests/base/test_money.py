"""Currencies and countries: codes as their standards write them."""

import pytest

from onhand.base.countries import COUNTRIES, is_country
from onhand.base.money import EXPONENTS, is_currency


def test_minor_units():
    expected = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4, "USD": 2, "VND": 0}
    assert {code: EXPONENTS[code] for code in expected} == expected


def test_codes_are_active_and_in_upper_case():
    assert all(is_currency(code) for code in ("EUR", "XOF", "ZWG", "XCG"))
    assert not any(is_currency(code) for code in ("eur", "EURO", "", "XXX", "XAU", "HRK", "DEM", "EU"))
    assert len(EXPONENTS) == 165
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)


@pytest.mark.parametrize(("code", "known"), [("DE", True), ("XK", True), ("de", False), ("UK", False), ("", False)])
def test_countries(code, known):
    assert is_country(code) is known
    assert len(COUNTRIES) == 250  # 249 of ISO 3166-1, and XK
