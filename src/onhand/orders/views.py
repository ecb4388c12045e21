"""Orders for reading: lists, one with everything that happened to it."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection, errors
from psycopg.rows import TupleRow, dict_row

from onhand.errors import OnhandError
from onhand.orders.model import Order
from onhand.orders.public import Row, summary
from onhand.orders.store import SQL, load_order

LIST_TIMEOUT_MS = 5_000
_LINES = ("price_minor", "tax_minor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which orders to list; None: any. q: part of an external id, or of an order id."""

    status: str | None = None
    queue: str | None = None
    channel: str | None = None
    sku: str | None = None
    node: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    q: str | None = None
    customer_id: str | None = None


class ListTooSlow(OnhandError):
    """Too many orders would have to be looked through."""

    code = "orders.list_too_slow"
    http_status = 503

    def __init__(self, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms
        super().__init__(
            f"these orders were not found within {timeout_ms / 1000:g} s: narrow the list by `from` and `to`, `queue` "
            "or `channel`; what a node has to do is at /v1/fulfilments"
        )


@contextmanager
def one_moment(conn: Connection[TupleRow]) -> Generator[None]:
    """What is read in it was so at one moment."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def list_orders(conn: Connection[TupleRow], which: Filter, *, after: str | None, limit: int) -> list[Row]:
    """Orders in brief, newest first, at most `limit` of those before the order_id `after`. Raises ListTooSlow."""
    with _in_time(conn), conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            SQL["list_orders"],
            {
                "after": after,
                "limit": limit,
                "status": which.status,
                "queue": which.queue,
                "channel": which.channel,
                "sku": which.sku,
                "node": which.node,
                "from": which.since,
                "to": which.until,
                "customer": which.customer_id,
                "q": which.q,
                "pattern": None if which.q is None else f"%{_escape(which.q)}%",
            },
        ).fetchall()
    for row in rows:
        deliver_by = row.pop("deliver_by")
        row["total_minor"] = int(row["total_minor"])
        row["promise"] = None if deliver_by is None else {"deliver_by": deliver_by}
    return rows


@contextmanager
def _in_time(conn: Connection[TupleRow]) -> Generator[None]:
    try:
        with conn.transaction():
            conn.execute("SELECT set_config('statement_timeout', %s, true)", (str(LIST_TIMEOUT_MS),))
            yield
    except errors.QueryCanceled as error:
        raise ListTooSlow(LIST_TIMEOUT_MS) from error


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def get_order(conn: Connection[TupleRow], order_id: str) -> Row | None:
    """An order with lines, fulfilments, shipments, returns, what waits, decisions and its timeline; of its customer
    only the id."""
    with one_moment(conn):
        order = load_order(conn, order_id)
        return None if order is None else _detail(conn, order)


def _detail(conn: Connection[TupleRow], order: Order) -> Row:
    name = {"id": order.order_id}
    facts = conn.execute(SQL["order_facts"], name).fetchone()
    assert facts is not None, "it was read in the same snapshot"
    shipments: list[Row] = [
        {
            "shipment_id": f"{order.order_id}-s{number}",
            "fulfilment_id": order.fulfilment_id(fulfilment),
            "carrier": carrier,
            "service": service,
            "tracking": tracking,
            "shipped_at": shipped_at,
            "delivered_at": delivered_at,
            "lines": lines,
        }
        for number, fulfilment, carrier, service, tracking, shipped_at, delivered_at, lines in conn.execute(
            SQL["order_shipments"], name
        )
    ]
    returns: list[Row] = [
        {
            "return_id": f"{order.order_id}-r{number}",
            "node": node,
            "disposition": disposition,
            "returned_at": returned_at,
            "lines": lines,
        }
        for number, node, disposition, returned_at, lines in conn.execute(SQL["order_returns"], name)
    ]
    decided = conn.execute(SQL["order_plans"], name).fetchall()
    plans: list[Row] = [
        {"plan_id": f"{order.order_id}-p{number}", "at": at, "policy": policy, "because": because}
        for number, at, policy, because, _ in decided
    ]
    row = summary(order)
    if row["promise"] is not None:
        row["promise"]["confidence"] = next((c for *_, c in reversed(decided) if c is not None), None)
    for line, shown in zip(order.lines, row["lines"], strict=True):
        shown |= {name: getattr(line, name) for name in _LINES}
        if line.components:
            shown["components"] = [{"sku": order.skus[i], "quantity": n} for i, n in line.components]
    wishes: dict[str, Any] = msgspec.to_builtins(order.wishes)
    return row | {
        "currency": facts[0],
        "placed_at": order.placed_at,
        "created_at": facts[1],
        "customer_id": order.customer_id,
        "destination": wishes.pop("destination"),
        "method": order.wishes.method,
        "hold": order.wishes.hold,
        "wishes": {k: v for k, v in wishes.items() if k not in ("method", "hold", "payment")},
        "shipments": shipments,
        "returns": returns,
        "plans": plans,
        "timeline": _timeline(conn, order, [s["return_id"] for s in returns]),
    }


def _timeline(conn: Connection[TupleRow], order: Order, returns: list[str]) -> list[Row]:
    subjects = [order.order_id, *(order.fulfilment_id(f.number) for f in order.fulfilments), *returns]
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(SQL["timeline"], {"id": order.order_id, "subjects": subjects}).fetchall()
