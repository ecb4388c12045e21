"""Shipments that have left, and what their carriers tell of them."""

import random
from datetime import UTC, datetime, timedelta

from onhand.base.actor import Actor
from onhand.flows.fulfil import ship
from onhand.flows.tracking.record import record_tracking
from onhand.flows.tracking.settle import deliver_scanned
from onhand.fulfilment.tracking.store import get_shipment

BY = Actor(key_id=7)
NOW = datetime.now(UTC).replace(microsecond=0)


def iso(days_ago):
    return (NOW - timedelta(days=days_ago)).isoformat()


def history(merchant, count, *, days, carrier="dhl", hub=0.5, since=60.0, seed=1):
    """`count` orders that have left evenly over the days since, and were delivered after days(random)."""
    chance = random.Random(seed)
    merchant.stock("berlin", A=count)
    rows = []
    for n, placed in enumerate(merchant.place_many([((("A", 1),), {})] * count)):
        number = f"{carrier}-{seed}-{n}"
        ship(merchant.state, placed["fulfilments"][0]["fulfilment_id"], carrier=carrier, tracking=number, by=BY)
        left = since * (1 - n / count) + 1
        took = days(chance)
        leave(merchant, number, left)
        for milestone, after in (("at_hub", took * hub), ("delivered", took)):
            if after < left:
                rows.append({"carrier": carrier, "tracking": number, "milestone": milestone, "at": iso(left - after)})
    record_tracking(merchant.db, rows, source="api", now=NOW, by=BY)
    while deliver_scanned(merchant.state):
        pass


def leave(merchant, number, days_ago, promised=4.0):
    """Have a shipment left so long ago."""
    at = NOW - timedelta(days=days_ago)
    merchant.rows("UPDATE shipment SET shipped_at = %s WHERE tracking = %s RETURNING 1", at, number)
    merchant.rows(
        "UPDATE fulfilment f SET deliver_by = %s FROM shipment s WHERE (s.order_id, s.fulfilment_no) ="
        " (f.order_id, f.fulfilment_no) AND s.tracking = %s RETURNING 1",
        at + timedelta(days=promised), number,
    )  # fmt: skip


def one(merchant, number, days_ago, carrier="dhl", promised=4.0):
    """A shipment on its way since so many days."""
    merchant.stock("berlin", A=1)
    placed = merchant.place(("A", 1))
    ship(merchant.state, placed["fulfilments"][0]["fulfilment_id"], carrier=carrier, tracking=number, by=BY)
    leave(merchant, number, days_ago, promised)
    return placed["order_id"]


def shown(merchant, order):
    with merchant.db.connection() as conn:
        return get_shipment(conn, (order, 1))
