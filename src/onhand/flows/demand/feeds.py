"""Fetch signals by themselves: on schedule, whole or not at all, with what went wrong kept and shown."""

import asyncio
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.base.results import read_rows
from onhand.base.sealing import Unsealable
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.demand import feeds, store
from onhand.demand.feeds import FeedIn, Unreadable
from onhand.demand.model import Feed, SignalRow
from onhand.demand.store import Taken
from onhand.errors import InvalidInput, NotFound
from onhand.flows.accounts import Connectors
from onhand.flows.demand.tell_signals import tell_in
from onhand.wire import Answer, Caller, Guard, NotReachable, Request

log = structlog.get_logger(__name__)

_TIMEOUT_S: Final = 60.0
_ANSWER_BYTES_MAX: Final = 64 * 2**20
# Longer than asking and reading take. Who takes it over then writes the same values again, which changes nothing.
_LEASE_S: Final = 300.0
_AGAIN_S: Final = 60.0
_AGAIN_MAX_S: Final = 6 * 3_600.0

Written = Literal["created", "updated", "unchanged"]


class _NotRead(Exception):
    """Why a feed could not be read, in words that name no secret."""


def set_feed(db: Database, connectors: Connectors, name: str, feed: FeedIn, *, by: Actor) -> tuple[Written, Feed]:
    """Create or replace a feed; it is read within moments. Raises InvalidInput.

    connectors  whose key seals secret headers
    """
    document = feed.document()

    def work(conn: Connection[TupleRow]) -> tuple[Written, Feed]:
        sealed = store.lock_secrets(conn, name)
        before = store.get_feed(conn, name)
        kept = sealed
        if feed.secret_headers is not None:
            kept = connectors.seal.close(json.dumps(feed.secret_headers)) if feed.secret_headers else None
        elif sealed is not None and before is not None and FeedIn.model_validate(before.document).origin != feed.origin:
            raise InvalidInput.at(
                "secret_headers", "expected them again: the address leads to another host than before"
            )
        same = before is not None and (before.document, before.active) == (document, feed.active)
        if before is not None and same and feed.secret_headers is None:
            return "unchanged", before
        store.write_feed(conn, name, document, kept, feed.active)
        write_event(conn, "signal_feed.changed", name, {"name": name}, actor=by, origin=db.origin)
        after = store.get_feed(conn, name)
        assert after is not None, "it was just written"
        return "created" if before is None else "updated", after

    return db.transact(work)


def delete_feed(db: Database, name: str, *, by: Actor) -> None:
    """Delete a feed; the values it told stay. Raises NotFound."""

    def work(conn: Connection[TupleRow]) -> None:
        if not store.delete_feed(conn, name):
            raise NotFound("signal_feed", name)
        write_event(conn, "signal_feed.deleted", name, {"name": name}, actor=by, origin=db.origin)

    db.transact(work)


def read_feeds(
    db: Database,
    connectors: Connectors,
    *,
    allow_private_urls: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Read every feed that is due, one after the other; how many there were.

    Safe with several workers: each feed is read by one of them at a time.
    """
    count = 0
    while go_on():
        taken = db.transact(lambda conn: store.take_feed(conn, lease_s=_LEASE_S))
        if taken is None:
            break
        count += 1
        try:
            _read(db, connectors, taken, now(), allow_private_urls=allow_private_urls)
        except _NotRead as error:
            _fail(db, taken, str(error))
    return count


def _read(db: Database, connectors: Connectors, taken: Taken, now: datetime, *, allow_private_urls: bool) -> None:
    feed = FeedIn.model_validate(taken.document)
    try:
        secret: dict[str, str] = connectors.open(taken.secrets)
    except Unsealable as error:
        raise _NotRead(str(error)) from None
    own = {name.lower(): value for name, value in {**feed.headers, **secret}.items()}
    request = Request(
        method="GET",
        url=feed.address(now.date()),
        headers={"accept": "application/json, text/csv, */*", "user-agent": "onhand", **own},
        timeout_s=_TIMEOUT_S,
        answer_bytes_max=_ANSWER_BYTES_MAX,
    )
    answer = asyncio.run(_ask(request, Guard(allow_private=allow_private_urls)))
    if answer.status != 200:
        where = " (redirects are not followed)" if 300 <= answer.status < 400 else ""
        raise _NotRead(f"HTTP {answer.status}{where}")
    try:
        found = feeds.read(feed, taken.name, answer.body, now)
    except Unreadable as error:
        raise _NotRead(str(error)) from None
    rows = read_rows(found.rows, SignalRow, "name")
    by = Actor(key_id=SYSTEM.key_id, reason=f"signal feed {taken.name}")

    def work(conn: Connection[TupleRow]) -> None:
        results = tell_in(db, conn, rows, now=now, by=by)
        refused = [result for result in results if result.status == "rejected"]
        reject = found.reject
        if reject is None and refused:
            reject = "; ".join(f"{error.path}: {error.message}" for error in refused[0].errors)[:500]
        written = sum(result.status in ("created", "updated") for result in results)
        if not store.end_feed(
            conn, taken, every_s=feed.every_s, written=written, rejected=found.rejected + len(refused), reject=reject
        ):
            raise _Changed

    try:
        db.transact(work)
    except _Changed:
        log.info("a feed of signals was changed while it was read; it is read again", feed=taken.name)


class _Changed(Exception):
    """The feed is another one by now: nothing of what was read under the old one is kept."""


async def _ask(request: Request, guard: Guard) -> Answer:
    async with Caller(guard, ssl.create_default_context(), connections=1) as caller:
        try:
            return await caller.send(request)
        except NotReachable as error:
            raise _NotRead(str(error)) from None


def _fail(db: Database, taken: Taken, error: str) -> None:
    every_s: Any = taken.document.get("every_s", _AGAIN_MAX_S)
    again_s = min(_AGAIN_S * 2.0 ** min(taken.failures, 20), _AGAIN_MAX_S, float(every_s))
    log.warning("a feed of signals could not be read", feed=taken.name, error=error, failures=taken.failures + 1)

    def work(conn: Connection[TupleRow]) -> None:
        store.fail_feed(conn, taken, error=error, again_s=again_s)
        if taken.failures == 0:  # once, not each time
            data = {"name": taken.name, "error": error}
            write_event(conn, "signal_feed.failed", taken.name, data, actor=SYSTEM, origin=db.origin)

    db.transact(work)
