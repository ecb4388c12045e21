"""What channels tell us of their orders: messages as they came, the orders they are about, what we tell them back.

Owns the tables channel_message, channel_order, channel_reading, channel_notice and channel_orders_report. Promises that
nothing a channel has told us is lost, however often and in whatever order it comes. Start reading in `decide.py`.
"""

from onhand.channels.inbound.decide import (
    Entry,
    Follow,
    Heard,
    Known,
    compare,
    entry_of,
    follow,
    order_in,
    retry_s,
    wanted_of,
    without_person,
)
from onhand.channels.inbound.store import Message, Notice, Reading, Row, Shipped

__all__ = [
    "Entry",
    "Follow",
    "Heard",
    "Known",
    "Message",
    "Notice",
    "Reading",
    "Row",
    "Shipped",
    "compare",
    "entry_of",
    "follow",
    "order_in",
    "retry_s",
    "wanted_of",
    "without_person",
]
