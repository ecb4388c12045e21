"""Promise one order another day by hand, and have its customer told once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.base.actor import Actor
from onhand.errors import Conflict, FieldError, InvalidInput
from onhand.flows.place_orders import days_after_arrival
from onhand.flows.playbooks.messages import SQL, day_of, facts, zone_of_request
from onhand.flows.playbooks.promises import Words, promise_anew, write_messages
from onhand.flows.state import State
from onhand.flows.transactor import Transactor
from onhand.incidents.playbooks.fill import BLANKS, blanks_of, fill
from onhand.orders.decide import promised_anew
from onhand.orders.model import Fulfilment, Order
from onhand.orders.states import require_order
from onhand.orders.store import lock_order, order_uuid

_DAY: Final = timedelta(days=1)
# The farthest day that somebody may promise.
_AHEAD_MAX: Final = timedelta(days=730)

LATER: Final = Words(
    subject="Your order {order.number} has a new delivery date",
    text=(
        "Dear {customer.name},\n\nyour order {order.number} ({order.items}) will be with you by {promise.day} instead"
        " of {promise.was}.\n"
    ),
)
FIRST: Final = Words(
    subject="Your order {order.number} has a delivery date",
    text="Dear {customer.name},\n\nyour order {order.number} ({order.items}) will be with you by {promise.day}.\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants promised.

    deliver_by     None: what fulfilments, parcels and supply now say
    subject, text  None: ours
    tells          the customer is written to
    is_dry_run     nothing is done, and the answer says what would be
    """

    deliver_by: datetime | None = None
    subject: str | None = None
    text: str | None = None
    tells: bool = True
    is_dry_run: bool = False


def repromise(
    state: State, order_id: str, wish: Wish, *, by: Actor, transact: Transactor | None = None
) -> dict[str, Any]:
    """Promise the order another day. Its customer is told by the messages of playbooks: at most once of a day, and not
    at all of a day that is withdrawn before the message leaves. JSON-ready, without personal data.

    Asked for what is promised already it changes nothing: two who ask for the same day have its customer told once.

    Raises NotFound, Conflict `order.not_allowed` for one that is delivered or cancelled, `order.no_date` where nobody
    knows a day, InvalidInput for a day that is past, too far, or was promised and withdrawn.
    """
    order_id = order_uuid(order_id)

    def work(conn: Connection[TupleRow]) -> dict[str, Any]:
        before = lock_order(conn, order_id)
        require_order(before, "repromise")
        now = state.now()
        withdrawn = {at for (at,) in conn.execute(SQL["withdrawn_promises"], {"order_id": order_id})}
        if wish.deliver_by is None:
            at = _known(state, conn, before, now, withdrawn)
        else:
            at = _wanted(wish.deliver_by, now, withdrawn)
        with conn.cursor(row_factory=dict_row) as rows:
            seen = rows.execute(SQL["facts_of_message"], {"order_id": order_id, "promise_no": None}).fetchone()
        assert seen is not None, "it is locked"
        zone = zone_of_request(seen["request"])
        words = _words(wish, seen["told"])
        untold = _untold(wish, before, seen, at, zone)
        # The name is filled in when the message leaves: what is kept of this answer holds no personal data.
        shown = facts(seen | {"promised": at, "name": "{customer.name}"}, zone)
        answer: dict[str, Any] = {
            "order_id": order_id,
            "was": before.deliver_by,
            "deliver_by": at,
            "is_new": at != before.deliver_by,
            "is_dry_run": wish.is_dry_run,
            "message": None
            if untold
            else {"subject": _filled(words.subject, shown, "subject"), "text": _filled(words.text, shown, "text")},
            "untold": untold,
        }
        if answer["is_new"] and not wish.is_dry_run:
            changes = [(before, promised_anew(before, at))]
            numbers = promise_anew(conn, changes, run_id=None, now=now, by=by, origin=state.db.origin)
            if untold is None:
                write_messages(conn, words, [(order_id, numbers[order_id])], now=now)
        return answer

    answer = (transact or state.db.transact)(work)
    state.db.notify()
    return answer


def _wanted(at: datetime, now: datetime, withdrawn: Iterable[datetime]) -> datetime:
    if not now < at <= now + _AHEAD_MAX:
        raise InvalidInput.at("deliver_by", f"expected a time to come, within {_AHEAD_MAX.days} days")
    if at in withdrawn:
        raise InvalidInput.at("deliver_by", "it was promised before and withdrawn: choose another day")
    return at


def _known(
    state: State, conn: Connection[TupleRow], order: Order, now: datetime, withdrawn: Iterable[datetime]
) -> datetime:
    """By when everything that is under way or waits should be there: the latest of its parts, a whole number of days
    later where that is past or was withdrawn."""
    if any(not wait.is_dated or wait.expected_at is None for wait in order.waiting):
        raise Conflict(
            "order.no_date",
            f"units of order {order.order_id} wait, and nobody knows when they come: say deliver_by",
            order_id=order.order_id,
        )
    foretold: dict[int, datetime | None] = dict(conn.execute(SQL["foretold"], {"order_id": order.order_id}).fetchall())
    after = timedelta(days=days_after_arrival(state.network))
    dates = [_due(f, foretold.get(f.number), now) for f in order.live if f.status != "delivered"]
    dates += [wait.expected_at + after for wait in order.waiting if wait.expected_at is not None]
    if not dates:
        dates = [order.deliver_by or now]
    at = max(dates)
    if at <= now:
        at += _DAY * math.ceil((now - at) / _DAY + 1e-9)
    while at in withdrawn and at != order.deliver_by:
        at += _DAY
    return at


def _due(fulfilment: Fulfilment, foretold: datetime | None, now: datetime) -> datetime:
    """When it should be there: as foretold once all of it has left, else as planned, later by whole days if it should
    have left by now."""
    if not fulfilment.left:
        return foretold or fulfilment.deliver_by
    late = max(0, math.ceil((now - fulfilment.ship_by) / _DAY))
    return max(fulfilment.deliver_by + _DAY * late, foretold or fulfilment.deliver_by)


def _words(wish: Wish, told: datetime | None) -> Words:
    ours = FIRST if told is None else LATER
    return Words(subject=wish.subject or ours.subject, text=wish.text or ours.text)


def _filled(text: str, values: dict[str, str], name: str) -> str:
    blanks, is_broken = blanks_of(text)
    unknown = [blank for blank in blanks if blank not in values]
    if unknown or is_broken:
        wrong = ", ".join(f"{{{blank}}}" for blank in unknown) or "a brace that belongs to no blank"
        known = ", ".join(f"{{{blank}}}" for blank in BLANKS if blank in values)
        raise InvalidInput([FieldError(name, f"cannot be filled: {wrong}; blanks are {known}")])
    return fill(text, values)


def _untold(wish: Wish, before: Order, seen: dict[str, Any], at: datetime, zone: ZoneInfo) -> str | None:
    """Why the customer is not written to; None: it is."""
    if not wish.tells:
        return "not_asked"
    if at == before.deliver_by:
        return "promised_already"
    if seen["told"] is not None and day_of(at, zone) == day_of(seen["told"], zone):
        return "same_day"
    if seen["email"] is None:
        return "no_address"
    return "unwanted" if seen["is_unwanted"] else None
