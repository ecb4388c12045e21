"""Tell customers that their payment was declined, once for each time, by the way of all messages
(flows/playbooks/messages.py).

What a customer must know to get what they ordered is no news that one may opt out of. It is not sent any more once the
order is paid or cancelled.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries

SQL = queries(__file__)

_WORDS: Final = {
    "subject": "The payment of your order {order.number} was declined",
    "text": (
        "Dear {customer.name},\n\nyour bank has declined the payment of your order {order.number} ({order.items}) of"
        " {order.placed_on}. We keep it for you and try again. Please see that your way to pay is in order, or"
        " answer with another one.\n"
    ),
    "about": "payment", "from": "21:00", "until": "08:00", "cost_minor": 0,
}  # fmt: skip


def tell_declined(conn: Connection[TupleRow], declined: Sequence[tuple[str, int]], now: datetime) -> None:
    """Have the customers of (order, number of the operation that was declined) written to, if they have an address."""
    if declined:
        values = {
            "ids": [order for order, _ in declined], "numbers": [number for _, number in declined], "now": now,
            "template": msgspec.json.encode(_WORDS).decode(),
        }  # fmt: skip
        conn.execute(SQL["write_declined"], values)
