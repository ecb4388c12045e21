"""A small shop: items A to J (1 to 10), nodes N1 to N5, safety stock 2 at N5."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from onhand.base.actor import SYSTEM
from onhand.flows.intake import prepare
from onhand.flows.place_orders import Desk
from onhand.flows.record_entries import record_entries
from onhand.flows.record_inbound import record_inbound
from onhand.flows.serve_waiting import serve_waiting
from onhand.flows.state import State
from onhand.ledger.inbound import InboundIn, InboundLineIn
from onhand.ledger.intake import EntryIn
from onhand.orders.intake import OrderIn
from onhand.orders.store import lock_order


@pytest.fixture
def shop(db):
    with db.connection() as conn:
        conn.execute(
            "INSERT INTO item (item_id, sku, name) SELECT n, chr(64 + n), 'item ' || n FROM generate_series(1, 10) n"
        )
        conn.execute(
            "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone,"
            " safety_stock_default) SELECT n, 'N' || n, 'node ' || n, 'store', 'DE', 50, 8,"
            " 'Europe/Berlin', CASE n WHEN 5 THEN 2 ELSE 0 END FROM generate_series(1, 5) n"
        )
    return db


MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # 10:00 in Berlin, before every cut-off
PLACES = {"berlin": (52.5, 13.4), "munich": (48.1, 11.6), "hamburg": (53.5, 10.0), "paris": (48.9, 2.4)}
_CARRIER = {
    "services": [
        {
            "code": "standard",
            "rate_table": {
                "by": "distance_km",
                "distance_km": [200, 800, None],
                "weights_g": [1000, 10000],
                "prices_minor": [[400, 700], [500, 900], [800, 1500]],
            },
            "transit_days": {"p50": 2, "p95": 4},
            "co2_g_per_tonne_km": 80,
        }
    ]
}


class Merchant:
    """Items A to F (500 g), a bundle KIT = 2 A + 1 B; nodes of PLACES; channel `web`; a clock that tests may set."""

    def __init__(self, db):
        with db.connection() as conn:
            conn.execute(
                "INSERT INTO item (item_id, sku, name, weight_g)"
                " SELECT n, chr(64 + n), 'x', 500 FROM generate_series(1, 6) n"
            )
            conn.execute("INSERT INTO item (item_id, sku, name) VALUES (7, 'KIT', 'kit')")
            conn.execute("INSERT INTO bundle_component VALUES (7, 1, 2), (7, 2, 1)")
            for number, (code, (latitude, longitude)) in enumerate(PLACES.items(), 1):
                conn.execute(
                    "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone,"
                    " handling_cost_minor, methods) VALUES (%s, %s, 'x', 'warehouse', 'DE', %s, %s, 'Europe/Berlin',"
                    " 100, '{ship,pickup}')",
                    (number, code, latitude, longitude),
                )
            conn.execute("INSERT INTO carrier VALUES (1, 'dhl', 'DHL', %s)", (json.dumps(_CARRIER),))
            conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (1, 'web', 'web', 'EUR')")
        self.db = db
        self.now = MONDAY
        self.state = State(db, now=lambda: self.now)
        self.state.load()
        self._desk = Desk(self.state)
        self._numbers = itertools.count(1)

    def close(self):
        self._desk.close()

    def limit(self, node, **limits):
        """Give a node a daily capacity: orders=, lines=, units=."""
        with self.db.connection() as conn:
            for name, most in limits.items():
                conn.execute(f"UPDATE node SET capacity_{name} = %s WHERE code = %s", (most, node))
        self.state.reload_network()

    def stock(self, node, kind="receipt", reference=None, **units):
        """Record entries {sku: units} as the API does."""
        rows = [EntryIn(kind=kind, sku=sku, node=node, quantity=n, reference=reference) for sku, n in units.items()]
        recorded = record_entries(
            self.db,
            self.state.catalogue,
            self.state.network.node_ids,
            rows,
            SYSTEM,
            serve_waiting=lambda conn, keys: serve_waiting(self.state, conn, keys),
            now=self.now,
        )
        assert [r.status for r in recorded.results] == ["applied"] * len(rows), recorded.results
        self.state.take([i for i, _ in recorded.positions], [n for _, n in recorded.positions])
        return recorded

    def inbound(self, node, reference, days=7, **units):
        lines = [
            InboundLineIn(sku=sku, quantity=n, expected_at=self.now + timedelta(days=days)) for sku, n in units.items()
        ]
        request = InboundIn(reference=reference, node=node, lines=lines)
        record_inbound(self.db, self.state.catalogue, {}, request, SYSTEM)

    def place(self, *lines, to="berlin", **extra):
        """Place an order of (sku, units) lines; the answer."""
        return self.place_many([(lines, extra)], to)[0]

    def place_many(self, orders, to="berlin"):
        """Place (lines, extra) as one batch; the answers."""
        intakes = [
            prepare(self.state, self.request(lines, to, extra), actor=7, key=None, now=self.now)
            for lines, extra in orders
        ]
        placed = self._desk.place(intakes)
        for answer in placed:
            if isinstance(answer, Exception):
                raise answer
        return [json.loads(p.answer) for p in placed]

    def request(self, lines, to, extra):
        latitude, longitude = PLACES[to]
        body = {
            "channel": "web",
            "external_id": str(next(self._numbers)),
            "currency": "EUR",
            "destination": {
                "country": "DE",
                "region": "DE-BE",
                "postal_code": "10115",
                "latitude": latitude,
                "longitude": longitude,
            },
            "lines": [
                {"line_id": str(n), "sku": sku, "quantity": units, "price_minor": 100}
                for n, (sku, units) in enumerate(lines, 1)
            ],
        } | extra
        return msgspec.convert(body, OrderIn)

    def order(self, order_id):
        """The order as it is."""
        with self.db.connection() as conn, conn.transaction():
            return lock_order(conn, order_id)

    def status(self, order_id):
        order = self.order(order_id)
        return order.status, order.queue

    def fulfilments(self, order_id):
        """[(node, status, {sku: units})], dead ones as they ended."""
        order = self.order(order_id)
        return [
            (f.node, f.status, {order.skus[p.item_id]: p.quantity for p in f.pieces if p.quantity})
            for f in order.fulfilments
        ]

    def waiting(self, order_id):
        """[(queue, sku, units)]"""
        order = self.order(order_id)
        return [(w.queue, order.skus[w.item_id], w.quantity) for w in order.waiting]

    def position(self, sku, node):
        """(on_hand, unavailable, allocated, oversold)"""
        with self.db.connection() as conn:
            return conn.execute(
                "SELECT on_hand, unavailable, allocated, oversold FROM stock_position JOIN item USING (item_id)"
                " JOIN node USING (node_id) WHERE sku = %s AND code = %s",
                (sku, node),
            ).fetchone()

    def rows(self, sql, *parameters):
        with self.db.connection() as conn:
            return conn.execute(sql, parameters).fetchall()

    def events(self, *subjects):
        """Kinds of the events of these subjects, in order."""
        return [
            kind
            for (kind,) in self.rows(
                "SELECT kind FROM event e, unfold_v1(e) u WHERE u.subject = ANY (%s) ORDER BY e.xid, u.pos",
                list(subjects),
            )
        ]


@pytest.fixture
def merchant(db):
    made = Merchant(db)
    yield made
    made.close()
