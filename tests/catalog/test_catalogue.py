"""The items in memory: what is looked up by sku and by id."""

import numpy as np

from onhand.catalog.catalogue import Catalogue, ItemsRead


def read(*rows: tuple[int, str, str | None, str | None]) -> ItemsRead:
    return ItemsRead([(item_id, sku, 10, 20, None, hs, category, 0, None) for item_id, sku, hs, category in rows], {})


def pairs(catalogue: Catalogue) -> dict[str, tuple[str | None, str | None]]:
    return {sku: catalogue.trade_pairs[catalogue.trade_class[item]] for sku, item in catalogue.ids.items()}


def test_items_share_a_class_of_trade_when_customs_number_and_category_are_the_same() -> None:
    catalogue = Catalogue()
    catalogue.take(read((1, "a", "61", "x"), (2, "b", None, None), (3, "c", "61", "x"), (5, "e", "61", None)))
    assert catalogue.trade_pairs == [(None, None), ("61", "x"), ("61", None)]
    assert catalogue.trade_class[:6].tolist() == [0, 1, 0, 1, 0, 2]
    catalogue.take(read((2, "b", "61", "x"), (9, "i", None, "x")))
    assert pairs(catalogue) == {
        "a": ("61", "x"),
        "b": ("61", "x"),
        "c": ("61", "x"),
        "e": ("61", None),
        "i": (None, "x"),
    }
    assert catalogue.trade_class.dtype == np.int32


def test_classes_stay_with_their_items_while_the_catalogue_grows() -> None:
    catalogue = Catalogue()
    for first in range(1, 2_000, 100):
        catalogue.take(read(*((n, f"s{n}", f"{n % 7}", f"{n % 3}") for n in range(first, first + 100))))
    assert pairs(catalogue) == {f"s{n}": (f"{n % 7}", f"{n % 3}") for n in range(1, 2_001)}
    assert len(catalogue.trade_pairs) == 22
