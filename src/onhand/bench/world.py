"""The merchant of the benchmark: a network over Europe, items, and more stock than any run takes.

Set up through the public interface, so that the figures hold for what a user can make.
"""

import itertools
import random
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from onhand.bench import load
from onhand.bench.errors import BenchError
from onhand.bench.load import Load
from onhand.bench.under_test import ApiProcess

CHANNEL = "bench"
ROWS_PER_CALL = 5_000  # the most a batch route takes
ENTRIES_PER_CALL = 1_000
UNITS_PER_POSITION = 1_000_000  # the most one entry may state
# A limit that no run reaches: capacity is counted and checked, and never decides.
ORDERS_PER_DAY = 50_000_000
_PRICE_MINOR = 1_999


@dataclass(frozen=True, slots=True)
class World:
    """`items` items at `nodes` nodes, sold in one channel. Every order has an id of its own."""

    api: ApiProcess
    items: int
    nodes: int
    # Set-up and requests are the same in every run of the benchmark; ids are not.
    draw: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def build(cls, api: ApiProcess, items: int, nodes: int) -> "World":
        """Network and items; no stock yet."""
        world = cls(api, items, nodes)
        for number in range(1, nodes + 1):
            api.call("PUT", f"/v1/nodes/{node_code(number)}", _node(number, world.draw))
        api.call("PUT", "/v1/carriers/swift", _carrier())
        api.call(
            "PUT",
            f"/v1/channels/{CHANNEL}",
            {
                "connector": "api",
                "nodes": [node_code(n) for n in range(1, nodes + 1)],
                "currency": "EUR",
            },
        )
        world.add_items([sku(n) for n in range(1, items + 1)])
        return world

    def add_items(self, skus: Sequence[str]) -> None:
        for first in range(0, len(skus), ROWS_PER_CALL):
            rows = [_item(s, self.draw) for s in skus[first : first + ROWS_PER_CALL]]
            answer = self.api.call("POST", "/v1/items/batch", {"items": rows})
            refused = [r for r in answer["results"] if r["status"] == "rejected"]
            if refused:
                raise BenchError(f"items were refused: {refused[:3]}")

    def stock_everything(self) -> load.Outcome:
        """A receipt for every position, through the interface."""
        positions = itertools.product(range(1, self.items + 1), range(1, self.nodes + 1))
        bodies: list[bytes] = []
        while some := list(itertools.islice(positions, ENTRIES_PER_CALL)):
            bodies.append(_entries([_entry("receipt", sku(i), node_code(n), UNITS_PER_POSITION) for i, n in some]))
        requests = [self.api.request("POST", "/v1/stock/entries", body) for body in bodies]
        return self.send(requests, seconds=600, connections=4)

    def add_hot_item(self, code: str, units: int) -> None:
        """An item whose only stock is `units` at the first node: one row for everybody."""
        self.add_items([code])
        entry = {"kind": "receipt", "sku": code, "node": node_code(1), "quantity": units}
        answer = self.api.call("POST", "/v1/stock/entries", {"entries": [entry]})
        if answer["results"][0]["status"] != "applied":
            raise BenchError(f"stock was refused: {answer['results'][0]}")

    # Requests, encoded whole

    def order_requests(self, count: int) -> list[bytes]:
        """Orders of 3 lines of different items, to places all over the network."""
        return [self.api.request("POST", "/v1/orders", self._order(3)) for _ in range(count)]

    def batch_requests(self, count: int, orders: int) -> list[bytes]:
        """Bodies of `orders` such orders each."""
        return [self._batch([self._order(3) for _ in range(orders)]) for _ in range(count)]

    def hot_requests(self, code: str, count: int) -> list[bytes]:
        """Orders of one line: one unit of the hot item."""
        return [self.api.request("POST", "/v1/orders", self._hot_order(code)) for _ in range(count)]

    def hot_batch_requests(self, code: str, count: int, orders: int) -> list[bytes]:
        return [self._batch([self._hot_order(code) for _ in range(orders)]) for _ in range(count)]

    def entry_requests(self, count: int) -> list[bytes]:
        """Bodies of 1,000 entries at random positions: goods received, stock corrected."""
        draw = self.draw
        return [
            self.api.request(
                "POST",
                "/v1/stock/entries",
                _entries(
                    [
                        _entry(
                            "receipt" if draw.random() < 0.7 else "adjustment",
                            sku(draw.randint(1, self.items)),
                            node_code(draw.randint(1, self.nodes)),
                            draw.randint(1, 9),
                        )
                        for _ in range(ENTRIES_PER_CALL)
                    ]
                ),
            )
            for _ in range(count)
        ]

    def availability_requests(self, count: int) -> list[bytes]:
        return [
            self.api.request(
                "GET",
                f"/v1/availability?sku={sku(self.draw.randint(1, self.items))}&channel={CHANNEL}",
            )
            for _ in range(count)
        ]

    def send(
        self,
        requests: list[bytes],
        *,
        seconds: float,
        connections: int = 64,
        rate_per_s: float | None = None,
        repeat: bool = False,
    ) -> load.Outcome:
        """Run them against the server. Raises BenchError if one was not answered with success."""
        outcome = load.run(
            Load(
                port=self.api.port,
                requests=requests,
                seconds=seconds,
                connections=connections,
                rate_per_s=rate_per_s,
                repeat=repeat,
            )
        )
        if outcome.failure is not None:
            raise BenchError(f"answers {outcome.answers}, the first failure: {outcome.failure}")
        return outcome

    def _batch(self, orders: list[bytes]) -> bytes:
        body = b'{"orders":[' + b",".join(orders) + b"]}"
        return self.api.request("POST", "/v1/orders/batch", body)

    def _order(self, lines: int) -> bytes:
        return self._body([sku(n) for n in self.draw.sample(range(1, self.items + 1), lines)])

    def _hot_order(self, code: str) -> bytes:
        return self._body([code])

    def _body(self, skus: Sequence[str]) -> bytes:
        latitude, longitude = self.draw.uniform(40, 58), self.draw.uniform(-5, 25)
        lines = ",".join(
            f'{{"line_id":"{n}","sku":"{code}","quantity":1,"price_minor":{_PRICE_MINOR}}}'
            for n, code in enumerate(skus, 1)
        )
        return (
            f'{{"channel":"{CHANNEL}","external_id":"{self.run}-{next(self.numbers)}",'
            f'"currency":"EUR","destination":{{"country":"DE","postal_code":"10115",'
            f'"latitude":{latitude:.4f},"longitude":{longitude:.4f}}},"lines":[{lines}]}}'
        ).encode()


