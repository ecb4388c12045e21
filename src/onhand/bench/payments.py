"""Lives of orders that are paid: shipped, cancelled, returned in parts, by customers whose banks decline, over a wire
that loses answers. The pure core of payments against the ledger of a fake provider, without a database.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, Literal

from onhand.connectors._sdk.values import Fate, Paid, PaymentState, PaymentStatus
from onhand.orders.model import Line
from onhand.payments.amounts import moved_by, whole_units
from onhand.payments.decide import credited, decide, invoiced, is_forgotten, record
from onhand.payments.documents import Billed, due_documents
from onhand.payments.model import (
    HOLD,
    Authorisation,
    DocumentKind,
    Movement,
    Operation,
    Payment,
    Sold,
    Terms,
    Wanted,
)
from onhand.twin.fakes.stripe import Account, StripeError

Fault = Literal["none", "lost", "never_left", "busy"]
"""lost: it took effect and nobody was told; the others did nothing."""
BEGINS: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
_STATUSES: Final[Mapping[str, PaymentStatus]] = {
    "requires_capture": "authorised", "succeeded": "captured", "canceled": "voided",
    "requires_payment_method": "declined",
}  # fmt: skip
_STEPS_MAX: Final = 400


@dataclass(slots=True)
class Clock:
    """The time of a life, its provider's included."""

    now: datetime = BEGINS

    def __call__(self) -> datetime:
        return self.now


