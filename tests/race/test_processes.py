"""Two server processes on one database: what one has done binds the other, to the unit and word for word."""

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from onhand.bench.under_test import ApiProcess, serving
from onhand.flows.expire_reservations import expire_reservations

from .clients import (
    Answer,
    Client,
    at_once,
    check,
    deadlocks,
    order,
    receive,
    rows,
    seconds_until_sellable,
    set_up,
    stock,
    take_turns,
)

ROUNDS = 12


@pytest.fixture
def processes(dsn, tmp_path):
    """Two servers, started at once."""
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack:
        with ThreadPoolExecutor(2) as pool:
            started = list(pool.map(lambda folder: stack.enter_context(serving(dsn, folder)), folders))
        yield started


def connect(processes: list[ApiProcess]) -> list[Client]:
    """A connection to each, with one API key for both: keys of requests are apart by caller."""
    return [Client(f"127.0.0.1:{api.port}", processes[0].key) for api in processes]


@pytest.fixture
def pair(processes):
    return connect(processes)


def set_up_both(pair: list[Client], *items: str, **units: int) -> None:
    """Set up through one; the other has heard of it."""
    a, b = pair
    set_up(a, items, **units)
    for sku in items:
        seconds_until_sellable(b, sku)


def settled(client: Client, path: str, body: object, key: str | None) -> Answer:
    """The answer to a request that is sent again for as long as the first one with its key is under way."""
    while True:
        answer = client.ask("POST", path, body, key)
        if answer.status != 409 or answer.code != "idempotency.in_flight":
            return answer
        assert answer.retry_after is not None
        threading.Event().wait(answer.retry_after)


def ask_both(pair: list[Client], path: str, body: object, key: str | None) -> list[Answer]:
    return at_once([lambda c=c: settled(c, path, body, key) for c in pair])


def once_for_both(pair: list[Client], path: str, body: object, key: str) -> dict:
    """The one answer to a request that both are sent at once; one of them has done it, and both repeat it."""
    first, second = ask_both(pair, path, body, key)
    assert first.status in (200, 201), (path, body, first)
    assert (first.status, first.text) == (second.status, second.text), (path, body)
    # The rows of a batch are idempotent by themselves: at once, neither need know that the other has answered.
    assert first.is_replay + second.is_replay == 1 or (path.endswith("/batch") and not second.is_replay), path
    for client in pair:
        again = client.ask("POST", path, body, key)
        assert (again.status, again.text, again.is_replay) == (first.status, first.text, True), (path, body)
    return json.loads(first.text)


def adjustment(sku: str, units: int) -> dict:
    return {"entries": [{"kind": "adjustment", "sku": sku, "node": "berlin", "quantity": units}]}


def hold(sku: str, units: int, ttl_s: int = 900) -> dict:
    return {"channel": "web", "lines": [{"sku": sku, "quantity": units}], "ttl_s": ttl_s}


def of_line(units: int) -> dict:
    return {"lines": [{"line_id": "1", "quantity": units}]}


def paths(placed: dict) -> tuple[str, str]:
    """Where to cancel an order, and where to ship its only fulfilment."""
    (fulfilment,) = placed["fulfilments"]
    return f"/v1/orders/{placed['order_id']}/cancel", f"/v1/fulfilments/{fulfilment['fulfilment_id']}/ship"


