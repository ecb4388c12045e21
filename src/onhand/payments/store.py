"""The SQL of payments, their operations and entries, and of documents."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.db import queries
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
from onhand.payments.reconcile import Documented, Sums

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


def is_needed(conn: Connection[TupleRow]) -> bool:
    """Whether there is anybody by whom orders could be paid."""
    row = conn.execute(SQL["is_needed"], {"api": _API}).fetchone()
    return row is not None and row[0]


def skus_of(conn: Connection[TupleRow], items: Iterable[int]) -> dict[int, str]:
    """Skus by item."""
    return dict(conn.execute(SQL["skus"], {"items": sorted(set(items))}).fetchall())


def all_with_payment(conn: Connection[TupleRow]) -> list[str]:
    """Orders with a payment, all there are."""
    return [order_id for (order_id,) in conn.execute(SQL["all_with_payment"])]


def with_payment(conn: Connection[TupleRow], order_ids: Sequence[str]) -> list[str]:
    """Those of these orders that have a payment, or are to have one."""
    return [order_id for (order_id,) in conn.execute(SQL["with_payment"], {"ids": list(order_ids)})]


def mark(conn: Connection[TupleRow], order_ids: Sequence[str], now: datetime) -> None:
    """Have the payments of orders looked at; those that are new begin."""
    if order_ids:
        values = {"ids": list(order_ids), "now": now, "api": _API}
        conn.execute(SQL["mark"], values)
        conn.execute(SQL["add_given"], values)
        conn.execute(SQL["tell_used"], values)


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
    return next(iter(lock_all(conn, [order_id])), None)


def lock_all(conn: Connection[TupleRow], order_ids: Iterable[str]) -> list[Payment]:
    """Payments by id of their order, locked in this order until the transaction ends."""
    ids = sorted(set(order_ids))
    conn.execute(SQL["lock_payments"], {"ids": ids})
    return load(conn, ids)


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
        is_stale=c[7], granted_at=c[8], expires_at=c[9], fee=c[10], charged_back=c[11],
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


def billed(conn: Connection[TupleRow], order_ids: Iterable[str]) -> dict[str, dict[tuple[DocumentKind, int], Billed]]:
    """What documents say of each line of these orders so far, by order."""
    found: dict[str, dict[tuple[DocumentKind, int], Billed]] = {}
    for order_id, kind, line_no, units, net, tax in conn.execute(SQL["billed"], {"ids": sorted(set(order_ids))}):
        found.setdefault(order_id, {})[kind, line_no] = Billed(units, net, tax)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A draft of an order with its number, such as INV-2026-000001."""

    order_id: str
    currency: str
    series: str
    serial: int
    draft: Draft

    @property
    def number(self) -> str:
        return f"{self.series}-{self.serial:06d}"


def numbered(conn: Connection[TupleRow], drafts: Sequence[tuple[Sold, Draft]], now: datetime) -> list[Document]:
    """Drafts with their numbers; nobody else gets numbers of these series until the transaction ends."""
    series = [f"{_PREFIX[draft.kind]}-{now:%Y}" for _, draft in drafts]
    following: dict[str, int] = {}
    for name in sorted(set(series)):
        row = conn.execute(SQL["next_serials"], {"series": name, "count": series.count(name)}).fetchone()
        assert row is not None
        following[name] = row[0]
    found: list[Document] = []
    for (sold, draft), name in zip(drafts, series, strict=True):
        found.append(
            Document(
                order_id=sold.order_id, currency=sold.currency, series=name, serial=following[name], draft=draft
            )
        )  # fmt: skip
        following[name] += 1
    return found


def add_documents(
    conn: Connection[TupleRow], documents: Sequence[Document], skus: Mapping[int, str], now: datetime
) -> None:
    """Keep documents."""
    if not documents:
        return
    drafts = [one.draft for one in documents]
    conn.execute(
        SQL["add_documents"],
        {
            "series": [one.series for one in documents], "serials": [one.serial for one in documents],
            "numbers": [one.number for one in documents], "kinds": [d.kind for d in drafts],
            "orders": [one.order_id for one in documents], "parts": [d.part for d in drafts],
            "currencies": [one.currency for one in documents], "nets": [d.net_minor for d in drafts],
            "taxes": [d.tax_minor for d in drafts], "grosses": [d.gross_minor for d in drafts],
            "lines": [json.dumps(_lines(d, skus)) for d in drafts], "moments": [d.at for d in drafts], "now": now,
        },
    )  # fmt: skip