@dataclass(slots=True)
class Life:
    """One order and its payment, followed as flows/payments/ does it: look, ask, write down.

    given  an authorisation that the shop has had made
    """

    account: Account
    clock: Clock
    payment: Payment
    sold: Sold
    operation: Operation | None = None
    billed: dict[tuple[DocumentKind, int], Billed] = field(default_factory=dict[tuple[DocumentKind, int], Billed])
    entries: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    failures: int = 0

    @classmethod
    def begin(
        cls,
        account: Account,
        clock: Clock,
        lines: tuple[Line, ...],
        terms: Terms,
        *,
        name: str,
        token: str,
        given: str = "",
    ) -> "Life":
        """An order that was just placed."""
        parts = (
            (Authorisation(number=1, provider_id=given, amount=0, is_stale=True, granted_at=clock.now),)
            if given
            else ()
        )
        return cls(
            account,
            clock,
            Payment(
                order_id=name, channel_id=1, currency="EUR", token=token, customer="", terms=terms, authorisations=parts
            ),
            Sold(
                order_id=name, external_id=name, currency="EUR", lines=lines, ships_at=clock.now + timedelta(hours=30)
            ),
        )

    # What happens to the order --------------------------------------------------------------------------------------

    def left(self, line: Line) -> int:
        """Units that can be shipped or cancelled."""
        shipped = whole_units(self.sold.lines, moved_by(self.sold.shipments))[line.line_no]
        return line.open - shipped

    def ship(self, line: Line, units: int) -> None:
        """So many units of a line leave."""
        self.sold = replace(
            self.sold, shipments=(*self.sold.shipments, self._movement(line, units, self.sold.shipments))
        )

    def bring_back(self, line: Line, units: int) -> None:
        """So many units of a line come back."""
        self.sold = replace(self.sold, returns=(*self.sold.returns, self._movement(line, units, self.sold.returns)))

    def _movement(self, line: Line, units: int, before: tuple[Movement, ...]) -> Movement:
        items = {(line.line_no, item): per * units for item, per in line.parts}
        return Movement(number=len(before) + 1, at=self.clock.now, units=items)

    def cancel(self, line: Line, units: int) -> None:
        """So many units of a line are not wanted any more."""
        changed = replace(line, cancelled=line.cancelled + units)
        self.sold = replace(
            self.sold, lines=tuple(changed if one.line_no == line.line_no else one for one in self.sold.lines)
        )

    def out(self, line: Line) -> int:
        """Units that left and did not come back."""
        out, back = (whole_units(self.sold.lines, moved_by(m)) for m in (self.sold.shipments, self.sold.returns))
        return out[line.line_no] - back[line.line_no]

    def hear(self) -> None:
        """The provider tells that something happened, for whatever reason, perhaps for the tenth time."""
        stale = tuple(replace(a, is_stale=True) for a in self.payment.authorisations)
        self.payment = replace(self.payment, authorisations=stale)

    # What a worker does ---------------------------------------------------------------------------------------------

    def look(self) -> datetime | None:
        """Write what is due, if nothing is under way; when to look again."""
        if self.operation is not None:
            return None
        self._document()
        following = decide(self.payment, self.sold, self.clock.now)
        self.payment = following.payment
        if following.operation is not None:
            self._write(following.operation)
        return following.at

    def _write(self, wanted: Wanted) -> None:
        number = self.payment.operations + 1
        self.payment = replace(self.payment, operations=number)
        self.operation = Operation(
            number=number, kind=wanted.kind, amount=wanted.amount, authorisation=wanted.authorisation,
            is_final=wanted.is_final, key=f"{self.sold.order_id}-{number}", state="due", attempts=0,
        )  # fmt: skip

    def _document(self) -> None:
        p = self.payment
        for draft in due_documents(self.sold, p.terms, self.billed, shipments=p.shipments, returns=p.returns):
            for line in draft.lines:
                was = self.billed.get((draft.kind, line.line_no), Billed())
                self.billed[draft.kind, line.line_no] = Billed(
                    was.units + line.quantity, was.net_minor + line.net_minor, was.tax_minor + line.tax_minor
                )
            p = (invoiced if draft.kind == "invoice" else credited)(p, draft.gross_minor)
        self.payment = replace(p, shipments=len(self.sold.shipments), returns=len(self.sold.returns))

    def ask(self, fault: Fault = "none") -> None:
        """Carry out what is due, through a wire that fails so."""
        asked = self.operation
        if asked is None:
            return
        sent = replace(asked, attempts=asked.attempts + 1, first_sent_at=asked.first_sent_at or self.clock.now)
        if is_forgotten(asked, self.clock.now):
            answer = Paid(fate=Fate.UNKNOWN)
        elif fault in ("none", "lost"):
            answer = self._answer(sent)
        else:
            answer = Paid(fate=Fate.RETRY)
        if fault == "lost" and sent.kind not in ("hold", "release", "cancel"):
            answer = Paid(fate=Fate.UNKNOWN)
        recorded = record(self.payment, sent, answer, self.clock.now)
        for entry in recorded.entries:
            key = entry.debit, entry.credit
            self.entries[key] = self.entries.get(key, 0) + entry.amount
        self.failures += any(news.kind == "payment.failed" for news in recorded.news)
        self.payment = recorded.payment
        self.operation = None if recorded.state in ("done", "failed") else replace(sent, state=recorded.state)

    def _answer(self, asked: Operation) -> Paid:
        if asked.kind in ("hold", "release", "cancel"):
            self._do(asked.kind)
            return Paid(fate=Fate.DONE)
        a, p = self.account, self.payment
        theirs = p.authorisation(asked.authorisation).provider_id if asked.authorisation else ""
        if asked.kind == "read":
            return self._said(lambda: (200, a.get(theirs)))
        amount = str(asked.amount)
        many = (
            {"payment_method_options[card][request_multicapture]": "if_available"} if p.terms.captures == "many" else {}
        )
        forms: dict[str, tuple[str, dict[str, str], Callable[[dict[str, str]], dict[str, Any]]]] = {
            "authorise": (
                "/v1/payment_intents",
                {"amount": amount, "currency": "eur", "payment_method": p.token, "capture_method": "manual", **many},
                a.create,
            ),
            "capture": (
                f"/{theirs}/capture",
                {"amount_to_capture": amount, "final_capture": str(asked.is_final).lower()},
                lambda form: a.capture(form, theirs),
            ),
            "void": (f"/{theirs}/cancel", {}, lambda form: a.cancel(form, theirs)),
            "refund": ("/v1/refunds", {"payment_intent": theirs, "amount": amount}, a.refund),
        }
        path, form, work = forms[asked.kind]
        return self._said(lambda: a.once(asked.key, path, form, lambda: work(form)))

    def _said(self, ask: Callable[[], tuple[int, dict[str, Any]]]) -> Paid:
        try:
            status, body = ask()
        except StripeError as error:
            status, body = error.status, error.body
        if status != 200:
            return Paid(fate=Fate.REFUSED, code=body["error"]["code"], message=body["error"]["message"])
        if body["object"] != "payment_intent":
            return Paid(fate=Fate.DONE)
        charge = body["latest_charge"]
        until = charge and charge["payment_method_details"]["card"]["capture_before"]
        state = PaymentState(
            id=body["id"], status=_STATUSES[body["status"]], amount_minor=body["amount"],
            capturable_minor=body["amount_capturable"], captured_minor=body["amount_received"],
            refunded_minor=charge["amount_refunded"] if charge else 0,
            expires_at=datetime.fromtimestamp(until, UTC) if until else None,
        )  # fmt: skip
        return Paid(fate=Fate.DONE, state=state)

    def _do(self, kind: str) -> None:
        if kind == "cancel":
            for line in self.sold.lines:
                self.cancel(line, self.left(line))
        self.sold = replace(self.sold, hold=HOLD if kind == "hold" else None)

    def settle(self) -> None:
        """A worker and a wire that do what they should, for as long as anything is due."""
        for _ in range(_STEPS_MAX):
            again = self.look()
            if self.operation is not None:
                self.clock.now += timedelta(seconds=1)
                self.ask()
            elif again is not None:
                self.clock.now = max(self.clock.now, again)
            else:
                return
        raise AssertionError(f"there is always something due of {self.sold.order_id}, {self.payment.status}")

    @property
    def worth(self) -> int:
        """What was shipped and not returned."""
        return self.payment.invoiced - self.payment.credited