def test_one_request_sent_to_both_at_once_takes_effect_once(pair, dsn):
    """Every kind that has no name but its key, and orders, which have one besides."""
    set_up_both(pair, "A", "B", "C", "D", berlin=1000)
    for n in range(ROUNDS):
        assert (
            once_for_both(pair, "/v1/stock/entries", adjustment("A", 1), f"k{n}")["results"][0]["on_hand"] == 1001 + n
        )

        placed = once_for_both(pair, "/v1/orders", order(f"o{n}", ("B", 4)), f"k{n}")
        batch = {"orders": [order(f"b{n}-{m}", ("B", 1)) for m in range(3)]}
        results = once_for_both(pair, "/v1/orders/batch", batch, f"k{n}")["results"]
        assert [row["status"] for row in results] == ["sourced"] * 3

        cancel, ship = paths(placed)
        once_for_both(pair, ship, of_line(1), f"k{n}")
        once_for_both(pair, cancel, of_line(1), f"k{n}")
        back = {"order_id": placed["order_id"], "node": "berlin", "disposition": "restock"} | of_line(1)
        once_for_both(pair, "/v1/returns", back, f"k{n}")

        held = once_for_both(pair, "/v1/reservations", hold("C", 1), f"k{n}")
        once_for_both(pair, f"/v1/reservations/{held['reservation_id']}/extend", {"ttl_s": 60_000}, f"k{n}")

        supply = [{"sku": "D", "quantity": 5, "expected_at": "2035-01-01T08:00:00Z"}]
        once_for_both(pair, "/v1/inbound", {"reference": f"PO-{n}", "node": "berlin", "lines": supply}, f"k{n}")
    # Of the four units of each order one has left and come back, one is cancelled, two are still promised.
    assert stock(dsn) == {
        "A": (1000 + ROUNDS, 0, 0), "B": (1000, 5 * ROUNDS, 0), "C": (1000, ROUNDS, 0), "D": (1000, 0, 0),
    }  # fmt: skip
    counts = "SELECT (SELECT count(*) FROM {}), (SELECT count(DISTINCT {}) FROM {})"
    for table, name, each in (
        ("orders", "external_id", 4), ("reservation", "reservation_id", 1), ("shipment", "order_id", 1),
        ("inbound", "reference", 1),
    ):  # fmt: skip
        assert rows(dsn, counts.format(table, name, table)) == [(each * ROUNDS, each * ROUNDS)], table
    events = dict(rows(dsn, "SELECT kind, count(*) FROM event WHERE kind LIKE 'reservation.%%' GROUP BY kind"))
    assert events == {"reservation.active": ROUNDS, "reservation.extended": ROUNDS}
    assert deadlocks(dsn) == 0
    check(dsn)


def test_a_key_that_one_has_seen_is_refused_for_another_body_by_the_other(pair, dsn):
    """One after the other, then both at once: the first body counts, the other has no effect."""
    a, b = pair
    set_up_both(pair, "A", "B", "C", "D", berlin=1000)
    done: Counter[str] = Counter()
    for n in range(ROUNDS):
        one, two = (a, b) if n % 2 else (b, a)
        shipping, cancelling = (one.call("POST", "/v1/orders", order(f"{k}{n}", (sku, 9)))
                                for k, sku in (("s", "C"), ("c", "D")))  # fmt: skip
        done["C"] += 9
        done["D"] += 9
        for name, path, body in (
            ("adjusted", "/v1/stock/entries", lambda units: adjustment("A", units)),
            ("ordered", "/v1/orders", lambda units, n=n: order(f"o{n}-{units}", ("B", units))),
            ("reserved", "/v1/reservations", lambda units: hold("B", units)),
            ("shipped", paths(shipping)[1], of_line),
            ("cancelled", paths(cancelling)[0], of_line),
        ):
            first = one.ask("POST", path, body(1), f"{name}{n}")
            assert first.status in (200, 201), (path, first)
            for client in (two, one):
                refused = client.ask("POST", path, body(2), f"{name}{n}")
                assert (refused.status, refused.code) == (422, "idempotency.key_reused"), (path, refused)
            again = two.ask("POST", path, body(1), f"{name}{n}")
            assert (again.text, again.is_replay) == (first.text, True), path

            bodies = [body(3), body(4)]
            rivals = at_once(
                [
                    lambda c=c, p=path, x=x, k=f"{name}{n}'": settled(c, p, x, k)
                    for c, x in zip(pair, bodies, strict=True)
                ]
            )
            won = [answer.status in (200, 201) for answer in rivals]
            assert sorted(won) == [False, True], (path, rivals)
            lost = rivals[won.index(False)]
            assert (lost.status, lost.code) == (422, "idempotency.key_reused"), (path, lost)
            done[name] += 1 + (3 if won[0] else 4)
            done[f"{name} by the first"] += won[0]

        # A batch is refused by its key before its rows are looked at.
        batches = [{"orders": [order(f"x{n}-{m}", ("B", 1))]} for m in range(2)]
        assert one.ask("POST", "/v1/orders/batch", batches[0], f"batch{n}").status == 200
        refused = two.ask("POST", "/v1/orders/batch", batches[1], f"batch{n}")
        assert (refused.status, refused.code) == (422, "idempotency.key_reused")
        done["ordered"] += 1
    assert stock(dsn) == {
        "A": (1000 + done["adjusted"], 0, 0),
        "B": (1000, done["ordered"] + done["reserved"], 0),
        "C": (1000 - done["shipped"], done["C"] - done["shipped"], 0),
        "D": (1000, done["D"] - done["cancelled"], 0),
    }
    firsts = sum(units for name, units in done.items() if name.endswith("by the first"))
    assert 0 < firsts < 5 * ROUNDS, "one process always came first: nothing was raced"
    assert rows(dsn, "SELECT count(*) FROM orders") == [(5 * ROUNDS,)]
    assert rows(dsn, "SELECT count(*) FROM reservation") == [(2 * ROUNDS,)]
    check(dsn)


