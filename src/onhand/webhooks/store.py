"""The only SQL of the capability."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, class_row, dict_row

from onhand.db import outbox, queries
from onhand.db.outbox import Cursor
from onhand.webhooks.model import Delivery, Endpoint, Webhook

SQL = queries(__file__)
CONSUMER = "webhooks"


def add_webhook(
    conn: Connection[TupleRow], *, webhook_id: str, url: str, kinds: Sequence[str], secret: str, actor: int
) -> Webhook:
    """Store an endpoint."""
    with conn.cursor(row_factory=class_row(Webhook)) as rows:
        made = rows.execute(
            SQL["add_webhook"],
            {"webhook_id": webhook_id, "url": url, "kinds": list(kinds), "secret": secret, "actor": actor},
        ).fetchone()
    assert made is not None
    return made


def get_webhook(conn: Connection[TupleRow], webhook_id: str) -> Webhook | None:
    """One endpoint."""
    with conn.cursor(row_factory=class_row(Webhook)) as rows:
        return rows.execute(SQL["get_webhook"], {"webhook_id": webhook_id}).fetchone()


def list_webhooks(conn: Connection[TupleRow], *, after: str | None, limit: int) -> list[Webhook]:
    """Endpoints by id."""
    with conn.cursor(row_factory=class_row(Webhook)) as rows:
        return rows.execute(SQL["list_webhooks"], {"after": after, "limit": limit}).fetchall()


def delete_webhook(conn: Connection[TupleRow], webhook_id: str) -> bool:
    """Remove an endpoint and its deliveries; False if there is none."""
    return conn.execute(SQL["delete_webhook"], {"webhook_id": webhook_id}).rowcount == 1


def enable_webhook(conn: Connection[TupleRow], webhook_id: str) -> Webhook | None:
    """Switch an endpoint on again; None if there is none."""
    with conn.cursor(row_factory=class_row(Webhook)) as rows:
        return rows.execute(SQL["enable_webhook"], {"webhook_id": webhook_id}).fetchone()


def disable_webhook(conn: Connection[TupleRow], webhook_id: str) -> bool:
    """Switch an endpoint off and give up what waits for it; False if it was off."""
    where = {"webhook_id": webhook_id}
    if conn.execute(SQL["disable_webhook"], where).rowcount == 0:
        return False
    conn.execute(SQL["bury_due"], where)
    return True


def is_wanted(conn: Connection[TupleRow], kind: str) -> bool:
    """Whether an endpoint that is on asks for events of this kind."""
    row = conn.execute(SQL["is_wanted"], {"kind": kind}).fetchone()
    return row is not None and bool(row[0])


def fan_out(conn: Connection[TupleRow], limit: int) -> int:
    """Turn the next events into deliveries and move the cursor, in the caller's transaction; how many events."""
    cursor = outbox.get_cursor(conn, CONSUMER) or outbox.START
    row = conn.execute(SQL["has_active"]).fetchone()
    if row is not None and not row[0]:
        # Nobody to tell: jump, so that the first webhook does not wait for the whole history to be read.
        if (end := outbox.head(conn)) > cursor:
            outbox.advance_cursor(conn, CONSUMER, end)
        return 0
    found = conn.execute(SQL["fan_out"], {"xid": cursor.xid, "pos": cursor.pos, "limit": limit}).fetchone()
    if found is None:
        return 0
    xid, pos, events = found
    outbox.advance_cursor(conn, CONSUMER, Cursor(xid, pos))
    return int(events)


def due(
    conn: Connection[TupleRow], *, busy: Sequence[str], each: int, limit: int
) -> list[tuple[Endpoint, list[Delivery]]]:
    """The next deliveries of every endpoint that is not `busy`: at most `each` of one and `limit` in all."""
    with conn.cursor(row_factory=dict_row) as rows:
        found = rows.execute(SQL["due"], {"busy": list(busy), "each": each, "limit": limit}).fetchall()
    return [
        (_endpoint(group[0]), [_delivery(row) for row in group])
        for group in (list(rows) for _, rows in groupby(found, key=lambda row: row["webhook_id"]))
    ]


def _endpoint(row: dict[str, Any]) -> Endpoint:
    return Endpoint(
        webhook_id=row["webhook_id"], url=row["url"], secret=row["secret"], failing_since=row["failing_since"]
    )


def _delivery(row: dict[str, Any]) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__dataclass_fields__})


def record_delivered(conn: Connection[TupleRow], ids: Sequence[int]) -> None:
    """These were taken by the endpoint."""
    conn.execute(SQL["record_delivered"], {"ids": list(ids)})


def record_failed(conn: Connection[TupleRow], delivery_id: int, *, error: str, due_at: datetime | None) -> None:
    """This one was not; try again at `due_at`, or never."""
    conn.execute(SQL["record_failed"], {"delivery_id": delivery_id, "error": error, "due_at": due_at})


def mark_healthy(conn: Connection[TupleRow], webhook_id: str, *, hurry: bool) -> None:
    """The endpoint works; after an outage (`hurry`), what waits for a later try is due now."""
    where = {"webhook_id": webhook_id}
    conn.execute(SQL["mark_healthy"], where)
    if hurry:
        conn.execute(SQL["hurry"], where)


def mark_failing(conn: Connection[TupleRow], webhook_id: str) -> datetime | None:
    """The endpoint fails; since when it does without a success between. None if it is gone."""
    row = conn.execute(SQL["mark_failing"], {"webhook_id": webhook_id}).fetchone()
    return None if row is None else row[0]


def list_deliveries(
    conn: Connection[TupleRow], webhook_id: str, *, status: str | None, after: int, limit: int
) -> list[Delivery]:
    """Deliveries of an endpoint, oldest first."""
    with conn.cursor(row_factory=class_row(Delivery)) as rows:
        return rows.execute(
            SQL["list_deliveries"],
            {"webhook_id": webhook_id, "status": status, "after": after, "limit": limit},
        ).fetchall()


def replay_dead(conn: Connection[TupleRow], webhook_id: str) -> int:
    """Send what was given up once more; how many."""
    return conn.execute(SQL["replay_dead"], {"webhook_id": webhook_id}).rowcount


def replay_from(conn: Connection[TupleRow], webhook_id: str, cursor: Cursor) -> int:
    """Send everything from the event at `cursor` on once more; how many."""
    until = outbox.get_cursor(conn, CONSUMER) or outbox.START
    return conn.execute(
        SQL["replay_from"],
        {
            "webhook_id": webhook_id,
            "xid": cursor.xid,
            "pos": cursor.pos,
            "until_xid": until.xid,
            "until_pos": until.pos,
        },
    ).rowcount


def backlog(conn: Connection[TupleRow]) -> int:
    """Deliveries that wait."""
    row = conn.execute(SQL["backlog"]).fetchone()
    assert row is not None
    return int(row[0])


def purge(conn: Connection[TupleRow]) -> int:
    """Forget old successes; how many."""
    return conn.execute(SQL["purge"]).rowcount


def lead(conn: Connection[TupleRow]) -> bool:
    """Whether this connection is the one that delivers, until it closes."""
    row = conn.execute(SQL["lead"]).fetchone()
    return row is not None and bool(row[0])
