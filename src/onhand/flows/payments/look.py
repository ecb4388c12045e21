"""Look at payments: write the documents that are due, decide what is due next, and write that down before it is done.

All in the caller's transaction, under the locks of the payments' rows; orders are read, not locked: what happens to
them afterwards is followed afterwards. What is to be written of many payments is gathered and written together: a
dozen statements, however many they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.connectors._sdk.values import Paid, PaymentHint
from onhand.db.outbox import write_events
from onhand.flows.payments.costs import book_costs
from onhand.flows.payments.tell_customers import tell_declined
from onhand.payments import store
from onhand.payments.decide import credited, decide, invoiced, record
from onhand.payments.documents import due_documents
from onhand.payments.model import Draft, Entry, News, Payment, Sold, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A payment that nothing is under way for. before: as it is stored; payment: as it is to be looked at."""

    before: Payment
    payment: Payment
    sold: Sold


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a provider, or an order, answered to an operation of a payment."""

    order_id: str
    number: int
    paid: Paid


@dataclass(slots=True)
class _Writing:
    """What is to be written."""

    ended: list[store.Ended] = field(default_factory=list[store.Ended])
    documents: list[store.Document] = field(default_factory=list[store.Document])
    skus: dict[int, str] = field(default_factory=dict[int, str])
    entries: list[store.Booked] = field(default_factory=list[store.Booked])
    news: list[tuple[Payment, News]] = field(default_factory=list[tuple[Payment, News]])
    due: list[tuple[Payment, Wanted]] = field(default_factory=list[tuple[Payment, Wanted]])
    saved: list[store.Saved] = field(default_factory=list[store.Saved])

    def write(self, conn: Connection[TupleRow], now: datetime, *, origin: int) -> None:
        store.end_operations(conn, self.ended, now)
        store.add_documents(conn, self.documents, self.skus, now)
        store.add_entries(conn, self.entries, now)
        store.add_operations(conn, self.due, now)
        store.save(conn, self.saved, now)
        events = [
            (one.kind, p.order_id, {"order_id": p.order_id, "currency": p.currency} | dict(one.facts))
            for p, one in self.news
        ]
        write_events(conn, events, actor=SYSTEM, origin=origin)


def look(conn: Connection[TupleRow], pages: Sequence[Page], now: datetime, *, origin: int) -> None:
    """Bring payments that nothing is under way for up to date with their orders."""
    writing = _Writing()
    _look(conn, writing, pages, now)
    writing.write(conn, now, origin=origin)


def finish(conn: Connection[TupleRow], answers: Iterable[Answer], now: datetime, *, origin: int) -> None:
    """Write down what came of operations, of one payment each, and what follows from it; those that somebody else has
    written down already are left out."""
    by_order = {one.order_id: one for one in answers}
    payments = store.lock_all(conn, by_order)
    operations = store.open_operations(conn, by_order)
    sold = store.load_sold(conn, by_order)
    writing = _Writing()
    pages: list[Page] = []
    declined: list[tuple[str, int]] = []
    for before in payments:
        order_id, answer = before.order_id, by_order[before.order_id]
        operation = operations.get(order_id)
        if operation is None or operation.number != answer.number:
            continue
        recorded = record(before, operation, answer.paid, now)
        writing.ended.append(
            store.Ended(
                order_id=order_id, number=answer.number, recorded=recorded, code=answer.paid.code,
                error=answer.paid.message,
            )
        )  # fmt: skip
        writing.entries += [
            store.Booked(order_id=order_id, entry=entry, operation=answer.number) for entry in recorded.entries
        ]
        writing.news += [(recorded.payment, one) for one in recorded.news]
        if operation.kind == "authorise" and recorded.payment.tries > before.tries and answer.paid.code != "no_way":
            declined.append((order_id, answer.number))
        if recorded.state in ("done", "failed"):
            pages.append(Page(before=before, payment=recorded.payment, sold=sold[order_id]))
        else:
            writing.saved.append(store.Saved(before=before, after=recorded.payment, look_at=None))
    _look(conn, writing, pages, now)
    writing.write(conn, now, origin=origin)
    tell_declined(conn, declined, now)


def keep_hints(conn: Connection[TupleRow], channel_id: int, values: Sequence[object], now: datetime) -> None:
    """Of what a provider's message said: which payments are to be read."""
    store.hint(conn, channel_id, [value.id for value in values if isinstance(value, PaymentHint)], now)


def _look(conn: Connection[TupleRow], writing: _Writing, pages: Sequence[Page], now: datetime) -> None:
    documents = _documents(conn, writing, pages, now)
    for page in pages:
        payment = page.payment
        for one in documents.get(payment.order_id, ()):
            writing.entries += [
                store.Booked(order_id=payment.order_id, entry=entry, document=one.number)
                for entry in _booked(one.draft)
            ]
            writing.news.append((payment, _told(one)))
            payment = (invoiced if one.draft.kind == "invoice" else credited)(payment, one.draft.gross_minor)
        shipments, returns = _parts(page.sold)
        following = decide(replace(payment, shipments=shipments, returns=returns), page.sold, now)
        payment = following.payment
        if following.operation is not None:
            payment = replace(payment, operations=payment.operations + 1)
            writing.due.append((payment, following.operation))
        writing.saved.append(store.Saved(before=page.before, after=payment, look_at=following.at))
        book_costs(conn, page.before, payment, page.sold, now)


def _parts(sold: Sold) -> tuple[int, int]:
    """Numbers of the last shipment and of the last return."""
    return max((m.number for m in sold.shipments), default=0), max((m.number for m in sold.returns), default=0)


def _documents(
    conn: Connection[TupleRow], writing: _Writing, pages: Sequence[Page], now: datetime
) -> Mapping[str, Sequence[store.Document]]:
    """The documents that are due, with their numbers, by order."""
    moved = [page for page in pages if _parts(page.sold) != (page.payment.shipments, page.payment.returns)]
    told = [page.payment.order_id for page in moved if page.payment.shipments]
    billed = store.billed(conn, told) if told else {}
    drafts: list[tuple[Sold, Draft]] = []
    for page in moved:
        p = page.payment
        due = due_documents(
            page.sold, p.terms, billed.get(p.order_id, {}), shipments=p.shipments, returns=p.returns
        )  # fmt: skip
        drafts += [(page.sold, draft) for draft in due]
    if not drafts:
        return {}
    writing.skus = store.skus_of(conn, (line.item_id for _, draft in drafts for line in draft.lines))
    writing.documents = store.numbered(conn, drafts, now)
    found: dict[str, list[store.Document]] = {}
    for one in writing.documents:
        found.setdefault(one.order_id, []).append(one)
    return found


def _booked(draft: Draft) -> list[Entry]:
    if not draft.gross_minor:
        return []
    debit, credit = ("owed", "sales") if draft.kind == "invoice" else ("sales", "owed")
    return [Entry(debit=debit, credit=credit, amount=draft.gross_minor)]


def _told(document: store.Document) -> News:
    draft = document.draft
    lines = [
        {"line_id": one.line_id, "quantity": one.quantity, "net_minor": one.net_minor, "tax_minor": one.tax_minor}
        for one in draft.lines
    ]
    sums = {"net_minor": draft.net_minor, "tax_minor": draft.tax_minor, "gross_minor": draft.gross_minor}
    return News(kind=f"{draft.kind}.issued", facts={"number": document.number, **sums, "lines": lines})