def test_a_key_under_way_is_told_by_both_and_free_again_when_that_came_to_nothing(processes, pair, dsn):
    """Who began first hangs and then fails: others are told 409 with the time to wait, and then one of them does it."""
    a, _ = pair
    set_up_both(pair, "A", "B", "C", berlin=100)
    shipping, cancelling = (
        a.call("POST", "/v1/orders", order(name, (sku, 9))) for name, sku in (("s", "B"), ("c", "C"))
    )
    requests = [
        ("POST /v1/stock/entries", adjustment("A", 1)),
        ("/v1/orders", order("o", ("A", 2))),
        ("/v1/reservations", hold("A", 3)),
        (f"POST {paths(shipping)[1]}", of_line(1)),
        (f"POST {paths(cancelling)[0]}", of_line(1)),
    ]
    ((actor,),) = rows(dsn, "SELECT DISTINCT actor FROM orders")

    def under_way(connections: list[Client]) -> list[Answer]:
        return at_once(
            [lambda c=c, r=r, b=b: c.ask("POST", r.removeprefix("POST "), b, "stuck")
             for (r, b), c in zip([r for r in requests for _ in pair], connections, strict=True)]
        )  # fmt: skip

    connections = [client for _ in requests for client in connect(processes)]
    with psycopg.connect(dsn) as first:
        claim = (
            "INSERT INTO idempotency (actor, route, key, body_hash, status, answer) VALUES (%s, %s, 'stuck', '', 0, '')"
        )
        for route, _ in requests:
            first.execute(claim, (actor, route))
        for answer in under_way(connections):
            assert (answer.status, answer.code) == (409, "idempotency.in_flight"), answer
            assert answer.retry_after is not None
            assert answer.retry_after >= 1
        first.rollback()
    assert stock(dsn) == {"A": (100, 0, 0), "B": (100, 9, 0), "C": (100, 9, 0)}
    answers = under_way(connections)
    for (route, _), one, two in zip(requests, answers[::2], answers[1::2], strict=True):
        assert one.status in (200, 201), (route, one)
        assert (one.status, one.text, one.is_replay + two.is_replay) == (two.status, two.text, 1), route
    assert stock(dsn) == {"A": (101, 5, 0), "B": (99, 8, 0), "C": (100, 8, 0)}
    check(dsn)