def sku(number: int) -> str:
    return f"B{number:06d}"


def node_code(number: int) -> str:
    return f"N{number:02d}"


def _item(code: str, draw: random.Random) -> dict[str, Any]:
    return {
        "sku": code,
        "name": f"Item {code}",
        "weight_g": draw.randint(50, 3_000),
        "length_mm": 200,
        "width_mm": 150,
        "height_mm": 80,
        "unit_cost_minor": 900,
        "price_minor": _PRICE_MINOR,
        "currency": "EUR",
        "category": f"C{draw.randint(1, 20)}",
    }


def _node(number: int, draw: random.Random) -> dict[str, Any]:
    return {
        "name": f"Node {number}",
        "node_type": "warehouse" if number <= 4 else "store",
        "country": "DE",
        "postal_code": "10115",
        "latitude": round(draw.uniform(42, 56), 4),
        "longitude": round(draw.uniform(-3, 23), 4),
        "timezone": "Europe/Berlin",
        "handling_cost_minor": draw.randint(80, 260),
        "cutoff": "16:00",
        "working_days": [1, 2, 3, 4, 5, 6],
        "capacity": {"orders": ORDERS_PER_DAY},
        "methods": ["ship"],
    }


def _carrier() -> dict[str, Any]:
    return {
        "name": "Swift",
        "services": [
            {
                "code": code,
                "rate_table": {
                    "by": "distance_km",
                    "distance_km": [150, 600, None],
                    "weights_g": [1_000, 5_000, 31_500],
                    "prices_minor": [[base * d + 90 * w for w in range(3)] for d in (1, 2, 3)],
                },
                "transit_days": [{"p50": days * d, "p95": days * d + 1.0} for d in (1.0, 1.5, 2.0)],
                "currency": "EUR",
                "cutoff": "17:00",
                "co2_g_per_tonne_km": 80,
                "dimensional_divisor": 5_000,
            }
            for code, base, days in (("standard", 390, 1.5), ("express", 890, 0.8))
        ],
    }


