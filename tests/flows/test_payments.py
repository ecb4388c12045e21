"""Orders that are paid through us: at the real database, by the fake Stripe, whose ledger is the judge."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta

import httpx2
import psycopg
import pytest
from tests.connectors.running import serving
from tests.flows.paying import Till

from onhand.base.actor import SYSTEM
from onhand.connectors import NotGenuine
from onhand.errors import Conflict, InvalidInput
from onhand.flows.customers import erase_customer
from onhand.flows.incidents.watch import Watch
from onhand.flows.payments.daily import reconcile_if_due
from onhand.flows.payments.reconcile import reconcile, state
from onhand.flows.payments.retry import retry_payment
from onhand.flows.playbooks.commands import want_messages
from onhand.flows.playbooks.messages import send_messages
from onhand.incidents.detect.payments import WrongDay, findings
from onhand.incidents.store import findings_of, list_incidents
from onhand.payments.store import forget_names
from onhand.twin.fakes.stripe import Account

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def fake(merchant):
    account = Account(now=lambda: merchant.now)
    with serving(account.app()) as url:
        account.url = url
        yield account


@pytest.fixture
def till(merchant, fake, tmp_path):
    made = Till(merchant, fake, fake.url, tmp_path)
    merchant.stock("berlin", A=100, B=100, C=100)
    yield made
    made.close()
    assert made.totals() == fake.totals(), "our books are not the provider's"


def test_money_is_held_at_once_and_taken_as_goods_leave(till):
    order_id = till.place(("A", 3, 1000), tax=571)
    till.work()
    assert till.sums(order_id) == ("authorised", 3571, 0, 0, 0)
    till.ship(order_id)
    till.work()
    assert till.sums(order_id) == ("captured", 3571, 3571, 0, 0)
    assert till.events(order_id) == ["payment.authorised", "invoice.issued", "payment.captured"]


def test_parts_of_a_line_add_up_to_the_line(till):
    order_id = till.place(("A", 3, 1000), tax=571)
    till.work()
    for n in range(3):
        till.ship(order_id, **{"1": 1})
        till.work()
        found = till.payment(order_id)
        assert found["captured_minor"] == [1190, 2381, 3571][n]
    assert [d["tax_minor"] for d in found["documents"]] == [190, 191, 190]
    assert [d["number"] for d in found["documents"]] == ["INV-2026-000001", "INV-2026-000002", "INV-2026-000003"]
    # The account captures an authorisation once: what is left is given back, and asked for again as the rest leaves.
    assert found["voided_minor"] == 2381 + 1190
    for _ in range(3):
        till.bring_back(order_id, _1=1)
        till.work()
    assert till.sums(order_id) == ("refunded", 3571 + 2381 + 1190, 3571, 3571, 2381 + 1190)
    notes = [d for d in till.payment(order_id)["documents"] if d["kind"] == "credit_note"]
    assert [d["gross_minor"] for d in notes] == [1190, 1191, 1190]


def test_what_is_cancelled_is_never_taken(till):
    order_id = till.place(("A", 3, 1000), ("B", 1, 500))
    till.work()
    till.cancel(order_id, _2=1)
    till.work()
    assert till.sums(order_id) == ("authorised", 3500, 0, 0, 0), "less may be captured than is held"
    till.cancel(order_id)
    till.work()
    assert till.sums(order_id) == ("voided", 3500, 0, 0, 3500)
    assert till.fake.totals()["capture"] == 0


def test_who_pays_at_once_has_it_back_when_it_is_cancelled(merchant, fake, tmp_path):
    till = Till(merchant, fake, fake.url, tmp_path, capture="at_order")
    merchant.stock("berlin", A=100)
    order_id = till.place(("A", 3, 1000))
    till.work()
    assert till.sums(order_id) == ("captured", 3000, 3000, 0, 0)
    till.cancel(order_id, _1=1)
    till.work()
    till.ship(order_id)
    till.bring_back(order_id, _1=1)
    till.work()
    assert till.sums(order_id) == ("partly_refunded", 3000, 3000, 2000, 0)
    assert till.totals() == fake.totals()
    till.close()


def test_who_declines_is_held_asked_again_and_in_the_end_cancelled(till):
    order_id = till.place(("A", 1, 1000), token="pm_declined")
    till.work()
    assert till.sums(order_id)[0] == "declined"
    assert till.merchant.status(order_id) == ("held", "held")
    for days in (1, 3):
        till.work(after=days * DAY)
        assert till.merchant.status(order_id)[0] == "held"
    till.work(after=5 * DAY)
    assert till.merchant.status(order_id)[0] == "cancelled"
    assert till.events(order_id) == ["payment.failed"] * 4
    assert till.sums(order_id) == ("voided", 0, 0, 0, 0)


def test_who_pays_later_is_let_go(till):
    order_id = till.place(("A", 1, 1000), token="pm_later_2_x")
    till.work()
    assert till.merchant.status(order_id) == ("held", "held")
    till.work(after=DAY)
    assert till.merchant.status(order_id) == ("sourced", None)
    assert till.sums(order_id) == ("authorised", 1000, 0, 0, 0)


def test_an_order_may_wait_for_its_authorisation(till):
    order_id = till.place(("A", 1, 1000), hold="payment")
    assert till.merchant.status(order_id) == ("held", "held")
    till.work()
    assert till.merchant.status(order_id) == ("sourced", None)
    other = till.place(("A", 1, 1000), hold="check the address")
    till.work()
    assert till.merchant.status(other) == ("held", "held"), "what a person holds is not ours to release"


def test_an_authorisation_that_would_lapse_before_goods_leave_is_exchanged(till, merchant):
    merchant.inbound("berlin", "PO-1", days=20, D=5)
    order_id = till.place(("D", 1, 1000))
    till.work()
    assert till.sums(order_id) == ("authorised", 1000, 0, 0, 0)
    for _ in range(19):
        till.work(after=DAY)
    assert till.sums(order_id) == ("due", 1000, 0, 0, 1000), "nobody holds money for weeks"
    merchant.stock("berlin", D=5)
    for _ in range(3):  # over a week-end, on which nothing leaves
        till.work(after=DAY)
    assert till.sums(order_id) == ("authorised", 2000, 0, 0, 1000), "now that it leaves it is covered"
    till.ship(order_id)
    till.work()
    assert till.sums(order_id) == ("captured", 2000, 1000, 0, 1000)


def test_what_the_shop_has_authorised_is_taken_over(till):
    form = {"amount": "2000", "currency": "eur", "payment_method": "pm_ok", "capture_method": "manual"}
    theirs = till.fake.create(form)["id"]
    order_id = till.place(("A", 2, 1000), payment={"authorisation": theirs})
    till.work()
    assert till.sums(order_id) == ("authorised", 2000, 0, 0, 0)
    till.ship(order_id)
    till.work()
    assert till.fake.intents[theirs]["amount_received"] == 2000


def test_what_somebody_gives_back_at_the_provider_is_not_taken_again(till):
    order_id = till.place(("A", 2, 1000))
    till.work()
    till.ship(order_id)
    till.work()
    (theirs,) = till.fake.intents
    till.fake.refund({"payment_intent": theirs, "amount": "700"})
    events = [*till.fake.events, *reversed(till.fake.events)]
    till.hear(events)
    till.work()
    assert till.sums(order_id) == ("partly_refunded", 2000, 2000, 700, 0)
    till.bring_back(order_id, _1=1)
    till.work()
    assert till.sums(order_id) == ("partly_refunded", 2000, 2000, 1000, 0), "a return is paid by what was given back"


def test_a_dispute_is_told(till):
    order_id = till.place(("A", 1, 1000))
    till.work()
    till.ship(order_id)
    till.work()
    (theirs,) = till.fake.intents
    till.fake.dispute(theirs)
    till.hear(till.fake.events)
    till.work()
    assert till.payment(order_id)["is_disputed"]
    assert till.events(order_id)[-1] == "payment.disputed"


@pytest.mark.parametrize(("status", "after"), [(0, True), (500, False), (504, True), (429, False)])
def test_an_answer_that_is_lost_moves_no_money_twice(till, status, after):
    order_id = till.place(("A", 2, 1000))
    fault = {"status": status, "after": after, "times": 1}
    httpx2.post(f"{till.url}/_fake/faults", content=json.dumps([fault, fault | {"skip": 1}, fault | {"skip": 2}]))
    for step in (lambda: None, lambda: till.ship(order_id), lambda: till.bring_back(order_id, _1=1)):
        step()
        till.work()
        till.work(after=HOUR)
        till.work(after=HOUR)
    assert till.sums(order_id) == ("partly_refunded", 2000, 2000, 1000, 0)


def test_orders_without_a_payment_have_none(till):
    order_id = till.merchant.place(("A", 1))["order_id"]
    till.work()
    assert till.payment(order_id) is None


@pytest.mark.parametrize(
    ("payment", "path"),
    [
        ({"provider": "web", "token": "pm_ok"}, "payment.provider"),
        ({"provider": "nowhere", "token": "pm_ok"}, "payment.provider"),
        ({"token": ""}, "payment.token"),
    ],
)
def test_a_payment_that_nobody_could_take_is_refused_at_once(till, payment, path):
    with pytest.raises(InvalidInput) as refused:
        till.place(("A", 1, 1000), payment=payment)
    assert [e.path for e in refused.value.errors] == [path]


def test_documents_and_entries_are_never_changed(till):
    order_id = till.place(("A", 1, 1000))
    till.work()
    till.ship(order_id)
    till.work()
    for change in ("UPDATE billing_document SET gross = 0, net = 0", "DELETE FROM payment_entry"):
        with till.db.connection() as conn, pytest.raises(psycopg.errors.RaiseException):
            conn.execute(change)


# Reconciling a day ----------------------------------------------------------------------------------------------------


def day_of(till):
    return reconcile(till.db, till.merchant.now.date(), now=till.merchant.now)


def test_a_day_balances_and_names_what_is_open(till, merchant):
    paid, poor, open_ = (till.place(("A", 3, 1000), tax=571, token=t) for t in ("pm_ok", "pm_declined", "pm_ok"))
    elsewhere = merchant.place(("B", 2))["order_id"]
    till.ship(poor)  # before anybody has asked the bank
    till.work()
    for order_id in (paid, elsewhere):
        till.ship(order_id)
    till.work()
    till.bring_back(paid, _1=1)
    till.work()
    till.ship(open_)  # and no worker looks at it any more
    set_clock(till)
    found = day_of(till)
    assert found["balanced"]
    (said,) = found["statements"]
    expected = {
        "orders": 4, "orders_elsewhere": 1, "shipped_minor": 3 * 3571, "returned_minor": 1190,
        "captured_minor": 3571, "refunded_minor": 1190, "shipped_elsewhere_minor": 200, "open_before_minor": 0,
        "open_after_minor": 2 * 3571, "invoiced_minor": 2 * 3571, "credited_minor": 1190,
    }  # fmt: skip
    assert {name: said[name] for name in expected} == expected
    reasons = {d["order_id"]: (d["amount_minor"], d["reason"]) for d in said["differences"]}
    assert reasons == {poor: (3571, "declined"), open_: (3571, "not_documented")}
    # The next day begins where this one ended.
    merchant.now += DAY
    till.work()
    (after,) = day_of(till)["statements"]
    assert after["open_before_minor"] == 2 * 3571
    assert (after["captured_minor"], after["open_after_minor"], after["balanced"]) == (3571, 3571, True)


def set_clock(till):
    """Goods move by the clock of the database, money by the merchant's: let them be of one day."""
    with till.db.connection() as conn:
        for table, column in (("shipment", "shipped_at"), ("order_return", "returned_at")):
            conn.execute(f"UPDATE {table} SET {column} = %s", (till.merchant.now - timedelta(minutes=1),))


