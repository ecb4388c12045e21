"""The book of prices: whatever becomes of writes, and after any crash, what is asked is what was last wanted."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.channels.prices.book import TRIES, Drift, Listing, PriceBook
from onhand.connectors._sdk.values import Fate, Outcome

ITEMS = (1, 2, 3)
NOW = 1_000.0


def listing(item, price_minor, currency="EUR", **known):
    return Listing(item, f"x{item}", f"sku{item}", price_minor, currency, **known)


def keys():
    numbers = itertools.count()
    return lambda: f"key-{next(numbers)}"


def book_of(*listings, now=NOW, batch_max=10):
    book = PriceBook(currency="EUR", batch_max=batch_max)
    book.put(listings, now)
    return book


def fates(*names):
    return [Outcome(fate=Fate(name), message="because") for name in names]


def sent(batch):
    return {write.external_id: write.price_minor for write in batch.writes}


def test_what_is_asked_already_is_not_written_and_what_has_no_price_is_left_alone():
    book = book_of(listing(1, 500, shown=500), listing(2, None), listing(3, 700, "USD"))
    assert book.pick(NOW, keys()) is None
    assert book.next_at(NOW) == float("inf")
    counts = book.counts()
    assert (counts["without_price"], counts["other_currency"], counts["queue_depth"]) == (1, 1, 0)


def test_batches_are_no_larger_than_they_may_be_and_the_longest_waiting_goes_first():
    book = book_of(*(listing(n, n) for n in (3, 1, 2)), batch_max=2)
    new_key = keys()
    assert sent(book.pick(NOW, new_key)) == {"x3": 3, "x1": 1}
    assert sent(book.pick(NOW, new_key)) == {"x2": 2}
    assert book.pick(NOW, new_key) is None, "under way"


def test_a_newer_price_goes_instead_of_one_whose_fate_is_not_known():
    book, new_key = book_of(listing(1, 500)), keys()
    book.told(book.pick(NOW, new_key), fates("unknown"), NOW)
    assert book.pick(NOW, new_key) is None, "not at once"
    again = book.pick(NOW + 1, new_key)
    assert (sent(again), again.is_again, again.writes[0].key) == ({"x1": 500}, True, "key-1")
    book.told(again, fates("unknown"), NOW + 1)
    book.put([listing(1, 600)], NOW + 2)
    newer = book.pick(NOW + 60, new_key)
    assert (sent(newer), newer.is_again) == ({"x1": 600}, False)


def test_what_is_refused_again_and_again_is_dead_until_its_price_or_listing_changes():
    for change in (lambda b: b.put([listing(1, 501)], NOW), lambda b: b.revive(), None):
        book, new_key, now = book_of(listing(1, 500)), keys(), NOW
        for _ in range(TRIES):
            book.told(book.pick(now, new_key), fates("refused"), now)
            assert book.pick(now + 59, new_key) is None
            now += 3_600
        assert book.counts()["dead"] == 1
        assert book.pick(now + 1e6, new_key) is None
        if change is None:
            (row,) = book.stored([1])
            assert (row.is_dead, row.last_error) == (True, "refused: because")
        else:
            change(book)
            assert book.pick(now, new_key) is not None


def test_one_that_keeps_failing_holds_up_no_other():
    book, new_key, now = book_of(*(listing(n, n) for n in ITEMS)), keys(), NOW
    for _ in range(3):
        batch = book.pick(now, new_key)
        book.told(batch, [Outcome(fate=Fate.RETRY if i == 2 else Fate.DONE) for i in batch.items], now)
        now += 60
        book.put([listing(n, int(now) + n) for n in (1, 3)] + [listing(2, 2)], now)
    alone = [sorted(sent(book.pick(now, new_key))) for _ in range(2)]
    assert sorted(alone) == [["x1", "x3"], ["x2"]]


def test_a_price_that_is_read_in_another_currency_is_not_written_over_even_after_a_restart():
    book, drift = book_of(listing(1, 500)), Drift()
    book.read("x1", None, drift, asked_at=NOW, now=NOW)
    assert book.pick(NOW, keys()) is None
    (row,) = book.stored([1])
    again = book_of(listing(1, 500, is_foreign=row.is_foreign))
    assert again.pick(NOW, keys()) is None
    again.read("x1", 400, Drift(), asked_at=NOW + 1, now=NOW + 1)
    assert sent(again.pick(NOW + 1, keys())) == {"x1": 500}
    assert drift.currency == 1


def test_what_was_only_accepted_may_be_shown_later():
    book, new_key = book_of(listing(1, 500)), keys()
    book.told(book.pick(NOW, new_key), fates("accepted"), NOW)
    drift = Drift()
    book.read("x1", 400, drift, asked_at=NOW + 10, now=NOW + 10)
    assert (drift.skipped, book.pick(NOW + 10, new_key)) == (1, None)
    book.read("x1", 400, drift, asked_at=NOW + 3_600, now=NOW + 3_600)
    assert (drift.foreign, sent(book.pick(NOW + 3_600, new_key))) == (1, {"x1": 500})


def test_a_listing_that_becomes_another_thing_forgets_what_was_asked():
    book, new_key = book_of(listing(1, 500, shown=500)), keys()
    book.put([Listing(1, "y", "sku1", 500, "EUR")], NOW)
    batch = book.pick(NOW, new_key)
    assert sent(batch) == {"y": 500}
    book.put([Listing(1, "z", "sku1", 500, "EUR")], NOW)
    book.told(batch, fates("done"), NOW)
    assert sent(book.pick(NOW, new_key)) == {"z": 500}
    book.drop([1])
    assert book.pick(NOW, new_key) is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("price"), st.sampled_from(ITEMS), st.sampled_from([None, 100, 200, 300])),
        st.tuples(st.just("send"), st.lists(st.sampled_from(["done", "retry", "lost", "late", "refused"]), min_size=3,
                                            max_size=3), st.booleans()),
        st.tuples(st.just("crash"), st.booleans(), st.booleans()),
        st.tuples(st.just("meddle"), st.sampled_from(ITEMS), st.sampled_from([1, 100])),
        st.tuples(st.just("read"), st.booleans(), st.booleans()),
    ),
    max_size=30,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_in_the_end_the_channel_asks_what_was_last_wanted_and_never_what_was_not(steps):
    """`lost`: no answer, and nothing happened; `late`: no answer, and it did. A crash loses all but what was stored
    before the last batch left, or after it was heard of."""
    wanted, asked, ever = dict.fromkeys(ITEMS, 100), {}, {1, 100}
    new_key, now = keys(), NOW
    book = book_of(*(listing(n, wanted[n]) for n in ITEMS), batch_max=2)
    stored = {row.item_id: row for row in book.stored(ITEMS)}

    def apply(batch, names):
        for item, write, name in zip(batch.items, batch.writes, names, strict=False):
            assert write.price_minor in ever
            if name in ("done", "late"):
                asked[item] = write.price_minor

    def tell(batch, names):
        said = {"done": Fate.DONE, "retry": Fate.RETRY, "lost": Fate.UNKNOWN, "late": Fate.UNKNOWN,
                "refused": Fate.REFUSED}  # fmt: skip
        book.told(batch, [Outcome(fate=said[name]) for name in names[: len(batch.items)]], now)
        stored.update({row.item_id: row for row in book.stored(batch.items)})

    def read(book):
        for item, minor in asked.items():
            book.read(f"x{item}", minor, Drift(), asked_at=now + 0.5, now=now + 0.5)
        stored.update({row.item_id: row for row in book.stored(ITEMS)})

    for kind, one, other in steps:
        now += 20
        if kind == "price":
            wanted[one] = other
            ever.add(other)
            book.put([listing(one, other)], now)
        elif kind == "send":
            batch = book.pick(now, new_key)
            if batch is not None:
                stored.update({row.item_id: row for row in book.stored(batch.items)})
                apply(batch, one)
                if other:  # meanwhile it costs something else
                    wanted[batch.items[0]] = 300
                    ever.add(300)
                    book.put([listing(batch.items[0], 300)], now)
                tell(batch, one)
        elif kind == "crash":
            batch = book.pick(now, new_key)
            if batch is not None and one:  # recorded, and perhaps sent; or neither
                stored.update({row.item_id: row for row in book.stored(batch.items)})
                apply(batch, ["done" if other else "lost"] * 3)
            book = book_of(
                *(
                    listing(r.item_id, wanted[r.item_id], shown=r.shown, shown_at=r.shown_at, sent=r.sent,
                            sent_key=r.sent_key, sent_batch=r.sent_batch, failures=r.failures, next_try=r.next_try)
                    for r in stored.values()
                ),
                now=now, batch_max=2,
            )  # fmt: skip
        elif kind == "meddle":
            asked[one] = other
        else:
            read(book)
    now += 10_000
    if any(kind == "meddle" for kind, _, _ in steps):  # nobody else would notice
        read(book)
    book.revive()
    for _ in range(20):
        now += 10_000
        batch = book.pick(now, new_key)
        if batch is None:
            break
        apply(batch, ["done"] * 3)
        tell(batch, ["done"] * 3)
    assert {item: asked.get(item) for item, minor in wanted.items() if minor is not None} == {
        item: minor for item, minor in wanted.items() if minor is not None
    }


@pytest.mark.parametrize("count", [1, 5])
def test_undoing_a_batch_that_did_not_leave_changes_nothing(count):
    book, new_key = book_of(*(listing(n, n) for n in range(1, count + 1))), keys()
    before = book.stored(book.items())
    book.undo(book.pick(NOW, new_key))
    assert book.stored(book.items()) == before
    assert len(book.pick(NOW, new_key).items) == count


def test_a_price_that_goes_back_while_the_fate_of_another_is_not_known_is_written():
    book, new_key = book_of(listing(1, 500, shown=500)), keys()
    book.put([listing(1, 600)], NOW)
    book.told(book.pick(NOW, new_key), fates("unknown"), NOW)  # it may have come true
    book.put([listing(1, 500)], NOW + 1)
    assert sent(book.pick(NOW + 60, new_key)) == {"x1": 500}
