"""Any interleaving of duplicated, reordered and delayed deliveries, polls, crashes, cancellations on both sides and
shipments ends with our orders equal to the channel's.

ONHAND_EXAMPLES sets how many are tried (default 8); with ONHAND_SHRINK set, one that fails is made smaller, which takes
minutes. What it catches was seen by breaking the code on purpose: an older state that replaces a newer one; a message
that is done with before it is written down (orders get lost); a change that is written in another transaction than how
far it was followed (orders grow twice); what both sides cancel counted twice; orders for unknown goods that nobody
looks at again.
"""

import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.connectors.running import serving
from tests.flows.channels import Storefront, copy, later
from tests.flows.conftest import Merchant

from onhand.base.actor import SYSTEM
from onhand.channels.inbound import store
from onhand.db import Database
from onhand.errors import DatabaseUnavailable
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import ship
from onhand.orders.decide import Amount
from onhand.twin.fakes import woocommerce


class Died(BaseException):
    """As a process does: no handler of ours sees it coming."""


def machine(new_database):
    class Machine(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.ends = []
            self.accepted = 0

        @initialize(
            first=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4)), min_size=2, max_size=4),
            changes=st.lists(st.integers(0, 3), min_size=3, max_size=6),
        )
        def open(self, first, changes):
            context, url = new_database()
            self.ends.append(lambda: context.__exit__(None, None, None))
            db = Database.open(url)
            self.ends.append(db.close)
            self.merchant = Merchant(db)
            self.ends.append(self.merchant.close)
            self.fake = woocommerce.Shop()
            serve = serving(self.fake.app())
            self.shop = Storefront(self.merchant, self.fake, serve.__enter__(), Path(tempfile.mkdtemp()))
            self.ends.append(lambda: serve.__exit__(None, None, None))
            self.ends.append(self.shop.close)
            self.products = [self.fake.add_product(sku, 1000) for sku in ("A", "theirs")]
            self.shop.list("A", str(self.products[0]))
            self.is_listed = False
            self.merchant.stock("berlin", A=6, B=6)
            self.under_way = []
            self.told = set()  # orders of which the latest state was sent
            self.shop.tell()
            # Something to be told in the wrong order, from the beginning.
            for item, units in first:
                self.send(self.fake.buy({self.products[item]: units}))
            for units, n in enumerate(changes, 2):  # no state is like another
                later(order := self.pick(n))["line_items"][0]["quantity"] = units
                self.send(order)

        def teardown(self):
            try:
                if getattr(self, "told", None):
                    self.one_more()
                    self.agree(reads=False, rng=random.Random(len(self.under_way)))
            finally:
                for end in reversed(self.ends):
                    end()

        def pick(self, n):
            orders = list(self.fake.orders.values())
            return orders[n % len(orders)]

        def has_orders(self):
            return bool(getattr(self, "fake", None) and self.fake.orders)

        def send(self, order, repeats=1):
            (self.told.add if repeats else self.told.discard)(order["id"])
            for _ in range(repeats):
                self.under_way.append(self.fake.deliver(copy(order)))

        # The shop's side ----------------------------------------------------------------------------------------

        @rule(item=st.integers(0, 1), units=st.integers(1, 4), paid=st.booleans(), repeats=st.integers(0, 2))
        def buy(self, item, units, paid, repeats):
            status = "processing" if paid else "pending"
            self.send(self.fake.buy({self.products[item]: units}, status=status), repeats)

        @precondition(has_orders)
        @rule(n=st.integers(0, 9), units=st.integers(1, 5), repeats=st.integers(0, 2))
        def edit(self, n, units, repeats):
            order = self.pick(n)
            if order["status"] != "completed":
                later(order)["line_items"][0]["quantity"] = units
                self.send(order, repeats)

        @precondition(has_orders)
        @rule(
            n=st.integers(0, 9), status=st.sampled_from(["pending", "processing", "cancelled", "on-hold"]),
            seconds=st.integers(0, 1), repeats=st.integers(0, 2),
        )  # fmt: skip
        def move(self, n, status, seconds, repeats):
            order = self.pick(n)
            if order["status"] != "completed":
                later(order, seconds)["status"] = status
                self.send(order, repeats)

        # On its way ---------------------------------------------------------------------------------------------

        @precondition(lambda self: bool(getattr(self, "under_way", None)))
        @rule(n=st.integers(0, 99), stays=st.booleans())
        def arrive(self, n, stays):
            n %= len(self.under_way)
            headers, body = self.under_way[n] if stays else self.under_way.pop(n)
            self.shop.receive(headers, body)

        # Our side -----------------------------------------------------------------------------------------------

        @rule()
        def hear(self):
            self.shop.hear(1)

        @rule()
        def poll(self):
            self.shop.now_due()
            self.shop.poll()

        @rule(
            at=st.sampled_from(
                ["set_taken", "lock_rows", "finish_messages", "orders_here", "update_said", "add_orders", "set_stuck"]
            ),
            how=st.sampled_from(["process before", "process after", "connection"]),
        )
        def die(self, at, how, *, polls=True):
            """The next step ends in the middle: as a killed process would, or as its connection breaks after the
            statement. Then its leases run out."""
            real = getattr(store, at)

            def dies(conn, *rest, **named):
                setattr(store, at, real)  # once: what tries again by itself may
                if how == "process before":
                    raise Died
                result = real(conn, *rest, **named)
                if how == "process after":
                    raise Died
                conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
                return result

            setattr(store, at, dies)
            try:
                self.shop.hear(1)
                self.shop.now_due()
                if polls:
                    self.shop.poll()
            except (Died, DatabaseUnavailable):
                pass
            finally:
                setattr(store, at, real)
                self.shop.now_due()

        @rule()
        def list_it(self):
            if not self.is_listed:
                self.shop.list("B", str(self.products[1]))
                self.is_listed = True

        def is_known(self, order):
            """Whether there is a listing of what it is for."""
            return self.is_listed or order["line_items"][0]["product_id"] == self.products[0]

        @precondition(has_orders)
        @rule(n=st.integers(0, 9), ours=st.integers(1, 3), more=st.integers(0, 2))
        def both_cancel(self, n, ours, more):
            """We cancel units, and so does the shop: the same ones, and perhaps more."""
            order = self.pick(n)
            if order["status"] != "processing" or not self.is_known(order):
                return
            self.shop.receive(*self.fake.deliver(copy(order)))
            self.shop.now_due()
            self.shop.hear()
            before = self.shop.order(order["id"])
            (line,) = before.lines
            units = min(ours, line.open - line.shipped)
            if before.held or before.status not in ("sourced", "unfillable") or units <= 0:
                return
            cancel_order(
                self.merchant.state, before.order_id, [Amount(line_id=line.line_id, quantity=units)], by=SYSTEM
            )
            wanted = max(line.shipped, line.open - units - more)
            later(order)
            if wanted:
                order["line_items"][0]["quantity"] = wanted
            else:
                order["status"] = "cancelled"
            self.send(order, 2)
            for _ in range(2):
                self.shop.receive(*self.under_way.pop())
            self.shop.hear()
            (line,) = self.shop.order(order["id"]).lines
            assert line.open == wanted, "cancelled twice"

        def one_more(self):
            """An order of which we are told only once, and die while we hear of it; of which more is wanted, and we die
            while we follow; of which both sides cancel units. Before that one of goods that become known."""
            self.shop.now_due()
            self.shop.hear()
            if not self.is_listed:
                order = self.fake.buy({self.products[1]: 1})
                self.send(order)
                self.arrive(-1, stays=False)
                self.shop.hear()
                assert self.shop.rows()[str(order["id"])][0] == "unknown_sku"
                self.list_it()
                self.shop.hear()
                assert self.shop.order(order["id"]) is not None, "its listing has come"
            order = self.fake.buy({self.products[0]: 3})
            self.send(order)
            self.arrive(-1, stays=False)
            self.die("add_orders", "process before", polls=False)
            self.shop.hear()
            assert self.shop.order(order["id"]) is not None, "lost"
            later(order)["line_items"][0]["quantity"] = 4
            self.send(order)
            self.arrive(-1, stays=False)
            self.die("set_taken", "process before", polls=False)
            self.shop.hear()
            (line,) = self.shop.order(order["id"]).lines
            assert line.open == 4
            self.both_cancel(len(self.fake.orders) - 1, 1, 1)

        @precondition(has_orders)
        @rule(n=st.integers(0, 9))
        def ship_it(self, n):
            order = self.shop.order(self.pick(n)["id"])
            if order is not None and not order.held and order.status == "sourced":
                ship(self.merchant.state, order.fulfilment_id(order.live[0].number), tracking="1Z", by=SYSTEM)

        @rule()
        def tell(self):
            self.shop.now_due()
            self.shop.tell()

        @rule(reads=st.booleans(), rng=st.randoms(use_true_random=False))
        def in_the_end(self, reads, rng):
            self.agree(reads, rng)

        def agree(self, reads, rng):
            """All that is under way arrives, in the end nothing is due; then both sides agree: on all orders if they
            are read, otherwise on those that we were told of."""
            order = rng.randrange(3)
            if order == 0:
                rng.shuffle(self.under_way)
            elif order == 1:
                self.under_way.reverse()  # the newest first, and then only older ones
            for headers, body in self.under_way:
                self.shop.receive(headers, body)
            self.under_way = []
            for _ in range(3):
                self.shop.now_due()
                self.shop.hear()
                if reads:
                    self.shop.poll()
                self.shop.tell()
                self.shop.now_due()
            self.shop.hear()
            assert {status for _, status, _, _ in self.shop.messages()} <= {"done"}
            for order in self.fake.orders.values():
                if not reads and order["id"] not in self.told:
                    continue
                ours = self.shop.order(order["id"])
                wanted = order["line_items"][0]["quantity"]
                if ours is None and order["status"] == "processing" and not self.is_known(order):
                    assert self.shop.rows()[str(order["id"])][0] == "unknown_sku", "not lost"
                    continue
                if order["status"] in ("pending", "on-hold"):
                    assert ours is None or ours.status in ("held", "shipped", "cancelled"), (order, ours)
                elif order["status"] == "cancelled":
                    assert ours is None or ours.status in ("cancelled", "shipped"), (order, ours)
                elif order["status"] == "processing":
                    assert ours is not None, order
                    assert ours.status in ("sourced", "unfillable", "shipped", "partly_shipped"), (order, ours)
                    shipped = sum(line.shipped for line in ours.lines)
                    assert sum(line.open for line in ours.lines) == max(wanted, shipped), (order, ours)
                else:
                    # More was wanted before the shop heard that all is sent, and perhaps no longer is: it is held,
                    # so that nothing of it leaves before somebody has looked at that.
                    rest = ours.held and any(line.shipped < line.open for line in ours.lines)
                    assert ours.status == "shipped" or rest, (order, ours)
                self.accepted += ours is not None
            rows = self.merchant.rows("SELECT count(*), count(DISTINCT external_id) FROM orders")
            assert rows[0][0] == rows[0][1]
            assert self.merchant.rows("SELECT count(*) FROM stock_position WHERE oversold > 0")[0] == (0,)

    return Machine


@pytest.mark.timeout(900)
def test_our_orders_become_those_of_the_channel(server_url, admin, template):
    import uuid
    from contextlib import contextmanager

    from ..conftest import at, broken_invariants  # noqa: TID252

    @contextmanager
    def database():
        name = f"t_{uuid.uuid4().hex}"
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        url = at(server_url, name)
        try:
            yield url
            assert broken_invariants(url) == []
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def new():
        context = database()
        return context, context.__enter__()

    examples = int(os.environ.get("ONHAND_EXAMPLES", "8"))
    run_state_machine_as_test(
        machine(new),
        settings=settings(
            max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=[*HealthCheck],
            phases=[p for p in Phase if p is not Phase.shrink or "ONHAND_SHRINK" in os.environ], print_blob=True,
        ),
    )  # fmt: skip
