"""A carrier's messages come in: known by their signature, kept as they came and answered at once; read later."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.base.sealing import Seal, Unsealable
from onhand.connectors import NotGenuine
from onhand.connectors._sdk.signing import check
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import InvalidInput, NotFound
from onhand.flows.receive import NotSigned
from onhand.flows.tracking.record import Told, read_scans, record_in
from onhand.fulfilment.tracking import inbox
from onhand.fulfilment.tracking.inbox import Message
from onhand.fulfilment.tracking.messages import CarrierTrackingIn, Unreadable, name_of, read_message, signature_of

_AT_ONCE = 20
_BY = Actor(key_id=SYSTEM.key_id, reason="told by its carrier")


def set_feed(db: Database, seal: Seal, code: str, feed: CarrierTrackingIn, *, by: Actor) -> None:
    """Say how the messages of a carrier are known and read; those that could not be read so far are read again. Raises
    NotFound, InvalidInput."""

    def work(conn: Connection[TupleRow]) -> None:
        known = inbox.get_feed(conn, code, lock=True)
        if known is None:
            raise NotFound("carrier", code)
        if feed.secret is None and known.secret is None:
            raise InvalidInput.at("secret", "required: none is known yet")
        secret = known.secret if feed.secret is None else seal.close(feed.secret)
        assert secret is not None, "one of them is there"
        inbox.write_feed(conn, known, feed.document(), secret)
        write_event(conn, "carrier.tracking_changed", code, {"carrier": code}, actor=by, origin=db.origin)

    db.transact(work)
    db.notify()


def get_feed(db: Database, code: str) -> dict[str, Any]:
    """How the messages of a carrier are known and read, without the secret. Raises NotFound."""
    with db.connection() as conn:
        known = inbox.get_feed(conn, code)
    if known is None or known.document is None:
        raise NotFound("carrier_tracking", code)
    return known.document


def receive(
    db: Database, seal: Seal, code: str, headers: Mapping[str, str], body: bytes, *, url: str, now: datetime
) -> None:
    """Keep a message of a carrier, if it is genuine; a repeat changes nothing. Raises NotFound, NotSigned.

    headers  by names in small letters
    body     as it came: that is what was signed
    """
    with db.connection() as conn:
        known = inbox.get_feed(conn, code)
    if known is None or known.document is None or known.secret is None:
        raise NotFound("carrier_tracking", code)
    feed = CarrierTrackingIn.model_validate(known.document)
    try:
        check(signature_of(feed), [seal.open(known.secret)], headers, body, url=url, now=now)
    except (NotGenuine, Unsealable) as error:
        raise NotSigned(str(error)) from None
    with db.connection() as conn:
        inbox.add_message(conn, known.carrier_id, dedupe=name_of(feed, headers, body), body=body)


def read_messages(db: Database, now: datetime) -> int:
    """Read messages that are due; how many. Each is recorded and ended in one transaction, so it takes effect once."""
    done = 0
    while some := db.transact(lambda conn: _read_some(db, conn, now)):
        done += some
        db.notify()
        if some < _AT_ONCE:
            break
    return done


def _read_some(db: Database, conn: Connection[TupleRow], now: datetime) -> int:
    messages = inbox.lock_messages(conn, limit=_AT_ONCE)
    for message in messages:
        _read(db, conn, message, now)
    return len(messages)


def _read(db: Database, conn: Connection[TupleRow], message: Message, now: datetime) -> None:
    try:
        read = read_message(CarrierTrackingIn.model_validate(message.document), message.code, message.body)
    except Unreadable as error:
        inbox.end_message(conn, message.message_id, "parked", error=str(error))
        return
    told = record_in(db, conn, read_scans(read.rows, now), source="webhook", by=_BY)
    refused = [_why(row) for row in told if row.status == "rejected"]
    error = f"{len(refused)} of {len(told)} scans could not be used: {refused[0]}"[:500] if refused else None
    # What is wrong in one scan does not hold up the others; a message of nothing else waits for a better map.
    status = "parked" if refused and len(refused) == len(told) else "done"
    inbox.end_message(
        conn, message.message_id, status, scans=len(told) - len(refused), skipped=read.skipped, error=error
    )


def _why(row: Told) -> str:
    return json.dumps({e.path: e.message for e in row.errors})
