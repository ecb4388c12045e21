"""A reservation ends exactly once, and its units come back exactly then."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.events import settled

from onhand.base.actor import SYSTEM, Actor
from onhand.errors import Conflict, NotFound
from onhand.flows.expire_reservations import expire_reservations
from onhand.flows.release_reservation import extend_reservation, release_reservation
from onhand.ledger import reservations
from onhand.ledger.decide import decide_entry
from onhand.ledger.model import Entry, Position
from onhand.ledger.store import apply_entries, lock_positions

BY = Actor(key_id=3)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def stocked(shop):
    """100 units of each item at N1 and N2, and the channel that sells them."""
    with shop.connection() as conn:
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (1, 'web', 'Web', 'EUR')")
    entries = [Entry(i, n, "receipt", 100) for i in range(1, 11) for n in (1, 2)]
    shop.transact(lambda c: apply_entries(c, entries, actor=SYSTEM, origin=0))
    return shop


def hold(db, *lines, expires=NOW, ref=None):
    """A reservation of (item_id, node_id, units), as the hot path writes it."""
    ref = ref or uuid4()

    def work(conn):
        conn.execute("INSERT INTO reservation VALUES (%s, 1, 'active', %s, now(), NULL, 0)", (ref, expires))
        for n, line in enumerate(lines, 1):
            conn.execute("INSERT INTO reservation_line VALUES (%s, %s, %s, %s, %s)", (ref, n, *line))
        entries = [Entry(i, n, "allocate", q, ref=ref) for i, n, q in lines]
        results = apply_entries(conn, entries, actor=SYSTEM, origin=0)
        assert all(r.status == "applied" for r in results)

    db.transact(work)
    return ref


def position(db, item_id, node_id):
    with db.connection() as conn:
        row = conn.execute(
            "SELECT item_id, node_id, on_hand, unavailable, allocated, oversold, version"
            " FROM stock_position WHERE (item_id, node_id) = (%s, %s)",
            (item_id, node_id),
        ).fetchone()
    return Position(*row)


def status(db, ref):
    with db.connection() as conn:
        return reservations.find_reservation(conn, ref).status


def kinds(db):
    with db.connection() as conn:
        return [e.kind for e in settled(conn) if e.kind != "stock.changed"]


def test_only_what_is_due_expires(stocked):
    due = hold(stocked, (1, 1, 5), (2, 2, 3), expires=NOW)
    later = hold(stocked, (1, 1, 7), expires=NOW + timedelta(microseconds=1))
    swept = expire_reservations(stocked, now=NOW)
    assert swept.reservation_ids == [due]
    assert swept.positions == [(1, 1), (2, 2)]
    assert [status(stocked, r) for r in (due, later)] == ["expired", "active"]
    assert position(stocked, 1, 1).allocated == 7
    assert position(stocked, 2, 2).allocated == 0
    assert kinds(stocked) == ["reservation.expired"]
    assert expire_reservations(stocked, now=NOW).reservation_ids == []


def test_a_sweep_goes_on_until_nothing_is_due(stocked):
    refs = [hold(stocked, (1, 1, 1), expires=NOW - timedelta(seconds=n)) for n in range(7)]
    swept = expire_reservations(stocked, now=NOW, most=3)
    assert sorted(swept.reservation_ids) == sorted(refs)
    assert position(stocked, 1, 1).allocated == 0
    with stocked.connection() as conn:
        events = [e.subject for e in settled(conn) if e.kind == "reservation.expired"]
    assert sorted(events) == sorted(str(r) for r in refs)


def test_without_a_moment_the_clock_of_the_database_counts(stocked):
    due = hold(stocked, (1, 1, 1), expires=datetime.now(UTC) - timedelta(seconds=1))
    hold(stocked, (1, 1, 1), expires=datetime.now(UTC) + timedelta(hours=1))
    assert expire_reservations(stocked).reservation_ids == [due]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 6)), min_size=1, max_size=3),
        min_size=1, max_size=5,
    ),
    st.integers(0, 40),
)  # fmt: skip
def test_the_sweep_follows_the_rules_entry_by_entry(stocked, holds, found):
    """The set-based sweep against `decide_entry`, with units gone missing before it."""
    with stocked.connection() as conn:
        conn.execute("TRUNCATE stock_position, ledger_entry, reservation, reservation_line, event")
    entries = [Entry(i, n, "receipt", 100) for i in (1, 2) for n in (1, 2)]
    stocked.transact(lambda c: apply_entries(c, entries, actor=SYSTEM, origin=0))
    refs = [hold(stocked, *lines, ref=UUID(int=n)) for n, lines in enumerate(holds, 1)]
    stocked.transact(lambda c: apply_entries(c, [Entry(1, 1, "count", found)], actor=SYSTEM, origin=0))
    model = stocked.transact(lambda c: lock_positions(c, [(i, n) for i in (1, 2) for n in (1, 2)]))
    for lines in holds:
        for i, n, units in lines:
            model[i, n] = decide_entry(model[i, n], "expire", units).after

    assert expire_reservations(stocked, now=NOW).reservation_ids == refs
    assert {key: position(stocked, *key) for key in model} == model
    with stocked.connection() as conn:
        for view in ("invariant_ledger_is_unbroken", "invariant_entry_means_what_it_says"):
            assert conn.execute(f"SELECT * FROM {view}".encode()).fetchall() == []


def test_a_reservation_is_released_once(stocked):
    ref = hold(stocked, (1, 1, 5), (1, 2, 2))
    first = release_reservation(stocked, ref, BY)
    assert (first.reservation.status, first.positions) == ("released", [(1, 1), (1, 2)])
    assert first.reservation.channel == "web"
    assert [(n.sku, n.node, n.quantity) for n in first.reservation.lines] == [("A", "N1", 5), ("A", "N2", 2)]
    again = release_reservation(stocked, ref, BY)
    assert (again.reservation, again.positions) == (first.reservation, [])
    assert position(stocked, 1, 1).allocated == 0
    assert kinds(stocked) == ["reservation.released"]
    with stocked.connection() as conn:
        assert conn.execute(
            "SELECT kind, quantity, actor, ref FROM ledger_entry WHERE kind = 'release' ORDER BY entry_id"
        ).fetchall() == [("release", 5, 3, ref), ("release", 2, 3, ref)]


def test_what_an_order_has_used_cannot_be_released_or_extended(stocked):
    ref = hold(stocked, (1, 1, 5))

    def use(conn):
        assert reservations.lock_reservation(conn, ref) == "active"
        return reservations.end_reservation(conn, ref, "used", actor=BY, origin=0)

    assert stocked.transact(use) == [(1, 1)]
    for change in (
        lambda: release_reservation(stocked, ref, BY),
        lambda: extend_reservation(stocked, ref, 60, BY, now=NOW),
    ):
        with pytest.raises(Conflict) as refused:
            change()
        assert refused.value.code == "reservation.used"


def test_an_unknown_reservation_is_not_found(stocked):
    for change in (
        lambda: release_reservation(stocked, uuid4(), BY),
        lambda: extend_reservation(stocked, uuid4(), 60, BY),
    ):
        with pytest.raises(NotFound) as refused:
            change()
        assert refused.value.code == "reservation.not_found"


def test_an_extension_counts_from_now_and_never_shortens(stocked):
    ref = hold(stocked, (1, 1, 5), expires=NOW + timedelta(seconds=100))
    longer = extend_reservation(stocked, ref, 900, BY, now=NOW)
    assert longer.expires_at == NOW + timedelta(seconds=900)
    assert extend_reservation(stocked, ref, 10, BY, now=NOW).expires_at == longer.expires_at
    assert expire_reservations(stocked, now=NOW + timedelta(seconds=899)).reservation_ids == []
    assert kinds(stocked) == ["reservation.extended"] * 2


def test_what_is_over_cannot_be_extended_even_before_the_sweep(stocked):
    ref = hold(stocked, (1, 1, 5), expires=NOW)
    for _ in range(2):
        with pytest.raises(Conflict) as refused:
            extend_reservation(stocked, ref, 60, BY, now=NOW)
        assert refused.value.code == "reservation.expired"
        expire_reservations(stocked, now=NOW)


def test_the_sweep_passes_over_what_somebody_is_deciding_about(stocked):
    held, free = (hold(stocked, (1, 1, 1)) for _ in range(2))
    with stocked.connection() as conn, conn.transaction():
        reservations.lock_reservation(conn, held)
        assert expire_reservations(stocked, now=NOW).reservation_ids == [free]
    assert expire_reservations(stocked, now=NOW).reservation_ids == [held]


def test_extensions_orders_releases_and_sweeps_race_and_one_wins(stocked):
    """60 reservations; an order, an extension, a release and two sweeps go for each at once."""
    refs = [hold(stocked, (n % 3 + 1, 1, 1), (1 + (n + 1) % 3, 2, 1), expires=NOW) for n in range(60)]
    outcomes = {ref: [] for ref in refs}
    start = threading.Barrier(5)

    def use(ref):
        def work(conn):
            if reservations.lock_reservation(conn, ref) != "active":
                return []
            return reservations.end_reservation(conn, ref, "used", actor=BY, origin=0)

        if stocked.transact(work):
            outcomes[ref].append("used")

    def release(ref):
        try:
            if release_reservation(stocked, ref, BY).positions:
                outcomes[ref].append("released")
        except Conflict:
            pass

    def extend(ref):
        try:  # it is due at NOW: a second earlier there is still time
            extend_reservation(stocked, ref, 1, BY, now=NOW - timedelta(seconds=1))
        except Conflict as refused:
            assert refused.code != "reservation.active"

    def sweep(_):
        for ref in expire_reservations(stocked, now=NOW, most=4).reservation_ids:
            outcomes[ref].append("expired")

    def client(number):
        mine = list(refs)
        random.Random(number).shuffle(mine)
        start.wait()
        for ref in mine:
            (use, release, extend, sweep, sweep)[number](ref)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(client, range(5)))
    assert {ref: len(o) for ref, o in outcomes.items()} == dict.fromkeys(refs, 1)
    assert all(status(stocked, ref) == outcome for ref, (outcome,) in outcomes.items())
    assert sum(position(stocked, i, n).allocated for i in (1, 2, 3) for n in (1, 2)) == 0
    with stocked.connection() as conn:
        ((entries,),) = conn.execute("SELECT count(*) FROM ledger_entry WHERE kind IN ('release', 'expire')")
    assert entries == 120
