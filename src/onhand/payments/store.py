"""The SQL of payments, their operations and entries, and of documents."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.db import queries
from onhand.db.outbox import Cursor
from onhand.orders.intake import Wishes
from onhand.orders.model import Unit
from onhand.orders.rows import decode_lines
from onhand.payments.decide import Recorded
from onhand.payments.documents import Billed
from onhand.payments.model import (
    Authorisation,
    DocumentKind,
    Draft,
    Entry,
    Movement,
    Operation,
    Payment,
    Sold,
    Terms,
    Wanted,
)
from onhand.payments.reconcile import Sums

SQL = queries(__file__)
_wishes = msgspec.json.Decoder(Wishes)
Row = dict[str, Any]
_API: Final = "api"
_PREFIX: Final[Mapping[DocumentKind, str]] = {"invoice": "INV", "credit_note": "CRN"}


def terms_of(settings: Mapping[str, Any]) -> Terms:
    """Terms as settings of an account say them; retry_hours that are no whole numbers above 0 are left out."""
    hours = str(settings.get("retry_hours", "24,72,120")).split(",")
    return Terms(
        capture=settings.get("capture", "on_ship"),
        captures=settings.get("captures", "one"),
        tax=settings.get("tax", "added"),
        retry_h=tuple(int(h) for h in map(str.strip, hours) if h.isascii() and h.isdigit() and 0 < int(h) <= 8_760),
    )


# Following orders -----------------------------------------------------------------------------------------------------


def is_only_one(conn: Connection[TupleRow]) -> bool:
    """Whether no other process follows orders; until the transaction ends none will."""
    row = conn.execute(SQL["only_one"]).fetchone()
    return row is not None and row[0]


def is_needed(conn: Connection[TupleRow]) -> bool:
    """Whether there is anybody by whom orders could be paid."""
    row = conn.execute(SQL["is_needed"], {"api": _API}).fetchone()
    return row is not None and row[0]


def skus_of(conn: Connection[TupleRow], items: Iterable[int]) -> dict[int, str]:
    """Skus by item."""
    return dict(conn.execute(SQL["skus"], {"items": sorted(set(items))}).fetchall())


def told_of(conn: Connection[TupleRow], after: Cursor | None, to: Cursor) -> list[str]:
    """Orders with a payment that events between two places tell of; after None: all there are."""
    if after is None:
        return [order_id for (order_id,) in conn.execute(SQL["all_with_payment"])]
    places = {"after_xid": str(after.xid), "after_pos": after.pos, "to_xid": str(to.xid), "to_pos": to.pos}
    return [order_id for (order_id,) in conn.execute(SQL["told_of"], places)]


def mark(conn: Connection[TupleRow], order_ids: Sequence[str], now: datetime) -> None:
    """Have the payments of orders looked at; those that are new begin."""
    if order_ids:
        values = {"ids": list(order_ids), "now": now, "api": _API}
        conn.execute(SQL["mark"], values)
        conn.execute(SQL["add_given"], values)


def forget_names(conn: Connection[TupleRow]) -> None:
    """Forget what providers call people who were erased, where nothing is to be taken from them any more."""
    conn.execute(SQL["forget_names"])


def hint(conn: Connection[TupleRow], channel_id: int, provider_ids: Sequence[str], now: datetime) -> None:
    """Something happened to these payments of an account: they are to be read."""
    if provider_ids:
        conn.execute(SQL["hint"], {"channel_id": channel_id, "ids": list(provider_ids), "now": now})


def claim_looks(conn: Connection[TupleRow], now: datetime, limit: int) -> list[str]:
    """Payments that are to be looked at, locked until the transaction ends."""
    return [order_id for (order_id,) in conn.execute(SQL["claim_looks"], {"now": now, "limit": limit})]


# One payment ----------------------------------------------------------------------------------------------------------


def lock(conn: Connection[TupleRow], order_id: str) -> Payment | None:
    """One payment, locked until the transaction ends."""
    conn.execute(SQL["lock_payments"], {"ids": [order_id]})
    return next(iter(load(conn, [order_id])), None)


def load(conn: Connection[TupleRow], order_ids: Iterable[str]) -> list[Payment]:
    """Payments by id of their order."""
    ids = {"ids": sorted(set(order_ids))}
    parts: dict[str, list[Authorisation]] = {}
    for order_id, *columns in conn.execute(SQL["authorisations"], ids):
        parts.setdefault(order_id, []).append(_authorisation(*columns))
    with conn.cursor(row_factory=dict_row) as rows:
        found: list[Row] = rows.execute(SQL["payments"], ids).fetchall()
    for row in found:
        row["terms"] = terms_of(row["terms"])
        row["authorisations"] = tuple(parts.get(row["order_id"], ()))
    return [Payment(**row) for row in found]


def _authorisation(*c: Any) -> Authorisation:
    return Authorisation(
        number=c[0], provider_id=c[1], amount=c[2], captured=c[3], refunded=c[4], released=c[5], is_open=c[6],
        is_stale=c[7], granted_at=c[8], expires_at=c[9],
    )  # fmt: skip


def load_sold(conn: Connection[TupleRow], order_ids: Iterable[str]) -> dict[str, Sold]:
    """Orders as their payments see them, by id."""
    return {
        order_id: Sold(
            order_id=order_id,
            external_id=external_id,
            currency=currency,
            lines=decode_lines(lines),
            shipments=_movements(shipped),
            returns=_movements(returned),
            ships_at=ships_at,
            hold=(_wishes.decode(request).hold or "held") if queue == "held" else None,
        )
        for order_id, external_id, currency, lines, queue, request, ships_at, shipped, returned in conn.execute(
            SQL["sold"], {"ids": sorted(set(order_ids))}
        )
    }


def _movements(rows: list[tuple[int, str, int, int, int]] | None) -> tuple[Movement, ...]:
    moments: dict[int, datetime] = {}
    units: dict[int, dict[Unit, int]] = {}
    for number, at, line_no, item_id, quantity in rows or ():
        moments[number] = datetime.fromisoformat(at)
        mine = units.setdefault(number, {})
        mine[line_no, item_id] = mine.get((line_no, item_id), 0) + quantity
    return tuple(Movement(number=n, at=moments[n], units=units[n]) for n in sorted(moments))


def billed(conn: Connection[TupleRow], order_id: str) -> dict[tuple[DocumentKind, int], Billed]:
    """What documents say of each line of an order so far."""
    rows = conn.execute(SQL["billed"], {"id": order_id}).fetchall()
    return {(kind, line_no): Billed(units, net, tax) for kind, line_no, units, net, tax in rows}


def add_document(conn: Connection[TupleRow], sold: Sold, draft: Draft, skus: Mapping[int, str], now: datetime) -> str:
    """Number a document and keep it; its number, such as INV-2026-000001."""
    prefix = f"{_PREFIX[draft.kind]}-{now:%Y}"
    row = conn.execute(SQL["next_serials"], {"series": prefix, "count": 1}).fetchone()
    assert row is not None
    number = f"{prefix}-{row[0]:06d}"
    lines = [
        {
            "line_no": line.line_no, "line_id": line.line_id, "sku": skus.get(line.item_id, ""),
            "quantity": line.quantity, "net_minor": line.net_minor, "tax_minor": line.tax_minor,
            "gross_minor": line.gross_minor,
        }
        for line in draft.lines
    ]  # fmt: skip
    conn.execute(
        SQL["add_document"],
        {
            "series": prefix, "serial": row[0], "number": number, "kind": draft.kind, "order_id": sold.order_id,
            "part": draft.part, "currency": sold.currency, "net": draft.net_minor, "tax": draft.tax_minor,
            "gross": draft.gross_minor, "lines": json.dumps(lines), "moved_at": draft.at, "issued_at": now,
        },
    )  # fmt: skip
    return number


def add_entries(
    conn: Connection[TupleRow],
    order_id: str,
    entries: Sequence[Entry],
    now: datetime,
    *,
    operation: int | None = None,
    document: str | None = None,
) -> None:
    """Keep entries that follow from an operation, or from a document."""
    if entries:
        values = {
            "order_id": order_id, "operation": operation, "document": document, "at": now,
            "debits": [e.debit for e in entries], "credits": [e.credit for e in entries],
            "amounts": [e.amount for e in entries],
        }  # fmt: skip
        conn.execute(SQL["add_entries"], values)


def save(
    conn: Connection[TupleRow], before: Payment, after: Payment, *, look_at: datetime | None, now: datetime
) -> None:
    """Write what became of a payment and of its authorisations."""
    names = ("authorised", "captured", "refunded", "voided")
    values = {name: value for name, value in asdict(after).items() if name not in ("terms", "authorisations")}
    values |= {name: getattr(after, name) for name in names}
    conn.execute(SQL["save_payment"], values | {"look_at": look_at, "now": now})
    for one in after.authorisations:
        if one not in before.authorisations:
            conn.execute(SQL["save_authorisation"], asdict(one) | {"order_id": after.order_id})


# Operations -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An operation that is ours to carry out until its lease ends."""

    order_id: str
    operation: Operation


