"""The raw database that the product is compared with must keep the promise it is compared on."""

import secrets
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random

import psycopg
import pytest

from onhand.bench import reference
from onhand.bench.reference import Reference, Reserve


@pytest.fixture
def raw(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reference]:
    # Its own name: tests may run side by side.
    name = f"t_{secrets.token_hex(8)}"
    monkeypatch.setattr(reference, "DATABASE", name)
    yield Reference.create(server_url, scale=1, items=50, nodes=4)
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_pgbench_and_the_hot_row_are_measured(raw: Reference) -> None:
    assert raw.simple_update_tps(1) > 100
    assert raw.hot_row_tps(1) > 100
    with psycopg.connect(raw.url) as conn:
        row = conn.execute("SELECT reserved, (SELECT count(*) FROM ledger) FROM stock"
                           " WHERE item = 1 AND node = 1").fetchone()  # fmt: skip
    assert row is not None
    assert row[0] == row[1] > 0


@pytest.mark.parametrize("function", ["reserve_exact", "reserve_fast"])
def test_lines_that_are_counted_are_in_the_ledger(raw: Reference, function: Reserve) -> None:
    assert raw.batched_lines_per_s(function, 0.3) > 1_000
    with psycopg.connect(raw.url) as conn:
        row = conn.execute(
            "SELECT (SELECT sum(reserved) FROM stock), (SELECT count(*) FROM ledger), (SELECT count(*) FROM seen)"
        ).fetchone()
    assert row is not None
    reserved, entries, requests = row
    assert reserved == entries > 200
    assert requests == entries // reference.LINES_PER_CALL * 67  # 200 lines, 3 a request


@pytest.mark.parametrize("function", ["reserve_exact", "reserve_fast"])
def test_all_lines_of_a_request_or_none_and_no_unit_twice(raw: Reference, function: Reserve) -> None:
    """Four clients race for 3 scarce items. First come repeats while there is plenty, then new
    requests for more than there is, so that the optimistic path meets both; then a mixture."""
    units = 100
    with psycopg.connect(raw.url, autocommit=True) as conn:
        conn.execute("UPDATE stock SET on_hand = %s WHERE item <= 3 AND node = 1", (units,))
    random = Random(3)
    wanted = [
        (uuid.UUID(int=random.getrandbits(128)), random.sample([1, 2, 3], random.randint(1, 3))) for _ in range(400)
    ]
    todo = wanted[250:] * 2 + wanted[60:250]
    random.shuffle(todo)
    todo += wanted[60:250] + wanted[:60] + wanted[:60]  # taken from the end
    statuses: dict[uuid.UUID, list[set[int]]] = defaultdict(list)
    lock = threading.Lock()

    def client() -> None:
        with psycopg.connect(raw.url, autocommit=True) as conn:
            while True:
                with lock:
                    batch = {todo.pop()[0] for _ in range(min(len(todo), random.randint(1, 40)))}
                if not batch:
                    return
                lines = [(r, n, item) for r, items in wanted if r in batch
                         for n, item in enumerate(items)]  # fmt: skip
                row = conn.execute(
                    f"SELECT {function}(%s::uuid[], %s::int[], %s::int[], %s::int[], %s::int[])"
                    .encode(),
                    (
                        [r for r, _, _ in lines],
                        [n for _, n, _ in lines],
                        [i for _, _, i in lines],
                        [1] * len(lines),
                        [1] * len(lines),
                    ),
                ).fetchone()  # fmt: skip
                assert row is not None
                by_request: dict[uuid.UUID, set[int]] = defaultdict(set)
                for (request, _, _), status in zip(lines, row[0], strict=True):
                    by_request[request].add(status)
                with lock:
                    for request, seen in by_request.items():
                        statuses[request].append(seen)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(len(seen) == 1 for answers in statuses.values() for seen in answers)
    accepted = {r for r, answers in statuses.items() if {1} in answers}
    assert all(answers.count({1}) <= 1 for answers in statuses.values())
    taken = Counter(item for r, items in wanted if r in accepted for item in items)
    with psycopg.connect(raw.url) as conn:
        held = dict(conn.execute("SELECT item, reserved FROM stock WHERE item <= 3 AND node = 1").fetchall())
        booked = dict(conn.execute("SELECT item, sum(quantity)::int FROM ledger GROUP BY item"))
    assert held == booked == taken
    assert max(held.values()) == units, "the race was for the last unit"
