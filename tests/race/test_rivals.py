"""Two that want the same order, fulfilment or reservation: one of them gets it, and the sums are those of one."""

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
import pytest

from onhand.app import App
from onhand.base.actor import SYSTEM
from onhand.flows.expire_reservations import expire_reservations
from onhand.flows.intake import prepare
from onhand.flows.place_orders import place_exactly
from onhand.flows.repair_oversell import repair_oversold
from onhand.flows.source_again import source_waiting
from onhand.ledger.intake import EntryIn
from onhand.orders.intake import OrderIn
from onhand.settings import Settings

from .clients import Client, at_once, check, order, receive, rows, set_up, stock

ROUNDS = 50


@pytest.fixture
def clients(server):
    """Two connections to one server."""
    return [Client(server.base_url.removeprefix("http://"), server.admin_key) for _ in range(2)]


def paths(placed):
    """Where to cancel an order, and where to ship its only fulfilment."""
    (fulfilment,) = placed["fulfilments"]
    return f"/v1/orders/{placed['order_id']}/cancel", f"/v1/fulfilments/{fulfilment['fulfilment_id']}/ship"


def test_of_cancelling_and_shipping_all_of_it_one_wins(clients, dsn):
    one, two = clients
    set_up(one, ["A"], berlin=ROUNDS)
    wins: Counter[str] = Counter()
    for n in range(ROUNDS):
        placed = one.call("POST", "/v1/orders", order(f"o{n}", ("A", 1)))
        cancel, ship = paths(placed)
        (cancelled, _), (shipped, _) = at_once(
            [
                lambda path=cancel: one.send("POST", path),
                lambda path=ship: two.send("POST", path),
            ]
        )
        assert sorted((cancelled, shipped)) == [200, 409]
        wins["ship" if shipped == 200 else "cancel"] += 1
        status = one.call("GET", f"/v1/orders/{placed['order_id']}")["status"]
        assert status == ("shipped" if shipped == 200 else "cancelled")
    assert stock(dsn) == {"A": (ROUNDS - wins["ship"], 0, 0)}
    entries = dict(rows(dsn, "SELECT kind, count(*) FROM ledger_entry GROUP BY kind"))
    assert entries == {"receipt": 1, "allocate": ROUNDS} | {
        kind: wins[win] for kind, win in (("ship", "ship"), ("release", "cancel")) if wins[win]
    }
    check(dsn)


def test_cancelling_some_units_while_the_others_are_shipped_does_both(clients, dsn):
    """Three units: one is cancelled while two are shipped. Who comes second finds exactly its own left."""
    one, two = clients
    set_up(one, ["A"], berlin=3 * ROUNDS)
    for n in range(ROUNDS):
        placed = one.call("POST", "/v1/orders", order(f"o{n}", ("A", 3)))
        cancel, ship = paths(placed)
        answers = at_once(
            [
                lambda path=cancel: one.send("POST", path, {"lines": [{"line_id": "1", "quantity": 1}]}),
                lambda path=ship: two.send("POST", path, {"lines": [{"line_id": "1", "quantity": 2}]}),
            ]
        )
        assert [status for status, _ in answers] == [200, 200], answers
    assert stock(dsn) == {"A": (ROUNDS, 0, 0)}
    assert rows(dsn, "SELECT DISTINCT quantity, cancelled, shipped FROM order_line") == [(3, 1, 2)]
    check(dsn)


def test_the_same_units_are_shipped_once(clients, dsn):
    """Two workers scan the same parcel."""
    one, _ = clients
    set_up(one, ["A"], berlin=2 * ROUNDS)
    for n in range(ROUNDS):
        placed = one.call("POST", "/v1/orders", order(f"o{n}", ("A", 2)))
        _, path = paths(placed)
        answers = at_once([lambda path=path, c=c: c.send("POST", path) for c in clients])
        assert sorted(status for status, _ in answers) == [200, 409], answers
    assert stock(dsn) == {"A": (0, 0, 0)}
    check(dsn)


def test_a_reservation_ends_by_its_order_or_by_its_time_and_its_order_is_served(clients, server, dsn):
    """All units there are: an order whose reservation was swept away a moment before finds them on the shelf."""
    (client, _), app = clients, server.app
    set_up(client, ["A"])
    wins: Counter[str] = Counter()
    for n in range(ROUNDS):
        receive(client, ["A"], berlin=2)
        lines = [{"sku": "A", "quantity": 2}]
        held = client.call("POST", "/v1/reservations", {"channel": "web", "lines": lines, "ttl_s": 60})
        later = app.state.now() + timedelta(minutes=5)
        request = order(f"o{n}", ("A", 2), reservation_id=held["reservation_id"])
        swept, placed = at_once(
            [
                lambda later=later: expire_reservations(app.db, now=later).reservation_ids,
                lambda request=request: client.call("POST", "/v1/orders", request),
            ]
        )
        assert placed["status"] == "sourced", placed
        wins["expired" if swept else "used"] += 1
    assert stock(dsn) == {"A": (2 * ROUNDS, 2 * ROUNDS, 0)}
    assert dict(rows(dsn, "SELECT status, count(*) FROM reservation GROUP BY status")) == wins
    check(dsn)


