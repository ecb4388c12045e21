"""Book what steps of playbooks spend, in their transactions, with the kind of the incident as its cause.

What follows from orders is booked by following them (costs/decide.py): the freight of a reroute, margin of what was
cancelled, what another item costs more. Here is what follows from none: supply that is hurried, units that are moved,
messages that are sent.
"""

from collections.abc import Sequence
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.costs import store
from onhand.costs.model import Cost
from onhand.flows.playbooks.base import Expense, Place
from onhand.workflows.model import Part


def book_part(at: Place, part: Part, expenses: Sequence[Expense]) -> None:
    """Book what a part of a step has spent."""
    costs = [
        Cost(
            order_id=None, source=_source(at, part), kind="actual", term=one.term, minor=one.minor,
            currency=at.case.currency, at=at.now, cause=at.case.kind, item_id=one.item_id, node_id=one.node_id,
        )
        for one in expenses
        if one.minor
    ]  # fmt: skip
    if costs:
        store.book(at.conn, costs)


def take_back_part(at: Place, part: Part) -> None:
    """A part was put back before it cost anything."""
    store.restate(at.conn, {(None, _source(at, part))}, [])


def _source(at: Place, part: Part) -> str:
    return f"run {at.run.run_id} {part.step_no}.{part.part_no}"


def book_message(
    conn: Connection[TupleRow], message_id: int, order_id: str, minor: int, *, cause: str, currency: str, now: datetime
) -> None:
    """Book what a message to a customer has cost that was sent just now."""
    if minor:
        channel_id = store.channels_of(conn, [order_id]).get(order_id)
        cost = Cost(
            order_id=order_id, source=f"message {message_id}", kind="actual", term="notification", minor=minor,
            currency=currency, at=now, cause=cause, channel_id=channel_id,
        )  # fmt: skip
        store.book(conn, [cost])
