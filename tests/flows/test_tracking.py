"""What carriers tell of shipments: kept once, in any order, and followed exactly once."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from onhand.base.actor import Actor
from onhand.flows.customers import erase_customer, find_customers
from onhand.flows.fulfil import deliver, reject, ship
from onhand.flows.tracking.record import record_tracking
from onhand.flows.tracking.settle import Settler, deliver_scanned, purge_scans
from onhand.fulfilment.tracking.store import get_shipment
from onhand.orders.decide import Amount

BY = Actor(key_id=7)
NOW = datetime.now(UTC)


def told(merchant, *rows, source="api"):
    """Statuses of scans that are told."""
    return [(t.status, t.shipments) for t in tell(merchant, *rows, source=source)]


def tell(merchant, *rows, source="api"):
    return record_tracking(merchant.db, rows, source=source, now=NOW, by=BY)


def scan(milestone, hours=0.0, **more):
    row = {"milestone": milestone, "at": (NOW - timedelta(days=1) + timedelta(hours=hours)).isoformat(), **more}
    return row if "shipment_id" in more else {"carrier": "dhl", "tracking": "JD1"} | row


def shipped(merchant, tracking="JD1", units=2, **more):
    """(order_id, fulfilment_id) of an order that has left whole."""
    merchant.stock("berlin", A=units)
    placed = merchant.place(("A", units))
    fulfilment = placed["fulfilments"][0]["fulfilment_id"]
    ship(merchant.state, fulfilment, tracking=tracking, by=BY, **more)
    return placed["order_id"], fulfilment


def shown(merchant, order, number=1):
    with merchant.db.connection() as conn:
        return get_shipment(conn, (order, number))


def test_scans_are_kept_once_and_show_where_the_parcel_is(merchant):
    order, _ = shipped(merchant)
    hub = scan("at_hub", 2, place={"name": "Leipzig", "country": "DE"}, code="PCK", text="in the centre")
    assert told(merchant, scan("handed_over"), hub) == [("created", [f"{order}-s1"])] * 2
    # Repeated, by number and by shipment, beside one that is new.
    by_id = {k: v for k, v in hub.items() if k not in ("carrier", "tracking")} | {"shipment_id": f"{order}-s1"}
    assert told(merchant, hub, by_id, scan("out_for_delivery", 9)) == [
        ("unchanged", [f"{order}-s1"]), ("unchanged", [f"{order}-s1"]), ("created", [f"{order}-s1"])
    ]  # fmt: skip
    row = shown(merchant, order)
    assert row["status"] == "out_for_delivery" and row["delivered_at"] is None and row["node"] == "berlin"
    assert [(e["milestone"], e["code"], e["place"]) for e in row["events"]] == [
        ("handed_over", None, None), ("at_hub", "PCK", {"name": "Leipzig", "country": "DE"}),
        ("out_for_delivery", None, None),
    ]  # fmt: skip
    assert merchant.events(f"{order}-s1") == ["shipment.scanned"] * 2


def test_a_delivered_scan_delivers_the_order_once_at_its_moment(merchant):
    order, fulfilment = shipped(merchant)
    left = shown(merchant, order)["shipped_at"]
    arrived = left + timedelta(hours=3)
    row = {"carrier": "dhl", "tracking": "JD1", "milestone": "delivered", "at": arrived.isoformat()}
    corrected = {**row, "at": (arrived + timedelta(hours=1)).isoformat()}
    assert told(merchant, corrected, row) == [("created", [f"{order}-s1"])] * 2
    assert merchant.status(order) == ("shipped", None)
    assert Settler(merchant.state).look() == 1
    assert merchant.status(order) == ("delivered", None)
    assert shown(merchant, order)["delivered_at"] == arrived
    told(merchant, row, {**row, "at": (arrived + timedelta(hours=2)).isoformat()})
    assert Settler(merchant.state).look() == 0
    assert merchant.events(fulfilment)[-1:] == ["fulfilment.delivered"]
    assert merchant.events(fulfilment).count("fulfilment.delivered") == 1
    assert shown(merchant, order)["delivered_at"] == arrived


def test_a_parcel_that_was_booked_after_it_was_delivered_is_not_delivered_before_it_left(merchant):
    order, _ = shipped(merchant)
    told(merchant, scan("delivered", -30))
    assert deliver_scanned(merchant.state) == 1
    row = shown(merchant, order)
    assert row["delivered_at"] == row["shipped_at"]


def test_a_person_and_a_carrier_may_both_say_that_it_is_delivered(merchant):
    order, fulfilment = shipped(merchant)
    deliver(merchant.state, fulfilment, by=BY)
    at = shown(merchant, order)["delivered_at"]
    told(merchant, scan("delivered", 23))
    assert deliver_scanned(merchant.state) == 0
    assert shown(merchant, order)["delivered_at"] == at
    assert merchant.events(fulfilment).count("fulfilment.delivered") == 1


def test_a_fulfilment_is_delivered_with_the_last_of_its_shipments(merchant):
    merchant.stock("berlin", A=3)
    placed = merchant.place(("A", 3))
    order, f = placed["order_id"], placed["fulfilments"][0]["fulfilment_id"]
    ship(merchant.state, f, tracking="JD1", lines=[Amount("1", 1)], by=BY)
    told(merchant, scan("delivered", 1))
    assert deliver_scanned(merchant.state) == 1
    assert merchant.status(order)[0] == "partly_shipped" and shown(merchant, order)["delivered_at"] is not None
    assert deliver_scanned(merchant.state) == 0, "it waits for the rest, and holds nobody up"
    ship(merchant.state, f, tracking="JD2", by=BY)
    assert deliver_scanned(merchant.state) == 0
    told(merchant, scan("delivered", 5, tracking="JD2"))
    assert deliver_scanned(merchant.state) == 1
    assert merchant.status(order)[0] == "delivered"


def test_a_fulfilment_whose_rest_is_taken_away_is_delivered_then(merchant):
    merchant.stock("berlin", A=3)
    placed = merchant.place(("A", 3))
    order, f = placed["order_id"], placed["fulfilments"][0]["fulfilment_id"]
    ship(merchant.state, f, tracking="JD1", lines=[Amount("1", 1)], by=BY)
    told(merchant, scan("delivered", 1))
    deliver_scanned(merchant.state)
    reject(merchant.state, f, "not_found", by=BY)
    assert deliver_scanned(merchant.state) == 1
    assert [status for _, status, _ in merchant.fulfilments(order)] == ["delivered"]


def test_scans_wait_for_a_shipment_of_their_number_for_some_weeks(merchant):
    rows = [
        scan("delivered", 4),
        scan("in_transit", 2),
        scan("in_transit", 2, tracking="JD2"),
        scan("at_hub", 1, carrier="ups"),
    ]
    assert told(merchant, *rows) == [("created", [])] * 4
    assert told(merchant, rows[0]) == [("unchanged", [])]
    settler = Settler(merchant.state)
    assert settler.look() == 0
    order, _ = shipped(merchant)
    # One of them is told again before the others are found.
    assert told(merchant, rows[1]) == [("created", [f"{order}-s1"])]
    assert settler.look() == 1
    assert merchant.status(order)[0] == "delivered"
    assert [e["milestone"] for e in shown(merchant, order)["events"]] == ["in_transit", "delivered"]
    assert merchant.rows("SELECT tracking, carrier FROM tracking_event WHERE order_id IS NULL ORDER BY 1, 2") == [
        ("JD1", "ups"), ("JD2", "dhl")
    ]  # fmt: skip
    assert merchant.db.transact(lambda conn: purge_scans(conn, NOW)) == 0
    assert merchant.db.transact(lambda conn: purge_scans(conn, NOW + timedelta(days=31))) == 2


def test_a_number_that_is_used_again_means_the_shipment_of_its_time(merchant):
    old, _ = shipped(merchant)
    merchant.rows("UPDATE shipment SET shipped_at = now() - interval '200 days' RETURNING 1")
    new, _ = shipped(merchant)
    assert told(merchant, scan("in_transit")) == [("created", [f"{new}-s1"])]
    assert shown(merchant, old)["events"] == []


def test_a_parcel_with_goods_of_two_orders_is_scanned_once_for_both(merchant):
    orders = [shipped(merchant)[0], shipped(merchant)[0]]
    ((status, names),) = told(merchant, scan("delivered"))
    assert (status, sorted(names)) == ("created", sorted(f"{order}-s1" for order in orders))
    assert deliver_scanned(merchant.state) == 2
    assert {merchant.status(order)[0] for order in orders} == {"delivered"}


@pytest.mark.parametrize(
    ("row", "path", "message"),
    [
        ({"milestone": "at_hub", "at": NOW.isoformat()}, "", "shipment_id, or carrier and tracking"),
        (scan("at_hub", carrier=None), "", "shipment_id, or carrier and tracking"),
        (scan("lost"), "milestone", "handed_over"),
        (scan("at_hub", 72), "at", "lies ahead"),
        (scan("at_hub") | {"at": "2026-03-01T09:00:00"}, "at", "time"),
        (scan("at_hub", shipment_id="00000000-0000-7000-8000-000000000000-s1"), "shipment_id", "no shipment"),
        (scan("at_hub", shipment_id="x"), "shipment_id", "no shipment"),
        (scan("at_hub", colour="red"), "colour", "unknown field"),
        ("nothing", "", "expected an object"),
    ],
)
def test_a_row_that_cannot_be_used_says_why_and_stops_no_other(merchant, row, path, message):
    bad, good = tell(merchant, row, scan("at_hub"))
    assert (bad.status, good.status) == ("rejected", "created")
    assert bad.errors[0].path == path and message in bad.errors[0].message


def test_any_order_and_any_repeats_of_scans_come_to_the_same(merchant):
    chance = random.Random(3)
    milestones = ["handed_over", "in_transit", "at_hub", "exception", "failed_attempt", "returned", "delivered"]
    ends = set()
    for round_ in range(6):
        order, _ = shipped(merchant, tracking=f"N{round_}")
        rows = [scan(m, hours, tracking=f"N{round_}") for hours, m in enumerate(milestones[: 6 + round_ % 2])]
        rows += chance.sample(rows, 3)
        chance.shuffle(rows)
        cut = chance.randrange(len(rows))
        told(merchant, *rows[:cut])
        deliver_scanned(merchant.state)
        told(merchant, *rows[cut:])
        deliver_scanned(merchant.state)
        row = shown(merchant, order)
        ends.add((round_ % 2, row["status"], merchant.status(order)[0], tuple(e["milestone"] for e in row["events"])))
    assert ends == {
        (0, "returned", "shipped", tuple(milestones[:6])), (1, "delivered", "delivered", tuple(milestones))
    }  # fmt: skip


def test_the_same_scan_told_and_followed_by_many_at_once_takes_effect_once(merchant):
    made = [shipped(merchant, tracking=f"N{n}") for n in range(6)]
    rows = [scan("delivered", tracking=f"N{n}") for n in range(6)]

    def work(n):
        status = [t.status for t in tell(merchant, *random.Random(n).sample(rows, 6))]
        return status, deliver_scanned(merchant.state)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(work, range(16)))
    assert sum(status.count("created") for status, _ in done) == 6
    deliver_scanned(merchant.state)
    for order, fulfilment in made:
        assert merchant.status(order)[0] == "delivered"
        assert merchant.events(fulfilment).count("fulfilment.delivered") == 1


def test_what_a_carrier_wrote_is_forgotten_with_the_customer(merchant):
    merchant.stock("berlin", A=2)
    orders = [merchant.place(("A", 1), customer={"email": email}) for email in ("ada@example.org", "grace@example.org")]
    for n, placed in enumerate(orders):
        ship(merchant.state, placed["fulfilments"][0]["fulfilment_id"], tracking=f"N{n}", by=BY)
        told(merchant, scan("delivered", tracking=f"N{n}", text="signed by a neighbour", place={"name": "Ulm"}))
    (customer,) = find_customers(merchant.db, "ada@example.org")
    erase_customer(merchant.db, str(customer["customer_id"]), by=BY)
    kept = [shown(merchant, placed["order_id"])["events"][0] for placed in orders]
    assert [(e["text"], e["place"], e["milestone"]) for e in kept] == [
        (None, None, "delivered"), ("signed by a neighbour", {"name": "Ulm"}, "delivered")
    ]  # fmt: skip
