"""What is due of a payment next, and what an answer makes of it. Pure; one operation at a time.

Nothing here knows what happened: it compares what was earned with what is kept and what may still be earned with what
is held, and asks for the difference. So the same order of events in any order, told once or ten times, ends with the
same sums:

    earned = invoiced - credited      kept = captured - refunded      kept = earned, once nothing is due any more

Money that somebody gave back at the provider itself is not taken again, a return that comes later is paid by it; money
that somebody took there early stays until the order says otherwise (`Payment.elsewhere`).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from onhand.connectors._sdk.values import Fate, Paid, PaymentState
from onhand.payments.amounts import open_minor
from onhand.payments.model import (
    HOLD,
    Authorisation,
    Entry,
    News,
    Operation,
    OperationState,
    Payment,
    Sold,
    Status,
    Wanted,
)

# An authorisation has to outlast the planned moment of shipping by so much, or another one is asked for, so long before
# goods leave and not earlier: what waits for supply for months is not authorised every week.
GRACE: Final = timedelta(hours=12)
LEAD: Final = timedelta(days=2)
# What is so late may never leave: it is authorised when it does.
STUCK: Final = timedelta(days=30)
# What the provider or the order refuses is tried again after so long, once what it knows has been read.
PAUSE: Final = timedelta(hours=1)
PAUSE_OF_REFUNDS: Final = timedelta(hours=6)
# Providers forget keys after a day (Stripe keeps them 24 hours): afterwards the same key might be a second operation.
KEY_LIVES: Final = timedelta(hours=20)
_RETRY_MAX_S: Final = 1_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """payment: settled; operation: what is due now, if anything; at: when to look again although nothing happened, if
    ever."""

    payment: Payment
    operation: Wanted | None
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What an answer makes of a payment and its operation. retry_at: of one that is still open."""

    payment: Payment
    state: OperationState
    retry_at: datetime | None = None
    entries: tuple[Entry, ...] = ()
    news: tuple[News, ...] = ()


@dataclass(frozen=True, slots=True)
class _View:
    """A payment beside what its order demands, at a moment.

    gap      earned and not kept; negative: kept and not earned
    short    what is to be taken of it, surplus what is to be given back
    future   what may still be earned, by units that have not left
    """

    payment: Payment
    sold: Sold
    now: datetime

    @property
    def open(self) -> int:
        return open_minor(self.sold.lines, self.payment.terms)

    @property
    def earned(self) -> int:
        p = self.payment
        return (self.open if p.terms.capture == "at_order" else p.invoiced) - p.credited

    @property
    def future(self) -> int:
        return 0 if self.payment.terms.capture == "at_order" else max(0, self.open - self.payment.invoiced)

    @property
    def gap(self) -> int:
        return self.earned - self.payment.kept

    @property
    def short(self) -> int:
        return max(0, self.gap - max(0, self.payment.elsewhere))

    @property
    def surplus(self) -> int:
        return max(0, -self.gap - min(max(0, -self.payment.elsewhere), self.future))

    @property
    def good(self) -> list[Authorisation]:
        """That can be captured, the one that ends soonest first."""
        found = [a for a in self.payment.authorisations if a.left and not a.has_expired(self.now)]
        return sorted(found, key=lambda a: (a.expires_at is None, a.expires_at, a.number))

    @property
    def is_near(self) -> bool:
        """Whether goods leave so soon that they have to be covered; at the beginning they have to be anyhow."""
        at = self.sold.ships_at
        soon = at is not None and at - LEAD <= self.now < at + STUCK
        return soon or self.payment.authorised == 0

    @property
    def lost(self) -> int:
        """What is to be taken and nobody will be asked for by itself: every try was declined, or there is no way."""
        p = self.payment
        is_over = not p.token or p.tries > len(p.terms.retry_h)
        return min(self.short, max(0, p.owed)) if is_over and not self.good else 0

    def lasts(self, one: Authorisation) -> bool:
        """Whether it will be there when goods leave; one that is young is not exchanged, however short its life."""
        if one.expires_at is None or self.sold.ships_at is None:
            return True
        half = one.granted_at + (one.expires_at - one.granted_at) / 2
        return self.now < half or one.expires_at > max(self.sold.ships_at, self.now) + GRACE

    @property
    def wanted(self) -> int:
        """What is to be authorised, by now."""
        good = self.good
        if self.short:
            return 0 if good else self.short + self.future
        if not self.future or not self.is_near:
            return 0
        return max(0, self.future - sum(a.left for a in good if self.lasts(a)))