# (what is changed by a cent, of which row) of everything that a day is reckoned from
SEEDS = {
    "an invoice's entry": "UPDATE payment_entry SET amount = amount + %s WHERE debit = 'owed' AND credit = 'sales'",
    "a credit note's entry": "UPDATE payment_entry SET amount = amount + %s WHERE debit = 'sales'",
    "a capture's entry": "UPDATE payment_entry SET amount = amount + %s WHERE debit = 'cash'",
    "a refund's entry": "UPDATE payment_entry SET amount = amount + %s WHERE debit = 'owed' AND credit = 'cash'",
    "an invoice": "UPDATE billing_document SET gross = gross + %s, net = net + %s WHERE kind = 'invoice'",
    "a credit note": "UPDATE billing_document SET gross = gross + %s, net = net + %s WHERE kind = 'credit_note'",
    "what the payment counts as invoiced": "UPDATE payment SET invoiced = invoiced + %s",
    "as credited": "UPDATE payment SET credited = credited + %s",
    "as captured": "UPDATE payment SET captured = captured + %s",
    "as refunded": "UPDATE payment SET refunded = refunded + %s",
    "what was captured of an authorisation": "UPDATE payment_authorisation SET captured = captured + %s",
    "what was refunded of it": "UPDATE payment_authorisation SET refunded = refunded + %s",
    "the price of what was shipped": "UPDATE orders SET lines = replace(lines, ',1000,', ',' || 1000 + %s || ',')",
}  # fmt: skip