def _lines(draft: Draft, skus: Mapping[int, str]) -> list[Row]:
    return [
        {
            "line_no": line.line_no, "line_id": line.line_id, "sku": skus.get(line.item_id, ""),
            "quantity": line.quantity, "net_minor": line.net_minor, "tax_minor": line.tax_minor,
            "gross_minor": line.gross_minor,
        }
        for line in draft.lines
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """An entry of an order, with the operation or the document that it follows from."""

    order_id: str
    entry: Entry
    operation: int | None = None
    document: str | None = None


def add_entries(conn: Connection[TupleRow], booked: Sequence[Booked], now: datetime) -> None:
    """Keep entries."""
    if booked:
        values = {
            "orders": [b.order_id for b in booked], "operations": [b.operation for b in booked],
            "documents": [b.document for b in booked], "debits": [b.entry.debit for b in booked],
            "credits": [b.entry.credit for b in booked], "amounts": [b.entry.amount for b in booked], "at": now,
        }  # fmt: skip
        conn.execute(SQL["add_entries"], values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What became of a payment. look_at: when to look at it again although nothing happens."""

    before: Payment
    after: Payment
    look_at: datetime | None


_COLUMNS: Final = (
    "token", "customer", "status", "invoiced", "credited", "authorised", "captured", "refunded", "voided", "elsewhere",
    "to_give", "lost", "tries", "ask_at", "give_at", "order_at", "has_given_up", "is_disputed", "trouble", "shipments",
    "returns", "operations",
)  # fmt: skip
_COLUMNS_OF_AUTHORISATIONS: Final = (
    "number", "provider_id", "amount", "captured", "refunded", "released", "is_open", "is_stale", "granted_at",
    "expires_at", "fee", "charged_back",
)  # fmt: skip


def save(conn: Connection[TupleRow], saved: Sequence[Saved], now: datetime) -> None:
    """Write what became of payments, which are locked, and of their authorisations."""
    if not saved:
        return
    values = {name: [getattr(s.after, name) for s in saved] for name in _COLUMNS}
    places = {"orders": [s.after.order_id for s in saved], "looks": [s.look_at for s in saved], "now": now}
    conn.execute(SQL["save_payments"], values | places)
    changed = [
        (s.after.order_id, one)
        for s in saved
        for one in s.after.authorisations
        if one not in s.before.authorisations
    ]  # fmt: skip
    if changed:
        values = {name: [getattr(one, name) for _, one in changed] for name in _COLUMNS_OF_AUTHORISATIONS}
        conn.execute(SQL["save_authorisations"], values | {"orders": [order_id for order_id, _ in changed]})


# Operations -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An operation that is ours to carry out until its lease ends."""

    order_id: str
    operation: Operation


def add_operations(conn: Connection[TupleRow], due: Sequence[tuple[Payment, Wanted]], now: datetime) -> None:
    """Write down what is due, each with the number that its payment counts, before anybody is asked for it."""
    if not due:
        return
    conn.execute(
        SQL["add_operations"],
        {
            "orders": [p.order_id for p, _ in due], "numbers": [p.operations for p, _ in due],
            "channels": [p.channel_id for p, _ in due], "kinds": [w.kind for _, w in due],
            "amounts": [w.amount for _, w in due], "authorisations": [w.authorisation for _, w in due],
            "finals": [w.is_final for _, w in due],
            "keys": [f"onhand-{p.order_id}-{p.operations}" for p, _ in due], "now": now,
        },
    )  # fmt: skip


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
    return open_operations(conn, [order_id]).get(order_id)


def open_operations(conn: Connection[TupleRow], order_ids: Iterable[str]) -> dict[str, Operation]:
    """Those that are under way for payments, by order, under the locks of the payments."""
    rows = conn.execute(SQL["open_operations"], {"ids": sorted(set(order_ids))}).fetchall()
    return {order_id: _operation(*columns) for order_id, *columns in rows}


def external_ids(conn: Connection[TupleRow], order_ids: Iterable[str]) -> dict[str, str]:
    """What channels call orders, by id."""
    return dict(conn.execute(SQL["external_ids"], {"ids": sorted(set(order_ids))}).fetchall())


def _operation(*c: Any) -> Operation:
    return Operation(
        number=c[0], kind=c[1], amount=c[2], authorisation=c[3], is_final=c[4], key=c[5], state=c[6], attempts=c[7],
        first_sent_at=c[8],
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of an operation. code, error: the provider's words."""

    order_id: str
    number: int
    recorded: Recorded
    code: str = ""
    error: str = ""


def end_operations(conn: Connection[TupleRow], ended: Sequence[Ended], now: datetime) -> None:
    """Write down what came of operations."""
    if not ended:
        return
    conn.execute(
        SQL["end_operations"],
        {
            "orders": [e.order_id for e in ended], "numbers": [e.number for e in ended],
            "states": [e.recorded.state for e in ended], "retries": [e.recorded.retry_at for e in ended],
            "codes": [e.code[:200] or None for e in ended], "errors": [e.error[:500] or None for e in ended],
            "now": now,
        },
    )  # fmt: skip


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
        for name in (
            "authorised",
            "captured",
            "refunded",
            "voided",
            "invoiced",
            "credited",
            "lost",
            "charged_back",
            "fee",
        ):
            row[f"{name}_minor"] = row.pop(name)
        row["payment_id"] = row["order_id"]
    return rows


def entries_until(
    conn: Connection[TupleRow], since: datetime, until: datetime
) -> dict[str, tuple[Sums, Sums, Sums, Sums, bool]]:
    """Of payments with entries or goods between two moments, or with anything open at the second: sums of entries
    before, between and until now, what the payment counts, and whether any came later."""
    found: dict[str, tuple[Sums, Sums, Sums, Sums, bool]] = {}
    for order_id, *s, is_later in conn.execute(SQL["entries_until"], {"since": since, "until": until}):
        before, during, total, counted = (
            Sums(invoiced=s[n], credited=s[n + 1], captured=s[n + 2], refunded=s[n + 3]) for n in (0, 4, 8, 12)
        )
        found[order_id] = before, during, total, counted, is_later
    return found


def documented_until(conn: Connection[TupleRow], order_ids: Sequence[str], until: datetime) -> dict[str, Documented]:
    """What was documented of orders before a moment."""
    rows = conn.execute(SQL["documented_until"], {"ids": list(order_ids), "until": until})
    return {
        order_id: Documented(shipments=shipments, returns=returns, invoiced=invoiced, credited=credited)
        for order_id, shipments, returns, invoiced, credited in rows
    }


def under_way(conn: Connection[TupleRow], order_ids: Sequence[str], now: datetime) -> set[str]:
    """Those of these payments of which something is due by now, or put off for a while."""
    return {order_id for (order_id,) in conn.execute(SQL["under_way"], {"ids": list(order_ids), "now": now})}


def moved_on(conn: Connection[TupleRow], since: datetime, until: datetime) -> list[tuple[str, bool]]:
    """Orders of which goods moved between two moments, and whether we look after their payment."""
    return [(order_id, ours) for order_id, ours in conn.execute(SQL["moved_on"], {"since": since, "until": until})]


def orders_on(conn: Connection[TupleRow], since: datetime, until: datetime) -> list[tuple[str, int, int]]:
    """(currency, orders, of which we look after the payment) that came in between two moments."""
    return [(c, n, ours) for c, n, ours in conn.execute(SQL["orders_on"], {"since": since, "until": until})]


def lock_days(conn: Connection[TupleRow]) -> bool:
    """Whether nobody else holds days against their money until the transaction ends."""
    row = conn.execute(SQL["lock_days"]).fetchone()
    return row is not None and row[0]


def last_day(conn: Connection[TupleRow]) -> date | None:
    """The last day that was held against its money."""
    row = conn.execute(SQL["last_day"]).fetchone()
    return None if row is None else row[0]


def wrong_day(conn: Connection[TupleRow], *, before: datetime) -> date | None:
    """A day that did not balance when it was held last, which was before then."""
    row = conn.execute(SQL["wrong_day"], {"before": before}).fetchone()
    return None if row is None else row[0]


def keep_day(conn: Connection[TupleRow], day: date, wrong: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """A day was held against its money; wrong: by currency what did not balance."""
    conn.execute(SQL["keep_day"], {"day": day, "now": now, "wrong": json.dumps(wrong)})


def wrong_days(conn: Connection[TupleRow], now: datetime) -> list[tuple[date, datetime, list[dict[str, Any]]]]:
    """Days that do not balance, when each was over, and by currency what did not balance."""
    return conn.execute(SQL["wrong_days"], {"now": now}).fetchall()