def decide(payment: Payment, sold: Sold, now: datetime) -> Next:
    """What is due next of a payment that nothing is under way for."""
    view = _View(_settled(payment, sold, now), sold, now)
    operation = _due(view)
    return Next(
        payment=replace(view.payment, status=_status(view), lost=view.lost),
        operation=operation,
        at=None if operation else _look_at(view),
    )


def _settled(payment: Payment, sold: Sold, now: datetime) -> Payment:
    """Without what others did that has been made up for since: by a return that it paid, by goods that it paid. While
    it is not known what happened, nothing is set off."""
    if any(one.is_stale for one in payment.authorisations):
        return payment
    gap = _View(payment, sold, now).gap
    elsewhere = payment.elsewhere
    elsewhere = min(elsewhere, max(0, gap)) if elsewhere > 0 else max(elsewhere, min(0, gap))
    # Where nothing is to be taken, what is to be given back is what there is too much of.
    to_give = payment.to_give if gap > 0 else min(payment.to_give, -gap)
    return replace(payment, elsewhere=elsewhere, to_give=to_give)


def invoiced(payment: Payment, amount: int) -> Payment:
    """An invoice was written."""
    return replace(payment, invoiced=payment.invoiced + amount)


def credited(payment: Payment, amount: int) -> Payment:
    """A credit note was written: what others gave back at the provider pays it first."""
    paid = min(max(0, payment.elsewhere), amount)
    return replace(
        payment,
        credited=payment.credited + amount,
        elsewhere=payment.elsewhere - paid,
        to_give=payment.to_give + amount - paid,
    )


def _due(view: _View) -> Wanted | None:
    p, now = view.payment, view.now
    for one in p.authorisations:
        if one.is_stale:
            return Wanted(kind="read", authorisation=one.number)
    if (stop := _of_the_order(view)) is not None and _may(p.order_at, now):
        return stop
    if _may(p.give_at, now) and (back := _give_back(view)) is not None:
        return back
    return _take(view) if _may(p.ask_at, now) else None


def _may(not_before: datetime | None, now: datetime) -> bool:
    return not_before is None or not_before <= now


def _of_the_order(view: _View) -> Wanted | None:
    """Hold what nobody pays for, let it go when somebody does, cancel it when nobody ever does."""
    p, hold = view.payment, view.sold.hold
    if not view.future:
        return None
    covered = sum(a.left for a in view.good)
    unpaid = view.wanted > 0 and (p.tries > 0 or not p.token) and covered < view.future
    if unpaid and p.tries > len(p.terms.retry_h):
        return None if p.has_given_up else Wanted(kind="cancel")
    if unpaid and hold is None:
        return Wanted(kind="hold")
    if hold == HOLD and not p.tries and covered >= view.future:
        return Wanted(kind="release")
    return None


def _give_back(view: _View) -> Wanted | None:
    p = view.payment
    if view.surplus:
        for one in reversed(p.authorisations):
            if one.refundable > 0:
                return Wanted(kind="refund", amount=min(view.surplus, one.refundable), authorisation=one.number)
    lasting = sum(a.left for a in view.good if view.lasts(a))
    for one in p.authorisations:
        is_spare = not view.short and (not view.future or (lasting >= view.future and not view.lasts(one)))
        if one.left and (one.has_expired(view.now) or is_spare):
            return Wanted(kind="void", amount=one.left, authorisation=one.number)
    return None


def _take(view: _View) -> Wanted | None:
    p = view.payment
    if view.short and view.good:
        one = view.good[0]
        amount = min(view.short, one.left)
        is_last = p.terms.captures == "one" or (not view.future and amount == view.short)
        return Wanted(kind="capture", amount=amount, authorisation=one.number, is_final=is_last)
    if view.wanted and p.token and p.tries <= len(p.terms.retry_h):
        return Wanted(kind="authorise", amount=view.wanted)
    return None


