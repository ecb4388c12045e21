"""What orders cost to serve, on a real database: promised, actual, and failures with their cause."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from tests.flows.ours import wait_until
from tests.flows.test_lives_of_orders import Life

from onhand.base.actor import SYSTEM, Actor
from onhand.costs import store
from onhand.costs.model import Cost
from onhand.flows.cancel_order import cancel_order
from onhand.flows.costs.charges import tell_charges
from onhand.flows.costs.follow import follow_costs
from onhand.flows.fulfil import deliver, reject, ship
from onhand.flows.return_order import return_order
from onhand.flows.source_again import reroute
from onhand.orders.decide import Amount

BY = Actor(key_id=7, reason="changed my mind")


def sums(merchant, kind, by="term", *, cause=None):
    """{key: minor} of what is booked, by a column; of failures with this cause ('*': any, None: all entries)."""
    follow_costs(merchant.db)
    found = Counter()
    for key, minor, why in merchant.rows(f"SELECT {by}, minor, cause FROM cost_entry WHERE kind = %s", kind):
        if cause is None or why == cause or (cause == "*" and why is not None):
            found[key] += minor
    return {key: minor for key, minor in found.items() if minor}


def total(merchant, kind, **options):
    return sum(sums(merchant, kind, **options).values())


def with_costs(merchant):
    """A costs 60 and is sold for 100, as the fixture sells it."""
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 60, price_minor = 100, currency = 'EUR' WHERE item_id = 1")


def planned(placed):
    return Counter(term for f in placed["fulfilments"] for term in Counter(f["cost"]).elements())


def test_what_is_promised_is_what_was_planned_by_term_and_item(merchant):
    merchant.stock("berlin", A=9, B=9)
    placed = merchant.place(("A", 2), ("B", 1))
    assert len(placed["fulfilments"]) == 1
    assert sums(merchant, "promised") == dict(planned(placed))
    assert sums(merchant, "promised", "item_id") == {
        1: pytest.approx(placed["fulfilments"][0]["cost_minor"] * 2 / 3, abs=9),
        2: pytest.approx(placed["fulfilments"][0]["cost_minor"] / 3, abs=9),
    }
    assert total(merchant, "actual") == 0, "nothing has left"


def test_what_leaves_as_planned_costs_what_was_planned_and_following_again_books_nothing(merchant):
    merchant.stock("berlin", A=9)
    placed = merchant.place(("A", 2))
    ship(merchant.state, placed["fulfilments"][0]["fulfilment_id"], by=SYSTEM)
    expected = {t: m for t, m in planned(placed).items() if t not in ("lateness", "rejection_risk")}
    assert sums(merchant, "actual") == expected
    entries = merchant.rows("SELECT count(*) FROM cost_entry")
    with merchant.db.connection() as conn:
        assert store.follow(conn, [placed["order_id"]]) == 0
    assert merchant.rows("SELECT count(*) FROM cost_entry") == entries


def test_a_reroute_costs_what_it_costs_beyond_the_first_plan_because_of_its_reason(merchant):
    merchant.stock("berlin", A=9)
    merchant.stock("paris", A=9)
    placed = merchant.place(("A", 2))
    (first,) = placed["fulfilments"]
    reject(merchant.state, first["fulfilment_id"], "not_found", by=SYSTEM)
    assert total(merchant, "promised") == first["cost_minor"], "the customer pays no more than he was told"
    assert total(merchant, "actual") == 0
    ship(merchant.state, f"{placed['order_id']}-f2", by=SYSTEM)
    (second,) = merchant.rows("SELECT cost_minor FROM fulfilment WHERE fulfilment_no = 2")
    assert second[0] > first["cost_minor"], "Paris is farther: else this shows nothing"
    extra = sums(merchant, "actual", cause="not_found")
    assert extra["shipping"] == 400, "900 within 200 to 800 km of 500 within 200, in one band of weight"
    risks = {"lateness", "rejection_risk"}
    assert not risks & extra.keys()
    promised = sums(merchant, "promised")
    assert total(merchant, "actual") == sum(m for t, m in promised.items() if t not in risks) + sum(extra.values())


def test_a_reroute_by_hand_that_is_dearer_is_a_failure_of_that_name(merchant):
    merchant.stock("berlin", A=9)
    merchant.stock("paris", A=9)
    placed = merchant.place(("A", 2))
    reroute(merchant.state, placed["order_id"], ["berlin"], by=BY)
    ship(merchant.state, f"{placed['order_id']}-f2", by=SYSTEM)
    assert total(merchant, "actual", cause="rerouted") > 0
    assert sums(merchant, "actual", "cause").keys() == {None, "rerouted"}


def test_cancelled_units_end_their_promise_and_lose_their_margin(merchant):
    with_costs(merchant)
    merchant.stock("berlin", A=4)
    placed = merchant.place(("A", 4))
    before = total(merchant, "promised")
    cancel_order(merchant.state, placed["order_id"], [Amount("1", 1)], by=BY)
    assert total(merchant, "promised") == pytest.approx(before * 3 / 4, abs=5)
    assert sums(merchant, "actual", cause="customer") == {"margin": 40}
    cancel_order(merchant.state, placed["order_id"], by=BY)
    assert total(merchant, "promised") == 0
    assert sums(merchant, "actual", cause="customer") == {"margin": 160}


def test_what_waited_in_vain_is_no_wish_of_the_customer(merchant):
    with_costs(merchant)
    placed = merchant.place(("A", 3))
    cancel_order(merchant.state, placed["order_id"], by=BY)
    assert sums(merchant, "actual", "cause") == {"unserved": 120}


def test_what_is_late_costs_what_the_policy_says_of_it_and_by_whom(merchant):
    merchant.stock("berlin", A=9, B=9)
    for sku, shipped_after, came_after, cause in (
        ("A", timedelta(hours=-1), timedelta(hours=1), "late_in_transit"),
        ("B", timedelta(hours=1), timedelta(hours=1), "late_at_node"),
    ):
        placed = merchant.place((sku, 1))
        (fulfilment,) = placed["fulfilments"]
        ship(merchant.state, fulfilment["fulfilment_id"], by=SYSTEM)
        deliver(merchant.state, fulfilment["fulfilment_id"], by=SYSTEM)
        with merchant.db.connection() as conn:
            conn.execute(
                "UPDATE shipment s SET shipped_at = f.ship_by + %s, delivered_at = f.deliver_by + %s FROM fulfilment f"
                " WHERE s.order_id = f.order_id AND s.order_id = %s",
                (shipped_after, came_after, placed["order_id"]),
            )
        assert sums(merchant, "actual", cause=cause) == {"lateness": 500}, "late_minor of the preset margin"
    days = sums(merchant, "actual")["lateness"] - 1000
    assert 4 <= days <= 14, "day_minor is 1 for each of the days until delivery"


def test_what_comes_in_time_costs_its_days_only(merchant):
    merchant.stock("berlin", A=9)
    placed = merchant.place(("A", 1))
    (fulfilment,) = placed["fulfilments"]
    ship(merchant.state, fulfilment["fulfilment_id"], by=SYSTEM)
    deliver(merchant.state, fulfilment["fulfilment_id"], by=SYSTEM)
    with merchant.db.connection() as conn:
        conn.execute("UPDATE shipment s SET delivered_at = f.deliver_by FROM fulfilment f")
    assert sums(merchant, "actual", "cause").keys() == {None}


def test_a_second_parcel_that_was_not_planned_is_a_failure(merchant):
    merchant.stock("berlin", A=9)
    placed = merchant.place(("A", 2))
    (fulfilment,) = placed["fulfilments"]
    for units in (1, 1):
        ship(merchant.state, fulfilment["fulfilment_id"], lines=[Amount("1", units)], by=SYSTEM)
    assert sums(merchant, "actual", cause="split_shipment") == {"shipping": fulfilment["cost"]["shipping"]}


def test_returns_lose_their_margin_and_damaged_ones_their_goods(merchant):
    with_costs(merchant)
    merchant.stock("berlin", A=9)
    placed = merchant.place(("A", 4))
    ship(merchant.state, placed["fulfilments"][0]["fulfilment_id"], by=SYSTEM)
    return_order(merchant.state, placed["order_id"], "berlin", [Amount("1", 1)], "restock", by=SYSTEM)
    return_order(merchant.state, placed["order_id"], "berlin", [Amount("1", 2)], "damaged", by=SYSTEM)
    assert sums(merchant, "actual", cause="returned") == {"margin": 120, "goods": 120}


def charges(merchant, *rows):
    told = tell_charges(merchant.db, list(rows), now=merchant.now, by=BY)
    return [r.status if r.status != "rejected" else r.errors[0].path for r in told]


def test_the_carriers_invoice_takes_the_place_of_what_was_planned(merchant):
    merchant.stock("berlin", A=9)
    placed = merchant.place(("A", 1))
    (fulfilment,) = placed["fulfilments"]
    ship(merchant.state, fulfilment["fulfilment_id"], tracking="T1", by=SYSTEM)
    row = {"reference": "INV-1/1", "tracking": "T1", "amount_minor": 612, "currency": "EUR"}
    assert charges(merchant, row) == ["created"]
    assert sums(merchant, "actual")["shipping"] == 612
    assert sums(merchant, "actual", cause="invoice") == {"shipping": 612 - fulfilment["cost"]["shipping"]}
    assert charges(merchant, row) == ["unchanged"]
    assert charges(merchant, row | {"amount_minor": 500}) == ["updated"], "a correction"
    assert sums(merchant, "actual")["shipping"] == 500
    extra = {"reference": "INV-1/2", "order": placed["order_id"], "amount_minor": 350, "currency": "EUR"}
    assert charges(merchant, extra | {"cause": "address_correction"}) == ["created"]
    assert sums(merchant, "actual")["shipping"] == 850
    assert sums(merchant, "actual", cause="address_correction") == {"shipping": 350}


def test_a_charge_that_cannot_be_placed_is_refused_and_stops_no_other(merchant):
    merchant.stock("berlin", A=9)
    placed = [merchant.place(("A", 1)) for _ in range(2)]
    for p in placed:
        ship(merchant.state, p["fulfilments"][0]["fulfilment_id"], tracking="SAME", by=SYSTEM)
    order = {"order": placed[0]["order_id"], "amount_minor": 1, "currency": "EUR"}
    assert charges(
        merchant,
        {"reference": "1", "tracking": "NONE", "amount_minor": 1, "currency": "EUR"},
        {"reference": "2", "tracking": "SAME", "amount_minor": 1, "currency": "EUR"},
        {"reference": "3", "amount_minor": 1, "currency": "EUR"},
        {"reference": "4", **order, "order": "nobody"},
        {"reference": "5", **order, "currency": "CHF"},
        {"reference": "6", **order},
        {"reference": "6", **order},
        "no object",
    ) == ["tracking", "tracking", "tracking", "order", "currency", "created", "reference", ""]


def test_actions_book_once_and_correct_what_they_booked(merchant):
    merchant.stock("berlin", A=9)
    order_id = merchant.place(("A", 1))["order_id"]
    action = Cost(
        order_id=order_id, source="playbook 1 step 2", kind="actual", term="goodwill", minor=300, currency="EUR",
        at=merchant.now, cause="carrier_delay", channel_id=1,
    )  # fmt: skip
    with merchant.db.connection() as conn:
        assert [store.book(conn, [action]), store.book(conn, [action])] == [1, 0]
    follow_costs(merchant.db)
    assert sums(merchant, "actual", cause="carrier_delay") == {"goodwill": 300}, "following leaves it alone"


def test_two_that_book_the_same_at_once_book_it_once(merchant):
    action = Cost(
        order_id=None, source="run 7", kind="actual", term="count", minor=900, currency="EUR", at=merchant.now,
        cause="phantom", item_id=1,
    )  # fmt: skip
    with merchant.db.connection() as one, ThreadPoolExecutor(1) as pool:
        with one.transaction():
            store.book(one, [action])
            other = pool.submit(merchant.db.transact, lambda conn: store.book(conn, [action]))
            blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            wait_until(lambda: merchant.rows(blocked) != [(0,)])  # it has looked, found nothing, and wants to write
        assert other.result() == 0, "it is tried again, and finds it booked"
    assert sums(merchant, "actual", cause="phantom") == {"count": 900}


@pytest.mark.parametrize("seed", [4, 5])
def test_following_step_by_step_comes_to_what_following_at_the_end_comes_to(merchant, seed):
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 60, currency = 'EUR'")
    life = Life(merchant, seed)
    for n in range(300):
        life.step()
        if n % 7 == 0:
            follow_costs(merchant.db)
    follow_costs(merchant.db)
    key = "order_id, source, kind, term, item_id, cause"
    booked = f"SELECT {key}, sum(minor) FROM cost_entry GROUP BY {key} HAVING sum(minor) <> 0 ORDER BY {key}"
    step_by_step = merchant.rows(booked)
    causes = {row[5] for row in step_by_step}
    assert len(causes) > 5, f"else it shows little: {causes}"
    merchant.rows("DELETE FROM cost_entry RETURNING 1")
    with merchant.db.connection() as conn:
        store.follow(conn, life.orders)
    assert merchant.rows(booked) == step_by_step


def test_the_report_adds_up_and_tells_failures_apart(merchant):
    merchant.stock("berlin", A=1)
    merchant.stock("paris", A=9)
    first = merchant.place(("A", 1))
    merchant.place(("A", 1))
    reject(merchant.state, first["fulfilments"][0]["fulfilment_id"], "damaged", by=SYSTEM)
    ship(merchant.state, f"{first['order_id']}-f2", by=SYSTEM)
    follow_costs(merchant.db)
    with merchant.db.connection() as conn:
        for by in ("channel", "node", "carrier", "item", "cause", "term", "day"):
            rows = store.report(conn, by, since=None, until=None, limit=100)
            assert sum(r.promised_minor for r in rows) == total(merchant, "promised"), by
            assert sum(r.actual_minor for r in rows) == total(merchant, "actual"), by
            assert sum(r.failures_minor for r in rows) == total(merchant, "actual", cause="damaged") > 0, by
            assert 0 < sum(r.not_shipped_minor for r in rows) < sum(r.promised_minor for r in rows), by
            paged, after = [], store.FIRST
            while page := store.report(conn, by, since=None, until=None, after=after, limit=1):
                paged += page
                after = (page[0].key or "", page[0].key is None, page[0].currency)
            assert paged == rows, by
        assert store.report(conn, "day", since=merchant.now + timedelta(days=9_000), until=None, limit=9) == []
        causes = {r.key: r.failures_minor for r in store.report(conn, "cause", since=None, until=None, limit=9)}
    assert causes.keys() == {None, "damaged"}
