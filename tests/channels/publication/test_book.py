"""Publication converges: whatever fails in between, a channel comes to show what was last wanted."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from onhand.channels.publication.book import NONE, Book, Listing
from onhand.connectors._sdk.values import Fate, Outcome

ITEMS = 3


@dataclass
class Channel:
    """What a channel shows, and how it takes writes. `done`: keys of batches it has applied."""

    is_compared: bool
    is_idempotent: bool
    is_atomic: bool
    says_seen: bool
    counts_down: bool
    shown: dict = field(default_factory=dict)
    done: dict = field(default_factory=dict)

    def push(self, writes):
        key = tuple(w.key for w in writes)
        if self.is_idempotent and key in self.done:
            return self.done[key]
        outcomes = [self._judge(w) for w in writes]
        if self.is_atomic and any(o.fate is not Fate.DONE for o in outcomes):
            untouched = Outcome(fate=Fate.RETRY, message="another write of its batch was refused")
            outcomes = [untouched if o.fate is Fate.DONE else o for o in outcomes]
        for w, o in zip(writes, outcomes, strict=True):
            if o.fate is Fate.DONE:
                self.shown[w.external_id] = w.quantity
        if all(o.fate is Fate.DONE for o in outcomes):
            self.done[key] = outcomes
        return outcomes

    def _judge(self, w):
        now = self.shown.get(w.external_id, 0)
        if self.is_compared and w.expected is not None and w.expected != now:
            return Outcome(fate=Fate.STALE, seen=now if self.says_seen else None)
        return Outcome(fate=Fate.DONE)


class Publishing(RuleBasedStateMachine):
    """The publisher's steps in any order with any failure, and crashes between them."""

    @initialize(
        is_compared=st.booleans(), is_idempotent=st.booleans(), is_atomic=st.booleans(), says_seen=st.booleans(),
        counts_down=st.booleans(), batch_max=st.integers(1, 4), can_read=st.booleans(),
    )  # fmt: skip
    def begin(self, is_compared, is_idempotent, is_atomic, says_seen, counts_down, batch_max, can_read):
        self.channel = Channel(is_compared, is_idempotent, is_atomic, says_seen, is_compared or counts_down)
        self.options = {"batch_max": batch_max, "is_compared": is_compared, "can_read": can_read}
        self.journal = {}
        self.now = 1000.0
        self.keys = map(str, itertools.count())
        self.wanted = {item: 3 * (item - 1) for item in range(1, ITEMS + 1)}
        self.unheard = dict.fromkeys(self.wanted, 0)
        self.keys_left = {}
        self.sales = []  # that we have heard of: (item, units, when)
        self.to_be_read = set()
        self.start()

    def start(self):
        self.book = Book(**self.options)
        self.book.put(
            [
                Listing(item, f"x{item}", "", **(self.journal.get(item) or {}))
                for item in self.wanted
            ]
        )  # fmt: skip
        self.on_the_way = []
        self.want(self.wanted)

    def want(self, units):
        rows = np.array([self.book.rows[item] for item in units])
        self.book.want(rows, np.array(list(units.values())), self.now)
        self.book.touch(rows, self.now)

    def remember(self, rows):
        for s in self.book.stored(rows):
            self.journal[s.item_id] = {
                "shown": s.shown, "shown_at": s.shown_at, "sent": s.sent, "sent_key": s.sent_key,
                "sent_batch": s.sent_batch, "sent_was": s.sent_was, "failures": s.failures, "next_try": s.next_try,
            }  # fmt: skip

    @rule(item=st.integers(1, ITEMS), units=st.integers(0, 9))
    def change(self, item, units):
        self.wanted[item] = units
        self.want({item: units})

    @rule(item=st.integers(1, ITEMS))
    def sold_there(self, item):
        """A sale that we have not heard of; most channels count it down themselves."""
        if self.channel.shown.get(f"x{item}", 0) > 0 and self.wanted[item] > self.unheard[item]:
            self.unheard[item] += 1
            if self.channel.counts_down:
                self.channel.shown[f"x{item}"] -= 1

    @rule(item=st.integers(1, ITEMS), is_made_up=st.booleans())
    def heard(self, item, is_made_up):
        """Of all its sales; and of a receipt of as many."""
        self.now += 0.001  # a moment for each thing: what is known as of a moment is known
        if self.unheard[item]:
            self.sales.append((item, self.unheard[item], self.now))
        self.change(item, self.wanted[item] if is_made_up else max(0, self.wanted[item] - self.unheard[item]))
        self.unheard[item] = 0

    @rule()
    def check(self):
        rows, since = self.book.to_check(self.now)
        self.book.doubt([row for row, at in zip(rows, since, strict=True) if self.sold(row, at)], self.now)

    def sold(self, row, since):
        return sum(units for item, units, at in self.sales if self.book.rows[item] == row and at > since)

    @rule(units=st.integers(0, 9), item=st.integers(1, ITEMS))
    def somebody_else_writes(self, units, item):
        """Found by reading only."""
        self.channel.shown[f"x{item}"] = units
        self.to_be_read.add(item)

    @rule(seconds=st.sampled_from([0.1, 1.0, 30.0, 100.0]))
    def wait(self, seconds):
        self.now += seconds

    def leave(self):
        rows = self.book.pick(self.now)
        if not rows:
            return None
        self.now += 0.001
        sold = {row: self.sold(row, self.book.known_at[row]) for row in rows} if self.options["is_compared"] else {}
        keys = [next(self.keys) for _ in rows]
        batch = self.book.write(rows, self.now, batch_id=next(self.keys), keys=keys, sold=sold)
        self.remember(batch.rows)
        for write in batch.writes:
            assert self.keys_left.setdefault(write.key, write) == write, "under one key always the same"
        assert len(batch.writes) <= max(self.options["batch_max"], 1)
        return batch

    @rule()
    def send(self):
        """A batch leaves; its answer is on its way."""
        if (batch := self.leave()) is not None and batch.writes:
            self.on_the_way.append((batch, self.channel.push(batch.writes)))

    @rule(fate=st.sampled_from([Fate.RETRY, Fate.UNKNOWN, Fate.REFUSED]), was_applied=st.booleans())
    def send_in_vain(self, fate, was_applied):
        """It does not arrive, or its answer does not, or it is refused."""
        if (batch := self.leave()) is not None and batch.writes:
            if fate is Fate.UNKNOWN and was_applied:
                self.channel.push(batch.writes)
            self.on_the_way.append((batch, [Outcome(fate=fate)] * len(batch.writes)))

    @precondition(lambda self: self.on_the_way)
    @rule()
    def answer(self):
        batch, outcomes = self.on_the_way.pop(0)
        told = self.book.told(batch, outcomes, self.now)
        self.remember(told.rows)

    @rule()
    def read(self):
        for row in self.book.to_read():
            self.book.read(row, self.channel.shown.get(self.book.names[row][0], 0), self.now)

    @rule()
    def crash(self):
        self.start()
        # What was to be checked is forgotten; the next reconciliation finds it.
        self.to_be_read.update(self.wanted)

    @invariant()
    def nothing_is_lost(self):
        if hasattr(self, "book"):
            busy = {row for batch, _ in self.on_the_way for row in batch.rows}
            assert set(np.flatnonzero(self.book.is_busy).tolist()) == busy
            again = [row for rows in self.book._again.values() for row in rows]
            assert len(again) == len(set(again))
            assert set(again) == set(np.flatnonzero((self.book.sent != NONE) & ~self.book.is_busy).tolist())

    def teardown(self):
        if not hasattr(self, "book"):
            return
        for item in self.wanted:
            self.heard(item, is_made_up=True)
        for n in range(400):
            while self.on_the_way:
                self.answer()
            self.read()
            self.check()
            if n == 10:
                for item in (i for i in self.to_be_read if self.book.is_settled(self.book.rows[i], self.now)):
                    self.book.read(self.book.rows[item], self.channel.shown.get(f"x{item}", 0), self.now)
            self.send()
            if n > 10 and not self.on_the_way and self.book.next_at(self.now) == float("inf"):
                break
            self.now += 10.0
        assert {item: self.channel.shown.get(f"x{item}", 0) for item in self.wanted} == self.wanted
        assert self.book.depth(self.now) == 0