@pytest.mark.broken_invariants
def test_a_cent_that_is_missing_or_too_much_is_found_wherever_it_is(till):
    order_id = till.place(("A", 3, 1000), tax=571)
    till.work()
    till.ship(order_id)
    till.work()
    till.bring_back(order_id, _1=1)
    till.work()
    declined = till.place(("A", 1, 1000), token="pm_declined")  # its difference has a reason, of just this amount
    till.ship(declined)
    till.work()
    set_clock(till)
    assert day_of(till)["balanced"]
    reasons = [d["reason"] for d in day_of(till)["statements"][0]["differences"]]
    assert reasons == ["declined"]
    missed = []
    for n, (what, change) in enumerate(SEEDS.items()):
        for cent in (1, -1):
            with till.db.connection() as conn, conn.transaction(force_rollback=True):
                for table in ("payment_entry", "billing_document"):
                    conn.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_stays")
                for table in ("payment", "payment_authorisation"):  # what constraints would refuse already
                    for (name,) in conn.execute(
                        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass", (table,)
                    ).fetchall():
                        conn.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
                assert conn.execute(change, [cent] * change.count("%s")).rowcount > 0, what
                found = reconciled(conn, till)
            if found:
                missed.append((n, what, cent))
    assert missed == []
    assert day_of(till)["balanced"], "it was all undone"


