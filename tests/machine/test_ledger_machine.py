"""Ledger, reservations and orders against a plain Python model, on a real database.

The model knows only dictionaries and the rules of the glossary. It predicts what is accepted, which answers repeat, and
every counter of every position after every step; where an order went is read from the answer and checked against what
the model has there. A refused call must leave the database as it was. Accepted and refused calls are counted, so that a
run that did nothing cannot pass.
"""

import json
import os
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from onhand.base.actor import SYSTEM
from onhand.errors import Conflict
from onhand.flows import fulfil
from onhand.flows.cancel_order import cancel_order
from onhand.flows.expire_reservations import expire_reservations
from onhand.flows.intake import prepare
from onhand.flows.place_orders import Desk, Placed
from onhand.flows.record_entries import record_entries
from onhand.flows.release_reservation import extend_reservation, release_reservation
from onhand.flows.repair_oversell import repair_oversold
from onhand.flows.reserve import Holder, Reserved, prepare_hold
from onhand.flows.return_order import return_order
from onhand.flows.state import State
from onhand.ledger.intake import EntryIn
from onhand.orders.decide import Amount
from onhand.orders.intake import OrderIn, ReservationIn

SKUS, NODES = ("A", "B"), ("n1", "n2", "n3")
KEYS = [(sku, node) for sku in SKUS for node in NODES]
KIT = {"A": 2, "B": 1}  # the bundle
DONE: Counter[str] = Counter()

keys = st.sampled_from(KEYS)
units = st.integers(1, 6)


class Book:
    """One position of the model."""

    def __init__(self) -> None:
        self.on_hand = self.unavailable = self.allocated = self.oversold = 0

    @property
    def available(self) -> int:
        return self.on_hand - self.unavailable - self.allocated

    def cover(self) -> None:
        """Units that arrive serve broken promises first."""
        n = min(self.available, self.oversold)
        self.allocated += n
        self.oversold -= n

    def shrink(self) -> None:
        """A fact took units away: what is promised beyond the rest is oversold."""
        n = max(0, -self.available)
        self.allocated -= n
        self.oversold += n

    def counters(self) -> tuple[int, int, int, int]:
        return self.on_hand, self.unavailable, self.allocated, self.oversold


