"""Take in what carriers, and others, charged for orders."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.results import RowResult, read_rows, rejected, without_repeats
from onhand.costs import store
from onhand.costs.model import Charge, ChargeIn
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.flows.transactor import Transactor

_Shipments = Mapping[str, list[tuple[str | None, str, int, int, str]]]


def tell_charges(
    db: Database, rows: Sequence[object], *, now: datetime, by: Actor, transact: Transactor | None = None
) -> list[RowResult]:
    """Record charges; one whose reference was told before replaces it. A refused row stops no other. Results in their
    order, by reference. What they come to is booked when costs are followed next."""
    read = read_rows(rows, ChargeIn, "reference")
    return (transact or db.transact)(lambda conn: _write(db, conn, read, now, by))


def _write(
    db: Database, conn: Connection[TupleRow], rows: Sequence[ChargeIn | RowResult], now: datetime, by: Actor
) -> list[RowResult]:
    results, _ = without_repeats(rows, lambda row: row.reference, "reference")
    sound = {n: row for n, row in enumerate(rows) if n not in results and isinstance(row, ChargeIn)}
    shipments = store.shipments_of(conn, {row.tracking for row in sound.values() if row.tracking})
    currencies = store.currencies_of(conn, {row.order for row in sound.values() if row.order})
    before = store.lock_charges(conn, [row.reference for row in sound.values()]) if sound else {}
    changed: list[Charge] = []
    for number, row in sound.items():
        earlier = before.get(row.reference)
        at = row.at or (now if earlier is None else earlier.at)
        charge = _charge(row, at, shipments, currencies)
        if isinstance(charge, RowResult):
            results[number] = charge
            continue
        status = "created" if earlier is None else "unchanged" if earlier == charge else "updated"
        if status != "unchanged":
            changed.append(charge)
        results[number] = RowResult(status=status, key=row.reference)
    if changed:
        store.write_charges(conn, changed, by)
        moved = [before[c.reference].order_id for c in changed if c.reference in before]
        orders = sorted({c.order_id for c in changed} | set(moved))
        data = {"charges": len(changed), "orders": orders}
        write_event(conn, "costs.charged", "costs", data, actor=by, origin=db.origin)
    return [results[number] for number in range(len(rows))]


def _charge(row: ChargeIn, at: datetime, shipments: _Shipments, currencies: Mapping[str, str]) -> Charge | RowResult:
    if (row.tracking is None) == (row.order is None):
        path = "tracking" if row.tracking is None else "order"
        return rejected(
            row.reference, (path, "expected either `tracking` or `order`: one of them says what it was for")
        )
    if row.tracking is None:
        assert row.order is not None, "one of them is there"
        order_id = _canonical(row.order)
        currency = currencies.get(order_id)
        if currency is None:
            return rejected(row.reference, ("order", f"no order {row.order!r}"))
        place: tuple[int | None, int | None, str | None] = (None, None, row.carrier)
    else:
        if row.cause is not None:
            return rejected(row.reference, ("cause", "freight of a shipment has none; name the order for a surcharge"))
        found = [s for s in shipments.get(row.tracking, ()) if row.carrier in (None, s[0])]
        if not found:
            whose = "" if row.carrier is None else f" of carrier {row.carrier!r}"
            return rejected(row.reference, ("tracking", f"no shipment{whose} has the number {row.tracking!r}"))
        if len({s[1] for s in found}) > 1:
            message = f"shipments of several orders have the number {row.tracking!r}: name their carrier, or the order"
            return rejected(row.reference, ("tracking", message))
        carrier, order_id, fulfilment, shipment, currency = found[0]
        place = (fulfilment, shipment, carrier)
    if currency != row.currency:
        message = f"expected {currency}, the currency of order {order_id}: convert the amount"
        return rejected(row.reference, ("currency", message))
    return Charge(
        reference=row.reference, order_id=order_id, term=row.term, minor=row.amount_minor, currency=row.currency, at=at,
        carrier=place[2], fulfilment=place[0], shipment=place[1], cause=row.cause,
    )  # fmt: skip


def _canonical(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        return text
