"""Ask a provider for what is due of payments, and write down what came of it.

An operation was written down before it is asked for, with a key that the provider knows it by again. Who dies between
asking and writing down leaves it to whoever finds its lease over; asked with the same key, it moves no money twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.connectors import PaymentProvider
from onhand.connectors._sdk.values import Charge, Fate, Paid
from onhand.errors import DatabaseUnavailable
from onhand.flows.accounts import Account
from onhand.flows.payments.look import finish
from onhand.flows.state import State
from onhand.payments import store
from onhand.payments.decide import is_forgotten
from onhand.payments.model import Payment
from onhand.payments.store import Claimed

T = TypeVar("T")
log = structlog.get_logger(__name__)

_CLAIMED, _TURNS_MAX = 32, 50
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
        """Carry out what is due there; how much that was."""
        count = 0
        for _ in range(_TURNS_MAX):
            tasks = await self._transact(lambda conn: self._claim(conn, account.channel_id))
            if not tasks:
                break
            count += len(tasks)
            turns = asyncio.Semaphore(max(1, account.connector.at_once))

            async def one(task: _Task, turns: asyncio.Semaphore = turns) -> None:
                async with turns:
                    await self._carry_out(account, task)

            for ended in await asyncio.gather(*map(one, tasks), return_exceptions=True):
                if isinstance(ended, BaseException):
                    raise ended
        if count:
            self._state.db.notify()
        return count

    def _claim(self, conn: Connection[TupleRow], channel_id: int) -> list[_Task]:
        now = self._state.now()
        claimed = store.claim_operations(conn, channel_id, now, limit=_CLAIMED, lease_s=_LEASE_S)
        ids = [one.order_id for one in claimed]
        payments = {p.order_id: p for p in store.load(conn, ids)} if ids else {}
        sold = store.load_sold(conn, ids) if ids else {}
        return [_Task(one, payments[one.order_id], sold[one.order_id].external_id) for one in claimed]

    async def _carry_out(self, account: Account, task: _Task) -> None:
        operation, order_id = task.claimed.operation, task.claimed.order_id
        try:
            if is_forgotten(operation, self._state.now()):
                answer = Paid(fate=Fate.UNKNOWN, message="too old to be asked for again")
            else:
                answer = await _ask(account, task)
        except Exception as error:
            log.exception("a provider cannot be asked", channel=account.code, operation=operation.key)
            answer = Paid(fate=Fate.UNKNOWN, message=f"{type(error).__name__}: {error}")
        now, origin = self._state.now(), self._state.db.origin
        try:
            await self._transact(lambda conn: finish(conn, order_id, operation.number, answer, now, origin=origin))
        except DatabaseUnavailable:
            raise
        except Exception:
            # It stays `sent`, and is asked for again: it must not stand in the way of the others.
            log.exception("what came of an operation cannot be kept", channel=account.code, operation=operation.key)

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