def _entry(kind: str, code: str, node: str, quantity: int) -> str:
    return f'{{"kind":"{kind}","sku":"{code}","node":"{node}","quantity":{quantity}}}'


def _entries(entries: Sequence[str]) -> bytes:
    return f'{{"entries":[{",".join(entries)}]}}'.encode()


# SQL for what would take too long row by row; it leaves every promise of the data whole.

_FILL = """
WITH p AS (
    INSERT INTO stock_position (item_id, node_id, on_hand, version)
    SELECT item_id, node_id, 100, 1 FROM item, node ORDER BY item_id, node_id
    RETURNING item_id, node_id
)
INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable,
    d_allocated, d_oversold, on_hand, unavailable, allocated, oversold, actor, reference)
SELECT item_id, node_id, 1, 'receipt', 100, 100, 0, 0, 0, 100, 0, 0, 0, 0, 'opening stock' FROM p
"""
_ENTER_ONCE_EVERYWHERE = """
WITH p AS (
    UPDATE stock_position SET on_hand = on_hand + 1, version = version + 1 RETURNING *
)
INSERT INTO ledger_entry (item_id, node_id, version, kind, quantity, d_on_hand, d_unavailable,
    d_allocated, d_oversold, on_hand, unavailable, allocated, oversold, actor, reference)
SELECT item_id, node_id, version, 'adjustment', 1, 1, 0, 0, 0, on_hand, unavailable, allocated,
    oversold, 0, 'found' FROM p
"""


def fill_positions(url: str) -> int:
    """A position with stock for every item at every node, and its ledger entry; how many.

    For a database without stock, while no server runs on it.
    """
    with psycopg.connect(url) as conn:
        filled = conn.execute(_FILL).rowcount
    _analyse(url)
    return filled


def top_up_ledger(url: str, entries: int) -> int:
    """Append entries, a round over all positions at a time, until there are `entries`; how many
    there are. While no server runs on the database."""
    with psycopg.connect(url, autocommit=True) as conn:
        while (count := _count(conn, "ledger_entry")) < entries:
            if not conn.execute(_ENTER_ONCE_EVERYWHERE).rowcount:
                raise BenchError("there is no position to enter anything at")
    _analyse(url)
    return count


def _analyse(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE stock_position, ledger_entry")


def _count(conn: psycopg.Connection[Any], table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608 - ours
    assert row is not None, "count answers"
    return int(row[0])


def recorded_orders(url: str) -> dict[str, int]:
    """status -> orders in the database."""
    with psycopg.connect(url, autocommit=True) as conn:
        return dict(conn.execute("SELECT status, count(*) FROM orders GROUP BY status").fetchall())


def promised_units(url: str, code: str) -> tuple[int, int]:
    """Units of an item that orders hold, by fulfilments and by positions: the two must agree."""
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute(
            """
            SELECT (SELECT coalesce(sum(l.quantity), 0) FROM fulfilment_line l
                    JOIN fulfilment f USING (order_id, fulfilment_no)
                    WHERE l.item_id = i.item_id AND f.status NOT IN ('cancelled', 'rejected')),
                   (SELECT coalesce(sum(allocated), 0) FROM stock_position p
                    WHERE p.item_id = i.item_id)
            FROM item i WHERE sku = %s
            """,
            (code,),
        ).fetchone()
    if row is None:
        raise BenchError(f"no item {code}")
    return int(row[0]), int(row[1])