def reconciled(conn, till):
    """Whether the day balances, seen from inside a transaction."""
    since = datetime.combine(till.merchant.now.date(), time(), UTC)
    return all(s.is_balanced for s in state(conn, since, since + DAY, till.merchant.now).values())


# Each day, by itself --------------------------------------------------------------------------------------------------


def held(till):
    """Days that are held now, one call after the other."""
    return list(iter(lambda: reconcile_if_due(till.db, till.merchant.now), None))


def incidents(till):
    """(status, loss, sentence) of what the days are incidents of."""
    Watch(till.db, now=till.merchant.state.now).look(only=["unbalanced_days"], is_due=True)
    with till.db.connection() as conn:
        kept = list_incidents(conn, main="EUR", limit=9, kind="payments_unbalanced")
        return [(i.status, i.loss_minor, findings_of(conn, i)[0].sentence) for i in kept]


def test_a_day_is_held_once_it_is_over_and_missed_ones_are_made_up_for(till, merchant):
    first = merchant.now.date()
    merchant.now = datetime.combine(first + DAY, time(0, 9), UTC)
    assert held(till) == [first - DAY]
    merchant.now += timedelta(minutes=2)
    assert held(till) == [first]
    merchant.now += 3 * DAY
    with ThreadPoolExecutor(4) as pool:
        turns = [pool.submit(reconcile_if_due, till.db, merchant.now) for _ in range(4)]
        found = [turn.result() for turn in turns]
    assert sorted(d for d in found + held(till) if d) == [first + n * DAY for n in (1, 2, 3)]
    assert incidents(till) == []


