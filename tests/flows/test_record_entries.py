"""Facts about stock: each row is answered by itself, and those who were promised units come first."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import psycopg
import pytest

from onhand.base.actor import SYSTEM, Actor
from onhand.catalog.catalogue import Catalogue
from onhand.errors import InvalidInput
from onhand.flows.record_entries import record_entries
from onhand.ledger.intake import EntryIn, decode_entries
from onhand.ledger.model import Entry, Rejected
from onhand.ledger.store import apply_entries

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def entry(kind="receipt", sku="A", node="N1", quantity=1, **more):
    return EntryIn(kind=kind, sku=sku, node=node, quantity=quantity, **more)


def record(db, *rows, **options):
    return record_entries(db, Catalogue(), {}, rows, SYSTEM, now=NOW, **options)


def query(db, sql, *parameters):
    with db.connection() as conn:
        return conn.execute(sql, parameters).fetchall()


def test_rows_are_answered_in_order_each_by_itself(shop):
    with shop.connection() as conn:
        conn.execute("INSERT INTO item (item_id, sku, name) VALUES (11, 'SET', 'set')")
        conn.execute("INSERT INTO bundle_component VALUES (11, 1, 2)")
    recorded = record(
        shop,
        entry(quantity=5),
        entry(sku="nobody"),
        entry(node="nowhere"),
        entry(sku="SET"),
        entry("allocate"),
        entry("lose"),
        Rejected("input.invalid", "quantity: Expected `int`, got `str`"),
        entry("transfer_out", quantity=6),
        entry("adjustment", quantity=-2, reason="found broken"),
        entry(quantity=1, occurred_at=NOW + timedelta(days=1, seconds=1)),
        entry(quantity=1, occurred_at=datetime(1066, 10, 14, tzinfo=UTC)),
        entry(quantity=1, reason="a\0b"),
        entry(sku="A\0"),
        entry("damage", quantity=1, occurred_at=NOW + timedelta(hours=23)),
    )
    assert [(r.status, r.code, r.on_hand, r.available) for r in recorded.results] == [
        ("applied", None, 5, 5),
        ("rejected", "item.not_found", None, None),
        ("rejected", "node.not_found", None, None),
        ("rejected", "item.is_bundle", None, None),
        ("rejected", "input.invalid", None, None),
        ("rejected", "input.invalid", None, None),
        ("rejected", "input.invalid", None, None),
        ("rejected", "stock.insufficient", 5, 5),
        ("applied", None, 3, 3),
        ("rejected", "input.invalid", None, None),
        ("rejected", "input.invalid", None, None),
        ("rejected", "input.invalid", None, None),
        ("rejected", "item.not_found", None, None),
        ("applied", None, 3, 2),
    ]
    assert "made by orders" in (recorded.results[4].message or "")
    assert recorded.positions == [(1, 1)]
    assert recorded.oversold == []
    assert query(shop, "SELECT kind, reason FROM ledger_entry ORDER BY entry_id") == [
        ("receipt", None),
        ("adjustment", "found broken"),
        ("damage", None),
    ]


def test_the_results_read_as_the_interface_promises(shop):
    recorded = record(shop, entry(quantity=5), entry(sku="nobody"))
    (entry_id,) = query(shop, "SELECT entry_id FROM ledger_entry")[0]
    assert json.loads(msgspec.json.encode(recorded.results)) == [
        {"status": "applied", "entry_id": entry_id, "on_hand": 5, "available": 5},
        {
            "status": "rejected",
            "entry_id": None,
            "code": "item.not_found",
            "message": "no item 'nobody'",
            "on_hand": None,
            "available": None,
        },
    ]


def test_names_in_memory_are_used_and_bundles_among_them_refused(shop):
    catalogue = Catalogue()
    catalogue.ids = {"ALIAS": 3, "SET": 4}
    catalogue.bundles = {4: ((1, 1),)}
    recorded = record_entries(
        shop, catalogue, {"HERE": 2}, [entry(sku="ALIAS", node="HERE"), entry(sku="SET")],
        Actor(key_id=9), now=NOW,
    )  # fmt: skip
    assert [r.code for r in recorded.results] == [None, "item.is_bundle"]
    assert query(shop, "SELECT item_id, node_id, actor FROM ledger_entry") == [(3, 2, 9)]


def allocate(db, item_id, node_id, units):
    """Units promised to a reservation, so that the promises of the data hold."""

    def work(conn):
        ref = uuid4()
        conn.execute("INSERT INTO reservation VALUES (%s, 1, 'active', 'infinity', now(), NULL, 0)", (ref,))
        conn.execute("INSERT INTO reservation_line VALUES (%s, 1, %s, %s, %s)", (ref, item_id, node_id, units))
        entries = [Entry(item_id, node_id, "allocate", units, ref=ref)]
        (result,) = apply_entries(conn, entries, actor=SYSTEM, origin=0)
        assert result.status == "applied"

    db.transact(work)


def test_promised_units_that_are_missing_are_reported(shop):
    record(shop, entry(quantity=10), entry(sku="B", quantity=4))
    allocate(shop, 1, 1, 8)
    allocate(shop, 2, 1, 4)
    recorded = record(shop, entry("count", quantity=5), entry("damage", sku="B", quantity=1))
    assert recorded.oversold == [(1, 1), (2, 1)]
    assert [(r.on_hand, r.available) for r in recorded.results] == [(5, 0), (4, 0)]
    again = record(shop, entry("count", quantity=9))
    assert again.oversold == []
    assert again.results[0].available == 1


def announce(db, reference, *lines, node=1):
    """An inbound with lines (item_id, quantity, promised)."""
    inbound_id = uuid4()
    with db.connection() as conn:
        conn.execute(
            "INSERT INTO inbound (inbound_id, reference, node_id, actor) VALUES (%s, %s, %s, 0)",
            (inbound_id, reference, node),
        )
        for n, (item_id, quantity) in enumerate(lines, 1):
            conn.execute(
                "INSERT INTO inbound_line (inbound_id, line_no, item_id, node_id, quantity, expected_at)"
                " VALUES (%s, %s, %s, %s, %s, now())",
                (inbound_id, n, item_id, node, quantity),
            )
    return inbound_id


def received(db, inbound_id):
    rows = query(db, "SELECT received FROM inbound_line WHERE inbound_id = %s ORDER BY line_no", inbound_id)
    ((closed,),) = query(db, "SELECT closed_at IS NOT NULL FROM inbound WHERE inbound_id = %s", inbound_id)
    return [r for (r,) in rows], closed


def test_arrivals_under_a_reference_fill_its_lines(shop):
    po = announce(shop, "PO-1", (1, 10), (2, 5), (1, 10))
    other = announce(shop, "PO-2", (1, 10))
    record(
        shop,
        entry(quantity=12, reference="PO-1"),
        entry(quantity=2, sku="C", reference="PO-1"),  # nobody expects it: it is there all the same
        entry(quantity=3, node="N2", reference="PO-1"),  # at another node: not this document's
        entry("return", quantity=4, reference="PO-1"),
        entry("count", sku="B", quantity=1, reference="PO-1"),
        entry("transfer_out", quantity=99, reference="PO-1"),
    )
    assert received(shop, po) == ([10, 0, 2], False)
    record(shop, entry(sku="B", quantity=5, reference="PO-1"))
    assert received(shop, po) == ([10, 5, 2], False)
    record(shop, entry("transfer_in", quantity=11, reference="PO-1"))
    assert received(shop, po) == ([10, 5, 13], True)  # three more than announced are a fact too
    assert received(shop, other) == ([0], False)


def wait(db, inbound_id, units, *, item_id=1, node=1, line=1):
    """An order that waits for `units` of an inbound line; returns its id."""
    order_id = uuid4()
    with db.connection() as conn, conn.transaction():
        conn.execute(
            "INSERT INTO orders (order_id, channel_id, external_id, body_hash, status, queue, currency,"
            " placed_at, request, lines, actor)"
            " VALUES (%s, 1, %s, '', 'backordered', 'backorder', 'EUR', now(), '{}', %s, 0)",
            (order_id, str(order_id), f'[["1",{item_id},{units},0]]'),
        )
        conn.execute(
            "INSERT INTO plan_sheet (network_id, policy, confidence, orders, decisions, inputs)"
            " VALUES (1, 'p', 0.95, ARRAY[%s], '{\"{}\"}', '{\"\"}')",
            (order_id,),
        )
        conn.execute(
            "INSERT INTO queue_line (order_id, line_no, item_id, queue, quantity, inbound_id, inbound_line,"
            " node_id, expected_at) VALUES (%s, 1, %s, 'backorder', %s, %s, %s, %s, now())",
            (order_id, item_id, units, inbound_id, line, node),
        )
        conn.execute(
            "UPDATE inbound_line SET promised = promised + %s WHERE inbound_id = %s AND line_no = %s",
            (units, inbound_id, line),
        )
    return order_id


def test_those_who_wait_are_served_in_the_transaction_of_the_arrival(shop):
    record(shop, entry(sku="B", quantity=3), entry("count", sku="C", quantity=0))
    asked = []

    def serve(conn, keys):
        asked.append(keys)
        ((units,),) = conn.execute("SELECT on_hand FROM stock_position WHERE item_id = 1 AND node_id = 1")
        assert units == 5

    record(
        shop,
        entry(quantity=5),
        entry("transfer_out", sku="B", quantity=1),
        entry("damage", sku="B", quantity=1),
        entry("count", sku="C", quantity=0),
        entry(sku="D", node="N2"),
        serve_waiting=serve,
    )
    assert asked == [[(1, 1), (4, 2)]]


def test_an_order_that_waits_is_locked_before_the_stock(shop):
    """Whoever holds the order decides first; the arrival has not touched the position meanwhile."""
    po = announce(shop, "PO-1", (1, 10))
    order_id = wait(shop, po, 2)
    record(shop, entry("count", quantity=0))
    began, served = threading.Event(), []
    with shop.connection() as conn, conn.transaction():
        conn.execute("SELECT 1 FROM orders WHERE order_id = %s FOR UPDATE", (order_id,))

        def arrive():
            began.set()
            record(shop, entry(quantity=5), serve_waiting=lambda c, keys: served.append(keys))

        thread = threading.Thread(target=arrive)
        thread.start()
        began.wait()
        wait_for_lock(shop)
        # Free: a deadlock with somebody who locks order, then position, is impossible.
        conn.execute("SELECT 1 FROM stock_position WHERE item_id = 1 FOR UPDATE NOWAIT")
        assert served == []
    thread.join()
    assert served == [[(1, 1)]]


def wait_for_lock(db):
    """Until some transaction of this database waits for another."""
    patience = time.monotonic() + 20
    while time.monotonic() < patience and not query(
        db, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ):
        pass


def test_an_order_that_began_to_wait_meanwhile_is_seen_at_the_second_look(shop):
    po = announce(shop, "PO-1", (1, 10))
    orders, looks = [], []

    def serve(conn, keys):
        looks.append(keys)
        with shop.connection() as other, pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("SELECT 1 FROM orders WHERE order_id = %s FOR UPDATE NOWAIT", orders)

    first = True

    def transact(work):
        def late(conn):
            nonlocal first
            if first:
                # The order appears after the first look for waiting orders, before the second.
                first = False
                return work(_Interrupting(conn, lambda: orders.append(wait(shop, po, 2))))
            return work(conn)

        return shop.transact(late)

    record(shop, entry(quantity=5), serve_waiting=serve, transact=transact)
    assert len(orders) == 1
    assert looks == [[(1, 1)]]
    assert query(shop, "SELECT count(*) FROM ledger_entry") == [(1,)]  # the first try was undone


class _Interrupting:
    """A connection that lets something happen elsewhere before its first lock of positions."""

    def __init__(self, conn, interrupt):
        self._conn, self._interrupt = conn, interrupt

    def __getattr__(self, name):
        return getattr(self._conn, name)

    def cursor(self, **options):
        if self._interrupt is not None:
            self._interrupt, interrupt = None, self._interrupt
            interrupt()
        return self._conn.cursor(**options)


def test_supply_that_came_up_short_is_no_longer_promised(shop):
    """Eight of ten are promised; six come and go to others: the youngest of those who wait lose
    their date until what is still to come covers the rest."""
    po = announce(shop, "PO-1", (1, 10))
    old, young, youngest = (wait(shop, po, units) for units in (3, 2, 3))
    recorded = record(shop, entry(quantity=6, reference="PO-1"))
    assert sorted(recorded.unbacked) == sorted([young, youngest])
    assert query(shop, "SELECT order_id, inbound_id FROM queue_line ORDER BY queue_line_id") == [
        (old, po),
        (young, None),
        (youngest, None),
    ]
    assert query(shop, "SELECT received, promised FROM inbound_line") == [(6, 3)]


def test_a_document_is_read_row_by_row_only_when_it_must_be():
    body = {
        "entries": [
            {"kind": "receipt", "sku": "A", "node": "N1", "quantity": 5},
            {"kind": "receipt", "sku": "A", "node": "N1", "quantity": "5"},
            {"kind": "receipt", "sku": "A", "node": "N1", "quantity": 5.0},
            {"kind": "receipt", "sku": "A", "node": "N1", "quantity": True},
            {"kind": "receipt", "sku": "A", "node": "N1", "quantity": 2**31},
            {"kind": "receipt", "sku": "", "node": "N1", "quantity": 1},
            {"kind": "receipt", "sku": "A", "quantity": 1},
            {"kind": "receipt", "sku": "A", "node": "N1", "quantity": 1, "colour": "red"},
            {"kind": "receipt", "sku": "A", "node": "N1", "quantity": 1, "occurred_at": "2026-03-01"},
            {"kind": "receipt", "sku": "A", "node": "N1", "quantity": 1, "occurred_at": "2026-03-01T10:00:00"},
            "nonsense",
            {"kind": "count", "sku": "A", "node": "N1", "quantity": 0, "occurred_at": "2026-03-01T10:00:00Z"},
        ]
    }  # fmt: skip
    rows = decode_entries(msgspec.json.encode(body))
    assert [isinstance(row, EntryIn) for row in rows] == [True, *[False] * 10, True]
    assert rows[1] == Rejected("input.invalid", "quantity: Expected int, got str")
    assert rows[10] == Rejected("input.invalid", "Expected object, got str")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"entries": 5}', b'{"entries": [], "x": 1}'])
def test_a_document_that_is_none_is_refused_whole(body):
    with pytest.raises(msgspec.DecodeError):
        decode_entries(body)


@pytest.mark.parametrize("count", [0, 5001])
def test_too_many_rows_or_none_are_refused_whole(count):
    with pytest.raises(InvalidInput, match="1 to 5000"):
        decode_entries(msgspec.json.encode({"entries": [entry()] * count}))
