"""Entries on a real database: the ledger, the positions and what a caller is told agree."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.events import settled

from onhand.base.actor import SYSTEM, Actor
from onhand.ledger.decide import fold
from onhand.ledger.model import Applied, Entry, Position
from onhand.ledger.store import apply_entries, lock_positions


def apply(db, *entries, by=SYSTEM):
    return db.transact(lambda c: apply_entries(c, entries, actor=by, origin=db.origin))


def positions(db):
    with db.connection() as conn:
        rows = conn.execute(
            "SELECT item_id, node_id, on_hand, unavailable, allocated, oversold, version"
            " FROM stock_position ORDER BY 1, 2"
        )
        return [Position(*row) for row in rows]


def ledger(db, *columns):
    with db.connection() as conn:
        return conn.execute(f"SELECT {', '.join(columns)} FROM ledger_entry ORDER BY entry_id".encode()).fetchall()


def test_an_entry_is_written_as_stated(shop):
    when = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    order = UUID(int=7)
    (result,) = apply(
        shop,
        Entry(2, 3, "receipt", 5, "new goods", "PO-1", order, int(when.timestamp() * 1e6)),
        by=Actor(key_id=4, reason="unused"),
    )
    assert (result.status, result.on_hand, result.available) == ("applied", 5, 5)
    assert ledger(
        shop, "entry_id", "item_id", "node_id", "version", "kind", "quantity", "d_on_hand",
        "on_hand", "actor", "reason", "reference", "ref", "occurred_at",
    ) == [(result.entry_id, 2, 3, 1, "receipt", 5, 5, 5, 4, "new goods", "PO-1", order, when)]  # fmt: skip
    assert positions(shop) == [Position(2, 3, 5, version=1)]


def test_a_batch_answers_in_order_and_a_bad_row_stops_no_good_one(shop):
    results = apply(
        shop,
        Entry(2, 1, "receipt", 5),
        Entry(1, 1, "transfer_out", 1),
        Entry(2, 1, "transfer_out", 6),
        Entry(2, 1, "count", 3),
        Entry(1, 2, "receipt", 0),
        Entry(2, 1, "damage", 1),
    )
    assert [(r.status, r.code, r.on_hand, r.available) for r in results] == [
        ("applied", None, 5, 5),
        ("rejected", "stock.insufficient", None, None),
        ("rejected", "stock.insufficient", 5, 5),
        ("applied", None, 3, 3),
        ("rejected", "input.invalid", None, None),
        ("applied", None, 3, 2),
    ]
    # What was refused leaves no trace, not even an empty position.
    assert positions(shop) == [Position(2, 1, 3, 1, version=3)]
    assert ledger(shop, "entry_id") == [(r.entry_id,) for r in results if r.entry_id]


def test_refusals_alone_write_nothing(shop):
    (result,) = apply(shop, Entry(1, 1, "transfer_out", 1))
    assert result.status == "rejected"
    with shop.connection() as conn:
        assert settled(conn) == []
    assert apply(shop) == []


def test_entries_that_follow_are_written_with_their_reason(shop):
    apply(shop, Entry(1, 1, "receipt", 10), Entry(1, 1, "allocate", 8))
    (found,) = apply(shop, Entry(1, 1, "count", 5, "weekly count"))
    (more,) = apply(shop, Entry(1, 1, "return", 4))
    rows = ledger(shop, "entry_id", "kind", "quantity", "allocated", "oversold", "reason")
    assert [row[1:] for row in rows[2:]] == [
        ("release", 3, 5, 3, "oversell"),
        ("count", 5, 5, 3, "weekly count"),
        ("return", 4, 5, 3, None),
        ("allocate", 3, 8, 0, "covers oversell"),
    ]
    assert (found.entry_id, found.available) == (rows[3][0], 0)
    assert (more.entry_id, more.on_hand, more.available) == (rows[4][0], 9, 1)
    promise(shop, 1, 1, 8)


def promise(db, item_id, node_id, units):
    """A reservation that explains allocated units, so that the promises of the data hold."""
    with db.connection() as conn:
        conn.execute(
            "WITH r AS (INSERT INTO reservation (reservation_id, channel_id, expires_at, actor)"
            " VALUES (gen_random_uuid(), 1, 'infinity', 0) RETURNING reservation_id)"
            " INSERT INTO reservation_line SELECT reservation_id, 1, %s, %s, %s FROM r",
            (item_id, node_id, units),
        )


def test_one_event_names_the_positions_that_changed(shop):
    apply(shop, Entry(2, 1, "receipt", 1), Entry(1, 4, "receipt", 1), Entry(3, 3, "damage", 1))
    with shop.connection() as conn:
        (event,) = settled(conn)
    assert (event.kind, event.origin) == ("stock.changed", shop.origin)
    assert event.data == {"items": [1, 2], "nodes": [4, 1]}


entries = st.builds(
    Entry,
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from(["receipt", "adjustment", "count", "damage", "restore", "transfer_out", "return"]),
    st.integers(-3, 6),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(entries, max_size=8), max_size=4))
def test_the_database_agrees_with_the_rules(shop, batches):
    with shop.connection() as conn:
        conn.execute("TRUNCATE stock_position, ledger_entry")
    model = {}
    for batch in batches:
        changed, outcomes = fold(model, batch)
        results = apply(shop, *batch)
        assert [r.status == "applied" for r in results] == [isinstance(o, Applied) for o in outcomes]
        model |= changed
    assert {(p.item_id, p.node_id): p for p in positions(shop)} == model


def test_writers_that_open_and_change_the_same_positions_in_any_order_neither_block_nor_lose(shop):
    """8 clients, 25 batches each over the same 20 positions, half of them in reverse order."""
    start = threading.Barrier(8)

    def client(number):
        start.wait()
        for n in range(25):
            keys = [(i, k) for i in range(1, 11) for k in (1, 2)]
            if (number + n) % 2:
                keys.reverse()
            for result in apply(shop, *(Entry(i, k, "receipt", 1) for i, k in keys)):
                assert result.status == "applied"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(8)))
    assert {p.on_hand for p in positions(shop)} == {200}
    assert len(positions(shop)) == 20


def test_the_last_units_are_taken_once(shop):
    """16 clients race for 10 units over two positions, in reverse order."""
    apply(shop, Entry(1, 1, "receipt", 10), Entry(2, 1, "receipt", 10))

    def take(n):
        pair = [Entry(1, 1, "transfer_out", 1), Entry(2, 1, "transfer_out", 1)]
        return [r.status for r in apply(shop, *(pair if n % 2 else reversed(pair)))]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(take, range(32)))
    assert sum(a.count("applied") for a in answers) == 20
    assert [p.on_hand for p in positions(shop)] == [0, 0]


def test_only_positions_that_exist_are_locked(shop):
    apply(shop, Entry(1, 1, "receipt", 3))
    held = shop.transact(lambda c: lock_positions(c, [(1, 2), (1, 1), (1, 1)]))
    assert held == {(1, 1): Position(1, 1, 3, version=1)}