def _look_at(view: _View) -> datetime | None:
    p = view.payment
    moments = [p.ask_at, p.give_at, p.order_at]
    for one in p.authorisations:
        if one.left and one.expires_at is not None:
            moments.append(one.expires_at)
            if view.future:
                moments += [one.expires_at - GRACE, one.granted_at + (one.expires_at - one.granted_at) / 2]
    if view.future and view.sold.ships_at is not None:
        moments.append(view.sold.ships_at - LEAD)
    return min((m for m in moments if m is not None and m > view.now), default=None)


def _status(view: _View) -> Status:
    p = view.payment
    if p.trouble is not None:
        return "failed"
    if (p.tries and (view.short or view.future)) or (not p.token and view.wanted):
        return "declined"
    if p.refunded:
        return "partly_refunded" if p.kept or view.short else "refunded"
    if p.captured:
        return "partly_captured" if view.future or view.short or view.surplus else "captured"
    if p.held:
        return "authorised"
    return "due" if view.short or view.future else "voided"


# Answers --------------------------------------------------------------------------------------------------------------


def retry_s(attempts: int) -> float:
    """Seconds until an operation is asked for again."""
    return min(2.0 * 2.0 ** min(attempts, 20), _RETRY_MAX_S)


def is_forgotten(operation: Operation, now: datetime) -> bool:
    """Whether an operation that may have taken place must not be asked for again: its key may be forgotten by now, and
    then money would move twice. Who finds this does not ask, and records UNKNOWN."""
    began = operation.first_sent_at
    return operation.state != "due" and began is not None and now - began > KEY_LIVES


def record(payment: Payment, operation: Operation, answer: Paid, now: datetime) -> Recorded:
    """What an answer to an operation that was open makes of it."""
    fate = answer.fate
    if fate in (Fate.RETRY, Fate.UNKNOWN):
        return _later(payment, operation, answer, now)
    if fate is Fate.DONE:
        match operation.kind:
            case "authorise":
                return _authorised(payment, operation, answer, now)
            case "capture":
                return _captured(payment, operation, answer)
            case "void":
                return _voided(payment, operation)
            case "refund":
                return _refunded(payment, operation)
            case "read":
                return _read(payment, operation, answer, now)
            case "hold" | "release" | "cancel":
                done = replace(payment, has_given_up=payment.has_given_up or operation.kind == "cancel")
                return Recorded(payment=done, state="done")
    return _refused(payment, operation, answer, now)


def _later(payment: Payment, operation: Operation, answer: Paid, now: datetime) -> Recorded:
    again = now + timedelta(seconds=retry_s(operation.attempts))
    if answer.fate is Fate.RETRY:
        # What an earlier try came to is no less unknown because this one did nothing.
        state: OperationState = "unknown" if operation.state == "unknown" else "due"
    else:
        state = "unknown"
    if state == "unknown" and is_forgotten(operation, now):
        # What became of it is read instead; a hold that nobody knows of lapses by itself.
        if operation.authorisation:
            payment = _with(payment, replace(payment.authorisation(operation.authorisation), is_stale=True))
        return Recorded(payment=payment, state="failed", news=_failed(operation, "what became of it was never told"))
    return Recorded(payment=payment, state=state, retry_at=again)


def _with(payment: Payment, one: Authorisation) -> Payment:
    return replace(payment, authorisations=tuple(one if a.number == one.number else a for a in payment.authorisations))


def _calm(payment: Payment) -> Payment:
    return replace(payment, trouble=None)


def _authorised(payment: Payment, operation: Operation, answer: Paid, now: datetime) -> Recorded:
    state = answer.state
    if state is None or state.status not in ("authorised", "captured"):
        word = "the provider does not say what it made" if state is None else f"it is {state.status}"
        return _refused(payment, operation, replace(answer, fate=Fate.REFUSED, message=answer.message or word), now)
    amount = state.amount_minor or operation.amount
    one = Authorisation(
        number=len(payment.authorisations) + 1,
        provider_id=state.id,
        amount=amount,
        granted_at=now,
        expires_at=state.expires_at,
        is_stale=state.captured_minor > 0,
    )
    done = replace(
        _calm(payment), authorisations=(*payment.authorisations, one), tries=0, ask_at=None, has_given_up=False
    )
    return Recorded(
        payment=done,
        state="done",
        entries=(Entry(debit="held", credit="limit", amount=amount),),
        news=(News(kind="payment.authorised", facts={"amount_minor": amount}),),
    )


