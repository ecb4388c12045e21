"""Cases: money is held, taken and given back once each, and what is not known is not guessed."""

from collections.abc import Awaitable, Callable
from typing import Final, cast

import msgspec

from onhand.connectors._sdk.conformance.breaking import answer
from onhand.connectors._sdk.conformance.kit import Kit, another, case, expect
from onhand.connectors._sdk.conformance.tap import Break
from onhand.connectors._sdk.interface import PaymentProvider
from onhand.connectors._sdk.values import Charge, Fate, Paid, PaymentState

_ALL: Final = ("payments.authorise", "payments.capture", "payments.void", "payments.refund", "payments.get")
CHARGE: Final = Charge(
    key="onhand-1",
    order_id="0",
    number="R-1",
    amount_minor=10_000,
    currency="EUR",
    token="pm",  # noqa: S106
    customer="cus_1",
)
_NEVER: Final = (Fate.REFUSED, Fate.GONE)


def _provider(kit: Kit) -> PaymentProvider:
    return cast("PaymentProvider", kit.connector)


def _charge(kit: Kit, key: str, *, pays: bool = True, amount: int = 10_000) -> Charge:
    return msgspec.structs.replace(CHARGE, key=key, token=kit.bench.card(pays=pays), amount_minor=amount)


async def _held(kit: Kit, key: str = "hold") -> PaymentState:
    paid = await _provider(kit).authorise(kit.connection, _charge(kit, key))
    expect(paid.fate is Fate.DONE and paid.state is not None, f"100.00 is not held: {paid}")
    return cast("PaymentState", paid.state)


async def _capture(kit: Kit, payment_id: str, amount: int, key: str) -> Paid:
    return await _provider(kit).capture(kit.connection, payment_id, amount, is_final=True, is_many=False, key=key)


@case(*_ALL)
async def an_amount_is_held_taken_and_given_back(kit: Kit) -> None:
    """Held, a part captured, a part of that given back; each time what it is now is told."""
    state = await _held(kit)
    expect(state.status == "authorised" and state.amount_minor == 10_000, f"it is told as {state}")
    expect(state.capturable_minor == 10_000, f"{state.capturable_minor} can be captured, it says")
    expect(kit.bench.moved(state.id) == (10_000, 0, 0), "the kit is wrong: nothing is held")
    paid = await _capture(kit, state.id, 4_001, "take")
    expect(paid.fate is Fate.DONE, f"a part is not captured: {paid}")
    back = await _provider(kit).refund(kit.connection, state.id, 1_999, reason="returned", key="back")
    expect(back.fate is Fate.DONE, f"a part is not given back: {back}")
    expect(kit.bench.moved(state.id)[1:] == (4_001, 1_999), f"moved: {kit.bench.moved(state.id)}")
    now = (await _provider(kit).get_payment(kit.connection, state.id)).state
    told = None if now is None else (now.captured_minor, now.refunded_minor)
    expect(told == (4_001, 1_999), f"it is read as {now}")


@case(*_ALL)
async def what_is_held_and_not_wanted_is_given_back(kit: Kit) -> None:
    """A hold that is let go is told as such, and cannot be captured any more."""
    state = await _held(kit)
    paid = await _provider(kit).void(kit.connection, state.id, reason="cancelled", key="void")
    expect(paid.fate is Fate.DONE and kit.bench.moved(state.id)[0] == 0, f"it is still held: {paid}")
    now = (await _provider(kit).get_payment(kit.connection, state.id)).state
    expect(now is not None and now.status == "voided", f"it is read as {now}")
    late = await _capture(kit, state.id, 100, "late")
    expect(late.fate in _NEVER, f"what was let go is captured: {late}")


@case(*_ALL)
async def a_request_that_comes_again_with_its_key_moves_no_money(kit: Kit) -> None:
    """Each request three times with one key: once in effect, and answered each time."""
    ids = [(await _held(kit, "same")).id for _ in range(3)]
    expect(len({*ids}) == 1 and kit.bench.payments() == 1, f"it is held {kit.bench.payments()} times")
    for _ in range(3):
        taken = await _capture(kit, ids[0], 6_000, "take")
        expect(taken.fate is Fate.DONE, f"a repeat is answered {taken}")
    for _ in range(3):
        back = await _provider(kit).refund(kit.connection, ids[0], 1_000, reason="returned", key="back")
        expect(back.fate is Fate.DONE, f"a repeat is answered {back}")
    expect(kit.bench.moved(ids[0])[1:] == (6_000, 1_000), f"moved: {kit.bench.moved(ids[0])}")