TestPublishing = Publishing.TestCase
TestPublishing.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def shop(count, **options):
    book = Book(**{"batch_max": 250} | options)
    book.put([Listing(item, f"x{item}", "") for item in range(1, count + 1)])
    return book


def send(book, now, keys, outcome=None):
    """One batch, all of it done; its writes."""
    rows = book.pick(now)
    batch = book.write(rows, now, batch_id=f"b{next(keys)}", keys=[f"k{next(keys)}" for _ in rows], sold={})
    if batch.writes:
        book.told(batch, [outcome or Outcome(fate=Fate.DONE)] * len(batch.writes), now)
    return batch.writes


def test_a_backlog_is_drained_newest_only_and_zero_first():
    """Half an hour of outage with 50 changes a second."""
    book, keys, rng = shop(2_000), itertools.count(), np.random.default_rng(1)
    book.want(np.arange(2_000), np.full(2_000, 20), 0.0)
    while send(book, 0.0, keys):
        pass
    final = np.full(2_000, 20)
    for second in range(1_800):
        rows = rng.choice(2_000, 50, replace=False)
        final[rows] = rng.choice([0, 0, 1, 3, 20, 50], 50)
        book.want(rows, final[rows], float(second))
    changed = int((final != 20).sum())
    sent = []
    while writes := send(book, 2_000.0, keys):
        sent.append([w.quantity for w in writes])
    assert sum(map(len, sent)) == changed, "one write for each listing that differs"
    zeros = int((final == 0).sum())
    first = list(itertools.chain(*sent))[:zeros]
    full = zeros // 250 * 250
    assert first[:full] == [0] * full, "listings with nothing left go first"
    falls = [n for n, quantity in enumerate(itertools.chain(*sent)) if quantity < 20]
    assert max(falls) < (len(falls) // 250 + 1) * 250, "then those with little, then those with more"
    assert (book.shown == final).all()


def test_after_a_crash_the_same_batch_leaves_under_the_same_keys():
    book, keys = shop(5, is_compared=True), itertools.count()
    book.want(np.arange(5), np.arange(5) + 1, 0.0)
    rows = book.pick(0.0)
    before = book.write(rows, 0.0, batch_id="b", keys=[f"k{next(keys)}" for _ in rows], sold={})
    kept = book.stored(before.rows)
    again = Book(batch_max=250, is_compared=True)
    again.put(
        [
            Listing(s.item_id, f"x{s.item_id}", "", sent=s.sent, sent_key=s.sent_key, sent_batch=s.sent_batch)
            for s in kept
        ]
    )
    again.want(np.arange(5), np.arange(5) + 7, 1.0)
    assert send(again, 1.0, keys) == before.writes, "as it was, though more is wanted by now"
    assert [w.quantity for w in send(again, 1.0, keys)] == [7, 8, 9, 10, 11]
    assert send(again, 1.0, keys) == []


def test_what_does_not_compare_skips_the_old_number():
    book, keys = shop(2), itertools.count()
    book.want(np.arange(2), np.array([5, 6]), 0.0)
    assert len(send(book, 0.0, keys, Outcome(fate=Fate.UNKNOWN))) == 2
    book.want(np.array([0]), np.array([0]), 0.1)
    assert send(book, 0.1, keys) == [], "it is left alone for a moment"
    first = send(book, 10.0, keys)
    second = send(book, 10.0, keys)
    assert [(w.external_id, w.quantity, w.key) for w in first] == [("x2", 6, "k2")], "under its own key"
    assert [(w.external_id, w.quantity) for w in second] == [("x1", 0)], "never the old five"


def test_units_that_a_channel_sold_unheard_are_not_shown_again():
    book, keys = shop(1, is_compared=True, can_read=True), itertools.count()
    book.want(np.arange(1), np.array([10]), 0.0)
    send(book, 0.0, keys)
    book.want(np.arange(1), np.array([8]), 1.0)  # two went elsewhere; the channel has sold three of its own
    (write,) = send(book, 1.0, keys, Outcome(fate=Fate.STALE, seen=7))
    assert (write.expected, write.quantity) == (10, 8)
    (write,) = send(book, 1.1, keys)
    assert (write.expected, write.quantity) == (7, 5)
    book.want(np.arange(1), np.array([5]), 2.0)  # now we hear of them
    assert send(book, 2.0, keys) == []
    assert send(book, 200.0, keys) == [], "and owe nothing"


def test_what_a_channel_sold_itself_is_noticed_though_the_number_stays():
    """One sold there and one received: it should show what it was told last, and shows one less."""
    book, keys = shop(2), itertools.count()
    book.want(np.arange(2), np.array([10, 10]), 0.0)
    send(book, 5.0, keys)
    rows = np.arange(2)
    book.want(rows, np.array([10, 10]), 7.0)
    book.touch(rows, 7.0)
    assert book.to_check(8.0) == ([0, 1], [5.0, 5.0]), "sales that were heard of since the write left"
    assert book.to_check(8.0) == ([], []), "once"
    book.doubt([1], 8.0)
    assert (book.depth(8.0), [(w.external_id, w.quantity) for w in send(book, 9.0, keys)]) == (1, [("x2", 10)])
    assert (book.depth(9.0), book.to_check(9.0)) == (0, ([], []))
    book.touch(rows, 500.0)
    assert book.to_check(500.0) == ([0, 1], [440.0, 440.0]), "sales of the last month are not looked through"


def test_what_is_owed_is_shown_again_when_no_sale_comes():
    book, keys = shop(1, is_compared=True, can_read=True), itertools.count()
    book.want(np.arange(1), np.array([10]), 0.0)
    send(book, 0.0, keys)
    book.want(np.arange(1), np.array([9]), 1.0)
    send(book, 1.0, keys, Outcome(fate=Fate.STALE))
    assert send(book, 1.0, keys) == [], "not before it was read"
    assert book.to_read() == [0]
    book.read(0, 4, 1.0)  # somebody wrote 4
    assert [w.quantity for w in send(book, 1.0, keys)] == [3]
    assert book.next_at(1.0) == pytest.approx(61.0)
    assert [(w.expected, w.quantity) for w in send(book, 61.0, keys)] == [(3, 9)]


def test_own_sales_that_we_have_heard_of_are_expected():
    book, keys = shop(1, is_compared=True), itertools.count()
    book.want(np.arange(1), np.array([10]), 0.0)
    send(book, 0.0, keys)
    book.want(np.arange(1), np.array([6]), 1.0)
    rows = book.pick(1.0)
    batch = book.write(rows, 1.0, batch_id="b", keys=["k"], sold={0: 3})
    assert (batch.writes[0].expected, batch.writes[0].quantity) == (7, 6)


def test_a_write_that_spoils_its_batch_is_found_and_others_pass():
    book, keys = shop(16, batch_max=16), itertools.count()
    book.want(np.arange(16), np.full(16, 3), 0.0)
    now, requests = 0.0, 0
    while book.depth(now) > 1 and requests < 200:
        now += 61.0
        rows = book.pick(now)
        if not rows:
            continue
        requests += 1
        batch = book.write(rows, now, batch_id=f"b{next(keys)}", keys=[f"k{next(keys)}" for _ in rows], sold={})
        fate = Fate.RETRY if any(w.external_id == "x5" for w in batch.writes) else Fate.DONE
        book.told(batch, [Outcome(fate=fate)] * len(batch.writes), now)
    assert requests < 25
    assert np.flatnonzero(book.shown == NONE).tolist() == [4]


def test_of_a_batch_that_failed_in_part_the_rest_goes_back_alone_and_at_once():
    book, keys = shop(4), itertools.count()
    book.want(np.arange(4), np.full(4, 3), 0.0)
    rows = book.pick(0.0)
    batch = book.write(rows, 0.0, batch_id="b", keys=["a", "b", "c", "d"], sold={})
    done, retry = Outcome(fate=Fate.DONE), Outcome(fate=Fate.RETRY)
    told = book.told(batch, [done, Outcome(fate=Fate.GONE), retry, Outcome(fate=Fate.REFUSED, message="no")], 0.0)
    assert (told.done, told.failed) == (1, 3)
    assert [w.external_id for w in send(book, 0.0, keys)] == ["x3"]
    assert send(book, 0.0, keys) == []
    assert [w.external_id for w in send(book, 100.0, keys)] == ["x4"], "refused: later, and seldom"
    assert send(book, 10_000.0, keys) == [], "gone"


def test_how_long_changes_take_is_told():
    book, keys = shop(2), itertools.count()
    book.want(np.arange(2), np.array([5, 6]), np.array([10.0, 11.0]))
    rows = book.pick(12.0)
    batch = book.write(rows, 12.0, batch_id="b", keys=["a", "b"], sold={})
    assert book.left_s(batch, 12.0) == [2.0, 1.0]
    told = book.told(batch, [Outcome(fate=Fate.DONE)] * 2, 13.0)
    assert told.lags_s == [3.0, 2.0]
    book.want(np.arange(2), np.array([5, 6]), 20.0)
    assert send(book, 21.0, keys) == []
    book.want(np.arange(2), np.array([9, 1]), 30.0)
    rows = book.pick(34.0)
    batch = book.write(rows, 34.0, batch_id="c", keys=["c", "d"], sold={})
    assert book.left_s(batch, 34.0) == [4.0], "a number that rises may wait"


def renamed(*items):
    """Listings by (item_id, new name)."""
    return [Listing(item, name, "") for item, name in items]


@pytest.mark.parametrize("outcome", [Fate.DONE, Fate.UNKNOWN])
def test_a_write_to_a_listing_that_was_renamed_meanwhile_says_nothing_of_the_new_one(outcome):
    book, keys = shop(1), itertools.count()
    book.want(np.arange(1), np.array([5]), 0.0)
    rows = book.pick(0.0)
    batch = book.write(rows, 0.0, batch_id="b", keys=["old"], sold={})
    book.put(renamed((1, "y1")))  # while the request is on its way
    book.told(batch, [Outcome(fate=outcome)], 1.0)
    assert [(w.external_id, w.quantity, w.key != "old") for w in send(book, 100.0, keys)] == [("y1", 5, True)]
    assert book.shown.tolist() == [5]


def test_a_write_of_unknown_fate_is_not_sent_again_to_another_listing():
    book, keys = shop(1), itertools.count()
    book.want(np.arange(1), np.array([5]), 0.0)
    send(book, 0.0, keys, Outcome(fate=Fate.UNKNOWN))
    book.put(renamed((1, "y1")))
    (write,) = send(book, 100.0, keys)
    assert (write.external_id, write.key) == ("y1", "k3")
    assert send(book, 1_000.0, keys) == []


def test_listings_that_exchange_their_names_are_both_known():
    book = shop(2)
    book.put(renamed((1, "x2"), (2, "x1")))
    assert book.by_external == {"x2": 0, "x1": 1}


@given(st.lists(st.tuples(st.booleans(), st.one_of(st.just(0.0), st.integers(1, 9).map(float)))))
def test_a_book_tells_the_middle_and_the_oldest_of_what_was_read(rows):
    book = Book(batch_max=250)
    book.put([Listing(n, str(n), str(n), active, verified_at=at) for n, (active, at) in enumerate(rows)])
    read = sorted(at for active, at in rows if active and at)
    found = book.verified()
    assert (found.listings, found.verified) == (sum(active for active, _ in rows), len(read))
    if not read:
        assert (found.p50_at, found.oldest_at) == (None, None)
        return
    assert found.oldest_at == read[0]
    # The first that half of them do not come after, as PostgreSQL's percentile_disc.
    assert found.p50_at == next(at for n, at in enumerate(read, 1) if 2 * n >= len(read))
