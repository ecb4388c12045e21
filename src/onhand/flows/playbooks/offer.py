"""Have what playbooks say to customers sent by somebody else: a mailer of the merchant's.

An event `message.due`, with ids alone, goes the way of webhooks: durable, signed, repeated until it is answered. The
mailer takes the message, and only then is told the words and the address, so that both are of that moment and pass
through nobody else's hands. Until it is taken the message is due like any other: it can be withdrawn, dropped, or told
of another day. It can be taken once: better one message too few than a customer who is told twice.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.base.actor import SYSTEM, Actor
from onhand.db import Database, queries
from onhand.db.outbox import write_event
from onhand.errors import Conflict, NotFound, OnhandError
from onhand.flows.playbooks.costs import book_message
from onhand.flows.playbooks.messages import Letter, letter_of
from onhand.webhooks import is_wanted

SQL = queries(__file__)
log = structlog.get_logger(__name__)

KIND: Final = "message.due"
_AT_ONCE: Final = 200


def offer_messages(db: Database, *, now: Callable[[], datetime]) -> int:
    """Tell webhooks of what is due, up to 200; of how many. Any number of workers may do it. Where no webhook asks for
    it, messages wait."""
    with db.connection() as conn:
        is_heard = is_wanted(conn, KIND)
    if not is_heard:
        keep_waiting(db, f"no webhook that is on asks for {KIND}, and ONHAND_MESSAGES_BY is webhook", now=now())
        return 0
    told = 0
    for _ in range(_AT_ONCE):
        found = db.transact(lambda conn: _offer_next(db, conn, now()))
        if found is None:
            break
        told += found
    if told:
        db.notify()
    return told


def _offer_next(db: Database, conn: Connection[TupleRow], now: datetime) -> bool | None:
    """Whether the next message was told of; None: nothing is due."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(SQL["next_message"], {"now": now}).fetchone()
    if row is None:
        return None
    if not isinstance(letter_of(conn, row, now), Letter):
        return False
    message_id = row["message_id"]
    conn.execute(SQL["told"], {"message_id": message_id, "now": now})
    facts = {"message_id": message_id, "order_id": row["order_id"], "take": f"/v1/messages/{message_id}/take"}
    write_event(conn, KIND, row["order_id"], facts, actor=SYSTEM, origin=db.origin)
    return True


def take_message(db: Database, message_id: int, *, now: datetime, by: Actor) -> dict[str, Any]:
    """The words of a message and whom they are for, to be sent at once: it counts as sent. Raises NotFound; Conflict
    `message.taken` if it was sent, or may have been; `message.dropped` if it is not to be said any more;
    `message.quiet` if the customer sleeps: it is told of again in the morning."""

    def work(conn: Connection[TupleRow]) -> dict[str, Any] | OnhandError:
        with conn.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(SQL["message"], {"message_id": message_id}).fetchone()
        if row is None:
            return NotFound("message", str(message_id))
        if row["status"] not in ("due", "dropped", "dead"):
            return Conflict("message.taken", f"message {message_id} was sent, or may have been")
        if row["status"] != "due":
            return _dropped(message_id, row["why"])
        letter = letter_of(conn, row, now)
        if isinstance(letter, str):
            return _dropped(message_id, letter)
        if isinstance(letter, datetime):
            return Conflict("message.quiet", f"message {message_id} is not to be sent before {letter.isoformat()}")
        conn.execute(SQL["taken"], {"message_id": message_id, "now": now})
        book_message(
            conn, message_id, row["order_id"], row["template"].get("cost_minor", 0), cause=row["kind"],
            currency=row["currency"], now=now,
        )  # fmt: skip
        log.info("a message was taken", message_id=message_id, key_id=by.key_id)
        return {
            "message_id": message_id, "order_id": row["order_id"], "to": letter.to, "subject": letter.subject,
            "text": letter.text,
        }  # fmt: skip

    # What it is refused for is written all the same.
    found = db.transact(work)
    if isinstance(found, OnhandError):
        raise found
    return found


def _dropped(message_id: int, why: str | None) -> Conflict:
    return Conflict("message.dropped", f"message {message_id} is not to be sent: {why}")


def keep_waiting(db: Database, why: str, *, now: datetime) -> None:
    """Say of what is due why nobody sends it, in the log and beside each message."""
    waiting = db.transact(lambda conn: conn.execute(SQL["nobody_sends"], {"why": why, "now": now}).rowcount)
    if waiting:
        log.warning("messages to customers wait", messages=waiting, why=why)
