"""Counts that add up over many orders outgrow 32 bits, although no order does."""

import pytest

from onhand.base.actor import SYSTEM
from onhand.channels.ats import load_availability
from onhand.flows.cancel_order import cancel_order
from onhand.flows.read_capacity import read_capacity
from onhand.ledger.stock import list_stock

PALLETS = 1_000_000
MANY = 1_500 * PALLETS
PICKUP = {"method": "pickup", "pickup_node": "berlin"}


@pytest.fixture
def wholesale(merchant):
    """A merchant with PA and PB: pallets of 1,500 A and B."""
    with merchant.db.connection() as conn:
        conn.execute("INSERT INTO item (item_id, sku, name) VALUES (8, 'PA', 'pallet'), (9, 'PB', 'pallet')")
        conn.execute("INSERT INTO bundle_component VALUES (8, 1, 1500), (9, 2, 1500)")
    merchant.state.load()
    return merchant


@pytest.mark.parametrize("together", [True, False])
def test_a_day_counts_more_units_than_one_order_can_have(wholesale, together):
    shop = wholesale
    shop.limit("berlin", orders=100)
    shop.stock("berlin", A=MANY, B=MANY, C=5)
    orders = [([(sku, PALLETS)], PICKUP) for sku in ("PA", "PB")]
    placed = shop.place_many(orders) if together else [shop.place(*lines, **how) for lines, how in orders]
    assert [p["status"] for p in placed] == ["sourced"] * 2
    assert shop.rows("SELECT orders, lines, units FROM capacity_day") == [(2, 2, 2 * MANY)]

    # Memory reads the counters, and a day with a limit of orders only has room for more.
    shop.state.reload_network()
    assert shop.place(("C", 1), **PICKUP)["status"] == "sourced"
    today = shop.now.date()
    with shop.db.connection() as conn:
        (row,) = read_capacity(conn, node="berlin", first=today, last=today, today=today, limit=9)
    assert (row.held.units, row.headroom.orders) == (2 * MANY + 1, 97)

    # A limit below what is promised: the day is full, and what is given back makes room.
    def day():
        return shop.place(("C", 1), **PICKUP)["fulfilments"][0]["ship_by"][:10]

    shop.limit("berlin", units=10)
    assert day() > today.isoformat()
    for answer in placed:
        cancel_order(shop.state, answer["order_id"], None, by=SYSTEM)
    assert day() == today.isoformat()


def test_what_waits_and_what_comes_adds_up_too(wholesale):
    for n in range(2):
        assert wholesale.place(("PA", PALLETS))["status"] == "unfillable"
        wholesale.inbound("berlin", f"PO-{n}", B=MANY)
    wholesale.stock("berlin", B=1)
    with wholesale.db.connection() as conn:
        assert load_availability(conn, [1]).items[1].waiting == 2 * MANY
        assert [row.inbound for row in list_stock(conn, item_id=2, node_id=None, after=(0, 0), limit=9)] == [2 * MANY]