def _fee(one: Authorisation, state: PaymentState | None) -> int:
    return one.fee if state is None else max(one.fee, state.fee_minor)


def _released(one: Authorisation) -> tuple[Authorisation, tuple[Entry, ...]]:
    """Without what was left of it."""
    left = one.left
    entries = (Entry(debit="limit", credit="held", amount=left),) if left else ()
    return replace(one, released=one.released + left, is_open=False), entries


def _captured(payment: Payment, operation: Operation, answer: Paid) -> Recorded:
    one = payment.authorisation(operation.authorisation)
    one = replace(one, captured=one.captured + operation.amount, fee=_fee(one, answer.state))
    entries: tuple[Entry, ...] = (
        Entry(debit="cash", credit="owed", amount=operation.amount),
        Entry(debit="limit", credit="held", amount=operation.amount),
    )
    is_over = answer.state is not None and answer.state.status == "captured" and not answer.state.capturable_minor
    if operation.is_final or is_over or not one.left:
        one, more = _released(one)
        entries += more
    return Recorded(
        payment=_with(_calm(payment), one),
        state="done",
        entries=entries,
        news=(News(kind="payment.captured", facts={"amount_minor": operation.amount}),),
    )


def _voided(payment: Payment, operation: Operation) -> Recorded:
    one = payment.authorisation(operation.authorisation)
    amount = one.left
    one, entries = _released(one)
    return Recorded(
        payment=_with(payment, one),
        state="done",
        entries=entries,
        news=(News(kind="payment.voided", facts={"amount_minor": amount}),),
    )


def _refunded(payment: Payment, operation: Operation) -> Recorded:
    one = payment.authorisation(operation.authorisation)
    one = replace(one, refunded=one.refunded + operation.amount)
    payment = replace(payment, to_give=max(0, payment.to_give - operation.amount))
    return Recorded(
        payment=_with(_calm(payment), one),
        state="done",
        entries=(Entry(debit="owed", credit="cash", amount=operation.amount),),
        news=(News(kind="payment.refunded", facts={"amount_minor": operation.amount}),),
    )


def _refused(payment: Payment, operation: Operation, answer: Paid, now: datetime) -> Recorded:
    why = answer.message or answer.code or "refused"
    news = _failed(operation, why, code=answer.code)
    if operation.kind == "authorise":
        return Recorded(payment=_declined(payment, now), state="failed", news=news)
    if operation.kind in ("hold", "release", "cancel"):
        given_up = payment.has_given_up or operation.kind == "cancel"
        return Recorded(payment=replace(payment, order_at=now + PAUSE, has_given_up=given_up), state="failed")
    one = payment.authorisation(operation.authorisation)
    if operation.kind == "read":
        if not one.amount:  # the shop named it, and it is none
            one = replace(one, is_stale=False, is_open=False)
            return Recorded(payment=_declined(_with(payment, one), now), state="failed", news=news)
        return Recorded(
            payment=replace(_with(payment, replace(one, is_stale=False)), trouble=why), state="failed", news=news
        )
    # It knows something that we do not: expired, captured or given back by somebody else.
    payment = _with(payment, replace(one, is_stale=True))
    if operation.kind == "capture":
        return Recorded(payment=replace(payment, ask_at=now + PAUSE), state="failed", news=news)
    if operation.kind == "void":
        return Recorded(payment=replace(payment, give_at=now + PAUSE), state="failed", news=news)
    return Recorded(payment=replace(payment, give_at=now + PAUSE_OF_REFUNDS, trouble=why), state="failed", news=news)


def _declined(payment: Payment, now: datetime) -> Payment:
    tries = payment.tries + 1
    hours = payment.terms.retry_h
    again = now + timedelta(hours=hours[tries - 1]) if tries <= len(hours) else None
    return replace(payment, tries=tries, ask_at=again)