def test_a_day_that_does_not_balance_is_an_incident_until_it_does(till, merchant):
    day, order_id = merchant.now.date(), till.place(("A", 3, 1000), tax=571)
    till.work()
    till.ship(order_id)
    till.work()
    set_clock(till)
    cent = "UPDATE payment_entry SET amount = amount + %s WHERE debit = 'owed' AND credit = 'sales'"

    def change(cents):
        with till.db.connection() as conn, conn.transaction():
            conn.execute("ALTER TABLE payment_entry DISABLE TRIGGER payment_entry_stays")
            assert conn.execute(cent, [cents]).rowcount == 1
            conn.execute("ALTER TABLE payment_entry ENABLE TRIGGER payment_entry_stays")

    change(7)
    merchant.now = datetime.combine(day + DAY, time(0, 10), UTC)
    assert held(till) == [day]
    number = merchant.rows("SELECT external_id FROM orders")[0][0]
    ((status, loss, sentence),) = incidents(till)
    assert (status, loss) == ("open", 7) and f"{day} differ by 7 minor units of EUR" in sentence and number in sentence
    merchant.now += DAY
    assert held(till) == [day + DAY, day]
    assert incidents(till) == [(status, loss, sentence)]
    change(-7)
    assert held(till) == []
    merchant.now += HOUR + timedelta(seconds=1)
    assert held(till) == [day]
    assert [status for status, *_ in incidents(till)] == ["closed"]


def test_what_stays_open_from_day_to_day_is_counted_once():
    at = datetime(2026, 3, 3, tzinfo=UTC)
    wrong = [
        WrongDay(day=at.date() + n * DAY, currency="EUR", minor=7, orders=1, named=("1001",), over_at=at + n * DAY)
        for n in (1, 0)
    ]
    (found,) = findings(wrong)
    assert (found.loss_minor, found.since, found.numbers["days"]) == (7, at, 2)
    assert "2026-03-04 differ by 7" in found.sentence and "2 days do not balance since 2026-03-03" in found.sentence


# What the customer is told -----------------------------------------------------------------------------------------


def told(till):
    """What has been sent by now, and how each message stands."""
    mails = []
    send_messages(till.db, mails.append, now=lambda: till.merchant.now)
    return [mail["To"] for mail in mails], [
        status for (status,) in till.merchant.rows("SELECT status FROM customer_message ORDER BY message_id")
    ]


def poor(till, token="pm_declined"):
    """An order of a customer who wants no messages about incidents."""
    order_id = till.place(("A", 1, 1000), token=token, customer={"email": "ada@example.org", "name": "Ada"})
    ((customer,),) = till.merchant.rows("SELECT customer_id::text FROM orders")
    want_messages(till.db, customer, wanted=False, by=SYSTEM)
    till.work()
    return order_id


def test_a_customer_is_told_once_each_time_that_a_payment_is_declined(till):
    order_id = poor(till)
    mails = []
    send_messages(till.db, mails.append, now=lambda: till.merchant.now)
    (mail,) = mails
    ((number,),) = till.merchant.rows("SELECT external_id FROM orders")
    assert mail["To"] == "ada@example.org" and mail["Subject"] == f"The payment of your order {number} was declined"
    assert "Dear Ada," in mail.get_content() and "(1 x A)" in mail.get_content()
    till.work()
    assert told(till) == ([], ["sent"])
    till.work(after=DAY + HOUR)
    assert told(till) == (["ada@example.org"], ["sent", "sent"])
    assert till.payment(order_id)["status"] == "declined"


def test_who_has_paid_meanwhile_is_not_told(till):
    order_id = poor(till)
    retry_payment(till.merchant.state, order_id, token="pm_ok", by=SYSTEM)
    till.work()
    assert told(till) == ([], ["dropped"])


def test_of_two_declines_that_were_not_told_yet_the_last_is_told(till):
    poor(till)
    till.work(after=DAY + HOUR)
    assert told(till) == (["ada@example.org"], ["dropped", "sent"])