def test_the_same_request_sent_twice_at_once_is_answered_alike(clients, dsn):
    """With a reservation, without, as a batch, and a reservation itself by its key: there is one, and both are told."""
    one, _ = clients
    set_up(one, ["A"], berlin=3 * ROUNDS)
    held = {"channel": "web", "lines": [{"sku": "A", "quantity": 1}]}
    for n in range(ROUNDS):
        reservations = at_once([lambda c=c, n=n: c.send("POST", "/v1/reservations", held, f"k{n}") for c in clients])
        assert reservations[0] == reservations[1]
        assert reservations[0][0] == 201, reservations
        reservation_id = json.loads(reservations[0][1])["reservation_id"]
        reserved = order(f"r{n}", ("A", 1), reservation_id=reservation_id)
        plain = order(f"p{n}", ("A", 1))
        for path, body in (("/v1/orders", reserved), ("/v1/orders", plain), ("/v1/orders/batch", {"orders": [plain]})):
            answers = at_once([lambda c=c, p=path, b=body: c.send("POST", p, b) for c in clients])
            assert answers[0] == answers[1]
            assert answers[0][0] in (200, 201), answers
    assert stock(dsn) == {"A": (3 * ROUNDS, 2 * ROUNDS, 0)}
    assert rows(dsn, "SELECT status, count(*) FROM reservation GROUP BY status") == [("used", ROUNDS)]
    check(dsn)


def test_an_order_that_waited_behind_its_twin_is_answered_at_once(clients, server, monkeypatch):
    """Others always hold the rows of a hot item; who waits for them must not have to start again."""
    client, state = clients[0], server.app.state
    set_up(client, ["A"], berlin=5)
    monkeypatch.setattr("onhand.flows.place_orders._ATTEMPTS", 1)
    request = msgspec.convert(order("o1", ("A", 1)), OrderIn)

    def intake():
        return prepare(state, request, actor=1, key=None, now=state.now())

    with state.db.connect() as first, state.db.connect() as second:
        with ThreadPoolExecutor() as pool, first.transaction():
            (placed,) = place_exactly(state, first, [intake()], own=set())
            waiting = pool.submit(place_exactly, state, second, [intake()], own=set())
            while not blocked(state.db, second):
                assert not waiting.done()
        (again,) = waiting.result()
    assert (again.answer, again.replayed) == (placed.answer, True)


def blocked(db, conn):
    """Whether the connection waits for a lock."""
    with db.connection() as other:
        (blockers,) = other.execute("SELECT pg_blocking_pids(%s)", (conn.info.backend_pid,)).fetchone()
    return bool(blockers)


def test_workers_share_what_there_is_to_do(clients, server, dsn):
    """Two processes' worth of sweeps, all at once: each order is served once, each promise withdrawn once, each
    reservation ended once, and nothing more is withdrawn than is missing."""
    client, _ = clients
    set_up(client, ["WAIT", "SHORT", "HELD"], berlin=0)
    receive(client, ["SHORT"], berlin=120)
    receive(client, ["HELD"], berlin=40)
    for n in range(40):
        waits = client.call("POST", "/v1/orders", order(f"w{n}", ("WAIT", 1), allow_backorder=False))
        assert waits["status"] == "unfillable"
        assert client.call("POST", "/v1/orders", order(f"s{n}", ("SHORT", 3)))["status"] == "sourced"
        held = {"channel": "web", "lines": [{"sku": "HELD", "quantity": 1}], "ttl_s": 60}
        client.call("POST", "/v1/reservations", held)
    receive(client, ["WAIT"], munich=25, hamburg=15)
    receive(client, ["SHORT"], munich=120)
    # Of what was promised 50 units are gone, those of 16 orders and two of a 17th; nobody has done anything about it.
    lost = EntryIn(kind="count", sku="SHORT", node="berlin", quantity=70)
    assert len(server.app.record([lost], SYSTEM).oversold) == 1
    later = server.app.state.now() + timedelta(minutes=5)
    done: Counter[str] = Counter()

    def until_nothing_is_left(name: str, step: Callable[[], int]) -> None:
        # Twice in a row: what another one holds just now is left out.
        give_up_at, idle = time.monotonic() + 30, 0
        while idle < 2:
            assert time.monotonic() < give_up_at, f"{name} never ends: {done}"
            count = step()
            done[name] += count
            idle = 0 if count or _is_left(dsn, name) else idle + 1

    with App.open(Settings(database_url=dsn)) as other:
        works: list[Callable[[], None]] = []
        for app in (server.app, other):
            works += [
                lambda app=app: until_nothing_is_left("waiting", lambda: source_waiting(app.state, limit=7)),
                lambda app=app: until_nothing_is_left("oversold", lambda: repair_oversold(app.state)),
                lambda app=app: until_nothing_is_left(
                    "reserved", lambda: len(expire_reservations(app.db, now=later, most=7).reservation_ids)
                ),
            ]
        at_once(works)
    assert stock(dsn) == {"WAIT": (40, 40, 0), "SHORT": (190, 120, 0), "HELD": (40, 0, 0)}
    assert done == {"waiting": 40, "oversold": 17, "reserved": 40}
    short = "SELECT allocated FROM stock_position JOIN item USING (item_id) WHERE sku = 'SHORT' ORDER BY 1"
    assert rows(dsn, short) == [(50,), (70,)]
    assert rows(dsn, "SELECT status, count(*) FROM orders GROUP BY status") == [("sourced", 80)]
    assert rows(dsn, "SELECT count(*) FROM fulfilment WHERE status IN ('cancelled', 'rejected')") == [(16,)]
    assert rows(dsn, "SELECT count(*) FROM event WHERE kind = 'reservation.expired'") == [(40,)]
    kinds = dict(rows(dsn, "SELECT kind, count(*) FROM ledger_entry GROUP BY kind"))
    assert kinds["expire"] == 40
    check(dsn)


_LEFT = {
    "waiting": "SELECT count(*) FROM queue_line",
    "oversold": "SELECT count(*) FROM stock_position WHERE oversold > 0",
    "reserved": "SELECT count(*) FROM reservation WHERE status = 'active'",
}


def _is_left(dsn: str, name: str) -> bool:
    return rows(dsn, _LEFT[name])[0][0] > 0