def add_operation(conn: Connection[TupleRow], payment: Payment, wanted: Wanted, number: int, now: datetime) -> None:
    """Write down what is due, before anybody is asked for it."""
    values = asdict(wanted) | {
        "order_id": payment.order_id, "number": number, "channel_id": payment.channel_id,
        "key": f"onhand-{payment.order_id}-{number}", "now": now,
    }  # fmt: skip
    conn.execute(SQL["add_operation"], values)


def claim_operations(
    conn: Connection[TupleRow], channel_id: int | None, now: datetime, *, limit: int, lease_s: float
) -> list[Claimed]:
    """What is due at an account; None: what is to be done to orders."""
    values = {"channel_id": channel_id, "now": now, "limit": limit, "lease_s": lease_s}
    return [
        Claimed(order_id=order_id, operation=_operation(*columns))
        for order_id, *columns in conn.execute(SQL["claim_operations"], values)
    ]


def open_operation(conn: Connection[TupleRow], order_id: str) -> Operation | None:
    """The one that is under way for a payment, under the lock of the payment."""
    row = conn.execute(SQL["open_operation"], {"id": order_id}).fetchone()
    return None if row is None else _operation(*row)


def _operation(*c: Any) -> Operation:
    return Operation(
        number=c[0], kind=c[1], amount=c[2], authorisation=c[3], is_final=c[4], key=c[5], state=c[6], attempts=c[7],
        first_sent_at=c[8],
    )  # fmt: skip


