"""Thousands of random commands on few orders, items and nodes: every refusal is a named conflict, and all promises of
the data hold after every step."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from onhand.base.actor import Actor
from onhand.errors import Conflict, DatabaseUnavailable, InvalidInput, NotFound
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import accept, deliver, pack, reject, ship
from onhand.flows.hold_order import hold_order, release_order
from onhand.flows.repair_oversell import repair_oversold
from onhand.flows.return_order import return_order
from onhand.flows.source_again import reroute, source_orders, source_waiting
from onhand.orders.decide import Amount
from onhand.orders.intake import Destination
from onhand.orders.states import ORDER_STATUSES, settle

BY = Actor(key_id=7)
OPEN = ("allocated", "accepted", "packed", "partly_shipped")
NODES = ("berlin", "munich", "hamburg", "paris")


class Life:
    """One source of random commands; counts what was done and what was refused."""

    def __init__(self, merchant, seed):
        self.merchant = merchant
        self.draw = random.Random(seed)
        self.orders = []
        self.done = {}
        self.refused = {}
        self.supplies = 0

    def step(self):
        command = self.draw.choice(self.COMMANDS)
        try:
            command(self)
        except Conflict as error:
            self.refused[error.code] = self.refused.get(error.code, 0) + 1
        except NotFound:
            pass  # a fulfilment that does not exist yet
        else:
            self.done[command.__name__] = self.done.get(command.__name__, 0) + 1

    def order(self):
        return self.draw.choice(self.orders[-15:] or [self.place()])

    def place(self):
        draw = self.draw
        lines = [(sku, draw.randint(1, 4)) for sku in draw.sample(["A", "B", "C", "KIT"], draw.choice([1, 1, 2, 3]))]
        extra = {}
        if draw.random() < 0.25:
            extra["allow_split"] = False
        if draw.random() < 0.1:
            extra["allow_backorder"] = False
        if draw.random() < 0.05:
            extra["hold"] = "look at it"
        if draw.random() < 0.05:
            extra["destination"] = {"country": "QZ"}
        if draw.random() < 0.1:
            extra |= {"method": "pickup", "pickup_node": draw.choice(NODES)}
        placed = self.merchant.place(*lines, to=draw.choice(NODES), **extra)
        self.orders.append(placed["order_id"])
        return placed["order_id"]

    def fulfilment(self, *statuses):
        """Mostly one in one of these statuses, sometimes any or none."""
        found = self.merchant.rows(
            "SELECT order_id::text, fulfilment_no FROM fulfilment WHERE status = ANY (%s) ORDER BY 1, 2", list(statuses)
        )
        if found and self.draw.random() < 0.8:
            return "{}-f{}".format(*self.draw.choice(found))
        return f"{self.order()}-f{self.draw.choice([1, 1, 1, 2, 2, 3, 4, 5])}"

    def rows(self):
        if self.draw.random() < 0.5:
            return None
        return [Amount(str(self.draw.randint(1, 2)), self.draw.choice([None, 1, 2]))]

    def accept(self):
        accept(self.merchant.state, self.fulfilment("allocated"), by=BY)

    def pack(self):
        pack(self.merchant.state, self.fulfilment("allocated", "accepted"), by=BY)

    def ship(self):
        self.try_rows(lambda rows: ship(self.merchant.state, self.fulfilment(*OPEN), lines=rows, by=BY))

    def deliver(self):
        deliver(self.merchant.state, self.fulfilment("shipped"), by=BY)

    def reject(self):
        reason = self.draw.choice(["not_found", "damaged", "no_capacity", "closed", "other"])
        self.try_rows(lambda rows: reject(self.merchant.state, self.fulfilment(*OPEN), reason, lines=rows, by=BY))

    def cancel(self):
        self.try_rows(lambda rows: cancel_order(self.merchant.state, self.order(), rows, by=BY))

    def try_rows(self, command):
        try:
            command(self.rows())
        except InvalidInput as error:
            assert "has no line" in str(error), error

    def hold(self):
        hold_order(self.merchant.state, self.order(), "wait", by=BY)

    def release(self):
        place = Destination(country="DE") if self.draw.random() < 0.5 else None
        release_order(self.merchant.state, self.order(), place, by=BY)

    def reroute(self):
        exclude = self.draw.choice([None, [], [self.draw.choice(NODES)]])
        reroute(self.merchant.state, self.order(), exclude, by=BY)

    def send_back(self):
        disposition = self.draw.choice(["restock", "damaged", "inspect"])
        line = Amount("1", self.draw.choice([None, 1]))
        order = self.fulfilment("shipped", "partly_shipped", "delivered").rpartition("-f")[0]
        return_order(self.merchant.state, order, self.draw.choice(NODES), [line], disposition, by=BY)

    def receive(self):
        self.merchant.stock(self.draw.choice(NODES), **{self.draw.choice("ABC"): self.draw.randint(1, 9)})

    def count(self):
        recorded = self.merchant.stock(
            self.draw.choice(NODES), kind="count", **{self.draw.choice("ABC"): self.draw.randint(0, 9)}
        )
        if recorded.oversold and self.draw.random() < 0.5:
            repair_oversold(self.merchant.state)

    def announce(self):
        self.supplies += 1
        self.merchant.inbound(
            self.draw.choice(NODES), f"PO-{id(self)}-{self.supplies}", days=self.draw.randint(1, 20),
            **{self.draw.choice("ABC"): self.draw.randint(1, 9)},
        )  # fmt: skip

    def arrive(self):
        due = self.merchant.rows(
            "SELECT i.reference, n.code, t.sku, l.quantity - l.received FROM inbound i"
            " JOIN inbound_line l USING (inbound_id) JOIN node n ON n.node_id = l.node_id"
            " JOIN item t ON t.item_id = l.item_id WHERE l.received < l.quantity ORDER BY 1"
        )
        if due:
            reference, node, sku, left = self.draw.choice(due)
            recorded = self.merchant.stock(node, reference=reference, **{sku: self.draw.randint(1, left + 1)})
            source_orders(self.merchant.state, [str(o) for o in recorded.unbacked])

    def sweep(self):
        source_waiting(self.merchant.state, limit=self.draw.choice([1, 5, 50]), again_after_s=0)

    def repair(self):
        repair_oversold(self.merchant.state)

    COMMANDS = (
        *[place] * 5, *[receive] * 4, *[ship] * 4, *[reject] * 3, *[cancel] * 2, accept, accept, pack, deliver, deliver,
        hold, release, release, reroute, send_back, send_back, count, announce, announce, arrive, arrive, sweep, repair,
    )  # fmt: skip


def broken(merchant):
    views = merchant.rows("SELECT viewname FROM pg_views WHERE viewname LIKE 'invariant\\_%%'")
    return [(v, row) for (v,) in views for row in merchant.rows(f"SELECT * FROM {v} LIMIT 3")]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_hand(merchant, seed):
    merchant.limit("berlin", orders=6, units=40)
    merchant.limit("munich", lines=9)
    merchant.rows("UPDATE node SET safety_stock_default = 2 WHERE code = 'paris' RETURNING 1")
    merchant.state.reload_network()
    life = Life(merchant, seed)
    for n in range(600):
        life.step()
        if n % 5 == 0:
            assert broken(merchant) == [], (seed, n)
        if n % 40 == 39:
            merchant.now += timedelta(hours=7)
    assert set(life.done) == {c.__name__ for c in Life.COMMANDS}
    assert {"order.not_allowed", "fulfilment.not_allowed", "order.held"} <= set(life.refused)
    # What is derived is what is stored.
    for order_id in life.orders:
        order = merchant.order(order_id)
        settled = settle(order)
        if not any(w.has_come or (w.queue in ("backorder", "preorder") and not w.inbound_id) for w in order.waiting):
            assert (order.status, order.queue, order.lines) == (settled.status, settled.queue, settled.lines)
    seen = {status for (status,) in merchant.rows("SELECT DISTINCT status FROM orders")}
    assert len(seen) >= len(ORDER_STATUSES) - 2


def test_many_hands(merchant):
    merchant.limit("berlin", orders=6, units=40)
    shared = Life(merchant, 0)
    for _ in range(15):
        shared.receive()
        shared.place()
    lives = [Life(merchant, seed) for seed in range(10, 16)]
    for life in lives:
        life.orders = shared.orders

    def live(life):
        for _ in range(60):
            command = life.draw.choice([c for c in Life.COMMANDS if c is not Life.place])
            try:
                command(life)
            except (Conflict, NotFound):
                continue
            except DatabaseUnavailable as error:
                assert "gave up" in str(error)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(live, lives))
    assert broken(merchant) == []
