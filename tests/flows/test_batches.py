"""What one request of a batch does to the others: nothing. Keys sent twice, orders the database refuses, keys and rows
that others hold."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import msgspec
import psycopg
import pytest

from onhand.errors import Conflict, DatabaseUnavailable, IdempotencyInFlight, IdempotencyKeyReused, Overloaded
from onhand.flows.intake import prepare
from onhand.flows.place_orders import LOCK_TIMEOUT, Desk, Patience, Placed
from onhand.flows.reserve import Holder, Reserved, prepare_hold
from onhand.network.compiled import read_document
from onhand.orders.intake import ReservationIn

FAST, EXACT = {}, {"hold": "why"}  # an order that must wait for a person is decided under lock


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("onhand.flows.place_orders._LOCK_TIMEOUT_MS", 300, raising=False)


@pytest.fixture
def desk(merchant):
    with closing(Desk(merchant.state)) as desk:
        yield desk


@pytest.fixture
def holder(merchant):
    with closing(Holder(merchant.state)) as holder:
        yield holder


def intake(merchant, external_id, key=None, units=1, actor=7, sku="A", **extra):
    request = merchant.request([(sku, units)], "berlin", {"external_id": external_id} | extra)
    return prepare(merchant.state, request, actor=actor, key=key, now=merchant.now)


def hold(merchant, key=None, units=1, actor=7, sku="A"):
    request = msgspec.convert({"channel": "web", "lines": [{"sku": sku, "quantity": units}]}, ReservationIn)
    return prepare_hold(merchant.state, request, actor=actor, key=key)


def ids(answers, name="order_id"):
    """Their ids in the place of answers; exceptions as their class."""
    return [json.loads(a.answer)[name] if isinstance(a, (Placed, Reserved)) else type(a) for a in answers]


def count(merchant, table):
    return merchant.rows(f"SELECT count(*) FROM {table}")[0][0]


@contextmanager
def held(merchant, sql, *parameters):
    """Another process's transaction that has done this and goes on."""
    with merchant.db.connect() as other, other.transaction(force_rollback=True):
        other.execute(sql, parameters)
        yield


KEY = "INSERT INTO idempotency (actor, route, key, body_hash, status, answer) VALUES (7, %s, %s, 'x', 0, '')"
NAME = (
    "INSERT INTO orders (order_id, channel_id, external_id, body_hash, status, currency, placed_at, request, lines,"
    " actor) VALUES (gen_random_uuid(), 1, %s, 'x', 'held', 'EUR', now(), '{}', '[]', 0)"
)


@pytest.mark.parametrize("way", [FAST, EXACT], ids=["fast", "exact"])
def test_a_key_twice_in_a_batch_is_answered_from_the_first(merchant, desk, way):
    merchant.stock("berlin", A=20)
    batch = [
        intake(merchant, "1", "k", **way),
        intake(merchant, "innocent", **way),
        intake(merchant, "1", "k", **way),
        intake(merchant, "2", "k", **way),
        intake(merchant, "1", "other", **way),
        intake(merchant, "2", "k", actor=8, **way),
        intake(merchant, "1", units=2, **way),
    ]
    answers = desk.place(batch)
    one, innocent, same, _, named, two, _ = found = ids(answers)
    assert [found[3], found[6]] == [IdempotencyKeyReused, IdempotencyKeyReused]
    assert one == same == named
    assert len({one, innocent, two}) == 3
    assert [a.answer for a in answers[2:5:2]] == [answers[0].answer] * 2
    assert [a.replayed for a in answers if isinstance(a, Placed)] == [False, False, True, True, False]
    assert count(merchant, "orders") == 3


def test_the_same_key_hundreds_of_times_at_once_places_one_order(merchant, desk):
    merchant.stock("berlin", A=20)
    began = time.monotonic()
    answers = desk.place([intake(merchant, "1" if n % 3 else str(n), "k") for n in range(1, 451)])
    assert time.monotonic() - began < 10
    first, *rest = ids(answers)
    assert rest == [first if n % 3 else IdempotencyKeyReused for n in range(2, 451)]
    assert count(merchant, "orders") == 1


