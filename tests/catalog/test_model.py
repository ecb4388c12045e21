"""Documents of items: what is refused, and that the message names the field."""

import pytest
from pydantic import ValidationError

from onhand.base.fields import reject_reasons
from onhand.catalog.model import ItemRow

GOOD = {"sku": "A-1", "name": "Mug"}

BAD = [
    ({"sku": ""}, "sku"),
    ({"sku": " A"}, "sku"),
    ({"sku": "A\t"}, "sku"),
    ({"sku": "A\0"}, "sku"),
    ({"sku": "A\u200b"}, "sku"),  # zero width
    ({"sku": "A\u202eB"}, "sku"),  # right-to-left override
    ({"sku": "A\u00a0B"}, "sku"),
    ({"sku": "A\nB"}, "sku"),
    ({"sku": "\ud800"}, "sku"),
    ({"sku": "cafe\u0301"}, "sku"),  # not NFC
    ({"sku": "x" * 129}, "sku"),
    ({"sku": 5}, "sku"),
    ({"sku": None}, "sku"),
    ({"name": ""}, "name"),
    ({"name": "  "}, "name"),
    ({"name": "a\u0000b"}, "name"),
    ({"name": "a\x1bb"}, "name"),
    ({"name": "x" * 501}, "name"),
    ({"name": ["x"]}, "name"),
    ({"weight_g": -1}, "weight_g"),
    ({"weight_g": 1.5}, "weight_g"),
    ({"weight_g": 1.0}, "weight_g"),
    ({"weight_g": "1"}, "weight_g"),
    ({"weight_g": True}, "weight_g"),
    ({"weight_g": None}, "weight_g"),
    ({"weight_g": 10**30}, "weight_g"),
    ({"weight_g": float("nan")}, "weight_g"),
    ({"length_mm": -1}, "length_mm"),
    ({"height_mm": 100_001}, "height_mm"),
    ({"price_minor": -1}, "price_minor"),
    ({"price_minor": 9.99}, "price_minor"),
    ({"price_minor": 10**13}, "price_minor"),
    ({"unit_cost_minor": "x"}, "unit_cost_minor"),
    ({"currency": "eur"}, "currency"),
    ({"currency": "XXX"}, "currency"),
    ({"currency": "EURO"}, "currency"),
    ({"category": "x" * 201}, "category"),
    ({"hs_code": "abc"}, "hs_code"),
    ({"release_at": "2026-01-01"}, "release_at"),
    ({"release_at": "2026-01-01T00:00:00"}, "release_at"),
    ({"release_at": "2026-02-30T00:00:00Z"}, "release_at"),
    ({"release_at": "0001-01-01T00:00:00+14:00"}, "release_at"),
    ({"release_at": "9999-12-31T23:59:59-14:00"}, "release_at"),
    ({"release_at": 1767225600}, "release_at"),
    ({"components": {}}, "components"),
    ({"components": [5]}, "components[0]"),
    ({"components": [{"sku": "B"}]}, "components[0].quantity"),
    ({"components": [{"sku": "B", "quantity": 0}]}, "components[0].quantity"),
    ({"components": [{"sku": "B", "quantity": 1, "x": 1}]}, "components[0].x"),
    ({"components": [{"sku": "B", "quantity": 1}] * 101}, "components"),
    ({"attributes": []}, "attributes"),
    ({"attributes": {"a": "\0"}}, "attributes"),
    ({"attributes": {"\ud800": 1}}, "attributes"),
    ({"attributes": {"a": float("inf")}}, "attributes"),
    ({"attributes": {"a": 2**64}}, "attributes"),
    ({"attributes": {"a": "x" * 70_000}}, "attributes"),
    ({"colour": "blue"}, "colour"),
]


@pytest.mark.parametrize(("change", "path"), BAD, ids=lambda case: ascii(case)[:40])
def test_bad_input_is_refused_by_name(change, path):
    with pytest.raises(ValidationError) as caught:
        ItemRow.model_validate(GOOD | change)
    assert path in [p for p, _ in reject_reasons(caught.value)]


def test_deep_attributes_are_refused_without_a_crash():
    deep = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(ValidationError, match="levels of nesting"):
        ItemRow.model_validate(GOOD | {"attributes": deep})


@pytest.mark.parametrize("sku", ["A", "a/b", "Ä-1", "größe 5", "日本", "x" * 128, "..", "%2F", "A'; --"])
def test_unusual_skus_are_fine(sku):
    assert ItemRow.model_validate(GOOD | {"sku": sku}).sku == sku


def test_times_are_kept_in_utc():
    row = ItemRow.model_validate(GOOD | {"release_at": "2026-03-01T09:00:00+02:00"})
    assert row.release_at is not None
    assert row.release_at.isoformat() == "2026-03-01T07:00:00+00:00"