def test_cancelling_through_one_and_shipping_through_the_other(processes, pair, dsn):
    """Each is also sent twice, to both: four requests, of which one takes effect, or two that can."""
    others = connect(processes)

    def race(placed: dict, cancelled: object, shipped: object) -> list[Answer]:
        """Answers to: cancel, cancel, ship, ship."""
        order_id = placed["order_id"]
        cancel, ship = paths(placed)
        return at_once(
            [lambda c=c: settled(c, cancel, cancelled, f"c{order_id}") for c in pair]
            + [lambda c=c: settled(c, ship, shipped, f"s{order_id}") for c in others]
        )

    set_up_both(pair, "ALL", "PART", "MORE", berlin=1000)
    wins: Counter[tuple[str, str]] = Counter()
    for n in range(ROUNDS):
        placing = pair[n % 2]
        # All of it, or more than there is for both: one wins.
        for sku, cancelled, shipped in (("ALL", None, None), ("MORE", of_line(2), of_line(2))):
            placed = placing.call("POST", "/v1/orders", order(f"{sku}{n}", (sku, 3)))
            answers = race(placed, cancelled, shipped)
            cancels, ships = answers[:2], answers[2:]
            assert cancels[0].text == cancels[1].text, cancels
            assert ships[0].text == ships[1].text, ships
            assert sorted((cancels[0].status, ships[0].status)) == [200, 409], answers
            winner, twins, losers = ("ship", ships, cancels) if ships[0].status == 200 else ("cancel", cancels, ships)
            wins[sku, winner] += 1
            assert sum(a.is_replay for a in twins) == 1
            assert not any(a.is_replay for a in losers)
            if sku == "ALL":
                for client in pair:
                    status = client.call("GET", f"/v1/orders/{placed['order_id']}")["status"]
                    assert status == ("shipped" if winner == "ship" else "cancelled")
        # Enough for both: both are done, each once.
        placed = placing.call("POST", "/v1/orders", order(f"PART{n}", ("PART", 3)))
        answers = race(placed, of_line(1), of_line(2))
        assert [a.status for a in answers] == [200] * 4, answers
        assert [sum(a.is_replay for a in twins) for twins in (answers[:2], answers[2:])] == [1, 1]
    all_shipped, more_shipped = wins["ALL", "ship"], wins["MORE", "ship"]
    assert stock(dsn) == {
        "ALL": (1000 - 3 * all_shipped, 0, 0),
        "PART": (1000 - 2 * ROUNDS, 0, 0),
        "MORE": (1000 - 2 * more_shipped, ROUNDS, 0),
    }
    found = rows(
        dsn, "SELECT sku, cancelled, shipped, count(*)::int FROM order_line JOIN item USING (item_id) GROUP BY 1, 2, 3"
    )
    assert {tuple(row) for row in found} == {
        row
        for row in (
            ("ALL", 3, 0, ROUNDS - all_shipped), ("ALL", 0, 3, all_shipped), ("PART", 1, 2, ROUNDS),
            ("MORE", 2, 0, ROUNDS - more_shipped), ("MORE", 0, 2, more_shipped),
        ) if row[3]
    }  # fmt: skip
    assert rows(dsn, "SELECT count(*) FROM shipment") == [(all_shipped + more_shipped + ROUNDS,)]
    assert deadlocks(dsn) == 0
    check(dsn)


@contextmanager
def sweeping(db) -> Iterator[None]:
    """A third who ends reservations whose time is over, all the time; both processes do so every second."""
    stop = threading.Event()

    def sweep() -> None:
        while not stop.wait(0.001):
            expire_reservations(db)

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def hold_until_soon(client: Client, dsn: str, sku: str, n: int) -> str:
    """Reserve two units whose time is over in a moment, a different one each time."""
    return end_soon(dsn, client.call("POST", "/v1/reservations", hold(sku, 2))["reservation_id"], n)