@case(*_ALL)
async def what_the_bank_declines_is_refused_in_its_words(kit: Kit) -> None:
    """Declined: refused, with a code and words, and nothing is held."""
    paid = await _provider(kit).authorise(kit.connection, _charge(kit, "poor", pays=False))
    expect(paid.fate is Fate.REFUSED, f"it is said to be {paid.fate}")
    expect(bool(paid.code) and bool(paid.message), f"nobody learns why: {paid}")
    expect(kit.bench.payments() == 0, "it is held all the same")


@case(*_ALL)
async def more_than_there_is_is_refused(kit: Kit) -> None:
    """More than is held, more than was captured, and a payment that is not there: refused, and nothing moves."""
    state = await _held(kit)
    expect((await _capture(kit, state.id, 10_001, "more")).fate in _NEVER, "more than was held is captured")
    await _capture(kit, state.id, 500, "take")
    back = await _provider(kit).refund(kit.connection, state.id, 501, reason="returned", key="back")
    expect(back.fate in _NEVER, f"more than was captured is given back: {back}")
    expect(kit.bench.moved(state.id)[1:] == (500, 0), f"moved: {kit.bench.moved(state.id)}")
    nobody = await _provider(kit).get_payment(kit.connection, another(state.id))
    expect(nobody.fate in _NEVER, f"a payment that is not there is {nobody}")


@case(*_ALL)
async def money_that_may_have_moved_is_not_known_and_moves_once(kit: Kit) -> None:
    """The answer breaks off, is a failure or a page for people: unknown. Asked for again: once in effect."""
    broken = (
        Break(applied=True),
        Break(answer=answer(500), applied=True),
        Break(answer=answer(504), applied=True),
        Break(answer=answer(200, b"<html>one moment please</html>"), applied=True),
        Break(answer=answer(200, b'{"id": "'), applied=True),
    )
    for n, one in enumerate(broken):
        charge = _charge(kit, f"hold-{n}")
        kit.breaks(one)
        paid = await _provider(kit).authorise(kit.connection, charge)
        expect(paid.fate is Fate.UNKNOWN, f"a hold that may be there is said to be {paid.fate}")
        again = await _provider(kit).authorise(kit.connection, charge)
        expect(again.fate is Fate.DONE and again.state is not None, f"asked for again it is {again}")
        expect(kit.bench.payments() == n + 1, f"{n + 1} holds were asked for, {kit.bench.payments()} are there")
        payment_id = cast("PaymentState", again.state).id

        async def capture(payment_id: str = payment_id, n: int = n) -> Paid:
            return await _capture(kit, payment_id, 7_000, f"take-{n}")

        async def refund(payment_id: str = payment_id, n: int = n) -> Paid:
            return await _provider(kit).refund(kit.connection, payment_id, 2_000, reason="r", key=f"back-{n}")

        steps: tuple[Callable[[], Awaitable[Paid]], ...] = (capture, refund)
        for ask in steps:
            kit.breaks(Break(answer=one.answer, applied=True))
            expect((await ask()).fate in (Fate.UNKNOWN, Fate.DONE), "money that may have moved is said not to have")
            expect((await ask()).fate is Fate.DONE, "asked for again it fails")
        expect(kit.bench.moved(payment_id)[1:] == (7_000, 2_000), f"moved: {kit.bench.moved(payment_id)}")


@case(*_ALL)
async def a_provider_that_is_busy_did_nothing(kit: Kit) -> None:
    """429 and a request that never left: nothing happened, and it may be tried again."""
    for one in (Break(answer=answer(429, retry_after="1")), Break(sent=False), Break(answer=answer(401), times=9)):
        kit.breaks(one)
        paid = await _provider(kit).authorise(kit.connection, _charge(kit, "busy"))
        kit.tap.mend()
        expect(paid.fate is Fate.RETRY, f"it is said to be {paid.fate}")
    expect(kit.bench.payments() == 0, "the kit is wrong: it took effect")


@case("payments.get")
async def what_cannot_be_read_of_a_payment_is_not_made_up(kit: Kit) -> None:
    """Answers no provider would give: never a state, never an exception."""
    for status in (200, 301, 400, 404, 418, 500):
        for body in (b"", b"null", b"[]", b"{}", b'{"id": "x"}', b'{"id": "x", "status": "y", "amount": "z"}', b"\xff"):
            kit.breaks(Break(answer=answer(status, body), times=9))
            paid = await _provider(kit).get_payment(kit.connection, "1")
            kit.tap.mend()
            expect(paid.fate is not Fate.DONE or paid.state is None or paid.state.status == "unknown",
                   f"HTTP {status} {body!r} is read as {paid}")  # fmt: skip
