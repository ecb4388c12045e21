"""What is lost of a thing that a step acted on, or left alone: told by what was booked, sold, refused and delivered."""

from datetime import timedelta

import pytest

from onhand.autopilot.store import DueTarget
from onhand.flows.autopilot.measures import LET_DOWN, MEASURES
from onhand.flows.playbooks.steps import DOING
from onhand.incidents.playbooks.model import KINDS

# Outcomes that no flow has written.
pytestmark = pytest.mark.broken_invariants
WEEK = timedelta(days=7)


@pytest.fixture
def shop(merchant):
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET price_minor = 1000, unit_cost_minor = 400, currency = 'EUR' WHERE item_id <= 6")
        conn.execute("""UPDATE channel SET oversell = '{"penalty_minor": 250}'""")
    merchant.stock("berlin", A=50, B=50)
    return merchant


def lost(m, kind, key, at=None, until=None, **basis):
    at = at or m.now
    target = DueTarget(
        reference="run:x/1", key=list(key), domain="reroute", kind=kind, held_out=False, stake_minor=1, basis=basis,
        at=at, judge_at=until or at + WEEK,
    )  # fmt: skip
    with m.db.connection() as conn:
        return MEASURES[kind](conn, target)


def order(m, sku="A", units=2, price=1_000):
    line = {"line_id": "1", "sku": sku, "quantity": units, "price_minor": price}
    return m.place((sku, units), lines=[line])["order_id"]


def ship(m, order_id, *, delivered=None, carrier="dhl"):
    with m.db.connection() as conn:
        conn.execute("DELETE FROM shipment WHERE order_id = %s", (order_id,))
        conn.execute(
            "INSERT INTO shipment (order_id, shipment_no, fulfilment_no, carrier, shipped_at, delivered_at)"
            " VALUES (%s, 1, 1, %s, %s, %s)",
            (order_id, carrier, m.now, delivered),
        )
        status = "shipped" if delivered is None else "delivered"
        conn.execute("UPDATE orders SET status = %s WHERE order_id = %s", (status, order_id))


def book(m, order_id, term, minor, cause, turn=1):
    with m.db.connection() as conn:
        conn.execute(
            "INSERT INTO cost_entry (order_id, source, derived, kind, term, cause, turn, minor, currency, at)"
            " VALUES (%s, 'x', false, 'actual', %s, %s, %s, %s, 'EUR', %s)",
            (order_id, term, cause, turn, minor, m.now),
        )


def test_every_kind_of_step_that_is_judged_is_one(shop):
    assert set(MEASURES) < set(DOING) == set(KINDS)


def test_an_order_by_its_promise(shop):
    o = order(shop)
    due = shop.now + timedelta(days=3)
    asked = {"promised": due.isoformat(), "until": due + timedelta(days=1)}
    half = round(LET_DOWN * 2 * 600)
    assert lost(shop, "reroute", ("order", o), **asked) == half  # it has not left
    ship(shop, o)
    assert lost(shop, "reroute", ("order", o), **asked) == "its carrier does not tell of deliveries"
    ship(shop, other := order(shop, "B"), delivered=shop.now)
    assert lost(shop, "reroute", ("order", o), **asked) == half  # others of the carrier are told of
    ship(shop, o, delivered=due)
    assert lost(shop, "reroute", ("order", o), **asked) == 0
    ship(shop, o, delivered=due + timedelta(minutes=1))
    assert lost(shop, "re_promise", ("order", o), **asked) == half
    # What the policy asks for lateness, where that is more; of what was booked, only what a step could have spared.
    book(shop, o, "lateness", 900, "late_in_transit")
    assert lost(shop, "reroute", ("order", o), **asked) == 900
    book(shop, o, "shipping", 120, "rerouted")
    book(shop, o, "margin", 5_000, "customer")
    assert lost(shop, "reroute", ("order", o), **asked) == 1_020
    book(shop, other, "margin", 1_200, "unserved")
    with shop.db.connection() as conn:
        conn.execute("UPDATE orders SET status = 'cancelled' WHERE order_id = %s", (other,))
    assert lost(shop, "substitute", ("order", other), **asked) == 1_200


def test_a_position_by_the_time_without_stock_and_by_rejections(shop):
    key, start = ("item_node", "A", "berlin"), shop.now
    basis = {"since": start.isoformat(), "daily_units": 2.0, "sale_minor": 600.0, "rejection_minor": 500}
    with shop.db.connection() as conn:
        conn.execute("UPDATE ledger_entry SET recorded_at = %s", (start - timedelta(days=1),))
    assert lost(shop, "transfer", key, **basis) == 0
    shop.stock("berlin", kind="damage", A=50)
    with shop.db.connection() as conn:
        conn.execute("UPDATE ledger_entry SET recorded_at = %s WHERE kind = 'damage'", (start + timedelta(days=3),))
    assert lost(shop, "quarantine_stock", key, **basis) == 4 * 2 * 600
    with shop.db.connection() as conn:
        conn.execute("UPDATE ledger_entry SET reason = 'not_found' WHERE kind = 'damage'")
    assert lost(shop, "quarantine_stock", key, **basis) == 4 * 2 * 600 + 500
    assert lost(shop, "quarantine_stock", ("item_node", "C", "paris"), **basis) == "nothing was ever there"


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("shrink_listing", ("listing", "web", "A")), ("raise_gate", ("channel", "web")),
        ("throttle_price", ("item", "A")),
    ],
)  # fmt: skip
def test_sales_by_what_they_earn_less_and_by_orders_that_were_not_served(shop, kind, key):
    start = shop.now
    shop.now += timedelta(days=1)
    first = order(shop, units=3)
    order(shop, "A", price=1_300)
    shop.now += WEEK
    order(shop, units=40)  # too late to count
    assert lost(shop, kind, key, at=start, expected_minor=10_000) == 10_000 - 3 * 600 - 2 * 900
    assert lost(shop, kind, key, at=start, expected_minor=1_000) == 0
    book(shop, first, "margin", 600, "unserved")
    assert lost(shop, kind, key, at=start, expected_minor=1_000) == 250


def test_what_listings_of_others_earn_does_not_count(shop):
    order(shop, "B")
    assert lost(shop, "shrink_listing", ("listing", "web", "A"), expected_minor=700) == 700
    assert lost(shop, "throttle_price", ("item", "A"), expected_minor=700) == 700
    assert lost(shop, "raise_gate", ("channel", "web"), expected_minor=700) == 0
