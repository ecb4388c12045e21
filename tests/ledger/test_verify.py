"""What was damaged by hand is found; counters are made again, the ledger is not."""

import threading
from uuid import uuid4

import pytest
from tests.batches import begin_orders
from tests.events import settled

from onhand.base.actor import SYSTEM
from onhand.ledger.model import Entry
from onhand.ledger.store import apply_entries
from onhand.ledger.verify import rebuild, verify


@pytest.fixture
def busy(shop):
    """Some positions with a history, and a reservation that explains what is allocated."""
    ref = uuid4()

    def work(conn):
        apply_entries(
            conn,
            [
                Entry(1, 1, "receipt", 20),
                Entry(1, 1, "damage", 2),
                Entry(1, 1, "allocate", 15, ref=ref),
                Entry(1, 1, "count", 12),
                Entry(1, 2, "receipt", 7),
                Entry(1, 2, "adjustment", -3),
                Entry(2, 1, "count", 0),
                Entry(2, 1, "receipt", 5),
                Entry(2, 1, "transfer_out", 5),
            ],
            actor=SYSTEM,
            origin=0,
        )
        conn.execute("INSERT INTO reservation VALUES (%s, 1, 'active', 'infinity', now(), NULL, 0)", (ref,))
        conn.execute("INSERT INTO reservation_line VALUES (%s, 1, 1, 1, 15)", (ref,))

    shop.transact(work)
    return shop


def check(db):
    with db.connection() as conn:
        return verify(conn)


def repair(db):
    with db.connection() as conn:
        return rebuild(conn)


def everything(db):
    with db.connection() as conn:
        return [
            conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2".encode()).fetchall()
            for table in ("stock_position", "ledger_entry", "capacity_day", "inbound_line")
        ]


def damage(db, statement):
    with db.connection() as conn:
        conn.execute("ALTER TABLE stock_position DROP CONSTRAINT IF EXISTS available_is_never_negative")
        assert conn.execute(statement.encode()).rowcount == 1


def test_a_healthy_database_has_no_differences_and_nothing_to_repair(busy):
    seen = []
    with busy.connection() as conn:
        assert verify(conn, lambda name, done, of: seen.append((name, done, of))) == []
        views = conn.execute("SELECT count(*) FROM pg_views WHERE viewname LIKE 'invariant%'").fetchone()
    assert [done for _, done, _ in seen] == list(range(len(seen)))
    assert seen[-1][1:] == (views[0], views[0])
    assert repair(busy) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stock_position SET on_hand = on_hand + 1 WHERE (item_id, node_id) = (1, 1)",
        "UPDATE stock_position SET unavailable = unavailable + 256 WHERE (item_id, node_id) = (1, 1)",
        "UPDATE stock_position SET allocated = 0 WHERE (item_id, node_id) = (1, 1)",
        "UPDATE stock_position SET oversold = 0 WHERE (item_id, node_id) = (1, 1)",
        "UPDATE stock_position SET on_hand = 9 WHERE (item_id, node_id) = (2, 1)",
        "UPDATE stock_position SET version = version + 1 WHERE (item_id, node_id) = (1, 2)",
        "UPDATE stock_position SET version = version - 1, on_hand = 1 WHERE (item_id, node_id) = (1, 2)",
        "DELETE FROM stock_position WHERE (item_id, node_id) = (1, 2)",
        "INSERT INTO stock_position (item_id, node_id, on_hand) VALUES (3, 3, 3)",
    ],
)
def test_a_damaged_counter_is_found_and_made_again_exactly(busy, statement):
    before = everything(busy)
    damage(busy, statement)
    found = check(busy)
    assert [d.is_repairable for d in found if "sum_of_its_entries" in d.check] == [True]
    assert repair(busy) == 1
    after = everything(busy)
    if statement.startswith("INSERT"):
        before[0].append((3, 3, 0, 0, 0, 0, None, 0))  # a position without history is empty
    assert after == before
    assert check(busy) == []


