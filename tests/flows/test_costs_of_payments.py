"""What payments cost: money given away, goods that nobody pays, money that a bank takes back, fees; booked in the
transaction that finds it, on a real database. An invariant compares it with the payments at the end of every test."""

from collections import Counter
from datetime import timedelta

import pytest
from tests.connectors.running import serving
from tests.flows.paying import Till

from onhand.base.actor import SYSTEM
from onhand.costs import store
from onhand.flows.costs.follow import follow_costs
from onhand.flows.payments.retry import retry_payment
from onhand.twin.fakes.stripe import Account

DAY = timedelta(days=1)


@pytest.fixture
def till(merchant, tmp_path):
    fake = Account(now=lambda: merchant.now)
    with serving(fake.app()) as url:
        made = Till(merchant, fake, url, tmp_path)
        merchant.stock("berlin", A=100, B=100, C=100)
        yield made
        made.close()
        assert made.totals() == fake.totals(), "our books are not the provider's"


def booked(till, by="term"):
    """{(cause, key): minor} of what payments cost."""
    found = Counter()
    rows = till.merchant.rows(f"SELECT cause, {by}, minor FROM cost_entry WHERE source = 'payment'")
    for cause, key, minor in rows:
        found[cause, key] += minor
    return {key: minor for key, minor in found.items() if minor}


def reported(till, by):
    with till.db.connection() as conn:
        rows = store.report(conn, by, since=None, until=None, limit=100)
    return {row.key: row.failures_minor for row in rows if row.failures_minor}


def paid(till, *lines, **more):
    """An order whose goods have left and were paid, and the provider's id of its payment."""
    order_id = till.place(*lines, **more)
    till.work()
    till.ship(order_id)
    till.work()
    return order_id, list(till.fake.intents)[-1]


def test_what_is_given_back_and_nothing_came_back_for_is_goodwill_until_something_does(till):
    order_id, theirs = paid(till, ("A", 2, 1000), ("B", 1, 500))
    till.fake.refund({"payment_intent": theirs, "amount": "700"})
    till.hear(till.fake.events)
    till.work()
    assert booked(till, "item_id") == {("given_back", 1): 560, ("given_back", 2): 140}, "by what was paid for each"
    assert reported(till, "cause") == {"given_back": 700}
    assert reported(till, "item") == {"A": 560, "B": 140}
    assert reported(till, "channel") == {"web": 700}, "the channel that sold it, not the account that took the money"
    till.bring_back(order_id, _2=1)  # 500 of it is that
    till.work()
    assert booked(till) == {("given_back", "goodwill"): 200}
    till.bring_back(order_id, _1=1)
    till.work()
    assert booked(till) == {}


def test_goods_that_left_and_that_nobody_pays_in_the_end_are_a_bad_debt_until_somebody_does(till):
    order_id = till.place(("A", 2, 1000), ("B", 1, 500), token="pm_declined")
    till.ship(order_id, **{"1": 2})  # before anybody has asked the bank
    till.work()
    for days in (1, 3):
        till.work(after=days * DAY)
        assert booked(till) == {}, "he may still pay"
    till.work(after=5 * DAY)
    assert booked(till) == {("unpaid", "bad_debt"): 2000}, "what did not leave is no debt"
    assert till.payment(order_id)["lost_minor"] == 2000
    assert reported(till, "cause") == {"unpaid": 2000}
    retry_payment(till.merchant.state, order_id, token="pm_ok", by=SYSTEM)
    till.work()
    assert booked(till) == {}
    assert till.sums(order_id)[2] == 2000


def test_margin_of_an_order_that_nobody_pays_is_lost_for_that_reason(till):
    with till.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 60, currency = 'EUR' WHERE item_id = 1")
    till.place(("A", 1, 1000), token="pm_declined", hold="payment")
    for days in (0, 1, 3, 5):
        till.work(after=days * DAY)
    follow_costs(till.db)
    assert reported(till, "cause") == {"unpaid": 940}


def test_a_dispute_costs_its_amount_until_it_is_won(till):
    order_id, theirs = paid(till, ("A", 2, 1000))
    till.fake.dispute(theirs, 1500)
    till.hear(till.fake.events)
    till.work()
    assert booked(till) == {("disputed", "chargeback"): 1500}
    assert till.payment(order_id)["charged_back_minor"] == 1500
    till.fake.end_dispute(theirs, won=True)
    till.hear(till.fake.events)
    till.work()
    assert booked(till) == {}
    assert till.payment(order_id)["is_disputed"]
    assert till.events(order_id)[-2:] == ["payment.disputed"] * 2


def test_a_dispute_that_is_lost_stays_lost_however_often_it_is_told(till):
    _, theirs = paid(till, ("A", 2, 1000))
    till.fake.dispute(theirs, 1500)
    till.fake.end_dispute(theirs, won=False)
    for _ in range(2):
        till.hear([*till.fake.events, *reversed(till.fake.events)])
        till.work()
    assert booked(till) == {("disputed", "chargeback"): 1500}
    assert len(till.merchant.rows("SELECT 1 FROM cost_entry WHERE term = 'chargeback'")) == 1


def test_fees_are_booked_as_far_as_they_are_told_and_are_no_failure(till):
    till.fake.fee_rate = 0.029
    order_id, theirs = paid(till, ("A", 2, 1000))
    assert booked(till) == {(None, "payment_fee"): 58}
    assert reported(till, "cause") == {}
    till.fake.intents[theirs]["latest_charge"]["balance_transaction"]["currency"] = "usd"
    other, _ = paid(till, ("A", 1, 1000))
    assert till.payment(other)["fee_minor"] == 29
    # A fee that is told in another currency is not known.
    till.fake.settles_in = "usd"
    third, _ = paid(till, ("A", 1, 1000))
    assert till.payment(third)["fee_minor"] == 0
    assert till.payment(order_id)["fee_minor"] == 58


@pytest.mark.broken_invariants
@pytest.mark.parametrize("term", ["goodwill", "chargeback"])
def test_the_invariant_sees_a_cent_that_is_booked_otherwise_than_recorded(till, term):
    _, theirs = paid(till, ("A", 2, 1000))
    till.fake.refund({"payment_intent": theirs, "amount": "700"})
    till.fake.dispute(theirs, 1000)
    till.hear(till.fake.events)
    till.work()
    broken = "SELECT count(*)::int FROM invariant_costs_of_payments_are_those_recorded"
    assert till.merchant.rows(broken) == [(0,)]
    with till.db.connection() as conn:
        conn.execute("UPDATE cost_entry SET minor = minor + 1 WHERE term = %s", (term,))
    assert till.merchant.rows(broken) == [(1,)]
