"""Register, remove, re-enable and replay webhooks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand import webhooks
from onhand.base.actor import Actor
from onhand.base.addresses import WebAddress
from onhand.base.ids import new_id
from onhand.db import Database
from onhand.db.outbox import Cursor, write_event
from onhand.errors import InvalidInput, NotFound
from onhand.flows.transactor import Transactor
from onhand.webhooks import Webhook
from onhand.wire import Guard, NotReachable

KIND = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    """An endpoint that was just registered. `secret` is given out here only."""

    webhook_id: str
    url: str
    kinds: list[str]
    active: bool
    created_at: datetime
    disabled_at: datetime | None
    failing_since: datetime | None
    secret: str | None


def add_webhook(
    db: Database,
    *,
    url: str,
    kinds: Sequence[str],
    guard: Guard,
    by: Actor,
    transact: Transactor | None = None,
) -> NewWebhook:
    """Register an endpoint for events of `kinds` (`order.sourced`, `order.*`, `*`) from now on. Raises InvalidInput."""
    for index, kind in enumerate(kinds):
        if not webhooks.KIND.fullmatch(kind):
            raise InvalidInput.at(f"kinds[{index}]", "expected a kind such as order.sourced, order.* or *")
    try:
        guard.resolve_now(WebAddress.parse(url))
    except (ValueError, NotReachable) as error:
        raise InvalidInput.at("url", str(error)) from None
    webhook_id, secret = new_id(), webhooks.new_secret()

    def work(conn: Connection[TupleRow]) -> NewWebhook:
        made = webhooks.add_webhook(conn, webhook_id=webhook_id, url=url, kinds=kinds, secret=secret, actor=by.key_id)
        _tell(db, conn, webhook_id, "created", by, kinds=list(kinds))
        return NewWebhook(**asdict(made), secret=secret)

    made = (transact or db.transact)(work)
    db.notify()
    return made


def remove_webhook(db: Database, webhook_id: str, *, by: Actor) -> None:
    """Remove an endpoint with everything that waits for it. Raises NotFound."""

    def work(conn: Connection[TupleRow]) -> None:
        if not webhooks.delete_webhook(conn, webhook_id):
            raise NotFound(KIND, webhook_id)
        _tell(db, conn, webhook_id, "deleted", by)

    db.transact(work)
    db.notify()


def enable_webhook(db: Database, webhook_id: str, *, by: Actor, transact: Transactor | None = None) -> Webhook:
    """Switch an endpoint on again after it was disabled for failing. Raises NotFound."""

    def work(conn: Connection[TupleRow]) -> Webhook:
        found = webhooks.enable_webhook(conn, webhook_id)
        if found is None:
            raise NotFound(KIND, webhook_id)
        _tell(db, conn, webhook_id, "enabled", by)
        return found

    enabled = (transact or db.transact)(work)
    db.notify()
    return enabled


def replay_webhook(
    db: Database,
    webhook_id: str,
    *,
    since: Cursor | None,
    by: Actor,
    transact: Transactor | None = None,
) -> dict[str, int]:
    """Queue deliveries once more: the dead ones, or everything from the event at `since` on. Raises NotFound.

    Returns `{"queued": n}`.
    """

    def work(conn: Connection[TupleRow]) -> dict[str, int]:
        if webhooks.get_webhook(conn, webhook_id) is None:
            raise NotFound(KIND, webhook_id)
        if since is None:
            queued = webhooks.replay_dead(conn, webhook_id)
        else:
            queued = webhooks.replay_from(conn, webhook_id, since)
        _tell(db, conn, webhook_id, "replayed", by, queued=queued)
        return {"queued": queued}

    answer = (transact or db.transact)(work)
    db.notify()
    return answer


def _tell(db: Database, conn: Connection[TupleRow], webhook_id: str, status: str, by: Actor, **facts: object) -> None:
    data = {"webhook_id": webhook_id, "status": status, **facts}
    write_event(conn, "webhook.changed", webhook_id, data, actor=by, origin=db.origin)
