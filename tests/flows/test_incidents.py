"""Incidents end to end: a shop's data with something wrong in it, a pass, and what is kept of it."""

from datetime import timedelta

import pytest

from onhand.flows.incidents.watch import Watch
from onhand.incidents import store


@pytest.fixture
def watch(merchant):
    return Watch(merchant.db, now=lambda: merchant.now)


def look(watch, *only):
    """How each detector fared, by its name."""
    return {looked.detector: looked for looked in watch.look(only=only or None, is_due=True)}


def incidents(merchant, **asked):
    with merchant.db.connection() as conn:
        return store.list_incidents(conn, main="EUR", limit=100, **asked)


def findings(merchant, kept):
    with merchant.db.connection() as conn:
        return store.findings_of(conn, kept)


def age(merchant, order_id, **ago):
    """Make an order's fulfilments and waiting lines older than they are."""
    with merchant.db.connection() as conn:
        since = merchant.now - timedelta(**ago)
        conn.execute("UPDATE fulfilment SET updated_at = %s WHERE order_id = %s", (since, order_id))
        conn.execute("UPDATE queue_line SET since = %s WHERE order_id = %s", (since, order_id))


def test_an_order_that_nobody_works_on_is_told_of_once_until_somebody_does(merchant, watch):
    merchant.stock("berlin", A=10)
    order_id = merchant.place(("A", 2))["order_id"]
    merchant.now += timedelta(days=20)
    age(merchant, order_id, days=19)
    fared = look(watch)
    assert {n: f.problem for n, f in fared.items() if n.endswith("orders")} == {
        "stuck_orders": None,
        "duplicate_orders": None,
    }
    (kept,) = incidents(merchant, kind="order_stuck")
    print(kept, findings(merchant, kept), fared)
    assert 0