def end_operation(
    conn: Connection[TupleRow], order_id: str, number: int, recorded: Recorded, *, code: str, error: str, now: datetime
) -> None:
    """Write down what came of it."""
    values = {
        "order_id": order_id, "number": number, "state": recorded.state, "retry_at": recorded.retry_at,
        "code": code[:200] or None, "error": error[:500] or None, "now": now,
    }  # fmt: skip
    conn.execute(SQL["end_operation"], values)


def hurry(conn: Connection[TupleRow], order_id: str, now: datetime) -> None:
    """Have what is under way asked for again at once."""
    conn.execute(SQL["hurry"], {"id": order_id, "now": now})


# Reading --------------------------------------------------------------------------------------------------------------


def list_payments(conn: Connection[TupleRow], *, status: str | None, after: str | None, limit: int) -> list[Row]:
    """Payments, those of the newest orders first."""
    return _listed(conn, status=status, after=after, limit=limit, id=None)


def get_payment(conn: Connection[TupleRow], order_id: str) -> Row | None:
    """The payment of an order with its operations, authorisations and documents."""
    found = _listed(conn, status=None, after=None, limit=1, id=order_id)
    if not found:
        return None
    with conn.cursor(row_factory=dict_row) as rows:
        operations = rows.execute(SQL["operations_of"], {"id": order_id}).fetchall()
        documents = rows.execute(SQL["documents_of"], {"id": order_id}).fetchall()
    held = [
        {
            "provider_id": a.provider_id, "amount_minor": a.amount, "captured_minor": a.captured,
            "refunded_minor": a.refunded, "released_minor": a.released, "is_open": a.is_open,
            "granted_at": a.granted_at, "expires_at": a.expires_at,
        }
        for a in load(conn, [order_id])[0].authorisations
    ]  # fmt: skip
    for row in (*operations, *documents):
        for name in ("amount", "net", "tax", "gross"):
            if name in row:
                row[f"{name}_minor"] = row.pop(name)
    for row in documents:
        letter = "s" if row["kind"] == "invoice" else "r"
        row["of"] = f"{order_id}-{letter}{row.pop('part')}"
    return found[0] | {"authorisations": held, "operations": operations, "documents": documents}


def _listed(conn: Connection[TupleRow], **values: object) -> list[Row]:
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(SQL["list_payments"], values).fetchall()
    for row in rows:
        for name in ("authorised", "captured", "refunded", "voided", "invoiced", "credited"):
            row[f"{name}_minor"] = row.pop(name)
        row["payment_id"] = row["order_id"]
    return rows


def entries_until(conn: Connection[TupleRow], since: datetime, until: datetime) -> dict[str, tuple[Sums, Sums, bool]]:
    """Of payments with entries between two moments, or with anything open at the second: sums before, and between, and
    whether anything came later."""
    found: dict[str, tuple[Sums, Sums, bool]] = {}
    for order_id, *s, is_later in conn.execute(SQL["entries_until"], {"since": since, "until": until}):
        before, during = (Sums(invoiced=s[n], credited=s[n + 1], captured=s[n + 2], refunded=s[n + 3]) for n in (0, 4))
        found[order_id] = before, during, is_later
    return found


def under_way(conn: Connection[TupleRow], order_ids: Sequence[str]) -> set[str]:
    """Those of these payments of which something is due, or will be looked at again."""
    return {order_id for (order_id,) in conn.execute(SQL["under_way"], {"ids": list(order_ids)})}


def moved_on(conn: Connection[TupleRow], since: datetime, until: datetime) -> list[tuple[str, bool]]:
    """Orders of which goods moved between two moments, and whether we look after their payment."""
    return [(order_id, ours) for order_id, ours in conn.execute(SQL["moved_on"], {"since": since, "until": until})]


def orders_on(conn: Connection[TupleRow], since: datetime, until: datetime) -> list[tuple[str, int, int]]:
    """(currency, orders, of which we look after the payment) that came in between two moments."""
    return [(c, n, ours) for c, n, ours in conn.execute(SQL["orders_on"], {"since": since, "until": until})]