@pytest.mark.broken_invariants
@pytest.mark.parametrize(
    "statement",
    [
        *(
            f"UPDATE ledger_entry SET {column} = {column} + 1 WHERE (item_id, node_id, version) = (1, 1, 2)"
            for column in (
                "quantity", "d_on_hand", "d_unavailable", "d_allocated", "d_oversold",
                "on_hand", "unavailable", "allocated", "oversold",
            )
        ),
        "UPDATE ledger_entry SET item_id = 9 WHERE (item_id, node_id, version) = (1, 1, 2)",
        "UPDATE ledger_entry SET node_id = 5 WHERE (item_id, node_id, version) = (1, 1, 2)",
        "UPDATE ledger_entry SET version = 99 WHERE (item_id, node_id, version) = (1, 1, 2)",
        "UPDATE ledger_entry SET kind = 'restore' WHERE (item_id, node_id, version) = (1, 1, 2)",
        # consistent in itself and with its neighbours: the position is the witness
        "UPDATE ledger_entry SET quantity = -2, d_on_hand = -2, on_hand = 5"
        " WHERE (item_id, node_id, version) = (1, 2, 2)",
        "DELETE FROM ledger_entry WHERE (item_id, node_id, version) = (1, 1, 1)",
        "DELETE FROM ledger_entry WHERE (item_id, node_id, version) = (1, 1, 3)",
        "DELETE FROM ledger_entry WHERE (item_id, node_id, version) = (1, 2, 2)",
    ],
)  # fmt: skip
def test_a_damaged_or_lost_entry_is_found(busy, statement):
    damage(busy, statement)
    found = check(busy)
    assert found
    if "quantity = -2" in statement:
        return  # which of the two is wrong cannot be told
    assert not all(d.is_repairable for d in found)
    before = everything(busy)
    repair(busy)
    after = everything(busy)
    assert after == before, "a position is not made from a damaged ledger"
    assert check(busy) == found


def test_capacity_and_promised_supply_are_made_again(busy):
    with busy.connection() as conn:
        conn.execute("UPDATE node SET capacity_orders = 10 WHERE node_id <= 2")
        conn.execute("INSERT INTO capacity_day VALUES (1, '2026-03-02', 3, 4, 5)")
        conn.execute("INSERT INTO inbound (inbound_id, reference, node_id, actor) VALUES (%s, 'PO', 1, 0)", (uuid4(),))
        conn.execute("INSERT INTO inbound_line SELECT inbound_id, 1, 1, 1, 10, 0, 4, now(), 1 FROM inbound")
    assert len(check(busy)) == 2
    assert all(d.is_repairable for d in check(busy))
    assert repair(busy) == 2
    assert check(busy) == []
    with busy.connection() as conn:
        assert conn.execute("SELECT orders, lines, units FROM capacity_day").fetchall() == [(0, 0, 0)]
        assert conn.execute("SELECT promised FROM inbound_line").fetchall() == [(0,)]


def test_who_keeps_a_picture_of_the_stock_is_told_of_the_repair(busy):
    damage(busy, "UPDATE stock_position SET on_hand = 9 WHERE (item_id, node_id) = (2, 1)")
    with busy.connection() as conn:
        before = settled(conn)
        rebuild(conn)
        (event,) = settled(conn, before[-1].cursor)
    assert (event.kind, event.data) == ("stock.changed", {"items": [2], "nodes": [1]})


def test_writers_wait_while_counters_are_made_again(busy):
    damage(busy, "UPDATE stock_position SET on_hand = 9 WHERE (item_id, node_id) = (2, 1)")
    results = []

    def write():
        entries = [Entry(2, 1, "receipt", 1)]
        results.extend(busy.transact(lambda c: apply_entries(c, entries, actor=SYSTEM, origin=0)))

    with busy.connection() as conn, conn.transaction():
        assert rebuild(conn) == 1
        thread = threading.Thread(target=write)
        thread.start()
        while not conn.execute(
            "SELECT FROM pg_locks WHERE NOT granted AND relation = 'stock_position'::regclass"
        ).rowcount:
            pass
        assert results == []
    thread.join()
    assert results[0].on_hand == 1


@pytest.mark.broken_invariants
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders WHERE order_id = %s",
        "UPDATE orders SET created_at = created_at + interval '1 us' WHERE order_id = %s",
        "UPDATE orders SET channel_id = 2 WHERE order_id = %s",
    ],
)
def test_an_order_that_a_batch_tells_of_and_that_is_not_there_is_found(db, statement):
    ids = db.transact(lambda conn: begin_orders(conn, ["a", "b", "c"]))
    assert check(db) == []
    with db.connection() as conn:
        assert conn.execute(statement.encode(), (ids[1],)).rowcount == 1
    found = [d.row["order_id"] for d in check(db) if d.check == "invariant_orders_told_of_are_there"]
    assert [str(order_id) for order_id in found] == [ids[1]]


@pytest.mark.broken_invariants
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE plan_sheet SET orders = array_remove(orders, %s::uuid)",
        "UPDATE plan_sheet SET at = at + interval '1 us' WHERE %s = ANY (orders)",
    ],
)
def test_an_order_without_a_first_plan_is_found(db, statement):
    ids = db.transact(lambda conn: begin_orders(conn, ["a", "b", "c"]))
    assert check(db) == []
    with db.connection() as conn:
        assert conn.execute(statement.encode(), (ids[1],)).rowcount == 1
    found = [str(d.row["order_id"]) for d in check(db) if d.check == "invariant_orders_have_a_first_plan"]
    assert sorted(found) == ([ids[1]] if "array_remove" in statement else sorted(ids))
