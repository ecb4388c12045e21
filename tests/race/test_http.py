"""Races through the public interface, on the real server as processes of their own: exact sums, and nobody is told of
a deadlock."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from onhand.app import App
from onhand.bench.under_test import serving
from onhand.settings import Settings

from .clients import (
    NODES,
    at_once,
    check,
    client_of,
    deadlocks,
    order,
    receive,
    rows,
    seconds_until_sellable,
    set_up,
    stock,
    take_turns,
)


@pytest.fixture
def api(dsn, tmp_path):
    with serving(dsn, tmp_path) as process:
        yield process


@contextmanager
def working(dsn: str) -> Iterator[None]:
    """A worker meanwhile, which repairs what requests leave."""
    stop = threading.Event()
    with App.open(Settings(database_url=dsn)) as app:
        worker = threading.Thread(target=app.run_worker, args=(stop,))
        worker.start()
        try:
            yield
        finally:
            stop.set()
            worker.join()


def test_the_last_units_of_a_hot_item_are_sold_once_each(api, dsn):
    """500 units, 64 clients, 2,000 orders of which 500 are sent again; one by one and in batches."""
    rng = random.Random(1)
    client = client_of(api)
    set_up(client, ["HOT"], berlin=250, munich=150, hamburg=100)
    bodies = {f"o{n}": order(f"o{n}", ("HOT", 1)) for n in range(1_500)}
    sent = [*bodies, *rng.sample(list(bodies), 500)]
    rng.shuffle(sent)
    requests: list[tuple[str, object, str | None]] = []
    names: list[list[str]] = []
    while sent:
        size = 1 if len(requests) % 5 else min(len(sent), 40)
        names.append([sent.pop() for _ in range(size)])
        requests.append(
            ("/v1/orders", bodies[names[-1][0]], None)
            if size == 1
            else ("/v1/orders/batch", {"orders": [bodies[name] for name in names[-1]]}, None)
        )
    given: dict[str, set[str]] = {}
    for (path, _, _), group, (status, text) in zip(
        requests, names, take_turns(lambda: client_of(api), 64, requests), strict=True
    ):
        assert status == (201 if path == "/v1/orders" else 200), text
        results = [json.loads(text)] if status == 201 else json.loads(text)["results"]
        for name, result in zip(group, results, strict=True):
            given.setdefault(name, set()).add(json.dumps(result, sort_keys=True))
    assert given.keys() == bodies.keys()
    assert {name: answers for name, answers in given.items() if len(answers) > 1} == {}
    answers = [json.loads(*texts) for texts in given.values()]
    assert Counter(a["status"] for a in answers) == {"sourced": 500, "unfillable": 1_000}
    assert len({a["order_id"] for a in answers}) == 1_500
    assert stock(dsn) == {"HOT": (500, 500, 0)}
    assert rows(dsn, "SELECT count(*), count(DISTINCT external_id) FROM orders") == [(1_500, 1_500)]
    assert rows(dsn, "SELECT sum(quantity) FROM fulfilment_line") == [(500,)]
    check(dsn)


def test_orders_over_the_same_items_in_reverse_order_end_without_deadlock(dsn, tmp_path):
    """16 clients; half name the items forwards, half backwards, with reservations among them."""
    items = [f"I{n}" for n in range(8)]
    with serving(dsn, tmp_path) as api:
        set_up(client_of(api), items, berlin=60, munich=50, hamburg=40)
        requests: list[tuple[str, object, str | None]] = []
        for n in range(480):
            rng = random.Random(n)
            lines = [(sku, rng.randrange(1, 3)) for sku in items if rng.random() < 0.6] or [(items[0], 1)]
            if n % 2:
                lines.reverse()
            if n % 8 == 7:
                held = [{"sku": sku, "quantity": units} for sku, units in lines]
                requests.append(("/v1/reservations", {"channel": "web", "lines": held}, None))
            else:
                requests.append(("/v1/orders", order(f"o{n}", *lines), None))
        answers = take_turns(lambda: client_of(api), 16, requests)
    wanted: Counter[str] = Counter()
    for (path, body, _), (status, text) in zip(requests, answers, strict=True):
        assert status in ((201,) if path == "/v1/orders" else (201, 409)), text
        if status == 201 and json.loads(text).get("status", "held") in ("sourced", "held"):
            for line in body["lines"]:
                wanted[line["sku"]] += line["quantity"]
    sold = [json.loads(text)["status"] for status, text in answers if status == 201 and "status" in json.loads(text)]
    assert set(sold) == {"sourced", "unfillable"}, "there was enough for everybody, or for nobody"
    assert {sku: allocated for sku, (_, allocated, _) in stock(dsn).items()} == wanted
    assert deadlocks(dsn) == 0
    check(dsn)


def test_two_processes_sell_the_same_stock_and_follow_each_other(dsn, tmp_path):
    with ExitStack() as stack:
        folders = [tmp_path / name for name in "ab"]
        for folder in folders:
            folder.mkdir()
        first, second = apis = [stack.enter_context(serving(dsn, folder)) for folder in folders]
        a, b = map(client_of, apis)
        set_up(a, ["SCARCE"], berlin=200, munich=100)
        seconds_until_sellable(b, "SCARCE")

        # The same orders, sent to both at once.
        requests = [("/v1/orders", order(f"o{n}", ("SCARCE", 1)), None) for n in range(400)]
        both = at_once(
            [
                lambda: take_turns(lambda: client_of(first), 8, requests),
                lambda: take_turns(lambda: client_of(second), 8, requests[::-1]),
            ]
        )
        both[1].reverse()
        assert both[0] == both[1]
        status = Counter(json.loads(text)["status"] for _, text in both[0])
        assert status == {"sourced": 300, "unfillable": 100}
        assert stock(dsn) == {"SCARCE": (300, 300, 0)}

        # What comes in through one is sold through the other.
        waits = []
        for n in range(10):
            sku = f"NEW-{n}"
            a.call("PUT", f"/v1/items/{sku}", {"name": sku})
            receive(a, [sku], berlin=1)
            waits.append(seconds_until_sellable(b, sku))
            assert b.call("POST", "/v1/orders", order(sku, (sku, 1)))["status"] == "sourced"
        assert sorted(waits)[len(waits) // 2] < 1.0, waits

        # A node that one opens, the other sends orders to; an item that one changes into a bundle is one for the other.
        a.call("PUT", "/v1/items/PAIR", {"name": "pair", "components": [{"sku": "NEW-0", "quantity": 2}]})
        receive(a, ["NEW-0"], hamburg=2)
        seconds_until_sellable(b, "PAIR")
        answer = b.call("POST", "/v1/orders", order("pair", ("PAIR", 1)))
        assert [(f["node"], f["lines"]) for f in answer["fulfilments"]] == [
            ("hamburg", [{"line_id": "1", "sku": "NEW-0", "quantity": 2}])
        ]
    assert {sku: units[:2] for sku, units in stock(dsn).items()} == {
        "SCARCE": (300, 300), "NEW-0": (3, 3), **{f"NEW-{n}": (1, 1) for n in range(1, 10)},
    }  # fmt: skip
    check(dsn)


def test_counts_take_units_away_while_orders_come_and_nodes_ship(dsn, tmp_path):
    """Oversells arise and are repaired; in the end every promise has its unit, and what was shipped was there."""
    items = [f"I{n}" for n in range(4)]
    with serving(dsn, tmp_path) as api, working(dsn):
        set_up(client_of(api), items, berlin=60, munich=60, hamburg=60)
        shipped: Counter[str] = Counter()
        done = threading.Event()

        def sell(number: int) -> None:
            shop, rng = client_of(api), random.Random(number)
            for n in range(60):
                lines = [(sku, rng.randrange(1, 4)) for sku in rng.sample(items, 2)]
                assert shop.send("POST", "/v1/orders", order(f"{number}-{n}", *lines))[0] == 201

        def ship(node: str) -> None:
            worker = client_of(api)
            while True:
                was_done = done.is_set()
                work = worker.call("GET", f"/v1/fulfilments?node={node}&limit=20")["data"]
                for fulfilment in work[::2]:
                    status, text = worker.send("POST", f"/v1/fulfilments/{fulfilment['fulfilment_id']}/ship")
                    assert status in (200, 409), text
                    if status == 200:
                        for line in json.loads(text)["lines"]:
                            shipped[line["sku"]] += line["quantity"]
                if was_done:
                    return

        def count() -> None:
            counter, rng = client_of(api), random.Random(9)
            while not done.is_set():
                receive(counter, rng.sample(items, 2), "count", **{rng.choice(NODES): rng.randrange(1, 40)})

        def sell_all() -> None:
            try:
                at_once([lambda n=n: sell(n) for n in range(4)])
            finally:
                done.set()

        at_once([sell_all, count, *(lambda node=node: ship(node) for node in NODES)])
        oversells = rows(dsn, "SELECT count(*) FROM ledger_entry WHERE d_oversold > 0")[0][0]
        assert oversells > 0, "no promised unit went missing: the test proves nothing"
        give_up_at = time.monotonic() + 30
        while any(oversold for _, _, oversold in stock(dsn).values()):
            assert time.monotonic() < give_up_at, f"the worker left oversells: {stock(dsn)}"
    in_ledger = dict(rows(dsn, "SELECT sku, sum(quantity)::int FROM ledger_entry JOIN item USING (item_id)"
                               " WHERE kind = 'ship' GROUP BY sku"))  # fmt: skip
    assert in_ledger == shipped
    promised = rows(dsn, "SELECT sku, sum(quantity - shipped)::int FROM fulfilment_line JOIN fulfilment"
                         " USING (order_id, fulfilment_no) JOIN item USING (item_id)"
                         " WHERE status NOT IN ('cancelled', 'rejected') GROUP BY sku")  # fmt: skip
    for sku, units in promised:
        on_hand, allocated, _ = stock(dsn)[sku]
        assert units == allocated <= on_hand
    check(dsn)
