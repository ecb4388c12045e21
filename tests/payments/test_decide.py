"""Whatever happens to an order, in whatever order it is told: goods and money agree in the end, to the cent, and so do
our books and the provider's."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from onhand.bench.payments import Clock, Life, live, some_life
from onhand.connectors._sdk.values import Fate, Paid, PaymentState
from onhand.orders.model import Line
from onhand.payments.decide import KEY_LIVES, decide, record
from onhand.payments.model import Terms
from onhand.twin.fakes.stripe import Account

LINES = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 5_000), st.none() | st.integers(0, 3_000)), min_size=1, max_size=3
)


class Payments(RuleBasedStateMachine):
    """One order; customers, nodes, the bank, the wire and two workers do as they like."""

    @initialize(
        rows=LINES,
        captures=st.sampled_from(("one", "many")),
        capture=st.sampled_from(("on_ship", "at_order")),
        token=st.sampled_from(("pm_ok", "pm_ok", "pm_later_2", "pm_later_3", "pm_declined")),
        is_given=st.booleans(),
    )
    def begin(self, rows, captures, capture, token, is_given):
        self.clock = Clock()
        self.account = Account(now=self.clock)
        lines = tuple(
            Line(line_no=n, line_id=str(n), item_id=n, quantity=q, price_minor=price, tax_minor=tax)
            for n, (q, price, tax) in enumerate(rows, 1)
        )
        given = ""
        if is_given:
            amount = max(1, sum(line.price_minor * line.quantity + (line.tax_minor or 0) for line in lines))
            form = {"amount": str(amount), "currency": "eur", "payment_method": "pm_ok", "capture_method": "manual"}
            given = self.account.create(form)["id"]
        terms = Terms(capture=capture, captures=captures)
        self.life = Life.begin(self.account, self.clock, lines, terms, name="o", token=token, given=given)

    def _line(self, n):
        return self.life.sold.lines[n % len(self.life.sold.lines)]

    @rule(n=st.integers(0, 2), units=st.integers(1, 6))
    def ship(self, n, units):
        line = self._line(n)
        units = min(units, self.life.left(line))
        if units and self.life.sold.hold is None:
            self.life.ship(line, units)

    @rule(n=st.integers(0, 2), units=st.integers(1, 6))
    def cancel(self, n, units):
        line = self._line(n)
        if units := min(units, self.life.left(line)):
            self.life.cancel(line, units)

    @rule(n=st.integers(0, 2), units=st.integers(1, 6))
    def bring_back(self, n, units):
        line = self._line(n)
        if units := min(units, self.life.out(line)):
            self.life.bring_back(line, units)

    @rule(fault=st.sampled_from(("none", "none", "none", "lost", "never_left", "busy")), seconds=st.integers(1, 600))
    def work(self, fault, seconds):
        self.life.look()
        self.life.ask(fault)
        self.clock.now += timedelta(seconds=seconds)

    @rule(hours=st.sampled_from((1, 12, 30, 80, 200)))
    def wait(self, hours):
        self.clock.now += timedelta(hours=hours)

    @rule()
    def hear(self):
        self.life.hear()

    @rule(amount=st.integers(1, 3_000))
    def give_back_there(self, amount):
        """Somebody gives money back by hand, at the provider."""
        for intent in self.account.intents.values():
            charge = intent["latest_charge"]
            left = intent["amount_received"] - charge["amount_refunded"] if charge else 0
            if left > 0 and self.life.operation is None:
                self.account.refund({"payment_intent": intent["id"], "amount": str(min(left, amount))})
                self.life.hear()
                return

    @rule()
    def take_there(self):
        """Somebody captures by hand."""
        for one in self.life.payment.authorisations:
            intent = self.account.get(one.provider_id)
            if intent["status"] == "requires_capture" and self.life.operation is None:
                self.account.capture({}, intent["id"])
                self.life.hear()
                return

    @invariant()
    def nobody_is_charged_too_much(self):
        if hasattr(self, "life"):
            p = self.life.payment
            assert 0 <= p.refunded <= p.captured <= p.authorised
            assert p.captured + p.voided + p.held == p.authorised

    def teardown(self):
        if not hasattr(self, "life"):
            return
        life = self.life
        for line in life.sold.lines:  # nothing is left that could still leave
            life.cancel(line, life.left(line))
        life.settle()
        self.clock.now += self.account.lives
        for intent_id in self.account.intents:
            self.account.get(intent_id)  # a hold of which nobody was ever told lapses
        p, theirs = life.payment, self.account.totals()
        assert (p.captured, p.refunded) == (theirs["capture"], theirs["refund"]), "our books are not the provider's"
        owed = life.worth - p.kept - max(0, p.elsewhere)
        if p.status == "declined":
            assert owed > 0, "a customer who does not pay has goods"
        else:
            assert owed == 0, "goods and money differ"
        assert not p.held and theirs["authorise"] == theirs["capture"] + theirs["release"], "money is held for nothing"
        cash = life.entries.get(("cash", "owed"), 0) - life.entries.get(("owed", "cash"), 0)
        assert cash == p.kept, "entries differ from counters"


TestPayments = Payments.TestCase
TestPayments.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("seed", range(20))
def test_lives_of_orders_end_even(seed):
    rng, clock = Random(seed), Clock()
    account = Account(now=clock)
    life = some_life(account, clock, rng, seed)
    live(life, rng, faults=0.4)
    assert life.worth == life.payment.kept
    assert account.totals()["capture"] == life.payment.captured


# Single decisions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def life():
    clock = Clock()
    line = Line(line_no=1, line_id="1", item_id=1, quantity=2, price_minor=1_000)
    return Life.begin(Account(now=clock), clock, (line,), Terms(), name="o", token="pm_ok")


def work(life):
    life.look()
    life.ask()


def test_what_was_never_told_is_read_once_the_key_may_be_forgotten(life):
    work(life)
    life.ship(life.sold.lines[0], 2)
    life.look()
    assert life.operation.kind == "capture"
    life.ask("lost")
    life.clock.now += KEY_LIVES + timedelta(hours=1)
    life.ask("lost")
    assert life.operation is None, "the same key might be a second capture by now"
    life.settle()
    assert (life.payment.captured, life.payment.elsewhere) == (2_000, 0)
    assert life.account.totals()["capture"] == 2_000


@pytest.mark.parametrize("kind", ["capture", "refund"])
def test_who_was_away_for_a_day_does_not_ask_by_a_key_that_is_forgotten(life, kind):
    work(life)
    life.ship(life.sold.lines[0], 2)
    if kind == "refund":
        work(life)
        life.bring_back(life.sold.lines[0], 1)
    life.look()
    assert life.operation.kind == kind
    life.ask("lost")
    life.clock.now += timedelta(days=2)
    life.settle()
    assert life.account.totals()[kind] == {"capture": 2_000, "refund": 1_000}[kind]
    assert (life.worth, life.payment.elsewhere) == (life.payment.kept, 0)


def test_goods_that_leave_while_a_refund_is_unknown_are_paid_in_full(life):
    """What the refund came to is read when more is earned already: it was ours, and is not taken for a gift."""
    work(life)
    life.ship(life.sold.lines[0], 1)
    work(life)
    life.bring_back(life.sold.lines[0], 1)
    life.look()
    life.ask("lost")
    life.ship(life.sold.lines[0], 1)
    life.clock.now += timedelta(days=2)
    life.settle()
    assert (life.worth, life.payment.kept, life.payment.elsewhere) == (1_000, 1_000, 0)


def test_a_gift_stays_a_gift_when_more_leaves(life):
    work(life)
    life.ship(life.sold.lines[0], 1)
    work(life)
    life.account.refund({"payment_intent": "pi_00000001", "amount": "300"})
    life.hear()
    life.settle()
    life.ship(life.sold.lines[0], 1)
    life.settle()
    assert (life.worth, life.payment.kept, life.payment.elsewhere) == (2_000, 1_700, 300)
    life.bring_back(life.sold.lines[0], 2)
    life.settle()
    assert (life.worth, life.payment.kept, life.payment.elsewhere) == (0, 0, 0)


def test_an_old_answer_takes_nothing_back(life):
    work(life)
    life.ship(life.sold.lines[0], 2)
    work(life)
    life.hear()
    life.look()
    old = PaymentState(id="pi", status="authorised", amount_minor=2_000, capturable_minor=2_000)
    recorded = record(life.payment, life.operation, Paid(fate=Fate.DONE, state=old), life.clock.now)
    assert recorded.payment.captured == 2_000
    assert recorded.entries == ()


def test_a_refund_that_failed_there_is_shown_to_a_person(life):
    work(life)
    life.ship(life.sold.lines[0], 2)
    work(life)
    life.bring_back(life.sold.lines[0], 1)
    work(life)
    life.account.intents["pi_00000001"]["latest_charge"]["amount_refunded"] = 0
    life.hear()
    work(life)
    assert "a refund has failed" in life.payment.trouble
    assert decide(life.payment, life.sold, life.clock.now).payment.status == "failed"


def test_a_return_is_paid_by_a_gift_also_when_more_leaves_meanwhile(life):
    work(life)
    life.ship(life.sold.lines[0], 1)
    work(life)
    life.account.refund({"payment_intent": "pi_00000001", "amount": "300"})
    life.hear()
    life.settle()
    life.ship(life.sold.lines[0], 1)
    life.bring_back(life.sold.lines[0], 1)
    life.settle()
    assert (life.worth, life.payment.kept, life.payment.elsewhere) == (1_000, 1_000, 0)


def test_an_account_that_captures_once_although_it_was_to_capture_in_parts_holds_nothing_more(life):
    life.payment = replace(life.payment, terms=Terms(captures="many"))
    work(life)
    life.account.intents["pi_00000001"]["is_many"] = False
    life.ship(life.sold.lines[0], 1)
    work(life)
    assert (life.payment.captured, life.payment.held, life.payment.voided) == (1_000, 0, 1_000)


def test_what_is_unknown_stays_so_when_the_next_try_never_leaves(life):
    work(life)
    life.ship(life.sold.lines[0], 2)
    life.look()
    life.ask("lost")
    life.ask("busy")
    assert life.operation.state == "unknown"
    life.clock.now += timedelta(days=2)
    life.settle()
    assert (life.account.totals()["capture"], life.payment.kept) == (2_000, 2_000)


def test_goods_that_leave_without_a_hold_are_held_for_together_with_the_rest(life):
    life.payment = replace(life.payment, terms=Terms(captures="many"))
    work(life)
    life.clock.now += timedelta(days=40)
    life.settle()
    assert not life.payment.held
    life.ship(life.sold.lines[0], 1)
    before = len(life.payment.authorisations)
    life.settle()
    assert [a.amount for a in life.payment.authorisations[before:]] == [2_000]


def test_what_a_provider_takes_at_once_is_looked_at(life):
    life.look()
    taken = PaymentState(id="pi", status="captured", amount_minor=2_000, captured_minor=2_000)
    recorded = record(life.payment, life.operation, Paid(fate=Fate.DONE, state=taken), life.clock.now)
    following = decide(recorded.payment, life.sold, life.clock.now)
    assert following.operation.kind == "read"