class Machine(RuleBasedStateMachine):
    db: Any = None

    def __init__(self) -> None:
        super().__init__()
        with self.db.connection() as conn:
            tables = conn.execute(
                "SELECT string_agg(quote_ident(tablename), ',') FROM pg_tables WHERE schemaname = 'public'"
                " AND tablename NOT IN ('migration', 'setting')"
            ).fetchone()[0]
            conn.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE".encode())
            conn.execute("INSERT INTO item (item_id, sku, name) VALUES (1, 'A', 'a'), (2, 'B', 'b'), (3, 'KIT', 'k')")
            conn.execute("INSERT INTO bundle_component VALUES (3, 1, 2), (3, 2, 1)")
            for n, code in enumerate(NODES, 1):
                conn.execute(
                    "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone,"
                    " capacity_units) VALUES (%s, %s, 'x', 'warehouse', 'DE', %s, 10, 'UTC', 100000)",
                    (n, code, 48 + n),
                )
            services = [
                {
                    "code": "s",
                    "rate_table": {
                        "by": "distance_km",
                        "distance_km": [None],
                        "weights_g": [99999],
                        "prices_minor": [[500]],
                    },
                    "transit_days": {"p50": 1, "p95": 2},
                }
            ]
            conn.execute("INSERT INTO carrier VALUES (1, 'c', 'C', %s)", (json.dumps({"services": services}),))
            conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (1, 'web', 'w', 'EUR')")
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        self.state = State(self.db, now=lambda: self.now)
        self.state.load()
        self.desk, self.holder = Desk(self.state), Holder(self.state)
        self.books = {key: Book() for key in KEYS}
        self.orders: dict[str, dict[str, Any]] = {}
        self.holds: dict[str, dict[str, Any]] = {}
        self.count = 0

    @initialize(found=st.lists(st.integers(0, 15), min_size=len(KEYS), max_size=len(KEYS)))
    def open_the_shop(self, found: list[int]) -> None:
        for key, quantity in zip(KEYS, found, strict=True):
            self.count_stock(key, quantity)

    def teardown(self) -> None:
        self.desk.close()
        self.holder.close()

    # Facts

    def enter(self, kind: str, key: tuple[str, str], quantity: int, **extra: Any) -> bool:
        row = EntryIn(kind=kind, sku=key[0], node=key[1], quantity=quantity, **extra)
        recorded = record_entries(
            self.db, self.state.catalogue, self.state.network.node_ids, [row], SYSTEM, now=self.now
        )
        self.state.take([i for i, _ in recorded.positions], [n for _, n in recorded.positions])
        result = recorded.results[0]
        DONE[f"{kind} {result.status}"] += 1
        if result.status == "applied":
            assert (result.on_hand, result.available) == (self.books[key].on_hand, self.books[key].available)
        return result.status == "applied"

    @rule(key=keys, quantity=st.integers(1, 12))
    def receive(self, key: tuple[str, str], quantity: int) -> None:
        book = self.books[key]
        book.on_hand += quantity
        book.cover()
        assert self.enter("receipt", key, quantity)

    @rule(key=keys, quantity=units, unavailable=st.booleans())
    def adjust_down(self, key: tuple[str, str], quantity: int, unavailable: bool) -> None:
        book = self.books[key]
        fits = (book.unavailable if unavailable else book.available) >= quantity
        if fits:
            book.on_hand -= quantity
            book.unavailable -= quantity if unavailable else 0
        state = {"state": "unavailable"} if unavailable else {}
        assert self.enter("adjustment", key, -quantity, **state) == fits

    @rule(key=keys, found=st.integers(0, 12))
    def count_stock(self, key: tuple[str, str], found: int) -> None:
        book = self.books[key]
        book.on_hand = found
        book.unavailable = min(book.unavailable, found)
        book.shrink()
        book.cover()
        assert self.enter("count", key, found), "a count never fails"

    @precondition(lambda self: any(book.allocated for book in self.books.values()))
    @rule(data=st.data())
    def find_less_than_is_promised(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([key for key in KEYS if self.books[key].allocated]))
        self.count_stock(key, data.draw(st.integers(0, self.books[key].unavailable + self.books[key].allocated - 1)))

    @rule(key=keys, quantity=units)
    def damage(self, key: tuple[str, str], quantity: int) -> None:
        book = self.books[key]
        fits = book.on_hand - book.unavailable >= quantity
        if fits:
            book.unavailable += quantity
            book.shrink()
        assert self.enter("damage", key, quantity) == fits

    @rule(key=keys, quantity=units)
    def restore(self, key: tuple[str, str], quantity: int) -> None:
        book = self.books[key]
        fits = book.unavailable >= quantity
        if fits:
            book.unavailable -= quantity
            book.cover()
        assert self.enter("restore", key, quantity) == fits

    @rule(key=keys, to=st.sampled_from(NODES), quantity=units)
    def transfer(self, key: tuple[str, str], to: str, quantity: int) -> None:
        book = self.books[key]
        fits = book.available >= quantity
        if fits:
            book.on_hand -= quantity
        assert self.enter("transfer_out", key, quantity) == fits
        if fits:
            target = self.books[key[0], to]
            target.on_hand += quantity
            target.cover()
            assert self.enter("transfer_in", (key[0], to), quantity)

    # Promises

    def free(self, sku: str) -> int:
        return sum(self.books[sku, node].available for node in NODES)

    def fits(self, wanted: dict[str, int]) -> bool:
        return all(self.free(sku) >= n for sku, n in wanted.items())

    def take(self, picks: list[tuple[str, str, int]]) -> None:
        for sku, node, n in picks:
            book = self.books[sku, node]
            assert 0 < n <= book.available, f"{n} {sku} promised at {node}, which has {book.available}"
            book.allocated += n

    def give_back(self, picks: list[tuple[str, str, int]]) -> None:
        for sku, node, n in picks:
            book = self.books[sku, node]
            oversold = min(n, book.oversold)
            book.oversold -= oversold
            book.allocated -= n - oversold

    @rule(lines=st.lists(st.tuples(st.sampled_from([*SKUS, "KIT"]), st.integers(1, 5)), min_size=1, max_size=3),
          hold=st.sampled_from([None, None, None, "any"]))  # fmt: skip
    def order(self, lines: list[tuple[str, int]], hold: str | None) -> None:
        self.count += 1
        name = f"o{self.count}"
        held = next((h for h in self.holds.values() if h["status"] == "active"), None) if hold else None
        body = self.body(name, lines, None if held is None else held["id"])
        wanted = exploded(lines)
        if held is not None:
            self.give_back(held["picks"])
        fits = self.fits(wanted)
        answer = self.place(body)
        assert answer["status"] == ("sourced" if fits else "unfillable")
        if held is not None:
            held["status"] = "used"
        picks = [(line["sku"], f["node"], line["quantity"]) for f in answer["fulfilments"] for line in f["lines"]]
        assert total(picks) == (wanted if fits else {})
        self.take(picks)
        self.orders[name] = {"body": body, "answer": answer, "id": answer["order_id"], "closed": not fits}
        DONE[f"order {answer['status']}"] += 1

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def order_again(self, data: st.DataObject) -> None:
        order = self.orders[data.draw(st.sampled_from(sorted(self.orders)))]
        assert self.place(order["body"]) == order["answer"]
        DONE["order again"] += 1

    @rule(lines=st.lists(st.tuples(st.sampled_from([*SKUS, "KIT"]), st.integers(1, 4)), min_size=1, max_size=2),
          ttl_s=st.integers(1, 900))  # fmt: skip
    def reserve(self, lines: list[tuple[str, int]], ttl_s: int) -> None:
        request = msgspec.convert(
            {"channel": "web", "lines": [{"sku": s, "quantity": n} for s, n in lines], "ttl_s": ttl_s}, ReservationIn
        )
        wanted = exploded(lines)
        (answer,) = self.holder.reserve([prepare_hold(self.state, request, actor=1, key=None)])
        if not self.fits(wanted):
            assert isinstance(answer, Conflict) and answer.code == "stock.insufficient"
            short = {s: n - self.free(s) for s, n in wanted.items() if n > self.free(s)}
            assert answer.facts()["missing"] == short
            DONE["reserve refused"] += 1
            return
        assert isinstance(answer, Reserved)
        found = json.loads(answer.answer)
        picks = [(line["sku"], line["node"], line["quantity"]) for line in found["lines"]]
        assert total(picks) == wanted
        self.take(picks)
        self.holds[found["reservation_id"]] = {
            "id": found["reservation_id"],
            "status": "active",
            "picks": picks,
            "until": self.now + timedelta(seconds=ttl_s),
        }
        DONE["reserve"] += 1

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), ttl_s=st.integers(1, 900))
    def extend(self, data: st.DataObject, ttl_s: int) -> None:
        hold = self.holds[data.draw(st.sampled_from(sorted(self.holds)))]
        lives = hold["status"] == "active" and hold["until"] > self.now
        try:
            extend_reservation(self.db, UUID(hold["id"]), ttl_s, SYSTEM, now=self.now)
        except Conflict:
            assert not lives
            DONE["extend refused"] += 1
            return
        assert lives
        hold["until"] = max(hold["until"], self.now + timedelta(seconds=ttl_s))
        DONE["extend"] += 1

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        hold = self.holds[data.draw(st.sampled_from(sorted(self.holds)))]
        try:
            released = release_reservation(self.db, UUID(hold["id"]), SYSTEM)
        except Conflict:
            assert hold["status"] == "used"
            DONE["release refused"] += 1
            return
        self.state.take([i for i, _ in released.positions], [n for _, n in released.positions])
        if hold["status"] == "active":
            self.give_back(hold["picks"])
            hold["status"] = "released"
            DONE["release"] += 1

    @rule(seconds=st.integers(1, 600))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        swept = expire_reservations(self.db, now=self.now)
        self.state.take([i for i, _ in swept.positions], [n for _, n in swept.positions])
        due = {h["id"] for h in self.holds.values() if h["status"] == "active" and h["until"] <= self.now}
        assert {str(i) for i in swept.reservation_ids} == due
        for name in sorted(due):
            self.give_back(self.holds[name]["picks"])
            self.holds[name]["status"] = "expired"
            DONE["expire"] += 1

    # After the promise. Which units an order has where is read from the database here: rejections and repairs choose.

    def picks_of(self, order_id: str) -> list[tuple[str, str, int]]:
        """(sku, node, units) allocated and not shipped."""
        with self.db.connection() as conn:
            return conn.execute(
                "SELECT i.sku, n.code, sum(l.quantity - l.shipped)::int FROM fulfilment f"
                " JOIN fulfilment_line l USING (order_id, fulfilment_no) JOIN item i ON i.item_id = l.item_id"
                " JOIN node n ON n.node_id = f.node_id WHERE f.order_id = %s AND f.status NOT IN"
                " ('cancelled', 'rejected') GROUP BY 1, 2 HAVING sum(l.quantity - l.shipped) > 0",
                (order_id,),
            ).fetchall()

    def open_fulfilments(self) -> list[str]:
        with self.db.connection() as conn:
            rows = conn.execute(
                "SELECT order_id || '-f' || fulfilment_no FROM fulfilment WHERE status IN"
                " ('allocated', 'accepted', 'packed', 'partly_shipped') ORDER BY 1"
            )
            return [name for (name,) in rows]

    @rule(data=st.data(), partly=st.booleans())
    def ship(self, data: st.DataObject, partly: bool) -> None:
        names = self.open_fulfilments()
        if not names:
            return
        name = data.draw(st.sampled_from(names))
        order_id = name.rsplit("-", 1)[0]
        before = total_at(self.picks_of(order_id))
        lines = None
        if partly:
            with self.db.connection() as conn:
                line = conn.execute(
                    "SELECT o.line_id, i.sku FROM fulfilment_line l JOIN order_line o USING (order_id, line_no)"
                    " JOIN item i ON i.item_id = l.item_id WHERE l.order_id = %s AND l.fulfilment_no = %s"
                    " AND l.quantity > l.shipped ORDER BY 1, 2 LIMIT 1",
                    (order_id, int(name.rsplit("-f", 1)[1])),
                ).fetchone()
            lines = [Amount(line_id=line[0], sku=line[1], quantity=1)]
        try:
            fulfil.ship(self.state, name, lines=lines, by=SYSTEM)
        except Conflict as refused:
            # Only what a count has taken away cannot leave, or half a bundle.
            assert refused.code in ("stock.insufficient", "order.incomplete", "quantity.exceeded"), refused
            DONE["ship refused"] += 1
            return
        after = total_at(self.picks_of(order_id))
        for (sku, node), n in (before - after).items():
            book = self.books[sku, node]
            allocated = min(n, book.allocated)
            # Oversold units that leave were there after all: available ones first, then ones taken for damaged.
            book.unavailable -= max(0, n - allocated - book.available)
            book.on_hand -= n
            book.allocated -= allocated
            book.oversold -= n - allocated
        DONE["ship"] += 1

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.orders)))
        order_id = self.orders[name]["id"]
        before = self.picks_of(order_id)
        try:
            cancel_order(self.state, order_id, by=SYSTEM)
        except Conflict as refused:
            # What is not shipped can be cancelled, but for a bundle of which a part has left.
            assert not before or "KIT" in str(self.orders[name]["body"]), refused
            DONE["cancel refused"] += 1
            return
        kept = self.picks_of(order_id)
        assert not kept or "KIT" in str(self.orders[name]["body"])
        self.give_back([(sku, node, n) for (sku, node), n in (total_at(before) - total_at(kept)).items()])
        DONE["cancel"] += 1

    @rule(data=st.data(), reason=st.sampled_from(["not_found", "no_capacity"]))
    def reject(self, data: st.DataObject, reason: Any) -> None:
        names = self.open_fulfilments()
        if not names:
            return
        fulfil.reject(self.state, data.draw(st.sampled_from(names)), reason, by=SYSTEM)
        self.believe()
        DONE["reject"] += 1

    @rule()
    def repair(self) -> None:
        broken = any(book.oversold for book in self.books.values())
        repair_oversold(self.state)
        self.believe()
        DONE["repair" if broken else "repair nothing"] += 1

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), node=st.sampled_from(NODES))
    def send_back(self, data: st.DataObject, node: str) -> None:
        order = self.orders[data.draw(st.sampled_from(sorted(self.orders)))]
        with suppress(Conflict):
            line = order["body"]["lines"][0]
            sku = "A" if line["sku"] == "KIT" else line["sku"]
            return_order(
                self.state,
                order["id"],
                node,
                [Amount(line_id=line["line_id"], sku=sku, quantity=1)],
                "restock",
                by=SYSTEM,
            )
            self.books[sku, node].on_hand += 1
            self.books[sku, node].cover()
            DONE["return"] += 1

    def believe(self) -> None:
        """Take the allocations from the database, and prove that units only moved between them."""
        for key, found in self.read().items():
            book = self.books[key]
            assert found[0] == book.on_hand
            assert found[1] >= book.unavailable
            book.unavailable, book.allocated, book.oversold = found[1:]
        promised: Counter[tuple[str, str]] = Counter()
        for order in self.orders.values():
            promised += total_at(self.picks_of(order["id"]))
        for hold in self.holds.values():
            if hold["status"] == "active":
                promised += total_at(hold["picks"])
        assert promised == Counter({k: b.allocated + b.oversold for k, b in self.books.items()}), "a promise was lost"

    # Reading

    def place(self, body: dict[str, Any]) -> dict[str, Any]:
        order = msgspec.convert(body, OrderIn)
        (placed,) = self.desk.place([prepare(self.state, order, actor=1, key=None, now=self.now)])
        assert isinstance(placed, Placed), placed
        return json.loads(placed.answer)

    def body(self, name: str, lines: list[tuple[str, int]], reservation: str | None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "channel": "web",
            "external_id": name,
            "currency": "EUR",
            "destination": {"country": "DE", "latitude": 50, "longitude": 10},
            "lines": [
                {"line_id": str(n), "sku": sku, "quantity": q, "price_minor": 1} for n, (sku, q) in enumerate(lines)
            ],
        }
        return body | ({"reservation_id": reservation} if reservation else {})

    def read(self) -> dict[tuple[str, str], tuple[int, int, int, int]]:
        with self.db.connection() as conn:
            rows = conn.execute(
                "SELECT sku, code, on_hand, unavailable, allocated, oversold FROM stock_position"
                " JOIN item USING (item_id) JOIN node USING (node_id)"
            )
            found = {(sku, node): tuple(counters) for sku, node, *counters in rows}
        return {key: found.get(key, (0, 0, 0, 0)) for key in KEYS}

    @invariant()
    def every_counter_is_as_the_model_says(self) -> None:
        assert self.read() == {key: book.counters() for key, book in self.books.items()}