def end_soon(dsn: str, reservation_id: str, n: int) -> str:
    """Let the time of a reservation be over in a moment."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        soon = "UPDATE reservation SET expires_at = now() + %s * interval '1 ms' WHERE reservation_id = %s"
        conn.execute(soon, (5 * (n % 6), reservation_id))
    return reservation_id


def test_one_reservation_extended_used_and_expired_through_different_processes(pair, db, dsn):
    """All units there are. Whoever comes first, they are sold once, and an extension that was granted holds."""
    set_up_both(pair, "A", berlin=2)
    pair[0].call("POST", "/v1/orders", order("first", ("A", 2)))
    ends: Counter[tuple[str, bool]] = Counter()
    with sweeping(db):
        for n in range(3 * ROUNDS):
            one, two = pair if n % 2 else pair[::-1]
            receive(one, ["A"], berlin=2)
            reservation_id = hold_until_soon(one, dsn, "A", n)
            wanted = order(f"o{n}", ("A", 2), reservation_id=reservation_id)
            extended, placed = at_once(
                [
                    lambda c=one, r=reservation_id: c.ask("POST", f"/v1/reservations/{r}/extend", {"ttl_s": 600}),
                    lambda c=two, w=wanted: c.call("POST", "/v1/orders", w),
                ]
            )  # fmt: skip
            assert placed["status"] == "sourced", placed
            ((status,),) = rows(dsn, "SELECT status FROM reservation WHERE reservation_id = %s", reservation_id)
            assert status in ("used", "expired")
            if extended.status == 200:
                assert status == "used", "it was extended, and expired all the same"
            else:
                assert (extended.status, extended.code) in (
                    (409, "reservation.expired"), (409, "reservation.used"),
                ), extended  # fmt: skip
            ends[status, extended.status == 200] += 1
    assert {status for status, _ in ends} == {"used", "expired"}, f"nothing was raced: {ends}"
    assert stock(dsn) == {"A": (6 * ROUNDS + 2, 6 * ROUNDS + 2, 0)}
    assert rows(dsn, "SELECT status, count(*) FROM orders GROUP BY status") == [("sourced", 3 * ROUNDS + 1)]
    check(dsn)


def test_reserved_units_go_to_one_of_those_who_want_them(pair, db, dsn):
    """Another buyer, through the other process: he gets them when the time was over first, else the holder. Of two
    orders with one reservation that still holds, one has it."""
    a, _ = pair
    set_up_both(pair, "A", "B", berlin=2)
    for sku in ("A", "B"):
        a.call("POST", "/v1/orders", order(f"first {sku}", (sku, 2)))
    got: Counter[str] = Counter()
    taken = 0
    with sweeping(db):
        for n in range(2 * ROUNDS):
            one, two = pair if n % 2 else pair[::-1]
            receive(one, ["A"], berlin=2)
            while (held := one.ask("POST", "/v1/reservations", hold("A", 2))).code == "stock.insufficient":
                # A worker has just come by and served one who waits from an earlier round.
                receive(one, ["A"], berlin=2)
                taken += 1
            assert held.status == 201, held
            reservation_id = end_soon(dsn, json.loads(held.text)["reservation_id"], n)
            wanted = [
                order(f"holder {n}", ("A", 2), reservation_id=reservation_id, allow_backorder=False),
                order(f"buyer {n}", ("A", 2), allow_backorder=False),
            ]
            answers = at_once(
                [
                    lambda c=c, w=w: c.call("POST", "/v1/orders", w)["status"]
                    for c, w in zip((two, one), wanted, strict=True)
                ]
            )
            # Who waits in vain is served by a worker once there are units: perhaps by these.
            assert answers in (["sourced", "unfillable"], ["unfillable", "sourced"], ["unfillable"] * 2), answers
            got["holder" if answers[0] == "sourced" else "buyer"] += 1
    assert got["holder"], got
    for n in range(ROUNDS):
        receive(a, ["B"], berlin=2)
        reservation_id = a.call("POST", "/v1/reservations", hold("B", 2))["reservation_id"]
        wanted = [order(f"{who} {n}", ("B", 2), reservation_id=reservation_id) for who in ("one", "two")]
        answers = at_once([lambda c=c, w=w: c.ask("POST", "/v1/orders", w) for c, w in zip(pair, wanted, strict=True)])
        assert sorted(answer.status for answer in answers) == [201, 409], answers
        for answer in answers:
            assert answer.status == 201 or answer.code == "reservation.used", answer
    served = dict(rows(dsn, "SELECT sku, count(*) FROM orders JOIN order_line USING (order_id)"
                            " JOIN item USING (item_id) WHERE status = 'sourced' GROUP BY sku"))  # fmt: skip
    assert served == {"A": 2 * ROUNDS + taken + 1, "B": ROUNDS + 1}
    units = 2 * (2 * ROUNDS + taken) + 2
    assert stock(dsn) == {"A": (units, units, 0), "B": (2 * ROUNDS + 2, 2 * ROUNDS + 2, 0)}
    check(dsn)


def test_the_last_units_of_a_hot_item_are_sold_once_through_both(processes, pair, dsn):
    """300 units; both processes get the same 600 orders and 60 reservations, one by one and in batches, each its own
    way. Every order and reservation is answered alike by both, and there is no deadlock: a repeat that meets the first
    at the other process and holds the stock which that one waits for gives way, is tried again and finds the answer."""
    set_up_both(pair, "HOT", berlin=150, munich=90, hamburg=60)
    bodies = {f"o{n}": order(f"o{n}", ("HOT", 1 + n % 2)) for n in range(600)}
    holds = {f"h{n}": hold("HOT", 1 + n % 2) for n in range(60)}

    def shuffled(seed: int) -> tuple[list[tuple[str, object, str | None]], list[list[str]]]:
        """Requests, and the names of what each asks for."""
        rng = random.Random(seed)
        names = [*bodies, *holds]
        rng.shuffle(names)
        requests: list[tuple[str, object, str | None]] = []
        groups: list[list[str]] = []
        while names:
            name = names.pop()
            if name in holds:
                groups.append([name])
                requests.append(("/v1/reservations", holds[name], name))
            elif len(requests) % 5:
                groups.append([name])
                requests.append(("/v1/orders", bodies[name], name if len(requests) % 2 else None))
            else:
                groups.append([name, *(other for other in names[-20:] if other in bodies)])
                names[-20:] = [other for other in names[-20:] if other in holds]
                requests.append(
                    ("/v1/orders/batch", {"orders": [bodies[other] for other in groups[-1]]}, f"{name} {seed}")
                )
        return requests, groups

    works = [shuffled(seed) for seed in (1, 2)]
    answers = at_once(
        [
            lambda n=n: take_turns(lambda: connect(processes)[n], 16, works[n][0])
            for n in range(2)
        ]
    )  # fmt: skip
    given: dict[str, list[str]] = {name: [] for name in (*bodies, *holds)}
    for (requests, groups), texts in zip(works, answers, strict=True):
        for (path, _, _), group, (status, text) in zip(requests, groups, texts, strict=True):
            if path == "/v1/reservations" and status == 409:
                assert json.loads(text)["code"] == "stock.insufficient", text
                given[group[0]].append("refused")
                continue
            assert status == (200 if path == "/v1/orders/batch" else 201), (path, status, text)
            results = json.loads(text)["results"] if path == "/v1/orders/batch" else [json.loads(text)]
            for name, result in zip(group, results, strict=True):
                # Five seconds after it began to wait for the other, on a slow machine, it says so: as it asks for.
                is_held = result.get("code") == "idempotency.in_flight"
                ended = pair[0].call("POST", "/v1/orders", bodies[name]) if is_held else result
                given[name].append(json.dumps(ended, sort_keys=True))
    assert {len(texts) for texts in given.values()} == {2}
    assert {name: texts for name, texts in given.items() if texts[0] != texts[1]} == {}

    sold = held = 0
    ends: Counter[str] = Counter()
    for name, (text, _) in given.items():
        if name in holds:
            ends["refused" if text == "refused" else "held"] += 1
            held += 0 if text == "refused" else holds[name]["lines"][0]["quantity"]
        else:
            status = json.loads(text)["status"]
            ends[status] += 1
            sold += bodies[name]["lines"][0]["quantity"] if status == "sourced" else 0
    assert ends.keys() == {"sourced", "unfillable", "held", "refused"}, ends
    assert sold + held == 300
    assert stock(dsn) == {"HOT": (300, 300, 0)}
    assert rows(dsn, "SELECT sum(quantity)::int FROM fulfilment_line") == [(sold,)]
    assert rows(dsn, "SELECT sum(quantity)::int FROM reservation_line") == [(held,)]
    assert rows(dsn, "SELECT count(*), count(DISTINCT external_id) FROM orders") == [(600, 600)]
    assert deadlocks(dsn) == 0
    check(dsn)