def test_a_person_may_try_another_way_to_pay(till):
    order_id = till.place(("A", 1, 1000), token="pm_declined")
    till.work()
    retry_payment(till.merchant.state, order_id, token="pm_ok", by=SYSTEM)
    till.work()
    assert till.sums(order_id) == ("authorised", 1000, 0, 0, 0)
    assert till.merchant.status(order_id) == ("sourced", None)


def test_what_the_provider_calls_an_erased_person_is_forgotten_once_all_is_paid(till):
    order_id = till.place(("A", 1, 1000), customer={"email": "ada@example.org"})
    till.work()
    ((customer_id,),) = till.merchant.rows("SELECT customer_id::text FROM orders WHERE order_id = %s", order_id)

    def names():
        return till.merchant.rows(
            "SELECT p.token, p.customer, o.request::jsonb #>> '{payment,token}'"
            " FROM payment p JOIN orders o USING (order_id)"
        )

    erase_customer(till.db, customer_id, by=SYSTEM)
    # The hold may have to be renewed before the goods leave.
    assert names() == [("pm_ok", "cus_1", "pm_ok")]
    till.ship(order_id)
    till.work()
    with till.db.connection() as conn:
        forget_names(conn)
    assert names() == [("", "", None)]
    # What is given back goes by the authorisation.
    till.bring_back(order_id, **{"1": 1})
    till.work()
    assert till.sums(order_id) == ("refunded", 1000, 1000, 1000, 0)


# What somebody might try, or get wrong --------------------------------------------------------------------------------


def test_what_the_shop_has_authorised_pays_for_one_order_whoever_names_it_again(till):
    form = {"amount": "2000", "currency": "eur", "payment_method": "pm_ok", "capture_method": "manual"}
    theirs = till.fake.create(form)["id"]
    named = {"payment": {"authorisation": theirs, "token": None}}
    first, second = till.place(("A", 2, 1000), **named), till.place(("A", 2, 1000), **named)
    till.work()
    third = till.place(("B", 1, 500), **named)
    till.work()
    till.ship(first)
    till.work()
    assert till.sums(first) == ("captured", 2000, 2000, 0, 0)
    for order_id in (second, third):
        assert till.sums(order_id) == ("failed", 0, 0, 0, 0)
        assert till.payment(order_id)["trouble"] == f"authorisation {theirs} pays for another order"
        assert till.merchant.status(order_id) == ("held", "held"), "its goods stay here"


def test_what_the_shop_has_authorised_in_another_currency_pays_nothing(till):
    form = {"amount": "2000", "currency": "jpy", "payment_method": "pm_ok", "capture_method": "manual"}
    theirs = till.fake.create(form)["id"]
    order_id = till.place(("A", 2, 1000), payment={"authorisation": theirs, "token": None})
    till.work()
    assert till.sums(order_id) == ("declined", 0, 0, 0, 0)
    assert till.merchant.status(order_id) == ("held", "held")
    assert till.payment(order_id)["operations"][0]["state"] == "failed"
    till.fake.ledger.clear()  # which is not ours


def test_yen_have_no_cents_and_are_asked_for_as_they_are(till, merchant):
    with merchant.db.connection() as conn:
        conn.execute("UPDATE channel SET currency = 'JPY' WHERE code = 'web'")
    merchant.state.reload_network()
    order_id = till.place(("A", 3, 500), tax=151, currency="JPY")
    till.work()
    till.ship(order_id)
    till.work()
    till.bring_back(order_id, _1=1)
    till.work()
    (intent,) = till.fake.intents.values()
    assert (intent["currency"], intent["amount_received"]) == ("jpy", 1651)
    assert till.sums(order_id)[1:4] == (1651, 1651, 550)


@pytest.mark.parametrize("currency", ["KWD", "ISK"])
def test_currencies_that_the_provider_counts_otherwise_are_not_asked_for(till, merchant, currency):
    with merchant.db.connection() as conn:
        conn.execute("UPDATE channel SET currency = %s WHERE code = 'web'", (currency,))
    merchant.state.reload_network()
    order_id = till.place(("A", 1, 1000), currency=currency)
    till.work()
    assert till.sums(order_id)[0] == "declined"
    assert till.fake.intents == {}, "100 krónur would be one, and a thousandth of a dinar does not exist there"
    form = {"amount": "1000", "currency": currency.lower(), "payment_method": "pm_ok", "capture_method": "manual"}
    theirs = till.fake.create(form)["id"]
    given = till.place(("A", 1, 1000), currency=currency, payment={"authorisation": theirs, "token": None})
    till.work()
    assert till.sums(given)[:2] == ("declined", 0)
    till.fake.ledger.clear()  # which is not ours