def exploded(lines: list[tuple[str, int]]) -> dict[str, int]:
    wanted: Counter[str] = Counter()
    for sku, n in lines:
        for part, per in KIT.items() if sku == "KIT" else [(sku, 1)]:
            wanted[part] += per * n
    return dict(wanted)


def total(picks: list[tuple[str, str, int]]) -> dict[str, int]:
    units: Counter[str] = Counter()
    for sku, _, n in picks:
        units[sku] += n
    return dict(units)


def total_at(picks: list[tuple[str, str, int]]) -> Counter[tuple[str, str]]:
    units: Counter[tuple[str, str]] = Counter()
    for sku, node, n in picks:
        units[sku, node] += n
    return units


# Every kind of call must be accepted, and every kind that can be must be refused, at least once.
MUST = frozenset((
    "receipt applied", "adjustment applied", "adjustment rejected", "count applied", "damage applied",
    "damage rejected", "restore applied", "restore rejected", "transfer_out applied", "transfer_out rejected",
    "order sourced", "order unfillable", "order again", "reserve", "reserve refused", "extend", "release",
    "expire", "ship", "cancel", "cancel refused", "reject", "repair", "return",
))  # fmt: skip


def test_the_database_does_what_the_model_says(db: Any) -> None:
    DONE.clear()
    Machine.db = db
    # Hypothesis gives each run a mood of its own (some rules often, others never): several runs, until all was seen.
    for _ in range(8):
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=int(os.environ.get("ONHAND_EXAMPLES", "60")),
                stateful_step_count=50,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            ),
        )
        if DONE.keys() >= MUST:
            break
    assert MUST - DONE.keys() == set(), dict(DONE)
