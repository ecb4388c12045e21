"""Following what happens to orders: each event once, by one at a time, of the kinds that are of interest."""

import pytest
from tests.events import settle

from onhand.base.actor import SYSTEM
from onhand.flows.cancel_order import cancel_order
from onhand.flows.follow_orders import Follower
from onhand.flows.fulfil import ship


class Seen:
    """What a follower was given, one list for each transaction."""

    def __init__(self, merchant, **more):
        self.merchant, self.taken, self.fails = merchant, [], False
        options = {"name": "test", "kinds": ("order.%", "fulfilment.%"), "events": 100} | more
        self.follower = Follower(take=self.take, **options)

    def take(self, conn, ids):
        self.taken.append(sorted(ids))
        if self.fails:
            raise RuntimeError("injected")

    def follow(self, **more):
        with self.merchant.db.connection() as conn:
            settle(conn)
        before = len(self.taken)
        count = self.follower.follow(self.merchant.db, **more)
        assert count == sum(map(len, self.taken[before:]))
        return [order_id for ids in self.taken[before:] for order_id in ids]


@pytest.fixture
def placed(merchant):
    merchant.stock("berlin", A=9)
    return [merchant.place(("A", 1))["order_id"] for _ in range(3)]


def test_each_order_comes_once_for_what_has_happened_to_it(merchant, placed):
    seen = Seen(merchant)
    assert set(seen.follow()) == set(placed)
    assert seen.follow() == []
    ship(merchant.state, f"{placed[1]}-f1", by=SYSTEM)
    cancel_order(merchant.state, placed[2], by=SYSTEM)
    assert set(seen.follow()) == set(placed[1:])


def test_changes_and_kinds_that_mean_nothing_are_left_out(merchant, placed):
    seen = Seen(merchant, kinds=("order.%",), ignores=("ship",))
    seen.follow()
    ship(merchant.state, f"{placed[1]}-f1", by=SYSTEM)
    assert seen.follow() == []
    cancel_order(merchant.state, placed[2], by=SYSTEM)
    assert seen.follow() == [placed[2]]


def test_what_fails_is_taken_again_and_nothing_is_skipped(merchant, placed):
    seen = Seen(merchant)
    seen.fails = True
    with pytest.raises(RuntimeError):
        seen.follow()
    seen.fails = False
    assert set(seen.follow()) == set(placed)


def test_it_goes_on_in_transactions_of_so_many_events(merchant, placed):
    seen = Seen(merchant, events=1)
    first = seen.follow(batches_max=2)
    assert len(seen.taken) == 2
    assert set(first) | set(seen.follow()) == set(placed)
    assert all(len(ids) <= 1 for ids in seen.taken), "each of these events is of one order"


def test_who_begins_late_takes_what_there_is_and_follows_from_there(merchant, placed):
    begun = []

    def begin(conn):
        begun.append(conn)
        return placed[:1]

    seen = Seen(merchant, begin=begin)
    assert seen.follow() == placed[:1]
    cancel_order(merchant.state, placed[2], by=SYSTEM)
    assert seen.follow() == [placed[2]]
    assert len(begun) == 1


def test_while_one_follows_another_has_nothing_to_do(merchant, placed):
    seen = Seen(merchant)
    with merchant.db.connection() as conn, conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('onhand test', 0))")
        assert seen.follower.follow(merchant.db) == 0
    assert set(seen.follow()) == set(placed)
