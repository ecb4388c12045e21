"""Ask a provider for what is due of payments, and write down what came of it.

An operation was written down before it is asked for, with a key that the provider knows it by again. Who dies between
asking and writing down leaves it to whoever finds its lease over; asked with the same key, it moves no money twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, cast

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.connectors import PaymentProvider
from onhand.connectors._sdk.values import Charge, Fate, Paid
from onhand.errors import DatabaseUnavailable
from onhand.flows.accounts import Account
from onhand.flows.payments.look import Answer, finish
from onhand.flows.state import State
from onhand.payments import store
from onhand.payments.decide import is_forgotten
from onhand.payments.model import Payment
from onhand.payments.store import Claimed

T = TypeVar("T")
log = structlog.get_logger(__name__)

# Under way for one account at a time; and in one turn, so that no other has to wait for long.
_CLAIMED, _OPERATIONS_MAX = 32, 1_600
# Longer than any request may take.
_LEASE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class _Task:
    claimed: Claimed
    payment: Payment
    number: str


class Cashier:
    """What is done with one account at a provider; see `hear_channels.Listening`."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def work(self, account: Account) -> int:
        """Carry out what is due there; how much that was.

        While some is asked for, what was answered meanwhile is written down together: the faster answers come, the
        more of them share a transaction.
        """
        turns = asyncio.Semaphore(max(1, account.connector.at_once))
        under_way: set[asyncio.Task[Answer]] = set()
        count = 0
        try:
            while True:
                if len(under_way) <= _CLAIMED // 2 and count < _OPERATIONS_MAX:
                    limit = _CLAIMED - len(under_way)
                    tasks = await self._transact(partial(self._claim, account.channel_id, limit))
                    under_way |= {asyncio.create_task(self._asked(account, task, turns)) for task in tasks}
                    count += len(tasks)
                if not under_way:
                    break
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                await self._keep(account, [task.result() for task in done])
        finally:
            for task in under_way:
                task.cancel()
        if count:
            self._state.db.notify()
        return count

    def _claim(self, channel_id: int, limit: int, conn: Connection[TupleRow]) -> list[_Task]:
        now = self._state.now()
        claimed = store.claim_operations(conn, channel_id, now, limit=limit, lease_s=_LEASE_S)
        if not claimed:
            return []
        ids = [one.order_id for one in claimed]
        payments = {p.order_id: p for p in store.load(conn, ids)}
        numbers = store.external_ids(conn, ids)
        return [_Task(one, payments[one.order_id], numbers[one.order_id]) for one in claimed]

    async def _asked(self, account: Account, task: _Task, turns: asyncio.Semaphore) -> Answer:
        operation = task.claimed.operation
        async with turns:
            try:
                if is_forgotten(operation, self._state.now()):
                    paid = Paid(fate=Fate.UNKNOWN, message="too old to be asked for again")
                else:
                    paid = await _ask(account, task)
            except Exception as error:
                log.exception("a provider cannot be asked", channel=account.code, operation=operation.key)
                paid = Paid(fate=Fate.UNKNOWN, message=f"{type(error).__name__}: {error}")
        return Answer(order_id=task.claimed.order_id, number=operation.number, paid=paid)

    async def _keep(self, account: Account, answers: Sequence[Answer]) -> None:
        """Write down what was answered. What cannot be kept stays `sent`, and is asked for again: it must not stand in
        the way of the others, so they are tried one by one then."""
        now, origin = self._state.now(), self._state.db.origin
        try:
            await self._transact(lambda conn: finish(conn, answers, now, origin=origin))
        except DatabaseUnavailable:
            raise
        except Exception:
            if len(answers) > 1:
                for one in answers:
                    await self._keep(account, [one])
            else:
                log.exception(
                    "what came of an operation cannot be kept", channel=account.code, order_id=answers[0].order_id
                )

    async def _transact(self, work: Callable[[Connection[TupleRow]], T]) -> T:
        return await asyncio.to_thread(lambda: self._state.db.transact(work))


async def _ask(account: Account, task: _Task) -> Paid:
    connector, connection = account.connector, account.connection
    if "payments.authorise" not in connector.capabilities:
        return Paid(fate=Fate.REFUSED, code="no_way", message=f"channel {account.code} takes no payments")
    provider, payment, operation = cast("PaymentProvider", connector), task.payment, task.claimed.operation
    is_many = payment.terms.captures == "many"
    if operation.kind == "authorise":
        charge = Charge(
            key=operation.key, order_id=payment.order_id, number=task.number, amount_minor=operation.amount,
            currency=payment.currency, token=payment.token, customer=payment.customer, is_many=is_many,
        )  # fmt: skip
        return await provider.authorise(connection, charge)
    theirs = payment.authorisation(operation.authorisation).provider_id
    match operation.kind:
        case "capture":
            return await provider.capture(
                connection, theirs, operation.amount, is_final=operation.is_final, is_many=is_many, key=operation.key
            )
        case "void":
            return await provider.void(connection, theirs, reason="not needed", key=operation.key)
        case "refund":
            return await provider.refund(connection, theirs, operation.amount, reason="returned", key=operation.key)
        case _:
            return await provider.get_payment(connection, theirs)
