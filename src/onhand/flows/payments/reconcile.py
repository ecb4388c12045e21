"""Reconcile a day: read what moved, goods and money, and state it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database
from onhand.orders.views import one_moment
from onhand.payments import store
from onhand.payments.reconcile import Documented, Facts, Statement, Sums, state_day

_CHUNK: Final = 1_000
_LISTED_MAX: Final = 1_000
_NOTHING: Final = (Sums(), Sums(), Sums(), Sums(), False)


def reconcile(db: Database, day: date, *, now: datetime | None = None) -> dict[str, Any]:
    """The statement of a day (UTC), JSON-ready: by currency, with at most 1,000 differences of each, largest first.

    now  by which payments are under way; None: by the clock
    """
    since = datetime.combine(day, time(), UTC)
    until = since + timedelta(days=1)
    with db.connection() as conn, one_moment(conn):
        found = state(conn, since, until, now or datetime.now(UTC))
        for currency, orders, ours in store.orders_on(conn, since, until):
            statement = found.setdefault(currency, Statement(currency=currency))
            statement.orders, statement.orders_elsewhere = orders, orders - ours
    statements = [_shown(found[currency]) for currency in sorted(found)]
    return {"day": day.isoformat(), "balanced": all(s["balanced"] for s in statements), "statements": statements}


def state(conn: Connection[TupleRow], since: datetime, until: datetime, now: datetime) -> dict[str, Statement]:
    """The statements of the time between two moments, by currency, as a transaction sees them."""
    sums = store.entries_until(conn, since, until)
    moved = store.moved_on(conn, since, until)
    ours = sorted({*sums, *(order_id for order_id, is_ours in moved if is_ours)})
    busy = store.under_way(conn, ours, now)
    documented = store.documented_until(conn, ours, until)
    facts: list[Facts] = []
    for ids in _chunks(ours):
        sold = store.load_sold(conn, ids)
        for payment in store.load(conn, ids):
            before, during, total, counted, is_later = sums.get(payment.order_id, _NOTHING)
            facts.append(
                Facts(
                    payment=payment,
                    sold=sold[payment.order_id],
                    before=before,
                    during=during,
                    total=total,
                    counted=counted,
                    documented=documented.get(payment.order_id, Documented()),
                    is_under_way=is_later or payment.order_id in busy,
                )
            )
    others = [order_id for order_id, is_ours in moved if not is_ours]
    elsewhere = [one for ids in _chunks(others) for one in store.load_sold(conn, ids).values()]
    return state_day(facts, elsewhere, since=since, until=until)


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), _CHUNK):
        yield ids[first : first + _CHUNK]


def _shown(statement: Statement) -> dict[str, Any]:
    row = asdict(statement)
    differences = sorted(row.pop("differences"), key=lambda d: (-abs(d["amount_minor"]), d["order_id"]))
    return row | {
        "balanced": statement.is_balanced,
        "differences_count": len(differences),
        "differences": differences[:_LISTED_MAX],
    }