def _failed(operation: Operation, why: str, **facts: Any) -> tuple[News, ...]:
    told = {"operation": operation.kind, "amount_minor": operation.amount, "why": why[:500], **facts}
    return (News(kind="payment.failed", facts=told),)


def _read(payment: Payment, operation: Operation, answer: Paid, now: datetime) -> Recorded:
    """Take over what the provider says of an authorisation: sums only grow, so that an old answer changes nothing."""
    one = payment.authorisation(operation.authorisation)
    state = answer.state
    if state is None:
        return _refused(payment, operation, replace(answer, fate=Fate.REFUSED, message="it says nothing of it"), now)
    if not one.amount and (state.status not in ("authorised", "captured") or not state.amount_minor):
        return _refused(payment, operation, replace(answer, fate=Fate.REFUSED, message=f"it is {state.status}"), now)
    if not one.amount and state.currency and state.currency.upper() != payment.currency:
        word = f"it is in {state.currency.upper()}, and the order in {payment.currency}"
        return _refused(payment, operation, replace(answer, fate=Fate.REFUSED, message=word), now)
    entries: list[Entry] = []
    news: list[News] = []
    if not one.amount:
        one = replace(one, amount=state.amount_minor)
        payment = replace(payment, tries=0, ask_at=None, has_given_up=False)
        entries.append(Entry(debit="held", credit="limit", amount=one.amount))
        news.append(News(kind="payment.authorised", facts={"amount_minor": one.amount}))
    captured = min(state.captured_minor - one.captured, one.left)
    if captured > 0:
        one = replace(one, captured=one.captured + captured)
        # What we were about to take ourselves, and perhaps did without ever being told, is nobody else's.
        ours = min(captured, max(0, payment.owed + payment.to_give))
        payment = replace(payment, elsewhere=payment.elsewhere - (captured - ours))
        entries.append(Entry(debit="cash", credit="owed", amount=captured))
        entries.append(Entry(debit="limit", credit="held", amount=captured))
        news.append(News(kind="payment.captured", facts={"amount_minor": captured, "elsewhere": True}))
    back = min(state.refunded_minor, one.captured) - one.refunded
    trouble = None
    if back > 0:
        one = replace(one, refunded=one.refunded + back)
        ours = min(back, payment.to_give)
        payment = replace(payment, to_give=payment.to_give - ours, elsewhere=payment.elsewhere + back - ours)
        entries.append(Entry(debit="owed", credit="cash", amount=back))
        news.append(News(kind="payment.refunded", facts={"amount_minor": back, "elsewhere": True}))
    elif back < 0:
        trouble = f"the provider has given back {state.refunded_minor}, not {one.refunded}: a refund has failed there"
    if one.left and (_is_over(state) or (one.has_expired(now) and state.status != "authorised")):
        left = one.left
        one, more = _released(one)
        entries += more
        news.append(News(kind="payment.voided", facts={"amount_minor": left, "elsewhere": True}))
        payment = replace(payment, ask_at=None if not payment.tries else payment.ask_at)
    if state.is_disputed and not payment.is_disputed:
        payment = replace(payment, is_disputed=True)
        news.append(News(kind="payment.disputed", facts={"charged_back_minor": state.charged_back_minor}))
    elif state.charged_back_minor != one.charged_back:
        news.append(News(kind="payment.disputed", facts={"charged_back_minor": state.charged_back_minor}))
    one = replace(
        one, is_stale=False, expires_at=state.expires_at or one.expires_at, fee=_fee(one, state),
        charged_back=state.charged_back_minor,
    )  # fmt: skip
    if trouble is None and payment.to_give and payment.give_at is not None and payment.give_at > now:
        trouble = payment.trouble  # a refund that was refused is due all the same, later
    payment = replace(_with(payment, one), trouble=trouble)
    return Recorded(payment=payment, state="done", entries=tuple(entries), news=tuple(news))


def _is_over(state: PaymentState) -> bool:
    return state.status in ("voided", "declined") or (state.status == "captured" and not state.capturable_minor)
