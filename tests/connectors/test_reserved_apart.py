"""Numbers of shops that keep what is reserved apart: we write the sum, of what was reserved when we read it."""

import pytest

from onhand.connectors import find
from onhand.connectors._sdk.values import Fate, Write
from onhand.twin.fakes import vendure

from .running import serving, talk

VENDURE = find("vendure").connector


class ShipsMeanwhile(vendure.Shop):
    """A parcel leaves between our reading and our writing."""

    def _update(self, variables):
        for variant in self.variants.values():
            level = variant["stockLevels"][0]
            level["stockOnHand"] -= level["stockAllocated"]
            level["stockAllocated"] = 0
        return super()._update(variables)


@pytest.mark.parametrize(("made", "seen"), [(vendure.Shop, 7), (ShipsMeanwhile, 7 + 3)])
def test_what_is_shown_after_a_write_is_believed_and_not_what_was_wanted(made, seen):
    shop = made()
    mug = shop.add_product("MUG", 10)
    shop.variants[mug]["stockLevels"].append({"stockLocationId": "9", "stockOnHand": 50, "stockAllocated": 1})
    shop.buy({mug: 3})
    with serving(shop.app()) as url:
        (outcome,) = talk(
            lambda c: VENDURE.push_stock(c, [Write(external_id=mug, quantity=7, key="k")]),
            settings={"url": url, "place": shop.place},
            credentials={"username": shop.username, "password": shop.password},
        )
    assert (outcome.fate, outcome.seen) == (Fate.DONE, seen)