@pytest.mark.parametrize("seed", range(20))
def test_every_order_of_a_batch_is_answered_once_whatever_names_it_has(merchant, desk, seed):
    """Names, keys and bodies drawn from few: an order stands once, and who asks for it hears of it."""
    merchant.stock("berlin", A=30)
    rng = random.Random(seed)
    told: dict[object, set[str]] = {}
    for _ in range(3):
        batch = [
            intake(
                merchant, str(rng.randrange(8)), rng.choice([None, "a", "b", "c"]), rng.randrange(1, 3),
                rng.choice([7, 8]), **rng.choice([FAST, FAST, EXACT]),
            )
            for _ in range(30)
        ]  # fmt: skip
        answers = desk.place(batch)
        assert len(answers) == len(batch)
        assert {type(a) for a in answers} <= {Placed, IdempotencyKeyReused}
        for asked, answer, order_id in zip(batch, answers, ids(answers), strict=True):
            if isinstance(answer, Placed):
                told.setdefault(asked.external_id, set()).add(order_id)
                if asked.key is not None and not answer.replayed:
                    told.setdefault((asked.actor, asked.key), set()).add(order_id)
                stands = merchant.rows("SELECT external_id, body_hash FROM orders WHERE order_id = %s", order_id)
                assert stands == [(asked.external_id, asked.hash)]
    assert all(len(orders) == 1 for orders in told.values()), told
    assert set().union(*told.values()) == {str(i) for (i,) in merchant.rows("SELECT order_id FROM orders")}


@pytest.mark.parametrize("way", [FAST, EXACT], ids=["fast", "exact"])
def test_an_order_the_database_refuses_fails_alone(merchant, desk, way):
    merchant.stock("berlin", A=30)
    with merchant.db.connection() as conn:
        conn.execute("ALTER TABLE orders ADD CONSTRAINT none_of_these CHECK (external_id NOT LIKE 'bad%')")
    names = [*map(str, range(9)), "bad-1", *map(str, range(9, 14)), "bad-2"]
    answers = desk.place([intake(merchant, name, f"k-{name}", **way) for name in names])
    assert [isinstance(a, psycopg.errors.CheckViolation) for a in answers] == [n.startswith("bad") for n in names]
    assert len({*ids(answers)}) == 15
    placed = merchant.rows("SELECT external_id, order_id::text FROM orders")
    assert dict(placed) == {n: i for n, i in zip(names, ids(answers), strict=True) if isinstance(i, str)}
    assert merchant.position("A", "berlin")[2] == 14
    # Nothing of a refused order stays behind.
    assert isinstance(desk.place([intake(merchant, "after", "k-bad-1", **way)])[0], Placed)


def test_an_order_that_cannot_be_worded_fails_alone(merchant, desk, monkeypatch):
    merchant.stock("berlin", A=30)
    batch = [intake(merchant, str(n)) for n in range(5)]
    batch[3].placed_us = 2**70
    answers = desk.place(batch)
    assert [isinstance(a, Placed) for a in answers] == [True, True, True, False, True]
    assert isinstance(answers[3], OverflowError)
    assert count(merchant, "orders") == 4


def test_a_reservation_the_database_refuses_fails_alone(merchant, holder):
    merchant.stock("berlin", A=30)
    with merchant.db.connection() as conn:
        conn.execute("ALTER TABLE reservation_line ADD CONSTRAINT none_of_these CHECK (quantity <> 3)")
    holds = [hold(merchant, f"k{n}", units) for n, units in enumerate([1, 2, 3, 1, 90, 1])]
    answers = holder.reserve(holds)
    kinds = [Reserved, Reserved, psycopg.errors.CheckViolation, Reserved, Conflict, Reserved]
    assert [type(a) for a in answers] == kinds
    assert count(merchant, "reservation") == 4
    assert merchant.position("A", "berlin")[2] == 5


@pytest.mark.parametrize("way", [FAST, EXACT], ids=["fast", "exact"])
@pytest.mark.parametrize(
    ("sql", "parameters"), [(KEY, ("/v1/orders", "k-held")), (NAME, ("held",))], ids=["key", "name"]
)
def test_an_order_that_another_process_is_placing_is_in_flight_and_stops_nobody(merchant, desk, way, sql, parameters):
    merchant.stock("berlin", A=30)
    names = [*map(str, range(9)), "held", *map(str, range(9, 13))]
    batch = [intake(merchant, name, f"k-{name}", **way) for name in names]
    batch.append(intake(merchant, "held", "k-held", **way))
    began = time.monotonic()
    with held(merchant, sql, *parameters):
        answers = desk.place(batch)
    assert time.monotonic() - began < 5
    assert [type(a) for a in answers] == [IdempotencyInFlight if k.external_id == "held" else Placed for k in batch]
    assert merchant.position("A", "berlin")[2] == 13
    (after,) = desk.place([intake(merchant, "held", "k-held", **way)])
    assert not after.replayed
    assert count(merchant, "orders") == 14


