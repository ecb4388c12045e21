"""Look at a payment: write the documents that are due, decide what is due next, and write that down before it is done.

All in the caller's transaction, under the lock of the payment's row; the order is read, not locked: what happens to it
afterwards is followed afterwards.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.connectors._sdk.values import Paid, PaymentHint
from onhand.db.outbox import write_events
from onhand.payments import store
from onhand.payments.decide import credited, decide, invoiced, record
from onhand.payments.documents import due_documents
from onhand.payments.model import Draft, Entry, News, Payment, Sold


def look(conn: Connection[TupleRow], before: Payment, sold: Sold, now: datetime, *, origin: int) -> None:
    """Bring a payment that nothing is under way for up to date with its order."""
    _look(conn, before, before, sold, now, origin=origin)


def finish(conn: Connection[TupleRow], order_id: str, number: int, answer: Paid, now: datetime, *, origin: int) -> bool:
    """Write down what came of an operation, and what follows from it; False: somebody else has."""
    before = store.lock(conn, order_id)
    operation = store.open_operation(conn, order_id)
    if before is None or operation is None or operation.number != number:
        return False
    recorded = record(before, operation, answer, now)
    store.end_operation(conn, order_id, number, recorded, code=answer.code, error=answer.message, now=now)
    store.add_entries(conn, order_id, recorded.entries, now, operation=number)
    _tell(conn, recorded.payment, recorded.news, origin=origin)
    if recorded.state in ("done", "failed"):
        sold = store.load_sold(conn, [order_id])[order_id]
        _look(conn, before, recorded.payment, sold, now, origin=origin)
    else:
        store.save(conn, before, recorded.payment, look_at=None, now=now)
    return True


def keep_hints(conn: Connection[TupleRow], channel_id: int, values: Sequence[object], now: datetime) -> None:
    """Of what a provider's message said: which payments are to be read."""
    store.hint(conn, channel_id, [value.id for value in values if isinstance(value, PaymentHint)], now)


def _look(
    conn: Connection[TupleRow], before: Payment, payment: Payment, sold: Sold, now: datetime, *, origin: int
) -> None:
    payment = _document(conn, payment, sold, now, origin=origin)
    following = decide(payment, sold, now)
    payment = following.payment
    if following.operation is not None:
        payment = replace(payment, operations=payment.operations + 1)
        store.add_operation(conn, payment, following.operation, payment.operations, now)
    store.save(conn, before, payment, look_at=following.at, now=now)


def _document(conn: Connection[TupleRow], payment: Payment, sold: Sold, now: datetime, *, origin: int) -> Payment:
    shipments = max((m.number for m in sold.shipments), default=0)
    returns = max((m.number for m in sold.returns), default=0)
    if (shipments, returns) == (payment.shipments, payment.returns):
        return payment
    billed = store.billed(conn, sold.order_id) if payment.shipments else {}
    drafts = due_documents(sold, payment.terms, billed, shipments=payment.shipments, returns=payment.returns)
    skus = store.skus_of(conn, (line.item_id for line in sold.lines)) if drafts else {}
    for draft in drafts:
        number = store.add_document(conn, sold, draft, skus, now)
        entries = _booked(draft)
        store.add_entries(conn, sold.order_id, entries, now, document=number)
        _tell(conn, payment, [_told(draft, number)], origin=origin)
        payment = (invoiced if draft.kind == "invoice" else credited)(payment, draft.gross_minor)
    return replace(payment, shipments=shipments, returns=returns)


def _booked(draft: Draft) -> list[Entry]:
    if not draft.gross_minor:
        return []
    debit, credit = ("owed", "sales") if draft.kind == "invoice" else ("sales", "owed")
    return [Entry(debit=debit, credit=credit, amount=draft.gross_minor)]


def _told(draft: Draft, number: str) -> News:
    lines = [
        {"line_id": one.line_id, "quantity": one.quantity, "net_minor": one.net_minor, "tax_minor": one.tax_minor}
        for one in draft.lines
    ]
    sums = {"net_minor": draft.net_minor, "tax_minor": draft.tax_minor, "gross_minor": draft.gross_minor}
    facts = {"number": number, **sums, "lines": lines}
    return News(kind=f"{draft.kind}.issued", facts=facts)


def _tell(conn: Connection[TupleRow], payment: Payment, news: Sequence[News], *, origin: int) -> None:
    about = {"order_id": payment.order_id, "currency": payment.currency}
    events = [(one.kind, payment.order_id, about | dict(one.facts)) for one in news]
    write_events(conn, events, actor=SYSTEM, origin=origin)