def live(life: Life, rng: Random, *, faults: float = 0.1) -> None:
    """Some weeks of an order: what customers, nodes, banks and wires do to it, then all that is left to do.

    faults  share of requests that go wrong
    """

    def work() -> None:
        for _ in range(rng.randrange(1, 6)):
            life.look()
            kinds: tuple[Fault, ...] = ("lost", "never_left", "busy")
            life.ask(rng.choice(kinds) if rng.random() < faults else "none")
            life.clock.now += timedelta(seconds=rng.randrange(1, 900))

    work()
    for _ in range(rng.randrange(1, 7)):
        life.clock.now += timedelta(hours=rng.choice((0, 1, 5, 26, 26, 100)))
        line = rng.choice(life.sold.lines)
        chance = rng.random()
        if chance < 0.6:
            # A node ships what is not held, and not before the bank has been asked.
            if life.sold.hold is None and life.payment.authorised and (units := life.left(line)):
                life.ship(line, rng.randrange(1, units + 1))
        elif chance < 0.75:
            if units := life.left(line):
                life.cancel(line, rng.randrange(1, units + 1))
        elif chance < 0.95:
            if units := life.out(line):
                life.bring_back(line, rng.randrange(1, units + 1))
        else:
            life.hear()
        work()
    for line in life.sold.lines:  # what is left is shipped or given up
        if units := life.left(line):
            if life.sold.hold is None and life.payment.authorised and rng.random() < 0.8:
                life.ship(line, units)
            else:
                life.cancel(line, units)
            work()
    life.settle()


def some_life(account: Account, clock: Clock, rng: Random, number: int) -> Life:
    """An order of a few lines, by a customer whose bank pays mostly, later, or never."""
    lines = tuple(
        Line(
            line_no=n,
            line_id=str(n),
            item_id=n,
            quantity=rng.randrange(1, 6),
            price_minor=rng.randrange(99, 20_000),
            tax_minor=rng.choice((None, rng.randrange(0, 9_999))),
            components=rng.choice(((), (), ((n * 10, 2), (n * 10 + 1, 1)))),
        )
        for n in range(1, rng.choice((1, 1, 2, 3)) + 1)
    )
    terms = Terms(
        capture=rng.choice(("on_ship", "on_ship", "on_ship", "at_order")),
        captures=rng.choice(("one", "many")),
        tax=rng.choice(("added", "included")) if all(not x.tax_minor for x in lines) else "added",
    )
    token = rng.choices(
        (f"pm_ok_{number}", f"pm_later_2_{number}", f"pm_later_4_{number}", f"pm_declined_{number}"), (85, 7, 3, 5)
    )[0]
    return Life.begin(account, clock, lines, terms, name=f"o-{number}", token=token)