def test_a_refund_that_fails_at_once_is_not_given_back(till):
    order_id = till.place(("A", 2, 1000))
    till.work()
    till.ship(order_id)
    till.work()
    body = {"id": "re_1", "object": "refund", "amount": 1000, "status": "failed", "failure_reason": "lost_card"}
    fault = [{"status": 200, "match": "/v1/refunds", "body": body}]
    httpx2.post(f"{till.url}/_fake/faults", content=json.dumps(fault))
    till.bring_back(order_id, _1=1)
    till.work()
    assert till.sums(order_id) == ("failed", 2000, 2000, 0, 0)
    assert "failed" in till.payment(order_id)["trouble"]
    till.work(after=7 * HOUR)
    assert till.sums(order_id) == ("partly_refunded", 2000, 2000, 1000, 0)


def test_a_customer_is_not_exchanged_while_the_old_one_may_be_asked_again_by_the_same_key(till):
    order_id = till.place(("A", 1, 1000))
    fault = [{"status": 500, "after": True, "times": 1}]
    httpx2.post(f"{till.url}/_fake/faults", content=json.dumps(fault))
    till.work()
    assert till.payment(order_id)["operations"][-1]["state"] == "unknown", "it is held, and nobody knows"
    with pytest.raises(Conflict) as refused:
        retry_payment(till.merchant.state, order_id, customer="cus_2", by=SYSTEM)
    assert refused.value.code == "payment.under_way"
    retry_payment(till.merchant.state, order_id, by=SYSTEM)
    till.work()
    assert till.sums(order_id) == ("authorised", 1000, 0, 0, 0)
    assert len(till.fake.intents) == 1


def test_more_than_was_authorised_is_authorised_again_and_never_captured_of_the_first(till):
    form = {"amount": "1500", "currency": "eur", "payment_method": "pm_ok", "capture_method": "manual"}
    theirs = till.fake.create(form)["id"]
    order_id = till.place(("A", 2, 1000), payment={"authorisation": theirs})
    till.work()
    till.ship(order_id, **{"1": 1})
    till.ship(order_id, **{"1": 1})
    till.work()
    assert till.sums(order_id)[2] == 2000
    assert till.fake.intents[theirs]["amount_received"] <= 1500


def test_messages_that_are_forged_or_old_are_none(till, merchant):
    order_id = till.place(("A", 1, 1000))
    till.work()
    (theirs,) = till.fake.intents
    till.fake.expire(theirs)
    event = till.fake.events[-1]

    def receive(headers, body):
        async def go(account):
            return account.connector.receive(
                headers, body, url="", credentials=account.connection.credentials, now=merchant.now
            )

        return till.do(go)

    headers, body = till.fake.deliver(event, at=merchant.now)
    assert receive(headers, body).dedupe == event["id"], "the same however often it comes"
    forged = [
        till.fake.deliver(event, at=merchant.now - timedelta(seconds=301)),
        till.fake.deliver(event, at=merchant.now + timedelta(seconds=301)),
        (headers, body.replace(theirs.encode(), b"pi_99999999")),
        ({"stripe-signature": headers["stripe-signature"].replace("v1=", "v0=")}, body),
        ({"stripe-signature": f"t={int(merchant.now.timestamp())}"}, body),
        ({}, body),
        Account(hook_secret="whsec_other").deliver(event, at=merchant.now),
    ]
    for wrong in forged:
        with pytest.raises(NotGenuine):
            receive(*wrong)
    assert till.sums(order_id)[0] == "authorised", "nobody was told"
    till.hear([event, event])
    till.work()
    assert till.sums(order_id) == ("authorised", 2000, 0, 0, 1000), "it is held anew, once"
