"""Many clients at once, and what must hold when they are done."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from onhand.bench.under_test import ApiProcess
from onhand.db import Database
from onhand.ledger.verify import verify

T = TypeVar("T")
BERLIN = {"country": "DE", "postal_code": "10115", "latitude": 52.53, "longitude": 13.38}
_PLACES = {"berlin": (52.5, 13.4), "munich": (48.1, 11.6), "hamburg": (53.5, 10.0)}
NODES = tuple(_PLACES)


@dataclass(frozen=True, slots=True)
class Answer:
    """`retry_after`: seconds, None without that header."""

    status: int
    text: str
    is_replay: bool
    retry_after: int | None

    @property
    def code(self) -> str | None:
        """Of a problem document."""
        return json.loads(self.text).get("code")


class Client:
    """One connection; not for two threads at once."""

    def __init__(self, host: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(host, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None, key: str | None = None) -> Answer:
        """The answer of one request; `key` is its Idempotency-Key."""
        content = None if body is None else json.dumps(body)
        keyed = {} if key is None else {"Idempotency-Key": key}
        self._connection.request(method, path, content, self._headers | keyed)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        after = answer.headers.get("retry-after")
        is_replay = answer.headers.get("idempotent-replayed") == "true"
        return Answer(answer.status, text, is_replay, None if after is None else int(after))

    def send(self, method: str, path: str, body: object = None, key: str | None = None) -> tuple[int, str]:
        """Status and text of one request."""
        answer = self.ask(method, path, body, key)
        return answer.status, answer.text

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer of one request that succeeds."""
        status, text = self.send(method, path, body)
        assert 200 <= status < 300, f"{method} {path}: {status} {text}"
        return json.loads(text)

    def close(self) -> None:
        self._connection.close()


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run every work in a thread of its own, all from the same moment on; their results, in order."""
    start = threading.Barrier(len(works))
    results: list[T | BaseException | None] = [None] * len(works)

    def run(n: int) -> None:
        start.wait(60)
        try:
            results[n] = works[n]()
        except BaseException as error:
            results[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value]


def client_of(api: ApiProcess) -> Client:
    return Client(f"127.0.0.1:{api.port}", api.key)


def take_turns(
    connect: Callable[[], Client], clients: int, requests: Sequence[tuple[str, object, str | None]]
) -> list[tuple[int, str]]:
    """Send all POST `requests` (path, body, key) from so many clients at once, each taking the next; the answers, in
    order."""
    answers: list[tuple[int, str]] = [(0, "")] * len(requests)
    numbers = iter(range(len(requests)))
    turn = threading.Lock()

    def run() -> None:
        client = connect()
        while True:
            with turn:
                n = next(numbers, None)
            if n is None:
                client.close()
                return
            path, body, key = requests[n]
            answers[n] = client.send("POST", path, body, key)

    at_once([run] * clients)
    return answers


def seconds_until_sellable(client: Client, sku: str) -> float:
    """How long until this process promises a unit."""
    began = time.monotonic()
    question = {"channel": "web", "destination": {"country": "DE"}, "lines": [{"sku": sku, "quantity": 1}]}
    while True:
        status, text = client.send("POST", "/v1/promises", question)
        waited = time.monotonic() - began
        if status == 200 and json.loads(text)["options"]:
            return waited
        assert waited < 10, f"not sellable after {waited:.1f} s: {status} {text}"


def set_up(client: Client, items: Iterable[str], **units: int) -> None:
    """Three nodes, a carrier, a channel and `items`, each with `units` {node: units}."""
    items = list(items)
    for code, (latitude, longitude) in _PLACES.items():
        node = {
            "name": code, "node_type": "warehouse", "country": "DE", "latitude": latitude, "longitude": longitude,
            "timezone": "Europe/Berlin", "capacity": {"orders": 1_000_000},
        }  # fmt: skip
        client.call("PUT", f"/v1/nodes/{code}", node)
    table = {"by": "distance_km", "distance_km": [None], "weights_g": [30000], "prices_minor": [[500]]}
    service = {"code": "parcel", "rate_table": table, "currency": "EUR", "transit_days": {"p50": 1, "p95": 2}}
    client.call("PUT", "/v1/carriers/dhl", {"name": "DHL", "services": [service | {"co2_g_per_tonne_km": 80}]})
    client.call("PUT", "/v1/channels/web", {"currency": "EUR"})
    client.call("POST", "/v1/items/batch", {"items": [{"sku": sku, "name": sku, "weight_g": 300} for sku in items]})
    receive(client, items, **units)


def receive(client: Client, items: Iterable[str], kind: str = "receipt", **units: int) -> None:
    """Record entries of `units` {node: units} for each item."""
    rows = [{"kind": kind, "sku": sku, "node": node, "quantity": n} for sku in items for node, n in units.items() if n]
    if rows:
        answer = client.call("POST", "/v1/stock/entries", {"entries": rows})
        assert {row["status"] for row in answer["results"]} == {"applied"}, answer


def order(external_id: str, *lines: tuple[str, int], **more: object) -> dict[str, Any]:
    """The body of an order of (sku, units) lines."""
    return {
        "channel": "web",
        "external_id": external_id,
        "currency": "EUR",
        "destination": BERLIN,
        "lines": [
            {"line_id": str(n), "sku": sku, "quantity": units, "price_minor": 100}
            for n, (sku, units) in enumerate(lines, 1)
        ],
    } | more


def rows(dsn: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return conn.execute(sql.encode(), parameters).fetchall()


def stock(dsn: str) -> dict[str, tuple[int, int, int]]:
    """sku -> (on hand, allocated, oversold) over all nodes."""
    found = rows(
        dsn,
        "SELECT sku, sum(on_hand)::int, sum(allocated)::int, sum(oversold)::int"
        " FROM stock_position JOIN item USING (item_id) GROUP BY sku",
    )
    return {sku: (on_hand, allocated, oversold) for sku, on_hand, allocated, oversold in found}


def deadlocks(dsn: str) -> int:
    """Seen by the database so far; processes report theirs when they end."""
    return rows(dsn, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0]


def check(dsn: str) -> None:
    """Every counter is the sum of its ledger; the invariant views are read when the test ends."""
    with closing(Database.open(dsn)) as db, db.connection() as conn:
        assert verify(conn) == []
