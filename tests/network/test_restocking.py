"""Lanes and supply: set, replaced, refused row by row."""

import pytest

from onhand.base.actor import SYSTEM
from onhand.flows.set_up import set_items, set_lanes, set_nodes, set_supply
from onhand.network import store

LANE = {"from": "A", "to": "B", "days": 2}
SUPPLY = {"sku": "X", "node": "A", "supplier": "Nord", "lead_days": [9, 5, 7]}


@pytest.fixture
def network(db):
    place = {"node_type": "warehouse", "country": "DE", "latitude": 50, "longitude": 8, "timezone": "UTC"}
    set_nodes(db, [{"code": code, "name": code} | place for code in "AB"], by=SYSTEM)
    parts = [{"sku": "X", "quantity": 2}]
    set_items(db, [{"sku": "X", "name": "x"}, {"sku": "KIT", "name": "kit", "components": parts}], by=SYSTEM)
    return db


def told(results):
    return [(r.status, [(e.path, e.message) for e in r.errors]) for r in results]


def test_lanes_are_set_replaced_and_refused(network):
    rows = [
        LANE, LANE | {"from": "B", "to": "A", "units_per_day": 40}, LANE | {"days": 3}, LANE | {"to": "Q"},
        LANE | {"to": "A"}, LANE | {"days": -1, "to": "B", "from": "C"}, 7,
    ]  # fmt: skip
    assert told(set_lanes(network, rows, by=SYSTEM)) == [
        ("created", []), ("created", []), ("rejected", [("from", "'A > B' stands in this batch already, as row 0")]),
        ("rejected", [("to", "no node 'Q'")]),
        ("rejected", [("to", "expected another node than the one it begins at")]),
        ("rejected", [("days", "input should be greater than or equal to 0")]),
        ("rejected", [("", "expected an object")]),
    ]  # fmt: skip
    again = [LANE, LANE | {"from": "B", "to": "A", "active": False}]
    assert [r.status for r in set_lanes(network, again, by=SYSTEM)] == ["unchanged", "updated"]
    with network.connection() as conn:
        there, back = store.list_lanes(conn, limit=5)
        assert (there.source, there.target, there.days, there.units_per_day, there.active) == ("A", "B", 2, None, True)
        # What is left out returns to its default.
        assert (back.units_per_day, back.active) == (None, False)
        assert store.list_lanes(conn, limit=5, after=("A", "B")) == [back]
        assert store.list_lanes(conn, limit=5, node="A") == [there, back]
        ids = store.node_ids(conn, ["A", "B"])
        assert store.lock_lane(conn, ids["A"], ids["B"]) == (2, None)
        assert store.lock_lane(conn, ids["B"], ids["A"]) is None


def test_supply_is_set_replaced_and_refused(network):
    everywhere = {"sku": "X", "supplier": "Süd", "lead_days": [20]}
    rows = [
        SUPPLY, everywhere, SUPPLY | {"sku": "Z"}, SUPPLY | {"sku": "KIT"}, SUPPLY | {"node": "Q"},
        SUPPLY | {"node": "B", "lead_days": [], "multiple": 0, "order_days": ["noday"]},
    ]  # fmt: skip
    assert told(set_supply(network, rows, by=SYSTEM))[:5] == [
        ("created", []), ("created", []), ("rejected", [("sku", "no item 'Z'")]),
        ("rejected", [("sku", "'KIT' is a bundle and holds no stock: name its components")]),
        ("rejected", [("node", "no node 'Q'")]),
    ]  # fmt: skip
    wrong = told(set_supply(network, rows[5:], by=SYSTEM))[0]
    assert [path for path, _ in wrong[1]] == ["lead_days", "order_days[0]", "multiple"]
    again = [SUPPLY | {"lead_days": [5, 7, 9]}, everywhere | {"order_days": ["mon", 1]}]
    assert [r.status for r in set_supply(network, again, by=SYSTEM)] == ["unchanged", "updated"]
    with network.connection() as conn:
        every, own = store.list_supply(conn, limit=5)
        assert (every.node, every.order_days, own.node, own.lead_days) == (None, [1], "A", [5, 7, 9])
        assert store.list_supply(conn, limit=5, after=("X", " ")) == [own]
        assert store.list_supply(conn, limit=5, sku="X", node="A") == [own]
        item, nodes = store.item_ids(conn, ["X"])["X"], store.node_ids(conn, ["A", "B"])
        assert store.supplier_of(conn, item, nodes["A"]) == "Nord"
        assert store.supplier_of(conn, item, nodes["B"]) == "Süd"
    # A node that does not buy it any more is not supplied by the row of every node.
    set_supply(network, [SUPPLY | {"active": False}], by=SYSTEM)
    with network.connection() as conn:
        assert store.supplier_of(conn, item, nodes["A"]) is None
