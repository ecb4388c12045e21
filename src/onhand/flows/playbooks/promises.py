"""Promise orders another day and have their customers told of it, once. So do playbooks and people."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.db import queries
from onhand.db.outbox import write_events
from onhand.incidents.playbooks.model import QuietIn
from onhand.orders.model import Order
from onhand.orders.store import save

SQL: Final = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What customers are told: subject and text with blanks (incidents/playbooks/fill.py), and when they are not
    written to. cost_minor: of a message, booked when it is sent."""

    subject: str
    text: str
    about: str = "promises"
    quiet: QuietIn = field(default_factory=QuietIn)
    cost_minor: int = 0


def promise_anew(
    conn: Connection[TupleRow],
    changes: Sequence[tuple[Order, Order]],
    *,
    run_id: str | None,
    now: datetime,
    by: Actor,
    origin: int,
) -> dict[str, int]:
    """Write another `deliver_by` of orders that are locked; order_id -> number of its new promise.

    run_id  of the playbook that does it; None: a person does
    """
    save(conn, changes)
    values = {
        "run_id": run_id, "ids": [a.order_id for _, a in changes], "now": now,
        "was": [b.deliver_by for b, _ in changes], "deliver_by": [a.deliver_by for _, a in changes],
    }  # fmt: skip
    numbers = dict(conn.execute(SQL["promise"], values).fetchall())
    tell_of_promises(conn, [(a.order_id, b.deliver_by, a.deliver_by) for b, a in changes], by=by, origin=origin)
    return numbers


def tell_of_promises(
    conn: Connection[TupleRow],
    promises: Sequence[tuple[str, datetime | None, datetime | None]],
    *,
    by: Actor,
    origin: int,
) -> None:
    """The event of each (order_id, what was promised, what is promised now)."""
    events = [
        ("order.promised_anew", order_id, {"order_id": order_id, "was": was, "deliver_by": deliver_by})
        for order_id, was, deliver_by in promises
    ]
    write_events(conn, events, actor=by, origin=origin)


def write_messages(
    conn: Connection[TupleRow],
    words: Words,
    rows: Sequence[tuple[str, int | None]],
    *,
    run_id: str | None = None,
    step_no: int | None = None,
    now: datetime,
) -> list[int]:
    """Have the customers of (order, number of its new promise) written to, by whoever sends messages; ids of the
    messages. The same words about the same order and day are written once, whoever says them."""
    template = {
        "subject": words.subject, "text": words.text, "about": words.about, "from": words.quiet.from_,
        "until": words.quiet.until, "cost_minor": words.cost_minor,
    }  # fmt: skip
    values = {
        "words": hashlib.sha256(f"{words.subject}\0{words.text}".encode()).hexdigest()[:24],
        "run_id": run_id, "step_no": step_no, "now": now, "template": msgspec.json.encode(template).decode(),
        "ids": [order for order, _ in rows], "numbers": [promise for _, promise in rows],
    }  # fmt: skip
    return [message for (message,) in conn.execute(SQL["write_messages"], values)]