def test_a_reservation_in_flight_elsewhere_stops_nobody(merchant, holder):
    merchant.stock("berlin", A=30)
    holds = [hold(merchant, key) for key in ["a", "held", "b", None, "held", "c"]]
    began = time.monotonic()
    with held(merchant, KEY, "/v1/reservations", "held"):
        answers = holder.reserve(holds)
    assert time.monotonic() - began < 5
    kinds = [Reserved, IdempotencyInFlight, Reserved, Reserved, IdempotencyInFlight, Reserved]
    assert [type(a) for a in answers] == kinds
    assert count(merchant, "reservation") == 4
    (after,) = holder.reserve([hold(merchant, "held")])
    assert not after.replayed


def test_who_is_outdone_is_told_so(merchant, desk, holder, monkeypatch):
    monkeypatch.setattr("onhand.flows.place_orders._PATIENCE_S", 0.5)
    merchant.stock("berlin", A=30)
    with held(merchant, "SELECT FROM stock_position FOR UPDATE"):
        answers = desk.place([intake(merchant, str(n), f"k{n}") for n in range(3)]) + holder.reserve([hold(merchant)])
    assert [type(a) for a in answers] == [Overloaded] * 4
    assert "others kept changing or holding the same stock; nothing was written" in str(answers[0])
    assert count(merchant, "orders") == count(merchant, "reservation") == 0


@pytest.mark.parametrize(
    ("sql", "parameters"), [(KEY, ("/v1/orders", "k-late")), (NAME, ("late",))], ids=["key", "name"]
)
def test_who_holds_stock_gives_way_to_who_holds_the_name(merchant, desk, monkeypatch, sql, parameters):
    """The guarded statement of a rival claims keys and names, then stock: under lock it is the other way round. That
    circle is left before PostgreSQL has to break it."""
    monkeypatch.setattr("onhand.flows.place_orders._LOCK_TIMEOUT_MS", 60_000)
    given_up = []
    ends = Patience.ends
    monkeypatch.setattr(Patience, "ends", lambda self, error: given_up.append(error.sqlstate) or ends(self, error))
    merchant.stock("berlin", A=30)
    with closing(merchant.db.connect()) as rival, ThreadPoolExecutor(1) as pool:
        rival.execute("BEGIN")
        rival.execute(sql, parameters)
        placing = pool.submit(desk.place, [intake(merchant, "late", "k-late", **EXACT)])
        with merchant.db.connection() as conn:
            while not conn.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
                assert not placing.done()
        rival.execute("SELECT FROM stock_position FOR UPDATE")
        rival.execute("ROLLBACK")
        (answer,) = placing.result()
    assert isinstance(answer, Placed), answer
    assert given_up == [LOCK_TIMEOUT]


def test_rows_that_are_held_for_a_while_are_waited_for(merchant, desk):
    """Longer than one look takes: only keys are given up early."""
    merchant.stock("berlin", A=30)
    with closing(merchant.db.connect()) as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM stock_position FOR UPDATE")
        other.execute("SET idle_in_transaction_session_timeout = 1200")
        answers = desk.place([intake(merchant, str(n)) for n in range(3)])
    assert [type(a) for a in answers] == [Placed] * 3


def test_orders_go_on_after_a_transaction_was_undone(merchant, desk):
    """Whatever psycopg forgets about the connection then."""
    merchant.stock("berlin", A=30)
    for n in range(10):  # until psycopg has prepared what it sends
        desk.place([intake(merchant, f"early {n}", **EXACT)])
    with closing(merchant.db.connect()) as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM stock_position FOR UPDATE")
        other.execute("SET idle_in_transaction_session_timeout = 700")
        answers = desk.place([intake(merchant, "late", **EXACT)])
    for name, way in (("fast", FAST), ("exact", EXACT), ("fast again", FAST)):
        answers += desk.place([intake(merchant, name, **way)])
    assert [type(a) for a in answers] == [Placed] * 4


def test_a_reservation_is_not_told_before_it_is_committed(merchant, holder):
    merchant.stock("berlin", A=30)
    merchant.state.snapshot.available[1, 1] = (
        0  # so that it is decided under lock, and committed by a statement of its own
    )
    with merchant.db.connection() as conn:
        conn.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM count(*) FROM generate_series(1, 100000);"
            " RETURN NULL; END $$"
        )
        conn.execute(
            "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON reservation DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION die()"
        )
    (answer,) = holder.reserve([hold(merchant, "k")])
    assert isinstance(answer, DatabaseUnavailable)
    assert count(merchant, "reservation") == 0


def test_many_second_looks_at_the_network_read_it_once(merchant, monkeypatch):
    reads = []
    monkeypatch.setattr("onhand.flows.state.read_document", lambda conn: reads.append(1) or read_document(conn))
    asked = time.monotonic()
    for _ in range(3):
        merchant.state.reload_network(since=asked)
    assert len(reads) == 1
    merchant.state.reload_network(since=time.monotonic())
    merchant.state.reload_network()
    assert len(reads) == 3
